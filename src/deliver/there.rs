//! Whether what was delivered is still there as it was delivered. A person may delete, change, rename or replace a file on
//! the target. It is told and never put right in silence: only a person who pushes again has missing files sent again.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use ledgerward_contract::{ClientId, Error, FileKey, FolderId, SeenFile, Snapshot, Stat, Tag, Timestamp};
use serde::{Deserialize, Serialize};

use super::{files::SERVED, whose::ACCOUNT};
use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{
        finding::{Finding, Severity},
        lane::LaneKey,
    },
    engine::Picture,
    lanes::lane_text,
    render::plan::count,
    store::{Db, DeliveredFile},
    world::{Target, World},
};

/// What a person accepted of what looks found, by [`lane_text`].
const ACCEPTED: &str = "files_accepted";

/// What the last look at each folder's files found, by [`lane_text`].
pub const LOOKED: &str = "files_looked";

const MISSING: &str = "file.missing";
const CHANGED: &str = "file.changed";

/// The files of each folder are listed once a day, when the folder has its turn to be read (`drift`); the rest of the day is
/// for turns that come early.
const PAUSE: jiff::SignedDuration = jiff::SignedDuration::from_hours(20);

/// Listings of one run under way at a time. The quota layer keeps every vendor's own limits.
const AT_ONCE: usize = 8;

/// More pages than any folder has.
const PAGES_MAX: u32 = 10_000;

/// How a delivered file is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    Missing,
    Changed,
    /// It has this name now.
    Renamed(String),
    /// Another file has its name.
    Replaced,
}

impl Fault {
    pub fn words(&self) -> String {
        match self {
            Self::Missing => "is not there any more".to_owned(),
            Self::Changed => "was changed".to_owned(),
            Self::Renamed(path) => format!("is named {path} now"),
            Self::Replaced => "was replaced by another file".to_owned(),
        }
    }
}

/// A file that is not as it was delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub path: String,
    pub fault: Fault,
    /// Of what is there instead. Whoever accepts that accepts no later change.
    #[serde(default)]
    pub tag: Option<Tag>,
}

/// By file key.
pub type Faults = BTreeMap<FileKey, Found>;

/// One look at a folder's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    pub at: Timestamp,
    pub faults: Faults,
}

/// Every file in the folder, or an error.
pub(super) async fn listed(target: &Target, folder: &FolderId, now: Timestamp) -> Result<Snapshot<SeenFile>, Error> {
    let (api, cx) = (target.api()?, target.read(now)?);
    Snapshot::gather("files.list", now, PAGES_MAX, |at| {
        let cx = cx.clone();
        Box::pin(async move { api.files(&cx, folder, at).await })
    })
    .await
}

/// What was delivered beside what is there.
pub(super) fn compare<'d>(delivered: impl Iterator<Item = &'d DeliveredFile>, there: &[SeenFile]) -> Faults {
    let by_id: BTreeMap<_, &SeenFile> = there.iter().map(|f| (&f.id, f)).collect();
    // Most targets tell no two names apart that differ in their case alone.
    let path = |f: &SeenFile| f.path.join("/");
    let names: BTreeMap<String, &SeenFile> = there.iter().map(|f| (path(f).to_lowercase(), f)).collect();
    let found = |f: &DeliveredFile| {
        let name = f.delivered.path.to_lowercase();
        let (fault, seen) = match (by_id.get(&f.file), names.get(&name)) {
            (Some(seen), _) if seen.tag != f.tag => (Fault::Changed, Some(*seen)),
            (Some(seen), _) if path(seen).to_lowercase() != name => (Fault::Renamed(path(seen)), Some(*seen)),
            (Some(_), _) => return None,
            (None, Some(other)) => (Fault::Replaced, Some(*other)),
            (None, None) => (Fault::Missing, None),
        };
        let found = Found { path: f.delivered.path.clone(), fault, tag: seen.map(|s| s.tag.clone()) };
        Some((f.delivered.key.clone(), found))
    };
    delivered.filter_map(found).collect()
}

/// Looks at the files of the folders that were read in this run and whose files have not been looked at for a day, and again
/// at those of which something is told.
pub async fn sweep(app: &App, world: &World, picture: &Picture) -> Result<(), Failure> {
    // Whoever looks at a part, or takes somebody out in a hurry, looks at no files.
    if picture.clients.is_some() || picture.epoch.is_none() {
        return Ok(());
    }
    let (delivered, looked): (_, BTreeMap<String, Looked>) =
        app.store.run(|db| Ok((db.delivered()?, db.doc_all(LOOKED)?))).await?;
    let due = |key: &LaneKey| {
        looked
            .get(&lane_text(key))
            .is_none_or(|l| !l.faults.is_empty() || l.at > picture.now || picture.now.duration_since(l.at) >= PAUSE)
    };
    let mut asked = Vec::new();
    for plan in picture.verdict.cleared.lanes().iter().filter(|l| l.delivery && due(&l.lane)) {
        let Some(known) = picture.book.lanes.get(&plan.lane) else { continue };
        let present = known.reading.as_ref().is_some_and(|r| matches!(r.stat, Ok(Stat::Present { .. })));
        let (Some(folder), Some(target)) = (known.folder().filter(|_| present), world.targets.get(&plan.lane.target))
        else {
            continue;
        };
        if let Some(files) = delivered.get(&plan.lane) {
            asked.push(async move { (&plan.lane, files, listed(target, folder, picture.now).await) });
        }
    }
    let mut found = BTreeMap::new();
    let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
    while let Some((lane, files, list)) = answers.next().await {
        match list {
            Ok(list) => {
                found.insert(lane.clone(), compare(files.iter(), list.items()));
            }
            // It is looked at again in the next run that reads the folder.
            Err(e) => {
                tracing::warn!(event = "files.list", lane = %lane_text(lane), error = %e, "files were not listed")
            }
        }
    }
    keep(app, picture, found).await
}

/// Tells what looks found, and keeps it for `statements`.
pub(super) async fn keep(app: &App, picture: &Picture, found: BTreeMap<LaneKey, Faults>) -> Result<(), Failure> {
    let mut scopes: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    let mut put = Vec::new();
    let accepted = accepted(app).await?;
    for (lane, mut faults) in found {
        if let Some(accepted) = accepted.get(&lane_text(&lane)) {
            faults.retain(|key, found| accepted.get(key) != Some(found));
        }
        let client = picture.firm.clients.get(&lane.folder.client).map_or_else(String::new, |c| c.slug.clone());
        scopes.insert(scope(&lane_text(&lane)), findings(&lane, &client, &faults));
        put.push((lane_text(&lane), Looked { at: picture.now, faults }));
    }
    let whole = picture.clients.is_none() && picture.epoch.is_some();
    let lanes: BTreeSet<String> =
        picture.verdict.cleared.lanes().iter().filter(|l| l.delivery).map(|l| scope(&lane_text(&l.lane))).collect();
    let (run, now) = (picture.run, picture.now);
    app.store
        .run(move |db| {
            db.tx(|db| {
                // A folder that takes no files any more is not looked at any more.
                let open = db.open_findings()?.into_iter().map(|row| row.scope);
                let over = open.filter(|s| whole && s.starts_with("there/") && !lanes.contains(s));
                for scope in over.collect::<BTreeSet<_>>() {
                    scopes.entry(scope).or_default();
                }
                for (lane, looked) in &put {
                    db.doc_put(LOOKED, lane, looked)?;
                }
                if scopes.is_empty() { Ok(()) } else { db.sync_scopes(run, &scopes, now).map(drop) }
            })
        })
        .await?;
    Ok(())
}

pub(super) async fn accepted(app: &App) -> Result<BTreeMap<String, Faults>, Failure> {
    Ok(app.store.run(|db| db.doc_all(ACCEPTED)).await?)
}

fn scope(lane: &str) -> String {
    format!("there/{lane}")
}

/// A person says that the files of these folders are to be as they were last found. What is not like that any more is told
/// again. Gives what was accepted.
pub async fn accept(app: &App, client: ClientId, reason: &str) -> Result<Vec<Found>, Failure> {
    let (reason, now) = (reason.to_owned(), app.now());
    let accept = move |db: &mut Db| {
        db.tx(|db| {
            let mut done = Vec::new();
            for lane in db.delivered()?.keys().filter(|lane| lane.folder.client == client) {
                let key = lane_text(lane);
                let Some(looked) = db.doc_get::<Looked>(LOOKED, &key)?.filter(|l| !l.faults.is_empty()) else {
                    continue;
                };
                let before: Faults = db.doc_get(ACCEPTED, &key)?.unwrap_or_default();
                let mut after = before.clone();
                after.extend(looked.faults.clone());
                db.doc_put(ACCEPTED, &key, &after)?;
                db.doc_put(LOOKED, &key, &Looked { at: looked.at, faults: Faults::new() })?;
                db.audit(now, "file.accept", &key, Some(&before), Some(&after), Some(&reason))?;
                // Nothing is found here, so it is of no run.
                db.sync_findings(0, &scope(&key), &[], now)?;
                done.extend(looked.faults.into_values());
            }
            Ok(done)
        })
    };
    Ok(app.store.run(accept).await?)
}

/// The lane's folder is another one from now on: nothing of ours is in it yet, so that everything is due again.
pub fn forget(db: &mut Db, lane: &LaneKey, reason: &str, at: Timestamp) -> crate::store::Result<()> {
    let lost = db.delivered()?.remove(lane).unwrap_or_default();
    lost.iter().try_for_each(|f| db.delivered_lost(lane, f.delivered.key.as_str(), reason, at))?;
    let key = lane_text(lane);
    db.doc_delete(LOOKED, &key)?;
    db.doc_delete(ACCEPTED, &key)?;
    db.doc_delete(ACCOUNT, &key)?;
    for (list, mut folders) in db.doc_all::<BTreeSet<String>>(SERVED)? {
        if folders.remove(&key) {
            db.doc_put(SERVED, &list, &folders)?;
        }
    }
    Ok(())
}

/// One finding for each folder and kind: whoever empties a folder is told so once.
fn findings(lane: &LaneKey, client: &str, faults: &Faults) -> Vec<Finding> {
    let (missing, changed): (Vec<&Found>, Vec<&Found>) = faults.values().partition(|f| f.fault == Fault::Missing);
    let tell = |code: &str, found: &[&Found], next: String| {
        let [first, rest @ ..] = found else { return None };
        let more = match rest.len() {
            0 => String::new(),
            n => format!("; and {} more", count(n, "file")),
        };
        let (path, what) = (&first.path, first.fault.words());
        let text = format!("In the folder of {client} on {}, {path} {what}{more}.", lane.target);
        Some(Finding::new(Severity::Warning, code, crate::apply::subject(lane, client, "files"), text, next))
    };
    let push = format!("ledgerward statements push --client {client}");
    let left = format!(
        "Nothing is overwritten. If that is right: ledgerward statements accept --client {client} --reason TEXT. For the delivered one again: delete it there, then {push}"
    );
    [tell(MISSING, &missing, format!("To send it again: {push}")), tell(CHANGED, &changed, left)]
        .into_iter()
        .flatten()
        .collect()
}
