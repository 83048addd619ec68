//! Putting a file: its sub-folder, the bytes, what lies there already, and the proof that they arrived.
//!
//! Names are unique in a folder, so Box itself refuses a second file; the refusal names the first one, and its SHA-1 says
//! whether it is our own earlier attempt.

use std::time::Duration;

use bytes::Bytes;
use ledgerward_contract::{
    Error, ErrorKind, Expect, FileId, Request, Response, Result, Retry, StatementFile, Stored, WriteCx,
};
use ledgerward_kit::answer;
use serde_json::Value;
use url::Url;

use crate::{
    BoxTarget,
    api::{Api, Place, decode},
    map::{self, Item, Part, Session, Uploaded},
    names, refusal,
};

/// Box takes up to 50 MB in one request, and sessions from 20 MB on.
const SMALL: usize = 20_000_000;
/// Sessions for one file, and commits of one session, before we give up.
const TRIES: u32 = 3;
/// How often a commit is asked for while Box puts the parts together, and the longest pause between.
const COMMITS: u32 = 10;
const PAUSE_MAX: Duration = Duration::from_secs(20);

impl BoxTarget {
    /// Writes one file whole, or nothing; verified by its hash at Box.
    pub(crate) async fn put_file(
        &self,
        cx: &WriteCx,
        folder: &str,
        file: &StatementFile,
        expect: Expect,
    ) -> Result<Stored> {
        if file.bytes.len() as u64 > self.settings.file_bytes_max {
            return Err(Error::new(ErrorKind::Unsupported, "file.put", "the file is larger than `file_bytes_max`")
                .next("Set `file_bytes_max` to what the firm's Box plan allows."));
        }
        match expect {
            Expect::Absent => self.put_new(cx, folder, file).await,
            Expect::Unchanged(id, tag) => self.put_over(cx, folder, file, &id, tag.as_str()).await,
        }
    }

    async fn put_new(&self, cx: &WriteCx, folder: &str, file: &StatementFile) -> Result<Stored> {
        const OP: &str = "file.put";
        let (folders, name) = file.path.split();
        let mut parent = folder.to_owned();
        for sub in folders {
            parent = self.make_or_get(cx, &parent, sub).await?;
        }
        let answer = self.send(cx, &Place::New { parent: &parent, name }, &file.bytes).await?;
        let Some(there) = refusal::in_the_way(&answer) else {
            return self.verify(cx, uploaded(OP, &answer)?, file, true).await;
        };
        if there.kind == "file" {
            let now: Item = decode(OP, &cx.read().send(self.api.file(OP, &there.id)?).await?)?;
            if holds(&now, &file.bytes) && !now.is_away() {
                return stored(OP, &now, false);
            }
        }
        Err(Error::new(ErrorKind::Conflict, OP, "something else of this name is there already; it is left as it is")
            .next(refusal::TAKEN_NEXT)
            .with("item", there.id))
    }

    async fn put_over(
        &self,
        cx: &WriteCx,
        folder: &str,
        file: &StatementFile,
        id: &FileId,
        tag: &str,
    ) -> Result<Stored> {
        const OP: &str = "file.replace";
        let changed = |says: &str| {
            Error::new(ErrorKind::Conflict, OP, says.to_owned())
                .next("The next run reads the folder again.")
                .with("file", id.0.clone())
        };
        let now = match self.file(cx, OP, id.as_str()).await? {
            None => return Err(changed("the file that was to be replaced is gone")),
            Some(f) if f.is_away() => return Err(changed("the file that was to be replaced is in the trash")),
            Some(f) => f,
        };
        // The fence looked at this folder only; a file that was moved away may be open to anybody.
        if !now.above(OP)?.iter().any(|above| above == folder) {
            return Err(changed("the file that was to be replaced was moved out of the client's folder"));
        }
        if holds(&now, &file.bytes) {
            return stored(OP, &now, false);
        }
        if map::tag(OP, &now)?.as_str() != tag {
            return Err(changed("the file that was to be replaced was changed by somebody else"));
        }
        let place = Place::Version { file: id.as_str(), name: &now.name, etag: tag };
        let answer = self.send(cx, &place, &file.bytes).await?;
        if answer.status == 412 {
            // Somebody else was faster, or our own first attempt whose answer was lost.
            return match self.file(cx, OP, id.as_str()).await? {
                Some(f) if holds(&f, &file.bytes) => stored(OP, &f, false),
                _ => Err(changed("the file that was to be replaced was changed by somebody else")),
            };
        }
        self.verify(cx, uploaded(OP, &answer)?, file, false).await
    }

    /// A file by its id; `None` if it is gone or in the trash for good.
    async fn file(&self, cx: &WriteCx, op: &'static str, id: &str) -> Result<Option<Item>> {
        match decode(op, &cx.read().send(self.api.file(op, id)?).await?) {
            Ok(file) => Ok(Some(file)),
            Err(e) if e.kind == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Sends the bytes. The answer is the vendor's to the last request, whatever it says.
    async fn send(&self, cx: &WriteCx, place: &Place<'_>, bytes: &Bytes) -> Result<Response> {
        if bytes.len() < SMALL {
            return cx.send(self.api.upload(place, bytes, &names::hex(&names::sha1(bytes)))?).await;
        }
        for _ in 0..TRIES {
            let opened = cx.send(self.api.open_session(place, bytes.len())?).await?;
            if !opened.ok() {
                return Ok(opened);
            }
            let session: Session = decode("upload.open", &opened)?;
            if let Some(answer) = self.send_parts(cx, &session, place, bytes).await? {
                return Ok(answer);
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "upload.send", "Box drops every upload of this file before it is whole"))
    }

    /// All parts in order, and the commit. `None`: the session is dead, start a new one.
    async fn send_parts(
        &self,
        cx: &WriteCx,
        session: &Session,
        place: &Place<'_>,
        bytes: &Bytes,
    ) -> Result<Option<Response>> {
        const OP: &str = "upload.send";
        let url = |text: &str| self.api.session_url(text);
        let (to, commit, abort) = (
            url(&session.session_endpoints.upload_part)?,
            url(&session.session_endpoints.commit)?,
            url(&session.session_endpoints.abort)?,
        );
        if session.part_size == 0 {
            return Err(Error::contract(OP, "Box gave a part no size"));
        }
        let (mut parts, mut from) = (Vec::new(), 0_usize);
        while from < bytes.len() {
            let end = from.saturating_add(session.part_size).min(bytes.len());
            let part = bytes.slice(from..end);
            let sha1 = names::sha1(&part);
            let sent = async {
                let answer = cx.send(Api::send_part(&to, from, part, bytes.len(), &sha1)?).await?;
                if is_dead(&answer) {
                    return Ok(None);
                }
                decode::<Part>(OP, &answer).map(Some)
            };
            match sent.await {
                Ok(Some(part)) => parts.push(checked(OP, part.part, from, end - from, &sha1)?),
                Ok(None) => return Ok(None),
                Err(e) => {
                    // A session that stays behind would be dropped after seven days; what this answers changes nothing.
                    drop(cx.send(Api::abort(&abort)).await);
                    return Err(e);
                }
            }
            from = end;
        }
        self.commit(cx, &commit, &parts, place, bytes).await
    }

    async fn commit(
        &self,
        cx: &WriteCx,
        url: &Url,
        parts: &[Value],
        place: &Place<'_>,
        bytes: &Bytes,
    ) -> Result<Option<Response>> {
        const OP: &str = "upload.commit";
        let request: Request = Api::commit(url, parts, &names::sha1(bytes), place)?;
        for _ in 0..COMMITS {
            let answer = cx.send(request.clone()).await?;
            if is_dead(&answer) {
                return Ok(None);
            }
            // Box is still putting the parts together: the same commit again, after the pause that it names.
            if answer.status != 202 && refusal::code(&answer) != "parts_mismatch" {
                return Ok(Some(answer));
            }
            let pause = answer::retry_after(&answer.headers, None).unwrap_or(Duration::from_secs(1));
            ledgerward_kit::pause(pause.min(PAUSE_MAX)).await;
        }
        Err(Error::new(ErrorKind::Unavailable, OP, "Box takes very long to put the parts of the file together")
            .retry(Retry::After(PAUSE_MAX)))
    }

    /// Compares what Box holds with what we have. A new file that differs is put into the trash.
    async fn verify(&self, cx: &WriteCx, at: Item, file: &StatementFile, new: bool) -> Result<Stored> {
        const OP: &str = "file.verify";
        if holds(&at, &file.bytes) {
            return stored(OP, &at, true);
        }
        if new {
            refusal::classify("file.trash", &cx.send(self.api.trash_file(&at.id, at.etag.as_deref())?).await?)?;
        }
        Err(Error::contract(OP, "what Box stored is not what was sent").next(if new {
            "The damaged file is in the trash; the next run sends it again."
        } else {
            "The next run sends it again; the version before it is in the file's history at Box."
        }))
    }
}

/// A session that Box gave up or forgot.
fn is_dead(answer: &Response) -> bool {
    matches!(answer.status, 404 | 410)
}

/// A part as the commit lists it, if it is the part that was sent.
fn checked(op: &'static str, part: Value, from: usize, len: usize, sha1: &[u8]) -> Result<Value> {
    let number = |key: &str| part.get(key).and_then(Value::as_u64);
    let same = part.get("sha1").and_then(Value::as_str).is_none_or(|s| s.eq_ignore_ascii_case(&names::hex(sha1)));
    if number("offset") == Some(from as u64) && number("size") == Some(len as u64) && same {
        Ok(part)
    } else {
        Err(Error::contract(op, "Box took another part than the one that was sent"))
    }
}

/// The one file of an upload's answer.
fn uploaded(op: &'static str, answer: &Response) -> Result<Item> {
    let list: Uploaded = decode(op, answer)?;
    list.entries.into_iter().next().ok_or_else(|| Error::contract(op, "Box took an upload and names no file"))
}

/// Whether the file has exactly these bytes. Without a hash: no.
fn holds(f: &Item, bytes: &[u8]) -> bool {
    f.size.as_ref().and_then(Value::as_u64) == Some(bytes.len() as u64)
        && f.sha1.as_deref().is_some_and(|sha1| sha1.eq_ignore_ascii_case(&names::hex(&names::sha1(bytes))))
}

fn stored(op: &'static str, f: &Item, written: bool) -> Result<Stored> {
    Ok(Stored { id: FileId(f.id.clone()), tag: map::tag(op, f)?, size: map::size(op, f)?, written })
}
