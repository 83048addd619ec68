//! What a change would do: who gains and who loses which folder, and which guards would hold it (`product` 8, `what-if`).

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{Email, FolderRole, Holder, PermissionId};

use super::{
    change::{self, ChangeOp},
    explain,
    firm::{PersonId, TargetName},
    guard::{Check, Hold, policy_hash},
    lane::{Cause, LaneKey, Op, Step},
    plan::{LanePlan, Plan, Planned},
    policy::{Decider, DesiredLane, LaneState},
    shift::{holdings, readdressed},
};

/// One person and one folder that a change would make different. `None`: no access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    pub lane: LaneKey,
    pub person: PersonId,
    pub email: Email,
    pub before: Option<FolderRole>,
    pub after: Option<FolderRole>,
    /// Why it would be so afterwards.
    pub because: String,
}

/// What differs between two deciders of the same targets and facts, in order of the lanes. Somebody whose evidence is
/// unknown keeps what is there, so they lose nothing and gain nothing by it.
pub fn effects(before: &Decider<'_>, after: &Decider<'_>) -> Vec<Effect> {
    let mut old: BTreeMap<LaneKey, DesiredLane<'_>> = before.lanes().map(|(l, _)| (l.lane.clone(), l)).collect();
    let mut found = Vec::new();
    for (new, _) in after.lanes() {
        let was = old.remove(&new.lane);
        one(before, after, was.as_ref(), &new, &mut found);
    }
    for (key, was) in old {
        one(before, after, Some(&was), &after.lane(&key).0, &mut found);
    }
    found.sort_by(|a, b| (&a.lane, &a.email).cmp(&(&b.lane, &b.email)));
    found
}

fn one(
    before: &Decider<'_>,
    after: &Decider<'_>,
    was: Option<&DesiredLane<'_>>,
    new: &DesiredLane<'_>,
    found: &mut Vec<Effect>,
) {
    let kept: BTreeSet<PersonId> = new.held.iter().filter_map(|(ix, _)| Some(after.person(*ix)?.id)).collect();
    let had = was.map(|lane| holdings(before, lane)).unwrap_or_default();
    let has = holdings(after, new);
    for id in had.keys().chain(has.keys().filter(|id| !had.contains_key(*id))) {
        let (old, now) = (had.get(id), has.get(id));
        let (was, is) = (old.map(|h| h.role), now.map(|h| h.role));
        let goes = readdressed(old, now).map(|(goes, _)| goes);
        // An archived client's list stays as it is, but for people who are out everywhere.
        let shut = after.firm().people.get(id).is_none_or(super::firm::Person::shut);
        if (was == is && goes.is_none())
            || (is.is_none() && (kept.contains(id) || (new.state == LaneState::Kept && !shut)))
        {
            continue;
        }
        let Some(person) = after.firm().people.get(id).or_else(|| before.firm().people.get(id)) else { continue };
        let because = match after.ix(*id) {
            Some(ix) => explain::because_words(after, ix, after.judge(*id, new.lane.folder.client).because),
            None => "no person of the firm".to_owned(),
        };
        let email = person.address_on(&new.lane.target).clone();
        let mut effect = Effect { lane: new.lane.clone(), person: *id, email, before: was, after: is, because };
        // Another address is another way in: one goes, one comes.
        if let Some(email) = goes {
            let because = "the person has another address there".to_owned();
            found.push(Effect { email, after: None, because, ..effect.clone() });
            effect.before = None;
        }
        found.push(effect);
    }
}

/// Which of these effects a guard would hold, if the acts were published now. `mirrored`: the targets whose lists we
/// change; `first`: those of them whose first plan nobody has approved yet.
pub fn holds(
    before: &Decider<'_>,
    after: &Decider<'_>,
    effects: &[Effect],
    ops: &[ChangeOp],
    targets: (&BTreeSet<TargetName>, &BTreeSet<TargetName>),
    check: &Check<'_>,
) -> Vec<Hold> {
    let (mirrored, first) = targets;
    let mut lanes: BTreeMap<&LaneKey, Vec<&Effect>> = BTreeMap::new();
    for effect in effects.iter().filter(|e| mirrored.contains(&e.lane.target)) {
        lanes.entry(&effect.lane).or_default().push(effect);
    }
    let plans = lanes.into_iter().map(|(key, effects)| {
        let named: BTreeSet<PersonId> = ops.iter().flat_map(|op| change::touches(op, key.folder.client)).collect();
        let policy = |d: &Decider<'_>| {
            d.firm().clients.get(&key.folder.client).map(|c| policy_hash(d.firm(), c, &BTreeMap::new()))
        };
        let changed = policy(before).is_some() && policy(before) != policy(after);
        let steps = effects.into_iter().map(|effect| {
            let cause = if changed && !named.contains(&effect.person) {
                Cause::Policy
            } else {
                Cause::Decision { change: "what-if".to_owned() }
            };
            Step::new(op(effect), cause, effect.because.clone())
        });
        plan(after, key, steps.collect(), first.contains(&key.target))
    });
    Plan::proposed(plans.collect()).check(check).held
}

fn op(effect: &Effect) -> Op {
    let permission = || PermissionId("unknown".to_owned());
    let who = effect.email.clone();
    match (effect.before, effect.after) {
        (Some(from), Some(to)) => Op::SetRole { who, permission: permission(), from, to },
        (_, Some(role)) => Op::Grant { who, role },
        (role, None) => {
            Op::Revoke { who: Holder::Person(who), permission: permission(), role: role.unwrap_or(FolderRole::Reader) }
        }
    }
}

fn plan(after: &Decider<'_>, key: &LaneKey, steps: Vec<Step>, first_plan: bool) -> LanePlan {
    let client = after.firm().clients.get(&key.folder.client);
    LanePlan {
        lane: key.clone(),
        client: client.map_or_else(|| key.folder.client.to_string(), |c| c.slug.clone()),
        open_name: client.map_or_else(|| key.folder.client.to_string(), |c| after.firm().open_name(c)),
        folder: None,
        name: String::new(),
        steps,
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
        trouble: vec![],
        findings: vec![],
        unknown_since: None,
        delivery: false,
        remaining: 0,
        held_back: 0,
        held_revoke: false,
        first_plan,
        policy: String::new(),
        base: vec![],
        planned: Planned::default(),
        not_planned: BTreeSet::new(),
    }
}
