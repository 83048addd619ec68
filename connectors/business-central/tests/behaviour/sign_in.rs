//! The kit's sign-in, over the fake as Microsoft Entra.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use http::Method;
use ledgerward_business_central::{FACTORY, fake::Fake};
use ledgerward_contract::{Auth, AuthScheme, Cursor, ErrorKind, Factory, ReadCx, Request, Scope, Secret, Transport};
use ledgerward_kit::{
    Callback, Deadlines, Fixed, MemoryDays, OAuthClient, Quotas, SignInFlow, Stack, StackConfig, TokioClock,
    layers::auth::Dress, no_verdict, oauth::Refreshed,
};
use serde_json::json;

use crate::common::{World, endpoints, now};

fn client(w: &World, secret: &str) -> OAuthClient {
    let AuthScheme::OAuth(spec) = FACTORY.manifest().auth else { panic!("Business Central signs in by OAuth") };
    OAuthClient::new(spec, &endpoints(), "sandbox-app", Some(Secret::new(secret)), w.wire.inner.clone()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_kit_signs_in_and_renews_and_the_token_before_stays_good() {
    let w = World::sample(json!({}));
    let client = client(&w, "sandbox-secret");
    let AuthScheme::OAuth(spec) = FACTORY.manifest().auth else { panic!("Business Central signs in by OAuth") };
    let scopes: Vec<_> = spec.scopes[0].scopes.iter().map(|s| (*s).to_owned()).collect();
    let redirect = "http://localhost:8787/callback".parse().unwrap();
    let flow = SignInFlow::start(&client, Callback::Paste { redirect }, &scopes).await.unwrap();
    let page = Request::read("consent.get", Method::GET, flow.url().clone()).auth(Auth::Url);
    let page = w.wire.inner.send(page).await.unwrap();
    let signed = flow.paste(page.header("location").unwrap()).await.unwrap();
    assert_eq!(signed.claims.email.as_deref(), Some("ana@harbour.example"));
    let old = signed.granted.refresh.unwrap();
    for _ in 0..2 {
        match client.refresh(&old).await {
            Refreshed::Granted(g) => *w.wire.token.lock().unwrap() = g.access.expose().to_owned(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(w.ledgers().await.unwrap().items().len(), 3);
    w.control("revoke_refresh", json!({}));
    assert!(matches!(client.refresh(&old).await, Refreshed::Refused(code) if code == "invalid_grant"));
    assert_eq!(w.ledgers().await.unwrap_err().kind, ErrorKind::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn t11_a_wrong_secret_is_the_apps_and_not_the_tokens_fault() {
    let w = World::sample(json!({}));
    let refresh = w.control("token", json!({}))["refresh_token"].as_str().unwrap().to_owned();
    let outcome = client(&w, "an expired secret").refresh(&Secret::new(refresh)).await;
    assert!(matches!(outcome, Refreshed::ClientRefused(_)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn p10_a_large_environment_is_read_without_one_refusal() {
    let id = |n: usize| format!("b0c1a7f2-0000-4000-8000-{n:012}");
    let company = |n: usize| json!({"id": id(n), "name": format!("Company {n}")});
    let user = |n: usize| {
        json!({"email": format!("u{n}@harbour.example"), "name": format!("User {n}"),
            "sets": [{"set": "SUPER", "company": format!("Company {n}")}]})
    };
    let seed = json!({"app": {"client_id": "a", "client_secret": "b", "latency_ms": 900}, "administrators": ["u0@harbour.example"],
        "environments": [{"name": "production", "companies": (0..40).map(company).collect::<Vec<_>>(),
            "users": (0..40).map(user).collect::<Vec<_>>()}]});
    let w = World::new(Fake::from_seed(&seed).unwrap(), json!({}));
    let clock = Arc::new(TokioClock::starting(now()));
    let manifest = FACTORY.manifest();
    let stack = Stack::build(StackConfig {
        manifest,
        endpoints: endpoints(),
        allow_private_network: false,
        read_only: true,
        tokens: Arc::new(Fixed::new(Secret::new(w.wire.token.lock().unwrap().as_str()))),
        dress: Dress::default(),
        quotas: Quotas::new("business-central", manifest.quotas, Arc::new(MemoryDays::default()), clock.clone()),
        verdict: no_verdict,
        clock,
        deadlines: Deadlines { page: Duration::from_secs(3_000), statement: Duration::from_secs(3_000) },
        jitter: || 0.5,
        base: w.wire.inner.clone(),
    });
    let (cx, source) = (ReadCx::new(stack.unwrap(), now()), w.connector.ledgers().unwrap());
    let ledgers = w.ledgers().await.unwrap();
    let read = stream::iter(ledgers.items()).map(|l| source.access(&cx, Scope::One(&l.id), Cursor::Start));
    let counts: Vec<_> = read.buffer_unordered(8).map(|p| p.unwrap().items.len()).collect().await;
    assert_eq!(counts, [1; 40]);
    assert_eq!(w.control("stats", json!({}))["rate_limited"], 0);
}
