//! What would change an answer: each remedy is tried on the firm and decided again, and one that leaves the answer as it
//! was is not told.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ClientId, SourceRef};

use super::{Answer, Because, Decider, Fact, Mode, PersonId, SelectionScope, Unlisted, Why, decided, denying};
use crate::domain::{
    change::{self, ChangeOp},
    firm::{Authority, Client, ClientState, Firm, Office, Person},
};

/// Behind one obstacle there may be others: disabled, closed, archived, not granted, not selected.
const OBSTACLES_MAX: usize = 6;

/// One thing to do.
#[derive(Clone, Debug)]
enum Step {
    /// A command, and what it does to the firm.
    Act(String, ChangeOp),
    /// These sources say something else about the person from then on.
    Ledgers(String, Vec<SourceRef>, Why),
    /// Nobody knows what comes of it.
    Open(String),
}

impl Step {
    fn words(&self) -> &str {
        let (Self::Act(words, _) | Self::Ledgers(words, ..) | Self::Open(words)) = self;
        words
    }
}

/// The smallest changes that would alter the answer, each enough by itself.
pub(super) fn remedies(d: &Decider<'_>, person: PersonId, client: ClientId) -> Vec<String> {
    let Some(what) = d.firm().clients.get(&client) else { return vec![] };
    let firm = about(d.firm(), person, client);
    let facts = d.facts().about(person, what, &BTreeMap::new());
    let start = Decider::new(&firm, &facts, &[], d.now());
    let base = decided(&start, person, client).0;
    let all = ways(&start, base, (person, client), OBSTACLES_MAX);
    let sets: Vec<BTreeSet<&str>> = all.iter().map(|way| way.iter().map(String::as_str).collect()).collect();
    // What holds a whole other remedy does more than is needed.
    let needless = |n: usize| {
        let own = sets.get(n);
        (0..).zip(&sets).any(|(m, set)| own.is_some_and(|own| set.is_subset(own) && (set.len() < own.len() || m < n)))
    };
    (0..).zip(&all).filter(|(n, _)| !needless(*n)).map(|(_, way)| way.join(", and ")).collect()
}

/// The firm as far as one pair rests on it: trying a remedy costs the same in a large firm.
fn about(firm: &Firm, person: PersonId, client: ClientId) -> Firm {
    let pair = (person, client);
    // A share of private books rests on who keeps them.
    let keeper = firm.clients.get(&client).and_then(|c| c.private_to);
    let leads =
        |p: &Person| p.id == person || keeper == Some(p.id) || matches!(p.office, Office::PrimaryOwner | Office::Owner);
    Firm {
        name: firm.name.clone(),
        domains: firm.domains.clone(),
        zone: firm.zone.clone(),
        people: firm.people.iter().filter(|(_, p)| leads(p)).map(|(id, p)| (*id, p.clone())).collect(),
        clients: firm.clients.get(&client).map(|c| (client, c.clone())).into_iter().collect(),
        selections: firm.selections.get(&pair).map(|s| (pair, s.clone())).into_iter().collect(),
        guests: firm.guests.iter().filter(|g| (g.person, g.client) == pair).cloned().collect(),
        policy: firm.policy.clone(),
        roles: firm.roles.clone(),
        offices: firm.offices.clone(),
        ..Firm::default()
    }
}

/// Every way from this answer to another one. `base`: the answer that is to change.
fn ways(d: &Decider<'_>, base: Answer, pair: (PersonId, ClientId), left: usize) -> Vec<Vec<String>> {
    let (Some(who), Some(what)) = (d.firm().people.get(&pair.0), d.firm().clients.get(&pair.1)) else { return vec![] };
    let because = decided(d, pair.0, pair.1).1;
    steps(d, because, who, what).into_iter().flat_map(|steps| tried(d, base, pair, &steps, left)).collect()
}

/// One remedy, tried step by step. Where something else stands in the way behind it, with what helps against that;
/// nothing where it is refused, or helps in no way.
fn tried(
    d: &Decider<'_>,
    base: Answer,
    (person, client): (PersonId, ClientId),
    steps: &[Step],
    left: usize,
) -> Vec<Vec<String>> {
    let (mut firm, mut changed, mut open) = (d.firm().clone(), BTreeMap::new(), false);
    let mut words = Vec::new();
    for (n, step) in (1..).zip(steps) {
        match step {
            Step::Act(_, op) => match change::imagine(&mut firm, op, d.now()) {
                Ok(effect) if effect.changed => {}
                Ok(_) | Err(_) => return vec![],
            },
            Step::Ledgers(_, sources, why) => changed.extend(sources.iter().map(|s| (s.clone(), *why))),
            Step::Open(_) => open = true,
        }
        words.push(step.words().to_owned());
        let Some(what) = firm.clients.get(&client) else { return vec![] };
        let facts = d.facts().about(person, what, &changed);
        let then = Decider::new(&firm, &facts, &[], d.now());
        let is = decided(&then, person, client).0;
        let last = n == steps.len();
        if (open && last) || if base == Answer::Yes { is != Answer::Yes } else { is == Answer::Yes } {
            return vec![words];
        }
        if last && left > 0 {
            let rest = ways(&then, base, (person, client), left - 1);
            return rest.into_iter().map(|more| words.iter().cloned().chain(more).collect()).collect();
        }
    }
    vec![]
}

/// What to do against one reason: the alternatives, each of one step or more.
fn steps(d: &Decider<'_>, because: Because, who: &Person, what: &Client) -> Vec<Vec<Step>> {
    let (email, slug, person, client) = (&who.email, &what.slug, who.id, what.id);
    let act = |words: String, op| Step::Act(format!("ledgerward {words}"), op);
    let mode = |mode: Mode| act(format!("people mode {email} {}", mode.slug()), ChangeOp::SetMode { person, mode });
    let unselect = || act(format!("select {email} --remove {slug}"), ChangeOp::Unselect { person, client });
    let disable = || act(format!("people disable {email}"), ChangeOp::SetEnabled { person, enabled: false });
    let state = |word: &str| {
        act(format!("clients {word} {slug}"), ChangeOp::SetClientState { client, state: ClientState::Active })
    };
    // A client that is archived takes no new selection.
    let select = || {
        let scope = SelectionScope::Whole;
        let op = ChangeOp::Select { person, client, scope, when_granted: false };
        let select = act(format!("select {email} {slug}"), op);
        if what.state == ClientState::Archived { vec![state("reopen"), select] } else { vec![select] }
    };
    // A wish is no selection where no ledger is asked.
    let chosen = d.firm().selections.get(&(person, client)).is_some_and(|s| !s.when_granted);
    let selected = || if chosen { vec![] } else { select() };
    let wished = d.firm().selections.contains_key(&(person, client));
    let with = |first: Step, then: Vec<Step>| std::iter::once(first).chain(then).collect::<Vec<_>>();
    let manual = || {
        let op = ChangeOp::SetUnlisted { client, unlisted: Some(Unlisted::Manual) };
        act(format!("clients unlisted {slug} manual"), op)
    };
    let roster = || Step::Open(format!("a roster line for {email} and {slug}"));
    let deciding = d.deciding(what);
    let unlisted = what.unlisted.unwrap_or(d.firm().policy.unlisted);
    match because {
        Because::ModeAll => vec![vec![mode(Mode::LedgerSelected)], vec![disable()]],
        Because::Selected | Because::Manual | Because::Shared => vec![vec![unselect()]],
        Because::Ledger(s, _) | Because::Roster(s, _) => vec![vec![leaves(d, who, what, &deciding, s)]],
        Because::LedgerAndSelected(s, _) => vec![vec![unselect()], vec![leaves(d, who, what, &deciding, s)]],
        Because::Guest(..) | Because::GuestManual | Because::BreakGlass => {
            vec![vec![act(format!("guests end {email} {slug}"), ChangeOp::EndGuest { person, client })]]
        }
        Because::Disabled => {
            vec![vec![act(format!("people enable {email}"), ChangeOp::SetEnabled { person, enabled: true })]]
        }
        Because::Closed => vec![vec![act(format!("people lift {email}"), ChangeOp::LiftPerson { person })]],
        Because::ClientProposed => vec![vec![state("accept")]],
        Because::ClientClosed => vec![vec![state("reopen")]],
        Because::Private => {
            vec![vec![act(format!("private convert {slug}"), ChangeOp::ConvertPrivate { client })]]
        }
        Because::NotSelected if who.mode.needs_ledger() && deciding.is_empty() && unlisted == Unlisted::Deny => {
            vec![with(manual(), select())]
        }
        Because::NotSelected if who.mode.needs_ledger() && deciding.is_empty() && unlisted == Unlisted::Roster => {
            vec![with(roster(), select())]
        }
        Because::NotSelected if who.mode.needs_ledger() => {
            let grants = grants(d, who, what, &deciding);
            vec![grants.into_iter().chain(select()).collect()]
        }
        // Mode selected looks at no ledger.
        Because::NotSelected => vec![select()],
        Because::LedgerDenies(s, _) => {
            let grants = grants(d, who, what, &deciding).unwrap_or_else(|| gives(d, &[s], false));
            let needs = who.mode != Mode::Ledger && !wished;
            let mut all = vec![with(grants, if needs { select() } else { vec![] })];
            // This mode ignores the ledger on purpose.
            if who.mode == Mode::Selected {
                all.push(selected());
            } else {
                all.push(with(mode(Mode::Selected), selected()));
            }
            all
        }
        Because::UnlistedDeny => vec![with(manual(), selected())],
        Because::NoRoster => vec![vec![roster()]],
        Because::NotOurs => vec![vec![Step::Open("add the person".to_owned())]],
        Because::LedgerUnknown(s, why) => {
            let (name, role) = (name(d, s), d.ix(person).map_or("", |ix| d.facts().lookup(s, ix).1));
            vec![vec![Step::Open(match why {
                Why::RoleUnmapped => format!("say in the role table what the role \"{role}\" of {name} gives"),
                Why::EmailChanged | Why::KnownAddressNewId | Why::TwoUsersOneAddress => {
                    format!("confirm which user of {name} is {email}: ledgerward people confirm-pin")
                }
                Why::StandingUnknown => format!("a status of {email} in {name} that is known, such as active"),
                Why::AbsentOnce | Why::Flapping | Why::FirstReading | Why::NewOnce => {
                    format!("a second complete list from {name}")
                }
                Why::OwnMissing => format!("a list from {name} that has our own user in it"),
                _ => format!("a complete list from {name}"),
            })]]
        }
        Because::NotReadYet => vec![vec![Step::Open("ledgerward pull".to_owned())]],
        Because::ForeignDomain => {
            let op = ChangeOp::AcceptDomain { person };
            vec![vec![act(format!("people accept-domain {email}"), op)]]
        }
        // Of one folder, and never of the whole answer: its finding says what to do.
        Because::TwoLedgers => vec![],
    }
}

fn name(d: &Decider<'_>, source: u32) -> String {
    let of = |s: &crate::domain::facts::SourceFacts| format!("{} \"{}\"", s.source.connection, s.name);
    d.facts().source(source).map_or_else(|| "the ledger".to_owned(), of)
}

/// The ledgers that do not grant the person and must. `None`: there is none.
fn grants(d: &Decider<'_>, who: &Person, what: &Client, deciding: &[u32]) -> Option<Step> {
    let missing = d.ix(who.id).map_or_else(Vec::new, |ix| denying(d, what, deciding, ix));
    (!missing.is_empty()).then(|| gives(d, &missing, what.authority == Authority::Any))
}

/// `any`: one of them is enough.
fn gives(d: &Decider<'_>, sources: &[u32], any: bool) -> Step {
    let unread = || "a ledger not read yet".to_owned();
    let named = |s: &u32| d.facts().source(*s).map_or_else(unread, |_| name(d, *s));
    let names: Vec<String> = sources.iter().map(named).collect();
    let words = format!("{} grants it", names.join(if any { " or " } else { " and " }));
    let known = refs(d, sources);
    // A ledger that was never read has no facts to try anything on.
    let enough = if any { !known.is_empty() } else { known.len() == sources.len() };
    if enough { Step::Ledgers(words, known, Why::Reader) } else { Step::Open(words) }
}

fn refs(d: &Decider<'_>, sources: &[u32]) -> Vec<SourceRef> {
    sources.iter().filter_map(|s| d.facts().source(*s)).map(|s| s.source.clone()).collect()
}

/// Somebody leaves a ledger: the one that granted it, or all that do where one is enough.
fn leaves(d: &Decider<'_>, who: &Person, what: &Client, deciding: &[u32], one: u32) -> Step {
    let says = |s: &u32| d.ix(who.id).is_some_and(|ix| d.facts().lookup(*s, ix).0.fact() == Fact::Granted);
    let mut from: Vec<u32> = deciding.iter().copied().filter(says).collect();
    if what.authority != Authority::Any || from.is_empty() {
        from = vec![one];
    }
    let names: Vec<String> = from.iter().map(|s| name(d, *s)).collect();
    Step::Ledgers(format!("take {} out of {}", who.email, names.join(" and ")), refs(d, &from), Why::Removed)
}
