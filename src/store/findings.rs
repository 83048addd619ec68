//! Findings with stable numbers: one number for as long as the fact lasts, and its history after that.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::{
    db::{Db, from_json, from_us, from_us_opt, to_json, us},
    error::{Result, StoreError},
};
use crate::domain::finding::Finding;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingRow {
    pub number: i64,
    pub scope: String,
    pub finding: Finding,
    pub opened: Timestamp,
    pub resolved: Option<Timestamp>,
    /// `gone` if it was not found any more, else who resolved it and why.
    pub how: Option<String>,
}

impl FindingRow {
    /// As people type it: `F-014`.
    pub fn label(&self) -> String {
        label(self.number)
    }
}

fn label(number: i64) -> String {
    format!("F-{number:03}")
}

/// What one evaluation changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindingsChange {
    pub opened: Vec<FindingRow>,
    pub resolved: Vec<FindingRow>,
}

const COLUMNS: &str = "number, scope, body, opened, resolved, how";
type Raw = (i64, String, String, i64, Option<i64>, Option<String>);

fn raw(r: &rusqlite::Row<'_>) -> rusqlite::Result<Raw> {
    Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?))
}

fn row((number, scope, body, opened, resolved, how): Raw) -> Result<FindingRow> {
    Ok(FindingRow {
        number,
        scope,
        finding: from_json(&body, "a finding")?,
        opened: from_us(opened)?,
        resolved: from_us_opt(resolved)?,
        how,
    })
}

impl Db {
    /// The result of evaluating `scope` completely: what is in `found` is open, what was open in this scope and is not in
    /// it is resolved. A scope that could not be evaluated must not be synced. The same fact in two scopes is one finding,
    /// kept by the scope that found it last.
    pub fn sync_findings(&mut self, run: i64, scope: &str, found: &[Finding], at: Timestamp) -> Result<FindingsChange> {
        self.sync_scopes(run, &[(scope.to_owned(), found.to_vec())].into(), at)
    }

    /// [`Db::sync_findings`] for many scopes in one transaction, at the price of one look at what is open.
    pub fn sync_scopes(
        &mut self,
        run: i64,
        scopes: &BTreeMap<String, Vec<Finding>>,
        at: Timestamp,
    ) -> Result<FindingsChange> {
        self.tx(|db| {
            let mut open: BTreeMap<_, _> = db
                .open_findings()?
                .into_iter()
                .map(|r| ((r.finding.code.clone(), r.finding.subject.clone()), r))
                .collect();
            let mut seen = BTreeSet::new();
            let mut change = FindingsChange::default();
            for (scope, found) in scopes {
                for finding in found {
                    let key = (finding.code.clone(), finding.subject.clone());
                    match open.get_mut(&key) {
                        Some(old) => {
                            db.refresh_finding(old, scope, finding)?;
                            old.scope.clone_from(scope);
                        }
                        None => {
                            let row = db.open_finding(run, scope, finding, at)?;
                            change.opened.push(row.clone());
                            open.insert(key.clone(), row);
                        }
                    }
                    seen.insert(key);
                }
            }
            for (_, old) in open.iter().filter(|(k, old)| scopes.contains_key(&old.scope) && !seen.contains(*k)) {
                change.resolved.push(db.close_finding(old, "gone", at)?);
            }
            Ok(change)
        })
    }

    fn refresh_finding(&mut self, old: &FindingRow, scope: &str, finding: &Finding) -> Result<()> {
        let finding = Finding { since: finding.since.or(old.finding.since), ..(*finding).clone() };
        if old.scope != scope || old.finding != finding {
            self.conn
                .prepare_cached("UPDATE finding SET scope = ?2, body = ?3 WHERE number = ?1")?
                .execute(params![old.number, scope, to_json(&finding)?])?;
        }
        Ok(())
    }

    fn open_finding(&mut self, run: i64, scope: &str, finding: &Finding, at: Timestamp) -> Result<FindingRow> {
        let finding = Finding { since: finding.since.or(Some(at)), ..finding.clone() };
        self.conn
            .prepare_cached(
                "INSERT INTO finding (scope, code, subject, body, opened, run) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![scope, finding.code, finding.subject, to_json(&finding)?, us(at), run])?;
        let number = self.conn.last_insert_rowid();
        self.audit(at, "finding.open", &label(number), None::<&()>, Some(&finding), None)?;
        Ok(FindingRow { number, scope: scope.to_owned(), finding, opened: at, resolved: None, how: None })
    }

    fn close_finding(&mut self, old: &FindingRow, how: &str, at: Timestamp) -> Result<FindingRow> {
        self.conn.prepare_cached("UPDATE finding SET resolved = ?2, how = ?3 WHERE number = ?1")?.execute(params![
            old.number,
            us(at),
            how
        ])?;
        self.audit(at, "finding.resolve", &old.label(), None::<&()>, None::<&()>, Some(how))?;
        Ok(FindingRow { resolved: Some(at), how: Some(how.to_owned()), ..old.clone() })
    }

    pub fn open_findings(&self) -> Result<Vec<FindingRow>> {
        let mut stmt = self
            .conn
            .prepare_cached(&format!("SELECT {COLUMNS} FROM finding WHERE resolved IS NULL ORDER BY number"))?;
        let rows = stmt.query_map([], raw)?;
        rows.map(|r| r.map_err(StoreError::from).and_then(row)).collect()
    }

    /// The newest findings, resolved ones included.
    pub fn findings(&self, limit: u32) -> Result<Vec<FindingRow>> {
        let mut stmt =
            self.conn.prepare_cached(&format!("SELECT {COLUMNS} FROM finding ORDER BY number DESC LIMIT ?1"))?;
        let rows = stmt.query_map([limit], raw)?;
        rows.map(|r| r.map_err(StoreError::from).and_then(row)).collect()
    }

    pub fn finding(&self, number: i64) -> Result<Option<FindingRow>> {
        self.conn
            .query_row(&format!("SELECT {COLUMNS} FROM finding WHERE number = ?1"), [number], raw)
            .optional()?
            .map(row)
            .transpose()
    }

    /// A person says that it is settled. If the next run finds it again, it opens again under a new number.
    pub fn resolve_finding(&mut self, number: i64, reason: &str, at: Timestamp) -> Result<FindingRow> {
        self.tx(|db| {
            let old = db.finding(number)?.filter(|f| f.resolved.is_none());
            let old = old.ok_or_else(|| StoreError::conflict(format!("{} is not open", label(number))))?;
            let how = format!("{}: {reason}", db.actor().name);
            db.close_finding(&old, &how, at)
        })
    }
}
