//! What waits for a person's word goes on waiting for it when a run could not see what it is about.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helpers fail the test")]

mod common;

use std::{fs, io::Write as _};

use common::{
    Firm,
    proxy::{Fault, Rule},
};
use ledgerward::domain::lane::{Cause, Op};
use ledgerward_contract::Timestamp;
use serde_json::{Value, json};

const DEV: &str = "dev@harbour.example";
const BOB: &str = "bob@harbour.example";

fn down(firm: &Firm, provider: &str, path: &'static str) {
    let rule = Rule { method: "GET", path, skip: 0, times: usize::MAX, fault: Fault::Status(503, None) };
    firm.proxies[provider].spoil(Some(rule));
}

fn up(firm: &Firm, provider: &str) {
    assert!(firm.proxies[provider].hits() > 0, "nothing was spoiled");
    firm.proxies[provider].spoil(None);
}

/// Dev is a user of Birch with a role that gives nothing, until the role table says otherwise.
fn with_a_new_role_table() -> Firm {
    let firm = Firm::at_rest();
    let user = json!({"email": DEV, "first": "Dev", "last": "Harbour", "role": "INVOICEONLY"});
    firm.at("xero", "add_user", json!({"tenant": "Birch LLP", "user": user}));
    assert_eq!(firm.sync().exit, 0);
    let mut config = fs::OpenOptions::new().append(true).open(firm.path("config.toml")).unwrap();
    config.write_all(b"\n[connections.xero.roles]\nINVOICEONLY = \"reader\"\n").unwrap();
    firm
}

fn gates(firm: &Firm) -> Vec<Value> {
    let held = firm.must(&["hold", "--json", "--quiet"]).json();
    held["holds"].as_array().unwrap().clone()
}

#[track_caller]
fn waits(firm: &Firm, what: &str) {
    let told = firm.sync();
    assert!(!firm.lists()["Birch LLP"].contains(DEV), "{what}: let in without a word: {told:?}");
    assert_eq!(told.exit, 3, "{what}: {told:?}");
    assert!(gates(firm)[0].to_string().contains(DEV), "{what}");
    firm.approve_all();
    firm.sync();
    assert!(firm.lists()["Birch LLP"].contains(DEV), "{what}: not let in by a word");
}

#[test]
fn g9_a_new_role_table_waits_for_a_word_whatever_the_run_before_could_see() {
    waits(&with_a_new_role_table(), "nothing was wrong");

    let firm = with_a_new_role_table();
    down(&firm, "xero", "");
    firm.sync();
    up(&firm, "xero");
    waits(&firm, "the ledgers were down");

    let firm = with_a_new_role_table();
    down(&firm, "xero", "");
    firm.must(&["people", "disable", DEV]);
    firm.must(&["people", "enable", DEV]);
    firm.sync();
    up(&firm, "xero");
    waits(&firm, "the ledgers were down, and an act of the firm was about the person meanwhile");

    let firm = with_a_new_role_table();
    firm.at("xero", "disconnect_tenant", json!({"tenant": "Birch LLP"}));
    firm.sync();
    firm.at("xero", "reconnect_tenant", json!({"tenant": "Birch LLP"}));
    waits(&firm, "one ledger was out of sight");

    let firm = with_a_new_role_table();
    // The feed says that it changed, so that its list is read.
    for verb in ["share", "unshare"] {
        firm.at(
            "drive",
            verb,
            json!({"file": "Birch LLP", "type": "user", "email": "ana@harbour.example", "role": "reader"}),
        );
    }
    down(&firm, "drive", "/permissions");
    firm.sync();
    up(&firm, "drive");
    waits(&firm, "the list could not be read");

    let firm = with_a_new_role_table();
    firm.must(&["revoke", BOB, "--now", "--reason", "left"]);
    waits(&firm, "the run before was a revoke");
}

#[test]
fn g9_a_first_plan_of_folders_alone_approves_nobody() {
    let firm = Firm::on_first_day();
    down(&firm, "xero", "");
    assert_eq!(firm.sync().exit, 3);
    firm.approve_all();
    firm.sync();
    assert_eq!(firm.lists().len(), 3, "the folders were approved, and are made");
    up(&firm, "xero");
    let told = firm.sync();
    assert!(firm.lists().values().all(|who| who.is_empty()), "people are a plan that nobody saw: {told:?}");
    assert_eq!(told.exit, 3, "{told:?}");
    firm.approve_all();
    firm.sync();
    assert_eq!(firm.lists(), Firm::at_rest().lists());
}

#[test]
fn g9_one_dead_ledger_keeps_the_first_plan_of_its_own_folder_only() {
    let firm = Firm::on_first_day();
    firm.at("xero", "disconnect_tenant", json!({"tenant": "Birch LLP"}));
    firm.sync();
    firm.approve_all();
    firm.sync();
    let lists = firm.lists();
    assert!(lists["Birch LLP"].is_empty() && lists["Acme Ltd"].contains(BOB), "{lists:?}");
    let user = json!({"email": DEV, "first": "Dev", "last": "Harbour", "role": "READONLY"});
    firm.at("xero", "add_user", json!({"tenant": "Cedar Bakery", "user": user}));
    firm.sync();
    assert!(firm.lists()["Cedar Bakery"].contains(DEV), "the target's first plan is behind it");
    firm.at("xero", "reconnect_tenant", json!({"tenant": "Birch LLP"}));
    let told = firm.sync();
    assert!(firm.lists()["Birch LLP"].is_empty(), "and this folder's is not: {told:?}");
    assert_eq!(told.exit, 3, "{told:?}");
    firm.approve_all();
    firm.sync();
    assert!(firm.lists()["Birch LLP"].contains(BOB));
    firm.at("xero", "add_user", json!({"tenant": "Birch LLP", "user": user}));
    firm.sync();
    assert!(firm.lists()["Birch LLP"].contains(DEV), "once");
}

/// A target that cannot be reached takes in nothing: what the firm decided meanwhile is still its decision afterwards.
#[test]
fn a_decision_of_the_firm_is_one_still_when_the_target_is_back() {
    let firm = Firm::at_rest();
    firm.must(&["people", "mode", DEV, "all"]);
    assert_eq!(firm.sync().exit, 0);
    assert!(firm.lists()["Birch LLP"].contains(DEV));
    firm.at("drive", "withdraw", json!({"user": "ledgers@harbour.example"}));
    firm.at("drive", "expire", json!({}));
    firm.must(&["people", "mode", DEV, "ledger"]);
    assert_eq!(firm.sync().exit, 4);
    firm.connect("drive");
    let told = firm.sync();
    assert!(!firm.lists()["Birch LLP"].contains(DEV), "{told:?}");
    let changes = firm.state(|db| db.access_changes_since(Timestamp::UNIX_EPOCH));
    let out: Vec<_> = changes.iter().filter(|c| matches!(c.op, Op::Revoke { .. })).map(|c| &c.cause).collect();
    assert!(out.len() == 2 && out.iter().all(|c| matches!(c, Some(Cause::Decision { .. }))), "{out:?}");
}

#[test]
fn the_state_knows_whose_word_each_pair_rests_on() {
    let firm = Firm::at_rest();
    let (applied, upheld) = firm.state(|db| Ok((db.applied_at(Timestamp::now())?, db.upheld_at(Timestamp::now())?)));
    let of = |who: &str| applied.iter().filter(|row| row.who.key() == who).count();
    // Bob is a user of all three; Cleo chose two of hers, and Dev is in one.
    assert_eq!((applied.len(), of(BOB), of("cleo@harbour.example"), of(DEV)), (6, 3, 2, 1), "{applied:?}");
    assert!(applied.iter().all(|row| row.cause.is_some()), "{applied:?}");
    let ledgers: Vec<_> =
        upheld.iter().filter(|(s, _)| s.connection.as_str() == "xero").map(|(_, who)| who.len()).collect();
    assert_eq!(ledgers, [4, 3, 3], "{upheld:?}");
    let before = firm.state(|db| db.upheld_at(Timestamp::now() - jiff::SignedDuration::from_hours(1)));
    assert!(before.is_empty(), "{before:?}");
    firm.at("xero", "set_role", json!({"tenant": "Acme Ltd", "user": BOB, "role": "REMOVED"}));
    firm.sync();
    let (left, after) = firm.state(|db| Ok((db.applied_at(Timestamp::now())?, db.upheld_at(Timestamp::now())?)));
    assert_eq!(left.len(), 5, "{left:?}");
    assert_eq!(after.values().map(std::collections::BTreeSet::len).collect::<Vec<_>>(), [3, 3, 3], "{after:?}");
}
