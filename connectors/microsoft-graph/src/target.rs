//! The storage target: folders, their sharing lists, the change feed.

use async_trait::async_trait;
use ledgerward_contract::{
    Capacity, ChangeCursor, Changes, Counts, Created, Cursor, Email, Error, ErrorKind, Expect, Fenced, Firmness,
    FolderId, FolderKey, FolderRole, Gone, Granted, NativeExpiry, NoteLevel, Page, PermissionId, Probe, ProbeNote,
    Quotas, ReadCx, ReservedId, Result, SeenFile, SeenFolder, SeenPermission, SharingSupport, Stat, StatementFile,
    StorageTarget, Stored, TargetLimits, Timestamp, Via, WriteCx,
};

use crate::{
    GraphTarget,
    map::{self, Place},
    names, notes,
    place::Made,
    refusal,
};

#[async_trait]
impl StorageTarget for GraphTarget {
    fn limits(&self) -> TargetLimits {
        TargetLimits {
            sharing: SharingSupport::Mirror,
            folder_ids: true,
            native_expiry: NativeExpiry::None,
            case_insensitive: true,
            name_bytes_max: 255,
            path_chars_max: Some(400),
            file_bytes_max: self.settings.file_bytes_max,
            grants_max: self.settings.grants_max,
            lanes_parallel: 2,
            puts_together: false,
        }
    }

    fn capacities(&self) -> Vec<Capacity> {
        capacities(&self.settings)
    }

    async fn probe(&self, cx: &ReadCx) -> Result<Probe> {
        let me = self.me(cx).await?;
        let mut probe = Probe {
            account: account(self.settings.app_only, &me),
            root: None,
            may_share: true,
            inherited: Vec::new(),
            quota: None,
            children: None,
            notes: Vec::new(),
        };
        if let Err(e) = self.look_around(cx, &me, &mut probe).await {
            if !matches!(e.kind, ErrorKind::Config | ErrorKind::Conflict | ErrorKind::Forbidden) {
                return Err(e);
            }
            probe.may_share = false;
            probe.notes.push(ProbeNote { level: NoteLevel::Blocker, text: e.message, next: e.next });
        }
        Ok(probe)
    }

    async fn find(&self, cx: &ReadCx, key: &FolderKey) -> Result<Option<FolderId>> {
        let Some((root, _)) = self.root(cx).await? else { return Ok(None) };
        Ok(self.find_in(cx, &root, &map::mark_of(key)).await?.map(|f| f.place(&root.drive).folder()))
    }

    async fn stat(&self, cx: &ReadCx, folder: &FolderId) -> Result<Stat> {
        const OP: &str = "folder.stat";
        let at = Place::parse(OP, folder.as_str())?;
        let item = match self.item(cx, OP, &at).await {
            Ok(item) if item.is_away() => return Ok(Stat::Trashed),
            Ok(item) => item,
            // Graph shows nothing of the recycle bin, so what is in it is gone.
            Err(e) if e.kind == ErrorKind::NotFound => return Ok(Stat::Gone),
            Err(e) if e.kind == ErrorKind::Forbidden => return Ok(Stat::NoAccess),
            Err(e) => return Err(e),
        };
        let me = self.me(cx).await?;
        let lists = self.lists(cx, OP, &at).await?;
        let seen = |p| map::on_folder(p, &me, &lists.above);
        let others = |s: &SeenPermission| {
            s.via == Via::Inherited && !s.ourselves && s.role != ledgerward_contract::SeenRole::MetadataOnly
        };
        let owner = lists.own.iter().flat_map(seen).find(|s| s.role == ledgerward_contract::SeenRole::Owner);
        let marks = self.marks_of(cx, &at).await?;
        Ok(Stat::Present {
            name: names::decode(&item.name),
            parent: item.parent(&at.drive).map(|p| p.folder()),
            owner: owner.map(|o| o.holder.to_string()),
            // More than one mark is none that anybody can go by.
            marker: (!marks.is_empty()).then(|| marks.join(", ")),
            inherits: lists.own.iter().flat_map(seen).any(|s| others(&s)),
            // A setting of the site, which the API neither shows nor changes.
            writers_can_share: None,
        })
    }

    async fn sharing(&self, cx: &ReadCx, folder: &FolderId, at: Cursor) -> Result<Page<SeenPermission>> {
        self.sharing_page(cx, &Place::parse("sharing.list", folder.as_str())?, at).await
    }

    async fn files(&self, cx: &ReadCx, folder: &FolderId, at: Cursor) -> Result<Page<SeenFile>> {
        self.files_page(cx, &Place::parse("files.list", folder.as_str())?, at).await
    }

    async fn folders(&self, cx: &ReadCx, _at: Cursor) -> Result<Page<SeenFolder>> {
        const OP: &str = "folders.list";
        let Some((root, _)) = self.root(cx).await? else { return Ok(Page::only(Vec::new())) };
        let mut there = self.children(cx, OP, &root).await?;
        there.retain(|i| !i.is_away() && !i.name.starts_with(names::WORKING));
        let seen = |(item, place, marks): (map::Item, Place, Vec<String>)| SeenFolder {
            id: place.folder(),
            name: names::decode(&item.name),
            marker: (!marks.is_empty()).then(|| marks.join(", ")),
        };
        Ok(Page::only(self.with_marks(cx, &root.drive, there).await?.into_iter().map(seen).collect()))
    }

    async fn changes(&self, cx: &ReadCx, since: Option<ChangeCursor>) -> Result<Changes> {
        self.changes_since(cx, since).await
    }

    async fn lacks_root(&self, cx: &ReadCx, _made: Option<&ReservedId>) -> Result<bool> {
        Ok(self.root(cx).await?.is_none())
    }

    async fn create(&self, cx: &WriteCx, key: &FolderKey, name: &str, _: Option<&ReservedId>) -> Result<Created> {
        let root = self.ensure_root(cx).await?;
        // One gate for all: two clients of one name must not meet between the look and the make.
        let gate = self.lane(&root.item);
        let _held = gate.lock().await;
        let mark = map::mark_of(key);
        let (working, wanted) = (names::working_name(&mark), names::key(&names::encode(name)));
        let found = self.find_in(cx.read(), &root, &mark).await?;
        self.neighbours.begin(&mark);
        let spot = self.neighbours.spot(cx.now(), &wanted, &working);
        if let Some(found) = found {
            let id = found.place(&root.drive);
            // An earlier attempt may have ended before the folder got its name.
            if names::same_name(&found.name, &working) {
                return self.finish(cx, &root, spot.taken, &id, name).await;
            }
            return Ok(Created::Exists { id: id.folder(), ours: true });
        }
        let made = self.make_folder(cx, &root, spot, &mark, name).await?;
        Ok(match made {
            Made::New(made) => {
                let place = made.place(&root.drive);
                self.neighbours.made(cx.now(), &mark, wanted, made);
                Created::Created(place.folder())
            }
            Made::Taken(other) if other.is_folder() => {
                Created::Exists { id: other.place(&root.drive).folder(), ours: false }
            }
            Made::Taken(_) => return Err(file_in_the_way()),
        })
    }

    async fn mark(&self, cx: &WriteCx, folder: &FolderId, key: &FolderKey) -> Result<()> {
        const OP: &str = "folder.mark";
        let (at, mark) = (Place::parse(OP, folder.as_str())?, map::mark_of(key));
        self.live_folder(cx.read(), OP, &at).await?;
        let marks = self.marks_of(cx.read(), &at).await?;
        if marks == [mark.clone()] {
            return Ok(());
        }
        if !marks.is_empty() {
            return Err(Error::new(ErrorKind::Conflict, OP, "the folder carries another client's mark")
                .next("Choose another folder for this client."));
        }
        self.neighbours.begin(&mark);
        self.write_mark(cx, &at, &mark).await?;
        if self.marks_of(cx.read(), &at).await? == [mark] {
            Ok(())
        } else {
            Err(Error::contract(OP, "Microsoft accepted the folder's mark and does not show it"))
        }
    }

    async fn close_spread(&self, cx: &WriteCx, folder: &FolderId) -> Result<()> {
        let at = Place::parse("folder.close", folder.as_str())?;
        let gate = self.lane(folder.as_str());
        let _held = gate.lock().await;
        self.close(cx, &at).await
    }

    async fn rename(&self, cx: &WriteCx, folder: &FolderId, name: &str) -> Result<()> {
        const OP: &str = "folder.rename";
        let at = Place::parse(OP, folder.as_str())?;
        refusal::classify(OP, &cx.send(self.api.rename(OP, &at, &names::encode(name))?).await?)
    }

    async fn grant(
        &self,
        cx: &WriteCx,
        folder: &FolderId,
        who: &Email,
        role: FolderRole,
        until: Option<Timestamp>,
    ) -> Result<Granted> {
        let at = Place::parse("permission.create", folder.as_str())?;
        let gate = self.lane(folder.as_str());
        let _held = gate.lock().await;
        self.grant_person(cx, &at, who, role, until).await
    }

    async fn set_role(
        &self,
        cx: &WriteCx,
        folder: &FolderId,
        permission: &PermissionId,
        role: FolderRole,
    ) -> Result<()> {
        let at = Place::parse("permission.update", folder.as_str())?;
        let gate = self.lane(folder.as_str());
        let _held = gate.lock().await;
        self.change_role(cx, &at, permission, role).await
    }

    async fn revoke(&self, cx: &WriteCx, folder: &FolderId, permission: &PermissionId) -> Result<Gone> {
        let at = Place::parse("permission.delete", folder.as_str())?;
        let gate = self.lane(folder.as_str());
        let _held = gate.lock().await;
        self.take_away(cx, &at, permission).await
    }

    async fn put(
        &self,
        cx: &WriteCx,
        folder: &Fenced<FolderId>,
        file: &StatementFile,
        expect: Expect,
    ) -> Result<Stored> {
        self.put_file(cx, &Place::parse("file.put", folder.folder().as_str())?, file, expect).await
    }
}

impl GraphTarget {
    /// Gives a folder that was made and marked before its own name.
    async fn finish(
        &self,
        cx: &WriteCx,
        root: &Place,
        taken: Option<map::Item>,
        at: &Place,
        name: &str,
    ) -> Result<Created> {
        const OP: &str = "folder.name";
        let name = names::encode(name);
        let taken = match taken {
            Some(taken) => taken,
            None => {
                let answer = cx.send(self.api.rename(OP, at, &name)?).await?;
                if !refusal::name_taken(&answer) {
                    refusal::classify(OP, &answer)?;
                    return Ok(Created::Exists { id: at.folder(), ours: true });
                }
                self.named(cx.read(), OP, root, &name).await?
            }
        };
        if taken.is_folder() {
            return Ok(Created::Exists { id: taken.place(&root.drive).folder(), ours: false });
        }
        Err(file_in_the_way())
    }

    /// The drive, the root, and who gets in from above.
    async fn look_around(&self, cx: &ReadCx, me: &map::Me, probe: &mut Probe) -> Result<()> {
        let drive = self.drive(cx).await?;
        probe.quota =
            drive.quota.as_ref().and_then(|q| Some(Quotas { used: q.used?, limit: q.total.filter(|t| *t > 0) }));
        notes::drive(probe, &drive, me);
        let Some((place, root)) = self.root(cx).await? else { return Ok(()) };
        probe.root = Some(place.folder());
        let list = self.entries(cx, "root.sharing", &place).await?;
        probe.inherited = list.iter().flat_map(|p| map::seen(p, me, &Via::Inherited)).collect();
        probe.may_share = list.iter().flat_map(|p| map::seen(p, me, &Via::Inherited)).any(|s| s.ourselves)
            || drive.drive_type == "documentLibrary";
        probe.children = root.folder.as_ref().and_then(|f| f.child_count);
        notes::scopes(probe, &root);
        notes::inherited(probe, &list.iter().flat_map(map::guests).collect::<Vec<_>>());
        Ok(())
    }
}

fn file_in_the_way() -> Error {
    Error::new(ErrorKind::Conflict, "folder.create", "a file of the client's name lies in the root folder")
        .next("Rename or remove that file.")
}

/// Whom Microsoft takes us for, for people.
fn account(app_only: bool, me: &map::Me) -> String {
    let name = me.mail.clone().unwrap_or_else(|| me.user_principal_name.clone());
    match (app_only, name.is_empty()) {
        (false, _) => name,
        (true, false) => format!("the app itself, for {name}"),
        (true, true) => "the app itself".to_owned(),
    }
}

/// What SharePoint takes; a OneDrive for work is a library too.
fn capacities(settings: &crate::Settings) -> Vec<Capacity> {
    const LIMITS: &str = "Microsoft, SharePoint limits";
    let advised = Capacity {
        name: "unique_scopes_advised",
        what: "folders with a sharing list of their own in one library (Microsoft's advice)",
        counts: Counts::Folders,
        firmness: Firmness::Advised,
        limit: crate::place::SCOPES_ADVISED as u64,
        source: LIMITS,
        verified: true,
        next: "Plan a second target on another library; beyond the advice SharePoint gets slow.",
    };
    let hard = Capacity {
        name: "unique_scopes",
        what: "folders with a sharing list of their own in one library",
        firmness: Firmness::Hard,
        limit: crate::place::SCOPES_MAX as u64,
        next: "Make a second target on another library, and put new clients there.",
        ..advised
    };
    let below = Capacity {
        name: "items_of_folder",
        what: "things below a folder whose inheritance can still be cut",
        counts: Counts::ItemsInFolder,
        limit: 100_000,
        verified: false,
        next: "Move old years out of the fullest client's folder.",
        ..hard
    };
    let people = Capacity {
        name: "grants_on_folder",
        what: "people on one folder (setting `grants_max`)",
        counts: Counts::HoldersOfFolder,
        limit: settings.grants_max as u64,
        source: "the setting; Microsoft names 5,000 in one list",
        verified: false,
        next: "Let a group of the tenant stand for the people who see every client.",
        ..hard
    };
    let file = Capacity {
        name: "file_bytes",
        what: "bytes of one file (setting `file_bytes_max`)",
        counts: Counts::FileBytes,
        limit: settings.file_bytes_max,
        source: "the setting",
        next: "Raise the setting, or deliver shorter periods.",
        ..people
    };
    vec![advised, hard, below, people, file]
}
