//! Xero: who may open an organisation's ledger, and its statements. See README.md.

pub mod api;
pub mod fake;
pub mod map;
mod statements;

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use ledgerward_contract::{
    AccessFact, AuthScheme, Build, ClientAuth, Connector, Cursor, Endpoint, ErrorKind, Factory, Grade, LedgerId,
    LedgerProfile, LedgerRoleDefault, LedgerRow, LedgerSource, Listing, Manifest, OAuthSpec, Page, Quota, QuotaWindow,
    ReadCx, Request, Response, Result, Rotation, Scope, ScopeSet, StatementKind, StatementSource,
};
use ledgerward_kit::{Proved, about, settings};
use serde::Deserialize;
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
        ..OAuthSpec::PLAIN
    }),
    endpoints: &[
        Endpoint { name: "login", url: "https://login.xero.com" },
        Endpoint { name: "identity", url: "https://identity.xero.com" },
        Endpoint { name: "api", url: "https://api.xero.com" },
    ],
    quotas: &[
        Quota::tenant("concurrent", QuotaWindow::Concurrent(5)),
        Quota::tenant("minute", QuotaWindow::PerMinute(60)).told_by("x-minlimit-remaining"),
        // 1,000 in the Starter tier; the answers' own count corrects it.
        Quota::tenant("day", QuotaWindow::PerDay(5_000)).told_by("x-daylimit-remaining"),
        Quota::connection("app-minute", QuotaWindow::PerMinute(10_000)).told_by("x-appminlimit-remaining"),
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

impl Factory for Xero {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn build(&self, from: Build) -> Result<Box<dyn Connector>> {
        let settings: Settings = settings::read(&MANIFEST, &from.settings)?;
        Ok(Box::new(XeroConnector { api: Api { endpoints: from.endpoints }, settings, proved: Proved::default() }))
    }
}

struct XeroConnector {
    api: Api,
    settings: Settings,
    proved: Proved,
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

#[async_trait]
impl LedgerSource for XeroConnector {
    async fn ledgers(&self, cx: &ReadCx, at: Cursor) -> Result<Page<LedgerRow>> {
        at.one_page("connections.list")?;
        let [specified, documented] = api::CONNECTIONS;
        let answer = match ask(cx, None, Wanted::Json, self.api.connections(specified)?).await {
            Err(e) if e.kind == ErrorKind::NotFound => {
                ask(cx, None, Wanted::Json, self.api.connections(documented)?).await
            }
            other => other,
        }?;
        Ok(Page::only(map::connections(&answer.body, &self.settings.practice_tenants)?))
    }

    async fn access(&self, cx: &ReadCx, scope: Scope<'_>, at: Cursor) -> Result<Page<AccessFact>> {
        const OP: &str = "users.list";
        let ledger = scope.one(OP)?;
        at.one_page(OP)?;
        let answer = ask_json(cx, ledger, self.api.users(ledger)?).await?;
        let users = about(ledger, map::users(ledger, &answer.body))?;
        // It does not say whose it is. Where tenant ids are no organisation ids there is nothing to compare.
        if self.settings.tenant_is_organisation {
            self.proved.check(ledger, 0, &users, self.profile(cx, ledger)).await?;
        }
        Ok(Page::only(users))
    }

    async fn profile(&self, cx: &ReadCx, ledger: &LedgerId) -> Result<LedgerProfile> {
        let answer = ask_json(cx, ledger, self.api.organisation(ledger)?).await?;
        about(ledger, map::organisation(ledger, &answer.body, self.settings.tenant_is_organisation))
    }
}
