//! Our marks in folders. OneDrive for work has no field of a folder that an app may write, so the mark is the name of a
//! small file in the folder.

use std::sync::PoisonError;

use bytes::Bytes;
use ledgerward_contract::{Error, ErrorKind, ReadCx, Result, WriteCx};
use ledgerward_kit::Neighbours;

use crate::{
    GraphTarget,
    api::{Slot, decode, decode_batch},
    map::{Item, Listing, Place},
    names, refusal,
};

/// What stands in the file, for people who open it. SharePoint keeps text files as they are.
const WORDS: &[u8] =
    b"ledgerward knows this folder by the name of this file. Please leave it here; without it nothing more is delivered.\n";
/// What Graph takes in one batch.
const BATCH: usize = 20;

fn marks_among(items: &[Item]) -> Vec<String> {
    let mut marks: Vec<_> = items.iter().filter_map(|i| names::mark_in(&i.name)).collect();
    marks.sort();
    marks
}

impl GraphTarget {
    /// The marks in a folder; one is right, more are wrong.
    pub(crate) async fn marks_of(&self, cx: &ReadCx, folder: &Place) -> Result<Vec<String>> {
        let marks = marks_among(&self.children(cx, "folder.marks", folder).await?);
        self.remember_marks(folder, marks.clone());
        Ok(marks)
    }

    pub(crate) fn remember_marks(&self, folder: &Place, marks: Vec<String>) {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.clone(), marks);
    }

    fn remembered(&self, folder: &Place) -> Option<Vec<String>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).get(folder).cloned()
    }

    /// Reads the marks in folders, up to 20 in one request.
    async fn look_into(&self, cx: &ReadCx, folders: &[Place]) -> Result<()> {
        const OP: &str = "folder.marks";
        for some in folders.chunks(BATCH) {
            let answer = cx.send(self.api.batch_of_children(OP, some)?).await?;
            for (place, part) in some.iter().zip(decode_batch(OP, &answer, some.len())?) {
                let page: Listing<Item> = decode(OP, &part)?;
                if page.next.is_some() {
                    self.marks_of(cx, place).await?;
                } else {
                    self.remember_marks(place, marks_among(&page.value));
                }
            }
        }
        Ok(())
    }

    /// Each folder among the things in one, whosever it is, with its marks as they are now.
    pub(crate) async fn with_marks(
        &self,
        cx: &ReadCx,
        drive: &str,
        there: Vec<Item>,
    ) -> Result<Vec<(Item, Place, Vec<String>)>> {
        let folders: Vec<_> = there.into_iter().filter(Item::is_folder).map(|i| (i.place(drive), i)).collect();
        let places: Vec<_> = folders.iter().map(|(place, _)| place.clone()).collect();
        self.look_into(cx, &places).await?;
        let marks = |place: &Place| self.remembered(place).unwrap_or_default();
        Ok(folders.into_iter().map(|(place, item)| (item, place.clone(), marks(&place))).collect())
    }

    /// The things in a folder by name and mark. Only folders that were never looked into are read for it, and those that
    /// seem to carry the wanted mark.
    pub(crate) async fn neighbours(
        &self,
        cx: &ReadCx,
        drive: &str,
        there: &[Item],
        wanted: &str,
    ) -> Result<Neighbours<Item>> {
        let places: Vec<_> = there.iter().filter(|i| i.is_folder()).map(|i| i.place(drive)).collect();
        let again = |marks: Option<Vec<String>>| marks.is_none_or(|m| m.iter().any(|m| m == wanted));
        let unknown: Vec<_> = places.into_iter().filter(|p| again(self.remembered(p))).collect();
        self.look_into(cx, &unknown).await?;
        let mut all = Neighbours::default();
        for item in there {
            let marks = if item.is_folder() { self.remembered(&item.place(drive)) } else { None };
            all.add(names::key(&item.name), marks.unwrap_or_default(), item.clone());
        }
        Ok(all)
    }

    /// Writes a mark into a folder. A mark that is there already is the same state.
    pub(crate) async fn write_mark(&self, cx: &WriteCx, folder: &Place, mark: &str) -> Result<()> {
        const OP: &str = "folder.mark";
        let name = names::mark_file(mark);
        let slot = Slot::New { parent: folder, name: &name };
        let answer = cx.send(self.api.upload(&slot, "text/plain", &Bytes::from_static(WORDS))?).await?;
        if !refusal::name_taken(&answer) {
            decode::<Item>(OP, &answer)?;
        }
        self.remember_marks(folder, vec![mark.to_owned()]);
        Ok(())
    }

    /// The one folder of several finds.
    pub(crate) fn only_one(&self, mut found: Vec<Item>, op: &'static str) -> Result<Option<Item>> {
        if found.len() > 1 {
            let ids: Vec<_> = found.iter().map(|f| f.id.clone()).collect();
            return Err(Error::new(
                ErrorKind::Conflict,
                op,
                format!("several folders carry one mark: {}", ids.join(", ")),
            )
            .next("Remove the file whose name begins with .ledgerward- from the wrong one, after moving its files."));
        }
        Ok(found.pop())
    }
}
