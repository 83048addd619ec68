//! The few operations that this connector asks of a store, each for one call's context.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, TryStreamExt};
use http::{HeaderMap, HeaderName, HeaderValue};
use ledgerward_contract::{Error, ErrorKind, Result, Retry, Timestamp};
use ledgerward_kit::{RootMemory, pause, within};
use opendal::{EntryMode, HttpTransporter, Metadata, OperationContext, Operator, options::WriteOptions};
use tokio::sync::mpsc;

use crate::{
    map::{Item, What, etag, is_weak, proven, tag},
    refusal,
    via::{self, Cx, Seen, Via},
};

/// How long one operation may take over SFTP, and over HTTP, where each of its requests has limits of its own.
const SFTP_MAX: Duration = Duration::from_secs(120);
const HTTP_MAX: Duration = Duration::from_secs(3_600);
/// What may be repeated is tried so often over SFTP: a connection that an idle server closed is noticed at its first use
/// only, and a server that is asked for many at a time refuses some.
const SFTP_TRIES: u32 = 3;

/// Connections by SFTP. OpenSSH's server turns some away where ten begin at a time (`MaxStartups`).
pub(crate) const SFTP_LINES: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    S3,
    Azure,
    WebDav,
    Sftp,
}

impl Kind {
    /// Folders are prefixes of names, and exist with their first object.
    pub fn flat(self) -> bool {
        matches!(self, Self::S3 | Self::Azure)
    }
}

/// A configured store.
pub(crate) struct Store {
    pub kind: Kind,
    pub operator: Operator,
    /// Whom the store takes us for, and where: for people.
    pub account: String,
    pub new_root: bool,
    pub memory: Mutex<Memory>,
    /// The names of what lies in the root, so that it is not listed anew for every new client.
    pub neighbours: RootMemory<String>,
    /// The first folders of a new root are made side by side, and its marker is written once. Folders that are moved into
    /// their place go one after the other.
    pub marking: tokio::sync::Mutex<()>,
    /// A line for each connection by SFTP; OpenDAL opens as many as there are calls.
    pub lines: tokio::sync::Semaphore,
}

/// What was seen in this cycle, so that it is not asked for again with every file.
#[derive(Default)]
pub(crate) struct Memory {
    pub cycle: Option<Timestamp>,
    /// The keys on the markers of client folders, by name; `None`: no marker.
    pub markers: BTreeMap<String, Option<String>>,
    /// Directories that are there and are directories.
    pub dirs: std::collections::BTreeSet<String>,
    pub root: bool,
    /// Whether the store keeps `If-None-Match: *`. Asked once.
    pub conditions: Option<bool>,
}

/// On an error of SFTP that came before anything was sent.
const NOT_REACHED: &str = "not_reached";

/// What must be true of a name for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cond {
    Absent,
    /// This etag, without quotes.
    Etag(String),
    Any,
}

/// What a store said of a file it took.
pub(crate) struct Written {
    pub etag: Option<String>,
    /// The store's own hash is that of the bytes.
    pub proven: bool,
}

/// One call's use of a store.
pub(crate) struct Call<'a> {
    pub store: &'a Store,
    pub cx: Cx<'a>,
    pub op: &'static str,
}

impl Call<'_> {
    pub fn now(&self) -> Timestamp {
        match self.cx {
            Cx::Read(cx) => cx.now(),
            Cx::Write(cx) => cx.now(),
        }
    }

    /// What is known in this cycle; what an earlier one saw is forgotten.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        let mut memory = self.store.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.cycle != Some(self.now()) {
            *memory = Memory { cycle: Some(self.now()), conditions: memory.conditions, ..Memory::default() };
        }
        memory
    }

    pub fn err(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, self.op, message)
    }

    /// Runs one of OpenDAL's operations, doing its requests with the context of this call.
    async fn ask<T, F>(&self, extra: HeaderMap, work: impl FnOnce(Operator) -> F) -> Result<(T, Seen)>
    where
        F: Future<Output = opendal::Result<T>>,
    {
        let (to, mut errands) = mpsc::channel(1);
        let context = OperationContext::new().with_http_transport(HttpTransporter::new(Via(to)));
        // OpenDAL's listings panic on names that are not UTF-8, and in debug builds on links to directories.
        let mut work = pin!(AssertUnwindSafe(work(self.store.operator.clone().with_context(context))).catch_unwind());
        let mut seen = Seen::default();
        let sftp = self.store.kind == Kind::Sftp;
        let limit = if sftp { SFTP_MAX } else { HTTP_MAX };
        let _line = if sftp { self.store.lines.acquire().await.ok() } else { None };
        within(self.op, limit, async {
            let done = loop {
                tokio::select! {
                    biased;
                    Some(errand) = errands.recv() => via::run(self.cx, self.op, errand, &extra, &mut seen).await,
                    done = &mut work => break done,
                }
            };
            match done {
                Ok(Ok(value)) => Ok((value, seen)),
                Ok(Err(e)) => {
                    Err(seen.error.take().map_or_else(|| self.explained(&e), |e| refusal::told(self.store.kind, e)))
                }
                Err(_) => Err(Error::contract(self.op, "the store named something in a way that cannot be read")
                    .next("Look for a name there that is not valid UTF-8, or for a link, and take it away.")),
            }
        })
        .await
    }

    /// Reads are safe to repeat, and so is everything that found no connection. Over HTTP the context does so, and knows how
    /// long to wait.
    async fn again<T, F>(&self, extra: HeaderMap, reads: bool, work: impl Fn(Operator) -> F) -> Result<(T, Seen)>
    where
        F: Future<Output = opendal::Result<T>>,
    {
        let tries = if self.store.kind == Kind::Sftp { SFTP_TRIES } else { 1 };
        let may = |e: &Error| e.kind == ErrorKind::Unavailable && (reads || e.get(NOT_REACHED).is_some());
        let mut attempt = 1;
        loop {
            match self.ask(extra.clone(), &work).await {
                Err(e) if attempt < tries && may(&e) => {
                    pause(Duration::from_secs(attempt.into())).await;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    async fn read_again<T, F>(&self, work: impl Fn(Operator) -> F) -> Result<(T, Seen)>
    where
        F: Future<Output = opendal::Result<T>>,
    {
        self.again(HeaderMap::new(), true, work).await
    }

    async fn write_again<T, F>(&self, extra: HeaderMap, work: impl Fn(Operator) -> F) -> Result<(T, Seen)>
    where
        F: Future<Output = opendal::Result<T>>,
    {
        self.again(extra, false, work).await
    }

    fn may_write(&self) -> Result<()> {
        match self.cx {
            Cx::Write(_) => Ok(()),
            Cx::Read(_) => Err(self.err(
                ErrorKind::Unsupported,
                "a write was asked of a context that may only read; this is a defect of the connector",
            )),
        }
    }

    /// OpenDAL's error by its kind alone: its text may hold headers and bodies.
    fn explained(&self, e: &opendal::Error) -> Error {
        use opendal::ErrorKind as O;
        let sftp = self.store.kind == Kind::Sftp;
        match e.kind() {
            O::NotFound => self.err(ErrorKind::NotFound, "the store has nothing under this name"),
            O::PermissionDenied => self.err(ErrorKind::Forbidden, "the store does not let us do this"),
            O::ConditionNotMatch | O::AlreadyExists => {
                self.err(ErrorKind::Conflict, "something else is there than expected")
            }
            O::RateLimited => self.err(ErrorKind::RateLimited, "the store asks us to slow down"),
            O::ConfigInvalid => self.err(ErrorKind::Config, "the store's settings are not right"),
            O::Unsupported => self.err(ErrorKind::Unsupported, "the store cannot do this"),
            _ if sftp && !e.is_temporary() => self
                .err(ErrorKind::Unavailable, "the server cannot be reached by SFTP, or does not accept our key")
                .with(NOT_REACHED, "yes")
                .next("As the account that runs this service, try: sftp -o BatchMode=yes USER@HOST"),
            _ if sftp => self.err(ErrorKind::Unavailable, "the server refused, or the connection broke"),
            _ => Error::contract(self.op, "the answer is not what this kind of store gives").retry(Retry::No),
        }
    }

    /// The whole content; `None` if there is nothing.
    pub async fn read(&self, path: &str) -> Result<Option<(Bytes, Option<String>)>> {
        let got = self.read_again(|o| async move { o.read(path).await }).await;
        match got {
            Ok((buffer, seen)) => Ok(Some((buffer.to_bytes(), seen.etag))),
            Err(e) if e.kind == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// What is under a name, as a listing would say it. A folder only where folders are real.
    pub async fn look_at(&self, path: &str) -> Result<Option<Item>> {
        let got = self.read_again(|o| async move { o.stat(path).await }).await;
        match got {
            Ok((meta, _)) => Ok(Some(item(path, &meta))),
            Err(e) if e.kind == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// What is in a directory (`""` is the root), or below it as well. `None`: there is no such directory.
    pub async fn list(&self, dir: &str, recursive: bool) -> Result<Option<Vec<Item>>> {
        let at = if dir.is_empty() { "/".to_owned() } else { format!("{dir}/") };
        let got = self
            .read_again(|o| {
                let at = at.clone();
                async move { o.lister_with(&at).recursive(recursive).await?.try_collect::<Vec<_>>().await }
            })
            .await;
        let (entries, seen) = match got {
            Err(e) if e.kind == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        // OpenDAL calls a missing directory empty.
        match seen.error {
            Some(e) if e.kind == ErrorKind::NotFound => return Ok(None),
            Some(e) => return Err(refusal::told(self.store.kind, e)),
            None => {}
        }
        let (mut items, mut itself) = (Vec::new(), false);
        for entry in &entries {
            let path = entry.path().trim_start_matches('/');
            if path.trim_end_matches('/') == dir {
                itself = true;
            } else if dir.is_empty() || path.strip_prefix(dir).is_some_and(|p| p.starts_with('/')) {
                items.push(item(path, entry.metadata()));
            } else {
                return Err(Error::contract(self.op, "a listing names something of another folder"));
            }
        }
        if itself || !items.is_empty() {
            return Ok(Some(items));
        }
        let there = !self.store.kind.flat() && self.look_at(&at).await?.is_some();
        Ok(there.then_some(items))
    }

    /// Puts bytes under a name in one step.
    ///
    /// Errors: `Conflict` if the condition does not hold; on WebDAV also if the directory is missing (status 409).
    pub async fn write(&self, path: &str, bytes: &Bytes, mime: &str, cond: &Cond) -> Result<Written> {
        self.may_write()?;
        let (mut extra, mut options) = (HeaderMap::new(), WriteOptions::default());
        let kind = self.store.kind;
        if kind != Kind::Sftp {
            options.content_type = Some(mime.to_owned());
        }
        match cond {
            Cond::Any => {}
            Cond::Absent if kind == Kind::WebDav => {
                extra.insert(http::header::IF_NONE_MATCH, HeaderValue::from_static("*"));
            }
            Cond::Absent => options.if_not_exists = true,
            Cond::Etag(tag) => {
                let quoted = format!("\"{tag}\"");
                if kind == Kind::WebDav {
                    let value = HeaderValue::from_str(&quoted)
                        .map_err(|_| Error::contract(self.op, "an etag is not printable ASCII"))?;
                    extra.insert(http::header::IF_MATCH, value);
                } else {
                    options.if_match = Some(quoted);
                }
            }
        }
        let send = |o: Operator| {
            let (body, options) = (bytes.clone(), options.clone());
            async move { o.write_options(path, body, options).await }
        };
        let (meta, seen) = self.write_again(extra, send).await?;
        let found = meta.etag().and_then(etag).or(seen.etag);
        let proven = proven(bytes, found.as_deref(), meta.content_md5());
        Ok(Written { etag: found, proven })
    }

    /// Makes a directory and those above it. One that is there is a success.
    pub async fn make_dir(&self, dir: &str) -> Result<()> {
        self.may_write()?;
        let at = format!("{dir}/");
        let make = |o: Operator| {
            let at = at.clone();
            async move { o.create_dir(&at).await }
        };
        self.write_again(HeaderMap::new(), make).await.map(drop)
    }

    /// Gives a file or directory another name. `replace` is for files; else `Conflict` where the store can tell.
    pub async fn rename(&self, from: &str, to: &str, replace: bool) -> Result<()> {
        self.may_write()?;
        let mut extra = HeaderMap::new();
        if !replace {
            extra.insert(HeaderName::from_static("overwrite"), HeaderValue::from_static("F"));
        }
        self.write_again(extra, |o| async move { o.rename(from, to).await }).await.map(drop)
    }

    /// Takes a single file away. Never a directory: on WebDAV that takes all that is in it.
    pub async fn delete_file(&self, path: &str) -> Result<()> {
        self.may_write()?;
        self.write_again(HeaderMap::new(), |o| async move { o.delete(path).await }).await.map(drop)
    }
}

fn item(path: &str, meta: &Metadata) -> Item {
    let what = match meta.mode() {
        EntryMode::FILE => What::File,
        // Without the slash it is a link to a directory (OpenDAL's own check of this runs in debug builds only, and panics).
        EntryMode::DIR if path.ends_with('/') => What::Dir,
        EntryMode::DIR | EntryMode::Unknown => What::Other,
    };
    let size = if what == What::File { meta.content_length() } else { 0 };
    let tag = tag(meta.etag(), size, meta.last_modified().map(|t| t.to_string()));
    let weak = meta.etag().is_some_and(is_weak);
    Item { path: path.trim_end_matches('/').to_owned(), what, size, tag, weak }
}
