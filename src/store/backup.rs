//! Copies of the state: made whole by SQLite, checked, never written over another file. A restored copy is marked by its
//! watermark (T13).

use std::{
    fs::{DirBuilder, File, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use ledgerward_contract::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::{
    db::Db,
    error::{Kind, Result, StoreError},
    open::{APPLICATION_ID, DB_FILE},
    place::{sync_dir, take_lock},
};

/// What a full check found. Empty lists: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Integrity {
    pub pages: Vec<String>,
    /// Rows that point at rows which are not there: table and row.
    pub foreign_keys: Vec<String>,
}

impl Integrity {
    pub fn whole(&self) -> bool {
        self.pages.is_empty() && self.foreign_keys.is_empty()
    }
}

/// `backups` in the state directory, made if it is not there.
pub(crate) fn folder(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("backups");
    if !path.exists() {
        DirBuilder::new().mode(0o700).create(&path).map_err(|e| StoreError::io("make", &path, e))?;
        sync_dir(&path)?;
    }
    Ok(path)
}

/// Writes a checked copy. The name appears only when the copy is whole and on the disk.
pub(crate) fn write_copy(conn: &Connection, to: &Path) -> Result<()> {
    if to.symlink_metadata().is_ok() {
        return Err(StoreError::conflict(format!("{} is there already", to.display())).next("Choose another name."));
    }
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    if part.exists() {
        std::fs::remove_file(&part).map_err(|e| StoreError::io("remove", &part, e))?;
    }
    // VACUUM INTO takes an empty file that exists, so the mode is right from the first byte on.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .map_err(|e| StoreError::io("make", &part, e))?;
    let name = part.to_str().ok_or_else(|| StoreError::conflict("the path of the backup is not plain text"))?;
    conn.execute("VACUUM INTO ?1", [name])?;
    let found = check_copy(&part)?;
    if !found.whole() {
        return Err(StoreError::damaged("the copy of the state is not whole").source(format!("{found:?}")));
    }
    File::open(&part).and_then(|f| f.sync_all()).map_err(|e| StoreError::io("sync", &part, e))?;
    // A hard link does not replace a file that came up meanwhile; a rename would.
    std::fs::hard_link(&part, to).map_err(|e| StoreError::io("put in place", to, e))?;
    std::fs::remove_file(&part).map_err(|e| StoreError::io("remove", &part, e))?;
    sync_dir(to)
}

/// Opens a copy for reading only and checks all of it.
fn check_copy(path: &Path) -> Result<Integrity> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    let id: i32 = conn.query_row("PRAGMA application_id", [], |r| r.get(0))?;
    if id != APPLICATION_ID {
        return Err(StoreError::damaged(format!("{} is not a state of ledgerward", path.display())));
    }
    integrity(&conn)
}

fn integrity(conn: &Connection) -> Result<Integrity> {
    let mut stmt = conn.prepare("PRAGMA integrity_check(20)")?;
    let mut pages = stmt.query_map([], |r| r.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    pages.retain(|line| line != "ok");
    let mut stmt = conn.prepare("PRAGMA foreign_key_check")?;
    let foreign_keys = stmt
        .query_map([], |r| {
            Ok(format!("{} {}", r.get::<_, String>(0)?, r.get::<_, Option<i64>>(1)?.unwrap_or_default()))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(Integrity { pages, foreign_keys })
}

impl Db {
    /// Writes a whole, checked copy to `to` (0600). Sealed values stay sealed: without the key file it opens no sign-in.
    pub fn backup_to(&mut self, to: &Path, at: Timestamp) -> Result<()> {
        write_copy(&self.conn, to)?;
        self.audit(at, "state.backup", &to.display().to_string(), None::<&()>, None::<&()>, None)
    }

    /// A copy in `backups`, of which the newest `keep` stay.
    pub fn snapshot(&mut self, keep: usize, at: Timestamp) -> Result<PathBuf> {
        let to = folder(&self.dir)?.join(format!("snapshot-{}.db", at.strftime("%Y%m%dT%H%M%SZ")));
        self.backup_to(&to, at)?;
        let all = self.snapshots()?;
        for old in all.iter().take(all.len().saturating_sub(keep.max(1))) {
            std::fs::remove_file(old).map_err(|e| StoreError::io("remove", old, e))?;
        }
        Ok(to)
    }

    /// Snapshots, oldest first.
    pub fn snapshots(&self) -> Result<Vec<PathBuf>> {
        let dir = folder(&self.dir)?;
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&dir).map_err(|e| StoreError::io("list", &dir, e))? {
            let path = entry.map_err(|e| StoreError::io("list", &dir, e))?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if name.starts_with("snapshot-") && name.ends_with(".db") {
                all.push(path);
            }
        }
        all.sort();
        Ok(all)
    }

    /// The full check, for every week and every backup.
    pub fn integrity(&self) -> Result<Integrity> {
        integrity(&self.conn)
    }
}

/// Puts a backup in place of the state. The state that was there is kept beside it as `ledgerward.db.replaced-<seconds>`.
///
/// The watermark stays, so the next start sees that the state is older and runs dry until confirmed.
pub fn restore(dir: &Path, from: &Path, at: Timestamp) -> Result<PathBuf> {
    let _lock = take_lock(dir)?;
    let found = check_copy(from)?;
    if !found.whole() {
        return Err(StoreError::damaged(format!("{} is damaged", from.display())).source(format!("{found:?}")));
    }
    let db = dir.join(DB_FILE);
    let new = dir.join("ledgerward.db.restore");
    std::fs::copy(from, &new).map_err(|e| StoreError::io("copy to", &new, e))?;
    std::fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .and_then(|()| File::open(&new))
        .and_then(|f| f.sync_all())
        .map_err(|e| StoreError::io("sync", &new, e))?;
    let kept = dir.join(format!("ledgerward.db.replaced-{}", at.as_second()));
    // The old log belongs to the old file: beside the new one it would be taken for its own and ruin it.
    for (tail, end) in [("", ""), ("-wal", "-wal"), ("-shm", "-shm")] {
        let old = dir.join(format!("{DB_FILE}{tail}"));
        if old.exists() {
            let to = PathBuf::from(format!("{}{end}", kept.display()));
            if to.exists() {
                return Err(StoreError::new(Kind::Conflict, format!("{} is there already", to.display())));
            }
            std::fs::rename(&old, &to).map_err(|e| StoreError::io("keep the old state as", &to, e))?;
        }
    }
    std::fs::rename(&new, &db).map_err(|e| StoreError::io("put in place", &db, e))?;
    sync_dir(&db)?;
    Ok(kept)
}
