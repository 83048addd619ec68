//! What need not be read in every cycle. Where a target's change feed tells of sharing, a folder in which nothing happened since
//! it was last read is not read again for a plan, and everything is read once a day in any case. Elsewhere (a feed of files,
//! or none) the folders take turns, so that each is read within a day and no cycle reads them all. Neither is evidence: a lane
//! is read before it is written, and the fence takes only a list of this very run.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ChangeCursor, Changes, FolderId, Result, SeenPermission, Snapshot, Stat, Timestamp};
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
/// In this time every folder has had its turn; the rest of the day is for cycles that fail.
const ROUND: jiff::SignedDuration = jiff::SignedDuration::from_hours(20);
/// When folders of a target last took turns.
const TURN: &str = "folder_turn";
/// Pages of a feed that are followed; more than that is no hint any more.
const PAGES_MAX: usize = 200;

/// A folder as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub stat: Stat,
    /// `None` where the target has no lists.
    pub list: Option<Vec<SeenPermission>>,
    /// When it was read, where folders take turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl Seen {
    /// Only a whole reading of a folder that is there is worth remembering.
    fn of(reading: &FolderReading, at: Option<Timestamp>) -> Option<Self> {
        let stat @ Stat::Present { .. } = reading.stat.as_ref().ok()? else { return None };
        let list = match &reading.list {
            None => None,
            Some(list) => Some(list.as_ref().ok().map(Snapshot::items)?.to_vec()),
        };
        Some(Self { stat: stat.clone(), list, at })
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
    /// What is read is remembered.
    keeps: bool,
    /// Folders take turns, and these have theirs.
    turn: Option<BTreeSet<String>>,
}

impl Hint {
    /// Everything is read and nothing is remembered: a partial look, or one that must see for itself.
    pub const fn none() -> Self {
        Self { changed: None, remembered: BTreeMap::new(), feed: None, keeps: false, turn: None }
    }

    /// The same, and every folder is read now all the same.
    #[must_use]
    pub fn every_folder(self) -> Self {
        Self { changed: None, ..self }
    }

    /// What the folder was, if nothing happened in it since.
    pub fn unchanged(&self, lane: &LaneKey, folder: &FolderId) -> Option<Seen> {
        let changed = self.changed.as_ref()?;
        let key = lane_text(lane);
        let due = changed.contains(folder) || self.turn.as_ref().is_some_and(|t| t.contains(&key));
        if due { None } else { self.remembered.get(&key).cloned() }
    }
}

/// Asks the target's feed, and says whose turn it is. `folders`: all of the target. One whose feed does not answer is read as a
/// whole.
pub async fn hint(
    app: &App,
    target: &Target,
    folders: &[(LaneKey, FolderId)],
    now: Timestamp,
) -> Result<Hint, Failure> {
    struct Stored {
        feed: Option<Feed>,
        turned: Option<Timestamp>,
        remembered: BTreeMap<String, Seen>,
    }
    let name = target.name.0.clone();
    let read = move |db: &mut crate::store::Db| {
        Ok(Stored { feed: db.doc_get(FEED, &name)?, turned: db.doc_get(TURN, &name)?, remembered: db.doc_all(SEEN)? })
    };
    let Stored { feed, turned, remembered } = app.store.run(read).await?;
    let (Ok(api), Ok(cx)) = (target.api(), target.read(now)) else { return Ok(Hint::none()) };
    let whole = |remembered| Hint { changed: None, remembered, feed: None, keeps: true, turn: None };
    // A disk costs no requests.
    if target.manifest.endpoints.is_empty() {
        return Ok(whole(remembered));
    }
    let tells = api.changes_tell_sharing();
    let due = feed.as_ref().is_none_or(|f| now.duration_since(f.swept) >= SWEEP || f.swept > now);
    let followed = follow(feed.as_ref().map(|f| f.cursor.clone()), |at| api.changes(&cx, at)).await;
    let (changed, mut everything, cursor) = match followed {
        Some(followed) => followed,
        None if tells => return Ok(Hint::none()),
        // Turns need no feed.
        None => (BTreeSet::new(), false, None),
    };
    let mut turn = None;
    if tells {
        everything |= due;
    } else {
        let keys = folders.iter().map(|(lane, _)| lane_text(lane));
        let ages = keys.map(|key| (remembered.get(&key).and_then(|s| s.at).filter(|at| *at <= now), key)).collect();
        turn = Some(turns(ages, turned, now));
    }
    let swept = if everything { now } else { feed.map_or(now, |f| f.swept) };
    Ok(Hint {
        changed: (!everything).then_some(changed),
        remembered,
        feed: cursor.map(|cursor| Feed { cursor, swept }),
        keeps: true,
        turn,
    })
}

/// The folders that changed, whether anything may have, and where the feed goes on. `None`: it has no answer; then the old
/// cursor is kept, so that nothing that it would have told is passed over. One that comes to no end is begun anew, from now,
/// and everything is read: each cycle would follow the old one in vain.
async fn follow<P: Future<Output = Result<Changes>>>(
    mut cursor: Option<ChangeCursor>,
    mut page: impl FnMut(Option<ChangeCursor>) -> P,
) -> Option<(BTreeSet<FolderId>, bool, Option<ChangeCursor>)> {
    let (mut changed, mut everything) = (BTreeSet::new(), false);
    for _ in 0..PAGES_MAX {
        let told = page(cursor.clone()).await.ok()?;
        everything |= told.everything;
        changed.extend(told.folders);
        // A page that leads to itself would be asked for without end.
        if told.more && cursor.as_ref() == Some(&told.next) {
            break;
        }
        cursor = Some(told.next);
        if !told.more {
            return Some((changed, everything, cursor));
        }
    }
    let anew = page(None).await.ok()?;
    Some((BTreeSet::new(), true, Some(anew.next)))
}

/// Which folders are read now: those never read, those whose day would end before the next cycle, and of the rest the oldest,
/// as many as the time since the last cycle is of a round.
fn turns(mut ages: Vec<(Option<Timestamp>, String)>, last: Option<Timestamp>, now: Timestamp) -> BTreeSet<String> {
    ages.sort();
    let elapsed = last.filter(|l| *l <= now).map_or(ROUND, |l| now.duration_since(l)).min(ROUND);
    let share = ages.len() as f64 * elapsed.as_secs_f64() / ROUND.as_secs_f64();
    // At least one, so that a cycle every second comes round as well.
    let share = (share.ceil() as usize).max(1);
    let overdue = |at: &Option<Timestamp>| at.is_none_or(|at| now.duration_since(at) + elapsed >= SWEEP);
    ages.into_iter().enumerate().filter(|(n, (at, _))| *n < share || overdue(at)).map(|(_, (_, key))| key).collect()
}

/// Every folder as it was when it was last read and kept, by [`lane_text`].
pub async fn last(app: &App) -> Result<BTreeMap<String, Seen>, Failure> {
    Ok(app.store.run(|db| db.doc_all(SEEN)).await?)
}

/// These folders are about to be written: whatever comes of it, they are read again before they are planned again.
pub async fn forget<'a>(app: &App, lanes: impl Iterator<Item = &'a LaneKey>) -> Result<(), Failure> {
    let keys: Vec<String> = lanes.map(lane_text).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let all =
        move |db: &mut crate::store::Db| db.tx(|db| keys.iter().try_for_each(|key| db.doc_delete(SEEN, key).map(drop)));
    Ok(app.store.run(all).await?)
}

/// Keeps what was read, and how far the feed was followed: both or nothing, so that no change can fall between them.
pub async fn keep(
    app: &App,
    target: &TargetName,
    hint: Hint,
    readings: &BTreeMap<LaneKey, FolderReading>,
    now: Timestamp,
) -> Result<(), Failure> {
    if !hint.keeps {
        return Ok(());
    }
    let at = hint.turn.as_ref().map(|_| now);
    // A folder that could not be read must be read next time, whatever the feed says then.
    let mut put = Vec::new();
    let mut forget = Vec::new();
    for (lane, reading) in readings.iter().filter(|(lane, _)| lane.target == *target) {
        let key = lane_text(lane);
        match Seen::of(reading, at) {
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
                if let Some(feed) = &hint.feed
                    && db.doc_get::<Feed>(FEED, &name)?.as_ref() != Some(feed)
                {
                    db.doc_put(FEED, &name, feed)?;
                }
                if at.is_some() {
                    db.doc_put(TURN, &name, &now)?;
                }
                Ok(())
            })
        })
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[tokio::test]
    async fn a_feed_without_an_end_is_begun_anew_and_everything_is_read() {
        let asked = std::cell::RefCell::new(Vec::new());
        let page = |at: Option<ChangeCursor>, next: &str, more| {
            asked.borrow_mut().push(at);
            let changed = Changes { folders: vec!["f".into()], everything: false, next: next.into(), more };
            std::future::ready(Ok(changed))
        };
        let old: ChangeCursor = "0".into();
        // Each page leads to another one; asked for the cursor of now, the feed gives it.
        let endless = |at: Option<ChangeCursor>| match at.as_ref().and_then(|c| c.as_str().parse::<usize>().ok()) {
            Some(n) => page(at, &(n + 1).to_string(), true),
            None => page(at, "now", false),
        };
        let found = follow(Some(old.clone()), endless).await;
        assert_eq!(found, Some((BTreeSet::new(), true, Some("now".into()))));
        assert_eq!(asked.borrow().len(), PAGES_MAX + 1);
        assert_eq!(asked.borrow().last(), Some(&None));
        let itself = |at: Option<ChangeCursor>| match at {
            Some(at) => page(Some(at.clone()), at.as_str(), true),
            None => page(None, "now", false),
        };
        assert_eq!(follow(Some(old.clone()), itself).await, Some((BTreeSet::new(), true, Some("now".into()))));
        let quiet = |at: Option<ChangeCursor>| page(at, "1", false);
        assert_eq!(follow(Some(old), quiet).await, Some((["f".into()].into(), false, Some("1".into()))));
    }

    #[test]
    fn turns_read_every_folder_within_a_day_and_few_in_a_cycle() {
        let folders = 1_000;
        let mut at = BTreeMap::new();
        let mut now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1_000);
        let key = |n: usize| format!("drive:{n:04}");
        let mut last = None;
        let mut most = 0;
        for cycle in 0..1_000 {
            let ages = (0..folders).map(|n| (at.get(&key(n)).copied(), key(n))).collect();
            let read = turns(ages, last, now);
            if cycle == 0 {
                assert_eq!(read.len(), folders, "nothing is known yet");
            } else if cycle > 300 {
                most = most.max(read.len());
            }
            for one in read {
                at.insert(one, now);
            }
            last = Some(now);
            now += SignedDuration::from_mins(5);
            let oldest = at.values().min().unwrap();
            assert!(now.duration_since(*oldest) <= SignedDuration::from_hours(24), "cycle {cycle}");
        }
        assert!(most <= 6, "{most} folders in one cycle");
    }

    #[test]
    fn after_a_night_without_a_cycle_what_is_overdue_is_read() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1_000);
        let ago = |h: i64| now - SignedDuration::from_hours(h);
        let ages = vec![(Some(ago(23)), "a".to_owned()), (Some(ago(9)), "b".to_owned()), (None, "c".to_owned())];
        let read = turns(ages, Some(ago(2)), now);
        assert_eq!(read, BTreeSet::from(["a".to_owned(), "c".to_owned()]));
        assert!(turns(vec![], None, now).is_empty());
    }
}
