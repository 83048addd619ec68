//! A few numbers beside the state file, so that an older copy of it is noticed (T13, D03) and a cut audit trail too
//! (`decisions` 35).
//!
//! Two slots of one block each, written in turn and synced: a write that is cut leaves the other slot, and a full disk
//! cannot stop it, because the space is taken at the start.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{Result, StoreError};

const SLOT: usize = 512;

/// What the state had reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The id this state got when it was made.
    pub db: String,
    /// Counts every token that was ever committed.
    pub generation: i64,
    pub audit_seq: i64,
    pub audit_hash: String,
}

#[derive(Serialize, Deserialize)]
struct Slot {
    turn: u64,
    mark: Mark,
}

pub(crate) struct Watermark {
    file: File,
    path: PathBuf,
    turn: u64,
    last: Option<Mark>,
}

impl Watermark {
    /// Opens or makes the file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let io = |e| StoreError::io("open", path, e);
        let new = !path.exists();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(io)?;
        if new {
            file.write_all_at(&[b' '; SLOT * 2], 0).map_err(io)?;
            file.sync_all().map_err(io)?;
            super::place::sync_dir(path)?;
        }
        let best = [0, 1].into_iter().filter_map(|n| read_slot(&file, n)).max_by_key(|s| s.turn);
        let turn = best.as_ref().map_or(0, |s| s.turn);
        Ok(Self { file, path: path.to_owned(), turn, last: best.map(|s| s.mark) })
    }

    /// What the file says; `None` if it says nothing readable.
    pub(crate) fn last(&self) -> Option<&Mark> {
        self.last.as_ref()
    }

    /// Durable when it returns.
    pub(crate) fn write(&mut self, mark: &Mark) -> Result<()> {
        let turn = self.turn + 1;
        let body = super::db::to_json(&Slot { turn, mark: mark.clone() })?;
        let text = format!("{} {body}", digest(&body));
        if text.len() > SLOT {
            return Err(StoreError::new(super::Kind::Io, "the watermark does not fit its slot"));
        }
        let io = |e| StoreError::io("write", &self.path, e);
        let slot = format!("{text:<SLOT$}");
        self.file.write_all_at(slot.as_bytes(), (turn % 2) * SLOT as u64).map_err(io)?;
        self.file.sync_data().map_err(io)?;
        self.turn = turn;
        self.last = Some(mark.clone());
        Ok(())
    }
}

fn read_slot(file: &File, n: u64) -> Option<Slot> {
    let mut bytes = [0; SLOT];
    file.read_exact_at(&mut bytes, n * SLOT as u64).ok()?;
    let text = std::str::from_utf8(&bytes).ok()?.trim_end();
    let (sum, body) = text.split_once(' ')?;
    if sum != digest(body) {
        return None;
    }
    serde_json::from_str(body).ok()
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut s, b| {
        let _infallible = write!(s, "{b:02x}");
        s
    })
}
