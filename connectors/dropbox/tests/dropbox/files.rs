//! Files: hashes, sessions, conditions, and never outside the folder.

use bytes::Bytes;
use ledgerward_contract::*;
use ledgerward_dropbox::{api::ascii, content_hash};
use serde_json::json;

use crate::common::*;

#[test]
fn content_hash_is_dropboxs() {
    let zeros = |n: usize| content_hash(&vec![0; n]);
    let block = 4 << 20;
    for (hash, want) in [
        (content_hash(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (content_hash(b"hello"), "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50"),
        (content_hash(b"ledgerward"), "acf912342f3f5d76f5cae081dd841e669fc42d1b1d0b9c2768b4216aee4193f6"),
        (zeros(block), "c7e946d101855255d919ef0c70718633adf77d3dfb3adeeecf5d0cb4e951be58"),
        (zeros(block + 1), "14a4d47f23a30177885d9820122f17d2d3a55fe63f7f5c27b95f689e0b2accd6"),
        (zeros(2 * block), "03ae066c707c588592d9e27aa2444ca98423e0999024f1ceaa11a153790b37de"),
    ] {
        assert_eq!(hash, want);
    }
}

#[test]
fn arguments_in_headers_are_ascii_with_surrogate_pairs() {
    let text = ascii(&json!({ "path": "/Müller 🧾 \u{7f}" }));
    assert_eq!(text, r#"{"path":"/M\u00fcller \ud83e\uddfe \u007f"}"#);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["path"], "/Müller 🧾 \u{7f}");
}

fn big(fill: u8) -> Bytes {
    (0..(9 << 20)).map(|i: u32| (i % 251) as u8 ^ fill).collect::<Vec<_>>().into()
}

fn small_pieces() -> World {
    World::seeded(json!({ "chunk_bytes": 4 << 20 }), "personal")
}

#[tokio::test(start_paused = true)]
async fn a_large_file_goes_in_pieces_and_the_line_may_break() {
    let w = small_pieces();
    let f = w.create(1).await;
    w.control("partial_pieces", json!({ "count": 1 }));
    let stored = w.put(&f, &file("2026/big.pdf", big(1)), Expect::Absent).await.unwrap();
    assert_eq!((stored.size, stored.written), (9 << 20, true));
    assert!(w.sent("upload.append") >= 2, "half a piece was sent on from where it broke");
    let over = Expect::Unchanged(stored.id.clone(), stored.tag.clone());
    let next = w.put(&f, &file("2026/big.pdf", big(2)), over).await.unwrap();
    assert!(next.id == stored.id && next.tag != stored.tag);
    let again = w.put(&f, &file("2026/big.pdf", big(2)), Expect::Absent).await.unwrap();
    assert!(!again.written);
    assert_eq!(w.files(&f).await.unwrap().items().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_finish_whose_answer_was_lost_is_found_out() {
    let w = small_pieces();
    let f = w.create(1).await;
    w.control("drop_answers", json!({ "path": "upload_session/finish", "count": 1 }));
    let stored = w.put(&f, &file("big.pdf", big(3)), Expect::Absent).await.unwrap();
    let list = w.files(&f).await.unwrap();
    assert_eq!(list.items().iter().map(|s| (&s.id, s.size)).collect::<Vec<_>>(), [(&stored.id, 9 << 20)]);
    // A start whose session is forgotten begins anew, and says so when that never ends.
    w.control("outage", json!({ "path": "upload_session/append_v2", "status": "not_found", "count": 9 }));
    let e = w.put(&f, &file("big2.pdf", big(4)), Expect::Absent).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unavailable);
    assert_eq!(w.sent("upload.start"), 1 + 3);
}

/// Puts these files at a time: the first finds nothing written and goes alone, the others come while it is.
async fn many(w: &World, folder: &FolderId, files: &[(StatementFile, Expect)]) -> Vec<Result<Stored>> {
    let fenced = w.fenced(folder, &[BEN, CARA], &[US]).await;
    let (fenced, cx) = (&fenced, w.write());
    let cx = &cx;
    let put = files.iter().map(|(file, expect)| w.target().put(cx, fenced, file, expect.clone()));
    futures::future::join_all(put).await
}

fn small(range: std::ops::Range<u8>) -> Vec<(StatementFile, Expect)> {
    range.map(|n| (file(&format!("2026/{n}.pdf"), vec![n; 9]), Expect::Absent)).collect()
}

#[tokio::test(start_paused = true)]
async fn small_files_that_come_at_a_time_are_committed_together() {
    let w = World::personal();
    let f = w.create(1).await;
    w.control("limits", json!({ "write_ms": 200 }));
    let done = many(&w, &f, &small(0..12)).await;
    assert!(done.iter().all(|d| d.as_ref().unwrap().written));
    assert_eq!(w.files(&f).await.unwrap().items().len(), 12);
    // One goes alone; of the others none waits for a commit of its own.
    let stats = &w.control("stats", json!({}))["requests"];
    assert_eq!(stats["files/upload"], json!(2), "the marker's, and one");
    assert_eq!(stats["files/upload_session/start"], json!(11));
    assert!(stats["files/upload_session/finish_batch_v2"].as_u64().unwrap() <= 4, "{stats}");
    // Each has its own end: the same bytes, other bytes, a replacement, a new one.
    let over =
        |n: usize| Expect::Unchanged(done[n].as_ref().unwrap().id.clone(), done[n].as_ref().unwrap().tag.clone());
    let again = many(
        &w,
        &f,
        &[
            (file("2026/first.pdf", "first"), Expect::Absent),
            (file("2026/3.pdf", vec![3; 9]), Expect::Absent),
            (file("2026/4.pdf", "other"), Expect::Absent),
            (file("2026/5.pdf", "restated"), over(5)),
            (file("2026/6.pdf", "stale"), Expect::Unchanged(done[6].as_ref().unwrap().id.clone(), "0".into())),
        ],
    )
    .await;
    let told: Vec<_> = again.iter().map(|r| r.as_ref().map(|s| s.written).map_err(|e| e.kind)).collect();
    assert_eq!(told, [Ok(true), Ok(false), Err(ErrorKind::Conflict), Ok(true), Err(ErrorKind::Conflict)]);
    assert_eq!(w.files(&f).await.unwrap().items().len(), 13);
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_many_that_is_lost_busy_or_refused_is_nobodys_loss() {
    let w = World::personal();
    let f = w.create(1).await;
    w.control("limits", json!({ "write_ms": 200 }));
    // Lost as often as is borne, and then locked for seconds: each has a count of its own.
    w.control("drop_answers", json!({ "path": "finish_batch", "count": 3 }));
    w.control("busy_commits", json!({ "count": 28 }));
    let done = many(&w, &f, &small(0..6)).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert_eq!(w.files(&f).await.unwrap().items().len(), 6);
    w.control("outage", json!({ "path": "finish_batch", "status": "too_many_files", "count": 9 }));
    let refused = many(&w, &f, &small(20..24)).await;
    assert!(refused[0].is_ok() && refused[1..].iter().all(Result::is_err), "{refused:?}");
    w.control("outage", json!({ "path": "finish_batch", "status": 0, "count": 0 }));
    w.control("outage", json!({ "path": "finish_batch", "status": "object", "count": 9 }));
    let odd = many(&w, &f, &small(30..33)).await;
    assert_eq!(odd[1].as_ref().unwrap_err().kind, ErrorKind::Contract);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_nobody_waits_for_any_more_is_not_committed_with_others() {
    let w = World::personal();
    let f = w.create(1).await;
    w.control("limits", json!({ "write_ms": 200 }));
    let fenced = w.fenced(&f, &[BEN, CARA], &[US]).await;
    let (cx, files) = (w.write(), small(0..3));
    let mut put: Vec<_> =
        files.iter().map(|(file, expect)| w.target().put(&cx, &fenced, file, expect.clone())).collect();
    // The first file's commit is under way, and the bytes of the others come.
    for _ in 0..50 {
        for one in &mut put {
            assert!(futures::poll!(one).is_pending());
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(w.sent("upload.start"), 2);
    drop(put.remove(1));
    assert!(futures::future::join_all(put).await.iter().all(Result::is_ok));
    let there: Vec<u64> = w.files(&f).await.unwrap().items().iter().map(|s| s.size).collect();
    assert_eq!(there, [9, 9]);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_damaged_on_the_way_into_a_commit_are_not_taken_for_whole() {
    let w = World::personal();
    let f = w.create(1).await;
    w.control("limits", json!({ "write_ms": 200 }));
    w.control("corrupt_uploads", json!({ "count": 3 }));
    let done = many(&w, &f, &small(0..3)).await;
    assert!(done.iter().all(|d| d.as_ref().is_err_and(|e| e.kind == ErrorKind::Contract)), "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn damaged_bytes_are_never_taken_for_whole() {
    let w = World::personal();
    let f = w.create(1).await;
    w.control("corrupt_uploads", json!({ "count": 1 }));
    let e = w.put(&f, &file("a.pdf", "x"), Expect::Absent).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Contract);
    w.control("quota_full", json!({ "email": US }));
    let e = w.put(&f, &file("b.pdf", "more"), Expect::Absent).await.unwrap_err();
    assert!(e.message.contains("full") && e.next.is_some(), "{e:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_moved_out_of_the_folder_is_never_written_to() {
    let w = World::personal();
    let (a, b) = (w.create(1).await, w.create(2).await);
    let v1 = w.put(&a, &file("2026/a.pdf", "v1"), Expect::Absent).await.unwrap();
    let over = || Expect::Unchanged(v1.id.clone(), v1.tag.clone());
    // Renamed inside the folder: it is written where it lies.
    w.control("rename", json!({ "folder": v1.id.as_str(), "name": "renamed.pdf" }));
    let v2 = w.put(&a, &file("2026/a.pdf", "v2"), over()).await.unwrap();
    assert_eq!(v2.id, v1.id);
    w.control("move", json!({ "folder": v1.id.as_str(), "to": b.as_str() }));
    let v2 = Expect::Unchanged(v2.id, v2.tag);
    let e = w.put(&a, &file("2026/a.pdf", "v3"), v2).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Conflict);
    assert_eq!(w.files(&b).await.unwrap().items()[0].size, 2);
}

#[tokio::test(start_paused = true)]
async fn names_that_differ_by_case_are_one_file_and_the_marker_is_ours() {
    let w = World::personal();
    let f = w.create(1).await;
    let one = w.put(&f, &file("2026/BWA Ü.pdf", "x"), Expect::Absent).await.unwrap();
    let same = w.put(&f, &file("2026/bwa ü.PDF", "x"), Expect::Absent).await.unwrap();
    assert_eq!((same.id, same.written), (one.id, false));
    let e = w.put(&f, &file("2026/bwa ü.PDF", "other"), Expect::Absent).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Conflict);
    let e = w.put(&f, &file(".Ledgerward.json", "x"), Expect::Absent).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unsupported);
    assert_eq!(w.files(&f).await.unwrap().items()[0].path, ["2026", "BWA Ü.pdf"]);
}

#[tokio::test(start_paused = true)]
async fn p11_writes_of_many_lanes_never_overlap() {
    let w = World::personal();
    let (a, b) = (w.create(1).await, w.create(2).await);
    let (fa, fb) = (file("a.pdf", "a"), file("b.pdf", "b"));
    let both = tokio::join!(
        w.put(&a, &fa, Expect::Absent),
        w.put(&b, &fb, Expect::Absent),
        w.grant(&a, BEN, FolderRole::Reader),
        w.grant(&b, CARA, FolderRole::Writer),
    );
    both.0.unwrap();
    both.1.unwrap();
    both.2.unwrap();
    both.3.unwrap();
    // The fake counts writes that overlap, and every test ends with a look at that count.
}
