//! `adopt`: folders of a tree that was there before ledgerward. It proposes; a person confirms, one pair or all that are
//! certain. Nobody is taken off such a folder, and it keeps its name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use futures::{StreamExt as _, stream};
use ledgerward_contract::{
    ClientId, Email, FolderId, FolderKey, Holder, SeenFolder, SeenPermission, SeenRole, Snapshot, Stat, Via,
};
use serde_json::{Value, json};

use super::{
    act,
    args::ClientArg,
    console::Console,
    cycle::{end, may_publish, refuse_restored, start},
    holders::folder_role,
    outcome::{Exit, Failure, Report},
    veil::Veil,
};
use crate::{
    app::App,
    apply::{self, words},
    deliver,
    domain::{
        adoption::{self, Candidate, Wanting},
        firm::{AcceptedHolder, Client, ClientState, Firm, TargetName},
        lane::LaneKey,
        plan::{self, Sharing, base},
        policy::Decider,
    },
    drift, gather,
    lanes::{self, AdoptedName},
    memory,
    render::{plan::count, table::table},
    store::LaneRow,
    world::{Target, World},
};

/// More pages than any root has.
const PAGES_MAX: u32 = 1_000;

pub struct Wish<'a> {
    pub target: &'a str,
    pub client: Option<&'a ClientArg>,
    pub folder: Option<&'a str>,
    pub all_certain: bool,
    pub reason: Option<&'a str>,
}

/// What is on the target and what the firm has for it.
struct Ground {
    /// Those that no client has.
    folders: Vec<SeenFolder>,
    /// Those that clients have.
    bound: Vec<SeenFolder>,
    rows: Vec<LaneRow>,
    candidates: Vec<Candidate>,
    wanting: Vec<Wanting>,
}

pub async fn run(app: &App, console: &mut dyn Console, wish: &Wish<'_>) -> Result<Report, Failure> {
    may_publish(app).await?;
    let firm = app.firm().await?;
    let name = act::target(app, wish.target)?;
    let world = app.world().await?;
    let Some(target) = world.targets.get(&name) else {
        return Err(Failure::new(Exit::Failed, format!("{name} cannot be opened")).next("See: ledgerward doctor"));
    };
    target.reach()?;
    console.note(&format!("Reading the folders on {name} …"));
    let ground = ground(app, &firm, target, &name).await?;
    let pairs = match (wish.client, wish.folder, wish.all_certain) {
        (Some(client), Some(folder), _) => {
            let client = act::client(app, &firm, &client.0)?;
            let of = FolderKey { client: client.id, account: None };
            let own = ground.rows.iter().find(|r| r.key.folder == of).and_then(|r| r.folder.as_ref());
            let own = ground.bound.iter().filter(|f| own == Some(&f.id));
            let free: Vec<SeenFolder> = own.chain(&ground.folders).cloned().collect();
            vec![(client.id, chosen(&free, folder)?.clone())]
        }
        (_, _, true) => {
            let sure = ground.candidates.iter().filter(|c| c.certain);
            sure.filter_map(|c| Some((c.client, ground.folders.iter().find(|f| f.id == c.folder)?.clone()))).collect()
        }
        _ => {
            let folders: Vec<&FolderId> = ground.candidates.iter().map(|c| &c.folder).collect();
            let on = on_them(app, &firm, target, &folders).await;
            return Ok(proposals(&firm, &name, &ground, &on));
        }
    };
    let Some(reason) = wish.reason else {
        return Err(Failure::new(Exit::Usage, "taking over a folder needs a reason").next("Say it: --reason TEXT"));
    };
    refuse_restored(app).await?;
    for (client, folder) in &pairs {
        let gone = gone(app, target, &ground.rows, *client).await?;
        allowed(&firm, *client, &name, folder, &ground.rows, &gone)?;
    }
    let folders: Vec<&FolderId> = pairs.iter().map(|(_, folder)| &folder.id).collect();
    let on = on_them(app, &firm, target, &folders).await;
    for (client, folder) in &pairs {
        if let Some(Ok(on)) = on.get(&folder.id)
            && !on.outside.is_empty()
        {
            let (slug, who) = (act::slug(&firm, *client), on.outside.join(", "));
            console.note(&format!("Not of the firm, and on {name}:/{} ({slug}): {who}", folder.name));
        }
    }
    let run = start(app, "adopt").await?;
    let done = take_all(app, &world, &firm, target, run, &pairs, reason).await;
    let done = end(
        app,
        run,
        done,
        |d: &Vec<Taken>| {
            if d.iter().all(|t| t.result.is_ok()) { Exit::Done } else { Exit::Partly }
        },
    )
    .await?;
    Ok(told(&firm, &name, &done, &on))
}

/// Who is on a folder apart from us: every entry with its role, and those of them that are no people of the firm's domains.
struct On {
    holders: Vec<String>,
    outside: Vec<String>,
}

type OnThem = BTreeMap<FolderId, Result<On, String>>;

/// Who is on these folders now, before anybody takes them over (H03); or why that cannot be read. Of a target without sharing
/// lists: nothing.
async fn on_them(app: &App, firm: &Firm, target: &Target, folders: &[&FolderId]) -> OnThem {
    if lanes::sharing_of(target) == Sharing::Off {
        return BTreeMap::new();
    }
    let at_once = target.api().map_or(1, |api| api.limits().lanes_parallel.max(1));
    let read = |id: &FolderId| {
        let id = id.clone();
        async move {
            let list = gather::sharing(target, &id, app.now()).await;
            (id, list.map(|list| on(firm, list.items())).map_err(|e| words(&e)))
        }
    };
    stream::iter(folders.iter().map(|id| read(id))).buffer_unordered(at_once).collect().await
}

fn on(firm: &Firm, list: &[SeenPermission]) -> On {
    let seen = |ours: bool| -> Vec<String> {
        let of_firm = |p: &SeenPermission| matches!(&p.holder, Holder::Person(e) if firm.domains.contains(e.domain()));
        let all = list.iter().filter(|p| !p.ourselves && !p.role.lets_nobody_in() && of_firm(p) == ours);
        let all: Vec<SeenPermission> = all.cloned().collect();
        base(&all).into_iter().map(|(who, role)| format!("{who} {role}")).collect()
    };
    let outside = seen(false);
    On { holders: [seen(true), outside.clone()].concat(), outside }
}

async fn ground(app: &App, firm: &Firm, target: &Target, name: &TargetName) -> Result<Ground, Failure> {
    let (api, cx) = (target.api()?, target.read(app.now())?);
    let list = Snapshot::gather("folders.list", app.now(), PAGES_MAX, |at| {
        let cx = cx.clone();
        Box::pin(async move { api.folders(&cx, at).await })
    })
    .await?;
    let rows: Vec<LaneRow> = app.store.run(|db| db.lanes()).await?.into_values().collect();
    let rows: Vec<LaneRow> = rows.into_iter().filter(|r| r.key.target == *name && r.folder.is_some()).collect();
    let bound: BTreeSet<_> = rows.iter().filter_map(|r| r.folder.clone()).collect();
    let has: BTreeSet<ClientId> =
        rows.iter().filter(|r| r.key.folder.account.is_none()).map(|r| r.key.folder.client).collect();
    let wants = |c: &&Client| {
        c.state == ClientState::Active
            && c.private_to.is_none()
            && c.targets.as_ref().is_none_or(|t| t.contains(name))
            && !has.contains(&c.id)
    };
    let wanting: Vec<Wanting> = firm
        .clients
        .values()
        .filter(wants)
        .map(|c| Wanting {
            id: c.id,
            slug: c.slug.clone(),
            name: c.name.clone(),
            numbers: c.sources.iter().map(|s| s.id.clone()).collect(),
        })
        .collect();
    // What was the folder of somebody else's private books is none to take over, and its name is not told.
    let veil = Veil::of(app, firm);
    let (bound, folders): (Vec<SeenFolder>, Vec<SeenFolder>) =
        list.items().iter().filter(|f| !veil.marks(f.marker.as_deref())).cloned().partition(|f| bound.contains(&f.id));
    let candidates = adoption::candidates(&wanting, &folders);
    Ok(Ground { folders, bound, rows, candidates, wanting })
}

/// A folder by its id or its name. Two of one name are told apart by their ids.
fn chosen<'f>(folders: &'f [SeenFolder], typed: &str) -> Result<&'f SeenFolder, Failure> {
    if let Some(one) = folders.iter().find(|f| f.id.as_str() == typed) {
        return Ok(one);
    }
    let found: Vec<&SeenFolder> = folders.iter().filter(|f| f.name == typed).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => {
            let names: Vec<String> = folders.iter().map(|f| f.name.clone()).collect();
            let failure =
                Failure::new(Exit::Failed, format!("there is no free folder \"{typed}\" directly in the root"))
                    .next("See: ledgerward adopt TARGET. A folder that is a client's already cannot be taken over.");
            Err(act::suggest(failure, typed, &names))
        }
        several => {
            let ids: Vec<&str> = several.iter().map(|f| f.id.as_str()).collect();
            Err(Failure::new(Exit::Failed, format!("{} folders are named \"{typed}\"", several.len()))
                .next(format!("Say which by its id: {}", ids.join(", "))))
        }
    }
}

/// What may not be taken over, whoever asks.
fn allowed(
    firm: &Firm,
    client: ClientId,
    target: &TargetName,
    folder: &SeenFolder,
    rows: &[LaneRow],
    gone: &[LaneRow],
) -> Result<(), Failure> {
    let fail = |why: String, next: &str| Err(Failure::new(Exit::Failed, why).next(next));
    let Some(of) = firm.clients.get(&client) else { return Ok(()) };
    if of.private_to.is_some() {
        return fail(format!("{} is private and lies on no target", of.slug), "ledgerward private convert CLIENT");
    }
    if of.state != ClientState::Active {
        return fail(format!("{} is not active", of.slug), "ledgerward clients accept | reopen CLIENT");
    }
    if of.targets.as_ref().is_some_and(|t| !t.contains(target)) {
        return fail(
            format!("{} has no folder on {target} by its routing", of.slug),
            "ledgerward clients targets CLIENT …",
        );
    }
    let own = |r: &&LaneRow| r.key.folder.client == client && r.key.folder.account.is_none();
    if let Some(row) = rows.iter().find(|r| own(r) && !gone.contains(r) && r.folder.as_ref() != Some(&folder.id)) {
        return fail(
            format!("{} has a folder on {target} already: {}", of.slug, row.name),
            "One client has one folder on a target. Move the files together by hand.",
        );
    }
    let ours = FolderKey { client, account: None }.to_string();
    if let Some(marker) = folder.marker.as_ref().filter(|m| **m != ours) {
        let whose = firm.clients.values().find(|c| marker.starts_with(&c.id.to_string()));
        let whose = whose.map_or_else(|| "a client that is not in this firm's book".to_owned(), |c| firm.open_name(c));
        return fail(
            format!("\"{}\" carries the marker of {whose}", folder.name),
            "A folder is one client's. Choose another one, or make a new folder.",
        );
    }
    Ok(())
}

/// The folders of a client on this target that are gone for good, as the target says now. One in the bin, or one that we may
/// not look at, may come back with everybody on its list: it is not gone.
async fn gone(app: &App, target: &Target, rows: &[LaneRow], client: ClientId) -> Result<Vec<LaneRow>, Failure> {
    let (api, cx) = (target.api()?, target.read(app.now())?);
    let mut gone = Vec::new();
    for row in rows.iter().filter(|r| r.key.folder.client == client) {
        let Some(folder) = &row.folder else { continue };
        if api.stat(&cx, folder).await? == Stat::Gone {
            gone.push(row.clone());
        }
    }
    Ok(gone)
}

/// Ends what was true of a folder that is gone: our grants in it, the files that lay there, and whom the firm accepted on it.
/// `unbind`: the lane has no folder then, and the next plan makes one.
async fn let_go(app: &App, row: &LaneRow, unbind: bool, reason: &str) -> Result<(), Failure> {
    drift::forget(app, std::iter::once(&row.key)).await?;
    let (row, reason, now) = (row.clone(), format!("the folder is gone: {reason}"), app.now());
    app.store
        .run(move |db| {
            db.tx(|db| {
                let key = &row.key;
                for owned in db.owned()?.remove(key).unwrap_or_default() {
                    db.owned_lost(key, &owned.grant.who, &reason, now, now)?;
                }
                for accepted in db.accepted()?.remove(key).unwrap_or_default() {
                    db.unaccept_holder(key, &accepted.holder, &reason, now)?;
                }
                deliver::forget(db, key, &reason, now)?;
                db.doc_delete(lanes::ADOPTED_NAME, &lanes::lane_text(key))?;
                db.doc_delete(lanes::ADOPT, &lanes::lane_text(key))?;
                let none = LaneRow {
                    folder: None,
                    parent: None,
                    owner: None,
                    marker: None,
                    created_step: None,
                    base: None,
                    ..row.clone()
                };
                if unbind {
                    db.save_lane(&none, now)?;
                }
                db.audit(now, "folder.let_go", &lanes::lane_text(key), row.folder.as_ref(), None::<&()>, Some(&reason))
            })
        })
        .await?;
    Ok(())
}

/// `clients new-folder`: the next sync makes a new folder where the client's is gone for good. Never by itself: a folder that
/// somebody deleted may have been deleted on purpose.
pub async fn new_folder(app: &App, client: &ClientArg, typed: &str, reason: &str) -> Result<Report, Failure> {
    may_publish(app).await?;
    refuse_restored(app).await?;
    let firm = app.firm().await?;
    let (name, client) = (act::target(app, typed)?, act::client(app, &firm, &client.0)?);
    let world = app.world().await?;
    let Some(target) = world.targets.get(&name) else {
        return Err(Failure::new(Exit::Failed, format!("{name} cannot be opened")).next("See: ledgerward doctor"));
    };
    target.reach()?;
    let rows: Vec<LaneRow> = app.store.run(|db| db.lanes()).await?.into_values().collect();
    let rows: Vec<LaneRow> = rows.into_iter().filter(|r| r.key.target == name && r.folder.is_some()).collect();
    let gone = gone(app, target, &rows, client.id).await?;
    if gone.is_empty() {
        let why = format!("no folder of {} on {name} is gone", client.slug);
        return Err(Failure::new(Exit::Failed, why).next(
            "A folder in the bin is restored there; one that was only moved is moved back. To another target: ledgerward clients move",
        ));
    }
    for row in &gone {
        let_go(app, row, true, reason).await?;
    }
    let names: Vec<&str> = gone.iter().map(|r| r.name.as_str()).collect();
    let text = format!("{} on {name} gets a new folder with the next sync: {}\n", client.slug, names.join(", "));
    let json = json!({"schema": "ledgerward/new-folder/1", "client": client.slug, "target": name, "folders": names});
    let hides = format!(
        "If {name} only hides the old folder from ledgerward's account, whoever is on its list can still open it: look there."
    );
    Ok(Report::new(Exit::Done, json, text).note(hides).note("Next: ledgerward plan"))
}

/// One folder that was taken over, or why not.
struct Taken {
    client: ClientId,
    folder: SeenFolder,
    result: Result<Found, String>,
}

/// Who is on it.
#[derive(Default)]
struct Found {
    accepted: Vec<String>,
    entitled: Vec<String>,
    open: Vec<String>,
}

async fn take_all(
    app: &App,
    world: &World,
    firm: &Firm,
    target: &Target,
    run: i64,
    pairs: &[(ClientId, SeenFolder)],
    reason: &str,
) -> Result<Vec<Taken>, Failure> {
    let facts = memory::recall_all(app, firm).await?;
    let targets: Vec<TargetName> = world.targets.keys().cloned().collect();
    let decider = Decider::new(firm, &facts, &targets, app.now());
    let mut all = Vec::new();
    for (client, folder) in pairs {
        let lane = LaneKey { target: target.name.clone(), folder: FolderKey { client: *client, account: None } };
        let result = take(app, firm, target, &decider, run, &lane, folder, reason).await?;
        all.push(Taken { client: *client, folder: folder.clone(), result });
    }
    Ok(all)
}

#[expect(clippy::too_many_arguments, reason = "one call site; a struct for it would only rename the arguments")]
async fn take(
    app: &App,
    firm: &Firm,
    target: &Target,
    decider: &Decider<'_>,
    run: i64,
    lane: &LaneKey,
    folder: &SeenFolder,
    reason: &str,
) -> Result<Result<Found, String>, Failure> {
    let now = app.now();
    // Looked at again: a marker may have come since the listing, and not every listing shows one.
    let reading = gather::folder_now(target, &folder.id, lanes::sharing_of(target) != Sharing::Off, now).await;
    match &reading.stat {
        Ok(Stat::Present { marker, .. }) => {
            if marker.as_ref().is_some_and(|m| *m != lane.folder.to_string()) {
                return Ok(Err("it carries another client's marker".to_owned()));
            }
        }
        Ok(_) => return Ok(Err("it is not there any more, or out of reach".to_owned())),
        Err(e) => return Ok(Err(words(e))),
    }
    let list = match &reading.list {
        Some(Ok(list)) => list.items(),
        Some(Err(e)) => return Ok(Err(words(e))),
        None => &[],
    };
    let (desired, _) = decider.lane(lane);
    let wanted: BTreeSet<_> =
        desired.wants.iter().filter_map(|w| decider.address(&lane.target, w.person)).cloned().collect();
    let owner = match &reading.stat {
        Ok(Stat::Present { owner, .. }) => owner.as_deref(),
        _ => None,
    };
    let (mut found, accept) = who_is_on(list, owner, &wanted);
    let key = lane.clone();
    let old = app.store.run(move |db| db.lane(&key)).await?.filter(|r| r.folder.is_some());
    // The client's own folder, which lost its mark: it is marked again, and all that is known of it stays.
    if old.as_ref().is_some_and(|r| r.folder.as_ref() == Some(&folder.id)) {
        // What else changed is no matter of a mark, and would be forgotten with it.
        if let (Some(old), Ok(Stat::Present { parent, owner, .. })) = (&old, &reading.stat) {
            if old.parent.is_some() && *parent != old.parent {
                return Ok(Err("it lies elsewhere now: move it back first".to_owned()));
            }
            if let (Some(was), Some(is)) = (&old.owner, owner)
                && was != is
            {
                return Ok(Err(format!("it has another owner now, {is}: have it given back first")));
            }
        }
        drift::forget(app, std::iter::once(lane)).await?;
        let marked = apply::mark_folder(app, target, run, lane, folder, reason).await?;
        return Ok(marked.map(|()| Found::default()));
    }
    // What was in the old folder, which is gone, is not in this one.
    if let Some(old) = old {
        let_go(app, &old, false, reason).await?;
    }
    if let Err(why) = apply::mark_folder(app, target, run, lane, folder, reason).await? {
        return Ok(Err(why));
    }
    let named = AdoptedName {
        folder: folder.name.clone(),
        client: firm.clients.get(&lane.folder.client).map(|c| c.name.clone()).unwrap_or_default(),
    };
    let (key, why) = (lane.clone(), format!("adopted: {reason}"));
    app.store
        .run(move |db| {
            db.tx(|db| {
                db.doc_put(lanes::ADOPTED_NAME, &lanes::lane_text(&key), &named)?;
                accept.iter().try_for_each(|holder| db.accept_holder(&key, holder, &why, now))
            })
        })
        .await?;
    for all in [&mut found.accepted, &mut found.entitled, &mut found.open] {
        all.sort();
        all.dedup();
    }
    Ok(Ok(found))
}

/// Who is on a folder, and whom the firm leaves there. `owner`: as the target names the folder's own.
fn who_is_on(list: &[SeenPermission], owner: Option<&str>, wanted: &BTreeSet<Email>) -> (Found, Vec<AcceptedHolder>) {
    let (mut found, mut accept) = (Found::default(), Vec::new());
    // Nobody else who has an owner's role, or the fence would be closed to somebody whom nobody accepted.
    let owners = plan::owners(list, owner);
    let owns =
        |p: &SeenPermission| p.role == SeenRole::Owner && (matches!(p.via, Via::Below(_)) || owners.contains(&p));
    for p in list.iter().filter(|p| !p.ourselves && !owns(p) && !p.role.lets_nobody_in()) {
        match &p.holder {
            Holder::Link(_) | Holder::Everyone(_) => found.open.push(p.holder.to_string()),
            Holder::Person(email) if wanted.contains(email) => found.entitled.push(p.holder.to_string()),
            holder => {
                found.accepted.push(holder.to_string());
                accept.push(AcceptedHolder { holder: holder.clone(), role: folder_role(&p.role) });
            }
        }
    }
    (found, accept)
}

fn proposals(firm: &Firm, target: &TargetName, ground: &Ground, on: &OnThem) -> Report {
    let slug = |id: ClientId| act::slug(firm, id);
    let rows = ground.candidates.iter().map(|c| {
        let sure = if c.certain { "certain" } else { "ASK" };
        [slug(c.client), c.name.clone(), c.why.words().to_owned(), sure.to_owned(), c.folder.to_string()]
    });
    let mut text = table(["client", "folder", "why", "", "id"], rows);
    for c in &ground.candidates {
        let _ = match on.get(&c.folder) {
            None => Ok(()),
            Some(Err(why)) => writeln!(text, "on {}: not known: {why}", c.name),
            Some(Ok(on)) if on.holders.is_empty() => writeln!(text, "on {}: nobody", c.name),
            Some(Ok(on)) => writeln!(text, "on {}: {}{}", c.name, on.holders.join(", "), not_ours(on)),
        };
    }
    let paired: BTreeSet<_> = ground.candidates.iter().map(|c| &c.folder).collect();
    let clients: BTreeSet<_> = ground.candidates.iter().map(|c| c.client).collect();
    let spare: Vec<&SeenFolder> = ground.folders.iter().filter(|f| !paired.contains(&f.id)).collect();
    let without: Vec<String> =
        ground.wanting.iter().filter(|w| !clients.contains(&w.id)).map(|w| w.slug.clone()).collect();
    if !spare.is_empty() {
        let names: Vec<&str> = spare.iter().map(|f| f.name.as_str()).collect();
        let _ = writeln!(text, "{} of no client: {}", count(spare.len(), "folder"), names.join(", "));
    }
    if !without.is_empty() {
        let _ = writeln!(text, "{} without a folder that fits: {}", count(without.len(), "client"), without.join(", "));
    }
    let json = json!({
        "schema": "ledgerward/adopt/1",
        "target": target,
        "candidates": ground.candidates.iter().map(|c| {
            let mut row = json!({
                "client": slug(c.client), "folder": c.folder, "name": c.name, "why": c.why, "certain": c.certain,
            });
            let also = match on.get(&c.folder) {
                None => json!({}),
                Some(Err(why)) => json!({"holders_unread": why}),
                Some(Ok(on)) => json!({"holders": on.holders, "outside": on.outside}),
            };
            if let (Some(row), Value::Object(also)) = (row.as_object_mut(), also) {
                row.extend(also);
            }
            row
        }).collect::<Vec<Value>>(),
        "folders": spare,
        "clients": without,
        "adopted": [],
    });
    let certain = ground.candidates.iter().filter(|c| c.certain).count();
    let report = Report::new(Exit::Done, json, text);
    match (certain, ground.candidates.len()) {
        (_, 0) => report.note("Nothing fits by itself: ledgerward adopt TARGET CLIENT FOLDER --reason TEXT"),
        (n, all) if n == all => report.note(format!("Nothing was written. To take them over: ledgerward adopt {target} --all-certain --reason TEXT")),
        _ => report.note(format!(
            "Nothing was written. The certain ones: ledgerward adopt {target} --all-certain --reason TEXT; each other one: ledgerward adopt {target} CLIENT FOLDER --reason TEXT"
        )),
    }
}

/// Names those who are not of the firm's domains, at the end of a line.
fn not_ours(on: &On) -> String {
    if on.outside.is_empty() { String::new() } else { format!("; NOT OF THE FIRM: {}", on.outside.join(", ")) }
}

fn told(firm: &Firm, target: &TargetName, done: &[Taken], on: &OnThem) -> Report {
    let mut text = String::new();
    let mut rows = Vec::new();
    for one in done {
        let slug = act::slug(firm, one.client);
        match &one.result {
            Err(why) => {
                let _ = writeln!(text, "FAILED  {slug}  {target}:/{}  {why}", one.folder.name);
                rows.push(json!({"client": slug, "folder": one.folder.id, "name": one.folder.name, "error": why}));
            }
            Ok(found) => {
                let _ = writeln!(text, "{slug}  is {target}:/{} from now on", one.folder.name);
                for (who, what) in [
                    (&found.entitled, "entitled; let in by hand"),
                    (&found.accepted, "stay, accepted; not ours"),
                    (&found.open, "OPEN TO OTHERS: no file goes in until it is turned off"),
                ] {
                    if !who.is_empty() {
                        let _ = writeln!(text, "    {what}: {}", who.join(", "));
                    }
                }
                let outside = match on.get(&one.folder.id) {
                    Some(Ok(on)) => on.outside.as_slice(),
                    _ => &[],
                };
                if !outside.is_empty() {
                    let _ = writeln!(text, "    NOT OF THE FIRM: {}", outside.join(", "));
                }
                rows.push(json!({
                    "client": slug, "folder": one.folder.id, "name": one.folder.name,
                    "accepted": found.accepted, "entitled": found.entitled, "open": found.open, "outside": outside,
                }));
            }
        }
    }
    if done.is_empty() {
        text.push_str("Nothing is certain; nothing was taken over.\n");
    }
    let exit = if done.iter().all(|t| t.result.is_ok()) { Exit::Done } else { Exit::Partly };
    let json = json!({"schema": "ledgerward/adopt/1", "target": target, "candidates": [], "adopted": rows});
    Report::new(exit, json, text)
        .note("Nobody was let in or out. To take people over or off: ledgerward holders adopt | remove. Next: ledgerward plan")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s13_only_the_folders_own_owner_is_passed_over_where_several_have_the_role() {
        let entry = |who: &str, via: Via| {
            let holder = Holder::Person(Email::parse(who).unwrap());
            let (id, role) = (who.into(), SeenRole::Owner);
            SeenPermission { id, holder, role, via, pending: false, ourselves: false, expires: None }
        };
        let (own, jane, wren) = ("office@harbour.example", "jane@harbour.example", "wren@elsewhere.example");
        let list = [
            entry(own, Via::Direct),
            entry(jane, Via::Direct),
            entry(wren, Via::Inherited),
            entry("file@elsewhere.example", Via::Below("notes.docx".to_owned())),
        ];
        let wanted = BTreeSet::from([Email::parse(jane).unwrap()]);
        let (found, accept) = who_is_on(&list, Some(own), &wanted);
        assert_eq!((found.entitled, found.accepted), (vec![jane.to_owned()], vec![wren.to_owned()]));
        assert_eq!(accept, [AcceptedHolder { holder: list[2].holder.clone(), role: None }]);
        let (found, accept) = who_is_on(&list, None, &wanted);
        assert!(found.entitled.is_empty() && accept.is_empty(), "nothing is known of another one");
    }
}
