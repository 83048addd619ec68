//! Files: whole, once, verified; large ones in parts.

use bytes::Bytes;
use ledgerward_contract::*;
use serde_json::json;

use crate::common::*;

/// As large as Box takes in parts, and each byte depends on its place.
fn large(seed: u8) -> Bytes {
    let mut bytes: Vec<u8> =
        (0..10_007_u32).map(|n| (n / 251) as u8 ^ n as u8 ^ seed).collect::<Vec<_>>().repeat(2_000);
    bytes.truncate(20_000_001);
    bytes.into()
}

#[tokio::test(start_paused = true)]
async fn large_files_go_in_parts_and_are_committed_when_box_is_ready() {
    let w = World::rooted();
    let f = w.create(1).await;
    w.control("pending_commits", json!({ "count": 2 }));
    w.control("parts_race", json!({ "count": 1 }));
    let v1 = w.put(&f, &file("big.bin", large(1)), Expect::Absent).await.unwrap();
    assert!(v1.written && v1.size == 20_000_001);
    assert_eq!((w.sent("upload.send"), w.sent("upload.commit"), w.sent("file.put")), (3, 4, 0));
    // Again: the name is taken, and by the same bytes.
    let again = w.put(&f, &file("big.bin", large(1)), Expect::Absent).await.unwrap();
    assert_eq!(again, Stored { written: false, ..v1.clone() });
    let to = Expect::Unchanged(v1.id.clone(), v1.tag.clone());
    let v2 = w.put(&f, &file("big.bin", large(2)), to.clone()).await.unwrap();
    assert!(v2.id == v1.id && v2.tag != v1.tag);
    assert_eq!(w.put(&f, &file("big.bin", large(3)), to).await.unwrap_err().kind, ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn a_broken_upload_begins_anew_or_says_so() {
    let w = World::rooted();
    let f = w.create(1).await;
    let big = file("big.bin", large(1));
    // Box forgets the session between two parts.
    w.control(
        "outage",
        json!({ "path": "/upload_sessions/", "method": "PUT", "status": 410, "code": "session_expired" }),
    );
    assert!(w.put(&f, &big, Expect::Absent).await.unwrap().written);
    assert_eq!(w.sent("upload.open"), 2);
    // The commit is done and its answer is lost: the next run finds the file.
    let big = file("big2.bin", large(2));
    w.control("drop_answers", json!({ "path": "/commit" }));
    assert_eq!(w.put(&f, &big, Expect::Absent).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(!w.put(&f, &big, Expect::Absent).await.unwrap().written);
    // A part that does not get through ends the session.
    let big = file("big3.bin", large(3));
    w.control("outage", json!({ "path": "/upload_sessions/", "method": "PUT", "status": 503 }));
    assert_eq!(w.put(&f, &big, Expect::Absent).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(w.sent("upload.abort"), 1);
    // A host that is none of ours gets neither bytes nor token.
    w.control("limits", json!({ "upload_base": "https://upload-ams.box.example" }));
    let sent = w.sent("upload.send");
    let e = w.put(&f, &big, Expect::Absent).await.unwrap_err();
    assert_eq!((e.kind, w.sent("upload.send")), (ErrorKind::Config, sent));
    assert!(e.next.unwrap().contains("endpoints.upload_sessions"));
}

#[tokio::test(start_paused = true)]
async fn damage_is_seen_and_taken_away() {
    let w = World::rooted();
    let f = w.create(1).await;
    w.control("corrupt_uploads", json!({}));
    let e = w.put(&f, &file("a.pdf", "whole"), Expect::Absent).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Contract);
    assert!(w.items().iter().find(|i| i["name"] == "a.pdf").unwrap()["trashed"] == true);
    assert!(w.put(&f, &file("a.pdf", "whole"), Expect::Absent).await.unwrap().written, "the name is free again");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_went_elsewhere_is_not_written_to() {
    let w = World::rooted();
    let (f, other) = (w.create(1).await, w.create(2).await);
    let v1 = w.put(&f, &file("2026/a.pdf", "v1"), Expect::Absent).await.unwrap();
    let put = async || {
        let there = w.dumped(v1.id.as_str())["id"].clone();
        assert_eq!(there, v1.id.as_str());
        w.put(&f, &file("2026/a.pdf", "v2"), Expect::Unchanged(v1.id.clone(), v1.tag.clone())).await
    };
    w.control("move", json!({ "item": v1.id.as_str(), "to": other.as_str() }));
    let e = put().await.unwrap_err();
    assert!(e.kind == ErrorKind::Conflict && e.message.contains("moved out"), "{e:?}");
    w.control("trash", json!({ "item": v1.id.as_str() }));
    assert_eq!(put().await.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(w.dumped(v1.id.as_str())["size"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_version_is_no_second_version() {
    let w = World::rooted();
    let f = w.create(1).await;
    let v1 = w.put(&f, &file("a.pdf", "v1"), Expect::Absent).await.unwrap();
    let to = Expect::Unchanged(v1.id.clone(), v1.tag.clone());
    w.control("drop_answers", json!({ "path": "/content" }));
    assert_eq!(w.put(&f, &file("a.pdf", "v2"), to.clone()).await.unwrap_err().kind, ErrorKind::Unavailable);
    let v2 = w.put(&f, &file("a.pdf", "v2"), to).await.unwrap();
    assert!(!v2.written);
    assert_eq!(v2.tag.as_str(), "2", "one version was made");
}

#[tokio::test(start_paused = true)]
async fn a_full_account_and_a_large_file_are_told_in_words() {
    let w = World::new(json!({ "root": ROOT, "file_bytes_max": 5 }));
    let f = w.create(1).await;
    let e = w.put(&f, &file("a.pdf", "123456"), Expect::Absent).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unsupported);
    w.control("quota_full", json!({ "user": US }));
    let e = w.put(&f, &file("a.pdf", "12345"), Expect::Absent).await.unwrap_err();
    assert!(e.message.contains("storage is full") && e.next.is_some(), "{e:?}");
    w.control("make", json!({ "name": "2026", "parent": f.as_str(), "content": "" }));
    let e = w.put(&f, &file("2026/a.pdf", "1"), Expect::Absent).await.unwrap_err();
    assert!(e.kind == ErrorKind::Conflict && e.message.contains("a file lies"), "{e:?}");
}
