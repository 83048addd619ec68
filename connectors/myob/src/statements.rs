//! Statements: reports, and bank-feed lines, of one company file.

use async_trait::async_trait;
use ledgerward_contract::{
    Cursor, Error, ErrorKind, LedgerAccount, LedgerId, Listed, Page, ReadCx, Result, Snapshot, StatementData,
    StatementKind, StatementRef, StatementRequest, StatementSource,
};
use ledgerward_kit::about;
use serde::de::DeserializeOwned;

use crate::{
    MyobConnector,
    api::List,
    ask,
    map::{self, Report, Span},
    same_file,
};

/// Pages of a list that is read inside one statement: 400,000 accounts or lines of one account in one period.
const PAGES_MAX: u32 = 1_000;

const PROFIT_AND_LOSS: &str = "Report/ProfitAndLossSummary";
const BALANCE_SHEET: &str = "Report/BalanceSheetSummary";
const ACCOUNTS: &str = "GeneralLedger/Account";
const LINES: &str = "Banking/Statement";

/// What has to be readable for a kind. `Unsupported` for what MYOB has not.
fn resources(kind: StatementKind) -> Result<&'static [&'static str]> {
    match kind {
        StatementKind::ProfitAndLoss => Ok(&[PROFIT_AND_LOSS]),
        StatementKind::BalanceSheet => Ok(&[BALANCE_SHEET]),
        StatementKind::TrialBalance => Ok(&[BALANCE_SHEET, PROFIT_AND_LOSS, ACCOUNTS]),
        StatementKind::BankStatement => Ok(&[LINES, ACCOUNTS]),
        other => Err(Error::new(
            ErrorKind::Unsupported,
            "statements.list",
            format!("{} is not something this connector reads from MYOB", other.title()),
        )
        .next("Choose from: profit-and-loss, balance-sheet, trial-balance, bank-statement.")),
    }
}

impl MyobConnector {
    /// A whole list, or an error.
    async fn all<T: DeserializeOwned + Listed + Clone + PartialEq + Send>(
        &self,
        cx: &ReadCx,
        list: List<'_>,
        more: &[(&str, String)],
    ) -> Result<Vec<T>> {
        let pages = Snapshot::gather(list.op, cx.now(), PAGES_MAX, |at| {
            Box::pin(async move {
                let (items, next) = self.page::<T>(cx, list, more, &at).await?;
                Ok(Page { items, next, total: None })
            })
        });
        Ok(about(list.ledger, pages.await)?.items().to_vec())
    }

    async fn profit_and_loss(&self, cx: &ReadCx, ledger: &LedgerId, what: &StatementRequest) -> Result<Report> {
        let request = self.api.profit_and_loss(ledger, &what.period, what.basis)?;
        let answer = ask(cx, ledger, request).await?;
        about(ledger, Report::read(ledger, Span::Over(what.period), what.basis, &answer.body))
    }

    async fn balance_sheet(&self, cx: &ReadCx, ledger: &LedgerId, what: &StatementRequest) -> Result<Report> {
        let request = self.api.balance_sheet(ledger, &what.period, what.basis)?;
        let answer = ask(cx, ledger, request).await?;
        about(ledger, Report::read(ledger, Span::AsAt(what.period), what.basis, &answer.body))
    }

    async fn trial_balance(&self, cx: &ReadCx, ledger: &LedgerId, what: &StatementRequest) -> Result<StatementData> {
        let list = List { op: "accounts.list", ledger, resource: ACCOUNTS };
        let chart = self.all::<map::Account>(cx, list, &[]).await?;
        let balances = self.balance_sheet(cx, ledger, what).await?;
        let movements = self.profit_and_loss(cx, ledger, what).await?;
        let table = map::trial_balance(&balances, &movements, &map::accounts(&chart), &what.period);
        Ok(StatementData::Table(about(ledger, table)?))
    }

    async fn bank_statement(&self, cx: &ReadCx, ledger: &LedgerId, what: &StatementRequest) -> Result<StatementData> {
        const OP: &str = "bank_statement.get";
        let id = what.bank_account(OP)?;
        let answer = ask(cx, ledger, self.api.account(ledger, id)?).await?;
        let account = about(ledger, map::account(id, &answer.body))?;
        let list = List { op: OP, ledger, resource: LINES };
        let lines = self.all::<map::Line>(cx, list, &self.api.statement_lines(id, &what.period)?).await?;
        Ok(StatementData::Register(about(ledger, map::register(ledger, &account, &what.period, &lines))?))
    }
}

#[async_trait]
impl StatementSource for MyobConnector {
    async fn accounts(&self, cx: &ReadCx, ledger: &LedgerId, at: Cursor) -> Result<Page<LedgerAccount>> {
        const OP: &str = "accounts.list";
        same_file(OP, cx, ledger)?;
        let list = List { op: OP, ledger, resource: "Banking/BankAccount" };
        let (rows, next) = self.page::<map::BankAccount>(cx, list, &[], &at).await?;
        let rows = rows.into_iter().filter_map(|row| map::bank_account_of(ledger, row).transpose());
        Ok(Page { items: about(ledger, rows.collect())?, next, total: None })
    }

    async fn statements(
        &self,
        cx: &ReadCx,
        ledger: &LedgerId,
        what: &StatementRequest,
        at: Cursor,
    ) -> Result<Page<StatementRef>> {
        const OP: &str = "statements.list";
        same_file(OP, cx, ledger)?;
        at.one_page(OP)?;
        let wanted = resources(what.kind)?;
        if what.kind.per_account() {
            what.bank_account(OP)?;
        }
        self.preflight(cx, ledger, wanted).await?;
        Ok(Page::only(vec![StatementRef { ledger: ledger.clone(), request: what.clone(), item: None }]))
    }

    async fn fetch(&self, cx: &ReadCx, what: &StatementRef) -> Result<StatementData> {
        let (ledger, request) = (&what.ledger, &what.request);
        same_file("statement.get", cx, ledger)?;
        resources(request.kind)?;
        match request.kind {
            StatementKind::TrialBalance => self.trial_balance(cx, ledger, request).await,
            StatementKind::BankStatement => self.bank_statement(cx, ledger, request).await,
            StatementKind::BalanceSheet => {
                let report = self.balance_sheet(cx, ledger, request).await?;
                Ok(StatementData::Table(map::table("Balance Sheet", &report)))
            }
            _ => {
                let report = self.profit_and_loss(cx, ledger, request).await?;
                Ok(StatementData::Table(map::table("Profit and Loss", &report)))
            }
        }
    }
}
