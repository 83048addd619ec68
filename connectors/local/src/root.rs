//! The root folder: what must be true of it before anything in it is believed (F02, F04).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Mutex,
};

use cap_std::fs::Dir;
use ledgerward_contract::{
    Email, Error, ErrorKind, FolderId, NoteLevel, Probe, ProbeNote, Quotas, Result, Retry, Timestamp,
};
use ledgerward_kit::RootMemory;
use rustix::{fs::FileType, io::Errno};

use crate::{
    disk::{self, Explain, errno, explain},
    map::People,
    marker::MARKER,
    tree::us,
};

/// Where the client folders are, and how access works there.
#[derive(Debug)]
pub(crate) struct Disk {
    pub root: PathBuf,
    /// Whether access lists are ours to read and write (`mirror`, `report`).
    pub lists: bool,
    pub accounts: BTreeMap<Email, String>,
    pub new_root: bool,
    /// What lies in the root, so that not every folder's marker is read for every new client.
    pub neighbours: RootMemory<FolderId>,
    /// What was cleared in this cycle of what a crash left.
    pub swept: Mutex<Swept>,
    /// The first folders of a new root are made side by side, and its marker is written once.
    pub marking: Mutex<()>,
}

/// Folders that were cleared in one cycle: the root as an empty text, others by their paths.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    cycle: Option<Timestamp>,
    folders: BTreeSet<String>,
}

impl Swept {
    /// Whether this is the first time that a cycle is at a folder.
    pub fn first(&mut self, cycle: Timestamp, folder: String) -> bool {
        if self.cycle != Some(cycle) {
            *self = Self { cycle: Some(cycle), folders: BTreeSet::new() };
        }
        self.folders.insert(folder)
    }
}

impl Disk {
    /// The root, safe to work in: a real folder, ours, writable by nobody else (F02), and whether it has our marker.
    pub fn open_root(&self, op: &'static str) -> Result<(Dir, bool)> {
        let what = self.root.display().to_string();
        let config = |m: &str, next: &str| Err(Error::new(ErrorKind::Config, op, format!("{what}: {m}")).next(next));
        let dir = match disk::open_absolute(&self.root) {
            Ok(dir) => dir,
            // Never `NotFound`: that would say something about a client's folder.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return config("the root folder does not exist", "Make it, or mount the disk it is on.");
            }
            Err(e) if errno(&e) == Some(Errno::LOOP) => {
                return config("a symbolic link lies on the way to the root", "Write the real path in `root`.");
            }
            Err(e) => return Err(explain(op, &what, e)),
        };
        let stat = rustix::fs::fstat(&dir).map_err(io::Error::from).explain(op, &what)?;
        if stat.st_uid != us() {
            return config("the root belongs to another account", "chown it to the account this service runs as.");
        }
        if stat.st_mode & 0o022 != 0 {
            return config(
                "others than this service can write in the root, and so could swap two clients' folders",
                "chmod go-w it, and take write permission out of its ACL.",
            );
        }
        let marked = disk::look(&dir, MARKER).explain(op, &what)?.is_some_and(|s| disk::is(&s, FileType::RegularFile));
        Ok((dir, marked))
    }

    /// The root of a running set-up. Without its marker nothing is believed: an empty folder may be the mount point of a
    /// disk that is not there (F04), and "gone" would then be said of every client.
    pub fn root(&self, op: &'static str) -> Result<Dir> {
        match self.open_root(op)? {
            (dir, true) => Ok(dir),
            (_, false) => Err(self.unmarked(op)),
        }
    }

    pub fn unmarked(&self, op: &'static str) -> Error {
        let root = self.root.display();
        Error::new(
            ErrorKind::Unavailable,
            op,
            format!("{root} has no {MARKER}: the disk is not mounted, or this root is new"),
        )
        .retry(Retry::No)
        .next(format!("Mount the disk. For a new root, run once: touch '{root}/{MARKER}'"))
    }

    /// Whether this is an empty root that the firm declared as new.
    pub fn is_new(&self, op: &'static str, root: &Dir) -> Result<bool> {
        let names = disk::names(root).explain(op, "the root")?;
        Ok(self.new_root && names.iter().all(|n| n == "lost+found"))
    }

    /// Who is who on this machine, as of now.
    pub fn people(&self, op: &'static str) -> Result<People> {
        // A small container image has neither file: then accounts have numbers only.
        let read = |path: &str| match std::fs::read_to_string(Path::new(path)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            other => other.explain(op, path),
        };
        People::resolve(&self.accounts, &read("/etc/passwd")?, &read("/etc/group")?, us())
    }

    pub fn probe(&self) -> Result<Probe> {
        let op = "root.probe";
        let mut notes = Vec::new();
        let mut note = |level, text: String, next: Option<String>| notes.push(ProbeNote { level, text, next });
        let people = self.people(op);
        let account = people.as_ref().map_or_else(|_| format!("uid {}", us()), |p| p.user_name(us()));
        let (mut quota, mut root_id, mut lists_work) = (None, None, false);
        match self.open_root(op) {
            Err(e) => note(NoteLevel::Blocker, e.message, e.next),
            Ok((dir, marked)) => {
                root_id = marked.then(|| FolderId::from("."));
                quota = space(&dir);
                lists_work = disk::owned(&dir).is_ok();
                if !marked && !self.is_new(op, &dir)? {
                    let e = self.unmarked(op);
                    note(NoteLevel::Blocker, e.message, e.next);
                }
                if marked && self.new_root {
                    note(
                        NoteLevel::Warning,
                        "new_root is still set: should the disk not be mounted one day, new clients would go to the empty mount point".into(),
                        Some("Remove new_root from the settings.".into()),
                    );
                }
                if self.lists && !lists_work {
                    let e = explain(op, "the root", Errno::OPNOTSUPP.into());
                    note(NoteLevel::Blocker, e.message, e.next);
                }
                let passes = rustix::fs::fstat(&dir).is_ok_and(|s| s.st_mode & 0o011 != 0);
                if self.lists && !passes {
                    note(
                        NoteLevel::Warning,
                        "nobody but this service can pass through the root, so nobody reaches a folder below it".into(),
                        Some(format!("chmod go+x '{}' (the names in it stay hidden)", self.root.display())),
                    );
                }
            }
        }
        match people {
            Err(e) => note(NoteLevel::Blocker, e.message, e.next),
            Ok(people) => {
                for (email, account) in &people.unknown {
                    let text = format!("this machine has no user \"{account}\" for {email}");
                    note(NoteLevel::Warning, text, Some("Correct `accounts`, or write the uid.".into()));
                }
            }
        }
        Ok(Probe {
            account,
            root: root_id,
            may_share: self.lists && lists_work,
            inherited: Vec::new(),
            quota,
            children: None,
            notes,
        })
    }
}

fn space(dir: &Dir) -> Option<Quotas> {
    let s = rustix::fs::fstatvfs(dir).ok()?;
    let total = s.f_blocks.checked_mul(s.f_frsize)?;
    // What only root may still use is not ours.
    let free = s.f_bavail.checked_mul(s.f_frsize)?;
    Some(Quotas { used: total.saturating_sub(free), limit: Some(total) })
}
