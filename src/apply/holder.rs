//! Single acts on a folder by a person's word: a holder taken off, a folder taken over.

use std::time::Duration;

use ledgerward_contract::{
    Email, Error, ErrorKind, FolderId, Gone, Job, SeenFolder, SeenPermission, SeenRole, WriteCx,
};

use super::{
    StepDone, begin,
    lane::{Left, read_back},
    settle::{may_be_done, settle_one},
    via_words, words,
};
use crate::{
    app::App,
    cli::outcome::Failure,
    domain::lane::{Cause, LaneKey, Op, Step},
    drift,
    store::{Intent, JournalOp, Outcome},
    world::Target,
};

/// One entry of a folder's list that a person wants gone.
pub struct Removal<'a> {
    pub run: i64,
    pub lane: &'a LaneKey,
    pub folder: &'a FolderId,
    pub seen: &'a SeenPermission,
    /// Under which address it is ours, if it is.
    pub owned: Option<&'a Email>,
    pub reason: &'a str,
}

/// Takes one holder off a folder by a person's word (`holders remove`): journalled, sent once, read back. Not for what a plan
/// decides.
///
/// The inner error is what went wrong, in words; the outer one is the state's.
pub async fn remove_holder(app: &App, target: &Target, what: &Removal<'_>) -> Result<Result<(), String>, Failure> {
    let role = match what.seen.role {
        SeenRole::Reader => ledgerward_contract::FolderRole::Reader,
        _ => ledgerward_contract::FolderRole::Writer,
    };
    let op = Op::Revoke { who: what.seen.holder.clone(), permission: what.seen.id.clone(), role };
    let intent = Intent {
        run: what.run,
        lane: what.lane.clone(),
        op: JournalOp::Access(op.clone()),
        cause: Some(Cause::Decision { change: "holders remove".to_owned() }),
        because: what.reason.to_owned(),
        reserved: None,
        approved: true,
    };
    drift::forget(app, std::iter::once(what.lane)).await?;
    let (row, cx) = begin(app, target, intent, app.now()).await?;
    let sent = match target.api()?.revoke(&cx, what.folder, &what.seen.id).await {
        Ok(Gone::Pending(job)) => wait_for(target, &cx, &job).await.map(|()| None),
        Ok(Gone::StillVia(via)) => Ok(Some(via)),
        Ok(Gone::Done | Gone::Already) => Ok(None),
        Err(e) => Err(e),
    };
    let step = StepDone {
        step: Step::new(op, Cause::Decision { change: "holders remove".to_owned() }, what.reason),
        result: Ok(()),
        granted: None,
        refused: None,
        waits: None,
    };
    let (now, owned) = (app.now(), what.owned.cloned());
    match sent {
        Ok(still) => {
            let left = match &still {
                Some(via) => Some((Left::of(target, what.folder, &step.step.op, via, now).await, via)),
                None => None,
            };
            // An answer proves nothing. An entry that is listed stays ours, or nobody would ever take it away (S11).
            let shown = match &left {
                Some((Left::Entry, _)) => Err("the target answered that it is done, and the entry is there".to_owned()),
                Some(_) => Ok(()),
                None => read_back(target, what.folder, &[step], now).await.map(|_| ()),
            };
            if let Err(why) = shown {
                let failed = Outcome::Failed { kind: "still_listed".to_owned(), message: why.clone() };
                app.store.run(move |db| db.outcome(row, &failed, now)).await?;
                return Ok(Err(format!("{why}; take it off on {} by hand, or try again", what.lane.target)));
            }
            app.store.run(move |db| db.outcome_revoked_by(row, owned.as_ref(), now)).await?;
            Ok(match left {
                Some((Left::Elsewhere, via)) => Err(format!("the folder is still open to them {}", via_words(via))),
                _ => Ok(()),
            })
        }
        Err(e) if may_be_done(&e) => {
            let message = e.message.clone();
            app.store.run(move |db| db.outcome(row, &Outcome::Unknown { message }, now)).await?;
            let journal = app.store.run(move |db| db.journal_row(row)).await?;
            if !settle_one(app, target, &journal).await? {
                return Ok(Err(words(&e)));
            }
            Ok(read_back(target, what.folder, &[step], now).await.map(|_| ()))
        }
        Err(e) => {
            let failed = Outcome::Failed { kind: format!("{:?}", e.kind).to_lowercase(), message: e.message.clone() };
            app.store.run(move |db| db.outcome(row, &failed, now)).await?;
            Ok(Err(words(&e)))
        }
    }
}

/// Takes over a folder that was there before: writes our marker on it, reads it back and binds the lane to it. Nothing in its
/// sharing list is changed. The inner error is what went wrong, in words; the outer one is the state's.
pub async fn mark_folder(
    app: &App,
    target: &Target,
    run: i64,
    lane: &LaneKey,
    folder: &SeenFolder,
    reason: &str,
) -> Result<Result<(), String>, Failure> {
    let intent = Intent {
        run,
        lane: lane.clone(),
        op: JournalOp::Mark { folder: folder.id.clone(), name: folder.name.clone() },
        cause: Some(Cause::Decision { change: "adopt".to_owned() }),
        because: reason.to_owned(),
        reserved: None,
        approved: true,
    };
    let (row, cx) = begin(app, target, intent, app.now()).await?;
    let now = app.now();
    let sent = target.api()?.mark(&cx, &folder.id, &lane.folder).await;
    let (outcome, why) = match sent {
        Err(e) if !may_be_done(&e) => {
            let kind = format!("{:?}", e.kind).to_lowercase();
            (Outcome::Failed { kind, message: e.message.clone() }, words(&e))
        }
        // Believed when it is read back, however the answer was.
        Err(e) => (Outcome::Unknown { message: e.message.clone() }, words(&e)),
        Ok(()) => {
            let why = "the marker was written and is not seen".to_owned();
            (Outcome::Unknown { message: why.clone() }, why)
        }
    };
    let open = matches!(outcome, Outcome::Unknown { .. });
    app.store.run(move |db| db.outcome(row, &outcome, now)).await?;
    if open {
        let journal = app.store.run(move |db| db.journal_row(row)).await?;
        if settle_one(app, target, &journal).await? {
            return Ok(Ok(()));
        }
    }
    Ok(Err(why))
}

pub(super) async fn wait_for(target: &Target, cx: &WriteCx, job: &ledgerward_contract::JobId) -> Result<(), Error> {
    let api = target.api()?;
    for attempt in 0..30_u32 {
        match api.poll(cx.read(), job).await? {
            Job::Done => return Ok(()),
            Job::Failed(why) => return Err(Error::new(ErrorKind::Conflict, "job.poll", why)),
            Job::Running => tokio::time::sleep(Duration::from_millis(200 * u64::from(attempt.min(10) + 1))).await,
        }
    }
    Err(Error::new(ErrorKind::Unavailable, "job.poll", "the target is still working on it"))
}
