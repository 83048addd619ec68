//! The blast gate: what of a plan may happen by itself, and what waits for a person (`decisions` 11–14, 27).

mod digest;
mod gates;
mod hold;

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ClientId, Email, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::{
    digest::{digest, policy_hash},
    hold::Refused,
};
use super::{
    firm::TargetName,
    lane::{Cause, LaneKey, Op},
    plan::{Cleared, LanePlan, Plan},
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
    /// Clients of a connection that vanished or have another name or id (G6 of `reliability` 5.2).
    pub churn: Limit,
    /// Pairs that connections add or remove, whole leavers not counted (G6).
    pub touched: Limit,
}

/// What is counted together: a connection, or our own reasons.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
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
    /// All active clients, private books not counted.
    pub clients: u64,
    /// People with an address of their own on a target, by that address: the firm's. Everybody here is named by the firm's, or
    /// somebody with two addresses would count as two people.
    pub addresses: BTreeMap<TargetName, BTreeMap<Email, Email>>,
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
    /// A connection's list of clients is suddenly a different one (G6).
    Churn,
    /// Taken out by hand; put back only if somebody says so (S06).
    RemovedByHand,
    Leavers,
    Removed,
    ClientLoses,
    LastPerson,
    Overall,
    Added,
    PersonGains,
    /// Too many pairs added and removed together (G6).
    Touched,
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
    /// Clients of connections whose list is not believed (G6): the connection's name and why.
    pub churned: &'a BTreeMap<ClientId, (String, String)>,
    /// What a stop message adds about a connection: `returned 0 users at 06:10; last good count 37`.
    pub notes: &'a BTreeMap<String, String>,
}

impl Default for Guards {
    fn default() -> Self {
        let limit = |floor, percent| Limit { floor, percent };
        Self {
            leavers: limit(1, 10),
            removed: limit(3, 10),
            client_loses: limit(2, 50),
            overall: limit(8, 10),
            added: limit(10, 20),
            person_gains: limit(5, 25),
            churn: limit(2, 10),
            touched: limit(12, 30),
        }
    }
}

impl Verdict {
    /// Lanes in which somebody stays who was to go: their revoke is held, or is one of a lane that did not get done (`bad`).
    pub fn keeps_in(&self, bad: &BTreeSet<&LaneKey>) -> BTreeSet<&LaneKey> {
        // Whoever is let out to be let in again loses nothing.
        let lets_out = |l: &&LanePlan| l.steps.iter().any(|s| matches!(s.op, Op::Revoke { .. }) && !l.renews(&s.op));
        let failed = self.cleared.lanes().iter().filter(|l| bad.contains(&l.lane));
        self.held.iter().flat_map(|h| &h.lanes).chain(failed).filter(lets_out).map(|l| &l.lane).collect()
    }
}

impl History {
    /// Who has this address on a target, by the firm's address; whoever has none is named by this one.
    pub fn whose<'a>(&'a self, target: &TargetName, who: &'a Email) -> &'a Email {
        self.addresses.get(target).and_then(|of| of.get(who)).unwrap_or(who)
    }
}

impl Limit {
    pub fn trips(self, count: u64, of: u64) -> bool {
        count > self.floor && count.saturating_mul(100) > of.saturating_mul(self.percent)
    }
}

impl From<CauseKey> for String {
    /// One text, so that it can be a key in JSON: `connection:xero`, `decision`.
    fn from(key: CauseKey) -> Self {
        match key {
            CauseKey::Connection(name) => format!("connection:{name}"),
            CauseKey::Decision => "decision".to_owned(),
            CauseKey::RevokeNow => "revoke_now".to_owned(),
            CauseKey::Policy => "policy".to_owned(),
            CauseKey::Drift => "drift".to_owned(),
        }
    }
}

impl From<String> for CauseKey {
    /// A text that we did not write counts as a connection's name: a cause of its own, with no allowance of another's.
    fn from(text: String) -> Self {
        match text.as_str() {
            "decision" => Self::Decision,
            "revoke_now" => Self::RevokeNow,
            "policy" => Self::Policy,
            "drift" => Self::Drift,
            other => Self::Connection(other.strip_prefix("connection:").unwrap_or(other).to_owned()),
        }
    }
}

impl CauseKey {
    pub fn of(cause: &Cause) -> Self {
        match cause {
            Cause::Source { connection, .. } => Self::Connection(connection.clone()),
            Cause::Decision { .. } => Self::Decision,
            Cause::RevokeNow => Self::RevokeNow,
            Cause::Policy => Self::Policy,
            Cause::Drift => Self::Drift,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Connection(name) => format!("`{name}`"),
            Self::Decision => "changes of the firm".to_owned(),
            Self::RevokeNow => "`revoke --now`".to_owned(),
            Self::Policy => "changed settings".to_owned(),
            Self::Drift => "changes made by hand on the folders".to_owned(),
        }
    }
}
