//! Since when which part of a ledger's books is locked, as far as its words about itself were read.

use ledgerward_contract::{Date, Timestamp};
use serde::{Deserialize, Serialize};

/// By the same name as the profile.
pub(super) const LOCKS: &str = "profile_locks";

/// The days up to which the books were locked, each with the moment at which that was first seen. A later day has a later
/// moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Locks(Vec<(Date, Timestamp)>);

impl Locks {
    /// What a look at the profile says. What was unlocked in between is locked since the look that finds it locked again.
    pub(super) fn see(mut self, locked_to: Option<Date>, at: Timestamp) -> Self {
        let Some(to) = locked_to else { return Self::default() };
        for (day, _) in &mut self.0 {
            *day = (*day).min(to);
        }
        self.0.dedup_by_key(|(day, _)| *day);
        if self.0.last().is_none_or(|(day, _)| *day < to) {
            self.0.push((to, at));
        }
        self
    }

    /// Since when the books are known to be locked up to this day.
    pub(super) fn since(&self, day: Date) -> Option<Timestamp> {
        self.0.iter().find(|(to, _)| *to >= day).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn a_day_is_locked_since_the_first_look_that_found_it_so() {
        let at = |hour: i64| Timestamp::from_second(hour * 3600).unwrap();
        let (april, may, june) = (date(2026, 4, 30), date(2026, 5, 31), date(2026, 6, 30));
        let locks = Locks::default().see(Some(april), at(1)).see(Some(april), at(2)).see(Some(june), at(3));
        let since = |locks: &Locks| [april, may, june].map(|day| locks.since(day));
        assert_eq!(since(&locks), [Some(at(1)), Some(at(3)), Some(at(3))]);
        let back = locks.clone().see(Some(may), at(4));
        assert_eq!(since(&back), [Some(at(1)), Some(at(3)), None]);
        assert_eq!(since(&back.see(Some(june), at(5))), [Some(at(1)), Some(at(3)), Some(at(5))]);
        assert_eq!(since(&locks.see(None, at(4)).see(Some(june), at(5))), [Some(at(5)); 3]);
    }
}
