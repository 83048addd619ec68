//! `roster`: lists of clients that practice managers and the firm's own files give: whether each is believed, what was not
//! understood of it, and which clients it is bound to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use ledgerward_contract::{ClientRow, ConnectionName, Error, SourceKind, Standing, Timestamp};
use serde_json::{Value, json};

use super::{
    act,
    args::{RosterAct, RosterCheck},
    cycle::acting,
    outcome::{Exit, Failure, Report},
};
use crate::{
    app::App,
    churn,
    directory::{self, Believed, Link, Links},
    domain::{
        change::{self, Actor},
        firm::{Client, Firm},
    },
    gather::{self, Known, Wanted},
    render::{plan::count, table::table},
    world::Source,
};

const SCHEMA: &str = "ledgerward/roster/1";

pub async fn run(app: &App, connection: Option<&str>, act: Option<RosterAct>) -> Result<Report, Failure> {
    match (connection, act) {
        (_, Some(RosterAct::Accept { connection, reason })) => accept(app, &connection, &reason).await,
        (_, Some(RosterAct::Check(check))) => self::check(&check),
        (Some(connection), None) => show(app, connection).await,
        (None, None) => list(app).await,
    }
}

/// One connection's list as it is now.
struct Seen {
    name: ConnectionName,
    title: &'static str,
    kind: SourceKind,
    /// Or why there is none.
    rows: Result<BTreeMap<String, ClientRow>, Error>,
    /// When the list was made, where it is a copy.
    issued: Option<Timestamp>,
    believed: Option<Believed>,
    doubt: Option<String>,
    /// Line by line, of a file.
    file: Option<file::Read>,
}

impl Seen {
    fn state(&self) -> &'static str {
        match (&self.rows, &self.doubt) {
            (Err(_), _) => "not read",
            (Ok(_), Some(_)) => "held",
            (Ok(_), None) => "believed",
        }
    }

    /// Why it is not believed, and what to do.
    fn trouble(&self) -> Option<(String, String)> {
        match (&self.rows, &self.doubt) {
            (Err(e), _) => Some((e.message.clone(), e.next.clone().unwrap_or_default())),
            (Ok(_), Some(why)) => {
                Some((why.clone(), format!("if the list is right: ledgerward roster accept {} --reason …", self.name)))
            }
            (Ok(_), None) => None,
        }
    }

    /// Clients, people and pairs of the two.
    fn counts(&self) -> Option<(usize, usize, usize)> {
        let rows = self.rows.as_ref().ok()?;
        let named = rows.values().flat_map(|r| &r.people).filter(|p| known(&p.standing, p.email.as_ref()));
        let people: BTreeSet<_> = named.map(|p| &p.user).collect();
        Some((rows.len(), people.len(), directory::pairs(rows)))
    }

    fn json(&self) -> Value {
        let counts = self.counts();
        let trouble = self.trouble();
        json!({
            "connection": self.name,
            "title": self.title,
            "kind": directory::kind_word(self.kind),
            "state": self.state().replace(' ', "_"),
            "why": trouble.as_ref().map(|(why, _)| why),
            "next": trouble.as_ref().map(|(_, next)| next).filter(|n| !n.is_empty()),
            "clients": counts.map(|c| c.0),
            "people": counts.map(|c| c.1),
            "pairs": counts.map(|c| c.2),
            "last_believed": self.believed.as_ref().map(|b| json!({"clients": b.clients, "pairs": b.pairs, "at": b.at})),
            "file": self.file.as_ref().map(file::Read::json),
        })
    }
}

/// A line that was not understood, a team that could not be opened and a colleague who left are in the list as people
/// without a name.
fn known(standing: &Standing, email: Option<&String>) -> bool {
    email.is_some() || !matches!(standing, Standing::Unknown(_))
}

async fn read(app: &App, source: &Source) -> Result<Seen, Failure> {
    let wanted = Wanted::Only { ledgers: BTreeSet::new(), directory: true };
    let mut reading = gather::source(source, &Known::default(), &wanted, app.now()).await;
    let believed = directory::believed(app, &source.name).await?;
    let list = match reading.directory.take() {
        Some(list) => Ok(list),
        None if reading.troubles.is_empty() => Err(gather::nobody_signed_in(&source.name)),
        None => Err(reading.troubles.swap_remove(0)),
    };
    let doubt = list.as_ref().ok().and_then(|list| directory::doubt(&believed.clone().unwrap_or_default(), list));
    Ok(Seen {
        name: source.name.clone(),
        title: source.manifest.title,
        kind: gather::directory_kind(source.manifest.grade),
        issued: list.as_ref().ok().and_then(|list| list.issued),
        rows: list.map(|list| list.rows),
        believed,
        doubt,
        file: file::of(app, source)?,
    })
}

/// A list shows every client of the firm.
fn may_look(app: &App, firm: &Firm) -> Result<(), Failure> {
    if act::sees_all(app, firm) {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "these lists name all clients of the firm").next("Ask an owner or an admin."))
}

async fn list(app: &App) -> Result<Report, Failure> {
    may_look(app, &app.firm().await?)?;
    let world = app.world().await?;
    let mut seen = Vec::new();
    for source in world.sources.values().filter(|s| s.connector.directory().is_some()) {
        seen.push(read(app, source).await?);
    }
    let rows = seen.iter().map(|s| {
        let counts = s.counts().map(|(clients, people, _)| (clients.to_string(), people.to_string()));
        let (clients, people) = counts.unwrap_or_else(|| ("–".to_owned(), "–".to_owned()));
        let issued = s.file.as_ref().map_or_else(|| "now".to_owned(), file::Read::issued);
        [s.name.to_string(), s.title.to_owned(), clients, people, issued, s.state().to_owned()]
    });
    let mut text = table(["connection", "is", "clients", "people", "issued", "state"], rows);
    for one in &seen {
        if let Some((why, next)) = one.trouble() {
            let _ = writeln!(text, "{}: {why}", one.name);
            let _ = writeln!(text, "  next: {next}");
        }
    }
    if seen.is_empty() {
        text.push_str("No practice manager or roster is configured.\n");
    }
    let json = json!({"schema": SCHEMA, "lists": seen.iter().map(Seen::json).collect::<Vec<_>>()});
    Ok(Report::new(Exit::Done, json, text))
}

/// The connection's own source. Errors: it has no list of clients.
fn source<'w>(app: &App, world: &'w crate::world::World, typed: &str) -> Result<&'w Source, Failure> {
    let name = act::connection(app, typed)?;
    world.sources.get(&name).filter(|s| s.connector.directory().is_some()).ok_or_else(|| {
        Failure::new(Exit::Failed, format!("{name} is no practice manager and no roster"))
            .next("Those that are: ledgerward roster")
    })
}

async fn show(app: &App, typed: &str) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    may_look(app, &firm)?;
    let world = app.world().await?;
    let seen = read(app, source(app, &world, typed)?).await?;
    let mut text = format!("{}: {}, {}\n", seen.name, seen.title, seen.state());
    if let Some((why, next)) = seen.trouble() {
        let _ = writeln!(text, "  {why}\n  next: {next}");
    }
    if let Some(file) = &seen.file {
        text.push_str(&file.text());
    }
    let empty = BTreeMap::new();
    let links = Links::new(&firm);
    let rows: Vec<_> = seen.rows.as_ref().unwrap_or(&empty).values().map(|r| (r, links.of(&seen.name, r))).collect();
    let lines = rows.iter().map(|(row, link)| {
        let people = row.people.iter().filter(|p| known(&p.standing, p.email.as_ref())).count();
        let odd = match (row.people.iter().any(|p| p.opaque), seen.kind) {
            (false, _) => "",
            (true, SourceKind::Roster) => " (unknown: a line was not understood)",
            (true, _) => " (unknown: it names somebody who may be anybody)",
        };
        [row.name.clone(), row.id.clone(), format!("{people}{odd}"), link_words(app, &firm, link)]
    });
    text.push_str(&table(["client there", "id", "people", "here"], lines));
    let binds: Vec<String> = rows
        .iter()
        .filter_map(|(row, link)| match link {
            Link::Proposed(client, _) => Some(directory::bind_line(client, &seen.name, row, seen.kind)),
            _ => None,
        })
        .collect();
    let clients: Vec<Value> = rows.iter().map(|(row, link)| row_json(app, &firm, row, link)).collect();
    let mut json = json!({"schema": SCHEMA, "list": seen.json(), "clients": clients, "bind": binds});
    if let (Some(file), Some(map)) = (&seen.file, json.as_object_mut()) {
        map.insert("notes".into(), file.notes());
    }
    let report = Report::new(Exit::Done, json, text);
    Ok(match binds.first() {
        Some(bind) => report.note(format!("Next, if they are the same: {bind}")),
        None => report,
    })
}

/// Somebody's private books have a name for nobody else.
fn slug(app: &App, firm: &Firm, client: &Client) -> Option<String> {
    let own = client.private_to.is_none() || client.private_to == act::asking(app, firm);
    own.then(|| client.slug.clone())
}

fn link_words(app: &App, firm: &Firm, link: &Link<'_>) -> String {
    match link {
        Link::Bound(clients) => {
            let names: Vec<String> = clients.iter().filter_map(|c| slug(app, firm, c)).collect();
            if names.is_empty() { "bound".to_owned() } else { format!("bound to {}", names.join(", ")) }
        }
        Link::Proposed(client, why) => format!("{why} {}", client.slug),
        Link::Nobody => "linked to nobody".to_owned(),
    }
}

fn row_json(app: &App, firm: &Firm, row: &ClientRow, link: &Link<'_>) -> Value {
    let (state, clients) = match link {
        Link::Bound(clients) => ("bound", clients.iter().filter_map(|c| slug(app, firm, c)).collect()),
        Link::Proposed(client, _) => ("proposed", vec![client.slug.clone()]),
        Link::Nobody => ("unlinked", Vec::new()),
    };
    let named = row.people.iter().filter(|p| known(&p.standing, p.email.as_ref()));
    json!({
        "id": row.id,
        "name": row.name,
        "link": state,
        "clients": clients,
        "unknown": row.people.iter().any(|p| p.opaque),
        "people": named.map(|p| json!({"email": p.email, "role": p.role, "standing": p.standing})).collect::<Vec<_>>(),
    })
}

async fn accept(app: &App, typed: &str, reason: &str) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    may_look(app, &firm)?;
    // What a shorter list takes away is decided here, so an admin who needs an owner for less needs one for this.
    if let Actor::Person(id) = acting(app, &firm)?
        && change::needs_publishing(&firm, id, app.config.policy.four_eyes)
    {
        let text = "this decides who loses access, and an owner must";
        return Err(Failure::new(Exit::Failed, text).next("Ask an owner of the firm."));
    }
    let connection = act::connection(app, typed)?;
    if let Some(why) = churn::accept(app, &connection, reason).await? {
        let text = format!("{connection}: its list is believed from the next run on. It was not, because {why}.\n");
        let json = json!({"schema": SCHEMA, "accepted": true, "connection": connection, "why": why});
        return Ok(Report::new(Exit::Done, json, text).note("Next: ledgerward plan"));
    }
    let world = app.world().await?;
    if world.sources.get(&connection).is_some_and(|s| s.connector.directory().is_none()) {
        let text = format!("{connection}: its list is believed already; nothing was to accept.\n");
        let json = json!({"schema": SCHEMA, "accepted": false, "connection": connection});
        return Ok(Report::new(Exit::Done, json, text));
    }
    let seen = read(app, source(app, &world, typed)?).await?;
    let doubted = seen.doubt.is_some();
    let Seen { name, rows, issued, believed, .. } = seen;
    let pairs = directory::pairs(&rows.map_err(|e| e.with("connection", name.as_str()))?);
    if doubted {
        directory::accept(app, &name, (pairs, issued), reason).await?;
    }
    let before = believed.unwrap_or_default().pairs;
    let text = if doubted {
        format!("{name}: believed with {} instead of {before}.\n", count(pairs, "entry").replace("entrys", "entries"))
    } else {
        format!("{name}: its list is believed already; nothing was to accept.\n")
    };
    let json = json!({"schema": SCHEMA, "accepted": doubted, "connection": name, "pairs": pairs, "before": before});
    let report = Report::new(Exit::Done, json, text);
    Ok(if doubted { report.note("Next: ledgerward plan") } else { report })
}

/// Needs no firm: it reads one file with the rights of whoever asks.
pub fn check(check: &RosterCheck) -> Result<Report, Failure> {
    file::check(check)
}

#[cfg(feature = "roster")]
mod file;

#[cfg(not(feature = "roster"))]
mod file {
    use super::{App, Exit, Failure, Report, RosterCheck, Source, Value};

    pub(super) enum Read {}

    pub(super) fn of(_: &App, _: &Source) -> Result<Option<Read>, Failure> {
        Ok(None)
    }

    impl Read {
        pub(super) fn issued(&self) -> String {
            match *self {}
        }
        pub(super) fn json(&self) -> Value {
            match *self {}
        }
        pub(super) fn notes(&self) -> Value {
            match *self {}
        }
        pub(super) fn text(&self) -> String {
            match *self {}
        }
    }

    pub(super) fn check(_: &RosterCheck) -> Result<Report, Failure> {
        Err(Failure::new(Exit::Failed, "this build has no roster connector").next("See: ledgerward connectors"))
    }
}
