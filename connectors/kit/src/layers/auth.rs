//! The access token: added to requests for the connector's own hosts, and to nothing else.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use http::{HeaderName, HeaderValue, header};
use ledgerward_contract::{
    Auth as Credential, AuthScheme, Error, ErrorKind, Manifest, Request, Response, Result, Secret, Transport,
};

use crate::{hosts::Hosts, vault::Durable};

/// An access token and which one it is.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// The whole value after `Bearer `; empty where nothing is added.
    pub token: Secret,
    /// Counts up with every renewal, so that a late refusal of an old token does not throw a new one away.
    pub generation: u64,
}

/// Where access tokens come from. Many tasks ask at once.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// A token that is good now. It is durable: nothing is lost if the process dies right after (I8).
    async fn bearer(&self) -> Result<Durable<Bearer>>;
    /// The vendor answered 401 to this generation. True: ask [`TokenSource::bearer`] again, the next may do better.
    async fn refused(&self, generation: u64) -> bool;
    /// The vendor accepted this generation.
    async fn worked(&self, generation: u64);
}

/// A fixed token, for tests, or none.
pub struct Fixed(Option<Secret>);

impl Fixed {
    pub fn new(token: Secret) -> Self {
        Self(Some(token))
    }

    /// For targets without sign-in: no `Authorization` is added.
    pub const fn none() -> Self {
        Self(None)
    }
}

#[async_trait]
impl TokenSource for Fixed {
    async fn bearer(&self) -> Result<Durable<Bearer>> {
        // It came from the configuration and will come from there again: there is nothing to lose.
        let token = self.0.clone().unwrap_or_else(|| Secret::new(""));
        Ok(Durable::committed(Bearer { token, generation: 0 }))
    }

    async fn refused(&self, _: u64) -> bool {
        false
    }

    async fn worked(&self, _: u64) {}
}

/// What goes into a request besides the access token.
#[derive(Clone, Debug, Default)]
pub struct Dress {
    /// What stands before the token.
    prefix: Option<&'static str>,
    /// Whole headers: fixed keys, and the app's own id where the vendor wants it on every request.
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Dress {
    /// By the manifest, with the keys and the client id that the firm entered.
    ///
    /// Errors: `Config`, naming the key, if it holds what no header may hold (a line break at its end is cut).
    pub fn new(manifest: &Manifest, client_id: Option<&str>, keys: &BTreeMap<String, Secret>) -> Result<Self> {
        let value = |name: &str, text: &str| {
            let mut value = HeaderValue::from_str(text.trim_end()).map_err(|_| {
                Error::new(ErrorKind::Config, "key.read", format!("{name} holds characters that no key has"))
                    .next("Copy the key again, alone, without quotes or line breaks.")
            })?;
            value.set_sensitive(true);
            Ok(value)
        };
        let mut dress = Self::default();
        match manifest.auth {
            AuthScheme::None | AuthScheme::OwnKeys(_) => {}
            AuthScheme::OAuth(spec) | AuthScheme::OAuthOrServiceAccount(spec) => {
                dress.prefix = Some(spec.token_prefix);
                if let (Some(name), Some(id)) = (spec.client_id_header, client_id) {
                    dress.headers.push((HeaderName::from_static(name), value("client_id", id)?));
                }
            }
            AuthScheme::StaticKey(wanted) => {
                for key in wanted {
                    let Some(secret) = keys.get(key.name) else { continue };
                    let (name, before) = key.header;
                    let text = format!("{before}{}", secret.expose().trim());
                    dress.headers.push((HeaderName::from_static(name), value(key.name, &text)?));
                }
            }
        }
        Ok(dress)
    }

    pub(crate) fn on(&self, bearer: &Bearer, mut request: Request) -> Result<Request> {
        request.headers.extend(self.headers.iter().cloned());
        if bearer.token.is_empty() {
            return Ok(request);
        }
        let prefix = self.prefix.unwrap_or("Bearer");
        let mut value = HeaderValue::from_str(&format!("{prefix} {}", bearer.token.expose()))
            .map_err(|_| Error::contract(request.op, "the access token holds characters that no header may hold"))?;
        value.set_sensitive(true);
        request.headers.insert(header::AUTHORIZATION, value);
        Ok(request)
    }
}

pub struct Sign {
    pub tokens: Arc<dyn TokenSource>,
    pub dress: Dress,
    pub hosts: Hosts,
    pub inner: Arc<dyn Transport>,
}

#[async_trait]
impl Transport for Sign {
    /// Sends with a token. After a 401 it sends once more if there is another token; a 401 means that nothing was done, so
    /// this holds for writes as well.
    async fn send(&self, request: Request) -> Result<Response> {
        if request.auth == Credential::Url {
            return self.inner.send(request).await;
        }
        self.hosts.check_for_token(request.op, &request.url)?;
        let first = self.tokens.bearer().await?.into_inner();
        let response = self.inner.send(self.dress.on(&first, request.clone())?).await?;
        if response.ok() {
            self.tokens.worked(first.generation).await;
        }
        if response.status != 401 || !self.tokens.refused(first.generation).await {
            return Ok(response);
        }
        let second = self.tokens.bearer().await?.into_inner();
        if second.generation == first.generation {
            return Ok(response);
        }
        let response = self.inner.send(self.dress.on(&second, request)?).await?;
        if response.ok() {
            self.tokens.worked(second.generation).await;
        }
        Ok(response)
    }
}
