//! The bytes of a file that nobody was writing.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use jiff::SignedDuration;
use ledgerward_contract::{Error, ErrorKind, Result, Timestamp};

use crate::{OP, settings::Form};

/// A roster of a million lines has less.
const BYTES_MAX: u64 = 128 << 20;
/// A file that was written within this time may not be whole yet: copying to a share writes it in pieces.
const SETTLED: SignedDuration = SignedDuration::from_secs(5);

#[derive(Debug)]
pub struct Raw {
    pub bytes: Vec<u8>,
    pub modified: Timestamp,
}

/// Errors: `Unavailable` for a file that is not there or is being written, `Config` for one that we must not take,
/// `Contract` for one that is not what its name says.
pub fn read(path: &Path, form: Form, now: Timestamp) -> Result<Raw> {
    // A pipe would be opened for ever, so its kind is looked at before.
    let before = fs::metadata(path).map_err(|e| unreadable(&e))?;
    acceptable(&before)?;
    let mut file = File::open(path).map_err(|e| unreadable(&e))?;
    let mut bytes = Vec::new();
    let opened = file.metadata().map_err(|e| unreadable(&e))?;
    (&mut file).take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
    let after = (file.metadata(), fs::metadata(path));
    let same = [after.0.as_ref().ok(), after.1.as_ref().ok(), Some(&before)];
    if same.iter().any(|m| m.is_none_or(|m| stamp(m) != stamp(&opened))) || bytes.len() as u64 != opened.len() {
        return Err(busy("the list was changed while it was read"));
    }
    let modified = Timestamp::new(opened.mtime(), i32::try_from(opened.mtime_nsec()).unwrap_or(0))
        .map_err(|e| Error::contract(OP, "the list has no usable modification time").source(e))?;
    if modified.duration_until(now) < SETTLED && modified.duration_until(now) > -SETTLED {
        return Err(busy("the list was written only just now and may not be whole"));
    }
    shape(&bytes, form)?;
    Ok(Raw { bytes, modified })
}

fn acceptable(file: &Metadata) -> Result<()> {
    let config = |text: &str, next: &str| Err(Error::new(ErrorKind::Config, OP, text).next(next));
    if !file.is_file() {
        return config("the list is not a file", "Name the file itself, not its folder.");
    }
    if file.mode() & 0o002 != 0 {
        return config(
            "everybody on this machine may write the list, and so give themselves any client",
            "Take that away: chmod o-w FILE",
        );
    }
    match file.len() {
        0 => Err(Error::contract(OP, "the list is an empty file").next("Export it again.")),
        n if n > BYTES_MAX => Err(Error::contract(OP, format!("the list has more than {} MiB", BYTES_MAX >> 20))),
        _ => Ok(()),
    }
}

/// Anything written in between changes one of these.
fn stamp(m: &Metadata) -> (u64, u64, u64, i64, i64) {
    (m.dev(), m.ino(), m.len(), m.mtime(), m.mtime_nsec())
}

fn busy(text: &str) -> Error {
    Error::new(ErrorKind::Unavailable, OP, text)
        .next("It is read again in the next run. Write it under another name and rename it when it is whole.")
}

fn unreadable(e: &io::Error) -> Error {
    let (text, next) = match e.kind() {
        io::ErrorKind::NotFound => ("the list is not there", "Put it back, or mount the disk that has it."),
        io::ErrorKind::PermissionDenied => {
            ("the list may not be read", "Make it readable for the user that runs ledgerward.")
        }
        _ => ("the list cannot be read", "Look at the disk or share that has it."),
    };
    Error::new(ErrorKind::Unavailable, OP, format!("{text} ({})", e.kind())).next(next)
}

/// What the first bytes say against the name.
fn shape(bytes: &[u8], form: Form) -> Result<()> {
    let other = |what: &str| {
        Err(Error::contract(OP, format!("the list is not what its name says: it is {what}"))
            .next("Export it again, as .xlsx or .csv."))
    };
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    match (form, bytes) {
        (_, [0xd0, 0xcf, 0x11, 0xe0, ..]) => other("an old .xls workbook, or one with a password"),
        (_, b) if b.starts_with(b"%PDF") => other("a PDF"),
        (_, _) if text.starts_with(b"<") => other("a web page or XML"),
        (Form::Text, [b'P', b'K', 3 | 5, ..]) => other("a workbook or an archive"),
        (Form::Workbook, [b'P', b'K', 3, 4, ..]) | (Form::Text, _) => Ok(()),
        (Form::Workbook, _) => other("no workbook"),
    }
}
