//! The kit's token protocol and layers, over the fake as the vendor.

use std::time::Duration;

use ledgerward_contract::Secret;
use ledgerward_kit::oauth::Refreshed;
use ledgerward_kit::testing::clients;
use ledgerward_xpm::fake::Fake;
use serde_json::json;

use crate::common::{SCOPES, sample, world};

#[tokio::test(start_paused = true)]
async fn the_kit_signs_in_renews_and_revokes() {
    let w = sample(json!({}));
    let client = w.oauth("sandbox-app", "sandbox-secret");
    let signed = w.consent(&client, client.spec().scopes[0].scopes).await.unwrap();
    assert_eq!(signed.claims.email.as_deref(), Some("ana@harbour.example"));
    let old = signed.granted.refresh.unwrap();
    let Refreshed::Granted(renewed) = client.refresh(&old).await else { panic!("not renewed") };
    let new = renewed.refresh.unwrap();
    assert_ne!(new.expose(), old.expose());
    // Its answer may be lost on the way: the one before still serves, for half an hour.
    let Refreshed::Granted(renewed) = client.refresh(&old).await else { panic!("no grace") };
    *w.wire.token.lock().unwrap() = renewed.access.expose().to_owned();
    assert_eq!(w.clients().await.unwrap().len(), 15);
    let new = renewed.refresh.unwrap();
    tokio::time::sleep(Duration::from_secs(1801)).await;
    assert!(matches!(client.refresh(&old).await, Refreshed::Refused(code) if code == "invalid_grant"));
    client.revoke(&new).await.unwrap();
    assert!(matches!(client.refresh(&new).await, Refreshed::Refused(code) if code == "invalid_grant"));
}

#[tokio::test(start_paused = true)]
async fn t11_a_wrong_secret_is_the_apps_and_not_the_tokens_fault() {
    let w = sample(json!({}));
    let tokens = w.control("token", json!({"scopes": SCOPES}));
    let client = w.oauth("sandbox-app", "yesterday's secret");
    let refresh = Secret::new(tokens["refresh_token"].as_str().unwrap());
    assert!(matches!(client.refresh(&refresh).await, Refreshed::ClientRefused(_)));
}

#[tokio::test(start_paused = true)]
async fn p10_a_large_practice_is_read_without_one_refusal() {
    let w = world(Fake::many(2_000).unwrap(), json!({}), SCOPES);
    let all = clients(w.connector.directory().unwrap(), &w.layered(900)).await.unwrap();
    assert_eq!(all.len(), 2_000);
    assert!(all.iter().all(|r| r.people.len() == 5 && r.people.iter().all(|p| p.email.is_some())));
    let stats = w.control("stats", json!({}));
    assert_eq!((&stats["rate_limited"], &stats["served"]), (&json!({}), &json!(7)));
}
