//! Xero: who may open an organisation's ledger, and its statements. See README.md.

pub mod api;
pub mod fake;
pub mod map;

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use ledgerward_contract::{
    AccessFact, AccountId, AuthScheme, Build, ClientAuth, Connector, Cursor, Document, Endpoint, Error, ErrorKind,
    Factory, Grade, LedgerAccount, LedgerId, LedgerProfile, LedgerRoleDefault, LedgerRow, LedgerSource, Listing,
    Manifest, OAuthSpec, Page, Quota, QuotaScope, QuotaWindow, ReadCx, Request, Response, Result, Rotation, Scope,
    ScopeSet, Snapshot, StatementData, StatementItem, StatementKind, StatementRef, StatementRequest, StatementSource,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use self::api::{Api, Wanted};

/// Named in the program's registry.
pub static FACTORY: Xero = Xero;

/// The kind of connector.
pub struct Xero;

macro_rules! scope_sets {
    ($($name:literal: [$($scope:literal)*];)*) => {
        &[$(ScopeSet {
            name: $name,
            scopes: &["openid", "profile", "email", "offline_access", "accounting.settings.read",
                "accounting.attachments.read", "files.read", $($scope),*],
        }),*]
    };
}

static MANIFEST: Manifest = Manifest {
    name: "xero",
    title: "Xero",
    auth: AuthScheme::OAuth(OAuthSpec {
        authorize: ("login", "/identity/connect/authorize"),
        token: ("identity", "/connect/token"),
        revoke: Some(("identity", "/connect/revocation")),
        client_auth: ClientAuth::Basic,
        rotation: Rotation::SingleUse { grace: Some(Duration::from_secs(30 * 60)) },
        // Apps made since 2 March 2026 are refused the broad scopes, older ones may lack the granular ones. The Finance
        // scope stands in sets of its own: one scope that was not granted fails the whole sign-in.
        scopes: scope_sets! {
            "granular": ["accounting.reports.profitandloss.read" "accounting.reports.balancesheet.read"
                "accounting.reports.trialbalance.read" "accounting.reports.banksummary.read"
                "accounting.banktransactions.read"];
            "broad": ["accounting.transactions.read" "accounting.reports.read"];
            "granular-finance": ["accounting.reports.profitandloss.read" "accounting.reports.balancesheet.read"
                "accounting.reports.trialbalance.read" "accounting.reports.banksummary.read"
                "accounting.banktransactions.read" "finance.bankstatementsplus.read"];
            "broad-finance": ["accounting.transactions.read" "accounting.reports.read"
                "finance.bankstatementsplus.read"];
        },
        extra: &[],
        idle_lifetime: Some(Duration::from_secs(60 * 24 * 3600)),
    }),
    endpoints: &[
        Endpoint { name: "login", url: "https://login.xero.com" },
        Endpoint { name: "identity", url: "https://identity.xero.com" },
        Endpoint { name: "api", url: "https://api.xero.com" },
    ],
    quotas: &[
        Quota {
            name: "concurrent",
            scope: QuotaScope::Tenant,
            window: QuotaWindow::Concurrent(5),
            remaining_header: None,
        },
        Quota {
            name: "minute",
            scope: QuotaScope::Tenant,
            window: QuotaWindow::PerMinute(60),
            remaining_header: Some("x-minlimit-remaining"),
        },
        // 1,000 in the Starter tier; the answers' own count corrects it.
        Quota {
            name: "day",
            scope: QuotaScope::Tenant,
            window: QuotaWindow::PerDay(5_000),
            remaining_header: Some("x-daylimit-remaining"),
        },
        Quota {
            name: "app-minute",
            scope: QuotaScope::Connection,
            window: QuotaWindow::PerMinute(10_000),
            remaining_header: Some("x-appminlimit-remaining"),
        },
    ],
    access: Some(Listing::PerLedger),
    grade: Some(Grade::A),
    statements: &StatementKind::ALL,
    roles: &[
        ("READONLY", LedgerRoleDefault::Reader),
        ("STANDARD", LedgerRoleDefault::Reader),
        ("FINANCIALADVISER", LedgerRoleDefault::Reader),
        ("INVOICEONLY", LedgerRoleDefault::Nothing),
        ("MANAGEDCLIENT", LedgerRoleDefault::Nothing),
        ("CASHBOOKCLIENT", LedgerRoleDefault::Nothing),
    ],
    settings: &[
        (
            "statement_lines",
            "true where Xero granted this app the Finance scope for bank statement lines (default false)",
        ),
        ("practice_tenants", "tenant ids of the firm's own books: connected, and no client's (default none)"),
        ("tenant_is_organisation", "whether an organisation's id must equal its tenant id (default true)"),
    ],
    unverified: &[
        "Users lists every member of the practice's staff who can open the organisation, Xero HQ administrators included.",
        "A connection's tenantId equals the OrganisationID (setting tenant_is_organisation).",
        "BankTransactions may be ordered by BankTransactionID.",
        "A profit and loss report spans at most 365 days.",
        "A missing scope answers 401 AuthorizationUnsuccessful or 403.",
        "In BankStatementsPlus the word Debit means money out, whatever the sign of the amount.",
        "The day of a file is the day it was added, in UTC.",
    ],
};

/// The connector's own part of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    statement_lines: bool,
    practice_tenants: BTreeSet<Uuid>,
    tenant_is_organisation: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { statement_lines: false, practice_tenants: BTreeSet::new(), tenant_is_organisation: true }
    }
}

impl Settings {
    /// `null` is no settings at all. Each key is read by itself, so that an error can name it.
    fn read(value: &Value) -> Result<Self> {
        let wrong = |m: String| Error::new(ErrorKind::Config, "settings.read", m);
        let Some(map) = value.as_object() else {
            return if value.is_null() {
                Ok(Self::default())
            } else {
                Err(wrong("settings is not a table".to_owned()))
            };
        };
        for (key, value) in map {
            if !MANIFEST.settings.iter().any(|(name, _)| name == key) {
                let known: Vec<_> = MANIFEST.settings.iter().map(|(name, _)| *name).collect();
                return Err(
                    wrong(format!("Xero has no setting \"{key}\"")).next(format!("Use one of: {}.", known.join(", ")))
                );
            }
            let alone = Value::Object([(key.clone(), value.clone())].into_iter().collect());
            serde_json::from_value::<Self>(alone).map_err(|e| wrong(format!("the setting \"{key}\": {e}")))?;
        }
        serde_json::from_value(value.clone()).map_err(|e| wrong(e.to_string()))
    }
}

impl Factory for Xero {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn build(&self, from: Build) -> Result<Box<dyn Connector>> {
        let settings = Settings::read(&from.settings)?;
        Ok(Box::new(XeroConnector { api: Api { endpoints: from.endpoints }, settings }))
    }
}

struct XeroConnector {
    api: Api,
    settings: Settings,
}

impl Connector for XeroConnector {
    fn ledgers(&self) -> Option<&dyn LedgerSource> {
        Some(self)
    }
    fn statements(&self) -> Option<&dyn StatementSource> {
        Some(self)
    }
}

/// Sends, and gives only what was asked for.
async fn ask(cx: &ReadCx, ledger: Option<&LedgerId>, wanted: Wanted<'_>, request: Request) -> Result<Response> {
    let op = request.op;
    let answer = cx.send(request).await?;
    api::classify(op, ledger, wanted, answer)
}

async fn ask_json(cx: &ReadCx, ledger: &LedgerId, request: Request) -> Result<Response> {
    ask(cx, Some(ledger), Wanted::Json, request).await
}

/// Whatever a mapping refuses, it refuses about one ledger.
fn about<T>(ledger: &LedgerId, mapped: Result<T>) -> Result<T> {
    mapped.map_err(|e| if e.get("ledger").is_some() { e } else { e.with("ledger", ledger.as_str()) })
}

/// A listing without pages has no second one.
fn first(op: &'static str, at: &Cursor) -> Result<()> {
    match at {
        Cursor::Start => Ok(()),
        Cursor::At(_) => Err(Error::contract(op, "this listing has one page and was asked for another")),
    }
}

/// Our own cursors are JSON of their state; the caller only carries them.
fn cursor<T: DeserializeOwned + Default>(op: &'static str, at: &Cursor) -> Result<T> {
    at.text().map_or_else(|| Ok(T::default()), |text| ledgerward_kit::from_json(op, text.as_bytes()))
}

fn next_cursor<T: Serialize>(op: &'static str, state: &T) -> Result<Cursor> {
    let text = serde_json::to_string(state).map_err(|e| Error::contract(op, "a cursor cannot be written").source(e))?;
    Ok(Cursor::At(text))
}

#[async_trait]
impl LedgerSource for XeroConnector {
    async fn ledgers(&self, cx: &ReadCx, at: Cursor) -> Result<Page<LedgerRow>> {
        first("connections.list", &at)?;
        let answer = ask(cx, None, Wanted::Json, self.api.connections()?).await?;
        Ok(Page::only(map::connections(&answer.body, &self.settings.practice_tenants)?))
    }

    async fn access(&self, cx: &ReadCx, scope: Scope<'_>, at: Cursor) -> Result<Page<AccessFact>> {
        const OP: &str = "users.list";
        let Scope::One(ledger) = scope else {
            return Err(Error::new(ErrorKind::Unsupported, OP, "Xero lists users one organisation at a time"));
        };
        first(OP, &at)?;
        let answer = ask_json(cx, ledger, self.api.users(ledger)?).await?;
        Ok(Page::only(about(ledger, map::users(ledger, &answer.body))?))
    }

    async fn profile(&self, cx: &ReadCx, ledger: &LedgerId) -> Result<LedgerProfile> {
        let answer = ask_json(cx, ledger, self.api.organisation(ledger)?).await?;
        about(ledger, map::organisation(ledger, &answer.body, self.settings.tenant_is_organisation))
    }
}

/// How many transactions' attachments one page of the listing asks for.
const TRANSACTIONS_AT_ONCE: usize = 20;
/// Pages of a register before it is no register any more: 250,000 transactions of one account in one period.
const REGISTER_PAGES_MAX: u32 = 1_000;

/// Where the listing of files stands.
#[derive(Default, Serialize, Deserialize)]
struct FilesAt {
    /// Pages read.
    pages: u32,
    seen: u64,
    total: Option<u64>,
}

/// Where the listing of attachments stands.
#[derive(Serialize, Deserialize)]
struct AttachmentsAt {
    /// The next page of transactions, `None` after the last.
    page: Option<u32>,
    /// Transactions with attachments that are not asked for yet, with their bank accounts.
    waiting: Vec<(Uuid, AccountId)>,
}

impl Default for AttachmentsAt {
    fn default() -> Self {
        Self { page: Some(1), waiting: Vec::new() }
    }
}

impl XeroConnector {
    async fn transactions(
        &self,
        cx: &ReadCx,
        ledger: &LedgerId,
        what: &StatementRequest,
        page: u32,
    ) -> Result<map::TransactionPage> {
        let account = what.account.as_ref();
        let request = self.api.bank_transactions(ledger, &what.period, account, page)?;
        let answer = ask_json(cx, ledger, request).await?;
        about(ledger, map::transactions(&answer.body, page, &what.period, account))
    }

    /// All of one account's transactions in the period, or an error.
    async fn register(&self, cx: &ReadCx, ledger: &LedgerId, what: &StatementRequest) -> Result<StatementData> {
        const OP: &str = "bank_transactions.list";
        let account = self.account(cx, ledger, required_account(OP, what)?).await?;
        let list = Snapshot::gather(OP, cx.now(), REGISTER_PAGES_MAX, |at| {
            Box::pin(async move {
                let page = self.transactions(cx, ledger, what, cursor::<Option<u32>>(OP, &at)?.unwrap_or(1)).await?;
                let next = page.next.map(|n| next_cursor(OP, &n)).transpose()?;
                Ok(Page { items: page.items, next, total: page.total })
            })
        });
        let list = about(ledger, list.await)?;
        Ok(StatementData::Register(map::register(account, list.items())))
    }

    async fn account(&self, cx: &ReadCx, ledger: &LedgerId, id: &AccountId) -> Result<LedgerAccount> {
        let answer = ask_json(cx, ledger, self.api.account(ledger, id)?).await?;
        about(ledger, map::bank_account(id, &answer.body))
    }

    async fn bank_statement(&self, cx: &ReadCx, ledger: &LedgerId, what: &StatementRequest) -> Result<StatementData> {
        let id = required_account("bank_statement.get", what)?;
        let request = self.api.bank_statement(ledger, id, &what.period)?;
        // A refusal that is not about the tenant is about this restricted API alone and says nothing of the ledger.
        let refused = |e: &Error| e.kind == ErrorKind::Forbidden && e.get("reason") != Some(api::NOT_CONNECTED);
        let answer = ask_json(cx, ledger, request).await;
        let answer = answer.map_err(|e| if refused(&e) { no_statement_lines() } else { e })?;
        let account = self.account(cx, ledger, id).await?;
        let register = about(ledger, map::bank_statement(id, account.number, &what.period, &answer.body))?;
        Ok(StatementData::Register(register))
    }

    async fn file_page(
        &self,
        cx: &ReadCx,
        ledger: &LedgerId,
        what: &StatementRequest,
        at: &Cursor,
    ) -> Result<Page<StatementRef>> {
        const OP: &str = "files.list";
        let mut state: FilesAt = cursor(OP, at)?;
        state.pages = state.pages.saturating_add(1);
        let answer = ask_json(cx, ledger, self.api.files(ledger, state.pages)?).await?;
        let page = about(ledger, map::files(&answer.body, state.pages, &what.period))?;
        state.seen += page.listed;
        // The listing holds other periods' files too, so the count is kept here and not by the caller.
        if state.total.is_some_and(|t| t != page.total) || (page.listed == 0 && state.seen != page.total) {
            return about(ledger, Err(Error::contract(OP, "the list of files changed while it was read")));
        }
        state.total = Some(page.total);
        let next = (state.seen < page.total).then(|| next_cursor(OP, &state)).transpose()?;
        Ok(Page { items: references(ledger, what, page.items), next, total: None })
    }

    async fn attachment_page(
        &self,
        cx: &ReadCx,
        ledger: &LedgerId,
        what: &StatementRequest,
        at: &Cursor,
    ) -> Result<Page<StatementRef>> {
        const OP: &str = "attachments.list";
        let mut state: AttachmentsAt = cursor(OP, at)?;
        if state.waiting.is_empty()
            && let Some(number) = state.page
        {
            let page = self.transactions(cx, ledger, what, number).await?;
            state.page = page.next;
            state.waiting = page
                .items
                .into_iter()
                .filter(|t| t.counts && t.line.has_documents)
                .map(|t| (t.id, t.account))
                .collect();
        }
        let rest = state.waiting.split_off(state.waiting.len().min(TRANSACTIONS_AT_ONCE));
        let mut items = Vec::new();
        for (transaction, account) in std::mem::replace(&mut state.waiting, rest) {
            let answer = ask_json(cx, ledger, self.api.attachments(ledger, transaction)?).await?;
            items.extend(about(ledger, map::attachments(transaction, &account, &answer.body))?);
        }
        let more = state.page.is_some() || !state.waiting.is_empty();
        let next = more.then(|| next_cursor(OP, &state)).transpose()?;
        Ok(Page { items: references(ledger, what, items), next, total: None })
    }

    async fn document(&self, cx: &ReadCx, what: &StatementRef) -> Result<StatementData> {
        const OP: &str = "document.get";
        let ledger = &what.ledger;
        let item = what.item.as_ref().ok_or_else(|| Error::contract(OP, "a document is asked for without its id"))?;
        let request = match item.id.split_once('/') {
            Some((transaction, id)) => {
                self.api.attachment(ledger, api::uuid(OP, transaction)?, api::uuid(OP, id)?, &item.mime)?
            }
            None => self.api.file(ledger, api::uuid(OP, &item.id)?, &item.mime)?,
        };
        let answer = ask(cx, Some(ledger), Wanted::Bytes(&item.mime), request).await?;
        if item.size.is_some_and(|size| size != answer.body.len() as u64) {
            return about(ledger, Err(Error::contract(OP, "the document is not as long as Xero's list says")));
        }
        Ok(StatementData::Document(Document { name: item.name.clone(), mime: item.mime.clone(), bytes: answer.body }))
    }
}

fn required_account<'a>(op: &'static str, what: &'a StatementRequest) -> Result<&'a AccountId> {
    what.account.as_ref().ok_or_else(|| Error::contract(op, format!("{} needs a bank account", what.kind.title())))
}

fn references(ledger: &LedgerId, what: &StatementRequest, items: Vec<StatementItem>) -> Vec<StatementRef> {
    let one = |item| StatementRef { ledger: ledger.clone(), request: what.clone(), item: Some(item) };
    items.into_iter().map(one).collect()
}

fn no_statement_lines() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "bank_statement.get",
        "bank statement lines are not available: Xero has not granted this app the Finance API scope \
         finance.bankstatementsplus.read",
    )
    .next(
        "Ask Xero for the scope; then set statement_lines = true, use the scopes \"granular-finance\" and sign in again. \
         Until then choose bank-register, which is the books' own record.",
    )
}

#[async_trait]
impl StatementSource for XeroConnector {
    async fn accounts(&self, cx: &ReadCx, ledger: &LedgerId, at: Cursor) -> Result<Page<LedgerAccount>> {
        const OP: &str = "accounts.list";
        first(OP, &at)?;
        let answer = ask_json(cx, ledger, self.api.bank_accounts(ledger)?).await?;
        Ok(Page::only(about(ledger, map::bank_accounts(OP, &answer.body))?))
    }

    async fn statements(
        &self,
        cx: &ReadCx,
        ledger: &LedgerId,
        what: &StatementRequest,
        at: Cursor,
    ) -> Result<Page<StatementRef>> {
        const OP: &str = "statements.list";
        match what.kind {
            StatementKind::Files => return self.file_page(cx, ledger, what, &at).await,
            StatementKind::Attachments => return self.attachment_page(cx, ledger, what, &at).await,
            StatementKind::BankStatement if !self.settings.statement_lines => return Err(no_statement_lines()),
            StatementKind::BankStatement => {
                self.api.bank_statement(ledger, required_account(OP, what)?, &what.period)?;
            }
            StatementKind::BankRegister => {
                required_account(OP, what)?;
            }
            // A report that Xero cannot give is refused here, not when it is fetched.
            _ => {
                self.api.report(ledger, what)?;
            }
        }
        first(OP, &at)?;
        Ok(Page::only(vec![StatementRef { ledger: ledger.clone(), request: what.clone(), item: None }]))
    }

    async fn fetch(&self, cx: &ReadCx, what: &StatementRef) -> Result<StatementData> {
        let (ledger, request) = (&what.ledger, &what.request);
        match request.kind {
            StatementKind::BankRegister => self.register(cx, ledger, request).await,
            StatementKind::BankStatement if !self.settings.statement_lines => Err(no_statement_lines()),
            StatementKind::BankStatement => self.bank_statement(cx, ledger, request).await,
            StatementKind::Files | StatementKind::Attachments => self.document(cx, what).await,
            _ => {
                let answer = ask_json(cx, ledger, self.api.report(ledger, request)?).await?;
                Ok(StatementData::Table(about(ledger, map::report(&answer.body))?))
            }
        }
    }
}
