//! What a connector is made of. Read this first; then `connectors/local`, the readable example.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    AccessFact, Capacity, ChangeCursor, Changes, ClientRow, Created, Cursor, Email, Endpoints, Expect, Fenced,
    FolderId, FolderKey, FolderRole, Gone, Granted, Job, JobId, LedgerAccount, LedgerId, LedgerProfile, LedgerRow,
    Manifest, Outgoing, OwnUser, Page, PermissionId, Probe, ReadCx, ReservedId, Result, Seats, Secret, SeenFile,
    SeenFolder, SeenPermission, Stat, StatementData, StatementFile, StatementRef, StatementRequest, Stored,
    TargetLimits, Timestamp, WriteCx,
    error::{Error, ErrorKind},
};

/// What a factory builds from.
#[derive(Clone, Debug)]
pub struct Build {
    /// The connector's own part of the configuration, secrets left out.
    pub settings: Value,
    pub endpoints: Endpoints,
}

/// A kind of connector. One static value each, named in `registry.rs`.
pub trait Factory: Sync {
    /// Data, no IO.
    fn manifest(&self) -> &'static Manifest;
    /// Validates the settings and gives a connector, or a `Config` error that names the setting. No IO.
    fn build(&self, from: Build) -> Result<Box<dyn Connector>>;
    /// The same for [`crate::AuthScheme::OwnKeys`], with the secrets by the manifest's names of them. Every other kind of
    /// connector never meets a secret.
    fn build_with_keys(&self, from: Build, _keys: BTreeMap<String, Secret>) -> Result<Box<dyn Connector>> {
        self.build(from)
    }
}

/// A configured connector. What it can do is which of these is `Some` (rule R6): there are no stubs.
pub trait Connector: Send + Sync {
    fn ledgers(&self) -> Option<&dyn LedgerSource> {
        None
    }
    fn directory(&self) -> Option<&dyn ClientDirectory> {
        None
    }
    fn statements(&self) -> Option<&dyn StatementSource> {
        None
    }
    fn target(&self) -> Option<&dyn StorageTarget> {
        None
    }
}

/// Which access to list.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    All,
    One(&'a LedgerId),
}

impl<'a> Scope<'a> {
    /// For a source that lists users ledger by ledger. Errors: `Unsupported` where all are asked for at once.
    pub fn one(self, op: &'static str) -> Result<&'a LedgerId> {
        match self {
            Self::One(ledger) => Ok(ledger),
            Self::All => Err(Error::new(ErrorKind::Unsupported, op, "users are listed one ledger at a time here")),
        }
    }
}

/// A source of grade A facts. Gives a page at a time; never loops, never sleeps, never drops a row it does not like.
#[async_trait]
pub trait LedgerSource: Send + Sync {
    /// The ledgers that this sign-in reaches now. A ledger that was here and is not any more is "lost sight", not "nobody".
    async fn ledgers(&self, cx: &ReadCx, at: Cursor) -> Result<Page<LedgerRow>>;
    /// Everybody in the ledger's own list, removed and disabled users included, each with the vendor's word for it.
    ///
    /// Errors: `Forbidden` names the ledger and freezes that ledger only. A source whose ledgers list nobody answers
    /// `Unsupported`, which the policy's `unlisted` then decides.
    async fn access(&self, cx: &ReadCx, scope: Scope<'_>, at: Cursor) -> Result<Page<AccessFact>>;
    /// How many users a ledger counts whose [`LedgerSource::access`] is `Unsupported`; `None` where it does not say, or cannot
    /// be asked just now.
    ///
    /// Errors: only what ends the sign-in or names the ledger as closed to us, which is then what its list of users says too.
    async fn seats(&self, _cx: &ReadCx, _ledger: &LedgerId) -> Result<Option<Seats>> {
        Ok(None)
    }
    /// Whose sign-in this is, where the vendor's tokens do not say so: absence from a list counts only where the list holds
    /// this user (`product` 3). Asked once, when a person signs in; where nobody does (keys, an app's own sign-in), in each
    /// run. `None`: the vendor does not say.
    ///
    /// Errors: those of the list.
    async fn own_user(&self, _cx: &ReadCx) -> Result<Option<OwnUser>> {
        Ok(None)
    }
    /// For how long an answer stands, where this source lists nobody's access and each question costs the firm: its ledgers and
    /// their [`LedgerSource::seats`] are asked for again only after this time, and at once where a person asks, after a reading
    /// that failed, a new sign-in or a change of the configuration. A ledger that is closed to us meanwhile is taken for open
    /// for at most this long. `None`: they are asked for in each run, as is every source whose manifest has a
    /// [`crate::Listing`], whatever it says here.
    fn stands(&self) -> Option<Duration> {
        None
    }
    /// Name, currency, financial year, lock dates.
    async fn profile(&self, cx: &ReadCx, ledger: &LedgerId) -> Result<LedgerProfile>;
}

/// A practice manager's list of clients and who is responsible for them (grade B).
#[async_trait]
pub trait ClientDirectory: Send + Sync {
    async fn clients(&self, cx: &ReadCx, at: Cursor) -> Result<Page<ClientRow>>;
    /// When the list was made, where it is a copy that somebody made and not the vendor's own word of this moment. Asked before
    /// the list is read.
    ///
    /// Errors: those of the list.
    async fn issued(&self, _cx: &ReadCx) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}

/// A source of statements.
#[async_trait]
pub trait StatementSource: Send + Sync {
    /// The bank accounts of a ledger.
    async fn accounts(&self, cx: &ReadCx, ledger: &LedgerId, at: Cursor) -> Result<Page<LedgerAccount>>;
    /// What there is for a request: one reference for a report or register, one a document for files and attachments.
    ///
    /// Errors: `Unsupported` with the reason where this account was not granted the kind. Never a silent substitute.
    async fn statements(
        &self,
        cx: &ReadCx,
        ledger: &LedgerId,
        what: &StatementRequest,
        at: Cursor,
    ) -> Result<Page<StatementRef>>;
    /// The content. Registers are complete when they come back; the connector pages inside through `what`'s own requests
    /// with [`crate::Snapshot::gather`], so a short register cannot come back either.
    async fn fetch(&self, cx: &ReadCx, what: &StatementRef) -> Result<StatementData>;
}

/// A place with folders. Where it has sharing lists, they are kept equal to the plan.
///
/// Every method either did what it says or gives an error; an outcome that is not known (a lost answer to a write) is
/// `Unavailable`, and the caller reads before it does anything else (I7).
#[async_trait]
pub trait StorageTarget: Send + Sync {
    fn limits(&self) -> TargetLimits;
    /// What fills up here, as the vendor states it. Space comes from [`StorageTarget::probe`].
    fn capacities(&self) -> Vec<Capacity> {
        Vec::new()
    }
    /// Who we are, whether we may share, what is inherited, how much room. Reads only.
    async fn probe(&self, cx: &ReadCx) -> Result<Probe>;
    /// The folder that carries our marker for this key. Two of them are a `Conflict`. Serves recovery; a stored id goes first.
    async fn find(&self, cx: &ReadCx, key: &FolderKey) -> Result<Option<FolderId>>;
    async fn stat(&self, cx: &ReadCx, folder: &FolderId) -> Result<Stat>;
    /// The effective sharing list: direct, inherited, and ways in below the folder ([`crate::Via::Below`]).
    async fn sharing(&self, cx: &ReadCx, folder: &FolderId, at: Cursor) -> Result<Page<SeenPermission>>;
    /// Every file below the folder, sub-folders included. A folder that is not there is `NotFound`, never an empty list.
    async fn files(&self, cx: &ReadCx, folder: &FolderId, at: Cursor) -> Result<Page<SeenFile>>;
    /// Every folder directly in the root, whosever it is, for adopting a tree that was there before. Only
    /// [`FolderId`]s that the other methods take. A root that is not there is an empty list.
    async fn folders(&self, _cx: &ReadCx, _at: Cursor) -> Result<Page<SeenFolder>> {
        Err(Error::new(ErrorKind::Unsupported, "folders.list", "this target cannot list the folders that are there"))
    }
    /// Whether [`StorageTarget::changes`] tells of sharing lists as well as of files. Where it does not, each folder's list is
    /// read in its turn over the day.
    fn changes_tell_sharing(&self) -> bool {
        false
    }
    /// Changes since a cursor; `None` asks for the cursor of now. `Unsupported` where there is no feed.
    async fn changes(&self, _cx: &ReadCx, _since: Option<ChangeCursor>) -> Result<Changes> {
        Err(Error::new(ErrorKind::Unsupported, "changes.list", "this target has no change feed"))
    }
    /// Ids for things that are about to be made, where the target hands such ids out; empty elsewhere. Makes nothing.
    async fn reserve(&self, _cx: &ReadCx, _count: usize) -> Result<Vec<ReservedId>> {
        Ok(Vec::new())
    }
    /// Whether the folder that holds the client folders must be made first ([`StorageTarget::make_root`]): this target makes
    /// it itself, and it is not there. `made` is the id under which it was or should have been made; it goes before any
    /// search, which may lag behind a write.
    async fn lacks_root(&self, _cx: &ReadCx, _made: Option<&ReservedId>) -> Result<bool> {
        Ok(false)
    }
    /// Makes that folder under an id that the caller has stored. A repeat with the same id makes nothing twice. `Conflict`: the
    /// id is used up by a folder that was thrown away since.
    async fn make_root(&self, _cx: &WriteCx, _id: &ReservedId) -> Result<FolderId> {
        Err(Error::new(ErrorKind::Unsupported, "root.create", "this target makes no folder for the client folders"))
    }
    /// Makes the client's folder under the root, closed to everybody but us, with our marker. A repeat with the same
    /// reserved id makes nothing and answers `Exists { ours: true }`.
    async fn create(&self, cx: &WriteCx, key: &FolderKey, name: &str, reserved: Option<&ReservedId>)
    -> Result<Created>;
    /// Writes our marker on a folder that the firm adopted by an explicit act.
    async fn mark(&self, cx: &WriteCx, folder: &FolderId, key: &FolderKey) -> Result<()>;
    /// Cuts what the target lets us cut: writers cannot re-share, nothing is inherited, links are off. Safe to repeat.
    async fn close_spread(&self, cx: &WriteCx, folder: &FolderId) -> Result<()>;
    /// `Unsupported` where a folder is its path.
    async fn rename(&self, cx: &WriteCx, folder: &FolderId, name: &str) -> Result<()>;
    /// Adds a person, without a mail from the target. Never lowers a role: that is [`StorageTarget::set_role`].
    /// `until` is given only where [`crate::TargetLimits::native_expiry`] says that the target ends such a grant by itself.
    async fn grant(
        &self,
        cx: &WriteCx,
        folder: &FolderId,
        who: &Email,
        role: FolderRole,
        until: Option<Timestamp>,
    ) -> Result<Granted>;
    async fn set_role(
        &self,
        cx: &WriteCx,
        folder: &FolderId,
        permission: &PermissionId,
        role: FolderRole,
    ) -> Result<()>;
    /// Takes a direct entry away. Missing is [`Gone::Already`]. An inherited or owner's entry is `Forbidden`.
    async fn revoke(&self, cx: &WriteCx, folder: &FolderId, permission: &PermissionId) -> Result<Gone>;
    async fn poll(&self, _cx: &ReadCx, _job: &JobId) -> Result<Job> {
        Err(Error::new(ErrorKind::Unsupported, "job.poll", "this target has no jobs"))
    }
    /// Writes one file, whole or not at all, and verifies it. Takes only a folder that passed the fence.
    async fn put(
        &self,
        cx: &WriteCx,
        folder: &Fenced<FolderId>,
        file: &StatementFile,
        expect: Expect,
    ) -> Result<Stored>;
    /// Files of one folder, each as [`StorageTarget::put`] writes it, with one answer for each in their order. Called only where
    /// [`crate::TargetLimits::puts_together`] says that it takes less than each by itself.
    async fn put_all(&self, folder: &Fenced<FolderId>, files: Vec<Outgoing<'_>>) -> Vec<Result<Stored>> {
        let mut ends = Vec::new();
        for f in files {
            ends.push(self.put(f.cx, folder, f.file, f.expect).await);
        }
        ends
    }
}
