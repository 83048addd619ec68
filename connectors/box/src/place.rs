//! Finding and making folders, and closing them.
//!
//! Box can neither hand out ids beforehand nor mark a folder in the request that makes it. So a folder is made under a
//! working name that only its client can have, and gets its own name, its mark and its limits in one second request. A
//! repeat after a lost answer finds one of the two names, and never makes a second folder.

use futures::FutureExt;
use ledgerward_contract::{Cursor, Error, ErrorKind, Listed, Page, ReadCx, Response, Result, Snapshot, WriteCx};
use ledgerward_kit::{Neighbours, Spot};
use serde_json::{Value, json};

use crate::{
    BoxTarget,
    api::{Kind, decode},
    map::{self, Collaboration, Item, Listing, Me},
    names, refusal,
};

/// More pages than any listing here has; a listing that passes it is broken, not long.
const PAGES_MAX: u32 = 1_000;
/// The mark of the root that ledgerward makes.
pub(crate) const ROOT: &str = "root";
/// The account's own top folder.
const TOP: &str = "0";

impl Listed for Item {
    type Key = (String, String);
    fn key(&self) -> Self::Key {
        (self.kind.clone(), self.id.clone())
    }
}

impl PartialEq for Item {
    /// A listing moved under us if one id came with two states.
    fn eq(&self, other: &Self) -> bool {
        (&self.id, &self.name, &self.etag, &self.description)
            == (&other.id, &other.name, &other.etag, &other.description)
    }
}

impl Listed for Collaboration {
    type Key = String;
    fn key(&self) -> String {
        self.id.clone()
    }
}

impl PartialEq for Collaboration {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, &self.role, &self.status) == (&other.id, &other.role, &other.status)
    }
}

/// Where a folder is made: the parent, whose things lie there, and what has its names already.
pub(crate) struct Inside<'a> {
    pub parent: &'a str,
    pub owner: &'a str,
    pub spot: Spot<Item>,
}

/// What came of making a folder.
pub(crate) enum Made {
    New(Item),
    /// The name belongs to something that is not ours.
    Taken(Item),
}

impl BoxTarget {
    pub(crate) async fn me(&self, cx: &ReadCx) -> Result<Me> {
        decode("user.me", &cx.send(self.api.me()?).await?)
    }

    /// A folder by its id, whatever its state. `NotFound` if there is none.
    pub(crate) async fn folder(&self, cx: &ReadCx, op: &'static str, id: &str) -> Result<Item> {
        decode(op, &cx.send(self.api.folder(op, id)?).await?)
    }

    /// A folder that is there and not in the trash.
    pub(crate) async fn live_folder(&self, cx: &ReadCx, op: &'static str, id: &str) -> Result<Item> {
        let folder = self.folder(cx, op, id).await?;
        if folder.is_away() {
            return Err(Error::new(ErrorKind::NotFound, op, "the folder is in the trash").next("Restore it in Box."));
        }
        Ok(folder)
    }

    /// Everything directly in a folder.
    pub(crate) async fn children(&self, cx: &ReadCx, op: &'static str, folder: &str) -> Result<Vec<Item>> {
        let all = Snapshot::gather(op, cx.now(), PAGES_MAX, |at| {
            async move {
                let list: Listing<Item> = decode(op, &cx.send(self.api.items(op, folder, at.text())?).await?)?;
                let next = list.next().map(Cursor::At);
                Ok(Page { items: list.entries, next, total: None })
            }
            .boxed()
        })
        .await?;
        Ok(all.items().to_vec())
    }

    /// Everybody on a folder's own list, pending and inherited ones included.
    pub(crate) async fn entries(&self, cx: &ReadCx, folder: &str) -> Result<Vec<Collaboration>> {
        const OP: &str = "collaborations.list";
        let all = Snapshot::gather(OP, cx.now(), PAGES_MAX, |at| {
            async move {
                let request = self.api.collaborations(Kind::Folder, folder, at.text())?;
                let list: Listing<Collaboration> = decode(OP, &cx.send(request).await?)?;
                let next = list.next().map(Cursor::At);
                Ok(Page { items: list.entries, next, total: None })
            }
            .boxed()
        })
        .await?;
        Ok(all.items().to_vec())
    }

    /// The root, if there is one already.
    pub(crate) async fn root(&self, cx: &ReadCx) -> Result<Option<Item>> {
        const OP: &str = "root.get";
        if let Some(id) = &self.settings.root {
            let config = |says: &str, next: &str| Error::new(ErrorKind::Config, OP, says).next(next);
            return match self.folder(cx, OP, id).await {
                Ok(root) if root.is_away() => Err(config("the root folder is in the trash", "Restore it in Box.")),
                Ok(root) => Ok(Some(root)),
                Err(e) if e.kind == ErrorKind::NotFound => Err(config(
                    "the root folder is not there, or not shared with ledgerward's account",
                    "Make the account its owner or co-owner, or correct `root`.",
                )),
                Err(e) => Err(e),
            };
        }
        if let Some(id) = self.known_root() {
            match self.folder(cx, OP, &id).await {
                Ok(root) if !root.is_away() => return Ok(Some(root)),
                Ok(_) => self.remember_root(None),
                Err(e) if e.kind == ErrorKind::NotFound => self.remember_root(None),
                Err(e) => return Err(e),
            }
        }
        let found = neighbours(self.own_top(cx).await?.1).marked(ROOT);
        match self.only_one(found, "root.find")? {
            Some(found) => {
                self.remember_root(Some(&found.id));
                Ok(Some(self.folder(cx, OP, &found.id).await?))
            }
            None => Ok(None),
        }
    }

    /// Who we are, and what of our own lies in our top folder. What others shared with us lies there too: their folder must
    /// not become the one that all clients' folders go into, whatever mark or name they gave it.
    async fn own_top(&self, cx: &ReadCx) -> Result<(String, Vec<Item>)> {
        let me = self.me(cx).await?.id;
        let mut there = self.children(cx, "root.find", TOP).await?;
        there.retain(|i| i.owned_by.as_ref().is_some_and(|o| o.id == me));
        Ok((me, there))
    }

    fn only_one(&self, mut found: Vec<Item>, op: &'static str) -> Result<Option<Item>> {
        let ids: Vec<_> = found.iter().map(|f| f.id.clone()).collect();
        if ids.len() > 1 {
            return Err(Error::new(
                ErrorKind::Conflict,
                op,
                format!("several folders carry one mark: {}", ids.join(", ")),
            )
            .next("Take the mark out of the description of the wrong one in Box, after moving its files."));
        }
        Ok(found.pop())
    }

    /// The root, made if it is not there. Two tasks never make it at once.
    pub(crate) async fn ensure_root(&self, cx: &WriteCx) -> Result<Item> {
        let gate = self.lane(ROOT);
        let _held = gate.lock().await;
        if let Some(root) = self.root(cx.read()).await? {
            return Ok(root);
        }
        let (me, there) = self.own_top(cx.read()).await?;
        let spot = neighbours(there).spot(&names::key(&self.settings.root_name), &names::working_name(ROOT));
        match self.make_folder(cx, Inside { parent: TOP, owner: &me, spot }, ROOT, &self.settings.root_name).await? {
            Made::New(root) => {
                self.remember_root(Some(&root.id));
                Ok(root)
            }
            Made::Taken(other) => Err(Error::new(
                ErrorKind::Config,
                "root.create",
                format!(
                    "the account has a folder \"{}\" already that ledgerward did not make",
                    self.settings.root_name
                ),
            )
            .next(format!("Set `root` to its id, {}, or choose another `root_name`.", other.id))),
        }
    }

    /// The one folder under the root that carries a mark, as the listing shows it.
    pub(crate) async fn find_in(&self, cx: &ReadCx, root: &str, mark: &str) -> Result<Option<Item>> {
        const OP: &str = "folder.find";
        let list = async { Ok(neighbours(self.children(cx, OP, root).await?)) };
        self.only_one(self.neighbours.search(cx.now(), mark, list).await?, OP)
    }

    /// Makes a folder, closed and marked.
    pub(crate) async fn make_folder(&self, cx: &WriteCx, inside: Inside<'_>, mark: &str, name: &str) -> Result<Made> {
        const OP: &str = "folder.create";
        if let Some(taken) = inside.spot.taken {
            return Ok(Made::Taken(taken));
        }
        let working = names::working_name(mark);
        let id = match inside.spot.working.filter(|i| i.is_folder() && i.name == working) {
            Some(ours) => ours.id,
            None => self.make_or_get(cx, inside.parent, &working).await?,
        };
        let mut body = closing();
        merge(&mut body, json!({ "name": name, "description": map::described(OP, None, mark)? }));
        let answer = cx.send(self.api.update_folder("folder.name", &id, body)?).await?;
        let Some(other) = refusal::in_the_way(&answer) else {
            let made: Item = decode("folder.name", &answer)?;
            is_closed(&made)?;
            if made.owner(OP)?.id != inside.owner {
                let text = "a folder with ledgerward's working name belongs to somebody else";
                return Err(Error::new(ErrorKind::Conflict, OP, text)
                    .next(format!("Leave or remove the folder {} in Box, and run again.", made.id)));
            }
            return Ok(Made::New(made));
        };
        // The listing was old: somebody has the name by now, perhaps an earlier attempt of ours.
        let other = match other.kind.as_str() {
            "folder" => self.folder(cx.read(), OP, &other.id).await?,
            _ => return Err(refused(OP, &answer)),
        };
        if map::marker(&other).as_deref() != Some(mark) {
            return Ok(Made::Taken(other));
        }
        refusal::classify("folder.delete", &cx.send(self.api.delete_empty_folder(&id)?).await?)?;
        Ok(Made::New(other))
    }

    /// A folder of this name in that parent, made or found. The 409 of a taken name gives its id.
    pub(crate) async fn make_or_get(&self, cx: &WriteCx, parent: &str, name: &str) -> Result<String> {
        const OP: &str = "folder.create";
        let answer = cx.send(self.api.create_folder(parent, name)?).await?;
        match refusal::in_the_way(&answer) {
            Some(there) if there.kind == "folder" => Ok(there.id),
            Some(_) => Err(Error::new(ErrorKind::Conflict, OP, "a file lies where a folder is needed")
                .next("Rename or remove the file of that name in Box.")),
            None => Ok(decode::<Item>(OP, &answer)?.id),
        }
    }

    /// Ends links, and invitations by others than the owner, and reads the result from Box's answer.
    pub(crate) async fn close(&self, cx: &WriteCx, folder: &Item) -> Result<()> {
        const OP: &str = "folder.close";
        if folder.is_closed() {
            return Ok(());
        }
        is_closed(&decode(OP, &cx.send(self.api.update_folder(OP, &folder.id, closing())?).await?)?)
    }

    /// Whether anybody but us is let in by a folder above, by a list or by a link.
    pub(crate) async fn inherits(&self, cx: &ReadCx, op: &'static str, folder: &Item, me: &str) -> Result<bool> {
        for id in folder.above(op)? {
            let above = self.folder(cx, op, &id).await?;
            let others = |c: &Collaboration| c.is_open() && c.accessible_by.as_ref().is_none_or(|g| g.id != me);
            if above.link(op)?.is_some() || self.entries(cx, &id).await?.iter().any(others) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Things by name and mark. Working names are known by their own spelling, and are lower case.
fn neighbours(items: Vec<Item>) -> Neighbours<Item> {
    let mut all = Neighbours::default();
    for item in items {
        let mark = if item.is_folder() { map::marker(&item) } else { None };
        all.add(names::key(&item.name), mark, item);
    }
    all
}

/// What closes a folder: only owners and co-owners invite and see the list, and there is no link.
fn closing() -> Value {
    json!({ "can_non_owners_invite": false, "can_non_owners_view_collaborators": false, "shared_link": null })
}

fn is_closed(folder: &Item) -> Result<()> {
    if folder.is_closed() {
        return Ok(());
    }
    Err(Error::contract("folder.close", "Box accepted the folder's limits and does not show them")
        .next("Nothing is put into this folder until they are in force."))
}

/// The error of an answer that is known to be a refusal.
pub(crate) fn refused(op: &'static str, answer: &Response) -> Error {
    match refusal::classify(op, answer) {
        Err(e) => e,
        Ok(()) => Error::contract(op, "Box gave an answer that has no place here"),
    }
}

pub(crate) fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(a), Value::Object(b)) = (into, more) {
        a.extend(b);
    }
}
