//! `pull`, `plan`, `sync`, `apply`, `approve`, `hold`, `freeze` and `revoke`: the cycle, by hand.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use futures::{StreamExt as _, stream};
use ledgerward_contract::{Email, Holder, SourceRef, Timestamp, Via};
use serde_json::{Value, json};

mod own;

use self::own::Own;
use super::{
    access::Filter,
    act,
    args::{ClientArg, FreezeAct, HoldAct, PersonArg},
    console::{Console, Discreet},
    outcome::{Exit, Failure, Fault, Report},
    veil::Veil,
};
use crate::{
    app::App,
    apply::LaneEnd,
    domain::{
        change::{self, ChangeOp},
        fact::Why,
        facts::Facts,
        firm::{Firm, TargetName},
        lane::LaneKey,
    },
    engine::{self, Ask, Done, Picture},
    gather, lanes,
    render::plan as print,
    store::{Approval, HoldRow, OwnedRow, Restored},
    world::World,
};

/// An approval lives a day at most (`reliability` 5.2).
const APPROVAL_MAX: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

pub async fn pull(app: &App, console: &mut dyn Console, client: Option<&ClientArg>) -> Result<Report, Failure> {
    let (world, ask, own) = (app.world().await?, ask(app, client, false).await?, Own::of(app).await?);
    let mut quiet = Discreet(console);
    let ask = Ask { reads_only: true, ..ask };
    let run = start_for(app, "pull", &ask).await?;
    let picture = engine::look(app, &world, run, &ask, quiet.unless(own.is_none())).await;
    let picture = end(app, run, picture, looked_exit).await?;
    if own.is_some() {
        let exit = looked_exit(&picture);
        let whole = exit == Exit::Done;
        let text = if whole { "Read everything.\n" } else { "Not everything could be read.\n" };
        return Ok(Report::new(exit, json!({"schema": "ledgerward/own-pull/1", "whole": whole}), text));
    }
    let veil = Veil::of(app, &picture.firm);
    let sources = picture.facts.sources().iter().filter(|s| !veil.hides_source(&s.source)).count();
    let unreadable = picture.unreadable;
    let read = match unreadable {
        0 => print::count(sources, "ledger"),
        _ => format!("{} of {}", sources.saturating_sub(unreadable), print::count(sources, "ledger")),
    };
    let text = format!("Read {read}.\n{}", open_words(&picture));
    let json = json!({
        "schema": "ledgerward/pull/1", "ledgers": sources, "unreadable": unreadable,
        "troubles": picture.troubles, "rereads": picture.reread.len(),
    });
    Ok(with_troubles(Report::new(looked_exit(&picture), json, text), &picture))
}

pub async fn plan(
    app: &App,
    console: &mut dyn Console,
    client: Option<&ClientArg>,
    offline: bool,
) -> Result<Report, Failure> {
    let (world, ask, own) = (app.world().await?, ask(app, client, offline).await?, Own::of(app).await?);
    let mut quiet = Discreet(console);
    let run = start_for(app, "plan", &ask).await?;
    let picture = engine::look(app, &world, run, &ask, quiet.unless(own.is_none())).await;
    let picture = end(app, run, picture, plan_exit).await?;
    if let Some(own) = own {
        let (json, text) = own.plan(&picture);
        return Ok(Report::new(plan_exit(&picture), json, text));
    }
    let (json, mut text) = (plan_json(app, &picture)?, plan_text(app, None, &picture));
    if app.store.run(|db| db.restored()).await?.is_some() {
        // What we did since the backup looks like what somebody did by hand, and such a grant is never taken away.
        text.push_str(&print::not_ours(picture.verdict.cleared.lanes(), &Veil::of(app, &picture.firm)));
    }
    Ok(with_troubles(Report::new(plan_exit(&picture), json, text), &picture))
}

fn plan_text(app: &App, own: Option<&Own>, picture: &Picture) -> String {
    if let Some(own) = own {
        return own.plan(picture).1;
    }
    let mut text = print::verdict(&picture.verdict, &picture.digest(), &Veil::of(app, &picture.firm));
    text.push_str(&open_words(picture));
    text
}

fn plan_json(app: &App, picture: &Picture) -> Result<Value, Failure> {
    let value = |v: &dyn erased::Ser| v.value();
    let mut json = json!({
        "schema": "ledgerward/plan/1",
        "digest": picture.digest(),
        "plan": value(&picture.verdict.cleared)?,
        "held": value(&picture.verdict.held)?,
        "troubles": picture.troubles,
        "unconfirmed": picture.reread.len(),
        "unreadable": picture.unreadable,
    });
    // The digests stay those of the whole, which is what is applied and approved.
    Veil::of(app, &picture.firm).json(&mut json);
    Ok(json)
}

/// Serialising for `--json`, with an error that has an exit code.
mod erased {
    use super::{Exit, Failure, Value};

    pub trait Ser {
        fn value(&self) -> Result<Value, Failure>;
    }

    impl<T: serde::Serialize> Ser for T {
        fn value(&self) -> Result<Value, Failure> {
            serde_json::to_value(self)
                .map_err(|e| Failure::new(Exit::Failed, format!("the result cannot be written: {e}")))
        }
    }
}

fn plan_exit(picture: &Picture) -> Exit {
    let changes = if picture.verdict.cleared.is_empty() { Exit::Done } else { Exit::Changes };
    looked_exit(picture).worst(held_exit(picture)).worst(changes)
}

fn held_exit(picture: &Picture) -> Exit {
    if picture.verdict.held.is_empty() { Exit::Done } else { Exit::Held }
}

/// What looking alone already says: a sign-in is dead, something could not be read, a removal waits for its second reading.
fn looked_exit(picture: &Picture) -> Exit {
    let sign_in = if picture.needs_sign_in { Exit::SignIn } else { Exit::Done };
    let partly = picture.unreadable > 0 || !picture.troubles.is_empty() || !picture.reread.is_empty();
    sign_in.worst(if partly { Exit::Partly } else { Exit::Done })
}

/// What looking left open, a line each: a first absence waits for a second reading, and what could not be read changes nothing.
fn open_words(picture: &Picture) -> String {
    let mut out = reread_words(&picture.facts, picture.reread.keys());
    if picture.unreadable > 0 {
        let ledgers = print::count(picture.unreadable, "ledger");
        let _ = writeln!(
            out,
            "{ledgers} could not be read: whoever had access keeps it, and nobody gains any. See: ledgerward findings"
        );
    }
    out
}

/// Why ledgers are read again, each for what it is: nobody is missing where somebody is back.
fn reread_words<'s>(facts: &Facts, reread: impl Iterator<Item = &'s SourceRef> + Clone) -> String {
    let mut out = String::new();
    let says = |source: &SourceRef, why| {
        facts.source_ix(source).is_some_and(|ix| {
            facts.run(ix).1.contains(&why) || facts.source(ix).is_some_and(|source| source.rest == why)
        })
    };
    let reasons = [
        (Why::AbsentOnce, "reported somebody missing for the first time; a second reading in a few minutes decides."),
        (Why::NewOnce, "lacked somebody and had somebody new at once; nobody gains before a second reading agrees."),
        (Why::Flapping, "had somebody gone and back within ten minutes; held until the lists agree."),
        (Why::SuddenlyEmpty, "listed nobody, and did before; nothing is revoked by this, and it is read again."),
    ];
    let mut tell = |ledgers: usize, words: &str| {
        if ledgers > 0 {
            let _ = writeln!(out, "{} {words}", print::count(ledgers, "ledger"));
        }
    };
    for (why, words) in reasons {
        tell(reread.clone().filter(|source| says(source, why)).count(), words);
    }
    // Whatever it is, the exit is told by a line.
    let other = reread.filter(|source| !reasons.iter().any(|(why, _)| says(source, *why))).count();
    tell(other, "will be read again in a few minutes before its list is believed in all.");
    out
}

fn with_troubles(mut report: Report, picture: &Picture) -> Report {
    for trouble in &picture.troubles {
        report = report.note(format!("trouble: {trouble}"));
    }
    report
}

pub async fn sync(
    app: &App,
    console: &mut dyn Console,
    client: Option<&ClientArg>,
    yes: bool,
    wait: bool,
) -> Result<Report, Failure> {
    let (world, ask, own) = (app.world().await?, ask(app, client, false).await?, Own::of(app).await?);
    let mut quiet = Discreet(console);
    let console = quiet.unless(own.is_none());
    refuse_restored(app).await?;
    let run = start_for(app, "sync", &ask).await?;
    let done = whole(app, &world, run, &ask, (yes, wait), own.as_ref(), console).await;
    tell_done(app, run, own.as_ref(), done).await
}

/// Ends the run, and tells what was done as far as whoever asks may know of it.
async fn tell_done(
    app: &App,
    run: i64,
    own: Option<&Own>,
    done: Result<Option<Done>, Failure>,
) -> Result<Report, Failure> {
    let exit = |d: &Option<Done>| d.as_ref().map_or(Exit::Done, done_exit);
    let summary = |d: &Option<Done>| d.as_ref().map_or(json!({}), done_summary);
    let done = end_with(app, run, done, exit, summary).await?;
    match (own, done.as_ref()) {
        (Some(own), done) => {
            let (json, text) = own.sync(done);
            Ok(Report::new(done.map_or(Exit::Done, done_exit), json, text))
        }
        (None, Some(done)) => report_done(app, done),
        (None, None) => {
            let json = json!({"schema": "ledgerward/sync/1", "applied": false});
            Ok(Report::new(Exit::Done, json, "Nothing was applied.\n"))
        }
    }
}

/// One cycle, or two where `--wait` asks for the second reading.
async fn whole(
    app: &App,
    world: &World,
    run: i64,
    ask: &Ask,
    (yes, wait): (bool, bool),
    own: Option<&Own>,
    console: &mut dyn Console,
) -> Result<Option<Done>, Failure> {
    crate::apply::settle(app, world, run).await?;
    let mut picture = engine::look(app, world, run, ask, console).await?;
    while let (true, Some(at)) = (wait, picture.reread.values().max()) {
        let pause = at.duration_since(app.now()).unsigned_abs();
        console.note(&format!("Waiting {} s for the second reading …", pause.as_secs()));
        tokio::time::sleep(pause + Duration::from_millis(50)).await;
        let waited = picture.reread.len();
        picture = engine::look(app, world, run, ask, console).await?;
        if picture.reread.len() >= waited {
            break;
        }
    }
    if console.interactive() && !yes && !picture.verdict.cleared.is_empty() {
        console.note(&plan_text(app, own, &picture));
        let answer = console.ask("Apply this plan? [y/N]").unwrap_or_default();
        if !matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
            app.store.run(move |db| db.run_part(run)).await?;
            return Ok(None);
        }
    }
    Ok(Some(engine::finish(app, world, picture, console).await?))
}

/// What a whole cycle comes to.
pub fn done_exit(done: &Done) -> Exit {
    let bad = done.lanes.iter().any(|l| l.end != LaneEnd::Done)
        || !done.delivered.failed.is_empty()
        || !done.delivered.waiting.is_empty();
    looked_exit(&done.picture).worst(held_exit(&done.picture)).worst(if bad { Exit::Partly } else { Exit::Done })
}

/// In the summary of a cycle that read everything and did everything but what targets refused for good. It is not complete,
/// and it is not stale either: what is wrong is what was refused, and that is told by itself.
pub const BUT_REFUSED: &str = "all_but_refused";

/// In the summary of a run that a stop ended before it was done.
pub const STOPPED: &str = "stopped";

/// What is kept of a cycle besides its exit.
pub fn done_summary(done: &Done) -> Value {
    let refused = |l: &crate::apply::LaneDone| {
        l.end == LaneEnd::Done
            || l.end == LaneEnd::Failed
                && l.trouble.is_none()
                && l.steps.iter().all(|s| s.result.is_ok() || s.refused.is_some())
    };
    let exit = looked_exit(&done.picture).worst(held_exit(&done.picture));
    let all = exit == Exit::Done
        && done.lanes.iter().all(refused)
        && done.delivered.waiting.is_empty()
        && done.delivered.only_refused();
    if all { json!({ BUT_REFUSED: true }) } else { json!({}) }
}

fn report_done(app: &App, done: &Done) -> Result<Report, Failure> {
    use erased::Ser as _;
    let veil = Veil::of(app, &done.picture.firm);
    let mut text = print::applied(&done.lanes, &done.delivered, &veil);
    for hold in &done.picture.verdict.held {
        print::hold_text(&mut text, hold, &veil);
    }
    let steps: usize = done.lanes.iter().flat_map(|l| &l.steps).filter(|s| s.result.is_ok()).count();
    let failed: usize = done.lanes.iter().flat_map(|l| &l.steps).filter(|s| s.result.is_err()).count();
    let _ = writeln!(
        text,
        "{}, {} failed, {} delivered, {} held.",
        print::count(steps, "step"),
        failed,
        print::count(done.delivered.files.len(), "file"),
        done.picture.verdict.held.len(),
    );
    text.push_str(&open_words(&done.picture));
    let lanes: Vec<Value> = done
        .lanes
        .iter()
        .map(|l| {
            let steps: Result<Vec<Value>, Failure> = l
                .steps
                .iter()
                .map(|s| Ok(json!({"step": s.step.value()?, "ok": s.result.is_ok(), "error": s.result.as_ref().err()})))
                .collect();
            let end = match l.end {
                LaneEnd::Done => "done",
                LaneEnd::Drifted => "drifted",
                LaneEnd::Failed => "failed",
            };
            Ok(json!({"lane": l.lane.value()?, "client": l.client, "end": end, "steps": steps?, "trouble": l.trouble}))
        })
        .collect::<Result<_, Failure>>()?;
    let mut json = json!({
        "schema": "ledgerward/sync/1",
        "applied": true,
        "lanes": lanes,
        "delivery": done.delivered.value()?,
        "held": done.picture.verdict.held.value()?,
        "troubles": done.picture.troubles,
        "unconfirmed": done.picture.reread.len(),
        "unreadable": done.picture.unreadable,
    });
    veil.json(&mut json);
    Ok(with_troubles(Report::new(done_exit(done), json, text), &done.picture))
}

pub async fn apply(app: &App, console: &mut dyn Console, digest: &str, yes: bool) -> Result<Report, Failure> {
    let prefix = digest.to_owned();
    let stored = app.store.run(move |db| db.plan_by_prefix(&prefix)).await?;
    if app.now().duration_since(stored.at) > APPROVAL_MAX {
        return Err(
            Failure::new(Exit::Failed, "this plan is more than a day old").next("Make a new one: ledgerward plan")
        );
    }
    refuse_restored(app).await?;
    let (world, own) = (app.world().await?, Own::of(app).await?);
    let mut quiet = Discreet(console);
    let console = quiet.unless(own.is_none());
    let run = start(app, "apply").await?;
    let done = exactly(app, &world, run, (&stored.digest, yes), own.as_ref(), console).await;
    tell_done(app, run, own.as_ref(), done).await
}

/// Looks again and applies only if the plan is still this one, to the digit.
async fn exactly(
    app: &App,
    world: &World,
    run: i64,
    (digest, yes): (&str, bool),
    own: Option<&Own>,
    console: &mut dyn Console,
) -> Result<Option<Done>, Failure> {
    crate::apply::settle(app, world, run).await?;
    let picture = engine::look(app, world, run, &Ask::default(), console).await?;
    if picture.digest() != digest {
        return Err(Failure::new(
            Exit::Failed,
            format!("the plan is another one now ({}); nothing was applied", print::short(&picture.digest())),
        )
        .next("Look at it: ledgerward plan"));
    }
    if console.interactive() && !yes {
        console.note(&plan_text(app, own, &picture));
        let answer = console.ask("Apply this plan? [y/N]").unwrap_or_default();
        if !matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
            app.store.run(move |db| db.run_part(run)).await?;
            return Ok(None);
        }
    }
    Ok(Some(engine::finish(app, world, picture, console).await?))
}

pub async fn approve(app: &App, digest: &str, reason: &str, expires: &str) -> Result<Report, Failure> {
    let span: jiff::Span = expires.parse().map_err(|_| {
        Failure::new(Exit::Usage, format!("\"{expires}\" is no length of time"))
            .next("Say it like: 24 hours, 90 minutes.")
    })?;
    let now = app.now();
    let until = now.checked_add(span).map_err(|_| {
        Failure::new(Exit::Usage, "an approval is given in hours or minutes").next("At most: 24 hours.")
    })?;
    if until <= now || until.duration_since(now) > APPROVAL_MAX {
        return Err(Failure::new(Exit::Usage, "an approval lives 24 hours at most")
            .next("Say for example: --expires \"8 hours\"."));
    }
    may_publish(app).await?;
    let (prefix, by, why) = (digest.to_owned(), app.actor.name.clone(), reason.to_owned());
    let (hold, before, frozen) = app
        .store
        .run(move |db| {
            let hold = db.hold_by_prefix(&prefix)?;
            let before = db.approvals_valid(now)?.into_iter().find(|a| a.digest == hold.digest);
            if before.is_none() && !by_freeze(&hold) {
                db.approve(&hold.digest, &by, &why, now, until)?;
            }
            Ok((hold, before, db.freeze()?.is_some()))
        })
        .await?;
    if before.is_none() && by_freeze(&hold) {
        let off = if frozen { "ledgerward freeze off, then: " } else { "" };
        return Err(Failure::new(Exit::Held, "only a freeze held this, and no approval lifts a freeze")
            .fault(Fault::Conflict)
            .next(format!("First: {off}ledgerward sync. What another guard holds is shown then.")));
    }
    let (short, zone) = (print::short(&hold.digest), &app.config.firm.timezone);
    let until = before.as_ref().map_or(until, |a| a.expires);
    let when = if frozen { "Nothing of it is done before: ledgerward freeze off. Then the" } else { "The" };
    let done = format!("{when} next sync does it; what fails of it is tried again until then, and nothing else.");
    let text = match &before {
        Some(a) => format!("{short} is already approved by {} at {}, ", a.by, print::time(a.at, zone)),
        None => format!("Approved {short} "),
    };
    let text = format!("{text}until {}. {done}\n", print::time(until, zone));
    let json = json!({"schema": "ledgerward/approval/1", "digest": hold.digest, "expires": until});
    Ok(Report::new(Exit::Done, json, text).note("Next: ledgerward sync"))
}

/// Whether it is held for no other reason than that the firm was frozen.
fn by_freeze(hold: &HoldRow) -> bool {
    hold.body.get("gate").and_then(Value::as_str) == Some("freeze")
}

/// Owners publish and approve (`product` 5). Root and the service's own user stand in for the primary owner.
pub async fn may_publish(app: &App) -> Result<(), Failure> {
    if app.person.is_none() {
        return Ok(());
    }
    let firm = app.firm().await?;
    let change::Actor::Person(actor) = acting(app, &firm)? else { return Ok(()) };
    change::require(&firm, actor, crate::domain::office::Permission::Publish).map_err(refused)
}

pub async fn hold(app: &App, act: Option<HoldAct>) -> Result<Report, Failure> {
    let now = app.now();
    let (holds, approvals, frozen) = app
        .store
        .run(move |db| {
            let holds = match act {
                None | Some(HoldAct::List) => db.holds()?,
                Some(HoldAct::Show { digest }) => vec![db.hold_by_prefix(&digest)?],
            };
            Ok((holds, db.approvals_valid(now)?, db.freeze()?.is_some()))
        })
        .await?;
    let (mut holds, veil) = (holds, Veil::of(app, &app.firm().await?));
    holds.iter_mut().for_each(|hold| veil.json(&mut hold.body));
    let approval = |hold: &HoldRow| approvals.iter().find(|a| a.digest == hold.digest);
    let mut text = String::new();
    for hold in &holds {
        let approved = approval(hold).map(|a| approved_words(a, frozen, &app.config.firm.timezone));
        hold_row(&mut text, hold, approved, app);
    }
    if holds.is_empty() {
        text.push_str("Nothing is held.\n");
    }
    let one = |h: &HoldRow| {
        let approved = approval(h).map(|a| json!({"by": a.by, "at": a.at, "reason": a.reason, "expires": a.expires}));
        json!({"digest": h.digest, "since": h.at, "approved": approved, "hold": h.body})
    };
    let json = json!({"schema": "ledgerward/holds/1", "holds": holds.iter().map(one).collect::<Vec<_>>()});
    Ok(Report::new(Exit::Done, json, text))
}

/// What is said of a hold that somebody approved and no run has done yet.
pub(super) fn approved_words(approval: &Approval, frozen: bool, zone: &jiff::tz::TimeZone) -> String {
    let when = if frozen { "the first sync after the freeze" } else { "the next sync" };
    format!("approved by {} at {}, done with {when}", approval.by, print::time(approval.at, zone))
}

fn hold_row(text: &mut String, hold: &HoldRow, approved: Option<String>, app: &App) {
    let message = hold.body.get("message").and_then(Value::as_str).unwrap_or("held");
    let since = print::time(hold.at, &app.config.firm.timezone);
    let _ = writeln!(text, "{}  since {since}  {message}", print::short(&hold.digest));
    if let Some(approved) = approved {
        let _ = writeln!(text, "    {approved}");
    }
    let lanes = hold.body.get("lanes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for lane in lanes {
        let client = lane.get("client").and_then(Value::as_str).unwrap_or("?");
        for step in lane.get("steps").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
            let because = step.get("because").and_then(Value::as_str).unwrap_or_default();
            let op =
                step.get("op").and_then(Value::as_object).and_then(|o| o.keys().next().cloned()).unwrap_or_default();
            let body = step.get("op").and_then(|o| o.get(&op));
            let who = body.and_then(|b| b.get("who")).map(|w| w.as_str().map_or_else(|| w.to_string(), str::to_owned));
            let what = who.or_else(|| body.and_then(|b| b.get("name")).and_then(Value::as_str).map(str::to_owned));
            let _ = writeln!(text, "    {op:<8} {client:<20} {:<32} {because}", what.unwrap_or_default());
        }
    }
}

pub async fn freeze(app: &App, act: Option<FreezeAct>) -> Result<Report, Failure> {
    let now = app.now();
    match act {
        Some(FreezeAct::On { reason }) => {
            app.store.run(move |db| db.set_freeze(true, &reason, now)).await?;
            // A cycle under way lets nobody in by its old plan, and sends no more files.
            app.process.gate.closed_somebody();
        }
        Some(FreezeAct::Off) => {
            may_publish(app).await?;
            app.store.run(move |db| db.set_freeze(false, "", now)).await?;
        }
        None | Some(FreezeAct::Status) => {}
    }
    let freeze = app.store.run(|db| db.freeze()).await?;
    let text = match &freeze {
        None => "Not frozen.\n".to_owned(),
        Some(f) => format!(
            "Frozen since {} by {}: {}. Only revokes go on.\n",
            print::time(f.since, &app.config.firm.timezone),
            f.by,
            f.reason
        ),
    };
    let json = json!({"schema": "ledgerward/freeze/1", "freeze": freeze});
    Ok(Report::new(Exit::Done, json, text))
}

/// Closes a person everywhere from what we know ourselves: no provider is asked, no guard and no freeze stands in the way.
pub async fn revoke(
    app: &App,
    console: &mut dyn Console,
    person: &PersonArg,
    reason: Option<&str>,
) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    let target = change::find_person(&firm, &person.0).map_err(refused)?;
    let (id, name) = (target.id, target.full_name());
    let reason = reason.unwrap_or("revoke --now").to_owned();
    // Held until the end: a cycle under way does none of its steps meanwhile.
    let _closed = app.process.gate.close().await;
    if target.closed.is_none() {
        let op = ChangeOp::ClosePerson { person: id, reason: reason.clone() };
        commit(app, &[op], &reason).await?;
    }
    app.process.gate.closed_somebody();
    let world = app.world().await?;
    let run = start(app, "revoke").await?;
    let done = engine::revoke_person(app, &world, run, id, console).await;
    let done = match done {
        Ok(done) => still_open(app, &world, &firm, id).await.map(|left| (done, left)),
        Err(e) => Err(e),
    };
    let ended = |(done, left): &(Done, Vec<String>)| {
        let failed = done.lanes.iter().any(|l| l.end != LaneEnd::Done);
        if left.is_empty() && !failed { Exit::Done } else { Exit::Partly }
    };
    let done = end(app, run, done, ended).await?;
    let exit = ended(&done);
    let (done, left) = done;
    let closed = done.lanes.iter().flat_map(|l| &l.steps).filter(|s| s.result.is_ok()).count();
    // Whose folders these are is for those who see the firm as a whole.
    let all = act::sees_all(app, &firm);
    let left = match left.len() {
        0 => left,
        _ if all => left,
        n => vec![format!("ways in that are not ours to close: {n}; an owner or an administrator sees which")],
    };
    let veil = Veil::of(app, &firm);
    let mut text = if all { print::applied(&done.lanes, &done.delivered, &veil) } else { String::new() };
    let _ = writeln!(
        text,
        "{name} is closed and out of {}. Lift it with: ledgerward people lift {}",
        print::count(closed, "folder"),
        person.0
    );
    for line in &left {
        let _ = writeln!(text, "  STILL OPEN  {line}");
    }
    let json = json!({"schema": "ledgerward/revoke/1", "person": id, "closed": closed, "still_open": left});
    Ok(Report::new(exit, json, text))
}

/// Sharing lists that are read side by side for one person; the quota layer keeps each vendor's own limits.
const LISTS_AT_ONCE: usize = 8;

/// Ways in that are not ours to close: hand-made shares, groups, links, folders above. What cannot be looked at is told too: it
/// is unknown, and nobody may take it for closed.
pub async fn still_open(
    app: &App,
    world: &World,
    firm: &Firm,
    id: crate::domain::firm::PersonId,
) -> Result<Vec<String>, Failure> {
    let Some(person) = firm.people.get(&id) else { return Ok(Vec::new()) };
    // Addresses that they had before as well: what was let in under one may be there still.
    let of = firm.clone();
    let (lanes, owned, known) =
        app.store.run(move |db| Ok((db.lanes()?, db.owned()?, db.addresses_at(&of, Timestamp::MAX)?))).await?;
    let holders = known.everywhere(lanes.keys().map(|key| &key.target));
    let is = |lane: &LaneKey, o: &OwnedRow| holders.get(&lane.target).and_then(|of| of.get(&o.grant.who)) == Some(&id);
    let mut asked = Vec::new();
    let (mut left, mut unreached) = (Vec::new(), BTreeMap::<&TargetName, (usize, String)>::new());
    for (key, row) in &lanes {
        let Some(folder) = &row.folder else { continue };
        let why = match world.targets.get(&key.target) {
            Some(target) if lanes::sharing_of(target) == crate::domain::plan::Sharing::Off => continue,
            Some(target) => target.reach().err().map(|e| e.message),
            // A target that was given up in good order holds nobody by our doing.
            None if owned.iter().any(|(lane, rows)| lane.target == key.target && rows.iter().any(|o| is(lane, o))) => {
                Some("it is not in the configuration any more".to_owned())
            }
            None => continue,
        };
        if let Some(why) = why {
            unreached.entry(&key.target).or_insert((0, why)).0 += 1;
            continue;
        }
        asked.extend(world.targets.get(&key.target).map(|target| (key, row, target, folder)));
    }
    let read = stream::iter(asked)
        .map(|(key, row, target, folder)| async move { (key, row, gather::sharing(target, folder, app.now()).await) })
        .buffered(LISTS_AT_ONCE);
    for (key, row, list) in read.collect::<Vec<_>>().await {
        // It is kept with a leaver's case, which is not one person's: private books have no name in it.
        let books = firm.clients.get(&key.folder.client).filter(|c| c.private_to.is_some());
        let name = books.map_or_else(|| row.name.clone(), |c| firm.open_name(c));
        let list = match list {
            Ok(list) => list,
            Err(e) => {
                left.push(format!(
                    "{}: {name} could not be read, so who can open it is unknown: {}",
                    key.target, e.message
                ));
                continue;
            }
        };
        let theirs = |email: &Email| {
            let former = || holders.get(&key.target).and_then(|of| of.get(email)) == Some(&id);
            email == person.address_on(&key.target) || former()
        };
        for p in list.items().iter().filter(|p| !p.role.lets_nobody_in()) {
            let how = match (&p.holder, &p.via) {
                (Holder::Person(email), Via::Direct) if theirs(email) => "by a hand-made share",
                (Holder::Person(email), _) if theirs(email) => "from a folder above or below it",
                (Holder::Group(_), _) => "perhaps, through a group that we cannot see into",
                (Holder::Link(_) | Holder::Everyone(_), _) => "like everybody, by a link",
                _ => continue,
            };
            left.push(format!("{}: {name} {how} ({})", key.target, p.holder));
        }
    }
    left.extend(unreached.into_iter().map(|(target, (n, why))| {
        format!("{target}: {} could not be read, so who can open them is unknown: {why}", print::count(n, "folder"))
    }));
    Ok(left)
}

/// Writes changes of the firm down, all or none, published at once.
pub async fn commit(app: &App, ops: &[ChangeOp], reason: &str) -> Result<Vec<change::Effect>, Failure> {
    let before = app.store.run(|db| db.firm()).await?;
    let actor = acting(app, &before)?;
    let now = app.now();
    let (_, effects) = change::apply_all(&before, ops, change::By { actor, at: now }).map_err(|(_, r)| refused(r))?;
    let mut steps = Vec::new();
    let mut at = before;
    for op in ops {
        let (mut next, effect) = change::apply(&at, op, change::By { actor, at: now }).map_err(refused)?;
        if effect.changed {
            // Root stands in for the primary owner, who did nothing of this and is not named for it.
            if let (None, ChangeOp::ClosePerson { person, .. }) = (&app.person, op)
                && let Some(closed) = next.people.get_mut(person).and_then(|p| p.closed.as_mut())
            {
                closed.by.clone_from(&app.actor.name);
            }
            let op = serde_json::to_value(op)
                .map_err(|e| Failure::new(Exit::Failed, format!("a change cannot be written: {e}")))?;
            steps.push((op, at.clone(), next.clone()));
        }
        at = next;
    }
    let (author, reason) = (app.actor.name.clone(), reason.to_owned());
    app.store
        .run(move |db| {
            db.tx(|db| {
                for (op, before, after) in &steps {
                    db.record_change(op, &author, &reason, now, before, after)?;
                }
                Ok(())
            })
        })
        .await?;
    Ok(effects)
}

/// Who acts, for the rules of the firm. Root and the service's own user stand in for the primary owner.
pub fn acting(app: &App, firm: &Firm) -> Result<change::Actor, Failure> {
    use crate::domain::firm::Office;
    let owner = || firm.people.values().find(|p| p.office == Office::PrimaryOwner).map(|p| p.id);
    let found = match &app.person {
        None => owner(),
        Some(email) => firm.people.values().find(|p| &p.email == email).map(|p| p.id),
    };
    found.map(change::Actor::Person).ok_or_else(|| {
        let who = app.person.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
        Failure::new(Exit::Failed, format!("{who} is no person of the firm")).next("See: ledgerward people")
    })
}

/// A refusal of the core, as a failure.
pub fn refused(refusal: change::Refusal) -> Failure {
    let (fault, permission) = match refusal.kind {
        change::RefusalKind::Rule => (Fault::Other, None),
        change::RefusalKind::Missing => (Fault::Missing, None),
        change::RefusalKind::Denied => (Fault::Denied, None),
        change::RefusalKind::Lacks(permission) => (Fault::Denied, Some(permission.slug())),
    };
    let failure = Failure::new(Exit::Failed, refusal.message).next(refusal.next).fault(fault);
    Failure { permission, ..failure }
}

pub(super) async fn ask(app: &App, client: Option<&ClientArg>, offline: bool) -> Result<Ask, Failure> {
    let clients = match client {
        None => None,
        Some(typed) => {
            let firm = app.firm().await?;
            let asking = app.acting_person(&firm).map(|p| p.id);
            // Who sees only some clients does not learn here that there are others.
            let seen = match act::sees_all(app, &firm) {
                true => Some(change::find_client(&firm, &typed.0, asking).map_err(refused)?.id),
                false => Filter::new(app, &firm, None, Some(typed)).await?.client,
            };
            Some(seen.into_iter().collect())
        }
    };
    Ok(Ask { clients, offline, fresh: true, ..Ask::default() })
}

pub async fn refuse_restored(app: &App) -> Result<(), Failure> {
    let restored: Option<Restored> = app.store.run(|db| db.restored()).await?;
    match restored {
        None => Ok(()),
        Some(r) => Err(Failure::new(
            Exit::Refused,
            format!("the state is a restored one ({}); nothing is written to any target", r.why),
        )
        .next("Look at `ledgerward plan`; if it is right: ledgerward restore --confirm")),
    }
}

pub async fn start(app: &App, kind: &'static str) -> Result<i64, Failure> {
    let now = app.now();
    Ok(app.store.run(move |db| db.run_start(kind, now)).await?)
}

/// As [`start`]; what is asked for some clients only, or without asking the providers, is a part.
pub async fn start_for(app: &App, kind: &'static str, ask: &Ask) -> Result<i64, Failure> {
    let (now, part) = (app.now(), ask.clients.is_some() || ask.offline);
    let begin = move |db: &mut crate::store::Db| {
        let run = db.run_start(kind, now)?;
        if part {
            db.run_part(run)?;
        }
        Ok(run)
    };
    Ok(app.store.run(begin).await?)
}

/// Ends a run whatever came of it: a failure is written down before it is told.
pub async fn end<T>(app: &App, run: i64, result: Result<T, Failure>, exit: impl Fn(&T) -> Exit) -> Result<T, Failure> {
    end_with(app, run, result, exit, |_| json!({})).await
}

/// [`end`] of a whole cycle, with what [`done_summary`] says of it.
pub async fn end_with<T>(
    app: &App,
    run: i64,
    result: Result<T, Failure>,
    exit: impl Fn(&T) -> Exit,
    summary: impl Fn(&T) -> Value,
) -> Result<T, Failure> {
    let (code, complete, mut summary) = match &result {
        Ok(value) => {
            let exit = exit(value);
            (exit, matches!(exit, Exit::Done | Exit::Changes), summary(value))
        }
        Err(failure) => (failure.exit, false, failure.json()),
    };
    if let Some(summary) = summary.as_object_mut().filter(|_| !complete && app.process.stopping()) {
        summary.insert(STOPPED.to_owned(), json!(true));
    }
    let now = app.now();
    app.store.run(move |db| db.run_end(run, i32::from(code.code()), complete, &summary, now)).await?;
    result
}

#[cfg(test)]
mod tests {
    use ledgerward_contract::{Grade, SourceKind};

    use super::*;
    use crate::domain::{facts::FactsBuilder, firm::PersonId};

    #[test]
    fn who_is_back_is_not_told_as_missing() {
        let people = [1, 2].map(|n| PersonId(uuid::Uuid::from_u128(n)));
        let ledger = |id: &str| SourceRef { connection: "xero".into(), kind: SourceKind::Ledger, id: id.to_owned() };
        let (mut facts, mut reread) = (FactsBuilder::new(people), Vec::new());
        let mut add = |id, rest, whys: &[Why]| {
            let run = people.into_iter().zip(whys).map(|(person, why)| (person, *why, "STANDARD", None));
            facts.add_run(&ledger(id), id, Grade::A, rest, run);
            reread.push(ledger(id));
        };
        add("L1", Why::NeverListed, &[Why::Reader, Why::AbsentOnce]);
        add("L2", Why::NeverListed, &[Why::Flapping, Why::Reader]);
        add("L3", Why::NeverListed, &[Why::Flapping, Why::Flapping]);
        add("L4", Why::NeverListed, &[Why::AbsentOnce, Why::NewOnce]);
        add("L5", Why::SuddenlyEmpty, &[]);
        let facts = facts.build();
        let words = reread_words(&facts, reread.iter());
        assert_eq!(
            words.lines().collect::<Vec<_>>(),
            [
                "2 ledgers reported somebody missing for the first time; a second reading in a few minutes decides.",
                "1 ledger lacked somebody and had somebody new at once; nobody gains before a second reading agrees.",
                "2 ledgers had somebody gone and back within ten minutes; held until the lists agree.",
                "1 ledger listed nobody, and did before; nothing is revoked by this, and it is read again.",
            ]
        );
        assert_eq!(reread_words(&facts, reread[1..3].iter()).lines().count(), 1, "and nobody as missing");
        assert_eq!(reread_words(&facts, reread[..0].iter()), "");
    }
}
