//! The key file (KEK) and the data keys it wraps (3.2). A key is never in an argument, the environment, a log or an error.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use ledgerward_contract::Timestamp;
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    db::{Db, us},
    error::{Kind, Result, StoreError},
    hex,
    open::Note,
    seal,
};

pub(crate) type KeyBytes = Zeroizing<[u8; 32]>;

/// Where the 32-byte key file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// `key` in the state directory, made when the state is made.
    State,
    /// A file the firm names. Not readable by others, and by its group only where root owns it.
    File(PathBuf),
    /// A systemd credential or a mounted secret: its mode is the supervisor's business, except that others cannot read it.
    Credential(PathBuf),
}

impl KeySource {
    pub(crate) fn path(&self, dir: &Path) -> PathBuf {
        match self {
            Self::State => dir.join("key"),
            Self::File(path) | Self::Credential(path) => path.clone(),
        }
    }

    const fn forbidden_mode(&self) -> u32 {
        match self {
            Self::State | Self::File(_) => 0o077,
            Self::Credential(_) => 0o007,
        }
    }
}

/// The way out, said wherever the way back is.
const LOST: &str =
    "If it is lost for good: `ledgerward key replace --reason …`, then sign in again with `ledgerward connect`.";

/// The key-encryption key: what the key file holds.
pub(crate) struct Kek {
    bytes: KeyBytes,
    pub(crate) id: String,
}

impl Kek {
    fn new(bytes: KeyBytes) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"ledgerward/kek-id/1\n");
        hash.update(bytes.as_slice());
        let id = hex(hash.finalize().get(..8).unwrap_or_default());
        Self { bytes, id }
    }

    /// Reads a key file and checks its owner and mode.
    pub(crate) fn read(path: &Path, forbidden_mode: u32) -> Result<Self> {
        let secret = |m: String| StoreError::new(Kind::Secret, m);
        let mut file = File::open(path).map_err(|e| {
            secret(format!("the key file {} cannot be read", path.display()))
                .source(e)
                .next(format!("Put the key file back from where it is kept safe: no sign-in is lost, and none works without it. {LOST}"))
        })?;
        let meta = file.metadata().map_err(|e| StoreError::io("look at", path, e))?;
        let me = rustix::process::geteuid().as_raw();
        // Root decides who is in a group (how Kubernetes mounts secrets); the configuration's check says the same.
        let forbidden = if meta.uid() == 0 && me != 0 { forbidden_mode & !0o040 } else { forbidden_mode };
        if !meta.is_file() || meta.mode() & forbidden != 0 || (meta.uid() != me && meta.uid() != 0) {
            return Err(secret(format!("the key file {} can be read by others, or is not ours", path.display()))
                .next(format!("chown it to this user and `chmod 0400 {}`.", path.display())));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(64));
        Read::by_ref(&mut file).take(64).read_to_end(&mut bytes).map_err(|e| StoreError::io("read", path, e))?;
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| {
            secret(format!("the key file {} must hold exactly 32 bytes, and does not", path.display()))
                .next(format!("Put the right key file back. {LOST}"))
        })?;
        Ok(Self::new(Zeroizing::new(key)))
    }

    /// Makes a new key file. Never writes over one.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let bytes = random_key()?;
        let io = |e| StoreError::io("make the key file", path, e);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
        file.write_all(bytes.as_slice()).map_err(io)?;
        file.sync_all().map_err(io)?;
        super::place::sync_dir(path)?;
        Ok(Self::new(bytes))
    }
}

pub(crate) fn random_key() -> Result<KeyBytes> {
    use rand::TryRngCore;
    let mut bytes = Zeroizing::new([0; 32]);
    rand::rngs::OsRng
        .try_fill_bytes(bytes.as_mut_slice())
        .map_err(|e| StoreError::new(Kind::Secret, "the system gives no random numbers").source(e.to_string()))?;
    Ok(bytes)
}

/// The unwrapped data keys, or why there are none. A state without its key still answers what needs no secret.
pub(crate) enum Keyring {
    Open { keys: BTreeMap<u32, KeyBytes>, current: u32 },
    Shut { message: String, next: Option<String> },
}

impl Keyring {
    pub(crate) fn shut(e: StoreError) -> Self {
        Self::Shut { message: e.message, next: e.next }
    }

    pub(crate) fn load(conn: &Connection, kek: &Kek) -> Result<Self> {
        let mut stmt = conn.prepare("SELECT id, kek_id, wrapped FROM data_key ORDER BY id")?;
        let rows =
            stmt.query_map([], |r| Ok((r.get::<_, u32>(0)?, r.get::<_, String>(1)?, r.get::<_, Vec<u8>>(2)?)))?;
        let mut keys = BTreeMap::new();
        for row in rows {
            let (id, kek_id, wrapped) = row?;
            if kek_id != kek.id {
                return Err(StoreError::new(
                    Kind::Secret,
                    format!("the key file is another one (it is {}, the state was sealed under {kek_id})", kek.id),
                )
                .next(format!(
                    "Put the right key file in place. After a restore this is the one of the backup's time, kept as `key.{kek_id}` by a rotation. {LOST}"
                )));
            }
            let key = seal::open(&kek.bytes, &wrap_aad(id), &wrapped)?;
            let key: [u8; 32] = key
                .as_slice()
                .try_into()
                .map_err(|_| StoreError::new(Kind::Secret, "a data key in the state has a wrong length"))?;
            keys.insert(id, Zeroizing::new(key));
        }
        let current = keys.keys().next_back().copied();
        let current = current.ok_or_else(|| StoreError::damaged("the state has no data key"))?;
        Ok(Self::Open { keys, current })
    }

    fn open(&self) -> Result<(&BTreeMap<u32, KeyBytes>, u32)> {
        match self {
            Self::Open { keys, current } => Ok((keys, *current)),
            Self::Shut { message, next } => {
                let e = StoreError::new(Kind::Secret, message.clone());
                Err(match next {
                    Some(next) => e.next(next.clone()),
                    None => e,
                })
            }
        }
    }

    /// `v1 | key_id | nonce24 | ct+tag`
    pub(crate) fn seal(&self, aad: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let (keys, current) = self.open()?;
        let key = keys.get(&current).ok_or_else(|| StoreError::new(Kind::Secret, "the current data key is missing"))?;
        let mut out = vec![1];
        out.extend_from_slice(&current.to_be_bytes());
        out.extend_from_slice(&seal::seal(key, aad, plain)?);
        Ok(out)
    }

    pub(crate) fn unseal(&self, aad: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let (keys, _) = self.open()?;
        let broken = || {
            StoreError::new(Kind::Secret, "a sealed value was altered, or belongs to another row")
                .next("Nothing was deleted. Restore the newest backup, or sign in again with `ledgerward connect`.")
        };
        let (head, rest) = sealed.split_at_checked(5).ok_or_else(broken)?;
        let [1, id @ ..] = head else { return Err(broken()) };
        let id = u32::from_be_bytes(<[u8; 4]>::try_from(id).map_err(|_| broken())?);
        let key = keys.get(&id).ok_or_else(broken)?;
        seal::open(key, aad, rest).map_err(|e| broken().source(e))
    }
}

fn wrap_aad(id: u32) -> String {
    format!("ledgerward|data_key|{id}|wrapped|0")
}

/// Makes a data key, in the transaction that makes the state or gives it another key.
pub(crate) fn put_data_key(conn: &Connection, kek: &Kek, id: u32, at: Timestamp) -> Result<()> {
    let wrapped = seal::seal(&kek.bytes, &wrap_aad(id), random_key()?.as_slice())?;
    conn.execute(
        "INSERT INTO data_key (id, kek_id, wrapped, made_at) VALUES (?1, ?2, ?3, ?4)",
        params![id, kek.id, wrapped, us(at)],
    )?;
    Ok(())
}

impl Db {
    /// Why sealed values cannot be read, if they cannot.
    pub fn keys_problem(&self) -> Option<StoreError> {
        self.keys.open().err()
    }

    /// Wraps the data keys with a new key file and puts it in place of `key` in the state directory; the old one stays as
    /// `key.<id>`, because older backups need it. Stopped at any point, the next start goes on from there.
    pub fn rotate_key(&mut self, at: Timestamp) -> Result<String> {
        let new_path = self.dir.join("key.new");
        // One that an interrupted rotation left behind wraps nothing, or the start would have put it in place.
        let kek = if new_path.exists() { Kek::read(&new_path, 0o077)? } else { Kek::create(&new_path)? };
        self.rewrap(&kek, at)?;
        finish_rotation(&self.dir)?;
        Ok(kek.id)
    }

    /// Wraps the data keys with the key in `new`, for a key file that lives elsewhere: put `new` in place of it afterwards.
    pub fn rewrap_with(&mut self, new: &KeySource, at: Timestamp) -> Result<String> {
        let kek = Kek::read(&new.path(&self.dir), new.forbidden_mode())?;
        self.rewrap(&kek, at)?;
        Ok(kek.id)
    }

    /// The way out when the key is lost for good: another key, under which nothing is sealed yet. Every sign-in stays, and
    /// its tokens, which nobody can read any more, go: a person makes it again, into the same row. Nothing else changes.
    ///
    /// Errors: `Conflict` where there is nothing to replace, because a key that opens the state is in place or beside it;
    /// `Secret` where the file in place may be the right one, and only cannot be used as it is.
    pub fn replace_lost_key(&mut self, source: &KeySource, reason: &str, at: Timestamp) -> Result<String> {
        // It may have been put back since the start.
        if let Ok(ring) = at_start(&self.conn, &self.dir, source) {
            self.keys = ring;
        }
        if self.keys.open().is_ok() {
            return Err(StoreError::conflict(
                "the key file in place opens the sign-ins: nothing is lost, nothing was changed",
            )
            .next("To seal them with a new key: `ledgerward key rotate`."));
        }
        let (last, was): (u32, String) =
            self.conn.query_row("SELECT id, kek_id FROM data_key ORDER BY id DESC LIMIT 1", [], |r| {
                Ok((r.get(0)?, r.get(1)?))
            })?;
        let (path, kept) = (source.path(&self.dir), self.dir.join(format!("key.{was}")));
        if kept.exists() {
            return Err(StoreError::conflict(format!("the right key is not lost: it is kept as {}", kept.display()))
                .next(format!("cp -p {} {}", kept.display(), path.display())));
        }
        let kek = match (Kek::read(&path, source.forbidden_mode()), path.symlink_metadata()) {
            // A whole one, put there in the lost one's place.
            (Ok(kek), _) => kek,
            (Err(_), Err(e)) if e.kind() == std::io::ErrorKind::NotFound && *source == KeySource::State => {
                Kek::create(&path)?
            }
            // Cut, or something else: kept, because nobody knows what it was.
            (Err(_), Ok(meta)) if meta.is_file() && meta.len() != 32 && *source == KeySource::State => {
                let aside = self.dir.join(format!("key.unusable-{}", uuid::Uuid::now_v7()));
                std::fs::rename(&path, &aside).map_err(|e| StoreError::io("put aside", &path, e))?;
                Kek::create(&path)?
            }
            (Err(e), _) if *source != KeySource::State => {
                return Err(e.next(format!(
                    "Put a new key there first: head -c 32 /dev/urandom > {path} && chmod 0400 {path}; then this command again.",
                    path = path.display()
                )));
            }
            (Err(e), _) => return Err(e),
        };
        self.tx(|db| {
            db.conn.execute("DELETE FROM data_key", [])?;
            // Another number than any key had, so that what is left sealed anywhere is never tried with this one.
            put_data_key(&db.conn, &kek, last + 1, at)?;
            db.conn.execute("DELETE FROM pending_oauth", [])?;
            db.conn.execute(
                "UPDATE signin SET access = NULL, refresh = NULL, previous = NULL, state = 'needs_reauth', state_since = ?1,
                 attempt = 0, why = 'the key that its tokens were sealed with is lost'",
                [us(at)],
            )?;
            db.audit(at, "key.replace", "data keys", Some(&was), Some(&kek.id), Some(reason))
        })?;
        self.keys = Keyring::load(&self.conn, &kek)?;
        self.notes.retain(|n| !matches!(n, Note::KeysShut { .. } | Note::SpoolUnreadable { .. }));
        self.drop_spool()?;
        Ok(kek.id)
    }

    fn rewrap(&mut self, kek: &Kek, at: Timestamp) -> Result<()> {
        let mut wrapped = Vec::new();
        for (id, key) in self.keys.open()?.0 {
            wrapped.push((*id, seal::seal(&kek.bytes, &wrap_aad(*id), key.as_slice())?));
        }
        self.tx(|db| {
            let was: String = db.conn.query_row("SELECT kek_id FROM data_key LIMIT 1", [], |r| r.get(0))?;
            for (id, blob) in &wrapped {
                db.conn.execute(
                    "UPDATE data_key SET kek_id = ?1, wrapped = ?2 WHERE id = ?3",
                    params![kek.id, blob, id],
                )?;
            }
            db.audit(at, "key.rotate", "data keys", Some(&was), Some(&kek.id), None)
        })
    }
}

/// Puts `key.new` in place of `key`, keeping the old one.
fn finish_rotation(dir: &Path) -> Result<()> {
    let (key, new) = (dir.join("key"), dir.join("key.new"));
    if key.exists() {
        let old = Kek::read(&key, 0o077)?;
        let kept = dir.join(format!("key.{}", old.id));
        if !kept.exists() {
            std::fs::hard_link(&key, &kept).map_err(|e| StoreError::io("keep the old key as", &kept, e))?;
        }
    }
    std::fs::rename(&new, &key).map_err(|e| StoreError::io("put the new key in place of", &key, e))?;
    super::place::sync_dir(&key)
}

/// Reads the key at start and opens the data keys; finishes a rotation that was stopped between its two halves.
pub(crate) fn at_start(conn: &Connection, dir: &Path, source: &KeySource) -> Result<Keyring> {
    let first = Kek::read(&source.path(dir), source.forbidden_mode()).and_then(|kek| Keyring::load(conn, &kek));
    let new = dir.join("key.new");
    match first {
        Err(e) if e.kind == Kind::Secret && *source == KeySource::State && new.exists() => {
            let ring = Kek::read(&new, 0o077).and_then(|kek| Keyring::load(conn, &kek)).map_err(|_| e)?;
            finish_rotation(dir)?;
            Ok(ring)
        }
        other => other,
    }
}

pub(crate) fn create_or_read(dir: &Path, source: &KeySource) -> Result<Kek> {
    let path = source.path(dir);
    match source {
        KeySource::State if !path.exists() => Kek::create(&path),
        _ => Kek::read(&path, source.forbidden_mode()),
    }
}
