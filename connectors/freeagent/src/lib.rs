//! FreeAgent: who may open a client's books, and its statements. See README.md.

pub mod api;
pub mod fake;
pub mod map;
mod partial;
mod statements;

use std::str::FromStr;

use async_trait::async_trait;
use ledgerward_contract::{
    AccessFact, AuthScheme, Build, ClientAuth, Connector, Cursor, Endpoint, Error, Factory, Grade, LedgerId,
    LedgerProfile, LedgerRoleDefault, LedgerRow, LedgerSource, Listing, Manifest, OAuthSpec, OwnUser, Page, Quota,
    QuotaWindow, ReadCx, Request, Response, Result, Rotation, Scope, ScopeSet, StatementKind, StatementSource,
};
use ledgerward_kit::{Proved, about, settings};
use serde::Deserialize;
use serde_json::Value;

use self::api::Api;

/// Named in the program's registry.
pub static FACTORY: FreeAgent = FreeAgent;

/// The kind of connector.
pub struct FreeAgent;

static MANIFEST: Manifest = Manifest {
    name: "freeagent",
    title: "FreeAgent",
    auth: AuthScheme::OAuth(OAuthSpec {
        authorize: ("api", "/approve_app"),
        token: ("api", "/token_endpoint"),
        revoke: None,
        client_auth: ClientAuth::Basic,
        // Each refresh returns a token and the newest is to be kept; whether the one before stays good is not documented,
        // so it is treated as if it did not.
        rotation: Rotation::SingleUse { grace: None },
        // A token has the level of the person who consented; there is nothing to ask for.
        scopes: &[ScopeSet { name: "none", scopes: &[] }],
        extra: &[],
        idle_lifetime: None,
        ..OAuthSpec::PLAIN
    }),
    endpoints: &[Endpoint { name: "api", url: "https://api.freeagent.com/v2" }],
    // 120 a minute and 3,600 an hour for each user. An even 60 a minute keeps both: at 120 a minute a firm of 3,600
    // clients would use up its hour in half of it.
    quotas: &[Quota::connection("hour", QuotaWindow::PerMinute(60))],
    access: Some(Listing::PerLedger),
    grade: Some(Grade::A),
    statements: &[
        StatementKind::ProfitAndLoss,
        StatementKind::BalanceSheet,
        StatementKind::TrialBalance,
        StatementKind::BankRegister,
        StatementKind::BankStatement,
    ],
    roles: &[
        ("0", LedgerRoleDefault::Nothing),
        ("1", LedgerRoleDefault::Nothing),
        ("2", LedgerRoleDefault::Nothing),
        ("3", LedgerRoleDefault::Nothing),
        ("4", LedgerRoleDefault::Nothing),
        ("5", LedgerRoleDefault::Nothing),
        ("6", LedgerRoleDefault::Nothing),
        ("7", LedgerRoleDefault::Reader),
        ("8", LedgerRoleDefault::Reader),
    ],
    settings: &[
        (
            "manager_of_all",
            "id of the senior account manager who signs in and is the account manager of every client (default none: a \
             list with nobody else's clients is refused, because a junior's looks the same)",
        ),
        ("clients_at_least", "how many clients the practice has at least; a shorter list is refused (default 0)"),
    ],
    unverified: &[
        "A client whose account manager is somebody else is shown to senior account managers only (the check for a \
         partial list rests on it; settings manager_of_all and clients_at_least).",
        "Users of a client include the practice's staff who open it from the practice's dashboard.",
        "A refresh ends the refresh token before it.",
        "The limits count for each account manager, and not for each client.",
        "429 carries Retry-After; without it a minute is waited.",
        "/company and /bank_accounts/{id} answer for the client in X-Subdomain, and company.subdomain is that client's.",
        "first_accounting_year_end is the day on which later years end too.",
        "The balance sheet is at /accounting/balance_sheet, else at /accounting/balance_sheet/summary.",
        "Rows of the trial balance carry name and total; a positive total is a debit.",
        "bank_transactions with view=imported are the bank's own lines, all of them.",
    ],
};

/// The connector's own part of the configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    manager_of_all: Option<String>,
    clients_at_least: u64,
}

impl Settings {
    fn read(value: &Value) -> Result<Self> {
        let read: Self = settings::read(&MANIFEST, value)?;
        if read.manager_of_all.as_ref().is_some_and(|id| id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit())) {
            return Err(settings::wrong("the setting \"manager_of_all\" is not an account manager's id")
                .next("Use the number that the refusal of the client list names, in quotes."));
        }
        Ok(read)
    }
}

impl Factory for FreeAgent {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn build(&self, from: Build) -> Result<Box<dyn Connector>> {
        let settings = Settings::read(&from.settings)?;
        Ok(Box::new(FreeAgentConnector { api: Api::new(from.endpoints)?, settings, proved: Proved::default() }))
    }
}

struct FreeAgentConnector {
    api: Api,
    settings: Settings,
    proved: Proved,
}

impl Connector for FreeAgentConnector {
    fn ledgers(&self) -> Option<&dyn LedgerSource> {
        Some(self)
    }
    fn statements(&self) -> Option<&dyn StatementSource> {
        Some(self)
    }
}

async fn ask(cx: &ReadCx, ledger: Option<&LedgerId>, request: Request) -> Result<Response> {
    let op = request.op;
    api::classify(op, ledger, cx.send(request).await?)
}

/// One page of a list: what `map` makes of it, and whether there is another.
async fn ask_page<T>(
    cx: &ReadCx,
    ledger: Option<&LedgerId>,
    request: Request,
    map: impl FnOnce(&[u8]) -> Result<Vec<T>>,
) -> Result<Page<T>> {
    let (op, url) = (request.op, request.url.clone());
    let answer = ask(cx, ledger, request).await?;
    let read = || {
        let items = map(&answer.body)?;
        let (next, total) = api::paging(op, &url, &answer, items.len())?;
        Ok(Page { items, next: next.map(|n| Cursor::At(n.to_string())), total })
    };
    about(ledger, read())
}

/// The number of the page that a cursor of ours names.
fn page_number(op: &'static str, at: &Cursor) -> Result<u32> {
    let number = at.text().map_or(Ok(1), u32::from_str);
    number.ok().filter(|n| *n > 0).ok_or_else(|| Error::contract(op, "a page is asked for that is no number"))
}

#[async_trait]
impl LedgerSource for FreeAgentConnector {
    async fn ledgers(&self, cx: &ReadCx, at: Cursor) -> Result<Page<LedgerRow>> {
        partial::clients(&self.api, &self.settings, cx, at).await
    }

    async fn access(&self, cx: &ReadCx, scope: Scope<'_>, at: Cursor) -> Result<Page<AccessFact>> {
        const OP: &str = "users.list";
        let ledger = scope.one(OP)?;
        let number = page_number(OP, &at)?;
        let request = self.api.users(ledger, number)?;
        let page = ask_page(cx, Some(ledger), request, |body| map::users(&self.api, ledger, body)).await?;
        // It does not say whose it is; the company behind the same subdomain does.
        self.proved.check(ledger, number, &page.items, self.profile(cx, ledger)).await?;
        Ok(page)
    }

    /// In a client's list the same person has another number, which may be anybody's here: only the address joins the two.
    async fn own_user(&self, cx: &ReadCx) -> Result<Option<OwnUser>> {
        let (id, email) = partial::me(&self.api, cx).await?;
        Ok(Some(OwnUser { subject: format!("account_managers/{id}"), email }))
    }

    async fn profile(&self, cx: &ReadCx, ledger: &LedgerId) -> Result<LedgerProfile> {
        let answer = ask(cx, Some(ledger), self.api.company(ledger)?).await?;
        about(ledger, map::company(ledger, &answer.body))
    }
}
