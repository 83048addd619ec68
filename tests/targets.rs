//! Several targets side by side, and what lies across them: a client that moves from one to the other.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test's helpers fail the test")]

#[path = "targets/accounts.rs"]
mod accounts;
mod common;
#[path = "targets/names.rs"]
mod names;
#[cfg(feature = "stores")]
#[path = "targets/servers.rs"]
mod servers;
#[cfg(feature = "stores")]
#[path = "targets/stores.rs"]
mod stores;

use std::{collections::BTreeSet, fs, process::Stdio, thread, time::Duration};

use common::{
    Firm,
    proxy::{Fault, Rule},
};
use ledgerward::{
    domain::lane::Op,
    store::{Intent, JournalOp},
};
use ledgerward_contract::Timestamp;
use serde_json::{Value, json};

const SECTION: &str = r#"client_id = "test-box"
client_secret = { file = "box-secret" }
endpoints = { api = "{url}/2", content = "{url}/content/2", www = "{url}", oauth = "{url}" }
sharing = "mirror"
formats = ["csv"]
"#;

/// A firm at rest that has a Dropbox beside its Drive, with no client on it yet.
fn firm() -> Firm {
    firm_of(&["ledgers", "ana", "bob", "cleo", "dev"], &[])
}

/// The same; these people's accounts are not of the firm's team there, so that they are invited.
fn firm_beside(outside: &[&str]) -> Firm {
    firm_of(&["ledgers", "ana", "bob", "cleo", "dev"], outside)
}

/// Whoever is not among these accounts has no Dropbox and can only be invited, too.
fn firm_of(accounts: &[&str], outside: &[&str]) -> Firm {
    let mut firm = Firm::at_rest();
    firm.secret("box-secret", "test-box-word");
    let person = |p: &str| {
        let team = (!outside.contains(&p)).then_some("harbour");
        json!({"email": format!("{p}@harbour.example"), "name": p, "team": team})
    };
    let accounts: Vec<Value> = accounts.iter().map(|p| person(p)).collect();
    let visitor = json!({"email": "visitor@elsewhere.example", "name": "Vi Visitor"});
    let accounts: Vec<Value> = accounts.into_iter().chain([visitor]).collect();
    let seed = json!({
        "consent": "ledgers@harbour.example", "apps": [{"key": "test-box", "secret": "test-box-word"}],
        "teams": {"harbour": {"name": "Harbour", "team_space": true}}, "accounts": accounts, "groups": [],
    });
    for slug in ["acme-ltd", "birch-llp", "cedar-bakery"] {
        firm.must(&["clients", "targets", slug, "drive", "disk"]);
    }
    firm.add_target("box", "dropbox", &seed, SECTION);
    firm
}

/// Who is on a client's folder on a target, by what ledgerward reads there now.
fn on(firm: &Firm, slug: &str, target: &str, state: &str) -> BTreeSet<String> {
    let told = firm.ask(&["holders", "list", "--client", slug, "--json", "--quiet"]).json();
    let all = told["holders"].as_array().unwrap().iter();
    all.filter(|h| h["target"] == target && h["state"] == state)
        .map(|h| h["holder"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn an_invitation_that_nobody_accepts_is_told_after_a_fortnight() {
    let firm = firm_of(&["ledgers", "ana", "cleo", "dev"], &[]);
    firm.must(&["clients", "targets", "acme-ltd", "drive", "disk", "box"]);
    firm.sync();
    firm.approve_all();
    firm.sync();
    let invited = |firm: &Firm| {
        let rows = firm.state(|db| db.owned());
        let mut all = rows.into_values().flatten();
        all.find(|o| o.grant.lane.target.0 == "box" && o.grant.who.key() == "bob@harbour.example").unwrap()
    };
    assert!(invited(&firm).invited_since.is_some(), "{:?}", invited(&firm));
    let told = |firm: &Firm| {
        let all = firm.must(&["findings", "--json", "--quiet"]).json()["findings"].as_array().unwrap().clone();
        all.into_iter().find(|f| f["code"] == "holder.invited")
    };
    firm.sync();
    assert_eq!(told(&firm), None);
    let today = jiff::Zoned::now().date().to_string();
    let at = firm.must(&["access", "--at", &today, "--client", "acme-ltd"]).out;
    let lines: Vec<&str> = at.lines().filter(|l| l.contains("box reader")).collect();
    let waits = lines.iter().filter(|l| l.contains("box reader (invited, not yet in)")).count();
    assert!(waits == 1 && lines.len() > 1, "who waits is told apart from who is in: {at}");
    let mut grant = invited(&firm).grant;
    firm.state(|db| {
        let who = grant.who.clone();
        let op = JournalOp::Access(Op::Adopt { who, permission: grant.permission.clone(), role: grant.role });
        let (lane, because) = (grant.lane.clone(), "as it was a fortnight ago".to_owned());
        let intent = Intent { run: 1, lane, op, cause: None, because, reserved: None, approved: false };
        let at = Timestamp::now() - jiff::SignedDuration::from_hours(24 * 15);
        let step = db.intend(&intent, at)?;
        grant.step = step.row();
        db.outcome_granted(step, &grant, true, at)
    });
    firm.sync();
    let finding = told(&firm).unwrap();
    assert_eq!(finding["subject"], "box/acme-ltd/bob@harbour.example");
    let text = finding["text"].as_str().unwrap();
    assert!(text.contains("has not accepted for 15 days"), "{text}");
    assert!(on(&firm, "acme-ltd", "box", "ours").len() > 1, "it is not withdrawn by itself");
}

fn mover(firm: &Firm) -> common::Told {
    firm.ask(&["clients", "move", "acme-ltd", "--from", "drive", "--to", "box", "--yes", "--json", "--quiet"])
}

#[test]
fn a_client_moves_and_its_old_folder_is_closed_with_its_files_in_it() {
    let firm = firm();
    let before = firm.lists()["Acme Ltd"].clone();
    assert!(before.len() >= 3, "{before:?}");
    let files = firm.drive_files();

    let shown = firm.ask(&["clients", "move", "acme-ltd", "--from", "drive", "--to", "box"]);
    assert_eq!(shown.exit, 2, "the plan is shown first: {shown:?}");
    assert!(shown.out.contains("is closed") && shown.out.contains("bob@harbour.example"), "{shown:?}");
    assert_eq!(firm.lists()["Acme Ltd"], before);

    let held = mover(&firm);
    assert_eq!(held.exit, 3, "a target's first plan is approved by a person, move or not: {held:?}");
    assert_eq!(firm.lists()["Acme Ltd"], before, "the old folder stays open until the new one is ready");
    firm.approve_all();
    let done = mover(&firm);
    assert_eq!(done.exit, 0, "{done:?}");
    assert!(done.json()["closed"].is_string(), "{done:?}");

    assert_eq!(firm.lists()["Acme Ltd"], BTreeSet::new(), "everybody we let in is let out");
    assert_eq!(on(&firm, "acme-ltd", "box", "ours"), before, "and is on the new folder");
    assert_eq!(firm.drive_files(), files, "the old folder's files stay there");
    let delivered = firm.state(|db| db.delivered());
    let at = |target: &str, ext: &str| {
        let of = delivered.iter().filter(|(lane, _)| lane.target.0 == target).flat_map(|(_, f)| f);
        of.filter(|f| f.delivered.path.starts_with("20") && f.delivered.path.ends_with(ext)).count()
    };
    assert!(at("box", ".csv") > 0, "{delivered:?}");
    assert_eq!(at("box", ".json"), 0, "the new target has formats of its own");

    let again = mover(&firm);
    assert_eq!(again.exit, 0, "{again:?}");
    assert_eq!(firm.sync().exit, 0);
    assert_eq!(firm.lists()["Acme Ltd"], BTreeSet::new(), "and nobody is let in again");
    let trail = firm.must(&["changes", "list", "--json", "--quiet"]);
    assert!(trail.out.contains("set_targets"), "{trail:?}");
    firm.must(&["audit", "verify"]);
}

#[test]
fn a_move_refuses_what_cannot_be() {
    let firm = firm();
    let refused = |args: &[&str], part: &str| {
        let told = firm.ask(&[&["clients", "move", "acme-ltd"], args].concat());
        assert_eq!(told.exit, 1, "{told:?}");
        assert!(told.err.contains(part), "\"{part}\" is not in {told:?}");
    };
    refused(&["--from", "drive", "--to", "drive", "--yes"], "both ends");
    refused(&["--from", "box", "--to", "drive", "--yes"], "is not on box");
    refused(&["--from", "drive", "--to", "nowhere", "--yes"], "no target");
    let config = fs::read_to_string(firm.path("config.toml")).unwrap();
    let drive = config.split("[targets.drive]").nth(1).unwrap().split("\n[").next().unwrap().to_owned();
    fs::write(firm.path("config.toml"), format!("{config}\n[targets.other]{drive}\n")).unwrap();
    for slug in ["acme-ltd", "birch-llp", "cedar-bakery"] {
        firm.must(&["clients", "targets", slug, "drive", "disk"]);
    }
    firm.connect("other");
    let told = firm.ask(&["clients", "move", "acme-ltd", "--from", "drive", "--to", "other", "--yes"]);
    assert_eq!(told.exit, 1, "{told:?}");
    assert!(told.err.contains("same account"), "one account's folder is not taken for a new one: {told:?}");
    assert!(firm.lists()["Acme Ltd"].contains("bob@harbour.example"));
}

#[test]
fn a_move_that_is_killed_goes_on_where_it_was() {
    let firm = firm();
    let before = firm.lists()["Acme Ltd"].clone();
    assert_eq!(mover(&firm).exit, 3);
    firm.approve_all();
    let mut wait = Duration::from_millis(150);
    let mut killed = 0;
    for _ in 0..12 {
        let mut child = firm
            .command(&["clients", "move", "acme-ltd", "--from", "drive", "--to", "box", "--yes"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(wait);
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
        wait += Duration::from_millis(130);
    }
    assert!(killed > 1, "nothing was killed");
    // An approval that was used by a killed run serves what is left of it.
    let mut last = mover(&firm);
    for _ in 0..4 {
        if last.exit == 0 {
            break;
        }
        firm.approve_all();
        last = mover(&firm);
    }
    assert_eq!(last.exit, 0, "{last:?}");
    assert_eq!(firm.lists()["Acme Ltd"], BTreeSet::new());
    assert_eq!(on(&firm, "acme-ltd", "box", "ours"), before);
    let (moved, open) = firm.state(|db| Ok((db.changes(100)?, db.unsettled()?)));
    assert_eq!(moved.iter().filter(|c| c.reason == "move from drive to box").count(), 1, "the act is one");
    assert!(open.is_empty(), "{open:?}");
}

/// What an entry of Drive says of somebody's end there.
fn end_on_drive(firm: &Firm, folder: &str, who: &str) -> Option<String> {
    let dump = firm.at("drive", "dump", json!({}));
    let folder = dump["files"].as_array().unwrap().iter().find(|f| f["name"] == folder).unwrap().clone();
    let entries = folder["permissions"].as_array().unwrap();
    let entry = entries.iter().find(|p| p["who"] == who).unwrap_or_else(|| panic!("{folder}"));
    entry["expires"].as_str().map(str::to_owned)
}

#[test]
fn a_guest_is_on_targets_that_end_access_by_themselves_and_on_others_and_is_extended_in_a_ledgers_outage() {
    let firm = firm();
    firm.must(&["clients", "targets", "cedar-bakery", "drive", "disk", "box"]);
    firm.sync();
    firm.approve_all();
    assert_eq!(firm.sync().exit, 0);
    firm.must(&["guests", "add", "cleo", "cedar-bakery", "--until", "8 hours", "--reason", "year end"]);
    let told = firm.sync();
    assert_eq!(told.exit, 0, "{told:?}");
    let cleo = "cleo@harbour.example";
    assert!(on(&firm, "cedar-bakery", "box", "ours").contains(cleo), "Dropbox ends nothing by itself");
    let first = end_on_drive(&firm, "Cedar Bakery", cleo).unwrap();

    // The ledger cannot be read: nothing is done about its people, and the change is taken in.
    let fault = Fault::Status(503, None);
    firm.proxies["xero"].spoil(Some(Rule { method: "", path: "", skip: 0, times: usize::MAX, fault }));
    let day = (jiff::Zoned::now().date() + jiff::Span::new().days(30)).to_string();
    firm.must(&["guests", "extend", "cleo", "cedar-bakery", "--until", &day]);
    let told = firm.sync();
    assert_ne!(told.exit, 0, "{told:?}");
    assert_eq!(end_on_drive(&firm, "Cedar Bakery", cleo).unwrap(), first);
    firm.proxies["xero"].spoil(None);
    let told = firm.sync();
    assert_eq!(told.exit, 0, "{told:?}");
    let second = end_on_drive(&firm, "Cedar Bakery", cleo).unwrap();
    assert!(second.parse::<jiff::Timestamp>().unwrap() > first.parse::<jiff::Timestamp>().unwrap(), "{second}");
    firm.must(&["guests", "end", "cleo", "cedar-bakery"]);
    assert_eq!(firm.sync().exit, 0);
    assert!(!on(&firm, "cedar-bakery", "box", "ours").contains(cleo));
    assert!(!firm.lists()["Cedar Bakery"].contains(cleo));
}

#[test]
fn s15_a_mark_that_lies_in_another_clients_folder_stops_nobody_else() {
    let firm = Firm::at_rest();
    let [acme, birch] = ["Acme Ltd", "Birch LLP"].map(|name| firm.path("folders").join(name));
    fs::copy(birch.join(".ledgerward.json"), acme.join(".ledgerward.json")).unwrap();
    fs::remove_dir_all(&birch).unwrap();
    firm.must(&["clients", "new-folder", "birch-llp", "disk", "--reason", "merged by mistake"]);
    fs::remove_file(
        firm.disk().keys().find(|p| p.starts_with("Cedar Bakery/20")).map(|p| firm.path("folders").join(p)).unwrap(),
    )
    .unwrap();
    let told = firm.sync();
    assert_eq!(told.exit, 5, "{told:?}");
    let refused = open(&firm, "step.refused");
    assert!(refused.len() == 1 && refused[0].0.contains("its mark lies in the folder of acme-ltd"), "{refused:?}");
    assert!(refused[0].1.starts_with("Take this client's mark out"), "{refused:?}");
    fs::remove_file(acme.join(".ledgerward.json")).unwrap();
    firm.sync();
    assert!(open(&firm, "step.refused").is_empty() && birch.join(".ledgerward.json").exists());
}

#[test]
fn two_disks_may_have_folders_of_one_name() {
    let firm = Firm::at_rest();
    let (config, second) = (fs::read_to_string(firm.path("config.toml")).unwrap(), firm.path("second"));
    fs::create_dir(&second).unwrap();
    let section = format!(
        "\n[targets.second]\nconnector = \"local\"\nroot = \"{}\"\nnew_root = true\nsharing = \"off\"\naudience = \"the partners\"\n",
        second.display()
    );
    fs::write(firm.path("config.toml"), config + &section).unwrap();
    for _ in 0..2 {
        firm.sync();
        firm.approve_all();
    }
    assert_eq!(open(&firm, "step.refused"), []);
    let files = |root: &std::path::Path| fs::read_dir(root.join("Acme Ltd")).unwrap().count();
    assert_eq!(files(&second), files(&firm.path("folders")), "the same papers");
}

#[test]
fn a_client_moves_from_disk_to_disk_and_back() {
    let firm = Firm::at_rest();
    let (config, second) = (fs::read_to_string(firm.path("config.toml")).unwrap(), firm.path("second"));
    fs::create_dir(&second).unwrap();
    let section = format!(
        "\n[targets.second]\nconnector = \"local\"\nroot = \"{}\"\nnew_root = true\nsharing = \"off\"\naudience = \"the partners\"\n",
        second.display()
    );
    fs::write(firm.path("config.toml"), config + &section).unwrap();
    for slug in ["acme-ltd", "birch-llp", "cedar-bakery"] {
        firm.must(&["clients", "targets", slug, "drive", "disk"]);
    }
    let mover = |from: &str, to: &str| {
        for _ in 0..3 {
            let told = firm.ask(&["clients", "move", "acme-ltd", "--from", from, "--to", to, "--yes"]);
            if told.exit == 0 {
                return;
            }
            assert!(!told.err.contains("same account"), "{told:?}");
            firm.approve_all();
        }
        panic!("the move from {from} to {to} did not end");
    };
    mover("disk", "second");
    assert!(second.join("Acme Ltd").exists());
    mover("second", "disk");
    assert!(firm.path("folders").join("Acme Ltd").exists(), "and each ended");
}

/// What is stored of a folder of Drive, with its place and its owner forgotten.
fn forget_place(firm: &Firm, folder: bool) -> ledgerward::store::LaneRow {
    firm.state(|db| {
        let rows = db.lanes()?;
        let row = rows.into_values().find(|r| r.key.target.0 == "drive" && r.name == "Acme Ltd").unwrap();
        let known = row.folder.clone().filter(|_| folder);
        let bare = ledgerward::store::LaneRow { folder: known, parent: None, owner: None, ..row.clone() };
        db.save_lane(&bare, Timestamp::now())?;
        Ok(row)
    })
}

#[test]
fn g7_a_folder_that_was_found_again_is_known_by_its_place_and_its_owner() {
    let firm = Firm::at_rest();
    // As a restored backup knows it: not at all, or without what could not be read when it was made.
    for folder in [false, true] {
        let was = forget_place(&firm, folder);
        assert!(was.parent.is_some() && was.owner.is_some(), "{was:?}");
        firm.sync();
        let is = firm.state(|db| Ok(db.lane(&was.key)?.unwrap()));
        assert_eq!((&is.folder, &is.parent, &is.owner), (&was.folder, &was.parent, &was.owner), "{folder}");
    }
}

#[test]
fn where_a_folder_is_its_name_a_new_client_with_a_former_name_gets_another() {
    let firm = Firm::at_rest();
    firm.must(&["clients", "rename", "acme-ltd", "Acme Group"]);
    firm.must(&["clients", "add", "Acme Ltd"]);
    firm.must(&["clients", "targets", "acme-ltd-2", "disk"]);
    firm.must(&["select", "cleo", "acme-ltd-2"]);
    for _ in 0..2 {
        firm.sync();
        firm.approve_all();
    }
    assert_eq!(open(&firm, "step.refused"), []);
    let names: Vec<_> = fs::read_dir(firm.path("folders")).unwrap().map(|e| e.unwrap().file_name()).collect();
    let of = |name: &str| names.iter().filter(|n| n.to_string_lossy().starts_with(name)).count();
    assert_eq!((of("Acme Ltd"), of("Acme Group")), (2, 0), "{names:?}");
}

#[test]
fn an_answer_that_should_pass_is_told_once_it_lasts() {
    let firm = Firm::at_rest();
    firm.must(&["select", "cleo", "cedar-bakery"]);
    let fault = Fault::Status(503, None);
    firm.proxies["drive"].spoil(Some(Rule { method: "POST", path: "/permissions", skip: 0, times: usize::MAX, fault }));
    assert_eq!(firm.sync().exit, 5);
    assert_eq!(open(&firm, "step.refused"), [], "an outage of a minute is nobody's business");
    let age = |db: &mut ledgerward::store::Db| {
        let subjects: Vec<String> = db.doc_all::<Value>("step_waits")?.into_keys().collect();
        let then = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(2);
        subjects.iter().try_for_each(|s| db.doc_put("step_waits", s, &then))
    };
    firm.state(age);
    firm.sync();
    let told = open(&firm, "step.refused");
    assert!(told.len() == 1 && told[0].0.contains("cleo@harbour.example could not be let into"), "{told:?}");
    firm.proxies["drive"].spoil(None);
    firm.sync();
    assert_eq!(open(&firm, "step.refused"), []);
    assert_eq!(firm.state(|db| db.doc_all::<Value>("step_waits")).len(), 0);
}

#[test]
fn a_template_of_one_target_is_checked_with_its_line() {
    let firm = Firm::at_rest();
    let config = fs::read_to_string(firm.path("config.toml")).unwrap();
    let wrong = config.replace(
        "audience = \"the partners\"",
        "audience = \"the partners\"\ntemplate = \"{year}/../{kind}.{ext}\"\nkinds = [\"profit-and-los\"]",
    );
    fs::write(firm.path("config.toml"), &wrong).unwrap();
    let told = firm.ask(&["status"]);
    assert_eq!(told.exit, 78, "{told:?}");
    for text in ["template = ", "kinds = "] {
        let line =
            wrong.lines().position(|l| l.starts_with(text) && (text != "kinds = " || l.contains("los\""))).unwrap() + 1;
        assert!(
            told.err.contains(&format!(":{line}:")) || told.err.contains(&format!("line {line}")),
            "{line}: {told:?}"
        );
    }
}

/// Folders that a firm had in its Dropbox before: one that fits each of two clients, and one of nobody.
fn old_tree(firm: &Firm) {
    firm.at("box", "make", json!({"parent": "", "name": "ledgerward clients"}));
    for (name, who) in [
        ("ACME Limited", "visitor@elsewhere.example"),
        ("1042 Birch LLP", "bob@harbour.example"),
        ("Templates", "ana@harbour.example"),
    ] {
        firm.at("box", "make", json!({"parent": "ledgerward clients", "name": name}));
        let folder = format!("ledgerward clients/{name}");
        firm.at("box", "share", json!({"folder": folder, "email": who, "level": "viewer", "pending": false}));
        if name == "1042 Birch LLP" {
            firm.at(
                "box",
                "share",
                json!({"folder": folder, "email": "visitor@elsewhere.example", "level": "editor", "pending": false}),
            );
        }
    }
    for slug in ["acme-ltd", "birch-llp"] {
        firm.must(&["clients", "targets", slug, "drive", "disk", "box"]);
    }
}

#[test]
fn an_old_tree_is_proposed_confirmed_and_nobody_in_it_is_taken_away() {
    let firm = firm();
    old_tree(&firm);
    let before = firm.at("box", "dump", json!({})).to_string();
    let told = firm.must(&["adopt", "box", "--json", "--quiet"]).json();
    let pairs: Vec<(String, String, bool)> = told["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| {
            (c["client"].as_str().unwrap().to_owned(), c["name"].as_str().unwrap().to_owned(), c["certain"] == true)
        })
        .collect();
    let pair = |client: &str, name: &str| (client.to_owned(), name.to_owned(), true);
    assert_eq!(pairs, [pair("acme-ltd", "ACME Limited"), pair("birch-llp", "1042 Birch LLP")], "{told}");
    let birch = &told["candidates"][1];
    let visitor = json!(["visitor@elsewhere.example writer"]);
    assert!(
        birch["holders"].to_string().contains("bob@harbour.example reader") && birch["outside"] == visitor,
        "{told}"
    );
    assert_eq!(told["folders"][0]["name"], "Templates", "{told}");
    assert_eq!(firm.at("box", "dump", json!({})).to_string(), before, "a proposal writes nothing");
    assert_eq!(firm.ask(&["adopt", "box", "--all-certain"]).exit, 64, "a reason is asked for");

    let one = firm
        .must(&["adopt", "box", "acme-ltd", "ACME Limited", "--reason", "their folder", "--json", "--quiet"])
        .json();
    assert_eq!(one["adopted"][0]["accepted"], json!(["visitor@elsewhere.example"]), "{one}");
    let again = firm.ask(&["adopt", "box", "birch-llp", "ACME Limited", "--reason", "no"]);
    assert_eq!(again.exit, 1, "a folder that is somebody's is not taken over: {again:?}");
    let shown = firm.must(&["adopt", "box"]);
    assert!(shown.out.contains("NOT OF THE FIRM: visitor@elsewhere.example writer"), "{shown:?}");
    let done = firm.must(&["adopt", "box", "--all-certain", "--reason", "looked at"]);
    assert!(
        done.err.contains("Not of the firm, and on box:/1042 Birch LLP (birch-llp): visitor@elsewhere.example"),
        "{done:?}"
    );
    assert!(done.out.contains("NOT OF THE FIRM: visitor@elsewhere.example writer"), "{done:?}");

    assert_eq!(on(&firm, "acme-ltd", "box", "accepted"), BTreeSet::from(["visitor@elsewhere.example".to_owned()]));
    assert_eq!(on(&firm, "birch-llp", "box", "entitled"), BTreeSet::from(["bob@harbour.example".to_owned()]));
    firm.ask(&["plan"]);
    firm.approve_all();
    for _ in 0..2 {
        firm.sync();
    }
    let after = firm.ask(&["holders", "list", "--client", "birch-llp", "--json", "--quiet"]).json().to_string();
    assert!(after.contains("visitor@elsewhere.example"), "nobody is taken off: {after}");
    assert!(after.contains("\"folder\""), "{after}");
    let rows = firm.state(|db| db.lanes());
    let names: BTreeSet<&str> =
        rows.values().filter(|r| r.key.target.0 == "box" && r.folder.is_some()).map(|r| r.name.as_str()).collect();
    assert_eq!(
        names,
        BTreeSet::from(["ACME Limited", "1042 Birch LLP"]),
        "they keep their names, and none is made twice"
    );
    let made = firm.at("box", "dump", json!({})).to_string();
    assert!(!made.contains("\"Birch LLP\""), "no second folder: {made}");
    firm.must(&["audit", "verify"]);
}

#[test]
fn another_clients_folder_is_not_taken_over() {
    let firm = firm();
    old_tree(&firm);
    firm.must(&["adopt", "box", "acme-ltd", "ACME Limited", "--reason", "theirs"]);
    // The state forgets it, as after a restored backup; the marker does not.
    firm.must(&["clients", "targets", "acme-ltd", "drive", "disk"]);
    let id = firm.state(|db| {
        let all = db.lanes()?;
        let mut row = all.values().find(|r| r.key.target.0 == "box" && r.folder.is_some()).unwrap().clone();
        let id = row.folder.take().unwrap();
        db.save_lane(&row, ledgerward_contract::Timestamp::now())?;
        Ok(id)
    });
    let told = firm.ask(&["adopt", "box", "birch-llp", id.as_str(), "--reason", "mine"]);
    assert_eq!(told.exit, 1, "{told:?}");
    assert!(told.err.contains("marker of acme-ltd"), "{told:?}");
}

#[test]
fn gaps_tells_where_ledger_and_folder_disagree() {
    let firm = Firm::at_rest();
    let gaps = |args: &[&str]| {
        let told = firm.ask(&[&["gaps", "--json", "--quiet"], args].concat());
        let rows = told.json()["gaps"].as_array().unwrap().clone();
        let of = |r: &Value| ["client", "who", "gap"].map(|k| r[k].as_str().unwrap().to_owned());
        rows.iter().map(of).collect::<BTreeSet<[String; 3]>>()
    };
    let line = |client: &str, who: &str, gap: &str| [client, who, gap].map(str::to_owned);
    let before = gaps(&[]);
    // Cleo may open Cedar's ledger, and the firm did not select it for her.
    assert!(before.contains(&line("cedar-bakery", "cleo@harbour.example", "ledger_only")), "{before:?}");
    assert!(!before.iter().any(|l| l[2] == "folder_only"), "{before:?}");

    firm.at(
        "drive",
        "share",
        json!({"file": "Birch LLP", "type": "user", "email": "dev@harbour.example", "role": "reader"}),
    );
    firm.at(
        "drive",
        "share",
        json!({"file": "Cedar Bakery", "type": "user", "email": "visitor@elsewhere.example", "role": "reader"}),
    );
    firm.at("drive", "link_on", json!({"file": "Acme Ltd"}));
    let after = gaps(&[]);
    assert!(after.contains(&line("birch-llp", "dev@harbour.example", "folder_only")), "{after:?}");
    assert!(after.contains(&line("cedar-bakery", "visitor@elsewhere.example", "folder_only")), "{after:?}");
    assert!(after.contains(&line("acme-ltd", "link:anyone", "link")), "{after:?}");
    assert_eq!(gaps(&["--offline"]), after, "the last reading says the same");
    assert_eq!(gaps(&["--client", "birch-llp"]), after.iter().filter(|l| l[0] == "birch-llp").cloned().collect());
    let csv = firm.ask(&["gaps", "--offline", "--format", "csv"]);
    assert!(csv.out.contains("birch-llp,drive,dev@harbour.example,\"folder yes, ledger no\""), "{csv:?}");
}

/// How many member lists of folders Dropbox was asked for.
fn lists_read(firm: &Firm) -> u64 {
    let stats = firm.at("box", "stats", json!({}));
    let all = stats["requests"].as_object().unwrap().iter();
    all.filter(|(what, _)| what.contains("list_folder_members")).filter_map(|(_, n)| n.as_u64()).sum()
}

#[test]
fn folders_take_turns_where_no_feed_tells_of_sharing() {
    let firm = firm();
    for slug in ["acme-ltd", "birch-llp", "cedar-bakery"] {
        firm.must(&["clients", "targets", slug, "box"]);
    }
    firm.ask(&["plan"]);
    firm.approve_all();
    for _ in 0..3 {
        firm.sync();
    }
    // After the turns of all three, each has been read when nothing was going on.
    let before = lists_read(&firm);
    assert_eq!(firm.sync().exit, 0);
    let one = lists_read(&firm) - before;
    let before = lists_read(&firm);
    firm.must(&["holders", "list"]);
    let all = lists_read(&firm) - before;
    assert!(one >= 1 && one * 3 <= all, "a cycle reads one folder's turn ({one}), whoever looks reads all ({all})");

    let visitor = json!({"folder": "ledgerward clients/Cedar Bakery", "email": "visitor@elsewhere.example", "level": "viewer", "pending": false});
    firm.at("box", "share", visitor);
    let found = |firm: &Firm| {
        firm.sync();
        firm.ask(&["gaps", "--offline", "--json", "--quiet"]).out.contains("visitor@elsewhere.example")
    };
    assert!((0..4).any(|_| found(&firm)), "within one round it is seen");
    for client in ["Acme Ltd", "Birch LLP"] {
        let folder = format!("ledgerward clients/{client}");
        let visitor =
            json!({"folder": folder, "email": "visitor@elsewhere.example", "level": "viewer", "pending": false});
        firm.at("box", "share", visitor);
    }
    let told = firm.ask(&["gaps", "--json", "--quiet"]).out;
    assert_eq!(told.matches("visitor@elsewhere.example").count(), 3, "whoever asks is told of now: {told}");
}

#[test]
fn a_quiet_feed_is_asked_once_though_it_gives_a_new_place_each_time() {
    let firm = Firm::at_rest();
    let asked = || {
        let stats = firm.at("drive", "stats", json!({}));
        let all = stats["requests"].as_object().unwrap().iter();
        all.filter(|(what, _)| what.ends_with("/changes")).filter_map(|(_, n)| n.as_u64()).sum::<u64>()
    };
    firm.sync();
    let before = asked();
    assert_eq!(firm.sync().exit, 0);
    assert_eq!(asked() - before, 1, "{}", firm.at("drive", "stats", json!({})));
}

#[test]
fn an_invitation_that_our_own_change_took_back_is_sent_again_without_a_question() {
    let firm = firm_beside(&["bob"]);
    firm.must(&["clients", "targets", "cedar-bakery", "drive", "disk", "box"]);
    firm.sync();
    firm.approve_all();
    assert_eq!(firm.sync().exit, 0);
    let bob = "bob@harbour.example";
    let row = || {
        let told = firm.ask(&["holders", "list", "--client", "cedar-bakery", "--json", "--quiet"]).json();
        told["holders"].as_array().unwrap().iter().find(|h| h["target"] == "box" && h["holder"] == bob).cloned()
    };
    let waits = |row: Option<Value>| row.is_some_and(|r| r["pending"] == true && r["state"] == "ours");
    assert!(waits(row()), "{:?}", row());
    // By hand the invitation is another role's. To put that right, Dropbox has it taken back and sent anew.
    let editor = json!({"folder": "ledgerward clients/Cedar Bakery", "email": bob, "level": "editor", "pending": true});
    firm.at("box", "share", editor);
    firm.ask(&["plan"]);
    firm.approve_all();
    firm.at("box", "team", json!({"members_only": true}));
    let told = firm.sync();
    assert!(told.err.contains("taken back") || told.out.contains("taken back"), "{told:?}");
    assert_eq!(row(), None, "{told:?}");

    firm.at("box", "team", json!({"members_only": false}));
    let told = firm.sync();
    assert_eq!(told.exit, 0, "no hand took them out, so nobody is asked: {told:?}");
    let there = row();
    assert!(there.as_ref().is_some_and(|r| r["role"] == "reader") && waits(there.clone()), "{there:?}");
    assert_eq!(firm.must(&["hold", "--json", "--quiet"]).json()["holds"], json!([]));
}

#[test]
fn forecast_says_how_full_each_limit_is_and_what_was_found() {
    let firm = Firm::at_rest();
    let limits = |args: &[&str]| {
        let told = firm.must(&[&["forecast", "--json", "--quiet"], args].concat()).json();
        told["limits"].as_array().unwrap().clone()
    };
    let row = |rows: &[Value], target: &str, limit: &str| {
        rows.iter().find(|r| r["target"] == target && r["limit"] == limit).cloned()
    };
    let all = limits(&[]);
    let people = row(&all, "drive", "grants_on_folder").unwrap();
    assert_eq!(
        (&people["of"], &people["verified"], &people["used_by"]),
        (&json!("600"), &json!(false), &json!("state"))
    );
    assert!(people["used"].as_str().unwrap().parse::<u64>().unwrap() >= 3, "{people}");
    assert_eq!((&people["a_month"], &people["days"]), (&json!("unknown"), &json!("unknown")), "it is a new firm");
    let folders = row(&all, "drive", "children_of_root").unwrap();
    assert_eq!((&folders["used"], &folders["finding"]), (&json!("3"), &json!(false)), "{folders}");
    assert!(row(&all, "disk", "grants_on_folder").is_none());
    assert!(limits(&["--target", "drive"]).iter().all(|r| r["target"] == "drive"));
    assert_eq!(firm.ask(&["forecast", "--target", "nowhere"]).exit, 1);

    firm.at("drive", "quota_full", json!({"email": "ledgers@harbour.example"}));
    // The disk of the machine that runs this may be full by itself.
    let open = |firm: &Firm| firm.must(&["findings", "--json", "--quiet"]).out.contains("drive/space");
    assert!(!open(&firm));
    let space = row(&limits(&[]), "drive", "space").unwrap();
    assert_eq!((&space["percent"], &space["used_by"]), (&json!("100"), &json!("target")), "{space}");
    assert!(open(&firm), "a person is told");
    let offline = limits(&["--offline"]);
    assert!(row(&offline, "drive", "space").is_none() && open(&firm), "who did not ask does not know that it is over");
    firm.at("drive", "quota_full", json!({"email": "ledgers@harbour.example", "full": false}));
    limits(&[]);
    assert!(!open(&firm), "and it is over when the target says so");
    assert!(firm.must(&["forecast"]).out.contains("less than 30 days of history"));
}

#[test]
fn an_account_has_a_folder_of_its_name_and_leaves_no_gap_behind() {
    let firm = Firm::at_rest();
    firm.must(&["people", "mode", "bob", "ledger+selected"]);
    firm.must(&["select", "bob", "acme-ltd", "--account", "090"]);
    let plan = firm.ask(&["plan", "--json", "--quiet"]).out;
    assert!(plan.contains("only some of its accounts are selected"), "{plan}");
    let told = firm.sync();
    assert_eq!(told.exit, 0, "{told:?}");
    let lists = firm.lists();
    let own: Vec<&String> = lists.keys().filter(|name| name.starts_with("Acme Ltd – ")).collect();
    assert_eq!(own.len(), 1, "{lists:?}");
    let name = firm.state(|db| {
        let ledgers = db.ledgers(None)?.into_iter().filter(|l| l.row.name == "Acme Ltd");
        let accounts = ledgers.filter_map(|l| db.accounts(&l.connection, &l.row.id).unwrap()).flatten();
        Ok(accounts.into_iter().find(|a| a.code.as_deref() == Some("090")).unwrap().name)
    });
    assert_eq!(own[0], &format!("Acme Ltd – {name}"));
    assert!(lists[own[0]].contains("bob@harbour.example") && !lists["Acme Ltd"].contains("bob@harbour.example"));
    let gaps = firm.ask(&["gaps", "--client", "acme-ltd", "--json", "--quiet"]).json()["gaps"].to_string();
    assert!(!gaps.contains("bob@harbour.example"), "{gaps}");
}

#[test]
fn an_accounts_folder_takes_no_papers_of_another_ledgers_account_with_the_same_id() {
    let mut firm = Firm::at_rest();
    let config = fs::read_to_string(firm.path("config.toml")).unwrap();
    let config = config.replace(r#"kinds = ["profit-and-loss", "balance-sheet"]"#, r#"kinds = ["bank-register"]"#);
    fs::write(firm.path("config.toml"), config).unwrap();
    // As QuickBooks does it: every company numbers its accounts from one.
    let cheque = "c4d9a7f2-0000-4000-8000-000000000035";
    let account = |id: Option<&str>, code: &str, kind: &str| json!({"id": id, "code": code, "name": format!("Account {code}"), "type": kind, "feed": null});
    let org = |n: u8, name: &str| {
        let sale = json!({"type": "RECEIVE", "bank": "090", "account": "200", "amount": "35.00", "contact": name});
        let accounts = [
            account(Some(cheque), "090", "BANK"),
            account(None, "200", "REVENUE"),
            account(None, "820", "CURRLIAB"),
            account(None, "960", "EQUITY"),
            account(None, "610", "CURRENT"),
            account(None, "800", "CURRLIAB"),
        ];
        json!({
            "tenant_id": format!("c4d9a7f2-0000-4000-8000-00000000012{n}"), "name": name, "accounts": accounts,
            "users": [{"email": "ana@harbour.example", "first": "Ana", "last": "Ruiz", "role": "FINANCIALADVISER"}],
            "recurring": [{"from": "2025-04-01", "to": "2035-03-31", "day": 3, "transaction": sale}],
        })
    };
    let seed = json!({
        "app": {"client_id": "test-app", "client_secret": "test-secret", "scopes": "granular", "finance": true},
        "users": [{"email": "ana@harbour.example", "first": "Ana", "last": "Ruiz"}],
        "organisations": [org(1, "Elm Co"), org(2, "Oak Shop")],
    });
    let section = "client_id = \"test-app\"\nclient_secret = { file = \"xero-secret\" }\nscopes = \"granular-finance\"\n\
                   endpoints = { login = \"{url}\", identity = \"{url}\", api = \"{url}\" }\n";
    firm.add("connections", "books", "xero", &seed, section);
    firm.connect("books");
    firm.ask(&["pull"]);
    let ledger = |n: u8| format!("c4d9a7f2-0000-4000-8000-00000000012{n}");
    firm.must(&["clients", "accept", "elm-co"]);
    firm.must(&["clients", "bind", "elm-co", "books", &ledger(2)]);
    let since = jiff::Zoned::now().date().first_of_month().saturating_sub(jiff::Span::new().months(1)).to_string();
    firm.must(&["clients", "since", "elm-co", &since]);
    for name in ["eve", "fay"] {
        let email = format!("{name}@harbour.example");
        firm.must(&["people", "add", &email, "--first", name, "--last", "Harbour", "--mode", "selected"]);
    }
    let own = |n: u8| format!("books:{}:{cheque}", ledger(n));
    firm.must(&["select", "eve", "elm-co", "--account", &own(1)]);
    let refused = firm.ask(&["select", "fay", "elm-co", "--account", &own(2)]);
    assert!(refused.exit == 1 && refused.err.contains("would have the same folder of elm-co"), "{refused:?}");
    assert!(refused.err.contains("make the second ledger a client of its own"), "{refused:?}");
    let told = firm.sync();
    assert!([0, 5].contains(&told.exit), "{told:?}");
    let of = |folder: &str, ledger: &str| {
        let disk = firm.disk().into_keys().filter(|path| path.starts_with(folder) && path.ends_with(".csv"));
        disk.filter(|path| path.contains(ledger)).count()
    };
    assert!(of("Elm Co/", "Bank register Elm Co") > 0 && of("Elm Co/", "Bank register Oak Shop") > 0);
    assert!(of("Elm Co – ", "Bank register Elm Co") > 0);
    assert_eq!(of("Elm Co – ", "Oak Shop"), 0, "another ledger's account");

    // Now nobody has the one, and somebody is to have the other.
    firm.must(&["select", "eve", "--remove", "elm-co"]);
    firm.must(&["select", "fay", "elm-co", "--account", &own(2)]);
    assert!(open(&firm, "account.other_ledger").is_empty());
    firm.sync();
    let told = open(&firm, "account.other_ledger");
    let says = |part: &str| told.iter().any(|(text, next)| text.contains(part) || next.contains(part));
    assert!(says(&format!("has papers of books:{}", ledger(1))) && says("clients new-folder elm-co drive"), "{told:?}");
    let lists = firm.lists();
    assert!(lists.iter().all(|(_, who)| !who.contains("fay@harbour.example")), "{lists:?}");
    assert_eq!(of("Elm Co – ", "Oak Shop"), 0, "however it is selected");
}

#[test]
fn a_folder_whose_writers_may_let_others_in_is_told() {
    let firm = Firm::at_rest();
    let told =
        |firm: &Firm| firm.ask(&["findings"]).out.contains("Whoever may write in the folder of acme-ltd on drive");
    firm.sync();
    assert!(!told(&firm));
    firm.at("drive", "writers_share", json!({"file": "Acme Ltd"}));
    firm.sync();
    assert!(told(&firm), "{:?}", firm.ask(&["findings"]));
}

#[test]
fn a_target_whose_sign_in_is_dead_ends_with_4_and_says_what_to_run() {
    let firm = Firm::at_rest();
    let before = firm.lists();
    firm.at("drive", "withdraw", json!({"user": "ledgers@harbour.example"}));
    firm.at("drive", "expire", json!({}));
    for _ in 0..2 {
        let told = firm.sync();
        assert_eq!(told.exit, 4, "{told:?}");
    }
    let findings = firm.ask(&["findings"]).out;
    assert!(findings.contains("the sharing list of acme-ltd on drive could not be read"), "{findings}");
    let told = open(&firm, "folder.list_unreadable");
    assert!(!told.is_empty() && told.iter().all(|(_, next)| next.contains("ledgerward connect drive")), "{told:?}");
    assert_eq!(firm.lists(), before, "nobody is taken off for it");
}

/// Open findings of a code: text and next step of each.
fn open(firm: &Firm, code: &str) -> Vec<(String, String)> {
    let told = firm.must(&["findings", "--json", "--quiet"]).json();
    let all = told["findings"].as_array().unwrap().iter().filter(|f| f["code"] == code);
    all.map(|f| (f["text"].as_str().unwrap().to_owned(), f["next"].as_str().unwrap().to_owned())).collect()
}

/// As if the folders' files had not been looked at today.
fn a_day_later(firm: &Firm) {
    firm.state(|db| {
        let keys: Vec<String> = db.doc_all::<Value>("files_looked")?.into_keys().collect();
        keys.iter().try_for_each(|key| db.doc_delete("files_looked", key).map(drop))
    });
    let told = firm.ask(&["gaps", "--quiet"]);
    assert!([0, 5].contains(&told.exit), "{told:?}");
}

#[test]
fn a_file_that_is_gone_from_its_folder_is_told_and_sent_again_when_a_person_says_so() {
    let firm = Firm::at_rest();
    firm.sync();
    let (disk, drive) = (firm.disk(), firm.drive_files());
    let of_acme = |ext: &str| {
        let mut all = disk.keys().filter(|path| path.starts_with("Acme Ltd/20") && path.ends_with(ext));
        (firm.path("folders").join(all.next().unwrap()), firm.path("folders").join(all.next().unwrap()))
    };
    let (gone, changed) = of_acme(".json");
    fs::remove_file(&gone).unwrap();
    fs::write(&changed, "by hand").unwrap();
    a_day_later(&firm);
    assert_eq!(firm.sync().exit, 0);
    assert!(!gone.exists() && fs::read(&changed).unwrap() == b"by hand", "nothing is put right in silence");
    let (missing, other) = (open(&firm, "file.missing"), open(&firm, "file.changed"));
    assert!(missing.len() == 1 && missing[0].0.contains("of acme-ltd on disk"), "{missing:?}");
    assert!(missing[0].1.contains("ledgerward statements push --client acme-ltd"), "{missing:?}");
    assert!(other.len() == 1 && other[0].0.contains("was changed"), "{other:?}");
    let list = firm.must(&["statements", "--client", "acme-ltd"]).out;
    assert!(list.contains("(is not there any more)") && list.contains("(was changed)"), "{list}");

    let told = firm.ask(&["statements", "push", "--client", "acme-ltd", "--json", "--quiet"]);
    assert_eq!(told.exit, 5, "one stays as a person made it: {told:?}");
    assert_eq!(told.json()["delivery"]["files"].as_array().unwrap().len(), 1, "{told:?}");
    assert!(gone.exists() && fs::read(&changed).unwrap() == b"by hand");
    assert_eq!(open(&firm, "file.missing"), []);
    assert_eq!(open(&firm, "file.changed").len(), 1);

    // It is right as it is, until somebody changes it once more.
    assert!(open(&firm, "file.changed")[0].1.contains("ledgerward statements accept --client acme-ltd"));
    let accept = ["statements", "accept", "--client", "acme-ltd", "--reason", "signed by hand"];
    let told = firm.must(&accept);
    assert!(told.out.contains("was changed\n1 file accepted"), "{told:?}");
    assert!(firm.must(&accept).out.contains("nothing was to accept"));
    for _ in 0..2 {
        assert_eq!(open(&firm, "file.changed"), []);
        firm.must(&["statements", "push", "--client", "acme-ltd"]);
        a_day_later(&firm);
        assert_eq!(firm.sync().exit, 0);
    }
    fs::write(&changed, "once more").unwrap();
    a_day_later(&firm);
    firm.sync();
    assert_eq!(open(&firm, "file.changed").len(), 1);

    fs::remove_file(&changed).unwrap();
    firm.must(&["statements", "push", "--client", "acme-ltd"]);
    assert_eq!(open(&firm, "file.changed"), []);
    assert_eq!(firm.disk(), disk, "as it was");
    assert_eq!(firm.drive_files(), drive, "and nothing twice elsewhere");
}

#[test]
fn a_file_thrown_away_on_drive_is_sent_again_once() {
    let firm = Firm::at_rest();
    firm.sync();
    let before = firm.drive_files();
    let files = firm.state(|db| db.delivered());
    let (_, of_acme) = files.iter().find(|(l, f)| l.target.0 == "drive" && !f.is_empty()).unwrap();
    let file = of_acme[0].file.as_str().to_owned();
    let slug = {
        let id = of_acme[0].delivered.lane.folder.client;
        firm.state(|db| Ok(db.firm()?.clients[&id].slug.clone()))
    };
    firm.at("drive", "trash", json!({"file": file}));
    assert_eq!(firm.drive_files().len(), before.len() - 1);
    let told = firm.must(&["statements", "push", "--client", &slug]);
    assert!(told.out.contains("1 file delivered"), "{told:?}");
    assert_eq!(firm.drive_files(), before);
    let told = firm.must(&["statements", "push", "--client", &slug]);
    assert!(told.out.contains("0 files delivered"), "{told:?}");
    assert_eq!(firm.drive_files(), before);
}

#[test]
fn s08_a_folder_that_is_gone_for_good_is_replaced_by_a_persons_word() {
    let firm = Firm::at_rest();
    let (lists, files) = (firm.lists(), firm.drive_files());
    let new = ["clients", "new-folder", "acme-ltd", "drive", "--reason", "deleted by mistake"];
    let refused = firm.ask(&new);
    assert!(refused.exit == 1 && refused.err.contains("is gone"), "it is there: {refused:?}");
    let folder = firm.folders().into_iter().find(|(_, name, _)| name == "Acme Ltd").unwrap().0;
    firm.at("drive", "trash", json!({"file": folder}));
    assert_eq!(firm.ask(&new).exit, 1, "what is in the bin may come back");
    firm.at("drive", "delete", json!({"file": folder}));
    assert_eq!(firm.sync().exit, 5);
    let told = open(&firm, "files.waiting");
    assert!(told.len() == 1 && told[0].1.contains("clients new-folder acme-ltd drive"), "{told:?}");
    assert!(!firm.lists().contains_key("Acme Ltd"), "never by itself");
    firm.must(&new);
    for _ in 0..2 {
        firm.sync();
        firm.approve_all();
    }
    assert_eq!(firm.sync().exit, 0);
    assert_eq!(firm.lists(), lists, "the same people");
    assert_eq!(firm.drive_files(), files, "the same files");
    assert_eq!(open(&firm, "files.waiting"), []);
    firm.must(&["audit", "verify"]);
}

/// The folders on Drive with our mark of a root, in the bin or not, and by id.
fn roots(firm: &Firm) -> Vec<(String, bool)> {
    let dump = firm.at("drive", "dump", json!({}));
    let all = dump["files"].as_array().unwrap().iter().filter(|f| f["name"] == "ledgerward clients");
    all.map(|f| (f["id"].as_str().unwrap().to_owned(), f["trashed"] == true)).collect()
}

#[test]
fn s08_no_second_root_is_made_beside_one_that_is_in_the_bin() {
    let firm = Firm::at_rest();
    let lists = firm.lists();
    let folder = firm.folders().into_iter().find(|(_, name, _)| name == "Acme Ltd").unwrap().0;
    firm.at("drive", "delete", json!({"file": folder}));
    firm.must(&["clients", "new-folder", "acme-ltd", "drive", "--reason", "deleted by mistake"]);
    let [(root, false)] = &roots(&firm)[..] else { panic!("{:?}", roots(&firm)) };
    firm.at("drive", "trash", json!({"file": root}));
    for _ in 0..2 {
        firm.sync();
        firm.approve_all();
    }
    let told = firm.sync();
    assert_eq!(told.exit, 5, "{told:?}");
    assert_eq!(roots(&firm), [(root.clone(), true)], "none is made beside it");
    let told = open(&firm, "step.refused");
    assert!(told.len() == 1 && told[0].0.contains("is not there any more, and 2 folders"), "{told:?}");
    assert!(told[0].1.starts_with("Restore it on drive"), "{told:?}");
    let waits = open(&firm, "files.waiting");
    let acme = waits.iter().find(|(text, _)| text.contains("acme-ltd")).unwrap();
    assert!(acme.0.contains("its folder could not be made") && acme.1 == told[0].1, "{waits:?}");
    let birch = waits.iter().find(|(text, _)| text.contains("birch-llp")).unwrap();
    assert!(birch.0.contains("in the bin") && birch.1.starts_with("Restore it from the bin of drive"), "{waits:?}");
    let told = firm.ask(&["doctor"]);
    assert_eq!(told.exit, 1, "{told:?}");
    assert!(
        told.out.contains("BAD   drive          the folder that holds the client folders is not there"),
        "{told:?}"
    );
    assert!(!told.out.contains("made by the first sync"), "{told:?}");
    firm.at("drive", "untrash", json!({"file": root}));
    for _ in 0..2 {
        firm.sync();
        firm.approve_all();
    }
    assert_eq!(firm.sync().exit, 0);
    assert_eq!(firm.lists(), lists, "in the old root again");
    assert_eq!(roots(&firm), [(root.clone(), false)]);
    assert!(!firm.must(&["doctor"]).out.contains("BAD"));
}

#[test]
fn s08_a_deleted_root_of_dropbox_is_not_made_anew() {
    let firm = firm();
    firm.must(&["clients", "targets", "acme-ltd", "drive", "disk", "box"]);
    firm.sync();
    let waits = open(&firm, "files.waiting");
    assert!(waits.is_empty() || waits[0].1.contains("approve DIGEST"), "{waits:?}");
    firm.approve_all();
    firm.sync();
    let at = |name: &str| firm.at("box", "dump", json!({})).to_string().matches(name).count();
    assert!(at("/Acme Ltd\"") > 0 && at("/ledgerward clients\"") == 1, "{}", firm.at("box", "dump", json!({})));
    firm.at("box", "delete", json!({"folder": "ledgerward clients"}));
    firm.must(&["clients", "targets", "birch-llp", "drive", "disk", "box"]);
    for _ in 0..2 {
        firm.sync();
        firm.approve_all();
    }
    assert_eq!(at("/ledgerward clients\""), 0, "{}", firm.at("box", "dump", json!({})));
    let told = open(&firm, "step.refused");
    assert!(told.len() == 1 && told[0].1.contains("set `root` of [targets.box]"), "{told:?}");
    assert_eq!(firm.ask(&["doctor"]).exit, 1);
}

#[test]
fn each_cause_of_waiting_files_has_its_own_way_out() {
    let firm = Firm::at_rest();
    let (mark, lists) = (firm.path("folders").join("Acme Ltd/.ledgerward.json"), firm.lists());
    fs::remove_file(&mark).unwrap();
    let folder = firm.folders().into_iter().find(|(_, name, _)| name == "Birch LLP").unwrap().0;
    firm.at("drive", "make", json!({"name": "Elsewhere", "folder": true, "owner": "ledgers@harbour.example"}));
    firm.at("drive", "move", json!({"file": folder, "to": "Elsewhere"}));
    let told = firm.sync();
    assert_eq!(told.exit, 5, "{told:?}");
    let waits = open(&firm, "files.waiting");
    let of = |what: &str| &waits.iter().find(|(text, _)| text.contains(what)).unwrap_or_else(|| panic!("{waits:?}")).1;
    assert!(of("was moved").starts_with("Move it back on drive"), "{waits:?}");
    let again = of("mark on the folder is missing");
    assert!(again.contains("marked again: ledgerward adopt disk acme-ltd "), "{waits:?}");
    let id = again.split_once("acme-ltd ").unwrap().1.split(" --reason").next().unwrap();
    firm.must(&["adopt", "disk", "acme-ltd", id, "--reason", "it is theirs still"]);
    assert!(mark.exists());
    firm.sync();
    assert!(open(&firm, "files.waiting").iter().all(|(text, _)| !text.contains("acme-ltd")));
    assert_eq!(firm.lists()["Acme Ltd"], lists["Acme Ltd"]);
    firm.must(&["audit", "verify"]);
}

#[test]
fn s08_another_folder_is_taken_over_where_the_old_one_is_gone() {
    let firm = Firm::at_rest();
    let (old, new) = (firm.path("folders").join("Acme Ltd"), firm.path("folders").join("Acme new"));
    let adopt = ["adopt", "disk", "acme-ltd", "Acme new", "--reason", "the old one was deleted"];
    let papers =
        |firm: &Firm, folder: &str| firm.disk().keys().filter(|p| p.starts_with(&format!("{folder}/20"))).count();
    let before = papers(&firm, "Acme Ltd");
    fs::create_dir(&new).unwrap();
    let refused = firm.ask(&adopt);
    assert!(refused.exit == 1 && refused.err.contains("has a folder on disk already"), "it is there: {refused:?}");
    fs::remove_dir_all(&old).unwrap();
    let told = firm.ask(&adopt);
    assert_eq!(told.exit, 0, "{told:?}");
    for _ in 0..2 {
        firm.sync();
        firm.approve_all();
    }
    assert_eq!(firm.sync().exit, 0);
    assert!(!old.exists() && before > 0);
    assert_eq!(papers(&firm, "Acme new"), before, "all of it, again");
    firm.must(&["audit", "verify"]);
}

#[test]
fn s08_a_move_out_of_a_folder_that_is_gone_ends() {
    let firm = firm();
    firm.at("drive", "delete", json!({"file": "Acme Ltd"}));
    for _ in 0..3 {
        if mover(&firm).exit == 0 {
            break;
        }
        firm.approve_all();
    }
    let done = mover(&firm);
    assert!(done.exit == 0 && done.json()["closed"].is_string(), "{done:?}");
}
