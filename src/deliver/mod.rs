//! Which statement goes where. The content's hash decides: what is there already is not sent again, and a file goes only
//! into a folder that passed the fence in this run.

mod batch;
mod books;
mod door;
mod files;
mod statements;

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use ledgerward_contract::{Date, SourceKind, SourceRef, StatementKind};
use serde::Serialize;

use crate::{
    app::App,
    apply::{LaneDone, words},
    cli::{console::Console, outcome::Failure},
    domain::{
        finding::{Finding, Severity},
        firm::{Client, ClientState, TargetName},
        lane::LaneKey,
    },
    engine::Picture,
    world::World,
};

use self::{
    batch::Turns,
    door::{Door, Entry, door},
};
pub use self::{
    books::{PROFILE, accounts_now, chosen_accounts, since},
    files::head,
    statements::{body_of, change_of},
};

/// Clients worked on side by side. The quota layer keeps every vendor's limits; the journal's disk sets the pace.
const CLIENTS_AT_ONCE: usize = 16;

/// The findings that a delivery speaks about.
const SCOPE: &str = "files";

/// Subject: target and client. All others of the scope begin with the client.
const WAITING: &str = "files.waiting";

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

/// What a delivery did and did not do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Delivery {
    pub files: Vec<FileDone>,
    pub waiting: Vec<Waiting>,
    /// What a source does not give, said once for each client and kind.
    pub not_available: Vec<String>,
    pub failed: Vec<String>,
    #[serde(skip)]
    findings: Vec<Finding>,
}

impl Delivery {
    fn join(&mut self, other: Self) {
        self.files.extend(other.files);
        self.waiting.extend(other.waiting);
        self.not_available.extend(other.not_available);
        self.failed.extend(other.failed);
        self.findings.extend(other.findings);
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
    let mut doors: BTreeMap<ledgerward_contract::ClientId, Vec<Door<'_>>> = BTreeMap::new();
    let targets: Vec<TargetName> = world.targets.keys().cloned().collect();
    let decider = picture.decider(&targets);
    for plan in picture.verdict.cleared.lanes() {
        let Some(target) = world.targets.get(&plan.lane.target).filter(|_| plan.delivery) else { continue };
        let done = lanes.iter().find(|l| l.lane == plan.lane);
        let planned = plan.planned(&decider);
        let entry = door(picture, target, plan, done, planned).unwrap_or_else(Entry::Closed);
        let there = delivered.get(&plan.lane).map_or(&[][..], Vec::as_slice);
        let door = Door::new(plan.lane.clone(), target, entry, there);
        doors.entry(plan.lane.folder.client).or_default().push(door);
    }
    if !doors.is_empty() {
        console.note(&format!("Looking for statements of {} …", crate::render::plan::count(doors.len(), "client")));
    }
    let turns = Turns::new(world);
    let turns = &turns;
    let jobs = doors.into_iter().filter_map(|(id, doors)| {
        let client = picture.firm.clients.get(&id).filter(|c| c.state == ClientState::Active)?;
        Some(Job { app, world, picture, only, client, turns, doors, out: Delivery::default() }.run())
    });
    let results: Vec<Result<Delivery, Failure>> = stream::iter(jobs).buffer_unordered(CLIENTS_AT_ONCE).collect().await;
    let mut all = Delivery::default();
    for one in results {
        all.join(one?);
    }
    all.files.sort_by(|a, b| (&a.lane, &a.path).cmp(&(&b.lane, &b.path)));
    all.waiting.sort_by(|a, b| a.lane.cmp(&b.lane));
    all.not_available.sort();
    all.failed.sort();
    if !only.part {
        tell(app, picture, &all).await?;
    }
    Ok(all)
}

async fn tell(app: &App, picture: &Picture, all: &Delivery) -> Result<(), Failure> {
    let mut found = all.findings.clone();
    for wait in &all.waiting {
        found.push(Finding::new(
            Severity::Warning,
            WAITING,
            format!("{}/{}", wait.lane.target, wait.client),
            format!("No file goes into the folder of {} on {}: {}.", wait.client, wait.lane.target, wait.why),
            format!(
                "See: ledgerward holders list --client {0}. Put it right there, take it away (ledgerward holders remove {0} {1} …), or accept a person (holders accept); what waits goes by itself then.",
                wait.client, wait.lane.target
            ),
        ));
    }
    let (run, now) = (picture.run, picture.now);
    // After a look at some clients, what is known of all others stays as it was.
    let looked: Option<BTreeSet<String>> = picture.clients.as_ref().map(|ids| {
        ids.iter().filter_map(|id| picture.firm.clients.get(id)).map(|client| client.slug.clone()).collect()
    });
    app.store
        .run(move |db| {
            if let Some(slugs) = looked {
                let open = db.open_findings()?.into_iter().filter(|row| row.scope == SCOPE).map(|row| row.finding);
                found.extend(open.filter(|f| !slug_of(f).is_some_and(|slug| slugs.contains(slug))));
            }
            db.sync_findings(run, SCOPE, &found, now)
        })
        .await?;
    Ok(())
}

/// The client that a finding of this scope is about.
fn slug_of(finding: &Finding) -> Option<&str> {
    finding.subject.split('/').nth(usize::from(finding.code == WAITING))
}

/// One client's statements.
struct Job<'a> {
    app: &'a App,
    world: &'a World,
    picture: &'a Picture,
    only: &'a Only,
    client: &'a Client,
    turns: &'a Turns,
    doors: Vec<Door<'a>>,
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
        for reference in ledgers {
            match self.books(reference.clone()).await? {
                Ok(Some(books)) => self.ledger(&books, several).await?,
                Ok(None) => {}
                Err(e) => self.out.failed.push(format!("{}: {}", self.client.slug, words(&e))),
            }
        }
        self.send_all().await?;
        Ok(self.out)
    }

    fn today(&self) -> Date {
        self.picture.now.to_zoned(self.app.config.firm.timezone.clone()).date()
    }
}
