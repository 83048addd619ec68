//! What the fake's own rules are worth: it refuses what Microsoft refuses; and it goes on after a restart.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use ledgerward_contract::Timestamp;
use ledgerward_kit::fake::{Fake, FakeResponse};
use ledgerward_microsoft_graph::fake::GraphFake;
use serde_json::{Value, json};
use url::Url;

use crate::common::*;

struct Raw {
    fake: GraphFake,
    now: Timestamp,
    token: Option<String>,
}

const ITEMS: &str = "/v1.0/drives/b!Ledgers-1/items/01HARBCLIENTS";

impl Raw {
    fn new() -> Self {
        let mut fake = GraphFake::from_seed(&seed()).unwrap();
        let now = now();
        let token = token(&mut fake, now, &json!({ "user": US }));
        Self { fake, now, token: Some(token) }
    }

    fn full(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> FakeResponse {
        let bearer = self.token.as_ref().map(|t| format!("Bearer {t}"));
        let own = bearer.iter().map(|b| ("authorization", b.as_str())).chain([("user-agent", "NONISV|t|t/1")]);
        let headers: Vec<_> = own.chain(headers.iter().copied()).collect();
        ask(&mut self.fake, self.now, (method, path), &headers, body)
    }

    fn json(&mut self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        read(&self.full(method, path, &[], text.into()))
    }

    fn code(&mut self, method: &str, path: &str, body: Value) -> (u16, String) {
        let (status, v) = self.json(method, path, body);
        (status, v["error"]["code"].as_str().unwrap_or_default().to_owned())
    }

    fn form(&mut self, fields: &[(&str, &str)]) -> (u16, Value) {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        read(&self.full("POST", "/organizations/oauth2/v2.0/token", &kind, body.into()))
    }
}

fn folder(name: &str) -> Value {
    json!({ "name": name, "folder": {}, "@microsoft.graph.conflictBehavior": "fail" })
}

#[test]
fn names_paths_conflicts_and_tags() {
    let mut raw = Raw::new();
    let children = format!("{ITEMS}/children");
    let (status, made) = raw.json("POST", &children, folder("Acme & Co #1"));
    assert_eq!(status, 201);
    assert_eq!(raw.code("POST", &children, folder("ACME & co #1")), (409, "nameAlreadyExists".to_owned()));
    for bad in ["a:b", "CON", "~$x", "a.", "x_vti_y", ""] {
        assert_eq!(raw.code("POST", &children, folder(bad)).0, 400, "{bad}");
    }
    let (status, found) = raw.json("GET", "/v1.0/drives/b!Ledgers-1/root:/Clients/acme%20%26%20co%20%231", Value::Null);
    assert_eq!((status, &found["id"]), (200, &made["id"]));
    assert_eq!(raw.json("GET", &format!("{ITEMS}:/nothing"), Value::Null).0, 404);
    let file = format!("{ITEMS}:/a.pdf:/content?@microsoft.graph.conflictBehavior=fail");
    let (status, put) = raw.json("PUT", &file, json!("one"));
    assert_eq!((status, put["file"]["hashes"]["quickXorHash"].is_string()), (201, true));
    assert_eq!(raw.json("PUT", &file, json!("two")).0, 409);
    let id = put["id"].as_str().unwrap();
    let over = format!("/v1.0/drives/b!Ledgers-1/items/{id}/content");
    assert_eq!(raw.full("PUT", &over, &[("if-match", "\"c:{x},9\"")], b"x".to_vec()).status, 412);
    let tag = put["cTag"].as_str().unwrap().to_owned();
    assert_eq!(raw.full("PUT", &over, &[("if-match", &tag)], b"x".to_vec()).status, 200);
    assert_eq!(raw.full("PUT", &over, &[("if-match", &tag)], b"x".to_vec()).status, 412);
    assert!(raw.json("GET", ITEMS, Value::Null).1.get("cTag").is_none(), "folders have none");
    raw.token = Some("wrong".to_owned());
    assert_eq!(raw.code("GET", ITEMS, Value::Null), (401, "InvalidAuthenticationToken".to_owned()));
}

#[test]
fn invitations_are_for_people_who_sign_in_and_roles_are_patched_once() {
    let mut raw = Raw::new();
    let invite = format!("{ITEMS}/invite");
    let ask = |mail: bool, sign: bool, role: &str| json!({ "recipients": [{ "email": BEN }], "requireSignIn": sign, "sendInvitation": mail, "roles": [role] });
    assert_eq!(raw.json("POST", &invite, ask(false, false, "read")).0, 400);
    assert_eq!(raw.json("POST", &invite, ask(false, true, "owner")).0, 400);
    let (status, done) = raw.json("POST", &invite, ask(false, true, "write"));
    assert_eq!((status, &done["value"][0]["roles"]), (200, &json!(["write"])));
    assert_eq!(
        raw.json("POST", &invite, ask(false, true, "read")).1["value"][0]["roles"],
        json!(["write"]),
        "not lowered"
    );
    assert_eq!(raw.json("POST", &invite, ask(true, true, "write")).0, 207);
    let id = done["value"][0]["id"].as_str().unwrap().to_owned();
    let one = format!("{ITEMS}/permissions/{id}");
    assert_eq!(raw.json("PATCH", &one, json!({ "roles": ["write"] })).0, 400, "it has this role");
    assert_eq!(raw.json("PATCH", &one, json!({ "roles": ["read"] })).0, 200);
    raw.json("POST", &format!("{ITEMS}/children"), folder("Acme"));
    let (_, list) = raw.json("GET", &format!("{ITEMS}:/Acme:/permissions"), Value::Null);
    let ben = list["value"].as_array().unwrap().iter().find(|p| p["id"] == json!(id)).unwrap();
    assert_eq!(ben["inheritedFrom"], json!({}));
    assert_eq!(raw.json("DELETE", &format!("{ITEMS}:/Acme:/permissions/{id}"), Value::Null).0, 403);
    assert_eq!(raw.json("DELETE", &one, Value::Null).0, 204);
    assert_eq!(raw.json("DELETE", &one, Value::Null).0, 404);
}

#[test]
fn pieces_are_even_in_order_and_carry_no_token() {
    let mut raw = Raw::new();
    let open = |raw: &mut Raw, name: &str| {
        let (status, s) = raw.json("POST", &format!("{ITEMS}:/{name}:/createUploadSession"), json!({ "item": {} }));
        assert_eq!(status, 200);
        s["uploadUrl"].as_str().unwrap().trim_start_matches("http://graph.example").to_owned()
    };
    let at = open(&mut raw, "a.pdf");
    assert_eq!(raw.full("GET", &at, &[], vec![]).status, 401, "a token was sent");
    let token = raw.token.take();
    let put = |raw: &mut Raw, at: &str, from: usize, len: usize, total: usize| {
        let range = format!("bytes {from}-{}/{total}", from + len - 1);
        raw.full("PUT", at, &[("content-range", &range)], vec![7; len]).status
    };
    let grain = 327_680;
    assert_eq!(put(&mut raw, &at, 0, grain, grain + 5), 202);
    assert_eq!(put(&mut raw, &at, 0, grain, grain + 5), 416);
    assert_eq!(put(&mut raw, &at, grain, 5, grain + 5), 201);
    assert_eq!(put(&mut raw, &at, grain, 5, grain + 5), 404, "the session is over");
    raw.token = token;
    let at = open(&mut raw, "b.pdf");
    raw.token = None;
    assert_eq!(put(&mut raw, &at, 0, 100, 105), 202);
    assert_eq!(put(&mut raw, &at, 100, 5, 105), 400, "told at the end only");
}

#[test]
fn t17_codes_serve_once_refresh_tokens_stay_good_and_an_ended_secret_says_so() {
    let mut raw = Raw::new();
    let code = |raw: &mut Raw| {
        let proof = B64.encode(ring::digest::digest(&ring::digest::SHA256, b"right"));
        let path = format!(
            "/organizations/oauth2/v2.0/authorize?client_id=graph-client&redirect_uri=http://localhost:7777/&response_type=code\
             &scope=offline_access+Files.ReadWrite.All&state=s-1&code_challenge={proof}&code_challenge_method=S256"
        );
        let answer = raw.full("GET", &path, &[], vec![]);
        assert_eq!(answer.status, 302);
        let to = Url::parse(&answer.headers.iter().find(|(k, _)| k == "location").unwrap().1).unwrap();
        to.query_pairs().find(|(k, _)| k == "code").unwrap().1.into_owned()
    };
    let client = [("client_id", "graph-client"), ("client_secret", "graph-client-word")];
    let redeem = |raw: &mut Raw, code: &str, verifier: &str| {
        let rest = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", "http://localhost:7777/"),
        ];
        raw.form(&[&client[..], &rest[..]].concat())
    };
    let c = code(&mut raw);
    assert_eq!(redeem(&mut raw, &c, "wrong").1["error"], "invalid_grant");
    let c = code(&mut raw);
    let (status, tokens) = redeem(&mut raw, &c, "right");
    assert_eq!((status, &tokens["token_type"]), (200, &json!("Bearer")));
    assert_eq!(redeem(&mut raw, &c, "right").1["error"], "invalid_grant");
    let old = tokens["refresh_token"].as_str().unwrap();
    let refresh =
        |raw: &mut Raw| raw.form(&[&client[..], &[("grant_type", "refresh_token"), ("refresh_token", old)]].concat());
    let (_, first) = refresh(&mut raw);
    assert_ne!(first["refresh_token"], tokens["refresh_token"]);
    assert_eq!(refresh(&mut raw).0, 200, "the old one stays good");
    raw.fake.control("secret_expired", &json!({})).unwrap();
    assert_eq!(refresh(&mut raw).1["error_codes"], json!([7_000_222]));
    raw.fake.control("secret_expired", &json!({ "expired": false })).unwrap();
    raw.fake.control("withdraw", &json!({ "user": US })).unwrap();
    assert_eq!(refresh(&mut raw).1["error"], "invalid_grant");
}

#[test]
fn folders_sharing_sign_ins_limits_and_changes_outlive_the_process() {
    let mut raw = Raw::new();
    raw.json("POST", &format!("{ITEMS}/children"), folder("Acme"));
    for (verb, args) in [
        ("share", json!({ "item": "Acme", "user": STRANGER })),
        ("share", json!({ "item": "Acme", "link": "users", "people": [BEN] })),
        ("make", json!({ "name": "a.pdf", "parent": "Acme", "content": "\u{20ac} statement" })),
        ("outage", json!({ "path": "/nowhere", "status": 502, "count": 2 })),
        ("limits", json!({ "page_max": 7 })),
        ("set_policy", json!({ "domains": ["harbour.example"] })),
    ] {
        raw.fake.control(verb, &args).unwrap();
    }
    let saved = raw.fake.save();
    let read: Value = serde_json::from_str(&saved.to_string()).unwrap();
    let fake = GraphFake::restore(&read, "http://graph.example").unwrap();
    let mut later = Raw { fake, now: raw.now, token: raw.token.clone() };
    assert_eq!(later.fake.save(), saved);
    for path in [
        "/v1.0/me/drive".to_owned(),
        format!("{ITEMS}:/Acme:/permissions"),
        "/v1.0/drives/b!Ledgers-1/root/delta?token=Mzs0".to_owned(),
    ] {
        assert_eq!(raw.json("GET", &path, Value::Null), later.json("GET", &path, Value::Null), "{path}");
    }
    let make = |raw: &mut Raw| raw.json("POST", &format!("{ITEMS}/children"), folder("Next"));
    assert_eq!(make(&mut raw), make(&mut later));
    assert!(GraphFake::restore(&json!({}), "http://127.0.0.1:4000").is_err());
}

#[test]
fn the_sample_firm_is_a_seed() {
    let mut fake = GraphFake::from_seed(&fixture("firm/microsoft-graph.json")).unwrap();
    assert!(fake.control("token", &json!({ "user": "ann@harbour.example" })).is_ok());
    let e = fake.control("shrae", &json!({})).unwrap_err();
    assert!(e.contains("share"), "{e}");
    assert!(GraphFake::from_seed(&json!({})).is_err());
}
