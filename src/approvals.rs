//! What is left of a hold that somebody approved. An approved plan may fail half-way (a vendor's bad hour, a kill); what is
//! still to do of it then needs no second word, until the approval expires. Never more than was shown: the same gate and
//! cause, only steps that stood in the hold and are not done, on folders that nobody else changed meanwhile.

use std::collections::BTreeSet;

use ledgerward_contract::{FolderId, Holder, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::{
    guard::{Approval, CauseKey, Gate, Hold},
    lane::{Cause, LaneKey, Op},
    plan::LanePlan,
};

/// Where the store keeps them, by the digest of the hold.
pub const REST: &str = "approval_rest";

/// An approved hold as it was shown. The store keeps one from before the first write until the approval expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    gate: Gate,
    cause: CauseKey,
    by: String,
    reason: String,
    at: Timestamp,
    pub expires: Timestamp,
    /// When it was used: steps that were done since are no part of it any more.
    pub used: Timestamp,
    lanes: Vec<Lane>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Lane {
    lane: LaneKey,
    folder: Option<FolderId>,
    base: Vec<(String, String)>,
    steps: Vec<(Op, Cause)>,
}

impl Rest {
    pub fn of(hold: &Hold, approval: &Approval, used: Timestamp) -> Self {
        let lane = |l: &LanePlan| Lane {
            lane: l.lane.clone(),
            folder: l.folder.clone(),
            base: l.base.clone(),
            steps: l.steps.iter().map(|s| (s.op.clone(), s.reason.cause.clone())).collect(),
        };
        Self {
            gate: hold.gate,
            cause: hold.cause.clone(),
            by: approval.by.clone(),
            reason: approval.reason.clone(),
            at: approval.at,
            expires: approval.expires,
            used,
            lanes: hold.lanes.iter().map(lane).collect(),
        }
    }

    /// The approval of this hold, if it is nothing but a rest of the approved one. `done`: steps that were done since.
    pub fn covers(&self, hold: &Hold, done: &BTreeSet<(LaneKey, Op)>, now: Timestamp) -> Option<Approval> {
        let same = now < self.expires && self.gate == hold.gate && self.cause == hold.cause;
        let within = hold.lanes.iter().all(|now| {
            let then = self.lanes.iter().find(|l| l.lane == now.lane);
            then.is_some_and(|then| then.has(now, done))
        });
        (same && within && !hold.lanes.is_empty()).then(|| Approval {
            digest: hold.digest.clone(),
            by: self.by.clone(),
            reason: self.reason.clone(),
            at: self.at,
            expires: self.expires,
        })
    }
}

impl Lane {
    fn has(&self, now: &LanePlan, done: &BTreeSet<(LaneKey, Op)>) -> bool {
        let shown = now.steps.iter().all(|s| {
            self.steps.iter().any(|(op, cause)| *op == s.op && *cause == s.reason.cause)
                && !done.contains(&(self.lane.clone(), s.op.clone()))
        });
        let made = self.folder.is_none() && self.steps.iter().any(|(op, _)| matches!(op, Op::Create { .. }));
        shown && (now.folder == self.folder || made) && self.changed_by_us(now, made)
    }

    /// Whether the list differs from the one that was shown only by what the hold itself was going to do.
    fn changed_by_us(&self, now: &LanePlan, made: bool) -> bool {
        let ours: BTreeSet<String> = self.steps.iter().filter_map(|(op, _)| holder(op)).collect();
        let (old, new): (BTreeSet<_>, BTreeSet<_>) = (self.base.iter().collect(), now.base.iter().collect());
        // A folder that we made has us as its owner.
        old.symmetric_difference(&new).all(|(who, role)| ours.contains(who) || made && role == "owner")
    }
}

fn holder(op: &Op) -> Option<String> {
    match op {
        Op::Revoke { who, .. } => Some(who.to_string()),
        Op::Grant { who, .. } | Op::SetRole { who, .. } | Op::Adopt { who, .. } => {
            Some(Holder::Person(who.clone()).to_string())
        }
        Op::Create { .. } | Op::Rename { .. } => None,
    }
}
