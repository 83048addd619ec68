//! Copies of the state: made whole by SQLite, checked, never written over another file. A restored copy is marked by its
//! watermark (T13).

use std::{
    fs::{DirBuilder, File, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ledgerward_contract::Timestamp;
use rusqlite::{Connection, OpenFlags};
use rustix::{
    fs::{CWD, RenameFlags},
    io::Errno,
};

use super::{
    Store,
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

/// One copy at a time: two of one name would share their unfinished file.
static COPYING: Mutex<()> = Mutex::new(());

/// Writes a checked copy. The name appears only when the copy is whole and on the disk; of one that fails nothing stays.
pub(crate) fn write_copy(conn: &Connection, to: &Path) -> Result<()> {
    let _turn = COPYING.lock().unwrap_or_else(PoisonError::into_inner);
    let there = || StoreError::conflict(format!("{} is there already", to.display())).next("Choose another name.");
    if to.symlink_metadata().is_ok() {
        return Err(there());
    }
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let made = make_copy(conn, &part).and_then(|()| match put_in_place(&part, to) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(there()),
        placed => placed.map_err(|e| StoreError::io("put in place", to, e)),
    });
    if made.is_err() {
        // What matters is why it failed.
        let _gone = std::fs::remove_file(&part);
    }
    made?;
    sync_dir(to)
}

fn make_copy(conn: &Connection, part: &Path) -> Result<()> {
    if part.exists() {
        std::fs::remove_file(part).map_err(|e| StoreError::io("remove", part, e))?;
    }
    // VACUUM INTO takes an empty file that exists, so the mode is right from the first byte on.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(part)
        .map_err(|e| StoreError::io("make", part, e))?;
    let name = part.to_str().ok_or_else(|| StoreError::conflict("the path of the backup is not plain text"))?;
    conn.execute("VACUUM INTO ?1", [name])?;
    let found = check_copy(part)?;
    if !found.whole() {
        return Err(StoreError::damaged("the copy of the state is not whole").source(format!("{found:?}")));
    }
    File::open(part).and_then(|f| f.sync_all()).map_err(|e| StoreError::io("sync", part, e))
}

/// Gives the copy its name, and replaces no file that came up meanwhile. Errors: `AlreadyExists` if one did.
fn put_in_place(part: &Path, to: &Path) -> std::io::Result<()> {
    match rustix::fs::renameat_with(CWD, part, CWD, to, RenameFlags::NOREPLACE) {
        // Not on every file system that backups are kept on: the name is taken first, and then given to the copy.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
            std::fs::rename(part, to)
        }
        placed => Ok(placed?),
    }
}

/// What became of a copy, told of the disk that it goes to: the state itself is as it was.
fn of_the_copy(to: &Path, e: StoreError) -> StoreError {
    if matches!(e.kind, Kind::Conflict | Kind::Damaged) {
        return e;
    }
    let (text, next) = match e.kind {
        Kind::Full => (
            format!("the disk of {} is full; no copy was made, and the state is as it was", to.display()),
            "Make room there, or name a file on another disk.",
        ),
        _ => (
            format!("the copy {} cannot be written; the state is as it was", to.display()),
            "Name a file in a folder that this user may write to.",
        ),
    };
    let error = StoreError::new(Kind::Io, text).next(next);
    match e.source {
        Some(source) => error.source(source),
        None => error,
    }
}

/// A connection of its own onto the state of a folder, for what takes long and changes nothing: the state's thread serves
/// everybody else meanwhile. It sees the state of the moment at which its reading began.
fn reading(dir: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(dir.join(DB_FILE), flags)?;
    conn.pragma_update(None, "trusted_schema", "OFF")?;
    Ok(conn)
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
        write_copy(&self.conn, to).map_err(|e| of_the_copy(to, e))?;
        self.copied(to, at)
    }

    fn copied(&mut self, to: &Path, at: Timestamp) -> Result<()> {
        self.audit(at, "state.backup", &to.display().to_string(), None::<&()>, None::<&()>, None)
    }

    /// A copy in `backups`, of which the newest `keep` stay.
    pub fn snapshot(&mut self, keep: usize, at: Timestamp) -> Result<PathBuf> {
        let to = self.snapshot_at(at)?;
        self.backup_to(&to, at)?;
        self.keep_snapshots(keep)?;
        Ok(to)
    }

    fn snapshot_at(&self, at: Timestamp) -> Result<PathBuf> {
        Ok(folder(&self.dir)?.join(format!("snapshot-{}.db", at.strftime("%Y%m%dT%H%M%SZ"))))
    }

    fn keep_snapshots(&self, keep: usize) -> Result<()> {
        let all = self.snapshots()?;
        for old in all.iter().take(all.len().saturating_sub(keep.max(1))) {
            std::fs::remove_file(old).map_err(|e| StoreError::io("remove", old, e))?;
        }
        Ok(())
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

impl Store {
    /// [`Db::backup_to`], while the state goes on.
    pub async fn backup(&self, to: PathBuf, at: Timestamp) -> Result<()> {
        let path = to.clone();
        let copy = move |conn: &Connection| write_copy(conn, &path).map_err(|e| of_the_copy(&path, e));
        self.beside(copy).await?;
        self.run(move |db| db.copied(&to, at)).await
    }

    /// [`Db::snapshot`], while the state goes on.
    pub async fn snapshot(&self, keep: usize, at: Timestamp) -> Result<PathBuf> {
        let to = self.run(move |db| db.snapshot_at(at)).await?;
        self.backup(to.clone(), at).await?;
        self.run(move |db| db.keep_snapshots(keep)).await?;
        Ok(to)
    }

    /// [`Db::integrity`], while the state goes on.
    pub async fn integrity(&self) -> Result<Integrity> {
        self.beside(integrity).await
    }

    /// Work over a connection of its own ([`reading`]) on a thread of its own.
    async fn beside<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let dir = self.run(|db| Ok(db.dir.clone())).await?;
        let done = tokio::task::spawn_blocking(move || work(&reading(&dir)?)).await;
        done.unwrap_or_else(|_| Err(super::defect()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Options;

    #[test]
    fn a_copy_replaces_nothing_and_a_failed_one_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (part, to) = (dir.path().join("a.part"), dir.path().join("a"));
        std::fs::write(&part, "new").unwrap();
        std::fs::write(&to, "old").unwrap();
        assert_eq!(put_in_place(&part, &to).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&to).unwrap(), b"old");
        let conn = Connection::open_in_memory().unwrap();
        // A database of somebody else's: the check of the copy refuses it.
        assert_eq!(write_copy(&conn, &dir.path().join("b")).unwrap_err().kind, Kind::Damaged);
        assert!(!dir.path().join("b.part").exists() && !dir.path().join("b").exists());
        // The disk that is full is the copy's, and nobody else's work stops for it.
        let full = StoreError::new(Kind::Full, "the disk of the state directory is full");
        let told = of_the_copy(&to, full);
        assert_eq!(told.kind, Kind::Io);
        assert!(told.to_string().contains(&format!("the disk of {} is full", to.display())), "{told}");
    }

    #[tokio::test]
    async fn the_state_serves_everybody_while_it_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(dir.path().join("state"), Timestamp::UNIX_EPOCH).create()).unwrap();
        let to = dir.path().join("copy.db");
        // A copy that gets no further.
        let ((held, is_held), (go_on, wait)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
        let slow = std::thread::spawn(move || {
            let _turn = COPYING.lock().unwrap_or_else(PoisonError::into_inner);
            held.send(()).unwrap();
            wait.recv().unwrap();
        });
        is_held.recv().unwrap();
        let copy = tokio::spawn({
            let (store, to) = (store.clone(), to.clone());
            async move { store.backup(to, Timestamp::UNIX_EPOCH).await }
        });
        for _ in 0..20 {
            tokio::task::yield_now().await;
            store.run(|db| db.doc_put("test", "a", &1)).await.unwrap();
        }
        assert!(!to.exists());
        go_on.send(()).unwrap();
        slow.join().unwrap();
        copy.await.unwrap().unwrap();
        assert!(check_copy(&to).unwrap().whole());
        store.close().await.unwrap();
    }
}
