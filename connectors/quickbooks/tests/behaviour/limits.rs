//! Both shapes of a fault, throttling in both its forms, the pace and the month's budget.

use std::time::Duration;

use ledgerward_contract::{
    AuthScheme, Cursor, ErrorKind, Factory, LedgerId, QuotaWindow, Response, Retry, StatementKind,
};
use ledgerward_kit::layers::quota::DayCounter;
use ledgerward_kit::testing::october;
use ledgerward_quickbooks::{FACTORY, retry_hint};
use serde_json::json;

use crate::common::{ACME, sample};

fn answer(status: u16, body: &str) -> Response {
    Response { status, headers: http::HeaderMap::new(), body: body.to_owned().into() }
}

#[test]
fn p10_the_vendors_throttling_in_both_statuses_and_in_xml() {
    let small = r#"{"fault":{"error":[{"message":"m","detail":"d","code":"3001"}],"type":"THROTTLE"},"time":1}"#;
    let large = r#"{"Fault":{"Error":[{"Message":"m","Detail":"d","code":"003001"}],"type":"THROTTLE"},"time":"t"}"#;
    let xml = r#"<IntuitResponse time=""><Fault type="SERVICE"><Error code="3001"><Message/></Error></Fault></IntuitResponse>"#;
    let minute = Some(Retry::After(Duration::from_secs(60)));
    for body in [small, large, xml] {
        assert_eq!(retry_hint(&answer(403, body)), minute, "{body}");
    }
    assert_eq!(retry_hint(&answer(429, "")), minute);
    let other = r#"{"fault":{"error":[{"code":"3100"}],"type":"AUTHORIZATION"}}"#;
    assert_eq!(retry_hint(&answer(403, other)), None);
    assert_eq!(retry_hint(&answer(200, small)), None);
}

#[tokio::test(start_paused = true)]
async fn faults_of_both_shapes_are_named_and_not_quoted() {
    let w = sample(ACME, json!({}));
    let source = w.connector.ledgers().unwrap();
    for (outage, kind, code) in [
        (json!(401), ErrorKind::Unauthenticated, Some("3200")),
        (json!(403), ErrorKind::Forbidden, Some("3100")),
        (json!("throttled403"), ErrorKind::RateLimited, Some("3001")),
        (json!(429), ErrorKind::RateLimited, Some("3001")),
        (json!(500), ErrorKind::Unavailable, Some("10000")),
        (json!(400), ErrorKind::Unavailable, Some("10000")),
        (json!("fault200"), ErrorKind::Contract, Some("6000")),
        (json!("empty"), ErrorKind::Contract, None),
        (json!("xml"), ErrorKind::Contract, None),
        (json!("cut"), ErrorKind::Contract, None),
        (json!("html"), ErrorKind::Unavailable, None),
    ] {
        w.control("set_outage", json!({"kind": outage, "count": 1}));
        let e = source.ledgers(&w.read(), Cursor::Start).await.unwrap_err();
        assert_eq!((e.kind, e.get("code")), (kind, code), "{outage}: {e:?}");
        let text = format!("{e:?}");
        assert!(!text.contains("AB11") && !text.contains("Token expired"), "{text}");
        assert_eq!(e.get("ledger"), Some(ACME));
        if kind == ErrorKind::RateLimited {
            assert_eq!(e.retry, Retry::After(Duration::from_secs(60)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p10_the_kits_pace_never_meets_the_vendors_limit() {
    let w = sample(ACME, json!({}));
    let cx = w.layered(900);
    let source = w.connector.ledgers().unwrap();
    let ledger = LedgerId::from(ACME);
    for _ in 0..3 {
        let all = (0..20).map(|_| source.profile(&cx, &ledger));
        for outcome in futures::future::join_all(all).await {
            outcome.unwrap();
        }
    }
    assert_eq!(w.control("stats", json!({}))["rate_limited"], 0);
}

#[tokio::test(start_paused = true)]
async fn p10_a_throttled_read_waits_its_minute_and_succeeds() {
    for kind in [json!(429), json!("throttled403")] {
        let w = sample(ACME, json!({}));
        w.control("set_outage", json!({"kind": kind, "count": 1}));
        let cx = w.layered(900);
        let start = tokio::time::Instant::now();
        let source = w.connector.ledgers().unwrap();
        let mut outcome = source.profile(&cx, &ACME.into()).await;
        if outcome.is_err() {
            outcome = source.profile(&cx, &ACME.into()).await;
        }
        outcome.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(60), "{kind}: {:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn p10_statements_stop_before_the_months_calls_are_used_up() {
    let w = sample(ACME, json!({}));
    let cx = w.layered(900);
    let month = "2026-11-01".parse().unwrap();
    let source = w.connector.ledgers().unwrap();
    source.ledgers(&cx, Cursor::Start).await.unwrap();
    assert_eq!(w.days.get("quickbooks/month/", month).await.unwrap(), 1, "each call counts");
    let budget = FACTORY.manifest().quotas.iter().find_map(|q| match q.window {
        QuotaWindow::PerMonth(n) => Some(n),
        _ => None,
    });
    w.days.at_least("quickbooks/month/", month, budget.unwrap() / 5 * 4).await.unwrap();
    let statements = w.connector.statements().unwrap();
    let what = october(StatementKind::ProfitAndLoss);
    let one = statements.statements(&cx, &ACME.into(), &what, Cursor::Start).await.unwrap().items.remove(0);
    let e = statements.fetch(&cx, &one).await.unwrap_err();
    assert_eq!((e.kind, e.get("quota")), (ErrorKind::RateLimited, Some("month")), "{e:?}");
    source.ledgers(&cx, Cursor::Start).await.unwrap();
}

#[test]
fn every_address_is_the_manifests_and_documents_alone_leave_it() {
    let manifest = FACTORY.manifest();
    assert!(matches!(manifest.auth, AuthScheme::OAuth(spec) if spec.realm == Some("realmId")));
    let families: Vec<_> = manifest.endpoints.iter().filter(|e| e.url.contains('*')).map(|e| e.name).collect();
    assert_eq!(families, ["downloads"]);
}
