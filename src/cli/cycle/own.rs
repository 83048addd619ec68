//! What a cycle tells somebody who may run it and does not see the firm as a whole: what becomes of their own access, and
//! the other clients as a number (`product` 5).

use std::{collections::BTreeSet, fmt::Write as _};

use ledgerward_contract::{ClientId, Holder};
use serde_json::{Value, json};

use super::super::act;
use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{
        firm::{Firm, PersonId},
        lane::{LaneKey, Op, Step},
    },
    engine::{Done, Picture},
    render::plan as print,
};

/// Whoever sees only their own.
pub struct Own(PersonId);

/// Steps about one person, and whom else there are steps about.
#[derive(Default)]
struct Seen {
    rows: Vec<Value>,
    text: String,
    mine: BTreeSet<ClientId>,
    others: BTreeSet<ClientId>,
}

impl Own {
    /// `None`: whoever asks sees the firm as a whole.
    pub async fn of(app: &App) -> Result<Option<Self>, Failure> {
        let firm = app.firm().await?;
        Ok(act::asking(app, &firm).filter(|_| !act::sees_all(app, &firm)).map(Self))
    }

    fn is_mine(&self, firm: &Firm, lane: &LaneKey, op: &Op) -> bool {
        let Some(address) = firm.people.get(&self.0).map(|p| p.address_on(&lane.target)) else { return false };
        match op {
            Op::Revoke { who: Holder::Person(who), .. }
            | Op::Grant { who, .. }
            | Op::SetRole { who, .. }
            | Op::Adopt { who, .. } => who == address,
            Op::Revoke { .. } | Op::Create { .. } | Op::Rename { .. } => false,
        }
    }

    fn add(&self, seen: &mut Seen, firm: &Firm, lane: &LaneKey, step: &Step, (state, error): (&str, Option<&String>)) {
        let client = lane.folder.client;
        if !self.is_mine(firm, lane, &step.op) {
            // Of somebody else's private books there is not even a number.
            let owner = firm.clients.get(&client).and_then(|c| c.private_to);
            if owner.is_none_or(|owner| owner == self.0) {
                seen.others.insert(client);
            }
            return;
        }
        let (does, slug) = (step.op.word(), act::slug(firm, client));
        seen.mine.insert(client);
        seen.rows.push(json!({
            "client": slug, "target": lane.target, "does": does, "state": state, "because": step.reason.because, "error": error,
        }));
        let why = error.unwrap_or(&step.reason.because);
        let _ = writeln!(seen.text, "{state}  {does}  {slug} on {}: {why}", lane.target);
    }

    fn planned(&self, picture: &Picture) -> Seen {
        let mut seen = Seen::default();
        let cleared = picture.verdict.cleared.lanes().iter().map(|l| (l, "planned"));
        let held = picture.verdict.held.iter().flat_map(|h| &h.lanes).map(|l| (l, "held"));
        for (lane, state) in cleared.chain(held) {
            for step in &lane.steps {
                self.add(&mut seen, &picture.firm, &lane.lane, step, (state, None));
            }
        }
        seen
    }

    /// As `--json` and as text.
    pub fn plan(&self, picture: &Picture) -> (Value, String) {
        let seen = self.planned(picture);
        let json = json!({
            "schema": "ledgerward/own-plan/1", "digest": picture.digest(), "steps": seen.rows, "others": seen.others(),
        });
        (json, seen.words("Nothing of the plan is about you."))
    }

    /// The same for what was done. `None`: nothing was applied.
    pub fn sync(&self, done: Option<&Done>) -> (Value, String) {
        let mut seen = Seen::default();
        if let Some(done) = done {
            let firm = &done.picture.firm;
            for lane in &done.lanes {
                for step in &lane.steps {
                    let end = step.result.as_ref().map_or_else(|e| ("failed", Some(e)), |()| ("done", None));
                    self.add(&mut seen, firm, &lane.lane, &step.step, end);
                }
            }
            for lane in done.picture.verdict.held.iter().flat_map(|h| &h.lanes) {
                for step in &lane.steps {
                    self.add(&mut seen, firm, &lane.lane, step, ("held", None));
                }
            }
        }
        let json = json!({
            "schema": "ledgerward/own-sync/1", "applied": done.is_some(), "steps": seen.rows, "others": seen.others(),
        });
        let none = if done.is_some() { "Nothing of it was about you." } else { "Nothing was applied." };
        (json, seen.words(none))
    }
}

impl Seen {
    fn others(&self) -> usize {
        self.others.difference(&self.mine).count()
    }

    fn words(self, none: &str) -> String {
        let others = match self.others() {
            0 => String::new(),
            n => format!("{} that you do not see.\n", print::count(n, "other client")),
        };
        let own = if self.rows.is_empty() { format!("{none}\n") } else { self.text };
        own + &others
    }
}
