//! A lane's folder: made once, in a root that is made once, and closed to whoever its root lets in.

use ledgerward_contract::{Created, ErrorKind, FolderId, ReadCx, ReservedId, Stat, StorageTarget};
use serde_json::json;

use super::{
    Refusal, begin,
    lane::Lane,
    settle::{closed, made, may_be_done, settle_one},
    write_cx,
};
use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{
        firm::TargetName,
        lane::{LaneKey, Op, Step},
    },
    render::plan::count,
    store::{Intent, JournalOp, JournalRow, JournalState, LaneRow, Outcome},
    world::Target,
};

/// The id of each target's root, stored before the root is made.
const ROOT: &str = "target_root";

/// Whether a target's root is there, as far as this run has looked. Held while it is made, so that no two lanes make one each.
pub(super) type Root = tokio::sync::Mutex<bool>;

/// The id under which a target's root was made, or should have been. `None`: it has none.
pub async fn root_id(app: &App, target: &TargetName) -> Result<Option<ReservedId>, Failure> {
    let key = target.0.clone();
    let stored: Option<String> = app.store.run(move |db| db.doc_get(ROOT, &key)).await?;
    Ok(stored.map(ReservedId))
}

/// What is said where a target's root is not there and the firm has folders that lay in it: none is made beside it, for it
/// may come back (S08). `None`: the target is new.
pub async fn root_lost(app: &App, target: &TargetName) -> Result<Option<Refusal>, Failure> {
    let rows = app.store.run(|db| db.lanes()).await?;
    let bound = rows.values().filter(|r| r.key.target == *target && r.folder.is_some()).count();
    Ok((bound > 0).then(|| Refusal {
        why: format!(
            "the folder that holds the client folders is not there any more, and {} of the firm's lay in it",
            count(bound, "folder")
        ),
        passes: false,
        next: Some(format!(
            "Restore it on {target} (from the bin, or by its old name and place); or make one there by hand and set `root` of [targets.{target}] to it."
        )),
    }))
}

/// Which other lane has this very folder already.
pub(super) async fn lane_of(
    app: &App,
    target: &Target,
    lane: &LaneKey,
    folder: &FolderId,
) -> Result<Option<LaneKey>, Failure> {
    let rows = app.store.run(|db| db.lanes()).await?;
    // Where a folder is its name, every root may have one of that name.
    let ids = target.api()?.limits().folder_ids;
    let same = |t: &TargetName| {
        let alike = || app.config.targets.get(t).is_some_and(|o| o.remote.connector == target.manifest.name);
        *t == target.name || (ids && alike())
    };
    let found = rows.into_values().find(|r| r.folder.as_ref() == Some(folder) && r.key != *lane && same(&r.key.target));
    Ok(found.map(|r| r.key))
}

/// Where a folder lies and whose it is; what is not told now is taken from the next reading.
pub(super) async fn placed(
    api: &dyn StorageTarget,
    read: &ReadCx,
    folder: &FolderId,
) -> (Option<FolderId>, Option<String>) {
    match api.stat(read, folder).await {
        Ok(Stat::Present { parent, owner, .. }) => (parent, owner),
        _ => (None, None),
    }
}

impl Lane<'_> {
    /// Finds the folder by its mark, or makes it, closes it, and reads back what it is.
    pub(super) async fn create(&mut self, step: &Step, name: &str) -> Result<Result<(), String>, Failure> {
        let (api, read) = match (self.target.api(), self.target.read(self.picture.now)) {
            (Ok(api), Ok(read)) => (api, read),
            (Err(e), _) | (_, Err(e)) => return Ok(Err(self.refused(&e))),
        };
        if let Err(why) = self.made_before().await? {
            return Ok(Err(why));
        }
        let key = &self.plan.lane.folder;
        let found = match api.find(&read, key).await {
            Ok(found) => found,
            Err(e) => return Ok(Err(self.refused(&e))),
        };
        if let Some(folder) = found {
            if let Err(why) = self.free(&folder).await? {
                return Ok(Err(why));
            }
            // Our own mark on a folder that the state does not know: a restored backup, or a crash long ago. Its list is
            // not what this plan was made from, so the lane is planned again.
            let (parent, owner) = placed(api, &read, &folder).await;
            self.bind(&folder, parent, owner).await?;
            self.folder = Some(folder.clone());
            // Whoever made it may have been stopped, or refused, before it was closed.
            if self.lists
                && let Err(why) = self.close(&folder).await?
            {
                return Ok(Err(why));
            }
            return Ok(Err("the folder exists already and is ours; it is used from the next run on".to_owned()));
        }
        if let Err(why) = self.root(api, &read).await? {
            return Ok(Err(why));
        }
        let reserved = match api.reserve(&read, 1).await {
            Ok(ids) => ids.into_iter().next(),
            Err(e) => return Ok(Err(self.refused(&e))),
        };
        let (row, cx) = begin(self.app, self.target, self.intent(step, reserved.clone()), self.picture.now).await?;
        let created = api.create(&cx, key, name, reserved.as_ref()).await;
        let folder = match created {
            Ok(Created::Created(id) | Created::Exists { id, ours: true }) => id,
            Ok(Created::Exists { ours: false, .. }) => {
                let text = format!("a folder named \"{name}\" is there already and is not ours");
                let next = format!("Rename that folder, or take it over: ledgerward adopt {}", self.plan.lane.target);
                return self.fail(row, &text, &next).await;
            }
            Err(e) if may_be_done(&e) => match made(api, &read, key, reserved.as_ref()).await {
                Ok(Some(id)) => id,
                _ => {
                    let message = e.message.clone();
                    let now = self.app.now();
                    self.app.store.run(move |db| db.outcome(row, &Outcome::Unknown { message }, now)).await?;
                    return Ok(Err(self.refused(&e)));
                }
            },
            Err(e) => {
                let told = self.fail(row, &e.message, e.next.as_deref().unwrap_or_default()).await;
                self.refusal = Refusal::of(&e);
                return told;
            }
        };
        if let Err(why) = self.free(&folder).await? {
            let outcome = Outcome::Failed { kind: "conflict".to_owned(), message: why.clone() };
            let now = self.app.now();
            self.app.store.run(move |db| db.outcome(row, &outcome, now)).await?;
            return Ok(Err(why));
        }
        let (parent, owner) = placed(api, &read, &folder).await;
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

    /// A folder with this client's mark is nobody else's. Two targets that look into one account see each other's marks, and
    /// folders that somebody merged have several.
    async fn free(&mut self, folder: &FolderId) -> Result<Result<(), String>, Failure> {
        let Some(other) = lane_of(self.app, self.target, &self.plan.lane, folder).await? else { return Ok(Ok(())) };
        let (why, next) = if other.target == self.target.name {
            let client = self.picture.firm.clients.get(&other.folder.client);
            let client = client.map_or_else(|| "another client".to_owned(), |c| self.picture.firm.open_name(c));
            (
                format!("its mark lies in the folder of {client}"),
                "Take this client's mark out of that folder, and whatever else of this client was moved there; a folder of its own is made then.",
            )
        } else {
            (
                format!("the target looks into the same account as {}, where this client has its folder", other.target),
                "Give each target an account or a shared drive of its own.",
            )
        };
        self.refusal = Some(Refusal { why: why.clone(), next: Some(next.to_owned()), passes: false });
        Ok(Err(format!("{why}. {next}")))
    }

    /// Makes the folder that holds the client folders, where the target wants one and it is not there: under an id that is
    /// stored first, because a search lags behind a write (S10) and a repeat would make a second one. A target that hands out
    /// no ids makes it itself, with the client's folder.
    async fn root(&mut self, api: &dyn StorageTarget, read: &ReadCx) -> Result<Result<(), String>, Failure> {
        let (root, plan) = (self.root, self.plan);
        let mut there = root.lock().await;
        let target = &plan.lane.target;
        for _ in 0..2 {
            if *there {
                return Ok(Ok(()));
            }
            let stored = root_id(self.app, target).await?;
            match api.lacks_root(read, stored.as_ref()).await {
                Ok(false) => {
                    *there = true;
                    continue;
                }
                Ok(true) => {}
                Err(e) => return Ok(Err(self.refused(&e))),
            }
            if let Some(lost) = root_lost(self.app, target).await? {
                let why = format!("{}. {}", lost.why, lost.next.as_deref().unwrap_or_default());
                self.refusal = Some(lost);
                return Ok(Err(why));
            }
            let id = match stored {
                Some(id) => id,
                None => {
                    let ids = match api.reserve(read, 1).await {
                        Ok(ids) => ids,
                        Err(e) => return Ok(Err(self.refused(&e))),
                    };
                    let Some(id) = ids.into_iter().next() else {
                        *there = true;
                        continue;
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
            let (row, cx) = begin(self.app, self.target, intent, self.picture.now).await?;
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
                    *there = true;
                }
                // The id is used up: a new one takes its place.
                Err(e) if e.kind == ErrorKind::Conflict => {
                    let key = target.0.clone();
                    self.app.store.run(move |db| db.doc_delete(ROOT, &key)).await?;
                }
                Err(e) => return Ok(Err(self.refused(&e))),
            }
        }
        if *there {
            return Ok(Ok(()));
        }
        let why = "the folder that holds the client folders could not be made; it is tried again in the next run";
        self.refusal = Some(Refusal { why: why.to_owned(), next: None, passes: true });
        Ok(Err(why.to_owned()))
    }

    /// Cuts what the target lets us cut, before anybody is let in.
    async fn close(&mut self, folder: &FolderId) -> Result<Result<(), String>, Failure> {
        let intent = Intent {
            run: self.picture.run,
            lane: self.plan.lane.clone(),
            op: JournalOp::CloseSpread,
            cause: None,
            because: "a new folder is closed before anybody is let in".to_owned(),
            reserved: None,
            approved: false,
        };
        let (row, cx) = begin(self.app, self.target, intent, self.picture.now).await?;
        let result = self.target.api()?.close_spread(&cx, folder).await;
        self.refusal = result.as_ref().err().and_then(Refusal::of);
        closed(self.app, row, result).await
    }

    /// A folder that an earlier run could not close: it is closed first, or nobody is let in.
    pub(super) async fn close_left_open(&mut self) -> Result<Result<(), String>, Failure> {
        let lane = self.plan.lane.clone();
        let Some(folder) = self.folder.clone() else { return Ok(Ok(())) };
        let open = self.app.store.run(|db| db.unsettled()).await?;
        for row in open.iter().filter(|r| r.intent.lane == lane && r.intent.op == JournalOp::CloseSpread) {
            let cx = write_cx(self.target, row.step, self.picture.now)?;
            let result = self.target.api()?.close_spread(&cx, &folder).await;
            self.refusal = result.as_ref().err().and_then(Refusal::of);
            if let Err(why) = closed(self.app, row.step, result).await? {
                return Ok(Err(format!("the folder could not be closed to others, so nobody is let in yet: {why}")));
            }
        }
        Ok(Ok(()))
    }

    async fn bind(&self, folder: &FolderId, parent: Option<FolderId>, owner: Option<String>) -> Result<(), Failure> {
        let row = LaneRow {
            key: self.plan.lane.clone(),
            folder: Some(folder.clone()),
            name: self.plan.name.clone(),
            parent,
            owner,
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
}
