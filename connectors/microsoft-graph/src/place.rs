//! Finding the drive and folders, and making and closing them.
//!
//! Graph can neither hand out ids beforehand nor mark a folder in the request that makes it. So a folder is made under a
//! working name that only its client can have, gets its mark, and then its own name. A repeat after a lost answer finds
//! one of the two names, and never makes a second folder.

use futures::FutureExt;
use ledgerward_contract::{Cursor, Error, ErrorKind, Listed, Page, ReadCx, Request, Result, Snapshot, WriteCx};
use ledgerward_kit::Spot;

use crate::{
    GraphTarget,
    api::decode,
    map::{self, Above, Drive, Item, Listing, Me, Permission, Place},
    names, refusal,
    settings::Settings,
};

/// More pages than any listing here has; a listing that passes it is broken, not long.
const PAGES_MAX: u32 = 1_000;
/// The mark of the root that ledgerward makes.
pub(crate) const ROOT: &str = "root";
/// Folders with sharing lists of their own that one library takes: the hard limit, and what Microsoft recommends.
pub(crate) const SCOPES_MAX: usize = 50_000;
pub(crate) const SCOPES_ADVISED: usize = 5_000;

impl Listed for Item {
    type Key = String;
    fn key(&self) -> String {
        self.id.clone()
    }
}

impl PartialEq for Item {
    /// A listing moved under us if one id came with two states.
    fn eq(&self, other: &Self) -> bool {
        (&self.id, &self.name, &self.etag) == (&other.id, &other.name, &other.etag)
    }
}

impl Listed for Permission {
    type Key = String;
    fn key(&self) -> String {
        self.id.clone()
    }
}

/// Who is on a folder's list, and what the list of the folder above says of them.
pub(crate) struct Lists {
    pub own: Vec<Permission>,
    pub above: Above,
}

/// What came of making a folder.
pub(crate) enum Made {
    New(Item),
    /// The name belongs to something that is not ours.
    Taken(Item),
}

impl GraphTarget {
    pub(crate) async fn me(&self, cx: &ReadCx) -> Result<Me> {
        if self.settings.app_only {
            // An app is nobody: `/me` refuses it. In a person's OneDrive it acts in the place of that account.
            let owner = self.drive(cx).await?.owner.and_then(|o| o.user);
            return Ok(Me::owner(owner.as_ref()));
        }
        decode("user.me", &cx.send(self.api.me()?).await?)
    }

    /// The drive that the settings name.
    pub(crate) async fn drive(&self, cx: &ReadCx) -> Result<Drive> {
        const OP: &str = "drive.get";
        let Settings { site: Some(site), library: Some(library), .. } = &self.settings else {
            return decode(OP, &cx.send(self.api.drive(&self.settings)?).await?).map_err(no_such_drive);
        };
        let first = self.api.libraries(site)?;
        let mut found = self.gather("drives.list", cx, first).await.map_err(no_such_drive)?;
        found.retain(|d: &Drive| names::same_name(&d.name, library));
        found.pop().ok_or_else(|| {
            Error::new(ErrorKind::Config, OP, format!("the site has no document library \"{library}\""))
                .next("Correct `library`, or make a library of that name on the site.")
        })
    }

    /// All pages of a list.
    pub(crate) async fn gather<T>(&self, op: &'static str, cx: &ReadCx, first: Request) -> Result<Vec<T>>
    where
        T: Listed + PartialEq + Clone + Send + for<'a> serde::Deserialize<'a>,
    {
        let all = Snapshot::gather(op, cx.now(), PAGES_MAX, |at| {
            let first = first.clone();
            async move {
                let request = match at.text() {
                    Some(link) => self.api.link(op, link)?,
                    None => first,
                };
                let list: Listing<T> = decode(op, &cx.send(request).await?)?;
                Ok(Page { items: list.value, next: list.next.map(Cursor::At), total: None })
            }
            .boxed()
        })
        .await?;
        Ok(all.items().to_vec())
    }

    /// A thing by its id. `NotFound` if there is none, and only while its drive is there: without the drive nobody knows.
    pub(crate) async fn item(&self, cx: &ReadCx, op: &'static str, at: &Place) -> Result<Item> {
        match decode(op, &cx.send(self.api.item(op, at)?).await?) {
            Err(e) if e.kind == ErrorKind::NotFound => {
                let drive = cx.send(self.api.drive_by_id(&at.drive)?).await?;
                decode::<Drive>("drive.get", &drive).map_err(no_such_drive)?;
                Err(e)
            }
            other => other,
        }
    }

    /// A folder that is there.
    pub(crate) async fn live_folder(&self, cx: &ReadCx, op: &'static str, at: &Place) -> Result<Item> {
        let item = self.item(cx, op, at).await?;
        if item.is_away() {
            return Err(Error::new(ErrorKind::NotFound, op, "the folder is in the recycle bin").next("Restore it."));
        }
        if !item.is_folder() {
            return Err(Error::contract(op, "the thing under a folder's id is no folder"));
        }
        Ok(item)
    }

    pub(crate) async fn children(&self, cx: &ReadCx, op: &'static str, folder: &Place) -> Result<Vec<Item>> {
        self.gather(op, cx, self.api.children(op, folder)?).await
    }

    /// The thing of this name in a folder.
    pub(crate) async fn named(&self, cx: &ReadCx, op: &'static str, parent: &Place, name: &str) -> Result<Item> {
        decode(op, &cx.send(self.api.named(op, parent, name)?).await?)
    }

    pub(crate) async fn entries(&self, cx: &ReadCx, op: &'static str, at: &Place) -> Result<Vec<Permission>> {
        let list: Vec<Permission> = self.gather(op, cx, self.api.permissions(op, at)?).await?;
        if !list.iter().any(Permission::proves_full_view) {
            return Err(Error::new(
                ErrorKind::Forbidden,
                op,
                "Microsoft shows the account ledgerward acts as its own entry only, and not the whole sharing list",
            )
            .next("Sign in as the drive's owner, or make the account an owner of the site."));
        }
        Ok(list)
    }

    /// A folder with its own list and the one above it.
    pub(crate) async fn lists(&self, cx: &ReadCx, op: &'static str, folder: &Place) -> Result<Lists> {
        let item = self.live_folder(cx, op, folder).await?;
        let own = self.entries(cx, op, folder).await?;
        let above = match item.parent(&folder.drive) {
            Some(parent) => Above::of(&self.entries(cx, op, &parent).await?, &own, item.shared.is_some()),
            None if item.root.is_some() => Above::default(),
            None => return Err(Error::contract(op, "Graph does not say where a folder lies")),
        };
        Ok(Lists { own, above })
    }

    /// The root, if there is one already.
    pub(crate) async fn root(&self, cx: &ReadCx) -> Result<Option<(Place, Item)>> {
        const OP: &str = "root.get";
        if let Some(place) = self.known_root() {
            match self.live_folder(cx, OP, &place).await {
                Ok(item) => return Ok(Some((place, item))),
                Err(e) if e.kind == ErrorKind::NotFound => self.remember_root(None),
                Err(e) => return Err(e),
            }
        }
        let drive = self.drive(cx).await?;
        if let Some(id) = &self.settings.root {
            let place = Place { drive: drive.id, item: id.clone() };
            return match self.live_folder(cx, OP, &place).await {
                Ok(item) => {
                    self.remember_root(Some(place.clone()));
                    Ok(Some((place, item)))
                }
                Err(e) if e.kind == ErrorKind::NotFound => {
                    Err(Error::new(ErrorKind::Config, OP, "the root folder is not there")
                        .next("Correct `root`, restore the folder, or leave `root` out."))
                }
                Err(e) => Err(e),
            };
        }
        let top = self.top(cx, &drive.id).await?;
        let there = self.children(cx, OP, &top).await?;
        let found = self.neighbours(cx, &drive.id, &there, ROOT).await?.marked(ROOT);
        Ok(self.only_one(found, "root.find")?.map(|item| {
            let place = item.place(&drive.id);
            self.remember_root(Some(place.clone()));
            (place, item)
        }))
    }

    async fn top(&self, cx: &ReadCx, drive: &str) -> Result<Place> {
        let top: Item = decode("folder.top", &cx.send(self.api.top(drive)?).await?)?;
        Ok(top.place(drive))
    }

    /// The root, made if it is not there. Two tasks never make it at once.
    pub(crate) async fn ensure_root(&self, cx: &WriteCx) -> Result<Place> {
        let gate = self.lane(ROOT);
        let _held = gate.lock().await;
        if let Some((place, root)) = self.root(cx.read()).await? {
            // An earlier attempt may have ended between its mark and its name: then it goes on below.
            if self.settings.root.is_some() || !names::same_name(&root.name, &names::working_name(ROOT)) {
                return Ok(place);
            }
        }
        let drive = self.drive(cx.read()).await?;
        let top = self.top(cx.read(), &drive.id).await?;
        let there = self.children(cx.read(), "root.find", &top).await?;
        let near = self.neighbours(cx.read(), &drive.id, &there, ROOT).await?;
        let spot = near.spot(&names::key(&names::encode(&self.settings.root_name)), &names::working_name(ROOT));
        match self.make_folder(cx, &top, spot, ROOT, &self.settings.root_name).await? {
            Made::New(root) => {
                let place = root.place(&drive.id);
                self.remember_root(Some(place.clone()));
                Ok(place)
            }
            Made::Taken(other) => Err(Error::new(
                ErrorKind::Config,
                "root.create",
                format!("the drive has \"{}\" already, which ledgerward did not make", self.settings.root_name),
            )
            .next(format!("Set `root` to its id, {}, or choose another `root_name`.", other.id))),
        }
    }

    /// The one folder under the root that carries the mark of a key.
    pub(crate) async fn find_in(&self, cx: &ReadCx, root: &Place, mark: &str) -> Result<Option<Item>> {
        const OP: &str = "folder.find";
        let list = async {
            let there = self.children(cx, OP, root).await?;
            self.neighbours(cx, &root.drive, &there, mark).await
        };
        self.only_one(self.neighbours.search(cx.now(), mark, list).await?, OP)
    }

    /// Makes a folder with its mark. `name` is as people write it.
    pub(crate) async fn make_folder(
        &self,
        cx: &WriteCx,
        parent: &Place,
        spot: Spot<Item>,
        mark: &str,
        name: &str,
    ) -> Result<Made> {
        const OP: &str = "folder.create";
        let name = names::encode(name);
        if let Some(taken) = spot.taken {
            return Ok(Made::Taken(taken));
        }
        if spot.count >= SCOPES_MAX {
            return Err(Error::new(
                ErrorKind::Unsupported,
                OP,
                "the root folder holds 50,000 folders, and SharePoint takes no more with sharing lists of their own",
            )
            .next("Make a second target on another library, and move clients there."));
        }
        let working = names::working_name(mark);
        let ours = match spot.working.filter(Item::is_folder) {
            Some(ours) => ours.place(&parent.drive),
            None => self.make_or_get(cx, parent, &working).await?,
        };
        self.write_mark(cx, &ours, mark).await?;
        let answer = cx.send(self.api.rename("folder.name", &ours, &name)?).await?;
        if !refusal::name_taken(&answer) {
            return decode("folder.name", &answer).map(Made::New);
        }
        // The listing was old: somebody has the name by now.
        let other = self.named(cx.read(), OP, parent, &name).await?;
        if other.is_folder() && self.marks_of(cx.read(), &other.place(&parent.drive)).await?.iter().any(|m| m == mark) {
            refusal::classify("folder.delete", &cx.send(self.api.recycle("folder.delete", &ours, None)?).await?)?;
            return Ok(Made::New(other));
        }
        Ok(Made::Taken(other))
    }

    /// A folder of this name (as SharePoint takes it) in that parent, made or found.
    pub(crate) async fn make_or_get(&self, cx: &WriteCx, parent: &Place, name: &str) -> Result<Place> {
        const OP: &str = "folder.create";
        let answer = cx.send(self.api.create_folder(parent, name)?).await?;
        let item: Item = if refusal::name_taken(&answer) {
            self.named(cx.read(), OP, parent, name).await?
        } else {
            decode(OP, &answer)?
        };
        if item.is_folder() {
            return Ok(item.place(&parent.drive));
        }
        Err(Error::new(ErrorKind::Conflict, OP, "a file lies where a folder is needed")
            .next("Rename or remove the file of that name."))
    }

    /// Ends links that let in people who are not named, and reads whether they are gone.
    pub(crate) async fn close(&self, cx: &WriteCx, folder: &Place) -> Result<()> {
        const OP: &str = "folder.close";
        let lists = self.lists(cx.read(), OP, folder).await?;
        let wide = |p: &Permission| matches!(p.link_scope(), Some("anonymous" | "organization"));
        let ids: Vec<_> = lists
            .own
            .iter()
            .filter(|p| wide(p) && map::via(p, &lists.above) == ledgerward_contract::Via::Direct)
            .map(|p| p.id.clone())
            .collect();
        for id in &ids {
            let answer = cx.send(self.api.revoke(OP, folder, id)?).await?;
            if answer.status != 404 {
                refusal::classify(OP, &answer)?;
            }
        }
        for id in &ids {
            if self.still_listed(cx.read(), OP, folder, id).await?.is_some() {
                return Err(Error::contract(OP, "Microsoft took the end of a link, and still shows the link")
                    .next("Nothing is put into this folder until the link is gone."));
            }
        }
        Ok(())
    }
}

impl Listed for Drive {
    type Key = String;
    fn key(&self) -> String {
        self.id.clone()
    }
}

impl PartialEq for Drive {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, &self.name) == (&other.id, &other.name)
    }
}

/// A drive that is not there says nothing about the things on it.
fn no_such_drive(e: Error) -> Error {
    if !matches!(e.kind, ErrorKind::NotFound | ErrorKind::Config) {
        return e;
    }
    Error {
        kind: ErrorKind::Config,
        message: "the drive is not there, or not shown to ledgerward's account".to_owned(),
        ..e
    }
    .next("Open OneDrive once as that account, and check `drive`, `user`, `group`, `site` and its licence.")
}
