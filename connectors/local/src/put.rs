//! Files on their way to a client's folder: each whole and durable under a temporary name before it has its own (F03), and
//! read back.
//!
//! Several go together, because a file system makes many durable at little more than the price of one. Each has a sync of its
//! own all the same: only that one says whether this very file was written (F06).

use std::{collections::BTreeMap, fs::File, io, rc::Rc};

use cap_std::fs::Dir;
use ledgerward_contract::{
    Error, ErrorKind, Expect, FileId, FilePath, FolderId, Journalled, Result, StatementFile, Stored, Tag, Timestamp,
};

use crate::{
    api::content,
    disk::{self, Explain, explain},
    map::Acl,
    marker::{read_marker, reserved, temp_name},
    root::Disk,
};

const OP: &str = "file.put";

/// Files that one call holds open. Many clients' calls go side by side, and a process has a thousand handles for everything.
const OPEN_AT_ONCE: usize = 24;

/// A file to write, the one that may be there, and the journal's row of it.
pub struct Put {
    pub file: StatementFile,
    pub expect: Expect,
    pub step: Journalled,
}

/// The folder that files go to, as it was found before the first of them.
#[derive(Default)]
struct Place {
    client: Option<(Rc<Dir>, Option<Acl>)>,
    dirs: BTreeMap<Vec<String>, Rc<Dir>>,
}

/// A file under its temporary name.
struct Written {
    at: usize,
    dir: Rc<Dir>,
    temp: String,
    name: String,
    path: FilePath,
    replace: bool,
    file: File,
    stored: Stored,
}

impl Disk {
    /// One answer for each, in their order.
    pub fn put_all(&self, id: &FolderId, files: &[Put], now: Timestamp) -> Vec<Result<Stored>> {
        files.chunks(OPEN_AT_ONCE).flat_map(|some| self.put_some(id, some, now)).collect()
    }

    fn put_some(&self, id: &FolderId, files: &[Put], now: Timestamp) -> Vec<Result<Stored>> {
        let (mut place, mut written) = (Place::default(), Vec::new());
        let mut ends: BTreeMap<usize, Result<Stored>> = BTreeMap::new();
        for (at, put) in files.iter().enumerate() {
            match self.begin(id, put, at, now, &mut place) {
                Ok(Begun::Written(one)) => written.push(one),
                Ok(Begun::There(stored)) => {
                    ends.insert(at, Ok(stored));
                }
                Err(e) => {
                    ends.insert(at, Err(e));
                }
            }
        }
        let mut ok = |at: usize, done: Result<()>| done.map_err(|e| ends.insert(at, Err(e))).is_ok();
        written.retain(|w| ok(w.at, w.sync()));
        written.retain(|w| ok(w.at, w.rename()));
        for dir in place.dirs.values() {
            // If the folder is not durable, none of the names in it is.
            if let Err(e) = rustix::fs::fsync(&**dir) {
                let lost = |w: &Written| Rc::ptr_eq(&w.dir, dir);
                written.retain(|w| !lost(w) || ok(w.at, Err(explain(OP, &w.name, e.into()))));
            }
        }
        ends.extend(written.into_iter().map(|w| (w.at, w.read_back())));
        ends.into_values().collect()
    }

    fn begin(&self, id: &FolderId, put: &Put, at: usize, now: Timestamp, place: &mut Place) -> Result<Begun> {
        let Put { file, expect, step } = put;
        if let Some(name) = file.path.names().iter().find(|n| reserved(n)) {
            return Err(Error::new(ErrorKind::Config, OP, format!("{name:?} is a name this service keeps for itself")));
        }
        let (client, list) = match &place.client {
            Some(found) => found.clone(),
            None => place.client.insert(self.open_to(id)?).clone(),
        };
        let (folders, name) = file.path.split();
        let dir = match place.dirs.get(folders) {
            Some(dir) => Rc::clone(dir),
            None => {
                let dir = Rc::new(self.descend(OP, &client, folders, list.as_ref())?);
                self.sweep_once(OP, &dir, format!("{id}/{}", folders.join("/")), now)?;
                place.dirs.insert(folders.to_vec(), Rc::clone(&dir));
                dir
            }
        };
        let wanted = disk::hash(file.bytes.as_ref()).explain(OP, name)?;
        let stored = |written| Stored {
            id: FileId(file.path.to_string()),
            tag: Tag(wanted.clone()),
            size: file.bytes.len() as u64,
            written,
        };
        let there = content(OP, &dir, name)?;
        if there.as_ref() == Some(&wanted) {
            return Ok(Begun::There(stored(false)));
        }
        let replace = match (expect, &there) {
            (Expect::Absent, None) => false,
            (Expect::Unchanged(id, tag), Some(hash)) if id.0 == file.path.to_string() && tag.0 == *hash => true,
            _ => return Err(conflict(&file.path)),
        };
        let temp = temp_name(*step, name);
        if disk::look(&dir, &temp).explain(OP, name)?.is_some() {
            dir.remove_file(&temp).explain(OP, name)?;
        }
        let mode = if self.lists { 0o600 } else { 0o640 };
        let acl = list.map(|l| l.for_file());
        let begun = disk::begin_temp(&dir, &temp, &file.bytes, mode, acl.as_ref()).explain(OP, name)?;
        let (name, path) = (name.to_owned(), file.path.clone());
        Ok(Begun::Written(Written { at, dir, temp, name, path, replace, file: begun, stored: stored(true) }))
    }

    /// The client's folder with its list, if it carries our marker still.
    fn open_to(&self, id: &FolderId) -> Result<(Rc<Dir>, Option<Acl>)> {
        let client = self.client_for_writing(OP, id)?;
        if read_marker(OP, &client)?.is_none() {
            return Err(Error::new(ErrorKind::Conflict, OP, "the folder does not carry our marker any more")
                .with("folder", id.as_str())
                .next("Check that it is still the same client's folder, and adopt it again."));
        }
        let list = if self.lists { Some(disk::owned(&client).explain(OP, id.as_str())?.acl) } else { None };
        Ok((Rc::new(client), list))
    }
}

enum Begun {
    /// The same bytes are there.
    There(Stored),
    Written(Written),
}

impl Written {
    fn sync(&self) -> Result<()> {
        self.file.sync_all().inspect_err(|_| self.drop_temp()).explain(OP, &self.name)
    }

    fn rename(&self) -> Result<()> {
        disk::rename(&self.dir, &self.temp, &self.name, self.replace).map_err(|e| {
            self.drop_temp();
            match e.kind() {
                io::ErrorKind::AlreadyExists => conflict(&self.path),
                _ => explain(OP, &self.name, e),
            }
        })
    }

    fn drop_temp(&self) {
        _ = self.dir.remove_file(&self.temp);
    }

    fn read_back(self) -> Result<Stored> {
        if content(OP, &self.dir, &self.name)?.as_ref() == Some(&self.stored.tag.0) {
            return Ok(self.stored);
        }
        Err(Error::contract(OP, format!("{}: what is on the disk is not what was written", self.path))
            .next("Look for a failing disk, or for a program that rewrites files there."))
    }
}

fn conflict(path: &FilePath) -> Error {
    Error::new(ErrorKind::Conflict, OP, format!("{path}: another file is there than expected"))
        .next("Move it away if it is nobody's; the statement is then written in the next cycle.")
}
