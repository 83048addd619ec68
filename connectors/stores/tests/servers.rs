//! The target suite over real servers, where the environment names them; `servers.sh` starts them and sets it.
//!
//! `LEDGERWARD_TEST_WEBDAV=http://127.0.0.1:PORT/`, `LEDGERWARD_TEST_S3=http://127.0.0.1:PORT/BUCKET` and
//! `LEDGERWARD_TEST_SFTP=ssh://USER@127.0.0.1:PORT/ROOT`, whose ROOT is a folder of this machine.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests; the lint sees only the tests themselves"
)]

mod common;

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use common::{below, by_hand, connector, network, root_marker};
use ledgerward_contract::{
    Audience, ClientId, Connector, Created, Cursor, Email, ErrorKind, Expect, Fenced, FolderId, FolderKey, Journalled,
    Permit, ReadCx, Result, StorageTarget, Stored, Timestamp, Transport, WriteAuthority,
    suite::{
        NoTransport,
        target::{TargetHarness, file},
    },
};
use ledgerward_stores::{S3, SFTP, WEBDAV};
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;

/// A new name for each root.
fn fresh_name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn server(variable: &str) -> Option<Url> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

fn person(n: usize) -> Email {
    Email::parse(["ann@firm.example", "bob@firm.example", "eve@other.example"][n]).unwrap()
}

struct Dav {
    connector: Box<dyn Connector>,
    wire: Arc<dyn Transport>,
    root: Url,
}

#[async_trait]
impl TargetHarness for Dav {
    async fn fresh() -> Self {
        let at = server("LEDGERWARD_TEST_WEBDAV").unwrap();
        let (name, wire) = (fresh_name(), network(&at));
        let root = below(&at, &[&name]);
        by_hand(&*wire, "MKCOL", root.clone(), None, b"").await;
        by_hand(&*wire, "PUT", below(&root, &[".ledgerward.json"]), None, root_marker()).await;
        let connector = connector(&WEBDAV, Some(("webdav", &at)), json!({ "root": name }), &[]);
        Self { connector, wire, root }
    }
    fn target(&self) -> &dyn StorageTarget {
        self.connector.target().unwrap()
    }
    fn vendor(&self) -> Option<Arc<dyn Transport>> {
        Some(self.wire.clone())
    }
    fn person(&self, n: usize) -> Email {
        person(n)
    }
    async fn stranger_folder(&self, name: &str) -> FolderId {
        by_hand(&*self.wire, "MKCOL", below(&self.root, &[name]), None, b"").await;
        name.into()
    }
    async fn stranger_file(&self, folder: &FolderId, name: &str, bytes: &[u8]) {
        by_hand(&*self.wire, "PUT", below(&self.root, &[folder.as_str(), name]), None, bytes).await;
    }
    async fn double(&self, folder: &FolderId) -> bool {
        let to = below(&self.root, &["a copy"]);
        by_hand(&*self.wire, "COPY", below(&self.root, &[folder.as_str()]), Some(("destination", to.as_str())), b"")
            .await;
        true
    }
    async fn remove(&self, folder: &FolderId) {
        by_hand(&*self.wire, "DELETE", below(&self.root, &[folder.as_str(), ""]), None, b"").await;
    }
}

/// A server that believes any signature and none (moto).
struct Bucket {
    connector: Box<dyn Connector>,
    wire: Arc<dyn Transport>,
    root: Url,
}

#[async_trait]
impl TargetHarness for Bucket {
    async fn fresh() -> Self {
        let bucket = server("LEDGERWARD_TEST_S3").unwrap();
        let (name, wire) = (fresh_name(), network(&bucket));
        let root = below(&bucket, &[&name]);
        by_hand(&*wire, "PUT", below(&root, &[".ledgerward.json"]), None, root_marker()).await;
        let settings = json!({ "bucket": bucket.path().trim_matches('/'), "access_key_id": "test", "root": name });
        let keys = [("secret_access_key", "test")];
        let connector = connector(&S3, Some(("s3", &bucket.join("/").unwrap())), settings, &keys);
        Self { connector, wire, root }
    }
    fn target(&self) -> &dyn StorageTarget {
        self.connector.target().unwrap()
    }
    fn vendor(&self) -> Option<Arc<dyn Transport>> {
        Some(self.wire.clone())
    }
    fn signs_itself(&self) -> bool {
        true
    }
    fn person(&self, n: usize) -> Email {
        person(n)
    }
    async fn stranger_folder(&self, name: &str) -> FolderId {
        by_hand(&*self.wire, "PUT", below(&self.root, &[name, "theirs.txt"]), None, b"x").await;
        name.into()
    }
    async fn stranger_file(&self, folder: &FolderId, name: &str, bytes: &[u8]) {
        by_hand(&*self.wire, "PUT", below(&self.root, &[folder.as_str(), name]), None, bytes).await;
    }
    async fn double(&self, folder: &FolderId) -> bool {
        let name = ".ledgerward.json";
        let from = below(&self.root, &[folder.as_str(), name]);
        let to = below(&self.root, &["a copy", name]);
        by_hand(&*self.wire, "PUT", to, Some(("x-amz-copy-source", from.path())), b"").await;
        true
    }
    async fn remove(&self, folder: &FolderId) {
        // The tests that remove a folder have at most these in it.
        for name in [&[".ledgerward.json"][..], &["2026", "a.pdf"]] {
            let path: Vec<&str> = [folder.as_str()].iter().chain(name).copied().collect();
            by_hand(&*self.wire, "DELETE", below(&self.root, &path), None, b"").await;
        }
    }
}

struct Ssh {
    connector: Box<dyn Connector>,
    root: PathBuf,
}

#[async_trait]
impl TargetHarness for Ssh {
    async fn fresh() -> Self {
        let at = server("LEDGERWARD_TEST_SFTP").unwrap();
        let root = PathBuf::from(at.path()).join(fresh_name());
        fs::create_dir(&root).unwrap();
        fs::write(root.join(".ledgerward.json"), root_marker()).unwrap();
        let mut settings = json!({ "host": at.host_str(), "port": at.port(), "user": at.username(), "root": root });
        if let Ok(key) = std::env::var("LEDGERWARD_SFTP_KEY") {
            settings.as_object_mut().unwrap().insert("key_file".into(), key.into());
        }
        Self { connector: connector(&SFTP, None, settings, &[]), root }
    }
    fn target(&self) -> &dyn StorageTarget {
        self.connector.target().unwrap()
    }
    fn vendor(&self) -> Option<Arc<dyn Transport>> {
        None
    }
    fn person(&self, n: usize) -> Email {
        person(n)
    }
    async fn stranger_folder(&self, name: &str) -> FolderId {
        fs::create_dir(self.root.join(name)).unwrap();
        name.into()
    }
    async fn stranger_file(&self, folder: &FolderId, name: &str, bytes: &[u8]) {
        fs::write(self.root.join(folder.as_str()).join(name), bytes).unwrap();
    }
    async fn double(&self, folder: &FolderId) -> bool {
        let (from, to) = (self.root.join(folder.as_str()), self.root.join("a copy"));
        Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success()
    }
    async fn remove(&self, folder: &FolderId) {
        fs::remove_dir_all(self.root.join(folder.as_str())).unwrap();
    }
}

/// The whole suite in one test, so that a server that is not there is one skipped line. In real time, as the servers.
macro_rules! suite {
    ($name:ident, $variable:literal, $harness:ty, $($scenario:ident,)*) => {
        #[tokio::test]
        async fn $name() {
            if server($variable).is_none() {
                return println!(concat!("skipped: ", stringify!($name), ": ", $variable, " is not set"));
            }
            $(
                println!("{}", stringify!($scenario));
                Box::pin(ledgerward_contract::suite::target::$scenario::<$harness>()).await;
            )*
        }
    };
}

macro_rules! whole_suite {
    ($($name:ident $variable:literal $harness:ty;)*) => {$(
        suite!(
            $name, $variable, $harness,
            probe_names_the_account_and_the_root,
            create_makes_a_closed_and_marked_folder,
            create_twice_makes_one_folder,
            create_never_takes_a_strangers_folder,
            n09_two_clients_of_one_name_stay_apart,
            find_before_and_after_create,
            find_with_two_markers_is_a_conflict,
            stat_tells_present_from_gone,
            sharing_of_a_missing_folder_is_an_error,
            files_of_a_missing_folder_is_an_error,
            close_spread_can_be_repeated_and_takes_nobody_away,
            put_is_listed_whole_and_recursive,
            put_twice_is_one_file,
            put_over_a_strangers_file_is_a_conflict,
            put_over_a_newer_file_is_a_conflict,
            put_after_the_file_is_gone_is_a_conflict,
            n06_odd_but_legal_names,
            rename_keeps_the_id_or_says_unsupported,
            bad_answers_to_files_are_errors,
            bad_answers_to_find_are_errors,
            bad_answers_to_stat_are_errors,
            p07_not_found_on_listings_is_an_error,
            p10_rate_limits_carry_the_pause,
            lost_answers_to_create_make_no_second_folder,
            lost_answers_to_put_make_no_second_file,
            reads_declare_no_write,
        );
    )*};
}

whole_suite! {
    webdav "LEDGERWARD_TEST_WEBDAV" Dav;
    s3 "LEDGERWARD_TEST_S3" Bucket;
    sftp "LEDGERWARD_TEST_SFTP" Ssh;
}

/// One put over SFTP, in a cycle of its own.
async fn put(ssh: &Ssh, cycle: i64, path: &[&str], bytes: &'static [u8]) -> Result<Stored> {
    let now = Timestamp::from_second(1_790_000_000 + cycle).unwrap();
    let cx = || Permit::issue(&WriteAuthority::for_tests(), Journalled::committed(1)).open(Arc::new(NoTransport), now);
    let key = FolderKey { client: ClientId(uuid::Uuid::from_u128(1)), account: None };
    let id = match ssh.target().create(&cx(), &key, "Acme Ltd", None).await? {
        Created::Created(id) | Created::Exists { id, .. } => id,
    };
    let fence = Fenced::managed_elsewhere(id, &Audience::new("the tests").unwrap());
    ssh.target().put(&cx(), &fence, &file(path, bytes), Expect::Absent).await
}

#[tokio::test]
async fn f02_a_link_into_another_folder_is_not_followed() {
    if server("LEDGERWARD_TEST_SFTP").is_none() {
        return println!("skipped: f02: LEDGERWARD_TEST_SFTP is not set");
    }
    let ssh = Ssh::fresh().await;
    put(&ssh, 0, &["top.pdf"], b"x").await.unwrap();
    fs::create_dir(ssh.root.join("Birch LLP")).unwrap();
    std::os::unix::fs::symlink(ssh.root.join("Birch LLP"), ssh.root.join("Acme Ltd/2026")).unwrap();
    let e = put(&ssh, 60, &["2026", "a.pdf"], b"x").await.unwrap_err();
    // In a debug build OpenDAL itself stumbles over the link, which is an error as well.
    let stumbles = cfg!(debug_assertions);
    assert!(e.kind == ErrorKind::Conflict || stumbles && e.kind == ErrorKind::Contract, "{e:?}");
    assert_eq!(fs::read_dir(ssh.root.join("Birch LLP")).unwrap().count(), 0, "it was written through the link");
    let cx = ReadCx::new(Arc::new(NoTransport), Timestamp::from_second(1).unwrap());
    let files = match ssh.target().files(&cx, &"Acme Ltd".into(), Cursor::Start).await {
        Ok(page) => page.items,
        Err(e) => return assert!(stumbles, "{e:?}"),
    };
    let listed: Vec<_> = files.iter().map(|f| (f.path.join("/"), f.tag.as_str() == "not-a-file")).collect();
    assert_eq!(listed, [("2026".to_owned(), true), ("top.pdf".to_owned(), false)]);
}

#[tokio::test]
async fn a_part_that_a_kill_left_is_neither_listed_nor_left_again() {
    if server("LEDGERWARD_TEST_SFTP").is_none() {
        return println!("skipped: a part: LEDGERWARD_TEST_SFTP is not set");
    }
    let ssh = Ssh::fresh().await;
    put(&ssh, 0, &["2026", "first.pdf"], b"x").await.unwrap();
    // As a kill between write and rename leaves it.
    let hash: String = Sha256::digest(b"a.pdf").iter().take(8).map(|b| format!("{b:02x}")).collect();
    let part = ssh.root.join("Acme Ltd/2026").join(format!(".ledgerward-tmp-{hash}"));
    fs::write(&part, b"half of something much longer than the file").unwrap();
    let cx = ReadCx::new(Arc::new(NoTransport), Timestamp::from_second(1).unwrap());
    let listed = ssh.target().files(&cx, &"Acme Ltd".into(), Cursor::Start).await.unwrap().items;
    assert_eq!(listed.iter().map(|f| f.path.join("/")).collect::<Vec<_>>(), ["2026/first.pdf"]);
    put(&ssh, 60, &["2026", "a.pdf"], b"whole").await.unwrap();
    assert_eq!(fs::read(ssh.root.join("Acme Ltd/2026/a.pdf")).unwrap(), b"whole");
    assert!(!part.exists());
}
