//! Scenarios of files: whole, once, and never over somebody else's.

use super::{Bench, TargetHarness};
use crate::{
    ErrorKind, Expect, FileId, FilePath, FolderId, Stored,
    suite::{Fault, When, must, must_fail, skipped},
};

pub async fn files_of_a_missing_folder_is_an_error<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    b.folder(2, "Birch LLP").await;
    let f = b.folder(1, "Acme Ltd").await;
    b.h.remove(&f).await;
    must_fail(b.files(&f).await, "files of a folder that is not there");
}

pub async fn put_is_listed_whole_and_recursive<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = b.folder(1, "Acme Ltd").await;
    assert_eq!(must(b.files(&f).await, "files").items(), [], "a new folder lists files (our marker?)");
    let paths: [&[&str]; 3] = [&["top.pdf"], &["2026", "a.pdf"], &["2026", "10", "b.pdf"]];
    let mut expected = Vec::new();
    for path in paths {
        let stored = must(b.put(&f, &b.file(path, b"twelve bytes").await, Expect::Absent).await, "put");
        assert!(stored.written && stored.size == 12, "{stored:?}");
        expected.push((path.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>(), stored.id, stored.tag));
    }
    expected.sort();
    let list = must(b.files(&f).await, "files");
    assert!(list.items().iter().all(|s| s.size == 12), "{:?}", list.items());
    let mut listed: Vec<_> = list.items().iter().map(|s| (s.path.clone(), s.id.clone(), s.tag.clone())).collect();
    listed.sort();
    assert_eq!(listed, expected, "files and put disagree on path, id or tag");
}

pub async fn put_twice_is_one_file<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = b.folder(1, "Acme Ltd").await;
    let first = must(b.put(&f, &b.file(&["2026", "a.pdf"], b"one").await, Expect::Absent).await, "put");
    let again = must(b.put(&f, &b.file(&["2026", "a.pdf"], b"one").await, Expect::Absent).await, "put again");
    assert_eq!(again, Stored { written: false, ..first });
    assert_eq!(must(b.files(&f).await, "files").items().len(), 1);
}

pub async fn put_over_a_strangers_file_is_a_conflict<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = b.folder(1, "Acme Ltd").await;
    b.h.stranger_file(&f, "a.pdf", b"not ours").await;
    let e = must_fail(b.put(&f, &b.file(&["a.pdf"], b"ours").await, Expect::Absent).await, "put over another's file");
    assert_eq!(e.kind, ErrorKind::Conflict);
    let list = must(b.files(&f).await, "files");
    assert_eq!(list.items().iter().map(|s| s.size).collect::<Vec<_>>(), [8], "the stranger's file was touched");
}

pub async fn put_over_a_newer_file_is_a_conflict<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = b.folder(1, "Acme Ltd").await;
    let v1 = must(b.put(&f, &b.file(&["a.pdf"], b"v1").await, Expect::Absent).await, "put v1");
    let to = |s: &Stored| Expect::Unchanged(s.id.clone(), s.tag.clone());
    let v2 = must(b.put(&f, &b.file(&["a.pdf"], b"v2+").await, to(&v1)).await, "put v2");
    assert!(v2.written && v2.tag != v1.tag, "{v1:?} {v2:?}");
    let e = must_fail(b.put(&f, &b.file(&["a.pdf"], b"v3+++").await, to(&v1)).await, "put with an old tag");
    assert_eq!(e.kind, ErrorKind::Conflict);
    let again = must(b.put(&f, &b.file(&["a.pdf"], b"v2+").await, to(&v1)).await, "the same replacement once more");
    assert!(!again.written && again.tag == v2.tag, "{again:?}");
    let list = must(b.files(&f).await, "files");
    assert_eq!(list.items().iter().map(|s| (s.size, &s.tag)).collect::<Vec<_>>(), [(3, &v2.tag)]);
}

pub async fn put_after_the_file_is_gone_is_a_conflict<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = b.folder(1, "Acme Ltd").await;
    let elsewhere = b.folder(2, "Birch LLP").await;
    let v1 = must(b.put(&elsewhere, &b.file(&["a.pdf"], b"v1").await, Expect::Absent).await, "put");
    let gone = Expect::Unchanged(FileId(format!("{}-gone", v1.id)), v1.tag);
    must_fail(b.put(&f, &b.file(&["a.pdf"], b"v2").await, gone).await, "replacing a file that is not there");
    assert!(must(b.files(&f).await, "files").is_empty());
}

pub async fn n06_odd_but_legal_names<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let names = ["🧾 Müller & Söhne #1 100%25 'x'", "CON", "a+b=c; ~$d", "Zoë – 株式会社", "o'Neil \"quoted\""];
    for (n, name) in names.into_iter().enumerate() {
        let f = b.folder(n as u128 + 1, name).await;
        let stored = must(b.put(&f, &b.file(&[name, name], b"x").await, Expect::Absent).await, name);
        let list = must(b.files(&f).await, name);
        let listed: Vec<_> = list.items().iter().map(|s| (&s.id, s.path.clone())).collect();
        assert_eq!(listed, [(&stored.id, vec![name.to_owned(), name.to_owned()])]);
        let again = must(b.put(&f, &b.file(&[name, name], b"x").await, Expect::Absent).await, name);
        assert!(!again.written, "{name:?} was not found again");
        assert_eq!(must(b.t().find(&b.read(), &Bench::<H>::key(n as u128 + 1)).await, name), Some(f));
    }
    for bad in ["..", ".", "a/b", "a\\b", "", "a.", " a", "a\u{0}", "a\n"] {
        assert!(FilePath::new(vec![bad.to_owned()]).is_none(), "{bad:?} passes as a file name");
    }
}

async fn five_files<H: TargetHarness>(b: &Bench<H>) -> FolderId {
    let f = b.folder(1, "Acme Ltd").await;
    for name in ["a.pdf", "b.pdf", "c.pdf", "d.pdf", "e.pdf"] {
        must(b.put(&f, &b.file(&[name], b"x").await, Expect::Absent).await, "put");
    }
    f
}

pub async fn pages_make_one_listing<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = five_files(&b).await;
    if !b.h.small_pages().await {
        return skipped("pages_make_one_listing", "there are no pages here");
    }
    let list = must(b.files(&f).await, "files");
    assert_eq!(list.items().len(), 5);
    assert!(list.pages() > 1, "the fake did not page");
}

pub async fn p03_a_failing_second_page_is_no_listing<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = five_files(&b).await;
    if !b.has_wire("p03_a_failing_second_page_is_no_listing") || !b.h.small_pages().await {
        return;
    }
    b.wire.heal();
    must(b.files(&f).await, "files");
    let last = b.wire.count() - 1;
    b.wire.fail(When::From(last), Fault::Status(500));
    let e = must_fail(b.files(&f).await, "a listing whose last page failed");
    assert_eq!(e.kind, ErrorKind::Unavailable);
    b.wire.fail(When::From(1), Fault::FirstAgain);
    must_fail(b.files(&f).await, "a listing that turns in a circle");
}
