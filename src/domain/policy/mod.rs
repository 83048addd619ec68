//! Who should hold which folder: the firm's modes and selections, intersected with what the sources say (`product` 3, 4).
//!
//! [`Decider`] works client by client over interned people. Work grows with facts and selections, not with people × clients.

mod evidence;
mod judge;
mod lanes;
mod people;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ledgerward_contract::{AccountId, ClientId, ConnectionName, Email, FolderRole, LedgerId, Timestamp};
use serde::{Deserialize, Serialize};

use self::people::Standing;
pub(super) use self::people::TargetBook;
use super::{
    fact::Why,
    facts::Facts,
    firm::{Client, Firm, Guest, Mode, Person, PersonId, Selection, SelectionScope, TargetName},
    index::{self, Index},
    lane::LaneKey,
};

/// A person's place in the decider's table.
pub type PersonIx = u32;

/// The reason of an answer, small and `Copy`. [`super::explain`] prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    // yes
    ModeAll,
    Selected,
    /// The deciding source (an index into [`Facts::sources`]) grants it.
    Ledger(u32, Why),
    LedgerAndSelected(u32, Why),
    /// The ledger lists nobody and the selection decides.
    Manual,
    /// The ledger lists nobody and the firm's roster names the person.
    Roster(u32, Why),
    Guest(u32, Why),
    /// Guest of a client whose ledger lists nobody.
    GuestManual,
    BreakGlass,
    /// A private client that its owner shared with this person.
    Shared,
    // no
    Disabled,
    Closed,
    ClientProposed,
    ClientClosed,
    Private,
    NotSelected,
    /// Selected, and the ledger denies it: dormant or pending.
    LedgerDenies(u32, Why),
    UnlistedDeny,
    NoRoster,
    /// Not a person of this firm (any more).
    NotOurs,
    // held
    LedgerUnknown(u32, Why),
    /// A source of the client that nobody has read yet.
    NotReadYet,
    /// Wanted, and the address is outside the firm's domains and not accepted yet (`decisions` 4).
    ForeignDomain,
    /// Wanted, and the account's folder is nobody's: [`Papers::Ambiguous`].
    TwoLedgers,
}

impl Because {
    /// The source that an answer rests on.
    pub const fn source(self) -> Option<u32> {
        match self {
            Self::Ledger(source, _)
            | Self::LedgerAndSelected(source, _)
            | Self::Roster(source, _)
            | Self::Guest(source, _)
            | Self::LedgerDenies(source, _)
            | Self::LedgerUnknown(source, _) => Some(source),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Yes,
    No,
    /// Unknown: what exists stays, nothing is given.
    Held,
}

/// Which folders of a client an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach<'a> {
    Whole,
    /// Only the account folders of this selection.
    Accounts(&'a std::collections::BTreeSet<super::firm::AccountRef>),
}

/// Whose papers a folder takes. Its key names an account without the ledger; the selections say of which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Papers<'a> {
    /// All of the client's.
    All,
    /// Those of this account, of this ledger alone.
    Of(&'a super::firm::AccountRef),
    /// Nobody is selected for the account (any more), so that nobody can say of which ledger it is: none.
    Nobodys,
    /// Accounts of two ledgers with one id are selected, and this can be of one only: none, and nobody new.
    Ambiguous(&'a super::firm::AccountRef, &'a super::firm::AccountRef),
}

impl Papers<'_> {
    /// Whether a paper of this ledger, and of this account of it, belongs here. `None`: it is of no single account.
    pub fn take(&self, connection: &ConnectionName, ledger: &LedgerId, account: Option<&AccountId>) -> bool {
        match self {
            Self::All => true,
            Self::Of(a) => a.connection == *connection && a.ledger == *ledger && Some(&a.account) == account,
            Self::Nobodys | Self::Ambiguous(..) => false,
        }
    }
}

/// The answer for one person and one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement<'a> {
    pub answer: Answer,
    pub role: FolderRole,
    pub reach: Reach<'a>,
    pub because: Because,
    /// The guest's end, where the answer rests on one.
    pub until: Option<Timestamp>,
}

/// One person that the lane should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub person: PersonIx,
    pub role: FolderRole,
    pub because: Because,
}

/// What happens to a lane at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneState {
    Live,
    /// Archived, or its client is not in the firm's book any more: the list stays, but shut people go (`decisions` 15).
    Kept,
    /// Closed, private, or not accepted: what is ours is taken back.
    Ending,
}

/// What one folder should be. Sorted by person.
#[derive(Clone, Debug)]
pub struct DesiredLane<'a> {
    pub lane: LaneKey,
    /// `None` for a lane whose client is no longer in the firm's book.
    pub client: Option<&'a Client>,
    pub state: LaneState,
    pub papers: Papers<'a>,
    pub wants: Vec<Wanted>,
    /// People whose evidence is unknown: kept exactly as they are.
    pub held: Vec<(PersonIx, Because)>,
    /// Ends of guests in `wants`.
    pub until: Vec<(PersonIx, Timestamp)>,
    /// Oldest unknown evidence that this lane rests on. After 24 h no file goes in (`product` 7).
    pub unknown_since: Option<Timestamp>,
    /// Whether statements go here.
    pub delivery: bool,
    /// Whether the folder should be made if it does not exist.
    pub create: bool,
}

impl DesiredLane<'_> {
    /// Whether who sees so much of the client sees this folder.
    pub fn reached_by(&self, reach: Reach<'_>) -> bool {
        match (self.papers, reach) {
            (_, Reach::Whole) => true,
            (Papers::Of(account), Reach::Accounts(set)) => set.contains(account),
            (Papers::Ambiguous(first, _), Reach::Accounts(set)) => set.iter().any(|a| a.account == first.account),
            (_, Reach::Accounts(_)) => false,
        }
    }

    /// The client has left this folder: whatever is ours in it is taken back, and nothing goes there any more.
    pub fn end(&mut self) {
        self.state = LaneState::Ending;
        (self.delivery, self.create, self.unknown_since) = (false, false, None);
        self.wants.clear();
        self.held.clear();
        self.until.clear();
    }

    /// The folder has papers of another ledger's account with this id: nobody new is let in to those, and no file goes there.
    pub fn dispute(&mut self) {
        (self.delivery, self.create) = (false, false);
        self.held.extend(self.wants.drain(..).map(|w| (w.person, Because::TwoLedgers)));
        self.held.sort_by_key(|(person, _)| *person);
        self.until.clear();
    }
}

/// Decides for one firm at one moment. Cheap to make: it sorts selections by client and interns addresses.
#[derive(Debug)]
pub struct Decider<'a> {
    firm: &'a Firm,
    facts: &'a Facts,
    now: Timestamp,
    /// By index: first the people of `facts`, then those the facts do not know.
    people: Vec<Option<&'a Person>>,
    /// The same people in a byte or two each: every answer needs it, and a person is a hundred times as large.
    standing: Vec<Standing>,
    extra: Vec<PersonId>,
    everything: Vec<PersonIx>,
    by_ledger: Vec<PersonIx>,
    clients: Vec<&'a Client>,
    /// Selections, client after client, people in order; `chosen_from[i]` is where client `i` begins.
    chosen: Vec<Chosen<'a>>,
    chosen_from: Vec<u32>,
    guests: BTreeMap<(ClientId, PersonIx), &'a Guest>,
    targets: Vec<TargetBook<'a>>,
}

/// A selection, taken along: following it into the firm's map again for every client is what deciding would mostly do.
#[derive(Clone, Copy, Debug)]
struct Chosen<'a> {
    /// `None`: the whole client.
    accounts: Option<&'a std::collections::BTreeSet<super::firm::AccountRef>>,
    person: PersonIx,
    when_granted: bool,
}

impl<'a> Chosen<'a> {
    fn of(person: PersonIx, selection: &'a Selection) -> Self {
        let accounts = match &selection.scope {
            SelectionScope::Whole => None,
            SelectionScope::Accounts(set) => Some(set),
        };
        Self { accounts, person, when_granted: selection.when_granted }
    }
}

impl<'a> Decider<'a> {
    /// `targets`: the configured ones. `facts` may have been built before a person was added; such a person has no facts.
    pub fn new(firm: &'a Firm, facts: &'a Facts, targets: &'a [TargetName], now: Timestamp) -> Self {
        let mut people: Vec<Option<&Person>> = facts.people().iter().map(|id| firm.people.get(id)).collect();
        let extra: Vec<PersonId> = firm.people.keys().filter(|id| facts.person_ix(**id).is_none()).copied().collect();
        people.extend(extra.iter().map(|id| firm.people.get(id)));
        let open = |mode: Mode| {
            let is = move |p: &Option<&Person>| p.is_some_and(|p| p.mode == mode && !p.shut());
            (0..).zip(&people).filter(move |(_, p)| is(p)).map(|(ix, _)| ix).collect::<Vec<PersonIx>>()
        };
        let targets = targets.iter().map(|t| TargetBook::new(t, firm, &people)).collect();
        let (everything, by_ledger) = (open(Mode::All), open(Mode::Ledger));
        let clients = firm.clients.values().collect();
        let mut this = Self {
            firm,
            facts,
            now,
            standing: people.iter().map(|p| Standing::of(*p)).collect(),
            people,
            extra,
            everything,
            by_ledger,
            clients,
            chosen: vec![],
            chosen_from: vec![],
            guests: BTreeMap::new(),
            targets,
        };
        this.sort_selections();
        for guest in firm.guests.iter().filter(|g| g.until > now) {
            if let Some(ix) = this.ix(guest.person) {
                // Two for one pair: break-glass outweighs, then the later end.
                let better = |old: &&Guest| (old.break_glass, old.until) >= (guest.break_glass, guest.until);
                if !this.guests.get(&(guest.client, ix)).is_some_and(better) {
                    this.guests.insert((guest.client, ix), guest);
                }
            }
        }
        this
    }

    /// A stable counting sort by client: the map is in order of people already.
    fn sort_selections(&mut self) {
        let hash = |id: &ClientId| index::hash(0, id.0.as_bytes());
        // Ids side by side: a search that follows a reference at every step costs ten times as much.
        let ids: Vec<ClientId> = self.firm.clients.keys().copied().collect();
        let by_id = Index::of(ids.len(), ids.iter().map(hash).zip(0..));
        let mut rows: Vec<Chosen<'a>> = Vec::with_capacity(self.firm.selections.len());
        let mut of_client: Vec<u32> = Vec::with_capacity(rows.capacity());
        let mut last: Option<(PersonId, Option<PersonIx>)> = None;
        let mut from = vec![0_u32; self.clients.len() + 1];
        for ((person, client), selection) in &self.firm.selections {
            let ix = match last {
                Some((p, ix)) if p == *person => ix,
                _ => self.ix(*person),
            };
            last = Some((*person, ix));
            let at = by_id.find(hash(client), |at| ids.get(at as usize) == Some(client));
            if let (Some(ix), Some(client)) = (ix, at) {
                rows.push(Chosen::of(ix, selection));
                of_client.push(client);
                if let Some(n) = from.get_mut(client as usize + 1) {
                    *n += 1;
                }
            }
        }
        let mut sum = 0;
        for n in &mut from {
            sum += *n;
            *n = sum;
        }
        let mut next = from.clone();
        self.chosen.clone_from(&rows);
        for (client, chosen) in of_client.into_iter().zip(rows) {
            if let Some(n) = next.get_mut(client as usize) {
                if let Some(slot) = self.chosen.get_mut(*n as usize) {
                    *slot = chosen;
                }
                *n += 1;
            }
        }
        self.chosen_from = from;
        if !self.extra.is_empty() {
            for i in 0..self.clients.len() {
                let (a, b) = self.chosen_range(i);
                self.chosen.get_mut(a..b).unwrap_or_default().sort_by_key(|c| c.person);
            }
        }
    }

    fn chosen_range(&self, client: usize) -> (usize, usize) {
        let at = |i: usize| self.chosen_from.get(i).map_or(self.chosen.len(), |n| *n as usize);
        (at(client), at(client + 1))
    }

    pub fn firm(&self) -> &'a Firm {
        self.firm
    }

    pub fn facts(&self) -> &'a Facts {
        self.facts
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A person's index.
    pub fn ix(&self, person: PersonId) -> Option<PersonIx> {
        self.facts.person_ix(person).or_else(|| {
            let at = self.extra.binary_search(&person).ok()? + self.facts.people().len();
            u32::try_from(at).ok()
        })
    }

    #[inline]
    fn standing(&self, ix: PersonIx) -> Standing {
        self.standing.get(ix as usize).copied().unwrap_or(Standing::NotOurs)
    }

    pub fn person(&self, ix: PersonIx) -> Option<&'a Person> {
        self.people.get(ix as usize).copied().flatten()
    }

    pub(super) fn target(&self, name: &TargetName) -> Option<&TargetBook<'a>> {
        self.targets.iter().find(|t| t.name == name)
    }

    /// The extra access to a client that somebody has now.
    pub fn guest(&self, client: ClientId, ix: PersonIx) -> Option<&'a Guest> {
        self.guests.get(&(client, ix)).copied()
    }

    /// The address a person has on a target.
    pub fn address(&self, target: &TargetName, ix: PersonIx) -> Option<&Email> {
        match self.target(target) {
            Some(book) => book.address(ix),
            None => self.person(ix).map(|p| p.address_on(target)),
        }
    }

    /// Whose address on a target this is.
    pub fn holder(&self, target: &TargetName, email: &Email) -> Option<PersonIx> {
        match self.target(target) {
            Some(book) => book.find(email),
            None => {
                (0..).zip(&self.people).find(|(_, p)| p.is_some_and(|p| p.address_on(target) == email)).map(|(i, _)| i)
            }
        }
    }
}
