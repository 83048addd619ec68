//! What an error looks like: one form for all of them (RFC 9457).

use http::StatusCode;
use serde_json::{Value, json};

use super::Place;
use crate::{
    cli::outcome::{Exit, Failure, Fault, quoted},
    domain::office::Permission,
};

/// A request that was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub status: StatusCode,
    pub detail: String,
    pub next: Option<String>,
    pub causes: Vec<String>,
    /// Which value of the request is wrong.
    pub at: Option<Box<(Place, String)>>,
    /// The permission that is missing, where it is one of the firm's roles.
    pub permission: Option<&'static str>,
    /// The methods that the address has, for a 405.
    pub allow: Option<String>,
}

/// Statuses of problems, and their titles.
pub const TITLES: [(u16, &str); 12] = [
    (400, "The request is not right"),
    (401, "It is not known who is asking"),
    (403, "This may not be done by who is asking"),
    (404, "There is no such thing"),
    (405, "This address does not have this method"),
    (409, "This does not fit how things stand now"),
    (413, "The request is too large"),
    (415, "The request's body is not JSON"),
    (421, "The request is meant for another host"),
    (422, "The request is understood and refused"),
    (500, "A defect"),
    (503, "This cannot be done now"),
];

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, detail, next: None, causes: vec![], at: None, permission: None, allow: None }
    }

    /// A wrong value, and where it stands.
    pub fn input(place: Place, name: &str, detail: impl Into<String>) -> Self {
        Self { at: Some(Box::new((place, quoted(name)))), ..Self::new(StatusCode::BAD_REQUEST, detail) }
    }

    /// `permission`: which one is missing, where it is one that a role could have.
    pub fn denied(permission: Option<Permission>, detail: impl Into<String>) -> Self {
        Self { permission: permission.map(Permission::slug), ..Self::new(StatusCode::FORBIDDEN, detail) }
    }

    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    pub fn json(&self) -> Value {
        let code = self.status.as_u16();
        json!({
            "type": "about:blank",
            "title": TITLES.iter().find(|(c, _)| *c == code).map_or("A problem", |(_, t)| t),
            "status": code,
            "detail": self.detail,
            "next": self.next,
            "causes": self.causes,
            "at": self.at.as_deref().map(|(place, name)| json!({"in": place.word(), "name": name})),
            "permission": self.permission,
        })
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let status = match (failure.fault, failure.exit) {
            (Fault::Missing, _) => StatusCode::NOT_FOUND,
            (Fault::Denied, _) => StatusCode::FORBIDDEN,
            (Fault::Conflict, _) | (Fault::Other, Exit::Held) => StatusCode::CONFLICT,
            (Fault::Unavailable, _) | (Fault::Other, Exit::Locked | Exit::Refused | Exit::SignIn) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            (Fault::Other, Exit::Usage) => StatusCode::BAD_REQUEST,
            (Fault::Content, _) => StatusCode::UNPROCESSABLE_ENTITY,
            (Fault::Other, _) => StatusCode::UNPROCESSABLE_ENTITY,
        };
        // Without one it is no permission that is missing: whose record it is, or whose client.
        let permission = failure.permission;
        Self { next: failure.next, causes: failure.causes, permission, ..Self::new(status, failure.message) }
    }
}
