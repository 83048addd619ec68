//! Reading what lies below a folder, a page at a time: the files, and the ways in that the folder's own list does not show.
//!
//! The place in the walk is the cursor's text, so nothing is remembered between calls. Many folders are asked in one
//! request, as `files.list` takes several parents.

use std::collections::BTreeMap;

use ledgerward_contract::{Cursor, Error, ErrorKind, Page, ReadCx, Result, SeenFile, SeenPermission, SeenRole};
use serde::{Deserialize, Serialize};

use crate::{
    Drive,
    api::{Api, Corpus, FILE_FIELDS, FOLDER_FIELDS, decode, quoted},
    map::{self, File, FileList, PermissionList},
};

/// Parents asked in one request: keeps the address under 4,000 characters.
const PARENTS: usize = 40;

/// Folders still to read. A path is the names below the client's folder.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Todo {
    now: BTreeMap<String, Vec<String>>,
    token: Option<String>,
    then: BTreeMap<String, Vec<String>>,
}

impl Todo {
    fn start(folder: &str) -> Self {
        Self { now: BTreeMap::from([(folder.to_owned(), Vec::new())]), ..Self::default() }
    }

    fn query(&self) -> String {
        let parents: Vec<_> = self.now.keys().map(|id| format!("{} in parents", quoted(id))).collect();
        format!("({}) and trashed=false", parents.join(" or "))
    }

    /// Takes one page in: each item with its path, folders noted for later.
    fn take(&mut self, op: &'static str, list: FileList) -> Result<Vec<(File, Vec<String>)>> {
        if list.incomplete_search {
            return Err(Error::new(ErrorKind::Unavailable, op, "Google did not search everything"));
        }
        let mut out = Vec::new();
        for file in list.files {
            let above = file.parents.iter().find_map(|p| self.now.get(p));
            let mut path =
                above.cloned().ok_or_else(|| Error::contract(op, "Google listed a file of another folder"))?;
            path.push(file.name.clone());
            if file.is_folder() {
                self.then.insert(file.id.clone(), path.clone());
            }
            out.push((file, path));
        }
        self.token = list.next_page_token;
        if self.token.is_none() {
            self.now.clear();
            while self.now.len() < PARENTS {
                let Some((id, path)) = self.then.pop_first() else { break };
                self.now.insert(id, path);
            }
        }
        Ok(out)
    }

    fn done(&self) -> bool {
        self.now.is_empty()
    }
}

/// Where `sharing` is: first the folder's own list, then what is below.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Sharing {
    drive: Option<String>,
    me: Option<String>,
    /// Page of the folder's own list; `None` once that is done.
    own: Option<String>,
    own_done: bool,
    /// Who is on the folder itself, and more than its name.
    on: Vec<String>,
    listed: usize,
    todo: Todo,
    /// Items of a shared drive that have permissions of their own.
    look: BTreeMap<String, Vec<String>>,
    look_token: Option<String>,
}

fn cursor<T: Serialize>(op: &'static str, state: &T) -> Result<Cursor> {
    serde_json::to_string(state)
        .map(Cursor::At)
        .map_err(|e| Error::contract(op, "the place in the listing cannot be written down").source(e))
}

fn resume<T: for<'a> Deserialize<'a>>(op: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::contract(op, "this is no place in this listing").source(e))
}

impl Drive {
    /// A folder by its id, whatever its state. `NotFound` if there is none; `Contract` if it is a file.
    pub(crate) async fn folder(&self, cx: &ReadCx, op: &'static str, id: &str) -> Result<File> {
        let file: File = decode(op, &cx.send(self.api.file(op, id, FOLDER_FIELDS)?).await?)?;
        if !file.is_folder() {
            return Err(Error::new(ErrorKind::Config, op, "this id belongs to a file, not to a folder"));
        }
        Ok(file)
    }

    pub(crate) async fn files_page(&self, cx: &ReadCx, folder: &str, at: Cursor) -> Result<Page<SeenFile>> {
        const OP: &str = "files.list";
        #[derive(Serialize, Deserialize)]
        struct Files {
            drive: Option<String>,
            todo: Todo,
        }
        let mut state: Files = match at.text() {
            Some(text) => resume(OP, text)?,
            None => {
                // A listing of a folder that is not there is an empty page at Google; by its id it is an error.
                let f = self.folder(cx, OP, folder).await?;
                if f.trashed {
                    return Err(Error::new(ErrorKind::NotFound, OP, "the folder is in the trash"));
                }
                Files { drive: f.drive_id, todo: Todo::start(folder) }
            }
        };
        let corpus = Corpus { drive: state.drive.clone() };
        let request = self.api.list(OP, &corpus, &state.todo.query(), FILE_FIELDS, state.todo.token.as_deref())?;
        let list: FileList = decode(OP, &cx.send(request).await?)?;
        let items: Result<Vec<_>> = state
            .todo
            .take(OP, list)?
            .into_iter()
            .filter(|(f, _)| !f.is_folder())
            .map(|(f, path)| map::seen_file(OP, &f, path))
            .collect();
        let next = if state.todo.done() { None } else { Some(cursor(OP, &state)?) };
        Ok(Page { items: items?, next, total: None })
    }

    pub(crate) async fn sharing_page(&self, cx: &ReadCx, folder: &str, at: Cursor) -> Result<Page<SeenPermission>> {
        const OP: &str = "sharing.list";
        let mut state: Sharing = match at.text() {
            Some(text) => resume(OP, text)?,
            None => self.sharing_start(cx, folder).await?,
        };
        let items = if !state.own_done {
            self.own_page(cx, folder, &mut state).await?
        } else if let Some((file, path)) = state.look.first_key_value() {
            let (file, path) = (file.clone(), path.clone());
            self.look_page(cx, &file, &path, &mut state).await?
        } else {
            self.below_page(cx, &mut state).await?
        };
        let done = state.own_done && state.look.is_empty() && state.todo.done();
        Ok(Page { items, next: if done { None } else { Some(cursor(OP, &state)?) }, total: None })
    }

    async fn sharing_start(&self, cx: &ReadCx, folder: &str) -> Result<Sharing> {
        let f = self.folder(cx, "sharing.list", folder).await?;
        // The owner of a folder of our own tells who we are; only in a shared drive must we ask.
        let me = match f.owners.iter().find(|o| o.me).and_then(|o| o.permission_id.clone()) {
            Some(id) => Some(id),
            None => self.about(cx).await?.user.permission_id,
        };
        Ok(Sharing {
            drive: f.drive_id,
            me,
            own: None,
            own_done: false,
            on: Vec::new(),
            listed: 0,
            todo: Todo::start(folder),
            look: BTreeMap::new(),
            look_token: None,
        })
    }

    async fn own_page(&self, cx: &ReadCx, folder: &str, state: &mut Sharing) -> Result<Vec<SeenPermission>> {
        let list = self.permissions_page(cx, folder, state.own.as_deref()).await?;
        state.listed += list.permissions.len();
        state.own = list.next_page_token;
        state.own_done = state.own.is_none();
        if state.own_done && state.listed == 0 {
            return Err(Error::contract(
                "permissions.list",
                "Google gave an empty sharing list; every folder has at least an owner or a manager",
            ));
        }
        state.on.extend(list.permissions.iter().filter(|p| !p.is_metadata_only()).map(|p| p.id.clone()));
        Ok(list.permissions.iter().flat_map(|p| map::seen(p, state.me.as_deref())).collect())
    }

    async fn below_page(&self, cx: &ReadCx, state: &mut Sharing) -> Result<Vec<SeenPermission>> {
        const OP: &str = "below.list";
        let corpus = Corpus { drive: state.drive.clone() };
        let fields = Api::below_fields(state.drive.is_some());
        let request = self.api.list(OP, &corpus, &state.todo.query(), &fields, state.todo.token.as_deref())?;
        let list: FileList = decode(OP, &cx.send(request).await?)?;
        let mut seen = Vec::new();
        for (file, path) in state.todo.take(OP, list)? {
            if state.drive.is_some() {
                if file.has_augmented_permissions != Some(false) {
                    state.look.insert(file.id, path);
                }
                continue;
            }
            match &file.permissions {
                Some(list) => {
                    let mut found = extra(list, state, &path, &file.id);
                    // Whose a folder is sees all that comes into it: no harmless owner of one thing of their own, as of a file.
                    for p in found.iter_mut().filter(|p| file.is_folder() && p.role == SeenRole::Owner) {
                        p.role = SeenRole::Manager;
                    }
                    seen.extend(found);
                }
                // Google shows the list only to those who may share the thing.
                None => seen.push(map::hidden_below(&path, &file.id)),
            }
        }
        Ok(seen)
    }

    async fn look_page(
        &self,
        cx: &ReadCx,
        file: &str,
        path: &[String],
        state: &mut Sharing,
    ) -> Result<Vec<SeenPermission>> {
        let list = match self.permissions_page(cx, file, state.look_token.as_deref()).await {
            Ok(list) => list,
            // It went away, or may not be read, since the walk saw it: a way in that we cannot rule out.
            Err(e) if matches!(e.kind, ErrorKind::Forbidden | ErrorKind::NotFound) => {
                state.look.remove(file);
                state.look_token = None;
                return Ok(vec![map::hidden_below(path, file)]);
            }
            Err(e) => return Err(e),
        };
        let seen = extra(&list.permissions, state, path, file);
        state.look_token = list.next_page_token;
        if state.look_token.is_none() {
            state.look.remove(file);
        }
        Ok(seen)
    }

    pub(crate) async fn permissions_page(
        &self,
        cx: &ReadCx,
        file: &str,
        token: Option<&str>,
    ) -> Result<PermissionList> {
        decode("permissions.list", &cx.send(self.api.permissions(file, token)?).await?)
    }
}

/// Direct entries of people who are not on the folder itself.
fn extra(list: &[map::Permission], state: &Sharing, path: &[String], file: &str) -> Vec<SeenPermission> {
    list.iter()
        .filter(|p| p.is_direct() && !p.is_metadata_only() && !state.on.contains(&p.id))
        .filter_map(|p| map::seen_below(p, state.me.as_deref(), path, file))
        .filter(|p| p.role != SeenRole::MetadataOnly)
        .collect()
}
