//! The kit's token protocol and layers, over the fake as the vendor.

use std::time::Duration;

use futures::{StreamExt, stream};
use ledgerward_contract::{Cursor, ErrorKind, LedgerId, ReadCx, Scope, Secret};
use ledgerward_kit::oauth::Refreshed;
use ledgerward_kit::testing::World;
use ledgerward_xero::fake::Fake;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::common::{ACME, SCOPES, sample, world};

#[tokio::test(start_paused = true)]
async fn the_kit_signs_in_renews_and_revokes() {
    let w = sample(json!({}));
    let client = w.oauth("sandbox-app", "sandbox-secret");
    let signed = w.consent(&client, &SCOPES.split_whitespace().collect::<Vec<_>>()).await.unwrap();
    assert_eq!(signed.claims.email.as_deref(), Some("ana@harbour.example"));
    assert_eq!(signed.granted.expires_in, Duration::from_secs(1800));
    let old = signed.granted.refresh.unwrap();
    let renewed = match client.refresh(&old).await {
        Refreshed::Granted(g) => g,
        other => panic!("{other:?}"),
    };
    let new = renewed.refresh.unwrap();
    assert_ne!(new.expose(), old.expose());
    *w.wire.token.lock().unwrap() = renewed.access.expose().to_owned();
    let source = w.connector.ledgers().unwrap();
    assert_eq!(source.ledgers(&w.read(), Cursor::Start).await.unwrap().items.len(), 13);
    client.revoke(&new).await.unwrap();
    assert!(matches!(client.refresh(&new).await, Refreshed::Refused(code) if code == "invalid_grant"));
    let e = source.ledgers(&w.read(), Cursor::Start).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn t11_a_wrong_secret_is_the_apps_and_not_the_tokens_fault() {
    let w = sample(json!({}));
    let tokens = w.control("token", json!({"scopes": SCOPES}));
    let client = w.oauth("sandbox-app", "yesterday's secret");
    let refresh = Secret::new(tokens["refresh_token"].as_str().unwrap());
    assert!(matches!(client.refresh(&refresh).await, Refreshed::ClientRefused(_)));
}

async fn users(w: &World, cx: &ReadCx, ledger: &LedgerId) -> usize {
    let source = w.connector.ledgers().unwrap();
    source.access(cx, Scope::One(ledger), Cursor::Start).await.unwrap().items.len()
}

#[tokio::test(start_paused = true)]
async fn p10_a_large_firm_is_read_without_one_refusal() {
    let w = world(Fake::many(400).unwrap(), json!({}), SCOPES);
    let cx = w.layered(900);
    let ledgers = w.connector.ledgers().unwrap().ledgers(&cx, Cursor::Start).await.unwrap().items;
    let read = stream::iter(&ledgers).map(|l| users(&w, &cx, &l.id)).buffer_unordered(40);
    assert_eq!(read.collect::<Vec<_>>().await, vec![3; 400]);
    assert_eq!(w.control("stats", json!({}))["rate_limited"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn p10_one_organisation_is_asked_at_most_sixty_times_a_minute_and_five_at_once() {
    let mut seed: Value = serde_json::from_str(include_str!("../../../../fixtures/xero/firm.json")).unwrap();
    seed["app"]["latency_ms"] = json!(900);
    let w = world(Fake::from_seed(&seed).unwrap(), json!({}), SCOPES);
    let (cx, acme, began) = (w.layered(900), LedgerId::from(ACME), Instant::now());
    let read = stream::iter(0..180).map(|_| users(&w, &cx, &acme)).buffer_unordered(30);
    assert_eq!(read.collect::<Vec<_>>().await, vec![4; 180]);
    assert_eq!(w.control("stats", json!({}))["rate_limited"], json!({}));
    let took = began.elapsed();
    assert!((Duration::from_secs(120)..Duration::from_secs(240)).contains(&took), "{took:?}");
}
