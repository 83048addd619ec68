//! A fake that was saved goes on as if nothing had happened; the firm's seed is one that it takes.

use ledgerward_box::fake::BoxFake;
use ledgerward_kit::fake::Fake;
use serde_json::{Value, json};

use crate::{common::*, vendor::Raw};

#[test]
fn folders_sharing_sign_ins_limits_and_events_outlive_the_process() {
    let mut raw = Raw::new();
    raw.json("POST", "/2.0/folders", json!({ "name": "Acme", "parent": { "id": ROOT } }));
    for (verb, args) in [
        ("share", json!({ "item": "Acme", "login": WARY, "status": "pending" })),
        ("share", json!({ "item": "Acme", "group": "Everybody at Harbour" })),
        ("make", json!({ "name": "a.pdf", "parent": "Acme", "content": "\u{20ac} statement" })),
        ("outage", json!({ "path": "/nowhere", "status": 502, "count": 2 })),
        ("limits", json!({ "page_max": 7 })),
        ("set_policy", json!({ "domains": ["harbour.example"] })),
    ] {
        raw.fake.control(verb, &args).unwrap();
    }
    let saved = raw.fake.save();
    let read: Value = serde_json::from_str(&saved.to_string()).unwrap();
    let mut later =
        Raw { fake: BoxFake::restore(&read, "http://127.0.0.1:4000").unwrap(), now: raw.now, token: raw.token.clone() };
    assert_eq!(later.fake.save(), saved);
    for path in ["/2.0/users/me", "/2.0/events?stream_type=changes&stream_position=9007199254740993"] {
        assert_eq!(raw.json("GET", path, Value::Null), later.json("GET", path, Value::Null), "{path}");
    }
    let dump = |raw: &mut Raw| raw.fake.control("dump", &json!({})).unwrap();
    assert_eq!(dump(&mut raw), dump(&mut later));
    let make = |raw: &mut Raw| raw.json("POST", "/2.0/folders", json!({ "name": "Next", "parent": { "id": ROOT } }));
    assert_eq!(make(&mut raw), make(&mut later));
    assert!(BoxFake::restore(&json!({}), "http://127.0.0.1:4000").is_err());
}

#[test]
fn the_sample_firm_is_a_seed() {
    let mut fake = BoxFake::from_seed(&fixture("firm/box.json")).unwrap();
    assert!(fake.control("token", &json!({ "user": "ann@harbour.example" })).is_ok());
    let e = fake.control("shrae", &json!({})).unwrap_err();
    assert!(e.contains("share"), "{e}");
    assert!(BoxFake::from_seed(&json!({})).is_err());
}
