//! A lane's folder: made once, in a root that is made once, and closed to whoever its root lets in.

use ledgerward_contract::{Created, ErrorKind, FolderId, ReadCx, ReservedId, Stat, StorageTarget};
use serde_json::json;

use super::{
    Refusal, begin,
    lane::Lane,
    settle::{closed, made, may_be_done, settle_one},
};
use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{
        firm::TargetName,
        lane::{Op, Step},
    },
    render::plan::count,
    store::{Intent, JournalOp, JournalRow, JournalState, LaneRow, Outcome},
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
        next: Some(format!(
            "Restore it on {target} (from the bin, or by its old name and place); or make one there by hand and set `root` of [targets.{target}] to it."
        )),
    }))
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
            if let Some(other) = self.elsewhere(&folder).await? {
                let why =
                    format!("the target looks into the same account as {other}, where this client has its folder");
                let next = "Give each target an account or a shared drive of its own.";
                self.refusal = Some(Refusal { why: why.clone(), next: Some(next.to_owned()) });
                return Ok(Err(format!("{why}. {next}")));
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
        self.refusal = Some(Refusal { why: why.to_owned(), next: None });
        Ok(Err(why.to_owned()))
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
        let (row, cx) = begin(self.app, self.target, intent, self.picture.now).await?;
        let result = self.target.api()?.close_spread(&cx, folder).await;
        closed(self.app, row, result).await
    }

    /// A folder that an earlier run could not close: it is closed first, or nobody is let in.
    pub(super) async fn close_left_open(&self) -> Result<Result<(), String>, Failure> {
        let lane = self.plan.lane.clone();
        let open = self.app.store.run(|db| db.unsettled()).await?;
        for row in open.iter().filter(|r| r.intent.lane == lane && r.intent.op == JournalOp::CloseSpread) {
            if !settle_one(self.app, self.target, row).await? {
                return Ok(Err("the folder could not be closed to others, so nobody is let in yet".to_owned()));
            }
        }
        Ok(Ok(()))
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
}
