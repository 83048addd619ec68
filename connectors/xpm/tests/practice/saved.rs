//! A fake that was saved goes on as if nothing had happened.

use std::time::Duration;

use ledgerward_contract::ErrorKind;
use ledgerward_kit::fake::Fake as _;
use ledgerward_kit::testing::World;
use ledgerward_xpm::fake::Fake;
use serde_json::{Value, json};

use crate::common::{SCOPES, sample};

/// The same world in a later process: the state goes through text, as it does through a file.
fn later(w: &World) -> World {
    let saved = w.fake.lock().unwrap().save();
    let read: Value = serde_json::from_str(&saved.to_string()).unwrap();
    let fake = Fake::restore(&read).unwrap().at("https://api.xero.com");
    assert_eq!(fake.save(), saved);
    w.at_another(fake)
}

#[tokio::test(start_paused = true)]
async fn sign_ins_clients_faults_and_limits_outlive_the_process() {
    let w = sample(json!({}));
    w.clients().await.unwrap();
    for (verb, args) in [
        ("archive_client", json!({"client": "Acme Ltd"})),
        ("add_staff", json!({"staff": {"name": "Ivo New", "email": "ivo@harbour.example"}})),
        ("set_manager", json!({"client": "Pine Press", "role": "account_manager", "staff": "ivo@harbour.example"})),
        ("complete_job", json!({"job": "J000211"})),
        ("set_limit", json!({"day": 8})),
        ("set_app", json!({"page_max": 7})),
    ] {
        w.control(verb, args);
    }
    let again = later(&w);
    let (a, b) = (w.clients().await.unwrap(), again.clients().await.unwrap());
    assert_eq!(a, b);
    assert_eq!((a.len(), a.iter().filter(|r| r.people.iter().any(|p| p.name == "Ivo New")).count()), (14, 1));
    assert_eq!(again.clients().await.unwrap_err().get("limit"), Some("day"), "seven calls before, and eight a day");
}

#[tokio::test(start_paused = true)]
async fn the_second_request_for_jobs_fails_in_the_later_process_too() {
    let w = sample(json!({}));
    w.control("set_outage", json!({"kind": 503, "path": "/practicemanager/3.1/job.api", "skip": 1, "count": 1}));
    w.clients().await.unwrap();
    let again = later(&w);
    assert_eq!(again.clients().await.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(again.clients().await.is_ok());
    tokio::time::sleep(Duration::from_secs(1801)).await;
    assert_eq!(
        again.clients().await.unwrap_err().kind,
        ErrorKind::Unauthenticated,
        "half an hour is an access token's life"
    );
}

#[test]
fn what_is_no_saved_state_is_refused_with_the_reason() {
    for wrong in [Value::Null, json!({}), json!({"world": []})] {
        let e = Fake::restore(&wrong).err().unwrap();
        assert!(e.contains("Practice Manager sandbox") && e.contains("start a new sandbox"), "{e}");
    }
    let e = Fake::from_seed(&json!({"app": {"client_id": "x"}, "users": [], "practices": []})).err().unwrap();
    assert!(e.contains("needs a user"), "{e}");
    let mut fake = Fake::sample().unwrap();
    assert!(fake.control("dance", &json!({})).unwrap_err().contains("set_outage"));
    assert!(fake.control("token", &json!({"scopes": SCOPES})).is_ok());
}
