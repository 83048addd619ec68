//! For ledger sources, client directories and statements.

use std::{sync::Arc, time::Duration};

use ledgerward_contract::{
    AccessFact, Auth, ClientRow, LedgerAccount, LedgerId, LedgerRow, Period, PeriodLength, ReadCx, Request, Result,
    Scope, Secret, Snapshot, StatementData, StatementKind, StatementRef, StatementRequest, Transport,
};

use super::{World, now, whole};
use crate::{
    Callback, Deadlines, Fixed, MemoryDays, OAuthClient, Quotas, SignInFlow, SignedIn, Stack, StackConfig, TokioClock,
    no_verdict,
};

impl World {
    pub async fn ledgers(&self) -> Result<Snapshot<LedgerRow>> {
        let (source, cx) = (self.connector.ledgers().unwrap(), &self.read());
        whole(|at| source.ledgers(cx, at)).await
    }

    pub async fn access(&self, ledger: &str) -> Result<Snapshot<AccessFact>> {
        let (source, cx, ledger) = (self.connector.ledgers().unwrap(), &self.read(), &LedgerId::from(ledger));
        whole(|at| source.access(cx, Scope::One(ledger), at)).await
    }

    pub async fn clients(&self) -> Result<Snapshot<ClientRow>> {
        let (directory, cx) = (self.connector.directory().unwrap(), &self.read());
        whole(|at| directory.clients(cx, at)).await
    }

    pub async fn accounts(&self, ledger: &str) -> Result<Snapshot<LedgerAccount>> {
        let (source, cx, ledger) = (self.connector.statements().unwrap(), &self.read(), &LedgerId::from(ledger));
        whole(|at| source.accounts(cx, ledger, at)).await
    }

    pub async fn listed(&self, ledger: &str, what: &StatementRequest) -> Result<Vec<StatementRef>> {
        let (source, cx, ledger) = (self.connector.statements().unwrap(), &self.read(), &LedgerId::from(ledger));
        Ok(whole(|at| source.statements(cx, ledger, what, at)).await?.items().to_vec())
    }

    /// The first thing that a request lists.
    pub async fn fetched(&self, ledger: &str, what: &StatementRequest) -> Result<StatementData> {
        let list = self.listed(ledger, what).await?;
        self.connector.statements().unwrap().fetch(&self.read(), list.first().unwrap()).await
    }

    /// The connector's context through every layer, with the manifest's own limits. A call may take this many seconds.
    pub fn layered(&self, base: Arc<dyn Transport>, seconds: u64) -> ReadCx {
        let (clock, manifest) = (Arc::new(TokioClock::starting(now())), self.vendor.manifest());
        let time = Duration::from_secs(seconds);
        let stack = Stack::build(StackConfig {
            manifest,
            endpoints: self.vendor.endpoints(),
            allow_private_network: false,
            read_only: true,
            tokens: Arc::new(Fixed::new(Secret::new(self.wire.token.lock().unwrap().as_str()))),
            dress: self.wire.dress.clone(),
            quotas: Quotas::new(manifest.name, manifest.quotas, Arc::new(MemoryDays::default()), clock.clone()),
            verdict: no_verdict,
            clock,
            deadlines: Deadlines { page: time, statement: time },
            jitter: || 0.5,
            base,
        });
        ReadCx::new(stack.unwrap(), now()).in_realm(self.realm.as_deref())
    }

    /// Signs in as a person would whose browser shows the address it is sent back to.
    pub async fn consent(&self, client: &OAuthClient, scopes: &[&str]) -> Result<SignedIn> {
        let redirect = "http://localhost:8787/callback".parse().unwrap();
        let scopes: Vec<_> = scopes.iter().map(|s| (*s).to_owned()).collect();
        let flow = SignInFlow::start(client, Callback::Paste { redirect }, &scopes).await?;
        let page = self.wire.inner.send(Request::get("page.get", flow.url().clone()).auth(Auth::Url)).await?;
        flow.paste(page.header("location").unwrap()).await
    }
}

/// A month's period.
pub fn month(start: &str, end: &str) -> Period {
    Period { start: start.parse().unwrap(), end: end.parse().unwrap(), length: PeriodLength::Month }
}

/// October 2026, of the whole ledger.
pub fn october(kind: StatementKind) -> StatementRequest {
    StatementRequest { kind, basis: Default::default(), period: month("2026-10-01", "2026-10-31"), account: None }
}
