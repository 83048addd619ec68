//! The command line. `args` has the words, every other file one command or a few that belong together: it loads, asks the
//! engine, and gives a [`outcome::Report`]. Printing happens once, here.

pub mod args;
pub mod connect;
pub mod console;
pub mod cycle;
pub mod demo;
pub mod outcome;
pub mod sandbox;

use std::{io::Write as _, process::ExitCode, sync::Arc, time::Duration};

use self::{
    args::{Cli, Command},
    console::{Console, Terminal},
    outcome::{Exit, Failure, Report, printable},
};
use crate::{
    app::{App, Place},
    daemon::{self, forward::forward, socket},
};

const TOKENS_SETTLE: Duration = Duration::from_secs(30);

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
    let command = match cli.command {
        Command::Demo { dir } => return demo::run(console, dir.as_deref()).await,
        Command::Sandbox { listen, organisations } => return sandbox::run(console, listen, organisations).await,
        other => other,
    };
    let app = match App::open(place.clone()) {
        Ok(app) => app,
        // Locked, or not ours to open: then the daemon that holds it does the command, if there is one.
        Err(failure) if matches!(failure.exit, Exit::Locked | Exit::Refused) && !socket::on_its_own(&command) => {
            return forward(&place, console).await.unwrap_or(Err(failure));
        }
        Err(failure) => return Err(failure),
    };
    let stand_ins = resume(&app).await?;
    let (store, process) = (app.store.clone(), Arc::clone(&app.process));
    let report = match command {
        Command::Run => daemon::run(app).await,
        other => self::command(&app, console, other).await,
    };
    // A token call that is under way is the only owner of its answer.
    process.tokens.settle(TOKENS_SETTLE).await;
    if let Some(stand_ins) = stand_ins {
        stand_ins.save().map_err(|e| Failure::new(Exit::Failed, "the sandbox cannot be saved").cause(&e))?;
    }
    let closed = store.close().await;
    let report = report?;
    closed?;
    Ok(report)
}

/// Starts the providers' stand-ins that a demo's configuration asks for.
async fn resume(app: &App) -> Result<Option<crate::sandbox::Resumed>, Failure> {
    let folder = app.place.config.parent().map_or_else(std::path::PathBuf::new, std::path::Path::to_path_buf);
    crate::sandbox::resume(&app.config, &folder)
        .await
        .map_err(|e| Failure::new(Exit::Failed, format!("the sandbox cannot be started: {e}")))
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
