//! Contents: whole, in sessions, and downloads. The last two at addresses that take no token.

use bytes::Bytes;
use ledgerward_contract::Timestamp;
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde_json::json;

use super::{
    Answer, GraphFake,
    address::Found,
    items::legal,
    state::{Refuse, refuse, said},
};

/// All pieces but the last are a multiple of this, in bytes.
const GRAIN: usize = 327_680;
const PIECE_MAX: usize = 60 << 20;

#[derive(Debug, Clone)]
pub struct Session {
    parent: String,
    name: String,
    /// The file that it replaces.
    over: Option<String>,
    fail: bool,
    got: Vec<u8>,
    uneven: bool,
    dies: Timestamp,
}

impl GraphFake {
    pub(super) fn put_content(&mut self, r: &FakeRequest, who: &str, found: &Found) -> Answer {
        if r.body.len() > self.ways.small_max {
            return refuse(413, "maxFileSizeExceeded", "The request is too large");
        }
        let mime = r.header("content-type").unwrap_or("application/octet-stream").to_owned();
        match found {
            Found::Free { parent, name } => {
                self.may_write(who, parent)?;
                self.new_file(parent, name, r.body.clone(), mime)
            }
            Found::Thing(id) => {
                self.may_write(who, id)?;
                if self.st.nodes.get(id).is_some_and(|n| n.folder) {
                    return refuse(409, "nameAlreadyExists", "A folder has this name");
                }
                if r.query("@microsoft.graph.conflictBehavior") == Some("fail") {
                    return refuse(409, "nameAlreadyExists", "Name already exists");
                }
                self.check_tag(r, id)?;
                self.write_over(id, r.body.clone())
            }
        }
    }

    fn room(&self, near: &str, more: usize) -> Result<(), Refuse> {
        let Some(n) = self.st.nodes.get(near) else { return Ok(()) };
        let room = self.st.drives.get(&n.drive).and_then(|d| d.room);
        if room.is_some_and(|room| self.st.used(&n.drive) + more as u64 > room) {
            return refuse(507, "quotaLimitReached", "Insufficient Space Available");
        }
        Ok(())
    }

    /// What arrives: SharePoint writes into Office files, and bytes may be damaged on the way.
    fn arrived(&mut self, name: &str, mut bytes: Bytes) -> Bytes {
        let office = [".docx", ".xlsx", ".pptx"].iter().any(|e| name.to_lowercase().ends_with(e));
        if office || self.ways.corrupt_uploads > 0 {
            if !office {
                self.ways.corrupt_uploads -= 1;
            }
            let mut changed = bytes.to_vec();
            changed.extend_from_slice(b" ");
            bytes = changed.into();
        }
        bytes
    }

    fn new_file(&mut self, parent: &str, name: &str, bytes: Bytes, mime: String) -> Answer {
        if !legal(name) {
            return Err(
                Refuse::new(400, "invalidRequest", "The name is not allowed").inner("nameContainsInvalidCharacters")
            );
        }
        let path: usize = self.st.chain(parent).iter().map(|n| n.name.chars().count() + 1).sum();
        if path + name.chars().count() > 400 {
            return Err(Refuse::new(400, "invalidRequest", "The path is too long").inner("pathIsTooLong"));
        }
        self.room(parent, bytes.len())?;
        let bytes = self.arrived(name, bytes);
        let id = self.add(parent, name, Some((bytes, mime))).unwrap_or_default();
        Ok(FakeResponse::json(201, &self.entity(&id)))
    }

    fn write_over(&mut self, id: &str, bytes: Bytes) -> Answer {
        self.room(id, bytes.len())?;
        let name = self.st.nodes.get(id).map(|n| n.name.clone()).unwrap_or_default();
        let bytes = self.arrived(&name, bytes);
        let late = self.ways.late_hash;
        if let Some(n) = self.st.nodes.get_mut(id) {
            n.content = bytes;
            n.etag += 1;
            n.ctag += 1;
            n.hash_in = late;
        }
        self.st.happened(id, false, self.now);
        Ok(FakeResponse::json(200, &self.entity(id)))
    }

    pub(super) fn create_session(&mut self, r: &FakeRequest, who: &str, found: &Found) -> Answer {
        let body = r.json();
        let fail = said(&body, "/item/@microsoft.graph.conflictBehavior") == "fail";
        let (parent, name, over) = match found {
            Found::Free { parent, name } => (parent.clone(), name.clone(), None),
            Found::Thing(id) => {
                self.check_tag(r, id)?;
                let node = self.st.nodes.get(id).filter(|n| !n.folder);
                let Some((Some(parent), name)) = node.map(|n| (n.parent.clone(), n.name.clone())) else {
                    return refuse(409, "nameAlreadyExists", "A folder has this name");
                };
                (parent, name, Some(id.clone()))
            }
        };
        self.may_write(who, &parent)?;
        if over.is_some() && fail {
            return refuse(409, "nameAlreadyExists", "Name already exists");
        }
        let key = format!("up{}", self.st.word());
        let dies = self.now.saturating_add(jiff::SignedDuration::from_hours(24)).unwrap_or(self.now);
        let session = Session { parent, name, over, fail, got: Vec::new(), uneven: false, dies };
        self.sessions.insert(key.clone(), session);
        let address = format!("{}/_content/uploadSession?guid={key}&tempauth=v1.secret", self.base);
        let body =
            json!({ "uploadUrl": address, "expirationDateTime": dies.to_string(), "nextExpectedRanges": ["0-"] });
        Ok(FakeResponse::json(200, &body))
    }

    /// The other host. A token sent to it is refused, and should never have been.
    pub(super) fn content_host(&mut self, r: &FakeRequest) -> Answer {
        if r.header("authorization").is_some() {
            self.violations.push("a token was sent to the address of an upload or download".to_owned());
            return refuse(401, "unauthenticated", "The caller is not authenticated.");
        }
        if let Some(id) = r.path.strip_prefix("/_content/download/") {
            return match self.st.nodes.get(id).filter(|n| !n.folder && r.query("tempauth").is_some() && !n.away) {
                Some(n) => Ok(FakeResponse::new(200).header("content-type", n.mime.clone()).body(n.content.clone())),
                None => refuse(404, "itemNotFound", "Item not found"),
            };
        }
        let key = r.query("guid").unwrap_or_default().to_owned();
        let known = self.sessions.get(&key).is_some_and(|s| s.dies > self.now);
        if r.path != "/_content/uploadSession" || !known {
            return refuse(404, "itemNotFound", "The upload session was not found");
        }
        match r.method.as_str() {
            "GET" => Ok(self.progress(&key, 200)),
            "DELETE" => {
                self.sessions.remove(&key);
                Ok(FakeResponse::new(204))
            }
            "PUT" => self.piece(r, &key),
            _ => Ok(FakeResponse::unknown(r)),
        }
    }

    fn progress(&self, key: &str, status: u16) -> FakeResponse {
        let next = self.sessions.get(key).map_or(0, |s| s.got.len());
        FakeResponse::json(
            status,
            &json!({ "expirationDateTime": "2026-11-22T10:00:00Z", "nextExpectedRanges": [format!("{next}-")] }),
        )
    }

    fn piece(&mut self, r: &FakeRequest, key: &str) -> Answer {
        let range = r.header("content-range").and_then(parsed);
        let Some((from, last, total)) = range.filter(|(f, l, t)| f <= l && l < t && r.body.len() == l - f + 1) else {
            return refuse(400, "invalidRequest", "The Content-Range header is missing or malformed.");
        };
        if r.body.len() > PIECE_MAX {
            return refuse(413, "maxFragmentLengthExceeded", "Maximum request length exceeded");
        }
        let Some(session) = self.sessions.get_mut(key) else { return refuse(404, "itemNotFound", "gone") };
        if from != session.got.len() {
            return refuse(
                416,
                "invalidRange",
                "The uploaded fragment overlaps with data that has already been received.",
            );
        }
        session.got.extend_from_slice(&r.body);
        let done = last + 1 == total;
        session.uneven |= !done && !r.body.len().is_multiple_of(GRAIN);
        if !done {
            return Ok(self.progress(key, 202));
        }
        let Some(session) = self.sessions.remove(key) else { return refuse(404, "itemNotFound", "gone") };
        // Told at the end and not at once.
        if session.uneven {
            return refuse(400, "invalidRequest", "The fragments are not a multiple of 320 KiB.");
        }
        let there = self.st.child(&session.parent, &session.name).map(|n| n.id.clone());
        let bytes = Bytes::from(session.got);
        match (session.over.or(there.clone()), session.fail && there.is_some()) {
            (_, true) => refuse(409, "nameAlreadyExists", "Name already exists"),
            (Some(id), _) => self.write_over(&id, bytes),
            (None, _) => self.new_file(&session.parent, &session.name, bytes, "application/octet-stream".to_owned()),
        }
    }

    pub(super) fn kill_sessions(&mut self) -> usize {
        let count = self.sessions.len();
        self.sessions.clear();
        count
    }
}

/// `bytes 0-9/20`.
fn parsed(text: &str) -> Option<(usize, usize, usize)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (from, last) = range.split_once('-')?;
    Some((from.parse().ok()?, last.parse().ok()?, total.parse().ok()?))
}
