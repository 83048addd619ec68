//! The kit's token protocol and layers, over the fake as the vendor.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use http::Method;
use ledgerward_contract::{
    Auth, AuthScheme, Cursor, ErrorKind, Factory, LedgerId, ReadCx, Request, Scope, Secret, Transport,
};
use ledgerward_kit::{
    Callback, Deadlines, Fixed, MemoryDays, OAuthClient, Quotas, SignInFlow, Stack, StackConfig, TokioClock,
    layers::auth::Dress, no_verdict, oauth::Refreshed,
};
use ledgerward_xero::{FACTORY, fake::Fake};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::common::{ACME, SCOPES, World, endpoints, now};

fn client(w: &World, secret: &str) -> OAuthClient {
    let AuthScheme::OAuth(spec) = FACTORY.manifest().auth else { panic!("Xero signs in by OAuth") };
    let secret = Some(Secret::new(secret));
    OAuthClient::new(spec, &endpoints(), "sandbox-app", secret, w.wire.inner.clone()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_kit_signs_in_renews_and_revokes() {
    let w = World::sample(json!({}));
    let client = client(&w, "sandbox-secret");
    let redirect = "http://localhost:8787/callback".parse().unwrap();
    let scopes: Vec<_> = SCOPES.split_whitespace().map(str::to_owned).collect();
    let flow = SignInFlow::start(&client, Callback::Paste { redirect }, &scopes).await.unwrap();
    let page = Request::read("consent.get", Method::GET, flow.url().clone()).auth(Auth::Url);
    let page = w.wire.inner.send(page).await.unwrap();
    let signed = flow.paste(page.header("location").unwrap()).await.unwrap();
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
    assert_eq!(source.ledgers(&w.cx(), Cursor::Start).await.unwrap().items.len(), 13);
    client.revoke(&new).await.unwrap();
    assert!(matches!(client.refresh(&new).await, Refreshed::Refused(code) if code == "invalid_grant"));
    let e = source.ledgers(&w.cx(), Cursor::Start).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn t11_a_wrong_secret_is_the_apps_and_not_the_tokens_fault() {
    let w = World::sample(json!({}));
    let tokens = w.control("token", json!({"scopes": SCOPES}));
    let client = client(&w, "yesterday's secret");
    let refresh = Secret::new(tokens["refresh_token"].as_str().unwrap());
    assert!(matches!(client.refresh(&refresh).await, Refreshed::ClientRefused(_)));
}

/// The connector's context through every layer, with the manifest's own limits.
fn layered(w: &World) -> ReadCx {
    let clock = Arc::new(TokioClock::starting(now()));
    let manifest = FACTORY.manifest();
    let stack = Stack::build(StackConfig {
        manifest,
        endpoints: endpoints(),
        allow_private_network: false,
        read_only: true,
        tokens: Arc::new(Fixed::new(Secret::new(w.wire.token.lock().unwrap().as_str()))),
        dress: Dress::default(),
        quotas: Quotas::new("xero", manifest.quotas, Arc::new(MemoryDays::default()), clock.clone()),
        verdict: no_verdict,
        clock,
        deadlines: Deadlines { page: Duration::from_secs(900), statement: Duration::from_secs(900) },
        jitter: || 0.5,
        base: w.wire.inner.clone(),
    });
    ReadCx::new(stack.unwrap(), now())
}

async fn users(w: &World, cx: &ReadCx, ledger: &LedgerId) -> usize {
    let source = w.connector.ledgers().unwrap();
    source.access(cx, Scope::One(ledger), Cursor::Start).await.unwrap().items.len()
}

#[tokio::test(start_paused = true)]
async fn p10_a_large_firm_is_read_without_one_refusal() {
    let w = World::new(Fake::many(400).unwrap(), json!({}), SCOPES);
    let cx = layered(&w);
    let ledgers = w.connector.ledgers().unwrap().ledgers(&cx, Cursor::Start).await.unwrap().items;
    let read = stream::iter(&ledgers).map(|l| users(&w, &cx, &l.id)).buffer_unordered(40);
    assert_eq!(read.collect::<Vec<_>>().await, vec![3; 400]);
    assert_eq!(w.control("stats", json!({}))["rate_limited"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn p10_one_organisation_is_asked_at_most_sixty_times_a_minute_and_five_at_once() {
    let mut seed: Value = serde_json::from_str(include_str!("../../../../fixtures/xero/firm.json")).unwrap();
    seed["app"]["latency_ms"] = json!(900);
    let w = World::new(Fake::from_seed(&seed).unwrap(), json!({}), SCOPES);
    let (cx, acme, began) = (layered(&w), LedgerId::from(ACME), Instant::now());
    let read = stream::iter(0..180).map(|_| users(&w, &cx, &acme)).buffer_unordered(30);
    assert_eq!(read.collect::<Vec<_>>().await, vec![4; 180]);
    assert_eq!(w.control("stats", json!({}))["rate_limited"], json!({}));
    let took = began.elapsed();
    assert!((Duration::from_secs(120)..Duration::from_secs(240)).contains(&took), "{took:?}");
}
