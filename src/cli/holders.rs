//! `holders`: who is on a folder beside what ledgerward put there, and what the firm says to it (`product` 7).

use std::collections::BTreeSet;

use ledgerward_contract::{Email, FolderId, Holder, SeenPermission, SeenRole, Via};
use serde_json::{Value, json};

use super::{
    act,
    args::{ClientArg, HolderArgs, HoldersAct},
    console::Console,
    cycle::{end, may_publish, refuse_restored, start},
    outcome::{Exit, Failure, Fault, Report},
};
use crate::{
    app::App,
    apply,
    domain::{
        firm::{AcceptedHolder, Firm, TargetName},
        lane::{LaneKey, Op},
        plan::{KeepWhy, LanePlan, Sharing},
        policy::Decider,
    },
    engine::Ask,
    lanes, memory,
    render::{plan::count, table::table},
    world::World,
};

pub async fn run(app: &App, console: &mut dyn Console, act: Option<HoldersAct>) -> Result<Report, Failure> {
    match act {
        None => list(app, console, None).await,
        Some(HoldersAct::List { client }) => list(app, console, client.as_ref()).await,
        Some(HoldersAct::Accept(args)) => accept(app, console, &args).await,
        Some(HoldersAct::Adopt(args)) => adopt(app, console, &args).await,
        Some(HoldersAct::Remove(args)) => remove(app, console, &args).await,
        Some(HoldersAct::Release { target, reason }) => release(app, &target, &reason).await,
    }
}

/// One entry of one folder's list, and what it is to us.
struct Entry {
    lane: LaneKey,
    folder: FolderId,
    name: String,
    seen: SeenPermission,
    state: &'static str,
    owned: Option<Email>,
}

struct Read {
    entries: Vec<Entry>,
    troubles: Vec<String>,
    needs_sign_in: bool,
}

/// Reads the folders' lists now and says of each entry what the planner would.
async fn read(app: &App, world: &World, firm: &Firm, ask: &Ask, console: &mut dyn Console) -> Result<Read, Failure> {
    let facts = memory::recall_all(app, firm).await?;
    let targets: Vec<TargetName> = world.targets.keys().cloned().collect();
    let decider = Decider::new(firm, &facts, &targets, app.now());
    let turn = app.store.run(|db| db.last_turn()).await?;
    let book = lanes::read(app, world, &decider, ask, (app.now(), turn), console).await?;
    let (plan, _) = lanes::propose(&decider, &book, ask);
    let mut out = Read { entries: Vec::new(), troubles: book.troubles.clone(), needs_sign_in: book.needs_sign_in };
    for (key, known) in &book.lanes {
        let Some(folder) = known.folder() else { continue };
        let private = firm.clients.get(&key.folder.client).and_then(|c| c.private_to);
        if private.is_some() && private != act::asking(app, firm) {
            continue;
        }
        if book.sharing(&key.target) == Sharing::Off {
            continue;
        }
        let Some(list) = known.list() else {
            out.troubles.push(format!("{}: the list of {} could not be read", key.target, known.name));
            continue;
        };
        for seen in list.items() {
            let owned = known.owned.iter().find(|o| o.grant.permission == seen.id).map(|o| o.grant.who.clone());
            let state = state(plan.lane(key), seen, owned.is_some());
            let (lane, folder, name) = (key.clone(), folder.clone(), known.name.clone());
            out.entries.push(Entry { lane, folder, name, seen: seen.clone(), state, owned });
        }
    }
    Ok(out)
}

fn state(plan: Option<&LanePlan>, seen: &SeenPermission, owned: bool) -> &'static str {
    let keeps = plan.map(|p| p.keeps.as_slice()).unwrap_or_default();
    let keep = keeps.iter().find(|k| k.who == seen.holder && k.via == seen.via && k.role == seen.role);
    match (keep.map(|k| k.why), &seen.holder) {
        (Some(KeepWhy::Owner), _) => "owner",
        (Some(KeepWhy::Ourselves), _) => "ourselves",
        (Some(KeepWhy::AlwaysAllowed), _) => "always_allowed",
        (Some(KeepWhy::Accepted), _) => "accepted",
        (Some(KeepWhy::NotOursEntitled), _) => "entitled",
        (Some(KeepWhy::NameOnly), _) => "name_only",
        (Some(KeepWhy::Declined), _) => "declined",
        (_, Holder::Link(_) | Holder::Everyone(_)) => "link",
        (Some(KeepWhy::Stranger), _) => "stranger",
        _ if owned => "ours",
        (Some(KeepWhy::Held), _) => "held",
        (Some(KeepWhy::ListStays | KeepWhy::AdditiveOnly), _) => "stays",
        (None, _) => {
            let adopted = |op: &Op| matches!(op, Op::Adopt { permission, .. } if *permission == seen.id);
            let steps = plan.map(|p| p.steps.as_slice()).unwrap_or_default();
            if steps.iter().any(|s| adopted(&s.op)) { "entitled" } else { "stranger" }
        }
    }
}

const fn state_words(state: &str) -> &'static str {
    match state.as_bytes() {
        b"ours" => "ours",
        b"owner" => "owner; in no plan",
        b"ourselves" => "ledgerward's own account",
        b"always_allowed" => "always allowed",
        b"accepted" => "accepted; not ours",
        b"entitled" => "entitled; let in by hand",
        b"name_only" => "sees the folder's name only",
        b"declined" => "declined the invitation; does not get in",
        b"link" => "OPEN TO OTHERS; no file goes in",
        b"held" => "evidence unknown; kept",
        b"stays" => "kept as it is",
        _ => "STRANGER; no file goes in",
    }
}

async fn list(app: &App, console: &mut dyn Console, client: Option<&ClientArg>) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    managers_only(app, &firm)?;
    let world = app.world().await?;
    let ask = match client {
        // Read now, also where a change feed is silent.
        None => Ask { offline: true, ..Ask::default() },
        Some(c) => {
            Ask { clients: Some(BTreeSet::from([act::client(app, &firm, &c.0)?.id])), offline: true, ..Ask::default() }
        }
    };
    let read = read(app, &world, &firm, &ask, console).await?;
    let rows = read.entries.iter().map(|e| {
        [
            act::slug(&firm, e.lane.folder.client),
            format!("{}:/{}", e.lane.target, e.name),
            e.seen.holder.to_string(),
            role(&e.seen.role).to_owned(),
            apply::via_words(&e.seen.via),
            state_words(e.state).to_owned(),
        ]
    });
    let text = table(["client", "folder", "holder", "role", "how", "state"], rows);
    let values: Vec<Value> = read
        .entries
        .iter()
        .map(|e| {
            json!({
                "client": act::slug(&firm, e.lane.folder.client),
                "target": e.lane.target,
                "account": e.lane.folder.account,
                "folder": e.folder,
                "holder": e.seen.holder.to_string(),
                "role": role(&e.seen.role),
                "via": e.seen.via,
                "pending": e.seen.pending,
                "state": e.state,
            })
        })
        .collect();
    let json = json!({"schema": "ledgerward/holders/1", "holders": values, "troubles": read.troubles});
    let exit = match (read.troubles.is_empty(), read.needs_sign_in) {
        (true, _) => Exit::Done,
        (false, true) => Exit::SignIn,
        (false, false) => Exit::Partly,
    };
    let mut report = Report::new(exit, json, text);
    report.notes.extend(read.troubles.iter().map(|t| format!("trouble: {t}")));
    if read.entries.iter().any(|e| e.state == "stranger") {
        report = report.note("A stranger stays or goes by a person's word: ledgerward holders accept | remove CLIENT TARGET HOLDER --reason TEXT");
    }
    if read.entries.is_empty() && exit == Exit::Done {
        report = report.note("There are no folders yet.");
    }
    Ok(report)
}

const fn role(role: &SeenRole) -> &'static str {
    match role {
        SeenRole::Reader => "reader",
        SeenRole::Commenter => "commenter",
        SeenRole::Writer => "writer",
        SeenRole::Manager => "manager",
        SeenRole::Owner => "owner",
        SeenRole::MetadataOnly => "name",
        SeenRole::Declined => "declined",
        SeenRole::Other(_) => "other",
    }
}

fn managers_only(app: &App, firm: &Firm) -> Result<(), Failure> {
    if act::sees_all(app, firm) {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "only owners and admins see and decide who is on folders")
        .fault(Fault::Denied)
        .next("Ask an owner or an admin."))
}

/// The entries that are meant, of the client's folders on that target. Errors name who is there instead.
async fn meant(
    app: &App,
    world: &World,
    firm: &Firm,
    args: &HolderArgs,
    console: &mut dyn Console,
) -> Result<Vec<Entry>, Failure> {
    managers_only(app, firm)?;
    let client = act::client(app, firm, &args.client.0)?;
    let target = act::target(app, &args.target)?;
    if let Some(t) = world.targets.get(&target) {
        t.reach()?;
    }
    let ask = Ask { clients: Some(BTreeSet::from([client.id])), offline: true, ..Ask::default() };
    let read = read(app, world, firm, &ask, console).await?;
    let here: Vec<Entry> = read.entries.into_iter().filter(|e| e.lane.target == target).collect();
    let typed = args.holder.trim().to_lowercase();
    let names: Vec<String> = here.iter().map(|e| e.seen.holder.to_string()).collect();
    let found: Vec<Entry> = here.into_iter().filter(|e| e.seen.holder.to_string().to_lowercase() == typed).collect();
    if found.is_empty() {
        let failure = Failure::new(
            Exit::Failed,
            format!("\"{}\" is not on the folder of {} on {target}", args.holder, client.slug),
        )
        .next(match (names.is_empty(), read.troubles.first()) {
            (_, Some(trouble)) => trouble.clone(),
            (true, None) => "There is no folder there yet.".to_owned(),
            (false, None) => format!("On it are: {}", names.join(", ")),
        });
        return Err(act::suggest(failure, &args.holder, &names));
    }
    Ok(found)
}

/// Letting somebody stay opens the fence for them, so it needs who may publish.
async fn accept(app: &App, console: &mut dyn Console, args: &HolderArgs) -> Result<Report, Failure> {
    may_publish(app).await?;
    let (firm, world) = (app.firm().await?, app.world().await?);
    let found = meant(app, &world, &firm, args, console).await?;
    for entry in &found {
        let why = match entry.state {
            "link" => "opens the folder to people whom nobody can name, and cannot be accepted",
            "owner" | "ourselves" | "always_allowed" | "name_only" => "stays in any case; there is nothing to accept",
            "ours" | "entitled" => "is entitled to it; there is nothing to accept",
            _ => continue,
        };
        return Err(Failure::new(Exit::Failed, format!("{} {why}", entry.seen.holder))
            .next("See: ledgerward holders list. A link is turned off on the target, or with holders remove."));
    }
    let now = app.now();
    let reason = args.reason.clone().unwrap_or_else(|| "accepted".to_owned());
    let accepted: Vec<(LaneKey, AcceptedHolder)> = found
        .iter()
        .map(|e| (e.lane.clone(), AcceptedHolder { holder: e.seen.holder.clone(), role: folder_role(&e.seen.role) }))
        .collect();
    app.store
        .run(move |db| {
            db.tx(|db| {
                for (lane, holder) in &accepted {
                    db.accept_holder(lane, holder, &reason, now)?;
                }
                Ok(())
            })
        })
        .await?;
    Ok(told(&firm, "accept", &found, "stays on the folder; files may go in beside them"))
}

/// The role that we would give for what somebody has; `None` where it is another.
pub(super) const fn folder_role(role: &SeenRole) -> Option<ledgerward_contract::FolderRole> {
    match role {
        SeenRole::Reader => Some(ledgerward_contract::FolderRole::Reader),
        SeenRole::Writer => Some(ledgerward_contract::FolderRole::Writer),
        _ => None,
    }
}

fn told(firm: &Firm, act: &str, entries: &[Entry], words: &str) -> Report {
    let lines: Vec<String> =
        entries.iter().map(|e| format!("{}:/{}  {} {words}\n", e.lane.target, e.name, e.seen.holder)).collect();
    let values: Vec<Value> = entries
        .iter()
        .map(|e| json!({"client": act::slug(firm, e.lane.folder.client), "target": e.lane.target, "holder": e.seen.holder.to_string()}))
        .collect();
    let json = json!({"schema": "ledgerward/holder/1", "act": act, "holders": values});
    Report::new(Exit::Done, json, lines.concat()).note("Next: ledgerward plan")
}

/// Written down as a wish; the next plan shows the step, and the guard counts it like any other.
async fn adopt(app: &App, console: &mut dyn Console, args: &HolderArgs) -> Result<Report, Failure> {
    let (firm, world) = (app.firm().await?, app.world().await?);
    let found = meant(app, &world, &firm, args, console).await?;
    let mut wishes = Vec::new();
    for entry in &found {
        match (&entry.seen.holder, &entry.seen.via, entry.state) {
            (Holder::Person(email), Via::Direct, "entitled" | "stranger" | "accepted" | "held") => {
                wishes.push((lanes::lane_text(&entry.lane), email.clone()));
            }
            (holder, _, state) => {
                return Err(Failure::new(Exit::Failed, format!("{holder} cannot become ours: {}", state_words(state)))
                    .next("Only somebody who was let into this folder itself, by name, can be adopted."));
            }
        }
    }
    let (now, reason) = (app.now(), args.reason.clone());
    app.store
        .run(move |db| {
            db.tx(|db| {
                for (lane, email) in &wishes {
                    let mut all: Vec<Email> = db.doc_get(lanes::ADOPT, lane)?.unwrap_or_default();
                    if !all.contains(email) {
                        all.push(email.clone());
                        db.doc_put(lanes::ADOPT, lane, &all)?;
                        db.audit(now, "holder.adopt", lane, None::<&()>, Some(email), reason.as_deref())?;
                    }
                }
                Ok(())
            })
        })
        .await?;
    Ok(told(&firm, "adopt", &found, "becomes ours by the next sync; who is not entitled is then let out"))
}

/// What we gave on a target that was taken out of the configuration for good is not ours any more. Its lists stay as they are.
async fn release(app: &App, target: &str, reason: &str) -> Result<Report, Failure> {
    may_publish(app).await?;
    if app.config.targets.keys().any(|name| name.0 == target) {
        return Err(Failure::new(Exit::Failed, format!("{target} is in the configuration"))
            .next("Its lists are ours to keep. To give it up, take its section out of the configuration first."));
    }
    let (name, why, now) = (target.to_owned(), reason.to_owned(), app.now());
    let (folders, grants) = app
        .store
        .run(move |db| {
            let mut owned = db.owned()?;
            owned.retain(|lane, rows| lane.target.0 == name && !rows.is_empty());
            db.tx(|db| {
                for (lane, row) in owned.iter().flat_map(|(lane, rows)| rows.iter().map(move |row| (lane, row))) {
                    db.owned_lost(lane, &row.grant.who, &why, now, now)?;
                }
                Ok((owned.len(), owned.values().map(Vec::len).sum::<usize>()))
            })
        })
        .await?;
    if grants == 0 {
        return Err(Failure::new(Exit::Failed, format!("nothing of ours stands on {target}")).fault(Fault::Missing));
    }
    let (of, on) = (count(grants, "grant"), count(folders, "folder"));
    let json = json!({"schema": "ledgerward/release/1", "target": target, "folders": folders, "grants": grants});
    let text = format!("{of} in {on} on {target} are not ours any more. Nobody was taken off; who is there stays.\n");
    Ok(Report::new(Exit::Done, json, text))
}

/// One revoke that a person approved by this very command, journalled and read back.
async fn remove(app: &App, console: &mut dyn Console, args: &HolderArgs) -> Result<Report, Failure> {
    let Some(reason) = args.reason.clone() else {
        return Err(
            Failure::new(Exit::Usage, "taking somebody off a folder needs a reason").next("Say it: --reason TEXT")
        );
    };
    may_publish(app).await?;
    refuse_restored(app).await?;
    let (firm, world) = (app.firm().await?, app.world().await?);
    let found = meant(app, &world, &firm, args, console).await?;
    for entry in &found {
        removable(entry, &args.client.0)?;
    }
    let run = start(app, "holders").await?;
    let done = remove_all(app, &world, run, &found, &reason).await;
    let failed =
        end(app, run, done, |failed: &Vec<String>| if failed.is_empty() { Exit::Done } else { Exit::Partly }).await?;
    let mut report = told(&firm, "remove", &found, "was taken off");
    if !failed.is_empty() {
        report.exit = Exit::Partly;
        report.text = failed.iter().map(|f| format!("FAILED  {f}\n")).collect();
        report.json = json!({"schema": "ledgerward/holder/1", "act": "remove", "holders": [], "failed": failed});
    }
    Ok(report)
}

fn removable(entry: &Entry, client: &str) -> Result<(), Failure> {
    let holder = &entry.seen.holder;
    let refuse = |why: String, next: String| Err(Failure::new(Exit::Failed, format!("{holder} {why}")).next(next));
    match (entry.state, &entry.seen.via) {
        ("owner" | "ourselves" | "always_allowed", _) => refuse(
            "is in no plan and is never taken off by ledgerward".to_owned(),
            "Do it on the target, if it must be.".to_owned(),
        ),
        ("ours" | "entitled" | "held", _) => refuse(
            "is there by the firm's own decisions; taken off alone, they would be let in again".to_owned(),
            format!("ledgerward select {holder} {client} --remove, or ledgerward revoke {holder} --now"),
        ),
        (_, Via::Direct) => Ok(()),
        (_, via) => refuse(
            format!("gets in {}, which cannot be taken away on this folder", apply::via_words(via)),
            "Take them off there, on the target.".to_owned(),
        ),
    }
}

async fn remove_all(
    app: &App,
    world: &World,
    run: i64,
    entries: &[Entry],
    reason: &str,
) -> Result<Vec<String>, Failure> {
    let mut failed = Vec::new();
    for entry in entries {
        let Some(target) = world.targets.get(&entry.lane.target) else { continue };
        let what = apply::Removal {
            run,
            lane: &entry.lane,
            folder: &entry.folder,
            seen: &entry.seen,
            owned: entry.owned.as_ref(),
            reason,
        };
        if let Err(why) = apply::remove_holder(app, target, &what).await? {
            failed.push(format!("{}:/{}  {}: {why}", entry.lane.target, entry.name, entry.seen.holder));
        }
    }
    Ok(failed)
}
