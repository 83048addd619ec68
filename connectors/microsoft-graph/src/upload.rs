//! Putting a file: its sub-folder, the bytes, what lies there already, and the proof that they arrived.
//!
//! Names are unique in a folder, so Graph itself refuses a second file; the hash of the first one says whether it is our
//! own earlier attempt.

use bytes::Bytes;
use ledgerward_contract::{Error, ErrorKind, Expect, FileId, Response, Result, StatementFile, Stored, WriteCx};
use url::Url;

use crate::{
    GraphTarget,
    api::{self, Api, Slot, decode},
    map::{self, Item, Place, Progress, Session},
    names, refusal,
};

/// The most that is sent in one request; larger files go in pieces. Nothing at all cannot go in pieces.
const SMALL: usize = 4 << 20;
/// A piece has to be a multiple of 320 KiB, or the last one fails.
const PIECE: usize = 16 * 327_680;
/// Sessions for one file, and looks at a session or a hash, before we give up.
const TRIES: u32 = 3;

impl GraphTarget {
    /// Writes one file whole, or nothing; verified by its hash at Microsoft, or read back where there is none.
    pub(crate) async fn put_file(
        &self,
        cx: &WriteCx,
        folder: &Place,
        file: &StatementFile,
        expect: Expect,
    ) -> Result<Stored> {
        if file.bytes.len() as u64 > self.settings.file_bytes_max {
            return Err(Error::new(ErrorKind::Unsupported, "file.put", "the file is larger than `file_bytes_max`")
                .next("Set `file_bytes_max` to what the firm's plan allows."));
        }
        match expect {
            Expect::Absent => self.put_new(cx, folder, file).await,
            Expect::Unchanged(id, tag) => self.put_over(cx, folder, file, &id, tag.as_str()).await,
        }
    }

    async fn put_new(&self, cx: &WriteCx, folder: &Place, file: &StatementFile) -> Result<Stored> {
        const OP: &str = "file.put";
        let (folders, name) = file.path.split();
        let mut parent = folder.clone();
        for sub in folders {
            parent = self.make_or_get(cx, &parent, &names::encode(sub)).await?;
        }
        let name = names::encode(name);
        let answer = self.send(cx, &Slot::New { parent: &parent, name: &name }, file).await?;
        // Also when an upload's last answer was lost: the session is gone then, and the file is there.
        let ours = match &answer {
            Some(answer) if !refusal::name_taken(answer) => Some(decode::<Item>(OP, answer)?),
            _ => None,
        };
        if let Some(made) = ours {
            return self.verify(cx, &parent, made, file, true).await;
        }
        let there = self.named(cx.read(), OP, &parent, &name).await?;
        if there.file.is_some() && self.holds(cx, &parent.beside(&there.id), &there, &file.bytes).await? {
            return stored(OP, &parent, &there, false);
        }
        Err(Error::new(ErrorKind::Conflict, OP, "something else of this name is there already; it is left as it is")
            .next(refusal::TAKEN_NEXT)
            .with("item", there.id))
    }

    async fn put_over(
        &self,
        cx: &WriteCx,
        folder: &Place,
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
        let at = Place::parse(OP, id.as_str())?;
        let now = match self.item(cx.read(), OP, &at).await {
            Ok(f) if !f.is_away() => f,
            Ok(_) => return Err(changed("the file that was to be replaced is in the recycle bin")),
            Err(e) if e.kind == ErrorKind::NotFound => {
                return Err(changed("the file that was to be replaced is gone"));
            }
            Err(e) => return Err(e),
        };
        // The fence looked at this folder only; a file that was moved away may be open to anybody.
        if !self.lies_in(cx, folder, &at, &now).await? {
            return Err(changed("the file that was to be replaced was moved out of the client's folder"));
        }
        if self.holds(cx, &at, &now, &file.bytes).await? {
            return stored(OP, &at, &now, false);
        }
        if map::tag(OP, &now)?.as_str() != tag {
            return Err(changed("the file that was to be replaced was changed by somebody else"));
        }
        let answer = self.send(cx, &Slot::Over { file: &at, tag }, file).await?;
        match answer {
            Some(answer) if answer.status != 412 => self.verify(cx, &at, decode(OP, &answer)?, file, false).await,
            // Somebody else was faster, or our own first attempt whose answer was lost.
            _ => {
                let now = self.item(cx.read(), OP, &at).await?;
                if self.holds(cx, &at, &now, &file.bytes).await? {
                    return stored(OP, &at, &now, false);
                }
                Err(changed("the file that was to be replaced was changed by somebody else"))
            }
        }
    }

    /// Whether a thing is somewhere below a folder.
    async fn lies_in(&self, cx: &WriteCx, folder: &Place, at: &Place, item: &Item) -> Result<bool> {
        let mut parent = item.parent(&at.drive);
        for _ in 0..64 {
            match parent {
                None => return Ok(false),
                Some(p) if p == *folder => return Ok(true),
                Some(p) => parent = self.item(cx.read(), "file.place", &p).await?.parent(&p.drive),
            }
        }
        Ok(false)
    }

    /// Sends the bytes and gives the vendor's answer to the last request, whatever it says. `None`: the upload ended and
    /// its answer was lost.
    async fn send(&self, cx: &WriteCx, slot: &Slot<'_>, file: &StatementFile) -> Result<Option<Response>> {
        if file.bytes.len() <= SMALL {
            return cx.send(self.api.upload(slot, &file.mime, &file.bytes)?).await.map(Some);
        }
        for attempt in 0..TRIES {
            let opened = cx.send(self.api.open_session(slot)?).await?;
            if !opened.ok() {
                // After a session that vanished this may be our own file.
                return Ok((attempt == 0 || !refusal::name_taken(&opened)).then_some(opened));
            }
            let session: Session = decode("upload.open", &opened)?;
            let address = api::own_address("upload.open", &session.upload_url)?;
            match self.send_pieces(cx, &address, &file.bytes).await {
                Ok(Some(answer)) => return Ok(Some(answer)),
                Ok(None) => {}
                Err(e) => {
                    // What stays behind would be dropped after some days; what this answers changes nothing.
                    drop(cx.send(Api::abort(&address)).await);
                    return Err(e);
                }
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "upload.send",
            "Microsoft drops every upload of this file before it is whole",
        ))
    }

    /// All pieces, one after the other. `None`: the session is gone.
    async fn send_pieces(&self, cx: &WriteCx, address: &Url, bytes: &Bytes) -> Result<Option<Response>> {
        const OP: &str = "upload.send";
        let (mut from, mut stuck) = (0_usize, 0);
        while from < bytes.len() {
            let piece = bytes.slice(from..from.saturating_add(PIECE).min(bytes.len()));
            let answer = cx.send(Api::send_piece(address, from, piece, bytes.len())?).await?;
            let state = match answer.status {
                404 => return Ok(None),
                202 => answer,
                // The piece is there already, as after a lost answer: the session says what it wants next.
                416 => {
                    let state = cx.read().send(Api::session_state(address)).await?;
                    if state.status == 404 {
                        return Ok(None);
                    }
                    state
                }
                _ => return Ok(Some(answer)),
            };
            let progress: Progress = decode(OP, &state)?;
            let next = next_byte(&progress).filter(|n| *n < bytes.len());
            let next = next.ok_or_else(|| Error::contract(OP, "an upload does not say which bytes it wants next"))?;
            stuck = if next > from { 0 } else { stuck + 1 };
            if stuck > TRIES {
                return Err(Error::new(ErrorKind::Unavailable, OP, "an upload takes no more bytes"));
            }
            from = next;
        }
        Err(Error::contract(OP, "an upload took all bytes and made no file"))
    }

    /// Compares what Microsoft holds with what we have. A new file that differs goes into the recycle bin.
    async fn verify(&self, cx: &WriteCx, near: &Place, made: Item, file: &StatementFile, new: bool) -> Result<Stored> {
        const OP: &str = "file.verify";
        let at = near.beside(&made.id);
        // SharePoint writes into Office files: then the tag is what the next run compares.
        if self.holds(cx, &at, &made, &file.bytes).await? || names::rewritten_by_server(&made.name) {
            // Read again, for the tag may be another one once SharePoint has looked at the file.
            let now = self.item(cx.read(), OP, &at).await?;
            return stored(OP, &at, &now, true);
        }
        if new {
            let answer = cx.send(self.api.recycle("file.recycle", &at, made.etag.as_deref())?).await?;
            refusal::classify("file.recycle", &answer)?;
        }
        Err(Error::contract(OP, "what Microsoft stored is not what was sent").next(if new {
            "The damaged file is in the recycle bin; the next run sends it again."
        } else {
            "The next run sends it again; the version before it is in the file's history."
        }))
    }

    /// Whether a file has exactly these bytes. A hash may come a moment after the file; where none comes, the bytes are
    /// read back.
    async fn holds(&self, cx: &WriteCx, at: &Place, seen: &Item, bytes: &Bytes) -> Result<bool> {
        const OP: &str = "file.verify";
        let mut item = seen.clone();
        for look in 0..TRIES {
            if map::size(OP, &item)? != bytes.len() as u64 {
                return Ok(false);
            }
            if let Some(hash) = item.hash() {
                return Ok(hash == names::quick_xor(bytes));
            }
            self.pause(look).await;
            item = self.item(cx.read(), OP, at).await?;
        }
        let address = item.download.as_deref().ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                OP,
                "Microsoft gives neither a hash nor an address to read the file back",
            )
        })?;
        let answer = cx.read().send(Api::download(&api::own_address(OP, address)?)).await?;
        refusal::classify(OP, &answer)?;
        Ok(answer.body == *bytes)
    }
}

/// The first byte that an upload lacks.
fn next_byte(progress: &Progress) -> Option<usize> {
    progress.next_expected_ranges.first()?.split('-').next()?.parse().ok()
}

fn stored(op: &'static str, near: &Place, f: &Item, written: bool) -> Result<Stored> {
    Ok(Stored { id: near.beside(&f.id).file(), tag: map::tag(op, f)?, size: map::size(op, f)?, written })
}
