//! Statements: reports, the bank register and documents of one company.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use ledgerward_contract::{
    AccountId, Cursor, Date, Document, Error, ErrorKind, LedgerAccount, LedgerId, Page, ReadCx, Result, StatementData,
    StatementKind, StatementRef, StatementRequest, StatementSource,
};
use ledgerward_kit::{about, cursor, state};
use serde::{Deserialize, Serialize};

use crate::{
    QuickBooksConnector,
    api::{self, Wanted},
    ask, map, only,
};

/// Transactions whose days one request asks for; more would make the address too long.
const DAYS_AT_ONCE: usize = 100;

/// Where a query stands. Every page begins with the last row of the one before, which shows whether the set has shifted.
#[derive(Serialize, Deserialize)]
struct Rows {
    /// The first row of the next page, from 1.
    from: usize,
    /// The row that has to stand there.
    last: Option<String>,
}

impl Default for Rows {
    fn default() -> Self {
        Self { from: 1, last: None }
    }
}

impl Rows {
    /// The rows of a page and the next cursor. The row that comes twice collapses where the pages are gathered.
    fn turn<T>(
        &self,
        op: &'static str,
        page: map::QueryPage<T>,
        id: impl Fn(&T) -> &str,
    ) -> Result<(Vec<T>, Option<Cursor>)> {
        let rows = page.rows;
        let last = rows.last().filter(|_| page.more);
        let next = last.map(|last| Self { from: self.from + rows.len() - 1, last: Some(id(last).to_owned()) });
        if self.last.as_ref().is_some_and(|expected| rows.first().is_none_or(|r| id(r) != expected)) {
            return Err(Error::contract(op, "the list changed while it was read"));
        }
        Ok((rows, next.map(|n| cursor(op, &n)).transpose()?))
    }
}

impl QuickBooksConnector {
    async fn account(&self, cx: &ReadCx, ledger: &LedgerId, id: &AccountId) -> Result<LedgerAccount> {
        let answer = ask(cx, ledger, Wanted::Json, self.api.account(ledger, id)?).await?;
        about(ledger, map::account(id, &answer.body))
    }

    /// All of one account's movements in the period, or an error.
    async fn register(&self, cx: &ReadCx, ledger: &LedgerId, what: &StatementRequest) -> Result<StatementData> {
        let id = what.account.as_ref();
        let id = id.ok_or_else(|| Error::contract("register.get", "a register needs a bank account"))?;
        let account = self.account(cx, ledger, id).await?;
        let mut parts = Vec::new();
        for (from, to) in api::parts(&what.period) {
            let answer = ask(cx, ledger, Wanted::Json, self.api.register(ledger, id, from, to)?).await?;
            parts.push(about(ledger, map::part(&account, from, to, &answer.body))?);
        }
        Ok(StatementData::Register(about(ledger, map::register(account, parts))?))
    }

    /// One page of all documents, and of those the ones that belong to the period: by their transactions' days, or by their
    /// own where they belong to no transaction.
    async fn documents(
        &self,
        cx: &ReadCx,
        ledger: &LedgerId,
        what: &StatementRequest,
        at: &Cursor,
    ) -> Result<Page<StatementRef>> {
        const OP: &str = "attachables.list";
        let rows = state::<Rows>(OP, at)?;
        let answer = ask(cx, ledger, Wanted::Json, self.api.attachables(ledger, rows.from)?).await?;
        let page = map::query::<map::Attachable>(OP, &answer.body, "Attachable", rows.from, api::PAGE);
        let (documents, next) = about(ledger, page.and_then(|p| rows.turn(OP, p, map::Attachable::id)))?;
        let attached = what.kind == StatementKind::Attachments;
        let days = if attached { self.days(cx, ledger, &documents).await? } else { BTreeMap::new() };
        let within = |day: &Date| (what.period.start..=what.period.end).contains(day);
        let mut items = Vec::new();
        for document in documents {
            about(ledger, document.belongs(ledger))?;
            let of: Vec<_> = document.transactions().map(|(kind, id)| (kind, id.to_owned())).collect();
            let wanted = if attached {
                of.iter().any(|of| days.get(of).is_some_and(within))
            } else {
                of.is_empty() && within(&about(ledger, document.day())?)
            };
            items.extend(if wanted { document.item() } else { None });
        }
        let one = |item| StatementRef { ledger: ledger.clone(), request: what.clone(), item: Some(item) };
        Ok(Page { items: items.into_iter().map(one).collect(), next, total: None })
    }

    /// The days of the transactions that documents belong to.
    async fn days(
        &self,
        cx: &ReadCx,
        ledger: &LedgerId,
        documents: &[map::Attachable],
    ) -> Result<BTreeMap<(&'static str, String), Date>> {
        let mut wanted: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
        for (kind, id) in documents.iter().flat_map(map::Attachable::transactions) {
            wanted.entry(kind).or_default().insert(id.to_owned());
        }
        let mut days = BTreeMap::new();
        for (kind, ids) in wanted {
            let ids: Vec<_> = ids.into_iter().collect();
            for some in ids.chunks(DAYS_AT_ONCE) {
                let answer = ask(cx, ledger, Wanted::Json, self.api.days(ledger, kind, some)?).await?;
                let found = about(ledger, map::days(kind, some, &answer.body))?;
                days.extend(found.into_iter().map(|(id, day)| ((kind, id), day)));
            }
        }
        Ok(days)
    }

    /// A document's bytes, at an address asked for right before: it ends after a quarter of an hour.
    async fn document(&self, cx: &ReadCx, what: &StatementRef) -> Result<StatementData> {
        const OP: &str = "attachment.get";
        let ledger = &what.ledger;
        let item = what.item.as_ref().ok_or_else(|| Error::contract(OP, "a document is asked for without its id"))?;
        let answer = ask(cx, ledger, Wanted::Json, self.api.attachable(ledger, &item.id)?).await?;
        let address = about(ledger, map::address(ledger, &item.id, &answer.body))?;
        let answer = ask(cx, ledger, Wanted::Bytes, self.api.download(ledger, &address)?).await?;
        if item.size.is_some_and(|size| size != answer.body.len() as u64) {
            return about(ledger, Err(Error::contract(OP, "the document is not as long as QuickBooks' list says")));
        }
        Ok(StatementData::Document(Document { name: item.name.clone(), mime: item.mime.clone(), bytes: answer.body }))
    }
}

fn no_such(op: &'static str, kind: StatementKind) -> Error {
    let why = match kind {
        StatementKind::BankStatement => "QuickBooks gives no app the lines that came from the bank",
        _ => "QuickBooks has no report of this kind",
    };
    Error::new(ErrorKind::Unsupported, op, why)
}

#[async_trait]
impl StatementSource for QuickBooksConnector {
    async fn accounts(&self, cx: &ReadCx, ledger: &LedgerId, at: Cursor) -> Result<Page<LedgerAccount>> {
        const OP: &str = "accounts.list";
        only(cx, OP, ledger)?;
        let rows = state::<Rows>(OP, &at)?;
        let answer = ask(cx, ledger, Wanted::Json, self.api.accounts(ledger, rows.from)?).await?;
        let page = map::query::<map::Account>(OP, &answer.body, "Account", rows.from, api::PAGE);
        let (accounts, next) = about(ledger, page.and_then(|p| rows.turn(OP, p, map::Account::id)))?;
        Ok(Page { items: accounts.into_iter().filter_map(map::Account::bank).collect(), next, total: None })
    }

    async fn statements(
        &self,
        cx: &ReadCx,
        ledger: &LedgerId,
        what: &StatementRequest,
        at: Cursor,
    ) -> Result<Page<StatementRef>> {
        const OP: &str = "statements.list";
        only(cx, OP, ledger)?;
        match what.kind {
            StatementKind::Files | StatementKind::Attachments => self.documents(cx, ledger, what, &at).await,
            StatementKind::BankSummary | StatementKind::BankStatement => Err(no_such(OP, what.kind)),
            _ => {
                at.one_page(OP)?;
                Ok(Page::only(vec![StatementRef { ledger: ledger.clone(), request: what.clone(), item: None }]))
            }
        }
    }

    async fn fetch(&self, cx: &ReadCx, what: &StatementRef) -> Result<StatementData> {
        let (ledger, request) = (&what.ledger, &what.request);
        only(cx, "statement.get", ledger)?;
        match request.kind {
            StatementKind::BankRegister => self.register(cx, ledger, request).await,
            StatementKind::Files | StatementKind::Attachments => self.document(cx, what).await,
            StatementKind::BankSummary | StatementKind::BankStatement => Err(no_such("statement.get", request.kind)),
            _ => {
                let answer = ask(cx, ledger, Wanted::Json, self.api.report(ledger, request)?).await?;
                Ok(StatementData::Table(about(ledger, map::report(request, &answer.body))?))
            }
        }
    }
}
