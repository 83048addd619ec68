//! Statements: reports and bank registers of one client.

use async_trait::async_trait;
use ledgerward_contract::{
    Cursor, Error, ErrorKind, LedgerAccount, LedgerId, LedgerProfile, LedgerSource as _, Page, ReadCx, Result,
    Snapshot, StatementData, StatementKind, StatementRef, StatementRequest, StatementSource,
};
use ledgerward_kit::about;

use crate::{FreeAgentConnector, api, ask, ask_page, map, page_number};

/// Pages of a register before it is no register any more: 100,000 lines of one account in one period.
const REGISTER_PAGES_MAX: u32 = 1_000;

impl FreeAgentConnector {
    /// All of one account's lines in the period, or an error.
    async fn register(
        &self,
        cx: &ReadCx,
        ledger: &LedgerId,
        what: &StatementRequest,
        company: &LedgerProfile,
    ) -> Result<StatementData> {
        const OP: &str = "bank_transactions.list";
        let id = what.bank_account(OP)?;
        let imported = what.kind == StatementKind::BankStatement;
        let answer = ask(cx, Some(ledger), self.api.bank_account(ledger, id)?).await?;
        let account = about(ledger, map::bank_account(&self.api, id, &answer.body))?;
        let list = Snapshot::gather(OP, cx.now(), REGISTER_PAGES_MAX, |at| {
            Box::pin(async move {
                let page = page_number(OP, &at)?;
                let request = self.api.bank_transactions(ledger, id, &what.period, imported, page)?;
                let read = |body: &[u8]| map::transactions(&self.api, id, &what.period, imported, body);
                ask_page(cx, Some(ledger), request, read).await
            })
        });
        let list = about(ledger, list.await)?;
        Ok(StatementData::Register(map::register(account, company, imported, list.items())))
    }

    async fn report(
        &self,
        cx: &ReadCx,
        ledger: &LedgerId,
        what: &StatementRequest,
        company: &LedgerProfile,
    ) -> Result<StatementData> {
        let [documented, other] = api::BALANCE_SHEET;
        let answer = match ask(cx, Some(ledger), self.api.report(ledger, what, documented)?).await {
            Err(e) if e.kind == ErrorKind::NotFound && what.kind == StatementKind::BalanceSheet => {
                ask(cx, Some(ledger), self.api.report(ledger, what, other)?).await
            }
            answer => answer,
        }?;
        Ok(StatementData::Table(about(ledger, map::report(what, company, &answer.body))?))
    }
}

#[async_trait]
impl StatementSource for FreeAgentConnector {
    async fn accounts(&self, cx: &ReadCx, ledger: &LedgerId, at: Cursor) -> Result<Page<LedgerAccount>> {
        let request = self.api.bank_accounts(ledger, page_number("bank_accounts.list", &at)?)?;
        ask_page(cx, Some(ledger), request, |body| map::bank_accounts(&self.api, body)).await
    }

    async fn statements(
        &self,
        _cx: &ReadCx,
        ledger: &LedgerId,
        what: &StatementRequest,
        at: Cursor,
    ) -> Result<Page<StatementRef>> {
        const OP: &str = "statements.list";
        if at != Cursor::Start {
            return Err(Error::contract(OP, "this listing has one page and was asked for another"));
        }
        if what.kind.per_account() {
            self.api.bank_account(ledger, what.bank_account(OP)?)?;
        } else {
            // What FreeAgent cannot give is refused here, not when it is fetched.
            let [documented, _] = api::BALANCE_SHEET;
            self.api.report(ledger, what, documented)?;
        }
        Ok(Page::only(vec![StatementRef { ledger: ledger.clone(), request: what.clone(), item: None }]))
    }

    async fn fetch(&self, cx: &ReadCx, what: &StatementRef) -> Result<StatementData> {
        let (ledger, request) = (&what.ledger, &what.request);
        // Reports and lines do not say whose they are. The company does, under the same subdomain (P09).
        let company = self.profile(cx, ledger).await?;
        if request.kind.per_account() {
            self.register(cx, ledger, request, &company).await
        } else {
            self.report(cx, ledger, request, &company).await
        }
    }
}
