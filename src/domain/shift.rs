//! What a change of the firm does to access: who gains and who loses which folder, by the same planner that runs use.

use std::{cmp::Ordering, collections::BTreeMap};

use ledgerward_contract::{Email, FolderRole};
use serde::Serialize;

use super::{
    firm::PersonId,
    lane::LaneKey,
    policy::{Decider, DesiredLane, LaneState, Wanted},
};

/// One person and one folder, before and after. `None`: not entitled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shift {
    pub lane: LaneKey,
    pub person: PersonId,
    pub before: Option<FolderRole>,
    pub after: Option<FolderRole>,
    /// The address that goes and the one that comes, where the target will see another one: whoever reads the new one gets in.
    pub address: Option<(Email, Email)>,
}

impl Shift {
    pub const fn gains(&self) -> bool {
        self.after.is_some() && self.before.is_none()
    }

    pub const fn loses(&self) -> bool {
        self.after.is_none()
    }
}

/// Every difference, in order of client, target, account and person. Who is held by unknown evidence on either side stays as
/// they are, as in a run, and is no difference.
pub fn shifts(before: &Decider<'_>, after: &Decider<'_>) -> Vec<Shift> {
    let (mut old, mut new) = (before.lanes().map(|l| l.0).peekable(), after.lanes().map(|l| l.0).peekable());
    let mut found = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some(a), Some(b)) => place(&a.lane).cmp(&place(&b.lane)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return found,
        };
        let (was, is) = match order {
            Ordering::Equal => (old.next(), new.next()),
            // A folder that only one side names may exist all the same: the planner would ask about it by its key.
            Ordering::Less => {
                let was = old.next();
                let is = was.as_ref().map(|l| after.lane(&l.lane).0);
                (was, is)
            }
            Ordering::Greater => {
                let is = new.next();
                (is.as_ref().map(|l| before.lane(&l.lane).0), is)
            }
        };
        if let (Some(was), Some(is)) = (was, is) {
            compare((before, &was), (after, &is), &mut found);
        }
    }
}

/// How somebody is to hold a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holding {
    pub role: FolderRole,
    /// What the target knows them by.
    address: Option<Email>,
}

/// Who is to hold a folder.
pub(super) fn holdings(d: &Decider<'_>, lane: &DesiredLane<'_>) -> BTreeMap<PersonId, Holding> {
    let one = |w: &Wanted| {
        let address = d.address(&lane.lane.target, w.person).cloned();
        Some((d.person(w.person)?.id, Holding { role: w.role, address }))
    };
    lane.wants.iter().filter_map(one).collect()
}

/// The address that goes and the one that comes, of somebody who stays under another one.
pub(super) fn readdressed(old: Option<&Holding>, new: Option<&Holding>) -> Option<(Email, Email)> {
    let (goes, comes) = (old?.address.as_ref()?, new?.address.as_ref()?);
    (goes != comes).then(|| (goes.clone(), comes.clone()))
}

fn place(key: &LaneKey) -> (ledgerward_contract::ClientId, &str, Option<&str>) {
    (key.folder.client, key.target.0.as_str(), key.folder.account.as_ref().map(|a| a.as_str()))
}

fn compare(
    (before, was): (&Decider<'_>, &DesiredLane<'_>),
    (after, is): (&Decider<'_>, &DesiredLane<'_>),
    found: &mut Vec<Shift>,
) {
    // An archived client's list stays as it is.
    if is.state == LaneState::Kept {
        return;
    }
    let held = |d: &Decider<'_>, l: &DesiredLane<'_>, who: PersonId| {
        l.held.iter().any(|(ix, _)| d.person(*ix).is_some_and(|p| p.id == who))
    };
    let (old, new) = (holdings(before, was), holdings(after, is));
    for person in old.keys().chain(new.keys().filter(|p| !old.contains_key(*p))) {
        let (a, b) = (old.get(person), new.get(person));
        if a != b && !(b.is_none() && held(after, is, *person)) {
            let (before, after) = (a.map(|h| h.role), b.map(|h| h.role));
            found.push(Shift { lane: is.lane.clone(), person: *person, before, after, address: readdressed(a, b) });
        }
    }
}
