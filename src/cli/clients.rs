//! `clients`: what they are bound to, where their folders are, and which of the proposed ones are real.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{Build, ClientId, ConnectionName, Date, Endpoints, SourceKind, SourceRef};
use serde_json::{Value, json};

use super::{
    accept,
    access::shared_with,
    accounts,
    act::{self, act_and_tell},
    adopt,
    args::{AuthorityArg, ClientArg, ClientsAct, SourceKindArg},
    console::Console,
    cycle::acting,
    moving,
    outcome::{Exit, Failure, Fault, Report},
};
use crate::{
    app::App,
    domain::{
        change::{self, ChangeOp, unlisted_slug},
        firm::{Authority, BEGINNING, Client, ClientState, Firm, TargetName},
        office::Permission,
        policy::{Answer, Decider},
    },
    gather,
    memory::{self, LossSaid},
    registry,
    render::table::lay_out,
    store::{LaneRow, LedgerSeen},
};

pub async fn run(app: &App, console: &mut dyn Console, act: Option<ClientsAct>) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    let find = |typed: &ClientArg| act::client(app, &firm, &typed.0).map(|c| c.id);
    let op = match act {
        None => return list(app, &firm, false).await,
        Some(ClientsAct::List { all }) => return list(app, &firm, all).await,
        Some(ClientsAct::Accept { clients, all }) => return accept::run(app, &firm, &clients, all).await,
        Some(ClientsAct::Add { name }) => ChangeOp::AddClient { id: ClientId(uuid::Uuid::now_v7()), name, slug: None },
        Some(ClientsAct::Bind { client, connection, id, kind }) => {
            return bind(app, &firm, &client, &connection, id, kind).await;
        }
        Some(ClientsAct::Unbind { client, connection, id, kind }) => {
            let client = act::client(app, &firm, &client.0)?;
            // As it is bound, whatever the connection lists now.
            let kind = kind.map(SourceKind::from);
            let is = |s: &&SourceRef| {
                s.connection.as_str() == connection && s.id == id && kind.is_none_or(|kind| kind == s.kind)
            };
            let source = match client.sources.iter().find(is) {
                Some(bound) => bound.clone(),
                None => source(app, &connection, id, kind)?,
            };
            ChangeOp::UnbindSource { client: client.id, source }
        }
        Some(ClientsAct::ConfirmUnlisted { client, connection, id, reason }) => {
            return confirm_unlisted(app, &firm, &client, &connection, id, &reason).await;
        }
        Some(ClientsAct::Rename { client, name }) => return rename(app, find(&client)?, name).await,
        Some(ClientsAct::RenameFolder { client }) => return rename_folder(app, &firm, find(&client)?).await,
        Some(ClientsAct::Archive { client }) => {
            ChangeOp::SetClientState { client: find(&client)?, state: ClientState::Archived }
        }
        Some(ClientsAct::Reopen { client }) => {
            let found = act::client(app, &firm, &client.0)?;
            if found.state == ClientState::Proposed {
                return Err(Failure::new(Exit::Failed, format!("{} is proposed and not accepted yet", found.slug))
                    .next(format!("ledgerward clients accept {}", found.slug)));
            }
            ChangeOp::SetClientState { client: found.id, state: ClientState::Active }
        }
        Some(ClientsAct::Close { client }) => {
            ChangeOp::SetClientState { client: find(&client)?, state: ClientState::Closed }
        }
        Some(ClientsAct::Authority { client, authority }) => {
            let found = act::client(app, &firm, &client.0)?;
            ChangeOp::SetAuthority { client: found.id, authority: named_authority(app, found, authority)? }
        }
        Some(ClientsAct::Unlisted { client, unlisted }) => {
            ChangeOp::SetUnlisted { client: find(&client)?, unlisted: unlisted.0 }
        }
        Some(ClientsAct::Targets { client, targets, all }) => {
            let targets: BTreeSet<TargetName> =
                targets.iter().map(|t| act::target(app, t)).collect::<Result<_, _>>()?;
            ChangeOp::SetTargets { client: find(&client)?, targets: (!all).then_some(targets) }
        }
        Some(ClientsAct::Move { client, from, to, reason, yes }) => {
            let wish = moving::Wish { client: &client, from: &from, to: &to, reason: reason.as_deref(), yes };
            return moving::run(app, console, &wish).await;
        }
        Some(ClientsAct::NewFolder { client, target, reason }) => {
            return adopt::new_folder(app, &client, &target, &reason).await;
        }
        Some(ClientsAct::Accounts { client, accounts, all }) => {
            return set_accounts(app, &firm, act::client(app, &firm, &client.0)?, &accounts, all).await;
        }
        Some(ClientsAct::Since { client, date }) => {
            ChangeOp::SetStatementsSince { client: find(&client)?, since: date.0 }
        }
        Some(ClientsAct::YearEnd { client, day }) => ChangeOp::SetYearEnd { client: find(&client)?, year_end: day.0 },
    };
    act_and_tell(app, vec![op], "clients").await
}

/// Errors: the connection has no list of that kind, and a source that is nowhere would be unknown for good.
fn source(app: &App, connection: &str, id: String, kind: Option<SourceKind>) -> Result<SourceRef, Failure> {
    let connection = act::connection(app, connection)?;
    let lists = lists(app, &connection)?;
    let kind = match kind {
        None => lists.first().copied().unwrap_or(SourceKind::Ledger),
        Some(kind) if lists.contains(&kind) => kind,
        Some(_) => {
            return Err(Failure::new(Exit::Failed, format!("{connection} has no list of that kind"))
                .next("Leave --kind out: what the connection lists is taken."));
        }
    };
    Ok(SourceRef { connection, kind, id })
}

/// What a connection lists, ledgers first. Errors: its connector does not take its settings.
fn lists(app: &App, connection: &ConnectionName) -> Result<Vec<SourceKind>, Failure> {
    let remote = app.config.connections.get(connection).map(|c| &c.remote);
    let Some((remote, entry)) = remote.and_then(|r| Some((r, registry::entry(&r.connector)?))) else {
        return Ok(Vec::new());
    };
    let manifest = entry.factory.manifest();
    let endpoints = Endpoints::resolve(manifest, &remote.endpoints)?;
    let connector = entry.factory.build(Build { settings: remote.settings.clone(), endpoints })?;
    let ledgers = connector.ledgers().map(|_| SourceKind::Ledger);
    let directory = connector.directory().map(|_| gather::directory_kind(manifest.grade));
    Ok(ledgers.into_iter().chain(directory).collect())
}

/// `CONNECTION:ID` names one of the client's own sources, of whatever kind.
fn named_authority(app: &App, client: &Client, wish: AuthorityArg) -> Result<Authority, Failure> {
    let (connection, id) = match wish {
        AuthorityArg::All => return Ok(Authority::All),
        AuthorityArg::Any => return Ok(Authority::Any),
        AuthorityArg::Named { connection, id } => (act::connection(app, &connection)?, id),
    };
    let found: Vec<&SourceRef> = client.sources.iter().filter(|s| s.connection == connection && s.id == id).collect();
    match found.as_slice() {
        [one] => Ok(Authority::Named((*one).clone())),
        _ => {
            let has: Vec<String> = client.sources.iter().map(|s| format!("{}:{}", s.connection, s.id)).collect();
            let next = if has.is_empty() {
                "It is bound to nothing yet: ledgerward clients bind CLIENT CONNECTION ID".to_owned()
            } else {
                format!("Use one of: {}", has.join(", "))
            };
            Err(Failure::new(Exit::Failed, format!("{} is not bound to {connection}:{id}", client.slug)).next(next))
        }
    }
}

async fn bind(
    app: &App,
    firm: &Firm,
    client: &ClientArg,
    connection: &str,
    id: String,
    kind: Option<SourceKindArg>,
) -> Result<Report, Failure> {
    let client = act::client(app, firm, &client.0)?.id;
    let source = source(app, connection, id, kind.map(SourceKind::from))?;
    let name = source.connection.clone();
    let known = app.store.run(move |db| db.ledgers(Some(&name))).await?;
    let seen = known.iter().find(|k| k.row.id.as_str() == source.id);
    let note = match (source.kind, seen) {
        (SourceKind::Ledger, None) => Some(format!(
            "{} has not shown a ledger {} yet; until it does, what it grants is unknown.",
            source.connection, source.id
        )),
        (_, None) => Some(format!("{} has not shown {} yet.", source.connection, source.id)),
        (SourceKind::PracticeClient | SourceKind::Roster, Some(seen)) => {
            Some(format!("This is {} in {}.", seen.row.name, source.connection))
        }
        (SourceKind::Ledger, Some(seen)) => Some(format!("This is {} in {}.", seen.row.name, source.connection)),
    };
    let mut report = act_and_tell(app, vec![ChangeOp::BindSource { client, source }], "clients bind").await?;
    report.notes.splice(0..0, note);
    let bound = firm.clients.get(&client).filter(|c| c.private_to.is_none());
    Ok(match bound.filter(|c| c.targets.as_ref().is_some_and(BTreeSet::is_empty)) {
        Some(c) => report.note(format!(
            "It has no folder on any target yet. To make them: ledgerward clients targets {} --all",
            c.slug
        )),
        None => report,
    })
}

/// Ends the waiting for a list that does not come any more. What people lose by it meets a hold; whoever is selected needs no
/// ledger for it from now on.
async fn confirm_unlisted(
    app: &App,
    firm: &Firm,
    client: &ClientArg,
    connection: &str,
    id: String,
    reason: &str,
) -> Result<Report, Failure> {
    let client = act::client(app, firm, &client.0)?;
    // Whose word counts is decided here, so an admin who needs an owner for less needs one for this.
    if let change::Actor::Person(person) = acting(app, firm)?
        && change::needs_publishing(firm, person, app.config.policy.four_eyes)
    {
        let text = "this decides whose word counts for the client's folder, and an owner must";
        return Err(Failure::new(Exit::Failed, text).fault(Fault::Denied).next("Ask an owner of the firm."));
    }
    let source = SourceRef { connection: act::connection(app, connection)?, kind: SourceKind::Ledger, id };
    if !client.sources.contains(&source) {
        let ledgers = client.sources.iter().filter(|s| s.kind == SourceKind::Ledger);
        let has: Vec<String> = ledgers.map(|s| format!("{} {}", s.connection, s.id)).collect();
        let text = format!("{} is not bound to a ledger {} of {}", client.slug, source.id, source.connection);
        return Err(Failure::new(Exit::Failed, text)
            .fault(Fault::Missing)
            .next(format!("Its ledgers: {}", has.join(", "))));
    }
    let name = format!("{} {}", source.connection, source.id);
    let changed = match memory::confirm_unlisted(app, &source, reason).await? {
        LossSaid::Confirmed => true,
        LossSaid::Already => false,
        LossSaid::NotLost => {
            let text =
                format!("{name} has not said that it cannot list its users any more; there is nothing to confirm");
            return Err(Failure::new(Exit::Failed, text).fault(Fault::Conflict).next("See: ledgerward findings"));
        }
    };
    let summary =
        if changed { "no longer lists its users" } else { "is confirmed already to list its users no longer" };
    let summary = format!("{name} {summary}");
    let rule = unlisted_slug(client.unlisted.unwrap_or(firm.policy.unlisted));
    let json =
        json!({"schema": "ledgerward/change/1", "changes": [{"summary": summary, "changed": changed}], "staged": []});
    Ok(Report::new(Exit::Done, json, format!("{summary}.\n"))
        .note(format!(
            "For {} counts from the next reading on what is set for clients without a list: {rule}.",
            client.slug
        ))
        .note("Who gains and who loses, before anything is done: ledgerward plan"))
}

async fn rename(app: &App, client: ClientId, name: String) -> Result<Report, Failure> {
    let report = act_and_tell(app, vec![ChangeOp::RenameClient { client, name }], "clients rename").await?;
    let paths = path_targets(app, &folders(app, client).await?).await?;
    Ok(if paths.is_empty() {
        report
    } else {
        let names: Vec<String> = paths.iter().map(ToString::to_string).collect();
        report.note(format!("On {} a folder is its path, and keeps its name.", names.join(", ")))
    })
}

async fn folders(app: &App, client: ClientId) -> Result<Vec<LaneRow>, Failure> {
    let lanes = app.store.run(|db| db.lanes()).await?;
    Ok(lanes.into_values().filter(|l| l.key.folder.client == client && l.folder.is_some()).collect())
}

/// Targets among these lanes' on which a folder has no id of its own.
async fn path_targets(app: &App, lanes: &[LaneRow]) -> Result<BTreeSet<TargetName>, Failure> {
    if lanes.is_empty() {
        return Ok(BTreeSet::new());
    }
    let world = app.world().await?;
    let path = |t: &TargetName| world.targets.get(t).and_then(|t| t.api().ok()).is_some_and(|t| !t.limits().folder_ids);
    Ok(lanes.iter().map(|l| &l.key.target).filter(|t| path(t)).cloned().collect())
}

/// Where folders have ids the next plan renames by itself. Where a folder is its path, moving it would break every link and
/// mount that people have to it, and no connector offers it; so it is said, and nothing is done.
async fn rename_folder(app: &App, firm: &Firm, client: ClientId) -> Result<Report, Failure> {
    let name = firm.clients.get(&client).map(|c| c.name.clone()).unwrap_or_default();
    act::allowed(app, firm, &ChangeOp::RenameClient { client, name: name.clone() })?;
    let lanes = folders(app, client).await?;
    if lanes.is_empty() {
        let json = json!({"schema": "ledgerward/rename-folder/1", "folders": []});
        return Ok(Report::new(Exit::Done, json, format!("{name} has no folder yet; it is made under this name.\n")));
    }
    let paths = path_targets(app, &lanes).await?;
    let (mut text, mut rows) = (String::new(), Vec::new());
    for lane in &lanes {
        let fixed = paths.contains(&lane.key.target);
        let words = if fixed {
            "keeps its name: on this target a folder is its path, and the connector cannot move it"
        } else {
            "is renamed by the next sync"
        };
        text.push_str(&format!("{}:/{} {words}\n", lane.key.target, lane.name));
        rows.push(json!({"target": lane.key.target, "name": lane.name, "can_rename": !fixed}));
    }
    let json = json!({"schema": "ledgerward/rename-folder/1", "folders": rows});
    let exit = if paths.is_empty() { Exit::Done } else { Exit::Failed };
    Ok(Report::new(exit, json, text))
}

async fn set_accounts(app: &App, firm: &Firm, client: &Client, typed: &[String], all: bool) -> Result<Report, Failure> {
    // Before the accounts are looked up: their names are told to nobody who may not choose them.
    act::allowed(app, firm, &ChangeOp::SetAccounts { client: client.id, accounts: None })?;
    let (accounts, notes) = if all {
        (None, Vec::new())
    } else {
        let chosen = accounts::chosen(app, client, typed).await?;
        (Some(chosen.accounts), chosen.notes)
    };
    let op = ChangeOp::SetAccounts { client: client.id, accounts };
    let mut report = act_and_tell(app, vec![op], "clients accounts").await?;
    report.notes.extend(notes);
    Ok(report)
}

/// What a person may see of the firm's clients: everybody's for those who manage them, else what they have been given.
fn visible<'f>(app: &App, firm: &'f Firm, decider: &Decider<'_>) -> (Vec<&'f Client>, usize) {
    let everything = act::sees_all(app, firm);
    let own = act::asking(app, firm);
    let sees = |c: &Client| match (c.private_to, own) {
        (Some(owner), own) => Some(owner) == own || own.is_some_and(|p| shared_with(firm, c, p)),
        (None, _) if everything => true,
        (None, Some(p)) => {
            decider.judge(p, c.id).answer == Answer::Yes
                || firm.selections.contains_key(&(p, c.id))
                || change::may_touch(firm, p, Permission::ReadAll, c)
        }
        (None, None) => false,
    };
    let (seen, others): (Vec<&Client>, Vec<&Client>) = firm.clients.values().partition(|c| sees(c));
    // Somebody else's private client is not there, not even as a number.
    let others = others.iter().filter(|c| c.private_to.is_none() && c.state == ClientState::Active).count();
    (seen, others)
}

/// The clients that whoever asks sees, ended ones too.
pub(super) async fn seen<'f>(app: &App, firm: &'f Firm) -> Result<Vec<&'f Client>, Failure> {
    let facts = memory::recall_all(app, firm).await?;
    let targets: Vec<TargetName> = app.config.targets.keys().cloned().collect();
    Ok(visible(app, firm, &Decider::new(firm, &facts, &targets, app.now())).0)
}

async fn list(app: &App, firm: &Firm, all: bool) -> Result<Report, Failure> {
    let facts = memory::recall_all(app, firm).await?;
    let targets: Vec<TargetName> = app.config.targets.keys().cloned().collect();
    let decider = Decider::new(firm, &facts, &targets, app.now());
    let ledgers = app.store.run(|db| db.ledgers(None)).await?;
    let (mut seen, others) = visible(app, firm, &decider);
    let ended = |c: &Client| matches!(c.state, ClientState::Archived | ClientState::Closed);
    let hidden = seen.iter().filter(|c| ended(c)).count();
    if !all {
        seen.retain(|c| !ended(c));
    }
    seen.sort_by(|a, b| a.slug.cmp(&b.slug));
    let people_shown = act::sees_all(app, firm);
    let chosen = selected(firm);
    let known: BTreeMap<_, _> = ledgers.iter().map(|l| ((&l.connection, l.row.id.as_str()), l)).collect();
    // Whoever private books are shared with has their folder; what they are made of stays their person's.
    let own = act::asking(app, firm);
    let theirs = |c: &Client| c.private_to.is_none() || c.private_to == own;
    let rows = seen.iter().map(|c| {
        let sources = c.sources.iter().filter(|_| theirs(c)).map(|s| source_words(s, &known));
        [
            c.slug.clone(),
            c.name.clone(),
            state_words(c),
            sources.collect::<Vec<_>>().join(", "),
            if people_shown && theirs(c) { chosen.get(&c.id).copied().unwrap_or(0).to_string() } else { String::new() },
            c.targets.as_ref().map_or_else(|| "all".to_owned(), join),
        ]
    });
    let text = lay_out(["client", "name", "state", "ledgers", "selected", "targets"], rows, &[4]);
    let values: Vec<Value> = seen
        .iter()
        .map(|c| {
            client_json(c, theirs(c), (people_shown && theirs(c)).then(|| chosen.get(&c.id).copied().unwrap_or(0)))
        })
        .collect();
    let json = json!({"schema": "ledgerward/clients/1", "clients": values, "others": others});
    let mut report = Report::new(Exit::Done, json, text);
    if seen.iter().any(|c| c.state == ClientState::Proposed) && people_shown {
        report = report.note("Proposed ones give nobody anything: ledgerward clients accept CLIENT…");
    }
    if others > 0 {
        report = report.note(format!("{others} more that you do not see."));
    }
    if hidden > 0 && !all {
        report = report.note(format!("{hidden} archived or closed not shown: --all"));
    }
    if firm.clients.is_empty() {
        report = report.note("There are no clients yet. Read what your connections reach: ledgerward pull");
    }
    Ok(report)
}

fn join(names: &BTreeSet<TargetName>) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn selected(firm: &Firm) -> BTreeMap<ClientId, usize> {
    let mut counts = BTreeMap::new();
    for (_, client) in firm.selections.keys() {
        *counts.entry(*client).or_default() += 1;
    }
    counts
}

fn state_words(client: &Client) -> String {
    let word = state_slug(client.state);
    if client.private_to.is_some() { format!("{word}, private") } else { word.to_owned() }
}

pub const fn state_slug(state: ClientState) -> &'static str {
    match state {
        ClientState::Proposed => "proposed",
        ClientState::Active => "active",
        ClientState::Archived => "archived",
        ClientState::Closed => "closed",
    }
}

fn source_words(source: &SourceRef, known: &BTreeMap<(&ConnectionName, &str), &LedgerSeen>) -> String {
    match known.get(&(&source.connection, source.id.as_str())) {
        Some(l) if l.lost_since.is_some() => format!("{} \"{}\" (out of sight)", source.connection, l.row.name),
        Some(l) => format!("{} \"{}\"", source.connection, l.row.name),
        None => format!("{} {}", source.connection, source.id),
    }
}

/// As `clients since` takes it.
fn since_words(since: Option<Date>) -> String {
    match since {
        None => "default".to_owned(),
        Some(day) if day == BEGINNING => "beginning".to_owned(),
        Some(day) => day.to_string(),
    }
}

/// `whole`: with what it is made of.
fn client_json(client: &Client, whole: bool, selected: Option<usize>) -> Value {
    let Client {
        id,
        slug,
        name,
        state,
        private_to,
        sources,
        authority,
        unlisted,
        targets,
        accounts,
        year_end,
        statements_since,
    } = client;
    let mut value = json!({
        "id": id,
        "slug": slug,
        "name": name,
        "state": state_slug(*state),
        "private": private_to.is_some(),
        "sources": sources,
        "authority": authority,
        "unlisted": unlisted.map_or("default", unlisted_slug),
        "targets": targets.as_ref().map_or_else(|| json!("all"), |t| json!(t)),
        "accounts": accounts.as_ref().map_or_else(|| json!("all"), |a| json!(a)),
        "year_end": year_end.map_or_else(|| "ledger".to_owned(), |(m, d)| format!("{m:02}-{d:02}")),
        "since": since_words(*statements_since),
    });
    if let (false, Some(map)) = (whole, value.as_object_mut()) {
        for made_of in ["sources", "authority", "accounts"] {
            map.remove(made_of);
        }
    }
    if let (Some(n), Some(map)) = (selected, value.as_object_mut()) {
        map.insert("selected".to_owned(), json!(n));
    }
    value
}
