//! Uploads: whole files, and sessions with parts.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use jiff::SignedDuration;
use ledgerward_contract::Timestamp;
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde_json::{Value, json};

use super::{
    Answer, BoxFake,
    items::check_name,
    state::{Node, Refuse, refuse, said, sha1, sha1_hex},
};

/// The most that one request takes.
const SMALL_MAX: usize = 50_000_000;

/// Where an upload goes.
#[derive(Debug, Clone)]
enum To {
    New { parent: String, name: String },
    Version { file: String },
}

/// A large upload under way.
#[derive(Debug, Clone)]
pub struct Session {
    who: String,
    to: To,
    total: usize,
    part_size: usize,
    /// By offset.
    parts: BTreeMap<usize, (String, Bytes)>,
    dies: Timestamp,
}

/// The two parts of the form: `attributes`, then the bytes.
fn form(r: &FakeRequest) -> Result<(Value, Bytes), Refuse> {
    let bad = |says: &str| Refuse::new(400, "bad_request", says);
    let kind = r.header("content-type").unwrap_or_default();
    let boundary = kind.strip_prefix("multipart/form-data").and_then(|k| k.split_once("boundary="));
    let (_, boundary) = boundary.ok_or_else(|| bad("no multipart/form-data"))?;
    let mark = format!("--{}", boundary.trim_matches('"'));
    let find = |hay: &[u8], needle: &[u8]| hay.windows(needle.len()).position(|w| w == needle);
    let (mut rest, mut parts): (&[u8], Vec<(String, &[u8])>) = (r.body.as_ref(), Vec::new());
    while let Some(at) = find(rest, mark.as_bytes()) {
        rest = rest.get(at + mark.len()..).unwrap_or_default();
        if rest.starts_with(b"--") {
            break;
        }
        let end = find(rest, mark.as_bytes()).ok_or_else(|| bad("the form does not end"))?;
        let one = rest.get(2..end.saturating_sub(2)).unwrap_or_default();
        let split = find(one, b"\r\n\r\n").ok_or_else(|| bad("a part without a head"))?;
        let head = String::from_utf8_lossy(one.get(..split).unwrap_or_default()).to_ascii_lowercase();
        let name = head.split("name=\"").nth(1).and_then(|n| n.split('"').next()).unwrap_or_default().to_owned();
        parts.push((name, one.get(split + 4..).unwrap_or_default()));
    }
    match parts.as_slice() {
        [(a, attributes), (b, bytes)] if a == "attributes" && b == "file" => {
            let attributes = serde_json::from_slice(attributes).map_err(|_| bad("attributes are no JSON"))?;
            Ok((attributes, Bytes::copy_from_slice(bytes)))
        }
        [(a, _), ..] if a == "file" => {
            refuse(400, "metadata_after_file_contents", "Metadata must come before the file contents")
        }
        _ => Err(bad("the form needs attributes and file")),
    }
}

fn digest_of(r: &FakeRequest) -> Result<Vec<u8>, Refuse> {
    let text = r.header("digest").and_then(|d| d.strip_prefix("sha=")).and_then(|d| STANDARD.decode(d).ok());
    text.ok_or_else(|| Refuse::new(400, "bad_request", "Digest: sha=<base64> is required"))
}

impl BoxFake {
    pub(super) fn upload(&mut self, r: &FakeRequest, who: &str, parts: &[&str]) -> Answer {
        match (r.method.as_str(), parts) {
            ("POST", ["files", "content"]) => self.whole(r, who, None),
            ("POST", ["files", id, "content"]) => self.whole(r, who, Some(id)),
            ("POST", ["files", "upload_sessions"]) => self.open(r, who, None),
            ("POST", ["files", id, "upload_sessions"]) => self.open(r, who, Some(id)),
            ("PUT", ["files", "upload_sessions", id]) => self.part(r, who, id),
            ("GET", ["files", "upload_sessions", id]) => self.session_answer(r, who, id),
            ("GET", ["files", "upload_sessions", id, "parts"]) => self.parts(who, id),
            ("POST", ["files", "upload_sessions", id, "commit"]) => self.commit(r, who, id),
            ("DELETE", ["files", "upload_sessions", id]) => {
                self.session(who, id)?;
                self.sessions.remove(*id);
                Ok(FakeResponse::new(204))
            }
            _ => Ok(FakeResponse::unknown(r)),
        }
    }

    fn whole(&mut self, r: &FakeRequest, who: &str, file: Option<&str>) -> Answer {
        let (attributes, bytes) = form(r)?;
        if bytes.len() > SMALL_MAX {
            return refuse(413, "request_entity_too_large", "Use an upload session");
        }
        // Named after one hash, holding another.
        if r.header("content-md5").is_some_and(|sent| sent != sha1_hex(&bytes)) {
            return refuse(400, "bad_digest", "The specified content-md5 did not match what we received");
        }
        let to = match file {
            Some(id) => To::Version { file: id.to_owned() },
            None => To::New {
                parent: said(&attributes, "/parent/id").to_owned(),
                name: said(&attributes, "/name").to_owned(),
            },
        };
        self.finish(r, who, &to, bytes)
    }

    /// What is wrong with the place, before or after the bytes.
    fn check_place(&self, who: &str, to: &To, size: usize) -> Result<Node, Refuse> {
        let denied =
            || Refuse::new(403, "access_denied_insufficient_permissions", "Access denied - insufficient permission");
        let node = match to {
            To::New { parent, name } => {
                let folder = self.visible(who, "folder", parent)?;
                check_name(name)?;
                if !self.st.may_upload(who, &folder.id) {
                    return Err(denied());
                }
                self.check_free(&folder.id, name, None, false)?;
                Node::new(String::new(), "file", name, Some(folder.id), &folder.owner)
            }
            To::Version { file } => {
                let node = self.visible(who, "file", file)?;
                if !self.st.may_edit(who, &node.id) {
                    return Err(denied());
                }
                node
            }
        };
        let room = self.st.users.get(&node.owner).and_then(|u| u.room);
        if room.is_some_and(|room| self.st.used(&node.owner) + size as u64 > room) {
            return refuse(403, "storage_limit_exceeded", "Account storage limit reached");
        }
        Ok(node)
    }

    fn finish(&mut self, r: &FakeRequest, who: &str, to: &To, bytes: Bytes) -> Answer {
        let mut node = self.check_place(who, to, bytes.len())?;
        if let To::Version { .. } = to {
            Self::if_match(r, &node)?;
        }
        let mut bytes = bytes.to_vec();
        if let (true, Some(first)) = (self.corrupt_uploads > 0, bytes.first_mut()) {
            self.corrupt_uploads -= 1;
            *first ^= 1;
        }
        if node.id.is_empty() {
            node.id = self.st.new_id();
        }
        node.set_content(bytes.into());
        self.st.nodes.insert(node.id.clone(), node.clone());
        self.st.happened("ITEM_UPLOAD", &node.id, self.now);
        let entry = self.item_json(r, who, &node)?;
        Ok(FakeResponse::json(201, &json!({ "total_count": 1, "entries": [entry] })))
    }

    fn open(&mut self, r: &FakeRequest, who: &str, file: Option<&str>) -> Answer {
        let body = r.json();
        let Some(total) = body.get("file_size").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()) else {
            return refuse(400, "bad_request", "file_size is required");
        };
        if total < self.session_min {
            return refuse(400, "bad_request", "file_size is below the minimum of an upload session");
        }
        let to = match file {
            Some(id) => To::Version { file: id.to_owned() },
            None => {
                To::New { parent: said(&body, "/folder_id").to_owned(), name: said(&body, "/file_name").to_owned() }
            }
        };
        self.check_place(who, &to, total)?;
        let id = format!("S{}", self.st.new_id());
        let session = Session {
            who: who.to_owned(),
            to,
            total,
            part_size: self.part_size,
            parts: BTreeMap::new(),
            dies: self.now.saturating_add(SignedDuration::from_hours(7 * 24)).unwrap_or(self.now),
        };
        self.sessions.insert(id.clone(), session);
        let answer = self.session_answer(r, who, &id)?;
        Ok(FakeResponse { status: 201, ..answer })
    }

    fn session(&self, who: &str, id: &str) -> Result<Session, Refuse> {
        let found = self.sessions.get(id).filter(|s| s.who == who);
        match found {
            Some(s) if s.dies > self.now => Ok(s.clone()),
            Some(_) => refuse(410, "session_expired", "Upload session expired"),
            None => refuse(404, "not_found", "Upload session not found"),
        }
    }

    fn session_answer(&self, r: &FakeRequest, who: &str, id: &str) -> Answer {
        let s = self.session(who, id)?;
        let here = r.header("host").map_or_else(|| self.base.clone(), |h| format!("http://{h}"));
        let base = self.upload_base.clone().unwrap_or(here);
        let at = |end: &str| format!("{base}/api/2.0/files/upload_sessions/{id}{end}");
        let body = json!({
            "type": "upload_session", "id": id, "part_size": s.part_size, "total_parts": s.total.div_ceil(s.part_size),
            "num_parts_processed": s.parts.len(), "session_expires_at": s.dies.to_string(),
            "session_endpoints": {
                "upload_part": at(""), "commit": at("/commit"), "abort": at(""), "list_parts": at("/parts"), "status": at(""),
                "log_event": at("/log"),
            },
        });
        Ok(FakeResponse::json(200, &body))
    }

    fn part(&mut self, r: &FakeRequest, who: &str, id: &str) -> Answer {
        let mut s = self.session(who, id)?;
        let range = || Refuse::new(416, "range_overlaps_existing_range", "Wrong Content-Range");
        let (span, total) = r
            .header("content-range")
            .and_then(|t| t.strip_prefix("bytes "))
            .and_then(|t| t.split_once('/'))
            .ok_or_else(range)?;
        let (first, last) = span.split_once('-').ok_or_else(range)?;
        let number = |t: &str| t.parse::<usize>().map_err(|_| range());
        let (first, last, total) = (number(first)?, number(last)?, number(total)?);
        let want = s.part_size.min(s.total.saturating_sub(first));
        if total != s.total
            || !first.is_multiple_of(s.part_size)
            || r.body.len() != want
            || last + 1 != first + want
            || want == 0
        {
            return Err(range());
        }
        if digest_of(r)? != sha1(&r.body) {
            return refuse(412, "digest_mismatch", "The digest does not fit the part");
        }
        match s.parts.get(&first) {
            Some((_, there)) if *there != r.body => {
                return refuse(409, "part_already_uploaded", "Another part is there");
            }
            Some(_) => {}
            None => {
                let part_id = format!("P{first:08X}");
                s.parts.insert(first, (part_id, r.body.clone()));
            }
        }
        let body = s.parts.get(&first).map_or(Value::Null, |(part_id, bytes)| part_json(part_id, first, bytes));
        self.sessions.insert(id.to_owned(), s);
        Ok(FakeResponse::json(200, &json!({ "part": body })))
    }

    fn parts(&self, who: &str, id: &str) -> Answer {
        let s = self.session(who, id)?;
        let entries: Vec<_> = s.parts.iter().map(|(at, (part_id, bytes))| part_json(part_id, *at, bytes)).collect();
        Ok(FakeResponse::json(
            200,
            &json!({ "offset": 0, "limit": 1000, "total_count": entries.len(), "entries": entries }),
        ))
    }

    fn commit(&mut self, r: &FakeRequest, who: &str, id: &str) -> Answer {
        let s = self.session(who, id)?;
        let mismatch = || Refuse::new(400, "parts_mismatch", "The parts do not make the file");
        if self.parts_race > 0 {
            self.parts_race -= 1;
            return Err(mismatch());
        }
        let body = r.json();
        let listed: Vec<_> = body.get("parts").and_then(Value::as_array).into_iter().flatten().collect();
        let same = |l: &Value, at: usize, part_id: &str, b: &Bytes| {
            let number = |key: &str| l.get(key).and_then(Value::as_u64);
            said(l, "/part_id") == part_id
                && number("offset") == Some(at as u64)
                && number("size") == Some(b.len() as u64)
        };
        let in_order = listed.len() == s.parts.len()
            && listed.iter().zip(&s.parts).all(|(l, (at, (part_id, b)))| same(l, *at, part_id, b));
        if !in_order || s.parts.values().map(|(_, b)| b.len()).sum::<usize>() != s.total {
            return Err(mismatch());
        }
        if self.pending_commits > 0 {
            self.pending_commits -= 1;
            return Ok(FakeResponse::new(202).header("retry-after", "2"));
        }
        let bytes: Vec<u8> = s.parts.values().map(|(_, b)| b.as_ref()).collect::<Vec<_>>().concat();
        if digest_of(r)? != sha1(&bytes) {
            return refuse(412, "digest_mismatch", "The digest does not fit the file");
        }
        let answer = self.finish(r, who, &s.to, bytes.into())?;
        self.sessions.remove(id);
        Ok(answer)
    }

    /// Sessions end; whoever has one must begin again.
    pub(super) fn kill_sessions(&mut self) -> usize {
        let n = self.sessions.len();
        self.sessions.clear();
        n
    }
}

fn part_json(part_id: &str, offset: usize, bytes: &[u8]) -> Value {
    json!({ "part_id": part_id, "offset": offset, "size": bytes.len(), "sha1": sha1_hex(bytes) })
}
