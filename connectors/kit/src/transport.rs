//! The wire: reqwest with everything off that could surprise (reliability 3.4).
//!
//! No redirects, no proxy from the environment, no address outside the connector's hosts, no body that is cut or larger
//! than asked for, and no error that repeats an address or a body.

use std::{error::Error as StdError, fmt, io::Write, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::{HeaderMap, HeaderValue, Version, header};
use ledgerward_contract::{Auth, Body, Error, ErrorKind, Request, Response, Result, Transport};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use crate::hosts::{Hosts, permitted};

const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The longest silence before an answer and inside it. A request that says that it may take longer may be silent as long:
/// a report is made in minutes without a byte. The whole attempt is limited by the timeout layer.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How one connection reaches its hosts.
#[derive(Clone, Debug, Default)]
pub struct HttpOptions {
    /// A proxy for everything but loopback. Variables such as `HTTPS_PROXY` are never read (X05).
    pub proxy: Option<Url>,
    /// PEM certificates of a private authority, trusted besides the system's (X04). There is no switch that trusts all.
    pub ca_file: Option<PathBuf>,
}

/// HTTP for one connection.
pub struct HttpTransport {
    client: reqwest::Client,
    hosts: Hosts,
}

impl HttpTransport {
    /// Errors: `Config` for a CA file or proxy that cannot be used.
    pub fn new(hosts: Hosts, options: &HttpOptions) -> Result<Self> {
        // Fails if one is installed already, which is what we want to know nothing about.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut agent = HeaderMap::new();
        agent.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let resolver = Resolver {
            private: hosts.private(),
            proxy: options.proxy.as_ref().and_then(|p| p.host_str().map(str::to_owned)),
        };
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("ledgerward/", env!("CARGO_PKG_VERSION")))
            .default_headers(agent)
            // The body is decoded here: reqwest's own decoder hides whether the answer said how long it is.
            .gzip(false)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(CONNECT_MAX)
            .dns_resolver(Arc::new(resolver));
        if let Some(proxy) = &options.proxy {
            let proxy = reqwest::Proxy::all(proxy.clone()).map_err(|e| config("the proxy cannot be used", e))?;
            let direct = reqwest::NoProxy::from_string("127.0.0.0/8,::1");
            builder = builder.proxy(proxy.no_proxy(direct));
        }
        if let Some(path) = &options.ca_file {
            let what = || format!("the CA file {} cannot be used", path.display());
            let pem = std::fs::read(path).map_err(|e| config(what(), e))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| config(what(), e))?;
            if certificates.is_empty() {
                return Err(Error::new(ErrorKind::Config, "http.open", format!("{}: it holds no certificate", what())));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|e| config("HTTP cannot be set up", e.without_url()))?;
        Ok(Self { client, hosts })
    }
}

fn config(message: impl Into<String>, source: impl StdError + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Config, "http.open", message).source(source)
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Response> {
        let Request { op, method, url, mut headers, body, auth, limit, timeout, .. } = request;
        let silence = SILENCE_MAX.max(timeout.unwrap_or_default());
        self.hosts.check(op, &url)?;
        if auth == Auth::Url {
            headers.remove(header::AUTHORIZATION);
        }
        let is_head = method == http::Method::HEAD;
        let mut out = self.client.request(method, url);
        out = match body {
            // A POST without a length is refused with 411 by some servers.
            Body::Empty => out.body(Bytes::new()),
            Body::Json(value) => {
                headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
                out.body(value.to_string())
            }
            Body::Form(fields) => {
                headers
                    .entry(header::CONTENT_TYPE)
                    .or_insert(HeaderValue::from_static("application/x-www-form-urlencoded"));
                out.body(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish())
            }
            Body::Bytes { content_type, bytes } => {
                let value = HeaderValue::from_str(&content_type)
                    .map_err(|_| Error::contract(op, "the type of the content is no legal header value"))?;
                headers.entry(header::CONTENT_TYPE).or_insert(value);
                out.body(bytes)
            }
        };
        let response = heard(op, silence, out.headers(headers).send()).await?;
        let status = response.status().as_u16();
        let mut headers = response.headers().clone();
        let body = if is_head { Bytes::new() } else { read(op, response, limit.bytes(), silence).await? };
        if headers.remove(header::CONTENT_ENCODING).is_some() {
            // It counted the packed bytes.
            headers.remove(header::CONTENT_LENGTH);
        }
        Ok(Response { status, headers, body })
    }
}

/// What comes of the wire, unless it stays silent for too long. reqwest has one such limit for all requests of a client; here
/// each has its own.
async fn heard<T>(op: &'static str, silence: Duration, part: impl Future<Output = reqwest::Result<T>>) -> Result<T> {
    match tokio::time::timeout(silence, part).await {
        Ok(came) => came.map_err(|e| failed(op, e)),
        Err(_) => Err(Error::new(ErrorKind::Unavailable, op, "the service did not answer in time")),
    }
}

/// The whole body, decoded, or an error.
async fn read(op: &'static str, mut response: reqwest::Response, max: usize, silence: Duration) -> Result<Bytes> {
    let headers = response.headers();
    let framed = headers.contains_key(header::CONTENT_LENGTH)
        || headers.contains_key(header::TRANSFER_ENCODING)
        || response.version() >= Version::HTTP_2
        || matches!(response.status().as_u16(), 204 | 304);
    if !framed {
        // It would end where the connection ends, so that a cut one could not be told from a whole one (P04).
        return Err(Error::new(ErrorKind::Unavailable, op, "the answer does not say how long it is"));
    }
    let encoding = headers.get(header::CONTENT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let mut sink = match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Sink::Plain(Capped::new(max)),
        "gzip" | "x-gzip" => Sink::Gzip(Box::new(MultiGzDecoder::new(Capped::new(max)))),
        _ => return Err(Error::contract(op, "the answer is packed in a way that was not asked for")),
    };
    let mut raw = 0_usize;
    while let Some(chunk) = heard(op, silence, response.chunk()).await? {
        raw += chunk.len();
        if raw > max || sink.write(&chunk).is_err() {
            return Err(sink.broken(op, raw > max, max));
        }
    }
    let empty = raw == 0;
    match sink {
        Sink::Plain(body) => Ok(body.bytes.into()),
        Sink::Gzip(_) if empty => Ok(Bytes::new()),
        Sink::Gzip(mut gzip) => match gzip.try_finish() {
            Ok(()) => Ok(std::mem::take(&mut gzip.get_mut().bytes).into()),
            Err(_) => Err(Sink::Gzip(gzip).broken(op, false, max)),
        },
    }
}

/// Collects a body up to a limit that counts decoded bytes (P22).
struct Capped {
    bytes: Vec<u8>,
    max: usize,
    full: bool,
}

impl Capped {
    fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), max, full: false }
    }
}

impl Write for Capped {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + data.len() > self.max {
            self.full = true;
            return Err(std::io::Error::other("too large"));
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

enum Sink {
    Plain(Capped),
    Gzip(Box<MultiGzDecoder<Capped>>),
}

impl Sink {
    fn write(&mut self, data: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(to) => to.write_all(data),
            Self::Gzip(to) => to.write_all(data),
        }
    }

    fn broken(&self, op: &'static str, too_long: bool, max: usize) -> Error {
        let full = match self {
            Self::Plain(to) => to.full,
            Self::Gzip(to) => to.get_ref().full,
        };
        if full || too_long {
            Error::contract(op, format!("the answer is larger than the {} MiB allowed here", max >> 20))
        } else {
            Error::new(ErrorKind::Unavailable, op, "the answer is packed wrongly or cut")
        }
    }
}

/// An error of one type among the causes of another. An `io::Error` is opened, since its `source` skips what it wraps.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => find(wrapped),
        None => find(error.source()?),
    }
}

/// A failure on the way, without the address (it may be a secret) and without what the other side wrote.
fn failed(op: &'static str, error: reqwest::Error) -> Error {
    if let Some(inside) = find::<Inside>(&error) {
        return Error::new(ErrorKind::Config, op, inside.to_string())
            .next("If this server stands in your own network, set allow_private_network for it.");
    }
    if let Some(tls) = find::<rustls::Error>(&error) {
        return Error::new(ErrorKind::Unavailable, op, format!("no safe connection: {tls}"))
            .next("Check this machine's clock, and that nothing between it and the service opens connections.");
    }
    let message = if error.is_builder() {
        return Error::contract(op, "the request cannot be written").source(error.without_url());
    } else if error.is_timeout() {
        "the service did not answer in time"
    } else if error.is_connect() {
        "the service cannot be reached"
    } else {
        "the connection broke before the whole answer was here"
    };
    Error::new(ErrorKind::Unavailable, op, message).source(error.without_url())
}

/// The name stands for an address inside a private network.
#[derive(Debug)]
struct Inside(String);

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name {} stands for an address inside a private network", self.0)
    }
}

impl StdError for Inside {}

/// Resolves by the system and hands on permitted addresses only. The connector connects to what it is handed, so the
/// checked address is the connected one (X02).
struct Resolver {
    private: bool,
    /// A configured proxy may well stand in the office.
    proxy: Option<String>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let exempt = self.proxy.as_deref() == Some(&name);
        let private = self.private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let addresses = choose(found, private || exempt, exempt);
            if addresses.is_empty() {
                return Err(Box::new(Inside(name)) as Box<dyn StdError + Send + Sync>);
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn choose(found: Vec<SocketAddr>, private: bool, loopback: bool) -> Vec<SocketAddr> {
    found.into_iter().filter(|a| permitted(a.ip(), private) || (loopback && a.ip().is_loopback())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x02_a_name_gives_only_addresses_that_were_checked() {
        let all: Vec<SocketAddr> =
            ["8.8.8.8:0", "127.0.0.1:0", "10.0.0.1:0", "[::1]:0"].iter().map(|a| a.parse().unwrap()).collect();
        assert_eq!(choose(all.clone(), false, false), vec![all[0]]);
        assert_eq!(choose(all.clone(), true, false), vec![all[0], all[2]]);
        assert_eq!(choose(all.clone(), true, true), all);
    }

    #[tokio::test]
    async fn x01_localhost_by_name_is_refused_after_resolution() {
        let resolver = Resolver { private: true, proxy: None };
        let Err(e) = resolver.resolve("localhost".parse().unwrap()).await else { panic!("resolved") };
        assert!(e.downcast_ref::<Inside>().is_some(), "{e}");
    }
}
