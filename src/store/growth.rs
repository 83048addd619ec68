//! What lies on each target by our own doing, now and at an earlier time: what a forecast is drawn through.

use std::collections::BTreeMap;

use ledgerward_contract::Timestamp;

use super::{
    db::{Db, from_us_opt, us},
    error::Result,
};
use crate::domain::firm::TargetName;

/// One target's counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub folders: u64,
    /// Folders, their sub-folders with files of ours in them, and those files.
    pub items: u64,
    pub items_of_fullest: u64,
    /// Whom we let in to the folder that most people hold.
    pub holders_of_fullest: u64,
    pub largest_file: u64,
    pub bytes: u64,
}

/// `SELECT target, a number`, into a field of each target's counts.
type Field = fn(&mut Counted) -> &mut u64;

/// Where a path ends that a file lies in: everything before its last part.
const DIR: &str = "rtrim(d.path, replace(d.path, '/', ''))";

impl Db {
    /// When each target got its first folder.
    pub fn targets_began(&self) -> Result<BTreeMap<TargetName, Timestamp>> {
        let mut stmt = self.conn.prepare_cached(
            "SELECT target, min(ended) FROM journal WHERE state = 'done' AND kind IN ('create', 'mark') GROUP BY target",
        )?;
        let rows = stmt.query_map([], |r| Ok((r.get::<_, String>(0)?, r.get(1)?)))?;
        let mut all = BTreeMap::new();
        for row in rows {
            let (target, at) = row?;
            all.extend(from_us_opt(at)?.map(|at| (TargetName(target), at)));
        }
        Ok(all)
    }

    /// What was on the targets at `t`. A folder without a journal row of its making was there before everything.
    pub fn counted_at(&self, t: Timestamp) -> Result<BTreeMap<TargetName, Counted>> {
        const FOLDERS: &str = "SELECT l.target, count(*) FROM lane l LEFT JOIN
             (SELECT lane, min(ended) AS made FROM journal WHERE state = 'done' AND kind IN ('create', 'mark') GROUP BY lane) m
             ON m.lane = l.id WHERE l.folder IS NOT NULL AND coalesce(m.made, 0) <= ?1 GROUP BY l.target";
        // A file that was put again is as old as its first time: rendering everything anew is no growth.
        let files = format!(
            "SELECT l.target AS target, count(*) + count(DISTINCT {DIR}) AS items, max(d.size) AS largest, sum(d.size) AS bytes
             FROM delivered d JOIN lane l ON l.id = d.lane LEFT JOIN
             (SELECT lane, json_extract(op, '$.put.key') AS key, min(ended) AS made FROM journal
              WHERE state = 'done' AND kind = 'put' GROUP BY 1, 2) m ON m.lane = d.lane AND m.key = d.key
             WHERE coalesce(m.made, d.at) <= ?1 GROUP BY l.id"
        );
        let each: [(String, Field); 6] = [
            (FOLDERS.to_owned(), |c| &mut c.folders),
            (format!("SELECT target, sum(items) FROM ({files}) GROUP BY target"), |c| &mut c.items),
            (format!("SELECT target, max(items) FROM ({files}) GROUP BY target"), |c| &mut c.items_of_fullest),
            (format!("SELECT target, max(largest) FROM ({files}) GROUP BY target"), |c| &mut c.largest_file),
            (format!("SELECT target, sum(bytes) FROM ({files}) GROUP BY target"), |c| &mut c.bytes),
            (
                "SELECT target, max(people) FROM (SELECT l.target AS target, count(*) AS people FROM applied a
                 JOIN lane l ON l.id = a.lane WHERE a.from_at <= ?1 AND (a.to_at IS NULL OR a.to_at > ?1) GROUP BY l.id)
                 GROUP BY target"
                    .to_owned(),
                |c| &mut c.holders_of_fullest,
            ),
        ];
        let mut all: BTreeMap<TargetName, Counted> = BTreeMap::new();
        for (sql, field) in each {
            let mut stmt = self.conn.prepare_cached(&sql)?;
            let rows = stmt.query_map([us(t)], |r| Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?)))?;
            for row in rows {
                let (target, number) = row?;
                *field(all.entry(TargetName(target)).or_default()) = u64::try_from(number).unwrap_or(0);
            }
        }
        for counted in all.values_mut() {
            counted.items += counted.folders;
        }
        Ok(all)
    }
}
