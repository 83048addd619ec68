//! A command's side of the socket: while a daemon holds the state, it does the command, and this process prints.

use std::{io, path::Path, time::Duration};

use axum::body::Body;
use futures::StreamExt as _;
use http::{Method, Request as HttpRequest, StatusCode, header};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::socket::{Line, Request};
use crate::{
    app::Place,
    cli::{
        console::Console,
        file,
        outcome::{Exit, Failure, Report},
    },
};

/// A daemon that does not take a connection in this time is not there.
const CONNECT_MAX: Duration = Duration::from_millis(500);
/// A line of an answer may be a whole report.
const LINE_BYTES_MAX: usize = 64 << 20;

/// Has the daemon do this process's own command line. `None`: no daemon answers.
pub async fn forward(place: &Place, console: &mut dyn Console, takes_input: bool) -> Option<Result<Report, Failure>> {
    let mut closed = None;
    for path in place.sockets() {
        match tokio::time::timeout(CONNECT_MAX, UnixStream::connect(&path)).await {
            Ok(Ok(stream)) => return Some(converse(&path, stream, place, console, takes_input).await),
            Ok(Err(e)) if e.kind() == io::ErrorKind::PermissionDenied && path.parent().is_some_and(Path::exists) => {
                closed.get_or_insert((path, e));
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
    let (path, e) = closed?;
    Some(Err(Failure::new(Exit::Failed, format!("you may not use {}", path.display()))
        .cause(&e)
        .next("Ask to be put into the service's group, and for a line in [operators].")))
}

async fn converse(
    path: &Path,
    stream: UnixStream,
    place: &Place,
    console: &mut dyn Console,
    takes_input: bool,
) -> Result<Report, Failure> {
    let mut args = Vec::new();
    for arg in std::env::args_os().skip(1) {
        let text = arg.into_string();
        args.push(text.map_err(|_| Failure::new(Exit::Usage, "an argument is no text").next("Use plain characters."))?);
    }
    let input = if takes_input { Some(file::text(Path::new("-"), console)?) } else { None };
    let request = Request {
        args,
        acting: None,
        json: place.json,
        quiet: place.quiet,
        interactive: console.interactive(),
        cwd: std::env::current_dir().ok(),
        input,
    };
    let body = serde_json::to_vec(&request).map_err(|e| broken(&e))?;
    let answer = send(stream, Method::POST, "/v1/command", body).await?;
    if answer.status() != StatusCode::OK {
        return Err(Failure::new(
            Exit::Failed,
            format!("the daemon refused the command (HTTP {})", answer.status().as_u16()),
        )
        .next("Restart the daemon if it is of another version than this program."));
    }
    let mut data = Body::new(answer.into_body()).into_data_stream();
    let mut buffer = Vec::new();
    while let Some(part) = data.next().await {
        buffer.extend_from_slice(&part.map_err(|e| broken(&e))?);
        if buffer.len() > LINE_BYTES_MAX {
            return Err(Failure::new(Exit::Failed, "the daemon's answer is too long"));
        }
        while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            match serde_json::from_slice(&line).map_err(|e| broken(&e))? {
                Line::Note(note) => console.note(&note),
                Line::Ask { id, question } => reply(path, &id, console, &question).await?,
                last => {
                    if let Some(result) = last.end() {
                        return result;
                    }
                }
            }
        }
    }
    Err(Failure::new(Exit::Failed, "the daemon went away before the command ended").next("See: ledgerward runs"))
}

async fn reply(path: &Path, id: &str, console: &mut dyn Console, question: &str) -> Result<(), Failure> {
    // Nobody here to ask is an answer as well: the empty one.
    let text = tokio::task::block_in_place(|| console.ask(question)).unwrap_or_default();
    let stream = UnixStream::connect(path).await.map_err(|e| broken(&e))?;
    let body = serde_json::to_vec(&text).map_err(|e| broken(&e))?;
    send(stream, Method::POST, &format!("/v1/answer/{id}"), body).await.map(drop)
}

async fn send(
    stream: UnixStream,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> Result<http::Response<Incoming>, Failure> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(&e))?;
    tokio::spawn(async move {
        // The answer's own stream says what went wrong.
        let _ended = connection.await;
    });
    let request = HttpRequest::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "ledgerward")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .map_err(|e| broken(&e))?;
    sender.send_request(request).await.map_err(|e| broken(&e))
}

fn broken(e: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(Exit::Failed, "the daemon does not answer properly").cause(e).next("See its log, and: ledgerward runs")
}
