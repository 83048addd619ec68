//! Markers, temporary names, and how a new folder comes into the root.

use std::{fmt, io};

use cap_std::fs::Dir;
use ledgerward_contract::{FolderId, Journalled, Result, SeenFolder, Timestamp};
use rustix::{
    fs::{FileType, Mode},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use crate::{
    disk::{self, Explain, TEMP, errno, explain},
    tree::us,
};

/// Our marker in the root and in each client's folder (`decisions` 19).
pub(crate) const MARKER: &str = ".ledgerward.json";
/// A temporary file older than this was left by a crash.
const STALE_SECONDS: i64 = 3600;

#[derive(Serialize, Deserialize)]
struct Marker {
    schema: String,
    folder: String,
}

pub(crate) fn reserved(name: &str) -> bool {
    name.starts_with(TEMP) || name == MARKER
}

pub(crate) fn temp_name(step: Journalled, name: &str) -> String {
    let hash: String = disk::hash(name.as_bytes()).unwrap_or_default().chars().take(12).collect();
    format!("{TEMP}{}-{hash}", step.row())
}

/// The folders directly in the root, each with its marker.
pub(crate) fn folders_in(op: &'static str, root: &Dir) -> Result<Vec<SeenFolder>> {
    let mut found = Vec::new();
    for name in disk::names(root).explain(op, "the root")? {
        let Some(text) = name.to_str().filter(|n| !n.starts_with(TEMP)) else { continue };
        if !disk::look(root, text).explain(op, text)?.is_some_and(|s| disk::is(&s, FileType::Directory)) {
            continue;
        }
        let dir = match disk::open_dir(root, text) {
            Ok(dir) => dir,
            // What we may not open, what is mounted there, and what vanished meanwhile is no folder of ours. Any other trouble
            // is an error: "not found" makes the caller create a second folder.
            Err(e)
                if matches!(
                    errno(&e),
                    Some(Errno::ACCESS | Errno::XDEV | Errno::LOOP | Errno::NOENT | Errno::NOTDIR)
                ) =>
            {
                continue;
            }
            Err(e) => return Err(explain(op, text, e)),
        };
        found.push(SeenFolder { id: FolderId::from(text), name: text.to_owned(), marker: read_marker(op, &dir)? });
    }
    Ok(found)
}

/// The key on a folder's marker. A marker that another account wrote is none: writers of a folder could forge it.
pub(crate) fn read_marker(op: &'static str, dir: &Dir) -> Result<Option<String>> {
    let Some(stat) = disk::look(dir, MARKER).explain(op, MARKER)? else { return Ok(None) };
    if !disk::is(&stat, FileType::RegularFile) || stat.st_uid != us() || stat.st_nlink != 1 || stat.st_size > 1 << 16 {
        return Ok(None);
    }
    let file = disk::open_file(dir, MARKER).explain(op, MARKER)?;
    let text = io::read_to_string(file).explain(op, MARKER)?;
    Ok(serde_json::from_str::<Marker>(&text).ok().map(|m| m.folder))
}

pub(crate) fn write_marker(
    op: &'static str,
    dir: &Dir,
    schema: &str,
    key: &dyn fmt::Display,
    step: Journalled,
) -> Result<()> {
    let marker = Marker { schema: schema.to_owned(), folder: key.to_string() };
    let text = serde_json::to_vec(&marker).map_err(io::Error::from).explain(op, MARKER)?;
    let temp = temp_name(step, MARKER);
    _ = dir.remove_file(&temp);
    disk::write_temp(dir, &temp, &text, 0o600, None).explain(op, MARKER)?;
    disk::commit(dir, &temp, MARKER, false).inspect_err(|_| _ = dir.remove_file(&temp)).explain(op, MARKER)
}

/// Sets the sticky bit on a client's folder: writers can add and edit there, and cannot move our marker away, or another
/// client's marker in.
pub(crate) fn pin(op: &'static str, dir: &Dir) -> Result<()> {
    let mode = rustix::fs::fstat(dir).map(|s| Mode::from_raw_mode(s.st_mode) | Mode::SVTX);
    mode.and_then(|mode| rustix::fs::fchmod(dir, mode)).map_err(io::Error::from).explain(op, MARKER)
}

/// Gives a finished folder its name, which nobody may have meanwhile.
pub(crate) fn move_in(op: &'static str, root: &Dir, temp: &str, name: &str) -> Result<()> {
    let e = match disk::commit(root, temp, name, false) {
        Ok(()) => return Ok(()),
        Err(e) => e,
    };
    // No rename without replacing and no hard link to a folder (NFS): take the name with an empty folder, which a plain
    // rename replaces in one step, and which fails should anything have been put into it.
    if errno(&e) != Some(Errno::PERM) {
        return Err(explain(op, name, e));
    }
    rustix::fs::mkdirat(root, name, Mode::RWXU).map_err(io::Error::from).explain(op, name)?;
    disk::commit(root, temp, name, true).explain(op, name)
}

/// Removes a client folder in the making: its marker and nothing else, so that no content can ever be lost.
pub(crate) fn drop_temp_folder(root: &Dir, temp: &str) {
    if let Ok(dir) = disk::open_dir(root, temp) {
        for name in disk::names(&dir).unwrap_or_default() {
            if name == MARKER || name.to_str().is_some_and(|n| n.starts_with(TEMP)) {
                _ = dir.remove_file(name);
            }
        }
        _ = root.remove_dir(temp);
    }
}

/// Removes what a crash left (F03).
pub(crate) fn sweep(op: &'static str, dir: &Dir, now: Timestamp) -> Result<()> {
    for name in disk::names(dir).explain(op, "the folder")? {
        let Some(name) = name.to_str().filter(|n| n.starts_with(TEMP)) else { continue };
        let Some(stat) = disk::look(dir, name).explain(op, name)? else { continue };
        if stat.st_uid != us() || stat.st_mtime > now.as_second().saturating_sub(STALE_SECONDS) {
            continue;
        }
        if disk::is(&stat, FileType::Directory) {
            drop_temp_folder(dir, name);
        } else {
            dir.remove_file(name).explain(op, name)?;
        }
    }
    Ok(())
}
