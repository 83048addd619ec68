//! One file, whole or not at all, verified, and never over somebody else's.
//!
//! | | atomic by | verified by | requests |
//! |---|---|---|---|
//! | S3, Azure | one conditional PUT | the store's own MD5, else read back | 1 |
//! | WebDAV with conditions | one conditional PUT | read back | 2 |
//! | WebDAV without | a look, then one PUT | read back | 3 |
//! | SFTP | a hidden file, read back, then renamed | read back | a look, write, read, rename, a look |

use bytes::Bytes;
use ledgerward_contract::{Error, ErrorKind, Expect, FileId, FolderId, Result, StatementFile, Stored, Tag};

use crate::{
    api::{Call, Cond, Kind},
    map::{self, Item, What},
};

impl Call<'_> {
    pub async fn put(&self, id: &FolderId, file: &StatementFile, expect: &Expect) -> Result<Stored> {
        let folder = map::folder_name(self.op, id)?;
        let path = map::file_path(self.op, folder, &file.path)?;
        self.trust(folder).await?;
        let put = Put { path, file };
        if self.store.kind == Kind::Sftp {
            self.put_by_rename(&put, folder, expect).await
        } else if self.keeps_conditions(folder).await? {
            self.put_by_condition(&put, folder, expect).await
        } else {
            match self.look(&put, expect).await? {
                Found::Same(stored) => Ok(stored),
                Found::AsExpected(_) => self.upload(&put, folder, &Cond::Any).await,
            }
        }
    }

    /// Only a folder that carries our marker is written to. Looked at once in a cycle, and again when something is odd.
    async fn trust(&self, folder: &str) -> Result<()> {
        match self.known_marker(folder).await? {
            Some(_) => Ok(()),
            None => {
                self.memory().markers.remove(folder);
                Err(self
                    .err(ErrorKind::Conflict, "the folder does not carry our marker any more")
                    .with("folder", folder)
                    .next("Check that it is still the same client's folder, and adopt it again."))
            }
        }
    }

    /// Whether the server refuses a PUT with `If-None-Match: *` where something is. Many do not know it, and say nothing.
    /// Asked once of each server, by writing a marker that is there over itself.
    async fn keeps_conditions(&self, folder: &str) -> Result<bool> {
        let (known, key) = {
            let memory = self.memory();
            (memory.conditions, memory.markers.get(folder).cloned().flatten())
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let key = key.ok_or_else(|| self.err(ErrorKind::Conflict, "the folder's marker is gone"))?;
        let text = Bytes::from(map::folder_marker(&key));
        let marker = format!("{folder}/{}", map::MARKER);
        let kept = match self.write(&marker, &text, "application/json", &Cond::Absent).await {
            Ok(_) => false,
            Err(e) if e.kind == ErrorKind::Conflict && e.get("status") != Some("423") => true,
            // 501: some servers say openly that they do not know it.
            Err(e) if e.kind == ErrorKind::Unsupported => false,
            Err(e) => return Err(e),
        };
        self.memory().conditions = Some(kept);
        Ok(kept)
    }

    async fn put_by_condition(&self, put: &Put<'_>, folder: &str, expect: &Expect) -> Result<Stored> {
        let cond = match expect {
            Expect::Absent => Cond::Absent,
            // A replacement is rare: the look keeps its id and tag honest where an etag is none.
            Expect::Unchanged(..) => match self.look(put, expect).await? {
                Found::Same(stored) => return Ok(stored),
                Found::AsExpected(Some(there)) if can_be_asked_for(&there) => Cond::Etag(there.tag),
                Found::AsExpected(_) => Cond::Any,
            },
        };
        match self.upload(put, folder, &cond).await {
            // Something is there: ours from an answer that was lost, or another's. Or S3 was at another write of this name.
            Err(e) if e.kind == ErrorKind::Conflict && e.get("status") != Some("423") => {
                let two_at_once = e.get("code") == Some("ConditionalRequestConflict");
                match self.look(put, if two_at_once { expect } else { &Expect::Absent }).await? {
                    Found::Same(stored) => Ok(stored),
                    Found::AsExpected(_) => Err(busy(self.op, &put.file.path.to_string())),
                }
            }
            other => other,
        }
    }

    /// The PUT, its directories where they are missing, and the proof that the bytes are there.
    async fn upload(&self, put: &Put<'_>, folder: &str, cond: &Cond) -> Result<Stored> {
        let send = async || self.write(&put.path, &put.file.bytes, &put.file.mime, cond).await;
        let written = match send().await {
            Err(e) if self.parent_is_missing(&e, put).await? => {
                // Perhaps the whole folder went, so its marker is looked at anew.
                self.memory().markers.remove(folder);
                self.trust(folder).await?;
                self.make_dir(map::split(&put.path).0).await?;
                send().await?
            }
            other => other?,
        };
        if let (true, Some(tag)) = (written.proven, &written.etag) {
            return Ok(put.stored(tag.clone(), true));
        }
        match self.read(&put.path).await? {
            Some((bytes, etag)) if bytes == put.file.bytes => match etag {
                Some(tag) => Ok(put.stored(tag, true)),
                None => self.tagged(put).await,
            },
            _ => Err(not_what_was_written(self.op, put)),
        }
    }

    /// RFC 4918 9.7.1 says 409. Some say 404, and dav-server 412 where a condition came with the PUT.
    async fn parent_is_missing(&self, e: &Error, put: &Put<'_>) -> Result<bool> {
        Ok(self.store.kind == Kind::WebDav
            && match e.get("status") {
                Some("404" | "409") => true,
                Some("412") => self.look_at(&put.path).await?.is_none(),
                _ => false,
            })
    }

    /// Where the server gives no etag, the tag is what a listing would say.
    async fn tagged(&self, put: &Put<'_>) -> Result<Stored> {
        match self.look_at(&put.path).await? {
            Some(item) if item.size == put.file.bytes.len() as u64 => Ok(put.stored(item.tag, true)),
            _ => Err(not_what_was_written(self.op, put)),
        }
    }

    async fn put_by_rename(&self, put: &Put<'_>, folder: &str, expect: &Expect) -> Result<Stored> {
        let (dir, name) = map::split(&put.path);
        self.plain_dirs(folder, dir).await?;
        let replace = match self.look(put, expect).await? {
            Found::Same(stored) => return Ok(stored),
            Found::AsExpected(there) => there.is_some(),
        };
        let part = format!("{dir}/{}", map::temp_name(name));
        self.write(&part, &put.file.bytes, &put.file.mime, &Cond::Any).await?;
        if self.read(&part).await?.is_none_or(|(bytes, _)| bytes != put.file.bytes) {
            let _ = self.delete_file(&part).await;
            return Err(not_what_was_written(self.op, put));
        }
        if let Err(e) = self.rename(&part, &put.path, replace).await {
            // An unknown outcome: the next attempt looks first.
            return Err(e.with("file", put.file.path.to_string()));
        }
        self.tagged(put).await
    }

    /// That every directory on the way is one. Over SFTP a symbolic link would lead into another client's folder.
    async fn plain_dirs(&self, folder: &str, dir: &str) -> Result<()> {
        let mut at = folder.to_owned();
        let below = dir.strip_prefix(folder).unwrap_or_default();
        for name in below.split('/').filter(|n| !n.is_empty()) {
            let next = format!("{at}/{name}");
            if !self.memory().dirs.contains(&next) {
                let items = self.list(&at, false).await?.unwrap_or_default();
                match items.iter().find(|i| i.name() == name).map(|i| i.what) {
                    Some(What::Dir) | None => self.memory().dirs.insert(next.clone()),
                    Some(_) => {
                        return Err(self
                            .err(ErrorKind::Conflict, format!("{name}: a file or a link is there and not a folder"))
                            .next("Move it away; the statement is then written in the next cycle."));
                    }
                };
            }
            at = next;
        }
        Ok(())
    }

    /// What is under the name, against what the caller expects.
    async fn look(&self, put: &Put<'_>, expect: &Expect) -> Result<Found> {
        let there = self.look_at(&put.path).await?;
        match (expect, there) {
            (Expect::Absent, None) => Ok(Found::AsExpected(None)),
            (Expect::Unchanged(id, tag), Some(item))
                if item.what == What::File && *id == put.id() && tag.0 == item.tag =>
            {
                Ok(Found::AsExpected(Some(item)))
            }
            (_, Some(item)) if item.what == What::File && item.size == put.file.bytes.len() as u64 => {
                if map::proven(&put.file.bytes, Some(&item.tag), None) {
                    return Ok(Found::Same(put.stored(item.tag, false)));
                }
                match self.read(&put.path).await? {
                    Some((bytes, _)) if bytes == put.file.bytes => Ok(Found::Same(put.stored(item.tag, false))),
                    _ => Err(conflict(self.op, put)),
                }
            }
            _ => Err(conflict(self.op, put)),
        }
    }
}

/// Whether `If-Match` can name the state of this file. A weak etag must never match there (RFC 9110 13.1.1), so that a file
/// with one would never be replaced: the look before has to do.
fn can_be_asked_for(there: &Item) -> bool {
    !there.weak && !there.tag.contains('"') && !looks_like_time(&there.tag)
}

/// A tag of [`map::tag`] that is no etag.
fn looks_like_time(tag: &str) -> bool {
    tag.split_once('-').is_some_and(|(size, time)| size.parse::<u64>().is_ok() && time.ends_with('Z'))
}

struct Put<'a> {
    path: String,
    file: &'a StatementFile,
}

enum Found {
    /// The very bytes are there already.
    Same(Stored),
    /// Nothing, or the file that was expected.
    AsExpected(Option<Item>),
}

impl Put<'_> {
    fn id(&self) -> FileId {
        FileId(self.file.path.to_string())
    }

    fn stored(&self, tag: String, written: bool) -> Stored {
        Stored { id: self.id(), tag: Tag(tag), size: self.file.bytes.len() as u64, written }
    }
}

/// Nothing is in the way that anybody could move.
pub(crate) fn busy(op: &'static str, what: &str) -> Error {
    Error::new(ErrorKind::Unavailable, op, format!("{what}: the store was busy with another write of this name"))
        .next("Nothing to do: it is written in the next cycle.")
}

fn conflict(op: &'static str, put: &Put<'_>) -> Error {
    Error::new(ErrorKind::Conflict, op, format!("{}: another file is there than expected", put.file.path))
        .next("Move it away if it is nobody's; the statement is then written in the next cycle.")
}

fn not_what_was_written(op: &'static str, put: &Put<'_>) -> Error {
    Error::contract(op, format!("{}: what is on the server is not what was written", put.file.path))
        .next("Look for a failing disk there, or for a program that rewrites files.")
}
