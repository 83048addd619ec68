//! Who should hold which folder: the firm's modes and selections, intersected with what the sources say (`product` 3, 4).
//!
//! [`Decider`] works client by client over interned people. Work grows with facts and selections, not with people × clients.

use std::collections::BTreeMap;

use ledgerward_contract::{AccountId, ClientId, Email, FolderKey, FolderRole, Grade, SourceKind, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    fact::{Fact, Why},
    facts::Facts,
    finding::{Finding, Severity},
    firm::{
        Authority, Client, ClientState, Firm, Guest, Mode, Person, PersonId, Selection, SelectionScope, TargetName,
        Unlisted,
    },
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
    chosen: Vec<(PersonIx, Chosen<'a>)>,
    chosen_from: Vec<usize>,
    guests: BTreeMap<(ClientId, PersonIx), &'a Guest>,
    targets: Vec<TargetBook<'a>>,
}

/// A selection, taken along: following it into the firm's map again for every client is what deciding would mostly do.
#[derive(Clone, Copy, Debug)]
struct Chosen<'a> {
    when_granted: bool,
    /// `None`: the whole client.
    accounts: Option<&'a std::collections::BTreeSet<super::firm::AccountRef>>,
}

impl<'a> Chosen<'a> {
    fn of(selection: &'a Selection) -> Self {
        let accounts = match &selection.scope {
            SelectionScope::Whole => None,
            SelectionScope::Accounts(set) => Some(set),
        };
        Self { when_granted: selection.when_granted, accounts }
    }
}

/// What of a person every answer needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    NotOurs,
    Closed,
    Disabled,
    Open(Mode),
}

impl Standing {
    fn of(person: Option<&Person>) -> Self {
        match person {
            None => Self::NotOurs,
            Some(p) if p.closed.is_some() => Self::Closed,
            Some(p) if !p.enabled => Self::Disabled,
            Some(p) => Self::Open(p.mode),
        }
    }
}

/// The people's addresses on one target, both ways.
#[derive(Debug)]
pub(super) struct TargetBook<'a> {
    name: &'a TargetName,
    addresses: Vec<Option<&'a Email>>,
    /// The keys of `addresses` in one text, person after person: comparing a whole list in order stays in the cache. Empty
    /// for whoever has none here, or has the address of somebody before them.
    keys: String,
    ends: Vec<u32>,
    /// Each person's place among the addresses in order.
    ranks: Vec<u32>,
    /// Outside the firm's domains and not accepted yet.
    foreign: Vec<bool>,
    by_address: Index,
}

impl<'a> TargetBook<'a> {
    fn new(name: &'a TargetName, firm: &Firm, people: &[Option<&'a Person>]) -> Self {
        let addresses: Vec<_> = people.iter().map(|p| p.map(|p| p.address_on(name))).collect();
        let outside = |e: &Email| !firm.domains.contains(e.domain());
        let foreign = people
            .iter()
            .map(|p| p.is_some_and(|p| !p.domain_accepted && (outside(p.address_on(name)) || outside(&p.email))))
            .collect();
        let address = |ix: PersonIx| addresses.get(ix as usize).copied().flatten();
        let mut order: Vec<PersonIx> = (0..).zip(&addresses).map(|(ix, _)| ix).collect();
        order.sort_by_key(|ix| address(*ix));
        let mut ranks = vec![0; order.len()];
        // Two people with one address: the first has it, whoever of them is asked for.
        let mut second = vec![false; order.len()];
        let mut before = None;
        for (rank, ix) in (0..).zip(order) {
            let at = ix as usize;
            if let (Some(place), Some(second)) = (ranks.get_mut(at), second.get_mut(at)) {
                (*place, *second) = (rank, before == address(ix));
            }
            before = address(ix);
        }
        let (mut keys, mut ends) = (String::new(), Vec::with_capacity(people.len()));
        for (email, second) in addresses.iter().zip(second) {
            keys.push_str(email.filter(|_| !second).map_or("", Email::key));
            // A text of 4 GiB is 16 million people; an end that is cut short compares as another address, never as this one.
            ends.push(u32::try_from(keys.len()).unwrap_or(u32::MAX));
        }
        let hashes = (0..).zip(&addresses).filter_map(|(ix, e)| Some((index::hash(0, (*e)?.key().as_bytes()), ix)));
        let by_address = Index::of(people.len(), hashes);
        Self { name, addresses, keys, ends, ranks, foreign, by_address }
    }

    /// Whether this is the person's address here.
    #[inline]
    pub fn is(&self, ix: PersonIx, email: &Email) -> bool {
        let at = ix as usize;
        let start = at.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let key = match (start, self.ends.get(at)) {
            (Some(start), Some(end)) => self.keys.as_bytes().get(start as usize..*end as usize),
            _ => None,
        };
        key.is_some_and(|key| !key.is_empty() && key == email.key().as_bytes())
    }

    #[inline]
    pub fn find(&self, email: &Email) -> Option<PersonIx> {
        self.by_address.find(index::hash(0, email.key().as_bytes()), |ix| self.is(ix, email))
    }

    #[inline]
    pub fn address(&self, ix: PersonIx) -> Option<&'a Email> {
        self.addresses.get(ix as usize).copied().flatten()
    }

    /// The person's place among all addresses in order.
    #[inline]
    pub fn rank(&self, ix: PersonIx) -> u32 {
        self.ranks.get(ix as usize).copied().unwrap_or(u32::MAX)
    }
}

/// What the sources that decide for a client say.
enum Evidence<'f> {
    /// No deciding source lists its users.
    Unlisted,
    One {
        source: u32,
        rest: Why,
        people: &'f [PersonIx],
        whys: &'f [Why],
    },
    /// Combined by the client's authority. The last is what holds for everybody else.
    Many(Vec<(PersonIx, u32, Why)>, (u32, Why)),
}

impl Evidence<'_> {
    fn rest(&self) -> Option<(u32, Why)> {
        match self {
            Self::Unlisted => None,
            Self::One { source, rest, .. } => Some((*source, *rest)),
            Self::Many(_, rest) => Some(*rest),
        }
    }

    /// For one person. `at` is a hint that moves forward when people are asked for in order.
    fn of(&self, person: PersonIx, at: &mut usize) -> Option<(u32, Why)> {
        match self {
            Self::Unlisted => None,
            Self::One { source, rest, people, whys } => {
                while people.get(*at).is_some_and(|p| *p < person) {
                    *at += 1;
                }
                let hit = people.get(*at) == Some(&person);
                Some((*source, if hit { whys.get(*at).copied().unwrap_or(*rest) } else { *rest }))
            }
            Self::Many(run, rest) => Some(
                run.binary_search_by_key(&person, |r| r.0)
                    .ok()
                    .and_then(|i| run.get(i))
                    .map_or(*rest, |(_, source, why)| (*source, *why)),
            ),
        }
    }

    fn listed(&self) -> impl Iterator<Item = PersonIx> {
        let (one, many): (&[PersonIx], &[(PersonIx, u32, Why)]) = match self {
            Self::Unlisted => (&[], &[]),
            Self::One { people, .. } => (people, &[]),
            Self::Many(run, _) => (&[], run),
        };
        one.iter().copied().chain(many.iter().map(|r| r.0))
    }
}

/// Three-valued combination of several sources (`product` 3).
fn combine(all: bool, says: impl Iterator<Item = (u32, Why)> + Clone) -> (u32, Why) {
    let find = |fact: Fact| says.clone().filter(move |(_, w)| w.fact() == fact);
    // An explicit denial is the better reason than an absence, which the guard treats more carefully.
    let denied = || find(Fact::Denied).min_by_key(|(_, w)| w.is_absence());
    let unknown = || find(Fact::Unknown).next();
    let picked = if all {
        denied().or_else(unknown).or_else(|| find(Fact::Granted).min_by_key(|(_, w)| *w))
    } else {
        find(Fact::Granted).max_by_key(|(_, w)| *w).or_else(unknown).or_else(denied)
    };
    picked.unwrap_or((u32::MAX, Why::NeverRead))
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
        let mut rows: Vec<(u32, (PersonIx, Chosen<'a>))> = Vec::with_capacity(self.firm.selections.len());
        let mut last: Option<(PersonId, Option<PersonIx>)> = None;
        let mut from = vec![0_usize; self.clients.len() + 1];
        for ((person, client), selection) in &self.firm.selections {
            let ix = match last {
                Some((p, ix)) if p == *person => ix,
                _ => self.ix(*person),
            };
            last = Some((*person, ix));
            let at = by_id.find(hash(client), |at| ids.get(at as usize) == Some(client));
            if let (Some(ix), Some(client)) = (ix, at) {
                rows.push((client, (ix, Chosen::of(selection))));
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
        self.chosen = rows.iter().map(|(_, chosen)| *chosen).collect();
        for (client, chosen) in rows {
            if let Some(n) = next.get_mut(client as usize) {
                if let Some(slot) = self.chosen.get_mut(*n) {
                    *slot = chosen;
                }
                *n += 1;
            }
        }
        self.chosen_from = from;
        if !self.extra.is_empty() {
            for i in 0..self.clients.len() {
                let (a, b) = self.chosen_range(i);
                self.chosen.get_mut(a..b).unwrap_or_default().sort_by_key(|(ix, _)| *ix);
            }
        }
    }

    fn chosen_range(&self, client: usize) -> (usize, usize) {
        let at = |i: usize| self.chosen_from.get(i).copied().unwrap_or(self.chosen.len());
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

    /// The address a person has on a target.
    pub fn address(&self, target: &TargetName, ix: PersonIx) -> Option<&'a Email> {
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

    /// The sources that decide for a client; a source that nobody has read yet counts as `NeverRead`.
    pub(super) fn deciding(&self, client: &Client) -> Vec<u32> {
        let lists = |ix: u32| self.facts.source(ix).is_none_or(|s| s.rest != Why::Unlisted);
        if let Authority::Named(source) = &client.authority {
            let ix = self.facts.source_ix(source).unwrap_or(u32::MAX);
            return if lists(ix) { vec![ix] } else { vec![] };
        }
        let grade_a = |source: &ledgerward_contract::SourceRef| match self.facts.source_ix(source) {
            Some(ix) => self.facts.source(ix).filter(|s| s.grade == Grade::A).map(|_| ix),
            None => (source.kind == SourceKind::Ledger).then_some(u32::MAX),
        };
        client.sources.iter().filter_map(grade_a).filter(|ix| lists(*ix)).collect()
    }

    fn evidence(&self, client: &Client, sources: &[u32], all: bool) -> Evidence<'a> {
        let rest_of = |ix: u32| self.facts.source(ix).map_or(Why::NeverRead, |s| s.rest);
        let _ = client;
        match sources {
            [] => Evidence::Unlisted,
            [source] => {
                let (people, whys) = self.facts.run(*source);
                Evidence::One { source: *source, rest: rest_of(*source), people, whys }
            }
            many => {
                let mut who: Vec<PersonIx> = many.iter().flat_map(|s| self.facts.run(*s).0).copied().collect();
                who.sort_unstable();
                who.dedup();
                let says = |p: PersonIx| combine(all, many.iter().map(move |s| (*s, self.facts.lookup(*s, p).0)));
                let run = who.into_iter().map(|p| (p, says(p).0, says(p).1)).collect();
                Evidence::Many(run, combine(all, many.iter().map(|s| (*s, rest_of(*s)))))
            }
        }
    }

    fn guests_of(&self, client: &Client) -> impl Iterator<Item = PersonIx> {
        self.guests.range((client.id, 0)..=(client.id, PersonIx::MAX)).map(|((_, p), _)| *p)
    }

    fn view<'s>(&'s self, client: &'a Client) -> ClientView<'s, 'a> {
        let evidence = self.evidence(client, &self.deciding(client), client.authority != Authority::Any);
        let unlisted = client.unlisted.unwrap_or(self.firm.policy.unlisted);
        let roster = if matches!(evidence, Evidence::Unlisted) && unlisted == Unlisted::Roster {
            let of = |s: &ledgerward_contract::SourceRef| {
                (s.kind == SourceKind::Roster).then(|| self.facts.source_ix(s).unwrap_or(u32::MAX))
            };
            let sources: Vec<u32> = client.sources.iter().filter_map(of).collect();
            self.evidence(client, &sources, false)
        } else {
            Evidence::Unlisted
        };
        let guests = !self.guests.is_empty() && self.guests_of(client).next().is_some();
        ClientView { decider: self, client, evidence, unlisted, roster, guests }
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
        self.view(client).judge(ix, selection.map(Chosen::of), &mut 0, &mut 0)
    }

    /// All lanes of all clients, in order of client, target and account; findings with the first lane of their client.
    ///
    /// Lanes that exist on a target and are not in here (an account that nobody selects any more, a target that was taken
    /// off a client, a private client) are asked for with [`Decider::lane`].
    pub fn lanes(&self) -> impl Iterator<Item = (DesiredLane<'a>, Vec<Finding>)> + '_ {
        let mut told = std::collections::BTreeSet::new();
        let mut who = vec![];
        (0..self.clients.len()).flat_map(move |ix| self.client_lanes(ix, &mut told, &mut who))
    }

    fn client_lanes(
        &self,
        ix: usize,
        told: &mut std::collections::BTreeSet<PersonIx>,
        who: &mut Vec<PersonIx>,
    ) -> Vec<(DesiredLane<'a>, Vec<Finding>)> {
        let Some(client) = self.clients.get(ix).copied() else { return vec![] };
        if client.state == ClientState::Proposed || client.private_to.is_some() {
            return vec![];
        }
        let (from, to) = self.chosen_range(ix);
        let chosen = self.chosen.get(from..to).unwrap_or_default();
        let mut accounts: Vec<&AccountId> = vec![];
        for (person, selection) in chosen {
            if let Some(set) = selection.accounts
                && matches!(self.standing(*person), Standing::Open(mode) if mode.needs_selection())
            {
                accounts.extend(set.iter().map(|a| &a.account));
            }
        }
        accounts.sort();
        accounts.dedup();
        let mut lanes = Vec::with_capacity(self.targets.len() * (accounts.len() + 1));
        for target in &self.targets {
            if client.targets.as_ref().is_some_and(|t| !t.contains(target.name)) {
                continue;
            }
            for account in std::iter::once(None).chain(accounts.iter().copied().map(Some)) {
                let key = LaneKey {
                    target: target.name.clone(),
                    folder: FolderKey { client: client.id, account: account.cloned() },
                };
                lanes.push((Building::new(key, client, Some(target)), vec![]));
            }
        }
        let mut findings = vec![];
        if client.state == ClientState::Active {
            self.view(client).everybody(chosen, who, &mut findings, |count, person, judged| {
                lanes.iter_mut().for_each(|(lane, _)| lane.take(self, count, person, judged));
            });
        }
        for (building, found) in &mut lanes {
            building.lane.create &= building.named;
            for (person, because) in &building.lane.held {
                if *because == Because::ForeignDomain && told.insert(*person) {
                    findings.extend(self.person(*person).map(foreign_finding));
                }
            }
            *found = std::mem::take(&mut findings);
        }
        lanes.into_iter().map(|(building, found)| (building.lane, found)).collect()
    }

    /// One lane by its key, whether or not [`Decider::lanes`] gives it: for folders that exist already.
    pub fn lane(&self, key: &LaneKey) -> (DesiredLane<'a>, Vec<Finding>) {
        let Ok(ix) = self.clients.binary_search_by_key(&key.folder.client, |c| c.id) else {
            let finding = Finding::new(
                Severity::Warning,
                "lane.orphan",
                format!("{}/{}", key.target, key.folder),
                format!(
                    "a folder on {} belongs to a client that is not in the book; its list stays as it is",
                    key.target
                ),
                "bring the client back, or close it",
            );
            return (empty(key.clone(), None, LaneState::Kept), vec![finding]);
        };
        let Some(client) = self.clients.get(ix).copied() else {
            return (empty(key.clone(), None, LaneState::Kept), vec![]);
        };
        let mut findings = vec![];
        let (from, to) = self.chosen_range(ix);
        let mut building = Building::new(key.clone(), client, self.target(&key.target));
        if building.lane.state == LaneState::Live {
            let chosen = self.chosen.get(from..to).unwrap_or_default();
            self.view(client).everybody(chosen, &mut vec![], &mut findings, |count, person, judged| {
                building.take(self, count, person, judged);
            });
        }
        let mut lane = building.lane;
        lane.create &= building.named;
        if client.targets.as_ref().is_some_and(|t| !t.contains(&key.target)) {
            (lane.delivery, lane.create) = (false, false);
        }
        (lane, findings)
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

/// A lane that takes its people one after the other, in order.
struct Building<'s, 'a> {
    lane: DesiredLane<'a>,
    /// By person; `None` for a target of no configuration.
    foreign: Option<&'s [bool]>,
    /// The whole client's folder, or an account that somebody with an answer of yes is selected for.
    named: bool,
}

impl<'s, 'a> Building<'s, 'a> {
    fn new(key: LaneKey, client: &'a Client, target: Option<&'s TargetBook<'a>>) -> Self {
        let state = match client.state {
            _ if client.private_to.is_some() => LaneState::Ending,
            ClientState::Active => LaneState::Live,
            ClientState::Archived => LaneState::Kept,
            ClientState::Proposed | ClientState::Closed => LaneState::Ending,
        };
        let named = key.folder.account.is_none();
        let mut lane = empty(key, Some(client), state);
        (lane.delivery, lane.create) = (state == LaneState::Live, state == LaneState::Live);
        Self { lane, foreign: target.map(|t| t.foreign.as_slice()), named }
    }

    /// Takes what concerns this folder. `count`: how many people at most are to come.
    #[inline]
    fn take(&mut self, d: &Decider<'a>, count: usize, person: PersonIx, j: &Judgement<'a>) {
        let lane = &mut self.lane;
        match (&lane.lane.folder.account, j.reach) {
            (_, Reach::Whole) => {}
            (Some(account), Reach::Accounts(set)) if set.iter().any(|a| a.account == *account) => {
                self.named |= j.answer == Answer::Yes;
            }
            (_, Reach::Accounts(_)) => return,
        }
        match j.answer {
            Answer::Yes if self.foreign.is_some_and(|f| f.get(person as usize).copied().unwrap_or(true)) => {
                lane.held.push((person, Because::ForeignDomain));
            }
            Answer::Yes => {
                if lane.wants.capacity() == 0 {
                    lane.wants.reserve_exact(count);
                }
                lane.wants.push(Wanted { person, role: j.role, because: j.because });
                lane.until.extend(j.until.map(|t| (person, t)));
            }
            Answer::Held => {
                lane.unknown_since = [lane.unknown_since, d.since(person, j.because)].into_iter().flatten().min();
                lane.held.push((person, j.because));
            }
            Answer::No => {}
        }
    }
}

fn empty(lane: LaneKey, client: Option<&Client>, state: LaneState) -> DesiredLane<'_> {
    DesiredLane {
        lane,
        client,
        state,
        wants: vec![],
        held: vec![],
        until: vec![],
        unknown_since: None,
        delivery: false,
        create: false,
    }
}

fn foreign_finding(person: &Person) -> Finding {
    Finding::new(
        Severity::Warning,
        "person.foreign_domain",
        person.email.to_string(),
        format!("{} has an address outside the firm's domains; nothing new is shared with it", person.email),
        format!("ledgerward people accept-domain {}", person.email),
    )
}

/// One client's evidence, ready to judge people.
struct ClientView<'s, 'a> {
    decider: &'s Decider<'a>,
    client: &'a Client,
    evidence: Evidence<'a>,
    unlisted: Unlisted,
    roster: Evidence<'a>,
    /// Whether the client has guests at all.
    guests: bool,
}

impl<'a> ClientView<'_, 'a> {
    /// Gives `each` everybody with an answer of yes or held, in order, with how many there are at most. `chosen`: the client's
    /// selections in order; `who`: room to work in.
    fn everybody(
        &self,
        chosen: &[(PersonIx, Chosen<'a>)],
        who: &mut Vec<PersonIx>,
        findings: &mut Vec<Finding>,
        mut each: impl FnMut(usize, PersonIx, &Judgement<'a>),
    ) {
        let d = self.decider;
        who.clear();
        who.extend(&d.everything);
        who.extend(chosen.iter().map(|(p, _)| *p));
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
            while chosen.get(sel_at).is_some_and(|(p, _)| *p < person) {
                sel_at += 1;
            }
            let selection = chosen.get(sel_at).filter(|(p, _)| *p == person).map(|(_, s)| *s);
            let judged = self.judge(person, selection, &mut at, &mut roster_at);
            if let Some(selection) = selection {
                findings.extend(self.selection_finding(person, selection, &judged));
            }
            if judged.answer != Answer::No {
                each(who.len(), person, &judged);
            }
        }
    }

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
            return no(Because::Private);
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
            let by_guest = self.by_guest(guest, fact, roster);
            let wider =
                by_guest.answer == Answer::Yes && (judged.answer != Answer::Yes || judged.reach != Reach::Whole);
            if wider || (by_guest.answer == Answer::Held && judged.answer == Answer::No) {
                judged = by_guest;
            }
        }
        judged
    }

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
        let person = self.decider.person(ix)?;
        // Made only where it is told: this runs for every selection of the firm.
        let subject = || format!("{}/{}", person.email, self.client.slug);
        match (selection.when_granted, judged.answer, judged.because) {
            (true, Answer::Yes, _) => Some(Finding::new(
                Severity::Notice,
                "selection.turned_on",
                subject(),
                format!("the ledger of {} now grants {}; the kept wish is in force", self.client.slug, person.email),
                "nothing to do",
            )),
            (false, Answer::No, Because::LedgerDenies(source, why)) => Some(Finding::new(
                Severity::Notice,
                "selection.dormant",
                subject(),
                format!(
                    "{} is selected for {} and gives nothing: {}",
                    self.client.slug,
                    person.email,
                    super::explain::source_words(self.decider.facts, source, why)
                ),
                "nothing to do; it wakes when the ledger grants it again",
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{facts::FactsBuilder, firm::Office};

    fn person(n: u128, shared: &TargetName) -> Person {
        Person {
            id: PersonId(uuid::Uuid::from_u128(n)),
            first: "Pat".into(),
            last: n.to_string(),
            email: Email::parse(&format!("pat{n}@harbour.example")).unwrap(),
            aliases: BTreeMap::new(),
            target_addresses: [(shared.clone(), Email::parse("Desk@harbour.example").unwrap())].into(),
            mode: Mode::Selected,
            office: Office::Employee,
            enabled: true,
            closed: None,
            domain_accepted: false,
        }
    }

    #[test]
    fn an_address_that_two_people_have_on_a_target_is_the_firsts() {
        let targets = [TargetName("drive".into()), TargetName("disk".into())];
        let mut firm = Firm::default();
        firm.domains.insert("harbour.example".into());
        firm.people = [1, 2].map(|n| person(n, &targets[0])).into_iter().map(|p| (p.id, p)).collect();
        let facts = FactsBuilder::new(firm.people.keys().copied()).build();
        let d = Decider::new(&firm, &facts, &targets, Timestamp::UNIX_EPOCH);
        let desk = Email::parse("desk@harbour.example").unwrap();
        assert_eq!(d.holder(&targets[0], &desk), Some(0));
        let book = d.target(&targets[0]).unwrap();
        assert!(book.is(0, &desk) && !book.is(1, &desk), "trying the second first must not give it to them");
        assert_eq!(d.address(&targets[0], 1), Some(&desk));
        let second = Email::parse("PAT2@harbour.example").unwrap();
        assert_eq!(d.holder(&targets[1], &second), Some(1));
        assert_eq!(d.holder(&targets[1], &desk), None);
    }
}
