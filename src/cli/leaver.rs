//! `leaver`: somebody left. Closes every folder at once, lists what only the client can close, chases it until a reading or a
//! person says that it is gone, and seals the evidence (`product` 8).

use std::{collections::BTreeMap, fmt::Write as _};

use ledgerward_contract::Timestamp;
use serde_json::{Value, json};

use super::{
    act,
    args::{LeaverArgs, PersonArg},
    console::Console,
    cycle, file,
    outcome::{Exit, Failure, Report},
    veil::Veil,
};
use crate::{
    app::App,
    domain::{
        change::{self, ChangeOp, Missing},
        firm::{Firm, Person, PersonId},
        lane::LaneKey,
        office::Permission,
    },
    leavers::{self, CASES, Case, Chased, Confirmed, Past},
    memory, pack,
    render::plan::{count, time},
};

pub mod evidence;

pub async fn run(app: &App, console: &mut dyn Console, args: LeaverArgs) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    if !act::sees_all(app, &firm) {
        return Err(cycle::refused(Missing(Permission::ReadAll).into()));
    }
    let Some(typed) = &args.person else { return list(app, &firm, args.all).await };
    let person = act::person(app, &firm, &typed.0)?;
    if let (Some(ledger), Some(note)) = (&args.confirm, &args.note) {
        return confirm(app, &firm, person, ledger, note).await;
    }
    // Once somebody is closed there is no way back to before: what would refuse the pack then refuses now.
    if let Some(dir) = args.pack.as_ref().filter(|dir| !file::given(dir)) {
        pack::room(dir)?;
    }
    let known = case_of(app, person).await?;
    let case = match known {
        Some(case) if !still_ours(app, person).await? => looked_again(app, &firm, person, case).await?,
        // Somebody who came back and leaves again is a new case.
        known => {
            let known = known.filter(|_| person.shut());
            close(app, console, &firm, person, typed, args.reason.as_deref(), known).await?
        }
    };
    let mut report = told(app, person, &case).await?;
    if let Some(dir) = &args.pack {
        let given = file::given(dir);
        let sealed = evidence::seal(app, person, &case, (!given).then_some(dir)).await?;
        let mut pack = json!({"seal": sealed.seal});
        if let Some(map) = pack.as_object_mut() {
            if given {
                map.insert("files".to_owned(), json!(pack::told(&sealed.files, true)));
            } else {
                map.insert("directory".to_owned(), json!(dir.display().to_string()));
            }
        }
        if let Some(map) = report.json.as_object_mut() {
            map.insert("pack".to_owned(), pack);
        }
        let at = file::shown(dir);
        report = report
            .note(format!("Sealed in {at}: {}", sealed.seal))
            .note(format!("Anybody can check it: ledgerward audit verify --pack {}", dir.display()));
    }
    Ok(report)
}

async fn case_of(app: &App, person: &Person) -> Result<Option<Case>, Failure> {
    let key = person.id.0.to_string();
    Ok(app.store.run(move |db| db.doc_get(CASES, &key)).await?)
}

async fn keep(app: &App, case: &Case) -> Result<(), Failure> {
    let (key, case) = (case.person.0.to_string(), case.clone());
    Ok(app.store.run(move |db| db.doc_put(CASES, &key, &case)).await?)
}

/// Whether a folder still holds this person by our doing.
async fn still_ours(app: &App, person: &Person) -> Result<bool, Failure> {
    let folders = folders_of(app).await?;
    Ok(folders.get(&person.id).is_some_and(|lanes| !lanes.is_empty()) || !person.shut())
}

/// The folders that we let people into, by whom, whatever address they had then.
async fn folders_of(app: &App) -> Result<BTreeMap<PersonId, Vec<LaneKey>>, Failure> {
    let firm = app.firm().await?;
    let (owned, addresses) =
        app.store.run(move |db| Ok((db.owned()?, db.addresses_at(&firm, Timestamp::MAX)?))).await?;
    let holders = addresses.everywhere(owned.keys().map(|lane| &lane.target));
    let mut folders: BTreeMap<PersonId, Vec<LaneKey>> = BTreeMap::new();
    for (lane, rows) in &owned {
        let Some(of) = holders.get(&lane.target) else { continue };
        for person in rows.iter().filter_map(|o| of.get(&o.grant.who)) {
            folders.entry(*person).or_default().push(lane.clone());
        }
    }
    Ok(folders)
}

async fn looked_again(app: &App, firm: &Firm, person: &Person, mut case: Case) -> Result<Case, Failure> {
    let facts = memory::recall_all(app, firm).await?;
    case.refresh(firm, &facts, &Past::of(app, firm, person).await?, app.now());
    // What others gave may have been taken back since, and given anew.
    let looked = match app.world().await {
        Ok(world) => cycle::still_open(app, &world, firm, person.id).await,
        Err(failure) => Err(failure),
    };
    case.folders_left = looked.unwrap_or_else(|failure| {
        vec![format!("the folders could not be looked at, so who can open them is unknown: {}", failure.message)]
    });
    keep(app, &case).await?;
    Ok(case)
}

/// Disabled, closed, and out of every folder that we let them into; then the case is written down.
async fn close(
    app: &App,
    console: &mut dyn Console,
    firm: &Firm,
    person: &Person,
    typed: &PersonArg,
    reason: Option<&str>,
    known: Option<Case>,
) -> Result<Case, Failure> {
    let reason = reason.unwrap_or("left the firm").to_owned();
    let facts = memory::recall_all(app, firm).await?;
    let past = match &known {
        Some(_) => Past::of(app, firm, person).await?,
        None => Past::first(app, firm, &facts, person).await?,
    };
    let mut case = known.unwrap_or_else(|| Case {
        person: person.id,
        opened: app.now(),
        by: app.actor.name.clone(),
        reason: reason.clone(),
        ledgers: BTreeMap::new(),
        folders_left: Vec::new(),
    });
    case.refresh(firm, &facts, &past, app.now());
    let ops = [
        ChangeOp::ClosePerson { person: person.id, reason: reason.clone() },
        ChangeOp::SetEnabled { person: person.id, enabled: false },
    ];
    let ops: Vec<ChangeOp> = ops
        .into_iter()
        .filter(|op| match op {
            ChangeOp::ClosePerson { .. } => person.closed.is_none(),
            _ => person.enabled,
        })
        .collect();
    cycle::commit(app, &ops, &reason).await?;
    keep(app, &case).await?;
    case.folders_left = match cycle::revoke(app, console, typed, Some(&reason)).await {
        Ok(report) => strings(report.json.get("still_open")),
        // The person is shut: the next run closes what this one could not.
        Err(failure) => vec![format!("the folders could not all be closed now: {}", failure.message)],
    };
    keep(app, &case).await?;
    Ok(case)
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let all = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A person's word, with a note, for a ledger that cannot say so itself.
async fn confirm(app: &App, firm: &Firm, person: &Person, ledger: &str, note: &str) -> Result<Report, Failure> {
    let case = case_of(app, person).await?.ok_or_else(|| {
        Failure::new(Exit::Failed, format!("{} is no leaver", person.email))
            .next(format!("Close the person first: ledgerward leaver {}", person.email))
    })?;
    let mut case = looked_again(app, firm, person, case).await?;
    let confirmed = Confirmed { at: app.now(), by: app.actor.name.clone(), note: note.to_owned() };
    let named = |l: &Chased| format!("{}:{}", l.source.connection, l.source.id) == ledger || l.name == ledger;
    let veil = Veil::of(app, firm);
    let seen = case.ledgers.values_mut().filter(|l| !veil.hides_source(&l.source));
    let mut found: Vec<&mut Chased> = seen.filter(|l| named(l) || l.clients.iter().any(|c| c == ledger)).collect();
    let [one] = found.as_mut_slice() else {
        let what = if found.is_empty() { "no ledger" } else { "more than one ledger" };
        return Err(Failure::new(Exit::Failed, format!("\"{ledger}\" names {what} of this leaver"))
            .next(format!("Write CONNECTION:LEDGER as `ledgerward leaver {}` shows it.", person.email)));
    };
    one.confirmed = Some(confirmed.clone());
    let (now, subject) = (app.now(), format!("{} {}", person.id.0, memory::source_key(&one.source)));
    let (key, kept) = (case.person.0.to_string(), case.clone());
    app.store
        .run(move |db| {
            db.tx(|db| {
                db.doc_put(CASES, &key, &kept)?;
                db.audit(now, "leaver.confirm", &subject, None::<&()>, Some(&confirmed), Some(&confirmed.note))
            })
        })
        .await?;
    told(app, person, &case).await
}

/// What is still open, split into what we can close and what only the client can.
async fn told(app: &App, person: &Person, case: &Case) -> Result<Report, Failure> {
    let zone = &app.config.firm.timezone;
    let folders = folders_of(app).await?;
    let firm = app.firm().await?;
    let veil = Veil::of(app, &firm);
    let case = &case.clone().without(|s| veil.hides_source(s));
    let mut we: Vec<String> = folders
        .get(&person.id)
        .into_iter()
        .flatten()
        .map(|lane| format!("{}: the folder of {}: ledgerward sync", lane.target, veil.slug(&firm, lane.folder.client)))
        .collect();
    we.extend(case.folders_left.iter().cloned());
    let line = |(_, l): &(&String, &Chased)| {
        format!("{}:{} \"{}\" ({}): {}", l.source.connection, l.source.id, l.name, l.clients.join(", "), l.words())
    };
    we.extend(case.open().filter(|(_, l)| !l.only_the_client()).map(|l| line(&l)));
    let client: Vec<String> = case.open().filter(|(_, l)| l.only_the_client()).map(|l| line(&l)).collect();
    let mut text = format!(
        "{} ({}) left: closed {} by {}, {}.\n",
        person.full_name(),
        person.email,
        time(case.opened, zone),
        case.by,
        case.reason
    );
    for (title, lines) in [("We can close", &we), ("Only the client can close", &client)] {
        if !lines.is_empty() {
            let _ = writeln!(text, "{title}:");
            lines.iter().for_each(|l| {
                let _ = writeln!(text, "  {l}");
            });
        }
    }
    for l in case.ledgers.values().filter(|l| l.standing().closed()) {
        let how = match (&l.confirmed, l.gone) {
            (_, Some(at)) => format!("gone since {}", time(at, zone)),
            (Some(c), None) => format!("confirmed by {} on {}: {}", c.by, time(c.at, zone), c.note),
            (None, None) => "gone".to_owned(),
        };
        let _ = writeln!(text, "  done  {}:{} \"{}\": {how}", l.source.connection, l.source.id, l.name);
    }
    let open = we.len() + client.len();
    if open == 0 {
        text.push_str("Nothing is open any more, by everything that was read and confirmed.\n");
    }
    let json = json!({
        "schema": "ledgerward/leaver/1",
        "person": {"id": person.id, "email": person.email}, "since": case.opened, "by": case.by, "reason": case.reason,
        "we_can_close": we, "only_the_client_can": client,
        "ledgers": case.ledgers.values().map(value).collect::<Vec<_>>(),
    });
    let mut report = Report::new(if open == 0 { Exit::Done } else { Exit::Partly }, json, text);
    let books = change::books_of(&firm, person.id);
    if !books.is_empty() {
        let shared = books.iter().filter(|b| !b.with.is_empty()).count();
        report = report.note(format!(
            "{} kept {}; {shared} of them were shared, and every such share has ended. A ledger in them is free for a client of the firm.",
            person.email,
            count(books.len(), "private client")
        ));
    }
    Ok(if client.is_empty() {
        report
    } else {
        report.note(format!(
            "Each pull looks again. The letters to the clients: ledgerward leaver {0} --pack DIR. Told by somebody instead: \
             ledgerward leaver {0} --confirm CONNECTION:LEDGER --note TEXT",
            person.email
        ))
    })
}

fn value(l: &Chased) -> Value {
    let mut value = json!({
        "connection": l.source.connection, "ledger": l.source.id, "name": l.name, "clients": l.clients,
        "role": if l.role.is_empty() { "unknown" } else { &l.role }, "says": l.said, "state": l.standing(),
        "gone": l.gone.map_or_else(|| json!("unknown"), |t| json!(t)), "was_in": l.was_in,
    });
    if let (Some(map), Some(confirmed)) = (value.as_object_mut(), &l.confirmed) {
        map.insert("confirmed".to_owned(), json!(confirmed));
    }
    value
}

/// The chase list: everybody who left and is not out of everything.
async fn list(app: &App, firm: &Firm, all: bool) -> Result<Report, Failure> {
    let facts = memory::recall_all(app, firm).await?;
    let mut cases: BTreeMap<String, Case> = app.store.run(|db| db.doc_all(CASES)).await?;
    let (mut text, mut rows, mut still_open) = (String::new(), Vec::new(), false);
    let ours = folders_of(app).await?;
    let left = cases.values_mut().filter(|c| firm.people.get(&c.person).is_some_and(Person::shut));
    leavers::refresh_all(app, firm, &facts, left, app.now()).await?;
    let veil = Veil::of(app, firm);
    for case in cases.into_values() {
        let Some(person) = firm.people.get(&case.person).filter(|p| p.shut()) else { continue };
        let case = case.without(|s| veil.hides_source(s));
        let folders = ours.get(&person.id).map_or(0, Vec::len) + case.folders_left.len();
        let open = case.open().count();
        still_open |= open + folders > 0;
        if open + folders == 0 && !all {
            continue;
        }
        let ledgers: Vec<&str> = case.open().map(|(_, l)| l.name.as_str()).collect();
        let _ = writeln!(
            text,
            "{}  since {}  {}, {}  {}",
            person.email,
            time(case.opened, &app.config.firm.timezone),
            count(open, "ledger"),
            count(folders, "folder"),
            ledgers.join(", ")
        );
        rows.push(json!({
            "person": {"id": person.id, "email": person.email}, "since": case.opened,
            "ledgers_open": open.to_string(), "folders_open": folders.to_string(),
            "ledgers": case.open().map(|(_, l)| value(l)).collect::<Vec<_>>(),
        }));
    }
    if rows.is_empty() {
        text.push_str("No leaver can open anything any more.\n");
    }
    let exit = if still_open { Exit::Partly } else { Exit::Done };
    Ok(Report::new(exit, json!({"schema": "ledgerward/leavers/1", "leavers": rows}), text))
}
