//! Why somebody sees a client, why not, and what would change it (`product` 8).

mod remedies;

use ledgerward_contract::{FolderRole, Grade, SourceRef, Timestamp};
use serde::Serialize;

use super::{
    fact::{Fact, Why},
    firm::{Mode, PersonId, SelectionScope, Unlisted},
    policy::{Answer, Because, Decider},
};

/// The whole answer to `why` and `why-not`.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    pub verdict: Answer,
    /// One sentence.
    pub text: String,
    pub role: Option<FolderRole>,
    pub mode: Mode,
    pub selection: SelectionState,
    /// What each source of the client says about the person.
    pub sources: Vec<SourceSays>,
    /// The smallest change that would alter the answer; several where any one of them would do.
    pub would_change: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectionState {
    None,
    Whole,
    Accounts(usize),
    /// Kept as a wish until the ledger grants it.
    Pending,
    /// Selected, and the ledger took it away.
    Dormant,
}

#[derive(Clone, Debug, Serialize)]
pub struct SourceSays {
    pub source: SourceRef,
    pub name: String,
    pub grade: Grade,
    pub fact: Fact,
    pub why: Why,
    /// The vendor's word for the role, where there is one.
    pub role: String,
    pub since: Option<Timestamp>,
    pub text: String,
    /// Whether this source decides for this client.
    pub decides: bool,
}

/// Whether a client may be selected for a person (`product` 4, *greyed*).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CanSelect {
    Ok,
    /// The ledger must grant it first: the name of each that must.
    Greyed {
        ledgers: Vec<String>,
    },
    /// As `Greyed`, and a wish for it is kept already.
    Pending {
        ledgers: Vec<String>,
    },
    /// No selection can ever give this: private, not accepted, closed, unlisted clients are denied.
    Never {
        why: String,
    },
}

/// `xero "Acme Ltd" is no longer a user`: the source by its names, then the reason.
pub fn source_words(facts: &super::facts::Facts, source: u32, why: Why) -> String {
    match facts.source(source) {
        Some(s) => format!("{} \"{}\": {}", s.source.connection, s.name, why.words()),
        None => format!("a source of the client: {}", why.words()),
    }
}

/// The reason of a step in words, as plans print it.
pub fn because_words(d: &Decider<'_>, ix: super::policy::PersonIx, because: Because) -> String {
    let selected = |p: &str| format!("{p} · selected");
    let granted = |source: u32, why: Why| {
        let (_, word, _) = d.facts().lookup(source, ix);
        match d.facts().source(source) {
            Some(s) if !word.is_empty() => format!("{} \"{}\": {word}", s.source.connection, s.name),
            _ => source_words(d.facts(), source, why),
        }
    };
    let denied = |source: u32, why: Why| {
        let (_, _, since) = d.facts().lookup(source, ix);
        let last = since
            .filter(|_| why == Why::Gone)
            .map_or_else(String::new, |t| format!(" (last seen {})", d.firm().zone.day(t)));
        format!("{}{last}", source_words(d.facts(), source, why))
    };
    match because {
        Because::ModeAll => "mode all: every client".to_owned(),
        Because::Selected => "selected; mode selected ignores the ledger".to_owned(),
        Because::Ledger(s, w) => granted(s, w),
        Because::LedgerAndSelected(s, w) => selected(&granted(s, w)),
        Because::Manual => "selected; the ledger lists nobody".to_owned(),
        Because::Roster(s, w) => format!("roster: {}", granted(s, w)),
        Because::Guest(s, w) => format!("guest · {}", granted(s, w)),
        Because::GuestManual => "guest; the ledger lists nobody".to_owned(),
        Because::BreakGlass => "break-glass".to_owned(),
        Because::Shared => "shared by the owner of these private books".to_owned(),
        Because::Disabled => "the person is disabled".to_owned(),
        Because::Closed => "closed by revoke --now".to_owned(),
        Because::ClientProposed => "the client is only proposed".to_owned(),
        Because::ClientClosed => "the client is closed".to_owned(),
        Because::Private => "the client is private".to_owned(),
        Because::NotSelected => "not selected".to_owned(),
        Because::LedgerDenies(s, w) => denied(s, w),
        Because::UnlistedDeny => "the ledger lists nobody, and such clients are denied".to_owned(),
        Because::NoRoster => "the ledger lists nobody, and no roster names the client".to_owned(),
        Because::NotOurs => "nobody of the firm".to_owned(),
        Because::LedgerUnknown(s, w) => {
            let trouble =
                d.facts().source(s).and_then(|s| s.trouble.as_deref()).map_or_else(String::new, |t| format!(" ({t})"));
            format!("{}{trouble}", source_words(d.facts(), s, w))
        }
        Because::NotReadYet => "a source of the client has not been read yet".to_owned(),
        Because::ForeignDomain => "the address is outside the firm's domains".to_owned(),
        Because::TwoLedgers => "accounts of two ledgers have this id, and one folder cannot be of both".to_owned(),
    }
}

/// Why a person sees a client, or does not, or is held; and the smallest change that would alter it. `None`: no such person
/// or client.
pub fn why(d: &Decider<'_>, person: PersonId, client: ledgerward_contract::ClientId) -> Option<Explanation> {
    let who = d.firm().people.get(&person)?;
    let what = d.firm().clients.get(&client)?;
    let ix = d.ix(person)?;
    let judged = d.judge(person, client);
    let selection = d.firm().selections.get(&(person, client));
    let deciding = d.deciding(what);
    let sources = what.sources.iter().map(|source| {
        let at = d.facts().source_ix(source).unwrap_or(u32::MAX);
        let (why, role, since) = d.facts().lookup(at, ix);
        let held = d.facts().source(at);
        SourceSays {
            source: source.clone(),
            name: held.map_or_else(String::new, |s| s.name.clone()),
            grade: held.map_or(Grade::A, |s| s.grade),
            fact: why.fact(),
            why,
            role: role.to_owned(),
            since,
            text: source_words(d.facts(), at, why),
            // A roster decides where no ledger does.
            decides: deciding.contains(&at) || judged.because.source() == Some(at),
        }
    });
    let (answer, because) = decided(d, person, client);
    let state = match selection {
        None => SelectionState::None,
        Some(s) if s.when_granted && judged.answer != Answer::Yes => SelectionState::Pending,
        Some(_) if matches!(judged.because, Because::LedgerDenies(..)) => SelectionState::Dormant,
        Some(s) => match &s.scope {
            SelectionScope::Whole => SelectionState::Whole,
            SelectionScope::Accounts(set) => SelectionState::Accounts(set.len()),
        },
    };
    let word = match answer {
        Answer::Yes => "sees",
        Answer::No => "does not see",
        Answer::Held => "keeps what is there and gains nothing on",
    };
    Some(Explanation {
        verdict: answer,
        text: format!("{} {word} {}: {}", who.full_name(), what.name, because_words(d, ix, because)),
        role: (answer == Answer::Yes).then_some(judged.role),
        mode: who.mode,
        selection: state,
        sources: sources.collect(),
        would_change: remedies::remedies(d, person, client),
    })
}

/// The answer with what the domain of an address adds to it, and its reason.
fn decided(d: &Decider<'_>, person: PersonId, client: ledgerward_contract::ClientId) -> (Answer, Because) {
    let judged = d.judge(person, client);
    let accepted = |p: &super::firm::Person| p.domain_accepted || d.firm().domains.contains(p.email.domain());
    match judged.answer {
        Answer::Yes if !d.firm().people.get(&person).is_some_and(accepted) => (Answer::Held, Because::ForeignDomain),
        answer => (answer, judged.because),
    }
}

/// The deciding sources that do not grant the person and would have to.
fn denying(d: &Decider<'_>, what: &super::firm::Client, deciding: &[u32], ix: u32) -> Vec<u32> {
    let says = |s: u32| d.facts().lookup(s, ix).0.fact();
    if what.authority == super::firm::Authority::Any && deciding.iter().any(|s| says(*s) == Fact::Granted) {
        return vec![];
    }
    deciding.iter().copied().filter(|s| says(*s) != Fact::Granted).collect()
}

/// Whether the ledgers that decide for a client grant it to a person, modes and selections aside. `None`: no ledger decides
/// for this client, or there is no such person or client.
pub fn ledger_grants(d: &Decider<'_>, person: PersonId, client: ledgerward_contract::ClientId) -> Option<Answer> {
    let (what, ix) = (d.firm().clients.get(&client)?, d.ix(person)?);
    let deciding = d.deciding(what);
    if deciding.is_empty() {
        return None;
    }
    let says = |s: &u32| d.facts().lookup(*s, ix).0.fact();
    let (mut granted, mut denied) = (0, 0);
    for fact in deciding.iter().map(says) {
        granted += usize::from(fact == Fact::Granted);
        denied += usize::from(fact == Fact::Denied);
    }
    let any = what.authority == super::firm::Authority::Any;
    Some(match (any, granted, denied) {
        (true, 1.., _) => Answer::Yes,
        (false, _, 1..) => Answer::No,
        (true, 0, d) if d == deciding.len() => Answer::No,
        (false, g, 0) if g == deciding.len() => Answer::Yes,
        _ => Answer::Held,
    })
}

/// Whether a client may be selected for a person, and which ledger must grant it first (`product` 4).
pub fn can_select(d: &Decider<'_>, person: PersonId, client: ledgerward_contract::ClientId) -> CanSelect {
    use super::firm::ClientState;
    let never = |why: &str| CanSelect::Never { why: why.to_owned() };
    let (Some(who), Some(what)) = (d.firm().people.get(&person), d.firm().clients.get(&client)) else {
        return never("there is no such person or client");
    };
    if what.private_to.is_some() {
        return never("the client is private");
    }
    match what.state {
        ClientState::Active => {}
        ClientState::Proposed => return never("the client is only proposed; accept it first"),
        ClientState::Archived | ClientState::Closed => return never("the client is archived"),
    }
    // These modes ignore the ledger on purpose.
    if !who.mode.needs_ledger() {
        return CanSelect::Ok;
    }
    let deciding = d.deciding(what);
    if deciding.is_empty() {
        return match what.unlisted.unwrap_or(d.firm().policy.unlisted) {
            Unlisted::Manual | Unlisted::Roster => CanSelect::Ok,
            Unlisted::Deny => never("the ledger lists nobody, and such clients are denied"),
        };
    }
    let name = |s: u32| {
        let of = |s: &super::facts::SourceFacts| format!("{} \"{}\"", s.source.connection, s.name);
        d.facts().source(s).map_or_else(|| "a ledger not read yet".to_owned(), of)
    };
    let denying = d.ix(person).map_or_else(Vec::new, |ix| denying(d, what, &deciding, ix));
    let ledgers: Vec<String> = denying.into_iter().map(name).collect();
    if ledgers.is_empty() {
        return CanSelect::Ok;
    }
    match d.firm().selections.get(&(person, client)) {
        Some(s) if s.when_granted => CanSelect::Pending { ledgers },
        _ => CanSelect::Greyed { ledgers },
    }
}
