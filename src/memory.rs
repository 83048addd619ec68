//! What is kept of the sources between two runs: who was seen where, what is believed, which ledgers there are.
//!
//! [`join`] turns readings into facts about people and writes the memory down; nothing in here reads a vendor.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{
    ConnectionName, ErrorKind, Grade, LedgerId, LedgerRow, SourceKind, SourceRef, Standing, Timestamp,
};
use serde_json::{Value, json};

use crate::{
    app::App,
    churn,
    cli::outcome::Failure,
    directory,
    domain::{
        fact::{Fact, Why},
        facts::{Facts, FactsBuilder},
        finding::{Finding, Severity},
        firm::{Authority, Client, ClientState, Firm, PersonId},
        identity::{self, AddressBook, Joined, Outcome, SourceMemory},
        seats,
    },
    gather::{ConnectionReading, ReadOutcome},
    registry,
    store::{Db, FactRow, FactValue, StoreError},
};

const MEMORY: &str = "source";
/// The document that names a source's memory and its findings.
pub fn source_key(source: &SourceRef) -> String {
    let kind = match source.kind {
        SourceKind::Ledger => "ledger",
        SourceKind::PracticeClient => "practice_client",
        SourceKind::Roster => "roster",
    };
    format!("{}/{kind}/{}", source.connection, source.id)
}

/// What the sources say, joined to people.
#[derive(Default)]
pub struct JoinedAll {
    pub sources: Vec<Joined>,
    pub reread: BTreeMap<SourceRef, Timestamp>,
    pub unreadable: usize,
    /// Connections whose list of clients is suddenly a different one, and why that is thought.
    pub churned: BTreeMap<ConnectionName, String>,
    /// Sources that were read in this run, and connections whose every ledger was.
    read: BTreeSet<SourceRef>,
    proposals: Vec<Finding>,
    /// Of ledgers whose count of users could be held against a roster in this run.
    counted: BTreeMap<SourceRef, Vec<Finding>>,
}

/// What is stored of a source: the core's memory of it, and what it last said about people, for runs that do not read it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Kept {
    source: SourceRef,
    name: String,
    grade: Grade,
    memory: SourceMemory,
    last: Last,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Last {
    facts: Vec<(PersonId, identity::PersonFact)>,
    rest: Why,
    unknown_since: Option<Timestamp>,
    trouble: Option<String>,
}

/// Joins all readings of a run, remembers them, and proposes clients for ledgers that nobody is bound to.
pub async fn join(
    app: &App,
    firm: &mut Firm,
    run: i64,
    readings: &BTreeMap<ConnectionName, ConnectionReading>,
    now: Timestamp,
) -> Result<JoinedAll, Failure> {
    let kept: BTreeMap<String, Kept> = app.store.run(|db| db.doc_all(MEMORY)).await?;
    let doubts = directory::doubts(app, readings, now).await?;
    let mut out = JoinedAll { churned: churn::doubts(app, firm, readings, now).await?, ..JoinedAll::default() };
    // A ledger that several sign-ins reach is one source: what they say of it together is told and kept.
    let mut fresh: BTreeMap<String, Joined> = BTreeMap::new();
    for (connection, reading) in readings {
        let book = AddressBook::new(firm, connection);
        for one in &reading.readings {
            let key = source_key(&one.source);
            let before = kept.get(&key).map(|k| k.memory.clone()).unwrap_or_default();
            let since = before.unknown_since.unwrap_or(now);
            let mut observation = one.observation(since);
            let doubt = doubts.get(connection).filter(|_| one.source.kind != SourceKind::Ledger);
            if let Some(why) = doubt {
                observation.outcome = Outcome::Unreadable { kind: ErrorKind::Contract, why: why.clone(), since };
            }
            let joined = identity::join(&book, &observation, &before);
            out.read.insert(one.source.clone());
            // A ledger that lists nobody was read as well as it can be.
            let unreadable = match &one.outcome {
                ReadOutcome::Failed(e) => e.kind != ErrorKind::Unsupported,
                ReadOutcome::LostSight | ReadOutcome::Unclear(_) => true,
                ReadOutcome::Listed(_) | ReadOutcome::Assigned(_) => false,
            };
            // A list that is not believed is no better than none.
            let refused = joined.rest == Why::Unreadable;
            out.unreadable += usize::from(unreadable || refused);
            if let Some(at) = joined.reread_at {
                let due = out.reread.entry(one.source.clone()).or_insert(at);
                *due = at.min(*due);
            }
            let joined = match fresh.remove(&key) {
                Some(other) => other.agreed(joined, &before, now),
                None => joined,
            };
            fresh.insert(key, joined);
        }
    }
    for (key, old) in kept.iter().filter(|(_, k)| !app.config.connections.contains_key(&k.source.connection)) {
        fresh.entry(key.clone()).or_insert_with(|| out_of_reach(old, now));
    }
    out.sources.extend(kept.iter().filter(|(key, _)| !fresh.contains_key(*key)).map(|(_, old)| recall(old)));
    let keeps = fresh.iter().map(|(key, joined)| (key.clone(), keep(joined))).collect();
    out.sources.extend(fresh.into_values());
    save(app, firm, run, readings, &kept, keeps, &mut out, now).await?;
    out.proposals.extend(doubts.iter().map(|(connection, why)| shrunk(connection, why)));
    out.proposals.extend(churn::findings(&out.churned));
    out.proposals.extend(roles_without_a_column(app, readings));
    out.proposals.extend(directory::links(firm, readings));
    out.counted = count(firm, readings, &doubts);
    Ok(out)
}

/// Holds what ledgers count against the rosters that name their users. A roster that is not believed is held against nothing.
fn count(
    firm: &Firm,
    readings: &BTreeMap<ConnectionName, ConnectionReading>,
    doubts: &BTreeMap<ConnectionName, String>,
) -> BTreeMap<SourceRef, Vec<Finding>> {
    let (mut counts, mut rosters) = (BTreeMap::new(), BTreeMap::new());
    for one in readings.values().flat_map(|r| &r.readings) {
        match &one.outcome {
            ReadOutcome::Failed(_) => counts.extend(one.seats.map(|seats| (one.source.clone(), seats))),
            ReadOutcome::Assigned(rows)
                if one.source.kind == SourceKind::Roster && !doubts.contains_key(&one.source.connection) =>
            {
                let in_force = rows.iter().filter(|r| !matches!(r.standing, Standing::Removed | Standing::Disabled));
                rosters.insert(one.source.clone(), in_force.map(|r| r.user.as_str()).collect());
            }
            _ => {}
        }
    }
    seats::compare(firm, &counts, &rosters)
}

/// Rosters whose every line counts as listed although the configuration says what the roles of their lines give: a column has
/// a name that was not understood, and whoever is marked as former there would get in.
fn roles_without_a_column(app: &App, readings: &BTreeMap<ConnectionName, ConnectionReading>) -> Vec<Finding> {
    let unmet = |(connection, reading): &(&ConnectionName, &ConnectionReading)| {
        let Some(of) = app.config.connections.get(*connection).filter(|c| !c.roles.is_empty()) else { return false };
        let Some(entry) = registry::entry(&of.remote.connector) else { return false };
        // A word of the connector's own, which no firm wrote.
        let made_up = |role: &str| entry.factory.manifest().roles.iter().any(|(own, _)| *own == role);
        let rosters = reading.readings.iter().filter(|r| r.source.kind == SourceKind::Roster);
        let rows = rosters.filter_map(|r| match &r.outcome {
            ReadOutcome::Assigned(rows) => Some(rows),
            _ => None,
        });
        let roles: BTreeSet<&str> = rows.flatten().map(|row| row.role.as_str()).collect();
        !roles.is_empty() && roles.iter().all(|role| made_up(role) && !of.roles.contains_key(*role))
    };
    readings.iter().filter(unmet).map(|(connection, _)| {
        Finding::new(
            Severity::Warning,
            "roster.roles",
            connection.as_str().to_owned(),
            format!("{connection}: no line of the list has a role that the configuration explains, so everybody on it counts as listed"),
            "Say which column has the roles: columns = { …, role = \"…\" }. What was understood: ledgerward roster check FILE",
        )
    })
    .collect()
}

fn shrunk(connection: &ConnectionName, why: &str) -> Finding {
    Finding::new(
        Severity::Warning,
        "directory.shrunk",
        connection.as_str().to_owned(),
        format!("{connection}: {why}. What it decides stays as it was."),
        format!("if the list is right: ledgerward roster accept {connection} --reason …"),
    )
}

fn keep(joined: &Joined) -> Kept {
    Kept {
        source: joined.source.clone(),
        name: joined.name.clone(),
        grade: joined.grade,
        memory: joined.memory.clone(),
        last: Last {
            facts: joined.facts.iter().map(|(p, f)| (*p, f.clone())).collect(),
            rest: joined.rest,
            unknown_since: joined.unknown_since,
            trouble: joined.trouble.clone(),
        },
    }
}

/// What the last pull left, as facts of `firm`'s people: for answers that need no provider.
pub async fn recall_all(app: &App, firm: &Firm) -> Result<Facts, Failure> {
    let kept: BTreeMap<String, Kept> = app.store.run(|db| db.doc_all(MEMORY)).await?;
    let mut builder = FactsBuilder::new(firm.people.keys().copied());
    for one in kept.values() {
        builder.add(&recall(one));
    }
    Ok(builder.build())
}

/// What became of a person's word that a ledger no longer lists its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossSaid {
    Confirmed,
    Already,
    /// It lists them, or says nothing for another reason.
    NotLost,
}

/// A person says that a ledger that listed its users no longer can. It counts until the ledger lists them again.
pub async fn confirm_unlisted(app: &App, source: &SourceRef, reason: &str) -> Result<LossSaid, Failure> {
    let (key, reason, now) = (source_key(source), reason.to_owned(), app.now());
    let confirm = move |db: &mut Db| {
        let Some(mut kept) = db.doc_get::<Kept>(MEMORY, &key)? else { return Ok(LossSaid::NotLost) };
        if kept.memory.loss_confirmed {
            return Ok(LossSaid::Already);
        }
        if kept.last.rest != Why::OnceListed {
            return Ok(LossSaid::NotLost);
        }
        kept.memory.loss_confirmed = true;
        let told = |confirmed: bool| json!({"loss_confirmed": confirmed, "last_listed": kept.memory.last_complete_at});
        db.tx(|db| {
            db.doc_put(MEMORY, &key, &kept)?;
            db.audit(now, "source.confirm_unlisted", &key, Some(&told(false)), Some(&told(true)), Some(&reason))?;
            Ok(LossSaid::Confirmed)
        })
    };
    Ok(app.store.run(confirm).await?)
}

/// Sources of which there was never a whole list that proves who is not in it.
pub async fn never_whole(app: &App) -> Result<BTreeSet<SourceRef>, Failure> {
    let kept: BTreeMap<String, Kept> = app.store.run(|db| db.doc_all(MEMORY)).await?;
    Ok(kept.into_values().filter(|k| k.memory.first_complete_at.is_none()).map(|k| k.source).collect())
}

/// The ledgers that had these people as users when they could be read last, with their role there: one that gives no folder is a
/// denial among the facts, and lets them into the ledger all the same.
pub async fn users_of(
    app: &App,
    firm: &Firm,
    people: &BTreeSet<PersonId>,
) -> Result<BTreeMap<PersonId, BTreeMap<SourceRef, String>>, Failure> {
    let mut all: BTreeMap<PersonId, BTreeMap<SourceRef, String>> = BTreeMap::new();
    let kept: BTreeMap<String, Kept> = app.store.run(|db| db.doc_all(MEMORY)).await?;
    let theirs = firm.pins.iter().filter(|(pin, p)| people.contains(p) && pin.source.kind == SourceKind::Ledger);
    for (pin, person) in theirs {
        let user = kept.get(&source_key(&pin.source)).and_then(|k| k.memory.users.get(&pin.user));
        let in_force = user.filter(|u| {
            let there = matches!(u.standing, Standing::Active | Standing::Pending);
            there && u.gone_at.is_none() && u.absent_since.is_none()
        });
        if let Some(user) = in_force {
            all.entry(*person).or_default().insert(pin.source.clone(), user.role.clone());
        }
    }
    Ok(all)
}

/// The vendors' role words as last listed, with how many users had each, by connection. Those who are gone do not count.
pub async fn roles_seen(app: &App) -> Result<BTreeMap<ConnectionName, BTreeMap<String, usize>>, Failure> {
    let kept: BTreeMap<String, Kept> = app.store.run(|db| db.doc_all(MEMORY)).await?;
    let mut seen: BTreeMap<ConnectionName, BTreeMap<String, usize>> = BTreeMap::new();
    for one in kept.values() {
        let roles = seen.entry(one.source.connection.clone()).or_default();
        for user in one.memory.users.values().filter(|u| u.gone_at.is_none() && !u.role.is_empty()) {
            *roles.entry(user.role.clone()).or_default() += 1;
        }
    }
    Ok(seen)
}

/// A source that this run did not read speaks as it last did.
fn recall(old: &Kept) -> Joined {
    Joined {
        source: old.source.clone(),
        name: old.name.clone(),
        grade: old.grade,
        facts: old.last.facts.iter().cloned().collect(),
        rest: old.last.rest,
        unknown_since: old.last.unknown_since,
        trouble: old.last.trouble.clone(),
        memory: old.memory.clone(),
        findings: vec![],
        reread_at: None,
        new_pins: vec![],
    }
}

/// A source whose connection was taken out of the configuration: nobody reads it any more, so it proves nothing any more. That
/// is kept as well, for how long it has been so counts.
fn out_of_reach(old: &Kept, now: Timestamp) -> Joined {
    let mut joined = recall(old);
    joined.memory = joined.memory.not_ahead_of(now);
    joined.silent(Why::Unreadable, now, "its connection is not in the configuration".to_owned());
    joined
}

#[expect(clippy::too_many_arguments, reason = "one transaction writes all of what a run learned")]
async fn save(
    app: &App,
    firm: &mut Firm,
    run: i64,
    readings: &BTreeMap<ConnectionName, ConnectionReading>,
    kept: &BTreeMap<String, Kept>,
    fresh: BTreeMap<String, Kept>,
    out: &mut JoinedAll,
    now: Timestamp,
) -> Result<(), Failure> {
    let stored = app.store.run(|db| db.firm()).await?;
    let mut after = stored.clone();
    for joined in &out.sources {
        after.pins.extend(joined.new_pins.iter().cloned());
    }
    out.proposals = propose_clients(&mut after, readings, &firm.policy.authority);
    firm.pins.clone_from(&after.pins);
    firm.clients.clone_from(&after.clients);

    let changed: Vec<_> = fresh
        .into_iter()
        .filter(|(key, new)| {
            kept.get(key).is_none_or(|old| old.memory != new.memory || old.last != new.last || old.name != new.name)
        })
        .collect();
    let facts: Vec<FactRow> = out
        .sources
        .iter()
        .filter(|j| out.read.contains(&j.source))
        .flat_map(|j| j.facts.iter().map(|(person, fact)| fact_row(j, person, fact, now)))
        .collect();
    // A list that is believed speaks of everybody, those it does not name included. One that is not says nothing new of them.
    let spoke = |j: &&Joined| out.read.contains(&j.source) && j.unknown_since.is_none();
    let rest: BTreeMap<SourceRef, FactValue> =
        out.sources.iter().filter(spoke).map(|j| (j.source.clone(), value(j.rest))).collect();
    let ledgers: Vec<(ConnectionName, Vec<LedgerRow>)> = readings
        .iter()
        // Only a whole listing of every sign-in says that a ledger is gone.
        .filter(|(_, r)| r.whole && r.troubles.is_empty() && !r.needs_sign_in)
        .map(|(name, r)| (name.clone(), r.ledgers.values().cloned().chain(lines(r)).collect()))
        .collect();
    app.store
        .run(move |db: &mut Db| {
            db.tx(|db| {
                for (key, new) in &changed {
                    db.doc_put(MEMORY, key, new)?;
                }
                db.record_lists(run, now, &facts, &rest)?;
                for (connection, rows) in &ledgers {
                    db.see_ledgers(connection, rows, now)?;
                }
                if stored != after {
                    db.save_firm_diff(&stored, &after)?;
                    for (source, (before, found)) in found(&stored, &after) {
                        let before = (!before.is_empty()).then_some(before);
                        db.audit(now, "firm.found", &source_key(source), before.as_ref(), Some(&found), None)?;
                    }
                }
                Ok::<_, StoreError>(())
            })
        })
        .await?;
    Ok(())
}

/// What a run changed of the firm by itself, source by source: clients that it proposes, and who its users are said to be. Before
/// and after, as every other change of the firm is told.
#[expect(clippy::type_complexity, reason = "named once, here")]
fn found<'f>(
    stored: &'f Firm,
    after: &'f Firm,
) -> BTreeMap<&'f SourceRef, (serde_json::Map<String, Value>, serde_json::Map<String, Value>)> {
    let mut all: BTreeMap<_, (serde_json::Map<_, _>, serde_json::Map<_, _>)> = BTreeMap::new();
    for (pin, person) in after.pins.iter().filter(|(pin, person)| stored.pins.get(pin) != Some(person)) {
        let (before, now) = all.entry(&pin.source).or_default();
        let key = format!("user {}", pin.user.as_str());
        before.extend(stored.pins.get(pin).map(|was| (key.clone(), json!(was))));
        now.insert(key, json!(person));
    }
    for client in after.clients.values().filter(|c| !stored.clients.contains_key(&c.id)) {
        for source in &client.sources {
            all.entry(source).or_default().1.insert(format!("client {}", client.id), json!(client));
        }
    }
    all
}

/// A directory's lines beside the ledgers, so that what is bound to one can be named.
fn lines(reading: &ConnectionReading) -> impl Iterator<Item = LedgerRow> {
    reading.directory.iter().flat_map(|d| d.rows.values()).map(|row| LedgerRow {
        id: row.id.as_str().into(),
        name: row.name.clone(),
        kind: "client".to_owned(),
        is_ledger: false,
    })
}

const fn value(why: Why) -> FactValue {
    match why.fact() {
        Fact::Granted => FactValue::Granted,
        Fact::Denied => FactValue::Denied,
        Fact::Unknown => FactValue::Unknown,
    }
}

fn fact_row(joined: &Joined, person: &PersonId, fact: &identity::PersonFact, now: Timestamp) -> FactRow {
    // Whoever two lists lack was gone at the first of them.
    let absent = || joined.memory.users.get(&fact.user).and_then(|u| u.absent_since);
    let since = (fact.why == Why::Gone).then(absent).flatten();
    FactRow {
        source: joined.source.clone(),
        subject: person.0.to_string(),
        value: value(fact.why),
        role: Some(fact.role.clone()).filter(|r| !r.is_empty()),
        // The vendor does not say when; it was so at the latest when we read it.
        true_from: since.map_or(now, |since| since.min(now)),
        exact: false,
    }
}

/// A ledger that no client is bound to becomes a proposed client, which gives nobody anything.
fn propose_clients(
    firm: &mut Firm,
    readings: &BTreeMap<ConnectionName, ConnectionReading>,
    authority: &Authority,
) -> Vec<Finding> {
    let bound: BTreeSet<(ConnectionName, LedgerId)> = firm
        .clients
        .values()
        .flat_map(|c| &c.sources)
        .filter(|s| s.kind == SourceKind::Ledger)
        .map(|s| (s.connection.clone(), LedgerId(s.id.clone())))
        .collect();
    // Ten thousand may come at once, on the first pull.
    let mut slugs: BTreeSet<String> = firm.clients.values().map(|c| c.slug.clone()).collect();
    for (connection, reading) in readings {
        for row in reading.ledgers.values().filter(|r| !bound.contains(&(connection.clone(), r.id.clone()))) {
            let source = SourceRef { connection: connection.clone(), kind: SourceKind::Ledger, id: row.id.0.clone() };
            let client = proposed(&slugs, &row.name, source, authority.clone());
            slugs.insert(client.slug.clone());
            firm.clients.insert(client.id, client);
        }
    }
    firm.clients
        .values()
        .filter(|c| c.state == ClientState::Proposed)
        .map(|c| {
            Finding::new(
                Severity::Notice,
                "client.proposed",
                format!("client/{}", c.id),
                format!("{} is connected and no client of the firm yet; nobody gets anything of it.", c.name),
                format!("ledgerward clients accept {}", c.slug),
            )
        })
        .collect()
}

fn proposed(slugs: &BTreeSet<String>, name: &str, source: SourceRef, authority: Authority) -> Client {
    let id = ledgerward_contract::ClientId(uuid::Uuid::now_v7());
    Client {
        id,
        slug: crate::domain::change::free_slug(|s| slugs.contains(s), name, id),
        name: name.to_owned(),
        state: ClientState::Proposed,
        private_to: None,
        sources: [source].into(),
        authority,
        unlisted: None,
        targets: None,
        accounts: None,
        year_end: None,
        statements_since: None,
    }
}

/// Tells the findings of a run. A scope is told only if all of it was looked at, so that nothing is resolved by not looking.
pub async fn findings(
    app: &App,
    run: i64,
    joined: &JoinedAll,
    lanes: Vec<Finding>,
    whole: bool,
    now: Timestamp,
) -> Result<(), Failure> {
    let mut by_source: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    for one in joined.sources.iter().filter(|j| joined.read.contains(&j.source)) {
        by_source.entry(source_key(&one.source)).or_default().extend(one.findings.iter().cloned());
    }
    by_source
        .extend(joined.counted.iter().map(|(ledger, found)| (format!("seats/{}", source_key(ledger)), found.clone())));
    if whole {
        by_source.insert("clients".to_owned(), joined.proposals.clone());
        by_source.insert("lanes".to_owned(), lanes);
    }
    app.store.run(move |db| db.sync_scopes(run, &by_source, now)).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
