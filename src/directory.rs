//! Practice managers and rosters: whether a list is believed, and which of its lines may be which client.
//!
//! A list that is suddenly much shorter is more often half an export than half a firm: it is held until a person says that
//! it is right (`roster accept`). A line becomes a client's source only by `clients bind`; here it is only proposed.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ClientRow, ConnectionName, SourceKind, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{
        finding::{Finding, Severity},
        firm::{ClientState, Firm},
    },
    gather::{ConnectionReading, Directory},
};

const MEMORY: &str = "directory";

/// The last list that was believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Believed {
    /// Pairs of a client and a person.
    pub pairs: usize,
    pub clients: usize,
    pub at: Option<Timestamp>,
    /// Pairs of a shorter list that a person said is right. It is believed down to this.
    pub accepted: Option<usize>,
}

fn pairs(rows: &BTreeMap<String, ClientRow>) -> usize {
    rows.values().map(|r| r.people.len()).sum()
}

/// Why a connection's list is not believed, by connection. The lists that are believed are remembered.
pub async fn doubts(
    app: &App,
    readings: &BTreeMap<ConnectionName, ConnectionReading>,
    now: Timestamp,
) -> Result<BTreeMap<ConnectionName, String>, Failure> {
    let lists: Vec<_> = readings.iter().filter_map(|(name, r)| r.directory.as_ref().map(|d| (name, &d.rows))).collect();
    if lists.is_empty() {
        return Ok(BTreeMap::new());
    }
    let kept: BTreeMap<String, Believed> = app.store.run(|db| db.doc_all(MEMORY)).await?;
    let (mut doubts, mut fresh) = (BTreeMap::new(), Vec::new());
    for (name, rows) in lists {
        let old = kept.get(name.as_str()).cloned().unwrap_or_default();
        let count = pairs(rows);
        if shrunk(old.pairs, count) && old.accepted.is_none_or(|a| count < a) {
            let when = old.at.map_or_else(String::new, |t| format!(" at {t}"));
            doubts.insert(
                name.clone(),
                format!(
                    "its list names {count} people of {} clients, and named {} of {}{when}; a third less is not believed by itself",
                    rows.len(),
                    old.pairs,
                    old.clients
                ),
            );
            continue;
        }
        let new = Believed { pairs: count, clients: rows.len(), at: Some(now), accepted: None };
        // The time alone is not worth a write in each of a day's runs.
        if (new.pairs, new.clients, new.accepted) != (old.pairs, old.clients, old.accepted) {
            fresh.push((name.as_str().to_owned(), new));
        }
    }
    if !fresh.is_empty() {
        app.store.run(move |db| fresh.iter().try_for_each(|(name, b)| db.doc_put(MEMORY, name, b))).await?;
    }
    Ok(doubts)
}

/// Shorter by more than a third. Small lists change by more than that on any day.
fn shrunk(before: usize, now: usize) -> bool {
    before >= 6 && now * 3 < before * 2
}

/// What is believed of a connection's list, for `roster`.
pub async fn believed(app: &App, connection: &ConnectionName) -> Result<Option<Believed>, Failure> {
    let name = connection.as_str().to_owned();
    let mut kept: BTreeMap<String, Believed> = app.store.run(|db| db.doc_all(MEMORY)).await?;
    Ok(kept.remove(&name))
}

/// A person looked at a shorter list of `count` pairs and says that it is right.
pub async fn accept(app: &App, connection: &ConnectionName, count: usize, reason: &str) -> Result<(), Failure> {
    let mut new = believed(app, connection).await?.unwrap_or_default();
    let before = new.clone();
    new.accepted = Some(count);
    let (name, reason, now) = (connection.as_str().to_owned(), reason.to_owned(), app.now());
    app.store
        .run(move |db| {
            db.tx(|db| {
                db.doc_put(MEMORY, &name, &new)?;
                db.audit(now, "directory.accept", &name, Some(&before), Some(&new), Some(&reason))
            })
        })
        .await?;
    Ok(())
}

/// Lines that nobody is bound to, with the client each may be. Never more than a proposal: an id that the practice manager
/// itself holds is a good one, an equal name is one to look at.
pub fn links(firm: &Firm, readings: &BTreeMap<ConnectionName, ConnectionReading>) -> Vec<Finding> {
    let bound: BTreeSet<(&ConnectionName, &str)> =
        firm.clients.values().flat_map(|c| &c.sources).map(|s| (&s.connection, s.id.as_str())).collect();
    let live = || firm.clients.values().filter(|c| c.state != ClientState::Closed && c.private_to.is_none());
    let by_ledger: BTreeMap<&str, _> = live().flat_map(|c| c.sources.iter().map(move |s| (s.id.as_str(), c))).collect();
    let mut by_name: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for client in live() {
        by_name.entry(client.name.trim().to_lowercase()).or_default().push(client);
    }
    let mut found = Vec::new();
    for (connection, reading) in readings {
        let Some(Directory { kind, rows }) = &reading.directory else { continue };
        let kind = if *kind == SourceKind::Roster { "roster" } else { "practice-client" };
        let mut unlinked = 0;
        for row in rows.values().filter(|r| r.active && !bound.contains(&(connection, r.id.as_str()))) {
            let by_id = row.ledgers.iter().find_map(|id| by_ledger.get(id.as_str()).copied());
            let same_name = || match by_name.get(&row.name.trim().to_lowercase()).map(Vec::as_slice) {
                Some([one]) => Some(*one),
                _ => None,
            };
            let (client, why) = match (by_id, same_name()) {
                (Some(client), _) => (client, "names the id of a ledger of"),
                (None, Some(client)) => (client, "has the same name as"),
                (None, None) => {
                    unlinked += 1;
                    continue;
                }
            };
            found.push(Finding::new(
                Severity::Notice,
                "directory.link",
                format!("{connection}/{}", row.id),
                format!("{} in {connection} {why} {}; it is bound to no client yet.", row.name, client.slug),
                format!("ledgerward clients bind {} {connection} {} --kind {kind}", client.slug, row.id),
            ));
        }
        if unlinked > 0 {
            found.push(Finding::new(
                Severity::Notice,
                "directory.unlinked",
                connection.as_str().to_owned(),
                format!("{unlinked} clients of {connection} are linked to no client here; they decide nothing."),
                format!("ledgerward roster {connection}"),
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_less_is_held_and_small_lists_are_not() {
        assert!(shrunk(300, 199) && shrunk(6, 3) && shrunk(6, 0));
        assert!(!shrunk(300, 200) && !shrunk(300, 300) && !shrunk(0, 0) && !shrunk(5, 1));
    }
}
