//! What a client's ledger is: its accounts, its profile, and which of them the firm chose.

use std::collections::BTreeSet;

use ledgerward_contract::{
    AccountId, AccountKind, Cursor, Date, Error, ErrorKind, LedgerAccount, LedgerId, LedgerProfile, PeriodLength,
    Snapshot, SourceRef, StatementRef, StatementRequest, Timestamp,
};

use super::Job;
use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{
        finding::{Finding, Severity},
        firm::{AccountRef, Client, SelectionScope},
    },
    gather,
    statement::YearEnd,
    world::{Reach, Source},
};

pub(super) const PAGES_MAX: u32 = 10_000;

/// When a ledger's bank accounts were last listed.
const ACCOUNTS: &str = "accounts_read";

/// What a ledger said of itself, and when.
pub const PROFILE: &str = "profile";

/// A ledger of the client with what delivery needs to know about it.
pub(super) struct Books<'a> {
    pub(super) source: &'a Source,
    pub(super) reach: &'a Reach,
    pub(super) reference: SourceRef,
    pub(super) ledger: LedgerId,
    pub(super) profile: LedgerProfile,
    pub(super) accounts: Vec<LedgerAccount>,
    pub(super) year_end: YearEnd,
}

impl<'a> Job<'a> {
    /// `None`: this source has no statements at all.
    pub(super) async fn books(&mut self, reference: SourceRef) -> Result<Result<Option<Books<'a>>, Error>, Failure> {
        let Some(source) = self.world.sources.get(&reference.connection) else { return Ok(Ok(None)) };
        if source.connector.statements().is_none() {
            return Ok(Ok(None));
        }
        let reach = match reach(source, &reference, "statements.list") {
            Ok(reach) => reach,
            Err(e) => return Ok(Err(e)),
        };
        let ledger = LedgerId(reference.id.clone());
        let profile = match self.profile(&reference).await? {
            Ok(profile) => profile,
            Err(e) => return Ok(Err(e)),
        };
        let needs_accounts = self.kinds().iter().any(|k| k.per_account());
        let accounts = if needs_accounts {
            match bank_list(self.app, source, reach, &reference, self.picture.now).await? {
                Ok(list) => {
                    self.unknown_accounts(&reference, &list);
                    list
                }
                Err(e) => return Ok(Err(e)),
            }
        } else {
            Vec::new()
        };
        let (month, day) = self.client.year_end.or(profile.year_end).unwrap_or((12, 31));
        let year_end = YearEnd::new(month, day).or_else(|| YearEnd::new(12, 31));
        let Some(year_end) = year_end else { return Ok(Ok(None)) };
        Ok(Ok(Some(Books { source, reach, reference, ledger, profile, accounts, year_end })))
    }

    /// Accounts that somebody chose before the ledger's own were known, or that went away since.
    fn unknown_accounts(&mut self, reference: &SourceRef, list: &[LedgerAccount]) {
        let firm = &self.picture.firm;
        let selected = firm.selections.iter().filter(|((_, client), _)| *client == self.client.id);
        let selected = selected.filter_map(|(_, selection)| match &selection.scope {
            SelectionScope::Accounts(accounts) => Some(accounts),
            SelectionScope::Whole => None,
        });
        let chosen: BTreeSet<&AccountRef> = self.client.accounts.iter().chain(selected).flatten().collect();
        let here = |a: &&&AccountRef| a.connection == reference.connection && a.ledger.as_str() == reference.id;
        for account in chosen.iter().filter(here).filter(|a| !list.iter().any(|l| l.id == a.account)) {
            let has: Vec<&str> = list.iter().map(|l| l.name.as_str()).collect();
            self.out.findings.push(Finding::new(
                Severity::Warning,
                "account.unknown",
                format!("{}/{}/{}", self.client.slug, reference.id, account.account),
                format!(
                    "{}: {}:{} has no account {}, which was chosen; nothing is made of it.",
                    self.client.slug, reference.connection, reference.id, account.account
                ),
                format!("Choose among: {}. See: ledgerward clients accounts, ledgerward select", has.join(", ")),
            ));
        }
    }

    /// The ledger's own words about itself, read again once a day: year ends and lock dates change.
    pub(super) async fn profile(&self, reference: &SourceRef) -> Result<Result<LedgerProfile, Error>, Failure> {
        let now = self.picture.now;
        let doc = crate::memory::source_key(reference);
        let name = doc.clone();
        let kept: Option<(Timestamp, LedgerProfile)> =
            self.app.store.run_grouped(move |db| db.doc_get(PROFILE, &name)).await?;
        let day = jiff::SignedDuration::from_hours(24);
        if let Some((_, profile)) = kept.filter(|(read, _)| now.duration_since(*read) < day) {
            return Ok(Ok(profile));
        }
        match gather::profile(self.world, reference, now).await {
            Ok(profile) => {
                let keep = (now, profile.clone());
                self.app.store.run_grouped(move |db| db.doc_put(PROFILE, &doc, &keep)).await?;
                Ok(Ok(profile))
            }
            Err(e) => Ok(Err(e)),
        }
    }
}

/// Turning a client on back-fills to the start of the financial year that a day of three months ago is in;
/// `clients since` bounds it otherwise.
pub fn since(client: &Client, today: Date, year_end: YearEnd) -> Date {
    client.statements_since.unwrap_or_else(|| {
        let back = today.saturating_sub(jiff::Span::new().months(3));
        year_end.containing(back, PeriodLength::Year).start
    })
}

/// A ledger's bank accounts, or those of them that the firm chose.
pub fn chosen_accounts(client: &Client, source: &SourceRef, accounts: &[LedgerAccount]) -> Vec<AccountId> {
    let chosen = |a: &LedgerAccount| {
        let is = |r: &crate::domain::firm::AccountRef| {
            r.ledger.as_str() == source.id && r.account == a.id && r.connection == source.connection
        };
        client.accounts.as_ref().is_none_or(|c| c.iter().any(is))
    };
    let banks = accounts.iter().filter(|a| a.active && matches!(a.kind, AccountKind::Bank | AccountKind::CreditCard));
    banks.filter(|a| chosen(a)).map(|a| a.id.clone()).collect()
}

fn reach<'s>(source: &'s Source, reference: &SourceRef, operation: &'static str) -> Result<&'s Reach, Error> {
    source.reaches.iter().find(|r| r.dead.is_none() && r.may_reach(&reference.id)).ok_or_else(|| {
        Error::new(ErrorKind::Unauthenticated, operation, "nobody is signed in")
            .next(format!("Run: ledgerward connect {}", source.name))
    })
}

/// A ledger's accounts as its provider lists them now, kept for the next day.
pub async fn accounts_now(app: &App, reference: &SourceRef) -> Result<Result<Vec<LedgerAccount>, Error>, Failure> {
    let world = app.world().await?;
    let Some(source) = world.sources.get(&reference.connection) else {
        return Ok(Err(Error::new(ErrorKind::Unsupported, "accounts.list", "there is no such connection")));
    };
    match reach(source, reference, "accounts.list") {
        Ok(reach) => bank_list(app, source, reach, reference, app.now()).await,
        Err(e) => Ok(Err(e)),
    }
}

/// The ledger's bank accounts, read again once a day.
async fn bank_list(
    app: &App,
    source: &Source,
    reach: &Reach,
    reference: &SourceRef,
    now: Timestamp,
) -> Result<Result<Vec<LedgerAccount>, Error>, Failure> {
    let doc = crate::memory::source_key(reference);
    let ledger = LedgerId(reference.id.clone());
    let (name, at, of) = (doc.clone(), reference.connection.clone(), ledger.clone());
    let kept = app
        .store
        .run_grouped(move |db| Ok((db.doc_get::<Timestamp>(ACCOUNTS, &name)?, db.accounts(&at, &of)?)))
        .await?;
    if let (Some(read), Some(list)) = kept
        && now.duration_since(read) < jiff::SignedDuration::from_hours(24)
    {
        return Ok(Ok(list));
    }
    let list = match accounts(source, reach, &ledger, now).await {
        Ok(list) => list.items().to_vec(),
        Err(e) => return Ok(Err(e)),
    };
    let (keep, at) = (list.clone(), reference.connection.clone());
    app.store
        .run_grouped(move |db| {
            db.set_accounts(&at, &ledger, &keep)?;
            db.doc_put(ACCOUNTS, &doc, &now)
        })
        .await?;
    Ok(Ok(list))
}

pub(super) async fn references(
    books: &Books<'_>,
    request: &StatementRequest,
    now: Timestamp,
) -> Result<Snapshot<StatementRef>, Error> {
    let Some(api) = books.source.connector.statements() else {
        return Err(Error::new(ErrorKind::Unsupported, "statements.list", "this provider has no statements"));
    };
    let cx = books.reach.read(now);
    Snapshot::gather("statements.list", now, PAGES_MAX, |at: Cursor| {
        let cx = cx.clone();
        Box::pin(async move { api.statements(&cx, &books.ledger, request, at).await })
    })
    .await
}

pub(super) async fn accounts(
    source: &Source,
    reach: &Reach,
    ledger: &LedgerId,
    now: Timestamp,
) -> Result<Snapshot<LedgerAccount>, Error> {
    let Some(api) = source.connector.statements() else {
        return Err(Error::new(ErrorKind::Unsupported, "accounts.list", "this provider lists no accounts"));
    };
    let cx = reach.read(now);
    Snapshot::gather("accounts.list", now, PAGES_MAX, |at| {
        let cx = cx.clone();
        Box::pin(async move { api.accounts(&cx, ledger, at).await })
    })
    .await
}
