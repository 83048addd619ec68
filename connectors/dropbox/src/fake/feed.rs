//! Lists by pages, and the change feed behind the same cursor.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, Call, DropboxFake, state::lower, tag};

/// What a cursor remembers.
#[derive(Debug, Deserialize, Serialize)]
struct Place {
    node: u64,
    recursive: bool,
    explicit: bool,
    /// Entries that were given already; `None` once the list is over.
    given: Option<usize>,
    /// Changes that the reader knows of.
    seen: usize,
    /// Looks at the changes so far: a new cursor comes each time, also where nothing is new.
    #[serde(default)]
    looks: u64,
}

fn write(place: &Place) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}

fn read(text: &str) -> Option<Place> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

const ARGS: &[&str] = &[
    "path",
    "recursive",
    "include_deleted",
    "include_mounted_folders",
    "include_has_explicit_shared_members",
    "limit",
];

impl DropboxFake {
    pub(super) fn list_folder(&mut self, call: &Call) -> Answer {
        let place = self.place(call, Some(0))?;
        self.list_page(call, place)
    }

    pub(super) fn latest_cursor(&mut self, call: &Call) -> Answer {
        let place = self.place(call, None)?;
        Ok(json!({ "cursor": write(&place) }))
    }

    fn place(&self, call: &Call, given: Option<usize>) -> Answer<Place> {
        call.only(ARGS)?;
        let node = self.find(call, &call.text("path")?)?;
        if self.st.nodes.get(&node).is_some_and(|n| n.file.is_some()) {
            return tag("path/not_folder");
        }
        if call.arg["limit"].as_u64().is_some_and(|n| n == 0 || n > 2000) {
            return super::plain("Error in call: limit: not within range");
        }
        Ok(Place {
            node,
            recursive: call.flag("recursive"),
            explicit: call.flag("include_has_explicit_shared_members"),
            given,
            seen: self.st.log.len(),
            looks: 0,
        })
    }

    pub(super) fn list_more(&mut self, call: &Call) -> Answer {
        call.only(&["cursor"])?;
        let Some(place) = read(&call.text("cursor")?) else {
            return super::plain("Error in call: cursor: Invalid cursor");
        };
        if place.seen < self.st.log_floor {
            return tag("reset");
        }
        if place.given.is_some() { self.list_page(call, place) } else { self.changes(call, place) }
    }

    fn list_page(&mut self, call: &Call, mut place: Place) -> Answer {
        if !self.st.nodes.contains_key(&place.node) {
            return tag("path/not_found");
        }
        let from = place.given.unwrap_or(0);
        let all = self.below(call, place.node, place.recursive);
        let page: Vec<Value> = all
            .iter()
            .skip(from)
            .take(self.list_page_max)
            .map(|id| self.st.entry(call, *id, true, place.explicit))
            .collect();
        let more = from + page.len() < all.len();
        place.given = more.then_some(from + page.len());
        Ok(json!({ "entries": page, "cursor": write(&place), "has_more": more }))
    }

    fn changes(&mut self, call: &Call, mut place: Place) -> Answer {
        let new: Vec<_> = self.st.log.iter().skip(place.seen).take(self.list_page_max).cloned().collect();
        place.seen += new.len();
        place.looks += 1;
        let mut entries = Vec::new();
        for c in new {
            let mine = c.above.contains(&place.node) && c.node != place.node;
            let direct = c.above.get(1) == Some(&place.node);
            if !mine || !(place.recursive || direct) {
                continue;
            }
            if c.deleted || !self.st.nodes.contains_key(&c.node) {
                let path = if call.rooted { &c.top } else { &c.home };
                let name = path.rsplit('/').next().unwrap_or_default();
                entries
                    .push(json!({ ".tag": "deleted", "name": name, "path_lower": lower(path), "path_display": path }));
            } else {
                entries.push(self.st.entry(call, c.node, true, place.explicit));
            }
        }
        let more = place.seen < self.st.log.len();
        Ok(json!({ "entries": entries, "cursor": write(&place), "has_more": more }))
    }
}
