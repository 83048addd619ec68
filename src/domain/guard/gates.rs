//! The gates: each looks at what the ones before it let through.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::ClientId;

use super::{
    super::{
        lane::{Cause, Op, Step},
        plan::{LanePlan, Plan, Proposed},
    },
    CauseKey, Check, Gate, History, Shown, Verdict,
    hold::Group,
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Removed,
    /// A grant, or a reader who becomes a writer.
    Added,
    Other,
}

/// One step with what the gates look at.
pub(super) struct Item<'p> {
    pub lane: usize,
    pub step: usize,
    pub plan: &'p LanePlan,
    pub op: &'p Op,
    pub kind: Kind,
    pub who: Option<String>,
    pub cause: CauseKey,
    /// Acts that somebody decided: counted, never held (`decisions` 12).
    pub urgent: bool,
    pub published: bool,
    pub held: Option<(Gate, String)>,
}

impl Item<'_> {
    fn counts(&self, kind: Kind) -> bool {
        self.kind == kind && self.held.is_none()
    }

    fn pair(&self) -> Option<(&str, ClientId)> {
        Some((self.who.as_deref()?, self.plan.lane.folder.client))
    }
}

fn item<'p>(lane: usize, step: usize, plan: &'p LanePlan, s: &'p Step, check: &Check<'_>) -> Item<'p> {
    use ledgerward_contract::{Email, FolderRole, Holder};
    let name = |who: &Email| Some(check.history.whose(&plan.lane.target, who).key().to_owned());
    let (kind, who) = match &s.op {
        op if plan.renews(op) => (Kind::Other, None),
        Op::Revoke { who: Holder::Person(email), .. } => (Kind::Removed, name(email)),
        Op::Revoke { who, .. } => (Kind::Removed, Some(who.to_string())),
        Op::Grant { who, .. } | Op::SetRole { who, to: FolderRole::Writer, .. } => (Kind::Added, name(who)),
        Op::SetRole { who, .. } | Op::Adopt { who, .. } => (Kind::Other, name(who)),
        Op::Create { .. } | Op::Rename { .. } => (Kind::Other, None),
    };
    let decided = matches!(s.reason.cause, Cause::RevokeNow | Cause::Decision { .. });
    let shown = || check.published.contains(&Shown { lane: plan.lane.clone(), step: s.op.clone() });
    Item {
        lane,
        step,
        plan,
        op: &s.op,
        kind,
        who,
        cause: CauseKey::of(&s.reason.cause),
        urgent: kind == Kind::Removed && decided,
        published: !check.published.is_empty() && !plan.renews(&s.op) && shown(),
        held: None,
    }
}

impl Plan<Proposed> {
    /// Splits a plan into what may happen by itself and what waits, each part with its one cause.
    ///
    /// Gates look at what would still happen: a step that one gate holds does not count for the next. `revoke --now`,
    /// disabling and other published removals are counted and never held.
    pub fn check(self, check: &Check<'_>) -> Verdict {
        let lanes = self.into_lanes();
        let mut items: Vec<Item<'_>> = vec![];
        for (l, plan) in lanes.iter().enumerate() {
            items.extend(plan.steps.iter().enumerate().map(|(s, step)| item(l, s, plan, step, check)));
        }
        structural(&mut items, check);
        removals(&mut items, check);
        additions(&mut items, check);
        touched(&mut items, check);
        let mut groups: BTreeMap<(Gate, String), Group> = BTreeMap::new();
        let mut taken: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for i in &items {
            if let Some((gate, group)) = &i.held {
                let entry = groups.entry((*gate, group.clone())).or_insert_with(|| Group::new(i.cause.clone()));
                entry.steps.entry(i.lane).or_default().insert(i.step);
                entry.count(i);
                taken.entry(i.lane).or_default().insert(i.step);
            }
        }
        let total = |kind| items.iter().filter(|i| i.kind == kind).count();
        let (removed, added) = (total(Kind::Removed), total(Kind::Added));
        let held =
            groups.into_iter().map(|((gate, group), g)| g.hold(gate, &group, &lanes, removed, added, check)).collect();
        drop(items);
        let mut cleared = lanes;
        for (l, steps) in taken {
            if let Some(lane) = cleared.get_mut(l) {
                take(lane, &steps);
            }
        }
        Verdict { cleared: Plan::from_lanes(cleared), held }
    }
}

/// Takes held steps out of a lane and says so in it.
fn take(lane: &mut LanePlan, steps: &BTreeSet<usize>) {
    let mut kept = vec![];
    for (at, step) in std::mem::take(&mut lane.steps).into_iter().enumerate() {
        if steps.contains(&at) {
            lane.held_back += 1;
            // Whoever only gets another end of the access stays as they are.
            if lane.renews(&step.op) {
                continue;
            }
            lane.held_revoke |= matches!(step.op, Op::Revoke { .. });
            if let Op::Grant { who, .. } = step.op {
                lane.not_planned.insert(who);
            }
        } else {
            kept.push(step);
        }
    }
    lane.steps = kept;
}

/// Gates that look at one step alone.
fn structural(items: &mut [Item<'_>], check: &Check<'_>) {
    for i in items.iter_mut().filter(|i| !i.urgent) {
        let revoke = i.kind == Kind::Removed;
        let narrows = matches!(i.op, Op::SetRole { to: ledgerward_contract::FolderRole::Reader, .. });
        let target = || i.plan.lane.target.to_string();
        let churned = || check.churned.get(&i.plan.lane.folder.client).map(|(connection, _)| connection.clone());
        let gate = if check.freeze && !revoke {
            Some((Gate::Freeze, "freeze".to_owned()))
        } else if !i.plan.trouble.is_empty() && !revoke && !narrows {
            Some((Gate::Folder, format!("{}/{}", i.plan.lane.target, i.plan.lane.folder)))
        } else if i.published {
            None
        // What we gave was approved once: taking it back is nothing new on the target.
        } else if i.plan.first_plan && !revoke {
            Some((Gate::FirstPlan, target()))
        } else if let Some(connection) = churned() {
            Some((Gate::Churn, connection))
        } else if i.cause == CauseKey::Policy {
            Some((Gate::Policy, target()))
        } else if i.cause == CauseKey::Drift && i.kind == Kind::Added {
            Some((Gate::RemovedByHand, format!("{}/{}", i.plan.lane.target, i.plan.lane.folder)))
        } else {
            None
        };
        i.held = gate;
    }
}

type Pairs = BTreeMap<CauseKey, BTreeSet<(String, ClientId)>>;

/// The pairs of a plan that are not held, with those of the last 24 h.
fn pairs(items: &[Item<'_>], history: &History, kind: Kind) -> Pairs {
    let mut out = Pairs::new();
    for i in items.iter().filter(|i| i.counts(kind)) {
        if let Some((who, client)) = i.pair() {
            out.entry(i.cause.clone()).or_default().insert((who.to_owned(), client));
        }
    }
    for past in history.recent.iter().filter(|p| p.removed == (kind == Kind::Removed)) {
        out.entry(past.cause.clone()).or_default().insert((past.who.key().to_owned(), past.client));
    }
    out
}

/// Holds what may be held of the steps that `which` picks.
fn hold(items: &mut [Item<'_>], gate: Gate, kind: Kind, which: impl Fn(&Item<'_>) -> bool) {
    for i in items.iter_mut() {
        if i.counts(kind) && !i.urgent && !i.published && which(i) {
            i.held = Some((gate, String::from(i.cause.clone())));
        }
    }
}

fn removals(items: &mut [Item<'_>], check: &Check<'_>) {
    let (guards, history) = (check.guards, check.history);
    let managed = |map: &BTreeMap<CauseKey, u64>, cause: &CauseKey| map.get(cause).copied().unwrap_or(0);
    let by_cause = pairs(items, history, Kind::Removed);
    let leavers = leavers(&by_cause, history);
    let gone = |who: &str| leavers.contains(who);
    for (cause, set) in &by_cause {
        let people: BTreeSet<&str> = set.iter().map(|(w, _)| w.as_str()).filter(|w| gone(w)).collect();
        if guards.leavers.trips(people.len() as u64, managed(&history.people_by_cause, cause)) {
            hold(items, Gate::Leavers, Kind::Removed, |i| i.cause == *cause && i.who.as_deref().is_some_and(gone));
        }
        let others = set.iter().filter(|(w, _)| !gone(w)).count() as u64;
        if guards.removed.trips(others, managed(&history.pairs_by_cause, cause)) {
            hold(items, Gate::Removed, Kind::Removed, |i| i.cause == *cause && !i.who.as_deref().is_some_and(gone));
        }
    }
    let mut of_client: BTreeMap<ClientId, BTreeSet<String>> = BTreeMap::new();
    for (who, client) in pairs(items, history, Kind::Removed).into_values().flatten() {
        of_client.entry(client).or_default().insert(who);
    }
    let too_many = |client: &ClientId| {
        let of = history.people_of.get(client).copied().unwrap_or(0);
        of_client.get(client).is_some_and(|p| guards.client_loses.trips(p.len() as u64, of))
    };
    hold(items, Gate::ClientLoses, Kind::Removed, |i| too_many(&i.plan.lane.folder.client));
    hold(items, Gate::LastPerson, Kind::Removed, |i| i.plan.remaining == 0 && absent(i));
    let all: BTreeSet<(String, ClientId)> = pairs(items, history, Kind::Removed).into_values().flatten().collect();
    let count = all.iter().filter(|(w, _)| !gone(w)).count() as u64;
    if guards.overall.trips(count, history.pairs_by_cause.values().sum()) {
        hold(items, Gate::Overall, Kind::Removed, |_| true);
    }
}

/// A leaver loses everything they had a day ago; somebody with one client is counted as a pair, not as a leaver.
fn leavers<'p>(removed: &'p Pairs, history: &History) -> BTreeSet<&'p str> {
    let mut lost: BTreeMap<&str, BTreeSet<ClientId>> = BTreeMap::new();
    for (who, client) in removed.values().flatten() {
        lost.entry(who).or_default().insert(*client);
    }
    let had: BTreeMap<&str, u64> = history.clients_of.iter().map(|(e, n)| (e.key(), *n)).collect();
    let all =
        |who: &str, clients: &BTreeSet<ClientId>| had.get(who).is_some_and(|n| *n > 0 && clients.len() as u64 >= *n);
    lost.into_iter().filter(|(who, clients)| all(who, clients)).map(|(who, _)| who).collect()
}

/// Whether a revoke rests on somebody's absence from a list.
fn absent(i: &Item<'_>) -> bool {
    match i.op {
        Op::Revoke { who: ledgerward_contract::Holder::Person(email), .. } => i.plan.absences.contains(email),
        _ => false,
    }
}

fn additions(items: &mut [Item<'_>], check: &Check<'_>) {
    let (guards, history) = (check.guards, check.history);
    let mut gains: BTreeMap<String, BTreeSet<ClientId>> = BTreeMap::new();
    for (who, client) in pairs(items, history, Kind::Added).into_values().flatten() {
        gains.entry(who).or_default().insert(client);
    }
    let too_much =
        |who: &str| gains.get(who).is_some_and(|c| guards.person_gains.trips(c.len() as u64, history.clients));
    hold(items, Gate::PersonGains, Kind::Added, |i| i.who.as_deref().is_some_and(too_much));
    for (cause, set) in pairs(items, history, Kind::Added) {
        let of = history.pairs_by_cause.get(&cause).copied().unwrap_or(0);
        if guards.added.trips(set.len() as u64, of) {
            hold(items, Gate::Added, Kind::Added, |i| i.cause == cause);
        }
    }
}

/// What connections add and remove together. Each may stay below its own limits, and most of the firm be turned over.
fn touched(items: &mut [Item<'_>], check: &Check<'_>) {
    let (removed, added) = (pairs(items, check.history, Kind::Removed), pairs(items, check.history, Kind::Added));
    let leavers = leavers(&removed, check.history);
    let read = |by: &&CauseKey| matches!(by, CauseKey::Connection(_));
    let stay = removed.iter().filter(|(by, _)| read(by)).flat_map(|(_, set)| set);
    let stay = stay.filter(|(who, _)| !leavers.contains(who.as_str()));
    let come = added.iter().filter(|(by, _)| read(by)).flat_map(|(_, set)| set);
    let count = stay.chain(come).collect::<BTreeSet<_>>().len() as u64;
    if !check.guards.touched.trips(count, check.history.pairs_by_cause.values().sum()) {
        return;
    }
    for kind in [Kind::Removed, Kind::Added] {
        hold(items, Gate::Touched, kind, |i| matches!(i.cause, CauseKey::Connection(_)));
    }
}
