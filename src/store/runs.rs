//! Runs, last starts of schedules, and the day counters of vendors' limits.

use std::collections::BTreeMap;

use ledgerward_contract::{Date, Timestamp};
use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use super::{
    db::{Db, from_json, from_us, from_us_opt, to_json, us},
    error::{Result, StoreError},
};

/// Kinds of runs that read every ledger and put every folder's list right: by hand, and by the daemon's schedules.
const CYCLES: [&str; 4] = ["sync", "apply", "access", "statements"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    pub id: i64,
    pub kind: String,
    pub actor: String,
    pub started: Timestamp,
    /// `None`: it is under way, or was killed and no run was begun since.
    pub ended: Option<Timestamp>,
    /// `None` of a run that ended: it was killed, and `ended` is when that was noticed.
    pub exit: Option<i32>,
    /// Everything that it was asked for was read and done.
    pub complete: bool,
    /// It was asked for some clients only, or did not do what it was begun for: it says nothing about the others.
    pub part: bool,
    pub summary: Option<Value>,
}

/// Runs that were killed at the same point, one after the other (D10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashLoop {
    /// As given to [`Db::run_step`]: a connection, a target.
    pub step: String,
    pub times: u32,
}

impl Db {
    pub fn run_start(&mut self, kind: &str, at: Timestamp) -> Result<i64> {
        let first = !self.run_begun;
        let id = self.tx(|db| {
            // One process at a time has this state: what another one began and did not end ends no more.
            if first {
                db.conn.execute("UPDATE run SET ended = ?1 WHERE ended IS NULL", [us(at)])?;
            }
            let actor = db.actor().to_string();
            db.conn
                .execute("INSERT INTO run (kind, actor, started) VALUES (?1, ?2, ?3)", params![kind, actor, us(at)])?;
            Ok(db.conn.last_insert_rowid())
        })?;
        self.run_begun = true;
        Ok(id)
    }

    /// The run is not about everything ([`RunRow::part`]).
    pub fn run_part(&mut self, id: i64) -> Result<()> {
        self.tx(|db| {
            db.conn.prepare_cached("UPDATE run SET part = 1 WHERE id = ?1")?.execute([id])?;
            Ok(())
        })
    }

    /// What the run is about to do, so that a crash can be laid at its door.
    pub fn run_step(&mut self, id: i64, step: &str) -> Result<()> {
        self.tx(|db| {
            db.conn.prepare_cached("UPDATE run SET step = ?2 WHERE id = ?1")?.execute(params![id, step])?;
            Ok(())
        })
    }

    /// Called before a run starts: the newest runs that never came to an end, as far as they stopped at one and the same step.
    /// After three, that step is left out and told (D10). `None`: the newest run ended.
    pub fn crash_loop(&self) -> Result<Option<CrashLoop>> {
        let mut stmt = self.conn.prepare_cached("SELECT step, exit FROM run ORDER BY id DESC LIMIT 20")?;
        let mut rows = stmt.query([])?;
        let mut found: Option<CrashLoop> = None;
        while let Some(r) = rows.next()? {
            let (step, exit): (Option<String>, Option<i64>) = (r.get(0)?, r.get(1)?);
            let (Some(step), None) = (step, exit) else { break };
            match &mut found {
                None => found = Some(CrashLoop { step, times: 1 }),
                Some(l) if l.step == step => l.times += 1,
                Some(_) => break,
            }
        }
        Ok(found)
    }

    pub fn run_end(&mut self, id: i64, exit: i32, complete: bool, summary: &Value, at: Timestamp) -> Result<()> {
        self.tx(|db| {
            let changed = db.conn.execute(
                "UPDATE run SET ended = ?2, exit = ?3, complete = ?4, summary = ?5 WHERE id = ?1 AND ended IS NULL",
                params![id, us(at), exit, complete, to_json(summary)?],
            )?;
            if changed == 0 { Err(StoreError::conflict(format!("run {id} has ended already"))) } else { Ok(()) }
        })
    }

    /// The newest first.
    pub fn runs(&self, limit: u32) -> Result<Vec<RunRow>> {
        self.runs_where("1 OR ?2 = ''", limit, "")
    }

    /// The newest run of a kind, however it ended.
    pub fn last_attempt(&self, kind: &str) -> Result<Option<RunRow>> {
        Ok(self.runs_where("kind = ?2", 1, kind)?.pop())
    }

    /// The newest run of a kind that did everything, for every client. Kept apart from the last attempt and from the last
    /// part: neither a failing run nor a look at one client is a fresh one.
    pub fn last_complete(&self, kind: &str) -> Result<Option<RunRow>> {
        Ok(self.runs_where("kind = ?2 AND complete = 1 AND part = 0", 1, kind)?.pop())
    }

    /// The newest run of a kind that did all that it was asked for, which was not everything.
    pub fn last_part(&self, kind: &str) -> Result<Option<RunRow>> {
        Ok(self.runs_where("kind = ?2 AND complete = 1 AND part = 1", 1, kind)?.pop())
    }

    /// The newest whole cycle that did everything, whoever began it: by hand, or by the daemon.
    pub fn last_whole_cycle(&self) -> Result<Option<RunRow>> {
        let mut newest = None;
        for kind in CYCLES {
            newest = newest.into_iter().chain(self.last_complete(kind)?).max_by_key(|run| run.id);
        }
        Ok(newest)
    }

    fn runs_where(&self, what: &str, limit: u32, kind: &str) -> Result<Vec<RunRow>> {
        let mut stmt = self.conn.prepare_cached(&format!(
            "SELECT id, kind, actor, started, ended, exit, complete, part, summary FROM run WHERE {what} ORDER BY id DESC LIMIT ?1"
        ))?;
        let mut rows = stmt.query(params![limit, kind])?;
        let mut all = Vec::new();
        while let Some(r) = rows.next()? {
            let summary: Option<String> = r.get(8)?;
            all.push(RunRow {
                id: r.get(0)?,
                kind: r.get(1)?,
                actor: r.get(2)?,
                started: from_us(r.get(3)?)?,
                ended: from_us_opt(r.get(4)?)?,
                exit: r.get(5)?,
                complete: r.get(6)?,
                part: r.get(7)?,
                summary: summary.map(|t| from_json(&t, "a run's summary")).transpose()?,
            });
        }
        Ok(all)
    }

    /// A schedule's run begins: stored before it starts, so that a crash does not start it again and again.
    pub fn schedule_started(&mut self, name: &str, at: Timestamp) -> Result<()> {
        self.doc_put("schedule", name, &us(at))
    }

    /// It was told to stop before it was done: it is due again at the next start.
    pub fn schedule_undone(&mut self, name: &str) -> Result<()> {
        self.doc_delete("schedule", name).map(drop)
    }

    pub fn schedule_last(&self) -> Result<BTreeMap<String, Timestamp>> {
        let all: BTreeMap<String, i64> = self.doc_all("schedule")?;
        all.into_iter().map(|(k, v)| Ok((k, from_us(v)?))).collect()
    }

    pub fn day_count(&self, name: &str, day: Date) -> Result<u32> {
        let used: Option<u32> = self
            .conn
            .prepare_cached("SELECT used FROM day_count WHERE name = ?1 AND day = ?2")?
            .query_row(params![name, day.to_string()], |r| r.get(0))
            .optional()?;
        Ok(used.unwrap_or(0))
    }

    /// Adds and gives the new count. Days before the last one are forgotten.
    pub fn day_add(&mut self, name: &str, day: Date, n: u32) -> Result<u32> {
        let used = self.day_count(name, day)?.saturating_add(n);
        self.day_set(name, day, used)
    }

    /// Raises the count to what the vendor says, never lowers it.
    pub fn day_at_least(&mut self, name: &str, day: Date, used: u32) -> Result<u32> {
        let is = self.day_count(name, day)?;
        if used <= is { Ok(is) } else { self.day_set(name, day, used) }
    }

    fn day_set(&mut self, name: &str, day: Date, used: u32) -> Result<u32> {
        let old = day.yesterday().map_or_else(|_| day.to_string(), |d| d.to_string());
        self.tx(|db| {
            db.conn.prepare_cached("DELETE FROM day_count WHERE name = ?1 AND day < ?2")?.execute(params![name, old])?;
            db.conn
                .prepare_cached(
                    "INSERT INTO day_count (name, day, used) VALUES (?1, ?2, ?3) ON CONFLICT (name, day) DO UPDATE SET used = ?3",
                )?
                .execute(params![name, day.to_string(), used])?;
            Ok(used)
        })
    }
}
