//! Who left, and which ledgers would still let them in: chased until a reading, or a person, says that each is gone
//! (`product` 8).

use std::collections::BTreeMap;

use ledgerward_contract::{SourceKind, SourceRef, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{
        fact::{Fact, Why},
        facts::Facts,
        finding::{Finding, Severity},
        firm::{Firm, PersonId},
        policy::{Answer, Decider},
    },
    memory::source_key,
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
    /// Ways into folders that were not ours to close, as the last attempt found them.
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

impl Chased {
    pub fn standing(&self) -> Standing {
        match (self.said.fact(), &self.confirmed) {
            (Fact::Granted, _) => Standing::Open,
            (Fact::Denied, _) => Standing::Gone,
            (Fact::Unknown, Some(_)) => Standing::Confirmed,
            (Fact::Unknown, None) => Standing::Unknown,
        }
    }

    /// The vendor's ledgers are the client's; a practice manager and a roster are the firm's own.
    pub fn only_the_client(&self) -> bool {
        self.source.kind == SourceKind::Ledger
    }
}

impl Case {
    pub fn open(&self) -> impl Iterator<Item = (&String, &Chased)> {
        self.ledgers.iter().filter(|(_, l)| !l.standing().closed())
    }

    /// Takes in what the sources say now. `firm`: with the person as they were before they left, on the first look, so that
    /// ledgers which list nobody are found by what the person saw.
    pub fn refresh(&mut self, firm: &Firm, facts: &Facts, now: Timestamp) {
        let decider = Decider::new(firm, facts, &[], now);
        let Some(ix) = decider.ix(self.person) else { return };
        let mut clients: BTreeMap<&SourceRef, Vec<&crate::domain::firm::Client>> = BTreeMap::new();
        for client in firm.clients.values().filter(|c| c.private_to.is_none()) {
            for source in &client.sources {
                clients.entry(source).or_default().push(client);
            }
        }
        for (at, held) in (0..).zip(facts.sources()) {
            let (why, role, since) = facts.lookup(at, ix);
            let key = source_key(&held.source);
            let bound = clients.get(&held.source).map(Vec::as_slice).unwrap_or_default();
            let saw = || bound.iter().any(|c| decider.judge(self.person, c.id).answer != Answer::No);
            let known = self.ledgers.contains_key(&key);
            let listed = why.fact() == Fact::Unknown && facts.run(at).0.binary_search(&ix).is_ok();
            let matters = known || listed || why.fact() == Fact::Granted || (why.fact() == Fact::Unknown && saw());
            if !matters {
                continue;
            }
            let entry = self.ledgers.entry(key).or_insert_with(|| Chased {
                source: held.source.clone(),
                name: held.name.clone(),
                clients: Vec::new(),
                role: String::new(),
                said: why,
                gone: None,
                confirmed: None,
            });
            entry.name.clone_from(&held.name);
            entry.clients = bound.iter().map(|c| c.slug.clone()).collect();
            if !role.is_empty() {
                role.clone_into(&mut entry.role);
            }
            entry.said = why;
            entry.gone = match why.fact() {
                Fact::Denied => entry.gone.or(since).or(Some(now)),
                Fact::Granted => None,
                Fact::Unknown => entry.gone,
            };
        }
    }
}

/// Looks at every case again with what a run read, and tells what is still open.
pub async fn chase(app: &App, firm: &Firm, facts: &Facts, now: Timestamp) -> Result<Vec<Finding>, Failure> {
    let mut cases: BTreeMap<String, Case> = app.store.run(|db| db.doc_all(CASES)).await?;
    if cases.is_empty() {
        return Ok(Vec::new());
    }
    for case in cases.values_mut() {
        case.refresh(firm, facts, now);
    }
    let found = cases.values().filter_map(|case| finding(firm, case)).collect();
    app.store.run(move |db| db.tx(|db| cases.iter().try_for_each(|(key, case)| db.doc_put(CASES, key, case)))).await?;
    Ok(found)
}

fn finding(firm: &Firm, case: &Case) -> Option<Finding> {
    // Somebody who came back is no leaver.
    let person = firm.people.get(&case.person).filter(|p| p.shut())?;
    let names: Vec<String> =
        case.open().map(|(_, l)| format!("{} \"{}\"", l.source.connection, l.name)).take(5).collect();
    let open = case.open().count();
    if open == 0 {
        return None;
    }
    let more = if open > names.len() { format!(" and {} more", open - names.len()) } else { String::new() };
    Some(Finding {
        since: Some(case.opened),
        ..Finding::new(
            Severity::Warning,
            "leaver.open",
            format!("leaver/{}", person.id.0),
            format!("{} left, and is not out of {}{more} yet.", person.full_name(), names.join(", ")),
            format!("ledgerward leaver {} shows what to do, and writes the letters with --pack DIR", person.email),
        )
    })
}
