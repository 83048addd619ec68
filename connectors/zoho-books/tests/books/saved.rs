//! A fake that was saved goes on as if nothing had happened.

use ledgerward_contract::ErrorKind;
use ledgerward_kit::fake::Fake as _;
use ledgerward_kit::testing::World;
use ledgerward_zoho_books::fake::Fake;
use serde_json::{Value, json};

use crate::common::{CEDAR, FJORD, SCOPE, sample};

/// The same world in a later process: the state goes through text, as it does through a file.
fn later(w: &World) -> World {
    let saved = w.fake.lock().unwrap().save();
    let fake = Fake::restore(&serde_json::from_str(&saved.to_string()).unwrap()).unwrap();
    assert_eq!(fake.save(), saved);
    w.at_another(fake)
}

#[tokio::test(start_paused = true)]
async fn sign_ins_users_faults_and_limits_outlive_the_process() {
    let w = sample(json!({}));
    w.access(CEDAR).await.unwrap();
    let new = json!({"name": "Ivo New", "email": "ivo@harbour.example", "user_role": "staff"});
    for (verb, args) in [
        ("add_user", json!({"organization": CEDAR, "user": new})),
        (
            "change_email",
            json!({"organization": CEDAR, "user": "dev@harbour.example", "email": "dev.p@harbour.example"}),
        ),
        ("set_limit", json!({"day": 5})),
        ("set_outage", json!({"kind": 503, "path": "/books/v3/users", "skip": 1, "count": 1})),
    ] {
        w.control(verb, args);
    }
    let again = later(&w);
    let (a, b) = (w.access(CEDAR).await.unwrap(), again.access(CEDAR).await.unwrap());
    assert_eq!(a, b);
    assert_eq!(b.len(), 5);
    assert!(b.iter().any(|f| f.email.as_deref() == Some("dev.p@harbour.example")));
    assert_eq!(again.access(FJORD).await.unwrap_err().kind, ErrorKind::Unavailable, "the second request fails");
    assert!(again.access(CEDAR).await.is_ok());
    assert_eq!(again.access(CEDAR).await.unwrap_err().get("limit"), Some("day"));
}

#[test]
fn what_is_no_saved_state_is_refused_with_the_reason() {
    for wrong in [Value::Null, json!({}), json!({"world": []})] {
        let e = Fake::restore(&wrong).err().unwrap();
        assert!(e.contains("Zoho Books sandbox") && e.contains("start a new sandbox"), "{e}");
    }
    let mut fake = Fake::sample().unwrap();
    assert!(fake.control("dance", &json!({})).unwrap_err().contains("set_outage"));
    assert!(fake.control("token", &json!({"scopes": SCOPE})).is_ok());
    let e =
        Fake::from_seed(&json!({"app": {"client_id": "x", "client_secret": "y"}, "users": [], "organisations": []}));
    assert!(e.err().unwrap().contains("no user who could sign in"));
}
