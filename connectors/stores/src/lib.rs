//! Client folders on S3, WebDAV, SFTP and Azure Blob, through OpenDAL: see `README.md` beside it.
//!
//! `lib.rs` hands each call on; `settings.rs` has the manifests and builds a store; `place.rs` knows roots, folders and
//! markers, `put.rs` writes one file; `api.rs` has the few operations that are asked of a store, and `via.rs` lets
//! OpenDAL's HTTP go through the context of the call; `refusal.rs` has a store's refusals in words; `map.rs` is pure.

mod api;
mod map;
mod place;
mod put;
mod refusal;
mod settings;
mod via;

use std::collections::BTreeMap;

use async_trait::async_trait;
use ledgerward_contract::{
    Build, Capacity, Connector, Counts, Created, Cursor, Email, Error, ErrorKind, Expect, Factory, Fenced, Firmness,
    FolderId, FolderKey, FolderRole, Gone, Granted, Manifest, NativeExpiry, Page, PermissionId, Probe, ReadCx,
    ReservedId, Result, Secret, SeenFile, SeenFolder, SeenPermission, SharingSupport, Stat, StatementFile,
    StorageTarget, Stored, TargetLimits, Timestamp, WriteCx,
};

use crate::{
    api::{Call, Kind, Store},
    via::Cx,
};

/// What one request carries, in memory.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// The entries for `registry.rs`.
pub static S3: StoreFactory = StoreFactory(Kind::S3);
pub static WEBDAV: StoreFactory = StoreFactory(Kind::WebDav);
pub static SFTP: StoreFactory = StoreFactory(Kind::Sftp);
pub static AZURE_BLOB: StoreFactory = StoreFactory(Kind::Azure);

/// Builds a target of one of the four kinds.
#[derive(Debug)]
pub struct StoreFactory(Kind);

impl Factory for StoreFactory {
    fn manifest(&self) -> &'static Manifest {
        match self.0 {
            Kind::S3 => &settings::S3_MANIFEST,
            Kind::WebDav => &settings::WEBDAV_MANIFEST,
            Kind::Sftp => &settings::SFTP_MANIFEST,
            Kind::Azure => &settings::AZURE_MANIFEST,
        }
    }

    fn build(&self, from: Build) -> Result<Box<dyn Connector>> {
        self.build_with_keys(from, BTreeMap::new())
    }

    fn build_with_keys(&self, from: Build, keys: BTreeMap<String, Secret>) -> Result<Box<dyn Connector>> {
        Ok(Box::new(Target(settings::open(self.0, self.manifest(), from, &keys)?)))
    }
}

/// A configured root on a store.
pub struct Target(Store);

impl Connector for Target {
    fn target(&self) -> Option<&dyn StorageTarget> {
        Some(self)
    }
}

impl Target {
    fn read<'a>(&'a self, cx: &'a ReadCx, op: &'static str) -> Call<'a> {
        Call { store: &self.0, cx: Cx::Read(cx), op }
    }

    fn write<'a>(&'a self, cx: &'a WriteCx, op: &'static str) -> Call<'a> {
        Call { store: &self.0, cx: Cx::Write(cx), op }
    }

    fn no_lists<T>(&self, op: &'static str) -> Result<T> {
        Err(Error::new(ErrorKind::Unsupported, op, "this store has no sharing lists: access is granted on the server")
            .next("Keep sharing = \"off\" for this target."))
    }
}

#[async_trait]
impl StorageTarget for Target {
    fn limits(&self) -> TargetLimits {
        let flat = self.0.kind.flat();
        TargetLimits {
            sharing: SharingSupport::Off,
            folder_ids: false,
            native_expiry: NativeExpiry::None,
            // A disk of Windows may stand behind these two.
            case_insensitive: matches!(self.0.kind, Kind::WebDav),
            name_bytes_max: 255,
            // The whole key has 1024 bytes on both.
            path_chars_max: flat.then_some(1024 / 4),
            file_bytes_max: FILE_BYTES_MAX,
            grants_max: 0,
            lanes_parallel: 8,
            puts_together: false,
        }
    }

    fn capacities(&self) -> Vec<Capacity> {
        capacities()
    }

    async fn probe(&self, cx: &ReadCx) -> Result<Probe> {
        self.read(cx, "root.probe").probe().await
    }

    async fn find(&self, cx: &ReadCx, key: &FolderKey) -> Result<Option<FolderId>> {
        self.read(cx, "folder.find").find(key).await
    }

    async fn stat(&self, cx: &ReadCx, folder: &FolderId) -> Result<Stat> {
        self.read(cx, "folder.stat").stat(folder).await
    }

    async fn sharing(&self, _cx: &ReadCx, _folder: &FolderId, _at: Cursor) -> Result<Page<SeenPermission>> {
        self.no_lists("sharing.list")
    }

    async fn files(&self, cx: &ReadCx, folder: &FolderId, _at: Cursor) -> Result<Page<SeenFile>> {
        self.read(cx, "files.list").files(folder).await.map(Page::only)
    }

    async fn folders(&self, cx: &ReadCx, _at: Cursor) -> Result<Page<SeenFolder>> {
        self.read(cx, "folders.list").folders().await.map(Page::only)
    }

    async fn create(&self, cx: &WriteCx, key: &FolderKey, name: &str, _: Option<&ReservedId>) -> Result<Created> {
        self.write(cx, "folder.create").create(key, name).await
    }

    async fn mark(&self, cx: &WriteCx, folder: &FolderId, key: &FolderKey) -> Result<()> {
        self.write(cx, "folder.mark").mark(folder, key).await
    }

    /// There is nothing to cut; that the folder is there is still checked.
    async fn close_spread(&self, cx: &WriteCx, folder: &FolderId) -> Result<()> {
        self.write(cx, "folder.close").must_be_there(map::folder_name("folder.close", folder)?).await
    }

    async fn rename(&self, _cx: &WriteCx, _folder: &FolderId, _name: &str) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "folder.rename", "here a folder is its path, and keeps its name")
            .next("Run `ledgerward clients rename-folder` once the people who use it know."))
    }

    async fn grant(
        &self,
        _cx: &WriteCx,
        _folder: &FolderId,
        _who: &Email,
        _role: FolderRole,
        _until: Option<Timestamp>,
    ) -> Result<Granted> {
        self.no_lists("permission.create")
    }

    async fn set_role(&self, _: &WriteCx, _folder: &FolderId, _id: &PermissionId, _role: FolderRole) -> Result<()> {
        self.no_lists("permission.update")
    }

    async fn revoke(&self, _: &WriteCx, _folder: &FolderId, _id: &PermissionId) -> Result<Gone> {
        self.no_lists("permission.delete")
    }

    async fn put(
        &self,
        cx: &WriteCx,
        folder: &Fenced<FolderId>,
        file: &StatementFile,
        expect: Expect,
    ) -> Result<Stored> {
        self.write(cx, "file.put").put(folder.folder(), file, &expect).await
    }
}

/// These stores state no limits of their own but what one request carries.
fn capacities() -> Vec<Capacity> {
    vec![Capacity {
        name: "file_bytes",
        what: "bytes of one file",
        counts: Counts::FileBytes,
        firmness: Firmness::Hard,
        limit: FILE_BYTES_MAX,
        source: "ledgerward: a file is held in memory while it is sent",
        verified: true,
        next: "Deliver shorter periods.",
    }]
}
