//! A fake that was saved goes on as if nothing had happened.

use ledgerward_google_drive::fake::{DriveFake, permission_id};
use ledgerward_kit::fake::{Fake, FakeResponse};
use serde_json::{Value, json};

use crate::{
    common::*,
    signin::{CLIENT, Raw, authorize},
};

const BASE: &str = "http://127.0.0.1:4000";

/// The same client at the fake that a later process finds. The state goes through text, as it does through a file.
fn later(raw: &Raw) -> Raw {
    let saved = raw.fake.save();
    let read: Value = serde_json::from_str(&saved.to_string()).unwrap();
    let fake = DriveFake::restore(&read, BASE).unwrap();
    assert_eq!(fake.save(), saved);
    Raw { fake, now: raw.now, token: raw.token.clone(), host: raw.host }
}

/// Does the same to both, and gives what both said.
fn both<T: std::fmt::Debug>(pair: &mut [Raw; 2], mut act: impl FnMut(&mut Raw) -> T) -> T {
    let [a, b] = pair;
    let (a, b) = (act(a), act(b));
    assert_eq!(format!("{a:?}"), format!("{b:?}"));
    b
}

fn redeem(raw: &mut Raw, code: &str) -> (u16, Value) {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("code_verifier", "the-right-verifier"),
        ("redirect_uri", "http://127.0.0.1:7777/"),
    ];
    raw.form("/token", &[CLIENT.as_slice(), &fields].concat())
}

fn refresh(raw: &mut Raw, token: &Value) -> (u16, Value) {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str().unwrap())];
    raw.form("/token", &[CLIENT.as_slice(), &fields].concat())
}

fn create(raw: &mut Raw, metadata: Value) -> Value {
    let (status, made) = raw.json("POST", "/drive/v3/files", metadata);
    assert_eq!(status, 200, "{made}");
    made["id"].clone()
}

#[test]
fn sign_ins_folders_files_sharing_and_changes_outlive_the_process() {
    let mut raw = Raw::new();
    let code = authorize(&mut raw, "the-right-verifier");
    let (_, tokens) = redeem(&mut raw, &code);
    let open = authorize(&mut raw, "the-right-verifier");
    let (_, page) = raw.json("GET", "/drive/v3/changes/startPageToken", Value::Null);
    let page = page["startPageToken"].as_str().unwrap().to_owned();
    let marks = json!({"name": "Client A", "mimeType": "application/vnd.google-apps.folder", "parents": [MY],
        "appProperties": {"ledger": "a-1"}});
    let folder = create(&mut raw, marks);
    let folder = folder.as_str().unwrap();
    let share = json!({"type": "user", "role": "reader", "emailAddress": ANA});
    let path = format!("/drive/v3/files/{folder}/permissions?sendNotificationEmail=false");
    assert_eq!(raw.json("POST", &path, share).0, 200);
    let file = create(&mut raw, json!({"name": "October.pdf", "mimeType": "application/pdf", "parents": [folder]}));
    let file = file.as_str().unwrap();
    let put = format!("/upload/drive/v3/files/{file}?uploadType=media");
    assert_eq!(raw.send("PATCH", &put, "a \u{0} statement \u{20ac}").status, 200);
    let (_, ids) = raw.json("GET", "/drive/v3/files/generateIds?count=2", Value::Null);
    for (verb, args) in [
        ("share", json!({"file": folder, "email": BEN, "role": "writer"})),
        ("delete_account", json!({"email": CARA})),
        ("outage", json!({"path": "/drive/v3/about", "status": 502, "count": 2})),
        ("set_policy", json!({"domain": "harbour.example", "share_out": false})),
    ] {
        raw.fake.control(verb, &args).unwrap();
    }
    let about = "/drive/v3/about?fields=user,storageQuota";
    assert_eq!(raw.send("GET", about, "").status, 502);

    let restored = later(&raw);
    let mut pair = [raw, restored];
    let mut ask = |path: &str| both(&mut pair, |raw| raw.send("GET", path, ""));
    let json = |answer: &FakeResponse| serde_json::from_slice::<Value>(&answer.body).unwrap();
    assert_eq!((ask(about).status, ask(about).status), (502, 200), "the second request is the last to fail");
    let found = json(&ask(&format!("/drive/v3/files?q='{folder}'+in+parents&fields=files(id,md5Checksum)")));
    assert_eq!(found["files"][0]["id"], file);
    assert!(found["files"][0]["md5Checksum"].is_string());
    let marks = json(&ask(&format!("/drive/v3/files/{folder}?fields=appProperties,version,capabilities")));
    assert_eq!(marks["appProperties"]["ledger"], "a-1");
    let bytes = ask(&format!("/drive/v3/files/{file}?alt=media"));
    assert_eq!(bytes.body.as_ref(), "a \u{0} statement \u{20ac}".as_bytes());
    let all =
        json(&ask(&format!("/drive/v3/files/{folder}/permissions?fields=permissions(id,role,type,emailAddress)")));
    let role = |email: &str| {
        let mut all = all["permissions"].as_array().unwrap().iter();
        all.find(|p| p["id"] == permission_id(email)).map(|p| p["role"].clone())
    };
    assert_eq!((role(ANA), role(BEN)), (Some(json!("reader")), Some(json!("writer"))));
    let feed = json(&ask(&format!("/drive/v3/changes?pageToken={page}")));
    assert!(feed["changes"].as_array().unwrap().iter().any(|c| c["fileId"] == file), "{feed}");

    // One id before, one after, and a new one: none serves twice.
    for id in ids["ids"].as_array().unwrap() {
        let made = both(&mut pair, |raw| raw.json("POST", "/drive/v3/files", json!({"id": id, "name": "x"})));
        assert_eq!(made.0, 200);
    }
    let fresh = both(&mut pair, |raw| create(raw, json!({"name": "y"})));
    assert!(!ids["ids"].as_array().unwrap().contains(&fresh) && fresh != folder && fresh != file);
    let guest = json!({"type": "user", "role": "reader", "emailAddress": "guest@client.example"});
    assert!(
        both(&mut pair, |raw| raw.json("POST", &path, guest.clone())).0 >= 400,
        "the domain shares no more outside"
    );
    let (status, more) = both(&mut pair, |raw| refresh(raw, &tokens["refresh_token"]));
    assert_eq!(status, 200);
    assert_ne!(more["access_token"], tokens["access_token"]);
    assert_eq!(both(&mut pair, |raw| redeem(raw, &open)).0, 200);
    assert_eq!(both(&mut pair, |raw| redeem(raw, &open)).0, 400);
    let [a, b] = pair;
    assert_eq!(a.fake.save(), b.fake.save(), "no id is given out twice from here on");
}

#[test]
fn an_upload_under_way_is_forgotten_and_begins_anew_at_the_new_address() {
    let mut raw = Raw::new();
    let begin = |raw: &mut Raw| {
        let answer = raw.send("POST", "/upload/drive/v3/files?uploadType=resumable", r#"{"name": "big"}"#);
        assert_eq!(answer.status, 200);
        answer.headers.iter().find(|(k, _)| k == "location").unwrap().1.clone()
    };
    let old = url::Url::parse(&begin(&mut raw)).unwrap();
    let mut raw = later(&raw);
    raw.host = None;
    let status = raw.send("PUT", &format!("{}?{}", old.path(), old.query().unwrap()), "bytes").status;
    assert!(matches!(status, 404 | 410), "{status}");
    let new = url::Url::parse(&begin(&mut raw)).unwrap();
    assert_eq!(new.origin().ascii_serialization(), BASE);
    assert_ne!(new.query(), old.query());
    assert_eq!(raw.send("PUT", &format!("{}?{}", new.path(), new.query().unwrap()), "bytes").status, 200);
}

#[test]
fn what_is_no_saved_state_is_refused_with_the_reason() {
    let mut broken = DriveFake::from_seed(&seed()).unwrap().save();
    broken["st"]["files"][MY]["content"] = json!("no base64!");
    for wrong in [Value::Null, json!({}), seed(), broken] {
        let e = DriveFake::restore(&wrong, BASE).unwrap_err();
        assert!(e.contains("Google Drive sandbox") && e.contains("start a new sandbox"), "{e}");
    }
}
