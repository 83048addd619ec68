//! The app that signs in as itself: no person, no `/me`, no new guests.

use std::{collections::BTreeMap, sync::Arc};

use ledgerward_contract::*;
use ledgerward_kit::{AppOnly, TokenSource, TokioClock};
use ledgerward_microsoft_graph::FACTORY;
use serde_json::{Value, json};

use crate::common::*;

fn settings() -> Value {
    json!({ "app_only": true, "user": US, "root": ROOT })
}

fn build(settings: Value, login: &str) -> Result<Box<dyn Connector>> {
    let url = |path: &str| format!("http://graph.example{path}").parse().unwrap();
    let names = [("api", "/v1.0"), ("login", login), ("content", "")];
    let overrides: BTreeMap<_, _> = names.map(|(name, path)| (name.to_owned(), url(path))).into();
    FACTORY.build(Build { settings, endpoints: Endpoints::resolve(FACTORY.manifest(), &overrides)? })
}

fn app(w: &World, (client, secret): (&str, &str), tenant: &str, scope: Option<&str>) -> AppOnly {
    let AuthScheme::OAuth(spec) = FACTORY.manifest().auth else { panic!("Graph signs in by OAuth") };
    let mut form = spec.app_only.unwrap()(&settings()).unwrap();
    if let Some(scope) = scope {
        form = vec![("scope", scope.to_owned())];
    }
    let url = format!("http://graph.example/{tenant}{}", spec.token.1).parse().unwrap();
    let clock = Arc::new(TokioClock::starting(w.now()));
    AppOnly::new(url, client, Secret::new(secret), form, w.wire.inner.clone(), clock)
}

const OURS: (&str, &str) = ("graph-client", "graph-client-word");

/// A world in which the app is signed in as itself.
async fn world() -> World {
    let mut w = World::rooted();
    w.0.connector = build(settings(), "/harbour-tenant").unwrap();
    let token = app(&w, OURS, "harbour-tenant", None).bearer().await.unwrap();
    *w.wire.token.lock().unwrap() = token.get().token.expose().to_owned();
    w
}

#[tokio::test(start_paused = true)]
async fn an_app_keeps_a_folder_as_a_person_would() {
    let w = world().await;
    let probe = w.target().probe(&w.read()).await.unwrap();
    assert_eq!(probe.account, format!("the app itself, for {US}"));
    assert!(probe.may_share && probe.children == Some(0), "{probe:?}");
    let folder = w.create(1).await;
    w.grant(&folder, BEN, FolderRole::Reader).await.unwrap();
    w.grant(&folder, GUEST, FolderRole::Writer).await.unwrap();
    let list = w.sharing(&folder).await.unwrap();
    assert!(person(&list, BEN).is_some() && person(&list, GUEST).is_some(), "{:?}", list.items());
    let owner = person(&list, US).unwrap();
    assert!(owner.ourselves, "in the drive's owner's place: {owner:?}");
    let ben = person(&list, BEN).unwrap();
    assert_eq!(w.target().revoke(&w.write(), &folder, &ben.id).await.unwrap(), Gone::Done);
    w.put(&folder, &file("2026/a.pdf", "bytes"), Expect::Absent).await.unwrap();
    assert_eq!(w.sent("user.me"), 0, "an app is nobody, and `/me` refuses it");
}

#[tokio::test(start_paused = true)]
async fn an_app_invites_no_new_guest_and_says_so() {
    let w = world().await;
    let folder = w.create(1).await;
    let e = w.grant(&folder, STRANGER, FolderRole::Reader).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Forbidden, "{e:?}");
    assert_eq!(person(&w.sharing(&folder).await.unwrap(), STRANGER), None);
}

#[tokio::test(start_paused = true)]
async fn a_library_has_no_owner_to_stand_for() {
    let mut w = World::rooted();
    let settings = json!({ "app_only": true, "site": "harbour.sharepoint.com:/sites/Ledgers", "library": "Clients" });
    w.0.connector = build(settings, "/harbour-tenant").unwrap();
    let token = app(&w, OURS, "harbour-tenant", None).bearer().await.unwrap();
    *w.wire.token.lock().unwrap() = token.get().token.expose().to_owned();
    assert_eq!(w.target().probe(&w.read()).await.unwrap().account, "the app itself");
    let folder = w.create(1).await;
    let list = w.sharing(&folder).await.unwrap();
    assert!(list.items().iter().all(|p| !p.ourselves), "nobody is taken for us: {:?}", list.items());
}

#[tokio::test(start_paused = true)]
async fn the_stand_in_gives_tokens_to_apps_of_one_tenant_for_what_was_consented_to() {
    let w = World::rooted();
    let refused = async |credentials, tenant, scope| match app(&w, credentials, tenant, scope).bearer().await {
        Err(e) => (e.kind, e.get("code").unwrap_or_default().to_owned()),
        Ok(_) => panic!("granted"),
    };
    let no = |code: &str| (ErrorKind::Unauthenticated, code.to_owned());
    assert_eq!(refused(OURS, "organizations", None).await, no("invalid_request"));
    assert_eq!(refused((OURS.0, "wrong"), "harbour-tenant", None).await, no("invalid_client"));
    assert_eq!(refused(("nobody", "x"), "harbour-tenant", None).await, no("unauthorized_client"));
    assert_eq!(refused(OURS, "harbour-tenant", Some("Files.ReadWrite.All")).await, no("invalid_scope"));
    w.control("secret_expired", json!({}));
    assert_eq!(refused(OURS, "harbour-tenant", None).await, no("invalid_client"));
}

#[test]
fn settings_that_cannot_be_are_refused_with_the_way_out() {
    for (settings, login) in [
        (settings(), "/organizations"),
        (settings(), "/common"),
        (json!({ "app_only": true }), "/harbour-tenant"),
        (json!({ "app_only": true, "user": US, "scopes": "own_drive" }), "/harbour-tenant"),
    ] {
        let Err(e) = build(settings.clone(), login) else { panic!("{settings} at {login} was taken") };
        assert!(e.kind == ErrorKind::Config && e.next.is_some(), "{e:?}");
    }
    let AuthScheme::OAuth(spec) = FACTORY.manifest().auth else { panic!("Graph signs in by OAuth") };
    assert_eq!(
        spec.app_only.unwrap()(&json!({ "user": US })),
        None,
        "a person signs in unless the firm says otherwise"
    );
}
