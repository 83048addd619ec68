//! The root, the client folders and their markers.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use ledgerward_contract::{
    Created, Error, ErrorKind, FilePath, FolderId, FolderKey, NoteLevel, Probe, ProbeNote, Result, Retry, SeenFile,
    SeenFolder, Stat,
};
use ledgerward_kit::Neighbours;

use crate::{
    api::{Call, Cond},
    map::{self, Item, MARKER, TEMP, What},
    put::busy,
};

/// Markers read side by side when folders are looked through.
const SIDE_BY_SIDE: usize = 8;
/// Directories below one client's folder. More is a tree that leads back into itself.
const DIRS_MAX: usize = 10_000;

const JSON: &str = "application/json";

fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

impl Call<'_> {
    /// Whether the root carries its marker.
    async fn root_is_marked(&self) -> Result<bool> {
        match self.read(MARKER).await? {
            None => Ok(false),
            Some((bytes, _)) if map::is_root_marker(&bytes) => {
                self.memory().root = true;
                Ok(true)
            }
            Some(_) => Err(Error::contract(self.op, format!("the {MARKER} of the root cannot be read"))
                .next(format!("It has to hold: {}", map::root_marker()))),
        }
    }

    /// Without its marker nothing is believed of a root: a disk behind the server may not be mounted, or the prefix be
    /// mistyped, and "gone" would then be said of every client.
    async fn unmarked(&self) -> Error {
        let new = "For a new one set new_root = true until the first folder is made";
        let marker = map::root_marker();
        let (is, next) = match self.list("", false).await {
            Err(e) => return e,
            Ok(None) => ("is not there".to_owned(), format!("Check `root` and the server's disk. {new}.")),
            Ok(Some(items)) if items.is_empty() => {
                ("is empty".to_owned(), format!("Check `root`, and whether the server's disk is mounted. {new}."))
            }
            Ok(Some(_)) => (
                format!("holds other things and no {MARKER}"),
                format!("Check `root`. If it is the right one, put a {MARKER} there that holds: {marker}"),
            ),
        };
        self.err(ErrorKind::Unavailable, format!("the root {is}")).retry(Retry::No).next(next)
    }

    async fn root(&self) -> Result<()> {
        if self.root_is_marked().await? { Ok(()) } else { Err(self.unmarked().await) }
    }

    async fn is_new(&self) -> Result<bool> {
        Ok(self.store.new_root && self.list("", false).await?.is_none_or(|items| items.is_empty()))
    }

    /// The key on a folder's marker, read now; `None` without a marker.
    pub async fn marker(&self, folder: &str) -> Result<Option<String>> {
        let key = match self.read(&below(folder, MARKER)).await? {
            Some((bytes, _)) => Some(map::read_marker(self.op, folder, &bytes)?),
            None => None,
        };
        self.memory().markers.insert(folder.to_owned(), key.clone());
        Ok(key)
    }

    /// The same, read once in a cycle.
    pub async fn known_marker(&self, folder: &str) -> Result<Option<String>> {
        let known = self.memory().markers.get(folder).cloned();
        match known {
            Some(key) => Ok(key),
            None => self.marker(folder).await,
        }
    }

    /// The folders in the root with the keys on their markers, and everything in the root.
    async fn keys(&self) -> Result<(Vec<(String, Option<String>)>, Vec<Item>)> {
        let items = self.list("", false).await?.unwrap_or_default();
        let folders = items.iter().filter(|i| i.what == What::Dir && !i.path.starts_with(TEMP));
        let names: Vec<String> = folders.map(|i| i.path.clone()).collect();
        let keys: Vec<(String, Option<String>)> = stream::iter(names)
            .map(|name| async move { self.known_marker(&name).await.map(|key| (name, key)) })
            .buffered(SIDE_BY_SIDE)
            .try_collect()
            .await?;
        Ok((keys, items))
    }

    /// The folders in the root that carry this key.
    async fn look_through(&self, key: &FolderKey) -> Result<Vec<String>> {
        let list = async {
            let (keys, items) = self.keys().await?;
            let mut all = Neighbours::default();
            for item in items {
                all.add(item.path.clone(), None, item.path);
            }
            for (name, key) in keys {
                all.add(name.clone(), key, name);
            }
            Ok(all)
        };
        self.store.neighbours.search(self.now(), &key.to_string(), list).await
    }

    /// Every folder in the root. Of a root without its marker nothing is believed, unless it is a new one.
    pub async fn folders(&self) -> Result<Vec<SeenFolder>> {
        if !self.root_is_marked().await? {
            return if self.is_new().await? { Ok(Vec::new()) } else { Err(self.unmarked().await) };
        }
        let (keys, _) = self.keys().await?;
        let seen = |(name, marker): (String, Option<String>)| SeenFolder { id: name.as_str().into(), name, marker };
        Ok(keys.into_iter().map(seen).collect())
    }

    fn only(&self, found: &[String]) -> Result<Option<FolderId>> {
        match found {
            [] => Ok(None),
            [one] => Ok(Some(FolderId::from(one.as_str()))),
            [a, b, ..] => Err(self
                .err(ErrorKind::Conflict, format!("\"{a}\" and \"{b}\" carry the same marker"))
                .next(format!("One is a copy. Delete {MARKER} in the one that is not the client's folder."))),
        }
    }

    pub async fn find(&self, key: &FolderKey) -> Result<Option<FolderId>> {
        if !self.root_is_marked().await? {
            // While another call marks a new root it is neither marked nor empty.
            let _one = self.store.marking.lock().await;
            if !self.root_is_marked().await? {
                return if self.is_new().await? { Ok(None) } else { Err(self.unmarked().await) };
            }
        }
        self.only(&self.look_through(key).await?)
    }

    pub async fn stat(&self, id: &FolderId) -> Result<Stat> {
        let folder = map::folder_name(self.op, id)?;
        let marker = match self.marker(folder).await {
            Err(e) if e.kind == ErrorKind::Forbidden => return Ok(Stat::NoAccess),
            other => other?,
        };
        if marker.is_none() && self.list(folder, false).await?.is_none() {
            self.root().await?;
            return Ok(Stat::Gone);
        }
        Ok(Stat::Present {
            name: folder.to_owned(),
            parent: Some(FolderId::from(".")),
            owner: None,
            marker,
            // Nothing is known of who gets in: with sharing "off" that is the firm's own matter.
            inherits: false,
            writers_can_share: None,
        })
    }

    /// Every file below a folder. Real folders are walked one by one: servers refuse or cut endless depth.
    pub async fn files(&self, id: &FolderId) -> Result<Vec<SeenFile>> {
        let folder = map::folder_name(self.op, id)?;
        let (flat, mut files, mut dirs) = (self.store.kind.flat(), Vec::new(), vec![folder.to_owned()]);
        let mut walked = 0;
        while let Some(dir) = dirs.pop() {
            walked += 1;
            if walked > DIRS_MAX {
                return Err(Error::contract(self.op, format!("there are more than {DIRS_MAX} folders in a client's"))
                    .with("folder", folder));
            }
            let Some(items) = self.list(&dir, flat).await? else {
                return Err(self.err(ErrorKind::NotFound, "the folder is not there").with("folder", dir));
            };
            for item in items {
                match item.what {
                    What::Dir if flat => {}
                    What::Dir => dirs.push(item.path),
                    _ => files.extend(map::seen(folder, &item)),
                }
            }
        }
        Ok(files)
    }

    /// A root that is ready for folders: marked, or empty and declared as new.
    async fn root_for_writing(&self) -> Result<()> {
        if self.memory().root {
            return Ok(());
        }
        let _one = self.store.marking.lock().await;
        if self.memory().root || self.root_is_marked().await? {
            return Ok(());
        }
        if !self.is_new().await? {
            return Err(self.unmarked().await);
        }
        self.write(MARKER, &map::root_marker().into(), JSON, &Cond::Any).await?;
        self.root().await
    }

    pub async fn create(&self, key: &FolderKey, name: &str) -> Result<Created> {
        if FilePath::new(vec![name.to_owned()]).is_none() || map::reserved(name) {
            return Err(self.err(ErrorKind::Config, format!("{name:?} cannot be the name of a folder")));
        }
        self.root_for_writing().await?;
        let found = self.look_through(key).await?;
        let mark = key.to_string();
        self.store.neighbours.begin(&mark);
        if let Some(id) = self.only(&found)? {
            return Ok(Created::Exists { id, ours: true });
        }
        // The listing may be of the cycle's beginning.
        if self.store.neighbours.spot(self.now(), name, name).taken.is_some() || self.is_taken(name).await? {
            return Ok(Created::Exists { id: name.into(), ours: false });
        }
        let made = if self.store.kind.flat() {
            self.write_marker(name, &key.to_string()).await
        } else {
            self.make_folder(key, name).await
        };
        let refused = match made {
            // Somebody was faster. Whose it is, its marker says.
            Err(e) if e.kind == ErrorKind::Conflict => true,
            other => other.map(|()| false)?,
        };
        // Read back: a folder counts when its marker is there.
        match self.marker(name).await? {
            Some(text) if text == mark => {
                self.store.neighbours.made(self.now(), &mark, name, name.to_owned());
                Ok(Created::Created(name.into()))
            }
            // S3 refuses one of two writes at once also where both come to nothing.
            None if refused && self.store.kind.flat() => Err(busy(self.op, name)),
            _ => Ok(Created::Exists { id: name.into(), ours: false }),
        }
    }

    /// Whether something has this name in the root now. A rename over SFTP replaces an empty folder, and not every WebDAV
    /// server keeps `Overwrite: F`. Where folders are prefixes the write of the marker is the look.
    async fn is_taken(&self, name: &str) -> Result<bool> {
        if self.store.kind.flat() {
            return Ok(false);
        }
        match self.look_at(name).await {
            // A folder that is asked for without its slash: Apache sends us there.
            Err(e) if e.get("status").is_some_and(|s| s.starts_with('3')) => Ok(true),
            other => other.map(|there| there.is_some()),
        }
    }

    /// A whole client folder under a temporary name, then moved to its own. A crash leaves one that the next attempt uses.
    async fn make_folder(&self, key: &FolderKey, name: &str) -> Result<()> {
        // One after the other: a server that keeps a cache of its folders (rclone's) loses one of two that move at once.
        let _one = self.store.marking.lock().await;
        let temp = map::temp_folder(key);
        self.make_dir(&temp).await?;
        let text = Bytes::from(map::folder_marker(&key.to_string()));
        self.write(&below(&temp, MARKER), &text, JSON, &Cond::Any).await?;
        self.rename(&temp, name, false).await?;
        self.memory().dirs.insert(name.to_owned());
        Ok(())
    }

    async fn write_marker(&self, folder: &str, key: &str) -> Result<()> {
        self.memory().markers.remove(folder);
        let (path, text) = (below(folder, MARKER), Bytes::from(map::folder_marker(key)));
        match self.write(&path, &text, JSON, &Cond::Absent).await {
            // 501: some stores say openly that they know no conditions (unverified which). A look takes their place.
            Err(e) if e.kind == ErrorKind::Unsupported => {
                self.memory().conditions = Some(false);
                if self.look_at(&path).await?.is_some() {
                    return Err(self.err(ErrorKind::Conflict, "something else is there than expected"));
                }
                self.write(&path, &text, JSON, &Cond::Any).await.map(drop)
            }
            other => other.map(drop),
        }
    }

    pub async fn mark(&self, id: &FolderId, key: &FolderKey) -> Result<()> {
        let folder = map::folder_name(self.op, id)?;
        if self.marker(folder).await?.is_none() {
            self.must_be_there(folder).await?;
            self.store.neighbours.begin(&key.to_string());
            match self.write_marker(folder, &key.to_string()).await {
                Err(e) if e.kind == ErrorKind::Conflict => {
                    if self.marker(folder).await?.is_none() {
                        return Err(busy(self.op, folder));
                    }
                }
                other => other?,
            }
        }
        match self.marker(folder).await? {
            Some(text) if text == key.to_string() => Ok(()),
            _ => Err(self
                .err(ErrorKind::Conflict, "the folder carries another client's marker")
                .with("folder", id.as_str())),
        }
    }

    pub async fn must_be_there(&self, folder: &str) -> Result<()> {
        match self.list(folder, false).await? {
            Some(_) => Ok(()),
            None => Err(self.err(ErrorKind::NotFound, "the folder is not there").with("folder", folder)),
        }
    }

    pub async fn probe(&self) -> Result<Probe> {
        let mut notes = Vec::new();
        let mut note = |level, text: String, next: Option<String>| notes.push(ProbeNote { level, text, next });
        let mut root = None;
        match self.root_is_marked().await {
            Ok(true) => {
                root = Some(FolderId::from("."));
                if self.store.new_root {
                    note(
                        NoteLevel::Warning,
                        "new_root is still set: an empty place could be taken for the root one day".into(),
                        Some("Remove new_root from the settings.".into()),
                    );
                }
            }
            Ok(false) => {
                if !self.is_new().await? {
                    let e = self.unmarked().await;
                    note(NoteLevel::Blocker, e.message, e.next);
                }
            }
            // Not reached or not let in says nothing of the root, and a report on it would.
            Err(e) if e.kind == ErrorKind::Contract || e.kind == ErrorKind::Forbidden => {
                note(NoteLevel::Blocker, e.message, e.next);
            }
            Err(e) => return Err(e),
        }
        note(
            NoteLevel::Warning,
            "who may open these folders is decided on the server, and not checked here".into(),
            Some("Grant access there; `audience` in the settings says to whom.".into()),
        );
        let account = self.store.account.clone();
        Ok(Probe { account, root, may_share: false, inherited: Vec::new(), quota: None, children: None, notes })
    }
}
