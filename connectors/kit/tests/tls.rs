//! TLS that must be refused (X04). The certificates were made for these tests with openssl; their authority is thrown away.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use ledgerward_contract::{AuthScheme, Endpoint, Endpoints, ErrorKind, Manifest, Request, Response, Result, Transport};
use ledgerward_kit::{Hosts, HttpOptions, HttpTransport};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use url::Url;

static MANIFEST: Manifest = Manifest {
    name: "tls",
    title: "TLS",
    auth: AuthScheme::None,
    endpoints: &[Endpoint { name: "api", url: "https://api.tls.example" }],
    quotas: &[],
    access: None,
    grade: None,
    statements: &[],
    roles: &[],
    settings: &[],
    unverified: &[],
};

fn data(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data")).join(name)
}

async fn serve(certificate: &str) -> SocketAddr {
    let certificates = vec![CertificateDer::from_pem_file(data(certificate)).unwrap()];
    let key = PrivateKeyDer::from_pem_file(data("tls-server-key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await.ok()?;
                let mut part = [0; 4096];
                stream.read(&mut part).await.ok().filter(|n| *n > 0)?;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.ok()
            });
        }
    });
    address
}

async fn get(address: SocketAddr, ca: Option<&str>) -> Result<Response> {
    let url = Url::parse(&format!("https://{address}")).unwrap();
    let endpoints = Endpoints::resolve(&MANIFEST, &BTreeMap::from([("api".to_owned(), url.clone())])).unwrap();
    let options = HttpOptions { ca_file: ca.map(data), ..HttpOptions::default() };
    let transport = HttpTransport::new(Hosts::new(&endpoints, false).unwrap(), &options).unwrap();
    transport.send(Request::get("thing.get", url)).await
}

#[tokio::test]
async fn x04_a_private_authority_by_file_and_nothing_else_is_trusted() {
    let good = serve("tls-good.pem").await;
    assert_eq!(get(good, Some("tls-ca.pem")).await.unwrap().status, 200);
    for (certificate, ca, word) in [
        ("tls-good.pem", None, "UnknownIssuer"),
        ("tls-expired.pem", Some("tls-ca.pem"), "expired"),
        ("tls-other-host.pem", Some("tls-ca.pem"), "not valid for"),
    ] {
        let e = get(serve(certificate).await, ca).await.unwrap_err();
        assert_eq!(e.kind, ErrorKind::Unavailable, "{certificate}: {e:?}");
        assert!(e.message.starts_with("no safe connection") && e.message.contains(word), "{certificate}: {e:?}");
        assert!(e.next.is_some());
    }
}
