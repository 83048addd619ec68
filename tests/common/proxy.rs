//! A proxy that spoils chosen answers. It speaks just enough HTTP/1.1 for our own client: a head, a body of a stated length
//! or in chunks, one request for each connection.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What happens to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The provider does it; half of its answer arrives.
    CutBody,
    /// The provider does it; the head of its answer arrives, and no body.
    CutHead,
    /// The provider does it; nothing arrives.
    LostAnswer,
    /// The provider never hears of it: the connection breaks at once.
    Refused,
    /// The right answer, this much later.
    Delay(Duration),
    /// The provider does it; its answer's bytes are changed on the way.
    Garble,
    /// The provider does it; 200 with this body arrives instead of its answer.
    Body(&'static str),
    /// The provider does it; in its JSON answer each first text is replaced by its second on the way.
    Replace(&'static [(&'static str, &'static str)]),
    /// The provider does not do it: this status, and `Retry-After`.
    Status(u16, Option<u32>),
}

/// Which answers are hit: of this method (any, if empty), with this in their path and query, from the `skip`th on, so often.
#[derive(Clone, Debug)]
pub struct Rule {
    pub method: &'static str,
    pub path: &'static str,
    pub skip: usize,
    pub times: usize,
    pub fault: Fault,
}

#[derive(Default)]
struct Shared {
    to: Mutex<Option<SocketAddr>>,
    rule: Mutex<Option<Rule>>,
    hits: AtomicUsize,
}

pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    pub async fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let served = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let shared = Arc::clone(&served);
                // Whatever goes wrong here looks like a broken connection to both sides, as it should.
                tokio::spawn(async move { drop(pass(&shared, socket).await) });
            }
        });
        Self { address, shared, task }
    }

    pub fn forward_to(&self, to: SocketAddr) {
        *self.shared.to.lock().unwrap() = Some(to);
    }

    pub fn spoil(&self, rule: Option<Rule>) {
        *self.shared.rule.lock().unwrap() = rule;
        self.shared.hits.store(0, Ordering::SeqCst);
    }

    /// How many answers were spoilt since.
    pub fn hits(&self) -> usize {
        self.shared.hits.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn fault(&self, method: &str, path: &str) -> Option<Fault> {
        let mut rule = self.rule.lock().unwrap();
        let rule = rule.as_mut()?;
        if !(rule.method.is_empty() || rule.method == method) || !path.contains(rule.path) || rule.times == 0 {
            return None;
        }
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.times -= 1;
        self.hits.fetch_add(1, Ordering::SeqCst);
        Some(rule.fault)
    }
}

async fn pass(shared: &Shared, mut client: TcpStream) -> std::io::Result<()> {
    let Some((head, body)) = request(&mut client).await? else { return Ok(()) };
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let fault = shared.fault(method, path);
    match fault {
        Some(Fault::Refused) => return client.set_zero_linger().map(drop),
        Some(Fault::Status(status, after)) => {
            let after = after.map_or_else(String::new, |s| format!("Retry-After: {s}\r\n"));
            if status == 204 {
                return client.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
            }
            let text = format!(
                "HTTP/1.1 {status} Trouble\r\nContent-Type: text/html\r\n{after}Content-Length: 15\r\nConnection: close\r\n\r\n<html>no</html>"
            );
            return client.write_all(text.as_bytes()).await;
        }
        _ => {}
    }
    let to = (*shared.to.lock().unwrap()).unwrap();
    let mut provider = TcpStream::connect(to).await?;
    provider.write_all(&one_request(&head)).await?;
    provider.write_all(&body).await?;
    let mut answer = Vec::new();
    provider.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    match fault {
        Some(Fault::LostAnswer) => return client.set_zero_linger().map(drop),
        Some(Fault::CutHead) => answer.truncate(end),
        Some(Fault::CutBody) => answer.truncate(end + (answer.len() - end) / 2),
        Some(Fault::Garble) => answer[end..].iter_mut().step_by(3).for_each(|b| *b ^= 0x95),
        Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
        Some(Fault::Body(text)) => {
            let kind = if text.starts_with('<') { "text/html" } else { "application/json" };
            answer = whole(kind, text);
        }
        Some(Fault::Replace(pairs)) => {
            let text = String::from_utf8_lossy(&answer[end..]).into_owned();
            answer = whole("application/json", &pairs.iter().fold(text, |text, (from, to)| text.replace(from, to)));
        }
        _ => {}
    }
    client.write_all(&answer).await?;
    client.shutdown().await
}

fn whole(kind: &str, text: &str) -> Vec<u8> {
    let head = format!("Content-Type: {kind}\r\nContent-Length: {}\r\nConnection: close", text.len());
    format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{text}").into_bytes()
}

/// The head as text, and the body as it came.
async fn request(client: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let header = |name: &str| {
        head.lines()
            .find_map(|l| l.split_once(':').filter(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()))
    };
    let length: Option<usize> = header("content-length").and_then(|n| n.parse().ok());
    let chunked = header("transfer-encoding").is_some();
    let mut body = bytes.split_off(end);
    while length.is_some_and(|n| body.len() < n) || (chunked && !body.ends_with(b"0\r\n\r\n")) {
        if client.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some((head, body)))
}

/// The same head, for a connection that ends after the answer.
fn one_request(head: &str) -> Vec<u8> {
    let lines = head.trim_end().split("\r\n").filter(|l| !l.to_ascii_lowercase().starts_with("connection:"));
    let lines: Vec<&str> = lines.collect();
    format!("{}\r\nConnection: close\r\n\r\n", lines.join("\r\n")).into_bytes()
}
