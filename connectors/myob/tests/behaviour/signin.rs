//! The kit's token protocol and layers, over the fake as the vendor.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Method;
use ledgerward_contract::{Auth, AuthScheme, Cursor, ErrorKind, Factory, ReadCx, Request, Scope, Secret, Transport};
use ledgerward_kit::{
    Callback, Deadlines, Fixed, MemoryDays, OAuthClient, Quotas, SignInFlow, SignedIn, Stack, StackConfig, TokioClock,
    fake::{Fake as _, FakeTransport, SharedFake},
    layers::auth::Dress,
    oauth::Refreshed,
};
use ledgerward_myob::{FACTORY, fake::Fake, retry_hint};
use serde_json::{Value, json};

use crate::common::{LARK, MISTRAL, connector, endpoints, now};

struct Vendor {
    fake: SharedFake,
    wire: Arc<FakeTransport>,
}

impl Vendor {
    fn new() -> Self {
        Self::over(Fake::sample().unwrap())
    }

    fn over(fake: Fake) -> Self {
        let fake: SharedFake = Arc::new(Mutex::new(Box::new(fake)));
        Self { wire: Arc::new(FakeTransport::new(fake.clone(), now())), fake }
    }

    fn control(&self, verb: &str, args: Value) -> Value {
        self.fake.lock().unwrap().control(verb, &args).unwrap()
    }

    fn client(&self, secret: &str) -> OAuthClient {
        let AuthScheme::OAuth(spec) = FACTORY.manifest().auth else { panic!("MYOB signs in by OAuth") };
        OAuthClient::new(spec, &endpoints(), "sandbox-myob-key", Some(Secret::new(secret)), self.wire.clone()).unwrap()
    }

    async fn sign_in(&self) -> ledgerward_contract::Result<SignedIn> {
        let client = self.client("sandbox-myob-secret");
        let AuthScheme::OAuth(spec) = FACTORY.manifest().auth else { panic!() };
        let scopes: Vec<_> = spec.scopes[1].scopes.iter().map(|s| (*s).to_owned()).collect();
        let redirect = "http://localhost:8787/callback".parse().unwrap();
        let flow = SignInFlow::start(&client, Callback::Paste { redirect }, &scopes).await.unwrap();
        let page = Request::read("consent.get", Method::GET, flow.url().clone()).auth(Auth::Url);
        let page = self.wire.send(page).await.unwrap();
        flow.paste(page.header("location").unwrap_or_default()).await
    }

    /// The connector's context through every layer, with the manifest's own limits.
    fn layered(&self, token: &Secret, realm: Option<&str>) -> ReadCx {
        let clock = Arc::new(TokioClock::starting(now()));
        let manifest = FACTORY.manifest();
        let stack = Stack::build(StackConfig {
            manifest,
            endpoints: endpoints(),
            allow_private_network: false,
            read_only: true,
            tokens: Arc::new(Fixed::new(token.clone())),
            dress: Dress::new(manifest, Some("sandbox-myob-key"), &BTreeMap::new()).unwrap(),
            quotas: Quotas::new("myob", manifest.quotas, Arc::new(MemoryDays::default()), clock.clone()),
            verdict: retry_hint,
            clock,
            deadlines: Deadlines { page: Duration::from_secs(900), statement: Duration::from_secs(900) },
            jitter: || 0.5,
            base: self.wire.clone(),
        });
        ReadCx::new(stack.unwrap(), now()).in_realm(realm)
    }
}

#[tokio::test(start_paused = true)]
async fn each_consent_brings_the_next_file_and_its_id() {
    let v = Vendor::new();
    let first = v.sign_in().await.unwrap();
    assert_eq!(first.realm.as_deref(), Some(LARK));
    assert_eq!(first.granted.expires_in, Duration::from_secs(1200), "a number in a string");
    assert_eq!(v.sign_in().await.unwrap().realm.as_deref(), Some(MISTRAL));
    let cx = v.layered(&first.granted.access, first.realm.as_deref());
    let connector = connector(json!({})).unwrap();
    let source = connector.ledgers().unwrap();
    let ledger = source.ledgers(&cx, Cursor::Start).await.unwrap().items.remove(0);
    assert_eq!(ledger.name, "Lark Plumbing Pty Ltd");
    assert_eq!(source.access(&cx, Scope::One(&ledger.id), Cursor::Start).await.unwrap().items.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn only_an_administrator_of_a_file_can_consent() {
    let v = Vendor::new();
    v.control("choose", json!({"user": "bob@harbour.example", "file": LARK}));
    assert!(v.sign_in().await.is_err());
    v.control("choose", json!({"user": "lou@lark.example", "file": LARK}));
    assert_eq!(v.sign_in().await.unwrap().realm.as_deref(), Some(LARK));
}

#[tokio::test(start_paused = true)]
async fn t01_a_refresh_token_is_good_once() {
    let v = Vendor::new();
    let client = v.client("sandbox-myob-secret");
    let old = v.sign_in().await.unwrap().granted.refresh.unwrap();
    let Refreshed::Granted(new) = client.refresh(&old).await else { panic!("refused") };
    assert!(matches!(client.refresh(&old).await, Refreshed::Refused(code) if code == "invalid_grant"));
    let new = new.refresh.unwrap();
    tokio::time::advance(Duration::from_secs(6 * 24 * 3600)).await;
    let Refreshed::Granted(kept) = client.refresh(&new).await else { panic!("refused within the week") };
    tokio::time::advance(Duration::from_secs(8 * 24 * 3600)).await;
    assert!(matches!(client.refresh(&kept.refresh.unwrap()).await, Refreshed::Refused(_)));
}

#[tokio::test(start_paused = true)]
async fn t11_a_wrong_secret_is_the_apps_and_not_the_tokens_fault() {
    let v = Vendor::new();
    let refresh = v.sign_in().await.unwrap().granted.refresh.unwrap();
    assert!(matches!(v.client("yesterday's").refresh(&refresh).await, Refreshed::ClientRefused(_)));
    assert!(matches!(v.client("sandbox-myob-secret").refresh(&refresh).await, Refreshed::Granted(_)));
}

#[tokio::test(start_paused = true)]
async fn an_access_token_lives_twenty_minutes() {
    let v = Vendor::new();
    let s = v.sign_in().await.unwrap();
    let cx = v.layered(&s.granted.access, s.realm.as_deref());
    let connector = connector(json!({})).unwrap();
    let source = connector.ledgers().unwrap();
    tokio::time::advance(Duration::from_secs(1199)).await;
    assert!(source.ledgers(&cx, Cursor::Start).await.is_ok());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(source.ledgers(&cx, Cursor::Start).await.unwrap_err().kind, ErrorKind::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn p10_the_limit_of_eight_a_second_is_kept_before_myob_has_to_refuse() {
    let v = Vendor::new();
    let s = v.sign_in().await.unwrap();
    let cx = v.layered(&s.granted.access, s.realm.as_deref());
    let connector = connector(json!({})).unwrap();
    for _ in 0..60 {
        connector.ledgers().unwrap().ledgers(&cx, Cursor::Start).await.unwrap();
    }
    assert_eq!(v.control("stats", json!({}))["rate_limited"], 0);
}

#[tokio::test(start_paused = true)]
async fn p10_a_refusal_for_speed_is_waited_out() {
    let v = Vendor::new();
    let s = v.sign_in().await.unwrap();
    v.control("set_outage", json!({"kind": 403, "name": "RateLimitError", "count": 2}));
    let cx = v.layered(&s.granted.access, s.realm.as_deref());
    let connector = connector(json!({})).unwrap();
    assert!(connector.ledgers().unwrap().ledgers(&cx, Cursor::Start).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_saved_goes_on_in_another_process() {
    let v = Vendor::new();
    let s = v.sign_in().await.unwrap();
    v.control("rename_file", json!({"file": LARK, "name": "Lark & Daughter"}));
    let saved = v.fake.lock().unwrap().save();
    let again = Fake::restore(&saved, "https://api.myob.com").unwrap();
    assert_eq!(again.save(), saved);
    let later = Vendor::over(again);
    let cx = later.layered(&s.granted.access, s.realm.as_deref());
    let connector = connector(json!({})).unwrap();
    let ledgers = connector.ledgers().unwrap().ledgers(&cx, Cursor::Start).await.unwrap();
    assert_eq!(ledgers.items[0].name, "Lark & Daughter");
    assert!(matches!(
        later.client("sandbox-myob-secret").refresh(&s.granted.refresh.unwrap()).await,
        Refreshed::Granted(_)
    ));
    assert!(Fake::restore(&json!({}), "x").err().unwrap().contains("start a new sandbox"));
}

#[test]
fn the_demo_firm_is_a_seed() {
    let seed = serde_json::from_str(include_str!("../../../../fixtures/firm/myob.json")).unwrap();
    assert!(Fake::from_seed(&seed).is_ok());
    assert!(Fake::from_seed(&json!({"app": {}})).is_err());
}
