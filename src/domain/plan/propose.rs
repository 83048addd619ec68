//! One lane: what it should be, beside what is there, person after person.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use ledgerward_contract::{Email, FolderRole, Holder, PermissionId, SeenPermission, SeenRole, Via};

use super::{
    super::{
        finding::{Finding, Severity},
        firm::Person,
        lane::{Cause, Op, OwnedGrant, Reason, Step},
        policy::{Because, Decider, DesiredLane, LaneState, PersonIx, TargetBook, Wanted},
    },
    ActualLane, KeepWhy, LIST_UNREADABLE, LaneCx, LanePlan, Listing, Planned, Sharing, Trouble, UNREADABLE, base,
    owners,
};

/// Compares one lane with what is there.
///
/// `actual.owned` are the store's rows of this lane, of any folder it ever had.
pub fn propose(decider: &Decider<'_>, desired: &DesiredLane<'_>, actual: &ActualLane<'_>, cx: &LaneCx<'_>) -> LanePlan {
    let client = desired.client.map_or_else(|| desired.lane.folder.client.to_string(), |c| c.slug.clone());
    let mut plan = LanePlan {
        lane: desired.lane.clone(),
        open_name: desired.client.map_or_else(|| client.clone(), |c| decider.firm().open_name(c)),
        client,
        folder: actual.folder.cloned(),
        name: cx.name.to_owned(),
        steps: vec![],
        keeps: vec![],
        held: vec![],
        removed_by_hand: vec![],
        renewed: BTreeSet::new(),
        left: BTreeMap::new(),
        invited: vec![],
        strangers: vec![],
        released: vec![],
        until: BTreeMap::new(),
        extra: BTreeMap::new(),
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
        planned: Planned::default(),
        not_planned: BTreeSet::new(),
    };
    let book = decider.target(&desired.lane.target);
    let mut work = Work {
        d: decider,
        book,
        desired,
        actual,
        cx,
        allowed: decider.firm().policy.always_allowed(&desired.lane.target).collect(),
        plan: &mut plan,
        grants: vec![],
        reasons: vec![],
        word_at: (0, 0),
    };
    work.folder();
    match actual.list {
        Listing::Unreadable(why) => work.blind(why),
        Listing::NoFolder => work.people(&[]),
        Listing::Read(list) => work.people(list),
    }
    super::super::order::sort(&mut work.plan.steps);
    work.grants();
    work.plan.extra = work.extra();
    plan.keeps.sort();
    plan.remaining = plan.planned.len();
    if let (Listing::Read(list), false) = (actual.list, plan.steps.is_empty()) {
        plan.base = base(list);
    }
    plan
}

pub(super) struct Work<'w, 'a> {
    pub d: &'w Decider<'a>,
    pub book: Option<&'w TargetBook<'a>>,
    pub desired: &'w DesiredLane<'a>,
    pub actual: &'w ActualLane<'w>,
    pub cx: &'w LaneCx<'w>,
    /// In no plan here, and no strangers.
    pub allowed: Vec<&'w Email>,
    pub plan: &'w mut LanePlan,
    /// Grants that are to become steps, once all are known and their order is.
    pub grants: Vec<Granting>,
    /// The reasons that they have, each once.
    pub reasons: Vec<Told>,
    /// A source and how far its facts were looked at for words.
    pub word_at: (u32, usize),
}

/// A grant before it is a step: a new folder of ten thousand people has its steps made once, in order.
#[derive(Clone, Copy)]
pub(super) struct Granting {
    /// The address's place among all addresses in order.
    pub rank: u32,
    pub ix: PersonIx,
    pub role: FolderRole,
    /// A place in [`Work::reasons`].
    pub reason: u32,
}

/// A reason in words, and what it was made of: whoever has the same is told the same.
pub(super) struct Told {
    /// `None`: somebody's very own.
    pub of: Option<(Because, Option<u16>)>,
    pub reason: Arc<Reason>,
}

/// The entries that are ours and in the list, to be looked up by what does not belong to anybody of the firm.
pub(super) struct Outside<'w> {
    /// Our rows under addresses that are nobody's (any more).
    pub lost: Vec<&'w OwnedGrant>,
    /// The entries of all our rows; filled when first asked for.
    pub ours: Option<BTreeSet<&'w PermissionId>>,
}

/// The folder itself is not there to work on.
pub(super) fn unusable(t: &Trouble) -> bool {
    matches!(t, Trouble::Gone | Trouble::Trashed | Trouble::NoAccess)
}

/// An entry on the folder itself, accepted, with just the role that is wanted and no end of its own.
#[inline]
fn in_place(want: &Wanted, p: &SeenPermission) -> bool {
    let role = match p.role {
        SeenRole::Reader => FolderRole::Reader,
        SeenRole::Writer => FolderRole::Writer,
        _ => return false,
    };
    role == want.role && p.via == Via::Direct && !p.pending && !p.ourselves && p.expires.is_none()
}

/// Everything known about one holder in this lane.
#[derive(Clone, Copy)]
pub(super) struct Holding<'x> {
    pub direct: Option<&'x SeenPermission>,
    pub indirect: Option<&'x SeenPermission>,
    pub owned: Option<&'x OwnedGrant>,
    /// Their invitation to this very folder is listed, and they said no.
    pub declined: bool,
}

impl Holding<'_> {
    fn is_ours(&self, p: &SeenPermission) -> bool {
        self.owned.is_some_and(|owned| owned.permission == p.id)
    }
}

impl<'w> Work<'w, '_> {
    fn folder(&mut self) {
        let live = self.desired.state == LaneState::Live;
        let usable = !self.actual.trouble.iter().any(unusable);
        let reason = || Cause::Decision { change: "client".to_owned() };
        match (self.actual.folder, self.actual.name) {
            (None, _) if live && usable && self.desired.create => {
                let op = Op::Create { name: self.cx.name.to_owned() };
                self.plan.steps.push(Step::new(op, reason(), "the client has no folder here yet"));
            }
            (Some(_), Some(name)) if live && name != self.cx.name => {
                if self.cx.renames {
                    let op = Op::Rename { name: self.cx.name.to_owned() };
                    let because = format!("the folder is named \"{name}\"");
                    self.plan.steps.push(Step::new(op, reason(), because));
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

    pub fn subject(&self) -> String {
        format!("{}/{}", self.plan.lane.target, self.plan.client)
    }

    /// The list could not be read. Whoever is shut goes all the same, by what we own.
    fn blind(&mut self, why: &str) {
        let what = if self.cx.sharing == Sharing::Off { "folder" } else { "sharing list" };
        // An error brings its own next step, if a person has to do something.
        let (why, next) = why.split_once(". ").unwrap_or((why, "It is read again in the next run."));
        self.plan.findings.push(Finding::new(
            Severity::Warning,
            LIST_UNREADABLE,
            self.subject(),
            format!("the {what} of {} on {}{UNREADABLE}{why}", self.plan.client, self.plan.lane.target),
            next,
        ));
        self.plan.delivery = false;
        for owned in self.current_owned() {
            let ix = self.d.holder(&self.plan.lane.target, &owned.who);
            if ix.and_then(|ix| self.d.person(ix)).is_some_and(Person::shut) {
                self.revoke(ix, Holder::Person(owned.who.clone()), &owned.permission, owned.role);
            } else {
                self.plan.planned.extend(ix);
            }
        }
    }

    pub fn current_owned(&self) -> impl Iterator<Item = &'w OwnedGrant> + use<'w> {
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

    /// Whether this is the entry of whoever owns the folder or a thing of their own in it. Where "owner" is a role like others,
    /// more people may have it.
    pub fn owns(&self, p: &SeenPermission) -> bool {
        let Listing::Read(list) = self.actual.list else { return true };
        matches!(p.via, Via::Below(_)) || owners(list, self.actual.owner).contains(&p)
    }

    /// Whether the list and our rows are just the wanted people, in their order: then there is nothing to compare further.
    fn agrees(&self, list: &[SeenPermission]) -> bool {
        let (wants, owned) = (&self.desired.wants, self.actual.owned);
        let (Some(book), Some(folder)) = (self.book, self.actual.folder) else { return false };
        list.len() == wants.len()
            && owned.len() == wants.len()
            && self.desired.held.is_empty()
            && self.actual.known_ids.is_empty()
            && self.allowed.is_empty()
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
        loop {
            // The usual case by far: wanted, there with just that role, and ours; nobody else's head is at this place.
            if let (Some(want), Some((own, _)), Some((there, p))) = (desired.wants.get(w), ours.get(o), seen.get(s))
                && (want.person == *own && want.person == *there)
                && self.allowed.is_empty()
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
            let mut holding = Holding { direct: None, indirect: None, owned: None, declined: false };
            while let Some((_, owned)) = ours.get(o).filter(|x| x.0 == ix) {
                holding.owned = Some(owned);
                o += 1;
            }
            let (mut protected, mut others) = (None, Vec::new());
            while let Some((_, p)) = seen.get(s).filter(|x| x.0 == ix) {
                s += 1;
                match (&p.role, &p.via) {
                    _ if p.ourselves => protected = Some((*p, KeepWhy::Ourselves)),
                    (SeenRole::MetadataOnly, _) => self.keep(p, KeepWhy::NameOnly),
                    (SeenRole::Declined, _) => {
                        self.keep(p, KeepWhy::Declined);
                        holding.declined |= p.via == Via::Direct;
                    }
                    // Whoever owns a thing in the folder is in it by nothing else.
                    (SeenRole::Owner, Via::Below(_)) => self.keep(p, KeepWhy::Owner),
                    (SeenRole::Owner, _) => protected = Some((*p, KeepWhy::Owner)),
                    // Of several entries for one person ours is the one that we made (I4).
                    (_, Via::Direct) if holding.is_ours(p) => others.extend(holding.direct.replace(p)),
                    (_, Via::Direct) if holding.direct.is_some() => others.push(*p),
                    (_, Via::Direct) => holding.direct = Some(p),
                    _ => holding.indirect = Some(p),
                }
            }
            w += usize::from(want.is_some());
            h += usize::from(held.is_some());
            let always = self.address(ix).is_some_and(|e| self.allowed.contains(&e));
            match (protected, always, want, held) {
                // Where several have an owner's role, whoever waits for a source waits as in any other.
                (Some((p, KeepWhy::Owner)), false, None, held) if !self.owns(p) => match held {
                    Some(because) if !holding.owned.is_some_and(|owned| self.outlived(ix, because, owned)) => {
                        self.held(ix, because, Holding { direct: Some(p), ..holding });
                    }
                    _ => self.stranger(p),
                },
                (Some((p, why)), ..) => {
                    self.keep(p, why);
                    self.plan.planned.extend(want.map(|_| ix));
                }
                (None, true, ..) => {
                    for p in [holding.direct, holding.indirect].into_iter().flatten().chain(mem::take(&mut others)) {
                        self.keep(p, KeepWhy::AlwaysAllowed);
                    }
                }
                (None, false, Some(want), _) => self.wanted(ix, want.role, want.because, holding),
                (None, false, None, Some(because)) => self.held(ix, because, holding),
                (None, false, None, None) => self.unwanted(ix, holding),
            }
            for p in others {
                match (protected, want, held) {
                    (Some((_, why)), ..) => self.keep(p, why),
                    (None, Some(_), _) => self.keep(p, KeepWhy::NotOursEntitled),
                    (None, None, Some(_)) => self.keep(p, KeepWhy::Held),
                    (None, None, None) => self.stranger(p),
                }
            }
        }
    }
}
