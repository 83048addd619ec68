//! Folders: where they may lie, how a crash is survived, names, the probe.

use ledgerward_contract::*;
use serde_json::json;

use crate::common::*;

fn blockers(p: &Probe) -> Vec<String> {
    let mine = p.notes.iter().filter(|n| n.level == NoteLevel::Blocker);
    mine.map(|n| format!("{} > {}", n.text, n.next.as_deref().unwrap_or("NO NEXT STEP"))).collect()
}

fn warnings(p: &Probe) -> String {
    p.notes.iter().filter(|n| n.level == NoteLevel::Warning).map(|n| n.text.as_str()).collect::<Vec<_>>().join("; ")
}

#[tokio::test(start_paused = true)]
async fn a_root_that_was_deleted_is_not_there() {
    let w = World::personal();
    assert!(w.target().lacks_root(&w.read(), None).await.unwrap());
    w.create(1).await;
    assert!(!w.target().lacks_root(&w.read(), None).await.unwrap());
    let root = w.target().probe(&w.read()).await.unwrap().root.unwrap();
    w.control("delete", json!({ "folder": root.as_str() }));
    assert!(w.target().lacks_root(&w.read(), None).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn n09_hostile_names_get_a_folder_each_and_twins_by_case_are_never_shared() {
    let w = World::personal();
    let names = [
        "🧾 Ümlaut & Søn 株式会社",
        "\u{5d0}\u{5d1} שלום Ltd",
        "CON",
        ".~lock",
        "100%25 o'Neil #1",
        "a+b=c; ~$d",
        "Zoë",
        "Zoe",
        "ns:1",
        "id:n1",
        "💩".repeat(50).as_str(),
    ]
    .map(str::to_owned);
    let mut ids = std::collections::BTreeSet::new();
    for (n, name) in names.iter().enumerate() {
        let made = w.target().create(&w.write(), &key(n as u128 + 1), name, None).await.unwrap();
        let Created::Created(id) = made else { panic!("{name}: {made:?}") };
        match w.target().stat(&w.read(), &id).await.unwrap() {
            Stat::Present { name: seen, .. } => assert_eq!(&seen, name),
            other => panic!("{name}: {other:?}"),
        }
        assert!(ids.insert(id), "{name}");
    }
    for twin in ["ZOË", "zoe", "con"] {
        let made = w.target().create(&w.write(), &key(90), twin, None).await.unwrap();
        assert!(matches!(made, Created::Exists { ours: false, .. }), "{twin}: {made:?}");
    }
    for bad in ["", "a/b", "a\\b", ".ledgerward-x", "dot."] {
        let e = w.target().create(&w.write(), &key(91), bad, None).await.unwrap_err();
        assert_eq!((e.kind, e.next.is_some()), (ErrorKind::Unsupported, true), "{bad}: {e:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn f01_a_crash_at_any_write_of_a_create_is_continued_and_leaves_one_folder() {
    for team in [false, true] {
        for nth in 0..7 {
            let w = if team { World::team() } else { World::personal() };
            w.control("share_async", json!({ "on": nth % 2 == 0 }));
            // The write is done, its answer lost, and the process with it: a new connector knows nothing.
            let routes = [
                "create_folder_v2",
                "create_folder_v2",
                "share_folder",
                "files/upload",
                "move_v2",
                "check_share",
                "get_folder",
            ];
            w.control("drop_answers", json!({ "path": routes[nth], "count": if nth == 1 { 2 } else { 1 } }));
            let first = w.target().create(&w.write(), &key(1), "Acme Ltd", None).await;
            w.control("drop_answers", json!({ "count": 0 }));
            let settings = if team { json!({ "root": "/Practice/Clients", "team_space": true }) } else { json!({}) };
            let fresh = VENDOR.connector(settings).unwrap();
            let t = fresh.target().unwrap();
            let again = t.create(&w.write(), &key(1), "Acme Ltd", None).await.unwrap();
            let id = match again {
                Created::Created(id) | Created::Exists { id, ours: true } => id,
                other => panic!("team {team}, {nth}: {first:?} then {other:?}"),
            };
            assert_eq!(t.find(&w.read(), &key(1)).await.unwrap(), Some(id));
            let shared: Vec<_> = w
                .dump()
                .into_iter()
                .filter(|f| f["name"] == "Acme Ltd" || f["name"].as_str().unwrap().starts_with(".ledgerward-"))
                .collect();
            assert_eq!(shared.len(), 1, "team {team}, {nth}: {shared:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_folder_in_the_making_that_was_shared_openly_is_closed_before_it_gets_its_name() {
    let w = World::team();
    w.control("outage", json!({ "path": "share_folder", "status": 503, "count": 1 }));
    w.target().create(&w.write(), &key(1), "Acme Ltd", None).await.unwrap_err();
    let making = w.dump().into_iter().find(|f| f["name"].as_str().unwrap().starts_with(".ledgerward-")).unwrap();
    w.control("share", json!({ "folder": making["id"], "acl": "editors" }));
    let made = w.target().create(&w.write(), &key(1), "Acme Ltd", None).await.unwrap();
    let Created::Created(id) = made else { panic!("{made:?}") };
    let stat = w.target().stat(&w.read(), &id).await.unwrap();
    assert!(matches!(stat, Stat::Present { inherits: false, writers_can_share: Some(false), .. }), "{stat:?}");
}

#[tokio::test(start_paused = true)]
async fn nested_shares_are_refused_before_anything_is_written() {
    let made = json!({ "parent": "/", "name": "Office" });
    for root in ["/Office", "/Office/Clients"] {
        let w = World::seeded(json!({ "root": root }), "personal");
        w.control("make", made.clone());
        w.control("share", json!({ "folder": "/Office", "email": BEN }));
        let e = w.target().create(&w.write(), &key(1), "Acme Ltd", None).await.unwrap_err();
        assert_eq!((e.kind, w.writes()), (ErrorKind::Config, 0), "{e:?}");
        assert!(e.next.unwrap().contains("private folder"));
    }
    for root in ["/Office", "/Office/Clients", "/Office/Clients/All"] {
        let w = World::seeded(json!({ "root": root }), "personal");
        w.control("make", made.clone());
        w.control("share", json!({ "folder": "/Office", "email": BEN }));
        let p = w.target().probe(&w.read()).await.unwrap();
        assert!(!p.may_share && blockers(&p)[0].contains("does not nest"), "{:?}", p.notes);
    }
    // On a team the other way round: outside of a team folder there is nothing to cut.
    let w = World::seeded(json!({ "root": "/Elsewhere", "team_space": true }), "team");
    let e = w.target().create(&w.write(), &key(1), "Acme Ltd", None).await.unwrap_err();
    assert_eq!((e.kind, w.writes()), (ErrorKind::Config, 0));
}

#[tokio::test(start_paused = true)]
async fn the_probe_says_what_is_wrong_and_what_to_do() {
    let w = World::personal();
    let p = w.target().probe(&w.read()).await.unwrap();
    assert_eq!((p.account.as_str(), p.root.clone(), blockers(&p)), (US, None, vec![]));
    w.create(1).await;
    w.control("account", json!({ "email": US, "plan": "basic", "verified": false }));
    w.control("quota_full", json!({ "email": US }));
    let p = w.target().probe(&w.read()).await.unwrap();
    assert!(blockers(&p).iter().any(|b| b.contains("not verified") && b.contains("> Open Dropbox")), "{:?}", p.notes);
    assert!(warnings(&p).contains("full") && warnings(&p).contains("nobody is made an editor"), "{:?}", p.notes);

    let w = World::team();
    w.control("team", json!({ "members_only": true }));
    w.control("share", json!({ "folder": "team:/Practice", "email": CARA, "level": "viewer" }));
    let p = w.target().probe(&w.read()).await.unwrap();
    assert!(blockers(&p).is_empty(), "{:?}", p.notes);
    assert!(warnings(&p).contains("only its own members") && warnings(&p).contains("administrators"), "{:?}", p.notes);
    assert!(p.inherited.iter().any(|x| x.holder.to_string() == CARA && x.via == Via::Inherited));

    let w = World::personal();
    w.sign_in(json!({ "scopes": "account_info.read files.metadata.read sharing.write" }));
    let p = w.target().probe(&w.read()).await.unwrap();
    assert!(blockers(&p)[0].contains("sharing.read") && blockers(&p)[0].contains("sign in again"), "{:?}", p.notes);
}

#[tokio::test(start_paused = true)]
async fn a_team_member_with_a_private_root_writes_below_the_home_of_the_team_space() {
    let w = World::seeded(json!({}), "team");
    let f = w.create(1).await;
    assert_eq!(w.dumped(&f)["path"], "/Harbour Ledgers/ledgerward clients/Client 1");
    assert!(w.wire.seen.lock().unwrap().iter().skip(1).all(|(r, _)| r.headers.contains_key("dropbox-api-path-root")));
    let list = w.sharing(&f).await.unwrap();
    assert_eq!(list.items().len(), 1, "{:?}", list.items());
}

#[tokio::test(start_paused = true)]
async fn an_outdated_path_root_is_asked_again_and_never_falls_back_to_the_home() {
    let w = World::team();
    let f = w.create(1).await;
    w.control("move_team_space", json!({}));
    w.forget();
    assert!(matches!(w.target().stat(&w.read(), &f).await.unwrap(), Stat::Present { .. }));
    let seen = w.wire.seen.lock().unwrap();
    assert_eq!(seen.iter().filter(|(_, a)| a.status == 422).count(), 1);
    let rooted = |r: &Request| r.op == "account.get" || r.headers.contains_key("dropbox-api-path-root");
    assert!(seen.iter().all(|(r, _)| rooted(r)));
}

#[tokio::test(start_paused = true)]
async fn a_forged_marker_is_none_and_a_mark_never_replaces_anothers() {
    let w = World::personal();
    let (a, b) = (w.create(1).await, w.create(2).await);
    w.grant(&a, BEN, FolderRole::Writer).await.unwrap();
    let forged = json!({ "folder": key(3).to_string() }).to_string();
    w.control("write", json!({ "folder": a.as_str(), "name": ".ledgerward.json", "content": forged, "by": BEN }));
    let fresh = VENDOR.connector(json!({})).unwrap();
    assert_eq!(fresh.target().unwrap().find(&w.read(), &key(3)).await.unwrap(), None);
    assert!(matches!(w.target().stat(&w.read(), &a).await.unwrap(), Stat::Present { marker: None, .. }));
    w.target().mark(&w.write(), &a, &key(1)).await.unwrap();
    assert_eq!(w.target().find(&w.read(), &key(1)).await.unwrap(), Some(a));
    assert_eq!(w.target().mark(&w.write(), &b, &key(1)).await.unwrap_err().kind, ErrorKind::Conflict);
    let plain = w.control("make", json!({ "parent": "/", "name": "Old client" }))["id"].as_str().unwrap().to_owned();
    let e = w.target().mark(&w.write(), &FolderId(plain), &key(7)).await.unwrap_err();
    assert_eq!((e.kind, e.next.is_some()), (ErrorKind::Unsupported, true));
}

#[tokio::test(start_paused = true)]
async fn g07_the_folder_survives_rename_and_move_by_hand_and_the_state_says_so() {
    let w = World::personal();
    let f = w.create(1).await;
    let Stat::Present { parent, owner, .. } = w.target().stat(&w.read(), &f).await.unwrap() else { panic!() };
    assert!(parent.is_some() && owner.is_some());
    w.control("make", json!({ "parent": "/", "name": "Elsewhere" }));
    w.control("move", json!({ "folder": f.as_str(), "to": "/Elsewhere" }));
    w.control("rename", json!({ "folder": f.as_str(), "name": "Renamed" }));
    let Stat::Present { name, parent: now, marker, .. } = w.target().stat(&w.read(), &f).await.unwrap() else {
        panic!()
    };
    assert_eq!((name.as_str(), marker), ("Renamed", Some(key(1).to_string())));
    assert_ne!(now, parent);
    let stored = w.put(&f, &file("2026/a.pdf", "x"), Expect::Absent).await.unwrap();
    assert_eq!(w.files(&f).await.unwrap().items()[0].id, stored.id);
    w.target().rename(&w.write(), &f, "RENAMED").await.unwrap();
    assert_eq!(w.dumped(&f)["name"], "RENAMED");
    w.control("unmount", json!({ "folder": f.as_str() }));
    let e = w.files(&f).await.unwrap_err();
    assert_eq!((e.kind, e.next.is_some()), (ErrorKind::NotFound, true));
    assert_eq!(w.sharing(&f).await.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn changes_name_the_client_folder_and_a_forgotten_cursor_names_everything() {
    let w = World::personal();
    let (a, b) = (w.create(1).await, w.create(2).await);
    let start = w.target().changes(&w.read(), None).await.unwrap();
    assert!(!start.everything);
    let quiet = w.target().changes(&w.read(), Some(start.next)).await.unwrap();
    assert_eq!((quiet.folders, quiet.everything), (vec![], false));
    let again = w.target().changes(&w.read(), Some(quiet.next.clone())).await.unwrap();
    assert!(again.next != quiet.next && !quiet.more && !again.more, "a new cursor is no news");
    w.put(&a, &file("2026/a.pdf", "x"), Expect::Absent).await.unwrap();
    let one = w.target().changes(&w.read(), Some(quiet.next)).await.unwrap();
    assert_eq!((one.folders, one.everything), (vec![a.clone()], false));
    w.control("delete", json!({ "folder": w.child(&w.child(&w.dumped(&a), "2026"), "a.pdf")["id"] }));
    let gone = w.target().changes(&w.read(), Some(one.next)).await.unwrap();
    assert_eq!((gone.folders, gone.everything), (vec![a.clone()], false));
    w.control("delete", json!({ "folder": b.as_str() }));
    let all = w.target().changes(&w.read(), Some(gone.next)).await.unwrap();
    assert!(all.everything, "a deleted folder cannot be placed");
    w.control("limits", json!({ "list_page_max": 1 }));
    for name in ["b.pdf", "c.pdf"] {
        w.put(&a, &file(name, "x"), Expect::Absent).await.unwrap();
    }
    let part = w.target().changes(&w.read(), Some(all.next.clone())).await.unwrap();
    assert!(part.more && part.next != all.next);
    w.control("reset_cursors", json!({}));
    let reset = w.target().changes(&w.read(), Some(all.next)).await.unwrap();
    assert!(reset.everything);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_says_what_to_do() {
    let w = World::personal();
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
