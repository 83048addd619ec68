//! Hostile client names on every target, through the connector, against each target's strict stand-in: one folder each, none
//! merged, none outside the root. In CI some names a target; `LEDGERWARD_NAMES=2000` takes them all, and
//! `LEDGERWARD_NAMES_ON=dropbox` one vendor alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Method, header};
use ledgerward::{domain::names, registry};
use ledgerward_contract::{
    Auth, Build, ClientId, Connector, Created, Endpoints, FolderId, FolderKey, Journalled, Page, Permit, ReadCx,
    Request, Response, Result, Secret, Snapshot, Stat, StorageTarget, Timestamp, Transport, WriteAuthority, WriteCx,
};
use ledgerward_kit::fake::{FakeRequest, FakeTransport, Moment, SharedFake};
use serde_json::{Value, json};
use uuid::Uuid;

/// In the order in which they are made, so that twins of every kind meet early.
fn hostile(count: usize) -> Vec<String> {
    const BASES: [&str; 40] = [
        "Acme Ltd",
        "ACME LTD",
        "acme ltd",
        "Ａｃｍｅ Ltd",
        "Acme\u{200b} Ltd",
        "Caf\u{e9}",
        "Cafe\u{301}",
        "CAFÉ",
        "Straße",
        "STRASSE",
        "CON",
        "con.txt",
        "NUL",
        "aux",
        "COM1",
        "LPT¹",
        "desktop.ini",
        "_vti_cnf",
        "x_vti_y",
        "Thumbs.db",
        "..",
        ".",
        "...",
        "a/b\\c",
        "../../etc/passwd",
        "name.",
        "name ",
        " name",
        "tab\tname",
        "line\nbreak",
        "\u{202e}txt.exe",
        "שלום עולם",
        "مرحبا",
        "👩‍👩‍👧‍👦 Family",
        "🍕",
        "~$lock",
        ".hidden",
        "forms",
        "\u{7}bell\u{1b}[31m",
        "a:b*c?d\"e<f>g|h",
    ];
    let long: [String; 6] = [
        "x".repeat(300),
        "ß".repeat(300),
        "👍🏽".repeat(120),
        format!("a{}", "\u{301}".repeat(1_000)),
        format!("{} ", "y".repeat(119)),
        "é".repeat(300),
    ];
    let all: Vec<String> = BASES.iter().map(|b| (*b).to_owned()).chain(long).collect();
    (0..count)
        .map(|n| {
            let base = &all[n % all.len()];
            match n / all.len() {
                0 => base.clone(),
                // The same again: another client of that very name.
                1 => base.clone(),
                round if round % 5 == 2 => base.to_uppercase(),
                round if round % 5 == 3 => format!("{base} {round}."),
                round if round % 5 == 4 => format!("{round}\u{200f}{base}"),
                round if round % 5 == 0 => format!("{base}\u{feff}{}", "🇸🇪".repeat(round % 7)),
                round => format!("{}{base}", "\u{a0}".repeat(round)),
            }
        })
        .collect()
}

fn ids(count: usize) -> Vec<Uuid> {
    // As clients get theirs: made within one minute, so that they begin alike.
    (0..count as u128)
        .map(|n| Uuid::from_u128((0x0193_5000_0000_7000_8000 << 48) | ((n * 0x9e37_79b9_7f4a) & 0xffff_ffff_ffff)))
        .collect()
}

/// What the layers of the program do: the access token, made anew when it has ended, and waiting where a vendor asks for it.
struct Signed {
    inner: Arc<FakeTransport>,
    fake: SharedFake,
    asked: Value,
    token: Mutex<String>,
    requests: Arc<AtomicUsize>,
}

impl Signed {
    fn sign_in(&self) {
        let answer = self.fake.lock().unwrap().control("token", &self.asked).unwrap();
        answer["access_token"].as_str().unwrap().clone_into(&mut self.token.lock().unwrap());
    }
}

#[async_trait]
impl Transport for Signed {
    async fn send(&self, mut request: Request) -> Result<Response> {
        for _ in 0..20 {
            if request.auth == Auth::Bearer {
                let value = format!("Bearer {}", self.token.lock().unwrap());
                request.headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&value).unwrap());
            }
            self.requests.fetch_add(1, Ordering::Relaxed);
            let answer = self.inner.send(request.clone()).await?;
            assert_ne!(answer.status, 599, "{}", String::from_utf8_lossy(&answer.body));
            let slow = String::from_utf8_lossy(&answer.body).contains("RateLimitExceeded");
            match answer.status {
                401 => self.sign_in(),
                429 => tokio::time::sleep(Duration::from_secs(20)).await,
                403 if slow => tokio::time::sleep(Duration::from_secs(20)).await,
                _ => return Ok(answer),
            }
        }
        panic!("{}: it never gets through", request.op)
    }
}

struct Place {
    connector: Box<dyn Connector>,
    wire: Arc<dyn Transport>,
    now: Timestamp,
    fake: Option<SharedFake>,
    requests: Arc<AtomicUsize>,
    /// Lives as long as the place.
    _disk: Option<tempfile::TempDir>,
}

struct Kind {
    connector: &'static str,
    seed: &'static str,
    settings: Value,
    paths: &'static [(&'static str, &'static str)],
    token: Value,
}

fn kinds() -> Vec<Kind> {
    let us = "ledgers@harbour.example";
    vec![
        Kind {
            connector: "google-drive",
            seed: "google-drive/firm.json",
            settings: json!({"root": "1HarbourClientsFolder"}),
            paths: &[("api", "/drive/v3"), ("upload", "/upload/drive/v3")],
            token: json!({"user": us, "scope": "https://www.googleapis.com/auth/drive"}),
        },
        Kind {
            connector: "microsoft-graph",
            seed: "microsoft-graph/firm.json",
            settings: json!({"root": "01HARBCLIENTS"}),
            paths: &[("api", "/v1.0"), ("login", "/organizations"), ("content", "")],
            token: json!({"user": us}),
        },
        Kind {
            connector: "dropbox",
            seed: "dropbox/personal.json",
            settings: json!({}),
            paths: &[("api", "/2"), ("content", "/content/2")],
            token: json!({}),
        },
        Kind {
            connector: "box",
            seed: "box/firm.json",
            settings: json!({"root": "33550001"}),
            paths: &[
                ("api", "/2.0"),
                ("upload", "/api/2.0"),
                ("upload_sessions", "/api/2.0"),
                ("oauth", ""),
                ("account", ""),
            ],
            token: json!({"user": us}),
        },
    ]
}

fn fake_place(kind: &Kind) -> Place {
    let entry = registry::entry(kind.connector).unwrap();
    let path = format!("{}/fixtures/{}", env!("CARGO_MANIFEST_DIR"), kind.seed);
    let seed: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let at = "127.0.0.1:9".parse().unwrap();
    let fake: SharedFake = Arc::new(Mutex::new((entry.fake.as_ref().unwrap().from_seed)(&seed, at).unwrap()));
    let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
    // The stand-in's clock begins with its first request.
    let first = FakeRequest {
        method: Method::GET,
        path: "/".into(),
        query: vec![],
        headers: HeaderMap::new(),
        body: bytes::Bytes::new(),
    };
    fake.lock().unwrap().answer(Moment { now, in_flight: 0 }, &first);
    let url = |path: &str| format!("http://127.0.0.1:9{path}").parse().unwrap();
    let overrides = kind.paths.iter().map(|(name, path)| ((*name).to_owned(), url(path))).collect();
    let endpoints = Endpoints::resolve(entry.factory.manifest(), &overrides).unwrap();
    let connector = entry.factory.build(Build { settings: kind.settings.clone(), endpoints }).unwrap();
    let inner = Arc::new(FakeTransport::new(Arc::clone(&fake), now));
    let requests = Arc::<AtomicUsize>::default();
    let signed = Signed {
        inner,
        fake: Arc::clone(&fake),
        asked: kind.token.clone(),
        token: Mutex::default(),
        requests: Arc::clone(&requests),
    };
    signed.sign_in();
    if kind.connector == "microsoft-graph" {
        // A limit that is met within a batch is no answer of its own, and for the next run; it is another test's.
        fake.lock().unwrap().control("limits", &json!({"units": 100_000_000})).unwrap();
    }
    Place { connector, wire: Arc::new(signed), now, fake: Some(fake), requests, _disk: None }
}

/// A real disk: POSIX has rules of its own.
fn disk_place() -> Place {
    let disk = tempfile::tempdir().unwrap();
    let root = disk.path().join("clients");
    std::fs::create_dir(&root).unwrap();
    let entry = registry::entry("local").unwrap();
    let endpoints = Endpoints::resolve(entry.factory.manifest(), &BTreeMap::new()).unwrap();
    let settings = json!({"root": root, "new_root": true});
    let connector = entry.factory.build(Build { settings, endpoints }).unwrap();
    let now = "2026-11-21T10:00:00Z".parse().unwrap();
    Place { connector, wire: Arc::new(Nowhere), now, fake: None, requests: Arc::default(), _disk: Some(disk) }
}

/// The two stores that can be served here; SFTP is one where `connectors/stores/tests/servers.sh` started a server.
#[cfg(feature = "stores")]
fn store_places() -> Vec<(&'static str, Place, Option<crate::servers::Server>)> {
    use crate::servers::{BUCKET, KEY_ID, Server};
    use ledgerward_kit::{Hosts, HttpOptions, HttpTransport};
    let place = |connector: &str, endpoint: Option<(&str, String)>, settings: Value, keys: &[(&str, &str)]| {
        let entry = registry::entry(connector).unwrap();
        let overrides = endpoint.into_iter().map(|(name, url)| (name.to_owned(), url.parse().unwrap())).collect();
        let endpoints = Endpoints::resolve(entry.factory.manifest(), &overrides).unwrap();
        let keys = keys.iter().map(|(key, word)| ((*key).to_owned(), Secret::new(*word))).collect();
        let hosts = Hosts::new(&endpoints, false).unwrap();
        let connector = entry.factory.build_with_keys(Build { settings, endpoints }, keys).unwrap();
        let wire = Arc::new(HttpTransport::new(hosts, &HttpOptions::default()).unwrap());
        Place {
            connector,
            wire,
            now: "2026-11-21T10:00:00Z".parse().unwrap(),
            fake: None,
            requests: Arc::default(),
            _disk: None,
        }
    };
    let (dav, s3) = (Server::dav(), Server::s3());
    dav.make_dir("ours");
    let url = |server: &Server| format!("http://{}", server.address);
    let settings = json!({"root": "ours", "new_root": true});
    let on_dav = place("webdav", Some(("webdav", url(&dav))), settings, &[]);
    let settings = json!({"root": "ours", "new_root": true, "bucket": BUCKET, "access_key_id": KEY_ID});
    let on_s3 = place("s3", Some(("s3", url(&s3))), settings, &[("secret_access_key", "word")]);
    let mut all = vec![("webdav", on_dav, Some(dav)), ("s3", on_s3, Some(s3))];
    if let Ok(at) = std::env::var("LEDGERWARD_TEST_SFTP") {
        let at: url::Url = at.parse().unwrap();
        let root = format!("{}/names", at.path());
        std::fs::create_dir(&root).unwrap();
        let settings = json!({
            "host": at.host_str(), "port": at.port(), "user": at.username(), "root": root, "new_root": true,
            "key_file": std::env::var("LEDGERWARD_SFTP_KEY").unwrap(),
        });
        all.push(("sftp", place("sftp", None, settings, &[]), None));
    }
    all
}

struct Nowhere;

#[async_trait]
impl Transport for Nowhere {
    async fn send(&self, request: Request) -> Result<Response> {
        panic!("{} went to a network", request.op)
    }
}

impl Place {
    fn target(&self) -> &dyn StorageTarget {
        self.connector.target().unwrap()
    }

    fn read(&self) -> ReadCx {
        ReadCx::new(Arc::clone(&self.wire), self.now)
    }

    fn write(&self, authority: &WriteAuthority) -> WriteCx {
        Permit::issue(authority, Journalled::committed(1)).open(Arc::clone(&self.wire), self.now)
    }
}

fn key(id: Uuid) -> FolderKey {
    FolderKey { client: ClientId(id), account: None }
}

/// Makes a folder for each name, as a plan does, and looks at what is there then.
async fn fill(place: &Place, authority: &WriteAuthority, what: &str, wanted: &[String]) {
    let ids = ids(wanted.len());
    let (mut taken, mut made): (BTreeSet<String>, BTreeMap<FolderId, (FolderKey, String)>) = Default::default();
    for (name, id) in wanted.iter().zip(&ids) {
        let name = names::assign(&taken, name, id);
        assert!(taken.insert(names::unique_key(&name)), "{name:?} was given out twice");
        let reserved = place.target().reserve(&place.read(), 1).await.unwrap().pop();
        let answer = place.target().create(&place.write(authority), &key(*id), &name, reserved.as_ref()).await;
        match answer.unwrap_or_else(|e| panic!("{what}: {name:?}: {e:?}")) {
            Created::Created(folder) => {
                let before = made.insert(folder.clone(), (key(*id), name.clone()));
                assert!(before.is_none(), "{what}: {name:?} got the folder of {before:?}");
            }
            there @ Created::Exists { .. } => panic!("{what}: {name:?} is there already: {there:?}"),
        }
    }
    assert_eq!(made.len(), wanted.len(), "{what}");
    let cx = place.read();
    let there = Snapshot::gather("folders.list", place.now, 1_000, |at| {
        let cx = cx.clone();
        Box::pin(async move {
            let page: Page<_> = place.target().folders(&cx, at).await?;
            Ok(page)
        })
    })
    .await
    .unwrap();
    let listed: BTreeMap<&FolderId, (&str, Option<&str>)> =
        there.items().iter().map(|f| (&f.id, (f.name.as_str(), f.marker.as_deref()))).collect();
    assert_eq!(listed.len(), wanted.len(), "{what}: exactly these folders are in the root, and nothing else");
    for (folder, (key, name)) in &made {
        let key = key.to_string();
        assert_eq!(
            listed[folder],
            (name.as_str(), Some(key.as_str())),
            "{what}: a folder is another's, or has another name"
        );
    }
    // Some of them by a look of their own: where they lie, and whose they are.
    let parents: BTreeSet<_> = {
        let mut all = BTreeSet::new();
        for (folder, (key, name)) in made.iter().step_by(made.len().div_ceil(40)) {
            match place.target().stat(&place.read(), folder).await.unwrap() {
                Stat::Present { name: now, parent, marker, .. } => {
                    assert_eq!((now.as_str(), marker), (name.as_str(), Some(key.to_string())), "{what}");
                    all.insert(parent);
                }
                other => panic!("{what}: {name:?}: {other:?}"),
            }
        }
        all
    };
    assert_eq!(parents.len(), 1, "{what}: all lie in one folder: {parents:?}");
}

#[test]
fn n01_hostile_names_make_one_folder_each_in_the_root_of_every_target() {
    let count = std::env::var("LEDGERWARD_NAMES").ok().and_then(|n| n.parse().ok()).unwrap_or(120);
    let wanted = hostile(count);
    let authority = WriteAuthority::take().expect("nothing else in these tests writes by itself");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let only = std::env::var("LEDGERWARD_NAMES_ON").unwrap_or_default();
    runtime.block_on(async {
        for kind in kinds().into_iter().filter(|k| only.is_empty() || only == k.connector) {
            let (place, begun) = (fake_place(&kind), std::time::Instant::now());
            fill(&place, &authority, kind.connector, &wanted).await;
            let fake = place.fake.as_ref().unwrap();
            let said = fake.lock().unwrap().control("violations", &json!({})).unwrap();
            assert_eq!(said["violations"], json!([]), "{}", kind.connector);
            let requests = place.requests.load(Ordering::Relaxed);
            println!(
                "{}: {count} names in {:.1} s, {requests} requests",
                kind.connector,
                begun.elapsed().as_secs_f64()
            );
        }
    });
    #[cfg(feature = "stores")]
    let stores = store_places();
    // The disk works on threads, whose time cannot stand still.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let begun = std::time::Instant::now();
        fill(&disk_place(), &authority, "local", &wanted).await;
        println!("local: {count} names in {:.1} s", begun.elapsed().as_secs_f64());
        #[cfg(feature = "stores")]
        for (what, place, server) in stores {
            let begun = std::time::Instant::now();
            fill(&place, &authority, what, &wanted).await;
            let (took, asked) = (begun.elapsed().as_secs_f64(), server.map(|s| s.asked()).unwrap_or_default());
            println!("{what}: {count} names in {took:.1} s, {asked:?}");
        }
    });
}
