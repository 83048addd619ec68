//! Contexts: what a connector may do in one call, and the one verb it does it with.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use crate::{Error, ErrorKind, Result, Timestamp};

/// What a request does to the other side. Declared, because the method is no evidence: Dropbox lists by POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Read,
    Write,
}

/// Which credential the auth layer adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// The sign-in's access token.
    Bearer,
    /// None: the address itself is the secret (upload sessions, short-lived downloads). Such an address is never logged.
    Url,
}

/// How large a decoded answer may be. Passing it is an error, counted after decompression (P22).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLimit {
    /// 16 MiB: lists, reports, single objects.
    Page,
    /// 64 MiB: documents.
    Statement,
}

impl BodyLimit {
    pub const fn bytes(self) -> usize {
        match self {
            Self::Page => 16 << 20,
            Self::Statement => 64 << 20,
        }
    }
}

/// A request body. Always in memory, so that an attempt can be repeated.
#[derive(Clone, Debug, Default)]
pub enum Body {
    #[default]
    Empty,
    Json(serde_json::Value),
    Form(Vec<(String, String)>),
    Bytes {
        content_type: String,
        bytes: Bytes,
    },
}

/// One request, before the layers add credentials, limits and repeats.
#[derive(Clone, Debug)]
pub struct Request {
    /// `noun.verb`, for errors, traces and metrics.
    pub op: &'static str,
    pub effect: Effect,
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Body,
    pub auth: Auth,
    /// The vendor's unit of limits (a Xero tenant). Quotas of scope `Tenant` count by it.
    pub tenant: Option<String>,
    /// A repeat makes nothing twice. Reads are; a write says so only if the vendor promises it.
    pub idempotent: bool,
    pub limit: BodyLimit,
    /// How long one attempt may take; `None` takes the layer's default of 30 s.
    pub timeout: Option<Duration>,
    /// It can wait: refused first where a month's budget runs low. Statements can, who may see what cannot.
    pub optional: bool,
}

impl Request {
    fn new(op: &'static str, effect: Effect, method: Method, url: Url) -> Self {
        let idempotent = effect == Effect::Read;
        Self {
            op,
            effect,
            method,
            url,
            headers: HeaderMap::new(),
            body: Body::Empty,
            auth: Auth::Bearer,
            tenant: None,
            idempotent,
            limit: BodyLimit::Page,
            timeout: None,
            optional: false,
        }
    }

    /// A read by any method.
    pub fn read(op: &'static str, method: Method, url: Url) -> Self {
        Self::new(op, Effect::Read, method, url)
    }

    /// A read by GET.
    pub fn get(op: &'static str, url: Url) -> Self {
        Self::read(op, Method::GET, url)
    }

    /// A write. Not idempotent unless [`Request::idempotent`] says so.
    pub fn write(op: &'static str, method: Method, url: Url) -> Self {
        Self::new(op, Effect::Write, method, url)
    }

    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    #[must_use]
    pub fn json(mut self, body: serde_json::Value) -> Self {
        self.body = Body::Json(body);
        self
    }

    #[must_use]
    pub fn bytes(mut self, content_type: impl Into<String>, bytes: Bytes) -> Self {
        self.body = Body::Bytes { content_type: content_type.into(), bytes };
        self
    }

    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    #[must_use]
    pub fn limit(mut self, limit: BodyLimit) -> Self {
        self.limit = limit;
        self
    }

    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Adds a header. A value that is no legal header value is a `Contract` error (somebody else's string got in).
    pub fn header(mut self, name: HeaderName, value: &str) -> Result<Self> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| Error::contract(self.op, format!("a value for the header {name} is not printable ASCII")))?;
        self.headers.insert(name, value);
        Ok(self)
    }
}

/// A whole answer. A cut body never becomes one: the transport gives `Unavailable` instead (P04).
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    pub const fn ok(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}

/// The one verb. Everything between a connector and the wire is a layer around it.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends once and gives the whole answer, of any status. Errors are those of the way there and back.
    async fn send(&self, request: Request) -> Result<Response>;
}

/// Wraps one transport in another.
pub trait Layer: Send + Sync {
    fn wrap(&self, inner: Arc<dyn Transport>) -> Arc<dyn Transport>;
}

/// May read, cannot write. Runtime resources come with the call; a connector keeps none (rule R7).
#[derive(Clone)]
pub struct ReadCx {
    transport: Arc<dyn Transport>,
    now: Timestamp,
    realm: Option<Arc<str>>,
}

impl ReadCx {
    pub fn new(transport: Arc<dyn Transport>, now: Timestamp) -> Self {
        Self { transport, now, realm: None }
    }

    /// For a sign-in that reaches exactly one company: its id at the vendor (`OAuthSpec::realm`).
    #[must_use]
    pub fn in_realm(mut self, realm: Option<&str>) -> Self {
        self.realm = realm.map(Arc::from);
        self
    }

    /// The one company that this sign-in was given for, as its callback named it.
    pub fn realm(&self) -> Option<&str> {
        self.realm.as_deref()
    }

    /// When this cycle began.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Sends a reading request. A request that declares a write is refused here, before any layer sees it.
    pub async fn send(&self, request: Request) -> Result<Response> {
        if request.effect == Effect::Write {
            return Err(Error::new(
                ErrorKind::Unsupported,
                request.op,
                "a write was asked of a context that may only read; this is a defect of the connector",
            ));
        }
        self.transport.send(request).await
    }
}

/// May write, for exactly one journalled step.
pub struct WriteCx {
    read: ReadCx,
    step: Journalled,
}

impl WriteCx {
    /// The reading half: every look before and after a write goes through it.
    pub fn read(&self) -> &ReadCx {
        &self.read
    }

    pub fn now(&self) -> Timestamp {
        self.read.now
    }

    /// The journal row that this context writes for.
    pub fn step(&self) -> Journalled {
        self.step
    }

    pub async fn send(&self, request: Request) -> Result<Response> {
        self.read.transport.send(request).await
    }
}

/// The number of a journal row that is committed with the intent of a write (invariant I7). Made by the store's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Journalled(i64);

impl Journalled {
    /// For the journal alone: states that this row is durable.
    pub const fn committed(row: i64) -> Self {
        Self(row)
    }

    pub const fn row(self) -> i64 {
        self.0
    }
}

static TAKEN: AtomicBool = AtomicBool::new(false);

/// The right to write to other people's folders. There is one in a process, and `src/apply` takes it.
pub struct WriteAuthority(());

impl WriteAuthority {
    /// `Some` the first time in a process, `None` ever after.
    pub fn take() -> Option<Self> {
        (!TAKEN.swap(true, Ordering::SeqCst)).then_some(Self(()))
    }

    /// A second authority for tests of targets, which run many in one process.
    #[cfg(feature = "suite")]
    pub fn for_tests() -> Self {
        Self(())
    }
}

/// Leave for one journalled write.
pub struct Permit(Journalled);

impl Permit {
    /// Called in one place of the program (a tidy test counts).
    pub fn issue(_: &WriteAuthority, step: Journalled) -> Self {
        Self(step)
    }

    /// Turns the permit into a context. A dry run has no permit, so it has no context to write with: dry run is a type.
    pub fn open(self, transport: Arc<dyn Transport>, now: Timestamp) -> WriteCx {
        WriteCx { read: ReadCx::new(transport, now), step: self.0 }
    }
}
