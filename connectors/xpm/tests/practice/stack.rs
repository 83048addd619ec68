//! The kit's token protocol and layers, over the fake as the vendor.

use std::{sync::Arc, time::Duration};

use http::Method;
use ledgerward_contract::{Auth, AuthScheme, Factory, ReadCx, Request, Secret, Transport};
use ledgerward_kit::{
    Callback, Deadlines, Fixed, MemoryDays, OAuthClient, Quotas, SignInFlow, Stack, StackConfig, TokioClock,
    layers::auth::Dress, no_verdict, oauth::Refreshed,
};
use ledgerward_xpm::{FACTORY, fake::Fake};
use serde_json::json;

use crate::common::{SCOPES, World, endpoints, gather, now};

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
    let AuthScheme::OAuth(spec) = FACTORY.manifest().auth else { panic!("Xero signs in by OAuth") };
    let scopes: Vec<_> = spec.scopes[0].scopes.iter().map(|s| (*s).to_owned()).collect();
    let flow = SignInFlow::start(&client, Callback::Paste { redirect }, &scopes).await.unwrap();
    let page = Request::read("consent.get", Method::GET, flow.url().clone()).auth(Auth::Url);
    let page = w.wire.inner.send(page).await.unwrap();
    let signed = flow.paste(page.header("location").unwrap()).await.unwrap();
    assert_eq!(signed.claims.email.as_deref(), Some("ana@harbour.example"));
    let old = signed.granted.refresh.unwrap();
    let Refreshed::Granted(renewed) = client.refresh(&old).await else { panic!("not renewed") };
    let new = renewed.refresh.unwrap();
    assert_ne!(new.expose(), old.expose());
    // Its answer may be lost on the way: the one before still serves, for half an hour.
    let Refreshed::Granted(renewed) = client.refresh(&old).await else { panic!("no grace") };
    *w.wire.token.lock().unwrap() = renewed.access.expose().to_owned();
    assert_eq!(w.all().await.unwrap().len(), 15);
    let new = renewed.refresh.unwrap();
    tokio::time::sleep(Duration::from_secs(1801)).await;
    assert!(matches!(client.refresh(&old).await, Refreshed::Refused(code) if code == "invalid_grant"));
    client.revoke(&new).await.unwrap();
    assert!(matches!(client.refresh(&new).await, Refreshed::Refused(code) if code == "invalid_grant"));
}

#[tokio::test(start_paused = true)]
async fn t11_a_wrong_secret_is_the_apps_and_not_the_tokens_fault() {
    let w = World::sample(json!({}));
    let tokens = w.control("token", json!({"scopes": SCOPES}));
    let client = client(&w, "yesterday's secret");
    let refresh = Secret::new(tokens["refresh_token"].as_str().unwrap());
    assert!(matches!(client.refresh(&refresh).await, Refreshed::ClientRefused(_)));
}

#[tokio::test(start_paused = true)]
async fn p10_a_large_practice_is_read_without_one_refusal() {
    let w = World::new(Fake::many(2_000).unwrap(), json!({}), SCOPES);
    let clock = Arc::new(TokioClock::starting(now()));
    let manifest = FACTORY.manifest();
    let stack = Stack::build(StackConfig {
        manifest,
        endpoints: endpoints(),
        allow_private_network: false,
        read_only: true,
        tokens: Arc::new(Fixed::new(Secret::new(w.wire.token.lock().unwrap().as_str()))),
        dress: Dress::default(),
        quotas: Quotas::new("xpm", manifest.quotas, Arc::new(MemoryDays::default()), clock.clone()),
        verdict: no_verdict,
        clock,
        deadlines: Deadlines { page: Duration::from_secs(900), statement: Duration::from_secs(900) },
        jitter: || 0.5,
        base: w.wire.inner.clone(),
    });
    let cx = ReadCx::new(stack.unwrap(), now());
    let all = gather(w.directory(), &cx).await.unwrap();
    assert_eq!(all.len(), 2_000);
    assert!(all.iter().all(|r| r.people.len() == 3 && r.people.iter().all(|p| p.email.is_some())));
    let stats = w.control("stats", json!({}));
    assert_eq!((&stats["rate_limited"], &stats["served"]), (&json!({}), &json!(7)));
}
