//! `files.list`.

use jiff::SignedDuration;
use ledgerward_kit::fake::FakeRequest;
use serde_json::json;

use super::{
    Answer, DriveFake, Who, allow, answer,
    fields::Known,
    number,
    query::{self, Query},
    state::{Node, Refuse, hex, rank, refuse},
};

impl DriveFake {
    pub(super) fn list(&mut self, r: &FakeRequest, who: &Who) -> Answer {
        allow(
            r,
            &[
                "corpora",
                "driveId",
                "includeItemsFromAllDrives",
                "orderBy",
                "pageSize",
                "pageToken",
                "q",
                "spaces",
                "supportsAllDrives",
                "supportsTeamDrives",
                "includePermissionsForView",
                "includeLabels",
            ],
        )?;
        let size = number(r, "pageSize", 100, 1_000)?.min(self.list_page_max);
        let drive = r.query("driveId");
        let all = r.query("includeItemsFromAllDrives") == Some("true");
        match (r.query("corpora").unwrap_or("user"), drive) {
            ("user" | "allDrives" | "domain", None) => {}
            ("drive", Some(d)) if all && r.query("supportsAllDrives") == Some("true") => {
                if self.st.access(d, &who.user).is_none() {
                    return refuse(404, "notFound", format!("Shared drive not found: {d}"));
                }
            }
            _ => return refuse(400, "invalid", "corpora, driveId and includeItemsFromAllDrives do not fit together"),
        }
        let bad = |message| Refuse { status: 400, reason: "invalid".into(), message };
        let q = r.query("q").map(query::parse).transpose().map_err(bad)?;
        let bound = hex(&format!("{:?}{:?}{:?}", r.query("q"), drive, r.query("corpora")));
        let bound = bound.get(..12).unwrap_or_default();
        let from = match r.query("pageToken").map(|t| t.split_once('.')) {
            None => 0,
            Some(Some((b, n))) if b == bound => n.parse().map_err(|_| bad("Invalid Value".to_owned()))?,
            Some(_) => return refuse(400, "invalid", "Invalid Value"),
        };
        let found: Vec<&Node> =
            self.st.files.values().filter(|f| self.matches(f, who, drive, all, q.as_ref())).collect();
        let page: Vec<_> = found
            .iter()
            .skip(from)
            .take(size)
            .map(|f| self.st.file_json(f, &who.user, &who.app, self.my_drive_details))
            .collect();
        let mut full = json!({ "kind": "drive#fileList", "incompleteSearch": false, "files": page });
        if let (true, Some(map)) = (from + size < found.len(), full.as_object_mut()) {
            map.insert("nextPageToken".to_owned(), json!(format!("{bound}.{}", from + size)));
        }
        answer(r, &full, Known::FileList, "kind,incompleteSearch,nextPageToken,files(kind,id,name,mimeType)")
    }

    fn matches(&self, f: &Node, who: &Who, drive: Option<&str>, all: bool, q: Option<&Query>) -> bool {
        if f.is_top() || (who.own_files_only() && f.app != who.app) {
            return false;
        }
        // The index that answers searches lags behind.
        if f.created.saturating_add(self.lag).unwrap_or(f.created) > self.now && self.lag > SignedDuration::ZERO {
            return false;
        }
        let place = match drive {
            Some(d) => f.drive.as_deref() == Some(d),
            None => f.drive.is_none() || all,
        };
        place && q.is_none_or(|q| self.test(f, who, q)) && self.st.lists(&f.id, &who.user)
    }

    fn test(&self, f: &Node, who: &Who, q: &Query) -> bool {
        let has = |map: Option<&std::collections::BTreeMap<String, String>>, k: &str, v: &str| {
            map.and_then(|m| m.get(k)).is_some_and(|x| x == v)
        };
        match q {
            Query::And(a, b) => self.test(f, who, a) && self.test(f, who, b),
            Query::Or(a, b) => self.test(f, who, a) || self.test(f, who, b),
            Query::Not(a) => !self.test(f, who, a),
            Query::Parent(p) => {
                let top = self.st.top_of(&who.user);
                let p = if p == "root" { &top } else { p };
                f.parent.as_ref() == Some(p) && self.st.access(p, &who.user).is_some_and(|r| !r.is_empty())
            }
            Query::Trashed(is) => self.st.trashed(&f.id) == *is,
            Query::Name { is, text } => (f.name.to_lowercase() == text.to_lowercase()) == *is,
            Query::NameContains(text) => f.name.to_lowercase().contains(&text.to_lowercase()),
            Query::Mime { is, text } => (f.mime == *text) == *is,
            Query::MimeContains(text) => f.mime.contains(text),
            Query::AppProperty { key, value } => has(f.private.get(&who.app), key, value),
            Query::Property { key, value } => has(Some(&f.properties), key, value),
            Query::SharedWithMe(is) => (f.drive.is_none() && f.owner.as_deref() != Some(&who.user)) == *is,
            Query::Holder { email, list } => self.st.access(&f.id, email).is_some_and(|r| match *list {
                "owners" => r == "owner",
                "writers" => rank(&r) >= 3,
                _ => !r.is_empty(),
            }),
        }
    }
}
