//! Scenarios of sharing lists: whole, and changed by exactly one entry.

use super::{Bench, ByHand, TargetHarness, permission};
use crate::{
    Allowed, ErrorKind, Expect, Fenced, FolderRole, Gone, Holder, SeenRole, Stat, Via,
    suite::{must, must_fail, skipped},
};

pub async fn sharing_of_a_missing_folder_is_an_error<H: TargetHarness>() {
    let b = Bench::<H>::new().await;
    b.folder(2, "Birch LLP").await;
    let f = b.folder(1, "Acme Ltd").await;
    b.h.remove(&f).await;
    must_fail(b.sharing(&f).await, "sharing of a folder that is not there");
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
