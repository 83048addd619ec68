//! What a client's ledger is: its accounts, its profile, and which of them the firm chose.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{
    AccountId, AccountKind, Cursor, Date, Error, ErrorKind, LedgerAccount, LedgerId, LedgerProfile, Period, Snapshot,
    SourceRef, StatementRef, StatementRequest, Timestamp,
};
use serde::{Deserialize, Serialize};

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

/// The accounts of each ledger that it lists as closed.
pub const CLOSED: &str = "accounts_closed";

/// Days for which a closed account is told.
const CLOSED_TOLD: i32 = 90;

/// An account that its ledger lists as closed, by the firm's calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// When it was last listed as open; `None`: never since ledgerward reads this ledger.
    open: Option<Date>,
    /// When it was first listed as closed.
    seen: Date,
}

pub type ClosedAccounts = BTreeMap<AccountId, Closed>;

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
    pub(super) closed: ClosedAccounts,
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
        let (accounts, closed) = if needs_accounts {
            match bank_list(self.app, source, reach, &reference, self.picture.now).await? {
                Ok((list, closed)) => {
                    self.unknown_accounts(&reference, &list);
                    self.closed_accounts(&reference, &list, &closed);
                    (list, closed)
                }
                Err(e) => return Ok(Err(e)),
            }
        } else {
            (Vec::new(), BTreeMap::new())
        };
        let (month, day) = self.client.year_end.or(profile.year_end).unwrap_or((12, 31));
        let year_end = YearEnd::new(month, day).or_else(|| YearEnd::new(12, 31));
        let Some(year_end) = year_end else { return Ok(Ok(None)) };
        Ok(Ok(Some(Books {
            source,
            reach,
            reference,
            ledger,
            profile,
            profile_read,
            locks,
            accounts,
            closed,
            year_end,
        })))
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

    /// Accounts that nobody chose by name and that take part no more, because the ledger calls them closed.
    fn closed_accounts(&mut self, reference: &SourceRef, list: &[LedgerAccount], closed: &ClosedAccounts) {
        let told = |c: &&Closed| c.seen.until(self.today()).is_ok_and(|past| past.get_days() <= CLOSED_TOLD);
        let words = |a: &LedgerAccount| {
            // Of one that was never seen open no papers were made.
            let open = closed.get(&a.id).filter(told)?.open?;
            Some(format!("{} ({}, last open {open})", a.name, a.id))
        };
        let gone: Vec<String> = list.iter().filter(|a| is_bank(a)).filter_map(words).collect();
        if gone.is_empty() || self.client.accounts.is_some() {
            return;
        }
        let (slug, connection, ledger) = (&self.client.slug, &reference.connection, &reference.id);
        self.out.findings.push(Finding::new(
            Severity::Notice,
            "account.closed",
            format!("{slug}/{ledger}"),
            format!(
                "{slug}: {connection}:{ledger} calls these accounts closed, and their papers end with the period in which each was last open: {}.",
                gone.join(", ")
            ),
            format!("If one is wanted all the same, choose by name all that are: ledgerward clients accounts {slug} ACCOUNT…"),
        ));
    }

    /// Whether a folder of the client as a whole takes this account's papers of a period.
    pub(super) fn pushes(&self, books: &Books<'_>, account: &AccountId, period: &Period) -> bool {
        books
            .accounts
            .iter()
            .any(|a| a.id == *account && pushed(self.client, &books.reference, a, &books.closed, period))
    }

    /// Whether the firm's own settings have this account's papers in the client's folder, whatever became of the account: what
    /// was delivered once stays.
    pub(super) fn chooses(&self, books: &Books<'_>, account: &AccountId) -> bool {
        self.client.accounts.as_ref().is_none_or(|c| c.iter().any(|r| names(r, &books.reference, account)))
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
            let before = match db.doc_get::<Locks>(LOCKS, &name)? {
                Some(locks) => locks,
                // A profile that was kept before its locks were.
                None => db
                    .doc_get::<(Timestamp, LedgerProfile)>(PROFILE, &name)?
                    .map(|(read, was)| Locks::default().see(was.locked_to, read))
                    .unwrap_or_default(),
            };
            let locks = before.see(profile.locked_to, now);
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

fn is_bank(account: &LedgerAccount) -> bool {
    matches!(account.kind, AccountKind::Bank | AccountKind::CreditCard)
}

/// Whether the firm pushes an account's papers of a period: those it chose by name, whatever the ledger calls them; else the
/// bank accounts that are open, and of a closed one the periods that began while it was still seen open.
pub fn pushed(
    client: &Client,
    source: &SourceRef,
    account: &LedgerAccount,
    closed: &ClosedAccounts,
    period: &Period,
) -> bool {
    match &client.accounts {
        Some(chosen) => chosen.iter().any(|r| names(r, source, &account.id)),
        None => is_bank(account) && has_papers(account, closed, period),
    }
}

/// Whether an account has papers of a period: it is open, or was when the period began.
fn has_papers(account: &LedgerAccount, closed: &ClosedAccounts, period: &Period) -> bool {
    let was_open = |c: &Closed| c.open.is_some_and(|day| period.start <= day);
    account.active || closed.get(&account.id).is_some_and(was_open)
}

/// The same of an account that somebody was given by name. Of one that was closed before anybody looked, nobody knows when: what
/// began before that may have papers.
pub fn may_have_papers(account: &LedgerAccount, closed: &ClosedAccounts, period: &Period) -> bool {
    let before = |c: &Closed| period.start <= c.open.unwrap_or(c.seen);
    account.active || closed.get(&account.id).is_some_and(before)
}

/// Whether this is what names an account of a ledger.
pub fn names(by: &AccountRef, source: &SourceRef, account: &AccountId) -> bool {
    by.account == *account && by.ledger.as_str() == source.id && by.connection == source.connection
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
        Ok(reach) => Ok(bank_list(app, source, reach, reference, app.now()).await?.map(|(list, _)| list)),
        Err(e) => Ok(Err(e)),
    }
}

/// The ledger's bank accounts, read again once a day, and which of them are closed.
async fn bank_list(
    app: &App,
    source: &Source,
    reach: &Reach,
    reference: &SourceRef,
    now: Timestamp,
) -> Result<Result<(Vec<LedgerAccount>, ClosedAccounts), Error>, Failure> {
    let doc = crate::memory::source_key(reference);
    let ledger = LedgerId(reference.id.clone());
    let (name, at, of) = (doc.clone(), reference.connection.clone(), ledger.clone());
    let look = move |db: &mut Db| {
        let closed: ClosedAccounts = db.doc_get(CLOSED, &name)?.unwrap_or_default();
        Ok((db.doc_get::<Timestamp>(ACCOUNTS, &name)?.zip(db.accounts(&at, &of)?), closed))
    };
    let (kept, closed) = app.store.run_grouped(look).await?;
    if let Some((read, list)) = &kept
        && now.duration_since(*read) < jiff::SignedDuration::from_hours(24)
    {
        return Ok(Ok((list.clone(), closed)));
    }
    let list = match accounts(source, reach, &ledger, now).await {
        Ok(list) => list.items().to_vec(),
        Err(e) => return Ok(Err(e)),
    };
    let day = |at: Timestamp| at.to_zoned(app.config.firm.timezone.clone()).date();
    let before = kept.map(|(read, list)| (day(read), list));
    let closed = closed_now(&list, before.as_ref(), &closed, day(now));
    let (keep, gone, at) = (list.clone(), closed.clone(), reference.connection.clone());
    app.store
        .run_grouped(move |db| {
            db.set_accounts(&at, &ledger, &keep)?;
            db.doc_put(CLOSED, &doc, &gone)?;
            db.doc_put(ACCOUNTS, &doc, &now)
        })
        .await?;
    Ok(Ok((list, closed)))
}

/// The accounts that are closed today. One was last open when the list was read `before`, if it was open then.
fn closed_now(
    list: &[LedgerAccount],
    before: Option<&(Date, Vec<LedgerAccount>)>,
    known: &ClosedAccounts,
    today: Date,
) -> ClosedAccounts {
    let closed = |account: &LedgerAccount| {
        let open = before.filter(|(_, list)| list.iter().any(|a| a.id == account.id && a.active)).map(|(day, _)| *day);
        let closed = known.get(&account.id).copied().unwrap_or(Closed { open, seen: today });
        (account.id.clone(), closed)
    };
    list.iter().filter(|a| !a.active).map(closed).collect()
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
