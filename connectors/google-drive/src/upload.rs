//! Putting a file: its sub-folder, what lies there already, the bytes, and the proof that they arrived.

use bytes::Bytes;
use ledgerward_contract::{Error, ErrorKind, Expect, FileId, ReadCx, Response, Result, StatementFile, Stored, WriteCx};
use md5::{Digest, Md5};
use serde_json::{Value, json};
use url::Url;

use crate::{
    Drive,
    api::{Api, Corpus, FILE_FIELDS, FOLDER, FOLDER_FIELDS, decode, has, quoted},
    map::{self, File},
    refusal,
};

/// Google takes metadata and bytes in one request up to 5 MB.
const SMALL: usize = 5_000_000;
/// New sessions for one file, and answers without progress in one session, before we give up.
const TRIES: u32 = 3;

/// Properties of a folder that hold the ids of folders in it. Google allows an app thirty, and some are taken; what shares
/// a slot with a later one is long known to the search.
const SLOTS: u64 = 24;

/// Where a sub-folder's id stands on the folder above, and how its mark is written there.
fn slot(mark: &str) -> (String, String) {
    let short: String = mark.chars().take(16).collect();
    let number = u64::from_str_radix(&short, 16).unwrap_or_default() % SLOTS;
    (format!("lw_s{number}"), short)
}

/// A file as it goes out: metadata, bytes and where to.
struct Outgoing<'a> {
    file: &'a StatementFile,
    meta: Value,
    replace: Option<&'a str>,
}

impl Drive {
    /// Writes one file whole, or nothing; verified by its hash at Google.
    pub(crate) async fn put_file(
        &self,
        cx: &WriteCx,
        folder: &str,
        file: &StatementFile,
        expect: Expect,
    ) -> Result<Stored> {
        match expect {
            Expect::Absent => self.put_new(cx, folder, file).await,
            Expect::Unchanged(id, tag) => self.put_over(cx, folder, file, &id, tag.as_str()).await,
        }
    }

    async fn put_new(&self, cx: &WriteCx, folder: &str, file: &StatementFile) -> Result<Stored> {
        const OP: &str = "file.put";
        let (parent, corpus) = self.sub_folder(cx, folder, file).await?;
        let (_, name) = file.path.split();
        let marker = map::file_marker(&file.key);
        let q = format!(
            "{} in parents and trashed=false and (name={} or {})",
            quoted(&parent),
            quoted(name),
            has("lw_file", &marker)
        );
        let there = self.search(cx.read(), "file.find", &corpus, &q, FILE_FIELDS).await?;
        if let Some(same) = there.iter().find(|f| holds(f, &file.bytes)) {
            return stored(OP, same, false);
        }
        if let Some(other) = there.first() {
            return Err(Error::new(
                ErrorKind::Conflict,
                OP,
                if other.app_properties.get("lw_file") == Some(&marker) {
                    "this statement is there already with other content"
                } else {
                    "a file of this name that is not ours is there already; it is left as it is"
                },
            )
            .next("Rename or remove that file, or let the next run read the folder again.")
            .with("file", other.id.clone()));
        }
        let id = match &file.reserved {
            Some(id) => id.0.clone(),
            None => self.new_id(cx.read()).await?,
        };
        let mut meta = json!({
            "id": id,
            "name": name,
            "mimeType": file.mime,
            "parents": [parent],
            "appProperties": { "lw_kind": "file", "lw_file": marker, "lw_folder": folder },
        });
        corpus.keep_from_spreading(&mut meta);
        let answer = self.send(cx, &Outgoing { file, meta, replace: None }).await?;
        if answer.status == 409 {
            // The id is ours alone, so this is our own earlier attempt, unless somebody changed it since.
            let there: File = decode(OP, &cx.read().send(self.api.file(OP, &id, FILE_FIELDS)?).await?)?;
            if !there.trashed && there.parents.first() == Some(&parent) && holds(&there, &file.bytes) {
                return stored(OP, &there, false);
            }
            return Err(Error::new(ErrorKind::Conflict, OP, "the id made for this file is in use with other content")
                .next("It is read again in the next run.")
                .with("file", id));
        }
        self.verify(cx, decode(OP, &answer)?, file, true).await
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
        let answer = cx.read().send(self.api.file(OP, id.as_str(), FILE_FIELDS)?).await?;
        if answer.status == 404 {
            return Err(changed("the file that was to be replaced is gone"));
        }
        let now: File = decode(OP, &answer)?;
        if now.trashed {
            return Err(changed("the file that was to be replaced is in the trash"));
        }
        let marker = map::file_marker(&file.key);
        if now.app_properties.get("lw_file").is_some_and(|m| *m != marker) {
            return Err(changed("the file that was to be replaced carries another statement's mark"));
        }
        // The fence looked at this folder only; a file that was moved away may be open to anybody.
        if !self.is_below(cx.read(), folder, &now).await? {
            return Err(changed("the file that was to be replaced was moved out of the client's folder"));
        }
        if holds(&now, &file.bytes) {
            return stored(OP, &now, false);
        }
        if map::tag(OP, &now)?.as_str() != tag {
            return Err(changed("the file that was to be replaced was changed by somebody else"));
        }
        let meta = json!({ "appProperties": { "lw_kind": "file", "lw_file": marker, "lw_folder": folder } });
        let answer = self.send(cx, &Outgoing { file, meta, replace: Some(id.as_str()) }).await?;
        self.verify(cx, decode(OP, &answer)?, file, false).await
    }

    async fn is_below(&self, cx: &ReadCx, folder: &str, file: &File) -> Result<bool> {
        let mut parents = file.parents.clone();
        for _ in 0..10 {
            let Some(parent) = parents.first().cloned() else { return Ok(false) };
            if parent == folder {
                return Ok(true);
            }
            let answer = cx.send(self.api.file("file.place", &parent, "id,parents")?).await?;
            if answer.status == 404 {
                return Ok(false);
            }
            parents = decode::<File>("file.place", &answer)?.parents;
        }
        Ok(false)
    }

    /// The folder that the file belongs in, made where it is missing. Ours is known by its mark, not its name: a
    /// sub-folder that somebody else made is theirs, and they could share it.
    async fn sub_folder(&self, cx: &WriteCx, folder: &str, file: &StatementFile) -> Result<(String, Corpus)> {
        const OP: &str = "folder.stat";
        let client = self.folder(cx.read(), OP, folder).await?;
        if client.trashed {
            return Err(Error::new(ErrorKind::Conflict, OP, "the client's folder is in the trash").next("Restore it."));
        }
        let corpus = Corpus { drive: client.drive_id };
        let (names, _) = file.path.split();
        let mut parent = folder.to_owned();
        let mut path = String::new();
        let gate = self.lane(&format!("tree {folder}"));
        let _held = gate.lock().await;
        for name in names {
            path.push('/');
            path.push_str(name);
            let mark: String = map::digest(format!("{folder}{path}").as_bytes()).chars().take(32).collect();
            let what = format!("sub {parent} {mark}");
            parent = match self.known_sub(cx.read(), &what, &parent).await? {
                Some(id) => id,
                None => self.find_or_make_sub(cx, &corpus, &what, (folder, &parent, name), &mark).await?,
            };
        }
        Ok((parent, corpus))
    }

    /// A sub-folder we met before in this process, if it still lies where it lay.
    async fn known_sub(&self, cx: &ReadCx, what: &str, parent: &str) -> Result<Option<String>> {
        let Some(id) = self.known_id(what) else { return Ok(None) };
        let answer = cx.send(self.api.file("folder.stat", &id, "id,trashed,parents")?).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let f: File = decode("folder.stat", &answer)?;
        if f.trashed || f.parents.first().map(String::as_str) != Some(parent) {
            self.forget_id(what);
            return Ok(None);
        }
        Ok(Some(id))
    }

    async fn find_or_make_sub(
        &self,
        cx: &WriteCx,
        corpus: &Corpus,
        what: &str,
        (folder, parent, name): (&str, &str, &str),
        mark: &str,
    ) -> Result<String> {
        // A search lags behind a write, also another process's: the id stands on the folder above before it is used.
        let above = self.folder(cx.read(), "folder.stat", parent).await?;
        let (slot, short) = slot(mark);
        let noted = above.app_properties.get(&slot).and_then(|v| v.strip_prefix(&short)?.strip_prefix(':'));
        if let Some(id) = noted {
            self.remember_id(what, id);
            if let Some(id) = self.known_sub(cx.read(), what, parent).await? {
                return Ok(id);
            }
        }
        let q = format!(
            "{} in parents and mimeType='{FOLDER}' and trashed=false and {}",
            quoted(parent),
            has("lw_sub", mark)
        );
        let mut found = self.search(cx.read(), "subfolder.find", corpus, &q, FOLDER_FIELDS).await?;
        // Two can be left of a version that noted no ids. The older one is used, always the same.
        found.sort_by(|a, b| (&a.created_time, &a.id).cmp(&(&b.created_time, &b.id)));
        if let Some(f) = found.first() {
            self.remember_id(what, &f.id);
            return Ok(f.id.clone());
        }
        let id = match self.known_id(what) {
            Some(id) => id,
            None => self.new_id(cx.read()).await?,
        };
        if noted != Some(id.as_str()) {
            let note = json!({ "appProperties": { slot: format!("{short}:{id}") } });
            let _noted: File =
                decode("subfolder.note", &cx.send(self.api.update("subfolder.note", parent, note)?).await?)?;
        }
        self.remember_id(what, &id);
        let mut more = json!({ "appProperties": { "lw_kind": "sub-folder", "lw_sub": mark, "lw_folder": folder } });
        corpus.keep_from_spreading(&mut more);
        Ok(self.make_folder(cx, what, name, Some(parent), more).await?.id)
    }

    async fn send(&self, cx: &WriteCx, out: &Outgoing<'_>) -> Result<Response> {
        if out.file.bytes.len() <= SMALL {
            return cx.send(self.api.put_small(out.replace, &out.meta, &out.file.mime, &out.file.bytes)?).await;
        }
        for _ in 0..TRIES {
            let total = out.file.bytes.len();
            let opened = cx.send(self.api.open_session(out.replace, &out.meta, &out.file.mime, total)?).await?;
            if opened.status == 409 {
                return Ok(opened);
            }
            refusal::classify("upload.open", &opened)?;
            let session = self.session(&opened)?;
            if let Some(done) = self.send_pieces(cx, &session, &out.file.bytes).await? {
                return Ok(done);
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "upload.send", "Google dropped the upload again and again"))
    }

    /// The address of a session, as Google gave it. It is a secret: no error repeats it.
    fn session(&self, opened: &Response) -> Result<Url> {
        const OP: &str = "upload.open";
        let text = opened
            .header("location")
            .ok_or_else(|| Error::contract(OP, "Google opened an upload without an address"))?;
        let url = Url::parse(text).map_err(|_| Error::contract(OP, "the address of the upload is not valid"))?;
        let plain = url.scheme() == "http" && self.api.upload_is_https();
        if plain { Err(Error::contract(OP, "the address of the upload is not encrypted")) } else { Ok(url) }
    }

    /// Sends everything in pieces. `None`: the session is dead, start a new one. A 409 is handed out for the caller.
    async fn send_pieces(&self, cx: &WriteCx, session: &Url, bytes: &Bytes) -> Result<Option<Response>> {
        let (mut from, mut stalled) = (0_usize, 0_u32);
        let total = bytes.len();
        loop {
            let end = from.saturating_add(self.settings.chunk_bytes).min(total);
            let sent = cx.send(Api::send_piece(session, from, bytes.slice(from..end), total)?).await;
            let answer = match sent {
                Ok(answer)
                    if answer.status < 500
                        && refusal::retry_hint(&answer).is_none_or(|r| r == ledgerward_contract::Retry::No) =>
                {
                    answer
                }
                Err(e) if e.kind != ErrorKind::Unavailable => return Err(e),
                // Nobody knows how much arrived. The question may be repeated as often as the retry layer likes.
                _ => cx.read().send(Api::session_state(session, total)?).await?,
            };
            let arrived = match answer.status {
                200 | 201 | 409 => return Ok(Some(answer)),
                308 => received(&answer)?,
                400..=499 => return Ok(None),
                _ => {
                    refusal::classify("upload.send", &answer)?;
                    return Err(Error::contract("upload.send", "Google gave an answer that has no place in an upload"));
                }
            };
            if arrived > total || arrived == total && from == total {
                return Err(Error::contract("upload.send", "Google counts more bytes than were sent"));
            }
            stalled = if arrived > from { 0 } else { stalled + 1 };
            if stalled > TRIES {
                return Err(Error::new(ErrorKind::Unavailable, "upload.send", "the upload does not get on"));
            }
            from = arrived;
        }
    }

    /// Compares what Google holds with what we have. A new file that differs is put into the trash.
    async fn verify(&self, cx: &WriteCx, mut at: File, file: &StatementFile, new: bool) -> Result<Stored> {
        const OP: &str = "file.verify";
        if at.sha256_checksum.is_none() && at.md5_checksum.is_none() {
            at = decode(OP, &cx.read().send(self.api.file(OP, &at.id, FILE_FIELDS)?).await?)?;
        }
        if holds(&at, &file.bytes) {
            return stored(OP, &at, true);
        }
        if new {
            let body = json!({ "trashed": true });
            refusal::classify("file.trash", &cx.send(self.api.update("file.trash", &at.id, body)?).await?)?;
        }
        Err(Error::contract(OP, "what Google stored is not what was sent").next(if new {
            "The damaged file is in the trash; the next run sends it again."
        } else {
            "The next run sends it again; the version before it is in the file's history at Google."
        }))
    }
}

/// Whether the file has exactly these bytes, by the strongest hash that Google gives. Without a hash: no.
fn holds(f: &File, bytes: &[u8]) -> bool {
    if f.size.as_deref().and_then(|s| s.parse::<usize>().ok()) != Some(bytes.len()) {
        return false;
    }
    match (&f.sha256_checksum, &f.md5_checksum) {
        (Some(sha), _) => sha.eq_ignore_ascii_case(&map::digest(bytes)),
        (None, Some(md5)) => {
            let ours: String = Md5::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
            md5.eq_ignore_ascii_case(&ours)
        }
        (None, None) => false,
    }
}

fn stored(op: &'static str, f: &File, written: bool) -> Result<Stored> {
    Ok(Stored { id: FileId(f.id.clone()), tag: map::tag(op, f)?, size: map::size(op, f)?, written })
}

/// `Range: bytes=0-N` of a 308: so many bytes arrived. No header: none.
fn received(answer: &Response) -> Result<usize> {
    match answer.header("range") {
        None => Ok(0),
        Some(range) => range
            .strip_prefix("bytes=0-")
            .and_then(|n| n.parse::<usize>().ok())
            .and_then(|n| n.checked_add(1))
            .ok_or_else(|| Error::contract("upload.send", "Google's count of arrived bytes cannot be read")),
    }
}
