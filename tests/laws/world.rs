//! A small firm with its ledgers and folders in memory: what tests of the core read, plan against and apply to.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward::domain::{
    facts::{Facts, FactsBuilder},
    firm::*,
    guard::{Check, Guards, History, Shown, Verdict},
    identity::*,
    lane::*,
    plan::{Listing, *},
    policy::*,
};
use ledgerward_contract::*;
use uuid::Uuid;

pub fn t(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

pub fn pid(n: u128) -> PersonId {
    PersonId(Uuid::from_u128(n))
}

pub fn cid(n: u128) -> ClientId {
    ClientId(Uuid::from_u128(0x1000 + n))
}

pub fn mail(n: u128) -> Email {
    Email::parse(&format!("p{n}@harbour.example")).unwrap()
}

pub fn drive() -> TargetName {
    TargetName("drive".into())
}

pub fn ledger(n: u128) -> SourceRef {
    SourceRef { connection: "xero".into(), kind: SourceKind::Ledger, id: format!("org-{n}") }
}

pub fn person(n: u128, mode: Mode) -> Person {
    Person {
        id: pid(n),
        first: format!("P{n}"),
        last: "Example".into(),
        email: mail(n),
        aliases: BTreeMap::new(),
        target_addresses: BTreeMap::new(),
        mode,
        office: Office::Employee,
        enabled: true,
        closed: None,
        domain_accepted: false,
    }
}

pub fn client(n: u128, sources: &[SourceRef]) -> Client {
    Client {
        id: cid(n),
        slug: format!("client-{n}"),
        name: format!("Client {n} Ltd"),
        state: ClientState::Active,
        private_to: None,
        sources: sources.iter().cloned().collect(),
        authority: Authority::All,
        unlisted: None,
        targets: None,
        accounts: None,
        year_end: None,
        statements_since: None,
    }
}

pub fn role_table() -> RoleTable {
    RoleTable(BTreeMap::from([
        ("STANDARD".to_owned(), LedgerRole::Reader),
        ("ADVISER".to_owned(), LedgerRole::Writer),
        ("INVOICEONLY".to_owned(), LedgerRole::Nothing),
    ]))
}

pub fn user(ledger: &SourceRef, id: &str, email: &str, role: &str) -> AccessFact {
    AccessFact {
        ledger: ledger.id.as_str().into(),
        user: id.into(),
        email: Some(email.to_owned()),
        name: id.to_owned(),
        role: role.to_owned(),
        standing: Standing::Active,
    }
}

/// The row of person `n`.
pub fn row(ledger: &SourceRef, n: u128) -> AccessFact {
    user(ledger, &format!("u{n}"), mail(n).key(), "STANDARD")
}

/// The sign-in's own user.
pub fn own_row(ledger: &SourceRef) -> AccessFact {
    user(ledger, "own", "office@harbour.example", "STANDARD")
}

#[derive(Clone, Debug, Default)]
pub struct Folder {
    pub id: String,
    pub name: String,
    pub list: Vec<SeenPermission>,
    pub owned: Vec<OwnedGrant>,
    pub accepted: Vec<AcceptedHolder>,
    pub adopt: Vec<Email>,
    pub extra: BTreeMap<Email, Extra>,
    pub trouble: Vec<Trouble>,
    pub owner: Option<String>,
    pub policy: Option<String>,
}

pub fn seen(who: Holder, role: SeenRole) -> SeenPermission {
    let id = format!("perm-{who}").as_str().into();
    SeenPermission { id, holder: who, role, via: Via::Direct, pending: false, ourselves: false, expires: None }
}

#[derive(Clone, Debug)]
pub struct World {
    pub firm: Firm,
    pub targets: Vec<TargetName>,
    pub memory: BTreeMap<SourceRef, SourceMemory>,
    pub joined: BTreeMap<SourceRef, Joined>,
    pub folders: BTreeMap<LaneKey, Folder>,
    pub now: Timestamp,
    pub first_plan: bool,
    pub sharing: Sharing,
    pub settings: BTreeMap<String, String>,
    pub changes: BTreeMap<PersonId, Published>,
    pub history: History,
    pub published: BTreeSet<Shown>,
    pub freeze: bool,
    pub churned: BTreeMap<ClientId, (String, String)>,
    pub steps: i64,
}

impl World {
    /// `people` in one mode and `clients` with a Xero ledger each.
    pub fn new(people: u128, mode: Mode, clients: u128) -> Self {
        let mut firm = Firm { name: "Harbour & Co".into(), ..Firm::default() };
        firm.domains.insert("harbour.example".into());
        firm.roles.insert("xero".into(), role_table());
        for n in 1..=people {
            firm.people.insert(pid(n), person(n, mode));
        }
        for n in 1..=clients {
            firm.clients.insert(cid(n), client(n, &[ledger(n)]));
        }
        Self {
            firm,
            targets: vec![drive()],
            memory: BTreeMap::new(),
            joined: BTreeMap::new(),
            folders: BTreeMap::new(),
            now: t(0),
            first_plan: false,
            sharing: Sharing::Mirror,
            settings: BTreeMap::new(),
            changes: BTreeMap::new(),
            history: History::default(),
            published: BTreeSet::new(),
            freeze: false,
            churned: BTreeMap::new(),
            steps: 0,
        }
    }

    pub fn select(&mut self, n: u128, c: u128) {
        self.firm.selections.insert((pid(n), cid(c)), Selection { scope: SelectionScope::Whole, when_granted: false });
    }

    pub fn observe(&mut self, source: &SourceRef, grade: Grade, outcome: Outcome<'_>) -> Joined {
        let own = OwnIdentity { email: None, user_id: Some("own".into()) };
        let name = format!("Books of {}", source.id);
        let obs = Observation { source: source.clone(), name, grade, at: self.now, outcome, own: Some(own) };
        let memory = self.memory.entry(source.clone()).or_default();
        let joined = join(&AddressBook::new(&self.firm, &source.connection), &obs, memory);
        *memory = joined.memory.clone();
        self.firm.pins.extend(joined.new_pins.iter().cloned());
        self.joined.insert(source.clone(), joined.clone());
        joined
    }

    pub fn lists(&mut self, c: u128, rows: &[AccessFact]) -> Joined {
        self.observe(&ledger(c), Grade::A, Outcome::Listed(rows))
    }

    /// Ledger `c` lists our own user and these people.
    pub fn grants(&mut self, c: u128, people: impl IntoIterator<Item = u128>) -> Joined {
        let source = ledger(c);
        let rows: Vec<_> =
            std::iter::once(own_row(&source)).chain(people.into_iter().map(|n| row(&source, n))).collect();
        self.lists(c, &rows)
    }

    pub fn fails(&mut self, c: u128, kind: ErrorKind) -> Joined {
        let since = self.now;
        self.observe(&ledger(c), Grade::A, Outcome::Unreadable { kind, why: format!("{kind:?}"), since })
    }

    pub fn pass(&mut self, seconds: i64) {
        self.now += jiff::SignedDuration::from_secs(seconds);
    }

    pub fn facts(&self) -> Facts {
        let mut builder = FactsBuilder::new(self.firm.people.keys().copied());
        self.joined.values().for_each(|j| builder.add(j));
        builder.build()
    }

    /// Who should hold each lane, as addresses.
    pub fn wants(&self) -> BTreeMap<LaneKey, BTreeSet<String>> {
        let facts = self.facts();
        let d = Decider::new(&self.firm, &facts, &self.targets, self.now);
        let names = |lane: &DesiredLane<'_>| {
            lane.wants
                .iter()
                .filter_map(|w| d.address(&lane.lane.target, w.person))
                .map(|e| e.key().to_owned())
                .collect()
        };
        d.lanes().map(|(lane, _)| (lane.lane.clone(), names(&lane))).collect()
    }

    pub fn plan(&self) -> Plan<Proposed> {
        let facts = self.facts();
        let d = Decider::new(&self.firm, &facts, &self.targets, self.now);
        let mut lanes: Vec<_> = d.lanes().map(|l| l.0).collect();
        for key in self.folders.keys() {
            if !lanes.iter().any(|l| l.lane == *key) {
                lanes.push(d.lane(key).0);
            }
        }
        Plan::proposed(lanes.iter().map(|lane| self.propose(&d, lane)).collect())
    }

    fn propose(&self, d: &Decider<'_>, lane: &DesiredLane<'_>) -> LanePlan {
        let folder = self.folders.get(&lane.lane);
        let known_ids = BTreeMap::new();
        let none = Folder::default();
        let f = folder.unwrap_or(&none);
        let id = folder.map(|f| FolderId(f.id.clone()));
        let actual = ActualLane {
            folder: id.as_ref(),
            name: folder.map(|f| f.name.as_str()),
            list: folder.map_or(Listing::NoFolder, |f| Listing::Read(&f.list)),
            owned: &f.owned,
            accepted: &f.accepted,
            adopt: &f.adopt,
            extra: &f.extra,
            known_ids: &known_ids,
            trouble: &f.trouble,
            owner: f.owner.as_deref(),
        };
        let name = lane.client.map_or("?", |c| c.name.as_str());
        let policy = lane
            .client
            .map_or_else(String::new, |c| ledgerward::domain::guard::policy_hash(&self.firm, c, &self.settings));
        let cx = LaneCx {
            sharing: self.sharing,
            name,
            renames: true,
            first_plan: self.first_plan,
            policy: &policy,
            policy_before: f.policy.as_deref(),
            changes: &self.changes,
        };
        propose(d, lane, &actual, &cx)
    }

    pub fn check(&self, plan: Plan<Proposed>) -> Verdict {
        let (guards, notes) = (Guards::default(), BTreeMap::new());
        plan.check(&Check {
            guards: &guards,
            history: &self.history,
            published: &self.published,
            freeze: self.freeze,
            churned: &self.churned,
            notes: &notes,
        })
    }

    pub fn verdict(&self) -> Verdict {
        self.check(self.plan())
    }

    /// Does what a plan says to the folders, as a target would.
    pub fn apply<S>(&mut self, plan: &Plan<S>) {
        for lane in plan.lanes() {
            for step in &lane.steps {
                self.steps += 1;
                let number = self.steps;
                let f = self.folders.entry(lane.lane.clone()).or_insert_with(|| Folder {
                    id: format!("folder-{}-{}", lane.lane.target, lane.lane.folder),
                    name: lane.name.clone(),
                    ..Folder::default()
                });
                f.policy = Some(lane.policy.clone());
                let seen_role =
                    |r: FolderRole| if r == FolderRole::Writer { SeenRole::Writer } else { SeenRole::Reader };
                let own = |who: &Email, role, permission: &PermissionId| OwnedGrant {
                    lane: lane.lane.clone(),
                    folder: FolderId(f.id.clone()),
                    who: who.clone(),
                    role,
                    permission: permission.clone(),
                    ends: None,
                    step: number,
                };
                match &step.op {
                    Op::Revoke { who, permission, .. } => {
                        f.list.retain(|p| p.id != *permission);
                        f.owned.retain(|o| o.permission != *permission && Holder::Person(o.who.clone()) != *who);
                    }
                    Op::Create { .. } => {}
                    Op::Rename { name } => f.name = name.clone(),
                    Op::SetRole { who, permission, to, .. } => {
                        f.list.iter_mut().filter(|p| p.id == *permission).for_each(|p| p.role = seen_role(*to));
                        f.owned.iter_mut().filter(|o| o.who == *who).for_each(|o| o.role = *to);
                    }
                    Op::Grant { who, role } => {
                        let p = seen(Holder::Person(who.clone()), seen_role(*role));
                        let owned = own(who, *role, &p.id);
                        f.list.retain(|x| x.id != p.id);
                        f.owned.retain(|o| o.who != *who);
                        f.list.push(p);
                        f.owned.push(owned);
                    }
                    Op::Adopt { who, role, permission } => {
                        let owned = own(who, *role, permission);
                        f.owned.push(owned);
                    }
                }
            }
            if let Some(f) = self.folders.get_mut(&lane.lane) {
                f.extra = lane.extra.clone();
            }
        }
    }

    /// Brings the folders in line without asking a guard, and remembers that it was a day ago.
    pub fn settle(&mut self) {
        let plan = self.plan();
        self.apply(&plan);
        self.a_day_later();
    }

    /// Fills the history's denominators from what is managed now; the last 24 h were quiet.
    pub fn a_day_later(&mut self) {
        let cause = ledgerward::domain::guard::CauseKey::Connection("xero".into());
        let mut h = History { clients: self.firm.clients.len() as u64, ..History::default() };
        for p in self.firm.people.values() {
            for (target, there) in &p.target_addresses {
                h.addresses.entry(target.clone()).or_default().insert(there.clone(), p.email.clone());
            }
        }
        let mut pairs: BTreeSet<(Email, ClientId)> = BTreeSet::new();
        for (key, f) in &self.folders {
            pairs.extend(f.owned.iter().map(|o| (h.whose(&key.target, &o.who).clone(), key.folder.client)));
        }
        for (who, client) in &pairs {
            *h.clients_of.entry(who.clone()).or_default() += 1;
            *h.people_of.entry(*client).or_default() += 1;
        }
        h.pairs_by_cause.insert(cause.clone(), pairs.len() as u64);
        h.people_by_cause.insert(cause, h.clients_of.len() as u64);
        self.history = h;
    }

    /// Notes the steps of a plan as done within the last 24 h.
    pub fn note<S>(&mut self, plan: &Plan<S>) {
        use ledgerward::domain::guard::{CauseKey, Past};
        for lane in plan.lanes() {
            for step in &lane.steps {
                let (removed, who) = match &step.op {
                    Op::Revoke { who: Holder::Person(e), .. } => (true, e.clone()),
                    Op::Grant { who, .. } => (false, who.clone()),
                    _ => continue,
                };
                let cause = CauseKey::of(&step.reason.cause);
                self.history.recent.push(Past { removed, who, client: lane.lane.folder.client, cause });
            }
        }
    }
}

pub fn whole(c: u128) -> LaneKey {
    LaneKey { target: drive(), folder: FolderKey { client: cid(c), account: None } }
}

pub fn ops<S>(plan: &Plan<S>, keep: impl Fn(&Op) -> bool) -> usize {
    plan.lanes().iter().flat_map(|l| &l.steps).filter(|s| keep(&s.op)).count()
}

pub fn revokes<S>(plan: &Plan<S>) -> usize {
    ops(plan, |o| matches!(o, Op::Revoke { .. }))
}

pub fn grants<S>(plan: &Plan<S>) -> usize {
    ops(plan, |o| matches!(o, Op::Grant { .. }))
}

pub fn held_revokes(v: &Verdict) -> usize {
    v.held.iter().flat_map(|h| &h.lanes).flat_map(|l| &l.steps).filter(|s| matches!(s.op, Op::Revoke { .. })).count()
}

pub fn has_finding(j: &Joined, code: &str) -> bool {
    j.findings.iter().any(|f| f.code == code)
}
