//! `doctor`: the configuration, the state, and each connection and target, looked at and never changed.

use std::fmt::Write as _;

use ledgerward_contract::{ErrorKind, Manifest, NoteLevel, Snapshot, TargetLimits};
use serde_json::{Value, json};

use super::{
    console::Console,
    outcome::{Exit, Failure, Report},
};
use crate::{
    app::App,
    apply,
    config::schema::{Remote, Sharing},
    registry,
    render::plan::{size, time},
    store::{SignIn, SignInState},
    world::{self, Source, Target, World},
};

const PAGES_MAX: u32 = 1_000;

/// Room on the state's disk, bytes. A cycle of a large firm writes a few megabytes, a backup as much as the state has.
const FREE_NEEDED: u64 = 4 << 20;
const FREE_WANTED: u64 = 100 << 20;

/// One line: about what, how bad, what was found, what to do.
struct Line {
    about: String,
    level: NoteLevel,
    text: String,
    next: Option<String>,
    exit: Exit,
}

#[derive(Default)]
struct Chart {
    lines: Vec<Line>,
    /// What no program can check from here.
    assumptions: Vec<(String, &'static str)>,
}

impl Chart {
    fn good(&mut self, about: &str, text: impl Into<String>) {
        self.lines.push(Line {
            about: about.to_owned(),
            level: NoteLevel::Good,
            text: text.into(),
            next: None,
            exit: Exit::Done,
        });
    }

    fn warn(&mut self, about: &str, text: impl Into<String>, next: Option<String>) {
        self.lines.push(Line {
            about: about.to_owned(),
            level: NoteLevel::Warning,
            text: text.into(),
            next,
            exit: Exit::Done,
        });
    }

    fn block(&mut self, about: &str, exit: Exit, text: impl Into<String>, next: Option<String>) {
        self.lines.push(Line { about: about.to_owned(), level: NoteLevel::Blocker, text: text.into(), next, exit });
    }

    fn error(&mut self, about: &str, e: ledgerward_contract::Error) {
        let exit = match e.kind {
            ErrorKind::Unauthenticated => Exit::SignIn,
            ErrorKind::Config => Exit::Refused,
            _ => Exit::Failed,
        };
        self.block(about, exit, e.to_string(), e.next.clone());
    }
}

pub async fn run(app: &App, console: &mut dyn Console, offline: bool) -> Result<Report, Failure> {
    super::findings::everything(app).await?;
    let mut chart = Chart::default();
    chart.good("configuration", format!("{} is right", app.place.config.display()));
    state(app, &mut chart).await?;
    let rows = app.store.run(|db| db.signins()).await?;
    match app.world().await {
        Err(failure) => chart.block("configuration", Exit::Refused, failure.message, failure.next),
        Ok(world) => {
            for (name, source) in &world.sources {
                let remote = app.config.connections.get(name).map(|c| &c.remote);
                scopes(app, name.as_str(), remote, &rows, &mut chart);
                if !offline {
                    console.note(&format!("Asking {name} …"));
                    connection(app, source, &mut chart).await;
                }
            }
            targets(app, &world, &rows, offline, console, &mut chart).await?;
        }
    }
    assumptions(app, &mut chart);
    Ok(report(&chart, offline))
}

async fn state(app: &App, chart: &mut Chart) -> Result<(), Failure> {
    let found = app.store.integrity().await?;
    let (keys, restored, freeze, wal) =
        app.store.run(|db| Ok((db.keys_problem(), db.restored()?, db.freeze()?, db.wal_bytes()))).await?;
    if found.whole() {
        chart.good("state", format!("{} is whole", app.place.state.display()));
    } else {
        let what = found.pages.iter().chain(&found.foreign_keys).cloned().collect::<Vec<_>>().join("; ");
        chart.block(
            "state",
            Exit::Refused,
            format!("the state file is damaged: {what}"),
            Some("Stop the daemon and bring back the newest backup: ledgerward restore FILE".to_owned()),
        );
    }
    if let Ok(disk) = rustix::fs::statvfs(&app.place.state) {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let room = Some("Make room on it; `df -h` shows it.".to_owned());
        if free < FREE_NEEDED {
            chart.block("state", Exit::Locked, format!("its disk is full: {} are free", size(free)), room);
        } else if free < FREE_WANTED {
            chart.warn("state", format!("its disk is nearly full: {} are free", size(free)), room);
        }
    }
    match keys {
        None => chart.good("key", "the sign-ins' key opens them"),
        Some(e) => chart.block("key", Exit::Refused, e.message.clone(), e.next.clone()),
    }
    if let Some(r) = restored {
        chart.block(
            "state",
            Exit::Refused,
            format!("it is a restored one: {}; nothing is applied", r.why),
            Some("Compare `ledgerward plan`, then: ledgerward restore --confirm".to_owned()),
        );
    }
    if let Some(f) = freeze {
        let since = time(f.since, &app.config.firm.timezone);
        chart.warn("freeze", format!("on since {since}: {}", f.reason), Some("ledgerward freeze off".to_owned()));
    }
    if wal > 64 << 20 {
        chart.warn(
            "state",
            format!("its write-ahead log has {}", size(wal)),
            Some("Something keeps an old reading open; restart the daemon.".to_owned()),
        );
    }
    Ok(())
}

/// Whether each sign-in has what the configuration asks for, by what the provider granted.
fn scopes(app: &App, name: &str, remote: Option<&Remote>, rows: &[SignIn], chart: &mut Chart) {
    let Some(remote) = remote else { return };
    if world::personal_sign_in(remote).is_none() {
        return;
    }
    let again = || Some(format!("ledgerward connect {name}"));
    let own: Vec<&SignIn> = rows.iter().filter(|r| r.who.connection.as_str() == name).collect();
    if own.is_empty() {
        chart.block(name, Exit::SignIn, "nobody has signed in", again());
    }
    let wanted = match world::sign_in_ground(name, remote, &app.ground()) {
        Ok(ground) => ground.scopes,
        Err(e) => return chart.error(name, e),
    };
    for row in own {
        // Some services name nobody when somebody signs in.
        let who = row.who.email.as_deref().unwrap_or(&row.who.subject);
        let who = if who.is_empty() { "who signed in" } else { who };
        if let SignInState::NeedsReauth { why, .. } = &row.state {
            chart.block(name, Exit::SignIn, format!("the sign-in of {who} is dead: {why}"), again());
        }
        // A sign-in that is kept has its refresh token; Microsoft never lists the scope that it came by.
        let lacks = |w: &&String| *w != "offline_access" && !row.who.scopes.contains(w);
        let missing: Vec<&str> = wanted.iter().filter(lacks).map(String::as_str).collect();
        if row.who.scopes.is_empty() {
            chart.warn(name, format!("which scopes {who} was granted is unknown"), None);
        } else if missing.is_empty() {
            chart.good(name, format!("{who} granted every scope that is wanted"));
        } else {
            chart.warn(name, format!("{who} did not grant {}", missing.join(", ")), again());
        }
    }
}

/// Lists the ledgers of each living sign-in.
async fn connection(app: &App, source: &Source, chart: &mut Chart) {
    let about = source.name.as_str();
    let Some(api) = source.connector.ledgers() else { return };
    for reach in source.reaches.iter().filter(|r| r.dead.is_none()) {
        let who = reach.own.email.as_ref().map_or_else(|| "the sign-in".to_owned(), ToString::to_string);
        let cx = reach.read(app.now());
        let list = Snapshot::gather("ledgers.list", app.now(), PAGES_MAX, |at| {
            let cx = cx.clone();
            Box::pin(async move { api.ledgers(&cx, at).await })
        })
        .await;
        match list {
            Ok(list) if list.items().is_empty() => {
                chart.warn(
                    about,
                    format!("{who} reaches no ledger"),
                    Some(format!("Connect an organisation: ledgerward connect {about}")),
                );
            }
            Ok(list) => {
                chart.good(about, format!("{who} reaches {}", crate::render::plan::count(list.items().len(), "ledger")))
            }
            Err(e) => chart.error(about, e),
        }
    }
}

async fn targets(
    app: &App,
    world: &World,
    rows: &[SignIn],
    offline: bool,
    console: &mut dyn Console,
    chart: &mut Chart,
) -> Result<(), Failure> {
    for (name, target) in &world.targets {
        let about = name.0.as_str();
        scopes(app, about, Some(&target.settings.remote), rows, chart);
        match &target.settings.sharing {
            Sharing::Off { audience } => {
                chart.warn(
                    about,
                    format!(
                        "sharing is off: files go there unfenced; who can read them, in the firm's words: {audience}"
                    ),
                    None,
                );
            }
            of => chart.good(about, format!("sharing = \"{}\"", of.slug())),
        }
        if let Ok(api) = target.api() {
            chart.good(about, limits(&api.limits()));
        }
        if !offline {
            console.note(&format!("Asking {name} …"));
            probe(app, target, chart).await?;
        }
    }
    Ok(())
}

fn limits(of: &TargetLimits) -> String {
    let files = match of.file_bytes_max {
        u64::MAX => "files of any size".to_owned(),
        max => format!("files up to {}", size(max)),
    };
    let mut text =
        format!("limits: {} grants on a folder, {files}, names up to {} bytes", of.grants_max, of.name_bytes_max);
    if let Some(chars) = of.path_chars_max {
        let _ = write!(text, ", paths up to {chars} characters");
    }
    text
}

async fn probe(app: &App, target: &Target, chart: &mut Chart) -> Result<(), Failure> {
    let about = target.name.0.as_str();
    let (api, cx) = match (target.api(), target.read(app.now())) {
        (Ok(api), Ok(cx)) => (api, cx),
        // Nobody signed in: that is told already.
        (_, Err(_)) => return Ok(()),
        (Err(e), _) => {
            chart.error(about, e);
            return Ok(());
        }
    };
    let probe = match api.probe(&cx).await {
        Ok(probe) => probe,
        Err(e) => {
            chart.error(about, e);
            return Ok(());
        }
    };
    chart.good(about, format!("we are {} there", probe.account));
    let mut stopped = probe.notes.iter().any(|n| n.level == NoteLevel::Blocker);
    match &probe.root {
        Some(root) => chart.good(about, format!("the clients' folders are in {root}")),
        // Why it is not known is told below.
        None if stopped => {}
        None => {
            let made = apply::root_id(app, &target.name).await?;
            match (api.lacks_root(&cx, made.as_ref()).await, apply::root_lost(app, &target.name).await?) {
                (Err(e), _) => chart.error(about, e),
                (Ok(true), Some(lost)) => {
                    stopped = true;
                    chart.block(about, Exit::Failed, lost.why, lost.next);
                }
                _ => chart.good(about, "the root folder will be made by the first sync"),
            }
        }
    }
    let mirrors = target.settings.sharing == Sharing::Mirror;
    // Where something else stops us already, whether we might share says nothing.
    if mirrors && !probe.may_share && !stopped {
        chart.block(
            about,
            Exit::Failed,
            "we may not share folders there",
            Some("Give this account the right to share, or set sharing = \"report\".".to_owned()),
        );
    }
    if let Some(quota) = &probe.quota {
        let of = quota.limit.map_or_else(String::new, |l| format!(" of {}", size(l)));
        let text = format!("{}{of} used", size(quota.used));
        match quota.limit {
            Some(limit) if quota.used >= limit / 10 * 9 => {
                chart.warn(about, text, Some("Make room: a full target takes no statement.".to_owned()))
            }
            _ => chart.good(about, text),
        }
    }
    for seen in probe.inherited.iter().filter(|seen| !seen.ourselves) {
        chart.warn(
            about,
            format!(
                "{} gets into the root, and from there into each client's folder unless inheritance is cut",
                seen.holder
            ),
            Some("Take them off the root and what is above it, or choose a root of ledgerward's own.".to_owned()),
        );
    }
    for note in &probe.notes {
        match note.level {
            NoteLevel::Good => chart.good(about, note.text.clone()),
            NoteLevel::Warning => chart.warn(about, note.text.clone(), note.next.clone()),
            NoteLevel::Blocker => chart.block(about, Exit::Failed, note.text.clone(), note.next.clone()),
        }
    }
    Ok(())
}

/// What the connectors in use rest on and nobody could verify. A program cannot either: it would have to change things.
fn assumptions(app: &App, chart: &mut Chart) {
    let connections = app.config.connections.values().map(|c| &c.remote);
    let mut used: Vec<&'static Manifest> = connections
        .chain(app.config.targets.values().map(|t| &t.remote))
        .filter_map(|r| Some(registry::entry(&r.connector)?.factory.manifest()))
        .collect();
    used.sort_by_key(|m| m.name);
    used.dedup_by_key(|m| m.name);
    for manifest in used {
        chart.assumptions.extend(manifest.unverified.iter().map(|fact| (manifest.title.to_owned(), *fact)));
    }
}

fn report(chart: &Chart, offline: bool) -> Report {
    let exit = chart.lines.iter().fold(Exit::Done, |worst, l| worst.worst(l.exit));
    let mut text = String::new();
    for line in &chart.lines {
        let mark = match line.level {
            NoteLevel::Good => "ok  ",
            NoteLevel::Warning => "warn",
            NoteLevel::Blocker => "BAD ",
        };
        let _ = writeln!(text, "{mark}  {:<14} {}", line.about, line.text);
        if let Some(next) = &line.next {
            let _ = writeln!(text, "      {:<14} next: {next}", "");
        }
    }
    if !chart.assumptions.is_empty() {
        text.push_str("\nAssumptions about the vendors that could not be checked from here. If you see one of them fail, please report the\nconnector, the line, and what you saw instead:\n");
        for (title, fact) in &chart.assumptions {
            let _ = writeln!(text, "  {title}: {fact}");
        }
    }
    if offline {
        text.push_str("No provider was asked.\n");
    }
    let lines: Vec<Value> = chart
        .lines
        .iter()
        .map(|l| json!({"about": l.about, "level": l.level, "text": l.text, "next": l.next.as_deref().unwrap_or_default()}))
        .collect();
    let assumptions: Vec<Value> = chart
        .assumptions
        .iter()
        .map(|(title, fact)| json!({"connector": title, "text": fact, "checked": "unknown"}))
        .collect();
    let json = json!({"schema": "ledgerward/doctor/1", "offline": offline, "lines": lines, "assumptions": assumptions});
    Report::new(exit, json, text)
}
