//! The product as a process that lives, is asked things, and may die at any request or any `await`.

use std::{
    fs,
    future::{Future, poll_fn},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use ledgerward::{
    app::{App, Place},
    cli::{
        self, args,
        console::Console,
        outcome::{Failure, Report},
    },
    config::Config,
    domain::{
        change::{self, ChangeOp},
        firm::{Mode, Office, PersonId},
    },
    process::Process,
    store::{Db, Options, Store},
    world::Network,
};
use ledgerward_contract::{Email, Timestamp};
use ledgerward_kit::clock::{Clock, TokioClock};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::outside::{ADDRESS, Line, Outside};

pub const OWNER: &str = "ana@harbour.example";

/// How a command ended.
pub enum End {
    Told(Report),
    Refused(Failure),
    Died,
}

/// What kills a command.
#[derive(Clone, Copy, Debug, Default)]
pub struct Killer {
    /// After so many polls of the command's future.
    pub polls: Option<u32>,
}

struct Alive {
    app: App,
    clock: TokioClock,
    /// Last, so that what the process holds goes before its tasks.
    runtime: Runtime,
}

pub struct House {
    dir: TempDir,
    config: Arc<Config>,
    pub outside: Arc<Outside>,
    alive: Option<Alive>,
    now: Timestamp,
}

const CONFIG: &str = r#"
version = 1

[firm]
name = "Harbour"
domains = ["harbour.example"]
timezone = "Pacific/Auckland"

[schedule]
access = "every 5 minutes"
statements = "30 6 * * *"

[connections.xero]
connector = "xero"
client_id = "test-app"
client_secret = { file = "xero-secret" }
endpoints = { login = "{at}", identity = "{at}", api = "{at}" }

[targets.drive]
connector = "google-drive"
client_id = "test-drive"
client_secret = { file = "drive-secret" }
endpoints = { api = "{at}/drive/v3", upload = "{at}/upload/drive/v3", accounts = "{at}", oauth = "{at}" }
sharing = "mirror"

[statements]
kinds = ["profit-and-loss"]
formats = ["csv"]
periods = ["month"]
after_days = 1
"#;

impl House {
    pub fn new(outside: Arc<Outside>, now: Timestamp) -> Self {
        // Every commit is synced; in memory that costs nothing.
        let memory = PathBuf::from("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        for (file, word) in [("xero-secret", "test-secret"), ("drive-secret", "test-drive-word")] {
            let path = dir.path().join(file);
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(path).unwrap();
            file.write_all(word.as_bytes()).unwrap();
        }
        let config = dir.path().join("config.toml");
        fs::write(&config, CONFIG.replace("{at}", &format!("http://{ADDRESS}"))).unwrap();
        let config = Arc::new(ledgerward::app::load_config(&config).unwrap());
        let house = Self { dir, config, outside, alive: None, now };
        house.first_owner();
        house
    }

    /// As `init` does it, at the simulation's own time.
    fn first_owner(&self) {
        let options = Options::new(self.dir.path().join("state"), self.now).create();
        let mut db = Db::open(options).unwrap();
        let before = db.firm().unwrap();
        let op = ChangeOp::AddPerson {
            id: PersonId(uuid::Uuid::now_v7()),
            first: "Ana".to_owned(),
            last: "Ruiz".to_owned(),
            email: Email::parse(OWNER).unwrap(),
            office: Office::PrimaryOwner,
            mode: Mode::LedgerSelected,
        };
        let by = change::By { actor: change::Actor::Setup, at: self.now };
        let (after, _) = change::apply(&before, &op, by).unwrap();
        db.record_change(&json!(op), OWNER, "init", self.now, &before, &after).unwrap();
    }

    pub fn now(&self) -> Timestamp {
        // Tokio's time stands still inside of its runtime only.
        let inside = |a: &Alive| {
            let _inside = a.runtime.enter();
            a.clock.now()
        };
        self.alive.as_ref().map_or(self.now, inside)
    }

    fn start(&mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let now = self.now;
        let inside = runtime.enter();
        let clock = TokioClock::starting(now);
        let outside = Arc::clone(&self.outside);
        let network = Network { open: Arc::new(move |name, _, _| Ok(outside.line(name, clock.now()))), jitter: || 0.5 };
        let state = self.dir.path().join("state");
        let db = Db::open(Options::new(&state, now)).unwrap();
        let store = Store::here(db);
        let place = Place {
            config: self.dir.path().join("config.toml"),
            state,
            runtime: None,
            acting: None,
            json: true,
            quiet: true,
        };
        let uid = rustix::process::getuid().as_raw();
        let process = Arc::new(Process::over(network));
        let config = Arc::clone(&self.config);
        let app = App::acting(place, config, store, Arc::new(clock), uid, "simulation", process).unwrap();
        self.outside.watch(Some(app.store.clone()));
        drop(inside);
        self.alive = Some(Alive { app, clock, runtime });
    }

    /// The process is gone, as `kill -9` leaves it: its tasks, its memory, its lock.
    pub fn stop(&mut self) {
        self.now = self.now();
        self.outside.watch(None);
        if let Some(Alive { app, clock: _, runtime }) = self.alive.take() {
            drop(runtime);
            drop(app);
        }
    }

    fn alive(&mut self) -> &Alive {
        if self.alive.is_none() {
            self.start();
        }
        self.alive.as_ref().unwrap()
    }

    pub fn wait(&mut self, span: Duration) {
        let alive = self.alive();
        alive.runtime.block_on(async { tokio::time::sleep(span).await });
    }

    pub fn ask(&mut self, words: &[&str]) -> End {
        self.ask_under(words, Killer::default())
    }

    /// One command. If it is killed the whole process goes, and the next command starts a new one.
    pub fn ask_under(&mut self, words: &[&str], killer: Killer) -> End {
        let cli = args::parse(std::iter::once("ledgerward").chain(words.iter().copied()))
            .unwrap_or_else(|_| panic!("no such command: {words:?}"));
        let outside = Arc::clone(&self.outside);
        let alive = self.alive();
        let mut console = Browser { outside: Arc::clone(&outside), clock: alive.clock, url: None };
        let told = alive.runtime.block_on(async {
            let mut work = pin!(cli::command(&alive.app, &mut console, cli.command));
            let mut died = pin!(outside.died.notified());
            let mut polls = 0;
            poll_fn(|cx| {
                if died.as_mut().poll(cx).is_ready() || killer.polls.is_some_and(|most| polls >= most) {
                    return Poll::Ready(None);
                }
                polls += 1;
                let done = work.as_mut().poll(cx).map(Some);
                // A request that killed us wakes nobody else.
                if done.is_pending() && died.as_mut().poll(cx).is_ready() { Poll::Ready(None) } else { done }
            })
            .await
        });
        match told {
            Some(Ok(report)) => End::Told(report),
            Some(Err(failure)) => End::Refused(failure),
            None => {
                self.stop();
                End::Died
            }
        }
    }

    pub fn must(&mut self, words: &[&str]) -> Report {
        match self.ask(words) {
            End::Told(report) => report,
            End::Refused(failure) => panic!("{words:?}: {}", failure.render()),
            End::Died => panic!("{words:?}: died"),
        }
    }

    /// The state, between two commands.
    pub fn state<R: Send + 'static>(
        &mut self,
        act: impl FnOnce(&mut Db) -> ledgerward::store::Result<R> + Send + 'static,
    ) -> R {
        self.alive().app.store.run_blocking(act).unwrap()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The person at the terminal: opens every address that is shown, and pastes where it led.
struct Browser {
    outside: Arc<Outside>,
    clock: TokioClock,
    url: Option<String>,
}

impl Console for Browser {
    fn note(&mut self, line: &str) {
        if let Some(url) = line.trim().strip_prefix("http://") {
            self.url = Some(format!("http://{url}"));
        }
    }

    fn interactive(&self) -> bool {
        false
    }

    fn ask(&mut self, _: &str) -> Option<String> {
        let url: url::Url = self.url.take()?.parse().unwrap();
        let line = if url.path().starts_with("/identity") { Line::Xero } else { Line::Drive };
        Some(self.outside.consent(line, &url, self.clock.now()))
    }
}
