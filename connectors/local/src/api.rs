//! The operations of the target, each from start to end in one blocking function.

use std::{io, sync::PoisonError};

use cap_std::fs::Dir;
use ledgerward_contract::{
    Created, Email, Error, ErrorKind, FileId, FilePath, FolderId, FolderKey, FolderRole, Gone, Granted, Journalled,
    PermissionId, Result, SeenFile, SeenFolder, SeenPermission, Stat, Tag, Timestamp, Via,
};
use ledgerward_kit::Neighbours;
use rustix::{
    fs::{FileType, Mode},
    io::Errno,
};

use crate::{
    disk::{self, Explain, TEMP, explain},
    map::{self, Acl, Who},
    marker::{
        MARKER, drop_temp_folder, folders_in, move_in, pin, read_marker, reserved, sweep, temp_name, write_marker,
    },
    root::Disk,
    tree::{Order, Spread, confirm, set_lists, spread, us, walk},
};

impl Disk {
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
    pub(crate) fn client_for_writing(&self, op: &'static str, id: &FolderId) -> Result<Dir> {
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

    pub fn find(&self, key: &FolderKey, now: Timestamp) -> Result<Option<FolderId>> {
        let op = "folder.find";
        match self.open_root(op)? {
            (root, true) => self.find_in(op, &root, key, now),
            (root, false) => {
                // While another call marks a new root it is neither marked nor empty; what was marked a moment ago is looked at.
                let one = self.marking.lock().unwrap_or_else(PoisonError::into_inner);
                let marked = self.open_root(op)?.1;
                if !marked && !self.is_new(op, &root)? {
                    return Err(self.unmarked(op));
                }
                drop(one);
                if marked { self.find_in(op, &root, key, now) } else { Ok(None) }
            }
        }
    }

    /// The folder with a key's marker. That there is none is believed for the cycle; what there is is looked at again.
    fn find_in(&self, op: &'static str, root: &Dir, key: &FolderKey, now: Timestamp) -> Result<Option<FolderId>> {
        let wanted = key.to_string();
        if self.neighbours.has_none(now, &wanted) {
            return Ok(None);
        }
        let (version, mut all) = (self.neighbours.version(), Neighbours::default());
        for folder in folders_in(op, root)? {
            all.add(folder.name, folder.marker, folder.id);
        }
        let found = all.marked(&wanted);
        self.neighbours.keep(now, version, all);
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            [a, b, ..] => {
                Err(Error::new(ErrorKind::Conflict, op, format!("\"{a}\" and \"{b}\" carry the same marker"))
                    .next(format!("One is a copy. Delete {MARKER} in the one that is not the client's folder.")))
            }
        }
    }

    /// Clears a folder of what a crash left, once in a cycle: before each file, ten thousand files would cost the square. `path`
    /// is the folder's, below the root.
    pub(crate) fn sweep_once(&self, op: &'static str, dir: &Dir, path: String, now: Timestamp) -> Result<()> {
        if self.swept.lock().unwrap_or_else(PoisonError::into_inner).first(now, path) {
            return sweep(op, dir, now);
        }
        Ok(())
    }

    /// Folders that this service may open. A symbolic link is none, and neither is what is mounted in the root.
    pub fn folders(&self) -> Result<Vec<SeenFolder>> {
        folders_in("folders.list", &self.root("folders.list")?)
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
        let root = self.root_for_writing(op, step)?;
        let (found, mark) = (self.find_in(op, &root, key, now)?, key.to_string());
        self.neighbours.begin(&mark);
        if let Some(id) = found {
            return Ok(Created::Exists { id, ours: true });
        }
        if disk::look(&root, name).explain(op, name)?.is_some() {
            return Ok(Created::Exists { id: name.into(), ours: false });
        }
        if self.lists {
            disk::owned(&root).explain(op, "the root")?;
        }
        self.sweep_once(op, &root, String::new(), now)?;
        let temp = temp_name(step, name);
        let made = self.make_folder(op, &root, &temp, key, step).and_then(|()| move_in(op, &root, &temp, name));
        if made.is_err() {
            drop_temp_folder(&root, &temp);
        }
        match made {
            Err(e) if e.kind == ErrorKind::Conflict => Ok(Created::Exists { id: name.into(), ours: false }),
            Err(e) => Err(e),
            Ok(()) => {
                self.neighbours.made(now, &mark, name, FolderId::from(name));
                Ok(Created::Created(name.into()))
            }
        }
    }

    /// A root that is ready for folders: marked, or empty and declared as new.
    fn root_for_writing(&self, op: &'static str, step: Journalled) -> Result<Dir> {
        let _one = self.marking.lock().unwrap_or_else(PoisonError::into_inner);
        let (root, marked) = self.open_root(op)?;
        if !marked {
            if !self.is_new(op, &root)? {
                return Err(self.unmarked(op));
            }
            write_marker(op, &root, "ledgerward/local-root/1", &"root", step)?;
        }
        Ok(root)
    }

    /// A whole client folder under a temporary name: closed to everybody but us, with its marker.
    fn make_folder(&self, op: &'static str, root: &Dir, temp: &str, key: &FolderKey, step: Journalled) -> Result<()> {
        drop_temp_folder(root, temp);
        self.make_dir(op, root, temp, &Acl::from_mode(0o700))?;
        let dir = disk::open_dir(root, temp).explain(op, temp)?;
        write_marker(op, &dir, "ledgerward/folder/1", key, step)?;
        if self.lists { pin(op, &dir) } else { Ok(()) }
    }

    /// A new folder, with this list where lists are ours; else 0750, less the umask, or the firm's own default ACL.
    fn make_dir(&self, op: &'static str, parent: &Dir, name: &str, acl: &Acl) -> Result<()> {
        // The bits of the mask: should we stop right after this call, the parent's default list is in force at once.
        let mode = if self.lists { 0o700 | u32::from(acl.mask.unwrap_or(0)) << 3 } else { 0o750 };
        rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(mode)).map_err(io::Error::from).explain(op, name)?;
        if self.lists {
            let listed = disk::open_dir(parent, name).and_then(|dir| set_lists(&dir, acl, Order::Open));
            listed.inspect_err(|_| _ = parent.remove_dir(name)).explain(op, name)?;
        }
        rustix::fs::fsync(parent).map_err(io::Error::from).explain(op, name)
    }

    pub fn mark(&self, id: &FolderId, key: &FolderKey, step: Journalled) -> Result<()> {
        let op = "folder.mark";
        let dir = self.client_for_writing(op, id)?;
        match read_marker(op, &dir)? {
            Some(text) if text == key.to_string() => {}
            Some(text) => {
                return Err(Error::new(ErrorKind::Conflict, op, "the folder carries another client's marker")
                    .with("folder", id.as_str())
                    .with("marker", text));
            }
            None => {
                self.neighbours.begin(&key.to_string());
                write_marker(op, &dir, "ledgerward/folder/1", key, step)?;
            }
        }
        if self.lists { pin(op, &dir) } else { Ok(()) }
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

    /// Opens sub-folders, making those that are missing. One that is not ours is refused: its owner could swap what is in it.
    pub(crate) fn descend(
        &self,
        op: &'static str,
        client: &Dir,
        folders: &[String],
        list: Option<&Acl>,
    ) -> Result<Dir> {
        let mut dir = client.try_clone().explain(op, "the folder")?;
        for name in folders {
            if disk::look(&dir, name).explain(op, name)?.is_none() {
                match self.make_dir(op, &dir, name, list.unwrap_or(&Acl::from_mode(0o750))) {
                    // Made meanwhile, perhaps by ourselves for another file. What it is, is looked at as it is opened.
                    Err(e) if e.kind == ErrorKind::Conflict => {}
                    made => made?,
                }
            }
            dir = disk::open_dir(&dir, name).explain(op, name)?;
            must_be_ours(op, name, &dir)?;
        }
        Ok(dir)
    }
}

fn not_ours(op: &'static str, permission: &PermissionId) -> Error {
    Error::new(ErrorKind::Forbidden, op, format!("the entry \"{permission}\" is not one this service may change"))
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
pub(crate) fn content(op: &'static str, dir: &Dir, name: &str) -> Result<Option<String>> {
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
