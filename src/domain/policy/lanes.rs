//! Client by client, who should hold each of its folders.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{AccountId, FolderKey};

use super::{
    super::{
        finding::{Finding, Severity},
        firm::{Client, ClientState, Firm, Person},
        lane::LaneKey,
    },
    Answer, Because, Chosen, Decider, DesiredLane, Judgement, LaneState, Papers, PersonIx, Reach, Wanted,
    people::Standing,
};

impl<'a> Decider<'a> {
    /// All lanes of all clients, in order of client, target and account; findings with the first lane of their client.
    ///
    /// Lanes that exist on a target and are not in here (an account that nobody selects any more, a target that was taken
    /// off a client, a private client) are asked for with [`Decider::lane`].
    pub fn lanes(&self) -> impl Iterator<Item = (DesiredLane<'a>, Vec<Finding>)> + '_ {
        let mut room = Room::default();
        (0..self.clients.len()).flat_map(move |ix| self.client_lanes(ix, &mut room))
    }

    fn client_lanes<'s>(&'s self, ix: usize, room: &mut Room<'s>) -> Vec<(DesiredLane<'a>, Vec<Finding>)> {
        let Some(client) = self.clients.get(ix).copied() else { return vec![] };
        if client.state == ClientState::Proposed || (client.private_to.is_some() && !self.firm.shared(client)) {
            return vec![];
        }
        let (from, to) = self.chosen_range(ix);
        let chosen = self.chosen.get(from..to).unwrap_or_default();
        let mut accounts: Vec<&AccountId> = vec![];
        for selection in chosen {
            if let Some(set) = selection.accounts
                && matches!(self.standing(selection.person), Standing::Open(mode) if mode.needs_selection())
            {
                accounts.extend(set.iter().map(|a| &a.account));
            }
        }
        accounts.sort();
        accounts.dedup();
        let papers = papers_of(chosen);
        let mut lanes = Vec::with_capacity(self.targets.len() * (accounts.len() + 1));
        room.foreign.clear();
        for target in &self.targets {
            if client.targets.as_ref().is_some_and(|t| !t.contains(target.name)) {
                continue;
            }
            for account in std::iter::once(None).chain(accounts.iter().copied().map(Some)) {
                let key = LaneKey {
                    target: target.name.clone(),
                    folder: FolderKey { client: client.id, account: account.cloned() },
                };
                let papers = folder_papers(&papers, &key.folder);
                lanes.push((nobody_yet(self.firm, key, client, papers), vec![]));
                room.foreign.push(&target.foreign);
            }
        }
        let mut findings: Vec<Finding> = papers.values().filter_map(|p| ambiguous_finding(client, p)).collect();
        if client.state == ClientState::Active {
            let (who, foreign) = (&mut room.who, &room.foreign);
            self.view(client).everybody(chosen, who, &mut findings, |count, person, judged| {
                for ((lane, _), foreign) in lanes.iter_mut().zip(foreign) {
                    take(lane, self, Some(foreign), count, person, judged);
                }
            });
        }
        for (lane, found) in &mut lanes {
            for (person, because) in &lane.held {
                if *because == Because::ForeignDomain && room.told.insert(*person) {
                    findings.extend(self.person(*person).map(foreign_finding));
                }
            }
            *found = std::mem::take(&mut findings);
        }
        lanes
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
        let (from, to) = self.chosen_range(ix);
        let chosen = self.chosen.get(from..to).unwrap_or_default();
        let papers = folder_papers(&papers_of(chosen), &key.folder);
        let mut findings = vec![];
        let mut lane = nobody_yet(self.firm, key.clone(), client, papers);
        if lane.state == LaneState::Live {
            let foreign = self.target(&key.target).map(|t| t.foreign.as_slice());
            self.view(client).everybody(chosen, &mut vec![], &mut findings, |count, person, judged| {
                take(&mut lane, self, foreign, count, person, judged);
            });
        }
        if client.targets.as_ref().is_some_and(|t| !t.contains(&key.target)) {
            (lane.delivery, lane.create) = (false, false);
        }
        (lane, findings)
    }

    /// Whose papers a folder takes.
    pub fn papers(&self, folder: &FolderKey) -> Papers<'a> {
        let Ok(ix) = self.clients.binary_search_by_key(&folder.client, |c| c.id) else { return Papers::Nobodys };
        let (from, to) = self.chosen_range(ix);
        folder_papers(&papers_of(self.chosen.get(from..to).unwrap_or_default()), folder)
    }
}

/// Whose papers the folder of each selected account takes. Selections that are not in force count as well: else a folder
/// would be another ledger's while their person is away.
fn papers_of<'a>(chosen: &[Chosen<'a>]) -> BTreeMap<&'a AccountId, Papers<'a>> {
    let mut papers = BTreeMap::new();
    for account in chosen.iter().filter_map(|c| c.accounts).flatten() {
        let of = papers.entry(&account.account).or_insert(Papers::Of(account));
        if let Papers::Of(first) = *of
            && first.clashes(account)
        {
            *of = Papers::Ambiguous(first, account);
        }
    }
    papers
}

fn folder_papers<'a>(papers: &BTreeMap<&AccountId, Papers<'a>>, folder: &FolderKey) -> Papers<'a> {
    match &folder.account {
        None => Papers::All,
        Some(account) => papers.get(account).copied().unwrap_or(Papers::Nobodys),
    }
}

/// What client after client is decided with.
#[derive(Default)]
struct Room<'s> {
    who: Vec<PersonIx>,
    /// Of the target of each of the client's lanes.
    foreign: Vec<&'s [bool]>,
    /// People whose foreign address was told about.
    told: BTreeSet<PersonIx>,
}

/// A client's lane, which takes its people one after the other, in order.
fn nobody_yet<'c>(firm: &Firm, key: LaneKey, client: &'c Client, papers: Papers<'c>) -> DesiredLane<'c> {
    let state = match client.state {
        _ if client.private_to.is_some() && !firm.shared_on(client, &key.target) => LaneState::Ending,
        ClientState::Active => LaneState::Live,
        ClientState::Archived => LaneState::Kept,
        ClientState::Proposed | ClientState::Closed => LaneState::Ending,
    };
    let mut lane = empty(key, Some(client), state);
    lane.papers = papers;
    lane.delivery = state == LaneState::Live && !matches!(papers, Papers::Ambiguous(..));
    // An account's folder is made for the first who is selected for it, with an answer of yes.
    lane.create = lane.delivery && lane.lane.folder.account.is_none();
    lane
}

/// Takes what concerns this folder. `foreign`: by person; `None` for a target of no configuration. `count`: how many people
/// at most are to come.
#[inline]
fn take<'a>(
    lane: &mut DesiredLane<'a>,
    d: &Decider<'a>,
    foreign: Option<&[bool]>,
    count: usize,
    person: PersonIx,
    j: &Judgement<'a>,
) {
    if !lane.reached_by(j.reach) {
        return;
    }
    if let (Papers::Of(_), Reach::Accounts(_)) = (lane.papers, j.reach) {
        lane.create |= j.answer == Answer::Yes && lane.state == LaneState::Live;
    }
    match j.answer {
        Answer::Yes if matches!(lane.papers, Papers::Ambiguous(..)) => lane.held.push((person, Because::TwoLedgers)),
        Answer::Yes if foreign.is_some_and(|f| f.get(person as usize).copied().unwrap_or(true)) => {
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

fn empty(lane: LaneKey, client: Option<&Client>, state: LaneState) -> DesiredLane<'_> {
    DesiredLane {
        lane,
        client,
        state,
        papers: Papers::Nobodys,
        wants: vec![],
        held: vec![],
        until: vec![],
        unknown_since: None,
        delivery: false,
        create: false,
    }
}

fn ambiguous_finding(client: &Client, papers: &Papers<'_>) -> Option<Finding> {
    let (Papers::Ambiguous(a, b), ClientState::Active) = (papers, client.state) else { return None };
    let (slug, account) = (&client.slug, &a.account);
    Some(Finding::new(
        Severity::Warning,
        "account.ambiguous",
        format!("{slug}/{account}"),
        format!(
            "{slug}: the account {account} of {}:{} and that of {}:{} are both selected, and one folder cannot be of both; nobody new gets it, and no file goes there",
            a.connection, a.ledger, b.connection, b.ledger
        ),
        format!(
            "take one of them away (ledgerward select PERSON --remove {slug}) or select the whole client; for both, make the second ledger a client of its own: ledgerward clients unbind, add, bind"
        ),
    ))
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
