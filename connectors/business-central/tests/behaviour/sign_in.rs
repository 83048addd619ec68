//! The kit's sign-in, over the fake as Microsoft Entra.

use futures::{StreamExt, stream};
use ledgerward_business_central::fake::Fake;
use ledgerward_contract::{Cursor, ErrorKind, Scope, Secret};
use ledgerward_kit::oauth::Refreshed;
use serde_json::json;

use crate::common::{sample, world};

#[tokio::test(start_paused = true)]
async fn the_kit_signs_in_and_renews_and_the_token_before_stays_good() {
    let w = sample(json!({}));
    let client = w.oauth("sandbox-app", "sandbox-secret");
    let signed = w.consent(&client, client.spec().scopes[0].scopes).await.unwrap();
    assert_eq!(signed.claims.email.as_deref(), Some("ana@harbour.example"));
    let old = signed.granted.refresh.unwrap();
    for _ in 0..2 {
        match client.refresh(&old).await {
            Refreshed::Granted(g) => *w.wire.token.lock().unwrap() = g.access.expose().to_owned(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(w.ledgers().await.unwrap().len(), 3);
    w.control("revoke_refresh", json!({}));
    assert!(matches!(client.refresh(&old).await, Refreshed::Refused(code) if code == "invalid_grant"));
    assert_eq!(w.ledgers().await.unwrap_err().kind, ErrorKind::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn t11_a_wrong_secret_is_the_apps_and_not_the_tokens_fault() {
    let w = sample(json!({}));
    let refresh = w.control("token", json!({}))["refresh_token"].as_str().unwrap().to_owned();
    let outcome = w.oauth("sandbox-app", "an expired secret").refresh(&Secret::new(refresh)).await;
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
    let w = world(Fake::from_seed(&seed).unwrap(), json!({}));
    let (cx, source) = (w.layered(3_000), w.connector.ledgers().unwrap());
    let ledgers = w.ledgers().await.unwrap();
    let read = stream::iter(&ledgers).map(|l| source.access(&cx, Scope::One(&l.id), Cursor::Start));
    let counts: Vec<_> = read.buffer_unordered(8).map(|p| p.unwrap().items.len()).collect().await;
    assert_eq!(counts, [1; 40]);
    assert_eq!(w.control("stats", json!({}))["rate_limited"], 0);
}
