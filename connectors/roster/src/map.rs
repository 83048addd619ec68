//! What the lines of a list mean: clients, and who is named for each.
//!
//! A line that is not understood gives nobody anything, and takes nothing from anybody: if it names a client, nothing is
//! known of that client until the line is put right; if it does not, nothing is known of any.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use ledgerward_contract::{Assignment, ClientRow, Email, Error, Result, Standing, Timestamp};
use serde::Serialize;

use crate::{
    OP, api,
    grid::{Cell, Grid, Line, tidy},
    header::{self, Found},
    issued,
    settings::{Form, Settings},
    text, workbook,
};

/// The role of everybody in a list that has no column for it.
pub const LISTED: &str = "listed";
/// The role where the column for it is empty. No role table has it, so it gives nothing until the firm says so.
const NO_ROLE: &str = "(empty)";

/// What was made of one file.
#[derive(Debug)]
pub struct Report {
    pub file: PathBuf,
    /// In words: encoding and delimiter, or the sheet.
    pub read_as: String,
    /// Which header is which field.
    pub columns: BTreeMap<&'static str, String>,
    pub issued: Option<Timestamp>,
    pub stale_after_days: u16,
    /// Lines of the list below its header, blank ones not counted.
    pub lines: usize,
    /// Of these, the lines that say who is named for which client.
    pub understood: usize,
    pub notes: Vec<Note>,
    pub clients: Vec<ClientRow>,
    /// The first line that has others of the list within one of its cells: of whoever stands on those nothing is known.
    pub swallowed: Option<u32>,
    /// Why nothing of it is used.
    pub fault: Option<Error>,
}

/// Something to say about one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// As a person counts them in the file, from 1.
    pub line: u32,
    #[serde(flatten)]
    pub kind: NoteKind,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "means", rename_all = "snake_case")]
pub enum NoteKind {
    /// No line of the list: a sum, the header again.
    Passed,
    /// Understood, with something to look at.
    Look,
    /// Not understood; nothing is known of this client.
    ClientUnknown { client: String },
    /// Not understood, and it names no client; the list is refused, or the line left out.
    NoClient,
}

impl Report {
    /// The same where the list is believed. Errors: why it is not.
    pub fn believed(mut self) -> Result<Self> {
        match self.fault.take() {
            Some(e) => Err(e),
            None => Ok(self),
        }
    }
}

/// Reads the file and says what was understood of it, whether or not it is believed.
pub fn examine(settings: &Settings, now: Timestamp) -> Report {
    let mut report = Report {
        file: settings.file.clone(),
        read_as: String::new(),
        columns: BTreeMap::new(),
        issued: None,
        stale_after_days: settings.stale_after_days,
        lines: 0,
        understood: 0,
        notes: Vec::new(),
        clients: Vec::new(),
        swallowed: None,
        fault: None,
    };
    report.fault = fill(settings, now, &mut report).err();
    report
}

fn fill(settings: &Settings, now: Timestamp, report: &mut Report) -> Result<()> {
    let form = settings.form()?;
    let raw = api::read(&settings.file, form, now)?;
    let mut grid = match form {
        Form::Text => text::read(&raw.bytes, settings)?,
        Form::Workbook => workbook::read(raw.bytes, settings.sheet.as_deref())?,
    };
    grid.lines.retain(|l| l.number > settings.skip_lines);
    report.read_as.clone_from(&grid.read_as);
    let found = header::find(&grid.lines, settings)?;
    report.columns = found.words();
    rows(settings, &grid, &found, report);
    let lines = grid.lines.get(found.above..).unwrap_or_default();
    let made = issued::of(settings, &grid, lines, found.column("issued"), raw.modified)?;
    report.issued = Some(made);
    // No setting leaves such lines out: whoever stands on them would be believed to be gone.
    if let Some(first) = report.swallowed {
        let text = format!("a cell of the list goes on over other lines of it, the first is line {first}");
        return Err(Error::contract(OP, text)
            .next("Look for a quotation mark too many there, or write the cell on one line. Line by line: ledgerward roster NAME"));
    }
    let orphans = report.notes.iter().filter(|n| n.kind == NoteKind::NoClient).count();
    if orphans > 0 && !settings.skip_unreadable {
        let first = report.notes.iter().find(|n| n.kind == NoteKind::NoClient).map_or(0, |n| n.line);
        let text =
            format!("{orphans} of the list's lines name no client that we understand, the first is line {first}");
        return Err(Error::contract(OP, text).next(
            "Where one client's name stands above several lines, say fill_down = true. Else put them right; only lines that \
             are nobody's may be left out with skip_unreadable = true. Line by line: ledgerward roster NAME",
        ));
    }
    if report.understood == 0 {
        return Err(Error::contract(OP, "the list names nobody").next("Look at the file, or export it again."));
    }
    issued::fresh(made, now, settings.stale_after_days)
}

/// One client while its lines are read.
#[derive(Default)]
struct Client {
    name: String,
    people: BTreeMap<(String, String), Assignment>,
    /// Lines of it that were not understood.
    doubts: Vec<u32>,
}

/// What one line says.
struct Said {
    id: String,
    name: String,
    /// `None` where the line was not understood: why.
    people: Result<Vec<Email>, String>,
}

fn rows(settings: &Settings, grid: &Grid, found: &Found, report: &mut Report) {
    let mut clients: BTreeMap<String, Client> = BTreeMap::new();
    let mut above: Option<(String, String)> = None;
    for line in grid.lines.iter().skip(found.above) {
        report.lines += 1;
        if let Some(why) = passed(line, found) {
            report.notes.push(Note { line: line.number, kind: NoteKind::Passed, text: why.to_owned() });
            continue;
        }
        if swallows(settings, line, (grid, found)) {
            report.swallowed.get_or_insert(line.number);
            let text = "has a cell that goes on over several lines, with cells of other lines in it: a quotation mark too many?";
            report.notes.push(Note { line: line.number, kind: NoteKind::NoClient, text: text.to_owned() });
            continue;
        }
        match said(settings, line, found, above.as_ref()) {
            Err(text) => report.notes.push(Note { line: line.number, kind: NoteKind::NoClient, text }),
            Ok(said) => {
                above = Some((said.id.clone(), said.name.clone()));
                take(settings, line, found, said, &mut clients, report);
            }
        }
    }
    report.clients = clients.into_iter().map(|(id, client)| client.row(id)).collect();
}

fn take(
    settings: &Settings,
    line: &Line,
    found: &Found,
    said: Said,
    clients: &mut BTreeMap<String, Client>,
    report: &mut Report,
) {
    let client = clients.entry(said.id).or_default();
    let mut look = |text: String| report.notes.push(Note { line: line.number, kind: NoteKind::Look, text });
    if client.name.is_empty() {
        client.name.clone_from(&said.name);
    } else if tidy(&client.name).to_lowercase() != said.name.to_lowercase() {
        look(format!("calls the client \"{}\", which an earlier line calls \"{}\"", said.name, client.name));
    }
    let people = match said.people {
        Ok(people) => people,
        Err(text) => {
            client.doubts.push(line.number);
            let kind = NoteKind::ClientUnknown { client: client.name.clone() };
            return report.notes.push(Note { line: line.number, kind, text });
        }
    };
    report.understood += 1;
    let role = match (found.column("role"), line.text(found.column("role"))) {
        (None, _) => LISTED.to_owned(),
        (Some(_), Ok(Some(word))) => tidy(&word),
        (Some(_), Ok(None)) => NO_ROLE.to_owned(),
        (Some(_), Err(why)) => format!("({why})"),
    };
    let standing = standing(settings, line, found);
    if let Standing::Unknown(word) = &standing {
        look(format!("has the status \"{word}\", which is in none of the lists of the setting statuses"));
    }
    let name = line.text(found.column("name")).ok().flatten().map(|n| tidy(&n)).unwrap_or_default();
    for email in people {
        let key = (email.key().to_owned(), role.clone());
        let one = Assignment {
            user: email.key().into(),
            email: Some(email.as_given().to_owned()),
            name: if name.is_empty() { email.as_given().to_owned() } else { name.clone() },
            role: role.clone(),
            standing: standing.clone(),
            opaque: false,
        };
        // One person is in force on one line and not on another: then nobody knows which is right.
        let others = client.people.values_mut().filter(|p| p.user == one.user && p.standing != one.standing);
        let mut disagree = false;
        others.for_each(|p| {
            p.standing = Standing::Unknown("lines disagree".to_owned());
            disagree = true;
        });
        let mut one = one;
        if disagree {
            look(format!("gives {} another status for this client than an earlier line", email.as_given()));
            one.standing = Standing::Unknown("lines disagree".to_owned());
        }
        client.people.entry(key).or_insert(one);
    }
}

/// Errors: why the line names no client, in words for a person.
fn said(settings: &Settings, line: &Line, found: &Found, above: Option<&(String, String)>) -> Result<Said, String> {
    if found.fields.is_some_and(|n| line.width() > n) {
        return Err("has more cells than the header: a delimiter inside a name that is not quoted?".to_owned());
    }
    let (id, name) = match &settings.client {
        Some(client) => (client.to_lowercase(), client.clone()),
        None => client(settings, line, found, above)?,
    };
    let people = people(settings, line, found.column("person"));
    Ok(Said { id, name, people })
}

/// Whether a quotation mark too many made one cell of several lines of the list: whoever stands on them would be missing,
/// whichever column it began in. Such a cell has cells of other lines in it, and somebody's among them. Only a text has
/// quotation marks.
fn swallows(settings: &Settings, line: &Line, (grid, found): (&Grid, &Found)) -> bool {
    let Some(delimiter) = grid.delimiter else { return false };
    let cells = found.fields.unwrap_or(2) as usize;
    line.cells.iter().any(|(at, cell)| {
        let Cell::Text(text) = cell else { return false };
        if !text.contains(['\n', '\r']) {
            return false;
        }
        let is = |field: &str| found.column(field) == Some(*at);
        if is("person") {
            // Several people may stand in one cell, each on a line of their own.
            return text.contains(delimiter) && people(settings, line, Some(*at)).is_err();
        }
        if is("client") || is("client_id") {
            // A name may be written on two lines.
            return text.matches(delimiter).count() + 1 >= cells || text.contains(['"', '@']);
        }
        let somebody = |part: &str| part.split(delimiter).any(|cell| person(settings, cell.trim()).is_some());
        text.split(['\n', '\r']).any(|part| part.contains(delimiter) && somebody(part))
    })
}

fn client(
    settings: &Settings,
    line: &Line,
    found: &Found,
    above: Option<&(String, String)>,
) -> Result<(String, String), String> {
    let read = |field: &str| -> Result<Option<String>, String> {
        let text = line.text(found.column(field)).map_err(|why| format!("the client is {why}"))?;
        Ok(text.map(|t| tidy(&t)).filter(|t| !t.is_empty()))
    };
    let name = read("client")?;
    let number = read("client_id")?;
    let by_number = found.column("client_id").is_some();
    match (by_number, number, name) {
        (true, Some(number), name) => Ok((number.clone(), name.unwrap_or(number))),
        // Somebody who writes a name in other letters means the same client.
        (false, _, Some(name)) => Ok((name.to_lowercase(), name)),
        (true, None, Some(name)) => Err(format!("names \"{name}\" without its number")),
        (_, None | Some(_), None) => match above.filter(|_| settings.fill_down) {
            Some(above) => Ok(above.clone()),
            None => Err("names no client".to_owned()),
        },
    }
}

/// Everybody whom the cell names. Errors: why it is not understood, in words for a person.
/// Whom an address, or a name of the setting `people`, stands for.
fn person(settings: &Settings, text: &str) -> Option<Email> {
    let word = tidy(text).to_lowercase();
    let address = text.rsplit_once('<').and_then(|(_, a)| a.strip_suffix('>')).unwrap_or(text);
    let address = address.strip_prefix("mailto:").unwrap_or(address);
    settings.people.get(&word).cloned().or_else(|| Email::parse(address).ok())
}

fn people(settings: &Settings, line: &Line, column: Option<u32>) -> Result<Vec<Email>, String> {
    let cell = line.text(column).map_err(|why| format!("the person is {why}"))?;
    let Some(cell) = cell else { return Err("names nobody".to_owned()) };
    let one = |text: &str| person(settings, text);
    if settings.nobody.contains(&tidy(&cell).to_lowercase()) {
        return Ok(Vec::new());
    }
    if let Some(email) = one(cell.trim()) {
        return Ok(vec![email]);
    }
    let parts = cell.split([';', ',', '\n']).map(str::trim).filter(|p| !p.is_empty());
    let all: Vec<Option<Email>> = parts.map(one).collect();
    let all: Option<BTreeSet<Email>> = all.into_iter().collect();
    all.filter(|a| !a.is_empty())
        .map(|a| a.into_iter().collect())
        .ok_or_else(|| format!("\"{}\" is no address, and the setting people does not name it", short(&cell)))
}

fn standing(settings: &Settings, line: &Line, found: &Found) -> Standing {
    let Some(column) = found.column("status") else { return Standing::Active };
    let word = match line.text(Some(column)) {
        Ok(Some(word)) => tidy(&word),
        Ok(None) => return Standing::Unknown("(empty)".to_owned()),
        Err(why) => return Standing::Unknown(format!("({why})")),
    };
    let lower = word.to_lowercase();
    match &settings.statuses {
        s if s.active.contains(&lower) => Standing::Active,
        s if s.pending.contains(&lower) => Standing::Pending,
        s if s.disabled.contains(&lower) => Standing::Disabled,
        _ => Standing::Unknown(short(&word)),
    }
}

impl Client {
    fn row(self, id: String) -> ClientRow {
        let name = if self.name.is_empty() { id.clone() } else { self.name };
        let mut people: Vec<Assignment> = self.people.into_values().collect();
        // Somebody is on this client's lines whom we cannot name: whoever is missing may be that one.
        people.extend(self.doubts.iter().map(|line| Assignment {
            user: format!("line {line}").into(),
            email: None,
            name: String::new(),
            role: LISTED.to_owned(),
            standing: Standing::Unknown(format!("line {line} of the list was not understood")),
            opaque: true,
        }));
        ClientRow { id, name, number: None, active: true, people, ledgers: Vec::new(), groups: Vec::new() }
    }
}

/// Why a line is none of the list's: a sum below it, or the header once more on another page.
fn passed(line: &Line, found: &Found) -> Option<&'static str> {
    let texts: Vec<String> = line.cells.iter().filter_map(|(at, _)| line.text(Some(*at)).ok().flatten()).collect();
    let again = !found.header.is_empty()
        && line.cells.len() == found.header.len()
        && line.cells.iter().all(|(at, _)| {
            line.text(Some(*at)).ok().flatten().is_some_and(|t| found.header.get(at) == Some(&tidy(&t)))
        });
    if again {
        return Some("the header once more");
    }
    let (first, rest) = texts.split_first().filter(|_| texts.len() == line.cells.len())?;
    let numbers = |text: &str| text.chars().all(|c| !c.is_alphabetic());
    const WORDS: &[&str] =
        &["grand", "total", "totals", "subtotal", "sub", "users", "clients", "people", "staff", "rows", "lines", "of"];
    let lower = first.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphabetic()).filter(|w| !w.is_empty()).peekable();
    let sum = lower.contains("total") && words.peek().is_some() && words.all(|w| WORDS.contains(&w));
    (sum && rest.iter().all(|t| numbers(t))).then_some("a total")
}

/// Enough of a cell to find it by.
fn short(text: &str) -> String {
    let text = tidy(text);
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
