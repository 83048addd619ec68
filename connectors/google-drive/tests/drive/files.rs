//! Files: where they go, that they arrive whole, and what is never overwritten.

use bytes::Bytes;
use ledgerward_contract::*;
use ledgerward_google_drive::file_marker;
use serde_json::json;

use crate::common::*;

/// Bytes that repeat nowhere, so that a piece in the wrong place shows.
fn many(n: usize) -> Bytes {
    let mut x = 12_345_u32;
    (0..n)
        .map(|_| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 24) as u8
        })
        .collect()
}

fn my() -> serde_json::Value {
    json!({ "root": MY, "chunk_bytes": 2 << 20 })
}

#[tokio::test(start_paused = true)]
async fn a_file_goes_into_its_sub_folders_and_is_listed_with_its_marker() {
    for root in [MY, SHARED] {
        let w = World::new(json!({ "root": root }));
        let id = w.create(1).await;
        let f = file("acme/2026-10/profit-and-loss/pdf", "2026/2026-10/Profit & loss 'Oct' \u{1f4c8}.pdf", "hello");
        let stored = w.put(&id, &f, Expect::Absent).await.unwrap();
        assert!(stored.written && stored.size == 5);
        let list = w.files(&id).await.unwrap();
        let [seen] = list.items() else { panic!() };
        assert_eq!(seen.path, f.path.names());
        assert_eq!((&seen.id, &seen.tag, seen.size), (&stored.id, &stored.tag, 5));
        assert_eq!(seen.key, Some(FileKey(file_marker(&f.key))));
    }
}

#[tokio::test(start_paused = true)]
async fn writers_share_on_nothing_that_was_put_into_a_folder() {
    for (root, large) in [(MY, false), (MY, true), (SHARED, false), (SHARED, true)] {
        let w = World::new(json!({ "root": root }));
        let id = w.create(1).await;
        let bytes = many(if large { 6_000_000 } else { 9 });
        let stored = w.put(&id, &file("k", "2026/10/a.pdf", bytes), Expect::Absent).await.unwrap();
        let mut at = stored.id.0;
        while at != id.0 {
            let node = w.dumped(&at);
            // A shared drive has a rule of its own for this, and refuses the field.
            assert_eq!(node["writersCanShare"], root == SHARED, "{node}");
            at = node["parent"].as_str().unwrap().to_owned();
        }
        assert!(w.put(&id, &file("l", "2026/10/b.pdf", "b"), Expect::Absent).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_bytes_twice_are_one_file() {
    let w = World::new(my());
    let id = w.create(1).await;
    let f = file("k", "2026/a.pdf", "a");
    let first = w.put(&id, &f, Expect::Absent).await.unwrap();
    let again = w.put(&id, &f, Expect::Absent).await.unwrap();
    assert_eq!((again.id, again.tag, again.written), (first.id, first.tag, false));
    assert_eq!((w.named("a.pdf"), w.named("2026")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn s01_s02_a_put_whose_answer_was_lost_leaves_one_file_and_one_sub_folder() {
    let w = World::new(my());
    let id = w.create(1).await;
    w.control("lag", json!({ "seconds": 600 }));
    for lost in ["/drive/v3/files", "/upload/"] {
        w.control("drop_answers", json!({ "path": lost, "method": "POST" }));
        let mut f = file(lost, "2026/a.pdf", lost.to_owned());
        f.path = FilePath::new(vec!["2026".into(), format!("{}.pdf", lost.len())]).unwrap();
        f.reserved = Some(w.target().reserve(&w.read(), 1).await.unwrap().remove(0));
        let e = w.put(&id, &f, Expect::Absent).await.unwrap_err();
        assert_eq!(e.kind, ErrorKind::Unavailable);
        let again = w.put(&id, &f, Expect::Absent).await.unwrap();
        assert_eq!(again.written, lost == "/drive/v3/files", "the bytes were there already");
        assert_eq!(again.id.0, f.reserved.clone().unwrap().0);
        assert_eq!(w.named(&format!("{}.pdf", lost.len())), 1);
    }
    assert_eq!(w.named("2026"), 1);
}

#[tokio::test(start_paused = true)]
async fn s10_a_new_process_makes_no_second_file_or_sub_folder_while_the_index_lags() {
    let mut w = World::new(my());
    let id = w.create(1).await;
    w.control("lag", json!({ "seconds": 3_600 }));
    let mut f = file("k", "2026/07/a.pdf", "a");
    f.reserved = Some(w.target().reserve(&w.read(), 1).await.unwrap().remove(0));
    let mut other = file("j", "2026/07/b.pdf", "b");
    other.reserved = Some(w.target().reserve(&w.read(), 1).await.unwrap().remove(0));
    w.control("drop_answers", json!({ "path": "/drive/v3/files", "method": "POST" }));
    w.put(&id, &f, Expect::Absent).await.unwrap_err();
    for one in [&f, &f, &other] {
        w.connector = VENDOR.connector(my()).unwrap();
        w.put(&id, one, Expect::Absent).await.unwrap();
    }
    assert_eq!((w.named("a.pdf"), w.named("b.pdf"), w.named("2026"), w.named("07")), (1, 1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_strangers_file_of_the_same_name_is_left_as_it_is() {
    let w = World::new(my());
    let id = w.create(1).await;
    w.control(
        "make",
        json!({ "name": "a.pdf", "parent": id.as_str(), "mime": "application/pdf", "content": "theirs" }),
    );
    let e = w.put(&id, &file("k", "a.pdf", "ours"), Expect::Absent).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Conflict);
    assert_eq!(w.files(&id).await.unwrap().items().len(), 1);
    let same = w.put(&id, &file("k", "a.pdf", "theirs"), Expect::Absent).await.unwrap();
    assert!(!same.written);
    // Ours with other content is a conflict as well: the writer does not know what is there.
    w.put(&id, &file("j", "b.pdf", "one"), Expect::Absent).await.unwrap();
    let e = w.put(&id, &file("j", "b.pdf", "two"), Expect::Absent).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn a_strangers_sub_folder_is_not_ours_to_fill() {
    let w = World::new(my());
    let id = w.create(1).await;
    let theirs = w.control("make", json!({ "name": "2026", "parent": id.as_str(), "owner": US }));
    w.put(&id, &file("k", "2026/a.pdf", "a"), Expect::Absent).await.unwrap();
    let dump = w.control("dump", json!({}));
    let put = dump["files"].as_array().unwrap().iter().find(|f| f["name"] == "a.pdf").unwrap().clone();
    assert_ne!(put["parent"], theirs["id"]);
    // Ours is known even after a person renamed it.
    w.control("rename", json!({ "file": put["parent"], "name": "Year 2026" }));
    let fresh = VENDOR.connector(my()).unwrap();
    let fenced = w.fenced(&id, &[]).await;
    fresh.target().unwrap().put(&w.write(), &fenced, &file("l", "2026/b.pdf", "b"), Expect::Absent).await.unwrap();
    assert_eq!(w.named("Year 2026"), 1);
    assert_eq!(w.files(&id).await.unwrap().items().iter().filter(|f| f.path[0] == "Year 2026").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_needs_the_file_as_it_was() {
    let w = World::new(my());
    let id = w.create(1).await;
    let first = w.put(&id, &file("k", "2026/a.pdf", "one"), Expect::Absent).await.unwrap();
    let two = file("k", "2026/a.pdf", "two");
    let over = |tag: &Tag| Expect::Unchanged(first.id.clone(), tag.clone());
    let second = w.put(&id, &two, over(&first.tag)).await.unwrap();
    assert!(second.written && second.id == first.id && second.tag != first.tag);
    assert_eq!(w.named("a.pdf"), 1);
    // A repeat after a lost answer: the old tag, the new bytes.
    assert!(!w.put(&id, &two, over(&first.tag)).await.unwrap().written);
    let three = file("k", "2026/a.pdf", "three");
    assert_eq!(w.put(&id, &three, over(&first.tag)).await.unwrap_err().kind, ErrorKind::Conflict);
    w.control("write", json!({ "file": first.id.as_str(), "content": "by hand" }));
    assert_eq!(w.put(&id, &three, over(&second.tag)).await.unwrap_err().kind, ErrorKind::Conflict);
    let other = file("another key", "2026/a.pdf", "x");
    assert_eq!(w.put(&id, &other, over(&second.tag)).await.unwrap_err().kind, ErrorKind::Conflict);
    w.control("trash", json!({ "file": first.id.as_str() }));
    assert_eq!(w.put(&id, &three, over(&second.tag)).await.unwrap_err().kind, ErrorKind::Conflict);
    w.control("delete", json!({ "file": first.id.as_str() }));
    assert_eq!(w.put(&id, &three, over(&second.tag)).await.unwrap_err().kind, ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn s07_a_file_moved_out_of_the_fenced_folder_is_not_written_to() {
    let w = World::new(json!({ "root": MY }));
    let id = w.create(1).await;
    let first = w.put(&id, &file("k", "2026/a.pdf", "one"), Expect::Absent).await.unwrap();
    w.control("make", json!({ "name": "Public", "owner": US, "share": [{ "type": "anyone" }] }));
    w.control("move", json!({ "file": first.id.as_str(), "to": "Public" }));
    let e = w.put(&id, &file("k", "2026/a.pdf", "two"), Expect::Unchanged(first.id, first.tag)).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Conflict);
    assert!(e.message.contains("moved out"), "{e:?}");
    assert_eq!(w.sent("file.put"), 1);
}

#[tokio::test(start_paused = true)]
async fn s07_a_sub_folder_moved_away_is_made_anew_inside() {
    let w = World::new(my());
    let id = w.create(1).await;
    w.put(&id, &file("k", "2026/a.pdf", "one"), Expect::Absent).await.unwrap();
    w.control("make", json!({ "name": "Public", "owner": US, "share": [{ "type": "anyone" }] }));
    w.control("move", json!({ "file": "2026", "to": "Public" }));
    w.put(&id, &file("l", "2026/b.pdf", "two"), Expect::Absent).await.unwrap();
    let list = w.files(&id).await.unwrap();
    assert_eq!(list.items().len(), 1);
    assert_eq!(list.items()[0].path, ["2026", "b.pdf"]);
}

#[tokio::test(start_paused = true)]
async fn a_large_file_goes_in_pieces_and_survives_what_befalls_them() {
    let big = many(5_200_001);
    type Hurt = fn(&World);
    let hurts: [(&str, Hurt); 6] = [
        ("nothing", |_| {}),
        ("half a piece taken", |w| drop(w.control("partial_pieces", json!({ "count": 2 })))),
        ("a piece met a 503", |w| {
            drop(w.control("outage", json!({ "path": "/upload/", "method": "PUT", "count": 1 })))
        }),
        ("a piece arrived, its answer did not", |w| {
            drop(w.control("drop_answers", json!({ "path": "/upload/", "method": "PUT", "count": 1 })))
        }),
        ("the session died", |w| {
            drop(w.control("outage", json!({ "path": "/upload/", "method": "PUT", "status": 404, "count": 1 })))
        }),
        ("a piece met a rate limit", |w| {
            drop(w.control(
                "outage",
                json!({ "path": "/upload/", "method": "PUT", "status": 403, "reason": "userRateLimitExceeded" }),
            ))
        }),
    ];
    for (name, hurt) in hurts {
        for root in if name == "nothing" { &[MY, SHARED][..] } else { &[MY][..] } {
            let w = World::new(json!({ "root": root, "chunk_bytes": 2 << 20 }));
            let id = w.create(1).await;
            hurt(&w);
            let f = file("big", "2026/big.bin", big.clone());
            let stored = w.put(&id, &f, Expect::Absent).await.unwrap_or_else(|e| panic!("{name}: {e:?}"));
            assert_eq!((stored.size, stored.written), (big.len() as u64, true), "{name}");
            assert_eq!(w.named("big.bin"), 1, "{name}");
            let mut next = big.to_vec();
            next[5_000_000] ^= 1;
            let over = file("big", "2026/big.bin", next);
            hurt(&w);
            let again = w.put(&id, &over, Expect::Unchanged(stored.id.clone(), stored.tag)).await.unwrap();
            assert_eq!((again.id, again.written), (stored.id, true), "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn x06_the_pieces_carry_no_token_and_the_sessions_address_stands_in_no_error() {
    let w = World::new(my());
    let id = w.create(1).await;
    w.control("outage", json!({ "path": "/upload/", "method": "PUT", "status": 404, "count": 50 }));
    let e = w.put(&id, &file("big", "big.bin", many(6_000_000)), Expect::Absent).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unavailable);
    assert!(!format!("{e:?} {e}").contains("upload_id"));
    let pieces: Vec<_> = w.wire.inner.requests().into_iter().filter(|r| r.query("upload_id").is_some()).collect();
    assert!(pieces.len() >= 3, "three sessions were tried");
    assert!(pieces.iter().all(|r| r.header("authorization").is_none()));
    assert_eq!(w.named("big.bin"), 0);
}

#[tokio::test(start_paused = true)]
async fn s03_a_large_upload_whose_last_answer_was_lost_is_one_file() {
    let w = World::new(json!({ "root": MY, "chunk_bytes": 16 << 20 }));
    let id = w.create(1).await;
    w.control("drop_answers", json!({ "path": "/upload/", "method": "PUT" }));
    let stored = w.put(&id, &file("big", "big.bin", many(6_000_000)), Expect::Absent).await.unwrap();
    assert!(stored.written);
    assert_eq!(w.named("big.bin"), 1);
    assert_eq!(w.sent("upload.open"), 1, "the same session told that it was done");
}

#[tokio::test(start_paused = true)]
async fn damaged_on_the_way_is_an_error_and_goes_into_the_trash() {
    for size in [10, 6_000_000] {
        let w = World::new(my());
        let id = w.create(1).await;
        w.control("corrupt_uploads", json!({ "count": 1 }));
        let f = file("k", "a.bin", many(size));
        let e = w.put(&id, &f, Expect::Absent).await.unwrap_err();
        assert_eq!(e.kind, ErrorKind::Contract);
        assert_eq!(w.named("a.bin"), 0, "the damaged file does not stay");
        assert!(w.put(&id, &f, Expect::Absent).await.unwrap().written);
    }
}

#[tokio::test(start_paused = true)]
async fn s09_a_full_account_refuses_files_and_still_shares() {
    let w = World::new(my());
    let id = w.create(1).await;
    w.grant(&id, BEN, FolderRole::Reader).await.unwrap();
    w.control("quota_full", json!({ "email": US }));
    let e = w.put(&id, &file("k", "a.bin", many(10)), Expect::Absent).await.unwrap_err();
    assert_eq!((e.kind, e.retry), (ErrorKind::Forbidden, Retry::No));
    assert!(e.message.contains("storage is full"));
    let ben = person(&w.sharing(&id).await.unwrap(), BEN).unwrap();
    assert_eq!(w.target().revoke(&w.write(), &id, &ben.id).await.unwrap(), Gone::Done);
}

#[tokio::test(start_paused = true)]
async fn new_files_and_folders_ignore_the_domains_open_default() {
    let w = World::new(my());
    w.control("set_policy", json!({ "domain": "harbour.example", "default_visible": true }));
    let id = w.create(1).await;
    w.put(&id, &file("k", "2026/a.pdf", "a"), Expect::Absent).await.unwrap();
    w.put(&id, &file("l", "2026/b.bin", many(6_000_000)), Expect::Absent).await.unwrap();
    let list = w.sharing(&id).await.unwrap();
    assert_eq!(list.items().len(), 1, "{:?}", holders(&list));
}

#[tokio::test(start_paused = true)]
async fn names_survive_as_they_are() {
    let w = World::new(my());
    let id = w.create(1).await;
    for (i, name) in
        ["O'Brien \"& Co\".pdf", "--ledgerward-part-0", "B\u{e9}b\u{e9} \u{1f476}\u{1f3fd}.pdf", "a+b%20c#d?.pdf"]
            .iter()
            .enumerate()
    {
        let f = file(&format!("k{i}"), name, format!("--ledgerward-part-0\r\n\r\n{i}"));
        assert!(w.put(&id, &f, Expect::Absent).await.unwrap().written, "{name}");
        assert!(!w.put(&id, &f, Expect::Absent).await.unwrap().written, "{name}");
        assert_eq!(w.named(name), 1);
    }
    let empty = w.put(&id, &file("empty", "empty.txt", ""), Expect::Absent).await.unwrap();
    assert_eq!(empty.size, 0);
}

#[tokio::test(start_paused = true)]
async fn many_files_and_folders_are_all_listed_whatever_the_page() {
    let w = World::new(my());
    let id = w.create(1).await;
    for i in 0..45 {
        let sub = w.control("make", json!({ "name": format!("d{i}"), "parent": id.as_str() }));
        let at = json!({ "name": "f", "parent": sub["id"], "mime": "text/plain", "content": i.to_string() });
        w.control("make", at);
    }
    w.control("limits", json!({ "list_page_max": 7 }));
    let list = w.files(&id).await.unwrap();
    assert_eq!(list.items().len(), 45);
    assert!(list.items().iter().all(|f| f.path.len() == 2));
    w.control("limits", json!({ "list_page_max": 1_000 }));
    w.forget();
    w.files(&id).await.unwrap();
    assert_eq!(w.sent("files.list"), 4, "the folder by its id, itself, and two requests for 45 sub-folders");
}

#[tokio::test(start_paused = true)]
async fn s08_a_sub_folder_thrown_away_is_made_anew() {
    for verb in ["trash", "delete"] {
        let w = World::new(my());
        let id = w.create(1).await;
        w.put(&id, &file("k", "2026/a.pdf", "one"), Expect::Absent).await.unwrap();
        w.control(verb, json!({ "file": "2026" }));
        let again = w.put(&id, &file("k", "2026/a.pdf", "one"), Expect::Absent).await.unwrap();
        assert!(again.written, "{verb}");
        assert_eq!(w.files(&id).await.unwrap().items().len(), 1, "{verb}");
    }
}

#[tokio::test(start_paused = true)]
async fn uploads_have_the_time_that_a_slow_line_needs() {
    let w = World::new(my());
    let id = w.create(1).await;
    w.put(&id, &file("a", "a.bin", many(4_900_000)), Expect::Absent).await.unwrap();
    w.put(&id, &file("b", "b.bin", many(5_100_000)), Expect::Absent).await.unwrap();
    let seen = w.wire.seen.lock().unwrap();
    let times: Vec<_> = seen.iter().filter(|(r, _)| matches!(r.op, "file.put" | "upload.send")).collect();
    assert_eq!(times.len(), 4);
    assert!(times[0].0.timeout.unwrap().as_secs() > 90);
    assert!(times[1].0.timeout.unwrap().as_secs() > 60);
}
