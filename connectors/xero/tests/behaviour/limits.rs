//! The vendor's limits, as the fake keeps them and as the connector reads them.

use std::time::Duration;

use ledgerward_contract::{Cursor, Error, ErrorKind, LedgerId, Retry, Scope};
use ledgerward_kit::testing::World;
use ledgerward_xero::fake::Fake;
use serde_json::{Value, json};

use crate::common::{ACME, BIRCH, SCOPES, sample, world};

async fn ask(w: &World, ledger: &str) -> Option<Error> {
    let ledger = LedgerId::from(ledger);
    w.connector.ledgers().unwrap().access(&w.read(), Scope::One(&ledger), Cursor::Start).await.err()
}

#[tokio::test(start_paused = true)]
async fn p10_sixty_a_minute_for_each_organisation() {
    let w = sample(json!({}));
    // The first list is proved to be Acme's, which is a request more.
    for _ in 0..59 {
        assert!(ask(&w, ACME).await.is_none());
    }
    let e = ask(&w, ACME).await.unwrap();
    assert_eq!((e.kind, e.get("limit"), e.get("ledger")), (ErrorKind::RateLimited, Some("minute"), Some(ACME)));
    let Retry::After(wait) = e.retry else { panic!("{e:?}") };
    assert!(wait <= Duration::from_secs(60));
    assert!(ask(&w, BIRCH).await.is_none(), "another organisation has its own minute");
    tokio::time::sleep(wait).await;
    assert!(ask(&w, ACME).await.is_none(), "the named wait is enough");
}

#[tokio::test(start_paused = true)]
async fn p11_a_day_is_parked_and_not_slept() {
    let w = sample(json!({}));
    w.control("set_limit", json!({"day": 4}));
    for _ in 0..3 {
        assert!(ask(&w, ACME).await.is_none());
    }
    let e = ask(&w, ACME).await.unwrap();
    assert_eq!((e.kind, e.get("limit")), (ErrorKind::RateLimited, Some("day")));
    assert!(matches!(e.retry, Retry::After(w) if w > Duration::ZERO && w <= Duration::from_secs(86_400)));
}

#[tokio::test(start_paused = true)]
async fn p10_five_at_once() {
    let mut seed: Value = serde_json::from_str(include_str!("../../../../fixtures/xero/firm.json")).unwrap();
    seed["app"]["latency_ms"] = json!(400);
    let w = world(Fake::from_seed(&seed).unwrap(), json!({}), SCOPES);
    let (a, b, c) = tokio::join!(ask(&w, ACME), ask(&w, ACME), ask(&w, ACME));
    assert!([a, b, c].iter().all(Option::is_none));
    let all = tokio::join!(ask(&w, ACME), ask(&w, ACME), ask(&w, ACME), ask(&w, ACME), ask(&w, ACME), ask(&w, ACME));
    let e = all.5.unwrap();
    assert_eq!((e.kind, e.get("limit")), (ErrorKind::RateLimited, Some("concurrent")));
    assert_eq!(e.retry, Retry::After(Duration::from_secs(1)));
    assert!(all.0.is_none() && all.4.is_none());
}

#[tokio::test(start_paused = true)]
async fn p10_odd_waits() {
    for (header, want) in [
        ("22", Retry::After(Duration::from_secs(22))),
        ("-3", Retry::Backoff),
        ("soon", Retry::Backoff),
        ("864000", Retry::After(Duration::from_secs(3600))),
    ] {
        let w = sample(json!({}));
        w.control("set_outage", json!({"kind": 429, "retry_after": header, "count": 1}));
        assert_eq!(ask(&w, ACME).await.unwrap().retry, want, "{header}");
        assert!(ask(&w, ACME).await.is_none());
    }
    let w = sample(json!({}));
    w.control("set_outage", json!({"kind": 429, "problem": "concurrent"}));
    assert_eq!(ask(&w, ACME).await.unwrap().retry, Retry::After(Duration::from_secs(1)));
    w.control("clear_outages", json!({}));
    w.control("set_outage", json!({"kind": 503, "tenant": ACME}));
    assert_eq!(ask(&w, ACME).await.unwrap().kind, ErrorKind::Unavailable);
    assert!(ask(&w, BIRCH).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_vendor_counts_what_it_served() {
    let w = sample(json!({}));
    for _ in 0..60 {
        ask(&w, ACME).await;
    }
    let stats = w.control("stats", json!({}));
    assert_eq!(stats["requests"]["GET /api.xro/2.0/Users"], 60);
    assert_eq!(stats["requests"]["GET /api.xro/2.0/Organisation"], 1);
    assert_eq!(stats["rate_limited"]["minute"], 1);
    assert_eq!(stats["connected"], 13);
    let wrong = w.fake.lock().unwrap().control("dance", &json!({})).unwrap_err();
    assert!(wrong.contains("set_outage"));
}
