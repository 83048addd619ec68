//! Selections and guests: which client for which person.

use std::collections::BTreeSet;

use ledgerward_contract::ClientId;

use super::{
    AccountRef, Actor, By, Client, ClientState, Firm, Guest, Outcome, Permission, PersonId, Refusal, SelectionScope,
    already, client, clients::check_accounts, done, name, person, powers, refuse,
};
use crate::domain::firm::Selection;

/// Break-glass ends within this (`product` 4).
const BREAK_GLASS_HOURS_MAX: i64 = 24;
const GUEST_DAYS_MAX: i64 = 366;

/// Nothing bulk, no wildcard and no mode ever includes a private client.
fn ordinary(client: &Client) -> Result<(), Refusal> {
    if client.private_to.is_some() {
        return refuse(
            format!("{} is private and cannot be selected", client.slug),
            "Its owner can: ledgerward private share CLIENT --target T --with PERSON",
        );
    }
    match client.state {
        ClientState::Active => Ok(()),
        ClientState::Proposed => refuse(
            format!("{} is proposed and not accepted yet", client.slug),
            "Accept it first: ledgerward clients accept CLIENT",
        ),
        ClientState::Archived | ClientState::Closed => refuse(
            format!("{} is archived or closed", client.slug),
            "Reopen it first: ledgerward clients reopen CLIENT",
        ),
    }
}

pub(super) fn select(
    firm: &mut Firm,
    who: PersonId,
    what: ClientId,
    scope: &SelectionScope,
    when_granted: bool,
) -> Outcome {
    let (email, client) = (person(firm, who)?.email.clone(), client(firm, what)?);
    ordinary(client)?;
    let words = match scope {
        SelectionScope::Whole => "the whole of",
        SelectionScope::Accounts(accounts) => {
            check_accounts(client, accounts)?;
            one_ledger_each(firm, who, client, accounts)?;
            "named accounts of"
        }
    };
    let slug = client.slug.clone();
    let selection = Selection { scope: scope.clone(), when_granted };
    let before = firm.selections.insert((who, what), selection.clone());
    let pending = if when_granted { ", once the ledger grants it" } else { "" };
    if before.as_ref() == Some(&selection) {
        return already(format!("{words} {slug} is selected for {email} already{pending}"));
    }
    done(format!("{words} {slug} is selected for {email}{pending}"))
}

/// That no account's folder would be of two ledgers ([`AccountRef::clashes`]). Selections that are not in force count as well:
/// they may be again.
fn one_ledger_each(
    firm: &Firm,
    who: PersonId,
    client: &Client,
    accounts: &BTreeSet<AccountRef>,
) -> Result<(), Refusal> {
    let others = firm.selections.iter().filter(|((p, c), _)| *c == client.id && *p != who);
    let others = others.filter_map(|((p, _), selection)| match &selection.scope {
        SelectionScope::Accounts(set) => Some(set.iter().map(|a| (Some(*p), a))),
        SelectionScope::Whole => None,
    });
    for (whose, there) in accounts.iter().map(|a| (None, a)).chain(others.flatten()) {
        let Some(new) = accounts.iter().find(|a| a.clashes(there)) else { continue };
        let slug = &client.slug;
        let whose = whose.and_then(|p| firm.people.get(&p)).map_or_else(String::new, |p| format!(" for {}", p.email));
        return refuse(
            format!(
                "account {} of {}:{} is selected{whose}, and that of {}:{} would have the same folder of {slug}",
                new.account, there.connection, there.ledger, new.connection, new.ledger
            ),
            format!(
                "Select the whole client, or take the other one away first (ledgerward select PERSON --remove {slug}). For both, make the second ledger a client of its own: ledgerward clients unbind, add, bind"
            ),
        );
    }
    Ok(())
}

pub(super) fn unselect(firm: &mut Firm, who: PersonId, what: ClientId) -> Outcome {
    let (email, slug) = (person(firm, who)?.email.clone(), client(firm, what)?.slug.clone());
    match firm.selections.remove(&(who, what)) {
        Some(_) => done(format!("{slug} is no longer selected for {email}")),
        None => already(format!("{slug} is not selected for {email}")),
    }
}

pub(super) fn add_guest(
    firm: &mut Firm,
    guest: &Guest,
    (second, extends): (Option<PersonId>, bool),
    by: By,
    alone: bool,
) -> Outcome {
    let (who, what) = (person(firm, guest.person)?, client(firm, guest.client)?);
    ordinary(what)?;
    if who.shut() {
        return refuse(format!("{} is disabled or closed", who.email), "Enable or lift the person first.");
    }
    name(&guest.reason, "reason")?;
    let hours = guest.until.duration_since(by.at).as_hours();
    if guest.until <= by.at || hours > GUEST_DAYS_MAX * 24 {
        return refuse("extra access ends within a year, and not in the past", "Give another end date.");
    }
    if guest.break_glass {
        if guest.until.duration_since(by.at).as_secs() > BREAK_GLASS_HOURS_MAX * 3600 {
            return refuse("break-glass access ends within 24 hours", "Give an earlier end.");
        }
        if !alone {
            check_second(firm, second, by)?;
        }
    }
    // Break-glass lies beside a guest's access and not in its place: when its day is over, that goes on.
    let same = |g: &Guest| (g.person, g.client, g.break_glass) == (guest.person, guest.client, guest.break_glass);
    if extends && !firm.guests.iter().any(same) {
        return refuse(
            format!("{} is no guest of {} any more", who.email, what.slug),
            "Who needs the access still is made a guest again: ledgerward guests add",
        );
    }
    let kind = if guest.break_glass { "BREAK-GLASS" } else { "guest" };
    let until = firm.zone.end(guest.until);
    let summary = format!("{kind} access of {} to {} until {until}: {}", who.email, what.slug, guest.reason);
    firm.guests.retain(|g| !same(g));
    firm.guests.push(guest.clone());
    done(summary)
}

/// The one exception to "never wider than the ledger grants" needs two people who may give access, one of them an owner.
fn check_second(firm: &Firm, second: Option<PersonId>, by: By) -> Result<(), Refusal> {
    let no = || {
        refuse(
            "break-glass access needs a second person",
            "One asks for it and another, an enabled owner, publishes it: ledgerward changes publish",
        )
    };
    let (Some(second), Actor::Person(first)) = (second, by.actor) else { return no() };
    let (first, second) = (person(firm, first)?, person(firm, second)?);
    let (a, b) = (powers(firm, &first.office), powers(firm, &second.office));
    if second.shut() {
        return refuse(
            format!("{}, who asked for this break-glass access, is disabled or closed since", second.email),
            "Reject it (ledgerward changes reject). Who needs the access still can ask for it anew.",
        );
    }
    let publishes = a.has(Permission::Publish) || b.has(Permission::Publish);
    if first.id == second.id || !b.has(Permission::Guests) || !publishes {
        return no();
    }
    Ok(())
}

/// Both kinds at once: whoever ends extra access wants none of it left, and the answer names what was there.
pub(super) fn end_guest(firm: &mut Firm, who: PersonId, what: ClientId) -> Outcome {
    let (email, slug) = (person(firm, who)?.email.clone(), client(firm, what)?.slug.clone());
    let (ended, rest) = std::mem::take(&mut firm.guests).into_iter().partition(|g| (g.person, g.client) == (who, what));
    firm.guests = rest;
    let ended: Vec<Guest> = ended;
    let kind = match (ended.iter().any(|g| g.break_glass), ended.iter().any(|g| !g.break_glass)) {
        (false, false) => return already(format!("{email} is no guest of {slug}")),
        (true, false) => "BREAK-GLASS",
        (false, true) => "guest",
        (true, true) => "guest and BREAK-GLASS",
    };
    done(format!("{kind} access of {email} to {slug} ended"))
}
