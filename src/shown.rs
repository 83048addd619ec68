//! Access steps that somebody saw and published: publishing approves exactly these, and no guard holds them (`product` 7).

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use ledgerward_contract::{Email, FolderRole, Holder, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        firm::Firm,
        guard::Shown,
        lane::{Cause, Op, Step},
        plan::{Plan, Proposed},
        shift::Shift,
    },
    lanes::lane_text,
    store::{Db, Result},
};

/// By a lane's name: what was published for it and is perhaps not done yet.
const PUBLISHED: &str = "published_step";

/// An approval is good for a day at most (`decisions` 12), and this is one.
const GOOD_FOR: SignedDuration = SignedDuration::from_hours(24);

/// What one person has in a folder after it. `None`: nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    who: Email,
    role: Option<FolderRole>,
    at: Timestamp,
}

impl Published {
    fn is(&self, op: &Op) -> bool {
        match op {
            Op::Grant { who, role } | Op::SetRole { who, to: role, .. } => self.who == *who && self.role == Some(*role),
            Op::Revoke { who: Holder::Person(who), .. } => self.who == *who && self.role.is_none(),
            _ => false,
        }
    }
}

/// Writes down what was shown and published. `after`: the firm as it is by it.
pub fn publish(db: &mut Db, shifts: &[Shift], after: &Firm, now: Timestamp) -> Result<()> {
    let mut by_lane: BTreeMap<String, Vec<Published>> = BTreeMap::new();
    for shift in shifts {
        let Some(person) = after.people.get(&shift.person) else { continue };
        let who = person.address_on(&shift.lane.target).clone();
        let rows = by_lane.entry(lane_text(&shift.lane)).or_default();
        rows.extend(shift.address.iter().map(|(goes, _)| Published { who: goes.clone(), role: None, at: now }));
        rows.push(Published { who, role: shift.after, at: now });
    }
    for (key, mut rows) in db.doc_all::<Vec<Published>>(PUBLISHED)? {
        rows.retain(|r| good(r, now));
        // What is published later is what holds.
        let new = by_lane.remove(&key).unwrap_or_default();
        rows.retain(|r| new.iter().all(|n| n.who != r.who));
        rows.extend(new);
        if rows.is_empty() {
            db.doc_delete(PUBLISHED, &key)?;
        } else {
            db.doc_put(PUBLISHED, &key, &rows)?;
        }
    }
    by_lane.into_iter().try_for_each(|(key, rows)| db.doc_put(PUBLISHED, &key, &rows))
}

fn good(row: &Published, now: Timestamp) -> bool {
    row.at <= now && now.duration_since(row.at) < GOOD_FOR
}

/// What was published and is still good, by the lane's name.
#[derive(Debug)]
pub struct Steps(BTreeMap<String, Vec<Published>>);

impl Steps {
    pub fn read(db: &Db, now: Timestamp) -> Result<Self> {
        let mut all: BTreeMap<String, Vec<Published>> = db.doc_all(PUBLISHED)?;
        for rows in all.values_mut() {
            rows.retain(|r| good(r, now));
        }
        // What was done since is used up, whatever took it back.
        let times: BTreeSet<Timestamp> = all.values().flatten().map(|r| r.at).collect();
        for at in times {
            for (lane, op) in db.steps_done_since(at)? {
                let rows = all.get_mut(&lane_text(&lane));
                rows.into_iter().for_each(|rows| rows.retain(|r| r.at != at || !r.is(&op)));
            }
        }
        Ok(Self(all))
    }

    /// The steps of a plan that are just what was published. A target's first plan is shown and approved as one.
    pub fn of(&self, plan: &Plan<Proposed>) -> BTreeSet<Shown> {
        let mut all = BTreeSet::new();
        for lane in plan.lanes().iter().filter(|l| !l.first_plan) {
            let Some(rows) = self.0.get(&lane_text(&lane.lane)) else { continue };
            // What a source says is its own news, whatever was published: it may have changed since.
            let told = |step: &Step| matches!(step.reason.cause, Cause::Source { .. } | Cause::Drift);
            let published = |step: &&Step| !told(step) && rows.iter().any(|r| r.is(&step.op));
            let steps: Vec<&Step> = lane.steps.iter().filter(published).collect();
            // They need the folder.
            let made = lane.steps.iter().filter(|s| !steps.is_empty() && matches!(s.op, Op::Create { .. }));
            let shown = |s: &Step| Shown { lane: lane.lane.clone(), step: s.op.clone() };
            all.extend(made.map(shown));
            all.extend(steps.into_iter().map(shown));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use ledgerward_contract::{ClientId, FolderKey};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::{
        domain::{firm::TargetName, lane::LaneKey},
        store::{Intent, JournalOp, Options, Outcome},
    };

    #[test]
    fn a_published_step_is_approved_once_and_for_a_day() {
        let dir = tempfile::tempdir().unwrap();
        let hour = |n: i64| Timestamp::from_second(n * 3600).unwrap();
        let mut db = Db::open(Options::new(dir.path().join("state"), hour(1)).create()).unwrap();
        let client = ClientId(Uuid::from_u128(1));
        let lane = LaneKey { target: TargetName("drive".to_owned()), folder: FolderKey { client, account: None } };
        let row =
            |who: &str| Published { who: Email::parse(who).unwrap(), role: Some(FolderRole::Reader), at: hour(2) };
        let (ann, bob) = (row("ann@harbour.example"), row("bob@harbour.example"));
        db.doc_put(PUBLISHED, &lane_text(&lane), &vec![ann.clone(), bob.clone()]).unwrap();
        let left = |db: &Db, at: i64| Steps::read(db, hour(at)).unwrap().0.into_values().flatten().collect::<Vec<_>>();
        assert_eq!(left(&db, 3), [ann.clone(), bob.clone()]);
        let intent = Intent {
            run: 1,
            lane,
            op: JournalOp::Access(Op::Grant { who: ann.who, role: FolderRole::Reader }),
            cause: None,
            because: "published".to_owned(),
            reserved: None,
            approved: false,
        };
        let step = db.intend(&intent, hour(3)).unwrap();
        assert_eq!(left(&db, 4).len(), 2, "it is not done yet");
        db.outcome(step, &Outcome::Done(json!({})), hour(4)).unwrap();
        assert_eq!(left(&db, 5), [bob], "whatever takes it back");
        assert_eq!(left(&db, 26), []);
    }
}
