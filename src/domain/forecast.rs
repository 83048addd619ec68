//! Will it fit (`product` 8): how full each limit of a target is, how fast it fills, and when. Whole numbers and days only.
//!
//! Growth is a straight line through two points: what there was when the window began, and what there is now. A target
//! starts with everything at once (a first sync of all clients), which is no growth, so its first week does not count; and a
//! line through less than a month says nothing, so it is called unknown.

use jiff::SignedDuration;
use ledgerward_contract::{Capacity, Counts, Firmness, Timestamp};
use serde::Serialize;

use super::finding::{Finding, Severity};

/// A line through less than this is none.
pub const HISTORY_DAYS: i64 = 30;
/// What a target starts with is no growth.
const START_DAYS: i64 = 7;
/// Growth that is older than this says little of what comes.
const WINDOW_DAYS: i64 = 180;
/// From here on a person is told.
pub const SOON_DAYS: u64 = 90;
pub const FULL_PERCENT: u64 = 80;
/// Beyond this a straight line is a joke.
const HORIZON_DAYS: u64 = 3_650;

/// Since when growth is measured, and over how many days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: Timestamp,
    pub days: u64,
}

/// `began`: when the target got its first folder. `None`: less than [`HISTORY_DAYS`] of history.
pub fn window(began: Option<Timestamp>, now: Timestamp) -> Option<Window> {
    let ago = |days: i64| now.checked_sub(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MIN);
    let began = began.filter(|t| *t <= ago(HISTORY_DAYS))?;
    let settled = began.checked_add(SignedDuration::from_hours(24 * START_DAYS)).unwrap_or(began);
    let from = settled.max(ago(WINDOW_DAYS));
    let days = u64::try_from(now.duration_since(from).as_hours() / 24).ok().filter(|d| *d > 0)?;
    Some(Window { from, days })
}

/// How full something is, and how full it was when the window began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    pub now: u64,
    pub then: u64,
}

/// How fast it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Growth {
    /// Less than a month of history.
    Unknown,
    /// So much in so many days; may be nothing, never less than nothing.
    Linear { grown: u64, days: u64 },
}

impl Growth {
    /// In thirty days, to one decimal: tenths.
    pub fn tenths_a_month(self) -> Option<u64> {
        match self {
            Self::Unknown => None,
            Self::Linear { grown, days } => Some(ratio(u128::from(grown) * 300, days)),
        }
    }
}

/// When it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fills {
    /// It is.
    Now,
    /// In so many days.
    In(u64),
    /// Not within ten years, or it does not grow.
    Never,
    Unknown,
}

/// One limit with what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    pub used: u64,
    pub percent: u64,
    pub growth: Growth,
    pub fills: Fills,
}

fn ratio(a: u128, b: u64) -> u64 {
    u64::try_from(a / u128::from(b.max(1))).unwrap_or(u64::MAX)
}

/// `window` as [`window`] gave it. A limit of nothing is full.
pub fn outlook(limit: u64, level: Level, window: Option<Window>) -> Outlook {
    let growth = match window {
        None => Growth::Unknown,
        Some(w) => Growth::Linear { grown: level.now.saturating_sub(level.then), days: w.days },
    };
    let percent = if limit == 0 { 100 } else { ratio(u128::from(level.now) * 100, limit) };
    let left = limit.saturating_sub(level.now);
    let fills = match growth {
        _ if left == 0 => Fills::Now,
        Growth::Unknown => Fills::Unknown,
        Growth::Linear { grown: 0, .. } => Fills::Never,
        Growth::Linear { grown, days } => match ratio(u128::from(left) * u128::from(days), grown) {
            far if far > HORIZON_DAYS => Fills::Never,
            near => Fills::In(near),
        },
    };
    Outlook { used: level.now, percent, growth, fills }
}

/// The largest of something grows by what the next one is, not along a line: it is full or not.
pub fn peak(limit: u64, used: u64) -> Outlook {
    let found = outlook(limit, Level { now: used, then: used }, None);
    Outlook { fills: if found.fills == Fills::Now { Fills::Now } else { Fills::Never }, ..found }
}

/// What a person is told, if it is full soon or almost full. `amount`: a number as people read it, such as a size for bytes.
pub fn finding(target: &str, of: &Capacity, seen: &Outlook, amount: impl Fn(Counts, u64) -> String) -> Option<Finding> {
    let soon = matches!(seen.fills, Fills::Now | Fills::In(0..SOON_DAYS));
    if !soon && seen.percent <= FULL_PERCENT {
        return None;
    }
    let full = seen.fills == Fills::Now;
    let shown = |number| amount(of.counts, number);
    let severity = match of.firmness {
        Firmness::Hard if full || matches!(seen.fills, Fills::In(0..14)) => Severity::Urgent,
        _ => Severity::Warning,
    };
    let when = match seen.fills {
        Fills::Now => "it is full".to_owned(),
        Fills::In(0) => "it is full within a day".to_owned(),
        Fills::In(days) => format!("full in about {days} days at the present rate"),
        Fills::Never => "it does not grow now".to_owned(),
        Fills::Unknown => "when it is full is unknown: less than 30 days of history".to_owned(),
    };
    let text = format!(
        "{target}, {}: {} % is used ({} of {}); {when}.",
        of.what,
        seen.percent,
        shown(seen.used),
        shown(of.limit)
    );
    Some(Finding::new(severity, "target.filling", format!("{target}/{}", of.name), text, of.next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn capacity(limit: u64, firmness: Firmness) -> Capacity {
        Capacity {
            name: "scopes",
            what: "folders",
            counts: Counts::Folders,
            firmness,
            limit,
            source: "a page",
            verified: true,
            next: "Make another.",
        }
    }

    #[test]
    fn less_than_a_month_says_nothing() {
        let now = at("2026-11-22T00:00:00Z");
        assert_eq!(window(None, now), None);
        assert_eq!(window(Some(at("2026-10-23T00:00:01Z")), now), None);
        // The first week is the start, and no growth.
        let month = window(Some(at("2026-10-23T00:00:00Z")), now).unwrap();
        assert_eq!((month.from, month.days), (at("2026-10-30T00:00:00Z"), 23));
        let years = window(Some(at("2020-01-01T00:00:00Z")), now).unwrap();
        assert_eq!((years.from, years.days), (at("2026-05-26T00:00:00Z"), 180));
        assert_eq!(window(Some(at("2027-01-01T00:00:00Z")), now), None, "a clock that was set back");
        let seen = outlook(5_000, Level { now: 100, then: 0 }, None);
        assert_eq!((seen.growth, seen.fills, seen.growth.tenths_a_month()), (Growth::Unknown, Fills::Unknown, None));
        assert_eq!(outlook(100, Level { now: 100, then: 0 }, None).fills, Fills::Now, "full is full, history or not");
    }

    #[test]
    fn a_straight_line_says_when() {
        let w = Some(Window { from: at("2026-08-24T00:00:00Z"), days: 90 });
        // Ninety in ninety days: one a day.
        let seen = outlook(5_000, Level { now: 4_200, then: 4_110 }, w);
        assert_eq!((seen.percent, seen.fills, seen.growth.tenths_a_month()), (84, Fills::In(800), Some(300)));
        // One and a half a month, in tenths.
        let slow = outlook(50_000, Level { now: 10, then: 6 }, w.map(|w| Window { days: 80, ..w }));
        assert_eq!((slow.growth.tenths_a_month(), slow.fills), (Some(15), Fills::Never), "ten years are never");
        assert_eq!(outlook(50, Level { now: 20, then: 20 }, w).fills, Fills::Never);
        assert_eq!(outlook(50, Level { now: 20, then: 30 }, w).fills, Fills::Never, "what shrinks does not fill");
        assert_eq!(outlook(0, Level { now: 0, then: 0 }, w).fills, Fills::Now);
        let huge = outlook(u64::MAX, Level { now: u64::MAX / 2, then: 0 }, w);
        assert_eq!((huge.percent, huge.fills), (49, Fills::In(90)));
    }

    #[test]
    fn a_person_is_told_before_it_bites_and_not_before_that() {
        let w = Some(Window { from: at("2026-08-24T00:00:00Z"), days: 100 });
        let told = |limit, now, then, firmness| {
            let of = capacity(limit, firmness);
            finding("sharepoint", &of, &outlook(limit, Level { now, then }, w), |_, n| n.to_string())
        };
        assert_eq!(told(1_000, 500, 0, Firmness::Hard), None, "half full, in a hundred days");
        let soon = told(1_000, 600, 0, Firmness::Hard).unwrap();
        assert_eq!((soon.severity, soon.subject.as_str()), (Severity::Warning, "sharepoint/scopes"));
        assert!(soon.text.contains("60 %") && soon.text.contains("about 66 days"), "{}", soon.text);
        assert_eq!(told(1_000, 800, 800, Firmness::Hard), None, "exactly four fifths, and still");
        assert_eq!(told(1_000, 810, 810, Firmness::Hard).unwrap().severity, Severity::Warning);
        assert_eq!(told(1_000, 1_000, 1_000, Firmness::Hard).unwrap().severity, Severity::Urgent);
        assert_eq!(told(1_000, 1_200, 0, Firmness::Advised).unwrap().severity, Severity::Warning, "advice is no wall");
        assert_eq!(told(1_000, 900, 0, Firmness::Hard).unwrap().severity, Severity::Urgent, "within a fortnight");
    }

    #[test]
    fn the_largest_file_has_no_rate() {
        assert_eq!(peak(100, 99), Outlook { used: 99, percent: 99, growth: Growth::Unknown, fills: Fills::Never });
        assert_eq!(peak(100, 100).fills, Fills::Now);
    }
}
