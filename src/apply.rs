//! Carries a cleared plan out, lane by lane, one journalled step after another. The only place that may write to targets.
//!
//! A lane is read again before its first write and after its last. A step is on the disk before it is sent; what became of
//! it is on the disk before the next one. An answer that was lost is settled by looking, never by sending again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
    time::Duration,
};

use futures::{StreamExt as _, stream};
use ledgerward_contract::{
    Created, Email, Error, ErrorKind, FolderId, FolderKey, Gone, Granted, Holder, Job, Journalled, PermissionId,
    Permit, ReadCx, ReservedId, SeenFolder, SeenPermission, SeenRole, Snapshot, Stat, StorageTarget, Timestamp, Via,
    WriteAuthority, WriteCx,
};
use serde_json::json;

use crate::{
    app::App,
    approvals::{REST, Rest},
    cli::{console::Console, outcome::Failure},
    config::schema,
    domain::{
        firm::TargetName,
        lane::{Cause, LaneKey, Op, OwnedGrant, Step},
        order,
        plan::{self, LanePlan, Trouble},
    },
    drift,
    engine::Picture,
    gather, lanes,
    store::{Intent, JournalOp, JournalRow, JournalState, LaneRow, Outcome, StoreError},
    world::{Target, World},
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

/// The id of each target's root, stored before the root is made.
const ROOT: &str = "target_root";

/// Targets whose root is there, as far as this run has looked. Held while one is made, so that no two lanes make one each.
type Roots = tokio::sync::Mutex<BTreeSet<TargetName>>;

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

/// A journalled write: its intent is on the disk when this returns.
pub async fn begin(app: &App, target: &Target, intent: Intent) -> Result<(Journalled, WriteCx), Failure> {
    // What cannot be sent at all leaves no row behind.
    target.transport()?;
    let now = app.now();
    let step = app.store.run(move |db| db.intend(&intent, now)).await?;
    Ok((step, write_cx(target, step, now)?))
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
    // What is about to change is read again in the next run, also if this one ends in the middle.
    drift::forget(app, plans.iter().map(|p| &p.lane)).await?;
    let at_once = world.targets.values().filter_map(|t| t.api().ok()).map(|t| t.limits().lanes_parallel).max();
    // Lanes with a revoke go first: whoever must go does not wait for somebody else's new folder (`decisions` 16).
    let mut ordered = plans;
    ordered.sort_by_key(|l| !l.steps.iter().any(|s| matches!(s.op, Op::Revoke { .. })));
    let roots = Roots::default();
    let done: Vec<Result<LaneDone, Failure>> = stream::iter(ordered)
        .map(|plan| lane(app, world, picture, plan, &roots))
        .buffer_unordered(at_once.unwrap_or(1).max(1))
        .collect()
        .await;
    let mut lanes: Vec<LaneDone> = done.into_iter().collect::<Result<_, _>>()?;
    lanes.sort_by(|a, b| a.lane.cmp(&b.lane));
    release(app, picture).await?;
    let bad: BTreeSet<&LaneKey> = lanes.iter().filter(|l| l.end != LaneEnd::Done).map(|l| &l.lane).collect();
    let held: BTreeSet<&LaneKey> = picture.verdict.held.iter().flat_map(|h| &h.lanes).map(|l| &l.lane).collect();
    let settled = picture
        .verdict
        .cleared
        .lanes()
        .iter()
        .map(|l| &l.lane)
        .filter(|l| !bad.contains(*l) && !held.contains(*l))
        .cloned()
        .collect();
    lanes::settled(app, picture, &settled).await?;
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

/// Grants of ours that are gone from their folders by somebody else's hand, and that nobody is entitled to any more.
async fn release(app: &App, picture: &Picture) -> Result<(), Failure> {
    let mut lost = Vec::new();
    // A folder that is out of sight may come back with everybody on its list.
    let in_sight = |plan: &&LanePlan| {
        !plan.trouble.iter().any(|t| matches!(t, Trouble::Gone | Trouble::Trashed | Trouble::NoAccess))
    };
    for plan in picture.verdict.cleared.lanes().iter().filter(in_sight) {
        let Some(known) = picture.book.lanes.get(&plan.lane) else { continue };
        for step in &plan.released {
            if let Some(row) = known.owned.iter().find(|o| o.grant.step == *step) {
                lost.push((plan.lane.clone(), row.grant.who.clone()));
            }
        }
    }
    if lost.is_empty() {
        return Ok(());
    }
    let now = picture.now;
    app.store
        .run(move |db| {
            for (lane, who) in &lost {
                db.owned_lost(lane, who, "no longer in the folder's list", now)?;
            }
            Ok(())
        })
        .await?;
    Ok(())
}

async fn lane(
    app: &App,
    world: &World,
    picture: &Picture,
    plan: &LanePlan,
    roots: &Roots,
) -> Result<LaneDone, Failure> {
    let mut done = LaneDone {
        lane: plan.lane.clone(),
        client: plan.client.clone(),
        end: LaneEnd::Done,
        steps: Vec::new(),
        folder: plan.folder.clone(),
        list: None,
        files_stop: false,
        trouble: None,
    };
    let Some(target) = world.targets.get(&plan.lane.target) else {
        done.end = LaneEnd::Failed;
        done.trouble = Some("the target is not in the configuration any more".to_owned());
        return Ok(done);
    };
    let lists = picture.book.sharing(&plan.lane.target) != plan::Sharing::Off;
    // Whoever is shut out by a person's decision goes whatever else happened to the list (`decisions` 14); and with the list
    // out of reach only such revokes are planned, without a base.
    let urgent = plan
        .steps
        .iter()
        .all(|s| matches!((&s.op, &s.reason.cause), (Op::Revoke { .. }, Cause::RevokeNow | Cause::Decision { .. })));
    if let (Some(folder), true) = (&plan.folder, lists && !urgent) {
        match gather::sharing(target, folder, picture.now).await {
            Err(e) => return Ok(drifted(done, format!("the list could not be read again: {}", e.message))),
            Ok(list) if plan::base(list.items()) != plan.base => {
                return Ok(drifted(done, "the sharing list changed since the plan was made".to_owned()));
            }
            Ok(_) => {}
        }
    }
    let mut writer = Lane { app, target, picture, plan, folder: plan.folder.clone(), lists, roots };
    let mut failed: Vec<Op> = Vec::new();
    if lists
        && plan.steps.iter().any(|s| lets_in(&s.op))
        && let Err(why) = writer.close_left_open().await?
    {
        done.trouble = Some(why);
        // As if it had not been made: everything waits but revokes.
        failed.push(Op::Create { name: plan.name.clone() });
    }
    for step in &plan.steps {
        if let Some(blocker) = failed.iter().find(|f| !order::goes_on(f, &step.op)) {
            let why = format!("not tried, because an earlier step failed ({})", word(blocker));
            done.steps.push(StepDone { step: step.clone(), result: Err(why) });
            failed.push(step.op.clone());
            continue;
        }
        let result = writer.step(step).await?;
        if result.is_err() {
            failed.push(step.op.clone());
        }
        done.steps.push(StepDone { step: step.clone(), result });
    }
    done.files_stop = failed.iter().any(|op| !order::puts_go_on(op));
    done.folder.clone_from(&writer.folder);
    if let (Some(folder), true) = (&done.folder, lists) {
        match read_back(target, folder, &done.steps, picture.now).await {
            Ok(list) => {
                writer.keep_base(&list).await?;
                done.list = Some(list);
            }
            Err(why) => {
                writer.own_again(&done.steps).await?;
                done.trouble = Some(why);
                done.files_stop = true;
            }
        }
    }
    if !failed.is_empty() || done.trouble.is_some() {
        done.end = LaneEnd::Failed;
    }
    Ok(done)
}

fn drifted(mut done: LaneDone, why: String) -> LaneDone {
    done.end = LaneEnd::Drifted;
    done.files_stop = true;
    done.trouble = Some(why);
    done
}

/// Steps that give somebody more than they have.
const fn lets_in(op: &Op) -> bool {
    matches!(op, Op::Grant { .. } | Op::SetRole { .. } | Op::Adopt { .. })
}

const fn word(op: &Op) -> &'static str {
    match op {
        Op::Revoke { .. } => "revoke",
        Op::Create { .. } => "create",
        Op::Rename { .. } => "rename",
        Op::SetRole { .. } => "set role",
        Op::Grant { .. } => "grant",
        Op::Adopt { .. } => "adopt",
    }
}

/// Lists may lag behind writes (S10): so often, and with pauses that double from here, before we believe them.
const READ_BACK_TRIES: u32 = 5;
const READ_BACK_PAUSE: Duration = Duration::from_millis(400);

/// The list after the steps, once it shows them. A revoke that answered well and is still listed is a failure (S11).
async fn read_back(
    target: &Target,
    folder: &FolderId,
    steps: &[StepDone],
    now: Timestamp,
) -> Result<Snapshot<SeenPermission>, String> {
    let mut missing = String::new();
    for attempt in 0..READ_BACK_TRIES {
        if attempt > 0 {
            tokio::time::sleep(READ_BACK_PAUSE * 2_u32.pow(attempt - 1)).await;
        }
        match gather::sharing(target, folder, now).await {
            Err(e) => missing = format!("the list could not be read back: {}", e.message),
            Ok(list) => match steps.iter().filter(|s| s.result.is_ok()).find_map(|s| not_shown(&s.step.op, &list)) {
                None => return Ok(list),
                Some(what) => missing = what,
            },
        }
    }
    Err(missing)
}

fn not_shown(op: &Op, list: &Snapshot<SeenPermission>) -> Option<String> {
    let direct = |p: &&SeenPermission| p.via == Via::Direct;
    match op {
        Op::Revoke { who, permission, .. } => list
            .items()
            .iter()
            .filter(direct)
            .any(|p| p.id == *permission && (p.holder == *who || matches!(p.holder, Holder::Person(_))))
            .then(|| format!("{who} was taken out and is still listed")),
        Op::Grant { who, .. } => {
            // The account's primary address may be another one; then its id is looked for when the grant is stored.
            let there = list.items().iter().any(|p| p.holder == Holder::Person(who.clone()));
            let others = list.items().iter().any(|p| p.via == Via::Direct && p.role != SeenRole::Owner);
            (!there && !others).then(|| format!("{who} was let in and is not listed"))
        }
        _ => None,
    }
}

/// One lane being written.
struct Lane<'a> {
    app: &'a App,
    target: &'a Target,
    picture: &'a Picture,
    plan: &'a LanePlan,
    folder: Option<FolderId>,
    lists: bool,
    roots: &'a Roots,
}

impl Lane<'_> {
    /// `Err` of the outer kind stops the whole run: the state cannot be written.
    async fn step(&mut self, step: &Step) -> Result<Result<(), String>, Failure> {
        let process = &self.app.process;
        let _turn = match self.picture.epoch {
            None => None,
            Some(epoch) => {
                let turn = process.gate.turn().await;
                if process.stopping() {
                    return Ok(Err("ledgerward is stopping; the next run does it".to_owned()));
                }
                if process.gate.epoch() != epoch && lets_in(&step.op) {
                    return Ok(Err("somebody was closed meanwhile; the next run plans this again".to_owned()));
                }
                Some(turn)
            }
        };
        if let Op::Create { name } = &step.op {
            return self.create(step, name).await;
        }
        let Some(folder) = self.folder.clone() else { return Ok(Err("there is no folder".to_owned())) };
        if let Op::Adopt { who, permission, role } = &step.op {
            return self.adopt(step, &folder, who, permission, *role).await;
        }
        let intent = self.intent(step, None);
        let (row, cx) = begin(self.app, self.target, intent).await?;
        let outcome = self.perform(&cx, &folder, step).await;
        self.record(row, &folder, step, outcome).await
    }

    fn intent(&self, step: &Step, reserved: Option<ReservedId>) -> Intent {
        Intent {
            run: self.picture.run,
            lane: self.plan.lane.clone(),
            op: JournalOp::Access(step.op.clone()),
            cause: Some(step.reason.cause.clone()),
            because: step.reason.because.clone(),
            reserved,
            approved: self.picture.approved_steps.contains(&(self.plan.lane.clone(), step.op.clone())),
        }
    }

    async fn perform(&self, cx: &WriteCx, folder: &FolderId, step: &Step) -> Result<Did, Error> {
        let api = self.target.api()?;
        match &step.op {
            Op::Revoke { permission, .. } => match api.revoke(cx, folder, permission).await? {
                Gone::Done | Gone::Already => Ok(Did::Revoked),
                Gone::Pending(job) => {
                    wait_for(self.target, cx, &job).await?;
                    Ok(Did::Revoked)
                }
                Gone::StillVia(via) => Ok(Did::StillVia(via)),
            },
            Op::Grant { who, role } => {
                let until = self.plan.until.get(who).copied();
                match api.grant(cx, folder, who, *role, until).await? {
                    Granted::Now(id) => Ok(Did::Granted(id, false)),
                    Granted::Invited(id) => Ok(Did::Granted(id, true)),
                }
            }
            Op::SetRole { permission, to, .. } => {
                api.set_role(cx, folder, permission, *to).await?;
                Ok(Did::Granted(permission.clone(), false))
            }
            Op::Rename { name } => {
                api.rename(cx, folder, name).await?;
                Ok(Did::Renamed)
            }
            Op::Create { .. } | Op::Adopt { .. } => Ok(Did::Renamed),
        }
    }

    async fn record(
        &mut self,
        row: Journalled,
        folder: &FolderId,
        step: &Step,
        outcome: Result<Did, Error>,
    ) -> Result<Result<(), String>, Failure> {
        let now = self.app.now();
        let lane = self.plan.lane.clone();
        let folder = folder.clone();
        let op = step.op.clone();
        match outcome {
            Ok(Did::Revoked) => {
                let who = owned_address(&self.plan.lane, self.picture, &op);
                self.app.store.run(move |db| db.outcome_revoked_by(row, who.as_ref(), now)).await?;
                Ok(Ok(()))
            }
            Ok(Did::StillVia(via)) => {
                let who = owned_address(&self.plan.lane, self.picture, &op);
                self.app.store.run(move |db| db.outcome_revoked_by(row, who.as_ref(), now)).await?;
                Ok(Err(format!("our grant is gone, and the folder is still open to them {}", via_words(&via))))
            }
            Ok(Did::Granted(permission, invited)) => {
                let grant = owned(&op, lane, folder, permission, row);
                self.app
                    .store
                    .run(move |db| match grant {
                        Some(grant) => db.outcome_granted(row, &grant, invited, now),
                        None => db.outcome(row, &Outcome::Done(json!({})), now),
                    })
                    .await?;
                Ok(Ok(()))
            }
            Ok(Did::Renamed) => {
                let name = match &op {
                    Op::Rename { name } => name.clone(),
                    _ => String::new(),
                };
                self.app.store.run(move |db| db.outcome_renamed(row, &name, now)).await?;
                Ok(Ok(()))
            }
            // The answer may be lost and the write done: look before anything is believed.
            Err(e) if may_be_done(&e) => {
                let message = e.message.clone();
                self.app.store.run(move |db| db.outcome(row, &Outcome::Unknown { message }, now)).await?;
                let settled = settle_one(self.app, self.target, &self.journal(row).await?).await?;
                Ok(if settled { Ok(()) } else { Err(words(&e)) })
            }
            Err(e) => {
                let failed =
                    Outcome::Failed { kind: format!("{:?}", e.kind).to_lowercase(), message: e.message.clone() };
                self.app.store.run(move |db| db.outcome(row, &failed, now)).await?;
                Ok(Err(words(&e)))
            }
        }
    }

    async fn journal(&self, row: Journalled) -> Result<JournalRow, Failure> {
        Ok(self.app.store.run(move |db| db.journal_row(row)).await?)
    }

    /// Finds the folder by its mark, or makes it, closes it, and reads back what it is.
    async fn create(&mut self, step: &Step, name: &str) -> Result<Result<(), String>, Failure> {
        let (api, read) = match (self.target.api(), self.target.read(self.app.now())) {
            (Ok(api), Ok(read)) => (api, read),
            (Err(e), _) | (_, Err(e)) => return Ok(Err(words(&e))),
        };
        if let Err(why) = self.made_before().await? {
            return Ok(Err(why));
        }
        let key = &self.plan.lane.folder;
        let found = match api.find(&read, key).await {
            Ok(found) => found,
            Err(e) => return Ok(Err(words(&e))),
        };
        if let Some(folder) = found {
            if let Some(other) = self.elsewhere(&folder).await? {
                let why =
                    format!("the target looks into the same account as {other}, where this client has its folder");
                return Ok(Err(format!("{why}. Give each target an account or a shared drive of its own.")));
            }
            // Our own mark on a folder that the state does not know: a restored backup, or a crash long ago. Its list is
            // not what this plan was made from, so the lane is planned again.
            self.bind(&folder).await?;
            self.folder = Some(folder);
            return Ok(Err("the folder exists already and is ours; it is used from the next run on".to_owned()));
        }
        if let Err(why) = self.root(api, &read).await? {
            return Ok(Err(why));
        }
        let reserved = match api.reserve(&read, 1).await {
            Ok(ids) => ids.into_iter().next(),
            Err(e) => return Ok(Err(words(&e))),
        };
        let (row, cx) = begin(self.app, self.target, self.intent(step, reserved.clone())).await?;
        let created = api.create(&cx, key, name, reserved.as_ref()).await;
        let folder = match created {
            Ok(Created::Created(id) | Created::Exists { id, ours: true }) => id,
            Ok(Created::Exists { ours: false, .. }) => {
                let text = format!("a folder named \"{name}\" is there already and is not ours");
                return self.fail(row, &text, "Rename that folder, or bind it with `ledgerward holders adopt`.").await;
            }
            Err(e) if may_be_done(&e) => match made(api, &read, key, reserved.as_ref()).await {
                Ok(Some(id)) => id,
                _ => {
                    let message = e.message.clone();
                    let now = self.app.now();
                    self.app.store.run(move |db| db.outcome(row, &Outcome::Unknown { message }, now)).await?;
                    return Ok(Err(words(&e)));
                }
            },
            Err(e) => return self.fail(row, &words(&e), "").await,
        };
        let stat = api.stat(&read, &folder).await;
        let (parent, owner) = match stat {
            Ok(Stat::Present { parent, owner, .. }) => (parent, owner),
            _ => (None, None),
        };
        let now = self.app.now();
        let (id, title) = (folder.clone(), name.to_owned());
        self.app.store.run(move |db| db.outcome_created(row, &id, &title, parent.as_ref(), now)).await?;
        self.keep_owner(owner).await?;
        self.folder = Some(folder.clone());
        if self.lists {
            return self.close(&folder).await;
        }
        Ok(Ok(()))
    }

    /// An earlier try whose end is not known yet may have made the folder while a search does not show it (S10): nothing is
    /// made beside it.
    async fn made_before(&self) -> Result<Result<(), String>, Failure> {
        let lane = self.plan.lane.clone();
        let open = self.app.store.run(|db| db.unsettled()).await?;
        let creates = |r: &&JournalRow| matches!(r.intent.op, JournalOp::Access(Op::Create { .. }));
        for row in open.iter().filter(|r| r.intent.lane == lane).filter(creates) {
            if settle_one(self.app, self.target, row).await? {
                return Ok(Err("an earlier try had made the folder; it is used from the next run on".to_owned()));
            }
            let step = row.step;
            let now = self.app.store.run(move |db| db.journal_row(step)).await?;
            if matches!(now.state, JournalState::Intended | JournalState::Unknown) {
                return Ok(Err(
                    "whether an earlier try made the folder is not known yet; the next run looks".to_owned()
                ));
            }
        }
        Ok(Ok(()))
    }

    /// The other target that has this very folder already: two that look into one account see each other's marks.
    async fn elsewhere(&self, folder: &FolderId) -> Result<Option<TargetName>, Failure> {
        let rows = self.app.store.run(|db| db.lanes()).await?;
        let same = |t: &TargetName| {
            let other = self.app.config.targets.get(t);
            *t != self.target.name && other.is_some_and(|o| o.remote.connector == self.target.manifest.name)
        };
        let found = rows.into_values().find(|r| r.folder.as_ref() == Some(folder) && same(&r.key.target));
        Ok(found.map(|r| r.key.target))
    }

    /// Makes the folder that holds the client folders, where the target wants one and it is not there: under an id that is
    /// stored first, because a search lags behind a write (S10) and a repeat would make a second one.
    async fn root(&self, api: &dyn StorageTarget, read: &ReadCx) -> Result<Result<(), String>, Failure> {
        let mut there = self.roots.lock().await;
        let target = &self.plan.lane.target;
        for _ in 0..2 {
            if there.contains(target) {
                return Ok(Ok(()));
            }
            let key = target.0.clone();
            let stored: Option<String> = self.app.store.run(move |db| db.doc_get(ROOT, &key)).await?;
            let stored = stored.map(ReservedId);
            match api.lacks_root(read, stored.as_ref()).await {
                Ok(false) => {
                    there.insert(target.clone());
                    continue;
                }
                Ok(true) => {}
                Err(e) => return Ok(Err(words(&e))),
            }
            let id = match stored {
                Some(id) => id,
                None => {
                    let ids = match api.reserve(read, 1).await {
                        Ok(ids) => ids,
                        Err(e) => return Ok(Err(words(&e))),
                    };
                    let Some(id) = ids.into_iter().next() else {
                        return Ok(Err("the target gives no id for the folder of the clients".to_owned()));
                    };
                    let (key, text) = (target.0.clone(), id.0.clone());
                    self.app.store.run(move |db| db.doc_put(ROOT, &key, &text)).await?;
                    id
                }
            };
            let intent = Intent {
                run: self.picture.run,
                lane: self.plan.lane.clone(),
                op: JournalOp::CreateRoot { name: target.0.clone() },
                cause: None,
                because: "the folder that holds the client folders is not there".to_owned(),
                reserved: Some(id.clone()),
                approved: false,
            };
            let (row, cx) = begin(self.app, self.target, intent).await?;
            let result = api.make_root(&cx, &id).await;
            let now = self.app.now();
            let outcome = match &result {
                Ok(folder) => Outcome::Done(json!({ "folder": folder })),
                Err(e) if may_be_done(e) => Outcome::Unknown { message: e.message.clone() },
                Err(e) => Outcome::Failed { kind: format!("{:?}", e.kind).to_lowercase(), message: e.message.clone() },
            };
            self.app.store.run(move |db| db.outcome(row, &outcome, now)).await?;
            match result {
                Ok(_) => {
                    there.insert(target.clone());
                }
                // The id is used up: a new one takes its place.
                Err(e) if e.kind == ErrorKind::Conflict => {
                    let key = target.0.clone();
                    self.app.store.run(move |db| db.doc_delete(ROOT, &key)).await?;
                }
                Err(e) => return Ok(Err(words(&e))),
            }
        }
        let why = "the folder that holds the client folders could not be made; it is tried again in the next run";
        Ok(if there.contains(target) { Ok(()) } else { Err(why.to_owned()) })
    }

    /// Cuts what the target lets us cut, before anybody is let in.
    async fn close(&self, folder: &FolderId) -> Result<Result<(), String>, Failure> {
        let intent = Intent {
            run: self.picture.run,
            lane: self.plan.lane.clone(),
            op: JournalOp::CloseSpread,
            cause: None,
            because: "a new folder is closed before anybody is let in".to_owned(),
            reserved: None,
            approved: false,
        };
        let (row, cx) = begin(self.app, self.target, intent).await?;
        let result = self.target.api()?.close_spread(&cx, folder).await;
        closed(self.app, row, result).await
    }

    /// A folder that an earlier run could not close: it is closed first, or nobody is let in.
    async fn close_left_open(&self) -> Result<Result<(), String>, Failure> {
        let lane = self.plan.lane.clone();
        let open = self.app.store.run(|db| db.unsettled()).await?;
        for row in open.iter().filter(|r| r.intent.lane == lane && r.intent.op == JournalOp::CloseSpread) {
            if !settle_one(self.app, self.target, row).await? {
                return Ok(Err("the folder could not be closed to others, so nobody is let in yet".to_owned()));
            }
        }
        Ok(Ok(()))
    }

    async fn fail(&self, row: Journalled, text: &str, next: &str) -> Result<Result<(), String>, Failure> {
        let now = self.app.now();
        let outcome = Outcome::Failed { kind: "refused".to_owned(), message: text.to_owned() };
        self.app.store.run(move |db| db.outcome(row, &outcome, now)).await?;
        Ok(Err(format!("{text} {next}").trim().to_owned()))
    }

    async fn adopt(
        &self,
        step: &Step,
        folder: &FolderId,
        who: &Email,
        permission: &PermissionId,
        role: ledgerward_contract::FolderRole,
    ) -> Result<Result<(), String>, Failure> {
        // Nothing is sent: what is there becomes ours.
        let intent = self.intent(step, None);
        let (lane, folder, who, permission) = (self.plan.lane.clone(), folder.clone(), who.clone(), permission.clone());
        let now = self.app.now();
        self.app
            .store
            .run(move |db| {
                let row = db.intend(&intent, now)?;
                let grant = OwnedGrant { lane, folder, who, role, permission, step: row.row() };
                lanes::adopted(db, &grant)?;
                db.outcome_adopted(row, &grant, now)
            })
            .await?;
        Ok(Ok(()))
    }

    /// Grants of ours that were answered to be gone and are not seen to be gone (S11) stay ours: nobody else would take them
    /// away. If they are gone, the next plan lets go of them.
    async fn own_again(&self, steps: &[StepDone]) -> Result<(), Failure> {
        let Some(known) = self.picture.book.lanes.get(&self.plan.lane) else { return Ok(()) };
        let now = self.app.now();
        for done in steps.iter().filter(|s| s.result.is_ok()) {
            let Op::Revoke { permission, .. } = &done.step.op else { continue };
            let Some(row) = known.owned.iter().find(|o| o.grant.permission == *permission) else { continue };
            let mut grant = row.grant.clone();
            let mut intent = self.intent(&done.step, None);
            intent.op = JournalOp::Access(Op::Adopt {
                who: grant.who.clone(),
                permission: permission.clone(),
                role: grant.role,
            });
            intent.because = "it was taken away and is not seen to be gone".to_owned();
            self.app
                .store
                .run(move |db| {
                    let row = db.intend(&intent, now)?;
                    grant.step = row.row();
                    db.outcome_adopted(row, &grant, now)
                })
                .await?;
        }
        Ok(())
    }

    async fn bind(&self, folder: &FolderId) -> Result<(), Failure> {
        let row = LaneRow {
            key: self.plan.lane.clone(),
            folder: Some(folder.clone()),
            name: self.plan.name.clone(),
            parent: None,
            owner: None,
            marker: Some(self.plan.lane.folder.to_string()),
            created_step: None,
            base: None,
        };
        let now = self.app.now();
        self.app.store.run(move |db| db.save_lane(&row, now)).await?;
        Ok(())
    }

    async fn keep_owner(&self, owner: Option<String>) -> Result<(), Failure> {
        let key = self.plan.lane.clone();
        let now = self.app.now();
        self.app
            .store
            .run(move |db| match db.lane(&key)? {
                Some(mut row) => {
                    row.owner = owner;
                    row.marker = Some(key.folder.to_string());
                    db.save_lane(&row, now)
                }
                None => Ok(()),
            })
            .await?;
        Ok(())
    }

    async fn keep_base(&self, list: &Snapshot<SeenPermission>) -> Result<(), Failure> {
        let (key, base, now) = (self.plan.lane.clone(), lanes::base_digest(list), self.app.now());
        self.app
            .store
            .run(move |db| match db.lane(&key)? {
                Some(mut row) if row.base.as_ref() != Some(&base) => {
                    row.base = Some(base);
                    db.save_lane(&row, now)
                }
                _ => Ok(()),
            })
            .await?;
        Ok(())
    }
}

/// What a step did at the target.
enum Did {
    Revoked,
    StillVia(Via),
    Granted(PermissionId, bool),
    Renamed,
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

fn owned(op: &Op, lane: LaneKey, folder: FolderId, permission: PermissionId, row: Journalled) -> Option<OwnedGrant> {
    let (who, role) = match op {
        Op::Grant { who, role } => (who.clone(), *role),
        Op::SetRole { who, to, .. } => (who.clone(), *to),
        _ => return None,
    };
    Some(OwnedGrant { lane, folder, who, role, permission, step: row.row() })
}

/// Under which address we own what this revoke takes away: the list may show another one.
fn owned_address(lane: &LaneKey, picture: &Picture, op: &Op) -> Option<Email> {
    let Op::Revoke { who, permission, .. } = op else { return None };
    let known = picture.book.lanes.get(lane)?;
    let by_id = known.owned.iter().find(|o| o.grant.permission == *permission);
    by_id.map(|o| o.grant.who.clone()).or(match who {
        Holder::Person(email) => Some(email.clone()),
        _ => None,
    })
}

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
    let (row, cx) = begin(app, target, intent).await?;
    let sent = match target.api()?.revoke(&cx, what.folder, &what.seen.id).await {
        Ok(Gone::Pending(job)) => wait_for(target, &cx, &job).await.map(|()| None),
        Ok(Gone::StillVia(via)) => Ok(Some(via)),
        Ok(Gone::Done | Gone::Already) => Ok(None),
        Err(e) => Err(e),
    };
    let (now, owned) = (app.now(), what.owned.cloned());
    match sent {
        Ok(still) => {
            app.store.run(move |db| db.outcome_revoked_by(row, owned.as_ref(), now)).await?;
            if let Some(via) = still {
                return Ok(Err(format!("the folder is still open to them {}", via_words(&via))));
            }
        }
        Err(e) if may_be_done(&e) => {
            let message = e.message.clone();
            app.store.run(move |db| db.outcome(row, &Outcome::Unknown { message }, now)).await?;
            let journal = app.store.run(move |db| db.journal_row(row)).await?;
            if !settle_one(app, target, &journal).await? {
                return Ok(Err(words(&e)));
            }
        }
        Err(e) => {
            let failed = Outcome::Failed { kind: format!("{:?}", e.kind).to_lowercase(), message: e.message.clone() };
            app.store.run(move |db| db.outcome(row, &failed, now)).await?;
            return Ok(Err(words(&e)));
        }
    }
    let step = StepDone {
        step: Step::new(op, Cause::Decision { change: "holders remove".to_owned() }, what.reason),
        result: Ok(()),
    };
    Ok(read_back(target, what.folder, &[step], now).await.map(|_| ()))
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
    let (row, cx) = begin(app, target, intent).await?;
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

/// The marker is on the folder: the lane has it from now on.
async fn marked(
    app: &App,
    step: Journalled,
    lane: LaneKey,
    folder: FolderId,
    name: String,
    (parent, owner): (Option<FolderId>, Option<String>),
) -> Result<(), Failure> {
    let now = app.now();
    let marker = Some(lane.folder.to_string());
    let row = LaneRow { key: lane, folder: Some(folder), name, parent, owner, marker, created_step: None, base: None };
    app.store
        .run(move |db| {
            db.tx(|db| {
                db.save_lane(&row, now)?;
                db.outcome(step, &Outcome::Done(json!({ "folder": row.folder })), now)
            })
        })
        .await?;
    Ok(())
}

async fn wait_for(target: &Target, cx: &WriteCx, job: &ledgerward_contract::JobId) -> Result<(), Error> {
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

/// Whether a write that ended so may have been done all the same: no answer, or one that says nothing.
fn may_be_done(e: &Error) -> bool {
    matches!(e.kind, ErrorKind::Unavailable | ErrorKind::Cancelled | ErrorKind::Contract)
}

/// The folder of a create whose answer is not known: by its mark, or under the id that was made for it, because a search may
/// lag behind a write (S10).
async fn made(
    api: &dyn StorageTarget,
    read: &ReadCx,
    key: &FolderKey,
    reserved: Option<&ReservedId>,
) -> Result<Option<FolderId>, Error> {
    let found = api.find(read, key).await?;
    let Some(id) = reserved.filter(|_| found.is_none()) else { return Ok(found) };
    let id = FolderId(id.0.clone());
    match api.stat(read, &id).await? {
        Stat::Present { marker, .. } if marker == Some(key.to_string()) => Ok(Some(id)),
        _ => Ok(None),
    }
}

fn lists_of(target: &Target) -> bool {
    !matches!(target.settings.sharing, schema::Sharing::Off { .. })
}

/// A folder that could not be closed stays on the journal's open rows until it is.
async fn closed(app: &App, row: Journalled, result: Result<(), Error>) -> Result<Result<(), String>, Failure> {
    let now = app.now();
    let (outcome, told) = match result {
        Ok(()) => (Outcome::Done(json!({})), Ok(())),
        Err(e) => (Outcome::Unknown { message: e.message.clone() }, Err(words(&e))),
    };
    app.store.run(move |db| db.outcome(row, &outcome, now)).await?;
    Ok(told)
}

/// Settles what an earlier run left open, by reading the targets. Called before anything is planned.
pub async fn settle(app: &App, world: &World, _run: i64) -> Result<(), Failure> {
    // A revoke's step that is under way is not an earlier run's.
    let _turn = app.process.gate.turn().await;
    let open = app.store.run(|db| db.unsettled()).await?;
    for row in open {
        if let Some(target) = world.targets.get(&row.intent.lane.target)
            && target.reach().is_ok()
        {
            settle_one(app, target, &row).await?;
        }
    }
    Ok(())
}

/// Looks at the target and ends one journal row by what is there. True if the step turned out to be done.
async fn settle_one(app: &App, target: &Target, row: &JournalRow) -> Result<bool, Failure> {
    let now = app.now();
    let (Ok(api), Ok(read)) = (target.api(), target.read(now)) else { return Ok(false) };
    let lane = row.intent.lane.clone();
    let folder = {
        let key = lane.clone();
        app.store.run(move |db| db.lane(&key)).await?.and_then(|r| r.folder)
    };
    let step = row.step;
    let failed = |text: &str| Outcome::Failed { kind: "settled".to_owned(), message: text.to_owned() };
    match &row.intent.op {
        JournalOp::Access(Op::Create { name }) => {
            let found = match made(api, &read, &lane.folder, row.intent.reserved.as_ref()).await {
                Ok(found) => found,
                // Still out of reach: it stays open, and nothing is made beside it.
                Err(_) => return Ok(false),
            };
            match found {
                Some(id) => {
                    // Whoever made it may have been stopped before it was closed.
                    if lists_of(target) && api.close_spread(&write_cx(target, step, now)?, &id).await.is_err() {
                        return Ok(false);
                    }
                    let (parent, owner) = match api.stat(&read, &id).await {
                        Ok(Stat::Present { parent, owner, .. }) => (parent, owner),
                        _ => (None, None),
                    };
                    let name = name.clone();
                    app.store
                        .run(move |db| {
                            db.outcome_created(step, &id, &name, parent.as_ref(), now)?;
                            match db.lane(&lane)? {
                                Some(mut row) => {
                                    row.owner = owner;
                                    row.marker = Some(lane.folder.to_string());
                                    db.save_lane(&row, now)
                                }
                                None => Ok(()),
                            }
                        })
                        .await?;
                    Ok(true)
                }
                None => {
                    let outcome = failed("the folder was not made");
                    app.store.run(move |db| db.outcome(step, &outcome, now)).await?;
                    Ok(false)
                }
            }
        }
        JournalOp::Access(op) => {
            let Some(folder) = folder else {
                let outcome = failed("there is no folder");
                app.store.run(move |db| db.outcome(step, &outcome, now)).await?;
                return Ok(false);
            };
            let Ok(list) = gather::sharing(target, &folder, now).await else { return Ok(false) };
            settle_access(app, step, op, lane, folder, &list).await
        }
        JournalOp::CloseSpread => {
            let Some(folder) = folder else {
                let outcome = failed("there is no folder");
                app.store.run(move |db| db.outcome(step, &outcome, now)).await?;
                return Ok(true);
            };
            let result = api.close_spread(&write_cx(target, step, now)?, &folder).await;
            Ok(closed(app, step, result).await?.is_ok())
        }
        JournalOp::Mark { folder, name } => match api.stat(&read, folder).await {
            Ok(Stat::Present { marker, parent, owner, .. }) if marker == Some(lane.folder.to_string()) => {
                marked(app, step, lane, folder.clone(), name.clone(), (parent, owner)).await?;
                Ok(true)
            }
            Ok(_) => {
                let outcome = failed("the folder does not carry the marker; take it over again");
                app.store.run(move |db| db.outcome(step, &outcome, now)).await?;
                Ok(false)
            }
            Err(_) => Ok(false),
        },
        JournalOp::CreateRoot { .. } => {
            let outcome = match api.lacks_root(&read, row.intent.reserved.as_ref()).await {
                Ok(false) => Outcome::Done(json!({})),
                Ok(true) => failed("the folder was not made; it is made when it is needed"),
                Err(_) => return Ok(false),
            };
            let done = matches!(outcome, Outcome::Done(_));
            app.store.run(move |db| db.outcome(step, &outcome, now)).await?;
            Ok(done)
        }
        // A put is settled when its statement is due again: it goes under the same id, which makes nothing twice.
        JournalOp::Put { .. } => {
            let outcome = failed("interrupted; it is done again under the same id when it is due");
            app.store.run(move |db| db.outcome(step, &outcome, now)).await?;
            Ok(false)
        }
    }
}

async fn settle_access(
    app: &App,
    step: Journalled,
    op: &Op,
    lane: LaneKey,
    folder: FolderId,
    list: &Snapshot<SeenPermission>,
) -> Result<bool, Failure> {
    let now = app.now();
    let direct: Vec<&SeenPermission> = list.items().iter().filter(|p| p.via == Via::Direct).collect();
    let role_is = |p: &SeenPermission, role| match role {
        ledgerward_contract::FolderRole::Reader => p.role == SeenRole::Reader,
        ledgerward_contract::FolderRole::Writer => p.role == SeenRole::Writer,
    };
    let op = op.clone();
    let done = match &op {
        Op::Revoke { permission, .. } => !direct.iter().any(|p| p.id == *permission),
        Op::Grant { who, role } => direct.iter().any(|p| p.holder == Holder::Person(who.clone()) && role_is(p, *role)),
        Op::SetRole { permission, to, .. } => direct.iter().any(|p| p.id == *permission && role_is(p, *to)),
        _ => false,
    };
    let permission = match &op {
        Op::Grant { who, .. } => {
            direct.iter().find(|p| p.holder == Holder::Person(who.clone())).map(|p| (p.id.clone(), p.pending))
        }
        Op::SetRole { permission, .. } => Some((permission.clone(), false)),
        _ => None,
    };
    app.store
        .run(move |db| {
            if !done {
                let message = "the target does not show it".to_owned();
                return db.outcome(step, &Outcome::Failed { kind: "settled".to_owned(), message }, now);
            }
            match (&op, permission) {
                (Op::Revoke { who: Holder::Person(who), .. }, _) => db.outcome_revoked_by(step, Some(who), now),
                (Op::Revoke { .. }, _) => db.outcome_revoked_by(step, None, now),
                (_, Some((id, invited))) => match owned(&op, lane, folder, id, step) {
                    Some(grant) => db.outcome_granted(step, &grant, invited, now),
                    None => db.outcome(step, &Outcome::Done(json!({})), now),
                },
                _ => db.outcome(step, &Outcome::Done(json!({})), now),
            }
        })
        .await
        .map_err(|e: StoreError| Failure::from(e))?;
    Ok(done)
}
