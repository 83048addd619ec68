//! `access --at`: what was on the lists at any instant, as the witness saw it then and as the product says it afterwards.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use ledgerward_contract::Timestamp;

use crate::{
    house::House,
    oracle::{Firm, Verdict},
    outside::{Folders, Moved},
};

type Pairs = BTreeSet<(String, String)>;

#[derive(Default)]
pub struct Past {
    /// After each cycle without faults: when it began and ended, and the lists then.
    kept: Vec<(Timestamp, Timestamp, Pairs)>,
    /// Cycles that were killed or had faults: what is written down of them may be a moment late.
    blurred: Vec<(Timestamp, Timestamp)>,
    steps: Vec<Moved>,
    /// When somebody came to the firm: what ledgers said of them before is nobody's fact.
    joined: BTreeMap<String, Timestamp>,
}

fn pairs(folders: &Folders) -> Pairs {
    let of = |(client, folder): (&String, &crate::outside::Folder)| {
        folder.people.iter().map(|who| (client.clone(), who.clone())).collect::<Vec<_>>()
    };
    folders.iter().flat_map(of).filter(|(_, who)| who != "anyone").collect()
}

impl Past {
    pub fn keep(&mut self, (begun, ended): (Timestamp, Timestamp), folders: Folders) {
        self.kept.push((begun, ended, pairs(&folders)));
    }

    pub fn blur(&mut self, span: (Timestamp, Timestamp)) {
        self.blurred.push(span);
    }

    pub fn join(&mut self, who: &str, at: Timestamp) {
        self.joined.insert(who.to_owned(), at);
    }

    pub fn step(&mut self, step: &Moved) {
        self.steps.push(step.clone());
    }

    /// How many instants were compared. `meddled`: pairs that people changed by hand, which are not ours to tell.
    pub fn check(&self, house: &mut House, firm: &Firm, meddled: &Pairs) -> usize {
        let mut count = 0;
        let mut at = |house: &mut House, t: Timestamp| -> Pairs {
            count += 1;
            let rows = house.state(move |db| db.applied_at(t));
            rows.into_iter().map(|r| (r.lane.folder.client.to_string(), r.who.to_string())).collect()
        };
        let second = SignedDuration::from_secs(1);
        for (n, (begun, ended, lists)) in self.kept.iter().enumerate() {
            let was: Pairs = lists.difference(meddled).cloned().collect();
            for t in [*ended, *ended + second] {
                let says: Pairs = at(house, t).difference(meddled).cloned().collect();
                assert_eq!(says, was, "access at {t}, after the cycle that began at {begun}");
            }
            // Until the next cycle begins nothing is applied.
            if let Some((next, ..)) = self.kept.get(n + 1)
                && !self.blurred.iter().any(|(from, to)| from <= next && to >= ended)
            {
                let says: Pairs = at(house, *next - second).difference(meddled).cloned().collect();
                assert_eq!(says, was, "access at {}, before the next cycle", *next - second);
            }
        }
        for step in self.steps.iter().filter(|s| !meddled.contains(&(s.client.clone(), s.who.clone()))) {
            let pair = (step.client.clone(), step.who.clone());
            let near = |o: &&Moved| {
                (o.client.clone(), o.who.clone()) == pair && o.at.duration_since(step.at).abs() <= second * 2
            };
            if self.steps.iter().filter(near).count() > 1 {
                continue;
            }
            let (before, after) = (at(house, step.at - second), at(house, step.at + second));
            assert_eq!(before.contains(&pair), !step.on, "a second before {step:?}");
            assert_eq!(after.contains(&pair), step.on, "a second after {step:?}");
        }
        self.days(house, firm, meddled);
        count + self.facts(house, firm)
    }

    /// The two other clocks, for the end of some days: what we knew then, and what we know now of that day. How many pairs
    /// were compared.
    fn facts(&self, house: &mut House, firm: &Firm) -> usize {
        let readings = house.outside.witness().readings.clone();
        let zone = jiff::tz::TimeZone::get("Pacific/Auckland").unwrap();
        let days: BTreeSet<_> = self.kept.iter().map(|(_, ended, _)| ended.to_zoned(zone.clone()).date()).collect();
        let mut count = 0;
        for day in days.iter().step_by((days.len() / 12).max(1)) {
            let end = day.tomorrow().unwrap().to_zoned(zone.clone()).unwrap().timestamp();
            // A reading at midnight is on the one day for the witness and on the other for the run that it was in.
            let near = |at: Timestamp| at.duration_since(end).abs() < SignedDuration::from_mins(30);
            if end > house.now() || readings.iter().any(|r| near(r.at)) {
                continue;
            }
            let told = house.must(&["access", "--at", &day.to_string()]).json;
            let granted = |clock: &str| -> Pairs {
                let yes = |r: &&serde_json::Value| {
                    let facts = r[clock].as_object().unwrap();
                    !facts.is_empty() && facts.values().all(|v| v == "granted")
                };
                let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
                let rows = told["rows"].as_array().unwrap().iter().filter(yes);
                rows.map(|r| (text(&r["client"]["id"]), text(&r["person"]["email"]))).collect()
            };
            let (known, ledger) = (granted("known"), granted("ledger"));
            for client in firm.clients.iter().filter(|c| !c.id.is_empty()) {
                for (who, joined) in &self.joined {
                    let pair = (client.id.clone(), who.clone());
                    let says = |at| firm.ledger(&readings, who, &client.tenant, *joined, at);
                    let then = says(end);
                    if then == Verdict::Unknown {
                        continue;
                    }
                    count += 1;
                    let wanted = then == Verdict::Yes;
                    assert_eq!(known.contains(&pair), wanted, "known at {day}: {pair:?}");
                    // Where the next reading says the same, nothing that we learnt later changes the day.
                    let next = readings.iter().find(|r| r.tenant == client.tenant && r.at > end);
                    if next.is_some_and(|next| says(next.at) == then) {
                        assert_eq!(ledger.contains(&pair), wanted, "the ledger at {day}, as known now: {pair:?}");
                    }
                }
            }
        }
        count
    }

    /// The command itself, for the end of some days.
    fn days(&self, house: &mut House, firm: &Firm, meddled: &Pairs) {
        let zone = jiff::tz::TimeZone::get("Pacific/Auckland").unwrap();
        let mut last: BTreeMap<jiff::civil::Date, &Pairs> = BTreeMap::new();
        for (_, ended, lists) in &self.kept {
            last.insert(ended.to_zoned(zone.clone()).date(), lists);
        }
        let blurred: BTreeSet<_> = self.blurred.iter().map(|(_, to)| to.to_zoned(zone.clone()).date()).collect();
        let step = (last.len() / 12).max(1);
        for (day, lists) in last.iter().filter(|(day, _)| !blurred.contains(day)).step_by(step) {
            let told = house.must(&["access", "--at", &day.to_string(), "--clock", "applied"]).json;
            let mut says = Pairs::new();
            for row in told["rows"].as_array().unwrap().iter().filter(|r| !r["applied"].as_array().unwrap().is_empty())
            {
                let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
                says.insert((text(&row["client"]["id"]), text(&row["person"]["email"])));
            }
            let says: Pairs = says.difference(meddled).cloned().collect();
            let was: Pairs = lists.difference(meddled).cloned().collect();
            assert_eq!(says, was, "access --at {day} ({} clients)", firm.clients.len());
        }
    }
}
