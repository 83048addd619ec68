//! What the fake's own rules are worth: it refuses what Box refuses.

use http::HeaderMap;
use ledgerward_box::fake::BoxFake;
use ledgerward_contract::{Response, Retry, Timestamp};
use ledgerward_kit::fake::{Fake, FakeResponse};
use serde_json::{Value, json};
use url::Url;

use crate::common::*;

pub struct Raw {
    pub fake: BoxFake,
    pub now: Timestamp,
    pub token: String,
}

impl Raw {
    pub fn new() -> Self {
        let mut fake = BoxFake::from_seed(&seed()).unwrap();
        let now = now();
        let token = token(&mut fake, now, &json!({}));
        Self { fake, now, token }
    }

    pub fn full(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> FakeResponse {
        let bearer = format!("Bearer {}", self.token);
        let own = [("authorization", bearer.as_str()), ("host", "127.0.0.1:9")];
        ask(&mut self.fake, self.now, (method, path), &[&own, headers].concat(), body)
    }

    pub fn json(&mut self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        read(&self.full(method, path, &[], text.into()))
    }

    pub fn code(&mut self, method: &str, path: &str, body: Value) -> (u16, String) {
        let (status, v) = self.json(method, path, body);
        (status, v["code"].as_str().unwrap_or_default().to_owned())
    }

    fn form(&mut self, path: &str, parts: &[(&str, &str)], headers: &[(&str, &str)]) -> (u16, Value) {
        let mut body = String::new();
        for (name, value) in parts {
            body += &format!("--bb\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        }
        body += "--bb--\r\n";
        let kind = [("content-type", "multipart/form-data; boundary=bb")];
        read(&self.full("POST", path, &[&kind, headers].concat(), body.into()))
    }
}

const FOLDERS: &str = "/2.0/folders";

#[test]
fn names_conflicts_and_etags() {
    let mut raw = Raw::new();
    let make = |raw: &mut Raw, name: &str| raw.json("POST", FOLDERS, json!({ "name": name, "parent": { "id": ROOT } }));
    let (status, made) = make(&mut raw, "Acme");
    assert_eq!(status, 201);
    let (status, again) = make(&mut raw, "ACME");
    assert_eq!((status, &again["code"]), (409, &json!("item_name_in_use")));
    assert_eq!(again["context_info"]["conflicts"][0]["id"], made["id"]);
    for (name, code) in [("a/b", "item_name_invalid"), ("a ", "item_name_invalid"), ("..", "item_name_invalid")] {
        assert_eq!(make(&mut raw, name).1["code"], code, "{name}");
    }
    assert_eq!(make(&mut raw, &"x".repeat(256)).1["code"], "item_name_too_long");
    let path = format!("{FOLDERS}/{}", made["id"].as_str().unwrap());
    let put =
        |raw: &mut Raw, etag: &str| raw.full("PUT", &path, &[("if-match", etag)], br#"{"name":"B"}"#.into()).status;
    assert_eq!((put(&mut raw, "7"), put(&mut raw, "0"), put(&mut raw, "0")), (412, 200, 412));
    assert_eq!(raw.code("GET", &format!("{path}?fields=nonsense"), Value::Null), (400, "bad_request".into()));
    assert_eq!(raw.code("GET", &format!("{FOLDERS}/999"), Value::Null), (404, "not_found".into()));
    assert_eq!(raw.code("GET", &format!("{FOLDERS}/33550002"), Value::Null), (404, "not_found".into()), "Ana's own");
    make(&mut raw, "inner");
    assert_eq!(raw.code("DELETE", &format!("{FOLDERS}/{ROOT}"), Value::Null), (400, "folder_not_empty".into()));
    assert_eq!(raw.json("DELETE", &path, Value::Null).0, 204);
    assert_eq!(raw.code("GET", &path, Value::Null), (404, "trashed".into()));
    assert_eq!(raw.json("GET", "/2.0/nothing", Value::Null).0, 599);
    assert_eq!(raw.json("GET", &format!("{FOLDERS}/{ROOT}/items?limit=2000&usemarker=true"), Value::Null).0, 400);
}

#[test]
fn uploads_want_attributes_first_and_the_right_hash() {
    let mut raw = Raw::new();
    let path = "/api/2.0/files/content";
    let attributes = json!({ "name": "a.pdf", "parent": { "id": ROOT } }).to_string();
    let file = ("file", "abc");
    let (status, e) = raw.form(path, &[file, ("attributes", &attributes)], &[]);
    assert_eq!((status, &e["code"]), (400, &json!("metadata_after_file_contents")));
    let (status, e) = raw.form(path, &[("attributes", &attributes), file], &[("content-md5", "00")]);
    assert_eq!((status, &e["code"]), (400, &json!("bad_digest")));
    let sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d"; // FIPS 180-1, of "abc"
    let (status, made) = raw.form(path, &[("attributes", &attributes), file], &[("content-md5", sha1)]);
    assert_eq!((status, &made["entries"][0]["sha1"]), (201, &json!(sha1)));
    let (status, e) = raw.form(path, &[("attributes", &attributes), file], &[]);
    assert_eq!((status, &e["context_info"]["conflicts"]["sha1"]), (409, &json!(sha1)), "one object for files");
    let version = format!("/api/2.0/files/{}/content", made["entries"][0]["id"].as_str().unwrap());
    assert_eq!(raw.form(&version, &[("attributes", "{}"), file], &[("if-match", "0")]).0, 412);
}

#[test]
fn sessions_want_whole_parts_in_order() {
    let mut raw = Raw::new();
    let open = |raw: &mut Raw, size: u64| {
        raw.json(
            "POST",
            "/api/2.0/files/upload_sessions",
            json!({ "folder_id": ROOT, "file_size": size, "file_name": "b" }),
        )
    };
    assert_eq!(open(&mut raw, 12).0, 400, "too small for a session");
    raw.fake.control("limits", &json!({ "session_min": 10, "part_size": 8 })).unwrap();
    let (status, s) = open(&mut raw, 12);
    assert_eq!(status, 201);
    let path = |end: &str| Url::parse(s["session_endpoints"][end].as_str().unwrap()).unwrap().path().to_owned();
    // SHA-1 of "AAAAAAAA" and of "BBBB", then of both, in base64.
    let sha = |text: &str| {
        let d = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        format!("sha={}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, d))
    };
    let part = |raw: &mut Raw, range: &str, digest: &str, body: &str| {
        let headers = [("content-range", range), ("digest", digest)];
        let answer = raw.full("PUT", &path("upload_part"), &headers, body.into());
        (answer.status, serde_json::from_slice::<Value>(&answer.body).unwrap_or_default())
    };
    let (a, b) = ("AAAAAAAA", "BBBB");
    assert_eq!(part(&mut raw, "bytes 0-3/12", &sha("AAAA"), "AAAA").0, 416, "half a part");
    assert_eq!(part(&mut raw, "bytes 0-7/12", &sha("x"), a).0, 412);
    let (_, one) = part(&mut raw, "bytes 0-7/12", &sha(a), a);
    assert_eq!(part(&mut raw, "bytes 0-7/12", &sha(a), a).0, 200, "the same again");
    assert_eq!(part(&mut raw, "bytes 0-7/12", &sha("CCCCCCCC"), "CCCCCCCC").0, 409);
    let commit = |raw: &mut Raw, parts: Value, digest: &str| {
        let answer =
            raw.full("POST", &path("commit"), &[("digest", digest)], json!({ "parts": parts }).to_string().into());
        (answer.status, serde_json::from_slice::<Value>(&answer.body).unwrap_or_default())
    };
    let all = sha("AAAAAAAABBBB");
    assert_eq!(commit(&mut raw, json!([one["part"]]), &all).1["code"], "parts_mismatch");
    let (_, two) = part(&mut raw, "bytes 8-11/12", &sha(b), b);
    assert_eq!(commit(&mut raw, json!([two["part"], one["part"]]), &all).1["code"], "parts_mismatch");
    assert_eq!(commit(&mut raw, json!([one["part"], two["part"]]), &sha("x")).0, 412);
    raw.fake.control("pending_commits", &json!({})).unwrap();
    assert_eq!(commit(&mut raw, json!([one["part"], two["part"]]), &all).0, 202);
    assert_eq!(commit(&mut raw, json!([one["part"], two["part"]]), &all).0, 201);
    raw.now = raw.now.saturating_add(jiff::SignedDuration::from_hours(24)).unwrap();
    assert_eq!(part(&mut raw, "bytes 0-7/12", &sha(a), a).0, 401, "the access token has ended");
}

#[test]
fn limits_are_counted_by_the_minute() {
    let mut raw = Raw::new();
    raw.fake.control("limits", &json!({ "per_minute": 3 })).unwrap();
    let me = |raw: &mut Raw| raw.full("GET", "/2.0/users/me", &[], vec![]);
    for _ in 0..3 {
        assert_eq!(me(&mut raw).status, 200);
    }
    let refused = me(&mut raw);
    assert_eq!((refused.status, refused.body.len()), (429, 0));
    assert!(refused.headers.iter().any(|(k, v)| k == "retry-after" && v == "60"));
    raw.now = raw.now.saturating_add(jiff::SignedDuration::from_secs(60)).unwrap();
    assert_eq!(me(&mut raw).status, 200);
}

#[test]
fn roles_flow_down_and_are_kept() {
    let mut raw = Raw::new();
    let share = |raw: &mut Raw, item: &str, who: &str, role: &str| {
        let body = json!({ "item": { "type": "folder", "id": item }, "accessible_by": { "type": "user", "login": who }, "role": role });
        raw.code("POST", "/2.0/collaborations?notify=false", body)
    };
    assert_eq!(share(&mut raw, "0", BEN, "viewer").1, "collaborations_not_available_on_root_folder");
    assert_eq!(share(&mut raw, ROOT, BEN, "owner").0, 400);
    assert_eq!(share(&mut raw, ROOT, BEN, "reader").0, 400);
    assert_eq!(share(&mut raw, ROOT, "nonsense", "viewer").0, 400);
    assert_eq!(share(&mut raw, ROOT, BEN, "viewer").0, 201);
    assert_eq!(share(&mut raw, ROOT, BEN, "viewer").1, "user_already_collaborator");
    let (_, sub) = raw.json("POST", FOLDERS, json!({ "name": "sub", "parent": { "id": ROOT } }));
    let sub = sub["id"].as_str().unwrap().to_owned();
    raw.token = raw.fake.control("token", &json!({ "user": BEN })).unwrap()["access_token"].as_str().unwrap().into();
    assert_eq!(raw.json("GET", &format!("{FOLDERS}/{sub}"), Value::Null).0, 200);
    assert_eq!(share(&mut raw, &sub, CARA, "viewer").0, 403, "a viewer invites nobody");
    assert_eq!(raw.json("PUT", &format!("{FOLDERS}/{sub}"), json!({ "name": "x" })).0, 403);
}

#[test]
fn shares_by_hand_are_of_the_one_who_is_named() {
    let mut raw = Raw::new();
    let mut hand = |verb: &str, who: Value| {
        let mut args = who;
        args["item"] = json!(ROOT);
        raw.fake.control(verb, &args)
    };
    // Ben and Cara have accounts, Late has none, and a group is nobody's account.
    let all = [
        json!({ "login": BEN }),
        json!({ "login": CARA }),
        json!({ "login": "late@nowhere.example" }),
        json!({ "group": "Everybody at Harbour" }),
    ];
    let ids: std::collections::BTreeSet<_> =
        all.iter().map(|who| hand("share", who.clone()).unwrap()["collaboration"].to_string()).collect();
    assert_eq!(ids.len(), 4);
    for who in &all {
        let again = hand("share", who.clone()).unwrap()["collaboration"].to_string();
        assert!(ids.contains(&again), "{who} is on it twice");
    }
    hand("unshare", all[1].clone()).unwrap();
    assert!(hand("unshare", all[1].clone()).is_err(), "somebody else was taken off");
    for who in [&all[0], &all[2], &all[3]] {
        hand("unshare", who.clone()).unwrap();
    }
}

#[test]
fn passing_refusals_are_known_to_the_retry_layer() {
    let answer = |status, code: &str| Response {
        status,
        headers: HeaderMap::new(),
        body: json!({ "type": "error", "status": status, "code": code }).to_string().into(),
    };
    let hint = ledgerward_box::retry_hint;
    assert_eq!(hint(&answer(409, "operation_blocked_temporary")), Some(Retry::Backoff));
    assert_eq!(hint(&answer(409, "name_temporarily_reserved")), Some(Retry::Backoff));
    assert_eq!(hint(&answer(409, "item_name_in_use")), None);
    assert_eq!(hint(&answer(403, "forbidden_by_policy")), None);
}
