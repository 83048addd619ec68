//! Which statement goes where. The content's hash decides: what is there already is not sent again, and a file goes only
//! into a folder that passed the fence in this run.

mod again;
mod batch;
mod books;
mod door;
mod files;
mod locks;
mod since;
mod statements;
mod there;
mod told;
mod whose;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, stream};
use ledgerward_contract::{Date, FileKey, FolderId, SourceKind, SourceRef, StatementKind};
use ledgerward_kit::layers::stop;
use serde::Serialize;

use crate::{
    app::App,
    apply::{LaneDone, Refusal, StepDone, subject, words},
    cli::{console::Console, outcome::Failure},
    domain::{
        finding::{Finding, Severity},
        firm::{Client, ClientState, TargetName},
        lane::{LaneKey, Op},
        plan::{Sharing, Trouble},
    },
    engine::Picture,
    lanes::{OTHER_LEDGER, TOGETHER, lane_text},
    world::World,
};

use self::{
    batch::Turns,
    door::{Door, Entry, door},
};
pub use self::{
    books::{CLOSED, ClosedAccounts, PROFILE, accounts_now, may_have_papers, names, pushed},
    files::head,
    since::{FIRST, place, since},
    statements::{body_of, change_of},
    there::{Fault, LOOKED, Looked, accept, forget, sweep},
    whose::ACCOUNT,
};

/// Clients worked on side by side. The quota layer keeps every vendor's limits; the journal's disk sets the pace.
const CLIENTS_AT_ONCE: usize = 16;

/// A listing may lag behind a write (S10): before a file is believed to be missing, it is looked for once more.
const LIST_AGAIN: [Duration; 3] = [Duration::ZERO, Duration::from_millis(400), Duration::from_millis(1_600)];

/// Why files wait under a freeze, which is no finding: whoever froze the firm knows, and `status` says so.
const FROZEN: &str = "the firm is frozen";

/// What is said of a client where a stop came before the last of its statements.
const STOPPING: &str = "the rest of its statements is left for the next run: ledgerward is stopping";

/// The findings that a delivery speaks about.
const SCOPE: &str = "files";

/// Subject: target and client, as of [`REFUSED`]. All others of the scope begin with the client.
const WAITING: &str = "files.waiting";

/// Files that a target did not take. Subject: the folder's, or the target where many folders did not for one reason.
pub const REFUSED: &str = "file.refused";

/// One file that is on a target now and was not before.
#[derive(Clone, Debug, Serialize)]
pub struct FileDone {
    pub client: String,
    pub lane: LaneKey,
    pub path: String,
    pub size: u64,
    /// `restated: 3 lines changed …`, from version 2 on.
    pub change: Option<String>,
}

/// Files that wait in one folder, and for what.
#[derive(Clone, Debug, Serialize)]
pub struct Waiting {
    pub client: String,
    pub lane: LaneKey,
    pub why: String,
}

/// One file that a target refused: a person has to do something.
#[derive(Clone, Debug)]
struct Refused {
    client: String,
    lane: LaneKey,
    path: String,
    refusal: Refusal,
}

/// What a delivery did and did not do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Delivery {
    pub files: Vec<FileDone>,
    pub waiting: Vec<Waiting>,
    /// What a source does not give, said once for each client and kind.
    pub not_available: Vec<String>,
    pub failed: Vec<String>,
    /// How many statements the delivery was about, whether or not anything was to do for them.
    #[serde(skip)]
    pub matched: usize,
    /// How many files of each client wait in each folder because the firm is frozen. They end up in `waiting`.
    #[serde(skip)]
    frozen: BTreeMap<LaneKey, (String, usize)>,
    #[serde(skip)]
    findings: Vec<Finding>,
    /// Each of them is in `failed`, too.
    #[serde(skip)]
    refused: Vec<Refused>,
    /// Folders whose files were listed ([`Only::look`]), and what was not right there and still is not.
    #[serde(skip)]
    looked: BTreeMap<LaneKey, there::Faults>,
}

impl Delivery {
    /// All that failed is what targets refused, which is told as findings of its own.
    pub const fn only_refused(&self) -> bool {
        self.failed.len() == self.refused.len()
    }

    /// What was due and is not there in the end: a list of documents is looked at again then.
    fn left(&self) -> usize {
        self.failed.len() + self.waiting.len() + self.frozen.values().map(|(_, files)| files).sum::<usize>()
    }

    fn join(&mut self, other: Self) {
        self.files.extend(other.files);
        self.waiting.extend(other.waiting);
        self.not_available.extend(other.not_available);
        self.failed.extend(other.failed);
        self.matched += other.matched;
        self.findings.extend(other.findings);
        self.refused.extend(other.refused);
        self.frozen.extend(other.frozen);
        self.looked.extend(other.looked);
    }
}

/// Which statements a delivery is about, where a person asked for less than everything.
#[derive(Clone, Debug, Default)]
pub struct Only {
    /// As [`YearEnd::label`] writes it.
    pub period: Option<String>,
    pub kind: Option<StatementKind>,
    /// Puts a version's new rendering in the place of its old one where the bytes differ (`decisions` 24).
    pub rerender: bool,
    /// Lists what is in the folders first, and sends again what was delivered and is not there any more.
    pub look: bool,
    /// Not everything is looked at, so that no finding is resolved by not looking.
    pub part: bool,
}

/// Delivers everything that is due, to every client that has a folder for it.
pub async fn run(
    app: &App,
    world: &World,
    picture: &Picture,
    lanes: &[LaneDone],
    console: &mut dyn Console,
) -> Result<Delivery, Failure> {
    run_only(app, world, picture, lanes, &Only::default(), console).await
}

/// [`run`] for some statements.
pub async fn run_only(
    app: &App,
    world: &World,
    picture: &Picture,
    lanes: &[LaneDone],
    only: &Only,
    console: &mut dyn Console,
) -> Result<Delivery, Failure> {
    let delivered = app.store.run(|db| db.delivered()).await?;
    let (accounts, accepted) = (whose::accounts(app).await?, there::accepted(app).await?);
    let mut doors: BTreeMap<ledgerward_contract::ClientId, Vec<Door<'_>>> = BTreeMap::new();
    let targets: Vec<TargetName> = world.targets.keys().cloned().collect();
    let decider = picture.decider(&targets);
    for plan in picture.verdict.cleared.lanes() {
        let Some(target) = world.targets.get(&plan.lane.target).filter(|_| plan.delivery) else { continue };
        let done = lanes.iter().find(|l| l.lane == plan.lane);
        let planned = plan.planned(&decider);
        let (papers, was) = (decider.papers(&plan.lane.folder), accounts.get(&lane_text(&plan.lane)));
        let entry = door(picture, target, plan, done, planned).unwrap_or_else(Entry::Closed);
        let there = delivered.get(&plan.lane).map_or(&[][..], Vec::as_slice);
        let door = Door::new(plan.lane.clone(), (papers, was.is_some()), target, entry, there);
        doors.entry(plan.lane.folder.client).or_default().push(door);
    }
    if !doors.is_empty() {
        console.note(&format!("Looking for statements of {} …", crate::render::plan::count(doors.len(), "client")));
    }
    let frozen = app.store.run(|db| db.freeze()).await?.is_some();
    let turns = Turns::new(world);
    let active = doors.keys().filter_map(|id| picture.firm.clients.get(id)).filter(|c| c.state == ClientState::Active);
    let firsts = since::firsts(app, active, today(app, picture)).await?;
    let (turns, accepted, firsts) = (&turns, &accepted, &firsts);
    let jobs = doors.into_iter().filter_map(|(id, doors)| {
        let client = picture.firm.clients.get(&id).filter(|c| c.state == ClientState::Active)?;
        let (unasked, out) = (BTreeSet::new(), Delivery::default());
        Some(Job { app, world, picture, only, client, turns, accepted, firsts, doors, frozen, unasked, out }.run())
    });
    let jobs = stream::iter(jobs).buffer_unordered(CLIENTS_AT_ONCE).collect();
    let results: Vec<Result<Delivery, Failure>> = stop::heeding(app.process.stop_signal(), jobs).await;
    let mut all = Delivery::default();
    for one in results {
        all.join(one?);
    }
    all.files.sort_by(|a, b| (&a.lane, &a.path).cmp(&(&b.lane, &b.path)));
    all.not_available.sort();
    all.failed.sort();
    for wait in &mut all.waiting {
        let not_made = |s: &StepDone| matches!(s.step.op, Op::Create { .. }) && s.result.is_err();
        if lanes.iter().any(|l| l.lane == wait.lane && l.steps.iter().any(not_made)) {
            "its folder could not be made".clone_into(&mut wait.why);
        }
    }
    // Nor is anything resolved because a stop came before it was looked at.
    if !only.part && !app.process.stopping() {
        tell(app, picture, lanes, &all).await?;
    }
    for (lane, (client, files)) in std::mem::take(&mut all.frozen) {
        let wait = if files == 1 { "waits" } else { "wait" };
        let why = format!("{} {wait}: {FROZEN}", crate::render::plan::count(files, "file"));
        all.waiting.push(Waiting { client, lane, why });
    }
    all.waiting.sort_by(|a, b| a.lane.cmp(&b.lane));
    there::keep(app, picture, std::mem::take(&mut all.looked)).await?;
    Ok(all)
}

async fn tell(app: &App, picture: &Picture, lanes: &[LaneDone], all: &Delivery) -> Result<(), Failure> {
    let mut found = all.findings.clone();
    for wait in &all.waiting {
        let (client, target) = (&wait.client, &wait.lane.target);
        found.push(Finding::new(
            Severity::Warning,
            WAITING,
            format!("{target}/{client}"),
            format!("No file goes into the folder of {client} on {target}: {}.", wait.why),
            way_out(picture, lanes, wait),
        ));
    }
    found.extend(refused(&all.refused));
    let (run, now) = (picture.run, picture.now);
    let (tried_not, frozen_lanes) = (all.waiting.iter().map(|w| &w.lane), all.frozen.keys());
    let waits_at: BTreeSet<String> = tried_not.chain(frozen_lanes).map(|lane| lane.target.to_string()).collect();
    // What failed for other reasons, or waits, was perhaps not tried: a refusal that is known of stays.
    let frozen = all.frozen.values().map(|(client, _)| client);
    let mut untried: BTreeSet<String> = all.waiting.iter().map(|w| &w.client).chain(frozen).cloned().collect();
    untried.extend(all.failed.iter().filter_map(|f| f.split_once(": ")).map(|(slug, _)| slug.to_owned()));
    // After a look at some clients, what is known of all others stays as it was.
    let looked: Option<BTreeSet<String>> = picture.clients.as_ref().map(|ids| {
        ids.iter().filter_map(|id| picture.firm.clients.get(id)).map(|client| client.slug.clone()).collect()
    });
    let (firm, config) = (picture.firm.clone(), Arc::clone(&app.config));
    app.store
        .run(move |db| {
            let rows = db.open_findings()?;
            let over = told::over(&config, &firm, rows.iter().map(|row| row.scope.clone()));
            let mut scopes: BTreeMap<String, Vec<Finding>> = over.into_iter().map(|s| (s, Vec::new())).collect();
            let open = rows.into_iter().filter(|row| row.scope == SCOPE).map(|row| row.finding);
            let known: BTreeSet<String> =
                found.iter().filter(|f| f.code == REFUSED).map(|f| f.subject.clone()).collect();
            found.extend(open.filter(|f| match slug_of(f) {
                Some(slug) if looked.as_ref().is_none_or(|slugs| slugs.contains(slug)) => {
                    let told =
                        known.contains(&f.subject) || f.subject.split('/').next().is_some_and(|t| known.contains(t));
                    f.code == REFUSED && untried.contains(slug) && !told
                }
                None if f.code == REFUSED => {
                    (looked.is_some() || waits_at.contains(&f.subject)) && !known.contains(&f.subject)
                }
                other => other.is_some() || looked.is_some(),
            }));
            scopes.insert(SCOPE.to_owned(), found);
            db.sync_scopes(run, &scopes, now)
        })
        .await?;
    Ok(())
}

/// What a person does so that files go into a folder again. The causes are in the order in which [`door`] finds them.
fn way_out(picture: &Picture, lanes: &[LaneDone], wait: &Waiting) -> String {
    let (client, target) = (&wait.client, &wait.lane.target);
    let by_itself = "Nothing to do: the next run looks again. If it lasts, see: ledgerward doctor".to_owned();
    let approve = "See what waits: ledgerward hold list. Then: ledgerward approve DIGEST --reason TEXT".to_owned();
    let known = picture.book.lanes.get(&wait.lane);
    let folder = known.and_then(|k| k.folder());
    let plan = picture.verdict.cleared.lanes().iter().find(|l| l.lane == wait.lane);
    if let Some(plan) = plan.filter(|p| p.waits(picture.now).is_some()) {
        return match plan.trouble.first().filter(|_| !plan.held_revoke) {
            Some(trouble) => trouble_out(trouble, client, target, folder),
            None if plan.held_revoke || plan.first_plan && plan.held_back > 0 => approve,
            None if plan.findings.iter().any(|f| f.code == OTHER_LEDGER) => {
                "See what it has and what to do: ledgerward findings".to_owned()
            }
            None => "See which ledger cannot be read, and why: ledgerward status".to_owned(),
        };
    }
    if let Some(done) = lanes.iter().find(|l| l.lane == wait.lane && l.files_stop) {
        let refused =
            done.steps.iter().find_map(|s| s.refused.as_ref().or(s.waits.as_ref().filter(|w| w.next.is_some())));
        return match refused.map(|r| r.next.clone()) {
            Some(Some(next)) => next,
            Some(None) => format!("Put it right on {target}; every sync tries again."),
            None => by_itself,
        };
    }
    if folder.is_none() {
        return "See what keeps it from being made: ledgerward plan".to_owned();
    }
    if picture.book.sharing(target) == Sharing::Off {
        return format!("Correct `sharing` and `audience` of [targets.{target}] in the configuration.");
    }
    if known.is_none_or(|k| k.entries().is_none()) {
        return by_itself;
    }
    format!(
        "See: ledgerward holders list --client {client}. Put it right there, take it away (ledgerward holders remove {client} {target} …), or accept a person (holders accept); what waits goes by itself then."
    )
}

/// What a person does about a folder that is not as it was.
fn trouble_out(trouble: &Trouble, client: &str, target: &TargetName, folder: Option<&FolderId>) -> String {
    let folder = folder.map_or("FOLDER", FolderId::as_str);
    let mark = format!("ledgerward adopt {target} {client} {folder} --reason TEXT");
    match trouble {
        Trouble::MarkerMissing => format!("If it is the client's folder still, have it marked again: {mark}"),
        Trouble::MarkerForeign { .. } => {
            format!(
                "If it is the client's folder still, take that mark off it on {target}, and have it marked again: {mark}"
            )
        }
        Trouble::Moved { .. } => {
            format!(
                "Move it back on {target} into the folder that holds the client folders; what waits goes by itself then."
            )
        }
        Trouble::OwnerChanged { owner } => {
            format!("On {target}, {owner} gives it back to the account that owned it; what waits goes by itself then.")
        }
        Trouble::Trashed => {
            format!(
                "Restore it from the bin of {target}; what waits goes by itself then. If it is to be a new one: delete it there for good, then: ledgerward clients new-folder {client} {target} --reason TEXT"
            )
        }
        Trouble::Gone => {
            format!(
                "Restore it on {target}, or have a new one made: ledgerward clients new-folder {client} {target} --reason TEXT; or take over another one: ledgerward adopt {target} {client} FOLDER --reason TEXT"
            )
        }
        Trouble::NoAccess => {
            format!("On {target}, share it with ledgerward's account again, as it was; what waits goes by itself then.")
        }
        Trouble::LinkOn => {
            format!("Turn that off in the folder's sharing settings on {target}; what waits goes by itself then.")
        }
        Trouble::SharedFolder => format!(
            "Two of the firm's clients have this one folder: see ledgerward holders list --client {client}, and give one of them another one (ledgerward clients move)."
        ),
    }
}

/// The client that a finding of this scope is about.
fn slug_of(finding: &Finding) -> Option<&str> {
    finding.subject.split('/').nth(usize::from([WAITING, REFUSED].contains(&finding.code.as_str())))
}

/// One finding for each folder, or for all of a target's that were refused for one reason: a full account refuses every file
/// in the same words.
fn refused(all: &[Refused]) -> Vec<Finding> {
    let mut by: BTreeMap<(&LaneKey, &str), Vec<&Refused>> = BTreeMap::new();
    for one in all {
        by.entry((&one.lane, &one.client)).or_default().push(one);
    }
    let mut same: BTreeMap<(&TargetName, &str, Option<&str>), usize> = BTreeMap::new();
    for ((lane, _), files) in &by {
        if let Some(Refusal { why, next, .. }) = files.first().map(|f| &f.refusal) {
            *same.entry((&lane.target, why, next.as_deref())).or_default() += 1;
        }
    }
    same.retain(|_, folders| *folders >= TOGETHER);
    let mut targets: BTreeMap<&TargetName, Finding> = BTreeMap::new();
    for ((target, why, next), folders) in &same {
        let text = format!(
            "{target} took no file into {}: {}.",
            crate::render::plan::count(*folders, "folder"),
            why.trim_end_matches('.')
        );
        let next = next.map_or_else(|| format!("Put it right on {target}; every delivery tries again."), str::to_owned);
        match targets.get_mut(target) {
            Some(one) => one.text = format!("{} {text}", one.text),
            None => {
                targets.insert(target, Finding::new(Severity::Warning, REFUSED, target.to_string(), text, next));
            }
        }
    }
    let told = |((lane, client), files): ((&LaneKey, &str), Vec<&Refused>)| {
        let first = files.first()?;
        let Refusal { why, next, .. } = &first.refusal;
        if same.contains_key(&(&lane.target, why.as_str(), next.as_deref())) {
            return None;
        }
        let more = match files.len() - 1 {
            0 => String::new(),
            n => format!(" and {} more", crate::render::plan::count(n, "file")),
        };
        let why = first.refusal.why.trim_end_matches('.');
        let next = first.refusal.next.clone();
        Some(Finding::new(
            Severity::Warning,
            REFUSED,
            subject(lane, client, "files"),
            format!("{} did not take {}{more} of {client}: {why}.", lane.target, first.path),
            next.unwrap_or_else(|| format!("Put it right on {}; every delivery tries again.", lane.target)),
        ))
    };
    by.into_iter().filter_map(told).chain(targets.into_values()).collect()
}

/// One client's statements.
struct Job<'a> {
    app: &'a App,
    world: &'a World,
    picture: &'a Picture,
    only: &'a Only,
    client: &'a Client,
    turns: &'a Turns,
    /// What a person says is right as it is.
    accepted: &'a BTreeMap<String, there::Faults>,
    /// When each ledger had its first delivery, by [`place`].
    firsts: &'a BTreeMap<String, Date>,
    doors: Vec<Door<'a>>,
    /// The firm was frozen when the delivery began.
    frozen: bool,
    /// Files that folders lost and that the settings ask for no more.
    unasked: BTreeSet<(LaneKey, FileKey)>,
    out: Delivery,
}

impl<'a> Job<'a> {
    async fn run(mut self) -> Result<Delivery, Failure> {
        let ledgers: Vec<SourceRef> =
            self.client.sources.iter().filter(|s| s.kind == SourceKind::Ledger).cloned().collect();
        let several = ledgers.len() > 1;
        let open = self.doors.iter().any(Door::takes_files);
        for door in &self.doors {
            if let Entry::Closed(why) = &door.entry {
                self.out.waiting.push(Waiting {
                    client: self.client.slug.clone(),
                    lane: door.lane.clone(),
                    why: why.clone(),
                });
            }
        }
        if !open {
            return Ok(self.out);
        }
        for at in 0..self.doors.len() {
            if self.doors.get(at).is_some_and(|d| !d.there.is_empty()) {
                self.claim(at).await?;
            }
        }
        if self.only.look {
            self.look().await;
        }
        for reference in ledgers {
            if self.app.process.stopping() {
                break;
            }
            match self.books(reference.clone()).await? {
                Ok(Some(mut books)) => self.ledger(&mut books, several).await?,
                Ok(None) => {}
                Err(_) if self.app.process.stopping() => break,
                Err(e) => self.out.failed.push(format!("{}: {}", self.client.slug, words(&e))),
            }
        }
        self.send_all().await?;
        if self.app.process.stopping() {
            self.out.failed.push(format!("{}: {STOPPING}", self.client.slug));
            return Ok(self.out);
        }
        self.still_lost();
        Ok(self.out)
    }

    /// Lists every folder's files, behind the same fence as before a file goes in. What is missing is due again; what a
    /// person changed is told and left alone.
    async fn look(&mut self) {
        let slug = &self.client.slug;
        for door in self.doors.iter_mut().filter(|d| d.takes_files()) {
            if let Some(why) = door.enter(self.app.now()).await {
                self.out.waiting.push(Waiting { client: slug.clone(), lane: door.lane.clone(), why });
            }
            let Entry::Open(fenced) = &door.entry else { continue };
            for pause in LIST_AGAIN {
                tokio::time::sleep(pause).await;
                match there::listed(door.target, fenced.folder(), self.picture.now).await {
                    Ok(list) => {
                        let mut faults = there::compare(door.there.values(), list.items());
                        if let Some(accepted) = self.accepted.get(&lane_text(&door.lane)) {
                            // What is missing is sent again all the same: a person asks for it.
                            faults.retain(|key, f| f.fault == Fault::Missing || accepted.get(key) != Some(f));
                        }
                        let missing = faults.values().any(|f| f.fault == Fault::Missing);
                        door.faults = Some(faults);
                        if !missing {
                            break;
                        }
                    }
                    Err(e) => {
                        let why = words(&e);
                        let text = format!("{slug}: the files on {} could not be listed: {why}", door.lane.target);
                        self.out.failed.push(text);
                        door.faults = None;
                        break;
                    }
                }
            }
            let Some(faults) = &door.faults else { continue };
            for (key, found) in faults {
                if found.fault == Fault::Missing {
                    door.there.remove(key);
                    door.lost.insert(key.clone());
                } else {
                    let (path, what) = (&found.path, found.fault.words());
                    let left = "it is left as it is. For the delivered one again, delete it there and push once more";
                    self.out.failed.push(format!("{slug}: {path} {what} on {}; {left}", door.lane.target));
                }
            }
            door.fill_folders();
        }
    }

    /// What was missing and is there again is told no more.
    fn still_lost(&mut self) {
        for door in &mut self.doors {
            let Some(mut faults) = door.faults.take() else { continue };
            faults.retain(|key, found| found.fault != Fault::Missing || !door.there.contains_key(key));
            // A person who asked for some kind or period is not told of the others.
            let part = self.only.kind.is_some() || self.only.period.is_some();
            for (key, found) in faults.iter().filter(|(_, f)| f.fault == Fault::Missing && !part) {
                let why = if self.unasked.contains(&(door.lane.clone(), key.clone())) {
                    ": the settings ask for no such file there now"
                } else if key.as_str().ends_with(".doc") {
                    ": its source does not give it now"
                } else {
                    // Why not is told with its ledger or its folder.
                    ""
                };
                let (path, target) = (&found.path, &door.lane.target);
                let text = format!("{}: {path} is missing on {target} and was not sent again{why}", self.client.slug);
                self.out.failed.push(text);
            }
            self.out.looked.insert(door.lane.clone(), faults);
        }
    }

    fn today(&self) -> Date {
        today(self.app, self.picture)
    }
}

fn today(app: &App, picture: &Picture) -> Date {
    picture.now.to_zoned(app.config.firm.timezone.clone()).date()
}

#[cfg(test)]
mod tests {
    use ledgerward_contract::{ClientId, FolderKey};

    use super::*;

    #[test]
    fn a_full_account_is_one_finding_and_not_one_for_each_folder() {
        let refuse = |n: usize, why: &str| {
            let folder = FolderKey { client: ClientId(uuid::Uuid::from_u128(n as u128)), account: None };
            let lane = LaneKey { target: TargetName("drive".to_owned()), folder };
            let refusal = Refusal { why: why.to_owned(), next: Some("make room".to_owned()), passes: false };
            Refused { client: format!("client-{n}"), lane, path: "2026/x.pdf".to_owned(), refusal }
        };
        let few: Vec<_> = (1..TOGETHER).map(|n| refuse(n, "the account is full")).collect();
        assert_eq!(refused(&few).len(), TOGETHER - 1);
        let all: Vec<_> = (0..1_000).map(|n| refuse(n, "the account is full")).chain([refuse(2_000, "no")]).collect();
        let told = refused(&all);
        assert_eq!(told.len(), 2);
        let one = told.iter().find(|f| f.subject == "drive").unwrap();
        assert_eq!(
            (one.text.as_str(), one.next.as_str()),
            ("drive took no file into 1000 folders: the account is full.", "make room")
        );
    }
}
