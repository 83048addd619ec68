//! Users, and what the vendor says no to.

use std::time::Duration;

use ledgerward_contract::{AccessFact, Cursor, ErrorKind, LedgerId, Page, Result, Retry, Scope, Standing};
use ledgerward_freeagent::fake::Fake;
use ledgerward_kit::fake::Fake as _;
use ledgerward_kit::testing::World;
use serde_json::json;

use crate::common::{ACME, BIRCH, VENDOR, sample, world};

async fn access(w: &World, ledger: &str) -> Result<Page<AccessFact>> {
    let ledger = LedgerId::from(ledger);
    w.connector.ledgers().unwrap().access(&w.read(), Scope::One(&ledger), Cursor::Start).await
}

/// Without an id token: the account manager's address is what finds our own user in a client's list (`product` 3).
#[tokio::test(start_paused = true)]
async fn the_sign_in_says_whose_it_is() {
    let seed = serde_json::from_str(include_str!("../../../../fixtures/firm/freeagent.json")).unwrap();
    let w = world(Fake::from_seed(&seed).unwrap(), "ana@harbour.example", json!({}));
    let source = w.connector.ledgers().unwrap();
    let own = source.own_user(&w.read()).await.unwrap().unwrap();
    assert_eq!((own.subject.as_str(), own.email.as_deref()), ("account_managers/7", Some("ana@harbour.example")));
    // The number is another one in each client's list, and may be somebody else's there.
    let users = access(&w, ACME).await.unwrap().items;
    assert!(users.iter().all(|u| u.user.as_str() != own.subject));
    assert!(users.iter().any(|u| u.email == own.email));
    w.control("set_outage", json!({"kind": "missing_field", "field": "email", "path": "/v2/account_managers/me"}));
    assert_eq!(source.own_user(&w.read()).await.unwrap().unwrap().email, None);
    w.control("clear_outages", json!({}));
    w.control("set_outage", json!({"kind": "html", "path": "/v2/account_managers/me"}));
    assert!(source.own_user(&w.read()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn users_have_their_levels_and_level_0_is_no_access() {
    let w = sample();
    let page = access(&w, ACME).await.unwrap();
    let rows: Vec<_> = page.items.iter().map(|f| (f.user.as_str(), f.role.as_str(), f.standing.clone())).collect();
    use Standing::{Active, Disabled};
    assert_eq!(
        rows,
        [("55", "8", Active), ("56", "8", Active), ("57", "7", Active), ("58", "0", Disabled), ("59", "6", Active)]
    );
    assert_eq!(page.items[0].name, "Wim Acker");
    assert_eq!(page.total, Some(5));
}

#[tokio::test(start_paused = true)]
async fn nobodys_tax_number_is_kept() {
    let w = sample();
    assert!(w.wire.inner.requests().is_empty());
    let shown = format!("{:?}", access(&w, ACME).await.unwrap());
    assert!(!shown.contains("QQ123456C") && !shown.contains("0123456789"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn p14_a_missing_level_address_or_id_is_no_list() {
    let w = sample();
    for field in ["permission_level", "email", "url", "users"] {
        w.control("set_outage", json!({"kind": "missing_field", "field": field, "path": "/v2/users", "count": 1}));
        let e = access(&w, ACME).await.unwrap_err();
        assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Contract, Some(ACME)), "{field}");
    }
    assert!(access(&w, ACME).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn ids_of_another_freeagent_are_refused() {
    // A sandbox's data behind the production address: another person has the same number there.
    let fake = Fake::sample().unwrap().at("https://api.sandbox.freeagent.com/v2");
    let w = world(fake, "ana@harbour.example", json!({}));
    assert_eq!(access(&w, ACME).await.unwrap_err().kind, ErrorKind::Contract);
    assert_eq!(w.ledgers().await.unwrap_err().kind, ErrorKind::Contract);
}

#[tokio::test(start_paused = true)]
async fn p03_a_full_page_that_says_nothing_of_the_rest_is_no_list() {
    let w = sample();
    let users: Vec<_> = (0..100).map(|n| json!({"email": format!("u{n}@acme.example"), "level": 8})).collect();
    w.control("set_users", json!({"client": "acme", "users": users}));
    assert_eq!(access(&w, ACME).await.unwrap().items.len(), 100);
    w.control("set_outage", json!({"kind": "no_paging"}));
    assert_eq!(access(&w, ACME).await.unwrap_err().kind, ErrorKind::Contract);
}

#[tokio::test(start_paused = true)]
async fn p08_a_hidden_client_and_a_low_level_are_of_that_client_alone() {
    let w = world(Fake::sample().unwrap(), "bob@harbour.example", json!({}));
    let e = access(&w, BIRCH).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Forbidden, Some(BIRCH)));
    assert!(access(&w, ACME).await.is_ok());
    w.control("set_our_level", json!({"client": "acme", "level": 6}));
    assert_eq!(access(&w, ACME).await.unwrap_err().kind, ErrorKind::Forbidden);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_another_ones_subdomain_is_another_ledger() {
    let w = sample();
    w.control("rename_subdomain", json!({"client": "acme", "to": "acme-old"}));
    let e = access(&w, ACME).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::NotFound, Some(ACME)));
    w.control("rename_subdomain", json!({"client": "birch", "to": "acme"}));
    let ids: Vec<_> = w.ledgers().await.unwrap().iter().map(|l| l.id.to_string()).collect();
    assert_eq!(ids, ["101-acme-old", "102-acme", "103-cedarbakery", "104-dunedental"]);
}

#[tokio::test(start_paused = true)]
async fn p09_another_companys_answer_is_refused() {
    let w = sample();
    let profile = |w: &World| {
        let (cx, source) = (w.read(), VENDOR.connector(json!({})).unwrap());
        async move { source.ledgers().unwrap().profile(&cx, &ACME.into()).await }
    };
    let good = profile(&w).await.unwrap();
    assert_eq!((good.name.as_str(), good.currency.as_deref(), good.year_end), ("Acme Ltd", Some("GBP"), Some((3, 31))));
    w.control("swap_clients", json!({"a": "acme", "b": "birch"}));
    let e = profile(&w).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Contract, Some(ACME)));
}

/// `/users` names no company: whose list it is, `/company` says.
#[tokio::test(start_paused = true)]
async fn p09_another_companys_list_of_users_is_not_believed() {
    let w = sample();
    let acme = access(&w, ACME).await.unwrap().items;
    w.control("swap_clients", json!({"a": "acme", "b": "birch"}));
    for ledger in [ACME, ACME, BIRCH] {
        let e = access(&w, ledger).await.unwrap_err();
        assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Contract, Some(ledger)));
    }
    w.control("swap_clients", json!({"a": "acme", "b": "birch"}));
    assert_eq!(access(&w, ACME).await.unwrap().items, acme);
}

#[tokio::test(start_paused = true)]
async fn p09_a_list_that_stays_as_it_was_costs_one_request() {
    let w = sample();
    let asked = |w: &World| {
        let stats = w.control("stats", json!({}));
        ["users", "company"].map(|what| stats["requests"][format!("GET /v2/{what}")].as_u64().unwrap_or(0))
    };
    for _ in 0..5 {
        access(&w, ACME).await.unwrap();
    }
    assert_eq!(asked(&w), [5, 1]);
    w.control("set_level", json!({"client": "acme", "user": "59", "level": 7}));
    for _ in 0..5 {
        access(&w, ACME).await.unwrap();
    }
    assert_eq!(asked(&w), [10, 2], "what changed is proved once");
    access(&w, BIRCH).await.unwrap();
    assert_eq!(asked(&w), [11, 3], "each client for itself");
}

#[tokio::test(start_paused = true)]
async fn p10_the_wait_is_the_vendors_or_a_minute() {
    for (said, wait) in [(true, 50), (false, 60)] {
        let w = sample();
        // Before the limit counts: the first list is proved to be this client's, which is a request more.
        access(&w, ACME).await.unwrap();
        tokio::time::advance(Duration::from_secs(70)).await;
        w.control("set_limit", json!({"minute": 2, "retry_after": said}));
        access(&w, ACME).await.unwrap();
        access(&w, ACME).await.unwrap();
        let e = access(&w, ACME).await.unwrap_err();
        assert_eq!((e.kind, e.retry), (ErrorKind::RateLimited, Retry::After(Duration::from_secs(wait))), "{said}");
        tokio::time::advance(Duration::from_secs(wait)).await;
        access(&w, ACME).await.unwrap();
    }
    let w = sample();
    w.control("set_outage", json!({"kind": 429, "retry_after": "17"}));
    assert_eq!(access(&w, ACME).await.unwrap_err().retry, Retry::After(Duration::from_secs(17)));
}

#[tokio::test(start_paused = true)]
async fn xml_is_never_data_and_every_request_says_who_asks() {
    let w = sample();
    access(&w, ACME).await.unwrap();
    w.ledgers().await.unwrap();
    for r in w.wire.inner.requests() {
        assert!(r.header("user-agent").is_some_and(|a| a.starts_with("ledgerward/")), "{}", r.path);
        assert_eq!(r.header("accept"), Some("application/json"));
    }
    w.control("set_outage", json!({"kind": "xml"}));
    assert_eq!(access(&w, ACME).await.unwrap_err().kind, ErrorKind::Contract);
}

#[test]
fn settings_are_checked_by_name() {
    for (settings, word) in [
        (json!({"senior": "x"}), "no setting \"senior\""),
        (json!({"manager_of_all": "Ana"}), "manager_of_all"),
        (json!({"clients_at_least": -1}), "clients_at_least"),
        (json!(5), "table"),
    ] {
        let e = VENDOR.connector(settings).err().unwrap();
        assert!(e.kind == ErrorKind::Config && e.message.contains(word), "{e:?}");
    }
    assert!(VENDOR.connector(json!(null)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_ledger_id_reaches_no_header() {
    let w = sample();
    for bad in ["acme", "101", "101-", "x-acme", "101-ac me", "101-acme\r\nX-Evil: 1", "101-ACME"] {
        assert_eq!(access(&w, bad).await.unwrap_err().kind, ErrorKind::Contract, "{bad:?}");
    }
    assert!(w.wire.inner.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_saved_stand_in_goes_on_where_it_was() {
    let w = sample();
    access(&w, ACME).await.unwrap();
    w.control("set_level", json!({"client": "acme", "user": "bob@harbour.example", "level": 3}));
    let saved = w.fake.lock().unwrap().save();
    let again = Fake::restore(&saved).unwrap();
    assert_eq!(again.save(), saved);
    *w.fake.lock().unwrap() = Box::new(again);
    assert_eq!(access(&w, ACME).await.unwrap().items[1].role, "3");
    let lost = Fake::restore(&json!({})).err().unwrap();
    assert!(lost.contains("start a new sandbox"), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn the_stand_in_refuses_what_it_does_not_know() {
    let w = sample();
    let cx = w.read();
    let send = async |path: &str, headers: &[(&'static str, &str)]| {
        let url = format!("https://api.freeagent.com/v2/{path}").parse().unwrap();
        let mut r = ledgerward_contract::Request::get("test.get", url);
        for (k, v) in headers {
            r = r.header(k.parse().unwrap(), v).unwrap();
        }
        cx.send(r).await.unwrap().status
    };
    const UA: (&str, &str) = ("user-agent", "test");
    assert_eq!(send("clients", &[]).await, 400);
    assert_eq!(send("clients", &[UA]).await, 200);
    assert_eq!(send("clients?sneaky=1", &[UA]).await, 599);
    assert_eq!(send("invoices", &[UA, ("x-subdomain", "acme")]).await, 599);
    assert_eq!(send("users", &[UA, ("x-subdomain", "nobody")]).await, 404);
    *w.wire.token.lock().unwrap() = "guessed".to_owned();
    assert_eq!(send("clients", &[UA]).await, 401);
}
