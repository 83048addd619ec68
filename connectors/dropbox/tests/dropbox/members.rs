//! Who is on a folder: invitations, groups, roles, removals, and every refusal in words.

use std::time::Duration;

use ledgerward_contract::*;
use ledgerward_dropbox::{refusal::classify, retry_hint};
use serde_json::{Value, json};

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn an_invitation_counts_and_a_stranger_who_accepts_it_is_a_stranger() {
    let w = World::personal();
    let f = w.create(1).await;
    let granted = w.grant(&f, GUEST, FolderRole::Reader).await.unwrap();
    assert!(matches!(granted, Granted::Invited(_)), "{granted:?}");
    let seen = person(&w.sharing(&f).await.unwrap(), GUEST).unwrap();
    assert!(seen.pending && seen.via == Via::Direct && seen.id == id_of(&granted));
    // Accepted with the account that was invited: the same id goes on.
    w.control("accept", json!({ "folder": f.as_str(), "email": GUEST }));
    let seen = person(&w.sharing(&f).await.unwrap(), GUEST).unwrap();
    assert!(!seen.pending && seen.id == id_of(&granted));
    // An address without an account, accepted by somebody else's.
    let granted = w.grant(&f, "nobody@new.example", FolderRole::Reader).await.unwrap();
    assert_eq!(id_of(&granted).as_str(), "email:nobody@new.example");
    w.control("accept", json!({ "folder": f.as_str(), "email": "nobody@new.example", "as": OTHER }));
    let list = w.sharing(&f).await.unwrap();
    assert!(person(&list, OTHER).is_some() && person(&list, "nobody@new.example").is_none());
    let planned = [GUEST, "nobody@new.example"].map(|e| Email::parse(e).unwrap());
    let allowed = Allowed { planned: planned.into(), ..Allowed::default() };
    assert_eq!(Fenced::check(f, &list, &allowed).unwrap_err().strangers.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_invitation_changes_its_role_by_being_made_anew_without_a_mail() {
    let w = World::personal();
    let f = w.create(1).await;
    let id = id_of(&w.grant(&f, GUEST, FolderRole::Reader).await.unwrap());
    w.target().set_role(&w.write(), &f, &id, FolderRole::Writer).await.unwrap();
    assert_eq!(person(&w.sharing(&f).await.unwrap(), GUEST).unwrap().role, SeenRole::Writer);
    w.grant(&f, "b@new.example", FolderRole::Reader).await.unwrap();
    w.grant(&f, "b@new.example", FolderRole::Writer).await.unwrap();
    assert_eq!(person(&w.sharing(&f).await.unwrap(), "b@new.example").unwrap().role, SeenRole::Writer);
    assert_eq!(w.dumped(&f)["members"].as_array().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_invitation_is_not_taken_back_while_none_can_be_sent() {
    let w = World::personal();
    let f = w.create(1).await;
    let id = id_of(&w.grant(&f, GUEST, FolderRole::Reader).await.unwrap());
    w.control("invitations", json!({ "left": 0 }));
    assert_eq!(w.grant(&f, BEN, FolderRole::Reader).await.unwrap_err().kind, ErrorKind::RateLimited);
    for e in [
        w.target().set_role(&w.write(), &f, &id, FolderRole::Writer).await.unwrap_err(),
        w.grant(&f, GUEST, FolderRole::Writer).await.unwrap_err(),
    ] {
        assert!(e.kind == ErrorKind::RateLimited && matches!(e.retry, Retry::After(_)), "{e:?}");
        assert_eq!(person(&w.sharing(&f).await.unwrap(), GUEST).unwrap().role, SeenRole::Reader, "they are out");
    }
}

#[tokio::test(start_paused = true)]
async fn an_invitation_that_was_taken_back_in_vain_is_told_as_such() {
    let w = World::team();
    let f = w.create(1).await;
    let id = id_of(&w.grant(&f, GUEST, FolderRole::Reader).await.unwrap());
    w.control("team", json!({ "members_only": true }));
    let e = w.target().set_role(&w.write(), &f, &id, FolderRole::Writer).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Forbidden);
    assert!(e.message.starts_with("the invitation was taken back") && e.message.contains("team's rules"), "{e:?}");
    assert!(person(&w.sharing(&f).await.unwrap(), GUEST).is_none());

    // A removal that is not over would end the new invitation too.
    w.control("team", json!({ "members_only": false }));
    let id = id_of(&w.grant(&f, GUEST, FolderRole::Reader).await.unwrap());
    w.control("limits", json!({ "job_ms": 60_000 }));
    let e = w.target().set_role(&w.write(), &f, &id, FolderRole::Writer).await.unwrap_err();
    assert!(e.kind == ErrorKind::Unavailable && e.message.contains("still taking"), "{e:?}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    w.grant(&f, GUEST, FolderRole::Writer).await.unwrap();
    assert_eq!(person(&w.sharing(&f).await.unwrap(), GUEST).unwrap().role, SeenRole::Writer);
}

#[tokio::test(start_paused = true)]
async fn who_is_listed_and_does_not_get_in_is_added() {
    for (level, role) in
        [("traverse", FolderRole::Reader), ("traverse", FolderRole::Writer), ("no_access", FolderRole::Writer)]
    {
        let w = World::team();
        let f = w.create(1).await;
        w.control("share", json!({ "folder": f.as_str(), "email": CARA, "level": level }));
        assert_eq!(person(&w.sharing(&f).await.unwrap(), CARA).unwrap().role, SeenRole::MetadataOnly);
        assert!(matches!(w.grant(&f, CARA, role).await.unwrap(), Granted::Now(_)));
        let now = person(&w.sharing(&f).await.unwrap(), CARA).unwrap().role;
        assert_eq!(now, if role == FolderRole::Reader { SeenRole::Reader } else { SeenRole::Writer }, "{level}");
        assert_eq!(w.sent("member.add"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_groups_address_lets_nobody_in_and_says_so() {
    const GROUP: &str = "staff@harbour.example";
    let w = World::team();
    let f = w.create(1).await;
    w.control("group_address", json!({ "email": GROUP, "group": "g:harbour-staff" }));
    let groups = async || {
        let list = w.sharing(&f).await.unwrap();
        list.items().iter().filter(|p| matches!(p.holder, Holder::Group(_))).map(|p| p.role.clone()).collect::<Vec<_>>()
    };
    let e = w.grant(&f, GROUP, FolderRole::Writer).await.unwrap_err();
    assert!(e.kind == ErrorKind::Unsupported && e.message.contains("group") && e.next.is_some(), "{e:?}");
    assert_eq!(groups().await, [], "what was made is gone again");
    // Somebody shared it with the group by hand: that is not ours to take away.
    w.control("share", json!({ "folder": f.as_str(), "group": "g:harbour-staff" }));
    assert!(w.grant(&f, GROUP, FolderRole::Writer).await.is_err());
    assert_eq!(groups().await, [SeenRole::Reader]);
}

#[tokio::test(start_paused = true)]
async fn a_level_that_nobody_knows_is_never_said_to_be_the_one_that_was_asked_for() {
    let w = World::team();
    let f = w.create(1).await;
    w.control("share", json!({ "folder": f.as_str(), "email": CARA, "level": "brand_new" }));
    for role in [FolderRole::Reader, FolderRole::Writer] {
        let e = w.grant(&f, CARA, role).await.unwrap_err();
        assert!(e.kind == ErrorKind::Unsupported && e.message.contains("brand_new"), "{e:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_leaves_a_way_in_is_not_a_removal() {
    let w = World::team();
    let f = w.create(1).await;
    let id = id_of(&w.grant(&f, CARA, FolderRole::Reader).await.unwrap());
    w.control("share", json!({ "folder": f.as_str(), "group": "g:harbour-staff" }));
    let list = w.sharing(&f).await.unwrap();
    assert!(list.items().iter().any(|p| p.holder.to_string() == "group:Staff (g:harbour-staff)"), "{:?}", list.items());
    assert_eq!(w.target().revoke(&w.write(), &f, &id).await.unwrap(), Gone::StillVia(Via::Inherited));
    // The group itself can be taken off, and then nobody is left.
    let group = PermissionId("g:harbour-staff".into());
    assert_eq!(w.target().revoke(&w.write(), &f, &group).await.unwrap(), Gone::Done);
    assert_eq!(w.sharing(&f).await.unwrap().items().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_takes_long_is_handed_over_and_can_be_asked() {
    let w = World::personal();
    let f = w.create(1).await;
    let id = id_of(&w.grant(&f, BEN, FolderRole::Reader).await.unwrap());
    w.control("limits", json!({ "job_ms": 60_000 }));
    let Gone::Pending(job) = w.target().revoke(&w.write(), &f, &id).await.unwrap() else { panic!() };
    assert_eq!(w.target().poll(&w.read(), &job).await.unwrap(), Job::Running);
    assert!(person(&w.sharing(&f).await.unwrap(), BEN).is_some());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(w.target().poll(&w.read(), &job).await.unwrap(), Job::Done);
    assert!(person(&w.sharing(&f).await.unwrap(), BEN).is_none());
}

#[tokio::test(start_paused = true)]
async fn nested_shares_and_links_are_ways_in() {
    let w = World::team();
    let f = w.create(1).await;
    w.put(&f, &file("2026/a.pdf", "x"), Expect::Absent).await.unwrap();
    let sub = w.child(&w.dumped(&f), "2026");
    w.control("share", json!({ "folder": sub["id"], "email": OTHER, "pending": true }));
    let list = w.sharing(&f).await.unwrap();
    let other = person(&list, OTHER).unwrap();
    assert!(matches!(other.via, Via::Below(ref at) if at.starts_with("2026 ")) && other.pending, "{other:?}");
    let e = w.target().revoke(&w.write(), &f, &other.id).await.unwrap();
    assert_eq!(e, Gone::Already, "not on the folder itself");
    // A link above, on, and below; one kept to members is none.
    for (at, audience) in [("team:/Practice", "team_only"), (f.as_str(), "public"), (f.as_str(), "shared_folder_only")]
    {
        w.control("link_on", json!({ "folder": at, "audience": audience }));
    }
    w.control("link_on", json!({ "folder": w.child(&sub, "a.pdf")["id"], "audience": "password" }));
    let list = w.sharing(&f).await.unwrap();
    let links: Vec<_> = list
        .items()
        .iter()
        .filter(|p| matches!(p.holder, Holder::Link(_)))
        .map(|p| (p.holder.to_string(), p.via.clone()))
        .collect();
    assert_eq!(links.len(), 3, "{links:?}");
    assert!(links.contains(&("link:organisation".into(), Via::Inherited)));
    assert!(links.contains(&("link:anyone".into(), Via::Below("2026/a.pdf".into()))));
    w.target().close_spread(&w.write(), &f).await.unwrap();
    let list = w.sharing(&f).await.unwrap();
    assert!(!list.items().iter().any(|p| matches!(p.holder, Holder::Link(_)) && p.via == Via::Direct));
}

#[tokio::test(start_paused = true)]
async fn close_spread_takes_sharing_back_from_editors_and_cuts_what_is_inherited() {
    let w = World::team();
    let f = w.create(1).await;
    w.control("policy", json!({ "folder": f.as_str(), "editors_share": true }));
    w.control("inherit", json!({ "folder": f.as_str(), "inherit": true }));
    let stat = w.target().stat(&w.read(), &f).await.unwrap();
    assert!(matches!(stat, Stat::Present { inherits: true, writers_can_share: Some(true), .. }), "{stat:?}");
    w.target().close_spread(&w.write(), &f).await.unwrap();
    let stat = w.target().stat(&w.read(), &f).await.unwrap();
    assert!(matches!(stat, Stat::Present { inherits: false, writers_can_share: Some(false), .. }), "{stat:?}");
    assert_eq!(w.dumped(&f)["link_policy"], "members");
}

#[tokio::test(start_paused = true)]
async fn p10_the_days_invitations_used_up_rest_for_a_day_and_removals_go_on() {
    let w = World::personal();
    let f = w.create(1).await;
    let ben = id_of(&w.grant(&f, BEN, FolderRole::Reader).await.unwrap());
    w.control("invitations", json!({ "left": 0 }));
    let e = w.grant(&f, CARA, FolderRole::Reader).await.unwrap_err();
    assert_eq!((e.kind, e.retry), (ErrorKind::RateLimited, Retry::After(Duration::from_secs(86_400))));
    let asked = w.sent("member.add");
    let e = w.grant(&f, GUEST, FolderRole::Reader).await.unwrap_err();
    assert_eq!((e.kind, w.sent("member.add")), (ErrorKind::RateLimited, asked), "no further invitation is tried");
    assert_eq!(w.target().revoke(&w.write(), &f, &ben).await.unwrap(), Gone::Done);
    w.control("invitations", json!({ "left": 10 }));
    tokio::time::sleep(Duration::from_secs(86_401)).await;
    w.sign_in(json!({}));
    w.grant(&f, GUEST, FolderRole::Reader).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_plan_without_readers_makes_nobody_an_editor() {
    let w = World::personal();
    let f = w.create(1).await;
    w.control("account", json!({ "email": US, "plan": "basic" }));
    let e = w.grant(&f, BEN, FolderRole::Reader).await.unwrap_err();
    assert_eq!((e.kind, e.next.is_some()), (ErrorKind::Unsupported, true));
    assert_eq!(w.dumped(&f)["members"].as_array().unwrap().len(), 1);
    let w = World::team();
    let f = w.create(1).await;
    w.control("team", json!({ "members_only": true }));
    let e = w.grant(&f, GUEST, FolderRole::Reader).await.unwrap_err();
    assert!(e.message.contains("outside") && e.next.unwrap().contains("administrator"));
    let until = Some(w.now());
    let who = Email::parse(CARA).unwrap();
    let e = w.target().grant(&w.write(), &f, &who, FolderRole::Reader, until).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unsupported);
}

fn answer(status: u16, error: &Value) -> Response {
    let body = json!({ "error_summary": "canary/...", "error": error, "user_message": { "text": "canary" } });
    Response { status, headers: Default::default(), body: body.to_string().into() }
}

fn nested(path: &str) -> Value {
    match path.split_once('/') {
        None => json!({ ".tag": path }),
        Some((head, rest)) => json!({ ".tag": head, head: nested(rest) }),
    }
}

#[test]
fn every_refusal_is_told_in_words_with_the_next_step_and_without_the_vendors_text() {
    let tags = [
        "bad_path/inside_shared_folder",
        "bad_path/contains_shared_folder",
        "bad_path/contains_app_folder",
        "bad_path/contains_team_folder",
        "bad_path/is_app_folder",
        "bad_path/inside_app_folder",
        "bad_path/is_vault",
        "bad_path/is_vault_locked",
        "bad_path/is_family",
        "bad_path/is_public_folder",
        "bad_path/inside_public_folder",
        "bad_path/is_osx_package",
        "bad_path/inside_osx_package",
        "bad_path/is_file",
        "bad_path/invalid_path",
        "email_unverified",
        "team_policy_disallows_member_policy",
        "disallowed_shared_link_policy",
        "no_permission",
        "bad_member/invalid_email",
        "bad_member/invalid_dropbox_id",
        "bad_member/unverified_dropbox_id",
        "bad_member/group_not_on_team",
        "bad_member/group_deleted",
        "bad_member/invalid_group",
        "bad_member/automatic_group",
        "cant_share_outside_team",
        "too_many_members",
        "too_many_pending_invites",
        "rate_limit",
        "too_many_invitees",
        "insufficient_plan",
        "banned_member",
        "team_folder",
        "access_error/invalid_id",
        "access_error/not_a_member",
        "access_error/invalid_member",
        "access_error/unmounted",
        "member_error/invalid_dropbox_id",
        "member_error/not_a_member",
        "member_error/no_explicit_access",
        "no_explicit_access",
        "folder_owner",
        "group_access",
        "too_many_files",
        "path/insufficient_space",
        "path/no_write_permission",
        "path/disallowed_name",
        "path/malformed_path",
        "path/operation_suppressed",
        "path/team_folder",
        "path/access_restricted",
        "payload_too_large",
        "encryption_not_supported",
        "content_hash_mismatch",
        "path/too_many_write_operations",
        "path/conflict/file",
        "path/conflict/file_ancestor",
        "path/not_found",
        "internal_error",
    ];
    let mut said = std::collections::BTreeMap::new();
    for tag in tags {
        let e = classify("x.y", &answer(409, &nested(tag))).unwrap_err();
        assert!(e.next.as_ref().is_some_and(|n| n.len() > 10), "{tag}: {e:?}");
        assert!(!format!("{e:?}").contains("canary"), "{tag}");
        assert_eq!(e.get("reason"), Some(tag.replace('/', ".").as_str()));
        assert_ne!(e.message, "something else changed it in the meantime", "{tag}");
        said.insert(tag, e.message);
    }
    for status in [400, 409] {
        let e = classify("x.y", &answer(status, &nested("path/brand_new_tag"))).unwrap_err();
        assert!(e.message.ends_with("a reason that we do not know: path.brand_new_tag"), "{e:?}");
        assert!(e.next.unwrap().starts_with("Report it"));
    }
    let e = classify("files.list", &answer(409, &json!({ ".tag": "reset" }))).unwrap_err();
    assert_eq!((e.kind, e.retry), (ErrorKind::Unavailable, Retry::Backoff), "it is read again: {e:?}");
    let e = classify("folder.rename", &answer(409, &nested("to/conflict/folder"))).unwrap_err();
    assert!(e.kind == ErrorKind::Conflict && e.next.unwrap().starts_with("Rename or move the other one"));
    // The values of some tags are numbers, and uploads have their union under another key.
    let e =
        classify("x.y", &answer(409, &json!({ ".tag": "too_many_members", "too_many_members": 1000 }))).unwrap_err();
    assert_eq!(e.message, said["too_many_members"]);
    let upload = json!({ ".tag": "path", "reason": { ".tag": "insufficient_space" }, "upload_session_id": "canary" });
    let e = classify("x.y", &answer(409, &upload)).unwrap_err();
    assert_eq!(
        (e.message.as_str(), e.get("reason")),
        (said["path/insufficient_space"].as_str(), Some("path.insufficient_space"))
    );
    for (tag, kind) in [
        ("expired_access_token", ErrorKind::Unauthenticated),
        ("invalid_access_token", ErrorKind::Unauthenticated),
        ("user_suspended", ErrorKind::Unauthenticated),
        ("invalid_select_user", ErrorKind::Config),
        ("invalid_select_admin", ErrorKind::Config),
        ("route_access_denied", ErrorKind::Config),
        ("missing_scope", ErrorKind::Forbidden),
    ] {
        let e = classify("x.y", &answer(401, &nested(tag))).unwrap_err();
        assert_eq!((e.kind, e.retry), (kind, Retry::No), "{tag}");
    }
}

#[test]
fn x07_a_plain_400_is_told_in_our_words_and_never_in_its_own() {
    let said = |text: &str| {
        let plain = Response { status: 400, headers: Default::default(), body: text.to_owned().into() };
        let e = classify("x.y", &plain).unwrap_err();
        assert!(!format!("{e:?}").contains("canary"), "{e:?}");
        (e.kind, e.message.clone(), e.next.clone().unwrap(), e.get("permission").map(str::to_owned))
    };
    let call = "Error in call to API function \"sharing/add_folder_member\": ";
    let (kind, says, next, _) = said(&format!("{call}request body: could not decode input as JSON: canary"));
    assert_eq!(kind, ErrorKind::Contract);
    assert!(says.contains("our request to sharing/add_folder_member") && next.starts_with("Report it"), "{says}");
    let (kind, says, next, _) =
        said(&format!("{call}request body: email: 'canary@client.example' did not match pattern '^x$'"));
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(says.contains("as it is written") && next.contains("address"), "{says}");
    let (kind, _, next, scope) = said(&format!(
        "{call}Your app (ID: 1) is not permitted to access this endpoint because it does not have the required scope 'sharing.write'."
    ));
    assert_eq!((kind, scope.as_deref()), (ErrorKind::Forbidden, Some("sharing.write")));
    assert!(next.contains("Tick the permission"), "{next}");
    for odd in ["", "canary", "Error in call to API function \"canary Ltd\": x", "API function \"canary"] {
        assert!(said(odd).1.starts_with("Dropbox cannot read our request (HTTP 400)"), "{odd}");
    }
}

#[test]
fn p10_both_kinds_of_429_are_read_and_a_lock_may_be_tried_again() {
    let reason = |tag: &str| json!({ "reason": { ".tag": tag }, "retry_after": 17 });
    let r = answer(429, &reason("too_many_requests"));
    assert_eq!(retry_hint(&r), Some(Retry::After(Duration::from_secs(17))));
    assert_eq!(classify("x.y", &r).unwrap_err().kind, ErrorKind::RateLimited);
    let mut plain = Response { status: 429, headers: Default::default(), body: "Too many requests".into() };
    assert_eq!(retry_hint(&plain), Some(Retry::Backoff));
    plain.headers.insert("retry-after", "3".parse().unwrap());
    assert_eq!(classify("x.y", &plain).unwrap_err().retry, Retry::After(Duration::from_secs(3)));
    assert_eq!(retry_hint(&answer(409, &nested("path/too_many_write_operations"))), Some(Retry::Backoff));
    // A new day's invitations are no pause for everything else.
    assert_eq!(retry_hint(&answer(409, &nested("rate_limit"))), None);
}
