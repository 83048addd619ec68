//! The kit's token protocol and layers, over the fake as the vendor.

use std::time::Duration;

use ledgerward_contract::{Cursor, ErrorKind, LedgerId, Scope};
use ledgerward_kit::testing::World;
use ledgerward_kit::{OAuthClient, SignedIn, oauth::Refreshed};
use ledgerward_zoho_books::fake::Fake;
use serde_json::json;

use crate::common::{CEDAR, SCOPE, sample, world};

async fn sign_in(w: &World, client: &OAuthClient) -> SignedIn {
    w.consent(client, client.spec().scopes[0].scopes).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_kit_signs_in_renews_and_revokes() {
    let w = sample(json!({}));
    let client = w.oauth("sandbox-app", "sandbox-secret");
    let signed = sign_in(&w, &client).await;
    assert_eq!(signed.scopes, ["ZohoBooks.settings.READ", "email"]);
    assert_eq!(signed.claims.email.as_deref(), Some("ana@harbour.example"), "whose list is it that we are to be in");
    assert!(signed.claims.sub.is_some());
    assert_eq!(signed.granted.expires_in, Duration::from_secs(3600));
    let refresh = signed.granted.refresh.expect("a second consent of the same person gives a refresh token too");
    // The refresh token stays good and comes only once: an answer without one is no loss (T08).
    for _ in 0..3 {
        let Refreshed::Granted(renewed) = client.refresh(&refresh).await else { panic!("not renewed") };
        assert!(renewed.refresh.is_none());
        *w.wire.token.lock().unwrap() = renewed.access.expose().to_owned();
    }
    assert!(w.access(CEDAR).await.is_ok());
    client.revoke(&refresh).await.unwrap();
    assert!(matches!(client.refresh(&refresh).await, Refreshed::Refused(code) if code == "invalid_grant"));
}

#[tokio::test(start_paused = true)]
async fn t11_a_wrong_secret_is_the_apps_and_not_the_tokens_fault() {
    let w = sample(json!({}));
    let signed = sign_in(&w, &w.oauth("sandbox-app", "sandbox-secret")).await;
    let outcome = w.oauth("sandbox-app", "yesterday's secret").refresh(&signed.granted.refresh.unwrap()).await;
    assert!(matches!(outcome, Refreshed::ClientRefused(_)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn the_token_endpoints_own_limit_says_nothing_about_the_token() {
    let w = sample(json!({}));
    let client = w.oauth("sandbox-app", "sandbox-secret");
    let refresh = sign_in(&w, &client).await.granted.refresh.unwrap();
    for _ in 0..10 {
        assert!(matches!(client.refresh(&refresh).await, Refreshed::Granted(_)));
    }
    let outcome = client.refresh(&refresh).await;
    assert!(matches!(outcome, Refreshed::Unknown(_)), "{outcome:?}");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(matches!(client.refresh(&refresh).await, Refreshed::Granted(_)));
}

#[tokio::test(start_paused = true)]
async fn the_twenty_first_sign_in_ends_the_first() {
    let w = world(Fake::sample().unwrap(), json!({}), SCOPE);
    let client = w.oauth("sandbox-app", "sandbox-secret");
    let first = sign_in(&w, &client).await.granted.refresh.unwrap();
    for _ in 0..19 {
        sign_in(&w, &client).await;
    }
    assert!(matches!(client.refresh(&first).await, Refreshed::Granted(_)), "twenty of this person");
    sign_in(&w, &client).await;
    assert!(matches!(client.refresh(&first).await, Refreshed::Refused(_)));
}

#[tokio::test(start_paused = true)]
async fn p10_a_firm_is_read_without_one_refusal() {
    let w = world(Fake::many(100).unwrap(), json!({}), SCOPE);
    let cx = w.layered(900);
    let rows = w.connector.ledgers().unwrap().ledgers(&cx, Cursor::Start).await.unwrap().items;
    assert_eq!(rows.len(), 100);
    for row in &rows {
        let users = w.connector.ledgers().unwrap().access(&cx, Scope::One(&row.id), Cursor::Start).await.unwrap().items;
        assert_eq!(users.len(), 3);
    }
    let ledger = LedgerId::from(rows[0].id.as_str());
    for _ in 0..150 {
        w.connector.ledgers().unwrap().access(&cx, Scope::One(&ledger), Cursor::Start).await.unwrap();
    }
    assert_eq!(w.control("stats", json!({}))["rate_limited"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn p10_a_limit_in_a_400_is_waited_for() {
    let w = sample(json!({}));
    let (cx, ledger) = (w.layered(900), LedgerId::from(CEDAR));
    w.control("set_outage", json!({"kind": 400, "code": 44, "count": 1}));
    let began = tokio::time::Instant::now();
    assert!(w.connector.ledgers().unwrap().access(&cx, Scope::One(&ledger), Cursor::Start).await.is_ok());
    assert!(began.elapsed() >= Duration::from_secs(60), "{:?}", began.elapsed());
    w.control("set_outage", json!({"kind": 401, "code": 14}));
    let e = w.connector.ledgers().unwrap().access(&cx, Scope::One(&ledger), Cursor::Start).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unauthenticated);
}
