//! The commands that answer questions and keep the state, as a person runs them: the real program on a state of its own.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test's helpers fail the test")]

mod shape;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Instant,
};

use ledgerward::{
    domain::{
        fact::Why,
        finding::{Finding, Severity},
        firm::{
            Authority, Client, ClientState, Firm, Mode, Office, Person, PersonId, Selection, SelectionScope, TargetName,
        },
        lane::{LaneKey, Op, OwnedGrant},
    },
    statement::StatementKey,
    store::{Db, FactRow, FactValue, Intent, JournalOp, LaneRow, Options},
};
use ledgerward_contract::{
    Basis, ClientId, Email, FolderId, FolderKey, FolderRole, LedgerProfile, Period, PeriodLength, PermissionId,
    SourceKind, SourceRef, StatementKind, StatementRequest, Timestamp,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

/// A quiet morning in Auckland, where it is 31 October already.
const READ: &str = "2026-10-30T20:00:00Z";

struct World {
    dir: TempDir,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn person(n: u128, first: &str, office: Office, mode: Mode) -> Person {
    Person {
        id: PersonId(Uuid::from_u128(n)),
        first: first.into(),
        last: "Harbour".into(),
        email: Email::parse(&format!("{}@harbour.example", first.to_lowercase())).unwrap(),
        aliases: BTreeMap::new(),
        target_addresses: BTreeMap::new(),
        mode,
        office,
        enabled: true,
        closed: None,
        domain_accepted: false,
    }
}

fn source(id: &str) -> SourceRef {
    SourceRef { connection: "xero".into(), kind: SourceKind::Ledger, id: id.into() }
}

fn client(n: u128, name: &str, state: ClientState) -> Client {
    Client {
        id: ClientId(Uuid::from_u128(n)),
        slug: name.to_lowercase().replace(' ', "-"),
        name: name.into(),
        state,
        private_to: None,
        sources: [source(&format!("L{n}"))].into(),
        authority: Authority::All,
        unlisted: None,
        targets: None,
        accounts: None,
        year_end: None,
        statements_since: None,
    }
}

const ANA: u128 = 1;
const BOB: u128 = 2;
const CAS: u128 = 3;
const ACME: u128 = 11;
const BIRCH: u128 = 12;

fn firm() -> Firm {
    let mut firm = Firm::default();
    let people = [
        person(ANA, "Ana", Office::PrimaryOwner, Mode::Ledger),
        person(BOB, "Bob", Office::Employee, Mode::LedgerSelected),
        person(CAS, "Cas", Office::Employee, Mode::LedgerSelected),
    ];
    firm.people.extend(people.into_iter().map(|p| (p.id, p)));
    let mut own = client(14, "Own Books", ClientState::Active);
    own.private_to = Some(PersonId(Uuid::from_u128(ANA)));
    let clients = [
        client(ACME, "Acme Ltd", ClientState::Active),
        client(BIRCH, "Birch LLP", ClientState::Active),
        client(13, "Cedar", ClientState::Proposed),
        own,
    ];
    firm.clients.extend(clients.into_iter().map(|c| (c.id, c)));
    for who in [BOB, CAS] {
        let selection = Selection { scope: SelectionScope::Whole, when_granted: false };
        firm.selections.insert((PersonId(Uuid::from_u128(who)), ClientId(Uuid::from_u128(ACME))), selection);
    }
    firm
}

/// What the last pull left of one ledger.
fn kept(id: &str, name: &str, rest: Why, facts: &[(u128, Why, &str)]) -> Value {
    let facts: Vec<Value> = facts
        .iter()
        .map(|(who, why, role)| {
            json!([
                Uuid::from_u128(*who),
                ledgerward::domain::identity::PersonFact {
                    why: *why,
                    role: (*role).to_owned(),
                    user: (*role).into(),
                    since: None,
                }
            ])
        })
        .collect();
    json!({
        "source": source(id), "name": name, "grade": "A",
        "memory": ledgerward::domain::identity::SourceMemory::default(),
        "last": {"facts": facts, "rest": rest, "unknown_since": null, "trouble": null},
    })
}

impl World {
    /// A firm of three, of whom Bob has Acme's folder already.
    fn new() -> Self {
        let shm = Path::new("/dev/shm");
        let dir = if shm.is_dir() { tempfile::tempdir_in(shm).unwrap() } else { tempfile::tempdir().unwrap() };
        let world = Self { dir };
        fs::create_dir(world.path("clients")).unwrap();
        let config = format!(
            "version = 1\n[firm]\nname = \"Harbour & Co\"\ndomains = [\"harbour.example\"]\ntimezone = \"Pacific/Auckland\"\n\
             [connections.xero]\nconnector = \"xero\"\nclient_id = \"abc\"\n\
             [targets.drive]\nconnector = \"google-drive\"\nclient_id = \"def\"\nsharing = \"mirror\"\n\
             [targets.disk]\nconnector = \"local\"\nroot = \"{}\"\nsharing = \"off\"\naudience = \"everybody in the office\"\n",
            world.path("clients").display()
        );
        fs::write(world.path("config.toml"), config).unwrap();
        fs::set_permissions(world.path("config.toml"), fs::Permissions::from_mode(0o600)).unwrap();
        let mut db = world.open(true);
        db.save_firm_diff(&Firm::default(), &firm()).unwrap();
        let run = db.run_start("sync", at(READ)).unwrap();
        let all = [
            (
                kept("L11", "Acme", Why::NeverListed, &[(ANA, Why::Writer, "ADVISER"), (BOB, Why::Reader, "STANDARD")]),
                "L11",
            ),
            (kept("L12", "Birch", Why::Unreadable, &[]), "L12"),
        ];
        for (doc, id) in &all {
            db.doc_put("source", &format!("xero/ledger/{id}"), doc).unwrap();
        }
        let fact = |value| FactRow {
            source: source("L11"),
            subject: Uuid::from_u128(BOB).to_string(),
            value,
            role: None,
            true_from: at(READ),
            exact: false,
        };
        db.record_facts(run, at(READ), &[fact(FactValue::Granted)]).unwrap();
        grant(&mut db, run);
        db.run_end(run, 0, true, &json!({}), at(READ)).unwrap();
        let finding =
            Finding::new(Severity::Warning, "folder.link_on", "drive/acme-ltd", "A link is on.", "Turn it off.");
        db.sync_findings(run, "lanes", &[finding], at(READ)).unwrap();
        drop(db);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn db(&self) -> PathBuf {
        self.path("state/ledgerward.db")
    }

    fn open(&self, create: bool) -> Db {
        let options = Options::new(self.path("state"), at(READ));
        Db::open(if create { options.create() } else { options }).unwrap()
    }

    fn run(&self, line: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ledgerward"))
            .args(line.split_whitespace())
            .arg("--config")
            .arg(self.path("config.toml"))
            .arg("--state")
            .arg(self.path("state"))
            .env_remove("STATE_DIRECTORY")
            .current_dir(self.dir.path())
            .output()
            .unwrap()
    }

    /// The text of a command that must end with this code.
    fn text(&self, line: &str, code: i32) -> String {
        let out = self.run(line);
        let text = String::from_utf8(out.stdout).unwrap();
        let err = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(code), "{line}\n{text}\n{err}");
        assert!(!err.contains("panicked"), "{err}");
        format!("{text}{err}")
    }

    fn json(&self, line: &str, code: i32, schema: &str) -> Value {
        let out = self.run(&format!("{line} --json"));
        let text = String::from_utf8(out.stdout).unwrap();
        assert_eq!(out.status.code(), Some(code), "{line}\n{text}\n{}", String::from_utf8_lossy(&out.stderr));
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{line}: {e}\n{text}"));
        assert_eq!(value["schema"], format!("ledgerward/{schema}/1"), "{line}");
        shape::check(&value);
        value
    }
}

/// Bob's place on Acme's folder, by our own doing.
fn grant(db: &mut Db, run: i64) {
    let lane = LaneKey {
        target: TargetName("drive".into()),
        folder: FolderKey { client: ClientId(Uuid::from_u128(ACME)), account: None },
    };
    let row = LaneRow {
        key: lane.clone(),
        folder: Some(FolderId("f-acme".into())),
        name: "Acme Ltd".into(),
        parent: None,
        owner: None,
        marker: None,
        created_step: None,
        base: None,
    };
    db.save_lane(&row, at(READ)).unwrap();
    let who = Email::parse("bob@harbour.example").unwrap();
    let intent = Intent {
        run,
        lane: lane.clone(),
        op: JournalOp::Access(Op::Grant { who: who.clone(), role: FolderRole::Reader }),
        cause: None,
        because: "selected".into(),
        reserved: None,
        approved: false,
    };
    let step = db.intend(&intent, at(READ)).unwrap();
    let owned = OwnedGrant {
        lane,
        folder: FolderId("f-acme".into()),
        who,
        role: FolderRole::Reader,
        permission: PermissionId("p-bob".into()),
        ends: None,
        step: step.row(),
    };
    db.outcome_granted(step, &owned, false, at(READ)).unwrap();
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "\"{part}\" is not in\n{text}");
    }
}

#[test]
fn access_says_who_sees_what_and_how_it_stands() {
    let world = World::new();
    let text = world.text("access", 0);
    has(
        &text,
        &[
            "Acme Ltd (acme-ltd)",
            "Ana Harbour",
            "to be granted on drive",
            "Bob Harbour",
            "granted on drive",
            "Birch LLP",
        ],
    );
    has(
        &text,
        &[
            "held, nothing there",
            "everybody in the office",
            "1 client only proposed",
            "last read whole: 31 Oct 2026 09:00",
        ],
    );
    assert!(!text.contains("Cas"), "Cas is no user of the ledger\n{text}");
    assert!(!text.contains("Own Books"), "private books are in nobody else's answer\n{text}");

    let rows = world.json("access", 0, "access")["rows"].clone();
    let state = |email: &str, slug: &str, target: &str| {
        let row = rows
            .as_array()
            .unwrap()
            .iter()
            .find(|r| r["person"]["email"] == email && r["client"]["slug"] == slug && r["target"] == target);
        row.map(|r| (r["state"].as_str().unwrap().to_owned(), r["role"].as_str().unwrap().to_owned()))
    };
    let is = |s: &str, r: &str| Some((s.to_owned(), r.to_owned()));
    assert_eq!(state("bob@harbour.example", "acme-ltd", "drive"), is("granted", "reader"));
    assert_eq!(state("ana@harbour.example", "acme-ltd", "drive"), is("to_grant", "writer"));
    assert_eq!(state("ana@harbour.example", "acme-ltd", "disk"), is("not_managed", "writer"));
    assert_eq!(state("ana@harbour.example", "birch-llp", "drive"), is("held_out", "reader"));
    assert_eq!(state("cas@harbour.example", "acme-ltd", "drive"), None);

    // An archived client's list stays, and whoever is shut is in none.
    world.text("clients archive acme-ltd", 0);
    has(&world.text("access --person bob", 0), &["stays (archived)"]);
    world.text("people disable bob", 0);
    has(&world.text("access --person bob", 0), &["to be taken away"]);
}

#[test]
fn access_narrows_to_a_person_a_client_and_a_format() {
    let world = World::new();
    let bob = world.text("access --person bob", 0);
    assert!(bob.contains("Bob Harbour") && !bob.contains("Ana Harbour"), "{bob}");
    let csv = world.text("access --client acme-ltd --format csv", 0);
    let mut lines = csv.lines();
    assert!(lines.next().unwrap().starts_with("client,client_slug,person,email,target,"), "{csv}");
    assert_eq!(lines.filter(|l| l.starts_with("Acme Ltd,")).count(), 4, "{csv}");
    let value: Value = serde_json::from_str(&world.text("access --format json", 0)).unwrap();
    assert_eq!(value["schema"], "ledgerward/access/1");
    has(&world.text("access --person nobody", 1), &["there is no person \"nobody\"", "next:"]);
    has(&world.text("access --client own-books", 1), &["there is no client \"own-books\""]);
    has(&world.text("access --as ana@harbour.example", 0), &["Private, shown to you alone: own-books"]);
}

#[test]
fn somebody_without_an_office_for_it_sees_their_own_access_only() {
    let world = World::new();
    let own = world.text("access --as bob@harbour.example", 0);
    assert!(own.contains("Bob Harbour") && !own.contains("Ana"), "{own}");
    has(&world.text("access --person ana --as bob@harbour.example", 1), &["your own access only"]);
    has(&world.text("why ana acme-ltd --as bob@harbour.example", 1), &["your own access only"]);
    has(&world.text("findings --as bob@harbour.example", 1), &["permission \"read-all\" is missing"]);
    has(&world.text("audit export --as cas@harbour.example", 1), &["permission \"read-all\" is missing"]);
    has(&world.text("access --as zoe@harbour.example", 1), &["no person of the firm"]);
}

#[test]
fn access_at_a_day_tells_the_three_clocks_apart() {
    let world = World::new();
    // In Auckland the reading was at nine in the morning of the 31st.
    let before = world.json("access --client acme-ltd --at 2026-10-30", 0, "access-at");
    assert_eq!(before["rows"], json!([]));
    let after = world.json("access --client acme-ltd --at 2026-10-31", 0, "access-at");
    let row = &after["rows"][0];
    assert_eq!(row["person"]["email"], "bob@harbour.example");
    assert_eq!((&row["ledger"]["xero:L11"], &row["known"]["xero:L11"]), (&json!("granted"), &json!("granted")));
    assert_eq!(row["applied"][0]["target"], "drive");
    // Learned a day later that he had been out since noon of the 31st: true then, not known then.
    let mut db = world.open(false);
    let run = db.run_start("sync", at("2026-11-01T20:00:00Z")).unwrap();
    let late = FactRow {
        source: source("L11"),
        subject: Uuid::from_u128(BOB).to_string(),
        value: FactValue::Denied,
        role: None,
        true_from: at("2026-10-30T23:00:00Z"),
        exact: true,
    };
    db.record_facts(run, at("2026-11-01T20:00:00Z"), &[late]).unwrap();
    drop(db);
    let told = world.json("access --client acme-ltd --at 2026-10-31", 0, "access-at");
    let row = &told["rows"][0];
    assert_eq!((&row["ledger"]["xero:L11"], &row["known"]["xero:L11"]), (&json!("denied"), &json!("granted")));
    has(&world.text("access --at 2026-10-31", 0), &["ledger denied", "known granted", "applied drive reader"]);
    has(&world.text("access --at 2999-01-01", 64), &["has not come yet"]);
}

/// Ledger `n`'s word about Bob, as a run at `read` wrote it down.
fn said_of_bob(db: &mut Db, n: u128, value: FactValue, true_from: &str, read: &str) {
    let run = db.run_start("sync", at(read)).unwrap();
    let fact = FactRow {
        source: source(&format!("L{n}")),
        subject: Uuid::from_u128(BOB).to_string(),
        value,
        role: None,
        true_from: at(true_from),
        exact: true,
    };
    db.record_facts(run, at(read), &[fact]).unwrap();
}

#[test]
fn access_at_an_instant_shows_what_came_and_went_within_a_day() {
    let world = World::new();
    let mut db = world.open(false);
    let grant = json!(["granted", "denied", "granted"]);
    said_of_bob(&mut db, ACME, FactValue::Denied, "2026-10-30T23:00:00Z", "2026-10-30T23:00:00Z");
    said_of_bob(&mut db, ACME, FactValue::Granted, "2026-10-31T01:00:00Z", "2026-10-31T01:00:00Z");
    drop(db);
    let says = |when: &str| {
        let told = world.json(&format!("access --client acme-ltd --at {when}"), 0, "access-at");
        assert!(told.get("day").is_none(), "{told}");
        told["rows"][0].clone()
    };
    let times = ["2026-10-30T22:59:59.999Z", "2026-10-30T23:30:00Z", "2026-10-31T01:00:00Z"];
    for (n, when) in times.iter().enumerate() {
        let row = says(when);
        assert_eq!((&row["ledger"]["xero:L11"], &row["known"]["xero:L11"]), (&grant[n], &grant[n]), "{when}: {row}");
        assert_eq!(row["applied"][0]["target"], "drive");
    }
    // The same instant in the firm's own clock; and before anything was applied.
    assert_eq!(says("2026-10-31T12:30:00+13:00"), says("2026-10-30T23:30:00Z"));
    assert_eq!(says("2026-10-30T19:59:59Z"), Value::Null);
    let text = world.text("access --at 2026-10-31T12:30:00+13:00 --clock ledger", 0);
    has(&text, &["ledger denied", "At 31 Oct 2026 12:30:00."]);
    has(&world.text("access --at 2026-10-31", 0), &["ledger granted", "At the end of 2026-10-31."]);
    has(&world.text("access --at 2999-01-01T00:00:00Z", 64), &["has not come yet"]);
    has(&world.text("access --at 2026-10-31T12:30", 64), &["an instant like"]);
}

#[test]
fn the_past_names_no_client_that_the_present_hides() {
    let world = World::new();
    let mut db = world.open(false);
    // Bob is a user of these ledgers too: one is not selected for him, one is only proposed.
    for n in [BIRCH, 13] {
        said_of_bob(&mut db, n, FactValue::Granted, READ, READ);
    }
    drop(db);
    let names = |told: &Value| -> std::collections::BTreeSet<String> {
        told["rows"].as_array().unwrap().iter().map(|r| r["client"]["slug"].as_str().unwrap().to_owned()).collect()
    };
    let today = world.json("access --as bob@harbour.example", 0, "access");
    for when in ["2026-10-31", "2026-10-30T20:00:00Z"] {
        let csv = world.text(&format!("access --as bob@harbour.example --at {when} --format csv"), 0);
        assert!(!csv.contains("birch") && !csv.contains("cedar"), "{csv}");
        let then = world.json(&format!("access --as bob@harbour.example --at {when}"), 0, "access-at");
        assert_eq!((names(&then), &then["others"]), (names(&today), &today["others"]), "{when}");
        let text = world.text(&format!("access --as bob@harbour.example --at {when}"), 0);
        has(&text, &["Acme Ltd", "1 client more that you do not see"]);
        assert!(!text.contains("Birch") && !text.contains("Cedar"), "{text}");
    }
    // Who sees the firm sees its past.
    let all = names(&world.json("access --at 2026-10-31", 0, "access-at"));
    assert!(all.contains("birch-llp") && all.contains("cedar"), "{all:?}");
}

#[test]
fn why_and_why_not_give_the_reason_and_what_would_change_it() {
    let world = World::new();
    has(
        &world.text("why bob acme-ltd", 0),
        &[
            "Bob Harbour sees Acme Ltd",
            "granted as reader on drive since 31 Oct 2026",
            "select bob@harbour.example --remove acme-ltd",
        ],
    );
    has(
        &world.text("why-not cas acme-ltd", 0),
        &["Cas Harbour does not see Acme Ltd", "is not a user", "nothing granted by ledgerward", "grants it"],
    );
    has(&world.text("why cas acme-ltd", 0), &["in fact the answer is no"]);
    let why = world.json("why ana birch-llp", 0, "why");
    assert_eq!((&why["verdict"], &why["role"]), (&json!("held"), &json!("none")));
    assert_eq!(why["sources"][0]["fact"], "unknown");
    has(&world.text("why zoe acme-ltd", 1), &["there is no person"]);
    has(&world.text("why bob own-books", 1), &["there is no client"]);
}

#[test]
fn findings_have_numbers_and_a_next_step() {
    let world = World::new();
    has(
        &world.text("findings", 0),
        &["F-001", "warning", "A link is on.", "since 31 Oct 2026", "next: Turn it off.", "1 open finding"],
    );
    let mut db = world.open(false);
    db.sync_findings(1, "lanes", &[], at("2026-10-31T20:00:00Z")).unwrap();
    drop(db);
    has(&world.text("findings", 0), &["Nothing is open."]);
    let all = world.json("findings --all", 0, "findings");
    assert_eq!((&all["findings"][0]["number"], &all["findings"][0]["state"]), (&json!("F-001"), &json!("resolved")));
}

#[test]
fn h06_status_check_tells_a_monitor_that_nobody_syncs_any_more() {
    let world = World::new();
    let check = world.text("status --check", 1);
    has(
        &check,
        &["broken:", "the last complete sync was", "xero: nobody has signed in", "drive: nobody has signed in"],
    );
    assert_eq!(check.lines().count(), 1, "one line\n{check}");
    has(
        &world.text("status", 0),
        &["Harbour & Co", "sync", "complete", "connect xero", "unreadable  xero \"Birch\"", "1 warning", "Not well"],
    );
    assert_eq!(world.json("status", 0, "status")["ok"], false);
    has(&world.text("runs", 0), &["sync", "done in 0 s"]);
    assert_eq!(world.json("runs -n 1", 0, "runs")["runs"][0]["id"], "1");
}

#[test]
fn h06_status_check_is_quiet_when_all_is_well() {
    let world = World::new();
    let config = fs::read_to_string(world.path("config.toml")).unwrap();
    let (firm, disk) = (config.split("[connections").next().unwrap(), config.split("[targets.disk]").nth(1).unwrap());
    fs::write(world.path("config.toml"), format!("{firm}[targets.disk]{disk}")).unwrap();
    let now = Timestamp::now();
    let mut db = world.open(false);
    // A ledger that cannot be read is not well.
    assert!(db.doc_delete("source", "xero/ledger/L12").unwrap());
    let run = db.run_start("sync", now).unwrap();
    db.run_end(run, 0, true, &json!({}), now).unwrap();
    // A failing attempt afterwards is told by `runs`; it makes the last complete one no older.
    let failed = db.run_start("sync", now).unwrap();
    db.run_end(failed, 1, false, &json!({"message": "the disk is full"}), now).unwrap();
    drop(db);
    has(&world.text("status --check", 0), &["ok: last complete sync 0 min ago"]);
    has(&world.text("runs", 0), &["failed in 0 s", "the disk is full"]);
    let check = |world: &World| world.json("status --check", 0, "check")["last_complete_sync"].clone();
    let before = check(&world);
    let later = now + jiff::SignedDuration::from_mins(1);
    let mut db = world.open(false);
    let part = db.run_start("sync", later).unwrap();
    db.run_part(part).unwrap();
    db.run_end(part, 0, true, &json!({}), later).unwrap();
    drop(db);
    assert_eq!(check(&world), before, "a sync of one client is no complete one");
    has(&world.text("runs", 0), &["done, some clients in 0 s"]);
    // The daemon's cycles count like a sync by hand.
    let mut db = world.open(false);
    let cycle = db.run_start("access", later).unwrap();
    db.run_end(cycle, 0, true, &json!({}), later).unwrap();
    drop(db);
    assert_ne!(check(&world), before);
    let mut db = world.open(false);
    let urgent = Finding::new(Severity::Urgent, "folder.open", "drive/x", "Somebody sees too much.", "Look.");
    db.sync_findings(run, "test", &[urgent], now).unwrap();
    drop(db);
    has(&world.text("status --check", 1), &["1 urgent finding"]);
}

#[test]
fn what_the_program_says_of_itself_needs_no_configuration() {
    let empty = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let config = empty.path().join("none.toml");
        Command::new(env!("CARGO_BIN_EXE_ledgerward")).args(args).arg("--config").arg(config).output().unwrap()
    };
    let list = run(&["connectors", "--json"]);
    let value: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(value["connectors"][0]["name"], "xero");
    assert!(value["markdown"].as_str().unwrap().contains("**Xero**"));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = String::from_utf8(run(&["completions", shell]).stdout).unwrap();
        assert!(script.contains("why-not") && !script.contains("\\u{"), "{shell}");
    }
    let page = String::from_utf8(run(&["man"]).stdout).unwrap();
    assert!(page.contains(".TH ledgerward 1") && page.contains("why\\-not"), "{page}");
    assert_eq!(run(&["access"]).status.code(), Some(78), "no configuration");
    assert_eq!(run(&["access", "--frobnicate"]).status.code(), Some(64));
}

#[test]
fn d02_a_damaged_state_is_refused_kept_and_the_way_back_is_told() {
    let world = World::new();
    let copy = world.path("good.db");
    world.text(&format!("backup {}", copy.display()), 0);
    let bytes = fs::read(world.db()).unwrap();
    for damage in [b"".to_vec(), bytes[..bytes.len() / 2].to_vec(), {
        let mut b = bytes.clone();
        b[..16].copy_from_slice(b"not a sqlite db!");
        b
    }] {
        fs::write(world.db(), &damage).unwrap();
        let told = world.text("status", 78);
        has(&told, &["error:", "next:", "ledgerward restore"]);
        assert_eq!(fs::read(world.db()).unwrap(), damage, "the file is kept as it was");
    }
    has(&world.text(&format!("restore {}", copy.display()), 0), &["The damaged file is kept as"]);
    has(&world.text("access", 0), &["Bob Harbour"]);
    has(&world.text(&format!("restore {}", copy.display()), 78), &["there is a whole state in", "nothing was changed"]);
}

#[test]
fn d05_a_newer_state_is_refused() {
    let world = World::new();
    let db = rusqlite::Connection::open(world.db()).unwrap();
    db.pragma_update(None, "user_version", 999).unwrap();
    drop(db);
    has(&world.text("status", 78), &["error:", "newer"]);
}

#[test]
fn d04_a_second_instance_is_told_within_a_second() {
    let world = World::new();
    let held = world.open(false);
    let begun = Instant::now();
    let told = world.text("status", 75);
    assert!(begun.elapsed().as_secs_f64() < 1.0, "{:?}", begun.elapsed());
    has(&told, &["error:"]);
    drop(held);
    world.text("status", 0);
}

#[test]
fn d09_an_altered_row_of_the_trail_is_found_and_named() {
    let world = World::new();
    has(&world.text("audit verify", 0), &["The audit trail is whole"]);
    let rows = world.run("audit export").stdout;
    let rows: Vec<Value> = String::from_utf8(rows).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(rows.len() > 3, "{rows:?}");
    assert_eq!(world.json("audit export", 0, "audit")["rows"].as_array().unwrap().len(), rows.len());
    let later = world.run("audit export --since 2999-01-01").stdout;
    assert!(later.is_empty());

    // An export with one byte changed is not the trail's any more, and the row is said.
    let whole = world.run("audit export").stdout;
    let file = world.path("trail.jsonl");
    fs::write(&file, &whole).unwrap();
    has(&world.text(&format!("audit verify --file {}", file.display()), 0), &["byte for byte"]);
    for at in (0..whole.len()).step_by((whole.len() / 60).max(1)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x01;
        fs::write(&file, &bytes).unwrap();
        let row = 1 + whole[..at].iter().filter(|b| **b == b'\n').count();
        let told = world.json(&format!("audit verify --file {}", file.display()), 1, "audit-verify");
        assert_eq!(told["whole"], json!(true), "the trail is, the file is not; byte {at}: {told}");
        // A changed first row may be taken for another one.
        assert!(row == 1 || told["row"] == json!(row.to_string()), "byte {at} of row {row}: {told}");
    }

    let db = rusqlite::Connection::open(world.db()).unwrap();
    let mut triggers =
        db.prepare("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'").unwrap();
    let names: Vec<String> = triggers.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
    drop(triggers);
    for name in names {
        db.execute_batch(&format!("DROP TRIGGER \"{name}\"")).unwrap();
    }
    let changed = db.execute("UPDATE audit SET actor = replace(actor, 'd', 'e') WHERE seq = 3", []).unwrap();
    assert_eq!(changed, 1);
    drop(db);
    has(&world.text("audit verify", 1), &["BROKEN at row 3"]);
    assert_eq!(world.json("audit verify", 1, "audit-verify")["row"], "3");
}

#[test]
fn d09_a_cut_tail_of_the_trail_is_no_whole_one() {
    for left in [5_i64, 0] {
        let world = World::new();
        let head: i64 = world.json("audit verify", 0, "audit-verify")["rows"].as_str().unwrap().parse().unwrap();
        let keep = if left == 0 { 0 } else { head - left };
        let db = rusqlite::Connection::open(world.db()).unwrap();
        let mut all =
            db.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'").unwrap();
        let triggers: Vec<(String, String)> =
            all.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap().map(Result::unwrap).collect();
        drop(all);
        triggers.iter().for_each(|(name, _)| db.execute_batch(&format!("DROP TRIGGER \"{name}\"")).unwrap());
        db.execute("DELETE FROM audit WHERE seq > ?1", [keep]).unwrap();
        triggers.iter().for_each(|(_, sql)| db.execute_batch(sql).unwrap());
        drop(db);
        let missing = format!("ends at row {keep} but had reached row {head}");
        // Not the first look alone: opening the state makes a row of its own and moves the watermark.
        for _ in 0..2 {
            has(&world.text("audit verify", 1), &["THE AUDIT TRAIL IS BROKEN", &missing, "restore --confirm"]);
        }
        let told = world.json("audit verify", 1, "audit-verify");
        assert_eq!((&told["whole"], &told["row"]), (&json!(false), &json!((keep + 1).to_string())));
        world.text("restore --confirm", 0);
        has(&world.text("audit verify", 0), &["The audit trail is whole", &missing, "confirmed by"]);
    }
}

#[test]
fn t13_a_restored_state_writes_nothing_until_it_is_confirmed() {
    let world = World::new();
    let copy = world.path("copy.db");
    has(&world.text(&format!("backup {}", copy.display()), 0), &["whole, checked copy"]);
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    has(&world.text(&format!("backup {}", copy.display()), 1), &["is there already"]);
    has(&world.text("restore --confirm", 1), &["not a restored one"]);
    has(&world.text("restore nowhere.db", 1), &["is not there"]);

    for tail in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{tail}", world.db().display()));
    }
    has(
        &world.text(&format!("restore {}", copy.display()), 0),
        &["Nothing is applied until you confirm it", "restore --confirm"],
    );
    has(&world.text("sync --yes", 78), &["restored", "nothing is written to any target"]);
    has(&world.text("status", 0), &["restored", "nothing is applied"]);
    has(&world.text("status --check", 1), &["the state is a restored one"]);
    has(&world.text("restore --confirm --as bob@harbour.example", 1), &["\"operate\" is missing"]);
    has(&world.text("restore --confirm", 0), &["Confirmed"]);
    assert_eq!(world.json("status", 0, "status")["restored"], "no");
    has(&world.text("access", 0), &["Bob Harbour"]);
}

#[test]
fn t13_a_backup_that_is_no_state_leaves_nothing_behind() {
    let world = World::new();
    fs::rename(world.path("state"), world.path("old")).unwrap();
    fs::write(world.path("text.db"), "no database at all").unwrap();
    world.text("restore text.db", 78);
    assert!(!world.db().exists());
}

#[test]
fn the_key_rotates_and_the_old_one_stays() {
    let world = World::new();
    let before = fs::read(world.path("state/key")).unwrap();
    let id = world.json("key rotate", 0, "key-rotate")["key"].as_str().unwrap().to_owned();
    assert_ne!(fs::read(world.path("state/key")).unwrap(), before);
    let kept = fs::read_dir(world.path("state")).unwrap().any(|f| {
        let path = f.unwrap().path();
        path.file_name().unwrap().to_string_lossy().starts_with("key.") && fs::read(path).unwrap() == before
    });
    assert!(kept, "the old key, for older backups");
    assert!(!id.is_empty());
    world.text("status", 0);
    has(&world.text("key rotate --as bob@harbour.example", 1), &["\"operate\" is missing"]);
}

fn key(account: Option<&str>) -> StatementKey {
    let day = |text: &str| text.parse().unwrap();
    StatementKey {
        client: ClientId(Uuid::from_u128(ACME)),
        connection: "xero".into(),
        ledger: "L11".into(),
        request: StatementRequest {
            kind: if account.is_some() { StatementKind::BankRegister } else { StatementKind::BalanceSheet },
            basis: Basis::Accrual,
            period: Period { start: day("2026-09-01"), end: day("2026-09-30"), length: PeriodLength::Month },
            account: account.map(Into::into),
        },
        item: None,
    }
}

#[test]
fn a_statement_key_comes_back_from_its_text() {
    for account in [None, Some("1000"), Some("a|b%7C%25=-")] {
        let key = key(account);
        assert_eq!(StatementKey::parse(&key.text()), Some(key));
    }
    for wrong in ["", "a|b", &key(None).text().replace("accrual", "barter"), &format!("{}|", key(None).text())] {
        assert_eq!(StatementKey::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn statements_are_listed_due_read_and_delivered() {
    let world = World::new();
    has(&world.text("statements", 0), &["has not been read yet", "0 due"]);
    let mut db = world.open(false);
    let profile = LedgerProfile {
        name: "Acme".into(),
        currency: None,
        country: None,
        year_end: Some((3, 31)),
        locked_to: None,
        link: None,
        is_demo: false,
    };
    db.doc_put("profile", "xero/ledger/L11", &(at(READ), profile)).unwrap();
    let report = json!({"document": {"name": "x", "mime": "y", "size": 1}}).to_string();
    db.statement_version(&key(None).text(), "hash", &report, at(READ)).unwrap();
    drop(db);
    let text = world.text("statements --client acme-ltd --kind balance-sheet", 0);
    has(&text, &["acme-ltd", "2026-09", "v1, in no folder yet", "due"]);
    assert!(!text.contains("profit-and-loss"), "{text}");
    let one = world.json("statements list --client acme-ltd --period 2026-09 --kind balance-sheet", 0, "statements");
    assert_eq!(one["statements"].as_array().unwrap().len(), 1, "{one}");
    assert_eq!((&one["statements"][0]["state"], &one["statements"][0]["version"]), (&json!("read"), &json!("1")));
    has(&world.text("statements render --out out", 5), &["bytes are not kept"]);
    assert!(!world.path("out").exists());
    has(&world.text("statements push --as bob@harbour.example", 1), &["publish"]);
    world.text("freeze on --reason audit", 0);
    has(&world.text("statements push", 3), &["everything is frozen: audit"]);
}

#[test]
fn who_sees_one_account_gets_the_papers_of_that_account_and_of_no_other_kind() {
    let world = World::new();
    let profile = LedgerProfile { name: "Acme".into(), year_end: Some((3, 31)), ..LedgerProfile::default() };
    let table = json!({"document": {"name": "x", "mime": "y", "size": 1}}).to_string();
    let mut db = world.open(false);
    db.doc_put("profile", "xero/ledger/L11", &(at(READ), profile)).unwrap();
    for account in [None, Some("1000"), Some("2000")] {
        db.statement_version(&key(account).text(), "hash", &table, at(READ)).unwrap();
    }
    drop(db);
    let listed = |who: &str| -> Vec<Value> {
        let json = world.json(&format!("statements list --period 2026-09 --as {who}@harbour.example"), 0, "statements");
        let read = json["statements"].as_array().unwrap().iter().filter(|r| r["state"] == "read");
        read.map(|r| r["account"].clone()).collect()
    };
    assert_eq!(listed("bob").len(), 3, "the whole client is theirs");
    has(&world.text("select bob acme-ltd --account 1000", 0), &["the client's own folder is taken away"]);
    assert_eq!(listed("bob"), [json!("1000")]);
    let skipped = world.json("statements render --out out --as bob@harbour.example", 5, "statements-render");
    assert!(skipped["skipped"].as_array().unwrap().iter().all(|s| s.as_str().unwrap().contains("bank-register")));
    assert_eq!(listed("ana").len(), 3);
}

#[test]
fn doctor_ends_with_the_worst_it_found_and_changes_nothing() {
    let world = World::new();
    let text = world.text("doctor --offline", 4);
    has(
        &text,
        &[
            "is right",
            "is whole",
            "nobody has signed in",
            "sharing is off",
            "could not be checked from here",
            "No provider was asked.",
        ],
    );
    let value = world.json("doctor --offline", 4, "doctor");
    assert!(value["assumptions"].as_array().unwrap().iter().all(|a| a["checked"] == "unknown"));
    let config = fs::read_to_string(world.path("config.toml")).unwrap();
    fs::write(world.path("config.toml"), format!("{config}[nonsense]\n")).unwrap();
    has(&world.text("doctor", 78), &["nonsense"]);
}
