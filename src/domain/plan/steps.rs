//! Steps with their cause and their reason in words.

use ledgerward_contract::{FolderRole, Holder, PermissionId};

use super::{
    super::{
        lane::{Cause, Op, Step},
        policy::{Because, PersonIx},
    },
    propose::Work,
};

impl Work<'_, '_> {
    /// Makes the steps of all grants, in the order of addresses that steps have anyway. Cause and sentence are made once for
    /// all that share them: they depend on the reason and the role word alone.
    pub fn grants(&mut self) {
        let mut grants = std::mem::take(&mut self.grants);
        grants.sort_unstable_by_key(|g| (g.rank, g.ix));
        // In order as they come, unless there are steps already that belong among or behind them.
        let among = |s: &Step| matches!(s.op, Op::Grant { .. } | Op::Adopt { .. });
        let sorted = self.book.is_some() && !self.plan.steps.iter().any(among);
        self.plan.steps.reserve_exact(grants.len());
        let mut told: Vec<(Because, Option<u16>, Cause, String)> = vec![];
        for g in grants {
            let Some(email) = self.address(g.ix) else { continue };
            let op = Op::Grant { who: email.clone(), role: g.role };
            // A published change of this very person is a cause of their own.
            let own =
                !self.cx.changes.is_empty() && self.d.person(g.ix).is_some_and(|p| self.cx.changes.contains_key(&p.id));
            match told.iter().find(|t| !own && t.0 == g.because && t.1 == g.word) {
                Some((_, _, cause, because)) => {
                    self.plan.steps.push(Step { op, cause: cause.clone(), because: because.clone() });
                }
                None => {
                    self.step(g.ix, op, g.because, "");
                    if let Some(step) = self.plan.steps.last().filter(|_| !own && told.len() < 32) {
                        told.push((g.because, g.word, step.cause.clone(), step.because.clone()));
                    }
                }
            }
        }
        if !sorted {
            super::super::order::sort(&mut self.plan.steps);
        }
    }

    pub fn policy_changed(&self) -> bool {
        self.cx.policy_before.is_some_and(|before| before != self.cx.policy)
    }

    pub fn step(&mut self, ix: PersonIx, op: Op, because: Because, text: &str) {
        let cause = self.cause(ix, because);
        let because =
            if text.is_empty() { super::super::explain::because_words(self.d, ix, because) } else { text.to_owned() };
        self.plan.steps.push(Step { op, cause, because });
    }

    pub fn revoke(&mut self, ix: Option<PersonIx>, who: Holder, permission: &PermissionId, role: FolderRole) {
        let person = ix.and_then(|ix| self.d.person(ix));
        let because = match self.desired.client {
            _ if person.is_some_and(|p| p.closed.is_some()) => Because::Closed,
            _ if person.is_some_and(|p| !p.enabled) => Because::Disabled,
            None => Because::NotOurs,
            Some(client) => person.map_or(Because::NotOurs, |p| self.d.judge(p.id, client.id).because),
        };
        let ix = ix.unwrap_or(PersonIx::MAX);
        let cause = self.cause(ix, because);
        if let (Because::LedgerDenies(_, why), Holder::Person(email)) = (because, &who)
            && why.is_absence()
            && matches!(cause, Cause::Source { .. })
        {
            self.plan.absences.insert(email.clone());
        }
        let because = super::super::explain::because_words(self.d, ix, because);
        let op = Op::Revoke { who, permission: permission.clone(), role };
        self.plan.steps.push(Step { op, cause, because });
    }

    /// What a step is counted under. A published change of this very person outweighs everything but `revoke --now`; after
    /// a change of the rules nothing that rests on them counts as news from a source.
    pub fn cause(&self, ix: PersonIx, because: Because) -> Cause {
        let decision = |change: &str| Cause::Decision { change: change.to_owned() };
        match because {
            Because::Closed => return Cause::RevokeNow,
            Because::Disabled => return decision("disabled"),
            Because::ClientClosed | Because::ClientProposed => return decision("client closed"),
            Because::Private => return decision("private"),
            Because::NotOurs => return decision("no person of the firm"),
            _ => {}
        }
        if let Some(change) = self.d.person(ix).and_then(|p| self.cx.changes.get(&p.id)) {
            return decision(change);
        }
        match because {
            Because::NotSelected => decision("not selected"),
            _ if self.policy_changed() => Cause::Policy,
            Because::UnlistedDeny | Because::NoRoster => Cause::Policy,
            Because::ModeAll => decision("mode all"),
            Because::Selected | Because::Manual => decision("selected"),
            Because::GuestManual => decision("guest"),
            Because::BreakGlass => decision("break-glass"),
            Because::Ledger(source, _)
            | Because::LedgerAndSelected(source, _)
            | Because::Roster(source, _)
            | Because::Guest(source, _)
            | Because::LedgerDenies(source, _)
            | Because::LedgerUnknown(source, _) => match self.d.facts().source(source) {
                Some(s) => Cause::Source { connection: s.source.connection.to_string(), source: s.source.id.clone() },
                None => Cause::Policy,
            },
            _ => Cause::Policy,
        }
    }
}
