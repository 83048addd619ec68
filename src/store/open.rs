//! Opening the state: what is checked before anything is written, in this order: the place (D01), the lock (D04), the file
//! (D02, D05), the settings (3.1), the schema (D06), the watermark (T13, D03), the key (T15), the spool (T05).

use std::{
    fs::{File, OpenOptions},
    io::Read,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use ledgerward_contract::Timestamp;
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use sha2::{Digest, Sha256};

use super::{
    db::{Db, Restored, to_json},
    error::{Kind, Result, StoreError},
    hex,
    keys::{self, KeySource, Keyring},
    migrate,
    place::{check_dir, check_file, sync_dir, take_lock},
    signin::SignInId,
    watermark::{Mark, Watermark},
};
use crate::domain::firm::Zone;

pub const DB_FILE: &str = "ledgerward.db";
pub const WAL_FILE: &str = "ledgerward.db-wal";
pub const LOCK_FILE: &str = "ledgerward.lock";
pub const WATERMARK_FILE: &str = "ledgerward.watermark";
/// "LWD1" in the file's header: this is a state of ledgerward and nothing else.
pub const APPLICATION_ID: i32 = 0x4C57_4431;
/// Below this, WAL mode has a known way to lose commits (reliability 3.1).
pub const SQLITE_MIN: i32 = 3_051_003;

/// How to open.
#[derive(Clone, Debug)]
pub struct Options {
    pub dir: PathBuf,
    pub key: KeySource,
    /// Make a state where there is none (`ledgerward init`). Never replaces one.
    pub create: bool,
    pub now: Timestamp,
    /// What tells this machine from a copy of it; `None` reads `/etc/machine-id`.
    pub machine: Option<String>,
    /// The firm's, for what people read.
    pub zone: Zone,
}

impl Options {
    pub fn new(dir: impl Into<PathBuf>, now: Timestamp) -> Self {
        Self { dir: dir.into(), key: KeySource::State, create: false, now, machine: None, zone: Zone::default() }
    }

    #[must_use]
    pub fn create(mut self) -> Self {
        self.create = true;
        self
    }

    #[must_use]
    pub fn key(mut self, key: KeySource) -> Self {
        self.key = key;
        self
    }

    #[must_use]
    pub fn zone(mut self, zone: Zone) -> Self {
        self.zone = zone;
        self
    }

    #[must_use]
    pub fn machine(mut self, id: impl Into<String>) -> Self {
        self.machine = Some(id.into());
        self
    }
}

/// Something about this start that becomes a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The state is older than this machine remembers: dry run until confirmed.
    Restored { why: String },
    /// The machine's id is another one than when the state was made (T14; `decisions` 33).
    MachineChanged,
    /// The key cannot be read: every sign-in stands still, nothing is deleted.
    KeysShut { message: String },
    /// A token that could not be stored at its time was brought in from the spool.
    SpoolRecovered { signin: SignInId },
    /// A spool file that cannot be read. It is kept.
    SpoolUnreadable { file: String, why: String },
    /// A copy was made before the schema changed.
    Migrated { from: u32, to: u32, copy: PathBuf },
}

impl Db {
    /// Opens the state on this thread. [`super::Store::open`] is the usual way.
    pub fn open(options: Options) -> Result<Self> {
        let Options { dir, key, create, now, machine, zone } = options;
        if rusqlite::version_number() < SQLITE_MIN {
            return Err(StoreError::new(Kind::Refused, format!("SQLite {} is too old", rusqlite::version()))
                .next("Build with the bundled SQLite, 3.51.3 or newer."));
        }
        check_dir(&dir, create)?;
        let lock = take_lock(&dir)?;
        let path = dir.join(DB_FILE);
        let mut notes = Vec::new();
        if path.symlink_metadata().is_err() {
            if !create {
                return Err(StoreError::new(Kind::Missing, format!("there is no state in {}", dir.display()))
                    .next("Run `ledgerward init` to make one, or `ledgerward restore FILE` to bring one back."));
            }
            make_new(&dir, &path, &key, now)?;
        }
        check_file(&path)?;
        check_header(&path, &dir)?;
        let conn = connect(&path)?;
        check_content(&conn, &dir)?;
        settings(&conn)?;
        let from = migrate::version(&conn)?;
        if from < migrate::VERSION {
            let copy = migrate::copy_before(&conn, &dir, from, now)?;
            migrate::up(&conn, migrate::VERSION)?;
            notes.push(Note::Migrated { from, to: migrate::VERSION, copy });
        }
        let watermark = Watermark::open(&dir.join(WATERMARK_FILE))?;
        let keys = keys::at_start(&conn, &dir, &key).unwrap_or_else(|e| {
            notes.push(Note::KeysShut { message: e.message.clone() });
            Keyring::shut(e)
        });
        let mut db = Self::assemble(conn, dir, keys, watermark, lock, notes);
        db.zone = zone;
        db.compare_watermark(now)?;
        db.compare_machine(machine, now)?;
        db.read_spool(now)?;
        Ok(db)
    }

    /// A state behind its watermark was restored, or copied without its log. What the watermark says of the trail is
    /// written into the trail: from then on the watermark follows this state, and would vouch for a trail that was cut.
    fn compare_watermark(&mut self, now: Timestamp) -> Result<()> {
        let is = self.current_mark()?;
        let found = match self.watermark.last().cloned() {
            Some(was) => {
                let trail = self.trail_fault(&was)?.map(|(_, why)| why);
                behind(&is, &was, trail.as_deref()).map(|why| (why, trail))
            }
            // A state that never recorded anything may have been stopped before its first mark.
            None if is.audit_seq == 0 && is.generation == 0 => None,
            None => Some((
                "the watermark file is missing: the state file was copied here alone".to_owned(),
                Some("the watermark file was missing: nobody can say where the trail had ended".to_owned()),
            )),
        };
        if let Some((why, trail)) = found {
            let restored = Restored { since: now, why, trail };
            self.tx(|db| {
                // The first word stays until it is confirmed; what else is missing is on the trail too.
                if db.restored()?.is_none() {
                    db.set_meta("restored", &to_json(&restored)?)?;
                } else if restored.trail.is_none() {
                    return Ok(());
                }
                db.audit(now, "state.restored", "state", None::<&()>, Some(&restored), None)
            })?;
        }
        if let Some(r) = self.restored()? {
            self.notes.push(Note::Restored { why: r.why });
        }
        self.mark();
        self.write_mark();
        Ok(())
    }

    fn compare_machine(&mut self, machine: Option<String>, now: Timestamp) -> Result<()> {
        let id = machine.or_else(|| std::fs::read_to_string("/etc/machine-id").ok()).map(|t| fingerprint(t.trim()));
        match (self.meta("machine")?, id) {
            (None, Some(id)) => self.tx(|db| {
                db.set_meta("machine", &id)?;
                db.audit(now, "state.machine", "state", None::<&()>, Some(&id), None)
            }),
            (Some(was), Some(id)) if was != id => {
                self.notes.push(Note::MachineChanged);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The firm says that this machine is the right one from now on.
    pub fn adopt_machine(&mut self, machine: Option<String>, reason: &str, at: Timestamp) -> Result<()> {
        let id = machine.or_else(|| std::fs::read_to_string("/etc/machine-id").ok()).map(|t| fingerprint(t.trim()));
        let id = id.ok_or_else(|| StoreError::conflict("this machine has no id to remember"))?;
        self.tx(|db| {
            let was = db.meta("machine")?;
            db.set_meta("machine", &id)?;
            db.audit(at, "state.machine", "state", was.as_ref(), Some(&id), Some(reason))
        })?;
        self.notes.retain(|n| *n != Note::MachineChanged);
        Ok(())
    }
}

fn behind(is: &Mark, was: &Mark, trail: Option<&str>) -> Option<String> {
    if is.db != was.db {
        return Some("the state file is another one than the watermark belongs to".into());
    }
    if is.generation < was.generation {
        return Some(format!(
            "the state knows {} token changes, but there were {}: its sign-ins may be older than the provider's",
            is.generation, was.generation
        ));
    }
    if is.audit_seq < was.audit_seq {
        return Some(format!("the state ends at audit row {}, but there were {}", is.audit_seq, was.audit_seq));
    }
    trail.map(|why| format!("its audit trail is another one: {why}"))
}

fn fingerprint(machine: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"ledgerward/machine/1\n");
    hash.update(machine.as_bytes());
    hex(hash.finalize().get(..16).unwrap_or_default())
}

/// A new state is built under another name and moved in place whole, so that a crash never leaves half of one.
fn make_new(dir: &Path, path: &Path, key: &KeySource, now: Timestamp) -> Result<()> {
    if dir.join(WATERMARK_FILE).exists() {
        return Err(StoreError::new(
            Kind::Damaged,
            format!("{} is gone, but its watermark says that there was a state here", path.display()),
        )
        .next(
            "Bring it back with `ledgerward restore FILE`. To begin anew on purpose, use an empty state directory.",
        ));
    }
    let new = dir.join("ledgerward.db.new");
    for left in [new.clone(), dir.join("ledgerward.db.new-wal"), dir.join("ledgerward.db.new-shm")] {
        if left.exists() {
            std::fs::remove_file(&left).map_err(|e| StoreError::io("remove", &left, e))?;
        }
    }
    let kek = keys::create_or_read(dir, key)?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .map_err(|e| StoreError::io("make", &new, e))?;
    let conn = connect(&new)?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    settings(&conn)?;
    migrate::up(&conn, migrate::VERSION)?;
    keys::put_data_key(&conn, &kek, 1, now)?;
    conn.execute("INSERT INTO meta (key, value) VALUES ('db_id', ?1)", [uuid::Uuid::now_v7().to_string()])?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    conn.close().map_err(|(_, e)| e)?;
    File::open(&new).and_then(|f| f.sync_all()).map_err(|e| StoreError::io("sync", &new, e))?;
    std::fs::rename(&new, path).map_err(|e| StoreError::io("put in place", path, e))?;
    sync_dir(path)
}

/// Reads the header with no help from SQLite, which would write to a file that it opens.
fn check_header(path: &Path, dir: &Path) -> Result<()> {
    let mut header = [0; 100];
    let mut file = File::open(path).map_err(|e| StoreError::io("open", path, e))?;
    let whole = file.read_exact(&mut header).is_ok();
    let number =
        |at: usize| header.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok()).map_or(0, u32::from_be_bytes);
    if !whole || !header.starts_with(b"SQLite format 3\0") || number(68) != APPLICATION_ID as u32 {
        return Err(StoreError::damaged(format!("{} is empty, cut, or not a state of ledgerward", path.display())));
    }
    // SQLite reads what a cut took away as zeros. With a log beside it the file may lawfully be behind.
    let page = u64::from(number(16) >> 16);
    let (page, pages) = (if page == 1 { 65_536 } else { page.max(512) }, u64::from(number(28)));
    let size = file.metadata().map_err(|e| StoreError::io("look at", path, e))?.len();
    let logged = std::fs::metadata(dir.join(WAL_FILE)).is_ok_and(|m| m.len() > 0);
    if !logged && (!size.is_multiple_of(page) || size < pages.saturating_mul(page)) {
        return Err(StoreError::damaged(format!("{} was cut: it holds {size} bytes", path.display())));
    }
    let version = number(60);
    if version > migrate::VERSION { Err(migrate::too_new(version, dir)) } else { Ok(()) }
}

fn connect(path: &Path) -> Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // More than a delivery uses: with the usual 16 every file would have its statements parsed anew.
    conn.set_prepared_statement_cache_capacity(128);
    Ok(conn)
}

/// What only SQLite can tell, without changing anything: closing a refused file must not even move its log into it.
fn check_content(conn: &Connection, dir: &Path) -> Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let version = migrate::version(conn)?;
    if version > migrate::VERSION {
        return Err(migrate::too_new(version, dir));
    }
    let mut stmt = conn.prepare("PRAGMA quick_check(5)")?;
    let lines = stmt.query_map([], |r| r.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    if lines != ["ok"] {
        return Err(StoreError::damaged("the state file is damaged").source(lines.join("; ")));
    }
    drop(stmt);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(())
}

/// How long a statement waits for another connection: `busy_timeout` of [`PRAGMAS`].
pub(super) const BUSY: std::time::Duration = std::time::Duration::from_secs(5);

/// The settings of reliability 3.1, with what each must read back as.
pub const PRAGMAS: [(&str, &str, &str); 10] = [
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", "2"),
    ("foreign_keys", "ON", "1"),
    ("busy_timeout", "5000", "5000"),
    ("trusted_schema", "OFF", "0"),
    ("cell_size_check", "ON", "1"),
    ("secure_delete", "ON", "1"),
    ("mmap_size", "0", "0"),
    ("journal_size_limit", "16777216", "16777216"),
    ("temp_store", "MEMORY", "2"),
];

fn settings(conn: &Connection) -> Result<()> {
    for (name, set, must) in PRAGMAS {
        conn.pragma_update_and_check(None, name, set, |_| Ok(())).or_else(|e| match e {
            // Some settings answer with a row and some do not.
            rusqlite::Error::QueryReturnedNoRows => Ok(()),
            e => Err(e),
        })?;
        let is = pragma(conn, name)?;
        if is != must {
            return Err(StoreError::new(Kind::Refused, format!("SQLite did not take {name} = {set}; it is {is}"))
                .next("Check that the state directory is on a local disk that supports shared memory files."));
        }
    }
    Ok(())
}

/// A setting as a text, whatever type SQLite gives it.
pub(crate) fn pragma(conn: &Connection, name: &str) -> Result<String> {
    let value = conn.pragma_query_value(None, name, |r| r.get::<_, rusqlite::types::Value>(0));
    match value {
        Ok(rusqlite::types::Value::Integer(i)) => Ok(i.to_string()),
        Ok(rusqlite::types::Value::Text(t)) => Ok(t),
        Ok(_) | Err(rusqlite::Error::QueryReturnedNoRows) => Ok(String::new()),
        Err(e) => Err(e.into()),
    }
}
