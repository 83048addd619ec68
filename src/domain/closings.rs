//! Who was closed by `revoke --now` and never lifted (`product` 7): a closing is for an hour of need, not for ever.

use ledgerward_contract::Timestamp;

use super::{
    finding::{Finding, Severity},
    firm::{Firm, Person},
};

/// From here on it is told every day.
const DAYS: i64 = 7;

/// `left`: who is chased as a leaver, which tells of itself.
pub fn findings(firm: &Firm, left: impl Fn(&Person) -> bool, now: Timestamp) -> Vec<Finding> {
    let found = firm.people.values().filter(|p| !left(p)).filter_map(|person| {
        let closed = person.closed.as_ref()?;
        let days = now.duration_since(closed.since).as_hours() / 24;
        (days >= DAYS).then(|| Finding {
            since: Some(closed.since),
            ..Finding::new(
                Severity::Warning,
                "person.closed",
                format!("person/{}", person.id.0),
                format!(
                    "{} ({}) has been closed for {days} days, since {} by {}: {}",
                    person.full_name(),
                    person.email,
                    firm.zone.time(closed.since),
                    closed.by,
                    closed.reason
                ),
                format!(
                    "To open it again: ledgerward people lift {0}. \
                     For somebody who left: ledgerward leaver {0} --reason TEXT",
                    person.email
                ),
            )
        })
    });
    found.collect()
}
