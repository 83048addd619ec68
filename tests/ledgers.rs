//! One firm whose clients are at every source there is: the real program, over each provider's strict stand-in with the sample
//! firm of `fixtures/firm`, and one folder a client on Google Drive.

#![cfg(feature = "full")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test's helpers fail the test")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    thread,
    time::{Duration, SystemTime},
};

use common::Firm;
use ledgerward::registry;
use serde_json::{Value, json};

/// One client's source: where it is, what the client is called there, and what the sample firm says of the people.
struct Source {
    connection: &'static str,
    there: &'static str,
    kind: &'static str,
    /// Who may open it, by the vendor's own rules.
    sees: &'static [&'static str],
    /// Whom the source cannot judge.
    unknown: &'static [&'static str],
    grade: &'static str,
    /// Whether it has figures to make statements of.
    statements: bool,
}

const WHO: [&str; 3] = ["bob", "cleo", "dev"];

const SOURCES: [Source; 8] = [
    source("xero", "Acme Ltd", "ledger", &["bob", "cleo", "dev"], "A", true),
    // QuickBooks lists nobody: the firm's own list decides.
    source("quickbooks", "Birch LLP", "ledger", &["cleo"], "C", true),
    source("myob", "Lark Plumbing Pty Ltd", "ledger", &["bob"], "A", true),
    source("freeagent", "Birch LLP", "ledger", &["bob", "cleo"], "A", true),
    // Cleo is only invited, and Bob has a role that the client made up.
    Source { unknown: &["bob"], ..source("zoho-books", "Kelp Capital", "ledger", &[], "A", false) },
    source("business-central", "Dune Dental", "ledger", &["cleo"], "A", false),
    source("karbon", "Dune Dental", "practice-client", &["cleo"], "B", false),
    source("xpm", "Fjord Fishing", "practice-client", &["dev"], "B", false),
];

const fn source(
    connection: &'static str,
    there: &'static str,
    kind: &'static str,
    sees: &'static [&'static str],
    grade: &'static str,
    statements: bool,
) -> Source {
    Source { connection, there, kind, sees, unknown: &[], grade, statements }
}

/// The clients that are selected for a person.
fn selected(who: &str) -> Vec<&'static str> {
    let of = |n: usize| match who {
        "bob" => n.is_multiple_of(2),
        "cleo" => n % 3 != 1,
        _ => n >= 4,
    };
    SOURCES.iter().enumerate().filter(|(n, _)| of(*n)).map(|(_, s)| s.connection).collect()
}

/// Every source in the configuration, signed in, with one client each that is called as its source.
fn firm() -> Firm {
    let mut firm = Firm::on_first_day();
    let late = fs::read_to_string(firm.path("config.toml")).unwrap();
    for one in SOURCES.iter().filter(|s| s.connection != "xero") {
        let entry = registry::entry(one.connection).unwrap();
        let mut seed: Value = serde_json::from_str(entry.fake.as_ref().unwrap().sample).unwrap();
        // These limits would make most of the time this takes.
        if ["karbon", "freeagent"].contains(&one.connection) {
            seed["clients"].as_array_mut().unwrap().retain(|c| c["name"] == one.there);
        }
        let mut section = String::new();
        let paths = entry.factory.manifest().endpoints.iter().map(|e| {
            let url: url::Url = e.url.parse().unwrap();
            format!("{} = \"{{url}}{}\"", e.name, url.path().trim_end_matches('/'))
        });
        writeln!(section, "endpoints = {{ {} }}", paths.collect::<Vec<_>>().join(", ")).unwrap();
        let app = |key: &str| seed["app"][key].as_str();
        if let Some(id) = app("client_id") {
            writeln!(section, "client_id = \"{id}\"").unwrap();
        }
        for key in ["client_secret", "api_key", "access_key"] {
            if let Some(word) = app(key) {
                let file = format!("{}-{key}", one.connection);
                firm.secret(&file, word);
                writeln!(section, "{key} = {{ file = \"{file}\" }}").unwrap();
            }
        }
        if one.connection == "myob" {
            section += "user_list = \"required\"\n";
        }
        firm.add("connections", one.connection, one.connection, &seed, &section);
        let consents = match one.connection {
            "karbon" => 0,
            // One consent is one company.
            "quickbooks" => 2,
            _ => 1,
        };
        (0..consents).for_each(|_| firm.connect(one.connection));
    }
    fs::write(firm.path("staff.csv"), "Client,Email\nBirch,cleo@harbour.example\n").unwrap();
    let then = SystemTime::now() - Duration::from_secs(60);
    fs::File::options().write(true).open(firm.path("staff.csv")).unwrap().set_modified(then).unwrap();
    let config = fs::read_to_string(firm.path("config.toml")).unwrap();
    assert!(config.starts_with(&late));
    let roster =
        format!("\n[connections.staff]\nconnector = \"roster\"\nfile = \"{}\"\n", firm.path("staff.csv").display());
    fs::write(firm.path("config.toml"), config + &roster).unwrap();

    let told = firm.ask(&["pull"]);
    assert_eq!(told.exit, 0, "{told:?}");
    let since = jiff::Zoned::now().date().first_of_month().saturating_sub(jiff::Span::new().months(1)).to_string();
    for one in &SOURCES {
        let slug = one.connection;
        if one.kind == "ledger" {
            let listed = firm.must(&["clients", "list", "--all", "--json", "--quiet"]).json();
            let all = listed["clients"].as_array().unwrap();
            let of = |c: &&Value| c["name"] == one.there && c["sources"][0]["connection"] == slug;
            let old = all.iter().find(of).unwrap_or_else(|| panic!("{slug}: {listed}"))["slug"].as_str().unwrap();
            firm.ask(&["clients", "accept", old]);
            firm.must(&["clients", "rename", old, slug]);
        } else {
            let rows = firm.must(&["roster", slug, "--json", "--quiet"]).json();
            let all = rows["clients"].as_array().unwrap();
            let row = all.iter().find(|c| c["name"] == one.there).unwrap_or_else(|| panic!("{rows}"));
            firm.must(&["clients", "add", slug]);
            firm.must(&["clients", "accept", slug]);
            let id = row["id"].as_str().unwrap();
            firm.must(&["clients", "bind", slug, slug, id, "--kind", one.kind]);
            // Responsibility is no access: it decides only where somebody says so.
            firm.must(&["clients", "authority", slug, &format!("{slug}:{id}")]);
        }
        firm.must(&["clients", "since", slug, &since]);
    }
    firm.must(&["clients", "bind", "quickbooks", "staff", "birch", "--kind", "roster"]);
    firm.must(&["clients", "unlisted", "quickbooks", "roster"]);
    // That somebody is on no list is believed at the second reading.
    firm.ask(&["pull"]);
    thread::sleep(Duration::from_secs(3));
    let told = firm.ask(&["pull"]);
    assert_eq!(told.exit, 0, "{told:?}");
    firm
}

const MODES: [&str; 4] = ["all", "selected", "ledger", "ledger+selected"];

/// What the four modes make of a source, for one person.
fn expected(mode: &str, who: &str, one: &Source) -> &'static str {
    let chosen = selected(who).contains(&one.connection);
    let ledger = if one.unknown.contains(&who) {
        "held"
    } else if one.sees.contains(&who) {
        "yes"
    } else {
        "no"
    };
    match (mode, chosen) {
        ("all", _) | ("selected", true) => "yes",
        ("selected" | "ledger+selected", false) => "no",
        _ => ledger,
    }
}

#[test]
fn every_mode_means_the_same_at_every_source() {
    let firm = firm();
    for who in WHO {
        // By this mode a client may be selected whatever its ledger says.
        firm.must(&["people", "mode", who, "selected"]);
        firm.must(&[&["select", who][..], &selected(who)].concat());
    }
    let of: BTreeMap<&str, &Source> = SOURCES.iter().map(|s| (s.connection, s)).collect();
    for mode in MODES {
        for who in WHO {
            firm.must(&["people", "mode", who, mode]);
        }
        let told = firm.must(&["access", "--format", "json", "--json", "--quiet"]).json();
        let mut seen = BTreeMap::new();
        for row in told["rows"].as_array().unwrap().iter().filter(|r| r["target"] == "drive") {
            let who = row["person"]["email"].as_str().unwrap().split('@').next().unwrap();
            seen.insert((who.to_owned(), row["client"]["name"].as_str().unwrap().to_owned()), row);
        }
        for (who, one) in WHO.iter().flat_map(|who| of.values().map(move |one| (*who, *one))) {
            let row = seen.get(&(who.to_owned(), one.connection.to_owned())).copied();
            let answer = row.and_then(|r| r["answer"].as_str()).unwrap_or("no");
            assert_eq!(answer, expected(mode, who, one), "{mode}, {who}, {}: {row:?}", one.connection);
        }
    }

    // What QuickBooks says stands for a day (`told`), and a person who asks hears what is true now.
    let companies = || firm.at("quickbooks", "stats", json!({}))["served"].as_u64().unwrap();
    let before = companies();
    firm.must(&["pull"]);
    assert!(companies() >= before + 4, "two companies, each with its number of users");
    assert_eq!(firm.state(|db| db.doc_all::<Value>("told")).len(), 2);

    // Each of them in a mode of their own: the folders are what was computed, and everything is there.
    for (who, mode) in WHO.iter().zip(["ledger", "ledger+selected", "selected"]) {
        firm.must(&["people", "mode", who, mode]);
    }
    assert_eq!(firm.ask(&["plan"]).exit, 3);
    firm.approve_all();
    let first = firm.sync();
    assert!([0, 5].contains(&first.exit), "{first:?}");
    let lists = firm.lists();
    let modes: BTreeMap<&str, &str> = WHO.iter().copied().zip(["ledger", "ledger+selected", "selected"]).collect();
    for one in &SOURCES {
        let should: BTreeSet<&str> = WHO.into_iter().filter(|who| expected(modes[who], who, one) == "yes").collect();
        let there = &lists[one.connection];
        let there: BTreeSet<&str> =
            there.iter().map(|w| w.split('@').next().unwrap()).filter(|w| WHO.contains(w)).collect();
        assert_eq!(there, should, "{}", one.connection);
        let in_folder = |p: &String| p.split('/').any(|n| n == one.connection) && !p.contains("/.");
        let files = firm.disk().into_keys().filter(in_folder).count();
        assert_eq!(files > 0, one.statements, "{}: {files} files", one.connection);
        let why = firm.ask(&["why", "bob", one.connection]).out;
        let from = if one.grade == "C" { "staff" } else { one.connection };
        let line = why.lines().find(|l| l.trim_start().starts_with(&format!("source     {from} "))).unwrap_or(&why);
        assert!(line.contains(&format!(", grade {}", one.grade)), "{why}");
    }
    assert_eq!(firm.lists(), lists);
    let writes = firm.writes();
    let told = firm.sync();
    assert_eq!((told.exit, firm.writes()), (0, writes), "{told:?}");
    firm.check_whole("every source");
}

/// A program of the firm's own that says what stands in a file, a file for each question.
const PROGRAM: &str = r#"#!/bin/sh
read -r question
for call in ledgers access clients; do
  case "$question" in *"\"call\":\"$call\""*) cat "$call.json" ;; esac
done
"#;

/// What the program says from now on.
fn program_says(firm: &Firm, call: &str, items: &Value) {
    fs::create_dir_all(firm.path("harbour")).unwrap();
    let answer = json!({"result": {"items": items, "next": null}});
    fs::write(firm.path("harbour").join(format!("{call}.json")), format!("{answer}\n")).unwrap();
}

/// A firm at rest with one more connection, to that program.
fn with_program(provides: &str, more: &str) -> Firm {
    let firm = Firm::at_rest();
    fs::create_dir_all(firm.path("harbour")).unwrap();
    let program = firm.path("harbour").join("program.sh");
    fs::write(&program, PROGRAM).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut config = fs::OpenOptions::new().append(true).open(firm.path("config.toml")).unwrap();
    write!(
        config,
        "\n[connections.harbour]\nconnector = \"process\"\nprogram = \"{}\"\nprovides = [\"{provides}\"]\n\
         endpoints = {{ api = \"http://127.0.0.1:1\" }}\n{more}\n",
        program.display()
    )
    .unwrap();
    firm
}

fn listed(who: &str) -> Value {
    let email = format!("{who}@harbour.example");
    json!({"id": who, "email": email, "name": who, "role": "reader", "standing": "active"})
}

/// Two runs, as far apart as a second list has to be from the first.
fn two_runs(firm: &Firm) {
    firm.sync();
    thread::sleep(Duration::from_secs(3));
    firm.sync();
}

fn own_missing(firm: &Firm) -> Vec<String> {
    let told = firm.must(&["findings", "--json", "--quiet"]).json();
    let all = told["findings"].as_array().unwrap().iter().filter(|f| f["code"] == "source.own_missing");
    all.map(|f| format!("{}; {}", f["text"].as_str().unwrap(), f["next"].as_str().unwrap())).collect()
}

/// `product` 3, `decisions` 9: absence counts where the list has our own user, whoever says which one that is.
#[test]
fn a_list_by_keys_takes_out_who_is_missing_where_the_firm_says_whose_they_are() {
    let gone = |setting: &str, others: &[&str]| {
        let firm = with_program("ledgers", setting);
        program_says(&firm, "ledgers", &json!([{"id": "71", "name": "Dune Dental"}]));
        let with = |who: &[&str]| json!(who.iter().chain(others).map(|w| listed(w)).collect::<Vec<_>>());
        program_says(&firm, "access", &with(&["bob", "dev"]));
        firm.ask(&["pull"]);
        firm.must(&["clients", "accept", "dune-dental"]);
        firm.sync();
        firm.approve_all();
        two_runs(&firm);
        let in_it = |who: &str| firm.lists()["Dune Dental"].contains(&format!("{who}@harbour.example"));
        assert!(in_it("bob") && in_it("dev"), "{setting}: {:?}", firm.lists());
        program_says(&firm, "access", &with(&["dev"]));
        two_runs(&firm);
        assert!(in_it("dev"), "{setting}: {:?}", firm.lists());
        (!in_it("bob"), own_missing(&firm))
    };
    assert_eq!(gone("own_user = \"keys\"", &["keys"]), (true, vec![]), "by id");
    assert_eq!(gone("own_user = \"keys@harbour.example\"", &["keys"]), (true, vec![]), "by address");

    let (out, told) = gone("own_user = \"keys\"", &[]);
    assert!(!out && told.len() == 1 && told[0].contains("does not contain our own user"), "{told:?}");
    let (out, told) = gone("", &["keys"]);
    assert!(!out && told.len() == 1, "nobody says whose the keys are: {told:?}");
    assert!(told[0].contains("nothing says which user of the list is our own"), "{told:?}");
    assert!(told[0].contains("enter the user as own_user"), "{told:?}");
}

/// The practice's list has a colleague who left, with an id and nothing else: that one is held, and the client goes on.
#[test]
fn somebody_without_an_address_on_a_client_holds_nobody_else() {
    let firm = with_program("clients", "");
    let unknown = |id: &str, name: &str| {
        let standing = "not in the staff list";
        json!({"id": id, "email": null, "name": name, "role": "reader", "standing": standing, "one_person": true})
    };
    let says = |people: &[Value]| {
        let client = json!({"id": "c1", "name": "Dune Dental", "active": true, "people": people});
        program_says(&firm, "clients", &json!([client]));
    };
    says(&[listed("bob"), listed("dev"), unknown("x9", "Old Hand")]);
    firm.ask(&["pull"]);
    firm.must(&["clients", "add", "dune"]);
    firm.must(&["clients", "accept", "dune"]);
    firm.must(&["clients", "bind", "dune", "harbour", "c1", "--kind", "practice-client"]);
    firm.must(&["clients", "authority", "dune", "harbour:c1"]);
    firm.sync();
    firm.approve_all();
    two_runs(&firm);
    let in_it = |who: &str| firm.lists()["dune"].contains(&format!("{who}@harbour.example"));
    assert!(in_it("bob") && in_it("dev"), "{:?}", firm.lists());

    says(&[unknown("bob", "Bob Harbour"), unknown("x9", "Old Hand")]);
    two_runs(&firm);
    assert!(in_it("bob"), "he may be there as ever");
    assert!(!in_it("dev"), "his absence is no less than it was: {:?}", firm.lists());
    let told = firm.must(&["findings", "--json", "--quiet"]).json();
    let all = told["findings"].as_array().unwrap();
    let of = |code: &str| all.iter().filter(|f| f["code"] == code).map(ToString::to_string).collect::<Vec<_>>();
    let unidentified = of("source.unidentified");
    assert_eq!(unidentified.len(), 2, "{all:#?}");
    for word in
        ["take bob@harbour.example off this client in harbour", "take Old Hand (user x9) off this client in harbour"]
    {
        assert!(unidentified.iter().any(|f| f.contains(word)), "{word}: {unidentified:#?}");
    }
    for code in ["source.unreadable", "source.unclear", "status.unknown"] {
        assert!(of(code).is_empty(), "{code}: {all:#?}");
    }
    // What may be a team may be anybody.
    let team = json!({"id": "t1", "email": null, "name": "Tax", "role": "reader", "standing": "team"});
    says(&[team]);
    two_runs(&firm);
    assert!(in_it("bob"), "{:?}", firm.lists());
    let told = firm.must(&["findings", "--json", "--quiet"]).json();
    assert!(told["findings"].as_array().unwrap().iter().any(|f| f["code"] == "source.unclear"), "{told:#}");
}
