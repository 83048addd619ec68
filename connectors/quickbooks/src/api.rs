//! Requests to QuickBooks, and what an answer means.
//!
//! Sources: developer.intuit.com, Accounting API (data queries, report entities, limits and throttles, minor versions) and
//! OAuth 2.0; recorded sandbox traffic of the client library qbo_api for both shapes of a fault.

use std::time::Duration;

use http::header::ACCEPT;
use ledgerward_contract::{
    AccountId, Auth, Basis, BodyLimit, Date, Endpoints, Error, ErrorKind, LedgerId, Period, Request, Response, Result,
    Retry, StatementKind, StatementRequest,
};
use ledgerward_kit::{classify_common, is_html, retry_after, safe_word, says_error, whole};
use serde::Deserialize;
use url::Url;

/// Rows a page; the most that QuickBooks gives.
pub const PAGE: usize = 1_000;
/// Intuit cuts a request off after so long, and detail reports come near to it.
const REPORT_MAX: Duration = Duration::from_secs(120);
/// The documented pause after a throttled request; the answer itself names none.
const THROTTLED: Duration = Duration::from_secs(60);

/// The columns of the register, by key. A company with several currencies has the amounts in its own one under other keys.
pub const REGISTER_COLUMNS: &str = "tx_date,txn_type,doc_num,name,memo,split_acc,subt_nat_amount,rbal_nat_amount,\
                                    subt_nat_home_amount,rbal_nat_home_amount";

/// Builds requests against the hosts of the configuration.
#[derive(Clone, Debug)]
pub struct Api {
    pub endpoints: Endpoints,
    pub minor_version: u16,
}

impl Api {
    fn get(&self, op: &'static str, ledger: &LedgerId, path: &str, query: &[(&str, String)]) -> Result<Request> {
        let company = id(op, ledger.as_str())?;
        let mut url = self.endpoints.url("api", &format!("/v3/company/{company}/{path}"))?;
        url.query_pairs_mut().extend_pairs(query).append_pair("minorversion", &self.minor_version.to_string());
        // Queries are full of blanks; `+` for a blank is the rule of forms, `%20` is understood by every server.
        let text = url.query().unwrap_or_default().replace('+', "%20");
        url.set_query(Some(&text));
        // Without it the answer comes in XML.
        Request::get(op, url).tenant(company).header(ACCEPT, "application/json")
    }

    pub fn company(&self, ledger: &LedgerId) -> Result<Request> {
        self.get("company.get", ledger, &format!("companyinfo/{ledger}"), &[])
    }

    /// How many users the plan allows and counts. XML only.
    pub fn entitlements(&self, ledger: &LedgerId) -> Result<Request> {
        const OP: &str = "entitlements.get";
        let company = id(OP, ledger.as_str())?;
        let url = self.endpoints.url("api", &format!("/manage/entitlements/v3/{company}"))?;
        Request::get(OP, url).tenant(company).optional().header(ACCEPT, "application/xml")
    }

    fn query(&self, op: &'static str, ledger: &LedgerId, text: &str) -> Result<Request> {
        Ok(self.get(op, ledger, "query", &[("query", text.to_owned())])?.optional())
    }

    /// Bank and credit card accounts, closed ones too, from row `from` (the first is 1).
    pub fn accounts(&self, ledger: &LedgerId, from: usize) -> Result<Request> {
        let text = format!(
            "select * from Account where AccountType IN ('Bank','Credit Card') and Active IN (true,false) ORDERBY Id \
             STARTPOSITION {from} MAXRESULTS {PAGE}"
        );
        self.query("accounts.list", ledger, &text)
    }

    pub fn account(&self, ledger: &LedgerId, account: &AccountId) -> Result<Request> {
        const OP: &str = "account.get";
        Ok(self.get(OP, ledger, &format!("account/{}", id(OP, account.as_str())?), &[])?.optional())
    }

    /// Every document of the company: they carry no day of what they belong to.
    pub fn attachables(&self, ledger: &LedgerId, from: usize) -> Result<Request> {
        let text = format!("select * from Attachable ORDERBY Id STARTPOSITION {from} MAXRESULTS {PAGE}");
        self.query("attachables.list", ledger, &text)
    }

    pub fn attachable(&self, ledger: &LedgerId, document: &str) -> Result<Request> {
        const OP: &str = "attachable.get";
        Ok(self.get(OP, ledger, &format!("attachable/{}", id(OP, document)?), &[])?.optional())
    }

    /// The days of some transactions of one kind.
    pub fn days(&self, ledger: &LedgerId, entity: &str, ids: &[String]) -> Result<Request> {
        const OP: &str = "transactions.list";
        let quoted: Vec<_> = ids.iter().map(|i| Ok(format!("'{}'", id(OP, i)?))).collect::<Result<_>>()?;
        let list = quoted.join(",");
        let text = format!("select Id, TxnDate from {entity} where Id IN ({list}) STARTPOSITION 1 MAXRESULTS {PAGE}");
        self.query(OP, ledger, &text)
    }

    /// The bytes, at the address that QuickBooks gave a moment ago. The address is the secret.
    pub fn download(&self, ledger: &LedgerId, address: &str) -> Result<Request> {
        const OP: &str = "attachment.get";
        // Its text stays out of the error: it opens the document.
        let url = Url::parse(address).map_err(|_| Error::contract(OP, "the address of a document is no address"))?;
        let request = Request::get(OP, url).tenant(ledger.as_str()).auth(Auth::Url);
        Ok(request.limit(BodyLimit::Statement).optional().timeout(REPORT_MAX))
    }

    /// A report of figures. Dates and basis are always said: what a company prefers would make two clients differ.
    pub fn report(&self, ledger: &LedgerId, what: &StatementRequest) -> Result<Request> {
        const OP: &str = "report.get";
        let name = report_name(what.kind)
            .ok_or_else(|| Error::new(ErrorKind::Unsupported, OP, "QuickBooks has no report of this kind"))?;
        let mut query = span(what.period.start, what.period.end);
        query.push(("accounting_method", basis(what.basis).to_owned()));
        if what.kind != StatementKind::TrialBalance {
            query.push(("summarize_column_by", "Total".to_owned()));
        }
        let request = self.get(OP, ledger, &format!("reports/{name}"), &query)?;
        Ok(request.optional().timeout(REPORT_MAX))
    }

    /// The books' own record of one account, over a range of at most [`parts`]'s length.
    pub fn register(&self, ledger: &LedgerId, account: &AccountId, from: Date, to: Date) -> Result<Request> {
        const OP: &str = "register.get";
        let mut query = span(from, to);
        query.push(("accounting_method", "Accrual".to_owned()));
        query.push(("account", id(OP, account.as_str())?.to_owned()));
        query.push(("columns", REGISTER_COLUMNS.to_owned()));
        Ok(self.get(OP, ledger, "reports/GeneralLedger", &query)?.optional().timeout(REPORT_MAX))
    }
}

/// The name of a report in its address and in its answer.
pub fn report_name(kind: StatementKind) -> Option<&'static str> {
    match kind {
        StatementKind::ProfitAndLoss => Some("ProfitAndLoss"),
        StatementKind::BalanceSheet => Some("BalanceSheet"),
        StatementKind::TrialBalance => Some("TrialBalance"),
        _ => None,
    }
}

pub fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Accrual => "Accrual",
        Basis::Cash => "Cash",
    }
}

fn span(from: Date, to: Date) -> Vec<(&'static str, String)> {
    vec![("start_date", from.to_string()), ("end_date", to.to_string())]
}

/// A period in ranges of at most six months, as Intuit advises for detail reports.
pub fn parts(period: &Period) -> Vec<(Date, Date)> {
    let mut out = Vec::new();
    let mut from = period.start;
    while from <= period.end {
        let to = from.saturating_add(jiff::Span::new().months(6)).yesterday().unwrap_or(period.end).min(period.end);
        out.push((from, to));
        let Ok(next) = to.tomorrow() else { break };
        from = next;
    }
    out
}

/// Ids of QuickBooks are digits; nothing else gets into an address or a query.
pub fn id<'a>(op: &'static str, text: &'a str) -> Result<&'a str> {
    if (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(text);
    }
    Err(Error::contract(op, "an id of QuickBooks is not a number"))
}

/// What a request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Json,
    Xml,
    /// A document from its short-lived address.
    Bytes,
}

/// Both shapes of a refusal: the gateway's in lower case, the service's with capitals.
#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "fault", alias = "Fault")]
    fault: Option<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(rename = "error", alias = "Error", default)]
    errors: Vec<FaultError>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct FaultError {
    code: Option<String>,
}

/// The `reason` in the context of the error for a company that our sign-in does not reach any more.
pub const NOT_CONNECTED: &str = "company_not_connected";

/// What a body says of a refusal: its code without leading zeros, and the fault's type. The message and the detail are not
/// read: they quote data, and that of an expired token quotes the token.
fn refusal(response: &Response) -> Option<(String, String)> {
    if response.body.trim_ascii_start().starts_with(b"<") {
        return xml_code(&response.body).map(|code| (code, "xml".to_owned()));
    }
    let fault = serde_json::from_slice::<Refusal>(&response.body).ok()?.fault?;
    let code = fault.errors.into_iter().find_map(|e| e.code).unwrap_or_default();
    Some((code.trim_start_matches('0').to_owned(), fault.kind.unwrap_or_default()))
}

/// The code of a fault in XML, which comes where the gateway overlooks what was asked for.
fn xml_code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let error = text.split_once("<Error ")?.1.split_once('>')?.0;
    let code = error.split_once("code=\"")?.1.split_once('"')?.0;
    Some(code.trim_start_matches('0').to_owned())
}

/// The vendor's throttling: 429 without a pause, or a 403 with code 3001 from older gateways.
pub fn retry_hint(response: &Response) -> Option<Retry> {
    let throttled = match response.status {
        429 => true,
        403 => refusal(response).is_some_and(|(code, _)| code == "3001"),
        _ => false,
    };
    throttled.then(|| Retry::After(retry_after(&response.headers, None).unwrap_or(THROTTLED)))
}

/// What an answer's status and its fault mean.
///
/// Errors: `Unauthenticated` for a token that is refused; `Forbidden` with [`NOT_CONNECTED`] for a company that took the
/// app away; `RateLimited` with the vendor's pause; `Contract` for a fault or XML in a 200; `Unavailable` for a web page;
/// the rest as [`classify_common`].
pub fn classify(op: &'static str, wanted: Wanted, response: Response) -> Result<Response> {
    if wanted == Wanted::Bytes {
        return bytes(op, response);
    }
    let xml = response.body.trim_ascii_start().starts_with(b"<");
    let said = refusal(&response);
    let fault = said.is_some() || says_error(&response.body);
    if whole(&response) && !fault && xml == (wanted == Wanted::Xml) {
        return Ok(response);
    }
    let mut error = classify_common(op, &response);
    let (code, kind) = said.unwrap_or_default();
    if let Some(pause) = retry_hint(&response) {
        error = Error { kind: ErrorKind::RateLimited, message: "QuickBooks asks us to slow down".to_owned(), ..error };
        error.next = None;
        error.retry = pause;
    } else if let Some((kind, message, next)) = meaning(response.status, &code, &kind) {
        let retry = if kind == ErrorKind::Unavailable { Retry::Backoff } else { Retry::No };
        error = Error { kind, retry, message: message.to_owned(), next: Some(next.to_owned()), ..error };
        if code == "3100" {
            error = error.with("reason", NOT_CONNECTED);
        }
    } else if response.status == 200 && !is_html(&response) {
        "QuickBooks answered in a form that was not asked for".clone_into(&mut error.message);
    }
    Err(match safe_word(&code) {
        Some(code) => error.with("code", code),
        None => error,
    })
}

/// The codes that mean something else than their status does.
fn meaning(status: u16, code: &str, kind: &str) -> Option<(ErrorKind, &'static str, &'static str)> {
    Some(match code {
        "3200" => (
            ErrorKind::Unauthenticated,
            "QuickBooks does not accept our sign-in",
            "If it says so again after a new access token, sign in once more.",
        ),
        "3100" => (
            ErrorKind::Forbidden,
            "QuickBooks does not connect this company to our sign-in any more; nothing follows about its users",
            "Somebody disconnected the app in QuickBooks, or lost access there. Sign in again and choose the company.",
        ),
        "6190" => (
            ErrorKind::Forbidden,
            "this company is closed at QuickBooks, or its subscription has lapsed",
            "Ask the client; the company is read again when its subscription is.",
        ),
        "610" => (ErrorKind::NotFound, "QuickBooks has nothing under this id any more", "It is looked for again."),
        _ if kind == "SystemFault" && (200..500).contains(&status) => (
            ErrorKind::Unavailable,
            "QuickBooks is not available",
            "It is tried again by itself; see the service's own status page.",
        ),
        "" => return None,
        _ if (200..400).contains(&status) => {
            (ErrorKind::Contract, "QuickBooks answered with a fault", "Report this with the code.")
        }
        _ => return None,
    })
}

/// A document. The store of documents speaks for itself, not for QuickBooks.
fn bytes(op: &'static str, response: Response) -> Result<Response> {
    if response.status == 200 {
        return Ok(response);
    }
    let error = classify_common(op, &response);
    if response.status != 403 {
        return Err(error);
    }
    let message = "the short-lived address of a document was refused; it may have ended on the way".to_owned();
    let next = Some("It is tried again with a new address.".to_owned());
    Err(Error { kind: ErrorKind::Unavailable, retry: Retry::No, message, next, ..error })
}
