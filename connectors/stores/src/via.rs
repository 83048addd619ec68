//! OpenDAL's HTTP through the context of the call: its hosts, limits, repeats and time-outs, and its leave to write.

use futures::stream;
use http::{HeaderMap, HeaderValue, Method, header};
use ledgerward_contract::{Body, BodyLimit, Error, ReadCx, Request, Response, Result, WriteCx};
use ledgerward_kit::{answer::classify_common, is_html};
use opendal::{Buffer, HttpBody, HttpTransport};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use url::Url;

use crate::map;

/// Who asks: a context that may only read, or one that may write.
#[derive(Clone, Copy)]
pub(crate) enum Cx<'a> {
    Read(&'a ReadCx),
    Write(&'a WriteCx),
}

impl Cx<'_> {
    async fn send(&self, request: Request) -> Result<Response> {
        match self {
            Self::Read(cx) => cx.send(request).await,
            Self::Write(cx) => cx.send(request).await,
        }
    }
}

type Answer = opendal::Result<http::Response<HttpBody>>;

/// A request on its way from OpenDAL to the context, which lives in the calling task.
pub(crate) struct Errand {
    request: http::Request<Buffer>,
    back: oneshot::Sender<Answer>,
}

/// OpenDAL's end.
pub(crate) struct Via(pub mpsc::Sender<Errand>);

impl HttpTransport for Via {
    async fn fetch(&self, request: http::Request<Buffer>) -> Answer {
        let (back, answer) = oneshot::channel();
        self.0.send(Errand { request, back }).await.map_err(|_| failed())?;
        answer.await.map_err(|_| failed())?
    }
}

/// What OpenDAL is told; the true error is in [`Seen`].
fn failed() -> opendal::Error {
    opendal::Error::new(opendal::ErrorKind::Unexpected, "the request failed")
}

/// What the answers of one operation said beyond what OpenDAL hands on: it keeps neither status nor waiting time.
#[derive(Default)]
pub(crate) struct Seen {
    /// The last answer that was none or a refusal.
    pub error: Option<Error>,
    /// The etag of the last answer.
    pub etag: Option<String>,
}

/// Does one errand. `extra` goes onto writes: conditions that OpenDAL does not set itself.
pub(crate) async fn run(cx: Cx<'_>, op: &'static str, errand: Errand, extra: &HeaderMap, seen: &mut Seen) {
    let Errand { request, back } = errand;
    let listing = lists(&request);
    let outcome = match outgoing(op, request, extra) {
        Ok(request) => cx.send(request).await,
        Err(e) => Err(e),
    };
    let answer = match outcome {
        Ok(answer) => {
            seen.etag = answer.header("etag").and_then(map::etag);
            match refused(op, &answer, listing) {
                // A refusal of its own shape goes on to OpenDAL, which may expect it (405: the folder is there).
                Some(e) if !answer.ok() => {
                    seen.error = Some(e);
                    incoming(answer)
                }
                Some(e) => {
                    seen.error = Some(e);
                    Err(failed())
                }
                None => incoming(answer),
            }
        }
        Err(e) => {
            seen.error = Some(e);
            Err(failed())
        }
    };
    // OpenDAL may have given up meanwhile.
    let _ = back.send(answer);
}

/// The one `classify`: statuses by the kit's table, pages that are no data, and listings that are not whole.
fn refused(op: &'static str, answer: &Response, listing: bool) -> Option<Error> {
    // Apache and WsgiDAV say "201 Created" in HTML, and moto calls an empty answer HTML; a login page is neither.
    if !answer.ok() || is_html(answer) && answer.status == 200 && !answer.body.is_empty() {
        let error = classify_common(op, answer);
        return Some(match map::code(&answer.body) {
            Some(code) => error.with("code", code),
            None => error,
        });
    }
    (listing && !map::closed(&answer.body))
        .then(|| Error::contract(op, "the answer is no whole listing").with("status", answer.status.to_string()))
}

fn lists(request: &http::Request<Buffer>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let has = |pair: &str| query.split('&').any(|q| q == pair);
    request.method().as_str() == "PROPFIND"
        || request.method() == Method::GET && (has("list-type=2") || has("comp=list"))
}

fn outgoing(op: &'static str, request: http::Request<Buffer>, extra: &HeaderMap) -> Result<Request> {
    let (parts, body) = request.into_parts();
    let url = Url::parse(&parts.uri.to_string())
        .map_err(|_| Error::contract(op, "the address that was to be asked is none"))?;
    let reads = matches!(parts.method.as_str(), "GET" | "HEAD" | "PROPFIND" | "OPTIONS");
    let mut out = if reads {
        Request::read(op, parts.method.clone(), url)
    } else {
        Request::write(op, parts.method.clone(), url)
    };
    // RFC 9110 9.2.2. A conditional PUT whose answer was lost is refused the second time, and then the caller looks.
    out.idempotent = reads || matches!(parts.method, Method::PUT | Method::DELETE);
    out.headers = parts.headers;
    // The connection sets both itself.
    out.headers.remove(header::HOST);
    out.headers.remove(header::CONTENT_LENGTH);
    if matches!(parts.method.as_str(), "PUT" | "MOVE") {
        out.headers.extend(extra.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
    // Only folders are moved over HTTP, and the address of one ends with a slash (RFC 4918 5.2). Without it WsgiDAV takes
    // what follows a ";" for parameters, and moves to a shorter name.
    if let Some(to) = out.headers.get("destination").and_then(|v| v.to_str().ok()).map(|v| format!("{v}/"))
        && let Ok(value) = HeaderValue::from_str(&to)
    {
        out.headers.insert("destination", value);
    }
    if parts.method == Method::GET {
        out.limit = BodyLimit::Statement;
        // A server that packs texts may change their etag with it (Apache), and the tag kept would be of no listing.
        out.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    let bytes = body.to_bytes();
    // 30 s, and a second for each 128 KiB: an office's slow line up.
    out.timeout = Some(Duration::from_secs(30 + (bytes.len() as u64 >> 17)));
    if !bytes.is_empty() {
        let kind = out.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let content_type = kind.unwrap_or("application/octet-stream").to_owned();
        out.body = Body::Bytes { content_type, bytes };
    }
    Ok(out)
}

fn incoming(answer: Response) -> Answer {
    let size = answer.body.len() as u64;
    let mut out = http::Response::builder().status(answer.status);
    if let Some(headers) = out.headers_mut() {
        *headers = answer.headers;
        // The transport drops the length of what came packed, and OpenDAL reads nothing without one.
        if size > 0 {
            headers.insert(header::CONTENT_LENGTH, size.into());
        }
    }
    let body = HttpBody::new(stream::iter([Ok(Buffer::from(answer.body))]), Some(size));
    out.body(body).map_err(|_| failed())
}
