//! A whole ledger source for an invented vendor, small enough to read in one go, and the suite over it.
//!
//! The second half breaks the toy on purpose, one sin at a time: each has to make the suite fail, or the suite is no good.

#![cfg(feature = "suite")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the vendor's half of a test; the toy itself has none"
)]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::civil::date;
use ledgerward_contract::{
    AccessFact, AccountKind, Basis, Cell, Column, Cursor, Error, ErrorKind, LedgerAccount, LedgerId, LedgerProfile,
    LedgerRow, LedgerSource, Listing, Page, Period, PeriodLength, ReadCx, ReportTable, Request, Response, Result,
    Retry, Row, RowKind, Scope, Standing, StatementData, StatementKind, StatementRef, StatementRequest,
    StatementSource, Transport,
    suite::source::{SourceHarness, TestUser},
};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

// ---- map.rs: the vendor's shapes, and what they mean. What decides access has no default: `{}` must not parse.

#[derive(Deserialize)]
struct Ledgers {
    ledgers: Vec<Ledger>,
}

#[derive(Deserialize)]
struct Ledger {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Users {
    users: Vec<User>,
    /// Sent as null on the last page, so its absence is an error too.
    #[serde(deserialize_with = "Option::deserialize")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct User {
    id: u64,
    email: Option<String>,
    name: String,
    role: String,
}

#[derive(Deserialize)]
struct Accounts {
    accounts: Vec<Ledger>,
}

#[derive(Deserialize)]
struct Report {
    title: String,
    lines: Vec<(String, String)>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CarelessReport {
    title: String,
    lines: Vec<(String, String)>,
}

fn table(report: Report) -> Option<ReportTable> {
    let row = |(label, amount): (String, String)| {
        let cells = vec![Cell::Text(label), Cell::Money(amount.parse().ok()?)];
        Some(Row { kind: RowKind::Line, depth: 0, account: None, cells })
    };
    let column = |label: &str, money| Column { label: label.to_owned(), money };
    Some(ReportTable {
        title: report.title,
        organisation: None,
        currency: None,
        derived: None,
        rounded: false,
        columns: vec![column("Account", false), column("Amount", true)],
        rows: report.lines.into_iter().map(row).collect::<Option<_>>()?,
    })
}

fn fact(ledger: &LedgerId, user: User) -> AccessFact {
    AccessFact {
        ledger: ledger.clone(),
        user: user.id.to_string().into(),
        email: user.email,
        name: user.name,
        role: user.role,
        standing: Standing::Active,
    }
}

// ---- api.rs: requests, and the one place that judges an answer.

fn get(op: &'static str, path: &str) -> Result<Request> {
    let url = Url::parse(&format!("https://api.toy.example{path}"))
        .map_err(|e| Error::contract(op, "an id cannot be part of an address").source(e))?;
    Ok(Request::get(op, url))
}

fn classify<T: serde::de::DeserializeOwned>(op: &'static str, answer: &Response) -> Result<T> {
    let error = |kind, message: &str| Err(Error::new(kind, op, message).with("status", answer.status.to_string()));
    match answer.status {
        200 => match serde_json::from_slice::<serde_json::Value>(&answer.body) {
            Ok(said) if said.get("error").is_none() => serde_json::from_value(said).ok(),
            _ => None,
        }
        .ok_or_else(|| Error::contract(op, "the answer is not what the vendor documents")),
        401 => error(ErrorKind::Unauthenticated, "the sign-in is not accepted any more"),
        403 => error(ErrorKind::Forbidden, "this sign-in may not read that"),
        404 => error(ErrorKind::NotFound, "that is not there"),
        429 => error(ErrorKind::RateLimited, "the vendor asks to wait").map_err(|e| {
            match answer.header("retry-after").and_then(|v| v.parse().ok()) {
                Some(seconds) => e.retry(Retry::After(Duration::from_secs(seconds))),
                None => e,
            }
        }),
        500.. => error(ErrorKind::Unavailable, "the vendor has trouble"),
        _ => error(ErrorKind::Contract, "the vendor refused the request"),
    }
}

// ---- lib.rs: wiring. One request a call: no loop, no sleep, no state.

struct Toy {
    sin: Sin,
    memory: Mutex<Option<Page<AccessFact>>>,
}

#[async_trait]
impl LedgerSource for Toy {
    async fn ledgers(&self, cx: &ReadCx, _at: Cursor) -> Result<Page<LedgerRow>> {
        let op = "ledgers.list";
        let list: Ledgers = classify(op, &cx.send(get(op, "/ledgers")?).await?)?;
        let row = |l: Ledger| LedgerRow { id: l.id.into(), name: l.name, kind: "company".into(), is_ledger: true };
        Ok(Page::only(list.ledgers.into_iter().map(row).collect()))
    }

    async fn access(&self, cx: &ReadCx, scope: Scope<'_>, at: Cursor) -> Result<Page<AccessFact>> {
        let op = "users.list";
        let Scope::One(ledger) = scope else {
            return Err(Error::new(ErrorKind::Unsupported, op, "this vendor lists users ledger by ledger"));
        };
        if self.sin != Sin::None {
            return self.sinful(cx, ledger, at).await;
        }
        let path = format!("/ledgers/{ledger}/users?page={}", at.text().unwrap_or("1"));
        let page: Users =
            classify(op, &cx.send(get(op, &path)?).await?).map_err(|e| e.with("ledger", ledger.as_str()))?;
        let items = page.users.into_iter().map(|u| fact(ledger, u)).collect();
        Ok(Page { items, next: page.next.map(Cursor::At), total: None })
    }

    async fn profile(&self, cx: &ReadCx, ledger: &LedgerId) -> Result<LedgerProfile> {
        let op = "ledger.read";
        let it: Ledger = classify(op, &cx.send(get(op, &format!("/ledgers/{ledger}"))?).await?)
            .map_err(|e| e.with("ledger", ledger.as_str()))?;
        Ok(LedgerProfile { name: it.name, ..LedgerProfile::default() })
    }
}

#[async_trait]
impl StatementSource for Toy {
    async fn accounts(&self, cx: &ReadCx, ledger: &LedgerId, _at: Cursor) -> Result<Page<LedgerAccount>> {
        let op = "accounts.list";
        let list: Accounts = classify(op, &cx.send(get(op, &format!("/ledgers/{ledger}/accounts"))?).await?)?;
        let row = |a: Ledger| LedgerAccount {
            id: a.id.into(),
            name: a.name,
            code: None,
            kind: AccountKind::Bank,
            currency: None,
            number: None,
            active: true,
        };
        Ok(Page::only(list.accounts.into_iter().map(row).collect()))
    }

    async fn statements(
        &self,
        _cx: &ReadCx,
        ledger: &LedgerId,
        what: &StatementRequest,
        _at: Cursor,
    ) -> Result<Page<StatementRef>> {
        if what.kind != StatementKind::ProfitAndLoss {
            return Err(Error::new(ErrorKind::Unsupported, "statements.list", "this vendor has one report only"));
        }
        Ok(Page::only(vec![StatementRef { ledger: ledger.clone(), request: what.clone(), item: None }]))
    }

    async fn fetch(&self, cx: &ReadCx, what: &StatementRef) -> Result<StatementData> {
        let op = "report.read";
        let answer = cx.send(get(op, &format!("/ledgers/{}/report", what.ledger))?).await?;
        let report = if self.sin == Sin::FillsInWhatIsMissing {
            let careless: CarelessReport = classify(op, &answer)?;
            Report { title: careless.title, lines: careless.lines }
        } else {
            classify(op, &answer)?
        };
        let table = table(report).ok_or_else(|| Error::contract(op, "an amount of the report is not a number"))?;
        Ok(StatementData::Table(table))
    }
}

// ---- fake.rs: the vendor. It shares no type with the connector.

#[derive(Default)]
struct Vendor(Mutex<State>);

#[derive(Default)]
struct State {
    users: BTreeMap<String, Vec<Value>>,
    page: usize,
}

#[async_trait]
impl Transport for Vendor {
    async fn send(&self, request: Request) -> Result<Response> {
        let state = self.0.lock().unwrap();
        let parts: Vec<_> = request.url.path().trim_matches('/').split('/').collect();
        let name = |id: &str| json!({ "id": id, "name": format!("The {id} company") });
        let body = match parts[..] {
            ["ledgers"] => json!({ "ledgers": state.users.keys().map(|id| name(id)).collect::<Vec<_>>() }),
            ["ledgers", id] => name(id),
            ["ledgers", id, "users"] => {
                let (_, page) = request.url.query_pairs().find(|(k, _)| k == "page").unwrap();
                let (page, all) = (page.parse::<usize>().unwrap(), &state.users[id]);
                let from = (page - 1) * state.page;
                let more = (from + state.page < all.len()).then(|| (page + 1).to_string());
                json!({ "users": all.iter().skip(from).take(state.page).collect::<Vec<_>>(), "next": more })
            }
            ["ledgers", _, "accounts"] => json!({ "accounts": [{ "id": "a1", "name": "Current account" }] }),
            ["ledgers", _, "report"] => json!({ "title": "Profit and loss", "lines": [["Sales", "120.50"]] }),
            _ => return Ok(Response { status: 599, headers: http::HeaderMap::new(), body: "unknown".into() }),
        };
        Ok(Response { status: 200, headers: http::HeaderMap::new(), body: body.to_string().into() })
    }
}

// ---- tests/conformance.rs: the harness, and one line.

struct Harness<const SIN: u8> {
    toy: Toy,
    vendor: Arc<Vendor>,
}

#[async_trait]
impl<const SIN: u8> SourceHarness for Harness<SIN> {
    async fn fresh() -> Self {
        let vendor = Arc::new(Vendor::default());
        {
            let mut state = vendor.0.lock().unwrap();
            state.page = 100;
            state.users = [("acme".to_owned(), Vec::new()), ("birch".to_owned(), Vec::new())].into();
        }
        Self { toy: Toy { sin: Sin::ALL[SIN as usize], memory: Mutex::new(None) }, vendor }
    }
    fn source(&self) -> &dyn LedgerSource {
        &self.toy
    }
    fn vendor(&self) -> Arc<dyn Transport> {
        self.vendor.clone()
    }
    fn ledger(&self) -> LedgerId {
        "acme".into()
    }
    fn listing(&self) -> Listing {
        Listing::PerLedger
    }
    fn role(&self) -> &str {
        "bookkeeper"
    }
    async fn set_users(&self, ledger: &LedgerId, users: &[TestUser]) {
        let row = |(n, u): (usize, &TestUser)| json!({ "id": n, "email": u.email, "name": u.name, "role": u.role });
        let users = users.iter().enumerate().map(row).collect();
        self.vendor.0.lock().unwrap().users.insert(ledger.0.clone(), users);
    }
    async fn small_pages(&self) -> bool {
        self.vendor.0.lock().unwrap().page = 2;
        true
    }
    fn statements(&self) -> Option<&dyn StatementSource> {
        Some(&self.toy)
    }
    fn requests(&self) -> Vec<StatementRequest> {
        let (start, end) = (date(2026, 10, 1), date(2026, 10, 31));
        vec![StatementRequest {
            kind: StatementKind::ProfitAndLoss,
            basis: Basis::Accrual,
            period: Period { start, end, length: PeriodLength::Month },
            account: None,
        }]
    }
}

mod honest {
    type Honest = super::Harness<0>;
    ledgerward_contract::source_suite!(Honest);
}

// ---- The sins.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sin {
    None,
    ReadsAnythingAsAnEmptyList,
    TakesServerErrorsForEmpty,
    ForgetsThatThereAreMorePages,
    DropsRolesItDoesNotKnow,
    DropsBadAddresses,
    ShowsBodiesInErrors,
    ForgetsThePause,
    Remembers,
    ForgetsTheLedger,
    TakesNotFoundForEmpty,
    FillsInWhatIsMissing,
}

impl Sin {
    const ALL: [Self; 12] = [
        Self::None,
        Self::ReadsAnythingAsAnEmptyList,
        Self::TakesServerErrorsForEmpty,
        Self::ForgetsThatThereAreMorePages,
        Self::DropsRolesItDoesNotKnow,
        Self::DropsBadAddresses,
        Self::ShowsBodiesInErrors,
        Self::ForgetsThePause,
        Self::Remembers,
        Self::ForgetsTheLedger,
        Self::TakesNotFoundForEmpty,
        Self::FillsInWhatIsMissing,
    ];
}

impl Toy {
    async fn sinful(&self, cx: &ReadCx, ledger: &LedgerId, at: Cursor) -> Result<Page<AccessFact>> {
        let (op, is) = ("users.list", |sin| self.sin == sin);
        if is(Sin::Remembers)
            && let Some(page) = self.memory.lock().unwrap().clone()
        {
            return Ok(page);
        }
        let path = format!("/ledgers/{ledger}/users?page={}", at.text().unwrap_or("1"));
        let answer = cx.send(get(op, &path)?).await?;
        let empty = Ok(Page::only(Vec::new()));
        if (is(Sin::TakesServerErrorsForEmpty) && answer.status >= 500)
            || (is(Sin::TakesNotFoundForEmpty) && answer.status == 404)
        {
            return empty;
        }
        let page = match classify::<Users>(op, &answer) {
            Ok(page) => page,
            Err(_) if is(Sin::ReadsAnythingAsAnEmptyList) && answer.ok() => return empty,
            Err(e) if is(Sin::ForgetsTheLedger) => return Err(e),
            Err(e) if is(Sin::ForgetsThePause) => return Err(e.retry(Retry::Backoff).with("ledger", ledger.as_str())),
            Err(e) if is(Sin::ShowsBodiesInErrors) => {
                return Err(e.with("body", String::from_utf8_lossy(&answer.body)).with("ledger", ledger.as_str()));
            }
            Err(e) => return Err(e.with("ledger", ledger.as_str())),
        };
        let mut items: Vec<_> = page.users.into_iter().map(|u| fact(ledger, u)).collect();
        items.retain(|f| !is(Sin::DropsRolesItDoesNotKnow) || f.role == "bookkeeper");
        items.retain(|f| !is(Sin::DropsBadAddresses) || f.email.as_ref().is_some_and(|e| e.contains('@')));
        let next = page.next.filter(|_| !is(Sin::ForgetsThatThereAreMorePages)).map(Cursor::At);
        let page = Page { items, next, total: None };
        *self.memory.lock().unwrap() = Some(page.clone());
        Ok(page)
    }
}

macro_rules! caught {
    ($($sin:literal by $scenario:ident as $name:ident;)*) => {$(
        #[tokio::test]
        #[should_panic]
        async fn $name() {
            ledgerward_contract::suite::source::$scenario::<Harness<$sin>>().await;
        }
    )*};
}

caught! {
    1 by bad_answers_to_access_are_errors as reading_anything_as_an_empty_list_is_caught;
    2 by p07_refusals_are_errors_of_their_kind as taking_server_errors_for_empty_is_caught;
    2 by p03_a_failing_later_page_is_no_listing as taking_a_failed_page_for_the_end_is_caught;
    3 by pages_make_one_listing as forgetting_pages_is_caught;
    4 by p15_an_unknown_role_passes_through as dropping_unknown_roles_is_caught;
    5 by i08_a_bad_address_is_not_a_failed_listing as dropping_bad_addresses_is_caught;
    6 by bad_answers_to_access_are_errors as showing_bodies_is_caught;
    7 by p10_rate_limits_carry_the_pause as forgetting_the_pause_is_caught;
    8 by nothing_is_remembered_between_calls as remembering_is_caught;
    9 by p08_forbidden_names_the_ledger as forgetting_the_ledger_is_caught;
    11 by bad_answers_to_statements_are_errors as filling_in_what_is_missing_is_caught;
    10 by p07_refusals_are_errors_of_their_kind as taking_not_found_for_empty_is_caught;
}
