//! Why somebody sees a client, why not, and what would change it (`product` 8).

use ledgerward_contract::{FolderRole, Grade, SourceRef, Timestamp};
use serde::Serialize;

use super::{
    fact::{Fact, Why},
    firm::{Mode, PersonId, SelectionScope},
    policy::{Answer, Because, Decider, Reach},
};

/// The whole answer to `why` and `why-not`.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    pub verdict: Answer,
    /// One sentence.
    pub text: String,
    pub role: Option<FolderRole>,
    pub mode: Mode,
    pub selection: SelectionState,
    /// What each source of the client says about the person.
    pub sources: Vec<SourceSays>,
    /// The smallest change that would alter the answer; several where any one of them would do.
    pub would_change: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectionState {
    None,
    Whole,
    Accounts(usize),
    /// Kept as a wish until the ledger grants it.
    Pending,
    /// Selected, and the ledger took it away.
    Dormant,
}

#[derive(Clone, Debug, Serialize)]
pub struct SourceSays {
    pub source: SourceRef,
    pub name: String,
    pub grade: Grade,
    pub fact: Fact,
    pub why: Why,
    /// The vendor's word for the role, where there is one.
    pub role: String,
    pub since: Option<Timestamp>,
    pub text: String,
    /// Whether this source decides for this client.
    pub decides: bool,
}

/// Whether a client may be selected for a person (`product` 4, *greyed*).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CanSelect {
    Ok,
    /// The ledger must grant it first: the name of each that must.
    Greyed { ledgers: Vec<String> },
    /// As `Greyed`, and a wish for it is kept already.
    Pending { ledgers: Vec<String> },
    /// No selection can ever give this: private, not accepted, closed, unlisted clients are denied.
    Never { why: String },
}
