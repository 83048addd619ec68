//! Finding and making folders and closing them: what the target's methods stand on.

use ledgerward_contract::{Created, Error, ErrorKind, FolderId, FolderKey, ReadCx, Result, WriteCx};
use ledgerward_kit::Neighbours;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Dropbox,
    account::{LOOKS, Me, pause},
    api::decode,
    map::{self, Entry, Folder, List, MARKER, Made},
    refusal,
};

/// More pages than any listing here has; a listing that passes it is broken, not long.
const PAGES_MAX: u32 = 10_000;
/// A folder in the making has a name made of its key, so that a repeat after a crash goes on with the same one.
pub(crate) const MAKING: &str = ".ledgerward-";

/// What a marker file says.
#[derive(Deserialize)]
struct Marker {
    folder: String,
}

/// A marker's bytes: the same for the same key, for ever.
fn marker(key: &FolderKey) -> Vec<u8> {
    json!({ "schema": "ledgerward/folder/1", "folder": key.to_string() }).to_string().into_bytes()
}

fn making_name(key: &FolderKey) -> String {
    let hash: String = map::digest(key.to_string().as_bytes()).chars().take(24).collect();
    format!("{MAKING}{hash}")
}

/// The id under which we speak of a folder: of the shared folder, which survives a rename; else the folder's own.
pub(crate) fn id_of(e: &Entry) -> FolderId {
    FolderId(e.shared_id().or(e.id.as_deref()).unwrap_or_default().to_owned())
}

impl Dropbox {
    /// What lies at a path, if anything.
    pub(crate) async fn look(&self, cx: &ReadCx, op: &'static str, path: &str) -> Result<Option<Entry>> {
        let answer = self.ask(cx, self.api.metadata(op, path)?).await?;
        if answer.status == 409 && refusal::tags(&answer) == "path/not_found" {
            return Ok(None);
        }
        let entry: Entry = decode(op, &answer)?;
        if entry.is("file") || entry.is("folder") {
            return Ok(Some(entry));
        }
        Err(Error::contract(op, "Dropbox does not say whether this is a file or a folder"))
    }

    /// The folder that holds the client folders, if it exists.
    pub(crate) async fn root(&self, cx: &ReadCx, me: &Me) -> Result<Option<Entry>> {
        let root = self.look(cx, "root.get", &me.root).await?;
        if root.as_ref().is_some_and(|r| r.is("file")) {
            return Err(Error::new(ErrorKind::Config, "root.get", "`root` names a file, not a folder")
                .next("Rename the file, or correct `root`."));
        }
        Ok(root)
    }

    /// Dropbox's rules on nesting, before anything is written.
    pub(crate) fn check_root(&self, me: &Me, root: &Entry) -> Result<()> {
        let wrong = |kind, says: &str, next: &str| Err(Error::new(kind, "root.check", says).next(next));
        let s = root.sharing_info.clone().unwrap_or_default();
        if s.no_access || s.traverse_only || s.read_only {
            return wrong(
                ErrorKind::Forbidden,
                "ledgerward's account may not write into the root folder",
                "Make the account an editor there, or choose another `root`.",
            );
        }
        // The home and the top of the team space are namespaces as well, and no shared folders.
        let at = &me.account.root_info;
        let counts = |id: &Option<String>| {
            id.as_ref().is_some_and(|id| *id != at.home_namespace_id && *id != at.root_namespace_id)
        };
        let shared = counts(&s.shared_folder_id) || counts(&s.parent_shared_folder_id);
        match (shared, self.settings.team_space) {
            (true, false) => wrong(
                ErrorKind::Config,
                "the root folder is shared or lies in a shared folder, and Dropbox does not nest shared folders",
                "Set `root` to a private folder of the account; or, for a team folder, set `team_space = true`.",
            ),
            (false, true) => wrong(
                ErrorKind::Config,
                "the root folder does not lie in a team folder",
                "Set `root` to a folder inside a team folder, or take `team_space` out.",
            ),
            _ => Ok(()),
        }
    }

    /// Everything directly in the root. `None`: there is no root.
    pub(crate) async fn children(&self, cx: &ReadCx, op: &'static str, path: &str) -> Result<Option<Vec<Entry>>> {
        let answer = self.ask(cx, self.api.list(op, path, false, false)?).await?;
        if answer.status == 409 && refusal::tags(&answer) == "path/not_found" {
            return Ok(None);
        }
        let mut list: List = decode(op, &answer)?;
        let mut all = Vec::new();
        for _ in 0..PAGES_MAX {
            all.append(&mut list.entries);
            if !list.has_more {
                return Ok(Some(all));
            }
            list = decode(op, &self.ask(cx, self.api.list_more(op, &list.cursor)?).await?)?;
        }
        Err(Error::contract(op, "the listing did not end"))
    }

    /// The key on a folder's marker. A marker that another account wrote is none: writers of a folder could forge it.
    pub(crate) async fn read_marker(&self, cx: &ReadCx, folder: &str) -> Result<Option<String>> {
        const OP: &str = "marker.get";
        let me = self.me(cx).await?;
        let answer = self.ask(cx, self.api.download(OP, &format!("ns:{folder}/{MARKER}"))?).await?;
        if answer.status == 409 && matches!(refusal::tags(&answer).as_str(), "path/not_found" | "path/not_file") {
            self.remember_mark(folder, None);
            return Ok(None);
        }
        refusal::classify(OP, &answer)?;
        let about: Entry = answer
            .header("dropbox-api-result")
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| Error::contract(OP, "a download came without its description"))?;
        if about.content_hash.as_deref() != Some(map::content_hash(&answer.body).as_str()) {
            return Err(Error::new(ErrorKind::Unavailable, OP, "a download did not arrive whole"));
        }
        let writer = about.sharing_info.and_then(|s| s.modified_by);
        let ours = writer.is_none_or(|w| w == me.account.account_id);
        let key = serde_json::from_slice::<Marker>(&answer.body).ok().map(|m| m.folder).filter(|_| ours);
        self.remember_mark(folder, key.as_deref());
        Ok(key)
    }

    pub(crate) async fn find_folder(&self, cx: &ReadCx, op: &'static str, key: &FolderKey) -> Result<Option<String>> {
        let want = key.to_string();
        let mut found = self.neighbours.search(cx.now(), &want, self.shared_folders(cx, op, key)).await?;
        match found.as_slice() {
            [_, _, ..] => Err(Error::new(
                ErrorKind::Conflict,
                op,
                format!("two folders carry this client's marker: {}", found.join(", ")),
            )
            .next(format!("Move the files together and delete {MARKER} in the folder that is not the client's."))),
            _ => Ok(found.pop()),
        }
    }

    /// The shared folders in the root with the keys on their markers. Only markers that were never read are read for it,
    /// and those that seem to be of the wanted key.
    async fn shared_folders(&self, cx: &ReadCx, op: &'static str, wanted: &FolderKey) -> Result<Neighbours<String>> {
        let (me, want) = (self.me(cx).await?, wanted.to_string());
        // One in the making is not found, so that `make` goes on with it.
        let making = making_name(wanted);
        let mut all = Neighbours::default();
        for e in self.children(cx, op, &me.root).await?.unwrap_or_default() {
            let Some(id) = e.shared_id().filter(|_| e.is("folder") && e.name != making) else { continue };
            let key = match self.known_mark(id).filter(|known| *known != want) {
                Some(known) => Some(known),
                None => self.read_marker(cx, id).await?,
            };
            all.add(id, key, id.to_owned());
        }
        Ok(all)
    }

    /// Makes the client's folder under a name of its own, shares and marks it, and gives it its name last. Every step can be
    /// repeated: after a crash the next run goes on where this one ended.
    pub(crate) async fn make(&self, cx: &WriteCx, key: &FolderKey, name: &str) -> Result<Created> {
        const OP: &str = "folder.create";
        if name.is_empty() || name.contains(['/', '\\']) || name.starts_with(MAKING) {
            return Err(Error::new(ErrorKind::Unsupported, OP, "Dropbox does not take this name for a folder")
                .next("Rename the client."));
        }
        let _held = self.making.lock().await;
        let me = self.me(cx.read()).await?;
        self.ensure_root(cx, &me).await?;
        let found = self.find_folder(cx.read(), OP, key).await?;
        let mark = key.to_string();
        self.neighbours.begin(&mark);
        if let Some(id) = found {
            self.close(cx, &id).await?;
            return Ok(Created::Exists { id: FolderId(id), ours: true });
        }
        let path = format!("{}/{name}", me.root);
        if let Some(there) = self.look(cx.read(), OP, &path).await? {
            return Ok(Created::Exists { id: id_of(&there), ours: false });
        }
        let making = format!("{}/{}", me.root, making_name(key));
        self.new_folder(cx, OP, &making).await?;
        let id = self.share(cx, &making, &me).await?;
        self.mark_folder(cx, OP, &id, key).await?;
        self.close(cx, &id).await?;
        let answer = self.tell(cx, self.api.move_folder(OP, &making, &path)?).await?;
        if answer.status == 409 && refusal::tags(&answer).starts_with("to/conflict") {
            let there = self.look(cx.read(), OP, &path).await?;
            let id = there.as_ref().map_or_else(|| FolderId(String::new()), id_of);
            return Ok(Created::Exists { id, ours: false });
        }
        let made: Made = decode(OP, &answer)?;
        if made.metadata.name != name {
            return Err(Error::contract(OP, "Dropbox gave the folder another name than it was asked to"));
        }
        self.neighbours.made(cx.now(), &mark, id.as_str(), id.clone());
        Ok(Created::Created(FolderId(id)))
    }

    /// The root, made if it is not there. Where it would lie is checked before anything is written.
    async fn ensure_root(&self, cx: &WriteCx, me: &Me) -> Result<()> {
        const OP: &str = "root.create";
        if let Some(root) = self.root(cx.read(), me).await? {
            return self.check_root(me, &root);
        }
        if self.settings.team_space {
            return Err(Error::new(ErrorKind::Config, OP, "the root folder does not exist")
                .next("Make it inside a team folder, and make ledgerward's account an editor there."));
        }
        self.check_above(cx.read(), OP, me).await?;
        self.new_folder(cx, OP, &me.root).await.map(drop)
    }

    /// Of a root that is not there yet: the rules on nesting, by the nearest folder above that is.
    pub(crate) async fn check_above(&self, cx: &ReadCx, op: &'static str, me: &Me) -> Result<()> {
        let mut path = me.root.as_str();
        while let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
            if let Some(there) = self.look(cx, op, above).await? {
                return self.check_root(me, &there);
            }
            path = above;
        }
        Ok(())
    }

    /// A folder at a path, made or there already.
    async fn new_folder(&self, cx: &WriteCx, op: &'static str, path: &str) -> Result<Entry> {
        let answer = self.tell(cx, self.api.create_folder(op, path)?).await?;
        if answer.status == 409 && refusal::tags(&answer) == "path/conflict/folder" {
            return self
                .look(cx.read(), op, path)
                .await?
                .filter(|e| e.is("folder"))
                .ok_or_else(|| Error::new(ErrorKind::Conflict, op, "a folder came and went while it was made"));
        }
        Ok(decode::<Made>(op, &answer)?.metadata)
    }

    /// Makes a folder a shared one, with nobody in it but us, and gives its id.
    async fn share(&self, cx: &WriteCx, path: &str, me: &Me) -> Result<String> {
        const OP: &str = "folder.share";
        let team = me.account.team.is_some();
        let mut answer = self.tell(cx, self.api.share(path, team, self.settings.team_space)?).await?;
        if answer.status == 409 && refusal::tags(&answer) == "disallowed_shared_link_policy" {
            answer = self.tell(cx, self.api.share(path, false, self.settings.team_space)?).await?;
        }
        if answer.status == 409 && refusal::tags(&answer) == "bad_path/already_shared" {
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            return body
                .pointer("/error/bad_path/shared_folder_id")
                .and_then(Value::as_str)
                .map(str::to_owned)
                .ok_or_else(|| Error::contract(OP, "Dropbox says the folder is shared and not under which id"));
        }
        let told: Value = decode(OP, &answer)?;
        Ok(self.launched(cx.read(), OP, told).await?.shared_folder_id)
    }

    /// The folder that `share_folder` or `set_access_inheritance` gives, at once or by a job.
    async fn launched(&self, cx: &ReadCx, op: &'static str, mut told: Value) -> Result<Folder> {
        let job = told.get("async_job_id").and_then(Value::as_str).map(str::to_owned);
        for nth in 0..=LOOKS {
            match told.get(".tag").and_then(Value::as_str) {
                Some("complete") => {
                    return Folder::deserialize(&told)
                        .map_err(|_| Error::contract(op, "the answer lacks what a shared folder has"));
                }
                Some("failed") => return Err(refusal::of_union(op, told.get("failed").unwrap_or(&Value::Null))),
                Some("async_job_id" | "in_progress") => {}
                _ => return Err(Error::contract(op, "the answer is no state of a job that we know")),
            }
            let Some(job) = &job else { return Err(Error::contract(op, "a job came without its id")) };
            pause(nth).await;
            told = decode("job.poll", &self.ask(cx, self.api.share_job(job)?).await?)?;
        }
        Err(Error::new(ErrorKind::Unavailable, op, "Dropbox is still working on the folder's sharing")
            .next("Nothing to do: the next run goes on from there."))
    }

    /// Writes the marker, unless another client's is there.
    pub(crate) async fn mark_folder(
        &self,
        cx: &WriteCx,
        op: &'static str,
        folder: &str,
        key: &FolderKey,
    ) -> Result<()> {
        match self.read_marker(cx.read(), folder).await? {
            Some(there) if there == key.to_string() => return Ok(()),
            Some(_) => {
                return Err(Error::new(ErrorKind::Conflict, op, "the folder carries another client's marker")
                    .next("Choose another folder for this client."));
            }
            None => {}
        }
        self.neighbours.begin(&key.to_string());
        let (path, bytes) = (format!("ns:{folder}/{MARKER}"), marker(key));
        let hash = map::content_hash(&bytes);
        // Whatever lies there is no marker of ours, and its name is ours alone.
        let mode = json!({ ".tag": "overwrite" });
        let made: Entry = decode(op, &self.tell(cx, self.api.upload(op, &path, mode, bytes.into())?).await?)?;
        if made.content_hash.as_deref() != Some(hash.as_str()) {
            return Err(Error::contract(op, "Dropbox stored another marker than was sent"));
        }
        if self.read_marker(cx.read(), folder).await?.as_deref() != Some(key.to_string().as_str()) {
            return Err(Error::contract(op, "Dropbox accepted the folder's marker and does not show it"));
        }
        Ok(())
    }

    pub(crate) async fn folder(&self, cx: &ReadCx, op: &'static str, id: &str) -> Result<Folder> {
        let f: Folder = decode(op, &self.ask(cx, self.api.folder(op, id)?).await?)?;
        if f.shared_folder_id == id { Ok(f) } else { Err(Error::contract(op, "Dropbox answered for another folder")) }
    }

    /// Writers cannot share on, nothing is inherited, links are for members only where the team's plan has that. Read back.
    pub(crate) async fn close(&self, cx: &WriteCx, id: &str) -> Result<()> {
        const OP: &str = "folder.close";
        let f = self.folder(cx.read(), OP, id).await?;
        let team = self.me(cx.read()).await?.account.team.is_some();
        if f.inherits() {
            let answer = self.tell(cx, self.api.cut_inheritance(id)?).await?;
            let told: Value = decode(OP, &answer)?;
            self.launched(cx.read(), OP, told).await?;
        }
        if f.writers_can_share() {
            let answer = self.tell(cx, self.api.policy(id, &[("acl_update_policy", "owner")])?).await?;
            let _: Folder = decode(OP, &answer)?;
        }
        if team && f.policy.shared_link_policy.as_ref().is_some_and(|p| p.0 != "members") {
            let answer = self.tell(cx, self.api.policy(id, &[("shared_link_policy", "members")])?).await?;
            // The plan or the team's rules may not know this; links are then found and revoked one by one.
            if !(answer.status == 409 && refusal::tags(&answer) == "disallowed_shared_link_policy") {
                let _: Folder = decode(OP, &answer)?;
            }
        }
        if !f.inherits() && !f.writers_can_share() {
            return Ok(());
        }
        let now = self.folder(cx.read(), OP, id).await?;
        if now.inherits() || now.writers_can_share() {
            return Err(Error::contract(OP, "Dropbox accepted the folder's limits and does not show them")
                .next("Nothing is put into this folder until they are in force."));
        }
        Ok(())
    }
}
