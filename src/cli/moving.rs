//! `clients move`: one client from one target to another. The change is written down once; then whole cycles of this one
//! client follow, until the new folder is shared and filled and the old one is closed. What interrupts it loses nothing: the
//! next sync, or the same command again, goes on from where it was.

use std::{collections::BTreeSet, fmt::Write as _};

use ledgerward_contract::{ClientId, Email};
use serde_json::{Value, json};

use super::{
    act,
    args::ClientArg,
    console::Console,
    cycle::{acting, done_exit, end, may_publish, refuse_restored, refused, start},
    outcome::{Exit, Failure, Report},
    veil::Veil,
};
use crate::{
    app::App,
    domain::{
        change::{self, By, ChangeOp},
        firm::{Client, ClientState, Firm, TargetName},
        lane::LaneKey,
        plan::Sharing,
        policy::Decider,
    },
    engine::{self, Ask, Done},
    lanes, memory,
    moves::{self, Move},
    render::plan as print,
    world::World,
};

/// The new folder, the old folder, and one more where the target was slow to show a write.
const CYCLES: usize = 3;

pub struct Wish<'a> {
    pub client: &'a ClientArg,
    pub from: &'a str,
    pub to: &'a str,
    pub reason: Option<&'a str>,
    pub yes: bool,
}

/// What is about to happen, from what is known without asking any provider.
struct Prospect {
    /// Who is in the old folder by us, and goes.
    leave: Vec<Email>,
    /// Who is to be in the new one.
    enter: Vec<Email>,
    files: usize,
    old: Vec<String>,
    /// Why nobody is let out of the old folder, where its list is not ours to change.
    hands_off: Option<&'static str>,
}

pub async fn run(app: &App, console: &mut dyn Console, wish: &Wish<'_>) -> Result<Report, Failure> {
    may_publish(app).await?;
    refuse_restored(app).await?;
    let firm = app.firm().await?;
    let client = act::client(app, &firm, &wish.client.0)?;
    let (from, to) = (act::target(app, wish.from)?, act::target(app, wish.to)?);
    let known = {
        let (id, from) = (client.id, from.clone());
        app.store.run(move |db| moves::get(db, id, &from)).await?
    };
    let known = known.filter(|m| m.to == to && m.holds(client));
    if known.is_none() {
        possible(app, client, &from, &to)?;
    }
    let world = app.world().await?;
    for name in [&from, &to] {
        if let Some(target) = world.targets.get(name) {
            target.reach()?;
        }
    }
    if known.is_none() {
        own_account(app, &world, client, &from, &to).await?;
    }
    let routed = routed(app, client, &from, &to);
    let op = ChangeOp::SetTargets { client: client.id, targets: Some(routed) };
    let by = By { actor: acting(app, &firm)?, at: app.now() };
    let (after, _) = change::apply(&firm, &op, by).map_err(refused)?;
    let prospect = prospect(app, &world, &after, client.id, &from, &to).await?;
    let plan = words(client, &from, &to, &prospect, known.as_ref());
    if known.as_ref().is_none_or(|m| m.closed.is_none()) && !wish.yes {
        let json = told(client, &from, &to, &prospect, known.as_ref());
        if !console.interactive() {
            return Ok(Report::new(Exit::Changes, json, plan).note("Nothing was done. To do it: add --yes"));
        }
        console.note(&plan);
        let answer = console.ask("Move this client? [y/N]").unwrap_or_default();
        if !matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
            return Ok(Report::new(Exit::Done, json, "Nothing was moved.\n"));
        }
    }
    if known.is_none() {
        begin(app, &firm, &after, &op, wish, (client.id, &from, &to)).await?;
    }
    carry_out(app, &world, client, &from, &prospect, console).await
}

/// Whether this client can leave the one and go to the other.
fn possible(app: &App, client: &Client, from: &TargetName, to: &TargetName) -> Result<(), Failure> {
    let fail = |why: String, next: String| Err(Failure::new(Exit::Failed, why).next(next));
    if from == to {
        return fail(format!("{} is both ends of the move", to), "Name two targets.".to_owned());
    }
    if client.private_to.is_some() {
        return fail(
            format!("{} is private and lies on no target", client.slug),
            format!("ledgerward private convert {}", client.slug),
        );
    }
    if client.state != ClientState::Active {
        return fail(
            format!("{} is not active, so no folder would be made for it", client.slug),
            format!("ledgerward clients reopen {}", client.slug),
        );
    }
    let at: BTreeSet<&TargetName> = match &client.targets {
        None => app.config.targets.keys().collect(),
        Some(set) => set.iter().collect(),
    };
    if !at.contains(from) {
        let names: Vec<String> = at.iter().map(ToString::to_string).collect();
        let names = if names.is_empty() { "no target".to_owned() } else { names.join(", ") };
        return fail(format!("{} is not on {from}", client.slug), format!("It is on {names}."));
    }
    Ok(())
}

/// Two targets that look into one account see each other's marks: the new folder would be taken for made already.
async fn own_account(
    app: &App,
    world: &World,
    client: &Client,
    from: &TargetName,
    to: &TargetName,
) -> Result<(), Failure> {
    let (Some(old), Some(new)) = (world.targets.get(from), world.targets.get(to)) else { return Ok(()) };
    if old.manifest.name != new.manifest.name {
        return Ok(());
    }
    let (api, cx) = (new.api()?, new.read(app.now())?);
    // Where a folder is its name, every root may have one of that name.
    if !api.limits().folder_ids {
        return Ok(());
    }
    let rows = app.store.run(|db| db.lanes()).await?;
    for row in rows.into_values().filter(|r| r.key.target == *from && r.key.folder.client == client.id) {
        let found = api.find(&cx, &row.key.folder).await?;
        if found.is_some() && found == row.folder {
            return Err(Failure::new(
                Exit::Failed,
                format!("{from} and {to} look into the same account, and {} has its folder there already", client.slug),
            )
            .next(
                "Give each target an account or a shared drive of its own; or move the folder there, and set `root`.",
            ));
        }
    }
    Ok(())
}

fn routed(app: &App, client: &Client, from: &TargetName, to: &TargetName) -> BTreeSet<TargetName> {
    let mut set = client.targets.clone().unwrap_or_else(|| app.config.targets.keys().cloned().collect());
    set.remove(from);
    set.insert(to.clone());
    set
}

async fn prospect(
    app: &App,
    world: &World,
    after: &Firm,
    client: ClientId,
    from: &TargetName,
    to: &TargetName,
) -> Result<Prospect, Failure> {
    let facts = memory::recall_all(app, after).await?;
    let targets: Vec<TargetName> = world.targets.keys().cloned().collect();
    let decider = Decider::new(after, &facts, &targets, app.now());
    let mut enter = BTreeSet::new();
    for (desired, _) in decider.lanes().filter(|(d, _)| d.lane.target == *to && d.lane.folder.client == client) {
        enter.extend(desired.wants.iter().filter_map(|w| decider.address(to, w.person)).cloned());
    }
    let of = |l: &LaneKey| l.target == *from && l.folder.client == client;
    let (rows, owned, files) = app.store.run(|db| Ok((db.lanes()?, db.owned()?, db.delivered()?))).await?;
    let leave: BTreeSet<Email> =
        owned.iter().filter(|(l, _)| of(l)).flat_map(|(_, r)| r.iter().map(|o| o.grant.who.clone())).collect();
    let sharing = world.targets.get(from).map_or(Sharing::Off, lanes::sharing_of);
    Ok(Prospect {
        leave: leave.into_iter().collect(),
        enter: enter.into_iter().collect(),
        files: files.iter().filter(|(l, _)| of(l)).map(|(_, f)| f.len()).sum(),
        old: rows.values().filter(|r| of(&r.key) && r.folder.is_some()).map(|r| r.name.clone()).collect(),
        hands_off: match sharing {
            Sharing::Mirror if after.policy.additive_only => {
                Some("nothing is ever taken away while additive_only is on")
            }
            Sharing::Mirror => None,
            Sharing::Report => Some("its sharing list is only reported, never changed"),
            Sharing::Off => Some("access to it is given elsewhere"),
        },
    })
}

fn words(client: &Client, from: &TargetName, to: &TargetName, p: &Prospect, known: Option<&Move>) -> String {
    let list = |all: &[Email]| {
        if all.is_empty() {
            "nobody".to_owned()
        } else {
            all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
    };
    let mut text = format!("{} ({}) moves from {from} to {to}.\n", client.name, client.slug);
    let done = |yes: bool| if yes { " (done)" } else { "" };
    let filled = known.is_some_and(|m| m.filled.is_some());
    let _ = writeln!(text, "  1. its folder on {to} is made and shared with {}{}", list(&p.enter), done(filled));
    let _ = writeln!(text, "  2. its statements go there{}", done(filled));
    if p.old.is_empty() {
        let _ = writeln!(text, "  3. there is no folder on {from} to close");
        return text;
    }
    match p.hands_off {
        Some(why) => {
            let _ = writeln!(text, "  3. the list of {from}:/{} stays as it is: {why}", p.old.join(", "));
        }
        None => {
            let _ = writeln!(
                text,
                "  3. then {from}:/{} is closed: {} let out; whoever was let in by hand stays",
                p.old.join(", "),
                list(&p.leave)
            );
        }
    }
    let _ = writeln!(text, "  {} delivered there stay where they are.", print::count(p.files, "file"));
    text
}

fn told(client: &Client, from: &TargetName, to: &TargetName, p: &Prospect, known: Option<&Move>) -> Value {
    json!({
        "schema": "ledgerward/move/1",
        "client": client.slug,
        "from": from,
        "to": to,
        "enter": p.enter,
        "leave": p.leave,
        "files": p.files,
        "old_list_stays": p.hands_off,
        "change": known.map(|m| &m.change),
        "filled": known.and_then(|m| m.filled),
        "closed": known.and_then(|m| m.closed),
    })
}

/// The change and the move are one row of the state: both are there or neither.
async fn begin(
    app: &App,
    before: &Firm,
    after: &Firm,
    op: &ChangeOp,
    wish: &Wish<'_>,
    (client, from, to): (ClientId, &TargetName, &TargetName),
) -> Result<(), Failure> {
    let op = serde_json::to_value(op)
        .map_err(|e| Failure::new(Exit::Failed, "a change cannot be written down").cause(&e))?;
    let reason = wish.reason.map_or_else(|| format!("move from {from} to {to}"), str::to_owned);
    let (now, author, person) = (app.now(), app.actor.name.clone(), act::asking(app, before));
    let (before, after) = (before.clone(), after.clone());
    let mut one = Move {
        client,
        from: from.clone(),
        to: to.clone(),
        change: String::new(),
        begun: now,
        filled: None,
        closed: None,
    };
    app.store
        .run(move |db| {
            db.tx(|db| {
                let ids = db.record_changes(&[op], &author, person, &reason, now, &before, &after)?;
                one.change = ids.first().map_or_else(String::new, |id| format!("C-{id}"));
                moves::put(db, &one)
            })
        })
        .await?;
    Ok(())
}

async fn carry_out(
    app: &App,
    world: &World,
    client: &Client,
    from: &TargetName,
    prospect: &Prospect,
    console: &mut dyn Console,
) -> Result<Report, Failure> {
    let ask = Ask { clients: Some(BTreeSet::from([client.id])), ..Ask::default() };
    let state = || {
        let (id, from) = (client.id, from.clone());
        app.store.run(move |db| moves::get(db, id, &from))
    };
    let gone = || Failure::new(Exit::Failed, "the move is over: the client was routed elsewhere meanwhile");
    let mut text = String::new();
    let mut exit = Exit::Done;
    let mut waits = None;
    for _ in 0..CYCLES {
        let before = state().await?.ok_or_else(gone)?;
        if before.closed.is_some() || (before.filled.is_some() && prospect.hands_off.is_some()) {
            break;
        }
        let run = start(app, "move").await?;
        app.store.run(move |db| db.run_part(run)).await?;
        let done = engine::sync(app, world, run, &ask, console).await;
        let done = end(app, run, done, done_exit).await?;
        let veil = Veil::of(app, &done.picture.firm);
        text.push_str(&print::applied(&done.lanes, &done.delivered, &veil));
        for hold in &done.picture.verdict.held {
            print::hold_text(&mut text, hold, &veil);
        }
        exit = done_exit(&done);
        let after = state().await?.ok_or_else(gone)?;
        waits = why(app, &done, &after, client).await?;
        if (after.filled, after.closed) == (before.filled, before.closed) {
            break;
        }
    }
    let one = state().await?.ok_or_else(gone)?;
    let mut json = told(client, from, &one.to, prospect, Some(&one));
    if let Some(map) = json.as_object_mut() {
        map.insert("waits_for".to_owned(), json!(waits));
    }
    let over = one.closed.is_some() || (one.filled.is_some() && prospect.hands_off.is_some());
    if over {
        let _ = writeln!(
            text,
            "{} is on {} now. {}",
            client.slug,
            one.to,
            match prospect.hands_off {
                None => format!("Nobody whom ledgerward let into its folder on {from} is left there; the files are."),
                Some(why) => format!("The list of its folder on {from} stays as it is: {why}."),
            }
        );
        return Ok(Report::new(exit, json, text)
            .note(format!("Who is still on the old folder: ledgerward holders list --client {}", client.slug)));
    }
    let what = if one.filled.is_some() {
        "The old folder is not closed yet"
    } else {
        "The new folder is not ready yet, so the old one stays open"
    };
    let _ =
        writeln!(text, "{what}: {}.", waits.unwrap_or_else(|| "it is taken up again".to_owned()).trim_end_matches('.'));
    Ok(Report::new(Exit::Partly.worst(exit), json, text)
        .note("It goes on with the next sync, or with the same command again."))
}

/// What the move waits for.
async fn why(app: &App, done: &Done, one: &Move, client: &Client) -> Result<Option<String>, Failure> {
    if one.filled.is_none() {
        return Ok(moves::unfilled(done, one, client));
    }
    Ok(match moves::left(app, &done.picture, one).await? {
        0 => None,
        n => Some(format!("{} of ours still in force there", print::count(n, "grant"))),
    })
}
