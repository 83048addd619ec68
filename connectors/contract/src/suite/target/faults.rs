//! Scenarios of a bad hour: answers that are none, and writes of unknown outcome.

use super::{Bench, TargetHarness, permission};
use crate::{
    Created, Effect, ErrorKind, Expect, FolderRole, ReservedId, Result, Retry, SharingSupport,
    suite::{BAD_ANSWERS, Fault, When, must, must_fail, plain, skipped},
};

/// Runs `call` with every bad answer in place of each of its requests. None may pass as an answer.
async fn no_bad_answer_passes<H: TargetHarness, T: std::fmt::Debug>(
    b: &Bench<H>,
    what: &str,
    call: impl AsyncFn() -> Result<T>,
) {
    b.wire.heal();
    must(call().await, what);
    for nth in 0..b.wire.count() {
        for fault in BAD_ANSWERS {
            b.wire.fail(When::Nth(nth), fault);
            let e = must_fail(call().await, &format!("{what} with {fault:?} in place of answer {nth}"));
            assert_eq!(b.wire.met(), 1, "the fault met nothing");
            let sound = match fault {
                Fault::Status(401) => e.kind == ErrorKind::Unauthenticated && e.retry == Retry::No,
                Fault::RateLimited => e.kind == ErrorKind::RateLimited,
                Fault::Status(_) | Fault::NotSent | Fault::Lost => e.kind == ErrorKind::Unavailable,
                _ => matches!(e.kind, ErrorKind::Contract | ErrorKind::Unavailable),
            };
            assert!(sound, "{what}: {fault:?} in place of answer {nth} became {e:?}");
        }
    }
}

pub async fn bad_answers_to_sharing_are_errors<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let scenario = "bad_answers_to_sharing_are_errors";
    if b.has_wire(scenario) && b.mirrors(scenario) {
        let f = b.folder(1, "Acme Ltd").await;
        must(b.put(&f, &b.file(&["2026", "a.pdf"], b"a").await, Expect::Absent).await, "put");
        no_bad_answer_passes(&b, "sharing", async || b.sharing(&f).await).await;
    }
}

pub async fn bad_answers_to_files_are_errors<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    if b.has_wire("bad_answers_to_files_are_errors") {
        let f = b.folder(1, "Acme Ltd").await;
        must(b.put(&f, &b.file(&["2026", "a.pdf"], b"a").await, Expect::Absent).await, "put");
        no_bad_answer_passes(&b, "files", async || b.files(&f).await).await;
    }
}

pub async fn bad_answers_to_find_are_errors<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    if b.has_wire("bad_answers_to_find_are_errors") {
        b.folder(1, "Acme Ltd").await;
        no_bad_answer_passes(&b, "find", async || b.t().find(&b.read(), &Bench::<H>::key(1)).await).await;
    }
}

pub async fn bad_answers_to_folders_are_errors<H: TargetHarness>() {
    const NAME: &str = "bad_answers_to_folders_are_errors";
    let b = Bench::<H>::new().await;
    if b.has_wire(NAME) {
        b.folder(1, "Acme Ltd").await;
        if b.folders().await.is_err_and(|e| e.kind == ErrorKind::Unsupported) {
            return skipped(NAME, "this target cannot list folders");
        }
        no_bad_answer_passes(&b, "folders", async || b.folders().await).await;
    }
}

pub async fn bad_answers_to_stat_are_errors<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    if b.has_wire("bad_answers_to_stat_are_errors") {
        let f = b.folder(1, "Acme Ltd").await;
        no_bad_answer_passes(&b, "stat", async || b.t().stat(&b.read(), &f).await).await;
    }
}

pub async fn p07_not_found_on_listings_is_an_error<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    if !b.has_wire("p07_not_found_on_listings_is_an_error") {
        return;
    }
    let f = b.folder(1, "Acme Ltd").await;
    for status in [403, 404, 410] {
        b.wire.fail(When::From(0), Fault::Status(status));
        must_fail(b.sharing(&f).await, &format!("sharing with {status}"));
        must_fail(b.files(&f).await, &format!("files with {status}"));
        must_fail(b.t().find(&b.read(), &Bench::<H>::key(1)).await, &format!("find with {status}"));
    }
}

pub async fn p10_rate_limits_carry_the_pause<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    if !b.has_wire("p10_rate_limits_carry_the_pause") {
        return;
    }
    let f = b.folder(1, "Acme Ltd").await;
    b.wire.fail(When::From(0), Fault::RateLimited);
    let e = match b.t().limits().sharing {
        SharingSupport::Mirror => must_fail(b.sharing(&f).await, "sharing with 429"),
        SharingSupport::Off => must_fail(b.files(&f).await, "files with 429"),
    };
    assert_eq!((e.kind, e.retry), (ErrorKind::RateLimited, Retry::After(std::time::Duration::from_secs(7))));
}

/// Faults of a write after which nobody knows what became of it.
const UNKNOWN_OUTCOME: [Fault; 4] = [Fault::Lost, Fault::NotSent, Fault::Status(503), Fault::Html];

pub async fn lost_answers_to_create_make_no_second_folder<H: TargetHarness>() {
    let clean = Bench::<H>::new().await;
    if !clean.has_wire("lost_answers_to_create_make_no_second_folder") {
        return;
    }
    clean.folder(9, "Somebody else").await;
    clean.wire.heal();
    clean.folder(1, "Acme Ltd").await;
    let writes = clean.wire.writes();
    assert!(writes > 0, "create sent no request that declares a write");
    for nth in 0..writes {
        for fault in UNKNOWN_OUTCOME {
            let b = Bench::<H>::new().await;
            b.folder(9, "Somebody else").await;
            let reserved: Option<ReservedId> = must(b.t().reserve(&b.read(), 1).await, "reserve").pop();
            let make = async || b.t().create(&b.write(), &Bench::<H>::key(1), "Acme Ltd", reserved.as_ref()).await;
            b.wire.fail(When::NthWrite(nth), fault);
            drop(make().await);
            b.wire.heal();
            let second = must(make().await, &format!("create again after {fault:?} at write {nth}"));
            let found = must(b.t().find(&b.read(), &Bench::<H>::key(1)).await, "find after a repeated create");
            match second {
                Created::Created(id) | Created::Exists { id, ours: true } => {
                    assert_eq!(found, Some(id), "after {fault:?} at write {nth}");
                }
                // A folder that lacks its marker waits for a person; with a reserved id it need not.
                Created::Exists { ours: false, .. } => assert!(reserved.is_none(), "{fault:?} at write {nth}"),
            }
        }
    }
}

pub async fn lost_answers_to_put_make_no_second_file<H: TargetHarness>() {
    let clean = Bench::<H>::new().await;
    if !clean.has_wire("lost_answers_to_put_make_no_second_file") {
        return;
    }
    let f = clean.folder(1, "Acme Ltd").await;
    let file = clean.file(&["2026", "a.pdf"], b"whole").await;
    clean.wire.heal();
    must(clean.put(&f, &file, Expect::Absent).await, "put");
    let writes = clean.wire.writes();
    assert!(writes > 0, "put sent no request that declares a write");
    for nth in 0..writes {
        for fault in UNKNOWN_OUTCOME {
            let b = Bench::<H>::new().await;
            let f = b.folder(1, "Acme Ltd").await;
            let file = b.file(&["2026", "a.pdf"], b"whole").await;
            b.wire.fail(When::NthWrite(nth), fault);
            drop(b.put(&f, &file, Expect::Absent).await);
            b.wire.heal();
            let what = format!("put again after {fault:?} at write {nth}");
            let stored = must(b.put(&f, &file, Expect::Absent).await, &what);
            let list = must(b.files(&f).await, "files");
            let listed: Vec<_> = list.items().iter().map(|s| (&s.id, s.size)).collect();
            assert_eq!(listed, [(&stored.id, 5)], "{what}");
        }
    }
}

pub async fn lost_answers_to_grant_make_no_second_permission<H: TargetHarness>() {
    let clean = Bench::<H>::new().await;
    let scenario = "lost_answers_to_grant_make_no_second_permission";
    if !clean.has_wire(scenario) || !clean.mirrors(scenario) {
        return;
    }
    for fault in UNKNOWN_OUTCOME {
        let b = Bench::<H>::new().await;
        let (f, who) = (b.folder(1, "Acme Ltd").await, b.h.person(0));
        b.wire.fail(When::NthWrite(0), fault);
        must_fail(b.t().grant(&b.write(), &f, &who, FolderRole::Reader, None).await, "a grant of unknown outcome");
        b.wire.heal();
        let g = must(b.t().grant(&b.write(), &f, &who, FolderRole::Reader, None).await, "grant again");
        assert_eq!(b.has(&f, &who).await.map(|p| p.id), Some(permission(&g).clone()), "after {fault:?}");
        b.wire.fail(When::NthWrite(0), fault);
        must_fail(b.t().revoke(&b.write(), &f, permission(&g)).await, "a revoke of unknown outcome");
        b.wire.heal();
        must(b.t().revoke(&b.write(), &f, permission(&g)).await, "revoke again");
        assert_eq!(b.has(&f, &who).await, None, "after {fault:?}");
    }
}

pub async fn reads_declare_no_write<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = b.folder(1, "Acme Ltd").await;
    must(b.put(&f, &b.file(&["2026", "a.pdf"], b"a").await, Expect::Absent).await, "put");
    if !b.h.signs_itself() {
        plain(&b.wire.log());
    }
    b.wire.heal();
    must(b.t().probe(&b.read()).await, "probe");
    must(b.t().find(&b.read(), &Bench::<H>::key(1)).await, "find");
    must(b.t().stat(&b.read(), &f).await, "stat");
    must(b.files(&f).await, "files");
    drop(b.sharing(&f).await);
    let writes: Vec<_> = b.wire.log().into_iter().filter(|r| r.effect == Effect::Write).map(|r| r.op).collect();
    assert!(writes.is_empty(), "reads that write: {writes:?}");
    if !b.h.signs_itself() {
        plain(&b.wire.log());
    }
}
