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
