//! When something is due: five-field cron or `every N minutes|hours`, in the firm's time zone (`decisions` 30).
//!
//! Pure: time, zone and the instance's seed are parameters.

use std::fmt;

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, Time},
    tz::{AmbiguousOffset, TimeZone},
};

/// A typed schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// From one start to the next; 1 minute to 7 days.
    Every {
        minutes: u32,
    },
    Cron(Cron),
}

/// Five fields as sets of bits. Bit n of `minutes` is minute n.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    text: String,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// A field that was written as `*`. Two restricted day fields mean "either", as everywhere since Vixie's cron.
    any_hour: bool,
    any_day: bool,
    any_weekday: bool,
}

/// `every` may not be longer than this.
const EVERY_MINUTES_MAX: u32 = 7 * 24 * 60;
/// Jitter after a cron time that a person chose; an interval moves by a tenth of itself.
const CRON_JITTER_MAX: SignedDuration = SignedDuration::from_mins(5);
/// 29 February on one weekday comes back within 40 years even across 2100.
const CRON_DAYS_MAX: i64 = 366 * 41;

impl Schedule {
    /// Reads `every 5 minutes`, `every 2 hours`, or five cron fields. The error says what is wrong, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["every", rest @ ..] => parse_every(rest),
            [minute, hour, day, month, weekday] => {
                let cron = Cron {
                    text: words.join(" "),
                    minutes: field(minute, "minute", 0, 59, &[])?,
                    hours: field(hour, "hour", 0, 23, &[])?,
                    days: field(day, "day of the month", 1, 31, &[])?,
                    months: field(month, "month", 1, 12, &MONTHS)?,
                    weekdays: weekdays(weekday)?,
                    any_hour: *hour == "*",
                    any_day: *day == "*",
                    any_weekday: *weekday == "*",
                };
                let probe = Date::constant(2024, 1, 1);
                if cron.next_day(probe).is_none() {
                    return Err(format!("\"{}\" names a day that no year has", cron.text));
                }
                Ok(Self::Cron(cron))
            }
            _ => Err(format!(
                "\"{text}\" is no schedule: write \"every 5 minutes\", \"every 2 hours\", or five cron fields such as \"30 6 * * *\""
            )),
        }
    }

    /// The first time after `after`, without jitter.
    fn following(&self, after: Timestamp, tz: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Every { minutes } => after.checked_add(SignedDuration::from_mins(i64::from(*minutes))).ok(),
            Self::Cron(cron) => cron.following(after, tz),
        }
    }

    /// How much later than planned this instance starts, so that a thousand firms do not start at minute 0 (C05). A fixed
    /// part of the interval for a fixed `seed`, at most a tenth of it; at most five minutes for cron.
    fn jitter(&self, due: Timestamp, tz: &TimeZone, seed: u64) -> SignedDuration {
        if seed == 0 {
            return SignedDuration::ZERO;
        }
        let interval = match self {
            Self::Every { minutes } => SignedDuration::from_mins(i64::from(*minutes)),
            Self::Cron(_) => match self.following(due, tz) {
                Some(next) => next.duration_since(due),
                None => SignedDuration::ZERO,
            },
        };
        let max = match self {
            Self::Every { .. } => interval / 10,
            Self::Cron(_) => (interval / 10).min(CRON_JITTER_MAX),
        };
        let max_ms = u64::try_from(max.as_millis()).unwrap_or(0);
        let part = (u128::from(seed) * u128::from(max_ms)) >> 64;
        SignedDuration::from_millis(i64::try_from(part).unwrap_or(0))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every { minutes } if minutes % 60 == 0 => write!(f, "every {} hours", minutes / 60),
            Self::Every { minutes } => write!(f, "every {minutes} minutes"),
            Self::Cron(cron) => f.write_str(&cron.text),
        }
    }
}

/// When a schedule is due next, given when it last started (from the store) and now. It is due if the answer is not later
/// than `now`.
///
/// * Never started: due now.
/// * Any number of missed times are caught up by one start, because the start moves `last_start`.
/// * A last start in the future (a clock that was set back, C01) counts as now, so the schedule can never stand still.
/// * `seed` is stable per instance, e.g. the first eight bytes of a hash of the instance's id.
///
/// `None` only beyond the calendar's end.
pub fn next_due(
    schedule: &Schedule,
    last_start: Option<Timestamp>,
    now: Timestamp,
    tz: &TimeZone,
    seed: u64,
) -> Option<Timestamp> {
    let Some(last) = last_start else { return Some(now) };
    let due = schedule.following(last.min(now), tz)?;
    due.checked_add(schedule.jitter(due, tz, seed)).ok()
}

/// The queue of one (C04): while a run is under way, at most one more waits, and runs never overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    running: bool,
    pending: bool,
}

impl Slot {
    /// Something is due. True: start it now.
    #[must_use]
    pub fn offer(&mut self) -> bool {
        if self.running {
            self.pending = true;
            return false;
        }
        self.running = true;
        true
    }

    /// The run ended. True: the one that waited starts now.
    #[must_use]
    pub fn finish(&mut self) -> bool {
        self.running = std::mem::take(&mut self.pending);
        self.running
    }
}

impl Cron {
    fn month_matches(&self, date: Date) -> bool {
        bit(self.months, date.month())
    }

    fn day_matches(&self, date: Date) -> bool {
        let day = bit(self.days, date.day());
        let weekday = bit(self.weekdays, date.weekday().to_sunday_zero_offset());
        let either = match (self.any_day, self.any_weekday) {
            (false, false) => day || weekday,
            _ => day && weekday,
        };
        either && self.month_matches(date)
    }

    /// The first matching day on or after `from`.
    fn next_day(&self, from: Date) -> Option<Date> {
        let mut date = from;
        for _ in 0..CRON_DAYS_MAX {
            if self.day_matches(date) {
                return Some(date);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn following(&self, after: Timestamp, tz: &TimeZone) -> Option<Timestamp> {
        // A day is looked at whole, because a gap moves its times; the day before too, whose times a gap at midnight moves
        // into this one.
        let mut date = after.to_zoned(tz.clone()).date().yesterday().ok()?;
        loop {
            date = self.next_day(date)?;
            if let Some(found) = self.instants(date, tz).into_iter().filter(|t| *t > after).min() {
                return Some(found);
            }
            date = date.tomorrow().ok()?;
        }
    }

    /// Every instant of one civil day, unsorted. At most 1,440 plus a repeated hour.
    fn instants(&self, date: Date, tz: &TimeZone) -> Vec<Timestamp> {
        let mut found = Vec::new();
        for hour in (0..24i8).filter(|h| bit(self.hours, *h)) {
            for minute in (0..60i8).filter(|m| bit(self.minutes, *m)) {
                let Ok(time) = Time::new(hour, minute, 0, 0) else { continue };
                self.push_instant(date, time, tz, &mut found);
            }
        }
        found
    }

    /// A missing time runs at the first valid instant after the gap; a repeated one runs once, the first time (C03). With
    /// `*` for the hour a schedule means elapsed time, so both passes of a repeated hour count and a gap needs no standing-in.
    fn push_instant(&self, date: Date, time: Time, tz: &TimeZone, found: &mut Vec<Timestamp>) {
        let civil = date.to_datetime(time);
        let at = tz.to_ambiguous_timestamp(civil);
        match at.offset() {
            AmbiguousOffset::Unambiguous { offset } => found.extend(offset.to_timestamp(civil)),
            AmbiguousOffset::Fold { before, after } => {
                found.extend(before.to_timestamp(civil));
                if self.any_hour {
                    found.extend(after.to_timestamp(civil));
                }
            }
            AmbiguousOffset::Gap { before: _, after } => {
                if !self.any_hour
                    && let Ok(earlier) = after.to_timestamp(civil)
                    && let Some(change) = tz.following(earlier).next()
                {
                    found.push(change.timestamp());
                }
            }
        }
    }
}

fn bit(set: u64, n: i8) -> bool {
    u32::try_from(n).is_ok_and(|n| n < 64 && set >> n & 1 == 1)
}

fn parse_every(rest: &[&str]) -> Result<Schedule, String> {
    let help = "write \"every N minutes\" or \"every N hours\"";
    let (count, unit) = match rest {
        [unit] => (1, *unit),
        [count, unit] => (count.parse::<u32>().map_err(|_| format!("\"{count}\" is no whole number; {help}"))?, *unit),
        _ => return Err(help.to_owned()),
    };
    let factor = match unit {
        "minute" | "minutes" => 1,
        "hour" | "hours" => 60,
        _ => return Err(format!("\"{unit}\" is neither minutes nor hours; {help}")),
    };
    match count.checked_mul(factor) {
        Some(minutes @ 1..=EVERY_MINUTES_MAX) => Ok(Schedule::Every { minutes }),
        _ => Err("an interval is at least 1 minute and at most 168 hours".to_owned()),
    }
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// 0 and 7 are both Sunday.
fn weekdays(text: &str) -> Result<u64, String> {
    let set = field(text, "day of the week", 0, 7, &WEEKDAYS)?;
    Ok((set | set >> 7) & 0x7f)
}

/// One field: `*`, `5`, `1-5`, `*/15`, `1-30/2`, names, and lists of these.
fn field(text: &str, what: &str, min: u32, max: u32, names: &[&str]) -> Result<u64, String> {
    let wrong = || format!("\"{text}\" is no {what}: use {min} to {max}, *, lists, ranges and steps");
    let number = |word: &str| -> Result<u32, String> {
        let lower = word.to_ascii_lowercase();
        let named = names.iter().position(|n| *n == lower).and_then(|i| u32::try_from(i).ok()).map(|i| i + min);
        let digits = !word.is_empty() && word.len() <= 2 && word.bytes().all(|b| b.is_ascii_digit());
        let value = named.or_else(|| digits.then(|| word.parse().ok()).flatten());
        value.filter(|v| (min..=max).contains(v)).ok_or_else(wrong)
    };
    let mut set = 0u64;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, number_of_step(step).ok_or_else(wrong)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (min, max),
            Some((a, b)) => (number(a)?, number(b)?),
            None if part.contains('/') => return Err(format!("\"{part}\": a step needs * or a range before it")),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return Err(format!("\"{range}\" of the {what} runs backwards"));
        }
        (from..=to).step_by(step).for_each(|n| set |= 1 << n);
    }
    Ok(set)
}

fn number_of_step(text: &str) -> Option<usize> {
    text.parse().ok().filter(|n| (1..=59).contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    const ZONES: [&str; 20] = [
        "Pacific/Auckland",
        "Pacific/Chatham",
        "Pacific/Apia",
        "Australia/Lord_Howe",
        "Australia/Sydney",
        "Asia/Tehran",
        "Asia/Beirut",
        "Asia/Gaza",
        "Africa/Cairo",
        "Africa/Casablanca",
        "Europe/London",
        "Europe/Berlin",
        "Europe/Dublin",
        "America/Sao_Paulo",
        "America/Santiago",
        "America/Asuncion",
        "America/New_York",
        "America/Los_Angeles",
        "America/St_Johns",
        "Antarctica/Troll",
    ];

    #[test]
    fn c03_every_day_runs_exactly_once_in_20_zones_over_10_years() {
        // Midnight, 01:30 and 02:30 are the times that some of these zones skip or repeat.
        for time in ["0 0", "30 1", "30 2"] {
            let schedule = Schedule::parse(&format!("{time} * * *")).unwrap();
            for name in ZONES {
                let tz = zone(name);
                let first = Date::constant(2011, 1, 2);
                let mut last = first.yesterday().unwrap().at(12, 0, 0, 0).to_zoned(tz.clone()).unwrap().timestamp();
                let mut day = first;
                while day < Date::constant(2021, 1, 2) {
                    let due = next_due(&schedule, Some(last), last, &tz, 0).unwrap();
                    // The Samoan 30 December 2011 does not exist: its run stands in at the start of the 31st, and is that
                    // day's own run if that is midnight.
                    let skipped = name == "Pacific/Apia" && day == Date::constant(2011, 12, 30);
                    if skipped && time == "0 0" {
                        day = day.tomorrow().unwrap();
                        continue;
                    }
                    let expected = if skipped { Date::constant(2011, 12, 31) } else { day };
                    assert_eq!(due.to_zoned(tz.clone()).date(), expected, "{name} {time} {day}");
                    assert!(due > last);
                    last = due;
                    day = day.tomorrow().unwrap();
                }
            }
        }
    }

    #[test]
    fn c03_a_missing_time_runs_at_the_first_valid_instant_and_a_repeated_one_the_first_time() {
        let tz = zone("Europe/Berlin");
        let half_past_two = Schedule::parse("30 2 * * *").unwrap();
        let next = |last: &str| next_due(&half_past_two, Some(at(last)), at(last), &tz, 0).unwrap();
        assert_eq!(next("2026-03-28T12:00:00Z"), at("2026-03-29T01:00:00Z"), "03:00 summer time");
        assert_eq!(next("2026-10-24T12:00:00Z"), at("2026-10-25T00:30:00Z"), "the first 02:30");
        assert_eq!(next("2026-10-25T00:30:00Z"), at("2026-10-26T01:30:00Z"), "not the second 02:30");
        let often = Schedule::parse("*/30 * * * *").unwrap();
        let mut now = at("2026-10-24T23:45:00Z");
        for _ in 0..8 {
            let due = next_due(&often, Some(now), now, &tz, 0).unwrap();
            assert!(
                due.duration_since(now) <= SignedDuration::from_mins(30),
                "no hole in a repeated hour: {now} {due}"
            );
            now = due;
        }
    }

    #[test]
    fn c03_the_zone_is_the_firms_not_a_frozen_offset() {
        let schedule = Schedule::parse("30 6 * * *").unwrap();
        let tz = zone("Pacific/Auckland");
        let winter = next_due(&schedule, Some(at("2026-07-01T00:00:00Z")), at("2026-07-01T00:00:00Z"), &tz, 0).unwrap();
        let summer = next_due(&schedule, Some(at("2026-12-01T00:00:00Z")), at("2026-12-01T00:00:00Z"), &tz, 0).unwrap();
        assert_eq!((winter, summer), (at("2026-07-01T18:30:00Z"), at("2026-12-01T17:30:00Z")));
    }

    #[test]
    fn a_missed_night_is_caught_up_once() {
        let (schedule, tz) = (Schedule::parse("30 6 * * *").unwrap(), TimeZone::UTC);
        let now = at("2026-11-21T09:00:00Z");
        let due = next_due(&schedule, Some(at("2026-11-17T06:30:00Z")), now, &tz, 0).unwrap();
        assert!(due <= now, "four nights were missed");
        assert_eq!(
            next_due(&schedule, Some(now), now, &tz, 0),
            Some(at("2026-11-22T06:30:00Z")),
            "one start pays for all"
        );
        assert_eq!(next_due(&schedule, None, now, &tz, 0), Some(now), "never started");
    }

    #[test]
    fn c01_a_clock_set_back_does_not_stop_the_schedule() {
        let (schedule, tz) = (Schedule::parse("every 5 minutes").unwrap(), TimeZone::UTC);
        let now = at("2026-11-21T09:00:00Z");
        let due = next_due(&schedule, Some(at("2027-11-21T09:00:00Z")), now, &tz, u64::MAX).unwrap();
        assert!(due > now && due <= at("2026-11-21T09:05:30Z"), "{due}");
    }

    #[test]
    fn c04_runs_never_overlap_and_one_at_most_waits() {
        let mut slot = Slot::default();
        assert!(slot.offer());
        assert!(!slot.offer() && !slot.offer() && !slot.offer());
        assert!(slot.finish(), "the one that waited");
        assert!(!slot.finish(), "the others were the same one");
        assert!(slot.offer());
    }

    proptest! {
        #[test]
        fn c05_jitter_is_stable_and_at_most_a_tenth(seed: u64, minutes in 1u32..10_000, start in 0i64..4_000_000_000) {
            let schedule = Schedule::Every { minutes };
            let last = Timestamp::from_second(start).unwrap();
            let due = next_due(&schedule, Some(last), last, &TimeZone::UTC, seed).unwrap();
            prop_assert_eq!(Some(due), next_due(&schedule, Some(last), last, &TimeZone::UTC, seed));
            let (late, interval) = (due.duration_since(last).as_secs_f64(), f64::from(minutes) * 60.0);
            prop_assert!(late >= interval && late <= interval * 1.1);
        }

        #[test]
        fn what_is_due_next_is_later_and_matches(
            minute in 0u32..60, hour in 0u32..24, start in 1_500_000_000i64..2_000_000_000, z in 0usize..20,
        ) {
            let schedule = Schedule::parse(&format!("{minute} {hour} * * 1-5")).unwrap();
            let (tz, last) = (zone(ZONES[z]), Timestamp::from_second(start).unwrap());
            let due = schedule.following(last, &tz).unwrap();
            prop_assert!(due > last && due.duration_since(last).as_hours() <= 24 * 4 + 1);
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}") {
            let _ = Schedule::parse(&text);
        }
    }

    #[test]
    fn c06_days_that_few_months_have() {
        let tz = TimeZone::UTC;
        let next = |cron: &str, last: &str| Schedule::parse(cron).unwrap().following(at(last), &tz).unwrap();
        assert_eq!(next("0 0 31 * *", "2026-01-31T00:00:00Z"), at("2026-03-31T00:00:00Z"));
        assert_eq!(next("0 0 29 2 *", "2026-01-31T00:00:00Z"), at("2028-02-29T00:00:00Z"));
        assert_eq!(next("0 0 1 * mon", "2026-11-21T00:00:00Z"), at("2026-11-23T00:00:00Z"), "either day field");
        assert_eq!(next("0 0 * * 7", "2026-11-21T00:00:00Z"), at("2026-11-22T00:00:00Z"), "7 is Sunday");
        assert_eq!(next("0 0 1 1 *", "2038-01-19T03:14:07Z"), at("2039-01-01T00:00:00Z"));
    }

    #[test]
    fn what_is_no_schedule_is_refused_in_words() {
        for (text, part) in [
            ("", "no schedule"),
            ("daily", "no schedule"),
            ("* * * *", "no schedule"),
            ("61 * * * *", "minute"),
            ("* 24 * * *", "hour"),
            ("* * 0 * *", "day of the month"),
            ("* * * 13 *", "month"),
            ("* * * * 8", "day of the week"),
            ("5/2 * * * *", "step"),
            ("*/0 * * * *", "minute"),
            ("30-10 * * * *", "backwards"),
            ("0 0 31 2 *", "no year has"),
            ("every 0 minutes", "at least 1 minute"),
            ("every 200 hours", "at most 168 hours"),
            ("every 4294967295 hours", "at most"),
            ("every five minutes", "whole number"),
            ("every 5 seconds", "neither"),
        ] {
            let error = Schedule::parse(text).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
        for text in ["every 5 minutes", "every 2 hours", "30 6 * * *", "*/5 8-18 * jan,jul mon-fri"] {
            assert_eq!(Schedule::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Schedule::parse("every hour").unwrap(), Schedule::Every { minutes: 60 });
    }
}
