//! The operations of the target, each from start to end in one blocking function.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt, io,
    path::{Path, PathBuf},
};

use cap_std::fs::Dir;
use ledgerward_contract::{
    Created, Email, Error, ErrorKind, Expect, FileId, FilePath, FolderId, FolderKey, FolderRole, Gone, Granted,
    Journalled, NoteLevel, PermissionId, Probe, ProbeNote, Quotas, Result, Retry, SeenFile, SeenPermission, Stat,
    StatementFile, Stored, Tag, Timestamp, Via,
};
use rustix::{
    fs::{FileType, Mode},
    io::Errno,
    process::geteuid,
};
use serde::{Deserialize, Serialize};

use crate::{
    disk::{self, Explain, TEMP, Which, explain},
    map::{self, Acl, Owned, People, Who},
};

/// Our marker in the root and in each client's folder (`decisions` 19).
const MARKER: &str = ".ledgerward.json";
/// People's software does not nest deeper; a loop of bind mounts would.
const DEPTH_MAX: usize = 32;
/// A temporary file older than this was left by a crash.
const STALE_SECONDS: i64 = 3600;

/// Where the client folders are, and how access works there.
#[derive(Debug)]
pub(crate) struct Disk {
    pub root: PathBuf,
    /// Whether access lists are ours to read and write (`mirror`, `report`).
    pub lists: bool,
    pub accounts: BTreeMap<Email, String>,
    pub new_root: bool,
}

#[derive(Serialize, Deserialize)]
struct Marker {
    schema: String,
    folder: String,
}

/// Something below a client's folder, for [`walk`].
struct Entry<'a> {
    dir: &'a Dir,
    name: &'a OsStr,
    path: &'a [String],
    stat: &'a rustix::fs::Stat,
    /// The open folder, where it is one that we may open.
    sub: Option<&'a Dir>,
}

impl Entry<'_> {
    fn path(&self) -> String {
        self.path.join("/")
    }

    fn is(&self, kind: FileType) -> bool {
        disk::is(self.stat, kind)
    }
}

fn us() -> u32 {
    geteuid().as_raw()
}

impl Disk {
    /// The root, safe to work in: a real folder, ours, writable by nobody else (F02), and whether it has our marker.
    fn open_root(&self, op: &'static str) -> Result<(Dir, bool)> {
        let what = self.root.display().to_string();
        let config = |m: &str, next: &str| Err(Error::new(ErrorKind::Config, op, format!("{what}: {m}")).next(next));
        let dir = match disk::open_absolute(&self.root) {
            Ok(dir) => dir,
            // Never `NotFound`: that would say something about a client's folder.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return config("the root folder does not exist", "Make it, or mount the disk it is on.");
            }
            Err(e) if e.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
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
    fn root(&self, op: &'static str) -> Result<Dir> {
        match self.open_root(op)? {
            (dir, true) => Ok(dir),
            (_, false) => Err(self.unmarked(op)),
        }
    }

    fn unmarked(&self, op: &'static str) -> Error {
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
    fn is_new(&self, op: &'static str, root: &Dir) -> Result<bool> {
        let names = disk::names(root).explain(op, "the root")?;
        Ok(self.new_root && names.iter().all(|n| n == "lost+found"))
    }

    /// An existing client folder.
    fn client(&self, op: &'static str, id: &FolderId) -> Result<Dir> {
        let root = self.root(op)?;
        let name = id.as_str();
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) || name.starts_with(TEMP) {
            return Err(Error::contract(op, "this is no id of a folder of this target").with("folder", name));
        }
        disk::open_dir(&root, name).explain(op, name)
    }

    /// A client folder that is fit to be written to (F02): ours, and closed to the world.
    fn client_for_writing(&self, op: &'static str, id: &FolderId) -> Result<Dir> {
        let dir = self.client(op, id)?;
        must_be_ours(op, id.as_str(), &dir)?;
        Ok(dir)
    }

    fn need_lists(&self, op: &'static str) -> Result<()> {
        if self.lists {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, op, "sharing is \"off\" for this target: access is granted elsewhere")
            .next("Set sharing = \"mirror\" and `accounts` to have it kept by POSIX ACLs."))
    }

    fn people(&self, op: &'static str) -> Result<People> {
        let read = |path: &str| std::fs::read_to_string(Path::new(path)).explain(op, path);
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
        if self.lists && root_id.is_some() && !lists_work {
            let e = explain(op, "the root", Errno::OPNOTSUPP.into());
            note(NoteLevel::Blocker, e.message, e.next);
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
        Ok(Probe { account, root: root_id, may_share: self.lists && lists_work, inherited: Vec::new(), quota, notes })
    }

    pub fn find(&self, key: &FolderKey) -> Result<Option<FolderId>> {
        let op = "folder.find";
        match self.open_root(op)? {
            (root, true) => find_in(op, &root, key),
            (root, false) if self.is_new(op, &root)? => Ok(None),
            _ => Err(self.unmarked(op)),
        }
    }

    pub fn stat(&self, id: &FolderId) -> Result<Stat> {
        let op = "folder.stat";
        let dir = match self.client(op, id) {
            Ok(dir) => dir,
            Err(e) if e.kind == ErrorKind::NotFound => return Ok(Stat::Gone),
            Err(e) if e.kind == ErrorKind::Forbidden => return Ok(Stat::NoAccess),
            Err(e) => return Err(e),
        };
        let stat = rustix::fs::fstat(&dir).map_err(io::Error::from).explain(op, id.as_str())?;
        Ok(Stat::Present {
            name: id.0.clone(),
            parent: Some(FolderId::from(".")),
            owner: Some(self.people(op)?.user_name(stat.st_uid)),
            marker: read_marker(op, &dir)?,
            // Passing through the root is not reading: each folder has a list of its own.
            inherits: false,
            writers_can_share: Some(false),
        })
    }

    pub fn sharing(&self, id: &FolderId) -> Result<Vec<SeenPermission>> {
        let op = "sharing.list";
        self.need_lists(op)?;
        let (dir, people) = (self.client(op, id)?, self.people(op)?);
        let own = disk::owned(&dir).explain(op, id.as_str())?;
        let mut list = map::direct(&own, &people, us());
        walk(op, &dir, &mut Vec::new(), &mut |e| {
            if !e.is(FileType::RegularFile) && !e.is(FileType::Directory) {
                return Ok(());
            }
            let it = disk::owned_at(e.dir, e.name, e.stat).explain(op, &e.path())?;
            list.extend(map::below(&own, &e.path(), &it, &people, us()));
            if e.is(FileType::Directory) && e.sub.is_none() && own.acl.open_to_many() {
                return Err(explain(op, &e.path(), Errno::ACCESS.into()));
            }
            Ok(())
        })?;
        Ok(list)
    }

    pub fn files(&self, id: &FolderId) -> Result<Vec<SeenFile>> {
        let op = "files.list";
        let dir = self.client(op, id)?;
        let mut files = Vec::new();
        walk(op, &dir, &mut Vec::new(), &mut |e| {
            let tag = if e.is(FileType::RegularFile) {
                match disk::open_file(e.dir, e.name).and_then(disk::hash) {
                    Ok(hash) => hash,
                    Err(x) if x.kind() == io::ErrorKind::NotFound => return Ok(()),
                    Err(x) if x.kind() == io::ErrorKind::PermissionDenied => "unreadable".into(),
                    Err(x) => return Err(explain(op, &e.path(), x)),
                }
            } else if e.sub.is_some() {
                return Ok(());
            } else if e.is(FileType::Directory) {
                "unreadable".into()
            } else {
                // A link or a pipe takes a name as well, and is never followed.
                "not-a-file".into()
            };
            files.push(SeenFile {
                id: FileId(e.path()),
                path: e.path.to_vec(),
                size: u64::try_from(e.stat.st_size).unwrap_or(0),
                tag: Tag(tag),
                key: None,
            });
            Ok(())
        })?;
        Ok(files)
    }

    pub fn create(&self, key: &FolderKey, name: &str, step: Journalled, now: Timestamp) -> Result<Created> {
        let op = "folder.create";
        if FilePath::new(vec![name.to_owned()]).is_none() || reserved(name) {
            return Err(Error::new(ErrorKind::Config, op, format!("{name:?} cannot be the name of a folder")));
        }
        let (root, marked) = self.open_root(op)?;
        if !marked {
            if !self.is_new(op, &root)? {
                return Err(self.unmarked(op));
            }
            write_marker(op, &root, "ledgerward/local-root/1", &"root", step)?;
        }
        if let Some(id) = find_in(op, &root, key)? {
            return Ok(Created::Exists { id, ours: true });
        }
        if disk::look(&root, name).explain(op, name)?.is_some() {
            return Ok(Created::Exists { id: name.into(), ours: false });
        }
        if self.lists {
            disk::owned(&root).explain(op, "the root")?;
        }
        sweep(op, &root, now)?;
        let temp = temp_name(step, name);
        let made = self.make_folder(op, &root, &temp, key, step).and_then(|()| move_in(op, &root, &temp, name));
        if made.is_err() {
            drop_temp_folder(&root, &temp);
        }
        match made {
            Err(e) if e.kind == ErrorKind::Conflict => Ok(Created::Exists { id: name.into(), ours: false }),
            Err(e) => Err(e),
            Ok(()) => Ok(Created::Created(name.into())),
        }
    }

    /// A whole client folder under a temporary name: closed to everybody but us, with its marker.
    fn make_folder(&self, op: &'static str, root: &Dir, temp: &str, key: &FolderKey, step: Journalled) -> Result<()> {
        drop_temp_folder(root, temp);
        self.make_dir(op, root, temp, &Acl::from_mode(0o700))?;
        let dir = disk::open_dir(root, temp).explain(op, temp)?;
        write_marker(op, &dir, "ledgerward/folder/1", key, step)
    }

    /// A new folder, with this list where lists are ours; else 0750, less the umask, or the firm's own default ACL.
    fn make_dir(&self, op: &'static str, parent: &Dir, name: &str, acl: &Acl) -> Result<()> {
        let mode = Mode::from_raw_mode(if self.lists { 0o700 } else { 0o750 });
        rustix::fs::mkdirat(parent, name, mode).map_err(io::Error::from).explain(op, name)?;
        if self.lists {
            let dir = disk::open_dir(parent, name).explain(op, name)?;
            set_lists(&dir, acl, Order::Open).explain(op, name)?;
        }
        rustix::fs::fsync(parent).map_err(io::Error::from).explain(op, name)
    }

    pub fn mark(&self, id: &FolderId, key: &FolderKey, step: Journalled) -> Result<()> {
        let op = "folder.mark";
        let dir = self.client_for_writing(op, id)?;
        match read_marker(op, &dir)? {
            Some(text) if text == key.to_string() => Ok(()),
            Some(text) => Err(Error::new(ErrorKind::Conflict, op, "the folder carries another client's marker")
                .with("folder", id.as_str())
                .with("marker", text)),
            None => write_marker(op, &dir, "ledgerward/folder/1", key, step),
        }
    }

    /// Takes the rights of "every user of this machine" away, and lets new things in the folder begin with its own list.
    /// Writers cannot share on a disk, and nothing is inherited. With sharing "off" nothing is ours to cut.
    pub fn close_spread(&self, id: &FolderId) -> Result<()> {
        let op = "folder.close";
        let dir = self.client_for_writing(op, id)?;
        if !self.lists {
            return Ok(());
        }
        let own = disk::owned(&dir).explain(op, id.as_str())?;
        set_lists(&dir, &own.acl.set(Who::Other, 0), Order::Close).explain(op, id.as_str())?;
        confirm(op, id, &dir, Who::Other, 0)
    }

    pub fn grant(&self, id: &FolderId, who: &Email, role: FolderRole) -> Result<Granted> {
        let op = "permission.create";
        self.need_lists(op)?;
        let (dir, uid) = (self.client_for_writing(op, id)?, self.people(op)?.uid(who)?);
        let who = Who::User(uid);
        let own = disk::owned(&dir).explain(op, id.as_str())?;
        let bits = own.acl.effective(who) | map::folder_bits(role);
        // What is inside first: an entry on the folder means that the grant is whole.
        spread(op, &dir, who, |have| have | bits)?;
        set_lists(&dir, &own.acl.set(who, bits), Order::Open).explain(op, id.as_str())?;
        confirm(op, id, &dir, who, bits)?;
        Ok(Granted::Now(who.id()))
    }

    pub fn set_role(&self, id: &FolderId, permission: &PermissionId, role: FolderRole) -> Result<()> {
        let op = "permission.update";
        self.need_lists(op)?;
        let dir = self.client_for_writing(op, id)?;
        let own = disk::owned(&dir).explain(op, id.as_str())?;
        let who = match Who::parse(permission) {
            Some(who @ (Who::User(_) | Who::Group(_))) if own.acl.all().any(|w| w == who) => who,
            Some(Who::Owner | Who::OwningGroup | Who::Other) => return Err(not_ours(op, permission)),
            _ => return Err(explain(op, permission.as_str(), Errno::NOENT.into())),
        };
        let bits = map::folder_bits(role);
        set_lists(&dir, &own.acl.set(who, bits), Order::Close).explain(op, id.as_str())?;
        spread(op, &dir, who, |_| bits)?;
        confirm(op, id, &dir, who, bits)
    }

    /// Closes the folder first, which shuts the person out of all below it, then cleans up below. A repeat cleans up again.
    pub fn revoke(&self, id: &FolderId, permission: &PermissionId) -> Result<Gone> {
        let op = "permission.delete";
        self.need_lists(op)?;
        let who = match Who::parse(permission) {
            Some(Who::Owner) => return Err(not_ours(op, permission)),
            Some(who) => who,
            None => return Ok(Gone::Already),
        };
        let dir = match self.client_for_writing(op, id) {
            Err(e) if e.kind == ErrorKind::NotFound => return Ok(Gone::Already),
            other => other?,
        };
        let own = disk::owned(&dir).explain(op, id.as_str())?;
        let named = own.acl.users.keys().map(|u| Who::User(*u)).chain(own.acl.groups.keys().map(|g| Who::Group(*g)));
        let had = own.acl.effective(who) != 0 || named.into_iter().any(|w| w == who);
        let next = own.acl.set(who, 0);
        set_lists(&dir, &next, Order::Close).explain(op, id.as_str())?;
        confirm(op, id, &dir, who, 0)?;
        let below = match who {
            Who::User(_) | Who::Group(_) => spread(op, &dir, who, |_| 0)?,
            _ => Spread::default(),
        };
        Ok(match below.left {
            Some(path) if next.open_to_many() => Gone::StillVia(Via::Below(path)),
            _ if had || below.changed => Gone::Done,
            _ => Gone::Already,
        })
    }

    pub fn put(
        &self,
        id: &FolderId,
        file: &StatementFile,
        expect: &Expect,
        step: Journalled,
        now: Timestamp,
    ) -> Result<Stored> {
        let op = "file.put";
        if let Some(name) = file.path.names().iter().find(|n| reserved(n)) {
            return Err(Error::new(ErrorKind::Config, op, format!("{name:?} is a name this service keeps for itself")));
        }
        let client = self.client_for_writing(op, id)?;
        if read_marker(op, &client)?.is_none() {
            return Err(Error::new(ErrorKind::Conflict, op, "the folder does not carry our marker any more")
                .with("folder", id.as_str())
                .next("Check that it is still the same client's folder, and adopt it again."));
        }
        let list = if self.lists { Some(disk::owned(&client).explain(op, id.as_str())?.acl) } else { None };
        let (folders, name) = file.path.split();
        let dir = self.descend(op, client, folders, list.as_ref())?;
        sweep(op, &dir, now)?;

        let wanted = disk::hash(file.bytes.as_ref()).explain(op, name)?;
        let stored = |written| Stored {
            id: FileId(file.path.to_string()),
            tag: Tag(wanted.clone()),
            size: file.bytes.len() as u64,
            written,
        };
        let there = content(op, &dir, name)?;
        if there.as_ref() == Some(&wanted) {
            return Ok(stored(false));
        }
        let replace = match (expect, &there) {
            (Expect::Absent, None) => false,
            (Expect::Unchanged(id, tag), Some(hash)) if id.0 == file.path.to_string() && tag.0 == *hash => true,
            _ => return Err(conflict(op, &file.path)),
        };
        let temp = temp_name(step, name);
        if disk::look(&dir, &temp).explain(op, name)?.is_some() {
            dir.remove_file(&temp).explain(op, name)?;
        }
        let mode = if self.lists { 0o600 } else { 0o640 };
        disk::write_temp(&dir, &temp, &file.bytes, mode, list.map(|l| l.for_file()).as_ref()).explain(op, name)?;
        if let Err(e) = disk::commit(&dir, &temp, name, replace) {
            _ = dir.remove_file(&temp);
            return Err(match e.kind() {
                io::ErrorKind::AlreadyExists => conflict(op, &file.path),
                _ => explain(op, name, e),
            });
        }
        if content(op, &dir, name)?.as_ref() != Some(&wanted) {
            return Err(Error::contract(op, format!("{}: what is on the disk is not what was written", file.path))
                .next("Look for a failing disk, or for a program that rewrites files there."));
        }
        Ok(stored(true))
    }

    /// Opens sub-folders, making those that are missing. One that is not ours is refused: its owner could swap what is in it.
    fn descend(&self, op: &'static str, mut dir: Dir, folders: &[String], list: Option<&Acl>) -> Result<Dir> {
        for name in folders {
            if disk::look(&dir, name).explain(op, name)?.is_none() {
                self.make_dir(op, &dir, name, list.unwrap_or(&Acl::from_mode(0o750)))?;
            }
            dir = disk::open_dir(&dir, name).explain(op, name)?;
            must_be_ours(op, name, &dir)?;
        }
        Ok(dir)
    }
}

fn conflict(op: &'static str, path: &FilePath) -> Error {
    Error::new(ErrorKind::Conflict, op, format!("{path}: another file is there than expected"))
        .next("Move it away if it is nobody's; the statement is then written in the next cycle.")
}

fn not_ours(op: &'static str, permission: &PermissionId) -> Error {
    Error::new(ErrorKind::Forbidden, op, format!("the entry \"{permission}\" is not one this service may change"))
}

fn reserved(name: &str) -> bool {
    name.starts_with(TEMP) || name == MARKER
}

fn temp_name(step: Journalled, name: &str) -> String {
    let hash: String = disk::hash(name.as_bytes()).unwrap_or_default().chars().take(12).collect();
    format!("{TEMP}{}-{hash}", step.row())
}

fn must_be_ours(op: &'static str, name: &str, dir: &Dir) -> Result<()> {
    let stat = rustix::fs::fstat(dir).map_err(io::Error::from).explain(op, name)?;
    let refuse = |m: &str, next: &str| Err(Error::new(ErrorKind::Conflict, op, format!("{name}: {m}")).next(next));
    if stat.st_uid != us() {
        return refuse("the folder belongs to another account", "chown it to the account this service runs as.");
    }
    if stat.st_mode & 0o002 != 0 {
        return refuse("every user of this machine can write here", "chmod o-w it.");
    }
    Ok(())
}

/// The hash of a file, `None` if nothing has the name. Anything but a plain file with one name is a conflict (F02).
fn content(op: &'static str, dir: &Dir, name: &str) -> Result<Option<String>> {
    let Some(stat) = disk::look(dir, name).explain(op, name)? else { return Ok(None) };
    let refuse = |m: &str| Err(Error::new(ErrorKind::Conflict, op, format!("{name}: {m}")));
    if !disk::is(&stat, FileType::RegularFile) {
        return refuse("a folder, a link or something else that is no file has this name");
    }
    if stat.st_nlink != 1 {
        return refuse("the file has a second name elsewhere (a hard link), so writing it could reach somebody else");
    }
    disk::open_file(dir, name).and_then(disk::hash).explain(op, name).map(Some)
}

fn find_in(op: &'static str, root: &Dir, key: &FolderKey) -> Result<Option<FolderId>> {
    let (wanted, mut found) = (key.to_string(), Vec::new());
    for name in disk::names(root).explain(op, "the root")? {
        let Some(text) = name.to_str().filter(|n| !n.starts_with(TEMP)) else { continue };
        if !disk::look(root, text).explain(op, text)?.is_some_and(|s| disk::is(&s, FileType::Directory)) {
            continue;
        }
        // What we cannot open, or what is mounted there, is never a folder of ours.
        let Ok(dir) = disk::open_dir(root, text) else { continue };
        if read_marker(op, &dir)?.as_deref() == Some(wanted.as_str()) {
            found.push(FolderId::from(text));
        }
    }
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        [a, b, ..] => Err(Error::new(ErrorKind::Conflict, op, format!("\"{a}\" and \"{b}\" carry the same marker"))
            .next(format!("One is a copy. Delete {MARKER} in the one that is not the client's folder."))),
    }
}

/// The key on a folder's marker. A marker that another account wrote is none: writers of a folder could forge it.
fn read_marker(op: &'static str, dir: &Dir) -> Result<Option<String>> {
    let Some(stat) = disk::look(dir, MARKER).explain(op, MARKER)? else { return Ok(None) };
    if !disk::is(&stat, FileType::RegularFile) || stat.st_uid != us() || stat.st_size > 1 << 16 {
        return Ok(None);
    }
    let file = disk::open_file(dir, MARKER).explain(op, MARKER)?;
    let text = io::read_to_string(file).explain(op, MARKER)?;
    Ok(serde_json::from_str::<Marker>(&text).ok().map(|m| m.folder))
}

fn write_marker(op: &'static str, dir: &Dir, schema: &str, key: &dyn fmt::Display, step: Journalled) -> Result<()> {
    let marker = Marker { schema: schema.to_owned(), folder: key.to_string() };
    let text = serde_json::to_vec(&marker).map_err(io::Error::from).explain(op, MARKER)?;
    let temp = temp_name(step, MARKER);
    _ = dir.remove_file(&temp);
    disk::write_temp(dir, &temp, &text, 0o600, None).explain(op, MARKER)?;
    disk::commit(dir, &temp, MARKER, false).inspect_err(|_| _ = dir.remove_file(&temp)).explain(op, MARKER)
}

/// Gives a finished folder its name, which nobody may have meanwhile.
fn move_in(op: &'static str, root: &Dir, temp: &str, name: &str) -> Result<()> {
    let e = match disk::commit(root, temp, name, false) {
        Ok(()) => return Ok(()),
        Err(e) => e,
    };
    // No rename without replacing and no hard link to a folder (NFS): take the name with an empty folder, which a plain
    // rename replaces in one step, and which fails should anything have been put into it.
    if e.raw_os_error() != Some(Errno::PERM.raw_os_error()) {
        return Err(explain(op, name, e));
    }
    rustix::fs::mkdirat(root, name, Mode::RWXU).map_err(io::Error::from).explain(op, name)?;
    disk::commit(root, temp, name, true).explain(op, name)
}

/// Removes a client folder in the making: its marker and nothing else, so that no content can ever be lost.
fn drop_temp_folder(root: &Dir, temp: &str) {
    if let Ok(dir) = disk::open_dir(root, temp) {
        for name in disk::names(&dir).unwrap_or_default() {
            if name == MARKER || name.to_str().is_some_and(|n| n.starts_with(TEMP)) {
                _ = dir.remove_file(name);
            }
        }
        _ = root.remove_dir(temp);
    }
}

/// Removes what a crash left (F03).
fn sweep(op: &'static str, dir: &Dir, now: Timestamp) -> Result<()> {
    for name in disk::names(dir).explain(op, "the folder")? {
        let Some(name) = name.to_str().filter(|n| n.starts_with(TEMP)) else { continue };
        let Some(stat) = disk::look(dir, name).explain(op, name)? else { continue };
        if stat.st_uid != us() || stat.st_mtime > now.as_second().saturating_sub(STALE_SECONDS) {
            continue;
        }
        if disk::is(&stat, FileType::Directory) {
            drop_temp_folder(dir, name);
        } else {
            dir.remove_file(name).explain(op, name)?;
        }
    }
    Ok(())
}

/// Visits everything below a client's folder, our own marker and temporary files left out. What vanishes meanwhile is passed
/// over; any other trouble ends the walk, for a listing is whole or it is an error.
fn walk(
    op: &'static str,
    dir: &Dir,
    path: &mut Vec<String>,
    visit: &mut dyn FnMut(&Entry<'_>) -> Result<()>,
) -> Result<()> {
    if path.len() > DEPTH_MAX {
        return Err(Error::contract(
            op,
            format!("{}: more than {DEPTH_MAX} folders inside each other", path.join("/")),
        ));
    }
    for name in disk::names(dir).explain(op, &path.join("/"))? {
        let shown = name.to_string_lossy().into_owned();
        if (path.is_empty() && shown == MARKER) || shown.starts_with(TEMP) {
            continue;
        }
        path.push(shown);
        step(op, dir, &name, path, visit)?;
        path.pop();
    }
    Ok(())
}

fn step(
    op: &'static str,
    dir: &Dir,
    name: &OsString,
    path: &mut Vec<String>,
    visit: &mut dyn FnMut(&Entry<'_>) -> Result<()>,
) -> Result<()> {
    let Some(stat) = disk::look(dir, name).explain(op, &path.join("/"))? else { return Ok(()) };
    let sub = match disk::is(&stat, FileType::Directory).then(|| disk::open_dir(dir, name)).transpose() {
        Ok(sub) => sub,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => None,
        Err(e) => return Err(explain(op, &path.join("/"), e)),
    };
    visit(&Entry { dir, name, path, stat: &stat, sub: sub.as_ref() })?;
    match sub {
        Some(sub) => walk(op, &sub, path, visit),
        None => Ok(()),
    }
}

#[derive(Clone, Copy)]
enum Order {
    /// What is new inside first, then the door.
    Open,
    /// The door first.
    Close,
}

/// Sets a folder's list, and the list that new things in it begin with: the same, and us, so that we can read what
/// writers leave there.
fn set_lists(dir: &Dir, acl: &Acl, order: Order) -> io::Result<()> {
    let fresh = if us() == 0 { acl.clone() } else { acl.set(Who::User(us()), 7) };
    match order {
        Order::Open => {
            disk::set_acl(dir, Which::Default, &fresh)?;
            disk::set_acl(dir, Which::Access, acl)
        }
        Order::Close => {
            disk::set_acl(dir, Which::Access, acl)?;
            disk::set_acl(dir, Which::Default, &fresh)
        }
    }
}

/// Reads back: a list counts when the disk says so.
fn confirm(op: &'static str, id: &FolderId, dir: &Dir, who: Who, bits: u8) -> Result<()> {
    let now = disk::owned(dir).explain(op, id.as_str())?.acl.effective(who);
    if now == bits {
        return Ok(());
    }
    Err(Error::contract(op, format!("{id}: the file system did not keep the access list as it was set"))
        .next("Check the mount options and whether another program changes access lists there."))
}

/// What became of the entries below a folder.
#[derive(Default)]
struct Spread {
    changed: bool,
    /// The first entry that stayed because the thing belongs to somebody else.
    left: Option<String>,
}

/// Gives everything below a folder what `bits` makes of the present folder bits for one holder. Things of other accounts
/// stay as they are (only their owner may change them), and so does a file with a second name somewhere, when opening.
fn spread(op: &'static str, top: &Dir, who: Who, bits: impl Fn(u8) -> u8) -> Result<Spread> {
    let mut done = Spread::default();
    walk(op, top, &mut Vec::new(), &mut |e| {
        let is_dir = e.is(FileType::Directory);
        if !is_dir && !e.is(FileType::RegularFile) {
            return Ok(());
        }
        let it = disk::owned_at(e.dir, e.name, e.stat).explain(op, &e.path())?;
        let have = it.acl.effective(who);
        let want = if is_dir { bits(have) } else { bits(have) & !map::PASS };
        if have == want || (want & !have != 0 && !is_dir && e.stat.st_nlink != 1) {
            return Ok(());
        }
        if it.uid != us() && us() != 0 {
            if have & !want != 0 {
                done.left.get_or_insert_with(|| e.path());
            }
            return Ok(());
        }
        change(e, &it, who, want).explain(op, &e.path())?;
        done.changed = true;
        Ok(())
    })?;
    Ok(done)
}

fn change(e: &Entry<'_>, it: &Owned, who: Who, want: u8) -> io::Result<()> {
    let acl = it.acl.set(who, want);
    match e.sub {
        Some(dir) => set_lists(dir, &acl, Order::Close),
        None => disk::set_acl(disk::open_file(e.dir, e.name)?, Which::Access, &acl),
    }
}

fn space(dir: &Dir) -> Option<Quotas> {
    let s = rustix::fs::fstatvfs(dir).ok()?;
    let total = s.f_blocks.checked_mul(s.f_frsize)?;
    // What only root may still use is not ours.
    let free = s.f_bavail.checked_mul(s.f_frsize)?;
    Some(Quotas { used: total.saturating_sub(free), limit: Some(total) })
}
