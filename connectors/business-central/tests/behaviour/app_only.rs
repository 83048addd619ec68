//! The app that signs in as itself.

use std::{collections::BTreeMap, sync::Arc};

use ledgerward_business_central::{FACTORY, fake::Fake};
use ledgerward_contract::{AuthScheme, Build, Connector, Endpoints, ErrorKind, Factory, Result, Secret};
use ledgerward_kit::testing::{World, now};
use ledgerward_kit::{AppOnly, TokenSource, TokioClock};
use serde_json::{Value, json};

use crate::common::{ACME, world};

fn build(settings: Value, login: &str) -> Result<Box<dyn Connector>> {
    let login = format!("https://login.microsoftonline.com/{login}").parse().unwrap();
    let endpoints = Endpoints::resolve(FACTORY.manifest(), &BTreeMap::from([("login".to_owned(), login)]))?;
    FACTORY.build(Build { settings, endpoints })
}

fn settings() -> Value {
    json!({ "app_only": true })
}

/// The firm's Business Central, in which the app is entered, or not.
fn firm(entered: bool) -> World {
    let seed = json!({"app": {"client_id": "sandbox-app", "client_secret": "sandbox-secret", "entered": entered},
        "administrators": ["ana@harbour.example"],
        "environments": [{"name": "production",
            "companies": [{"id": ACME.split(':').nth(1).unwrap(), "name": "Acme Ltd"}],
            "users": [{"email": "bob@harbour.example", "name": "Bob Hale", "sets": [{"set": "SUPER"}]}]}]});
    let mut w = world(Fake::from_seed(&seed).unwrap(), json!({}));
    w.connector = build(settings(), "harbour-tenant").unwrap();
    w
}

fn app(w: &World, secret: &str, tenant: &str, scope: Option<&str>) -> AppOnly {
    let AuthScheme::OAuth(spec) = FACTORY.manifest().auth else { panic!("Business Central signs in by OAuth") };
    let mut form = spec.app_only.unwrap()(&settings()).unwrap();
    if let Some(scope) = scope {
        form = vec![("scope", scope.to_owned())];
    }
    let url = format!("https://login.microsoftonline.com/{tenant}{}", spec.token.1).parse().unwrap();
    let clock = Arc::new(TokioClock::starting(now()));
    AppOnly::new(url, "sandbox-app", Secret::new(secret), form, w.wire.inner.clone(), clock)
}

async fn sign_in(w: &World) {
    let token = app(w, "sandbox-secret", "harbour-tenant", None).bearer().await.unwrap();
    *w.wire.token.lock().unwrap() = token.get().token.expose().to_owned();
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_entered_reads_who_may_open_a_company() {
    let w = firm(true);
    sign_in(&w).await;
    assert_eq!(w.ledgers().await.unwrap().len(), 1);
    let access = w.access(ACME).await.unwrap();
    assert_eq!(access.len(), 1, "{:?}", access);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_not_entered_learns_nothing() {
    let w = firm(false);
    sign_in(&w).await;
    assert_eq!(w.ledgers().await.unwrap_err().kind, ErrorKind::Unauthenticated);
    assert_eq!(w.access(ACME).await.unwrap_err().kind, ErrorKind::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn the_stand_in_gives_tokens_for_one_tenant_and_its_own_scope() {
    let w = firm(true);
    let refused = async |secret, tenant, scope| match app(&w, secret, tenant, scope).bearer().await {
        Err(e) => (e.kind, e.get("code").unwrap_or_default().to_owned()),
        Ok(_) => panic!("granted"),
    };
    let no = |code: &str| (ErrorKind::Unauthenticated, code.to_owned());
    assert_eq!(refused("wrong", "harbour-tenant", None).await, no("invalid_client"));
    assert_eq!(refused("sandbox-secret", "organizations", None).await, no("invalid_request"));
    assert_eq!(refused("sandbox-secret", "harbour-tenant", Some("openid")).await, no("invalid_scope"));
}

#[test]
fn an_app_belongs_to_one_tenant() {
    let Err(e) = build(settings(), "organizations") else { panic!("taken") };
    assert!(e.kind == ErrorKind::Config && e.next.is_some(), "{e:?}");
    assert!(build(json!({}), "organizations").is_ok());
}
