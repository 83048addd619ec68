//! Clients: what they are bound to, where their folders are, and private ones.

use std::collections::BTreeSet;

use ledgerward_contract::{ClientId, ConnectionName, Date, RoleTable, SourceKind, SourceRef};

use super::{
    AccountRef, Actor, Authority, By, Client, ClientState, Firm, Outcome, PersonId, Refusal, SelectionScope,
    TargetName, Unlisted, already, client, client_mut, done, name, person, private, refuse, rights::adds_their_own,
    unlisted_slug,
};
use crate::domain::{
    firm::{BEGINNING, Selection},
    names::plain,
};

/// A short name for people to type: small ASCII letters and digits with single hyphens, at most 40, unique in the firm. It
/// is made once, and a rename leaves it, because scripts and notes hold it. Letters with marks lose them; a name whose
/// letters are all of another script becomes `client-<id8>`, because what is left of it would say nothing.
pub fn slug_for(firm: &Firm, name: &str, id: ClientId) -> String {
    free_slug(|slug| firm.clients.values().any(|c| c.slug == slug), name, id)
}

/// [`slug_for`] where many clients come at once: `taken` says whether the firm has a slug already.
pub fn free_slug(taken: impl Fn(&str) -> bool, name: &str, id: ClientId) -> String {
    let mut base = String::new();
    let text = plain(name);
    for c in text.chars() {
        match c {
            'a'..='z' | '0'..='9' => base.push(c),
            '\'' | '’' | 'ʼ' | '.' => {}
            _ if !base.is_empty() && !base.ends_with('-') => base.push('-'),
            _ => {}
        }
    }
    let mut base: String = base.chars().take(40).collect();
    base.truncate(base.trim_end_matches('-').len());
    let unread = text.chars().any(char::is_alphabetic) && !base.contains(|c: char| c.is_ascii_lowercase());
    if base.is_empty() || unread {
        base = format!("client-{}", id.0.simple().to_string().chars().skip(24).collect::<String>());
    }
    if !taken(&base) {
        return base;
    }
    (2u64..).map(|n| format!("{base}-{n}")).find(|s| !taken(s)).unwrap_or(base)
}

/// The slug of private books: with digits of their id, so that no client of that name is ever told that it is taken.
fn private_slug(firm: &Firm, name: &str, id: ClientId) -> String {
    let base = free_slug(|_| false, name, id);
    let digits = id.0.simple().to_string();
    let last = |n: usize| digits.get(digits.len().saturating_sub(n)..).unwrap_or(&digits);
    let taken = |slug: &String| firm.clients.values().any(|c| c.slug == *slug);
    (4..=16).map(|n| format!("{base}-{}", last(n))).find(|s| !taken(s)).unwrap_or(base)
}

/// Whether a slug that somebody wrote has the shape of [`slug_for`]'s.
pub fn valid_slug(slug: &str) -> bool {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !slug.is_empty() && slug.len() <= 60 && slug.chars().all(ok) && !slug.starts_with('-') && !slug.ends_with('-')
}

fn new(firm: &Firm, id: ClientId, text: &str) -> Result<Client, Refusal> {
    if firm.clients.contains_key(&id) {
        return refuse("a client has this id already", "Try again.");
    }
    let name = name(text, "client's name")?;
    Ok(Client {
        id,
        slug: slug_for(firm, &name, id),
        name,
        state: ClientState::Active,
        private_to: None,
        sources: BTreeSet::new(),
        authority: firm.policy.authority.clone(),
        unlisted: None,
        targets: None,
        accounts: None,
        year_end: None,
        statements_since: None,
    })
}

pub(super) fn add(firm: &mut Firm, id: ClientId, name: &str, slug: Option<&str>, by: By) -> Outcome {
    let mut client = new(firm, id, name)?;
    if let Some(slug) = slug {
        if !valid_slug(slug) || firm.clients.values().any(|c| c.slug == slug) {
            return refuse(
                format!("\"{slug}\" cannot be the slug of a new client"),
                "A slug is small letters, digits and hyphens, and belongs to one client.",
            );
        }
        slug.clone_into(&mut client.slug);
    }
    let mut summary = format!("added the client {} ({})", client.name, client.slug);
    if let Actor::Person(adder) = by.actor
        && adds_their_own(firm, adder)
    {
        // Theirs, and bound to no ledger and no folder until an admin binds it.
        client.targets = Some(BTreeSet::new());
        firm.selections.insert((adder, id), Selection { scope: SelectionScope::Whole, when_granted: false });
        summary.push_str("; it has no ledger and no folder until an admin binds it and gives it targets");
    }
    firm.clients.insert(id, client);
    done(summary)
}

pub(super) fn propose(firm: &mut Firm, id: ClientId, name: &str, source: &SourceRef) -> Outcome {
    if let Some(known) = firm.clients.values().find(|c| c.sources.contains(source)) {
        return already(format!("{} {} is bound to {} already", source.connection, source.id, known.slug));
    }
    let mut client = new(firm, id, name)?;
    client.state = ClientState::Proposed;
    client.sources.insert(source.clone());
    let summary = format!("{} has a new organisation, {}: proposed as {}", source.connection, client.name, client.slug);
    firm.clients.insert(id, client);
    done(summary)
}

pub(super) fn rename(firm: &mut Firm, id: ClientId, text: &str) -> Outcome {
    let new = name(text, "client's name")?;
    let client = client_mut(firm, id)?;
    if client.name == new {
        return already(format!("{} is named so already", client.slug));
    }
    let before = std::mem::replace(&mut client.name, new);
    done(format!("{} is now {} (was {before})", client.slug, client.name))
}

pub(super) fn set_state(firm: &mut Firm, id: ClientId, state: ClientState) -> Outcome {
    use ClientState::{Active, Archived, Closed, Proposed};
    let guest = firm.guests.iter().find(|g| g.client == id).and_then(|g| firm.people.get(&g.person));
    let guest = guest.map(|p| p.email.to_string());
    let client = client_mut(firm, id)?;
    if client.state == state {
        return already(format!("{} is so already", client.slug));
    }
    // An archived client's list stays as it is, and a guest's access has to end.
    if let (Archived, Some(guest)) = (state, guest) {
        let next = format!("First: ledgerward guests end {guest} {}", client.slug);
        return refuse(format!("{guest} is a guest at {}, and an archived client's list stays", client.slug), next);
    }
    let what = match (client.state, state) {
        (Proposed, Active) => "accepted",
        (Archived | Closed, Active) => "reopened",
        (Active, Archived) => "archived: delivery stops, and the folder's sharing list stays",
        (Proposed | Active | Archived, Closed) => "closed: everybody we let in is let out",
        (_, Proposed) => {
            return refuse(format!("{} was accepted once", client.slug), "To end it: ledgerward clients close CLIENT");
        }
        (from, to) => {
            let next = "Accept or reopen it first.";
            return refuse(format!("{} cannot go from {from:?} to {to:?}", client.slug).to_lowercase(), next);
        }
    };
    client.state = state;
    done(format!("{} is {what}", client.slug))
}

pub(super) fn bind(firm: &mut Firm, id: ClientId, source: &SourceRef) -> Outcome {
    if source.id.trim().is_empty() {
        return refuse("a source needs the provider's id", "See the finding that proposes it, or: ledgerward pull");
    }
    let private = client(firm, id)?.private_to.is_some();
    let given_up: Vec<(ClientId, String)> =
        private::given_up(firm, id, source).iter().map(|(c, from)| (c.id, private::taken_from(from))).collect();
    // Private books under an ordinary client, or a client's ledger under private books, would get round both rules.
    let clash = firm.clients.values().any(|c| {
        c.id != id
            && c.sources.contains(source)
            && c.state != ClientState::Proposed
            && !given_up.iter().any(|(gone, _)| *gone == c.id)
            && (private || c.private_to.is_some())
    });
    if clash {
        return refuse(
            "this source cannot be bound here: it is in use elsewhere",
            "Ask whoever keeps those books here.",
        );
    }
    let mut also = String::new();
    for (from, words) in given_up {
        also.push_str(&format!("; {words}"));
        take_source(firm, from, source);
    }
    let proposed: Vec<ClientId> = private::proposals(firm, id, source).iter().map(|c| c.id).collect();
    for proposal in proposed {
        // The proposal is answered by this binding. It had no folder and was in no selection.
        if let Some(p) = firm.clients.get_mut(&proposal) {
            p.sources.remove(source);
            p.state = if p.sources.is_empty() { ClientState::Closed } else { p.state };
        }
    }
    let client = client_mut(firm, id)?;
    if !client.sources.insert(source.clone()) {
        return already(format!("{} is bound to {} {} already", client.slug, source.connection, source.id));
    }
    done(format!("{} is bound to {} {}{also}", client.slug, source.connection, source.id))
}

/// Whether an account is of this ledger.
fn is_of(source: &SourceRef, a: &AccountRef) -> bool {
    source.kind == SourceKind::Ledger && a.connection == source.connection && a.ledger.0 == source.id
}

/// Takes a source from private books that nobody can ask about, with everything that rests on it: unlike somebody who unbinds
/// it themselves, they are not there to choose first.
fn take_source(firm: &mut Firm, from: ClientId, source: &SourceRef) {
    let Some(client) = firm.clients.get_mut(&from) else { return };
    client.sources.remove(source);
    if client.authority == Authority::Named(source.clone()) {
        client.authority = Authority::All;
    }
    if let Some(accounts) = &mut client.accounts {
        accounts.retain(|a| !is_of(source, a));
    }
    // An empty list is none that the firm knows.
    client.accounts = client.accounts.take().filter(|set| !set.is_empty());
}

pub(super) fn unbind(firm: &mut Firm, id: ClientId, source: &SourceRef) -> Outcome {
    let client = client(firm, id)?;
    if !client.sources.contains(source) {
        return already(format!("{} is not bound to {} {}", client.slug, source.connection, source.id));
    }
    if client.authority == Authority::Named(source.clone()) {
        return refuse(
            format!("this source alone decides for {}", client.slug),
            "Change that first: ledgerward clients authority CLIENT all",
        );
    }
    let gone = |a: &AccountRef| is_of(source, a);
    // An emptied list would mean all accounts of the other ledgers.
    if client.accounts.as_ref().is_some_and(|set| set.iter().all(gone)) {
        return refuse(
            format!("the accounts chosen for {} are all of this ledger", client.slug),
            "Choose others first: ledgerward clients accounts CLIENT …",
        );
    }
    let slug = client.slug.clone();
    if let Some(client) = firm.clients.get_mut(&id) {
        client.sources.remove(source);
        if let Some(accounts) = &mut client.accounts {
            accounts.retain(|a| !gone(a));
        }
    }
    let mut ended = 0;
    firm.selections.retain(|(_, c), selection| match &mut selection.scope {
        SelectionScope::Accounts(set) if *c == id => {
            set.retain(|a| !gone(a));
            ended += usize::from(set.is_empty());
            !set.is_empty()
        }
        _ => true,
    });
    let also = if ended == 0 { String::new() } else { format!("; {ended} selections of its accounts ended") };
    done(format!("{slug} is no longer bound to {} {}{also}", source.connection, source.id))
}

pub(super) fn set_authority(firm: &mut Firm, id: ClientId, authority: &Authority) -> Outcome {
    let client = client_mut(firm, id)?;
    if let Authority::Named(source) = authority
        && !client.sources.contains(source)
    {
        return refuse(
            format!("{} is not bound to {} {}", client.slug, source.connection, source.id),
            "Bind it first: ledgerward clients bind CLIENT CONNECTION ID",
        );
    }
    let words = match authority {
        Authority::All => "all of its ledgers must grant".to_owned(),
        Authority::Any => "one of its ledgers is enough".to_owned(),
        Authority::Named(s) => format!("{} {} alone decides", s.connection, s.id),
    };
    if client.authority == *authority {
        return already(format!("{}: {words} already", client.slug));
    }
    client.authority = authority.clone();
    done(format!("{}: {words}", client.slug))
}

pub(super) fn set_unlisted(firm: &mut Firm, id: ClientId, unlisted: Option<Unlisted>) -> Outcome {
    let client = client_mut(firm, id)?;
    let words = unlisted.map_or("the firm's policy", unlisted_slug);
    let same = std::mem::replace(&mut client.unlisted, unlisted) == unlisted;
    let summary = format!("{}: where its ledger lists nobody, {words} decides", client.slug);
    if same { already(summary) } else { done(summary) }
}

pub(super) fn set_targets(firm: &mut Firm, id: ClientId, targets: &Option<BTreeSet<TargetName>>) -> Outcome {
    let client = client_mut(firm, id)?;
    if client.private_to.is_some() {
        return refuse(
            "a private client is pushed nowhere",
            "Deliberate ways out: ledgerward private convert CLIENT, or private share CLIENT --target T --with PERSON",
        );
    }
    if targets.as_ref().is_some_and(BTreeSet::is_empty) {
        return refuse("an empty list of targets", "To stop deliveries: ledgerward clients archive CLIENT");
    }
    let same = client.targets == *targets;
    client.targets.clone_from(targets);
    let words = match targets {
        None => "every target".to_owned(),
        Some(set) => set.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let summary = format!("{} has its folder on {words}", client.slug);
    if same { already(summary) } else { done(summary) }
}

/// That each account is of a ledger the client is bound to, and that there is one.
pub(super) fn check_accounts(client: &Client, accounts: &BTreeSet<AccountRef>) -> Result<(), Refusal> {
    if accounts.is_empty() {
        return refuse("an empty list of accounts", "Name at least one account, or choose the whole client.");
    }
    let bound = |a: &AccountRef| {
        let is = |s: &SourceRef| s.kind == SourceKind::Ledger && s.connection == a.connection && s.id == a.ledger.0;
        client.sources.iter().any(is)
    };
    match accounts.iter().find(|a| !bound(a)) {
        None => Ok(()),
        Some(a) => refuse(
            format!(
                "{} is not bound to {} {}, which has the account {}",
                client.slug, a.connection, a.ledger, a.account
            ),
            "Bind the ledger first: ledgerward clients bind CLIENT CONNECTION ID",
        ),
    }
}

pub(super) fn set_accounts(firm: &mut Firm, id: ClientId, accounts: &Option<BTreeSet<AccountRef>>) -> Outcome {
    if let Some(accounts) = accounts {
        check_accounts(client(firm, id)?, accounts)?;
    }
    let client = client_mut(firm, id)?;
    let same = client.accounts == *accounts;
    client.accounts.clone_from(accounts);
    let words =
        accounts.as_ref().map_or("all of its bank accounts".to_owned(), |a| format!("{} bank accounts", a.len()));
    let summary = format!("{}: statements of {words} are pushed", client.slug);
    if same { already(summary) } else { done(summary) }
}

pub(super) fn set_year_end(firm: &mut Firm, id: ClientId, year_end: Option<(i8, i8)>) -> Outcome {
    // 2024 has a 29 February, and a year may end on it.
    if let Some((month, day)) = year_end
        && Date::new(2024, month, day).is_err()
    {
        return refuse(format!("there is no day {day} in month {month}"), "Write month and day, such as 3 and 31.");
    }
    let client = client_mut(firm, id)?;
    let same = std::mem::replace(&mut client.year_end, year_end) == year_end;
    let words = year_end.map_or("what its ledger says".to_owned(), |(m, d)| format!("{d} of month {m}"));
    let summary = format!("the financial year of {} ends on {words}", client.slug);
    if same { already(summary) } else { done(summary) }
}

pub(super) fn set_since(firm: &mut Firm, id: ClientId, since: Option<Date>) -> Outcome {
    let client = client_mut(firm, id)?;
    let same = std::mem::replace(&mut client.statements_since, since) == since;
    let words = match since {
        None => "the financial year in which it was turned on".to_owned(),
        Some(day) if day == BEGINNING => "the beginning of the books".to_owned(),
        Some(day) => day.to_string(),
    };
    let summary = format!("statements of {} are made since {words}", client.slug);
    if same { already(summary) } else { done(summary) }
}

pub(super) fn set_roles(firm: &mut Firm, connection: &ConnectionName, table: &Option<RoleTable>) -> Outcome {
    let before = match table {
        Some(table) => firm.roles.insert(connection.clone(), table.clone()),
        None => firm.roles.remove(connection),
    };
    let words = if table.is_some() { "a role table of its own" } else { "the connector's role table" };
    let summary = format!("{connection} has {words}");
    if before == *table { already(summary) } else { done(summary) }
}

pub(super) fn add_private(firm: &mut Firm, id: ClientId, name: &str, by: By) -> Outcome {
    let Actor::Person(owner) = by.actor else {
        return refuse("a private client belongs to a person", "Say who acts with --as EMAIL.");
    };
    let mut client = new(firm, id, name)?;
    client.slug = private_slug(firm, &client.name, id);
    client.private_to = Some(owner);
    client.targets = Some(BTreeSet::new());
    let summary = format!("added the private client {} ({})", client.name, client.slug);
    firm.clients.insert(id, client);
    done(summary)
}

fn private_owner(client: &Client) -> Result<PersonId, Refusal> {
    client.private_to.map_or_else(
        || refuse(format!("{} is no private client", client.slug), "See your own: ledgerward private list"),
        Ok,
    )
}

pub(super) fn convert(firm: &mut Firm, id: ClientId) -> Outcome {
    let client = client_mut(firm, id)?;
    private_owner(client)?;
    client.private_to = None;
    client.targets = None;
    done(format!("{} is an ordinary client from now on, on every target", client.slug))
}

/// Named people get the folder on one target, by selections that only this act can make: a private client stays out of
/// every mode.
pub(super) fn share(firm: &mut Firm, id: ClientId, target: &TargetName, people: &BTreeSet<PersonId>) -> Outcome {
    let owner = private_owner(client(firm, id)?)?;
    if people.is_empty() {
        return refuse("nobody is named", "Name each person: --with PERSON");
    }
    for with in people {
        let p = person(firm, *with)?;
        if *with == owner || p.shut() {
            return refuse(format!("{} cannot be given this client", p.email), "Name other people, who are enabled.");
        }
    }
    // A selection reaches every target of the client, so nobody may get one here that was not named for them.
    let shared: BTreeSet<PersonId> = firm.selections.keys().filter(|(_, c)| *c == id).map(|(p, _)| *p).collect();
    let there = client(firm, id)?.targets.clone().unwrap_or_default();
    let new_target = !there.contains(target) && !shared.is_subset(people);
    let new_people = there.iter().any(|t| t != target) && !people.is_subset(&shared);
    if !shared.is_empty() && (new_target || new_people) {
        let names = |of: &BTreeSet<PersonId>| -> String {
            let names = of.iter().filter_map(|p| firm.people.get(p)).map(|p| p.email.to_string());
            names.collect::<Vec<_>>().join(", ")
        };
        let targets = there.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return refuse(
            format!(
                "these books are open to {} on {targets}, and people and targets are shared as a whole",
                names(&shared)
            ),
            "Share them on one target, or name everybody when you add the other one.",
        );
    }
    for with in people {
        let whole = Selection { scope: SelectionScope::Whole, when_granted: false };
        firm.selections.insert((*with, id), whole);
    }
    let client = client_mut(firm, id)?;
    let targets = client.targets.get_or_insert_default();
    if shared.is_empty() {
        targets.clear();
    }
    targets.insert(target.clone());
    let who = if people.len() == 1 { "1 person".to_owned() } else { format!("{} people", people.len()) };
    done(format!("{} is shared with {who} on {target}", client.slug))
}
