//! Uploads: media, multipart and resumable.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::SignedDuration;
use ledgerward_contract::Timestamp;
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde_json::{Value, json};

use super::{
    Answer, DriveFake, Who, allow,
    state::{Node, Refuse, refuse},
};

const PIECE: usize = 262_144;

/// A resumable upload under way. Its address is its only credential.
#[derive(Debug, Clone)]
pub struct Session {
    who: Who,
    opened: FakeRequest,
    replace: Option<String>,
    meta: Value,
    mime: String,
    total: Option<usize>,
    got: Vec<u8>,
    dies: Timestamp,
    done: Option<String>,
}

/// Parts of a multipart body: headers in lower case, and bytes.
pub fn parts(r: &FakeRequest) -> Option<Vec<(BTreeMap<String, String>, Bytes)>> {
    let kind = r.header("content-type")?;
    let boundary = kind.split(';').find_map(|p| p.trim().strip_prefix("boundary="))?.trim_matches('"');
    let mark = format!("--{boundary}");
    let body = r.body.as_ref();
    let find = |from: usize| body.get(from..)?.windows(mark.len()).position(|w| w == mark.as_bytes()).map(|i| from + i);
    let mut out = Vec::new();
    let mut at = find(0)? + mark.len();
    while !body.get(at..)?.starts_with(b"--") {
        let end = find(at)?;
        let part = body.get(at..end)?;
        let part = part.strip_prefix(b"\r\n").or_else(|| part.strip_prefix(b"\n"))?;
        let (split, gap) = match (seek(part, b"\r\n\r\n"), seek(part, b"\n\n")) {
            (Some(a), Some(b)) if b < a => (b, 2),
            (Some(a), _) => (a, 4),
            (None, Some(b)) => (b, 2),
            (None, None) => return None,
        };
        let head = std::str::from_utf8(part.get(..split)?).ok()?;
        let headers = head
            .lines()
            .filter_map(|l| l.split_once(':'))
            .map(|(k, v)| (k.trim().to_ascii_lowercase(), v.trim().to_owned()))
            .collect();
        let content = part.get(split + gap..)?;
        let content = content.strip_suffix(b"\r\n").or_else(|| content.strip_suffix(b"\n")).unwrap_or(content);
        out.push((headers, Bytes::copy_from_slice(content)));
        at = end + mark.len();
    }
    Some(out)
}

fn seek(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|w| w == needle)
}

impl DriveFake {
    pub(super) fn upload(&mut self, r: &FakeRequest, replace: Option<String>) -> Answer {
        if let Some(id) = r.query("upload_id") {
            return self.piece(r, id);
        }
        allow(
            r,
            &[
                "uploadType",
                "supportsAllDrives",
                "supportsTeamDrives",
                "ignoreDefaultVisibility",
                "keepRevisionForever",
                "addParents",
                "removeParents",
                "enforceSingleParent",
            ],
        )?;
        let who = self.who(r)?;
        self.charge(&who, r.method.as_str(), &["upload"])?;
        match (r.method.as_str(), replace.is_some()) {
            ("POST", false) | ("PATCH", true) => {}
            _ => return Ok(FakeResponse::unknown(r)),
        }
        match r.query("uploadType") {
            Some("media") => {
                let mime = r.header("content-type").unwrap_or("application/octet-stream").to_owned();
                self.finish(r, &who, replace.as_deref(), &json!({}), &mime, r.body.clone())
            }
            Some("multipart") => match parts(r).as_deref() {
                Some([(_, meta), (head, bytes)]) => {
                    let Ok(meta) = serde_json::from_slice(meta) else {
                        return refuse(400, "parseError", "Parse Error");
                    };
                    let mime = head.get("content-type").cloned().unwrap_or_else(|| "application/octet-stream".into());
                    let bytes = match head.get("content-transfer-encoding").map(String::as_str) {
                        Some("base64") => {
                            match base64::Engine::decode(&base64::engine::general_purpose::STANDARD, bytes) {
                                Ok(b) => Bytes::from(b),
                                Err(_) => return refuse(400, "badRequest", "Bad base64."),
                            }
                        }
                        _ => bytes.clone(),
                    };
                    if bytes.len() > 5 * 1024 * 1024 {
                        return refuse(413, "uploadTooLarge", "The multipart upload is larger than 5 MB.");
                    }
                    self.finish(r, &who, replace.as_deref(), &meta, &mime, bytes)
                }
                _ => refuse(400, "badRequest", "Malformed multipart body."),
            },
            Some("resumable") => self.open(r, who, replace),
            _ => refuse(400, "badRequest", "uploadType is missing."),
        }
    }

    fn open(&mut self, r: &FakeRequest, who: Who, replace: Option<String>) -> Answer {
        let meta = super::files::body(r)?;
        // What is wrong with the metadata shows now, not after gigabytes.
        match &replace {
            Some(id) => drop(self.changed_node(r, &who, id, &meta)?),
            None => drop(self.new_node(r, &who, &meta)?),
        }
        let mime = r.header("x-upload-content-type").unwrap_or("application/octet-stream").to_owned();
        let total = r.header("x-upload-content-length").and_then(|l| l.parse().ok());
        self.st.counter += 1;
        let id = super::state::hex(&format!("session {}", self.st.counter));
        let base = r.header("host").map_or_else(|| self.base.clone(), |h| format!("http://{h}"));
        let location = format!("{base}{}?uploadType=resumable&upload_id={id}", r.path);
        let session = Session {
            who,
            opened: r.clone(),
            replace,
            meta,
            mime,
            total,
            got: Vec::new(),
            dies: self.now.saturating_add(SignedDuration::from_hours(7 * 24)).unwrap_or(self.now),
            done: None,
        };
        self.sessions.insert(id.clone(), session);
        Ok(FakeResponse::new(200).header("location", location).header("x-guploader-uploadid", id))
    }

    fn piece(&mut self, r: &FakeRequest, id: &str) -> Answer {
        let gone = || Refuse { status: 404, reason: "notFound".into(), message: "Upload session not found.".into() };
        let mut s = self.sessions.get(id).filter(|s| s.dies > self.now).cloned().ok_or_else(gone)?;
        if r.method != http::Method::PUT {
            return Ok(FakeResponse::unknown(r));
        }
        if let Some(file) = &s.done {
            return self.file_answer(&s.opened, &s.who, file);
        }
        let bad = || Refuse {
            status: 400,
            reason: "badRequest".into(),
            message: "Failed to parse Content-Range header.".into(),
        };
        let (from, total) = match r.header("content-range") {
            None => (Some(0), Some(r.body.len())),
            Some(text) => {
                let (range, total) = text.strip_prefix("bytes ").and_then(|t| t.split_once('/')).ok_or_else(bad)?;
                let total = if total == "*" { None } else { Some(total.parse().map_err(|_| bad())?) };
                if range == "*" {
                    (None, total)
                } else {
                    let (a, b) = range.split_once('-').ok_or_else(bad)?;
                    let (a, b): (usize, usize) = (a.parse().map_err(|_| bad())?, b.parse().map_err(|_| bad())?);
                    if b < a || b - a + 1 != r.body.len() {
                        return Err(bad());
                    }
                    (Some(a), total)
                }
            }
        };
        s.total = total.or(s.total);
        if let Some(from) = from {
            if from != s.got.len() {
                return refuse(400, "badRequest", "The piece does not begin where the last one ended.");
            }
            let last = s.total == Some(from + r.body.len());
            if !last && !r.body.len().is_multiple_of(PIECE) {
                return refuse(400, "badRequest", "Pieces must be multiples of 256 KiB.");
            }
            let mut keep = r.body.len();
            if self.partial_pieces > 0 && keep > PIECE {
                self.partial_pieces -= 1;
                keep = keep / 2 / PIECE * PIECE;
            }
            s.got.extend_from_slice(r.body.get(..keep).unwrap_or_default());
        }
        if s.total.is_some_and(|t| s.got.len() > t) {
            return refuse(400, "badRequest", "More bytes than announced.");
        }
        if s.total == Some(s.got.len()) {
            let bytes = Bytes::from(std::mem::take(&mut s.got));
            let answer =
                self.finish(&s.opened.clone(), &s.who.clone(), s.replace.as_deref(), &s.meta, &s.mime, bytes)?;
            let made: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let known = s.replace.clone().or_else(|| s.meta.get("id").and_then(Value::as_str).map(str::to_owned));
            s.done = known.or_else(|| made.get("id").and_then(Value::as_str).map(str::to_owned));
            self.sessions.insert(id.to_owned(), s);
            return Ok(answer);
        }
        let mut answer = FakeResponse::new(308);
        if !s.got.is_empty() {
            answer = answer.header("range", format!("bytes=0-{}", s.got.len() - 1));
        }
        self.sessions.insert(id.to_owned(), s);
        Ok(answer)
    }

    fn finish(
        &mut self,
        r: &FakeRequest,
        who: &Who,
        replace: Option<&str>,
        meta: &Value,
        mime: &str,
        bytes: Bytes,
    ) -> Answer {
        let mut node: Node = match replace {
            Some(id) => self.changed_node(r, who, id, meta)?,
            None => self.new_node(r, who, meta)?,
        };
        if node.is_folder() {
            return refuse(400, "badRequest", "A folder has no content.");
        }
        if let Some(owner) = &node.owner {
            let room = self.st.account(owner).and_then(|a| a.room);
            if room.is_some_and(|room| self.st.used(owner) + bytes.len() as u64 > room) {
                return refuse(403, "storageQuotaExceeded", "The user's Drive storage quota has been exceeded.");
            }
        }
        if meta.get("mimeType").is_none() {
            node.mime = mime.to_owned();
        }
        let mut content = bytes;
        if self.corrupt_uploads > 0 && !content.is_empty() {
            self.corrupt_uploads -= 1;
            let mut broken = content.to_vec();
            if let Some(b) = broken.first_mut() {
                *b ^= 1;
            }
            content = Bytes::from(broken);
        }
        node.set_content(content);
        let id = self.insert(node);
        self.file_answer(r, who, &id)
    }

    /// Sessions end; whoever has one must begin again.
    pub(super) fn kill_sessions(&mut self) -> usize {
        let n = self.sessions.len();
        self.sessions.clear();
        n
    }
}
