//! What the suite does not know: settings, roots, corrupted uploads, counts of requests, links over SFTP.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests; the lint sees only the tests themselves")]

mod common;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use common::{Dav, below, by_hand, connector, root_marker};
use http::{HeaderMap, Method};
use ledgerward_contract::{
    Audience, Body, Build, ClientId, Connector, Created, Cursor, Effect, Endpoints, Error, ErrorKind, Expect, Factory,
    Fenced, FolderId, FolderKey, Journalled, NoteLevel, Permit, ReadCx, Request, Response, Result, Retry, Secret,
    SharingSupport, Stat, StorageTarget, Stored, Timestamp, Transport, WriteAuthority, WriteCx,
    faults::{Fault, When, Wire},
    suite::target::file,
};
use ledgerward_stores::{AZURE_BLOB, S3, SFTP, WEBDAV};
use serde_json::{Value, json};
use url::Url;

const SECRET: &str = "canary-9f2e-password";

fn build(factory: &dyn Factory, endpoint: &str, settings: Value, keys: &[&str]) -> Result<Box<dyn Connector>> {
    let names: Vec<_> = factory.manifest().endpoints.iter().map(|e| e.name.to_owned()).collect();
    let overrides: BTreeMap<_, _> = names.into_iter().map(|n| (n, Url::parse(endpoint).unwrap())).collect();
    let endpoints = Endpoints::resolve(factory.manifest(), &overrides).unwrap();
    let keys = keys.iter().map(|k| ((*k).to_owned(), Secret::new(SECRET))).collect();
    factory.build_with_keys(Build { settings, endpoints }, keys)
}

fn error<T>(result: Result<T>) -> Error {
    match result {
        Ok(_) => panic!("this must be refused"),
        Err(e) => {
            assert!(!format!("{e:?} {e} {:?}", e.next).contains(SECRET), "the error shows a secret: {e:?}");
            e
        }
    }
}

/// Each kind with settings that are right, and its keys.
fn kinds() -> Vec<(&'static dyn Factory, Value, Vec<&'static str>)> {
    vec![
        (&S3, json!({ "bucket": "b", "access_key_id": "k" }), vec!["secret_access_key"]),
        (&WEBDAV, json!({ "username": "u" }), vec!["password"]),
        (&SFTP, json!({ "host": "files.firm.example", "root": "/srv/clients" }), vec![]),
        (&AZURE_BLOB, json!({ "container": "c", "account": "a" }), vec!["sas"]),
    ]
}

#[test]
fn mirror_is_refused_and_the_reason_given() {
    for (factory, settings, keys) in kinds() {
        let with = |word: &str| {
            let mut settings = settings.clone();
            settings.as_object_mut().unwrap().insert("sharing".into(), word.into());
            build(factory, "https://store.firm.example", settings, &keys)
        };
        for word in ["mirror", "report"] {
            let e = error(with(word));
            assert_eq!(e.kind, ErrorKind::Config);
            assert!(e.message.contains("no sharing lists"), "{e}");
            assert!(e.next.unwrap().contains("sharing = \"off\""));
        }
        let off = with("off").unwrap();
        assert_eq!(off.target().unwrap().limits().sharing, SharingSupport::Off);
    }
}

#[test]
fn settings_that_are_not_right_are_named() {
    for (factory, settings, keys) in kinds() {
        let mut unknown = settings.clone();
        unknown.as_object_mut().unwrap().insert("shoe_size".into(), 44.into());
        let e = error(build(factory, "https://store.firm.example", unknown, &keys));
        assert!(e.message.contains("shoe_size") && e.next.unwrap().contains("new_root"), "{}", e.message);
        for root in ["../up", "a/../b", "/a/./b", "a/ b"] {
            let mut bad = settings.clone();
            bad.as_object_mut().unwrap().insert("root".into(), root.into());
            assert!(error(build(factory, "https://store.firm.example", bad, &keys)).message.contains("root"));
        }
        if !keys.is_empty() {
            let mut named = settings.clone();
            named.as_object_mut().unwrap().insert("username".into(), "u".into());
            error(build(factory, "https://store.firm.example", named, &[]));
            let e = error(build(factory, "https://not-configured.invalid", settings, &keys));
            assert!(e.message.contains("where the server is"), "{e}");
        }
    }
    for host in ["-oProxyCommand=x", "a b", "h;x", ""] {
        error(build(&SFTP, "https://x.example", json!({ "host": host, "root": "/r" }), &[]));
    }
    error(build(&SFTP, "https://x.example", json!({ "host": "h", "root": "relative" }), &[]));
}

/// A connector over a server in memory, behind a wire.
struct Place {
    connector: Box<dyn Connector>,
    dav: Arc<Dav>,
    wire: Arc<Wire>,
    at: Url,
}

const NOW: i64 = 1_790_000_000;

impl Place {
    async fn new(settings: Value, marked: bool) -> Self {
        let (dav, at) = (Dav::new(false), Url::parse("http://127.0.0.1:9/").unwrap());
        by_hand(&*dav, "MKCOL", below(&at, &["clients"]), None, b"").await;
        if marked {
            by_hand(&*dav, "PUT", below(&at, &["clients", ".ledgerward.json"]), None, root_marker()).await;
        }
        let connector = connector(&WEBDAV, Some(("webdav", &at)), settings, &[]);
        Self { connector, wire: Wire::new(dav.clone()), dav, at }
    }
    async fn ready() -> Self {
        Self::new(json!({ "root": "clients" }), true).await
    }
    fn t(&self) -> &dyn StorageTarget {
        self.connector.target().unwrap()
    }
    fn read(&self) -> ReadCx {
        ReadCx::new(self.wire.clone(), Timestamp::from_second(NOW).unwrap())
    }
    fn write_over(&self, wire: Arc<dyn Transport>, cycle: i64) -> WriteCx {
        let now = Timestamp::from_second(NOW + cycle).unwrap();
        Permit::issue(&WriteAuthority::for_tests(), Journalled::committed(1)).open(wire, now)
    }
    async fn folder(&self) -> FolderId {
        let cx = self.write_over(self.wire.clone(), 0);
        match self.t().create(&cx, &key(1), "Acme Ltd", None).await.unwrap() {
            Created::Created(id) => id,
            other @ Created::Exists { .. } => panic!("{other:?}"),
        }
    }
    async fn put_over(&self, wire: Arc<dyn Transport>, cycle: i64, folder: &FolderId, name: &str) -> Result<Stored> {
        let audience = Audience::new("the tests").unwrap();
        let fence = Fenced::managed_elsewhere(folder.clone(), &audience);
        let cx = self.write_over(wire, cycle);
        self.t().put(&cx, &fence, &file(&["2026", name], b"%PDF whole"), Expect::Absent).await
    }
    async fn put(&self, folder: &FolderId, name: &str) -> Result<Stored> {
        self.put_over(self.wire.clone(), 0, folder, name).await
    }
}

fn key(n: u128) -> FolderKey {
    FolderKey { client: ClientId(uuid::Uuid::from_u128(n)), account: None }
}

#[tokio::test]
async fn f04_a_root_without_its_marker_is_an_error_for_everything() {
    let p = Place::new(json!({ "root": "clients" }), false).await;
    let e = error(p.t().find(&p.read(), &key(1)).await);
    assert_eq!((e.kind, e.retry), (ErrorKind::Unavailable, Retry::No));
    error(p.t().stat(&p.read(), &"Acme Ltd".into()).await);
    error(p.t().create(&p.write_over(p.wire.clone(), 0), &key(1), "Acme Ltd", None).await);
    assert_eq!(p.wire.writes(), 0, "something was written");
    let probe = p.t().probe(&p.read()).await.unwrap();
    assert!(probe.root.is_none() && probe.notes.iter().any(|n| n.level == NoteLevel::Blocker));
}

#[tokio::test]
async fn f04_new_root_marks_an_empty_root_and_no_other() {
    let p = Place::new(json!({ "root": "clients", "new_root": true }), false).await;
    assert_eq!(p.t().find(&p.read(), &key(1)).await.unwrap(), None);
    let id = p.folder().await;
    assert!(matches!(p.t().stat(&p.read(), &id).await.unwrap(), Stat::Present { .. }));
    by_hand(&*p.dav, "DELETE", below(&p.at, &["clients", ".ledgerward.json"]), None, b"").await;
    let e = error(p.t().find(&p.read(), &key(1)).await);
    assert_eq!(e.kind, ErrorKind::Unavailable, "a root with folders in it was taken as new");
}

#[tokio::test]
async fn a_put_is_two_requests_once_the_server_is_known() {
    let p = Place::ready().await;
    let id = p.folder().await;
    p.put(&id, "first.pdf").await.unwrap();
    p.wire.heal();
    for name in ["a.pdf", "b.pdf", "c.pdf"] {
        assert!(p.put(&id, name).await.unwrap().written);
    }
    let log: Vec<_> = p.wire.log().iter().map(|r| r.method.to_string()).collect();
    assert_eq!(log, ["PUT", "GET", "PUT", "GET", "PUT", "GET"]);
}

/// A server that loses the end of what it is sent.
struct Cutting(Arc<Dav>);

#[async_trait]
impl Transport for Cutting {
    async fn send(&self, mut request: Request) -> Result<Response> {
        if request.method == Method::PUT
            && let Body::Bytes { bytes, .. } = &mut request.body
            && bytes.starts_with(b"%PDF")
        {
            *bytes = bytes.slice(..bytes.len() - 1);
        }
        self.0.send(request).await
    }
}

/// A server that refuses every request, or every new file.
struct Refusing(Arc<Dav>, u16, &'static str, bool);

#[async_trait]
impl Transport for Refusing {
    async fn send(&self, request: Request) -> Result<Response> {
        let file = matches!(&request.body, Body::Bytes { bytes, .. } if bytes.starts_with(b"%PDF"));
        if self.3 || file {
            let body = Bytes::from_static(self.2.as_bytes());
            return Ok(Response { status: self.1, headers: HeaderMap::new(), body });
        }
        self.0.send(request).await
    }
}

#[tokio::test]
async fn refusals_speak_of_a_store_and_of_what_stands_in_the_configuration() {
    use ErrorKind::{Config, Conflict, Forbidden, Unauthenticated, Unavailable, Unsupported};
    let p = Place::ready().await;
    let id = p.folder().await;
    for (status, all, kind, says, next) in [
        (401, true, Unauthenticated, "does not accept our name and key", "`username` and `password`"),
        (403, true, Forbidden, "does not let us", "read and write the folder of `root`"),
        (404, true, Unavailable, "the root is not there", "Check `root`"),
        (413, false, Unsupported, "larger than the store", "client_max_body_size"),
        (423, false, Conflict, "locked", "Unlock it"),
        (507, false, Forbidden, "the store is full", "Make room"),
    ] {
        let wire = Arc::new(Refusing(p.dav.clone(), status, "", all));
        let e = match all {
            true => {
                error(p.t().files(&ReadCx::new(wire, Timestamp::from_second(NOW).unwrap()), &id, Cursor::Start).await)
            }
            false => error(p.put_over(wire, 60, &id, "a.pdf").await),
        };
        // A listing says of it what is not there; a write says where to look.
        let e = match status {
            404 => {
                let wire = Arc::new(Refusing(p.dav.clone(), status, "", true));
                error(p.t().create(&p.write_over(wire, 60), &key(2), "Birch LLP", None).await)
            }
            _ => e,
        };
        let told = e.next.clone().unwrap_or_default();
        assert!(!e.message.contains("under this id"), "{e:?}");
        assert_eq!(e.kind, kind, "{status}: {e:?}");
        assert!(e.message.contains(says) && told.contains(next), "{status}: {e:?}");
    }
    let s3 = connector(
        &S3,
        Some(("s3", &p.at)),
        json!({ "bucket": "b", "access_key_id": "k" }),
        &[("secret_access_key", "word")],
    );
    for (code, status, kind, next) in [
        ("SignatureDoesNotMatch", 403, Config, "`access_key_id` and `secret_access_key`"),
        ("RequestTimeTooSkewed", 403, Config, "clock"),
        ("AccessDenied", 403, Forbidden, "let the key list, read and write the bucket"),
    ] {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>CANARY</Message></Error>");
        let wire = Arc::new(Refusing(p.dav.clone(), status, body.leak(), true));
        let cx = ReadCx::new(wire, Timestamp::from_second(NOW).unwrap());
        let e = error(s3.target().unwrap().find(&cx, &key(1)).await);
        assert_eq!(e.kind, kind, "{e:?}");
        assert!(e.next.as_deref().unwrap().contains(next) && !format!("{e:?}").contains("CANARY"), "{e:?}");
    }
}

#[tokio::test]
async fn a_file_that_did_not_arrive_whole_is_an_error() {
    let p = Place::ready().await;
    let id = p.folder().await;
    let e = error(p.put_over(Arc::new(Cutting(p.dav.clone())), 0, &id, "a.pdf").await);
    assert_eq!(e.kind, ErrorKind::Contract, "{e:?}");
}

#[tokio::test]
async fn a_folder_that_lost_its_marker_is_not_written_to_in_the_next_cycle() {
    let p = Place::ready().await;
    let id = p.folder().await;
    p.put(&id, "a.pdf").await.unwrap();
    by_hand(&*p.dav, "DELETE", below(&p.at, &["clients", "Acme Ltd", ".ledgerward.json"]), None, b"").await;
    p.wire.heal();
    let e = error(p.put_over(p.wire.clone(), 60, &id, "b.pdf").await);
    assert_eq!(e.kind, ErrorKind::Conflict);
    assert_eq!(p.wire.writes(), 0);
}

#[tokio::test]
async fn a_folder_that_is_gone_is_not_made_again_by_a_put() {
    let p = Place::ready().await;
    let id = p.folder().await;
    by_hand(&*p.dav, "DELETE", below(&p.at, &["clients", "Acme Ltd", ""]), None, b"").await;
    error(p.put(&id, "a.pdf").await);
    assert_eq!(p.t().stat(&p.read(), &id).await.unwrap(), Stat::Gone);
    assert_eq!(error(p.t().files(&p.read(), &id, Cursor::Start).await).kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn n04_no_id_of_a_folder_leads_out_of_the_root() {
    let p = Place::ready().await;
    for bad in ["..", "../clients", "a/b", "", ".ledgerward.json"] {
        error(p.t().stat(&p.read(), &bad.into()).await);
        error(p.t().files(&p.read(), &bad.into(), Cursor::Start).await);
        error(p.put(&bad.into(), "a.pdf").await);
    }
    assert_eq!(p.wire.count(), 0, "somebody was asked");
}

#[tokio::test]
async fn p10_the_pause_that_a_server_names_reaches_the_caller() {
    let p = Place::ready().await;
    let id = p.folder().await;
    p.put(&id, "first.pdf").await.unwrap();
    p.wire.fail(When::NthWrite(0), Fault::RateLimited);
    let e = error(p.put(&id, "a.pdf").await);
    assert_eq!((e.kind, e.retry), (ErrorKind::RateLimited, Retry::After(std::time::Duration::from_secs(7))));
}

/// Shows what leaves over HTTP, and answers nothing.
struct Deaf(std::sync::Mutex<Vec<Request>>);

#[async_trait]
impl Transport for Deaf {
    async fn send(&self, request: Request) -> Result<Response> {
        self.0.lock().unwrap().push(request);
        Ok(Response { status: 403, headers: http::HeaderMap::new(), body: Bytes::from_static(SECRET.as_bytes()) })
    }
}

#[tokio::test]
async fn x06_keys_go_to_the_named_server_and_into_no_error() {
    for (factory, settings, keys) in kinds().into_iter().filter(|(_, _, keys)| !keys.is_empty()) {
        let built = build(factory, "https://store.firm.example", settings, &keys).unwrap();
        let deaf = Arc::new(Deaf(std::sync::Mutex::default()));
        let cx = ReadCx::new(deaf.clone(), Timestamp::from_second(NOW).unwrap());
        let e = error(built.target().unwrap().find(&cx, &key(1)).await);
        assert_eq!(e.kind, ErrorKind::Forbidden, "{e:?}");
        let log = deaf.0.lock().unwrap();
        assert!(!log.is_empty(), "{} asked nobody", factory.manifest().name);
        for request in log.iter() {
            assert_eq!(request.url.host_str(), Some("store.firm.example"), "{}", request.url);
            assert_eq!(request.effect, Effect::Read);
        }
    }
}

/// A server that packs texts: what is read back comes without a length.
struct Packing(Arc<Dav>);

#[async_trait]
impl Transport for Packing {
    async fn send(&self, request: Request) -> Result<Response> {
        let reads = request.method == Method::GET;
        let mut answer = self.0.send(request).await?;
        if reads {
            answer.headers.remove("content-length");
        }
        Ok(answer)
    }
}

#[tokio::test]
async fn a_file_is_read_back_from_a_server_that_packs_it() {
    let place = Place::ready().await;
    let folder = place.folder().await;
    let wire = Arc::new(Packing(place.dav.clone()));
    let stored = place.put_over(wire, 0, &folder, "a.csv").await.unwrap();
    assert!(stored.written);
}

/// A server whose etags are weak. No `If-Match` matches one (RFC 9110 13.1.1).
struct Weak(Arc<Dav>);

#[async_trait]
impl Transport for Weak {
    async fn send(&self, request: Request) -> Result<Response> {
        if request.headers.get("if-match").is_some_and(|v| v != "*") {
            return Ok(Response { status: 412, headers: HeaderMap::new(), body: Bytes::new() });
        }
        let mut answer = self.0.send(request).await?;
        if let Some(tag) = answer.headers.get("etag").cloned() {
            answer.headers.insert("etag", format!("W/{}", tag.to_str().unwrap()).parse().unwrap());
        }
        if let Ok(text) = std::str::from_utf8(&answer.body)
            && text.contains("getetag>")
        {
            answer.body = text.replace("<D:getetag>", "<D:getetag>W/").into();
            answer.headers.remove("content-length");
        }
        Ok(answer)
    }
}

#[tokio::test]
async fn a_file_is_replaced_at_a_server_whose_etags_are_weak() {
    let place = Place::ready().await;
    let folder = place.folder().await;
    let wire = Arc::new(Weak(place.dav.clone()));
    let first = place.put_over(wire.clone(), 0, &folder, "a.csv").await.unwrap();
    let listed = place.t().files(&ReadCx::new(wire.clone(), place.read().now()), &folder, Cursor::Start).await.unwrap();
    assert_eq!(listed.items.iter().map(|f| &f.tag).collect::<Vec<_>>(), [&first.tag]);
    let fence = Fenced::managed_elsewhere(folder.clone(), &Audience::new("the tests").unwrap());
    let put = async |cycle, bytes: &'static [u8], expect| {
        place.t().put(&place.write_over(wire.clone(), cycle), &fence, &file(&["2026", "a.csv"], bytes), expect).await
    };
    let second = put(60, b"another,content", Expect::Unchanged(first.id.clone(), first.tag.clone())).await.unwrap();
    assert!(second.written && second.tag != first.tag);
    // And not what somebody else wrote meanwhile.
    let e = error(put(120, b"a,third,content", Expect::Unchanged(first.id, first.tag)).await);
    assert_eq!(e.kind, ErrorKind::Conflict);
}

#[tokio::test]
async fn the_first_folders_of_a_new_root_are_made_side_by_side() {
    let place = Place::new(json!({ "root": "clients", "new_root": true }), false).await;
    let cx: Vec<_> = (0..8).map(|_| place.write_over(place.wire.clone(), 0)).collect();
    let names: Vec<String> = (0..8).map(|n| format!("Client {n}")).collect();
    let keys: Vec<_> = (1..9).map(key).collect();
    let made = cx.iter().zip(&keys).zip(&names).map(|((cx, key), name)| place.t().create(cx, key, name, None));
    for one in futures::future::join_all(made).await {
        assert!(matches!(one.unwrap(), Created::Created(_)));
    }
}
