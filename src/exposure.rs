//! How long people kept a folder after the ledger had let them go (`product` 8): from the moment a denial was first seen to
//! the moment its revoke was applied, over a month. Held removals that a person approved later count too: they are the long
//! ones.

use std::collections::BTreeMap;

use ledgerward_contract::{Email, Timestamp};
use serde_json::{Value, json};

use crate::{
    domain::lane::Cause,
    store::{Addresses, Db, Denial, Removal, Result},
};

/// So far back it looks.
pub const DAYS: i64 = 30;

/// Minutes of each removal, in order; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    minutes: Vec<i64>,
}

impl Exposure {
    /// Of everything that was removed in the last [`DAYS`]. `None`: nothing was.
    pub fn read(db: &Db, now: Timestamp) -> Result<Option<Self>> {
        let since = now.checked_sub(jiff::SignedDuration::from_hours(24 * DAYS)).unwrap_or(Timestamp::MIN);
        let removals = db.removals_since(since)?;
        if removals.is_empty() {
            return Ok(None);
        }
        let addresses = db.addresses_at(&db.firm()?, Timestamp::MAX)?;
        Ok(Self::of(&removals, &db.denials()?, &addresses))
    }

    /// Each removal that a source caused, against the last denial of that source that was seen before it.
    pub fn of(removals: &[Removal], denials: &[Denial], addresses: &Addresses) -> Option<Self> {
        let mut seen: BTreeMap<(&str, &str, &str), Vec<Timestamp>> = BTreeMap::new();
        for d in denials {
            seen.entry((&d.connection, &d.source, &d.subject)).or_default().push(d.seen_from);
        }
        // Whatever address they had when they were let in.
        let people = addresses.everywhere(removals.iter().map(|r| &r.target));
        let minutes = removals.iter().filter_map(|removal| {
            let Some(Cause::Source { connection, source }) = &removal.cause else { return None };
            let holder = Email::parse(&removal.holder).ok()?;
            let person = people.get(&removal.target)?.get(&holder)?.0.to_string();
            let seen = seen.get(&(connection.as_str(), source.as_str(), person.as_str()))?;
            let first = seen.iter().filter(|t| **t <= removal.at).max()?;
            Some(removal.at.duration_since(*first).as_mins().max(0))
        });
        let mut minutes: Vec<i64> = minutes.collect();
        minutes.sort_unstable();
        (!minutes.is_empty()).then_some(Self { minutes })
    }

    pub fn removals(&self) -> usize {
        self.minutes.len()
    }

    /// The nearest-rank percentile, in minutes.
    pub fn percentile(&self, percent: usize) -> i64 {
        let rank = (self.minutes.len() * percent).div_ceil(100).max(1);
        self.minutes.get(rank - 1).copied().unwrap_or(0)
    }

    pub fn value(&self) -> Value {
        json!({
            "days": DAYS.to_string(), "removals": self.removals().to_string(),
            "minutes_p50": self.percentile(50).to_string(), "minutes_p95": self.percentile(95).to_string(),
            "minutes_max": self.percentile(100).to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_happened() {
        let of = |minutes: Vec<i64>| Exposure { minutes };
        let ten = of((1..=10).collect());
        assert_eq!((ten.percentile(50), ten.percentile(95), ten.percentile(100)), (5, 10, 10));
        let one = of(vec![7]);
        assert_eq!((one.percentile(50), one.percentile(95), one.percentile(100)), (7, 7, 7));
    }
}
