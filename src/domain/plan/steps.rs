//! Steps with their cause and their reason in words.

use std::sync::Arc;

use ledgerward_contract::{FolderRole, Holder, PermissionId};

use super::{
    super::{
        explain,
        firm::{Client, Person},
        lane::{Cause, Op, Reason, Step},
        order,
        policy::{Answer, Because, Decider, PersonIx, Reach},
    },
    propose::{Told, Work},
};

impl Work<'_, '_> {
    /// Makes the steps of all grants, in the order of addresses that steps have anyway.
    pub fn grants(&mut self) {
        let mut grants = std::mem::take(&mut self.grants);
        grants.sort_unstable_by_key(|g| (g.rank, g.ix));
        // In order as they come, unless there are steps already that belong among or behind them.
        let among = |s: &Step| matches!(s.op, Op::Grant { .. } | Op::Adopt { .. });
        let sorted = self.book.is_some() && !self.plan.steps.iter().any(among);
        self.plan.steps.reserve_exact(grants.len());
        for g in grants {
            if let (Some(email), Some(told)) = (self.address(g.ix), self.reasons.get(g.reason as usize)) {
                let op = Op::Grant { who: email.clone(), role: g.role };
                self.plan.steps.push(Step { op, reason: Arc::clone(&told.reason) });
            }
        }
        if !sorted {
            order::sort(&mut self.plan.steps);
        }
    }

    /// The place of a grant's reason in [`Work::reasons`]. Cause and sentence depend on the reason and the role word alone,
    /// so they are made once for all that share them.
    pub fn shared_reason(&mut self, ix: PersonIx, because: Because) -> u32 {
        let word = because.source().and_then(|source| {
            if self.word_at.0 != source {
                self.word_at = (source, 0);
            }
            self.d.facts().word(source, ix, &mut self.word_at.1)
        });
        // A published change of this very person is a cause of their own.
        let own = !self.cx.changes.is_empty() && self.d.person(ix).is_some_and(|p| self.cx.changes.contains_key(&p.id));
        let of = (!own).then_some((because, word));
        // Few are told apart; beyond that each has its own, rather than a search through thousands.
        if let Some(at) = of.and_then(|_| self.reasons.iter().take(32).position(|t| t.of == of)) {
            return u32::try_from(at).unwrap_or(u32::MAX);
        }
        let reason =
            Arc::new(Reason { cause: self.cause(ix, because), because: explain::because_words(self.d, ix, because) });
        self.reason(Told { of, reason })
    }

    pub fn reason(&mut self, told: Told) -> u32 {
        self.reasons.push(told);
        u32::try_from(self.reasons.len() - 1).unwrap_or(u32::MAX)
    }

    pub fn policy_changed(&self) -> bool {
        self.cx.policy_before.is_some_and(|before| before != self.cx.policy)
    }

    pub fn step(&mut self, ix: PersonIx, op: Op, because: Because, text: &str) {
        let cause = self.cause(ix, because);
        let because = if text.is_empty() { explain::because_words(self.d, ix, because) } else { text.to_owned() };
        self.plan.steps.push(Step::new(op, cause, because));
    }

    /// Why somebody who is not entitled here is not.
    pub fn why_out(&self, person: Option<&Person>) -> Because {
        match self.desired.client {
            _ if person.is_some_and(|p| p.closed.is_some()) => Because::Closed,
            _ if person.is_some_and(|p| !p.enabled) => Because::Disabled,
            None => Because::NotOurs,
            Some(client) => person.map_or(Because::NotOurs, |p| self.d.judge(p.id, client.id).because),
        }
    }

    pub fn revoke(&mut self, ix: Option<PersonIx>, who: Holder, permission: &PermissionId, role: FolderRole) {
        let person = ix.and_then(|ix| self.d.person(ix));
        let because = self.why_out(person);
        let ix = ix.unwrap_or(PersonIx::MAX);
        let cause = self.cause(ix, because);
        if let (Because::LedgerDenies(_, why), Holder::Person(email)) = (because, &who)
            && why.is_absence()
            && matches!(cause, Cause::Source { .. })
        {
            self.plan.absences.insert(email.clone());
        }
        let because = match self.desired.client {
            // What gives them the account's own folder is no reason to leave this one.
            Some(client) if narrowed(self.d, person, client) => "only some of its accounts are selected".to_owned(),
            _ => explain::because_words(self.d, ix, because),
        };
        let op = Op::Revoke { who, permission: permission.clone(), role };
        self.plan.steps.push(Step::new(op, cause, because));
    }

    /// What a step is counted under. A published change of this very person outweighs everything but `revoke --now`; after
    /// a change of the rules nothing that rests on them counts as news from a source. What a ledger takes away is its news
    /// still where the change only gave something, or a ledger's bad hour would pass the gates under its name; and so it is with
    /// what the settings take away.
    pub fn cause(&self, ix: PersonIx, because: Because) -> Cause {
        let decision = |change: &str| Cause::Decision { change: change.to_owned() };
        match because {
            Because::Closed => return Cause::RevokeNow,
            Because::Disabled => return decision("disabled"),
            Because::ClientClosed | Because::ClientProposed => return decision("client closed"),
            Because::Private => return decision("private"),
            Because::Shared => return decision("private share"),
            Because::NotOurs => return decision("no person of the firm"),
            _ => {}
        }
        let published = self.d.person(ix).and_then(|p| self.cx.changes.get(&p.id));
        let unselected = because == Because::NotSelected && self.unselected(ix);
        let change = match because {
            Because::NotSelected if unselected => published.map(|p| &p.latest),
            Because::LedgerDenies(..) | Because::NoRoster | Because::UnlistedDeny | Because::NotSelected => {
                published.and_then(|p| p.taking.as_ref())
            }
            _ => published.map(|p| &p.latest),
        };
        if let Some(change) = change {
            return decision(change);
        }
        match because {
            Because::NotSelected if unselected => decision("not selected"),
            _ if self.policy_changed() => Cause::Policy,
            Because::UnlistedDeny | Because::NoRoster | Because::NotSelected => Cause::Policy,
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

    /// Whether somebody who needs a selection has none: only an act of the firm takes one away. Whoever needed none, or has one
    /// that waits for a ledger, was let in by the ledgers or the roster, and it is the settings that ask for one now.
    fn unselected(&self, ix: PersonIx) -> bool {
        let (Some(person), Some(client)) = (self.d.person(ix), self.desired.client) else { return false };
        person.mode.needs_selection() && !self.d.firm().selections.contains_key(&(person.id, client.id))
    }
}

/// Whether somebody sees accounts of the client and not the client as a whole.
fn narrowed(d: &Decider<'_>, person: Option<&Person>, client: &Client) -> bool {
    let judged = person.map(|p| d.judge(p.id, client.id));
    judged.is_some_and(|j| j.answer == Answer::Yes && matches!(j.reach, Reach::Accounts(_)))
}
