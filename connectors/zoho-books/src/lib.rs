//! Zoho Books: who may open an organisation's books. See README.md.

pub mod api;
pub mod fake;
pub mod map;

use std::collections::BTreeSet;

use async_trait::async_trait;
use ledgerward_contract::{
    AccessFact, AuthScheme, Build, ClientAuth, Connector, Cursor, Endpoint, Error, Factory, Grade, LedgerId,
    LedgerProfile, LedgerRoleDefault, LedgerRow, LedgerSource, Listing, Manifest, OAuthSpec, Page, Quota, QuotaWindow,
    ReadCx, Request, Response, Result, Rotation, Scope, ScopeSet,
};
use ledgerward_kit::{Proved, about, settings};
use serde::Deserialize;

use self::api::Api;
pub use self::api::retry_hint;

/// Named in the program's registry.
pub static FACTORY: ZohoBooks = ZohoBooks;

/// The kind of connector.
pub struct ZohoBooks;

static MANIFEST: Manifest = Manifest {
    name: "zoho-books",
    title: "Zoho Books",
    auth: AuthScheme::OAuth(OAuthSpec {
        authorize: ("accounts", "/oauth/v2/auth"),
        token: ("accounts", "/oauth/v2/token"),
        revoke: Some(("accounts", "/oauth/v2/token/revoke")),
        client_auth: ClientAuth::Body,
        rotation: Rotation::Stable,
        // With "email" the answer has an id token: whose sign-in it is, and so whether a list holds our own user.
        scopes: &[ScopeSet { name: "access", scopes: &["ZohoBooks.settings.READ", "email"] }],
        scope_separator: ",",
        // Without the second a repeated consent gives no refresh token.
        extra: &[("access_type", "offline"), ("prompt", "consent")],
        token_prefix: "Zoho-oauthtoken",
        ..OAuthSpec::PLAIN
    }),
    endpoints: &[
        Endpoint { name: "accounts", url: "https://accounts.zoho.com" },
        Endpoint { name: "api", url: "https://www.zohoapis.com" },
    ],
    quotas: &[
        Quota::tenant("concurrent", QuotaWindow::Concurrent(5)),
        Quota::tenant("minute", QuotaWindow::PerMinute(100)),
        // That of the free plan; paid ones have 2,000 to 10,000.
        Quota::tenant("day", QuotaWindow::PerDay(1_000)),
    ],
    access: Some(Listing::PerLedger),
    grade: Some(Grade::A),
    statements: &[],
    // The words of `user_role` are documented by example only: each role is named as the interface and as the web page
    // spell it. A custom role is in neither spelling, so it is asked about.
    roles: &[
        ("admin", LedgerRoleDefault::Reader),
        ("Admin", LedgerRoleDefault::Reader),
        ("staff", LedgerRoleDefault::Reader),
        ("Staff", LedgerRoleDefault::Reader),
        ("accountant", LedgerRoleDefault::Reader),
        ("Accountant", LedgerRoleDefault::Reader),
        ("Staff (Assigned Customers Only)", LedgerRoleDefault::Nothing),
        ("staff_assigned_customers_only", LedgerRoleDefault::Nothing),
        ("timesheetstaff", LedgerRoleDefault::Nothing),
        ("timesheet_staff", LedgerRoleDefault::Nothing),
        ("Timesheet Staff", LedgerRoleDefault::Nothing),
    ],
    settings: &[
        ("own_organizations", "ids of the firm's own books: reached, and no client's (default none)"),
        ("users_filter", "the filter_by that lists everybody, \"\" to send none (default Status.All)"),
    ],
    unverified: &[
        "user_role has the words of the role table (admin, staff, accountant, timesheetstaff, …).",
        "filter_by=Status.All lists invited, inactive and deleted users as well (setting users_filter).",
        "Code 44 is the limit of a minute, 45 that of a day, 1070 that of requests at once; 57 is a missing right.",
        "Calls a day: 1,000 in the free plan, up to 10,000 in others; 5 at once in the free plan, 10 in others.",
        "The token endpoint gives about ten access tokens in ten minutes for one refresh token.",
        "Zoho ignores PKCE parameters where it does not use them.",
        "The scopes ZohoBooks.settings.READ and email can be asked for together.",
        "fiscal_year_start_month of one organisation is the month's English name.",
    ],
};

/// The connector's own part of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    own_organizations: BTreeSet<String>,
    users_filter: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { own_organizations: BTreeSet::new(), users_filter: "Status.All".to_owned() }
    }
}

impl Factory for ZohoBooks {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn build(&self, from: Build) -> Result<Box<dyn Connector>> {
        let settings: Settings = settings::read(&MANIFEST, &from.settings)?;
        Ok(Box::new(Books { api: Api { endpoints: from.endpoints }, settings, proved: Proved::default() }))
    }
}

struct Books {
    api: Api,
    settings: Settings,
    proved: Proved,
}

impl Connector for Books {
    fn ledgers(&self) -> Option<&dyn LedgerSource> {
        Some(self)
    }
}

/// Sends, and gives only an answer that says it succeeded.
async fn ask(cx: &ReadCx, ledger: Option<&LedgerId>, request: Request) -> Result<Response> {
    let op = request.op;
    api::classify(op, ledger, cx.send(request).await?)
}

#[async_trait]
impl LedgerSource for Books {
    async fn ledgers(&self, cx: &ReadCx, at: Cursor) -> Result<Page<LedgerRow>> {
        const OP: &str = "organisations.list";
        if at != Cursor::Start {
            return Err(Error::contract(OP, "this listing has one page and was asked for another"));
        }
        let answer = ask(cx, None, self.api.organisations()?).await?;
        Ok(Page::only(map::organisations(OP, &answer.body, &self.settings.own_organizations)?))
    }

    async fn access(&self, cx: &ReadCx, scope: Scope<'_>, at: Cursor) -> Result<Page<AccessFact>> {
        const OP: &str = "users.list";
        let ledger = scope.one(OP)?;
        let page = match at.text() {
            None => 1,
            Some(text) => text.parse().map_err(|_| Error::contract(OP, "this cursor is none of ours"))?,
        };
        let answer = ask(cx, Some(ledger), self.api.users(ledger, &self.settings.users_filter, page)?).await?;
        let users = about(ledger, map::users(OP, ledger, page, &answer.body))?;
        // It does not say whose it is; the organisation behind the same `organization_id` does.
        self.proved.check(ledger, page, &users.items, self.profile(cx, ledger)).await?;
        Ok(users)
    }

    async fn profile(&self, cx: &ReadCx, ledger: &LedgerId) -> Result<LedgerProfile> {
        const OP: &str = "organisation.get";
        let answer = ask(cx, Some(ledger), self.api.organisation(ledger)?).await?;
        about(ledger, map::organisation(OP, ledger, &answer.body))
    }
}
