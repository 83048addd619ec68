//! The kit's token protocol and layers, over the fake as the vendor.

use std::time::Duration;

use ledgerward_contract::{Cursor, ErrorKind, ReadCx, Result, Scope};
use ledgerward_kit::keepalive::{Expiry, expiry};
use ledgerward_kit::testing::{World, now};
use ledgerward_kit::{OAuthClient, SignedIn, fake::Fake as _, oauth::Refreshed};
use ledgerward_myob::fake::Fake;
use serde_json::json;

use crate::common::{LARK, MISTRAL, VENDOR};

/// The vendor, before anybody has signed in.
fn vendor() -> World {
    VENDOR.world(Fake::sample().unwrap(), json!({}))
}

fn client(w: &World, secret: &str) -> OAuthClient {
    w.oauth("sandbox-myob-key", secret)
}

async fn sign_in(w: &World) -> Result<SignedIn> {
    let client = client(w, "sandbox-myob-secret");
    w.consent(&client, client.spec().scopes[1].scopes).await
}

/// The context of this sign-in through every layer.
fn layered(w: &mut World, s: &SignedIn) -> ReadCx {
    s.granted.access.expose().clone_into(&mut w.wire.token.lock().unwrap());
    w.realm.clone_from(&s.realm);
    w.layered(900)
}

/// Only an administrator of the file can renew it, so that somebody has to hear of it in time (T12).
#[test]
fn a_consent_ends_after_a_year_however_often_it_is_renewed() {
    let begun = now();
    let on = |days: i64| {
        let day = begun + jiff::SignedDuration::from_hours(24 * days);
        expiry(client(&vendor(), "sandbox-myob-secret").spec(), begun, day, None, day)
    };
    assert_eq!([182, 183, 292, 365].map(on), [Expiry::Far, Expiry::Half, Expiry::Near, Expiry::Over]);
}

#[tokio::test(start_paused = true)]
async fn each_consent_brings_the_next_file_and_its_id() {
    let mut v = vendor();
    let first = sign_in(&v).await.unwrap();
    assert_eq!(first.realm.as_deref(), Some(LARK));
    assert_eq!(first.granted.expires_in, Duration::from_secs(1200), "a number in a string");
    assert_eq!(sign_in(&v).await.unwrap().realm.as_deref(), Some(MISTRAL));
    let cx = layered(&mut v, &first);
    let connector = VENDOR.connector(json!({})).unwrap();
    let source = connector.ledgers().unwrap();
    let ledger = source.ledgers(&cx, Cursor::Start).await.unwrap().items.remove(0);
    assert_eq!(ledger.name, "Lark Plumbing Pty Ltd");
    assert_eq!(source.access(&cx, Scope::One(&ledger.id), Cursor::Start).await.unwrap().items.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn only_an_administrator_of_a_file_can_consent() {
    let v = vendor();
    v.control("choose", json!({"user": "bob@harbour.example", "file": LARK}));
    assert!(sign_in(&v).await.is_err());
    v.control("choose", json!({"user": "lou@lark.example", "file": LARK}));
    assert_eq!(sign_in(&v).await.unwrap().realm.as_deref(), Some(LARK));
}

#[tokio::test(start_paused = true)]
async fn t01_a_refresh_token_is_good_once() {
    let v = vendor();
    let client = client(&v, "sandbox-myob-secret");
    let old = sign_in(&v).await.unwrap().granted.refresh.unwrap();
    let Refreshed::Granted(new) = client.refresh(&old).await else { panic!("refused") };
    assert!(matches!(client.refresh(&old).await, Refreshed::Refused(code) if code == "invalid_grant"));
    let new = new.refresh.unwrap();
    tokio::time::advance(Duration::from_secs(6 * 24 * 3600)).await;
    let Refreshed::Granted(kept) = client.refresh(&new).await else { panic!("refused within the week") };
    tokio::time::advance(Duration::from_secs(8 * 24 * 3600)).await;
    assert!(matches!(client.refresh(&kept.refresh.unwrap()).await, Refreshed::Refused(_)));
}

#[tokio::test(start_paused = true)]
async fn t11_a_wrong_secret_is_the_apps_and_not_the_tokens_fault() {
    let v = vendor();
    let refresh = sign_in(&v).await.unwrap().granted.refresh.unwrap();
    assert!(matches!(client(&v, "yesterday's").refresh(&refresh).await, Refreshed::ClientRefused(_)));
    assert!(matches!(client(&v, "sandbox-myob-secret").refresh(&refresh).await, Refreshed::Granted(_)));
}

#[tokio::test(start_paused = true)]
async fn an_access_token_lives_twenty_minutes() {
    let mut v = vendor();
    let s = sign_in(&v).await.unwrap();
    let cx = layered(&mut v, &s);
    let connector = VENDOR.connector(json!({})).unwrap();
    let source = connector.ledgers().unwrap();
    tokio::time::advance(Duration::from_secs(1199)).await;
    assert!(source.ledgers(&cx, Cursor::Start).await.is_ok());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(source.ledgers(&cx, Cursor::Start).await.unwrap_err().kind, ErrorKind::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn p10_the_limit_of_eight_a_second_is_kept_before_myob_has_to_refuse() {
    let mut v = vendor();
    let s = sign_in(&v).await.unwrap();
    let cx = layered(&mut v, &s);
    let connector = VENDOR.connector(json!({})).unwrap();
    for _ in 0..60 {
        connector.ledgers().unwrap().ledgers(&cx, Cursor::Start).await.unwrap();
    }
    assert_eq!(v.control("stats", json!({}))["rate_limited"], 0);
}

#[tokio::test(start_paused = true)]
async fn p10_a_refusal_for_speed_is_waited_out() {
    let mut v = vendor();
    let s = sign_in(&v).await.unwrap();
    v.control("set_outage", json!({"kind": 403, "name": "RateLimitError", "count": 2}));
    let cx = layered(&mut v, &s);
    let connector = VENDOR.connector(json!({})).unwrap();
    assert!(connector.ledgers().unwrap().ledgers(&cx, Cursor::Start).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_saved_goes_on_in_another_process() {
    let v = vendor();
    let s = sign_in(&v).await.unwrap();
    v.control("rename_file", json!({"file": LARK, "name": "Lark & Daughter"}));
    let saved = v.fake.lock().unwrap().save();
    let again = Fake::restore(&saved, "https://api.myob.com").unwrap();
    assert_eq!(again.save(), saved);
    let mut later = VENDOR.world(again, json!({}));
    let cx = layered(&mut later, &s);
    let connector = VENDOR.connector(json!({})).unwrap();
    let ledgers = connector.ledgers().unwrap().ledgers(&cx, Cursor::Start).await.unwrap();
    assert_eq!(ledgers.items[0].name, "Lark & Daughter");
    assert!(matches!(
        client(&later, "sandbox-myob-secret").refresh(&s.granted.refresh.unwrap()).await,
        Refreshed::Granted(_)
    ));
    assert!(Fake::restore(&json!({}), "x").err().unwrap().contains("start a new sandbox"));
}

#[test]
fn the_demo_firm_is_a_seed() {
    let seed = serde_json::from_str(include_str!("../../../../fixtures/firm/myob.json")).unwrap();
    assert!(Fake::from_seed(&seed).is_ok());
    assert!(Fake::from_seed(&json!({"app": {}})).is_err());
}
