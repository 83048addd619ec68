//! `status`: how things stand, on one screen; and `--check`, the one line that a monitor reads (H06). Both ask nobody.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use ledgerward_contract::{OAuthSpec, SourceKind, SourceRef, Timestamp};
use ledgerward_kit::keepalive::{Expiry, expiry};
use serde_json::{Value, json};

use super::{
    cycle::{BUT_REFUSED, approved_words},
    findings::{Unseen, severity},
    outcome::{Exit, Failure, Report},
    runs,
};
use crate::{
    app::App,
    apply,
    daemon::schedule::next_due,
    deliver,
    domain::{
        fact::{Fact, Why},
        finding::Severity,
        firm::{Client, ClientState},
    },
    exposure::{self, Exposure},
    memory,
    render::plan::{count, short, time},
    store::{Approval, Db, FindingRow, Freeze, HoldRow, Restored, Result as Stored, RunRow, SignIn, SignInState},
    world::personal_sign_in,
};

/// Kinds of runs that are shown, in this order.
const KINDS: [&str; 8] = ["access", "statements", "reread", "sync", "pull", "plan", "apply", "revoke"];
/// Below this age a sync is never called stale.
const FRESH: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

/// What both forms read of the store, in one job.
struct Seen {
    attempts: Vec<(&'static str, RunRow)>,
    complete: BTreeMap<&'static str, RunRow>,
    /// Of some clients only, and all of it done.
    part: BTreeMap<&'static str, RunRow>,
    /// The newest cycle of any kind that did everything.
    cycle: Option<RunRow>,
    /// The newest one that read everything and did everything but what a target refused.
    but_refused: Option<RunRow>,
    sign_ins: Vec<SignIn>,
    holds: Vec<HoldRow>,
    approvals: Vec<Approval>,
    findings: Vec<FindingRow>,
    freeze: Option<Freeze>,
    restored: Option<Restored>,
    keys: Option<String>,
}

impl Seen {
    fn approval(&self, hold: &HoldRow) -> Option<&Approval> {
        self.approvals.iter().find(|a| a.digest == hold.digest)
    }
}

fn seen(db: &mut Db, now: Timestamp) -> Stored<Seen> {
    let mut seen = Seen {
        attempts: Vec::new(),
        complete: BTreeMap::new(),
        part: BTreeMap::new(),
        cycle: db.last_whole_cycle()?,
        but_refused: db.runs(RUNS_LOOKED_AT)?.into_iter().find(but_refused),
        sign_ins: db.signins()?,
        holds: db.holds()?,
        approvals: db.approvals_valid(now)?,
        findings: db.open_findings()?,
        freeze: db.freeze()?,
        restored: db.restored()?,
        keys: db.keys_problem().map(|e| e.message),
    };
    for kind in KINDS {
        seen.attempts.extend(db.last_attempt(kind)?.map(|run| (kind, run)));
        seen.complete.extend(db.last_complete(kind)?.map(|run| (kind, run)));
        seen.part.extend(db.last_part(kind)?.map(|run| (kind, run)));
    }
    Ok(seen)
}

/// More than there are in the time after which a sync is called stale.
const RUNS_LOOKED_AT: u32 = 200;

fn but_refused(run: &RunRow) -> bool {
    !run.part && run.summary.as_ref().and_then(|s| s.get(BUT_REFUSED)).and_then(Value::as_bool) == Some(true)
}

/// Findings of what a target refused: whoever is let in nowhere is told nowhere else.
fn refused(seen: &Seen) -> impl Iterator<Item = &FindingRow> {
    let codes = [apply::STEP, deliver::REFUSED];
    seen.findings.iter().filter(move |f| codes.contains(&f.finding.code.as_str()))
}

/// One line of the sign-ins.
struct Line {
    name: String,
    account: String,
    /// `active`, `needs_reauth`, `refreshing`, `degraded`, `none`.
    state: &'static str,
    words: String,
    broken: bool,
}

/// A ledger's name, since when it says nothing, and why.
type Unreadable = (String, Option<Timestamp>, String);

pub async fn run(app: &App, check: bool) -> Result<Report, Failure> {
    let (firm, now) = (app.firm().await?, app.now());
    let mut seen = app.store.run(move |db| seen(db, now)).await?;
    let unseen = Unseen::of(app, &firm);
    unseen.take_out(&mut seen.findings);
    let lines = sign_ins(app, &seen.sign_ins);
    let facts = memory::recall_all(app, &firm).await?;
    // What was read once and is nobody's ledger any more is not waited for.
    let ours = |c: &&Client| matches!(c.state, ClientState::Active | ClientState::Archived);
    let bound: BTreeSet<&SourceRef> = firm.clients.values().filter(ours).flat_map(|c| &c.sources).collect();
    // Where our own user is not listed, the list itself was read.
    let read = |why: &Why| matches!(why, Why::FirstReading | Why::Unlisted | Why::OwnMissing);
    let unreadable: Vec<Unreadable> = facts
        .sources()
        .iter()
        .filter(|s| s.source.kind == SourceKind::Ledger && s.rest.fact() == Fact::Unknown && !read(&s.rest))
        .filter(|s| bound.contains(&s.source) && !unseen.hides(&s.source))
        .map(|s| {
            let why = s.trouble.clone().unwrap_or_else(|| s.rest.words().to_owned());
            (format!("{} \"{}\"", s.source.connection, s.name), s.unknown_since, why)
        })
        .collect();
    let problems = problems(app, &seen, &lines, &unreadable);
    let own = super::act::own_counts(app).await?;
    if check {
        // Whose monitor it is does not change the exit code; what is wrong is for those who see the firm.
        let hidden = own.is_some() && !problems.is_empty();
        let told = if hidden { vec!["something is stale or broken: ask an owner".to_owned()] } else { problems };
        return Ok(checked(app, &seen, &told));
    }
    if let Some(own) = own {
        return Ok(own);
    }
    let exposure = app.store.run(move |db| Exposure::read(db, now)).await?;
    let text = text(app, &seen, &lines, &unreadable, exposure.as_ref(), &problems);
    // Somebody else's private books are not there, not even as a number.
    let asking = super::act::asking(app, &firm);
    let clients = firm.clients.values().filter(|c| c.private_to.is_none() || c.private_to == asking).count();
    let run = |r: Option<&RunRow>| r.map_or_else(|| json!("unknown"), runs::value);
    let json = json!({
        "schema": "ledgerward/status/1",
        "ok": problems.is_empty(),
        "problems": problems,
        "firm": firm.name,
        "people": firm.people.len().to_string(),
        "clients": clients.to_string(),
        "runs": seen.attempts.iter().map(|(kind, last)| json!({
            "kind": kind, "last_attempt": runs::value(last), "last_complete": run(seen.complete.get(kind)),
            "last_part": run(seen.part.get(kind)),
        })).collect::<Vec<_>>(),
        "last_complete_cycle": run(seen.cycle.as_ref()),
        "sign_ins": lines.iter().map(|l| json!({"name": l.name, "account": l.account, "state": l.state, "text": l.words})).collect::<Vec<_>>(),
        "holds": seen.holds.iter().map(|h| json!({"digest": h.digest, "since": h.at, "approved": seen.approval(h).is_some()})).collect::<Vec<_>>(),
        "findings": {
            "urgent": of(&seen, Severity::Urgent), "warning": of(&seen, Severity::Warning), "notice": of(&seen, Severity::Notice),
        },
        "freeze": seen.freeze.as_ref().map_or_else(|| json!("off"), |f| json!(f)),
        "restored": seen.restored.as_ref().map_or_else(|| json!("no"), |r| json!({"since": r.since, "why": r.why})),
        "unreadable": unreadable.iter().map(|(name, since, why)| json!({
            "source": name, "since": since.map_or_else(|| json!("unknown"), |t| json!(t)), "why": why,
        })).collect::<Vec<_>>(),
        "exposure": exposure.as_ref().map_or_else(|| json!("unknown"), Exposure::value),
    });
    Ok(Report::new(Exit::Done, json, text))
}

fn of(seen: &Seen, severity: Severity) -> usize {
    seen.findings.iter().filter(|f| f.finding.severity == severity).count()
}

fn checked(app: &App, seen: &Seen, problems: &[String]) -> Report {
    let age = seen.cycle.as_ref().map(|r| age(r.ended.unwrap_or(r.started), app.now()));
    let text = match problems {
        [] => format!("ok: last complete sync {} ago\n", age.unwrap_or_default()),
        some => format!("broken: {}\n", some.join("; ")),
    };
    let json = json!({
        "schema": "ledgerward/check/1", "ok": problems.is_empty(), "problems": problems,
        "last_complete_sync": seen.cycle.as_ref().and_then(|r| r.ended).map_or_else(|| json!("unknown"), |t| json!(t)),
    });
    Report::new(if problems.is_empty() { Exit::Done } else { Exit::Failed }, json, text)
}

/// More of one connection are told as a number.
const SIGN_INS_SHOWN: usize = 3;

/// What a monitor must wake somebody for.
fn problems(app: &App, seen: &Seen, lines: &[Line], unreadable: &[Unreadable]) -> Vec<String> {
    let mut problems = Vec::new();
    problems.extend(
        seen.restored.as_ref().map(|r| format!("the state is a restored one ({}) and nothing is applied", r.why)),
    );
    problems.extend(seen.keys.as_ref().map(|k| format!("the sign-ins cannot be opened: {k}")));
    problems.extend(app.process.trouble().map(|why| format!("the schedules cannot be kept: {why}")));
    let frozen = seen.freeze.as_ref();
    problems.extend(frozen.map(|f| format!("the firm is frozen by {} ({}): only revokes go on", f.by, f.reason)));
    match seen.holds.iter().filter(|h| seen.approval(h).is_none()).count() {
        0 => {}
        n => problems.push(format!("{} waiting for a person; see: ledgerward hold", count(n, "hold"))),
    }
    match unreadable {
        [] => {}
        [(name, ..)] => problems.push(format!("{name} cannot be read")),
        [(name, ..), ..] => {
            problems.push(format!("{} cannot be read ({name} and others)", count(unreadable.len(), "ledger")));
        }
    }
    problems.extend(stale(app, seen));
    problems.extend(lines.iter().filter(|l| l.broken).map(|l| format!("{}: {}", l.name, l.words)));
    match of(seen, Severity::Urgent) {
        0 => {}
        n => problems.push(count(n, "urgent finding")),
    }
    let labels: Vec<String> = refused(seen).map(FindingRow::label).collect();
    match labels.as_slice() {
        [] => {}
        [one] => problems.push(format!("a target refuses something ({one}); see: ledgerward findings")),
        [first, ..] => problems.push(format!(
            "targets refuse {} ({first} and others); see: ledgerward findings",
            count(labels.len(), "step")
        )),
    }
    problems
}

/// Two starts of the schedule have gone by since the last complete sync, and an hour.
fn stale(app: &App, seen: &Seen) -> Option<String> {
    let newest = seen.cycle.iter().chain(&seen.but_refused).max_by_key(|run| run.id);
    let Some(last) = newest else { return Some("no sync has ever been complete".to_owned()) };
    let (tz, schedule) = (&app.config.firm.timezone, &app.config.schedule.access);
    let after = |t: Timestamp| next_due(schedule, Some(t), t, tz, 0);
    let second = after(last.started).and_then(after)?;
    let ended = last.ended.unwrap_or(last.started);
    let limit = second.max(ended.checked_add(FRESH).ok()?);
    (app.now() > limit).then(|| format!("the last complete sync was {} ago", age(ended, app.now())))
}

fn age(since: Timestamp, now: Timestamp) -> String {
    let minutes = now.duration_since(since).as_mins().max(0);
    match minutes {
        0..120 => format!("{minutes} min"),
        120..2_880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1_440),
    }
}

/// Everything that needs somebody to sign in, signed in or not.
fn sign_ins(app: &App, rows: &[SignIn]) -> Vec<Line> {
    let connections = app.config.connections.iter().map(|(name, c)| (name.to_string(), &c.remote));
    let targets = app.config.targets.iter().map(|(name, t)| (name.0.clone(), &t.remote));
    let mut lines = Vec::new();
    for (name, remote) in connections.chain(targets) {
        let Some(spec) = personal_sign_in(remote) else { continue };
        let own: Vec<&SignIn> = rows.iter().filter(|r| r.who.connection.as_str() == name).collect();
        if own.is_empty() {
            let words = format!("nobody has signed in; run: ledgerward connect {name}");
            lines.push(Line { name: name.clone(), account: "unknown".to_owned(), state: "none", words, broken: true });
        }
        lines.extend(own.into_iter().map(|row| sign_in(&name, spec, row, app.now())));
    }
    lines
}

fn sign_in(name: &str, spec: OAuthSpec, row: &SignIn, now: Timestamp) -> Line {
    let end = expiry(&spec, row.issued_at, row.last_refreshed.unwrap_or(row.issued_at), row.refresh_expires_at, now);
    let again = format!("run: ledgerward connect {name}");
    let (state, words, broken) = match (&row.state, end) {
        (SignInState::NeedsReauth { why, .. }, _) => {
            ("needs_reauth", format!("needs a new sign-in: {why}; {again}"), true)
        }
        (SignInState::Degraded { .. }, _) => {
            ("degraded", "its newest token is only in the spool: the state could not be written".to_owned(), true)
        }
        (_, Expiry::Over) => ("expired", format!("its time is over; {again}"), true),
        (_, Expiry::Near) => ("active", format!("will end soon; {again}"), false),
        (_, Expiry::Half) => ("active", "active; half of its time is over".to_owned(), false),
        (SignInState::Refreshing { .. }, Expiry::Far) => ("refreshing", "a refresh is under way".to_owned(), false),
        (SignInState::Active, Expiry::Far) => ("active", "active".to_owned(), false),
    };
    let who = row.who.email.as_ref().or(row.who.realm.as_ref()).unwrap_or(&row.who.subject);
    let account = match &row.who.realm {
        Some(realm) if realm != who => format!("{who}, company {realm}"),
        _ => who.clone(),
    };
    Line { name: name.to_owned(), account, state, words, broken }
}

fn text(
    app: &App,
    seen: &Seen,
    lines: &[Line],
    unreadable: &[Unreadable],
    exposure: Option<&Exposure>,
    problems: &[String],
) -> String {
    let zone = &app.config.firm.timezone;
    let mut out = format!("{}\n", app.config.firm.name);
    for (kind, last) in &seen.attempts {
        let whole = seen.complete.get(kind).map_or_else(
            || "never complete".to_owned(),
            |r| {
                if r.id == last.id { "complete".to_owned() } else { format!("last complete {}", time(r.started, zone)) }
            },
        );
        let part = seen
            .part
            .get(kind)
            .filter(|r| r.id != last.id)
            .map_or_else(String::new, |r| format!("; last for some clients {}", time(r.started, zone)));
        let _ = writeln!(out, "  {kind:<11} {}  {}; {whole}{part}", time(last.started, zone), runs::ending(last));
    }
    if seen.attempts.is_empty() {
        out.push_str("  nothing has run yet; next: ledgerward sync\n");
    }
    // A firm with three hundred companies wants to see the one that is not well.
    let mut well: BTreeMap<&str, usize> = BTreeMap::new();
    for line in lines.iter().filter(|l| l.words == "active") {
        *well.entry(&line.name).or_default() += 1;
    }
    for line in lines {
        match well.get(line.name.as_str()) {
            Some(many) if *many > SIGN_INS_SHOWN && line.words == "active" => {}
            _ => {
                let _ = writeln!(out, "  sign-in     {} ({}): {}", line.name, line.account, line.words);
            }
        }
    }
    for (name, many) in well.into_iter().filter(|(_, many)| *many > SIGN_INS_SHOWN) {
        let _ = writeln!(out, "  sign-in     {name}: {many} companies, active");
    }
    for (name, since, why) in unreadable {
        let since = since.map_or_else(String::new, |t| format!(" since {}", time(t, zone)));
        let _ = writeln!(out, "  unreadable  {name}{since}: {why}");
    }
    if let Some(freeze) = &seen.freeze {
        let _ = writeln!(out, "  frozen      since {} by {}: {}", time(freeze.since, zone), freeze.by, freeze.reason);
    }
    if let Some(restored) = &seen.restored {
        let _ =
            writeln!(out, "  restored    since {}: {}; nothing is applied", time(restored.since, zone), restored.why);
    }
    for hold in seen.holds.iter().take(5) {
        let message = hold.body.get("message").and_then(Value::as_str).unwrap_or("held");
        let _ = writeln!(out, "  held        {} since {}: {message}", short(&hold.digest), time(hold.at, zone));
        if let Some(approval) = seen.approval(hold) {
            let _ = writeln!(out, "              {}", approved_words(approval, seen.freeze.is_some(), zone));
        }
    }
    if seen.holds.len() > 5 {
        let _ = writeln!(out, "  held        and {} more: ledgerward hold", seen.holds.len() - 5);
    }
    let sums =
        [Severity::Urgent, Severity::Warning, Severity::Notice].map(|s| format!("{} {}", of(seen, s), severity(s)));
    let _ = writeln!(out, "  findings    {}", sums.join(", "));
    let urgent = seen.findings.iter().filter(|f| f.finding.severity == Severity::Urgent);
    for row in urgent.take(5).chain(refused(seen).take(5)) {
        let _ = writeln!(out, "    {}  {}", row.label(), row.finding.text);
    }
    if let Some(exposure) = exposure {
        let _ = writeln!(
            out,
            "  exposure    {} in {} days: {} min p50, {} min p95, {} min at most, from the ledger's denial to the folder",
            count(exposure.removals(), "removal"),
            exposure::DAYS,
            exposure.percentile(50),
            exposure.percentile(95),
            exposure.percentile(100),
        );
    }
    match problems {
        [] => out.push_str("All is well.\n"),
        some => {
            let _ = writeln!(out, "Not well: {}.", some.join("; "));
        }
    }
    out
}
