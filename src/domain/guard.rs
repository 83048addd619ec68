//! The blast gate: what of a plan may happen by itself, and what waits for a person (`decisions` 11–14, 27).

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ClientId, Email, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    firm::{Client, Firm},
    lane::{Cause, LaneKey, Op, Step},
    plan::{Cleared, LanePlan, Plan, Proposed},
};

/// More than `floor` and more than `percent` of the denominator trips. With a denominator of zero the floor alone counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    pub floor: u64,
    pub percent: u64,
}

/// The numbers of `decisions` 11.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Guards {
    /// People who lose everything that a cause gave them.
    pub leavers: Limit,
    /// Pairs removed, whole leavers not counted.
    pub removed: Limit,
    /// People whom one client loses.
    pub client_loses: Limit,
    /// Pairs removed by all causes together.
    pub overall: Limit,
    /// Pairs added.
    pub added: Limit,
    /// Clients that one person gains, of all clients.
    pub person_gains: Limit,
}

/// What is counted together: a connection, or our own reasons.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKey {
    Connection(String),
    Decision,
    RevokeNow,
    Policy,
    Drift,
}

/// One access step that was done in the last 24 h. The store fills it from the journal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Past {
    pub removed: bool,
    pub who: Email,
    pub client: ClientId,
    pub cause: CauseKey,
}

/// The last 24 h, and what was managed when they began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// Adoptions and steps of a hold that was approved do not belong in here: an approval loosens no limit and fills none.
    pub recent: Vec<Past>,
    /// Managed (person, client) pairs 24 h ago, by the cause that gave them.
    pub pairs_by_cause: BTreeMap<CauseKey, u64>,
    /// People with at least one such pair, by cause.
    pub people_by_cause: BTreeMap<CauseKey, u64>,
    /// Clients per person 24 h ago.
    pub clients_of: BTreeMap<Email, u64>,
    /// People per client 24 h ago.
    pub people_of: BTreeMap<ClientId, u64>,
    /// All active clients.
    pub clients: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    Freeze,
    /// The first plan of a target.
    FirstPlan,
    /// Settings changed their meaning (G9).
    Policy,
    /// Marker, owner, link (G7).
    Folder,
    /// Taken out by hand; put back only if somebody says so (S06).
    RemovedByHand,
    Leavers,
    Removed,
    ClientLoses,
    LastPerson,
    Overall,
    Added,
    PersonGains,
}

/// The steps that one gate stopped, by their common cause.
#[derive(Clone, Debug, Serialize)]
pub struct Hold {
    pub gate: Gate,
    pub cause: CauseKey,
    /// The lanes with only the held steps in them.
    pub lanes: Vec<LanePlan>,
    /// Hex SHA-256 (`decisions` 27).
    pub digest: String,
    /// What happened and what it comes from, in one sentence.
    pub message: String,
}

/// What a guard says about a plan.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub cleared: Plan<Cleared>,
    pub held: Vec<Hold>,
}

/// A person's word for exactly one hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Eight or more hex digits of the hold's digest.
    pub digest: String,
    pub by: String,
    pub reason: String,
    pub at: Timestamp,
    /// At most 24 h after `at`.
    pub expires: Timestamp,
}

/// Why an approval was not taken. The hold comes back unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the approval is for another digest; look at the plan again")]
    OtherDigest,
    #[error("the approval's digest needs at least eight hex digits")]
    ShortDigest,
    #[error("the approval has expired; look at the plan again")]
    Expired,
    #[error("an approval needs a reason and a person")]
    NoReason,
}

/// One access step that somebody saw and published: publishing approves exactly these (`product` 7).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shown {
    pub lane: LaneKey,
    pub step: Op,
}

/// Everything a check needs to know besides the plan.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    pub guards: &'a Guards,
    pub history: &'a History,
    /// Steps of published changes, as they were shown.
    pub published: &'a BTreeSet<Shown>,
    /// Only revokes.
    pub freeze: bool,
}
