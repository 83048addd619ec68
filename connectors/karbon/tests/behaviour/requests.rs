use std::time::Duration;

use ledgerward_contract::{ClientRow, Cursor, ErrorKind, ReadCx, Result, Retry};
use ledgerward_karbon::{
    api::{self, Api, Kind},
    fake::Fake,
    map::{self, Brief, Walk},
};
use ledgerward_kit::fake::Fake as _;
use ledgerward_kit::testing::{Vendor, World, clients, now};
use serde_json::{Value, json};

use crate::common::{API_KEY, VENDOR, sample};

/// Every layer, with the manifest's own limits and the keys put on by the kit.
async fn layered(w: &World) -> Result<Vec<ClientRow>> {
    clients(w.connector.directory().unwrap(), &w.layered(900)).await
}

#[tokio::test(start_paused = true)]
async fn both_keys_go_with_every_request_and_a_wrong_one_says_so() {
    let w = sample(json!({}));
    let list = layered(&w).await.unwrap();
    assert_eq!(list.len(), 13);
    let old = Vendor { keys: &[("api_key", API_KEY), ("access_key", "eyJ-of-yesterday\n")], ..VENDOR };
    let e = layered(&old.world(Fake::sample().unwrap(), json!({}))).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unauthenticated);
    assert!(e.next.as_deref().unwrap().contains("Connected Apps"));
    let shown = format!("{e:?}");
    assert!(!shown.contains("yesterday") && !shown.contains(API_KEY));
    // Without the second key at all, in Karbon's other layout.
    let bare = ReadCx::new(w.wire.inner.clone(), now());
    let e = w.connector.directory().unwrap().clients(&bare, Cursor::Start).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unauthenticated);
}

/// A firm with so many clients.
fn large(clients: usize) -> Fake {
    let mut seed: Value = serde_json::from_str(include_str!("../../../../fixtures/karbon/firm.json")).unwrap();
    let rows = (0..clients).map(|n| {
        json!({"name": format!("Client {n}"), "owner": "ana@harbour.example",
        "team": [{"who": "ana@harbour.example", "role": "ClientOwner"}]})
    });
    seed["clients"] = rows.collect();
    Fake::from_seed(&seed).unwrap()
}

#[tokio::test(start_paused = true)]
async fn p10_a_large_firm_is_read_whole_without_one_refusal() {
    let w = VENDOR.world(large(350), json!({}));
    let began = tokio::time::Instant::now();
    let list = layered(&w).await.unwrap();
    assert_eq!(list.len(), 350);
    assert!(list.iter().all(|c| c.people.len() == 1));
    assert_eq!(w.control("stats", json!({}))["rate_limited"], 0);
    assert_eq!(w.asked("/v3/Organizations"), 4, "a hundred to a page");
    assert!((180..300).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn p10_the_pause_is_read_from_the_text_where_there_is_no_header() {
    let w = sample(json!({}));
    for text_only in [false, true] {
        w.control("clear_outages", json!({}));
        w.control("set_outage", json!({"kind": 429, "text_only": text_only}));
        let e = w.clients().await.unwrap_err();
        assert_eq!((e.kind, e.retry), (ErrorKind::RateLimited, Retry::After(Duration::from_secs(10))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_while_the_list_is_read_is_an_error_that_names_it() {
    let w = sample(json!({}));
    w.control("set_outage", json!({"kind": 404, "path": "/v3/Organizations/", "skip": 3, "count": 1}));
    let e = w.clients().await.unwrap_err();
    assert_eq!((e.kind, e.get("code")), (ErrorKind::NotFound, Some("4004")));
    assert!(e.get("client").is_some());
    w.control("set_outage", json!({"kind": 403, "path": "/v3/Teams/"}));
    let e = w.clients().await.unwrap_err();
    assert_eq!((e.kind, e.get("code")), (ErrorKind::Forbidden, Some("4021")));
}

#[tokio::test(start_paused = true)]
async fn p01_a_list_that_is_empty_against_its_own_count_is_an_error() {
    let w = sample(json!({}));
    for path in ["/v3/Users", "/v3/Teams", "/v3/Organizations", "/v3/Contacts"] {
        w.control("clear_outages", json!({}));
        w.control("set_outage", json!({"kind": "empty_list", "path": path}));
        assert_eq!(w.clients().await.unwrap_err().kind, ErrorKind::Contract, "{path}");
    }
}

#[test]
fn p12_p13_pages_that_move_or_turn_are_no_list() {
    let first = page(Walk::default(), 4, &["a", "b"], Some("https://api.karbonhq.com/v3/Users?$skip=2")).unwrap();
    let walk = || first.1.clone().unwrap();
    assert_eq!(page(walk(), 4, &["c", "d"], None).unwrap(), (2, None));
    for (what, count, keys, next) in [
        ("one that was there already", 4, &["b", "d"][..], None),
        ("another count", 5, &["c", "d", "e"][..], None),
        ("fewer than counted", 4, &["c"][..], None),
        ("nothing, and more to come", 4, &[][..], Some("x")),
        ("more to come after the last", 4, &["c", "d"][..], Some("x")),
        ("no key", 4, &["c", ""][..], None),
    ] {
        assert_eq!(page(walk(), count, keys, next).unwrap_err().kind, ErrorKind::Contract, "{what}");
    }
}

/// Karbon's specification requires the count of every list but the teams'.
#[test]
fn only_the_list_of_teams_may_come_without_a_count() {
    let link = "https://api.karbonhq.com/v3/Teams?$skip=1";
    let page = |list, walk: Walk, key: &str, next: Option<&str>, count: Option<u64>| {
        let mut body = json!({"value": [{"TeamKey": key}]});
        for (name, value) in [("@odata.nextLink", next.map(|n| json!(n))), ("@odata.count", count.map(|n| json!(n)))] {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        map::page::<map::Team>(list, walk, body.to_string().as_bytes(), |t| &t.key).map(|(_, next)| next)
    };
    let first = page(api::TEAMS, Walk::default(), "a", Some(link), None).unwrap().unwrap();
    assert_eq!(page(api::TEAMS, first.clone(), "b", None, None).unwrap(), None);
    for (what, key, count) in [("a key twice", "a", None), ("a count all at once", "b", Some(2))] {
        assert_eq!(page(api::TEAMS, first.clone(), key, None, count).unwrap_err().kind, ErrorKind::Contract, "{what}");
    }
    let counted = page(api::TEAMS, Walk::default(), "a", Some(link), Some(2)).unwrap().unwrap();
    assert_eq!(page(api::TEAMS, counted, "b", None, None).unwrap_err().kind, ErrorKind::Contract, "no count any more");
    for list in [api::USERS, api::GROUPS, api::Kind::Organizations.list(), api::Kind::Contacts.list()] {
        assert_eq!(page(list, Walk::default(), "a", None, None).unwrap_err().kind, ErrorKind::Contract, "{list:?}");
    }
}

fn page(
    walk: Walk,
    count: u64,
    keys: &[&str],
    next: Option<&str>,
) -> ledgerward_contract::Result<(usize, Option<Walk>)> {
    let value: Vec<_> = keys.iter().map(|k| json!({"TeamKey": k})).collect();
    let mut body = json!({"@odata.count": count, "value": value});
    if let Some(next) = next {
        body["@odata.nextLink"] = json!(next);
    }
    map::page::<map::Team>(api::USERS, walk, body.to_string().as_bytes(), |t| &t.key)
        .map(|(items, next)| (items.len(), next))
}

#[test]
fn x01_the_keys_go_to_karbon_and_nowhere_else() {
    let api = Api { endpoints: VENDOR.endpoints() };
    let to = |link: &str| api.list(api::USERS, Some(link));
    let request = to("https://api.karbonhq.com/v3/Users?$skip=100").unwrap();
    assert_eq!(request.url.as_str(), "https://api.karbonhq.com/v3/Users?$skip=100", "as it came");
    for bad in [
        "https://api.karbonhq.com.elsewhere.example/v3/Users?$skip=100",
        "http://api.karbonhq.com/v3/Users?$skip=100",
        "https://api.karbonhq.com:8443/v3/Users?$skip=100",
        "https://api.karbonhq.com/v3/Teams?$skip=100",
        "/v3/Users?$skip=100",
    ] {
        assert_eq!(to(bad).unwrap_err().kind, ErrorKind::Contract, "{bad}");
    }
    for key in ["", "../Users", "a/b", "a?b", "ключ"] {
        assert_eq!(api.team(key).unwrap_err().kind, ErrorKind::Contract, "{key}");
        assert_eq!(api.client(Kind::Contacts, key).unwrap_err().kind, ErrorKind::Contract, "{key}");
    }
}

#[test]
fn p14_what_decides_about_people_has_no_default() {
    let brief: Brief = serde_json::from_value(json!({"OrganizationKey": "2ABC", "FullName": "Acme"})).unwrap();
    let how = map::Reading { anyone: false, identifier_is_ledger: false, absent_is_nobody: false };
    let whole = json!({"OrganizationKey": "2ABC", "UserDefinedIdentifier": null, "RestrictionLevel": "Public", "ClientOwner": null, "ClientManager": null,
        "ClientTeam": [{"MemberKey": "4K", "MemberType": "User", "RoleType": null}]});
    let read = |body: &Value| {
        let firm = map::Firm::default();
        map::client("x.y", Kind::Organizations, &brief, &firm, how, body.to_string().as_bytes())
    };
    assert_eq!(read(&whole).unwrap().people.len(), 1);
    for field in ["OrganizationKey", "UserDefinedIdentifier", "RestrictionLevel", "ClientTeam"] {
        let mut body = whole.clone();
        body.as_object_mut().unwrap().remove(field);
        assert_eq!(read(&body).unwrap_err().kind, ErrorKind::Contract, "{field}");
    }
    for field in ["MemberKey", "MemberType", "RoleType"] {
        let mut body = whole.clone();
        body["ClientTeam"][0].as_object_mut().unwrap().remove(field);
        assert_eq!(read(&body).unwrap_err().kind, ErrorKind::Contract, "{field}");
    }
    let mut other = whole;
    other["OrganizationKey"] = json!("2XYZ");
    assert_eq!(read(&other).unwrap_err().kind, ErrorKind::Contract, "another client than the one asked for");
}

#[tokio::test(start_paused = true)]
async fn what_is_saved_goes_on_in_another_process() {
    let w = sample(json!({}));
    w.control("set_client", json!({"client": "Acme Ltd", "set": {"name": "Acme & Daughters"}}));
    let saved = w.fake.lock().unwrap().save();
    let again = Fake::restore(&saved, "https://api.karbonhq.com").unwrap();
    assert_eq!(again.save(), saved);
    let later = VENDOR.world(again, json!({}));
    assert_eq!(later.clients().await.unwrap(), w.clients().await.unwrap());
    assert!(Fake::restore(&json!({}), "x").err().unwrap().contains("start a new sandbox"));
    let demo = serde_json::from_str(include_str!("../../../../fixtures/firm/karbon.json")).unwrap();
    assert!(Fake::from_seed(&demo).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_somebody_else_is_refused() {
    let w = sample(json!({}));
    let cx = w.read();
    let directory = VENDOR.connector(json!({})).unwrap();
    let at = Cursor::At("page 2".to_owned());
    assert_eq!(directory.directory().unwrap().clients(&cx, at).await.unwrap_err().kind, ErrorKind::Contract);
}
