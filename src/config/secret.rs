//! Where a secret is, and reading it. Never an argument, never an environment variable.

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use ledgerward_contract::Secret;
use zeroize::Zeroizing;

/// More than any key or client secret has; a wrong path to something large stops here.
const SECRET_BYTES_MAX: u64 = 64 << 10;
/// What the key of the vault has.
pub const KEY_BYTES: usize = 32;

/// A secret's place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretRef {
    /// A file only the service's user (or root) may read.
    File(PathBuf),
    /// A systemd credential: a file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// Whose files are trusted, and where credentials are. From the process once, so that tests can say otherwise.
#[derive(Clone, Debug)]
pub struct SecretPlaces {
    pub uid: u32,
    pub credentials: Option<PathBuf>,
    /// Relative paths are meant from here: the configuration's own folder.
    pub base: PathBuf,
}

impl SecretPlaces {
    /// This process's user and credentials; relative files beside `config_file`.
    pub fn of_process(config_file: &Path) -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            base: config_file.parent().map_or_else(PathBuf::new, Path::to_path_buf),
        }
    }
}

/// What is wrong with a secret, and what to do. Never holds a byte of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SecretError {
    pub message: String,
    pub next: String,
}

impl SecretRef {
    /// Where the file is, once credentials are resolved.
    pub fn path(&self, places: &SecretPlaces) -> Result<PathBuf, SecretError> {
        match self {
            Self::File(path) => Ok(places.base.join(path)),
            Self::Credential(name) => places.credentials.as_ref().map(|dir| dir.join(name)).ok_or_else(|| {
                let (said, name) = match is_a_name(Path::new(name)) {
                    true => (format!("the credential \"{name}\""), name.as_str()),
                    false => ("this credential".to_owned(), "NAME"),
                };
                SecretError {
                    message: format!("{said} needs systemd, which has given this process none"),
                    next: format!(
                        "Add LoadCredential={name}:/path/to/file to the unit, or use {{ file = \"…\" }} here."
                    ),
                }
            }),
        }
    }

    /// Opens and checks without keeping the content: what `load` does for each secret of a configuration.
    pub fn check(&self, places: &SecretPlaces) -> Result<(), SecretError> {
        self.read(places).map(drop)
    }

    /// As [`Self::check`], for the key that seals the tokens: bytes, not text.
    pub fn check_key(&self, places: &SecretPlaces) -> Result<(), SecretError> {
        let (path, bytes) = self.bytes(places)?;
        if bytes.len() == KEY_BYTES {
            return Ok(());
        }
        let shown = path.display();
        Err(SecretError {
            message: format!(
                "the key file {shown} must hold exactly {KEY_BYTES} bytes, as they are and not as text; it holds {}",
                bytes.len()
            ),
            next: format!(
                "Put the right key back. Where there is no state yet, make one: head -c {KEY_BYTES} /dev/urandom > {shown}"
            ),
        })
    }

    /// The secret, one trailing line break taken off.
    pub fn read(&self, places: &SecretPlaces) -> Result<Secret, SecretError> {
        let (path, bytes) = self.bytes(places)?;
        let fail = |what: &str| SecretError {
            message: format!("the secret file {} is {what}", path.display()),
            next: "Replace it with a text file that holds the secret alone.".to_owned(),
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| fail("not text"))?;
        let secret = text.strip_suffix('\n').unwrap_or(text);
        let secret = secret.strip_suffix('\r').unwrap_or(secret);
        if secret.is_empty() {
            return Err(fail("empty"));
        }
        Ok(Secret::new(secret))
    }

    /// The file must be a regular file, owned by this user or root, not readable by others and not writable by its group;
    /// a group may read it only if root owns it (how Kubernetes mounts secrets for a group). The checks are made on the
    /// open file, so nothing can be swapped between look and read.
    fn bytes(&self, places: &SecretPlaces) -> Result<(PathBuf, Zeroizing<Vec<u8>>), SecretError> {
        let path = self.path(places)?;
        let shown = path.display();
        let fail = |message: String, next: String| SecretError { message, next };
        let file = File::open(&path).map_err(|e| {
            let (what, place) = if is_a_name(&path) {
                (format!("the secret file {shown}"), shown.to_string())
            } else {
                ("the secret file that is named here".to_owned(), "FILE".to_owned())
            };
            fail(
                format!("{what} cannot be opened: {}", describe(&e)),
                format!("Write the secret into that file, then: chmod 0400 {place}"),
            )
        })?;
        let meta = file.metadata().map_err(|e| {
            fail(format!("the secret file {shown} cannot be examined: {e}"), "Check the disk.".to_owned())
        })?;
        if !meta.is_file() {
            return Err(fail(format!("{shown} is not a file"), "Name the file that holds the secret.".to_owned()));
        }
        if meta.uid() != 0 && meta.uid() != places.uid {
            return Err(fail(
                format!("the secret file {shown} belongs to another user (uid {})", meta.uid()),
                format!("Make it belong to the user ledgerward runs as: chown {} {shown}", places.uid),
            ));
        }
        let group_reads = meta.mode() & 0o040 != 0 && meta.uid() != 0;
        if meta.mode() & 0o037 != 0 || group_reads {
            return Err(fail(
                format!("others may open the secret file {shown} (its mode is {:04o})", meta.mode() & 0o7777),
                format!("chmod 0400 {shown}. If it was ever readable, replace the secret at the vendor too."),
            ));
        }
        // Room for all of it at once: a buffer that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX as usize + 1));
        let read = file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|e| fail(format!("the secret file {shown} cannot be read: {e}"), "Check the disk.".to_owned()))?;
        if bytes.len() as u64 > SECRET_BYTES_MAX {
            let next = "Name the file that holds the secret alone.";
            return Err(fail(format!("the secret file {shown} is larger than 64 KiB"), next.to_owned()));
        }
        Ok((path, bytes))
    }
}

/// Whether this is surely the name of a file and not a secret that somebody wrote in its place: only then it is repeated.
fn is_a_name(path: &Path) -> bool {
    const ENDINGS: [&str; 8] = ["secret", "key", "password", "token", "account", "json", "pem", "txt"];
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let says_so = name.rsplit(['-', '_', '.']).next().is_some_and(|end| ENDINGS.contains(&end));
    says_so || path.symlink_metadata().is_ok()
}

fn describe(e: &std::io::Error) -> &'static str {
    match e.kind() {
        std::io::ErrorKind::NotFound => "there is no such file",
        std::io::ErrorKind::PermissionDenied => "this user may not read it",
        _ => "the system refused",
    }
}
