//! People: who they are, their addresses, mode and office.

use std::collections::BTreeMap;

use ledgerward_contract::{ConnectionName, Email};

use super::{
    Actor, By, Firm, Mode, Office, Outcome, Person, PersonId, Pin, Refusal, TargetName, already, done, name,
    office_slug, person, person_mut, refuse,
};
use crate::domain::firm::Closed;

/// One address is one person: as the firm's address, an alias or an address on a target. Two people behind one address
/// would open each other's folders.
fn free(firm: &Firm, email: &Email, except: Option<PersonId>) -> Result<(), Refusal> {
    let has = |p: &&Person| {
        p.email == *email
            || p.aliases.values().any(|set| set.contains(email))
            || p.target_addresses.values().any(|e| e == email)
    };
    match firm.people.values().filter(|p| Some(p.id) != except).find(has) {
        None => Ok(()),
        Some(other) => refuse(
            format!("the address {email} is already one of {}'s", other.full_name()),
            "Each address belongs to one person. Take it away there first, if it is not theirs.",
        ),
    }
}

pub(super) fn add(
    firm: &mut Firm,
    id: PersonId,
    (first, last): (&str, &str),
    email: &Email,
    office: &Office,
    mode: Mode,
) -> Outcome {
    free(firm, email, None)?;
    if firm.people.contains_key(&id) {
        return refuse("a person has this id already", "Try again.");
    }
    let person = Person {
        id,
        first: name(first, "first name")?,
        last: name(last, "last name")?,
        email: email.clone(),
        aliases: BTreeMap::new(),
        target_addresses: BTreeMap::new(),
        mode,
        office: office.clone(),
        enabled: true,
        closed: None,
        domain_accepted: false,
    };
    let summary = format!("added {} <{email}> as {}, mode {}", person.full_name(), office_slug(office), mode.slug());
    firm.people.insert(id, person);
    done(summary)
}

pub(super) fn edit(
    firm: &mut Firm,
    id: PersonId,
    first: &Option<String>,
    last: &Option<String>,
    email: &Option<Email>,
) -> Outcome {
    let first = first.as_deref().map(|f| name(f, "first name")).transpose()?;
    let last = last.as_deref().map(|l| name(l, "last name")).transpose()?;
    if let Some(email) = email {
        free(firm, email, Some(id))?;
    }
    let person = person_mut(firm, id)?;
    let before = person.clone();
    if let Some(email) = email {
        // The hold on a foreign domain was lifted for the old one.
        if email.domain() != person.email.domain() {
            person.domain_accepted = false;
        }
        person.email = email.clone();
    }
    person.first = first.unwrap_or_else(|| before.first.clone());
    person.last = last.unwrap_or_else(|| before.last.clone());
    // An address is sent as given, so another spelling of the same one is a change too.
    if *person == before && person.email.as_given() == before.email.as_given() {
        return already(format!("{} is so already", before.email));
    }
    done(format!("{} <{}> is now {} <{}>", before.full_name(), before.email, person.full_name(), person.email))
}

pub(super) fn set_enabled(firm: &mut Firm, id: PersonId, enabled: bool) -> Outcome {
    let person = person_mut(firm, id)?;
    if !enabled && person.office == Office::PrimaryOwner {
        return refuse(
            "the primary owner is always enabled",
            "Hand the office over first: ledgerward people hand-over PERSON",
        );
    }
    let word = if enabled { "enabled" } else { "disabled" };
    if person.enabled == enabled {
        return already(format!("{} is {word} already", person.email));
    }
    person.enabled = enabled;
    done(format!("{word} {}", person.email))
}

pub(super) fn set_mode(firm: &mut Firm, id: PersonId, mode: Mode) -> Outcome {
    let person = person_mut(firm, id)?;
    if person.mode == mode {
        return already(format!("the mode of {} is {} already", person.email, mode.slug()));
    }
    let before = std::mem::replace(&mut person.mode, mode);
    done(format!("the mode of {} is {} (was {})", person.email, mode.slug(), before.slug()))
}

pub(super) fn set_office(firm: &mut Firm, id: PersonId, office: &Office, mode: Mode) -> Outcome {
    let person = person_mut(firm, id)?;
    if person.office == Office::PrimaryOwner {
        return refuse(
            "the primary owner cannot be demoted",
            "Hand the office over first: ledgerward people hand-over PERSON",
        );
    }
    if person.office == *office && person.mode == mode {
        return already(format!("{} is {} already", person.email, office_slug(office)));
    }
    let before = std::mem::replace(&mut person.office, office.clone());
    person.mode = mode;
    let (office, before) = (office_slug(office), office_slug(&before));
    done(format!("{} is {office} (was {before}), mode {}", person.email, mode.slug()))
}

pub(super) fn hand_over(firm: &mut Firm, to: PersonId) -> Outcome {
    let heir = person(firm, to)?;
    if heir.office == Office::PrimaryOwner {
        return already(format!("{} is the primary owner already", heir.email));
    }
    if heir.office != Office::Owner || heir.shut() {
        return refuse(
            format!("{} is not an enabled owner", heir.email),
            "Only an enabled owner can become primary owner: ledgerward people office PERSON owner --mode MODE",
        );
    }
    let summary = format!("{} is the primary owner", heir.email);
    for person in firm.people.values_mut() {
        if person.id == to {
            person.office = Office::PrimaryOwner;
        } else if person.office == Office::PrimaryOwner {
            person.office = Office::Owner;
        }
    }
    done(summary)
}

pub(super) fn add_alias(firm: &mut Firm, id: PersonId, connection: &ConnectionName, email: &Email) -> Outcome {
    free(firm, email, Some(id))?;
    let person = person_mut(firm, id)?;
    if !person.aliases.entry(connection.clone()).or_default().insert(email.clone()) {
        return already(format!("{connection} knows {} as {email} already", person.email));
    }
    done(format!("{connection} knows {} as {email} too", person.email))
}

pub(super) fn remove_alias(firm: &mut Firm, id: PersonId, connection: &ConnectionName, email: &Email) -> Outcome {
    let person = person_mut(firm, id)?;
    let removed = person.aliases.get_mut(connection).is_some_and(|set| set.remove(email));
    person.aliases.retain(|_, set| !set.is_empty());
    if !removed {
        return already(format!("{email} is no alias of {} on {connection}", person.email));
    }
    done(format!("{connection} no longer knows {} as {email}; people already matched stay matched by id", person.email))
}

pub(super) fn set_address(firm: &mut Firm, id: PersonId, target: &TargetName, email: &Option<Email>) -> Outcome {
    if let Some(email) = email {
        free(firm, email, Some(id))?;
    }
    let person = person_mut(firm, id)?;
    let before = match email {
        Some(email) => person.target_addresses.insert(target.clone(), email.clone()),
        None => person.target_addresses.remove(target),
    };
    let now = person.address_on(target);
    let same = before.as_ref().map(Email::as_given) == email.as_ref().map(Email::as_given);
    let summary = format!("{} is {now} on {target}", person.full_name());
    if same { already(summary) } else { done(summary) }
}

pub(super) fn accept_domain(firm: &mut Firm, id: PersonId) -> Outcome {
    let person = person_mut(firm, id)?;
    let domain = person.email.domain().to_owned();
    if std::mem::replace(&mut person.domain_accepted, true) {
        return already(format!("the domain of {} is accepted already", person.email));
    }
    done(format!("the domain {domain} is accepted for {}", person.email))
}

pub(super) fn close(firm: &mut Firm, id: PersonId, reason: &str, by: By) -> Outcome {
    let reason = name(reason, "reason")?;
    let closer = match by.actor {
        Actor::Person(actor) => person(firm, actor)?.email.to_string(),
        Actor::Setup | Actor::Daemon => "ledgerward".to_owned(),
    };
    let person = person_mut(firm, id)?;
    if person.office == Office::PrimaryOwner {
        return refuse(
            "the primary owner cannot be closed: nobody could then run the firm",
            "Hand the office over first: ledgerward people hand-over PERSON",
        );
    }
    if person.closed.is_some() {
        return already(format!("{} is closed already", person.email));
    }
    person.closed = Some(Closed { since: by.at, by: closer, reason });
    done(format!("{} is closed until somebody lifts it", person.email))
}

pub(super) fn lift(firm: &mut Firm, id: PersonId) -> Outcome {
    let zone = firm.zone.clone();
    let person = person_mut(firm, id)?;
    match person.closed.take() {
        None => already(format!("{} is not closed", person.email)),
        Some(closed) => {
            let now = if person.enabled { "open again" } else { "no longer closed, and still disabled" };
            done(format!("{} is {now} (closed by {} on {})", person.email, closed.by, zone.time(closed.since)))
        }
    }
}

pub(super) fn confirm_pin(firm: &mut Firm, pin: &Pin, id: PersonId) -> Outcome {
    let email = person(firm, id)?.email.clone();
    let what = format!("user {} of {} {}", pin.user, pin.source.connection, pin.source.id);
    match firm.pins.insert(pin.clone(), id) {
        Some(before) if before == id => already(format!("{what} is {email} already")),
        Some(_) => done(format!("{what} is {email} from now on, and nobody else")),
        None => done(format!("{what} is {email}")),
    }
}
