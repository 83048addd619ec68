//! The state as a file: what is refused, what is kept, what comes back.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ledgerward::{
    audit::Verdict,
    store::{Actor, Db, Kind, Note, Options, Store, StoreError, open, restore},
};
use ledgerward_contract::{Secret, Timestamp};
use ledgerward_kit::vault::NewTokens;
use rusqlite::Connection;
use tempfile::TempDir;

fn t(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// In memory where there is such a place: these tests sync thousands of times.
fn dir() -> TempDir {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() { tempfile::tempdir_in(shm).unwrap() } else { tempfile::tempdir().unwrap() }
}

fn options(dir: &TempDir) -> Options {
    Options::new(dir.path().join("state"), t(0)).machine("machine-1")
}

fn create(dir: &TempDir) -> Db {
    Db::open(options(dir).create()).unwrap()
}

fn tokens(n: u32) -> NewTokens {
    NewTokens {
        access: Secret::new(format!("access-{n}")),
        access_issued_at: t(i64::from(n)),
        access_expires_at: t(i64::from(n) + 1800),
        refresh: Some(Secret::new(format!("refresh-{n}"))),
        refresh_expires_at: None,
        previous: None,
    }
}

fn sign_in(db: &mut Db, subject: &str) -> String {
    let who = ledgerward::store::NewSignIn {
        connection: "xero".into(),
        subject: subject.into(),
        email: None,
        realm: None,
        scopes: vec!["offline_access".into()],
    };
    db.signin_put(&who, &tokens(1), t(1)).unwrap()
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn refused(result: Result<Db, StoreError>) -> StoreError {
    match result {
        Ok(_) => panic!("it was opened"),
        Err(e) => e,
    }
}

#[test]
fn a_sign_in_that_did_not_say_whose_it_was_is_not_doubled_by_one_that_does() {
    let dir = dir();
    let mut db = create(&dir);
    let unnamed = sign_in(&mut db, "");
    assert_eq!(sign_in(&mut db, "ana"), unnamed);
    assert_eq!(db.signins().unwrap()[0].who.subject, "ana");
    assert_ne!(sign_in(&mut db, "bob"), unnamed, "somebody else's sign-in is one of its own");
    assert_eq!(sign_in(&mut db, "ana"), unnamed);
    assert_eq!(db.signins().unwrap().len(), 2);
}

#[test]
fn every_setting_is_in_force() {
    let dir = dir();
    let db = create(&dir);
    for (name, _, must) in open::PRAGMAS {
        let is: String = db
            .raw()
            .pragma_query_value(None, name, |r| r.get::<_, rusqlite::types::Value>(0))
            .map(|v| match v {
                rusqlite::types::Value::Integer(i) => i.to_string(),
                rusqlite::types::Value::Text(t) => t,
                other => format!("{other:?}"),
            })
            .unwrap_or_default();
        assert_eq!(is, must, "{name}");
    }
    assert!(db.raw().db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE).unwrap());
    let id: i32 = db.raw().query_row("PRAGMA application_id", [], |r| r.get(0)).unwrap();
    assert_eq!(id, open::APPLICATION_ID);
    assert!(rusqlite::version_number() >= open::SQLITE_MIN);
}

#[test]
fn d01_files_are_private_and_an_open_or_read_only_state_is_refused() {
    let dir = dir();
    drop(create(&dir));
    let state = dir.path().join("state");
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    for file in ["ledgerward.db", "ledgerward.lock", "ledgerward.watermark", "key"] {
        let mode = fs::metadata(state.join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }
    for (what, good, bad) in [("", 0o700, 0o755), ("", 0o700, 0o770), ("ledgerward.db", 0o600, 0o644)] {
        let path = state.join(what);
        fs::set_permissions(&path, fs::Permissions::from_mode(bad)).unwrap();
        let e = refused(Db::open(options(&dir)));
        assert_eq!((e.kind, e.exit_code()), (Kind::Refused, 78), "{e:?}");
        assert!(e.next.unwrap().contains("chmod"));
        fs::set_permissions(&path, fs::Permissions::from_mode(good)).unwrap();
    }
    drop(Db::open(options(&dir)).unwrap());
}

#[test]
fn d02_no_state_is_made_unless_asked_and_never_over_something() {
    let dir = dir();
    let e = refused(Db::open(options(&dir)));
    assert_eq!(e.kind, Kind::Missing);
    drop(create(&dir));
    let db = dir.path().join("state/ledgerward.db");
    let good = fs::read(&db).unwrap();
    let foreign = {
        let path = dir.path().join("foreign.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x); PRAGMA user_version = 1;").unwrap();
        fs::read(path).unwrap()
    };
    for bad in
        [Vec::new(), b"hello".to_vec(), good[..50].to_vec(), good[..good.len() / 2].to_vec(), foreign, vec![7; 9000]]
    {
        fs::write(&db, &bad).unwrap();
        for o in [options(&dir), options(&dir).create()] {
            let e = refused(Db::open(o));
            assert_eq!((e.kind, e.exit_code()), (Kind::Damaged, 78), "{e:?}");
            assert!(e.next.unwrap().contains("restore"));
            assert_eq!(fs::read(&db).unwrap(), bad, "the file was changed");
        }
    }
    // Lost, and `init` is run again: the watermark remembers that there was one.
    fs::remove_file(&db).unwrap();
    assert_eq!(refused(Db::open(options(&dir).create())).kind, Kind::Damaged);
    fs::write(&db, &good).unwrap();
    fs::set_permissions(&db, fs::Permissions::from_mode(0o600)).unwrap();
    drop(Db::open(options(&dir)).unwrap());
}

/// Reads everything there is. Errors are fine, panics are not.
fn read_all(db: &mut Db, signin: &str) {
    let _ = (db.firm(), db.signins(), db.tokens(signin), db.ledgers(None), db.facts_now(), db.lanes(), db.owned());
    let _ = (db.accepted(), db.unsettled(), db.journal_of(1), db.access_changes_since(t(0)), db.applied_at(t(50)));
    let _ = (db.delivered(), db.holds(), db.approvals_valid(t(0)), db.open_findings(), db.runs(10), db.changes(10));
    let _ = (db.doc_all::<serde_json::Value>("cursor"), db.freeze(), db.restored(), db.audit_verify(), db.integrity());
}

#[test]
fn d02_flips_and_cuts_at_a_thousand_offsets_never_panic_and_never_make_a_new_state() {
    let dir = dir();
    let mut db = create(&dir);
    let id = sign_in(&mut db, "someone");
    for n in 0..40 {
        db.doc_put("cursor", &format!("{n}"), &serde_json::json!({ "n": n, "text": "x".repeat(200) })).unwrap();
    }
    let db_id: String = db.raw().query_row("SELECT value FROM meta WHERE key = 'db_id'", [], |r| r.get(0)).unwrap();
    db.checkpoint().unwrap();
    drop(db);
    let clean = dir.path().join("state");
    let bytes = fs::read(clean.join("ledgerward.db")).unwrap();
    let (mut refused, mut opened, mut seed) = (0, 0, 0x9E37_79B9_7F4A_7C15_u64);
    for round in 0..1000_usize {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        // The first rounds walk through the header, where every byte means something.
        let at = if round < 100 { round } else { seed as usize % bytes.len() };
        let mut bad = bytes.clone();
        if round % 5 == 4 {
            bad.truncate(at);
        } else {
            bad[at] ^= 1 << (seed >> 32 & 7);
        }
        let copy = dir.path().join("copy");
        copy_dir(&clean, &copy);
        let file = copy.join("ledgerward.db");
        fs::write(&file, &bad).unwrap();
        match Db::open(Options::new(&copy, t(100)).machine("machine-1").create()) {
            Ok(mut db) => {
                opened += 1;
                assert!(round % 5 != 4, "round {round}: a file cut at {at} was opened");
                let is: String = db
                    .raw()
                    .query_row("SELECT value FROM meta WHERE key = 'db_id'", [], |r| r.get(0))
                    .unwrap_or_default();
                // The flip may sit in the id itself; a new state would have another one altogether.
                let same = is.bytes().zip(db_id.bytes()).filter(|(a, b)| a == b).count();
                assert!(is.is_empty() || same >= db_id.len() - 1, "round {round}, offset {at}: a new state");
                read_all(&mut db, &id);
            }
            Err(e) => {
                refused += 1;
                assert!(e.kind != Kind::Missing, "round {round}, offset {at}: {e:?}");
                assert!(e.next.is_some() || e.kind == Kind::Io, "round {round}: no way back in {e:?}");
            }
        }
        assert!(fs::metadata(&file).is_ok(), "round {round}: the file is gone");
        fs::remove_dir_all(&copy).unwrap();
    }
    assert!(refused > 200 && opened > 100, "{refused} refused, {opened} opened: the damage was not what it should be");
}

#[test]
fn d04_a_second_opener_gets_locked_at_once_and_touches_nothing() {
    let dir = dir();
    let db = create(&dir);
    let state = dir.path().join("state");
    let before: Vec<_> = list(&state);
    let began = Instant::now();
    let e = refused(Db::open(options(&dir)));
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!((e.kind, e.exit_code()), (Kind::Locked, 75));
    assert!(e.message.contains(&std::process::id().to_string()), "{e}");
    assert_eq!(list(&state), before);
    drop(db);
    drop(Db::open(options(&dir)).unwrap());
}

fn list(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_file() && !p.to_string_lossy().ends_with("-shm"))
        .map(|p| (p.clone(), fs::read(&p).unwrap()))
        .collect();
    all.sort();
    all
}

#[test]
fn d05_a_newer_schema_is_refused_before_any_write_even_if_it_is_only_in_the_log() {
    for in_the_log in [false, true] {
        let dir = dir();
        drop(create(&dir));
        let state = dir.path().join("state");
        let file = state.join("ledgerward.db");
        let newer = Connection::open(&file).unwrap();
        newer.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, in_the_log).unwrap();
        newer.execute_batch("PRAGMA user_version = 99; CREATE TABLE later (x INT) STRICT;").unwrap();
        drop(newer);
        let before = list(&state);
        assert_eq!(before.iter().any(|(p, b)| p.to_string_lossy().ends_with("-wal") && !b.is_empty()), in_the_log);
        let e = refused(Db::open(options(&dir)));
        assert_eq!((e.kind, e.exit_code()), (Kind::Newer, 78), "{e:?}");
        let next = e.next.unwrap();
        assert!(next.contains("restore") && next.contains("newer version"), "{next}");
        let after = list(&state);
        for (path, bytes) in &before {
            if path.file_name().is_some_and(|n| n != "ledgerward.lock") {
                assert!(after.iter().any(|(p, b)| p == path && b == bytes), "{} was changed", path.display());
            }
        }
    }
}

#[test]
fn d03_t13_an_older_copy_is_noticed_and_runs_dry_until_confirmed() {
    let dir = dir();
    let mut db = create(&dir);
    let id = sign_in(&mut db, "someone");
    let backup = dir.path().join("backup.db");
    db.backup_to(&backup, t(2)).unwrap();
    assert_eq!(db.backup_to(&backup, t(2)).unwrap_err().kind, Kind::Conflict, "a backup replaced a file");
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    db.tokens_commit(&id, 1, &tokens(2)).unwrap();
    drop(db);

    let state = dir.path().join("state");
    let kept = restore(&state, &backup, t(3)).unwrap();
    assert!(kept.exists(), "the state that was there is gone");
    let db = Db::open(options(&dir)).unwrap();
    assert!(matches!(db.notes(), [Note::Restored { why }] if why.contains("token")), "{:?}", db.notes());
    assert!(db.restored().unwrap().is_some());
    assert_eq!(db.tokens(&id).unwrap().refresh.unwrap().expose(), "refresh-1");
    drop(db);
    // It stays so over restarts, until a person says otherwise.
    let mut db = Db::open(options(&dir)).unwrap();
    assert!(db.restored().unwrap().is_some());
    db.confirm_restored("compared with the targets", t(4)).unwrap();
    drop(db);
    db = Db::open(options(&dir)).unwrap();
    assert_eq!((db.restored().unwrap(), db.notes()), (None, &[][..]));
    assert!(matches!(db.audit_verify().unwrap(), Verdict::Whole(_)));
    drop(db);

    // The file alone, without its watermark.
    let elsewhere = dir.path().join("elsewhere");
    copy_dir(&state, &elsewhere);
    fs::remove_file(elsewhere.join("ledgerward.watermark")).unwrap();
    let db = Db::open(Options::new(&elsewhere, t(5)).machine("machine-1")).unwrap();
    assert!(db.restored().unwrap().is_some());
}

#[test]
fn d03_a_copy_that_lost_its_log_is_noticed() {
    let dir = dir();
    let mut db = create(&dir);
    db.checkpoint().unwrap();
    let state = dir.path().join("state");
    let without_log = fs::read(state.join("ledgerward.db")).unwrap();
    sign_in(&mut db, "someone");
    drop(db);
    fs::write(state.join("ledgerward.db"), without_log).unwrap();
    let db = Db::open(options(&dir)).unwrap();
    assert!(db.restored().unwrap().is_some());
}

/// The rows after `keep`, as somebody would who has the file; the triggers are put back.
fn cut(dir: &TempDir, keep: i64) {
    let raw = Connection::open(dir.path().join("state/ledgerward.db")).unwrap();
    let triggers: Vec<(String, String)> = raw
        .prepare("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'")
        .unwrap()
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(!triggers.is_empty());
    triggers.iter().for_each(|(name, _)| raw.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    assert!(raw.execute("DELETE FROM audit WHERE seq > ?1", [keep]).unwrap() > 0);
    triggers.iter().for_each(|(_, sql)| raw.execute_batch(sql).unwrap());
}

#[test]
fn d09_a_trail_that_was_cut_is_not_whole_after_it_was_opened_and_cut_again() {
    let dir = dir();
    let mut db = create(&dir);
    for n in 0..6 {
        db.set_freeze(n % 2 == 0, &format!("reason {n}"), t(n)).unwrap();
    }
    let Verdict::Whole(head) = db.audit_verify().unwrap() else { panic!("broken from the start") };
    drop(db);
    cut(&dir, head.seq - 2);
    let broken = |db: &mut Db, row: i64, part: &str| match db.audit_verify().unwrap() {
        Verdict::Broken { seq, why } => assert!(seq == row && why.contains(part), "{seq}: {why}"),
        Verdict::Whole(head) => panic!("whole: {head:?}"),
    };
    let mut db = Db::open(options(&dir)).unwrap();
    broken(&mut db, head.seq - 1, &format!("had reached row {}", head.seq));
    db.confirm_restored("a test", t(7)).unwrap();
    assert!(matches!(db.audit_verify().unwrap(), Verdict::Whole(_)));
    assert_eq!(db.losses().unwrap()[0].confirmed.as_deref(), Some("daemon (daemon)"), "it is told ever after");
    drop(db);

    // The row that says so is cut off as well, and the mark of a restored state is taken away.
    cut(&dir, 0);
    let mut db = Db::open(options(&dir)).unwrap();
    broken(&mut db, 1, &format!("had reached row {}", head.seq));
    drop(db);
    let raw = Connection::open(dir.path().join("state/ledgerward.db")).unwrap();
    assert_eq!(raw.execute("DELETE FROM meta WHERE key = 'restored'", []).unwrap(), 1);
    drop(raw);
    let mut db = Db::open(options(&dir)).unwrap();
    broken(&mut db, 1, "had reached row");
    for n in 0..6 {
        db.set_freeze(n % 2 == 0, "later", t(n)).unwrap();
    }
    drop(db);
    // Cut anew: both are told, and so it is where the state is marked already.
    cut(&dir, 3);
    let mut db = Db::open(options(&dir)).unwrap();
    broken(&mut db, 1, "had reached row");
    assert_eq!(db.losses().unwrap().len(), 2);
    drop(db);
    cut(&dir, 3);
    assert_eq!(Db::open(options(&dir)).unwrap().losses().unwrap().len(), 2, "a marked state was cut unseen");
}

#[test]
fn d09_a_trail_that_was_written_anew_to_its_full_length_is_noticed() {
    let dir = dir();
    let mut db = create(&dir);
    db.set_freeze(true, "as it was", t(1)).unwrap();
    drop(db);
    let (state, other) = (dir.path().join("state"), dir.path().join("other"));
    copy_dir(&state, &other);
    let mut db = Db::open(options(&dir)).unwrap();
    db.set_freeze(false, "what happened", t(2)).unwrap();
    drop(db);
    // Another history of the same length, made from the copy.
    let mut db = Db::open(Options::new(&other, t(0)).machine("machine-1")).unwrap();
    db.set_freeze(false, "what did not", t(2)).unwrap();
    drop(db);
    fs::copy(other.join("ledgerward.db"), state.join("ledgerward.db")).unwrap();
    let mut db = Db::open(options(&dir)).unwrap();
    assert!(matches!(db.audit_verify().unwrap(), Verdict::Broken { why, .. } if why.contains("written anew")));
    assert!(db.restored().unwrap().is_some());
}

#[test]
fn t14_another_machine_is_a_note_until_adopted() {
    let dir = dir();
    drop(create(&dir));
    let mut db = Db::open(options(&dir).machine("machine-2")).unwrap();
    assert_eq!(db.notes(), [Note::MachineChanged]);
    db.adopt_machine(Some("machine-2".into()), "moved to a new server", t(1)).unwrap();
    drop(db);
    assert!(Db::open(options(&dir).machine("machine-2")).unwrap().notes().is_empty());
}

#[test]
fn d06_an_older_schema_is_copied_then_brought_up() {
    let dir = dir();
    drop(create(&dir));
    let state = dir.path().join("state");
    // As version 2 left it.
    let old = Connection::open(state.join("ledgerward.db")).unwrap();
    old.execute_batch(
        "DROP TABLE statement; DROP TABLE delivered; ALTER TABLE run DROP COLUMN part; \
         ALTER TABLE change DROP COLUMN person; DROP INDEX change_turn; ALTER TABLE change DROP COLUMN turn; \
         ALTER TABLE owned DROP COLUMN ends; PRAGMA user_version = 2;",
    )
    .unwrap();
    drop(old);
    let db = Db::open(options(&dir)).unwrap();
    let [Note::Migrated { from: 2, to: 7, copy }] = db.notes() else { panic!("{:?}", db.notes()) };
    let copy = Connection::open(copy).unwrap();
    assert_eq!(copy.query_row("PRAGMA user_version", [], |r| r.get::<_, i64>(0)).unwrap(), 2);
    assert!(db.delivered().unwrap().is_empty());
}

#[tokio::test]
async fn a_panicking_job_changes_nothing_and_the_next_one_runs() {
    let dir = dir();
    let store = Store::serve(create(&dir)).unwrap();
    let e = store
        .run(|db| {
            db.tx(|db| -> ledgerward::store::Result<()> {
                db.doc_put("k", "x", &1)?;
                panic!("as if by a defect")
            })
        })
        .await
        .unwrap_err();
    assert_eq!(e.kind, Kind::Closed);
    assert_eq!(store.run(|db| db.doc_get::<i32>("k", "x")).await.unwrap(), None);
    store.run(|db| db.doc_put("k", "y", &2)).await.unwrap();
    // An inner step that fails takes only its own work back.
    store
        .run(|db| {
            db.tx(|db| {
                db.doc_put("k", "outer", &1)?;
                let inner = db.tx(|db| {
                    db.doc_put("k", "inner", &1)?;
                    Err::<(), _>(StoreError::conflict("no"))
                });
                assert!(inner.is_err());
                Ok(())
            })
        })
        .await
        .unwrap();
    let all = store.run(|db| db.doc_all::<i32>("k")).await.unwrap();
    assert_eq!(all.keys().collect::<Vec<_>>(), ["outer", "y"]);

    let ann = store.acting(Actor::new("ann@firm.example", Some(1000), "cli"));
    ann.run(|db| db.set_freeze(true, "audit week", t(1))).await.unwrap();
    store.run(|db| db.set_freeze(false, "over", t(2))).await.unwrap();
    let tail = store.run(|db| db.audit_tail(2)).await.unwrap();
    assert_eq!(tail[0].actor, "daemon (daemon)");
    assert_eq!(tail[1].actor, "ann@firm.example (uid 1000, cli)");
    drop(ann);
    store.clone().close().await.unwrap();
    assert_eq!(store.run(|db| db.freeze()).await.unwrap_err().kind, Kind::Closed);
}

/// Steps that wait while the store is busy, so that they are done as one group. Each ends before the next is asked for.
async fn in_one_group(store: &Store, steps: Vec<Step>) -> Vec<ledgerward::store::Result<()>> {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let busy = tokio::spawn({
        let store = store.clone();
        async move { store.run(move |_| Ok(wait.recv().is_ok())).await }
    });
    tokio::task::yield_now().await;
    let mut waiting = Vec::new();
    for step in steps {
        let store = store.clone();
        waiting.push(tokio::spawn(async move { store.run_grouped(step).await }));
        tokio::task::yield_now().await;
    }
    go.send(()).unwrap();
    assert!(busy.await.unwrap().unwrap());
    let mut ends = Vec::new();
    for one in waiting {
        ends.push(one.await.unwrap());
    }
    ends
}

type Step = Box<dyn FnOnce(&mut Db) -> ledgerward::store::Result<()> + Send>;

#[tokio::test]
async fn d06_waiting_steps_are_one_transaction_and_each_error_is_one_steps_own() {
    let dir = dir();
    let store = Store::serve(create(&dir)).unwrap();
    let file = dir.path().join("state/ledgerward.db");
    let seen = move |key: &str| -> i64 {
        let other = Connection::open(&file).unwrap();
        other.query_row("SELECT count(*) FROM doc WHERE kind = 'k' AND key = ?1", [key], |r| r.get(0)).unwrap()
    };
    let look = seen.clone();
    let ends = in_one_group(
        &store,
        vec![
            Box::new(|db| db.doc_put("k", "a", &1)),
            Box::new(|db| {
                db.tx(|db| {
                    db.doc_put("k", "b", &1)?;
                    Err(StoreError::conflict("no"))
                })
            }),
            Box::new(move |db| {
                assert_eq!(db.doc_get::<i32>("k", "a")?, Some(1));
                assert_eq!(look("a"), 0, "the first step is on the disk before the group is");
                db.doc_put("k", "c", &1)
            }),
        ],
    )
    .await;
    assert!(ends[0].is_ok() && ends[2].is_ok(), "{ends:?}");
    assert_eq!(ends[1].as_ref().unwrap_err().kind, Kind::Conflict);
    assert_eq!(["a", "b", "c"].map(seen), [1, 0, 1]);
}

#[tokio::test]
async fn a_defect_in_a_group_is_told_to_all_it_undid_and_the_rest_is_done() {
    let dir = dir();
    let store = Store::serve(create(&dir)).unwrap();
    let ends = in_one_group(
        &store,
        vec![
            Box::new(|db| db.doc_put("k", "a", &1)),
            Box::new(|db| {
                db.tx(|db| {
                    db.doc_put("k", "b", &1)?;
                    panic!("as if by a defect")
                })
            }),
            Box::new(|db| db.doc_put("k", "c", &1)),
        ],
    )
    .await;
    assert_eq!(ends[0].as_ref().unwrap_err().kind, Kind::Closed, "what is not on the disk is not told as done");
    assert_eq!(ends[1].as_ref().unwrap_err().kind, Kind::Closed);
    assert!(ends[2].is_ok(), "{ends:?}");
    let all = store.run(|db| db.doc_all::<i32>("k")).await.unwrap();
    assert_eq!(all.keys().collect::<Vec<_>>(), ["c"]);
}

#[test]
fn closing_gives_the_lock_back() {
    let dir = dir();
    let store = Store::serve(create(&dir)).unwrap();
    let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
    rt.block_on(store.close()).unwrap();
    drop(Db::open(options(&dir)).unwrap());
}

#[test]
fn snapshots_are_kept_to_a_number() {
    let dir = dir();
    let mut db = create(&dir);
    for n in 0..4 {
        db.snapshot(2, t(n)).unwrap();
    }
    assert_eq!(db.snapshots().unwrap().len(), 2);
    assert!(db.integrity().unwrap().whole());
}

#[test]
fn d07_the_log_is_moved_into_the_state_when_nothing_else_is_to_do() {
    let dir = dir();
    let mut db = create(&dir);
    let body = "x".repeat(100_000);
    for n in 0..200 {
        db.doc_put("bulk", &n.to_string(), &format!("{n}{body}")).unwrap();
    }
    assert!(db.wal_bytes() > 0, "nothing was written");
    db.checkpoint().unwrap();
    assert_eq!(db.wal_bytes(), 0);
    assert_eq!(db.doc_all::<String>("bulk").unwrap().len(), 200);
    // A reader elsewhere that does not let go: the log stays, nothing fails, and the next time does it.
    let other = Connection::open(dir.path().join("state/ledgerward.db")).unwrap();
    other.execute_batch("BEGIN; SELECT count(*) FROM doc;").unwrap();
    db.doc_put("bulk", "0", "new").unwrap();
    let begun = std::time::Instant::now();
    let _busy = db.checkpoint();
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    other.execute_batch("COMMIT").unwrap();
    db.checkpoint().unwrap();
    assert_eq!(db.wal_bytes(), 0);
}
