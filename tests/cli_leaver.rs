//! Many clients in one act, what-if, guests, leavers and reviews, as a person runs them: the real program, no network.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helpers fail the test")]

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
        firm::{
            Authority, Client, ClientState, Firm, Mode, Office, Person, PersonId, Selection, SelectionScope, TargetName,
        },
        lane::{Cause, LaneKey, Op, OwnedGrant},
    },
    store::{Db, FactRow, FactValue, Intent, JournalOp, LaneRow, Options},
};
use ledgerward_contract::{
    ClientId, Email, FolderId, FolderKey, FolderRole, Holder, PermissionId, SourceKind, SourceRef, Timestamp,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

const ANA: u128 = 1;
const BOB: u128 = 2;
const CAS: u128 = 3;
const READ: &str = "2026-10-30T20:00:00Z";

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

fn source(n: u128) -> SourceRef {
    SourceRef { connection: "xero".into(), kind: SourceKind::Ledger, id: format!("L{n}") }
}

/// Clients `client-0001`, … by number from 1000 on.
fn client(n: u128) -> Client {
    Client {
        id: ClientId(Uuid::from_u128(n)),
        slug: format!("client-{n}"),
        name: format!("Client {n}"),
        state: ClientState::Active,
        private_to: None,
        sources: [source(n)].into(),
        authority: Authority::All,
        unlisted: None,
        targets: None,
        accounts: None,
        year_end: None,
        statements_since: None,
    }
}

/// What the last pull left of one ledger.
fn kept(n: u128, facts: &[(u128, Why)]) -> Value {
    let facts: Vec<Value> = facts
        .iter()
        .map(|(who, why)| json!([Uuid::from_u128(*who), {"why": why, "role": "STANDARD", "user": "u", "since": null}]))
        .collect();
    json!({
        "source": source(n), "name": format!("Client {n}"), "grade": "A",
        "memory": ledgerward::domain::identity::SourceMemory::default(),
        "last": {"facts": facts, "rest": Why::NeverListed, "unknown_since": null, "trouble": null},
    })
}

struct World {
    dir: TempDir,
}

impl World {
    /// Ana owns the firm; Bob and Cas see what the ledger grants and is selected. `says`: what each client's ledger says.
    fn new(says: &[(u128, &[(u128, Why)])], selected: &[(u128, u128)]) -> Self {
        let shm = Path::new("/dev/shm");
        let dir = if shm.is_dir() { tempfile::tempdir_in(shm).unwrap() } else { tempfile::tempdir().unwrap() };
        let world = Self { dir };
        fs::create_dir(world.path("clients")).unwrap();
        let config = format!(
            "version = 1\n[firm]\nname = \"Harbour & Co\"\ndomains = [\"harbour.example\"]\ntimezone = \"Pacific/Auckland\"\n\
             [connections.xero]\nconnector = \"xero\"\nclient_id = \"abc\"\n\
             [targets.drive]\nconnector = \"google-drive\"\nclient_id = \"def\"\nsharing = \"mirror\"\n",
        );
        fs::write(world.path("config.toml"), config).unwrap();
        fs::set_permissions(world.path("config.toml"), fs::Permissions::from_mode(0o600)).unwrap();
        let mut firm = Firm::default();
        for p in [
            person(ANA, "Ana", Office::PrimaryOwner, Mode::All),
            person(BOB, "Bob", Office::Employee, Mode::LedgerSelected),
            person(CAS, "Cas", Office::Employee, Mode::LedgerSelected),
        ] {
            firm.people.insert(p.id, p);
        }
        for (n, _) in says {
            let client = client(*n);
            firm.clients.insert(client.id, client);
        }
        for (who, what) in selected {
            let selection = Selection { scope: SelectionScope::Whole, when_granted: false };
            firm.selections.insert((PersonId(Uuid::from_u128(*who)), ClientId(Uuid::from_u128(*what))), selection);
        }
        let mut db = world.open(true);
        db.save_firm_diff(&Firm::default(), &firm).unwrap();
        db.doc_put("target_approved", "drive", &at(READ)).unwrap();
        db.tx(|db| {
            says.iter().try_for_each(|(n, facts)| db.doc_put("source", &format!("xero/ledger/L{n}"), &kept(*n, facts)))
        })
        .unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn open(&self, create: bool) -> Db {
        let options = Options::new(self.path("state"), at(READ));
        Db::open(if create { options.create() } else { options }).unwrap()
    }

    fn args(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ledgerward"))
            .args(args)
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
    #[track_caller]
    fn text(&self, line: &str, code: i32) -> String {
        let out = self.args(&line.split_whitespace().collect::<Vec<_>>());
        let (text, err) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
        assert_eq!(out.status.code(), Some(code), "{line}\n{text}\n{err}");
        assert!(!err.contains("panicked"), "{err}");
        format!("{text}{err}")
    }

    #[track_caller]
    fn json(&self, line: &str, code: i32, schema: &str) -> Value {
        let out = self.args(&format!("{line} --json").split_whitespace().collect::<Vec<_>>());
        let text = String::from_utf8(out.stdout).unwrap();
        assert_eq!(out.status.code(), Some(code), "{line}\n{text}\n{}", String::from_utf8_lossy(&out.stderr));
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["schema"], format!("ledgerward/{schema}/1"), "{line}");
        value
    }

    fn firm(&self) -> Firm {
        self.open(false).firm().unwrap()
    }

    fn selected(&self, who: u128) -> Vec<u128> {
        let firm = self.firm();
        firm.selections.keys().filter(|(p, _)| p.0.as_u128() == who).map(|(_, c)| c.0.as_u128()).collect()
    }
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "\"{part}\" is not in\n{text}");
    }
}

/// Bob has 1001 and 1002, Cas is a user of 1001 only; 1003 grants both.
fn office() -> World {
    let both: &[(u128, Why)] = &[(BOB, Why::Reader), (CAS, Why::Reader)];
    let bob: &[(u128, Why)] = &[(BOB, Why::Reader)];
    World::new(&[(1001, both), (1002, bob), (1003, both)], &[(BOB, 1001), (BOB, 1002)])
}

#[test]
fn a_colleague_gets_what_another_has_and_each_client_is_answered() {
    let world = office();
    let shown = world.text("select cas --like bob --dry-run", 5);
    has(
        &shown,
        &["client-1001  granted", "client-1002  needs Xero access first: xero \"Client 1002\"", "Nothing was changed"],
    );
    assert!(!shown.contains("client-1003"), "{shown}");
    assert_eq!(world.selected(CAS), Vec::<u128>::new(), "a dry run changes nothing");
    world.text("select cas --like bob", 5);
    assert_eq!((world.selected(CAS), world.selected(BOB)), (vec![1001], vec![1001, 1002]));
    let told = world.json("select cas --like bob --when-granted", 0, "select");
    let answers: Vec<&Value> = told["clients"].as_array().unwrap().iter().map(|l| &l["answer"]).collect();
    assert_eq!(answers, [&json!("already_has_access"), &json!("pending")]);
}

#[test]
fn a_staff_move_ends_or_keeps_what_the_colleague_has() {
    let world = office();
    world.text("select cas --from bob", 64);
    world.text("select bob --from bob --end", 64);
    world.text("select cas --from bob --keep --dry-run", 5);
    let moved = world.text("select cas --from bob --end", 5);
    has(&moved, &["client-1001  granted", "client-1002  needs Xero access first", "bob@harbour.example keeps it"]);
    assert_eq!((world.selected(CAS), world.selected(BOB)), (vec![1001], vec![1002]));
    let rest = world.text("select cas --from bob --end --when-granted", 0);
    has(&rest, &["client-1002  pending"]);
    assert_eq!((world.selected(CAS), world.selected(BOB)), (vec![1001, 1002], vec![]));
    // A removal also ends a wish.
    has(
        &world.text("select cas --remove client-1002 client-1003", 0),
        &["removed: the wish for it ended", "no matching access"],
    );
    assert_eq!(world.selected(CAS), vec![1001]);
}

#[test]
fn some_are_added_and_others_removed_in_one_act_or_nothing_is() {
    let world = office();
    world.text("select bob client-1003 --remove client-1001", 64);
    world.text("select bob --add client-1001 --remove client-1001", 64);
    world.text("select bob --remove", 64);
    has(
        &world.text("select cas --add client-1002 client-1003 --remove client-1001", 1),
        &["not done", "Nothing was changed"],
    );
    assert_eq!(world.selected(CAS), Vec::<u128>::new());
    has(
        &world.text("select bob --add client-1003 --remove client-1001", 0),
        &["client-1003  granted", "client-1001  removed"],
    );
    assert_eq!(world.selected(BOB), vec![1002, 1003]);
    let changes = world.json("changes", 0, "changes");
    assert_eq!(changes["changes"].as_array().unwrap().len(), 2, "{changes}");
}

#[test]
fn a_thousand_clients_go_in_one_act_and_quickly() {
    let says: Vec<(u128, &[(u128, Why)])> = (1000..2000).map(|n| (n, &[(BOB, Why::Reader)] as &[_])).collect();
    let world = World::new(&says, &[]);
    let begun = Instant::now();
    has(
        &world.text("select bob --connection xero", 0),
        &["client-1000  granted", "client-1999  granted", "1000 clients: 1000 granted"],
    );
    let took = begun.elapsed();
    assert!(took.as_secs() < 20, "{took:?}");
    assert_eq!(world.selected(BOB).len(), 1000);
    let rows = world.args(&["audit", "export"]).stdout;
    let acts = String::from_utf8(rows).unwrap().lines().filter(|l| l.contains("\"firm.change\"")).count();
    assert_eq!(acts, 1, "one act is one row of the trail");
    has(&world.text("select bob --connection xero --remove", 0), &["1000 clients: 1000 removed"]);
    assert_eq!(world.selected(BOB).len(), 0);
}

#[test]
fn what_if_shows_who_gains_and_loses_and_what_a_guard_would_hold() {
    let world = office();
    let told = world.json("what-if --person cas --from bob --end", 0, "what-if");
    let rows: Vec<(String, String, String)> = told["effects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| {
            let s = |v: &Value| v.as_str().unwrap().to_owned();
            (s(&e["change"]), s(&e["person"]["email"]), s(&e["client"]["slug"]))
        })
        .collect();
    let row = |a: &str, b: &str, c: &str| (a.to_owned(), format!("{b}@harbour.example"), c.to_owned());
    assert_eq!(rows, [row("loses", "bob", "client-1001"), row("gains", "cas", "client-1001")]);
    assert_eq!(world.selected(BOB), vec![1001, 1002], "nothing is changed");

    let export = String::from_utf8(world.args(&["firm", "export"]).stdout).unwrap();
    fs::write(world.path("same.toml"), &export).unwrap();
    has(&world.text("what-if same.toml", 0), &["Nobody would gain or lose a folder", "Nothing was changed"]);
    fs::write(world.path("less.toml"), export.replacen("mode = \"ledger+selected\"", "mode = \"all\"", 1)).unwrap();
    has(&world.text("what-if less.toml", 0), &["+ client-1003", "mode all: every client", "1 gained"]);
    has(&world.text("what-if same.toml --as bob@harbour.example", 1), &["may see everybody's access"]);

    // Thirty at once for one person is more than a guard lets pass.
    let says: Vec<(u128, &[(u128, Why)])> = (1000..1030).map(|n| (n, &[(BOB, Why::Reader)] as &[_])).collect();
    let world = World::new(&says, &[]);
    has(&world.text("what-if --person bob --connection xero", 0), &["30 gained, 0 lost", "WOULD BE HELD"]);
}
