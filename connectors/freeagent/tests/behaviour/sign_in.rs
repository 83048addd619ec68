//! The kit's token protocol and layers, over the fake as the vendor.

use std::{sync::Arc, time::Duration};

use ledgerward_contract::{AuthScheme, Cursor, Factory, Rotation, Scope, Secret};
use ledgerward_freeagent::{FACTORY, fake::Fake};
use ledgerward_kit::testing::World;
use ledgerward_kit::{OAuthClient, oauth::Refreshed};
use serde_json::json;
use tokio::time::Instant;

use crate::common::{Agent, VENDOR, sample, world};

fn client(w: &World, secret: &str) -> OAuthClient {
    let AuthScheme::OAuth(spec) = FACTORY.manifest().auth else { panic!("FreeAgent signs in by OAuth") };
    assert!(matches!(spec.rotation, Rotation::SingleUse { grace: None }));
    let wire = Arc::new(Agent(w.wire.inner.clone()));
    OAuthClient::new(spec, &VENDOR.endpoints(), "sandbox-app", Some(Secret::new(secret)), wire).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_kit_signs_in_and_renews() {
    let w = sample();
    let client = client(&w, "sandbox-secret");
    let signed = w.consent(&client, &[]).await.unwrap();
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
    assert_eq!(w.ledgers().await.unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn t11_a_wrong_secret_is_the_apps_and_not_the_tokens_fault() {
    let w = sample();
    let refresh = w.control("token", json!({}))["refresh_token"].as_str().unwrap().to_owned();
    let outcome = client(&w, "yesterday's secret").refresh(&Secret::new(refresh)).await;
    assert!(matches!(outcome, Refreshed::ClientRefused(_)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_too_many_says_nothing_about_the_token() {
    let w = sample();
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
    let w = world(Fake::many(CLIENTS).unwrap(), "ana@harbour.example", json!({}));
    let (cx, source, began) = (w.layered(7_200), w.connector.ledgers().unwrap(), Instant::now());
    let list = w.ledgers().await.unwrap();
    assert_eq!(list.len(), CLIENTS);
    let read = async || {
        for ledger in &list {
            let users = source.access(&cx, Scope::One(&ledger.id), Cursor::Start).await.unwrap();
            assert_eq!(users.items.len(), 3);
        }
    };
    read().await;
    let first = began.elapsed();
    read().await;
    let second = began.elapsed() - first;
    assert_eq!(w.control("stats", json!({}))["rate_limited"], 0);
    // 3,600 an hour: an even 60 a minute. The first time each client is asked who it is as well.
    assert!((Duration::from_secs(590)..Duration::from_secs(670)).contains(&first), "{first:?}");
    assert!((Duration::from_secs(290)..Duration::from_secs(360)).contains(&second), "{second:?}");
}
