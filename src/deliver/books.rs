//! What a client's ledger is: its accounts, its profile, and which of them the firm chose.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{
    AccountId, AccountKind, Cursor, Error, ErrorKind, LedgerAccount, LedgerId, LedgerProfile, Snapshot, SourceRef,
    StatementRef, StatementRequest, Timestamp,
};

use super::{
    Job,
    locks::{LOCKS, Locks},
};
use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{
        finding::{Finding, Severity},
        firm::{AccountRef, Client, SelectionScope},
    },
    gather,
    statement::{YearEnd, check::same_name},
    store::Db,
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
    /// When it was read.
    pub(super) profile_read: Timestamp,
    pub(super) locks: Locks,
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
        let (profile_read, profile, locks) = match self.profile(&reference).await? {
            Ok(said) => said,
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
        Ok(Ok(Some(Books { source, reach, reference, ledger, profile, profile_read, locks, accounts, year_end })))
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
    async fn profile(&self, reference: &SourceRef) -> Result<Result<Said, Error>, Failure> {
        let now = self.picture.now;
        let name = crate::memory::source_key(reference);
        let kept = move |db: &mut Db| Ok((db.doc_get(PROFILE, &name)?, db.doc_get(LOCKS, &name)?));
        let (kept, locks): (Option<(Timestamp, LedgerProfile)>, Option<Locks>) =
            self.app.store.run_grouped(kept).await?;
        let day = jiff::SignedDuration::from_hours(24);
        if let Some((read, profile)) = kept.filter(|(read, _)| now.duration_since(*read) < day) {
            let locks = locks.unwrap_or_else(|| Locks::default().see(profile.locked_to, read));
            return Ok(Ok((read, profile, locks)));
        }
        match gather::profile(self.world, reference, now).await {
            Ok(profile) => Ok(Ok(self.keep_profile(reference, profile).await?)),
            Err(e) => Ok(Err(e)),
        }
    }

    async fn keep_profile(&self, reference: &SourceRef, profile: LedgerProfile) -> Result<Said, Failure> {
        let (now, name) = (self.picture.now, crate::memory::source_key(reference));
        let keep = move |db: &mut Db| {
            let locks = db.doc_get::<Locks>(LOCKS, &name)?.unwrap_or_default().see(profile.locked_to, now);
            let kept = (now, profile);
            db.doc_put(PROFILE, &name, &kept)?;
            db.doc_put(LOCKS, &name, &locks)?;
            Ok((now, kept.1, locks))
        };
        Ok(self.app.store.run_grouped(keep).await?)
    }

    /// Asks the ledger for its name now, because a report has another one than what is kept of it: it may have been renamed
    /// since. A name that another ledger of the connection is known by is not taken over: then the provider may be mixing them
    /// up, and that word is no better than the report (N14).
    pub(super) async fn renamed(&self, books: &mut Books<'_>) -> Result<Result<(), Error>, Failure> {
        if books.profile_read >= self.picture.now {
            return Ok(Ok(()));
        }
        let profile = match gather::profile(self.world, &books.reference, self.picture.now).await {
            Ok(profile) => profile,
            Err(e) => return Ok(Err(e)),
        };
        books.profile_read = self.picture.now;
        let kept: BTreeMap<String, (Timestamp, LedgerProfile)> =
            self.app.store.run_grouped(|db| db.doc_all(PROFILE)).await?;
        let own = crate::memory::source_key(&books.reference);
        if kept.iter().any(|(ledger, (_, other))| *ledger != own && same_name(&other.name, &profile.name)) {
            return Ok(Ok(()));
        }
        let reference = books.reference.clone();
        (books.profile_read, books.profile, books.locks) = self.keep_profile(&reference, profile).await?;
        Ok(Ok(()))
    }
}

/// What a ledger said of itself, when, and since when it is locked.
type Said = (Timestamp, LedgerProfile, Locks);

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
