//! Making files durable, several with one call. A disk takes about as long for one file as for all that wait, so whoever
//! comes while it is at work waits, and the next call serves all of them.

use std::{
    io,
    os::fd::AsFd,
    sync::{Arc, Condvar, Mutex, OnceLock, PoisonError},
};

use rustix::io::Errno;

/// File systems of this machine's own kernel on which one call makes everything durable and tells what failed. Elsewhere
/// (NFS, FUSE, overlays) every file is made durable by itself.
const WHOLE: [u64; 5] = [
    0xef53,      // ext2, 3 and 4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0xf2f5_2010, // F2FS
    0x0102_1994, // tmpfs
];

/// Everybody who works on one file system.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    /// Whether the root's file system is one of [`WHOLE`].
    whole: OnceLock<bool>,
    queue: Mutex<Queue>,
    turned: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// Somebody is at the disk.
    busy: bool,
    /// Those who wait for the next call, and what it will have said.
    next: Arc<OnceLock<Result<(), Errno>>>,
    waiting: usize,
}

impl Durable {
    /// Returns once this file or folder, with all that was written to it before, is on the disk.
    ///
    /// An error of the disk is told to everybody whom it may be about (F06).
    pub fn reach(&self, what: impl AsFd) -> io::Result<()> {
        let whole = || rustix::fs::fstatfs(&what).is_ok_and(|s| WHOLE.contains(&s.f_type.cast_unsigned()));
        if !*self.whole.get_or_init(whole) {
            return Ok(rustix::fs::fsync(&what)?);
        }
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.waiting += 1;
        let mine = Arc::clone(&queue.next);
        loop {
            if let Some(end) = mine.get() {
                return Ok((*end)?);
            }
            if !queue.busy {
                break;
            }
            queue = self.turned.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let alone = std::mem::take(&mut queue.waiting) == 1;
        (queue.busy, queue.next) = (true, Arc::default());
        drop(queue);
        let end = if alone { rustix::fs::fsync(&what) } else { rustix::fs::syncfs(&what) };
        // Nobody else sets it: whoever waits for it sees that somebody is at the disk.
        let _mine = mine.set(end);
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).busy = false;
        self.turned.notify_all();
        Ok(end?)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[test]
    fn many_at_a_time_all_end() {
        let dir = tempfile::tempdir().unwrap();
        let durable = Durable::default();
        durable.whole.set(true).unwrap();
        let ended = AtomicUsize::new(0);
        std::thread::scope(|all| {
            for n in 0..32 {
                let (durable, ended, path) = (&durable, &ended, dir.path().join(n.to_string()));
                all.spawn(move || {
                    for _ in 0..20 {
                        durable.reach(File::create(&path).unwrap()).unwrap();
                        ended.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(ended.into_inner(), 640);
        // What cannot be made durable is told.
        let (read, _write) = std::io::pipe().unwrap();
        assert!(durable.reach(&read).is_err());
    }
}
