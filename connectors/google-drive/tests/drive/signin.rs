//! What the fake's own rules are worth: sign-in, scopes, and what it refuses.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use http::HeaderMap;
use ledgerward_contract::{ErrorKind, FolderRole, Response, Retry, StorageTarget, Timestamp};
use ledgerward_google_drive::{fake::DriveFake, refusal::classify, retry_hint};
use ledgerward_kit::fake::{Fake, FakeResponse};
use serde_json::{Value, json};
use url::Url;

use crate::common::*;

pub struct Raw {
    pub fake: DriveFake,
    pub now: Timestamp,
    pub token: String,
    pub host: Option<&'static str>,
}

impl Raw {
    pub fn new() -> Self {
        let mut fake = DriveFake::from_seed(&seed()).unwrap();
        let token = token(&mut fake, now(), &json!({}));
        Self { fake, now: now(), token, host: Some("127.0.0.1:9") }
    }

    pub fn send(&mut self, method: &str, path: &str, body: &str) -> FakeResponse {
        let bearer = format!("Bearer {}", self.token);
        let own = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let headers: Vec<_> = own.into_iter().chain(self.host.map(|h| ("host", h))).collect();
        ask(&mut self.fake, self.now, (method, path), &headers, body.to_owned())
    }

    pub fn json(&mut self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        read(&self.send(method, path, &text))
    }

    pub fn reason(&mut self, method: &str, path: &str, body: Value) -> (u16, String) {
        let (status, v) = self.json(method, path, body);
        (status, v["error"]["errors"][0]["reason"].as_str().unwrap_or_default().to_owned())
    }

    pub fn form(&mut self, path: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        read(&self.send("POST", path, &body))
    }
}

pub const CLIENT: [(&str, &str); 2] =
    [("client_id", "sandbox-drive-client"), ("client_secret", "sandbox-drive-client-word")];

pub fn authorize(raw: &mut Raw, verifier: &str) -> String {
    let proof = B64.encode(ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes()));
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("client_id", "sandbox-drive-client"),
            ("redirect_uri", "http://127.0.0.1:7777/"),
            ("response_type", "code"),
            ("scope", "https://www.googleapis.com/auth/drive.file"),
            ("state", "s-1"),
            ("access_type", "offline"),
            ("code_challenge", &proof),
            ("code_challenge_method", "S256"),
        ])
        .finish();
    let answer = raw.send("GET", &format!("/o/oauth2/v2/auth?{query}"), "");
    assert_eq!(answer.status, 302);
    let to = Url::parse(&answer.headers.iter().find(|(k, _)| k == "location").unwrap().1).unwrap();
    assert!(to.query_pairs().any(|(k, v)| k == "state" && v == "s-1"));
    to.query_pairs().find(|(k, _)| k == "code").unwrap().1.into_owned()
}

#[test]
fn t17_a_code_needs_its_verifier_and_serves_once() {
    let mut raw = Raw::new();
    let exchange = |raw: &mut Raw, code: &str, verifier: &str| {
        let more = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", "http://127.0.0.1:7777/"),
        ];
        raw.form("/token", &[CLIENT.as_slice(), &more].concat())
    };
    let code = authorize(&mut raw, "the-right-verifier");
    assert_eq!(exchange(&mut raw, &code, "a wrong one").1["error"], "invalid_grant");
    let code = authorize(&mut raw, "the-right-verifier");
    let (status, tokens) = exchange(&mut raw, &code, "the-right-verifier");
    assert_eq!((status, &tokens["token_type"]), (200, &json!("Bearer")));
    assert_eq!(exchange(&mut raw, &code, "the-right-verifier").1["error"], "invalid_grant");
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let again = |raw: &mut Raw| {
        raw.form(
            "/token",
            &[CLIENT.as_slice(), &[("grant_type", "refresh_token"), ("refresh_token", refresh)]].concat(),
        )
    };
    for _ in 0..2 {
        let (status, t) = again(&mut raw);
        assert_eq!(status, 200);
        assert!(t.get("refresh_token").is_none(), "Google's refresh tokens do not rotate");
    }
    assert_eq!(raw.form("/revoke", &[("token", refresh)]).0, 200);
    assert_eq!(again(&mut raw).1["error"], "invalid_grant");
}

fn assertion(claims: &Value) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/google-drive/service-account.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let pem: String = file["private_key"].as_str().unwrap().lines().filter(|l| !l.starts_with("-----")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(pem).unwrap();
    let key = ring::signature::RsaKeyPair::from_pkcs8(&der).unwrap();
    let head = json!({ "alg": "RS256", "typ": "JWT", "kid": file["private_key_id"] });
    let text = format!("{}.{}", B64.encode(head.to_string()), B64.encode(claims.to_string()));
    let mut signature = vec![0; key.public().modulus_len()];
    let random = ring::rand::SystemRandom::new();
    key.sign(&ring::signature::RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
    format!("{text}.{}", B64.encode(signature))
}

#[test]
fn a_service_account_signs_for_the_person_it_was_delegated_to() {
    let mut raw = Raw::new();
    let iat = raw.now.as_second();
    let good = json!({
        "iss": "ledgerward@harbour-sandbox.iam.gserviceaccount.com", "aud": "https://oauth2.googleapis.com/token",
        "scope": "https://www.googleapis.com/auth/drive", "iat": iat, "exp": iat + 3600, "sub": US,
    });
    let ask = |raw: &mut Raw, jwt: &str| {
        raw.form("/token", &[("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", jwt)])
    };
    let (status, tokens) = ask(&mut raw, &assertion(&good));
    assert_eq!(status, 200, "{tokens}");
    assert!(tokens.get("refresh_token").is_none());
    raw.token = tokens["access_token"].as_str().unwrap().to_owned();
    let (_, about) = raw.json("GET", "/drive/v3/about?fields=user", Value::Null);
    assert_eq!(about["user"]["emailAddress"], US);
    for (field, value) in [
        ("aud", json!("https://evil.example/token")),
        ("exp", json!(iat + 3601)),
        ("exp", json!(iat - 1)),
        ("sub", json!("guest@client.example")),
        ("scope", json!("https://www.googleapis.com/auth/gmail.readonly")),
        ("iss", json!("somebody@else.example")),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert_ne!(ask(&mut raw, &assertion(&bad)).0, 200, "{field}");
    }
    let mut forged = assertion(&good);
    forged.truncate(forged.len() - 8);
    assert_eq!(ask(&mut raw, &forged).0, 400);
}

#[test]
fn without_fields_little_comes_and_wrong_ones_are_refused() {
    let mut raw = Raw::new();
    let (_, list) = raw.json("GET", &format!("/drive/v3/files/{MY}/permissions"), Value::Null);
    let keys: Vec<_> = list["permissions"][0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["id", "kind", "role", "type"]);
    let (_, file) = raw.json("GET", &format!("/drive/v3/files/{MY}"), Value::Null);
    assert_eq!(file.as_object().unwrap().keys().cloned().collect::<Vec<_>>(), ["id", "kind", "mimeType", "name"]);
    assert_eq!(raw.json("GET", "/drive/v3/files?fields=files(nmae)", Value::Null).0, 400);
    assert_eq!(raw.json("GET", "/drive/v3/files?q=name+like+'x'", Value::Null).0, 400);
    assert_eq!(raw.json("GET", "/drive/v3/files?pageSize=1001", Value::Null).0, 400);
    assert_eq!(raw.json("GET", "/drive/v3/files?shiny=1", Value::Null).0, 400);
    assert_eq!(raw.json("GET", &format!("/drive/v3/files/{SHARED}"), Value::Null).0, 404);
    assert_eq!(raw.json("GET", &format!("/drive/v3/files/{SHARED}?supportsAllDrives=true"), Value::Null).0, 200);
    assert_eq!(raw.send("GET", "/drive/v3/files/x/comments", "").status, 599);
}

#[test]
fn ids_are_only_those_that_were_handed_out_and_serve_once() {
    let mut raw = Raw::new();
    let folder = |id: &str| json!({ "id": id, "name": "x", "mimeType": "application/vnd.google-apps.folder" });
    assert_eq!(raw.reason("POST", "/drive/v3/files", folder("1Invented")).0, 400);
    let (_, ids) = raw.json("GET", "/drive/v3/files/generateIds?count=1", Value::Null);
    let id = ids["ids"][0].as_str().unwrap().to_owned();
    assert_eq!(raw.json("POST", "/drive/v3/files", folder(&id)).0, 200);
    assert_eq!(raw.json("POST", "/drive/v3/files", folder(&id)).0, 409);
    let two = json!({ "name": "x" });
    for _ in 0..2 {
        assert_eq!(raw.json("POST", "/drive/v3/files", two.clone()).0, 200, "names are not unique");
    }
    let long = json!({ "name": "x", "appProperties": { "k": "v".repeat(124) } });
    assert_eq!(raw.json("POST", "/drive/v3/files", long).0, 403);
}

#[test]
fn drive_file_reaches_only_what_the_app_made() {
    let mut raw = Raw::new();
    let scope = json!({ "scope": "https://www.googleapis.com/auth/drive.file" });
    raw.token = raw.fake.control("token", &scope).unwrap()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(raw.reason("GET", &format!("/drive/v3/files/{MY}"), Value::Null), (404, "notFound".into()));
    assert_eq!(raw.reason("GET", "/drive/v3/drives", Value::Null), (403, "insufficientPermissions".into()));
    let (_, made) = raw.json("POST", "/drive/v3/files", json!({ "name": "mine" }));
    let path = format!("/drive/v3/files/{}/permissions", made["id"].as_str().unwrap());
    // The scope is no safety net: it lets an app make a link.
    assert_eq!(raw.json("POST", &path, json!({ "type": "anyone", "role": "reader" })).0, 200);
    assert_eq!(raw.json("GET", "/drive/v3/files", Value::Null).1["files"].as_array().unwrap().len(), 1);
}

#[test]
fn inheritance_is_googles() {
    let mut raw = Raw::new();
    let erin = ledgerward_google_drive::fake::permission_id("erin@harbour.example");
    let body = json!({ "name": "c", "mimeType": "application/vnd.google-apps.folder", "parents": [SHARED] });
    let (_, made) = raw.json("POST", "/drive/v3/files?supportsAllDrives=true", body);
    let id = made["id"].as_str().unwrap().to_owned();
    let at = format!("/drive/v3/files/{id}/permissions/{erin}?supportsAllDrives=true");
    let inherited = (403, "cannotModifyInheritedTeamDrivePermission".to_owned());
    assert_eq!(raw.reason("DELETE", &at, Value::Null), inherited);
    assert_eq!(raw.reason("PATCH", &at, json!({ "role": "reader" })), inherited, "never lowered");
    assert_eq!(raw.reason("PATCH", &at, json!({ "role": "fileOrganizer" })).0, 200, "raised");
    assert_eq!(raw.send("DELETE", &at, "").status, 204);
    let limit = json!({ "inheritedPermissionsDisabled": true });
    assert_eq!(raw.json("PATCH", &format!("/drive/v3/files/{id}?supportsAllDrives=true"), limit).0, 200);
    let (_, p) = raw.json("GET", &format!("{at}&fields=*"), Value::Null);
    assert_eq!((&p["view"], &p["inheritedPermissionsDisabled"]), (&json!("metadata"), &json!(true)));
}

#[test]
fn too_many_units_in_a_minute_are_a_403_that_may_be_repeated() {
    let mut raw = Raw::new();
    raw.fake.control("limits", &json!({ "units_per_minute": 150 })).unwrap();
    assert_eq!(raw.send("GET", "/drive/v3/files", "").status, 200);
    let answer = raw.send("GET", "/drive/v3/files", "");
    let response = Response { status: answer.status, headers: HeaderMap::new(), body: answer.body };
    assert_eq!((response.status, retry_hint(&response)), (403, Some(Retry::Backoff)));
    assert_eq!(classify("x.y", &response).unwrap_err().kind, ErrorKind::RateLimited);
    raw.now += jiff::SignedDuration::from_secs(60);
    assert_eq!(raw.send("GET", "/drive/v3/files", "").status, 200);
}

#[test]
fn a_batch_answers_each_call_by_itself() {
    let mut raw = Raw::new();
    let body = format!(
        "--b\r\nContent-Type: application/http\r\nContent-ID: <id+1>\r\n\r\nGET /drive/v3/files/{MY}?fields=id HTTP/1.1\r\n\r\n\r\n--b\r\nContent-Type: application/http\r\nContent-ID: <id+2>\r\n\r\nGET /drive/v3/files/none HTTP/1.1\r\n\r\n\r\n--b--\r\n"
    );
    let bearer = format!("Bearer {}", raw.token);
    let headers = [("authorization", bearer.as_str()), ("content-type", "multipart/mixed; boundary=\"b\"")];
    let answer = ask(&mut raw.fake, raw.now, ("POST", "/batch/drive/v3"), &headers, body);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert_eq!(answer.status, 200);
    assert!(text.contains("<response-id+1>") && text.contains("HTTP/1.1 200") && text.contains(MY), "{text}");
    assert!(text.contains("<response-id+2>") && text.contains("HTTP/1.1 404"), "{text}");
}

#[test]
fn every_refusal_has_words_a_next_step_and_the_right_repeat() {
    let answer = |status: u16, reason: &str, message: &str| Response {
        status,
        headers: HeaderMap::new(),
        body: json!({ "error": { "code": status, "message": message,
            "errors": [{ "domain": "global", "reason": reason, "message": message }] } })
        .to_string()
        .into(),
    };
    use ErrorKind::*;
    let canary = "CANARY@client.example";
    for (status, reason, message, kind) in [
        (400, "invalidSharingRequest", "ACL change not allowed", Forbidden),
        (400, "invalidSharingRequest", "you must check the \"Notify people\" box to invite this recipient", Forbidden),
        (403, "cannotInviteNonGoogleUser", "", Forbidden),
        (403, "teamDriveDomainUsersOnlyRestriction", "", Forbidden),
        (403, "teamDriveTeamMembersOnlyRestriction", "", Forbidden),
        (403, "shareOutNotPermitted", "", Forbidden),
        (403, "shareOutNotPermittedToUser", "", Forbidden),
        (403, "shareInNotPermitted", "", Forbidden),
        (403, "publishOutNotPermitted", "", Forbidden),
        (403, "cannotShareTeamDriveWithNonGoogleAccounts", "", Forbidden),
        (403, "teamDrivesFolderSharingNotSupported", "", Forbidden),
        (403, "fileOrganizerOnFoldersInSharedDriveOnly", "", Forbidden),
        (403, "targetUserRoleLimitedByLicenseRestriction", "", Forbidden),
        (403, "insufficientFilePermissions", "", Forbidden),
        (403, "appNotAuthorizedToFile", "", Forbidden),
        (403, "cannotModifyInheritedTeamDrivePermission", "", Forbidden),
        (403, "cannotModifyInheritedPermission", "", Forbidden),
        (403, "domainPolicy", "", Forbidden),
        (403, "dailyLimitExceeded", "", Forbidden),
        (403, "storageQuotaExceeded", "", Forbidden),
        (403, "teamDriveFileLimitExceeded", "", Forbidden),
        (403, "numChildrenInNonRootLimitExceeded", "", Forbidden),
        (403, "somethingNew", "", Forbidden),
        (401, "authError", "", Unauthenticated),
        (404, "notFound", "", NotFound),
    ] {
        let e = classify("permission.create", &answer(status, reason, &format!("{message} {canary}"))).unwrap_err();
        assert_eq!((e.kind, e.retry), (kind, Retry::No), "{reason}");
        assert!(e.next.as_ref().is_some_and(|n| n.ends_with('.')), "{reason}");
        assert_eq!(e.get("reason"), Some(reason));
        assert!(!format!("{e:?}").contains("CANARY"), "{reason}");
    }
    let slow = answer(403, "sharingRateLimitExceeded", "");
    assert_eq!(retry_hint(&slow), Some(Retry::No), "no pause for what is not sharing");
    let e = classify("permission.create", &slow).unwrap_err();
    assert!(e.kind == RateLimited && matches!(e.retry, Retry::After(d) if d.as_secs() >= 60), "{e:?}");
    let new = answer(403, "cannotShareTeamDriveTopFolderWithAnyoneOrDomains", "");
    let e = classify("permission.create", &new).unwrap_err();
    assert!(e.message.contains("cannotShareTeamDriveTopFolderWithAnyoneOrDomains"), "{e:?}");
    assert!(classify("x.y", &answer(400, "somethingNew", "")).unwrap_err().message.ends_with("somethingNew"));
    for reason in ["rateLimitExceeded", "userRateLimitExceeded"] {
        let e = classify("x.y", &answer(403, reason, "")).unwrap_err();
        assert_eq!((e.kind, e.retry), (RateLimited, Retry::Backoff));
    }
    for status in [500, 502, 503, 504] {
        assert_eq!(classify("x.y", &answer(status, "backendError", "")).unwrap_err().kind, Unavailable);
    }
    assert_eq!(retry_hint(&answer(500, "backendError", "")), None, "the status alone says it");
}

#[tokio::test(start_paused = true)]
async fn a_dead_sign_in_is_told_as_such() {
    let w = World::new(json!({ "root": MY }));
    let id = w.create(1).await;
    w.control("expire", json!({}));
    let t: &dyn StorageTarget = w.target();
    for e in [
        t.stat(&w.read(), &id).await.unwrap_err(),
        w.sharing(&id).await.unwrap_err(),
        w.grant(&id, BEN, FolderRole::Reader).await.unwrap_err(),
    ] {
        assert_eq!(e.kind, ErrorKind::Unauthenticated);
    }
}
