//! What the suite cannot know: links, mounts, foreign owners, crashes, a full disk, and whether the kernel agrees.

#![expect(clippy::unwrap_used, reason = "helpers of tests; the lint sees only the tests themselves")]

mod common;

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use ledgerward_contract::{
    Audience, Build, ClientId, Connector, Created, Cursor, Email, Endpoints, ErrorKind, Expect, Factory, Fenced,
    FolderId, FolderKey, FolderRole, Gone, Holder, Journalled, NoteLevel, Permit, ReadCx, SeenRole, Stat,
    StatementFile, StorageTarget, Stored, Timestamp, Via, WriteAuthority, WriteCx,
    suite::{NoTransport, target::file},
};
use ledgerward_local::FACTORY;
use serde_json::{Value, json};

const ANN: u32 = 70_001;
const BOB: u32 = 70_002;

struct Place {
    temp: tempfile::TempDir,
    root: PathBuf,
    connector: Box<dyn Connector>,
}

fn build(settings: Value) -> ledgerward_contract::Result<Box<dyn Connector>> {
    FACTORY.build(Build { settings, endpoints: Endpoints::default() })
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A root without marker, and a connector on it.
fn bare(sharing: &str, new_root: bool) -> Place {
    let temp = tempfile::tempdir().unwrap();
    chmod(temp.path(), 0o711);
    let root = temp.path().canonicalize().unwrap().join("clients");
    fs::create_dir(&root).unwrap();
    chmod(&root, 0o711);
    let accounts = json!({ "ann@firm.example": ANN, "bob@firm.example": BOB.to_string() });
    let settings = json!({ "root": root, "sharing": sharing, "accounts": accounts, "new_root": new_root });
    Place { temp, root, connector: build(settings).unwrap() }
}

fn place(sharing: &str) -> Place {
    let p = bare(sharing, false);
    fs::write(p.root.join(".ledgerward.json"), "").unwrap();
    p
}

fn acls() -> Option<Place> {
    if !common::has_acls(&std::env::temp_dir()) {
        println!("skipped: the file system of the temporary folder has no POSIX ACLs");
        return None;
    }
    Some(place("mirror"))
}

fn root_user() -> bool {
    let yes = rustix::process::geteuid().is_root();
    if !yes {
        println!("skipped: only root can play other users");
    }
    yes
}

fn key(n: u128) -> FolderKey {
    FolderKey { client: ClientId(uuid::Uuid::from_u128(n)), account: None }
}

fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

fn read() -> ReadCx {
    ReadCx::new(Arc::new(NoTransport), Timestamp::UNIX_EPOCH)
}

fn write_at(now: Timestamp) -> WriteCx {
    Permit::issue(&WriteAuthority::for_tests(), Journalled::committed(7)).open(Arc::new(NoTransport), now)
}

fn write() -> WriteCx {
    write_at(Timestamp::UNIX_EPOCH)
}

fn fence(id: &FolderId) -> Fenced<FolderId> {
    Fenced::managed_elsewhere(id.clone(), &Audience::new("tests").unwrap())
}

impl Place {
    fn t(&self) -> &dyn StorageTarget {
        self.connector.target().unwrap()
    }
    async fn folder(&self, n: u128, name: &str) -> FolderId {
        match self.t().create(&write(), &key(n), name, None).await.unwrap() {
            Created::Created(id) | Created::Exists { id, .. } => id,
        }
    }
    async fn put(&self, id: &FolderId, file: &StatementFile) -> ledgerward_contract::Result<Stored> {
        self.t().put(&write(), &fence(id), file, Expect::Absent).await
    }
    async fn holders(&self, id: &FolderId) -> Vec<(Holder, SeenRole, Via)> {
        let page = self.t().sharing(&read(), id, Cursor::Start).await.unwrap();
        page.items.into_iter().filter(|p| !p.ourselves).map(|p| (p.holder, p.role, p.via)).collect()
    }
}

/// Whether this user can do that with the file, as the kernel sees it.
fn can(uid: u32, verb: &str, path: &Path) -> bool {
    let mut command = Command::new(verb);
    command.arg(path).uid(uid).gid(uid);
    command.output().unwrap().status.success()
}

#[tokio::test]
async fn f01_links_are_never_followed() {
    let p = place("off");
    let (acme, birch) = (p.folder(1, "Acme").await, p.folder(2, "Birch").await);
    symlink("../Birch", p.root.join("Acme/2026")).unwrap();
    let e = p.put(&acme, &file(&["2026", "a.pdf"], b"x")).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Contract);
    assert!(e.message.contains("symbolic link"), "{e}");
    symlink("../Birch/b.pdf", p.root.join("Acme/b.pdf")).unwrap();
    assert_eq!(p.put(&acme, &file(&["b.pdf"], b"x")).await.unwrap_err().kind, ErrorKind::Conflict);
    assert!(p.t().files(&read(), &birch, Cursor::Start).await.unwrap().items.is_empty());
    let listed = p.t().files(&read(), &acme, Cursor::Start).await.unwrap().items;
    assert!(listed.len() == 2 && listed.iter().all(|f| f.tag.as_str() == "not-a-file"), "{listed:?}");
    symlink("Birch", p.root.join("Cedar")).unwrap();
    let cedar = FolderId::from("Cedar");
    assert_eq!(p.t().stat(&read(), &cedar).await.unwrap_err().kind, ErrorKind::Contract);
    assert!(p.t().files(&read(), &cedar, Cursor::Start).await.is_err());
    assert!(p.put(&cedar, &file(&["c.pdf"], b"x")).await.is_err());
    for id in ["..", ".", "", "a/b", "/etc", "../clients/Acme"] {
        assert!(p.t().stat(&read(), &id.into()).await.is_err(), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f01_a_folder_that_turns_into_a_link_leads_nowhere() {
    let p = place("off");
    let acme = p.folder(1, "Acme").await;
    let outside = p.temp.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let (stop, sub, away, to) =
        (Arc::new(AtomicBool::new(false)), p.root.join("Acme/sub"), p.root.join("Acme/away"), outside.clone());
    fs::create_dir(&sub).unwrap();
    let seen = Arc::clone(&stop);
    let swapper = std::thread::spawn(move || {
        while !seen.load(Ordering::Relaxed) {
            _ = fs::rename(&sub, &away);
            _ = symlink(&to, &sub);
            _ = fs::remove_file(&sub);
            _ = fs::rename(&away, &sub);
        }
    });
    let mut stored = 0;
    for n in 0..400 {
        let name = format!("{n}.pdf");
        stored += usize::from(p.put(&acme, &file(&["sub", &name], b"x")).await.is_ok());
    }
    stop.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "a file went through the link");
    assert!(stored > 0, "the race was never lost, so nothing was shown");
}

#[tokio::test]
async fn f02_an_unsafe_root_is_refused() {
    let p = place("off");
    p.folder(1, "Acme").await;
    for mode in [0o777, 0o775, 0o731] {
        chmod(&p.root, mode);
        assert_eq!(p.t().find(&read(), &key(1)).await.unwrap_err().kind, ErrorKind::Config, "{mode:o}");
        let probe = p.t().probe(&read()).await.unwrap();
        assert!(probe.notes.iter().any(|n| n.level == NoteLevel::Blocker && n.next.is_some()), "{probe:?}");
    }
    chmod(&p.root, 0o711);
    let link = p.temp.path().canonicalize().unwrap().join("link");
    symlink(&p.root, &link).unwrap();
    let over_link = build(json!({ "root": link })).unwrap();
    let e = over_link.target().unwrap().find(&read(), &key(1)).await.unwrap_err();
    assert!(e.kind == ErrorKind::Config && e.message.contains("symbolic link"), "{e:?}");
    let missing = build(json!({ "root": p.root.join("no") })).unwrap();
    assert_eq!(missing.target().unwrap().stat(&read(), &"Acme".into()).await.unwrap_err().kind, ErrorKind::Config);
}

#[tokio::test]
async fn f02_hard_links_foreign_owners_and_open_folders_are_refused() {
    let p = place("off");
    let acme = p.folder(1, "Acme").await;
    let v1 = p.put(&acme, &file(&["a.pdf"], b"v1")).await.unwrap();
    fs::hard_link(p.root.join("Acme/a.pdf"), p.root.join("second name")).unwrap();
    let to = Expect::Unchanged(v1.id, v1.tag);
    let e = p.t().put(&write(), &fence(&acme), &file(&["a.pdf"], b"v2"), to).await.unwrap_err();
    assert!(e.kind == ErrorKind::Conflict && e.message.contains("hard link"), "{e:?}");
    chmod(&p.root.join("Acme"), 0o757);
    assert_eq!(p.put(&acme, &file(&["b.pdf"], b"x")).await.unwrap_err().kind, ErrorKind::Conflict);
    chmod(&p.root.join("Acme"), 0o750);
    if root_user() {
        fs::create_dir(p.root.join("Acme/theirs")).unwrap();
        std::os::unix::fs::chown(p.root.join("Acme/theirs"), Some(BOB), None).unwrap();
        assert_eq!(p.put(&acme, &file(&["theirs", "b.pdf"], b"x")).await.unwrap_err().kind, ErrorKind::Conflict);
        std::os::unix::fs::chown(p.root.join("Acme"), Some(BOB), None).unwrap();
        assert_eq!(p.put(&acme, &file(&["b.pdf"], b"x")).await.unwrap_err().kind, ErrorKind::Conflict);
    }
}

#[tokio::test]
async fn f03_what_a_crash_left_is_never_listed_and_swept_when_it_is_old() {
    let p = place("off");
    let acme = p.folder(1, "Acme").await;
    let left = p.root.join("Acme/.ledgerward-tmp-3-abc");
    fs::write(&left, "half a statem").unwrap();
    let half_folder = p.root.join(".ledgerward-tmp-4-def");
    fs::create_dir(&half_folder).unwrap();
    assert!(p.t().files(&read(), &acme, Cursor::Start).await.unwrap().items.is_empty());
    p.put(&acme, &file(&["a.pdf"], b"x")).await.unwrap();
    assert!(left.exists(), "it may still be somebody's who is writing now");
    let later = write_at(Timestamp::from_second(fs::metadata(&left).unwrap().mtime() + 7200).unwrap());
    p.t().put(&later, &fence(&acme), &file(&["b.pdf"], b"x"), Expect::Absent).await.unwrap();
    p.t().create(&later, &key(2), "Birch", None).await.unwrap();
    assert!(!left.exists() && !half_folder.exists());
    let names = fs::read_dir(p.root.join("Acme")).unwrap().count();
    assert_eq!(names, 3, "marker and two files, nothing else");
}

#[tokio::test]
async fn f04_a_root_without_its_marker_says_nothing_about_anybody() {
    let p = place("mirror");
    let acme = p.folder(1, "Acme").await;
    // The disk is not mounted: what we see is the empty mount point.
    fs::rename(&p.root, p.temp.path().join("the disk")).unwrap();
    fs::create_dir(&p.root).unwrap();
    chmod(&p.root, 0o711);
    let t = p.t();
    let errors = [
        t.find(&read(), &key(1)).await.unwrap_err(),
        t.stat(&read(), &acme).await.unwrap_err(),
        t.sharing(&read(), &acme, Cursor::Start).await.unwrap_err(),
        t.files(&read(), &acme, Cursor::Start).await.unwrap_err(),
        t.create(&write(), &key(1), "Acme", None).await.unwrap_err(),
        t.revoke(&write(), &acme, &"uid:70001".into()).await.unwrap_err(),
        p.put(&acme, &file(&["a.pdf"], b"x")).await.unwrap_err(),
    ];
    for e in errors {
        assert!(e.kind == ErrorKind::Unavailable && e.next.is_some(), "{e:?}");
    }
    assert_eq!(fs::read_dir(&p.root).unwrap().count(), 0, "the mount point was written to");
    assert!(t.probe(&read()).await.unwrap().notes.iter().any(|n| n.level == NoteLevel::Blocker));
}

#[tokio::test]
async fn f04_a_new_root_is_declared_and_must_be_empty() {
    let p = bare("off", true);
    assert_eq!(p.t().find(&read(), &key(1)).await.unwrap(), None);
    assert!(p.t().stat(&read(), &"Acme".into()).await.is_err(), "a folder we once made is not gone, its disk is");
    p.folder(1, "Acme").await;
    assert!(p.root.join(".ledgerward.json").exists());
    let probe = p.t().probe(&read()).await.unwrap();
    assert!(probe.notes.iter().any(|n| n.text.contains("new_root")), "{probe:?}");
    let used = bare("off", true);
    fs::write(used.root.join("something"), "").unwrap();
    assert_eq!(used.t().find(&read(), &key(1)).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(used.t().create(&write(), &key(1), "Acme", None).await.is_err());
}

/// A small file system of its own, gone when dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(at: PathBuf, options: &str) -> Option<Self> {
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(&at).output();
        let ok = done.is_ok_and(|o| o.status.success());
        if !ok {
            println!("skipped: a file system cannot be mounted here");
        }
        ok.then_some(Self(at))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn f05_a_full_disk_fails_one_file_and_leaves_nothing_half() {
    let p = bare("off", true);
    let Some(_mount) = Mount::new(p.root.clone(), "size=64k,mode=0711") else { return };
    let acme = p.folder(1, "Acme").await;
    let big = StatementFile { bytes: vec![7; 1 << 20].into(), ..file(&["big.pdf"], b"") };
    let e = p.put(&acme, &big).await.unwrap_err();
    assert!(e.kind == ErrorKind::Forbidden && e.message.contains("no space"), "{e:?}");
    assert!(p.t().files(&read(), &acme, Cursor::Start).await.unwrap().items.is_empty());
    assert_eq!(fs::read_dir(p.root.join("Acme")).unwrap().count(), 1, "the marker alone");
    p.put(&acme, &file(&["small.pdf"], b"x")).await.unwrap();
}

#[tokio::test]
async fn f01_nothing_is_written_through_a_mount() {
    let p = place("off");
    let acme = p.folder(1, "Acme").await;
    fs::create_dir(p.root.join("Acme/2026")).unwrap();
    let Some(mount) = Mount::new(p.root.join("Acme/2026"), "mode=0700") else { return };
    let e = p.put(&acme, &file(&["2026", "a.pdf"], b"x")).await.unwrap_err();
    assert!(e.kind == ErrorKind::Contract && e.message.contains("mounted"), "{e:?}");
    drop(mount);
    p.put(&acme, &file(&["2026", "a.pdf"], b"x")).await.unwrap();
}

#[tokio::test]
async fn the_kernel_lets_in_whom_the_list_names_and_nobody_else() {
    let Some(p) = acls() else { return };
    let acme = p.folder(1, "Acme").await;
    let path = p.root.join("Acme/2026/a.pdf");
    p.put(&acme, &file(&["2026", "a.pdf"], b"x")).await.unwrap();
    let (ann, bob) = (email("ann@firm.example"), email("bob@firm.example"));
    p.t().grant(&write(), &acme, &ann, FolderRole::Reader, None).await.unwrap();
    p.t().grant(&write(), &acme, &bob, FolderRole::Writer, None).await.unwrap();
    let later = p.root.join("Acme/2026/later.pdf");
    p.put(&acme, &file(&["2026", "later.pdf"], b"x")).await.unwrap();
    let (reader, writer) = (Holder::Person(ann.clone()), Holder::Person(bob.clone()));
    let list = p.holders(&acme).await;
    assert_eq!(
        list,
        [(reader.clone(), SeenRole::Reader, Via::Direct), (writer.clone(), SeenRole::Writer, Via::Direct)]
    );
    if !root_user() {
        return;
    }
    for file in [&path, &later] {
        assert!(can(ANN, "cat", file) && can(BOB, "cat", file) && !can(70_003, "cat", file), "{file:?}");
    }
    assert!(can(BOB, "touch", &path) && !can(ANN, "touch", &path));
    let bobs = p.root.join("Acme/2026/from bob.txt");
    assert!(can(BOB, "touch", &bobs) && can(ANN, "cat", &bobs), "what a writer leaves is for the readers as well");
    assert!(!can(BOB, "cat", &p.root.join("Acme/.ledgerward.json")), "the marker is ours");
    assert!(
        !can(BOB, "rm", &p.root.join("Acme/.ledgerward.json")) && can(BOB, "rm", &bobs) && can(BOB, "touch", &bobs)
    );

    p.t().set_role(&write(), &acme, &format!("uid:{BOB}").into(), FolderRole::Reader).await.unwrap();
    assert!(can(BOB, "cat", &path) && !can(BOB, "touch", &path), "the role is lowered inside as well");
    assert_eq!(p.t().revoke(&write(), &acme, &format!("uid:{BOB}").into()).await.unwrap(), Gone::Done);
    for file in [&path, &later, &bobs] {
        assert!(!can(BOB, "cat", file) && can(ANN, "cat", file), "{file:?}");
    }
    assert_eq!(p.holders(&acme).await, [(reader, SeenRole::Reader, Via::Direct)]);
    assert_eq!(p.t().revoke(&write(), &acme, &format!("uid:{BOB}").into()).await.unwrap(), Gone::Already);
}

#[tokio::test]
async fn a_way_in_below_is_listed_and_a_revoke_closes_it() {
    let Some(p) = acls() else { return };
    let acme = p.folder(1, "Acme").await;
    p.put(&acme, &file(&["2026", "a.pdf"], b"x")).await.unwrap();
    common::name_in_acl(&p.root.join("Acme/2026/a.pdf"), common::Named::User(BOB), 6);
    let bob = Holder::Person(email("bob@firm.example"));
    assert_eq!(p.holders(&acme).await, [(bob, SeenRole::Writer, Via::Below("2026/a.pdf".into()))]);
    assert_eq!(p.t().revoke(&write(), &acme, &format!("uid:{BOB}").into()).await.unwrap(), Gone::Done);
    assert_eq!(p.holders(&acme).await, []);
    common::name_in_acl(&p.root.join("Acme"), common::Named::Group(4242), 5);
    chmod(&p.root.join("Acme"), 0o755);
    assert_eq!(p.holders(&acme).await.len(), 2, "a group, and every user of this machine");
    p.t().close_spread(&write(), &acme).await.unwrap();
    assert_eq!(p.holders(&acme).await, [(Holder::Group("gid 4242".into()), SeenRole::Reader, Via::Direct)]);
    let owner = p.t().revoke(&write(), &acme, &"owner".into()).await.unwrap_err();
    assert_eq!(owner.kind, ErrorKind::Forbidden);
    assert_eq!(p.t().revoke(&write(), &acme, &"gid:4242".into()).await.unwrap(), Gone::Done);
    assert_eq!(p.holders(&acme).await, []);
}

#[tokio::test]
async fn adoption_marks_and_never_remarks() {
    let p = place("off");
    p.folder(2, "Birch").await;
    fs::create_dir(p.root.join("Acme & Sons")).unwrap();
    let id = FolderId::from("Acme & Sons");
    let e = p.put(&id, &file(&["a.pdf"], b"x")).await.unwrap_err();
    assert!(e.kind == ErrorKind::Conflict && e.message.contains("marker"), "{e:?}");
    for _ in 0..2 {
        p.t().mark(&write(), &id, &key(1)).await.unwrap();
    }
    assert_eq!(p.t().mark(&write(), &id, &key(3)).await.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(p.t().find(&read(), &key(1)).await.unwrap(), Some(id.clone()));
    assert!(p.put(&id, &file(&["a.pdf"], b"x")).await.unwrap().written);
    if root_user() {
        // A writer of the folder forges a marker of another client.
        let marker = p.root.join("Acme & Sons/.ledgerward.json");
        std::os::unix::fs::chown(&marker, Some(BOB), None).unwrap();
        let Stat::Present { marker, .. } = p.t().stat(&read(), &id).await.unwrap() else { panic!("gone") };
        assert_eq!(marker, None);
    }
}

#[tokio::test]
async fn n04_reserved_and_unsafe_names_are_refused() {
    let p = place("off");
    let acme = p.folder(1, "Acme").await;
    for name in ["..", "a/b", "", ".ledgerward.json", ".ledgerward-tmp-1-x", "x ", "n\0l"] {
        assert!(p.t().create(&write(), &key(2), name, None).await.is_err(), "{name:?}");
    }
    for name in [".ledgerward.json", ".ledgerward-tmp-1-x"] {
        assert_eq!(p.put(&acme, &file(&[name], b"x")).await.unwrap_err().kind, ErrorKind::Config);
    }
}

#[test]
fn settings_that_cannot_work_are_refused_with_what_to_do() {
    for bad in [
        json!({}),
        json!({ "root": "clients" }),
        json!({ "root": "/srv", "sharing": "on" }),
        json!({ "root": "/srv", "rot": 1 }),
        json!({ "root": "/srv", "accounts": { "ann": "ann" } }),
    ] {
        let Err(e) = build(bad.clone()) else { panic!("{bad} passes") };
        assert!(e.kind == ErrorKind::Config && e.next.is_some(), "{bad}: {e:?}");
    }
}

#[tokio::test]
async fn the_first_folders_of_a_new_root_are_made_side_by_side() {
    let p = bare("off", true);
    let (keys, cx) = ([1, 2, 3, 4].map(key), [1, 2, 3, 4].map(write_step));
    let one = async |n: usize| {
        let found = p.t().find(&read(), &keys[n]).await.unwrap();
        assert_eq!(found, None);
        p.t().create(&cx[n], &keys[n], &format!("Client {n}"), None).await.unwrap()
    };
    let made = tokio::join!(one(0), one(1), one(2), one(3));
    for made in [made.0, made.1, made.2, made.3] {
        assert!(matches!(made, Created::Created(_)), "{made:?}");
    }
}

fn write_step(row: i64) -> WriteCx {
    let step = Journalled::committed(row);
    Permit::issue(&WriteAuthority::for_tests(), step).open(Arc::new(NoTransport), Timestamp::UNIX_EPOCH)
}
