//! What can go wrong with the state, and what a person does about it.

use std::fmt;

pub type Result<T, E = StoreError> = std::result::Result<T, E>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Another process has the state open (D04).
    Locked,
    /// The state is in a place, of an owner or with a mode that we do not work with (D01).
    Refused,
    /// Written by a newer ledgerward (D05).
    Newer,
    /// Not ours, cut, or corrupt (D02). The file is kept as it is.
    Damaged,
    /// There is no state here yet.
    Missing,
    /// The disk is full. Nothing was changed.
    Full,
    /// The disk failed. Nothing more is written by this process (F06).
    Io,
    /// Somebody else's change is in the way, or the thing is not in the state that this step needs.
    Conflict,
    /// There is no such hold, plan, change or token.
    NotFound,
    /// A secret cannot be read: no key, another key, or an altered value (T15). Nothing was deleted.
    Secret,
    /// The store was closed, or a defect of our own stopped the work.
    Closed,
}

/// An error of the state, in one sentence with the next step. Never holds a secret.
pub struct StoreError {
    pub kind: Kind,
    pub message: String,
    pub next: Option<String>,
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), next: None, source: None }
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    pub(crate) fn damaged(message: impl Into<String>) -> Self {
        Self::new(Kind::Damaged, message).next(
            "The file is kept as it is. Run `ledgerward restore FILE` with the newest backup (see the folder `backups` in the state directory).",
        )
    }

    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// 75 (try again later), 78 (a person must put something right), as in `sysexits.h`; 1 for the rest.
    pub const fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Locked | Kind::Full | Kind::Io => 75,
            Kind::Refused | Kind::Newer | Kind::Damaged | Kind::Missing | Kind::Secret => 78,
            Kind::Conflict | Kind::NotFound | Kind::Closed => 1,
        }
    }

    pub(crate) fn io(what: &str, path: &std::path::Path, e: std::io::Error) -> Self {
        let (kind, next) = match e.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => (Kind::Full, Some(MAKE_ROOM)),
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => (Kind::Refused, None),
            _ => (Kind::Io, None),
        };
        let error = Self::new(kind, format!("cannot {what} {}", path.display())).source(e);
        match next {
            Some(next) => error.next(next),
            None => error,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)?;
        if let Some(next) = &self.next {
            write!(f, "; next: {next}")?;
        }
        if let Some(source) = &self.source {
            write!(f, "; caused by: {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|s| s.as_ref() as &(dyn std::error::Error + 'static))
    }
}

pub(crate) const FULL: &str = "the disk of the state directory is full; nothing was changed";
pub(crate) const MAKE_ROOM: &str =
    "Make room on the disk of the state directory (`df -h` shows it), then run the command again.";

/// SQLite's extended code, which says what the system did not do.
fn extended(e: &rusqlite::Error) -> Option<std::ffi::c_int> {
    e.sqlite_error().map(|e| e.extended_code)
}

impl From<rusqlite::Error> for StoreError {
    fn from(e: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as C;
        let (kind, message) = match e.sqlite_error_code() {
            Some(C::DiskFull) => (Kind::Full, FULL),
            // The index of the write-ahead log could not grow: the first thing that fails on a full disk.
            Some(C::SystemIoFailure) if extended(&e) == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) => (Kind::Full, FULL),
            Some(C::SystemIoFailure) => (Kind::Io, "the disk of the state directory failed; nothing more is written"),
            Some(C::ReadOnly | C::CannotOpen | C::PermissionDenied) => {
                (Kind::Refused, "the state file cannot be opened for writing")
            }
            Some(C::DatabaseCorrupt | C::NotADatabase) => {
                return Self::damaged("the state file is damaged or is not a state file of ledgerward").source(e);
            }
            Some(C::ConstraintViolation) => {
                (Kind::Conflict, "the change contradicts what is stored; nothing was changed")
            }
            Some(C::DatabaseBusy | C::DatabaseLocked) => (Kind::Locked, "another program holds the state file"),
            // A row of the wrong type or shape: written by somebody else, or decayed.
            _ if matches!(
                e,
                rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::IntegralValueOutOfRange(..)
                    | rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::Utf8Error(..)
            ) =>
            {
                return Self::damaged("a row of the state file cannot be read").source(e);
            }
            _ => (Kind::Io, "the state file did not take or give what was asked"),
        };
        let next = match kind {
            Kind::Full => MAKE_ROOM,
            Kind::Io => {
                "Look at the disk and the system's log, then start ledgerward again: it checks the state first."
            }
            Kind::Refused => "Check that the state directory and its files belong to this user and are not read-only.",
            Kind::Locked => "Close what else has the state file open; it is ledgerward's alone.",
            _ => return Self::new(kind, message).source(e),
        };
        Self::new(kind, message).next(next).source(e)
    }
}
