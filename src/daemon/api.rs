//! The local API over HTTP: on the unix socket, and on loopback TCP where the configuration says so. What it offers is
//! [`crate::api`]'s; here is who asks, what may come in, and what goes out.

use std::{
    net::SocketAddr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request as HttpRequest, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use clap::{
    Parser as _,
    error::{ContextKind, ContextValue},
};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts};
use ledgerward_contract::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    health,
    runner::Daemon,
    socket::{Peer, Request, Server},
};
use crate::{
    api::{
        Act, Kind, Place, Route,
        check::{Checked, Picture, Question},
        input::{self, Found, Once, Values},
        openapi,
        problem::Problem,
        routes, tokens,
    },
    app::App,
    cli::{
        act,
        args::Cli,
        connectors,
        console::Given,
        outcome::{Exit, Failure, Fault, Report},
    },
    config::Config,
    domain::{firm::Person, office::Permission},
    store::Actor,
};

const BASE: &str = "/api/v1";
/// A thousand pairs of the longest texts fit.
const BODY_BYTES_MAX: usize = 2 << 20;
/// A file's text may double by its escapes.
const FILE_BYTES_MAX: usize = 2 * input::DOCUMENT_MAX;
const THROW_AWAY_MAX: Duration = Duration::from_secs(10);
/// Root and the service's own user may say as whom they ask, as with `--as`.
const AS: &str = "ledgerward-as";
const EXIT: &str = "ledgerward-exit";
/// How old a picture may be that nobody has compared with the state since.
/// While a cycle writes, a large firm's next picture takes a while, and nobody waits for it.
const CONFIRMED_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So long after the last question the picture is kept up.
const ASKED_FOR: i64 = 60_000_000;

/// The last decided picture, for questions that must not wait for the state.
#[derive(Default)]
pub struct Book {
    shown: RwLock<Option<Arc<Shown>>>,
    taking: tokio::sync::Mutex<()>,
    /// A command may have written: the next question looks first.
    old: AtomicBool,
    /// In microseconds.
    asked: AtomicI64,
}

pub struct Shown {
    pub picture: Picture,
    config: Arc<Config>,
    /// When the state was last seen to be as the picture says, in microseconds.
    confirmed: AtomicI64,
}

impl Shown {
    fn confirmed(&self) -> Timestamp {
        Timestamp::from_microsecond(self.confirmed.load(Ordering::Acquire)).unwrap_or(Timestamp::MIN)
    }
}

impl Book {
    /// Something was or may have been written.
    pub fn look_again(&self) {
        self.old.store(true, Ordering::Release);
    }

    fn now(&self) -> Option<Arc<Shown>> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A picture of at most [`CONFIRMED_MAX`] ago, that no command has made old.
    ///
    /// Errors: the state does not answer. An answer from an old picture could be one that was taken away since.
    pub async fn current(&self, daemon: &Arc<Daemon>) -> Result<Arc<Shown>, Failure> {
        let now = daemon.clock.now();
        self.asked.store(now.as_microsecond(), Ordering::Release);
        if let Some(shown) = self.now().filter(|_| !self.old.load(Ordering::Acquire))
            && shown.is_fresh(now)
        {
            return Ok(shown);
        }
        self.look(daemon).await
    }

    /// Compares with the state, and takes a new picture where it has changed.
    async fn look(&self, daemon: &Arc<Daemon>) -> Result<Arc<Shown>, Failure> {
        let wanted = daemon.clock.now();
        let _one = self.taking.lock().await;
        // Taken while this one waited.
        if let Some(shown) = self.now().filter(|s| !self.old.load(Ordering::Acquire) && s.confirmed() >= wanted) {
            return Ok(shown);
        }
        self.old.store(false, Ordering::Release);
        let taken = self.take(daemon).await;
        if taken.is_err() {
            self.look_again();
        }
        taken
    }

    async fn take(&self, daemon: &Arc<Daemon>) -> Result<Arc<Shown>, Failure> {
        let (now, config) = (daemon.clock.now(), daemon.config());
        let writes = daemon.store.run(|db| Ok(db.writes())).await?;
        if let Some(shown) = self.now().filter(|s| s.picture.writes == writes && Arc::ptr_eq(&s.config, &config)) {
            shown.confirmed.store(now.as_microsecond(), Ordering::Release);
            return Ok(shown);
        }
        let app = daemon.app();
        let runtime = tokio::runtime::Handle::current();
        let picture =
            tokio::task::spawn_blocking(move || runtime.block_on(Picture::take(&app))).await.map_err(|e| {
                Failure::new(Exit::Failed, "the picture could not be taken").fault(Fault::Unavailable).cause(&e)
            })??;
        let shown = Arc::new(Shown { picture, config, confirmed: AtomicI64::new(now.as_microsecond()) });
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&shown));
        Ok(shown)
    }

    /// Keeps the picture up while somebody asks. Never ends.
    pub async fn keep(daemon: Arc<Daemon>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let asked = daemon.book.asked.load(Ordering::Acquire);
            if daemon.clock.now().as_microsecond().saturating_sub(asked) > ASKED_FOR {
                continue;
            }
            let begun = Instant::now();
            if let Err(e) = daemon.book.look(&daemon).await {
                tracing::warn!(
                    event = "api.picture",
                    error = e.message,
                    "the picture for access checks could not be taken"
                );
            }
            // A large firm under a cycle: most of the time is the cycle's.
            tokio::time::sleep(begun.elapsed() * 5).await;
        }
    }
}

impl Shown {
    fn is_fresh(&self, now: Timestamp) -> bool {
        let age = now.as_microsecond().saturating_sub(self.confirmed.load(Ordering::Acquire));
        // A clock that was set back makes nothing fresh.
        (-1_000_000..CONFIRMED_MAX.as_micros() as i64).contains(&age)
    }
}

/// What all requests share.
pub struct Api {
    server: Server,
    routes: Vec<Route>,
    description: Value,
}

/// Where a request came in.
enum Door {
    Socket(Peer),
    /// The address that is listened on.
    Tcp(SocketAddr),
}

/// Who asks.
struct Caller {
    app: App,
    shown: Arc<Shown>,
    token: bool,
}

impl Caller {
    /// `None`: root or the service's own user, as themselves.
    fn person(&self) -> Option<&Person> {
        self.app.person.as_ref().and_then(|email| self.shown.picture.person(email))
    }
}

/// A value to answer with, and the command's exit code.
struct Answer {
    exit: Exit,
    json: Value,
}

impl From<Report> for Answer {
    fn from(report: Report) -> Self {
        Self { exit: report.exit, json: report.json }
    }
}

impl Api {
    pub fn new(server: Server) -> Arc<Self> {
        Arc::new(Self { server, routes: routes::table(), description: openapi::document() })
    }

    /// The numbers of a monitor, for whoever sees the firm: they are its totals.
    async fn metrics(&self, peer: Peer, headers: &HeaderMap) -> Result<Response, Problem> {
        let app = self.peer(peer, headers)?;
        if !act::sees_all(&app, &app.firm().await?) {
            let why = "these are the whole firm's numbers";
            return Err(Problem::denied(Some(Permission::ReadAll), why).next("Ask an owner or an admin of the firm."));
        }
        let daemon = &self.server.daemon;
        Ok(health::text(State((daemon.metrics.clone(), daemon.store.clone()))).await.into_response())
    }

    /// For the socket's router: the metrics, and everything that it has no address for.
    pub fn socket(self: &Arc<Self>, router: Router) -> Router {
        let api = Arc::clone(self);
        let numbers = move |ConnectInfo(peer): ConnectInfo<Peer>, headers: HeaderMap| {
            let api = Arc::clone(&api);
            async move { api.metrics(peer, &headers).await.unwrap_or_else(|problem| refusal(&problem)) }
        };
        let api = Arc::clone(self);
        router.route("/metrics", get(numbers)).fallback(
            move |ConnectInfo(peer): ConnectInfo<Peer>, request: HttpRequest| {
                let api = Arc::clone(&api);
                async move { api.answer(Door::Socket(peer), request).await }
            },
        )
    }

    /// For loopback TCP: this API and nothing else.
    pub fn tcp(self: &Arc<Self>, address: SocketAddr) -> Router {
        let api = Arc::clone(self);
        Router::new().fallback(move |request: HttpRequest| {
            let api = Arc::clone(&api);
            async move { api.answer(Door::Tcp(address), request).await }
        })
    }

    async fn answer(self: Arc<Self>, door: Door, request: HttpRequest) -> Response {
        match self.done(&door, request).await {
            Ok(answer) => {
                let mut response = body(StatusCode::OK, "application/json", &answer.json);
                response.headers_mut().insert(EXIT, HeaderValue::from(u16::from(answer.exit.code())));
                response
            }
            Err(problem) => refusal(&problem),
        }
    }

    async fn done(&self, door: &Door, request: HttpRequest) -> Result<Answer, Problem> {
        let (head, body) = request.into_parts();
        let (caller, found) = match self.admitted(door, &head).await {
            Ok(admitted) => admitted,
            Err(problem) => {
                throw_away(body).await;
                return Err(problem);
            }
        };
        let body = json_body(&head.headers, body, found.route).await?;
        let values = found.values(head.uri.query(), body)?;
        self.act(caller, found.route, &values).await
    }

    /// Who asks, and for what, as far as the head of a request says it.
    async fn admitted(&self, door: &Door, head: &Parts) -> Result<(Caller, Found<'_>), Problem> {
        if let Door::Tcp(address) = door {
            right_host(*address, &head.uri, &head.headers)?;
        }
        let caller = self.caller(door, &head.headers).await?;
        let path = head.uri.path().strip_prefix(BASE).filter(|p| p.is_empty() || p.starts_with('/'));
        let nothing = || Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address");
        let found = input::find(&self.routes, &head.method, path.ok_or_else(nothing)?)?;
        permitted(&caller, found.route)?;
        Ok((caller, found))
    }

    async fn caller(&self, door: &Door, headers: &HeaderMap) -> Result<Caller, Problem> {
        let daemon = &self.server.daemon;
        let shown = daemon.book.current(daemon).await?;
        let (app, token) = match door {
            Door::Socket(peer) => (self.peer(*peer, headers)?, false),
            Door::Tcp(_) => (self.bearer(&shown, headers)?, true),
        };
        let caller = Caller { app, shown, token };
        if let Some(email) = &caller.app.person {
            match caller.person() {
                None => return Err(Problem::denied(None, format!("{email} is no person of the firm"))),
                Some(p) if p.shut() => {
                    return Err(Problem::denied(None, format!("{email} is disabled or closed")));
                }
                Some(_) => {}
            }
        }
        Ok(caller)
    }

    /// Over the socket: the person that the kernel's word for the peer stands for, or whom the peer may name.
    fn peer(&self, peer: Peer, headers: &HeaderMap) -> Result<App, Problem> {
        let acting = headers
            .get(AS)
            .map(|v| v.to_str().map(str::to_owned))
            .transpose()
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, format!("the header {AS} is no address")))?;
        let named = acting.is_some();
        let request = Request { acting, json: true, quiet: true, ..Request::default() };
        let (app, _) = self.server.app(peer, &request, None).map_err(|failure| {
            let problem = Problem::from(failure);
            match problem.status {
                // Nobody is known by this number.
                StatusCode::FORBIDDEN if !named => {
                    Problem { status: StatusCode::UNAUTHORIZED, permission: None, ..problem }
                }
                _ => problem,
            }
        })?;
        Ok(app)
    }

    fn bearer(&self, shown: &Shown, headers: &HeaderMap) -> Result<App, Problem> {
        let unknown = || {
            Problem::new(StatusCode::UNAUTHORIZED, "a token is needed, and this is none or no good one any more")
                .next("Make one with `ledgerward api token add`, and send it as: Authorization: Bearer …")
        };
        let daemon = &self.server.daemon;
        let text = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).ok_or_else(unknown)?;
        let (scheme, text) = text.split_once(' ').ok_or_else(unknown)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(unknown());
        }
        let (name, token) = tokens::find(&shown.picture.tokens, text.trim(), daemon.clock.now()).ok_or_else(unknown)?;
        let person = shown.picture.firm().people.get(&token.person).ok_or_else(unknown)?;
        let email = person.email.clone();
        let actor = Actor::new(email.to_string(), None, format!("token {name}"));
        let mut place = daemon.place.clone();
        place.acting = Some(email.clone());
        (place.json, place.quiet) = (true, true);
        Ok(App {
            store: daemon.store.acting(actor.clone()),
            place,
            config: daemon.config(),
            actor,
            person: Some(email),
            clock: Arc::clone(&daemon.clock),
            process: Arc::clone(&daemon.process),
        })
    }

    async fn act(&self, caller: Caller, route: &Route, values: &Values) -> Result<Answer, Problem> {
        match route.act {
            Act::Description => Ok(Answer { exit: Exit::Done, json: self.description.clone() }),
            Act::Connectors => Ok(connectors::run().into()),
            Act::Check => check(&caller, values),
            Act::CheckMany => check_many(&caller, values),
            Act::Command(_) => self.command(caller.app, route, values).await,
        }
    }

    async fn command(&self, app: App, route: &Route, values: &Values) -> Result<Answer, Problem> {
        let words = std::iter::once("ledgerward".to_owned()).chain(input::words(route, values));
        let cli = Cli::try_parse_from(words).map_err(|e| wrong_words(route, &e))?;
        let daemon = &self.server.daemon;
        let (working, server) = (Arc::clone(&daemon.working), self.server.clone());
        let mut console = Given(input::document(route, values));
        // A thread of its own: whoever hangs up leaves the work, and the work stands.
        let runtime = tokio::runtime::Handle::current();
        let task = tokio::task::spawn_blocking(move || {
            let _working = working;
            runtime.block_on(server.execute(app, &mut console, cli.command))
        });
        let result = task.await;
        daemon.book.look_again();
        match result {
            Ok(Ok(report)) => Ok(report.into()),
            Ok(Err(failure)) => Err(failure.into()),
            Err(_) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "a defect stopped this command")
                .next("Please report it, with the daemon's log.")),
        }
    }
}

/// What the command line knows better than the table, with its place where clap says it.
fn wrong_words(route: &Route, error: &clap::Error) -> Problem {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.to_lowercase(),
        Some(ContextValue::Strings(all)) => all.join(" ").to_lowercase(),
        _ => String::new(),
    };
    let named = route.inputs.iter().find(|i| argument.contains(i.name));
    match named {
        Some(input) => Problem::input(input.place, input.name, line),
        None => Problem::new(StatusCode::BAD_REQUEST, line),
    }
}

/// Whether the route is for this person at all.
fn permitted(caller: &Caller, route: &Route) -> Result<(), Problem> {
    if caller.token && route.id == "tokenAdd" {
        return Err(Problem::denied(None, "a token makes no tokens").next("Use the command line."));
    }
    Ok(())
}

/// A page of another site that has its name point here must not be answered (DNS rebinding): the browser names that site.
fn right_host(address: SocketAddr, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let named = headers.get(header::HOST).and_then(|v| v.to_str().ok()).or_else(|| uri.authority().map(|a| a.as_str()));
    let names = [address.to_string(), format!("localhost:{}", address.port())];
    let port_80 = [address.ip().to_string(), format!("[{}]", address.ip()), "localhost".to_owned()];
    let fits = named.is_some_and(|n| {
        names.iter().any(|a| a.eq_ignore_ascii_case(n))
            || address.port() == 80 && port_80.iter().any(|a| a.eq_ignore_ascii_case(n))
    });
    if fits && headers.get_all(header::HOST).iter().count() <= 1 {
        return Ok(());
    }
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, format!("this is {address}")).next("Ask it by this address."))
}

/// Reads what was sent along with a request that is refused: whoever still writes it when the answer comes and the connection
/// is closed is told of a broken pipe, and not why.
async fn throw_away(body: Body) {
    let all = async {
        let (mut read, mut chunks) = (0, body.into_data_stream());
        while let Some(Ok(chunk)) = chunks.next().await {
            read += chunk.len();
            if read > FILE_BYTES_MAX {
                return;
            }
        }
    };
    // Nobody keeps a connection open by not sending what they said they would.
    let _too_slow = tokio::time::timeout(THROW_AWAY_MAX, all).await;
}

/// The body, as an object. Nothing at all is an empty one.
async fn json_body(headers: &HeaderMap, body: Body, route: &Route) -> Result<Option<Map<String, Value>>, Problem> {
    let file = route.inputs.iter().any(|i| i.kind == Kind::Document);
    let most = if file { FILE_BYTES_MAX } else { BODY_BYTES_MAX };
    let large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("a body has {most} bytes at most"));
    let told = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if told.is_some_and(|n| n > most as u64) {
        throw_away(body).await;
        return Err(large());
    }
    let bytes = to_bytes(body, most).await.map_err(|_| large())?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let wrong = |why: String| Problem::input(Place::Body, "", why);
    if route.inputs.iter().all(|i| i.place != Place::Body) {
        return Err(wrong("this takes no body".to_owned()));
    }
    let media = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be JSON")
            .next("Send: Content-Type: application/json"));
    }
    match serde_json::from_slice(&bytes) {
        Ok(Once(Value::Object(map))) => Ok(Some(map)),
        Ok(Once(_)) => Err(wrong("the body must be an object".to_owned())),
        Err(e) if e.is_data() => Err(wrong(e.to_string())),
        Err(e) => Err(wrong(format!("the body is no JSON: {e}"))),
    }
}

fn check(caller: &Caller, values: &Values) -> Result<Answer, Problem> {
    let text = |name| values.get(name).and_then(Value::as_str);
    let question = Question {
        person: text("person").unwrap_or_default(),
        client: text("client").unwrap_or_default(),
        target: text("target"),
    };
    let checked = ask(caller, question)?;
    Ok(told("ledgerward/access-check/1", serde_json::to_value(checked).unwrap_or_default(), caller))
}

fn check_many(caller: &Caller, values: &Values) -> Result<Answer, Problem> {
    let pairs = values.get("pairs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let checks: Vec<Value> = pairs
        .iter()
        .map(|pair| {
            let text = |name| pair.get(name).and_then(Value::as_str);
            let question = Question {
                person: text("person").unwrap_or_default(),
                client: text("client").unwrap_or_default(),
                target: text("target"),
            };
            // One that cannot be answered leaves the others.
            match ask(caller, question) {
                Ok(checked) => serde_json::to_value(checked).unwrap_or_default(),
                Err(problem) => problem.json(),
            }
        })
        .collect();
    Ok(told("ledgerward/access-checks/1", json!({"checks": checks}), caller))
}

fn ask(caller: &Caller, question: Question<'_>) -> Result<Checked, Problem> {
    Ok(caller.shown.picture.check(question, caller.person(), caller.app.now())?)
}

/// Adds how old the picture is.
fn told(schema: &str, mut json: Value, caller: &Caller) -> Answer {
    let confirmed = caller.shown.confirmed();
    let age = caller.app.now().duration_since(confirmed).as_millis().max(0);
    if let Some(map) = json.as_object_mut() {
        map.insert("schema".to_owned(), json!(schema));
        map.insert("as_of".to_owned(), json!(confirmed));
        map.insert("age_ms".to_owned(), json!(i64::try_from(age).unwrap_or(i64::MAX)));
        let read = caller.shown.picture.read.map_or_else(|| "unknown".to_owned(), |t| t.to_string());
        map.insert("last_read".to_owned(), json!(read));
    }
    Answer { exit: Exit::Done, json }
}

fn refusal(problem: &Problem) -> Response {
    let mut response = body(problem.status, "application/problem+json", &problem.json());
    if let Some(allow) = problem.allow.as_deref().and_then(|a| HeaderValue::from_str(a).ok()) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    if problem.status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// What is private is in nobody's cache.
fn body(status: StatusCode, media: &'static str, json: &Value) -> Response {
    let mut response = Response::new(Body::from(json.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_host_is_answered() {
        let address: SocketAddr = "127.0.0.1:8790".parse().unwrap();
        let right = |host: &str| {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_str(host).unwrap())]);
            right_host(address, &Uri::from_static("/api/v1/status"), &headers).is_ok()
        };
        assert!(right("127.0.0.1:8790") && right("localhost:8790"));
        for other in ["evil.example:8790", "127.0.0.1", "127.0.0.1:80", "localhost.evil.example:8790", ""] {
            assert!(!right(other), "{other}");
        }
        assert!(right_host(address, &Uri::from_static("/"), &HeaderMap::new()).is_err());
    }
}
