//! Who gets in: waterfall, invitations, links, and what is never touched.

use ledgerward_contract::*;
use serde_json::{Value, json};

use crate::common::*;

fn id(made: &Value) -> PermissionId {
    PermissionId(made["collaboration"].as_str().unwrap().to_owned())
}

fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn everybody_who_gets_in_is_listed() {
    for inherited in [true, false] {
        let w = World::rooted();
        let f = w.create(1).await;
        w.put(&f, &file("2026/10/a.pdf", "a"), Expect::Absent).await.unwrap();
        w.control("limits", json!({ "inherited_listed": inherited, "page_max": 2 }));
        let sub = w.items().into_iter().find(|i| i["name"] == "10").unwrap()["id"].clone();
        let pdf = w.items().into_iter().find(|i| i["name"] == "a.pdf").unwrap()["id"].clone();
        w.control("share", json!({ "item": ROOT, "login": ANA, "role": "co-owner" }));
        w.control("share", json!({ "item": ROOT, "login": "late@nowhere.example" }));
        w.control("share", json!({ "item": f.as_str(), "login": BEN, "role": "previewer uploader" }));
        w.control("share", json!({ "item": f.as_str(), "login": WARY, "status": "pending" }));
        w.control("share", json!({ "item": f.as_str(), "group": "Everybody at Harbour" }));
        w.control("share", json!({ "item": sub, "login": CARA, "role": "editor" }));
        w.control("share", json!({ "item": pdf, "login": GUEST }));
        w.control("link_on", json!({ "item": ROOT, "access": "company" }));
        w.control("link_on", json!({ "item": f.as_str() }));
        w.control("link_on", json!({ "item": pdf }));
        w.control("link_on", json!({ "item": sub, "access": "collaborators" }));
        w.control("make", json!({ "name": "bookmark", "type": "web_link", "parent": f.as_str(), "link": "open" }));
        let list = w.sharing(&f).await.unwrap();
        let mut told: Vec<_> = list
            .items()
            .iter()
            .map(|p| {
                let via = match &p.via {
                    Via::Below(at) => format!("below {}", at.split(' ').next().unwrap()),
                    via => format!("{via:?}"),
                };
                let more =
                    format!("{}{}", if p.pending { " pending" } else { "" }, if p.ourselves { " us" } else { "" });
                format!("{} {:?} {via}{more}", p.holder, p.role)
            })
            .collect();
        told.sort();
        let mut expected = [
            "ledgers@harbour.example Owner Direct us",
            "ana@harbour.example Manager Inherited",
            "late@nowhere.example Reader Inherited pending",
            "link:organisation Reader Inherited",
            "ben@harbour.example Other(\"previewer uploader\") Direct",
            "wary@client.example Reader Direct pending",
            "group:Everybody at Harbour (800001) Reader Direct",
            "link:anyone Reader Direct",
            "cara@harbour.example Writer below 2026/10",
            "guest@client.example Reader below 2026/10/a.pdf",
            "link:anyone Reader below 2026/10/a.pdf",
            "link:anyone Reader below bookmark",
        ];
        expected.sort_unstable();
        assert_eq!(told, expected, "inherited entries repeated below: {inherited}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_folders_entry_is_never_changed() {
    let w = World::rooted();
    let f = w.create(1).await;
    let above = id(&w.control("share", json!({ "item": ROOT, "login": BEN, "role": "editor" })));
    let hidden = id(&w.control("share", json!({ "item": ROOT, "login": "late@nowhere.example" })));
    for p in [&above, &hidden] {
        w.control("protect", json!({ "collaboration": p.as_str() }));
        let e = w.target().revoke(&w.write(), &f, p).await.unwrap_err();
        assert_eq!(e.kind, ErrorKind::Forbidden);
        assert!(e.next.is_some());
        let e = w.target().set_role(&w.write(), &f, p, FolderRole::Reader).await.unwrap_err();
        assert_eq!(e.kind, ErrorKind::Forbidden);
    }
    let other = w.create(2).await;
    let theirs = id(&w.control("share", json!({ "item": other.as_str(), "login": CARA })));
    w.control("protect", json!({ "collaboration": theirs.as_str() }));
    assert_eq!(w.target().revoke(&w.write(), &f, &theirs).await.unwrap_err().kind, ErrorKind::Forbidden);
    for made_up in ["owner-700001", "link-33550001", "hidden-1"] {
        let e = w.target().revoke(&w.write(), &f, &made_up.into()).await.unwrap_err();
        assert_eq!(e.kind, ErrorKind::Forbidden);
    }
    assert_eq!(w.sent("collaboration.delete") + w.sent("collaboration.update"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_link_on_the_folder_is_taken_off_and_one_below_is_not_ours_to_take() {
    let w = World::rooted();
    let f = w.create(1).await;
    w.control("link_on", json!({ "item": f.as_str() }));
    let is_link = |p: &&SeenPermission| matches!(p.holder, Holder::Link(_));
    let link = w.sharing(&f).await.unwrap().items().iter().find(is_link).unwrap().clone();
    assert_eq!(w.target().revoke(&w.write(), &f, &link.id).await.unwrap(), Gone::Done);
    assert_eq!(w.sharing(&f).await.unwrap().items().iter().find(is_link), None);
    assert_eq!(w.target().revoke(&w.write(), &f, &link.id).await.unwrap(), Gone::Already);
}

#[tokio::test(start_paused = true)]
async fn who_is_on_the_folder_above_still_gets_in() {
    let w = World::rooted();
    let f = w.create(1).await;
    let Granted::Now(p) = w.grant(&f, BEN, FolderRole::Writer).await.unwrap() else { panic!() };
    w.control("share", json!({ "item": ROOT, "login": BEN }));
    assert!(matches!(w.target().stat(&w.read(), &f).await.unwrap(), Stat::Present { inherits: true, .. }));
    assert_eq!(w.target().revoke(&w.write(), &f, &p).await.unwrap(), Gone::StillVia(Via::Inherited));
    w.control("unshare", json!({ "item": ROOT, "login": BEN }));
    assert!(person(&w.sharing(&f).await.unwrap(), BEN).is_none());
    assert!(matches!(w.target().stat(&w.read(), &f).await.unwrap(), Stat::Present { inherits: false, .. }));
}

#[tokio::test(start_paused = true)]
async fn invitations_wait_are_not_sent_twice_and_can_be_taken_back() {
    let w = World::rooted();
    let f = w.create(1).await;
    for who in [WARY, "nobody.yet@client.example"] {
        let Granted::Invited(p) = w.grant(&f, who, FolderRole::Reader).await.unwrap() else { panic!("{who}") };
        assert_eq!(w.grant(&f, who, FolderRole::Reader).await.unwrap(), Granted::Invited(p.clone()), "{who}");
        let seen = person(&w.sharing(&f).await.unwrap(), who).unwrap();
        assert_eq!((seen.id, seen.pending, seen.via), (p.clone(), true, Via::Direct));
        // A pending entry hides its folder; it is ours all the same.
        w.target().set_role(&w.write(), &f, &p, FolderRole::Writer).await.unwrap();
        assert_eq!(person(&w.sharing(&f).await.unwrap(), who).unwrap().role, SeenRole::Writer);
        assert_eq!(w.target().revoke(&w.write(), &f, &p).await.unwrap(), Gone::Done);
        assert!(person(&w.sharing(&f).await.unwrap(), who).is_none());
    }
    let invited = w.grant(&f, WARY, FolderRole::Reader).await.unwrap();
    w.control("reject", json!({ "item": f.as_str(), "login": WARY }));
    let seen = person(&w.sharing(&f).await.unwrap(), WARY).unwrap();
    assert_eq!((seen.role, seen.pending), (SeenRole::Declined, false));
    let e = w.grant(&f, WARY, FolderRole::Reader).await.unwrap_err();
    assert!(e.message.contains("declined") && e.next.is_some(), "{e:?}");
    let Granted::Invited(p) = invited else { panic!() };
    assert_eq!(w.target().revoke(&w.write(), &f, &p).await.unwrap(), Gone::Done);
    assert!(matches!(w.grant(&f, WARY, FolderRole::Reader).await.unwrap(), Granted::Invited(_)));
    for (request, _) in w.wire.seen.lock().unwrap().iter().filter(|(r, _)| r.op == "collaboration.create") {
        assert!(request.url.query_pairs().any(|(k, v)| k == "notify" && v == "false"), "a mail was asked for");
    }
}

#[tokio::test(start_paused = true)]
async fn a_grant_raises_what_gives_too_little() {
    let w = World::rooted();
    let f = w.create(1).await;
    w.control("share", json!({ "item": f.as_str(), "login": BEN, "role": "uploader" }));
    w.grant(&f, BEN, FolderRole::Reader).await.unwrap();
    assert_eq!(person(&w.sharing(&f).await.unwrap(), BEN).unwrap().role, SeenRole::Reader);
    w.grant(&f, BEN, FolderRole::Writer).await.unwrap();
    w.grant(&f, BEN, FolderRole::Reader).await.unwrap();
    assert_eq!(person(&w.sharing(&f).await.unwrap(), BEN).unwrap().role, SeenRole::Writer);
}

#[tokio::test(start_paused = true)]
async fn readers_may_be_kept_from_downloading() {
    let w = World::new(json!({ "root": ROOT, "reader_role": "previewer" }));
    let f = w.create(1).await;
    w.grant(&f, BEN, FolderRole::Reader).await.unwrap();
    assert_eq!(w.dumped(f.as_str())["collaborations"][0]["role"], "previewer");
}

#[tokio::test(start_paused = true)]
async fn an_end_is_given_where_the_enterprise_takes_it_and_nowhere_else() {
    let until = Some("2026-12-31T00:00:00Z".parse().unwrap());
    let grant =
        async |w: &World, f: &FolderId| w.target().grant(&w.write(), f, &email(BEN), FolderRole::Reader, until).await;
    let w = World::rooted();
    let f = w.create(1).await;
    assert_eq!(w.target().limits().native_expiry, ledgerward_contract::NativeExpiry::None);
    assert_eq!(grant(&w, &f).await.unwrap_err().kind, ErrorKind::Unsupported);
    let w = World::new(json!({ "root": ROOT, "expiry": true }));
    let f = w.create(1).await;
    let e = grant(&w, &f).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unsupported);
    assert!(person(&w.sharing(&f).await.unwrap(), BEN).is_none(), "access for ever stayed");
    w.control("set_policy", json!({ "expiry": true }));
    grant(&w, &f).await.unwrap();
    assert_eq!(person(&w.sharing(&f).await.unwrap(), BEN).unwrap().expires, until);
}

#[tokio::test(start_paused = true)]
async fn every_refusal_is_told_in_words() {
    let w = World::rooted();
    let f = w.create(1).await;
    let refused = async |who: &str, kind: ErrorKind, says: &str| {
        let e = w.grant(&f, who, FolderRole::Reader).await.unwrap_err();
        assert_eq!(e.kind, kind, "{e:?}");
        assert!(e.message.contains(says) && e.next.is_some(), "{e:?}");
        assert!(!format!("{e:?}").contains(who), "the address is in the error: {e:?}");
    };
    refused(US, ErrorKind::Forbidden, "needs no invitation").await;
    w.control("set_policy", json!({ "domains": ["partner.example"] }));
    refused(GUEST, ErrorKind::Forbidden, "a rule of the Box enterprise").await;
    w.control("set_policy", json!({ "domains": null }));
    w.control("set_user", json!({ "user": GUEST, "terms": true }));
    refused(GUEST, ErrorKind::Forbidden, "terms of service").await;
    w.control("set_policy", json!({ "roles": ["editor"] }));
    refused(BEN, ErrorKind::Unsupported, "does not take this address or value").await;
    for (status, code, kind) in [
        (403, "insufficient_scope", ErrorKind::Config),
        (403, "access_denied_insufficient_permissions", ErrorKind::Forbidden),
        (403, "access_from_location_blocked", ErrorKind::Forbidden),
        (403, "user_email_confirmation_required", ErrorKind::Forbidden),
        (409, "operation_blocked_temporary", ErrorKind::Unavailable),
        (400, "collaborations_not_available_on_root_folder", ErrorKind::Config),
    ] {
        w.control("outage", json!({ "path": "/collaborations", "method": "POST", "status": status, "code": code }));
        let e = w.grant(&f, CARA, FolderRole::Reader).await.unwrap_err();
        assert_eq!((e.kind, e.get("code")), (kind, Some(code)), "{e:?}");
        assert!(e.next.is_some(), "{e:?}");
    }
    for (status, code) in [(409, "brand_new_code"), (400, "brand_new_code"), (409, "conflict")] {
        w.control("outage", json!({ "path": "/collaborations", "method": "POST", "status": status, "code": code }));
        let e = w.grant(&f, CARA, FolderRole::Reader).await.unwrap_err();
        assert!(e.message.ends_with(&format!("a reason that we do not know: {code}")), "{e:?}");
        assert!(e.next.unwrap().starts_with("Report it"));
    }
    w.control("outage", json!({ "path": "/collaborations", "status": 429, "retry_after": "9" }));
    let e = w.grant(&f, CARA, FolderRole::Reader).await.unwrap_err();
    assert_eq!(e.retry, Retry::After(std::time::Duration::from_secs(9)));
}

#[tokio::test(start_paused = true)]
async fn changes_of_one_folder_go_one_after_another() {
    let w = World::rooted();
    let f = w.create(1).await;
    w.control("limits", json!({ "write_ms": 300 }));
    let all = [BEN, CARA, ANA, GUEST, WARY].map(|who| w.grant(&f, who, FolderRole::Reader));
    for granted in futures::future::join_all(all).await {
        granted.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn already_gone_is_said_only_with_the_folder_in_view() {
    let w = World::rooted();
    let f = w.create(1).await;
    let Granted::Now(p) = w.grant(&f, BEN, FolderRole::Reader).await.unwrap() else { panic!() };
    w.control("unshare", json!({ "item": f.as_str(), "login": BEN }));
    assert_eq!(w.target().revoke(&w.write(), &f, &p).await.unwrap(), Gone::Already);
    w.control("move", json!({ "item": f.as_str(), "to": "33550002" }));
    assert_eq!(w.target().revoke(&w.write(), &f, &p).await.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_groups_address_lets_nobody_in_and_says_so() {
    const GROUP: &str = "everybody@harbour.example";
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
    // Somebody shared it with the group by hand: Box makes nothing then, and it is not ours to take away.
    w.control("share", json!({ "item": f.as_str(), "group": "Everybody at Harbour" }));
    let e = w.grant(&f, GROUP, FolderRole::Writer).await.unwrap_err();
    assert_eq!((e.kind, groups().await), (ErrorKind::Conflict, vec![SeenRole::Reader]));
}
