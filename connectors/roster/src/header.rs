//! Which column is which.

use std::collections::BTreeMap;

use ledgerward_contract::{Error, ErrorKind, Result};

use crate::{
    OP,
    grid::{Line, tidy},
    settings::{Column, Issued, Settings},
};

/// The header is one of the first lines that are not blank; titles and dates stand above it.
pub const LINES: usize = 30;

/// Headers that mean one thing everywhere, lower case. A client's number is never guessed: with it every client's id
/// changes, and with that every binding.
const GUESSES: &[(&str, &[&str])] = &[
    (
        "person",
        &["email", "e-mail", "email address", "e-mail address", "user email", "staff email", "person", "username"],
    ),
    ("client", &["client", "client name", "company", "company name", "organisation", "organization", "customer"]),
    ("name", &["name", "full name", "user", "user name", "staff", "staff name", "staff member"]),
    (
        "role",
        &["role", "access", "user type", "user role", "access level", "permission", "permissions", "responsibility"],
    ),
    ("status", &["status", "user status", "state"]),
];

/// Where the fields are: columns from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many lines of the grid are no lines of the list: the header and what is above it.
    pub above: usize,
    pub at: BTreeMap<&'static str, u32>,
    /// How many cells the header of a text has.
    pub fields: Option<u32>,
    /// The header's own line, where there is one, as it is written.
    pub header: BTreeMap<u32, String>,
}

impl Found {
    pub fn column(&self, field: &str) -> Option<u32> {
        self.at.get(field).copied()
    }

    /// For a person: which header is which field.
    pub fn words(&self) -> BTreeMap<&'static str, String> {
        let word = |at: &u32| self.header.get(at).cloned().unwrap_or_else(|| format!("column {}", at + 1));
        self.at.iter().map(|(field, at)| (*field, word(at))).collect()
    }
}

/// Errors: `Contract` where the columns are not there or there twice, `Config` where several could be meant.
pub fn find(lines: &[Line], settings: &Settings) -> Result<Found> {
    if let Some(found) = positions(settings) {
        return Ok(found);
    }
    let mut missing = wanted(settings);
    for (n, line) in lines.iter().take(LINES).enumerate() {
        match columns(line, settings) {
            Ok(mut found) => {
                found.above = n + 1;
                return Ok(found);
            }
            Err(Miss::Wrong(e)) => return Err(e),
            Err(Miss::Without(left)) if left.len() < missing.len() => missing = left,
            Err(Miss::Without(_)) => {}
        }
    }
    Err(Error::contract(OP, format!("the list has no column for: {}", missing.join(", "))).next(
        "Say what the columns are called: columns = { person = \"…\", client = \"…\" }, or client = \"…\" for a file of one \
         client.",
    ))
}

/// A list without a header: every column by its position.
fn positions(settings: &Settings) -> Option<Found> {
    let mut at = BTreeMap::new();
    for (field, column) in settings.columns.all() {
        let Column::At(n) = column else { return None };
        at.insert(field, u32::from(*n).saturating_sub(1));
    }
    let client = settings.client.is_some() || at.contains_key("client") || at.contains_key("client_id");
    (client && at.contains_key("person") && !matches!(settings.issued, Issued::Column(_))).then_some(Found {
        above: 0,
        at,
        fields: None,
        header: BTreeMap::new(),
    })
}

fn wanted(settings: &Settings) -> Vec<String> {
    let mut all: Vec<String> = settings.columns.all().map(|(field, _)| field.to_owned()).collect();
    all.push("person".to_owned());
    if settings.client.is_none() {
        all.push("client".to_owned());
    }
    all.sort();
    all.dedup();
    all
}

enum Miss {
    Without(Vec<String>),
    Wrong(Error),
}

fn columns(line: &Line, settings: &Settings) -> Result<Found, Miss> {
    let words: Vec<(u32, String)> =
        line.cells.iter().filter_map(|(at, _)| Some((*at, tidy(&line.text(Some(*at)).ok()??)))).collect();
    let lower = |text: &str| tidy(text.trim_end_matches([':', '*', ' '])).to_lowercase();
    let named =
        |word: &str| -> Vec<u32> { words.iter().filter(|(_, w)| lower(w) == lower(word)).map(|(at, _)| *at).collect() };
    let mut found = Found {
        header: words.iter().cloned().collect(),
        fields: Some(line.fields).filter(|n| *n > 0),
        ..Found::default()
    };
    let mut without = Vec::new();
    let issued = match &settings.issued {
        Issued::Column(word) => Some(("issued", Column::Header(word.clone()))),
        _ => None,
    };
    for (field, column) in settings.columns.all().map(|(f, c)| (f, c.clone())).chain(issued) {
        match &column {
            Column::At(n) => drop(found.at.insert(field, u32::from(*n).saturating_sub(1))),
            Column::Header(word) => match named(word).as_slice() {
                [] => without.push(format!("{field} (\"{word}\")")),
                [one] => drop(found.at.insert(field, *one)),
                _ => return Err(Miss::Wrong(twice(field, word))),
            },
        }
    }
    let mut unclear = None;
    for (field, guesses) in GUESSES {
        let client = *field == "client" && (settings.client.is_some() || settings.columns.client_id.is_some());
        if found.at.contains_key(field) || settings.columns.all().any(|(f, _)| f == *field) {
            continue;
        }
        let taken: Vec<u32> = found.at.values().copied().collect();
        let hits: Vec<u32> = guesses.iter().flat_map(|g| named(g)).filter(|at| !taken.contains(at)).collect();
        match hits.as_slice() {
            [one] if !client || settings.client.is_none() => drop(found.at.insert(field, *one)),
            // What somebody is called decides nothing.
            [first, ..] if *field == "name" => drop(found.at.insert(field, *first)),
            [_, _, ..] if !client => unclear = unclear.or(Some(*field)),
            _ => {}
        }
    }
    if found.column("person").is_none() && unclear != Some("person") {
        without.push("person".to_owned());
    }
    let client = settings.client.is_some() || found.column("client").or(found.column("client_id")).is_some();
    if !client && unclear != Some("client") {
        without.push("client".to_owned());
    }
    match (without.is_empty(), unclear) {
        (false, _) => Err(Miss::Without(without)),
        (true, Some(field)) => Err(Miss::Wrong(unclear_field(field))),
        (true, None) => Ok(found),
    }
}

fn twice(field: &str, word: &str) -> Error {
    Error::contract(OP, format!("the list has the column \"{word}\" more than once"))
        .next(format!("Rename one of them, or say which by its position from 1: columns = {{ {field} = 2 }}."))
}

fn unclear_field(field: &str) -> Error {
    Error::new(ErrorKind::Config, OP, format!("several columns of the list could be the {field}"))
        .next(format!("Say which: columns = {{ {field} = \"…\" }}."))
}
