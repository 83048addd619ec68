//! Requests to FreeAgent, and what an answer's status means.
//!
//! Sources: dev.freeagent.com (introduction, OAuth, accountancy practice API, users, company, bank transactions, reports).

use std::time::Duration;

use http::{
    HeaderName,
    header::{ACCEPT, USER_AGENT},
};
use ledgerward_contract::{
    AccountId, Basis, Endpoints, Error, ErrorKind, LedgerId, Period, Request, Response, Result, Retry, StatementKind,
    StatementRequest,
};
use ledgerward_kit::{classify_common, is_html, says_error, whole};
use url::Url;

/// The most that FreeAgent gives at once.
const PER_PAGE: usize = 100;
/// A profit and loss report spans at most twelve months, or one accounting year.
const REPORT_DAYS_MAX: i32 = 366;
/// What is waited after a 429 that names no wait: the shortest of FreeAgent's windows.
const WAIT: Duration = Duration::from_secs(60);

const SUBDOMAIN: HeaderName = HeaderName::from_static("x-subdomain");
/// Calls without one are refused.
const AGENT: &str = concat!("ledgerward/", env!("CARGO_PKG_VERSION"));

/// The documented path of the balance sheet, and the one of the community's description.
pub const BALANCE_SHEET: [&str; 2] = ["/accounting/balance_sheet", "/accounting/balance_sheet/summary"];

/// Builds requests against the host of the configuration. Nothing an answer says ever becomes a host.
#[derive(Clone, Debug)]
pub struct Api {
    endpoints: Endpoints,
    /// With a trailing slash: what every address of a thing at FreeAgent begins with.
    base: String,
}

impl Api {
    pub fn new(endpoints: Endpoints) -> Result<Self> {
        let base = endpoints.url("api", "/")?.to_string();
        Ok(Self { endpoints, base })
    }

    /// A request of the practice itself.
    fn practice(&self, op: &'static str, path: &str, query: &[(&str, String)]) -> Result<Request> {
        let mut url = self.endpoints.url("api", path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Request::get(op, url).header(USER_AGENT, AGENT)?.header(ACCEPT, "application/json")
    }

    /// A request about one client.
    fn client(&self, op: &'static str, ledger: &LedgerId, path: &str, query: &[(&str, String)]) -> Result<Request> {
        let subdomain = subdomain(op, ledger)?;
        self.practice(op, path, query)?.tenant(subdomain).header(SUBDOMAIN, subdomain)
    }

    /// The account manager who signed in.
    pub fn me(&self) -> Result<Request> {
        self.practice("account_manager.get", "/account_managers/me", &[])
    }

    pub fn account_managers(&self) -> Result<Request> {
        self.practice("account_managers.list", "/account_managers", &paged(1, &[]))
    }

    /// One page, from 1, of every client whatever its status. With `minimal_data` the pages would be larger, and may lack
    /// the account manager, without whom a partial list cannot be told.
    pub fn clients(&self, page: u32) -> Result<Request> {
        let query = [("view", "all".to_owned()), ("sort", "created_at".to_owned())];
        self.practice("clients.list", "/clients", &paged(page, &query))
    }

    /// One page, from 1. The whole list, always: `updated_since` does not show who is gone.
    pub fn users(&self, ledger: &LedgerId, page: u32) -> Result<Request> {
        self.client("users.list", ledger, "/users", &paged(page, &[]))
    }

    pub fn company(&self, ledger: &LedgerId) -> Result<Request> {
        self.client("company.get", ledger, "/company", &[])
    }

    pub fn bank_accounts(&self, ledger: &LedgerId, page: u32) -> Result<Request> {
        self.client("bank_accounts.list", ledger, "/bank_accounts", &paged(page, &[]))
    }

    pub fn bank_account(&self, ledger: &LedgerId, account: &AccountId) -> Result<Request> {
        const OP: &str = "bank_account.get";
        self.client(OP, ledger, &format!("/bank_accounts/{}", number(OP, account.as_str())?), &[])
    }

    /// One page, from 1, of one account's lines. `imported`: those alone that came from the bank.
    pub fn bank_transactions(
        &self,
        ledger: &LedgerId,
        account: &AccountId,
        period: &Period,
        imported: bool,
        page: u32,
    ) -> Result<Request> {
        const OP: &str = "bank_transactions.list";
        let query = [
            ("bank_account", format!("{}bank_accounts/{}", self.base, number(OP, account.as_str())?)),
            ("from_date", period.start.to_string()),
            ("to_date", period.end.to_string()),
            ("view", if imported { "imported" } else { "all" }.to_owned()),
        ];
        self.client(OP, ledger, "/bank_transactions", &paged(page, &query))
    }

    /// One of the three reports, the balance sheet by one of [`BALANCE_SHEET`].
    ///
    /// Errors: `Unsupported` for what FreeAgent has no report of.
    pub fn report(&self, ledger: &LedgerId, what: &StatementRequest, balance_sheet: &str) -> Result<Request> {
        const OP: &str = "report.get";
        let no = |m: String| Error::new(ErrorKind::Unsupported, OP, m);
        let (start, end) = (what.period.start, what.period.end);
        if what.basis == Basis::Cash {
            return Err(no(format!("FreeAgent gives no {} on a cash basis", what.kind.title().to_lowercase()))
                .next("Ask for it on an accrual basis."));
        }
        match what.kind {
            StatementKind::ProfitAndLoss => {
                let days = start.until(end).map(|s| s.get_days()).unwrap_or(i32::MAX);
                if !(0..REPORT_DAYS_MAX).contains(&days) {
                    return Err(no("FreeAgent gives a profit and loss for at most twelve months".to_owned())
                        .next("Ask for a shorter period."));
                }
                let span = [("from_date", start.to_string()), ("to_date", end.to_string())];
                self.client(OP, ledger, "/accounting/profit_and_loss/summary", &span)
            }
            StatementKind::BalanceSheet => self.client(OP, ledger, balance_sheet, &[("as_at_date", end.to_string())]),
            // The last day alone: from the start of the accounting year that it is in.
            StatementKind::TrialBalance => {
                self.client(OP, ledger, "/accounting/trial_balance/summary", &[("to_date", end.to_string())])
            }
            StatementKind::Files | StatementKind::Attachments => Err(no(
                "FreeAgent hands documents out from short-lived addresses on hosts that it does not name, which this \
                 program does not follow"
                    .to_owned(),
            )),
            other => Err(no(format!("{} is no report of FreeAgent", other.title()))),
        }
    }

    /// The number at the end of the address by which FreeAgent names a thing: `…/users/55`.
    ///
    /// Errors: `Contract` where it is the address of another kind of thing, or of another FreeAgent (the sandbox).
    pub fn id_of(&self, op: &'static str, kind: &str, address: &str) -> Result<String> {
        let own = address.strip_prefix(&self.base).and_then(|rest| rest.strip_prefix(kind)?.strip_prefix('/'));
        let id = own.ok_or_else(|| {
            Error::contract(op, format!("an address in FreeAgent's answer is not that of one of our {kind}"))
        })?;
        number(op, id).map(str::to_owned)
    }
}

fn paged(page: u32, query: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    let own = [("page", page.to_string()), ("per_page", PER_PAGE.to_string())];
    query.iter().cloned().chain(own).collect()
}

/// An id goes into a path only as the digits that FreeAgent's ids are.
fn number<'a>(op: &'static str, text: &'a str) -> Result<&'a str> {
    if (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(text);
    }
    Err(Error::contract(op, "an id of FreeAgent is not a number"))
}

/// A ledger is named by the client's number and its subdomain. By the subdomain alone, a client that takes over the
/// subdomain of another would be taken for it; by the number alone it cannot be asked for.
pub fn ledger_id(op: &'static str, id: &str, subdomain: &str) -> Result<LedgerId> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !(1..=63).contains(&subdomain.len()) || !subdomain.bytes().all(plain) {
        return Err(Error::contract(op, "a subdomain of FreeAgent is none"));
    }
    Ok(LedgerId(format!("{}-{subdomain}", number(op, id)?)))
}

/// The subdomain in one of our [`ledger_id`]s.
pub fn subdomain<'a>(op: &'static str, ledger: &'a LedgerId) -> Result<&'a str> {
    let parts = ledger.as_str().split_once('-').filter(|(id, sub)| ledger_id(op, id, sub).is_ok());
    parts.map(|(_, sub)| sub).ok_or_else(|| {
        Error::contract(op, "a ledger of FreeAgent is its client's number, a dash and its subdomain")
            .with("ledger", ledger.as_str())
    })
}

/// What a page says about the list: the number of the next page, and how many there are in all.
///
/// Errors: `Contract` where the next page is not the one after this, where it is somewhere else, and where a full page
/// says nothing about the rest.
pub fn paging(op: &'static str, asked: &Url, answer: &Response, items: usize) -> Result<(Option<u32>, Option<u64>)> {
    let value = |url: &Url, key: &str| url.query_pairs().find(|(k, _)| k == key).and_then(|(_, v)| v.parse().ok());
    let page: u32 = value(asked, "page").unwrap_or(1);
    let total = match answer.header("x-total-count").map(|t| t.trim().parse::<u64>()) {
        None => None,
        Some(Ok(n)) => Some(n),
        Some(Err(_)) => return Err(Error::contract(op, "X-Total-Count is not a number")),
    };
    let links: Vec<&str> = answer.headers.get_all("link").iter().filter_map(|v| v.to_str().ok()).collect();
    let Some(next) = next_link(&links.join(", ")).map(|text| asked.join(text)) else {
        if total.is_none() && items >= PER_PAGE {
            return Err(Error::contract(op, "FreeAgent does not say whether the list goes on after a full page"));
        }
        return Ok((None, total));
    };
    let next = next.map_err(|_| Error::contract(op, "the address of the next page is none"))?;
    if next.origin() != asked.origin() || next.path() != asked.path() {
        return Err(Error::contract(op, "the address of the next page leads somewhere else"));
    }
    // Checked, so that a server that overlooks the page number is not asked for ever (P12).
    match (value(&next, "page"), page.checked_add(1)) {
        (Some(said), Some(due)) if said == due => Ok((Some(due), total)),
        _ => Err(Error::contract(op, "the next page that FreeAgent names is not the one after this")),
    }
}

/// The address with the relation `next` in a `Link` header (RFC 8288), however the relation is quoted.
fn next_link(header: &str) -> Option<&str> {
    header.split('<').skip(1).find_map(|link| {
        let (address, rest) = link.split_once('>')?;
        let is_next = |p: &str| {
            p.trim().strip_prefix("rel=").is_some_and(|rel| rel.trim_matches(['"', '\'']).eq_ignore_ascii_case("next"))
        };
        rest.split([';', ',']).any(is_next).then_some(address)
    })
}

/// What an answer's status means. `ledger` is the client that was asked about, if one was.
///
/// The body of a refusal is never read: FreeAgent writes one sentence for people there, in one of two shapes.
///
/// Errors: as [`classify_common`]; `Forbidden` for a level that is too low and for a client that is hidden from the
/// account manager who signed in, with the ledger in its context; `RateLimited` with the wait that FreeAgent names, else a
/// minute; `Contract` for XML.
pub fn classify(op: &'static str, ledger: Option<&LedgerId>, response: Response) -> Result<Response> {
    let xml = response.body.trim_ascii_start().starts_with(b"<");
    if whole(&response) && !xml && !says_error(&response.body) {
        return Ok(response);
    }
    let mut error = classify_common(op, &response);
    match (response.status, ledger) {
        (200..=299, _) if xml && !is_html(&response) => {
            "FreeAgent answered in XML, which was not asked for".clone_into(&mut error.message);
        }
        (403, Some(_)) => {
            "the account manager who signed in does not see this client, or sees too little of it"
                .clone_into(&mut error.message);
            error.next = Some("Sign in as a senior account manager with at least level 7 in the client.".to_owned());
        }
        (404, Some(_)) => {
            error.next = Some("The client may have another subdomain now: read the list of clients again.".to_owned());
        }
        (429, _) if error.retry == Retry::Backoff => error.retry = Retry::After(WAIT),
        _ => {}
    }
    Err(match ledger {
        Some(ledger) => error.with("ledger", ledger.as_str()),
        None => error,
    })
}
