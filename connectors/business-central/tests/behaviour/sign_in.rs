//! The kit's sign-in, over the fake as Microsoft Entra.

use http::Method;
use ledgerward_business_central::FACTORY;
use ledgerward_contract::{Auth, AuthScheme, ErrorKind, Factory, Request, Secret, Transport};
use ledgerward_kit::{Callback, OAuthClient, SignInFlow, oauth::Refreshed};
use serde_json::json;

use crate::common::{World, endpoints};

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
