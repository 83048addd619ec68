//! Entries that rest on extra access alone: a guest's, or break-glass. They end with it, whatever a ledger can say at that hour
//! (`product` 4).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ledgerward_contract::Email;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        lane::{Cause, Op, OwnedGrant, Reason},
        policy::{Because, PersonIx},
    },
    propose::{Holding, Work},
};

/// What an entry of ours rests on where nothing else entitled its person when they were let in, nor since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extra {
    Guest,
    BreakGlass,
}

impl Work<'_, '_> {
    /// Whose entries rest on extra access alone, once the steps are done. Whoever was there before by another right is not among
    /// them, and whoever gets one leaves them; while the ledger says nothing, it stays as it was.
    pub fn extra(&self) -> BTreeMap<Email, Extra> {
        let (desired, before) = (self.desired, self.actual.extra);
        let mut out = BTreeMap::new();
        if desired.until.is_empty() && before.is_empty() {
            return out;
        }
        let ours: BTreeSet<&Email> = self.current_owned().map(|o| &o.who).collect();
        for (ix, _) in &desired.until {
            let want = desired.wants.binary_search_by_key(ix, |w| w.person).ok().and_then(|at| desired.wants.get(at));
            let (Some(want), Some(email)) = (want, self.address(*ix)) else { continue };
            let now = if want.because == Because::BreakGlass { Extra::BreakGlass } else { Extra::Guest };
            let rests = match (ours.contains(email), before.get(email)) {
                (true, None) => continue,
                // Break-glass beside a guest's access: when it is over they are a guest as before.
                (true, Some(Extra::Guest)) => Extra::Guest,
                _ => now,
            };
            out.insert(email.clone(), rests);
        }
        for (ix, _) in &desired.held {
            let email = self.address(*ix).filter(|email| ours.contains(email));
            if let Some((email, rests)) = email.and_then(|email| before.get_key_value(email)) {
                out.insert(email.clone(), *rests);
            }
        }
        out
    }

    /// Whether what an entry of ours rests on is over, and no source can say whether there is anything else.
    pub fn outlived(&self, ix: PersonIx, because: Because, owned: &OwnedGrant) -> bool {
        let unread = matches!(because, Because::LedgerUnknown(..) | Because::NotReadYet);
        let (Some(rests), Some(client)) = (self.actual.extra.get(&owned.who), self.desired.client) else {
            return false;
        };
        let guest = self.d.guest(client.id, ix);
        unread && !guest.is_some_and(|g| g.break_glass || *rests == Extra::Guest)
    }

    /// Lets out whoever was let in for a time that is over: by the word of whoever gave it, and not by any source's.
    pub fn over(&mut self, ix: PersonIx, has: Holding<'_>) {
        let before = self.plan.steps.len();
        self.unwanted(ix, has);
        let cause = Cause::Decision { change: "guest".to_owned() };
        let reason = Arc::new(Reason { cause, because: "was let in for a time that is over".to_owned() });
        for step in self.plan.steps.iter_mut().skip(before).filter(|s| matches!(s.op, Op::Revoke { .. })) {
            step.reason = Arc::clone(&reason);
        }
    }
}
