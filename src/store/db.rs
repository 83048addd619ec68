//! The connection, its transactions, and the small helpers every table uses.

use std::{fs::File, path::PathBuf};

use ledgerward_contract::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    error::{self, Kind, Result, StoreError},
    keys::Keyring,
    open::Note,
    watermark::{Mark, Watermark},
};
use crate::domain::firm::Zone;

/// Who does something, as the audit trail records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// An address, `daemon`, or `root as ann@firm.example`.
    pub name: String,
    /// The local user behind a command.
    pub uid: Option<u32>,
    /// How it came in: `daemon`, `cli`, `socket`.
    pub via: String,
}

impl Actor {
    pub fn daemon() -> Self {
        Self { name: "daemon".into(), uid: None, via: "daemon".into() }
    }

    pub fn new(name: impl Into<String>, uid: Option<u32>, via: impl Into<String>) -> Self {
        Self { name: name.into(), uid, via: via.into() }
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.uid {
            Some(uid) => write!(f, "{} (uid {uid}, {})", self.name, self.via),
            None => write!(f, "{} ({})", self.name, self.via),
        }
    }
}

/// The state is older than what this machine has seen before: a backup, or a copy without its log (T13, D03).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    pub since: Timestamp,
    pub why: String,
    /// What the watermark says of the audit trail, where that is not whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trail: Option<String>,
}

/// The opened state. Owned by one thread; see [`super::Store`].
pub struct Db {
    pub(crate) conn: Connection,
    pub(crate) dir: PathBuf,
    pub(crate) keys: Keyring,
    pub(crate) watermark: Watermark,
    pub(crate) notes: Vec<Note>,
    /// Of the configuration, for whoever reads the firm.
    pub(crate) zone: Zone,
    actor: Actor,
    depth: u32,
    /// The audit head or a token generation moved in the open transaction.
    mark_due: bool,
    /// A run was begun by this process: before its first, whatever did not end was killed.
    pub(crate) run_begun: bool,
    /// Set once the disk failed: the page cache and the disk may differ, so this handle writes nothing more (F06).
    dead: bool,
    /// Last, so that the lock is given back after the connection is closed.
    pub(crate) _lock: File,
}

impl Db {
    pub(crate) fn assemble(
        conn: Connection,
        dir: PathBuf,
        keys: Keyring,
        watermark: Watermark,
        lock: File,
        notes: Vec<Note>,
    ) -> Self {
        Self {
            conn,
            dir,
            keys,
            watermark,
            notes,
            zone: Zone::default(),
            actor: Actor::daemon(),
            depth: 0,
            mark_due: false,
            run_begun: false,
            dead: false,
            _lock: lock,
        }
    }

    /// Grows with every row that this process writes: whoever keeps a copy of something sees by it that the copy may be old.
    pub fn writes(&self) -> u64 {
        self.conn.total_changes()
    }

    /// Runs `f` in a transaction: all of it or nothing. Inside another transaction it is a savepoint of that one.
    pub fn tx<R>(&mut self, f: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        if self.dead {
            return Err(StoreError::new(Kind::Io, "the disk of the state failed earlier; nothing more is written")
                .next("Look at the disk, then start ledgerward again: it checks the state first."));
        }
        let (begin, commit, undo) = if self.depth == 0 {
            ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")
        } else {
            ("SAVEPOINT inner", "RELEASE inner", "ROLLBACK TO inner; RELEASE inner")
        };
        let due_before = self.mark_due;
        self.turn(begin).map_err(|e| self.judge(e))?;
        self.depth += 1;
        let result = f(self).and_then(|r| self.turn(commit).map(|()| r));
        self.depth -= 1;
        match result {
            Ok(r) => {
                if self.depth == 0 {
                    self.write_mark();
                }
                Ok(r)
            }
            Err(e) => {
                self.mark_due = due_before;
                // SQLite rolls back by itself on some errors; a second rollback is then an error of no interest.
                if !self.conn.is_autocommit() {
                    let _unused = self.conn.execute_batch(undo);
                }
                Err(self.judge(e))
            }
        }
    }

    /// Begins or ends a transaction.
    fn turn(&self, sql: &str) -> Result<()> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    /// [`Db::tx`] for what one statement alone writes: inside another transaction that is whole without a savepoint.
    pub(crate) fn tx_one<R>(&mut self, f: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        if self.depth > 0 && !self.dead { f(self) } else { self.tx(f) }
    }

    /// After a failed disk no later success can be believed.
    fn judge(&mut self, mut e: StoreError) -> StoreError {
        if e.kind == Kind::Io && e.source.as_ref().is_some_and(|s| is_disk_failure(s.as_ref())) {
            self.dead = true;
            // Some systems find out only at the sync; what a person can do about it is the same.
            if rustix::fs::statvfs(&self.dir).is_ok_and(|disk| disk.f_bavail == 0) {
                (e.kind, e.message, e.next) = (Kind::Full, error::FULL.to_owned(), Some(error::MAKE_ROOM.to_owned()));
            }
        }
        e
    }

    /// Undoes what a panicking job left open.
    pub(crate) fn abandon(&mut self) {
        if !self.conn.is_autocommit() {
            let _unused = self.conn.execute_batch("ROLLBACK");
            self.mark_due = false;
        }
        self.depth = 0;
    }

    /// Between two steps of a group: its transaction is open, and nothing in it is.
    pub(crate) fn is_in_group(&self) -> bool {
        self.depth == 1 && !self.conn.is_autocommit()
    }

    pub(crate) fn set_actor(&mut self, actor: &Actor) {
        self.actor.clone_from(actor);
    }

    /// Whom the audit trail names for what is done now.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    pub(crate) fn mark(&mut self) {
        self.mark_due = true;
    }

    /// The watermark follows the commit: behind it is harmless, ahead of it would cry wolf. A failed write is tried again
    /// after the next commit.
    pub(crate) fn write_mark(&mut self) {
        if !self.mark_due {
            return;
        }
        let written = self.current_mark().and_then(|mark| self.watermark.write(&mark));
        match written {
            Ok(()) => self.mark_due = false,
            Err(e) => tracing::warn!(event = "watermark.behind", error = %e, "the watermark could not be written"),
        }
    }

    pub(crate) fn current_mark(&self) -> Result<Mark> {
        let head = self.audit_head()?;
        Ok(Mark {
            db: self.meta("db_id")?.unwrap_or_default(),
            generation: self.meta_number("token_generation")?,
            audit_seq: head.seq,
            audit_hash: head.hash,
        })
    }

    /// Things a person should hear about this start.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// `Some`: every run is a dry run until [`Db::confirm_restored`] (5.1, step 10).
    pub fn restored(&self) -> Result<Option<Restored>> {
        self.meta("restored")?.map(|text| from_json(&text, "the mark of a restored state")).transpose()
    }

    /// A backup was put in place on purpose: every run is a dry run until confirmed, whatever the watermark remembers.
    pub fn mark_restored(&mut self, why: &str, at: Timestamp) -> Result<()> {
        self.tx(|db| {
            if db.restored()?.is_some() {
                return Ok(());
            }
            let restored = Restored { since: at, why: why.to_owned(), trail: None };
            db.set_meta("restored", &to_json(&restored)?)?;
            db.audit(at, "state.restored", "state", None::<&()>, Some(&restored), None)
        })
    }

    /// A person has compared the first plan with the world and takes this state as the current one.
    pub fn confirm_restored(&mut self, reason: &str, at: Timestamp) -> Result<()> {
        self.tx(|db| {
            let was = db.restored()?.ok_or_else(|| StoreError::conflict("the state is not marked as restored"))?;
            db.conn.execute("DELETE FROM meta WHERE key = 'restored'", [])?;
            db.audit(at, "state.confirm_restored", "state", Some(&was), None::<&()>, Some(reason))?;
            Ok(())
        })
    }

    pub(crate) fn meta(&self, key: &str) -> Result<Option<String>> {
        Ok(self.conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |r| r.get(0)).optional()?)
    }

    pub(crate) fn meta_number(&self, key: &str) -> Result<i64> {
        match self.meta(key)? {
            None => Ok(0),
            Some(text) => text.parse().map_err(|_| StoreError::damaged(format!("the state's own {key} is no number"))),
        }
    }

    pub(crate) fn set_meta(&self, key: &str, value: &str) -> Result<()> {
        self.conn.execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
            params![key, value],
        )?;
        Ok(())
    }

    /// The connection itself, for checks that no method here makes (tests of settings, of damage, of a full disk).
    #[doc(hidden)]
    pub fn raw(&self) -> &Connection {
        &self.conn
    }

    /// Bytes of the write-ahead log: above 64 MiB somebody should look (D07).
    pub fn wal_bytes(&self) -> u64 {
        std::fs::metadata(self.dir.join(super::open::WAL_FILE)).map_or(0, |m| m.len())
    }

    /// Moves the log into the file. Called when nothing else is to do. A copy that is being made keeps it from that: nobody
    /// waits for it, and the next time does.
    pub fn checkpoint(&mut self) -> Result<()> {
        self.conn.busy_timeout(std::time::Duration::ZERO)?;
        let moved = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        self.conn.busy_timeout(super::open::BUSY)?;
        Ok(moved?)
    }
}

fn is_disk_failure(e: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    e.downcast_ref::<rusqlite::Error>()
        .and_then(rusqlite::Error::sqlite_error_code)
        .is_some_and(|c| c == rusqlite::ErrorCode::SystemIoFailure)
}

/// Whole microseconds since 1970: sorts as it should, exact enough for every clock here.
pub(crate) fn us(t: Timestamp) -> i64 {
    t.as_microsecond()
}

pub(crate) fn from_us(us: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(us).map_err(|e| StoreError::damaged("a time in the state is out of range").source(e))
}

pub(crate) fn from_us_opt(us: Option<i64>) -> Result<Option<Timestamp>> {
    us.map(from_us).transpose()
}

pub(crate) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|e| StoreError::new(Kind::Conflict, "a value cannot be stored as JSON").source(e))
}

pub(crate) fn from_json<T: DeserializeOwned>(text: &str, what: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| StoreError::damaged(format!("{what} in the state cannot be read")).source(e))
}

/// A unit-variant enum as its serde name, without the quotes.
pub(crate) fn to_word<T: Serialize>(value: &T) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        _ => Err(StoreError::new(Kind::Conflict, "a value cannot be stored as one word")),
    }
}

pub(crate) fn from_word<T: DeserializeOwned>(word: &str, what: &str) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(word.to_owned()))
        .map_err(|e| StoreError::damaged(format!("{what} in the state is an unknown word")).source(e))
}
