//! Where a folder lies and whose it is, so that it is seen when it is moved or given away (`decisions` 13, 19). It is written
//! down when the folder is made. A folder that was found again by its mark, or of which nothing could be read just after it
//! was made, is taken as it is first seen.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{FolderId, Stat};

use super::{Known, stat_of};
use crate::{
    domain::{firm::TargetName, lane::LaneKey},
    store::{Db, LaneRow, Result},
};

/// A lane's folder, where it lies and whose it is.
pub(super) type Place = (LaneKey, FolderId, Option<FolderId>, Option<String>);

/// Where the folders of each target lie.
pub(super) fn parents<'r>(rows: impl Iterator<Item = &'r LaneRow>) -> BTreeMap<TargetName, BTreeSet<FolderId>> {
    let mut all: BTreeMap<TargetName, BTreeSet<FolderId>> = BTreeMap::new();
    for (target, parent) in rows.filter_map(|r| Some((&r.key.target, r.parent.as_ref()?))) {
        all.entry(target.clone()).or_default().insert(parent.clone());
    }
    all
}

pub(super) fn keep(db: &mut Db, all: &[Place]) -> Result<()> {
    db.tx(|db| {
        all.iter().try_for_each(|(lane, folder, parent, owner)| {
            db.lane_place(lane, folder, parent.as_ref(), owner.as_deref())
        })
    })
}

impl Known {
    /// What is not known yet and can be seen now. `lie`: where the target's other folders do; one that lies somewhere else may
    /// have been moved already.
    pub(super) fn learn_place(&mut self, lane: &LaneKey, lie: Option<&BTreeSet<FolderId>>) -> Option<Place> {
        let row = self.row.as_ref().filter(|r| r.parent.is_none() || r.owner.is_none())?;
        let folder = row.folder.clone()?;
        let stat = stat_of(self.remembered.as_ref(), self.reading.as_ref());
        let Some(Ok(Stat::Present { parent, owner, marker, .. })) = stat else { return None };
        if *marker != Some(lane.folder.to_string()) {
            return None;
        }
        let parent = parent.clone().filter(|p| row.parent.is_none() && lie.is_none_or(|all| all.contains(p)));
        let owner = owner.clone().filter(|_| row.owner.is_none());
        if parent.is_none() && owner.is_none() {
            return None;
        }
        let row = self.row.as_mut()?;
        row.parent = row.parent.take().or_else(|| parent.clone());
        row.owner = row.owner.take().or_else(|| owner.clone());
        Some((lane.clone(), folder, parent, owner))
    }
}
