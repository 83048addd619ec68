//! The command line. `args` has the words, every other file one command or a few that belong together: it loads, asks the
//! engine, and gives a [`outcome::Report`]. Printing happens once, here.

pub mod accept;
pub mod accounts;
pub mod act;
pub mod args;
pub mod changes;
pub mod clients;
pub mod connect;
pub mod console;
pub mod cycle;
pub mod firm;
pub mod holders;
pub mod init;
pub mod outcome;
pub mod people;
pub mod private;
pub mod roles;
pub mod select;

use std::{io::Write as _, process::ExitCode};

use self::{
    args::{Cli, Command},
    console::{Console, Terminal},
    outcome::{Exit, Failure, Report, printable},
};
use crate::app::{App, Place};

/// The whole program.
pub fn main() -> ExitCode {
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            let failure = Failure::new(Exit::Failed, "the program cannot start its tasks").cause(&e);
            return finish(Err(failure), false, false);
        }
    };
    let place = Place::new(&cli.global);
    let (json, quiet) = (place.json, place.quiet);
    let mut console = Terminal { quiet };
    let result = runtime.block_on(dispatch(cli, place, &mut console));
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    finish(result, json, quiet)
}

/// Does one command. Those that need an open firm get one; the others run without.
async fn dispatch(cli: Cli, place: Place, console: &mut dyn Console) -> Result<Report, Failure> {
    if let Command::Init { owner, name, first, last } = &cli.command {
        return init::run(&place, &init::Wish { owner, name, first: first.as_deref(), last: last.as_deref() });
    }
    let app = App::open(place)?;
    let report = command(&app, console, cli.command).await;
    let closed = app.store.clone().close().await;
    let report = report?;
    closed?;
    Ok(report)
}

/// One command of an open firm: from this process's arguments, or from a peer of the daemon's socket.
pub async fn command(app: &App, console: &mut dyn Console, command: Command) -> Result<Report, Failure> {
    match command {
        Command::Connect { name, no_browser } => connect::run(app, console, &name, no_browser).await,
        Command::Pull { client } => cycle::pull(app, console, client.as_ref()).await,
        Command::Plan { client, offline } => cycle::plan(app, console, client.as_ref(), offline).await,
        Command::Sync { client, yes, wait } => cycle::sync(app, console, client.as_ref(), yes, wait).await,
        Command::Apply { digest, yes } => cycle::apply(app, console, &digest, yes).await,
        Command::Approve { digest, reason, expires } => cycle::approve(app, &digest, &reason, &expires).await,
        Command::Hold { act } => cycle::hold(app, act).await,
        Command::Freeze { act } => cycle::freeze(app, act).await,
        Command::Revoke { person, now: _, reason } => cycle::revoke(app, console, &person, reason.as_deref()).await,
        Command::People { act } => people::run(app, act).await,
        Command::Clients { act } => clients::run(app, act).await,
        Command::Select(args) => select::run(app, args).await,
        Command::Roles { act } => roles::run(app, act).await,
        Command::Holders { act } => holders::run(app, console, act).await,
        Command::Private { act } => private::run(app, act).await,
        Command::Changes { act } => changes::run(app, act).await,
        Command::Firm { act } => firm::run(app, console, act).await,
        _ => Err(Failure::new(Exit::Usage, "not yet")),
    }
}

/// Prints the result to stdout and the rest to stderr, and gives the exit code.
fn finish(result: Result<Report, Failure>, json: bool, quiet: bool) -> ExitCode {
    let exit = match result {
        Ok(report) => {
            let text = if json { format!("{}\n", report.json) } else { printable(&report.text) };
            // A reader that closed the pipe has seen what it wanted.
            let _ = anstream::stdout().write_all(text.as_bytes());
            if !quiet {
                for note in &report.notes {
                    let _ = writeln!(anstream::stderr(), "{}", printable(note));
                }
            }
            report.exit
        }
        Err(failure) => {
            if json {
                let _ = writeln!(anstream::stdout(), "{}", failure.json());
            }
            let _ = write!(anstream::stderr(), "{}", failure.render());
            failure.exit
        }
    };
    ExitCode::from(exit.code())
}
