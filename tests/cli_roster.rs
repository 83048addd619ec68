//! A client whose ledger lists nobody, and the firm's own list of who works for it: the real program, over a real file and a
//! folder on the disk.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's helpers fail the test")]

mod shape;

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
    process::{Command, Output},
    time::{Duration, SystemTime},
};

use serde_json::Value;

const PEOPLE: [&str; 6] = ["ana", "bob", "cleo", "dev", "eva", "finn"];

struct Firm {
    dir: tempfile::TempDir,
}

#[derive(Debug)]
struct Told {
    exit: i32,
    out: String,
    err: String,
}

impl Told {
    fn json(&self) -> Value {
        let value = serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        shape::check(&value);
        value
    }
}

impl Firm {
    /// Everybody on the list of one client, which nobody's ledger knows.
    fn new() -> Self {
        let firm = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(firm.path("etc")).unwrap();
        fs::create_dir(firm.path("folders")).unwrap();
        fs::set_permissions(firm.path("folders"), fs::Permissions::from_mode(0o711)).unwrap();
        let accounts: Vec<String> =
            (70_001..).zip(PEOPLE).map(|(uid, who)| format!("\"{who}@harbour.example\" = {uid}")).collect();
        let config = format!(
            "version = 1\n[firm]\nname = \"Harbour\"\ndomains = [\"harbour.example\"]\ntimezone = \"UTC\"\n\
             [connections.staff]\nconnector = \"roster\"\nfile = \"{}\"\n\
             [targets.disk]\nconnector = \"local\"\nroot = \"{}\"\nnew_root = true\nsharing = \"mirror\"\naccounts = {{ {} }}\n\
             ",
            firm.path("staff.csv").display(),
            firm.path("folders").display(),
            accounts.join(", "),
        );
        fs::write(firm.path("etc/config.toml"), config).unwrap();
        firm.must("init --owner ana@harbour.example --name Harbour --first Ana --last Reed");
        for who in PEOPLE.iter().skip(1) {
            firm.must(&format!("people add {who}@harbour.example --first {who} --last Harbour --mode ledger"));
        }
        firm.must("people mode ana@harbour.example ledger");
        firm.list(&PEOPLE);
        firm.must("clients add Acme");
        firm.must("clients accept acme");
        firm.must("clients bind acme staff acme");
        firm.must("clients unlisted acme roster");
        firm
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The list names so many for Acme, and is whole: it was written a minute ago and renamed.
    fn list(&self, people: &[&str]) {
        let lines: String = people.iter().map(|p| format!("Acme,{p}@harbour.example\n")).collect();
        self.write(&format!("Client,Email\n{lines}"));
    }

    fn write(&self, text: &str) {
        let draft = self.path("draft.csv");
        fs::write(&draft, text).unwrap();
        let then = SystemTime::now() - Duration::from_secs(60);
        fs::File::options().write(true).open(&draft).unwrap().set_modified(then).unwrap();
        fs::rename(draft, self.path("staff.csv")).unwrap();
    }

    fn ask(&self, line: &str) -> Told {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_ledgerward"))
            .arg("--config")
            .arg(self.path("etc/config.toml"))
            .arg("--state")
            .arg(self.path("state"))
            .args(line.split_whitespace())
            .env("NO_COLOR", "1")
            .current_dir(self.dir.path())
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Told { exit: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
    }

    #[track_caller]
    fn must(&self, line: &str) -> Told {
        let told = self.ask(line);
        assert_eq!(told.exit, 0, "{line}: {told:?}");
        told
    }

    /// Who may open Acme's folder now, as computed from the last reading.
    fn access(&self) -> Vec<String> {
        let told = self.must("access --client acme --format json --json --quiet").json();
        let rows = told["rows"].as_array().unwrap();
        let yes = rows.iter().filter(|r| r["answer"] == "yes").map(|r| r["person"]["email"].as_str().unwrap());
        let mut who: Vec<String> = yes.map(|e| e.split('@').next().unwrap().to_owned()).collect();
        who.sort();
        who.dedup();
        who
    }

    fn state(&self) -> String {
        self.must("roster --json --quiet").json()["lists"][0]["state"].as_str().unwrap().to_owned()
    }

    /// The steps of the next plan, in words.
    fn plan(&self) -> String {
        let told = self.ask("plan --json --quiet");
        assert!([0, 2, 3, 5].contains(&told.exit), "{told:?}");
        told.out
    }
}

#[test]
fn a_roster_grants_and_a_shrunk_one_takes_nothing_until_it_is_accepted() {
    let firm = Firm::new();
    let shown = firm.must("roster staff --json --quiet").json();
    assert_eq!((&shown["clients"][0]["link"], &shown["clients"][0]["clients"][0]), (&"bound".into(), &"acme".into()));
    firm.plan();
    assert_eq!(firm.access(), PEOPLE, "everybody on the list, and nobody else");
    assert_eq!(firm.state(), "believed");

    // Half of an export: a third less is held, whatever the reason.
    firm.list(&["ana", "bob"]);
    for _ in 0..3 {
        let plan = firm.plan();
        assert!(!plan.contains("\"revoke\""), "{plan}");
        std::thread::sleep(Duration::from_millis(700));
    }
    let held = firm.must("roster --json --quiet").json();
    assert_eq!((&held["lists"][0]["state"], &held["lists"][0]["last_believed"]["pairs"]), (&"held".into(), &6.into()));
    let findings = firm.must("findings").out;
    assert!(findings.contains("ledgerward roster accept staff"), "{findings}");
    let denied: Vec<Value> = firm.must("access --client acme --format json --json --quiet").json()["rows"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|r| r["answer"] == "no")
        .cloned()
        .collect();
    assert!(denied.is_empty(), "held is not denied: {denied:?}");

    // Only somebody who decides about access may say that it is right.
    assert_ne!(firm.ask("roster accept staff --reason no --as bob@harbour.example").exit, 0);
    assert_eq!(firm.state(), "held");
    firm.must("roster accept staff --reason left --as ana@harbour.example");
    assert_eq!(firm.state(), "believed");
    assert!(firm.must("audit export").out.contains("directory.accept"));
    firm.plan();
    std::thread::sleep(Duration::from_millis(1_200));
    firm.plan();
    assert_eq!(firm.access(), ["ana", "bob"]);
    let again = firm.must("roster accept staff --reason again --json --quiet").json();
    assert_eq!(again["accepted"], false);

    // A line that nobody can read: the client is unknown, and keeps who has it.
    firm.write("Client,Email\nAcme,ana@harbour.example\nAcme,bob at harbour\n");
    firm.plan();
    std::thread::sleep(Duration::from_millis(1_200));
    let plan = firm.plan();
    assert!(!plan.contains("\"revoke\""), "{plan}");
    let rows = firm.must("access --client acme --format json --json --quiet").json();
    let held = |who: &str| {
        rows["rows"].as_array().unwrap().iter().any(|r| r["person"]["email"] == who && r["answer"] == "held")
    };
    assert!(held("ana@harbour.example") && held("bob@harbour.example"), "{rows}");
    let lines = firm.must("roster staff");
    assert!(lines.out.contains("not understood; Acme is unknown") && lines.out.contains("bob at harbour"), "{lines:?}");

    // No file at all is no empty file.
    fs::remove_file(firm.path("staff.csv")).unwrap();
    assert!(!firm.plan().contains("\"revoke\""));
    assert_eq!(firm.state(), "not_read");
}

/// A reading of one client skips the list that the client is not on: what was not looked at is not gone.
#[test]
fn a_look_at_one_client_loses_none_of_the_others() {
    let firm = Firm::new();
    let others = ["birch", "cedar", "dune", "elm"];
    let line = |client: &str| format!("{client},ana@harbour.example\n");
    let lines: String = ["Acme"].iter().chain(&others).map(|c| line(c)).collect();
    firm.write(&format!("Client,Email\n{lines}"));
    for client in others {
        firm.must(&format!("clients add {client}"));
        firm.must(&format!("clients accept {client}"));
        firm.must(&format!("clients bind {client} staff {client} --kind roster"));
        firm.must(&format!("clients unlisted {client} roster"));
    }
    firm.must("clients add Lone");
    firm.must("clients accept lone");
    firm.plan();
    let told = firm.ask("pull --client lone --json --quiet");
    assert_eq!(told.exit, 0, "{told:?}");
    let doubt = firm.must("roster accept staff --reason look --json --quiet").json();
    assert_eq!(doubt["accepted"], false, "there is nothing to accept: {doubt}");
    firm.plan();
    let trail = firm.must("audit export").out;
    assert!(trail.contains("ledger.found") && !trail.contains("ledger.lost"), "{trail}");
    // The same list without them is another matter.
    firm.write("Client,Email\nAcme,ana@harbour.example\n");
    firm.plan();
    let findings = firm.must("findings").out;
    assert!(findings.contains("connection.churn"), "{findings}");
    assert!(firm.must("audit export").out.contains("ledger.lost"));
}

#[test]
fn a_file_is_tried_before_it_is_configured_and_needs_no_firm() {
    let firm = Firm { dir: tempfile::tempdir().unwrap() };
    firm.write("Who;What\nana@harbour.example;Acme\n");
    let told = firm.ask("roster check staff.csv --json --quiet");
    assert_eq!(told.exit, 1, "{told:?}");
    assert_eq!(told.json()["believed"], false);
    let told = firm.must("roster check staff.csv --person-column Who --client-column What --json --quiet");
    let json = told.json();
    assert_eq!((&json["schema"], &json["believed"]), (&"ledgerward/roster/1".into(), &true.into()));
    assert_eq!(json["clients"][0]["people"][0]["user"], "ana@harbour.example");
    let told = firm.must("roster check staff.csv --person-column Who --client Acme");
    assert!(told.out.contains("would be believed"), "{told:?}");
    symlink(firm.path("staff.csv"), firm.path("link.csv")).unwrap();
    firm.must("roster check link.csv --person-column Who --client Acme");
}

#[test]
fn a_source_is_bound_as_what_its_connection_lists() {
    let firm = Firm::new();
    let refused = firm.ask("clients bind acme staff other --kind ledger");
    assert_eq!(refused.exit, 1, "{refused:?}");
    assert!(refused.err.contains("no list of that kind"), "{refused:?}");
    firm.must("clients bind acme staff other");
    let clients = firm.must("clients list --json --quiet").json();
    let sources = clients["clients"][0]["sources"].to_string();
    assert!(sources.contains("roster") && !sources.contains("ledger"), "{sources}");
    firm.must("clients unbind acme staff other");
}

#[test]
fn roles_that_are_explained_and_never_met_are_told() {
    let firm = Firm::new();
    let config = fs::read_to_string(firm.path("etc/config.toml")).unwrap();
    let explained = config.replace(
        "[targets.disk]",
        "[connections.staff.roles]\nAssigned = \"reader\"\nFormer = \"none\"\n[targets.disk]",
    );
    fs::write(firm.path("etc/config.toml"), explained).unwrap();
    let told = |header: &str| {
        firm.write(&format!(
            "Client,Email,{header}\nAcme,ana@harbour.example,Assigned\nAcme,bob@harbour.example,Former\n"
        ));
        firm.ask("pull");
        firm.ask("findings").out.contains("no line of the list has a role")
    };
    assert!(told("Duty of the week"));
    assert!(!told("Responsibility"), "a header that is understood");
}
