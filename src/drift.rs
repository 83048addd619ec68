//! What a target's change feed saves: a folder in which nothing happened since it was last read is not read again for a
//! plan. A feed is a hint and no evidence: everything is read once a day in any case, a lane is read before it is written,
//! and the fence takes only a list of this very run.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ChangeCursor, ErrorKind, FolderId, SeenPermission, Snapshot, Stat, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{firm::TargetName, lane::LaneKey},
    gather::FolderReading,
    lanes::lane_text,
    world::Target,
};

/// Where each target's feed goes on.
const FEED: &str = "feed";
/// How each folder was when it was last read.
const SEEN: &str = "folder_seen";
/// A feed may miss something: so often everything is read.
const SWEEP: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
/// Pages of a feed that are followed; more than that is no hint any more.
const PAGES_MAX: usize = 200;

/// A folder as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub stat: Stat,
    /// `None` where the target has no lists.
    pub list: Option<Vec<SeenPermission>>,
}

impl Seen {
    /// Only a whole reading of a folder that is there is worth remembering.
    fn of(reading: &FolderReading) -> Option<Self> {
        let stat @ Stat::Present { .. } = reading.stat.as_ref().ok()? else { return None };
        let list = match &reading.list {
            None => None,
            Some(list) => Some(list.as_ref().ok().map(Snapshot::items)?.to_vec()),
        };
        Some(Self { stat: stat.clone(), list })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Feed {
    cursor: ChangeCursor,
    swept: Timestamp,
}

/// Which folders of a target must be read in this run.
pub struct Hint {
    /// `None`: all of them.
    changed: Option<BTreeSet<FolderId>>,
    remembered: BTreeMap<String, Seen>,
    feed: Option<Feed>,
}

impl Hint {
    /// Everything is read and nothing is remembered: a partial look, or one that must see for itself.
    pub const fn none() -> Self {
        Self { changed: None, remembered: BTreeMap::new(), feed: None }
    }

    /// What the folder was, if nothing happened in it since.
    pub fn unchanged(&self, lane: &LaneKey, folder: &FolderId) -> Option<Seen> {
        let changed = self.changed.as_ref()?;
        if changed.contains(folder) { None } else { self.remembered.get(&lane_text(lane)).cloned() }
    }
}

/// Asks the target's feed. A target without one, and one whose feed does not answer, is read as a whole.
pub async fn hint(app: &App, target: &Target, now: Timestamp) -> Result<Hint, Failure> {
    let name = target.name.0.clone();
    let (feed, remembered): (Option<Feed>, BTreeMap<String, Seen>) =
        app.store.run(move |db| Ok((db.doc_get(FEED, &name)?, db.doc_all(SEEN)?))).await?;
    let (Ok(api), Ok(cx)) = (target.api(), target.read(now)) else { return Ok(Hint::none()) };
    let due = feed.as_ref().is_none_or(|f| now.duration_since(f.swept) >= SWEEP || f.swept > now);
    let mut cursor = feed.as_ref().map(|f| f.cursor.clone());
    let mut changed = BTreeSet::new();
    let mut everything = due;
    for _ in 0..PAGES_MAX {
        let page = match api.changes(&cx, cursor.clone()).await {
            Ok(page) => page,
            Err(e) if e.kind == ErrorKind::Unsupported => return Ok(Hint::none()),
            // The old cursor is kept: nothing that it would have told is passed over.
            Err(_) => return Ok(Hint::none()),
        };
        everything |= page.everything;
        changed.extend(page.folders);
        let ended = cursor.is_none() || cursor.as_ref() == Some(&page.next);
        cursor = Some(page.next);
        if ended {
            let swept = if everything { now } else { feed.map_or(now, |f| f.swept) };
            return Ok(Hint {
                changed: (!everything).then_some(changed),
                remembered,
                feed: cursor.map(|cursor| Feed { cursor, swept }),
            });
        }
    }
    Ok(Hint::none())
}

/// Keeps what was read, and how far the feed was followed: both or nothing, so that no change can fall between them.
pub async fn keep(
    app: &App,
    target: &TargetName,
    hint: Hint,
    readings: &BTreeMap<LaneKey, FolderReading>,
) -> Result<(), Failure> {
    let Some(feed) = hint.feed else { return Ok(()) };
    // A folder that could not be read must be read next time, whatever the feed says then.
    let mut put = Vec::new();
    let mut forget = Vec::new();
    for (lane, reading) in readings.iter().filter(|(lane, _)| lane.target == *target) {
        let key = lane_text(lane);
        match Seen::of(reading) {
            Some(seen) if hint.remembered.get(&key) == Some(&seen) => {}
            Some(seen) => put.push((key, seen)),
            None => forget.push(key),
        }
    }
    let name = target.0.clone();
    app.store
        .run(move |db| {
            db.tx(|db| {
                for (key, seen) in &put {
                    db.doc_put(SEEN, key, seen)?;
                }
                for key in &forget {
                    db.doc_delete(SEEN, key)?;
                }
                if db.doc_get::<Feed>(FEED, &name)?.as_ref() != Some(&feed) {
                    db.doc_put(FEED, &name, &feed)?;
                }
                Ok(())
            })
        })
        .await?;
    Ok(())
}
