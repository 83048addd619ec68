//! Servers and stores for the tests.

#![expect(clippy::unwrap_used, reason = "helpers of tests; the lint sees only the tests themselves")]
#![expect(dead_code, reason = "each test file uses its own part")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use dav_server::{DavHandler, memfs::MemFs};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use ledgerward_contract::{
    Body, Build, Connector, Endpoints, Error, ErrorKind, Factory, Request, Response, Result, Secret, Transport,
};
use ledgerward_kit::{Hosts, HttpOptions, HttpTransport};
use md5::{Digest, Md5};
use serde_json::Value;
use url::Url;

/// A WebDAV server of others, in memory.
pub struct Dav {
    server: DavHandler,
    /// A server that does not know conditions drops them.
    pub deaf: bool,
}

impl Dav {
    pub fn new(deaf: bool) -> Arc<Self> {
        Arc::new(Self { server: DavHandler::builder().filesystem(MemFs::new()).build_handler(), deaf })
    }
}

#[async_trait]
impl Transport for Dav {
    async fn send(&self, request: Request) -> Result<Response> {
        let mut out = http::Request::builder().method(request.method).uri(request.url.as_str());
        let headers = out.headers_mut().unwrap();
        *headers = request.headers;
        if self.deaf {
            headers.remove("if-none-match");
            headers.remove("if-match");
        }
        let bytes = match request.body {
            Body::Bytes { bytes, .. } => bytes,
            _ => Bytes::new(),
        };
        headers.insert("content-length", bytes.len().into());
        let answer = self.server.handle(out.body(Full::new(bytes)).unwrap()).await;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(|_| Error::new(ErrorKind::Unavailable, request.op, "cut"))?.to_bytes();
        Ok(Response { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

/// The network, to one address.
pub fn network(at: &Url) -> Arc<dyn Transport> {
    let manifest = ledgerward_stores::WEBDAV.manifest();
    let endpoints = Endpoints::resolve(manifest, &BTreeMap::from([("webdav".to_owned(), at.clone())])).unwrap();
    Arc::new(HttpTransport::new(Hosts::new(&endpoints, false).unwrap(), &HttpOptions::default()).unwrap())
}

pub fn connector(
    factory: &dyn Factory,
    endpoint: Option<(&str, &Url)>,
    settings: Value,
    keys: &[(&str, &str)],
) -> Box<dyn Connector> {
    let overrides = endpoint.into_iter().map(|(name, url)| (name.to_owned(), url.clone())).collect();
    let endpoints = Endpoints::resolve(factory.manifest(), &overrides).unwrap();
    let keys = keys.iter().map(|(k, v)| ((*k).to_owned(), Secret::new(*v))).collect();
    factory.build_with_keys(Build { settings, endpoints }, keys).unwrap()
}

/// A request by hand, past the connector.
pub async fn by_hand(wire: &dyn Transport, method: &str, url: Url, header: Option<(&str, &str)>, body: &[u8]) -> u16 {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = Request::write("test.hand", method, url);
    if let Some((name, value)) = header {
        request.headers.insert(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    if !body.is_empty() {
        request = request.bytes("application/octet-stream", Bytes::copy_from_slice(body));
    }
    let answer = wire.send(request).await.unwrap();
    assert!(StatusCode::from_u16(answer.status).unwrap().is_success(), "{}: {:?}", answer.status, answer.body);
    answer.status
}

/// An address below a base, each name escaped.
pub fn below(base: &Url, names: &[&str]) -> Url {
    let mut url = base.clone();
    url.path_segments_mut().unwrap().pop_if_empty().extend(names);
    url
}

pub fn root_marker() -> &'static [u8] {
    br#"{"schema":"ledgerward/root/1","folder":"root"}"#
}

/// How an S3 answers a PUT that may only make something new.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OnlyNew {
    Kept,
    /// 501: it does not know the condition.
    Unknown,
    /// 409: it is at another write of this name, of which nothing comes.
    Busy,
}

/// An S3 of others, in memory, with one bucket `b`.
pub struct Bucket {
    objects: Mutex<BTreeMap<String, Bytes>>,
    pub only_new: Mutex<OnlyNew>,
    /// What somebody else writes under a name just before our first conditional PUT of it arrives.
    pub rival: Mutex<Option<&'static [u8]>>,
}

impl Bucket {
    pub fn new(only_new: OnlyNew) -> Arc<Self> {
        let objects = BTreeMap::from([(".ledgerward.json".to_owned(), Bytes::from_static(root_marker()))]);
        Arc::new(Self { objects: Mutex::new(objects), only_new: Mutex::new(only_new), rival: Mutex::default() })
    }

    pub fn by_hand(&self, key: &str, bytes: &'static [u8]) {
        self.objects.lock().unwrap().insert(key.to_owned(), Bytes::from_static(bytes));
    }

    fn list(&self, url: &Url) -> String {
        let query = |key: &str| url.query_pairs().find(|(k, _)| k == key).map(|(_, v)| v.into_owned());
        let (prefix, delimited) = (query("prefix").unwrap_or_default(), query("delimiter").is_some());
        let (mut folders, mut files) = (BTreeSet::new(), String::new());
        for (key, bytes) in self.objects.lock().unwrap().iter().filter(|(k, _)| k.starts_with(&prefix)) {
            match key.get(prefix.len()..).and_then(|rest| rest.split_once('/')) {
                Some((name, _)) if delimited => {
                    folders.insert(format!("<CommonPrefixes><Prefix>{prefix}{name}/</Prefix></CommonPrefixes>"));
                }
                _ => files.push_str(&format!(
                    "<Contents><Key>{key}</Key><Size>{}</Size><ETag>\"{}\"</ETag>\
                     <LastModified>2026-10-01T00:00:00.000Z</LastModified></Contents>",
                    bytes.len(),
                    md5(bytes)
                )),
            }
        }
        let folders: String = folders.into_iter().collect();
        format!("<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>{files}{folders}</ListBucketResult>")
    }
}

fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[async_trait]
impl Transport for Bucket {
    async fn send(&self, request: Request) -> Result<Response> {
        let answer = |status: u16, body: Bytes, tag: Option<String>| {
            let mut headers = HeaderMap::new();
            headers.insert("content-length", body.len().into());
            headers.extend(tag.map(|t| (http::header::ETAG, format!("\"{t}\"").parse().unwrap())));
            Response { status, headers, body }
        };
        let refused = |status: u16, code: &str| {
            answer(status, format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>").into(), None)
        };
        let path = request.url.path().replace("%20", " ");
        let key = path.trim_start_matches("/b").trim_start_matches('/').to_owned();
        if key.is_empty() {
            return Ok(answer(200, self.list(&request.url).into(), None));
        }
        let condition = request.headers.contains_key("if-none-match");
        if condition && let Some(bytes) = self.rival.lock().unwrap().take() {
            self.by_hand(&key, bytes);
        }
        let there = self.objects.lock().unwrap().get(&key).cloned();
        Ok(match (request.method.as_str(), there) {
            ("PUT", there) => match (*self.only_new.lock().unwrap(), there) {
                (OnlyNew::Unknown, _) if condition => refused(501, "NotImplemented"),
                (OnlyNew::Busy, _) if condition => refused(409, "ConditionalRequestConflict"),
                (OnlyNew::Kept, Some(_)) if condition => refused(412, "PreconditionFailed"),
                _ => {
                    let bytes = match request.body {
                        Body::Bytes { bytes, .. } => bytes,
                        _ => Bytes::new(),
                    };
                    let tag = md5(&bytes);
                    self.objects.lock().unwrap().insert(key, bytes);
                    answer(200, Bytes::new(), Some(tag))
                }
            },
            ("GET", Some(bytes)) => answer(200, bytes.clone(), Some(md5(&bytes))),
            ("HEAD", Some(bytes)) => {
                let mut head = answer(200, Bytes::new(), Some(md5(&bytes)));
                head.headers.insert("content-length", bytes.len().into());
                head
            }
            (_, None) => refused(404, "NoSuchKey"),
            _ => refused(405, "MethodNotAllowed"),
        })
    }
}
