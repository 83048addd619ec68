use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use PeriodLength::{Month, Quarter, Year};

fn ye(month: i8, day: i8) -> YearEnd {
    YearEnd::new(month, day).unwrap()
}

#[test]
fn periods_follow_the_clients_own_year() {
    let table = [
        // year end, a day, length -> start, end, label, {year}
        (ye(12, 31), date(2026, 10, 15), Month, date(2026, 10, 1), date(2026, 10, 31), "2026-10", 2026),
        (ye(12, 31), date(2026, 5, 1), Quarter, date(2026, 4, 1), date(2026, 6, 30), "2026-Q2", 2026),
        (ye(12, 31), date(2026, 12, 31), Year, date(2026, 1, 1), date(2026, 12, 31), "FY2026", 2026),
        (ye(3, 31), date(2026, 10, 15), Month, date(2026, 10, 1), date(2026, 10, 31), "2026-10", 2027),
        (ye(3, 31), date(2026, 4, 1), Quarter, date(2026, 4, 1), date(2026, 6, 30), "2027-Q1", 2027),
        (ye(3, 31), date(2026, 3, 31), Quarter, date(2026, 1, 1), date(2026, 3, 31), "2026-Q4", 2026),
        (ye(3, 31), date(2026, 4, 1), Year, date(2026, 4, 1), date(2027, 3, 31), "FY2027", 2027),
        (ye(6, 30), date(2026, 7, 1), Year, date(2026, 7, 1), date(2027, 6, 30), "FY2027", 2027),
        (ye(6, 30), date(2026, 12, 31), Quarter, date(2026, 10, 1), date(2026, 12, 31), "2027-Q2", 2027),
        // The last of February, however it is written and whatever the year.
        (ye(2, 28), date(2024, 2, 29), Year, date(2023, 3, 1), date(2024, 2, 29), "FY2024", 2024),
        (ye(2, 29), date(2023, 2, 28), Month, date(2023, 2, 1), date(2023, 2, 28), "2023-02", 2023),
        (ye(2, 28), date(2024, 3, 1), Quarter, date(2024, 3, 1), date(2024, 5, 31), "2025-Q1", 2025),
        // The British tax year.
        (ye(4, 5), date(2026, 4, 5), Month, date(2026, 3, 6), date(2026, 4, 5), "2026-04", 2026),
        (ye(4, 5), date(2026, 4, 6), Month, date(2026, 4, 6), date(2026, 5, 5), "2026-05", 2027),
        (ye(4, 5), date(2026, 4, 6), Year, date(2026, 4, 6), date(2027, 4, 5), "FY2027", 2027),
        // A day that some months do not have.
        (ye(3, 30), date(2026, 2, 28), Month, date(2026, 1, 31), date(2026, 2, 28), "2026-02", 2026),
    ];
    for (year_end, day, length, start, end, label, year) in table {
        let period = year_end.containing(day, length);
        assert_eq!(period, Period { start, end, length }, "{label}");
        assert_eq!(year_end.label(&period), label);
        assert_eq!(year_end.year(&period), year, "{label}");
        assert_eq!(year_end.parse(label), Some(period));
    }
}

#[test]
fn no_such_day_is_no_year_end() {
    for (month, day) in [(2, 30), (13, 1), (0, 1), (4, 31), (1, 0)] {
        assert_eq!(YearEnd::new(month, day), None);
    }
}

#[test]
fn labels_that_nobody_writes_are_refused() {
    for label in
        ["", "2026", "2026-13", "2026-0", "2026-1", "2026-Q5", "FY26", "FY-2026", "2026-+1", "20260-01", "fy2026"]
    {
        assert_eq!(YearEnd::CALENDAR.parse(label), None, "{label:?}");
    }
}

#[test]
fn due_waits_and_back_fills() {
    let labels = |since, today, after| -> Vec<String> {
        let year_end = ye(3, 31);
        year_end.due(Month, since, today, after).iter().map(|p| year_end.label(p)).collect()
    };
    assert_eq!(labels(date(2026, 8, 20), date(2026, 11, 4), 5), ["2026-08", "2026-09"]);
    assert_eq!(labels(date(2026, 8, 20), date(2026, 11, 5), 5), ["2026-08", "2026-09", "2026-10"]);
    assert_eq!(labels(date(2026, 10, 1), date(2026, 10, 31), 0), Vec::<String>::new());
    assert_eq!(labels(date(2026, 10, 1), date(2026, 11, 1), 0), ["2026-10"]);
    assert_eq!(labels(date(2027, 1, 1), date(2026, 11, 1), 0), Vec::<String>::new());
}

#[test]
fn recheck_stops_at_the_lock_date() {
    let labels = |length, locked: Option<Date>| -> Vec<String> {
        let year_end = ye(6, 30);
        year_end.recheck(length, date(2026, 11, 21), 5, locked, 3).iter().map(|p| year_end.label(p)).collect()
    };
    assert_eq!(labels(Month, None), ["2026-08", "2026-09", "2026-10"]);
    assert_eq!(labels(Month, Some(date(2026, 8, 31))), ["2026-09", "2026-10"]);
    assert_eq!(labels(Month, Some(date(2026, 9, 29))), ["2026-09", "2026-10"]);
    assert_eq!(labels(Month, Some(date(2026, 10, 31))), Vec::<String>::new());
    assert_eq!(labels(Quarter, None), ["2026-Q3", "2026-Q4", "2027-Q1"]);
    assert_eq!(labels(Year, None), ["FY2024", "FY2025", "FY2026"]);
}

fn any_year_end() -> impl Strategy<Value = YearEnd> {
    (1i8..=12, 1i8..=31).prop_filter_map("no such day", |(m, d)| YearEnd::new(m, d))
}
fn any_length() -> impl Strategy<Value = PeriodLength> {
    prop_oneof![Just(Month), Just(Quarter), Just(Year)]
}
fn any_day() -> impl Strategy<Value = Date> {
    (1950i16..2150, 1i8..=12, 1i8..=31).prop_filter_map("no such day", |(y, m, d)| Date::new(y, m, d).ok())
}

proptest! {
    #[test]
    fn periods_tile_the_calendar(year_end in any_year_end(), length in any_length(), day in any_day()) {
        let period = year_end.containing(day, length);
        prop_assert!(period.start <= day && day <= period.end);
        // Every day of it lies in it, checked at both ends, and its neighbours touch it.
        prop_assert_eq!(year_end.containing(period.start, length), period);
        prop_assert_eq!(year_end.containing(period.end, length), period);
        let next = year_end.next(&period);
        prop_assert_eq!(next.start, period.end.tomorrow().unwrap());
        prop_assert_eq!(year_end.containing(next.start, length), next);
        prop_assert_eq!(year_end.previous(&next), period);
    }

    #[test]
    fn a_label_names_one_period(year_end in any_year_end(), length in any_length(), day in any_day()) {
        let period = year_end.containing(day, length);
        prop_assert_eq!(year_end.parse(&year_end.label(&period)), Some(period));
    }

    #[test]
    fn twelve_months_and_four_quarters_are_the_year(year_end in any_year_end(), day in any_day()) {
        let year = year_end.containing(day, Year);
        for (length, count) in [(Month, 12), (Quarter, 4)] {
            let parts: Vec<Period> =
                std::iter::successors(Some(year_end.containing(year.start, length)), |p| Some(year_end.next(p))).take(count).collect();
            prop_assert_eq!(parts[0].start, year.start);
            prop_assert_eq!(parts[count - 1].end, year.end);
        }
    }

    #[test]
    fn due_and_recheck_agree(year_end in any_year_end(), length in any_length(), today in any_day(), after in 0u16..60) {
        let since = year_end.previous(&year_end.previous(&year_end.previous(&year_end.previous(
            &year_end.previous(&year_end.containing(today, length)))))).start;
        let due = year_end.due(length, since, today, after);
        let again = year_end.recheck(length, today, after, None, 2);
        prop_assert!(due.ends_with(&again), "{:?} {:?}", due, again);
    }
}
