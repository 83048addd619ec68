//! Holds, plans, approvals by digest (`decisions` 27), and the freeze switch.

use ledgerward_contract::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    db::{Db, from_json, from_us, from_us_opt, to_json, us},
    error::{Result, StoreError},
};

/// Something a gate keeps back, until somebody approves exactly this digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRow {
    pub digest: String,
    pub run: i64,
    /// When it was first held.
    pub at: Timestamp,
    pub body: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRow {
    pub digest: String,
    pub run: i64,
    pub at: Timestamp,
    pub body: Value,
}

/// Leave for one digest, once, for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    pub id: i64,
    pub digest: String,
    pub by: String,
    pub reason: String,
    pub at: Timestamp,
    pub expires: Timestamp,
}

/// Nothing is written to any target while this is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    pub since: Timestamp,
    pub by: String,
    pub reason: String,
}

impl Db {
    /// The holds after a run: exactly these are open now. One that stands since earlier keeps its first time, and gets the
    /// words of now.
    pub fn put_holds(&mut self, run: i64, holds: &[(String, Value)], at: Timestamp) -> Result<()> {
        self.tx(|db| {
            for old in db.holds()?.iter().filter(|o| !holds.iter().any(|(d, _)| *d == o.digest)) {
                db.conn.execute("UPDATE hold SET gone_at = ?2 WHERE digest = ?1", params![old.digest, us(at)])?;
                db.audit(at, "hold.gone", &old.digest, None::<&()>, None::<&()>, None)?;
            }
            for (digest, body) in holds {
                let open: Option<Option<i64>> = db
                    .conn
                    .query_row("SELECT gone_at FROM hold WHERE digest = ?1", [digest], |r| r.get(0))
                    .optional()?;
                if open == Some(None) {
                    // The same steps, perhaps for another reason: whoever looks at them is told the one of now.
                    db.conn.execute("UPDATE hold SET body = ?2 WHERE digest = ?1", params![digest, to_json(body)?])?;
                    continue;
                }
                db.conn.execute(
                    "INSERT INTO hold (digest, run, at, body) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (digest) DO UPDATE SET run = ?2, at = ?3, gone_at = NULL, body = ?4",
                    params![digest, run, us(at), to_json(body)?],
                )?;
                db.audit(at, "hold.open", digest, None::<&()>, Some(body), None)?;
            }
            Ok(())
        })
    }

    /// Open holds, oldest first.
    pub fn holds(&self) -> Result<Vec<HoldRow>> {
        let mut stmt = self
            .conn
            .prepare_cached("SELECT digest, run, at, body FROM hold WHERE gone_at IS NULL ORDER BY at, digest")?;
        let mut rows = stmt.query([])?;
        let mut all = Vec::new();
        while let Some(r) = rows.next()? {
            all.push(HoldRow {
                digest: r.get(0)?,
                run: r.get(1)?,
                at: from_us(r.get(2)?)?,
                body: from_json(&r.get::<_, String>(3)?, "a hold")?,
            });
        }
        Ok(all)
    }

    /// The open hold whose digest begins so. At least eight hex digits, and only one may match.
    pub fn hold_by_prefix(&self, prefix: &str) -> Result<HoldRow> {
        let prefix = check_prefix(prefix)?;
        let found: Vec<_> = self.holds()?.into_iter().filter(|h| h.digest.starts_with(&prefix)).collect();
        only(found, "hold", &prefix, "See: ledgerward hold")
    }

    pub fn put_plan(&mut self, digest: &str, run: i64, body: &Value, at: Timestamp) -> Result<()> {
        self.tx(|db| {
            db.conn.execute(
                "INSERT INTO plan (digest, run, at, body) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (digest) DO UPDATE SET run = ?2, at = ?3, body = ?4",
                params![digest, run, us(at), to_json(body)?],
            )?;
            Ok(())
        })
    }

    pub fn plan_by_prefix(&self, prefix: &str) -> Result<PlanRow> {
        let prefix = check_prefix(prefix)?;
        let mut stmt = self
            .conn
            .prepare_cached("SELECT digest, run, at, body FROM plan WHERE substr(digest, 1, length(?1)) = ?1")?;
        let mut rows = stmt.query([&prefix])?;
        let mut found = Vec::new();
        while let Some(r) = rows.next()? {
            found.push(PlanRow {
                digest: r.get(0)?,
                run: r.get(1)?,
                at: from_us(r.get(2)?)?,
                body: from_json(&r.get::<_, String>(3)?, "a plan")?,
            });
        }
        only(found, "plan", &prefix, "Make one with `ledgerward plan`.")
    }

    /// Records that a person allows exactly this digest, once, until `expires`.
    pub fn approve(
        &mut self,
        digest: &str,
        by: &str,
        reason: &str,
        at: Timestamp,
        expires: Timestamp,
    ) -> Result<Approval> {
        self.tx(|db| {
            db.conn.execute(
                "INSERT INTO approval (digest, by, reason, at, expires) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![digest, by, reason, us(at), us(expires)],
            )?;
            let approval = Approval {
                id: db.conn.last_insert_rowid(),
                digest: digest.to_owned(),
                by: by.to_owned(),
                reason: reason.to_owned(),
                at,
                expires,
            };
            let after = serde_json::json!({ "by": by, "expires": expires });
            db.audit(at, "hold.approve", digest, None::<&()>, Some(&after), Some(reason))?;
            Ok(approval)
        })
    }

    /// Approvals that are neither used nor too old.
    pub fn approvals_valid(&self, now: Timestamp) -> Result<Vec<Approval>> {
        let mut stmt = self.conn.prepare_cached(
            "SELECT id, digest, by, reason, at, expires FROM approval WHERE used_at IS NULL AND expires > ?1 AND at <= ?1 ORDER BY id",
        )?;
        let mut rows = stmt.query([us(now)])?;
        let mut all = Vec::new();
        while let Some(r) = rows.next()? {
            all.push(Approval {
                id: r.get(0)?,
                digest: r.get(1)?,
                by: r.get(2)?,
                reason: r.get(3)?,
                at: from_us(r.get(4)?)?,
                expires: from_us(r.get(5)?)?,
            });
        }
        Ok(all)
    }

    /// Uses a valid approval of this digest up. `Conflict` if there is none: then nothing may be applied.
    pub fn use_approval(&mut self, digest: &str, at: Timestamp) -> Result<Approval> {
        self.tx(|db| {
            let found = db.approvals_valid(at)?.into_iter().find(|a| a.digest == digest);
            let approval = found.ok_or_else(|| {
                StoreError::conflict("there is no unused approval of this digest")
                    .next("Approve it with `ledgerward approve`.")
            })?;
            db.conn.execute("UPDATE approval SET used_at = ?2 WHERE id = ?1", params![approval.id, us(at)])?;
            db.audit(at, "hold.use_approval", digest, None::<&()>, None::<&()>, Some(&approval.reason))?;
            Ok(approval)
        })
    }

    /// Turns the freeze on (`Some`) or off.
    pub fn set_freeze(&mut self, on: bool, reason: &str, at: Timestamp) -> Result<()> {
        self.tx(|db| {
            let was = db.freeze()?;
            let by = db.actor().name.clone();
            let now = on.then(|| Freeze { since: at, by, reason: reason.to_owned() });
            match &now {
                // A second freeze does not make the first one younger.
                Some(_) if was.is_some() => return Ok(()),
                Some(freeze) => db.set_meta("freeze", &to_json(freeze)?)?,
                None => {
                    db.conn.execute("DELETE FROM meta WHERE key = 'freeze'", [])?;
                }
            }
            db.audit(at, if on { "freeze.on" } else { "freeze.off" }, "state", was.as_ref(), now.as_ref(), Some(reason))
        })
    }

    pub fn freeze(&self) -> Result<Option<Freeze>> {
        self.meta("freeze")?.map(|t| from_json(&t, "the freeze")).transpose()
    }

    /// When an approval was used, for the history of a hold.
    pub fn approval_used(&self, id: i64) -> Result<Option<Timestamp>> {
        let used: Option<Option<i64>> =
            self.conn.query_row("SELECT used_at FROM approval WHERE id = ?1", [id], |r| r.get(0)).optional()?;
        from_us_opt(used.flatten())
    }
}

fn check_prefix(prefix: &str) -> Result<String> {
    if prefix.len() >= 8 && prefix.len() <= 64 && prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(prefix.to_ascii_lowercase());
    }
    Err(StoreError::conflict(format!("\"{prefix}\" is no digest"))
        .next("Give at least its first eight digits (0-9, a-f)."))
}

fn only<T>(mut found: Vec<T>, what: &str, prefix: &str, next: &str) -> Result<T> {
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => {
            Err(StoreError::not_found(format!("there is no {what} {prefix}; it may have changed since")).next(next))
        }
        (Some(_), _) => {
            Err(StoreError::conflict(format!("more than one {what} begins with {prefix}"))
                .next("Give more of its digits."))
        }
    }
}
