//! Who may change what (`product` 5). An office gives no folder; it gives acts.

use super::{
    Actor, By, ChangeOp, ClientId, Firm, Office, Person, PersonId, Refusal, RefusalKind, client, person, refuse,
};

/// How wide an office is. Nobody gives a wider one than their own, and nobody touches a person of a wider one.
const fn rank(office: &Office) -> u8 {
    match office {
        Office::PrimaryOwner => 4,
        Office::Owner => 3,
        Office::Admin => 2,
        Office::Employee | Office::Custom(_) => 1,
        Office::Viewer => 0,
    }
}

/// Whether an office has this act at all. [`check`] adds the rules about whom and what it touches.
///
/// A custom office's own set of permissions is not kept in the firm yet, so it has none: the narrow reading.
pub const fn may(office: &Office, op: &ChangeOp) -> bool {
    match office {
        Office::PrimaryOwner => !matches!(op, ChangeOp::ProposeClient { .. }),
        Office::Owner | Office::Admin => !matches!(op, ChangeOp::ProposeClient { .. } | ChangeOp::HandOver { .. }),
        Office::Employee => matches!(op, ChangeOp::AddClient { .. } | ChangeOp::EditPerson { .. }),
        Office::Viewer | Office::Custom(_) => false,
    }
}

/// Whether what this person changes waits until an owner publishes it: an admin's changes, with four-eyes on. `four_eyes`
/// is the firm's setting; unset, it is on once there are two owners who can act.
pub fn needs_publishing(firm: &Firm, actor: PersonId, four_eyes: Option<bool>) -> bool {
    let owner = |p: &&Person| rank(&p.office) >= 3 && !p.shut();
    let on = four_eyes.unwrap_or_else(|| firm.people.values().filter(owner).count() >= 2);
    on && firm.people.get(&actor).is_none_or(|p| rank(&p.office) < 3)
}

/// Everything about the actor, before anything about the change itself.
pub(super) fn check(firm: &Firm, op: &ChangeOp, by: By) -> Result<(), Refusal> {
    let actor = match by.actor {
        Actor::Person(id) => person(firm, id)?,
        Actor::Setup => return setup(firm, op),
        Actor::Daemon => return daemon(firm, op),
    };
    if actor.shut() {
        return refuse(
            format!("{} is disabled or closed and may change nothing", actor.email),
            "Somebody who manages people must enable or lift them first.",
        );
    }
    if !may(&actor.office, op) {
        let next = "Ask an owner or an admin.";
        return refuse(format!("the office of {} does not allow this", actor.email), next);
    }
    check_person(firm, actor, op)?;
    check_private(firm, actor, op)
}

fn setup(firm: &Firm, op: &ChangeOp) -> Result<(), Refusal> {
    match op {
        ChangeOp::AddPerson { office: Office::PrimaryOwner, .. } if firm.people.is_empty() => Ok(()),
        _ => refuse("this firm is set up already", "Say who acts with --as EMAIL."),
    }
}

fn daemon(firm: &Firm, op: &ChangeOp) -> Result<(), Refusal> {
    let ok = match op {
        ChangeOp::ProposeClient { .. } | ChangeOp::EndGuest { .. } => true,
        // The first match pins; binding again what is bound is a person's to say.
        ChangeOp::ConfirmPin { pin, .. } => !firm.pins.contains_key(pin),
        _ => false,
    };
    if ok { Ok(()) } else { refuse("the daemon does not decide this by itself", "A person must, by a command.") }
}

fn check_person(firm: &Firm, actor: &Person, op: &ChangeOp) -> Result<(), Refusal> {
    let given = match op {
        ChangeOp::AddPerson { office, .. } | ChangeOp::SetOffice { office, .. } => Some(office),
        _ => None,
    };
    match given {
        Some(Office::PrimaryOwner) => {
            return refuse(
                "there is exactly one primary owner",
                "To change who it is: ledgerward people hand-over PERSON",
            );
        }
        Some(office) if rank(office) > rank(&actor.office) => {
            return refuse("nobody gives an office wider than their own", "Ask an owner.");
        }
        _ => {}
    }
    let Some(touched) = touched_person(op) else { return Ok(()) };
    let touched = person(firm, touched)?;
    let own = touched.id == actor.id;
    if own {
        return check_own(actor, op);
    }
    if rank(&actor.office) < 2 {
        return refuse("you may edit your own details only", "Ask an owner or an admin.");
    }
    if rank(&touched.office) > rank(&actor.office) {
        return refuse(format!("{} has a wider office than you", touched.email), "Ask an owner, or that person.");
    }
    Ok(())
}

fn check_own(actor: &Person, op: &ChangeOp) -> Result<(), Refusal> {
    let ask = "Ask somebody else who manages people.";
    match op {
        ChangeOp::SetEnabled { enabled: false, .. } | ChangeOp::ClosePerson { .. } => {
            refuse("nobody disables or closes themselves", ask)
        }
        ChangeOp::SetOffice { .. } => refuse("nobody changes their own office", ask),
        // An address is where folders are shared to, and whom a ledger's user is taken for.
        ChangeOp::EditPerson { email: Some(_), .. } if rank(&actor.office) < 2 => {
            refuse("your address decides what you can open, so you cannot change it yourself", ask)
        }
        _ => Ok(()),
    }
}

/// The person whose own record the change touches. Selections and guests are about a client as much as about a person, and
/// an admin selects clients for owners too.
const fn touched_person(op: &ChangeOp) -> Option<PersonId> {
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

/// A private client is its person's alone: for everybody else it is not there, primary owner included.
fn check_private(firm: &Firm, actor: &Person, op: &ChangeOp) -> Result<(), Refusal> {
    let Some(id) = touched_client(op) else { return Ok(()) };
    match client(firm, id)?.private_to {
        Some(owner) if owner != actor.id => Err(Refusal {
            message: format!("there is no client {id}"),
            next: "See: ledgerward clients list".to_owned(),
            kind: RefusalKind::Missing,
        }),
        _ => Ok(()),
    }
}

const fn touched_client(op: &ChangeOp) -> Option<ClientId> {
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
