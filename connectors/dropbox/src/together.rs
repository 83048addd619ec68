//! Small files that one request commits. Dropbox locks a namespace for each commit, so commits go one after another (P11);
//! the bytes of a session lock nothing. So while one commit is under way the bytes of other files arrive, and the next
//! request commits all of them (`targets/dropbox` 4 and 8).

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use ledgerward_contract::{Error, ErrorKind, Response, Result, StatementFile, WriteCx};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::{
    Dropbox,
    api::{self, decode},
    refusal,
    upload::{Session, TRIES},
};

/// Files that one request may commit.
const MOST: usize = 1000;

/// Busy commits in a row before a file fails. Beside the vendor's own clients a folder is locked for seconds; the pause begins
/// at one second and doubles, as it does for a request that is refused as a whole.
const BUSY: u32 = 5;

/// Sessions whose bytes are there and that wait for a commit. Whoever put one in has written down the intent of its file (a
/// `WriteCx` is asked for that) and still waits for it: what it was decided on is not true for ever.
#[derive(Default)]
pub(crate) struct Together(Mutex<Vec<Waiting>>);

struct Waiting {
    entry: Value,
    tell: oneshot::Sender<Result<Response>>,
}

#[derive(Deserialize)]
struct Committed {
    entries: Vec<Value>,
}

impl Together {
    fn wait(&self, entry: Value) -> oneshot::Receiver<Result<Response>> {
        let (tell, told) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Waiting { entry, tell });
        told
    }

    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The run that wanted it is over.
        waiting.retain(|w| !w.tell.is_closed());
        let most = waiting.len().min(MOST);
        waiting.drain(..most).collect()
    }
}

impl Dropbox {
    /// Sends a file of one piece, at once where nothing else is being written, and else together with others. The answer is
    /// the one of the file by itself; a conflict is handed out for the caller.
    pub(crate) async fn send_small(
        &self,
        cx: &WriteCx,
        path: &str,
        mode: &Value,
        file: &StatementFile,
    ) -> Result<Response> {
        let upload = || self.api.upload("file.put", path, mode.clone(), file.bytes.clone());
        if let Ok(held) = self.writes.try_lock() {
            return self.tell_held(cx, upload()?, &held).await;
        }
        let (mut open, mut busy, mut lost): (Option<Session>, u32, u32) = (None, 0, 0);
        while lost <= TRIES {
            let session = match open.take() {
                Some(session) => session,
                None => self.open(cx, file.bytes.clone()).await?,
            };
            let entry = api::commit_entry(&session.session_id, file.bytes.len(), path, mode);
            let answer = self.commit(cx, entry).await?;
            let tags = answer.as_ref().map_or_else(|| "lookup_failed".to_owned(), refusal::tags);
            // By itself, or within `path`.
            let locked = tags.split('/').any(|tag| tag == "too_many_write_operations");
            match (answer, tags.split('/').next().unwrap_or_default()) {
                (Some(_), _) if locked && busy < BUSY => {
                    open = Some(session);
                    ledgerward_kit::pause(Duration::from_secs(1 << busy)).await;
                    busy += 1;
                }
                // Dropbox counts folders in some requests.
                (Some(_), "too_many_shared_folder_targets") => return self.tell(cx, upload()?).await,
                // After a commit whose answer was lost this is the session that was committed.
                (_, "lookup_failed") => {
                    lost += 1;
                    if let Some(answer) = self.same_or_none(cx.read(), path, file).await? {
                        return Ok(answer);
                    }
                }
                (Some(answer), _) => return Ok(answer),
                (None, _) => lost += 1,
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "file.put", "Dropbox forgets the upload again and again"))
    }

    /// A session that has all of a file. It locks nothing.
    async fn open(&self, cx: &WriteCx, bytes: Bytes) -> Result<Session> {
        decode("upload.start", &self.tell_beside(cx, self.api.session_start(bytes, true)?).await?)
    }

    /// Commits a session, and with it all that wait by then. `None`: nobody knows whether it was, since
    /// the request that had it was cut off or its answer lost.
    async fn commit(&self, cx: &WriteCx, entry: Value) -> Result<Option<Response>> {
        let mut told = self.together.wait(entry);
        let held = self.writes.lock().await;
        loop {
            match told.try_recv() {
                Ok(answer) => return answer.map(Some),
                Err(TryRecvError::Closed) => return Ok(None),
                Err(TryRecvError::Empty) => {}
            }
            let all = self.together.take();
            let entries: Vec<&Value> = all.iter().map(|w| &w.entry).collect();
            let done = self.tell_held(cx, self.api.session_finish_batch(&entries)?, &held).await;
            let done = done.and_then(|answer| committed(&answer, all.len()));
            match done {
                Ok(answers) => {
                    for (waiting, answer) in all.into_iter().zip(answers) {
                        // Whoever was cancelled reads it in the next run.
                        let _gone = waiting.tell.send(answer);
                    }
                }
                // Nobody knows what was committed: each looks at its own file.
                Err(e) if e.kind == ErrorKind::Unavailable => drop(all),
                Err(e) => {
                    for waiting in all {
                        let _gone = waiting.tell.send(Err(copy(&e)));
                    }
                }
            }
        }
    }
}

/// What became of each file, as the answer that it would have had by itself.
fn committed(answer: &Response, asked: usize) -> Result<Vec<Result<Response>>> {
    const OP: &str = "file.put";
    let Committed { entries } = decode(OP, answer)?;
    if entries.len() != asked {
        return Err(Error::contract(OP, "Dropbox tells of more or fewer files than were committed"));
    }
    let single = |entry: Value| match entry.get(".tag").and_then(Value::as_str) {
        Some("success") => Ok(response(200, &entry)),
        Some("failure") => Ok(response(409, &json!({ "error": entry.get("failure") }))),
        _ => Err(Error::contract(OP, "Dropbox does not say whether a file was taken")),
    };
    Ok(entries.into_iter().map(single).collect())
}

/// The trouble of one request is that of each file in it.
fn copy(e: &Error) -> Error {
    let Error { kind, retry, op, message, next, context, source: _ } = e;
    Error {
        kind: *kind,
        retry: *retry,
        op,
        message: message.clone(),
        next: next.clone(),
        context: context.clone(),
        source: None,
    }
}

fn response(status: u16, body: &Value) -> Response {
    Response { status, headers: HeaderMap::new(), body: body.to_string().into() }
}
