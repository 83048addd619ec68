//! The wire against a server that misbehaves on real sockets.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail by panicking")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use ledgerward_contract::{
    Auth, AuthScheme, BodyLimit, ClientAuth, Endpoint, Endpoints, ErrorKind, Manifest, OAuthSpec, Request, Response,
    Result, Retry, Rotation, Secret, Transport,
};
use ledgerward_kit::{
    Fixed, Hosts, HttpOptions, HttpTransport, MemoryDays, OAuthClient, Quotas, Stack, StackConfig, SystemClock, decode,
    layers::auth::Dress, no_verdict, oauth::Refreshed,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

static MANIFEST: Manifest = Manifest {
    name: "faulty",
    title: "Faulty",
    auth: AuthScheme::None,
    endpoints: &[Endpoint { name: "api", url: "https://api.faulty.example" }],
    quotas: &[],
    access: None,
    grade: None,
    statements: &[],
    roles: &[],
    settings: &[],
    unverified: &[],
};

/// How the server answers one connection.
#[derive(Clone)]
enum Fault {
    /// These bytes, then the connection is closed.
    Bytes(Vec<u8>),
    /// These bytes, then the connection is reset.
    Reset(Vec<u8>),
    /// One byte of these at a time.
    Trickle(Vec<u8>, Duration),
    /// A head, then the same chunk without end.
    Flood(Vec<u8>, Vec<u8>),
    /// These bytes after a pause, with another one before the last of them.
    Late(Vec<u8>, Duration),
    /// Reads and says nothing.
    Silence,
}

/// What the server has seen.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

async fn serve(fault: Fault) -> (SocketAddr, Seen) {
    serve_each(Arc::new(Mutex::new(fault))).await
}

/// A server whose fault can be changed between connections.
async fn serve_each(fault: Arc<Mutex<Fault>>) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let log = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let fault = fault.lock().unwrap().clone();
            tokio::spawn(answer(stream, fault, log.clone()));
        }
    });
    (address, seen)
}

async fn answer(mut stream: TcpStream, fault: Fault, seen: Seen) -> Option<()> {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        let n = stream.read(&mut part).await.ok().filter(|n| *n > 0)?;
        request.extend_from_slice(&part[..n]);
    }
    seen.0.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
    match fault {
        Fault::Bytes(bytes) => {
            stream.write_all(&bytes).await.ok()?;
            stream.shutdown().await.ok()?;
        }
        Fault::Reset(bytes) => {
            stream.write_all(&bytes).await.ok()?;
            stream.flush().await.ok()?;
            // Give the reader a moment with the bytes; then a reset instead of an end.
            tokio::time::sleep(Duration::from_millis(20)).await;
            stream.set_zero_linger().ok()?;
        }
        Fault::Trickle(bytes, pause) => {
            for byte in bytes {
                stream.write_all(&[byte]).await.ok()?;
                tokio::time::sleep(pause).await;
            }
        }
        Fault::Flood(head, chunk) => {
            stream.write_all(&head).await.ok()?;
            while stream.write_all(&chunk).await.is_ok() {}
        }
        Fault::Late(bytes, pause) => {
            let (most, last) = bytes.split_at(bytes.len() - 1);
            for part in [most, last] {
                tokio::time::sleep(pause).await;
                stream.write_all(part).await.ok()?;
            }
        }
        Fault::Silence => tokio::time::sleep(Duration::from_secs(600)).await,
    }
    Some(())
}

fn endpoints(address: SocketAddr) -> Endpoints {
    let url = Url::parse(&format!("http://{address}")).unwrap();
    Endpoints::resolve(&MANIFEST, &BTreeMap::from([("api".to_owned(), url)])).unwrap()
}

fn http(address: SocketAddr) -> HttpTransport {
    HttpTransport::new(Hosts::new(&endpoints(address), false).unwrap(), &HttpOptions::default()).unwrap()
}

fn get(address: SocketAddr) -> Request {
    Request::get("thing.get", Url::parse(&format!("http://{address}/thing?key=CANARY")).unwrap())
}

async fn fetch(fault: Fault) -> Result<Response> {
    let (address, _) = serve(fault).await;
    http(address).send(get(address)).await
}

fn plain(head: &str, body: &[u8]) -> Vec<u8> {
    let mut all =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n{head}\r\n").into_bytes();
    all.extend_from_slice(body);
    all
}

fn with_length(body: &[u8]) -> Vec<u8> {
    plain(&format!("content-length: {}\r\n", body.len()), body)
}

fn gzip(body: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(body).unwrap();
    out.finish().unwrap()
}

const BODY: &[u8] = br#"{"users":[{"id":"1"},{"id":"2"}]}"#;

#[tokio::test]
async fn p04_a_cut_answer_is_no_answer_at_every_byte() {
    let packed = gzip(BODY);
    let chunked = [
        format!("{:x}\r\n", BODY.len() / 2).into_bytes(),
        BODY[..BODY.len() / 2].to_vec(),
        format!("\r\n{:x}\r\n", BODY.len() - BODY.len() / 2).into_bytes(),
        BODY[BODY.len() / 2..].to_vec(),
        b"\r\n0\r\n\r\n".to_vec(),
    ]
    .concat();
    let wholes = [
        with_length(BODY),
        plain("transfer-encoding: chunked\r\n", &chunked),
        plain(&format!("content-encoding: gzip\r\ncontent-length: {}\r\n", packed.len()), &packed),
        plain(
            "content-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
            &[format!("{:x}\r\n", packed.len()).as_bytes(), &packed, b"\r\n0\r\n\r\n"].concat(),
        ),
    ];
    let fault = Arc::new(Mutex::new(Fault::Silence));
    let (address, _) = serve_each(fault.clone()).await;
    let http = http(address);
    let fetch = async |next: Fault| {
        *fault.lock().unwrap() = next;
        http.send(get(address)).await
    };
    for whole in wholes {
        let response = fetch(Fault::Bytes(whole.clone())).await.unwrap();
        assert_eq!((response.status, &response.body[..]), (200, BODY));
        for cut in 0..whole.len() {
            let outcome = fetch(Fault::Bytes(whole[..cut].to_vec())).await;
            let e = outcome.expect_err(&format!("cut after {cut} of {} bytes", whole.len()));
            assert_eq!((e.kind, e.retry), (ErrorKind::Unavailable, Retry::Backoff), "{cut}: {e:?}");
            assert!(!format!("{e:?} {:?}", e.source).contains("CANARY"), "{e:?}");
        }
        let e = fetch(Fault::Reset(whole[..whole.len() - 3].to_vec())).await.unwrap_err();
        assert_eq!(e.kind, ErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn p04_a_gzip_stream_cut_inside_whole_chunks_is_no_answer() {
    let packed = gzip(BODY);
    let fault = Arc::new(Mutex::new(Fault::Silence));
    let (address, _) = serve_each(fault.clone()).await;
    let http = http(address);
    for cut in 1..packed.len() {
        let part = &packed[..cut];
        let body = [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n0\r\n\r\n"].concat();
        let bytes = plain("content-encoding: gzip\r\ntransfer-encoding: chunked\r\n", &body);
        *fault.lock().unwrap() = Fault::Bytes(bytes);
        let e = http.send(get(address)).await.expect_err(&format!("gzip cut at {cut}"));
        assert_eq!(e.kind, ErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn p04_an_answer_that_ends_with_the_connection_is_refused() {
    let e = fetch(Fault::Bytes(plain("", BODY))).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unavailable);
    let none = fetch(Fault::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())).await.unwrap();
    assert_eq!((none.status, none.body.len()), (204, 0));
}

#[tokio::test]
async fn p05_a_web_page_passes_the_wire_and_is_refused_by_decode() {
    let page = b"<!doctype html><title>maintenance</title>";
    let bytes = format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n", page.len());
    let response = fetch(Fault::Bytes([bytes.as_bytes(), page].concat())).await.unwrap();
    assert_eq!(&response.body[..], page);
    let e = decode::<serde_json::Value>("thing.get", &response).unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn p21_a_trickle_ends_at_the_attempts_limit() {
    let (address, _) = serve(Fault::Trickle(with_length(BODY), Duration::from_millis(100))).await;
    let stack = stack(address);
    let mut request = get(address).timeout(Duration::from_millis(500));
    request.idempotent = false;
    let begun = std::time::Instant::now();
    let e = stack.send(request).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn p21_silence_ends_too() {
    let (address, _) = serve(Fault::Silence).await;
    let mut request = get(address).timeout(Duration::from_millis(200));
    request.idempotent = false;
    assert_eq!(stack(address).send(request).await.unwrap_err().kind, ErrorKind::Unavailable);
}

/// A report that the vendor works on for minutes, with the clock turned forward while nothing moves.
#[tokio::test(start_paused = true)]
async fn p21_a_request_may_wait_as_long_as_it_says_and_no_longer() {
    let waited = async |pause: u64, own: Option<u64>| {
        let (address, _) = serve(Fault::Late(with_length(BODY), Duration::from_secs(pause))).await;
        let mut request = get(address);
        request.timeout = own.map(Duration::from_secs);
        http(address).send(request).await.map_err(|e| e.kind)
    };
    assert!(waited(200, Some(600)).await.is_ok(), "before its first byte, and once more before its last");
    assert!(waited(20, None).await.is_ok());
    for (pause, own) in [(400, Some(300)), (40, None), (40, Some(5))] {
        assert_eq!(waited(pause, own).await.unwrap_err(), ErrorKind::Unavailable, "{pause} {own:?}");
    }
}

#[tokio::test]
async fn p22_a_gzip_bomb_stops_at_the_limit() {
    // 512 MiB of zeros in half a megabyte: a gzip stream may have many members.
    let bomb = gzip(&vec![0; 1 << 20]).repeat(512);
    let before = resident_kib();
    let head = format!("content-encoding: gzip\r\ncontent-length: {}\r\n", bomb.len());
    let e = fetch(Fault::Bytes(plain(&head, &bomb))).await.unwrap_err();
    assert_eq!((e.kind, e.retry), (ErrorKind::Contract, Retry::No));
    let grown = resident_kib().saturating_sub(before);
    // The other tests of this process count as well.
    assert!(grown < 256 << 10, "grew by {grown} KiB");
}

#[tokio::test]
async fn p22_an_endless_body_stops_at_the_limit() {
    let chunk = [b"10000\r\n".as_slice(), &vec![b' '; 0x10000], b"\r\n"].concat();
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let e = fetch(Fault::Flood(head, chunk)).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Contract);
    let big = vec![b'x'; BodyLimit::Page.bytes() + 1];
    let (address, _) = serve(Fault::Bytes(with_length(&big))).await;
    assert_eq!(http(address).send(get(address)).await.unwrap_err().kind, ErrorKind::Contract);
    let document = http(address).send(get(address).limit(BodyLimit::Statement)).await.unwrap();
    assert_eq!(document.body.len(), big.len());
}

/// The memory of this process as the kernel counts it; zero where there is no such file.
fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

#[tokio::test]
async fn x03_a_redirect_is_not_followed_and_nothing_arrives_there() {
    for status in [301, 302, 303, 307, 308] {
        let (there, arrived) = serve(Fault::Bytes(with_length(b"{}"))).await;
        let reply =
            format!("HTTP/1.1 {status} Moved\r\nlocation: http://{there}/?token=CANARY\r\ncontent-length: 0\r\n\r\n");
        let (address, seen) = serve(Fault::Bytes(reply.into_bytes())).await;
        let request = get(address).json(serde_json::json!({"refresh_token": "CANARY"}));
        let response = http(address).send(request).await.unwrap();
        assert_eq!(response.status, status);
        assert!(arrived.all().is_empty());
        assert_eq!(seen.all().len(), 1);
        let e = decode::<serde_json::Value>("thing.get", &response).unwrap_err();
        assert!(!format!("{e:?}").contains("CANARY"));
    }
}

#[tokio::test]
async fn x01_only_the_connectors_own_hosts_are_reached() {
    let (address, _) = serve(Fault::Bytes(with_length(b"{}"))).await;
    let (other, seen) = serve(Fault::Bytes(with_length(b"{}"))).await;
    let transport = http(address);
    for url in [format!("http://{other}/"), "http://169.254.169.254/".to_owned(), "file:///etc/passwd".to_owned()] {
        let e = transport.send(Request::get("x.y", Url::parse(&url).unwrap())).await.unwrap_err();
        assert_eq!(e.kind, ErrorKind::Contract, "{url}");
    }
    assert!(seen.all().is_empty());
}

#[tokio::test]
async fn what_a_request_looks_like_on_the_wire() {
    let (address, seen) = serve(Fault::Bytes(with_length(b"{}"))).await;
    http(address).send(get(address)).await.unwrap();
    let text = seen.all().remove(0).to_ascii_lowercase();
    assert!(text.contains(&format!("user-agent: ledgerward/{}\r\n", env!("CARGO_PKG_VERSION"))), "{text}");
    assert!(text.contains("accept-encoding: gzip\r\n") && !text.contains("referer") && !text.contains("cookie"));
    let mut url_only = get(address).auth(Auth::Url);
    url_only.headers.insert("authorization", "Bearer CANARY".parse().unwrap());
    http(address).send(url_only).await.unwrap();
    assert!(!seen.all().remove(1).contains("Bearer"));
}

#[tokio::test]
async fn a_refused_connection_says_nothing_of_the_address() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let e = http(address).send(get(address)).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unavailable);
    let mut text = format!("{e:?}");
    let mut source: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(&e);
    while let Some(s) = source {
        text.push_str(&format!("{s} {s:?}"));
        source = s.source();
    }
    assert!(!text.contains("CANARY"), "{text}");
}

#[test]
fn x04_a_ca_file_must_hold_certificates() {
    let hosts = || Hosts::new(&Endpoints::resolve(&MANIFEST, &BTreeMap::new()).unwrap(), false).unwrap();
    for content in ["", "not a certificate"] {
        let path = std::env::temp_dir().join(format!("ledgerward-ca-{}-{}.pem", std::process::id(), content.len()));
        std::fs::write(&path, content).unwrap();
        let options = HttpOptions { ca_file: Some(path.clone()), ..HttpOptions::default() };
        let Err(e) = HttpTransport::new(hosts(), &options) else { panic!("accepted {content:?}") };
        assert_eq!(e.kind, ErrorKind::Config);
        std::fs::remove_file(path).unwrap();
    }
    let options = HttpOptions { ca_file: Some("/does/not/exist.pem".into()), ..HttpOptions::default() };
    assert!(HttpTransport::new(hosts(), &options).is_err());
}

fn stack(address: SocketAddr) -> Arc<dyn Transport> {
    let clock = Arc::new(SystemClock);
    Stack::build(StackConfig {
        manifest: &MANIFEST,
        endpoints: endpoints(address),
        allow_private_network: false,
        read_only: true,
        tokens: Arc::new(Fixed::none()),
        dress: Dress::default(),
        quotas: Quotas::new("c", MANIFEST.quotas, Arc::new(MemoryDays::default()), clock.clone()),
        verdict: no_verdict,
        clock,
        deadlines: ledgerward_kit::Deadlines::default(),
        jitter: Stack::jitter(),
        base: Arc::new(http(address)),
    })
    .unwrap()
}

#[tokio::test]
async fn t07_a_token_call_is_sent_once() {
    for fault in [
        Fault::Reset(Vec::new()),
        Fault::Bytes(Vec::new()),
        Fault::Bytes(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nretry-after: 0\r\n\r\n".to_vec()),
        Fault::Bytes(b"HTTP/1.1 307 Moved\r\nlocation: /token\r\ncontent-length: 0\r\n\r\n".to_vec()),
    ] {
        let (address, seen) = serve(fault).await;
        let spec = OAuthSpec {
            authorize: ("api", "/authorize"),
            token: ("api", "/token"),
            revoke: None,
            client_auth: ClientAuth::Basic,
            rotation: Rotation::SingleUse { grace: None },
            scopes: &[],
            extra: &[],
            idle_lifetime: None,
            ..OAuthSpec::PLAIN
        };
        let client =
            OAuthClient::new(spec, &endpoints(address), "app", Some(Secret::new("s")), Arc::new(http(address)))
                .unwrap();
        let outcome = client.refresh(&Secret::new("CANARY")).await;
        let Refreshed::Unknown(e) = outcome else { panic!("{outcome:?}") };
        assert!(!format!("{e:?}").contains("CANARY"));
        assert_eq!(seen.all().len(), 1);
    }
}

#[tokio::test]
async fn x05_proxy_variables_are_ignored() {
    let (proxy, seen) = serve(Fault::Bytes(with_length(b"{}"))).await;
    let address = format!("http://{proxy}");
    // Another process: variables of this one cannot be changed safely while threads run.
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "what_a_request_looks_like_on_the_wire"]);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(name, &address);
    }
    let done = child.env_remove("NO_PROXY").env_remove("no_proxy").output().await.unwrap();
    assert!(done.status.success() && String::from_utf8_lossy(&done.stdout).contains("1 passed"), "{done:?}");
    assert!(seen.all().is_empty());
}

#[tokio::test]
async fn x05_a_configured_proxy_is_used_but_not_for_loopback() {
    let (proxy, seen) = serve(Fault::Bytes(with_length(b"{}"))).await;
    let options = HttpOptions { proxy: Some(Url::parse(&format!("http://{proxy}")).unwrap()), ca_file: None };
    let (address, direct) = serve(Fault::Bytes(with_length(b"{}"))).await;
    let hosts = Hosts::new(&endpoints(address), false).unwrap();
    HttpTransport::new(hosts, &options).unwrap().send(get(address)).await.unwrap();
    assert_eq!((seen.all().len(), direct.all().len()), (0, 1));
    let hosts = Hosts::new(&Endpoints::resolve(&MANIFEST, &BTreeMap::new()).unwrap(), false).unwrap();
    let request = Request::get("x.y", Url::parse("https://api.faulty.example/").unwrap());
    assert!(HttpTransport::new(hosts, &options).unwrap().send(request).await.is_err());
    assert!(seen.all()[0].starts_with("CONNECT api.faulty.example:443"), "{:?}", seen.all());
}

#[tokio::test]
async fn x01_a_name_for_an_inside_address_is_refused_with_advice() {
    let url = Url::parse("https://localhost:1/").unwrap();
    let endpoints = Endpoints::resolve(&MANIFEST, &BTreeMap::from([("api".to_owned(), url.clone())])).unwrap();
    for private in [false, true] {
        let transport = HttpTransport::new(Hosts::new(&endpoints, private).unwrap(), &HttpOptions::default()).unwrap();
        let e = transport.send(Request::get("x.y", url.clone())).await.unwrap_err();
        assert_eq!((e.kind, e.retry), (ErrorKind::Config, Retry::No), "{e:?}");
        assert!(e.message.contains("localhost") && e.next.is_some());
    }
}
