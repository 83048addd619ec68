//! Small memory of the machinery, as documents: cursors, watermarks of targets, what a source last said. Not for anything
//! that a person decides: those have tables and audit rows.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    db::{Db, from_json, to_json},
    error::Result,
};

impl Db {
    pub fn doc_get<T: DeserializeOwned>(&self, kind: &str, key: &str) -> Result<Option<T>> {
        let text: Option<String> = self
            .conn
            .prepare_cached("SELECT body FROM doc WHERE kind = ?1 AND key = ?2")?
            .query_row([kind, key], |r| r.get(0))
            .optional()?;
        text.map(|t| from_json(&t, kind)).transpose()
    }

    /// Writes only what differs: a cycle in which nothing changed writes nothing.
    pub fn doc_put<T: Serialize + ?Sized>(&mut self, kind: &str, key: &str, value: &T) -> Result<()> {
        let body = to_json(value)?;
        self.tx_one(|db| {
            db.conn
                .prepare_cached(
                    "INSERT INTO doc (kind, key, body) VALUES (?1, ?2, ?3)
                     ON CONFLICT (kind, key) DO UPDATE SET body = ?3 WHERE body != ?3",
                )?
                .execute(params![kind, key, body])?;
            Ok(())
        })
    }

    /// False if there was none.
    pub fn doc_delete(&mut self, kind: &str, key: &str) -> Result<bool> {
        self.tx_one(|db| {
            let mut stmt = db.conn.prepare_cached("DELETE FROM doc WHERE kind = ?1 AND key = ?2")?;
            Ok(stmt.execute([kind, key])? > 0)
        })
    }

    pub fn doc_all<T: DeserializeOwned>(&self, kind: &str) -> Result<BTreeMap<String, T>> {
        let mut stmt = self.conn.prepare_cached("SELECT key, body FROM doc WHERE kind = ?1")?;
        let rows = stmt.query_map([kind], |r| Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?)))?;
        rows.map(|r| {
            let (key, body) = r?;
            Ok((key, from_json(&body, kind)?))
        })
        .collect()
    }

    /// Makes the documents of a kind exactly these.
    pub fn doc_replace_all<T: Serialize>(&mut self, kind: &str, all: &BTreeMap<String, T>) -> Result<()> {
        self.tx(|db| {
            for key in db.doc_all::<serde_json::Value>(kind)?.keys().filter(|k| !all.contains_key(*k)) {
                db.doc_delete(kind, key)?;
            }
            for (key, value) in all {
                db.doc_put(kind, key, value)?;
            }
            Ok(())
        })
    }
}
