//! Requests to Karbon, and what an answer's status means.
//!
//! Source: Karbon's OpenAPI file (karbonhq/karbon-api-reference, `KarbonAPI.json`) and its guide `KARBON_API.md`.

use std::time::Duration;

use http::header::ACCEPT;
use ledgerward_contract::{Endpoints, Error, ErrorKind, Request, Response, Result, Retry};
use ledgerward_kit::{classify_common, safe_word, says_error, whole};
use serde::{Deserialize, Serialize};
use url::Url;

/// Builds requests against the host of the configuration. Nothing an answer says ever becomes a host.
#[derive(Clone, Debug)]
pub struct Api {
    pub endpoints: Endpoints,
}

/// What Karbon's two kinds of client are.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Organizations,
    Contacts,
}

impl Kind {
    /// The operations of its list and of one of them, and where they are.
    const fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Organizations => ("organizations.list", "organization.get", "/v3/Organizations"),
            Self::Contacts => ("contacts.list", "contact.get", "/v3/Contacts"),
        }
    }

    pub const fn list(self) -> List {
        let (op, _, path) = self.names();
        List { op, path, counted: true }
    }
}

/// A list that Karbon gives in pages.
#[derive(Clone, Copy, Debug)]
pub struct List {
    pub op: &'static str,
    path: &'static str,
    /// Whether Karbon's specification requires the list's count.
    pub counted: bool,
}

pub const USERS: List = List { op: "users.list", path: "/v3/Users", counted: true };
/// Archived teams are not in it.
pub const TEAMS: List = List { op: "teams.list", path: "/v3/Teams", counted: false };

pub const GROUPS: List = List { op: "groups.list", path: "/v3/ClientGroups", counted: true };

impl Api {
    fn url(&self, path: &str) -> Result<Url> {
        self.endpoints.url("api", path)
    }

    fn get(op: &'static str, url: Url) -> Result<Request> {
        // Karbon counts requests for the firm as a whole, so there is no tenant.
        Request::get(op, url).header(ACCEPT, "application/json")
    }

    /// The first page, in the order of the keys, or the one that the page before leads to.
    ///
    /// Karbon wants its links followed as they are. Errors: `Contract` for one that leads to another host or another list:
    /// both keys of the firm would go there.
    pub fn list(&self, list: List, link: Option<&str>) -> Result<Request> {
        let first = self.url(list.path)?;
        let Some(link) = link else { return Self::get(list.op, first) };
        let next =
            Url::parse(link).map_err(|e| Error::contract(list.op, "a link of Karbon is no address").source(e))?;
        if next.origin() != first.origin() || next.path() != first.path() {
            return Err(Error::contract(list.op, "Karbon's link to the next page leads somewhere else")
                .with("host", next.host_str().unwrap_or_default().to_owned()));
        }
        Self::get(list.op, next)
    }

    pub fn team(&self, key: &str) -> Result<Request> {
        const OP: &str = "team.get";
        Self::get(OP, self.url(&format!("{}/{}", TEAMS.path, checked(OP, key)?))?)
    }

    /// One group of clients with its members.
    pub fn group(&self, key: &str) -> Result<Request> {
        const OP: &str = "group.get";
        Self::get(OP, self.url(&format!("{}/{}", GROUPS.path, checked(OP, key)?))?)
    }

    /// One client with its team. What else could be had with it (business cards, accounting detail) is nobody's business here.
    pub fn client(&self, kind: Kind, key: &str) -> Result<Request> {
        let (_, op, path) = kind.names();
        let mut url = self.url(&format!("{path}/{}", checked(op, key)?))?;
        url.set_query(Some("$expand=ClientTeam"));
        Self::get(op, url)
    }
}

/// A key goes into a path only as the letters and digits that Karbon's keys are.
fn checked<'a>(op: &'static str, key: &'a str) -> Result<&'a str> {
    let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if plain && (1..=64).contains(&key.len()) {
        return Ok(key);
    }
    Err(Error::contract(op, "a key of Karbon holds characters that no key has"))
}

/// What Karbon says about a refusal, in its three layouts: with and without `error` around it, a number or a text for a
/// status.
#[derive(Default, Deserialize)]
struct Refusal {
    error: Option<Said>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    code: Option<String>,
    message: Option<String>,
}

/// The pause in `Rate limit is exceeded. Try again in 10 seconds.`
fn pause(message: &str) -> Option<Duration> {
    let rest = message.split_once("Try again in ")?.1;
    rest.split(' ').next()?.parse().ok().map(Duration::from_secs)
}

/// What an answer's status means.
///
/// Errors: `Unauthenticated` for keys that are wrong or were taken away; `Forbidden` for what the application's permissions
/// do not cover; `RateLimited` with the pause from the header, or from the text where there is none; the rest as
/// [`classify_common`].
pub fn classify(op: &'static str, response: Response) -> Result<Response> {
    if whole(&response) && !says_error(&response.body) {
        return Ok(response);
    }
    let mut error = classify_common(op, &response);
    let said: Refusal = serde_json::from_slice(&response.body).unwrap_or_default();
    let (code, message) = match said.error {
        Some(said) => (said.code, said.message),
        None => (None, said.message),
    };
    match error.kind {
        ErrorKind::Unauthenticated => {
            "Karbon does not accept our keys".clone_into(&mut error.message);
            error.next = Some(
                "Look under Settings > Connected Apps in Karbon whether the application is still there, and enter its keys \
                 again."
                    .to_owned(),
            );
        }
        ErrorKind::Forbidden => {
            error.next =
                Some("Check the permissions of the application under Settings > Connected Apps in Karbon.".to_owned());
        }
        ErrorKind::RateLimited if error.retry == Retry::Backoff => {
            error.retry = message.as_deref().and_then(pause).map_or(Retry::Backoff, Retry::After);
        }
        _ => {}
    }
    // The codes only (4004); messages can quote what was asked for.
    Err(match code.as_deref().and_then(safe_word) {
        Some(code) => error.with("code", code),
        None => error,
    })
}
