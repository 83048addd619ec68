//! The unix socket: commands of a person on this machine, done by the daemon that holds the state.
//!
//! `POST /v1/command` takes a [`Request`] and answers with JSON lines ([`Line`]): notes while it works, at most one question
//! at a time, and at the end a report or a failure. A question is answered by `POST /v1/answer/{id}` with a JSON string.
//! Whoever connects is known by the kernel (SO_PEERCRED); `[operators]` says which person that is.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc as blocking},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, DefaultBodyLimit, Path as UrlPath, Request as HttpRequest, State, connect_info::Connected},
    response::{IntoResponse as _, Response},
    routing::{get, post},
    serve::IncomingStream,
};
use clap::Parser as _;
use http::{StatusCode, header};
use ledgerward_contract::Email;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{
    net::{UnixListener, unix::UCred},
    sync::mpsc,
};

use super::{api::Api, health, runner::Daemon};
use crate::{
    app::App,
    cli::{
        self,
        args::{
            AuditAct, Cli, ClientsAct, Command, FirmAct, LeaverArgs, ReviewAct, RosterAct, StatementsAct, WhatIfArgs,
        },
        console::Console,
        file,
        outcome::{Exit, Failure, Report},
    },
};

/// The service's user and group.
const MODE: u32 = 0o660;
/// What everybody without a number in our user namespace looks like (`man 7 user_namespaces`): nobody in particular.
const OVERFLOW_UID: u32 = 65_534;
/// What is given along, as a text of JSON.
const REQUEST_BYTES_MAX: usize = 2 * file::BYTES_MAX as usize;
/// So long a person may think about a question before the daemon takes it for unanswered.
const ANSWER_MAX: Duration = Duration::from_secs(5 * 60);

/// One command line.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// Without the program's name.
    pub args: Vec<String>,
    /// `--as`, where it is not among the arguments.
    pub acting: Option<String>,
    pub json: bool,
    pub quiet: bool,
    /// A person is at the other end, as for a command on a terminal.
    pub interactive: bool,
    /// Where relative paths of the arguments start.
    pub cwd: Option<std::path::PathBuf>,
    /// What was given along, for a file named `-`.
    pub input: Option<String>,
}

/// One line of an answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    Note(String),
    Ask {
        id: String,
        question: String,
    },
    Report {
        exit: u8,
        json: Value,
        text: String,
        notes: Vec<String>,
        #[serde(default)]
        exact: bool,
    },
    Failure {
        exit: u8,
        message: String,
        next: Option<String>,
        causes: Vec<String>,
    },
}

impl Line {
    fn of(result: Result<Report, Failure>) -> Self {
        match result {
            Ok(Report { exit, json, text, notes, exact }) => {
                Self::Report { exit: exit.code(), json, text, notes, exact }
            }
            Err(Failure { exit, message, next, causes, .. }) => {
                Self::Failure { exit: exit.code(), message, next, causes }
            }
        }
    }

    /// The end of a command, or `None` for what comes before it.
    pub fn end(self) -> Option<Result<Report, Failure>> {
        match self {
            Self::Report { exit, json, text, notes, exact } => {
                Some(Ok(Report { exit: Exit::from_code(exit), json, text, notes, exact }))
            }
            Self::Failure { exit, message, next, causes } => {
                Some(Err(Failure { next, causes, ..Failure::new(Exit::from_code(exit), message) }))
            }
            Self::Note(_) | Self::Ask { .. } => None,
        }
    }
}

/// Opens the socket. The caller holds the state's lock, so a socket that is left there is nobody's.
///
/// Errors: 78 where something else is at its place, or where its mode cannot be what it must be (X09).
pub fn bind(path: &Path) -> Result<UnixListener, Failure> {
    let refused = |what: String| {
        Failure::new(Exit::Refused, what).next(format!("Look at {}, and remove it if nobody needs it.", path.display()))
    };
    let me = rustix::process::geteuid().as_raw();
    if let Some(dir) = path.parent() {
        let meta = dir.metadata().map_err(|e| {
            refused(format!("{} is not there", dir.display())).cause(&e).next(
                "$RUNTIME_DIRECTORY must be a directory of the service's user; unset it to use the state directory.",
            )
        })?;
        // Whoever may write there could put a socket of his own in our place.
        if ![0, me].contains(&meta.uid()) || meta.mode() & 0o022 != 0 {
            return Err(refused(format!(
                "{} is no directory of ours alone (uid {}, mode {:04o})",
                dir.display(),
                meta.uid(),
                meta.mode() & 0o7777
            ))
            .next(format!("chown {me} and chmod 0750 {}", dir.display())));
        }
    }
    if let Ok(meta) = path.symlink_metadata() {
        if !meta.file_type().is_socket() || meta.uid() != me {
            return Err(refused(format!("{} is there and is no socket of ours", path.display())));
        }
        std::fs::remove_file(path)
            .map_err(|e| refused(format!("the old {} cannot be removed", path.display())).cause(&e))?;
    }
    let listener =
        UnixListener::bind(path).map_err(|e| refused(format!("{} cannot be opened", path.display())).cause(&e))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))
        .map_err(|e| refused(format!("{} cannot be closed to others", path.display())).cause(&e))?;
    let mode = path.symlink_metadata().map_or(0, |m| m.mode() & 0o777);
    if mode != MODE {
        return Err(refused(format!("{} has the mode {mode:04o} and must have {MODE:04o}", path.display())));
    }
    Ok(listener)
}

/// Who is at the other end. `None`: the kernel does not say, and then nothing is done.
#[derive(Clone, Copy)]
pub struct Peer(Option<UCred>);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().ok())
    }
}

/// What the socket and the API do commands with.
#[derive(Clone)]
pub struct Server {
    pub daemon: Arc<Daemon>,
    questions: Questions,
}

/// Questions that wait, by id, and who may answer.
type Questions = Arc<Mutex<BTreeMap<String, (u32, blocking::Sender<String>)>>>;

/// Serves until it is aborted.
pub async fn serve(listener: UnixListener, server: Server, api: Arc<Api>) {
    let router = Router::new()
        .route("/v1/command", post(command).layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX)))
        .route("/v1/answer/{id}", post(answer))
        .route("/v1/status", get(status))
        .route("/v1/health", get(alive))
        .with_state(server);
    let router = api.socket(router);
    if let Err(error) = axum::serve(listener, router.into_make_service_with_connect_info::<Peer>()).await {
        tracing::error!(event = "socket.stopped", %error, "the socket does not answer any more");
    }
}

impl Server {
    pub fn new(daemon: Arc<Daemon>) -> Self {
        Self { daemon, questions: Questions::default() }
    }

    /// The open firm, acting as whoever asks.
    pub fn app(&self, peer: Peer, request: &Request, named: Option<Email>) -> Result<(App, u32), Failure> {
        let daemon = &self.daemon;
        let uid = peer.0.map(|c| c.uid()).ok_or_else(|| Failure::new(Exit::Failed, "it is not known who is asking"))?;
        if uid == OVERFLOW_UID && uid != rustix::process::geteuid().as_raw() {
            return Err(Failure::new(Exit::Failed, "the kernel does not tell the daemon who you are").next(
                "The service runs in a user namespace, where every user looks like nobody: set PrivateUsers=no in its unit.",
            ));
        }
        let typed = request
            .acting
            .as_deref()
            .map(Email::parse)
            .transpose()
            .map_err(|e| Failure::new(Exit::Usage, format!("acting: {e}")))?;
        let mut place = daemon.place.clone();
        place.acting = named.or(typed);
        (place.json, place.quiet) = (request.json, request.quiet);
        let (config, store, clock) = (daemon.config(), daemon.store.clone(), Arc::clone(&daemon.clock));
        let app = App::acting(place, config, store, clock, uid, "socket", Arc::clone(&daemon.process))?;
        Ok((app, uid))
    }

    /// Does a command when its turn has come.
    pub async fn execute(&self, app: App, console: &mut dyn Console, command: Command) -> Result<Report, Failure> {
        let daemon = &self.daemon;
        if daemon.process.stopping() {
            return Err(stopping());
        }
        match turn(&command) {
            Turn::Cycle => {
                if daemon.cycle.try_lock().is_err() {
                    console.note("Waiting for the cycle that is under way …");
                }
                let _one = daemon.cycle.lock().await;
                cli::command(&app, console, command).await
            }
            Turn::Change => {
                let _one = daemon.changes.lock().await;
                cli::command(&app, console, command).await
            }
            // It may wait ten minutes for a browser, and writes one row at its end.
            Turn::Alone => {
                tokio::select! {
                    result = cli::command(&app, console, command) => result,
                    () = daemon.process.stopped() => Err(stopping()),
                }
            }
        }
    }
}

fn stopping() -> Failure {
    Failure::new(Exit::Locked, "the daemon is stopping").next("Run the command again when it has stopped.")
}

/// Which commands wait for which. `revoke` waits for no cycle: it goes between two of its steps by the process's gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Cycle,
    Change,
    Alone,
}

const fn turn(command: &Command) -> Turn {
    match command {
        Command::Sync { .. }
        | Command::Apply { .. }
        | Command::Pull { .. }
        | Command::Plan { .. }
        | Command::Doctor { .. }
        | Command::Adopt { .. }
        | Command::Gaps { .. }
        | Command::Forecast { .. }
        | Command::Restore { .. }
        | Command::Clients { act: Some(ClientsAct::Move { .. } | ClientsAct::NewFolder { .. }) }
        | Command::Statements { act: Some(StatementsAct::Push { .. } | StatementsAct::Render { .. }), .. } => {
            Turn::Cycle
        }
        Command::Connect { .. } => Turn::Alone,
        _ => Turn::Change,
    }
}

/// Commands that have nothing to do with an open firm, or that need it closed.
pub const fn on_its_own(command: &Command) -> bool {
    matches!(
        command,
        Command::Run
            | Command::Demo { .. }
            | Command::Sandbox { .. }
            | Command::Init { .. }
            | Command::Restore { file: Some(_), .. }
            | Command::Completions { .. }
            | Command::Man
            | Command::Connectors
            | Command::Connector { .. }
            | Command::Roster { act: Some(RosterAct::Check(_)), .. }
    )
}

/// Whether a command reads what is given along with it.
pub fn takes_input(command: &Command) -> bool {
    match command {
        Command::WhatIf(WhatIfArgs { file: Some(file), .. })
        | Command::Review { act: Some(ReviewAct::Import { file, .. }) }
        | Command::Firm { act: FirmAct::Apply { file, .. } } => file::given(file),
        _ => false,
    }
}

/// The daemon reads and writes files with its own rights, not with the rights of whoever asks. Only those who could do so
/// anyway may name one; a relative name is theirs, not the daemon's.
fn files(command: &mut Command, trusted: bool, cwd: Option<&Path>) -> Result<(), Failure> {
    let path = match command {
        Command::Backup { file }
        | Command::WhatIf(WhatIfArgs { file: Some(file), .. })
        | Command::Review {
            act:
                Some(
                    ReviewAct::Export { out: file, .. }
                    | ReviewAct::Import { file, .. }
                    | ReviewAct::Seal { out: Some(file), .. }
                    | ReviewAct::Pack { out: file, .. }
                    | ReviewAct::Verify { dir: file },
                ),
        }
        | Command::Leaver(LeaverArgs { pack: Some(file), .. })
        | Command::Audit { act: AuditAct::Verify { pack: Some(file), .. } }
        | Command::Firm { act: FirmAct::Apply { file, .. } }
        | Command::Audit { act: AuditAct::Verify { file: Some(file), .. } }
        | Command::Statements { act: Some(StatementsAct::Render { out: file, .. }), .. } => file,
        _ => return Ok(()),
    };
    if file::given(path) {
        return Ok(());
    }
    if !trusted {
        return Err(Failure::new(
            Exit::Failed,
            "while the daemon runs, only root and the service's own user may name files",
        )
        .next("Ask one of them, or name - for standard input or the --json answer."));
    }
    if let Some(cwd) = cwd {
        *path = cwd.join(&*path);
    }
    Ok(())
}

fn parsed(request: &Request) -> Result<Cli, Failure> {
    let args = std::iter::once("ledgerward").chain(request.args.iter().map(String::as_str));
    let cli = Cli::try_parse_from(args)
        .map_err(|e| Failure::new(Exit::Usage, e.to_string()).next("See: ledgerward --help"))?;
    if on_its_own(&cli.command) {
        return Err(Failure::new(Exit::Usage, "this command does not go through the daemon").next("Run it on its own."));
    }
    Ok(cli)
}

async fn command(
    State(server): State<Server>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<Request>,
) -> Response {
    let working = Arc::clone(&server.daemon.working);
    let (send, lines) = mpsc::unbounded_channel();
    let prepared = parsed(&request).and_then(|cli| {
        let (app, uid) = server.app(peer, &request, cli.global.acting)?;
        let mut command = cli.command;
        let own = rustix::process::geteuid().as_raw();
        files(&mut command, uid == 0 || uid == own, request.cwd.as_deref())?;
        Ok((app, uid, command))
    });
    // A thread of its own: whoever hangs up leaves the work, and the work stands.
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let _working = working;
        let result = match prepared {
            Err(failure) => Err(failure),
            Ok((app, uid, command)) => {
                let questions = Arc::clone(&server.questions);
                let (lines, input) = (send.clone(), request.input);
                let mut far = Far { lines, questions, uid, interactive: request.interactive, input };
                let result = runtime.block_on(server.execute(app, &mut far, command));
                server.daemon.book.look_again();
                result
            }
        };
        let _hung_up = send.send(Line::of(result));
    });
    let body = futures::stream::unfold(lines, |mut lines| async move {
        let line = lines.recv().await?;
        let mut text = serde_json::to_string(&line).unwrap_or_default();
        text.push('\n');
        Some((Ok::<_, Infallible>(Bytes::from(text)), lines))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(body)).into_response()
}

async fn answer(
    State(server): State<Server>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    UrlPath(id): UrlPath<String>,
    Json(text): Json<String>,
) -> StatusCode {
    let uid = peer.0.map(|c| c.uid());
    let mut waiting = server.questions.lock().unwrap_or_else(PoisonError::into_inner);
    match waiting.get(&id) {
        Some((asked, _)) if Some(*asked) != uid => StatusCode::FORBIDDEN,
        Some(_) => match waiting.remove(&id).map(|(_, to)| to.send(text)) {
            Some(Ok(())) => StatusCode::NO_CONTENT,
            _ => StatusCode::GONE,
        },
        None => StatusCode::NOT_FOUND,
    }
}

async fn status(State(server): State<Server>, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    let request = Request::default();
    let result = match server.app(peer, &request, None) {
        Ok((app, _)) => {
            let runtime = tokio::runtime::Handle::current();
            let mut kept = cli::console::Kept::default();
            let told = tokio::task::spawn_blocking(move || {
                runtime.block_on(cli::command(&app, &mut kept, Command::Status { check: false }))
            });
            told.await.unwrap_or_else(|_| Err(Failure::new(Exit::Failed, "a defect stopped this command")))
        }
        Err(failure) => Err(failure),
    };
    match result {
        Ok(report) => Json(report.json).into_response(),
        Err(failure) => (StatusCode::SERVICE_UNAVAILABLE, Json(failure.json())).into_response(),
    }
}

async fn alive(State(server): State<Server>, _: HttpRequest) -> Json<Value> {
    let daemon = &server.daemon;
    Json(json!({
        "schema": "ledgerward/health/1",
        "version": env!("CARGO_PKG_VERSION"),
        "since": daemon.since,
        "stopping": daemon.process.stopping(),
        "busy": daemon.cycle.try_lock().is_err(),
        "resident_bytes": health::resident_bytes(),
    }))
}

/// A person at the other end of the socket.
struct Far {
    lines: mpsc::UnboundedSender<Line>,
    questions: Questions,
    uid: u32,
    interactive: bool,
    input: Option<String>,
}

impl Console for Far {
    fn note(&mut self, line: &str) {
        let _hung_up = self.lines.send(Line::Note(line.to_owned()));
    }

    fn interactive(&self) -> bool {
        self.interactive && !self.lines.is_closed()
    }

    fn ask(&mut self, question: &str) -> Option<String> {
        let id = uuid::Uuid::new_v4().to_string();
        let (send, receive) = blocking::channel();
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), (self.uid, send));
        let asked = self.lines.send(Line::Ask { id: id.clone(), question: question.to_owned() });
        // The trait is synchronous, as a terminal is; the other tasks of this thread move elsewhere meanwhile.
        let answer =
            asked.is_ok().then(|| tokio::task::block_in_place(|| receive.recv_timeout(ANSWER_MAX).ok())).flatten();
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        answer
    }

    fn input(&mut self) -> Option<Vec<u8>> {
        self.input.take().map(String::into_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Command {
        Cli::try_parse_from(std::iter::once("ledgerward").chain(text.split(' '))).unwrap().command
    }

    #[test]
    fn cycles_wait_for_each_other_and_a_revoke_for_none() {
        assert_eq!(turn(&line("sync")), Turn::Cycle);
        assert_eq!(turn(&line("statements push")), Turn::Cycle);
        assert_eq!(turn(&line("revoke bob --now")), Turn::Change);
        assert_eq!(turn(&line("connect xero")), Turn::Alone);
        // The daemon has the state open when somebody has compared its plan; a backup goes where none is open.
        assert_eq!(turn(&line("restore --confirm")), Turn::Cycle);
        assert!(!on_its_own(&line("restore --confirm")) && on_its_own(&line("restore b.db")));
    }

    #[test]
    fn files_are_named_by_those_who_could_open_them_anyway() {
        let mut backup = line("backup b.db");
        assert!(files(&mut backup, false, None).is_err());
        files(&mut backup, true, Some(Path::new("/home/ana"))).unwrap();
        assert!(matches!(backup, Command::Backup { file } if file == Path::new("/home/ana/b.db")));
        assert!(files(&mut line("people list"), false, None).is_ok());
        for start in ["firm apply", "review pack 2026-Q4 --out", "review import 2026-Q4", "leaver bob --pack"] {
            assert!(files(&mut line(&format!("{start} -")), false, None).is_ok(), "{start}");
            assert!(files(&mut line(&format!("{start} x")), false, None).is_err(), "{start}");
        }
    }

    #[tokio::test]
    async fn x09_what_is_not_our_socket_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledgerward.sock");
        std::fs::write(&path, "somebody's notes").unwrap();
        assert_eq!(bind(&path).unwrap_err().exit, Exit::Refused);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's notes");
        std::fs::remove_file(&path).unwrap();
        drop(bind(&path).unwrap());
        let again = bind(&path).unwrap();
        assert_eq!(path.symlink_metadata().unwrap().mode() & 0o777, 0o660);
        drop(again);
    }
}
