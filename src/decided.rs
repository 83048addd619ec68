//! Which of the firm's published changes a folder's plan has not taken in yet, and whom they touch: a step that somebody
//! decided counts as a decision, and not as news from a source (`decisions` 12).

use std::collections::BTreeMap;

use ledgerward_contract::ClientId;

use crate::{
    domain::{
        change::{self, ChangeOp},
        firm::PersonId,
    },
    store::{Db, Result},
};

/// A folder that was never planned takes in so many of the last changes: nobody's earlier ones are its news.
const BEFORE_THE_FIRST: i64 = 1_000;

/// Published changes by what they touch, each list in the order in which they took effect.
#[derive(Debug, Default)]
pub struct Decided {
    last: i64,
    everywhere: Vec<Touch>,
    of: BTreeMap<ClientId, Vec<Touch>>,
}

#[derive(Debug)]
struct Touch {
    turn: i64,
    op: ChangeOp,
    label: String,
}

impl Decided {
    /// Reads what the folders have not taken in. `seen`: each folder's last turn, `None` for one that was never planned;
    /// `last`: the turn up to which the firm that is planned for was changed.
    pub fn read(db: &Db, seen: impl Iterator<Item = Option<i64>>, last: i64) -> Result<Self> {
        let mut all = Self { last, ..Self::default() };
        let after = seen.map(|s| all.start(s)).min().unwrap_or(last);
        for (turn, id, op) in db.changes_between(after, last)? {
            // An act of a newer version that we cannot read causes nothing: its steps pass the gates like any other.
            let Ok(op) = serde_json::from_value::<ChangeOp>(op) else { continue };
            let list = match change::touched_client(&op) {
                Some(client) => all.of.entry(client).or_default(),
                None => &mut all.everywhere,
            };
            list.push(Touch { turn, op, label: format!("C-{id}") });
        }
        Ok(all)
    }

    fn start(&self, seen: Option<i64>) -> i64 {
        seen.unwrap_or(self.last.saturating_sub(BEFORE_THE_FIRST))
    }

    /// The turn up to which these changes go.
    pub fn last(&self) -> i64 {
        self.last
    }

    /// People whose access to this client a change touched that its folder has not taken in, and the latest one of each.
    pub fn since(&self, seen: Option<i64>, client: ClientId) -> BTreeMap<PersonId, String> {
        let after = self.start(seen);
        let own = self.of.get(&client).map(Vec::as_slice).unwrap_or_default();
        let newer = |list: &'_ [Touch]| list.partition_point(|t| t.turn <= after);
        let mut touched: BTreeMap<PersonId, (i64, &str)> = BTreeMap::new();
        for list in [own, &self.everywhere] {
            for touch in list.iter().skip(newer(list)) {
                for person in change::touches(&touch.op, client) {
                    let known = touched.entry(person).or_insert((touch.turn, &touch.label));
                    if known.0 < touch.turn {
                        *known = (touch.turn, &touch.label);
                    }
                }
            }
        }
        touched.into_iter().map(|(person, (_, label))| (person, label.to_owned())).collect()
    }
}
