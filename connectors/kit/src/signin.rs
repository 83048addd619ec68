//! How a person signs in: authorisation code with PKCE (RFC 6749, 7636, 8252), answered on a loopback address or pasted by
//! hand. Every flow is used once and lives ten minutes (T17).

use std::{net::Ipv4Addr, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{StreamExt, stream::FuturesUnordered};
use ledgerward_contract::{Error, ErrorKind, Result, Secret, Timestamp};
use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, RedirectUrl, Scope, basic::BasicClient};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use url::Url;

use crate::{
    answer::safe_word,
    oauth::{Granted, OAuthClient, TokenUser},
    vault::NewTokens,
};

const OP: &str = "signin.finish";
/// How long a person may take.
pub const FLOW_MAX: Duration = Duration::from_secs(600);
const REQUEST_BYTES_MAX: usize = 16 << 10;
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// Connections to the callback looked at in one moment; a browser opens two or three.
const CALLERS_MAX: usize = 16;

/// Where the vendor sends the person back to.
#[derive(Clone, Debug)]
pub enum Callback {
    /// `http://127.0.0.1:PORT/callback`, answered by this process. Port 0 takes a free one; vendors that compare the whole
    /// redirect address (Xero) need the port that was registered.
    Loopback { port: u16, host: LoopbackName },
    /// The person copies the address from the browser. For machines without one (`--no-browser`).
    Paste { redirect: Url },
}

/// How the loopback address is spelt in the redirect; some vendors accept only one of them at registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopbackName {
    Address,
    Localhost,
}

/// A sign-in under way.
pub struct SignInFlow<'a> {
    client: &'a OAuthClient,
    listener: Option<TcpListener>,
    redirect: Url,
    open: Url,
    state: Secret,
    verifier: Secret,
    ends: Instant,
}

/// A finished sign-in. The caller compares `subject` and `scopes` with what it expects before it stores anything (T16, T18).
#[derive(Debug)]
pub struct SignedIn {
    pub granted: Granted,
    /// As the vendor states them; what was asked for where it states none.
    pub scopes: Vec<String>,
    pub claims: Claims,
    /// The company that was consented to, where one consent is one company (`OAuthSpec::realm`).
    pub realm: Option<String>,
}

/// What the browser brought back.
struct Brought {
    code: Secret,
    realm: Option<String>,
}

impl SignedIn {
    /// The tokens as a vault stores them.
    pub fn tokens(&self, now: Timestamp) -> NewTokens {
        NewTokens {
            access: self.granted.access.clone(),
            access_issued_at: now,
            access_expires_at: self.granted.expires_at(now),
            refresh: self.granted.refresh.clone(),
            refresh_expires_at: self.granted.refresh_expires_at(now),
            previous: None,
        }
    }
}

/// Who signed in, from the id token. Its signature is not checked: it came over TLS from the token endpoint itself, which
/// OpenID Connect Core 3.1.3.7 (6) accepts in its place. Empty where the vendor gives no id token.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Claims {
    pub sub: Option<String>,
    pub email: Option<String>,
    pub name: Option<String>,
    /// Xero's own id of the user, which its user lists use too.
    pub xero_userid: Option<String>,
}

impl Claims {
    /// What a token answer without an id token says.
    fn of(user: Option<TokenUser>) -> Self {
        user.map_or_else(Self::default, |u| Self { sub: Some(u.id), email: u.email, ..Self::default() })
    }
}

impl<'a> SignInFlow<'a> {
    /// Makes state and verifier, and opens the listener if there is to be one.
    ///
    /// Errors: `Config` if the port is taken.
    pub async fn start(client: &'a OAuthClient, callback: Callback, scopes: &[String]) -> Result<Self> {
        let (listener, redirect) = match callback {
            Callback::Paste { redirect } => (None, redirect),
            Callback::Loopback { port, host } => {
                // Loopback only: nobody else on the network can reach it.
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|e| {
                    Error::new(ErrorKind::Config, "signin.start", format!("port {port} of this machine cannot be used"))
                        .source(e)
                        .next("Close what uses the port, or choose another that is registered with the service.")
                })?;
                let port = listener.local_addr().map_or(port, |a| a.port());
                let host = if host == LoopbackName::Address { "127.0.0.1" } else { "localhost" };
                (Some(listener), parse(&format!("http://{host}:{port}/callback"))?)
            }
        };
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let app = BasicClient::new(ClientId::new(client.client_id().to_owned()))
            .set_auth_uri(AuthUrl::from_url(client.authorize_url().clone()))
            .set_redirect_uri(RedirectUrl::from_url(redirect.clone()));
        let mut ask = app
            .authorize_url(|| CsrfToken::new_random_len(32))
            // As one, for the crate knows no other separator than the blank.
            .add_scopes((!scopes.is_empty()).then(|| Scope::new(scopes.join(client.spec().scope_separator))))
            .set_pkce_challenge(challenge);
        for (key, value) in client.spec().extra {
            ask = ask.add_extra_param(*key, *value);
        }
        let (open, state) = ask.url();
        Ok(Self {
            client,
            listener,
            redirect,
            open,
            state: Secret::new(state.secret().as_str()),
            verifier: Secret::new(verifier.secret().as_str()),
            ends: Instant::now() + FLOW_MAX,
        })
    }

    /// The address for the person's browser. It holds no secret of ours, only the state, and is worthless after the flow.
    pub fn url(&self) -> &Url {
        &self.open
    }

    /// Waits for the browser to come back, and exchanges the code.
    ///
    /// Requests that do not carry our state are answered and forgotten: a page in the same browser, or another user of the
    /// machine, cannot end the flow. Errors: `Cancelled` after ten minutes, or if the person declined.
    pub async fn wait(mut self) -> Result<SignedIn> {
        let listener = self.listener.take().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, OP, "this sign-in waits for a pasted address, not for a browser")
        })?;
        let brought = tokio::time::timeout_at(self.ends, self.listen(listener)).await.map_err(|_| too_late())??;
        self.exchange(brought).await
    }

    /// Takes the address that the person copied from the browser, and exchanges its code.
    ///
    /// Errors: `Unauthenticated` if the address is not the answer to this flow.
    pub async fn paste(self, address: &str) -> Result<SignedIn> {
        if Instant::now() >= self.ends {
            return Err(too_late());
        }
        let url = Url::parse(address.trim()).map_err(|_| stranger("that is not an address"))?;
        if (url.origin(), url.path()) != (self.redirect.origin(), self.redirect.path()) {
            return Err(stranger("that is not the address the service sends people back to"));
        }
        let brought = self.check(&url)?;
        self.exchange(brought).await
    }

    async fn exchange(self, brought: Brought) -> Result<SignedIn> {
        let granted = self.client.exchange(&brought.code, &self.verifier, &self.redirect).await?;
        let claims = match &granted.id_token {
            Some(token) => claims(token.expose(), self.client.client_id())?,
            None => Claims::of(granted.user.clone()),
        };
        let asked = || {
            let scope = self.open.query_pairs().find(|(k, _)| k == "scope").map(|(_, v)| v.into_owned());
            let asked = scope.unwrap_or_default();
            let each = asked.split(self.client.spec().scope_separator).filter(|s| !s.is_empty());
            each.map(str::to_owned).collect()
        };
        let scopes = granted.scopes.clone().unwrap_or_else(asked);
        Ok(SignedIn { granted, scopes, claims, realm: brought.realm })
    }

    /// What an answer to this flow brought. State first: nothing of an answer without it is believed.
    fn check(&self, answer: &Url) -> Result<Brought> {
        let get = |name: &str| answer.query_pairs().find(|(k, _)| k == name).map(|(_, v)| v.into_owned());
        if !get("state").is_some_and(|s| same(&s, self.state.expose())) {
            return Err(stranger("the address belongs to another sign-in"));
        }
        // RFC 9207: the answer must come from the vendor that was asked.
        if let Some(issuer) = get("iss") {
            let host = Url::parse(&issuer).ok().and_then(|u| u.host_str().map(str::to_owned));
            if !host.is_some_and(|h| self.client.has_host(&h)) {
                return Err(stranger("the answer names another issuer"));
            }
        }
        if let Some(code) = get("error") {
            let error = Error::new(ErrorKind::Cancelled, OP, "the service did not grant the sign-in")
                .with("code", safe_word(&code).unwrap_or_else(|| "unknown".to_owned()));
            return Err(error.next("Start the sign-in again and allow what it asks for."));
        }
        let code = get("code").filter(|c| !c.is_empty()).ok_or_else(|| stranger("the address holds no code"))?;
        // An id of the vendor: it will stand in addresses, so nothing else than an id may come in here.
        let id = |r: &String| {
            (1..=64).contains(&r.len()) && r.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let realm = match self.client.spec().realm {
            None => None,
            Some(name) => {
                let realm = get(name).filter(id);
                Some(realm.ok_or_else(|| stranger("the address does not name the company that was chosen"))?)
            }
        };
        Ok(Brought { code: Secret::new(code), realm })
    }

    async fn listen(&self, listener: TcpListener) -> Result<Brought> {
        let mut callers = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = listener.accept(), if callers.len() < CALLERS_MAX => {
                    // A browser opens connections ahead and leaves them silent: each is read beside the others.
                    if let Ok((stream, _)) = accepted {
                        callers.push(ask(stream));
                    }
                }
                Some(Some((mut stream, target))) = callers.next(), if !callers.is_empty() => {
                    let url = self.redirect.join(&target).ok();
                    let ours = url.filter(|u| {
                        (u.origin(), u.path()) == (self.redirect.origin(), self.redirect.path())
                    });
                    let outcome = match ours {
                        Some(url) => self.check(&url),
                        None => Err(stranger("nothing is here")),
                    };
                    match outcome {
                        Ok(brought) => {
                            answer(&mut stream, "200 OK", "Signed in. You can close this window.").await;
                            return Ok(brought);
                        }
                        Err(e) if e.kind == ErrorKind::Cancelled => {
                            answer(&mut stream, "200 OK", "Nothing was granted. You can close this window.").await;
                            return Err(e);
                        }
                        Err(_) => answer(&mut stream, "400 Bad Request", "This is not an answer to the sign-in.").await,
                    }
                }
            }
        }
    }
}

/// Reads the target of a GET; `None` for whatever else comes.
async fn ask(mut stream: TcpStream) -> Option<(TcpStream, String)> {
    let mut seen = Vec::new();
    let read = async {
        let mut part = [0; 1024];
        while !seen.windows(4).any(|w| w == b"\r\n\r\n") && seen.len() < REQUEST_BYTES_MAX {
            let n = stream.read(&mut part).await.ok().filter(|n| *n > 0)?;
            seen.extend_from_slice(part.get(..n)?);
        }
        Some(())
    };
    tokio::time::timeout(REQUEST_MAX, read).await.ok()??;
    let text = String::from_utf8_lossy(&seen);
    let target = text.strip_prefix("GET ")?.split_whitespace().next()?.to_owned();
    // An absolute target or "//host" would be joined to another origin; it is refused there.
    Some((stream, target))
}

async fn answer(stream: &mut TcpStream, status: &str, text: &str) {
    let page = format!("<!doctype html><meta charset=utf-8><title>ledgerward</title><p>{text}</p>");
    let reply = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n{page}",
        page.len()
    );
    // The person sees nothing if this fails; the sign-in does not depend on it.
    let _ = tokio::time::timeout(REQUEST_MAX, async {
        stream.write_all(reply.as_bytes()).await.ok();
        stream.shutdown().await.ok();
    })
    .await;
}

/// Compares without telling by time where they differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |d, (x, y)| d | (x ^ y)) == 0
}

fn parse(text: &str) -> Result<Url> {
    Url::parse(text).map_err(|e| Error::new(ErrorKind::Config, "signin.start", "no callback address").source(e))
}

fn stranger(why: &str) -> Error {
    Error::new(ErrorKind::Unauthenticated, OP, why).next("Copy the whole address from the browser, or start again.")
}

fn too_late() -> Error {
    Error::new(ErrorKind::Cancelled, OP, "nobody finished the sign-in within ten minutes").next("Start it again.")
}

/// The claims of an id token that was made for us.
fn claims(token: &str, client_id: &str) -> Result<Claims> {
    let unreadable = || Error::contract(OP, "the id token cannot be read");
    let part = token.split('.').nth(1).ok_or_else(unreadable)?;
    let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).map_err(|_| unreadable())?;
    let body: Value = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
    let ours = match body.get("aud") {
        Some(Value::String(one)) => one == client_id,
        Some(Value::Array(many)) => many.iter().any(|v| v.as_str() == Some(client_id)),
        _ => true,
    };
    if !ours {
        return Err(Error::contract(OP, "the id token was made for another application"));
    }
    serde_json::from_value(body).map_err(|_| unreadable())
}
