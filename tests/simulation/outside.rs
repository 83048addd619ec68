//! Everything outside the product: the two vendors' stand-ins, the lines to them with their bad hours, and a witness who
//! writes down what passed and what the folders looked like after each write.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method};
use ledgerward::{registry, store::Store};
use ledgerward_contract::{Error, ErrorKind, Request, Response, Result, Timestamp, Transport};
use ledgerward_kit::fake::{FakeRequest, FakeTransport, Moment, SharedFake};
use rand::{Rng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// What a client's folder looks like at Drive. People by address; a link is `anyone`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    pub name: String,
    pub people: BTreeSet<String>,
}

/// By the client's id, as our mark on the folder says it.
pub type Folders = BTreeMap<String, Folder>;

/// An organisation's user list as it went over the line, whole.
#[derive(Clone, Debug)]
pub struct Reading {
    pub at: Timestamp,
    pub tenant: String,
    pub users: BTreeMap<String, String>,
    /// In a cycle that had faults or was killed: nobody can say whether the product made use of it.
    pub unsure: bool,
}

/// Somebody came onto a folder's list or went off it by a write of ours.
#[derive(Clone, Debug)]
pub struct Moved {
    pub at: Timestamp,
    pub client: String,
    pub who: String,
    pub on: bool,
}

/// A file came into a client's folder, with the list at that moment.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub at: Timestamp,
    pub client: String,
    pub people: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    Xero,
    Drive,
}

#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Status(u16),
    /// 429 with so many seconds to wait.
    Wait(u32),
    /// Never answers; the vendor did it or did not.
    Silent {
        done: bool,
    },
    Reset {
        done: bool,
    },
    Empty,
    NoLists,
    Cut,
    Page,
}

/// Something is wrong on one line until it is put right.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub line: Line,
    pub fault: Fault,
    /// Of a hundred requests so many are hit.
    pub percent: u32,
    pub left: u32,
}

/// When the process dies: after so many more requests, before or after the vendor did what it was asked.
#[derive(Clone, Copy, Debug)]
pub struct Death {
    pub requests: u32,
    pub done: bool,
}

/// What the witness knows.
pub struct Witness {
    pub random: StdRng,
    pub troubles: Vec<Trouble>,
    pub death: Option<Death>,
    pub readings: Vec<Reading>,
    pub moved: Vec<Moved>,
    pub arrived: Vec<Arrived>,
    /// Requests that change something at a target, in words.
    pub writes: Vec<String>,
    pub folders: Folders,
    pub faults: u64,
    pub requests: u64,
    /// What must never be seen.
    pub wrong: Vec<String>,
    /// A vendor renewed a token and its answer was lost: within half an hour somebody must ask again, or nobody can.
    pub token_lost: bool,
    files: BTreeSet<String>,
    token_calls: BTreeMap<String, u32>,
}

pub struct Outside {
    xero: SharedFake,
    drive: SharedFake,
    witness: Mutex<Witness>,
    pub died: Notify,
    /// The product's state, to see whether a write was written down before it was sent.
    store: Mutex<Option<Store>>,
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub const ADDRESS: &str = "127.0.0.1:9";

fn fake(connector: &str, seed: &Value) -> SharedFake {
    let maker = registry::entry(connector).unwrap().fake.as_ref().unwrap();
    Arc::new(Mutex::new((maker.from_seed)(seed, ADDRESS.parse().unwrap()).unwrap()))
}

impl Outside {
    pub fn new(xero: &Value, drive: &Value, random: StdRng) -> Arc<Self> {
        let witness = Witness {
            random,
            troubles: Vec::new(),
            death: None,
            readings: Vec::new(),
            moved: Vec::new(),
            arrived: Vec::new(),
            writes: Vec::new(),
            folders: Folders::new(),
            faults: 0,
            requests: 0,
            wrong: Vec::new(),
            token_lost: false,
            files: BTreeSet::new(),
            token_calls: BTreeMap::new(),
        };
        Arc::new(Self {
            xero: fake("xero", xero),
            drive: fake("google-drive", drive),
            witness: Mutex::new(witness),
            died: Notify::new(),
            store: Mutex::new(None),
        })
    }

    pub fn witness(&self) -> MutexGuard<'_, Witness> {
        locked(&self.witness)
    }

    pub fn watch(&self, store: Option<Store>) {
        *locked(&self.store) = store;
    }

    /// What a person does at a vendor's own pages.
    pub fn at(&self, line: Line, verb: &str, args: &Value) -> std::result::Result<Value, String> {
        let fake = match line {
            Line::Xero => &self.xero,
            Line::Drive => &self.drive,
        };
        locked(fake).control(verb, args)
    }

    /// A person opens the vendor's sign-in page. Gives the address that the browser is sent to.
    pub fn consent(&self, line: Line, url: &url::Url, now: Timestamp) -> String {
        let fake = match line {
            Line::Xero => &self.xero,
            Line::Drive => &self.drive,
        };
        let request = FakeRequest {
            method: Method::GET,
            path: url.path().to_owned(),
            query: url.query_pairs().into_owned().collect(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        let answer = locked(fake).answer(Moment { now, in_flight: 0 }, &request);
        answer.headers.into_iter().find(|(name, _)| name == "location").unwrap().1
    }

    /// The line as a new process gets it. Call it inside of the process's runtime.
    pub fn line(self: &Arc<Self>, name: &str, now: Timestamp) -> Arc<dyn Transport> {
        let (line, fake) = if name == "xero" { (Line::Xero, &self.xero) } else { (Line::Drive, &self.drive) };
        Arc::new(Wire { line, vendor: FakeTransport::new(Arc::clone(fake), now), outside: Arc::clone(self) })
    }

    /// Looks at Drive as it is, after somebody did something there by hand.
    pub fn look(&self) -> Folders {
        let dump = self.at(Line::Drive, "dump", &json!({})).unwrap();
        let mut witness = self.witness();
        let (folders, files) = read(&dump, &mut witness.wrong);
        witness.folders = folders.clone();
        witness.files = files.into_keys().collect();
        folders
    }

    /// After a write of the product reached Drive: what changed.
    fn observe(&self, at: Timestamp) {
        let dump = self.at(Line::Drive, "dump", &json!({})).unwrap();
        let mut witness = self.witness();
        let witness = &mut *witness;
        let (folders, files) = read(&dump, &mut witness.wrong);
        let nobody = Folder::default();
        for id in folders.keys().chain(witness.folders.keys()).collect::<BTreeSet<_>>() {
            let (old, new) = (witness.folders.get(id).unwrap_or(&nobody), folders.get(id).unwrap_or(&nobody));
            for who in old.people.symmetric_difference(&new.people) {
                let on = new.people.contains(who);
                witness.moved.push(Moved { at, client: id.clone(), who: who.clone(), on });
            }
        }
        for (file, client) in files.iter().filter(|(file, _)| !witness.files.contains(*file)) {
            let Some(folder) = folders.get(client) else {
                witness.wrong.push(format!("{file} lies in no client's folder"));
                continue;
            };
            witness.arrived.push(Arrived { at, client: client.clone(), people: folder.people.clone() });
        }
        witness.folders = folders;
        witness.files = files.into_keys().collect();
    }

    /// No write without a row in the journal that says it is under way (I7).
    async fn check_journal(&self, what: &str) {
        let store = locked(&self.store).clone();
        let Some(store) = store else { return };
        match store.run(|db| db.unsettled()).await {
            Ok(rows) if !rows.is_empty() => {}
            Ok(_) => self.witness().wrong.push(format!("{what} was sent and no journal row is open")),
            Err(e) => self.witness().wrong.push(format!("the journal cannot be read: {e}")),
        }
    }
}

/// Client folders by their mark, and files with the client they belong to. Anything double is wrong.
fn read(dump: &Value, wrong: &mut Vec<String>) -> (Folders, BTreeMap<String, String>) {
    let (mut folders, mut marks) = (Folders::new(), BTreeMap::<String, String>::new());
    let (mut client_of, mut files) = (BTreeMap::new(), BTreeMap::new());
    let mark = |f: &Value, key: &str| {
        let apps = f["private"].as_object()?;
        apps.values().find_map(|app| app[key].as_str()).map(str::to_owned)
    };
    let all: Vec<&Value> = dump["files"].as_array().unwrap().iter().filter(|f| f["trashed"] != true).collect();
    for f in &all {
        let id = f["id"].as_str().unwrap().to_owned();
        match mark(f, "lw_kind").as_deref() {
            Some("client-folder") => {
                let client = mark(f, "lw_client").unwrap();
                let list = f["permissions"].as_array().unwrap().iter().filter(|p| p["role"] != "owner");
                let who = |p: &Value| match p["type"].as_str() {
                    Some("anyone" | "domain") => "anyone".to_owned(),
                    _ => p["who"].as_str().unwrap_or("anyone").to_owned(),
                };
                let folder = Folder { name: f["name"].as_str().unwrap().to_owned(), people: list.map(who).collect() };
                if folders.insert(client.clone(), folder).is_some() {
                    wrong.push(format!("client {client} has two folders"));
                }
                client_of.insert(id, client);
            }
            Some("sub-folder") => {
                let what = format!("sub-folder {} in {}", mark(f, "lw_sub").unwrap(), f["parent"]);
                if marks.insert(what.clone(), id).is_some() {
                    wrong.push(format!("{what} ({}) is there twice", f["path"]));
                }
            }
            _ => {}
        }
    }
    for f in all.iter().filter(|f| mark(f, "lw_kind").as_deref() == Some("file")) {
        let what = mark(f, "lw_file").unwrap();
        let folder = mark(f, "lw_folder").unwrap();
        if f["size"] == 0 {
            wrong.push(format!("{} is empty", f["path"]));
        }
        let key = format!("file {what} of {folder}");
        if marks.insert(key.clone(), String::new()).is_some() {
            wrong.push(format!("{} is there twice ({key})", f["path"]));
        }
        files.insert(f["id"].as_str().unwrap().to_owned(), client_of.get(&folder).cloned().unwrap_or(folder));
    }
    (folders, files)
}

struct Wire {
    line: Line,
    vendor: FakeTransport,
    outside: Arc<Outside>,
}

impl Wire {
    /// What goes wrong with the next request.
    fn fate(&self, token: bool) -> (Option<Fault>, Option<bool>) {
        let mut witness = self.outside.witness();
        let witness = &mut *witness;
        witness.requests += 1;
        let dies = match &mut witness.death {
            Some(Death { requests: 0, done }) => Some(*done),
            Some(death) => {
                death.requests -= 1;
                None
            }
            None => None,
        };
        witness.troubles.retain(|t| t.left > 0);
        let mut hit = None;
        for trouble in witness.troubles.iter_mut().filter(|t| t.line == self.line) {
            if witness.random.random_range(0..100) < trouble.percent && hit.is_none() {
                trouble.left -= 1;
                witness.faults += 1;
                hit = Some(trouble.fault);
            }
        }
        if token {
            // One answer may be lost, but not for ever: then the vendor's own rules end the sign-in.
            if std::mem::take(&mut witness.token_lost) {
                return (None, None);
            }
            let done = matches!(hit, Some(Fault::Silent { done: true } | Fault::Reset { done: true }));
            witness.token_lost = done || dies == Some(true);
        }
        (hit, dies)
    }

    async fn die(&self) -> ! {
        self.outside.died.notify_one();
        pending().await
    }

    /// The vendor does it, and the witness looks.
    async fn deliver(&self, request: Request) -> Result<Response> {
        let token = request.url.path().ends_with("/token");
        let write = self.line == Line::Drive && request.method != Method::GET && !token;
        let (path, method) = (request.url.path().to_owned(), request.method.clone());
        let tenant = request.headers.get("xero-tenant-id").and_then(|t| t.to_str().ok()).map(str::to_owned);
        let what = format!("{method} {path}");
        if write {
            self.outside.check_journal(&what).await;
            self.outside.witness().writes.push(what);
        }
        if self.line == Line::Xero && method != Method::GET && !token {
            self.outside.witness().wrong.push(format!("{method} {path}: a write to a ledger"));
        }
        let answer = self.vendor.send(request).await?;
        let at = self.vendor.now();
        if answer.status == 599 {
            self.outside.witness().wrong.push(format!("{method} {path}: {}", String::from_utf8_lossy(&answer.body)));
        }
        if write {
            self.outside.observe(at);
        }
        if let (Line::Xero, Some(tenant), true, 200) = (self.line, tenant, path.ends_with("/Users"), answer.status) {
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            let user = |u: &Value| {
                (u["EmailAddress"].as_str().unwrap().to_owned(), u["OrganisationRole"].as_str().unwrap().to_owned())
            };
            let users = body["Users"].as_array().unwrap().iter().map(user).collect();
            self.outside.witness().readings.push(Reading { at, tenant, users, unsure: false });
        }
        Ok(answer)
    }
}

fn lost(op: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, op, "the connection was reset")
}

fn plain(status: u16, body: impl Into<Bytes>) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    Response { status, headers, body: body.into() }
}

#[async_trait]
impl Transport for Wire {
    async fn send(&self, request: Request) -> Result<Response> {
        let op = request.op;
        let token = request.url.path().ends_with("/token");
        let (fault, dies) = self.fate(token);
        if let Some(done) = dies {
            if done {
                let _lost = self.deliver(request).await;
            }
            self.die().await
        }
        let _call = token.then(|| Call::begin(&self.outside, self.line));
        self.with(fault, token, op, request).await
    }
}

/// A token call under way; two of one sign-in at once are wrong (I8). It ends with its caller, also with one that dies.
struct Call<'o>(&'o Outside, String);

impl<'o> Call<'o> {
    fn begin(outside: &'o Outside, line: Line) -> Self {
        let name = format!("{line:?}");
        let mut witness = outside.witness();
        let calls = witness.token_calls.entry(name.clone()).or_default();
        *calls += 1;
        if *calls > 1 {
            witness.wrong.push(format!("two token calls of {name} at once"));
        }
        drop(witness);
        Self(outside, name)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(calls) = self.0.witness().token_calls.get_mut(&self.1) {
            *calls -= 1;
        }
    }
}

impl Wire {
    async fn with(&self, fault: Option<Fault>, token: bool, op: &'static str, request: Request) -> Result<Response> {
        match fault {
            None => self.deliver(request).await,
            Some(Fault::Status(status)) => Ok(plain(status, "{}")),
            Some(Fault::Wait(seconds)) => {
                let mut answer = plain(429, "");
                answer.headers.insert("retry-after", seconds.to_string().parse().unwrap());
                Ok(answer)
            }
            Some(Fault::Silent { done }) => {
                if done {
                    let _lost = self.deliver(request).await;
                }
                tokio::time::sleep(Duration::from_secs(3_600)).await;
                Err(lost(op))
            }
            Some(Fault::Reset { done }) => {
                if done {
                    let _lost = self.deliver(request).await;
                }
                Err(lost(op))
            }
            // A garbled answer may lose a token for good, by the vendor's own rules.
            Some(_) if token => Err(lost(op)),
            Some(garbled) => {
                // The vendor did it; only the answer is spoiled. What was read so is no reading.
                let readings = self.outside.witness().readings.len();
                let mut answer = self.deliver(request).await?;
                self.outside.witness().readings.truncate(readings);
                if answer.status == 200 {
                    answer.body = spoil(garbled, &answer.body);
                }
                Ok(answer)
            }
        }
    }
}

fn spoil(fault: Fault, body: &Bytes) -> Bytes {
    match fault {
        Fault::Empty => Bytes::from_static(b"{}"),
        Fault::Cut => body.slice(..body.len() / 2),
        Fault::NoLists => match serde_json::from_slice(body) {
            Ok(Value::Object(map)) => {
                let none = |v: Value| if v.is_array() { json!([]) } else { v };
                json!(map.into_iter().map(|(k, v)| (k, none(v))).collect::<serde_json::Map<_, _>>()).to_string().into()
            }
            Ok(Value::Array(_)) => Bytes::from_static(b"[]"),
            _ => body.clone(),
        },
        _ => Bytes::from_static(b"<!DOCTYPE html><html><body>We will be back soon</body></html>"),
    }
}

impl Witness {
    /// Any fault, of which kind ever.
    pub fn any_fault(random: &mut StdRng) -> Fault {
        let done = random.random_range(0..2) == 0;
        match random.random_range(0..11) {
            0 => Fault::Status(500),
            1 => Fault::Status(503),
            2 => Fault::Status(404),
            3 => Fault::Status(403),
            4 => Fault::Wait(random.random_range(1..90)),
            5 => Fault::Silent { done },
            6 => Fault::Reset { done },
            7 => Fault::Empty,
            8 => Fault::NoLists,
            9 => Fault::Cut,
            _ => Fault::Page,
        }
    }
}
