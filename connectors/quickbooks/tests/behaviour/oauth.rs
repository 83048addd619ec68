//! One consent a company: the callback's realm, the rotation, the ends.

use std::{collections::BTreeMap, time::Duration};

use ledgerward_contract::{AuthScheme, ErrorKind, Factory, OAuthSpec, Request, Secret, Timestamp, Transport};
use ledgerward_kit::{
    Callback, OAuthClient, SignInFlow, SignedIn,
    oauth::{Granted, Refreshed},
    testing::{World, now},
};
use ledgerward_quickbooks::{FACTORY, fake::Fake};
use serde_json::json;
use url::Url;

use crate::common::{ACME, BIRCH, QUIET, VENDOR};

pub fn spec() -> OAuthSpec {
    let AuthScheme::OAuth(spec) = FACTORY.manifest().auth else { panic!("QuickBooks signs in by OAuth") };
    spec
}

struct Vendor {
    w: World,
    client: OAuthClient,
}

impl Vendor {
    fn new() -> Self {
        let w = VENDOR.world(Fake::sample().unwrap(), json!({}));
        Self { client: w.oauth("sandbox-qbo", "sandbox-secret"), w }
    }

    /// What the browser does: opens the page, and is sent back.
    async fn browse(&self, page: &Url) -> Url {
        let answer = self.w.wire.inner.send(Request::get("page.get", page.clone())).await.unwrap();
        assert_eq!(answer.status, 302, "{}", String::from_utf8_lossy(&answer.body));
        answer.header("location").unwrap().parse().unwrap()
    }

    async fn consent(&self) -> SignedIn {
        let redirect = Url::parse("https://firm.example/back").unwrap();
        let scopes: Vec<_> = spec().scopes[0].scopes.iter().map(|s| (*s).to_owned()).collect();
        let flow = SignInFlow::start(&self.client, Callback::Paste { redirect }, &scopes).await.unwrap();
        let back = self.browse(flow.url()).await;
        flow.paste(back.as_str()).await.unwrap()
    }

    async fn refresh(&self, token: &Secret) -> Result<Granted, Refreshed> {
        match self.client.refresh(token).await {
            Refreshed::Granted(granted) => Ok(granted),
            other => Err(other),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn companies_are_connected_one_after_another() {
    let v = Vendor::new();
    let mut realms = Vec::new();
    for _ in 0..3 {
        let signed_in = v.consent().await;
        assert!(signed_in.claims.sub.is_some());
        realms.push(signed_in.realm.unwrap());
    }
    assert_eq!(realms, [ACME, BIRCH, QUIET], "each consent is another company");
    v.w.control("choose", json!({"company": "Birch LLP"}));
    assert_eq!(v.consent().await.realm.as_deref(), Some(BIRCH));
}

#[tokio::test(start_paused = true)]
async fn t12_the_end_after_five_years_is_stored_and_not_the_rolling_one() {
    let v = Vendor::new();
    let signed_in = v.consent().await;
    let five: Timestamp = "2031-11-20T00:00:00Z".parse().unwrap();
    let stored = signed_in.tokens(now()).refresh_expires_at.unwrap();
    assert_eq!(stored.duration_since(five).abs().as_hours() / 24, 0, "{stored}");
    // A year later the end is the same, though the rolling one has moved.
    let mut refresh = signed_in.granted.refresh.unwrap();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(80 * 86_400)).await;
        let granted = v.refresh(&refresh).await.unwrap();
        assert_eq!(granted.refresh_expires_at(v.w.now()).unwrap().duration_since(stored).abs().as_hours(), 0);
        refresh = granted.refresh.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn t10_a_refresh_token_is_good_once_and_a_chain_has_two_ends() {
    let v = Vendor::new();
    let first = v.consent().await.granted.refresh.unwrap();
    let second = v.refresh(&first).await.unwrap().refresh.unwrap();
    assert_ne!(first.expose(), second.expose());
    assert!(matches!(v.refresh(&first).await, Err(Refreshed::Refused(_))), "spent");
    let mut token = v.refresh(&second).await.unwrap().refresh.unwrap();
    // Used every 90 days it lives, until five years are over.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(90 * 86_400)).await;
        token = v.refresh(&token).await.unwrap().refresh.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(90 * 86_400)).await;
    assert!(matches!(v.refresh(&token).await, Err(Refreshed::Refused(_))), "five years");
    let idle = v.consent().await.granted.refresh.unwrap();
    tokio::time::sleep(Duration::from_secs(102 * 86_400)).await;
    assert!(matches!(v.refresh(&idle).await, Err(Refreshed::Refused(_))), "idle");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_chain_is_dead_and_the_others_live() {
    let v = Vendor::new();
    let (one, two) = (v.consent().await.granted.refresh.unwrap(), v.consent().await.granted.refresh.unwrap());
    v.client.revoke(&one).await.unwrap();
    assert!(v.refresh(&one).await.is_err());
    assert!(v.refresh(&two).await.is_ok());
    v.w.control("rotate_client_secret", json!({"secret": "another"}));
    assert!(matches!(v.refresh(&two).await, Err(Refreshed::ClientRefused(e)) if e.kind == ErrorKind::Config));
}

#[tokio::test(start_paused = true)]
async fn the_consent_page_is_as_strict_as_intuits() {
    let v = Vendor::new();
    let ask = async |change: &[(&str, &str)]| {
        let mut fields: BTreeMap<&str, &str> = BTreeMap::from([
            ("client_id", "sandbox-qbo"),
            ("redirect_uri", "http://localhost:8400/callback"),
            ("response_type", "code"),
            ("scope", "com.intuit.quickbooks.accounting openid"),
            ("state", "s"),
        ]);
        fields.extend(change.iter().copied());
        let mut url = Url::parse("https://appcenter.intuit.com/connect/oauth2").unwrap();
        url.query_pairs_mut().extend_pairs(fields);
        v.w.wire.inner.send(Request::get("page.get", url)).await.unwrap()
    };
    assert_eq!(ask(&[]).await.status, 302);
    for wrong in
        [("client_id", "x"), ("redirect_uri", "http://firm.example/back"), ("redirect_uri", "no"), ("state", "")]
    {
        assert_eq!(ask(&[wrong]).await.status, 400, "{wrong:?}");
    }
    let back = ask(&[("scope", "accounting.read")]).await;
    assert!(back.header("location").unwrap().contains("error=invalid_scope"));
    let only_person = ask(&[("scope", "openid")]).await;
    assert!(!only_person.header("location").unwrap().contains("realmId"), "no company without the accounting scope");
}
