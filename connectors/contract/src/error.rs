//! One error for every connector: what happened, whether a repeat can help, and what a person should do next.

use std::{error::Error as StdError, fmt, time::Duration};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller may branch on. Nothing else of an error decides anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The sign-in is dead or was refused (401, `invalid_grant`). Says nothing about any user: freeze, never revoke.
    Unauthenticated,
    /// We are known but may not (403). With a ledger in the context: that ledger only.
    Forbidden,
    /// The thing asked for by its id is not there. On a listing this is an error like any other, never an empty list.
    NotFound,
    /// Somebody else's state is in the way (409, 412): read again before anything else.
    Conflict,
    /// The vendor asked us to wait.
    RateLimited,
    /// The network, a time-out, a 5xx, a maintenance page. A repeat may help.
    Unavailable,
    /// This connector or this account cannot do that at all ("not available", with the reason).
    Unsupported,
    /// The answer is not what we know: unparsable, wrong tenant, repeated cursor, wrong hash. Never read as empty.
    Contract,
    /// Our own settings are wrong (`invalid_client`, a root folder that does not exist).
    Config,
    /// We stopped: shutdown or a deadline of our own.
    Cancelled,
}

/// Whether and when the same request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// A repeat gives the same answer.
    No,
    /// A repeat may help; the retry layer chooses the pause.
    Backoff,
    /// The vendor named the pause. The retry layer obeys it or gives up; it never comes earlier.
    After(Duration),
}

/// An error of a connector or of the layers below it.
///
/// `message` is one sentence for a person and `next` says what to do. Neither, nor `context`, ever holds a body, a token
/// or a session address (reliability X06, X07).
pub struct Error {
    pub kind: ErrorKind,
    pub retry: Retry,
    /// The operation, as `noun.verb`: `users.list`, `permission.create`.
    pub op: &'static str,
    pub message: String,
    pub next: Option<String>,
    /// Short facts in order: `("status", "403")`, `("ledger", "…")`, `("request_id", "…")`.
    pub context: Vec<(&'static str, String)>,
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error that a repeat does not cure. Use [`Error::retry`] for the others.
    pub fn new(kind: ErrorKind, op: &'static str, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::RateLimited | ErrorKind::Unavailable => Retry::Backoff,
            _ => Retry::No,
        };
        Self { kind, retry, op, message: message.into(), next: None, context: Vec::new(), source: None }
    }

    /// The answer is not what the vendor documents. Never retried by itself, never read as "nothing there".
    pub fn contract(op: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Contract, op, message)
    }

    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// What the person reading this should do.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.context.push((key, value.into()));
        self
    }

    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.context.iter().find(|(k, _)| *k == key).map(|(_, v)| v.as_str())
    }
}

impl fmt::Display for Error {
    /// One line. The chain of causes is printed by whoever shows the error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.op, self.message)?;
        for (i, (k, v)) in self.context.iter().enumerate() {
            write!(f, "{}{k} {v}", if i == 0 { " (" } else { ", " })?;
        }
        if !self.context.is_empty() {
            write!(f, ")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {self}", self.kind)?;
        if let Some(next) = &self.next {
            write!(f, "; next: {next}")?;
        }
        if let Some(source) = &self.source {
            write!(f, "; caused by: {source}")?;
        }
        Ok(())
    }
}

/// What a program wrote for people, as the cause of an error. It may quote what a vendor sent, so it is shown to whoever tries
/// the program at a terminal, and is neither printed nor logged with the error.
pub struct Aside(pub Vec<String>);

impl fmt::Display for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "see what the program wrote for people")
    }
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aside({} lines)", self.0.len())
    }
}

impl StdError for Aside {}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|s| s.as_ref() as &(dyn StdError + 'static))
    }
}
