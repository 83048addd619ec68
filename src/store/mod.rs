//! The state: one file, one thread, one lock.
//!
//! [`Store`] is a cheap handle. The thread behind it owns the only connection; a job is a closure over [`Db`] and runs to its
//! end before the next one starts, so no transaction is ever open across an `await` (D07). Everything that changes who may
//! see what writes its audit row in the same transaction (D08).
//!
//! Read [`db`] (transactions), [`open`] (what is refused and why), [`journal`] and [`signin`] (the two places where a lost
//! row hurts somebody).

mod addresses;
mod backup;
pub mod db;
mod delivered;
mod docs;
mod error;
mod exposed;
mod facts;
mod findings;
mod firm;
mod group;
mod growth;
mod guarded;
mod history;
pub mod journal;
mod keys;
mod lanes;
mod ledgers;
mod migrate;
pub mod open;
mod place;
mod runs;
mod seal;
pub mod signin;
mod spool;
mod vault;
mod watermark;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
};

use tokio::sync::oneshot;

pub use addresses::Addresses;
pub use backup::{Integrity, restore};
pub use db::{Actor, Db, Restored};
pub use delivered::{DeliveredFile, StatementVersion};
pub use error::{Kind, Result, StoreError};
pub use exposed::{Denial, Removal};
pub use facts::{FactRow, FactValue, SeenFact, Upheld};
pub use findings::{FindingRow, FindingsChange};
pub use firm::{Change, ChangeState};
pub use growth::Counted;
pub use guarded::{Approval, Freeze, HoldRow, PlanRow};
pub use history::{AccessChange, AppliedRow};
pub use journal::{Intent, JournalOp, JournalRow, JournalState, Outcome};
pub use keys::KeySource;
pub use lanes::{Accepted, LaneRow, OwnedRow};
pub use ledgers::LedgerSeen;
pub use open::{Note, Options};
pub use runs::{CrashLoop, RunRow};
pub use signin::{NewSignIn, NewTokens, PendingOAuth, SignIn, SignInId, SignInState, Tokens};
pub(crate) use watermark::Mark;

pub(crate) use watermark::hex;

enum Job {
    Run(Box<dyn FnOnce(&mut Db) + Send>),
    Grouped(group::Grouped),
    Stop,
}

/// Where jobs are done.
#[derive(Clone)]
enum Jobs {
    Thread(mpsc::Sender<Job>),
    Here(Arc<Mutex<Db>>),
}

/// A handle on the state. Clones share one thread; the state closes when the last one is dropped or [`Store::close`] returns.
#[derive(Clone)]
pub struct Store {
    jobs: Jobs,
    actor: Arc<Actor>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Store {
    /// Opens the state and starts its thread. Blocks for the checks; call it before anything else is running.
    pub fn open(options: Options) -> Result<Self> {
        Self::serve(Db::open(options)?)
    }

    /// Starts a thread for an opened state.
    pub fn serve(mut db: Db) -> Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                let mut next = queue.recv();
                loop {
                    match next {
                        Ok(Job::Run(job)) => job(&mut db),
                        Ok(Job::Grouped(first)) => {
                            if let Some(other) = group::run(&mut db, first, &queue) {
                                next = Ok(other);
                                continue;
                            }
                        }
                        Ok(Job::Stop) | Err(_) => break,
                    }
                    next = queue.recv();
                }
            })
            .map_err(|e| StoreError::new(Kind::Io, "cannot start the thread of the state").source(e))?;
        Ok(Self {
            jobs: Jobs::Thread(jobs),
            actor: Arc::new(Actor::daemon()),
            thread: Arc::new(Mutex::new(Some(thread))),
        })
    }

    /// Does every job at once, on its caller's thread. For simulations: nothing depends on when another thread gets its
    /// turn, and a paused clock stands still meanwhile.
    pub fn here(db: Db) -> Self {
        Self { jobs: Jobs::Here(Arc::new(Mutex::new(db))), actor: Arc::new(Actor::daemon()), thread: Arc::default() }
    }

    /// The same store, for somebody else: what runs through this handle is audited under `actor`.
    #[must_use]
    pub fn acting(&self, actor: Actor) -> Self {
        Self { actor: Arc::new(actor), ..self.clone() }
    }

    /// Runs a job on the state's thread. A job that panics changes nothing and gives `Closed`.
    pub async fn run<R: Send + 'static>(&self, job: impl FnOnce(&mut Db) -> Result<R> + Send + 'static) -> Result<R> {
        let answer = self.submit(job)?;
        answer.await.map_err(|_| gone())?
    }

    /// [`Store::run`] for a step that many do at the same time: those that wait share one transaction, and so one write to
    /// the disk. Nobody hears of his own before all of it is on the disk. Not for what cannot be in a transaction.
    pub async fn run_grouped<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Db) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let Jobs::Thread(jobs) = &self.jobs else { return self.run(job).await };
        let (send, answer) = oneshot::channel();
        jobs.send(Job::Grouped(group::grouped(self.actor.clone(), job, send))).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// [`Store::run`] for code outside the async runtime.
    pub fn run_blocking<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Db) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        self.submit(job)?.blocking_recv().map_err(|_| gone())?
    }

    fn submit<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Db) -> Result<R> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<R>>> {
        let (send, answer) = oneshot::channel();
        let actor = self.actor.clone();
        let job = move |db: &mut Db| {
            db.set_actor(&actor);
            let result = catch_unwind(AssertUnwindSafe(|| job(db))).unwrap_or_else(|_| Err(defect()));
            db.abandon();
            // Nobody waits any more if the caller was cancelled; the work stands.
            let _unused = send.send(result);
        };
        match &self.jobs {
            Jobs::Thread(jobs) => jobs.send(Job::Run(Box::new(job))).map_err(|_| gone())?,
            Jobs::Here(db) => job(&mut db.lock().unwrap_or_else(PoisonError::into_inner)),
        }
        Ok(answer)
    }

    /// Finishes what is queued, closes the file and gives the lock back. Other handles get `Closed` from then on.
    pub async fn close(self) -> Result<()> {
        let thread = self.thread.lock().ok().and_then(|mut t| t.take());
        // An error means that the thread has ended already.
        if let Jobs::Thread(jobs) = &self.jobs {
            let _unused = jobs.send(Job::Stop);
        }
        let Some(thread) = thread else { return Ok(()) };
        tokio::task::spawn_blocking(move || thread.join()).await.ok().and_then(std::result::Result::ok).ok_or_else(
            || StoreError::new(Kind::Closed, "the state did not close cleanly; it is checked at the next start"),
        )
    }
}

fn defect() -> StoreError {
    StoreError::new(Kind::Closed, "a defect stopped this step; what it had begun was undone")
        .next("Please report it with the log.")
}

fn gone() -> StoreError {
    StoreError::new(Kind::Closed, "the state is closed")
}
