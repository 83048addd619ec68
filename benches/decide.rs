//! How long deciding and planning takes, and what memory it needs, at the sizes of `design` 11.
//!
//! `cargo bench --bench decide` prints one line per case; `cargo bench --bench decide -- L` runs one size. Memory is the
//! peak of the process (`VmHWM`) above what it held before the case, so each case runs in a process of its own.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring program, not the product")]

use std::{
    collections::{BTreeMap, btree_map::Entry},
    hint::black_box,
    time::Instant,
};

use ledgerward::domain::{
    fact::Why,
    facts::{Facts, FactsBuilder},
    firm::*,
    lane::{LaneKey, OwnedGrant},
    plan::{self, ActualLane, LaneCx, Listing, Sharing, propose},
    policy::Decider,
};
use ledgerward_contract::{
    ClientId, Email, FolderId, FolderRole, Grade, Holder, SeenPermission, SeenRole, SourceKind, SourceRef, Timestamp,
    Via,
};
use uuid::Uuid;

struct Size {
    name: &'static str,
    people: u128,
    clients: u128,
    /// Every how many-th pair the ledger grants.
    every: u128,
}

/// L: 300 people, 15,000 clients, each person listed in 2 % of the ledgers and selected there. X: everybody in everything.
const SIZES: [Size; 2] = [
    Size { name: "L", people: 300, clients: 15_000, every: 50 },
    Size { name: "X", people: 10_000, clients: 1_000, every: 1 },
];

fn pid(n: u128) -> PersonId {
    PersonId(Uuid::from_u128(n + 1))
}

fn cid(n: u128) -> ClientId {
    ClientId(Uuid::from_u128((1 << 64) + n))
}

fn source(n: u128) -> SourceRef {
    SourceRef { connection: "xero".into(), kind: SourceKind::Ledger, id: Uuid::from_u128(n * 7919).to_string() }
}

fn firm(size: &Size) -> (Firm, Facts) {
    let mut firm = Firm { name: "Bench".into(), ..Firm::default() };
    firm.domains.insert("harbour.example".into());
    let mode = if size.every == 1 { Mode::Ledger } else { Mode::LedgerSelected };
    for n in 0..size.people {
        let person = Person {
            id: pid(n),
            first: "P".into(),
            last: n.to_string(),
            email: Email::parse(&format!("person.number{n}@harbour.example")).unwrap(),
            aliases: BTreeMap::new(),
            target_addresses: BTreeMap::new(),
            mode,
            office: Office::Employee,
            enabled: true,
            closed: None,
            domain_accepted: false,
        };
        firm.people.insert(pid(n), person);
    }
    for n in 0..size.clients {
        let client = Client {
            id: cid(n),
            slug: format!("client-{n}"),
            name: format!("Client {n} Ltd"),
            state: ClientState::Active,
            private_to: None,
            sources: [source(n)].into(),
            authority: Authority::All,
            unlisted: None,
            targets: None,
            accounts: None,
            year_end: None,
            statements_since: None,
        };
        firm.clients.insert(client.id, client);
    }
    let mut builder = FactsBuilder::new(firm.people.keys().copied());
    for c in 0..size.clients {
        let who: Vec<u128> = (0..size.people).filter(|p| (p + c) % size.every == 0).collect();
        if mode == Mode::LedgerSelected {
            for p in &who {
                let selection = Selection { scope: SelectionScope::Whole, when_granted: false };
                firm.selections.insert((pid(*p), cid(c)), selection);
            }
        }
        let run = who.iter().map(|p| (pid(*p), Why::Reader, "STANDARD", None));
        builder.add_run(&source(c), "Books", Grade::A, Why::NeverListed, run);
    }
    (firm, builder.build())
}

/// A folder in which everybody wanted is, by us.
fn folder(lane: &LaneKey, who: &[Email]) -> (FolderId, Vec<SeenPermission>, Vec<OwnedGrant>) {
    let id = FolderId(lane.folder.to_string());
    let mut list = vec![];
    let mut owned = vec![];
    for (n, email) in (0_i64..).zip(who) {
        let permission = ledgerward_contract::PermissionId(format!("{n:08}"));
        list.push(SeenPermission {
            id: permission.clone(),
            holder: Holder::Person(email.clone()),
            role: SeenRole::Reader,
            via: Via::Direct,
            pending: false,
            ourselves: false,
            expires: None,
        });
        let (lane, folder) = (lane.clone(), id.clone());
        owned.push(OwnedGrant { lane, folder, who: email.clone(), role: FolderRole::Reader, permission, step: n });
    }
    (id, list, owned)
}

/// Peak and present resident size in KiB, where the system says (`/proc`).
fn resident() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|l| l.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    (field("VmHWM:").unwrap_or(0), field("VmRSS:").unwrap_or(0))
}

fn run(size: &Size, unchanged: bool) {
    let (firm, facts) = firm(size);
    let targets = [TargetName("drive".into())];
    let (ids, changes) = (BTreeMap::new(), BTreeMap::new());
    let cx = LaneCx {
        sharing: Sharing::Mirror,
        name: "Client",
        renames: true,
        first_plan: false,
        policy: "p",
        policy_before: Some("p"),
        changes: &changes,
    };
    // What is there: read from the store and the target lane by lane in life. Here one list serves every lane with the
    // same people, made before the clock starts, so that only deciding and planning are measured.
    let mut folders = BTreeMap::new();
    if unchanged {
        let d = Decider::new(&firm, &facts, &targets, Timestamp::UNIX_EPOCH);
        for (lane, _) in d.lanes() {
            let key: Vec<u32> = lane.wants.iter().map(|w| w.person).collect();
            let who = |key: &[u32]| key.iter().filter_map(|p| d.address(&targets[0], *p)).cloned().collect::<Vec<_>>();
            if let Entry::Vacant(slot) = folders.entry(key) {
                let made = folder(&lane.lane, &who(slot.key()));
                slot.insert(made);
            }
        }
    }
    let before = resident();
    let start = Instant::now();
    let decider = Decider::new(&firm, &facts, &targets, Timestamp::UNIX_EPOCH);
    let (mut lanes, mut wants, mut steps) = (0_usize, 0_usize, 0_usize);
    for (lane, _) in decider.lanes() {
        lanes += 1;
        wants += lane.wants.len();
        black_box(&lane);
    }
    let decided = start.elapsed();
    let start = Instant::now();
    let mut choosing = std::time::Duration::ZERO;
    for (lane, _) in Decider::new(&firm, &facts, &targets, Timestamp::UNIX_EPOCH).lanes() {
        let choose = Instant::now();
        let there = unchanged.then(|| folders.get(&lane.wants.iter().map(|w| w.person).collect::<Vec<_>>())).flatten();
        choosing += choose.elapsed();
        let actual = ActualLane {
            folder: there.map(|f| &f.0),
            name: there.map(|_| "Client"),
            list: there.map_or(Listing::NoFolder, |f| Listing::Read(&f.1)),
            owned: there.map_or(&[], |f| &f.2),
            accepted: &[],
            adopt: &[],
            known_ids: &ids,
            trouble: &[],
        };
        let plan: plan::LanePlan = propose(&decider, &lane, &actual, &cx);
        steps += plan.steps.len();
        black_box(&plan);
    }
    let both = start.elapsed().saturating_sub(choosing);
    let after = resident();
    let case = if unchanged { "nothing changed" } else { "all grants" };
    println!(
        "{} {case}: {lanes} lanes, {wants} wants, {steps} steps; decide {:.1} ms; decide + plan {:.1} ms; peak {:.1} MiB above the input ({:.1} MiB)",
        size.name,
        decided.as_secs_f64() * 1e3,
        both.as_secs_f64() * 1e3,
        after.0.saturating_sub(before.1.max(before.0)) as f64 / 1024.0,
        before.1 as f64 / 1024.0,
    );
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    if let [size, case] = args.as_slice()
        && let Some(size) = SIZES.iter().find(|s| s.name == size)
    {
        return run(size, case == "unchanged");
    }
    let program = std::env::current_exe().unwrap();
    for size in SIZES.iter().filter(|s| args.is_empty() || args.iter().any(|a| a == s.name)) {
        for case in ["unchanged", "grants"] {
            let status = std::process::Command::new(&program).args([size.name, case]).status().unwrap();
            assert!(status.success(), "{} {case}", size.name);
        }
    }
}
