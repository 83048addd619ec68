//! Drives, roots, marks, what doctor proves, changes, limits.

use ledgerward_contract::*;
use serde_json::{Value, json};

use crate::common::*;

fn notes(probe: &Probe, level: NoteLevel) -> Vec<&str> {
    probe.notes.iter().filter(|n| n.level == level).map(|n| n.text.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn drives_of_a_user_a_group_and_a_site() {
    for (settings, drive) in [
        (json!({}), DRIVE),
        (json!({ "user": US }), DRIVE),
        (json!({ "drive": DRIVE }), DRIVE),
        (json!({ "group": "6f4e0000-0000-4000-8000-000000000001" }), "b!Group-1"),
        (json!({ "site": "harbour.sharepoint.com:/sites/Ledgers" }), "b!Site-1"),
        (json!({ "site": "harbour.sharepoint.com:/sites/Ledgers", "library": "clients" }), "b!Site-2"),
    ] {
        let w = World::new(settings.clone());
        let f = w.create(1).await;
        assert!(f.as_str().starts_with(&format!("{drive}:")), "{settings}: {f}");
        assert_eq!(w.target().find(&w.read(), &key(1)).await.unwrap(), Some(f));
    }
    let w = World::new(json!({ "site": "harbour.sharepoint.com:/sites/Ledgers", "library": "None" }));
    let probe = w.target().probe(&w.read()).await.unwrap();
    assert!(notes(&probe, NoteLevel::Blocker)[0].contains("None"));
    let w = World::new(json!({ "user": CARA }));
    assert_eq!(notes(&w.target().probe(&w.read()).await.unwrap(), NoteLevel::Blocker).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn doctor_proves_that_nothing_is_inherited_and_refuses_a_team_library() {
    let w = World::rooted();
    let probe = w.target().probe(&w.read()).await.unwrap();
    assert_eq!(probe.account, US);
    assert!(probe.may_share && notes(&probe, NoteLevel::Good).iter().any(|n| n.contains("nothing is inherited")));
    for args in
        [json!({ "link": "anonymous" }), json!({ "group": "Tax", "role": "write" }), json!({ "everyone": true })]
    {
        let w = World::rooted();
        let mut share = args;
        share["item"] = json!(ROOT);
        w.control("share", share);
        let probe = w.target().probe(&w.read()).await.unwrap();
        assert_eq!(notes(&probe, NoteLevel::Blocker).len(), 1, "{probe:?}");
    }
    let w = World::rooted();
    w.control("share", json!({ "item": ROOT, "user": BEN }));
    let probe = w.target().probe(&w.read()).await.unwrap();
    assert!(notes(&probe, NoteLevel::Blocker).is_empty() && !notes(&probe, NoteLevel::Warning).is_empty());
    for who in [GUEST, STRANGER] {
        let w = World::rooted();
        w.control("share", json!({ "item": ROOT, "user": who }));
        let probe = w.target().probe(&w.read()).await.unwrap();
        let blockers = notes(&probe, NoteLevel::Blocker);
        assert!(blockers.len() == 1 && blockers[0].contains(who) && blockers[0].contains("nothing is delivered"));
    }
    // A team's library: its members get into every folder.
    let w = World::new(json!({ "group": "6f4e0000-0000-4000-8000-000000000001" }));
    w.create(1).await;
    let probe = w.target().probe(&w.read()).await.unwrap();
    assert!(notes(&probe, NoteLevel::Blocker)[0].contains("Partners Members"), "{probe:?}");
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_sharing_lists_is_told_before_it_bites() {
    let w = World::rooted();
    w.control("limits", json!({ "units": 10_000_000 }));
    let fill = |from: usize, to: usize| {
        for n in from..to {
            w.control("make", json!({ "name": format!("c{n}"), "parent": ROOT }));
        }
    };
    let says = async || {
        let probe = w.target().probe(&w.read()).await.unwrap();
        probe.notes.iter().find(|n| n.text.contains("5,000")).map(|n| n.level)
    };
    assert_eq!(says().await, Some(NoteLevel::Good));
    fill(0, 4_000);
    assert_eq!(says().await, Some(NoteLevel::Warning));
    // And where it bites all the same, it is a refusal with words.
    let w = World::rooted();
    let f = w.create(1).await;
    w.control("limits", json!({ "scopes_max": 0 }));
    let e = w.grant(&f, BEN, FolderRole::Reader).await.unwrap_err();
    assert_eq!((e.kind, e.next.unwrap().contains("how many sharing lists")), (ErrorKind::Unsupported, true));
}

#[tokio::test(start_paused = true)]
async fn marks_are_found_again_after_a_restart_in_batches_and_after_a_rename() {
    let w = World::rooted();
    w.control("limits", json!({ "units": 10_000_000 }));
    let f = w.create(1).await;
    for n in 2..45 {
        w.create(n).await;
    }
    w.control("rename", json!({ "item": f.as_str(), "name": "By hand" }));
    let later = VENDOR.connector(json!({ "root": ROOT })).unwrap();
    let before = w.sent("folder.marks");
    assert_eq!(later.target().unwrap().find(&w.read(), &key(1)).await.unwrap(), Some(f.clone()));
    assert_eq!(w.sent("folder.marks") - before, 3, "44 folders in batches of 20");
    assert_eq!(w.target().find(&w.read(), &key(1)).await.unwrap(), Some(f.clone()));
    assert!(w.target().files(&w.read(), &f, Cursor::Start).await.unwrap().items.is_empty());
    // A mark that somebody deleted is missed, and not read from memory.
    w.control("delete", json!({ "item": format!(".ledgerward-{}", key(1)) }));
    assert_eq!(w.target().find(&w.read(), &key(1)).await.unwrap(), None);
    assert!(matches!(w.target().stat(&w.read(), &f).await.unwrap(), Stat::Present { marker: None, .. }));
    w.target().mark(&w.write(), &f, &key(1)).await.unwrap();
    w.target().mark(&w.write(), &f, &key(1)).await.unwrap();
    assert_eq!(w.target().mark(&w.write(), &f, &key(2)).await.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(w.target().find(&w.read(), &key(1)).await.unwrap(), Some(f));
}

#[tokio::test(start_paused = true)]
async fn p10_an_inner_429_of_a_batch_carries_its_pause() {
    let w = World::rooted();
    w.create(1).await;
    w.control("outage", json!({ "path": "/children", "status": 429, "retry_after": "17", "count": 9 }));
    let later = VENDOR.connector(json!({ "drive": DRIVE, "root": ROOT })).unwrap();
    let e = later.target().unwrap().find(&w.read(), &key(1)).await.unwrap_err();
    assert_eq!((e.kind, e.retry), (ErrorKind::RateLimited, Retry::After(std::time::Duration::from_secs(17))));
}

#[tokio::test(start_paused = true)]
async fn p10_resource_units_run_out_and_the_pause_is_told() {
    let w = World::rooted();
    let f = w.create(1).await;
    w.control("limits", json!({ "units": 60 }));
    let e = loop {
        if let Err(e) = w.sharing(&f).await {
            break e;
        }
    };
    assert!(matches!((e.kind, e.retry), (ErrorKind::RateLimited, Retry::After(_))), "{e:?}");
}

#[tokio::test(start_paused = true)]
async fn changes_name_the_clients_folder_and_a_forgotten_place_means_everything() {
    let w = World::rooted();
    let (f, other) = (w.create(1).await, w.create(2).await);
    w.put(&f, &file("2026/10/a.pdf", "x"), Expect::Absent).await.unwrap();
    let t = w.target();
    let start = t.changes(&w.read(), None).await.unwrap();
    assert!(start.folders.is_empty() && !start.everything);
    w.control("write", json!({ "item": "a.pdf", "content": "by hand" }));
    let next = t.changes(&w.read(), Some(start.next.clone())).await.unwrap();
    assert!(next.folders.contains(&f) && !next.folders.contains(&other) && !next.everything, "{next:?}");
    w.control("share", json!({ "item": other.as_str(), "user": BEN }));
    w.control("limits", json!({ "page_max": 1 }));
    w.control("share", json!({ "item": f.as_str(), "user": BEN }));
    let next = t.changes(&w.read(), Some(next.next)).await.unwrap();
    assert!(next.folders.contains(&f) && next.folders.contains(&other), "{next:?}");
    let again = t.changes(&w.read(), Some(next.next.clone())).await.unwrap();
    assert!(again.next != next.next && !next.more && !again.more, "a new place is no news");
    w.control("share", json!({ "item": ROOT, "user": BEN }));
    assert!(t.changes(&w.read(), Some(next.next)).await.unwrap().everything, "the root's list reaches all");
    w.control("forget_changes", json!({ "item": ROOT }));
    let again = t.changes(&w.read(), Some(start.next)).await.unwrap();
    assert!(again.everything);
    assert!(!t.changes(&w.read(), Some(again.next)).await.unwrap().everything);
    let odd = ChangeCursor("https://evil.example/v1.0/drives/x/root/delta?token=1".to_owned());
    assert!(t.changes(&w.read(), Some(odd)).await.unwrap().everything);
}

#[tokio::test(start_paused = true)]
async fn a_drive_that_is_gone_is_no_proof_that_its_folders_are() {
    let w = World::rooted();
    let f = w.create(1).await;
    w.control("outage", json!({ "path": "/drives/", "status": 404, "code": "itemNotFound", "count": 9 }));
    assert_eq!(w.target().stat(&w.read(), &f).await.unwrap_err().kind, ErrorKind::Config);
}

#[tokio::test(start_paused = true)]
async fn a_root_that_did_not_get_its_name_gets_it_on_the_next_look() {
    let w = World::new(json!({}));
    assert!(w.target().lacks_root(&w.read(), None).await.unwrap());
    w.control("outage", json!({ "path": "/items/", "method": "PATCH", "status": 503, "count": 1 }));
    let again = async || w.target().create(&w.write(), &key(1), "Acme Ltd", None).await;
    assert_eq!(again().await.unwrap_err().kind, ErrorKind::Unavailable);
    let roots = || -> Vec<String> {
        let names = w.items().into_iter().filter_map(|i| i["name"].as_str().map(str::to_owned));
        names.filter(|n| n == "ledgerward clients" || n.starts_with("ledgerward-new-")).collect()
    };
    assert!(matches!(roots().as_slice(), [working] if working.starts_with("ledgerward-new-")), "{:?}", roots());
    assert!(!w.target().lacks_root(&w.read(), None).await.unwrap(), "it carries the mark already");
    again().await.unwrap();
    assert_eq!(roots(), ["ledgerward clients"]);
    let root = w.items().into_iter().find(|i| i["name"] == "ledgerward clients").unwrap();
    w.control("trash", json!({ "item": root["id"] }));
    assert!(w.target().lacks_root(&w.read(), None).await.unwrap());
}

#[test]
fn settings_are_checked() {
    let wrong = |v: Value| VENDOR.connector(v.clone()).err().unwrap_or_else(|| panic!("{v}"));
    for (v, word) in [
        (json!({ "rooot": "x" }), "root_name"),
        (json!({ "user": US, "group": "g" }), "others"),
        (json!({ "library": "Clients" }), "site"),
        (json!({ "drive": "a/b" }), "id"),
        (json!({ "drive": ".." }), "id"),
        (json!({ "user": "../me" }), "ledgers@firm.example"),
        (json!({ "site": "host:/a/../b" }), "firm.sharepoint.com"),
        (json!({ "root_name": "a:b" }), "Leave it out"),
        (json!({ "firm": "a|b" }), "Leave it out"),
        (json!({ "scopes": "own_drive", "user": US }), "scopes"),
        (json!({ "grants_max": 0 }), "Leave them out"),
    ] {
        let e = wrong(v);
        assert_eq!(e.kind, ErrorKind::Config);
        assert!(e.next.as_deref().unwrap_or_default().contains(word), "{e:?}");
    }
    assert!(VENDOR.connector(Value::Null).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_says_what_to_do() {
    let w = World::rooted();
    let (f, other) = (w.create(1).await, w.create(2).await);
    let Stat::Present { name, .. } = w.target().stat(&w.read(), &other).await.unwrap() else { panic!() };
    let renamed = w.target().rename(&w.write(), &f, &name).await.unwrap_err();
    w.put(&f, &file("a.pdf", "one"), Expect::Absent).await.unwrap();
    let put = w.put(&f, &file("a.pdf", "two"), Expect::Absent).await.unwrap_err();
    for e in [renamed, put] {
        let next = e.next.as_deref().unwrap_or_default();
        assert!(e.kind == ErrorKind::Conflict && next.starts_with("Rename or move the other one"), "{e:?}");
    }
}
