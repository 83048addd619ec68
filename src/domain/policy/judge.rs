//! One person and one client: the four modes, guests, and what no mode outweighs (`product` 4).

use ledgerward_contract::{ClientId, FolderRole, SourceKind, Timestamp};

use super::{
    super::{
        explain,
        fact::{Fact, Why},
        finding::{Finding, Severity},
        firm::{Authority, Client, ClientState, Guest, Mode, Person, PersonId, Unlisted},
    },
    Answer, Because, Chosen, Decider, Judgement, PersonIx, Reach,
    evidence::Evidence,
    people::Standing,
};

impl<'a> Decider<'a> {
    fn guests_of(&self, client: &Client) -> impl Iterator<Item = PersonIx> {
        self.guests.range((client.id, 0)..=(client.id, PersonIx::MAX)).map(|((_, p), _)| *p)
    }

    pub(super) fn view<'s>(&'s self, client: &'a Client) -> ClientView<'s, 'a> {
        let evidence = self.evidence(&self.deciding(client), client.authority != Authority::Any);
        let unlisted = client.unlisted.unwrap_or(self.firm.policy.unlisted);
        let roster = if matches!(evidence, Evidence::Unlisted) && unlisted == Unlisted::Roster {
            let of = |s: &ledgerward_contract::SourceRef| {
                (s.kind == SourceKind::Roster).then(|| self.facts.source_ix(s).unwrap_or(u32::MAX))
            };
            let sources: Vec<u32> = client.sources.iter().filter_map(of).collect();
            self.evidence(&sources, false)
        } else {
            Evidence::Unlisted
        };
        let guests = !self.guests.is_empty() && self.guests_of(client).next().is_some();
        let shared = self.firm.shared(client);
        ClientView { decider: self, client, evidence, unlisted, roster, guests, shared }
    }

    /// The answer for one person and one client, folders and domains aside.
    pub fn judge(&self, person: PersonId, client: ClientId) -> Judgement<'a> {
        let no = |because| Judgement {
            answer: Answer::No,
            role: FolderRole::Reader,
            reach: Reach::Whole,
            because,
            until: None,
        };
        let (Some(ix), Some(client)) = (self.ix(person), self.firm.clients.get(&client)) else {
            return no(Because::NotOurs);
        };
        let selection = self.firm.selections.get(&(person, client.id));
        self.view(client).judge(ix, selection.map(|s| Chosen::of(ix, s)), &mut 0, &mut 0)
    }

    /// Since when an unknown is unknown. A first reading and a list without our own user have no age: nothing was lost.
    pub fn since(&self, person: PersonIx, because: Because) -> Option<Timestamp> {
        let Because::LedgerUnknown(source, why) = because else { return None };
        match why {
            Why::FirstReading | Why::NeverRead => None,
            Why::Unreadable | Why::LostSight | Why::SuddenlyEmpty | Why::OnceListed => {
                self.facts.source(source)?.unknown_since
            }
            _ => self.facts.lookup(source, person).2,
        }
    }
}

/// One client's evidence, ready to judge people.
pub(super) struct ClientView<'s, 'a> {
    decider: &'s Decider<'a>,
    client: &'a Client,
    evidence: Evidence<'a>,
    unlisted: Unlisted,
    roster: Evidence<'a>,
    /// Whether the client has guests at all.
    guests: bool,
    /// Private books that their person shared and still keeps.
    shared: bool,
}

impl<'a> ClientView<'_, 'a> {
    /// Gives `each` everybody with an answer of yes or held, in order, with how many there are at most. `chosen`: the client's
    /// selections in order; `who`: room to work in.
    pub fn everybody(
        &self,
        chosen: &[Chosen<'a>],
        who: &mut Vec<PersonIx>,
        findings: &mut Vec<Finding>,
        mut each: impl FnMut(usize, PersonIx, &Judgement<'a>),
    ) {
        let d = self.decider;
        who.clear();
        who.extend(&d.everything);
        who.extend(chosen.iter().map(|c| c.person));
        if self.guests {
            who.extend(d.guests_of(self.client));
        }
        let unknown = |e: &Evidence<'_>| e.rest().is_some_and(|(_, w)| w.fact() == Fact::Unknown);
        if unknown(&self.evidence) || unknown(&self.roster) {
            who.extend(&d.by_ledger);
        } else if !d.by_ledger.is_empty() {
            let by_ledger = |p: &PersonIx| d.standing(*p) == Standing::Open(Mode::Ledger);
            who.extend(self.evidence.listed().filter(by_ledger));
            who.extend(self.roster.listed().filter(by_ledger));
        }
        if !who.is_sorted_by(|a, b| a < b) {
            who.sort_unstable();
            who.dedup();
        }
        let (mut at, mut roster_at, mut sel_at) = (0, 0, 0);
        for &person in who.iter() {
            while chosen.get(sel_at).is_some_and(|c| c.person < person) {
                sel_at += 1;
            }
            let selection = chosen.get(sel_at).filter(|c| c.person == person).copied();
            let judged = self.judge(person, selection, &mut at, &mut roster_at);
            if let Some(selection) = selection {
                findings.extend(self.selection_finding(person, selection, &judged));
            }
            if judged.answer != Answer::No {
                each(who.len(), person, &judged);
            }
        }
    }

    #[inline]
    fn judge(
        &self,
        ix: PersonIx,
        selection: Option<Chosen<'a>>,
        at: &mut usize,
        roster_at: &mut usize,
    ) -> Judgement<'a> {
        let answer = |answer, role, because| Judgement { answer, role, reach: Reach::Whole, because, until: None };
        let no = |because| answer(Answer::No, FolderRole::Reader, because);
        let mode = match self.decider.standing(ix) {
            Standing::NotOurs => return no(Because::NotOurs),
            Standing::Closed => return no(Because::Closed),
            Standing::Disabled => return no(Because::Disabled),
            Standing::Open(mode) => mode,
        };
        if self.client.private_to.is_some() {
            let whole = selection.is_some_and(|s| s.accounts.is_none() && !s.when_granted);
            let live = matches!(self.client.state, ClientState::Active | ClientState::Archived);
            // No mode and no ledger leads here: only its owner's own act for this very person.
            return if whole && live && self.shared {
                answer(Answer::Yes, FolderRole::Reader, Because::Shared)
            } else {
                no(Because::Private)
            };
        }
        match self.client.state {
            ClientState::Proposed => return no(Because::ClientProposed),
            ClientState::Closed => return no(Because::ClientClosed),
            ClientState::Active | ClientState::Archived => {}
        }
        let fact = self.evidence.of(ix, at);
        let roster = self.roster.of(ix, roster_at);
        let mut judged = self.by_mode(mode, selection, fact, roster);
        if self.guests
            && let Some(guest) = self.decider.guests.get(&(self.client.id, ix))
        {
            let mut by_guest = self.by_guest(guest, fact, roster);
            if guest.break_glass {
                // What the ledger grants a guest for longer is not cut to break-glass's day.
                let beside = self.decider.firm.guests.iter().filter(|g| {
                    (g.person, g.client) == (guest.person, guest.client) && !g.break_glass && g.until >= guest.until
                });
                let mut given = beside.map(|g| self.by_guest(g, fact, roster)).filter(|j| j.answer == Answer::Yes);
                by_guest = given.next().unwrap_or(by_guest);
            }
            let wider =
                by_guest.answer == Answer::Yes && (judged.answer != Answer::Yes || judged.reach != Reach::Whole);
            if wider || (by_guest.answer == Answer::Held && judged.answer == Answer::No) {
                judged = by_guest;
            }
        }
        judged
    }

    #[inline]
    fn by_mode(
        &self,
        mode: Mode,
        selection: Option<Chosen<'a>>,
        fact: Option<(u32, Why)>,
        roster: Option<(u32, Why)>,
    ) -> Judgement<'a> {
        let reach = match selection.and_then(|s| s.accounts) {
            Some(set) if mode.needs_selection() => Reach::Accounts(set),
            _ => Reach::Whole,
        };
        let yes = |role, because| Judgement { answer: Answer::Yes, role, reach, because, until: None };
        let no = |because| Judgement { answer: Answer::No, role: FolderRole::Reader, reach, because, until: None };
        let wish = selection.is_some_and(|s| s.when_granted);
        match mode {
            Mode::All => return yes(FolderRole::Reader, Because::ModeAll),
            Mode::Selected | Mode::LedgerSelected if selection.is_none() => return no(Because::NotSelected),
            // A wish is no selection until the ledger grants it, whatever the mode has become since.
            Mode::Selected if !wish => return yes(FolderRole::Reader, Because::Selected),
            Mode::Selected | Mode::Ledger | Mode::LedgerSelected => {}
        }
        let by = |(source, why): (u32, Why), granted: fn(u32, Why) -> Because| match why.fact() {
            Fact::Granted => yes(why.role().unwrap_or(FolderRole::Reader), granted(source, why)),
            Fact::Denied => no(Because::LedgerDenies(source, why)),
            Fact::Unknown => {
                let because =
                    if source == u32::MAX { Because::NotReadYet } else { Because::LedgerUnknown(source, why) };
                Judgement { answer: Answer::Held, role: FolderRole::Reader, reach, because, until: None }
            }
        };
        let Some(fact) = fact else {
            return match (self.unlisted, selection) {
                (Unlisted::Manual, Some(_)) if !wish => yes(FolderRole::Reader, Because::Manual),
                (Unlisted::Manual, _) => no(Because::NotSelected),
                (Unlisted::Deny, _) => no(Because::UnlistedDeny),
                (Unlisted::Roster, _) => roster.map_or_else(|| no(Because::NoRoster), |r| by(r, Because::Roster)),
            };
        };
        by(fact, if mode == Mode::Ledger { Because::Ledger } else { Because::LedgerAndSelected })
    }

    /// A guest sees what the ledger grants, without a selection and until the end; break-glass sees the client.
    fn by_guest(&self, guest: &Guest, fact: Option<(u32, Why)>, roster: Option<(u32, Why)>) -> Judgement<'a> {
        let make =
            |answer, role, because| Judgement { answer, role, reach: Reach::Whole, because, until: Some(guest.until) };
        let by = |(source, why): (u32, Why)| match why.fact() {
            Fact::Granted => make(Answer::Yes, why.role().unwrap_or(FolderRole::Reader), Because::Guest(source, why)),
            Fact::Denied => make(Answer::No, FolderRole::Reader, Because::LedgerDenies(source, why)),
            Fact::Unknown if source == u32::MAX => make(Answer::Held, FolderRole::Reader, Because::NotReadYet),
            Fact::Unknown => make(Answer::Held, FolderRole::Reader, Because::LedgerUnknown(source, why)),
        };
        match (guest.break_glass, fact, self.unlisted) {
            (true, ..) => make(Answer::Yes, FolderRole::Reader, Because::BreakGlass),
            (_, Some(fact), _) => by(fact),
            (_, None, Unlisted::Manual) => make(Answer::Yes, FolderRole::Reader, Because::GuestManual),
            (_, None, Unlisted::Deny) => make(Answer::No, FolderRole::Reader, Because::UnlistedDeny),
            (_, None, Unlisted::Roster) => {
                roster.map_or_else(|| make(Answer::No, FolderRole::Reader, Because::NoRoster), by)
            }
        }
    }

    fn selection_finding(&self, ix: PersonIx, selection: Chosen<'_>, judged: &Judgement<'_>) -> Option<Finding> {
        // Looked up only where it is told: this runs for every selection of the firm.
        let person = || self.decider.person(ix);
        let subject = |person: &Person| format!("{}/{}", person.email, self.client.slug);
        match (selection.when_granted, judged.answer, judged.because) {
            (true, Answer::Yes, _) => person().map(|person| {
                Finding::new(
                    Severity::Notice,
                    "selection.turned_on",
                    subject(person),
                    format!(
                        "the ledger of {} now grants {}; the kept wish is in force",
                        self.client.slug, person.email
                    ),
                    "nothing to do",
                )
            }),
            (false, Answer::No, Because::LedgerDenies(source, why)) => person().map(|person| {
                Finding::new(
                    Severity::Notice,
                    "selection.dormant",
                    subject(person),
                    format!(
                        "{} is selected for {} and gives nothing: {}",
                        self.client.slug,
                        person.email,
                        explain::source_words(self.decider.facts, source, why)
                    ),
                    "nothing to do; it wakes when the ledger grants it again",
                )
            }),
            _ => None,
        }
    }
}
