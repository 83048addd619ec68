//! The journal (I7): every remote write has a durable row before it is sent. What the write changed in our own books
//! (ownership, who holds what, folders, files) is written in one transaction with its outcome.

use ledgerward_contract::{Email, FileKey, FolderId, FolderRole, Holder, Journalled, ReservedId, Timestamp};
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    db::{Db, from_json, from_us, from_us_opt, from_word, to_json, to_word, us},
    delivered::DeliveredFile,
    error::{Result, StoreError},
    lanes::{db_name, folder_taken, key_from, key_of},
};
use crate::domain::lane::{Cause, LaneKey, Op, OwnedGrant};

/// What is about to be written to a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalOp {
    Access(Op),
    /// Cut inheritance and re-sharing on a folder.
    CloseSpread,
    Put {
        key: FileKey,
        path: String,
        size: u64,
        sha256: String,
    },
    /// Our marker on a folder that was there before and is taken over.
    Mark {
        folder: FolderId,
        name: String,
    },
    /// The folder that holds the client folders.
    CreateRoot {
        name: String,
    },
}

impl JournalOp {
    const fn word(&self) -> &'static str {
        match self {
            Self::Access(op) => op.word(),
            Self::CloseSpread => "close_spread",
            Self::Put { .. } => "put",
            Self::Mark { .. } => "mark",
            Self::CreateRoot { .. } => "create_root",
        }
    }

    fn holder(&self) -> Option<String> {
        match self {
            Self::Access(Op::Revoke { who: Holder::Person(who), .. }) => Some(who.key().to_owned()),
            Self::Access(Op::Revoke { who, .. }) => Some(who.to_string()),
            Self::Access(Op::SetRole { who, .. } | Op::Grant { who, .. } | Op::Adopt { who, .. }) => {
                Some(who.key().to_owned())
            }
            _ => None,
        }
    }

    fn lane_name(&self) -> &str {
        match self {
            Self::Access(Op::Create { name } | Op::Rename { name }) | Self::Mark { name, .. } => name,
            _ => "",
        }
    }
}

/// One write, before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    pub run: i64,
    pub lane: LaneKey,
    pub op: JournalOp,
    /// `None` for files: they have no access cause.
    pub cause: Option<Cause>,
    pub because: String,
    /// An id the target gave out beforehand, so that a create can be settled after a crash.
    pub reserved: Option<ReservedId>,
    /// A person approved the hold that this step was in. Such a step fills no gate: an approval loosens no limit.
    pub approved: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalState {
    Intended,
    Done,
    Failed,
    /// The answer was lost. Settled by reading the target, never by sending again.
    Unknown,
}

/// How a write ended that changed none of our own books. For the others there is a method each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done(Value),
    Failed { kind: String, message: String },
    Unknown { message: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRow {
    pub step: Journalled,
    pub intent: Intent,
    pub state: JournalState,
    pub at: Timestamp,
    pub ended: Option<Timestamp>,
    pub result: Option<Value>,
}

impl Db {
    /// Writes an intent down. The write may be sent once this returned, and not before.
    pub fn intend(&mut self, intent: &Intent, at: Timestamp) -> Result<Journalled> {
        let row = self.tx(|db| {
            let lane = db.lane_id(&intent.lane, intent.op.lane_name())?;
            db.conn
                .prepare_cached(
                    "INSERT INTO journal (run, lane, target, kind, holder, op, cause, because, reserved, approved, state, at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?11, 'intended', ?10)",
                )?
                .execute(params![
                    intent.run,
                    lane,
                    intent.lane.target.0,
                    intent.op.word(),
                    intent.op.holder(),
                    to_json(&intent.op)?,
                    intent.cause.as_ref().map(to_json).transpose()?,
                    intent.because,
                    intent.reserved.as_ref().map(ReservedId::as_str),
                    us(at),
                    intent.approved
                ])?;
            let row = db.conn.last_insert_rowid();
            let act = format!("{}.intend", intent.op.word());
            let after = json!({ "step": row.to_string(), "op": intent.op, "cause": intent.cause });
            db.audit(at, &act, &db_name(&intent.lane), None::<&()>, Some(&after), Some(&intent.because))?;
            Ok(row)
        })?;
        Ok(Journalled::committed(row))
    }

    /// Ends a step that changed none of our own books. `Unknown` can be ended again once the target was read.
    pub fn outcome(&mut self, step: Journalled, outcome: &Outcome, at: Timestamp) -> Result<()> {
        let (state, result) = match outcome {
            Outcome::Done(v) => ("done", v.clone()),
            Outcome::Failed { kind, message } => ("failed", json!({ "kind": kind, "message": message })),
            Outcome::Unknown { message } => ("unknown", json!({ "message": message })),
        };
        self.tx(|db| db.end(step, state, &result, at).map(|_| ()))
    }

    /// A grant is in force, or an invitation is out. It is ours from now on.
    pub fn outcome_granted(
        &mut self,
        step: Journalled,
        grant: &OwnedGrant,
        invited: bool,
        at: Timestamp,
    ) -> Result<()> {
        self.tx(|db| db.granted(step, grant, invited, (at, at)))
    }

    /// The same of a step whose answer was lost. Whoever was let in may have been in since it was sent; only of a role that
    /// gives less it is not known to be in force before it is seen.
    pub fn outcome_granted_unheard(
        &mut self,
        step: Journalled,
        grant: &OwnedGrant,
        invited: bool,
        at: Timestamp,
    ) -> Result<()> {
        self.tx(|db| {
            let row = db.journal_row(step)?;
            let less = matches!(row.intent.op, JournalOp::Access(Op::SetRole { to: FolderRole::Reader, .. }));
            db.granted(step, grant, invited, (if less { at } else { row.at.min(at) }, at))
        })
    }

    fn granted(
        &mut self,
        step: Journalled,
        grant: &OwnedGrant,
        invited: bool,
        (since, at): (Timestamp, Timestamp),
    ) -> Result<()> {
        let lane = self.end(step, "done", &json!({ "grant": grant, "invited": invited }), at)?;
        self.own(lane, step, grant, invited.then_some(since), since)
    }

    /// A hand-made permission of an entitled person is ours from now on.
    pub fn outcome_adopted(&mut self, step: Journalled, grant: &OwnedGrant, at: Timestamp) -> Result<()> {
        self.outcome_granted(step, grant, false, at)
    }

    /// The role of a grant of ours is now `grant.role`. Nobody has accepted an invitation by that.
    pub fn outcome_role_set(&mut self, step: Journalled, grant: &OwnedGrant, at: Timestamp) -> Result<()> {
        self.outcome_granted(step, grant, false, at)
    }

    /// The holder is out.
    pub fn outcome_revoked(&mut self, step: Journalled, who: &Email, at: Timestamp) -> Result<()> {
        self.tx(|db| {
            let lane = db.end(step, "done", &json!({ "revoked": who }), at)?;
            db.conn.execute("DELETE FROM owned WHERE lane = ?1 AND who = ?2", params![lane, who.key()])?;
            db.conn.execute(
                "UPDATE applied SET to_at = ?3, to_step = ?4 WHERE lane = ?1 AND who = ?2 AND to_at IS NULL",
                params![lane, who.key(), us(at), step.row()],
            )?;
            Ok(())
        })
    }

    /// The holder is out. `who` is the address we owned it under; `None` for what was never ours to own (a link that a
    /// person approved the removal of).
    pub fn outcome_revoked_by(&mut self, step: Journalled, who: Option<&Email>, at: Timestamp) -> Result<()> {
        match who {
            Some(who) => self.outcome_revoked(step, who, at),
            None => self.outcome(step, &Outcome::Done(json!({})), at),
        }
    }

    /// The lane has its folder. `Conflict` if another lane of that target has it already.
    pub fn outcome_created(
        &mut self,
        step: Journalled,
        folder: &FolderId,
        name: &str,
        parent: Option<&FolderId>,
        at: Timestamp,
    ) -> Result<()> {
        self.tx(|db| {
            let lane = db.end(step, "done", &json!({ "folder": folder, "name": name }), at)?;
            let key = db.journal_row(step)?.intent.lane;
            db.conn
                .execute(
                    "UPDATE lane SET folder = ?2, name = ?3, parent = ?4, created_step = ?5 WHERE id = ?1",
                    params![lane, folder.as_str(), name, parent.map(FolderId::as_str), step.row()],
                )
                .map_err(|e| folder_taken(e, &key))?;
            Ok(())
        })
    }

    pub fn outcome_renamed(&mut self, step: Journalled, name: &str, at: Timestamp) -> Result<()> {
        self.tx(|db| {
            let lane = db.end(step, "done", &json!({ "name": name }), at)?;
            db.conn.execute("UPDATE lane SET name = ?2 WHERE id = ?1", params![lane, name])?;
            Ok(())
        })
    }

    /// A file is whole on the target.
    pub fn outcome_stored(&mut self, step: Journalled, file: &DeliveredFile, at: Timestamp) -> Result<()> {
        self.tx(|db| {
            let lane = db.end(step, "done", &json!({ "file": file.file, "size": file.size.to_string() }), at)?;
            db.save_delivered(lane, step, file, at)
        })
    }

    /// Moves a row out of `intended` or `unknown`, with its audit row, and gives its lane.
    fn end(&mut self, step: Journalled, state: &str, result: &Value, at: Timestamp) -> Result<i64> {
        let ended = (state != "unknown").then(|| us(at));
        let row: Option<(i64, String)> = self
            .conn
            .prepare_cached(
                "UPDATE journal SET state = ?2, ended = ?3, result = ?4 WHERE id = ?1 AND state IN ('intended', 'unknown')
                 RETURNING lane, kind",
            )?
            .query_row(params![step.row(), state, ended, to_json(result)?], |r| Ok((r.get(0)?, r.get(1)?)))
            .optional()?;
        let (lane, kind) =
            row.ok_or_else(|| StoreError::conflict(format!("step {} has ended already, or never began", step.row())))?;
        let name = db_name(&self.lane_key(lane)?);
        let after = json!({ "step": step.row().to_string(), "result": result });
        self.audit(at, &format!("{kind}.{state}"), &name, None::<&()>, Some(&after), None)?;
        Ok(lane)
    }

    fn own(
        &mut self,
        lane: i64,
        step: Journalled,
        grant: &OwnedGrant,
        invited: Option<Timestamp>,
        at: Timestamp,
    ) -> Result<()> {
        let role = to_word(&grant.role)?;
        // An entry whose role changes is the one that it was: an invitation still, and made by the step that made it.
        let same = matches!(self.journal_row(step)?.intent.op, JournalOp::Access(Op::SetRole { .. }));
        if !same {
            // What the target ended by itself was over then, and this is another one.
            self.conn.execute(
                "UPDATE applied SET to_at = o.ends FROM owned o
                 WHERE o.lane = ?1 AND o.who = ?2 AND o.ends <= ?3
                   AND applied.lane = ?1 AND applied.who = ?2 AND applied.to_at IS NULL",
                params![lane, grant.who.key(), us(at)],
            )?;
        }
        self.conn.execute(
            "INSERT INTO owned (lane, who, address, folder, role, permission, step, since, invited_since, ends)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (lane, who) DO UPDATE
             SET address = ?3, folder = ?4, role = ?5, permission = ?6, step = iif(?11, step, ?7),
                 invited_since = iif(?11, invited_since, ?9), ends = ?10",
            params![
                lane,
                grant.who.key(),
                grant.who.as_given(),
                grant.folder.as_str(),
                role,
                grant.permission.as_str(),
                step.row(),
                us(at),
                invited.map(us),
                grant.ends.map(us),
                same
            ],
        )?;
        let held: Option<String> = self
            .conn
            .query_row(
                "SELECT role FROM applied WHERE lane = ?1 AND who = ?2 AND to_at IS NULL",
                params![lane, grant.who.key()],
                |r| r.get(0),
            )
            .optional()?;
        if held.as_ref() == Some(&role) {
            return Ok(());
        }
        self.conn.execute(
            "UPDATE applied SET to_at = ?3, to_step = ?4 WHERE lane = ?1 AND who = ?2 AND to_at IS NULL",
            params![lane, grant.who.key(), us(at), step.row()],
        )?;
        self.conn.execute(
            "INSERT INTO applied (lane, who, role, from_at, from_step) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![lane, grant.who.key(), role, us(at), step.row()],
        )?;
        Ok(())
    }

    pub fn journal_row(&self, step: Journalled) -> Result<JournalRow> {
        self.journal_where("j.id = ?1", step.row())?
            .pop()
            .ok_or_else(|| StoreError::conflict(format!("there is no step {}", step.row())))
    }

    /// Steps whose end is not known: after a crash, or a lost answer. Oldest first.
    pub fn unsettled(&self) -> Result<Vec<JournalRow>> {
        self.journal_where("j.state IN ('intended', 'unknown') AND j.id > ?1 ORDER BY j.id", 0)
    }

    pub fn journal_of(&self, run: i64) -> Result<Vec<JournalRow>> {
        self.journal_where("j.run = ?1 ORDER BY j.id", run)
    }

    fn journal_where(&self, what: &str, n: i64) -> Result<Vec<JournalRow>> {
        let mut stmt = self.conn.prepare_cached(&format!(
            "SELECT l.target, l.client, l.account, j.id, j.run, j.op, j.cause, j.because, j.reserved, j.state, j.at, j.ended, j.result, j.approved
             FROM journal j JOIN lane l ON l.id = j.lane WHERE {what}"
        ))?;
        let mut rows = stmt.query([n])?;
        let mut all = Vec::new();
        while let Some(r) = rows.next()? {
            let cause: Option<String> = r.get(6)?;
            let result: Option<String> = r.get(12)?;
            all.push(JournalRow {
                step: Journalled::committed(r.get(3)?),
                intent: Intent {
                    run: r.get(4)?,
                    lane: key_of(key_from(r, 0)?)?,
                    op: from_json(&r.get::<_, String>(5)?, "a step")?,
                    cause: cause.map(|t| from_json(&t, "a step's cause")).transpose()?,
                    because: r.get(7)?,
                    reserved: r.get::<_, Option<String>>(8)?.map(ReservedId),
                    approved: r.get(13)?,
                },
                state: from_word(&r.get::<_, String>(9)?, "a step's state")?,
                at: from_us(r.get(10)?)?,
                ended: from_us_opt(r.get(11)?)?,
                result: result.map(|t| from_json(&t, "a step's result")).transpose()?,
            });
        }
        Ok(all)
    }
}
