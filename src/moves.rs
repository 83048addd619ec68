//! Clients on their way from one target to another (`clients move`). First the new folder is made, shared and filled; only
//! then everybody we let into the old one is let out. Every whole cycle takes open moves a step further, so that a move that
//! was interrupted goes on by itself.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ClientId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    apply::LaneEnd,
    cli::outcome::Failure,
    domain::{
        firm::{Client, Firm, TargetName},
        guard::Shown,
        lane::{LaneKey, Op},
        plan::{LanePlan, Plan, Proposed, Trouble},
    },
    engine::{Done, Picture},
    lanes::Book,
    store::Db,
};

/// Moves by client and old target.
const MOVE: &str = "move";

/// One client's way from one target to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    pub client: ClientId,
    pub from: TargetName,
    pub to: TargetName,
    /// The published change that moved it: `C-12`. The steps of the move are counted under it.
    pub change: String,
    pub begun: Timestamp,
    /// When the new folder was shared and filled; from then on the old one is closed.
    pub filled: Option<Timestamp>,
    /// When nobody was left in the old folder whom we had let in.
    pub closed: Option<Timestamp>,
}

impl Move {
    /// Whether the client still is where this move put it. A later act that routes it back ends the move.
    pub fn holds(&self, client: &Client) -> bool {
        client.targets.as_ref().is_some_and(|t| t.contains(&self.to) && !t.contains(&self.from))
    }

    /// Why people are let out of the old folder, in words.
    pub fn because(&self) -> String {
        format!("the client moved to {} ({})", self.to, self.change)
    }

    fn key(&self) -> String {
        key(self.client, &self.from)
    }
}

fn key(client: ClientId, from: &TargetName) -> String {
    format!("{client}:{from}")
}

/// All moves that were ever written down and are not over.
pub fn all(db: &Db) -> crate::store::Result<Vec<Move>> {
    Ok(db.doc_all::<Move>(MOVE)?.into_values().collect())
}

/// The move out of this target, if there is one.
pub fn get(db: &Db, client: ClientId, from: &TargetName) -> crate::store::Result<Option<Move>> {
    db.doc_get(MOVE, &key(client, from))
}

/// Writes a move down. In one transaction with the change that routes the client.
pub fn put(db: &mut Db, one: &Move) -> crate::store::Result<()> {
    db.doc_put(MOVE, &one.key(), one)
}

/// The steps that a move asks for and that its change approved: whoever we let into the old folder is let into the new one.
/// A target whose first plan nobody approved waits for that all the same.
pub fn shown(moves: &[Move], book: &Book, plan: &Plan<Proposed>, firm: &Firm) -> BTreeSet<Shown> {
    let mut all = BTreeSet::new();
    for one in moves.iter().filter(|m| m.filled.is_none()) {
        for lane in plan.lanes().iter().filter(|l| l.lane.target == one.to && l.lane.folder.client == one.client) {
            let mut old = lane.lane.clone();
            old.target.clone_from(&one.from);
            let Some(known) = book.lanes.get(&old).filter(|_| !lane.first_plan) else { continue };
            let had: BTreeSet<_> = known.owned.iter().map(|o| &o.grant.who).collect();
            // People may have an address of their own on each target.
            let may: BTreeSet<_> = firm
                .people
                .values()
                .filter(|p| had.contains(p.address_on(&one.from)))
                .map(|p| p.address_on(&one.to))
                .collect();
            let ours = |op: &Op| match op {
                Op::Create { .. } => true,
                Op::Grant { who, .. } => may.contains(who),
                _ => false,
            };
            let steps = lane.steps.iter().filter(|s| ours(&s.op));
            all.extend(steps.map(|s| Shown { lane: lane.lane.clone(), step: s.op.clone() }));
        }
    }
    all
}

/// What became of open moves in this run: written down, so that the next one goes on from there.
pub async fn advance(app: &App, done: &Done) -> Result<(), Failure> {
    let picture = &done.picture;
    let stored: BTreeMap<String, Move> = app.store.run(|db| db.doc_all(MOVE)).await?;
    let looked = |m: &Move| picture.clients.as_ref().is_none_or(|c| c.contains(&m.client));
    let (mut put, mut over) = (Vec::new(), Vec::new());
    for (key, mut one) in stored.into_iter().filter(|(_, m)| looked(m)) {
        let Some(client) = picture.firm.clients.get(&one.client) else { continue };
        if !one.holds(client) {
            over.push(key);
        } else if one.filled.is_none() {
            if unfilled(done, &one, client).is_none() {
                one.filled = Some(picture.now);
                put.push(one);
            }
        } else if one.closed.is_none() && left(app, picture, &one).await? == 0 {
            one.closed = Some(picture.now);
            put.push(one);
        }
    }
    if put.is_empty() && over.is_empty() {
        return Ok(());
    }
    let now = picture.now;
    app.store
        .run(move |db| {
            db.tx(|db| {
                for one in &put {
                    let act = if one.closed.is_some() { "move.closed" } else { "move.filled" };
                    db.doc_put(MOVE, &one.key(), one)?;
                    db.audit(now, act, &one.key(), None::<&()>, Some(one), None)?;
                }
                for key in &over {
                    db.doc_delete(MOVE, key)?;
                }
                Ok(())
            })
        })
        .await?;
    Ok(())
}

/// How many of our grants are still in force in the old folders. In a folder that is gone for good nothing is; one in the bin
/// may come back with everybody on its list.
pub async fn left(app: &App, picture: &Picture, one: &Move) -> Result<usize, Failure> {
    let plans = picture.verdict.cleared.lanes().iter().filter(|l| l.trouble.contains(&Trouble::Gone));
    let gone: BTreeSet<LaneKey> = plans.map(|l| l.lane.clone()).collect();
    let one = one.clone();
    let count = move |db: &mut Db| {
        let of = |l: &LaneKey| l.target == one.from && l.folder.client == one.client && !gone.contains(l);
        Ok(db.owned()?.iter().filter(|(lane, _)| of(lane)).map(|(_, rows)| rows.len()).sum())
    };
    Ok(app.store.run(count).await?)
}

/// Why the new folder does not stand in for the old one yet; `None`: it does.
pub fn unfilled(done: &Done, one: &Move, client: &Client) -> Option<String> {
    let picture = &done.picture;
    if picture.access_only {
        return Some("its statements are not due yet".to_owned());
    }
    let of = |l: &LaneKey, target: &TargetName| l.target == *target && l.folder.client == one.client;
    let new: Vec<&LanePlan> = picture.verdict.cleared.lanes().iter().filter(|l| of(&l.lane, &one.to)).collect();
    if new.is_empty() {
        return Some(format!("there is no plan for {}", one.to));
    }
    if let Some(hold) = picture.verdict.held.iter().find(|h| h.lanes.iter().any(|l| of(&l.lane, &one.to))) {
        return Some(format!("a guard holds it: {}", hold.message));
    }
    for plan in &new {
        if !plan.trouble.is_empty() {
            return Some(format!("something is wrong with the folder on {}", one.to));
        }
        let lane = done.lanes.iter().find(|l| l.lane == plan.lane);
        if let Some(lane) = lane.filter(|l| l.end != LaneEnd::Done) {
            let why = lane.trouble.clone().or_else(|| lane.steps.iter().find_map(|s| s.result.clone().err()));
            return Some(why.unwrap_or_else(|| "a step failed".to_owned()));
        }
        if plan.folder.is_none() && lane.is_none_or(|l| l.folder.is_none()) {
            return Some(format!("there is no folder on {} yet", one.to));
        }
    }
    if let Some(who) = missing(picture, one, &new) {
        return Some(format!(
            "{who} is on the old folder and would not be on the new one: their evidence is unknown now"
        ));
    }
    if let Some(waiting) = done.delivered.waiting.iter().find(|w| of(&w.lane, &one.to)) {
        return Some(waiting.why.clone());
    }
    let prefix = format!("{}: ", client.slug);
    done.delivered.failed.iter().find(|f| f.starts_with(&prefix)).cloned()
}

/// Somebody whom the old folder's plan leaves with access and the new one's does not.
fn missing(picture: &Picture, one: &Move, new: &[&LanePlan]) -> Option<String> {
    let old = picture.verdict.cleared.lanes().iter();
    for plan in old.filter(|l| l.lane.target == one.from && l.lane.folder.client == one.client) {
        let there: BTreeSet<u32> = new
            .iter()
            .filter(|l| l.lane.folder.account == plan.lane.folder.account)
            .flat_map(|l| l.planned.iter())
            .collect();
        if let Some(ix) = plan.planned.iter().find(|ix| !there.contains(ix)) {
            let targets = [one.from.clone(), one.to.clone()];
            let decider = picture.decider(&targets);
            return Some(decider.person(ix).map_or_else(|| "somebody".to_owned(), |p| p.full_name()));
        }
    }
    None
}
