//! Which periods there are: months, quarters and years by the client's own financial year (`product` 6, `decisions` 23).
//!
//! Everything is counted in months of the financial year. A year that ends on the last day of its month has calendar
//! months; one that ends on 5 April has months from the 6th to the 5th. A month is named after the day it ends on.

use ledgerward_contract::{Date, Period, PeriodLength};

/// The last day of a financial year. 28 and 29 February both mean the last of February.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct YearEnd {
    month: i8,
    day: i8,
}

impl YearEnd {
    /// 31 December.
    pub const CALENDAR: Self = Self { month: 12, day: 31 };

    /// `None` where there is no such day in any year.
    pub fn new(month: i8, day: i8) -> Option<Self> {
        // 2000 is a leap year, so 29 February is a day.
        Date::new(2000, month, day).ok().map(|_| Self { month, day })
    }

    /// The period of this length that contains a day.
    pub fn containing(self, day: Date, length: PeriodLength) -> Period {
        let mut month = index(day);
        if day > self.month_end(month) {
            month += 1;
        }
        let size = months(length);
        // Where the month stands in its financial year, 0 for the first.
        let place = (month - i32::from(self.month)).rem_euclid(12);
        self.ending(month + size - 1 - place % size, length)
    }

    pub fn next(self, period: &Period) -> Period {
        self.ending(self.last_month(period) + months(period.length), period.length)
    }

    pub fn previous(self, period: &Period) -> Period {
        self.ending(self.last_month(period) - months(period.length), period.length)
    }

    /// The calendar year in which the financial year around this period ends: `{year}`.
    pub fn year(self, period: &Period) -> i16 {
        self.containing(period.end, PeriodLength::Year).end.year()
    }

    /// `2026-10`, `2026-Q2` (second quarter of the financial year that ends in 2026) or `FY2026`: `{period}`.
    pub fn label(self, period: &Period) -> String {
        match period.length {
            PeriodLength::Month => format!("{:04}-{:02}", period.end.year(), period.end.month()),
            PeriodLength::Quarter => {
                let place = (self.last_month(period) - i32::from(self.month)).rem_euclid(12);
                format!("{:04}-Q{}", self.year(period), place / 3 + 1)
            }
            PeriodLength::Year => format!("FY{:04}", self.year(period)),
        }
    }

    /// The period a label names. `None` for anything that [`YearEnd::label`] would not write.
    pub fn parse(self, label: &str) -> Option<Period> {
        let (year, length, place) = if let Some(year) = label.strip_prefix("FY") {
            (year, PeriodLength::Year, 0)
        } else {
            let (year, rest) = label.split_once('-')?;
            match rest.strip_prefix('Q') {
                Some(quarter) => (year, PeriodLength::Quarter, quarter.parse().ok().filter(|q| (1..=4).contains(q))?),
                None => (year, PeriodLength::Month, rest.parse().ok().filter(|m| (1..=12).contains(m))?),
            }
        };
        let year: i32 = year.parse::<u16>().ok().filter(|y| (1..=9998).contains(y))?.into();
        let year_end = year * 12 + i32::from(self.month) - 1;
        let period = match length {
            PeriodLength::Year => self.ending(year_end, length),
            PeriodLength::Quarter => self.ending(year_end - 12 + 3 * place, length),
            PeriodLength::Month => self.ending(year * 12 + place - 1, length),
        };
        (self.label(&period) == label).then_some(period)
    }

    /// The periods that are due, oldest first: those since the one that contains `since`, whose end lies at least
    /// `after_days` days back. The day on which a period ends is never after it, so 0 counts as 1.
    pub fn due(self, length: PeriodLength, since: Date, today: Date, after_days: u16) -> Vec<Period> {
        let mut due = Vec::new();
        let mut period = self.containing(since, length);
        while is_due(&period, today, after_days) {
            due.push(period);
            let next = self.next(&period);
            if next.end <= period.end {
                break;
            }
            period = next;
        }
        due
    }

    /// The last `count` due periods, oldest first, that the ledger can still change: those that end after its lock date.
    /// They are read again every week, because a restatement is found in no other way.
    pub fn recheck(
        self,
        length: PeriodLength,
        today: Date,
        after_days: u16,
        locked_to: Option<Date>,
        count: usize,
    ) -> Vec<Period> {
        let mut period = self.containing(today, length);
        while !is_due(&period, today, after_days) {
            let before = self.previous(&period);
            if before.end >= period.end {
                return Vec::new();
            }
            period = before;
        }
        let mut found: Vec<Period> = std::iter::successors(Some(period), |p| Some(self.previous(p)))
            .take(count)
            .take_while(|p| locked_to.is_none_or(|locked| p.end > locked))
            .collect();
        found.reverse();
        found
    }

    /// The period whose last month has this index.
    fn ending(self, month: i32, length: PeriodLength) -> Period {
        let before = self.month_end(month - months(length));
        Period { start: before.tomorrow().unwrap_or(Date::MAX), end: self.month_end(month), length }
    }

    fn last_month(self, period: &Period) -> i32 {
        index(period.end)
    }

    /// The last day of the financial month that ends in this calendar month.
    fn month_end(self, month: i32) -> Date {
        let (year, number) = (month.div_euclid(12), month.rem_euclid(12) + 1);
        let (Ok(year), Ok(number)) = (i16::try_from(year), i8::try_from(number)) else { return Date::MAX };
        let Ok(first) = Date::new(year, number, 1) else { return Date::MAX };
        let last = first.days_in_month();
        let day = if self.at_month_end() { last } else { self.day.min(last) };
        Date::new(year, number, day).unwrap_or(Date::MAX)
    }

    fn at_month_end(self) -> bool {
        Date::new(2001, self.month, 1).is_ok_and(|first| self.day >= first.days_in_month())
    }
}

/// `today - after_days` is on or after the end, and the end is over.
fn is_due(period: &Period, today: Date, after_days: u16) -> bool {
    let wait = jiff::Span::new().days(i32::from(after_days.max(1)));
    period.end.checked_add(wait).is_ok_and(|ripe| today >= ripe)
}

const fn months(length: PeriodLength) -> i32 {
    match length {
        PeriodLength::Month => 1,
        PeriodLength::Quarter => 3,
        PeriodLength::Year => 12,
    }
}

/// Months since year 0.
fn index(day: Date) -> i32 {
    i32::from(day.year()) * 12 + i32::from(day.month()) - 1
}

#[cfg(test)]
#[path = "period_tests.rs"]
mod tests;
