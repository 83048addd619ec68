//! The blast gate: what of a plan may happen by itself, and what waits for a person (`decisions` 11–14, 27).

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ClientId, Email, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    firm::{Client, Firm},
    lane::{Cause, LaneKey, Op, Step},
    plan::{Cleared, LanePlan, Plan, Proposed},
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
    /// All active clients.
    pub clients: u64,
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
    /// Taken out by hand; put back only if somebody says so (S06).
    RemovedByHand,
    Leavers,
    Removed,
    ClientLoses,
    LastPerson,
    Overall,
    Added,
    PersonGains,
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
        }
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Removed,
    /// A grant, or a reader who becomes a writer.
    Added,
    Other,
}

/// One step with what the gates look at.
struct Item<'p> {
    lane: usize,
    step: usize,
    plan: &'p LanePlan,
    op: &'p Op,
    kind: Kind,
    who: Option<String>,
    cause: CauseKey,
    /// Acts that somebody decided: counted, never held (`decisions` 12).
    urgent: bool,
    published: bool,
    held: Option<(Gate, String)>,
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
    use ledgerward_contract::{FolderRole, Holder};
    let (kind, who) = match &s.op {
        Op::Revoke { who: Holder::Person(email), .. } => (Kind::Removed, Some(email.key().to_owned())),
        Op::Revoke { who, .. } => (Kind::Removed, Some(who.to_string())),
        Op::Grant { who, .. } | Op::SetRole { who, to: FolderRole::Writer, .. } => {
            (Kind::Added, Some(who.key().to_owned()))
        }
        Op::SetRole { who, .. } | Op::Adopt { who, .. } => (Kind::Other, Some(who.key().to_owned())),
        Op::Create { .. } | Op::Rename { .. } => (Kind::Other, None),
    };
    let decided = matches!(s.cause, Cause::RevokeNow | Cause::Decision { .. });
    let shown = || check.published.contains(&Shown { lane: plan.lane.clone(), step: s.op.clone() });
    Item {
        lane,
        step,
        plan,
        op: &s.op,
        kind,
        who,
        cause: CauseKey::of(&s.cause),
        urgent: kind == Kind::Removed && decided,
        published: !check.published.is_empty() && shown(),
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
        let gate = if check.freeze && !revoke {
            Some((Gate::Freeze, "freeze".to_owned()))
        } else if !i.plan.trouble.is_empty() && !revoke && !narrows {
            Some((Gate::Folder, format!("{}/{}", i.plan.lane.target, i.plan.lane.folder)))
        } else if i.published {
            None
        } else if i.plan.first_plan {
            Some((Gate::FirstPlan, target()))
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
    let mut lost: BTreeMap<&str, BTreeSet<ClientId>> = BTreeMap::new();
    for (who, client) in by_cause.values().flatten() {
        lost.entry(who).or_default().insert(*client);
    }
    let had: BTreeMap<&str, u64> = history.clients_of.iter().map(|(e, n)| (e.key(), *n)).collect();
    // A leaver loses everything they had a day ago; somebody with one client is counted as a pair, not as a leaver.
    let leavers: BTreeSet<&str> = lost
        .iter()
        .filter(|(who, clients)| had.get(*who).is_some_and(|n| *n > 0 && clients.len() as u64 >= *n))
        .map(|(who, _)| *who)
        .collect();
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

/// The steps of one hold while they are collected.
struct Group {
    cause: CauseKey,
    steps: BTreeMap<usize, BTreeSet<usize>>,
    removed: usize,
    added: usize,
    people: BTreeSet<String>,
    clients: BTreeSet<String>,
}

impl Group {
    fn new(cause: CauseKey) -> Self {
        Self { cause, steps: BTreeMap::new(), removed: 0, added: 0, people: BTreeSet::new(), clients: BTreeSet::new() }
    }

    fn count(&mut self, i: &Item<'_>) {
        self.removed += usize::from(i.kind == Kind::Removed);
        self.added += usize::from(i.kind == Kind::Added);
        self.people.extend(i.who.clone());
        self.clients.insert(i.plan.client.clone());
    }

    fn hold(
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
        let clients = self.clients.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let (people_n, clients_n) = (self.people.len(), self.clients.len());
        match gate {
            Gate::Freeze => "the firm is frozen: only revocations go on".to_owned(),
            Gate::FirstPlan => format!(
                "the first plan of target `{group}`: {added} grants on {clients_n} clients, nothing of it was approved before"
            ),
            Gate::Policy => format!(
                "settings that decide access on `{group}` changed their meaning: {} removals and {} grants come from that",
                self.removed, self.added
            ),
            Gate::Folder => {
                let trouble = self.steps.keys().next().and_then(|l| lanes.get(*l)).map(|l| trouble_words(&l.trouble));
                format!("{clients}: {}; nobody is added there", trouble.unwrap_or_default())
            }
            Gate::RemovedByHand => {
                format!("{people}: taken out of {clients} by hand and still entitled; put back only if you say so")
            }
            Gate::Leavers => format!("{people_n} people would lose everything at once ({people}): {}", removals()),
            Gate::Removed => removals(),
            Gate::ClientLoses => format!("{clients} would lose {people_n} people within a day: {}", removals()),
            Gate::LastPerson => {
                format!("the last person of {clients} would go because a list no longer has them: {}", removals())
            }
            Gate::Overall => format!("too many removals within a day: {}", removals()),
            Gate::Added => grants(),
            Gate::PersonGains => format!("{people} would gain {clients_n} clients within a day: {}", grants()),
        }
    }
}

fn trouble_words(trouble: &[super::plan::Trouble]) -> &'static str {
    use super::plan::Trouble;
    match trouble.first() {
        Some(Trouble::MarkerMissing) => "our mark on the folder is missing",
        Some(Trouble::MarkerForeign { .. }) => "the folder carries another client's mark",
        Some(Trouble::Moved { .. }) => "the folder was moved",
        Some(Trouble::OwnerChanged { .. }) => "the folder has another owner",
        Some(Trouble::Trashed) => "the folder is in the bin",
        Some(Trouble::Gone) => "the folder is gone",
        Some(Trouble::NoAccess) => "we may not look at the folder",
        Some(Trouble::LinkOn) => "a link or everyone opens the folder",
        Some(Trouble::SharedFolder) => "two lanes are bound to one folder",
        None => "something is wrong with the folder",
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

/// SHA-256 over `"ledgerward/hold/1\n"` and the canonical JSON (RFC 8785) of the sorted access steps and, per lane, the
/// folder's id and sorted (holder, role). No names, times, run ids or files (`decisions` 27).
pub fn digest(lanes: &[LanePlan]) -> String {
    let lane_json =
        |l: &LaneKey| serde_json::json!({ "target": l.target, "client": l.folder.client, "account": l.folder.account });
    let mut steps: Vec<(String, serde_json::Value)> = vec![];
    let mut bases: Vec<(LaneKey, serde_json::Value)> = vec![];
    for lane in lanes.iter().filter(|l| !l.steps.is_empty()) {
        for step in &lane.steps {
            let (op, holder, role) = match &step.op {
                Op::Revoke { who, role, .. } => ("revoke", who.to_string(), role),
                Op::Grant { who, role } => ("grant", who.to_string(), role),
                Op::SetRole { who, to, .. } => ("set_role", who.to_string(), to),
                Op::Adopt { who, role, .. } => ("adopt", who.to_string(), role),
                Op::Create { .. } | Op::Rename { .. } => continue,
            };
            let json = serde_json::json!({
                "lane": lane_json(&lane.lane), "op": op, "holder": holder, "role": role, "cause": step.cause,
            });
            steps.push((json.to_string(), json));
        }
        let base: Vec<_> = lane.base.iter().map(|(h, r)| serde_json::json!([h, r])).collect();
        let json = serde_json::json!({ "lane": lane_json(&lane.lane), "folder": lane.folder, "holders": base });
        bases.push((lane.lane.clone(), json));
    }
    steps.sort_by(|a, b| a.0.cmp(&b.0));
    bases.sort_by(|a, b| a.0.cmp(&b.0));
    let steps: Vec<_> = steps.into_iter().map(|s| s.1).collect();
    let bases: Vec<_> = bases.into_iter().map(|b| b.1).collect();
    sha("ledgerward/hold/1\n", &serde_json::json!({ "steps": steps, "lanes": bases }))
}

/// What the settings mean for one lane: the target's own (root, sharing, template: `settings`), the role tables of the
/// client's connections, authority, unlisted and the client's sources. While this differs from what was approved, steps
/// that rest on it are held (`decisions` 13).
pub fn policy_hash(firm: &Firm, client: &Client, settings: &BTreeMap<String, String>) -> String {
    let connections: BTreeSet<_> = client.sources.iter().map(|s| &s.connection).collect();
    let roles: BTreeMap<_, _> = connections.into_iter().map(|c| (c.to_string(), firm.roles.get(c))).collect();
    let value = serde_json::json!({
        "settings": settings,
        "roles": roles,
        "authority": client.authority,
        "unlisted": client.unlisted.unwrap_or(firm.policy.unlisted),
        "sources": client.sources,
    });
    sha("ledgerward/policy/1\n", &value)
}

fn sha(prefix: &str, value: &serde_json::Value) -> String {
    use sha2::Digest;
    let mut hasher = sha2::Sha256::new();
    hasher.update(prefix.as_bytes());
    // A value of strings, arrays and objects always has a canonical form; its plain text would do as well for us.
    let text = serde_json_canonicalizer::to_string(value).unwrap_or_else(|_| value.to_string());
    hasher.update(text.as_bytes());
    hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
