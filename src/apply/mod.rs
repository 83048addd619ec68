//! Carries a cleared plan out, lane by lane, one journalled step after another. The only place that may write to targets.
//!
//! A lane is read again before its first write and after its last. A step is on the disk before it is sent; what became of
//! it is on the disk before the next one. An answer that was lost is settled by looking, never by sending again.

mod folder;
mod holder;
mod lane;
mod refused;
mod settle;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use futures::{StreamExt as _, future::join_all, stream};
use jiff::SignedDuration;
use ledgerward_contract::{
    Email, Error, FolderId, Holder, Journalled, PermissionId, Permit, SeenPermission, SeenRole, Snapshot, Timestamp,
    Via, WriteAuthority, WriteCx,
};

use crate::{
    app::App,
    approvals::{REST, Rest},
    cli::{console::Console, outcome::Failure},
    domain::{
        firm::TargetName,
        lane::{LaneKey, Op, Step},
        plan::{LanePlan, Trouble},
    },
    drift,
    engine::Picture,
    lanes::{self, Known, lane_text},
    store::{Db, Intent},
    world::{Target, World},
};

use self::{folder::Root, lane::lane};
pub use self::{
    folder::{root_id, root_lost},
    holder::{Removal, mark_folder, remove_holder},
    refused::{Refusal, STEP, passes, subject},
    settle::settle,
};

/// How a lane's work ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneEnd {
    /// Everything cleared for it was done and read back.
    Done,
    /// Its list was not the one the plan was made from. Nothing was written; the next run plans again.
    Drifted,
    /// Some step failed, or was not seen in the list afterwards.
    Failed,
}

/// What became of one step.
#[derive(Clone, Debug)]
pub struct StepDone {
    pub step: Step,
    pub result: Result<(), String>,
    /// The entry that a grant made, where the target's answer named it.
    pub granted: Option<PermissionId>,
    /// The target said no, and a person has to do something. `None` also for what the next run does by itself.
    pub refused: Option<Refusal>,
    /// An answer that should pass by itself.
    pub waits: Option<Refusal>,
}

/// One lane after its steps.
#[derive(Debug)]
pub struct LaneDone {
    pub lane: LaneKey,
    pub client: String,
    pub end: LaneEnd,
    pub steps: Vec<StepDone>,
    pub folder: Option<FolderId>,
    /// The list as it was read back after the last write of this run.
    pub list: Option<Snapshot<SeenPermission>>,
    /// A revoke failed or was skipped: no file goes in.
    pub files_stop: bool,
    pub trouble: Option<String>,
}

/// The process's one right to write.
fn authority() -> Result<&'static WriteAuthority, Failure> {
    static AUTHORITY: OnceLock<Option<WriteAuthority>> = OnceLock::new();
    AUTHORITY.get_or_init(WriteAuthority::take).as_ref().ok_or_else(|| {
        Failure::new(
            crate::cli::outcome::Exit::Failed,
            "a second writer was asked for in one process; this is a defect",
        )
    })
}

/// A journalled write: its intent is on the disk when this returns. `cycle` is when the cycle began: a connector may believe
/// for so long what it saw of a root or a folder's marker, and with another time for each write it would look at all of it
/// before each.
pub async fn begin(
    app: &App,
    target: &Target,
    intent: Intent,
    cycle: Timestamp,
) -> Result<(Journalled, WriteCx), Failure> {
    // What cannot be sent at all leaves no row behind.
    target.transport()?;
    let now = app.now();
    let step = app.store.run_grouped(move |db| db.intend(&intent, now)).await?;
    Ok((step, write_cx(target, step, cycle)?))
}

/// [`begin`] for several writes to one target, whose rows are one write of the journal.
pub async fn begin_all(
    app: &App,
    target: &Target,
    intents: Vec<Intent>,
    cycle: Timestamp,
) -> Result<Vec<(Journalled, WriteCx)>, Failure> {
    target.transport()?;
    let now = app.now();
    let intend =
        move |db: &mut Db| db.tx(|db| intents.iter().map(|i| db.intend(i, now)).collect::<Result<Vec<_>, _>>());
    let steps = app.store.run_grouped(intend).await?;
    steps.into_iter().map(|step| Ok((step, write_cx(target, step, cycle)?))).collect()
}

/// A context to write with, for a step that is journalled.
fn write_cx(target: &Target, step: Journalled, now: Timestamp) -> Result<WriteCx, Failure> {
    Ok(Permit::issue(authority()?, step).open(target.transport()?, now))
}

/// Applies everything the guard cleared. Lanes go side by side; a bad one never stops the others.
pub async fn run(
    app: &App,
    world: &World,
    picture: &Picture,
    console: &mut dyn Console,
) -> Result<Vec<LaneDone>, Failure> {
    let plans: Vec<&LanePlan> = picture.verdict.cleared.lanes().iter().filter(|l| !l.steps.is_empty()).collect();
    if !plans.is_empty() {
        console.note(&format!(
            "Applying {} in {} …",
            crate::render::plan::count(picture.verdict.cleared.len(), "step"),
            crate::render::plan::count(plans.len(), "folder")
        ));
    }
    use_approvals(app, picture).await?;
    lanes::keep_extra(app, picture).await?;
    // What is about to change is read again in the next run, also if this one ends in the middle.
    drift::forget(app, plans.iter().map(|p| &p.lane)).await?;
    // Lanes with a revoke go first: whoever must go does not wait for somebody else's new folder (`decisions` 16).
    let mut ordered = plans;
    ordered.sort_by_key(|l| !l.steps.iter().any(|s| matches!(s.op, Op::Revoke { .. })));
    let mut by_target: BTreeMap<&TargetName, Vec<&LanePlan>> = BTreeMap::new();
    for plan in ordered {
        by_target.entry(&plan.lane.target).or_default().push(plan);
    }
    // Each target at its own pace: a slow one holds up no other.
    let targets = by_target.into_iter().map(|(target, plans)| {
        let api = world.targets.get(target).and_then(|t| t.api().ok());
        let at_once = api.map_or(1, |t| t.limits().lanes_parallel.max(1));
        async move {
            let root = Root::default();
            let done = stream::iter(plans).map(|plan| lane(app, world, picture, plan, &root));
            done.buffer_unordered(at_once).collect::<Vec<Result<LaneDone, Failure>>>().await
        }
    });
    let done = join_all(targets).await;
    let mut lanes: Vec<LaneDone> = done.into_iter().flatten().collect::<Result<_, _>>()?;
    lanes.sort_by(|a, b| a.lane.cmp(&b.lane));
    release(app, picture).await?;
    refused::tell(app, picture, &lanes).await?;
    let bad: BTreeSet<&LaneKey> = lanes.iter().filter(|l| l.end != LaneEnd::Done).map(|l| &l.lane).collect();
    let held: BTreeSet<&LaneKey> = picture.verdict.held.iter().flat_map(|h| &h.lanes).map(|l| &l.lane).collect();
    let (done, open): (BTreeSet<&LaneKey>, BTreeSet<&LaneKey>) =
        picture.verdict.cleared.lanes().iter().map(|l| &l.lane).partition(|l| !bad.contains(l) && !held.contains(l));
    let stuck = picture.verdict.keeps_in(&bad);
    let taken = open.into_iter().filter(|l| !stuck.contains(l)).cloned().collect();
    lanes::settled(app, picture, &done.into_iter().cloned().collect(), &taken).await?;
    Ok(lanes)
}

/// An approval serves one hold (`product` 7): those that cleared something of this plan are used up before the first write.
async fn use_approvals(app: &App, picture: &Picture) -> Result<(), Failure> {
    let approved = picture.approved.clone();
    let now = picture.now;
    if approved.is_empty() {
        return Ok(());
    }
    app.store
        .run(move |db| {
            db.tx(|db| {
                let old: BTreeMap<String, Rest> = db.doc_all(REST)?;
                for digest in old.iter().filter(|(_, rest)| rest.expires <= now).map(|(digest, _)| digest) {
                    db.doc_delete(REST, digest)?;
                }
                for (digest, rest) in &approved {
                    db.use_approval(digest, now)?;
                    // What fails of it may be done later, without another word.
                    db.doc_put(REST, digest, rest)?;
                }
                Ok(())
            })
        })
        .await?;
    Ok(())
}

/// Since when a grant of ours is not in its folder's list, by [`lane_text`] and the step that made it.
const ABSENT: &str = "owned_absent";

/// What this run saw of one lane's grants of ours that are, or were, not in its list.
#[derive(Default)]
struct Absences {
    /// Since when each of them is absent.
    waits: BTreeMap<i64, Timestamp>,
    /// Nobody is entitled to these any more.
    lost: Vec<(Email, Timestamp)>,
    /// Taken off by hand from people who are entitled.
    off: Vec<(Email, Timestamp)>,
    back: Vec<Email>,
    /// Another list has to say so.
    unsure: bool,
}

impl Absences {
    fn of(
        plan: &LanePlan,
        known: &Known,
        was: &BTreeMap<i64, Timestamp>,
        confirm: SignedDuration,
        now: Timestamp,
    ) -> Self {
        let mut out = Self::default();
        for row in &known.owned {
            let (step, who) = (row.grant.step, &row.grant.who);
            let since = was.get(&step).map_or(now, |since| now.min(*since));
            let elsewhere = known.folder() != Some(&row.grant.folder);
            let sure = now.duration_since(since) >= confirm;
            // By somebody's word, and in this run.
            let put_back =
                plan.steps.iter().any(|s| matches!(&s.op, Op::Grant { who: in_again, .. } if in_again == who));
            // A folder that the lane no longer has is not looked at again.
            // Nor does a "no" need a second look, unlike an absence: it is said.
            let declined = |p: &SeenPermission| p.id == row.grant.permission && p.role == SeenRole::Declined;
            let said_no = known.list().is_some_and(|list| list.items().iter().any(declined));
            if plan.released.contains(&step) && (sure || elsewhere || said_no) {
                out.lost.push((who.clone(), since));
            } else if plan.released.contains(&step) || (plan.removed_by_hand.contains(who) && !elsewhere) {
                out.unsure |= !sure;
                out.waits.insert(step, since);
                if sure && !put_back {
                    out.off.push((who.clone(), since));
                }
            } else if was.contains_key(&step) {
                let listed = |p: &SeenPermission| {
                    p.via == Via::Direct && (p.id == row.grant.permission || p.holder == Holder::Person(who.clone()))
                };
                if known.entries().is_some_and(|list| list.iter().any(listed)) {
                    out.back.push(who.clone());
                } else {
                    out.waits.insert(step, since);
                }
            }
        }
        out
    }
}

/// Takes in what others did to grants of ours: what is gone from its folder is let go of where nobody is entitled to it any more,
/// and where somebody is, it is told as taken off. One list may lack an entry that is there: it stays as it was until a second
/// one, `confirm_after` later, lacks it too. Nobody else would ever take it away.
async fn release(app: &App, picture: &Picture) -> Result<(), Failure> {
    let mut before: BTreeMap<String, BTreeMap<i64, Timestamp>> = app.store.run(|db| db.doc_all(ABSENT)).await?;
    let confirm = SignedDuration::from_secs(i64::from(picture.firm.policy.confirm_after_seconds));
    let now = picture.now;
    let (mut found, mut again) = (Vec::new(), Vec::new());
    // A folder that is out of sight may come back with everybody on its list.
    let in_sight = |plan: &&LanePlan| {
        !plan.trouble.iter().any(|t| matches!(t, Trouble::Gone | Trouble::Trashed | Trouble::NoAccess))
    };
    for plan in picture.verdict.cleared.lanes().iter().filter(in_sight) {
        let Some(known) = picture.book.lanes.get(&plan.lane) else { continue };
        let was = before.remove(&lane_text(&plan.lane)).unwrap_or_default();
        let nothing = plan.released.is_empty() && plan.removed_by_hand.is_empty() && was.is_empty();
        if known.is_remembered() || nothing {
            continue;
        }
        let seen = Absences::of(plan, known, &was, confirm, now);
        if seen.unsure {
            again.push(&plan.lane);
        }
        found.push((plan.lane.clone(), seen));
    }
    drift::forget(app, again.into_iter()).await?;
    if found.is_empty() {
        return Ok(());
    }
    app.store
        .run(move |db| {
            db.tx(|db| {
                for (lane, seen) in &found {
                    match seen.waits.is_empty() {
                        true => db.doc_delete(ABSENT, &lane_text(lane)).map(drop)?,
                        false => db.doc_put(ABSENT, &lane_text(lane), &seen.waits)?,
                    }
                    for (who, since) in &seen.lost {
                        db.owned_lost(lane, who, "no longer in the folder's list", *since, now)?;
                    }
                    for (who, since) in &seen.off {
                        db.taken_off(lane, who, *since, now)?;
                    }
                    for who in &seen.back {
                        db.back_on(lane, who, now)?;
                    }
                }
                Ok(())
            })
        })
        .await?;
    Ok(())
}

/// What to tell a person of an error: the sentence, and what to do next.
pub fn words(e: &Error) -> String {
    match &e.next {
        Some(next) => format!("{}. {next}", e.message.trim_end_matches('.')),
        None => e.message.clone(),
    }
}

pub fn via_words(via: &Via) -> String {
    match via {
        Via::Direct => "directly".to_owned(),
        Via::Inherited => "through a folder above it or a membership".to_owned(),
        Via::Below(path) => format!("through {path} in it"),
    }
}
