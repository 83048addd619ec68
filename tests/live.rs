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

#[test]
fn s11_a_revoke_that_is_answered_well_and_not_done_is_told_and_stops_the_files() {
    let firm = Firm::at_rest();
    firm.at("xero", "set_role", json!({"tenant": "Acme Ltd", "user": BOB, "role": "REMOVED"}));
    let month = jiff::Zoned::now().date().first_of_month().saturating_sub(jiff::Span::new().months(1));
    let what = json!({"date": month, "type": "SPEND", "bank": "090", "account": "404", "amount": "12.50"});
    firm.at("xero", "post_transaction", json!({"tenant": "Acme Ltd", "transaction": what}));
    firm.state(|db| {
        let keys: Vec<String> = db.doc_all::<Value>("statement_read")?.into_keys().collect();
        keys.iter().try_for_each(|key| db.doc_delete("statement_read", key).map(drop))
    });
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
