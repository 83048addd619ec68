//! The storage target: folders, their sharing lists, the change feed.

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
    Drive,
    api::{FOLDER, FOLDER_FIELDS, decode, quoted},
    map::{self, About, File, Ids, Permission, SharedDrive, StartToken},
    notes,
    place::{Feed, Place},
    refusal,
};

#[async_trait]
impl StorageTarget for Drive {
    fn limits(&self) -> TargetLimits {
        TargetLimits {
            sharing: SharingSupport::Mirror,
            folder_ids: true,
            native_expiry: NativeExpiry::Readers,
            case_insensitive: false,
            name_bytes_max: 255,
            path_chars_max: None,
            file_bytes_max: 5 << 40,
            grants_max: 600,
            lanes_parallel: 4,
            puts_together: false,
        }
    }

    fn capacities(&self) -> Vec<Capacity> {
        capacities(self.settings.root.is_some())
    }

    async fn probe(&self, cx: &ReadCx) -> Result<Probe> {
        let about = self.about(cx).await?;
        let me = about.user.permission_id.clone();
        let account = about
            .user
            .email_address
            .clone()
            .ok_or_else(|| Error::contract("about.get", "Google does not say whom it takes us for"))?;
        let mut probe = Probe {
            account: account.clone(),
            root: None,
            may_share: true,
            inherited: Vec::new(),
            quota: quota(&about),
            children: None,
            notes: Vec::new(),
        };
        let place = match self.place(cx).await {
            Ok(place) => place,
            Err(e) if matches!(e.kind, ErrorKind::Config | ErrorKind::Conflict) => {
                probe.may_share = false;
                probe.notes.push(ProbeNote { level: NoteLevel::Blocker, text: e.message, next: e.next });
                return Ok(probe);
            }
            Err(e) => return Err(e),
        };
        notes::account(&mut probe, &account, place.corpus.drive.is_some());
        let Some(root) = place.root else { return Ok(probe) };
        probe.root = Some(FolderId(root.id.clone()));
        probe.may_share = root.may(|c| c.can_share);
        notes::root(&mut probe, &root);
        if let Some(id) = &root.drive_id {
            probe.quota = None;
            let answer = cx.send(self.api.drive(id)?).await?;
            match decode::<SharedDrive>("drives.get", &answer) {
                Ok(drive) => notes::drive(&mut probe, &drive),
                Err(e) if matches!(e.kind, ErrorKind::Forbidden | ErrorKind::NotFound) => probe.notes.push(
                    notes::warn("the shared drive's own rules cannot be read", "Sign in with the scope \"drive\"."),
                ),
                Err(e) => return Err(e),
            }
        }
        match self.own_entries(cx, &root.id).await {
            Ok(list) => {
                let mut seen: Vec<_> = list.iter().flat_map(|p| map::seen(p, me.as_deref())).collect();
                // To a client's folder all of these come from above; one way in is enough to know.
                for p in &mut seen {
                    p.via = Via::Inherited;
                }
                seen.sort();
                seen.dedup_by_key(|p| p.id.clone());
                probe.inherited = seen;
                notes::inherited(&mut probe, root.drive_id.is_some());
            }
            Err(e) if e.kind == ErrorKind::Forbidden => {
                probe.may_share = false;
                probe.notes.push(ProbeNote { level: NoteLevel::Blocker, text: e.message, next: e.next });
            }
            Err(e) => return Err(e),
        }
        Ok(probe)
    }

    async fn find(&self, cx: &ReadCx, key: &FolderKey) -> Result<Option<FolderId>> {
        let place = self.place(cx).await?;
        Ok(self.find_in(cx, &place.corpus, key).await?.map(|f| FolderId(f.id)))
    }

    async fn stat(&self, cx: &ReadCx, folder: &FolderId) -> Result<Stat> {
        match self.folder(cx, "folder.stat", folder.as_str()).await {
            Ok(f) => Ok(map::stat(&f)),
            Err(e) if e.kind == ErrorKind::NotFound => Ok(Stat::Gone),
            Err(e)
                if e.kind == ErrorKind::Forbidden
                    && matches!(e.get("reason"), Some("insufficientFilePermissions" | "appNotAuthorizedToFile")) =>
            {
                Ok(Stat::NoAccess)
            }
            Err(e) => Err(e),
        }
    }

    async fn sharing(&self, cx: &ReadCx, folder: &FolderId, at: Cursor) -> Result<Page<SeenPermission>> {
        self.sharing_page(cx, folder.as_str(), at).await
    }

    async fn files(&self, cx: &ReadCx, folder: &FolderId, at: Cursor) -> Result<Page<SeenFile>> {
        self.files_page(cx, folder.as_str(), at).await
    }

    async fn folders(&self, cx: &ReadCx, _at: Cursor) -> Result<Page<SeenFolder>> {
        let Place { root, corpus } = self.place(cx).await?;
        let Some(root) = root else { return Ok(Page::only(Vec::new())) };
        let q = format!("{} in parents and mimeType='{FOLDER}' and trashed=false", quoted(&root.id));
        let found = self.search(cx, "folders.list", &corpus, &q, FOLDER_FIELDS).await?;
        let seen = |f: File| SeenFolder { marker: map::marker(&f), id: FolderId(f.id), name: f.name };
        Ok(Page::only(found.into_iter().map(seen).collect()))
    }

    fn changes_tell_sharing(&self) -> bool {
        true
    }

    async fn changes(&self, cx: &ReadCx, since: Option<ChangeCursor>) -> Result<Changes> {
        let Place { root, corpus } = self.place(cx).await?;
        let since = since.as_ref().map(Feed::parse);
        let lay = since.as_ref().and_then(|s| s.above.as_deref());
        let mut above = self.above(cx, root.as_ref(), lay).await?;
        let moved = lay.is_none_or(|lay| lay != above.as_slice());
        let lost = since.is_some();
        if let Some(since) = since
            && let Some(mut changes) = self.changes_page(cx, &corpus, &since.token, &above).await?
        {
            if changes.everything && !moved {
                above = self.above(cx, root.as_ref(), None).await?;
            }
            changes.everything |= moved;
            changes.next = Feed::cursor(changes.next.as_str(), &above);
            return Ok(changes);
        }
        let start: StartToken = decode("changes.start", &cx.send(self.api.start_token(&corpus)?).await?)?;
        let next = Feed::cursor(&start.start_page_token, &above);
        Ok(Changes { folders: Vec::new(), everything: lost, next, more: false })
    }

    async fn lacks_root(&self, cx: &ReadCx, made: Option<&ReservedId>) -> Result<bool> {
        Ok(self.settings.root.is_none() && !self.has_root(cx, made.map(ReservedId::as_str)).await?)
    }

    async fn make_root(&self, cx: &WriteCx, id: &ReservedId) -> Result<FolderId> {
        Ok(FolderId(self.root_under(cx, id.as_str()).await?))
    }

    async fn reserve(&self, cx: &ReadCx, count: usize) -> Result<Vec<ReservedId>> {
        let mut ids = Vec::with_capacity(count);
        while ids.len() < count {
            let want = (count - ids.len()).min(1_000);
            let got: Ids = decode("ids.generate", &cx.send(self.api.ids(want)?).await?)?;
            if got.ids.is_empty() {
                return Err(Error::contract("ids.generate", "Google gave no ids"));
            }
            ids.extend(got.ids.into_iter().take(want).map(ReservedId));
        }
        Ok(ids)
    }

    async fn create(
        &self,
        cx: &WriteCx,
        key: &FolderKey,
        name: &str,
        reserved: Option<&ReservedId>,
    ) -> Result<Created> {
        const OP: &str = "folder.create";
        let marks = map::folder_marks(OP, key)?;
        let (root, corpus) = self.ensure_root(cx).await?;
        let what = format!("client {key}");
        let gate = self.lane(&what);
        let _held = gate.lock().await;
        if let Some(found) = self.find_in(cx.read(), &corpus, key).await? {
            self.close(cx, &found).await?;
            return Ok(Created::Exists { id: FolderId(found.id), ours: true });
        }
        let id = match reserved {
            Some(id) => id.0.clone(),
            None => match self.known_id(&what) {
                Some(id) => id,
                None => self.new_id(cx.read()).await?,
            },
        };
        self.remember_id(&what, &id);
        let mut more = json!({ "appProperties": marks });
        corpus.keep_from_spreading(&mut more);
        let answer = cx.send(self.api.create_folder(&id, name, Some(&root), more)?).await?;
        if answer.status == 409 {
            let there = self.folder(cx.read(), OP, &id).await.inspect_err(|e| {
                if e.kind == ErrorKind::NotFound {
                    self.forget_id(&what);
                }
            })?;
            let ours = map::marker(&there).as_deref() == Some(&key.to_string());
            if there.trashed {
                self.forget_id(&what);
                return Err(Error::new(ErrorKind::Conflict, OP, "the client's folder is in the trash")
                    .next("Restore it, or delete it for good and run again."));
            }
            if ours {
                self.close(cx, &there).await?;
            }
            return Ok(Created::Exists { id: FolderId(id), ours });
        }
        let made: File = decode(OP, &answer)?;
        self.close(cx, &made).await?;
        Ok(Created::Created(FolderId(made.id)))
    }

    async fn mark(&self, cx: &WriteCx, folder: &FolderId, key: &FolderKey) -> Result<()> {
        const OP: &str = "folder.mark";
        let mut marks = map::folder_marks(OP, key)?;
        let now = self.folder(cx.read(), OP, folder.as_str()).await?;
        match map::marker(&now) {
            Some(m) if m == key.to_string() => return Ok(()),
            Some(_) => {
                return Err(Error::new(ErrorKind::Conflict, OP, "the folder carries another client's mark")
                    .next("Choose another folder for this client."));
            }
            None => {}
        }
        if let (None, Some(map)) = (&key.account, marks.as_object_mut()) {
            map.insert("lw_account".to_owned(), Value::Null);
        }
        let body = json!({ "appProperties": marks });
        let after: File = decode(OP, &cx.send(self.api.update(OP, folder.as_str(), body)?).await?)?;
        if map::marker(&after).as_deref() == Some(&key.to_string()) {
            Ok(())
        } else {
            Err(Error::contract(OP, "Google accepted the folder's mark and does not show it"))
        }
    }

    async fn close_spread(&self, cx: &WriteCx, folder: &FolderId) -> Result<()> {
        let gate = self.lane(folder.as_str());
        let _held = gate.lock().await;
        let f = self.folder(cx.read(), "folder.close", folder.as_str()).await?;
        self.close(cx, &f).await?;
        for p in self.own_entries(cx.read(), folder.as_str()).await? {
            if matches!(p.kind.as_str(), "anyone" | "domain") && p.is_direct() {
                let answer = cx.send(self.api.revoke(folder.as_str(), &p.id)?).await?;
                if answer.status != 404 {
                    refusal::classify("link.close", &answer)?;
                }
            }
        }
        Ok(())
    }

    async fn rename(&self, cx: &WriteCx, folder: &FolderId, name: &str) -> Result<()> {
        let body = json!({ "name": name });
        refusal::classify("folder.rename", &cx.send(self.api.update("folder.rename", folder.as_str(), body)?).await?)
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
        self.let_in(cx, folder.as_str(), who, role, until).await
    }

    async fn set_role(
        &self,
        cx: &WriteCx,
        folder: &FolderId,
        permission: &PermissionId,
        role: FolderRole,
    ) -> Result<()> {
        const OP: &str = "permission.update";
        let gate = self.lane(folder.as_str());
        let _held = gate.lock().await;
        let now: Permission = decode(OP, &cx.send(self.api.permission(folder.as_str(), permission.as_str())?).await?)?;
        untouchable(OP, &now)?;
        let word = map::role_word(role);
        if now.role == word && !now.is_inherited() {
            return Ok(());
        }
        let endless = role != FolderRole::Reader && now.expiration_time.is_some();
        let request = self.api.set_role(folder.as_str(), permission.as_str(), word, endless)?;
        let after: Permission = decode(OP, &cx.send(request).await?)?;
        if after.role == word || now.is_inherited() {
            Ok(())
        } else {
            Err(Error::contract(OP, "Google accepted the role and shows another"))
        }
    }

    async fn revoke(&self, cx: &WriteCx, folder: &FolderId, permission: &PermissionId) -> Result<Gone> {
        const OP: &str = "permission.delete";
        let (folder, permission) = (folder.as_str(), permission.as_str());
        let gate = self.lane(folder);
        let _held = gate.lock().await;
        let answer = cx.read().send(self.api.permission(folder, permission)?).await?;
        if answer.status == 404 {
            // 404 has two causes. Only with the folder in view does it mean that the person is gone.
            self.folder(cx.read(), OP, folder).await?;
            return Ok(Gone::Already);
        }
        let now: Permission = decode(OP, &answer)?;
        untouchable(OP, &now)?;
        let answer = cx.send(self.api.revoke(folder, permission)?).await?;
        if answer.status == 404 {
            self.folder(cx.read(), OP, folder).await?;
        } else {
            refusal::classify(OP, &answer)?;
        }
        if now.is_inherited() && self.still_enters(cx.read(), folder, permission).await? {
            return Ok(Gone::StillVia(Via::Inherited));
        }
        Ok(if answer.status == 404 { Gone::Already } else { Gone::Done })
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

/// Owners are never touched; what comes from above cannot be.
fn untouchable(op: &'static str, p: &Permission) -> Result<()> {
    if p.role == "owner" {
        return Err(Error::new(ErrorKind::Forbidden, op, "this is the folder's owner, whose access is never changed"));
    }
    if !p.is_direct() {
        return Err(Error::new(
            ErrorKind::Forbidden,
            op,
            "this access comes from the shared drive or a folder above and cannot be changed here",
        )
        .next("Remove the person there, or limit the folder's access."));
    }
    Ok(())
}

fn quota(about: &About) -> Option<Quotas> {
    let q = about.storage_quota.as_ref()?;
    Some(Quotas { used: q.usage.as_ref()?.parse().ok()?, limit: q.limit.as_ref().and_then(|l| l.parse().ok()) })
}

/// What Google says that a Drive takes. A root that is given may be in a shared drive, which takes fewer things.
fn capacities(root_given: bool) -> Vec<Capacity> {
    const GUIDE: &str = "Google Drive API, folder limits";
    let full = Capacity {
        name: "children_of_root",
        what: "things directly in one folder",
        counts: Counts::Folders,
        firmness: Firmness::Hard,
        limit: 500_000,
        source: GUIDE,
        verified: true,
        next: "Make a second target with another root, and put new clients there.",
    };
    let items = Capacity {
        name: "items_of_drive",
        what: "things in one shared drive, its trash included",
        counts: Counts::Items,
        source: "Google Workspace, shared drive limits",
        next: "Make a second target in another shared drive, and put new clients there.",
        ..full
    };
    let people = Capacity {
        name: "grants_on_folder",
        what: "people on one folder",
        counts: Counts::HoldersOfFolder,
        limit: 600,
        source: "reports of other clients, for My Drive",
        verified: false,
        next: "Let a Google group that the firm keeps stand for the people who see every client.",
        ..full
    };
    let file = Capacity {
        name: "file_bytes",
        what: "bytes of one file",
        counts: Counts::FileBytes,
        limit: 5 << 40,
        source: "Google Drive, file sizes",
        next: "Deliver shorter periods.",
        ..full
    };
    [full].into_iter().chain(root_given.then_some(items)).chain([people, file]).collect()
}
