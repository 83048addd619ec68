//! Sharing lists: what a 200 is worth, links and groups as what they are, roles, and what comes from above.

use ledgerward_contract::*;
use serde_json::json;

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn p12_an_invitation_that_does_nothing_is_an_error_and_the_next_one_works() {
    let w = World::rooted();
    let f = w.create(1).await;
    w.control("limits", json!({ "swallow": 1 }));
    let e = w.grant(&f, BEN, FolderRole::Reader).await.unwrap_err();
    assert_eq!((e.kind, e.retry), (ErrorKind::Unavailable, Retry::No));
    assert!(person(&w.sharing(&f).await.unwrap(), BEN).is_none());
    assert!(matches!(w.grant(&f, BEN, FolderRole::Reader).await.unwrap(), Granted::Now(_)));
    // No mail went out to anybody, and everybody has to sign in: both would be violations or mails.
    assert_eq!(w.control("violations", json!({})), json!({ "violations": [], "mails": 0 }));
}

#[tokio::test(start_paused = true)]
async fn a_slow_list_is_read_until_it_shows_the_change() {
    let w = World::rooted();
    let f = w.create(1).await;
    w.control("limits", json!({ "lag": 2 }));
    let Granted::Now(id) = w.grant(&f, BEN, FolderRole::Reader).await.unwrap() else { panic!("pending") };
    w.target().set_role(&w.write(), &f, &id, FolderRole::Writer).await.unwrap();
    assert_eq!(person(&w.sharing(&f).await.unwrap(), BEN).unwrap().role, SeenRole::Writer);
    assert_eq!(w.target().revoke(&w.write(), &f, &id).await.unwrap(), Gone::Done);
    w.control("limits", json!({ "lag": 50 }));
    assert_eq!(w.grant(&f, BEN, FolderRole::Reader).await.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn refusals_of_people_say_what_to_do() {
    let w = World::rooted();
    let f = w.create(1).await;
    let e = w.grant(&f, "nobody@harbour.example", FolderRole::Reader).await.unwrap_err();
    assert_eq!((e.kind, e.get("code")), (ErrorKind::Unsupported, Some("noResolvedUsers")));
    w.control("set_policy", json!({ "domains": ["client.example"] }));
    let e = w.grant(&f, "x@elsewhere.example", FolderRole::Reader).await.unwrap_err();
    assert_eq!((e.kind, e.get("code")), (ErrorKind::Forbidden, Some("notAllowed")));
    assert!(e.next.unwrap().contains("administrator"));
    assert!(matches!(w.grant(&f, GUEST, FolderRole::Reader).await.unwrap(), Granted::Now(_)));
    assert!(matches!(w.grant(&f, STRANGER, FolderRole::Reader).await.unwrap(), Granted::Invited(_)));
    let seen = person(&w.sharing(&f).await.unwrap(), STRANGER).unwrap();
    assert!(seen.pending && seen.via == Via::Direct);
    w.control("set_policy", json!({ "domains": null, "old_sharing": true }));
    let e = w.grant(&f, "y@elsewhere.example", FolderRole::Reader).await.unwrap_err();
    assert_eq!((e.kind, e.retry), (ErrorKind::Unavailable, Retry::No));
    assert!(e.message.contains("this invitation") && e.next.unwrap().contains("guest"));
    {
        let seen = w.wire.seen.lock().unwrap();
        let mut failed = seen.iter().filter(|(_, a)| a.status == 500);
        assert!(failed.next().is_some_and(|(r, _)| !r.idempotent) && failed.next().is_none(), "it is asked once");
    }
    let until = Some("2027-01-01T00:00:00Z".parse().unwrap());
    let who = Email::parse(CARA).unwrap();
    let e = w.target().grant(&w.write(), &f, &who, FolderRole::Reader, until).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn links_groups_and_everyone_are_seen_as_what_they_are() {
    let w = World::rooted();
    let f = w.create(1).await;
    let share = |args| w.control("share", args);
    for args in [
        json!({ "item": f.as_str(), "link": "anonymous" }),
        json!({ "item": f.as_str(), "link": "organization", "role": "write" }),
        json!({ "item": f.as_str(), "link": "existingAccess" }),
        json!({ "item": f.as_str(), "link": "users", "people": [BEN, CARA] }),
        json!({ "item": f.as_str(), "group": "Tax" }),
        json!({ "item": f.as_str(), "site_group": "Ledgers Visitors" }),
        json!({ "item": f.as_str(), "everyone": true }),
        json!({ "item": f.as_str(), "app": "Backup" }),
        json!({ "item": f.as_str(), "user": ANA, "role": "" }),
    ] {
        share(args);
    }
    let list = w.sharing(&f).await.unwrap();
    let mut holders: Vec<_> = list.items().iter().map(|p| (p.holder.to_string(), p.role.clone())).collect();
    holders.sort();
    let says = |text: &str| holders.iter().filter(|(h, _)| h.contains(text)).count();
    assert_eq!((says("link:anyone"), says("link:organisation"), says("everyone:")), (1, 1, 1), "{holders:?}");
    assert_eq!((says("group:Tax"), says("group:Ledgers Visitors"), says("unknown:Backup")), (1, 1, 1), "{holders:?}");
    assert_eq!(person(&list, BEN).unwrap().role, SeenRole::Reader);
    assert_eq!(person(&list, ANA).unwrap().role, SeenRole::Other("no role told".to_owned()));
    assert_eq!(list.items().len(), 11, "{holders:?}");
    // Closing ends the links that name nobody, and takes no person away.
    w.target().close_spread(&w.write(), &f).await.unwrap();
    let list = w.sharing(&f).await.unwrap();
    assert!(!list.items().iter().any(|p| matches!(p.holder, Holder::Link(_))));
}

/// The one link for certain people on a folder, as an entry of its own.
fn link(list: &Snapshot<SeenPermission>) -> Option<SeenPermission> {
    let is = |p: &&SeenPermission| matches!(&p.holder, Holder::Opaque(what) if what.starts_with("the link "));
    list.items().iter().find(is).cloned()
}

#[tokio::test(start_paused = true)]
async fn who_is_on_a_link_gets_in_and_has_no_entry_that_could_be_ours() {
    let w = World::rooted();
    let f = w.create(1).await;
    w.control("share", json!({ "item": f.as_str(), "link": "users", "people": [BEN, CARA] }));
    let list = w.sharing(&f).await.unwrap();
    let (ben, cara) = (person(&list, BEN).unwrap(), person(&list, CARA).unwrap());
    for p in [&ben, &cara] {
        assert!(matches!(p.via, Via::Below(_)) && p.role == SeenRole::Reader, "not the person's own: {p:?}");
    }
    // Both count as people: the planned one passes, the stranger does not.
    let planned = Allowed { planned: [Email::parse(BEN).unwrap()].into(), ..Allowed::default() };
    let strangers = Fenced::check(f.clone(), &list, &planned).unwrap_err().strangers;
    assert_eq!(strangers, [cara]);
    // One of them cannot be taken off it; that would take the others' access too.
    let e = w.target().revoke(&w.write(), &f, &ben.id).await.unwrap_err();
    assert!(e.kind == ErrorKind::Forbidden && e.next.unwrap().contains("the link"));
    assert!(person(&w.sharing(&f).await.unwrap(), CARA).is_some());
    // The link itself can, whoever else is on the folder.
    let Granted::Now(own) = w.grant(&f, BEN, FolderRole::Reader).await.unwrap() else { panic!("pending") };
    let the_link = link(&list).unwrap();
    assert_eq!((&the_link.via, the_link.role.lets_nobody_in()), (&Via::Direct, true));
    assert_eq!(w.target().revoke(&w.write(), &f, &the_link.id).await.unwrap(), Gone::Done);
    assert_eq!(w.target().revoke(&w.write(), &f, &the_link.id).await.unwrap(), Gone::Already);
    let list = w.sharing(&f).await.unwrap();
    assert_eq!(person(&list, BEN).unwrap().id, own);
    assert!(person(&list, CARA).is_none() && link(&list).is_none());
}

#[tokio::test(start_paused = true)]
async fn who_is_on_a_link_as_well_is_still_in_after_the_own_entry_is_gone_and_nobody_else_is() {
    let w = World::rooted();
    let f = w.create(1).await;
    let grant = async |who| {
        let Granted::Now(id) = w.grant(&f, who, FolderRole::Reader).await.unwrap() else { panic!("pending") };
        id
    };
    let (ben, cara) = (grant(BEN).await, grant(CARA).await);
    w.control("share", json!({ "item": f.as_str(), "link": "users", "people": [BEN] }));
    let gone = w.target().revoke(&w.write(), &f, &ben).await.unwrap();
    assert!(matches!(&gone, Gone::StillVia(Via::Below(how)) if how.starts_with("the link ")), "{gone:?}");
    assert_eq!(w.target().revoke(&w.write(), &f, &cara).await.unwrap(), Gone::Done);
    assert!(person(&w.sharing(&f).await.unwrap(), BEN).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_comes_from_above_is_never_touched_even_if_it_does_not_say_so() {
    for (marks, quiet) in [(true, false), (false, false), (false, true)] {
        let w = World::rooted();
        let f = w.create(1).await;
        w.control("limits", json!({ "marks_inherited": marks, "quiet_deletes": quiet }));
        w.control("share", json!({ "item": ROOT, "user": BEN, "role": "write" }));
        let seen = person(&w.sharing(&f).await.unwrap(), BEN).unwrap();
        assert_eq!(seen.via, Via::Inherited);
        let e = w.target().revoke(&w.write(), &f, &seen.id).await.unwrap_err();
        let deletes = w.wire.seen.lock().unwrap().iter().filter(|(r, _)| r.method == "DELETE").count();
        assert_eq!((e.kind, deletes), (ErrorKind::Forbidden, 0));
        assert!(matches!(w.target().stat(&w.read(), &f).await.unwrap(), Stat::Present { inherits: true, .. }));
        // Inheritance cut by hand: then nobody of above gets in.
        w.control("cut", json!({ "item": f.as_str() }));
        w.control("share", json!({ "item": f.as_str(), "user": US, "role": "owner" }));
        assert!(person(&w.sharing(&f).await.unwrap(), BEN).is_none());
        assert!(matches!(w.target().stat(&w.read(), &f).await.unwrap(), Stat::Present { inherits: false, .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn limited_access_above_makes_nobodys_own_access_inherited() {
    for marks in [true, false] {
        let w = World::rooted();
        w.control("limits", json!({ "limited_above": true, "marks_inherited": marks }));
        let (f, other) = (w.create(1).await, w.create(2).await);
        let Granted::Now(id) = w.grant(&f, BEN, FolderRole::Reader).await.unwrap() else { panic!("pending") };
        let root = FolderId(format!("{DRIVE}:{ROOT}"));
        let above = w.sharing(&root).await.unwrap();
        assert_eq!(person(&above, BEN).unwrap().role, SeenRole::MetadataOnly, "the fake shows it above");
        let seen = person(&w.sharing(&f).await.unwrap(), BEN).unwrap();
        assert_eq!((seen.via, seen.role), (Via::Direct, SeenRole::Reader));
        // The other client's folder has no list of its own yet, and shows that of above: nobody gets in by it.
        let seen = person(&w.sharing(&other).await.unwrap(), BEN).unwrap();
        assert_eq!(seen.role, SeenRole::MetadataOnly);
        assert!(matches!(w.target().stat(&w.read(), &other).await.unwrap(), Stat::Present { inherits: false, .. }));
        assert!(matches!(w.grant(&other, BEN, FolderRole::Reader).await.unwrap(), Granted::Now(_)));
        w.target().set_role(&w.write(), &f, &id, FolderRole::Writer).await.unwrap();
        assert_eq!(w.target().revoke(&w.write(), &f, &id).await.unwrap(), Gone::Done);
        assert!(person(&w.sharing(&f).await.unwrap(), BEN).is_none_or(|p| p.role.lets_nobody_in()));
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_without_a_role_on_the_folder_or_below_may_let_somebody_in() {
    let w = World::rooted();
    let f = w.create(1).await;
    w.put(&f, &file("2026/a.pdf", "x"), Expect::Absent).await.unwrap();
    let nameless = SeenRole::Other("no role told".to_owned());
    for at in [f.as_str(), "2026"] {
        w.control("share", json!({ "item": at, "user": BEN, "role": "" }));
        let list = w.sharing(&f).await.unwrap();
        let seen: Vec<_> = list.items().iter().filter(|p| p.holder.to_string() == BEN).collect();
        assert!(at == "2026" || seen.len() == 1, "what the folder says is not said again below: {seen:?}");
        // A way in, and none that could be taken for the person's own access: they are let in as if it were not there.
        assert!(
            !seen.is_empty() && seen.iter().all(|p| p.role == nameless && matches!(p.via, Via::Below(_))),
            "{seen:?}"
        );
        let who = Email::parse(BEN).unwrap();
        assert!(Fenced::check(f.clone(), &list, &Allowed::default()).is_err());
        let accepted = Allowed { accepted: [Holder::Person(who)].into(), ..Allowed::default() };
        assert!(Fenced::check(f.clone(), &list, &accepted).is_ok());
        assert!(matches!(w.grant(&f, BEN, FolderRole::Reader).await.unwrap(), Granted::Now(_)));
        let seen = person(&w.sharing(&f).await.unwrap(), BEN).unwrap();
        assert_eq!((&seen.via, &seen.role), (&Via::Direct, &SeenRole::Reader));
        w.target().revoke(&w.write(), &f, &seen.id).await.unwrap();
    }
}

/// SharePoint's Full Control on something below reads as "owner", whoever has it.
#[tokio::test(start_paused = true)]
async fn full_control_on_a_folder_below_makes_nobody_its_owner() {
    let w = World::rooted();
    let f = w.create(1).await;
    w.put(&f, &file("2026/a.pdf", "x"), Expect::Absent).await.unwrap();
    w.control("share", json!({ "item": "2026", "user": BEN, "role": "owner" }));
    let list = w.sharing(&f).await.unwrap();
    let seen = list.items().iter().find(|p| p.holder.to_string() == BEN);
    let seen = seen.unwrap_or_else(|| panic!("{:?}", list.items()));
    assert!(matches!(seen.via, Via::Below(_)) && seen.role == SeenRole::Manager, "{seen:?}");
    assert!(Fenced::check(f.clone(), &list, &Allowed::default()).is_err());
}

#[tokio::test(start_paused = true)]
async fn who_was_let_in_to_something_below_as_well_is_still_in_and_not_by_our_grant() {
    let w = World::rooted();
    w.control("limits", json!({ "limited_above": true }));
    let f = w.create(1).await;
    w.put(&f, &file("2026/a.pdf", "x"), Expect::Absent).await.unwrap();
    w.grant(&f, CARA, FolderRole::Reader).await.unwrap();
    let Granted::Now(id) = w.grant(&f, BEN, FolderRole::Reader).await.unwrap() else { panic!("pending") };
    w.control("share", json!({ "item": "a.pdf", "user": BEN }));
    let gone = w.target().revoke(&w.write(), &f, &id).await.unwrap();
    assert!(matches!(gone, Gone::StillVia(Via::Below(_))), "{gone:?}");
    let list = w.sharing(&f).await.unwrap();
    assert!(!list.items().iter().any(|p| p.id == id && p.via == Via::Direct), "{:?}", list.items());
    w.control("unshare", json!({ "item": "a.pdf", "user": BEN }));
    assert!(person(&w.sharing(&f).await.unwrap(), BEN).is_none());
    assert_eq!(w.target().revoke(&w.write(), &f, &id).await.unwrap(), Gone::Already);
}

#[tokio::test(start_paused = true)]
async fn a_groups_address_lets_nobody_in_and_says_so() {
    const GROUP: &str = "tax@harbour.example";
    let w = World::rooted();
    let f = w.create(1).await;
    w.control("set_policy", json!({ "groups": [GROUP] }));
    let groups = async || {
        let list = w.sharing(&f).await.unwrap();
        list.items().iter().filter(|p| matches!(p.holder, Holder::Group(_))).map(|p| p.role.clone()).collect::<Vec<_>>()
    };
    let e = w.grant(&f, GROUP, FolderRole::Writer).await.unwrap_err();
    assert!(e.kind == ErrorKind::Unsupported && e.message.contains("group") && e.next.is_some(), "{e:?}");
    assert_eq!(groups().await, [], "what was made is gone again");
    // Somebody shared it with the group by hand: that is not ours to take away, nor to raise.
    w.control("share", json!({ "item": f.as_str(), "group": GROUP }));
    let e = w.grant(&f, GROUP, FolderRole::Writer).await.unwrap_err();
    assert_eq!((e.kind, groups().await), (ErrorKind::Unsupported, vec![SeenRole::Reader]));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_shows_our_own_entry_only_is_no_list() {
    let w = World::rooted();
    let f = w.create(1).await;
    w.grant(&f, BEN, FolderRole::Writer).await.unwrap();
    w.control("share", json!({ "item": ROOT, "user": ANA, "role": "write" }));
    w.sign_in(json!({ "user": ANA }));
    let e = w.sharing(&f).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Forbidden);
    let probe = w.target().probe(&w.read()).await;
    assert!(probe.is_err() || !probe.unwrap().may_share);
}

#[tokio::test(start_paused = true)]
async fn a_wider_role_below_is_a_way_in_below() {
    let w = World::rooted();
    let f = w.create(1).await;
    w.put(&f, &file("2026/a.pdf", "x"), Expect::Absent).await.unwrap();
    w.grant(&f, BEN, FolderRole::Reader).await.unwrap();
    let below = |list: &Snapshot<SeenPermission>| {
        list.items().iter().filter(|p| matches!(p.via, Via::Below(_))).cloned().collect::<Vec<_>>()
    };
    assert_eq!(below(&w.sharing(&f).await.unwrap()), []);
    w.control("share", json!({ "item": "a.pdf", "user": BEN, "role": "write" }));
    w.control("share", json!({ "item": "2026", "link": "anonymous" }));
    let found = below(&w.sharing(&f).await.unwrap());
    assert!(found.iter().any(|p| p.holder.to_string() == BEN && p.role == SeenRole::Writer), "{found:?}");
    assert!(found.iter().any(|p| matches!(p.holder, Holder::Link(LinkKind::Anyone))), "{found:?}");
}
