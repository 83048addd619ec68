//! Client folders on a disk. The connector to read first: see `README.md` beside it.
//!
//! `lib.rs` says what the connector is and hands each call to a thread that may block; `api.rs` does the work, on the
//! careful file system of `disk.rs`, the checks of `root.rs`, the markers of `marker.rs` and the walks of `tree.rs`; `map.rs` has the access lists
//! as pure functions.

mod api;
mod disk;
mod map;
mod marker;
mod put;
mod root;
mod tree;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use ledgerward_contract::{
    AuthScheme, Build, Capacity, Connector, Counts, Created, Cursor, Email, Error, ErrorKind, Expect, Factory, Fenced,
    Firmness, FolderId, FolderKey, FolderRole, Gone, Granted, Manifest, NativeExpiry, Outgoing, Page, PermissionId,
    Probe, ReadCx, ReservedId, Result, SeenFile, SeenFolder, SeenPermission, SharingSupport, Stat, StatementFile,
    StorageTarget, Stored, TargetLimits, Timestamp, WriteCx,
};
use ledgerward_kit::RootMemory;
use serde::Deserialize;

use crate::{put::Put, root::Disk};

/// What this connector is.
pub static MANIFEST: Manifest = Manifest {
    name: "local",
    title: "Local folder",
    auth: AuthScheme::None,
    endpoints: &[],
    quotas: &[],
    access: None,
    grade: None,
    statements: &[],
    roles: &[],
    settings: &[
        (
            "root",
            "absolute path of the folder that holds the client folders; it must exist and be writable by us alone",
        ),
        ("sharing", "\"mirror\" or \"report\" with POSIX ACLs, else \"off\" (the default)"),
        ("accounts", "table of e-mail address = user name or uid on this machine; needed for \"mirror\""),
        ("new_root", "true for the very first run only: an empty root is taken as new, not as an unmounted disk"),
    ],
    unverified: &[],
};

/// The entry for `registry.rs`.
pub static FACTORY: LocalFactory = LocalFactory;

/// Builds [`Local`] from settings.
#[derive(Debug)]
pub struct LocalFactory;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sharing {
    Mirror,
    Report,
    #[default]
    Off,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    root: PathBuf,
    #[serde(default)]
    sharing: Sharing,
    #[serde(default)]
    accounts: BTreeMap<Email, Account>,
    #[serde(default)]
    new_root: bool,
}

/// `ann = "ann"` or `ann = 1001`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Account {
    Uid(u32),
    Name(String),
}

impl Factory for LocalFactory {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn build(&self, from: Build) -> Result<Box<dyn Connector>> {
        let config = |m: String| Error::new(ErrorKind::Config, "settings.read", m);
        let settings: Settings = serde_json::from_value(from.settings).map_err(|e| {
            let known: Vec<_> = MANIFEST.settings.iter().map(|(k, _)| *k).collect();
            config(format!("the settings of a local target are not right: {e}"))
                .next(format!("The settings are: {}.", known.join(", ")))
        })?;
        if !settings.root.is_absolute() {
            return Err(config(format!("root = \"{}\" is not an absolute path", settings.root.display()))
                .next("Write the whole path, beginning with /."));
        }
        let accounts = settings.accounts.into_iter().map(|(email, account)| match account {
            Account::Uid(uid) => (email, uid.to_string()),
            Account::Name(name) => (email, name.trim().to_owned()),
        });
        let lists = settings.sharing != Sharing::Off;
        let disk = Disk {
            root: settings.root,
            lists,
            accounts: accounts.collect(),
            new_root: settings.new_root,
            neighbours: RootMemory::default(),
            swept: Mutex::default(),
            marking: Mutex::default(),
        };
        Ok(Box::new(Local(Arc::new(disk))))
    }
}

/// A configured root folder.
#[derive(Debug)]
pub struct Local(Arc<Disk>);

impl Connector for Local {
    fn target(&self) -> Option<&dyn StorageTarget> {
        Some(self)
    }
}

impl Local {
    /// Runs `work` where blocking is allowed. A caller that gives up meanwhile does not stop it half-way.
    async fn off_thread<T: Send + 'static>(
        &self,
        op: &'static str,
        work: impl FnOnce(&Disk) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let disk = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&disk)).await.map_err(|e| {
            Error::new(ErrorKind::Cancelled, op, "the work on the disk was stopped before its end").source(e)
        })?
    }
}

#[async_trait]
impl StorageTarget for Local {
    fn limits(&self) -> TargetLimits {
        TargetLimits {
            sharing: if self.0.lists { SharingSupport::Mirror } else { SharingSupport::Off },
            folder_ids: false,
            native_expiry: NativeExpiry::None,
            case_insensitive: false,
            name_bytes_max: 255,
            path_chars_max: None,
            file_bytes_max: u64::MAX,
            // ext4 keeps both lists of a folder in one block of 4096 bytes, 8 bytes an entry.
            grants_max: 200,
            lanes_parallel: 4,
            puts_together: true,
        }
    }

    fn capacities(&self) -> Vec<Capacity> {
        capacities(self.0.lists)
    }

    async fn probe(&self, _cx: &ReadCx) -> Result<Probe> {
        self.off_thread("root.probe", Disk::probe).await
    }

    async fn find(&self, cx: &ReadCx, key: &FolderKey) -> Result<Option<FolderId>> {
        let (key, now) = (key.clone(), cx.now());
        self.off_thread("folder.find", move |d| d.find(&key, now)).await
    }

    async fn stat(&self, _cx: &ReadCx, folder: &FolderId) -> Result<Stat> {
        let folder = folder.clone();
        self.off_thread("folder.stat", move |d| d.stat(&folder)).await
    }

    async fn sharing(&self, _cx: &ReadCx, folder: &FolderId, _at: Cursor) -> Result<Page<SeenPermission>> {
        let folder = folder.clone();
        self.off_thread("sharing.list", move |d| d.sharing(&folder).map(Page::only)).await
    }

    async fn files(&self, _cx: &ReadCx, folder: &FolderId, _at: Cursor) -> Result<Page<SeenFile>> {
        let folder = folder.clone();
        self.off_thread("files.list", move |d| d.files(&folder).map(Page::only)).await
    }

    async fn folders(&self, _cx: &ReadCx, _at: Cursor) -> Result<Page<SeenFolder>> {
        self.off_thread("folders.list", |d| d.folders().map(Page::only)).await
    }

    async fn create(&self, cx: &WriteCx, key: &FolderKey, name: &str, _: Option<&ReservedId>) -> Result<Created> {
        let (key, name, row, now) = (key.clone(), name.to_owned(), cx.step(), cx.now());
        self.off_thread("folder.create", move |d| d.create(&key, &name, row, now)).await
    }

    async fn mark(&self, cx: &WriteCx, folder: &FolderId, key: &FolderKey) -> Result<()> {
        let (folder, key, row) = (folder.clone(), key.clone(), cx.step());
        self.off_thread("folder.mark", move |d| d.mark(&folder, &key, row)).await
    }

    async fn close_spread(&self, _cx: &WriteCx, folder: &FolderId) -> Result<()> {
        let folder = folder.clone();
        self.off_thread("folder.close", move |d| d.close_spread(&folder)).await
    }

    async fn rename(&self, _cx: &WriteCx, _folder: &FolderId, _name: &str) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "folder.rename", "on a disk a folder is its path, and keeps its name")
            .next("Run `ledgerward clients rename-folder` once the people who use it know."))
    }

    /// `until` is left to the daemon: a disk takes nothing away by itself, as [`TargetLimits::native_expiry`] says.
    async fn grant(
        &self,
        _cx: &WriteCx,
        folder: &FolderId,
        who: &Email,
        role: FolderRole,
        _until: Option<Timestamp>,
    ) -> Result<Granted> {
        let (folder, who) = (folder.clone(), who.clone());
        self.off_thread("permission.create", move |d| d.grant(&folder, &who, role)).await
    }

    async fn set_role(&self, _: &WriteCx, folder: &FolderId, id: &PermissionId, role: FolderRole) -> Result<()> {
        let (folder, id) = (folder.clone(), id.clone());
        self.off_thread("permission.update", move |d| d.set_role(&folder, &id, role)).await
    }

    async fn revoke(&self, _: &WriteCx, folder: &FolderId, id: &PermissionId) -> Result<Gone> {
        let (folder, id) = (folder.clone(), id.clone());
        self.off_thread("permission.delete", move |d| d.revoke(&folder, &id)).await
    }

    async fn put(
        &self,
        cx: &WriteCx,
        folder: &Fenced<FolderId>,
        file: &StatementFile,
        expect: Expect,
    ) -> Result<Stored> {
        let one = vec![Outgoing { cx, file, expect }];
        self.put_all(folder, one).await.pop().unwrap_or_else(|| Err(Error::contract("file.put", "it has no answer")))
    }

    async fn put_all(&self, folder: &Fenced<FolderId>, files: Vec<Outgoing<'_>>) -> Vec<Result<Stored>> {
        let Some(now) = files.first().map(|f| f.cx.now()) else { return Vec::new() };
        let count = files.len();
        let put = |f: Outgoing<'_>| Put { file: f.file.clone(), expect: f.expect, step: f.cx.step() };
        let (folder, files) = (folder.folder().clone(), files.into_iter().map(put).collect::<Vec<_>>());
        match self.off_thread("file.put", move |d| Ok(d.put_all(&folder, &files, now))).await {
            Ok(ends) => ends,
            Err(e) => (0..count).map(|_| Err(Error::new(e.kind, e.op, e.message.clone()))).collect(),
        }
    }
}

/// ext4 keeps both lists of a folder in one block of 4096 bytes, 8 bytes an entry. Other file systems take more.
fn capacities(lists: bool) -> Vec<Capacity> {
    let people = Capacity {
        name: "entries_on_folder",
        what: "people on one folder",
        counts: Counts::HoldersOfFolder,
        firmness: Firmness::Hard,
        limit: 200,
        source: "ext4 with blocks of 4 KiB",
        verified: false,
        next: "Give the people who see every client a group on the machine.",
    };
    lists.then_some(people).into_iter().collect()
}
