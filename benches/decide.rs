//! How long deciding and planning takes, and what memory it needs, at the sizes of `design` 11.
//!
//! `cargo bench --bench decide` prints one line per case and how it compares with the aim; `cargo bench --bench decide -- L`
//! runs one size. Times are of the processor, the best of a few rounds. Memory is the peak of the process (`VmHWM`) above
//! what it held before the case, so each case runs in a process of its own; a lane's plan is dropped before the next.
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
    policy::{Decider, Wanted},
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
    /// How often it is measured; the best counts.
    rounds: usize,
    /// The aim: ms of one core, and MiB above the input.
    aim: (f64, f64),
}

/// L: 300 people, 15,000 clients, each person listed in 2 % of the ledgers and selected there. X: everybody in everything.
const SIZES: [Size; 2] = [
    Size { name: "L", people: 300, clients: 15_000, every: 50, rounds: 9, aim: (20.0, 64.0) },
    Size { name: "X", people: 10_000, clients: 1_000, every: 1, rounds: 2, aim: (1000.0, 34.0) },
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
fn folder(
    lane: &LaneKey,
    who: &[(u32, Email)],
    by_us: &[(u32, Email)],
) -> (FolderId, Vec<SeenPermission>, Vec<OwnedGrant>) {
    let id = FolderId(lane.folder.to_string());
    let permission = |person: &u32| ledgerward_contract::PermissionId(format!("{person:08}"));
    // Parsed again: what a target lists shares no memory with the firm's book.
    let parsed = |email: &Email| Email::parse(email.as_given()).unwrap();
    let seen = |(person, email): &(u32, Email)| SeenPermission {
        id: permission(person),
        holder: Holder::Person(parsed(email)),
        role: SeenRole::Reader,
        via: Via::Direct,
        pending: false,
        ourselves: false,
        expires: None,
    };
    let list = who.iter().map(seen).collect();
    let own = |(person, email): &(u32, Email)| OwnedGrant {
        lane: lane.clone(),
        folder: id.clone(),
        who: parsed(email),
        role: FolderRole::Reader,
        permission: permission(person),
        ends: None,
        step: i64::from(*person),
    };
    let owned = by_us.iter().map(own).collect();
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

/// Forgets the peak so far: making the input needs more than the input itself.
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Time on the processor in ms, which other programs on the machine do not lengthen as they do the wall clock's; the wall
/// clock where the system does not say. The yield makes the kernel bring its count up to date.
fn clock(start: Instant) -> f64 {
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let on_cpu = text.split_whitespace().next().and_then(|t| t.parse::<f64>().ok());
    on_cpu.map_or(start.elapsed().as_secs_f64() * 1e3, |ns| ns / 1e6)
}

#[derive(Clone, Copy, PartialEq)]
enum Case {
    /// Every folder has just whom it should, listed in the order in which the firm keeps its people.
    Unchanged,
    /// The same, listed in another order.
    Shuffled,
    /// No folder exists: everything is granted anew.
    Grants,
}

const CASES: [(&str, Case); 3] =
    [("unchanged", Case::Unchanged), ("shuffled", Case::Shuffled), ("grants", Case::Grants)];

type Folders = BTreeMap<Vec<u32>, (FolderId, Vec<SeenPermission>, Vec<OwnedGrant>)>;

/// What is there: read from the store and the target lane by lane in life. Here one list serves every lane with the same
/// people, made before the clock starts, so that only deciding and planning are measured.
fn there(d: &Decider<'_>, target: &TargetName, case: Case) -> Folders {
    let mut folders = Folders::new();
    if case == Case::Grants {
        return folders;
    }
    for (lane, _) in d.lanes() {
        if let Entry::Vacant(slot) = folders.entry(lane.wants.iter().map(|w| w.person).collect()) {
            let address = |p: &u32| Some((*p, d.address(target, *p)?.clone()));
            let mut who: Vec<(u32, Email)> = slot.key().iter().filter_map(address).collect();
            let mut by_us = who.clone();
            if case == Case::Shuffled {
                who.sort_by_key(|(p, _)| p.wrapping_mul(0x9e37_79b9).rotate_left(7));
                by_us.sort_by_key(|(p, _)| p.wrapping_mul(0x85eb_ca6b).rotate_left(11));
            }
            slot.insert(folder(&lane.lane, &who, &by_us));
        }
    }
    folders
}

/// Processor time in ms of deciding alone, and of deciding and planning; how many steps came out.
fn once(firm: &Firm, facts: &Facts, target: &TargetName, folders: &Folders) -> (f64, f64, [usize; 3]) {
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
    let targets = [target.clone()];
    let wall = Instant::now();
    let start = clock(wall);
    for (lane, _) in Decider::new(firm, facts, &targets, Timestamp::UNIX_EPOCH).lanes() {
        black_box(&lane);
    }
    let decided = clock(wall) - start;
    let mut counts = [0; 3];
    // Lanes come in the same order every time, so which folder a lane has is looked up before the clock runs.
    let key = |wants: &[Wanted]| wants.iter().map(|w| w.person).collect::<Vec<_>>();
    let decider = Decider::new(firm, facts, &targets, Timestamp::UNIX_EPOCH);
    let rows: Vec<_> = match folders.is_empty() {
        true => vec![],
        false => decider.lanes().filter_map(|(lane, _)| folders.get(&key(&lane.wants))).collect(),
    };
    let start = clock(wall);
    let decider = Decider::new(firm, facts, &targets, Timestamp::UNIX_EPOCH);
    for (n, (lane, _)) in decider.lanes().enumerate() {
        let there = rows.get(n);
        let actual = ActualLane {
            folder: there.map(|f| &f.0),
            name: there.map(|_| "Client"),
            list: there.map_or(Listing::NoFolder, |f| Listing::Read(&f.1)),
            owned: there.map_or(&[], |f| &f.2),
            accepted: &[],
            adopt: &[],
            extra: &BTreeMap::new(),
            known_ids: &ids,
            trouble: &[],
            owner: None,
        };
        let plan: plan::LanePlan = propose(&decider, &lane, &actual, &cx);
        counts = [counts[0] + 1, counts[1] + lane.wants.len(), counts[2] + plan.steps.len()];
        black_box(&plan);
    }
    (decided, clock(wall) - start, counts)
}

fn run(size: &Size, name: &str, case: Case) {
    let (firm, facts) = firm(size);
    let target = TargetName("drive".into());
    let folders =
        there(&Decider::new(&firm, &facts, std::slice::from_ref(&target), Timestamp::UNIX_EPOCH), &target, case);
    forget_peak();
    let before = resident();
    let (mut decide, mut both, mut counts) = (f64::MAX, f64::MAX, [0; 3]);
    for _ in 0..size.rounds {
        let (d, b, c) = once(&firm, &facts, &target, &folders);
        (decide, both, counts) = (decide.min(d), both.min(b), c);
    }
    let peak = resident().0.saturating_sub(before.0) as f64 / 1024.0;
    let [lanes, wants, steps] = counts;
    let (ms, mib) = size.aim;
    println!(
        "{} {name:<9} {lanes} lanes, {wants} wants, {steps} steps: decide {decide:.1} ms; decide + plan {both:.1} ms ({:.2} of the aim of {ms} ms); peak {peak:.1} MiB above the input of {:.1} MiB ({:.2} of the aim of {mib} MiB)",
        size.name,
        both / ms,
        before.1 as f64 / 1024.0,
        peak / mib,
    );
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    if let [size, name] = args.as_slice()
        && let Some(size) = SIZES.iter().find(|s| s.name == size)
        && let Some((_, case)) = CASES.iter().find(|c| c.0 == name)
    {
        return run(size, name, *case);
    }
    let program = std::env::current_exe().unwrap();
    for size in SIZES.iter().filter(|s| args.is_empty() || args.iter().any(|a| a == s.name)) {
        for (name, _) in CASES {
            let status = std::process::Command::new(&program).args([size.name, name]).status().unwrap();
            assert!(status.success(), "{} {name}", size.name);
        }
    }
}
