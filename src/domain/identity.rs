//! Joins a provider's users to people (`product` 3, `decisions` 1–4, 9).
//!
//! A user is matched by address once and by the provider's immutable id from then on. Whatever is odd about one user holds
//! that one person and makes a finding; it never becomes a grant and never a denial.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use ledgerward_contract::{
    AccessFact, Email, ErrorKind, Grade, LedgerRole, ProviderUserId, SourceRef, Standing, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::{
    fact::Why,
    finding::{Finding, Severity},
    firm::{Firm, PersonId, Pin},
};

/// What one reading of one source gave.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    pub source: SourceRef,
    /// The source's name for people: the organisation's name.
    pub name: String,
    pub grade: Grade,
    pub at: Timestamp,
    pub outcome: Outcome<'a>,
    /// Who the sign-in itself is, where the provider says. Without it no absence at a grade-A source is a denial.
    pub own: Option<OwnIdentity>,
}

#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// A complete listing: the items of a `Snapshot`.
    Listed(&'a [AccessFact]),
    Unreadable {
        kind: ErrorKind,
        why: String,
        since: Timestamp,
    },
    /// The capability is missing: this source cannot list its users.
    Unlisted {
        reason: String,
    },
    /// The sign-in no longer lists this ledger at all.
    LostSight {
        since: Timestamp,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnIdentity {
    pub email: Option<Email>,
    pub user_id: Option<ProviderUserId>,
}

/// What the store keeps of a source between two readings, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceMemory {
    /// Everybody a complete list ever had, those who left included.
    pub users: BTreeMap<ProviderUserId, SeenUser>,
    pub ever_listed: bool,
    /// Users in the last complete, non-suspicious list.
    pub last_count: usize,
    pub first_complete_at: Option<Timestamp>,
    pub last_complete_at: Option<Timestamp>,
    /// Since when the source says nothing useful: unreadable, out of sight, suddenly empty.
    pub unknown_since: Option<Timestamp>,
    /// A person confirmed that a source that listed its users no longer can.
    pub loss_confirmed: bool,
}

/// One user as last listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenUser {
    /// The address under which this id was matched or confirmed last, as a key.
    pub email: Option<String>,
    pub role: String,
    pub standing: Standing,
    pub last_seen: Timestamp,
    /// First complete list without this user.
    pub absent_since: Option<Timestamp>,
    /// When the absence became a denial.
    pub gone_at: Option<Timestamp>,
}

/// What one source says about one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonFact {
    pub why: Why,
    /// The vendor's word for the role.
    pub role: String,
    pub user: ProviderUserId,
    /// Last listed (for a denial), or since when it is unknown.
    pub since: Option<Timestamp>,
}

/// The joined facts of one source.
#[derive(Clone, Debug)]
pub struct Joined {
    pub source: SourceRef,
    pub name: String,
    pub grade: Grade,
    pub facts: BTreeMap<PersonId, PersonFact>,
    /// What holds for everybody who is not in `facts`.
    pub rest: Why,
    /// Since when the source as a whole is unknown.
    pub unknown_since: Option<Timestamp>,
    /// The source's state in words, where it is unknown: the error's sentence.
    pub trouble: Option<String>,
    pub memory: SourceMemory,
    pub findings: Vec<Finding>,
    /// Read this source alone again at this time: a second list must confirm (`decisions` 9).
    pub reread_at: Option<Timestamp>,
    pub new_pins: Vec<(Pin, PersonId)>,
}
