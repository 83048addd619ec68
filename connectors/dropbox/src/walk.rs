//! Reading what lies below a folder, a page at a time: the files, and the ways in that the folder's own list does not show.
//!
//! The place in the walk is the cursor's text, so nothing is remembered between calls.

use std::collections::BTreeSet;

use ledgerward_contract::{
    ChangeCursor, Changes, Cursor, Error, ErrorKind, FolderId, Holder, Page, PermissionId, ReadCx, Result, SeenFile,
    SeenPermission, SeenRole, Via,
};
use serde::{Deserialize, Serialize};

use crate::{
    Dropbox,
    api::decode,
    map::{self, Entry, Folder, LatestCursor, List, MARKER, Members},
    members::nobody,
    refusal,
};

#[derive(Serialize, Deserialize)]
struct Files {
    /// Where the folder lay when the walk began.
    lower: String,
    cursor: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    Own,
    Links,
    Tree,
}

/// Something below the folder that has a list of its own.
#[derive(Clone, Serialize, Deserialize)]
struct Look {
    /// A file, else a shared folder.
    file: bool,
    id: String,
    path: String,
}

#[derive(Serialize, Deserialize)]
struct Sharing {
    lower: String,
    stage: Stage,
    cursor: Option<String>,
    /// Who is on the folder itself, and more than its name.
    on: BTreeSet<String>,
    listed: usize,
    look: Vec<Look>,
    look_cursor: Option<String>,
}

fn cursor<T: Serialize>(op: &'static str, state: &T) -> Result<Cursor> {
    serde_json::to_string(state)
        .map(Cursor::At)
        .map_err(|e| Error::contract(op, "the place in the listing cannot be written down").source(e))
}

fn resume<T: for<'a> Deserialize<'a>>(op: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::contract(op, "this is no place in this listing").source(e))
}

/// Where the folder lies in our own Dropbox.
fn mounted(op: &'static str, f: &Folder) -> Result<String> {
    f.path_lower.clone().ok_or_else(|| {
        Error::new(ErrorKind::NotFound, op, "the account took the folder out of its Dropbox")
            .next("Add it again under Sharing in Dropbox.")
    })
}

/// The entry's path below the folder. An entry from elsewhere means that the folder was moved during the walk.
fn placed(op: &'static str, lower: &str, e: &Entry) -> Result<Vec<String>> {
    if !(e.is("file") || e.is("folder") || e.is("deleted")) {
        return Err(Error::contract(op, "a listing has something that is neither file nor folder"));
    }
    map::below(lower, e).ok_or_else(|| Error::new(ErrorKind::Unavailable, op, "the folder was moved while it was read"))
}

impl Dropbox {
    pub(crate) async fn files_page(&self, cx: &ReadCx, folder: &str, at: Cursor) -> Result<Page<SeenFile>> {
        const OP: &str = "files.list";
        let (lower, answer) = match at.text() {
            Some(text) => {
                let state: Files = resume(OP, text)?;
                (state.lower, self.ask(cx, self.api.list_more(OP, &state.cursor)?).await?)
            }
            None => {
                let lower = mounted(OP, &self.folder(cx, OP, folder).await?)?;
                let answer = self.ask(cx, self.api.list(OP, &lower, true, false)?).await?;
                (lower, answer)
            }
        };
        let list: List = decode(OP, &answer)?;
        let mut items = Vec::new();
        for e in &list.entries {
            let path = placed(OP, &lower, e)?;
            if e.is("file") && path != [MARKER] {
                items.push(map::seen_file(OP, e, path)?);
            }
        }
        let next = if list.has_more { Some(cursor(OP, &Files { lower, cursor: list.cursor })?) } else { None };
        Ok(Page { items, next, total: None })
    }

    pub(crate) async fn sharing_page(&self, cx: &ReadCx, folder: &str, at: Cursor) -> Result<Page<SeenPermission>> {
        const OP: &str = "sharing.list";
        let me = self.me(cx).await?.account.account_id.clone();
        let (mut state, items) = match at.text() {
            None => {
                let f = self.folder(cx, OP, folder).await?;
                let mut state = Sharing {
                    lower: mounted(OP, &f)?,
                    stage: Stage::Own,
                    cursor: None,
                    on: BTreeSet::new(),
                    listed: 0,
                    look: Vec::new(),
                    look_cursor: None,
                };
                let answer = self.ask(cx, self.api.members(folder, f.nested_path())?).await?;
                let items = own(&mut state, &decode("members.list", &answer)?, &me)?;
                (state, items)
            }
            Some(text) => {
                let mut state: Sharing = resume(OP, text)?;
                let items = self.sharing_step(cx, folder, &mut state, &me).await?;
                (state, items)
            }
        };
        let done = state.stage == Stage::Tree && state.cursor.as_deref() == Some("") && state.look.is_empty();
        state.listed += 1;
        Ok(Page { items, next: if done { None } else { Some(cursor(OP, &state)?) }, total: None })
    }

    async fn sharing_step(
        &self,
        cx: &ReadCx,
        folder: &str,
        state: &mut Sharing,
        me: &str,
    ) -> Result<Vec<SeenPermission>> {
        if let Some(look) = state.look.last().cloned() {
            return self.look_page(cx, &look, state, me).await;
        }
        match state.stage {
            Stage::Own => {
                let at = state.cursor.take().unwrap_or_default();
                let answer = self.ask(cx, self.api.members_more(&at)?).await?;
                own(state, &decode("members.list", &answer)?, me)
            }
            Stage::Links => self.links_page(cx, state).await,
            Stage::Tree => self.tree_page(cx, folder, state).await,
        }
    }

    async fn links_page(&self, cx: &ReadCx, state: &mut Sharing) -> Result<Vec<SeenPermission>> {
        let page = self.links(cx, state.cursor.as_deref()).await?;
        let mut seen = Vec::new();
        for link in &page.links {
            let (Some(kind), Some(path)) = (link.kind(), link.path_lower.as_deref()) else { continue };
            let via = if path == state.lower {
                Via::Direct
            } else if let Some(rest) = path.strip_prefix(&format!("{}/", state.lower)) {
                Via::Below(rest.to_owned())
            } else if state.lower.starts_with(&format!("{path}/")) {
                Via::Inherited
            } else {
                continue;
            };
            seen.push(link.seen(kind, via));
        }
        state.cursor = page.cursor.filter(|_| page.has_more);
        if page.has_more && state.cursor.is_none() {
            return Err(Error::contract("links.list", "the list of links has more and does not say where"));
        }
        if state.cursor.is_none() {
            state.stage = Stage::Tree;
        }
        Ok(seen)
    }

    /// Takes notice of what has a list of its own. The empty cursor means that the walk is over.
    async fn tree_page(&self, cx: &ReadCx, folder: &str, state: &mut Sharing) -> Result<Vec<SeenPermission>> {
        const OP: &str = "below.list";
        let request = match state.cursor.as_deref() {
            Some(at) => self.api.list_more(OP, at)?,
            None => self.api.list(OP, &state.lower, true, true)?,
        };
        let list: List = decode(OP, &self.ask(cx, request).await?)?;
        for e in &list.entries {
            let path = placed(OP, &state.lower, e)?.join("/");
            if path.is_empty() {
                continue;
            }
            if let Some(id) = e.shared_id().filter(|id| *id != folder) {
                state.look.push(Look { file: false, id: id.to_owned(), path });
            } else if e.is("file") && e.has_explicit_shared_members != Some(false) {
                let id = e.id.clone().ok_or_else(|| Error::contract(OP, "a file came without its id"))?;
                state.look.push(Look { file: true, id, path });
            }
        }
        state.cursor = Some(if list.has_more { list.cursor } else { String::new() });
        Ok(Vec::new())
    }

    async fn look_page(&self, cx: &ReadCx, look: &Look, state: &mut Sharing, me: &str) -> Result<Vec<SeenPermission>> {
        let request = match (&state.look_cursor, look.file) {
            (None, true) => self.api.file_members(&look.id)?,
            (None, false) => self.api.members(&look.id, None)?,
            (Some(at), true) => self.api.file_members_more(at)?,
            (Some(at), false) => self.api.members_more(at)?,
        };
        let via = Via::Below(format!("{} ({})", look.path, look.id));
        let list: Members = match decode("members.list", &self.ask(cx, request).await?) {
            Ok(list) => list,
            // It went away, or we may not look: a way in that we cannot rule out.
            Err(e) if matches!(e.kind, ErrorKind::Forbidden | ErrorKind::NotFound) => {
                state.look.pop();
                state.look_cursor = None;
                return Ok(vec![hidden(&look.id, via)]);
            }
            Err(e) => return Err(e),
        };
        let mut seen = map::seen(&list, me, &via);
        seen.retain(|p| p.role != SeenRole::MetadataOnly && !state.on.contains(p.id.as_str()));
        // Whose a folder is sees all that comes into it: no harmless owner of one thing of their own, as of a file.
        for p in seen.iter_mut().filter(|p| !look.file && p.role == SeenRole::Owner) {
            p.role = SeenRole::Manager;
        }
        state.look_cursor = list.cursor.filter(|c| !c.is_empty());
        if state.look_cursor.is_none() {
            state.look.pop();
        }
        Ok(seen)
    }

    pub(crate) async fn changes_page(&self, cx: &ReadCx, since: Option<ChangeCursor>) -> Result<Changes> {
        const OP: &str = "changes.list";
        let me = self.me(cx).await?;
        let lost = since.is_some();
        if let Some(since) = since {
            let answer = self.ask(cx, self.api.list_more(OP, since.as_str())?).await?;
            let forgotten = answer.status == 409 && {
                let tags = refusal::tags(&answer);
                tags == "reset" || tags.starts_with("path/not_found")
            };
            if !forgotten {
                let list: List = decode(OP, &answer)?;
                let next = ChangeCursor(list.cursor.clone());
                let (folders, everything) = self.place_changes(cx, &me.root, &list).await?;
                let more = list.has_more;
                return Ok(Changes { folders, everything: everything || more, next, more });
            }
        }
        let now: LatestCursor = decode("changes.start", &self.ask(cx, self.api.latest_cursor(&me.root)?).await?)?;
        Ok(Changes { folders: Vec::new(), everything: lost, next: ChangeCursor(now.cursor), more: false })
    }

    /// The client folders that changes lie in, by the first name below the root. What was deleted and cannot be placed any
    /// more may have been anything.
    async fn place_changes(&self, cx: &ReadCx, root: &str, list: &List) -> Result<(Vec<FolderId>, bool)> {
        const OP: &str = "changes.list";
        if list.entries.is_empty() {
            return Ok((Vec::new(), false));
        }
        let Some(children) = self.children(cx, OP, root).await? else { return Ok((Vec::new(), true)) };
        let (mut folders, mut everything) = (BTreeSet::new(), false);
        for e in &list.entries {
            let path = e.path_lower.as_deref().unwrap_or_default();
            let lies_in = |c: &&Entry| {
                let top = c.path_lower.as_deref().unwrap_or_default();
                path == top || path.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'))
            };
            match children.iter().find(lies_in).and_then(Entry::shared_id) {
                Some(id) => {
                    folders.insert(FolderId(id.to_owned()));
                }
                None => everything |= e.is("deleted"),
            }
        }
        Ok((folders.into_iter().collect(), everything))
    }
}

/// One page of the folder's own list.
fn own(state: &mut Sharing, list: &Members, me: &str) -> Result<Vec<SeenPermission>> {
    let seen = map::seen(list, me, &Via::Direct);
    state.on.extend(seen.iter().filter(|p| p.role != SeenRole::MetadataOnly).map(|p| p.id.as_str().to_owned()));
    state.cursor = list.cursor.clone().filter(|c| !c.is_empty());
    if state.cursor.is_none() {
        if seen.is_empty() && state.on.is_empty() {
            return Err(nobody("members.list"));
        }
        state.stage = Stage::Links;
    }
    Ok(seen)
}

fn hidden(id: &str, via: Via) -> SeenPermission {
    SeenPermission {
        id: PermissionId(format!("hidden-{id}")),
        holder: Holder::Opaque(format!("whoever {id} is shared with")),
        role: SeenRole::Other("not shown".to_owned()),
        via,
        pending: false,
        ourselves: false,
        expires: None,
    }
}
