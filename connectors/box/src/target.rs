//! The storage target: folders, their sharing lists, the change feed.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use ledgerward_contract::{
    Capacity, ChangeCursor, Changes, Counts, Created, Cursor, Email, Error, ErrorKind, Expect, Fenced, Firmness,
    FolderId, FolderKey, FolderRole, Gone, Granted, NativeExpiry, NoteLevel, Page, PermissionId, Probe, ProbeNote,
    Quotas, ReadCx, ReservedId, Result, SeenFile, SeenFolder, SeenPermission, SharingSupport, Stat, StatementFile,
    StorageTarget, Stored, TargetLimits, Via, WriteCx,
};
use serde_json::{Value, json};

use crate::{
    BoxTarget,
    api::decode,
    map::{self, Events, Item, Me},
    names, notes,
    place::{Inside, Made, refused},
    refusal,
};

#[async_trait]
impl StorageTarget for BoxTarget {
    fn limits(&self) -> TargetLimits {
        TargetLimits {
            sharing: SharingSupport::Mirror,
            folder_ids: true,
            native_expiry: if self.settings.expiry { NativeExpiry::All } else { NativeExpiry::None },
            case_insensitive: true,
            name_bytes_max: 255,
            path_chars_max: None,
            file_bytes_max: self.settings.file_bytes_max,
            grants_max: self.settings.grants_max,
            lanes_parallel: 4,
            puts_together: false,
        }
    }

    fn capacities(&self) -> Vec<Capacity> {
        capacities(&self.settings)
    }

    async fn probe(&self, cx: &ReadCx) -> Result<Probe> {
        let me = self.me(cx).await?;
        let mut probe = Probe {
            account: me.login.clone(),
            root: None,
            may_share: true,
            inherited: Vec::new(),
            quota: quota(&me),
            children: None,
            notes: Vec::new(),
        };
        notes::account(&mut probe, &me);
        let root = match self.root(cx).await {
            Ok(root) => root,
            Err(e) if matches!(e.kind, ErrorKind::Config | ErrorKind::Conflict | ErrorKind::Forbidden) => {
                probe.may_share = false;
                probe.notes.push(ProbeNote { level: NoteLevel::Blocker, text: e.message, next: e.next });
                return Ok(probe);
            }
            Err(e) => return Err(e),
        };
        let Some(root) = root else { return Ok(probe) };
        probe.root = Some(FolderId(root.id.clone()));
        probe.may_share = root.permissions.as_ref().and_then(|p| p.can_invite_collaborator) == Some(true);
        notes::root(&mut probe, &root, [self.role_word(FolderRole::Reader), self.role_word(FolderRole::Writer)]);
        self.above_clients(cx, &root, &me, &mut probe).await?;
        Ok(probe)
    }

    async fn find(&self, cx: &ReadCx, key: &FolderKey) -> Result<Option<FolderId>> {
        let Some(root) = self.root(cx).await? else { return Ok(None) };
        Ok(self.find_in(cx, &root.id, &map::mark_of(key)).await?.map(|f| FolderId(f.id)))
    }

    async fn stat(&self, cx: &ReadCx, folder: &FolderId) -> Result<Stat> {
        const OP: &str = "folder.stat";
        let f = match self.folder(cx, OP, folder.as_str()).await {
            Ok(f) => f,
            Err(e) if e.kind == ErrorKind::NotFound && e.get("code") == Some("trashed") => return Ok(Stat::Trashed),
            Err(e) if e.kind == ErrorKind::NotFound => return Ok(Stat::Gone),
            Err(e)
                if e.kind == ErrorKind::Forbidden
                    && e.get("code") == Some("access_denied_insufficient_permissions") =>
            {
                return Ok(Stat::NoAccess);
            }
            Err(e) => return Err(e),
        };
        match f.item_status.as_deref() {
            Some("trashed") => return Ok(Stat::Trashed),
            Some("deleted") => return Ok(Stat::Gone),
            _ => {}
        }
        let me = self.me(cx).await?;
        let inherits = self.inherits(cx, OP, &f, &me.id).await?;
        map::stat(OP, &f, inherits)
    }

    async fn sharing(&self, cx: &ReadCx, folder: &FolderId, at: Cursor) -> Result<Page<SeenPermission>> {
        self.sharing_page(cx, folder.as_str(), at).await
    }

    async fn files(&self, cx: &ReadCx, folder: &FolderId, at: Cursor) -> Result<Page<SeenFile>> {
        self.files_page(cx, folder.as_str(), at).await
    }

    async fn folders(&self, cx: &ReadCx, _at: Cursor) -> Result<Page<SeenFolder>> {
        const OP: &str = "folders.list";
        let Some(root) = self.root(cx).await? else { return Ok(Page::only(Vec::new())) };
        let all = self.children(cx, OP, &root.id).await?;
        let seen = |f: Item| SeenFolder { marker: map::marker(&f), id: FolderId(f.id), name: f.name };
        Ok(Page::only(all.into_iter().filter(|f| f.kind == "folder").map(seen).collect()))
    }

    fn changes_tell_sharing(&self) -> bool {
        true
    }

    async fn changes(&self, cx: &ReadCx, since: Option<ChangeCursor>) -> Result<Changes> {
        const OP: &str = "events.list";
        let Some(since) = since else { return self.changes_from_now(cx, false).await };
        let answer = cx.send(self.api.events(since.as_str())?).await?;
        // A place that Box forgot: whatever happened since is unknown.
        if answer.status == 400 {
            return self.changes_from_now(cx, true).await;
        }
        let list: Events = decode(OP, &answer)?;
        let root = self.root(cx).await?.map(|r| r.id);
        let next = position(OP, &list)?;
        // Box does not say whether a page is the last: an empty one is.
        let more = list.chunk_size > 0 && !list.entries.is_empty();
        // A full page may have more behind it; sweeping is cheaper than following.
        let (mut folders, mut everything) = (BTreeSet::new(), list.chunk_size >= 500);
        for event in list.entries {
            // An event without a thing, or about a user, is about the account itself (a sign-in).
            let Some(source) = event.source.filter(|s| s.kind.as_deref() != Some("user")) else { continue };
            let own = source.id.or(source.item_id);
            let about_people = event.event_type.as_deref().is_some_and(|t| t.starts_with("COLLAB"));
            // The root's own list reaches every folder; and without its path a thing cannot be placed.
            everything |= about_people && own == root || source.path_collection.is_none();
            folders.extend(own.map(FolderId));
            folders.extend(source.parent.map(|p| FolderId(p.id)));
            folders.extend(source.path_collection.into_iter().flat_map(|p| p.entries).map(|e| FolderId(e.id)));
        }
        folders.remove(&FolderId("0".to_owned()));
        folders.retain(|f| Some(&f.0) != root.as_ref());
        Ok(Changes { folders: folders.into_iter().collect(), everything, next, more })
    }

    async fn lacks_root(&self, cx: &ReadCx, _made: Option<&ReservedId>) -> Result<bool> {
        Ok(self.root(cx).await?.is_none())
    }

    async fn create(&self, cx: &WriteCx, key: &FolderKey, name: &str, _: Option<&ReservedId>) -> Result<Created> {
        let root = self.ensure_root(cx).await?;
        // One gate for all: two clients of one name must not meet between the look and the make.
        let gate = self.lane(&root.id);
        let _held = gate.lock().await;
        let mark = map::mark_of(key);
        let found = self.find_in(cx.read(), &root.id, &mark).await?;
        self.neighbours.begin(&mark);
        if let Some(found) = found {
            self.close(cx, &found).await?;
            return Ok(Created::Exists { id: FolderId(found.id), ours: true });
        }
        let spot = self.neighbours.spot(cx.now(), &names::key(name), &names::working_name(&mark));
        let inside = Inside { parent: &root.id, owner: &root.owner("folder.create")?.id, spot };
        Ok(match self.make_folder(cx, inside, &mark, name).await? {
            Made::New(made) => {
                let id = FolderId(made.id.clone());
                self.neighbours.made(cx.now(), &mark, names::key(name), made);
                Created::Created(id)
            }
            Made::Taken(other) if other.is_folder() => Created::Exists { id: FolderId(other.id), ours: false },
            Made::Taken(_) => {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "folder.create",
                    "a file of the client's name lies in the root folder",
                )
                .next("Rename or remove that file in Box."));
            }
        })
    }

    async fn mark(&self, cx: &WriteCx, folder: &FolderId, key: &FolderKey) -> Result<()> {
        const OP: &str = "folder.mark";
        let mark = map::mark_of(key);
        let now = self.live_folder(cx.read(), OP, folder.as_str()).await?;
        match map::marker(&now) {
            Some(m) if m == mark => return Ok(()),
            Some(_) => {
                return Err(Error::new(ErrorKind::Conflict, OP, "the folder carries another client's mark")
                    .next("Choose another folder for this client."));
            }
            None => {}
        }
        self.neighbours.begin(&mark);
        let body = json!({ "description": map::described(OP, now.description.as_deref(), &mark)? });
        let after: Item = decode(OP, &cx.send(self.api.update_folder(OP, folder.as_str(), body)?).await?)?;
        if map::marker(&after).as_deref() == Some(&mark) {
            Ok(())
        } else {
            Err(Error::contract(OP, "Box accepted the folder's mark and does not show it"))
        }
    }

    async fn close_spread(&self, cx: &WriteCx, folder: &FolderId) -> Result<()> {
        let gate = self.lane(folder.as_str());
        let _held = gate.lock().await;
        let f = self.live_folder(cx.read(), "folder.close", folder.as_str()).await?;
        self.close(cx, &f).await
    }

    async fn rename(&self, cx: &WriteCx, folder: &FolderId, name: &str) -> Result<()> {
        const OP: &str = "folder.rename";
        let answer = cx.send(self.api.update_folder(OP, folder.as_str(), json!({ "name": name }))?).await?;
        match refusal::in_the_way(&answer) {
            Some(other) => Err(refused(OP, &answer).with("item", other.id)),
            None => refusal::classify(OP, &answer),
        }
    }

    async fn grant(
        &self,
        cx: &WriteCx,
        folder: &FolderId,
        who: &Email,
        role: FolderRole,
        until: Option<Timestamp>,
    ) -> Result<Granted> {
        let gate = self.lane(folder.as_str());
        let _held = gate.lock().await;
        self.grant_person(cx, folder.as_str(), who, role, until).await
    }

    async fn set_role(
        &self,
        cx: &WriteCx,
        folder: &FolderId,
        permission: &PermissionId,
        role: FolderRole,
    ) -> Result<()> {
        let gate = self.lane(folder.as_str());
        let _held = gate.lock().await;
        self.change_role(cx, folder.as_str(), permission, role).await
    }

    async fn revoke(&self, cx: &WriteCx, folder: &FolderId, permission: &PermissionId) -> Result<Gone> {
        let gate = self.lane(folder.as_str());
        let _held = gate.lock().await;
        self.take_away(cx, folder.as_str(), permission).await
    }

    async fn put(
        &self,
        cx: &WriteCx,
        folder: &Fenced<FolderId>,
        file: &StatementFile,
        expect: Expect,
    ) -> Result<Stored> {
        self.put_file(cx, folder.folder().as_str(), file, expect).await
    }
}

impl BoxTarget {
    async fn changes_from_now(&self, cx: &ReadCx, everything: bool) -> Result<Changes> {
        const OP: &str = "events.list";
        let list: Events = decode(OP, &cx.send(self.api.events("now")?).await?)?;
        Ok(Changes { folders: Vec::new(), everything, next: position(OP, &list)?, more: false })
    }

    /// Who gets into the root, and so into every client's folder.
    async fn above_clients(&self, cx: &ReadCx, root: &Item, me: &Me, probe: &mut Probe) -> Result<()> {
        const OP: &str = "root.sharing";
        let mut folders = vec![root.clone()];
        for id in root.above(OP)? {
            folders.push(self.folder(cx, OP, &id).await?);
        }
        let mut seen = vec![map::seen_owner(root.owner(OP)?, &me.id)];
        for f in &folders {
            seen.extend(f.link(OP)?.map(|kind| map::seen_link(&f.id, kind, Via::Inherited)));
            match self.entries(cx, &f.id).await {
                Ok(list) => seen.extend(list.iter().map(|c| map::seen(c, &me.id, Via::Inherited))),
                Err(e) if e.kind == ErrorKind::Forbidden => {
                    probe.may_share = false;
                    probe.notes.push(ProbeNote { level: NoteLevel::Blocker, text: e.message, next: e.next });
                }
                Err(e) => return Err(e),
            }
        }
        for p in &mut seen {
            p.via = Via::Inherited;
        }
        seen.sort();
        seen.dedup_by_key(|p| p.id.clone());
        probe.inherited = seen;
        notes::inherited(probe);
        Ok(())
    }
}

/// The place to go on from, as a text: as a number it may be larger than a float holds.
fn position(op: &'static str, list: &Events) -> Result<ChangeCursor> {
    match &list.next_stream_position {
        Value::String(text) if !text.is_empty() => Ok(ChangeCursor(text.clone())),
        Value::Number(n) if n.is_u64() => Ok(ChangeCursor(n.to_string())),
        _ => Err(Error::contract(op, "the change feed has no place to go on from")),
    }
}

fn quota(me: &Me) -> Option<Quotas> {
    // Box counts bytes as floats, and "no limit" as a number that no disk has.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of bytes for people to read")]
    let bytes = |n: f64| n.max(0.0) as u64;
    let limit = bytes(me.space_amount?);
    Some(Quotas { used: bytes(me.space_used?), limit: (limit < 900_000_000_000_000).then_some(limit) })
}

/// Box states no numbers that hold for every plan: these are the settings.
fn capacities(settings: &crate::Settings) -> Vec<Capacity> {
    let people = Capacity {
        name: "collaborators_on_folder",
        what: "collaborators on one folder (setting `grants_max`)",
        counts: Counts::HoldersOfFolder,
        firmness: Firmness::Hard,
        limit: settings.grants_max as u64,
        source: "the setting; differs by plan",
        verified: false,
        next: "Let a Box group stand for the people who see every client, or raise the setting if the plan allows more.",
    };
    let file = Capacity {
        name: "file_bytes",
        what: "bytes of one file (setting `file_bytes_max`)",
        counts: Counts::FileBytes,
        limit: settings.file_bytes_max,
        next: "Raise the setting if the plan allows more, or deliver shorter periods.",
        ..people
    };
    vec![people, file]
}
