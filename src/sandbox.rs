//! The providers' fakes over real HTTP: for `ledgerward sandbox`, for the demo, and for tests of the whole program.
//!
//! Each provider gets a port of its own on loopback, so that vendors' own client libraries can be pointed at it. What a
//! person would do at the vendor's web pages is `POST /_sandbox/{verb}` with a JSON object; every provider's README lists
//! its verbs.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use ledgerward_kit::fake::{FakeRequest, FakeResponse, Moment, SharedFake};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    config::schema::{Config, Remote},
    registry,
};

/// A larger upload is refused with 413, as a vendor would.
const BODY_BYTES_MAX: usize = 128 << 20;

/// One provider that listens.
pub struct Mounted {
    pub name: String,
    pub address: SocketAddr,
    fake: SharedFake,
    task: JoinHandle<()>,
}

impl Mounted {
    /// `http://127.0.0.1:PORT`: what every endpoint of this provider is set to.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a person does at the vendor: see [`ledgerward_kit::fake::Fake::control`].
    pub fn control(&self, verb: &str, args: Value) -> Result<Value, String> {
        self.fake.lock().unwrap_or_else(PoisonError::into_inner).control(verb, &args)
    }
}

impl Mounted {
    /// Everything this provider knows, for [`resume`].
    pub fn save(&self) -> Value {
        self.fake.lock().unwrap_or_else(PoisonError::into_inner).save()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Mount {
    fake: SharedFake,
    in_flight: Mutex<BTreeMap<String, usize>>,
}

/// Serves a fake on `listen` (port 0 chooses a free one). Only loopback addresses are taken: a fake guards nothing.
pub async fn mount(name: &str, fake: SharedFake, listen: SocketAddr) -> std::io::Result<Mounted> {
    if !listen.ip().is_loopback() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "the sandbox listens on loopback only: it has no real security. Use 127.0.0.1:PORT",
        ));
    }
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let mount = Arc::new(Mount { fake: Arc::clone(&fake), in_flight: Mutex::new(BTreeMap::new()) });
    let app = Router::new().fallback(serve).with_state(mount);
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(%error, "sandbox.stopped");
        }
    });
    Ok(Mounted { name: name.to_owned(), address, fake, task })
}

async fn serve(State(mount): State<Arc<Mount>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return respond(FakeResponse::new(413));
    };
    let query = parts.uri.query().unwrap_or_default();
    let request = FakeRequest {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: parts.headers,
        body,
    };
    if let Some(verb) = request.path.strip_prefix("/_sandbox/") {
        return respond(control(&mount, verb, &request));
    }
    let guard = Flight::enter(&mount, &request);
    let answer = {
        let mut fake = mount.fake.lock().unwrap_or_else(PoisonError::into_inner);
        fake.answer(Moment { now: jiff::Timestamp::now(), in_flight: guard.others }, &request)
    };
    if !answer.takes.is_zero() {
        tokio::time::sleep(answer.takes).await;
    }
    drop(guard);
    respond(answer)
}

fn control(mount: &Mount, verb: &str, request: &FakeRequest) -> FakeResponse {
    let args = if request.body.is_empty() { json!({}) } else { request.json() };
    if !args.is_object() {
        return FakeResponse::json(400, &json!({"error": "the body must be a JSON object"}));
    }
    match mount.fake.lock().unwrap_or_else(PoisonError::into_inner).control(verb, &args) {
        Ok(value) => FakeResponse::json(200, &value),
        Err(message) => FakeResponse::json(400, &json!({"error": message})),
    }
}

/// One request in its lane, counted until it is answered or its client has gone.
struct Flight<'a> {
    mount: &'a Mount,
    lane: Option<String>,
    others: usize,
}

impl<'a> Flight<'a> {
    fn enter(mount: &'a Mount, request: &FakeRequest) -> Self {
        let lane = mount.fake.lock().unwrap_or_else(PoisonError::into_inner).lane(request);
        let mut others = 0;
        if let Some(lane) = &lane {
            let mut map = mount.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
            let n = map.entry(lane.clone()).or_default();
            others = *n;
            *n += 1;
        }
        Self { mount, lane, others }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let Some(lane) = &self.lane else { return };
        let mut map = self.mount.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = map.get_mut(lane) {
            *n -= 1;
            if *n == 0 {
                map.remove(lane);
            }
        }
    }
}

fn respond(answer: FakeResponse) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(Body::from(Bytes::clone(&answer.body)));
    *response.status_mut() = status;
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            // The server frames the body itself; a fake that states a length must not contradict it.
            if name != header::CONTENT_LENGTH && name != header::TRANSFER_ENCODING {
                response.headers_mut().append(name, value);
            }
        }
    }
    response
}

/// The stand-ins of one configuration (`sandbox = "folder"`): each listens where its endpoints point, and is as it was when
/// it was last saved. A port on which something answers already is left alone: somebody runs them elsewhere.
pub struct Resumed {
    folder: PathBuf,
    mounted: Vec<Mounted>,
}

/// Starts them. `config_dir` is the configuration's own folder.
pub async fn resume(config: &Config, config_dir: &Path) -> Result<Option<Resumed>, String> {
    let Some(folder) = &config.sandbox else { return Ok(None) };
    let folder = config_dir.join(folder);
    let connections = config.connections.iter().map(|(n, c)| (n.as_str(), &c.remote));
    let targets = config.targets.iter().map(|(n, t)| (n.0.as_str(), &t.remote));
    let mut mounted = Vec::new();
    for (name, remote) in connections.chain(targets) {
        let Some(entry) = registry::entry(&remote.connector) else { continue };
        let (Some(maker), Some(at)) = (&entry.fake, address(remote)) else { continue };
        let file = folder.join(format!("{name}.json"));
        let fake = match std::fs::read(&file) {
            Ok(bytes) => {
                let saved = serde_json::from_slice(&bytes).map_err(|e| format!("{}: {e}", file.display()))?;
                (maker.restore)(&saved, at)?
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let seed = serde_json::from_str(maker.sample).map_err(|e| format!("the sample firm: {e}"))?;
                (maker.from_seed)(&seed, at)?
            }
            Err(e) => return Err(format!("{}: {e}", file.display())),
        };
        match mount(name, Arc::new(Mutex::new(fake)), at).await {
            Ok(one) => mounted.push(one),
            Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(e) => return Err(format!("{at}: {e}")),
        }
    }
    Ok(Some(Resumed { folder, mounted }))
}

fn address(remote: &Remote) -> Option<SocketAddr> {
    let url = remote.endpoints.values().next()?;
    url.socket_addrs(|| None).ok()?.into_iter().next()
}

impl Resumed {
    /// Stand-ins that were mounted already, to be saved in `folder`.
    pub fn new(folder: PathBuf, mounted: Vec<Mounted>) -> Self {
        Self { folder, mounted }
    }

    pub fn provider(&self, name: &str) -> Option<&Mounted> {
        self.mounted.iter().find(|m| m.name == name)
    }

    pub fn mounted(&self) -> &[Mounted] {
        &self.mounted
    }

    /// Writes every stand-in's state down, each file whole or not at all.
    pub fn save(&self) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        for one in &self.mounted {
            let file = self.folder.join(format!("{}.json", one.name));
            let part = file.with_extension("part");
            std::fs::write(&part, one.save().to_string())?;
            std::fs::rename(&part, &file)?;
        }
        Ok(())
    }
}
