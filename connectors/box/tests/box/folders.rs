//! Folders: crash-safe making, marks, closing, the probe's words, and the event stream as a hint.

use ledgerward_contract::*;
use serde_json::{Value, json};

use crate::common::*;

fn texts(probe: &Probe, level: NoteLevel) -> String {
    probe.notes.iter().filter(|n| n.level == level).map(|n| n.text.clone()).collect::<Vec<_>>().join("\n")
}

async fn probe(w: &World) -> Probe {
    let probe = w.target().probe(&w.read()).await.unwrap();
    for note in &probe.notes {
        assert!(note.level == NoteLevel::Good || note.next.is_some(), "no next step: {note:?}");
    }
    probe
}

#[tokio::test(start_paused = true)]
async fn a_root_in_the_trash_is_not_there() {
    let w = World::new(json!({}));
    assert!(w.target().lacks_root(&w.read(), None).await.unwrap());
    w.create(1).await;
    assert!(!w.target().lacks_root(&w.read(), None).await.unwrap());
    let root = w.target().probe(&w.read()).await.unwrap().root.unwrap();
    w.control("trash", json!({ "item": root.as_str() }));
    assert!(w.target().lacks_root(&w.read(), None).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_folder_is_made_in_two_requests_closed_and_marked() {
    let w = World::rooted();
    let f = w.create(1).await;
    let there = w.dumped(f.as_str());
    assert_eq!(there["name"], "Client 1");
    assert_eq!(there["othersInvite"], false);
    assert_eq!(there["description"], format!("ledgerward-folder:{}", key(1)));
    assert_eq!((w.sent("folder.create"), w.sent("folder.name")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn names_are_one_name_in_any_case_and_a_file_can_be_in_the_way() {
    let w = World::rooted();
    let made = w.control("make", json!({ "name": "ACME ltd", "parent": ROOT }));
    let theirs = FolderId(made["id"].as_str().unwrap().to_owned());
    let create = async |name: &str| w.target().create(&w.write(), &key(1), name, None).await;
    assert_eq!(create("Acme Ltd").await.unwrap(), Created::Exists { id: theirs.clone(), ours: false });
    w.control("make", json!({ "name": "Birch", "parent": ROOT, "content": "x" }));
    let e = create("birch").await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Conflict);
    assert!(e.next.is_some());
    let e = create(&"x".repeat(256)).await.unwrap_err();
    assert!(e.message.contains("longer") && e.next.is_some(), "{e:?}");
    // The unfinished folder of that attempt is used for the next.
    assert!(matches!(create("Cedar").await.unwrap(), Created::Created(_)));
    assert!(!w.items().iter().any(|i| i["name"].as_str().unwrap().starts_with("ledgerward-new")));
    // An adopted folder keeps the firm's own words beside the mark.
    w.control("describe", json!({ "item": theirs.as_str(), "description": "Ring before four." }));
    w.target().mark(&w.write(), &theirs, &key(7)).await.unwrap();
    w.target().mark(&w.write(), &theirs, &key(7)).await.unwrap();
    assert_eq!(w.target().find(&w.read(), &key(7)).await.unwrap(), Some(theirs.clone()));
    assert!(w.dumped(theirs.as_str())["description"].as_str().unwrap().starts_with("Ring before four.\n"));
    assert_eq!(w.target().mark(&w.write(), &theirs, &key(8)).await.unwrap_err().kind, ErrorKind::Conflict);
    let account = FolderKey { account: Some("a/b c".into()), ..key(7) };
    let made = w.target().create(&w.write(), &account, "Account", None).await.unwrap();
    let Created::Created(id) = made else { panic!("{made:?}") };
    assert_eq!(w.target().find(&w.read(), &account).await.unwrap(), Some(id));
}

#[tokio::test(start_paused = true)]
async fn the_root_is_made_once_and_never_taken_from_somebody() {
    let w = World::new(json!({}));
    let (a, b) = (w.create(1).await, w.create(2).await);
    assert_ne!(a, b);
    let named = |name: &str| w.items().iter().filter(|i| i["name"] == name).count();
    assert_eq!(named("ledgerward clients"), 1);
    // A later process finds it by its mark, even under another name.
    w.control("rename", json!({ "item": "ledgerward clients", "name": "Mandanten" }));
    let later = VENDOR.connector(json!({})).unwrap();
    assert_eq!(later.target().unwrap().find(&w.read(), &key(2)).await.unwrap(), Some(b));
    let w = World::new(json!({}));
    w.control("make", json!({ "name": "Ledgerward Clients" }));
    let e = w.target().create(&w.write(), &key(1), "Acme", None).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Config);
    assert!(e.next.unwrap().contains("root"));
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_a_stranger_shared_with_us_never_becomes_the_root() {
    let w = World::new(json!({}));
    let mark = "ledgerward-folder:root";
    let trap = w.control("make", json!({ "name": "ledgerward clients", "owner": WARY, "description": mark }));
    w.control("share", json!({ "item": trap["id"], "login": US, "role": "editor" }));
    assert_eq!(w.target().probe(&w.read()).await.unwrap().root, None);
    let f = w.create(1).await;
    assert_eq!(w.dumped(f.as_str())["owner"], US);
    let parent = w.dumped(f.as_str())["parent"].clone();
    assert_ne!(parent, trap["id"]);
    let later = VENDOR.connector(json!({})).unwrap();
    assert_eq!(later.target().unwrap().find(&w.read(), &key(1)).await.unwrap(), Some(f));
}

#[tokio::test(start_paused = true)]
async fn close_spread_ends_links_and_invitations_by_others() {
    let w = World::rooted();
    let made = w.control("make", json!({ "name": "Adopted", "parent": ROOT, "link": "open" }));
    let f = FolderId(made["id"].as_str().unwrap().to_owned());
    w.target().close_spread(&w.write(), &f).await.unwrap();
    let there = w.dumped(f.as_str());
    assert_eq!((&there["link"], &there["othersInvite"]), (&Value::Null, &json!(false)));
    let writes = w.sent("folder.close");
    w.target().close_spread(&w.write(), &f).await.unwrap();
    assert_eq!(w.sent("folder.close"), writes + 1, "a closed folder is only read");
}

#[tokio::test(start_paused = true)]
async fn the_probe_says_what_is_wrong() {
    let w = World::rooted();
    let p = probe(&w).await;
    assert_eq!((p.account.as_str(), p.may_share), (US, true));
    assert_eq!(texts(&p, NoteLevel::Blocker), "");
    assert!(texts(&p, NoteLevel::Warning).contains("licence"));

    w.control("share", json!({ "item": ROOT, "login": BEN }));
    assert!(texts(&probe(&w).await, NoteLevel::Warning).contains("1 others are on the root folder"));
    assert_eq!(texts(&probe(&w).await, NoteLevel::Blocker), "", "of its own people only the firm knows");
    for share in [json!({ "login": GUEST }), json!({ "group": "Everybody at Harbour" })] {
        let w = World::rooted();
        let (mut share, who) = (share.clone(), share.as_object().unwrap().values().next().unwrap().clone());
        share["item"] = json!(ROOT);
        w.control("share", share);
        let blockers = texts(&probe(&w).await, NoteLevel::Blocker);
        assert!(blockers.contains(who.as_str().unwrap()) && blockers.contains("nothing is delivered"), "{blockers}");
    }
    w.control("link_on", json!({ "item": ROOT }));
    assert!(texts(&probe(&w).await, NoteLevel::Blocker).contains("shared link"));
    w.control("set_policy", json!({ "roles": ["editor", "previewer"] }));
    assert!(texts(&probe(&w).await, NoteLevel::Blocker).contains("\"viewer\""));
    w.control("set_user", json!({ "user": US, "status": "cannot_delete_edit_upload", "enterprise": null }));
    let p = probe(&w).await;
    assert!(texts(&p, NoteLevel::Blocker).contains("may not write"));
    assert!(texts(&p, NoteLevel::Warning).contains("personal Box account"));
    w.control("quota_full", json!({ "user": US }));
    w.control("make", json!({ "name": "big", "content": "xx" }));
    assert!(texts(&probe(&w).await, NoteLevel::Warning).contains("storage is full"));
    w.control("trash", json!({ "item": ROOT }));
    let p = probe(&w).await;
    assert!(!p.may_share && texts(&p, NoteLevel::Blocker).contains("root folder is"), "{p:?}");
    w.control("delete", json!({ "item": ROOT }));
    assert!(texts(&probe(&w).await, NoteLevel::Blocker).contains("not there"));

    // In somebody else's folder as an editor: we may write, and not share once others' invitations are closed.
    let w = World::new(json!({ "root": "33550002" }));
    w.control("share", json!({ "item": "33550002", "login": US, "role": "viewer" }));
    let p = probe(&w).await;
    assert!(!p.may_share);
    let blockers = texts(&p, NoteLevel::Blocker);
    assert!(blockers.contains("may not put anything") && blockers.contains("may not invite"), "{blockers}");
    assert!(p.inherited.iter().any(|p| p.role == SeenRole::Owner && !p.ourselves), "{:?}", p.inherited);
    assert!(p.inherited.iter().any(|p| p.ourselves));
    assert!(texts(&p, NoteLevel::Warning).contains(&format!("belongs to {ANA}")), "{:?}", p.notes);
}

#[tokio::test(start_paused = true)]
async fn as_a_co_owner_we_work_in_somebody_elses_folder() {
    let w = World::new(json!({ "root": "33550002" }));
    w.control("share", json!({ "item": "33550002", "login": US, "role": "co-owner" }));
    let f = w.create(1).await;
    w.grant(&f, BEN, FolderRole::Reader).await.unwrap();
    let list = w.sharing(&f).await.unwrap();
    let owner = person(&list, ANA).unwrap();
    assert_eq!((owner.role, owner.ourselves), (SeenRole::Owner, false));
    let us = person(&list, US).unwrap();
    assert_eq!((us.via.clone(), us.ourselves), (Via::Inherited, true));
    assert_eq!(w.target().revoke(&w.write(), &f, &us.id).await.unwrap_err().kind, ErrorKind::Forbidden);
    assert!(matches!(w.target().stat(&w.read(), &f).await.unwrap(), Stat::Present { inherits: false, .. }));
}

#[tokio::test(start_paused = true)]
async fn events_hint_at_the_folder_and_a_forgotten_place_means_everything() {
    let w = World::rooted();
    let (f, other) = (w.create(1).await, w.create(2).await);
    w.put(&f, &file("2026/a.pdf", "a"), Expect::Absent).await.unwrap();
    let t = w.target();
    let start = t.changes(&w.read(), None).await.unwrap();
    assert!(start.folders.is_empty() && !start.everything);
    assert!(start.next.as_str().parse::<u64>().unwrap() > 1 << 53, "{}", start.next);
    let none = t.changes(&w.read(), Some(start.next.clone())).await.unwrap();
    assert!(none.folders.is_empty() && !none.everything && !none.more && none.next == start.next);
    // Deep below, and by hand.
    w.control("share", json!({ "item": "a.pdf", "login": BEN }));
    w.control("limits", json!({ "repeat_events": true }));
    let seen = t.changes(&w.read(), Some(start.next.clone())).await.unwrap();
    assert!(seen.folders.contains(&f) && !seen.folders.contains(&other) && !seen.everything, "{seen:?}");
    assert!(seen.more, "only an empty page is the last");
    w.control("link_on", json!({ "item": other.as_str() }));
    let seen = t.changes(&w.read(), Some(seen.next)).await.unwrap();
    assert!(seen.folders.contains(&other), "{seen:?}");
    // The root's own list reaches every folder.
    w.control("share", json!({ "item": ROOT, "login": CARA }));
    let seen = t.changes(&w.read(), Some(seen.next)).await.unwrap();
    assert!(seen.everything, "{seen:?}");
    for odd in ["123", "no-number"] {
        let lost = t.changes(&w.read(), Some(odd.into())).await.unwrap();
        assert!(lost.everything && lost.next == seen.next, "{odd}: {lost:?}");
    }
}

#[test]
fn settings_are_checked_and_named() {
    for (settings, word) in [
        (json!({ "rooot": "1" }), "rooot"),
        (json!({ "root": "0" }), "`root`"),
        (json!({ "root": "https://app.box.com/folder/1" }), "`root`"),
        (json!({ "root_name": " a" }), "`root_name`"),
        (json!({ "reader_role": "co-owner" }), "`reader_role`"),
        (json!({ "grants_max": 0 }), "`grants_max`"),
    ] {
        let Err(e) = VENDOR.connector(settings.clone()) else { panic!("{settings} passed") };
        assert_eq!(e.kind, ErrorKind::Config);
        assert!(e.message.contains(word) && e.next.is_some(), "{e:?}");
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
