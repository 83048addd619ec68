//! The cycle, top to bottom: read the sources, join what they say to people, decide who should hold which folder, compare
//! with the folders, let the guard clear or hold each step, apply, deliver. Read this second, after the README.
//!
//! Everything up to the guard changes nothing outside this machine. `plan` and `sync` are this same code; a plan simply
//! ends where [`crate::apply`] would begin.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ConnectionName, Email, Holder, LedgerId, PermissionId, SourceKind, SourceRef, Timestamp};

use crate::{
    app::App,
    apply::{self, LaneDone},
    approvals::{self, Rest},
    churn,
    cli::{
        console::Console,
        outcome::{Exit, Failure},
    },
    closings,
    config::schema,
    deliver,
    domain::{
        self,
        facts::{Facts, FactsBuilder},
        firm::{Firm, PersonId, TargetName},
        guard::{Check, Gate, Guards, Limit, Verdict},
        lane::{LaneKey, Op},
        plan::Plan,
        policy::Decider,
    },
    gather::{ConnectionReading, Known, Wanted},
    guests,
    lanes::{self, Book},
    leavers, memory, moves, shown,
    store::Db,
    told,
    world::World,
};

/// What a cycle is asked to do.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Only these ledgers are read, and only these clients' lanes are planned; `None`: everything.
    pub clients: Option<BTreeSet<ledgerward_contract::ClientId>>,
    /// From what the last pull read; no provider is asked.
    pub offline: bool,
    /// Folders and people alone; statements wait for their own schedule.
    pub access_only: bool,
    /// Left out, because the program died over them again and again (D10). They speak as they last did.
    pub skip: BTreeSet<ConnectionName>,
    /// A person asks: what stands for a while without a question is asked for all the same ([`told`]).
    pub fresh: bool,
    /// Every folder is read now, whatever a feed of changes says of it.
    pub every_folder: bool,
    /// Whoever asks wants to know something else than what is planned: the plan and its holds are not kept.
    pub reads_only: bool,
}

/// What a run knows and decided, before anything was written.
pub struct Picture {
    pub run: i64,
    pub now: Timestamp,
    pub firm: Firm,
    pub facts: Facts,
    pub book: Book,
    pub verdict: Verdict,
    /// Holds of this plan that a person approved, by digest: their approvals are used up by the first write.
    pub approved: BTreeMap<String, Rest>,
    /// The steps of those holds, and what is left of earlier ones.
    pub approved_steps: BTreeSet<(LaneKey, Op)>,
    /// What was wrong with whole sign-ins and targets, in words.
    pub troubles: Vec<String>,
    pub needs_sign_in: bool,
    /// When sources with a first absence are read again (`decisions` 9).
    pub reread: BTreeMap<SourceRef, Timestamp>,
    /// Sources that could not be read now.
    pub unreadable: usize,
    pub access_only: bool,
    /// Of [`Ask::clients`]: nothing is said about any other client.
    pub clients: Option<BTreeSet<ledgerward_contract::ClientId>>,
    /// Of [`crate::process::Gate`], when the plan was begun. `None`: the plan of a revoke, which holds the gate itself.
    pub epoch: Option<u64>,
}

impl Picture {
    pub fn decider<'a>(&'a self, targets: &'a [TargetName]) -> Decider<'a> {
        Decider::new(&self.firm, &self.facts, targets, self.now)
    }

    pub fn digest(&self) -> String {
        self.verdict.cleared.digest()
    }
}

/// Reads, decides and guards. The answer is a plan; nothing was written to any target.
pub async fn look(
    app: &App,
    world: &World,
    run: i64,
    ask: &Ask,
    console: &mut dyn Console,
) -> Result<Picture, Failure> {
    let now = app.now();
    let epoch = app.process.gate.epoch();
    guests::end_expired(app, now).await?;
    // Before the firm: what is published between the two is the next run's.
    let turn = app.store.run(|db| db.last_turn()).await?;
    let mut firm = app.firm().await?;
    let left_out = |name| format!("{name} is left out: reading it stopped ledgerward three times");
    let mut troubles: Vec<String> = ask.skip.iter().map(left_out).collect();

    let readings =
        if ask.offline { BTreeMap::new() } else { read_sources(app, world, &firm, run, ask, console).await? };
    troubles.extend(readings.values().flat_map(|r| &r.troubles).map(ToString::to_string));

    let joined = memory::join(app, &mut firm, run, &readings, now).await?;
    let mut builder = FactsBuilder::new(firm.people.keys().copied());
    for one in &joined.sources {
        builder.add(one);
    }
    let facts = builder.build();

    let targets: Vec<TargetName> = world.targets.keys().cloned().collect();
    let decider = Decider::new(&firm, &facts, &targets, now);
    let book = lanes::read(app, world, &decider, ask, (now, turn), console).await?;
    troubles.extend(book.troubles.iter().cloned());
    let needs_sign_in = book.needs_sign_in || readings.values().any(|r| r.needs_sign_in);

    let (plan, mut findings) = lanes::propose(&decider, &book, ask);
    findings.extend(domain::gaps::conflicts(&decider));
    findings.extend(domain::guests::findings(&firm, now));
    findings.extend(lanes::invited::overdue(&book, &firm, now));
    findings.extend(leavers::chase(app, &firm, &facts, now).await?);
    closings::tell(app, run, &firm, now).await?;
    let Guarded { mut verdict, approved, approved_steps } = guard(app, &firm, &book, &joined.churned, plan).await?;

    let whole = ask.clients.is_none() && !ask.offline;
    memory::findings(app, run, &joined, findings, whole, now).await?;
    if !ask.reads_only {
        lanes::remember(app, run, ask, &mut verdict, now).await?;
    }
    Ok(Picture {
        run,
        now,
        unreadable: joined.unreadable,
        reread: joined.reread,
        firm,
        facts,
        book,
        verdict,
        approved,
        approved_steps,
        troubles,
        needs_sign_in,
        access_only: ask.access_only,
        clients: ask.clients.clone(),
        epoch: Some(epoch),
    })
}

/// What a whole cycle did.
pub struct Done {
    pub picture: Picture,
    pub lanes: Vec<LaneDone>,
    pub delivered: deliver::Delivery,
}

/// Looks, then does what the guard cleared, then delivers what is due.
pub async fn sync(app: &App, world: &World, run: i64, ask: &Ask, console: &mut dyn Console) -> Result<Done, Failure> {
    apply::settle(app, world, run).await?;
    // Looking changes nothing, so it may be left at any point.
    let picture = tokio::select! {
        picture = look(app, world, run, ask, console) => picture?,
        () = app.process.stopped() => return Err(Failure::new(Exit::Failed, "ledgerward was told to stop")),
    };
    finish(app, world, picture, console).await
}

/// The second half of [`sync`], for a picture that a person has looked at.
pub async fn finish(app: &App, world: &World, picture: Picture, console: &mut dyn Console) -> Result<Done, Failure> {
    step(app, picture.run, "apply").await?;
    let lanes = apply::run(app, world, &picture, console).await?;
    // Looking changes nothing here, too.
    tokio::select! {
        swept = deliver::sweep(app, world, &picture) => swept?,
        () = app.process.stopped() => {}
    }
    if picture.access_only {
        return Ok(Done { picture, lanes, delivered: deliver::Delivery::default() });
    }
    step(app, picture.run, "deliver").await?;
    let delivered = deliver::run(app, world, &picture, &lanes, console).await?;
    let done = Done { picture, lanes, delivered };
    moves::advance(app, &done).await?;
    Ok(done)
}

/// The words before a connection's name in a run's step.
pub const CONNECTION_STEP: &str = "connection ";

/// Writes down what comes next, so that a crash can be laid at its door.
async fn step(app: &App, run: i64, step: impl Into<String>) -> Result<(), Failure> {
    let step = step.into();
    Ok(app.store.run(move |db| db.run_step(run, &step)).await?)
}

async fn read_sources(
    app: &App,
    world: &World,
    firm: &Firm,
    run: i64,
    ask: &Ask,
    console: &mut dyn Console,
) -> Result<BTreeMap<ConnectionName, ConnectionReading>, Failure> {
    let now = app.now();
    let mut bound: BTreeMap<&ConnectionName, Known> = BTreeMap::new();
    let mut asked: BTreeMap<&ConnectionName, (BTreeSet<LedgerId>, bool)> = BTreeMap::new();
    for client in firm.clients.values() {
        for source in &client.sources {
            let known = bound.entry(&source.connection).or_default();
            let (ledgers, directory) = asked.entry(&source.connection).or_default();
            let wanted = ask.clients.as_ref().is_some_and(|c| c.contains(&client.id));
            if source.kind == SourceKind::Ledger {
                let id = LedgerId(source.id.clone());
                known.ledgers.insert(id.clone(), client.name.clone());
                ledgers.extend(wanted.then_some(id));
            } else {
                known.directory.insert(source.id.clone(), client.name.clone());
                *directory |= wanted;
            }
        }
    }
    let mut readings = BTreeMap::new();
    for (name, source) in world.sources.iter().filter(|(name, _)| !ask.skip.contains(*name)) {
        step(app, run, format!("{CONNECTION_STEP}{name}")).await?;
        console.note(&format!("Reading {name} ({}) …", source.manifest.title));
        let known = bound.remove(name).unwrap_or_default();
        let wanted = match &ask.clients {
            None => Wanted::All,
            Some(_) => {
                let (ledgers, directory) = asked.remove(name).unwrap_or_default();
                Wanted::Only { ledgers, directory }
            }
        };
        readings.insert(name.clone(), told::source(app, source, known, &wanted, ask.fresh, now).await?);
    }
    step(app, run, "plan").await?;
    Ok(readings)
}

/// What the guard said, with the approvals that it took.
struct Guarded {
    verdict: Verdict,
    approved: BTreeMap<String, Rest>,
    approved_steps: BTreeSet<(LaneKey, Op)>,
}

/// Clears or holds each step, then takes the approvals that people gave for exactly these holds.
async fn guard(
    app: &App,
    firm: &Firm,
    book: &Book,
    doubts: &BTreeMap<ConnectionName, String>,
    plan: Plan<crate::domain::plan::Proposed>,
) -> Result<Guarded, Failure> {
    let now = app.now();
    let (history, freeze, approvals) = lanes::guard_ground(app, firm, now).await?;
    let mut published = moves::shown(&book.moves, book, &plan, firm);
    published.extend(app.store.run(move |db| shown::Steps::read(db, now)).await?.of(&plan));
    let guards = guards(&app.config.guards);
    let notes = BTreeMap::new();
    let churned = &churn::clients(firm, doubts);
    let verdict = plan.check(&Check {
        guards: &guards,
        history: &history,
        published: &published,
        freeze,
        churned,
        notes: &notes,
    });
    let Verdict { mut cleared, held } = verdict;
    let rests = if held.is_empty() { Vec::new() } else { rests(app, now).await? };
    let (mut still, mut approved, mut steps) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
    for hold in held {
        // No approval lifts a freeze. One that was given before stays unused until the freeze is off.
        if hold.gate == Gate::Freeze {
            still.push(hold);
            continue;
        }
        let word = approvals.iter().find(|a| hold.digest.starts_with(&a.digest)).cloned();
        let first = word.as_ref().map(|approval| (approval.digest.clone(), Rest::of(&hold, approval, now)));
        let word = word.or_else(|| rests.iter().find_map(|(rest, done)| rest.covers(&hold, done, now)));
        match word {
            None => still.push(hold),
            Some(approval) => match hold.approve(&approval, now) {
                Ok(plan) => {
                    approved.extend(first);
                    steps.extend(
                        plan.lanes().iter().flat_map(|l| l.steps.iter().map(|s| (l.lane.clone(), s.op.clone()))),
                    );
                    cleared = cleared.join(plan);
                }
                Err(refused) => still.push(*refused.hold),
            },
        }
    }
    Ok(Guarded { verdict: Verdict { cleared, held: still }, approved, approved_steps: steps })
}

/// What is left of approved holds, each with the steps that were done since its approval was used.
async fn rests(app: &App, now: Timestamp) -> Result<Vec<(Rest, BTreeSet<(LaneKey, Op)>)>, Failure> {
    let read = move |db: &mut Db| {
        let all: BTreeMap<String, Rest> = db.doc_all(approvals::REST)?;
        let open = all.into_values().filter(|rest| rest.used <= now && now < rest.expires);
        open.map(|rest| Ok((db.steps_done_since(rest.used)?, rest)))
            .map(|r| r.map(|(done, rest)| (rest, done)))
            .collect()
    };
    Ok(app.store.run(read).await?)
}

/// The configuration's numbers as the guard takes them.
pub(crate) fn guards(of: &schema::Guards) -> Guards {
    let limit = |l: schema::Limit| Limit { floor: l.floor.into(), percent: l.percent.into() };
    Guards {
        leavers: limit(of.leavers),
        removed: limit(of.pairs_removed),
        client_loses: limit(of.client_loses),
        overall: limit(of.overall),
        added: limit(of.pairs_added),
        person_gains: limit(of.person_gains),
        churn: limit(of.churn),
        touched: limit(of.touched),
    }
}

/// Lets one person out everywhere, from what the state and the targets know. No provider is asked (`decisions` 14).
pub async fn revoke_person(
    app: &App,
    world: &World,
    run: i64,
    person: PersonId,
    console: &mut dyn Console,
) -> Result<Done, Failure> {
    let ask = Ask { offline: true, reads_only: true, ..Ask::default() };
    let mut picture = look(app, world, run, &ask, console).await?;
    let addresses: BTreeMap<TargetName, Email> = match picture.firm.people.get(&person) {
        Some(p) => world.targets.keys().map(|t| (t.clone(), p.address_on(t).clone())).collect(),
        None => BTreeMap::new(),
    };
    // The list may show an account's primary address, or one that the person had before; what we own is known by its id.
    let firm = picture.firm.clone();
    let known = app.store.run(move |db| db.addresses_at(&firm, Timestamp::MAX)).await?;
    let holders = known.everywhere(picture.book.lanes.keys().map(|key| &key.target));
    let owned: BTreeSet<(LaneKey, PermissionId)> = picture
        .book
        .lanes
        .iter()
        .flat_map(|(key, known)| known.owned.iter().map(move |o| (key, &o.grant)))
        .filter(|(key, grant)| holders.get(&key.target).and_then(|of| of.get(&grant.who)) == Some(&person))
        .map(|(key, grant)| (key.clone(), grant.permission.clone()))
        .collect();
    let Verdict { cleared, held } = picture.verdict;
    let cleared = cleared.revokes(|lane, who, permission| {
        addresses.get(&lane.target).is_some_and(|a| *who == Holder::Person(a.clone()))
            || owned.contains(&(lane.clone(), permission.clone()))
    });
    picture.verdict = Verdict { cleared, held };
    picture.epoch = None;
    let lanes = apply::run(app, world, &picture, console).await?;
    Ok(Done { picture, lanes, delivered: deliver::Delivery::default() })
}
