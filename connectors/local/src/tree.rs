//! Everything below one client's folder: walking it, and keeping its access lists like the folder's own.

use std::{
    ffi::{OsStr, OsString},
    io,
};

use cap_std::fs::Dir;
use ledgerward_contract::{Error, FolderId, Result};
use rustix::{fs::FileType, process::geteuid};

use crate::{
    disk::{self, Explain, TEMP, Which, explain},
    map::{self, Acl, Owned, Who},
    marker::MARKER,
};

/// People's software does not nest deeper; a loop of bind mounts would.
const DEPTH_MAX: usize = 32;
/// Something below a client's folder, for [`walk`].
pub(crate) struct Entry<'a> {
    pub dir: &'a Dir,
    pub name: &'a OsStr,
    pub path: &'a [String],
    pub stat: &'a rustix::fs::Stat,
    /// The open folder, where it is one that we may open.
    pub sub: Option<&'a Dir>,
}

impl Entry<'_> {
    pub fn path(&self) -> String {
        self.path.join("/")
    }

    pub fn is(&self, kind: FileType) -> bool {
        disk::is(self.stat, kind)
    }
}

/// The account this service runs as.
pub(crate) fn us() -> u32 {
    geteuid().as_raw()
}

/// Visits everything below a client's folder, our own marker and temporary files left out. What vanishes meanwhile is passed
/// over; any other trouble ends the walk, for a listing is whole or it is an error.
pub(crate) fn walk(
    op: &'static str,
    dir: &Dir,
    path: &mut Vec<String>,
    visit: &mut dyn FnMut(&Entry<'_>) -> Result<()>,
) -> Result<()> {
    if path.len() > DEPTH_MAX {
        return Err(Error::contract(
            op,
            format!("{}: more than {DEPTH_MAX} folders inside each other", path.join("/")),
        ));
    }
    for name in disk::names(dir).explain(op, &path.join("/"))? {
        let shown = name.to_string_lossy().into_owned();
        if (path.is_empty() && shown == MARKER) || shown.starts_with(TEMP) {
            continue;
        }
        path.push(shown);
        step(op, dir, &name, path, visit)?;
        path.pop();
    }
    Ok(())
}

fn step(
    op: &'static str,
    dir: &Dir,
    name: &OsString,
    path: &mut Vec<String>,
    visit: &mut dyn FnMut(&Entry<'_>) -> Result<()>,
) -> Result<()> {
    let Some(stat) = disk::look(dir, name).explain(op, &path.join("/"))? else { return Ok(()) };
    let sub = match disk::is(&stat, FileType::Directory).then(|| disk::open_dir(dir, name)).transpose() {
        Ok(sub) => sub,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => None,
        Err(e) => return Err(explain(op, &path.join("/"), e)),
    };
    visit(&Entry { dir, name, path, stat: &stat, sub: sub.as_ref() })?;
    match sub {
        Some(sub) => walk(op, &sub, path, visit),
        None => Ok(()),
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Order {
    /// What is new inside first, then the door.
    Open,
    /// The door first.
    Close,
}

/// Sets a folder's list, and the list that new things in it begin with: the same, and us, so that we can read what
/// writers leave there.
pub(crate) fn set_lists(dir: &Dir, acl: &Acl, order: Order) -> io::Result<()> {
    let fresh = if us() == 0 { acl.clone() } else { acl.set(Who::User(us()), 7) };
    match order {
        Order::Open => {
            disk::set_acl(dir, Which::Default, &fresh)?;
            disk::set_acl(dir, Which::Access, acl)
        }
        Order::Close => {
            disk::set_acl(dir, Which::Access, acl)?;
            disk::set_acl(dir, Which::Default, &fresh)
        }
    }
}

/// Reads back: a list counts when the disk says so.
pub(crate) fn confirm(op: &'static str, id: &FolderId, dir: &Dir, who: Who, bits: u8) -> Result<()> {
    let now = disk::owned(dir).explain(op, id.as_str())?.acl.effective(who);
    if now == bits {
        return Ok(());
    }
    Err(Error::contract(op, format!("{id}: the file system did not keep the access list as it was set"))
        .next("Check the mount options and whether another program changes access lists there."))
}

/// What became of the entries below a folder.
#[derive(Default)]
pub(crate) struct Spread {
    pub changed: bool,
    /// The first entry that stayed because the thing belongs to somebody else.
    pub left: Option<String>,
}

/// Gives everything below a folder what `bits` makes of the present folder bits for one holder. Things of other accounts
/// stay as they are (only their owner may change them), and so does a file with a second name somewhere, when opening.
pub(crate) fn spread(op: &'static str, top: &Dir, who: Who, bits: impl Fn(u8) -> u8) -> Result<Spread> {
    let mut done = Spread::default();
    walk(op, top, &mut Vec::new(), &mut |e| {
        let is_dir = e.is(FileType::Directory);
        if !is_dir && !e.is(FileType::RegularFile) {
            return Ok(());
        }
        let it = disk::owned_at(e.dir, e.name, e.stat).explain(op, &e.path())?;
        let have = it.acl.effective(who);
        let want = if is_dir { bits(have) } else { bits(have) & !map::PASS };
        if have == want || (want & !have != 0 && !is_dir && e.stat.st_nlink != 1) {
            return Ok(());
        }
        if it.uid != us() && us() != 0 {
            if have & !want != 0 {
                done.left.get_or_insert_with(|| e.path());
            }
            return Ok(());
        }
        change(e, &it, who, want).explain(op, &e.path())?;
        done.changed = true;
        Ok(())
    })?;
    Ok(done)
}

fn change(e: &Entry<'_>, it: &Owned, who: Who, want: u8) -> io::Result<()> {
    let acl = it.acl.set(who, want);
    match e.sub {
        Some(dir) => set_lists(dir, &acl, Order::Close),
        None => disk::set_acl(disk::open_file(e.dir, e.name)?, Which::Access, &acl),
    }
}
