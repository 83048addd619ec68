//! Gate G6: a connection whose list of ledgers or clients is suddenly a different one. Another firm's data, or a vendor's
//! renumbering, must not decide who sees what: what rests on that connection waits until a person says that the list is right
//! (`roster accept`). Compared is with the last list that was believed, and only where clients of the firm are bound.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ClientId, ConnectionName, SourceKind, SourceRef, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{
        finding::{Finding, Severity},
        firm::{ClientState, Firm},
        guard::Limit,
    },
    gather::ConnectionReading,
};

const MEMORY: &str = "churn";

/// The names of what clients are bound to, as last believed, and why the list after it is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Believed {
    names: BTreeMap<String, String>,
    doubt: Option<Doubt>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Doubt {
    why: String,
    since: Timestamp,
}

/// Why a connection's list is not believed, by connection. Lists that are believed are remembered.
pub async fn doubts(
    app: &App,
    firm: &Firm,
    readings: &BTreeMap<ConnectionName, ConnectionReading>,
    now: Timestamp,
) -> Result<BTreeMap<ConnectionName, String>, Failure> {
    let kept: BTreeMap<String, Believed> = app.store.run(|db| db.doc_all(MEMORY)).await?;
    let limit = crate::engine::guards(&app.config.guards).churn;
    // A connection that this run does not read is as doubtful as it was.
    let mut doubts: BTreeMap<ConnectionName, String> = kept
        .iter()
        .filter_map(|(name, b)| Some((ConnectionName::from(name.clone()), b.doubt.as_ref()?.why.clone())))
        .filter(|(name, _)| app.config.connections.contains_key(name))
        .collect();
    let mut fresh = Vec::new();
    for (connection, reading) in readings.iter().filter(|(_, r)| r.whole && r.troubles.is_empty() && !r.needs_sign_in) {
        let old = kept.get(connection.as_str()).cloned().unwrap_or_default();
        let new = judge(&old, &bound(firm, connection), &listed(reading), limit, now);
        match &new.doubt {
            Some(doubt) => doubts.insert(connection.clone(), doubt.why.clone()),
            None => doubts.remove(connection),
        };
        if new != old {
            fresh.push((connection.as_str().to_owned(), new));
        }
    }
    if !fresh.is_empty() {
        app.store.run(move |db| fresh.iter().try_for_each(|(name, b)| db.doc_put(MEMORY, name, b))).await?;
    }
    Ok(doubts)
}

fn key(source: SourceKind, id: &str) -> String {
    format!("{}/{id}", if source == SourceKind::Ledger { "ledger" } else { "client" })
}

fn bound(firm: &Firm, connection: &ConnectionName) -> BTreeSet<String> {
    let live = firm.clients.values().filter(|c| matches!(c.state, ClientState::Active | ClientState::Archived));
    let sources = live.flat_map(|c| &c.sources).filter(|s| s.connection == *connection);
    sources.map(|s: &SourceRef| key(s.kind, &s.id)).collect()
}

fn listed(reading: &ConnectionReading) -> BTreeMap<String, &str> {
    let ledgers = reading.ledgers.values().map(|r| (key(SourceKind::Ledger, r.id.as_str()), r.name.as_str()));
    let rows = reading.directory.iter().flat_map(|d| d.rows.values().map(|r| (key(d.kind, &r.id), r.name.as_str())));
    ledgers.chain(rows).collect()
}

fn judge(
    old: &Believed,
    bound: &BTreeSet<String>,
    list: &BTreeMap<String, &str>,
    limit: Limit,
    now: Timestamp,
) -> Believed {
    let known: BTreeMap<&String, &String> = old.names.iter().filter(|(id, _)| bound.contains(*id)).collect();
    let old_names: BTreeSet<&str> = known.values().map(|n| n.as_str()).collect();
    let gone = known.keys().filter(|id| !list.contains_key(**id)).count();
    let renamed = known.iter().filter(|(id, name)| list.get(**id).is_some_and(|now| *now != name.as_str())).count();
    // A name that moved to an id nobody knew: the client is gone under its old one.
    let moved = list.iter().filter(|(id, name)| !old.names.contains_key(*id) && old_names.contains(**name)).count();
    if !limit.trips((gone + renamed) as u64, known.len() as u64) {
        let names = bound.iter().filter_map(|id| Some((id.clone(), (*list.get(id)?).to_owned()))).collect();
        return Believed { names, doubt: None };
    }
    let why = format!(
        "of {} clients that are bound to it, {gone} are gone from its list ({} of those names came back under another id) and {renamed} have another name",
        known.len(),
        moved.min(gone)
    );
    let since = old.doubt.as_ref().map_or(now, |d| d.since);
    Believed { names: old.names.clone(), doubt: Some(Doubt { why, since }) }
}

/// What the guard needs: the clients that hang on a doubtful connection, with its name and why.
pub fn clients(firm: &Firm, doubts: &BTreeMap<ConnectionName, String>) -> BTreeMap<ClientId, (String, String)> {
    if doubts.is_empty() {
        return BTreeMap::new();
    }
    let doubtful = |c: &crate::domain::firm::Client| {
        c.sources.iter().find_map(|s| Some((s.connection.to_string(), doubts.get(&s.connection)?.clone())))
    };
    firm.clients.values().filter_map(|c| Some((c.id, doubtful(c)?))).collect()
}

pub fn findings(doubts: &BTreeMap<ConnectionName, String>) -> impl Iterator<Item = Finding> {
    doubts.iter().map(|(connection, why)| {
        Finding::new(
            Severity::Urgent,
            "connection.churn",
            connection.as_str().to_owned(),
            format!("{connection}: {why}. Whatever it would change waits."),
            format!("if the list is right: ledgerward roster accept {connection} --reason …"),
        )
    })
}

/// A person looked at the list and says that it is right. Gives why it was not believed, if it was not.
pub async fn accept(app: &App, connection: &ConnectionName, reason: &str) -> Result<Option<String>, Failure> {
    let (name, reason, now) = (connection.as_str().to_owned(), reason.to_owned(), app.now());
    let why = app
        .store
        .run(move |db| {
            db.tx(|db| {
                let Some(before) = db.doc_get::<Believed>(MEMORY, &name)? else { return Ok(None) };
                let Some(doubt) = &before.doubt else { return Ok(None) };
                db.doc_delete(MEMORY, &name)?;
                db.audit(now, "connection.accept", &name, Some(doubt), None::<&()>, Some(&reason))?;
                Ok(Some(doubt.why.clone()))
            })
        })
        .await?;
    Ok(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(id, name)| (format!("ledger/{id}"), (*name).to_owned())).collect()
    }

    fn after(old: &Believed, list: &[(&str, &str)]) -> Believed {
        let list = names(list);
        let list = list.iter().map(|(id, name)| (id.clone(), name.as_str())).collect();
        let bound = names(&[("a", ""), ("b", ""), ("c", ""), ("d", "")]).into_keys().collect();
        judge(old, &bound, &list, Limit { floor: 2, percent: 10 }, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn p24_another_firms_list_is_not_believed_and_stays_so_until_the_old_one_is_back() {
        let ours = [("a", "Acme"), ("b", "Birch"), ("c", "Cedar"), ("d", "Dune"), ("x", "nobody's")];
        let first = after(&Believed::default(), &ours);
        assert!(first.doubt.is_none() && first.names.len() == 4, "{first:?}");
        let two = after(&first, &[("a", "Acme Ltd"), ("b", "Birch"), ("c", "Cedar")]);
        assert!(two.doubt.is_none(), "a rename and a disconnected client are a day like any other");
        let other = after(&first, &[("a", "Zinc"), ("b", "Yarrow"), ("e", "Cedar")]);
        let why = &other.doubt.as_ref().unwrap().why;
        assert!(why.contains("2 are gone") && why.contains("(1 of those") && why.contains("2 have"), "{why}");
        assert_eq!(other.names, first.names, "what was believed is not forgotten");
        let again = after(&other, &[("a", "Zinc"), ("b", "Yarrow"), ("e", "Cedar")]);
        assert!(again.doubt.is_some(), "the second look does not make it true");
        assert_eq!(after(&again, &ours), first, "the right list is back");
    }
}
