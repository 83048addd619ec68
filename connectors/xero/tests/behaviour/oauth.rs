//! The fake's sign-in: what the token protocol has to survive.

use std::time::Duration;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use ledgerward_contract::{AuthScheme, Factory};
use ledgerward_kit::fake::{Fake as _, FakeResponse};
use ledgerward_kit::testing::{ask, now, read};
use ledgerward_xero::{FACTORY, fake::Fake};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use crate::common::{ACME, SCOPES};

const REDIRECT: &str = "http://127.0.0.1:8787/callback";
pub const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-00";

pub struct Client {
    pub fake: Fake,
    pub now: Timestamp,
    pub secret: String,
}

impl Client {
    pub fn new() -> Self {
        Self { fake: Fake::sample().unwrap(), now: now(), secret: "sandbox-secret".to_owned() }
    }

    pub fn pass(&mut self, time: Duration) {
        self.now = self.now.saturating_add(time).unwrap();
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, String)], body: &str) -> FakeResponse {
        let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
        ask(&mut self.fake, self.now, (method, path), &headers, body.to_owned())
    }

    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> FakeResponse {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let basic = STANDARD.encode(format!("sandbox-app:{}", self.secret));
        let headers = [
            ("authorization", format!("Basic {basic}")),
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ];
        self.send("POST", path, &headers, &body)
    }

    pub fn token(&mut self, fields: &[(&str, &str)]) -> (u16, Value) {
        read(&self.post("/connect/token", fields))
    }

    /// The address that the consent page sends the browser back to, or its refusal.
    pub fn consent(&mut self, change: &[(&str, &str)]) -> Result<Url, u16> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let mut fields = vec![
            ("response_type", "code"),
            ("client_id", "sandbox-app"),
            ("redirect_uri", REDIRECT),
            ("scope", SCOPES),
            ("state", "s-1"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        for (key, value) in change {
            fields.retain(|(k, _)| k != key);
            fields.push((key, value));
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let answer = self.send("GET", &format!("/identity/connect/authorize?{query}"), &[], "");
        let back = answer.headers.iter().find(|(k, _)| k == "location");
        back.map(|(_, v)| Url::parse(v).unwrap()).ok_or(answer.status)
    }

    pub fn sign_in(&mut self) -> Value {
        let back = self.consent(&[]).unwrap();
        let code = param(&back, "code").unwrap();
        assert_eq!(param(&back, "state").as_deref(), Some("s-1"));
        let (status, tokens) = self.redeem(&code, VERIFIER);
        assert_eq!(status, 200, "{tokens}");
        tokens
    }

    pub fn redeem(&mut self, code: &str, verifier: &str) -> (u16, Value) {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", verifier),
        ])
    }

    pub fn refresh(&mut self, token: &Value) -> (u16, Value) {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token.as_str().unwrap())])
    }

    pub fn users(&mut self, access: &Value) -> u16 {
        let headers = [
            ("authorization", format!("Bearer {}", access.as_str().unwrap())),
            ("xero-tenant-id", ACME.to_owned()),
            ("accept", "application/json".to_owned()),
        ];
        self.send("GET", "/api.xro/2.0/Users", &headers, "").status
    }
}

pub fn param(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(k, _)| k == name).map(|(_, v)| v.into_owned())
}

#[test]
fn a_sign_in_reads_and_ends_after_half_an_hour() {
    let mut c = Client::new();
    let tokens = c.sign_in();
    assert_eq!((tokens["expires_in"].as_u64(), tokens["token_type"].as_str()), (Some(1800), Some("Bearer")));
    let part = tokens["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    assert_eq!(claims["email"], "ana@harbour.example");
    assert!(claims["xero_userid"].is_string() && claims["sub"].is_string());
    assert_eq!(c.users(&tokens["access_token"]), 200);
    c.pass(Duration::from_secs(1801));
    assert_eq!(c.users(&tokens["access_token"]), 401);
}

#[test]
fn t17_a_code_works_once_for_its_verifier_and_five_minutes() {
    let mut c = Client::new();
    let code = param(&c.consent(&[]).unwrap(), "code").unwrap();
    assert_eq!(c.redeem(&code, "another-verifier").1["error"], "invalid_grant");
    let code = param(&c.consent(&[]).unwrap(), "code").unwrap();
    assert_eq!(c.redeem(&code, VERIFIER).0, 200);
    assert_eq!(c.redeem(&code, VERIFIER).1["error"], "invalid_grant");
    let code = param(&c.consent(&[]).unwrap(), "code").unwrap();
    c.pass(Duration::from_secs(301));
    assert_eq!(c.redeem(&code, VERIFIER).1["error"], "invalid_grant");
}

#[test]
fn consent_refuses_what_xero_refuses() {
    let mut c = Client::new();
    for (change, error) in [
        (("scope", "openid accounting.reports.read"), "invalid_scope"),
        (("scope", "openid made.up"), "invalid_scope"),
        (("response_type", "token"), "unsupported_response_type"),
        (("code_challenge_method", "plain"), "invalid_request"),
    ] {
        let back = c.consent(&[change]).unwrap();
        assert_eq!(param(&back, "error").as_deref(), Some(error));
        assert!(param(&back, "code").is_none());
    }
    assert_eq!(c.consent(&[("client_id", "other")]), Err(400));
    assert_eq!(c.consent(&[("redirect_uri", "https://evil.example/")]), Err(400));
}

#[test]
fn the_manifests_scopes_are_those_of_their_generation() {
    let AuthScheme::OAuth(spec) = FACTORY.manifest().auth else { panic!("Xero signs in by OAuth") };
    let mut seed: Value = serde_json::from_str(include_str!("../../../../fixtures/xero/firm.json")).unwrap();
    for set in spec.scopes {
        for generation in ["granular", "broad"] {
            for finance in [false, true] {
                seed["app"]["scopes"] = json!(generation);
                seed["app"]["finance"] = json!(finance);
                let mut c = Client { fake: Fake::from_seed(&seed).unwrap(), ..Client::new() };
                let back = c.consent(&[("scope", &set.scopes.join(" "))]).unwrap();
                let fits = set.name.starts_with(generation) && (finance || !set.name.ends_with("finance"));
                assert_eq!(param(&back, "code").is_some(), fits, "{} for {generation} {finance}", set.name);
            }
        }
    }
    assert_eq!(spec.scopes[0].name, "granular");
}

#[test]
fn t02_the_previous_token_serves_for_half_an_hour() {
    let mut c = Client::new();
    let first = c.sign_in()["refresh_token"].clone();
    let (status, lost) = c.refresh(&first);
    assert_eq!(status, 200);
    assert_ne!(lost["refresh_token"], first, "every refresh gives a new token");
    // The answer got lost; we only have the old one.
    c.pass(Duration::from_secs(29 * 60));
    let (status, again) = c.refresh(&first);
    assert_eq!(status, 200);
    c.pass(Duration::from_secs(2 * 60));
    assert_eq!(c.refresh(&first).1["error"], "invalid_grant", "the grace is over");
    assert_eq!(c.refresh(&again["refresh_token"]).0, 200);
}

#[test]
fn t01_of_two_refreshes_at_once_only_the_last_pair_lives() {
    let mut c = Client::new();
    let first = c.sign_in()["refresh_token"].clone();
    let (a, b) = (c.refresh(&first).1, c.refresh(&first).1);
    assert_eq!(c.refresh(&a["refresh_token"]).1["error"], "invalid_grant");
    assert_eq!(c.refresh(&b["refresh_token"]).0, 200);
}

#[test]
fn t11_t12_a_rotated_secret_and_an_idle_sign_in() {
    let mut c = Client::new();
    let token = c.sign_in()["refresh_token"].clone();
    c.fake.control("rotate_client_secret", &json!({"secret": "new-secret"})).unwrap();
    assert_eq!(c.refresh(&token).1["error"], "invalid_client");
    c.secret = "new-secret".to_owned();
    let (_, tokens) = c.refresh(&token);
    c.pass(Duration::from_secs(59 * 86_400));
    let (status, tokens) = c.refresh(&tokens["refresh_token"]);
    assert_eq!(status, 200, "59 days are in use");
    c.pass(Duration::from_secs(61 * 86_400));
    assert_eq!(c.refresh(&tokens["refresh_token"]).1["error"], "invalid_grant");
}

#[test]
fn a_revoked_sign_in_is_dead_and_reaches_nothing() {
    let mut c = Client::new();
    let tokens = c.sign_in();
    let refresh = tokens["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(c.post("/connect/revocation", &[("token", &refresh)]).status, 200);
    assert_eq!(c.refresh(&tokens["refresh_token"]).1["error"], "invalid_grant");
    assert_eq!(c.users(&tokens["access_token"]), 401);
}

#[test]
fn t16_another_account_reaches_other_organisations() {
    let mut c = Client::new();
    c.fake.control("sign_in_as", &json!({"email": "ann@harbour.example"})).unwrap();
    let tokens = c.sign_in();
    let headers = [("authorization", format!("Bearer {}", tokens["access_token"].as_str().unwrap()))];
    let answer = c.send("GET", "/connections", &headers, "");
    let rows = read(&answer).1;
    assert_eq!(rows.as_array().unwrap().len(), 5);
}

#[test]
fn what_the_fake_does_not_know_fails_loudly() {
    let mut c = Client::new();
    let access = c.sign_in()["access_token"].as_str().unwrap().to_owned();
    let headers = [
        ("authorization", format!("Bearer {access}")),
        ("xero-tenant-id", ACME.to_owned()),
        ("accept", "application/json".to_owned()),
    ];
    for path in [
        "/api.xro/2.0/Payments",
        "/api.xro/2.0/Users?pageSize=5",
        "/api.xro/2.0/Reports/ProfitAndLoss?fromDate=2026-10-01&toDate=2026-10-31",
        "/elsewhere",
    ] {
        assert_eq!(c.send("GET", path, &headers, "").status, 599, "{path}");
    }
    let without = c.send("GET", "/api.xro/2.0/Users", &headers[..2], "");
    assert!(without.body.starts_with(b"<Response"), "without Accept, XML");
    let bad = c.send("GET", "/api.xro/2.0/BankTransactions?page=1&where=Nonsense", &headers, "");
    assert_eq!(bad.status, 400);
}
