//! What all commands that change the firm share: finding whom is meant, writing a change down, and telling it.

use ledgerward_contract::ClientId;
use serde_json::json;

use super::{
    cycle::{acting, refused},
    outcome::{Exit, Failure, Fault, Report},
};
use crate::{
    app::App,
    domain::{
        change::{self, Actor, By, ChangeOp, Effect},
        firm::{Client, Firm, Office, Person, PersonId},
    },
};

/// What became of some changes.
#[derive(Debug)]
pub struct Acted {
    pub effects: Vec<Effect>,
    /// Set where an owner must publish them first: the labels of the staged changes.
    pub staged: Vec<String>,
}

/// Writes changes down in one transaction, all or none. An admin's wait for an owner where four eyes are asked for
/// (`product` 5).
pub async fn act(app: &App, ops: Vec<ChangeOp>, reason: &str) -> Result<Acted, Failure> {
    let before = app.store.run(|db| db.firm()).await?;
    let actor = acting(app, &before)?;
    let now = app.now();
    let (after, effects) = change::apply_all(&before, &ops, By { actor, at: now }).map_err(|(_, r)| refused(r))?;
    let written: Vec<serde_json::Value> = ops
        .iter()
        .zip(&effects)
        .filter(|(_, effect)| effect.changed)
        .map(|(op, _)| serde_json::to_value(op))
        .collect::<Result<_, _>>()
        .map_err(|e| Failure::new(Exit::Failed, "a change cannot be written down").cause(&e))?;
    let waits = waits(app, &before, actor, &ops);
    let (author, reason) = (app.actor.name.clone(), reason.to_owned());
    let staged = app
        .store
        .run(move |db| {
            if waits {
                return db.tx(|db| {
                    written.iter().map(|op| Ok(db.stage_change(op, &author, &reason, now)?.label())).collect()
                });
            }
            if !written.is_empty() {
                db.record_changes(&written, &author, &reason, now, &before, &after)?;
            }
            Ok(Vec::new())
        })
        .await?;
    Ok(Acted { effects, staged })
}

/// An admin's changes wait, where four eyes are asked for. What employees may change at all gives nobody anything, and
/// private books are their person's own business.
fn waits(app: &App, firm: &Firm, actor: Actor, ops: &[ChangeOp]) -> bool {
    let Actor::Person(id) = actor else { return false };
    let own = |op: &ChangeOp| {
        matches!(op, ChangeOp::AddPrivate { .. } | ChangeOp::ConvertPrivate { .. } | ChangeOp::SharePrivate { .. })
    };
    firm.people.get(&id).is_some_and(|p| p.office == Office::Admin)
        && !ops.iter().all(own)
        && change::needs_publishing(firm, id, app.config.policy.four_eyes)
}

/// [`act`], and what to say of it.
pub async fn act_and_tell(app: &App, ops: Vec<ChangeOp>, reason: &str) -> Result<Report, Failure> {
    Ok(tell(act(app, ops, reason).await?))
}

/// One line a change.
pub fn tell(acted: Acted) -> Report {
    let mut text = String::new();
    for effect in &acted.effects {
        text.push_str(&effect.summary);
        text.push('\n');
    }
    let changed = acted.effects.iter().any(|e| e.changed);
    let json = json!({"schema": "ledgerward/change/1", "changes": acted.effects, "staged": acted.staged});
    let report = Report::new(Exit::Done, json, text);
    with_next(report, changed, &acted.staged)
}

/// What to do after a change.
pub fn with_next(report: Report, changed: bool, staged: &[String]) -> Report {
    match (staged, changed) {
        ([], true) => report.note("Next: ledgerward plan"),
        ([], false) => report,
        (labels, _) => report.note(format!(
            "Nothing takes effect yet: an owner must publish {}. They can with: ledgerward changes publish {}",
            if labels.len() == 1 { "it" } else { "them" },
            labels.join(" ")
        )),
    }
}

/// Who asks, as far as it is a person of the firm. Root and the service's own user see what is the firm's, and nobody's
/// private books.
pub fn asking(app: &App, firm: &Firm) -> Option<PersonId> {
    app.acting_person(firm).map(|p| p.id)
}

/// Whether the one who asks sees the firm as a whole: owners, admins, and root standing in for them.
pub fn sees_all(app: &App, firm: &Firm) -> bool {
    match app.acting_person(firm) {
        Some(p) => !p.shut() && matches!(p.office, Office::PrimaryOwner | Office::Owner | Office::Admin),
        None => app.person.is_none(),
    }
}

/// The person that somebody typed. Errors: nobody, with those it might have been.
pub fn person<'f>(app: &App, firm: &'f Firm, typed: &str) -> Result<&'f Person, Failure> {
    change::find_person(firm, typed).map_err(|r| {
        let names: Vec<String> = if sees_all(app, firm) {
            firm.people.values().flat_map(|p| [p.email.to_string(), p.full_name()]).collect()
        } else {
            Vec::new()
        };
        suggest(refused(r), typed, &names)
    })
}

/// The client that somebody typed. Errors: none, with those it might have been, of the clients this person may know of.
pub fn client<'f>(app: &App, firm: &'f Firm, typed: &str) -> Result<&'f Client, Failure> {
    let asking = asking(app, firm);
    change::find_client(firm, typed, asking).map_err(|r| {
        let mine = |c: &&Client| match c.private_to {
            Some(owner) => Some(owner) == asking,
            None => sees_all(app, firm) || asking.is_some_and(|p| firm.selections.contains_key(&(p, c.id))),
        };
        let names: Vec<String> =
            firm.clients.values().filter(mine).flat_map(|c| [c.slug.clone(), c.name.clone()]).collect();
        suggest(refused(r), typed, &names)
    })
}

/// The clients that somebody typed, each once.
pub fn clients<'f>(app: &App, firm: &'f Firm, typed: &[super::args::ClientArg]) -> Result<Vec<&'f Client>, Failure> {
    let mut found: Vec<&Client> = Vec::new();
    for one in typed {
        let client = client(app, firm, &one.0)?;
        if !found.iter().any(|c: &&Client| c.id == client.id) {
            found.push(client);
        }
    }
    Ok(found)
}

/// The name of a client that may be nobody's business: its slug, or its id where the asker does not know it.
pub fn slug(firm: &Firm, id: ClientId) -> String {
    firm.clients.get(&id).map_or_else(|| id.to_string(), |c| c.slug.clone())
}

/// How alike two names must be to be worth a question.
const ALIKE: f64 = 0.82;

/// Adds what was probably meant to what to do next.
pub fn suggest(mut failure: Failure, typed: &str, names: &[String]) -> Failure {
    let typed = typed.trim().to_lowercase();
    let score = |name: &str| {
        let name = name.to_lowercase();
        let local = name.split('@').next().unwrap_or_default();
        let within = typed.len() >= 3 && name.contains(&typed);
        let alike = strsim::jaro_winkler(&typed, &name).max(strsim::jaro_winkler(&typed, local));
        if within { 1.0 } else { alike }
    };
    let mut close: Vec<(f64, &String)> = names.iter().map(|n| (score(n), n)).filter(|(s, _)| *s >= ALIKE).collect();
    close.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    close.dedup_by(|a, b| a.1 == b.1);
    let words: Vec<&str> = close.iter().take(3).map(|(_, n)| n.as_str()).collect();
    if !words.is_empty() {
        let next = failure.next.take().unwrap_or_default();
        failure.next = Some(format!("Did you mean {}? {next}", words.join(" or ")).trim().to_owned());
    }
    failure
}

/// A connection of the configuration by the name somebody typed.
pub fn connection(app: &App, name: &str) -> Result<ledgerward_contract::ConnectionName, Failure> {
    let name: ledgerward_contract::ConnectionName = name.into();
    if app.config.connections.contains_key(&name) {
        return Ok(name);
    }
    let names: Vec<String> = app.config.connections.keys().map(ToString::to_string).collect();
    Err(unknown("connection", name.as_str(), &names))
}

/// A target of the configuration by the name somebody typed.
pub fn target(app: &App, name: &str) -> Result<crate::domain::firm::TargetName, Failure> {
    let name = crate::domain::firm::TargetName(name.to_owned());
    if app.config.targets.contains_key(&name) {
        return Ok(name);
    }
    let names: Vec<String> = app.config.targets.keys().map(ToString::to_string).collect();
    Err(unknown("target", &name.0, &names))
}

fn unknown(what: &str, name: &str, names: &[String]) -> Failure {
    let failure =
        Failure::new(Exit::Failed, format!("the configuration has no {what} \"{name}\"")).fault(Fault::Missing);
    if names.is_empty() {
        return failure.next(format!("Add one to the configuration: [{what}s.{name}]"));
    }
    failure.next(format!("It has: {}", names.join(", ")))
}
