//! A firm's life in fast motion, from one number (`design` 9.3): hires, leavers, hand-made sharing, vendors' bad hours, token
//! expiry, and death at any `await`. The real commands run in this process against the vendors' stand-ins, on a paused clock.
//!
//! * `LEDGERWARD_SEED=N` lives one more life; `LEDGERWARD_SIMULATION=N` lives N of them, from that seed on.
//! * `LEDGERWARD_DAYS=N` sets how long a life is; `LEDGERWARD_TRACE=1` prints its diary.
//!
//! A life that goes wrong prints the one command that replays it.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's helpers fail the test")]

#[path = "simulation/house.rs"]
mod house;
#[path = "simulation/life.rs"]
mod life;
#[path = "simulation/oracle.rs"]
mod oracle;
#[path = "simulation/outside.rs"]
mod outside;
#[path = "simulation/past.rs"]
mod past;

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
};

use life::{Life, Tally};

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|n| n.parse().ok())
}

fn days() -> u64 {
    number("LEDGERWARD_DAYS").unwrap_or(20)
}

/// One life. Gives what it came to, or fails with the command that lives it again.
fn live(seed: u64, days: u64) -> Tally {
    let mut diary = Vec::new();
    let lived = catch_unwind(AssertUnwindSafe(|| {
        let mut life = Life::new(seed);
        let lived = catch_unwind(AssertUnwindSafe(|| {
            for day in 1..=days {
                life.day();
                if day % 30 == 0 {
                    life.rest(&format!("at rest on day {day}"));
                }
            }
            life.rest("at rest at the end");
            life.past();
        }));
        diary.clone_from(&life.diary);
        (lived, life.tally)
    }));
    match lived {
        Ok((Ok(()), tally)) => tally,
        Ok((Err(_), _)) | Err(_) => {
            let from = diary.len().saturating_sub(60);
            for line in &diary[from..] {
                eprintln!("{line}");
            }
            panic!(
                "a life went wrong. To live it again:\n\n    LEDGERWARD_SEED={seed} LEDGERWARD_DAYS={days} \
                 cargo test --test simulation one_chosen_life -- --nocapture\n"
            );
        }
    }
}

#[test]
fn five_short_lives() {
    for seed in 1..=5 {
        println!("seed {seed}: {:?}", live(seed, days()));
    }
}

#[test]
fn one_chosen_life() {
    if let Some(seed) = number("LEDGERWARD_SEED") {
        println!("seed {seed}: {:?}", live(seed, days()));
    }
}

#[test]
fn as_many_lives_as_asked_for() {
    let (first, lives) = (number("LEDGERWARD_SEED").unwrap_or(1_000), number("LEDGERWARD_SIMULATION").unwrap_or(0));
    for seed in first..first + lives {
        println!("seed {seed}: {:?}", live(seed, days()));
    }
}
