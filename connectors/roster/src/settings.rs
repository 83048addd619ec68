//! What may be configured, checked before anything is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use encoding_rs::Encoding;
use ledgerward_contract::{Email, Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::{MANIFEST, grid::tidy};

/// The connector's own part of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub file: PathBuf,
    #[serde(default)]
    pub columns: Columns,
    pub client: Option<String>,
    pub sheet: Option<String>,
    #[serde(default = "auto")]
    pub encoding: String,
    #[serde(default = "auto")]
    pub delimiter: String,
    #[serde(default)]
    pub skip_lines: u32,
    #[serde(default)]
    pub fill_down: bool,
    #[serde(default)]
    pub issued: Issued,
    pub date_format: Option<String>,
    #[serde(default = "month")]
    pub stale_after_days: u16,
    #[serde(default)]
    pub statuses: Statuses,
    #[serde(default)]
    pub people: BTreeMap<String, Email>,
    #[serde(default = "nobody")]
    pub nobody: BTreeSet<String>,
    #[serde(default)]
    pub skip_unreadable: bool,
}

fn auto() -> String {
    "auto".to_owned()
}

/// A list that comes once a month is late by no more than a few days.
const fn month() -> u16 {
    35
}

fn nobody() -> BTreeSet<String> {
    ["nobody", "none", "unassigned", "-"].map(str::to_owned).into()
}

/// Where each field is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    pub person: Option<Column>,
    pub client: Option<Column>,
    pub client_id: Option<Column>,
    pub name: Option<Column>,
    pub role: Option<Column>,
    pub status: Option<Column>,
}

/// A header, or a position from 1.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Column {
    At(u16),
    Header(String),
}

/// What says when the list was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Issued {
    #[default]
    File,
    Cell(String),
    Column(String),
}

/// The words of the status column, in any case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Statuses {
    pub active: BTreeSet<String>,
    pub pending: BTreeSet<String>,
    pub disabled: BTreeSet<String>,
}

impl Default for Statuses {
    fn default() -> Self {
        let words = |list: &[&str]| list.iter().map(|w| (*w).to_owned()).collect();
        Self {
            active: words(&["active", "enabled", "accepted", "current"]),
            pending: words(&["pending", "invited", "invitation sent", "invite sent"]),
            disabled: words(&["disabled", "inactive", "deactivated", "suspended", "deleted", "removed", "left"]),
        }
    }
}

/// How the file is taken, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Text,
    Workbook,
}

fn wrong(text: impl Into<String>, next: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "settings.read", text).next(next)
}

impl Settings {
    /// Each key is read by itself first, so that an error can name it.
    pub fn read(value: &Value) -> Result<Self> {
        let map = value.as_object().ok_or_else(|| wrong("a roster has no settings", "Say at least file = \"/…\"."))?;
        for (key, value) in map {
            if !MANIFEST.settings.iter().any(|(name, _)| name == key) {
                let known: Vec<_> = MANIFEST.settings.iter().map(|(name, _)| *name).collect();
                return Err(wrong(
                    format!("a roster has no setting \"{key}\""),
                    format!("Use one of: {}.", known.join(", ")),
                ));
            }
            let mut alone = serde_json::Map::from_iter([("file".to_owned(), Value::from("/x.csv"))]);
            alone.insert(key.clone(), value.clone());
            serde_json::from_value::<Self>(Value::Object(alone)).map_err(|e| {
                let help = MANIFEST.settings.iter().find(|(name, _)| name == key).map_or("", |(_, help)| help);
                wrong(format!("the setting \"{key}\": {e}"), format!("{key} is: {help}."))
            })?;
        }
        let settings: Self = serde_json::from_value(value.clone())
            .map_err(|e| wrong(format!("the settings of a roster are not right: {e}"), "Say file = \"/…\"."))?;
        settings.checked()
    }

    fn checked(mut self) -> Result<Self> {
        if !self.file.is_absolute() {
            let text = format!("file = \"{}\" is not an absolute path", self.file.display());
            return Err(wrong(text, "Write the whole path, beginning with /."));
        }
        self.form()?;
        self.encoding()?;
        self.delimiter()?;
        if let Some(client) = &mut self.client {
            *client = tidy(client);
            if client.is_empty() {
                return Err(wrong("the setting \"client\" is empty", "Name the client, or leave the setting out."));
            }
            if self.columns.client.is_some() || self.columns.client_id.is_some() {
                return Err(wrong(
                    "the settings name one client for the whole file, and a column of clients as well",
                    "Keep one of the two: client, or columns.client.",
                ));
            }
        }
        if self.columns.all().any(|(_, c)| *c == Column::At(0)) {
            return Err(wrong("a column has the position 0", "Positions count from 1."));
        }
        if self.stale_after_days == 0 {
            return Err(wrong("stale_after_days = 0 would believe no list", "Say after how many days: at least 1."));
        }
        if let Issued::Cell(cell) = &self.issued {
            crate::issued::place(cell).ok_or_else(|| {
                wrong(
                    format!("issued: \"{cell}\" is no cell"),
                    "Write its column and line: issued = { cell = \"B1\" }.",
                )
            })?;
        }
        let lower = |set: &BTreeSet<String>| set.iter().map(|w| tidy(w).to_lowercase()).collect::<BTreeSet<_>>();
        self.nobody = lower(&self.nobody);
        let s = &mut self.statuses;
        (s.active, s.pending, s.disabled) = (lower(&s.active), lower(&s.pending), lower(&s.disabled));
        let twice = s.active.iter().find(|w| s.pending.contains(*w) || s.disabled.contains(*w));
        if let Some(word) = twice.or_else(|| s.pending.intersection(&s.disabled).next()) {
            let text = format!("the status \"{word}\" has two meanings");
            return Err(wrong(
                text,
                "Name each word in one of active, pending, disabled; a list you give replaces ours.",
            ));
        }
        let named = std::mem::take(&mut self.people);
        self.people = named.into_iter().map(|(name, email)| (tidy(&name).to_lowercase(), email)).collect();
        Ok(self)
    }

    pub fn form(&self) -> Result<Form> {
        let end = self.file.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
        match end.as_str() {
            "csv" | "tsv" | "txt" => Ok(Form::Text),
            "xlsx" | "xlsm" => Ok(Form::Workbook),
            "xls" | "xlsb" | "ods" => {
                Err(wrong(format!("a .{end} file cannot be read"), "Save the list as .xlsx or .csv."))
            }
            _ => {
                Err(wrong("the name of the file does not say what it is", "It must end in .csv, .tsv, .txt or .xlsx."))
            }
        }
    }

    /// `None` to look at the file's mark.
    pub fn encoding(&self) -> Result<Option<&'static Encoding>> {
        if self.encoding.eq_ignore_ascii_case("auto") {
            return Ok(None);
        }
        Encoding::for_label(self.encoding.as_bytes()).map(Some).ok_or_else(|| {
            let text = format!("there is no encoding \"{}\"", self.encoding);
            wrong(text, "Use \"auto\", \"utf-8\", \"utf-16le\" or \"windows-1252\".")
        })
    }

    /// `None` to find out.
    pub fn delimiter(&self) -> Result<Option<u8>> {
        match self.delimiter.as_bytes() {
            b"auto" => Ok(None),
            b"\\t" | b"tab" => Ok(Some(b'\t')),
            [one] if !one.is_ascii_alphanumeric() && !b"\"\r\n@.".contains(one) => Ok(Some(*one)),
            _ => Err(wrong(
                "the setting \"delimiter\" is no single character",
                "Use \"auto\", \",\", \";\", \"|\" or \"tab\".",
            )),
        }
    }
}

impl Columns {
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &Column)> {
        [
            ("person", &self.person),
            ("client", &self.client),
            ("client_id", &self.client_id),
            ("name", &self.name),
            ("role", &self.role),
            ("status", &self.status),
        ]
        .into_iter()
        .filter_map(|(field, column)| column.as_ref().map(|c| (field, c)))
    }
}
