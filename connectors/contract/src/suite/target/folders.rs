//! Scenarios of folders: made once, never taken from others, found again.

use std::collections::BTreeMap;

use super::{Bench, ByHand, TargetHarness};
use crate::{
    Created, ErrorKind, Expect, FolderId, FolderKey, Holder, NoteLevel, Result, SeenFolder, SeenPermission, Snapshot,
    Stat,
    suite::{must, must_fail, skipped},
};

pub async fn probe_names_the_account_and_the_root<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    b.folder(1, "Acme Ltd").await;
    let probe = must(b.t().probe(&b.read()).await, "probe");
    assert!(!probe.account.is_empty(), "probe does not say who we are");
    assert!(probe.root.is_some(), "there is a client folder, and probe knows no root");
    let blockers: Vec<_> = probe.notes.iter().filter(|n| n.level == NoteLevel::Blocker).collect();
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

pub async fn folders_lists_every_folder_of_the_root_and_nothing_else<H: TargetHarness>() {
    const NAME: &str = "folders_lists_every_folder_of_the_root_and_nothing_else";
    let b = Bench::<H>::new().await;
    match b.folders().await {
        Err(e) if e.kind == ErrorKind::Unsupported => return skipped(NAME, "this target cannot list folders"),
        fresh => assert_eq!(must(fresh, "folders").items(), [], "a fresh root has folders"),
    }
    let mut expected = BTreeMap::new();
    for n in 1..=7 {
        let name = format!("Client {n}");
        expected.insert(b.folder(n, &name).await, (name, Some(Bench::<H>::key(n).to_string())));
    }
    let first = b.folder(1, "Client 1").await;
    let theirs = b.h.stranger_folder("An old folder").await;
    // A sign-in that sees nothing of others (Drive's `drive.file`) cannot list it.
    let visible = matches!(b.t().stat(&b.read(), &theirs).await, Ok(Stat::Present { .. }));
    if visible {
        expected.insert(theirs.clone(), ("An old folder".to_owned(), None));
    }
    // A sub-folder, and a file directly beside it: neither is a client's folder.
    must(b.put(&first, &b.file(&["2026", "a.pdf"], b"x").await, Expect::Absent).await, "put");
    b.h.stranger_file(&first, "notes.txt", b"hello").await;
    if !b.h.small_pages().await {
        skipped(NAME, "its pages cannot be made small");
    }
    assert_eq!(b.listed().await, expected);

    let gone: Vec<_> = expected.keys().filter(|id| **id != first && **id != theirs).take(2).cloned().collect();
    for (n, id) in gone.iter().enumerate() {
        if n > 0 || !b.h.trash(id).await {
            b.h.remove(id).await;
        }
        expected.remove(id);
    }
    assert_eq!(b.listed().await, expected, "what is in the trash or gone is no folder");

    // Who is on a folder of others is asked for folder by folder, with the id that the listing gave.
    if visible && b.h.share_by_hand(&theirs, &ByHand::Person(b.h.person(0))).await {
        // Where a folder is shared it may go by another id from then on (Dropbox).
        let listed = b.listed().await;
        let now = listed.iter().find(|(_, (name, _))| name == "An old folder").map_or(&theirs, |(id, _)| id);
        let list = must(b.sharing(now).await, "sharing");
        let person = |p: &SeenPermission| matches!(p.holder, Holder::Person(_)) && !p.ourselves;
        assert!(list.items().iter().any(person), "{:?}", list.items());
    }
}

impl<H: TargetHarness> Bench<H> {
    pub(super) async fn folders(&self) -> Result<Snapshot<SeenFolder>> {
        let (t, cx) = (self.t(), self.read());
        super::gather(|at| {
            let cx = cx.clone();
            Box::pin(async move { t.folders(&cx, at).await })
        })
        .await
    }

    /// Name and marker of each folder in the root, by its id.
    async fn listed(&self) -> BTreeMap<FolderId, (String, Option<String>)> {
        let list = must(self.folders().await, "folders");
        list.items().iter().map(|f| (f.id.clone(), (f.name.clone(), f.marker.clone()))).collect()
    }
}
