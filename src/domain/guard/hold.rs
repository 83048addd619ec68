//! What waits for a person: the steps of one gate and one cause, with a message and a digest.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ClientId, Timestamp};

use super::{
    super::{
        lane::Op,
        plan::{Cleared, LanePlan, Plan, Trouble},
    },
    Approval, CauseKey, Check, Gate, Hold, Refusal,
    digest::digest,
    gates::{Item, Kind},
};

/// The steps of one hold while they are collected.
pub(super) struct Group {
    pub cause: CauseKey,
    pub steps: BTreeMap<usize, BTreeSet<usize>>,
    removed: usize,
    added: usize,
    people: BTreeSet<String>,
    /// Two private books of one person have the same words, and are two.
    clients: BTreeSet<(String, ClientId)>,
}

impl Group {
    pub fn new(cause: CauseKey) -> Self {
        Self { cause, steps: BTreeMap::new(), removed: 0, added: 0, people: BTreeSet::new(), clients: BTreeSet::new() }
    }

    pub fn count(&mut self, i: &Item<'_>) {
        self.removed += usize::from(i.kind == Kind::Removed);
        self.added += usize::from(i.kind == Kind::Added);
        self.people.extend(i.who.clone());
        self.clients.insert((i.plan.open_name.clone(), i.plan.lane.folder.client));
    }

    pub fn hold(
        self,
        gate: Gate,
        group: &str,
        lanes: &[LanePlan],
        removed: usize,
        added: usize,
        check: &Check<'_>,
    ) -> Hold {
        let message = self.message(gate, group, lanes, removed, added, check);
        let mut out = vec![];
        for (l, steps) in &self.steps {
            if let Some(lane) = lanes.get(*l) {
                let mut part = lane.clone();
                let picked = lane.steps.iter().enumerate().filter(|(s, _)| steps.contains(s));
                part.steps = picked.map(|(_, step)| step.clone()).collect();
                part.held_back = lane.steps.len() - part.steps.len();
                out.push(part);
            }
        }
        let digest = digest(&out);
        Hold { gate, cause: self.cause, lanes: out, digest, message }
    }

    fn message(
        &self,
        gate: Gate,
        group: &str,
        lanes: &[LanePlan],
        removed: usize,
        added: usize,
        check: &Check<'_>,
    ) -> String {
        let cause = self.cause.words();
        let note = match &self.cause {
            CauseKey::Connection(name) => check.notes.get(name).map_or_else(String::new, |n| format!(", which {n}")),
            _ => String::new(),
        };
        let share = |part: usize, of: usize| format!("{} %", (part * 100).checked_div(of).unwrap_or(0));
        let removals = || format!("{} of {removed} removals come from {cause}{note}", share(self.removed, removed));
        let grants = || format!("{} of {added} grants come from {cause}{note}", share(self.added, added));
        let people = self.people.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let clients = self.clients.iter().take(3).map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let (people_n, clients_n) = (self.people.len(), self.clients.len());
        match gate {
            Gate::Freeze => "the firm is frozen: only revocations go on".to_owned(),
            Gate::FirstPlan => {
                let create = |(l, s): (&usize, &usize)| {
                    lanes.get(*l).and_then(|p| p.steps.get(*s)).is_some_and(|s| matches!(s.op, Op::Create { .. }))
                };
                let steps = self.steps.iter().flat_map(|(l, steps)| steps.iter().map(move |s| (l, s)));
                let (folders, grants) = (steps.filter(|at| create(*at)).count(), self.added);
                format!(
                    "the first plan of target `{group}`: {folders} folders and {grants} grants on {clients_n} clients, nothing of it was approved before"
                )
            }
            Gate::Policy => format!(
                "settings that decide access on `{group}` changed their meaning: {} removals and {} grants come from that",
                self.removed, self.added
            ),
            Gate::Folder => {
                let trouble = self
                    .steps
                    .keys()
                    .next()
                    .and_then(|l| lanes.get(*l))
                    .and_then(|l| l.trouble.first())
                    .map(Trouble::words);
                format!("{clients}: {}; nobody is added there", trouble.unwrap_or("something is wrong with the folder"))
            }
            Gate::Churn => {
                let why = self.steps.keys().next().and_then(|l| lanes.get(*l));
                let why = why.and_then(|l| check.churned.get(&l.lane.folder.client)).map_or("", |(_, why)| why);
                format!("`{group}`: {why}; {} removals and {} grants wait", self.removed, self.added)
            }
            Gate::RemovedByHand => {
                format!(
                    "{people}: not on the list of {clients} any more, though entitled and let in by us (taken out by hand, or an invitation that another account accepted); put back only if you say so"
                )
            }
            Gate::Leavers => format!("{people_n} people would lose everything at once ({people}): {}", removals()),
            Gate::Removed => removals(),
            Gate::ClientLoses => format!("{clients} would lose {people_n} people within a day: {}", removals()),
            Gate::LastPerson => {
                format!("the last person of {clients} would go because a list no longer has them: {}", removals())
            }
            Gate::Overall => format!("too many removals within a day: {}", removals()),
            Gate::Added => grants(),
            Gate::Touched => format!(
                "connections would add or remove too many people at once: {} removals and {} grants come from {cause}{note}",
                self.removed, self.added
            ),
            Gate::PersonGains => format!("{people} would gain {clients_n} clients within a day: {}", grants()),
        }
    }
}

impl Hold {
    /// Clears exactly this hold. The hold comes back with the reason where the approval does not fit.
    pub fn approve(self, approval: &Approval, now: Timestamp) -> Result<Plan<Cleared>, Refused> {
        let given = approval.digest.trim().to_ascii_lowercase();
        let expired = now >= approval.expires || now.duration_since(approval.at).as_hours() >= 24 || approval.at > now;
        let why = if given.len() < 8 || !given.bytes().all(|b| b.is_ascii_hexdigit()) {
            Refusal::ShortDigest
        } else if !digest(&self.lanes).starts_with(&given) {
            Refusal::OtherDigest
        } else if expired {
            Refusal::Expired
        } else if approval.reason.trim().is_empty() || approval.by.trim().is_empty() {
            Refusal::NoReason
        } else {
            return Ok(Plan::from_lanes(self.lanes));
        };
        Err(Refused { hold: Box::new(self), why })
    }
}

/// An approval that was not taken.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    pub hold: Box<Hold>,
    pub why: Refusal,
}
