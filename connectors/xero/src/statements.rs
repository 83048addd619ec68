//! Statements: reports, registers and documents of one organisation.

use async_trait::async_trait;
use ledgerward_contract::{
    AccountId, Cursor, Document, Error, ErrorKind, LedgerAccount, LedgerId, Page, ReadCx, Result, Snapshot,
    StatementData, StatementItem, StatementKind, StatementRef, StatementRequest, StatementSource,
};
use ledgerward_kit::{about, cursor, state};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    XeroConnector,
    api::{self, Wanted},
    ask, ask_json, map,
};

/// How many transactions' attachments one page of the listing asks for.
const TRANSACTIONS_AT_ONCE: usize = 20;
/// Pages of a register before it is no register any more: 250,000 transactions of one account in one period.
const REGISTER_PAGES_MAX: u32 = 1_000;

/// Where the listing of transactions stands.
#[derive(Default, Serialize, Deserialize)]
struct PageAt {
    /// Pages read.
    pages: u32,
    /// What the last one began with.
    first: Option<Uuid>,
}

/// Where the listing of files stands.
#[derive(Default, Serialize, Deserialize)]
struct FilesAt {
    /// Pages read.
    pages: u32,
    seen: u64,
    total: Option<u64>,
}

/// Where the listing of attachments stands.
#[derive(Serialize, Deserialize)]
struct AttachmentsAt {
    /// The pages of transactions, `None` after the last.
    page: Option<PageAt>,
    /// Transactions with attachments that are not asked for yet, with their bank accounts.
    waiting: Vec<(Uuid, AccountId)>,
}

impl Default for AttachmentsAt {
    fn default() -> Self {
        Self { page: Some(PageAt::default()), waiting: Vec::new() }
    }
}

impl XeroConnector {
    /// The next page of transactions, and where the listing stands after it, `None` after the last.
    async fn transactions(
        &self,
        cx: &ReadCx,
        ledger: &LedgerId,
        what: &StatementRequest,
        at: &PageAt,
    ) -> Result<(map::TransactionPage, Option<PageAt>)> {
        let (account, number) = (what.account.as_ref(), at.pages.saturating_add(1));
        let request = self.api.bank_transactions(ledger, &what.period, account, number)?;
        let answer = ask_json(cx, ledger, request).await?;
        let page = about(ledger, map::transactions(&answer.body, number, &what.period, account))?;
        let first = page.items.first().map(|t| t.id);
        // Without a count of pages, a server that overlooks the page number would be asked for ever (P12).
        if first.is_some() && first == at.first {
            return about(ledger, Err(Error::contract("bank_transactions.list", "Xero gave the same page twice")));
        }
        let next = page.more.then_some(PageAt { pages: number, first });
        Ok((page, next))
    }

    /// All of one account's transactions in the period, or an error.
    async fn register(&self, cx: &ReadCx, ledger: &LedgerId, what: &StatementRequest) -> Result<StatementData> {
        const OP: &str = "bank_transactions.list";
        let account = self.account(cx, ledger, what.bank_account(OP)?).await?;
        let list = Snapshot::gather(OP, cx.now(), REGISTER_PAGES_MAX, |at| {
            Box::pin(async move {
                let (page, next) = self.transactions(cx, ledger, what, &state(OP, &at)?).await?;
                let next = next.map(|n| cursor(OP, &n)).transpose()?;
                Ok(Page { items: page.items, next, total: page.total })
            })
        });
        let list = about(ledger, list.await)?;
        Ok(StatementData::Register(map::register(account, list.items())))
    }

    async fn account(&self, cx: &ReadCx, ledger: &LedgerId, id: &AccountId) -> Result<LedgerAccount> {
        let answer = ask_json(cx, ledger, self.api.account(ledger, id)?).await?;
        about(ledger, map::bank_account(id, &answer.body))
    }

    async fn bank_statement(&self, cx: &ReadCx, ledger: &LedgerId, what: &StatementRequest) -> Result<StatementData> {
        let id = what.bank_account("bank_statement.get")?;
        let request = self.api.bank_statement(ledger, id, &what.period)?;
        // A refusal that is not about the tenant is about this restricted API alone and says nothing of the ledger.
        let refused = |e: &Error| e.kind == ErrorKind::Forbidden && e.get("reason") != Some(api::NOT_CONNECTED);
        let answer = ask_json(cx, ledger, request).await;
        let answer = answer.map_err(|e| if refused(&e) { no_statement_lines() } else { e })?;
        let account = self.account(cx, ledger, id).await?;
        let register = about(ledger, map::bank_statement(id, account.number, &what.period, &answer.body))?;
        Ok(StatementData::Register(register))
    }

    async fn file_page(
        &self,
        cx: &ReadCx,
        ledger: &LedgerId,
        what: &StatementRequest,
        at: &Cursor,
    ) -> Result<Page<StatementRef>> {
        const OP: &str = "files.list";
        let mut state: FilesAt = state(OP, at)?;
        state.pages = state.pages.saturating_add(1);
        let answer = ask_json(cx, ledger, self.api.files(ledger, state.pages)?).await?;
        let page = about(ledger, map::files(&answer.body, state.pages, &what.period))?;
        state.seen += page.listed;
        // The listing holds other periods' files too, so the count is kept here and not by the caller.
        let short = page.listed == 0 && state.seen != page.total;
        if short || state.seen > page.total || state.total.is_some_and(|t| t != page.total) {
            return about(ledger, Err(Error::contract(OP, "the list of files changed while it was read")));
        }
        state.total = Some(page.total);
        let next = (state.seen < page.total).then(|| cursor(OP, &state)).transpose()?;
        Ok(Page { items: references(ledger, what, page.items), next, total: None })
    }

    async fn attachment_page(
        &self,
        cx: &ReadCx,
        ledger: &LedgerId,
        what: &StatementRequest,
        at: &Cursor,
    ) -> Result<Page<StatementRef>> {
        const OP: &str = "attachments.list";
        let mut state: AttachmentsAt = state(OP, at)?;
        if state.waiting.is_empty()
            && let Some(at) = &state.page
        {
            let (page, next) = self.transactions(cx, ledger, what, at).await?;
            state.page = next;
            state.waiting = page
                .items
                .into_iter()
                .filter(|t| t.counts && t.line.has_documents)
                .map(|t| (t.id, t.account))
                .collect();
        }
        let rest = state.waiting.split_off(state.waiting.len().min(TRANSACTIONS_AT_ONCE));
        let mut items = Vec::new();
        for (transaction, account) in std::mem::replace(&mut state.waiting, rest) {
            let answer = ask_json(cx, ledger, self.api.attachments(ledger, transaction)?).await?;
            items.extend(about(ledger, map::attachments(transaction, &account, &answer.body))?);
        }
        let more = state.page.is_some() || !state.waiting.is_empty();
        let next = more.then(|| cursor(OP, &state)).transpose()?;
        Ok(Page { items: references(ledger, what, items), next, total: None })
    }

    async fn document(&self, cx: &ReadCx, what: &StatementRef) -> Result<StatementData> {
        const OP: &str = "document.get";
        let ledger = &what.ledger;
        let item = what.item.as_ref().ok_or_else(|| Error::contract(OP, "a document is asked for without its id"))?;
        let request = match item.id.split_once('/') {
            Some((transaction, id)) => {
                self.api.attachment(ledger, api::uuid(OP, transaction)?, api::uuid(OP, id)?, &item.mime)?
            }
            None => self.api.file(ledger, api::uuid(OP, &item.id)?, &item.mime)?,
        };
        let answer = ask(cx, Some(ledger), Wanted::Bytes(&item.mime), request).await?;
        if item.size.is_some_and(|size| size != answer.body.len() as u64) {
            return about(ledger, Err(Error::contract(OP, "the document is not as long as Xero's list says")));
        }
        Ok(StatementData::Document(Document { name: item.name.clone(), mime: item.mime.clone(), bytes: answer.body }))
    }
}

fn references(ledger: &LedgerId, what: &StatementRequest, items: Vec<StatementItem>) -> Vec<StatementRef> {
    let one = |item| StatementRef { ledger: ledger.clone(), request: what.clone(), item: Some(item) };
    items.into_iter().map(one).collect()
}

fn no_statement_lines() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "bank_statement.get",
        "bank statement lines are not available: Xero has not granted this app the Finance API scope \
         finance.bankstatementsplus.read",
    )
    .next(
        "Ask Xero for the scope; then set statement_lines = true, use the scopes \"granular-finance\" and sign in again. \
         Until then choose bank-register, which is the books' own record.",
    )
}

#[async_trait]
impl StatementSource for XeroConnector {
    async fn accounts(&self, cx: &ReadCx, ledger: &LedgerId, at: Cursor) -> Result<Page<LedgerAccount>> {
        const OP: &str = "accounts.list";
        at.one_page(OP)?;
        let answer = ask_json(cx, ledger, self.api.bank_accounts(ledger)?).await?;
        Ok(Page::only(about(ledger, map::bank_accounts(OP, &answer.body))?))
    }

    async fn statements(
        &self,
        cx: &ReadCx,
        ledger: &LedgerId,
        what: &StatementRequest,
        at: Cursor,
    ) -> Result<Page<StatementRef>> {
        const OP: &str = "statements.list";
        match what.kind {
            StatementKind::Files => return self.file_page(cx, ledger, what, &at).await,
            StatementKind::Attachments => return self.attachment_page(cx, ledger, what, &at).await,
            StatementKind::BankStatement if !self.settings.statement_lines => return Err(no_statement_lines()),
            StatementKind::BankStatement => {
                self.api.bank_statement(ledger, what.bank_account(OP)?, &what.period)?;
            }
            StatementKind::BankRegister => {
                what.bank_account(OP)?;
            }
            // A report that Xero cannot give is refused here, not when it is fetched.
            _ => {
                self.api.report(ledger, what)?;
            }
        }
        at.one_page(OP)?;
        Ok(Page::only(vec![StatementRef { ledger: ledger.clone(), request: what.clone(), item: None }]))
    }

    async fn fetch(&self, cx: &ReadCx, what: &StatementRef) -> Result<StatementData> {
        let (ledger, request) = (&what.ledger, &what.request);
        match request.kind {
            StatementKind::BankRegister => self.register(cx, ledger, request).await,
            StatementKind::BankStatement if !self.settings.statement_lines => Err(no_statement_lines()),
            StatementKind::BankStatement => self.bank_statement(cx, ledger, request).await,
            StatementKind::Files | StatementKind::Attachments => self.document(cx, what).await,
            _ => {
                let answer = ask_json(cx, ledger, self.api.report(ledger, request)?).await?;
                Ok(StatementData::Table(about(ledger, map::report(&answer.body))?))
            }
        }
    }
}
