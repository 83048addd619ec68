//! Files: pieces, lost answers, hashes, names.

use std::sync::Arc;

use async_trait::async_trait;
use ledgerward_contract::*;
use serde_json::json;

use crate::common::*;

const BIG: usize = 11 << 20;

fn big() -> Vec<u8> {
    (0..BIG).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn p20_large_files_go_in_pieces_without_our_token_and_go_on_after_a_break() {
    let w = World::rooted();
    let f = w.create(1).await;
    let whole = w.put(&f, &file("big.pdf", big()), Expect::Absent).await.unwrap();
    assert_eq!((whole.size, w.sent("upload.send")), (BIG as u64, 3));
    // The second piece arrives and its answer is lost.
    w.control("drop_answers", json!({ "path": "uploadSession", "method": "PUT", "count": 1 }));
    let more = file("more.pdf", big());
    let first = w.put(&f, &more, Expect::Absent).await;
    assert_eq!(first.unwrap_err().kind, ErrorKind::Unavailable);
    w.put(&f, &more, Expect::Absent).await.unwrap();
    assert!(!w.put(&f, &more, Expect::Absent).await.unwrap().written);
    // A new version, then the same bytes over an old state.
    let mut changed = big();
    changed[7] = 255;
    let over = Expect::Unchanged(whole.id.clone(), whole.tag.clone());
    let second = w.put(&f, &file("big.pdf", changed), over.clone()).await.unwrap();
    assert!(second.written && second.id == whole.id && second.tag != whole.tag);
    let mut third = big();
    third[9] = 255;
    assert_eq!(w.put(&f, &file("big.pdf", third), over).await.unwrap_err().kind, ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn damage_on_the_way_is_found_and_taken_back() {
    let w = World::rooted();
    let f = w.create(1).await;
    w.control("limits", json!({ "corrupt_uploads": 1 }));
    let e = w.put(&f, &file("a.pdf", "statement"), Expect::Absent).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Contract);
    assert!(w.put(&f, &file("a.pdf", "statement"), Expect::Absent).await.unwrap().written);
}

#[tokio::test(start_paused = true)]
async fn a_file_without_a_hash_is_read_back_and_office_files_are_taken_as_they_are() {
    let w = World::rooted();
    let f = w.create(1).await;
    w.control("limits", json!({ "late_hash": 50 }));
    assert!(w.put(&f, &file("a.pdf", "statement"), Expect::Absent).await.unwrap().written);
    assert_eq!(w.sent("file.read"), 1);
    w.control("limits", json!({ "late_hash": 0 }));
    let stored = w.put(&f, &file("a.xlsx", "statement"), Expect::Absent).await.unwrap();
    assert_eq!(stored.size, 10, "SharePoint wrote into it");
    // What is there now is what the next version replaces.
    let over = Expect::Unchanged(stored.id, stored.tag);
    assert!(w.put(&f, &file("a.xlsx", "statement 2"), over).await.unwrap().written);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_moved_out_is_not_written_over() {
    let w = World::rooted();
    let (f, other) = (w.create(1).await, w.create(2).await);
    let s = w.put(&f, &file("a.pdf", "one"), Expect::Absent).await.unwrap();
    w.control("move", json!({ "item": "a.pdf", "to": other.as_str() }));
    let over = Expect::Unchanged(s.id, s.tag);
    assert_eq!(w.put(&f, &file("a.pdf", "two"), over).await.unwrap_err().kind, ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn p14_a_full_drive_and_a_locked_file_say_so() {
    let w = World::rooted();
    let f = w.create(1).await;
    w.control("quota_full", json!({ "drive": DRIVE }));
    let e = w.put(&f, &file("a.pdf", "statement"), Expect::Absent).await.unwrap_err();
    assert_eq!((e.kind, e.retry), (ErrorKind::Forbidden, Retry::No));
    assert!(w.grant(&f, BEN, FolderRole::Reader).await.is_ok(), "access is kept right all the same");
    let notes = w.target().probe(&w.read()).await.unwrap().notes;
    assert!(notes.iter().any(|n| n.text.contains("storage is full")), "{notes:?}");
    w.control("quota_full", json!({ "drive": DRIVE, "full": false }));
    for code in ["quotaLimitReached", "insufficientStorage", "brandNew"] {
        w.control("outage", json!({ "path": "content", "status": 507, "code": code }));
        let e = w.put(&f, &file("a.pdf", "statement"), Expect::Absent).await.unwrap_err();
        assert_eq!((e.kind, e.retry), (ErrorKind::Forbidden, Retry::No), "{code}");
        assert!(e.message.contains("storage is full") && e.next.unwrap().contains("buy more"), "{code}");
    }
    w.control("outage", json!({ "path": "content", "status": 423, "code": "resourceLocked", "retry_after": "120" }));
    let e = w.put(&f, &file("a.pdf", "statement"), Expect::Absent).await.unwrap_err();
    assert_eq!((e.kind, e.retry), (ErrorKind::Unavailable, Retry::After(std::time::Duration::from_secs(120))));
}

#[tokio::test(start_paused = true)]
async fn refusals_of_a_file_speak_of_files() {
    let w = World::rooted();
    let f = w.create(1).await;
    let stored = w.put(&f, &file("a.pdf", "one"), Expect::Absent).await.unwrap();
    let refused = async |path: &str, status: u16, code: &str, file: &StatementFile, expect: Expect| {
        w.control("outage", json!({ "path": path, "status": status, "code": code, "count": 1 }));
        let e = w.put(&f, file, expect).await.unwrap_err();
        w.control("outage", json!({ "count": 0 }));
        e
    };
    let over = Expect::Unchanged(stored.id, stored.tag);
    for (path, file, expect) in [
        ("content", file("b.pdf", "two"), Expect::Absent),
        ("content", file("a.pdf", "two"), over),
        ("createUploadSession", file("big.pdf", big()), Expect::Absent),
        ("children", file("2026/b.pdf", "two"), Expect::Absent),
    ] {
        let e = refused(path, 403, "accessDenied", &file, expect).await;
        let next = e.next.unwrap();
        assert_eq!(e.kind, ErrorKind::Forbidden);
        assert!(e.message.contains("may not write there") && !next.contains("guest"), "{path}: {} {next}", e.message);
    }
    let e = refused("content", 501, "notSupported", &file("b.pdf", "two"), Expect::Absent).await;
    assert_eq!((e.kind, e.next.unwrap().contains("SharePoint library")), (ErrorKind::Unsupported, true));
    let e = refused("content", 409, "brandNew", &file("b.pdf", "two"), Expect::Absent).await;
    assert!(e.message.ends_with("do not know: brandNew") && e.next.is_some(), "{e:?}");
}

#[tokio::test(start_paused = true)]
async fn p10_too_many_bytes_are_a_long_pause_for_files_and_none_for_access() {
    let w = World::rooted();
    let f = w.create(1).await;
    let hour = std::time::Duration::from_secs(3600);
    for (named, wait) in [(None, hour), (Some("30"), hour), (Some("7200"), hour * 2)] {
        let code = "bandwidthLimitExceeded";
        w.control("outage", json!({ "path": "content", "status": 509, "code": code, "retry_after": named }));
        let e = w.put(&f, &file("a.pdf", "statement"), Expect::Absent).await.unwrap_err();
        assert_eq!((e.kind, e.retry), (ErrorKind::RateLimited, Retry::After(wait)));
        assert!(e.message.contains("too much was transferred") && e.next.is_some(), "{e:?}");
    }
    let seen = w.wire.seen.lock().unwrap();
    let (_, refused) = seen.iter().find(|(_, a)| a.status == 509).unwrap();
    // So the layers neither send it again nor hold what is not about bytes.
    assert_eq!(ledgerward_microsoft_graph::retry_hint(refused), None);
}

/// Sends once more what may be sent twice, as the retry layer does.
struct Repeat(Arc<dyn Transport>);

#[async_trait]
impl Transport for Repeat {
    async fn send(&self, request: Request) -> Result<Response> {
        let answer = self.0.send(request.clone()).await?;
        if answer.status == 503 && request.idempotent { self.0.send(request).await } else { Ok(answer) }
    }
}

#[tokio::test(start_paused = true)]
async fn p20_a_repeated_piece_and_a_repeated_last_piece_end_in_one_file() {
    for lost in 1..=3 {
        let w = World::rooted();
        let f = w.create(1).await;
        // The answers to the first pieces are lost, with three of them the last one's as well, and each is sent again.
        let whole = file("big.pdf", big());
        w.control("drop_answers", json!({ "path": "uploadSession", "method": "PUT", "count": lost }));
        let cx = Permit::issue(&WriteAuthority::for_tests(), Journalled::committed(1));
        let cx = cx.open(Arc::new(Repeat(w.wire.clone())), w.now());
        let fenced = Fenced::managed_elsewhere(f.clone(), &Audience::new("a test").unwrap());
        let stored = w.target().put(&cx, &fenced, &whole, Expect::Absent).await.unwrap();
        assert_eq!(stored.size, BIG as u64);
        let files = w.target().files(&w.read(), &f, Cursor::Start).await.unwrap().items;
        assert_eq!(files.iter().map(|s| (&s.id, s.size)).collect::<Vec<_>>(), [(&stored.id, BIG as u64)]);
    }
}
