//! The target suite over real temporary folders: once with POSIX ACLs, where the file system has them, and once without.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests; the lint sees only the tests themselves"
)]

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command, sync::Arc};

use async_trait::async_trait;
use ledgerward_contract::{
    Build, Connector, Email, Endpoints, Factory, FolderId, StorageTarget, Transport,
    suite::target::{ByHand, TargetHarness},
};
use ledgerward_local::FACTORY;
use serde_json::json;

/// Numbers of accounts that no test machine has.
const UIDS: [u32; 3] = [70_001, 70_002, 70_003];

struct Folder {
    connector: Box<dyn Connector>,
    root: PathBuf,
    _temp: tempfile::TempDir,
}

fn folder(sharing: &str) -> Folder {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().canonicalize().unwrap().join("clients");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o711)).unwrap();
    fs::write(root.join(".ledgerward.json"), "").unwrap();
    let settings = json!({
        "root": root,
        "sharing": sharing,
        "accounts": { "ann@firm.example": UIDS[0], "bob@firm.example": UIDS[1], "eve@other.example": UIDS[2] },
    });
    let connector = FACTORY.build(Build { settings, endpoints: Endpoints::default() }).unwrap();
    Folder { connector, root, _temp: temp }
}

impl Folder {
    fn path(&self, id: &FolderId) -> PathBuf {
        self.root.join(id.as_str())
    }

    fn remove(&self, id: &FolderId) {
        fs::remove_dir_all(self.path(id)).unwrap();
    }

    fn double(&self, id: &FolderId) {
        let copy = self.root.join("a copy");
        assert!(Command::new("cp").arg("-r").arg(self.path(id)).arg(copy).status().unwrap().success());
    }
}

struct Mirror(Folder);

#[async_trait]
impl TargetHarness for Mirror {
    async fn fresh() -> Self {
        let lists = common::has_acls(&std::env::temp_dir());
        if !lists {
            println!("skipped: the file system of the temporary folder has no POSIX ACLs");
        }
        Self(folder(if lists { "mirror" } else { "off" }))
    }
    fn target(&self) -> &dyn StorageTarget {
        self.0.connector.target().unwrap()
    }
    fn vendor(&self) -> Option<Arc<dyn Transport>> {
        None
    }
    fn person(&self, n: usize) -> Email {
        Email::parse(["ann@firm.example", "bob@firm.example", "eve@other.example"][n]).unwrap()
    }
    async fn stranger_folder(&self, name: &str) -> FolderId {
        fs::create_dir(self.0.root.join(name)).unwrap();
        name.into()
    }
    async fn stranger_file(&self, folder: &FolderId, name: &str, bytes: &[u8]) {
        fs::write(self.0.path(folder).join(name), bytes).unwrap();
    }
    async fn share_by_hand(&self, folder: &FolderId, what: &ByHand) -> bool {
        let path = self.0.path(folder);
        match what {
            ByHand::Everyone => {
                let mode = fs::metadata(&path).unwrap().permissions().mode();
                fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o005)).unwrap();
            }
            ByHand::Person(_) => common::name_in_acl(&path, common::Named::User(UIDS[1]), 5),
            ByHand::Group => common::name_in_acl(&path, common::Named::Group(4242), 5),
            ByHand::Below(_) => common::name_in_acl(&path.join("2026/a.pdf"), common::Named::User(UIDS[0]), 4),
            ByHand::Link | ByHand::Inherited(_) => return false,
        }
        true
    }
    async fn double(&self, folder: &FolderId) -> bool {
        self.0.double(folder);
        true
    }
    async fn remove(&self, folder: &FolderId) {
        self.0.remove(folder);
    }
}

struct Off(Folder);

#[async_trait]
impl TargetHarness for Off {
    async fn fresh() -> Self {
        Self(folder("off"))
    }
    fn target(&self) -> &dyn StorageTarget {
        self.0.connector.target().unwrap()
    }
    fn vendor(&self) -> Option<Arc<dyn Transport>> {
        None
    }
    fn person(&self, n: usize) -> Email {
        Email::parse(["ann@firm.example", "bob@firm.example", "eve@other.example"][n]).unwrap()
    }
    async fn stranger_folder(&self, name: &str) -> FolderId {
        fs::create_dir(self.0.root.join(name)).unwrap();
        name.into()
    }
    async fn stranger_file(&self, folder: &FolderId, name: &str, bytes: &[u8]) {
        fs::write(self.0.path(folder).join(name), bytes).unwrap();
    }
    async fn double(&self, folder: &FolderId) -> bool {
        self.0.double(folder);
        true
    }
    async fn remove(&self, folder: &FolderId) {
        self.0.remove(folder);
    }
}

mod common;

mod mirror {
    use super::Mirror;
    ledgerward_contract::target_suite!(Mirror);
}

mod off {
    use super::Off;
    ledgerward_contract::target_suite!(Off);
}
