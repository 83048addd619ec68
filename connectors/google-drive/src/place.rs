//! Finding and making folders, closing them, and placing changes: what the target's methods stand on.

use std::{collections::BTreeSet, sync::PoisonError, time::Duration};

use futures::FutureExt;
use ledgerward_contract::{
    ChangeCursor, Changes, Cursor, Error, ErrorKind, FolderId, FolderKey, Listed, Page, ReadCx, Request, Response,
    Result, Retry, Snapshot, WriteCx,
};
use ledgerward_kit::{layers::retry::random, pause, wait::PAUSE_MAX};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Drive,
    api::{Corpus, FOLDER, FOLDER_FIELDS, decode, has},
    map::{self, About, ChangeList, File, FileList, Ids, Permission, PermissionList},
    refusal,
};

/// More pages than any listing here has; a listing that passes it is broken, not long.
const PAGES_MAX: u32 = 1_000;
/// So often is a write sent that Google refuses for its pace: half a minute in all.
const PACED_TRIES: u32 = 6;
/// The mark of the root that ledgerward makes.
const ROOT: &str = "root";

/// So far up a change can reach the client folders and is looked for.
const ABOVE_MAX: usize = 10;

/// Where a change feed goes on, and where the root lay then.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Feed {
    pub token: String,
    /// [`Drive::above`]. `None`: from before it was kept.
    pub above: Option<Vec<String>>,
}

impl Feed {
    pub(crate) fn parse(cursor: &ChangeCursor) -> Self {
        serde_json::from_str(cursor.as_str())
            .unwrap_or_else(|_| Self { token: cursor.as_str().to_owned(), above: None })
    }

    pub(crate) fn cursor(token: &str, above: &[String]) -> ChangeCursor {
        ChangeCursor(json!({ "token": token, "above": above }).to_string())
    }
}

fn root_marks() -> Value {
    json!({ "appProperties": { "lw_kind": ROOT }, "writersCanShare": false })
}

/// Where the client folders lie.
pub(crate) struct Place {
    pub root: Option<File>,
    pub corpus: Corpus,
}

impl Listed for File {
    type Key = String;
    fn key(&self) -> String {
        self.id.clone()
    }
}

impl PartialEq for File {
    /// A listing moved under us if one id came with two states.
    fn eq(&self, other: &Self) -> bool {
        (&self.id, &self.name, &self.parents, &self.head_revision_id, &self.app_properties)
            == (&other.id, &other.name, &other.parents, &other.head_revision_id, &other.app_properties)
    }
}

impl Drive {
    pub(crate) async fn about(&self, cx: &ReadCx) -> Result<About> {
        decode("about.get", &cx.send(self.api.about()?).await?)
    }

    /// Every file that a query finds.
    pub(crate) async fn search(
        &self,
        cx: &ReadCx,
        op: &'static str,
        corpus: &Corpus,
        q: &str,
        fields: &str,
    ) -> Result<Vec<File>> {
        let all = Snapshot::gather(op, cx.now(), PAGES_MAX, |at| {
            async move {
                let request = self.api.list(op, corpus, q, fields, at.text())?;
                let list: FileList = decode(op, &cx.send(request).await?)?;
                if list.incomplete_search {
                    return Err(Error::new(ErrorKind::Unavailable, op, "Google did not search everything"));
                }
                Ok(Page { items: list.files, next: list.next_page_token.map(Cursor::At), total: None })
            }
            .boxed()
        })
        .await?;
        Ok(all.items().to_vec())
    }

    /// The root, if there is one already.
    pub(crate) async fn place(&self, cx: &ReadCx) -> Result<Place> {
        if let Some(id) = &self.settings.root {
            let root = self.folder(cx, "root.get", id).await.map_err(|e| match e.kind {
                ErrorKind::NotFound => Error::new(
                    ErrorKind::Config,
                    "root.get",
                    "the root folder is not there, or not shared with ledgerward's account",
                )
                .next("Share the folder with the account (as editor; manager in a shared drive), or correct `root`."),
                _ => e,
            })?;
            if root.trashed {
                return Err(
                    Error::new(ErrorKind::Config, "root.get", "the root folder is in the trash").next("Restore it.")
                );
            }
            return Ok(Place { corpus: Corpus { drive: root.drive_id.clone() }, root: Some(root) });
        }
        if let Some(id) = self.known_id(ROOT) {
            match self.folder(cx, "root.get", &id).await {
                Ok(f) if !f.trashed => return Ok(Place { root: Some(f), corpus: Corpus::default() }),
                Ok(_) => self.forget_id(ROOT),
                // Not there yet: an id that was made beforehand and whose create did not arrive. `make_root` uses it.
                Err(e) if e.kind == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        let corpus = Corpus::default();
        let q = format!("{} and mimeType='{FOLDER}' and trashed=false", has("lw_kind", ROOT));
        let mut found = self.search(cx, "root.find", &corpus, &q, FOLDER_FIELDS).await?;
        let root = found.pop();
        if let (Some(a), Some(b)) = (&root, found.pop()) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "root.find",
                format!("two folders carry ledgerward's root mark: {} and {}", a.id, b.id),
            )
            .next("Move the client folders into one of them and put the other into the trash."));
        }
        if let Some(root) = &root {
            self.remember_id(ROOT, &root.id);
        }
        Ok(Place { root, corpus })
    }

    /// The root, made if it is not there.
    pub(crate) async fn ensure_root(&self, cx: &WriteCx) -> Result<(String, Corpus)> {
        let gate = self.lane(ROOT);
        let _held = gate.lock().await;
        let place = self.place(cx.read()).await?;
        if let Some(root) = place.root {
            return Ok((root.id, place.corpus));
        }
        let root = self.make_folder(cx, ROOT, &self.settings.root_name, None, root_marks()).await?;
        Ok((root.id, place.corpus))
    }

    /// Whether [`Self::root_under`] is to be called. The id goes before the search, which lags behind.
    pub(crate) async fn has_root(&self, cx: &ReadCx, made: Option<&str>) -> Result<bool> {
        if let (Some(id), None) = (made, self.known_id(ROOT)) {
            self.remember_id(ROOT, id);
        }
        Ok(self.place(cx).await?.root.is_some())
    }

    /// Makes the root under an id that is stored elsewhere.
    pub(crate) async fn root_under(&self, cx: &WriteCx, id: &str) -> Result<String> {
        const OP: &str = "root.create";
        let gate = self.lane(ROOT);
        let _held = gate.lock().await;
        let answer = cx.send(self.api.create_folder(id, &self.settings.root_name, None, root_marks())?).await?;
        let root = match answer.status {
            409 => match self.folder(cx.read(), OP, id).await {
                Ok(there) if !there.trashed && there.app_properties.get("lw_kind").is_some_and(|k| k == ROOT) => there,
                Err(e) if e.kind != ErrorKind::NotFound => return Err(e),
                _ => {
                    self.forget_id(ROOT);
                    return Err(Error::new(ErrorKind::Conflict, OP, "the folder of this id was thrown away"));
                }
            },
            _ => decode(OP, &answer)?,
        };
        self.remember_id(ROOT, &root.id);
        Ok(root.id)
    }

    /// The root and the folders above it, from below, as far as this account sees them. `known` is the answer of last time:
    /// it stands while the root lies where it lay.
    pub(crate) async fn above(
        &self,
        cx: &ReadCx,
        root: Option<&File>,
        known: Option<&[String]>,
    ) -> Result<Vec<String>> {
        const OP: &str = "root.above";
        let Some(root) = root else { return Ok(Vec::new()) };
        let mut above = vec![root.id.clone()];
        let mut parent = root.parents.first().cloned();
        if let Some(known) = known
            && known.first() == Some(&root.id)
            && known.get(1) == parent.as_ref()
        {
            return Ok(known.to_vec());
        }
        while let (Some(id), true) = (parent.take(), above.len() < ABOVE_MAX) {
            above.push(id.clone());
            let answer = cx.send(self.api.file(OP, &id, "id,parents")?).await?;
            if !matches!(answer.status, 403 | 404) {
                parent = decode::<File>(OP, &answer)?.parents.first().cloned();
            }
        }
        Ok(above)
    }

    /// Makes a folder under an id that is kept before the request goes out, so that a repeat after a lost answer makes
    /// nothing. `what` says what the id is for; the caller holds the gate of the place.
    pub(crate) async fn make_folder(
        &self,
        cx: &WriteCx,
        what: &str,
        name: &str,
        parent: Option<&str>,
        more: Value,
    ) -> Result<File> {
        const OP: &str = "folder.create";
        for _ in 0..2 {
            let id = match self.known_id(what) {
                Some(id) => id,
                None => {
                    let id = self.new_id(cx.read()).await?;
                    self.remember_id(what, &id);
                    id
                }
            };
            let answer = cx.send(self.api.create_folder(&id, name, parent, more.clone())?).await?;
            if answer.status != 409 {
                return decode(OP, &answer);
            }
            match self.folder(cx.read(), OP, &id).await {
                Ok(there) if !there.trashed && parent.is_none_or(|p| there.parents.iter().any(|q| q == p)) => {
                    return Ok(there);
                }
                Err(e) if e.kind != ErrorKind::NotFound => return Err(e),
                // Used up by a folder that people moved or threw away since: a new one takes its place.
                _ => self.forget_id(what),
            }
        }
        Err(Error::new(ErrorKind::Conflict, OP, "Google says twice that a new id is in use"))
    }

    /// Whether somebody whose direct entry was taken away still gets in, and not only to the folder's name.
    pub(crate) async fn still_enters(&self, cx: &ReadCx, folder: &str, permission: &str) -> Result<bool> {
        let answer = cx.send(self.api.permission(folder, permission)?).await?;
        if answer.status == 404 {
            return Ok(false);
        }
        let now: Permission = decode("permission.get", &answer)?;
        Ok(now.is_inherited() && !now.is_metadata_only())
    }

    pub(crate) async fn new_id(&self, cx: &ReadCx) -> Result<String> {
        let ids: Ids = decode("ids.generate", &cx.send(self.api.ids(1)?).await?)?;
        ids.ids.into_iter().next().ok_or_else(|| Error::contract("ids.generate", "Google gave no id"))
    }

    pub(crate) async fn find_in(&self, cx: &ReadCx, corpus: &Corpus, key: &FolderKey) -> Result<Option<File>> {
        const OP: &str = "folder.find";
        let q = format!("{} and mimeType='{FOLDER}' and trashed=false", has("lw_client", &key.client.to_string()));
        let want = key.to_string();
        let mut found = self.search(cx, OP, corpus, &q, FOLDER_FIELDS).await?;
        found.retain(|f| map::marker(f).as_deref() == Some(&want));
        match found.as_slice() {
            [_, _, ..] => {
                let ids: Vec<_> = found.iter().map(|f| f.id.as_str()).collect();
                Err(Error::new(
                    ErrorKind::Conflict,
                    OP,
                    format!("two folders carry this client's mark: {}", ids.join(", ")),
                )
                .next("Put the wrong one into the trash, after moving its files."))
            }
            _ => Ok(found.pop()),
        }
    }

    /// Lets somebody in, unless Google has paused that.
    pub(crate) async fn invite(&self, cx: &WriteCx, request: Request) -> Result<Response> {
        let rests = *self.sharing_rests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = rests.map(|until| until.duration_since(cx.now())).filter(|left| left.is_positive()) {
            return Err(Error::new(ErrorKind::RateLimited, request.op, refusal::SHARING_PAUSED.0)
                .next(refusal::SHARING_PAUSED.1)
                .retry(Retry::After(left.unsigned_abs())));
        }
        let answer = self.paced(cx, request).await?;
        if let Some(pause) = refusal::sharing_pause(&answer) {
            let until = cx.now().saturating_add(pause).ok();
            *self.sharing_rests.lock().unwrap_or_else(PoisonError::into_inner) = until;
        }
        Ok(answer)
    }

    /// Sends a write that must not be repeated blindly, and again where Google says 403 about its pace: then it did nothing, as
    /// with the 429 that the layers below repeat.
    pub(crate) async fn paced(&self, cx: &WriteCx, request: Request) -> Result<Response> {
        let mut backoff = Duration::from_secs(1);
        for _ in 1..PACED_TRIES {
            let answer = cx.send(request.clone()).await?;
            let wait = match (answer.status, refusal::retry_hint(&answer)) {
                (403, Some(Retry::Backoff)) => backoff.mul_f64(0.75 + random() / 2.0),
                (403, Some(Retry::After(wait))) if wait <= PAUSE_MAX => wait,
                _ => return Ok(answer),
            };
            pause(wait).await;
            backoff *= 2;
        }
        cx.send(request).await
    }

    /// Switches off what reaches a folder from above and lets writers share, as far as Google lets this account, and
    /// reads the result back.
    pub(crate) async fn close(&self, cx: &WriteCx, folder: &File) -> Result<()> {
        const OP: &str = "folder.close";
        let shared = folder.drive_id.is_some();
        let may_limit = folder.may(|c| c.can_disable_inherited_permissions);
        let mut body = serde_json::Map::new();
        if !folder.is_limited() && (shared || may_limit) {
            if !may_limit {
                return Err(Error::new(
                    ErrorKind::Forbidden,
                    OP,
                    "ledgerward's account may not limit access to this folder, and every member of the shared drive can open it",
                )
                .next("Make the account a manager of the shared drive."));
            }
            body.insert("inheritedPermissionsDisabled".to_owned(), json!(true));
        }
        if !shared && folder.writers_can_share != Some(false) {
            body.insert("writersCanShare".to_owned(), json!(false));
        }
        if body.is_empty() {
            return Ok(());
        }
        let wants_limit = body.contains_key("inheritedPermissionsDisabled");
        let _: File = decode(OP, &cx.send(self.api.update(OP, &folder.id, Value::Object(body))?).await?)?;
        let now = self.folder(cx.read(), OP, &folder.id).await?;
        if (wants_limit && !now.is_limited()) || (!shared && now.writers_can_share == Some(true)) {
            return Err(Error::contract(OP, "Google accepted the folder's limits and does not show them")
                .next("Nothing is put into this folder until they are in force."));
        }
        Ok(())
    }

    /// The folder's own entries, all pages.
    pub(crate) async fn own_entries(&self, cx: &ReadCx, folder: &str) -> Result<Vec<Permission>> {
        let (mut all, mut token): (Vec<Permission>, Option<String>) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let page: PermissionList = self.permissions_page(cx, folder, token.as_deref()).await?;
            all.extend(page.permissions);
            token = page.next_page_token;
            if token.is_none() {
                return Ok(all);
            }
        }
        Err(Error::contract("permissions.list", "the sharing list did not end"))
    }

    /// The client's folder that a changed thing lies in, found upwards by marks. `None`: in none of ours.
    pub(crate) async fn place_change(&self, cx: &ReadCx, start: &File, budget: &mut u32) -> Result<Option<FolderId>> {
        let mut file = start.clone();
        for _ in 0..8 {
            if let Some(folder) = file.app_properties.get("lw_folder") {
                return Ok(Some(FolderId(folder.clone())));
            }
            if map::marker(&file).is_some() {
                return Ok(Some(FolderId(file.id)));
            }
            let Some(parent) = file.parents.first().cloned() else { return Ok(None) };
            if *budget == 0 {
                return Err(Error::new(ErrorKind::Unavailable, "changes.list", "too many changes to place"));
            }
            *budget -= 1;
            let answer = cx.send(self.api.file("changes.list", &parent, "id,parents,appProperties")?).await?;
            match answer.status {
                403 | 404 => return Ok(None),
                _ => file = decode("changes.list", &answer)?,
            }
        }
        Ok(None)
    }

    /// `above`: a change of the root or above it changes who reaches every client folder, and is told for none of them.
    pub(crate) async fn changes_page(
        &self,
        cx: &ReadCx,
        corpus: &Corpus,
        since: &str,
        above: &[String],
    ) -> Result<Option<Changes>> {
        const OP: &str = "changes.list";
        let answer = cx.send(self.api.changes(corpus, since)?).await?;
        // A token that Google forgot: whatever happened since is unknown.
        if matches!(answer.status, 400 | 404 | 410) {
            return Ok(None);
        }
        let list: ChangeList = decode(OP, &answer)?;
        let next = list
            .next_page_token
            .clone()
            .or(list.new_start_page_token)
            .ok_or_else(|| Error::contract(OP, "the change feed ended without a place to go on"))?;
        let more = list.next_page_token.is_some();
        // More than a page of changes is cheaper to sweep than to place.
        let (mut folders, mut everything, mut budget) = (BTreeSet::new(), more, 50);
        for change in list.changes {
            if change.change_type.as_deref() == Some("drive") {
                everything = true;
                continue;
            }
            everything |= change.file_id.as_ref().is_some_and(|id| above.contains(id));
            folders.extend(change.file_id.map(FolderId));
            if let (Some(file), false) = (change.file, everything) {
                match self.place_change(cx, &file, &mut budget).await {
                    Ok(folder) => folders.extend(folder),
                    Err(e) if budget == 0 && e.kind == ErrorKind::Unavailable => everything = true,
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(Some(Changes { folders: folders.into_iter().collect(), everything, next: ChangeCursor(next), more }))
    }
}
