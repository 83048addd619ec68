//! Reading who gets into a folder and what lies below it, a page at a time. The place in the walk is the cursor's text, so
//! nothing is remembered between calls.
//!
//! A folder's own list names everybody who gets in, inherited ones included. Below it a thing may have a list of its own;
//! who is on that one and not, with the same role, on the folder's is a way in below.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ledgerward_contract::{Cursor, Error, ErrorKind, Page, ReadCx, Result, SeenFile, SeenPermission};
use serde::{Deserialize, Serialize};

use crate::{
    GraphTarget,
    api::decode,
    map::{self, Item, Listing, Me, Permission, Place},
    names,
    settings::Below,
};

/// Folders still to read, with their names below the client's folder.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Todo {
    drive: String,
    now: Option<(String, Vec<String>)>,
    link: Option<String>,
    then: BTreeMap<String, Vec<String>>,
}

impl Todo {
    fn start(folder: &Place) -> Self {
        Self { drive: folder.drive.clone(), now: Some((folder.item.clone(), Vec::new())), ..Self::default() }
    }

    fn done(&self) -> bool {
        self.now.is_none()
    }
}

/// Where `sharing` is.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Sharing {
    me: Me,
    /// Who is on the folder's own list, with what.
    own: BTreeSet<(String, String)>,
    /// Things below whose lists are still to be read, with where they are.
    lists: VecDeque<(String, String)>,
    todo: Todo,
}

fn cursor<T: Serialize>(op: &'static str, state: &T) -> Result<Cursor> {
    serde_json::to_string(state)
        .map(Cursor::At)
        .map_err(|e| Error::contract(op, "the place in the listing cannot be written down").source(e))
}

fn resume<T: for<'a> Deserialize<'a>>(op: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::contract(op, "this is no place in this listing").source(e))
}

fn told(s: &SeenPermission) -> (String, String) {
    (s.id.0.clone(), format!("{:?}", s.role))
}

impl GraphTarget {
    /// One page of what lies below, each thing with its path; folders are noted for later.
    async fn step(&self, cx: &ReadCx, op: &'static str, todo: &mut Todo) -> Result<Vec<(Item, Vec<String>)>> {
        let Some((folder, above)) = todo.now.clone() else { return Ok(Vec::new()) };
        let request = match &todo.link {
            Some(link) => self.api.link(op, link)?,
            None => self.api.children(op, &Place { drive: todo.drive.clone(), item: folder })?,
        };
        let list: Listing<Item> = decode(op, &cx.send(request).await?)?;
        if list.next.is_some() && list.next == todo.link {
            return Err(Error::contract(op, "Graph gave the same next page twice"));
        }
        let mut out = Vec::new();
        for item in list.value {
            let mut path = above.clone();
            path.push(item.name.clone());
            if item.is_folder() {
                todo.then.insert(item.id.clone(), path.clone());
            }
            out.push((item, path));
        }
        todo.link = list.next;
        if todo.link.is_none() {
            todo.now = todo.then.pop_first();
        }
        Ok(out)
    }

    pub(crate) async fn files_page(&self, cx: &ReadCx, folder: &Place, at: Cursor) -> Result<Page<SeenFile>> {
        const OP: &str = "files.list";
        let mut todo: Todo = match at.text() {
            Some(text) => resume(OP, text)?,
            None => {
                self.live_folder(cx, OP, folder).await?;
                Todo::start(folder)
            }
        };
        let found = self.step(cx, OP, &mut todo).await?;
        // Our mark is no file of the client's.
        let is_mark = |path: &[String]| matches!(path, [name] if names::mark_in(name).is_some());
        let files = found.iter().filter(|(i, path)| i.file.is_some() && !is_mark(path));
        let items: Result<Vec<_>> = files.map(|(f, path)| map::seen_file(OP, f, &folder.drive, path.clone())).collect();
        let next = if todo.done() { None } else { Some(cursor(OP, &todo)?) };
        Ok(Page { items: items?, next, total: None })
    }

    pub(crate) async fn sharing_page(&self, cx: &ReadCx, folder: &Place, at: Cursor) -> Result<Page<SeenPermission>> {
        const OP: &str = "sharing.list";
        let mut state: Sharing;
        let items = match at.text() {
            None => {
                let (begun, items) = self.sharing_start(cx, folder).await?;
                state = begun;
                items
            }
            Some(text) => {
                state = resume(OP, text)?;
                match state.lists.pop_front() {
                    Some((id, at)) => self.list_below(cx, &folder.beside(&id), &at, &state).await?,
                    None => {
                        self.below_page(cx, &mut state).await?;
                        Vec::new()
                    }
                }
            }
        };
        let done = state.lists.is_empty() && state.todo.done();
        Ok(Page { items, next: if done { None } else { Some(cursor(OP, &state)?) }, total: None })
    }

    async fn sharing_start(&self, cx: &ReadCx, folder: &Place) -> Result<(Sharing, Vec<SeenPermission>)> {
        let me = self.me(cx).await?;
        let lists = self.lists(cx, "sharing.list", folder).await?;
        let seen: Vec<_> = lists.own.iter().flat_map(|p| map::on_folder(p, &me, &lists.above)).collect();
        // As something below says it again if it has no list of its own.
        let own = lists.own.iter().flat_map(|p| map::below(p, &me, "")).map(|s| told(&s)).collect();
        Ok((Sharing { me, own, lists: VecDeque::new(), todo: Todo::start(folder) }, seen))
    }

    /// Who is on the list of one thing below, and not on the folder's own.
    async fn list_below(&self, cx: &ReadCx, item: &Place, at: &str, state: &Sharing) -> Result<Vec<SeenPermission>> {
        const OP: &str = "below.sharing";
        let list: Vec<Permission> = match self.entries(cx, OP, item).await {
            Ok(list) => list,
            // It went away, or may not be read, since the walk saw it: a way in that we cannot rule out.
            Err(e) if matches!(e.kind, ErrorKind::Forbidden | ErrorKind::NotFound) => {
                return Ok(vec![map::hidden_below(at, &item.item)]);
            }
            Err(e) => return Err(e),
        };
        let mut seen: Vec<_> = list.iter().flat_map(|p| map::below(p, &state.me, at)).collect();
        seen.retain(|s| !s.ourselves && !state.own.contains(&told(s)));
        Ok(seen)
    }

    /// One page of what lies below: what may have a list of its own is noted.
    async fn below_page(&self, cx: &ReadCx, state: &mut Sharing) -> Result<()> {
        let all = self.settings.below == Below::All;
        for (item, path) in self.step(cx, "below.list", &mut state.todo).await? {
            if all || item.shared.is_some() {
                let path: Vec<_> = path.iter().map(|n| names::decode(n)).collect();
                state.lists.push_back((item.id.clone(), format!("{} ({})", path.join("/"), item.id)));
            }
        }
        Ok(())
    }
}
