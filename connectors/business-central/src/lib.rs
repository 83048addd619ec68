//! Microsoft Dynamics 365 Business Central: who may open a company's books. See README.md.

mod access;
pub mod api;
pub mod fake;
pub mod map;

use async_trait::async_trait;
use ledgerward_contract::{
    AccessFact, AuthScheme, Build, ClientAuth, Connector, Cursor, Endpoint, Error, Factory, Grade, LedgerId,
    LedgerProfile, LedgerRoleDefault, LedgerRow, LedgerSource, Listing, Manifest, OAuthSpec, OwnUser, Page, Quota,
    QuotaWindow, ReadCx, Request, Response, Result, Rotation, Scope, ScopeSet,
};
use ledgerward_kit::{about, cursor, settings, state};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::api::{Api, Ledger};

/// Named in the program's registry.
pub static FACTORY: BusinessCentral = BusinessCentral;

/// The kind of connector.
pub struct BusinessCentral;

static MANIFEST: Manifest = Manifest {
    name: "business-central",
    title: "Business Central",
    auth: AuthScheme::OAuth(OAuthSpec {
        authorize: ("login", "/oauth2/v2.0/authorize"),
        token: ("login", "/oauth2/v2.0/token"),
        revoke: None,
        client_auth: ClientAuth::Body,
        // Entra gives a new refresh token with each refresh and leaves the one before as it is.
        rotation: Rotation::Stable,
        scopes: &[ScopeSet {
            name: "default",
            scopes: &[
                "openid",
                "profile",
                "email",
                "offline_access",
                "https://api.businesscentral.dynamics.com/.default",
            ],
        }],
        extra: &[],
        idle_lifetime: Some(std::time::Duration::from_secs(90 * 24 * 3600)),
        app_only: Some(app_form),
        ..OAuthSpec::PLAIN
    }),
    endpoints: &[
        // With the firm's own tenant id in the place of `organizations`, nobody else's directory can be signed in to.
        Endpoint { name: "login", url: "https://login.microsoftonline.com/organizations" },
        Endpoint { name: "api", url: "https://api.businesscentral.dynamics.com/v2.0" },
    ],
    quotas: &[
        Quota::connection("concurrent", QuotaWindow::Concurrent(5)),
        Quota::connection("minute", QuotaWindow::PerMinute(600)),
    ],
    access: Some(Listing::PerLedger),
    grade: Some(Grade::A),
    statements: &[],
    roles: &[("SUPER", LedgerRoleDefault::Reader), ("D365 BUS FULL ACCESS", LedgerRoleDefault::Reader)],
    settings: &[
        ("environments", "names of the environments that hold clients' companies (default [\"production\"])"),
        ("own_companies", "ids of companies that are the firm's own and no client's (default none)"),
        (
            "decisive_sets",
            "permission sets of which the first that a user has in a company is the role (default SUPER, D365 BUS FULL \
             ACCESS)",
        ),
        (
            "email_field",
            "the field of a user that holds the address: contactEmail (default), userName, or authenticationEmail where a page of \
             the firm's own gives it",
        ),
        (
            "app_only",
            "true: the app signs in as itself with client_id and client_secret, nobody at a page (default false)",
        ),
        (
            "own_user",
            "with app_only: the id or address of a user whom every company's list has, so that who is missing from a list is out \
             after a second one (default none: nobody's absence counts)",
        ),
        ("old_groups", "true where the environment has user groups and no security groups yet (default false)"),
    ],
    unverified: &[
        "A person's sign-in reads users and permission sets by the automation API (documented for an app's own sign-in).",
        "An app's own sign-in reads companies, users and permission sets once it is entered in Business Central (setting app_only).",
        "contactEmail is the address that a user signs in with (setting email_field); authenticationEmail is on no page of Microsoft's, only on one of the firm's own.",
        "userPermission.company holds the company's name, and not its display name.",
        "securityGroups({id})/userPermissions lists the permission sets of a group.",
        "securityGroups takes its id as a text between quotes, userGroups as a GUID.",
        "securityGroupMembers leaves out members whom Microsoft Entra does not give at that moment: a group without any is taken for that, one that lacks some cannot be told.",
        "State is Enabled or Disabled; an expiryDate in the year 1 means that there is none.",
        "The limits are 5 requests at once and 600 a minute; 429 carries Retry-After.",
        "Every user who can open a company stands in the list of users, members of Entra groups included.",
    ],
};

/// The connector's own part of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    environments: Vec<String>,
    own_companies: Vec<String>,
    decisive_sets: Vec<String>,
    email_field: EmailField,
    old_groups: bool,
    app_only: bool,
    own_user: Option<String>,
}

/// Where a user's address stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum EmailField {
    #[default]
    #[serde(rename = "contactEmail")]
    Contact,
    #[serde(rename = "authenticationEmail")]
    Authentication,
    #[serde(rename = "userName")]
    UserName,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            environments: vec!["production".to_owned()],
            own_companies: Vec::new(),
            decisive_sets: MANIFEST.roles.iter().map(|(set, _)| (*set).to_owned()).collect(),
            email_field: EmailField::default(),
            old_groups: false,
            app_only: false,
            own_user: None,
        }
    }
}

impl Settings {
    fn read(value: &Value) -> Result<Self> {
        let read: Self = settings::read(&MANIFEST, value)?;
        if read.environments.is_empty() || !read.environments.iter().all(|e| api::is_environment(e)) {
            return Err(settings::wrong("the setting \"environments\" is not a list of names of environments")
                .next("Use the names that the Business Central admin center shows, such as [\"production\"]."));
        }
        if let Some(bad) = read.own_companies.iter().find(|id| !api::is_guid(id)) {
            return Err(settings::wrong(format!(
                "the setting \"own_companies\": \"{bad}\" is not the id of a company"
            )));
        }
        if read.own_user.as_ref().is_some_and(|u| u.trim().is_empty()) {
            return Err(settings::wrong("the setting \"own_user\" is empty")
                .next("Name a user whom every company's list has, or leave the setting out."));
        }
        Ok(read)
    }
}

/// What the app says at the token endpoint when it signs in as itself.
fn app_form(settings: &Value) -> Option<Vec<(&'static str, String)>> {
    let app_only = Settings::read(settings).is_ok_and(|s| s.app_only);
    app_only.then(|| vec![("scope", "https://api.businesscentral.dynamics.com/.default".to_owned())])
}

impl Factory for BusinessCentral {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn build(&self, from: Build) -> Result<Box<dyn Connector>> {
        let settings = Settings::read(&from.settings)?;
        let login = from.endpoints.url("login", "/")?;
        if settings.app_only && login.path().split('/').any(|p| ["common", "organizations", "consumers"].contains(&p)) {
            let text = "\"app_only\" needs the firm's own tenant in the address of the sign-in";
            return Err(settings::wrong(text)
                .next("Set endpoints = { login = \"https://login.microsoftonline.com/<tenant id>\" }."));
        }
        Ok(Box::new(BusinessCentralConnector { api: Api { endpoints: from.endpoints }, settings }))
    }
}

struct BusinessCentralConnector {
    api: Api,
    settings: Settings,
}

impl Connector for BusinessCentralConnector {
    fn ledgers(&self) -> Option<&dyn LedgerSource> {
        Some(self)
    }
}

async fn ask(cx: &ReadCx, ledger: Option<&LedgerId>, request: Request) -> Result<Response> {
    let op = request.op;
    api::classify(op, ledger, cx.send(request).await?)
}

/// One page of an OData list: what `map` makes of it, and the query of the next one.
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
        let next = api::next_query(op, &url, map::next_link(op, &answer.body)?.as_deref())?;
        Ok(Page { items, next: next.map(Cursor::At), total: None })
    };
    about(ledger, read())
}

/// Where the listing of companies stands. Our own cursor: the caller only carries it.
#[derive(Default, Serialize, Deserialize)]
struct CompaniesAt {
    /// Place in the list of environments.
    environment: usize,
    query: Option<String>,
}

#[async_trait]
impl LedgerSource for BusinessCentralConnector {
    async fn ledgers(&self, cx: &ReadCx, at: Cursor) -> Result<Page<LedgerRow>> {
        const OP: &str = "companies.list";
        let mut state: CompaniesAt = state(OP, &at)?;
        let Some(environment) = self.settings.environments.get(state.environment) else {
            return Err(Error::contract(OP, "an environment is asked for that is not in the settings"));
        };
        let request = self.api.companies(environment, state.query.as_deref())?;
        let own = &self.settings.own_companies;
        let page = ask_page(cx, None, request, |body| map::companies(environment, own, body)).await;
        let page = page.map_err(|e| e.with("environment", environment.as_str()))?;
        state.query = page.next.as_ref().and_then(Cursor::text).map(str::to_owned);
        // Every environment has to answer: companies of one that does not would seem to be gone.
        if state.query.is_none() {
            state.environment += 1;
        }
        let more = state.environment < self.settings.environments.len();
        Ok(Page { items: page.items, next: more.then(|| cursor(OP, &state)).transpose()?, total: None })
    }

    async fn access(&self, cx: &ReadCx, scope: Scope<'_>, at: Cursor) -> Result<Page<AccessFact>> {
        access::page(self, cx, scope.one("users.list")?, &at).await
    }

    /// By the firm's word: an app is no user of the ledger.
    async fn own_user(&self, _cx: &ReadCx) -> Result<Option<OwnUser>> {
        let own = |subject: &String| {
            let email = subject.contains('@').then(|| subject.clone());
            OwnUser { subject: subject.clone(), email }
        };
        Ok(self.settings.own_user.as_ref().filter(|_| self.settings.app_only).map(own))
    }

    async fn profile(&self, cx: &ReadCx, ledger: &LedgerId) -> Result<LedgerProfile> {
        let company = access::company(&self.api, cx, ledger, &Ledger::read("company.get", ledger)?).await?;
        let name = company.display_name.unwrap_or(company.name);
        Ok(LedgerProfile { name, ..LedgerProfile::default() })
    }
}
