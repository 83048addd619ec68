//! Sign-in at Xero for Practice Manager: which scopes the app may ask for, and what a consent connects.

use jiff::Timestamp;
use ledgerward_kit::fake::{
    FakeRequest, FakeResponse, id_of,
    xero::{self, Identity, Person, Tokens, limits},
};
use serde_json::json;
use uuid::Uuid;

use super::{Fake, answers};

/// What an app for one practice may ask for. The last is the older one that stands for all.
pub const SCOPES: &[&str] = &[
    "openid",
    "profile",
    "email",
    "offline_access",
    "practicemanager.client.read",
    "practicemanager.staff.read",
    "practicemanager.job.read",
    "practicemanager.time.read",
    "practicemanager",
];

impl Identity for Fake {
    fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    fn tokens_mut(&mut self) -> &mut Tokens {
        &mut self.tokens
    }

    fn app(&self) -> xero::App<'_> {
        let app = &self.world.app;
        xero::App { id: &app.client_id, secret: app.client_secret.as_deref(), redirects: &app.redirects }
    }

    fn knows(&self, scope: &str) -> bool {
        SCOPES.contains(&scope)
    }

    fn signing_in(&self) -> &str {
        &self.signing_in
    }

    fn person(&self, user: &str) -> Person {
        let login = self.world.users.iter().find(|l| l.email == user);
        let (first, last) = login.map_or_else(Default::default, |l| (l.first.clone(), l.last.clone()));
        Person { id: id_of(&["user", &user.to_ascii_lowercase()]), first, last }
    }

    /// Connects every practice, where the person has the privilege for it.
    fn connect(&mut self, user: &str, _: Timestamp) {
        if !self.world.users.iter().any(|l| l.email == user && l.may_authorise) {
            return;
        }
        for practice in &mut self.world.practices {
            practice.connected.insert(user.to_owned(), true);
        }
    }

    fn disconnect(&mut self, user: &str) {
        for practice in &mut self.world.practices {
            practice.connected.remove(user);
        }
    }

    fn unauthorised(&self, detail: &str) -> FakeResponse {
        answers::unauthorised(detail)
    }
}

impl Fake {
    /// `GET /connections`: of the token's own user, organisations among them.
    pub(super) fn connections(&mut self, now: Timestamp, request: &FakeRequest) -> Result<FakeResponse, FakeResponse> {
        limits::only(request, &["authEventId"])?;
        self.bearer(now, request)?;
        let left = limits::count_app(now, &mut self.app_minute, &mut self.limited)?;
        let grant = self.bearer(now, request)?;
        let made = "2026-01-05T08:00:00.0000000";
        let row = |tenant: Uuid, kind: &str, name: &str| {
            let id = id_of(&["connection", &grant.user, &tenant.to_string()]);
            json!({"id": id, "authEventId": id_of(&["event", &grant.user]), "tenantId": tenant, "tenantType": kind,
                "tenantName": name, "createdDateUtc": made, "updatedDateUtc": made})
        };
        let practices = self.world.practices.iter().filter(|p| p.connected.get(&grant.user) == Some(&true));
        let practices = practices.map(|p| row(p.tenant_id, "PRACTICEMANAGER", &p.name));
        let others = self.world.others.iter().map(|o| row(o.tenant_id, &o.tenant_type, &o.name));
        Ok(limits::told_app(FakeResponse::json(200, &others.chain(practices).collect()), left))
    }
}
