//! What was carried out, over time: the numbers the gates count and divide by, and who could see what.

use std::collections::BTreeSet;

use ledgerward_contract::{Email, FolderRole, Timestamp};

use super::{
    db::{Db, from_json, from_us, from_us_opt, from_word, us},
    error::Result,
    journal::JournalOp,
    lanes::{email, key_from, key_of},
};
use crate::domain::lane::{Cause, LaneKey, Op};

/// One change of access that was carried out; gates count these (`decisions` 11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessChange {
    pub at: Timestamp,
    pub run: i64,
    pub lane: LaneKey,
    pub op: Op,
    /// The address as a comparison key, or the holder's text.
    pub holder: String,
    pub cause: Option<Cause>,
}

/// Who held what, by our own doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedRow {
    pub lane: LaneKey,
    pub who: Email,
    pub role: FolderRole,
    pub from: Timestamp,
    pub to: Option<Timestamp>,
    /// Since when it is an invitation that nobody has accepted to this day.
    pub invited: Option<Timestamp>,
    pub step: i64,
    /// Why they were let in: the cause of `step`.
    pub cause: Option<Cause>,
}

impl Db {
    /// Changes of access carried out after `since`, oldest first, those that a person approved as a hold left out.
    pub fn access_changes_since(&self, since: Timestamp) -> Result<Vec<AccessChange>> {
        let mut stmt = self.conn.prepare_cached(
            "SELECT l.target, l.client, l.account, j.ended, j.run, j.op, j.holder, j.cause FROM journal j JOIN lane l ON l.id = j.lane
             WHERE j.state = 'done' AND j.ended > ?1 AND j.approved = 0 AND j.kind IN ('grant', 'revoke', 'set_role') ORDER BY j.ended, j.id",
        )?;
        let mut rows = stmt.query([us(since)])?;
        let mut all = Vec::new();
        while let Some(r) = rows.next()? {
            let cause: Option<String> = r.get(7)?;
            let JournalOp::Access(op) = from_json(&r.get::<_, String>(5)?, "a step")? else { continue };
            all.push(AccessChange {
                lane: key_of(key_from(r, 0)?)?,
                at: from_us(r.get(3)?)?,
                run: r.get(4)?,
                op,
                holder: r.get::<_, Option<String>>(6)?.unwrap_or_default(),
                cause: cause.map(|t| from_json(&t, "a step's cause")).transpose()?,
            });
        }
        Ok(all)
    }

    /// Access steps that were done at `since` or later, approved or not.
    pub fn steps_done_since(&self, since: Timestamp) -> Result<BTreeSet<(LaneKey, Op)>> {
        let mut stmt = self.conn.prepare_cached(
            "SELECT l.target, l.client, l.account, j.op FROM journal j JOIN lane l ON l.id = j.lane WHERE j.state = 'done' AND j.ended >= ?1",
        )?;
        let mut rows = stmt.query([us(since)])?;
        let mut all = BTreeSet::new();
        while let Some(r) = rows.next()? {
            if let JournalOp::Access(op) = from_json(&r.get::<_, String>(3)?, "a step")? {
                all.insert((key_of(key_from(r, 0)?)?, op));
            }
        }
        Ok(all)
    }

    /// Who held what at `t` by our own doing: the denominator of the gates, and the answer to "who could see it then".
    pub fn applied_at(&self, t: Timestamp) -> Result<Vec<AppliedRow>> {
        let mut stmt = self.conn.prepare_cached(
            "SELECT l.target, l.client, l.account, a.who, a.role, a.from_at, a.to_at, a.from_step, j.cause,
                (SELECT o.invited_since FROM owned o WHERE o.lane = a.lane AND o.who = a.who AND o.invited_since <= ?1)
             FROM applied a JOIN lane l ON l.id = a.lane JOIN journal j ON j.id = a.from_step
             WHERE a.from_at <= ?1 AND (a.to_at IS NULL OR a.to_at > ?1) ORDER BY a.lane, a.who",
        )?;
        let mut rows = stmt.query([us(t)])?;
        let mut all = Vec::new();
        while let Some(r) = rows.next()? {
            let cause: Option<String> = r.get(8)?;
            all.push(AppliedRow {
                lane: key_of(key_from(r, 0)?)?,
                who: email(&r.get::<_, String>(3)?)?,
                role: from_word(&r.get::<_, String>(4)?, "a role")?,
                from: from_us(r.get(5)?)?,
                to: from_us_opt(r.get(6)?)?,
                invited: from_us_opt(r.get(9)?)?,
                step: r.get(7)?,
                cause: cause.map(|t| from_json(&t, "a step's cause")).transpose()?,
            });
        }
        Ok(all)
    }

    /// Another name for [`Db::applied_at`]: the managed pairs of a time, which gates divide by.
    pub fn managed_pairs_at(&self, t: Timestamp) -> Result<Vec<AppliedRow>> {
        self.applied_at(t)
    }
}
