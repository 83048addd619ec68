//! The file system without surprises: one name at a time, no link followed, no mount crossed, whole files only.
//!
//! cap-std alone would follow a link that stays inside the root, which is exactly the way from one client's folder into
//! another's. So every name is opened with `openat2` (`BENEATH`, `NO_SYMLINKS`, `NO_XDEV`) and cap-std has the rest (F01).

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use cap_std::fs::Dir;
use ledgerward_contract::{Error, ErrorKind, Result, Retry};
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat, XattrFlags},
    io::Errno,
};
use sha2::{Digest, Sha256};

use crate::map::{Acl, Owned};

/// Names that begin like this are ours and in the making.
pub(crate) const TEMP: &str = ".ledgerward-tmp-";
const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";
/// The kernel takes no attribute value over 64 KiB.
const ATTRIBUTE_MAX: usize = 1 << 16;

/// The folder at an absolute path on which no symbolic link lies.
pub(crate) fn open_absolute(path: &Path) -> io::Result<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat2(
        rustix::fs::CWD,
        path,
        flags,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )?;
    Ok(Dir::from_std_file(File::from(fd)))
}

fn open(dir: &Dir, name: &OsStr, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    Ok(rustix::fs::openat2(dir, name, flags | OFlags::CLOEXEC, mode, resolve)?)
}

pub(crate) fn open_dir(dir: &Dir, name: impl AsRef<OsStr>) -> io::Result<Dir> {
    let fd = open(dir, name.as_ref(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    Ok(Dir::from_std_file(File::from(fd)))
}

/// A regular file for reading. `NONBLOCK`, so that a pipe somebody left there cannot hold us.
pub(crate) fn open_file(dir: &Dir, name: impl AsRef<OsStr>) -> io::Result<File> {
    Ok(File::from(open(dir, name.as_ref(), OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?))
}

/// What is at a name, links not followed; `None` if nothing is.
pub(crate) fn look(dir: &Dir, name: impl AsRef<OsStr>) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(dir, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

pub(crate) fn is(stat: &Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
}

/// The names in a folder, sorted.
pub(crate) fn names(dir: &Dir) -> io::Result<Vec<OsString>> {
    let mut all = Vec::new();
    for entry in dir.entries()? {
        all.push(entry?.file_name());
    }
    all.sort();
    Ok(all)
}

/// Lower-case SHA-256 of everything that is left to read.
pub(crate) fn hash(mut from: impl Read) -> io::Result<String> {
    let mut sha = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(hex(&sha.finalize())),
            Ok(n) => sha.update(buffer.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Which list of a folder: its own, or the one that new things in it begin with.
#[derive(Clone, Copy)]
pub(crate) enum Which {
    Access,
    Default,
}

impl Which {
    const fn attribute(self) -> &'static str {
        match self {
            Self::Access => ACCESS,
            Self::Default => DEFAULT,
        }
    }
}

fn decoded(read: rustix::io::Result<usize>, buffer: &[u8]) -> io::Result<Option<Acl>> {
    match read {
        Ok(n) => buffer
            .get(..n)
            .and_then(Acl::decode)
            .map(Some)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the access list is not in a form we know")),
        Err(Errno::NODATA) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// The list of an open folder or file. Fails where the file system has no POSIX lists: its mode bits would not be the
/// whole truth on NFSv4.
pub(crate) fn owned(of: impl AsFd) -> io::Result<Owned> {
    let stat = rustix::fs::fstat(&of)?;
    let mut buffer = vec![0; ATTRIBUTE_MAX];
    let acl = decoded(rustix::fs::fgetxattr(&of, ACCESS, &mut buffer[..]), &buffer)?;
    Ok(Owned { uid: stat.st_uid, gid: stat.st_gid, acl: acl.unwrap_or_else(|| Acl::from_mode(stat.st_mode)) })
}

/// The list of something in a folder, also of what we may not open. Through `/proc`, because no system call reads an
/// attribute relative to a folder.
pub(crate) fn owned_at(dir: &Dir, name: &OsStr, stat: &Stat) -> io::Result<Owned> {
    let path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd())).join(name);
    let mut buffer = vec![0; ATTRIBUTE_MAX];
    let acl = decoded(rustix::fs::lgetxattr(path, ACCESS, &mut buffer[..]), &buffer)?;
    Ok(Owned { uid: stat.st_uid, gid: stat.st_gid, acl: acl.unwrap_or_else(|| Acl::from_mode(stat.st_mode)) })
}

pub(crate) fn set_acl(of: impl AsFd, which: Which, acl: &Acl) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(of, which.attribute(), &acl.encode(), XattrFlags::empty())?)
}

/// Writes a finished file under a temporary name, durable before it gets its real one (F03).
///
/// An error leaves nothing behind as far as that can be had; what a crash leaves is swept by the next put.
pub(crate) fn write_temp(dir: &Dir, temp: &str, bytes: &[u8], mode: u32, acl: Option<&Acl>) -> io::Result<()> {
    begin_temp(dir, temp, bytes, mode, acl)?.sync_all().inspect_err(|_| _ = dir.remove_file(temp))
}

/// [`write_temp`] of a file that is not durable yet: whoever has many to write makes them so one after the other, which the
/// file system does for all at little more than the price of one.
pub(crate) fn begin_temp(dir: &Dir, temp: &str, bytes: &[u8], mode: u32, acl: Option<&Acl>) -> io::Result<File> {
    let write = || {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let mut file = File::from(open(dir, temp.as_ref(), flags, Mode::from_raw_mode(mode))?);
        file.write_all(bytes)?;
        if let Some(acl) = acl {
            set_acl(&file, Which::Access, acl)?;
        }
        // Linux begins to write what it is told is not needed any more; the sync that follows then has less to wait for.
        _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        Ok(file)
    };
    write().inspect_err(|_| _ = dir.remove_file(temp))
}

/// Gives a temporary file or folder its name and makes that durable. With `replace` unset, whatever has the name already
/// stays and the error is `AlreadyExists`.
pub(crate) fn commit(dir: &Dir, temp: &str, name: &str, replace: bool) -> io::Result<()> {
    rename(dir, temp, name, replace)?;
    Ok(rustix::fs::fsync(dir)?)
}

/// [`commit`] that is not durable before the folder is.
pub(crate) fn rename(dir: &Dir, temp: &str, name: &str, replace: bool) -> io::Result<()> {
    let renamed = if replace {
        rustix::fs::renameat(dir, temp, dir, name)
    } else {
        match rustix::fs::renameat_with(dir, temp, dir, name, RenameFlags::NOREPLACE) {
            // NFS and some others have no such rename. A hard link does not replace either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(dir, temp, dir, name, AtFlags::empty())
                    .and_then(|()| rustix::fs::unlinkat(dir, temp, AtFlags::empty()))
            }
            other => other,
        }
    };
    Ok(renamed?)
}

pub(crate) fn errno(e: &io::Error) -> Option<Errno> {
    e.raw_os_error().map(Errno::from_raw_os_error)
}

/// An error of the file system in the contract's words. `what` is the thing, for a person.
pub(crate) fn explain(op: &'static str, what: &str, e: io::Error) -> Error {
    let text = |m: &str| format!("{what}: {m}");
    let error = match errno(&e) {
        Some(Errno::NOENT) => Error::new(ErrorKind::NotFound, op, text("is not there")),
        Some(Errno::ACCESS | Errno::PERM) => Error::new(ErrorKind::Forbidden, op, text("we may not touch it"))
            .next("Give it back to the account that this service runs as."),
        Some(Errno::LOOP) => Error::contract(op, text("a symbolic link is in the way, and links are never followed"))
            .next("Find out who put it there, and replace it with a real folder or file."),
        Some(Errno::XDEV) => Error::contract(op, text("another file system is mounted there"))
            .next("Unmount it, or make it a target of its own."),
        Some(Errno::NOTDIR | Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY) => {
            Error::new(ErrorKind::Conflict, op, text("something else has this name"))
        }
        Some(Errno::OPNOTSUPP) => Error::new(ErrorKind::Unsupported, op, text("this file system has no POSIX ACLs"))
            .next("Set sharing = \"off\" with an audience, or mount the file system with ACLs."),
        // Neither passes by itself.
        Some(Errno::NOSPC | Errno::DQUOT) => Error::new(ErrorKind::Forbidden, op, text("no space is left"))
            .next("Free some space or i-nodes; the file is sent again in the next cycle."),
        Some(Errno::ROFS) => Error::new(ErrorKind::Forbidden, op, text("the file system is read-only"))
            .next("Look at the kernel log: a file system that fails turns read-only by itself."),
        Some(Errno::NOSYS) => Error::new(ErrorKind::Unsupported, op, text("this kernel lacks a call we need"))
            .next("Use Linux 5.6 or newer, with openat2 allowed by the container's seccomp profile."),
        Some(Errno::NAMETOOLONG) => Error::new(ErrorKind::Config, op, text("the name is too long")),
        _ if e.kind() == io::ErrorKind::InvalidData => Error::contract(op, text("its access list is not readable")),
        _ => Error::new(ErrorKind::Unavailable, op, text("the disk failed")).retry(Retry::No),
    };
    error.source(e)
}

/// [`explain`] as an adapter.
pub(crate) trait Explain<T> {
    fn explain(self, op: &'static str, what: &str) -> Result<T>;
}

impl<T> Explain<T> for io::Result<T> {
    fn explain(self, op: &'static str, what: &str) -> Result<T> {
        self.map_err(|e| explain(op, what, e))
    }
}
