//! The daemon's one worker: cycles, second readings, idle sign-ins, upkeep. Whatever fails here is told and tried again at
//! its next time; nothing here ends the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use jiff::SignedDuration;
use ledgerward_contract::{ConnectionName, SourceRef, Timestamp};
use ledgerward_kit::{clock::Clock, keepalive::next_refresh_due};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::{
    agenda::Job,
    health::{self, Metrics},
};
use crate::{
    app::{App, Place, load_config},
    audit::Head,
    cli::{
        console::Console,
        cycle::{self, STOPPED},
        outcome::{Exit, Failure},
    },
    closings,
    config::Config,
    domain::{
        finding::{Finding, Severity},
        firm::Firm,
    },
    engine::{self, Ask, CONNECTION_STEP, Done, Picture},
    forecast,
    memory::source_key,
    process::Process,
    store::{Actor, Db, FindingRow, Note, Store, StoreError},
};

/// Second readings that wait, by source, so that a restart keeps them (`decisions` 9).
const REREAD: &str = "reread";
/// Connections that are left out for a while, and until when (D10).
const LEFT_OUT: &str = "left_out";
const LEFT_OUT_FOR: SignedDuration = SignedDuration::from_hours(24);
const CRASHES: u32 = 3;
/// Automatic backups that stay.
const BACKUPS: usize = 7;
/// Above this somebody should look at the write-ahead log (D07).
const WAL_BYTES_MAX: u64 = 64 << 20;
/// A token call under way is waited for at the end (`reliability` 5.1).
const SETTLE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Reread {
    source: SourceRef,
    at: Timestamp,
}

/// What the loop, the worker and the socket share.
pub struct Daemon {
    pub place: Place,
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub process: Arc<Process>,
    pub metrics: Metrics,
    /// Held by a cycle, whoever asked for it: cycles never overlap (C04).
    pub cycle: tokio::sync::Mutex<()>,
    /// Held by a command that changes the firm: each reads, decides and writes.
    pub changes: tokio::sync::Mutex<()>,
    /// Cloned by everything that must be waited for at the end.
    pub working: Arc<()>,
    /// The job under way: one that is cut off is due again.
    job: Mutex<Option<Job>>,
    /// True when nothing is waited for any more.
    over: watch::Sender<bool>,
    /// What access checks are answered from.
    pub book: super::api::Book,
    pub seed: u64,
    pub since: Timestamp,
    config: RwLock<Arc<Config>>,
}

impl Daemon {
    pub async fn new(app: App, metrics: Metrics) -> Result<Arc<Self>, Failure> {
        let App { place, config, store, clock, process, .. } = app;
        let store = store.acting(Actor::daemon());
        let id = store.run(|db| Ok(db.meta("db_id")?.unwrap_or_default())).await?;
        let seed = Sha256::digest(id.as_bytes()).iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b));
        let since = clock.now();
        Ok(Arc::new(Self {
            place,
            store,
            clock,
            process,
            metrics,
            cycle: tokio::sync::Mutex::default(),
            changes: tokio::sync::Mutex::default(),
            working: Arc::new(()),
            job: Mutex::default(),
            over: watch::Sender::new(false),
            book: super::api::Book::default(),
            seed,
            since,
            config: RwLock::new(config),
        }))
    }

    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The firm as the daemon itself works on it.
    pub fn app(&self) -> App {
        App {
            place: self.place.clone(),
            config: self.config(),
            store: self.store.clone(),
            actor: Actor::daemon(),
            person: None,
            clock: Arc::clone(&self.clock),
            process: Arc::clone(&self.process),
        }
    }

    /// What the store noticed while it was opened.
    pub async fn tell_start(&self) -> Result<(), Failure> {
        for note in self.store.run(|db| Ok(db.notes().to_vec())).await? {
            match note {
                Note::Migrated { from, to, .. } => {
                    tracing::info!(event = "state.migrated", from, to, "the state was brought up to date")
                }
                note => {
                    tracing::warn!(event = "state.note", ?note, "the state wants attention; see `ledgerward doctor`")
                }
            }
        }
        Ok(())
    }

    /// Sources whose second reading is due.
    pub async fn rereads_due(&self, now: Timestamp) -> Result<Vec<SourceRef>, StoreError> {
        let waiting: BTreeMap<String, Reread> = self.store.run(|db| db.doc_all(REREAD)).await?;
        Ok(waiting.into_values().filter(|r| r.at <= now).map(|r| r.source).collect())
    }

    /// Does one job, and tells what came of it.
    pub async fn work(&self, job: Job, rereads: Vec<SourceRef>) {
        let _working = Arc::clone(&self.working);
        let _one = self.cycle.lock().await;
        if self.process.stopping() {
            return;
        }
        let begun = Instant::now();
        *self.job.lock().unwrap_or_else(PoisonError::into_inner) = Some(job);
        let result = match job {
            Job::Statements => self.cycle(job, Ask::default()).await,
            Job::Access => self.cycle(job, Ask { access_only: true, ..Ask::default() }).await,
            Job::Reread => self.reread(&rereads).await,
            Job::Daily => self.daily().await,
            Job::KeepAlive => self.keep_alive().await,
        };
        if self.process.stopping() && !matches!(result, Ok(Exit::Done)) {
            self.due_again(job).await;
        }
        *self.job.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.book.look_again();
        let kind = job.kind();
        match result {
            Ok(exit) => tracing::info!(
                event = "job.end",
                kind,
                exit = exit.code(),
                ms = begun.elapsed().as_millis() as u64,
                "done"
            ),
            Err(failure) => {
                health::count(kind, begun.elapsed(), None);
                let (error, next) = (failure.message, failure.next.unwrap_or_default());
                tracing::error!(
                    event = "job.failed",
                    kind,
                    exit = failure.exit.code(),
                    error,
                    next,
                    "failed; it is tried again at its next time"
                );
            }
        }
        if let Err(e) = self.store.run(|db| db.checkpoint().map(|()| db.wal_bytes())).await.map(tell_wal) {
            tracing::warn!(event = "state.checkpoint", error = %e, "the log of the state could not be moved into it");
        }
    }

    /// What a stop left undone is done at the next start, and not at its next time.
    async fn due_again(&self, job: Job) {
        let undone = move |db: &mut Db| job.pays_for().iter().try_for_each(|name| db.schedule_undone(name));
        if let Err(e) = self.store.run(undone).await {
            tracing::warn!(event = "schedule.undone", error = %e, "what was left is done at its next time");
        }
    }

    async fn cycle(&self, job: Job, mut ask: Ask) -> Result<Exit, Failure> {
        let begun = Instant::now();
        let app = self.app();
        let whole = ask.clients.is_none();
        ask.skip = self.left_out().await?;
        let world = app.world().await?;
        let restored = self.store.run(|db| db.restored()).await?;
        let run = cycle::start_for(&app, job.kind(), &ask).await?;
        let mut console = Quiet;
        if let Some(restored) = restored {
            let picture = engine::look(&app, &world, run, &ask, &mut console).await;
            let _looked = cycle::end(&app, run, picture, |_| Exit::Held).await?;
            tracing::warn!(
                event = "cycle.dry",
                why = restored.why,
                "the state is a restored one: nothing is written until a person confirms it"
            );
            return Ok(Exit::Held);
        }
        let done = engine::sync(&app, &world, run, &ask, &mut console).await;
        let done = cycle::end_with(&app, run, done, cycle::done_exit, cycle::done_summary).await?;
        self.keep_rereads(&done.picture, whole).await?;
        health::count(job.kind(), begun.elapsed(), Some(&done));
        tell(job, &done);
        Ok(cycle::done_exit(&done))
    }

    /// After three crashes over one connection it is left out for a day (D10).
    async fn left_out(&self) -> Result<BTreeSet<ConnectionName>, StoreError> {
        let now = self.clock.now();
        self.store
            .run(move |db| {
                if let Some(found) = db.crash_loop()?.filter(|c| c.times >= CRASHES)
                    && let Some(name) = found.step.strip_prefix(CONNECTION_STEP)
                {
                    tracing::error!(
                        event = "crash.loop",
                        connection = name,
                        times = found.times,
                        "left out for a day, because reading it ended the program"
                    );
                    let until = now.saturating_add(LEFT_OUT_FOR).unwrap_or(Timestamp::MAX);
                    db.doc_put(LEFT_OUT, name, &until)?;
                }
                let all: BTreeMap<String, Timestamp> = db.doc_all(LEFT_OUT)?;
                for name in all.iter().filter(|(_, until)| **until <= now).map(|(name, _)| name) {
                    db.doc_delete(LEFT_OUT, name)?;
                }
                Ok(all.into_iter().filter(|(_, until)| *until > now).map(|(name, _)| name.as_str().into()).collect())
            })
            .await
    }

    /// Reads only the ledgers in question. What waits is taken off the list first: a reading that fails leaves the source
    /// unknown, which changes nothing, and the next whole cycle looks anyway.
    async fn reread(&self, sources: &[SourceRef]) -> Result<Exit, Failure> {
        let firm: Firm = self.app().firm().await?;
        let clients: BTreeSet<_> =
            firm.clients.values().filter(|c| sources.iter().any(|s| c.sources.contains(s))).map(|c| c.id).collect();
        let keys: Vec<String> = sources.iter().map(source_key).collect();
        self.store
            .run(move |db| {
                for key in &keys {
                    db.doc_delete(REREAD, key)?;
                }
                Ok(())
            })
            .await?;
        if clients.is_empty() {
            return Ok(Exit::Done);
        }
        self.cycle(Job::Reread, Ask { clients: Some(clients), access_only: true, ..Ask::default() }).await
    }

    async fn keep_rereads(&self, picture: &Picture, whole: bool) -> Result<(), StoreError> {
        let new: BTreeMap<String, Reread> = picture
            .reread
            .iter()
            .map(|(source, at)| (source_key(source), Reread { source: source.clone(), at: *at }))
            .collect();
        self.store
            .run(move |db| {
                if whole {
                    return db.doc_replace_all(REREAD, &new);
                }
                new.iter().try_for_each(|(key, one)| db.doc_put(REREAD, key, one))
            })
            .await
    }

    /// Refreshes what nobody used for a quarter of its idle lifetime (`decisions` 30).
    async fn keep_alive(&self) -> Result<Exit, Failure> {
        let world = self.app().world().await?;
        let rows = self.store.run(|db| db.signins()).await?;
        let now = self.clock.now();
        let mut exit = Exit::Done;
        for reach in world.reaches().filter(|r| r.dead.is_none()) {
            let (Some((spec, tokens)), Some(row)) = (&reach.keep, rows.iter().find(|r| r.id == reach.sign_in)) else {
                continue;
            };
            let last = row.last_refreshed.unwrap_or(row.issued_at);
            if next_refresh_due(spec, last) > now {
                continue;
            }
            if let Err(e) = tokens.keep_alive().await {
                exit = Exit::Partly;
                tracing::warn!(event = "sign_in.idle", connection = row.who.connection.as_str(), error = %e, "an idle sign-in could not be refreshed");
            }
        }
        Ok(exit)
    }

    /// The state checked, and a copy made of a whole one: whether it is whole, what is open and held, and the trail's head.
    async fn upkeep(&self, run: i64, now: Timestamp) -> Result<(bool, Vec<FindingRow>, usize, Head), Failure> {
        let found = self.store.integrity().await?;
        let damage: Vec<Finding> = if found.whole() {
            vec![]
        } else {
            tracing::error!(event = "state.damaged", ?found, "the state is damaged");
            vec![Finding::new(
                Severity::Urgent,
                "state.damaged",
                "state",
                "The daily check found damage in the state; no backup was made of it.",
                "Stop the daemon, then: ledgerward restore FILE with the newest backup of the state directory",
            )]
        };
        if damage.is_empty() {
            self.store.snapshot(BACKUPS, now).await?;
        }
        let tell = move |db: &mut Db| {
            db.sync_findings(run, "state", &damage, now)?;
            Ok((damage.is_empty(), db.open_findings()?, db.holds()?.len(), db.audit_head()?))
        };
        Ok(self.store.run(tell).await?)
    }

    /// Backup, integrity, and what people have left open.
    async fn daily(&self) -> Result<Exit, Failure> {
        let app = self.app();
        let run = cycle::start(&app, Job::Daily.kind()).await?;
        let now = self.clock.now();
        // Told before it bites. A target that does not answer is no failure of the upkeep.
        let foreseen = async {
            let seen = forecast::of(&app, &*app.world().await?, None, true).await?;
            forecast::remember(&app, run, &seen).await
        };
        if let Err(failure) = foreseen.await {
            tracing::warn!(event = "forecast.failed", error = failure.message, "how full the targets are is not known");
        }
        // Said every day, though each stays one finding.
        match async { closings::tell(&app, run, &app.firm().await?, now).await }.await {
            Ok(closed) => closed.iter().for_each(|one| {
                tracing::warn!(event = "person.closed", what = one.text, next = one.next, "somebody is still closed");
            }),
            Err(failure) => {
                tracing::warn!(event = "closings.failed", error = failure.message, "who is closed is not known")
            }
        }
        let result = self.upkeep(run, now).await;
        let result =
            cycle::end(&app, run, result, |(whole, ..)| if *whole { Exit::Done } else { Exit::Failed }).await?;
        let (whole, findings, holds, head) = result;
        let urgent = findings.iter().filter(|f| f.finding.severity == Severity::Urgent).count();
        // A cut tail of the chain cannot be seen in the chain alone (`decisions` 35).
        tracing::info!(event = "daily.report", findings = findings.len(), urgent, holds, audit_seq = head.seq, audit_head = %head.hash, "daily report");
        Ok(if whole { Exit::Done } else { Exit::Failed })
    }

    /// No new work, then up to `max` for what is under way; after that it is left, and the journal settles it at the next
    /// start. True if everything ended by itself.
    pub async fn drain(&self, max: Duration) -> bool {
        self.process.stop();
        let begun = Instant::now();
        while Arc::strong_count(&self.working) > 1 && begun.elapsed() < max {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let quiet = Arc::strong_count(&self.working) == 1;
        if !quiet {
            tracing::warn!(event = "daemon.drain", "something is still under way; the next start settles it");
            // What goes on while the runtime ends would panic in its next wait.
            self.over.send_replace(true);
            self.end_runs().await;
            let cut = *self.job.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(job) = cut {
                self.due_again(job).await;
            }
        }
        let settled = self.process.tokens.settle(SETTLE).await;
        if !settled {
            tracing::error!(event = "token.unsettled", "a token call did not end in time; its intent is in the state");
        }
        quiet && settled
    }

    /// Ends when [`Self::drain`] waits no longer.
    pub async fn left_behind(&self) {
        let mut over = self.over.subscribe();
        // The sender is ours, and lives as long as we do.
        let _gone = over.wait_for(|over| *over).await;
    }

    /// A run that was told to stop did not crash.
    async fn end_runs(&self) {
        let now = self.clock.now();
        let ended = self
            .store
            .run(move |db| {
                for run in db.runs(20)?.into_iter().filter(|r| r.ended.is_none()) {
                    db.run_end(run.id, i32::from(Exit::Failed.code()), false, &json!({(STOPPED): true}), now)?;
                }
                Ok(())
            })
            .await;
        if let Err(e) = ended {
            tracing::warn!(event = "run.end", error = %e, "the end of a run could not be stored");
        }
    }
}

/// SIGHUP: reads the configuration again. A refused one is told, and the old one stays.
///
/// Waits for the cycle and the command under way: two configurations at once would mean two owners of one sign-in.
pub async fn reload(daemon: Arc<Daemon>) {
    let _working = Arc::clone(&daemon.working);
    let (_cycle, _changes) = tokio::join!(daemon.cycle.lock(), daemon.changes.lock());
    match load_config(&daemon.place.config) {
        Err(failure) => {
            tracing::error!(event = "config.refused", error = failure.message, "the old configuration stays");
        }
        Ok(new) => {
            let old = daemon.config();
            if !daemon.process.tokens.settle(SETTLE).await {
                tracing::error!(
                    event = "config.refused",
                    "a sign-in is being renewed; the old configuration stays. Send SIGHUP again"
                );
                return;
            }
            daemon.process.tokens.clear();
            if old.metrics_listen != new.metrics_listen
                || old.api_listen != new.api_listen
                || old.log != new.log
                || format!("{:?}", old.state_key) != format!("{:?}", new.state_key)
            {
                tracing::warn!(
                    event = "config.restart",
                    "[metrics], [api], [log] and the state's key change with a restart only"
                );
            }
            *daemon.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
            daemon.book.look_again();
            tracing::info!(event = "config.loaded", "the configuration was read again");
        }
    }
}

fn tell(job: Job, done: &Done) {
    for trouble in &done.picture.troubles {
        tracing::warn!(event = "cycle.trouble", kind = job.kind(), trouble, "trouble");
    }
    let steps = done.lanes.iter().flat_map(|l| &l.steps);
    let (ok, failed): (Vec<_>, Vec<_>) = steps.partition(|s| s.result.is_ok());
    tracing::info!(
        event = "cycle.end",
        kind = job.kind(),
        steps = ok.len(),
        failed = failed.len(),
        files = done.delivered.files.len(),
        held = done.picture.verdict.held.len(),
        unreadable = done.picture.unreadable,
        unconfirmed = done.picture.reread.len(),
        "cycle"
    );
}

fn tell_wal(bytes: u64) {
    if bytes > WAL_BYTES_MAX {
        tracing::warn!(event = "state.log_grows", bytes, "the write-ahead log of the state is large");
    }
}

/// A cycle's own words are for whoever watches it; in the log they are details.
struct Quiet;

impl Console for Quiet {
    fn note(&mut self, line: &str) {
        tracing::debug!(event = "cycle.note", "{line}");
    }

    fn interactive(&self) -> bool {
        false
    }

    fn ask(&mut self, _: &str) -> Option<String> {
        None
    }
}
