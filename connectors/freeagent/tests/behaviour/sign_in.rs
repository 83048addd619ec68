//! The kit's token protocol and layers, over the fake as the vendor.

use std::{sync::Arc, time::Duration};

use http::Method;
use ledgerward_contract::{Auth, AuthScheme, Cursor, Factory, ReadCx, Request, Rotation, Scope, Secret, Transport};
use ledgerward_freeagent::{FACTORY, fake::Fake};
use ledgerward_kit::{
    Callback, Deadlines, Fixed, MemoryDays, OAuthClient, Quotas, SignInFlow, Stack, StackConfig, TokioClock,
    layers::auth::Dress, no_verdict, oauth::Refreshed,
};
use serde_json::json;
use tokio::time::Instant;

use crate::common::{Agent, World, endpoints, now};

fn client(w: &World, secret: &str) -> OAuthClient {
    let AuthScheme::OAuth(spec) = FACTORY.manifest().auth else { panic!("FreeAgent signs in by OAuth") };
    assert!(matches!(spec.rotation, Rotation::SingleUse { grace: None }));
    let wire = Arc::new(Agent(w.wire.inner.clone()));
    OAuthClient::new(spec, &endpoints(), "sandbox-app", Some(Secret::new(secret)), wire).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_kit_signs_in_and_renews() {
    let w = World::sample();
    let client = client(&w, "sandbox-secret");
    let redirect = "http://localhost:8787/callback".parse().unwrap();
    let flow = SignInFlow::start(&client, Callback::Paste { redirect }, &[]).await.unwrap();
    let page = Request::read("consent.get", Method::GET, flow.url().clone()).auth(Auth::Url);
    let page = w.wire.inner.send(page).await.unwrap();
    let signed = flow.paste(page.header("location").unwrap()).await.unwrap();
    assert_eq!(signed.scopes, [] as [String; 0]);
    assert_eq!(signed.granted.expires_in, Duration::from_secs(3_600));
    let old = signed.granted.refresh.unwrap();
    let renewed = match client.refresh(&old).await {
        Refreshed::Granted(g) => g,
        other => panic!("{other:?}"),
    };
    assert!(renewed.refresh_expires_in.is_some_and(|d| d > Duration::from_secs(19 * 365 * 86_400)));
    // The token before is good for nothing; the new one is.
    assert!(matches!(client.refresh(&old).await, Refreshed::Refused(code) if code == "invalid_grant"));
    assert!(matches!(client.refresh(&renewed.refresh.unwrap()).await, Refreshed::Granted(_)));
    *w.wire.token.lock().unwrap() = renewed.access.expose().to_owned();
    assert_eq!(w.ledgers().await.unwrap().items().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn t11_a_wrong_secret_is_the_apps_and_not_the_tokens_fault() {
    let w = World::sample();
    let refresh = w.control("token", json!({}))["refresh_token"].as_str().unwrap().to_owned();
    let outcome = client(&w, "yesterday's secret").refresh(&Secret::new(refresh)).await;
    assert!(matches!(outcome, Refreshed::ClientRefused(_)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_too_many_says_nothing_about_the_token() {
    let w = World::sample();
    let client = client(&w, "sandbox-secret");
    let mut refresh = Secret::new(w.control("token", json!({}))["refresh_token"].as_str().unwrap());
    for _ in 0..15 {
        match client.refresh(&refresh).await {
            Refreshed::Granted(g) => refresh = g.refresh.unwrap(),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(client.refresh(&refresh).await, Refreshed::Unknown(_)));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(matches!(client.refresh(&refresh).await, Refreshed::Granted(_)));
}

#[tokio::test(start_paused = true)]
async fn p10_a_large_practice_is_read_without_one_refusal() {
    const CLIENTS: usize = 300;
    let w = World::new(Fake::many(CLIENTS).unwrap(), "ana@harbour.example", json!({}));
    let clock = Arc::new(TokioClock::starting(now()));
    let manifest = FACTORY.manifest();
    let stack = Stack::build(StackConfig {
        manifest,
        endpoints: endpoints(),
        allow_private_network: false,
        read_only: true,
        tokens: Arc::new(Fixed::new(Secret::new(w.wire.token.lock().unwrap().as_str()))),
        dress: Dress::default(),
        quotas: Quotas::new("freeagent", manifest.quotas, Arc::new(MemoryDays::default()), clock.clone()),
        verdict: no_verdict,
        clock,
        deadlines: Deadlines { page: Duration::from_secs(7_200), statement: Duration::from_secs(7_200) },
        jitter: || 0.5,
        base: w.wire.inner.clone(),
    });
    let (cx, source, began) = (ReadCx::new(stack.unwrap(), now()), w.connector.ledgers().unwrap(), Instant::now());
    let list = w.ledgers().await.unwrap();
    assert_eq!(list.items().len(), CLIENTS);
    for ledger in list.items() {
        let users = source.access(&cx, Scope::One(&ledger.id), Cursor::Start).await.unwrap();
        assert_eq!(users.items.len(), 3);
    }
    assert_eq!(w.control("stats", json!({}))["rate_limited"], 0);
    let took = began.elapsed();
    // 3,600 an hour: an even 60 a minute.
    assert!((Duration::from_secs(290)..Duration::from_secs(360)).contains(&took), "{took:?}");
}
