//! What a leaver's case leaves behind: Markdown, tables, a letter for each client that has something to close, sealed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
};

use ledgerward_contract::Timestamp;
use serde_json::{Value, json};

use crate::{
    app::App,
    cli::{
        outcome::{Exit, Failure},
        veil::Veil,
    },
    domain::{
        firm::{Firm, Person, TargetName},
        gaps,
        policy::Decider,
    },
    leavers::{self, Case, Chased},
    memory,
    pack::{self, Pack, Sealed},
    render::plan::time,
    statement::{Letter, letter},
    store::{Addresses, AppliedRow, StoreError},
};

/// The evidence: Markdown, tables, and a letter for each client that has something to close. `None`: it is only told.
pub(super) async fn seal(app: &App, person: &Person, case: &Case, dir: Option<&Path>) -> Result<Sealed, Failure> {
    let shut = leavers::shut_since(app, person, case).await?;
    let just_before = shut.checked_sub(jiff::SignedDuration::from_micros(1)).unwrap_or(shut);
    let firm = app.firm().await?;
    let of = firm.clone();
    let ((held, then), (after, now), head) = app
        .store
        .run(move |db| {
            let at = |t| Ok::<_, StoreError>((db.applied_at(t)?, db.addresses_at(&of, t)?));
            Ok((at(just_before)?, at(case_end())?, db.audit_head()?))
        })
        .await?;
    let held: Vec<&AppliedRow> = theirs(person, &held, &then).collect();
    let left = theirs(person, &after, &now).count();
    let veil = Veil::of(app, &firm);
    let case = &case.clone().without(|s| veil.hides_source(s));
    let mut files = BTreeMap::from([
        ("evidence.md".to_owned(), markdown(app, person, case, (shut, &held, left), (&firm, &veil)).into_bytes()),
        ("folders.csv".to_owned(), folders_csv(&held, &firm, &veil)?),
        ("ledgers.csv".to_owned(), ledgers_csv(case)?),
    ]);
    let clients: BTreeSet<&String> =
        case.open().filter(|(_, l)| l.only_the_client()).flat_map(|(_, l)| &l.clients).collect();
    files.insert("letters.csv".to_owned(), managers_csv(app, &firm, &clients).await?);
    for slug in clients {
        let ledgers: Vec<&Chased> = case.open().map(|(_, l)| l).filter(|l| l.clients.contains(slug)).collect();
        let bytes = letter(&letter_to(app, person, shut, slug, &ledgers, &firm), &app.config.statements.look)
            .map_err(|e| Failure::new(Exit::Failed, "a letter could not be made").cause(&e))?;
        files.insert(format!("letters/{slug}.pdf"), bytes);
    }
    let subject = format!("{} {}", person.id.0, person.email);
    let pack = Pack { kind: "leaver", subject, made: app.now(), by: app.actor.name.clone(), head, files };
    let sealed = pack::seal(pack)?;
    if let Some(dir) = dir {
        write(dir, sealed.clone()).await?;
    }
    record(app, &sealed).await?;
    Ok(sealed)
}

/// What was applied for this person, under whatever address they had.
fn theirs<'r>(person: &Person, rows: &'r [AppliedRow], addresses: &Addresses) -> impl Iterator<Item = &'r AppliedRow> {
    let holders = addresses.everywhere(rows.iter().map(|r| &r.lane.target));
    rows.iter().filter(move |r| holders.get(&r.lane.target).and_then(|of| of.get(&r.who)) == Some(&person.id))
}

/// A time after everything that was applied.
const fn case_end() -> Timestamp {
    Timestamp::MAX
}

/// Writes a pack where somebody wants it.
pub(in crate::cli) async fn write(dir: &Path, sealed: Sealed) -> Result<(), Failure> {
    let to: PathBuf = dir.to_owned();
    tokio::task::spawn_blocking(move || pack::write(&to, &sealed))
        .await
        .map_err(|e| Failure::new(Exit::Failed, "the pack could not be written").cause(&e))?
}

/// The seal, in the audit trail.
async fn record(app: &App, sealed: &Sealed) -> Result<(), Failure> {
    let (now, subject) = (app.now(), sealed.subject.clone());
    let row = seal_row(sealed);
    Ok(app.store.run(move |db| db.audit(now, "pack.seal", &subject, None::<&()>, Some(&row), None)).await?)
}

pub(in crate::cli) fn seal_row(sealed: &Sealed) -> Value {
    json!({"kind": sealed.kind, "seal": sealed.seal})
}

/// The tuple: since when they are shut out, what they held until then, and how many of it they hold now.
fn markdown(
    app: &App,
    person: &Person,
    case: &Case,
    (shut, held, left): (Timestamp, &[&AppliedRow], usize),
    (firm, veil): (&Firm, &Veil),
) -> String {
    let zone = &app.config.firm.timezone;
    let safe = |text: &str| text.replace(['|', '\n', '\r'], " ");
    let mut out = format!(
        "# {} left {}\n\nClosed {} by {}: {}\n\nThis was written on {}. `ledgerward audit verify --pack` checks it without any state.\n\n\
         ## Folders\n\nShut out since {shut}. Held when they left: {}. Still held by our doing: {left}.\n\n| target | client | role | since | taken away |\n|---|---|---|---|---|\n",
        safe(&person.full_name()),
        safe(&firm.name),
        case.opened,
        safe(&case.by),
        safe(&case.reason),
        time(app.now(), zone),
        held.len(),
    );
    for row in held {
        let to = row.to.map_or_else(|| "not yet".to_owned(), |t| t.to_string());
        let slug = veil.slug(firm, row.lane.folder.client);
        let _ = writeln!(out, "| {} | {slug} | {} | {} | {to} |", row.lane.target, row.role, row.from);
    }
    for line in &case.folders_left {
        let _ = writeln!(out, "\nNot ours to close: {}", safe(line));
    }
    out.push_str("\n## Ledgers\n\n| ledger | clients | role | state | since | note |\n|---|---|---|---|---|---|\n");
    for l in case.ledgers.values() {
        let note = l.confirmed.as_ref().map_or_else(String::new, |c| format!("{} ({}): {}", c.by, c.at, c.note));
        let gone = l.gone.map_or_else(String::new, |t| t.to_string());
        let _ = writeln!(
            out,
            "| {} \"{}\" | {} | {} | {} | {gone} | {} |",
            l.source.connection,
            safe(&l.name),
            l.clients.join(", "),
            safe(&l.role),
            l.standing().words(),
            safe(&note)
        );
    }
    out
}

fn folders_csv(held: &[&AppliedRow], firm: &Firm, veil: &Veil) -> Result<Vec<u8>, Failure> {
    let rows = held.iter().map(|row| {
        vec![
            row.lane.target.to_string(),
            veil.slug(firm, row.lane.folder.client),
            row.lane.folder.account.as_ref().map(ToString::to_string).unwrap_or_default(),
            row.role.to_string(),
            row.from.to_string(),
            row.to.map_or_else(String::new, |t| t.to_string()),
            row.step.to_string(),
        ]
    });
    table(&["target", "client", "account", "role", "granted", "taken_away", "step"], rows)
}

fn ledgers_csv(case: &Case) -> Result<Vec<u8>, Failure> {
    let rows = case.ledgers.values().map(|l| {
        let confirmed = l.confirmed.as_ref();
        vec![
            l.source.connection.to_string(),
            l.source.id.clone(),
            l.name.clone(),
            l.clients.join(" "),
            l.role.clone(),
            l.standing().words().to_owned(),
            l.gone.map_or_else(String::new, |t| t.to_string()),
            confirmed.map_or_else(String::new, |c| c.by.clone()),
            confirmed.map_or_else(String::new, |c| c.note.clone()),
        ]
    });
    table(&["connection", "ledger", "name", "clients", "role", "state", "gone", "confirmed_by", "note"], rows)
}

/// Who sends which letter: whom the firm's practice manager or roster names for the client, a row each.
async fn managers_csv(app: &App, firm: &Firm, clients: &BTreeSet<&String>) -> Result<Vec<u8>, Failure> {
    let facts = memory::recall_all(app, firm).await?;
    let targets: Vec<TargetName> = app.config.targets.keys().cloned().collect();
    let decider = Decider::new(firm, &facts, &targets, app.now());
    let mut rows = Vec::new();
    for slug in clients {
        let client = firm.clients.values().find(|c| c.slug == **slug);
        let managers = client.map(|c| gaps::responsible(&decider, c)).unwrap_or_default();
        let emails = managers.iter().filter_map(|id| firm.people.get(id)).map(|p| p.email.to_string());
        let mut emails: Vec<String> = emails.collect();
        if emails.is_empty() {
            emails.push("nobody named".to_owned());
        }
        rows.extend(emails.into_iter().map(|email| vec![format!("letters/{slug}.pdf"), (*slug).clone(), email]));
    }
    table(&["letter", "client", "client_manager"], rows.into_iter())
}

/// The same form as `access --format csv`: no cell is ever a formula.
pub(in crate::cli) fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<Vec<u8>, Failure> {
    crate::render::access::csv(head, rows).map(String::into_bytes)
}

fn letter_to(app: &App, person: &Person, shut: Timestamp, slug: &str, ledgers: &[&Chased], firm: &Firm) -> Letter {
    let zone = &app.config.firm.timezone;
    let client = firm.clients.values().find(|c| c.slug == slug).map_or(slug, |c| c.name.as_str());
    let day = |t: Timestamp| t.to_zoned(zone.clone()).strftime("%-d %B %Y").to_string();
    let mut paragraphs = vec![
        format!("To whoever manages the users of the accounting records of {client}"),
        format!(
            "{} ({}) left {} on {}. On that day we took away all access to your folders that we had given.",
            person.full_name(),
            person.email,
            firm.name,
            day(shut)
        ),
        "Only you can take the same person out of your own accounting records. By what we can read:".to_owned(),
    ];
    for l in ledgers {
        paragraphs.push(format!("•  {} \"{}\": {}", l.source.connection, l.name, l.words()));
    }
    paragraphs.push(format!(
        "Please remove {} there, and tell us when it is done. Where we can read your list of users, we see it ourselves.",
        person.email
    ));
    paragraphs.push(firm.name.clone());
    Letter {
        firm: firm.name.clone(),
        date: day(app.now()),
        title: format!("{} no longer works for us", person.full_name()),
        paragraphs,
        at: app.now(),
    }
}
