//! `kill -9` at any moment of a sync, again and again, while the firm goes on living: after the next run nothing is missing,
//! doubled or half there. `LEDGERWARD_KILLS` sets how often (12), `LEDGERWARD_SEED` repeats one course of events.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helpers fail the test")]

mod common;

use std::{collections::BTreeSet, env, thread, time::Duration};

use common::{CLIENTS, Firm};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// A client, and who was let into its folder by hand.
type ByHand = BTreeSet<(&'static str, String)>;

/// Something that makes the next sync write: an access that changes, or books that do.
fn live(firm: &Firm, random: &mut StdRng, day: u64, shared: &mut ByHand) {
    let client = CLIENTS[random.random_range(0..CLIENTS.len())];
    let who = ["bob", "cleo"][random.random_range(0..2)];
    let user = format!("{who}@harbour.example");
    match random.random_range(0..4) {
        0 => drop(firm.at("xero", "set_role", json!({"tenant": client, "user": user, "role": "REMOVED"}))),
        1 => drop(firm.at("xero", "set_role", json!({"tenant": client, "user": user, "role": "FINANCIALADVISER"}))),
        2 => {
            let month = jiff::Zoned::now().date().first_of_month().saturating_sub(jiff::Span::new().months(1));
            let date = month.saturating_add(jiff::Span::new().days(i64::try_from(day % 28).unwrap()));
            let what = json!({"date": date, "type": "SPEND", "bank": "090", "account": "404", "amount": "12.50"});
            firm.at("xero", "post_transaction", json!({"tenant": client, "transaction": what}));
            // A sync reads a month again when a week has gone by; a person may ask for it at once.
            firm.state(|db| {
                let keys: Vec<String> = db.doc_all::<serde_json::Value>("statement_read")?.into_keys().collect();
                keys.iter().try_for_each(|key| db.doc_delete("statement_read", key).map(drop))
            });
        }
        _ => {
            firm.at("drive", "share", json!({"file": client, "type": "user", "email": user, "role": "writer"}));
            shared.insert((client, user));
        }
    }
}

#[test]
fn d01_killed_at_any_moment_of_a_sync_and_whole_after_the_next() {
    let (kills, seed) = (number("LEDGERWARD_KILLS", 12), number("LEDGERWARD_SEED", 7));
    let mut random = StdRng::seed_from_u64(seed);
    let firm = Firm::at_rest();
    firm.check_whole("at rest");
    let (mut landed, mut day) = (0, 0);
    let (mut usual, mut shared) = (Duration::from_millis(1_000), ByHand::new());
    // A sync that ended before its kill proves nothing and is not counted.
    while landed < kills && day < kills * 4 {
        day += 1;
        live(&firm, &mut random, day, &mut shared);
        if random.random_range(0..4) == 0 {
            // So that a renewal is among what is killed.
            firm.age_tokens();
        }
        let delay = usual.mul_f64(random.random::<f64>());
        let mut child = firm.start_sync();
        thread::sleep(delay);
        let ended = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        landed += u64::from(!ended);
        // A sync takes as long as it has to do: the delays follow it.
        usual = usual.mul_f64(if ended { 0.6 } else { 1.2 }).clamp(Duration::from_millis(100), Duration::from_secs(4));
        if day % 4 == 0 {
            let what = format!("seed {seed}, after kill {day}");
            settle(&firm, &what, std::mem::take(&mut shared));
        }
    }
    settle(&firm, &format!("seed {seed}, at the end"), shared);
    assert_eq!(landed, kills, "of {day} kills only so many hit a running sync");
}

/// Comes to rest within three runs without anybody signing in, and is whole; one more run writes nothing anywhere.
fn settle(firm: &Firm, what: &str, shared: ByHand) {
    let mut told = firm.sync();
    for _ in 0..2 {
        if told.exit == 0 {
            break;
        }
        assert!([3, 5].contains(&told.exit), "{what}: {told:?}");
        by_hand(firm);
        told = firm.sync();
    }
    assert_eq!(told.exit, 0, "{what}: it does not come to rest: {told:?}");
    // Who was let in by hand and is entitled stays, and is not ours: to be whole, every entry has to be.
    let owned: BTreeSet<(String, String)> = firm.state(|db| {
        let rows = db.owned()?.into_values().flatten();
        Ok(rows.map(|r| (r.grant.folder.to_string(), r.grant.who.to_string())).collect())
    });
    for (id, name, people) in firm.folders() {
        for who in people {
            if shared.contains(&(name.as_str(), who.clone())) && !owned.contains(&(id.clone(), who.clone())) {
                firm.at("drive", "unshare", json!({"file": name, "email": who}));
            }
        }
    }
    assert_eq!(firm.sync().exit, 0, "{what}: whoever was let in by hand is not let in anew");
    firm.check_whole(what);
    let before = firm.writes();
    assert_eq!(firm.sync().exit, 0, "{what}");
    assert_eq!(firm.writes(), before, "{what}: a sync at rest wrote something");
}

/// The owner approves what is held, and takes people off who were let in by hand and may not be there.
fn by_hand(firm: &Firm) {
    firm.approve_all();
    let access = firm.access();
    for (client, people) in firm.lists() {
        for who in people.difference(access.get(&client).unwrap_or(&BTreeSet::new())) {
            firm.at("drive", "unshare", json!({"file": client, "email": who}));
        }
    }
}
