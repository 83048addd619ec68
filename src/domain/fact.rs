//! What a source says about a person: three values, never two (`product` 3), each with the code of its reason.

use ledgerward_contract::FolderRole;
use serde::{Deserialize, Serialize};

/// Unknown is never read as either of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    Granted,
    Denied,
    Unknown,
}

/// Why a fact is what it is: one byte, so that ten million of them fit; `explain` turns it into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Why {
    /// Active, with a role that the table maps to reader.
    Reader,
    /// Active, with a role that the table maps to writer.
    Writer,
    /// The role table says that this role may see nothing.
    RoleNothing,
    /// Invited at the provider, not accepted yet (P17).
    Pending,
    /// Disabled or suspended at the provider (P18).
    Disabled,
    /// The provider lists the user as removed.
    Removed,
    /// Was listed, and two complete lists at least `confirm_after` apart no longer have the user (`decisions` 9).
    Gone,
    /// Never listed, and two complete lists agree.
    NeverListed,
    /// The role is not in the table (P15).
    RoleUnmapped,
    /// A standing that we do not know (P14).
    StandingUnknown,
    /// Missing from one complete list so far.
    AbsentOnce,
    /// Came back minutes after having gone; the provider's lists do not agree with each other yet (P23).
    Flapping,
    /// Never listed, and there is one list so far.
    FirstReading,
    /// Would gain by a list that lacks somebody whom it had: it may be another ledger's, mixed up (P24).
    NewOnce,
    /// The list does not contain our own user, or nothing says who that is, so absence proves nothing.
    OwnMissing,
    /// The pinned user now has an address that nobody confirmed (I05).
    EmailChanged,
    /// A known address under a new id (I06).
    KnownAddressNewId,
    /// Two users of one ledger have one address (I10).
    TwoUsersOneAddress,
    /// The list is empty and was not before (P01, P02).
    SuddenlyEmpty,
    /// The source cannot be read now (P07, P08).
    Unreadable,
    /// The sign-in no longer reaches this ledger.
    LostSight,
    /// It listed its users once and says now that it cannot; a person must confirm.
    OnceListed,
    /// Nobody has read it yet.
    NeverRead,
    /// It cannot list its users: a capability, not a fact about anybody.
    Unlisted,
}

impl Why {
    pub const fn fact(self) -> Fact {
        match self {
            Self::Reader | Self::Writer => Fact::Granted,
            Self::RoleNothing | Self::Pending | Self::Disabled | Self::Removed | Self::Gone | Self::NeverListed => {
                Fact::Denied
            }
            Self::RoleUnmapped
            | Self::StandingUnknown
            | Self::AbsentOnce
            | Self::Flapping
            | Self::FirstReading
            | Self::NewOnce
            | Self::OwnMissing
            | Self::EmailChanged
            | Self::KnownAddressNewId
            | Self::TwoUsersOneAddress
            | Self::SuddenlyEmpty
            | Self::Unreadable
            | Self::LostSight
            | Self::OnceListed
            | Self::NeverRead
            | Self::Unlisted => Fact::Unknown,
        }
    }

    /// What the folder's role would be, where the fact is a grant.
    pub const fn role(self) -> Option<FolderRole> {
        match self {
            Self::Reader => Some(FolderRole::Reader),
            Self::Writer => Some(FolderRole::Writer),
            _ => None,
        }
    }

    /// A denial read from somebody's absence: the last managed person of a folder never goes by one (`decisions` 12).
    pub const fn is_absence(self) -> bool {
        matches!(self, Self::Gone | Self::NeverListed)
    }

    /// Doubt about this one person's identity or standing, rather than about the source as a whole.
    pub const fn is_doubt(self) -> bool {
        matches!(
            self,
            Self::EmailChanged
                | Self::KnownAddressNewId
                | Self::TwoUsersOneAddress
                | Self::RoleUnmapped
                | Self::StandingUnknown
                | Self::FirstReading
                | Self::NewOnce
        )
    }

    /// In words, after the name of the source.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Reader | Self::Writer => "is an active user",
            Self::RoleNothing => "has a role that gives no folder",
            Self::Pending => "is invited there and has not accepted yet",
            Self::Disabled => "is disabled there",
            Self::Removed => "was removed there",
            Self::Gone => "is no longer a user",
            Self::NeverListed => "is not a user",
            Self::RoleUnmapped => "has a role that the role table does not know",
            Self::StandingUnknown => "has a status that we do not know",
            Self::AbsentOnce => "is missing from the last list; a second list must agree",
            Self::Flapping => "left and came back within minutes; the provider's lists do not agree yet",
            Self::FirstReading => "is not in the first list; a second list must agree",
            Self::NewOnce => "is new in a list that lacks somebody it had; a second list must agree",
            Self::OwnMissing => {
                "is missing from a list in which no user is known to be our own, and which so proves nothing"
            }
            Self::EmailChanged => "has a new address there that nobody confirmed",
            Self::KnownAddressNewId => "has the known address under a new id that nobody confirmed",
            Self::TwoUsersOneAddress => "shares one address with another user there",
            Self::SuddenlyEmpty => "lists nobody now, and did before",
            Self::Unreadable => "cannot be read now",
            Self::LostSight => "is out of the sign-in's reach",
            Self::OnceListed => "listed its users before and says now that it cannot",
            Self::NeverRead => "has not been read yet",
            Self::Unlisted => "cannot list its users",
        }
    }
}
