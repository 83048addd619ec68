//! Requests to Xero, and what an answer's status means.
//!
//! Sources: Xero's OpenAPI files 16.1.0 (accounting, identity, files, finance) and the limits and OAuth guides of
//! developer.xero.com.

use std::time::Duration;

use http::{HeaderName, header::ACCEPT};
use ledgerward_contract::{
    AccountId, Basis, BodyLimit, Endpoints, Error, ErrorKind, LedgerId, Period, Request, Response, Result, Retry,
    StatementKind, StatementRequest,
};
use ledgerward_kit::{classify_common, is_html, safe_word, says_error, whole};
use serde::Deserialize;
use uuid::Uuid;

/// Bank transactions a page; Xero allows 1,000, and each carries its line items.
const TRANSACTIONS_PER_PAGE: u32 = 250;
/// The most that the Files API gives at once.
const FILES_PER_PAGE: u32 = 100;
/// Xero's profit and loss spans about a year (exact bound unverified): a first and a last day at most so far apart.
const REPORT_DAYS_MAX: i32 = 365;
/// The Finance API spans twelve months.
const STATEMENT_DAYS_MAX: i32 = 366;

const TENANT: HeaderName = HeaderName::from_static("xero-tenant-id");
/// The specification requires it where an attachment is read by its id.
const CONTENT_TYPE_WANTED: HeaderName = HeaderName::from_static("contenttype");

/// Xero's specification, and its SDKs, write the path with a capital; its guides write it small. Which of them a server
/// takes shows only when it is asked.
pub const CONNECTIONS: [&str; 2] = ["/Connections", "/connections"];

const ACCOUNTING: &str = "/api.xro/2.0";
const FILES: &str = "/files.xro/1.0";
const FINANCE: &str = "/finance.xro/1.0";

/// Builds requests against the hosts of the configuration. Nothing an answer says ever becomes a host.
#[derive(Clone, Debug)]
pub struct Api {
    pub endpoints: Endpoints,
}

impl Api {
    fn get(&self, op: &'static str, ledger: &LedgerId, path: &str, query: &[(&str, String)]) -> Result<Request> {
        let mut url = self.endpoints.url("api", path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
            // Filters are full of blanks; `+` for a blank is the rule of forms, `%20` is understood by every server.
            let text = url.query().unwrap_or_default().replace('+', "%20");
            url.set_query(Some(&text));
        }
        Request::get(op, url)
            .tenant(ledger.as_str())
            .header(TENANT, ledger.as_str())?
            // Without it the Accounting API answers in XML.
            .header(ACCEPT, "application/json")
    }

    fn bytes(&self, op: &'static str, ledger: &LedgerId, path: &str, mime: &str) -> Result<Request> {
        let mime = if is_mime(mime) { mime } else { "application/octet-stream" };
        Ok(self.get(op, ledger, path, &[])?.header(ACCEPT, mime)?.limit(BodyLimit::Statement))
    }

    /// Every tenant of this sign-in, by one of [`CONNECTIONS`].
    pub fn connections(&self, path: &str) -> Result<Request> {
        Request::get("connections.list", self.endpoints.url("api", path)?).header(ACCEPT, "application/json")
    }

    /// The whole list, always: `If-Modified-Since` cannot show that a user is gone.
    pub fn users(&self, ledger: &LedgerId) -> Result<Request> {
        self.get("users.list", ledger, &format!("{ACCOUNTING}/Users"), &[])
    }

    pub fn organisation(&self, ledger: &LedgerId) -> Result<Request> {
        self.get("organisation.get", ledger, &format!("{ACCOUNTING}/Organisation"), &[])
    }

    pub fn bank_accounts(&self, ledger: &LedgerId) -> Result<Request> {
        let filter = [("where", r#"Type=="BANK""#.to_owned())];
        self.get("accounts.list", ledger, &format!("{ACCOUNTING}/Accounts"), &filter)
    }

    pub fn account(&self, ledger: &LedgerId, account: &AccountId) -> Result<Request> {
        let id = uuid("account.get", account.as_str())?;
        self.get("account.get", ledger, &format!("{ACCOUNTING}/Accounts/{id}"), &[])
    }

    /// One page, from 1, of the period's transactions, of one account or of all. Ordered by what never changes, so that
    /// an edit between two pages moves nothing (that this field may be ordered by is unverified).
    pub fn bank_transactions(
        &self,
        ledger: &LedgerId,
        period: &Period,
        account: Option<&AccountId>,
        page: u32,
    ) -> Result<Request> {
        const OP: &str = "bank_transactions.list";
        let after =
            period.end.tomorrow().map_err(|e| Error::contract(OP, "the period ends with the calendar").source(e))?;
        let day = |d: jiff::civil::Date| d.strftime("DateTime(%Y,%m,%d)").to_string();
        let mut filter = format!("Date>={} AND Date<{}", day(period.start), day(after));
        if let Some(account) = account {
            filter += &format!(r#" AND BankAccount.AccountID==guid("{}")"#, uuid(OP, account.as_str())?);
        }
        let query = [
            ("where", filter),
            ("order", "BankTransactionID ASC".to_owned()),
            ("page", page.to_string()),
            ("pageSize", TRANSACTIONS_PER_PAGE.to_string()),
        ];
        self.get(OP, ledger, &format!("{ACCOUNTING}/BankTransactions"), &query)
    }

    pub fn attachments(&self, ledger: &LedgerId, transaction: Uuid) -> Result<Request> {
        self.get("attachments.list", ledger, &format!("{ACCOUNTING}/BankTransactions/{transaction}/Attachments"), &[])
    }

    pub fn attachment(&self, ledger: &LedgerId, transaction: Uuid, id: Uuid, mime: &str) -> Result<Request> {
        let path = format!("{ACCOUNTING}/BankTransactions/{transaction}/Attachments/{id}");
        let request = self.bytes("attachment.get", ledger, &path, mime)?;
        let mime = if is_mime(mime) { mime } else { "application/octet-stream" };
        request.header(CONTENT_TYPE_WANTED, mime)
    }

    /// One of the four reports. `Unsupported` where the period is longer than Xero's report goes.
    pub fn report(&self, ledger: &LedgerId, what: &StatementRequest) -> Result<Request> {
        const OP: &str = "report.get";
        let (start, end) = (what.period.start, what.period.end);
        let span = [("fromDate", start.to_string()), ("toDate", end.to_string())];
        let date = ("date", end.to_string());
        let cash = ("paymentsOnly", (what.basis == Basis::Cash).to_string());
        // Otherwise the organisation's own layout renames and regroups rows.
        let layout = ("standardLayout", "true".to_owned());
        let (name, query) = match what.kind {
            StatementKind::ProfitAndLoss => {
                within(OP, &what.period, REPORT_DAYS_MAX)?;
                let [from, to] = span;
                ("ProfitAndLoss", vec![from, to, layout, cash])
            }
            StatementKind::BalanceSheet => ("BalanceSheet", vec![date, layout, cash]),
            StatementKind::TrialBalance => ("TrialBalance", vec![date, cash]),
            StatementKind::BankSummary => ("BankSummary", span.to_vec()),
            other => {
                return Err(Error::new(ErrorKind::Unsupported, OP, format!("{} is no report of Xero", other.title())));
            }
        };
        self.get(OP, ledger, &format!("{ACCOUNTING}/Reports/{name}"), &query)
    }

    /// One page, from 1, oldest first: what is added meanwhile comes last.
    pub fn files(&self, ledger: &LedgerId, page: u32) -> Result<Request> {
        let query = [
            ("pagesize", FILES_PER_PAGE.to_string()),
            ("page", page.to_string()),
            ("sort", "CreatedDateUTC".to_owned()),
            ("direction", "ASC".to_owned()),
        ];
        self.get("files.list", ledger, &format!("{FILES}/Files"), &query)
    }

    pub fn file(&self, ledger: &LedgerId, id: Uuid, mime: &str) -> Result<Request> {
        self.bytes("file.get", ledger, &format!("{FILES}/Files/{id}/Content"), mime)
    }

    /// The bank's own lines of one account. Needs the restricted Finance scope.
    pub fn bank_statement(&self, ledger: &LedgerId, account: &AccountId, period: &Period) -> Result<Request> {
        const OP: &str = "bank_statement.get";
        within(OP, period, STATEMENT_DAYS_MAX)?;
        let query = [
            ("BankAccountID", uuid(OP, account.as_str())?.to_string()),
            ("FromDate", period.start.to_string()),
            ("ToDate", period.end.to_string()),
            ("SummaryOnly", "true".to_owned()),
        ];
        self.get(OP, ledger, &format!("{FINANCE}/BankStatementsPlus/statements"), &query)
    }
}

/// An id goes into a path or a filter only as the UUID that Xero's ids are.
pub fn uuid(op: &'static str, text: &str) -> Result<Uuid> {
    Uuid::parse_str(text).map_err(|e| Error::contract(op, "an id of Xero is not a UUID").source(e))
}

/// `type/subtype` in the letters of RFC 6838: the rest of what users' software calls a MIME type is no header value.
fn is_mime(text: &str) -> bool {
    let word = |w: &str| {
        (1..=127).contains(&w.len()) && w.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    text.split_once('/').is_some_and(|(a, b)| word(a) && word(b))
}

fn within(op: &'static str, period: &Period, days_max: i32) -> Result<()> {
    let days = period.start.until(period.end).map(|s| s.get_days()).unwrap_or(i32::MAX);
    if (0..=days_max).contains(&days) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, op, "Xero gives this only for a period of up to one year")
        .next("Ask for a shorter period."))
}

/// What a gateway, or the Finance API, says about a refusal.
#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "Detail", alias = "detail")]
    detail: Option<String>,
    #[serde(rename = "Type", alias = "type")]
    kind: Option<String>,
}

/// What a request asked for, by its `Accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    Json,
    /// A document of this MIME type.
    Bytes(&'a str),
}

/// The `reason` in the context of the error for a tenant that our sign-in does not reach any more.
pub const NOT_CONNECTED: &str = "tenant_not_connected";

/// What an answer's status means. `ledger` is the tenant that was asked, if one was.
///
/// Errors: `Unauthenticated` for a token that is refused; `Forbidden` with the ledger in its context for a tenant that is
/// not connected any more, and for a scope that is missing; `RateLimited` with the wait that Xero names; `Contract` for
/// XML; `Unavailable` for a web page; the rest as [`classify_common`].
pub fn classify(op: &'static str, ledger: Option<&LedgerId>, wanted: Wanted, response: Response) -> Result<Response> {
    let document = matches!(wanted, Wanted::Bytes(mime) if mime.contains("html"));
    let web_page = is_html(&response) && !document;
    let xml = wanted == Wanted::Json && response.body.trim_ascii_start().starts_with(b"<");
    let wrong = xml || wanted == Wanted::Json && says_error(&response.body);
    if (whole(&response) || response.status == 200 && document) && !wrong {
        return Ok(response);
    }
    let mut error = classify_common(op, &response);
    // By trying, not by header: a recorded 401 had no content type.
    let said = serde_json::from_slice::<Refusal>(&response.body).ok();
    let detail = said.as_ref().and_then(|s| s.detail.as_deref()).unwrap_or_default();
    let scope_refused = detail == "AuthorizationUnsuccessful"
        || response.header("www-authenticate").is_some_and(|h| h.contains("insufficient_scope"));
    match response.status {
        200..=299 if xml && !web_page => "Xero answered in XML, which was not asked for".clone_into(&mut error.message),
        // A missing scope may come as 401; the sign-in itself is good, and a refresh would not help (unverified).
        401 if scope_refused => {
            error.kind = ErrorKind::Forbidden;
            "this app's sign-in lacks the scope for that".clone_into(&mut error.message);
            error.next = Some("Add the scope to the connection's `scopes` and sign in again.".to_owned());
        }
        403 if detail == "AuthenticationUnsuccessful" => {
            "Xero does not connect this organisation to our sign-in any more; nothing follows about its users"
                .clone_into(&mut error.message);
            error.next = Some(
                "Somebody disconnected it in Xero, or the account that signed in lost its access there. Sign in again \
                 and choose the organisation."
                    .to_owned(),
            );
            error = error.with("reason", NOT_CONNECTED);
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
    // Vendor codes such as `ValidationException` and `organisation-offline`; never the message, which can quote data.
    if let Some(code) = said.and_then(|s| safe_word(&s.kind?)) {
        error = error.with("code", code);
    }
    Err(match ledger {
        Some(ledger) => error.with("ledger", ledger.as_str()),
        None => error,
    })
}
