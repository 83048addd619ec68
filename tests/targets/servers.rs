//! Stores in this process over real HTTP: a WebDAV server that others wrote, and of S3 what a store of files needs, strict in
//! what decides about loss (conditions, signatures' presence, whole listings in pages).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body, extract::Request, response::Response};
use bytes::Bytes;
use dav_server::{DavHandler, memfs::MemFs};
use http::{Method, StatusCode, header};
use md5::{Digest as _, Md5};

use crate::common::RUNTIME;

/// What S3 gives in one page at most.
const PAGE: usize = 1_000;
pub const BUCKET: &str = "clients";
pub const KEY_ID: &str = "AKIDTESTS";

#[derive(Clone)]
enum Kind {
    Dav(DavHandler),
    S3(Arc<Mutex<BTreeMap<String, Bytes>>>),
}

pub struct Server {
    pub address: SocketAddr,
    kind: Kind,
    asked: Arc<Mutex<Vec<(Method, String)>>>,
}

impl Server {
    pub fn dav() -> Self {
        Self::serve(Kind::Dav(DavHandler::builder().filesystem(MemFs::new()).build_handler()))
    }

    pub fn s3() -> Self {
        Self::serve(Kind::S3(Arc::default()))
    }

    fn serve(kind: Kind) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = RUNTIME.block_on(tokio::net::TcpListener::bind(any)).unwrap();
        let address = listener.local_addr().unwrap();
        let (of, log) = (kind.clone(), Arc::clone(&asked));
        let app = Router::new().fallback(move |request: Request| {
            let (of, log) = (of.clone(), Arc::clone(&log));
            async move {
                log.lock().unwrap().push((request.method().clone(), request.uri().path().to_owned()));
                of.answer(request).await
            }
        });
        RUNTIME.spawn(async move { axum::serve(listener, app).await });
        Self { address, kind, asked }
    }

    /// Folders that were asked for more than once since the last time.
    pub fn made_again(&self) -> Vec<String> {
        let mut made = BTreeMap::<String, usize>::new();
        for (_, path) in self.asked.lock().unwrap().iter().filter(|(method, _)| method.as_str() == "MKCOL") {
            *made.entry(path.clone()).or_default() += 1;
        }
        made.into_iter().filter(|(_, n)| *n > 1).map(|(path, _)| path).collect()
    }

    /// What was asked since the last time, how often.
    pub fn asked(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (method, _) in self.asked.lock().unwrap().drain(..) {
            *counts.entry(method.to_string()).or_default() += 1;
        }
        counts
    }

    /// What lies under a path, past the program.
    pub fn get(&self, path: &str) -> Option<Vec<u8>> {
        let path: String = path.split('/').map(|name| format!("/{}", escaped(name))).collect();
        let bucket = if matches!(self.kind, Kind::S3(_)) { format!("/{BUCKET}") } else { String::new() };
        let request = Request::get(format!("{bucket}{path}")).header(header::AUTHORIZATION, signature());
        RUNTIME.block_on(async {
            let answer = self.kind.answer(request.body(Body::empty()).unwrap()).await;
            if answer.status() != StatusCode::OK {
                return None;
            }
            Some(axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap().to_vec())
        })
    }

    /// Makes a folder at the top.
    pub fn make_dir(&self, name: &str) {
        let request = Request::builder().method("MKCOL").uri(format!("/{name}")).body(Body::empty()).unwrap();
        assert!(RUNTIME.block_on(self.kind.answer(request)).status().is_success());
    }
}

pub fn is_write(method: &str) -> bool {
    !["GET", "HEAD", "PROPFIND", "OPTIONS"].contains(&method)
}

fn signature() -> String {
    format!("AWS4-HMAC-SHA256 Credential={KEY_ID}/")
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            write!(out, "%{b:02X}").unwrap();
        }
        out
    })
}

fn plain(text: &str) -> String {
    let (mut out, mut bytes) = (Vec::new(), text.bytes());
    while let Some(b) = bytes.next() {
        if b == b'%' {
            let hex: Vec<u8> = bytes.by_ref().take(2).collect();
            out.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
        } else {
            out.push(b);
        }
    }
    String::from_utf8(out).unwrap()
}

fn etag(body: &[u8]) -> String {
    let hex: String = Md5::digest(body).iter().map(|b| format!("{b:02x}")).collect();
    format!("\"{hex}\"")
}

fn say(status: StatusCode, body: impl Into<Body>) -> Response {
    Response::builder().status(status).body(body.into()).unwrap()
}

fn refuse(status: StatusCode, code: &str) -> Response {
    say(status, format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>"))
}

impl Kind {
    async fn answer(&self, request: Request) -> Response {
        match self {
            Self::Dav(server) => {
                let (parts, body) = server.handle(request).await.into_parts();
                Response::from_parts(parts, Body::new(body))
            }
            Self::S3(objects) => {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let told = |name: header::HeaderName| parts.headers.get(name).and_then(|v| v.to_str().ok());
                if !told(header::AUTHORIZATION).is_some_and(|v| v.starts_with(&signature())) {
                    return refuse(StatusCode::FORBIDDEN, "AccessDenied");
                }
                let path = plain(parts.uri.path());
                let Some(key) = path.strip_prefix(&format!("/{BUCKET}")) else {
                    return refuse(StatusCode::NOT_FOUND, "NoSuchBucket");
                };
                let key = key.trim_start_matches('/');
                let mut objects = objects.lock().unwrap();
                if key.is_empty() {
                    return list(&objects, parts.uri.query().unwrap_or_default());
                }
                let there = objects.get(key).cloned();
                match parts.method {
                    Method::PUT => {
                        if told(header::IF_NONE_MATCH).is_some() && there.is_some() {
                            return refuse(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
                        }
                        let same = |tag: &str| there.as_ref().is_some_and(|o| etag(o) == tag);
                        if told(header::IF_MATCH).is_some_and(|tag| !same(tag)) {
                            return refuse(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
                        }
                        let tag = etag(&body);
                        objects.insert(key.to_owned(), body);
                        let mut answer = say(StatusCode::OK, Body::empty());
                        answer.headers_mut().insert(header::ETAG, tag.parse().unwrap());
                        answer
                    }
                    Method::DELETE => {
                        objects.remove(key);
                        say(StatusCode::NO_CONTENT, Body::empty())
                    }
                    Method::GET | Method::HEAD => match there {
                        None => refuse(StatusCode::NOT_FOUND, "NoSuchKey"),
                        Some(object) => {
                            let tag = etag(&object);
                            let mut answer = say(StatusCode::OK, object);
                            answer.headers_mut().insert(header::ETAG, tag.parse().unwrap());
                            answer
                        }
                    },
                    _ => refuse(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
                }
            }
        }
    }
}

/// ListObjectsV2: names in order, folders as common prefixes, a page at a time.
fn list(objects: &BTreeMap<String, Bytes>, query: &str) -> Response {
    let query: BTreeMap<String, String> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), plain(&value.replace('+', " "))))
        .collect();
    let asked = |name: &str| query.get(name).map_or("", String::as_str);
    assert_eq!(asked("list-type"), "2", "{query:?}");
    let (prefix, delimiter, after) = (asked("prefix"), asked("delimiter"), asked("continuation-token"));
    let mut rows: BTreeSet<(String, bool)> = BTreeSet::new();
    for key in objects.keys().filter(|k| k.starts_with(prefix)) {
        let below = &key[prefix.len()..];
        match below.find(delimiter).filter(|_| !delimiter.is_empty()) {
            Some(at) => rows.insert((format!("{prefix}{}", &below[..at + delimiter.len()]), true)),
            None => rows.insert((key.clone(), false)),
        };
    }
    let rest: Vec<_> = rows.into_iter().filter(|(name, _)| name.as_str() > after).collect();
    let word = |text: &str| if asked("encoding-type") == "url" { escaped(text) } else { xml(text) };
    let mut text = String::from("<?xml version=\"1.0\"?><ListBucketResult>");
    for (name, folder) in rest.iter().take(PAGE) {
        if *folder {
            write!(text, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", word(name)).unwrap();
        } else {
            let object = &objects[name];
            let (size, tag) = (object.len(), xml(&etag(object)));
            write!(
                text,
                "<Contents><Key>{}</Key><LastModified>2026-11-21T10:00:00.000Z</LastModified><ETag>{tag}</ETag><Size>{size}</Size></Contents>",
                word(name)
            )
            .unwrap();
        }
    }
    let cut = rest.len() > PAGE;
    if cut {
        write!(text, "<NextContinuationToken>{}</NextContinuationToken>", xml(&rest[PAGE - 1].0)).unwrap();
    }
    write!(text, "<IsTruncated>{cut}</IsTruncated></ListBucketResult>").unwrap();
    say(StatusCode::OK, text)
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
