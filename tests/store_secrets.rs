//! Sealed tokens, the audit trail, and what a full disk may not do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::{fs, path::Path};

use ledgerward::{
    audit::Verdict,
    domain::{
        firm::TargetName,
        lane::{LaneKey, Op},
    },
    store::{
        Db, Intent, JournalOp, KeySource, Kind, NewSignIn, NewTokens, Note, Options, PendingOAuth, SignInState, Store,
        StoreError,
    },
};
use ledgerward_contract::{ClientId, Email, ErrorKind, FolderKey, FolderRole, Secret, Timestamp};
use ledgerward_kit::vault::Vault;
use tempfile::TempDir;

fn t(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

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

fn tokens(n: u64) -> NewTokens {
    let at = t(i64::try_from(n).unwrap());
    NewTokens {
        access: Secret::new(format!("access-{n}")),
        access_issued_at: at,
        access_expires_at: at,
        refresh: Some(Secret::new(format!("refresh-{n}"))),
        refresh_expires_at: None,
        previous: (n > 1).then(|| Secret::new(format!("refresh-{}", n - 1))),
    }
}

fn sign_in(db: &mut Db, subject: &str) -> String {
    let who = NewSignIn {
        connection: "xero".into(),
        subject: subject.into(),
        email: None,
        realm: None,
        scopes: vec!["offline_access".into()],
    };
    db.signin_put(&who, &tokens(1), t(1)).unwrap()
}

fn refresh(db: &Db, id: &str) -> String {
    db.tokens(id).unwrap().refresh.unwrap().expose().to_owned()
}

fn blob(db: &Db, id: &str, column: &str) -> Vec<u8> {
    db.raw().query_row(&format!("SELECT {column} FROM signin WHERE id = ?1"), [id], |r| r.get(0)).unwrap()
}

fn put_blob(db: &Db, id: &str, column: &str, blob: &[u8]) {
    let sql = format!("UPDATE signin SET {column} = ?2 WHERE id = ?1");
    assert_eq!(db.raw().execute(&sql, rusqlite::params![id, blob]).unwrap(), 1);
}

fn secret(result: Result<impl Sized, StoreError>) {
    assert_eq!(result.err().map(|e| e.kind), Some(Kind::Secret));
}

#[test]
fn t15_a_value_in_another_row_column_or_generation_or_with_any_bit_flipped_does_not_open() {
    let dir = dir();
    let mut db = create(&dir);
    let (a, b) = (sign_in(&mut db, "a"), sign_in(&mut db, "b"));
    let first = blob(&db, &a, "refresh");
    db.tokens_commit(&a, 1, &tokens(2)).unwrap();
    db.tokens_commit(&b, 1, &tokens(2)).unwrap();
    let good = blob(&db, &a, "refresh");
    assert_ne!(first, good);

    for (what, bad) in [
        ("another row", blob(&db, &b, "refresh")),
        ("another column", blob(&db, &a, "access")),
        ("an older one", first.clone()),
    ] {
        put_blob(&db, &a, "refresh", &bad);
        assert_eq!(db.tokens(&a).err().map(|e| e.kind), Some(Kind::Secret), "{what}");
        assert_eq!(db.tokens_intend(&a, 2, 1, t(9)).unwrap_err().kind, Kind::Secret, "{what}: a call was let through");
        assert_eq!(blob(&db, &a, "refresh"), bad, "{what}: the value was replaced");
    }
    // The old value with its old generation: sealed columns of the same time would be needed as well.
    put_blob(&db, &a, "refresh", &first);
    db.raw().execute("UPDATE signin SET generation = 1 WHERE id = ?1", [&a]).unwrap();
    secret(db.tokens(&a));
    db.raw().execute("UPDATE signin SET generation = 2 WHERE id = ?1", [&a]).unwrap();

    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        put_blob(&db, &a, "refresh", &bad);
        secret(db.tokens(&a));
    }
    for len in 0..good.len() {
        put_blob(&db, &a, "refresh", &good[..len]);
        secret(db.tokens(&a));
    }
    put_blob(&db, &a, "refresh", &good);
    assert_eq!(refresh(&db, &a), "refresh-2");
    assert_eq!(refresh(&db, &b), "refresh-2", "the other sign-in was touched");
}

#[test]
fn t15_a_missing_or_wrong_key_shuts_the_sign_ins_and_nothing_is_replaced() {
    let dir = dir();
    let mut db = create(&dir);
    let id = sign_in(&mut db, "a");
    drop(db);
    let key = dir.path().join("state/key");
    let right = fs::read(&key).unwrap();
    assert_eq!(right.len(), 32);
    for wrong in [None, Some(vec![7; 32]), Some(vec![7; 31]), Some(Vec::new())] {
        match &wrong {
            None => fs::remove_file(&key).unwrap(),
            Some(bytes) => {
                use std::os::unix::fs::OpenOptionsExt;
                let mut file =
                    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&key).unwrap();
                std::io::Write::write_all(&mut file, bytes).unwrap();
            }
        }
        let mut db = Db::open(options(&dir).create()).unwrap();
        assert!(matches!(db.notes(), [Note::KeysShut { .. }]), "{:?}", db.notes());
        assert!(db.keys_problem().unwrap().next.is_some());
        secret(db.tokens(&id));
        secret(db.tokens_intend(&id, 1, 1, t(2)));
        secret(db.tokens_commit(&id, 1, &tokens(2)));
        assert_eq!(db.signins().unwrap().len(), 1, "what needs no secret still answers");
        drop(db);
        assert_eq!(fs::read(&key).ok(), wrong, "the key file was replaced");
    }
    fs::write(&key, right).unwrap();
    assert_eq!(refresh(&Db::open(options(&dir)).unwrap(), &id), "refresh-1");
}

#[test]
fn t15_a_key_that_is_lost_for_good_is_replaced_and_only_the_tokens_go() {
    for lost in [None, Some(vec![7; 31]), Some(vec![7; 32])] {
        let dir = dir();
        let mut db = create(&dir);
        let id = sign_in(&mut db, "a");
        let key = dir.path().join("state/key");
        let refused = db.replace_lost_key(&KeySource::State, "lost", t(2)).unwrap_err();
        assert_eq!(refused.kind, Kind::Conflict, "the key is there");
        let before = db.signins().unwrap();
        db.tokens_spool(&id, 1, &tokens(2)).unwrap();
        drop(db);
        let right = fs::read(&key).unwrap();
        match &lost {
            None => fs::remove_file(&key).unwrap(),
            Some(bytes) => fs::write(&key, bytes).unwrap(),
        }
        let mut db = Db::open(options(&dir)).unwrap();
        assert!(db.keys_problem().unwrap().next.unwrap().contains("ledgerward key replace"));
        let shut = db.signins().unwrap();
        assert!(matches!(shut[0].state, SignInState::NeedsReauth { .. }), "status would call it active");

        db.replace_lost_key(&KeySource::State, "the disk died", t(3)).unwrap();
        assert!(db.keys_problem().is_none() && db.notes().is_empty(), "{:?}", db.notes());
        let after = db.signins().unwrap();
        assert!(matches!(after[0].state, SignInState::NeedsReauth { .. }));
        assert_eq!((&after[0].id, &after[0].who), (&before[0].id, &before[0].who), "whose sign-in it is stays");
        let empty = db.tokens(&id).unwrap();
        assert!(empty.access.is_none() && empty.refresh.is_none() && empty.previous.is_none());
        let last: (String, Option<String>) = db
            .raw()
            .query_row("SELECT act, reason FROM audit ORDER BY seq DESC LIMIT 1", [], |r| Ok((r.get(0)?, r.get(1)?)))
            .unwrap();
        assert_eq!(last, ("key.replace".to_owned(), Some("the disk died".to_owned())));

        assert_eq!(sign_in(&mut db, "a"), id, "the same account signs in again into its old row");
        drop(db);
        let db = Db::open(options(&dir)).unwrap();
        assert_eq!((refresh(&db, &id), db.notes()), ("refresh-1".to_owned(), &[][..]));
        if lost.as_ref().is_some_and(|bytes| bytes.len() == 31) {
            let kept = fs::read_dir(dir.path().join("state")).unwrap().map(|e| e.unwrap().path());
            let kept: Vec<_> = kept.filter(|p| p.to_str().unwrap().contains("key.unusable-")).collect();
            assert_eq!(kept.iter().map(|p| fs::read(p).unwrap()).collect::<Vec<_>>(), [lost.unwrap()]);
        }
        assert_ne!(fs::read(&key).unwrap(), right);
    }
}

#[test]
fn t15_a_key_that_is_there_after_all_is_not_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let dir = dir();
    let mut db = create(&dir);
    let id = sign_in(&mut db, "a");
    drop(db);
    let (key, away) = (dir.path().join("state/key"), dir.path().join("away"));
    let replace = |db: &mut Db| db.replace_lost_key(&KeySource::State, "lost", t(3)).unwrap_err();

    // Open to others: the right one, and only refused as it stands.
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let mut db = Db::open(options(&dir)).unwrap();
    assert_eq!(replace(&mut db).kind, Kind::Secret);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(replace(&mut db).kind, Kind::Conflict, "it was put right since the start");
    assert_eq!(refresh(&db, &id), "refresh-1", "and opens the state from then on");

    // Kept beside it by a rotation, and the state is one of the time before.
    let was: String = db.raw().query_row("SELECT kek_id FROM data_key", [], |r| r.get(0)).unwrap();
    drop(db);
    fs::copy(&key, &away).unwrap();
    fs::rename(&key, dir.path().join(format!("state/key.{was}"))).unwrap();
    let mut db = Db::open(options(&dir)).unwrap();
    assert!(replace(&mut db).next.unwrap().starts_with("cp -p "));
    drop(db);

    // A file that the configuration names is never made and never moved.
    fs::remove_file(dir.path().join(format!("state/key.{was}"))).unwrap();
    let named = KeySource::File(dir.path().join("named"));
    let mut db = Db::open(options(&dir).key(named.clone())).unwrap();
    assert_eq!(db.replace_lost_key(&named, "lost", t(3)).unwrap_err().kind, Kind::Secret);
    assert!(!dir.path().join("named").exists());
    drop(db);
    fs::rename(&away, &key).unwrap();
    assert_eq!(refresh(&Db::open(options(&dir)).unwrap(), &id), "refresh-1");
}

#[test]
fn no_secret_is_in_the_files_in_plain() {
    let dir = dir();
    let mut db = create(&dir);
    let id = sign_in(&mut db, "a");
    db.tokens_intend(&id, 1, 1, t(2)).unwrap();
    db.tokens_spool(&id, 1, &tokens(2)).unwrap();
    let begun = PendingOAuth {
        state: "state-1".into(),
        connection: "xero".into(),
        verifier: Secret::new("verifier-1"),
        body: serde_json::Value::Null,
        expires: t(600),
    };
    db.oauth_begin(&begun, t(3)).unwrap();
    let mut folders = vec![dir.path().join("state")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = fs::read(&path).unwrap();
            for word in ["refresh-1", "refresh-2", "access-1", "verifier-1"] {
                assert!(!bytes.windows(word.len()).any(|w| w == word.as_bytes()), "{word} in {}", path.display());
            }
        }
    }
    assert!(files >= 5);
    assert_eq!(db.oauth_take("state-1", t(4)).unwrap().unwrap().verifier.expose(), "verifier-1");
    assert!(db.oauth_take("state-1", t(4)).unwrap().is_none(), "it was given twice");
    db.oauth_begin(&begun, t(3)).unwrap();
    assert!(db.oauth_take("state-1", t(600)).unwrap().is_none(), "it was too old");
}

#[test]
fn a_key_rotation_can_stop_anywhere_and_old_keys_stay_for_old_backups() {
    let dir = dir();
    let mut db = create(&dir);
    let id = sign_in(&mut db, "a");
    let state = dir.path().join("state");
    let old = fs::read(state.join("key")).unwrap();
    db.rotate_key(t(2)).unwrap();
    assert_ne!(fs::read(state.join("key")).unwrap(), old);
    let kept = fs::read_dir(&state)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.file_name().unwrap().to_string_lossy().starts_with("key.") && fs::read(p).unwrap() == old);
    assert_eq!(kept.count(), 1);
    assert_eq!(refresh(&db, &id), "refresh-1");
    drop(db);
    let mut db = Db::open(options(&dir)).unwrap();
    assert_eq!(refresh(&db, &id), "refresh-1");

    // Stopped after the data keys were wrapped anew and before the file was put in place.
    let before = fs::read(state.join("key")).unwrap();
    db.rotate_key(t(3)).unwrap();
    drop(db);
    fs::rename(state.join("key"), state.join("key.new")).unwrap();
    fs::write(state.join("key"), before).unwrap();
    std::os::unix::fs::PermissionsExt::set_mode(&mut fs::metadata(state.join("key")).unwrap().permissions(), 0o600);
    fs::set_permissions(state.join("key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut db = Db::open(options(&dir)).unwrap();
    assert_eq!(refresh(&db, &id), "refresh-1");
    assert!(!state.join("key.new").exists());
    drop(db);

    // Stopped before anything was wrapped: the new file wraps nothing, and the next rotation uses it.
    fs::copy(state.join("key"), dir.path().join("x")).unwrap();
    fs::write(state.join("key.new"), [9; 32]).unwrap();
    fs::set_permissions(state.join("key.new"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    db = Db::open(options(&dir)).unwrap();
    assert_eq!(refresh(&db, &id), "refresh-1");
    db.rotate_key(t(4)).unwrap();
    drop(db);
    assert_eq!(refresh(&Db::open(options(&dir)).unwrap(), &id), "refresh-1");
}

/// Lets the file grow no further, and fills what room it has.
fn fill(db: &mut Db) {
    let pages: i64 = db.raw().query_row("PRAGMA page_count", [], |r| r.get(0)).unwrap();
    db.raw().query_row(&format!("PRAGMA max_page_count = {pages}"), [], |r| r.get::<_, i64>(0)).unwrap();
    for size in [4000, 500, 40] {
        for n in 0..10_000 {
            match db.doc_put("fill", &format!("{size}-{n}"), &"x".repeat(size)) {
                Ok(()) => assert!(n < 9_999, "the disk never became full"),
                Err(e) => {
                    assert_eq!((e.kind, e.exit_code()), (Kind::Full, 75), "{e:?}");
                    break;
                }
            }
        }
    }
    // The trail's last page may still take a few rows.
    for n in 0..1000 {
        if db.set_freeze(n % 2 == 0, "filling", t(1)).is_err() {
            return;
        }
    }
    panic!("the audit trail never became full");
}

fn empty(db: &Db) {
    db.raw().query_row("PRAGMA max_page_count = 1000000", [], |r| r.get::<_, i64>(0)).unwrap();
}

#[tokio::test]
async fn t05_f05_a_full_disk_stops_the_call_before_it_and_spools_after_it() {
    let dir = dir();
    let mut db = create(&dir);
    let id = sign_in(&mut db, "a");
    fill(&mut db);
    let store = Store::serve(db).unwrap();

    let gate = store.intend(&id, 1, 1, t(2)).await.unwrap_err();
    assert_eq!(gate.kind, ErrorKind::Unavailable, "the gate let the call through: {gate:?}");
    let row = store.load(&id).await.unwrap().into_inner();
    assert_eq!((row.generation, row.state), (1, SignInState::Active), "half of the gate was written");

    // It filled up between the gate and the answer: the new token exists at the vendor and here alone.
    let e = store.commit(&id, 1, &tokens(2)).await.unwrap_err();
    assert!(e.kind != ErrorKind::Conflict, "the kit would drop its token: {e:?}");
    let spooled = store.spool(&id, 1, &tokens(2)).await.unwrap().into_inner();
    assert!(matches!(spooled.state, SignInState::Degraded { .. }));
    assert_eq!((spooled.generation, spooled.refresh.unwrap().expose().to_owned()), (2, "refresh-2".to_owned()));
    assert_eq!(store.load(&id).await.unwrap().get().generation, 2);

    // Killed now: the next start brings it in.
    let at = id.clone();
    store.run(move |db| db.tokens(&at).map(|_| ())).await.unwrap();
    store.close().await.unwrap();
    let mut db = Db::open(options(&dir)).unwrap();
    assert!(matches!(db.notes(), [Note::SpoolRecovered { .. }]), "{:?}", db.notes());
    let row = db.tokens(&id).unwrap();
    assert_eq!((row.generation, row.state), (2, SignInState::Active));
    assert_eq!(fs::read_dir(dir.path().join("state/spool")).unwrap().count(), 0);

    // The same without a restart: the commit that works again removes the file.
    fill(&mut db);
    db.tokens_spool(&id, 2, &tokens(3)).unwrap();
    empty(&db);
    assert_eq!(db.tokens_commit(&id, 2, &tokens(3)).unwrap().generation, 3);
    assert_eq!(fs::read_dir(dir.path().join("state/spool")).unwrap().count(), 0);
    // And with a refresh that comes first: the gate takes the spooled token in.
    db.tokens_spool(&id, 3, &tokens(4)).unwrap();
    db.tokens_intend(&id, 4, 1, t(9)).unwrap();
    assert_eq!(refresh(&db, &id), "refresh-4");
}

#[test]
fn t05_a_spool_file_that_is_cut_is_kept_and_told() {
    let dir = dir();
    let mut db = create(&dir);
    let id = sign_in(&mut db, "a");
    db.tokens_spool(&id, 1, &tokens(2)).unwrap();
    drop(db);
    let file = fs::read_dir(dir.path().join("state/spool")).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..20]).unwrap();
    let db = Db::open(options(&dir)).unwrap();
    assert!(matches!(db.notes(), [Note::SpoolUnreadable { .. }]), "{:?}", db.notes());
    assert_eq!(refresh(&db, &id), "refresh-1");
    assert!(file.exists());
}

#[test]
fn a_commit_needs_the_generation_it_read_and_a_refused_token_stays() {
    let dir = dir();
    let mut db = create(&dir);
    let id = sign_in(&mut db, "a");
    db.tokens_intend(&id, 1, 1, t(2)).unwrap();
    db.tokens_intend(&id, 1, 2, t(5)).unwrap();
    assert_eq!(db.tokens(&id).unwrap().state, SignInState::Refreshing { since: t(2), attempt: 2 });
    db.tokens_commit(&id, 1, &tokens(2)).unwrap();
    assert_eq!(db.tokens_commit(&id, 1, &tokens(3)).unwrap_err().kind, Kind::Conflict);
    assert_eq!(db.tokens_intend(&id, 1, 1, t(2)).unwrap_err().kind, Kind::Conflict);
    assert_eq!(db.tokens(&id).unwrap().previous.unwrap().expose(), "refresh-1");
    db.tokens_settle(&id, 1).unwrap();
    assert!(db.tokens(&id).unwrap().previous.is_some(), "an older answer settled a newer token");
    db.tokens_settle(&id, 2).unwrap();
    assert!(db.tokens(&id).unwrap().previous.is_none());
    db.tokens_need_reauth(&id, 1, "late", t(6)).unwrap();
    assert_eq!(db.tokens(&id).unwrap().state, SignInState::Active);
    db.tokens_need_reauth(&id, 2, "refused twice", t(7)).unwrap();
    let row = db.tokens(&id).unwrap();
    assert_eq!(row.state, SignInState::NeedsReauth { since: t(7), why: "refused twice".into() });
    assert_eq!(row.refresh.unwrap().expose(), "refresh-2");
    // The same person signs in again: the same row goes on.
    assert_eq!(sign_in(&mut db, "a"), id);
    let row = db.tokens(&id).unwrap();
    assert_eq!((row.generation, row.state), (3, SignInState::Active));
    assert_eq!(db.tokens("nobody").unwrap_err().kind, Kind::Missing);
}

fn grant_intent() -> Intent {
    Intent {
        run: 1,
        lane: LaneKey {
            target: TargetName("drive".into()),
            folder: FolderKey { client: ClientId(uuid::Uuid::from_u128(1)), account: None },
        },
        op: JournalOp::Access(Op::Grant { who: Email::parse("ann@firm.example").unwrap(), role: FolderRole::Reader }),
        cause: None,
        because: "selected".into(),
        reserved: None,
        approved: false,
    }
}

#[test]
fn d08_without_its_audit_row_nothing_changes() {
    let dir = dir();
    let mut db = create(&dir);
    let id = sign_in(&mut db, "a");
    let head = db.audit_head().unwrap();
    db.raw()
        .execute_batch("CREATE TEMP TRIGGER no_audit BEFORE INSERT ON main.audit BEGIN SELECT RAISE(ABORT, 'no'); END")
        .unwrap();
    assert!(db.intend(&grant_intent(), t(2)).is_err());
    assert!(db.tokens_intend(&id, 1, 1, t(2)).is_err());
    assert!(db.tokens_commit(&id, 1, &tokens(2)).is_err());
    assert!(db.tokens_need_reauth(&id, 1, "no", t(2)).is_err());
    assert!(db.set_freeze(true, "no", t(2)).is_err());
    assert!(db.approve("00112233", "ann", "no", t(2), t(9)).is_err());
    let firm = db.firm().unwrap();
    let mut after = firm.clone();
    after.name = "Harbour & Co".into();
    assert!(db.record_change(&serde_json::json!({}), "ann", "no", t(2), &firm, &after).is_err());
    db.raw().execute_batch("DROP TRIGGER no_audit").unwrap();

    assert!(db.unsettled().unwrap().is_empty() && db.lanes().unwrap().is_empty(), "a write without its audit row");
    let row = db.tokens(&id).unwrap();
    assert_eq!((row.generation, row.state), (1, SignInState::Active));
    assert_eq!((db.freeze().unwrap(), db.approvals_valid(t(3)).unwrap().len()), (None, 0));
    assert_eq!((db.firm().unwrap(), db.changes(9).unwrap().len()), (firm, 0));
    assert_eq!(db.audit_head().unwrap(), head);
}

#[test]
fn d09_any_row_that_is_changed_removed_moved_or_cut_off_is_found() {
    let dir = dir();
    let mut db = create(&dir);
    for n in 0..12 {
        db.set_freeze(n % 2 == 0, &format!("reason {n}"), t(n)).unwrap();
    }
    let Verdict::Whole(head) = db.audit_verify().unwrap() else { panic!("broken from the start") };
    let rows = head.seq;
    let raw = db.raw();
    assert!(raw.execute("UPDATE audit SET reason = 'x'", []).is_err(), "the trail let itself be edited");
    assert!(raw.execute("DELETE FROM audit", []).is_err());
    raw.execute_batch(
        "DROP TRIGGER audit_append_only_update; DROP TRIGGER audit_append_only_delete; PRAGMA temp_store = MEMORY",
    )
    .unwrap();

    let mut found = 0;
    for seq in 1..=rows {
        let mut edits = vec![
            format!("UPDATE audit SET at = at + 1 WHERE seq = {seq}"),
            format!("UPDATE audit SET hash = '{}' WHERE seq = {seq}", "0".repeat(64)),
            format!("DELETE FROM audit WHERE seq = {seq}"),
        ];
        for column in ["actor", "act", "subject", "reason", "before", "after"] {
            edits.push(format!("UPDATE audit SET {column} = ifnull({column}, '') || ' ' WHERE seq = {seq}"));
            edits.push(format!("UPDATE audit SET {column} = 'null' WHERE seq = {seq}"));
        }
        if seq < rows {
            edits.push(format!(
                "UPDATE audit SET seq = -1 WHERE seq = {seq}; UPDATE audit SET seq = {seq} WHERE seq = {0};
                 UPDATE audit SET seq = {0} WHERE seq = -1",
                seq + 1
            ));
        }
        for edit in edits {
            db.raw().execute_batch("SAVEPOINT edit").unwrap();
            db.raw().execute_batch(&edit).unwrap();
            match db.audit_verify().unwrap() {
                Verdict::Broken { seq: at, why } => assert!(at == seq && !why.is_empty(), "{edit}: found at {at}"),
                Verdict::Whole(_) => panic!("not found: {edit}"),
            }
            db.raw().execute_batch("ROLLBACK TO edit; RELEASE edit").unwrap();
            found += 1;
        }
    }
    assert!(found > 150);
    // A cut tail leaves a good chain; the watermark knows better.
    for keep in 0..rows {
        db.raw().execute_batch(&format!("SAVEPOINT edit; DELETE FROM audit WHERE seq > {keep}")).unwrap();
        assert!(matches!(db.audit_verify().unwrap(), Verdict::Broken { .. }), "cut after {keep}");
        db.raw().execute_batch("ROLLBACK TO edit; RELEASE edit").unwrap();
    }
    assert_eq!(db.audit_verify().unwrap(), Verdict::Whole(head));
    let page = db.audit_page(0, None, None).unwrap();
    assert_eq!(page.len(), usize::try_from(rows).unwrap());
    assert_eq!(page.last().unwrap().seq, rows);
    let second = db.audit_page(2, None, Some(3)).unwrap();
    assert_eq!(second.iter().map(|e| e.seq).collect::<Vec<_>>(), [3, 4, 5]);
}

/// One byte of the file changed, in every place of a row: its lengths, its column types, its number, each column's text.
#[test]
fn d09_one_byte_of_the_audit_table_changed_in_the_file_is_found() {
    let dir = dir();
    let mut db = create(&dir);
    for n in 0..4 {
        db.set_freeze(n % 2 == 0, &format!("reason {n}"), t(n)).unwrap();
    }
    let Verdict::Whole(head) = db.audit_verify().unwrap() else { panic!("broken from the start") };
    let rows: Vec<[String; 7]> = {
        let raw = db.raw();
        let mut all = raw
            .prepare("SELECT actor, act, subject, ifnull(before, ''), ifnull(after, ''), ifnull(reason, ''), hash FROM audit ORDER BY seq")
            .unwrap();
        let rows = all.query_map([], |r| Ok(std::array::from_fn(|n| r.get_unwrap(n)))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    drop(db);
    let path = fs::read_dir(dir.path().join("state"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.is_file() && fs::read(p).unwrap().starts_with(b"SQLite format 3\0"))
        .unwrap();
    let whole = fs::read(&path).unwrap();
    let mut flipped = 0;
    for (n, row) in rows.iter().enumerate().rev().take(3) {
        let body = row.concat();
        let texts = whole.windows(body.len()).position(|w| w == body.as_bytes()).expect("a row's texts stand together");
        // Before them: the row's length, its number, the header with each column's type, the time in six or eight bytes.
        let types: usize = row.iter().map(|c| if c.is_empty() || c.len() < 58 { 1 } else { 2 }).sum();
        let start = texts - 6 - (1 + 2 + types) - 1 - 2;
        for at in start..texts + body.len() {
            for bit in [0x01, 0x40] {
                let mut bytes = whole.clone();
                bytes[at] ^= bit;
                fs::write(&path, &bytes).unwrap();
                let found = match Db::open(options(&dir)) {
                    Err(_) => true,
                    Ok(mut db) => !matches!(db.audit_verify(), Ok(Verdict::Whole(_))),
                };
                assert!(
                    found,
                    "row {}: byte {} of {} changed by {bit:#x}, and nobody saw it",
                    n + 1,
                    at - start,
                    texts + body.len() - start
                );
                flipped += 1;
            }
        }
    }
    assert!(flipped > 500, "{flipped}");
    fs::write(&path, &whole).unwrap();
    let mut db = Db::open(options(&dir)).unwrap();
    if db.restored().unwrap().is_some() {
        assert!(matches!(db.audit_verify().unwrap(), Verdict::Broken { .. }), "rows of the spoilt copies are missing");
        db.confirm_restored("the file as it was", t(9)).unwrap();
    }
    let Verdict::Whole(now) = db.audit_verify().unwrap() else { panic!("the file as it was is whole") };
    // Opening a spoilt copy may have moved the watermark: then this file counts as restored, and says so in a row of its own.
    let since: Vec<_> = db.audit_page(0, None, None).unwrap().into_iter().filter(|e| e.seq > head.seq).collect();
    match &since[..] {
        [] => assert_eq!(now, head),
        [one, two] => {
            assert_eq!((one.act.as_str(), two.act.as_str()), ("state.restored", "state.confirm_restored"));
            assert_eq!(now.seq, head.seq + 2);
        }
        more => panic!("{more:?}"),
    }
}

#[test]
fn f06_after_a_failed_disk_this_process_writes_nothing_more() {
    let dir = dir();
    let mut db = create(&dir);
    let id = sign_in(&mut db, "a");
    let fsync = rusqlite::ffi::SQLITE_IOERR_FSYNC;
    let e = db
        .tx(|db| -> Result<(), StoreError> {
            db.doc_put("k", "x", &1)?;
            Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(fsync), None).into())
        })
        .unwrap_err();
    assert_eq!((e.kind, e.exit_code()), (Kind::Io, 75));
    assert_eq!(db.tokens_intend(&id, 1, 1, t(2)).unwrap_err().kind, Kind::Io);
    assert_eq!(db.doc_put("k", "y", &1).unwrap_err().kind, Kind::Io);
    drop(db);
    let mut db = Db::open(options(&dir)).unwrap();
    assert!(db.doc_all::<i32>("k").unwrap().is_empty());
    db.tokens_intend(&id, 1, 1, t(2)).unwrap();
}

#[test]
fn f05_a_log_that_cannot_grow_is_a_full_disk_and_not_a_broken_one() {
    let dir = dir();
    let mut db = create(&dir);
    let fail = |db: &mut Db, code| {
        db.tx(|_| -> Result<(), StoreError> {
            Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None).into())
        })
        .unwrap_err()
    };
    let e = fail(&mut db, rusqlite::ffi::SQLITE_IOERR_SHMSIZE);
    assert_eq!((e.kind, e.exit_code()), (Kind::Full, 75));
    assert!(e.message.contains("is full") && e.next.unwrap().contains("Make room"));
    db.doc_put("k", "y", &1).unwrap();
    let e = fail(&mut db, rusqlite::ffi::SQLITE_IOERR_WRITE);
    assert_eq!(e.kind, Kind::Io);
}
