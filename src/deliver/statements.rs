//! Which statements are due, read again, and new: the content's hash decides.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{
    AccountId, Date, Error, ErrorKind, LedgerAccount, Period, PeriodLength, SourceRef, StatementData, StatementKind,
    StatementRef, StatementRequest, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::{
    Job,
    books::{Books, may_have_papers, references},
    door::Door,
    files::SERVED,
    since::{place, since},
    told,
};
use crate::{
    app::App,
    apply::words,
    cli::outcome::Failure,
    domain::{
        finding::{Finding, Severity},
        policy::Papers,
    },
    statement::{self, Body, StatementKey, naming},
    store::{Db, StatementVersion},
};

/// Closed periods that are read again every week, because a restatement is found in no other way (`product` 6).
const RECHECK_PERIODS: usize = 3;

const RECHECK_DAYS: i64 = 7;

/// When a statement's content was last compared with its source.
pub(super) const READ: &str = "statement_read";

/// Statements whose content is in memory at a time, for each client: one with every line of a bank account may be long.
const TOGETHER: usize = 8;

/// What the store knows of a statement, or of a list of documents.
pub(super) struct Known {
    pub(super) key: StatementKey,
    /// The newest version, and when it was first read.
    pub(super) newest: Option<(u32, Timestamp)>,
    /// When it was last compared with its source.
    read: Option<Timestamp>,
    /// The folders in which all of a list of documents stands.
    pub(super) served: Option<BTreeSet<String>>,
}

impl Known {
    const fn was_read(&self) -> bool {
        self.newest.is_some() || self.read.is_some()
    }
}

/// Whether the source refuses the whole ledger, as connectors say it: `tenant_not_connected`, `company_not_connected`.
fn closed(e: &Error) -> bool {
    e.get("reason").is_some_and(|reason| reason.ends_with("_not_connected"))
}

/// What is stored of a version: everything but a document's bytes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StoredData {
    Table(ledgerward_contract::ReportTable),
    Register(ledgerward_contract::Register),
    Document { name: String, mime: String, size: u64 },
}

impl<'a> Job<'a> {
    /// Every kind that some target of this client wants.
    pub(super) fn kinds(&self) -> BTreeSet<StatementKind> {
        let of =
            |d: &Door<'_>| d.target.settings.kinds.clone().unwrap_or_else(|| self.app.config.statements.kinds.clone());
        let wanted = |k: &StatementKind| self.only.kind.is_none_or(|only| only == *k);
        self.doors.iter().filter(|d| d.takes_files()).flat_map(of).filter(wanted).collect()
    }

    pub(super) async fn ledger(&mut self, books: &mut Books<'a>, several: bool) -> Result<(), Failure> {
        let kept = self.kept(books).await?;
        self.out.matched += kept.len();
        for kind in self.kinds() {
            if !books.source.manifest.statements.contains(&kind) {
                self.not_available(books, kind, None, "this provider has none");
                continue;
            }
            let mut without = BTreeMap::new();
            let go_on = self.kind(books, kind, self.lists_again(&kept), several, &mut without).await?;
            self.accounts_without(books, kind, without);
            if !go_on {
                break;
            }
        }
        if self.app.process.stopping() { Ok(()) } else { self.send_again(books, &kept, several).await }
    }

    /// Every statement of a kind. False: the source is down, asks us to wait or is closed to us, and is not asked for the rest
    /// of the list. `lists` are those of documents that are due beside what the settings say; `without` becomes the accounts
    /// that have none of this kind, and why.
    async fn kind(
        &mut self,
        books: &mut Books<'a>,
        kind: StatementKind,
        lists: Vec<StatementRequest>,
        several: bool,
        without: &mut BTreeMap<AccountId, String>,
    ) -> Result<bool, Failure> {
        let mut requests = self.requests(books, kind);
        let lists: Vec<_> = lists.into_iter().filter(|l| l.kind == kind && !requests.contains(l)).collect();
        requests.extend(lists.iter().cloned());
        let keys = requests.into_iter().map(|request| self.key(books, request, None)).collect();
        let from = since(self.client, self.first(&books.reference), books.year_end);
        let mut known = self.known(keys).await?;
        // What is read again is what was read once: before its beginning a client gets nothing new.
        known.retain(|k| k.was_read() || k.key.request.period.end >= from || lists.contains(&k.key.request));
        self.out.matched += known.len();
        for some in known.chunks(TOGETHER) {
            let stored = self.stored(books, some).await?;
            for (known, stored) in some.iter().zip(stored) {
                if self.app.process.stopping() {
                    return Ok(false);
                }
                let account = known.key.request.account.as_ref();
                if account.is_some_and(|a| without.contains_key(a)) {
                    continue;
                }
                let Err(e) = self.request(books, known, stored, several).await? else { continue };
                // It did not fail: it was left, as all that comes after it.
                if e.kind == ErrorKind::Cancelled && self.app.process.stopping() {
                    return Ok(false);
                }
                if e.kind == ErrorKind::Unsupported {
                    // Of one account that says nothing about the others.
                    let Some(account) = account else {
                        self.not_available(books, kind, None, &words(&e));
                        return Ok(true);
                    };
                    without.insert(account.clone(), words(&e));
                    continue;
                }
                let period = books.year_end.label(&known.key.request.period);
                let text = format!("{}: {} {period}: {}", self.client.slug, kind.title(), words(&e));
                self.out.failed.push(text);
                match e.kind {
                    ErrorKind::Unavailable | ErrorKind::RateLimited | ErrorKind::Unauthenticated => return Ok(false),
                    // A scope may be missing for this kind alone.
                    ErrorKind::Forbidden => return Ok(!closed(&e)),
                    _ => {}
                }
            }
        }
        Ok(true)
    }

    fn key(&self, books: &Books<'_>, request: StatementRequest, item: Option<String>) -> StatementKey {
        StatementKey {
            client: self.client.id,
            connection: books.reference.connection.clone(),
            ledger: books.ledger.clone(),
            request,
            item,
        }
    }

    /// What the store knows of these, in one look.
    async fn known(&self, keys: Vec<StatementKey>) -> Result<Vec<Known>, Failure> {
        let look = move |db: &mut Db| {
            let one = |key: StatementKey| {
                let mut newest = db.statement_newest(&key.text())?;
                let mut key = key;
                if newest.is_none()
                    && let Some(former) = key.former()
                    && let Some(there) = db.statement_newest(&former.text())?
                {
                    (key, newest) = (former, Some(there));
                }
                let text = key.text();
                Ok(Known {
                    newest,
                    read: db.doc_get(READ, &text)?,
                    served: if key.request.kind.is_document() { db.doc_get(SERVED, &text)? } else { None },
                    key,
                })
            };
            keys.into_iter().map(one).collect()
        };
        Ok(self.app.store.run_grouped(look).await?)
    }

    /// The content of those that some folder lacks and that are not to be read again, in one look.
    async fn stored(&self, books: &Books<'_>, some: &[Known]) -> Result<Vec<Option<StatementVersion>>, Failure> {
        let wanted: Vec<Option<(String, u32)>> = some
            .iter()
            .map(|known| {
                let (version, _) = known.newest.filter(|_| !self.recheck_due(books, known))?;
                (!self.lacking(books, &known.key, version).is_empty()).then(|| (known.key.text(), version))
            })
            .collect();
        if wanted.iter().all(Option::is_none) {
            return Ok(vec![None; some.len()]);
        }
        let one = |db: &Db, wanted: Option<(String, u32)>| match wanted {
            Some((key, version)) => db.statement_at(&key, version),
            None => Ok(None),
        };
        Ok(self.app.store.run_grouped(move |db| wanted.into_iter().map(|w| one(db, w)).collect()).await?)
    }

    /// Told once for the kind where all accounts have one reason, as where the whole app lacks a scope.
    fn accounts_without(&mut self, books: &Books<'_>, kind: StatementKind, without: BTreeMap<AccountId, String>) {
        if without.is_empty() {
            return;
        }
        let all: BTreeSet<AccountId> = self.requests(books, kind).into_iter().filter_map(|r| r.account).collect();
        let reasons: BTreeSet<&String> = without.values().collect();
        if without.len() > 1
            && without.len() == all.len()
            && reasons.len() == 1
            && let Some(why) = reasons.first()
        {
            self.not_available(books, kind, None, why);
            return;
        }
        for (account, why) in &without {
            self.not_available(books, kind, Some(account), why);
        }
    }

    fn not_available(&mut self, books: &Books<'_>, kind: StatementKind, account: Option<&AccountId>, why: &str) {
        let name =
            |id: &AccountId| books.accounts.iter().find(|a| a.id == *id).map_or(id.to_string(), |a| a.name.clone());
        let of = account.map_or_else(String::new, |id| format!("{} at ", name(id)));
        let (slug, ledger) = (&self.client.slug, &books.profile.name);
        let text = format!("{slug}: {} of {of}{ledger} is not available: {why}", kind.title());
        let place = account.map_or_else(String::new, |id| format!("/{id}"));
        if !self.out.not_available.contains(&text) {
            self.out.not_available.push(text.clone());
            self.out.findings.push(Finding::new(
                Severity::Notice,
                "statement.not_available",
                format!("{slug}/{}/{}{place}", books.reference.id, kind.slug()),
                text,
                match account {
                    None => "Take the kind out of the configuration, or ask the provider for it.".to_owned(),
                    Some(_) => format!("Choose the accounts that have it: ledgerward clients accounts {slug} ACCOUNT…"),
                },
            ));
        }
    }

    /// The day of a ledger's first delivery.
    fn first(&self, reference: &SourceRef) -> Date {
        self.firsts.get(&place(self.client.id, reference)).copied().unwrap_or_else(|| self.today())
    }

    /// What is due, and what is read again whatever is due: a client's beginning may have been set to a later day since.
    fn requests(&self, books: &Books<'_>, kind: StatementKind) -> Vec<StatementRequest> {
        let settings = &self.app.config.statements;
        let lengths: BTreeSet<PeriodLength> = if kind.per_account() || kind.is_document() {
            [PeriodLength::Month].into()
        } else {
            settings.periods.clone()
        };
        let (from, today) = (since(self.client, self.first(&books.reference), books.year_end), self.today());
        let periods: Vec<Period> = lengths
            .into_iter()
            .flat_map(|length| {
                let due = books.year_end.due(length, from, today, settings.after_days);
                let mut again = self.last_closed(books, length, None);
                again.retain(|period| !due.contains(period));
                again.into_iter().chain(due)
            })
            .filter(|period| {
                self.only.period.as_ref().is_none_or(|only| only.eq_ignore_ascii_case(&books.year_end.label(period)))
            })
            .collect();
        let basis = naming::basis_of(kind, settings.basis);
        let request = |period: &Period, account| StatementRequest { kind, basis, period: *period, account };
        if !kind.per_account() {
            return periods.iter().map(|period| request(period, None)).collect();
        }
        // What the firm pushes, and what somebody was given a folder of its own for.
        let own = |account: &AccountId| {
            let of = |d: &&Door<'_>| d.takes_files() && d.papers != Papers::All;
            let takes = |d: &Door<'_>| d.papers.take(&books.reference.connection, &books.ledger, Some(account));
            self.doors.iter().filter(of).any(takes)
        };
        let wanted = |period: &Period, a: &LedgerAccount| {
            (own(&a.id) && may_have_papers(a, &books.closed, period)) || self.pushes(books, &a.id, period)
        };
        let of = |period| {
            let accounts = books.accounts.iter().filter(move |a| wanted(period, a));
            accounts.map(move |a| request(period, Some(a.id.clone())))
        };
        periods.iter().flat_map(of).collect()
    }

    /// One statement, or one list of documents. `stored` is its newest version, where some folder lacks that.
    async fn request(
        &mut self,
        books: &mut Books<'a>,
        known: &Known,
        stored: Option<StatementVersion>,
        several: bool,
    ) -> Result<Result<(), Error>, Failure> {
        let (key, request) = (&known.key, &known.key.request);
        let Some(api) = books.source.connector.statements() else { return Ok(Ok(())) };
        if request.kind.is_document() {
            if self.served(known) && !self.recheck_due(books, known) {
                return Ok(Ok(()));
            }
            let refs = match references(books, request, self.picture.now).await {
                Ok(refs) => refs,
                Err(e) => return Ok(Err(e)),
            };
            let trouble = self.out.left();
            let key_of = |one: &StatementRef| {
                let item = one.item.as_ref().map(|i| i.id.clone());
                self.key(books, request.clone(), item)
            };
            let each = self.known(refs.items().iter().map(key_of).collect()).await?;
            for (one, known) in refs.items().iter().zip(&each) {
                if let Err(e) = self.document(books, known, one, several).await? {
                    return Ok(Err(e));
                }
            }
            self.send_all().await?;
            if trouble == self.out.left() {
                self.keep_served(key).await?;
            }
            return Ok(Ok(()));
        }
        let version = if known.newest.is_none() || self.recheck_due(books, known) {
            let refs = match references(books, request, self.picture.now).await {
                Ok(refs) => refs,
                Err(e) => return Ok(Err(e)),
            };
            let Some(one) = refs.items().first() else { return Ok(Ok(())) };
            let data = match api.fetch(&books.reach.read(self.picture.now), one).await {
                Ok(data) => data,
                Err(e) => return Ok(Err(e)),
            };
            match self.take(books, key, request, data).await? {
                Ok(version) => version,
                Err(e) => return Ok(Err(e)),
            }
        } else {
            stored
        };
        if let Some(version) = version {
            self.push(books, key, &version, several).await?;
        }
        Ok(Ok(()))
    }

    /// The folders that take this list of documents, or those of it that are of their account.
    pub(super) fn takers(&self, key: &StatementKey) -> BTreeSet<String> {
        let takes = |d: &&Door<'_>| {
            let account = if let Papers::Of(a) = d.papers { Some(&a.account) } else { None };
            self.takes_document(d, key, account)
        };
        self.doors.iter().filter(takes).map(|d| crate::lanes::lane_text(&d.lane)).collect()
    }

    /// The last closed periods are compared again every week, up to the lock date, and once when they are locked; lists of documents every day, since
    /// people add to them when they find the time.
    fn recheck_due(&self, books: &Books<'_>, known: &Known) -> bool {
        let request = &known.key.request;
        let last = |locked_to| self.last_closed(books, request.period.length, locked_to).contains(&request.period);
        if !last(books.profile.locked_to) {
            // What was changed right before it was locked is found by one more reading after that.
            let locked = books.locks.since(request.period.end).filter(|_| last(None));
            return locked.is_some_and(|locked| known.read.is_none_or(|read| read < locked));
        }
        let days = if request.kind.is_document() { 1 } else { RECHECK_DAYS };
        let pause = jiff::SignedDuration::from_hours(24 * days);
        known.read.is_none_or(|at| self.picture.now.duration_since(at) >= pause)
    }

    /// The periods that may have changed since they were read: those that end after the lock date.
    fn last_closed(&self, books: &Books<'_>, length: PeriodLength, locked_to: Option<Date>) -> Vec<Period> {
        let after_days = self.app.config.statements.after_days;
        books.year_end.recheck(length, self.today(), after_days, locked_to, RECHECK_PERIODS)
    }

    /// Checks what came and stores it as a version, new or the same as before.
    pub(super) async fn take(
        &mut self,
        books: &mut Books<'_>,
        key: &StatementKey,
        request: &StatementRequest,
        data: StatementData,
    ) -> Result<Result<Option<StatementVersion>, Error>, Failure> {
        let hash = statement::content_hash(request, &data)
            .map_err(|e| Failure::new(crate::cli::outcome::Exit::Failed, format!("a statement cannot be hashed: {e}")))?
            .to_string();
        let mut found = Vec::new();
        if let Some(body) = Body::of(data.clone()) {
            if statement::check::other_organisation(&body, &books.profile.name).is_some()
                && let Err(e) = self.renamed(books).await?
            {
                return Ok(Err(e));
            }
            if let Some(other) = statement::check::other_organisation(&body, &books.profile.name) {
                let text = format!("the report names \"{other}\", and \"{}\" was asked for", books.profile.name);
                return Ok(Err(Error::contract("statement.fetch", text)
                    .next("Nothing of it was kept. It is asked for again in the next run.")));
            }
            found = self.mismatches(books, key, &body);
        }
        let stored = match data {
            StatementData::Table(table) => StoredData::Table(table),
            StatementData::Register(register) => StoredData::Register(register),
            StatementData::Document(d) => {
                StoredData::Document { name: d.name, mime: d.mime, size: d.bytes.len() as u64 }
            }
        };
        let body = serde_json::to_string(&stored).map_err(|e| {
            Failure::new(crate::cli::outcome::Exit::Failed, format!("a statement cannot be stored: {e}"))
        })?;
        let (text, now) = (key.text(), self.picture.now);
        let (run, scope) = (self.picture.run, told::content(key));
        let version = self
            .app
            .store
            .run_grouped(move |db| {
                let (version, _) = db.statement_version(&text, &hash, &body, now)?;
                db.doc_put(READ, &text, &now)?;
                told::keep(db, run, &scope, &found, now)?;
                Ok(version)
            })
            .await?;
        Ok(Ok(Some(version)))
    }
}

/// What is stored of a version, to be rendered. `None` for a document: its bytes are not kept.
pub fn body_of(version: &StatementVersion) -> Option<Body> {
    match serde_json::from_str::<StoredData>(&version.data).ok()? {
        StoredData::Table(table) => Some(Body::Table(table)),
        StoredData::Register(register) => Some(Body::Register(register)),
        StoredData::Document { .. } => None,
    }
}

/// What a version changed of the one before it, in one sentence. `None` for the first.
pub async fn change_of(
    app: &App,
    key: &StatementKey,
    version: &StatementVersion,
    body: &Body,
) -> Result<Option<String>, Failure> {
    if version.version < 2 {
        return Ok(None);
    }
    let (text, before) = (key.text(), version.version - 1);
    let old = app.store.run_grouped(move |db| db.statement_at(&text, before)).await?;
    let data = |body: Body| match body {
        Body::Table(table) => StatementData::Table(table),
        Body::Register(register) => StatementData::Register(register),
    };
    let Some(old) = old.and_then(|v| body_of(&v)) else { return Ok(None) };
    Ok(Some(statement::summary_of_change(&data(old), &data(body.clone()))))
}
