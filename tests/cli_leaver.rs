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
            Authority, Client, ClientState, Firm, Mode, Office, Person, PersonId, Pin, Selection, SelectionScope,
            TargetName,
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

/// The same ledger when it cannot be read. `whole`: there was a complete list before.
fn unreadable(n: u128, whole: bool) -> Value {
    let mut kept = kept(n, &[]);
    kept["last"]["rest"] = json!(Why::Unreadable);
    kept["memory"]["first_complete_at"] = if whole { json!(READ) } else { Value::Null };
    kept
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

    /// What the last pull left of each ledger.
    fn says(&self, ledgers: &[(u128, Value)]) {
        let mut db = self.open(false);
        for (n, kept) in ledgers {
            db.doc_put("source", &format!("xero/ledger/L{n}"), kept).unwrap();
        }
    }

    /// What ledgers said of people while they could be read.
    fn said(&self, facts: &[(u128, u128, FactValue)]) {
        let mut db = self.open(false);
        let run = db.run_start("sync", at(READ)).unwrap();
        let fact = |(who, n, value): &(u128, u128, FactValue)| FactRow {
            source: source(*n),
            subject: Uuid::from_u128(*who).to_string(),
            value: *value,
            role: Some("STANDARD".into()),
            true_from: at(READ),
            exact: false,
        };
        db.record_facts(run, at(READ), &facts.iter().map(fact).collect::<Vec<_>>()).unwrap();
    }

    /// Writes a decision into every line of a reviewer's sheet.
    fn decide(&self, sheet: &str, word: &str) {
        let text = fs::read_to_string(self.path(sheet)).unwrap();
        // The last two columns are the decision and a note.
        let line = |(n, line): (usize, &str)| match n {
            0 => format!("{line}\n"),
            _ => format!("{},{word},seen\n", line.strip_suffix(",,").unwrap()),
        };
        fs::write(self.path(sheet), text.lines().enumerate().map(line).collect::<String>()).unwrap();
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
fn a_colleagues_wish_is_no_access_that_another_is_given() {
    let world = office();
    world.text("people mode cas selected", 0);
    world.text("select bob client-1003 --when-granted", 0);
    world.says(&[(1003, kept(1003, &[])), (1001, kept(1001, &[(BOB, Why::Reader)]))]);
    let told = world.json("select cas --like bob", 0, "select");
    let of = |slug: &str| told["clients"].as_array().unwrap().iter().any(|c| c["client"] == slug);
    assert!(of("client-1001") && !of("client-1003"), "{told}");
    assert!(!world.selected(CAS).contains(&1003));
}

#[test]
fn a_ledger_that_cannot_be_read_names_its_client_to_nobody_new() {
    let world = office();
    world.text("people mode cas ledger", 0);
    world.says(&[(1002, unreadable(1002, true)), (1003, unreadable(1003, true))]);
    let text = world.text("access --as cas@harbour.example", 0);
    has(&text, &["client-1001", "2 clients more that you do not see"]);
    assert!(!text.contains("1002") && !text.contains("1003"), "{text}");
    has(&world.text("why-not cas client-1003 --as cas@harbour.example", 1), &["there is no client"]);
    has(&world.text("access --client client-1001 --as bob@harbour.example", 0), &["Bob Harbour"]);
    // Whose word the firm has given knows of the client.
    world.text("guests add cas client-1003 --until 8h --reason cover", 0);
    has(&world.text("access --as cas@harbour.example", 0), &["client-1003", "held"]);
    world.text("select bob --remove client-1001", 0);
    has(&world.text("access --client client-1001 --as bob@harbour.example", 1), &["there is no client"]);
}

#[test]
fn what_is_written_for_a_file_is_written_to_the_letter() {
    let world = office();
    let done = world.args(&["people", "edit", "bob", "--first", "B\u{200b}ob"]);
    assert!(done.status.success(), "{done:?}");
    let out = world.args(&["audit", "export"]).stdout;
    fs::write(world.path("trail.jsonl"), &out).unwrap();
    let rows = String::from_utf8(out).unwrap();
    assert!(rows.contains("B\u{200b}ob") && rows.lines().all(|l| serde_json::from_str::<Value>(l).is_ok()));
    world.text(&format!("audit verify --file {}", world.path("trail.jsonl").display()), 0);
    fs::write(world.path("same.toml"), world.args(&["firm", "export"]).stdout).unwrap();
    has(&world.text(&format!("firm apply {} --yes", world.path("same.toml").display()), 0), &["as the file says"]);
    assert!(serde_json::from_slice::<Value>(&world.args(&["access", "--format", "json"]).stdout).is_ok());
    assert!(world.text("access", 0).contains("B\\u{200b}ob"), "and a person is shown what is there");
}

#[test]
fn what_was_shown_and_published_is_approved_by_that_and_nothing_else_is() {
    let says: Vec<(u128, &[(u128, Why)])> =
        (1000..1030).map(|n| (n, &[(BOB, Why::Reader), (CAS, Why::Reader)] as &[_])).collect();
    let world = World::new(&says, &[]);
    world.text("people office cas admin --mode ledger+selected", 0);
    world.text("people add oli@harbour.example --first Oli --last Owner --office owner --mode selected", 0);
    // Nobody has signed in to the target: it is planned from what is known, and that ends with 4.
    let held = |who: &str| {
        world.json("plan --offline", 4, "plan")["held"].to_string().matches(&format!("\"who\":\"{who}\"")).count()
    };
    world.text("people mode bob ledger --as cas@harbour.example", 0);
    let shown = world.json("changes show --all", 0, "changes-show");
    assert_eq!(shown["access"].as_array().unwrap().len(), 30, "{shown}");
    world.text("changes publish --all --digest 0000000000", 1);
    let digest = shown["digest"].as_str().unwrap();
    world.text(&format!("changes publish --all --digest {digest}"), 0);
    assert_eq!(held("bob@harbour.example"), 0, "thirty at once for one person, as it was shown");
    // What the same person is given beside it was not shown to anybody.
    world.text("people mode cas ledger", 0);
    assert_eq!(held("cas@harbour.example"), 30);
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
fn a_guest_who_is_added_again_sees_by_that_alone_and_the_end_is_the_firms() {
    let world = office();
    let add =
        |who: &str, until: &str| world.text(&format!("guests add {who} client-1003 --until {until} --reason audit"), 0);
    assert!(!add("cas", "8h").contains("sees client-1003 already"));
    let text = add("cas", "9h");
    assert!(!text.contains("already"), "without the guest access there is none\n{text}");
    world.text("select bob client-1003", 0);
    has(&add("bob", "8h"), &["sees client-1003 already, and goes on after the guest access ends"]);

    let zone = jiff::tz::TimeZone::get("Pacific/Auckland").unwrap();
    let guest = world.firm().guests.into_iter().find(|g| g.person.0.as_u128() == CAS).unwrap();
    assert_eq!(guest.until.subsec_nanosecond(), 0);
    let end = guest.until.to_zoned(zone).strftime("%-d %b %Y %H:%M").to_string();
    has(&text, &[&format!("until {end}")]);
    has(&world.text("access --person cas", 0), &[&format!("until {end}")]);
    has(&world.text("guests", 0), &[&end]);
    assert_eq!(world.json("guests", 0, "guests")["guests"][1]["until"], guest.until.to_string());

    // A whole day is its name: it is the last one, as it was typed.
    let day = jiff::Zoned::now().date() + jiff::Span::new().days(30);
    let text = world.text(&format!("guests extend cas client-1003 --until {day}"), 0);
    let last = format!("until {}: audit", day.strftime("%-d %b %Y"));
    has(&text, &[&last]);
    has(&world.text("access --person cas", 0), &[last.trim_end_matches(": audit")]);
}

#[test]
fn somebody_closed_is_told_from_the_seventh_day_until_they_are_lifted() {
    let world = office();
    let closed_for = |hours: i64| {
        let mut db = world.open(false);
        let before = db.firm().unwrap();
        let mut after = before.clone();
        let now = Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap();
        after.people.get_mut(&PersonId(Uuid::from_u128(BOB))).unwrap().closed =
            Some(ledgerward::domain::firm::Closed {
                since: now.checked_sub(jiff::SignedDuration::from_hours(hours)).unwrap(),
                by: "ana@harbour.example".into(),
                reason: "lost laptop".into(),
            });
        db.save_firm_diff(&before, &after).unwrap();
        drop(db);
        world.args(&["plan", "--offline"]);
        let told = world.json("findings", 0, "findings")["findings"].as_array().unwrap().clone();
        told.into_iter().filter(|f| f["code"] == "person.closed").collect::<Vec<_>>()
    };
    assert_eq!(closed_for(1), [] as [Value; 0]);
    assert_eq!(closed_for(7 * 24 - 1), [] as [Value; 0]);
    let first = closed_for(7 * 24);
    assert_eq!(first.len(), 1);
    let (text, next) = (first[0]["text"].as_str().unwrap(), first[0]["next"].as_str().unwrap());
    has(
        text,
        &[
            "Bob Harbour (bob@harbour.example) has been closed for 7 days, since ",
            " by ana@harbour.example: lost laptop",
        ],
    );
    has(next, &["ledgerward people lift bob@harbour.example", "ledgerward leaver bob@harbour.example"]);
    // The next day it is the same finding, and says so.
    let second = closed_for(8 * 24);
    assert_eq!(second[0]["number"], first[0]["number"]);
    has(second[0]["text"].as_str().unwrap(), &["8 days"]);
    has(&world.text("status", 0), &["finding"]);
    world.text("people lift bob", 0);
    world.args(&["plan", "--offline"]);
    assert!(!world.text("findings", 0).contains("has been closed"));
    // Whoever left is chased as a leaver, and not asked about twice.
    assert_eq!(closed_for(9 * 24).len(), 1);
    world.args(&["leaver", "bob"]);
    world.args(&["plan", "--offline"]);
    assert!(!world.text("findings", 0).contains("has been closed"));
}

/// Every suggestion that is made of commands alone is done on a copy, and must bring another answer.
#[test]
fn each_command_that_is_suggested_changes_the_answer() {
    // What is done first, about whom and what, and what must be among the suggestions.
    let table: [(&[&str], &str, &str, &str); 14] = [
        (&[], "bob", "client-1001", "select bob@harbour.example --remove"),
        (&[], "ana", "client-1001", "people mode ana@harbour.example ledger+selected"),
        (&[], "cas", "client-1003", "ledgerward select cas@harbour.example client-1003"),
        (&[], "cas", "client-1002", "grants it, and ledgerward select cas@harbour.example client-1002"),
        (
            &["clients archive client-1003"],
            "cas",
            "client-1003",
            "ledgerward clients reopen client-1003, and ledgerward select",
        ),
        (&["clients archive client-1003", "people mode cas selected"], "cas", "client-1003", "clients reopen"),
        (&["clients close client-1001"], "bob", "client-1001", "ledgerward clients reopen client-1001"),
        (&["clients close client-1003"], "cas", "client-1003", "clients reopen client-1003, and ledgerward select"),
        (
            &["select cas client-1002 --when-granted"],
            "cas",
            "client-1002",
            "mode cas@harbour.example selected, and ledgerward select",
        ),
        (
            &["select cas client-1002 --when-granted", "people mode cas selected"],
            "cas",
            "client-1002",
            "ledgerward select cas@harbour.example client-1002",
        ),
        (&["people disable bob"], "bob", "client-1001", "people enable"),
        (
            &["guests add bob client-1001 --until 8h --reason audit"],
            "bob",
            "client-1001",
            "guests end bob@harbour.example",
        ),
        (
            &["guests add cas client-1003 --until 8h --reason audit"],
            "cas",
            "client-1003",
            "guests end cas@harbour.example",
        ),
        (&["people mode bob all"], "bob", "client-1001", "people mode bob@harbour.example ledger+selected, and"),
    ];
    let copy = |from: &World| {
        let dir = tempfile::tempdir_in(from.dir.path()).unwrap();
        for name in ["config.toml", "state"] {
            let status = Command::new("cp").arg("-a").arg(from.path(name)).arg(dir.path()).status().unwrap();
            assert!(status.success());
        }
        World { dir }
    };
    for (before, who, what, wanted) in table {
        let world = office();
        for line in before {
            world.text(line, 0);
        }
        let told = world.json(&format!("why {who} {what}"), 0, "why");
        let ways: Vec<&str> = told["would_change"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
        assert!(ways.iter().any(|w| w.contains(wanted)), "{before:?} {who} {what}: \"{wanted}\" is not in {ways:#?}");
        for way in ways.iter().filter(|way| way.split(", and ").all(|c| c.starts_with("ledgerward "))) {
            let tried = copy(&world);
            for command in way.split(", and ") {
                tried.text(command.strip_prefix("ledgerward ").unwrap(), 0);
            }
            let is = tried.json(&format!("why {who} {what}"), 0, "why")["verdict"].clone();
            let changed = if told["verdict"] == "yes" { is != "yes" } else { is == "yes" };
            assert!(changed, "{before:?} {who} {what}: {way} leaves the answer at {is}");
        }
    }
    // Nobody may disable the primary owner, and a mode that is in force already is no change.
    let world = office();
    let all = |who: &str, what: &str| world.json(&format!("why {who} {what}"), 0, "why")["would_change"].to_string();
    assert!(!all("ana", "client-1001").contains("disable"));
    world.text("people mode cas selected", 0);
    assert!(!all("cas", "client-1002").contains("people mode"));
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
    drop(db);
    revoke(world, revoked);
}

/// The folder let Bob out then.
fn revoke(world: &World, revoked: &str) {
    let mut db = world.open(false);
    let run = db.run_start("sync", at(revoked)).unwrap();
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

/// Bob's coming is in the log of changes, as it is for whoever is added by a command.
fn came_by_the_log(db: &mut Db) {
    let firm = db.firm().unwrap();
    let bob = &firm.people[&PersonId(Uuid::from_u128(BOB))];
    let added = json!({
        "op": "add_person", "id": bob.id, "first": bob.first, "last": bob.last, "email": bob.email,
        "office": bob.office, "mode": bob.mode,
    });
    db.record_change(&added, "ana", "people", at("2026-10-01T20:00:00Z"), &firm, &firm).unwrap();
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
        ends: None,
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
fn exposure_goes_on_while_a_denial_changes_its_role_or_is_in_doubt_and_knows_people_by_any_address() {
    let world = office();
    let now = Timestamp::now();
    let ago = |minutes: i64| now - jiff::SignedDuration::from_mins(minutes);
    let mut db = world.open(false);
    came_by_the_log(&mut db);
    let run = db.run_start("sync", at(READ)).unwrap();
    let says = |value, role: &str| FactRow {
        source: source(1001),
        subject: Uuid::from_u128(BOB).to_string(),
        value,
        role: Some(role.into()),
        true_from: ago(500),
        exact: false,
    };
    for (minutes, fact) in [
        (500, says(FactValue::Denied, "INVOICEONLY")),
        (400, says(FactValue::Granted, "STANDARD")),
        (125, says(FactValue::Denied, "CASHBOOKCLIENT")),
        (90, says(FactValue::Denied, "INVOICEONLY")),
        (60, says(FactValue::Unknown, "INVOICEONLY")),
        (30, says(FactValue::Denied, "")),
    ] {
        db.record_facts(run, ago(minutes), &[fact]).unwrap();
    }
    grant(&mut db, run);
    drop(db);
    world.text("people edit bob --email bob.marsh@harbour.example", 0);
    has(&world.text("why bob.marsh client-1001", 0), &["granted as reader on drive"]);
    revoke(&world, &ago(5).to_string());
    let told = world.json("status", 0, "status");
    assert_eq!(
        (&told["exposure"]["removals"], &told["exposure"]["minutes_max"]),
        (&json!("1"), &json!("120")),
        "from the first word of the denial that led to it, under whatever address"
    );
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
    has(&world.text("leaver", 5), &["bob@harbour.example", "3 ledgers"]);
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
fn somebody_shut_out_before_still_has_the_ledgers_that_cannot_be_read_now() {
    let world = office();
    world.said(&[(BOB, 1001, FactValue::Granted), (BOB, 1002, FactValue::Denied)]);
    world.text("people disable bob", 0);
    world.says(&[(1001, unreadable(1001, true)), (1002, unreadable(1002, true)), (1003, unreadable(1003, false))]);
    let told = world.text("leaver bob", 5);
    has(
        &told,
        &[
            "xero:L1001 \"Client 1001\" (client-1001): cannot be read now; was a user when it last could be, with the role STANDARD",
            "xero:L1003 \"Client 1003\" (client-1003): cannot be read now",
        ],
    );
    assert!(!told.contains("L1002"), "its last word was that he is no user:\n{told}");
    let value = world.json("leaver bob --pack left", 5, "leaver");
    let told: Vec<_> =
        value["ledgers"].as_array().unwrap().iter().map(|l| (&l["ledger"], &l["state"], &l["role"])).collect();
    let unknown = json!("unknown");
    assert_eq!(told, [(&json!("L1001"), &unknown, &json!("STANDARD")), (&json!("L1003"), &unknown, &unknown)]);
    let table = fs::read_to_string(world.path("left/ledgers.csv")).unwrap();
    has(&table, &["L1001,Client 1001,client-1001,STANDARD,cannot be read", "L1003,"]);
    assert!(world.path("left/letters/client-1001.pdf").exists());

    // They can be read again: one lets him in, and one never had him.
    world.says(&[(1001, kept(1001, &[(BOB, Why::Reader)])), (1003, kept(1003, &[]))]);
    let told = world.text("leaver bob", 5);
    has(&told, &["xero:L1001 \"Client 1001\" (client-1001): is an active user"]);
    assert!(!told.contains("L1003"), "he is not gone from where he never was:\n{told}");
    // A role that gives no folder, and an invitation, let him into the ledger all the same.
    for (why, words) in [(Why::RoleNothing, "has a role that gives no folder"), (Why::Pending, "is invited there")] {
        world.says(&[(1001, kept(1001, &[(BOB, why)]))]);
        has(&world.text("leaver bob", 5), &["xero:L1001 \"Client 1001\" (client-1001)", words]);
    }
    world.says(&[(1001, kept(1001, &[(BOB, Why::Gone)]))]);
    has(&world.text("leaver bob", 0), &["done  xero:L1001 \"Client 1001\": gone since", "Nothing is open any more"]);
}

#[test]
fn a_leaver_of_a_bad_hour_is_chased_where_they_were_and_nowhere_else() {
    let world = office();
    world.text("people mode cas ledger", 0);
    world.said(&[(CAS, 1001, FactValue::Granted)]);
    world.says(&[1001, 1002, 1003].map(|n| (n, unreadable(n, true))));
    let value = world.json("leaver cas", 5, "leaver");
    let ledgers: Vec<&Value> = value["ledgers"].as_array().unwrap().iter().map(|l| &l["ledger"]).collect();
    assert_eq!(ledgers, [&json!("L1001")], "mode ledger holds her everywhere, and she was in one");
}

#[test]
fn a_user_whose_role_gives_no_folder_is_chased_where_the_ledger_cannot_be_read_any_more() {
    let world = office();
    let before = world.firm();
    let mut after = before.clone();
    for n in [1002, 1003] {
        after.pins.insert(Pin { source: source(n), user: "u-bob".into() }, PersonId(Uuid::from_u128(BOB)));
    }
    world.open(false).save_firm_diff(&before, &after).unwrap();
    // The one listed him when it could be read last, with a role that is a denial of the folder; the other let him go.
    let with = |n: u128, gone: Value| {
        let mut ledger = unreadable(n, true);
        ledger["memory"]["users"] = json!({"u-bob": {
            "email": null, "role": "INVOICEONLY", "standing": "active", "last_seen": READ, "absent_since": gone, "gone_at": gone,
        }});
        (n, ledger)
    };
    world.says(&[with(1002, Value::Null), with(1003, json!(READ))]);
    world.said(&[(BOB, 1002, FactValue::Denied), (BOB, 1003, FactValue::Denied)]);
    world.says(&[(1001, kept(1001, &[(BOB, Why::Gone)]))]);
    for line in ["leaver bob", "leaver bob"] {
        let told = world.text(line, 5);
        has(&told, &["xero:L1002", "with the role INVOICEONLY"]);
        assert!(!told.contains("L1003"), "{told}");
    }
    has(&world.text("leaver", 5), &["Client 1002"]);
}

#[test]
fn a_ledger_that_nobody_has_read_yet_is_unknown() {
    let world = office();
    assert!(world.open(false).doc_delete("source", "xero/ledger/L1003").unwrap());
    let told = world.text("leaver cas", 5);
    has(&told, &["L1001", "xero:L1003 \"Client 1003\" (client-1003): has not been read yet"]);
}

#[test]
fn the_evidence_lists_what_was_held_when_they_were_shut_out() {
    // The order or the disable comes first, the folder lets him out later, and last somebody calls him a leaver.
    for order in ["revoke bob --now", "people disable bob"] {
        let world = office();
        let mut db = world.open(false);
        let run = db.run_start("sync", at(READ)).unwrap();
        grant(&mut db, run);
        drop(db);
        // Nobody is signed in to the target, so that the order itself cannot write there.
        world.args(&order.split(' ').collect::<Vec<_>>());
        let bob = world.firm().people[&PersonId(Uuid::from_u128(BOB))].clone();
        assert!(!bob.enabled || bob.closed.is_some(), "{order}");
        let revoked = Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap().to_string();
        revoke(&world, &revoked);
        world.text("leaver bob --pack left", 5);
        let text = fs::read_to_string(world.path("left/evidence.md")).unwrap();
        has(&text, &["Held when they left: 1. Still held by our doing: 0."]);
        let table = fs::read_to_string(world.path("left/folders.csv")).unwrap();
        has(&table, &["drive,client-1001,,reader,2026-10-30T20:00:00Z,", &revoked]);
    }
}

#[test]
fn what_was_applied_is_whose_the_address_was_then() {
    let world = office();
    let mut db = world.open(false);
    came_by_the_log(&mut db);
    let run = db.run_start("sync", at(READ)).unwrap();
    grant(&mut db, run);
    drop(db);
    world.text("people edit bob --email robert@harbour.example", 0);
    // No run has taken the old address out of the folder yet, and what is there is still Bob's.
    has(&world.text("leaver robert --pack left", 5), &["drive: the folder of client-1001: ledgerward sync"]);
    let text = fs::read_to_string(world.path("left/evidence.md")).unwrap();
    has(&text, &["Held when they left: 1. Still held by our doing: 1."]);
    world.text("people add bob@harbour.example --first Bo --last Newcomer", 0);
    let told = world.json("access --at 2026-10-31 --clock applied", 0, "access-at");
    let who: Vec<_> = told["rows"].as_array().unwrap().iter().map(|r| r["person"]["email"].clone()).collect();
    assert_eq!(who, [json!("robert@harbour.example")], "the newcomer saw nothing then");
}

#[test]
fn a_pack_that_cannot_be_written_is_refused_before_anybody_is_closed() {
    let world = office();
    fs::write(world.path("file"), "x").unwrap();
    has(&world.text("leaver cas --pack clients/..", 1), &["is not empty", "Name a new directory"]);
    has(&world.text("leaver cas --pack file", 1), &["cannot be made or written into"]);
    has(&world.text("leaver cas --pack file/below", 1), &["cannot be made or written into"]);
    let cas = world.firm().people[&PersonId(Uuid::from_u128(CAS))].clone();
    assert!(cas.enabled && cas.closed.is_none(), "nothing was done");
    world.text("leaver cas --pack new/and/deep", 5);
}

#[test]
fn a_leaver_who_is_lifted_is_still_disabled() {
    let world = office();
    world.text("leaver bob", 5);
    let told = world.text("people lift bob", 0);
    has(&told, &["no longer closed, and still disabled", "ledgerward people enable bob@harbour.example"]);
    assert!(!told.contains("open again"), "{told}");
    world.text("people enable bob", 0);
    world.text("people disable cas", 0);
    world.text("people enable cas", 0);
    world.args(&["revoke", "cas", "--now"]);
    has(&world.text("people lift cas", 0), &["cas@harbour.example is open again"]);
}

#[test]
fn a_review_takes_who_may_change_access_and_a_sheet_its_own_reviewer() {
    let world = office();
    world.text("roles define reader --may read-all", 0);
    world.text("groups add north client-1001", 0);
    world.text("roles define desk --may read-all,selections --group north", 0);
    world.text("people office cas custom:reader --mode ledger+selected", 0);
    world.text("people office bob admin --mode ledger+selected", 0);
    world.text("review start Q1 --reviewer bob=client-1001", 0);
    world.text("review export Q1 --out sheets --as cas@harbour.example", 0);
    for sheet in ["sheets/ana@harbour.example.csv", "sheets/bob@harbour.example.csv"] {
        world.decide(sheet, "keep");
    }
    let missing = "the permission \"selections\" is missing";
    for line in ["review start Q2", "review import Q1 sheets/ana@harbour.example.csv", "review seal Q1 --out signed"] {
        has(&world.text(&format!("{line} --as cas@harbour.example"), 1), &[missing]);
    }
    world.text("people office cas custom:desk --mode ledger+selected", 0);
    has(
        &world.text("review start Q2 --as cas@harbour.example", 1),
        &["\"read-all\" is theirs for the clients of the group north only"],
    );
    // Not even an administrator decides for an owner.
    has(
        &world.text("review import Q1 sheets/ana@harbour.example.csv --as bob@harbour.example", 1),
        &["bob@harbour.example may not sign off for ana@harbour.example", "its own reviewer, or by an owner"],
    );
    has(&world.text("review seal Q1 --out signed", 1), &["not decided yet"]);
    let trail = || String::from_utf8(world.args(&["audit", "export"]).stdout).unwrap();
    let last = || trail().lines().rfind(|l| l.contains("\"review.import\"")).unwrap().to_owned();
    world.text("review import Q1 sheets/ana@harbour.example.csv --as ana@harbour.example", 0);
    has(&last(), &["\"on_behalf_of\":[]"]);
    // An owner stands in for a reviewer, and the trail says so.
    world.text("review import Q1 sheets/bob@harbour.example.csv --as ana@harbour.example", 0);
    has(&last(), &["\"on_behalf_of\":[\"bob@harbour.example\"]", "ana@harbour.example"]);
    world.text("review seal Q1 --out signed --as bob@harbour.example", 0);
}

#[test]
fn a_review_names_what_was_to_be_removed_and_was_not() {
    let world = office();
    world.text("people office cas owner --mode ledger+selected", 0);
    world.text("people add adam@harbour.example --first Adam --last Ash --office admin", 0);
    world.text("people mode ana ledger+selected", 0);
    has(
        &world.text("review start Q1 --reviewer ana=client-1001,client-1002 --reviewer adam=client-1002", 64),
        &["client-1002 is given to ana@harbour.example and to adam@harbour.example", "name it once"],
    );
    world.text("review start Q1 --reviewer ana=client-1001 --reviewer adam=client-1002", 0);
    world.text("review export Q1 --out sheets", 0);
    let adams = "review import Q1 sheets/adam@harbour.example.csv --as adam@harbour.example";
    world.decide("sheets/adam@harbour.example.csv", "remove");
    has(&world.text(adams, 0), &["1 to be removed, 1 not decided yet", "another owner must publish it"]);
    let before = world.args(&["audit", "export"]).stdout;
    has(&world.text(adams, 0), &["Nothing new"]);
    assert_eq!(world.args(&["audit", "export"]).stdout, before, "the same sheet again changes nothing");
    assert_eq!(world.open(false).staged_changes().unwrap().len(), 1);
    // Mode ledger gives the client whatever is selected, so that no selection can take it away.
    world.text("people mode bob ledger", 0);
    world.decide("sheets/ana@harbour.example.csv", "remove");
    let anas = "review import Q1 sheets/ana@harbour.example.csv";
    has(&world.text(anas, 5), &["mode ledger gives bob@harbour.example client-1001"]);
    has(&world.text(anas, 5), &["Nothing new", "mode ledger gives bob@harbour.example client-1001"]);
    world.text("people mode bob ledger+selected", 0);
    has(
        &world.text("review seal Q1 --out signed", 5),
        &[
            "Q1 is sealed in signed",
            "2 decisions to remove became no change",
            "bob@harbour.example still sees client-1001",
            "bob@harbour.example client-1002 waits for an owner: ledgerward changes publish C-",
        ],
    );
    let table = fs::read_to_string(world.path("signed/not-removed.csv")).unwrap();
    assert_eq!(table.lines().count(), 3, "{table}");
    has(&table, &["client-1001", "client-1002"]);
    has(&fs::read_to_string(world.path("signed/chain.jsonl")).unwrap(), &["\"not_removed\":[\"row "]);
    world.text("review verify signed", 0);
}

#[test]
fn no_cell_of_the_exported_trail_is_a_formula() {
    let world = office();
    let reason = "=HYPERLINK(\"http://elsewhere.example\")";
    world.args(&["guests", "add", "cas", "client-1003", "--until", "8h", "--reason", reason]);
    world.args(&["freeze", "on", "--reason", "=1+1"]);
    let table = world.text("audit export --format csv", 0);
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let cells: Vec<String> =
        rows.records().filter_map(Result::ok).flat_map(|r| r.iter().map(str::to_owned).collect::<Vec<_>>()).collect();
    assert!(cells.iter().any(|c| c == "'=1+1"), "{table}");
    let live: Vec<&String> = cells.iter().filter(|c| c.starts_with(['=', '+', '-', '@'])).collect();
    assert!(live.is_empty(), "{live:?}");
}

#[test]
fn an_export_of_the_trail_is_genuine_after_private_books_are_shown() {
    let world = office();
    world.text("people add oli@harbour.example --first Oli --last Ash --office owner --mode ledger+selected", 0);
    world.text("people office bob admin --mode ledger+selected", 0);
    world.text("private add Hobby --as bob@harbour.example", 0);
    world.text("private add Boat --as bob@harbour.example", 0);
    world.text("private share boat --target drive --with oli@harbour.example --as bob@harbour.example", 0);
    let export = |who: &str, to: &str| {
        let out = world.args(&["audit", "export", "--as", &format!("{who}@harbour.example")]);
        fs::write(world.path(to), out.stdout).unwrap();
    };
    export("ana", "ana.jsonl");
    export("oli", "oli.jsonl");
    assert!(fs::read_to_string(world.path("ana.jsonl")).unwrap().contains("\"private\""));
    world.text("select oli --remove boat --as bob@harbour.example", 0);
    world.text("private convert hobby --as bob@harbour.example", 0);
    let waiting = world.open(false).staged_changes().unwrap();
    for change in waiting {
        world.text(&format!("changes publish {} --as oli@harbour.example", change.label()), 0);
    }
    assert_eq!(world.firm().clients.values().filter(|c| c.private_to.is_some()).count(), 1);
    for file in ["ana.jsonl", "oli.jsonl"] {
        has(&world.text(&format!("audit verify --file {file}"), 0), &["rows of the file are the trail's own"]);
    }
    let text = fs::read_to_string(world.path("oli.jsonl")).unwrap();
    fs::write(world.path("oli.jsonl"), text.replace("\"private.", "\"privat3.").replace("firm.change", "firm.chance"))
        .unwrap();
    has(&world.text("audit verify --file oli.jsonl", 1), &["IS NOT AN EXPORT OF IT"]);
}

#[test]
fn a_decision_that_was_wrong_is_put_right_or_told_to_be_too_late() {
    let world = office();
    world.text("people office cas owner --mode ledger+selected", 0);
    world.text("people add adam@harbour.example --first Adam --last Ash --office admin", 0);
    world.text("people mode ana ledger+selected", 0);
    world.text("review start Q1 --reviewer adam=client-1001,client-1002", 0);
    world.text("review export Q1 --out sheets", 0);
    let import = "review import Q1 sheets/adam@harbour.example.csv --as adam@harbour.example";
    world.decide("sheets/adam@harbour.example.csv", "remove");
    world.text(import, 0);
    let waiting = || world.open(false).staged_changes().unwrap();
    assert_eq!(waiting().len(), 2);
    let write = |from: &str, to: &str| {
        let sheet = world.path("sheets/adam@harbour.example.csv");
        fs::write(&sheet, fs::read_to_string(&sheet).unwrap().replace(from, to)).unwrap();
    };
    write(",remove,", ",keep,");
    has(&world.text(import, 0), &["2 kept", "Decided to be kept after all, and so rejected: C-"]);
    assert!(waiting().is_empty(), "an owner cannot publish by mistake what nobody wants any more");
    assert_eq!(world.selected(BOB), vec![1001, 1002]);

    write(",keep,", ",remove,");
    world.text(import, 0);
    for change in waiting() {
        world.text(&format!("changes publish {} --as cas@harbour.example", change.label()), 0);
    }
    write(",remove,", ",keep,");
    let line = "bob@harbour.example lost client-1001 by an earlier decision of this review. To give it back: ledgerward select";
    has(&world.text(import, 5), &["2 kept", line]);
    has(&world.text(import, 5), &["Nothing new", line]);
    world.text("select bob client-1002", 0);
    let sealed = world.text("review seal Q1 --out signed", 5);
    has(&sealed, &["1 decision to keep came when the access was gone already", line]);
    assert!(!sealed.contains("lost client-1002"), "{sealed}");
    assert_eq!(fs::read_to_string(world.path("signed/not-kept.csv")).unwrap().lines().count(), 2);
    world.text("review verify signed", 0);
}

#[test]
fn a_review_has_a_line_for_an_address_that_is_nobodys() {
    let world = office();
    world.text("people mode ana ledger+selected", 0);
    let mut db = world.open(false);
    let run = db.run_start("sync", at(READ)).unwrap();
    grant(&mut db, run);
    drop(db);
    // How they came is in no log, and so whose the old address was is not known.
    world.text("people edit bob --email robert@harbour.example", 0);
    world.text("review start Q1", 0);
    world.text("review export Q1 --out sheets", 0);
    let sheet = fs::read_to_string(world.path("sheets/ana@harbour.example.csv")).unwrap();
    has(&sheet, &["client-1001,bob@harbour.example,bob@harbour.example,\"drive: reader"]);
    world.decide("sheets/ana@harbour.example.csv", "remove");
    let told = "bob@harbour.example is nobody of the firm, so no selection takes it away";
    has(&world.text("review import Q1 sheets/ana@harbour.example.csv", 5), &[told]);
    has(&world.text("review seal Q1 --out signed", 5), &[told]);
}

#[test]
fn a_review_goes_out_comes_back_and_is_sealed() {
    let world = office();
    world.text("people mode ana ledger+selected", 0);
    has(&world.text("review start 2026-Q4 --as bob@harbour.example", 1), &["the permission \"read-all\" is missing"]);
    let start = "review start 2026-Q4 --reviewer cas=client-1002";
    has(&world.text(start, 0), &["2 lines for 2 reviewers", "cas@harbour.example cannot import a sheet"]);
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

/// A section that is taken out, or renamed, closes nobody's folder: it is said by everything that would say that all is well.
#[test]
fn a_target_that_is_not_configured_any_more_is_told_until_it_is_back_or_let_go() {
    let world = office();
    let mut db = world.open(false);
    let run = db.run_start("sync", at(READ)).unwrap();
    grant(&mut db, run);
    drop(db);
    let with = fs::read_to_string(world.path("config.toml")).unwrap();
    has(&world.text("holders release drive --reason gone", 1), &["drive is in the configuration"]);
    let (without, _) = with.split_once("[targets.drive]").unwrap();
    fs::write(world.path("config.toml"), without).unwrap();
    let what = "drive is not in the configuration any more, and 1 grant of ours stand in 1 folder there";
    has(&world.text("plan --offline", 5), &[what, "trouble"]);
    has(&world.text("gaps --offline", 5), &[what]);
    world.text("people disable bob@harbour.example", 0);
    has(&world.text("plan --offline", 5), &[what]);
    let plan = world.json("plan --offline", 5, "plan");
    assert!(plan["troubles"][0].as_str().unwrap().starts_with(what), "{plan}");
    // Nobody is taken off, and nothing is ours any more.
    let told = world.json("holders release drive --reason sold", 0, "release");
    assert_eq!((&told["folders"], &told["grants"]), (&json!(1), &json!(1)));
    world.text("plan --offline", 0);
    has(&world.text("holders release drive --reason again", 1), &["nothing of ours stands on drive"]);
    has(&world.text("audit export", 0), &["grant.lost", "sold"]);
}
