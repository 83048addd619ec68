//! The daemon with its providers: what a person does while a cycle runs, and what a restart must not forget. And commands
//! whose effect is at the provider.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod common;

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{
    Firm,
    proxy::{Fault, Rule},
};
use serde_json::{Value, json};

const WAIT: Duration = Duration::from_secs(60);
const BOB: &str = "bob@harbour.example";

struct Daemon<'f> {
    firm: &'f Firm,
    child: Child,
}

impl<'f> Daemon<'f> {
    fn start(firm: &'f Firm) -> Self {
        let log = fs::File::create(firm.path("log")).unwrap();
        let child = firm.command(&["run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let daemon = Self { firm, child };
        daemon.until("daemon.ready");
        daemon
    }

    fn log(&self) -> String {
        fs::read_to_string(self.firm.path("log")).unwrap_or_default()
    }

    fn until(&self, word: &str) {
        let begun = Instant::now();
        while !self.log().contains(word) {
            assert!(begun.elapsed() < WAIT, "no {word} in the log:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn stop(&mut self) {
        assert!(Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn folders_of(firm: &Firm, who: &str) -> usize {
    firm.lists().values().filter(|people| people.contains(who)).count()
}

#[test]
fn h08_a_revoke_through_the_socket_does_not_wait_for_the_cycle() {
    let firm = Firm::at_rest();
    assert!(folders_of(&firm, BOB) > 0);
    let slow =
        Rule { method: "GET", path: "/Users", skip: 0, times: usize::MAX, fault: Fault::Delay(Duration::from_secs(4)) };
    firm.proxies["xero"].spoil(Some(slow));
    let mut daemon = Daemon::start(&firm);
    let begun = Instant::now();
    while firm.proxies["xero"].hits() == 0 {
        assert!(begun.elapsed() < WAIT, "the cycle does not read:\n{}", daemon.log());
        thread::sleep(Duration::from_millis(20));
    }
    let told = firm.ask(&["revoke", "bob", "--now", "--reason", "left today"]);
    assert_eq!(told.exit, 0, "{told:?}");
    assert_eq!(folders_of(&firm, BOB), 0, "{told:?}");
    assert!(!daemon.log().contains("cycle.end"), "the cycle was still reading:\n{}", daemon.log());
    firm.proxies["xero"].spoil(None);
    daemon.until("kind=\"statements\" exit");
    assert_eq!(folders_of(&firm, BOB), 0, "a cycle that was planned before lets nobody in again:\n{}", daemon.log());
    daemon.stop();
    assert_eq!(firm.sync().exit, 0);
    assert_eq!(folders_of(&firm, BOB), 0);
    firm.check_whole("after the revoke");
}

#[test]
fn p13_a_second_reading_that_waits_outlives_the_daemon() {
    let firm = Firm::at_rest();
    // Long enough to stop the daemon before, short enough to wait for.
    let text = fs::read_to_string(firm.path("config.toml")).unwrap();
    fs::write(firm.path("config.toml"), text.replace("2 seconds", "12 seconds")).unwrap();
    firm.at("xero", "drop_user", json!({"tenant": "Acme Ltd", "user": BOB}));
    let before = folders_of(&firm, BOB);
    let mut daemon = Daemon::start(&firm);
    daemon.until("kind=\"statements\" exit");
    daemon.stop();
    assert_eq!(folders_of(&firm, BOB), before, "one absence is none");
    let waits: Vec<Value> = firm.state(|db| Ok(db.doc_all::<Value>("reread")?.into_values().collect()));
    assert_eq!(waits.len(), 1, "{waits:?}");
    thread::sleep(Duration::from_secs(12));
    let mut daemon = Daemon::start(&firm);
    daemon.until("kind=\"reread\" exit");
    assert_eq!(folders_of(&firm, BOB), before - 1, "the second absence is one:\n{}", daemon.log());
    daemon.stop();
    let waits: Vec<Value> = firm.state(|db| Ok(db.doc_all::<Value>("reread")?.into_values().collect()));
    assert!(waits.is_empty(), "{waits:?}");
}

#[test]
fn a_stranger_is_taken_off_the_folder_by_holders_remove() {
    let firm = Firm::at_rest();
    let dev = "dev@harbour.example";
    let before = firm.lists();
    firm.at("drive", "share", json!({"file": "Cedar Bakery", "type": "user", "email": dev, "role": "writer"}));
    let told = firm.sync();
    assert!(firm.lists()["Cedar Bakery"].contains(dev), "what we did not grant we do not take: {told:?}");
    let told = firm.ask(&["holders", "remove", "cedar-bakery", "drive", dev, "--reason", "not theirs"]);
    assert_eq!(told.exit, 0, "{told:?}");
    assert_eq!(firm.lists(), before);
    assert_eq!(firm.sync().exit, 0);
    firm.check_whole("without the stranger");
}

#[test]
fn statements_push_rerender_puts_a_changed_rendering_in_the_place_of_the_old_one() {
    let firm = Firm::at_rest();
    let push = || {
        let told = firm.ask(&["statements", "push", "--rerender", "--json", "--quiet"]);
        assert_eq!(told.exit, 0, "{told:?}");
        told.json()["delivery"]["files"].as_array().unwrap().len()
    };
    let (disk, writes) = (firm.disk(), firm.writes());
    assert_eq!(push(), 0, "the same rendering is not pushed again");
    assert_eq!(firm.writes(), writes);
    // As if an older program had rendered one file.
    let (path, now) = disk.iter().find(|(path, _)| path.ends_with("sheet.json") && path.contains("Acme Ltd")).unwrap();
    let older = b"{}\n";
    fs::write(firm.path("folders").join(path), older).unwrap();
    let state = rusqlite::Connection::open(firm.path("state/ledgerward.db")).unwrap();
    let sql = "UPDATE delivered SET sha256 = ?1, tag = ?1, size = ?2 WHERE sha256 = ?3 AND lane IN (SELECT id FROM lane WHERE target = 'disk')";
    assert_eq!(state.execute(sql, rusqlite::params![common::sha(older), older.len() as i64, now]).unwrap(), 1);
    drop(state);
    assert_eq!(firm.sync().exit, 0);
    assert_ne!(firm.disk(), disk, "a new program pushes nothing again by itself");
    assert_eq!(push(), 1, "only the file whose rendering differs");
    assert_eq!(firm.disk(), disk, "in the place of the old one");
    assert_eq!(push(), 0, "and once");
    firm.check_whole("rendered again");
}

#[test]
fn n01_a_renamed_client_keeps_its_folder() {
    let firm = Firm::at_rest();
    let ids = |firm: &Firm| firm.folders().into_iter().map(|(id, ..)| id).collect::<std::collections::BTreeSet<_>>();
    let (before, people) = (ids(&firm), firm.lists()["Acme Ltd"].clone());
    firm.must(&["clients", "rename", "acme-ltd", "Acme Group"]);
    for _ in 0..2 {
        firm.sync();
        firm.approve_all();
    }
    assert_eq!(ids(&firm), before, "never a second folder");
    let lists = firm.lists();
    assert_eq!(lists.get("Acme Group"), Some(&people), "{lists:?}");
    assert!(!lists.contains_key("Acme Ltd"));
    let told = firm.must(&["clients", "list", "--json", "--quiet"]).out;
    assert!(told.contains("acme-ltd"), "its slug stays: {told}");
}

#[test]
fn h05_a_connection_that_is_taken_out_of_the_configuration_takes_nobody_off() {
    let firm = Firm::at_rest();
    let (lists, writes) = (firm.lists(), firm.writes());
    let text = fs::read_to_string(firm.path("config.toml")).unwrap();
    let (head, rest) = text.split_once("[connections.xero]").unwrap();
    let (_, targets) = rest.split_once("[targets.drive]").unwrap();
    fs::write(firm.path("config.toml"), format!("{head}[targets.drive]{}", targets.replace("2 seconds", "1 minute")))
        .unwrap();
    for _ in 0..3 {
        let told = firm.sync();
        assert!([0, 3, 4, 5].contains(&told.exit), "{told:?}");
    }
    assert_eq!(firm.lists(), lists, "nobody asked for that");
    assert_eq!(firm.writes(), writes);
    let owned = firm.state(|db| db.owned());
    assert!(owned.values().map(Vec::len).sum::<usize>() > 0, "what is ours stays known");
}

/// Last month's books of Acme change, and every statement is due to be read again.
fn restated(firm: &Firm) {
    let month = jiff::Zoned::now().date().first_of_month().saturating_sub(jiff::Span::new().months(1));
    let what = json!({"date": month, "type": "SPEND", "bank": "090", "account": "404", "amount": "12.50"});
    firm.at("xero", "post_transaction", json!({"tenant": "Acme Ltd", "transaction": what}));
    firm.state(|db| {
        let keys: Vec<String> = db.doc_all::<Value>("statement_read")?.into_keys().collect();
        keys.iter().try_for_each(|key| db.doc_delete("statement_read", key).map(drop))
    });
}

#[test]
fn s11_a_revoke_that_is_answered_well_and_not_done_is_told_and_stops_the_files() {
    let firm = Firm::at_rest();
    firm.at("xero", "set_role", json!({"tenant": "Acme Ltd", "user": BOB, "role": "REMOVED"}));
    restated(&firm);
    let files = firm.drive_files();
    let rule =
        Rule { method: "DELETE", path: "/permissions/", skip: 0, times: usize::MAX, fault: Fault::Status(204, None) };
    firm.proxies["drive"].spoil(Some(rule));
    let told = firm.sync();
    assert!(firm.proxies["drive"].hits() > 0, "{told:?}");
    assert_eq!(told.exit, 5, "{told:?}");
    assert!(format!("{}{}", told.out, told.err).contains("still listed"), "{told:?}");
    assert_eq!(firm.drive_files(), files, "no new file where somebody is who should be gone");
    firm.proxies["drive"].spoil(None);
    firm.sync();
    assert_eq!(firm.sync().exit, 0);
    assert!(!firm.lists()["Acme Ltd"].contains(BOB));
    assert_ne!(firm.drive_files(), files, "and then it goes");
    firm.check_whole("healed");
}

/// Open findings of a code: text and next step of each.
fn open(firm: &Firm, code: &str) -> Vec<(String, String)> {
    let told = firm.must(&["findings", "--json", "--quiet"]).json();
    let all = told.pointer("/findings").and_then(Value::as_array).unwrap();
    let word = |f: &Value, key: &str| f.get(key).and_then(Value::as_str).unwrap().to_owned();
    all.iter().filter(|f| word(f, "code") == code).map(|f| (word(f, "text"), word(f, "next"))).collect()
}

#[test]
fn s16_a_refused_invitation_is_a_finding_until_it_is_taken() {
    let firm = Firm::at_rest();
    let dev = "dev@harbour.example";
    firm.must(&["people", "mode", dev, "all"]);
    let rule =
        Rule { method: "POST", path: "/permissions", skip: 0, times: usize::MAX, fault: Fault::Status(403, None) };
    firm.proxies["drive"].spoil(Some(rule));
    for _ in 0..2 {
        let told = firm.sync();
        assert_eq!(told.exit, 5, "{told:?}");
    }
    assert!(firm.proxies["drive"].hits() > 0);
    let refused = open(&firm, "step.refused");
    assert_eq!(refused.len(), folders_of(&firm, BOB) - folders_of(&firm, dev), "one for each folder: {refused:?}");
    assert!(refused.iter().all(|(text, _)| text.starts_with(dev) && text.contains("on drive")), "{refused:?}");
    // However long ago the last complete sync was: everything was read, and the cause is another one.
    let state = rusqlite::Connection::open(firm.path("state/ledgerward.db")).unwrap();
    assert!(state.execute("UPDATE run SET complete = 0", []).unwrap() > 0);
    drop(state);
    let told = firm.ask(&["status", "--check"]);
    assert_eq!(told.exit, 1, "{told:?}");
    assert!(told.out.contains("refuse") && !told.out.contains("complete"), "{told:?}");
    let told = firm.must(&["status"]);
    assert!(told.out.contains("Not well") && told.out.contains(dev), "{told:?}");
    let told = firm.ask(&["gaps"]);
    let line = told.out.lines().find(|l| l.contains(dev) && l.contains("birch-llp")).unwrap_or_default();
    assert!(line.contains("could not be let into"), "the refusal and not the plan: {told:?}");

    firm.proxies["drive"].spoil(None);
    let told = firm.sync();
    assert_eq!(told.exit, 0, "{told:?}");
    assert_eq!(open(&firm, "step.refused"), []);
    assert_eq!(firm.ask(&["status", "--check"]).exit, 0);
}

#[test]
fn s09_a_refused_file_is_a_finding_until_it_is_taken() {
    let firm = Firm::at_rest();
    restated(&firm);
    let rule = Rule { method: "POST", path: "/upload/", skip: 0, times: usize::MAX, fault: Fault::Status(403, None) };
    firm.proxies["drive"].spoil(Some(rule));
    assert_eq!(firm.sync().exit, 5);
    assert!(firm.proxies["drive"].hits() > 0);
    let refused = open(&firm, "file.refused");
    assert_eq!(refused.len(), 1, "one for a folder: {refused:?}");
    assert!(
        refused
            .iter()
            .all(|(text, _)| text.contains("acme-ltd") && text.contains("on drive") || text.starts_with("drive")),
        "{refused:?}"
    );
    let told = firm.ask(&["status", "--check"]);
    assert!(told.exit == 1 && told.out.contains("refuse"), "{told:?}");
    firm.proxies["drive"].spoil(None);
    assert_eq!(firm.sync().exit, 0);
    assert_eq!(open(&firm, "file.refused"), []);
}

/// Why each step of the next plan about somebody is in it.
fn causes(firm: &Firm, who: &str) -> Vec<Value> {
    fn walk(value: &Value, who: &str, found: &mut Vec<Value>) {
        match value {
            Value::Object(map) if map.contains_key("op") && map.contains_key("cause") => {
                found.extend(map["op"].to_string().contains(who).then(|| map["cause"].clone()));
            }
            Value::Object(map) => map.values().for_each(|v| walk(v, who, found)),
            Value::Array(items) => items.iter().for_each(|v| walk(v, who, found)),
            _ => {}
        }
    }
    let told = firm.ask(&["plan", "--offline", "--json", "--quiet"]).json();
    let mut found = Vec::new();
    walk(&told, who, &mut found);
    found
}

const DEV: &str = "dev@harbour.example";

/// Dev sees all clients, two of which no ledger grants.
fn dev_sees_all() -> Firm {
    let firm = Firm::at_rest();
    firm.must(&["people", "mode", DEV, "all"]);
    firm.sync();
    firm.approve_all();
    firm.sync();
    assert_eq!(folders_of(&firm, DEV), 3);
    firm
}

#[test]
fn a_change_that_was_staged_long_ago_causes_what_it_does_when_it_is_published() {
    let firm = dev_sees_all();
    let mut config = fs::OpenOptions::new().append(true).open(firm.path("config.toml")).unwrap();
    std::io::Write::write_all(&mut config, b"four_eyes = true\n").unwrap();
    firm.must(&["people", "add", "adam@harbour.example", "--first", "Adam", "--last", "Bell", "--office", "admin"]);
    let told =
        firm.must(&["--as", "adam@harbour.example", "people", "mode", DEV, "ledger", "--json", "--quiet"]).json();
    let change = told["staged"][0].as_str().unwrap().to_owned();
    // Later changes are taken in meanwhile.
    firm.must(&["people", "edit", "adam", "--last", "Blyth"]);
    assert_eq!(firm.sync().exit, 0);
    firm.must(&["changes", "publish", &change]);
    let why = causes(&firm, DEV);
    assert!(!why.is_empty() && why.iter().all(|c| c["decision"]["change"] == change.as_str()), "{why:?}");
    assert_eq!(firm.sync().exit, 0, "nobody's ledger took it, so no second reading and no gate is waited for");
    assert_eq!(folders_of(&firm, DEV), 1);
}

#[test]
fn a_change_before_a_thousand_others_still_causes_what_it_does() {
    let firm = dev_sees_all();
    firm.must(&["people", "mode", DEV, "ledger"]);
    let mut people = "version = 1\n".to_owned();
    for n in 0..1_100 {
        people += &format!(
            "\n[[person]]\nemail = \"p{n}@harbour.example\"\nfirst = \"P\"\nlast = \"N{n}\"\nmode = \"selected\"\n"
        );
    }
    fs::write(firm.path("more.toml"), people).unwrap();
    firm.must(&["firm", "apply", &firm.path("more.toml").display().to_string(), "--yes"]);
    let why = causes(&firm, DEV);
    assert!(!why.is_empty() && why.iter().all(|c| c.get("decision").is_some()), "{why:?}");
}

#[test]
fn a_change_that_an_archived_clients_list_outlived_causes_what_it_does_when_it_is_open_again() {
    let firm = dev_sees_all();
    let all = |act: &str| {
        for client in ["acme-ltd", "birch-llp", "cedar-bakery"] {
            firm.must(&["clients", act, client]);
        }
    };
    all("archive");
    firm.must(&["people", "mode", DEV, "ledger"]);
    for _ in 0..2 {
        assert_eq!(firm.sync().exit, 0);
    }
    // Nor does an hour without the ledger, in which nobody can say who is entitled, lose it.
    let fault = Fault::Status(503, None);
    firm.proxies["xero"].spoil(Some(Rule { method: "", path: "", skip: 0, times: usize::MAX, fault }));
    firm.sync();
    firm.proxies["xero"].spoil(None);
    assert_eq!(firm.sync().exit, 0);
    assert_eq!(folders_of(&firm, DEV), 3);
    all("reopen");
    let why = causes(&firm, DEV);
    assert!(why.len() == 2 && why.iter().all(|c| c["decision"]["change"].is_string()), "{why:?}");
    assert_eq!(firm.sync().exit, 0);
    assert_eq!(folders_of(&firm, DEV), 1);
    // Once they are gone nothing of it is left.
    let left = firm.state(|db| db.doc_all::<Value>("lane_left"));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_guest_who_is_given_another_end_is_not_let_out_where_the_list_cannot_be_read_again() {
    let firm = Firm::at_rest();
    let cleo = "cleo@harbour.example";
    firm.must(&["guests", "add", "cleo", "cedar-bakery", "--until", "8 hours", "--reason", "year end"]);
    for _ in 0..2 {
        assert_eq!(firm.sync().exit, 0);
    }
    let entry = || {
        let dump = firm.at("drive", "dump", json!({}));
        let folder = dump["files"].as_array().unwrap().iter().find(|f| f["name"] == "Cedar Bakery").unwrap().clone();
        folder["permissions"].as_array().unwrap().iter().find(|p| p["who"] == cleo).cloned()
    };
    let before = entry().unwrap();
    let day = (jiff::Zoned::now().date() + jiff::Span::new().days(30)).to_string();
    firm.must(&["guests", "extend", "cleo", "cedar-bakery", "--until", &day]);
    // The plan is made by the list that is remembered, and then by one that was read for it.
    for skip in 0..2 {
        let fault = Fault::Status(403, None);
        let rule = Rule { method: "GET", path: "/permissions?", skip, times: usize::MAX, fault };
        firm.proxies["drive"].spoil(Some(rule));
        let told = firm.sync();
        assert!(told.exit == 5 && firm.proxies["drive"].hits() > 0, "{told:?}");
        assert_eq!(entry().as_ref(), Some(&before), "{told:?}");
    }
    firm.proxies["drive"].spoil(None);
    assert_eq!(firm.sync().exit, 0);
    assert_ne!(entry().unwrap()["expires"], before["expires"]);
}

#[test]
fn whoever_may_run_a_cycle_and_not_see_the_firm_is_told_of_themselves() {
    let firm = Firm::at_rest();
    firm.must(&["roles", "define", "operator", "--may", "run"]);
    firm.must(&["people", "office", BOB, "custom:operator", "--mode", "ledger"]);
    firm.sync();
    for (tenant, who) in [("Acme Ltd", "cleo@harbour.example"), ("Birch LLP", BOB), ("Cedar Bakery", BOB)] {
        firm.at("xero", "set_role", json!({"tenant": tenant, "user": who, "role": "REMOVED"}));
    }
    let bob = |line: &[&str]| firm.ask(&[&["--as", BOB][..], line].concat());
    let quiet = |told: &common::Told| {
        for word in ["cleo", "acme", "Acme", "folders", "Reading"] {
            assert!(!told.out.contains(word) && !told.err.contains(word), "{word}: {told:?}");
        }
    };
    for line in [&["pull"][..], &["plan"], &["plan", "--json"]] {
        quiet(&bob(line));
    }
    let plan = bob(&["plan", "--json", "--quiet"]).json();
    assert_eq!((&plan["schema"], &plan["others"]), (&json!("ledgerward/own-plan/1"), &json!(1)), "{plan}");
    assert_eq!(plan["steps"].as_array().unwrap().len(), 2, "{plan}");
    let told = bob(&["sync", "--yes", "--json"]);
    quiet(&told);
    assert_eq!(told.json()["others"], json!(1), "{told:?}");
    let refused = bob(&["plan", "--client", "acme-ltd-2"]).err;
    assert!(refused.contains("there is no client"), "{refused}");
}

fn secret(firm: &Firm, name: &str, word: &str) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(firm.path(name)).unwrap();
    std::io::Write::write_all(&mut file, word.as_bytes()).unwrap();
}

#[test]
fn a_practice_managers_group_is_taken_over() {
    let mut firm = Firm::at_rest();
    let people = json!([{"email": "ana@harbour.example", "name": "Ana"}, {"email": BOB, "name": "Bob"}]);
    let client = |name: &str, groups: &[&str]| json!({"name": name, "owner": BOB, "groups": groups, "modified": "2026-06-01T10:00:00Z"});
    let seed = json!({
        "app": {"api_key": "5a9d0000-0000-4000-8000-00000000c0de", "access_key": "eyJ-test-access-key"}, "users": people,
        "clients": [client("Acme Ltd", &["Cafés"]), client("Birch LLP", &[]), client("Dune Ltd", &["Cafés", "Old"])],
    });
    secret(&firm, "karbon-api", "5a9d0000-0000-4000-8000-00000000c0de");
    secret(&firm, "karbon-access", "eyJ-test-access-key");
    let section = "api_key = { file = \"karbon-api\" }\naccess_key = { file = \"karbon-access\" }\ngroups = true\n\
                   clients = [\"organizations\"]\nendpoints = { api = \"{url}\" }\n";
    firm.add("connections", "practice", "karbon", &seed, section);
    firm.ask(&["pull"]);
    let list = firm.must(&["roster", "practice", "--json", "--quiet"]).json();
    let rows = list["clients"].as_array().unwrap();
    let id = rows.iter().find(|r| r["name"] == "Acme Ltd").unwrap()["id"].as_str().unwrap();
    let wrong = firm.ask(&["groups", "adopt", "cafes", "practice", "Cafés"]);
    assert!(wrong.exit == 1 && wrong.err.contains("no client here is bound"), "{wrong:?}");
    firm.must(&["clients", "bind", "acme-ltd", "practice", id, "--kind", "practice-client"]);
    firm.ask(&["pull"]);
    let offered = firm.must(&["groups", "--json", "--quiet"]).json()["offered"].clone();
    let cafes = json!({"connection": "practice", "name": "Cafés", "lines": 2, "clients": 1});
    assert!(offered.as_array().unwrap().contains(&cafes), "{offered}");
    let wrong = firm.ask(&["groups", "adopt", "cafes", "practice", "Bars"]);
    assert!(wrong.exit == 1 && wrong.err.contains("Cafés"), "{wrong:?}");
    firm.must(&["groups", "adopt", "cafes", "practice", "Cafés"]);
    let group = firm.must(&["groups", "show", "cafes", "--json", "--quiet"]).json();
    let slugs: Vec<&Value> = group["clients"].as_array().unwrap().iter().map(|c| &c["slug"]).collect();
    assert_eq!(slugs, ["acme-ltd"]);
    let before = firm.lists();
    firm.sync();
    assert_eq!(firm.lists(), before, "a group and a responsibility give and take nothing");
}

#[test]
fn a_roster_that_no_longer_fits_the_seats_a_ledger_counts_is_a_finding() {
    let mut firm = Firm::at_rest();
    let company = json!({"realm": "9341453172058199", "name": "Elm Co", "users": 1, "accountants": 2, "accounts": [], "transactions": []});
    let seed = json!({"app": {"client_id": "test-qbo", "client_secret": "test-qbo-word"}, "companies": [company]});
    secret(&firm, "qbo-secret", "test-qbo-word");
    let section = "client_id = \"test-qbo\"\nclient_secret = { file = \"qbo-secret\" }\nendpoints = { login = \"{url}\", oauth = \"{url}\", \
                   developer = \"{url}\", api = \"{url}\", downloads = \"{url}\" }\n";
    firm.add("connections", "quickbooks", "quickbooks", &seed, section);
    firm.connect("quickbooks");
    let list = |people: &[&str]| {
        let lines: String = people.iter().map(|p| format!("Elm Co,{p}@harbour.example\n")).collect();
        let draft = firm.path("draft.csv");
        fs::write(&draft, format!("Client,Email\n{lines}")).unwrap();
        let then = std::time::SystemTime::now() - Duration::from_secs(60);
        fs::File::options().write(true).open(&draft).unwrap().set_modified(then).unwrap();
        fs::rename(draft, firm.path("staff.csv")).unwrap();
    };
    list(&["ana", "bob"]);
    // A file is at no loopback address, so the time of a real firm counts.
    let config = fs::read_to_string(firm.path("config.toml")).unwrap().replace("2 seconds", "1 minute");
    fs::write(firm.path("config.toml"), config).unwrap();
    let text =
        format!("\n[connections.staff]\nconnector = \"roster\"\nfile = \"{}\"\n", firm.path("staff.csv").display());
    let mut config = fs::OpenOptions::new().append(true).open(firm.path("config.toml")).unwrap();
    std::io::Write::write_all(&mut config, text.as_bytes()).unwrap();
    firm.ask(&["pull"]);
    firm.must(&["clients", "accept", "elm-co"]);
    let told = firm.must(&["roster", "staff", "--json", "--quiet"]).json();
    let id = told["clients"][0]["id"].as_str().unwrap();
    firm.must(&["clients", "bind", "elm-co", "staff", id, "--kind", "roster"]);
    let stale = |firm: &Firm| {
        firm.ask(&["pull"]);
        let all = firm.must(&["findings", "--json", "--quiet"]).json();
        all["findings"].as_array().unwrap().iter().filter(|f| f["code"] == "roster.out_of_date").count()
    };
    assert_eq!(stale(&firm), 1, "two names, and one user or three");
    list(&["ana", "bob", "cleo"]);
    assert_eq!(stale(&firm), 0, "with the accountants' own users");
    list(&["ana"]);
    assert_eq!(stale(&firm), 0, "without them");
}

#[test]
fn a_sign_in_whose_token_does_not_say_whose_it_is_is_known_by_the_provider() {
    let mut firm = Firm::at_rest();
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/firm/freeagent.json");
    let seed: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let word = |name: &str| seed["app"][name].as_str().unwrap().to_owned();
    secret(&firm, "freeagent-secret", &word("client_secret"));
    let section = format!(
        "client_id = \"{}\"\nclient_secret = {{ file = \"freeagent-secret\" }}\nendpoints = {{ api = \"{{url}}/v2\" }}\n",
        word("client_id")
    );
    firm.add("connections", "freeagent", "freeagent", &seed, &section);
    firm.connect("freeagent");
    let told = firm.ask(&["status", "--json", "--quiet"]).json();
    let rows = told["sign_ins"].as_array().unwrap();
    let row = rows.iter().find(|r| r["name"] == "freeagent").unwrap();
    assert!(row["account"].as_str().unwrap().ends_with("@harbour.example"), "{row}");
}

fn files(firm: &Firm) -> usize {
    firm.drive_files().len() + firm.disk().len()
}

/// The holds that wait, as `hold` shows them.
fn holds(firm: &Firm) -> Vec<Value> {
    firm.must(&["hold", "--json", "--quiet"]).json().pointer("/holds").and_then(Value::as_array).unwrap().clone()
}

#[test]
fn a_freeze_stops_everything_but_revokes_whatever_was_approved_before() {
    let firm = Firm::on_first_day();
    let shown = firm.must(&["hold"]).out;
    assert!(shown.contains("approved by") && shown.contains("done with the next sync"), "{shown}");
    let approved = holds(&firm);
    assert!(!approved.is_empty() && approved.iter().all(|h| h["approved"]["reason"] == "looked at"), "{approved:?}");
    let digest = approved[0]["digest"].as_str().unwrap().to_owned();
    let again = firm.must(&["approve", &digest, "--reason", "once more"]);
    assert!(again.out.contains("already approved by"), "{again:?}");

    firm.must(&["freeze", "on", "--reason", "audit"]);
    let shown = firm.must(&["hold"]).out;
    assert!(shown.contains("the first sync after the freeze"), "{shown}");
    let told = firm.sync();
    assert_eq!(told.exit, 3, "{told:?}");
    assert!(firm.lists().is_empty() && files(&firm) == 0, "nothing was made: {told:?}");
    let frozen = holds(&firm);
    assert_eq!(frozen.len(), 1, "{frozen:?}");
    let digest = frozen[0]["digest"].as_str().unwrap().to_owned();
    let refused = firm.ask(&["approve", &digest, "--reason", "do it"]);
    assert!(refused.exit == 3 && refused.err.contains("freeze off"), "{refused:?}");
    let told = firm.sync();
    assert!(told.exit == 3 && firm.lists().is_empty(), "{told:?}");

    firm.must(&["freeze", "off"]);
    // Nobody has to approve a second time.
    let told = firm.sync();
    assert!([0, 5].contains(&told.exit), "{told:?}");
    assert_eq!(firm.sync().exit, 0);
    assert_eq!(firm.lists().len(), 3);
    assert!(files(&firm) > 0);
    firm.check_whole("after the freeze");
}

#[test]
fn an_approval_of_the_very_steps_that_a_freeze_holds_waits_for_its_end() {
    let firm = Firm::at_rest();
    // Taken out by hand: put back only if somebody says so.
    let lists = firm.lists();
    let owned = folders_of(&firm, BOB);
    firm.at("drive", "unshare", json!({"file": "Acme Ltd", "type": "user", "email": BOB, "role": "reader"}));
    assert_eq!(folders_of(&firm, BOB), owned - 1);
    assert_eq!(firm.sync().exit, 3);
    firm.approve_all();
    let digest = holds(&firm)[0]["digest"].clone();
    firm.must(&["freeze", "on", "--reason", "audit"]);
    let told = firm.sync();
    assert_eq!(told.exit, 3, "{told:?}");
    assert_eq!(folders_of(&firm, BOB), owned - 1, "{told:?}");
    let held = holds(&firm);
    assert_eq!(held[0]["digest"], digest, "the very same steps: {held:?}");
    assert_eq!(held[0]["hold"]["gate"], "freeze", "and the words of now");
    let check = firm.ask(&["status", "--check"]);
    assert!(check.exit == 1 && check.out.contains("frozen"), "{check:?}");
    assert!(!firm.must(&["status"]).out.contains("All is well"));

    firm.must(&["freeze", "off"]);
    assert_eq!(firm.sync().exit, 0);
    assert_eq!(firm.lists(), lists, "by the approval that was given before");
    assert_eq!(firm.ask(&["status", "--check"]).exit, 0);
}

#[test]
fn a_hold_has_the_words_of_now() {
    let firm = Firm::at_rest();
    firm.at("drive", "unshare", json!({"file": "Acme Ltd", "type": "user", "email": BOB, "role": "reader"}));
    firm.must(&["freeze", "on", "--reason", "audit"]);
    assert_eq!(firm.sync().exit, 3);
    assert!(firm.must(&["hold"]).out.contains("frozen"));
    firm.must(&["freeze", "off"]);
    assert_eq!(firm.sync().exit, 3);
    let told = firm.must(&["hold"]).out;
    assert!(told.contains("taken out by hand") && !told.contains("frozen"), "{told}");
    let told = firm.ask(&["status", "--check"]);
    assert!(told.exit == 1 && told.out.contains("1 hold waiting"), "{told:?}");
}

#[test]
fn a_freeze_keeps_the_files_and_loses_none() {
    let firm = Firm::at_rest();
    restated(&firm);
    let before = files(&firm);
    firm.must(&["freeze", "on", "--reason", "audit"]);
    for _ in 0..2 {
        let told = firm.ask(&["sync", "--yes"]);
        assert_eq!(told.exit, 5, "{told:?}");
        assert!(told.out.contains("files wait: the firm is frozen"), "{told:?}");
        assert_eq!(files(&firm), before, "{told:?}");
    }
    assert_eq!(open(&firm, "files.waiting"), [], "it is no folder's fault");
    assert_eq!(firm.ask(&["statements", "push"]).exit, 3);
    firm.must(&["freeze", "off"]);
    assert_eq!(firm.sync().exit, 0);
    assert!(files(&firm) > before);
    firm.check_whole("after the freeze");
}

#[test]
fn a_freeze_that_comes_while_files_go_stops_them() {
    let firm = Firm::on_first_day();
    let slow = Rule {
        method: "POST",
        path: "/upload/",
        skip: 0,
        times: usize::MAX,
        fault: Fault::Delay(Duration::from_millis(1_500)),
    };
    firm.proxies["drive"].spoil(Some(slow));
    let mut daemon = Daemon::start(&firm);
    let begun = Instant::now();
    while firm.proxies["drive"].hits() == 0 {
        assert!(begun.elapsed() < WAIT, "no file goes:\n{}", daemon.log());
        thread::sleep(Duration::from_millis(20));
    }
    firm.must(&["freeze", "on", "--reason", "audit"]);
    daemon.until("kind=\"statements\" exit");
    let some = firm.drive_files().len();
    firm.proxies["drive"].spoil(None);
    daemon.stop();
    firm.must(&["freeze", "off"]);
    for _ in 0..2 {
        firm.sync();
    }
    let all = firm.drive_files().len();
    assert!(some > 0 && some < all, "{some} of {all} went:\n{}", daemon.log());
    assert_eq!(firm.sync().exit, 0);
    firm.check_whole("after the freeze");
}

#[test]
fn a_stop_is_seen_between_statements_and_while_they_wait_for_a_quota() {
    let firm = Firm::on_first_day();
    let rule =
        Rule { method: "GET", path: "/Reports/", skip: 1, times: usize::MAX, fault: Fault::Status(429, Some(50)) };
    firm.proxies["xero"].spoil(Some(rule));
    let mut daemon = Daemon::start(&firm);
    let begun = Instant::now();
    while firm.proxies["xero"].hits() == 0 {
        assert!(begun.elapsed() < WAIT, "no statement is read:\n{}", daemon.log());
        thread::sleep(Duration::from_millis(20));
    }
    let begun = Instant::now();
    daemon.stop();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}\n{}", begun.elapsed(), daemon.log());
    let log = daemon.log();
    assert!(!log.contains("panicked") && log.contains("quiet=true"), "{log}");
    let runs = firm.must(&["runs"]).out;
    assert!(runs.lines().next().unwrap().contains("stopped"), "{runs}");
    let some = files(&firm);

    firm.proxies["xero"].spoil(None);
    let mut daemon = Daemon::start(&firm);
    // What was left is done now, and not at its next time.
    daemon.until("kind=\"statements\" exit");
    daemon.stop();
    assert!(files(&firm) > some, "{}", daemon.log());
    assert_eq!(firm.sync().exit, 0);
    firm.check_whole("after the stop");
}

#[test]
fn a_run_that_was_killed_is_told_as_killed() {
    let firm = Firm::at_rest();
    let slow =
        Rule { method: "GET", path: "/Users", skip: 0, times: usize::MAX, fault: Fault::Delay(Duration::from_secs(9)) };
    firm.proxies["xero"].spoil(Some(slow));
    let mut sync = firm.start_sync();
    let begun = Instant::now();
    while firm.proxies["xero"].hits() == 0 {
        assert!(begun.elapsed() < WAIT);
        thread::sleep(Duration::from_millis(20));
    }
    sync.kill().unwrap();
    sync.wait().unwrap();
    firm.proxies["xero"].spoil(None);
    assert_eq!(firm.sync().exit, 0);
    let runs = firm.must(&["runs"]).out;
    let lines: Vec<&str> = runs.lines().collect();
    assert!(lines[0].contains("done") && lines[1].contains("killed") && !runs.contains("not ended"), "{runs}");
}

#[test]
fn one_ledger_that_cannot_be_read_is_not_well() {
    let firm = Firm::at_rest();
    let rule = Rule { method: "GET", path: "/Users", skip: 0, times: 1, fault: Fault::Status(403, None) };
    firm.proxies["xero"].spoil(Some(rule));
    assert_eq!(firm.sync().exit, 5);
    let told = firm.ask(&["status", "--check"]);
    assert!(told.exit == 1 && told.out.contains("cannot be read"), "{told:?}");
    assert!(firm.must(&["status"]).out.contains("Not well"));
    firm.proxies["xero"].spoil(None);
    assert_eq!(firm.sync().exit, 0);
    assert_eq!(firm.ask(&["status", "--check"]).exit, 0);
}

#[test]
fn what_could_not_be_judged_is_told_with_what_helps() {
    let firm = Firm::at_rest();
    firm.at("xero", "drop_user", json!({"tenant": "Acme Ltd", "user": "cleo@harbour.example"}));
    // A person whom no list was asked for yet.
    firm.must(&["people", "add", "eve@harbour.example", "--first", "Eve", "--last", "H", "--mode", "ledger+selected"]);
    let told = firm.ask(&["select", "eve", "--all-granted"]);
    assert!(told.err.contains("No list that was read so far has eve@harbour.example"), "{told:?}");
    firm.must(&["select", "cleo", "--remove", "acme-ltd"]);
    firm.sync();
    let told = firm.ask(&["select", "cleo", "--all-granted"]);
    assert_eq!(told.exit, 5, "{told:?}");
    assert!(told.err.contains("1 client could not be judged") && told.err.contains("next pull"), "{told:?}");
}

#[test]
fn a_look_at_one_client_leaves_a_hold_of_more_to_be_approved() {
    let firm = Firm::on_first_day();
    let before = holds(&firm);
    let told = firm.ask(&["plan", "--client", "acme-ltd"]);
    assert_eq!(told.exit, 3, "{told:?}");
    assert_eq!(firm.ask(&["sync", "--client", "acme-ltd", "--yes"]).exit, 3);
    firm.ask(&["plan", "--offline"]);
    for only_looks in ["pull", "gaps"] {
        firm.ask(&[only_looks]);
    }
    let open = holds(&firm);
    assert!(before.iter().all(|hold| open.contains(hold)), "{open:?}");
    let told = firm.sync();
    assert!([0, 5].contains(&told.exit), "by the approval that was given before: {told:?}");
    assert_eq!(firm.lists().len(), 3);
    assert!(holds(&firm).is_empty());
}

#[test]
fn whoever_is_shut_out_goes_from_an_unreadable_folder_that_is_to_be_renamed_too() {
    let firm = Firm::at_rest();
    firm.must(&["clients", "rename", "acme-ltd", "Apex"]);
    firm.must(&["people", "disable", BOB]);
    let rule =
        Rule { method: "GET", path: "/permissions?", skip: 0, times: usize::MAX, fault: Fault::Status(403, None) };
    firm.proxies["drive"].spoil(Some(rule));
    assert!(folders_of(&firm, BOB) > 0);
    let told = firm.sync();
    assert_eq!(told.exit, 5, "{told:?}");
    assert_eq!(folders_of(&firm, BOB), 0, "{told:?}");
    assert!(firm.lists().contains_key("Acme Ltd"), "nothing else was done to it: {told:?}");
    firm.proxies["drive"].spoil(None);
    firm.sync();
    // What could not be seen to be gone stays ours until two lists lack it.
    thread::sleep(Duration::from_secs(3));
    assert_eq!(firm.sync().exit, 0);
    assert!(firm.lists().contains_key("Apex"));
    assert_eq!(folders_of(&firm, BOB), 0);
    firm.check_whole("healed");
}

#[test]
fn a_plan_after_a_restore_names_whoever_was_let_in_since_the_backup() {
    let firm = Firm::at_rest();
    let backup = firm.path("backup.db").display().to_string();
    firm.must(&["backup", &backup]);
    let dev = "dev@harbour.example";
    let before = folders_of(&firm, dev);
    let mode = ["people", "mode", dev, "all"];
    firm.must(&mode);
    assert_eq!(firm.sync().exit, 0);
    let new = folders_of(&firm, dev) - before;
    assert!(new > 0);
    for file in fs::read_dir(firm.path("state")).unwrap().map(|f| f.unwrap().path()) {
        if file.file_name().unwrap().to_str().unwrap().starts_with("ledgerward.db") {
            fs::remove_file(file).unwrap();
        }
    }
    let told = firm.must(&["restore", &backup]);
    assert!(told.err.contains("holders adopt"), "{told:?}");
    // The firm knows of the change, and the backup does not.
    firm.must(&mode);
    let plan = firm.ask(&["plan"]);
    let lines: Vec<Vec<&str>> =
        plan.out.lines().filter(|l| l.contains("holders adopt")).map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), new, "{plan:?}");
    for words in &lines {
        assert_eq!(words[4..6], ["drive", dev]);
        firm.must(&[&words[1..6], &["--reason", "let in since the backup"]].concat());
    }
    firm.must(&["restore", "--confirm"]);
    assert_eq!(firm.sync().exit, 0);
    assert!(!firm.ask(&["plan"]).out.contains("holders adopt"));
    firm.must(&["people", "disable", dev]);
    assert_eq!(firm.sync().exit, 0);
    assert_eq!(folders_of(&firm, dev), 0, "they are ours again");
    firm.check_whole("after the restore");
}
