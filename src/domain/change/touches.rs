//! Whom and what an act is about.

use super::{ChangeOp, ClientId, PersonId};

/// The people whose access to one client a published act of the firm may have changed. Acts about a client as a whole
/// (its sources, its authority) are the policy hash's concern and name nobody here.
pub fn touches(op: &ChangeOp, client: ClientId) -> Vec<PersonId> {
    match op {
        ChangeOp::AddPerson { id: person, .. }
        | ChangeOp::EditPerson { person, .. }
        | ChangeOp::SetEnabled { person, .. }
        | ChangeOp::SetMode { person, .. }
        | ChangeOp::SetOffice { person, .. }
        | ChangeOp::AddAlias { person, .. }
        | ChangeOp::RemoveAlias { person, .. }
        | ChangeOp::SetTargetAddress { person, .. }
        | ChangeOp::AcceptDomain { person }
        | ChangeOp::ClosePerson { person, .. }
        | ChangeOp::LiftPerson { person }
        | ChangeOp::ConfirmPin { person, .. } => vec![*person],
        ChangeOp::Select { person, client: of, .. }
        | ChangeOp::Unselect { person, client: of }
        | ChangeOp::EndGuest { person, client: of } => {
            if *of == client {
                vec![*person]
            } else {
                vec![]
            }
        }
        ChangeOp::AddGuest { guest, .. } => {
            if guest.client == client {
                vec![guest.person]
            } else {
                vec![]
            }
        }
        ChangeOp::SharePrivate { client: of, people, .. } => {
            if *of == client {
                people.iter().copied().collect()
            } else {
                vec![]
            }
        }
        ChangeOp::HandOver { .. }
        | ChangeOp::AddClient { .. }
        | ChangeOp::ProposeClient { .. }
        | ChangeOp::RenameClient { .. }
        | ChangeOp::SetClientState { .. }
        | ChangeOp::BindSource { .. }
        | ChangeOp::UnbindSource { .. }
        | ChangeOp::SetAuthority { .. }
        | ChangeOp::SetUnlisted { .. }
        | ChangeOp::SetTargets { .. }
        | ChangeOp::SetAccounts { .. }
        | ChangeOp::SetYearEnd { .. }
        | ChangeOp::SetStatementsSince { .. }
        | ChangeOp::SetRoles { .. }
        | ChangeOp::AddPrivate { .. }
        | ChangeOp::ConvertPrivate { .. }
        | ChangeOp::AddToGroup { .. }
        | ChangeOp::TakeFromGroup { .. }
        | ChangeOp::RemoveGroup { .. }
        | ChangeOp::DefineOffice { .. }
        | ChangeOp::RemoveOffice { .. } => vec![],
    }
}

/// Whether a change is about this person: their record, their selections, their extra access.
pub fn concerns(op: &ChangeOp, who: PersonId) -> bool {
    match op {
        ChangeOp::AddPerson { id, .. } => *id == who,
        ChangeOp::HandOver { to } => *to == who,
        ChangeOp::Select { person, .. } | ChangeOp::Unselect { person, .. } | ChangeOp::EndGuest { person, .. } => {
            *person == who
        }
        ChangeOp::AddGuest { guest, .. } => guest.person == who,
        ChangeOp::SharePrivate { people, .. } => people.contains(&who),
        other => touched_person(other) == Some(who),
    }
}

/// The person whose own record the change touches. Selections and guests are about a client as much as about a person, and
/// an admin selects clients for owners too.
pub(super) const fn touched_person(op: &ChangeOp) -> Option<PersonId> {
    match op {
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
        | ChangeOp::ConfirmPin { person, .. } => Some(*person),
        _ => None,
    }
}

/// The one client that the change is about.
pub const fn touched_client(op: &ChangeOp) -> Option<ClientId> {
    match op {
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
        | ChangeOp::ConvertPrivate { client }
        | ChangeOp::SharePrivate { client, .. }
        | ChangeOp::Select { client, .. }
        | ChangeOp::Unselect { client, .. }
        | ChangeOp::EndGuest { client, .. } => Some(*client),
        ChangeOp::AddGuest { guest, .. } => Some(guest.client),
        _ => None,
    }
}
