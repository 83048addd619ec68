//! Which permission a command needs before it does anything (`product` 5). What a command changes in the firm, the core
//! checks once more, act by act; what it shows, it cuts to what the person may see.

use super::{
    args::{ChangesAct, Command, FreezeAct, GuestsAct, HoldersAct, RosterAct, StatementsAct},
    cycle::{acting, refused},
    outcome::Failure,
};
use crate::{
    app::App,
    domain::{
        change,
        office::Permission::{self, Connections, Operate, People, Publish, ReadAll, Run, Selections},
    },
};

/// What somebody needs to give a command at all. `None`: the command itself shows and does only what is theirs.
const fn needs(command: &Command) -> Option<Permission> {
    match command {
        Command::Connect { .. } => Some(Connections),
        Command::Sync { .. } | Command::Pull { .. } | Command::Plan { .. } | Command::Apply { .. } => Some(Run),
        Command::Approve { .. } => Some(Publish),
        Command::Hold { .. } => Some(ReadAll),
        // Anybody who runs it may stop it; to go on takes an owner.
        Command::Freeze { act: Some(FreezeAct::On { .. }) } => Some(Run),
        Command::Freeze { act: Some(FreezeAct::Off) } => Some(Publish),
        Command::Changes { act: Some(ChangesAct::Publish { .. }) } => Some(Publish),
        Command::Changes { act: Some(ChangesAct::Show { .. }) } => Some(ReadAll),
        Command::Revoke { .. } => Some(People),
        Command::Holders { act: Some(HoldersAct::Accept(_) | HoldersAct::Remove(_)) } => Some(Publish),
        Command::Holders { .. } => Some(ReadAll),
        Command::Runs { .. } | Command::Findings { .. } | Command::Doctor { .. } => Some(ReadAll),
        Command::Audit { .. } | Command::Firm { .. } => Some(ReadAll),
        Command::Roster { act: Some(RosterAct::Accept { .. }), .. } => Some(Connections),
        Command::Forecast { .. } | Command::Roster { .. } | Command::Gaps { .. } | Command::WhatIf(_) | Command::Review { .. } => Some(ReadAll),
        Command::Leaver(_) => Some(People),
        Command::Adopt { .. } => Some(Publish),
        Command::Backup { .. } | Command::Restore { .. } | Command::Key { .. } => Some(Operate),
        Command::Statements { act: Some(StatementsAct::Push { .. }), .. } => Some(Publish),
        Command::People { .. }
        | Command::Clients { .. }
        | Command::Select(_)
        | Command::Roles { .. }
        | Command::Groups { .. }
        | Command::Guests { .. }
        | Command::Private { .. }
        | Command::Changes { .. }
        | Command::Access { .. }
        | Command::Why { .. }
        | Command::WhyNot { .. }
        | Command::Status { .. }
        | Command::Freeze { .. }
        | Command::Statements { .. }
        // These have no firm, or no person in it yet.
        | Command::Run
        | Command::Demo { .. }
        | Command::Sandbox { .. }
        | Command::Init { .. }
        | Command::Connectors
        | Command::Connector { .. }
        | Command::Completions { .. }
        | Command::Man
        // Whose tokens somebody may make and see, the command knows.
        | Command::Api { .. } => None,
    }
}

/// Errors: the person is not of the firm, is disabled or closed, or lacks the permission, which is named. Root and the
/// service's own user, who act as nobody, stand in for the primary owner.
pub async fn check(app: &App, command: &Command) -> Result<(), Failure> {
    if app.person.is_none() {
        return Ok(());
    }
    let firm = app.firm().await?;
    let change::Actor::Person(actor) = acting(app, &firm)? else { return Ok(()) };
    change::enabled(&firm, actor).map_err(refused)?;
    match command {
        // Both say what a ledger grants before they change anything.
        Command::Select(_) => change::holds(&firm, actor, Selections).map_err(refused),
        Command::Guests { act: Some(GuestsAct::Add { .. }) } => {
            change::holds(&firm, actor, Permission::Guests).map_err(refused)
        }
        other => needs(other).map_or(Ok(()), |p| change::require(&firm, actor, p)).map_err(refused),
    }
}
