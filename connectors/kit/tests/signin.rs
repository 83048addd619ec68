//! Signing in, by a person and by a service account.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail by panicking")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http::HeaderMap;
use ledgerward_contract::{
    AuthScheme, Body, ClientAuth, Endpoint, Endpoints, ErrorKind, Manifest, OAuthSpec, Request, Response, Result,
    Rotation, Secret, Transport,
};
use ledgerward_kit::{
    AppOnly, Callback, OAuthClient, ServiceAccount, SignInFlow, TokenSource, TokioClock, signin::LoopbackName,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::Url;

static MANIFEST: Manifest = Manifest {
    name: "v",
    title: "V",
    auth: AuthScheme::None,
    endpoints: &[Endpoint { name: "identity", url: "https://identity.v.example" }],
    quotas: &[],
    access: None,
    grade: None,
    statements: &[],
    roles: &[],
    settings: &[],
    unverified: &[],
};

const SPEC: OAuthSpec = OAuthSpec {
    authorize: ("identity", "/authorize"),
    token: ("identity", "/token"),
    revoke: Some(("identity", "/revoke")),
    client_auth: ClientAuth::Basic,
    rotation: Rotation::Stable,
    scopes: &[],
    extra: &[("access_type", "offline")],
    idle_lifetime: None,
    ..OAuthSpec::PLAIN
};

/// Address, headers and form of one call.
type Came = (String, HeaderMap, BTreeMap<String, String>);

/// Answers every call with the same thing, and keeps what came.
struct Desk {
    answer: Mutex<(u16, String)>,
    came: Mutex<Vec<Came>>,
}

impl Desk {
    fn new(status: u16, body: &Value) -> Arc<Self> {
        Arc::new(Self { answer: Mutex::new((status, body.to_string())), came: Mutex::default() })
    }
}

#[async_trait]
impl Transport for Desk {
    async fn send(&self, request: Request) -> Result<Response> {
        let form = match request.body {
            Body::Form(fields) => fields.into_iter().collect(),
            Body::Bytes { bytes, .. } => url::form_urlencoded::parse(&bytes).into_owned().collect(),
            _ => BTreeMap::new(),
        };
        self.came.lock().unwrap().push((request.url.to_string(), request.headers, form));
        let (status, body) = self.answer.lock().unwrap().clone();
        Ok(Response { status, headers: HeaderMap::new(), body: Bytes::from(body) })
    }
}

fn app(desk: &Arc<Desk>, spec: OAuthSpec) -> OAuthClient {
    let endpoints = Endpoints::resolve(&MANIFEST, &BTreeMap::new()).unwrap();
    OAuthClient::new(spec, &endpoints, "app-1", Some(Secret::new("s3cret")), desk.clone()).unwrap()
}

fn id_token(claims: &Value) -> String {
    format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn good() -> Value {
    json!({
        "access_token": "a", "refresh_token": "r", "expires_in": 1800, "scope": "offline accounting.reports.read",
        "id_token": id_token(&json!({"aud": "app-1", "sub": "s-1", "email": "ana@firm.example", "xero_userid": "x-1"})),
    })
}

fn scopes() -> Vec<String> {
    vec!["offline".to_owned(), "accounting.reports.read".to_owned()]
}

fn asked(flow: &SignInFlow<'_>) -> BTreeMap<String, String> {
    flow.url().query_pairs().into_owned().collect()
}

async fn listening(client: &OAuthClient) -> (SignInFlow<'_>, SocketAddr, String) {
    let flow = SignInFlow::start(client, Callback::Loopback { port: 0, host: LoopbackName::Address }, &scopes())
        .await
        .unwrap();
    let asked = asked(&flow);
    let redirect = Url::parse(&asked["redirect_uri"]).unwrap();
    assert_eq!(redirect.host_str(), Some("127.0.0.1"));
    let address = format!("127.0.0.1:{}", redirect.port().unwrap()).parse().unwrap();
    (flow, address, asked["state"].clone())
}

/// What a browser gets.
async fn browse(address: SocketAddr, target: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    all
}

#[tokio::test]
async fn t17_a_browser_signs_in_with_pkce_and_state() {
    let desk = Desk::new(200, &good());
    let client = app(&desk, SPEC);
    let (flow, address, state) = listening(&client).await;
    let ask = asked(&flow);
    assert_eq!(flow.url().host_str(), Some("identity.v.example"));
    assert_eq!((ask["response_type"].as_str(), ask["client_id"].as_str()), ("code", "app-1"));
    assert_eq!((ask["code_challenge_method"].as_str(), ask["access_type"].as_str()), ("S256", "offline"));
    assert_eq!(ask["scope"], "offline accounting.reports.read");
    let browser = async {
        // A silent connection beside it, as browsers open them ahead.
        let _silent = TcpStream::connect(address).await.unwrap();
        browse(address, &format!("/callback?code=C1&state={state}")).await
    };
    let (signed_in, page) = tokio::join!(flow.wait(), browser);
    let signed_in = signed_in.unwrap();
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("Signed in"), "{page}");
    assert_eq!(signed_in.scopes, scopes());
    assert_eq!(signed_in.claims.sub.as_deref(), Some("s-1"));
    assert_eq!(signed_in.claims.email.as_deref(), Some("ana@firm.example"));
    assert_eq!(signed_in.claims.xero_userid.as_deref(), Some("x-1"));
    let new = signed_in.tokens("2026-11-21T10:00:00Z".parse().unwrap());
    assert_eq!(new.access_expires_at, "2026-11-21T10:30:00Z".parse().unwrap());
    assert_eq!(new.refresh.unwrap().expose(), "r");

    let (url, headers, form) = desk.came.lock().unwrap()[0].clone();
    assert_eq!(url, "https://identity.v.example/token");
    assert_eq!((form["grant_type"].as_str(), form["code"].as_str()), ("authorization_code", "C1"));
    assert_eq!(form["redirect_uri"], ask["redirect_uri"]);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
    assert_eq!(challenge, ask["code_challenge"]);
    assert_eq!(headers["authorization"].to_str().unwrap(), format!("Basic {}", STANDARD.encode("app-1:s3cret")));
    // Used once: nobody listens any more.
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn scopes_are_separated_as_the_vendor_wants_it() {
    let desk = Desk::new(200, &json!({"access_token": "a"}));
    let client = app(&desk, OAuthSpec { scope_separator: ",", ..SPEC });
    let flow = SignInFlow::start(&client, paste(), &scopes()).await.unwrap();
    let ask = asked(&flow);
    assert_eq!(ask["scope"], "offline,accounting.reports.read");
    let back = format!("{}?code=C1&state={}", ask["redirect_uri"], ask["state"]);
    assert_eq!(flow.paste(&back).await.unwrap().scopes, scopes(), "what was asked for, where nothing is said");
    let flow = SignInFlow::start(&client, paste(), &[]).await.unwrap();
    assert!(!asked(&flow).contains_key("scope"));
}

#[tokio::test]
async fn t17_strangers_cannot_end_or_steal_the_flow() {
    let desk = Desk::new(200, &good());
    let client = app(&desk, SPEC);
    let (flow, address, state) = listening(&client).await;
    let strangers = async {
        for target in [
            "/callback?code=EVIL&state=wrong",
            "/callback?code=EVIL",
            "/callback?error=access_denied&state=wrong",
            &format!("/other?code=EVIL&state={state}"),
            &format!("//evil.example/callback?code=EVIL&state={state}"),
            &format!("http://evil.example/callback?code=EVIL&state={state}"),
            &format!("/callback?code=EVIL&iss=https%3A%2F%2Fevil.example&state={state}"),
            &format!("/callback?state={state}"),
            "/favicon.ico",
        ] {
            let page = browse(address, target).await;
            assert!(page.starts_with("HTTP/1.1 400"), "{target}: {page}");
            assert!(!page.contains("EVIL"));
        }
        let mut post = TcpStream::connect(address).await.unwrap();
        post.write_all(b"POST /callback HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(post.read(&mut [0; 10]).await.unwrap_or(0), 0);
        browse(address, &format!("/callback?code=C1&state={state}&iss=https%3A%2F%2Fidentity.v.example")).await
    };
    let (signed_in, page) = tokio::join!(flow.wait(), strangers);
    signed_in.unwrap();
    assert!(page.contains("Signed in"));
    let came = desk.came.lock().unwrap();
    assert_eq!((came.len(), came[0].2["code"].as_str()), (1, "C1"));
}

#[tokio::test]
async fn t17_a_person_may_decline() {
    let desk = Desk::new(200, &good());
    let client = app(&desk, SPEC);
    let (flow, address, state) = listening(&client).await;
    let target = format!("/callback?error=access_denied&state={state}");
    let (outcome, _page) = tokio::join!(flow.wait(), browse(address, &target));
    let e = outcome.unwrap_err();
    assert_eq!((e.kind, e.get("code")), (ErrorKind::Cancelled, Some("access_denied")));
    assert!(desk.came.lock().unwrap().is_empty());
}

fn paste() -> Callback {
    Callback::Paste { redirect: Url::parse("http://localhost:8400/callback").unwrap() }
}

#[tokio::test(start_paused = true)]
async fn t17_a_pasted_address_works_once_and_for_ten_minutes() {
    let desk = Desk::new(200, &good());
    let client = app(&desk, SPEC);
    for (address, ok) in [
        ("http://localhost:8400/callback?code=C1&state=STATE", true),
        ("  http://localhost:8400/callback?state=STATE&code=C1\n", true),
        ("http://localhost:8400/callback?code=C1&state=nope", false),
        ("http://localhost:8400/callback?code=C1", false),
        ("http://localhost:8401/callback?code=C1&state=STATE", false),
        ("https://evil.example/callback?code=C1&state=STATE", false),
        ("C1", false),
    ] {
        let flow = SignInFlow::start(&client, paste(), &scopes()).await.unwrap();
        let state = asked(&flow)["state"].clone();
        let outcome = flow.paste(&address.replace("STATE", &state)).await;
        assert_eq!(outcome.is_ok(), ok, "{address}: {outcome:?}");
        if let Err(e) = outcome {
            assert_eq!(e.kind, ErrorKind::Unauthenticated);
            assert!(!format!("{e:?}").contains("C1"));
        }
    }
    let flow = SignInFlow::start(&client, paste(), &scopes()).await.unwrap();
    let state = asked(&flow)["state"].clone();
    tokio::time::sleep(Duration::from_secs(601)).await;
    let late = flow.paste(&format!("http://localhost:8400/callback?code=C1&state={state}")).await.unwrap_err();
    assert_eq!(late.kind, ErrorKind::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn t17_nobody_comes_back() {
    let desk = Desk::new(200, &good());
    let client = app(&desk, SPEC);
    let (flow, ..) = listening(&client).await;
    assert_eq!(flow.wait().await.unwrap_err().kind, ErrorKind::Cancelled);
}

const ONE_COMPANY: OAuthSpec = OAuthSpec { realm: Some("realmId"), ..SPEC };

/// What a callback may end with, and the company it names.
const REALMS: &[(&str, Option<&str>)] = &[
    ("&realmId=9341453172058123", Some("9341453172058123")),
    ("&realmId=b8f2-1_C", Some("b8f2-1_C")),
    ("", None),
    ("&realmId=", None),
    ("&realmid=9341453172058123", None),
    ("&realmId=12345678901234567890123456789012345678901234567890123456789012345", None),
    ("&realmId=..%2F..%2Fadmin", None),
    ("&realmId=1%3Fx%3D2", None),
    ("&realmId=1%0d%0aX%3A1", None),
    ("&realmId=%C3%A9", None),
    ("&realmId=1+2", None),
];

#[tokio::test]
async fn t16_a_pasted_callback_names_the_company() {
    let desk = Desk::new(200, &good());
    let client = app(&desk, ONE_COMPANY);
    for (end, realm) in REALMS {
        let flow = SignInFlow::start(&client, paste(), &scopes()).await.unwrap();
        let state = asked(&flow)["state"].clone();
        let before = desk.came.lock().unwrap().len();
        let outcome = flow.paste(&format!("http://localhost:8400/callback?code=C1&state={state}{end}")).await;
        match realm {
            Some(realm) => assert_eq!(outcome.unwrap().realm.as_deref(), Some(*realm)),
            None => {
                let e = outcome.unwrap_err();
                assert_eq!(e.kind, ErrorKind::Unauthenticated, "{end}");
                assert!(e.message.contains("company"), "{e}");
                assert_eq!(desk.came.lock().unwrap().len(), before, "{end}: a code without a company is not exchanged");
            }
        }
    }
}

#[tokio::test]
async fn t16_a_browser_that_names_no_company_is_waited_for_again() {
    let desk = Desk::new(200, &good());
    let client = app(&desk, ONE_COMPANY);
    for (end, realm) in REALMS.iter().filter(|(_, realm)| realm.is_none()) {
        let (flow, address, state) = listening(&client).await;
        let browser = async {
            let refused = browse(address, &format!("/callback?code=C1&state={state}{end}")).await;
            assert!(refused.starts_with("HTTP/1.1 400"), "{end}: {realm:?} {refused}");
            browse(address, &format!("/callback?code=C2&state={state}&realmId=77")).await
        };
        let (signed_in, page) = tokio::join!(flow.wait(), browser);
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        assert_eq!(signed_in.unwrap().realm.as_deref(), Some("77"));
    }
    let codes: Vec<_> = desk.came.lock().unwrap().iter().map(|(_, _, form)| form["code"].clone()).collect();
    assert!(codes.iter().all(|c| c == "C2"), "{codes:?}");
}

#[tokio::test]
async fn t16_a_vendor_of_many_companies_keeps_no_realm() {
    let desk = Desk::new(200, &good());
    let client = app(&desk, SPEC);
    let flow = SignInFlow::start(&client, paste(), &scopes()).await.unwrap();
    let state = asked(&flow)["state"].clone();
    let address = format!("http://localhost:8400/callback?code=C1&state={state}&realmId=77");
    assert_eq!(flow.paste(&address).await.unwrap().realm, None);
}

#[tokio::test]
async fn token_calls_carry_the_vendors_own_headers() {
    let desk = Desk::new(200, &good());
    let spec = OAuthSpec { token_headers: &[("x-include-hard-end", "true")], ..SPEC };
    let client = app(&desk, spec);
    let flow = SignInFlow::start(&client, paste(), &scopes()).await.unwrap();
    let state = asked(&flow)["state"].clone();
    flow.paste(&format!("http://localhost:8400/callback?code=C1&state={state}")).await.unwrap();
    let _ = client.refresh(&Secret::new("r")).await;
    let came = desk.came.lock().unwrap();
    assert_eq!(came.len(), 2);
    assert!(came.iter().all(|(_, headers, _)| headers["x-include-hard-end"] == "true"));
}

async fn exchange(status: u16, body: &Value) -> Result<ledgerward_kit::SignedIn> {
    let desk = Desk::new(status, body);
    let client = app(&desk, SPEC);
    let flow = SignInFlow::start(&client, paste(), &scopes()).await.unwrap();
    let state = asked(&flow)["state"].clone();
    let outcome = flow.paste(&format!("http://localhost:8400/callback?code=C1&state={state}")).await;
    assert_eq!(desk.came.lock().unwrap().len(), 1, "a code is sent once");
    outcome
}

#[tokio::test]
async fn a_refused_exchange_says_what_to_do() {
    let kind = async |s, b: Value| exchange(s, &b).await.unwrap_err().kind;
    assert_eq!(kind(400, json!({"error": "invalid_grant"})).await, ErrorKind::Unauthenticated);
    assert_eq!(kind(401, json!({"error": "invalid_client"})).await, ErrorKind::Config);
    assert_eq!(kind(503, json!({})).await, ErrorKind::Unavailable);
    assert_eq!(kind(200, json!({"token": 1})).await, ErrorKind::Contract);
}

#[tokio::test]
async fn an_id_token_for_somebody_else_is_refused() {
    let with = |claims: Value| json!({"access_token": "a", "id_token": id_token(&claims)});
    let e = exchange(200, &with(json!({"aud": "other-app", "sub": "s"}))).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Contract);
    assert!(exchange(200, &with(json!({"aud": ["other-app", "app-1"], "sub": "s"}))).await.is_ok());
    assert!(exchange(200, &json!({"access_token": "a", "id_token": "rubbish"})).await.is_err());
    let named = json!({"access_token": "a", "user": {"uid": "u-1", "username": "ana@firm.example"}});
    let named = exchange(200, &named).await.unwrap().claims;
    assert_eq!((named.sub.as_deref(), named.email.as_deref()), (Some("u-1"), Some("ana@firm.example")));
    let none = exchange(200, &json!({"access_token": "a"})).await.unwrap();
    assert_eq!((none.claims, none.scopes), (ledgerward_kit::Claims::default(), scopes()));
}

#[tokio::test]
async fn a_revocation_names_the_token_to_its_own_address() {
    let desk = Desk::new(200, &json!({}));
    app(&desk, SPEC).revoke(&Secret::new("r")).await.unwrap();
    app(&desk, OAuthSpec { client_auth: ClientAuth::Body, ..SPEC }).revoke(&Secret::new("r")).await.unwrap();
    {
        let came = desk.came.lock().unwrap();
        assert_eq!(came[0].0, "https://identity.v.example/revoke");
        assert!(came[0].1.contains_key("authorization") && !came[0].2.contains_key("client_secret"));
        assert_eq!((came[1].2["token"].as_str(), came[1].2["client_secret"].as_str()), ("r", "s3cret"));
    }
    let none = OAuthSpec { revoke: None, ..SPEC };
    assert_eq!(app(&desk, none).revoke(&Secret::new("r")).await.unwrap_err().kind, ErrorKind::Unsupported);
    *desk.answer.lock().unwrap() = (503, String::new());
    assert_eq!(app(&desk, SPEC).revoke(&Secret::new("r")).await.unwrap_err().kind, ErrorKind::Unavailable);
}

/// Made for these tests with openssl; opens nothing.
const KEY: &str = include_str!("data/test-only-rsa.pem");

fn key_file() -> Value {
    json!({"type": "service_account", "client_email": "robot@p.iam.example", "private_key_id": "k1", "private_key": KEY,
           "token_uri": "https://evil.example/token"})
}

fn robot(desk: &Arc<Desk>, file: &Value) -> Result<ServiceAccount> {
    let clock = Arc::new(TokioClock::starting("2026-11-21T10:00:00Z".parse().unwrap()));
    let url = Url::parse("https://identity.v.example/token").unwrap();
    let subject = Some("ana@firm.example".to_owned());
    ServiceAccount::new(&Secret::new(file.to_string()), &["drive", "x"], subject, url, desk.clone(), clock)
}

#[tokio::test(start_paused = true)]
async fn a_service_account_signs_what_google_asks_for() {
    let desk = Desk::new(200, &json!({"access_token": "g", "expires_in": 3599, "token_type": "Bearer"}));
    let robot = robot(&desk, &key_file()).unwrap();
    for _ in 0..5 {
        assert_eq!(robot.bearer().await.unwrap().get().token.expose(), "g");
    }
    let (url, _, form) = desk.came.lock().unwrap()[0].clone();
    assert_eq!(url, "https://identity.v.example/token", "never the address in the file");
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let parts: Vec<_> = form["assertion"].split('.').collect();
    let read = |p: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(p).unwrap()).unwrap();
    assert_eq!(read(parts[0]), json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
    let claims = read(parts[1]);
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("robot@p.iam.example"), &json!("ana@firm.example")));
    assert_eq!((&claims["aud"], &claims["scope"]), (&json!(url), &json!("drive x")));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    let der = STANDARD.decode(KEY.lines().filter(|l| !l.starts_with("--")).collect::<String>()).unwrap();
    let pair = ring::signature::RsaKeyPair::from_pkcs8(&der).unwrap();
    let public = ring::signature::UnparsedPublicKey::new(
        &ring::signature::RSA_PKCS1_2048_8192_SHA256,
        pair.public().as_ref().to_vec(),
    );
    let signed = format!("{}.{}", parts[0], parts[1]);
    public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(parts[2]).unwrap()).unwrap();

    tokio::time::sleep(Duration::from_secs(3300)).await;
    let said = std::mem::replace(&mut *desk.answer.lock().unwrap(), (503, String::new()));
    assert_eq!(robot.bearer().await.unwrap().get().generation, 1, "the old one serves while Google is away");
    *desk.answer.lock().unwrap() = said;
    desk.came.lock().unwrap().pop();
    assert_eq!(robot.bearer().await.unwrap().get().generation, 2);
    assert_eq!(desk.came.lock().unwrap().len(), 2, "once, and once more near its end");
    assert!(!robot.refused(2).await);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(robot.refused(2).await);
    assert_eq!(robot.bearer().await.unwrap().get().generation, 3);
}

#[tokio::test]
async fn a_bad_key_file_is_named_and_not_shown() {
    let desk = Desk::new(200, &json!({}));
    let mut wrong = key_file();
    wrong["type"] = json!("authorized_user");
    let mut damaged = key_file();
    damaged["private_key"] = json!(KEY.replace('A', "B"));
    let mut missing = key_file();
    missing.as_object_mut().unwrap().remove("client_email");
    for file in [wrong, damaged, missing, json!("CANARY")] {
        let Err(e) = robot(&desk, &file) else { panic!("accepted") };
        assert_eq!(e.kind, ErrorKind::Config);
        let text = format!("{e:?}");
        assert!(!text.contains("CANARY") && !text.contains("MII") && e.next.is_some(), "{text}");
    }
    *desk.answer.lock().unwrap() = (400, json!({"error": "invalid_grant", "error_description": "CANARY"}).to_string());
    let Err(e) = robot(&desk, &key_file()).unwrap().bearer().await else { panic!("granted") };
    assert_eq!((e.kind, e.get("code")), (ErrorKind::Unauthenticated, Some("invalid_grant")));
    assert!(!format!("{e:?}").contains("CANARY"));
    *desk.answer.lock().unwrap() = (500, String::new());
    let Err(e) = robot(&desk, &key_file()).unwrap().bearer().await else { panic!("granted") };
    assert_eq!(e.kind, ErrorKind::Unavailable);
}

fn own_app(desk: &Arc<Desk>) -> AppOnly {
    let clock = Arc::new(TokioClock::starting("2026-11-21T10:00:00Z".parse().unwrap()));
    let url = Url::parse("https://identity.v.example/token").unwrap();
    // As an editor leaves it at the end of a file.
    let secret = Secret::new("s3cret\n");
    AppOnly::new(url, "app-1", secret, vec![("scope", "https://api.v.example/.default".into())], desk.clone(), clock)
}

#[tokio::test(start_paused = true)]
async fn an_app_signs_in_as_itself_and_again_before_the_end() {
    let desk = Desk::new(200, &json!({"access_token": "g", "expires_in": "3599", "token_type": "Bearer"}));
    let app = own_app(&desk);
    for _ in 0..5 {
        assert_eq!(app.bearer().await.unwrap().get().token.expose(), "g");
    }
    {
        let came = desk.came.lock().unwrap();
        assert_eq!(came.len(), 1, "one token serves until shortly before its end");
        let form = &came[0].2;
        let text = |key: &str| form[key].as_str();
        assert_eq!((text("grant_type"), text("client_id")), ("client_credentials", "app-1"));
        assert_eq!((text("client_secret"), text("scope")), ("s3cret", "https://api.v.example/.default"));
    }
    assert!(!app.refused(1).await, "a young token is not thrown away for one refusal");
    tokio::time::sleep(Duration::from_secs(3_300)).await;
    let said = std::mem::replace(&mut *desk.answer.lock().unwrap(), (503, String::new()));
    assert_eq!(app.bearer().await.unwrap().get().generation, 1, "the old one serves in the vendor's bad hour");
    *desk.answer.lock().unwrap() = said;
    assert_eq!(app.bearer().await.unwrap().get().generation, 2);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(app.refused(2).await);
    assert_eq!(app.bearer().await.unwrap().get().generation, 3, "one that was refused is made anew");
}

#[tokio::test]
async fn an_app_that_is_refused_is_told_apart_from_weather() {
    let desk = Desk::new(401, &json!({"error": "invalid_client", "error_description": "CANARY"}));
    let told = |answer: (u16, String)| {
        *desk.answer.lock().unwrap() = answer;
        let app = own_app(&desk);
        async move {
            match app.bearer().await {
                Err(e) => e,
                Ok(_) => panic!("granted"),
            }
        }
    };
    let refused = json!({"error": "invalid_client", "error_description": "CANARY"}).to_string();
    for status in [400, 401, 403] {
        let e = told((status, refused.clone())).await;
        assert_eq!((e.kind, e.get("code")), (ErrorKind::Unauthenticated, Some("invalid_client")));
        assert!(!format!("{e:?}").contains("CANARY") && e.next.is_some());
    }
    assert_eq!(told((503, refused)).await.kind, ErrorKind::Unavailable);
    for body in ["{}", "<html>sign in</html>", "", r#"{"access_token": ""}"#] {
        let e = told((200, body.into())).await;
        assert_ne!(e.kind, ErrorKind::Unauthenticated, "{body}: {e:?}");
    }
    assert_ne!(told((403, "<html>a firewall</html>".into())).await.kind, ErrorKind::Unauthenticated);
}
