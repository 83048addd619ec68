//! The difference between what a folder should be and what it is, as steps (`product` 7).
//!
//! Nothing outside `owned` is ever revoked or changed. Nobody whose evidence is unknown is touched. What a person did by
//! hand is shown, kept, or asked about; it is never undone in silence.

mod entries;
mod extra;
mod planned;
mod propose;
mod steps;

use std::{
    collections::{BTreeMap, BTreeSet},
    marker::PhantomData,
    sync::Arc,
};

use ledgerward_contract::{Email, FolderId, Holder, PermissionId, SeenPermission, SeenRole, Timestamp, Via};
use serde::{Serialize, Serializer};

pub use self::{extra::Extra, planned::Planned, propose::propose};
use super::{
    finding::Finding,
    firm::{AcceptedHolder, PersonId},
    lane::{Cause, LaneKey, Op, OwnedGrant, Reason, Step},
    policy::{Decider, PersonIx},
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

impl Trouble {
    pub const fn words(&self) -> &'static str {
        match self {
            Self::MarkerMissing => "our mark on the folder is missing",
            Self::MarkerForeign { .. } => "the folder carries another client's mark",
            Self::Moved { .. } => "the folder was moved",
            Self::OwnerChanged { .. } => "the folder has another owner",
            Self::Trashed => "the folder is in the bin",
            Self::Gone => "the folder is gone",
            Self::NoAccess => "we may not look at the folder",
            Self::LinkOn => "a link or everyone opens the folder",
            Self::SharedFolder => "two lanes are bound to one folder",
        }
    }
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
    /// Whose entries rest on extra access alone ([`LanePlan::extra`] of the last run).
    pub extra: &'a BTreeMap<Email, Extra>,
    /// Entries that are a planned person under another address (a Drive account's primary one): id to planned address.
    pub known_ids: &'a BTreeMap<PermissionId, Email>,
    pub trouble: &'a [Trouble],
    /// Who owned the folder when it was made or first seen, in the target's words.
    pub owner: Option<&'a str>,
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
    /// People whose access to this client a published change touched since the lane's last cleared plan.
    pub changes: &'a BTreeMap<PersonId, Published>,
}

/// The published changes that touched somebody's access to a client, by their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub latest: String,
    /// The latest that can have taken something away ([`super::change::only_gives`] cannot).
    pub taking: Option<String>,
}

/// A folder of which nothing can be seen in this run.
pub const LIST_UNREADABLE: &str = "folder.list_unreadable";

/// Between what could not be read and why.
pub const UNREADABLE: &str = " could not be read: ";

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
    /// Said no to the invitation.
    Declined,
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
    /// What anybody may be told of it ([`super::firm::Firm::open_name`]): a hold's message is everybody's.
    #[serde(skip)]
    pub open_name: String,
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
    /// Who is let out in `steps` and in again, only for another end of their access.
    #[serde(skip)]
    pub renewed: BTreeSet<Email>,
    /// Who is in the list still though a published change takes them out, because nobody is taken off it for now, and by which
    /// change they go then: kept for the next run, which has taken the change in.
    #[serde(skip)]
    pub left: BTreeMap<PersonId, String>,
    /// Whose entries rest on extra access alone, once the steps are done: kept for the next run.
    #[serde(skip)]
    pub extra: BTreeMap<Email, Extra>,
    /// Revokes in `steps` that rest on somebody's absence from a list.
    pub absences: BTreeSet<Email>,
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
    /// People whom the plan leaves with access; [`LanePlan::planned`] gives their addresses to the fence.
    #[serde(skip)]
    pub planned: Planned,
    /// Addresses whose grant a guard holds: not planned until it is cleared.
    pub not_planned: BTreeSet<Email>,
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

impl Plan<Proposed> {
    /// A plan from its lanes. Two lanes bound to one folder are in trouble, both of them (S15).
    pub fn proposed(mut lanes: Vec<LanePlan>) -> Self {
        lanes.sort_by(|a, b| a.lane.cmp(&b.lane));
        let mut folders: BTreeMap<(&super::firm::TargetName, &FolderId), u32> = BTreeMap::new();
        for lane in &lanes {
            if let Some(folder) = &lane.folder {
                *folders.entry((&lane.lane.target, folder)).or_default() += 1;
            }
        }
        let shared: Vec<bool> = lanes
            .iter()
            .map(|l| l.folder.as_ref().and_then(|f| folders.get(&(&l.lane.target, f))).is_some_and(|n| *n > 1))
            .collect();
        for (lane, shared) in lanes.iter_mut().zip(shared) {
            if shared && !lane.trouble.contains(&Trouble::SharedFolder) {
                lane.trouble.push(Trouble::SharedFolder);
            }
        }
        Self::from_lanes(lanes)
    }
}

impl<S> Plan<S> {
    pub(super) fn from_lanes(lanes: Vec<LanePlan>) -> Self {
        Self { lanes, state: PhantomData }
    }

    pub fn lanes(&self) -> &[LanePlan] {
        &self.lanes
    }

    pub fn into_lanes(self) -> Vec<LanePlan> {
        self.lanes
    }

    pub fn lane(&self, key: &LaneKey) -> Option<&LanePlan> {
        self.lanes.iter().find(|l| l.lane == *key)
    }

    /// How many steps.
    pub fn len(&self) -> usize {
        self.lanes.iter().map(|l| l.steps.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(|l| l.steps.is_empty())
    }

    /// The digest that `apply` takes (`decisions` 27).
    pub fn digest(&self) -> String {
        super::guard::digest(&self.lanes)
    }
}

impl Plan<Cleared> {
    /// Both plans as one: the cleared one and approved holds. Steps of one lane come together in the lane's order.
    pub fn join(self, other: Self) -> Self {
        let mut by_key: BTreeMap<LaneKey, LanePlan> = BTreeMap::new();
        for lane in self.lanes.into_iter().chain(other.lanes) {
            match by_key.get_mut(&lane.lane) {
                None => {
                    by_key.insert(lane.lane.clone(), lane);
                }
                Some(old) => {
                    // Each plan of one lane counts what it lacks: what the other brings is no longer held back.
                    old.held_back = old.held_back.saturating_sub(lane.steps.len());
                    let brings_revoke = lane.steps.iter().any(|s| matches!(s.op, Op::Revoke { .. }));
                    old.held_revoke &= old.held_back > 0 || !brings_revoke;
                    for step in &lane.steps {
                        if let Op::Grant { who, .. } = &step.op {
                            old.not_planned.remove(who);
                        }
                    }
                    old.steps.extend(lane.steps);
                    super::order::sort(&mut old.steps);
                }
            }
        }
        Self::from_lanes(by_key.into_values().collect())
    }
}

impl Plan<Cleared> {
    /// Only the revokes that `of` names. A part of what was cleared is cleared.
    pub fn revokes(mut self, of: impl Fn(&LaneKey, &Holder, &PermissionId) -> bool) -> Self {
        for lane in &mut self.lanes {
            let key = lane.lane.clone();
            lane.steps.retain(|s| match &s.op {
                Op::Revoke { who, permission, .. } => of(&key, who, permission),
                _ => false,
            });
        }
        self
    }
}

impl<S> Serialize for Plan<S> {
    fn serialize<Z: Serializer>(&self, to: Z) -> Result<Z::Ok, Z::Error> {
        use serde::ser::SerializeStruct;
        let mut out = to.serialize_struct("Plan", 2)?;
        out.serialize_field("digest", &self.digest())?;
        out.serialize_field("lanes", &self.lanes)?;
        out.end()
    }
}

impl LanePlan {
    /// Whether a step is half of giving somebody another end of the access they have: out, and in again as before. The two
    /// go together or not at all, and take nothing away and give nothing.
    pub fn renews(&self, op: &Op) -> bool {
        match op {
            Op::Revoke { who: Holder::Person(who), .. } => self.renewed.contains(who),
            Op::Grant { who, .. } => self.renewed.contains(who),
            _ => false,
        }
    }

    /// Whoever is let out goes because of one act of the firm, and not by what any source says. `revoke --now` stays what
    /// it is.
    pub fn decided(&mut self, change: &str, because: &str) {
        let reason =
            Arc::new(Reason { cause: Cause::Decision { change: change.to_owned() }, because: because.to_owned() });
        let revokes = self.steps.iter_mut().filter(|s| matches!(s.op, Op::Revoke { .. }));
        for step in revokes.filter(|s| s.reason.cause != Cause::RevokeNow) {
            step.reason = Arc::clone(&reason);
        }
        self.absences.clear();
    }

    /// Whom the fence lets in by this plan: everybody it leaves with access, at their address on the target.
    pub fn planned(&self, decider: &Decider<'_>) -> BTreeSet<Email> {
        let at = |ix: PersonIx| decider.address(&self.lane.target, ix).filter(|e| !self.not_planned.contains(e));
        self.planned.iter().filter_map(at).cloned().collect()
    }

    /// Why no file may go into this lane now, apart from what the fence finds; `None`: files may go.
    pub fn waits(&self, now: Timestamp) -> Option<&'static str> {
        let old = |since: Timestamp| now.duration_since(since).as_hours() >= 24;
        if !self.delivery {
            Some("nothing is delivered here")
        } else if self.held_revoke {
            Some("somebody waits to be let out")
        } else if let Some(trouble) = self.trouble.first() {
            Some(trouble.words())
        } else if self.first_plan && self.held_back > 0 {
            Some("the target's first plan waits for approval")
        } else if self.unknown_since.is_some_and(old) {
            Some("who may see this client has been unknown for 24 hours")
        } else {
            None
        }
    }
}

/// The entries of whoever owns the folder itself. Who owns a thing in it does not, and where several may have the role of an
/// owner it is the one whom the target named when the folder was made or first seen.
pub fn owners<'l>(list: &'l [SeenPermission], named: Option<&str>) -> Vec<&'l SeenPermission> {
    let owns = |p: &&SeenPermission| p.role == SeenRole::Owner && !matches!(p.via, Via::Below(_));
    let all: Vec<_> = list.iter().filter(owns).collect();
    let Some(named) = named.filter(|_| !all.is_empty()) else { return all };
    let email = Email::parse(named).ok().map(Holder::Person);
    let is = |p: &&&SeenPermission| Some(&p.holder) == email.as_ref() || p.holder.to_string() == named;
    let theirs: Vec<_> = all.iter().filter(is).copied().collect();
    // Some targets name an owner by an id that no list shows.
    if theirs.is_empty() && email.is_none() { all } else { theirs }
}

/// Sorted (holder, role) of a sharing list: the base of a plan. Before a lane writes, its list is read again and must give
/// the same.
pub fn base(list: &[SeenPermission]) -> Vec<(String, String)> {
    let role = |r: &SeenRole| match r {
        SeenRole::Reader => "reader".to_owned(),
        SeenRole::Commenter => "commenter".to_owned(),
        SeenRole::Writer => "writer".to_owned(),
        SeenRole::Manager => "manager".to_owned(),
        SeenRole::Owner => "owner".to_owned(),
        SeenRole::MetadataOnly => "metadata_only".to_owned(),
        SeenRole::Declined => "declined".to_owned(),
        SeenRole::Other(word) => format!("other:{word}"),
    };
    let mut base: Vec<_> = list.iter().map(|p| (p.holder.to_string(), role(&p.role))).collect();
    base.sort();
    base
}
