//! The command line. `args` has the words, every other file one command or a few that belong together: it loads, asks the
//! engine, and gives a [`outcome::Report`]. Printing happens once, here.

pub mod accept;
pub mod access;
pub mod accounts;
pub mod act;
pub mod adopt;
pub mod api;
pub mod args;
pub mod audit;
pub mod backup;
pub mod changes;
pub mod clients;
pub mod connect;
pub mod connector;
pub mod connectors;
pub mod console;
pub mod cycle;
pub mod demo;
pub mod doctor;
pub mod file;
pub mod findings;
pub mod firm;
pub mod forecast;
pub mod gaps;
pub mod gate;
pub mod groups;
pub mod guests;
pub mod holders;
pub mod init;
pub mod key;
pub mod leaver;
pub mod moving;
pub mod outcome;
pub mod people;
pub mod private;
pub mod review;
pub mod roles;
pub mod roster;
pub mod runs;
pub mod sandbox;
pub mod select;
pub mod statements;
pub mod status;
pub mod veil;
pub mod what_if;
pub mod why;

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use self::{
    args::{AuditAct, Cli, Command, ReviewAct, RosterAct},
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
    if let Some(result) = stateless(&cli.command, &place) {
        return result;
    }
    let command = match cli.command {
        Command::Connector { act } => return connector::run(console, act).await,
        Command::Demo { dir } => return demo::run(console, dir.as_deref()).await,
        Command::Sandbox { listen, organisations } => return sandbox::run(console, listen, organisations).await,
        Command::Init { owner, name, first, last } => {
            return init::run(
                &place,
                &init::Wish { owner: &owner, name: &name, first: first.as_deref(), last: last.as_deref() },
            );
        }
        other => other,
    };
    let app = match App::open(place.clone()) {
        Ok(app) => app,
        // Locked, or not ours to open: then the daemon that holds it does the command, if there is one.
        Err(failure) if matches!(failure.exit, Exit::Locked | Exit::Refused) && !socket::on_its_own(&command) => {
            let takes = socket::takes_input(&command);
            return forward(&place, console, takes).await.unwrap_or(Err(failure));
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

/// Commands that say something about the program itself, or that make the state: they need no open firm.
fn stateless(command: &Command, place: &Place) -> Option<Result<Report, Failure>> {
    match command {
        Command::Connectors => Some(Ok(connectors::run())),
        Command::Api { act: args::ApiAct::Openapi } => Some(Ok(api::description())),
        Command::Completions { shell } => Some(Ok(completions(*shell))),
        Command::Man => Some(man()),
        Command::Roster { act: Some(RosterAct::Check(check)), .. } => Some(roster::check(check)),
        Command::Audit { act: AuditAct::Verify { pack: Some(dir), .. } } => Some(audit::verify_pack(dir)),
        Command::Review { act: Some(ReviewAct::Verify { dir }) } => Some(audit::verify_pack(dir)),
        Command::Restore { file: Some(file), .. } => Some(backup::restore(place, file)),
        _ => None,
    }
}

/// For `source <(ledgerward completions bash)` and the packages.
fn completions(shell: clap_complete::Shell) -> Report {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "ledgerward", &mut script);
    let text = String::from_utf8_lossy(&script).into_owned();
    let json = serde_json::json!({"schema": "ledgerward/completions/1", "shell": shell.to_string(), "script": text});
    Report::new(Exit::Done, json, text)
}

/// The manual page, all commands in it, as roff.
fn man() -> Result<Report, Failure> {
    fn page(command: &clap::Command, out: &mut Vec<u8>) -> std::io::Result<()> {
        clap_mangen::Man::new(command.clone()).render(out)?;
        command.get_subcommands().try_for_each(|sub| page(sub, out))
    }
    let mut command = args::command();
    command.build();
    let mut page_of = Vec::new();
    page(&command, &mut page_of)
        .map_err(|e| Failure::new(Exit::Failed, "the manual page cannot be written").cause(&e))?;
    let text = String::from_utf8_lossy(&page_of).into_owned();
    let json = serde_json::json!({"schema": "ledgerward/man/1", "roff": text});
    Ok(Report::new(Exit::Done, json, text))
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
    gate::check(app, &command).await?;
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
        Command::Clients { act } => clients::run(app, console, act).await,
        Command::Select(args) => select::run(app, args).await,
        Command::Guests { act } => guests::run(app, act).await,
        Command::Roles { act } => roles::run(app, act).await,
        Command::Holders { act } => holders::run(app, console, act).await,
        Command::Adopt { target, client, folder, all_certain, reason } => {
            let wish = adopt::Wish {
                target: &target,
                client: client.as_ref(),
                folder: folder.as_deref(),
                all_certain,
                reason: reason.as_deref(),
            };
            adopt::run(app, console, &wish).await
        }
        Command::Private { act } => private::run(app, act).await,
        Command::Groups { act } => groups::run(app, act).await,
        Command::Changes { act } => changes::run(app, console, act).await,
        Command::Firm { act } => firm::run(app, console, act).await,
        Command::Roster { connection, act } => roster::run(app, connection.as_deref(), act).await,
        Command::Access { person, client, at, clock, format } => {
            access::run(app, person.as_ref(), client.as_ref(), at.map(|at| (at, clock)), format).await
        }
        Command::Gaps { client, offline, format } => gaps::run(app, console, client.as_ref(), offline, format).await,
        Command::Forecast { target, offline } => forecast::run(app, console, target.as_deref(), offline).await,
        Command::Why { person, client } => why::run(app, &person, &client, false).await,
        Command::WhyNot { person, client } => why::run(app, &person, &client, true).await,
        Command::Leaver(args) => leaver::run(app, console, args).await,
        Command::Review { act } => review::run(app, console, act).await,
        Command::WhatIf(args) => what_if::run(app, console, args).await,
        Command::Status { check } => status::run(app, check).await,
        Command::Runs { limit } => runs::run(app, limit).await,
        Command::Findings { all } => findings::run(app, all).await,
        Command::Doctor { offline } => doctor::run(app, console, offline).await,
        Command::Api { act } => api::run(app, act).await,
        Command::Audit { act } => audit::run(app, act).await,
        Command::Backup { file } => backup::backup(app, &file).await,
        Command::Restore { .. } => backup::confirm(app, console).await,
        Command::Statements { which, act } => statements::run(app, console, which, act).await,
        Command::Key { act } => key::run(app, console, act).await,
        Command::Demo { .. }
        | Command::Sandbox { .. }
        | Command::Init { .. }
        | Command::Run
        | Command::Connectors
        | Command::Connector { .. }
        | Command::Completions { .. }
        | Command::Man => Err(Failure::new(Exit::Usage, "this command works on no open firm")
            .next("Run it by itself, not through the daemon.")),
    }
}

/// Writes to stdout, all of it. A reader that closed the pipe has seen what it wanted.
fn say(text: &str) -> std::io::Result<()> {
    let mut out = anstream::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        said => said,
    }
}

/// Prints the result to stdout and the rest to stderr, and gives the exit code.
fn finish(result: Result<Report, Failure>, json: bool, quiet: bool) -> ExitCode {
    let exit = match result {
        Ok(report) => {
            let seen = !report.exact || std::io::stdout().is_terminal();
            let text = match json {
                true => format!("{}\n", report.json),
                false if seen => printable(&report.text),
                false => report.text,
            };
            let unsaid = say(&text).err();
            if !quiet {
                for note in &report.notes {
                    let _ = writeln!(anstream::stderr(), "{}", printable(note));
                }
            }
            match unsaid {
                None => report.exit,
                Some(e) => {
                    let failure =
                        Failure::new(Exit::Failed, "what was asked for was done, and the answer could not be written")
                            .cause(&e)
                            .next("Do not use what was written of it: make room where it goes, and ask again.");
                    let _ = write!(anstream::stderr(), "{}", failure.render());
                    report.exit.worst(Exit::Failed)
                }
            }
        }
        Err(failure) => {
            if json {
                // The exit code and the lines on stderr say the same.
                let _ = say(&format!("{}\n", failure.json()));
            }
            let _ = write!(anstream::stderr(), "{}", failure.render());
            failure.exit
        }
    };
    ExitCode::from(exit.code())
}
