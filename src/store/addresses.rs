//! Whose an address was. What was applied keeps the address that it was applied for, and an address is given on: from who left
//! to who came.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{Email, Timestamp};

use super::{
    db::{Db, from_json, from_us_opt},
    error::Result,
};
use crate::domain::{
    change::ChangeOp,
    firm::{Firm, Person, PersonId, TargetName},
};

/// People's addresses at one time, and those that they had given up by then.
#[derive(Debug, Default)]
pub struct Addresses {
    of: BTreeMap<PersonId, Known>,
    /// In the order in which they were given up.
    former: Vec<(PersonId, Option<TargetName>, Email)>,
    /// People who came later.
    later: BTreeSet<PersonId>,
}

#[derive(Debug)]
struct Known {
    email: Email,
    on: BTreeMap<TargetName, Email>,
}

impl Db {
    /// By the log of changes that took effect until then. Who is in no log has the address of today.
    pub fn addresses_at(&self, firm: &Firm, t: Timestamp) -> Result<Addresses> {
        let mut all = Addresses::default();
        let mut stmt = self.conn.prepare_cached(
            "SELECT decided_at, op FROM change WHERE turn IS NOT NULL
             AND json_extract(op, '$.op') IN ('add_person', 'edit_person', 'set_target_address') ORDER BY turn",
        )?;
        let mut rows = stmt.query([])?;
        while let Some(r) = rows.next()? {
            let late = from_us_opt(r.get(0)?)?.is_some_and(|at| at > t);
            let op: serde_json::Value = from_json(&r.get::<_, String>(1)?, "a change")?;
            // An act of a newer version is passed over, as everywhere.
            let Ok(op) = serde_json::from_value(op) else { continue };
            match op {
                ChangeOp::AddPerson { id, .. } if late => {
                    all.later.insert(id);
                }
                op if !late => all.take_in(op),
                _ => {}
            }
        }
        if t == Timestamp::MAX {
            // Today's are the firm's own, whatever the log says of how they came.
            for p in firm.people.values() {
                all.of.insert(p.id, Known { email: p.email.clone(), on: p.target_addresses.clone() });
            }
        }
        let unknown: Vec<&Person> =
            firm.people.values().filter(|p| !all.of.contains_key(&p.id) && !all.later.contains(&p.id)).collect();
        for p in unknown {
            all.of.insert(p.id, Known { email: p.email.clone(), on: p.target_addresses.clone() });
        }
        Ok(all)
    }
}

impl Addresses {
    fn take_in(&mut self, op: ChangeOp) {
        match op {
            ChangeOp::AddPerson { id, email, .. } => {
                self.of.insert(id, Known { email, on: BTreeMap::new() });
            }
            ChangeOp::EditPerson { person, email: Some(email), .. } => {
                if let Some(known) = self.of.get_mut(&person) {
                    self.former.push((person, None, std::mem::replace(&mut known.email, email)));
                }
            }
            ChangeOp::SetTargetAddress { person, target, email } => {
                if let Some(known) = self.of.get_mut(&person) {
                    let old = match email {
                        Some(email) => known.on.insert(target.clone(), email),
                        None => known.on.remove(&target),
                    };
                    let old = old.unwrap_or_else(|| known.email.clone());
                    self.former.push((person, Some(target), old));
                }
            }
            _ => {}
        }
    }

    /// Whose each address is on a target. One that was given up and is nobody's is whose it was last: what was granted for it
    /// is theirs until it is taken back.
    pub fn on(&self, target: &TargetName) -> BTreeMap<&Email, PersonId> {
        let former = self.former.iter().filter(|(_, on, _)| on.as_ref().is_none_or(|on| on == target));
        let mut all: BTreeMap<&Email, PersonId> = former.map(|(p, _, email)| (email, *p)).collect();
        all.extend(self.of.iter().map(|(p, known)| (known.on.get(target).unwrap_or(&known.email), *p)));
        all
    }

    /// [`Addresses::on`] for many targets.
    pub fn everywhere<'t>(
        &self,
        targets: impl Iterator<Item = &'t TargetName>,
    ) -> BTreeMap<&'t TargetName, BTreeMap<&Email, PersonId>> {
        let targets: BTreeSet<&TargetName> = targets.collect();
        targets.into_iter().map(|t| (t, self.on(t))).collect()
    }
}
