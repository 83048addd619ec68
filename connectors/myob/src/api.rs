//! Requests to MYOB, and what an answer's status means.
//!
//! Sources: developer.myob.com (authentication, company files, current user, banking/statement, report/*, error codes) and
//! MYOB's .NET SDK for the fields.

use std::time::Duration;

use http::{HeaderName, header::ACCEPT};
use ledgerward_contract::{
    AccountId, Basis, Endpoints, Error, ErrorKind, LedgerId, Period, Request, Response, Result, Retry,
};
use ledgerward_kit::{answer::retry_after, classify_common, safe_word, says_error, whole};
use serde::Deserialize;
use url::Url;
use uuid::Uuid;

/// What MYOB gives at once if nothing is said; it allows 1,000.
const PAGE: u32 = 400;
/// Reports run 30 to 120 s.
const REPORT_WAIT: Duration = Duration::from_secs(150);
/// Answers name their next page on hosts of this family (`arl2.api.myob.com`).
const FAMILY: &str = ".api.myob.com";

const VERSION: HeaderName = HeaderName::from_static("x-myobapi-version");

/// Builds requests against the hosts of the configuration. Nothing an answer says ever becomes a host.
#[derive(Clone, Debug)]
pub struct Api {
    pub endpoints: Endpoints,
}

/// A list that MYOB gives in pages.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    pub op: &'static str,
    pub ledger: &'a LedgerId,
    /// Below the company file's own address.
    pub resource: &'static str,
}

impl Api {
    fn get(&self, op: &'static str, ledger: &LedgerId, path: &str, query: &[(&str, String)]) -> Result<Request> {
        let file = uuid(op, ledger.as_str())?;
        let mut url = self.endpoints.url("api", &format!("/accountright/{file}{path}"))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
            // Filters are full of blanks; `+` for a blank is the rule of forms, `%20` is understood by every server.
            let text = url.query().unwrap_or_default().replace('+', "%20");
            url.set_query(Some(&text));
        }
        // No tenant: MYOB's limits count the API key, whichever file is asked for.
        Request::get(op, url).header(VERSION, "v2")?.header(ACCEPT, "application/json")
    }

    pub fn company_file(&self, op: &'static str, ledger: &LedgerId) -> Result<Request> {
        self.get(op, ledger, "", &[])
    }

    /// What the user of this sign-in may do in the file.
    pub fn current_user(&self, ledger: &LedgerId) -> Result<Request> {
        self.get("current_user.get", ledger, "/CurrentUser", &[])
    }

    /// From item `skip` on, with more parameters of OData's.
    pub fn list(&self, list: List<'_>, skip: u64, more: &[(&str, String)]) -> Result<Request> {
        let mut query = vec![("$top", PAGE.to_string())];
        if skip > 0 {
            query.push(("$skip", skip.to_string()));
        }
        query.extend_from_slice(more);
        self.get(list.op, list.ledger, &format!("/{}", list.resource), &query)
    }

    /// How many items lie before the page that `link` names. The link is read, not followed: it may name another host of
    /// MYOB's, and the access token goes to none but the configured one.
    ///
    /// Errors: `Contract` for a link to a host that is not MYOB's, to another list or file, or back to where we were.
    pub fn next_skip(&self, list: List<'_>, skip: u64, link: &str) -> Result<u64> {
        let wrong = |what: &str| {
            Error::contract(list.op, format!("MYOB's link to the next page {what}"))
                .with("ledger", list.ledger.as_str())
        };
        let own = self.company_file(list.op, list.ledger)?.url;
        let link = Url::parse(link).map_err(|_| wrong("is no address"))?;
        let host = link.host_str().unwrap_or_default();
        let vendors = link.scheme() == "https" && format!(".{host}").ends_with(FAMILY);
        if !vendors && link.origin() != own.origin() {
            return Err(wrong("is on a host that is not MYOB's").with("host", host));
        }
        let wanted = format!("/accountright/{}/{}", list.ledger, list.resource);
        if !link.path().trim_end_matches('/').to_ascii_lowercase().ends_with(&wanted.to_ascii_lowercase()) {
            return Err(wrong("is to another list than the one asked for"));
        }
        let next = link.query_pairs().find(|(k, _)| k == "$skip").and_then(|(_, v)| v.parse().ok());
        next.filter(|n| *n > skip).ok_or_else(|| wrong("does not lead on"))
    }

    /// The filter and order of one account's bank-feed lines. `Date` is the bank's day of the line; `StatementDate` is when
    /// MYOB pulled it in.
    pub fn statement_lines(&self, account: &AccountId, period: &Period) -> Result<Vec<(&'static str, String)>> {
        const OP: &str = "bank_statement.get";
        let after =
            period.end.tomorrow().map_err(|e| Error::contract(OP, "the period ends with the calendar").source(e))?;
        let filter = format!(
            "Account/UID eq guid'{}' and Date ge datetime'{}T00:00:00' and Date lt datetime'{after}T00:00:00'",
            uuid(OP, account.as_str())?,
            period.start
        );
        Ok(vec![("$filter", filter), ("$orderby", "Date".to_owned())])
    }

    pub fn account(&self, ledger: &LedgerId, account: &AccountId) -> Result<Request> {
        let id = uuid("account.get", account.as_str())?;
        self.get("account.get", ledger, &format!("/GeneralLedger/Account/{id}"), &[])
    }

    pub fn profit_and_loss(&self, ledger: &LedgerId, period: &Period, basis: Basis) -> Result<Request> {
        let query = [
            ("StartDate", period.start.to_string()),
            ("EndDate", period.end.to_string()),
            ("ReportingBasis", word(basis).to_owned()),
            ("YearEndAdjust", "false".to_owned()),
        ];
        self.report(ledger, "ProfitAndLossSummary", &query)
    }

    pub fn balance_sheet(&self, ledger: &LedgerId, period: &Period, basis: Basis) -> Result<Request> {
        let query = [
            ("AsOfDate", period.end.to_string()),
            ("YearEndAdjust", "false".to_owned()),
            ("ReportingBasis", word(basis).to_owned()),
        ];
        self.report(ledger, "BalanceSheetSummary", &query)
    }

    fn report(&self, ledger: &LedgerId, name: &str, query: &[(&str, String)]) -> Result<Request> {
        let request = self.get("report.get", ledger, &format!("/Report/{name}"), query)?;
        let mut request = request.timeout(REPORT_WAIT);
        // A report that ran into MYOB's own time limit would run into it again, and load the file each time: the next run
        // asks anew.
        request.idempotent = false;
        Ok(request)
    }
}

/// MYOB's word for a basis.
pub const fn word(basis: Basis) -> &'static str {
    match basis {
        Basis::Accrual => "Accrual",
        Basis::Cash => "Cash",
    }
}

/// An id goes into a path or a filter only as the UUID that MYOB's ids are.
pub fn uuid(op: &'static str, text: &str) -> Result<Uuid> {
    Uuid::parse_str(text).map_err(|e| Error::contract(op, "an id of MYOB is not a UUID").source(e))
}

/// The body of a refusal. Gateways answer with something else.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(rename = "Errors", default)]
    errors: Vec<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    #[serde(rename = "Name")]
    name: Option<String>,
}

/// MYOB's names of what is wrong, those that are safe to show.
fn names(response: &Response) -> Vec<String> {
    let said: Refusal = serde_json::from_slice(&response.body).unwrap_or_default();
    said.errors.iter().filter_map(|e| safe_word(e.name.as_deref()?)).collect()
}

/// A limit of MYOB's comes as 403, which the kit takes for a refusal unless it is told.
pub fn retry_hint(response: &Response) -> Option<Retry> {
    let limited = response.status == 403 && names(response).iter().any(|n| n == "RateLimitError");
    limited.then(|| retry_after(&response.headers, None).map_or(Retry::Backoff, Retry::After))
}

/// The `reason` in the context of the error for what the user, or the scopes, of this sign-in do not reach.
pub const ACCESS_DENIED: &str = "access_denied";

/// What an answer's status means.
///
/// Errors: `RateLimited` for 429 and for 403 `RateLimitError`; `Config` for an API key that MYOB switched off; `Forbidden`
/// for any other 403, with `reason` [`ACCESS_DENIED`] where MYOB says so; the rest as [`classify_common`]. Each names the
/// company file.
pub fn classify(op: &'static str, ledger: &LedgerId, response: Response) -> Result<Response> {
    if whole(&response) && !says_error(&response.body) {
        return Ok(response);
    }
    let mut error = classify_common(op, &response);
    let names = names(&response);
    if let Some(retry) = retry_hint(&response) {
        error = Error { kind: ErrorKind::RateLimited, retry, next: None, ..error };
        "MYOB asks us to slow down".clone_into(&mut error.message);
    } else if response.status == 403 && names.iter().any(|n| n == "DeveloperInactive") {
        error.kind = ErrorKind::Config;
        "MYOB has switched this app's API key off".clone_into(&mut error.message);
        error.next = Some("Ask MYOB's developer support why; until it is on again no file can be read.".to_owned());
    } else if response.status == 403 && names.iter().any(|n| n == "AccessDenied") {
        "MYOB does not let the user who signed in, or this app's scopes, read that".clone_into(&mut error.message);
        error.next = Some(
            "Check the user's roles in the company file and the connection's scopes, then sign in again.".to_owned(),
        );
        error = error.with("reason", ACCESS_DENIED);
    }
    for name in names {
        error = error.with("code", name);
    }
    Err(error.with("ledger", ledger.as_str()))
}
