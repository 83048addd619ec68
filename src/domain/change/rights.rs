//! Who may change what (`product` 5). A role gives no folder; it gives acts.

use super::{
    Actor, By, ChangeOp, Client, Firm, Mode, Office, Permission, Person, PersonId, Refusal, RefusalKind, client,
    offices, person, refuse,
    touches::{touched_client, touched_person},
};
use crate::domain::office::Powers;

/// What an office lets a person do in this firm.
pub fn powers(firm: &Firm, office: &Office) -> Powers {
    Powers::of(office, &firm.offices)
}

/// A permission that somebody does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing(pub Permission);

impl From<Missing> for Refusal {
    fn from(Missing(permission): Missing) -> Self {
        let who = match permission {
            Permission::HandOver => "Only the primary owner has it.",
            Permission::Publish | Permission::Operate => "Ask an owner of the firm.",
            _ => "Ask an owner or an admin.",
        };
        let message = format!("the permission \"{}\" is missing", permission.slug());
        Self { message, next: who.to_owned(), kind: RefusalKind::Lacks(permission) }
    }
}

fn lacks<T>(actor: &Person, permission: Permission) -> Result<T, Refusal> {
    let missing = Refusal::from(Missing(permission));
    Err(Refusal { message: format!("{} may not do this: {}", actor.email, missing.message), ..missing })
}

/// That this person is enabled and has a permission over the whole firm.
pub fn require(firm: &Firm, id: PersonId, permission: Permission) -> Result<(), Refusal> {
    let actor = person(firm, id)?;
    open(actor)?;
    let powers = powers(firm, &actor.office);
    match (powers.has(permission), powers.group) {
        (true, None) => Ok(()),
        (true, Some(group)) => Err(Refusal {
            message: format!(
                "{} may not do this: the permission \"{}\" is theirs for the clients of the group {group} only",
                actor.email,
                permission.slug()
            ),
            ..Missing(permission).into()
        }),
        (false, _) => lacks(actor, permission),
    }
}

/// That this person may act at all.
pub fn enabled(firm: &Firm, id: PersonId) -> Result<(), Refusal> {
    open(person(firm, id)?)
}

/// As [`require`], for some clients or all of them.
pub fn holds(firm: &Firm, id: PersonId, permission: Permission) -> Result<(), Refusal> {
    let actor = person(firm, id)?;
    open(actor)?;
    if powers(firm, &actor.office).has(permission) {
        return Ok(());
    }
    lacks(actor, permission)
}

/// Whether this person sees the firm as a whole, and its totals.
pub fn sees_everything(firm: &Firm, id: PersonId) -> bool {
    require(firm, id, Permission::ReadAll).is_ok()
}

/// Whether a person's permission reaches this client. A private one is its own person's alone.
pub fn may_touch(firm: &Firm, id: PersonId, permission: Permission, client: &Client) -> bool {
    let Some(actor) = firm.people.get(&id).filter(|p| !p.shut()) else { return false };
    let powers = powers(firm, &actor.office);
    let reach = powers.group.as_ref().is_none_or(|g| firm.groups.get(g).is_some_and(|g| g.has(client)));
    powers.has(permission) && client.private_to.map_or(reach, |owner| owner == id)
}

/// Whether what this person changes waits until somebody publishes it: with four eyes on, everybody's who may not publish.
/// `four_eyes` is the firm's setting; unset, it is on once there are two owners who can act.
pub fn needs_publishing(firm: &Firm, actor: PersonId, four_eyes: Option<bool>) -> bool {
    let owner = |p: &&Person| matches!(p.office, Office::PrimaryOwner | Office::Owner) && !p.shut();
    let on = four_eyes.unwrap_or_else(|| firm.people.values().filter(owner).count() >= 2);
    on && require(firm, actor, Permission::Publish).is_err()
}

/// Whether a client that this person adds is theirs, and bound to nothing: everybody's who does not manage clients.
pub(super) fn adds_their_own(firm: &Firm, actor: PersonId) -> bool {
    require(firm, actor, Permission::Clients).is_err()
}

/// The permission that an act needs. `None`: no person may do it.
const fn needs(op: &ChangeOp) -> Option<Permission> {
    Some(match op {
        ChangeOp::HandOver { .. } => Permission::HandOver,
        ChangeOp::AddPerson { .. }
        | ChangeOp::EditPerson { .. }
        | ChangeOp::SetEnabled { .. }
        | ChangeOp::AddAlias { .. }
        | ChangeOp::RemoveAlias { .. }
        | ChangeOp::SetTargetAddress { .. }
        | ChangeOp::AcceptDomain { .. }
        | ChangeOp::ClosePerson { .. }
        | ChangeOp::LiftPerson { .. }
        | ChangeOp::ConfirmPin { .. } => Permission::People,
        ChangeOp::SetOffice { .. } | ChangeOp::DefineOffice { .. } | ChangeOp::RemoveOffice { .. } => Permission::Roles,
        ChangeOp::SetMode { .. } => Permission::Modes,
        ChangeOp::AddClient { .. } => Permission::AddClients,
        ChangeOp::RenameClient { .. }
        | ChangeOp::SetClientState { .. }
        | ChangeOp::SetAccounts { .. }
        | ChangeOp::SetYearEnd { .. }
        | ChangeOp::SetStatementsSince { .. } => Permission::Clients,
        // They decide which books a folder gets and whose word counts, so they reach beyond the one client.
        ChangeOp::BindSource { .. }
        | ChangeOp::UnbindSource { .. }
        | ChangeOp::SetAuthority { .. }
        | ChangeOp::SetUnlisted { .. }
        | ChangeOp::SetTargets { .. }
        | ChangeOp::SetRoles { .. } => Permission::Connections,
        ChangeOp::AddPrivate { .. } | ChangeOp::ConvertPrivate { .. } | ChangeOp::SharePrivate { .. } => {
            Permission::Private
        }
        ChangeOp::Select { .. } | ChangeOp::Unselect { .. } => Permission::Selections,
        ChangeOp::AddGuest { .. } | ChangeOp::EndGuest { .. } => Permission::Guests,
        ChangeOp::AddToGroup { .. } | ChangeOp::TakeFromGroup { .. } | ChangeOp::RemoveGroup { .. } => {
            Permission::Groups
        }
        ChangeOp::ProposeClient { .. } => return None,
    })
}

/// Everything about the actor, before anything about the change itself.
pub(super) fn check(firm: &Firm, op: &ChangeOp, by: By) -> Result<(), Refusal> {
    let actor = match by.actor {
        Actor::Person(id) => person(firm, id)?,
        Actor::Setup => return setup(firm, op),
        Actor::Daemon => return daemon(firm, op),
    };
    open(actor)?;
    let powers = powers(firm, &actor.office);
    let has = |permission| {
        if powers.has(permission) {
            return Ok(());
        }
        lacks(actor, permission)
    };
    let Some(permission) = needs(op) else {
        return refuse("only the daemon does this", "Nobody needs to.");
    };
    let own_names = matches!(op, ChangeOp::EditPerson { person, .. } if *person == actor.id);
    match op {
        ChangeOp::EditPerson { email, .. } if own_names && !powers.has(permission) => {
            has(Permission::OwnDetails)?;
            // An address is where folders are shared to, and whom a ledger's user is taken for.
            if email.is_some() {
                let ask = "Ask somebody else who manages people.";
                return refuse("your address decides what you can open, so you cannot change it yourself", ask);
            }
        }
        ChangeOp::AddClient { .. } if !adds_their_own(firm, actor.id) => {}
        _ => has(permission)?,
    }
    check_private(firm, actor, op)?;
    check_group(firm, &powers, op)?;
    check_given(firm, &powers, op, &has)?;
    check_person(firm, actor, &powers, op)
}

fn open(actor: &Person) -> Result<(), Refusal> {
    if actor.shut() {
        return refuse(
            format!("{} is disabled or closed and may change nothing", actor.email),
            "Somebody who manages people must enable or lift them first.",
        );
    }
    Ok(())
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

/// Nobody gives more than they have: no wider role, no mode without the right to modes, no group to a wider role.
fn check_given(
    firm: &Firm,
    powers: &Powers,
    op: &ChangeOp,
    has: &impl Fn(Permission) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let covers = |wide: &Powers, what: &str| {
        if powers.cover(wide) {
            return Ok(());
        }
        let missing: Vec<&str> = wide.permissions.difference(&powers.permissions).map(|p| p.slug()).collect();
        refuse(format!("{what}: you do not have {}", missing.join(", ")), "Ask an owner.")
    };
    let wider = "nobody gives a role wider than their own";
    let of = Powers::of_custom;
    match op {
        ChangeOp::AddPerson { office: Office::PrimaryOwner, .. }
        | ChangeOp::SetOffice { office: Office::PrimaryOwner, .. } => {
            refuse("there is exactly one primary owner", "To change who it is: ledgerward people hand-over PERSON")
        }
        ChangeOp::AddPerson { office, mode, .. } => {
            offices::check(firm, office)?;
            covers(&super::powers(firm, office), wider)?;
            if *mode == Mode::default() { Ok(()) } else { has(Permission::Modes) }
        }
        ChangeOp::SetOffice { person: id, office, mode } => {
            offices::check(firm, office)?;
            covers(&super::powers(firm, office), wider)?;
            if person(firm, *id)?.mode == *mode { Ok(()) } else { has(Permission::Modes) }
        }
        ChangeOp::DefineOffice { name, office } => {
            firm.offices.get(name).map_or(Ok(()), |old| covers(&of(old), "this role is wider than your own"))?;
            covers(&of(office), wider)
        }
        ChangeOp::RemoveOffice { name } => {
            firm.offices.get(name).map_or(Ok(()), |old| covers(&of(old), "this role is wider than your own"))
        }
        // A larger group is a wider role for whoever is limited to it.
        ChangeOp::AddToGroup { group, .. } | ChangeOp::TakeFromGroup { group, .. } => {
            let mut limited = firm.offices.values().filter(|o| o.group.as_ref() == Some(group));
            limited.try_for_each(|o| covers(&of(o), "a role that is limited to this group is wider than your own"))
        }
        _ => Ok(()),
    }
}

fn check_person(firm: &Firm, actor: &Person, powers: &Powers, op: &ChangeOp) -> Result<(), Refusal> {
    let ask = "Ask somebody else who manages people.";
    let own_role = |name: &str| actor.office == Office::Custom(name.to_owned());
    match op {
        ChangeOp::DefineOffice { name, .. } if own_role(name) => return refuse("nobody changes their own role", ask),
        _ => {}
    }
    let Some(touched) = touched_person(op) else { return Ok(()) };
    let touched = person(firm, touched)?;
    let covers = |other: &Person| {
        if other.id == actor.id || powers.cover(&super::powers(firm, &other.office)) {
            return Ok(());
        }
        refuse(format!("{} has a wider role than you", other.email), "Ask an owner, or that person.")
    };
    // Who a ledger's user is said to be is taken from whom it was said to be before.
    if let ChangeOp::ConfirmPin { pin, .. } = op {
        firm.pins.get(pin).and_then(|was| firm.people.get(was)).map_or(Ok(()), covers)?;
    }
    if touched.id == actor.id {
        return match op {
            ChangeOp::SetEnabled { enabled: false, .. } | ChangeOp::ClosePerson { .. } => {
                refuse("nobody disables or closes themselves", ask)
            }
            ChangeOp::SetOffice { .. } => refuse("nobody changes their own role", ask),
            _ => Ok(()),
        };
    }
    covers(touched)
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

/// Who is limited to a group acts on its clients only. Their own private books are theirs beside it.
fn check_group(firm: &Firm, powers: &Powers, op: &ChangeOp) -> Result<(), Refusal> {
    let (Some(name), Some(id)) = (&powers.group, touched_client(op)) else { return Ok(()) };
    let client = client(firm, id)?;
    if client.private_to.is_some() || firm.groups.get(name).is_some_and(|g| g.has(client)) {
        return Ok(());
    }
    refuse(format!("{} is not in the group {name}, to which your role is limited", client.slug), "Ask an admin.")
}
