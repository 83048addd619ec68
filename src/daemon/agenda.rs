//! What is due, from when things last began. Pure: both clocks are parameters.
//!
//! Intervals are measured by the monotonic clock while the process lives, so that a wall clock that is set forward starts
//! no storm and one that is set back no silence (C01). Cron times are the wall clock's, and wait after a jump.

use std::{collections::BTreeMap, time::Duration};

use jiff::SignedDuration;
use ledgerward_contract::Timestamp;

use super::schedule::{Schedule, next_due};
use crate::config::Config;

/// More than this between the clocks is a jump.
const JUMP: SignedDuration = SignedDuration::from_mins(5);
/// So long after a jump no cron time is believed: a clock that was set wrong is often set right soon.
const DOUBT: Duration = Duration::from_secs(600);
/// Upkeep of the state.
const DAILY: Schedule = Schedule::Every { minutes: 24 * 60 };
/// How often the age of idle sign-ins is looked at.
const HOURLY: Schedule = Schedule::Every { minutes: 60 };

/// What the worker can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Ledgers whose first absence waits for its second reading.
    Reread,
    /// Everything: people, folders, files.
    Statements,
    /// People and folders.
    Access,
    /// Backup, integrity, reminders.
    Daily,
    /// Refreshes sign-ins that nobody uses.
    KeepAlive,
}

impl Job {
    /// The schedules that this start counts for. A statements cycle does all that an access cycle does.
    pub const fn pays_for(self) -> &'static [&'static str] {
        match self {
            Self::Reread => &[],
            Self::Statements => &["statements", "access"],
            Self::Access => &["access"],
            Self::Daily => &["daily"],
            Self::KeepAlive => &["keep-alive"],
        }
    }

    /// As the run is recorded.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Reread => "reread",
            Self::Statements => "statements",
            Self::Access => "access",
            Self::Daily => "daily",
            Self::KeepAlive => "keep-alive",
        }
    }

    pub const fn status(self) -> &'static str {
        match self {
            Self::Reread => "Reading again who was missing",
            Self::Statements => "Checking access and delivering statements",
            Self::Access => "Checking access",
            Self::Daily => "Daily upkeep",
            Self::KeepAlive => "Refreshing idle sign-ins",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Start {
    wall: Timestamp,
    /// Since the process began; `None`: it began in an earlier process.
    mono: Option<Duration>,
}

/// The memory of the scheduler.
#[derive(Debug)]
pub struct Agenda {
    last: BTreeMap<String, Start>,
    seed: u64,
    /// Both clocks at one moment.
    anchor: (Timestamp, Duration),
    doubt_until: Duration,
}

impl Agenda {
    /// `last` as it is stored; `seed` is stable for an instance (C05).
    pub fn new(last: BTreeMap<String, Timestamp>, now: Timestamp, seed: u64) -> Self {
        let last = last.into_iter().map(|(name, wall)| (name, Start { wall, mono: None })).collect();
        Self { last, seed, anchor: (now, Duration::ZERO), doubt_until: Duration::ZERO }
    }

    pub fn started(&mut self, name: &str, now: Timestamp, mono: Duration) {
        self.last.insert(name.to_owned(), Start { wall: now, mono: Some(mono) });
    }

    /// Compares the clocks. `Some`: the wall clock was set by so much since the last look.
    pub fn clock(&mut self, now: Timestamp, mono: Duration) -> Option<SignedDuration> {
        let (wall, then) = self.anchor;
        self.anchor = (now, mono);
        let jump = now.duration_since(wall) - signed(mono.saturating_sub(then));
        if jump.abs() <= JUMP {
            return None;
        }
        self.doubt_until = mono + DOUBT;
        Some(jump)
    }

    /// The one thing to start now, the most pressing first.
    pub fn due(&self, config: &Config, now: Timestamp, mono: Duration, rereads: bool) -> Option<Job> {
        let tz = &config.firm.timezone;
        let is = |name: &str, schedule: &Schedule, seed: u64| {
            let last = self.last.get(name);
            if let (Schedule::Every { .. }, Some(Start { wall, mono: Some(then) })) = (schedule, last) {
                let passed = wall.checked_add(signed(mono.saturating_sub(*then))).unwrap_or(*wall);
                return next_due(schedule, Some(*wall), passed, tz, seed).is_some_and(|at| at <= passed);
            }
            mono >= self.doubt_until
                && next_due(schedule, last.map(|l| l.wall), now, tz, seed).is_some_and(|at| at <= now)
        };
        let all = [
            (Job::Reread, rereads),
            (Job::Statements, is("statements", &config.schedule.statements, self.seed)),
            (Job::Access, is("access", &config.schedule.access, self.seed)),
            (Job::KeepAlive, is("keep-alive", &HOURLY, 0)),
            (Job::Daily, is("daily", &DAILY, 0)),
        ];
        all.into_iter().find_map(|(job, due)| due.then_some(job))
    }
}

fn signed(d: Duration) -> SignedDuration {
    SignedDuration::try_from(d).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn config(access: &str, statements: &str) -> Config {
        let text = format!(
            "version = 1\n[firm]\nname = \"F\"\ndomains = [\"f.example\"]\ntimezone = \"UTC\"\n[schedule]\naccess = \"{access}\"\nstatements = \"{statements}\"\n"
        );
        let parsed = crate::config::parse(&text, &[]);
        assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
        parsed.config.unwrap()
    }

    fn mins(n: u64) -> Duration {
        Duration::from_secs(60 * n)
    }

    /// As the loop does it: look, start, look again, until nothing is due.
    fn starts(agenda: &mut Agenda, config: &Config, now: Timestamp, mono: Duration) -> Vec<Job> {
        let mut all = Vec::new();
        while let Some(job) = agenda.due(config, now, mono, false) {
            for name in job.pays_for() {
                agenda.started(name, now, mono);
            }
            all.push(job);
        }
        all
    }

    #[test]
    fn a_missed_night_is_made_up_for_by_one_statements_cycle() {
        let now = at("2026-11-21T09:00:00Z");
        let last = ["statements", "access", "daily", "keep-alive"].map(|n| (n.to_owned(), at("2026-11-17T06:30:00Z")));
        let mut agenda = Agenda::new(last.into(), now, 0);
        let config = config("every 5 minutes", "30 6 * * *");
        assert_eq!(starts(&mut agenda, &config, now, Duration::ZERO), [Job::Statements, Job::KeepAlive, Job::Daily]);
        assert_eq!(starts(&mut agenda, &config, at("2026-11-21T09:05:00Z"), mins(5)), [Job::Access]);
    }

    #[test]
    fn c01_a_year_forward_starts_nothing_and_a_day_back_stops_nothing() {
        let now = at("2026-11-21T09:00:00Z");
        let mut agenda = Agenda::new(BTreeMap::new(), now, 0);
        let config = config("every 5 minutes", "30 6 * * *");
        starts(&mut agenda, &config, now, Duration::ZERO);

        let year = at("2027-11-21T09:01:00Z");
        assert_eq!(agenda.clock(year, mins(1)).map(|j| j.as_hours()), Some(365 * 24));
        assert_eq!(starts(&mut agenda, &config, year, mins(1)), [], "neither the interval nor the 365 nights");

        let back = at("2026-11-20T09:05:00Z");
        assert!(agenda.clock(back, mins(5)).is_some());
        assert_eq!(starts(&mut agenda, &config, back, mins(5)), [Job::Access], "by the monotonic clock");
        assert_eq!(agenda.clock(at("2026-11-20T09:06:00Z"), mins(6)), None, "one jump is told once");
    }

    #[test]
    fn c01_a_jump_that_stays_costs_one_cycle_after_ten_minutes() {
        let now = at("2026-11-21T09:00:00Z");
        let mut agenda = Agenda::new(BTreeMap::new(), now, 0);
        let config = config("every 2 hours", "30 6 * * *");
        starts(&mut agenda, &config, now, Duration::ZERO);
        let later = at("2026-11-29T09:01:00Z");
        agenda.clock(later, mins(1));
        assert_eq!(starts(&mut agenda, &config, later, mins(1)), []);
        let believed = at("2026-11-29T09:12:00Z");
        assert_eq!(starts(&mut agenda, &config, believed, mins(12)), [Job::Statements]);
    }

    #[test]
    fn c05_a_reading_again_goes_first() {
        let now = at("2026-11-21T09:00:00Z");
        let agenda = Agenda::new(BTreeMap::new(), now, 0);
        let config = config("every 5 minutes", "30 6 * * *");
        assert_eq!(agenda.due(&config, now, Duration::ZERO, true), Some(Job::Reread));
    }
}
