//! The app that signs in as itself.

use std::{collections::BTreeMap, sync::Arc};

use ledgerward_business_central::{FACTORY, fake::Fake};
use ledgerward_contract::{AuthScheme, Build, Connector, Endpoints, ErrorKind, Factory, Result, Secret, Standing};
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
            "companies": [{"id": ACME.split(':').nth(1).unwrap(), "name": "Acme Ltd", "display_name": "Acme Limited"}],
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

/// No user is ours, so that absence would prove nothing: what Business Central does say has to be said.
#[tokio::test(start_paused = true)]
async fn who_has_no_permission_set_any_more_is_out_by_a_word_of_its_own() {
    let w = firm(true);
    sign_in(&w).await;
    let user =
        |name: &str, sets: Value| json!({"email": format!("{name}@harbour.example"), "name": name, "sets": sets});
    let in_company = |company: &str| json!([{"set": "SUPER", "company": company}]);
    w.control("add_user", json!({"user": user("cleo", in_company("Acme Ltd"))}));
    w.control("add_user", json!({"user": user("dev", in_company("Birch LLP"))}));
    w.control("add_user", json!({"user": user("eve", in_company("ACME LTD"))}));
    w.control("add_user", json!({"user": user("fay", in_company("Acme Limited"))}));
    let seen = async || {
        let list = w.access(ACME).await.unwrap();
        let mut rows: Vec<_> = list.iter().map(|f| (f.name.clone(), f.standing.clone())).collect();
        rows.sort();
        rows
    };
    let row = |name: &str, standing| (name.to_owned(), standing);
    let (active, out) = (Standing::Active, Standing::Removed);
    let first = [row("Bob Hale", active.clone()), row("cleo", active.clone()), row("dev", out.clone())];
    assert_eq!(seen().await, first, "sets for a company called almost so say nothing");
    w.control("set_sets", json!({"user": "cleo@harbour.example", "sets": []}));
    assert_eq!(seen().await, [row("Bob Hale", active), row("cleo", out.clone()), row("dev", out)]);
    w.control("set_sets", json!({"user": "bob@harbour.example", "sets": []}));
    assert_eq!(seen().await, [], "nobody at all is half an answer");
}

/// With a user of the firm's word, whoever is missing beside them is out as with a person's sign-in.
#[tokio::test(start_paused = true)]
async fn the_firm_names_a_user_whom_every_list_has() {
    let mut w = firm(true);
    let own = async |w: &World| {
        w.connector.ledgers().unwrap().own_user(&w.read()).await.unwrap().map(|u| (u.subject, u.email))
    };
    assert_eq!(own(&w).await, None);
    let bob = "bob@harbour.example".to_owned();
    w.connector = build(json!({"app_only": true, "own_user": bob}), "harbour-tenant").unwrap();
    assert_eq!(own(&w).await, Some((bob.clone(), Some(bob.clone()))));
    // A person's sign-in says it by itself.
    w.connector = build(json!({"own_user": bob}), "harbour-tenant").unwrap();
    assert_eq!(own(&w).await, None);
    assert_eq!(build(json!({"own_user": " "}), "harbour-tenant").err().unwrap().kind, ErrorKind::Config);
}

/// Who is in no group just now may be in one that Entra did not tell whole: that takes nobody out by one reading.
#[tokio::test(start_paused = true)]
async fn who_may_have_a_set_by_a_security_group_is_missing_and_not_removed() {
    let w = firm(true);
    sign_in(&w).await;
    w.control("add_user", json!({"user": {"email": "cleo@harbour.example", "name": "cleo"}}));
    w.control("add_user", json!({"user": {"email": "dev@harbour.example", "name": "dev"}}));
    let group = json!([{"code": "BOOKS", "sets": [{"set": "SUPER"}], "members": [{"user": "cleo@harbour.example"}]}]);
    w.control("set_groups", json!({"groups": group}));
    let list = w.access(ACME).await.unwrap();
    let mut rows: Vec<_> = list.iter().map(|f| (f.name.as_str(), f.standing.clone())).collect();
    rows.sort();
    assert_eq!(rows, [("Bob Hale", Standing::Active), ("cleo", Standing::Active)]);
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
