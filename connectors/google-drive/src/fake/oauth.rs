//! Sign-in: consent, codes with PKCE, refresh tokens that do not rotate, and signed assertions of service accounts.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use ledgerward_contract::Timestamp;
use ledgerward_kit::fake::{FakeRequest, FakeResponse, as_base64};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::{DriveFake, Who, state::hex};

/// Seconds an access token lives; Google's own sample shows a figure a little under an hour.
const LIFE: i64 = 3_599;

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Service {
    pub key_id: String,
    #[serde(with = "as_base64")]
    pub modulus: Vec<u8>,
    #[serde(with = "as_base64")]
    pub exponent: Vec<u8>,
    /// Scopes that an administrator delegated, and for which domain.
    pub delegated: Vec<String>,
    pub domain: String,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Code {
    who: Who,
    challenge: Option<String>,
    redirect: String,
    offline: bool,
    dies: Timestamp,
}

#[derive(Debug, Default, Deserialize, Serialize)]
pub struct OAuth {
    pub clients: BTreeMap<String, String>,
    /// Who sits in front of the browser.
    pub consent: String,
    pub token_uri: String,
    pub services: BTreeMap<String, Service>,
    pub issued: u64,
    codes: BTreeMap<String, Code>,
    access: BTreeMap<String, (Who, Timestamp)>,
    refresh: BTreeMap<String, Who>,
}

impl OAuth {
    pub fn bearer(&self, token: &str, now: Timestamp) -> Option<Who> {
        self.access.get(token).filter(|(_, dies)| *dies > now).map(|(who, _)| who.clone())
    }

    fn name(&mut self, kind: &str) -> String {
        self.issued += 1;
        hex(&format!("{kind} {}", self.issued)).get(..24).unwrap_or_default().to_owned()
    }

    pub(super) fn issue(&mut self, who: Who, now: Timestamp) -> String {
        let token = format!("ya29.sandbox-{}", self.name("access"));
        let dies = now.saturating_add(SignedDuration::from_secs(LIFE)).unwrap_or(now);
        self.access.insert(token.clone(), (who, dies));
        token
    }

    /// Ends every sign-in of a person, as withdrawing the consent does.
    pub fn withdraw(&mut self, user: &str) {
        self.access.retain(|_, (w, _)| w.user != user);
        self.refresh.retain(|_, w| w.user != user);
    }

    /// Access tokens end early; refresh tokens stay.
    pub fn expire(&mut self) {
        self.access.clear();
    }
}

fn oauth_error(status: u16, error: &str, says: &str) -> FakeResponse {
    FakeResponse::json(status, &json!({ "error": error, "error_description": says }))
}

impl DriveFake {
    /// The consent page: the person in front of it always agrees.
    pub(super) fn authorize(&mut self, r: &FakeRequest) -> FakeResponse {
        let get = |k: &str| r.query(k).unwrap_or_default().to_owned();
        let redirect = get("redirect_uri");
        let Ok(mut to) = Url::parse(&redirect) else { return oauth_error(400, "invalid_request", "redirect_uri") };
        let loopback = to.scheme() == "http" && matches!(to.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if !loopback || !self.oauth.clients.contains_key(&get("client_id")) {
            return oauth_error(
                400,
                "redirect_uri_mismatch",
                "unknown client, or a redirect that is no loopback address",
            );
        }
        let scopes: Vec<_> = get("scope").split_whitespace().map(str::to_owned).collect();
        let known =
            |s: &String| s.starts_with("https://www.googleapis.com/auth/drive") || s == "openid" || s == "email";
        let pkce = r.query("code_challenge").is_none() || get("code_challenge_method") == "S256";
        if get("response_type") != "code" || scopes.is_empty() || !scopes.iter().all(known) || !pkce {
            to.query_pairs_mut().append_pair("error", "invalid_request").append_pair("state", &get("state"));
            return FakeResponse::new(302).header("location", to.to_string());
        }
        let user =
            r.query("login_hint").filter(|h| self.st.account(h).is_some()).unwrap_or(&self.oauth.consent).to_owned();
        let code = format!("4/0{}", self.oauth.name("code"));
        let kept = Code {
            who: Who { user, app: get("client_id"), scopes },
            challenge: r.query("code_challenge").map(str::to_owned),
            redirect,
            offline: get("access_type") == "offline",
            dies: self.now.saturating_add(SignedDuration::from_mins(10)).unwrap_or(self.now),
        };
        self.oauth.codes.insert(code.clone(), kept);
        to.query_pairs_mut().append_pair("state", &get("state")).append_pair("code", &code);
        FakeResponse::new(302).header("location", to.to_string())
    }

    pub(super) fn token(&mut self, r: &FakeRequest) -> FakeResponse {
        let form = r.form();
        let get = |k: &str| form.get(k).map(String::as_str).unwrap_or_default();
        match get("grant_type") {
            "authorization_code" | "refresh_token" => {
                if self.oauth.clients.get(get("client_id")).is_none_or(|s| s != get("client_secret")) {
                    return oauth_error(401, "invalid_client", "The OAuth client was not found.");
                }
            }
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
                return match self.assertion(r, get("assertion")) {
                    Ok(who) => self.tokens(who, None),
                    Err((status, error)) => oauth_error(status, error, "The assertion was refused."),
                };
            }
            _ => return oauth_error(400, "unsupported_grant_type", "Invalid grant_type"),
        }
        if get("grant_type") == "refresh_token" {
            return match self.oauth.refresh.get(get("refresh_token")).cloned() {
                Some(who) if who.app == get("client_id") => self.tokens(who, None),
                _ => oauth_error(400, "invalid_grant", "Token has been expired or revoked."),
            };
        }
        let Some(code) = self.oauth.codes.remove(get("code")) else {
            return oauth_error(400, "invalid_grant", "Malformed auth code.");
        };
        let proof =
            URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, get("code_verifier").as_bytes()));
        let fits = code.dies > self.now
            && code.who.app == get("client_id")
            && code.redirect == get("redirect_uri")
            && code.challenge.as_ref().is_none_or(|c| *c == proof);
        if !fits {
            return oauth_error(400, "invalid_grant", "The code, its verifier or its redirect do not fit.");
        }
        let refresh = code.offline.then(|| format!("1//0{}", self.oauth.name("refresh")));
        if let Some(token) = &refresh {
            self.oauth.refresh.insert(token.clone(), code.who.clone());
        }
        self.tokens(code.who, refresh)
    }

    fn tokens(&mut self, who: Who, refresh: Option<String>) -> FakeResponse {
        let scope = who.scopes.join(" ");
        let access = self.oauth.issue(who, self.now);
        let mut body = json!({ "access_token": access, "expires_in": LIFE, "token_type": "Bearer", "scope": scope });
        if let (Some(token), Some(map)) = (refresh, body.as_object_mut()) {
            map.insert("refresh_token".into(), json!(token));
        }
        FakeResponse::json(200, &body)
    }

    /// A service account's signed claim to act as somebody.
    fn assertion(&self, r: &FakeRequest, jwt: &str) -> Result<Who, (u16, &'static str)> {
        const BAD: (u16, &str) = (400, "invalid_grant");
        let mut parts = jwt.split('.');
        let (Some(head), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BAD);
        };
        let read = |text: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok() };
        let (h, c) = (read(head).ok_or(BAD)?, read(claims).ok_or(BAD)?);
        let (h, c) = (&h, &c);
        let text = |k: &str| c[k].as_str().unwrap_or_default().to_owned();
        let service = self.oauth.services.get(&text("iss")).ok_or((400, "invalid_client"))?;
        if h["alg"] != "RS256" || h["kid"].as_str().is_some_and(|k| k != service.key_id) {
            return Err(BAD);
        }
        let key = RsaPublicKeyComponents { n: &service.modulus, e: &service.exponent };
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| BAD)?;
        key.verify(&RSA_PKCS1_2048_8192_SHA256, format!("{head}.{claims}").as_bytes(), &signature).map_err(|_| BAD)?;
        let here = r.header("host").map(|h| format!("http://{h}/token"));
        let audience = text("aud");
        let (iat, exp) = (c["iat"].as_i64().ok_or(BAD)?, c["exp"].as_i64().ok_or(BAD)?);
        let now = self.now.as_second();
        let timely = exp <= iat + 3_600 && exp > now && iat <= now + 300;
        if !timely || (audience != self.oauth.token_uri && Some(audience) != here) {
            return Err(BAD);
        }
        let scopes: Vec<_> = text("scope").split_whitespace().map(str::to_owned).collect();
        let user = match c["sub"].as_str() {
            None => text("iss"),
            Some(sub) => {
                let allowed = super::state::domain(sub) == service.domain && self.st.account(sub).is_some();
                if !allowed || !scopes.iter().all(|s| service.delegated.contains(s)) {
                    return Err((401, "unauthorized_client"));
                }
                sub.to_ascii_lowercase()
            }
        };
        // A service account of one project is one app, whomever it acts as.
        Ok(Who { user, app: text("iss"), scopes })
    }

    pub(super) fn revoke_token(&mut self, r: &FakeRequest) -> FakeResponse {
        let form = r.form();
        let token = form.get("token").cloned().or_else(|| r.query("token").map(str::to_owned)).unwrap_or_default();
        let who = self.oauth.access.get(&token).map(|(w, _)| w).or(self.oauth.refresh.get(&token)).cloned();
        let Some(who) = who else { return oauth_error(400, "invalid_token", "Token expired or revoked") };
        // Takes the whole grant of this person for this app.
        self.oauth.access.retain(|_, (w, _)| w.user != who.user || w.app != who.app);
        self.oauth.refresh.retain(|_, w| w.user != who.user || w.app != who.app);
        FakeResponse::json(200, &json!({}))
    }
}
