//! The app that signs in as itself, by Box's client credentials grant.

use std::sync::Arc;

use ledgerward_box::FACTORY;
use ledgerward_contract::*;
use ledgerward_kit::{AppOnly, TokenSource, TokioClock};
use serde_json::{Value, json};

use crate::common::*;

const OURS: (&str, &str) = ("sandbox-box-client", "sandbox-box-client-word");
const ROBOT: &str = "automationuser_1@boxdevedition.example";

fn app(w: &World, (client, secret): (&str, &str), settings: &Value) -> AppOnly {
    let AuthScheme::OAuth(spec) = FACTORY.manifest().auth else { panic!("Box signs in by OAuth") };
    let form = spec.app_only.unwrap()(settings).unwrap();
    let url = VENDOR.endpoints().url(spec.token.0, spec.token.1).unwrap();
    let clock = Arc::new(TokioClock::starting(w.now()));
    AppOnly::new(url, client, Secret::new(secret), form, w.wire.inner.clone(), clock)
}

async fn world(settings: Value) -> World {
    let w = World::new(settings.clone());
    let token = app(&w, OURS, &settings).bearer().await.unwrap();
    *w.wire.token.lock().unwrap() = token.get().token.expose().to_owned();
    w
}

#[tokio::test(start_paused = true)]
async fn an_app_works_as_its_service_account_or_as_a_managed_user() {
    let w = world(json!({ "enterprise_id": "55001" })).await;
    assert_eq!(w.target().probe(&w.read()).await.unwrap().account, ROBOT);
    let folder = w.create(1).await;
    w.grant(&folder, BEN, FolderRole::Reader).await.unwrap();
    let list = w.sharing(&folder).await.unwrap();
    let on = |who: &str| list.items().iter().any(|p| p.holder.to_string() == who);
    assert!(on(BEN) && !on(US), "its own top folder is nobody else's: {:?}", list.items());

    let w = world(json!({ "user_id": "700001", "root": ROOT })).await;
    assert_eq!(w.target().probe(&w.read()).await.unwrap().account, US);
}

#[tokio::test(start_paused = true)]
async fn the_stand_in_asks_for_an_administrators_word() {
    let w = World::new(json!({}));
    let refused = async |credentials, settings: Value| match app(&w, credentials, &settings).bearer().await {
        Err(e) => (e.kind, e.get("code").unwrap_or_default().to_owned()),
        Ok(_) => panic!("granted"),
    };
    let no = |code: &str| (ErrorKind::Unauthenticated, code.to_owned());
    let ours = || json!({ "enterprise_id": "55001" });
    assert_eq!(refused(("unauthorised-box-client", "another-word"), ours()).await, no("unauthorized_client"));
    assert_eq!(refused((OURS.0, "wrong"), ours()).await, no("invalid_client"));
    assert_eq!(refused(OURS, json!({ "enterprise_id": "55002" })).await, no("invalid_grant"));
    assert_eq!(refused(OURS, json!({ "user_id": "700005" })).await, no("invalid_grant"), "nobody of the enterprise");
}

#[test]
fn settings_that_cannot_be_are_refused_with_the_way_out() {
    for settings in [
        json!({ "enterprise_id": "55001", "user_id": "700001" }),
        json!({ "enterprise_id": "Harbour" }),
        json!({ "user_id": "" }),
    ] {
        let Err(e) = VENDOR.connector(settings.clone()) else { panic!("{settings} was taken") };
        assert!(e.kind == ErrorKind::Config && e.next.is_some(), "{e:?}");
    }
    let AuthScheme::OAuth(spec) = FACTORY.manifest().auth else { panic!("Box signs in by OAuth") };
    assert_eq!(spec.app_only.unwrap()(&Value::Null), None, "a person signs in unless the firm says otherwise");
}
