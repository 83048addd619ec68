//! Lanes and steps: the words of a plan.

use std::sync::Arc;

use ledgerward_contract::{Email, FileKey, FolderId, FolderKey, FolderRole, Holder, PermissionId, Timestamp};
use serde::{Deserialize, Serialize};

use super::firm::TargetName;

/// One folder: a client, or one account of it, on one target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LaneKey {
    pub target: TargetName,
    pub folder: FolderKey,
}

/// Why an access step is in a plan. Gates count per cause, and a stop message names the common one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A source said so: connection and ledger.
    Source { connection: String, source: String },
    /// A published change of the firm: mode, selection, disable, guest, break-glass.
    Decision { change: String },
    /// `revoke --now`.
    RevokeNow,
    /// Settings that changed meaning (policy hash), or the first plan of a target.
    Policy,
    /// The folder differs from what we left: a role changed by hand, a grant removed by hand.
    Drift,
}

/// The decision behind both halves of a renewal: out, and in again with another end. It gives nobody anything new and takes
/// nothing away, so no gate counts it.
pub const RENEWAL: &str = "guest's end";

/// What a step does to a sharing list or a folder. Puts are not planned here: what is due is known before its bytes are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    Revoke {
        who: Holder,
        permission: PermissionId,
        role: FolderRole,
    },
    Create {
        name: String,
    },
    Rename {
        name: String,
    },
    SetRole {
        who: Email,
        permission: PermissionId,
        from: FolderRole,
        to: FolderRole,
    },
    Grant {
        who: Email,
        role: FolderRole,
    },
    /// Take an entitled person's hand-made permission as ours from now on.
    Adopt {
        who: Email,
        permission: PermissionId,
        role: FolderRole,
    },
}

impl Op {
    /// The word for it in the journal and in `--json`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Revoke { .. } => "revoke",
            Self::Create { .. } => "create",
            Self::Rename { .. } => "rename",
            Self::SetRole { .. } => "set_role",
            Self::Grant { .. } => "grant",
            Self::Adopt { .. } => "adopt",
        }
    }
}

/// One step of a lane with its reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Step {
    pub op: Op,
    /// Shared by the steps that have the same: ten thousand grants of a new folder have one or two reasons.
    #[serde(flatten, with = "shared")]
    pub reason: Arc<Reason>,
}

/// Why a step is in a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reason {
    pub cause: Cause,
    /// In words, for the plan's print and the journal: `xero "Acme Ltd": no longer a user (last seen 19 Aug)`.
    pub because: String,
}

impl Step {
    /// A step with a reason of its own.
    pub fn new(op: Op, cause: Cause, because: impl Into<String>) -> Self {
        Self { op, reason: Arc::new(Reason { cause, because: because.into() }) }
    }
}

/// What is shared is written and read as if it were not.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Reason;

    pub(super) fn serialize<S: Serializer>(reason: &Arc<Reason>, to: S) -> Result<S::Ok, S::Error> {
        Reason::serialize(reason, to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Reason>, D::Error> {
        Reason::deserialize(from).map(Arc::new)
    }
}

/// A grant that we made, recorded only if the list read just before lacked that holder. Revoking needs one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OwnedGrant {
    pub lane: LaneKey,
    pub folder: FolderId,
    /// The address we granted to, as a comparison key.
    pub who: Email,
    pub role: FolderRole,
    pub permission: PermissionId,
    /// When the target ends it by itself, because we said so: a guest's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Timestamp>,
    /// The journal row of the grant.
    pub step: i64,
}

/// A file that we delivered, as the store remembers it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Delivered {
    pub lane: LaneKey,
    pub key: FileKey,
    pub path: String,
    pub content_hash: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_reason_is_written_beside_the_step() {
        let who = Email::parse("ann@harbour.example").unwrap();
        let step = Step::new(Op::Grant { who, role: FolderRole::Reader }, Cause::RevokeNow, "why");
        let json = serde_json::json!({
            "op": { "grant": { "who": "ann@harbour.example", "role": "reader" } }, "cause": "revoke_now", "because": "why",
        });
        assert_eq!(serde_json::to_value(&step).unwrap(), json);
        assert_eq!(serde_json::from_value::<Step>(json).unwrap(), step);
    }
}
