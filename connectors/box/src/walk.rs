//! Reading who gets into a folder and what lies below it, a page at a time. The place in the walk is the cursor's text, so
//! nothing is remembered between calls.
//!
//! Access at Box flows down and cannot be cut. So a folder's list is read in this order: its owner and its link, the lists
//! and links of the folders above, its own list, and the lists and links of everything below. What came once under an id
//! is not told again, so it does not matter whether Box repeats inherited entries in the lists below.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ledgerward_contract::{Cursor, Error, ErrorKind, Page, ReadCx, Result, SeenFile, SeenPermission, Via};
use serde::{Deserialize, Serialize};

use crate::{
    BoxTarget,
    api::{Kind, decode},
    map::{self, Collaboration, Item, Listing},
};

/// Folders still to read, with their names below the client's folder.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Todo {
    now: Option<(String, Vec<String>)>,
    marker: Option<String>,
    then: BTreeMap<String, Vec<String>>,
}

impl Todo {
    fn start(folder: &str) -> Self {
        Self { now: Some((folder.to_owned(), Vec::new())), ..Self::default() }
    }

    fn done(&self) -> bool {
        self.now.is_none()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Where {
    Above,
    Own,
    Below(String),
}

/// One list of collaborations that is to be read.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ToRead {
    file: bool,
    id: String,
    at: Where,
    marker: Option<String>,
}

/// Where `sharing` is.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Sharing {
    me: String,
    folder: String,
    above: Vec<String>,
    lists: VecDeque<ToRead>,
    told: BTreeSet<String>,
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

impl BoxTarget {
    /// One page of what lies below, each thing with its path; folders are noted for later.
    async fn step(&self, cx: &ReadCx, op: &'static str, todo: &mut Todo) -> Result<Vec<(Item, Vec<String>)>> {
        let Some((folder, above)) = todo.now.clone() else { return Ok(Vec::new()) };
        let list: Listing<Item> = decode(op, &cx.send(self.api.items(op, &folder, todo.marker.as_deref())?).await?)?;
        let next = list.next();
        if next.is_some() && next == todo.marker {
            return Err(Error::contract(op, "Box gave the same page marker twice"));
        }
        let mut out = Vec::new();
        for item in list.entries {
            let mut path = above.clone();
            path.push(item.name.clone());
            if item.is_folder() {
                todo.then.insert(item.id.clone(), path.clone());
            }
            out.push((item, path));
        }
        todo.marker = next;
        if todo.marker.is_none() {
            todo.now = todo.then.pop_first();
        }
        Ok(out)
    }

    pub(crate) async fn files_page(&self, cx: &ReadCx, folder: &str, at: Cursor) -> Result<Page<SeenFile>> {
        const OP: &str = "files.list";
        let mut todo: Todo = match at.text() {
            Some(text) => resume(OP, text)?,
            None => {
                self.live_folder(cx, OP, folder).await?;
                Todo::start(folder)
            }
        };
        let found = self.step(cx, OP, &mut todo).await?;
        let files = found.iter().filter(|(i, _)| i.kind == "file");
        let items: Result<Vec<_>> = files.map(|(f, path)| map::seen_file(OP, f, path.clone())).collect();
        let next = if todo.done() { None } else { Some(cursor(OP, &todo)?) };
        Ok(Page { items: items?, next, total: None })
    }

    pub(crate) async fn sharing_page(&self, cx: &ReadCx, folder: &str, at: Cursor) -> Result<Page<SeenPermission>> {
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
                if let Some(id) = state.above.pop() {
                    self.above_page(cx, &id, &mut state).await?
                } else if let Some(list) = state.lists.pop_front() {
                    self.list_page(cx, list, &mut state).await?
                } else {
                    self.below_page(cx, &mut state).await?
                }
            }
        };
        let done = state.above.is_empty() && state.lists.is_empty() && state.todo.done();
        Ok(Page { items, next: if done { None } else { Some(cursor(OP, &state)?) }, total: None })
    }

    async fn sharing_start(&self, cx: &ReadCx, folder: &str) -> Result<(Sharing, Vec<SeenPermission>)> {
        const OP: &str = "sharing.list";
        let me = self.me(cx).await?;
        let f = self.live_folder(cx, OP, folder).await?;
        let mut seen = vec![map::seen_owner(f.owner(OP)?, &me.id)];
        seen.extend(f.link(OP)?.map(|kind| map::seen_link(&f.id, kind, Via::Direct)));
        let state = Sharing {
            me: me.id,
            folder: folder.to_owned(),
            above: f.above(OP)?,
            lists: VecDeque::from([ToRead { file: false, id: folder.to_owned(), at: Where::Own, marker: None }]),
            told: BTreeSet::new(),
            todo: Todo::start(folder),
        };
        Ok((state, seen))
    }

    /// A folder above: its link now, its list before all others.
    async fn above_page(&self, cx: &ReadCx, id: &str, state: &mut Sharing) -> Result<Vec<SeenPermission>> {
        const OP: &str = "sharing.above";
        let above = self.folder(cx, OP, id).await?;
        state.lists.push_front(ToRead { file: false, id: id.to_owned(), at: Where::Above, marker: None });
        Ok(above.link(OP)?.map(|kind| map::seen_link(id, kind, Via::Inherited)).into_iter().collect())
    }

    async fn list_page(&self, cx: &ReadCx, mut list: ToRead, state: &mut Sharing) -> Result<Vec<SeenPermission>> {
        const OP: &str = "collaborations.list";
        let kind = if list.file { Kind::File } else { Kind::Folder };
        let answer = cx.send(self.api.collaborations(kind, &list.id, list.marker.as_deref())?).await?;
        let page: Listing<Collaboration> = match (decode(OP, &answer), &list.at) {
            (Ok(page), _) => page,
            // It went away, or may not be read, since the walk saw it: a way in that we cannot rule out.
            (Err(e), Where::Below(path)) if matches!(e.kind, ErrorKind::Forbidden | ErrorKind::NotFound) => {
                return Ok(vec![map::hidden_below(path, &list.id)]);
            }
            (Err(e), _) => return Err(e),
        };
        let next = page.next();
        if next.is_some() && next == list.marker {
            return Err(Error::contract(OP, "Box gave the same page marker twice"));
        }
        let mut seen = Vec::new();
        for c in page.entries {
            if !state.told.insert(c.id.clone()) {
                continue;
            }
            let via = match &list.at {
                Where::Above => Via::Inherited,
                // The lists above were read already; this mark is for folders above that we cannot see.
                Where::Own if c.item.as_ref().is_some_and(|i| i.id != state.folder) => Via::Inherited,
                Where::Own => Via::Direct,
                Where::Below(path) => Via::Below(path.clone()),
            };
            seen.push(map::seen(&c, &state.me, via));
        }
        if next.is_some() {
            list.marker = next;
            state.lists.push_front(list);
        }
        Ok(seen)
    }

    /// One page of what lies below: links at once, lists of their own for later.
    async fn below_page(&self, cx: &ReadCx, state: &mut Sharing) -> Result<Vec<SeenPermission>> {
        const OP: &str = "below.list";
        let mut seen = Vec::new();
        for (item, path) in self.step(cx, OP, &mut state.todo).await? {
            let at = format!("{} ({})", path.join("/"), item.id);
            seen.extend(item.link(OP)?.map(|kind| map::seen_link(&item.id, kind, Via::Below(at.clone()))));
            // Bookmarks have no list. What Box does not say counts as yes.
            if item.kind != "web_link" && item.has_collaborations != Some(false) {
                let file = !item.is_folder();
                state.lists.push_back(ToRead { file, id: item.id, at: Where::Below(at), marker: None });
            }
        }
        Ok(seen)
    }
}
