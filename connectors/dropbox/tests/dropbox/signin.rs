//! What the fake's own rules are worth: sign-in, headers, arguments, and going on after a restart.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use jiff::SignedDuration;
use ledgerward_contract::{ErrorKind, Factory, NoteLevel, Timestamp, suite::must};
use ledgerward_dropbox::{FACTORY, Settings, fake::DropboxFake};
use ledgerward_kit::fake::{Fake, FakeResponse};
use serde_json::{Value, json};
use url::Url;

use crate::common::*;

struct Raw {
    fake: DropboxFake,
    now: Timestamp,
    token: String,
    root: Option<String>,
}

impl Raw {
    fn new(name: &str) -> Self {
        let mut fake = DropboxFake::from_seed(&seed(name)).unwrap();
        let token = token(&mut fake, now(), &json!({}));
        Self { fake, now: now(), token, root: None }
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> FakeResponse {
        let bearer = format!("Bearer {}", self.token);
        let own = [("authorization", bearer.as_str())].into_iter().chain(headers.iter().copied());
        let headers: Vec<_> = own.chain(self.root.as_deref().map(|r| ("dropbox-api-path-root", r))).collect();
        ask(&mut self.fake, self.now, (method, path), &headers, body.to_owned())
    }

    fn rpc(&mut self, route: &str, arg: &Value) -> (u16, Value) {
        read(&self.send("POST", &format!("/2/{route}"), &[("content-type", "application/json")], &arg.to_string()))
    }

    fn put(&mut self, path: &str, arg: &Value, body: &str) -> (u16, Value) {
        let headers = [("content-type", "application/octet-stream"), ("dropbox-api-arg", &*arg.to_string())];
        read(&self.send("POST", path, &headers, body))
    }

    fn form(&mut self, fields: &[(&str, &str)]) -> (u16, Value) {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        read(&self.send("POST", "/oauth2/token", &kind, &body))
    }

    fn code(&mut self, verifier: &str, more: &str) -> String {
        let proof = B64.encode(ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes()));
        let path = format!(
            "/oauth2/authorize?client_id=sandbox-dropbox-app&redirect_uri=http://127.0.0.1:7777/&response_type=code\
             &scope=account_info.read+sharing.read&state=s-1&code_challenge={proof}&code_challenge_method=S256{more}"
        );
        let answer = self.send("GET", &path, &[], "");
        assert_eq!(answer.status, 302, "{}", String::from_utf8_lossy(&answer.body));
        let to = Url::parse(&answer.headers.iter().find(|(k, _)| k == "location").unwrap().1).unwrap();
        assert!(to.query_pairs().any(|(k, v)| k == "state" && v == "s-1"));
        to.query_pairs().find(|(k, _)| k == "code").unwrap().1.into_owned()
    }

    fn redeem(&mut self, code: &str, verifier: &str) -> (u16, Value) {
        self.form(&[
            ("client_id", "sandbox-dropbox-app"),
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", "http://127.0.0.1:7777/"),
        ])
    }

    fn refresh(&mut self, token: &Value) -> (u16, Value) {
        let token = token.as_str().unwrap();
        self.form(&[("client_id", "sandbox-dropbox-app"), ("grant_type", "refresh_token"), ("refresh_token", token)])
    }
}

#[test]
fn t17_a_code_needs_its_verifier_serves_once_and_refresh_tokens_do_not_rotate() {
    let mut raw = Raw::new("personal");
    let code = raw.code("right", "&token_access_type=offline");
    assert_eq!(raw.redeem(&code, "wrong").1["error"], "invalid_grant");
    let code = raw.code("right", "");
    assert!(raw.redeem(&code, "right").1.get("refresh_token").is_none(), "only offline sign-ins can be renewed");
    let code = raw.code("right", "&token_access_type=offline");
    let (status, tokens) = raw.redeem(&code, "right");
    assert_eq!((status, &tokens["expires_in"]), (200, &json!(14_400)));
    assert_eq!(raw.redeem(&code, "right").1["error"], "invalid_grant");
    for _ in 0..2 {
        let (status, t) = raw.refresh(&tokens["refresh_token"]);
        assert_eq!(status, 200);
        assert!(t.get("refresh_token").is_none());
    }
    raw.token = tokens["access_token"].as_str().unwrap().to_owned();
    assert_eq!(raw.rpc("users/get_current_account", &Value::Null).0, 200);
    let (status, e) = raw.rpc("files/get_metadata", &json!({ "path": "/x" }));
    assert_eq!((status, &e["error"]["required_scope"]), (401, &json!("files.metadata.read")));
    raw.fake.control("expire", &json!({})).unwrap();
    assert_eq!(raw.rpc("users/get_current_account", &Value::Null).1["error"][".tag"], "expired_access_token");
    raw.token = raw.refresh(&tokens["refresh_token"]).1["access_token"].as_str().unwrap().to_owned();
    assert_eq!(raw.rpc("auth/token/revoke", &Value::Null).0, 200);
    assert_eq!(raw.refresh(&tokens["refresh_token"]).1["error"], "invalid_grant");
}

#[test]
fn the_fake_refuses_what_dropbox_refuses() {
    let mut raw = Raw::new("personal");
    assert_eq!(raw.rpc("users/get_current_account", &json!({})).0, 400, "null is not {{}}");
    assert_eq!(raw.send("GET", "/2/users/get_current_account", &[], "").status, 400);
    assert_eq!(raw.rpc("files/list_folder", &json!({ "path": "/" })).0, 400, "the root is the empty path");
    assert_eq!(raw.rpc("files/list_folder", &json!({ "path": "", "colour": 1 })).0, 400);
    // A content route takes its argument in a header and bytes in the body, on whichever address it is asked for; and no
    // route of the other host's is taken on the host for content.
    let json = ("content-type", "application/json");
    let said = |raw: &mut Raw, path: &str, headers: &[(&'static str, &str)]| {
        let answer = raw.send("POST", path, headers, r#"{"path": "/never.pdf", "mode": "add"}"#);
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    };
    let arg = ("dropbox-api-arg", r#"{"path": "/never.pdf", "mode": "add"}"#);
    for host in ["/2", "/content/2"] {
        let path = format!("{host}/files/upload");
        let (status, text) = said(&mut raw, &path, &[json]);
        assert!(status == 400 && text.contains("missing header Dropbox-API-Arg"), "{path}: {status} {text}");
        let (status, text) = said(&mut raw, &path, &[json, arg]);
        assert!(status == 400 && text.contains("Content-Type"), "{path}: {status} {text}");
    }
    assert_eq!(said(&mut raw, "/content/2/files/list_folder", &[json]).0, 599);
    assert_eq!(raw.rpc("files/get_metadata", &json!({ "path": "/never.pdf" })).0, 409, "nothing was written");
    assert_eq!(raw.rpc("files/unheard_of", &json!({})).0, 599);
    let arg = json!({ "path": "/Ü.pdf", "mode": "add" });
    assert_eq!(raw.put("/content/2/files/upload", &arg, "x").0, 400, "the argument is not ASCII");
    let arg = json!({ "path": "/u.pdf", "mode": "add", "content_hash": "00" });
    assert_eq!(raw.put("/content/2/files/upload", &arg, "x").1["error"][".tag"], "content_hash_mismatch");
    let arg = json!({ "path": "/u.pdf", "mode": "add" });
    let (status, one) = raw.put("/content/2/files/upload", &arg, "x");
    assert_eq!(status, 200);
    assert_eq!(raw.put("/content/2/files/upload", &arg, "x").1["rev"], one["rev"]);
    assert_eq!(raw.put("/content/2/files/upload", &arg, "y").1["error"]["reason"][".tag"], "conflict");
    let stale = json!({ "path": "/U.PDF", "mode": { ".tag": "update", "update": "015f0" } });
    assert_eq!(raw.put("/content/2/files/upload", &stale, "y").0, 409);
    let (_, start) = raw.put("/content/2/files/upload_session/start", &json!({}), "abc");
    let at = |n: u64| json!({ "cursor": { "session_id": start["session_id"], "offset": n } });
    let (status, e) = raw.put("/content/2/files/upload_session/append_v2", &at(9), "d");
    assert_eq!((status, &e["error"]["correct_offset"]), (409, &json!(3)));
    let shared = raw.rpc("sharing/share_folder", &json!({ "path": "/Acme" })).1;
    let again = raw.rpc("sharing/share_folder", &json!({ "path": "/acme" }));
    assert_eq!(again.1["error"]["bad_path"]["shared_folder_id"], shared["shared_folder_id"]);
    let nested = raw.rpc("sharing/share_folder", &json!({ "path": "/Acme/Sub" }));
    assert_eq!(nested.1["error"]["bad_path"][".tag"], "inside_shared_folder");
    let links = raw.rpc("sharing/share_folder", &json!({ "path": "/B", "shared_link_policy": "members" }));
    assert_eq!(links.1["error"][".tag"], "disallowed_shared_link_policy");
    let by_mail = json!({ "shared_folder_id": shared["shared_folder_id"], "access_level": "editor",
        "member": { ".tag": "email", "email": BEN } });
    assert_eq!(raw.rpc("sharing/update_folder_member", &by_mail).1["error"][".tag"], "member_error");
    let copy = json!({ "shared_folder_id": shared["shared_folder_id"], "member": { ".tag": "email", "email": BEN } });
    assert_eq!(raw.rpc("sharing/remove_folder_member", &copy).0, 400, "leave_a_copy is required");
    raw.root = Some(json!({ ".tag": "root", "root": "1" }).to_string());
    assert_eq!(raw.rpc("files/list_folder", &json!({ "path": "" })).0, 422);
}

#[test]
fn a_teams_token_needs_a_member_and_an_app_folder_shares_nothing() {
    let mut raw = Raw::new("team");
    let token = raw.fake.control("token", &json!({ "team": true })).unwrap();
    raw.token = token["access_token"].as_str().unwrap().to_owned();
    let answer = raw.send("POST", "/2/users/get_current_account", &[("content-type", "application/json")], "null");
    assert_eq!(answer.status, 400);
    assert!(String::from_utf8_lossy(&answer.body).contains("Select-User"));
}

#[tokio::test(start_paused = true)]
async fn an_app_with_the_wrong_access_type_is_named_by_the_probe() {
    // The test's own check for 400 is not wanted here.
    let vendor = Vendor { never: &[599], ..VENDOR };
    let w = World(vendor.world(DropboxFake::from_seed(&seed("personal")).unwrap(), json!({})));
    w.sign_in(json!({ "app_folder": true }));
    let probe = must(w.target().probe(&w.read()).await, "probe");
    let blocker = probe.notes.iter().find(|n| n.level == NoteLevel::Blocker).unwrap();
    assert!(!probe.may_share && blocker.next.as_ref().unwrap().contains("Full Dropbox"), "{:?}", probe.notes);
}

#[test]
fn a_restored_fake_goes_on_as_if_nothing_had_happened() {
    let mut raw = Raw::new("personal");
    let code = raw.code("right", "&token_access_type=offline");
    let tokens = raw.redeem(&code, "right").1;
    let shared = raw.rpc("sharing/share_folder", &json!({ "path": "/Acme" })).1;
    let id = shared["shared_folder_id"].clone();
    let add = json!({ "shared_folder_id": id, "quiet": true,
        "members": [{ "member": { ".tag": "email", "email": BEN }, "access_level": "editor" }] });
    assert_eq!(raw.rpc("sharing/add_folder_member", &add).0, 200);
    let arg = json!({ "path": "/Acme/a.bin", "mode": "add" });
    raw.put("/content/2/files/upload", &arg, "\u{0}bytes");
    let remove = json!({ "shared_folder_id": id, "leave_a_copy": false, "member": { ".tag": "email", "email": BEN } });
    let job = raw.rpc("sharing/remove_folder_member", &remove).1["async_job_id"].clone();
    let cursor = raw.rpc("files/list_folder/get_latest_cursor", &json!({ "path": "", "recursive": true })).1;
    let saved = raw.fake.save();
    let read: Value = serde_json::from_str(&saved.to_string()).unwrap();
    let fake = DropboxFake::restore(&read).unwrap();
    assert_eq!(fake.save(), saved);
    let mut raw = Raw { fake, now: raw.now, token: raw.token.clone(), root: None };
    let status = json!({ "async_job_id": job });
    assert_eq!(raw.rpc("sharing/check_remove_member_job_status", &status).1[".tag"], "in_progress");
    raw.now = raw.now.saturating_add(SignedDuration::from_secs(60)).unwrap();
    assert_eq!(raw.rpc("sharing/check_remove_member_job_status", &status).1[".tag"], "complete");
    let list = raw.rpc("sharing/list_folder_members", &json!({ "shared_folder_id": id })).1;
    assert_eq!(list["users"].as_array().unwrap().len() + list["invitees"].as_array().unwrap().len(), 1);
    assert_eq!(raw.refresh(&tokens["refresh_token"]).0, 200);
    raw.put("/content/2/files/upload", &json!({ "path": "/Acme/b.bin", "mode": "add" }), "b");
    let more = raw.rpc("files/list_folder/continue", &json!({ "cursor": cursor["cursor"] })).1;
    assert_eq!(more["entries"][0]["name"], "b.bin");
    let e = DropboxFake::restore(&json!({})).unwrap_err();
    assert!(e.contains("Dropbox sandbox") && e.contains("start a new sandbox"), "{e}");
}

#[test]
fn settings_are_checked_and_named() {
    for (bad, word) in [
        (json!({ "root": "Clients" }), "root"),
        (json!({ "root": "/" }), "root"),
        (json!({ "root": "/a/../b" }), "root"),
        (json!({ "chunk_bytes": 5 }), "chunk_bytes"),
        (json!({ "select_user": "ben" }), "select_user"),
        (json!({ "colour": 1 }), "colour"),
    ] {
        let e = Settings::parse(&bad).unwrap_err();
        assert!(e.kind == ErrorKind::Config && e.message.contains(word) && e.next.is_some(), "{e:?}");
    }
    assert_eq!(Settings::parse(&Value::Null).unwrap().scope_set(), "user");
    assert_eq!(Settings::parse(&json!({ "select_user": "dbmid:AAx" })).unwrap().scope_set(), "team");
    assert_eq!(FACTORY.manifest().name, "dropbox");
    assert!(DropboxFake::from_seed(&fixture("firm/dropbox.json")).is_ok());
}
