//! The difference between what a folder should be and what it is, as steps (`product` 7).
//!
//! Nothing outside `owned` is ever revoked or changed. Nobody whose evidence is unknown is touched. What a person did by
//! hand is shown, kept, or asked about; it is never undone in silence.

use std::{
    collections::{BTreeMap, BTreeSet},
    marker::PhantomData,
};

use ledgerward_contract::{
    Email, FolderId, FolderRole, Holder, PermissionId, SeenPermission, SeenRole, Timestamp, Via,
};
use serde::{Serialize, Serializer};

use super::{
    finding::{Finding, Severity},
    firm::AcceptedHolder,
    lane::{Cause, LaneKey, Op, OwnedGrant, Step},
    policy::{Because, Decider, DesiredLane, LaneState, PersonIx, TargetBook, Wanted},
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
    pub planned: Vec<PersonIx>,
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
    /// Whom the fence lets in by this plan: everybody it leaves with access, at their address on the target.
    pub fn planned(&self, decider: &Decider<'_>) -> BTreeSet<Email> {
        let at = |ix: &PersonIx| decider.address(&self.lane.target, *ix).filter(|e| !self.not_planned.contains(e));
        self.planned.iter().filter_map(at).cloned().collect()
    }

    /// Why no file may go into this lane now, apart from what the fence finds; `None`: files may go.
    pub fn waits(&self, now: Timestamp) -> Option<&'static str> {
        let old = |since: Timestamp| now.duration_since(since).as_hours() >= 24;
        if !self.delivery {
            Some("nothing is delivered here")
        } else if self.held_revoke {
            Some("somebody waits to be let out")
        } else if !self.trouble.is_empty() {
            Some("something is wrong with the folder")
        } else if self.first_plan && self.held_back > 0 {
            Some("the target's first plan waits for approval")
        } else if self.unknown_since.is_some_and(old) {
            Some("who may see this client has been unknown for 24 hours")
        } else {
            None
        }
    }
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
        SeenRole::Other(word) => format!("other:{word}"),
    };
    let mut base: Vec<_> = list.iter().map(|p| (p.holder.to_string(), role(&p.role))).collect();
    base.sort();
    base
}

/// Compares one lane with what is there.
///
/// `actual.owned` are the store's rows of this lane, of any folder it ever had.
pub fn propose(decider: &Decider<'_>, desired: &DesiredLane<'_>, actual: &ActualLane<'_>, cx: &LaneCx<'_>) -> LanePlan {
    let client = desired.client.map_or_else(|| desired.lane.folder.client.to_string(), |c| c.slug.clone());
    let mut plan = LanePlan {
        lane: desired.lane.clone(),
        client,
        folder: actual.folder.cloned(),
        name: cx.name.to_owned(),
        steps: vec![],
        keeps: vec![],
        held: vec![],
        removed_by_hand: vec![],
        invited: vec![],
        strangers: vec![],
        released: vec![],
        until: BTreeMap::new(),
        absences: BTreeSet::new(),
        trouble: actual.trouble.to_vec(),
        findings: vec![],
        unknown_since: None,
        delivery: desired.delivery,
        remaining: 0,
        held_back: 0,
        held_revoke: false,
        first_plan: cx.first_plan,
        policy: cx.policy.to_owned(),
        base: vec![],
        planned: Vec::with_capacity(desired.wants.len()),
        not_planned: BTreeSet::new(),
    };
    let book = decider.target(&desired.lane.target);
    let mut work = Work { d: decider, book, desired, actual, cx, plan: &mut plan, grants: vec![], word_at: (0, 0) };
    work.folder();
    match actual.list {
        Listing::Unreadable(why) => work.blind(why),
        Listing::NoFolder => work.people(&[]),
        Listing::Read(list) => work.people(list),
    }
    super::order::sort(&mut work.plan.steps);
    work.grants();
    plan.keeps.sort();
    plan.remaining = plan.planned.len();
    if let (Listing::Read(list), false) = (actual.list, plan.steps.is_empty()) {
        plan.base = base(list);
    }
    plan
}

struct Work<'w, 'a> {
    d: &'w Decider<'a>,
    book: Option<&'w TargetBook<'a>>,
    desired: &'w DesiredLane<'a>,
    actual: &'w ActualLane<'w>,
    cx: &'w LaneCx<'w>,
    plan: &'w mut LanePlan,
    /// Grants that are to become steps, once all are known and their order is.
    grants: Vec<Granting>,
    /// A source and how far its facts were looked at for words.
    word_at: (u32, usize),
}

/// A grant before it is a step: a new folder of ten thousand people has its steps made once, in order.
#[derive(Clone, Copy)]
struct Granting {
    /// The address's place among all addresses in order.
    rank: u32,
    ix: PersonIx,
    role: FolderRole,
    because: Because,
    /// The vendor's role word, which the sentence has.
    word: Option<u16>,
}

/// The entries that are ours and in the list, to be looked up by what does not belong to anybody of the firm.
struct Outside<'w> {
    /// Our rows under addresses that are nobody's (any more).
    lost: Vec<&'w OwnedGrant>,
    /// The entries of all our rows; filled when first asked for.
    ours: Option<BTreeSet<&'w PermissionId>>,
}

/// The folder itself is not there to work on.
fn unusable(t: &Trouble) -> bool {
    matches!(t, Trouble::Gone | Trouble::Trashed | Trouble::NoAccess)
}

/// An entry on the folder itself, accepted, with just the role that is wanted.
#[inline]
fn in_place(want: &Wanted, p: &SeenPermission) -> bool {
    let role = match p.role {
        SeenRole::Reader => FolderRole::Reader,
        SeenRole::Writer => FolderRole::Writer,
        _ => return false,
    };
    role == want.role && p.via == Via::Direct && !p.pending && !p.ourselves
}

/// Everything known about one holder in this lane.
#[derive(Clone, Copy)]
struct Holding<'x> {
    direct: Option<&'x SeenPermission>,
    indirect: Option<&'x SeenPermission>,
    owned: Option<&'x OwnedGrant>,
}

impl<'w> Work<'w, '_> {
    fn folder(&mut self) {
        let live = self.desired.state == LaneState::Live;
        let usable = !self.actual.trouble.iter().any(unusable);
        let reason = || Cause::Decision { change: "client".to_owned() };
        match (self.actual.folder, self.actual.name) {
            (None, _) if live && usable && self.desired.create => {
                let op = Op::Create { name: self.cx.name.to_owned() };
                self.plan.steps.push(Step {
                    op,
                    cause: reason(),
                    because: "the client has no folder here yet".to_owned(),
                });
            }
            (Some(_), Some(name)) if live && name != self.cx.name => {
                if self.cx.renames {
                    let op = Op::Rename { name: self.cx.name.to_owned() };
                    let because = format!("the folder is named \"{name}\"");
                    self.plan.steps.push(Step { op, cause: reason(), because });
                } else {
                    self.plan.findings.push(Finding::new(
                        Severity::Notice,
                        "folder.name_differs",
                        self.subject(),
                        format!(
                            "the folder is \"{name}\" and would be \"{}\"; names are addresses on this target",
                            self.cx.name
                        ),
                        format!("ledgerward clients rename-folder {}", self.plan.client),
                    ));
                }
            }
            _ => {}
        }
    }

    fn subject(&self) -> String {
        format!("{}/{}", self.plan.lane.target, self.plan.client)
    }

    /// The list could not be read. Whoever is shut goes all the same, by what we own.
    fn blind(&mut self, why: &str) {
        self.plan.findings.push(Finding::new(
            Severity::Warning,
            "folder.list_unreadable",
            self.subject(),
            format!("the sharing list could not be read: {why}"),
            "nothing to do now; it is read again in the next run",
        ));
        self.plan.delivery = false;
        for owned in self.current_owned() {
            let ix = self.d.holder(&self.plan.lane.target, &owned.who);
            if ix.and_then(|ix| self.d.person(ix)).is_some_and(super::firm::Person::shut) {
                self.revoke(ix, Holder::Person(owned.who.clone()), &owned.permission, owned.role);
            } else {
                self.plan.planned.extend(ix);
            }
        }
    }

    fn current_owned(&self) -> impl Iterator<Item = &'w OwnedGrant> + use<'w> {
        let folder = self.actual.folder;
        self.actual.owned.iter().filter(move |o| folder == Some(&o.folder))
    }

    fn people(&mut self, list: &'w [SeenPermission]) {
        if let Some(folder) = self.actual.folder {
            // Rows about a folder that this lane no longer has prove nothing about the one it has.
            self.plan.released.extend(self.actual.owned.iter().filter(|o| o.folder != *folder).map(|o| o.step));
        }
        if self.agrees(list) {
            self.plan.planned.extend(self.desired.wants.iter().map(|w| w.person));
            return;
        }
        let mut ours: Vec<(PersonIx, &OwnedGrant)> = Vec::with_capacity(self.actual.owned.len());
        let mut outside = Outside { lost: vec![], ours: None };
        let mut next = 0;
        for owned in self.current_owned() {
            match self.holder(&owned.who, &mut next) {
                Some(ix) => ours.push((ix, owned)),
                None => outside.lost.push(owned),
            }
        }
        let mut seen: Vec<(PersonIx, &SeenPermission)> = Vec::with_capacity(list.len());
        let mut next = 0;
        let known_ids = Some(self.actual.known_ids).filter(|k| !k.is_empty());
        for p in list {
            let known = known_ids.and_then(|k| k.get(&p.id));
            let email = match (&p.holder, known) {
                (Holder::Person(_), Some(email)) | (Holder::Person(email), None) => Some(email),
                _ => None,
            };
            match email.and_then(|email| self.holder(email, &mut next)) {
                Some(ix) => seen.push((ix, p)),
                None => self.outsider(p, &mut outside),
            }
        }
        self.release_lost(&outside.lost, list);
        // Both are in order already where the store and the target keep the firm's.
        if !ours.is_sorted_by_key(|(ix, _)| *ix) {
            ours.sort_by_key(|(ix, _)| *ix);
        }
        if !seen.is_sorted_by_key(|(ix, _)| *ix) {
            seen.sort_by_key(|(ix, _)| *ix);
        }
        self.merge(&ours, &seen);
    }

    /// Whether the list and our rows are just the wanted people, in their order: then there is nothing to compare further.
    fn agrees(&self, list: &[SeenPermission]) -> bool {
        let (wants, owned) = (&self.desired.wants, self.actual.owned);
        let (Some(book), Some(folder)) = (self.book, self.actual.folder) else { return false };
        list.len() == wants.len()
            && owned.len() == wants.len()
            && self.desired.held.is_empty()
            && self.actual.known_ids.is_empty()
            && self.d.firm().policy.always_allowed.is_empty()
            && wants.iter().zip(list).zip(owned).all(|((want, p), own)| {
                let theirs = |email| book.is(want.person, email);
                in_place(want, p)
                    && matches!(&p.holder, Holder::Person(email) if theirs(email))
                    && own.folder == *folder
                    && theirs(&own.who)
            })
    }

    /// Whose address this is. Lists are mostly the wanted people in one order, so `next` of them is tried before any search.
    #[inline]
    fn holder(&self, email: &Email, next: &mut usize) -> Option<PersonIx> {
        let Some(book) = self.book else { return self.d.holder(&self.plan.lane.target, email) };
        let wants = &self.desired.wants;
        if let Some(want) = wants.get(*next)
            && book.is(want.person, email)
        {
            *next += 1;
            return Some(want.person);
        }
        let found = book.find(email)?;
        while wants.get(*next).is_some_and(|w| w.person <= found) {
            *next += 1;
        }
        Some(found)
    }

    /// Our rows under an address that is nobody's: over, once neither the entry nor the address is in the list.
    fn release_lost(&mut self, lost: &[&OwnedGrant], list: &[SeenPermission]) {
        if lost.is_empty() {
            return;
        }
        let direct = || list.iter().filter(|p| p.via == Via::Direct);
        let entries: BTreeSet<&PermissionId> = direct().map(|p| &p.id).collect();
        let holders: BTreeSet<&Holder> = direct().map(|p| &p.holder).collect();
        for owned in lost {
            if !entries.contains(&owned.permission) && !holders.contains(&Holder::Person(owned.who.clone())) {
                self.plan.released.push(owned.step);
            }
        }
    }

    /// Walks wants, held people, our grants and the list side by side, person after person.
    fn merge(&mut self, ours: &[(PersonIx, &'w OwnedGrant)], seen: &[(PersonIx, &'w SeenPermission)]) {
        let desired = self.desired;
        let (mut w, mut h, mut o, mut s) = (0, 0, 0, 0);
        let allowed = &self.d.firm().policy.always_allowed;
        loop {
            // The usual case by far: wanted, there with just that role, and ours; nobody else's head is at this place.
            if let (Some(want), Some((own, _)), Some((there, p))) = (desired.wants.get(w), ours.get(o), seen.get(s))
                && (want.person == *own && want.person == *there)
                && allowed.is_empty()
                && in_place(want, p)
                && desired.held.get(h).is_none_or(|x| x.0 > want.person)
                && ours.get(o + 1).is_none_or(|x| x.0 != want.person)
                && seen.get(s + 1).is_none_or(|x| x.0 != want.person)
            {
                self.plan.planned.push(want.person);
                (w, o, s) = (w + 1, o + 1, s + 1);
                continue;
            }
            let heads = [
                desired.wants.get(w).map(|x| x.person),
                desired.held.get(h).map(|x| x.0),
                ours.get(o).map(|x| x.0),
                seen.get(s).map(|x| x.0),
            ];
            let Some(ix) = heads.into_iter().flatten().min() else { break };
            let want = desired.wants.get(w).filter(|x| x.person == ix).copied();
            let held = desired.held.get(h).filter(|x| x.0 == ix).map(|x| x.1);
            let mut holding = Holding { direct: None, indirect: None, owned: None };
            while let Some((_, owned)) = ours.get(o).filter(|x| x.0 == ix) {
                holding.owned = Some(owned);
                o += 1;
            }
            let mut protected = None;
            while let Some((_, p)) = seen.get(s).filter(|x| x.0 == ix) {
                s += 1;
                match (&p.role, &p.via) {
                    _ if p.ourselves => protected = Some((*p, KeepWhy::Ourselves)),
                    (SeenRole::MetadataOnly, _) => self.keep(p, KeepWhy::NameOnly),
                    (SeenRole::Owner, _) => protected = Some((*p, KeepWhy::Owner)),
                    (_, Via::Direct) => holding.direct = Some(p),
                    _ => holding.indirect = Some(p),
                }
            }
            w += usize::from(want.is_some());
            h += usize::from(held.is_some());
            let always = !allowed.is_empty() && self.address(ix).is_some_and(|e| allowed.contains(e));
            match (protected, always, want, held) {
                (Some((p, why)), ..) => {
                    self.keep(p, why);
                    self.plan.planned.extend(want.map(|_| ix));
                }
                (None, true, ..) => {
                    for p in [holding.direct, holding.indirect].into_iter().flatten() {
                        self.keep(p, KeepWhy::AlwaysAllowed);
                    }
                }
                (None, false, Some(want), _) => self.wanted(ix, want.role, want.because, holding),
                (None, false, None, Some(because)) => self.held(ix, because, holding),
                (None, false, None, None) => self.unwanted(ix, holding),
            }
        }
    }

    fn keep(&mut self, p: &SeenPermission, why: KeepWhy) {
        self.plan.keeps.push(Keep { who: p.holder.clone(), role: p.role.clone(), via: p.via.clone(), why });
    }

    fn mirrors(&self) -> bool {
        self.cx.sharing == Sharing::Mirror && !self.plan.trouble.iter().any(unusable)
    }

    /// A target's first plan takes over entitled people who have just the role they should have; later, who was asked for.
    fn adopts(&self, email: &Email, same_role: bool) -> bool {
        self.mirrors() && ((self.cx.first_plan && same_role) || self.actual.adopt.contains(email))
    }

    fn wanted(&mut self, ix: PersonIx, role: FolderRole, because: Because, has: Holding<'_>) {
        self.plan.planned.push(ix);
        let Some(email) = self.address(ix) else { return };
        if let Some(p) = has.direct {
            if p.pending {
                self.plan.invited.push(email.clone());
            }
            let has_role = match p.role {
                SeenRole::Reader => Some(FolderRole::Reader),
                SeenRole::Writer => Some(FolderRole::Writer),
                _ => None,
            };
            match (has.owned, has_role) {
                (Some(_), Some(now)) if now == role => {}
                (Some(owned), _) if self.mirrors() => self.set_role(ix, email, p, owned, has_role, role, because),
                (None, Some(now)) if self.adopts(email, now == role) => {
                    let op = Op::Adopt { who: email.clone(), permission: p.id.clone(), role: now };
                    self.step(ix, op, because, "is entitled and was let in by hand; ours from now on");
                }
                _ => self.keep(p, KeepWhy::NotOursEntitled),
            }
            return;
        }
        if let Some(p) = has.indirect.filter(|p| !matches!(p.via, Via::Below(_))) {
            return self.keep(p, KeepWhy::NotOursEntitled);
        }
        if !self.mirrors() {
            return;
        }
        if let Some((_, until)) = self.desired.until.iter().find(|(p, _)| *p == ix) {
            self.plan.until.insert(email.clone(), *until);
        }
        if has.owned.is_some() {
            self.plan.removed_by_hand.push(email.clone());
            let op = Op::Grant { who: email.clone(), role };
            let because = "was taken out by hand and is still entitled; put back only if somebody says so".to_owned();
            self.plan.steps.push(Step { op, cause: Cause::Drift, because });
        } else {
            let word = because.source().and_then(|source| {
                if self.word_at.0 != source {
                    self.word_at = (source, 0);
                }
                self.d.facts().word(source, ix, &mut self.word_at.1)
            });
            let rank = self.book.map_or(0, |b| b.rank(ix));
            self.grants.push(Granting { rank, ix, role, because, word });
        }
    }

    /// Makes the steps of all grants, in the order of addresses that steps have anyway. Cause and sentence are made once for
    /// all that share them: they depend on the reason and the role word alone.
    fn grants(&mut self) {
        let mut grants = std::mem::take(&mut self.grants);
        grants.sort_unstable_by_key(|g| (g.rank, g.ix));
        // In order as they come, unless there are steps already that belong among or behind them.
        let among = |s: &Step| matches!(s.op, Op::Grant { .. } | Op::Adopt { .. });
        let sorted = self.book.is_some() && !self.plan.steps.iter().any(among);
        self.plan.steps.reserve_exact(grants.len());
        let mut told: Vec<(Because, Option<u16>, Cause, String)> = vec![];
        for g in grants {
            let Some(email) = self.address(g.ix) else { continue };
            let op = Op::Grant { who: email.clone(), role: g.role };
            // A published change of this very person is a cause of their own.
            let own =
                !self.cx.changes.is_empty() && self.d.person(g.ix).is_some_and(|p| self.cx.changes.contains_key(&p.id));
            match told.iter().find(|t| !own && t.0 == g.because && t.1 == g.word) {
                Some((_, _, cause, because)) => {
                    self.plan.steps.push(Step { op, cause: cause.clone(), because: because.clone() });
                }
                None => {
                    self.step(g.ix, op, g.because, "");
                    if let Some(step) = self.plan.steps.last().filter(|_| !own && told.len() < 32) {
                        told.push((g.because, g.word, step.cause.clone(), step.because.clone()));
                    }
                }
            }
        }
        if !sorted {
            super::order::sort(&mut self.plan.steps);
        }
    }

    #[inline]
    fn address(&self, ix: PersonIx) -> Option<&'w Email> {
        match self.book {
            Some(book) => book.address(ix),
            None => self.d.address(&self.plan.lane.target, ix),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one call site; a struct for it would only rename the arguments")]
    fn set_role(
        &mut self,
        ix: PersonIx,
        email: &Email,
        p: &SeenPermission,
        owned: &OwnedGrant,
        now: Option<FolderRole>,
        to: FolderRole,
        because: Because,
    ) {
        let from = match (now, &p.role) {
            (Some(now), _) => now,
            // A commenter is a reader who may write remarks.
            (None, SeenRole::Commenter) => FolderRole::Reader,
            _ => {
                self.plan.findings.push(Finding::new(
                    Severity::Warning,
                    "holder.role_raised",
                    format!("{}/{email}", self.subject()),
                    format!("{email} was made more than a writer by hand; it is left alone"),
                    "lower the role on the target if that was not meant",
                ));
                return self.keep(p, KeepWhy::NotOursEntitled);
            }
        };
        if self.d.firm().policy.additive_only && to < from {
            return self.keep(p, KeepWhy::AdditiveOnly);
        }
        let op = Op::SetRole { who: email.clone(), permission: p.id.clone(), from, to };
        if now == Some(owned.role) {
            self.step(ix, op, because, "");
        } else {
            let because = format!("the role was changed by hand; we gave {}", owned.role);
            self.plan.steps.push(Step { op, cause: Cause::Drift, because });
        }
    }

    fn held(&mut self, ix: PersonIx, because: Because, has: Holding<'_>) {
        let Some(email) = self.address(ix) else { return };
        let there = has.direct.or(has.indirect);
        for p in [has.direct, has.indirect].into_iter().flatten() {
            self.keep(p, KeepWhy::Held);
        }
        // Without a list of ours, a doubtful identity is a stranger; a source's bad hour makes nobody one.
        let doubt = match because {
            Because::LedgerUnknown(_, why) => why.is_doubt(),
            _ => true,
        };
        match there {
            Some(p) if has.owned.is_none() && doubt && !self.accepted(&p.holder) => self.plan.strangers.push(p.clone()),
            Some(_) => {
                self.plan.planned.push(ix);
                self.plan.unknown_since =
                    [self.plan.unknown_since, self.d.since(ix, because)].into_iter().flatten().min();
            }
            None => {}
        }
        if there.is_some() || because == Because::ForeignDomain {
            let because = super::explain::because_words(self.d, ix, because);
            self.plan.held.push(HeldPerson { who: email.clone(), because, present: there.is_some() });
        }
    }

    fn unwanted(&mut self, ix: PersonIx, has: Holding<'_>) {
        if let (Some(owned), None) = (has.owned, has.direct) {
            self.plan.released.push(owned.step);
        }
        let shut = self.d.person(ix).is_some_and(super::firm::Person::shut);
        match (has.direct, has.owned) {
            (Some(p), Some(_)) => {
                let stays = self.desired.state == LaneState::Kept && !shut;
                if stays || !self.mirrors() {
                    self.plan.planned.push(ix);
                    self.keep(p, KeepWhy::ListStays);
                } else if self.d.firm().policy.additive_only && !shut {
                    self.keep(p, KeepWhy::AdditiveOnly);
                    self.plan.strangers.push(p.clone());
                } else {
                    let role = if p.role == SeenRole::Writer { FolderRole::Writer } else { FolderRole::Reader };
                    self.revoke(Some(ix), p.holder.clone(), &p.id, role);
                }
            }
            (Some(p), None) => self.stranger(p),
            (None, _) => {}
        }
        if let Some(p) = has.indirect {
            self.stranger(p);
        }
    }

    fn accepted(&self, holder: &Holder) -> bool {
        self.actual.accepted.iter().any(|a| a.holder == *holder)
    }

    fn stranger(&mut self, p: &SeenPermission) {
        if self.accepted(&p.holder) && !matches!(p.holder, Holder::Link(_) | Holder::Everyone(_)) {
            return self.keep(p, KeepWhy::Accepted);
        }
        if let (Holder::Person(email), Via::Direct) = (&p.holder, &p.via)
            && self.actual.adopt.contains(email)
            && self.mirrors()
        {
            // Taken over because somebody asked; the next plan lets them out if they are not entitled (H03).
            let role = if p.role == SeenRole::Writer { FolderRole::Writer } else { FolderRole::Reader };
            let op = Op::Adopt { who: email.clone(), permission: p.id.clone(), role };
            let cause = Cause::Decision { change: "adopt".to_owned() };
            self.plan.steps.push(Step { op, cause, because: "somebody asked to take it over".to_owned() });
        }
        self.keep(p, KeepWhy::Stranger);
        self.plan.strangers.push(p.clone());
    }

    /// An entry that is no person of the firm: never touched, unless it is ours from before.
    fn outsider(&mut self, p: &SeenPermission, outside: &mut Outside<'w>) {
        let email = match &p.holder {
            _ if p.ourselves => return self.keep(p, KeepWhy::Ourselves),
            _ if p.role == SeenRole::MetadataOnly => return self.keep(p, KeepWhy::NameOnly),
            _ if p.role == SeenRole::Owner => return self.keep(p, KeepWhy::Owner),
            Holder::Person(email) => Some(email),
            Holder::Link(_) | Holder::Everyone(_) => {
                if !self.plan.trouble.contains(&Trouble::LinkOn) {
                    self.plan.trouble.push(Trouble::LinkOn);
                    self.plan.findings.push(Finding::new(
                        Severity::Urgent,
                        "folder.link_on",
                        self.subject(),
                        format!("{} opens the folder; no file goes in and nobody is added while it is on", p.holder),
                        "turn the link off on the target",
                    ));
                }
                None
            }
            Holder::Group(_) | Holder::Opaque(_) => None,
        };
        if email.is_some_and(|e| self.d.firm().policy.always_allowed.contains(e)) {
            return self.keep(p, KeepWhy::AlwaysAllowed);
        }
        // The entry that we made, now under an address that is nobody of the firm: a changed address, or an invitation
        // that another account accepted (`decisions` 18). Ours to take back either way.
        let same_entry = p.via == Via::Direct
            && email.is_some()
            && outside
                .ours
                .get_or_insert_with(|| self.current_owned().map(|o| &o.permission).collect())
                .contains(&p.id);
        if p.via == Via::Direct && outside.lost.iter().any(|o| email == Some(&o.who)) {
            return self.outgoing(p, "is an address of nobody in the firm any more");
        }
        if same_entry {
            return self.outgoing(p, "holds an entry that we made for somebody else");
        }
        self.stranger(p);
    }

    fn outgoing(&mut self, p: &SeenPermission, because: &str) {
        if self.mirrors() && self.desired.state != LaneState::Kept && !self.d.firm().policy.additive_only {
            let role = if p.role == SeenRole::Writer { FolderRole::Writer } else { FolderRole::Reader };
            let op = Op::Revoke { who: p.holder.clone(), permission: p.id.clone(), role };
            let cause = Cause::Decision { change: "address".to_owned() };
            self.plan.steps.push(Step { op, cause, because: because.to_owned() });
        } else {
            self.keep(p, KeepWhy::ListStays);
        }
    }

    fn policy_changed(&self) -> bool {
        self.cx.policy_before.is_some_and(|before| before != self.cx.policy)
    }

    fn step(&mut self, ix: PersonIx, op: Op, because: Because, text: &str) {
        let cause = self.cause(ix, because);
        let because =
            if text.is_empty() { super::explain::because_words(self.d, ix, because) } else { text.to_owned() };
        self.plan.steps.push(Step { op, cause, because });
    }

    fn revoke(&mut self, ix: Option<PersonIx>, who: Holder, permission: &PermissionId, role: FolderRole) {
        let person = ix.and_then(|ix| self.d.person(ix));
        let because = match self.desired.client {
            _ if person.is_some_and(|p| p.closed.is_some()) => Because::Closed,
            _ if person.is_some_and(|p| !p.enabled) => Because::Disabled,
            None => Because::NotOurs,
            Some(client) => person.map_or(Because::NotOurs, |p| self.d.judge(p.id, client.id).because),
        };
        let ix = ix.unwrap_or(PersonIx::MAX);
        let cause = self.cause(ix, because);
        if let (Because::LedgerDenies(_, why), Holder::Person(email)) = (because, &who)
            && why.is_absence()
            && matches!(cause, Cause::Source { .. })
        {
            self.plan.absences.insert(email.clone());
        }
        let because = super::explain::because_words(self.d, ix, because);
        let op = Op::Revoke { who, permission: permission.clone(), role };
        self.plan.steps.push(Step { op, cause, because });
    }

    /// What a step is counted under. A published change of this very person outweighs everything but `revoke --now`; after
    /// a change of the rules nothing that rests on them counts as news from a source.
    fn cause(&self, ix: PersonIx, because: Because) -> Cause {
        let decision = |change: &str| Cause::Decision { change: change.to_owned() };
        match because {
            Because::Closed => return Cause::RevokeNow,
            Because::Disabled => return decision("disabled"),
            Because::ClientClosed | Because::ClientProposed => return decision("client closed"),
            Because::Private => return decision("private"),
            Because::NotOurs => return decision("no person of the firm"),
            _ => {}
        }
        if let Some(change) = self.d.person(ix).and_then(|p| self.cx.changes.get(&p.id)) {
            return decision(change);
        }
        match because {
            Because::NotSelected => decision("not selected"),
            _ if self.policy_changed() => Cause::Policy,
            Because::UnlistedDeny | Because::NoRoster => Cause::Policy,
            Because::ModeAll => decision("mode all"),
            Because::Selected | Because::Manual => decision("selected"),
            Because::GuestManual => decision("guest"),
            Because::BreakGlass => decision("break-glass"),
            Because::Ledger(source, _)
            | Because::LedgerAndSelected(source, _)
            | Because::Roster(source, _)
            | Because::Guest(source, _)
            | Because::LedgerDenies(source, _)
            | Because::LedgerUnknown(source, _) => match self.d.facts().source(source) {
                Some(s) => Cause::Source { connection: s.source.connection.to_string(), source: s.source.id.clone() },
                None => Cause::Policy,
            },
            _ => Cause::Policy,
        }
    }
}
