//! A proxy between ledgerward and its providers spoils chosen answers. Nobody loses access because of it, nobody gains any,
//! and the exit code and `status` tell the truth. `LEDGERWARD_FAULTS=all` tries every fault on every kind of request, `LEDGERWARD_FAULTS=users`
//! every fault on one kind.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helpers fail the test")]

mod common;

use std::{
    collections::BTreeSet,
    env,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use common::{
    Firm, Lists,
    proxy::{Fault, Rule},
};
use ledgerward::{
    domain::lane::Op,
    store::{Intent, JournalOp},
};
use ledgerward_contract::{Email, FolderRole, Holder, Timestamp};
use serde_json::{Value, json};

/// A kind of request: provider, method, words of its path.
const CLASSES: [(&str, &str, &str, &str); 12] = [
    ("token", "xero", "POST", "/connect/token"),
    ("connections", "xero", "GET", "/connections"),
    ("users", "xero", "GET", "/Users"),
    ("reports", "xero", "GET", "/Reports/"),
    ("drive-token", "drive", "POST", "/token"),
    ("folder", "drive", "GET", "/files"),
    ("list", "drive", "GET", "/permissions"),
    ("grant", "drive", "POST", "/permissions"),
    ("revoke", "drive", "DELETE", "/permissions/"),
    ("create", "drive", "POST", "/drive/v3/files?"),
    ("close", "drive", "PATCH", "/files/"),
    ("upload", "drive", "POST", "/upload/"),
];

const EVER: usize = usize::MAX;

/// The fault, and how often.
const FAULTS: [(Fault, usize); 18] = [
    (Fault::CutBody, 1),
    (Fault::CutHead, EVER),
    (Fault::LostAnswer, 1),
    (Fault::LostAnswer, EVER),
    (Fault::Refused, 1),
    (Fault::Refused, EVER),
    (Fault::Delay(Duration::from_secs(2)), 2),
    (Fault::Garble, EVER),
    (Fault::Body(""), EVER),
    (Fault::Body("{}"), EVER),
    (Fault::Body("<html><body>We are back soon</body></html>"), EVER),
    (Fault::Status(401, None), EVER),
    (Fault::Status(403, None), EVER),
    (Fault::Status(404, None), EVER),
    (Fault::Status(429, Some(1)), 1),
    (Fault::Status(429, Some(3_600)), EVER),
    (Fault::Status(500, None), EVER),
    (Fault::Status(503, None), 1),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ground {
    AtRest,
    /// Bob must leave Acme, Dev may enter Birch.
    Pending,
    /// The first plan is approved: folders are made, people let in, files sent.
    FirstDay,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    class: (&'static str, &'static str, &'static str, &'static str),
    fault: (Fault, usize),
    ground: Ground,
}

fn cases() -> Vec<Case> {
    let wish = env::var("LEDGERWARD_FAULTS").unwrap_or_default();
    let mut cases = Vec::new();
    for (c, class) in CLASSES.into_iter().enumerate() {
        let all = wish == "all" || wish == class.0;
        let ground = match class.0 {
            "create" | "close" | "upload" | "reports" => Ground::FirstDay,
            _ => Ground::Pending,
        };
        for (f, fault) in FAULTS.into_iter().enumerate() {
            // Two for each class, and others for each: every fault is met.
            if all || wish.is_empty() && (f + c * 5) % 9 == 0 {
                cases.push(Case { class, fault, ground });
            }
            // At rest nobody is let in or out, so there is no such request to spoil.
            if all && ground == Ground::Pending && !["grant", "revoke"].contains(&class.0) {
                cases.push(Case { class, fault, ground: Ground::AtRest });
            }
        }
    }
    cases
}

#[test]
fn p_any_answer_may_be_spoilt_and_nobody_loses_or_gains() {
    let cases = cases();
    let count = cases.len();
    drop(Firm::at_rest());
    let begun = Instant::now();
    let work = Arc::new(Mutex::new(cases));
    let failed = Arc::new(Mutex::new(Vec::new()));
    let met = Arc::new(Mutex::new(0));
    thread::scope(|scope| {
        // Most of the time is spent waiting between repeats.
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let Some(case) = work.lock().unwrap().pop() else { return };
                    let begun = Instant::now();
                    match std::panic::catch_unwind(|| run(case)) {
                        Ok(hits) => *met.lock().unwrap() += usize::from(hits > 0),
                        Err(e) => {
                            let text = e.downcast_ref::<String>().cloned().unwrap_or_default();
                            failed.lock().unwrap().push(format!("{case:?}: {text}"));
                        }
                    }
                    eprintln!("{:5.1} s {case:?}", begun.elapsed().as_secs_f64());
                }
            });
        }
    });
    let met = *met.lock().unwrap();
    eprintln!("{count} cases, {met} of them met their request, in {:.0} s", begun.elapsed().as_secs_f64());
    let failed = failed.lock().unwrap();
    assert!(failed.is_empty(), "{} of {count} cases:\n\n{}", failed.len(), failed.join("\n\n"));
    assert!(met * 4 > count * 3, "only {met} of {count} faults met a request");
}

fn change(lists: &mut Lists, client: &str, who: &str, on: bool) {
    let list = lists.get_mut(client).unwrap();
    if on {
        list.insert(who.to_owned())
    } else {
        list.remove(who)
    };
}

/// Gives how many answers were spoilt.
fn run(case: Case) -> usize {
    let firm = if case.ground == Ground::FirstDay { Firm::on_first_day() } else { Firm::at_rest() };
    let before = firm.lists();
    let mut wanted = before.clone();
    match case.ground {
        Ground::AtRest => {}
        Ground::Pending => {
            let (bob, dev) = ("bob@harbour.example", "dev@harbour.example");
            firm.at("xero", "remove_user", json!({"tenant": "Acme Ltd", "user": bob}));
            let user = json!({"email": dev, "first": "Dev", "last": "Harbour", "role": "FINANCIALADVISER"});
            firm.at("xero", "add_user", json!({"tenant": "Birch LLP", "user": user}));
            change(&mut wanted, "Acme Ltd", bob, false);
            change(&mut wanted, "Birch LLP", dev, true);
        }
        Ground::FirstDay => wanted = Firm::at_rest().lists(),
    }
    let (_, provider, method, path) = case.class;
    if case.class.0.ends_with("token") {
        firm.age_tokens();
    }
    let (fault, times) = case.fault;
    firm.proxies[provider].spoil(Some(Rule { method, path, skip: 0, times, fault }));
    let told = firm.sync();
    let hits = firm.proxies[provider].hits();
    firm.proxies[provider].spoil(None);

    nobody_lost_or_gained(&firm, &before, &wanted, &format!("{told:?}"));
    tells_the_truth(&firm, &told, &wanted, hits);

    let mut after = firm.sync();
    for _ in 0..if case.ground == Ground::FirstDay { 4 } else { 2 } {
        if after.exit != 0 {
            // What is left of a first plan is a new first plan.
            firm.approve_all();
            after = firm.sync();
        }
    }
    assert_eq!(after.exit, 0, "it does not heal: {after:?}\nafter {told:?}");
    assert_eq!(firm.lists(), wanted, "it heals to something else, after {told:?}");
    firm.check_whole("healed");
    hits
}

fn nobody_lost_or_gained(firm: &Firm, before: &Lists, wanted: &Lists, told: &str) {
    let none = BTreeSet::new();
    let now = firm.lists();
    for (client, people) in &now {
        let (was, to) = (before.get(client).unwrap_or(&none), wanted.get(client).unwrap_or(&none));
        let gained: Vec<_> = people.iter().filter(|p| !was.contains(*p) && !to.contains(*p)).collect();
        assert!(gained.is_empty(), "{client}: {gained:?} came in: {told}");
        let lost: Vec<_> = was.intersection(to).filter(|p| !people.contains(*p)).collect();
        // A folder that is being made has nobody on it yet.
        assert!(lost.is_empty() || people.is_empty(), "{client}: {lost:?} lost it: {told}");
    }
}

fn tells_the_truth(firm: &Firm, told: &common::Told, wanted: &Lists, hits: usize) {
    assert!([0, 1, 3, 4, 5].contains(&told.exit), "{told:?}");
    if told.exit == 0 {
        assert_eq!(firm.lists(), *wanted, "{hits} answers were spoilt, and it says that all is well: {told:?}");
    } else {
        let said = format!("{}{}", told.out, told.err);
        assert!(said.len() > 20, "it does not say what is wrong: {told:?}");
    }
    let status: Value = firm.must(&["status", "--json", "--quiet"]).json();
    let sync = status["runs"].as_array().unwrap().iter().find(|r| r["kind"] == "sync").unwrap();
    assert_eq!(sync["last_attempt"]["exit"], told.exit, "{status}");
    let same = sync["last_attempt"]["id"] == sync["last_complete"]["id"];
    assert_eq!(same, told.exit == 0, "status calls complete what was not: {status}");
}

#[test]
fn s10_a_root_whose_answer_was_lost_is_not_made_twice_while_the_search_lags() {
    let firm = Firm::on_first_day();
    firm.at("drive", "lag", json!({"seconds": 3_600}));
    let rule = Rule { method: "POST", path: "/drive/v3/files?", skip: 0, times: EVER, fault: Fault::LostAnswer };
    firm.proxies["drive"].spoil(Some(rule));
    let told = firm.sync();
    assert_ne!(told.exit, 0, "{told:?}");
    firm.proxies["drive"].spoil(None);
    // A process of its own each time: what the first one remembered is gone.
    firm.approve_all();
    firm.sync();
    let dump = firm.at("drive", "dump", json!({}));
    let roots = |f: &&Value| f["private"].to_string().contains("lw_kind") && f["private"].to_string().contains("root");
    let roots: Vec<&Value> = dump["files"].as_array().unwrap().iter().filter(roots).collect();
    assert_eq!(roots.len(), 1, "{roots:?}");
}

/// The first plan is approved, and fails after so many people were let in.
fn part_of_a_first_plan(people: usize) -> Firm {
    let firm = Firm::on_first_day();
    let rule =
        Rule { method: "POST", path: "/permissions", skip: people, times: EVER, fault: Fault::Status(403, None) };
    firm.proxies["drive"].spoil(Some(rule));
    let told = firm.sync();
    assert_ne!(told.exit, 0, "{told:?}");
    assert!(firm.proxies["drive"].hits() > 0);
    firm.proxies["drive"].spoil(None);
    firm
}

fn people(firm: &Firm) -> usize {
    firm.lists().values().map(BTreeSet::len).sum()
}

#[test]
fn s14_the_rest_of_an_approved_plan_needs_no_second_word() {
    let firm = part_of_a_first_plan(2);
    let (whole, half) = (people(&Firm::at_rest()), people(&firm));
    assert!(half < whole, "{half} of {whole}");
    let told = firm.sync();
    assert_eq!(told.exit, 0, "{told:?}");
    assert_eq!(people(&firm), whole);
    firm.sync();
    firm.check_whole("healed");
}

#[test]
fn s14_an_approval_never_covers_more_than_was_shown() {
    // All but one: every folder but the last is whole, and the target's first plan is still not behind it.
    let all_but_one = people(&Firm::at_rest()) - 1;
    // The stranger comes to a folder that is still to be filled: one that is whole would be no part of the rest.
    for (changed, done) in [("a new grant", 2), ("a new grant", all_but_one), ("a stranger", 0)] {
        let firm = part_of_a_first_plan(done);
        if changed == "a stranger" {
            firm.at(
                "drive",
                "share",
                json!({"file": "Cedar Bakery", "type": "user", "email": "dev@harbour.example", "role": "reader"}),
            );
        } else {
            let user =
                json!({"email": "dev@harbour.example", "first": "Dev", "last": "Harbour", "role": "FINANCIALADVISER"});
            firm.at("xero", "add_user", json!({"tenant": "Birch LLP", "user": user}));
        }
        let before = firm.lists();
        let told = firm.sync();
        assert!([3, 5].contains(&told.exit), "{changed}: {told:?}");
        assert_eq!(firm.lists(), before, "{changed}: somebody was let in who was not shown");
        let held = firm.must(&["hold", "--json", "--quiet"]).json();
        assert!(!held["holds"].as_array().unwrap().is_empty(), "{changed}");
    }
}

#[test]
fn s14_the_rest_of_an_approval_puts_nobody_back_whom_somebody_took_off() {
    let firm = part_of_a_first_plan(2);
    let listed =
        |firm: &Firm| firm.lists().into_iter().flat_map(|(c, all)| all.into_iter().map(move |p| (c.clone(), p)));
    let (client, who) = listed(&firm).next().unwrap();
    firm.at("drive", "unshare", json!({"file": client, "email": who}));
    for _ in 0..2 {
        let told = firm.sync();
        assert_eq!(told.exit, 3, "{told:?}");
        assert!(!firm.lists()[&client].contains(&who), "put back by an approval that was used for it already");
    }
    assert!(firm.must(&["hold", "--json", "--quiet"]).out.contains(&who), "and nobody was asked");
    firm.approve_all();
    firm.sync();
    assert!(firm.lists()[&client].contains(&who), "by a word of its own");
}

#[test]
fn s14_what_an_approval_gave_and_the_ledger_took_needs_another_word() {
    let firm = part_of_a_first_plan(people(&Firm::at_rest()) - 1);
    let who = "bob@harbour.example";
    assert!(firm.lists()["Acme Ltd"].contains(who));
    // The last one fails on, so that the approval is not used up.
    let rule = Rule { method: "POST", path: "/permissions", skip: 0, times: EVER, fault: Fault::Status(403, None) };
    firm.proxies["drive"].spoil(Some(rule));
    firm.at("xero", "set_role", json!({"tenant": "Acme Ltd", "user": who, "role": "REMOVED"}));
    firm.sync();
    firm.approve_all();
    firm.sync();
    assert!(!firm.lists()["Acme Ltd"].contains(who), "{:?}", firm.lists());
    firm.at("xero", "set_role", json!({"tenant": "Acme Ltd", "user": who, "role": "READONLY"}));
    firm.proxies["drive"].spoil(None);
    let told = firm.sync();
    assert!(!firm.lists()["Acme Ltd"].contains(who), "the old approval let them in again: {told:?}");
    assert_eq!(told.exit, 3, "{told:?}");
}

#[test]
fn s14_the_rest_of_an_approval_ends_with_it() {
    let firm = part_of_a_first_plan(2);
    firm.state(|db| {
        for (digest, mut rest) in db.doc_all::<Value>("approval_rest")? {
            rest["expires"] = json!(ledgerward_contract::Timestamp::now());
            db.doc_put("approval_rest", &digest, &rest)?;
        }
        Ok(())
    });
    let before = firm.lists();
    let told = firm.sync();
    assert_eq!((told.exit, firm.lists()), (3, before), "{told:?}");
}

#[test]
fn s14_the_first_plan_of_one_client_opens_no_other() {
    let firm = Firm::on_first_day();
    let one = ["sync", "--client", "acme-ltd", "--yes", "--json", "--quiet"];
    assert_eq!(firm.ask(&one).exit, 3, "what waits for a word is the plan of all");
    firm.approve_all();
    let told = firm.ask(&one);
    assert_eq!(told.exit, 0, "{told:?}");
    let before = firm.lists();
    assert!(before["Acme Ltd"].len() > 1 && people(&firm) == before["Acme Ltd"].len(), "{before:?}");
    let told = firm.sync();
    assert!([3, 5].contains(&told.exit), "{told:?}");
    assert_eq!(firm.lists(), before, "somebody was let in who was not shown");
}

#[test]
fn p24_a_connection_that_lost_most_of_its_clients_at_once_waits_for_a_word() {
    let firm = Firm::at_rest();
    let before = firm.lists();
    let told = |firm: &Firm| {
        let all = firm.must(&["findings", "--json", "--quiet"]).json();
        all["findings"].as_array().unwrap().iter().filter(|f| f["code"] == "connection.churn").count()
    };
    let all = ["Acme Ltd", "Birch LLP", "Cedar Bakery"];
    for tenant in all {
        firm.at("xero", "disconnect_tenant", json!({"tenant": tenant}));
    }
    firm.sync();
    assert_eq!((told(&firm), firm.lists()), (1, before.clone()));
    for tenant in all {
        firm.at("xero", "reconnect_tenant", json!({"tenant": tenant}));
    }
    firm.sync();
    assert_eq!(told(&firm), 0, "they are back");
    for tenant in all {
        firm.at("xero", "disconnect_tenant", json!({"tenant": tenant}));
    }
    firm.sync();
    let accept = ["roster", "accept", "xero", "--reason", "we gave them up", "--json", "--quiet"];
    assert_eq!(firm.must(&accept).json()["accepted"], true);
    assert_eq!(firm.must(&accept).json()["accepted"], false);
    firm.sync();
    assert_eq!((told(&firm), firm.lists()), (0, before), "believed, and still nobody's absence");
}

/// A step that was sent an hour ago, by a run that was killed before it heard the answer.
fn sent_an_hour_ago(firm: &Firm, client: &str, op: Op) -> Timestamp {
    let now = Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap();
    let at = now - jiff::SignedDuration::from_hours(1);
    let id = firm.folders().into_iter().find(|(_, name, _)| name == client).unwrap().0;
    firm.state(|db| {
        let lanes = db.lanes()?;
        let (lane, _) = lanes.iter().find(|(_, row)| row.folder == Some(id.as_str().into())).unwrap();
        let intent = Intent {
            run: 1,
            lane: lane.clone(),
            op: JournalOp::Access(op),
            cause: None,
            because: "the ledger says so".into(),
            reserved: None,
            approved: false,
        };
        db.intend(&intent, at)
    });
    at
}

#[test]
fn s01_who_was_let_in_before_a_kill_is_in_since_it_was_sent() {
    let firm = Firm::at_rest();
    let dev = Email::parse("dev@harbour.example").unwrap();
    let user = json!({"email": "dev@harbour.example", "first": "Dev", "last": "Harbour", "role": "FINANCIALADVISER"});
    firm.at("xero", "add_user", json!({"tenant": "Birch LLP", "user": user}));
    let share = json!({"file": "Birch LLP", "type": "user", "email": dev.key(), "role": "reader"});
    firm.at("drive", "share", share);
    let sent = sent_an_hour_ago(&firm, "Birch LLP", Op::Grant { who: dev.clone(), role: FolderRole::Reader });
    let told = firm.sync();
    let rows = firm.state(|db| Ok((db.owned()?, db.applied_at(Timestamp::now())?)));
    let id = firm.folders().into_iter().find(|(_, name, _)| name == "Birch LLP").unwrap().0;
    let all = || rows.0.values().flatten();
    let theirs = all().find(|o| o.grant.who == dev && o.grant.folder.to_string() == id).unwrap();
    let applied = rows.1.iter().find(|a| a.who == dev && a.lane == theirs.grant.lane).map(|a| a.from);
    let owned = Some(theirs.since);
    assert_eq!((owned, applied), (Some(sent), Some(sent)), "{told:?}");
}

#[test]
fn s01_who_was_let_out_before_a_kill_is_out_under_the_address_that_was_ours() {
    let firm = Firm::at_rest();
    let bob = Email::parse("bob@harbour.example").unwrap();
    let theirs = firm.state(|db| {
        let rows = db.owned()?;
        Ok(rows.values().flatten().find(|o| o.grant.who == bob).unwrap().grant.clone())
    });
    let client = firm.folders().into_iter().find(|(id, ..)| *id == theirs.folder.to_string()).unwrap().1;
    // The list shows the account's primary address, which is another one.
    let who = Holder::Person(Email::parse("robert@harbour.example").unwrap());
    sent_an_hour_ago(&firm, &client, Op::Revoke { who, permission: theirs.permission.clone(), role: theirs.role });
    firm.at("xero", "remove_user", json!({"tenant": client, "user": bob.key()}));
    firm.at("drive", "unshare", json!({"file": client, "email": bob.key()}));
    let told = firm.sync();
    let rows = firm.state(|db| Ok((db.owned()?, db.applied_at(Timestamp::now())?)));
    let owned = rows.0.get(&theirs.lane).into_iter().flatten().any(|o| o.grant.who == bob);
    let applied = rows.1.iter().any(|a| a.lane == theirs.lane && a.who == bob);
    assert_eq!((owned, applied), (false, false), "{told:?}");
}

#[test]
fn who_was_taken_off_by_hand_is_told_so_and_was_not_applied_since() {
    let firm = Firm::at_rest();
    let bob = "bob@harbour.example";
    let state = || {
        let told = firm.must(&["access", "--person", bob, "--client", "acme-ltd", "--json", "--quiet"]).json();
        let rows = told["rows"].as_array().unwrap().clone();
        rows.into_iter().find(|r| r["target"] == "drive").unwrap()["state"].clone()
    };
    let applied = |at: Timestamp| {
        let id = firm.folders().into_iter().find(|(_, name, _)| name == "Acme Ltd").unwrap().0;
        firm.state(|db| {
            let lanes = db.lanes()?;
            let lane = lanes.into_values().find(|row| row.folder == Some(id.as_str().into())).unwrap().key;
            Ok(db.applied_at(at)?.iter().any(|a| a.lane == lane && a.who.key() == bob))
        })
    };
    assert_eq!((state(), applied(Timestamp::now())), (json!("granted"), true));
    let before = Timestamp::now();
    firm.at("drive", "unshare", json!({"file": "Acme Ltd", "email": bob}));
    firm.sync();
    let first = Timestamp::now();
    assert!(applied(first), "one list may lack an entry that is there");
    thread::sleep(Duration::from_millis(2_100));
    firm.sync();
    assert_eq!(state(), json!("removed_by_hand"));
    assert!(applied(before) && !applied(first), "closed when it was missed first");
    assert!(firm.must(&["access", "--person", bob]).out.contains("removed by hand, held"));
    assert!(firm.must(&["why", bob, "acme-ltd"]).out.contains("removed by hand on drive, and put back only"));
    // It is ours still: it comes back by a person's word alone, and counts from then on.
    assert_eq!(firm.sync().exit, 3);
    firm.approve_all();
    firm.sync();
    assert_eq!((state(), applied(Timestamp::now()), applied(first)), (json!("granted"), true, false));
    firm.check_whole("put back");
}

#[test]
fn a_leavers_other_ways_in_are_looked_at_each_time_and_what_cannot_be_seen_is_not_closed() {
    let firm = Firm::at_rest();
    let bob = "bob@harbour.example";
    let by_hand = || {
        let told = firm.ask(&["leaver", bob, "--json", "--quiet"]).json();
        let we = told["we_can_close"].as_array().unwrap().iter().map(|l| l.as_str().unwrap().to_owned());
        we.filter(|l| l.starts_with("drive: ")).collect::<Vec<_>>()
    };
    assert_eq!(by_hand(), Vec::<String>::new(), "closed, and out of everything that was ours to close");
    let client = "Acme Ltd";
    let share = || firm.at("drive", "share", json!({"file": client, "type": "user", "email": bob, "role": "reader"}));
    share();
    let first = by_hand();
    assert!(matches!(first.as_slice(), [line] if line.contains("by a hand-made share")), "{first:?}");
    firm.at("drive", "unshare", json!({"file": client, "email": bob}));
    assert_eq!(by_hand(), Vec::<String>::new(), "somebody took it back");
    share();
    assert_eq!(by_hand().len(), 1, "and gave it again");
    let rule = Rule { method: "GET", path: "/permissions", skip: 0, times: EVER, fault: Fault::Status(403, None) };
    firm.proxies["drive"].spoil(Some(rule));
    let pack = firm.path("left").display().to_string();
    let told = firm.ask(&["leaver", bob, "--pack", &pack, "--json", "--quiet"]);
    firm.proxies["drive"].spoil(None);
    assert_eq!(told.exit, 5, "{told:?}");
    let sealed = std::fs::read_to_string(firm.path("left/evidence.md")).unwrap();
    assert!(sealed.contains("could not be read, so who can open it is unknown"), "{sealed}");
}

#[test]
fn a_look_at_one_client_says_nothing_of_the_others() {
    let firm = Firm::at_rest();
    let whole = |firm: &Firm| firm.must(&["status", "--json", "--quiet"]).json()["last_complete_cycle"]["id"].clone();
    let first = whole(&firm);
    let waiting = |firm: &Firm| -> Vec<String> {
        let told = firm.must(&["findings", "--json", "--quiet"]).json();
        let all = told["findings"].as_array().unwrap().iter().map(Value::to_string);
        all.filter(|f| f.contains("files.waiting")).collect()
    };
    firm.at("drive", "link_on", json!({"file": "Acme Ltd"}));
    firm.sync();
    assert_eq!(waiting(&firm).len(), 1);
    let told = firm.must(&["findings", "--json", "--quiet"]).json()["findings"].to_string();
    assert!(told.contains("folder.link_on") && told.contains("urgent"), "S05 alerts: {told}");
    assert_eq!(firm.ask(&["status", "--check"]).exit, 1);
    let told = firm.ask(&["sync", "--client", "birch-llp", "--yes", "--json", "--quiet"]);
    assert_eq!(told.exit, 0, "{told:?}");
    assert_eq!(waiting(&firm).len(), 1, "nobody looked at Acme, and it is still open");
    assert_eq!(whole(&firm), first, "a sync of one client passes for a complete one");
    firm.at("drive", "link_off", json!({"file": "Acme Ltd"}));
    let told = firm.ask(&["sync", "--client", "acme-ltd", "--yes", "--json", "--quiet"]);
    assert_eq!(told.exit, 0, "{told:?}");
    assert!(waiting(&firm).is_empty(), "Acme was looked at, and is closed");
}
