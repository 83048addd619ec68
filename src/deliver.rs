//! Which statement goes where. The content's hash decides: what is there already is not sent again, and a file goes only
//! into a folder that passed the fence in this run.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use ledgerward_contract::{
    AccountId, AccountKind, Allowed, Audience, Cursor, Date, Email, Error, ErrorKind, Expect, Fenced, FileKey,
    FilePath, FolderId, Holder, LedgerAccount, LedgerId, LedgerProfile, Period, PeriodLength, ReadCx, ReservedId,
    SeenPermission, Snapshot, SourceKind, SourceRef, StatementData, StatementFile, StatementKind, StatementRef,
    StatementRequest, StorageTarget, Timestamp,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    app::App,
    apply::{self, LaneDone, LaneEnd, via_words, words},
    cli::{console::Console, outcome::Failure},
    config::schema,
    domain::{
        finding::{Finding, Severity},
        firm::{AccountRef, Client, ClientState, SelectionScope, TargetName},
        lane::{Delivered, LaneKey},
        plan,
    },
    engine::Picture,
    gather,
    statement::{self, Body, Format, Head, Look, Statement, StatementKey, Template, Wanted, YearEnd, naming},
    store::{DeliveredFile, Intent, JournalOp, Outcome, StatementVersion},
    world::{Reach, Source, Target, World},
};

/// Clients worked on side by side. The quota layer keeps every vendor's limits; the journal's disk sets the pace.
const CLIENTS_AT_ONCE: usize = 16;
const PAGES_MAX: u32 = 10_000;
/// Closed periods that are read again every week, because a restatement is found in no other way (`product` 6).
const RECHECK_PERIODS: usize = 3;
const RECHECK_DAYS: i64 = 7;
/// When a statement's content was last compared with its source.
const READ: &str = "statement_read";
/// The findings that a delivery speaks about.
const SCOPE: &str = "files";
/// Subject: target and client. All others of the scope begin with the client.
const WAITING: &str = "files.waiting";
/// When a ledger's bank accounts were last listed.
const ACCOUNTS: &str = "accounts_read";
/// The folders in which every document of a list stands.
const SERVED: &str = "documents_served";
/// The id made beforehand for a file that is not known to be there yet, by folder and key: a search lags behind a write
/// (S10), so only a repeat under the same id makes nothing twice, whatever process does it.
const FILE_ID: &str = "file_id";
/// What a ledger said of itself, and when.
pub const PROFILE: &str = "profile";

/// One file that is on a target now and was not before.
#[derive(Clone, Debug, Serialize)]
pub struct FileDone {
    pub client: String,
    pub lane: LaneKey,
    pub path: String,
    pub size: u64,
    /// `restated: 3 lines changed …`, from version 2 on.
    pub change: Option<String>,
}

/// Files that wait in one folder, and for what.
#[derive(Clone, Debug, Serialize)]
pub struct Waiting {
    pub client: String,
    pub lane: LaneKey,
    pub why: String,
}

/// What a delivery did and did not do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Delivery {
    pub files: Vec<FileDone>,
    pub waiting: Vec<Waiting>,
    /// What a source does not give, said once for each client and kind.
    pub not_available: Vec<String>,
    pub failed: Vec<String>,
    #[serde(skip)]
    findings: Vec<Finding>,
}

impl Delivery {
    fn join(&mut self, other: Self) {
        self.files.extend(other.files);
        self.waiting.extend(other.waiting);
        self.not_available.extend(other.not_available);
        self.failed.extend(other.failed);
        self.findings.extend(other.findings);
    }
}

/// Which statements a delivery is about, where a person asked for less than everything.
#[derive(Clone, Debug, Default)]
pub struct Only {
    /// As [`YearEnd::label`] writes it.
    pub period: Option<String>,
    pub kind: Option<StatementKind>,
    /// Puts a version's new rendering in the place of its old one where the bytes differ (`decisions` 24).
    pub rerender: bool,
    /// Not everything is looked at, so that no finding is resolved by not looking.
    pub part: bool,
}

/// Whether a folder takes files.
enum Entry {
    Open(Fenced<FolderId>),
    Closed(String),
    /// Its list was not read in this run, because nothing changed there: it is read before the first file.
    Unread(FolderId, Allowed),
}

/// A folder that may take files, or why it may not.
struct Door<'a> {
    lane: LaneKey,
    target: &'a Target,
    entry: Entry,
    taken: BTreeMap<FileKey, FilePath>,
    there: BTreeMap<FileKey, DeliveredFile>,
}

/// Delivers everything that is due, to every client that has a folder for it.
pub async fn run(
    app: &App,
    world: &World,
    picture: &Picture,
    lanes: &[LaneDone],
    console: &mut dyn Console,
) -> Result<Delivery, Failure> {
    run_only(app, world, picture, lanes, &Only::default(), console).await
}

/// [`run`] for some statements.
pub async fn run_only(
    app: &App,
    world: &World,
    picture: &Picture,
    lanes: &[LaneDone],
    only: &Only,
    console: &mut dyn Console,
) -> Result<Delivery, Failure> {
    let delivered = app.store.run(|db| db.delivered()).await?;
    let mut doors: BTreeMap<ledgerward_contract::ClientId, Vec<Door<'_>>> = BTreeMap::new();
    let targets: Vec<TargetName> = world.targets.keys().cloned().collect();
    let decider = picture.decider(&targets);
    for plan in picture.verdict.cleared.lanes() {
        let Some(target) = world.targets.get(&plan.lane.target).filter(|_| plan.delivery) else { continue };
        let done = lanes.iter().find(|l| l.lane == plan.lane);
        let planned = plan.planned(&decider);
        let entry = door(picture, target, plan, done, planned).unwrap_or_else(Entry::Closed);
        let there: BTreeMap<_, _> =
            delivered.get(&plan.lane).into_iter().flatten().map(|f| (f.delivered.key.clone(), f.clone())).collect();
        let taken = there
            .iter()
            .filter_map(|(key, f)| {
                let names = f.delivered.path.split('/').map(str::to_owned).collect();
                Some((key.clone(), FilePath::new(names)?))
            })
            .collect();
        doors.entry(plan.lane.folder.client).or_default().push(Door {
            lane: plan.lane.clone(),
            target,
            entry,
            taken,
            there,
        });
    }
    if !doors.is_empty() {
        console.note(&format!("Looking for statements of {} …", crate::render::plan::count(doors.len(), "client")));
    }
    let jobs = doors.into_iter().filter_map(|(id, doors)| {
        let client = picture.firm.clients.get(&id).filter(|c| c.state == ClientState::Active)?;
        Some(Job { app, world, picture, only, client, doors, out: Delivery::default() }.run())
    });
    let results: Vec<Result<Delivery, Failure>> = stream::iter(jobs).buffer_unordered(CLIENTS_AT_ONCE).collect().await;
    let mut all = Delivery::default();
    for one in results {
        all.join(one?);
    }
    all.files.sort_by(|a, b| (&a.lane, &a.path).cmp(&(&b.lane, &b.path)));
    all.waiting.sort_by(|a, b| a.lane.cmp(&b.lane));
    all.not_available.sort();
    all.failed.sort();
    if !only.part {
        tell(app, picture, &all).await?;
    }
    Ok(all)
}

async fn tell(app: &App, picture: &Picture, all: &Delivery) -> Result<(), Failure> {
    let mut found = all.findings.clone();
    for wait in &all.waiting {
        found.push(Finding::new(
            Severity::Warning,
            WAITING,
            format!("{}/{}", wait.lane.target, wait.client),
            format!("No file goes into the folder of {} on {}: {}.", wait.client, wait.lane.target, wait.why),
            "Put it right, or accept it with `ledgerward holders accept`; what waits goes by itself then.",
        ));
    }
    let (run, now) = (picture.run, picture.now);
    // After a look at some clients, what is known of all others stays as it was.
    let looked: Option<BTreeSet<String>> = picture.clients.as_ref().map(|ids| {
        ids.iter().filter_map(|id| picture.firm.clients.get(id)).map(|client| client.slug.clone()).collect()
    });
    app.store
        .run(move |db| {
            if let Some(slugs) = looked {
                let open = db.open_findings()?.into_iter().filter(|row| row.scope == SCOPE).map(|row| row.finding);
                found.extend(open.filter(|f| !slug_of(f).is_some_and(|slug| slugs.contains(slug))));
            }
            db.sync_findings(run, SCOPE, &found, now)
        })
        .await?;
    Ok(())
}

/// The client that a finding of this scope is about.
fn slug_of(finding: &Finding) -> Option<&str> {
    finding.subject.split('/').nth(usize::from(finding.code == WAITING))
}

/// The fence, and everything else that keeps files out of a folder.
fn door(
    picture: &Picture,
    target: &Target,
    plan: &plan::LanePlan,
    done: Option<&LaneDone>,
    planned: BTreeSet<Email>,
) -> Result<Entry, String> {
    if let Some(why) = plan.waits(picture.now) {
        return Err(why.to_owned());
    }
    if let Some(done) = done
        && done.files_stop
    {
        return Err(match done.end {
            LaneEnd::Drifted => "its sharing list changed while the plan was made; the next run looks again".to_owned(),
            _ => done.trouble.clone().unwrap_or_else(|| "a step on its sharing list failed".to_owned()),
        });
    }
    let known = picture.book.lanes.get(&plan.lane);
    let folder = done.and_then(|d| d.folder.clone()).or_else(|| known.and_then(|k| k.folder().cloned()));
    let Some(folder) = folder else { return Err("its folder does not exist yet".to_owned()) };
    if picture.book.sharing(&plan.lane.target) == plan::Sharing::Off {
        let schema::Sharing::Off { audience } = &target.settings.sharing else {
            return Err("the target has no sharing lists; set sharing = \"off\" and say who can read it".to_owned());
        };
        let audience = Audience::new(audience).ok_or("the configuration does not say who can read this target")?;
        return Ok(Entry::Open(Fenced::managed_elsewhere(folder, &audience)));
    }
    let mut allowed = Allowed { planned, ..Allowed::default() };
    allowed.always.extend(picture.firm.policy.always_allowed.iter().cloned());
    allowed.always.extend(target.settings.always_allowed.iter().cloned());
    if let Some(known) = known {
        allowed.accepted.extend(known.accepted.iter().map(|a| a.holder.clone()));
        let planned = &allowed.planned;
        let ids = known.known_ids().iter().filter(|(_, email)| planned.contains(*email));
        allowed.known_ids = ids.map(|(id, _)| id.clone()).collect();
        let granted = known.owned.iter().filter(|o| allowed.planned.contains(&o.grant.who));
        allowed.known_ids.extend(granted.map(|o| o.grant.permission.clone()));
    }
    match done.and_then(|d| d.list.as_ref()).or_else(|| known.and_then(|k| k.list())) {
        Some(list) => fence(folder, list, allowed).map(Entry::Open),
        None => match known.filter(|k| k.is_remembered()).and_then(|k| k.entries()) {
            Some(list) => {
                // Whoever was there when nothing changed since is there now: no need to ask for a folder that is open.
                let strangers: Vec<_> = list.iter().filter(|p| !with_owner(&allowed, list).admits(p)).collect();
                if strangers.is_empty() { Ok(Entry::Unread(folder, allowed)) } else { Err(open_to(strangers)) }
            }
            None => Err("its sharing list could not be read in this run".to_owned()),
        },
    }
}

/// The owner is always allowed: it is whose folder it is.
fn with_owner(allowed: &Allowed, list: &[SeenPermission]) -> Allowed {
    let mut allowed = allowed.clone();
    allowed.always.extend(list.iter().filter_map(|p| match (&p.holder, &p.role) {
        (Holder::Person(email), ledgerward_contract::SeenRole::Owner) => Some(email.clone()),
        _ => None,
    }));
    allowed
}

fn fence(folder: FolderId, list: &Snapshot<SeenPermission>, allowed: Allowed) -> Result<Fenced<FolderId>, String> {
    let allowed = with_owner(&allowed, list.items());
    Fenced::check(folder, list, &allowed).map_err(|broken| open_to(&broken.strangers))
}

fn open_to<'p>(strangers: impl IntoIterator<Item = &'p SeenPermission>) -> String {
    let who: Vec<_> = strangers.into_iter().map(|p| format!("{} ({})", p.holder, via_words(&p.via))).collect();
    format!("it is open to {}", who.join(", "))
}

impl Door<'_> {
    fn takes_files(&self) -> bool {
        !matches!(self.entry, Entry::Closed(_))
    }

    /// Reads and fences the folder if that was not done yet in this run. `Some`: it is closed, and why.
    async fn enter(&mut self, now: Timestamp) -> Option<String> {
        if let Entry::Unread(folder, allowed) = &self.entry {
            let list = gather::sharing(self.target, folder, now).await;
            let fenced = match list {
                Ok(list) => fence(folder.clone(), &list, allowed.clone()),
                Err(e) => Err(format!("its sharing list could not be read: {}", words(&e))),
            };
            self.entry = fenced.map_or_else(Entry::Closed, Entry::Open);
            if let Entry::Closed(why) = &self.entry {
                return Some(why.clone());
            }
        }
        None
    }
}

/// One client's statements.
struct Job<'a> {
    app: &'a App,
    world: &'a World,
    picture: &'a Picture,
    only: &'a Only,
    client: &'a Client,
    doors: Vec<Door<'a>>,
    out: Delivery,
}

/// A ledger of the client with what delivery needs to know about it.
struct Books<'a> {
    source: &'a Source,
    reach: &'a Reach,
    reference: SourceRef,
    ledger: LedgerId,
    profile: LedgerProfile,
    accounts: Vec<LedgerAccount>,
    year_end: YearEnd,
}

/// What is stored of a version: everything but a document's bytes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredData {
    Table(ledgerward_contract::ReportTable),
    Register(ledgerward_contract::Register),
    Document { name: String, mime: String, size: u64 },
}

impl<'a> Job<'a> {
    async fn run(mut self) -> Result<Delivery, Failure> {
        let ledgers: Vec<SourceRef> =
            self.client.sources.iter().filter(|s| s.kind == SourceKind::Ledger).cloned().collect();
        let several = ledgers.len() > 1;
        let open = self.doors.iter().any(Door::takes_files);
        for door in &self.doors {
            if let Entry::Closed(why) = &door.entry {
                self.out.waiting.push(Waiting {
                    client: self.client.slug.clone(),
                    lane: door.lane.clone(),
                    why: why.clone(),
                });
            }
        }
        if !open {
            return Ok(self.out);
        }
        for reference in ledgers {
            match self.books(reference.clone()).await? {
                Ok(Some(books)) => self.ledger(&books, several).await?,
                Ok(None) => {}
                Err(e) => self.out.failed.push(format!("{}: {}", self.client.slug, words(&e))),
            }
        }
        Ok(self.out)
    }

    /// `None`: this source has no statements at all.
    async fn books(&mut self, reference: SourceRef) -> Result<Result<Option<Books<'a>>, Error>, Failure> {
        let Some(source) = self.world.sources.get(&reference.connection) else { return Ok(Ok(None)) };
        if source.connector.statements().is_none() {
            return Ok(Ok(None));
        }
        let Some(reach) = source.reaches.iter().find(|r| r.dead.is_none() && r.may_reach(&reference.id)) else {
            let e = Error::new(ErrorKind::Unauthenticated, "statements.list", "nobody is signed in");
            return Ok(Err(e.next(format!("Run: ledgerward connect {}", source.name))));
        };
        let ledger = LedgerId(reference.id.clone());
        let profile = match self.profile(&reference).await? {
            Ok(profile) => profile,
            Err(e) => return Ok(Err(e)),
        };
        let needs_accounts = self.kinds().iter().any(|k| k.per_account());
        let accounts = if needs_accounts {
            match self.bank_list(source, reach, &reference, &ledger).await? {
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

    /// The ledger's bank accounts, read again once a day.
    async fn bank_list(
        &self,
        source: &Source,
        reach: &Reach,
        reference: &SourceRef,
        ledger: &LedgerId,
    ) -> Result<Result<Vec<LedgerAccount>, Error>, Failure> {
        let now = self.picture.now;
        let doc = crate::memory::source_key(reference);
        let (name, at, of) = (doc.clone(), reference.connection.clone(), ledger.clone());
        let kept = self
            .app
            .store
            .run(move |db| Ok((db.doc_get::<Timestamp>(ACCOUNTS, &name)?, db.accounts(&at, &of)?)))
            .await?;
        if let (Some(read), Some(list)) = kept
            && now.duration_since(read) < jiff::SignedDuration::from_hours(24)
        {
            return Ok(Ok(list));
        }
        let list = match accounts(source, reach, ledger, now).await {
            Ok(list) => list.items().to_vec(),
            Err(e) => return Ok(Err(e)),
        };
        let (keep, at, of) = (list.clone(), reference.connection.clone(), ledger.clone());
        self.app
            .store
            .run(move |db| {
                db.set_accounts(&at, &of, &keep)?;
                db.doc_put(ACCOUNTS, &doc, &now)
            })
            .await?;
        Ok(Ok(list))
    }

    /// The ledger's own words about itself, read again once a day: year ends and lock dates change.
    async fn profile(&self, reference: &SourceRef) -> Result<Result<LedgerProfile, Error>, Failure> {
        let now = self.picture.now;
        let doc = crate::memory::source_key(reference);
        let name = doc.clone();
        let kept: Option<(Timestamp, LedgerProfile)> = self.app.store.run(move |db| db.doc_get(PROFILE, &name)).await?;
        let day = jiff::SignedDuration::from_hours(24);
        if let Some((_, profile)) = kept.filter(|(read, _)| now.duration_since(*read) < day) {
            return Ok(Ok(profile));
        }
        match gather::profile(self.world, reference, now).await {
            Ok(profile) => {
                let keep = (now, profile.clone());
                self.app.store.run(move |db| db.doc_put(PROFILE, &doc, &keep)).await?;
                Ok(Ok(profile))
            }
            Err(e) => Ok(Err(e)),
        }
    }

    /// Every kind that some target of this client wants.
    fn kinds(&self) -> BTreeSet<StatementKind> {
        let of =
            |d: &Door<'_>| d.target.settings.kinds.clone().unwrap_or_else(|| self.app.config.statements.kinds.clone());
        let wanted = |k: &StatementKind| self.only.kind.is_none_or(|only| only == *k);
        self.doors.iter().filter(|d| d.takes_files()).flat_map(of).filter(wanted).collect()
    }

    fn today(&self) -> Date {
        self.picture.now.to_zoned(self.app.config.firm.timezone.clone()).date()
    }

    async fn ledger(&mut self, books: &Books<'a>, several: bool) -> Result<(), Failure> {
        for kind in self.kinds() {
            if !books.source.manifest.statements.contains(&kind) {
                self.not_available(books, kind, "this provider has none");
                continue;
            }
            for request in self.requests(books, kind) {
                match self.request(books, &request, several).await? {
                    Ok(()) => {}
                    Err(e) if e.kind == ErrorKind::Unsupported => {
                        self.not_available(books, kind, &words(&e));
                        break;
                    }
                    Err(e) => {
                        let text = format!(
                            "{}: {} {}: {}",
                            self.client.slug,
                            kind.title(),
                            books.year_end.label(&request.period),
                            words(&e)
                        );
                        self.out.failed.push(text);
                        // A source that is down or asks us to wait is not asked for the rest of the list.
                        if matches!(
                            e.kind,
                            ErrorKind::Unavailable
                                | ErrorKind::RateLimited
                                | ErrorKind::Unauthenticated
                                | ErrorKind::Forbidden
                        ) {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn not_available(&mut self, books: &Books<'_>, kind: StatementKind, why: &str) {
        let text = format!("{}: {} of {} is not available: {why}", self.client.slug, kind.title(), books.profile.name);
        if !self.out.not_available.contains(&text) {
            self.out.not_available.push(text.clone());
            self.out.findings.push(Finding::new(
                Severity::Notice,
                "statement.not_available",
                format!("{}/{}/{}", self.client.slug, books.reference.id, kind.slug()),
                text,
                "Take the kind out of the configuration, or ask the provider for it.",
            ));
        }
    }

    fn requests(&self, books: &Books<'_>, kind: StatementKind) -> Vec<StatementRequest> {
        let settings = &self.app.config.statements;
        let lengths: BTreeSet<PeriodLength> = if kind.per_account() || kind.is_document() {
            [PeriodLength::Month].into()
        } else {
            settings.periods.clone()
        };
        let periods: Vec<Period> = lengths
            .into_iter()
            .flat_map(|length| {
                books.year_end.due(
                    length,
                    since(self.client, self.today(), books.year_end),
                    self.today(),
                    settings.after_days,
                )
            })
            .filter(|period| {
                self.only.period.as_ref().is_none_or(|only| only.eq_ignore_ascii_case(&books.year_end.label(period)))
            })
            .collect();
        let accounts: Vec<Option<AccountId>> = if kind.per_account() {
            chosen_accounts(self.client, &books.reference, &books.accounts).into_iter().map(Some).collect()
        } else {
            vec![None]
        };
        periods
            .iter()
            .flat_map(|period| {
                accounts.iter().map(move |account| StatementRequest {
                    kind,
                    basis: settings.basis,
                    period: *period,
                    account: account.clone(),
                })
            })
            .collect()
    }

    async fn request(
        &mut self,
        books: &Books<'a>,
        request: &StatementRequest,
        several: bool,
    ) -> Result<Result<(), Error>, Failure> {
        let key = |item: Option<String>| StatementKey {
            client: self.client.id,
            connection: books.reference.connection.clone(),
            ledger: books.ledger.clone(),
            request: request.clone(),
            item,
        };
        let Some(api) = books.source.connector.statements() else { return Ok(Ok(())) };
        let cx = books.reach.read(self.picture.now);
        if request.kind.is_document() {
            let whole = key(None);
            if self.served(&whole).await? && !self.recheck_due(books, request, &whole).await? {
                return Ok(Ok(()));
            }
            let refs = match references(books, request, self.picture.now).await {
                Ok(refs) => refs,
                Err(e) => return Ok(Err(e)),
            };
            let trouble = (self.out.failed.len(), self.out.waiting.len());
            for one in refs.items() {
                let key = key(one.item.as_ref().map(|i| i.id.clone()));
                if let Err(e) = self.document(books, &key, one, several).await? {
                    return Ok(Err(e));
                }
            }
            if trouble == (self.out.failed.len(), self.out.waiting.len()) {
                self.keep_served(&whole).await?;
            }
            return Ok(Ok(()));
        }
        let key = key(None);
        let latest = self.latest(&key).await?;
        let version = if latest.is_none() || self.recheck_due(books, request, &key).await? {
            let refs = match references(books, request, self.picture.now).await {
                Ok(refs) => refs,
                Err(e) => return Ok(Err(e)),
            };
            let Some(one) = refs.items().first() else { return Ok(Ok(())) };
            let data = match api.fetch(&cx, one).await {
                Ok(data) => data,
                Err(e) => return Ok(Err(e)),
            };
            match self.take(books, &key, request, data).await? {
                Ok(version) => version,
                Err(e) => return Ok(Err(e)),
            }
        } else {
            latest
        };
        let Some(version) = version else { return Ok(Ok(())) };
        self.push(books, &key, &version, several).await?;
        Ok(Ok(()))
    }

    async fn latest(&self, key: &StatementKey) -> Result<Option<StatementVersion>, Failure> {
        let text = key.text();
        Ok(self.app.store.run(move |db| db.statement_latest(&text)).await?)
    }

    /// The folders that take this list of documents.
    fn takers(&self, key: &StatementKey) -> BTreeSet<String> {
        let at = 0..self.doors.len();
        let doors = at.filter(|at| self.takes_document(*at, key)).filter_map(|at| self.doors.get(at));
        doors.map(|d| crate::lanes::lane_text(&d.lane)).collect()
    }

    /// Every document of this list stands in every folder that takes it now.
    async fn served(&self, key: &StatementKey) -> Result<bool, Failure> {
        let text = key.text();
        let served: Option<BTreeSet<String>> = self.app.store.run(move |db| db.doc_get(SERVED, &text)).await?;
        Ok(served.is_some_and(|s| self.takers(key).is_subset(&s)) && !self.only.rerender)
    }

    async fn keep_served(&self, key: &StatementKey) -> Result<(), Failure> {
        let (text, takers, now) = (key.text(), self.takers(key), self.picture.now);
        self.app
            .store
            .run(move |db| {
                let mut served: BTreeSet<String> = db.doc_get(SERVED, &text)?.unwrap_or_default();
                served.extend(takers);
                db.doc_put(SERVED, &text, &served)?;
                db.doc_put(READ, &text, &now)
            })
            .await?;
        Ok(())
    }

    /// The last closed periods are compared again every week, up to the lock date; lists of documents every day, since
    /// people add to them when they find the time.
    async fn recheck_due(
        &self,
        books: &Books<'_>,
        request: &StatementRequest,
        key: &StatementKey,
    ) -> Result<bool, Failure> {
        let settings = &self.app.config.statements;
        let open = books.year_end.recheck(
            request.period.length,
            self.today(),
            settings.after_days,
            books.profile.locked_to,
            RECHECK_PERIODS,
        );
        if !open.contains(&request.period) {
            return Ok(false);
        }
        let text = key.text();
        let read: Option<Timestamp> = self.app.store.run(move |db| db.doc_get(READ, &text)).await?;
        let days = if request.kind.is_document() { 1 } else { RECHECK_DAYS };
        let pause = jiff::SignedDuration::from_hours(24 * days);
        Ok(read.is_none_or(|at| self.picture.now.duration_since(at) >= pause))
    }

    /// Checks what came and stores it as a version, new or the same as before.
    async fn take(
        &mut self,
        books: &Books<'_>,
        key: &StatementKey,
        request: &StatementRequest,
        data: StatementData,
    ) -> Result<Result<Option<StatementVersion>, Error>, Failure> {
        let hash = statement::content_hash(request, &data)
            .map_err(|e| Failure::new(crate::cli::outcome::Exit::Failed, format!("a statement cannot be hashed: {e}")))?
            .to_string();
        if let Some(body) = Body::of(data.clone()) {
            if let Some(other) = statement::check::other_organisation(&body, &books.profile.name) {
                let text = format!("the report names \"{other}\", and \"{}\" was asked for", books.profile.name);
                return Ok(Err(Error::contract("statement.fetch", text)
                    .next("Nothing of it was kept. It is asked for again in the next run.")));
            }
            for mismatch in statement::check(request.kind, &body) {
                self.out.findings.push(Finding::new(
                    Severity::Warning,
                    "statement.totals_differ",
                    format!("{}/{}", self.client.slug, key.id8()),
                    format!(
                        "{} {} of {}: {mismatch}.",
                        request.kind.title(),
                        books.year_end.label(&request.period),
                        self.client.name
                    ),
                    "Look at this report in the ledger; the file shows what the ledger says.",
                ));
            }
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
        let version = self
            .app
            .store
            .run(move |db| {
                let (version, _) = db.statement_version(&text, &hash, &body, now)?;
                db.doc_put(READ, &text, &now)?;
                Ok(version)
            })
            .await?;
        Ok(Ok(Some(version)))
    }

    /// Renders a version for every folder that lacks it.
    async fn push(
        &mut self,
        books: &Books<'a>,
        key: &StatementKey,
        version: &StatementVersion,
        several: bool,
    ) -> Result<(), Failure> {
        let Some(body) = body_of(version) else {
            self.out.failed.push(format!("{}: a stored statement cannot be read", self.client.slug));
            return Ok(());
        };
        let change = change_of(self.app, key, version, &body).await?;
        let statement = Statement { head: self.head(books, key, version, change.clone()), body };
        for at in 0..self.doors.len() {
            let Some(formats) = self.wanted_formats(at, key) else { continue };
            for format in formats {
                let file_key = key.file_key(version.version, format.ext());
                let there = self.doors.get(at).and_then(|d| d.there.get(&file_key));
                let there = there.map(|f| f.delivered.content_hash.clone());
                if there.is_some() && !self.only.rerender {
                    continue;
                }
                let rendered = match statement::render(&statement, format, &Look::default()) {
                    Ok(rendered) => rendered,
                    // One format less is no missing statement: the others have the same lines.
                    Err(statement::RenderError::NoOfx(why)) => {
                        self.no_ofx(key, why);
                        continue;
                    }
                    Err(e) => {
                        self.out.failed.push(format!("{}: {e}", self.client.slug));
                        continue;
                    }
                };
                if there.is_some_and(|sha| sha == hex_sha(&rendered.bytes)) {
                    continue;
                }
                self.rendering_findings(&rendered, key);
                let wanted = self.wanted(books, key, several, version.version, None).rendered(format);
                let file = Outgoing {
                    key: file_key,
                    mime: rendered.mime.to_owned(),
                    bytes: rendered.bytes,
                    version,
                    format: format.slug(),
                    change: change.clone(),
                };
                self.put(at, wanted, file).await?;
            }
        }
        Ok(())
    }

    fn no_ofx(&mut self, key: &StatementKey, why: &str) {
        let account = key.request.account.as_ref().map_or("", AccountId::as_str);
        self.out.findings.push(Finding::new(
            Severity::Notice,
            "statement.no_ofx",
            format!("{}/{account}", self.client.slug),
            format!("{}: a bank statement has no OFX file: {why}.", self.client.name),
            "Nothing must be done; take \"ofx\" out of the formats if no account needs it.",
        ));
    }

    fn rendering_findings(&mut self, rendered: &statement::Rendered, key: &StatementKey) {
        for finding in &rendered.findings {
            self.out.findings.push(Finding::new(
                Severity::Notice,
                "statement.rendering",
                format!("{}/{}/{}", self.client.slug, key.request.kind.slug(), rendered.ext),
                format!("{}: {finding}.", self.client.name),
                "Nothing must be done; the file is complete otherwise.",
            ));
        }
    }

    fn head(&self, books: &Books<'_>, key: &StatementKey, version: &StatementVersion, change: Option<String>) -> Head {
        let account = key.request.account.as_ref().and_then(|id| books.accounts.iter().find(|a| &a.id == id));
        let title = books.source.manifest.title;
        head(self.app, &self.client.name, title, &books.profile, account, books.year_end, key, version, change)
    }

    /// The formats in which this folder wants this kind; `None` where it takes no file of it.
    fn wanted_formats(&self, at: usize, key: &StatementKey) -> Option<Vec<Format>> {
        let door = self.doors.get(at).filter(|d| d.takes_files())?;
        let settings = &door.target.settings;
        let kinds = settings.kinds.as_ref().unwrap_or(&self.app.config.statements.kinds);
        let formats = settings.formats.as_ref().unwrap_or(&self.app.config.statements.formats);
        // A folder of one account takes that account's papers and no others.
        let belongs = door.lane.folder.account.is_none() || door.lane.folder.account == key.request.account;
        (belongs && kinds.contains(&key.request.kind))
            .then(|| Format::of(key.request.kind).filter(|f| formats.contains(f)).collect())
    }

    fn wanted(
        &self,
        books: &Books<'_>,
        key: &StatementKey,
        several: bool,
        version: u32,
        document: Option<String>,
    ) -> Wanted {
        let account = key.request.account.as_ref().and_then(|id| books.accounts.iter().find(|a| &a.id == id));
        Wanted {
            key: key.clone(),
            year_end: books.year_end,
            ledger: several.then(|| books.profile.name.clone()),
            account: account.map(|a| a.name.clone()),
            document,
            both_bases: false,
            version,
            ext: "bin".to_owned(),
        }
    }

    /// A document goes byte for byte. Its bytes are read once for all folders, and only if one of them lacks it.
    async fn document(
        &mut self,
        books: &Books<'a>,
        key: &StatementKey,
        one: &StatementRef,
        several: bool,
    ) -> Result<Result<(), Error>, Failure> {
        let Some(item) = &one.item else { return Ok(Ok(())) };
        let latest = self.latest(key).await?;
        let lacking = |job: &Self, version: u32| -> Vec<usize> {
            let file_key = key.file_key(version, "doc");
            (0..job.doors.len())
                .filter(|at| job.takes_document(*at, key))
                .filter(|at| job.doors.get(*at).is_some_and(|d| !d.there.contains_key(&file_key)))
                .collect()
        };
        let changed = latest.as_ref().is_some_and(|v| item.updated.is_some_and(|at| at > v.first_read));
        if let Some(version) = &latest
            && !changed
            && lacking(self, version.version).is_empty()
        {
            return Ok(Ok(()));
        }
        let Some(api) = books.source.connector.statements() else { return Ok(Ok(())) };
        let data = match api.fetch(&books.reach.read(self.picture.now), one).await {
            Ok(data) => data,
            Err(e) => return Ok(Err(e)),
        };
        let StatementData::Document(document) = &data else {
            return Ok(Err(Error::contract(
                "document.fetch",
                "the source gave figures where a document was asked for",
            )));
        };
        if let Err(fault) = statement::document::inspect(document, Some(item))
            && !fault.may_pass()
        {
            self.out
                .failed
                .push(format!("{}: the document \"{}\" was not delivered: {fault}", self.client.slug, item.name));
            return Ok(Ok(()));
        }
        let document = document.clone();
        let version = match self.take(books, key, &one.request, data).await? {
            Ok(Some(version)) => version,
            Ok(None) => return Ok(Ok(())),
            Err(e) => return Ok(Err(e)),
        };
        for at in lacking(self, version.version) {
            let wanted = self.wanted(books, key, several, version.version, Some(item.name.clone()));
            let file = Outgoing {
                key: key.file_key(version.version, "doc"),
                mime: document.mime.clone(),
                bytes: document.bytes.clone(),
                version: &version,
                format: "document",
                change: None,
            };
            self.put(at, wanted, file).await?;
        }
        Ok(Ok(()))
    }

    fn takes_document(&self, at: usize, key: &StatementKey) -> bool {
        self.doors.get(at).is_some_and(|d| {
            let kinds = d.target.settings.kinds.as_ref().unwrap_or(&self.app.config.statements.kinds);
            d.takes_files() && d.lane.folder.account.is_none() && kinds.contains(&key.request.kind)
        })
    }

    /// One file into one folder: journalled, sent, verified by the target, recorded.
    async fn put(&mut self, at: usize, wanted: Wanted, file: Outgoing<'_>) -> Result<(), Failure> {
        let Some(door) = self.doors.get_mut(at) else { return Ok(()) };
        if let Some(why) = door.enter(self.app.now()).await {
            let (client, lane) = (self.client.slug.clone(), door.lane.clone());
            self.out.waiting.push(Waiting { client, lane, why });
        }
        let Entry::Open(fenced) = &door.entry else { return Ok(()) };
        let process = &self.app.process;
        if process.stopping() || self.picture.epoch.is_some_and(|e| e != process.gate.epoch()) {
            let why = if process.stopping() { "ledgerward is stopping" } else { "somebody was closed meanwhile" };
            self.out.failed.push(format!("{}: a file waits for the next run: {why}", self.client.slug));
            return Ok(());
        }
        let template = match template(self.app, door.target, wanted.document.is_some()) {
            Ok(template) => template,
            Err(e) => {
                self.out.failed.push(e);
                return Ok(());
            }
        };
        // A new rendering takes its old one's place; everything else gets a name of its own.
        let there = door.there.get(&file.key).cloned();
        let path = match &there {
            Some(_) => door.taken.get(&file.key).cloned(),
            None => naming::assign(&template, &[wanted].into(), &door.taken).into_values().next(),
        };
        let Some(path) = path else { return Ok(()) };
        let sha = hex_sha(&file.bytes);
        let size = file.bytes.len() as u64;
        let (api, read) = match (door.target.api(), door.target.read(self.app.now())) {
            (Ok(api), Ok(read)) => (api, read),
            (Err(e), _) | (_, Err(e)) => {
                self.out.failed.push(format!("{}: {path}: {}", self.client.slug, words(&e)));
                return Ok(());
            }
        };
        let place = format!("{}/{}/{}", door.lane.target, door.lane.folder, file.key);
        let reserved = match &there {
            Some(_) => None,
            None => match made_for(self.app, api, &read, place.clone()).await? {
                Ok(id) => id,
                Err(e) => {
                    self.out.failed.push(format!("{}: {path}: {}", self.client.slug, words(&e)));
                    return Ok(());
                }
            },
        };
        let intent = Intent {
            run: self.picture.run,
            lane: door.lane.clone(),
            op: JournalOp::Put { key: file.key.clone(), path: path.to_string(), size, sha256: sha.clone() },
            cause: None,
            because: file.change.clone().unwrap_or_else(|| "due".to_owned()),
            reserved: reserved.clone(),
            approved: false,
        };
        let (row, cx) = apply::begin(self.app, door.target, intent).await?;
        let out =
            StatementFile { key: file.key.clone(), path: path.clone(), mime: file.mime, bytes: file.bytes, reserved };
        let expect = there.map_or(Expect::Absent, |f| Expect::Unchanged(f.file, f.tag));
        let result = api.put(&cx, fenced, &out, expect).await;
        let now = self.app.now();
        match result {
            Ok(stored) => {
                let record = DeliveredFile {
                    delivered: Delivered {
                        lane: door.lane.clone(),
                        key: file.key.clone(),
                        path: path.to_string(),
                        content_hash: sha,
                    },
                    version: file.version.version,
                    format: file.format.to_owned(),
                    file: stored.id,
                    tag: stored.tag,
                    size: stored.size,
                };
                door.taken.insert(file.key.clone(), path.clone());
                door.there.insert(file.key.clone(), record.clone());
                self.app
                    .store
                    .run(move |db| {
                        db.tx(|db| {
                            db.doc_delete(FILE_ID, &place)?;
                            db.outcome_stored(row, &record, now)
                        })
                    })
                    .await?;
                self.out.files.push(FileDone {
                    client: self.client.slug.clone(),
                    lane: door.lane.clone(),
                    path: path.to_string(),
                    size,
                    change: file.change.map(|c| format!("restated: {c}")),
                });
            }
            Err(e) => {
                // A lost answer is no loss: the file goes under the same id when it is due again.
                let outcome =
                    Outcome::Failed { kind: format!("{:?}", e.kind).to_lowercase(), message: e.message.clone() };
                let used_up = e.kind == ErrorKind::Conflict;
                self.app
                    .store
                    .run(move |db| {
                        db.tx(|db| {
                            if used_up {
                                db.doc_delete(FILE_ID, &place)?;
                            }
                            db.outcome(row, &outcome, now)
                        })
                    })
                    .await?;
                self.out.failed.push(format!("{}: {path}: {}", self.client.slug, words(&e)));
            }
        }
        Ok(())
    }
}

/// The id under which a new file goes: the one that an earlier try was made with, or a new one, stored before it is used.
/// `None` where the target gives none.
async fn made_for(
    app: &App,
    api: &dyn StorageTarget,
    read: &ReadCx,
    place: String,
) -> Result<Result<Option<ReservedId>, Error>, Failure> {
    let key = place.clone();
    if let Some(id) = app.store.run(move |db| db.doc_get::<String>(FILE_ID, &key)).await? {
        return Ok(Ok(Some(ReservedId(id))));
    }
    let id = match api.reserve(read, 1).await {
        Ok(ids) => ids.into_iter().next(),
        Err(e) => return Ok(Err(e)),
    };
    if let Some(ReservedId(id)) = id.clone() {
        app.store.run(move |db| db.doc_put(FILE_ID, &place, &id)).await?;
    }
    Ok(Ok(id))
}

/// A file on its way.
struct Outgoing<'v> {
    key: FileKey,
    mime: String,
    bytes: bytes::Bytes,
    version: &'v StatementVersion,
    format: &'static str,
    change: Option<String>,
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
    let old = app.store.run(move |db| db.statement_at(&text, before)).await?;
    let data = |body: Body| match body {
        Body::Table(table) => StatementData::Table(table),
        Body::Register(register) => StatementData::Register(register),
    };
    let Some(old) = old.and_then(|v| body_of(&v)) else { return Ok(None) };
    Ok(Some(statement::summary_of_change(&data(old), &data(body.clone()))))
}

/// The head of a document, the same for every way of rendering it.
#[expect(clippy::too_many_arguments, reason = "a head names nine things")]
pub fn head(
    app: &App,
    client: &str,
    source: &str,
    profile: &LedgerProfile,
    account: Option<&LedgerAccount>,
    year_end: YearEnd,
    key: &StatementKey,
    version: &StatementVersion,
    change: Option<String>,
) -> Head {
    let firm = &app.config.firm;
    Head {
        firm: firm.name.clone(),
        letterhead: if app.config.statements.letterhead { firm.letterhead.clone() } else { Vec::new() },
        client: client.to_owned(),
        organisation: profile.name.clone(),
        source: source.to_owned(),
        kind: key.request.kind,
        account: account.map(|a| a.name.clone()),
        account_kind: account.map(|a| a.kind),
        period: key.request.period,
        period_label: year_end.label(&key.request.period),
        basis: key.request.basis,
        currency: account.and_then(|a| a.currency.clone()).or_else(|| profile.currency.clone()),
        first_read: version.first_read,
        version: version.version,
        change,
        notes: Vec::new(),
    }
}

fn hex_sha(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn template(app: &App, target: &Target, document: bool) -> Result<Template, String> {
    if document {
        return Template::documents(Template::DEFAULT_DOCUMENTS).map_err(|e| e.to_string());
    }
    let text = target.settings.template.as_ref().unwrap_or(&app.config.statements.template);
    Template::statements(text).map_err(|e| format!("the name template \"{text}\": {e}"))
}

async fn references(
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

async fn accounts(
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
