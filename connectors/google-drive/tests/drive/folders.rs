//! Folders, sharing lists, the change feed.

use crate::common::*;
use ledgerward_contract::*;
use ledgerward_google_drive::fake::permission_id;
use serde_json::json;

fn my() -> serde_json::Value {
    json!({ "root": MY })
}

#[tokio::test(start_paused = true)]
async fn a_folder_is_made_closed_found_and_known_again() {
    let w = World::new(my());
    let t = w.target();
    assert_eq!(t.find(&w.read(), &key(1)).await.unwrap(), None);
    let id = w.create(1).await;
    assert_eq!(t.find(&w.read(), &key(1)).await.unwrap(), Some(id.clone()));
    let Stat::Present { name, parent, owner, marker, writers_can_share, .. } = t.stat(&w.read(), &id).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((name.as_str(), parent), ("Client 1", Some(FolderId(MY.into()))));
    assert_eq!((owner.as_deref(), marker), (Some(US), Some(key(1).to_string())));
    assert_eq!(writers_can_share, Some(false));
    let list = w.sharing(&id).await.unwrap();
    assert_eq!(holders(&list), [(US.to_owned(), SeenRole::Owner, Via::Direct)]);
    assert!(list.items()[0].ourselves);
}

#[tokio::test(start_paused = true)]
async fn s02_a_create_whose_answer_was_lost_makes_one_folder() {
    let w = World::new(my());
    let t = w.target();
    let id = t.reserve(&w.read(), 1).await.unwrap().remove(0);
    w.control("lag", json!({ "seconds": 60 }));
    w.control("drop_answers", json!({ "path": "/drive/v3/files", "method": "POST" }));
    let e = t.create(&w.write(), &key(1), "One", Some(&id)).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unavailable);
    let again = t.create(&w.write(), &key(1), "One", Some(&id)).await.unwrap();
    assert_eq!(again, Created::Exists { id: FolderId(id.0.clone()), ours: true });
    assert_eq!(w.named("One"), 1);
    // Without a reserved id the connector keeps the one it made for the first attempt.
    w.control("drop_answers", json!({ "path": "/drive/v3/files", "method": "POST" }));
    assert!(t.create(&w.write(), &key(2), "Two", None).await.is_err());
    assert!(matches!(t.create(&w.write(), &key(2), "Two", None).await.unwrap(), Created::Exists { ours: true, .. }));
    assert_eq!(w.named("Two"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_strangers_folder_of_the_same_name_or_id_is_never_taken() {
    let w = World::new(my());
    let t = w.target();
    w.control("make", json!({ "name": "Acme", "parent": MY, "owner": ANA }));
    let made = t.create(&w.write(), &key(1), "Acme", None).await.unwrap();
    assert!(matches!(made, Created::Created(_)));
    assert_eq!(w.named("Acme"), 2);
    let Created::Created(id) = made else { panic!() };
    let other = t.create(&w.write(), &key(2), "Other", Some(&ReservedId(id.0))).await.unwrap();
    assert!(matches!(other, Created::Exists { ours: false, .. }));
}

#[tokio::test(start_paused = true)]
async fn s15_two_folders_with_one_mark_are_a_conflict() {
    let w = World::new(my());
    w.create(1).await;
    let second = w.control("make", json!({ "name": "Second", "parent": MY }));
    let second = FolderId(second["id"].as_str().unwrap().to_owned());
    w.target().mark(&w.write(), &second, &key(1)).await.unwrap();
    let e = w.target().find(&w.read(), &key(1)).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Conflict);
    assert!(e.next.is_some());
}

#[tokio::test(start_paused = true)]
async fn marks_are_written_once_and_never_over_anothers() {
    let w = World::new(my());
    let id = w.control("make", json!({ "name": "Adopted", "parent": MY }));
    let id = FolderId(id["id"].as_str().unwrap().to_owned());
    let with_account = FolderKey { account: Some(AccountId("acc-1".into())), ..key(3) };
    w.target().mark(&w.write(), &id, &with_account).await.unwrap();
    w.target().mark(&w.write(), &id, &with_account).await.unwrap();
    assert_eq!(w.sent("folder.mark"), 3, "the second mark only looks");
    assert_eq!(w.target().find(&w.read(), &with_account).await.unwrap(), Some(id.clone()));
    assert_eq!(w.target().find(&w.read(), &key(3)).await.unwrap(), None);
    let e = w.target().mark(&w.write(), &id, &key(4)).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Conflict);
    let long = FolderKey { account: Some(AccountId("x".repeat(120))), ..key(5) };
    assert_eq!(w.target().create(&w.write(), &long, "n", None).await.unwrap_err().kind, ErrorKind::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn decision_21_without_a_root_one_is_made_once_and_found_again() {
    let w = World::new(json!({ "root_name": "Books" }));
    let probe = w.target().probe(&w.read()).await.unwrap();
    assert_eq!(probe.root, None);
    w.control("lag", json!({ "seconds": 120 }));
    w.control("drop_answers", json!({ "path": "/drive/v3/files", "method": "POST" }));
    assert!(w.target().create(&w.write(), &key(1), "One", None).await.is_err());
    w.create(1).await;
    w.create(2).await;
    assert_eq!(w.named("Books"), 1, "a lagging index makes no second root");
    let root = w.target().probe(&w.read()).await.unwrap().root.unwrap();
    tokio::time::advance(std::time::Duration::from_secs(121)).await;
    let fresh = VENDOR.connector(json!({ "root_name": "Books" })).unwrap();
    assert_eq!(fresh.target().unwrap().probe(&w.read()).await.unwrap().root, Some(root));
}

#[tokio::test(start_paused = true)]
async fn n10_a_folder_is_its_id_whatever_others_are_called() {
    let w = World::new(my());
    for name in ["Client 1", "..", "a/b"] {
        w.control("make", json!({ "name": name, "parent": MY }));
    }
    let t = w.target();
    let reserved = t.reserve(&w.read(), 1).await.unwrap().pop();
    let Created::Created(id) = t.create(&w.write(), &key(1), "Client 1", reserved.as_ref()).await.unwrap() else {
        panic!()
    };
    assert_eq!(Some(id.as_str()), reserved.as_ref().map(ReservedId::as_str), "under the id that was made for it");
    assert_eq!(w.named("Client 1"), 2, "Drive allows two of one name, and the other is not ours");
    let again = t.create(&w.write(), &key(1), "Client 1", reserved.as_ref()).await.unwrap();
    assert_eq!(again, Created::Exists { id: id.clone(), ours: true }, "409 is done already");
    assert_eq!(t.find(&w.read(), &key(1)).await.unwrap(), Some(id.clone()));
    w.put(&id, &file("k", "2026/a.pdf", "a"), Expect::Absent).await.unwrap();
    assert_eq!(w.files(&id).await.unwrap().items().len(), 1, "nobody else's things are in it");
}

#[tokio::test(start_paused = true)]
async fn s10_a_root_under_a_stored_id_is_made_once_whatever_the_index_says() {
    let w = World::new(json!({ "root_name": "Books" }));
    w.control("lag", json!({ "seconds": 3_600 }));
    let t = w.target();
    assert!(t.lacks_root(&w.read(), None).await.unwrap());
    let id = t.reserve(&w.read(), 1).await.unwrap().pop().unwrap();
    w.control("drop_answers", json!({ "path": "/drive/v3/files", "method": "POST" }));
    assert!(t.make_root(&w.write(), &id).await.is_err(), "its answer is lost");
    // Another process, which knows nothing but the stored id.
    let fresh = VENDOR.connector(json!({ "root_name": "Books" })).unwrap();
    let t = fresh.target().unwrap();
    assert!(!t.lacks_root(&w.read(), Some(&id)).await.unwrap(), "the id goes before the search");
    assert_eq!(t.make_root(&w.write(), &id).await.unwrap(), FolderId(id.0.clone()), "a repeat makes nothing");
    t.create(&w.write(), &key(1), "One", None).await.unwrap();
    assert_eq!(w.named("Books"), 1);
    w.control("trash", json!({ "file": id.as_str() }));
    assert!(t.lacks_root(&w.read(), Some(&id)).await.unwrap());
    assert_eq!(t.make_root(&w.write(), &id).await.unwrap_err().kind, ErrorKind::Conflict, "the id is used up");
    let given = World::new(my());
    assert!(!given.target().lacks_root(&given.read(), None).await.unwrap(), "a root that is given is not ours to make");
}

#[tokio::test(start_paused = true)]
async fn s07_a_root_that_is_moved_or_shared_from_above_is_everything() {
    let w = World::new(my());
    w.create(1).await;
    let office = w.control("make", json!({ "name": "Office", "owner": US }));
    let inner = w.control("make", json!({ "name": "Inner", "parent": office["id"] }));
    let t = w.target();
    let look = async |since: &Changes| t.changes(&w.read(), Some(since.next.clone())).await.unwrap();
    let start = t.changes(&w.read(), None).await.unwrap();
    let quiet = look(&start).await;
    assert!(!quiet.everything);
    let again = look(&quiet).await;
    assert!(again.next != quiet.next && !quiet.more && !again.more, "a new token is no news");
    w.control("move", json!({ "file": MY, "to": inner["id"] }));
    let moved = look(&quiet).await;
    assert!(moved.everything, "the root lies elsewhere");
    let quiet = look(&moved).await;
    assert!(!quiet.everything, "told once");
    w.forget();
    assert!(!look(&quiet).await.everything);
    assert_eq!(w.wire.seen.lock().unwrap().len(), 2, "a quiet look is the root and the feed");
    w.control("share", json!({ "file": office["id"], "email": BEN }));
    let above = look(&quiet).await;
    assert!(above.everything, "somebody was let in two folders above the root");
    // Where the account does not see the change in its feed, the place alone tells.
    let plain = t.changes(&w.read(), Some(ChangeCursor("1".into()))).await.unwrap();
    assert!(plain.everything, "a cursor from before the place was kept");
}

#[tokio::test(start_paused = true)]
async fn decision_21_in_a_shared_drive_a_new_folder_is_limited_before_it_is_used() {
    let w = World::new(json!({ "root": SHARED }));
    let id = w.create(1).await;
    assert_eq!(w.dumped(id.as_str())["limited"], true);
    assert!(matches!(w.target().stat(&w.read(), &id).await.unwrap(), Stat::Present { inherits: false, .. }));
    let list = w.sharing(&id).await.unwrap();
    assert_eq!(person(&list, "erin@harbour.example").unwrap().role, SeenRole::MetadataOnly);
    assert_eq!(person(&list, ANA).unwrap().role, SeenRole::Manager);
    assert_eq!(person(&list, ANA).unwrap().via, Via::Inherited);
    assert!(person(&list, US).unwrap().ourselves);
    w.fenced(&id, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn in_a_shared_drive_that_may_not_be_limited_the_create_fails_and_says_why() {
    let mut seed = seed();
    seed["drives"][0]["members"][0]["role"] = json!("fileOrganizer");
    let w = World::seeded(json!({ "root": SHARED }), seed);
    let e = w.target().create(&w.write(), &key(1), "One", None).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Forbidden);
    assert!(e.next.unwrap().contains("manager"));
    let again = w.target().create(&w.write(), &key(1), "One", None).await;
    assert!(again.is_err(), "an open folder is not passed off as done by a repeat");
}

#[tokio::test(start_paused = true)]
async fn s07_a_folder_that_inherits_is_seen_and_closed() {
    let w = World::new(my());
    w.control("make", json!({ "name": "Team", "owner": US, "share": [{ "email": BEN, "role": "writer" }] }));
    let id = w.control("make", json!({ "name": "Old client", "parent": "Team" }));
    let id = FolderId(id["id"].as_str().unwrap().to_owned());
    w.control("link_on", json!({ "file": id.as_str() }));
    w.control("link_on", json!({ "file": id.as_str(), "type": "domain", "domain": "harbour.example" }));
    let list = w.sharing(&id).await.unwrap();
    assert_eq!(person(&list, BEN).unwrap().via, Via::Inherited);
    assert!(list.items().iter().any(|p| p.holder == Holder::Link(LinkKind::Anyone)));
    assert!(list.items().iter().any(|p| p.holder == Holder::Link(LinkKind::Organisation)));
    let ben = person(&list, BEN).unwrap();
    let e = w.target().revoke(&w.write(), &id, &ben.id).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Forbidden);
    for _ in 0..2 {
        w.target().close_spread(&w.write(), &id).await.unwrap();
    }
    let list = w.sharing(&id).await.unwrap();
    assert_eq!(person(&list, BEN).unwrap().role, SeenRole::MetadataOnly);
    assert!(!list.items().iter().any(|p| matches!(p.holder, Holder::Link(_))));
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_holder_is_named() {
    for details in [true, false] {
        let mut s = seed();
        s["my_drive_details"] = json!(details);
        let w = World::seeded(my(), s);
        let id = w.create(1).await;
        let share = |v| w.control("share", v);
        let f = id.as_str();
        share(json!({ "file": f, "email": BEN, "role": "commenter" }));
        share(json!({ "file": f, "type": "group", "email": "everyone@harbour.example", "role": "reader" }));
        share(json!({ "file": f, "type": "domain", "domain": "harbour.example", "discoverable": true }));
        share(json!({ "file": f, "type": "anyone", "discoverable": true }));
        share(json!({ "file": f, "email": "dev@harbour.example", "role": "writer" }));
        w.control("delete_account", json!({ "email": "dev@harbour.example" }));
        let list = w.sharing(&id).await.unwrap();
        let text: Vec<_> = list.items().iter().map(|p| p.holder.to_string()).collect();
        assert!(text.contains(&"group:everyone@harbour.example".to_owned()), "{text:?}");
        assert!(text.contains(&"everyone:domain harbour.example".to_owned()), "{text:?}");
        assert!(text.iter().any(|t| t.starts_with("everyone:the public")), "{text:?}");
        assert!(text.iter().any(|t| t.starts_with("unknown:deleted user")), "{text:?}");
        assert_eq!(person(&list, BEN).unwrap().role, SeenRole::Commenter);
        assert!(list.items().iter().all(|p| p.via == Via::Direct), "details {details}");
    }
}

/// Who owns a file of theirs in the folder sees that one; whose a folder in it is sees all that comes there.
#[tokio::test(start_paused = true)]
async fn the_owner_of_a_folder_below_is_no_harmless_owner() {
    let w = World::new(json!({ "root": MY }));
    let id = w.create(1).await;
    w.control("make", json!({ "name": "2026", "parent": id.as_str(), "owner": CARA }));
    let notes = json!({ "name": "n.txt", "parent": id.as_str(), "owner": BEN, "mime": "text/plain", "content": "x" });
    w.control("make", notes);
    let list = w.sharing(&id).await.unwrap();
    let of = |who: &str| {
        let mut below = list.items().iter().filter(|p| matches!(p.via, Via::Below(_)));
        below.find(|p| p.holder.to_string() == who).map(|p| p.role.clone())
    };
    assert_eq!((of(CARA), of(BEN)), (Some(SeenRole::Manager), Some(SeenRole::Owner)), "{:?}", list.items());
}

#[tokio::test(start_paused = true)]
async fn people_below_the_folder_are_seen_in_my_drive_and_in_a_shared_drive() {
    for root in [MY, SHARED] {
        let w = World::new(json!({ "root": root }));
        let id = w.create(1).await;
        w.grant(&id, BEN, FolderRole::Reader).await.unwrap();
        w.put(&id, &file("k", "2026/Tax/a.pdf", "a"), Expect::Absent).await.unwrap();
        w.control("share", json!({ "file": "2026", "email": CARA, "role": "reader" }));
        w.control("share", json!({ "file": "a.pdf", "email": BEN, "role": "writer" }));
        // Sees only the folder's name from above; on the file it is a way in.
        w.control("share", json!({ "file": "a.pdf", "email": "erin@harbour.example", "role": "reader" }));
        w.control("link_on", json!({ "file": "Tax" }));
        w.control("limits", json!({ "list_page_max": 1, "permission_page_max": 2 }));
        let list = w.sharing(&id).await.unwrap();
        let below: Vec<_> = list
            .items()
            .iter()
            .filter(|p| matches!(p.via, Via::Below(_)))
            .map(|p| (p.holder.to_string(), format!("{:?}", p.via)))
            .collect();
        let has = |who: &str, at: &str| below.iter().any(|(w, v)| w == who && v.contains(at));
        assert!(has(CARA, "2026"), "{root} {below:?}");
        assert!(has("erin@harbour.example", "2026/Tax/a.pdf"), "{root} {below:?}");
        assert!(has("link:anyone", "2026/Tax"), "{root} {below:?}");
        assert!(!has(BEN, "a.pdf"), "he is on the folder itself");
        assert_eq!(below.len(), 3, "{root}: inherited entries below are not repeated: {below:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn p06_an_empty_sharing_list_is_an_error() {
    let w = World::new(my());
    let id = w.create(1).await;
    for how in ["object", "empty", "html"] {
        w.control("outage", json!({ "path": "/permissions", "status": how }));
        let e = w.sharing(&id).await.unwrap_err();
        assert!(matches!(e.kind, ErrorKind::Contract | ErrorKind::Unavailable), "{how}: {e:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn p03_a_listing_that_fails_on_its_second_page_is_no_listing() {
    let w = World::new(my());
    let id = w.create(1).await;
    for who in [ANA, BEN, CARA] {
        w.grant(&id, who, FolderRole::Reader).await.unwrap();
    }
    w.control("limits", json!({ "permission_page_max": 2 }));
    let list = w.sharing(&id).await.unwrap();
    assert_eq!(list.items().len(), 4);
    let cx = w.read();
    let first = w.target().sharing(&cx, &id, Cursor::Start).await.unwrap();
    w.control("outage", json!({ "path": "/permissions", "status": 500 }));
    let second = w.target().sharing(&cx, &id, first.next.unwrap()).await;
    assert_eq!(second.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn s08_trashed_gone_and_hidden_are_three_things() {
    let w = World::new(my());
    let id = w.create(1).await;
    w.control("trash", json!({ "file": id.as_str() }));
    assert_eq!(w.target().stat(&w.read(), &id).await.unwrap(), Stat::Trashed);
    assert_eq!(w.target().find(&w.read(), &key(1)).await.unwrap(), None);
    assert_eq!(w.files(&id).await.unwrap_err().kind, ErrorKind::NotFound);
    w.control("untrash", json!({ "file": id.as_str() }));
    w.control("outage", json!({ "path": "/files/", "status": 403, "reason": "insufficientFilePermissions" }));
    assert_eq!(w.target().stat(&w.read(), &id).await.unwrap(), Stat::NoAccess);
    w.control("outage", json!({ "path": "/files/", "status": 403, "reason": "userRateLimitExceeded" }));
    assert_eq!(w.target().stat(&w.read(), &id).await.unwrap_err().kind, ErrorKind::RateLimited);
    w.control("delete", json!({ "file": id.as_str() }));
    assert_eq!(w.target().stat(&w.read(), &id).await.unwrap(), Stat::Gone);
    for e in [w.files(&id).await.unwrap_err(), w.sharing(&id).await.unwrap_err()] {
        assert_eq!(e.kind, ErrorKind::NotFound, "a folder that is gone is never an empty list");
    }
}

#[tokio::test(start_paused = true)]
async fn p10_an_invitation_that_is_refused_for_the_pace_goes_out_again() {
    let w = World::new(my());
    let id = w.create(1).await;
    let pace = |count: u64, status: u16, reason: &str| {
        let outage =
            json!({ "path": "/permissions", "method": "POST", "status": status, "reason": reason, "count": count });
        w.control("outage", outage);
    };
    pace(3, 403, "userRateLimitExceeded");
    w.grant(&id, "ben@harbour.example", FolderRole::Reader).await.unwrap();
    let before = w.sent("permission.create");
    pace(9, 403, "rateLimitExceeded");
    let e = w.grant(&id, "cara@harbour.example", FolderRole::Reader).await.unwrap_err();
    assert_eq!((e.kind, w.sent("permission.create") - before), (ErrorKind::RateLimited, 6), "not for ever");
    pace(0, 403, "");
    for (status, reason) in [(503, "backendError"), (403, "sharingRateLimitExceeded")] {
        let before = w.sent("permission.create");
        pace(1, status, reason);
        w.grant(&id, "cara@harbour.example", FolderRole::Reader).await.unwrap_err();
        assert_eq!(w.sent("permission.create") - before, 1, "{reason}: a long pause, or an end that nobody knows");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_sharing_holds_only_new_people() {
    let w = World::new(my());
    let id = w.create(1).await;
    let Granted::Now(ben) = w.grant(&id, BEN, FolderRole::Reader).await.unwrap() else { panic!() };
    let outage = json!({
        "path": "/permissions", "method": "POST", "status": 403, "reason": "sharingRateLimitExceeded", "count": 1
    });
    w.control("outage", outage);
    let e = w.grant(&id, CARA, FolderRole::Reader).await.unwrap_err();
    assert!(e.kind == ErrorKind::RateLimited && matches!(e.retry, Retry::After(_)), "{e:?}");
    let before = w.sent("permission.create");
    let e = w.grant(&id, CARA, FolderRole::Reader).await.unwrap_err();
    assert!(matches!(e.retry, Retry::After(d) if d.as_secs() > 60), "{e:?}");
    assert_eq!(w.sent("permission.create"), before, "Google is not asked again while it rests");
    assert_eq!(w.sharing(&id).await.unwrap().items().len(), 2);
    w.put(&id, &file("a", "a.pdf", "statement"), Expect::Absent).await.unwrap();
    w.target().set_role(&w.write(), &id, &ben, FolderRole::Writer).await.unwrap();
    assert_eq!(w.target().revoke(&w.write(), &id, &ben).await.unwrap(), Gone::Done);
    tokio::time::sleep(std::time::Duration::from_secs(16 * 60)).await;
    w.grant(&id, CARA, FolderRole::Reader).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn grants_change_and_end_without_mail_and_without_repeats() {
    let w = World::new(my());
    let id = w.create(1).await;
    let Granted::Now(first) = w.grant(&id, "Ben@Harbour.example", FolderRole::Reader).await.unwrap() else { panic!() };
    assert_eq!(first.0, permission_id(BEN));
    let Granted::Now(second) = w.grant(&id, BEN, FolderRole::Reader).await.unwrap() else { panic!() };
    assert_eq!(first, second);
    assert_eq!(w.sharing(&id).await.unwrap().items().len(), 2);
    w.target().set_role(&w.write(), &id, &first, FolderRole::Writer).await.unwrap();
    assert_eq!(person(&w.sharing(&id).await.unwrap(), BEN).unwrap().role, SeenRole::Writer);
    w.grant(&id, BEN, FolderRole::Reader).await.unwrap();
    assert_eq!(person(&w.sharing(&id).await.unwrap(), BEN).unwrap().role, SeenRole::Writer, "a grant never lowers");
    w.target().set_role(&w.write(), &id, &first, FolderRole::Reader).await.unwrap();
    assert_eq!(w.target().revoke(&w.write(), &id, &first).await.unwrap(), Gone::Done);
    assert_eq!(w.target().revoke(&w.write(), &id, &first).await.unwrap(), Gone::Already);
    for (r, _) in w.wire.seen.lock().unwrap().iter().filter(|(r, _)| r.op == "permission.create") {
        assert!(r.url.query_pairs().any(|(k, v)| k == "sendNotificationEmail" && v == "false"));
        let Body::Json(body) = &r.body else { panic!() };
        assert_eq!(body["type"], "user");
    }
}

#[tokio::test(start_paused = true)]
async fn an_alias_is_granted_under_the_accounts_own_id() {
    let w = World::new(my());
    let id = w.create(1).await;
    let Granted::Now(p) = w.grant(&id, "benjamin@harbour.example", FolderRole::Reader).await.unwrap() else { panic!() };
    assert_eq!(person(&w.sharing(&id).await.unwrap(), BEN).unwrap().id, p);
}

#[tokio::test(start_paused = true)]
async fn ends_of_access_are_set_for_readers_and_capped_at_a_year() {
    let w = World::new(my());
    let id = w.create(1).await;
    let until = |days: i64| Some(w.now() + jiff::SignedDuration::from_hours(24 * days));
    let ben = Email::parse(BEN).unwrap();
    w.target().grant(&w.write(), &id, &ben, FolderRole::Reader, until(30)).await.unwrap();
    assert_eq!(person(&w.sharing(&id).await.unwrap(), BEN).unwrap().expires, until(30));
    let cara = Email::parse(CARA).unwrap();
    w.target().grant(&w.write(), &id, &cara, FolderRole::Reader, until(900)).await.unwrap();
    assert!(person(&w.sharing(&id).await.unwrap(), CARA).unwrap().expires < until(366));
    let e = w.target().grant(&w.write(), &id, &cara, FolderRole::Writer, until(30)).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unsupported);
    // A reader who becomes a writer has no end on the target any more, which Google refuses for writers.
    let entry = person(&w.sharing(&id).await.unwrap(), BEN).unwrap().id.clone();
    w.target().set_role(&w.write(), &id, &entry, FolderRole::Writer).await.unwrap();
    let list = w.sharing(&id).await.unwrap();
    let ben = person(&list, BEN).unwrap();
    assert_eq!((ben.role.clone(), ben.expires), (SeenRole::Writer, None));
}

#[tokio::test(start_paused = true)]
async fn s12_a_revoke_tells_a_missing_person_from_a_missing_folder() {
    let w = World::new(my());
    let id = w.create(1).await;
    let nobody = PermissionId(permission_id(CARA));
    assert_eq!(w.target().revoke(&w.write(), &id, &nobody).await.unwrap(), Gone::Already);
    w.control("delete", json!({ "file": id.as_str() }));
    let e = w.target().revoke(&w.write(), &id, &nobody).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::NotFound, "a folder out of sight is no proof that the person is out");
}

#[tokio::test(start_paused = true)]
async fn s13_owners_and_inherited_people_are_never_revoked_and_both_ways_in_are_told() {
    let w = World::new(json!({ "root": SHARED }));
    let id = w.create(1).await;
    let ana = PermissionId(permission_id(ANA));
    assert_eq!(w.target().revoke(&w.write(), &id, &ana).await.unwrap_err().kind, ErrorKind::Forbidden);
    assert_eq!(
        w.target().set_role(&w.write(), &id, &ana, FolderRole::Reader).await.unwrap_err().kind,
        ErrorKind::Forbidden
    );
    w.control("share", json!({ "file": id.as_str(), "email": ANA, "role": "writer" }));
    let list = w.sharing(&id).await.unwrap();
    let ways: Vec<_> = list.items().iter().filter(|p| p.id == ana).map(|p| p.via.clone()).collect();
    assert_eq!(ways, [Via::Direct, Via::Inherited]);
    assert_eq!(w.target().revoke(&w.write(), &id, &ana).await.unwrap(), Gone::StillVia(Via::Inherited));
    let mine = World::new(my());
    let id = mine.create(1).await;
    let us = PermissionId(permission_id(US));
    assert_eq!(mine.target().revoke(&mine.write(), &id, &us).await.unwrap_err().kind, ErrorKind::Forbidden);
    assert_eq!(mine.sent("permission.delete"), 0);
}

#[tokio::test(start_paused = true)]
async fn i12_no_account_means_no_grant_and_no_mail() {
    for shape in ["403", "400"] {
        let w = World::new(my());
        let id = w.create(1).await;
        w.control("set_policy", json!({ "no_account_shape": shape }));
        let e = w.grant(&id, "nobody@nowhere.example", FolderRole::Reader).await.unwrap_err();
        assert_eq!(e.kind, ErrorKind::Forbidden);
        assert_eq!(e.retry, Retry::No);
        assert!(e.message.contains("no Google account"), "{e:?}");
        assert!(!format!("{e:?}").contains("nobody@"), "no addresses of Google's own message");
        assert_eq!(w.sent("permission.create"), 1, "never repeated with mail");
    }
}

#[tokio::test(start_paused = true)]
async fn a_grant_whose_mail_failed_stands() {
    let w = World::new(my());
    let id = w.create(1).await;
    w.control("mail_fails", json!({ "count": 1 }));
    let Granted::Now(p) = w.grant(&id, BEN, FolderRole::Writer).await.unwrap() else { panic!() };
    assert_eq!(p.0, permission_id(BEN));
}

#[tokio::test(start_paused = true)]
async fn s16_rules_of_the_domain_are_refusals_with_a_next_step() {
    let cases = [
        (json!({ "domain": "harbour.example", "share_out": false }), "guest@client.example"),
        (json!({ "domain": "harbour.example", "acl_change": false }), "guest@client.example"),
        (json!({ "domain": "elsewhere.example", "share_in": false }), "visitor@elsewhere.example"),
        (json!({ "drive": SHARED, "domainUsersOnly": true }), "guest@client.example"),
        (json!({ "drive": SHARED, "driveMembersOnly": true }), BEN),
    ];
    for (rule, who) in cases {
        let w = World::new(json!({ "root": SHARED }));
        let id = w.create(1).await;
        w.control("set_policy", rule.clone());
        let e = w.grant(&id, who, FolderRole::Reader).await.unwrap_err();
        assert_eq!((e.kind, e.retry), (ErrorKind::Forbidden, Retry::No), "{rule}");
        assert!(e.next.is_some(), "{rule}");
        assert!(person(&w.sharing(&id).await.unwrap(), who).is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn permission_changes_on_one_folder_never_overlap_and_on_two_they_may() {
    let mut s = seed();
    s["limits"]["permission_write_ms"] = json!(500);
    let w = World::seeded(my(), s);
    let (a, b) = (w.create(1).await, w.create(2).await);
    let began = w.now();
    let (x, y, z, q) = tokio::join!(
        w.grant(&a, BEN, FolderRole::Reader),
        w.grant(&a, CARA, FolderRole::Reader),
        w.grant(&a, ANA, FolderRole::Writer),
        w.grant(&b, BEN, FolderRole::Reader),
    );
    for r in [x, y, z, q] {
        r.unwrap();
    }
    let took = w.now().duration_since(began).as_millis();
    assert_eq!(took, 1_500, "three in a row on one folder, the other beside them");
    // The fake does see an overlap: otherwise this test could not fail.
    let raw = |n: u128| {
        let w = &w;
        let a = a.clone();
        async move {
            let drive = VENDOR.connector(json!({ "root": MY })).unwrap();
            let who = Email::parse(if n == 0 { BEN } else { CARA }).unwrap();
            drive.target().unwrap().grant(&w.write(), &a, &who, FolderRole::Reader, None).await.unwrap();
        }
    };
    tokio::join!(raw(0), raw(1));
    assert_eq!(w.control("violations", json!({}))["violations"].as_array().unwrap().len(), 1);
    let mut w = w;
    w.allow_overlap = true;
}

#[tokio::test(start_paused = true)]
async fn renames_keep_the_folder() {
    let w = World::new(my());
    let id = w.create(1).await;
    let name = "O'Brien / Sons \u{1f980} \\ Ltd.";
    w.target().rename(&w.write(), &id, name).await.unwrap();
    let Stat::Present { name: now, .. } = w.target().stat(&w.read(), &id).await.unwrap() else { panic!() };
    assert_eq!(now, name);
}

#[tokio::test(start_paused = true)]
async fn the_change_feed_names_the_clients_folder_and_a_lost_cursor_means_everything() {
    for root in [MY, SHARED] {
        let w = World::new(json!({ "root": root }));
        let id = w.create(1).await;
        w.put(&id, &file("k", "2026/a.pdf", "a"), Expect::Absent).await.unwrap();
        let t = w.target();
        let start = t.changes(&w.read(), None).await.unwrap();
        assert!(!start.everything && start.folders.is_empty());
        let quiet = t.changes(&w.read(), Some(start.next.clone())).await.unwrap();
        assert!(quiet.folders.is_empty() && !quiet.everything);
        w.control("share", json!({ "file": id.as_str(), "email": BEN }));
        let shared = t.changes(&w.read(), Some(start.next.clone())).await.unwrap();
        assert_eq!(shared.folders, std::slice::from_ref(&id));
        w.control("write", json!({ "file": "a.pdf", "content": "b" }));
        let deep = t.changes(&w.read(), Some(shared.next.clone())).await.unwrap();
        assert!(deep.folders.contains(&id));
        w.control("make", json!({ "name": "by hand", "parent": "2026" }));
        let stranger = t.changes(&w.read(), Some(deep.next)).await.unwrap();
        assert!(stranger.folders.contains(&id), "a stranger's file is placed by what it lies in");
        let lost = t.changes(&w.read(), Some(ChangeCursor("99999".into()))).await.unwrap();
        assert!(lost.everything);
    }
}

#[tokio::test(start_paused = true)]
async fn reserve_gives_as_many_ids_as_asked_and_makes_nothing() {
    let w = World::new(my());
    let ids = w.target().reserve(&w.read(), 2_300).await.unwrap();
    let distinct: std::collections::BTreeSet<_> = ids.iter().map(|i| i.0.clone()).collect();
    assert_eq!((ids.len(), distinct.len()), (2_300, 2_300));
}

#[tokio::test(start_paused = true)]
async fn the_probe_says_what_stands_in_the_way() {
    let levels = |p: &Probe| p.notes.iter().map(|n| (n.level, n.text.clone())).collect::<Vec<_>>();
    let blocked = |p: &Probe, part: &str| {
        p.notes.iter().any(|n| n.level == NoteLevel::Blocker && n.text.contains(part) && n.next.is_some())
    };
    let warned = |p: &Probe, part: &str| p.notes.iter().any(|n| n.level == NoteLevel::Warning && n.text.contains(part));

    let w = World::new(my());
    let p = w.target().probe(&w.read()).await.unwrap();
    assert_eq!((p.account.as_str(), p.root.as_ref().map(FolderId::as_str), p.may_share), (US, Some(MY), true));
    assert!(p.quota.is_some_and(|q| q.limit.is_some()));
    assert!(!p.notes.iter().any(|n| n.level == NoteLevel::Blocker), "{:?}", levels(&p));
    w.control("quota_full", json!({ "email": US }));
    w.control("trash", json!({ "file": MY }));
    assert!(blocked(&w.target().probe(&w.read()).await.unwrap(), "trash"));

    let w = World::new(json!({ "root": "1OpenToEverybody" }));
    let p = w.target().probe(&w.read()).await.unwrap();
    assert!(warned(&p, "link"), "{:?}", levels(&p));
    assert!(p.inherited.iter().any(|p| p.holder == Holder::Link(LinkKind::Anyone)));

    let w = World::new(json!({ "root": "1NotThere" }));
    assert!(blocked(&w.target().probe(&w.read()).await.unwrap(), "not there"));

    let mut s = seed();
    s["drives"][0]["restrictions"] =
        json!({ "domainUsersOnly": true, "sharingFoldersRequiresOrganizerPermission": true });
    s["drives"][0]["members"][0]["role"] = json!("fileOrganizer");
    s["folders"].as_array_mut().unwrap().push(json!({ "id": "1InDrive", "name": "In", "parent": SHARED }));
    let w = World::seeded(json!({ "root": "1InDrive" }), s);
    let p = w.target().probe(&w.read()).await.unwrap();
    assert!(warned(&p, "own domain") && warned(&p, "names of all client folders"), "{:?}", levels(&p));
    assert!(blocked(&p, "may not limit") && blocked(&p, "may not share"), "{:?}", levels(&p));
    assert!(p.quota.is_none());

    let w = World::new(my());
    let service = "ledgerward@harbour-sandbox.iam.gserviceaccount.com";
    w.control("share", json!({ "file": MY, "email": service, "role": "writer" }));
    w.sign_in(service, "drive");
    assert!(blocked(&w.target().probe(&w.read()).await.unwrap(), "service account"));
}

#[tokio::test(start_paused = true)]
async fn a_read_context_writes_nothing() {
    let w = World::new(my());
    let id = w.create(1).await;
    w.forget();
    let t = w.target();
    let _ = t.probe(&w.read()).await.unwrap();
    let _ = t.find(&w.read(), &key(1)).await.unwrap();
    let _ = t.stat(&w.read(), &id).await.unwrap();
    let _ = w.sharing(&id).await.unwrap();
    let _ = w.files(&id).await.unwrap();
    let _ = t.changes(&w.read(), None).await.unwrap();
    assert!(w.wire.seen.lock().unwrap().iter().all(|(r, _)| r.effect == Effect::Read && r.method == "GET"));
}

#[tokio::test(start_paused = true)]
async fn a_second_create_while_the_index_lags_finds_the_first() {
    let w = World::new(my());
    w.control("lag", json!({ "seconds": 600 }));
    let id = w.create(1).await;
    let again = w.target().create(&w.write(), &key(1), "Client 1", None).await.unwrap();
    assert_eq!(again, Created::Exists { id, ours: true });
    assert_eq!(w.named("Client 1"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_person_taken_off_a_limited_folder_is_out_though_the_drive_still_names_it_to_them() {
    let w = World::new(json!({ "root": SHARED }));
    let id = w.create(1).await;
    let erin = "erin@harbour.example";
    let Granted::Now(p) = w.grant(&id, erin, FolderRole::Writer).await.unwrap() else { panic!() };
    assert_eq!(person(&w.sharing(&id).await.unwrap(), erin).unwrap().role, SeenRole::Writer);
    assert_eq!(w.target().revoke(&w.write(), &id, &p).await.unwrap(), Gone::Done);
    assert_eq!(person(&w.sharing(&id).await.unwrap(), erin).unwrap().role, SeenRole::MetadataOnly);
}

#[test]
fn settings_are_checked_and_named() {
    let bad = |v| VENDOR.connector(v).err().unwrap();
    for (v, name) in [
        (json!({ "rooot": "x" }), "rooot"),
        (json!({ "root": "https://drive.google.com/drive/folders/1x" }), "root"),
        (json!({ "root": "" }), "root"),
        (json!({ "root_name": " " }), "root_name"),
        (json!({ "chunk_bytes": 1000 }), "chunk_bytes"),
    ] {
        let e = bad(v);
        assert_eq!(e.kind, ErrorKind::Config);
        assert!(e.message.contains(name) && e.next.is_some(), "{e:?}");
    }
    assert!(VENDOR.connector(json!(null)).is_ok());
    assert!(
        VENDOR.connector(json!({ "service_account": { "file": "key.json" }, "impersonate": "a@b.example" })).is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn a_groups_address_lets_nobody_in_and_says_so() {
    const GROUP: &str = "everyone@harbour.example";
    for mail_fails in [0, 1] {
        let w = World::new(json!({ "root": MY }));
        let id = w.create(1).await;
        let groups = async || {
            let list = holders(&w.sharing(&id).await.unwrap());
            list.into_iter().filter(|(h, ..)| h.starts_with("group:")).map(|(_, role, _)| role).collect::<Vec<_>>()
        };
        w.control("mail_fails", json!({ "count": mail_fails }));
        let e = w.grant(&id, GROUP, FolderRole::Writer).await.unwrap_err();
        assert!(e.kind == ErrorKind::Unsupported && e.message.contains("group") && e.next.is_some(), "{e:?}");
        assert_eq!(groups().await, [], "what was made is gone again");
        // Somebody shared it with the group by hand: that is not ours to take away, nor to raise.
        w.control("share", json!({ "file": id.as_str(), "type": "group", "email": GROUP, "role": "reader" }));
        w.control("mail_fails", json!({ "count": mail_fails }));
        let e = w.grant(&id, GROUP, FolderRole::Writer).await.unwrap_err();
        assert_eq!((e.kind, groups().await), (ErrorKind::Unsupported, vec![SeenRole::Reader]));
    }
}
