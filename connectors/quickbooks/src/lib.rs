//! QuickBooks Online: one company a sign-in, and its statements. It lists no users, and says so. See README.md.

pub mod api;
pub mod fake;
pub mod map;
mod statements;

use std::time::Duration;

use async_trait::async_trait;
use ledgerward_contract::{
    AccessFact, AuthScheme, Build, ClientAuth, Connector, Cursor, Endpoint, Error, ErrorKind, Factory, LedgerId,
    LedgerProfile, LedgerRow, LedgerSource, Manifest, OAuthSpec, Page, Quota, QuotaWindow, ReadCx, Request, Response,
    Result, Rotation, Scope, ScopeSet, Seats, StatementKind, StatementSource,
};
use ledgerward_kit::{about, settings};
use serde::Deserialize;

pub use self::api::retry_hint;
use self::api::{Api, Wanted};

/// Named in the program's registry.
pub static FACTORY: QuickBooks = QuickBooks;

/// The kind of connector.
pub struct QuickBooks;

static MANIFEST: Manifest = Manifest {
    name: "quickbooks",
    title: "QuickBooks Online",
    auth: AuthScheme::OAuth(OAuthSpec {
        authorize: ("login", "/connect/oauth2"),
        token: ("oauth", "/oauth2/v1/tokens/bearer"),
        revoke: Some(("developer", "/v2/oauth2/tokens/revoke")),
        client_auth: ClientAuth::Basic,
        // The value changes about once a day; that the one before it stays good is documented nowhere.
        rotation: Rotation::SingleUse { grace: None },
        // There is no scope for reading alone. `openid` names the person, so that a second consent can be told from a first.
        scopes: &[ScopeSet { name: "accounting", scopes: &["com.intuit.quickbooks.accounting", "openid"] }],
        idle_lifetime: Some(Duration::from_secs(100 * 24 * 3600)),
        realm: Some("realmId"),
        // Without it the answer keeps quiet about the end after five years.
        token_headers: &[("x-include-refresh-token-hard-expires-in", "true")],
        ..OAuthSpec::PLAIN
    }),
    endpoints: &[
        Endpoint { name: "login", url: "https://appcenter.intuit.com" },
        Endpoint { name: "oauth", url: "https://oauth.platform.intuit.com" },
        Endpoint { name: "developer", url: "https://developer.api.intuit.com" },
        Endpoint { name: "api", url: "https://quickbooks.api.intuit.com" },
        Endpoint { name: "downloads", url: "https://*.s3.amazonaws.com" },
    ],
    quotas: &[
        Quota::tenant("concurrent", QuotaWindow::Concurrent(8)),
        // 500 a minute and ten a second: at this pace a burst stays within the second, too.
        Quota::tenant("minute", QuotaWindow::PerMinute(100)),
        // The free tier of the App Partner Program; at its end Intuit shows the app to the clients as broken.
        Quota::connection("month", QuotaWindow::PerMonth(500_000)),
    ],
    access: None,
    grade: None,
    statements: &[
        StatementKind::ProfitAndLoss,
        StatementKind::BalanceSheet,
        StatementKind::TrialBalance,
        StatementKind::BankRegister,
        StatementKind::Files,
        StatementKind::Attachments,
    ],
    roles: &[],
    settings: &[
        (
            "count_users",
            "whether to read how many users each company counts, one call a company and day (default true)",
        ),
        ("minor_version", "the interface's minor version (default 75)"),
    ],
    unverified: &[
        "Intuit ignores PKCE's parameters on the consent page, which its documents do not name.",
        "The revocation address takes a form, as the SDKs send it.",
        "CompanyInfo's own Id is not the company's realm id, so the answer cannot be compared with the company asked for.",
        "The Entitlements answer names its thresholds USERS and ACCOUTANTS (sic), each with a current count.",
        "Entitlements may or may not count against the month's calls; they are counted.",
        "Attachments lie on *.s3.amazonaws.com (endpoint downloads).",
        "In the general ledger of a credit card a charge is positive and the balance is what is owed.",
        "A company with several currencies answers its general ledger in subt_nat_home_amount and rbal_nat_home_amount, in the \
         currency of the report's header; one without them leaves out these columns when they are asked for.",
        "The section of a sub-account in the general ledger may name no id; its text is then the account's name.",
        "A company without movements and balance answers NoReportData; its register then has no opening balance.",
        "Code 610 means that an object is not there, 6190 that the subscription lapsed.",
        "Attachable and Account may be ordered by Id, and transactions selected by Id with their TxnDate alone.",
        "Ten requests a second for each company; 500 a minute, ten at once.",
    ],
};

/// The connector's own part of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    count_users: bool,
    minor_version: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self { count_users: true, minor_version: 75 }
    }
}

impl Factory for QuickBooks {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn build(&self, from: Build) -> Result<Box<dyn Connector>> {
        let settings: Settings = settings::read(&MANIFEST, &from.settings)?;
        let api = Api { endpoints: from.endpoints, minor_version: settings.minor_version };
        Ok(Box::new(QuickBooksConnector { api, settings }))
    }
}

struct QuickBooksConnector {
    api: Api,
    settings: Settings,
}

impl Connector for QuickBooksConnector {
    fn ledgers(&self) -> Option<&dyn LedgerSource> {
        Some(self)
    }
    fn statements(&self) -> Option<&dyn StatementSource> {
        Some(self)
    }
}

/// How long a company's name and its number of users stand.
const READ_AGAIN: Duration = Duration::from_secs(24 * 3600);

/// The one company of this sign-in.
fn own(cx: &ReadCx, op: &'static str) -> Result<LedgerId> {
    let realm = cx.realm().ok_or_else(|| {
        Error::new(ErrorKind::Config, op, "this sign-in does not say for which QuickBooks company it was given")
            .next("Sign in again and choose the company.")
    })?;
    Ok(realm.into())
}

/// That this sign-in is the one for this company: its token would be refused for any other.
fn only(cx: &ReadCx, op: &'static str, ledger: &LedgerId) -> Result<()> {
    if own(cx, op)? == *ledger {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Forbidden, op, "this sign-in was given for another QuickBooks company")
        .next("Each company has a sign-in of its own: connect this one as well.")
        .with("ledger", ledger.as_str()))
}

/// Sends, and gives only what was asked for. Every error is about one company.
async fn ask(cx: &ReadCx, ledger: &LedgerId, wanted: Wanted, request: Request) -> Result<Response> {
    let op = request.op;
    about(
        ledger,
        match cx.send(request).await {
            Ok(answer) => api::classify(op, wanted, answer),
            Err(e) => Err(e),
        },
    )
}

impl QuickBooksConnector {
    async fn company(&self, cx: &ReadCx, ledger: &LedgerId) -> Result<LedgerProfile> {
        let answer = ask(cx, ledger, Wanted::Json, self.api.company(ledger)?).await?;
        about(ledger, map::company(&answer.body))
    }
}

#[async_trait]
impl LedgerSource for QuickBooksConnector {
    async fn ledgers(&self, cx: &ReadCx, at: Cursor) -> Result<Page<LedgerRow>> {
        const OP: &str = "company.get";
        at.one_page(OP)?;
        let id = own(cx, OP)?;
        let name = self.company(cx, &id).await?.name;
        Ok(Page::only(vec![LedgerRow { id, name, kind: "COMPANY".to_owned(), is_ledger: true }]))
    }

    async fn access(&self, cx: &ReadCx, scope: Scope<'_>, at: Cursor) -> Result<Page<AccessFact>> {
        const OP: &str = "users.list";
        at.one_page(OP)?;
        let unsupported =
            Error::new(ErrorKind::Unsupported, OP, "QuickBooks Online lets no app list a company's users")
                .next("Keep this client's people in a roster, or say per client who may see it.");
        let Scope::One(ledger) = scope else { return Err(unsupported) };
        only(cx, OP, ledger)?;
        Err(unsupported.with("ledger", ledger.as_str()))
    }

    /// The counts of the Entitlements answer. What it says of a sign-in that has ended is an error; else the counts are a hint,
    /// and where they cannot be read nothing but the counts is missing.
    async fn seats(&self, cx: &ReadCx, ledger: &LedgerId) -> Result<Option<Seats>> {
        only(cx, "entitlements.get", ledger)?;
        if !self.settings.count_users {
            return Ok(None);
        }
        match ask(cx, ledger, Wanted::Xml, self.api.entitlements(ledger)?).await {
            Ok(answer) => Ok(map::seats(&answer.body)),
            Err(e) if e.kind == ErrorKind::Unauthenticated || e.get("reason").is_some() => Err(e),
            Err(_) => Ok(None),
        }
    }

    /// Intuit meters each read, and a company's name and number of users change seldom.
    fn stands(&self) -> Option<Duration> {
        Some(READ_AGAIN)
    }

    async fn profile(&self, cx: &ReadCx, ledger: &LedgerId) -> Result<LedgerProfile> {
        only(cx, "company.get", ledger)?;
        self.company(cx, ledger).await
    }
}
