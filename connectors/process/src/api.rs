//! One call: the program is started, asked one question, helped to the vendor's answers, and ended.
//!
//! The conversation runs on a thread of its own, because a program may think as long as it likes in between; a watchdog
//! ends it when it is silent for too long. A program that ends without an answer has said nothing, so that is
//! `Unavailable` and never an empty page.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender},
    },
    time::{Duration, Instant},
};

use http::{HeaderName, Method};
use ledgerward_contract::{Aside, Body, Endpoints, Error, ErrorKind, ReadCx, Request, Response, Result};
use ledgerward_kit::{
    answer::{classify_common, is_html, safe_word, says_error, whole},
    pause,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use url::Url;

use crate::shape;

/// The version of the protocol, sent with every call.
pub const PROTOCOL: u32 = 1;
/// A line of the program: an answer of a page, or a request.
const LINE_BYTES_MAX: u64 = 8 << 20;
/// Requests for one answer. A page needs one or two.
const REQUESTS_MAX: usize = 100;
const STDERR_LINES_MAX: usize = 50;
/// Of these, the ones that go with an error to whoever tries the program: a Python traceback ends with what is wrong.
const ASIDE_LINES_MAX: usize = 12;
/// How long the last of them may take once the program has ended.
const ASIDE_WAIT: Duration = Duration::from_millis(500);
/// How often a program that is being written is looked at again, and after how long: three seconds in all.
const BUSY_LOOKS: usize = 30;
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// A program and where its vendor is.
pub struct Program {
    pub path: PathBuf,
    pub args: Vec<String>,
    pub options: Value,
    /// Between two lines of the program; the host's own waiting does not count.
    pub silence_max: Duration,
    pub endpoints: Endpoints,
}

/// One question.
pub struct Call {
    pub op: &'static str,
    pub call: &'static str,
    pub about: Value,
}

/// What the program says in a line.
enum Said {
    /// It wants something of the vendor.
    Http(Wish),
    /// The answer to the question.
    Result(Value),
    /// It cannot answer, and says why in one of our words.
    Error(Refusal),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default = "get")]
    method: String,
    /// Below the endpoint, beginning with `/`; or a whole address there, as vendors give it for the next page.
    path: String,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    body: Option<String>,
    /// Statuses besides 2xx that the program wants to see: `[404]`. Every other one ends the call as the error it is.
    #[serde(default)]
    expect: Vec<u16>,
    #[serde(default)]
    tenant: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    kind: String,
    #[serde(default)]
    code: Option<String>,
}

fn get() -> String {
    "GET".to_owned()
}

/// Starts the program, and waits a little for whoever still writes it: the system executes no file that is open for writing
/// (`ETXTBSY`), be it that the firm installs a new version at this moment, or that a process which was forked meanwhile still
/// holds the writer's handle.
async fn start(command: &mut Command) -> std::io::Result<Child> {
    for _ in 0..BUSY_LOOKS {
        match command.spawn() {
            Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => pause(BUSY_PAUSE).await,
            started => return started,
        }
    }
    command.spawn()
}

/// A wish on its way to the host. Without a reply the conversation is over.
type Asked = (Wish, oneshot::Sender<Value>);

impl Program {
    /// Asks one question and does the program's requests through `cx`.
    ///
    /// Errors: whatever a request gave, if one failed: the program cannot turn that into an answer. `Unavailable` if the
    /// program cannot be started, is silent or ends without an answer; `Contract` if it does not keep to the protocol.
    pub async fn ask(&self, cx: &ReadCx, call: Call) -> Result<Value> {
        let Call { op, call, about } = call;
        let question = json!({"protocol": PROTOCOL, "call": call, "about": about, "options": self.options});
        let mut command = Command::new(&self.path);
        // Nothing of ours reaches it: no variable, no open file, no terminal. Its own group, so that its children end too.
        command.args(&self.args).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LANG", "C.UTF-8");
        command.current_dir(self.path.parent().unwrap_or(&self.path)).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = start(&mut command).await.map_err(|e| {
            Error::new(ErrorKind::Unavailable, op, "the program could not be started")
                .source(e)
                .next("Check that the file is there, and may be executed by the user that ledgerward runs as.")
        })?;
        let (tell, mut told) = mpsc::channel::<Asked>(1);
        let silence = self.silence_max;
        let talk = tokio::task::spawn_blocking(move || Conversation::begin(op, child, silence).hold(&question, &tell));
        let mut failed = None;
        let mut requests = 0;
        while let Some((wish, reply)) = told.recv().await {
            requests += 1;
            let answer = if requests > REQUESTS_MAX {
                Err(Error::contract(op, format!("the program asked for more than {REQUESTS_MAX} answers at once")))
            } else {
                self.fetch(cx, op, wish).await
            };
            match answer {
                // Its end is the conversation's business.
                Ok(answer) => drop(reply.send(answer)),
                Err(e) => {
                    failed = Some(e);
                    break;
                }
            }
        }
        drop(told);
        let outcome = talk.await.map_err(|_| Error::new(ErrorKind::Unavailable, op, "the conversation broke off"))?;
        failed.map_or(outcome, Err)
    }

    async fn fetch(&self, cx: &ReadCx, op: &'static str, wish: Wish) -> Result<Value> {
        let expected = wish.expect.clone();
        let response = cx.send(self.request(op, wish)?).await?;
        classify(op, &response, &expected)
    }

    fn request(&self, op: &'static str, wish: Wish) -> Result<Request> {
        let wrong = |text: &str| Error::contract(op, format!("the program asked for something it may not: {text}"));
        let base = self.endpoints.url("api", "/")?;
        let url = match wish.path.strip_prefix('/') {
            Some(path) => self.endpoints.url("api", &format!("/{path}"))?,
            None => Url::parse(&wish.path).map_err(|_| wrong("the path does not begin with /"))?,
        };
        if url.origin() != base.origin() {
            return Err(wrong("an address outside its endpoint"));
        }
        // A POST may read (searches, queries); what it does is the program's promise, and nothing else is let through.
        let method = match wish.method.as_str() {
            "GET" => Method::GET,
            "POST" => Method::POST,
            _ => return Err(wrong("a method that is neither GET nor POST")),
        };
        let mut request = Request::read(op, method, url);
        let mut kind = "application/json".to_owned();
        for (name, value) in wish.headers {
            let name = name.to_ascii_lowercase();
            match name.as_str() {
                "content-type" => kind = value,
                "accept" | "accept-language" | "if-modified-since" => {
                    request = request.header(HeaderName::try_from(name).map_err(|_| wrong("a header"))?, &value)?;
                }
                n if n.starts_with("x-") && n != "x-api-key" && !n.starts_with("x-forwarded") => {
                    request = request.header(HeaderName::try_from(name).map_err(|_| wrong("a header"))?, &value)?;
                }
                _ => return Err(wrong("a header that the host keeps to itself")),
            }
        }
        if let Some(body) = wish.body {
            request.body = Body::Bytes { content_type: kind, bytes: body.into_bytes().into() };
        }
        request.tenant = wish.tenant;
        Ok(request)
    }
}

/// What the program gets to see: good answers, and those it said it expects. A login page is never data, and neither is a
/// list beside an error.
fn classify(op: &'static str, response: &Response, expected: &[u16]) -> Result<Value> {
    let seen = whole(response) || expected.contains(&response.status) && matches!(response.status, 404 | 410);
    if !seen || is_html(response) || response.ok() && says_error(&response.body) {
        return Err(classify_common(op, response));
    }
    // UTF-16 passes for UTF-8 where it is all ASCII, and a shell drops its NULs.
    let text = std::str::from_utf8(&response.body).ok().filter(|text| !text.contains('\0'));
    let body = text.ok_or_else(|| Error::contract(op, "the answer is not UTF-8 text"))?;
    let headers: serde_json::Map<_, _> = response
        .headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "set-cookie" | "set-cookie2" | "www-authenticate"))
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), Value::from(value.to_str().ok()?))))
        .collect();
    Ok(json!({"answer": {"status": response.status, "headers": headers, "body": body}}))
}

/// A running program. Ended, with all it started, when this goes away.
struct Conversation {
    op: &'static str,
    child: Child,
    dog: Watchdog,
    aside: Option<Receiver<String>>,
}

impl Conversation {
    fn begin(op: &'static str, child: Child, silence_max: Duration) -> Self {
        let dog = Watchdog::over(&child, silence_max);
        Self { op, child, dog, aside: None }
    }

    fn hold(mut self, question: &Value, tell: &mpsc::Sender<Asked>) -> Result<Value> {
        let (input, output) = (self.child.stdin.take(), self.child.stdout.take());
        let (Some(mut input), Some(output)) = (input, output) else {
            return Err(self.gone("its pipes could not be opened"));
        };
        if let Some(stderr) = self.child.stderr.take() {
            let (tell, told) = std::sync::mpsc::sync_channel(ASIDE_LINES_MAX);
            std::thread::spawn(move || log(stderr, tell));
            self.aside = Some(told);
        }
        let mut lines = BufReader::new(output);
        self.say(&mut input, question)?;
        loop {
            match self.listen(&mut lines)? {
                Said::Result(value) => return Ok(value),
                Said::Error(refusal) => return Err(self.refused(&refusal)),
                Said::Http(wish) => {
                    let (reply, answer) = oneshot::channel();
                    let stopped = || Error::new(ErrorKind::Cancelled, self.op, "the call was given up");
                    tell.blocking_send((wish, reply)).map_err(|_| stopped())?;
                    let answer = answer.blocking_recv().map_err(|_| stopped())?;
                    self.say(&mut input, &answer)?;
                }
            }
        }
    }

    fn say(&self, input: &mut ChildStdin, value: &Value) -> Result<()> {
        self.dog.watch(true);
        let sent = writeln!(input, "{value}").and_then(|()| input.flush());
        self.dog.watch(false);
        sent.map_err(|_| self.gone("it ended without an answer"))
    }

    fn listen(&self, lines: &mut BufReader<ChildStdout>) -> Result<Said> {
        let mut line = Vec::new();
        self.dog.watch(true);
        let read = lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        self.dog.watch(false);
        match read {
            Ok(n) if n > 0 && line.ends_with(b"\n") => {}
            Ok(n) if n as u64 == LINE_BYTES_MAX => {
                return Err(Error::contract(self.op, "the program wrote a line that is too long"));
            }
            // Half a line is half an answer.
            _ if self.dog.barked() => return Err(self.gone("it was silent for too long, and was ended")),
            _ => return Err(self.gone("it ended without an answer")),
        }
        said(self.op, &line)
    }

    fn gone(&self, why: &str) -> Error {
        let error = Error::new(ErrorKind::Unavailable, self.op, format!("the program gave no answer: {why}"))
            .next("Run: ledgerward connector check PROGRAM");
        // It is over: then its last words come at once.
        end(&self.child);
        let until = Instant::now() + ASIDE_WAIT;
        let line = || self.aside.as_ref()?.recv_timeout(until.saturating_duration_since(Instant::now())).ok();
        let lines: Vec<String> = std::iter::from_fn(line).collect();
        if lines.is_empty() { error } else { error.source(Aside(lines)) }
    }

    /// The program's word for it. Its own text could be the vendor's, so only a code is shown.
    fn refused(&self, refusal: &Refusal) -> Error {
        let kind = match refusal.kind.as_str() {
            "forbidden" => ErrorKind::Forbidden,
            "not_found" => ErrorKind::NotFound,
            "unavailable" => ErrorKind::Unavailable,
            "unsupported" => ErrorKind::Unsupported,
            "contract" => ErrorKind::Contract,
            // A word that we do not know says no more than that there is no answer.
            _ => ErrorKind::Unavailable,
        };
        let error = Error::new(kind, self.op, "the program cannot answer this");
        match refusal.code.as_deref().and_then(safe_word) {
            Some(code) => error.with("code", code),
            None => error,
        }
    }
}

/// A line of the program. Errors: `Contract`, naming the key that is wrong, and never a value.
fn said(op: &'static str, line: &[u8]) -> Result<Said> {
    const SAID: &str = "the program wrote a line that is not in the protocol";
    let next = "A line is one object: {\"http\": …}, {\"result\": …} or {\"error\": …}. What is for people goes to stderr. \
                Run: ledgerward connector check PROGRAM";
    let wrong = |what: String| Error::contract(op, SAID).with("wrong", what).next(next);
    let value: Value = serde_json::from_slice(line)
        .map_err(|e| wrong("it is no JSON".to_owned()).with("column", e.column().to_string()))?;
    let Value::Object(keys) = &value else { return Err(wrong("it is no object".to_owned())) };
    if keys.contains_key("protocol") {
        return Err(wrong(format!("it names a version of the protocol; only the host does, which speaks {PROTOCOL}")));
    }
    if let Some(key) = keys.keys().find(|k| !["http", "result", "error"].contains(&k.as_str())) {
        return Err(wrong(format!("the protocol does not have its key {}", shape::word(key))));
    }
    let mut parts = keys.iter();
    match (parts.next(), parts.next()) {
        (Some((key, inner)), None) => match key.as_str() {
            "http" => shape::read(op, SAID, "$.http", inner).map(Said::Http),
            "error" => shape::read(op, SAID, "$.error", inner).map(Said::Error),
            _ => Ok(Said::Result(inner.clone())),
        }
        .map_err(|e| e.next(next)),
        _ => Err(wrong("it has not exactly one of http, result and error".to_owned())),
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.dog.end();
        end(&self.child);
        // Reaps it; a process that was killed does not stay.
        let _ended = self.child.wait();
    }
}

/// Ends the program and whatever it started.
fn end(child: &Child) {
    let id = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(id) = id {
        // It may have ended by itself.
        let _gone = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
    }
}

/// What a program writes for people goes to the log, a little of it, and the first lines to whoever waits for them.
fn log(mut stderr: impl Read, tell: SyncSender<String>) {
    let mut tell = Some(tell);
    let first = BufReader::new(stderr.by_ref().take(LINE_BYTES_MAX));
    for line in first.lines().map_while(Result::ok).take(STDERR_LINES_MAX) {
        let text: String = line.chars().filter(|c| !c.is_control()).take(200).collect();
        tracing::debug!(event = "program.stderr", text);
        // Full, or nobody asks any more: the first lines are enough.
        tell = tell.filter(|tell| tell.try_send(text).is_ok());
    }
    drop(tell);
    // A pipe that nobody empties stops the program, and one that is shut ends it.
    let _rest = std::io::copy(&mut stderr, &mut std::io::sink());
}

/// Ends a program that is silent while it is its turn to speak.
struct Watchdog(Arc<(Mutex<Watch>, Condvar)>);

#[derive(Default)]
struct Watch {
    until: Option<Instant>,
    barked: bool,
    over: bool,
    silence_max: Duration,
}

impl Watchdog {
    fn over(child: &Child, silence_max: Duration) -> Self {
        let shared = Arc::new((Mutex::new(Watch { silence_max, ..Watch::default() }), Condvar::new()));
        let (watching, id) = (Arc::clone(&shared), i32::try_from(child.id()).ok());
        std::thread::spawn(move || {
            let (state, bell) = &*watching;
            let mut watch = state.lock().unwrap_or_else(PoisonError::into_inner);
            while !watch.over {
                let now = Instant::now();
                let wait = watch.until.map(|u| u.saturating_duration_since(now));
                if wait == Some(Duration::ZERO) {
                    watch.barked = true;
                    if let Some(id) = id.and_then(rustix::process::Pid::from_raw) {
                        // Its pipes close, and the reader sees the end.
                        let _gone = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
                    }
                    return;
                }
                let rest = wait.unwrap_or(Duration::from_secs(3600));
                watch = bell.wait_timeout(watch, rest).unwrap_or_else(PoisonError::into_inner).0;
            }
        });
        Self(shared)
    }

    fn set(&self, change: impl FnOnce(&mut Watch)) {
        let (state, bell) = &*self.0;
        change(&mut state.lock().unwrap_or_else(PoisonError::into_inner));
        bell.notify_all();
    }

    fn watch(&self, on: bool) {
        self.set(|w| w.until = on.then(|| Instant::now() + w.silence_max));
    }

    fn barked(&self) -> bool {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).barked
    }

    fn end(&self) {
        self.set(|w| w.over = true);
    }
}
