//! Reads sources and targets through read contexts: what is true out there, complete or not at all.
//!
//! A ledger that cannot be read holds its own pairs and nothing else; a sign-in that is dead holds the ledgers that only it
//! reaches. Nothing here decides anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
    time::Duration,
};

use futures::{StreamExt as _, future::BoxFuture, stream};
use ledgerward_contract::{
    AccessFact, ClientDirectory, ClientRow, ConnectionName, Cursor, Error, ErrorKind, FolderId, Grade, LedgerId,
    LedgerProfile, LedgerRole, LedgerRow, LedgerSource, Listed, Page, ProviderUserId, Result, Scope, Seats,
    SeenPermission, Snapshot, SourceKind, SourceRef, Standing, Stat, Timestamp,
};
use tokio::time::{Instant, timeout_at};

use crate::{
    domain::{
        identity::{Observation, Outcome, OwnIdentity},
        lane::LaneKey,
    },
    told::Told,
    world::{Reach, Source, Target, World},
};

/// Requests under way at once for one connection. The quota layer below keeps every limit of the vendor; this only bounds
/// how many ledgers wait for it.
const LEDGERS_AT_ONCE: usize = 64;
const SIGN_INS_AT_ONCE: usize = 8;
const PAGES_MAX: u32 = 10_000;
/// How long one connection may take to be read. Whatever was not read by then is held as in an outage, so that a vendor
/// that never comes to an end stops nobody else's revokes.
const READING_MAX: Duration = Duration::from_secs(3600);
/// And for each row that it listed: two requests at 60 a minute, the slowest limit of all, and as much again. A firm of
/// thousands of clients takes hours there, and must come to its end.
const PER_ROW: Duration = Duration::from_secs(4);

/// The time that one connection has.
#[derive(Debug)]
struct Time {
    /// Of the run, for what is read.
    now: Timestamp,
    begun: Instant,
    rows: AtomicU32,
}

impl Time {
    fn of(now: Timestamp) -> Self {
        Self { now, begun: Instant::now(), rows: AtomicU32::new(0) }
    }

    fn until(&self) -> Instant {
        self.begun + READING_MAX + PER_ROW * self.rows.load(Ordering::Relaxed)
    }
}

/// What one reading of one ledger gave, by one sign-in.
#[derive(Debug)]
pub struct Reading {
    pub source: SourceRef,
    pub name: String,
    pub grade: Grade,
    pub at: Timestamp,
    pub own: OwnIdentity,
    pub outcome: ReadOutcome,
    /// How many users a ledger counts that lists none.
    pub seats: Option<Seats>,
}

#[derive(Debug)]
pub enum ReadOutcome {
    Listed(Snapshot<AccessFact>),
    /// One client's line of a directory that was read to its end.
    Assigned(Vec<AccessFact>),
    /// Such a line, with somebody on it who may be anybody: why.
    Unclear(String),
    Failed(Error),
    /// The vendor no longer lists this ledger for the sign-in.
    LostSight,
}

impl Reading {
    /// As the core takes it. `since` is when this source was first not readable, from the store.
    pub fn observation(&self, since: Timestamp) -> Observation<'_> {
        let outcome = match &self.outcome {
            ReadOutcome::Listed(list) => Outcome::Listed(list.items()),
            ReadOutcome::Assigned(rows) => Outcome::Listed(rows),
            ReadOutcome::LostSight => Outcome::LostSight { since },
            ReadOutcome::Unclear(why) => Outcome::Unclear { why: why.clone(), since },
            ReadOutcome::Failed(e) if e.kind == ErrorKind::Unsupported => {
                Outcome::Unlisted { reason: e.message.clone() }
            }
            ReadOutcome::Failed(e) => Outcome::Unreadable { kind: e.kind, why: e.message.clone(), since },
        };
        let own = self.own.email.is_some() || self.own.user_id.is_some();
        Observation {
            source: self.source.clone(),
            name: self.name.clone(),
            grade: self.grade,
            at: self.at,
            outcome,
            own: own.then(|| self.own.clone()),
        }
    }
}

/// A list of clients and who is responsible for them.
#[derive(Debug)]
pub struct Directory {
    pub kind: SourceKind,
    pub rows: BTreeMap<String, ClientRow>,
    /// When it was made, where it is a copy that somebody made.
    pub issued: Option<Timestamp>,
}

/// What a connection's sign-ins gave in this run.
#[derive(Debug, Default)]
pub struct ConnectionReading {
    /// Ledgers the sign-ins reach now, by id.
    pub ledgers: BTreeMap<LedgerId, LedgerRow>,
    /// The clients of a practice manager or roster, where this is one and it was read to its end.
    pub directory: Option<Directory>,
    pub readings: Vec<Reading>,
    /// What was wrong with a sign-in as a whole.
    pub troubles: Vec<Error>,
    /// Nobody signed in, or every sign-in is dead.
    pub needs_sign_in: bool,
    /// What the sign-ins that were asked said, where all of it was read and no ledger lists anybody; else `None`.
    pub told: BTreeMap<String, Option<Told>>,
    /// Everything was asked for: what is not in here is not there. Of a part, absence says nothing.
    pub whole: bool,
}

/// What to read of a connection.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Everything the sign-ins reach.
    All,
    /// A second reading, or `--client`: only these ledgers. A directory comes whole or not at all.
    Only { ledgers: BTreeSet<LedgerId>, directory: bool },
}

/// What clients are bound to at one connection, with the names they have here. Each of these gets a reading whatever happens.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub ledgers: BTreeMap<LedgerId, String>,
    /// Lines of a practice manager or roster.
    pub directory: BTreeMap<String, String>,
    /// What sign-ins said that still stands, by sign-in: these are not asked.
    pub told: BTreeMap<String, Told>,
}

/// Reads one connection: its ledgers and everybody in each of them, and its directory.
pub async fn source(source: &Source, known: &Known, wanted: &Wanted, now: Timestamp) -> ConnectionReading {
    let mut reading = ConnectionReading { whole: matches!(wanted, Wanted::All), ..ConnectionReading::default() };
    let time = Time::of(now);
    if let Some(api) = source.connector.ledgers() {
        ledgers(source, api, known, wanted, &time, &mut reading).await;
    }
    let whole = matches!(wanted, Wanted::All | Wanted::Only { directory: true, .. });
    if let Some(api) = source.connector.directory().filter(|_| whole) {
        directory(source, api, &known.directory, &time, &mut reading).await;
    }
    reading.needs_sign_in = source.reaches.iter().all(|r| r.dead.is_some())
        || reading.troubles.iter().any(|e| e.kind == ErrorKind::Unauthenticated);
    reading.readings.sort_by(|a, b| a.source.cmp(&b.source));
    reading
}

async fn ledgers(
    source: &Source,
    api: &dyn LedgerSource,
    known: &Known,
    wanted: &Wanted,
    time: &Time,
    reading: &mut ConnectionReading,
) {
    let grade = source.manifest.grade.unwrap_or(Grade::C);
    let asked = |id: &LedgerId| match wanted {
        Wanted::All => true,
        Wanted::Only { ledgers, .. } => ledgers.contains(id),
    };
    let mut reached = BTreeSet::new();
    let mut unseen: BTreeMap<Option<&str>, Error> = BTreeMap::new();
    // Where one consent is one company there are hundreds of sign-ins, each with a list of one.
    let ways = source.reaches.iter().filter(|r| r.realm.as_deref().is_none_or(|realm| asked(&realm.into())));
    // A sign-in that is dead has nothing that stands.
    let stands = |reach: &Reach| known.told.get(&reach.sign_in).filter(|_| reach.dead.is_none());
    let lists = stream::iter(ways.map(|reach| async move {
        let seen = match stands(reach) {
            Some(told) => Ok((reach.own.clone(), told.rows.clone())),
            None => match own(source, api, reach, time).await {
                Ok(own) => rows(source, api, reach, time).await.map(|rows| (own, rows.items().to_vec())),
                Err(e) => Err(e),
            },
        };
        (reach, seen)
    }));
    let mut found = Vec::new();
    for (reach, seen) in lists.buffered(SIGN_INS_AT_ONCE).collect::<Vec<_>>().await {
        match seen {
            Ok((own, rows)) => {
                if stands(reach).is_none() {
                    let told = Told::begun(time.now, &source.configured, reach.given, rows.clone());
                    reading.told.insert(reach.sign_in.clone(), Some(told));
                }
                let ours = rows.into_iter().filter(|r| r.is_ledger);
                found.extend(ours.map(|row| (reach, own.clone(), row)));
            }
            Err(e) => {
                reading.told.insert(reach.sign_in.clone(), None);
                unseen.entry(reach.realm.as_deref()).or_insert_with(|| Error::new(e.kind, e.op, e.message.clone()));
                reading.troubles.push(e.with("connection", source.name.as_str()));
            }
        }
    }
    reached.extend(found.iter().map(|(_, _, row)| row.id.clone()));
    let jobs = found.iter().filter(|(_, _, row)| asked(&row.id)).map(|(reach, own, row)| async move {
        let (outcome, seats) = match stands(reach).and_then(|told| told.ledgers.get(&row.id)) {
            Some(nobody) => nobody.again(),
            None => match access(api, reach, &row.id, time).await {
                Ok(list) => (ReadOutcome::Listed(list), None),
                Err(e) if e.kind == ErrorKind::Unsupported => match api.seats(&reach.read(time.now), &row.id).await {
                    Ok(seats) => (ReadOutcome::Failed(e), seats),
                    Err(closed) => (ReadOutcome::Failed(closed), None),
                },
                Err(e) => (ReadOutcome::Failed(e), None),
            },
        };
        let own = own.clone();
        let read = Reading { seats, ..finish(source, row.id.clone(), row.name.clone(), grade, time.now, own, outcome) };
        (reach, read)
    });
    let got: Vec<_> = stream::iter(jobs).buffer_unordered(LEDGERS_AT_ONCE).collect().await;
    for (reach, read) in got {
        if let Some(told) = reading.told.get_mut(&reach.sign_in) {
            *told = told.take().and_then(|told| told.with(&read));
        }
        reading.readings.push(read);
    }
    for told in reading.told.values_mut() {
        *told = told.take().filter(Told::is_whole);
    }
    reading.ledgers.extend(found.into_iter().map(|(_, _, row)| (row.id.clone(), row)));
    for (id, name) in known.ledgers.iter().filter(|(id, _)| asked(id) && !reached.contains(*id)) {
        let outcome = match unreached(&unseen, id) {
            Some(e) => ReadOutcome::Failed(e),
            None if source.reaches.is_empty() => ReadOutcome::Failed(nobody_signed_in(&source.name)),
            None => ReadOutcome::LostSight,
        };
        let own = OwnIdentity::default();
        reading.readings.push(finish(source, id.clone(), name.clone(), grade, time.now, own, outcome));
    }
}

/// Why a ledger was not reached: by its own company's sign-in, or by one that is for no single company. What is wrong with
/// another company's says nothing about this one.
fn unreached(unseen: &BTreeMap<Option<&str>, Error>, ledger: &LedgerId) -> Option<Error> {
    let e = unseen.get(&Some(ledger.as_str())).or_else(|| unseen.get(&None))?;
    Some(Error::new(e.kind, e.op, e.message.clone()))
}

/// Which kind of source the lines of a directory are.
pub fn directory_kind(grade: Option<Grade>) -> SourceKind {
    if grade == Some(Grade::C) { SourceKind::Roster } else { SourceKind::PracticeClient }
}

/// Reads a practice manager's or roster's clients, and says of each bound one who is responsible for it. A line that is not
/// there any more proves nothing about the people who were on it.
async fn directory(
    source: &Source,
    api: &dyn ClientDirectory,
    known: &BTreeMap<String, String>,
    time: &Time,
    reading: &mut ConnectionReading,
) {
    let kind = directory_kind(source.manifest.grade);
    let grade = if kind == SourceKind::Roster { Grade::C } else { Grade::B };
    let (mut listed, mut issued) = (BTreeMap::new(), None);
    let mut failed = source.reaches.is_empty().then(|| nobody_signed_in(&source.name));
    for reach in &source.reaches {
        match clients(source, api, reach, time).await {
            Ok((made, rows)) => {
                issued = issued.max(made);
                listed.extend(rows.items().iter().map(|row| (row.id.clone(), row.clone())));
            }
            Err(e) => {
                failed.get_or_insert_with(|| Error::new(e.kind, e.op, e.message.clone()));
                reading.troubles.push(e.with("connection", source.name.as_str()));
            }
        }
    }
    for (id, name) in known {
        let (name, outcome) = match (listed.get(id), &failed) {
            (Some(row), _) => match unclear(row) {
                Some(why) => (&row.name, ReadOutcome::Unclear(why)),
                None => (&row.name, ReadOutcome::Assigned(assigned(source, row))),
            },
            (None, Some(e)) => (name, ReadOutcome::Failed(Error::new(e.kind, e.op, e.message.clone()))),
            (None, None) => (name, ReadOutcome::LostSight),
        };
        let at = SourceRef { connection: source.name.clone(), kind, id: id.clone() };
        let own = OwnIdentity::default();
        let name = name.clone();
        reading.readings.push(Reading { source: at, name, grade, at: time.now, own, outcome, seats: None });
    }
    reading.directory = failed.is_none().then_some(Directory { kind, rows: listed, issued });
}

/// A listing to its end, or to the end of the time that its connection has.
async fn whole<'a, T: Listed + PartialEq>(
    op: &'static str,
    time: &'a Time,
    mut fetch: impl FnMut(Cursor) -> BoxFuture<'a, Result<Page<T>>>,
) -> Result<Snapshot<T>> {
    Snapshot::gather(op, time.now, PAGES_MAX, |at| {
        let page = fetch(at);
        Box::pin(async move {
            let page = timeout_at(time.until(), page).await.unwrap_or_else(|_| {
                let minutes = time.begun.elapsed().as_secs() / 60;
                let what = format!("the connection was not read to its end in {minutes} minutes");
                Err(Error::new(ErrorKind::Unavailable, op, what)
                    .next("It is tried again by itself; what was not read stays as it is."))
            })?;
            time.rows.fetch_add(u32::try_from(page.items.len()).unwrap_or(u32::MAX), Ordering::Relaxed);
            Ok(page)
        })
    })
    .await
}

async fn clients(
    source: &Source,
    api: &dyn ClientDirectory,
    reach: &Reach,
    time: &Time,
) -> Result<(Option<Timestamp>, Snapshot<ClientRow>)> {
    alive(source, reach, "clients.list")?;
    let cx = reach.read(time.now);
    let issued = api.issued(&cx).await?;
    let rows = whole("clients.list", time, |page| {
        let cx = cx.clone();
        Box::pin(async move { api.clients(&cx, page).await })
    });
    Ok((issued, rows.await?))
}

/// Responsible for the client is somebody, or several, whom nobody can tell: whoever is missing from the line may be among
/// them, so the line as a whole says nothing. An id of one person's holds that one and nobody else.
fn unclear(row: &ClientRow) -> Option<String> {
    row.people.iter().find(|p| p.opaque).map(|p| match &p.standing {
        Standing::Unknown(why) => why.clone(),
        _ => "the list names somebody of whom it does not say who it is".to_owned(),
    })
}

/// The people of one line, each once. Who is responsible in several ways counts by the one that gives most: each way is a
/// rule of its own in the role table, and one that the firm switched off must not hide another.
fn assigned(source: &Source, row: &ClientRow) -> Vec<AccessFact> {
    let weight = |fact: &AccessFact| {
        let role = match source.roles.resolve(&fact.role) {
            LedgerRole::Writer => 0,
            LedgerRole::Reader => 1,
            LedgerRole::Unmapped(_) => 2,
            LedgerRole::Nothing => 3,
        };
        let standing = match fact.standing {
            Standing::Active => 0,
            Standing::Unknown(_) => 1,
            Standing::Pending => 2,
            Standing::Disabled | Standing::Removed => 3,
        };
        (standing, role, fact.role.clone())
    };
    let mut people: BTreeMap<ProviderUserId, AccessFact> = BTreeMap::new();
    for one in &row.people {
        let fact = AccessFact {
            ledger: LedgerId(row.id.clone()),
            user: one.user.clone(),
            email: one.email.clone(),
            name: one.name.clone(),
            role: one.role.clone(),
            standing: one.standing.clone(),
        };
        match people.get(&fact.user) {
            Some(old) if weight(old) <= weight(&fact) => {}
            _ => drop(people.insert(fact.user.clone(), fact)),
        }
    }
    people.into_values().collect()
}

pub fn nobody_signed_in(name: &ConnectionName) -> Error {
    Error::new(ErrorKind::Unauthenticated, "connection.open", "nobody has signed in yet")
        .next(format!("Run: ledgerward connect {name}"))
}

fn finish(
    source: &Source,
    id: LedgerId,
    name: String,
    grade: Grade,
    at: Timestamp,
    own: OwnIdentity,
    outcome: ReadOutcome,
) -> Reading {
    let source = SourceRef { connection: source.name.clone(), kind: SourceKind::Ledger, id: id.0 };
    Reading { source, name, grade, at, own, outcome, seats: None }
}

fn alive(source: &Source, reach: &Reach, op: &'static str) -> Result<()> {
    match &reach.dead {
        None => Ok(()),
        Some(why) => Err(Error::new(ErrorKind::Unauthenticated, op, why.clone())
            .next(format!("Run: ledgerward connect {}", source.name))),
    }
}

/// Whom the ledgers' lists must have for an absence there to prove anything. A sign-in said so when it was given; keys were
/// given by nobody, so the connector is asked in each run. It knows nobody: no absence is a denial.
async fn own(source: &Source, api: &dyn LedgerSource, reach: &Reach, time: &Time) -> Result<OwnIdentity> {
    if !reach.is_unattended() {
        return Ok(reach.own.clone());
    }
    alive(source, reach, "own_user.get")?;
    let own = timeout_at(time.until(), api.own_user(&reach.read(time.now))).await.unwrap_or_else(|_| {
        Err(Error::new(
            ErrorKind::Unavailable,
            "own_user.get",
            "the connection did not say in time who its own user is",
        )
        .next("It is tried again by itself; what was not read stays as it is."))
    })?;
    Ok(own.map_or_else(OwnIdentity::default, |who| OwnIdentity::of(&who)))
}

async fn rows(source: &Source, api: &dyn LedgerSource, reach: &Reach, time: &Time) -> Result<Snapshot<LedgerRow>> {
    alive(source, reach, "ledgers.list")?;
    let cx = reach.read(time.now);
    whole("ledgers.list", time, |page| {
        let cx = cx.clone();
        Box::pin(async move { api.ledgers(&cx, page).await })
    })
    .await
}

async fn access(api: &dyn LedgerSource, reach: &Reach, ledger: &LedgerId, time: &Time) -> Result<Snapshot<AccessFact>> {
    let cx = reach.read(time.now);
    let list = whole("access.list", time, |page| {
        let cx = cx.clone();
        Box::pin(async move { api.access(&cx, Scope::One(ledger), page).await })
    })
    .await?;
    if list.items().iter().any(|f: &AccessFact| &f.ledger != ledger) {
        return Err(Error::contract("access.list", "the answer is about another ledger than the one asked for"));
    }
    Ok(list)
}

/// A ledger's own words about itself, by the first sign-in that can read it.
pub async fn profile(world: &World, source: &SourceRef, now: Timestamp) -> Result<LedgerProfile> {
    let found = world.sources.get(&source.connection);
    let api = found.and_then(|s| s.connector.ledgers().map(|api| (s, api)));
    let Some((s, api)) = api else { return Err(nobody_signed_in(&source.connection)) };
    let mut last = nobody_signed_in(&source.connection);
    for reach in s.reaches.iter().filter(|r| r.dead.is_none() && r.may_reach(&source.id)) {
        match api.profile(&reach.read(now), &LedgerId(source.id.clone())).await {
            Ok(profile) => return Ok(profile),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// A folder as it is now.
#[derive(Debug)]
pub struct FolderReading {
    pub stat: Result<Stat>,
    /// `None` where the folder is not there, or the target has no lists.
    pub list: Option<Result<Snapshot<SeenPermission>>>,
}

/// Folders in a row for which a target gave no answer, after which it counts as out. Each took half a minute of repeats: of
/// thousands, all other targets would wait for hours (`reliability` 5.3).
const SILENT_MAX: usize = 5;
const SILENT_PAUSE: Duration = Duration::from_secs(2);

/// Reads the folders of one target, as many at once as the target likes. One that is out is not asked for each of them.
pub async fn folders(
    target: &Target,
    wanted: Vec<(LaneKey, FolderId)>,
    lists: bool,
    now: Timestamp,
) -> BTreeMap<LaneKey, FolderReading> {
    let at_once = target.api().map_or(1, |t| t.limits().lanes_parallel.max(1));
    let not_asked = || FolderReading {
        stat: Err(Error::new(
            ErrorKind::Unavailable,
            "folder.stat",
            format!("the target answered for none of {SILENT_MAX} folders in a row, so this one was not asked for"),
        )
        .next("It is asked for again in the next run.")),
        list: None,
    };
    let ask = |folder: FolderId| async move { folder_now(target, &folder, lists, now).await };
    unless_out(wanted, at_once, ask, FolderReading::is_silent, not_asked).await
}

/// Asks for each, `at_once` side by side, until [`SILENT_MAX`] in a row were `silent`. Then as many of the rest are asked for: if
/// these are silent, too, the others are `not_asked` for; otherwise those before were a matter of their own, and the rest goes on.
async fn unless_out<K: Ord, W, R, A: Future<Output = R>>(
    mut wanted: Vec<(K, W)>,
    at_once: usize,
    ask: impl Fn(W) -> A,
    silent: impl Fn(&R) -> bool,
    not_asked: impl Fn() -> R,
) -> BTreeMap<K, R> {
    let mut all = BTreeMap::new();
    loop {
        let in_a_row = AtomicUsize::new(0);
        let (in_a_row, ask_one, is_silent) = (&in_a_row, &ask, &silent);
        let one = |(key, what): (K, W)| async move {
            if in_a_row.load(Ordering::Relaxed) >= SILENT_MAX {
                return Err((key, what));
            }
            let read = ask_one(what).await;
            if is_silent(&read) {
                in_a_row.fetch_add(1, Ordering::Relaxed);
            } else {
                in_a_row.store(0, Ordering::Relaxed);
            }
            Ok((key, read))
        };
        let mut left = Vec::new();
        for one in stream::iter(wanted).map(one).buffer_unordered(at_once).collect::<Vec<_>>().await {
            match one {
                Ok((key, read)) => drop(all.insert(key, read)),
                Err(waits) => left.push(waits),
            }
        }
        if left.is_empty() {
            return all;
        }
        // It may have been a moment's matter.
        tokio::time::sleep(SILENT_PAUSE).await;
        // From all over the rest: what is broken by itself lies together.
        let every = left.len().div_ceil(SILENT_MAX);
        let (some, rest): (Vec<_>, Vec<_>) = left.into_iter().enumerate().partition(|(n, _)| n % every == 0);
        let some = stream::iter(some).map(|(_, (key, what))| async move { (key, ask_one(what).await) });
        let some: Vec<_> = some.buffer_unordered(at_once).collect().await;
        let out = some.iter().all(|(_, read)| silent(read));
        all.extend(some);
        let rest = rest.into_iter().map(|(_, waits)| waits);
        if out {
            all.extend(rest.map(|(key, _)| (key, not_asked())));
            return all;
        }
        wanted = rest.collect();
    }
}

impl FolderReading {
    /// The target gave no answer at all.
    fn is_silent(&self) -> bool {
        let silent = |e: &Error| e.kind == ErrorKind::Unavailable;
        self.stat.as_ref().err().is_some_and(silent)
            || self.list.as_ref().and_then(|list| list.as_ref().err()).is_some_and(silent)
    }
}

/// One folder's state and list.
pub async fn folder_now(target: &Target, folder: &FolderId, lists: bool, now: Timestamp) -> FolderReading {
    let stat = match (target.api(), target.read(now)) {
        (Ok(api), Ok(cx)) => api.stat(&cx, folder).await,
        (Err(e), _) | (_, Err(e)) => Err(e),
    };
    let list = match &stat {
        Ok(Stat::Present { .. }) if lists => Some(sharing(target, folder, now).await),
        _ => None,
    };
    FolderReading { stat, list }
}

/// A folder's effective sharing list, complete.
pub async fn sharing(target: &Target, folder: &FolderId, now: Timestamp) -> Result<Snapshot<SeenPermission>> {
    let (api, cx) = (target.api()?, target.read(now)?);
    Snapshot::gather("sharing.list", now, PAGES_MAX, |at| {
        let cx = cx.clone();
        Box::pin(async move { api.sharing(&cx, folder, at).await })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_target_that_is_out_is_not_asked_for_every_folder() {
        let read = async |at_once, down: fn(u32) -> bool| {
            let asked = std::sync::Mutex::new(0);
            let ask = |n: u32| {
                *asked.lock().unwrap() += 1;
                async move {
                    tokio::task::yield_now().await;
                    !down(n)
                }
            };
            let all = unless_out((0..1_000).map(|n| (n, n)).collect(), at_once, ask, |ok| !ok, || false).await;
            assert_eq!(all.len(), 1_000);
            (all.values().filter(|ok| **ok).count(), *asked.lock().unwrap())
        };
        assert_eq!(read(8, |_| false).await, (1_000, 1_000));
        let (ok, asked) = read(8, |_| true).await;
        assert!(ok == 0 && asked < 20, "{asked}");
        // Some that are broken by themselves keep no other from being read.
        for at_once in [1, 8] {
            assert_eq!(read(at_once, |n| (100..140).contains(&n)).await, (960, 1_000));
        }
    }

    /// A list of `last` pages with a new person on each, a page every `every`.
    async fn read(last: u32, every: Duration) -> (Result<Snapshot<AccessFact>>, Duration) {
        let time = Time::of(Timestamp::UNIX_EPOCH);
        let mut pages = 0_u32;
        let list = whole("access.list", &time, |_| {
            pages += 1;
            let fact = AccessFact {
                ledger: "71".into(),
                user: pages.to_string().as_str().into(),
                email: None,
                name: String::new(),
                role: "reader".to_owned(),
                standing: Standing::Active,
            };
            let next = (pages < last).then(|| Cursor::At(pages.to_string()));
            Box::pin(async move {
                tokio::time::sleep(every).await;
                Ok(Page { items: vec![fact], next, total: None })
            })
        });
        (list.await, time.begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_without_end_is_an_outage_in_time() {
        let (list, took) = read(u32::MAX, Duration::from_secs(60)).await;
        assert_eq!(list.unwrap_err().kind, ErrorKind::Unavailable);
        assert!(took < READING_MAX + Duration::from_secs(600), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_list_at_the_vendors_own_pace_comes_to_its_end() {
        let (list, took) = read(9_000, Duration::from_secs(2)).await;
        assert_eq!((list.unwrap().items().len(), took.as_secs()), (9_000, 18_000));
    }

    #[test]
    fn a_ledger_is_told_with_what_is_wrong_with_its_own_sign_in() {
        let error = |kind, text| Error::new(kind, "ledgers.list", text);
        let mut unseen = BTreeMap::from([
            (Some("juniper"), error(ErrorKind::Forbidden, "company is closed")),
            (Some("kelp"), error(ErrorKind::Unauthenticated, "not connected any more")),
        ]);
        let told = |unseen: &_, id: &str| unreached(unseen, &id.into()).map(|e| (e.kind, e.message));
        assert_eq!(told(&unseen, "kelp"), Some((ErrorKind::Unauthenticated, "not connected any more".to_owned())));
        assert_eq!(told(&unseen, "juniper"), Some((ErrorKind::Forbidden, "company is closed".to_owned())));
        assert_eq!(told(&unseen, "larch"), None, "nothing is wrong with its sign-in, which no longer lists it");
        unseen.insert(None, error(ErrorKind::Unavailable, "503"));
        assert_eq!(told(&unseen, "larch"), Some((ErrorKind::Unavailable, "503".to_owned())), "it may be by this one");
        assert_eq!(told(&unseen, "kelp").unwrap().1, "not connected any more");
    }
}
