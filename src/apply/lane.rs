//! One lane being written: read again, its steps one after the other, read back.

use std::time::Duration;

use ledgerward_contract::{
    Email, Error, ErrorKind, FolderId, FolderRole, Gone, Granted, Holder, Journalled, PermissionId, ReservedId,
    SeenPermission, Snapshot, StorageTarget, Timestamp, Via, WriteCx,
};
use serde_json::json;

use super::{
    LaneDone, LaneEnd, Refusal, StepDone, begin,
    folder::Root,
    holder::wait_for,
    settle::{TAKEN_BACK, gone_with_role, may_be_done, opens, settle_one},
    via_words, words,
};
use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{
        lane::{Cause, LaneKey, Op, OwnedGrant, Step},
        order,
        plan::{self, LanePlan},
    },
    engine::Picture,
    gather, lanes,
    store::{Db, Intent, JournalOp, JournalRow, Outcome, OwnedRow},
    world::{Target, World},
};

pub(super) async fn lane(
    app: &App,
    world: &World,
    picture: &Picture,
    plan: &LanePlan,
    root: &Root,
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
    // Whoever is shut out by a person's decision goes whatever else happened to the list (`decisions` 14), and whatever else is
    // to be done to the folder; with the list out of reach only such revokes are planned, without a base.
    // Not half of a renewal: its other half would wait, and nobody shut them out.
    let urgent = |s: &Step| {
        matches!((&s.op, &s.reason.cause), (Op::Revoke { .. }, Cause::RevokeNow | Cause::Decision { .. }))
            && !plan.renews(&s.op)
    };
    let mut drift = None;
    if let (Some(folder), true) = (&plan.folder, lists && !plan.steps.iter().all(urgent)) {
        drift = match gather::sharing(target, folder, picture.now).await {
            Err(e) => Some(format!("the list could not be read again: {}", e.message)),
            Ok(list) if plan::base(list.items()) != plan.base => {
                Some("its sharing list changed while the plan was made; the next run looks again".to_owned())
            }
            Ok(_) => None,
        };
    }
    let mut steps: Vec<&Step> = plan.steps.iter().filter(|s| drift.is_none() || urgent(s)).collect();
    // A renewal lets out last: whatever keeps its other half from being done is known by then.
    steps.sort_by_key(|s| match &s.op {
        Op::Revoke { .. } => u8::from(plan.renews(&s.op)),
        _ => 2,
    });
    if let (Some(why), true) = (&drift, steps.is_empty()) {
        return Ok(drifted(done, why.clone()));
    }
    let mut writer =
        Lane { app, target, picture, plan, folder: plan.folder.clone(), lists, root, refusal: None, granted: None };
    let mut failed: Vec<Op> = Vec::new();
    if lists
        && steps.iter().any(|s| lets_in(&s.op))
        && let Err(why) = writer.close_left_open().await?
    {
        done.trouble = Some(why);
        writer.refusal = None;
        // As if it had not been made: everything waits but revokes.
        failed.push(Op::Create { name: plan.name.clone() });
    }
    for step in steps {
        // Whoever could not be let in again is not let out.
        let one_half = |f: &Op| plan.renews(&step.op) && !order::puts_go_on(f);
        if let Some(blocker) = failed.iter().find(|f| !order::goes_on(f, &step.op) || one_half(f)) {
            let why = format!("not tried, because an earlier step failed ({})", blocker.word().replace('_', " "));
            done.steps.push(StepDone {
                step: step.clone(),
                result: Err(why),
                granted: None,
                refused: None,
                waits: None,
            });
            failed.push(step.op.clone());
            continue;
        }
        let result = writer.step(step).await?;
        if result.is_err() {
            failed.push(step.op.clone());
        }
        let refusal = writer.refusal.take().filter(|_| result.is_err());
        let (waits, refused) =
            if refusal.as_ref().is_some_and(|r| r.passes) { (refusal, None) } else { (None, refusal) };
        let granted = writer.granted.take().filter(|_| result.is_ok());
        done.steps.push(StepDone { step: step.clone(), result, granted, refused, waits });
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
    Ok(match drift {
        Some(why) if failed.is_empty() => drifted(done, why),
        _ => done,
    })
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

/// Lists may lag behind writes (S10): so often, and with pauses that double from here, before we believe them.
const READ_BACK_TRIES: u32 = 5;

const READ_BACK_PAUSE: Duration = Duration::from_millis(400);

/// The list after the steps, once it shows them. A revoke that answered well and is still listed is a failure (S11).
pub(super) async fn read_back(
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
            Ok(list) => match lasting(steps).find_map(|s| not_shown(s, &list)) {
                None => return Ok(list),
                Some(what) => missing = what,
            },
        }
    }
    Err(missing)
}

/// What was done and is to be seen: not the letting out of whoever is let in again, which some targets do under the same id.
fn lasting(steps: &[StepDone]) -> impl Iterator<Item = &StepDone> {
    let again = |holder: &Holder| {
        let in_again =
            |s: &StepDone| matches!(&s.step.op, Op::Grant { who, .. } if Holder::Person(who.clone()) == *holder);
        steps.iter().any(|s| s.result.is_ok() && in_again(s))
    };
    let done = steps.iter().filter(|s| s.result.is_ok());
    done.filter(move |s| !matches!(&s.step.op, Op::Revoke { who, .. } if again(who)))
}

/// What is there after a revoke of which the target said that the person gets in all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// The entry itself. It stays ours then: nobody else would take it away (S11).
    Entry,
    /// Another way in.
    Elsewhere,
    /// An entry that opens nothing.
    Nothing,
}

impl Left {
    pub(super) async fn of(target: &Target, folder: &FolderId, op: &Op, via: &Via, now: Timestamp) -> Self {
        match gather::sharing(target, folder, now).await {
            Ok(list) => Self::by(&list, op, via),
            // What cannot be seen to be gone is not gone.
            Err(_) => Self::Entry,
        }
    }

    fn by(list: &Snapshot<SeenPermission>, op: &Op, via: &Via) -> Self {
        let Op::Revoke { who, permission, .. } = op else { return Self::Elsewhere };
        let open = |is: &dyn Fn(&SeenPermission) -> bool| list.items().iter().any(|p| opens(p) && is(p));
        if open(&|p| p.id == *permission) {
            Self::Entry
        } else if *via == Via::Direct && !open(&|p| p.holder == *who) {
            Self::Nothing
        } else {
            Self::Elsewhere
        }
    }
}

fn not_shown(done: &StepDone, list: &Snapshot<SeenPermission>) -> Option<String> {
    let mut open = list.items().iter().filter(|p| opens(p));
    match &done.step.op {
        Op::Revoke { who, permission, .. } => open
            .any(|p| p.id == *permission && (p.holder == *who || matches!(p.holder, Holder::Person(_))))
            .then(|| format!("{who} was taken out and is still listed")),
        Op::Grant { who, .. } => {
            // The account's primary address may be another one; then the entry that the target named is theirs.
            let theirs =
                |p: &SeenPermission| done.granted.as_ref() == Some(&p.id) || p.holder == Holder::Person(who.clone());
            (!open.any(theirs)).then(|| format!("{who} was let in and is not listed"))
        }
        _ => None,
    }
}

/// One lane being written.
pub(super) struct Lane<'a> {
    pub(super) app: &'a App,
    pub(super) target: &'a Target,
    pub(super) picture: &'a Picture,
    pub(super) plan: &'a LanePlan,
    pub(super) folder: Option<FolderId>,
    pub(super) lists: bool,
    pub(super) root: &'a Root,
    /// Of the step under way.
    pub(super) refusal: Option<Refusal>,
    /// The entry that it made.
    pub(super) granted: Option<PermissionId>,
}

impl Lane<'_> {
    /// The target's error in words, kept for whoever tells what was refused.
    pub(super) fn refused(&mut self, e: &Error) -> String {
        self.refusal = Refusal::or_wait(e);
        words(e)
    }

    /// `Err` of the outer kind stops the whole run: the state cannot be written.
    pub(super) async fn step(&mut self, step: &Step) -> Result<Result<(), String>, Failure> {
        let process = &self.app.process;
        let _turn = match self.picture.epoch {
            None => None,
            Some(epoch) => {
                let turn = process.gate.turn().await;
                if process.stopping() {
                    return Ok(Err("ledgerward is stopping; the next run does it".to_owned()));
                }
                if process.gate.epoch() != epoch && (lets_in(&step.op) || self.plan.renews(&step.op)) {
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
        let (row, cx) = begin(self.app, self.target, intent, self.picture.now).await?;
        let outcome = self.perform(&cx, &folder, step).await;
        self.record(row, &folder, step, outcome).await
    }

    pub(super) fn intent(&self, step: &Step, reserved: Option<ReservedId>) -> Intent {
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
                Gone::StillVia(via) => {
                    Ok(match Left::of(self.target, folder, &step.op, &via, self.picture.now).await {
                        Left::Entry => Did::StillThere,
                        Left::Elsewhere => Did::StillVia(via),
                        Left::Nothing => Did::Revoked,
                    })
                }
            },
            Op::Grant { who, role } => match api.grant(cx, folder, who, *role, self.end(api, who, *role)).await? {
                Granted::Now(id) => Ok(Did::Granted(id, false)),
                Granted::Invited(id) => Ok(Did::Granted(id, true)),
            },
            Op::SetRole { permission, to, .. } => {
                api.set_role(cx, folder, permission, *to).await?;
                // An invitation with another role is one that waits still.
                let waits = self.known(permission).is_some_and(|o| o.invited_since.is_some());
                Ok(Did::Granted(permission.clone(), waits))
            }
            Op::Rename { name } => {
                api.rename(cx, folder, name).await?;
                Ok(Did::Renamed)
            }
            Op::Create { .. } | Op::Adopt { .. } => Ok(Did::Renamed),
        }
    }

    /// When the target is to end this grant by itself, if it can: a guest's. What it cannot end, the run after that time does.
    fn end(&self, api: &dyn StorageTarget, who: &Email, role: FolderRole) -> Option<Timestamp> {
        self.plan.until.get(who).copied().filter(|_| api.limits().native_expiry.ends(role))
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
            Ok(Did::StillThere) => {
                let failed = Outcome::Failed {
                    kind: "still_listed".to_owned(),
                    message: "the target answered that it is done, and the entry is there".to_owned(),
                };
                self.app.store.run(move |db| db.outcome(row, &failed, now)).await?;
                let why = "the target answered that our grant is gone, and it is still there".to_owned();
                self.refusal = Some(Refusal { why: why.clone(), next: None, passes: false });
                Ok(Err(why))
            }
            Ok(Did::StillVia(via)) => {
                let who = owned_address(&self.plan.lane, self.picture, &op);
                self.app.store.run(move |db| db.outcome_revoked_by(row, who.as_ref(), now)).await?;
                let why = format!("our grant is gone, and the folder is still open to them {}", via_words(&via));
                self.refusal = Some(Refusal { why: why.clone(), next: None, passes: false });
                Ok(Err(why))
            }
            Ok(Did::Granted(permission, invited)) => {
                self.granted = Some(permission.clone());
                let ends = match &op {
                    Op::Grant { who, role } => self.end(self.target.api()?, who, *role),
                    // The target has no end for whom it cannot end.
                    Op::SetRole { to, .. } if !self.target.api()?.limits().native_expiry.ends(*to) => None,
                    _ => self.known(&permission).and_then(|o| o.grant.ends),
                };
                let grant = owned(&op, lane, folder, (permission, ends), row);
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
                Ok(if settled { Ok(()) } else { Err(self.refused(&e)) })
            }
            Err(e) => {
                let failed =
                    Outcome::Failed { kind: format!("{:?}", e.kind).to_lowercase(), message: e.message.clone() };
                let over = if e.kind == ErrorKind::NotFound { None } else { self.taken_back(&folder, &op).await };
                let record = move |db: &mut Db| {
                    db.tx(|db| {
                        db.outcome(row, &failed, now)?;
                        over.iter().try_for_each(|who| db.owned_lost(&lane, who, TAKEN_BACK, now, now))
                    })
                };
                self.app.store.run(record).await?;
                Ok(Err(self.refused(&e)))
            }
        }
    }

    /// Whose invitation is gone after a change of its role that failed. Some targets change none: it is taken back and another
    /// is sent. Then our own step took it, and no hand did.
    async fn taken_back(&self, folder: &FolderId, op: &Op) -> Option<Email> {
        let Op::SetRole { permission, .. } = op else { return None };
        let ours = self.known(permission).filter(|o| o.invited_since.is_some())?;
        let list = gather::sharing(self.target, folder, self.picture.now).await.ok()?;
        gone_with_role(op, &list).then(|| ours.grant.who.clone())
    }

    /// The grant of ours behind an entry.
    fn known(&self, permission: &PermissionId) -> Option<&OwnedRow> {
        let known = self.picture.book.lanes.get(&self.plan.lane)?;
        known.owned.iter().find(|o| o.grant.permission == *permission)
    }

    pub(super) async fn journal(&self, row: Journalled) -> Result<JournalRow, Failure> {
        Ok(self.app.store.run(move |db| db.journal_row(row)).await?)
    }

    /// The target's answer to a create is no.
    pub(super) async fn fail(
        &mut self,
        row: Journalled,
        text: &str,
        next: &str,
    ) -> Result<Result<(), String>, Failure> {
        let now = self.app.now();
        let outcome = Outcome::Failed { kind: "refused".to_owned(), message: text.to_owned() };
        self.app.store.run(move |db| db.outcome(row, &outcome, now)).await?;
        self.refusal = Some(Refusal {
            why: text.to_owned(),
            next: Some(next.to_owned()).filter(|next| !next.is_empty()),
            passes: false,
        });
        Ok(Err(if next.is_empty() { text.to_owned() } else { format!("{}. {next}", text.trim_end_matches('.')) }))
    }

    pub(super) async fn adopt(
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
                let grant = OwnedGrant { lane, folder, who, role, permission, ends: None, step: row.row() };
                lanes::adopted(db, &grant)?;
                db.outcome_adopted(row, &grant, now)
            })
            .await?;
        Ok(Ok(()))
    }

    /// Grants of ours that were answered to be gone and are not seen to be gone (S11) stay ours: nobody else would take them
    /// away. If they are gone, the next plan lets go of them.
    async fn own_again(&self, steps: &[StepDone]) -> Result<(), Failure> {
        let now = self.app.now();
        for done in lasting(steps) {
            let Op::Revoke { permission, .. } = &done.step.op else { continue };
            let Some(row) = self.known(permission) else { continue };
            let (mut grant, invited) = (row.grant.clone(), row.invited_since.is_some());
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
                    db.outcome_granted(row, &grant, invited, now)
                })
                .await?;
        }
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
    StillThere,
    StillVia(Via),
    Granted(PermissionId, bool),
    Renamed,
}

pub(super) fn owned(
    op: &Op,
    lane: LaneKey,
    folder: FolderId,
    (permission, ends): (PermissionId, Option<Timestamp>),
    row: Journalled,
) -> Option<OwnedGrant> {
    let (who, role) = match op {
        Op::Grant { who, role } => (who.clone(), *role),
        Op::SetRole { who, to, .. } => (who.clone(), *to),
        _ => return None,
    };
    Some(OwnedGrant { lane, folder, who, role, permission, ends, step: row.row() })
}

/// Under which address we own what this revoke takes away: the list may show another one.
fn owned_address(lane: &LaneKey, picture: &Picture, op: &Op) -> Option<Email> {
    revoked_address(&picture.book.lanes.get(lane)?.owned, op)
}

pub(super) fn revoked_address(ours: &[OwnedRow], op: &Op) -> Option<Email> {
    let Op::Revoke { who, permission, .. } = op else { return None };
    let by_id = ours.iter().find(|o| o.grant.permission == *permission);
    by_id.map(|o| o.grant.who.clone()).or(match who {
        Holder::Person(email) => Some(email.clone()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use ledgerward_contract::SeenRole;

    use super::*;

    fn email(text: &str) -> Email {
        Email::parse(text).unwrap()
    }

    fn entry(id: &str, who: &str, role: SeenRole) -> SeenPermission {
        let (id, holder) = (id.into(), Holder::Person(email(who)));
        SeenPermission { id, holder, role, via: Via::Direct, pending: false, ourselves: false, expires: None }
    }

    async fn list(entries: Vec<SeenPermission>) -> Snapshot<SeenPermission> {
        let page = ledgerward_contract::Page::only(entries);
        let mut pages = vec![page].into_iter();
        let next = move |_| {
            let page = pages.next().unwrap();
            Box::pin(async move { Ok(page) }) as futures::future::BoxFuture<'static, _>
        };
        Snapshot::gather("sharing.list", Timestamp::UNIX_EPOCH, 1, next).await.unwrap()
    }

    fn done(op: Op, granted: Option<&str>) -> StepDone {
        let step = Step::new(op, Cause::RevokeNow, "");
        StepDone { step, result: Ok(()), granted: granted.map(Into::into), refused: None, waits: None }
    }

    #[tokio::test]
    async fn s11_a_grant_is_seen_by_its_own_entry_whoever_else_is_there() {
        let grant = |id| done(Op::Grant { who: email("bob@harbour.example"), role: FolderRole::Reader }, id);
        let others = list(vec![entry("1", "ana@harbour.example", SeenRole::Reader)]).await;
        assert!(not_shown(&grant(Some("2")), &others).is_some());
        assert!(not_shown(&grant(None), &others).is_some());
        // An account's primary address stands for the one that was let in.
        assert_eq!(not_shown(&grant(Some("1")), &others), None);
        let there = |role| list(vec![entry("2", "bob@harbour.example", role)]);
        assert_eq!(not_shown(&grant(None), &there(SeenRole::Reader).await), None);
        assert!(not_shown(&grant(Some("2")), &there(SeenRole::MetadataOnly).await).is_some(), "it opens nothing");
    }

    #[tokio::test]
    async fn s11_an_entry_that_lets_nobody_in_is_no_access_that_was_left() {
        let bob = "bob@harbour.example";
        let op = Op::Revoke { who: Holder::Person(email(bob)), permission: "2".into(), role: FolderRole::Reader };
        let revoke = done(op, None);
        for (role, open) in [(SeenRole::MetadataOnly, false), (SeenRole::Declined, false), (SeenRole::Reader, true)] {
            let list = list(vec![entry("2", bob, role.clone())]).await;
            assert_eq!(not_shown(&revoke, &list).is_some(), open, "{role:?}");
            let left = if open { Left::Entry } else { Left::Nothing };
            assert_eq!(Left::by(&list, &revoke.step.op, &Via::Direct), left, "{role:?}");
        }
        let other = list(vec![entry("3", bob, SeenRole::Reader)]).await;
        assert_eq!(Left::by(&other, &revoke.step.op, &Via::Direct), Left::Elsewhere);
        let above = list(vec![entry("2", bob, SeenRole::MetadataOnly)]).await;
        assert_eq!(Left::by(&above, &revoke.step.op, &Via::Inherited), Left::Elsewhere, "a group, say");
    }
}
