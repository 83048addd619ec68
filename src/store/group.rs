//! Steps of several callers in one transaction. A delivery writes an intent and an outcome for every file; each by itself would
//! wait for the disk.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
};

use tokio::sync::oneshot;

use super::{
    Job,
    db::{Actor, Db},
    defect,
    error::{Kind, Result, StoreError},
};

/// More wait for the next group.
const MOST: usize = 64;

/// Tells a caller the end of his step: his own result, or why the group's transaction is not on the disk.
type Tell = Box<dyn FnOnce(Option<StoreError>) + Send>;

/// A step, which gives what tells its end.
pub(super) type Grouped = Box<dyn FnOnce(&mut Db) -> Tell + Send>;

pub(super) fn grouped<R: Send + 'static>(
    actor: Arc<Actor>,
    job: impl FnOnce(&mut Db) -> Result<R> + Send + 'static,
    send: oneshot::Sender<Result<R>>,
) -> Grouped {
    Box::new(move |db| {
        db.set_actor(&actor);
        let result = catch_unwind(AssertUnwindSafe(|| job(db))).unwrap_or_else(|_| Err(defect()));
        Box::new(move |lost| {
            // Nobody waits any more if the caller was cancelled; the work stands.
            let _unused = send.send(result.and_then(|done| lost.map_or(Ok(done), Err)));
        })
    })
}

/// Does a step and those that wait behind it. Gives a job of another kind that came in between.
pub(super) fn run(db: &mut Db, first: Grouped, queue: &mpsc::Receiver<Job>) -> Option<Job> {
    let (mut group, mut other) = (VecDeque::from([first]), None);
    while group.len() < MOST && other.is_none() {
        match queue.try_recv() {
            Ok(Job::Grouped(step)) => group.push_back(step),
            Ok(job) => other = Some(job),
            Err(_) => break,
        }
    }
    if group.len() > 1 {
        together(db, &mut group);
    }
    // A step without company; and what a lost transaction left, where one step's trouble is no other's.
    for step in group {
        let end = step(db);
        db.abandon();
        end(None);
    }
    other
}

/// Does steps in one transaction until all are done or it is lost. Every step is a savepoint of its own, so an error of one
/// undoes that one alone.
fn together(db: &mut Db, group: &mut VecDeque<Grouped>) {
    let mut ends = Vec::new();
    let done = db.tx(|db| {
        while let Some(step) = group.pop_front() {
            ends.push(step(db));
            // A full or failed disk undoes the whole transaction, and a defect leaves it half-way.
            if !db.is_in_group() {
                return Err(StoreError::new(Kind::Closed, "another step of this moment failed, and this one with it"));
            }
        }
        Ok(())
    });
    db.abandon();
    let lost = done.err();
    for end in ends {
        end(lost.as_ref().map(|e| StoreError { next: e.next.clone(), ..StoreError::new(e.kind, e.message.clone()) }));
    }
}
