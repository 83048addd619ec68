//! Changes of the firm: every act of the commands, and the rules it must obey (`product` 3 to 5).
//!
//! [`apply`] is the only way a firm changes. It looks first and changes then, so a refused change has changed nothing. What
//! needs facts of a ledger (a greyed client, a known target's name) is asked before, by the commands.

mod clients;
mod groups;
mod invariants;
mod lookup;
mod offices;
mod people;
mod private;
mod publish;
mod rights;
mod selections;
mod touches;
mod words;

use std::collections::BTreeSet;

use ledgerward_contract::{ClientId, ConnectionName, Date, Email, RoleTable, SourceRef, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::{
    clients::{free_slug, slug_for, valid_slug},
    invariants::violations,
    lookup::{find_client, find_client_of, find_person},
    private::{Books, books_of, can_judge},
    publish::{can_be_seconded, foresee, publish, rehearse, waits},
    rights::{Missing, enabled, holds, may_touch, needs_publishing, powers, require, sees_everything},
    touches::{concerns, only_gives, touched_client, touches},
    words::{office_slug, parse_office, parse_unlisted, unlisted_slug},
};
use super::{
    firm::{
        AccountRef, Authority, Client, ClientState, Firm, Guest, Mode, Office, Person, PersonId, Pin, SelectionScope,
        TargetName, Unlisted,
    },
    office::{CustomOffice, Group, Permission},
};

/// One act. Ids of what is made come with it, so that the log of changes repeats to the same firm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum ChangeOp {
    AddPerson {
        id: PersonId,
        first: String,
        last: String,
        email: Email,
        office: Office,
        mode: Mode,
    },
    EditPerson {
        person: PersonId,
        first: Option<String>,
        last: Option<String>,
        email: Option<Email>,
    },
    SetEnabled {
        person: PersonId,
        enabled: bool,
    },
    SetMode {
        person: PersonId,
        mode: Mode,
    },
    /// A new office asks for the mode again.
    SetOffice {
        person: PersonId,
        office: Office,
        mode: Mode,
    },
    /// The primary owner's office goes to another owner; the old one stays owner.
    HandOver {
        to: PersonId,
    },
    AddAlias {
        person: PersonId,
        connection: ConnectionName,
        email: Email,
    },
    RemoveAlias {
        person: PersonId,
        connection: ConnectionName,
        email: Email,
    },
    /// `None`: the firm's address again.
    SetTargetAddress {
        person: PersonId,
        target: TargetName,
        email: Option<Email>,
    },
    AcceptDomain {
        person: PersonId,
    },
    /// What `revoke --now` leaves behind.
    ClosePerson {
        person: PersonId,
        reason: String,
    },
    LiftPerson {
        person: PersonId,
    },
    ConfirmPin {
        pin: Pin,
        person: PersonId,
    },

    AddClient {
        id: ClientId,
        name: String,
        #[serde(default)]
        slug: Option<String>,
    },
    /// A new organisation seen at a provider. Only the daemon proposes.
    ProposeClient {
        id: ClientId,
        name: String,
        source: SourceRef,
    },
    RenameClient {
        client: ClientId,
        name: String,
    },
    SetClientState {
        client: ClientId,
        state: ClientState,
    },
    BindSource {
        client: ClientId,
        source: SourceRef,
    },
    UnbindSource {
        client: ClientId,
        source: SourceRef,
    },
    SetAuthority {
        client: ClientId,
        authority: Authority,
    },
    SetUnlisted {
        client: ClientId,
        unlisted: Option<Unlisted>,
    },
    SetTargets {
        client: ClientId,
        targets: Option<BTreeSet<TargetName>>,
    },
    SetAccounts {
        client: ClientId,
        accounts: Option<BTreeSet<AccountRef>>,
    },
    SetYearEnd {
        client: ClientId,
        year_end: Option<(i8, i8)>,
    },
    SetStatementsSince {
        client: ClientId,
        since: Option<Date>,
    },
    SetRoles {
        connection: ConnectionName,
        table: Option<RoleTable>,
    },

    AddPrivate {
        id: ClientId,
        name: String,
    },
    ConvertPrivate {
        client: ClientId,
    },
    SharePrivate {
        client: ClientId,
        target: TargetName,
        people: BTreeSet<PersonId>,
    },

    Select {
        person: PersonId,
        client: ClientId,
        scope: SelectionScope,
        when_granted: bool,
    },
    Unselect {
        person: PersonId,
        client: ClientId,
    },
    /// Break-glass needs a second person: whoever asked for it, put in here when somebody else publishes it.
    AddGuest {
        guest: Guest,
        second: Option<PersonId>,
        /// Of a guest who is one already: it makes nobody a guest who was ended meanwhile.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        extends: bool,
    },
    EndGuest {
        person: PersonId,
        client: ClientId,
    },

    /// Makes a group, or puts more into one.
    AddToGroup {
        group: String,
        clients: BTreeSet<ClientId>,
        connections: BTreeSet<ConnectionName>,
    },
    TakeFromGroup {
        group: String,
        clients: BTreeSet<ClientId>,
        connections: BTreeSet<ConnectionName>,
    },
    RemoveGroup {
        group: String,
    },
    /// Makes a role of the firm's own, or changes it for everybody who has it.
    DefineOffice {
        name: String,
        office: CustomOffice,
    },
    RemoveOffice {
        name: String,
    },
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    Person(PersonId),
    /// `init`, and nothing after it: makes the first primary owner of an empty firm.
    Setup,
    /// The daemon itself: proposes clients, ends guests, pins the first match.
    Daemon,
}

/// Who acts, and when. Time is a parameter like everywhere in `domain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct By {
    pub actor: Actor,
    pub at: Timestamp,
}

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// One sentence.
    pub summary: String,
    /// False if it was so already.
    pub changed: bool,
}

/// Why a change was not made, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub message: String,
    pub next: String,
    pub kind: RefusalKind,
}

/// What a refusal is to a program that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// A rule of the firm.
    Rule,
    /// Who or what was named is not there.
    Missing,
    /// The actor's office does not allow it.
    Denied,
    /// The actor's office lacks this permission.
    Lacks(Permission),
}

pub(crate) type Outcome = Result<Effect, Refusal>;

fn refuse<T>(message: impl Into<String>, next: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { message: message.into(), next: next.into(), kind: RefusalKind::Rule })
}

/// What is not there stays so for whoever may not see it.
fn denied(refusal: Refusal) -> Refusal {
    match refusal.kind {
        RefusalKind::Missing | RefusalKind::Lacks(_) => refusal,
        RefusalKind::Rule | RefusalKind::Denied => Refusal { kind: RefusalKind::Denied, ..refusal },
    }
}

fn done(summary: String) -> Outcome {
    Ok(Effect { summary, changed: true })
}

fn already(summary: String) -> Outcome {
    Ok(Effect { summary, changed: false })
}

/// The firm after one change. The old one stays as it was.
pub fn apply(firm: &Firm, op: &ChangeOp, by: By) -> Result<(Firm, Effect), Refusal> {
    let mut next = firm.clone();
    let effect = change(&mut next, op, by)?;
    Ok((next, effect))
}

/// As [`apply`] for many, all or none: the first refusal is given with its place in the list.
pub fn apply_all(firm: &Firm, ops: &[ChangeOp], by: By) -> Result<(Firm, Vec<Effect>), (usize, Refusal)> {
    let mut next = firm.clone();
    let effects = ops.iter().enumerate().map(|(i, op)| change(&mut next, op, by).map_err(|r| (i, r)));
    let effects = effects.collect::<Result<_, _>>()?;
    Ok((next, effects))
}

/// Changes a firm in place. A refusal leaves it as it was.
pub fn change(firm: &mut Firm, op: &ChangeOp, by: By) -> Outcome {
    change_as(firm, op, by, false)
}

/// Whether who acts may do this at all, whatever would come of it: for commands that look at something first which not everybody
/// is told.
pub fn allowed(firm: &Firm, op: &ChangeOp, by: By) -> Result<(), Refusal> {
    if private::gives_less(firm, op, by) { Ok(()) } else { rights::check(firm, op, by).map_err(denied) }
}

/// `alone`: the second person that break-glass needs is still to come.
fn change_as(firm: &mut Firm, op: &ChangeOp, by: By, alone: bool) -> Outcome {
    allowed(firm, op, by)?;
    carry_out(firm, op, by, alone)
}

/// What a change would do, whoever made it: the rules alone, and nobody's rights.
pub(super) fn imagine(firm: &mut Firm, op: &ChangeOp, at: Timestamp) -> Outcome {
    carry_out(firm, op, By { actor: Actor::Daemon, at }, true)
}

fn carry_out(firm: &mut Firm, op: &ChangeOp, by: By, alone: bool) -> Outcome {
    match op {
        ChangeOp::AddPerson { id, first, last, email, office, mode } => {
            people::add(firm, *id, (first, last), email, office, *mode)
        }
        ChangeOp::EditPerson { person, first, last, email } => people::edit(firm, *person, first, last, email),
        ChangeOp::SetEnabled { person, enabled } => people::set_enabled(firm, *person, *enabled),
        ChangeOp::SetMode { person, mode } => people::set_mode(firm, *person, *mode),
        ChangeOp::SetOffice { person, office, mode } => people::set_office(firm, *person, office, *mode),
        ChangeOp::HandOver { to } => people::hand_over(firm, *to),
        ChangeOp::AddAlias { person, connection, email } => people::add_alias(firm, *person, connection, email),
        ChangeOp::RemoveAlias { person, connection, email } => people::remove_alias(firm, *person, connection, email),
        ChangeOp::SetTargetAddress { person, target, email } => people::set_address(firm, *person, target, email),
        ChangeOp::AcceptDomain { person } => people::accept_domain(firm, *person),
        ChangeOp::ClosePerson { person, reason } => people::close(firm, *person, reason, by),
        ChangeOp::LiftPerson { person } => people::lift(firm, *person),
        ChangeOp::ConfirmPin { pin, person } => people::confirm_pin(firm, pin, *person),

        ChangeOp::AddClient { id, name, slug } => clients::add(firm, *id, name, slug.as_deref(), by),
        ChangeOp::ProposeClient { id, name, source } => clients::propose(firm, *id, name, source),
        ChangeOp::RenameClient { client, name } => clients::rename(firm, *client, name),
        ChangeOp::SetClientState { client, state } => clients::set_state(firm, *client, *state),
        ChangeOp::BindSource { client, source } => clients::bind(firm, *client, source),
        ChangeOp::UnbindSource { client, source } => clients::unbind(firm, *client, source),
        ChangeOp::SetAuthority { client, authority } => clients::set_authority(firm, *client, authority),
        ChangeOp::SetUnlisted { client, unlisted } => clients::set_unlisted(firm, *client, *unlisted),
        ChangeOp::SetTargets { client, targets } => clients::set_targets(firm, *client, targets),
        ChangeOp::SetAccounts { client, accounts } => clients::set_accounts(firm, *client, accounts),
        ChangeOp::SetYearEnd { client, year_end } => clients::set_year_end(firm, *client, *year_end),
        ChangeOp::SetStatementsSince { client, since } => clients::set_since(firm, *client, *since),
        ChangeOp::SetRoles { connection, table } => clients::set_roles(firm, connection, table),

        ChangeOp::AddPrivate { id, name } => clients::add_private(firm, *id, name, by),
        ChangeOp::ConvertPrivate { client } => clients::convert(firm, *client),
        ChangeOp::SharePrivate { client, target, people } => clients::share(firm, *client, target, people),

        ChangeOp::Select { person, client, scope, when_granted } => {
            selections::select(firm, *person, *client, scope, *when_granted)
        }
        ChangeOp::Unselect { person, client } => selections::unselect(firm, *person, *client),
        ChangeOp::AddGuest { guest, second, extends } => {
            selections::add_guest(firm, guest, (*second, *extends), by, alone)
        }
        ChangeOp::EndGuest { person, client } => selections::end_guest(firm, *person, *client),

        ChangeOp::AddToGroup { group, clients, connections } => groups::add(firm, group, clients, connections),
        ChangeOp::TakeFromGroup { group, clients, connections } => groups::take(firm, group, clients, connections),
        ChangeOp::RemoveGroup { group } => groups::remove(firm, group),
        ChangeOp::DefineOffice { name, office } => offices::define(firm, name, office),
        ChangeOp::RemoveOffice { name } => offices::remove(firm, name),
    }
}

fn person(firm: &Firm, id: PersonId) -> Result<&Person, Refusal> {
    firm.people.get(&id).ok_or_else(|| Refusal {
        message: format!("there is no person {}", id.0),
        next: "See: ledgerward people list".to_owned(),
        kind: RefusalKind::Missing,
    })
}

fn person_mut(firm: &mut Firm, id: PersonId) -> Result<&mut Person, Refusal> {
    person(firm, id)?;
    match firm.people.get_mut(&id) {
        Some(person) => Ok(person),
        None => refuse("there is no such person", "See: ledgerward people list"),
    }
}

fn client(firm: &Firm, id: ClientId) -> Result<&Client, Refusal> {
    firm.clients.get(&id).ok_or_else(|| Refusal {
        message: format!("there is no client {id}"),
        next: "See: ledgerward clients list".to_owned(),
        kind: RefusalKind::Missing,
    })
}

fn client_mut(firm: &mut Firm, id: ClientId) -> Result<&mut Client, Refusal> {
    client(firm, id)?;
    match firm.clients.get_mut(&id) {
        Some(client) => Ok(client),
        None => refuse("there is no such client", "See: ledgerward clients list"),
    }
}

/// A name of a person or client: one line, something in it, not endless.
fn name(text: &str, what: &str) -> Result<String, Refusal> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) || text.chars().count() > 200 {
        return refuse(format!("the {what} must be one line of 1 to 200 characters"), "Write it again.");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
pub(crate) mod tests;
