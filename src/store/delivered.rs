//! Versions of statements, and the files that stand for them.

use std::collections::BTreeMap;

use ledgerward_contract::{FileId, Journalled, Tag, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::{
    db::{Db, from_us, us},
    error::{Result, StoreError},
    lanes::{key_from, key_of},
};
use crate::domain::lane::{Delivered, LaneKey};

/// One reading of a statement that differed from the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementVersion {
    pub key: String,
    /// From 1.
    pub version: u32,
    pub hash: String,
    pub first_read: Timestamp,
    /// The statement data as JSON, for comparing a restatement with what it replaces.
    pub data: String,
}

/// A file we put, with what is needed to replace it safely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveredFile {
    /// `key` is the file's key: statement, version and format of it. `content_hash` is the SHA-256 of the bytes sent.
    pub delivered: Delivered,
    pub version: u32,
    pub format: String,
    pub file: FileId,
    pub tag: Tag,
    pub size: u64,
}

impl Db {
    /// Takes a reading. Gives the version it is and whether that is new; the same content again is the same version, and
    /// writes nothing.
    pub fn statement_version(
        &mut self,
        key: &str,
        hash: &str,
        data: &str,
        read_at: Timestamp,
    ) -> Result<(StatementVersion, bool)> {
        self.tx(|db| {
            let last = db.statement_latest(key)?;
            if let Some(same) = last.as_ref().filter(|v| v.hash == hash) {
                return Ok((same.clone(), false));
            }
            let version = last.map_or(1, |v| v.version + 1);
            db.conn
                .prepare_cached(
                    "INSERT INTO statement (key, version, hash, data, first_read) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![key, version, hash, data, us(read_at)])?;
            let after = serde_json::json!({ "version": version, "hash": hash });
            db.audit(read_at, "statement.version", key, None::<&()>, Some(&after), None)?;
            let new = StatementVersion {
                key: key.to_owned(),
                version,
                hash: hash.to_owned(),
                first_read: read_at,
                data: data.to_owned(),
            };
            Ok((new, true))
        })
    }

    pub fn statement_latest(&self, key: &str) -> Result<Option<StatementVersion>> {
        self.statement_where(key, "version = (SELECT max(version) FROM statement WHERE key = ?1) AND ?2 = 0", 0)
    }

    /// The number of the newest version and when it was first read, without its content.
    pub fn statement_newest(&self, key: &str) -> Result<Option<(u32, Timestamp)>> {
        let row: Option<(u32, i64)> = self
            .conn
            .prepare_cached("SELECT version, first_read FROM statement WHERE key = ?1 ORDER BY version DESC LIMIT 1")?
            .query_row([key], |r| Ok((r.get(0)?, r.get(1)?)))
            .optional()?;
        row.map(|(version, at)| Ok((version, from_us(at)?))).transpose()
    }

    pub fn statement_at(&self, key: &str, version: u32) -> Result<Option<StatementVersion>> {
        self.statement_where(key, "version = ?2", version)
    }

    fn statement_where(&self, key: &str, what: &str, version: u32) -> Result<Option<StatementVersion>> {
        let sql = format!("SELECT version, hash, data, first_read FROM statement WHERE key = ?1 AND {what}");
        let row: Option<(u32, String, String, i64)> = self
            .conn
            .prepare_cached(&sql)?
            .query_row(params![key, version], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))
            .optional()?;
        row.map(|(version, hash, data, at)| {
            Ok(StatementVersion { key: key.to_owned(), version, hash, first_read: from_us(at)?, data })
        })
        .transpose()
    }

    /// The newest version of every statement: its key, the version, and when that was first read.
    pub fn statements(&self) -> Result<Vec<(String, u32, Timestamp)>> {
        let mut stmt = self.conn.prepare_cached(
            "SELECT key, version, first_read FROM statement s
             WHERE version = (SELECT max(version) FROM statement WHERE key = s.key) ORDER BY key",
        )?;
        let rows = stmt.query_map([], |r| Ok((r.get::<_, String>(0)?, r.get(1)?, r.get::<_, i64>(2)?)))?;
        rows.map(|r| r.map_err(Into::into).and_then(|(key, version, at)| Ok((key, version, from_us(at)?)))).collect()
    }

    /// [`Db::statements`] of one client, without the times: its id begins their keys.
    pub fn statements_of(&self, client: &str) -> Result<Vec<(String, u32)>> {
        let mut stmt = self.conn.prepare_cached(
            "SELECT key, max(version) FROM statement WHERE key >= ?1 || '|' AND key < ?1 || '}' GROUP BY key ORDER BY key",
        )?;
        let rows = stmt.query_map([client], |r| Ok((r.get(0)?, r.get(1)?)))?;
        rows.map(|r| r.map_err(Into::into)).collect()
    }

    pub(crate) fn save_delivered(
        &mut self,
        lane: i64,
        step: Journalled,
        file: &DeliveredFile,
        at: Timestamp,
    ) -> Result<()> {
        let d = &file.delivered;
        let size = i64::try_from(file.size).map_err(|_| StoreError::conflict("a file's size is out of range"))?;
        self.conn
            .prepare_cached(
                "INSERT INTO delivered (lane, key, version, format, path, file, tag, size, sha256, step, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                 ON CONFLICT (lane, key) DO UPDATE SET version = ?3, format = ?4, path = ?5, file = ?6, tag = ?7, size = ?8,
                 sha256 = ?9, step = ?10, at = ?11",
            )?
            .execute(params![
                lane,
                d.key.as_str(),
                file.version,
                file.format,
                d.path,
                file.file.as_str(),
                file.tag.as_str(),
                size,
                d.content_hash,
                step.row(),
                us(at)
            ])?;
        Ok(())
    }

    /// Every file we put, by lane, then by file key.
    pub fn delivered(&self) -> Result<BTreeMap<LaneKey, Vec<DeliveredFile>>> {
        let mut stmt = self.conn.prepare_cached(
            "SELECT l.target, l.client, l.account, d.key, d.path, d.sha256, d.version, d.format, d.file, d.tag, d.size
             FROM delivered d JOIN lane l ON l.id = d.lane ORDER BY d.lane, d.key",
        )?;
        let mut rows = stmt.query([])?;
        let mut all: BTreeMap<LaneKey, Vec<DeliveredFile>> = BTreeMap::new();
        while let Some(r) = rows.next()? {
            let lane = key_of(key_from(r, 0)?)?;
            let size: i64 = r.get(10)?;
            all.entry(lane.clone()).or_default().push(DeliveredFile {
                delivered: Delivered {
                    lane,
                    key: r.get::<_, String>(3)?.into(),
                    path: r.get(4)?,
                    content_hash: r.get(5)?,
                },
                version: r.get(6)?,
                format: r.get(7)?,
                file: FileId(r.get(8)?),
                tag: Tag(r.get(9)?),
                size: size.unsigned_abs(),
            });
        }
        Ok(all)
    }

    /// A file of ours is gone from the target, by somebody else's hand.
    pub fn delivered_lost(&mut self, lane: &LaneKey, key: &str, reason: &str, at: Timestamp) -> Result<()> {
        self.tx(|db| {
            let Some(id) = db.find_lane_id(lane)? else { return Ok(()) };
            db.conn.execute("DELETE FROM delivered WHERE lane = ?1 AND key = ?2", params![id, key])?;
            db.audit(at, "file.lost", key, None::<&()>, None::<&()>, Some(reason))
        })
    }
}
