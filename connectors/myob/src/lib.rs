//! MYOB Business: who may open a company file, where MYOB tells it, and its statements. See README.md.

pub mod api;
pub mod fake;
pub mod map;
mod statements;

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use ledgerward_contract::{
    AccessFact, AuthScheme, Build, ClientAuth, Connector, Cursor, Endpoint, Error, ErrorKind, Factory, Grade, LedgerId,
    LedgerProfile, LedgerRoleDefault, LedgerRow, LedgerSource, Listing, Manifest, OAuthSpec, Page, Quota, QuotaWindow,
    ReadCx, Request, Response, Result, Rotation, Scope, ScopeSet, StatementKind, StatementSource,
};
use ledgerward_kit::{about, settings};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

pub use self::api::retry_hint;
use self::api::{Api, List};

/// Named in the program's registry.
pub static FACTORY: Myob = Myob;

/// The kind of connector.
pub struct Myob;

static MANIFEST: Manifest = Manifest {
    name: "myob",
    title: "MYOB Business",
    auth: AuthScheme::OAuth(OAuthSpec {
        authorize: ("login", "/oauth2/account/authorize"),
        token: ("login", "/oauth2/v1/authorize"),
        client_auth: ClientAuth::Body,
        rotation: Rotation::SingleUse { grace: None },
        scopes: &[
            ScopeSet { name: "standard", scopes: &["sme-company-file", "sme-banking", "sme-general-ledger"] },
            // By itself: a scope that MYOB did not grant the app may fail the whole sign-in.
            ScopeSet {
                name: "users",
                scopes: &["sme-company-file", "sme-banking", "sme-general-ledger", "arl.security"],
            },
        ],
        // Without it the callback does not name the company file.
        extra: &[("prompt", "consent")],
        idle_lifetime: Some(Duration::from_secs(7 * 24 * 3600)),
        consent_lifetime: Some(Duration::from_secs(365 * 24 * 3600)),
        realm: Some("businessId"),
        client_id_header: Some("x-myobapi-key"),
        ..OAuthSpec::PLAIN
    }),
    endpoints: &[
        Endpoint { name: "login", url: "https://secure.myob.com" },
        Endpoint { name: "api", url: "https://api.myob.com" },
    ],
    quotas: &[
        Quota::connection("slots", QuotaWindow::Concurrent(4)),
        // MYOB allows 8 a second. 90 a minute are at most 7 at once, then 1.4 a second.
        Quota::connection("minute", QuotaWindow::PerMinute(90)),
        Quota::connection("day", QuotaWindow::PerDay(1_000_000)),
    ],
    access: Some(Listing::PerLedger),
    grade: Some(Grade::A),
    statements: &[
        StatementKind::ProfitAndLoss,
        StatementKind::BalanceSheet,
        StatementKind::TrialBalance,
        StatementKind::BankStatement,
    ],
    roles: &[
        ("Administrator", LedgerRoleDefault::Reader),
        ("Accountant/Bookkeeper", LedgerRoleDefault::Reader),
        (map::ONLINE_ADMINISTRATOR, LedgerRoleDefault::Reader),
        (map::ADVISOR, LedgerRoleDefault::Reader),
    ],
    settings: &[
        (
            "user_list",
            "\"try\": where MYOB refuses a file's list of users, that client is one whose ledger lists nobody; \
             \"required\": MYOB granted this app the list, so a refusal freezes the client (default \"try\")",
        ),
        ("own_files", "ids of company files that are the firm's own books, and no client's (default none)"),
    ],
    unverified: &[
        "Security/User needs the scope arl.security on cloud files; MYOB grants it on request (scopes \"users\").",
        "Security/User lists every person who can open the file; practice staff who reach it through the practice may be missing.",
        "The token answer names its user (uid, username); where it does not, nobody's absence from Security/User counts.",
        "A user carries URI, which lies in the company file; where it does not, nothing says whose list it is.",
        "The names of roles, and that IsOnlineAdministrator and IsAdvisor are what a user without a role is.",
        "A missing scope answers 403 AccessDenied.",
        "Report/* is opened by sme-general-ledger.",
        "An unused refresh token dies after about a week, and the one before it at once.",
        "A consent, which MYOB wants renewed every year, ends 365 days after it was given, whatever was refreshed.",
        "The token endpoint takes a code without the scope parameter, and ignores PKCE.",
        "NextPageLink carries $skip; Count counts the list or the page.",
        "Banking/Statement can be filtered by Account/UID and Date, and ordered by Date.",
        "AccountTotal is positive on the account's natural side; a balance sheet that does not balance so gives no derived trial balance.",
        "CurrentUser lists reports.",
    ],
};

/// Whether a refused list of users is normal.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum UserList {
    #[default]
    Try,
    Required,
}

/// The connector's own part of the configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    user_list: UserList,
    own_files: BTreeSet<Uuid>,
}

/// The set of scopes that the settings need, where it is not the first.
pub fn scope_set(settings: &Value) -> Option<&'static str> {
    let required = settings::read::<Settings>(&MANIFEST, settings).ok()?.user_list == UserList::Required;
    required.then_some("users")
}

impl Factory for Myob {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn build(&self, from: Build) -> Result<Box<dyn Connector>> {
        let settings: Settings = settings::read(&MANIFEST, &from.settings)?;
        Ok(Box::new(MyobConnector { api: Api { endpoints: from.endpoints }, settings }))
    }
}

struct MyobConnector {
    api: Api,
    settings: Settings,
}

impl Connector for MyobConnector {
    fn ledgers(&self) -> Option<&dyn LedgerSource> {
        Some(self)
    }
    fn statements(&self) -> Option<&dyn StatementSource> {
        Some(self)
    }
}

/// Sends, and gives only what was asked for.
async fn ask(cx: &ReadCx, ledger: &LedgerId, request: Request) -> Result<Response> {
    let op = request.op;
    api::classify(op, ledger, cx.send(request).await?)
}

/// The one company file of this sign-in.
fn own_file(op: &'static str, cx: &ReadCx) -> Result<LedgerId> {
    cx.realm().map(LedgerId::from).ok_or_else(|| {
        Error::new(ErrorKind::Unauthenticated, op, "this sign-in does not say which company file it is for")
            .next("Sign in again: MYOB names the file when a person consents.")
    })
}

/// A sign-in is never asked about another company file than its own (P09).
fn same_file(op: &'static str, cx: &ReadCx, ledger: &LedgerId) -> Result<()> {
    if own_file(op, cx)?.as_str().eq_ignore_ascii_case(ledger.as_str()) {
        return Ok(());
    }
    Err(Error::contract(op, "this sign-in is for another company file").with("ledger", ledger.as_str()))
}

impl MyobConnector {
    /// One page of a list, and where the next begins.
    async fn page<T: DeserializeOwned>(
        &self,
        cx: &ReadCx,
        list: List<'_>,
        more: &[(&str, String)],
        at: &Cursor,
    ) -> Result<(Vec<T>, Option<Cursor>)> {
        let skip = match at.text() {
            None => 0,
            Some(text) => text.parse().map_err(|_| Error::contract(list.op, "a cursor is no number"))?,
        };
        let answer = ask(cx, list.ledger, self.api.list(list, skip, more)?).await?;
        let page = about(list.ledger, map::page::<T>(list.op, skip, &answer.body))?;
        let next = page.next_page_link.map(|link| self.api.next_skip(list, skip, &link)).transpose()?;
        Ok((page.items, next.map(|n| Cursor::At(n.to_string()))))
    }

    /// That the user who signed in may read all of these, as far as MYOB says.
    ///
    /// Errors: `Unsupported`, naming what they may not read.
    async fn preflight(&self, cx: &ReadCx, ledger: &LedgerId, wanted: &[&str]) -> Result<()> {
        let answer = ask(cx, ledger, self.api.current_user(ledger)?).await?;
        let missing = about(ledger, map::not_readable(ledger, wanted, &answer.body))?;
        if missing.is_empty() {
            return Ok(());
        }
        let text = format!("the user who signed in may not read {} in this company file", missing.join(", "));
        Err(Error::new(ErrorKind::Unsupported, "current_user.get", text)
            .with("ledger", ledger.as_str())
            .next("Give that user a role in the file that may, or sign in as another administrator of it."))
    }

    /// What a refused list of users means: nothing about any user. With a sign-in that still opens the file, the list is
    /// what MYOB did not grant.
    async fn no_user_list(&self, cx: &ReadCx, ledger: &LedgerId, refused: Error) -> Error {
        if self.settings.user_list == UserList::Required {
            return refused;
        }
        // A file that is closed to us altogether is no file that lists nobody.
        if let Err(e) = self.preflight(cx, ledger, &[]).await {
            return e;
        }
        Error::new(
            ErrorKind::Unsupported,
            "users.list",
            "MYOB does not give this app the file's list of users (scope arl.security)",
        )
        .with("ledger", ledger.as_str())
        .next("Ask MYOB for that scope; then set user_list = \"required\" and sign in again.")
    }
}

#[async_trait]
impl LedgerSource for MyobConnector {
    async fn ledgers(&self, cx: &ReadCx, at: Cursor) -> Result<Page<LedgerRow>> {
        const OP: &str = "company_files.list";
        at.one_page(OP)?;
        let file = own_file(OP, cx)?;
        let answer = ask(cx, &file, self.api.company_file(OP, &file)?).await?;
        Ok(Page::only(vec![map::ledger(OP, &file, &self.settings.own_files, &answer.body)?]))
    }

    async fn access(&self, cx: &ReadCx, scope: Scope<'_>, at: Cursor) -> Result<Page<AccessFact>> {
        const OP: &str = "users.list";
        let ledger = scope.one(OP)?;
        same_file(OP, cx, ledger)?;
        let list = List { op: OP, ledger, resource: "Security/User" };
        match self.page::<map::User>(cx, list, &[], &at).await {
            Ok((users, next)) => {
                let items = users.into_iter().map(|u| map::user(ledger, u)).collect::<Result<_>>()?;
                Ok(Page { items, next, total: None })
            }
            // In the middle of a list that MYOB did give, a refusal is a fault like any other.
            Err(e) if at == Cursor::Start && e.get("reason") == Some(api::ACCESS_DENIED) => {
                Err(self.no_user_list(cx, ledger, e).await)
            }
            Err(e) => Err(e),
        }
    }

    async fn profile(&self, cx: &ReadCx, ledger: &LedgerId) -> Result<LedgerProfile> {
        const OP: &str = "company_file.get";
        same_file(OP, cx, ledger)?;
        let answer = ask(cx, ledger, self.api.company_file(OP, ledger)?).await?;
        map::profile(OP, ledger, &answer.body)
    }
}
