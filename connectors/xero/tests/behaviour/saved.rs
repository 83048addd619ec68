//! A fake that was saved goes on as if nothing had happened.

use std::time::Duration;

use ledgerward_kit::fake::{Fake as _, FakeResponse};
use ledgerward_xero::fake::Fake;
use serde_json::{Value, json};

use crate::{
    common::{ACME, BIRCH},
    oauth::{Client, VERIFIER, param},
};

/// The same client at the fake that a later process finds. The state goes through text, as it does through a file.
fn later(c: &Client) -> Client {
    let saved = c.fake.save();
    let read: Value = serde_json::from_str(&saved.to_string()).unwrap();
    let fake = Fake::restore(&read).unwrap();
    assert_eq!(fake.save(), saved);
    Client { fake, now: c.now, secret: c.secret.clone() }
}

fn get(c: &mut Client, access: &Value, tenant: &str, path: &str) -> FakeResponse {
    let headers = [
        ("authorization", format!("Bearer {}", access.as_str().unwrap())),
        ("xero-tenant-id", tenant.to_owned()),
        ("accept", "application/json".to_owned()),
    ];
    c.send("GET", path, &headers, "")
}

fn json(answer: &FakeResponse) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// Does the same to both, and gives what both said.
fn both<T: std::fmt::Debug>(pair: &mut [Client; 2], mut act: impl FnMut(&mut Client) -> T) -> T {
    let [a, b] = pair;
    let (a, b) = (act(a), act(b));
    assert_eq!(format!("{a:?}"), format!("{b:?}"));
    b
}

#[test]
fn sign_ins_users_books_faults_and_limits_outlive_the_process() {
    let mut c = Client::new();
    let first = c.sign_in();
    let (_, second) = c.refresh(&first["refresh_token"]);
    let code = param(&c.consent(&[]).unwrap(), "code").unwrap();
    let paper = json!([{"name": "till \u{e9}.bin", "mime": "image/png", "content": "\u{0}\u{1f}\u{7f}bytes"}]);
    let posted = json!({"tenant": ACME, "transaction": {"date": "2026-10-30", "type": "SPEND", "bank": "090",
        "account": "404", "amount": "77.10", "contact": "Printer", "attachments": paper}});
    let id = c.fake.control("post_transaction", &posted).unwrap()["id"].as_str().unwrap().to_owned();
    for (verb, args) in [
        ("set_role", json!({"tenant": ACME, "user": "bob@harbour.example", "role": "READONLY"})),
        ("drop_user", json!({"tenant": ACME, "user": "wim@acme.example"})),
        ("disconnect_tenant", json!({"tenant": BIRCH})),
        ("set_lock_date", json!({"tenant": ACME, "date": "2026-09-30"})),
        ("set_limit", json!({"day": 7})),
        ("set_outage", json!({"kind": 503, "path": "/api.xro/2.0/Organisation", "skip": 1, "count": 1})),
        ("set_outage", json!({"kind": "missing_field", "field": "Name", "path": "/api.xro/2.0/Accounts"})),
    ] {
        c.fake.control(verb, &args).unwrap();
    }
    assert_eq!(get(&mut c, &second["access_token"], ACME, "/api.xro/2.0/Organisation").status, 200);

    let restored = later(&c);
    let mut pair = [c, restored];
    let access = &second["access_token"];
    let mut ask = |tenant: &str, path: &str| both(&mut pair, |c| get(c, access, tenant, path));
    assert_eq!(ask(ACME, "/api.xro/2.0/Organisation").status, 503, "the second request is the one to fail");
    let users = json(&ask(ACME, "/api.xro/2.0/Users"));
    let role = |email: &str| {
        let mut users = users["Users"].as_array().unwrap().iter();
        users.find(|u| u["EmailAddress"] == email).map(|u| u["OrganisationRole"].clone())
    };
    assert_eq!((role("bob@harbour.example"), role("wim@acme.example")), (Some(json!("READONLY")), None));
    assert_eq!(ask(BIRCH, "/api.xro/2.0/Users").status, 403);
    let organisation = json(&ask(ACME, "/api.xro/2.0/Organisation"));
    assert!(organisation["Organisations"][0]["PeriodLockDate"].is_string());
    let list = json(&ask(ACME, &format!("/api.xro/2.0/BankTransactions/{id}/Attachments")));
    let paper = list["Attachments"][0]["AttachmentID"].as_str().unwrap();
    let bytes = ask(ACME, &format!("/api.xro/2.0/BankTransactions/{id}/Attachments/{paper}"));
    assert_eq!(bytes.body.as_ref(), b"\0\x1f\x7fbytes");
    let report = ask(ACME, "/api.xro/2.0/Reports/TrialBalance?date=2026-10-31");
    assert!(report.status == 200 && json(&report)["Reports"][0]["Rows"].as_array().unwrap().len() > 3);
    assert!(json(&ask(ACME, "/api.xro/2.0/Accounts"))["Accounts"][0].get("Name").is_none());
    assert_eq!(ask(ACME, "/api.xro/2.0/Users").status, 429, "seven calls a day, and one was before");

    let connections = both(&mut pair, |c| get(c, access, ACME, "/connections"));
    assert!(!json(&connections).as_array().unwrap().iter().any(|c| c["tenantId"] == BIRCH));
    assert_eq!(both(&mut pair, |c| c.redeem(&code, VERIFIER)).0, 200);
    assert_eq!(both(&mut pair, |c| c.redeem(&code, VERIFIER)).0, 400);
    // The last one's answer may have been lost with the process: its predecessor still serves, for half an hour.
    let (status, third) = both(&mut pair, |c| c.refresh(&first["refresh_token"]));
    assert_eq!(status, 200);
    both(&mut pair, |c| c.pass(Duration::from_secs(1799)));
    assert_eq!(both(&mut pair, |c| c.users(&third["access_token"])), 429, "past the sign-in, and at the day's limit");
    both(&mut pair, |c| c.pass(Duration::from_secs(2)));
    assert_eq!(both(&mut pair, |c| c.users(&third["access_token"])), 401);
    assert_eq!(both(&mut pair, |c| c.refresh(&first["refresh_token"])).1["error"], "invalid_grant");
    assert_eq!(both(&mut pair, |c| c.refresh(&third["refresh_token"])).0, 200);
    let [a, b] = pair;
    assert_eq!(a.fake.save(), b.fake.save(), "no id is given out twice from here on");
}

#[test]
fn swapped_organisations_and_the_one_who_signs_in_outlive_the_process() {
    let mut c = Client::new();
    c.fake.control("sign_in_as", &json!({"email": "ann@harbour.example"})).unwrap();
    c.fake.control("swap_tenants", &json!({"a": ACME, "b": BIRCH})).unwrap();
    c.fake.control("rotate_client_secret", &json!({"secret": "another-sandbox-secret"})).unwrap();
    c.secret = "another-sandbox-secret".to_owned();
    let mut pair = [later(&c), c];
    let tokens = both(&mut pair, Client::sign_in);
    let who = both(&mut pair, |c| get(c, &tokens["access_token"], ACME, "/connect/userinfo"));
    assert_eq!(json(&who)["email"], "ann@harbour.example");
    let other = both(&mut pair, |c| get(c, &tokens["access_token"], ACME, "/api.xro/2.0/Organisation"));
    assert_eq!(json(&other)["Organisations"][0]["OrganisationID"], BIRCH);
}

#[test]
fn a_large_firm_saves_its_shared_books_once() {
    let mut fake = Fake::many(2_000).unwrap();
    let before = fake.save();
    assert_eq!(before["orgs"]["books"].as_array().unwrap().len(), 1);
    let post = |fake: &mut Fake, n: usize| {
        let what = json!({"date": "2026-10-30", "type": "SPEND", "bank": "090", "account": "404", "amount": "1.00"});
        let args = json!({"tenant": format!("Client {n:05} Ltd"), "transaction": what});
        fake.control("post_transaction", &args).unwrap()
    };
    post(&mut fake, 7);
    let saved = fake.save();
    assert_eq!(saved["orgs"]["books"].as_array().unwrap().len(), 2, "only the one with a posting has books of its own");
    let mut restored = Fake::restore(&serde_json::from_str(&saved.to_string()).unwrap()).unwrap();
    assert_eq!(restored.save(), saved);
    // A posting into shared books stays with the one it was made for.
    assert_eq!(post(&mut restored, 8), post(&mut fake, 8));
    assert_eq!(restored.save()["orgs"]["books"].as_array().unwrap().len(), 3);
}

#[test]
fn what_is_no_saved_state_is_refused_with_the_reason() {
    for wrong in [Value::Null, json!({}), json!({"organisations": []})] {
        let e = Fake::restore(&wrong).err().unwrap();
        assert!(e.contains("Xero sandbox") && e.contains("start a new sandbox"), "{e}");
    }
    let mut saved = Fake::sample().unwrap().save();
    saved["orgs"]["books"] = json!([]);
    assert!(Fake::restore(&saved).err().unwrap().contains("has no books"));
}

#[test]
fn p10_connections_count_towards_the_minute_of_the_app() {
    let mut c = Client::new();
    let tokens = c.sign_in();
    let left = |answer: &FakeResponse| {
        let left = answer.headers.iter().find(|(k, _)| k == "x-appminlimit-remaining");
        left.map(|(_, v)| v.parse::<u32>().unwrap())
    };
    assert_eq!(left(&get(&mut c, &tokens["access_token"], ACME, "/connections")), Some(9_999));
    assert_eq!(left(&get(&mut c, &tokens["access_token"], ACME, "/api.xro/2.0/Users")), Some(9_998));
    let mut nearly = c.fake.save();
    assert_eq!(nearly["app_minute"]["calls"], 2);
    nearly["app_minute"]["calls"] = json!(9_999);
    c.fake = Fake::restore(&nearly).unwrap();
    assert_eq!(left(&get(&mut c, &tokens["access_token"], ACME, "/connections")), Some(0));
    let refused = get(&mut c, &tokens["access_token"], ACME, "/connections");
    assert_eq!((refused.status, left(&refused)), (429, Some(0)));
    assert!(refused.headers.contains(&("x-rate-limit-problem".to_owned(), "appminute".to_owned())));
    assert_eq!(get(&mut c, &tokens["access_token"], ACME, "/api.xro/2.0/Users").status, 429);
    c.pass(Duration::from_secs(60));
    assert_eq!(get(&mut c, &tokens["access_token"], ACME, "/connections").status, 200);
}
