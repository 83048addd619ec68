//! The difference between what a folder should be and what it is, as steps (`product` 7).
//!
//! Nothing outside `owned` is ever revoked or changed. Nobody whose evidence is unknown is touched. What a person did by
//! hand is shown, kept, or asked about; it is never undone in silence.

use std::{collections::BTreeMap, marker::PhantomData};

use ledgerward_contract::{
    ClientId, Email, FolderId, FolderRole, Holder, PermissionId, SeenPermission, SeenRole, Timestamp, Via,
};
use serde::{Serialize, Serializer};

use super::{
    finding::{Finding, Severity},
    firm::AcceptedHolder,
    lane::{Cause, LaneKey, Op, OwnedGrant, Step},
    policy::{Because, Decider, DesiredLane, LaneState, PersonIx},
};

/// How the firm lets us work on a target (`product` 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    Mirror,
    /// The list is read and compared; nothing in it is changed.
    Report,
    /// Access is granted elsewhere; there is no list to read.
    Off,
}

/// What a run knows about a folder's sharing list.
#[derive(Clone, Copy, Debug)]
pub enum Listing<'a> {
    /// There is no folder yet.
    NoFolder,
    /// The effective list, complete.
    Read(&'a [SeenPermission]),
    /// It could not be read: only urgent revocations, by what we own.
    Unreadable(&'a str),
}

/// Something wrong with the folder itself: grants and files wait, revocations do not (G7).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    MarkerMissing,
    /// Another lane's marker, or a stranger's.
    MarkerForeign {
        marker: String,
    },
    Moved {
        to: Option<FolderId>,
    },
    OwnerChanged {
        owner: String,
    },
    Trashed,
    Gone,
    NoAccess,
    /// A link or "everyone" opens the folder.
    LinkOn,
    /// Two lanes are bound to one folder (S15).
    SharedFolder,
}

/// One folder as it is now, with what the store knows about it.
#[derive(Clone, Copy, Debug)]
pub struct ActualLane<'a> {
    pub folder: Option<&'a FolderId>,
    /// The folder's name on the target now.
    pub name: Option<&'a str>,
    pub list: Listing<'a>,
    pub owned: &'a [OwnedGrant],
    pub accepted: &'a [AcceptedHolder],
    /// Holders that somebody asked to take over (`holders adopt`).
    pub adopt: &'a [Email],
    /// Entries that are a planned person under another address (a Drive account's primary one): id to planned address.
    pub known_ids: &'a BTreeMap<PermissionId, Email>,
    pub trouble: &'a [Trouble],
}

/// What the run knows about the lane besides its list.
#[derive(Clone, Copy, Debug)]
pub struct LaneCx<'a> {
    pub sharing: Sharing,
    /// The name the folder should have, from the naming module.
    pub name: &'a str,
    /// The target can rename and its folders keep their ids (`TargetLimits::folder_ids`).
    pub renames: bool,
    /// No plan of this target was ever approved: everything in it is one hold (`decisions` 13).
    pub first_plan: bool,
    /// [`super::guard::policy_hash`] of this lane now, and the one under which it was last planned and not held.
    pub policy: &'a str,
    pub policy_before: Option<&'a str>,
    /// People whose access to this client a published change touched since the lane's last cleared plan: person to change.
    pub changes: &'a BTreeMap<super::firm::PersonId, String>,
}

/// Somebody in the list who is left alone, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Keep {
    pub who: Holder,
    pub role: SeenRole,
    pub via: Via,
    pub why: KeepWhy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepWhy {
    Owner,
    Ourselves,
    AlwaysAllowed,
    /// The firm accepted this holder for this folder.
    Accepted,
    /// Entitled, and there already by hand or from above: not ours.
    NotOursEntitled,
    /// Not entitled and not ours: a stranger to the fence.
    Stranger,
    /// Evidence unknown.
    Held,
    /// The lane's list stays as it is: archived, or sharing is only reported.
    ListStays,
    /// Additive-only mode: would be revoked otherwise.
    AdditiveOnly,
    /// Sees the folder's name and nothing in it.
    NameOnly,
}

/// A person of the firm who waits, and for what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct HeldPerson {
    pub who: Email,
    pub because: String,
    /// Whether they are in the list now.
    pub present: bool,
}

/// The steps of one lane and everything that is shown beside them.
#[derive(Clone, Debug, Serialize)]
pub struct LanePlan {
    pub lane: LaneKey,
    /// The client's short name; its id where there is none.
    pub client: String,
    pub folder: Option<FolderId>,
    pub name: String,
    pub steps: Vec<Step>,
    pub keeps: Vec<Keep>,
    /// Held people who are in the list, or would be granted but for their domain.
    pub held: Vec<HeldPerson>,
    /// Ours, still wanted, and gone from the list: asked about, never put back in silence.
    pub removed_by_hand: Vec<Email>,
    /// In the list as an invitation that waits.
    pub invited: Vec<Email>,
    pub strangers: Vec<SeenPermission>,
    /// Owned rows whose permission is gone anyway: the store closes them.
    pub released: Vec<i64>,
    /// Ends of grants in `steps`, for targets that can end them natively.
    pub until: BTreeMap<Email, Timestamp>,
    /// Revokes in `steps` that rest on somebody's absence from a list.
    pub absences: std::collections::BTreeSet<Email>,
    pub trouble: Vec<Trouble>,
    pub findings: Vec<Finding>,
    pub unknown_since: Option<Timestamp>,
    pub delivery: bool,
    /// People of the firm in the list after all steps.
    pub remaining: usize,
    /// Steps that a guard took out of this plan, and whether a revoke was among them: then no file goes in.
    pub held_back: usize,
    pub held_revoke: bool,
    pub first_plan: bool,
    pub policy: String,
    /// Sorted (holder, role) of the list this plan was made from; part of the digest.
    #[serde(skip)]
    pub base: Vec<(String, String)>,
    /// People whom the cleared plan leaves with access: planned to the fence.
    #[serde(skip)]
    pub planned: Vec<PersonIx>,
}

/// The state of a plan: not looked at by the guard yet.
#[derive(Clone, Copy, Debug)]
pub struct Proposed;
/// Passed by the guard, or approved by a person. `apply` takes nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Cleared;

/// Lanes with steps. A `Plan<Cleared>` comes only from [`super::guard`].
#[derive(Clone, Debug)]
pub struct Plan<S> {
    lanes: Vec<LanePlan>,
    state: PhantomData<S>,
}
