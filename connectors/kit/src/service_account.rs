//! Google service accounts: a signed assertion instead of a person (RFC 7523, RS256).
//!
//! Access tokens can always be made anew from the key, so there is nothing to store and nothing to lose.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ledgerward_contract::{Body, Error, ErrorKind, Request, Result, Secret, Timestamp, Transport};
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use crate::{
    answer::{classify_common, decode, from_json, safe_word},
    clock::Clock,
    layers::auth::{Bearer, TokenSource},
    minted::{self, Minted},
    oauth::CALL_MAX,
    vault::Durable,
    wait,
};

const OP: &str = "token.assert";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The longest life Google gives an assertion.
const ASSERTION_LIFE: Duration = Duration::from_secs(3600);
/// Our clock may be ahead of Google's.
const BACKDATE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct KeyFile {
    #[serde(rename = "type")]
    kind: String,
    client_email: String,
    private_key_id: String,
    private_key: String,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}

/// A service account as a source of access tokens.
pub struct ServiceAccount {
    email: String,
    key_id: String,
    key: RsaKeyPair,
    scopes: String,
    /// The person to act for, where an administrator delegated that (domain-wide delegation).
    subject: Option<String>,
    /// From the connector's endpoints, never from the key file: a file cannot redirect an assertion.
    token_url: Url,
    transport: Arc<dyn Transport>,
    minted: Minted,
}

impl ServiceAccount {
    /// `key_file` is the JSON that Google hands out. `token_url` comes from the endpoints.
    ///
    /// Errors: `Config` with what is wrong about the file, never with a part of it.
    pub fn new(
        key_file: &Secret,
        scopes: &[&str],
        subject: Option<String>,
        token_url: Url,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let file: KeyFile = from_json(OP, key_file.expose().as_bytes()).map_err(|e| bad(&e.message))?;
        if file.kind != "service_account" {
            return Err(bad("its type is not \"service_account\""));
        }
        let pem = Zeroizing::new(file.private_key);
        let text: Zeroizing<String> =
            Zeroizing::new(pem.lines().map(str::trim).filter(|l| !l.starts_with("-----")).collect::<Vec<_>>().concat());
        let der = Zeroizing::new(STANDARD.decode(text.as_bytes()).map_err(|_| bad("its private_key is not PEM"))?);
        let key = RsaKeyPair::from_pkcs8(&der).map_err(|_| bad("its private_key is not an RSA key in PKCS #8"))?;
        Ok(Self {
            email: file.client_email,
            key_id: file.private_key_id,
            key,
            scopes: scopes.join(" "),
            subject,
            token_url,
            transport,
            minted: Minted::new(clock),
        })
    }

    /// The account's address, to which folders are shared.
    pub fn email(&self) -> &str {
        &self.email
    }

    fn assertion(&self, now: Timestamp) -> Result<String> {
        let issued = now.as_second() - BACKDATE.as_secs().cast_signed();
        let mut claims = json!({
            "iss": self.email,
            "scope": self.scopes,
            "aud": self.token_url.as_str(),
            "iat": issued,
            "exp": issued + ASSERTION_LIFE.as_secs().cast_signed(),
        });
        if let (Some(subject), Some(map)) = (&self.subject, claims.as_object_mut()) {
            map.insert("sub".to_owned(), json!(subject));
        }
        let head = json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id});
        let text =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(head.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &ring::rand::SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|_| Error::new(ErrorKind::Unavailable, OP, "the assertion could not be signed"))?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    async fn fetch(&self, now: Timestamp) -> Result<(Secret, Timestamp)> {
        let mut request = Request::write(OP, http::Method::POST, self.token_url.clone()).timeout(CALL_MAX);
        request.body = Body::Form(vec![
            ("grant_type".to_owned(), GRANT.to_owned()),
            ("assertion".to_owned(), self.assertion(now)?),
        ]);
        let response = wait::within(OP, CALL_MAX, self.transport.send(request)).await?;
        if matches!(response.status, 400 | 401 | 403) {
            let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
            let code = body.get("error").and_then(|e| safe_word(e.as_str()?)).unwrap_or_else(|| "unknown".to_owned());
            return Err(Error::new(ErrorKind::Unauthenticated, OP, "Google does not accept the service account")
                .with("status", response.status.to_string())
                .with("code", code)
                .next("Check that the key was not deleted, that this machine's clock is right, and that delegation covers the scopes."));
        }
        if !response.ok() {
            return Err(classify_common(OP, &response));
        }
        let granted: Granted = decode(OP, &response)?;
        Ok((Secret::new(granted.access_token), minted::ends(now, granted.expires_in)))
    }
}

fn bad(why: &str) -> Error {
    Error::new(ErrorKind::Config, OP, format!("the service account's key file cannot be used: {why}"))
        .next("Download a new JSON key of the service account from the Google Cloud console.")
}

#[async_trait]
impl TokenSource for ServiceAccount {
    async fn bearer(&self) -> Result<Durable<Bearer>> {
        self.minted.bearer(|now| self.fetch(now)).await
    }

    async fn refused(&self, generation: u64) -> bool {
        self.minted.refused(generation).await
    }

    async fn worked(&self, _: u64) {}
}
