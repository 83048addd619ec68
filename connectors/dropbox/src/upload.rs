//! Putting a file: what lies there already, the bytes, and the proof that they arrived.

use ledgerward_contract::{
    Error, ErrorKind, Expect, FileId, FilePath, ReadCx, Response, Result, StatementFile, Stored, Tag, WriteCx,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Dropbox,
    api::{Piece, decode},
    map::{self, Entry, MARKER, content_hash},
    refusal,
};

/// New sessions for one file, and answers without progress in one session, before we give up.
pub(crate) const TRIES: u32 = 3;

#[derive(Deserialize)]
pub(crate) struct Session {
    pub session_id: String,
}

/// What a finish led to.
enum Sent {
    Answer(Response),
    /// The session is gone: begin anew.
    Lost,
}

impl Dropbox {
    /// Writes one file whole, or nothing; verified by its `content_hash` at Dropbox.
    pub(crate) async fn put_file(
        &self,
        cx: &WriteCx,
        folder: &str,
        file: &StatementFile,
        expect: Expect,
    ) -> Result<Stored> {
        if file.path.names().first().is_some_and(|n| n.to_lowercase() == MARKER) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "file.put",
                "this name is kept for ledgerward's own marker",
            )
            .next("Change the file template."));
        }
        match expect {
            Expect::Absent => self.put_new(cx, folder, file).await,
            Expect::Unchanged(id, tag) => self.put_over(cx, folder, file, &id, &tag).await,
        }
    }

    async fn put_new(&self, cx: &WriteCx, folder: &str, file: &StatementFile) -> Result<Stored> {
        const OP: &str = "file.put";
        let path = place(folder, &file.path);
        if let Some(there) = self.same_or_conflict(cx.read(), &path, file).await? {
            return Ok(there);
        }
        let answer = self.send(cx, &path, json!({ ".tag": "add" }), file).await?;
        if answer.status == 409 && refusal::tags(&answer).starts_with("path/conflict") {
            // It came between the look and the write: the same bytes are a success, anything else is left as it is.
            return self
                .same_or_conflict(cx.read(), &path, file)
                .await?
                .ok_or_else(|| conflict("a file came and went"));
        }
        verified(OP, &decode(OP, &answer)?, file)
    }

    /// `Some`: the same bytes are there already. `None`: nothing is.
    async fn same_or_conflict(&self, cx: &ReadCx, path: &str, file: &StatementFile) -> Result<Option<Stored>> {
        const OP: &str = "file.put";
        let Some(there) = self.look(cx, OP, path).await? else { return Ok(None) };
        if there.is("file") && holds(&there, &file.bytes) {
            return stored(OP, &there, false).map(Some);
        }
        Err(conflict("something else of this name is there already; it is left as it is")
            .next(refusal::TAKEN_NEXT)
            .with("file", there.id.unwrap_or_default()))
    }

    async fn put_over(
        &self,
        cx: &WriteCx,
        folder: &str,
        file: &StatementFile,
        id: &FileId,
        tag: &Tag,
    ) -> Result<Stored> {
        const OP: &str = "file.replace";
        let changed = |says: &str| conflict(says).with("file", id.0.clone());
        if !id.as_str().starts_with("id:") {
            return Err(changed("this is no id that Dropbox gives"));
        }
        let Some(now) = self.look(cx.read(), OP, id.as_str()).await? else {
            return Err(changed("the file that was to be replaced is gone"));
        };
        // The fence looked at this folder only; a file that was moved away may be open to anybody.
        let f = self.folder(cx.read(), OP, folder).await?;
        let below = f.path_lower.as_deref().and_then(|lower| map::below(lower, &now));
        let Some(path) = below.and_then(FilePath::new).filter(|_| now.is("file")) else {
            return Err(changed("the file that was to be replaced was moved out of the client's folder"));
        };
        if holds(&now, &file.bytes) {
            return stored(OP, &now, false);
        }
        if now.rev.as_deref() != Some(tag.as_str()) {
            return Err(changed("the file that was to be replaced was changed by somebody else"));
        }
        let mode = json!({ ".tag": "update", "update": tag.as_str() });
        let answer = self.send(cx, &place(folder, &path), mode, file).await?;
        if answer.status == 409 && refusal::tags(&answer).starts_with("path/conflict") {
            return Err(changed("the file that was to be replaced was changed by somebody else"));
        }
        let after: Entry = decode(OP, &answer)?;
        if after.id.as_deref() != Some(id.as_str()) {
            return Err(Error::contract(OP, "Dropbox wrote another file than the one that was to be replaced"));
        }
        verified(OP, &after, file)
    }

    /// Sends the bytes, at once or in a session. A conflict is handed out for the caller.
    async fn send(&self, cx: &WriteCx, path: &str, mode: Value, file: &StatementFile) -> Result<Response> {
        if file.bytes.len() <= self.settings.chunk_bytes {
            return self.send_small(cx, path, &mode, file).await;
        }
        for _ in 0..TRIES {
            if let Sent::Answer(answer) = self.send_session(cx, path, &mode, file).await? {
                return Ok(answer);
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "file.put", "Dropbox forgets the upload again and again"))
    }

    async fn send_session(&self, cx: &WriteCx, path: &str, mode: &Value, file: &StatementFile) -> Result<Sent> {
        let (size, total) = (self.settings.chunk_bytes, file.bytes.len());
        let answer = self.tell(cx, self.api.session_start(file.bytes.slice(..size), false)?).await?;
        let session: Session = decode("upload.start", &answer)?;
        let (mut at, mut stalled) = (size, 0_u32);
        loop {
            let end = at.saturating_add(size).min(total);
            let piece = Piece { session: &session.session_id, offset: at, bytes: file.bytes.slice(at..end) };
            let last = end == total;
            let sent = if last {
                self.tell(cx, self.api.session_finish(piece, path, mode.clone())?).await
            } else {
                self.tell(cx, self.api.session_append(piece)?).await
            };
            let arrived = match sent {
                // Nobody knows how much arrived. The same piece again, and Dropbox says where it stands.
                Err(e) if e.kind == ErrorKind::Unavailable => at,
                Err(e) => return Err(e),
                Ok(answer) if answer.status >= 500 => at,
                Ok(answer) => {
                    let tags = refusal::tags(&answer);
                    let tag = tags.trim_start_matches("lookup_failed/");
                    match (answer.status, tag) {
                        (200, _) if last => return Ok(Sent::Answer(answer)),
                        (200, _) => {
                            decode::<()>("upload.append", &answer)?;
                            end
                        }
                        (409, "incorrect_offset") => correct_offset(&answer)?,
                        // After a finish whose answer was lost this is the session that was finished.
                        (409, "not_found" | "closed") => match self.same_or_none(cx.read(), path, file).await? {
                            Some(answer) => return Ok(Sent::Answer(answer)),
                            None => return Ok(Sent::Lost),
                        },
                        (409, _) if last && tags.starts_with("path/conflict") => return Ok(Sent::Answer(answer)),
                        _ => {
                            refusal::classify("upload.append", &answer)?;
                            return Err(Error::contract("upload.append", "the answer has no place in an upload"));
                        }
                    }
                }
            };
            if arrived > total || (arrived == total && !last) {
                return Err(Error::contract("upload.append", "Dropbox counts more bytes than were sent"));
            }
            stalled = if arrived > at { 0 } else { stalled + 1 };
            if stalled > TRIES {
                return Err(Error::new(ErrorKind::Unavailable, "upload.append", "the upload does not get on"));
            }
            at = arrived;
        }
    }

    /// The answer that describes the file at a path, if it has these bytes.
    pub(crate) async fn same_or_none(&self, cx: &ReadCx, path: &str, file: &StatementFile) -> Result<Option<Response>> {
        let answer = self.ask(cx, self.api.metadata("file.put", path)?).await?;
        if answer.status == 409 && refusal::tags(&answer) == "path/not_found" {
            return Ok(None);
        }
        let there: Entry = decode("file.put", &answer)?;
        Ok(holds(&there, &file.bytes).then_some(answer))
    }
}

/// A path inside the shared folder, whatever name the folder has by now.
fn place(folder: &str, path: &FilePath) -> String {
    format!("ns:{folder}/{path}")
}

fn conflict(says: &str) -> Error {
    Error::new(ErrorKind::Conflict, "file.put", says).next("The next run reads the folder again.")
}

fn holds(there: &Entry, bytes: &[u8]) -> bool {
    there.size == Some(bytes.len() as u64) && there.content_hash.as_deref() == Some(content_hash(bytes).as_str())
}

fn stored(op: &'static str, e: &Entry, written: bool) -> Result<Stored> {
    let seen = map::seen_file(op, e, Vec::new())?;
    Ok(Stored { id: seen.id, tag: seen.tag, size: seen.size, written })
}

fn verified(op: &'static str, e: &Entry, file: &StatementFile) -> Result<Stored> {
    if holds(e, &file.bytes) {
        return stored(op, e, true);
    }
    Err(Error::contract(op, "what Dropbox stored is not what was sent")
        .next("The next run looks at it again; versions before it are in the file's history at Dropbox."))
}

fn correct_offset(answer: &Response) -> Result<usize> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    ["/error/correct_offset", "/error/lookup_failed/correct_offset"]
        .iter()
        .find_map(|at| body.pointer(at).and_then(Value::as_u64))
        .and_then(|n| n.try_into().ok())
        .ok_or_else(|| Error::contract("upload.append", "Dropbox does not say how much arrived"))
}
