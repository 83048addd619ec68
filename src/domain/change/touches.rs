//! Whom and what an act is about.

use std::collections::BTreeSet;

use super::{ChangeOp, ClientId, PersonId};

/// What one change touches.
enum About<'o> {
    NewPerson(PersonId),
    /// A person's own record.
    Person(PersonId),
    /// The firm's ownership, and who gets it.
    Ownership(PersonId),
    /// One person's access to one client.
    Pair(PersonId, ClientId),
    /// Several people's access to one client.
    People(&'o BTreeSet<PersonId>, ClientId),
    /// A client as a whole: its sources, its authority.
    Client(ClientId),
    /// Neither one person nor one client that was there before.
    Firm,
}

impl<'o> From<&'o ChangeOp> for About<'o> {
    fn from(op: &'o ChangeOp) -> Self {
        match op {
            ChangeOp::AddPerson { id, .. } => Self::NewPerson(*id),
            ChangeOp::EditPerson { person, .. }
            | ChangeOp::SetEnabled { person, .. }
            | ChangeOp::SetMode { person, .. }
            | ChangeOp::SetOffice { person, .. }
            | ChangeOp::AddAlias { person, .. }
            | ChangeOp::RemoveAlias { person, .. }
            | ChangeOp::SetTargetAddress { person, .. }
            | ChangeOp::AcceptDomain { person }
            | ChangeOp::ClosePerson { person, .. }
            | ChangeOp::LiftPerson { person }
            | ChangeOp::ConfirmPin { person, .. } => Self::Person(*person),
            ChangeOp::HandOver { to } => Self::Ownership(*to),
            ChangeOp::Select { person, client, .. }
            | ChangeOp::Unselect { person, client }
            | ChangeOp::EndGuest { person, client } => Self::Pair(*person, *client),
            ChangeOp::AddGuest { guest, .. } => Self::Pair(guest.person, guest.client),
            ChangeOp::SharePrivate { client, people, .. } => Self::People(people, *client),
            ChangeOp::RenameClient { client, .. }
            | ChangeOp::SetClientState { client, .. }
            | ChangeOp::BindSource { client, .. }
            | ChangeOp::UnbindSource { client, .. }
            | ChangeOp::SetAuthority { client, .. }
            | ChangeOp::SetUnlisted { client, .. }
            | ChangeOp::SetTargets { client, .. }
            | ChangeOp::SetAccounts { client, .. }
            | ChangeOp::SetYearEnd { client, .. }
            | ChangeOp::SetStatementsSince { client, .. }
            | ChangeOp::ConvertPrivate { client } => Self::Client(*client),
            ChangeOp::AddClient { .. }
            | ChangeOp::ProposeClient { .. }
            | ChangeOp::AddPrivate { .. }
            | ChangeOp::SetRoles { .. }
            | ChangeOp::AddToGroup { .. }
            | ChangeOp::TakeFromGroup { .. }
            | ChangeOp::RemoveGroup { .. }
            | ChangeOp::DefineOffice { .. }
            | ChangeOp::RemoveOffice { .. } => Self::Firm,
        }
    }
}

/// The people whose access to one client a published act of the firm may have changed. Acts about a client as a whole
/// (its sources, its authority) are the policy hash's concern and name nobody here.
pub fn touches(op: &ChangeOp, client: ClientId) -> Vec<PersonId> {
    // What somebody is called changes nobody's access.
    if matches!(op, ChangeOp::EditPerson { email: None, .. }) {
        return vec![];
    }
    match About::from(op) {
        About::NewPerson(person) | About::Person(person) => vec![person],
        About::Pair(person, of) if of == client => vec![person],
        About::People(people, of) if of == client => people.iter().copied().collect(),
        About::Pair(..) | About::People(..) | About::Ownership(_) | About::Client(_) | About::Firm => vec![],
    }
}

/// Whether an act lets people in or gives them another address, and takes nobody's access: whoever a ledger denies is not let
/// out because of it.
pub fn only_gives(op: &ChangeOp) -> bool {
    matches!(
        op,
        ChangeOp::AddPerson { .. }
            | ChangeOp::EditPerson { .. }
            | ChangeOp::SetEnabled { enabled: true, .. }
            | ChangeOp::SetTargetAddress { .. }
            | ChangeOp::AcceptDomain { .. }
            | ChangeOp::LiftPerson { .. }
            | ChangeOp::Select { .. }
            | ChangeOp::AddGuest { .. }
    )
}

/// Whether a change is about this person: their record, their selections, their extra access.
pub fn concerns(op: &ChangeOp, who: PersonId) -> bool {
    match About::from(op) {
        About::NewPerson(person) | About::Person(person) | About::Ownership(person) | About::Pair(person, _) => {
            person == who
        }
        About::People(people, _) => people.contains(&who),
        About::Client(_) | About::Firm => false,
    }
}

/// The person whose own record the change touches. Selections and guests are about a client as much as about a person, and
/// an admin selects clients for owners too.
pub(super) fn touched_person(op: &ChangeOp) -> Option<PersonId> {
    match About::from(op) {
        About::Person(person) => Some(person),
        _ => None,
    }
}

/// The one client that the change is about.
pub fn touched_client(op: &ChangeOp) -> Option<ClientId> {
    match About::from(op) {
        About::Client(client) | About::Pair(_, client) | About::People(_, client) => Some(client),
        _ => None,
    }
}
