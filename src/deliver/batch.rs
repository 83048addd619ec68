//! Files on their way: named, journalled together, sent side by side, recorded together.
//!
//! The order is the same as for one file: its intent is on the disk before it is sent, and what became of it is on the disk
//! before its client's next files begin.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use ledgerward_contract::{
    Error, ErrorKind, Expect, Fenced, FileKey, FilePath, FolderId, Journalled, Outgoing as Put, ReadCx, ReservedId,
    StatementFile, StorageTarget, Stored, WriteCx,
};
use ledgerward_kit::layers::stop;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    FROZEN, FileDone, Job, Refused, Waiting,
    door::{Door, Entry},
    files::hex_sha,
};
use crate::{
    app::App,
    apply::{self, Refusal, words},
    cli::outcome::Failure,
    domain::{
        firm::TargetName,
        lane::{Delivered, LaneKey},
    },
    statement::{Template, Wanted},
    store::{Db, DeliveredFile, Intent, JournalOp, Outcome},
    world::{Target, World},
};

/// Files of one folder that go together: two writes of the journal serve them all.
const TOGETHER: usize = 64;

/// What waits to be sent is held in memory.
const BYTES_TOGETHER: usize = 16 << 20;

/// Files on their way to one target at a time, of all clients. The quota layer keeps every vendor's own limits.
const AT_ONCE: usize = 16;

/// The id made beforehand for a file that is not known to be there yet, by folder and key: a search lags behind a write
/// (S10), so only a repeat under the same id makes nothing twice, whatever process does it.
const FILE_ID: &str = "file_id";

/// A file that is due in a folder.
pub(super) struct Outgoing {
    pub(super) key: FileKey,
    /// For its name.
    pub(super) wanted: Wanted,
    pub(super) mime: String,
    pub(super) bytes: Bytes,
    pub(super) version: u32,
    pub(super) format: &'static str,
    pub(super) change: Option<String>,
}

/// One with its name and all else that its journal row says.
struct Ready {
    file: StatementFile,
    expect: Expect,
    sha: String,
    /// Under which its reserved id is kept.
    place: String,
    version: u32,
    format: &'static str,
    change: Option<String>,
}

/// Turns at each target.
pub(super) struct Turns(BTreeMap<TargetName, Semaphore>);

impl Turns {
    pub(super) fn new(world: &World) -> Self {
        Self(world.targets.keys().map(|name| (name.clone(), Semaphore::new(AT_ONCE))).collect())
    }
}

impl Job<'_> {
    /// Takes a file along into a folder, and sends what came together once that is enough.
    pub(super) async fn put(&mut self, at: usize, file: Outgoing) -> Result<(), Failure> {
        let Some(door) = self.doors.get_mut(at) else { return Ok(()) };
        // What a source lists twice is one file.
        if door.due.iter().any(|f| f.key == file.key) {
            return Ok(());
        }
        door.due.push(file);
        let bytes: usize = door.due.iter().map(|f| f.bytes.len()).sum();
        if door.due.len() >= TOGETHER || bytes >= BYTES_TOGETHER { self.send(at).await } else { Ok(()) }
    }

    /// Sends what is due in every folder.
    pub(super) async fn send_all(&mut self) -> Result<(), Failure> {
        for at in 0..self.doors.len() {
            self.send(at).await?;
        }
        Ok(())
    }

    async fn send(&mut self, at: usize) -> Result<(), Failure> {
        let Some(door) = self.doors.get_mut(at).filter(|d| !d.due.is_empty()) else { return Ok(()) };
        let due = std::mem::take(&mut door.due);
        let closed = door.enter(self.app.now()).await;
        let (lane, open) = (door.lane.clone(), matches!(door.entry, Entry::Open(_)));
        let stopped = self.stopped().await?;
        match (closed, stopped) {
            // A list that was left unread says nothing about the folder.
            (_, Some(why)) if open || why == Stop::Stopping => {
                self.leave(&lane, due.len(), why);
                return Ok(());
            }
            (Some(why), _) => self.out.waiting.push(Waiting { client: self.client.slug.clone(), lane, why }),
            (None, _) => {}
        }
        if !open {
            return Ok(());
        }
        let mut ready = Vec::new();
        for file in due {
            ready.extend(self.ready(at, file));
        }
        let Some(door) = self.doors.get(at) else { return Ok(()) };
        let (api, read) = match (door.target.api(), door.target.read(self.picture.now)) {
            (Ok(api), Ok(read)) => (api, read),
            (Err(e), _) | (_, Err(e)) => {
                self.fail(at, &ready, &e);
                return Ok(());
            }
        };
        if let Err(e) = reserve(self.app, api, &read, &mut ready).await? {
            self.fail(at, &ready, &e);
            return Ok(());
        }
        let intents = ready.iter().map(|r| self.intent(door, r)).collect();
        let steps = apply::begin_all(self.app, door.target, intents, self.picture.now).await?;
        let files = ready.into_iter().zip(steps).map(|(ready, (row, cx))| (ready, row, cx)).collect();
        let ended = self.deliver(at, files).await;
        self.record(at, ended).await
    }

    /// Why nothing more goes in this run. A freeze that comes in the middle of it moves the epoch, as a closing does.
    async fn stopped(&self) -> Result<Option<Stop>, Failure> {
        let process = &self.app.process;
        if self.frozen {
            return Ok(Some(Stop::Frozen));
        }
        if process.stopping() {
            return Ok(Some(Stop::Stopping));
        }
        if self.picture.epoch.is_none_or(|e| e == process.gate.epoch()) {
            return Ok(None);
        }
        let frozen = self.app.store.run_grouped(|db| db.freeze()).await?.is_some();
        Ok(Some(if frozen { Stop::Frozen } else { Stop::Closed }))
    }

    /// Says of files that were due and did not go that they wait. They are due again in the next run.
    fn leave(&mut self, lane: &LaneKey, files: usize, why: Stop) {
        if why == Stop::Frozen {
            let of = self.out.frozen.entry(lane.clone()).or_insert_with(|| (self.client.slug.clone(), 0));
            of.1 += files;
            return;
        }
        let what = crate::render::plan::count(files, "file");
        self.out.failed.push(format!("{}: {what} left for the next run: {}", self.client.slug, why.words()));
    }

    fn fail(&mut self, at: usize, files: &[Ready], e: &Error) {
        let slug = &self.client.slug;
        if let Some(door) = self.doors.get(at) {
            let told = |f: &Ready| refused(slug, door, f.file.path.to_string(), Refusal::of(e));
            self.out.refused.extend(files.iter().filter_map(told));
        }
        self.out.failed.extend(files.iter().map(|r| format!("{slug}: {}: {}", r.file.path, words(e))));
    }

    fn ready(&mut self, at: usize, file: Outgoing) -> Option<Ready> {
        let Outgoing { key, wanted, mime, bytes, version, format, change } = file;
        let door = self.doors.get_mut(at)?;
        let template = match template(self.app, door.target, wanted.document.is_some()) {
            Ok(template) => template,
            Err(e) => {
                self.out.failed.push(e);
                return None;
            }
        };
        // A new rendering takes its old one's place; everything else gets a name of its own.
        let there = door.there.get(&key).cloned();
        let path = match &there {
            Some(there) => FilePath::new(there.delivered.path.split('/').map(str::to_owned).collect()),
            None => door.names().give(&template, &wanted),
        }?;
        let expect = there.map_or(Expect::Absent, |f| Expect::Unchanged(f.file, f.tag));
        let place = format!("{}/{}/{key}", door.lane.target, door.lane.folder);
        let sha = hex_sha(&bytes);
        let file = StatementFile { key, path, mime, bytes, reserved: None };
        Some(Ready { file, expect, sha, place, version, format, change })
    }

    fn intent(&self, door: &Door<'_>, ready: &Ready) -> Intent {
        let Ready { file, sha, change, .. } = ready;
        let size = file.bytes.len() as u64;
        let op = JournalOp::Put { key: file.key.clone(), path: file.path.to_string(), size, sha256: sha.clone() };
        Intent {
            run: self.picture.run,
            lane: door.lane.clone(),
            op,
            cause: None,
            because: change.clone().unwrap_or_else(|| "due".to_owned()),
            reserved: file.reserved.clone(),
            approved: false,
        }
    }

    /// Sends files side by side, or together where that costs the target less. The first of a sub-folder goes alone: two that make the same folder at a time make it twice
    /// where a name is no id (Drive), and elsewhere one of them may be refused.
    async fn deliver(&mut self, at: usize, files: Vec<(Ready, Journalled, WriteCx)>) -> Vec<Ended> {
        if self.doors.get(at).is_some_and(|d| d.target.api().is_ok_and(|api| api.limits().puts_together)) {
            return self.deliver_together(at, files).await;
        }
        let (mut ended, mut others) = (Vec::new(), Vec::new());
        for file in files {
            let folder = file.0.file.path.split().0.join("/");
            if self.doors.get(at).is_some_and(|d| d.folders.contains(&folder)) {
                others.push(file);
                continue;
            }
            let one = self.deliver_one(at, file).await;
            if let Some(door) = self.doors.get_mut(at).filter(|_| one.result.is_ok()) {
                door.folders.insert(folder);
            }
            ended.push(one);
        }
        let job = &*self;
        let rest: Vec<Ended> =
            stream::iter(others).map(|file| job.deliver_one(at, file)).buffer_unordered(AT_ONCE).collect().await;
        ended.extend(rest);
        ended
    }

    /// One turn for all: what one call of the target does.
    async fn deliver_together(&self, at: usize, files: Vec<(Ready, Journalled, WriteCx)>) -> Vec<Ended> {
        let asked = files.iter().map(|(ready, _, cx)| Put { cx, file: &ready.file, expect: ready.expect.clone() });
        let sent = match self.may_send(at).await {
            Ok((api, folder, _turn)) => Ok(stop::ignoring(api.put_all(folder, asked.collect())).await),
            Err(why) => Err(why),
        };
        match sent {
            Ok(ends) => {
                let ends = files.into_iter().zip(ends);
                ends.map(|((ready, row, _), end)| Ended { ready, row, result: end.map_err(Trouble::of) }).collect()
            }
            Err(why) => {
                let all = files.into_iter();
                all.map(|(ready, row, _)| Ended { ready, row, result: Err(why.clone()) }).collect()
            }
        }
    }

    async fn deliver_one(&self, at: usize, (ready, row, cx): (Ready, Journalled, WriteCx)) -> Ended {
        let result = self.try_one(at, &ready, &cx).await;
        Ended { ready, row, result }
    }

    async fn try_one(&self, at: usize, ready: &Ready, cx: &WriteCx) -> Result<Stored, Trouble> {
        let (api, folder, turn) = self.may_send(at).await?;
        // What was begun is ended: nobody would know what became of it.
        let sent = stop::ignoring(api.put(cx, folder, &ready.file, ready.expect.clone())).await;
        drop(turn);
        sent.map_err(Trouble::of)
    }

    /// The target, its open folder, and a turn at it.
    async fn may_send(
        &self,
        at: usize,
    ) -> Result<(&dyn StorageTarget, &Fenced<FolderId>, Option<SemaphorePermit<'_>>), Trouble> {
        let not_sent =
            |why: String, left| Trouble { kind: "not_sent".to_owned(), used_up: false, why, refusal: None, left };
        let Some(Door { target, entry: Entry::Open(fenced), .. }) = self.doors.get(at) else {
            return Err(not_sent("its folder is closed".to_owned(), None));
        };
        let turn = match self.turns.0.get(&target.name) {
            Some(turns) => turns.acquire().await.ok(),
            None => None,
        };
        match self.stopped().await {
            Ok(None) => {}
            Ok(Some(why)) => return Err(not_sent(format!("left for the next run: {}", why.words()), Some(why))),
            Err(e) => return Err(not_sent(e.message, None)),
        }
        Ok((target.api().map_err(Trouble::of)?, fenced, turn))
    }

    async fn record(&mut self, at: usize, ended: Vec<Ended>) -> Result<(), Failure> {
        let Some(door) = self.doors.get_mut(at) else { return Ok(()) };
        let (mut rows, mut left) = (Vec::new(), Vec::new());
        for Ended { ready, row, result } in ended {
            let Ready { file, sha, place, version, format, change, .. } = ready;
            let path = file.path.to_string();
            match result {
                Ok(stored) => {
                    let delivered = Delivered {
                        lane: door.lane.clone(),
                        key: file.key.clone(),
                        path: path.clone(),
                        content_hash: sha,
                    };
                    let Stored { id, tag, size, .. } = stored;
                    let record = DeliveredFile { delivered, version, format: format.to_owned(), file: id, tag, size };
                    door.there.insert(file.key, record.clone());
                    self.out.files.push(FileDone {
                        client: self.client.slug.clone(),
                        lane: door.lane.clone(),
                        path,
                        size,
                        change: change.map(|c| format!("restated: {c}")),
                    });
                    rows.push((row, place, Ok(record)));
                }
                Err(mut trouble) => {
                    match trouble.left {
                        Some(why) => left.push(why),
                        None => self.out.failed.push(format!("{}: {path}: {}", self.client.slug, trouble.why)),
                    }
                    self.out.refused.extend(refused(&self.client.slug, door, path, trouble.refusal.take()));
                    rows.push((row, place, Err(trouble)));
                }
            }
        }
        let lane = door.lane.clone();
        for why in [Stop::Stopping, Stop::Closed, Stop::Frozen] {
            match left.iter().filter(|l| **l == why).count() {
                0 => {}
                n => self.leave(&lane, n, why),
            }
        }
        let now = self.app.now();
        let written = move |db: &mut Db| {
            db.tx(|db| {
                for (row, place, end) in &rows {
                    match end {
                        Ok(record) => {
                            db.doc_delete(FILE_ID, place)?;
                            db.outcome_stored(*row, record, now)?;
                        }
                        // A lost answer is no loss: the file goes under the same id when it is due again.
                        Err(Trouble { kind, used_up, why, .. }) => {
                            if *used_up {
                                db.doc_delete(FILE_ID, place)?;
                            }
                            let failed = Outcome::Failed { kind: kind.clone(), message: why.clone() };
                            db.outcome(*row, &failed, now)?;
                        }
                    }
                }
                Ok(())
            })
        };
        Ok(self.app.store.run_grouped(written).await?)
    }
}

/// What became of a file.
struct Ended {
    ready: Ready,
    row: Journalled,
    result: Result<Stored, Trouble>,
}

/// Why it is not there.
#[derive(Clone)]
struct Trouble {
    kind: String,
    /// Something else is under its reserved id, which serves no more.
    used_up: bool,
    why: String,
    refusal: Option<Refusal>,
    /// It was not tried, for this reason.
    left: Option<Stop>,
}

impl Trouble {
    fn of(e: Error) -> Self {
        Self {
            kind: format!("{:?}", e.kind).to_lowercase(),
            used_up: e.kind == ErrorKind::Conflict,
            why: words(&e),
            refusal: Refusal::of(&e),
            left: None,
        }
    }
}

/// Why nothing more goes in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Stopping,
    Closed,
    Frozen,
}

impl Stop {
    const fn words(self) -> &'static str {
        match self {
            Self::Stopping => "ledgerward is stopping",
            Self::Closed => "somebody was closed meanwhile",
            Self::Frozen => FROZEN,
        }
    }
}

/// A file that the target refused, unless that passes by itself.
fn refused(client: &str, door: &Door<'_>, path: String, refusal: Option<Refusal>) -> Option<Refused> {
    Some(Refused { client: client.to_owned(), lane: door.lane.clone(), path, refusal: refusal? })
}

/// Gives every new file the id under which it goes: the one that an earlier try was made with, or a new one, stored before it
/// is used. A target that gives none leaves them without.
async fn reserve(
    app: &App,
    api: &dyn StorageTarget,
    read: &ReadCx,
    files: &mut [Ready],
) -> Result<Result<(), Error>, Failure> {
    let places: Vec<String> = files.iter().filter(|f| f.expect == Expect::Absent).map(|f| f.place.clone()).collect();
    let kept: BTreeMap<String, String> = app
        .store
        .run_grouped(move |db| {
            let mut kept = BTreeMap::new();
            for place in places {
                if let Some(id) = db.doc_get::<String>(FILE_ID, &place)? {
                    kept.insert(place, id);
                }
            }
            Ok(kept)
        })
        .await?;
    let new = |f: &&mut Ready| f.expect == Expect::Absent && f.file.reserved.is_none();
    for file in files.iter_mut().filter(new) {
        file.file.reserved = kept.get(&file.place).cloned().map(ReservedId);
    }
    let lacking = files.iter_mut().filter(new).count();
    if lacking == 0 {
        return Ok(Ok(()));
    }
    let ids = match api.reserve(read, lacking).await {
        Ok(ids) => ids,
        Err(e) => return Ok(Err(e)),
    };
    let mut stored = Vec::new();
    for (file, id) in files.iter_mut().filter(new).zip(ids) {
        stored.push((file.place.clone(), id.0.clone()));
        file.file.reserved = Some(id);
    }
    if !stored.is_empty() {
        let put =
            move |db: &mut Db| db.tx(|db| stored.iter().try_for_each(|(place, id)| db.doc_put(FILE_ID, place, id)));
        app.store.run_grouped(put).await?;
    }
    Ok(Ok(()))
}

fn template(app: &App, target: &Target, document: bool) -> Result<Template, String> {
    if document {
        return Template::documents(Template::DEFAULT_DOCUMENTS).map_err(|e| e.to_string());
    }
    let text = target.settings.template.as_ref().unwrap_or(&app.config.statements.template);
    Template::statements(text).map_err(|e| format!("the name template \"{text}\": {e}"))
}
