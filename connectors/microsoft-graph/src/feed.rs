//! What changed on the drive: a hint for what to read again.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ChangeCursor, Changes, Error, ErrorKind, ReadCx, Result};

use crate::{
    GraphTarget,
    api::decode,
    map::{Item, Listing, Place},
};

/// Pages of changes, and folders to look up, before reading everything again is cheaper.
const PAGES: usize = 25;
const LOOKUPS: usize = 100;
const OP: &str = "changes.list";

impl GraphTarget {
    pub(crate) async fn changes_since(&self, cx: &ReadCx, since: Option<ChangeCursor>) -> Result<Changes> {
        let root = self.root(cx).await?;
        let drive = match &root {
            Some((place, _)) => place.drive.clone(),
            None => self.drive(cx).await?.id,
        };
        let Some(since) = since else { return self.start_now(cx, &drive, false).await };
        let (mut link, mut items) = (since.0, Vec::new());
        for _ in 0..PAGES {
            // A place of another address of the interface (another cloud, a sandbox) is none of this drive's.
            let Ok(request) = self.api.delta(&link) else { return self.start_now(cx, &drive, true).await };
            let answer = cx.send(request).await?;
            // Graph forgot the place: whatever happened since is unknown.
            if answer.status == 410 {
                return self.start_now(cx, &drive, true).await;
            }
            let page: Listing<Item> = decode(OP, &answer)?;
            items.extend(page.value);
            match (page.next, page.delta) {
                (Some(next), _) if next != link => link = next,
                (None, Some(next)) => {
                    let (folders, everything) = self.touched(cx, &drive, root.map(|r| r.0), items).await?;
                    return Ok(Changes { folders, everything, next: ChangeCursor(next), more: false });
                }
                _ => return Err(Error::contract(OP, "the change feed has no place to go on from")),
            }
        }
        self.start_now(cx, &drive, true).await
    }

    async fn start_now(&self, cx: &ReadCx, drive: &str, everything: bool) -> Result<Changes> {
        let page: Listing<Item> = decode(OP, &cx.send(self.api.delta_from_now(drive)?).await?)?;
        let next = page.delta.ok_or_else(|| Error::contract(OP, "the change feed names no place of now"))?;
        Ok(Changes { folders: Vec::new(), everything, next: ChangeCursor(next), more: false })
    }

    /// The changed folders with all above them, and whether something cannot be placed.
    async fn touched(
        &self,
        cx: &ReadCx,
        drive: &str,
        root: Option<Place>,
        items: Vec<Item>,
    ) -> Result<(Vec<ledgerward_contract::FolderId>, bool)> {
        let root = root.map(|r| r.item);
        let (mut folders, mut everything, mut lookups) = (BTreeSet::new(), false, 0);
        // Things come more than once; the last word counts. Of deleted ones only id and parent are to be relied on.
        let mut known: BTreeMap<String, Option<String>> =
            items.iter().map(|i| (i.id.clone(), i.parent_reference.as_ref().and_then(|p| p.id.clone()))).collect();
        for item in items {
            let reached = item.root.is_some() || Some(&item.id) == root.as_ref();
            // The list of the root or of the drive reaches every folder.
            everything |= reached && item.shared_changed.is_some();
            if reached {
                continue;
            }
            let mut at = Some(item.id.clone());
            for _ in 0..64 {
                let Some(id) = at.filter(|id| Some(id) != root.as_ref()) else { break };
                if id != item.id || item.file.is_none() {
                    folders.insert(Place { drive: drive.to_owned(), item: id.clone() }.folder());
                }
                if !known.contains_key(&id) {
                    lookups += 1;
                    if lookups > LOOKUPS {
                        everything = true;
                        break;
                    }
                    let place = Place { drive: drive.to_owned(), item: id.clone() };
                    let parent = match self.item(cx, OP, &place).await {
                        Ok(parent) => parent.parent_reference.and_then(|p| p.id),
                        Err(e) if e.kind == ErrorKind::NotFound => None,
                        Err(e) => return Err(e),
                    };
                    known.insert(id.clone(), parent);
                }
                at = known.get(&id).cloned().flatten();
            }
        }
        Ok((folders.into_iter().collect(), everything))
    }
}
