//! What sources said, with both of its times (`decisions` 28): since when it is so, and when we believed it.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{SourceRef, Timestamp};
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::{
    db::{Db, from_us, from_us_opt, from_word, to_word, us},
    error::Result,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactValue {
    Granted,
    Denied,
    Unknown,
}

/// One source's word about one subject.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FactRow {
    pub source: SourceRef,
    /// A person's id, or the provider's user id where nobody is pinned to it. The caller keeps the two apart by a prefix.
    pub subject: String,
    pub value: FactValue,
    /// The vendor's word for the role.
    pub role: Option<String>,
    /// Since when it is so: the source's own time if `exact`, else when we first read it.
    pub true_from: Timestamp,
    pub exact: bool,
}

/// A fact as it was believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenFact {
    pub fact: FactRow,
    pub seen_from: Timestamp,
    /// `None`: still believed.
    pub seen_to: Option<Timestamp>,
    pub run: i64,
}

/// By source, the subjects that it did not deny.
pub type Upheld = BTreeMap<SourceRef, BTreeSet<String>>;

const COLUMNS: &str =
    "connection, kind, source, subject, value, role, true_from, true_from_exact, seen_from, seen_to, run";

type Raw = ((String, String, String), (String, String, Option<String>), (i64, bool), (i64, Option<i64>, i64));

fn raw(r: &rusqlite::Row<'_>) -> rusqlite::Result<Raw> {
    Ok((
        (r.get(0)?, r.get(1)?, r.get(2)?),
        (r.get(3)?, r.get(4)?, r.get(5)?),
        (r.get(6)?, r.get(7)?),
        (r.get(8)?, r.get(9)?, r.get(10)?),
    ))
}

fn seen(
    ((connection, kind, id), (subject, value, role), (from, exact), (seen_from, seen_to, run)): Raw,
) -> Result<SeenFact> {
    Ok(SeenFact {
        fact: FactRow {
            source: SourceRef { connection: connection.into(), kind: from_word(&kind, "a kind of source")?, id },
            subject,
            value: from_word(&value, "a fact")?,
            role,
            true_from: from_us(from)?,
            exact,
        },
        seen_from: from_us(seen_from)?,
        seen_to: from_us_opt(seen_to)?,
        run,
    })
}

impl Db {
    /// Records what a run read, where it differs from what is believed. Gives the number of changes. What is not in `rows`
    /// stays believed: an unread source says nothing.
    pub fn record_facts(&mut self, run: i64, at: Timestamp, rows: &[FactRow]) -> Result<usize> {
        self.record_lists(run, at, rows, &BTreeMap::new())
    }

    /// The same with sources that spoke as a whole (`rest`): what they say of everybody who is not in `rows` is so for whoever
    /// they named before, too, such as somebody whose user is another person's now.
    pub fn record_lists(
        &mut self,
        run: i64,
        at: Timestamp,
        rows: &[FactRow],
        rest: &BTreeMap<SourceRef, FactValue>,
    ) -> Result<usize> {
        self.tx(|db| {
            let mut open = db.facts_now()?;
            let mut told = |row: &FactRow| {
                let old = open.remove(&(row.source.clone(), row.subject.clone()));
                old.is_some_and(|o| o.value == row.value && o.role == row.role && (o.true_from == row.true_from || !row.exact))
            };
            let named: Vec<&FactRow> = rows.iter().filter(|row| !told(row)).collect();
            let by_rest = |old: FactRow| {
                let value = *rest.get(&old.source)?;
                (old.value != value).then_some(FactRow { value, role: None, true_from: at, exact: false, ..old })
            };
            let unnamed: Vec<FactRow> = open.into_values().filter_map(by_rest).collect();
            let mut changed = 0;
            for row in named.into_iter().chain(&unnamed) {
                let kind = to_word(&row.source.kind)?;
                let (connection, source) = (row.source.connection.as_str(), &row.source.id);
                // With the clock set back, what is learned now was still learned after what was believed.
                let before: Option<i64> = db
                    .conn
                    .prepare_cached(
                        "SELECT seen_from FROM fact WHERE connection = ?1 AND kind = ?2 AND source = ?3 AND subject = ?4 AND seen_to IS NULL",
                    )?
                    .query_row(params![connection, kind, source, row.subject], |r| r.get(0))
                    .optional()?;
                let seen = before.map_or(us(at), |before| us(at).max(before));
                db.conn
                    .prepare_cached(
                        "UPDATE fact SET seen_to = ?5 WHERE connection = ?1 AND kind = ?2 AND source = ?3 AND subject = ?4 AND seen_to IS NULL",
                    )?
                    .execute(params![connection, kind, source, row.subject, seen])?;
                db.conn
                    .prepare_cached(
                        "INSERT INTO fact (connection, kind, source, subject, value, role, true_from, true_from_exact, seen_from, run)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                    )?
                    .execute(params![
                        connection, kind, source, row.subject, to_word(&row.value)?, row.role, us(row.true_from), row.exact, seen, run
                    ])?;
                changed += 1;
            }
            if changed > 0 {
                let after = serde_json::json!({ "changed": changed });
                db.audit(at, "facts.record", &format!("run {run}"), None::<&()>, Some(&after), None)?;
            }
            Ok(changed)
        })
    }

    /// What is believed now, by source and subject.
    pub fn facts_now(&self) -> Result<BTreeMap<(SourceRef, String), FactRow>> {
        let mut stmt = self.conn.prepare_cached(&format!("SELECT {COLUMNS} FROM fact WHERE seen_to IS NULL"))?;
        let rows = stmt.query_map([], raw)?;
        rows.map(|r| {
            let fact = seen(r?)?.fact;
            Ok(((fact.source.clone(), fact.subject.clone()), fact))
        })
        .collect()
    }

    /// What is believed about one subject, a line a source. A source that cannot be read any more stays as it last was.
    pub fn facts_of(&self, subject: &str) -> Result<Vec<FactRow>> {
        let mut stmt =
            self.conn.prepare_cached(&format!("SELECT {COLUMNS} FROM fact WHERE subject = ?1 AND seen_to IS NULL"))?;
        let rows = stmt.query_map([subject], raw)?;
        rows.map(|r| Ok(seen(r?)?.fact)).collect()
    }

    /// Whom each source named at `t`, as we believed it then, and did not deny. Somebody who was unknown for an hour counts:
    /// what rests on a source's word goes on resting on it.
    pub fn upheld_at(&self, t: Timestamp) -> Result<Upheld> {
        let mut stmt = self.conn.prepare_cached(
            "SELECT connection, kind, source, subject FROM fact
             WHERE value <> 'denied' AND seen_from <= ?1 AND (seen_to IS NULL OR seen_to > ?1)",
        )?;
        let mut rows = stmt.query([us(t)])?;
        let mut all = Upheld::new();
        while let Some(r) = rows.next()? {
            let (connection, kind, id): (String, String, String) = (r.get(0)?, r.get(1)?, r.get(2)?);
            let source = SourceRef { connection: connection.into(), kind: from_word(&kind, "a kind of source")?, id };
            all.entry(source).or_default().insert(r.get(3)?);
        }
        Ok(all)
    }

    /// What we believed at `known_at` about the state of things at `true_at`: of what was learned by then, the latest word
    /// that applies to that time. Learned last is what was written last, whatever the clock said. Of one and the same time, what
    /// was not believed any more then says nothing.
    pub fn facts_at(&self, true_at: Timestamp, known_at: Timestamp) -> Result<Vec<SeenFact>> {
        let mut stmt = self.conn.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM (
               SELECT *, row_number() OVER (PARTITION BY connection, kind, source, subject ORDER BY id DESC) AS n
               FROM fact WHERE seen_from <= ?2 AND true_from <= ?1
                 AND (?1 <> ?2 OR seen_to IS NULL OR seen_to > ?2))
             WHERE n = 1 ORDER BY connection, kind, source, subject"
        ))?;
        let rows = stmt.query_map(params![us(true_at), us(known_at)], raw)?;
        rows.map(|r| r.map_err(Into::into).and_then(seen)).collect()
    }
}
