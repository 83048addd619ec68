//! Servers and stores for the tests.

#![expect(clippy::unwrap_used, reason = "helpers of tests; the lint sees only the tests themselves")]
#![expect(dead_code, reason = "each test file uses its own part")]

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use dav_server::{DavHandler, memfs::MemFs};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use ledgerward_contract::{
    Body, Build, Connector, Endpoints, Error, ErrorKind, Factory, Request, Response, Result, Secret, Transport,
};
use ledgerward_kit::{Hosts, HttpOptions, HttpTransport};
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
