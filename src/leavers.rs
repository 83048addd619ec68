//! Who left, and which ledgers would still let them in: chased until a reading, or a person, says that each is gone
//! (`product` 8).

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ClientId, SourceKind, SourceRef, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{
        change::ChangeOp,
        fact::{Fact, Why},
        facts::Facts,
        finding::{Finding, Severity},
        firm::{Client, Firm, Person, PersonId},
        policy::{Answer, Decider},
    },
    memory::{self, source_key},
    store::FactValue,
};

/// The documents of cases, by the person's id.
pub const CASES: &str = "leaver";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    pub person: PersonId,
    pub opened: Timestamp,
    pub by: String,
    pub reason: String,
    pub ledgers: BTreeMap<String, Chased>,
    /// Ways into folders that are not ours to close, and folders that could not be looked at, as the last look found them.
    pub folders_left: Vec<String>,
}

/// One ledger that let the person in, or of which that could not be said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chased {
    pub source: SourceRef,
    pub name: String,
    /// Short names of the clients that the source belongs to.
    pub clients: Vec<String>,
    /// The vendor's word for the role, where it was read.
    pub role: String,
    pub said: Why,
    /// When a reading first said that the person is gone.
    pub gone: Option<Timestamp>,
    pub confirmed: Option<Confirmed>,
    /// A list had the person once. Nobody is gone from where they never were.
    #[serde(default)]
    pub was_in: bool,
}

/// A person's word that somebody is out of a ledger that cannot say so itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    pub at: Timestamp,
    pub by: String,
    pub note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The ledger lets them in, whatever anybody confirmed.
    Open,
    /// It cannot be read, and nobody confirmed it.
    Unknown,
    Confirmed,
    Gone,
}

impl Standing {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Unknown => "cannot be read",
            Self::Confirmed => "confirmed by a person",
            Self::Gone => "gone by a reading",
        }
    }

    pub const fn closed(self) -> bool {
        matches!(self, Self::Confirmed | Self::Gone)
    }
}

/// Whether a source lets somebody in. A ledger's user whose role gives no folder, or who is only invited, is out of our folders
/// and in the ledger all the same.
fn lets_in(source: &SourceRef, why: Why) -> Fact {
    match why {
        Why::RoleNothing | Why::Pending if source.kind == SourceKind::Ledger => Fact::Granted,
        why => why.fact(),
    }
}

impl Chased {
    pub fn standing(&self) -> Standing {
        match (lets_in(&self.source, self.said), &self.confirmed) {
            (Fact::Granted, _) => Standing::Open,
            (Fact::Denied, _) => Standing::Gone,
            (Fact::Unknown, Some(_)) => Standing::Confirmed,
            (Fact::Unknown, None) => Standing::Unknown,
        }
    }

    /// What the source says, and where that is nothing, what it last said.
    pub fn words(&self) -> String {
        let said = self.said.words();
        let role = if self.role.is_empty() { String::new() } else { format!(", with the role {}", self.role) };
        match self.standing() {
            Standing::Open => format!("{said}{role}"),
            Standing::Unknown if self.was_in && !self.said.is_doubt() => {
                format!("{said}; was a user when it last could be{role}")
            }
            _ => said.to_owned(),
        }
    }

    /// The vendor's ledgers are the client's; a practice manager and a roster are the firm's own.
    pub fn only_the_client(&self) -> bool {
        self.source.kind == SourceKind::Ledger
    }
}

/// What is known of a leaver beside what the sources say now: a source that cannot be read says nothing, and must not be
/// taken for one that let the person go.
#[derive(Default)]
pub struct Past {
    /// Sources whose last word about the person was no denial, with their role there.
    seen: BTreeMap<SourceRef, String>,
    first: Option<First>,
}

/// For the first look at a case. What comes to the firm later is no leaver's.
struct First {
    /// The firm with the person as they were before they were shut out: what they saw finds a ledger that lists nobody.
    open: Firm,
    /// Clients' ledgers of which there was never a whole list.
    unread: BTreeSet<SourceRef>,
}

impl Past {
    pub async fn of(app: &App, firm: &Firm, person: &Person) -> Result<Self, Failure> {
        let subject = person.id.0.to_string();
        let facts = app.store.run(move |db| db.facts_of(&subject)).await?;
        let seen = facts.into_iter().filter(|f| f.value != FactValue::Denied);
        let mut past = Self { seen: seen.map(|f| (f.source, f.role.unwrap_or_default())).collect(), first: None };
        past.users(memory::users_of(app, firm, &[person.id].into()).await?.remove(&person.id));
        Ok(past)
    }

    fn users(&mut self, of: Option<BTreeMap<SourceRef, String>>) {
        for (source, role) in of.into_iter().flatten() {
            self.seen.entry(source).or_insert(role);
        }
    }

    pub async fn first(app: &App, firm: &Firm, facts: &Facts, person: &Person) -> Result<Self, Failure> {
        let mut open = firm.clone();
        if let Some(person) = open.people.get_mut(&person.id) {
            person.enabled = true;
            person.closed = None;
        }
        let never_whole = memory::never_whole(app).await?;
        let bound = firm.clients.values().filter(|c| c.private_to.is_none()).flat_map(|c| &c.sources);
        let ledgers = bound.filter(|s| s.kind == SourceKind::Ledger);
        let unread = ledgers.filter(|s| never_whole.contains(s) || facts.source_ix(s).is_none()).cloned().collect();
        Ok(Self { first: Some(First { open, unread }), ..Self::of(app, firm, person).await? })
    }
}

/// Since when the person is shut out, by whichever act came first and still holds: what they held until then is what they
/// left with, however late somebody calls them a leaver.
pub async fn shut_since(app: &App, person: &Person, case: &Case) -> Result<Timestamp, Failure> {
    let id = person.id;
    let acts = app.store.run(move |db| db.shutting(id)).await?;
    let (mut disabled, mut closed, mut since) = (false, false, None);
    for (at, op) in acts {
        match serde_json::from_value(op) {
            Ok(ChangeOp::SetEnabled { enabled, .. }) => disabled = !enabled,
            Ok(ChangeOp::ClosePerson { .. }) => closed = true,
            Ok(ChangeOp::LiftPerson { .. }) => closed = false,
            _ => {}
        }
        since = (disabled || closed).then(|| since.unwrap_or(at));
    }
    let closed = person.closed.as_ref().map(|c| c.since);
    Ok([since, closed].into_iter().flatten().fold(case.opened, Timestamp::min))
}

/// What one source says of a leaver, as it goes into the case.
struct Said<'s> {
    source: &'s SourceRef,
    name: &'s str,
    why: Why,
    role: &'s str,
    since: Option<Timestamp>,
    was_in: bool,
}

impl Case {
    /// Without what `hides`: ledgers of private books alone are chased with all others, and told to nobody else.
    pub fn without(mut self, hides: impl Fn(&SourceRef) -> bool) -> Self {
        self.ledgers.retain(|_, l| !hides(&l.source));
        self
    }

    pub fn open(&self) -> impl Iterator<Item = (&String, &Chased)> {
        self.ledgers.iter().filter(|(_, l)| !l.standing().closed())
    }

    /// Takes in what the sources say now.
    pub fn refresh(&mut self, firm: &Firm, facts: &Facts, past: &Past, now: Timestamp) {
        let Some(ix) = facts.person_ix(self.person) else { return };
        let mut clients: BTreeMap<&SourceRef, Vec<&Client>> = BTreeMap::new();
        for client in firm.clients.values().filter(|c| c.private_to.is_none()) {
            for source in &client.sources {
                clients.entry(source).or_default().push(client);
            }
        }
        let bound = |source: &SourceRef| clients.get(source).map(Vec::as_slice).unwrap_or_default();
        let decider = past.first.as_ref().map(|f| Decider::new(&f.open, facts, &[], now));
        let saw = |source: &SourceRef| {
            let answer = |c: &&Client| decider.as_ref().map(|d| d.judge(self.person, c.id).answer);
            bound(source).iter().any(|c| answer(c).is_some_and(|a| a != Answer::No))
        };
        let unread = |source: &SourceRef| past.first.as_ref().is_some_and(|f| f.unread.contains(source));
        let mut all = Vec::new();
        for (at, held) in (0..).zip(facts.sources()) {
            let (why, role, since) = facts.lookup(at, ix);
            let source = &held.source;
            let last = past.seen.get(source);
            let was_in = match lets_in(source, why) {
                Fact::Granted => true,
                Fact::Unknown => last.is_some() || facts.run(at).0.binary_search(&ix).is_ok(),
                Fact::Denied => false,
            };
            let matters = was_in
                || self.ledgers.contains_key(&source_key(source))
                || match why {
                    // It cannot say, or was read once without them: what they saw there tells.
                    Why::Unlisted | Why::FirstReading => saw(source),
                    _ => why.fact() == Fact::Unknown && unread(source),
                };
            if matters {
                let role = if role.is_empty() { last.map_or("", String::as_str) } else { role };
                all.push(Said { source, name: &held.name, why, role, since, was_in });
            }
        }
        let never = past.first.iter().flat_map(|f| &f.unread).filter(|s| facts.source_ix(s).is_none());
        all.extend(never.map(|source| {
            let name = bound(source).first().map_or("", |c| &c.name);
            Said { source, name, why: Why::NeverRead, role: "", since: None, was_in: false }
        }));
        for Said { source, name, why, role, since, was_in } in all {
            let key = source_key(source);
            let entry = self.ledgers.entry(key).or_insert_with(|| Chased {
                source: source.clone(),
                name: String::new(),
                clients: Vec::new(),
                role: String::new(),
                said: why,
                gone: None,
                confirmed: None,
                was_in,
            });
            name.clone_into(&mut entry.name);
            entry.clients = bound(source).iter().map(|c| c.slug.clone()).collect();
            if !role.is_empty() {
                role.clone_into(&mut entry.role);
            }
            entry.was_in |= was_in || !entry.role.is_empty();
            entry.said = why;
            entry.gone = match lets_in(source, why) {
                Fact::Denied if entry.was_in => entry.gone.or(since).or(Some(now)),
                Fact::Denied | Fact::Granted => None,
                Fact::Unknown => entry.gone,
            };
        }
        // A list that could be read at last, and never had them.
        self.ledgers.retain(|_, l| l.was_in || lets_in(&l.source, l.said) != Fact::Denied || l.confirmed.is_some());
    }
}

/// Takes in what the sources say now, for many cases.
pub async fn refresh_all<'c>(
    app: &App,
    firm: &Firm,
    facts: &Facts,
    cases: impl Iterator<Item = &'c mut Case>,
    now: Timestamp,
) -> Result<(), Failure> {
    let cases: Vec<&mut Case> = cases.collect();
    let mut users = memory::users_of(app, firm, &cases.iter().map(|c| c.person).collect()).await?;
    for case in cases {
        let mut past = Past::default();
        past.users(users.remove(&case.person));
        case.refresh(firm, facts, &past, now);
    }
    Ok(())
}

/// Looks at every case again with what a run read, and tells what is still open.
pub async fn chase(app: &App, firm: &Firm, facts: &Facts, now: Timestamp) -> Result<Vec<Finding>, Failure> {
    let mut cases: BTreeMap<String, Case> = app.store.run(|db| db.doc_all(CASES)).await?;
    if cases.is_empty() {
        return Ok(Vec::new());
    }
    refresh_all(app, firm, facts, cases.values_mut(), now).await?;
    let found = cases.values().flat_map(|case| findings(firm, case)).collect();
    app.store.run(move |db| db.tx(|db| cases.iter().try_for_each(|(key, case)| db.doc_put(CASES, key, case)))).await?;
    Ok(found)
}

/// What everybody who sees the firm is told of a case, and what the person of private books is of their own ledgers.
fn findings(firm: &Firm, case: &Case) -> Vec<Finding> {
    // Somebody who came back is no leaver.
    let Some(person) = firm.people.get(&case.person).filter(|p| p.shut()) else { return Vec::new() };
    let (mut firms, mut own) = (Vec::new(), BTreeMap::<ClientId, Vec<&Chased>>::new());
    for (_, chased) in case.open() {
        match books_with(firm, &chased.source) {
            None => firms.push(chased),
            Some(books) => own.entry(books.id).or_default().push(chased),
        }
    }
    let own = own.into_iter().map(|(books, open)| (Some(books), open));
    let told = |(books, open): (Option<ClientId>, Vec<&Chased>)| finding(person, case, books, &open);
    std::iter::once((None, firms)).chain(own).filter_map(told).collect()
}

/// The private books that have this source, if nobody else does.
fn books_with<'f>(firm: &'f Firm, source: &SourceRef) -> Option<&'f Client> {
    let mut with = firm.clients.values().filter(|c| c.sources.contains(source));
    let first = with.next().filter(|c| c.private_to.is_some())?;
    with.all(|c| c.private_to.is_some()).then_some(first)
}

fn finding(person: &Person, case: &Case, books: Option<ClientId>, open: &[&Chased]) -> Option<Finding> {
    let names: Vec<String> = open.iter().map(|l| format!("{} \"{}\"", l.source.connection, l.name)).take(5).collect();
    let open = open.len();
    if open == 0 {
        return None;
    }
    let more = if open > names.len() { format!(" and {} more", open - names.len()) } else { String::new() };
    Some(Finding {
        since: Some(case.opened),
        ..Finding::new(
            Severity::Warning,
            if books.is_some() { "client.leaver_open" } else { "leaver.open" },
            books.map_or_else(|| format!("leaver/{}", person.id.0), |books| format!("leaver/{books}/{}", person.id.0)),
            format!("{} left, and is not out of {}{more} yet.", person.full_name(), names.join(", ")),
            format!("ledgerward leaver {} shows what to do, and writes the letters with --pack DIR", person.email),
        )
    })
}
