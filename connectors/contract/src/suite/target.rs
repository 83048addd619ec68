//! Scenarios for storage targets.

mod faults;
mod files;
mod folders;
mod sharing;

pub use self::{faults::*, files::*, folders::*, sharing::*};

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;

use crate::{
    Audience, ClientId, Created, Cursor, Email, Error, Expect, Fenced, FileKey, FilePath, FolderId, FolderKey, Granted,
    Holder, Journalled, Listed, Page, PermissionId, Permit, ReadCx, Result, SeenFile, SeenPermission, SharingSupport,
    Snapshot, StatementFile, StorageTarget, Stored, Timestamp, Transport, Via, WriteAuthority, WriteCx,
    suite::{NoTransport, Wire, must, skipped},
};

/// What somebody does by hand at the vendor's own pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByHand {
    Person(Email),
    Group,
    Link,
    Everyone,
    /// Somebody gets into the folder from above.
    Inherited(Email),
    /// Somebody is let in to something below the folder only.
    Below(Email),
}

/// A target over its fake, or over a real folder.
///
/// Hooks that a target has no such thing for answer `false`, and the scenario says that it was skipped.
#[async_trait]
pub trait TargetHarness: Send + Sync + Sized {
    /// A configured target whose root is ready and empty.
    async fn fresh() -> Self;
    fn target(&self) -> &dyn StorageTarget;
    /// The fake, with credentials already on it; `None` where the target speaks no HTTP.
    fn vendor(&self) -> Option<Arc<dyn Transport>>;
    /// The connector's library signs the requests, by keys of its own (`AuthScheme::OwnKeys`).
    fn signs_itself(&self) -> bool {
        false
    }
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap_or_default()
    }
    /// A person who can be given access. At least 0 to 2 have to be there.
    fn person(&self, n: usize) -> Email;
    /// A folder beside the clients' that is not ours.
    async fn stranger_folder(&self, name: &str) -> FolderId;
    /// A file that somebody else put directly into a client's folder.
    async fn stranger_file(&self, folder: &FolderId, name: &str, bytes: &[u8]);
    async fn share_by_hand(&self, _folder: &FolderId, _what: &ByHand) -> bool {
        false
    }
    /// A second folder with the same marker.
    async fn double(&self, _folder: &FolderId) -> bool {
        false
    }
    async fn trash(&self, _folder: &FolderId) -> bool {
        false
    }
    async fn remove(&self, folder: &FolderId);
    /// From now on listings come in pages of about two.
    async fn small_pages(&self) -> bool {
        false
    }
}

/// A harness with its wire and a journal that counts.
pub struct Bench<H> {
    pub h: H,
    pub wire: Arc<Wire>,
    row: AtomicI64,
}

impl<H: TargetHarness> Bench<H> {
    pub async fn new() -> Self {
        let h = H::fresh().await;
        let wire = Wire::new(h.vendor().unwrap_or_else(|| Arc::new(NoTransport)));
        Self { h, wire, row: AtomicI64::new(0) }
    }

    pub fn t(&self) -> &dyn StorageTarget {
        self.h.target()
    }

    pub fn read(&self) -> ReadCx {
        ReadCx::new(self.wire.clone(), self.h.now())
    }

    pub fn write(&self) -> WriteCx {
        let step = Journalled::committed(self.row.fetch_add(1, Ordering::SeqCst) + 1);
        Permit::issue(&WriteAuthority::for_tests(), step).open(self.wire.clone(), self.h.now())
    }

    /// The key of client number n.
    pub fn key(n: u128) -> FolderKey {
        FolderKey { client: ClientId(uuid::Uuid::from_u128(n)), account: None }
    }

    /// Makes the folder of client number n.
    pub async fn folder(&self, n: u128, name: &str) -> FolderId {
        let reserved = must(self.t().reserve(&self.read(), 1).await, "reserve").pop();
        match must(self.t().create(&self.write(), &Self::key(n), name, reserved.as_ref()).await, "create") {
            Created::Created(id) | Created::Exists { id, ours: true } => id,
            Created::Exists { id, ours: false } => {
                must(Err(Error::contract("folder.create", format!("a fresh root has {id} already"))), "create")
            }
        }
    }

    pub async fn sharing(&self, folder: &FolderId) -> Result<Snapshot<SeenPermission>> {
        let (t, cx) = (self.t(), self.read());
        gather(|at| {
            let cx = cx.clone();
            Box::pin(async move { t.sharing(&cx, folder, at).await })
        })
        .await
    }

    pub async fn files(&self, folder: &FolderId) -> Result<Snapshot<SeenFile>> {
        let (t, cx) = (self.t(), self.read());
        gather(|at| {
            let cx = cx.clone();
            Box::pin(async move { t.files(&cx, folder, at).await })
        })
        .await
    }

    /// What somebody has directly on the folder.
    pub async fn has(&self, folder: &FolderId, who: &Email) -> Option<SeenPermission> {
        let list = must(self.sharing(folder).await, "sharing");
        let mut found: Vec<_> = list
            .items()
            .iter()
            .filter(|p| p.holder == Holder::Person(who.clone()) && p.via == Via::Direct)
            .cloned()
            .collect();
        assert!(found.len() <= 1, "{who} has {} entries: {found:?}", found.len());
        found.pop()
    }

    pub async fn put(&self, folder: &FolderId, file: &StatementFile, expect: Expect) -> Result<Stored> {
        self.t().put(&self.write(), &open_fence(folder), file, expect).await
    }

    /// A file with a reserved id, where the target has such.
    pub async fn file(&self, path: &[&str], bytes: &'static [u8]) -> StatementFile {
        let reserved = must(self.t().reserve(&self.read(), 1).await, "reserve").pop();
        StatementFile { reserved, ..file(path, bytes) }
    }

    fn mirrors(&self, scenario: &str) -> bool {
        let yes = self.t().limits().sharing == SharingSupport::Mirror;
        if !yes {
            skipped(scenario, "this target has no sharing lists");
        }
        yes
    }

    fn has_wire(&self, scenario: &str) -> bool {
        let yes = self.h.vendor().is_some();
        if !yes {
            skipped(scenario, "this target speaks no HTTP");
        }
        yes
    }
}

async fn gather<'a, T: Listed + PartialEq>(
    fetch: impl FnMut(Cursor) -> BoxFuture<'a, Result<Page<T>>>,
) -> Result<Snapshot<T>> {
    Snapshot::gather("suite.gather", Timestamp::UNIX_EPOCH, 100, fetch).await
}

fn open_fence(folder: &FolderId) -> Fenced<FolderId> {
    let audience = must(
        Audience::new("the suite").ok_or_else(|| Error::contract("suite.fence", "an audience cannot be empty")),
        "audience",
    );
    Fenced::managed_elsewhere(folder.clone(), &audience)
}

/// A file without a reserved id.
pub fn file(path: &[&str], bytes: &'static [u8]) -> StatementFile {
    let names = path.iter().map(|s| (*s).to_owned()).collect();
    let path = must(
        FilePath::new(names).ok_or_else(|| Error::contract("suite.path", "the suite asks for a path nobody may have")),
        "path",
    );
    StatementFile {
        key: FileKey(format!("suite/{path}")),
        path,
        mime: "application/pdf".into(),
        bytes: Bytes::from_static(bytes),
        reserved: None,
    }
}

fn permission(g: &Granted) -> &PermissionId {
    match g {
        Granted::Now(id) | Granted::Invited(id) => id,
    }
}

/// Every target scenario as a test of its own.
#[macro_export]
macro_rules! target_suite {
    ($harness:ty) => {
        $crate::suite_tests!(
            $harness,
            target,
            [
                probe_names_the_account_and_the_root,
                create_makes_a_closed_and_marked_folder,
                create_twice_makes_one_folder,
                create_never_takes_a_strangers_folder,
                n09_two_clients_of_one_name_stay_apart,
                find_before_and_after_create,
                find_with_two_markers_is_a_conflict,
                stat_tells_present_from_gone,
                stat_tells_trashed,
                folders_lists_every_folder_of_the_root_and_nothing_else,
                bad_answers_to_folders_are_errors,
                sharing_of_a_missing_folder_is_an_error,
                files_of_a_missing_folder_is_an_error,
                owner_is_listed_and_never_revoked,
                inherited_is_listed_and_never_revoked,
                below_is_listed,
                grant_twice_is_one_permission,
                grant_never_lowers_a_role,
                set_role_goes_both_ways,
                revoke_twice_is_already,
                revoke_takes_one_person_only,
                a_stranger_shuts_the_fence,
                a_link_shuts_the_fence,
                everyone_shuts_the_fence,
                close_spread_can_be_repeated_and_takes_nobody_away,
                put_is_listed_whole_and_recursive,
                put_twice_is_one_file,
                put_over_a_strangers_file_is_a_conflict,
                put_over_a_newer_file_is_a_conflict,
                put_after_the_file_is_gone_is_a_conflict,
                n06_odd_but_legal_names,
                rename_keeps_the_id_or_says_unsupported,
                pages_make_one_listing,
                p03_a_failing_second_page_is_no_listing,
                bad_answers_to_sharing_are_errors,
                bad_answers_to_files_are_errors,
                bad_answers_to_find_are_errors,
                bad_answers_to_stat_are_errors,
                p07_not_found_on_listings_is_an_error,
                p10_rate_limits_carry_the_pause,
                lost_answers_to_create_make_no_second_folder,
                lost_answers_to_put_make_no_second_file,
                lost_answers_to_grant_make_no_second_permission,
                reads_declare_no_write,
            ]
        );
    };
}
