//! When a sign-in has to be used, and when somebody has to be told that it will end (T12).

use std::time::Duration;

use ledgerward_contract::{OAuthSpec, Timestamp};

/// The longest pause between two refreshes, whatever the vendor allows (`decisions` 30).
pub const PAUSE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// When the next refresh is due: a quarter of the idle lifetime after the last one, at most 7 days.
pub fn next_refresh_due(spec: &OAuthSpec, last_refreshed: Timestamp) -> Timestamp {
    let pause = spec.idle_lifetime.map_or(PAUSE_MAX, |idle| (idle / 4).min(PAUSE_MAX));
    last_refreshed.saturating_add(pause).unwrap_or(Timestamp::MAX)
}

/// How urgent the end of a sign-in is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expiry {
    Far,
    /// Half of the time is gone.
    Half,
    /// Four fifths are gone.
    Near,
    Over,
}

/// Judges a sign-in by its idle limit and by its hard end, whichever is nearer. The hard end is the one that the vendor stated
/// (`hard_end`) or that of the consent, which was given at `issued_at`; the nearer of the two.
pub fn expiry(
    spec: &OAuthSpec,
    issued_at: Timestamp,
    last_refreshed: Timestamp,
    hard_end: Option<Timestamp>,
    now: Timestamp,
) -> Expiry {
    let idle_end = spec.idle_lifetime.map(|idle| last_refreshed.saturating_add(idle).unwrap_or(Timestamp::MAX));
    let idle = idle_end.map_or(Expiry::Far, |end| stage(last_refreshed, end, now));
    let consent_end = spec.consent_lifetime.map(|life| issued_at.saturating_add(life).unwrap_or(Timestamp::MAX));
    let hard = hard_end.into_iter().chain(consent_end).min().map_or(Expiry::Far, |end| stage(issued_at, end, now));
    idle.max(hard)
}

fn stage(start: Timestamp, end: Timestamp, now: Timestamp) -> Expiry {
    let (whole, gone) = (end.as_second() - start.as_second(), now.as_second() - start.as_second());
    match () {
        () if gone >= whole => Expiry::Over,
        () if gone * 5 >= whole * 4 => Expiry::Near,
        () if gone * 2 >= whole => Expiry::Half,
        () => Expiry::Far,
    }
}

#[cfg(test)]
mod tests {
    use ledgerward_contract::{ClientAuth, Rotation};

    use super::*;

    fn spec(idle_days: Option<u64>) -> OAuthSpec {
        OAuthSpec {
            authorize: ("identity", "/a"),
            token: ("identity", "/t"),
            revoke: None,
            client_auth: ClientAuth::Basic,
            rotation: Rotation::Stable,
            scopes: &[],
            extra: &[],
            idle_lifetime: idle_days.map(|d| Duration::from_secs(d * 86_400)),
            ..OAuthSpec::PLAIN
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn t12_a_quarter_of_the_idle_time_at_most_a_week() {
        let t = at("2026-01-01T00:00:00Z");
        let days = |idle| (next_refresh_due(&spec(idle), t).as_second() - t.as_second()) / 86_400;
        assert_eq!((days(Some(60)), days(Some(4)), days(None)), (7, 1, 7));
    }

    #[test]
    fn t12_warned_at_half_and_four_fifths_over_six_years() {
        let (start, hard) = (at("2026-01-01T00:00:00Z"), at("2031-01-01T00:00:00Z"));
        let spec = spec(Some(100));
        let (mut now, mut last, mut seen) = (start, start, Vec::new());
        while now < at("2032-01-01T00:00:00Z") {
            if now >= next_refresh_due(&spec, last) && now < hard {
                last = now;
            }
            let stage = expiry(&spec, start, last, Some(hard), now);
            if seen.last().is_none_or(|(s, _)| *s != stage) {
                seen.push((stage, now));
            }
            now = now.saturating_add(Duration::from_secs(86_400)).unwrap();
        }
        let stages: Vec<_> = seen.iter().map(|(s, _)| *s).collect();
        assert_eq!(stages, [Expiry::Far, Expiry::Half, Expiry::Near, Expiry::Over]);
        assert_eq!(seen[3].1, hard);
    }

    #[test]
    fn t12_a_consent_that_ends_is_warned_about_however_often_it_is_used() {
        let t = at("2026-01-01T00:00:00Z");
        let day = |n: u64| t.saturating_add(Duration::from_secs(n * 86_400)).unwrap();
        let yearly = OAuthSpec { consent_lifetime: Some(Duration::from_secs(365 * 86_400)), ..spec(Some(7)) };
        let on = |n: u64, hard_end| expiry(&yearly, t, day(n), hard_end, day(n));
        let stages = [Expiry::Far, Expiry::Half, Expiry::Near, Expiry::Over];
        assert_eq!([182, 183, 292, 365].map(|n| on(n, None)), stages);
        assert_eq!([49, 50, 80, 100].map(|n| on(n, Some(day(100)))), stages, "the nearer end counts");
        assert_eq!([182, 183, 292, 365].map(|n| on(n, Some(day(4_000)))), stages);
    }

    #[test]
    fn t12_an_idle_sign_in_is_warned_about() {
        let t = at("2026-01-01T00:00:00Z");
        let on = |day: u64| {
            let now = t.saturating_add(Duration::from_secs(day * 86_400)).unwrap();
            expiry(&spec(Some(60)), t, t, None, now)
        };
        assert_eq!([on(29), on(30), on(48), on(60)], [Expiry::Far, Expiry::Half, Expiry::Near, Expiry::Over]);
    }
}
