//! For ledger sources, client directories and statements.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::BoxFuture;
use ledgerward_contract::{
    AccessFact, Auth, AuthScheme, ClientDirectory, ClientRow, Connector, Cursor, LedgerAccount, LedgerId,
    LedgerProfile, LedgerRow, LedgerSource, Listed, Page, Period, PeriodLength, ReadCx, Request, Result, Scope, Secret,
    StatementData, StatementKind, StatementRef, StatementRequest, Transport,
};

use super::{World, now, whole};
use crate::{Callback, Deadlines, Fixed, OAuthClient, Quotas, SignInFlow, SignedIn, Stack, StackConfig, TokioClock};

/// A source that makes its connector anew for each call, as in a process that has just begun.
pub struct JustBegun(pub fn() -> Box<dyn Connector>);

#[async_trait]
impl LedgerSource for JustBegun {
    async fn ledgers(&self, cx: &ReadCx, at: Cursor) -> Result<Page<LedgerRow>> {
        (self.0)().ledgers().unwrap().ledgers(cx, at).await
    }

    async fn access(&self, cx: &ReadCx, scope: Scope<'_>, at: Cursor) -> Result<Page<AccessFact>> {
        (self.0)().ledgers().unwrap().access(cx, scope, at).await
    }

    async fn profile(&self, cx: &ReadCx, ledger: &LedgerId) -> Result<LedgerProfile> {
        (self.0)().ledgers().unwrap().profile(cx, ledger).await
    }
}

impl World {
    pub async fn ledgers(&self) -> Result<Vec<LedgerRow>> {
        let (source, cx) = (self.connector.ledgers().unwrap(), &self.read());
        rows(|at| source.ledgers(cx, at)).await
    }

    pub async fn access(&self, ledger: &str) -> Result<Vec<AccessFact>> {
        let (source, cx, ledger) = (self.connector.ledgers().unwrap(), &self.read(), &LedgerId::from(ledger));
        rows(|at| source.access(cx, Scope::One(ledger), at)).await
    }

    pub async fn clients(&self) -> Result<Vec<ClientRow>> {
        clients(self.connector.directory().unwrap(), &self.read()).await
    }

    pub async fn accounts(&self, ledger: &str) -> Result<Vec<LedgerAccount>> {
        let (source, cx, ledger) = (self.connector.statements().unwrap(), &self.read(), &LedgerId::from(ledger));
        rows(|at| source.accounts(cx, ledger, at)).await
    }

    pub async fn listed(&self, ledger: &str, what: &StatementRequest) -> Result<Vec<StatementRef>> {
        let (source, cx, ledger) = (self.connector.statements().unwrap(), &self.read(), &LedgerId::from(ledger));
        rows(|at| source.statements(cx, ledger, what, at)).await
    }

    pub async fn fetch(&self, what: &StatementRef) -> Result<StatementData> {
        self.connector.statements().unwrap().fetch(&self.read(), what).await
    }

    /// The first thing that a request lists.
    pub async fn fetched(&self, ledger: &str, what: &StatementRequest) -> Result<StatementData> {
        self.fetch(self.listed(ledger, what).await?.first().unwrap()).await
    }

    /// The connector's context through every layer, with the manifest's own limits. One call may take this many seconds.
    pub fn layered(&self, seconds: u64) -> ReadCx {
        let (clock, manifest) = (Arc::new(TokioClock::starting(now())), self.vendor.manifest());
        let time = Duration::from_secs(seconds);
        let stack = Stack::build(StackConfig {
            manifest,
            endpoints: self.vendor.endpoints(),
            allow_private_network: false,
            read_only: true,
            tokens: Arc::new(Fixed::new(Secret::new(self.wire.token.lock().unwrap().as_str()))),
            dress: self.wire.dress.clone(),
            quotas: Quotas::new(manifest.name, manifest.quotas, self.days.clone(), clock.clone()),
            verdict: self.vendor.verdict,
            clock,
            deadlines: Deadlines { page: time, statement: time },
            jitter: || 0.5,
            base: self.wire.inner.clone(),
        });
        ReadCx::new(stack.unwrap(), now()).in_realm(self.realm.as_deref())
    }

    /// An app registration of ours at this vendor.
    #[expect(clippy::panic, reason = "a vendor without OAuth is a mistake of the test")]
    pub fn oauth(&self, app: &str, secret: &str) -> OAuthClient {
        let (AuthScheme::OAuth(spec) | AuthScheme::OAuthOrServiceAccount(spec)) = self.vendor.manifest().auth else {
            panic!("this vendor has no OAuth")
        };
        OAuthClient::new(spec, &self.vendor.endpoints(), app, Some(Secret::new(secret)), self.wire.inner.clone())
            .unwrap()
    }

    /// Signs in as a person whose browser opens the page and shows the address that it was sent back to.
    pub async fn consent(&self, client: &OAuthClient, scopes: &[&str]) -> Result<SignedIn> {
        let redirect = "http://localhost:8787/callback".parse().unwrap();
        let scopes: Vec<_> = scopes.iter().map(|s| (*s).to_owned()).collect();
        let flow = SignInFlow::start(client, Callback::Paste { redirect }, &scopes).await?;
        let page = self.wire.inner.send(Request::get("page.get", flow.url().clone()).auth(Auth::Url)).await?;
        flow.paste(page.header("location").unwrap_or_default()).await
    }
}

/// The whole list of a directory in any context.
pub async fn clients(directory: &dyn ClientDirectory, cx: &ReadCx) -> Result<Vec<ClientRow>> {
    rows(|at| directory.clients(cx, at)).await
}

async fn rows<'a, T: Listed + PartialEq + Clone>(
    fetch: impl FnMut(Cursor) -> BoxFuture<'a, Result<Page<T>>>,
) -> Result<Vec<T>> {
    Ok(whole(fetch).await?.items().to_vec())
}

/// A month's period.
pub fn month(start: &str, end: &str) -> Period {
    Period { start: start.parse().unwrap(), end: end.parse().unwrap(), length: PeriodLength::Month }
}

/// October 2026, of the whole ledger.
pub fn october(kind: StatementKind) -> StatementRequest {
    StatementRequest { kind, basis: Default::default(), period: month("2026-10-01", "2026-10-31"), account: None }
}
