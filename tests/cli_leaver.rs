//! Many clients in one act, what-if, guests, leavers and reviews, as a person runs them: the real program, no network.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helpers fail the test")]

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
        let config = "version = 1\n[firm]\nname = \"Harbour & Co\"\ndomains = [\"harbour.example\"]\ntimezone = \"Pacific/Auckland\"\n\
             [connections.xero]\nconnector = \"xero\"\nclient_id = \"abc\"\n\
             [targets.drive]\nconnector = \"google-drive\"\nclient_id = \"def\"\nsharing = \"mirror\"\n";
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
        shape::check(&value);
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
    has(&world.text("what-if same.toml --as bob@harbour.example", 1), &["the permission \"read-all\" is missing"]);

    // Thirty at once for one person is more than a guard lets pass.
    let says: Vec<(u128, &[(u128, Why)])> = (1000..1030).map(|n| (n, &[(BOB, Why::Reader)] as &[_])).collect();
    let world = World::new(&says, &[]);
    has(&world.text("what-if --person bob --connection xero", 0), &["30 gained, 0 lost", "WOULD BE HELD"]);
}

#[test]
fn a_guest_sees_no_more_than_the_ledger_grants_and_only_until_the_end() {
    let world = office();
    // 1003 grants Cas, 1002 does not.
    let add = |client: &str, until: &str| {
        let out = world.args(&["guests", "add", "cas", client, "--until", until, "--reason", "year-end review"]);
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        (out.status.code().unwrap(), text)
    };
    let (code, text) = add("client-1002", "2999-01-01");
    assert_eq!(code, 1, "{text}");
    has(&text, &["needs Xero access to client-1002 first", "never sees more than the ledger grants"]);
    let (code, text) = add("client-1003", "2020-01-01");
    assert_eq!(code, 1, "{text}");
    let (code, text) = add("client-1003", "8 hours");
    assert_eq!(code, 0, "{text}");
    has(&world.text("guests", 0), &["cas@harbour.example", "client-1003", "year-end review", "sees: guest"]);
    has(&world.text("why cas client-1003", 0), &["Cas Harbour sees", "guests end cas@harbour.example client-1003"]);
    has(&world.text("select bob --from cas --keep", 0), &["Guest access is not moved: client-1003"]);
    let day = (jiff::Zoned::now().date() + jiff::Span::new().days(30)).to_string();
    world.text(&format!("guests extend cas client-1003 --until {day}"), 0);
    assert_eq!(world.json("guests", 0, "guests")["guests"].as_array().unwrap().len(), 1);
    world.text("guests end cas client-1003", 0);
    has(&world.text("guests list", 0), &["Nobody is a guest"]);
    has(&world.text("guests extend cas client-1003 --until 2999-01-01", 1), &["is no guest of"]);
}

#[test]
fn an_expired_guest_is_ended_by_the_next_run_without_any_provider() {
    let world = office();
    let mut db = world.open(false);
    let before = db.firm().unwrap();
    let mut after = before.clone();
    after.guests.push(ledgerward::domain::firm::Guest {
        person: PersonId(Uuid::from_u128(CAS)),
        client: ClientId(Uuid::from_u128(1003)),
        until: at(READ),
        reason: "over".into(),
        break_glass: false,
    });
    db.save_firm_diff(&before, &after).unwrap();
    drop(db);
    has(&world.text("why-not cas client-1003", 0), &["does not see"]);
    world.args(&["plan", "--offline"]);
    assert!(world.firm().guests.is_empty());
    has(&world.text("changes", 0), &["end guest", "ledgerward"]);
}

#[test]
fn break_glass_takes_two_owners_and_a_day_at_most() {
    let world = office();
    let add = |until: &str| {
        let out = world.args(&[
            "guests",
            "add",
            "cas",
            "client-1002",
            "--until",
            until,
            "--reason",
            "fire",
            "--break-glass",
            "--as",
            "ana@harbour.example",
        ]);
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        (out.status.code().unwrap(), text)
    };
    let (code, text) = add("8 hours");
    assert_eq!(code, 1, "{text}");
    has(&text, &["a second owner, and there is none", "people office PERSON owner"]);
    assert!(!world.text("changes", 0).contains("staged"), "nothing is left that nobody could publish");
    world.text("people office bob owner --mode ledger+selected", 0);
    assert!(add("30 hours").1.contains("within 24 hours"));
    let (code, text) = add("8 hours");
    assert_eq!(code, 0, "{text}");
    assert!(world.firm().guests.is_empty(), "nothing yet");
    let label = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .find(|w| w.starts_with("C-"))
        .unwrap()
        .to_owned();
    has(&world.text(&format!("changes publish {label} --as ana@harbour.example"), 1), &["your own change"]);
    world.text(&format!("changes publish {label} --as bob@harbour.example"), 0);
    has(&world.text("guests", 0), &["BREAK-GLASS fire", "sees: break-glass"]);
}

#[test]
fn what_would_change_an_answer_does_change_it() {
    let world = office();
    let line = |who: &str, what: &str| {
        let told = world.json(&format!("why {who} {what}"), 0, "why");
        told["would_change"][0].as_str().unwrap().to_owned()
    };
    world.text("people disable bob", 0);
    assert_eq!(line("bob", "client-1001"), "ledgerward people enable bob@harbour.example");
    // Enabling alone would not do for a client that is not selected.
    let both = line("bob", "client-1003");
    has(
        &both,
        &["ledgerward people enable bob@harbour.example, and ledgerward select bob@harbour.example client-1003"],
    );
    for command in both.split(", and ") {
        world.text(command.strip_prefix("ledgerward ").unwrap(), 0);
    }
    assert_eq!(world.json("why bob client-1003", 0, "why")["verdict"], "yes");
    // And back: each first line, done, alters the answer.
    world.text(line("bob", "client-1003").strip_prefix("ledgerward ").unwrap(), 0);
    assert_eq!(world.json("why bob client-1003", 0, "why")["verdict"], "no");
    world.text(line("ana", "client-1002").strip_prefix("ledgerward ").unwrap(), 0);
    assert_ne!(world.json("why ana client-1002", 0, "why")["verdict"], "yes");
}

/// Bob held 1001's folder; the ledger denied him at `denied`, and the folder let him out at `revoked`.
fn removal(world: &World, denied: &str, revoked: &str) {
    let mut db = world.open(false);
    let run = db.run_start("sync", at(READ)).unwrap();
    grant(&mut db, run);
    let fact = FactRow {
        source: source(1001),
        subject: Uuid::from_u128(BOB).to_string(),
        value: FactValue::Denied,
        role: None,
        true_from: at(denied),
        exact: false,
    };
    db.record_facts(run, at(denied), &[fact]).unwrap();
    let who = Email::parse("bob@harbour.example").unwrap();
    let op = Op::Revoke {
        who: Holder::Person(who.clone()),
        permission: PermissionId("p-bob".into()),
        role: FolderRole::Reader,
    };
    let intent = Intent {
        run,
        lane: lane(),
        op: JournalOp::Access(op),
        cause: Some(Cause::Source { connection: "xero".into(), source: "L1001".into() }),
        because: "gone".into(),
        reserved: None,
        // Somebody had to approve it first: the longest ones are the ones that were held.
        approved: true,
    };
    let step = db.intend(&intent, at(revoked)).unwrap();
    db.outcome_revoked(step, &who, at(revoked)).unwrap();
}

fn lane() -> LaneKey {
    LaneKey {
        target: TargetName("drive".into()),
        folder: FolderKey { client: ClientId(Uuid::from_u128(1001)), account: None },
    }
}

/// Bob's place on 1001's folder, by our own doing.
fn grant(db: &mut Db, run: i64) {
    let row = LaneRow {
        key: lane(),
        folder: Some(FolderId("f-1001".into())),
        name: "Client 1001".into(),
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
        lane: lane(),
        op: JournalOp::Access(Op::Grant { who: who.clone(), role: FolderRole::Reader }),
        cause: None,
        because: "selected".into(),
        reserved: None,
        approved: false,
    };
    let step = db.intend(&intent, at(READ)).unwrap();
    let owned = OwnedGrant {
        lane: lane(),
        folder: FolderId("f-1001".into()),
        who,
        role: FolderRole::Reader,
        permission: PermissionId("p-bob".into()),
        step: step.row(),
    };
    db.outcome_granted(step, &owned, false, at(READ)).unwrap();
}

#[test]
fn exposure_is_from_the_first_denial_to_the_revoke_and_counts_approved_ones() {
    let world = office();
    assert_eq!(world.json("status", 0, "status")["exposure"], "unknown");
    let now = Timestamp::now();
    let ago = |minutes: i64| (now - jiff::SignedDuration::from_mins(minutes)).to_string();
    removal(&world, &ago(125), &ago(5));
    let told = world.json("status", 0, "status");
    let exposure = &told["exposure"];
    assert_eq!(
        (&exposure["removals"], &exposure["minutes_p50"], &exposure["minutes_p95"], &exposure["minutes_max"]),
        (&json!("1"), &json!("120"), &json!("120"), &json!("120"))
    );
    has(&world.text("status", 0), &["1 removal in 30 days: 120 min p50"]);
}

#[test]
fn each_of_the_three_clocks_can_be_asked_alone() {
    let world = office();
    let mut db = world.open(false);
    let run = db.run_start("sync", at(READ)).unwrap();
    grant(&mut db, run);
    let fact = |value, from: &str| FactRow {
        source: source(1001),
        subject: Uuid::from_u128(BOB).to_string(),
        value,
        role: None,
        true_from: at(from),
        exact: true,
    };
    db.record_facts(run, at(READ), &[fact(FactValue::Granted, READ)]).unwrap();
    // Learned on the 2nd that it had ended on the 31st.
    db.record_facts(run, at("2026-11-01T20:00:00Z"), &[fact(FactValue::Denied, "2026-10-30T23:00:00Z")]).unwrap();
    drop(db);
    let row = |clock: &str| {
        let told = world.json(&format!("access --at 2026-10-31 --clock {clock}"), 0, "access-at");
        assert_eq!(told["clock"], clock);
        told["rows"]
            .as_array()
            .unwrap()
            .iter()
            .find(|r| r["person"]["email"] == "bob@harbour.example")
            .cloned()
            .unwrap()
    };
    let (ledger, known, applied) = (row("ledger"), row("known"), row("applied"));
    assert_eq!((&ledger["ledger"]["xero:L1001"], &ledger["known"]), (&json!("denied"), &json!({})));
    assert_eq!((&known["known"]["xero:L1001"], &known["applied"]), (&json!("granted"), &json!([])));
    assert_eq!((&applied["applied"][0]["target"], &applied["ledger"]), (&json!("drive"), &json!({})));
    let text = world.text("access --at 2026-10-31 --clock applied", 0);
    assert!(text.contains("applied drive reader") && !text.contains("ledger denied"), "{text}");
    let csv = world.text("access --at 2026-10-31 --clock known --format csv", 0);
    assert!(csv.starts_with("client,client_slug,person,email,known\n"), "{csv}");
}

#[test]
fn a_leaver_is_closed_chased_and_the_evidence_can_be_checked_by_anybody() {
    let world = office();
    has(&world.text("leaver bob --as cas@harbour.example", 1), &["the permission \"people\" is missing"]);
    has(&world.text("leaver bob --confirm xero:L1001 --note x", 1), &["is no leaver"]);
    let told = world.text("leaver bob --reason moved", 5);
    has(
        &told,
        &["Bob Harbour (bob@harbour.example) left", "moved", "Only the client can close:", "xero:L1001", "xero:L1003"],
    );
    let bob = world.firm().people[&PersonId(Uuid::from_u128(BOB))].clone();
    assert!(!bob.enabled && bob.closed.is_some());
    has(&world.text("leaver", 0), &["bob@harbour.example", "3 ledgers"]);
    // What somebody says does not outweigh what the ledger says.
    has(
        &world.text("leaver bob --confirm xero:L1003 --note phone", 5),
        &["xero:L1003 \"Client 1003\" (client-1003): is an active user"],
    );
    has(&world.text("leaver bob --confirm xero:L9 --note phone", 1), &["names no ledger"]);

    let mut db = world.open(false);
    db.doc_put("source", "xero/ledger/L1001", &kept(1001, &[(BOB, Why::Gone)])).unwrap();
    let mut unreadable = kept(1003, &[]);
    unreadable["last"]["rest"] = json!(Why::Unreadable);
    db.doc_put("source", "xero/ledger/L1003", &unreadable).unwrap();
    drop(db);
    let value = world.json("leaver bob", 5, "leaver");
    let states: Vec<&Value> = value["ledgers"].as_array().unwrap().iter().map(|l| &l["state"]).collect();
    assert_eq!(states, [&json!("gone"), &json!("open"), &json!("confirmed")]);
    assert_eq!(value["only_the_client_can"].as_array().unwrap().len(), 1, "{value}");

    let packed = world.json("leaver bob --pack evidence", 5, "leaver");
    let seal = packed["pack"]["seal"].as_str().unwrap();
    let rows = String::from_utf8(world.args(&["audit", "export"]).stdout).unwrap();
    assert!(rows.lines().any(|l| l.contains("pack.seal") && l.contains(seal)), "the trail has the seal");
    let senders = fs::read_to_string(world.path("evidence/letters.csv")).unwrap();
    assert!(senders.lines().any(|l| l == "letters/client-1002.pdf,client-1002,nobody named"), "{senders}");
    let letter = fs::read(world.path("evidence/letters/client-1002.pdf")).unwrap();
    assert!(letter.starts_with(b"%PDF-") && !world.path("evidence/letters/client-1001.pdf").exists());
    let text = fs::read_to_string(world.path("evidence/evidence.md")).unwrap();
    has(&text, &["gone by a reading", "confirmed by a person", "phone"]);
    has(&world.text("leaver bob --pack evidence", 1), &["is not empty"]);

    // By the program alone: no configuration, no state.
    let check = || {
        let out = Command::new(env!("CARGO_BIN_EXE_ledgerward"))
            .args(["audit", "verify", "--pack"])
            .arg(world.path("evidence"))
            .args(["--config", "/nonexistent/config.toml"])
            .output()
            .unwrap();
        (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap())
    };
    let (code, said) = check();
    assert_eq!(code, 0, "{said}");
    has(&said, &["The pack is whole", seal]);
    fs::write(world.path("evidence/ledgers.csv"), text.replace("open", "gone")).unwrap();
    let (code, said) = check();
    assert_eq!(code, 1);
    has(&said, &["NOT WHOLE", "ledgers.csv: was changed"]);

    let mut db = world.open(false);
    db.doc_put("source", "xero/ledger/L1002", &kept(1002, &[(BOB, Why::Removed)])).unwrap();
    drop(db);
    has(&world.text("leaver bob", 0), &["Nothing is open any more"]);
    has(&world.text("leaver", 0), &["No leaver can open anything"]);
}

#[test]
fn a_folder_that_cannot_be_closed_now_is_said_and_tried_again() {
    let world = office();
    let mut db = world.open(false);
    let run = db.run_start("sync", at(READ)).unwrap();
    grant(&mut db, run);
    drop(db);
    // Nobody is signed in to the target, so nothing can be written there.
    for _ in 0..2 {
        let value = world.json("leaver bob", 5, "leaver");
        let ours: Vec<&str> = value["we_can_close"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
        assert!(ours.iter().any(|l| l.contains("the folder of client-1001")), "{ours:?}");
    }
}

#[test]
fn a_review_goes_out_comes_back_and_is_sealed() {
    let world = office();
    world.text("people mode ana ledger+selected", 0);
    has(&world.text("review start 2026-Q4 --as bob@harbour.example", 1), &["the permission \"read-all\" is missing"]);
    has(&world.text("review start 2026-Q4 --reviewer cas=client-1002", 0), &["2 lines for 2 reviewers"]);
    has(&world.text("review start 2026-Q4", 1), &["already"]);
    has(&world.text("review seal 2026-Q4 --out signed", 1), &["2 lines not decided yet"]);
    world.text("review export 2026-Q4 --out sheets", 0);
    assert!(fs::read(world.path("sheets/cas@harbour.example.xlsx")).unwrap().starts_with(b"PK"));
    let sheet = |who: &str| world.path(&format!("sheets/{who}@harbour.example.csv"));
    let decide = |who: &str, word: &str| {
        let text = fs::read_to_string(sheet(who)).unwrap();
        // The last two columns are the decision and a note.
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        let line = lines[1].strip_suffix(",,").unwrap();
        fs::write(sheet(who), format!("{}\n{line},{word},seen\n", lines[0])).unwrap();
    };
    decide("cas", "perhaps");
    has(
        &world.text("review import 2026-Q4 sheets/cas@harbour.example.csv", 78),
        &["line 2", "neither keep nor remove"],
    );
    let text = fs::read_to_string(sheet("cas")).unwrap();
    fs::write(sheet("cas"), text.replace("perhaps", "remove").replace("client-1002", "client-1001")).unwrap();
    has(&world.text("review import 2026-Q4 sheets/cas@harbour.example.csv", 78), &["not the one that was exported"]);
    fs::write(sheet("cas"), text.replace("perhaps", "Remove")).unwrap();
    assert_eq!(world.selected(BOB), vec![1001, 1002], "nothing was taken in so far");
    has(
        &world.text("review import 2026-Q4 sheets/cas@harbour.example.csv", 0),
        &["1 to be removed, 1 not decided yet"],
    );
    assert_eq!(world.selected(BOB), vec![1001]);
    decide("ana", "keep");
    world.text("review import 2026-Q4 sheets/ana@harbour.example.csv", 0);
    has(&world.text("review seal 2026-Q4 --out signed", 0), &["2026-Q4 is sealed in signed"]);
    has(&world.text("review import 2026-Q4 sheets/ana@harbour.example.csv", 1), &["is sealed"]);
    has(&world.text("review", 0), &["2026-Q4", "sealed"]);

    let check = || {
        let out = Command::new(env!("CARGO_BIN_EXE_ledgerward"))
            .args(["review", "verify"])
            .arg(world.path("signed"))
            .args(["--config", "/nonexistent/config.toml", "--json"])
            .output()
            .unwrap();
        (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap())
    };
    let (code, said) = check();
    assert_eq!(code, 0, "{said}");
    let chain = fs::read_to_string(world.path("signed/chain.jsonl")).unwrap();
    assert_eq!(chain.lines().count(), 4, "start, two imports, seal");
    fs::write(world.path("signed/chain.jsonl"), chain.replace("\"remove\"", "\"keep\"")).unwrap();
    let (code, said) = check();
    assert_eq!(code, 1);
    has(&said, &["chain.jsonl: was changed"]);
}
