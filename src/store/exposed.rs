//! What exposure is counted from: revokes that were done, and denials that were seen, whatever became of them since.

use ledgerward_contract::Timestamp;

use super::{
    db::{Db, from_json, from_us, us},
    error::Result,
};
use crate::domain::{firm::TargetName, lane::Cause};

/// A revoke that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    pub target: TargetName,
    /// The address that we owned it under, where it was ours: the list may have shown another one. Else the holder's text.
    pub holder: String,
    pub at: Timestamp,
    pub cause: Option<Cause>,
}

/// A source denied somebody from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub connection: String,
    pub source: String,
    pub subject: String,
    pub seen_from: Timestamp,
}

impl Db {
    /// Revokes done after `since`, oldest first, approved ones among them.
    pub fn removals_since(&self, since: Timestamp) -> Result<Vec<Removal>> {
        let mut stmt = self.conn.prepare_cached(
            "SELECT l.target, coalesce(json_extract(j.result, '$.revoked'), j.holder), j.ended, j.cause
             FROM journal j JOIN lane l ON l.id = j.lane
             WHERE j.state = 'done' AND j.kind = 'revoke' AND j.ended > ?1 ORDER BY j.ended, j.id",
        )?;
        let mut rows = stmt.query([us(since)])?;
        let mut all = Vec::new();
        while let Some(r) = rows.next()? {
            let cause: Option<String> = r.get(3)?;
            all.push(Removal {
                target: TargetName(r.get(0)?),
                holder: r.get::<_, Option<String>>(1)?.unwrap_or_default(),
                at: from_us(r.get(2)?)?,
                cause: cause.map(|t| from_json(&t, "a step's cause")).transpose()?,
            });
        }
        Ok(all)
    }

    /// Every denial that was ever believed, from its first row. One whose role changed is the same one, and so is one that was
    /// in doubt for a while: only a grant ends it.
    pub fn denials(&self) -> Result<Vec<Denial>> {
        let mut stmt = self.conn.prepare_cached(
            "SELECT connection, source, subject, seen_from FROM (
               SELECT connection, source, subject, seen_from, value,
                      lag(value) OVER (PARTITION BY connection, kind, source, subject ORDER BY id) AS before
               FROM fact WHERE value <> 'unknown')
             WHERE value = 'denied' AND before IS NOT 'denied'",
        )?;
        let mut rows = stmt.query([])?;
        let mut all = Vec::new();
        while let Some(r) = rows.next()? {
            all.push(Denial {
                connection: r.get(0)?,
                source: r.get(1)?,
                subject: r.get(2)?,
                seen_from: from_us(r.get(3)?)?,
            });
        }
        Ok(all)
    }
}
