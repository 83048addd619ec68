//! Where ledger and folder disagree about a person, folder by folder (`product` 8). What is wanted and what is there are both
//! given; nothing is decided here that [`super::policy`] did not decide.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ConnectionName, Email, Holder, SeenPermission, SeenRole, SourceKind, Via};
use serde::Serialize;

use super::{
    explain,
    fact::Fact,
    finding::{Finding, Severity},
    firm::{Client, ClientState, Person, PersonId},
    lane::LaneKey,
    policy::{Answer, Because, Decider, DesiredLane, PersonIx, Reach},
};

/// How they disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// A link or "everyone" opens the folder.
    Link,
    /// A group whose members nobody here can name.
    Group,
    /// In the folder, and the ledger does not let them in.
    FolderOnly,
    /// The same, by a folder above, a membership, or something below.
    Elsewhere,
    /// The ledger lets them in, and they are not in the folder.
    LedgerOnly,
    /// Invited and not yet in.
    Pending,
    /// In by a guest's access, which ends.
    Guest,
    /// In the ledger without being responsible for the client in the practice manager or roster.
    AccessWithoutResponsibility,
    /// Responsible for the client there, and not in the ledger.
    ResponsibilityWithoutAccess,
}

impl Gap {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Link => "open by a link",
            Self::Group => "open to a group",
            Self::FolderOnly => "folder yes, ledger no",
            Self::Elsewhere => "folder yes from elsewhere, ledger no",
            Self::LedgerOnly => "ledger yes, folder no",
            Self::Pending => "invited, not yet in",
            Self::Guest => "guest",
            Self::AccessWithoutResponsibility => "ledger access without responsibility",
            Self::ResponsibilityWithoutAccess => "responsibility without ledger access",
        }
    }
}

/// One disagreement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Line {
    pub gap: Gap,
    /// An address, or what else holds the folder.
    pub who: String,
    pub because: String,
}

/// What the client's ledgers say of one person: granted if one of them grants, denied if all deny. `None`: the client has no
/// ledger that lists anybody.
fn ledger(d: &Decider<'_>, client: &Client, ix: PersonIx) -> Option<Fact> {
    combined(d, client, ix, &|kind| kind == SourceKind::Ledger)
}

fn combined(d: &Decider<'_>, client: &Client, ix: PersonIx, of: &dyn Fn(SourceKind) -> bool) -> Option<Fact> {
    let facts = d.facts();
    let sources = client.sources.iter().filter(|s| of(s.kind)).filter_map(|s| facts.source_ix(s));
    let said = sources.map(|s| facts.lookup(s, ix).0.fact());
    said.reduce(|a, b| match (a, b) {
        (Fact::Granted, _) | (_, Fact::Granted) => Fact::Granted,
        (Fact::Unknown, _) | (_, Fact::Unknown) => Fact::Unknown,
        _ => Fact::Denied,
    })
}

fn below(p: &SeenPermission) -> bool {
    matches!(p.via, Via::Below(_))
}

/// One folder beside its client's ledgers. `list`: as it was last read; `people`: everybody of the firm.
pub fn of_lane(d: &Decider<'_>, desired: &DesiredLane<'_>, client: &Client, list: &[SeenPermission]) -> Vec<Line> {
    let target = &desired.lane.target;
    let mut lines = BTreeSet::new();
    let mut there: BTreeMap<&Email, Vec<&SeenPermission>> = BTreeMap::new();
    // The folder's owner is in no plan; who owns a thing in it is as in it as whoever was let in to that thing.
    let owner = |p: &SeenPermission| p.role == SeenRole::Owner && !below(p);
    for p in list.iter().filter(|p| !p.ourselves && !owner(p) && !p.role.lets_nobody_in()) {
        let line = |gap, because: &str| Line { gap, who: p.holder.to_string(), because: because.to_owned() };
        match &p.holder {
            Holder::Person(email) => there.entry(email).or_default().push(p),
            Holder::Link(_) | Holder::Everyone(_) => {
                lines.insert(line(Gap::Link, "nobody can say who has it"));
            }
            Holder::Group(_) | Holder::Opaque(_) => {
                lines.insert(line(Gap::Group, "its members are not visible from here"));
            }
        }
    }
    let wants: BTreeMap<PersonIx, Because> = desired.wants.iter().map(|w| (w.person, w.because)).collect();
    let held: BTreeSet<PersonIx> = desired.held.iter().map(|(ix, _)| *ix).collect();
    let mut known = BTreeSet::new();
    for (email, entries) in &there {
        let ix = d.holder(target, email);
        known.extend(ix.filter(|_| !entries.iter().all(|p| below(p))));
        let line = |gap, because: String| Line { gap, who: email.to_string(), because };
        if entries.iter().all(|p| p.pending) {
            lines.insert(line(Gap::Pending, "the invitation waits for them".to_owned()));
        }
        let because = match ix {
            None => "no person of the firm".to_owned(),
            Some(ix) => {
                if matches!(wants.get(&ix), Some(Because::Guest(..) | Because::GuestManual | Because::BreakGlass)) {
                    let until = desired.until.iter().find(|(who, _)| *who == ix).map(|(_, t)| d.firm().zone.end(*t));
                    lines.insert(line(
                        Gap::Guest,
                        format!("until {}", until.unwrap_or_else(|| "it is ended".to_owned())),
                    ));
                    continue;
                }
                match (wants.get(&ix), held.contains(&ix), ledger(d, client, ix)) {
                    // Where no ledger lists anybody, the firm's own choice is all there is.
                    (Some(_), _, Some(Fact::Granted | Fact::Unknown) | None) | (None, true, _) => continue,
                    (Some(because), ..) => explain::because_words(d, ix, *because),
                    (None, ..) => match d.person(ix) {
                        Some(p) => explain::because_words(d, ix, d.judge(p.id, client.id).because),
                        None => "no person of the firm any more".to_owned(),
                    },
                }
            }
        };
        let direct = entries.iter().any(|p| p.via == Via::Direct);
        lines.insert(line(if direct { Gap::FolderOnly } else { Gap::Elsewhere }, because));
    }
    // A folder that the client has left, or that stays as it is, lets nobody in any more.
    if desired.lane.folder.account.is_none() && desired.delivery {
        lines.extend(absent(d, desired, client, &wants, &known));
    }
    lines.into_iter().collect()
}

/// Whom the ledger lets in and the folder does not.
fn absent(
    d: &Decider<'_>,
    desired: &DesiredLane<'_>,
    client: &Client,
    wants: &BTreeMap<PersonIx, Because>,
    known: &BTreeSet<PersonIx>,
) -> Vec<Line> {
    let mut out = Vec::new();
    for person in d.firm().people.values().filter(|p| !p.shut()) {
        let Some(ix) = d.ix(person.id).filter(|ix| !known.contains(ix)) else { continue };
        let granted = ledger(d, client, ix) == Some(Fact::Granted);
        if !granted && !wants.contains_key(&ix) {
            continue;
        }
        let judged = d.judge(person.id, client.id);
        // Theirs are accounts' own folders: this one is not to be.
        if judged.answer == Answer::Yes && matches!(judged.reach, Reach::Accounts(_)) {
            continue;
        }
        let because = match judged.answer {
            Answer::Yes => "is to be let in; see: ledgerward plan".to_owned(),
            _ => explain::because_words(d, ix, judged.because),
        };
        let who = d.address(&desired.lane.target, ix).unwrap_or(&person.email).to_string();
        out.push(Line { gap: Gap::LedgerOnly, who, because });
    }
    out
}

/// Ledger access beside responsibility, for a client that a practice manager or a roster knows.
pub fn responsibility(d: &Decider<'_>, client: &Client) -> Vec<Line> {
    let practice = |kind| kind != SourceKind::Ledger;
    let mut out = Vec::new();
    for person in d.firm().people.values() {
        let Some(ix) = d.ix(person.id) else { continue };
        let (access, duty) = (ledger(d, client, ix), combined(d, client, ix, &practice));
        let gap = match (access, duty) {
            (Some(Fact::Granted), Some(Fact::Denied)) => Gap::AccessWithoutResponsibility,
            (Some(Fact::Denied), Some(Fact::Granted)) => Gap::ResponsibilityWithoutAccess,
            _ => continue,
        };
        let sources = client.sources.iter().filter(|s| practice(s.kind)).map(|s| s.connection.to_string());
        let because = sources.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ");
        out.push(Line { gap, who: person.email.to_string(), because });
    }
    out.sort();
    out
}

/// Where practice managers and rosters contradict the ledgers (P19): told once per connection, for [`responsibility`] and
/// `gaps` name each. Nothing is taken away by it: who decides for a client is its authority.
pub fn conflicts(d: &Decider<'_>) -> Vec<Finding> {
    let mut by: BTreeMap<&ConnectionName, (usize, usize, usize)> = BTreeMap::new();
    let open = |c: &&Client| c.state == ClientState::Active && c.private_to.is_none();
    for client in d.firm().clients.values().filter(open) {
        let (ledgers, lists): (Vec<_>, Vec<_>) = client.sources.iter().partition(|s| s.kind == SourceKind::Ledger);
        let Some(list) = lists.first().filter(|_| !ledgers.is_empty()) else { continue };
        let sources = client.sources.iter().filter_map(|s| d.facts().source_ix(s));
        // Whoever is named nowhere is in no contradiction.
        let named: BTreeSet<PersonIx> = sources.flat_map(|s| d.facts().run(s).0).copied().collect();
        let (mut access, mut duty) = (0, 0);
        for ix in named {
            match (ledger(d, client, ix), combined(d, client, ix, &|kind| kind != SourceKind::Ledger)) {
                (Some(Fact::Granted), Some(Fact::Denied)) => access += 1,
                (Some(Fact::Denied), Some(Fact::Granted)) => duty += 1,
                _ => {}
            }
        }
        if access + duty > 0 {
            let sum = by.entry(&list.connection).or_default();
            *sum = (sum.0 + 1, sum.1 + access, sum.2 + duty);
        }
    }
    let told = |(connection, (clients, access, duty)): (&ConnectionName, _)| {
        Finding::new(
            Severity::Notice,
            "access.conflict",
            connection.as_str().to_owned(),
            format!(
                "{connection} and the ledgers disagree on {clients} clients: {access} times somebody has the ledger without being responsible, {duty} times the other way round; access stays as each client's authority decides"
            ),
            "ledgerward gaps",
        )
    };
    by.into_iter().map(told).collect()
}

/// The people of the firm whom a practice manager or a roster names for this client.
pub fn responsible(d: &Decider<'_>, client: &Client) -> Vec<PersonId> {
    let named = |p: &&Person| {
        let ix = d.ix(p.id).filter(|_| !p.shut());
        ix.and_then(|ix| combined(d, client, ix, &|kind| kind != SourceKind::Ledger)) == Some(Fact::Granted)
    };
    d.firm().people.values().filter(named).map(|p| p.id).collect()
}

/// A lane's place in a table.
pub fn place(lane: &LaneKey) -> String {
    match &lane.folder.account {
        None => lane.target.to_string(),
        Some(account) => format!("{} ({account})", lane.target),
    }
}
