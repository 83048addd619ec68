//! Somebody of the firm who should be in a list or not, and somebody else who is: what is done about each.

use std::sync::Arc;

use ledgerward_contract::{Email, FolderRole, Holder, SeenPermission, SeenRole, Timestamp, Via};

use super::{
    super::{
        explain,
        finding::{Finding, Severity},
        firm::Person,
        lane::{Cause, Op, OwnedGrant, RENEWAL, Reason, Step},
        policy::{Answer, Because, LaneState, PersonIx},
    },
    HeldPerson, Keep, KeepWhy, LanePlan, Listing, Sharing, Trouble,
    propose::{Granting, Holding, Outside, Told, Work, unusable},
};

const LINK_ON: &str = "folder.link_on";

impl<'w> Work<'w, '_> {
    pub fn keep(&mut self, p: &SeenPermission, why: KeepWhy) {
        self.plan.keeps.push(Keep { who: p.holder.clone(), role: p.role.clone(), via: p.via.clone(), why });
    }

    pub fn mirrors(&self) -> bool {
        self.cx.sharing == Sharing::Mirror && !self.plan.trouble.iter().any(unusable)
    }

    /// A target's first plan takes over entitled people who have just the role they should have; later, who was asked for.
    pub fn adopts(&self, email: &Email, same_role: bool) -> bool {
        self.mirrors() && ((self.cx.first_plan && same_role) || self.actual.adopt.contains(email))
    }

    pub fn wanted(&mut self, ix: PersonIx, role: FolderRole, because: Because, has: Holding<'_>) {
        self.plan.planned.push(ix);
        let Some(email) = self.address(ix) else { return };
        if let Some(p) = has.direct {
            if p.pending {
                self.plan.invited.push(email.clone());
            }
            let has_role = match p.role {
                SeenRole::Reader => Some(FolderRole::Reader),
                SeenRole::Writer => Some(FolderRole::Writer),
                _ => None,
            };
            match (has.owned, has_role) {
                (Some(owned), Some(now)) if now == role && self.ends_too_soon(ix, owned, p) => {
                    self.renew(ix, email, p, now);
                }
                (Some(_), Some(now)) if now == role => {}
                (Some(owned), _) if self.mirrors() => self.set_role(ix, email, p, owned, has_role, role, because),
                (None, Some(now)) if self.adopts(email, now == role) => {
                    let op = Op::Adopt { who: email.clone(), permission: p.id.clone(), role: now };
                    self.step(ix, op, because, "is entitled and was let in by hand; ours from now on");
                }
                _ => self.keep(p, KeepWhy::NotOursEntitled),
            }
            return;
        }
        if let Some(p) = has.indirect.filter(|p| !matches!(p.via, Via::Below(_))) {
            return self.keep(p, KeepWhy::NotOursEntitled);
        }
        if !self.mirrors() {
            return;
        }
        if has.declined || has.owned.is_some_and(|owned| self.said_no(owned)) {
            return self.declined(email, has.owned);
        }
        // What the target ended by itself, at the time that we gave, was not taken away by hand.
        let ended = |owned: &OwnedGrant| owned.ends.is_some_and(|end| end <= self.d.now());
        if has.owned.is_some_and(|owned| !ended(owned)) {
            self.plan.until.extend(self.until(ix).map(|t| (email.clone(), t)));
            self.plan.removed_by_hand.push(email.clone());
            let op = Op::Grant { who: email.clone(), role };
            let because =
                "is entitled and not on the list any more, though we let them in; put back only if somebody says so";
            self.plan.steps.push(Step::new(op, Cause::Drift, because));
        } else {
            self.grant(ix, email, role, because);
        }
    }

    /// Whether our own entry was declined, under whatever address of theirs.
    fn said_no(&self, owned: &OwnedGrant) -> bool {
        let Listing::Read(list) = self.actual.list else { return false };
        list.iter().any(|p| p.role == SeenRole::Declined && p.via == Via::Direct && p.id == owned.permission)
    }

    /// Never asked twice by itself. Our grant is over, so that without the entry it is an ordinary grant.
    fn declined(&mut self, email: &Email, owned: Option<&OwnedGrant>) {
        self.plan.released.extend(owned.map(|o| o.step));
        let LanePlan { client, lane, .. } = &*self.plan;
        self.plan.findings.push(Finding::new(
            Severity::Warning,
            "holder.declined",
            format!("{}/{email}", self.subject()),
            format!("{email} declined the invitation to the folder of {client} on {}", lane.target),
            "ask them; then remove the declined entry on the target, and the next run invites them again",
        ));
    }

    fn grant(&mut self, ix: PersonIx, email: &Email, role: FolderRole, because: Because) {
        let reason = self.shared_reason(ix, because);
        self.let_in(ix, email, role, reason);
    }

    fn let_in(&mut self, ix: PersonIx, email: &Email, role: FolderRole, reason: u32) {
        self.plan.until.extend(self.until(ix).map(|t| (email.clone(), t)));
        let rank = self.book.map_or(0, |b| b.rank(ix));
        self.grants.push(Granting { rank, ix, role, reason });
    }

    /// A target gives no new end to what it has: out and in again, both by the word of whoever extended the guest.
    fn renew(&mut self, ix: PersonIx, email: &Email, p: &SeenPermission, role: FolderRole) {
        let cause = Cause::Decision { change: RENEWAL.to_owned() };
        let reason = Arc::new(Reason { cause, because: "is given another end of the access".to_owned() });
        let op = Op::Revoke { who: Holder::Person(email.clone()), permission: p.id.clone(), role };
        self.plan.steps.push(Step { op, reason: Arc::clone(&reason) });
        self.plan.renewed.insert(email.clone());
        let reason = self.reason(Told { of: None, reason });
        self.let_in(ix, email, role, reason);
    }

    /// When this person's access is to end: a guest's.
    fn until(&self, ix: PersonIx) -> Option<Timestamp> {
        let at = self.desired.until.binary_search_by_key(&ix, |(p, _)| *p).ok()?;
        self.desired.until.get(at).map(|(_, until)| *until)
    }

    /// Whether the target would end what we gave before the firm does: a guest was extended. Only where the end is the one that
    /// we gave, or a published change touched this person, since an end that somebody set on the target by hand is not undone
    /// in silence.
    fn ends_too_soon(&self, ix: PersonIx, owned: &OwnedGrant, p: &SeenPermission) -> bool {
        let Some(end) = p.expires else { return false };
        // Targets round to whole seconds or minutes.
        let sooner = |end: Timestamp, wanted: Timestamp| wanted.duration_since(end).as_secs() > 60;
        let published = || self.d.person(ix).is_some_and(|who| self.cx.changes.contains_key(&who.id));
        let given = || owned.ends.is_some_and(|ours| !sooner(end, ours) && !sooner(ours, end));
        let too_soon = self.until(ix).is_none_or(|wanted| sooner(end, wanted));
        too_soon && self.mirrors() && !self.d.firm().policy.additive_only && (given() || published())
    }

    #[inline]
    pub fn address(&self, ix: PersonIx) -> Option<&'w Email> {
        match self.book {
            Some(book) => book.address(ix),
            None => self.d.address(&self.plan.lane.target, ix),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one call site; a struct for it would only rename the arguments")]
    pub fn set_role(
        &mut self,
        ix: PersonIx,
        email: &Email,
        p: &SeenPermission,
        owned: &OwnedGrant,
        now: Option<FolderRole>,
        to: FolderRole,
        because: Because,
    ) {
        let from = match (now, &p.role) {
            (Some(now), _) => now,
            // A commenter is a reader who may write remarks.
            (None, SeenRole::Commenter) => FolderRole::Reader,
            (None, seen) => {
                let (code, text, next) = match seen {
                    SeenRole::Other(word) => (
                        "holder.role_other",
                        format!(
                            "{email} has \"{word}\" on the target, which is no role that we give; it is left alone"
                        ),
                        format!("set them to {to} on the target if that was not meant"),
                    ),
                    _ => (
                        "holder.role_raised",
                        format!("{email} was made more than a writer by hand; it is left alone"),
                        "lower the role on the target if that was not meant".to_owned(),
                    ),
                };
                let subject = format!("{}/{email}", self.subject());
                self.plan.findings.push(Finding::new(Severity::Warning, code, subject, text, next));
                return self.keep(p, KeepWhy::NotOursEntitled);
            }
        };
        if self.d.firm().policy.additive_only && to < from {
            return self.keep(p, KeepWhy::AdditiveOnly);
        }
        let op = Op::SetRole { who: email.clone(), permission: p.id.clone(), from, to };
        if now == Some(owned.role) {
            self.step(ix, op, because, "");
        } else {
            let because = format!("the role was changed by hand; we gave {}", owned.role);
            self.plan.steps.push(Step::new(op, Cause::Drift, because));
        }
    }

    pub fn held(&mut self, ix: PersonIx, because: Because, has: Holding<'_>) {
        let Some(email) = self.address(ix) else { return };
        if has.owned.is_some_and(|owned| self.outlived(ix, because, owned)) {
            return self.over(ix, has);
        }
        let there = has.direct.or(has.indirect);
        for p in [has.direct, has.indirect].into_iter().flatten() {
            self.keep(p, KeepWhy::Held);
        }
        // Without a list of ours, a doubtful identity is a stranger; a source's bad hour makes nobody one.
        let doubt = match because {
            Because::LedgerUnknown(_, why) => why.is_doubt(),
            _ => true,
        };
        match there {
            Some(p) if has.owned.is_none() && doubt && !self.accepted(&p.holder) => self.plan.strangers.push(p.clone()),
            Some(_) => {
                self.plan.planned.push(ix);
                self.plan.unknown_since =
                    [self.plan.unknown_since, self.d.since(ix, because)].into_iter().flatten().min();
            }
            None => {}
        }
        if there.is_some() || because == Because::ForeignDomain {
            let because = explain::because_words(self.d, ix, because);
            self.plan.held.push(HeldPerson { who: email.clone(), because, present: there.is_some() });
        }
    }

    pub fn unwanted(&mut self, ix: PersonIx, has: Holding<'_>) {
        if let (Some(owned), None) = (has.owned, has.direct) {
            self.plan.released.push(owned.step);
        }
        let shut = self.d.person(ix).is_some_and(Person::shut);
        match (has.direct, has.owned) {
            (Some(p), Some(_)) => {
                let stays = self.desired.state == LaneState::Kept && !shut;
                if stays {
                    self.plan.planned.push(ix);
                    self.keep(p, KeepWhy::ListStays);
                    self.leave(ix);
                } else if !self.mirrors() {
                    // Nobody takes them off the list, and they would open every file that goes in.
                    self.keep(p, KeepWhy::ListStays);
                    self.plan.strangers.push(p.clone());
                } else if self.d.firm().policy.additive_only && !shut {
                    self.keep(p, KeepWhy::AdditiveOnly);
                    self.plan.strangers.push(p.clone());
                    self.leave(ix);
                } else {
                    let role = if p.role == SeenRole::Writer { FolderRole::Writer } else { FolderRole::Reader };
                    self.revoke(Some(ix), p.holder.clone(), &p.id, role);
                }
            }
            (Some(p), None) => self.stranger(p),
            (None, _) => {}
        }
        if let Some(p) = has.indirect {
            self.stranger(p);
        }
    }

    /// Notes by which published change somebody would go if people were taken off this list now. Where sharing is only reported
    /// they never are: whoever goes once it is not goes by that setting, and a person looks at it.
    fn leave(&mut self, ix: PersonIx) {
        let Some(person) = self.d.person(ix).filter(|_| self.cx.sharing == Sharing::Mirror) else { return };
        let Some(published) = self.cx.changes.get(&person.id) else { return };
        let Cause::Decision { change } = self.cause(ix, self.why_out(Some(person))) else { return };
        // An archived client's folder wants nobody, so that this is asked here.
        let kept = self.desired.client.filter(|_| self.desired.state == LaneState::Kept);
        let judged = kept.map(|client| self.d.judge(person.id, client.id));
        // Who sees only some accounts of the client goes from the folders of all others.
        let here = judged.is_none_or(|j| self.desired.reached_by(j.reach));
        let change = match judged.map(|j| j.answer) {
            Some(Answer::Yes) if here => None,
            Some(Answer::Yes) => Some(change),
            // What was left of whoever waits for a source is left still.
            Some(Answer::Held) => published.taking.clone(),
            Some(Answer::No) | None => Some(change),
        };
        let by = |c: &String| *c == published.latest || published.taking.as_ref() == Some(c);
        self.plan.left.extend(change.filter(by).map(|change| (person.id, change)));
    }

    pub fn accepted(&self, holder: &Holder) -> bool {
        self.actual.accepted.iter().any(|a| a.holder == *holder)
    }

    pub fn stranger(&mut self, p: &SeenPermission) {
        if let (Holder::Person(email), Via::Direct) = (&p.holder, &p.via)
            && self.actual.adopt.contains(email)
            && self.mirrors()
        {
            // Taken over because somebody asked; the next plan lets them out if they are not entitled (H03).
            let role = if p.role == SeenRole::Writer { FolderRole::Writer } else { FolderRole::Reader };
            let op = Op::Adopt { who: email.clone(), permission: p.id.clone(), role };
            let cause = Cause::Decision { change: "adopt".to_owned() };
            self.plan.steps.push(Step::new(op, cause, "somebody asked to take it over"));
        }
        if self.accepted(&p.holder) && !matches!(p.holder, Holder::Link(_) | Holder::Everyone(_)) {
            return self.keep(p, KeepWhy::Accepted);
        }
        self.keep(p, KeepWhy::Stranger);
        self.plan.strangers.push(p.clone());
    }

    /// An entry that is no person of the firm: never touched, unless it is ours from before.
    pub fn outsider(&mut self, p: &SeenPermission, outside: &mut Outside<'w>) {
        let email = match &p.holder {
            _ if p.ourselves => return self.keep(p, KeepWhy::Ourselves),
            _ if p.role == SeenRole::MetadataOnly => return self.keep(p, KeepWhy::NameOnly),
            _ if p.role == SeenRole::Declined => return self.keep(p, KeepWhy::Declined),
            _ if p.role == SeenRole::Owner && self.owns(p) => return self.keep(p, KeepWhy::Owner),
            Holder::Person(email) => Some(email),
            Holder::Link(_) | Holder::Everyone(_) => {
                if !self.plan.trouble.contains(&Trouble::LinkOn) {
                    self.plan.trouble.push(Trouble::LinkOn);
                }
                if !self.plan.findings.iter().any(|f| f.code == LINK_ON) {
                    self.plan.findings.push(Finding::new(
                        Severity::Urgent,
                        LINK_ON,
                        self.subject(),
                        format!(
                            "{} opens the folder of {} on {}; no file goes in and nobody is added while it is on",
                            p.holder, self.plan.client, self.plan.lane.target
                        ),
                        "turn the link off on the target",
                    ));
                }
                None
            }
            Holder::Group(_) | Holder::Opaque(_) => None,
        };
        if email.is_some_and(|e| self.allowed.contains(&e)) {
            return self.keep(p, KeepWhy::AlwaysAllowed);
        }
        // The entry that we made, now under an address that is nobody of the firm: a changed address, or an invitation
        // that another account accepted (`decisions` 18). Ours to take back either way.
        let same_entry = p.via == Via::Direct
            && email.is_some()
            && outside
                .ours
                .get_or_insert_with(|| self.current_owned().map(|o| &o.permission).collect())
                .contains(&p.id);
        if p.via == Via::Direct && outside.lost.iter().any(|o| email == Some(&o.who)) {
            return self.outgoing(p, "is an address of nobody in the firm any more");
        }
        if same_entry {
            return self.outgoing(p, "holds an entry that we made for somebody else");
        }
        self.stranger(p);
    }

    pub fn outgoing(&mut self, p: &SeenPermission, because: &str) {
        if self.mirrors() && self.desired.state != LaneState::Kept && !self.d.firm().policy.additive_only {
            let role = if p.role == SeenRole::Writer { FolderRole::Writer } else { FolderRole::Reader };
            let op = Op::Revoke { who: p.holder.clone(), permission: p.id.clone(), role };
            let cause = Cause::Decision { change: "address".to_owned() };
            self.plan.steps.push(Step::new(op, cause, because));
        } else {
            self.keep(p, KeepWhy::ListStays);
        }
    }
}
