//! The place of last resort for a token that the database did not take (T05): one sealed file for each, made exclusively
//! and synced with its directory, brought in at the next start or the next write.

use std::{
    fs::{DirBuilder, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
};

use ledgerward_contract::{Secret, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{
    db::{Db, from_us, from_us_opt, us},
    error::{Kind, Result, StoreError},
    open::Note,
    place::sync_dir,
    signin::{NewTokens, Tokens, aad},
};

#[derive(Serialize, Deserialize)]
struct Body {
    access: String,
    refresh: Option<String>,
    previous: Option<String>,
    access_issued_at: i64,
    access_expires_at: i64,
    refresh_expires_at: Option<i64>,
}

impl Drop for Body {
    fn drop(&mut self) {
        self.access.zeroize();
        self.refresh.zeroize();
        self.previous.zeroize();
    }
}

impl Body {
    fn of(new: &NewTokens) -> Self {
        let copy = |s: &Option<Secret>| s.as_ref().map(|s| s.expose().to_owned());
        Self {
            access: new.access.expose().to_owned(),
            refresh: copy(&new.refresh),
            previous: copy(&new.previous),
            access_issued_at: us(new.access_issued_at),
            access_expires_at: us(new.access_expires_at),
            refresh_expires_at: new.refresh_expires_at.map(us),
        }
    }

    fn tokens(&self) -> Result<NewTokens> {
        let secret = |s: &Option<String>| s.as_ref().map(|s| Secret::new(s.as_str()));
        Ok(NewTokens {
            access: Secret::new(self.access.as_str()),
            access_issued_at: from_us(self.access_issued_at)?,
            access_expires_at: from_us(self.access_expires_at)?,
            refresh: secret(&self.refresh),
            refresh_expires_at: from_us_opt(self.refresh_expires_at)?,
            previous: secret(&self.previous),
        })
    }
}

/// `<sign-in>.<generation>.<n>`: a second file of one generation is possible if the first was not read back.
struct SpoolFile {
    path: PathBuf,
    signin: String,
    generation: i64,
    n: u32,
}

impl Db {
    /// Writes tokens of generation `expected + 1` to a file of their own. Needs no room in the database.
    pub fn tokens_spool(&mut self, id: &str, expected: u64, new: &NewTokens) -> Result<Tokens> {
        let generation = i64::try_from(expected).unwrap_or(i64::MAX - 1) + 1;
        let text = Zeroizing::new(super::db::to_json(&Body::of(new))?);
        let sealed = self.keys.seal(&aad("spool", id, "tokens", generation), text.as_bytes())?;
        let dir = self.spool_dir();
        if !dir.exists() {
            DirBuilder::new().mode(0o700).create(&dir).map_err(|e| StoreError::io("make", &dir, e))?;
            sync_dir(&dir)?;
        }
        let n = self.spool_files()?.iter().filter(|f| f.signin == id && f.generation == generation).count();
        let path = dir.join(format!("{id}.{generation}.{n}"));
        let io = |e| StoreError::io("write the spool file", &path, e);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(io)?;
        file.write_all(&sealed).map_err(io)?;
        file.sync_all().map_err(io)?;
        sync_dir(&path)?;
        self.tokens(id)
    }

    fn spool_dir(&self) -> PathBuf {
        self.dir.join("spool")
    }

    fn spool_files(&self) -> Result<Vec<SpoolFile>> {
        let dir = self.spool_dir();
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(StoreError::io("list", &dir, e)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(|e| StoreError::io("list", &dir, e))?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let mut parts = name.rsplitn(3, '.');
            let n = parts.next().and_then(|t| t.parse().ok());
            let generation = parts.next().and_then(|t| t.parse().ok());
            if let (Some(n), Some(generation), Some(signin)) = (n, generation, parts.next()) {
                files.push(SpoolFile { signin: signin.to_owned(), generation, n, path });
            }
        }
        files.sort_by(|a, b| (&a.signin, a.generation, a.n).cmp(&(&b.signin, b.generation, b.n)));
        Ok(files)
    }

    fn read_spool_file(&self, file: &SpoolFile) -> Result<NewTokens> {
        let sealed = std::fs::read(&file.path).map_err(|e| StoreError::io("read", &file.path, e))?;
        let plain = self.keys.unseal(&aad("spool", &file.signin, "tokens", file.generation), &sealed)?;
        let body: Body = serde_json::from_slice(&plain)
            .map_err(|_| StoreError::new(Kind::Secret, "a spool file holds no tokens"))?;
        body.tokens()
    }

    /// The newest readable spool file of a sign-in, with when its tokens were given out.
    pub(crate) fn spooled(&self, id: &str) -> Result<Option<(i64, NewTokens, Timestamp)>> {
        for file in self.spool_files()?.iter().rev().filter(|f| f.signin == id) {
            // One cut short by the same full disk leaves an older one, or the row, in force.
            if let Ok(new) = self.read_spool_file(file) {
                let since = new.access_issued_at;
                return Ok(Some((file.generation, new, since)));
            }
        }
        Ok(None)
    }

    pub(crate) fn newest_spooled(&self, id: &str) -> Result<i64> {
        Ok(self.spooled(id)?.map_or(0, |(g, ..)| g))
    }

    /// Brings a newer spool file into the row. True if there was one.
    pub(crate) fn absorb_spool(&mut self, id: &str, at: Timestamp) -> Result<bool> {
        let Some((generation, new, _)) = self.spooled(id)? else { return Ok(false) };
        let newer = generation > self.raw_signin(id)?.generation;
        if newer {
            self.tx(|db| {
                db.write_tokens(id, generation, &new)?;
                let after = serde_json::json!({ "generation": generation.to_string() });
                db.audit(at, "signin.spool_read", id, None::<&()>, Some(&after), None)
            })?;
        }
        self.remove_spooled(id, generation)?;
        Ok(newer)
    }

    /// Removes the spool files of a sign-in up to a generation that the row holds.
    pub(crate) fn remove_spooled(&self, id: &str, generation: i64) -> Result<()> {
        for file in self.spool_files()?.iter().filter(|f| f.signin == id && f.generation <= generation) {
            std::fs::remove_file(&file.path).map_err(|e| StoreError::io("remove", &file.path, e))?;
        }
        Ok(())
    }

    /// Removes every spool file: the key that they were sealed with is lost.
    pub(crate) fn drop_spool(&self) -> Result<()> {
        for file in self.spool_files()? {
            std::fs::remove_file(&file.path).map_err(|e| StoreError::io("remove", &file.path, e))?;
        }
        Ok(())
    }

    /// At start: everything readable goes into its row; the rest is kept and told.
    pub(crate) fn read_spool(&mut self, at: Timestamp) -> Result<()> {
        for file in self.spool_files()?.into_iter() {
            if !file.path.exists() {
                continue;
            }
            let told = |why: String| Note::SpoolUnreadable { file: file.path.display().to_string(), why };
            match self.read_spool_file(&file) {
                Err(e) => self.notes.push(told(e.message)),
                // An error here is a full disk again: the tokens stay where they are and `tokens` reads them there.
                Ok(_) => match self.absorb_spool(&file.signin, at) {
                    Ok(true) => self.notes.push(Note::SpoolRecovered { signin: file.signin.clone() }),
                    Ok(false) => {}
                    Err(e) => self.notes.push(told(e.message)),
                },
            }
        }
        Ok(())
    }
}
