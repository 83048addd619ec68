//! Somebody's private books are nobody else's to know of: neither their name nor their folder's nor their ledger's is in
//! anything that an admin or another owner is told, whatever they ask.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helpers fail the test")]

mod common;

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use common::{
    Firm, Told,
    proxy::{Fault, Rule},
};
use serde_json::{Value, json};

const ANA: &str = "ana@harbour.example";
const CLEO: &str = "cleo@harbour.example";
const OLGA: &str = "olga@harbour.example";
const OTHERS: [&str; 2] = [CLEO, OLGA];

/// The books' short name, their name, which is their folder's, and their ledger's.
const NAMES: [&str; 3] = ["smith-trust", "smith trust", "zebra holdings"];
const LEDGER: &str = "c4d9a7f2-0000-4000-8000-00000000000f";

/// What a person may ask without changing anything. Whoever may not is told so, which must name nothing either.
const READS: &[&str] = &[
    "status",
    "status --check",
    "runs",
    "findings --all",
    "doctor --offline",
    "doctor",
    "people",
    "people list --all",
    "clients",
    "clients list --all",
    "select bob --add acme-ltd --dry-run",
    "guests",
    "roles",
    "roles list",
    "groups",
    "private",
    "holders",
    "adopt drive",
    "changes",
    "changes show --all",
    "firm export",
    "connectors",
    "roster",
    "access",
    "access --format csv",
    "access --at NOW",
    "access --person bob",
    "access --person dev --at NOW",
    "why bob acme-ltd",
    "why-not dev birch-llp",
    "gaps",
    "gaps --offline",
    "forecast",
    "review",
    "what-if --person bob --add cedar-bakery",
    "leaver",
    "leaver --all",
    "statements",
    "freeze",
    "hold",
    "plan --offline",
    "plan",
    "pull",
    "audit export",
    "audit export --format csv",
    "audit verify",
];

/// What tells most, for the times between.
const FEW: &[&str] = &["status", "findings", "plan --offline", "hold", "statements", "access --at NOW", "leaver"];

/// Whatever was told that names the books.
#[derive(Default)]
struct Leaks(Vec<String>);

impl Leaks {
    fn look(&mut self, what: &str, text: &str) {
        let low = text.to_lowercase();
        for name in NAMES {
            if let Some(at) = low.find(name) {
                let from = (0..=at.saturating_sub(160)).rev().find(|i| low.is_char_boundary(*i)).unwrap();
                let near: String = low[from..].chars().take(220).collect();
                self.0.push(format!("{what}\n      {name}: {}", near.replace('\n', " / ")));
            }
        }
    }

    fn told(&mut self, who: &str, args: &[&str], told: &Told) {
        self.look(&format!("{who}: {}: out", args.join(" ")), &told.out);
        self.look(&format!("{who}: {}: err", args.join(" ")), &told.err);
    }

    fn ask(&mut self, firm: &Firm, who: &str, args: &[&str]) -> Told {
        let told = as_person(firm, who, args);
        self.told(who, args, &told);
        told
    }

    /// Every question, of one in words and of the other as JSON.
    fn read(&mut self, firm: &Firm, when: &str, what: &[&str], [in_words, in_json]: [&str; 2]) {
        let now = jiff::Timestamp::now().to_string();
        for line in what {
            let args: Vec<&str> = line.split(' ').map(|w| if w == "NOW" { now.as_str() } else { w }).collect();
            let told = as_person(firm, in_words, &args);
            assert_ne!(told.exit, 64, "{args:?}: {told:?}");
            self.told(&format!("{when}: {in_words}"), &args, &told);
            let args: Vec<&str> = args.into_iter().chain(["--json"]).collect();
            let told = as_person(firm, in_json, &args);
            self.told(&format!("{when}: {in_json}"), &args, &told);
            if told.out.starts_with('{') {
                told.json();
            }
        }
        for who in OTHERS {
            let held = as_person(firm, who, &["hold", "--json", "--quiet"]).json();
            for hold in held["holds"].as_array().unwrap() {
                self.ask(firm, who, &["hold", "show", hold["digest"].as_str().unwrap()]);
            }
        }
    }

    fn files(&mut self, dir: &Path) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            self.look("a file's name", &path.display().to_string());
            if path.is_dir() {
                self.files(&path);
            } else {
                self.look(&path.display().to_string(), &String::from_utf8_lossy(&fs::read(&path).unwrap()));
            }
        }
    }

    fn wants(&mut self, told: &Told, words: &str) {
        if !told.out.contains(words) {
            self.0.push(format!("{words} is not in: {}", told.out.chars().take(600).collect::<String>()));
        }
    }

    #[track_caller]
    fn none(self) {
        assert!(self.0.is_empty(), "{} faults:\n  {}", self.0.len(), self.0.join("\n  "));
    }
}

fn as_person(firm: &Firm, who: &str, args: &[&str]) -> Told {
    let all: Vec<&str> = args.iter().copied().chain(["--as", who]).collect();
    firm.ask(&all)
}

#[track_caller]
fn must(firm: &Firm, who: &str, line: &str) -> Told {
    // The short name of private books ends in digits that nobody can know before.
    let name = |word| if word == "smith-trust" { "Smith Trust" } else { word };
    let told = as_person(firm, who, &line.split(' ').map(name).collect::<Vec<_>>());
    assert_eq!(told.exit, 0, "{line}: {told:?}");
    told
}

fn since(firm: &Firm, months: i64) {
    let day = jiff::Zoned::now().date().first_of_month().saturating_sub(jiff::Span::new().months(months));
    must(firm, ANA, &format!("clients since smith-trust {day}"));
}

/// Ana keeps the books of a trust: a ledger of their own, a folder on Drive that Bob has too. Cleo is an admin, and Olga
/// another owner.
fn with_private_books() -> Firm {
    let mut firm = Firm::at_rest();
    let users: Vec<Value> = ["Ana", "Bob", "Dev"]
        .iter()
        .map(|n| json!({"email": format!("{}@harbour.example", n.to_lowercase()), "first": n, "last": "Harbour", "role": "STANDARD"}))
        .collect();
    let sale = json!({"type": "RECEIVE", "bank": "090", "account": "200", "amount": "61.00", "contact": "Takings"});
    let seed = json!({
        "app": {"client_id": "test-app", "client_secret": "test-secret", "scopes": "granular", "finance": true},
        "users": [{"email": ANA, "first": "Ana", "last": "Ruiz"}],
        "organisations": [{
            "tenant_id": LEDGER, "name": "Zebra Holdings", "users": users,
            "recurring": [{"from": "2025-04-01", "to": "2035-03-31", "day": 3, "transaction": sale, "vary": 12}],
        }],
    });
    firm.add(
        "connections",
        "own",
        "xero",
        &seed,
        "client_id = \"test-app\"\nclient_secret = { file = \"xero-secret\" }\nscopes = \"granular-finance\"\n\
         endpoints = { login = \"{url}\", identity = \"{url}\", api = \"{url}\" }\n",
    );
    let add = as_person(&firm, ANA, &["private", "add", "Smith Trust"]);
    assert_eq!(add.exit, 0, "{add:?}");
    must(&firm, ANA, &format!("clients bind smith-trust own {LEDGER}"));
    since(&firm, 1);
    firm.connect("own");
    firm.must(&["people", "add", OLGA, "--first", "Olga", "--last", "Harbour"]);
    firm.must(&["people", "office", "cleo", "admin", "--mode", "ledger+selected"]);
    firm.must(&["people", "office", "olga", "owner", "--mode", "selected"]);
    must(&firm, ANA, "private share smith-trust --target drive --with bob --reason family");
    firm
}

fn daemon(firm: &Firm) -> Child {
    let child =
        firm.command(&["run"]).stdout(Stdio::null()).stderr(fs::File::create(firm.path("log")).unwrap()).spawn();
    let (child, begun) = (child.unwrap(), Instant::now());
    let log = || fs::read_to_string(firm.path("log")).unwrap_or_default();
    while !log().contains("daemon.ready") {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not start:\n{}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

/// Over the daemon's socket, as somebody: the answer as it came.
fn get(firm: &Firm, who: &str, path: &str) -> String {
    let mut socket = UnixStream::connect(firm.path("state/ledgerward.sock")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(
        socket,
        "GET /api/v1{path} HTTP/1.1\r\nHost: ledgerward\r\nLedgerward-As: {who}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// Every question of the API that changes nothing, with what it must be told filled in.
fn questions(firm: &Firm) -> Vec<String> {
    let held = firm.ask(&["hold", "--json", "--quiet"]).json();
    let digest = held["holds"][0]["digest"].as_str().unwrap_or("00000000").to_owned();
    let fill = |name: &str| match name {
        "person" => "bob".to_owned(),
        "client" => "acme-ltd".to_owned(),
        "target" => "drive".to_owned(),
        "connection" => "own".to_owned(),
        "digest" => digest.clone(),
        "change" => "C-1".to_owned(),
        "limit" => "1000".to_owned(),
        _ => "none".to_owned(),
    };
    let description = ledgerward::api::openapi::document();
    let mut all = Vec::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        let Some(operation) = operations.get("get") else { continue };
        let (mut path, mut query) = (path.trim_start_matches("/api/v1").to_owned(), String::new());
        for input in operation["parameters"].as_array().into_iter().flatten() {
            let Some(name) = input["name"].as_str() else { continue };
            if input["in"] == "path" {
                path = path.replace(&format!("{{{name}}}"), &fill(name));
            } else if input["in"] == "query" && input["required"] == true {
                query += &format!("{}{name}={}", if query.is_empty() { "?" } else { "&" }, fill(name));
            }
        }
        all.push(path + &query);
    }
    assert!(all.len() > 25, "{all:?}");
    all
}

#[test]
fn nobody_is_told_of_somebody_elses_private_books() {
    let firm = with_private_books();
    let mut leaks = Leaks::default();

    // The folder is planned.
    leaks.ask(&firm, CLEO, &["pull"]);
    let plan = leaks.ask(&firm, OLGA, &["plan", "--json"]);
    leaks.wants(&plan, "private books of ana@harbour.example");
    leaks.read(&firm, "planned", FEW, [CLEO, OLGA]);
    let own = as_person(&firm, ANA, &["plan"]);
    leaks.wants(&own, "smith-trust");
    leaks.wants(&own, "Smith Trust");
    let digest = |who| as_person(&firm, who, &["plan", "--offline", "--json", "--quiet"]).json()["digest"].clone();
    assert_eq!(digest(ANA), digest(OLGA), "what is hidden changes no digest");

    // It is made, filled and shared by whoever runs the cycle.
    leaks.ask(&firm, CLEO, &["sync", "--yes"]);
    let held = as_person(&firm, OLGA, &["hold", "--json", "--quiet"]).json();
    for hold in held["holds"].as_array().unwrap() {
        leaks.ask(&firm, OLGA, &["approve", hold["digest"].as_str().unwrap(), "--reason", "looked at"]);
    }
    leaks.ask(&firm, CLEO, &["sync", "--yes", "--json"]);
    leaks.ask(&firm, CLEO, &["sync", "--yes"]);
    let folders = firm.lists();
    assert!(folders["Smith Trust"].contains("bob@harbour.example"), "{folders:?}");
    // That Bob has something selected is a number of hers, too.
    for (who, number) in [(ANA, 1), (OLGA, 0)] {
        let people = as_person(&firm, who, &["people", "--json", "--quiet"]).json();
        let bob = people["people"].as_array().unwrap().iter().find(|p| p["first"] == "Bob").unwrap().clone();
        assert_eq!(bob["selected"], number, "{bob}");
    }

    // More statements are due, and another owner pushes them.
    for (months, args) in [(2, ["statements", "push"].as_slice()), (3, &["statements", "push", "--json"])] {
        since(&firm, months);
        let told = leaks.ask(&firm, OLGA, args);
        leaks.wants(&told, "private books of ana@harbour.example");
    }
    // Whoever is disabled loses them with all others.
    fs::write(firm.path("firm.toml"), "version = 1\n\n[[person]]\nemail = \"bob@harbour.example\"\nenabled = false\n")
        .unwrap();
    let file = firm.path("firm.toml").display().to_string();
    for args in [["what-if", &file].as_slice(), &["what-if", &file, "--json"]] {
        let told = leaks.ask(&firm, OLGA, args);
        leaks.wants(&told, "private books of ana@harbour.example");
    }
    leaks.read(&firm, "at rest", FEW, [CLEO, OLGA]);

    leaks.ask(&firm, OLGA, &["review", "start", "2026-q4"]);
    let sheets = firm.path("sheets").display().to_string();
    leaks.ask(&firm, OLGA, &["review", "export", "2026-q4", "--out", &sheets]);
    leaks.files(Path::new(&sheets));

    // A share waits for a guard, another goes, and the folder is open to others.
    must(&firm, ANA, "private share smith-trust --target drive --with dev --reason family");
    firm.at("drive", "share", json!({"file": "Smith Trust", "type": "anyone", "role": "reader"}));
    leaks.ask(&firm, CLEO, &["sync", "--yes"]);
    let held = leaks.ask(&firm, OLGA, &["hold", "--json"]);
    leaks.wants(&held, "private books of ana@harbour.example");
    // What is approved is not hidden.
    leaks.wants(&held, "dev@harbour.example");
    leaks.read(&firm, "held", READS, [OLGA, CLEO]);
    let own = as_person(&firm, ANA, &["hold"]);
    leaks.wants(&own, "smith-trust");

    // Its list cannot be read, and the feed says that it changed.
    for verb in ["share", "unshare"] {
        firm.at("drive", verb, json!({"file": "Smith Trust", "type": "user", "email": ANA, "role": "reader"}));
    }
    let rule =
        Rule { method: "GET", path: "/permissions", skip: 0, times: usize::MAX, fault: Fault::Status(403, None) };
    firm.proxies["drive"].spoil(Some(rule));
    for args in ["plan --json", "pull --json", "gaps --json", "holders --json", "sync --yes --json"] {
        let told = leaks.ask(&firm, CLEO, &args.split(' ').collect::<Vec<_>>());
        leaks.wants(&told, "the folder of private books of ana@harbour.example could not be read");
    }
    firm.proxies["drive"].spoil(None);

    // The same by the API.
    let mut child = daemon(&firm);
    for path in questions(&firm) {
        for who in OTHERS {
            leaks.look(&format!("{who}: GET {path}"), &get(&firm, who, &path));
        }
    }
    leaks.look("the daemon's log", &fs::read_to_string(firm.path("log")).unwrap());
    let _gone = child.kill();
    let _gone = child.wait();

    // Whoever had them is closed, by somebody to whom they are nothing.
    let dir = firm.path("pack").display().to_string();
    leaks.ask(&firm, CLEO, &["leaver", "bob", "--reason", "left", "--pack", &dir]);
    leaks.files(Path::new(&dir));
    for who in OTHERS {
        leaks.ask(&firm, who, &["leaver", "bob", "--json"]);
        leaks.ask(&firm, who, &["leaver", "bob"]);
        leaks.ask(&firm, who, &["leaver", "bob", "--confirm", &format!("own:{LEDGER}"), "--note", "told"]);
    }
    let chased = as_person(&firm, ANA, &["leaver", "bob"]);
    leaks.wants(&chased, "Zebra Holdings");
    leaks.ask(&firm, CLEO, &["pull"]);
    let told = as_person(&firm, ANA, &["findings"]);
    leaks.wants(&told, "Zebra Holdings");
    for args in [["revoke", "dev", "--now"].as_slice(), &["revoke", "dev", "--now", "--json"]] {
        leaks.ask(&firm, OLGA, args);
    }
    leaks.read(&firm, "left", FEW, [OLGA, CLEO]);

    let own = as_person(&firm, ANA, &["audit", "export"]);
    leaks.wants(&own, "Smith Trust");
    // What another owner may export is the trail's own, as far as it goes.
    let export = leaks.ask(&firm, OLGA, &["audit", "export"]);
    leaks.none();
    fs::write(firm.path("trail.jsonl"), &export.out).unwrap();
    let file = firm.path("trail.jsonl").display().to_string();
    must(&firm, OLGA, &format!("audit verify --file {file}"));
    must(&firm, ANA, &format!("audit verify --file {file}"));
    let forged = export.out.replacen("bob@harbour.example", "dev@harbour.example", 1);
    assert_ne!(forged, export.out);
    fs::write(firm.path("trail.jsonl"), forged).unwrap();
    assert_eq!(as_person(&firm, OLGA, &["audit", "verify", "--file", &file]).exit, 1);
    assert_eq!(as_person(&firm, CLEO, &["audit", "export"]).exit, 1, "the trail of all is the owners'");
}
