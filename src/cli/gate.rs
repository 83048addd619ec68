//! Which permission a command needs before it does anything (`product` 5). What a command changes in the firm, the core
//! checks once more, act by act; what it shows, it cuts to what the person may see.

use super::{
    args::{ChangesAct, ClientsAct, Command, FreezeAct, GuestsAct, HoldersAct, ReviewAct, RosterAct, StatementsAct},
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

/// A decision to remove ends a selection, and a decision to keep stands in a sealed pack.
pub(super) const SIGN_OFF: &[Permission] = &[ReadAll, Selections];

/// What somebody needs to give a command at all. Nothing: the command itself shows and does only what is theirs. What decides
/// about everybody's access needs to see it, too.
const fn needs(command: &Command) -> &'static [Permission] {
    match command {
        Command::Connect { .. } => &[Connections],
        Command::Sync { .. } | Command::Pull { .. } | Command::Plan { .. } | Command::Apply { .. } => &[Run],
        Command::Approve { .. } => &[Publish, ReadAll],
        Command::Hold { .. } => &[ReadAll],
        // Anybody who runs it may stop it; to go on takes an owner.
        Command::Freeze { act: Some(FreezeAct::On { .. }) } => &[Run],
        Command::Freeze { act: Some(FreezeAct::Off) } => &[Publish],
        Command::Changes { act: Some(ChangesAct::Publish { .. }) } => &[Publish, ReadAll],
        Command::Changes { act: Some(ChangesAct::Show { .. }) } => &[ReadAll],
        Command::Revoke { .. } => &[People],
        Command::Holders { act: Some(HoldersAct::Accept(_) | HoldersAct::Adopt(_) | HoldersAct::Remove(_) | HoldersAct::Release { .. }) } => &[Publish, ReadAll],
        Command::Holders { .. } => &[ReadAll],
        Command::Runs { .. } | Command::Findings { .. } | Command::Doctor { .. } => &[ReadAll],
        // The trail has everything that anybody ever did, and is the owners' (`product` 5).
        Command::Audit { .. } => &[ReadAll, Operate],
        Command::Firm { .. } => &[ReadAll],
        Command::Roster { act: Some(RosterAct::Accept { .. }), .. } => &[Connections],
        Command::Review { act: Some(ReviewAct::Start { .. } | ReviewAct::Import { .. } | ReviewAct::Seal { .. }) } => {
            SIGN_OFF
        }
        Command::Forecast { .. } | Command::Roster { .. } | Command::Gaps { .. } | Command::WhatIf(_) | Command::Review { .. } => &[ReadAll],
        Command::Clients { act: Some(ClientsAct::Move { .. } | ClientsAct::NewFolder { .. }) } => &[Publish, ReadAll],
        Command::Clients { act: Some(ClientsAct::ConfirmUnlisted { .. }) } => &[Connections],
        Command::Leaver(_) => &[People],
        Command::Adopt { .. } => &[Publish, ReadAll],
        Command::Backup { .. } | Command::Restore { .. } | Command::Key { .. } => &[Operate],
        Command::Statements { act: Some(StatementsAct::Push { .. } | StatementsAct::Accept { .. }), .. } => &[Publish, ReadAll],
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
        | Command::Api { .. } => &[],
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
        // To end a share of one's own private books takes no permission; the core looks at what it is.
        Command::Select(args) if args.only_ends() && !change::books_of(&firm, actor).is_empty() => Ok(()),
        // Both say what a ledger grants before they change anything.
        Command::Select(_) => change::holds(&firm, actor, Selections).map_err(refused),
        Command::Guests { act: Some(GuestsAct::Add { .. }) } => {
            change::holds(&firm, actor, Permission::Guests).map_err(refused)
        }
        other => needs(other).iter().try_for_each(|p| change::require(&firm, actor, *p)).map_err(refused),
    }
}
