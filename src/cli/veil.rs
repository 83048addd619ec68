//! What an answer says of somebody else's private books: whose they are and how much is done, and nothing that has a name
//! (`product` 4).

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ClientId, SourceRef};
use serde_json::Value;

use super::{act, findings::Unseen};
use crate::{
    app::App,
    domain::{firm::Firm, lane::LaneKey},
};

/// In the place of whatever would tell more.
pub const PRIVATE: &str = "private";

/// The books that are not there for whoever asks, as of [`Unseen`]: short name, and the words for it.
#[derive(Default)]
pub struct Veil {
    books: BTreeMap<ClientId, (String, String)>,
    /// Ledgers and lines of theirs alone.
    sources: BTreeSet<SourceRef>,
}

impl Veil {
    pub fn of(app: &App, firm: &Firm) -> Self {
        let unseen = Unseen::of(app, firm);
        let own = unseen.books().iter().flat_map(|c| &c.sources).filter(|s| unseen.hides(s));
        let books = unseen.books().iter().map(|c| (c.id, (c.slug.clone(), firm.open_name(c))));
        Self { books: books.collect(), sources: own.cloned().collect() }
    }

    pub fn hides(&self, client: ClientId) -> bool {
        self.books.contains_key(&client)
    }

    pub fn hides_lane(&self, lane: &LaneKey) -> bool {
        self.hides(lane.folder.client)
    }

    /// Whether a folder carries the mark of one of these.
    pub fn marks(&self, marker: Option<&str>) -> bool {
        marker.is_some_and(|m| self.books.keys().any(|id| m.starts_with(&id.to_string())))
    }

    pub fn hides_source(&self, source: &SourceRef) -> bool {
        self.sources.contains(source)
    }

    /// The client's short name, or whose books it is.
    pub fn slug(&self, firm: &Firm, id: ClientId) -> String {
        self.books.get(&id).map_or_else(|| act::slug(firm, id), |(_, words)| words.clone())
    }

    /// The same for a lane that knows its client's name.
    pub fn client<'t>(&'t self, lane: &LaneKey, known: &'t str) -> &'t str {
        self.books.get(&lane.folder.client).map_or(known, |(_, words)| words)
    }

    /// What is said of one folder.
    pub fn text<'t>(&self, lane: &LaneKey, text: &'t str) -> &'t str {
        if self.hides_lane(lane) { PRIVATE } else { text }
    }

    /// A line that begins with its client's short name, as those of a delivery do.
    pub fn line(&self, text: &str) -> String {
        let of = text.split_once(": ").and_then(|(slug, _)| self.books.values().find(|(known, _)| known == slug));
        of.map_or_else(|| text.to_owned(), |(_, words)| format!("{words}: {PRIVATE}"))
    }

    /// Plans, holds and what was done, as they are written: each that says of which lane it is, wherever it stands.
    pub fn json(&self, value: &mut Value) {
        match value {
            _ if self.books.is_empty() => {}
            Value::Array(all) => all.iter_mut().for_each(|v| self.json(v)),
            Value::Object(map) => {
                let id = map.get("lane").and_then(|l| l.pointer("/folder/client")).and_then(Value::as_str);
                let of = id.and_then(|id| self.books.iter().find(|(book, _)| book.to_string() == id));
                if let Some((_, (_, words))) = of {
                    map.iter_mut().filter(|(key, _)| *key != "lane").for_each(|(key, v)| hide(key, v));
                    map.insert("client".to_owned(), Value::from(words.as_str()));
                    return;
                }
                for (key, value) in map {
                    match (key.as_str(), value) {
                        ("failed" | "not_available", Value::Array(lines)) => lines.iter_mut().for_each(|line| {
                            if let Some(text) = line.as_str() {
                                *line = Value::from(self.line(text));
                            }
                        }),
                        (_, value) => self.json(value),
                    }
                }
            }
            _ => {}
        }
    }
}

/// Who gains and who loses stays, for whoever approves has to know; what it is about goes.
fn hide(key: &str, value: &mut Value) {
    match (key, value) {
        ("name" | "path" | "folder", Value::String(text)) => text.clear(),
        ("because" | "change" | "error" | "source" | "trouble" | "why", value @ Value::String(_)) => {
            *value = Value::from(PRIVATE);
        }
        ("findings" | "trouble", Value::Array(all)) => all.clear(),
        (_, Value::Array(all)) => all.iter_mut().for_each(|v| hide(key, v)),
        (_, Value::Object(map)) => map.iter_mut().for_each(|(key, v)| hide(key, v)),
        _ => {}
    }
}
