//! What an earlier run, or a lost answer, left open: settled by looking at the target, never by sending again.

use jiff::SignedDuration;
use ledgerward_contract::{
    Error, ErrorKind, FolderId, FolderKey, Holder, Journalled, ReadCx, ReservedId, SeenPermission, SeenRole, Snapshot,
    Stat, StorageTarget, Via,
};
use serde_json::json;

use super::{
    folder::{lane_of, placed},
    lane::{owned, revoked_address},
    words, write_cx,
};
use crate::{
    app::App,
    cli::outcome::Failure,
    config::schema,
    domain::lane::{LaneKey, Op},
    gather,
    store::{JournalOp, JournalRow, LaneRow, Outcome, OwnedRow, StoreError},
    world::{Target, World},
};

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

/// Whether a write that ended so may have been done all the same: no answer, or one that says nothing.
pub(super) fn may_be_done(e: &Error) -> bool {
    matches!(e.kind, ErrorKind::Unavailable | ErrorKind::Cancelled | ErrorKind::Contract)
}

/// The folder of a create whose answer is not known: by its mark, or under the id that was made for it, because a search may
/// lag behind a write (S10).
pub(super) async fn made(
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
pub(super) async fn closed(
    app: &App,
    row: Journalled,
    result: Result<(), Error>,
) -> Result<Result<(), String>, Failure> {
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
pub(super) async fn settle_one(app: &App, target: &Target, row: &JournalRow) -> Result<bool, Failure> {
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
                // Folders that somebody merged: this client's mark lies in another one's.
                Some(id) if lane_of(app, target, &lane, &id).await?.is_some() => {
                    let outcome = failed("its mark lies in another client's folder");
                    app.store.run(move |db| db.outcome(step, &outcome, now)).await?;
                    Ok(false)
                }
                Some(id) => {
                    // Whoever made it may have been stopped before it was closed.
                    if lists_of(target) && api.close_spread(&write_cx(target, step, now)?, &id).await.is_err() {
                        return Ok(false);
                    }
                    let (parent, owner) = placed(api, &read, &id).await;
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
            settle_access(app, row, op, lane, folder, &list).await
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

/// Why a grant of ours is over after a change of its role.
pub(super) const TAKEN_BACK: &str = "the invitation was taken back to be sent with another role, and was not sent";

/// Whether the entry whose role was to change is listed neither by its id nor by its holder.
pub(super) fn gone_with_role(op: &Op, list: &Snapshot<SeenPermission>) -> bool {
    let Op::SetRole { who, permission, .. } = op else { return false };
    let there = |p: &SeenPermission| p.id == *permission || p.holder == Holder::Person(who.clone());
    !list.items().iter().any(|p| p.via == Via::Direct && there(p))
}

/// Whether an entry on the folder itself lets somebody in. Some targets keep one of who was let out, under the same id; the
/// line of a link, whose people are listed by themselves, is there as long as the link is.
pub(super) fn opens(p: &SeenPermission) -> bool {
    p.via == Via::Direct && (!p.role.lets_nobody_in() || matches!(p.holder, Holder::Opaque(_)))
}

/// A grant whose answer was lost may land later than the first look (S01, S10). It is not said to have failed before this
/// time: the next run looks again, and what it finds is ours.
const LANDS_WITHIN: SignedDuration = SignedDuration::from_mins(5);

async fn settle_access(
    app: &App,
    row: &JournalRow,
    op: &Op,
    lane: LaneKey,
    folder: FolderId,
    list: &Snapshot<SeenPermission>,
) -> Result<bool, Failure> {
    let (now, step) = (app.now(), row.step);
    let direct: Vec<&SeenPermission> = list.items().iter().filter(|p| opens(p)).collect();
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
    let entry = match &op {
        Op::Grant { who, .. } => direct.iter().find(|p| p.holder == Holder::Person(who.clone())),
        Op::SetRole { permission, .. } => direct.iter().find(|p| p.id == *permission),
        _ => None,
    };
    // The same goes for an invitation that is taken back to be sent with another role.
    let gone = gone_with_role(&op, list);
    let waits = gone || matches!(op, Op::Grant { .. }) || entry.is_some_and(|p| p.pending);
    if !done && waits && now.duration_since(row.at).abs() < LANDS_WITHIN {
        return Ok(false);
    }
    let permission = entry.map(|p| ((p.id.clone(), p.expires), p.pending));
    app.store
        .run(move |db| {
            if !done {
                let message = "the target does not show it".to_owned();
                return db.tx(|db| {
                    db.outcome(step, &Outcome::Failed { kind: "settled".to_owned(), message }, now)?;
                    let ours = if gone { db.owned()?.remove(&lane).unwrap_or_default() } else { vec![] };
                    let theirs = |o: &&OwnedRow| {
                        o.invited_since.is_some()
                            && matches!(&op, Op::SetRole { permission, .. } if *permission == o.grant.permission)
                    };
                    ours.iter()
                        .filter(theirs)
                        .try_for_each(|o| db.owned_lost(&lane, &o.grant.who, TAKEN_BACK, now, now))
                });
            }
            match (&op, permission) {
                (Op::Revoke { .. }, _) => {
                    let ours = db.owned()?.remove(&lane).unwrap_or_default();
                    db.outcome_revoked_by(step, revoked_address(&ours, &op).as_ref(), now)
                }
                (_, Some((id, invited))) => match owned(&op, lane, folder, id, step) {
                    Some(grant) => db.outcome_granted_unheard(step, &grant, invited, now),
                    None => db.outcome(step, &Outcome::Done(json!({})), now),
                },
                _ => db.outcome(step, &Outcome::Done(json!({})), now),
            }
        })
        .await
        .map_err(|e: StoreError| Failure::from(e))?;
    Ok(done)
}
