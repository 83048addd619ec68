//! An app that signs in as itself: client credentials (RFC 6749 4.4), for vendors whose manifest says so
//! ([`ledgerward_contract::AppForm`]). No person, no page, no refresh token.

use std::sync::Arc;

use async_trait::async_trait;
use ledgerward_contract::{Body, Error, ErrorKind, Request, Result, Secret, Timestamp, Transport};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::{
    answer::{classify_common, decode, is_html, safe_word},
    clock::Clock,
    layers::auth::{Bearer, TokenSource},
    minted::{self, Minted},
    oauth::CALL_MAX,
    vault::Durable,
    wait,
};

const OP: &str = "token.app";

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<Value>,
}

/// An app registration as a source of access tokens of its own.
pub struct AppOnly {
    token_url: Url,
    client_id: String,
    client_secret: Secret,
    /// What the vendor wants besides: whose token, for what.
    form: Vec<(&'static str, String)>,
    transport: Arc<dyn Transport>,
    minted: Minted,
}

impl AppOnly {
    /// `transport` is the wire itself, without retry, quota or auth. `token_url` comes from the endpoints.
    pub fn new(
        token_url: Url,
        client_id: impl Into<String>,
        client_secret: Secret,
        form: Vec<(&'static str, String)>,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { token_url, client_id: client_id.into(), client_secret, form, transport, minted: Minted::new(clock) }
    }

    async fn fetch(&self, now: Timestamp) -> Result<(Secret, Timestamp)> {
        let own = [
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", self.client_id.clone()),
            ("client_secret", self.client_secret.expose().trim_end().to_owned()),
        ];
        let form = own.into_iter().chain(self.form.iter().cloned());
        let mut request = Request::write(OP, http::Method::POST, self.token_url.clone()).timeout(CALL_MAX);
        request.body = Body::Form(form.map(|(key, value)| (key.to_owned(), value)).collect());
        let answer = wait::within(OP, CALL_MAX, self.transport.send(request)).await?;
        // A refusal is one only if the token endpoint itself speaks; the rest is weather.
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let code = body.get("error").and_then(Value::as_str);
        if let (400 | 401 | 403, Some(code)) = (answer.status, code) {
            return Err(Error::new(ErrorKind::Unauthenticated, OP, "the service does not let the app sign in as itself")
                .with("status", answer.status.to_string())
                .with("code", safe_word(code).unwrap_or_else(|| "unknown".to_owned()))
                .next("Check client_id and client_secret, whether the secret has expired, and whether an administrator has authorised the app."));
        }
        if !answer.ok() || is_html(&answer) {
            return Err(classify_common(OP, &answer));
        }
        let granted: Granted = decode(OP, &answer)?;
        if granted.access_token.is_empty() {
            return Err(Error::contract(OP, "the token endpoint answered without an access token"));
        }
        // Some write the seconds as text.
        let seconds = granted.expires_in.and_then(|v| v.as_u64().or_else(|| v.as_str()?.parse().ok()));
        Ok((Secret::new(granted.access_token), minted::ends(now, seconds)))
    }
}

#[async_trait]
impl TokenSource for AppOnly {
    async fn bearer(&self) -> Result<Durable<Bearer>> {
        self.minted.bearer(|now| self.fetch(now)).await
    }

    async fn refused(&self, generation: u64) -> bool {
        self.minted.refused(generation).await
    }

    async fn worked(&self, _: u64) {}
}
