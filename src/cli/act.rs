//! What all commands that change the firm share: finding whom is meant, writing a change down, and telling it.

use std::{collections::BTreeSet, fmt::Write as _};

use ledgerward_contract::ClientId;
use serde_json::{Value, json};

use super::{
    cycle::{acting, refused},
    outcome::{Exit, Failure, Fault, Report},
};
use crate::{
    app::{App, with_authority, with_settings},
    config::schema::Sharing,
    domain::{
        change::{self, Actor, By, ChangeOp, Effect},
        firm::{Client, ClientState, Firm, Person, PersonId},
        office::{Group, Permission},
        policy::Decider,
        shift::{Shift, shifts},
    },
    memory,
};

/// What became of some changes.
#[derive(Debug)]
pub struct Acted {
    pub effects: Vec<Effect>,
    /// Set where an owner must publish them first: the labels of the staged changes.
    pub staged: Vec<String>,
    /// What private books became visible to whom.
    pub opened: Vec<Value>,
}

/// Writes changes down in one transaction, all or none. What needs a second pair of eyes waits for them (`product` 5).
pub async fn act(app: &App, ops: Vec<ChangeOp>, reason: &str) -> Result<Acted, Failure> {
    let before = with_authority(app.store.run(|db| db.firm()).await?, &app.config.policy.authority);
    let actor = acting(app, &before)?;
    let now = app.now();
    let (after, effects) = change::rehearse(&before, &ops, By { actor, at: now }).map_err(|(_, r)| refused(r))?;
    let person = match actor {
        Actor::Person(id) => Some(id),
        Actor::Setup | Actor::Daemon => None,
    };
    let waits = person.is_some_and(|id| change::waits(&before, id, &ops, app.config.policy.four_eyes));
    person.map_or(Ok(()), |id| change::can_be_seconded(&before, id, &ops)).map_err(refused)?;
    let changed = ops.iter().zip(&effects).filter(|(_, effect)| effect.changed).map(|(op, _)| op);
    let opened = if waits { Vec::new() } else { opened(app, &before, &after, &ops).await? };
    let written: Vec<Value> = changed
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()
        .map_err(|e| Failure::new(Exit::Failed, "a change cannot be written down").cause(&e))?;
    let (author, reason, shown) = (app.actor.name.clone(), reason.to_owned(), opened.clone());
    let staged = app
        .store
        .run(move |db| {
            db.tx(|db| {
                if waits {
                    let stage = |op| Ok(db.stage_change_of(op, &author, person, &reason, now)?.label());
                    return written.iter().map(stage).collect();
                }
                if !written.is_empty() {
                    db.record_changes(&written, &author, person, &reason, now, &before, &after)?;
                    db.api_tokens_end(&before, &after, now)?;
                }
                for (slug, what) in &opened {
                    db.audit(now, "private.opened", slug, None::<&()>, Some(what), Some(&reason))?;
                }
                Ok(Vec::new())
            })
        })
        .await?;
    Ok(Acted { effects, staged, opened: shown.into_iter().map(|(_, what)| what).collect() })
}

/// What a way out of privacy makes visible, and to whom: the folder, and in ledgerward itself.
pub(super) async fn opened(
    app: &App,
    before: &Firm,
    after: &Firm,
    ops: &[ChangeOp],
) -> Result<Vec<(String, Value)>, Failure> {
    let out = |op: &ChangeOp| match op {
        ChangeOp::ConvertPrivate { client } => Some((*client, "convert")),
        ChangeOp::SharePrivate { client, .. } => Some((*client, "share")),
        _ => None,
    };
    let ways: Vec<(ClientId, &str)> = ops.iter().filter_map(out).collect();
    if ways.is_empty() {
        return Ok(Vec::new());
    }
    let shifts = consequences(app, before, after).await?;
    let email = |id: &PersonId| after.people.get(id).map_or_else(|| id.0.to_string(), |p| p.email.to_string());
    let told = |(client, way): (ClientId, &str)| {
        let folders: Vec<Value> = shifts
            .iter()
            .filter(|s| s.lane.folder.client == client && s.after.is_some())
            .map(|s| {
                let mut folder =
                    json!({"person": email(&s.person), "target": s.lane.target, "account": s.lane.folder.account});
                let target = app.config.targets.get(&s.lane.target);
                if let (Some(map), Some(Sharing::Off { audience })) =
                    (folder.as_object_mut(), target.map(|t| &t.sharing))
                {
                    map.insert("audience".to_owned(), json!(audience));
                }
                folder
            })
            .collect();
        let listed = after.people.keys().filter(|p| way == "convert" && change::sees_everything(after, **p));
        let listed: Vec<String> = listed.map(email).collect();
        (slug(after, client), json!({"client": client, "way": way, "folders": folders, "listed_for": listed}))
    };
    Ok(ways.into_iter().map(told).collect())
}

/// Who gains and who loses which folder between two firms, from what the last pull read. It asks nobody.
pub async fn consequences(app: &App, before: &Firm, after: &Firm) -> Result<Vec<Shift>, Failure> {
    let before = with_settings(before.clone(), &app.config);
    let after = with_settings(after.clone(), &app.config);
    let facts = memory::recall_all(app, &after).await?;
    let targets: Vec<_> = app.config.targets.keys().cloned().collect();
    let (was, is) =
        (Decider::new(&before, &facts, &targets, app.now()), Decider::new(&after, &facts, &targets, app.now()));
    Ok(shifts(&was, &is))
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
    for folder in acted.opened.iter().filter_map(|o| o.get("folders")?.as_array()).flatten() {
        let word = |key: &str| folder.get(key).and_then(Value::as_str).unwrap_or("?");
        // Who reads a target without lists is decided there, and is more than the person who was named.
        let also = folder.get("audience").and_then(Value::as_str);
        let also = also.map_or_else(String::new, |a| format!(", and to whoever reads that target: {a}"));
        let _ = writeln!(text, "  now open to {} on {}{also}", word("person"), word("target"));
    }
    let mut json = json!({"schema": "ledgerward/change/1", "changes": acted.effects, "staged": acted.staged});
    if let Some(map) = json.as_object_mut().filter(|_| !acted.opened.is_empty()) {
        map.insert("opened".to_owned(), Value::from(acted.opened));
    }
    let report = Report::new(Exit::Done, json, text);
    with_next(report, changed, &acted.staged)
}

/// What to do after a change.
pub fn with_next(report: Report, changed: bool, staged: &[String]) -> Report {
    match (staged, changed) {
        ([], true) => report.note("Next: ledgerward plan"),
        ([], false) => report,
        (labels, _) => report.note(format!(
            "Nothing takes effect yet: another owner must publish {}. They can with: ledgerward changes publish {}",
            if labels.len() == 1 { "it" } else { "them" },
            labels.join(" ")
        )),
    }
}

/// Errors: whoever acts may not do this, whatever would come of it.
pub fn allowed(app: &App, firm: &Firm, op: &ChangeOp) -> Result<(), Failure> {
    let by = By { actor: acting(app, firm)?, at: app.now() };
    change::allowed(firm, op, by).map_err(refused)
}

/// Who asks, as far as it is a person of the firm. Root and the service's own user see what is the firm's, and nobody's
/// private books.
pub fn asking(app: &App, firm: &Firm) -> Option<PersonId> {
    app.acting_person(firm).map(|p| p.id)
}

/// Whether the one who asks sees the firm as a whole: owners, admins, and root standing in for them.
pub fn sees_all(app: &App, firm: &Firm) -> bool {
    match app.acting_person(firm) {
        Some(p) => change::sees_everything(firm, p.id),
        None => app.person.is_none(),
    }
}

/// `status` for somebody who does not see the firm as a whole: their own counts, and no total of the firm. `None` for
/// whoever sees it all.
pub async fn own_counts(app: &App) -> Result<Option<Report>, Failure> {
    let firm = app.firm().await?;
    let Some(own) = asking(app, &firm).filter(|_| !sees_all(app, &firm)) else { return Ok(None) };
    let facts = memory::recall_all(app, &firm).await?;
    let targets = app.folder_targets();
    let decider = Decider::new(&firm, &facts, &targets, app.now());
    // Over the folders there are: what the ledgers grant and has no folder is not seen by anybody.
    let (mut seen, mut held) = (BTreeSet::new(), BTreeSet::new());
    let me = decider.ix(own);
    for (lane, _) in decider.lanes() {
        if lane.wants.iter().any(|w| Some(w.person) == me) {
            seen.insert(lane.lane.folder.client);
        } else if lane.held.iter().any(|(p, _)| Some(*p) == me) {
            held.insert(lane.lane.folder.client);
        }
    }
    // And what a role that reads a group's clients shows.
    let reads = |c: &&Client| {
        c.state == ClientState::Active
            && c.private_to.is_none()
            && change::may_touch(&firm, own, Permission::ReadAll, c)
    };
    seen.extend(firm.clients.values().filter(reads).map(|c| c.id));
    let (seen, held) = (seen.len(), held.difference(&seen).count());
    let selected = firm.selections.keys().filter(|(p, _)| *p == own).count();
    let json = json!({"schema": "ledgerward/own-status/1", "clients": seen, "held": held, "selected": selected});
    let text = format!("You see {seen} clients; {held} wait for their ledger; {selected} are selected for you.\n");
    Ok(Some(Report::new(Exit::Done, json, text).note("Which ones: ledgerward access")))
}

/// Whose permission makes colleagues anybody's to name. An owner's of private books as well: to end a share takes none.
const NAMES: [Permission; 4] = [Permission::Selections, Permission::People, Permission::Guests, Permission::Private];

/// The person that somebody typed, for an act of one of [`NAMES`].
pub fn person<'f>(app: &App, firm: &'f Firm, typed: &str) -> Result<&'f Person, Failure> {
    let books = asking(app, firm).is_some_and(|own| !change::books_of(firm, own).is_empty());
    if books { found(app, firm, typed) } else { person_for(app, firm, typed, &NAMES) }
}

/// The person that somebody typed, for an act that takes one of these permissions. Whoever sees only themselves and has none
/// of them is told the same of all others, whether they work here or not.
///
/// Errors: nobody, with those it might have been.
pub fn person_for<'f>(app: &App, firm: &'f Firm, typed: &str, any: &[Permission]) -> Result<&'f Person, Failure> {
    let found = found(app, firm, typed);
    let Some(own) = asking(app, firm).filter(|own| !sees_people(app, firm, *own)) else { return found };
    if found.as_ref().is_ok_and(|p| p.id == own) || any.iter().any(|p| change::holds(firm, own, *p).is_ok()) {
        return found;
    }
    any.iter().try_for_each(|p| change::holds(firm, own, *p)).map_err(refused)?;
    found
}

/// Who adds, disables and changes people has to know them.
pub fn sees_people(app: &App, firm: &Firm, own: PersonId) -> bool {
    sees_all(app, firm) || change::holds(firm, own, Permission::People).is_ok()
}

fn found<'f>(app: &App, firm: &'f Firm, typed: &str) -> Result<&'f Person, Failure> {
    change::find_person(firm, typed).map_err(|r| {
        let names: Vec<String> = if sees_all(app, firm) {
            firm.people.values().flat_map(|p| [p.email.to_string(), p.full_name()]).collect()
        } else {
            Vec::new()
        };
        suggest(refused(r), typed, &names)
    })
}

/// Permissions that reach a client.
const REACH: [Permission; 6] = [
    Permission::ReadAll,
    Permission::Clients,
    Permission::Selections,
    Permission::Guests,
    Permission::Connections,
    Permission::Groups,
];

/// Whether the one who asks may know of a client: it is theirs, selected for them, or within their role.
pub fn knows(app: &App, firm: &Firm, client: &Client) -> bool {
    match (client.private_to, asking(app, firm)) {
        (Some(owner), asking) => Some(owner) == asking,
        (None, None) => app.person.is_none(),
        (None, Some(p)) => {
            firm.selections.contains_key(&(p, client.id))
                || REACH.iter().any(|r| change::may_touch(firm, p, *r, client))
        }
    }
}

/// The client that somebody typed. Errors: none, with those it might have been, of the clients this person may know of. For
/// whoever may do nothing with clients, the answer is the same whether there is such a client or not.
pub fn client<'f>(app: &App, firm: &'f Firm, typed: &str) -> Result<&'f Client, Failure> {
    let refusal = match change::find_client_of(firm, typed, |c| knows(app, firm, c)) {
        Ok(client) => return Ok(client),
        Err(refusal) => refusal,
    };
    if let Some(p) = asking(app, firm)
        && REACH.iter().all(|r| change::holds(firm, p, *r).is_err())
    {
        change::holds(firm, p, Permission::Clients).map_err(refused)?;
    }
    let known = firm.clients.values().filter(|c| knows(app, firm, c));
    let names: Vec<String> = known.flat_map(|c| [c.slug.clone(), c.name.clone()]).collect();
    Err(suggest(refused(refusal), typed, &names))
}

/// The clients that somebody typed, each once. `@NAME` is every active client of that group that the asker may know of.
pub fn clients<'f>(app: &App, firm: &'f Firm, typed: &[super::args::ClientArg]) -> Result<Vec<&'f Client>, Failure> {
    let mut found: Vec<&Client> = Vec::new();
    for one in typed {
        let meant: Vec<&Client> = match one.0.strip_prefix('@') {
            Some(name) => {
                let active = |c: &&Client| c.state == ClientState::Active && knows(app, firm, c);
                let mut of: Vec<&Client> = group(app, firm, name)?.clients(firm).filter(active).collect();
                of.sort_by(|a, b| a.slug.cmp(&b.slug));
                of
            }
            None => vec![client(app, firm, &one.0)?],
        };
        for client in meant {
            if !found.iter().any(|c: &&Client| c.id == client.id) {
                found.push(client);
            }
        }
    }
    Ok(found)
}

/// The group that somebody typed.
pub fn group<'f>(app: &App, firm: &'f Firm, name: &str) -> Result<&'f Group, Failure> {
    let mine = |name: &str| match app.acting_person(firm) {
        Some(p) => {
            let powers = change::powers(firm, &p.office);
            powers.group.as_deref() == Some(name) || (powers.group.is_none() && REACH.iter().any(|r| powers.has(*r)))
        }
        None => app.person.is_none(),
    };
    let names: Vec<String> = firm.groups.keys().filter(|g| mine(g)).cloned().collect();
    firm.groups.get(name).filter(|_| mine(name)).ok_or_else(|| {
        let failure = Failure::new(Exit::Failed, format!("there is no group of clients \"{name}\""))
            .fault(Fault::Missing)
            .next("See: ledgerward groups list");
        suggest(failure, name, &names)
    })
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
