//! `ledgerward run`: the schedules, the socket that commands come in through, and an orderly end.
//!
//! One loop (below) feeds systemd's watchdog and decides what is due; one worker at a time does it ([`runner`]). So a loop
//! that hangs is restarted, and a cycle that takes an hour is not.

pub mod agenda;
pub mod api;
pub mod forward;
pub mod health;
pub mod log;
pub mod runner;
pub mod schedule;
pub mod socket;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sd_notify::NotifyState;
use serde_json::json;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    task::{JoinError, JoinHandle},
};
use tokio_cron_scheduler::{Job as CronJob, JobScheduler};

use self::{agenda::Agenda, health::Metrics, runner::Daemon, schedule::Slot};
use crate::{
    app::App,
    cli::outcome::{Exit, Failure, Report},
    store::{Kind, StoreError},
};

/// How often the schedules are looked at (`design` 5).
const TICK: Duration = Duration::from_secs(15);
/// What is under way may take so long after SIGTERM (`reliability` 3.5).
const DRAIN: Duration = Duration::from_secs(30);

/// Runs until SIGTERM or SIGINT. The caller closes the store.
pub async fn run(app: App) -> Result<Report, Failure> {
    log::start(&app.config.log)?;
    let metrics = Metrics::install()?;
    let daemon = Daemon::new(app, metrics).await?;
    daemon.tell_start().await?;
    let listener = socket::bind(&daemon.place.socket())?;
    let commands = socket::Server::new(Arc::clone(&daemon));
    let api = api::Api::new(commands.clone());
    let tcp = serve_tcp(&daemon, &api).await?;
    let server = tokio::spawn(socket::serve(listener, commands, api));
    let book = tokio::spawn(api::Book::keep(Arc::clone(&daemon)));
    let scraped = serve_metrics(&daemon).await?;
    let ended = Loop::new(&daemon).await?.run(&daemon).await;

    notify(&[NotifyState::Stopping, NotifyState::Status("Stopping: finishing the step under way")]);
    tracing::info!(event = "daemon.stop", "stopping");
    let quiet = daemon.drain(DRAIN).await;
    server.abort();
    book.abort();
    for task in scraped.into_iter().chain(tcp) {
        task.abort();
    }
    // Only we hold the lock, so the socket at this path is ours.
    let _gone = std::fs::remove_file(daemon.place.socket());
    ended?;
    tracing::info!(event = "daemon.stopped", quiet, "stopped");
    Ok(Report::new(Exit::Done, json!({"schema": "ledgerward/run/1"}), ""))
}

async fn serve_metrics(daemon: &Daemon) -> Result<Option<JoinHandle<()>>, Failure> {
    let Some(address) = daemon.config().metrics_listen else { return Ok(None) };
    let refused = |e: &std::io::Error| {
        Failure::new(Exit::Refused, format!("metrics_listen: {address} cannot be used"))
            .cause(e)
            .next("Choose another port.")
    };
    if !address.ip().is_loopback() {
        return Err(Failure::new(Exit::Refused, format!("metrics_listen: {address} is no loopback address"))
            .next("Use 127.0.0.1:PORT; a scraper elsewhere needs a proxy of yours."));
    }
    let listener = tokio::net::TcpListener::bind(address).await.map_err(|e| refused(&e))?;
    let router = health::router(daemon.metrics.clone(), daemon.store.clone());
    Ok(Some(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(event = "metrics.stopped", %error, "the metrics are not served any more");
        }
    })))
}

/// The API on loopback, for who has a token. Off unless it is configured.
async fn serve_tcp(daemon: &Daemon, api: &Arc<api::Api>) -> Result<Option<JoinHandle<()>>, Failure> {
    let Some(address) = daemon.config().api_listen.filter(|a| a.ip().is_loopback()) else { return Ok(None) };
    let refused = |e: &std::io::Error| {
        Failure::new(Exit::Refused, format!("[api] listen: {address} cannot be used"))
            .cause(e)
            .next("Choose another port.")
    };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(|e| refused(&e))?;
    let bound = listener.local_addr().map_err(|e| refused(&e))?;
    let router = api.tcp(bound);
    Ok(Some(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(event = "api.stopped", %error, "the API does not answer on TCP any more");
        }
    })))
}

/// Nobody listening (no systemd) is no failure.
fn notify(state: &[NotifyState<'_>]) {
    let _nobody = sd_notify::notify(state);
}

/// The scheduler.
struct Loop {
    agenda: Agenda,
    begun: Instant,
    slot: Slot,
    worker: Option<JoinHandle<()>>,
    ticker: Ticker,
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Loop {
    async fn new(daemon: &Arc<Daemon>) -> Result<Self, Failure> {
        let last = daemon.store.run(|db| db.schedule_last()).await?;
        let on = |kind| signal(kind).map_err(|e| Failure::new(Exit::Failed, "signals cannot be received").cause(&e));
        Ok(Self {
            agenda: Agenda::new(last, daemon.clock.now(), daemon.seed),
            begun: Instant::now(),
            slot: Slot::default(),
            worker: None,
            ticker: Ticker::start(TICK).await,
            term: on(SignalKind::terminate())?,
            int: on(SignalKind::interrupt())?,
            hup: on(SignalKind::hangup())?,
        })
    }

    /// Errors: the state's disk failed. Nothing that is stored later could be believed (F06), so the service restarts and
    /// checks it.
    async fn run(mut self, daemon: &Arc<Daemon>) -> Result<(), Failure> {
        notify(&[NotifyState::Ready, NotifyState::Status("Running")]);
        tracing::info!(event = "daemon.ready", version = env!("CARGO_PKG_VERSION"), "ready");
        loop {
            notify(&[NotifyState::Watchdog]);
            let looked = self.look(daemon).await;
            daemon.process.troubled(looked.as_ref().err().map(ToString::to_string));
            if let Err(e) = looked {
                tracing::error!(event = "schedule.failed", error = %e, "the schedules cannot be kept");
                if matches!(e.kind, Kind::Io | Kind::Closed) {
                    return Err(e.into());
                }
            }
            tokio::select! {
                () = self.ticker.next() => {}
                end = finished(&mut self.worker) => {
                    self.worker = None;
                    tell_worker(end);
                    // What became due meanwhile is found by looking again at once.
                    if self.slot.finish() {
                        let _done = self.slot.finish();
                    }
                }
                _ = self.hup.recv() => {
                    tokio::spawn(runner::reload(Arc::clone(daemon)));
                }
                _ = self.term.recv() => return Ok(()),
                _ = self.int.recv() => return Ok(()),
            }
        }
    }

    /// Starts what is due, if nothing is under way. Its start is stored before it begins.
    async fn look(&mut self, daemon: &Arc<Daemon>) -> Result<(), StoreError> {
        let (now, since) = (daemon.clock.now(), self.begun.elapsed());
        if let Some(jump) = self.agenda.clock(now, since) {
            health::clock_jumped();
            tracing::warn!(
                event = "clock.jump",
                seconds = jump.as_secs(),
                "the clock was set; cron times wait ten minutes"
            );
        }
        let rereads = daemon.rereads_due(now).await?;
        let config = daemon.config();
        let Some(job) = self.agenda.due(&config, now, since, !rereads.is_empty()) else { return Ok(()) };
        if !self.slot.offer() {
            return Ok(());
        }
        for name in job.pays_for() {
            if let Err(e) = daemon.store.run(move |db| db.schedule_started(name, now)).await {
                let _done = self.slot.finish();
                return Err(e);
            }
            self.agenda.started(name, now, since);
        }
        notify(&[NotifyState::Status(job.status())]);
        let daemon = Arc::clone(daemon);
        // A cycle borrows from its own plan, which a task that may move between threads must not; it has one to itself.
        let runtime = tokio::runtime::Handle::current();
        self.worker = Some(tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = daemon.work(job, rereads) => {}
                    () = daemon.left_behind() => {}
                }
            });
        }));
        Ok(())
    }
}

async fn finished(worker: &mut Option<JoinHandle<()>>) -> Result<(), JoinError> {
    match worker {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

fn tell_worker(end: Result<(), JoinError>) {
    notify(&[NotifyState::Status("Running")]);
    if let Err(e) = end {
        tracing::error!(event = "cycle.defect", error = %e, "a defect ended a cycle; the daemon goes on. Please report it");
    }
}

/// Something that comes every fifteen seconds and decides nothing.
///
/// The crate counts by the wall clock: set back by a day, it would be silent for a day. Whoever waits here therefore hears
/// from the monotonic clock after two ticks at the latest.
struct Ticker {
    ticks: mpsc::Receiver<()>,
    every: Duration,
    scheduler: Option<JobScheduler>,
}

impl Ticker {
    async fn start(every: Duration) -> Self {
        let (send, ticks) = mpsc::channel(1);
        let begun = async {
            let scheduler = JobScheduler::new().await?;
            // A tick that finds the last one waiting is the same tick.
            scheduler
                .add(CronJob::new_repeated(every, move |_, _| {
                    let _ = send.try_send(());
                })?)
                .await?;
            scheduler.start().await?;
            Ok::<_, tokio_cron_scheduler::JobSchedulerError>(scheduler)
        };
        let scheduler =
            begun.await.inspect_err(|e| tracing::warn!(event = "ticker.failed", error = %e, "own ticks are used")).ok();
        Self { ticks, every, scheduler }
    }

    async fn next(&mut self) {
        let silent = self.every * 2;
        if self.scheduler.is_none() || tokio::time::timeout(silent, self.ticks.recv()).await.is_ok_and(|t| t.is_none())
        {
            tokio::time::sleep(self.every).await;
        }
    }
}
