//! `access --at`: what was on the lists at any instant, as the witness saw it then and as the product says it afterwards.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use ledgerward_contract::Timestamp;

use crate::{
    house::House,
    oracle::Firm,
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
