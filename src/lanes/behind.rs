//! Who stands behind the entries that we made. A list may show an account's primary address where we granted to another of
//! its addresses, so an entry is known by its id; but an id can outlive its person: an invitation that another account accepts
//! keeps its id (`decisions` 18). So the first holder that is seen behind an entry is kept, and only that one is known by it.

use std::collections::BTreeMap;

use ledgerward_contract::{Email, Holder, PermissionId, SeenPermission, SeenRole, Via};
use serde::{Deserialize, Serialize};

use super::{Known, lane_text};
use crate::{
    domain::lane::LaneKey,
    store::{Db, OwnedRow, Result},
};

/// By lane: [`Behind`] of each entry of ours.
pub(super) const BEHIND: &str = "behind";

/// The first holder seen behind an entry, and the grant that made it: a new grant may have a new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Behind {
    step: i64,
    holder: Holder,
}

pub(super) type All = BTreeMap<PermissionId, Behind>;

/// What a list says of our entries.
#[derive(Default)]
pub(super) struct Looked {
    /// Entries of planned people under another address.
    pub known: BTreeMap<PermissionId, Email>,
    /// Invitations that were accepted by whom we invited.
    pub accepted: Vec<Email>,
    /// What is to be kept from now on.
    pub behind: All,
}

pub(super) fn look(owned: &[OwnedRow], list: &[SeenPermission], before: &All) -> Looked {
    let direct: BTreeMap<&PermissionId, &SeenPermission> =
        list.iter().filter(|p| p.via == Via::Direct).map(|p| (&p.id, p)).collect();
    let mut out = Looked::default();
    for row in owned {
        let OwnedRow { grant, invited_since, .. } = row;
        let kept = before.get(&grant.permission).filter(|b| b.step == grant.step).cloned();
        let Some(p) = direct.get(&grant.permission) else {
            // Not shown this time: that is no reason to forget whose it was.
            out.behind.extend(kept.map(|b| (grant.permission.clone(), b)));
            continue;
        };
        let themselves = p.holder == Holder::Person(grant.who.clone());
        // Whom an invitation reaches is not known before somebody accepts it, and then it must be who was invited.
        if invited_since.is_some() {
            let in_force = !p.pending && !matches!(p.role, SeenRole::Declined | SeenRole::Other(_));
            if !themselves || !in_force {
                continue;
            }
            out.accepted.push(grant.who.clone());
        }
        let behind = kept.unwrap_or_else(|| Behind { step: grant.step, holder: p.holder.clone() });
        if !themselves && behind.holder == p.holder {
            out.known.insert(grant.permission.clone(), grant.who.clone());
        }
        out.behind.insert(grant.permission.clone(), behind);
    }
    out
}

/// Writes down what was seen of all lanes, in one transaction.
pub(super) fn keep(db: &mut Db, all: &[(LaneKey, All, Vec<Email>)]) -> Result<()> {
    db.tx(|db| {
        for (lane, behind, accepted) in all {
            db.doc_put(BEHIND, &lane_text(lane), behind)?;
            for who in accepted {
                db.invitation_accepted(lane, who)?;
            }
        }
        Ok(())
    })
}

impl Known {
    /// Entries of planned people under another address, for the planner and the fence; and what is to be written down of it.
    pub(super) fn look_behind(&mut self, before: &All) -> Option<(All, Vec<Email>)> {
        let looked = look(&self.owned, self.entries()?, before);
        for row in &mut self.owned {
            if looked.accepted.contains(&row.grant.who) {
                row.invited_since = None;
            }
        }
        self.known_ids = looked.known;
        let news = looked.behind != *before || !looked.accepted.is_empty();
        news.then_some((looked.behind, looked.accepted))
    }
}

#[cfg(test)]
mod tests {
    use ledgerward_contract::{ClientId, FolderKey, FolderRole, Timestamp};

    use super::*;
    use crate::domain::{firm::TargetName, lane::OwnedGrant};

    const ID: &str = "collaboration-7";
    const NINA: &str = "nina@harbour.example";
    const PRIMARY: &str = "nina.marsh@harbour.example";
    const VISITOR: &str = "visitor@elsewhere.example";

    fn email(text: &str) -> Email {
        Email::parse(text).unwrap()
    }

    fn ours(step: i64, invited: bool) -> Vec<OwnedRow> {
        let client = ClientId(uuid::Uuid::from_u128(1));
        let lane = LaneKey { target: TargetName("box".to_owned()), folder: FolderKey { client, account: None } };
        let (who, permission) = (email(NINA), ID.into());
        let grant =
            OwnedGrant { lane, folder: "f".into(), who, role: FolderRole::Reader, permission, ends: None, step };
        let since = Timestamp::UNIX_EPOCH;
        vec![OwnedRow { grant, since, invited_since: invited.then_some(since) }]
    }

    fn shows(who: &str, pending: bool) -> Vec<SeenPermission> {
        let (id, holder) = (ID.into(), Holder::Person(email(who)));
        vec![SeenPermission {
            id,
            holder,
            role: SeenRole::Reader,
            via: Via::Direct,
            pending,
            ourselves: false,
            expires: None,
        }]
    }

    #[test]
    fn the_first_holder_behind_an_entry_is_the_one_that_is_known_by_it() {
        let first = look(&ours(1, false), &shows(PRIMARY, false), &All::new());
        assert_eq!(first.known.len(), 1, "an address of the same account");
        let again = look(&ours(1, false), &shows(PRIMARY, false), &first.behind);
        assert_eq!((again.known.len(), &again.behind), (1, &first.behind));
        for was in [first.behind, look(&ours(1, false), &shows(NINA, false), &All::new()).behind] {
            let other = look(&ours(1, false), &shows(VISITOR, false), &was);
            assert!(other.known.is_empty() && other.behind == was, "and nobody who comes later: {:?}", other.known);
            let away = look(&ours(1, false), &[], &was);
            assert_eq!(away.behind, was, "a list without the entry forgets nothing");
            let anew = look(&ours(2, false), &shows(VISITOR, false), &was);
            assert_eq!(anew.known.len(), 1, "a new grant is looked at anew");
        }
    }

    #[test]
    fn an_invitation_is_known_by_its_id_to_nobody_and_is_accepted_by_whom_it_was_for() {
        let look = |list: &[SeenPermission]| look(&ours(1, true), list, &All::new());
        let moved = look(&shows(VISITOR, false));
        assert!(moved.known.is_empty() && moved.behind.is_empty() && moved.accepted.is_empty());
        let waits = look(&shows(NINA, true));
        assert!(waits.behind.is_empty() && waits.accepted.is_empty());
        for role in [SeenRole::Declined, SeenRole::Other("on hold".to_owned())] {
            let mut list = shows(NINA, false);
            list[0].role = role;
            let no = look(&list);
            assert!(no.behind.is_empty() && no.accepted.is_empty(), "{:?}", list[0].role);
        }
        let taken = look(&shows(NINA, false));
        assert_eq!((taken.accepted, taken.behind.len()), (vec![email(NINA)], 1));
    }
}
