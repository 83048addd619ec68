//! Requests to Practice Manager, and what an answer's status means.
//!
//! Sources: developer.xero.com, Practice Manager API 3.1 (overview, staff, clients, jobs), and the limits and OAuth guides.

use std::time::Duration;

use http::{HeaderName, header::ACCEPT};
use ledgerward_contract::{BodyLimit, Endpoints, Error, ErrorKind, Request, Response, Result, Retry};
use ledgerward_kit::{classify_common, is_html, safe_word};
use serde::Deserialize;
use uuid::Uuid;

/// The most clients that a page may have.
pub const PER_PAGE: usize = 500;
/// Where each client costs a request more: small enough that a failed page repeats little.
pub const PER_PAGE_WITH_FIELDS: usize = 50;

const TENANT: HeaderName = HeaderName::from_static("xero-tenant-id");
const ROOT: &str = "/practicemanager/3.1";

/// Builds requests against the hosts of the configuration. Nothing an answer says ever becomes a host: of the link to
/// the next page only its token is used.
#[derive(Clone, Debug)]
pub struct Api {
    pub endpoints: Endpoints,
}

impl Api {
    fn get(&self, op: &'static str, practice: Uuid, path: &str, query: &[(&str, &str)]) -> Result<Request> {
        let mut url = self.endpoints.url("api", &format!("{ROOT}/{path}"))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let practice = practice.to_string();
        // XML is the documented form; JSON on request was seen for 3.0 only.
        Request::get(op, url).tenant(&practice).header(TENANT, &practice)?.header(ACCEPT, "application/xml")
    }

    /// Every tenant of this sign-in, the practice among them.
    pub fn connections(&self) -> Result<Request> {
        Request::get("connections.list", self.endpoints.url("api", "/connections")?).header(ACCEPT, "application/json")
    }

    pub fn staff(&self, practice: Uuid) -> Result<Request> {
        self.get("staff.list", practice, "staff.api/list", &[])
    }

    /// Every open job, in one answer. That of a large firm is long, so tasks, notes and descriptions are asked for only
    /// where tasks count.
    pub fn jobs(&self, practice: Uuid, tasks: bool) -> Result<Request> {
        let query: &[_] = if tasks { &[("detailed", "true")] } else { &[] };
        Ok(long(self.get("jobs.list", practice, "job.api/current", query)?))
    }

    /// One page of the clients that are neither archived nor deleted.
    pub fn clients_page(&self, practice: Uuid, size: usize, token: Option<&str>) -> Result<Request> {
        let size = size.to_string();
        let mut query = vec![("pageSize", size.as_str())];
        query.extend(token.map(|t| ("pageToken", t)));
        self.get("clients.list", practice, "client.api/paged-list", &query)
    }

    /// All clients, archived and deleted ones included, in one answer.
    pub fn clients_whole(&self, practice: Uuid) -> Result<Request> {
        Ok(long(self.get("clients.list", practice, "client.api/list", &[("detailed", "true")])?))
    }

    pub fn groups(&self, practice: Uuid) -> Result<Request> {
        self.get("groups.list", practice, "clientgroup.api/list", &[])
    }

    /// One group with its clients.
    pub fn group(&self, practice: Uuid, group: Uuid) -> Result<Request> {
        self.get("group.get", practice, &format!("clientgroup.api/get/{group}"), &[])
    }

    pub fn custom_fields(&self, practice: Uuid, client: Uuid) -> Result<Request> {
        self.get("custom_fields.list", practice, &format!("client.api/get/{client}/customfield"), &[])
    }
}

/// For answers that the vendor makes of the whole practice at once: minutes, and tens of megabytes, for 15,000 clients.
const LONG: Duration = Duration::from_secs(600);

fn long(request: Request) -> Request {
    request.limit(BodyLimit::Statement).timeout(LONG)
}

/// What a gateway says about a refusal. It speaks JSON, whatever was asked for.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    detail: Option<String>,
    r#type: Option<String>,
}

/// What an answer's status means. A 200 is not yet a success: [`crate::map`] looks for the vendor's own `Status`.
///
/// Errors: `Unauthenticated` for a token that is refused; `Forbidden` with the practice in its context for a practice
/// that is not connected any more, and for a missing scope; `RateLimited` with the wait that Xero names; `Unavailable`
/// for a web page; the rest as [`classify_common`].
pub fn classify(op: &'static str, practice: Option<Uuid>, response: Response) -> Result<Response> {
    if response.status == 200 && !is_html(&response) {
        return Ok(response);
    }
    let mut error = classify_common(op, &response);
    let said = serde_json::from_slice::<Refusal>(&response.body).ok();
    let detail = said.as_ref().and_then(|s| s.detail.as_deref()).unwrap_or_default();
    let scope_refused = matches!(detail, "AuthorizationUnsuccessful" | "InsufficientScope")
        || response.header("www-authenticate").is_some_and(|h| h.contains("insufficient_scope"));
    match response.status {
        // A missing scope may come as 401; the sign-in itself is good, and a refresh would not help (unverified).
        401 | 403 if scope_refused => {
            error.kind = ErrorKind::Forbidden;
            "this app's sign-in lacks the scope for that".clone_into(&mut error.message);
            error.next = Some("Add the scope to the connection's `scopes` and sign in again.".to_owned());
        }
        403 if detail == "AuthenticationUnsuccessful" => {
            "Xero does not connect this practice to our sign-in any more; nothing follows about its clients or staff"
                .clone_into(&mut error.message);
            error.next = Some(
                "Somebody disconnected it in Xero, or who signed in lost the privilege \"Authorise 3rd Party Full \
                 Access\". Sign in again and choose the practice."
                    .to_owned(),
            );
            error = error.with("reason", "tenant_not_connected");
        }
        429 => {
            let problem = response.header("x-rate-limit-problem").and_then(safe_word);
            // The limit of requests at once comes without a wait: a short one is enough.
            if problem.as_deref() == Some("concurrent") && error.retry == Retry::Backoff {
                error.retry = Retry::After(Duration::from_secs(1));
            }
            error = error.with("limit", problem.unwrap_or_else(|| "unnamed".to_owned()));
        }
        _ => {}
    }
    if let Some(code) = said.and_then(|s| safe_word(&s.r#type?)) {
        error = error.with("code", code);
    }
    Err(about(practice, error))
}

/// Puts the practice into an error's context.
pub fn about(practice: Option<Uuid>, error: Error) -> Error {
    match practice {
        Some(practice) if error.get("practice").is_none() => error.with("practice", practice.to_string()),
        _ => error,
    }
}
