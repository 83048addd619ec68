//! What the tests of connectors share: a vendor in one process, the connector signed in to it, and what both are asked.
//!
//! Feature `testing`, for `[dev-dependencies]` alone. What is a vendor's own stays with that connector's tests.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "runs in tests only, where what fails is a failed test"
)]

mod source;
mod target;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ledgerward_contract::{
    Auth, Build, Connector, Cursor, Endpoints, Factory, Listed, Manifest, Page, ReadCx, Request, Response, Result,
    Secret, Snapshot, Timestamp, Transport,
};
use serde_json::{Value, json};
use url::Url;

pub use self::{
    source::{JustBegun, clients, month, october},
    target::{file, id_of, key, person},
};
use crate::{
    MemoryDays,
    fake::{Fake, FakeRequest, FakeResponse, FakeTransport, Moment, SharedFake},
    layers::{
        Verdict,
        auth::{Bearer, Dress},
        no_verdict,
    },
};

/// When every test begins.
pub fn now() -> Timestamp {
    "2026-11-21T09:00:00Z".parse().unwrap()
}

/// A JSON file of the fixtures, by its path below `fixtures/`.
pub fn fixture(path: &str) -> Value {
    let path = format!("{}/../../fixtures/{path}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// One request to a vendor by hand, past connector and layers.
pub fn ask(
    fake: &mut dyn Fake,
    now: Timestamp,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> FakeResponse {
    let url = Url::parse(&format!("http://vendor.example{path}")).unwrap();
    let header = |(k, v): &(&str, &str)| (k.parse::<HeaderName>().unwrap(), v.parse::<HeaderValue>().unwrap());
    let request = FakeRequest {
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        path: url.path().to_owned(),
        query: url.query_pairs().into_owned().collect(),
        headers: headers.iter().map(header).collect::<HeaderMap>(),
        body: body.into(),
    };
    fake.answer(Moment { now, in_flight: 0 }, &request)
}

/// The status of an answer, and its JSON; `Null` if it is none.
pub fn read(answer: &FakeResponse) -> (u16, Value) {
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
}

/// An access token as the fake's control gives it out.
///
/// Its clock starts with the first request, so there is one before: a token given out earlier would be long dead.
pub fn token(fake: &mut dyn Fake, now: Timestamp, args: &Value) -> String {
    ask(fake, now, ("GET", "/"), &[], "");
    let token = fake.control("token", args).unwrap();
    token["access_token"].as_str().unwrap().to_owned()
}

/// A connector, where its vendor stands, and what an app of ours sends there.
#[derive(Clone, Copy)]
pub struct Vendor {
    pub factory: &'static dyn Factory,
    /// Addresses other than the manifest's own, by its names of them.
    pub at: &'static [(&'static str, &'static str)],
    /// The app's id, for vendors that want it with every request.
    pub app: Option<&'static str>,
    /// The keys that the firm entered, by the manifest's names of them.
    pub keys: &'static [(&'static str, &'static str)],
    /// Statuses that no request of the connector may meet.
    pub never: &'static [u16],
    /// For vendors that limit by something else than 429.
    pub verdict: Verdict,
}

impl Vendor {
    pub const fn of(factory: &'static dyn Factory) -> Self {
        Self { factory, at: &[], app: None, keys: &[], never: &[599], verdict: no_verdict }
    }

    pub fn manifest(&self) -> &'static Manifest {
        self.factory.manifest()
    }

    pub fn endpoints(&self) -> Endpoints {
        let at = self.at.iter().map(|(name, url)| ((*name).to_owned(), url.parse().unwrap()));
        Endpoints::resolve(self.manifest(), &at.collect()).unwrap()
    }

    /// Errors: what the connector says of these settings.
    pub fn connector(&self, settings: Value) -> Result<Box<dyn Connector>> {
        self.factory.build(Build { settings, endpoints: self.endpoints() })
    }

    /// The connector over this fake, with nobody signed in.
    pub fn world(&self, fake: impl Fake + 'static, settings: Value) -> World {
        let fake: SharedFake = Arc::new(Mutex::new(Box::new(fake)));
        let keys: BTreeMap<_, _> = self.keys.iter().map(|(k, v)| ((*k).to_owned(), Secret::new(*v))).collect();
        let wire = Arc::new(Signed {
            inner: Arc::new(FakeTransport::new(Arc::clone(&fake), now())),
            token: Mutex::default(),
            seen: Mutex::default(),
            dress: Dress::new(self.manifest(), self.app, &keys).unwrap(),
            never: self.never,
        });
        World {
            fake,
            wire,
            connector: self.connector(settings).unwrap(),
            vendor: *self,
            realm: None,
            days: Arc::default(),
        }
    }

    /// The connector over this fake, with the access token that the fake's control gives out for this.
    pub fn signed_in(&self, mut fake: impl Fake + 'static, settings: Value, args: &Value) -> World {
        let token = fake.control("token", args).unwrap();
        let world = self.world(fake, settings);
        token["access_token"].as_str().unwrap().clone_into(&mut world.wire.token.lock().unwrap());
        world
    }
}

/// The fake with credentials put on as the auth layer does, but no repeat; keeps what went over.
pub struct Signed {
    pub inner: Arc<FakeTransport>,
    pub token: Mutex<String>,
    pub seen: Mutex<Vec<(Request, Response)>>,
    dress: Dress,
    never: &'static [u16],
}

#[async_trait]
impl Transport for Signed {
    async fn send(&self, mut request: Request) -> Result<Response> {
        if request.auth == Auth::Bearer {
            let token = Secret::new(self.token.lock().unwrap().as_str());
            request = self.dress.on(&Bearer { token, generation: 0 }, request)?;
        }
        let answer = self.inner.send(request.clone()).await?;
        let said = String::from_utf8_lossy(&answer.body);
        assert!(!self.never.contains(&answer.status), "{}: {} {said}", request.op, answer.status);
        self.seen.lock().unwrap().push((request, answer.clone()));
        Ok(answer)
    }
}

/// A vendor, its connector, and the wire between them.
pub struct World {
    pub fake: SharedFake,
    pub wire: Arc<Signed>,
    pub connector: Box<dyn Connector>,
    pub vendor: Vendor,
    /// The one company of the sign-in, where a sign-in reaches one.
    pub realm: Option<String>,
    /// What the layers counted against quotas of a day and longer.
    pub days: Arc<MemoryDays>,
}

impl World {
    /// The same sign-in at a fake that went on from where this one was saved, the connector without settings.
    pub fn at_another(&self, fake: impl Fake + 'static) -> Self {
        let other = self.vendor.world(fake, json!({}));
        self.wire.token.lock().unwrap().clone_into(&mut other.wire.token.lock().unwrap());
        Self { realm: self.realm.clone(), ..other }
    }

    pub fn now(&self) -> Timestamp {
        self.wire.inner.now()
    }

    /// What a person does at the vendor's own pages.
    pub fn control(&self, verb: &str, args: Value) -> Value {
        self.fake.lock().unwrap().control(verb, &args).unwrap()
    }

    /// From now on requests carry the access token that the fake's control gives out for this.
    pub fn sign_in(&self, args: Value) {
        let token = token(&mut **self.fake.lock().unwrap(), self.now(), &args);
        *self.wire.token.lock().unwrap() = token;
    }

    pub fn read(&self) -> ReadCx {
        ReadCx::new(self.wire.clone(), self.now()).in_realm(self.realm.as_deref())
    }

    /// How often paths that end so were asked, by the fake's own count.
    pub fn asked(&self, end: &str) -> u64 {
        let stats = self.control("stats", json!({}));
        let counts = stats["requests"].as_object().unwrap();
        counts.iter().filter(|(path, _)| path.ends_with(end)).map(|(_, n)| n.as_u64().unwrap()).sum()
    }

    /// How many requests of this operation went out.
    pub fn sent(&self, op: &str) -> usize {
        self.wire.seen.lock().unwrap().iter().filter(|(r, _)| r.op == op).count()
    }

    pub fn forget(&self) {
        self.wire.seen.lock().unwrap().clear();
    }

    /// That the fake saw nothing that its vendor forbids. Says nothing in a test that fails already.
    pub fn assert_no_violations(&self) {
        if !std::thread::panicking() {
            assert_eq!(self.control("violations", json!({}))["violations"], json!([]));
        }
    }
}

/// The whole of a listing.
async fn whole<'a, T: Listed + PartialEq>(
    fetch: impl FnMut(Cursor) -> BoxFuture<'a, Result<Page<T>>>,
) -> Result<Snapshot<T>> {
    Snapshot::gather("test.list", now(), 1_000, fetch).await
}
