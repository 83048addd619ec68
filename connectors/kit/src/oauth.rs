//! The vendor's token endpoint: one call each, never repeated here, never redirected (reliability 5.1, T07).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderName, HeaderValue, header};
use ledgerward_contract::{
    Body, ClientAuth, Endpoints, Error, ErrorKind, OAuthSpec, Request, Response, Result, Secret, Timestamp, Transport,
};
use oauth2::{
    AccessToken, AuthType, AuthorizationCode, ClientId, ClientSecret, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardRevocableToken,
    TokenUrl,
    basic::{
        BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::answer::{classify_common, is_html, safe_word};

/// How long a token call may take.
pub const CALL_MAX: Duration = Duration::from_secs(30);
/// How long an app registration that the vendor does not know is left alone (T11). Not for ever: a vendor's bad hour can
/// look like this too.
const CLIENT_REFUSED_FOR: Duration = Duration::from_secs(3600);

/// What OpenID Connect (Core 1.0, 3.1.2.6) calls a sign-in that only a person at a page can go on with. Entra says it to a
/// refresh token after a policy changed or a consent was taken back, and says it for ever.
const PERSON_WANTED: [&str; 3] = ["interaction_required", "consent_required", "login_required"];

const LIFETIME_UNKNOWN: Duration = Duration::from_secs(5 * 60);
const LIFETIME_MIN: Duration = Duration::from_secs(60);
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 3600);

type Client = oauth2::Client<
    BasicErrorResponse,
    Answer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// One app registration at one vendor. Shared by all its sign-ins.
pub struct OAuthClient {
    spec: OAuthSpec,
    authorize: Url,
    token: Url,
    revoke: Option<Url>,
    hosts: Vec<String>,
    client_id: String,
    client_secret: Option<Secret>,
    transport: Arc<dyn Transport>,
    refused: Mutex<Option<Instant>>,
}

/// What a token endpoint gave.
#[derive(Clone, Debug)]
pub struct Granted {
    pub access: Secret,
    /// Clamped to 1 minute … 24 hours; 5 minutes where the vendor does not say, or says nonsense (T09).
    pub expires_in: Duration,
    /// `None` where the answer had none, an empty one or null: the old one stays (T08).
    pub refresh: Option<Secret>,
    /// The end that no use puts off, where the vendor states it; else whatever end it states.
    pub refresh_expires_in: Option<Duration>,
    /// `None`: not said, which by RFC 6749 5.1 means as asked for.
    pub scopes: Option<Vec<String>>,
    pub id_token: Option<Secret>,
    /// Whose tokens these are, where the answer itself says so.
    pub user: Option<TokenUser>,
}

/// The `user` of a token answer, in place of an id token: MYOB's `{"uid": "…", "username": "ana@firm.example"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUser {
    pub id: String,
    /// Present where the name is an address.
    pub email: Option<String>,
}

impl Granted {
    /// When the access token ends.
    pub fn expires_at(&self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.expires_in).unwrap_or(Timestamp::MAX)
    }

    pub fn refresh_expires_at(&self, now: Timestamp) -> Option<Timestamp> {
        Some(now.saturating_add(self.refresh_expires_in?).unwrap_or(Timestamp::MAX))
    }
}

/// How a refresh ended. Only `Refused` says anything about the refresh token.
#[derive(Debug)]
pub enum Refreshed {
    Granted(Granted),
    /// The vendor says that this token is not good, with its word for it.
    Refused(String),
    /// The vendor does not know the app registration, or not with this secret.
    ClientRefused(Error),
    /// Anything else. The vendor may or may not have issued new tokens.
    Unknown(Error),
}

impl OAuthClient {
    /// `transport` is the wire itself, without retry, quota or auth.
    ///
    /// Errors: `Config` for an endpoint name that the manifest lacks.
    pub fn new(
        spec: OAuthSpec,
        endpoints: &Endpoints,
        client_id: impl Into<String>,
        client_secret: Option<Secret>,
        transport: Arc<dyn Transport>,
    ) -> Result<Self> {
        let at = |(name, path)| endpoints.url(name, path);
        Ok(Self {
            spec,
            authorize: at(spec.authorize)?,
            token: at(spec.token)?,
            revoke: spec.revoke.map(at).transpose()?,
            hosts: endpoints.iter().filter_map(|(_, u)| u.host_str().map(str::to_owned)).collect(),
            client_id: client_id.into(),
            client_secret: client_secret.filter(|s| !s.is_empty()),
            transport,
            refused: Mutex::new(None),
        })
    }

    pub fn spec(&self) -> &OAuthSpec {
        &self.spec
    }

    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(crate) fn authorize_url(&self) -> &Url {
        &self.authorize
    }

    /// Whether a host is one of this vendor's.
    pub(crate) fn has_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|h| h == host)
    }

    fn client(&self) -> Client {
        let auth = match self.spec.client_auth {
            ClientAuth::Basic => AuthType::BasicAuth,
            ClientAuth::Body => AuthType::RequestBody,
        };
        let client = oauth2::Client::new(ClientId::new(self.client_id.clone()))
            .set_auth_type(auth)
            .set_token_uri(TokenUrl::from_url(self.token.clone()));
        match &self.client_secret {
            Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose().to_owned())),
            None => client,
        }
    }

    /// Sends a refresh token once.
    pub async fn refresh(&self, refresh: &Secret) -> Refreshed {
        const OP: &str = "token.refresh";
        if let Some(error) = self.frozen(OP) {
            return Refreshed::ClientRefused(error);
        }
        let token = RefreshToken::new(refresh.expose().to_owned());
        let http = self.http(OP);
        let outcome = self.client().exchange_refresh_token(&token).request_async(&http).await;
        self.judge(OP, outcome)
    }

    /// Exchanges an authorisation code. A refusal is an error here: the person starts again.
    pub(crate) async fn exchange(&self, code: &Secret, verifier: &Secret, redirect: &Url) -> Result<Granted> {
        const OP: &str = "token.exchange";
        let http = self.http(OP);
        let outcome = self
            .client()
            .set_redirect_uri(RedirectUrl::from_url(redirect.clone()))
            .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()))
            .request_async(&http)
            .await;
        match self.judge(OP, outcome) {
            Refreshed::Granted(granted) => Ok(granted),
            Refreshed::Refused(code) => Err(Error::new(
                ErrorKind::Unauthenticated,
                OP,
                "the service refused the sign-in; its code may be too old or used already",
            )
            .with("code", code)
            .next("Start the sign-in again.")),
            Refreshed::ClientRefused(e) | Refreshed::Unknown(e) => Err(e),
        }
    }

    /// Tells the vendor that a token is not needed any more (RFC 7009).
    ///
    /// Errors: `Unsupported` where the vendor has no such address. A token that the vendor does not know is no error.
    pub async fn revoke(&self, token: &Secret) -> Result<()> {
        const OP: &str = "token.revoke";
        let Some(url) = &self.revoke else {
            let text = "this service cannot be told to forget a sign-in";
            return Err(Error::new(ErrorKind::Unsupported, OP, text)
                .next("Remove the app in the service's own settings, under connected apps."));
        };
        // By hand: the oauth2 crate refuses the http of a sandbox here, and only here.
        let mut fields = vec![("token".to_owned(), token.expose().to_owned())];
        let mut request = Request::write(OP, http::Method::POST, url.clone()).timeout(CALL_MAX);
        match (&self.client_secret, self.spec.client_auth) {
            (Some(secret), ClientAuth::Basic) => {
                let encode = |s: &str| url::form_urlencoded::byte_serialize(s.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encode(&self.client_id), encode(secret.expose()));
                request = request.header(header::AUTHORIZATION, &format!("Basic {}", STANDARD.encode(pair)))?;
            }
            (secret, _) => {
                fields.push(("client_id".to_owned(), self.client_id.clone()));
                fields.extend(secret.as_ref().map(|s| ("client_secret".to_owned(), s.expose().to_owned())));
            }
        }
        request.body = Body::Form(fields);
        let response = call(&*self.transport, OP, request).await?;
        if response.ok() && !is_html(&response) { Ok(()) } else { Err(classify_common(OP, &response)) }
    }

    /// The HTTP client of the oauth2 crate. It owns what it uses: the compiler cannot see that the crate's future is Send
    /// when it borrows.
    fn http(&self, op: &'static str) -> impl Fn(HttpRequest) -> BoxFuture<'static, Result<HttpResponse>> + use<> {
        let (transport, headers) = (Arc::clone(&self.transport), self.spec.token_headers);
        move |request| post(Arc::clone(&transport), op, headers, request).boxed()
    }

    fn judge(
        &self,
        op: &'static str,
        outcome: Result<Answer, RequestTokenError<Error, BasicErrorResponse>>,
    ) -> Refreshed {
        match outcome {
            Ok(answer) => match answer.error.as_deref() {
                // Zoho refuses with 200 and a code of its own.
                Some("invalid_grant" | "invalid_code") => Refreshed::Refused("invalid_grant".to_owned()),
                Some("invalid_client" | "invalid_client_secret") => {
                    Refreshed::ClientRefused(self.freeze(op, "invalid_client"))
                }
                _ if answer.access_token.secret().is_empty() => {
                    Refreshed::Unknown(Error::contract(op, "the token endpoint answered without an access token"))
                }
                _ => Refreshed::Granted(answer.granted()),
            },
            Err(RequestTokenError::Request(e)) => Refreshed::Unknown(e),
            Err(RequestTokenError::ServerResponse(e)) => match e.error() {
                BasicErrorResponseType::InvalidGrant => Refreshed::Refused("invalid_grant".to_owned()),
                BasicErrorResponseType::Extension(code) if PERSON_WANTED.contains(&code.as_str()) => {
                    Refreshed::Refused(code.clone())
                }
                code @ (BasicErrorResponseType::InvalidClient | BasicErrorResponseType::UnauthorizedClient) => {
                    Refreshed::ClientRefused(self.freeze(op, code.as_ref()))
                }
                code => Refreshed::Unknown(
                    Error::contract(op, "the token endpoint refused the request")
                        .with("code", safe_word(code.as_ref()).unwrap_or_else(|| "unknown".to_owned())),
                ),
            },
            // The crate's parse errors hold the body: nothing of them travels on (X07).
            Err(RequestTokenError::Parse(..) | RequestTokenError::Other(_)) => {
                Refreshed::Unknown(Error::contract(op, "the token endpoint's answer cannot be read"))
            }
        }
    }

    fn freeze(&self, op: &'static str, code: &str) -> Error {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + CLIENT_REFUSED_FOR);
        client_refused(op).with("code", safe_word(code).unwrap_or_default())
    }

    /// Why no call is made at present, if that is so (T11).
    pub(crate) fn frozen(&self, op: &'static str) -> Option<Error> {
        let until = *self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        until.filter(|u| *u > Instant::now()).map(|_| client_refused(op))
    }
}

async fn call(transport: &dyn Transport, op: &'static str, request: Request) -> Result<Response> {
    tokio::time::timeout(CALL_MAX, transport.send(request)).await.unwrap_or_else(|_| {
        let text = format!("the service did not answer within {} s", CALL_MAX.as_secs());
        Err(Error::new(ErrorKind::Unavailable, op, text))
    })
}

/// Lets through only answers in which the vendor's token endpoint itself speaks: a 200, or a refusal with an OAuth error
/// code. The rest is weather.
async fn post(
    transport: Arc<dyn Transport>,
    op: &'static str,
    headers: &'static [(&'static str, &'static str)],
    request: HttpRequest,
) -> Result<HttpResponse> {
    let (parts, body) = request.into_parts();
    let url = Url::parse(&parts.uri.to_string()).map_err(|e| Error::contract(op, "no address").source(e))?;
    let mut out = Request::write(op, parts.method, url).timeout(CALL_MAX);
    out.headers = parts.headers;
    for (name, value) in headers {
        out.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    out.body = Body::Bytes { content_type: "application/x-www-form-urlencoded".to_owned(), bytes: body.into() };
    let response = call(&*transport, op, out).await?;
    let speaks = match response.status {
        200 => !is_html(&response),
        400 | 401 | 403 => serde_json::from_slice::<BasicErrorResponse>(&response.body).is_ok(),
        _ => false,
    };
    if !speaks {
        return Err(classify_common(op, &response));
    }
    // Some vendors call their JSON text/plain, which the oauth2 crate does not accept.
    let mut answer = HttpResponse::new(response.body.to_vec());
    *answer.status_mut() = http::StatusCode::from_u16(response.status).unwrap_or_default();
    Ok(answer)
}

fn client_refused(op: &'static str) -> Error {
    Error::new(ErrorKind::Config, op, "the service does not accept our client id with this client secret")
        .next("Check client_id and client_secret of this connection: the secret may have expired or been replaced. No sign-in is lost.")
}

/// A token answer, read as leniently as vendors write. The standard type of the oauth2 crate rejects `expires_in: "1200"`
/// and a missing `token_type`, and takes an empty refresh token for a token.
#[derive(Serialize, Deserialize)]
struct Answer {
    #[serde(default = "no_token")]
    access_token: AccessToken,
    #[serde(default)]
    refresh_token: Value,
    #[serde(default)]
    expires_in: Value,
    /// QuickBooks' names for the rolling end and for the one that no use puts off.
    #[serde(default)]
    x_refresh_token_expires_in: Value,
    #[serde(default)]
    x_refresh_token_hard_expires_in: Value,
    #[serde(default)]
    refresh_token_expires_in: Value,
    #[serde(default)]
    scope: Value,
    #[serde(default)]
    id_token: Value,
    #[serde(default)]
    user: Value,
    #[serde(default)]
    error: Option<String>,
    #[serde(skip)]
    kind: AnyType,
}

/// A token type that is not looked at: it is `Bearer` at every vendor, however spelt, or missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct AnyType;

impl oauth2::TokenType for AnyType {}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[token answer]")
    }
}

/// What the oauth2 crate asks of its answers. Our own code reads [`Answer::granted`].
impl oauth2::TokenResponse for Answer {
    type TokenType = AnyType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &AnyType {
        &self.kind
    }

    fn expires_in(&self) -> Option<Duration> {
        seconds(&self.expires_in)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        None
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

fn no_token() -> AccessToken {
    AccessToken::new(String::new())
}

/// A positive number of seconds, written as a number or as a text.
fn seconds(value: &Value) -> Option<Duration> {
    let number = match value {
        Value::Number(n) => n.as_f64()?,
        Value::String(s) => s.trim().parse().ok()?,
        _ => return None,
    };
    (number > 0.0).then(|| Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX))
}

fn secret(value: &Value) -> Option<Secret> {
    value.as_str().filter(|s| !s.trim().is_empty()).map(Secret::new)
}

fn token_user(user: &Value) -> Option<TokenUser> {
    let text = |key: &str| user.get(key)?.as_str().map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned);
    Some(TokenUser { id: text("uid")?, email: text("username").filter(|name| name.contains('@')) })
}

impl Answer {
    fn granted(&self) -> Granted {
        let scopes = match &self.scope {
            // Google separates by spaces, some by commas.
            Value::String(s) => Some(s.split([' ', ',']).filter(|s| !s.is_empty()).map(str::to_owned).collect()),
            Value::Array(list) => Some(list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()),
            _ => None,
        };
        Granted {
            access: Secret::new(self.access_token.secret().as_str()),
            expires_in: seconds(&self.expires_in).unwrap_or(LIFETIME_UNKNOWN).clamp(LIFETIME_MIN, LIFETIME_MAX),
            refresh: secret(&self.refresh_token),
            // The rolling end moves with every use, and `OAuthSpec::idle_lifetime` watches it.
            refresh_expires_in: seconds(&self.x_refresh_token_hard_expires_in)
                .or_else(|| seconds(&self.x_refresh_token_expires_in))
                .or_else(|| seconds(&self.refresh_token_expires_in)),
            scopes: scopes.filter(|s: &Vec<String>| !s.is_empty()),
            id_token: secret(&self.id_token),
            user: token_user(&self.user),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(v: &Value) -> Granted {
        serde_json::from_value::<Answer>(v.clone()).unwrap().granted()
    }

    #[test]
    fn t08_an_answer_without_refresh_token_names_none() {
        for absent in [json!(""), json!(null), json!("  "), json!(7)] {
            assert!(read(&json!({"access_token": "a", "refresh_token": absent})).refresh.is_none(), "{absent}");
        }
        assert!(read(&json!({"access_token": "a"})).refresh.is_none());
        assert_eq!(read(&json!({"access_token": "a", "refresh_token": "r"})).refresh.unwrap().expose(), "r");
    }

    #[test]
    fn an_answer_may_say_whose_tokens_these_are() {
        let user = |v: Value| read(&json!({"access_token": "a", "user": v})).user;
        let ana = |email: Option<&str>| Some(TokenUser { id: "u-1".into(), email: email.map(Into::into) });
        assert_eq!(user(json!({"uid": "u-1", "username": "ana@firm.example"})), ana(Some("ana@firm.example")));
        assert_eq!(user(json!({"uid": "u-1", "username": "ana"})), ana(None));
        for none in [json!(null), json!("ana"), json!({"username": "ana@firm.example"}), json!({"uid": 7}), json!([])] {
            assert_eq!(user(none.clone()), None, "{none}");
        }
    }

    #[test]
    fn t09_lifetimes_are_tamed() {
        for (said, secs) in [
            (json!(1800), 1800),
            (json!("1200"), 1200),
            (json!(" 90 "), 90),
            (json!(1799.6), 1799),
            (json!(0), 300),
            (json!(-5), 300),
            (json!(null), 300),
            (json!("soon"), 300),
            (json!("NaN"), 300),
            (json!([1]), 300),
            (json!(1), 60),
            (json!(1_000_000_000_000_u64), 86_400),
            (json!("1e300"), 86_400),
        ] {
            assert_eq!(read(&json!({"access_token": "a", "expires_in": said})).expires_in.as_secs(), secs, "{said}");
        }
    }

    proptest! {
        #[test]
        fn t09_no_lifetime_leaves_its_bounds(n in any::<f64>(), s in "[ -~]{0,12}") {
            for v in [json!(n), json!(s)] {
                let d = read(&json!({"access_token": "a", "expires_in": v})).expires_in;
                prop_assert!((LIFETIME_MIN..=LIFETIME_MAX).contains(&d));
            }
        }
    }

    #[test]
    fn t12_the_hard_end_of_a_chain_goes_before_the_rolling_one() {
        let end = |v: Value| read(&v).refresh_expires_in.map(|d| d.as_secs());
        let both = json!({"access_token": "a", "x_refresh_token_expires_in": 8_726_400,
            "x_refresh_token_hard_expires_in": 157_680_000});
        assert_eq!(end(both), Some(157_680_000));
        assert_eq!(end(json!({"access_token": "a", "x_refresh_token_expires_in": 8_726_400})), Some(8_726_400));
        assert_eq!(end(json!({"access_token": "a"})), None);
    }

    #[test]
    fn x06_an_answer_prints_no_secret() {
        let v = json!({"access_token": "CANARY", "refresh_token": "CANARY", "id_token": "CANARY"});
        let answer: Answer = serde_json::from_value(v).unwrap();
        assert!(!format!("{answer:?} {:?}", answer.granted()).contains("CANARY"));
    }

    #[test]
    fn scopes_in_every_form() {
        let scopes = |v: Value| read(&json!({"access_token": "a", "scope": v})).scopes;
        let two = Some(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(scopes(json!("a b")), two);
        assert_eq!(scopes(json!("a,b")), two);
        assert_eq!(scopes(json!(["a", "b"])), two);
        assert_eq!(scopes(json!("")), None);
        assert_eq!(scopes(json!(null)), None);
    }
}
