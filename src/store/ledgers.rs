//! Ledgers that sign-ins can reach, and their bank accounts, as last read.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ConnectionName, LedgerAccount, LedgerId, LedgerProfile, LedgerRow, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::{
    db::{Db, from_json, from_us, from_us_opt, to_json, us},
    error::Result,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerSeen {
    pub connection: ConnectionName,
    pub row: LedgerRow,
    /// `None`: not read yet.
    pub profile: Option<LedgerProfile>,
    pub first_seen: Timestamp,
    /// To the hour: a cycle in which nothing changed writes nothing.
    pub last_seen: Timestamp,
    /// Since when complete listings do not name it any more.
    pub lost_since: Option<Timestamp>,
}

const HOUR_US: i64 = 3_600_000_000;

impl Db {
    /// Takes a complete listing of a connection's ledgers. One that is not in it is lost from now on, and kept.
    pub fn see_ledgers(&mut self, connection: &ConnectionName, listed: &[LedgerRow], at: Timestamp) -> Result<()> {
        self.tx(|db| {
            let name = connection.as_str();
            let known: BTreeMap<LedgerId, LedgerSeen> =
                db.ledgers(Some(connection))?.into_iter().map(|k| (k.row.id.clone(), k)).collect();
            let ids: BTreeSet<&LedgerId> = listed.iter().map(|l| &l.id).collect();
            for row in listed {
                let old = known.get(&row.id);
                if old.is_some_and(|o| {
                    o.row == *row && o.lost_since.is_none() && us(at).saturating_sub(us(o.last_seen)) < HOUR_US
                }) {
                    continue;
                }
                let values = params![name, row.id.as_str(), row.name, row.kind, row.is_ledger, us(at)];
                db.conn.prepare_cached(
                    "INSERT INTO ledger (connection, id, name, kind, is_ledger, first_seen, last_seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
                     ON CONFLICT (connection, id) DO UPDATE SET name = ?3, kind = ?4, is_ledger = ?5, last_seen = ?6, lost_since = NULL",
                )?.execute(values)?;
                if old.is_none_or(|o| o.lost_since.is_some()) {
                    db.audit(at, "ledger.found", &format!("{name}/{}", row.id), None::<&()>, Some(row), None)?;
                }
            }
            for gone in known.values().filter(|k| k.lost_since.is_none() && !ids.contains(&k.row.id)) {
                db.conn
                    .prepare_cached("UPDATE ledger SET lost_since = ?3 WHERE connection = ?1 AND id = ?2")?
                    .execute(params![name, gone.row.id.as_str(), us(at)])?;
                db.audit(at, "ledger.lost", &format!("{name}/{}", gone.row.id), Some(&gone.row), None::<&()>, None)?;
            }
            Ok(())
        })
    }

    /// All of one connection, or of all.
    pub fn ledgers(&self, connection: Option<&ConnectionName>) -> Result<Vec<LedgerSeen>> {
        let mut stmt = self.conn.prepare_cached(
            "SELECT connection, id, name, kind, is_ledger, profile, first_seen, last_seen, lost_since FROM ledger
             WHERE ?1 IS NULL OR connection = ?1 ORDER BY connection, id",
        )?;
        let mut rows = stmt.query([connection.map(ConnectionName::as_str)])?;
        let mut all = Vec::new();
        while let Some(r) = rows.next()? {
            let profile: Option<String> = r.get(5)?;
            all.push(LedgerSeen {
                connection: r.get::<_, String>(0)?.into(),
                row: LedgerRow {
                    id: r.get::<_, String>(1)?.into(),
                    name: r.get(2)?,
                    kind: r.get(3)?,
                    is_ledger: r.get(4)?,
                },
                profile: profile.map(|t| from_json(&t, "a ledger's profile")).transpose()?,
                first_seen: from_us(r.get(6)?)?,
                last_seen: from_us(r.get(7)?)?,
                lost_since: from_us_opt(r.get(8)?)?,
            });
        }
        Ok(all)
    }

    pub fn set_profile(
        &mut self,
        connection: &ConnectionName,
        ledger: &LedgerId,
        profile: &LedgerProfile,
    ) -> Result<()> {
        self.set_ledger_text(connection, ledger, "profile", &to_json(profile)?)
    }

    /// The bank accounts of a ledger, from a complete listing.
    pub fn set_accounts(
        &mut self,
        connection: &ConnectionName,
        ledger: &LedgerId,
        accounts: &[LedgerAccount],
    ) -> Result<()> {
        self.set_ledger_text(connection, ledger, "accounts", &to_json(accounts)?)
    }

    fn set_ledger_text(
        &mut self,
        connection: &ConnectionName,
        ledger: &LedgerId,
        column: &'static str,
        text: &str,
    ) -> Result<()> {
        self.tx(|db| {
            db.conn.execute(
                &format!("UPDATE ledger SET {column} = ?3 WHERE connection = ?1 AND id = ?2 AND {column} IS NOT ?3"),
                params![connection.as_str(), ledger.as_str(), text],
            )?;
            Ok(())
        })
    }

    /// `None`: not read yet, which is not "none".
    pub fn accounts(&self, connection: &ConnectionName, ledger: &LedgerId) -> Result<Option<Vec<LedgerAccount>>> {
        let text: Option<Option<String>> = self
            .conn
            .prepare_cached("SELECT accounts FROM ledger WHERE connection = ?1 AND id = ?2")?
            .query_row(params![connection.as_str(), ledger.as_str()], |r| r.get(0))
            .optional()?;
        text.flatten().map(|t| from_json(&t, "a ledger's accounts")).transpose()
    }
}
