use ledgerward_contract::{
    Cursor, ErrorKind, Factory, LedgerId, LedgerRole, ReadCx, Retry, RoleTable, Scope, Standing,
};
use ledgerward_kit::testing::now;
use ledgerward_myob::{FACTORY, api, map, scope_set};
use serde_json::json;

use crate::common::{LARK, MISTRAL, SCOPES, VENDOR, lark, users, world};

#[tokio::test(start_paused = true)]
async fn a_sign_in_is_one_file_and_is_never_asked_about_another() {
    let w = lark();
    let source = w.connector.ledgers().unwrap();
    let list = source.ledgers(&w.read(), Cursor::Start).await.unwrap();
    assert_eq!(list.items.len(), 1);
    assert_eq!((list.items[0].id.as_str(), list.items[0].name.as_str()), (LARK, "Lark Plumbing Pty Ltd"));
    let before = w.asked("{id}/Security/User");
    let other = LedgerId::from(MISTRAL);
    let e = source.access(&w.read(), Scope::One(&other), Cursor::Start).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Contract, Some(MISTRAL)));
    assert_eq!(w.asked("{id}/Security/User"), before, "another file's list was asked for with this file's token");
    let nowhere = ReadCx::new(w.wire.clone(), now());
    assert_eq!(source.ledgers(&nowhere, Cursor::Start).await.unwrap_err().kind, ErrorKind::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn p09_a_token_for_another_file_is_refused_and_says_nothing() {
    let w = lark();
    // The token is for Mistral, the sign-in's row says Lark: what MYOB then answers is about neither.
    let crossed = world(json!({}), MISTRAL, SCOPES);
    let cx = ReadCx::new(crossed.wire.clone(), now()).in_realm(Some(LARK));
    let e = w.connector.ledgers().unwrap().ledgers(&cx, Cursor::Start).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Forbidden);
}

#[test]
fn p09_an_answer_about_another_file_is_no_answer() {
    let ledger = LedgerId::from(LARK);
    let file = |id: &str| json!({"CompanyFile": {"Id": id, "Name": "Lark"}, "Resources": []}).to_string();
    let profile = |id: &str| map::profile("x.y", &ledger, file(id).as_bytes());
    assert!(profile(&LARK.to_uppercase()).is_ok());
    assert_eq!(profile(MISTRAL).unwrap_err().kind, ErrorKind::Contract);
    let rights = |id: &str| {
        let path = format!("https://arl2.api.myob.com/accountright/{id}/Banking/Statement/");
        let body = json!({"UserAccess": [{"ResourcePath": path, "Access": []}]}).to_string();
        map::not_readable(&ledger, &["Banking/Statement", "Banking/BankAccount"], body.as_bytes())
    };
    assert_eq!(rights(LARK).unwrap(), ["Banking/Statement"]);
    assert_eq!(rights(MISTRAL).unwrap_err().kind, ErrorKind::Contract);
}

#[test]
fn p03_a_list_that_ends_before_its_own_count_is_no_list() {
    let page = |count: u64, next: Option<&str>| {
        let body = json!({"Items": [1, 2], "NextPageLink": next, "Count": count}).to_string();
        map::page::<u8>("x.y", 4, body.as_bytes()).map(|p| p.items.len())
    };
    assert_eq!(page(6, None).unwrap(), 2, "all of the list");
    assert_eq!(page(2, None).unwrap(), 2, "all of the page");
    assert_eq!(page(9, Some("on")).unwrap(), 2);
    assert_eq!(page(9, None).unwrap_err().kind, ErrorKind::Contract);
    let silent = map::page::<u8>("x.y", 0, br#"{"Items": [1]}"#).map(|p| p.items.len());
    assert_eq!(silent.unwrap_err().kind, ErrorKind::Contract, "an end that is not said is none");
}

#[tokio::test(start_paused = true)]
async fn every_user_is_a_row_whatever_they_are() {
    let w = world(json!({}), MISTRAL, SCOPES);
    let users = users(&w).await.unwrap();
    assert_eq!(users.len(), 5);
    let by = |name: &str| users.iter().find(|u| u.name == name).unwrap();
    assert_eq!(by("Eve Tan").standing, Standing::Disabled);
    assert_eq!((by("Till").email.as_deref(), &by("Till").standing), (None, &Standing::Active));
    assert_eq!(by("Cleo Marsh").role, "Accountant/Bookkeeper");
    let roles = FACTORY.manifest().roles.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect();
    let roles = RoleTable(roles);
    assert_eq!(roles.resolve(&by("Cleo Marsh").role), LedgerRole::Reader);
    // Nothing new for roles that nobody has decided on.
    assert_eq!(roles.resolve(&by("Dev Patel").role), LedgerRole::Unmapped("Payroll".to_owned()));
}

/// Null is a user of the file alone; an address that became empty is one that cannot be used, and is held as such.
#[test]
fn an_empty_address_is_not_a_user_without_one() {
    for (identity, read) in [(json!(null), None), (json!(""), Some(""))] {
        let user = json!({"UID": "0d1e0000-0000-4000-8000-0000000000aa", "Name": "A", "MYDOTIdentity": identity,
            "Roles": [{"Name": "Administrator"}], "IsActive": true, "URI": null});
        let fact = map::user(&LedgerId::from(LARK), serde_json::from_value(user).unwrap()).unwrap();
        assert_eq!(fact.email.as_deref(), read);
    }
}

/// A user's own address says in which file they are.
#[test]
fn p09_a_user_of_another_company_file_is_refused() {
    let (lark, mistral) = (LedgerId::from(LARK), LedgerId::from(MISTRAL));
    let read = |uri: serde_json::Value| {
        let user = json!({"UID": "0d1e0000-0000-4000-8000-0000000000aa", "Name": "A", "MYDOTIdentity": "a@firm.example",
            "Roles": [{"Name": "Administrator"}], "IsActive": true, "URI": uri});
        map::user(&lark, serde_json::from_value(user).unwrap())
    };
    let at = |file: &LedgerId| json!(format!("https://arl2.api.myob.com/accountright/{file}/Security/User/1"));
    assert!(read(at(&lark)).is_ok() && read(json!(null)).is_ok());
    let e = read(at(&mistral)).unwrap_err();
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Contract, Some(LARK)));
}

#[tokio::test(start_paused = true)]
async fn several_roles_are_one_word_and_flags_stand_in_for_none() {
    let w = lark();
    w.control(
        "set_users",
        json!({"file": LARK, "users": [
            {"email": "a@firm.example", "name": "A", "roles": ["Payroll", "Administrator"]},
            {"email": "b@firm.example", "name": "B", "adviser": true},
            {"email": "c@firm.example", "name": "C", "administrator": true, "adviser": true},
            {"email": "d@firm.example", "name": "D"}]}),
    );
    let mut users = users(&w).await.unwrap();
    users.sort_by(|a, b| a.name.cmp(&b.name));
    let seen: Vec<_> = users.iter().map(|u| (u.role.as_str(), u.standing.clone())).collect();
    assert_eq!(
        seen,
        [
            ("Administrator + Payroll", Standing::Active),
            ("IsAdvisor", Standing::Active),
            ("IsOnlineAdministrator", Standing::Active),
            ("", Standing::Unknown("no role".to_owned())),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_that_was_not_granted_is_not_available_and_never_empty() {
    let w = world(json!({}), LARK, "sme-company-file sme-banking sme-general-ledger");
    let e = users(&w).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Unsupported, Some(LARK)));
    assert!(e.message.contains("arl.security") && e.next.is_some());
    // The rest of the file is open all the same.
    assert_eq!(w.connector.ledgers().unwrap().ledgers(&w.read(), Cursor::Start).await.unwrap().items.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_list_freezes_where_the_list_was_granted() {
    let w = world(json!({"user_list": "required"}), LARK, "sme-company-file");
    let e = users(&w).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Forbidden, Some(LARK)));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_closed_altogether_is_not_one_that_lists_nobody() {
    let w = lark();
    w.control("set_user", json!({"file": LARK, "user": "ana@harbour.example", "set": {"active": false}}));
    let e = users(&w).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Forbidden, Some(LARK)));
    w.control("set_user", json!({"file": LARK, "user": "ana@harbour.example", "set": {"active": true}}));
    assert_eq!(users(&w).await.unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn p03_a_refusal_in_the_middle_of_the_list_is_not_a_list_that_was_not_granted() {
    let w = lark();
    w.control("set_app", json!({"page_max": 2}));
    w.control("set_outage", json!({"kind": 403, "name": "AccessDenied", "path": "/Security/User", "skip": 1}));
    assert_eq!(users(&w).await.unwrap_err().kind, ErrorKind::Forbidden);
}

#[tokio::test(start_paused = true)]
async fn p10_a_limit_that_comes_as_403_is_a_limit() {
    let w = lark();
    let refused = |name: &str| {
        w.control("clear_outages", json!({}));
        w.control("set_outage", json!({"kind": 403, "name": name}));
    };
    refused("RateLimitError");
    let e = users(&w).await.unwrap_err();
    assert_eq!((e.kind, e.retry), (ErrorKind::RateLimited, Retry::Backoff));
    refused("DeveloperInactive");
    assert_eq!(users(&w).await.unwrap_err().kind, ErrorKind::Config);
    refused("SomethingNew");
    assert_eq!(users(&w).await.unwrap_err().kind, ErrorKind::Forbidden);
}

#[test]
fn x01_a_next_page_is_read_from_myobs_own_links_only() {
    let api = api::Api { endpoints: VENDOR.endpoints() };
    let ledger = LedgerId::from(LARK);
    let list = api::List { op: "users.list", ledger: &ledger, resource: "Security/User" };
    let next = |link: &str| api.next_skip(list, 400, link);
    let tail =
        |host: &str, skip: &str| format!("https://{host}/accountright/{LARK}/Security/User/?$top=400&$skip={skip}");
    assert_eq!(next(&tail("api.myob.com", "800")).unwrap(), 800);
    assert_eq!(next(&tail("arl2.api.myob.com", "800")).unwrap(), 800);
    assert_eq!(next(&tail("arl2.api.myob.com", "800").replace('$', "%24")).unwrap(), 800);
    for bad in [
        tail("evilapi.myob.com", "800"),
        tail("api.myob.com.elsewhere.example", "800"),
        tail("api.myob.com", "400"),
        tail("api.myob.com", "x"),
        tail("api.myob.com", "800").replace("https", "http"),
        tail("api.myob.com", "800").replace("Security/User", "Banking/Statement"),
        tail("api.myob.com", "800").replace(LARK, MISTRAL),
        "next".to_owned(),
    ] {
        assert_eq!(next(&bad).unwrap_err().kind, ErrorKind::Contract, "{bad}");
    }
}

#[test]
fn settings_are_named_where_they_are_wrong() {
    for (settings, word) in [
        (json!({"users": true}), "user_list"),
        (json!({"user_list": "maybe"}), "user_list"),
        (json!({"own_files": ["x"]}), "own_files"),
        (json!([]), "table"),
    ] {
        let e = VENDOR.connector(settings).err().unwrap();
        assert_eq!(e.kind, ErrorKind::Config);
        assert!(format!("{} {:?}", e.message, e.next).contains(word), "{e:?}");
    }
    assert!(VENDOR.connector(json!({"own_files": [LARK]})).is_ok());
    assert_eq!(scope_set(&json!({"user_list": "required"})), Some("users"));
    assert_eq!(scope_set(&json!({})), None);
}
