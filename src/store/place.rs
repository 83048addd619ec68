//! Where the state may be: a private directory of ours on a local disk (D01), held by one process (D04).

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
    time::Duration,
};

use super::{
    error::{Kind, Result, StoreError},
    open::LOCK_FILE,
};

pub(crate) fn check_dir(dir: &Path, create: bool) -> Result<()> {
    if create && !dir.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|e| StoreError::io("make the state directory", dir, e))?;
    }
    let meta = std::fs::metadata(dir).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            StoreError::new(Kind::Missing, format!("there is no state directory {}", dir.display()))
                .next("Run `ledgerward init`.")
        }
        _ => StoreError::io("look at", dir, e),
    })?;
    if !meta.is_dir() {
        return Err(StoreError::new(Kind::Refused, format!("{} is not a directory", dir.display())));
    }
    private(dir, &meta, "0700")?;
    let fs = rustix::fs::statfs(dir).map_err(|e| StoreError::io("look at", dir, e.into()))?;
    if let Some(name) = network_fs(fs.f_type as i64) {
        return Err(StoreError::new(
            Kind::Refused,
            format!("{} is on {name}: SQLite's locks and syncs do not hold there", dir.display()),
        )
        .next("Put the state directory on a local disk."));
    }
    Ok(())
}

fn private(path: &Path, meta: &std::fs::Metadata, mode: &str) -> Result<()> {
    let me = rustix::process::geteuid().as_raw();
    if meta.uid() != me {
        return Err(StoreError::new(
            Kind::Refused,
            format!("{} belongs to uid {}, and this is uid {me}", path.display(), meta.uid()),
        )
        .next(format!("Run ledgerward as that user, or `chown -R {me} {}`.", path.display())));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(StoreError::new(
            Kind::Refused,
            format!("{} is open to other users (mode {:04o})", path.display(), meta.mode() & 0o7777),
        )
        .next(format!("`chmod {mode} {}`, and consider who could have read it.", path.display())));
    }
    Ok(())
}

/// `statfs` magic numbers of file systems where locks or `fsync` are not what SQLite needs (`man 2 statfs`).
pub(crate) const fn network_fs(magic: i64) -> Option<&'static str> {
    // The field is signed on some machines and 32 bits wide on others.
    match magic as u32 {
        0x6969 => Some("NFS"),
        0x517B => Some("SMB"),
        0xFF53_4D42 => Some("CIFS"),
        0xFE53_4D42 => Some("SMB 2"),
        0x6573_5546 => Some("FUSE (a synced or remote folder)"),
        0x0102_1997 => Some("9p"),
        0x00C3_6400 => Some("Ceph"),
        0x5346_414F => Some("AFS"),
        0x7375_7245 => Some("Coda"),
        0x564C => Some("NCP"),
        0x0BD0_0BD0 => Some("Lustre"),
        0x0116_1970 => Some("GFS2"),
        0x7461_636F => Some("OCFS2"),
        _ => None,
    }
}

/// A command that is just ending, or a program that its holder is just starting, lets go in a moment. A second instance is
/// told within a second all the same.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// The lock lives as long as the process and the file is never unlinked: unlinking would let two hold "the" lock.
pub(crate) fn take_lock(dir: &Path) -> Result<File> {
    let path = dir.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|e| StoreError::io("open the lock", &path, e))?;
    let mut tried = file.try_lock();
    for _ in 0..LOCK_TRIES {
        if !matches!(tried, Err(TryLockError::WouldBlock)) {
            break;
        }
        std::thread::sleep(LOCK_PAUSE);
        tried = file.try_lock();
    }
    match tried {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _unknown_is_fine = file.take(20).read_to_string(&mut holder);
            let holder = holder.trim();
            let who = if holder.is_empty() { String::new() } else { format!(" (process {holder})") };
            return Err(StoreError::new(Kind::Locked, format!("another ledgerward{who} has this state open")).next(
                "If it is the daemon and its socket does not take this command, stop it first: systemctl stop ledgerward. \
                 If it is another command, wait for its end.",
            ));
        }
        Err(TryLockError::Error(e)) => return Err(StoreError::io("lock", &path, e)),
    }
    // For people only: the lock itself is what counts, so a full disk must not stop the start.
    let _unused = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
    Ok(file)
}

pub(crate) fn check_file(path: &Path) -> Result<()> {
    let meta = path.symlink_metadata().map_err(|e| StoreError::io("look at", path, e))?;
    if !meta.is_file() {
        return Err(StoreError::new(Kind::Refused, format!("{} is not a plain file", path.display())));
    }
    private(path, &meta, "0600")
}

/// Makes a new or renamed name durable.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| StoreError::io("sync", dir, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d01_network_file_systems_are_known_by_their_numbers() {
        for magic in [0x6969, 0xFF53_4D42, 0x6573_5546, i64::from(0xFF53_4D42_u32 as i32)] {
            assert!(network_fs(magic).is_some(), "{magic:x}");
        }
        // ext4, xfs, btrfs, tmpfs, overlayfs, zfs
        for magic in [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0x2FC1_2FC1] {
            assert!(network_fs(magic).is_none(), "{magic:x}");
        }
    }
}
