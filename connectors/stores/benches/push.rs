//! Pushes files through the connector to a server on loopback, by hand. See README.md, "Measuring".
//!
//! `cargo bench -p ledgerward-stores --bench push -- KIND ADDRESS FILES SIDE_BY_SIDE [SIZE]`, where KIND and ADDRESS are
//! `webdav http://127.0.0.1:PORT/`, `s3 http://127.0.0.1:PORT/BUCKET` or `sftp ssh://USER@HOST:PORT/ABSOLUTE/ROOT`
//! (`LEDGERWARD_SFTP_KEY` names the key file). A second run with the same numbers finds everything there.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a program for the one who measures")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use ledgerward_contract::{
    Audience, ClientId, Connector, Created, Cursor, Expect, Fenced, FolderKey, Journalled, Permit, ReadCx, Request,
    Response, Result, StatementFile, Timestamp, Transport, WriteAuthority, WriteCx,
    suite::{NoTransport, target::file},
};
use ledgerward_stores::{S3, SFTP, WEBDAV};
use serde_json::json;
use url::Url;

const CLIENTS: usize = 20;

struct Counted {
    inner: Arc<dyn Transport>,
    count: AtomicUsize,
}

#[async_trait]
impl Transport for Counted {
    async fn send(&self, request: Request) -> Result<Response> {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.inner.send(request).await
    }
}

fn open(kind: &str, at: &Url) -> (Box<dyn Connector>, Arc<dyn Transport>) {
    match kind {
        "webdav" => {
            let settings = json!({ "new_root": true });
            (common::connector(&WEBDAV, Some(("webdav", at)), settings, &[]), common::network(at))
        }
        "s3" => {
            let bucket = at.path().trim_matches('/');
            let host = at.join("/").unwrap();
            let settings = json!({ "bucket": bucket, "access_key_id": "test", "new_root": true });
            let keys = [("secret_access_key", "test")];
            (common::connector(&S3, Some(("s3", &host)), settings, &keys), common::network(&host))
        }
        "sftp" => {
            let mut settings = json!({
                "host": at.host_str(), "port": at.port(), "user": at.username(), "root": at.path(), "new_root": true
            });
            if let Ok(key) = std::env::var("LEDGERWARD_SFTP_KEY") {
                settings.as_object_mut().unwrap().insert("key_file".into(), key.into());
            }
            (common::connector(&SFTP, None, settings, &[]), Arc::new(NoTransport))
        }
        other => panic!("{other}: webdav, s3 or sftp"),
    }
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [kind, at, files, side, size @ ..] = args.as_slice() else {
        return println!("skipped: say KIND ADDRESS FILES SIDE_BY_SIDE [SIZE]");
    };
    let (files, side): (usize, usize) = (files.parse().unwrap(), side.parse().unwrap());
    let size: usize = size.first().map_or(4096, |s| s.parse().unwrap());
    let (connector, wire) = open(kind, &at.parse().unwrap());
    let wire = Arc::new(Counted { inner: wire, count: AtomicUsize::new(0) });
    let target = connector.target().unwrap();
    let now = Timestamp::now();
    let cx =
        || -> WriteCx { Permit::issue(&WriteAuthority::for_tests(), Journalled::committed(1)).open(wire.clone(), now) };

    let begun = Instant::now();
    let mut folders = Vec::new();
    for n in 0..CLIENTS {
        let key = FolderKey { client: ClientId(uuid::Uuid::from_u128(n as u128 + 1)), account: None };
        match target.create(&cx(), &key, &format!("Client {n}"), None).await.unwrap() {
            Created::Created(id) | Created::Exists { id, ours: true } => folders.push(id),
            Created::Exists { id, ours: false } => panic!("{id} is not ours"),
        }
    }
    println!("{CLIENTS} folders: {:.2?}, {} requests", begun.elapsed(), wire.count.swap(0, Ordering::Relaxed));

    let begun = Instant::now();
    let audience = Audience::new("the one who measures").unwrap();
    let written = AtomicUsize::new(0);
    stream::iter(0..files)
        .for_each_concurrent(side, |n| {
            let (folder, cx, written) = (folders.get(n % CLIENTS).unwrap(), cx(), &written);
            let fence = Fenced::managed_elsewhere(folder.clone(), &audience);
            let year = (2020 + n % 5).to_string();
            let name = format!("statement {n}.pdf");
            let mut body = format!("file {n} ").repeat(size / 6 + 1).into_bytes();
            body.truncate(size);
            let file = StatementFile { bytes: Bytes::from(body), ..file(&[&year, &name], b"") };
            async move {
                let stored = target.put(&cx, &fence, &file, Expect::Absent).await.unwrap();
                written.fetch_add(usize::from(stored.written), Ordering::Relaxed);
            }
        })
        .await;
    report("put", files, begun, &wire);
    println!("of these written: {}", written.load(Ordering::Relaxed));

    let begun = Instant::now();
    let mut listed = 0;
    for folder in &folders {
        listed += target.files(&ReadCx::new(wire.clone(), now), folder, Cursor::Start).await.unwrap().items.len();
    }
    report("list", listed, begun, &wire);
}

fn report(what: &str, files: usize, begun: Instant, wire: &Counted) {
    let (took, requests) = (begun.elapsed(), wire.count.swap(0, Ordering::Relaxed));
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let (per_second, each) = (files as f64 / took.as_secs_f64(), requests as f64 / files as f64);
    println!("{what}: {files} files in {took:.2?}: {per_second:.0} a second, {each:.2} requests each");
}
