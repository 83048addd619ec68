//! Steps that a target refused: told as findings until they are done or nobody wants them any more. The output of one sync
//! is read by nobody where a daemon runs, and a person who is let in nowhere must not look like "all is well".

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use ledgerward_contract::{Error, ErrorKind, Timestamp};

use super::LaneDone;
use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{
        finding::{Finding, Severity},
        lane::{LaneKey, Op, Step},
        plan::{self, LanePlan},
    },
    engine::Picture,
};

/// A step that a target refused. Subject: [`subject`].
pub const STEP: &str = "step.refused";

/// Since when a target gives a step an answer that should pass, by its subject.
const WAITS: &str = "step_waits";

/// From then on it is told.
const LASTS: SignedDuration = SignedDuration::from_hours(1);

/// The findings that this module speaks about.
const SCOPE: &str = "steps";

/// What a target answered to a step that it did not do.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub why: String,
    pub next: Option<String>,
    /// It says nothing about what was asked for, so the next run may have another answer: told only if it lasts.
    pub passes: bool,
}

impl Refusal {
    /// `None`: it passes by itself, or is told elsewhere (a dead sign-in).
    pub fn of(e: &Error) -> Option<Self> {
        Self::or_wait(e).filter(|r| !r.passes)
    }

    /// Also what passes. `None`: it is told elsewhere, or was our own doing.
    pub fn or_wait(e: &Error) -> Option<Self> {
        let told = !matches!(e.kind, ErrorKind::Cancelled | ErrorKind::Unauthenticated);
        told.then(|| Self { why: e.message.clone(), next: e.next.clone(), passes: passes(e.kind) })
    }
}

/// An error that says nothing about what was asked for: the next run may have another answer, and nobody need do anything.
pub const fn passes(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::RateLimited | ErrorKind::Cancelled | ErrorKind::Unauthenticated)
}

/// What a step's finding is about: target, client (and account), and who or what.
pub fn subject(lane: &LaneKey, client: &str, what: &str) -> String {
    let account = lane.folder.account.as_ref().map_or_else(String::new, |a| format!("/{a}"));
    format!("{}/{client}{account}/{what}", lane.target)
}

fn what(op: &Op) -> String {
    match op {
        Op::Grant { who, .. } | Op::Adopt { who, .. } | Op::SetRole { who, .. } => who.to_string(),
        Op::Revoke { who, .. } => who.to_string(),
        Op::Create { .. } => "folder".to_owned(),
        Op::Rename { .. } => "name".to_owned(),
    }
}

fn finding(lane: &LaneKey, client: &str, step: &Step, refusal: &Refusal) -> Finding {
    let place = format!("the folder of {client} on {}", lane.target);
    let wish = match &step.op {
        Op::Grant { who, .. } => format!("{who} could not be let into {place}"),
        Op::Adopt { who, .. } => format!("{who} could not be taken over in {place}"),
        Op::SetRole { who, .. } => format!("the role of {who} in {place} could not be changed"),
        Op::Revoke { who, .. } => format!("{who} could not be let out of {place}"),
        Op::Create { .. } => format!("{place} could not be made"),
        Op::Rename { .. } => format!("{place} could not be renamed"),
    };
    let next =
        refusal.next.clone().unwrap_or_else(|| format!("Put it right on {}; every sync tries again.", lane.target));
    let why = refusal.why.trim_end_matches('.');
    Finding::new(Severity::Warning, STEP, subject(lane, client, &what(&step.op)), format!("{wish}: {why}."), next)
}

/// Tells what was refused. An open finding ends once its step was done or is not asked for any more; where that cannot be
/// seen in this run, it stays.
pub(super) async fn tell(app: &App, picture: &Picture, lanes: &[LaneDone]) -> Result<(), Failure> {
    let mut found: BTreeMap<String, Finding> = BTreeMap::new();
    let mut passing: BTreeMap<String, Finding> = BTreeMap::new();
    let mut done: BTreeSet<String> = BTreeSet::new();
    for lane in lanes {
        for step in &lane.steps {
            let subject = subject(&lane.lane, &lane.client, &what(&step.step.op));
            if let Some(refusal) = &step.refused {
                found.insert(subject, finding(&lane.lane, &lane.client, &step.step, refusal));
            } else if let Some(refusal) = &step.waits {
                passing.insert(subject, finding(&lane.lane, &lane.client, &step.step, refusal));
            } else if step.result.is_ok() {
                done.insert(subject);
            }
        }
    }
    // What was not tried now is wanted all the same.
    let (cleared, held) = (picture.verdict.cleared.lanes(), picture.verdict.held.iter().flat_map(|h| &h.lanes));
    let steps = cleared.iter().chain(held).flat_map(|l| l.steps.iter().map(move |s| (l, s)));
    let wanted: BTreeSet<String> = steps
        .map(|(l, s)| subject(&l.lane, &l.client, &what(&s.op)))
        .filter(|subject| !done.contains(subject))
        .collect();
    // What was looked at and what not, by the beginning of a subject.
    let place = |l: &LanePlan| subject(&l.lane, &l.client, "");
    let (seen, blind): (Vec<&LanePlan>, Vec<&LanePlan>) =
        picture.verdict.cleared.lanes().iter().partition(|l| read(picture, l));
    let seen: BTreeSet<String> = seen.into_iter().map(place).collect();
    let blind: BTreeSet<String> = blind.into_iter().map(place).collect();
    // After a look at some clients, or one that plans revokes alone, nothing is said about the others.
    let whole = picture.clients.is_none() && picture.epoch.is_some();
    let (run, now) = (picture.run, picture.now);
    app.store
        .run(move |db| {
            // What a target says for an hour is no bad moment any more.
            for (subject, since) in db.doc_all::<Timestamp>(WAITS)? {
                let place = subject.rfind('/').and_then(|at| subject.get(..=at)).unwrap_or_default();
                let looked = if whole { !blind.contains(place) } else { seen.contains(place) };
                match passing.remove(&subject) {
                    Some(finding) if now.duration_since(since) >= LASTS => {
                        found.insert(subject, finding);
                    }
                    Some(_) => {}
                    None if looked && !wanted.contains(&subject) || done.contains(&subject) => {
                        db.doc_delete(WAITS, &subject)?;
                    }
                    None => {}
                }
            }
            for subject in passing.keys() {
                db.doc_put(WAITS, subject, &now)?;
            }
            for row in db.open_findings()?.into_iter().filter(|row| row.scope == SCOPE) {
                let subject = &row.finding.subject;
                let place = subject.rfind('/').and_then(|at| subject.get(..=at)).unwrap_or_default();
                let looked = if whole { !blind.contains(place) } else { seen.contains(place) };
                if (!looked || wanted.contains(subject)) && !found.contains_key(subject) {
                    found.insert(subject.clone(), row.finding);
                }
            }
            let found: Vec<Finding> = found.into_values().collect();
            db.sync_findings(run, SCOPE, &found, now)
        })
        .await?;
    Ok(())
}

/// Whether this run saw what the lane lacks.
fn read(picture: &Picture, plan: &LanePlan) -> bool {
    let lists = picture.book.sharing(&plan.lane.target) != plan::Sharing::Off;
    let known = picture.book.lanes.get(&plan.lane);
    // A revoke's plan has its revokes alone, whatever else is wanted.
    picture.epoch.is_some() && known.is_none_or(|k| !lists || k.folder().is_none() || k.entries().is_some())
}
