//! Which of the firm's published changes a folder's plan has not taken in yet, and whom they touch: a step that somebody
//! decided counts as a decision, and not as news from a source (`decisions` 12).

use std::collections::BTreeMap;

use ledgerward_contract::ClientId;

use crate::{
    domain::{
        change::{self, ChangeOp},
        firm::PersonId,
        plan::Published,
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

    /// People whose access to this client a change touched that its folder has not taken in, with the latest ones of each.
    /// `taken`: up to which turn it carried out what changes take away, where that is further than it has taken them in.
    pub fn since(&self, (seen, taken): (Option<i64>, Option<i64>), client: ClientId) -> BTreeMap<PersonId, Published> {
        let after = self.start(seen);
        let taken = taken.unwrap_or(after);
        let own = self.of.get(&client).map(Vec::as_slice).unwrap_or_default();
        let newer = |list: &'_ [Touch]| list.partition_point(|t| t.turn <= after);
        let mut news: Vec<&Touch> = [own, &self.everywhere].into_iter().flat_map(|l| l.iter().skip(newer(l))).collect();
        news.sort_by_key(|t| t.turn);
        let mut touched: BTreeMap<PersonId, Published> = BTreeMap::new();
        for touch in news {
            let takes = touch.turn > taken && !change::only_gives(&touch.op);
            let taking = takes.then(|| touch.label.clone());
            for person in change::touches(&touch.op, client) {
                let earlier = touched.remove(&person).and_then(|p| p.taking);
                let taking = taking.clone().or(earlier);
                touched.insert(person, Published { latest: touch.label.clone(), taking });
            }
        }
        touched
    }
}

/// What a folder took in and did not carry out, since nobody was taken off its list at that time ([`LanePlan::left`]), is among
/// what it is to carry out.
///
/// [`LanePlan::left`]: crate::domain::plan::LanePlan::left
pub fn with_left(touched: &mut BTreeMap<PersonId, Published>, left: &BTreeMap<PersonId, String>) {
    for (person, change) in left {
        let none = || Published { latest: change.clone(), taking: None };
        touched.entry(*person).or_insert_with(none).taking.get_or_insert_with(|| change.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_touch_nobody_and_what_only_gives_takes_nothing() {
        let (jane, client) = (PersonId(uuid::Uuid::from_u128(1)), ClientId(uuid::Uuid::from_u128(2)));
        let edit = |email: Option<&str>| ChangeOp::EditPerson {
            person: jane,
            first: Some("Jane".to_owned()),
            last: None,
            email: email.map(|e| ledgerward_contract::Email::parse(e).unwrap()),
        };
        let decided = |ops: Vec<ChangeOp>| {
            let touch = |(turn, op)| Touch { turn, op, label: format!("C-{turn}") };
            Decided { last: 9, everywhere: (1..).zip(ops).map(touch).collect(), of: BTreeMap::new() }
        };
        let none = (None, None);
        assert!(decided(vec![edit(None)]).since(none, client).is_empty());
        let mode = ChangeOp::SetMode { person: jane, mode: crate::domain::firm::Mode::Ledger };
        let lift = ChangeOp::LiftPerson { person: jane };
        let of = |latest: &str, taking: Option<&str>| {
            BTreeMap::from([(jane, Published { latest: latest.to_owned(), taking: taking.map(str::to_owned) })])
        };
        assert_eq!(decided(vec![lift.clone()]).since(none, client), of("C-1", None));
        let all = decided(vec![mode, lift, edit(Some("jane@harbour.example")), edit(None)]);
        assert_eq!(all.since(none, client), of("C-3", Some("C-1")));
        // A folder that holds somebody's grant keeps its causes; what it carried out takes nobody away any more.
        assert_eq!(all.since((None, Some(1)), client), of("C-3", None));
        assert_eq!(all.since((None, Some(0)), client), of("C-3", Some("C-1")));
    }
}
