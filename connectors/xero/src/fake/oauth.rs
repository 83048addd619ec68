//! Sign-in at Xero: which scopes the app may ask for, and what a consent connects.

use jiff::Timestamp;
use ledgerward_kit::fake::{
    FakeRequest, FakeResponse, id_of,
    xero::{self, Identity, Person, Tokens, limits},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    Fake, answers,
    world::{Connection, Login, Org, user_id},
};

const COMMON: &[&str] = &[
    "openid",
    "profile",
    "email",
    "offline_access",
    "accounting.settings",
    "accounting.settings.read",
    "accounting.contacts",
    "accounting.contacts.read",
    "accounting.attachments",
    "accounting.attachments.read",
    "accounting.journals.read",
    "files",
    "files.read",
];
const GRANULAR: &[&str] = &[
    "accounting.banktransactions",
    "accounting.banktransactions.read",
    "accounting.invoices",
    "accounting.invoices.read",
    "accounting.payments",
    "accounting.payments.read",
    "accounting.reports.balancesheet.read",
    "accounting.reports.banksummary.read",
    "accounting.reports.profitandloss.read",
    "accounting.reports.trialbalance.read",
];
const BROAD: &[&str] = &["accounting.transactions", "accounting.transactions.read", "accounting.reports.read"];
const FINANCE: &[&str] = &["finance.bankstatementsplus.read"];

impl Identity for Fake {
    fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    fn tokens_mut(&mut self) -> &mut Tokens {
        &mut self.tokens
    }

    fn app(&self) -> xero::App<'_> {
        let app = &self.app;
        xero::App { id: &app.client_id, secret: app.client_secret.as_deref(), redirects: &app.redirects }
    }

    fn knows(&self, scope: &str) -> bool {
        let generation = if self.app.scopes == "broad" { BROAD } else { GRANULAR };
        COMMON.contains(&scope) || generation.contains(&scope) || (self.app.finance && FINANCE.contains(&scope))
    }

    fn signing_in(&self) -> &str {
        &self.signing_in
    }

    fn person(&self, user: &str) -> Person {
        let login = self.logins.iter().find(|l| l.email == user);
        let (first, last) = login.map_or_else(Default::default, |l| (l.first.clone(), l.last.clone()));
        Person { id: login.map_or_else(|| user_id(user), Login::id), first, last }
    }

    /// Connects every organisation whose user the person is.
    fn connect(&mut self, user: &str, now: Timestamp) {
        let event = id_of(&["event", user, &now.to_string()]);
        for org in self.orgs.values_mut().filter(|o| o.opens(user)) {
            let id = id_of(&["connection", user, &org.tenant.to_string()]);
            let made = Connection { id, event, created: now, active: true };
            org.connections.entry(user.to_owned()).or_insert(made).active = true;
        }
    }

    fn disconnect(&mut self, user: &str) {
        for org in self.orgs.values_mut() {
            org.connections.remove(user);
        }
    }

    fn unauthorised(&self, detail: &str) -> FakeResponse {
        answers::unauthorised(detail)
    }
}

impl Fake {
    /// `GET /connections`: of the token's own user.
    pub(super) fn connections(&mut self, now: Timestamp, request: &FakeRequest) -> Result<FakeResponse, FakeResponse> {
        limits::only(request, &["authEventId"])?;
        self.bearer(now, request)?;
        let left = limits::count_app(now, &mut self.app_minute, &mut self.limited)?;
        let grant = self.bearer(now, request)?;
        let event = request.query("authEventId").map(Uuid::parse_str).transpose();
        let event = event.map_err(|_| answers::validation("authEventId is not a UUID"))?;
        let row = |o: &Org| {
            let c = o.connections.get(&grant.user).filter(|c| c.active && event.is_none_or(|e| e == c.event))?;
            Some(json!({"id": c.id, "authEventId": c.event, "tenantId": o.tenant, "tenantType": o.kind,
                "tenantName": o.name, "createdDateUtc": answers::iso(c.created), "updatedDateUtc": answers::iso(c.created)}))
        };
        Ok(limits::told_app(FakeResponse::json(200, &self.orgs.values().filter_map(row).collect()), left))
    }
}
