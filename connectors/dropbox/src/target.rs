//! The storage target: folders, their member lists, the change feed.

use async_trait::async_trait;
use ledgerward_contract::{
    Capacity, ChangeCursor, Changes, Counts, Created, Cursor, Email, Error, ErrorKind, Expect, Fenced, Firmness,
    FolderId, FolderKey, FolderRole, Gone, Granted, Job, JobId, NativeExpiry, NoteLevel, Page, PermissionId, Probe,
    ProbeNote, Quotas, ReadCx, ReservedId, Result, SeenFile, SeenFolder, SeenPermission, SharingSupport, Stat,
    StatementFile, StorageTarget, Stored, TargetLimits, Timestamp, Via, WriteCx,
};

use crate::{
    Dropbox,
    account::Me,
    api::decode,
    map::{Entry, Folder, Made, Space},
    notes,
};

#[async_trait]
impl StorageTarget for Dropbox {
    fn limits(&self) -> TargetLimits {
        TargetLimits {
            sharing: SharingSupport::Mirror,
            folder_ids: true,
            native_expiry: NativeExpiry::None,
            case_insensitive: true,
            name_bytes_max: 255,
            path_chars_max: Some(260),
            file_bytes_max: 2_199_019_061_248,
            // A restricted folder in a team folder takes fewer.
            grants_max: if self.settings.team_space { 250 } else { 1_000 },
            // Writes go one after another in any case; this is for the reads around them.
            lanes_parallel: 3,
            puts_together: false,
        }
    }

    fn capacities(&self) -> Vec<Capacity> {
        capacities(self.settings.team_space)
    }

    async fn probe(&self, cx: &ReadCx) -> Result<Probe> {
        self.forget_me();
        let me = self.me(cx).await?;
        let mut probe = Probe {
            account: me.account.email.clone(),
            root: None,
            may_share: true,
            inherited: Vec::new(),
            quota: Some(quota(&decode("space.get", &self.ask(cx, self.api.space()?).await?)?)),
            children: None,
            notes: Vec::new(),
        };
        notes::account(&mut probe, &me.account);
        notes::quota(&mut probe);
        let answer = self.ask(cx, self.api.shared_folders()?).await?;
        if let Err(e) = decode::<serde_json::Map<String, serde_json::Value>>("folders.list", &answer) {
            // Reading is possible and sharing is not: an app folder, or a missing permission.
            if !matches!(e.kind, ErrorKind::Config | ErrorKind::Forbidden) {
                return Err(e);
            }
            blocked(&mut probe, e);
            return Ok(probe);
        }
        match self.probe_root(cx, &me, &mut probe).await {
            Err(e) if matches!(e.kind, ErrorKind::Config | ErrorKind::Forbidden) => blocked(&mut probe, e),
            other => other?,
        }
        Ok(probe)
    }

    async fn find(&self, cx: &ReadCx, key: &FolderKey) -> Result<Option<FolderId>> {
        Ok(self.find_folder(cx, "folder.find", key).await?.map(FolderId))
    }

    async fn stat(&self, cx: &ReadCx, folder: &FolderId) -> Result<Stat> {
        const OP: &str = "folder.stat";
        if folder.as_str().starts_with("id:") {
            return self.stat_unshared(cx, folder).await;
        }
        let f = match self.folder(cx, OP, folder.as_str()).await {
            Ok(f) => f,
            Err(e) => {
                return match e.get("reason") {
                    Some("invalid_id") => Ok(Stat::Gone),
                    Some("not_a_member" | "invalid_member") => Ok(Stat::NoAccess),
                    Some("unmounted") => Ok(Stat::Trashed),
                    _ => Err(e),
                };
            }
        };
        let Some(path) = f.path_lower.clone() else { return Ok(Stat::Trashed) };
        let me = self.me(cx).await?;
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        let parent = match above {
            "" => None,
            above => self.look(cx, OP, above).await?.and_then(|e| e.id).map(FolderId),
        };
        Ok(Stat::Present {
            name: f.name.clone(),
            parent,
            owner: owner(&f, &me),
            marker: self.read_marker(cx, folder.as_str()).await?,
            inherits: f.inherits(),
            writers_can_share: Some(f.writers_can_share()),
        })
    }

    async fn sharing(&self, cx: &ReadCx, folder: &FolderId, at: Cursor) -> Result<Page<SeenPermission>> {
        self.sharing_page(cx, folder.as_str(), at).await
    }

    async fn files(&self, cx: &ReadCx, folder: &FolderId, at: Cursor) -> Result<Page<SeenFile>> {
        self.files_page(cx, folder.as_str(), at).await
    }

    /// Folders that are not shared yet are listed under an id that [`StorageTarget::mark`] refuses with what to do.
    async fn folders(&self, cx: &ReadCx, _at: Cursor) -> Result<Page<SeenFolder>> {
        const OP: &str = "folders.list";
        let me = self.me(cx).await?;
        let mut all = Vec::new();
        for e in self.children(cx, OP, &me.root).await?.unwrap_or_default() {
            if !e.is("folder") || e.name.starts_with(crate::place::MAKING) {
                continue;
            }
            let marker = match e.shared_id() {
                Some(id) => self.read_marker(cx, id).await?,
                None => None,
            };
            all.push(SeenFolder { id: crate::place::id_of(&e), marker, name: e.name });
        }
        Ok(Page::only(all))
    }

    async fn changes(&self, cx: &ReadCx, since: Option<ChangeCursor>) -> Result<Changes> {
        self.changes_page(cx, since).await
    }

    async fn lacks_root(&self, cx: &ReadCx, _made: Option<&ReservedId>) -> Result<bool> {
        let me = self.me(cx).await?;
        Ok(self.root(cx, &me).await?.is_none())
    }

    async fn create(&self, cx: &WriteCx, key: &FolderKey, name: &str, _: Option<&ReservedId>) -> Result<Created> {
        self.make(cx, key, name).await
    }

    async fn mark(&self, cx: &WriteCx, folder: &FolderId, key: &FolderKey) -> Result<()> {
        const OP: &str = "folder.mark";
        if folder.as_str().starts_with("id:") {
            return Err(Error::new(
                ErrorKind::Unsupported,
                OP,
                "the folder is not shared, and ledgerward knows folders by the id they get when shared",
            )
            .next("Share the folder once in Dropbox (with anybody of the plan), then choose it again."));
        }
        self.folder(cx.read(), OP, folder.as_str()).await?;
        self.mark_folder(cx, OP, folder.as_str(), key).await
    }

    async fn close_spread(&self, cx: &WriteCx, folder: &FolderId) -> Result<()> {
        self.close(cx, folder.as_str()).await?;
        self.cut_links(cx, folder.as_str(), None).await.map(drop)
    }

    async fn rename(&self, cx: &WriteCx, folder: &FolderId, name: &str) -> Result<()> {
        const OP: &str = "folder.rename";
        let f = self.folder(cx.read(), OP, folder.as_str()).await?;
        if f.name == name {
            return Ok(());
        }
        if name.is_empty() || name.contains(['/', '\\']) {
            return Err(Error::new(ErrorKind::Unsupported, OP, "Dropbox does not take this name for a folder"));
        }
        let Some(path) = f.path_lower else {
            return Err(Error::new(ErrorKind::NotFound, OP, "the account took the folder out of its Dropbox")
                .next("Add it again under Sharing in Dropbox."));
        };
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        if f.name.to_lowercase() == name.to_lowercase() {
            // Dropbox takes a rename of letter case alone for no rename.
            let between = format!("{above}/{}{}", crate::place::MAKING, folder.as_str());
            let answer = self.tell(cx, self.api.move_folder(OP, &path, &between)?).await?;
            decode::<Made>(OP, &answer)?;
            let answer = self.tell(cx, self.api.move_folder(OP, &between, &format!("{above}/{name}"))?).await?;
            return decode::<Made>(OP, &answer).map(drop);
        }
        let answer = self.tell(cx, self.api.move_folder(OP, &path, &format!("{above}/{name}"))?).await?;
        decode::<Made>(OP, &answer).map(drop)
    }

    async fn grant(
        &self,
        cx: &WriteCx,
        folder: &FolderId,
        who: &Email,
        role: FolderRole,
        until: Option<Timestamp>,
    ) -> Result<Granted> {
        if until.is_some() {
            return Err(Error::new(ErrorKind::Unsupported, "member.add", "Dropbox does not end access by itself")
                .next("Give access without an end; ledgerward takes it away when the time comes."));
        }
        self.let_in(cx, folder.as_str(), who, role).await
    }

    async fn set_role(
        &self,
        cx: &WriteCx,
        folder: &FolderId,
        permission: &PermissionId,
        role: FolderRole,
    ) -> Result<()> {
        self.change(cx, folder.as_str(), permission, role).await
    }

    async fn revoke(&self, cx: &WriteCx, folder: &FolderId, permission: &PermissionId) -> Result<Gone> {
        self.put_out(cx, folder.as_str(), permission).await
    }

    async fn poll(&self, cx: &ReadCx, job: &JobId) -> Result<Job> {
        self.job(cx, job).await
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

impl Dropbox {
    async fn probe_root(&self, cx: &ReadCx, me: &Me, probe: &mut Probe) -> Result<()> {
        let Some(root) = self.root(cx, me).await? else {
            if self.settings.team_space {
                probe.notes.push(notes::block(
                    "the root folder does not exist",
                    "Make it inside a team folder, and make ledgerward's account an editor there.",
                ));
            } else {
                self.check_above(cx, "root.get", me).await?;
            }
            return Ok(());
        };
        self.check_root(me, &root)?;
        probe.root = root.id.clone().map(FolderId);
        if let Some(above) = root.shared_id().or(root.inside()).filter(|_| self.settings.team_space) {
            let folder = self.folder(cx, "root.get", above).await?;
            notes::team_folder(probe, &folder);
            let mut seen = self.everybody(cx, above).await?;
            for p in &mut seen {
                p.via = Via::Inherited;
            }
            probe.inherited = seen;
        }
        notes::inherited(probe);
        Ok(())
    }

    /// A folder that is not shared: never one of ours, but one that may be in the way.
    async fn stat_unshared(&self, cx: &ReadCx, folder: &FolderId) -> Result<Stat> {
        const OP: &str = "folder.stat";
        let entry: Option<Entry> = self.look(cx, OP, folder.as_str()).await?;
        let Some(e) = entry.filter(|e| e.is("folder")) else { return Ok(Stat::Gone) };
        let info = e.sharing_info.clone().unwrap_or_default();
        Ok(Stat::Present {
            name: e.name,
            parent: None,
            owner: None,
            marker: None,
            inherits: info.parent_shared_folder_id.is_some(),
            writers_can_share: None,
        })
    }
}

fn blocked(probe: &mut Probe, e: Error) {
    probe.may_share = false;
    let text = match e.get("permission") {
        Some(permission) => format!("{} ({permission})", e.message),
        None => e.message,
    };
    probe.notes.push(ProbeNote { level: NoteLevel::Blocker, text, next: e.next });
}

/// Whose folder it is, in a text that does not change while it is.
fn owner(f: &Folder, me: &Me) -> Option<String> {
    if f.access_type.0 == "owner" {
        return Some(me.account.account_id.clone());
    }
    f.owner_team.as_ref().map(|t| format!("team {}", t.id)).or_else(|| Some("another account".to_owned()))
}

fn quota(space: &Space) -> Quotas {
    Quotas { used: space.allocation.used.unwrap_or(space.used), limit: space.allocation.allocated }
}

/// What Dropbox says that an account takes (help pages of October 2023).
fn capacities(team_space: bool) -> Vec<Capacity> {
    let accounts = Capacity {
        name: "shared_folders",
        what: "shared folders in one account",
        counts: Counts::Folders,
        firmness: Firmness::Hard,
        limit: 30_000,
        source: "Dropbox help, sharing limits",
        verified: true,
        next: "Make a second target with another account, and put new clients there.",
    };
    let children = Capacity {
        name: "shared_in_folder",
        what: "shared folders in one folder",
        limit: 1_500,
        next: "Make a second target with another root folder, and put new clients there.",
        ..accounts
    };
    let people = Capacity {
        name: "members_of_folder",
        what: if team_space { "members of a restricted folder" } else { "members of one shared folder" },
        counts: Counts::HoldersOfFolder,
        limit: if team_space { 250 } else { 1_000 },
        next: "Let a group of the team stand for the people who see every client.",
        ..accounts
    };
    let file = Capacity {
        name: "file_bytes",
        what: "bytes of one file",
        counts: Counts::FileBytes,
        limit: 2_199_019_061_248,
        source: "Dropbox API, upload sessions",
        next: "Deliver shorter periods.",
        ..accounts
    };
    vec![children, accounts, people, file]
}
