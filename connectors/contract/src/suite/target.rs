//! Scenarios for storage targets.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;

use crate::{
    Allowed, Audience, ClientId, Created, Cursor, Effect, Email, Error, ErrorKind, Expect, Fenced, FileKey, FilePath,
    FolderId, FolderKey, FolderRole, Gone, Granted, Holder, Journalled, Listed, Page, PermissionId, Permit, ReadCx,
    ReservedId, Result, Retry, SeenFile, SeenPermission, SeenRole, SharingSupport, Snapshot, Stat, StatementFile,
    StorageTarget, Stored, Timestamp, Transport, Via, WriteAuthority, WriteCx,
    suite::{BAD_ANSWERS, Fault, NoTransport, When, Wire, must, must_fail, skipped},
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

pub async fn probe_names_the_account_and_the_root<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    b.folder(1, "Acme Ltd").await;
    let probe = must(b.t().probe(&b.read()).await, "probe");
    assert!(!probe.account.is_empty(), "probe does not say who we are");
    assert!(probe.root.is_some(), "there is a client folder, and probe knows no root");
    let blockers: Vec<_> = probe.notes.iter().filter(|n| n.level == crate::NoteLevel::Blocker).collect();
    assert!(blockers.is_empty(), "a healthy target has blockers: {blockers:?}");
}

pub async fn create_makes_a_closed_and_marked_folder<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = b.folder(1, "Acme Ltd").await;
    match must(b.t().stat(&b.read(), &f).await, "stat") {
        Stat::Present { name, marker, inherits, .. } => {
            assert_eq!(name, "Acme Ltd");
            assert!(!inherits, "people of the parent can open a new client folder");
            assert_eq!(marker, Some(Bench::<H>::key(1).to_string()), "the marker does not name the client");
        }
        other => assert_eq!(format!("{other:?}"), "Present"),
    }
    if b.mirrors("create_makes_a_closed_and_marked_folder") {
        let list = must(b.sharing(&f).await, "sharing");
        assert!(list.items().iter().all(|p| p.ourselves), "a new folder is open to others: {:?}", list.items());
    }
}

pub async fn create_twice_makes_one_folder<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let reserved = must(b.t().reserve(&b.read(), 1).await, "reserve").pop();
    let make =
        async || must(b.t().create(&b.write(), &Bench::<H>::key(1), "Acme Ltd", reserved.as_ref()).await, "create");
    let Created::Created(first) = make().await else {
        return assert!(must(b.t().find(&b.read(), &Bench::<H>::key(1)).await, "find").is_none(), "nothing was made");
    };
    assert_eq!(make().await, Created::Exists { id: first.clone(), ours: true });
    assert_eq!(must(b.t().find(&b.read(), &Bench::<H>::key(1)).await, "find"), Some(first));
}

pub async fn create_never_takes_a_strangers_folder<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    b.folder(9, "Somebody else").await;
    let theirs = b.h.stranger_folder("Acme Ltd").await;
    let made = must(b.t().create(&b.write(), &Bench::<H>::key(1), "Acme Ltd", None).await, "create");
    match made {
        Created::Exists { id, ours } => assert!(!ours, "{id} was taken over"),
        Created::Created(id) => assert_ne!(id, theirs, "a stranger's folder was taken over"),
    }
    if let Stat::Present { marker, .. } = must(b.t().stat(&b.read(), &theirs).await, "stat") {
        assert_eq!(marker, None, "a stranger's folder got our marker");
    }
}

pub async fn n09_two_clients_of_one_name_stay_apart<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let first = b.folder(1, "Acme Ltd").await;
    match must(b.t().create(&b.write(), &Bench::<H>::key(2), "Acme Ltd", None).await, "create") {
        Created::Exists { ours, .. } => assert!(!ours, "client 2 was given the folder of client 1"),
        Created::Created(id) => assert_ne!(id, first, "two clients share a folder"),
    }
    assert_eq!(must(b.t().find(&b.read(), &Bench::<H>::key(1)).await, "find"), Some(first));
}

pub async fn find_before_and_after_create<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let other = b.folder(2, "Birch LLP").await;
    assert_eq!(must(b.t().find(&b.read(), &Bench::<H>::key(1)).await, "find"), None);
    let f = b.folder(1, "Acme Ltd").await;
    assert_eq!(must(b.t().find(&b.read(), &Bench::<H>::key(1)).await, "find"), Some(f));
    assert_eq!(must(b.t().find(&b.read(), &Bench::<H>::key(2)).await, "find"), Some(other));
    let account = FolderKey { account: Some("acc-1".into()), ..Bench::<H>::key(1) };
    assert_eq!(must(b.t().find(&b.read(), &account).await, "find"), None, "an account's folder is not the client's");
}

pub async fn find_with_two_markers_is_a_conflict<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = b.folder(1, "Acme Ltd").await;
    if !b.h.double(&f).await {
        return skipped("find_with_two_markers_is_a_conflict", "two folders cannot carry one marker here");
    }
    let e = must_fail(b.t().find(&b.read(), &Bench::<H>::key(1)).await, "find with two markers");
    assert_eq!(e.kind, ErrorKind::Conflict);
}

pub async fn stat_tells_present_from_gone<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    b.folder(2, "Birch LLP").await;
    let f = b.folder(1, "Acme Ltd").await;
    assert!(matches!(must(b.t().stat(&b.read(), &f).await, "stat"), Stat::Present { .. }));
    b.h.remove(&f).await;
    assert_eq!(must(b.t().stat(&b.read(), &f).await, "stat"), Stat::Gone);
}

pub async fn stat_tells_trashed<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = b.folder(1, "Acme Ltd").await;
    if !b.h.trash(&f).await {
        return skipped("stat_tells_trashed", "this target has no trash");
    }
    assert_eq!(must(b.t().stat(&b.read(), &f).await, "stat"), Stat::Trashed);
}

pub async fn sharing_of_a_missing_folder_is_an_error<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    b.folder(2, "Birch LLP").await;
    let f = b.folder(1, "Acme Ltd").await;
    b.h.remove(&f).await;
    must_fail(b.sharing(&f).await, "sharing of a folder that is not there");
}

pub async fn files_of_a_missing_folder_is_an_error<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    b.folder(2, "Birch LLP").await;
    let f = b.folder(1, "Acme Ltd").await;
    b.h.remove(&f).await;
    must_fail(b.files(&f).await, "files of a folder that is not there");
}

pub async fn owner_is_listed_and_never_revoked<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    if !b.mirrors("owner_is_listed_and_never_revoked") {
        return;
    }
    let f = b.folder(1, "Acme Ltd").await;
    let list = must(b.sharing(&f).await, "sharing");
    assert!(list.items().iter().any(|p| p.ourselves), "we are not in the list: {:?}", list.items());
    for p in list.items().iter().filter(|p| p.role == SeenRole::Owner || p.ourselves) {
        let e = must_fail(b.t().revoke(&b.write(), &f, &p.id).await, "revoking owner or ourselves");
        assert_eq!(e.kind, ErrorKind::Forbidden);
    }
    assert_eq!(must(b.sharing(&f).await, "sharing").items(), list.items());
}

pub async fn inherited_is_listed_and_never_revoked<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let (f, who) = (b.folder(1, "Acme Ltd").await, b.h.person(0));
    if !b.h.share_by_hand(&f, &ByHand::Inherited(who.clone())).await {
        return skipped("inherited_is_listed_and_never_revoked", "nothing is inherited here");
    }
    let list = must(b.sharing(&f).await, "sharing");
    let found = list.items().iter().find(|p| p.via == Via::Inherited && p.holder == Holder::Person(who.clone()));
    assert!(found.is_some(), "the inherited person is not listed: {:?}", list.items());
    if let Some(p) = found {
        let e = must_fail(b.t().revoke(&b.write(), &f, &p.id).await, "revoking what is inherited");
        assert_eq!(e.kind, ErrorKind::Forbidden);
    }
}

pub async fn below_is_listed<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let (f, who) = (b.folder(1, "Acme Ltd").await, b.h.person(0));
    must(b.put(&f, &b.file(&["2026", "a.pdf"], b"a").await, Expect::Absent).await, "put");
    if !b.h.share_by_hand(&f, &ByHand::Below(who.clone())).await {
        return skipped("below_is_listed", "nothing below a folder can be shared by itself here");
    }
    let list = must(b.sharing(&f).await, "sharing");
    let mut below = list.items().iter().filter(|p| matches!(p.via, Via::Below(_)));
    assert!(below.any(|p| p.holder == Holder::Person(who.clone())), "a way in below is not listed: {:?}", list.items());
}

pub async fn grant_twice_is_one_permission<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    if !b.mirrors("grant_twice_is_one_permission") {
        return;
    }
    let (f, who) = (b.folder(1, "Acme Ltd").await, b.h.person(0));
    for _ in 0..2 {
        let g = must(b.t().grant(&b.write(), &f, &who, FolderRole::Reader, None).await, "grant");
        let seen = b.has(&f, &who).await;
        assert_eq!(seen.as_ref().map(|p| &p.role), Some(&SeenRole::Reader));
        assert_eq!(seen.as_ref().map(|p| &p.id), Some(permission(&g)), "the list has another id than grant gave");
        assert_eq!(seen.map(|p| p.ourselves), Some(false));
    }
}

pub async fn grant_never_lowers_a_role<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    if !b.mirrors("grant_never_lowers_a_role") {
        return;
    }
    let (f, who) = (b.folder(1, "Acme Ltd").await, b.h.person(0));
    must(b.t().grant(&b.write(), &f, &who, FolderRole::Writer, None).await, "grant");
    // A target may refuse this as a conflict; what it may not do is take the writer's role.
    drop(b.t().grant(&b.write(), &f, &who, FolderRole::Reader, None).await);
    assert_eq!(b.has(&f, &who).await.map(|p| p.role), Some(SeenRole::Writer));
}

pub async fn set_role_goes_both_ways<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    if !b.mirrors("set_role_goes_both_ways") {
        return;
    }
    let (f, who) = (b.folder(1, "Acme Ltd").await, b.h.person(0));
    let g = must(b.t().grant(&b.write(), &f, &who, FolderRole::Reader, None).await, "grant");
    let roles = [FolderRole::Writer, FolderRole::Reader, FolderRole::Reader];
    let seen = [SeenRole::Writer, SeenRole::Reader, SeenRole::Reader];
    for (role, seen) in roles.into_iter().zip(seen) {
        must(b.t().set_role(&b.write(), &f, permission(&g), role).await, "set_role");
        assert_eq!(b.has(&f, &who).await.map(|p| p.role), Some(seen));
    }
}

pub async fn revoke_twice_is_already<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    if !b.mirrors("revoke_twice_is_already") {
        return;
    }
    let (f, who) = (b.folder(1, "Acme Ltd").await, b.h.person(0));
    let g = must(b.t().grant(&b.write(), &f, &who, FolderRole::Reader, None).await, "grant");
    assert_eq!(must(b.t().revoke(&b.write(), &f, permission(&g)).await, "revoke"), Gone::Done);
    assert_eq!(b.has(&f, &who).await, None);
    assert_eq!(must(b.t().revoke(&b.write(), &f, permission(&g)).await, "revoke"), Gone::Already);
}

pub async fn revoke_takes_one_person_only<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    if !b.mirrors("revoke_takes_one_person_only") {
        return;
    }
    let f = b.folder(1, "Acme Ltd").await;
    let other = b.folder(2, "Birch LLP").await;
    let (ann, bob) = (b.h.person(0), b.h.person(1));
    let g = must(b.t().grant(&b.write(), &f, &ann, FolderRole::Reader, None).await, "grant");
    must(b.t().grant(&b.write(), &f, &bob, FolderRole::Writer, None).await, "grant");
    must(b.t().grant(&b.write(), &other, &ann, FolderRole::Reader, None).await, "grant");
    must(b.t().revoke(&b.write(), &f, permission(&g)).await, "revoke");
    assert_eq!(b.has(&f, &ann).await, None);
    assert_eq!(b.has(&f, &bob).await.map(|p| p.role), Some(SeenRole::Writer));
    assert!(b.has(&other, &ann).await.is_some(), "a revoke on one folder reached another");
}

async fn shuts_the_fence<H: TargetHarness>(scenario: &str, what: ByHand) {
    let b = Bench::<H>::new().await;
    if !b.mirrors(scenario) {
        return;
    }
    let (f, ann) = (b.folder(1, "Acme Ltd").await, b.h.person(0));
    must(b.t().grant(&b.write(), &f, &ann, FolderRole::Reader, None).await, "grant");
    let allowed = Allowed { planned: [ann].into(), ..Allowed::default() };
    let list = must(b.sharing(&f).await, "sharing");
    assert!(Fenced::check(f.clone(), &list, &allowed).is_ok(), "nobody extra is there: {:?}", list.items());
    if !b.h.share_by_hand(&f, &what).await {
        return skipped(scenario, "this cannot be done at this target");
    }
    let list = must(b.sharing(&f).await, "sharing");
    assert!(Fenced::check(f, &list, &allowed).is_err(), "{what:?} does not show: {:?}", list.items());
}

pub async fn a_stranger_shuts_the_fence<H: TargetHarness>() {
    let who = H::fresh().await.person(1);
    shuts_the_fence::<H>("a_stranger_shuts_the_fence", ByHand::Person(who)).await;
    shuts_the_fence::<H>("a_stranger_shuts_the_fence", ByHand::Group).await;
}

pub async fn a_link_shuts_the_fence<H: TargetHarness>() {
    shuts_the_fence::<H>("a_link_shuts_the_fence", ByHand::Link).await;
}

pub async fn everyone_shuts_the_fence<H: TargetHarness>() {
    shuts_the_fence::<H>("everyone_shuts_the_fence", ByHand::Everyone).await;
}

pub async fn close_spread_can_be_repeated_and_takes_nobody_away<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let (f, who) = (b.folder(1, "Acme Ltd").await, b.h.person(0));
    let mirrors = b.mirrors("close_spread_can_be_repeated_and_takes_nobody_away");
    if mirrors {
        must(b.t().grant(&b.write(), &f, &who, FolderRole::Writer, None).await, "grant");
    }
    for _ in 0..2 {
        must(b.t().close_spread(&b.write(), &f).await, "close_spread");
    }
    if mirrors {
        assert_eq!(b.has(&f, &who).await.map(|p| p.role), Some(SeenRole::Writer));
        if let Stat::Present { writers_can_share, .. } = must(b.t().stat(&b.read(), &f).await, "stat") {
            assert_ne!(writers_can_share, Some(true), "writers can still share");
        }
    }
}

pub async fn put_is_listed_whole_and_recursive<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = b.folder(1, "Acme Ltd").await;
    assert_eq!(must(b.files(&f).await, "files").items(), [], "a new folder lists files (our marker?)");
    let paths: [&[&str]; 3] = [&["top.pdf"], &["2026", "a.pdf"], &["2026", "10", "b.pdf"]];
    let mut expected = Vec::new();
    for path in paths {
        let stored = must(b.put(&f, &b.file(path, b"twelve bytes").await, Expect::Absent).await, "put");
        assert!(stored.written && stored.size == 12, "{stored:?}");
        expected.push((path.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>(), stored.id, stored.tag));
    }
    expected.sort();
    let list = must(b.files(&f).await, "files");
    assert!(list.items().iter().all(|s| s.size == 12), "{:?}", list.items());
    let mut listed: Vec<_> = list.items().iter().map(|s| (s.path.clone(), s.id.clone(), s.tag.clone())).collect();
    listed.sort();
    assert_eq!(listed, expected, "files and put disagree on path, id or tag");
}

pub async fn put_twice_is_one_file<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = b.folder(1, "Acme Ltd").await;
    let first = must(b.put(&f, &b.file(&["2026", "a.pdf"], b"one").await, Expect::Absent).await, "put");
    let again = must(b.put(&f, &b.file(&["2026", "a.pdf"], b"one").await, Expect::Absent).await, "put again");
    assert_eq!(again, Stored { written: false, ..first });
    assert_eq!(must(b.files(&f).await, "files").items().len(), 1);
}

pub async fn put_over_a_strangers_file_is_a_conflict<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = b.folder(1, "Acme Ltd").await;
    b.h.stranger_file(&f, "a.pdf", b"not ours").await;
    let e = must_fail(b.put(&f, &b.file(&["a.pdf"], b"ours").await, Expect::Absent).await, "put over another's file");
    assert_eq!(e.kind, ErrorKind::Conflict);
    let list = must(b.files(&f).await, "files");
    assert_eq!(list.items().iter().map(|s| s.size).collect::<Vec<_>>(), [8], "the stranger's file was touched");
}

pub async fn put_over_a_newer_file_is_a_conflict<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = b.folder(1, "Acme Ltd").await;
    let v1 = must(b.put(&f, &b.file(&["a.pdf"], b"v1").await, Expect::Absent).await, "put v1");
    let to = |s: &Stored| Expect::Unchanged(s.id.clone(), s.tag.clone());
    let v2 = must(b.put(&f, &b.file(&["a.pdf"], b"v2+").await, to(&v1)).await, "put v2");
    assert!(v2.written && v2.tag != v1.tag, "{v1:?} {v2:?}");
    let e = must_fail(b.put(&f, &b.file(&["a.pdf"], b"v3+++").await, to(&v1)).await, "put with an old tag");
    assert_eq!(e.kind, ErrorKind::Conflict);
    let again = must(b.put(&f, &b.file(&["a.pdf"], b"v2+").await, to(&v1)).await, "the same replacement once more");
    assert!(!again.written && again.tag == v2.tag, "{again:?}");
    let list = must(b.files(&f).await, "files");
    assert_eq!(list.items().iter().map(|s| (s.size, &s.tag)).collect::<Vec<_>>(), [(3, &v2.tag)]);
}

pub async fn put_after_the_file_is_gone_is_a_conflict<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = b.folder(1, "Acme Ltd").await;
    let elsewhere = b.folder(2, "Birch LLP").await;
    let v1 = must(b.put(&elsewhere, &b.file(&["a.pdf"], b"v1").await, Expect::Absent).await, "put");
    let gone = Expect::Unchanged(crate::FileId(format!("{}-gone", v1.id)), v1.tag);
    must_fail(b.put(&f, &b.file(&["a.pdf"], b"v2").await, gone).await, "replacing a file that is not there");
    assert!(must(b.files(&f).await, "files").is_empty());
}

pub async fn n06_odd_but_legal_names<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let names = ["🧾 Müller & Söhne #1 100%25 'x'", "CON", "a+b=c; ~$d", "Zoë – 株式会社", "o'Neil \"quoted\""];
    for (n, name) in names.into_iter().enumerate() {
        let f = b.folder(n as u128 + 1, name).await;
        let stored = must(b.put(&f, &b.file(&[name, name], b"x").await, Expect::Absent).await, name);
        let list = must(b.files(&f).await, name);
        let listed: Vec<_> = list.items().iter().map(|s| (&s.id, s.path.clone())).collect();
        assert_eq!(listed, [(&stored.id, vec![name.to_owned(), name.to_owned()])]);
        let again = must(b.put(&f, &b.file(&[name, name], b"x").await, Expect::Absent).await, name);
        assert!(!again.written, "{name:?} was not found again");
        assert_eq!(must(b.t().find(&b.read(), &Bench::<H>::key(n as u128 + 1)).await, name), Some(f));
    }
    for bad in ["..", ".", "a/b", "a\\b", "", "a.", " a", "a\u{0}", "a\n"] {
        assert!(FilePath::new(vec![bad.to_owned()]).is_none(), "{bad:?} passes as a file name");
    }
}

pub async fn rename_keeps_the_id_or_says_unsupported<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = b.folder(1, "Acme Ltd").await;
    let renamed = b.t().rename(&b.write(), &f, "Acme Holdings Ltd").await;
    if b.t().limits().folder_ids {
        must(renamed, "rename");
        let Stat::Present { name, .. } = must(b.t().stat(&b.read(), &f).await, "stat") else {
            return assert_eq!("the folder", "still there");
        };
        assert_eq!(name, "Acme Holdings Ltd");
    } else {
        assert_eq!(must_fail(renamed, "rename on a path").kind, ErrorKind::Unsupported);
    }
}

async fn five_files<H: TargetHarness>(b: &Bench<H>) -> FolderId {
    let f = b.folder(1, "Acme Ltd").await;
    for name in ["a.pdf", "b.pdf", "c.pdf", "d.pdf", "e.pdf"] {
        must(b.put(&f, &b.file(&[name], b"x").await, Expect::Absent).await, "put");
    }
    f
}

pub async fn pages_make_one_listing<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = five_files(&b).await;
    if !b.h.small_pages().await {
        return skipped("pages_make_one_listing", "there are no pages here");
    }
    let list = must(b.files(&f).await, "files");
    assert_eq!(list.items().len(), 5);
    assert!(list.pages() > 1, "the fake did not page");
}

pub async fn p03_a_failing_second_page_is_no_listing<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    let f = five_files(&b).await;
    if !b.has_wire("p03_a_failing_second_page_is_no_listing") || !b.h.small_pages().await {
        return;
    }
    b.wire.heal();
    must(b.files(&f).await, "files");
    let last = b.wire.count() - 1;
    b.wire.fail(When::From(last), Fault::Status(500));
    let e = must_fail(b.files(&f).await, "a listing whose last page failed");
    assert_eq!(e.kind, ErrorKind::Unavailable);
    b.wire.fail(When::From(1), Fault::FirstAgain);
    must_fail(b.files(&f).await, "a listing that turns in a circle");
}

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
    if b.has_wire("bad_answers_to_sharing_are_errors") {
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
    let e = must_fail(b.sharing(&f).await, "sharing with 429");
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
    b.wire.heal();
    must(b.t().probe(&b.read()).await, "probe");
    must(b.t().find(&b.read(), &Bench::<H>::key(1)).await, "find");
    must(b.t().stat(&b.read(), &f).await, "stat");
    must(b.files(&f).await, "files");
    drop(b.sharing(&f).await);
    let writes: Vec<_> = b.wire.log().into_iter().filter(|r| r.effect == Effect::Write).map(|r| r.op).collect();
    assert!(writes.is_empty(), "reads that write: {writes:?}");
}
