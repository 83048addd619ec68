//! Uploads: at once, and in sessions whose offset is checked.

use ledgerward_kit::fake::FakeRequest;
use serde_json::{Value, json};

use super::{Answer, Call, DropboxFake, plain, refuse, state::hash, tag};

/// Bytes in one request.
const REQUEST_MAX: usize = 150 << 20;

/// Files in one commit.
const BATCH_MAX: usize = 1000;

#[derive(Debug, Default)]
pub struct Session {
    bytes: Vec<u8>,
    by: String,
    closed: bool,
}

/// The bytes arrived as they were meant.
fn whole(arg: &Value, body: &[u8]) -> Answer<()> {
    match arg["content_hash"].as_str() {
        Some(told) if told != hash(body) => tag("content_hash_mismatch"),
        _ => Ok(()),
    }
}

impl DropboxFake {
    pub(super) fn content(&mut self, route: &str, call: &Call, request: &FakeRequest) -> Answer {
        let body = request.body.as_ref();
        if body.len() > REQUEST_MAX {
            return tag("payload_too_large");
        }
        match route {
            "files/upload" => {
                whole(&call.arg, body)?;
                self.commit(call, &call.arg, body.to_vec())
            }
            "files/upload_session/start" => {
                call.only(&["close", "content_hash", "session_type"])?;
                whole(&call.arg, body)?;
                let id = format!("pid_upload_session:{:020x}", self.st.number());
                let session = Session { bytes: body.to_vec(), by: call.who.email.clone(), closed: call.flag("close") };
                self.sessions.insert(id.clone(), session);
                Ok(json!({ "session_id": id }))
            }
            "files/upload_session/append_v2" => {
                call.only(&["cursor", "close", "content_hash"])?;
                whole(&call.arg, body)?;
                let partial = self.partial_pieces > 0;
                let session = self.session(call, &call.arg["cursor"], false, |error| error)?;
                if partial {
                    // The line broke in the middle: half of it arrived, and the answer did not.
                    session.bytes.extend_from_slice(body.get(..body.len() / 2).unwrap_or_default());
                    self.partial_pieces -= 1;
                    return Err(super::Refuse {
                        status: 503,
                        body: super::Body::Plain("Sorry".into()),
                        retry_after: None,
                    });
                }
                session.bytes.extend_from_slice(body);
                session.closed = call.flag("close");
                Ok(Value::Null)
            }
            _ => {
                call.only(&["cursor", "commit", "content_hash"])?;
                whole(&call.arg, body)?;
                self.finish(call, &call.arg, body, false)
            }
        }
    }

    /// Makes the file of a session. In a batch the session has to be closed, and alone it must not be.
    fn finish(&mut self, call: &Call, arg: &Value, body: &[u8], closed: bool) -> Answer {
        let lookup = |error| json!({ ".tag": "lookup_failed", "lookup_failed": error });
        let session = self.session(call, &arg["cursor"], closed, lookup)?;
        let mut bytes = session.bytes.clone();
        bytes.extend_from_slice(body);
        let done = match self.commit(call, &arg["commit"], bytes) {
            // This route has the reason under the tag's own name, unlike `files/upload`.
            Err(super::Refuse { status: 409, body: super::Body::Union(error), .. }) => {
                return refuse(409, json!({ ".tag": "path", "path": error["reason"] }));
            }
            other => other?,
        };
        self.sessions.remove(arg["cursor"]["session_id"].as_str().unwrap_or_default());
        Ok(done)
    }

    /// Each entry by itself: what becomes of one is nothing to the others.
    pub(super) fn finish_batch(&mut self, call: &Call) -> Answer {
        call.only(&["entries"])?;
        let Some(entries) = call.arg["entries"].as_array().filter(|e| e.len() <= BATCH_MAX) else {
            return plain("Error in call: request body: entries: expected a list of at most 1000");
        };
        let mut done = Vec::new();
        for entry in entries {
            let known = ["cursor", "commit", "content_hash"];
            if entry.as_object().is_none_or(|map| map.keys().any(|k| !known.contains(&k.as_str()))) {
                return plain("Error in call: request body: entries: unknown field");
            }
            let busy = self.busy_commits > 0;
            self.busy_commits -= u64::from(busy);
            // Dropbox has both forms.
            let locked = ["too_many_write_operations", "path/too_many_write_operations"];
            let one = match locked.get(self.busy_commits as usize % 2).filter(|_| busy) {
                Some(form) => tag(form),
                None => self.finish(call, entry, &[], true),
            };
            done.push(match one {
                Ok(mut file) => {
                    file[".tag"] = json!("success");
                    file
                }
                Err(super::Refuse { status: 409, body: super::Body::Union(error), .. }) => {
                    json!({ ".tag": "failure", "failure": error })
                }
                Err(other) => return Err(other),
            });
        }
        Ok(json!({ "entries": done }))
    }

    /// The session of a cursor, if its offset is the right one.
    fn session(
        &mut self,
        call: &Call,
        cursor: &Value,
        closed: bool,
        wrap: impl Fn(Value) -> Value,
    ) -> Answer<&mut Session> {
        let Some(offset) = cursor["offset"].as_u64() else { return plain("Error in call: cursor: missing offset") };
        let id = cursor["session_id"].as_str().unwrap_or_default();
        match self.sessions.get_mut(id).filter(|s| s.by == call.who.email) {
            None => refuse(409, wrap(json!({ ".tag": "not_found" }))),
            Some(s) if s.closed != closed => {
                refuse(409, wrap(json!({ ".tag": if closed { "not_closed" } else { "closed" } })))
            }
            Some(s) if s.bytes.len() as u64 != offset => {
                refuse(409, wrap(json!({ ".tag": "incorrect_offset", "correct_offset": s.bytes.len() })))
            }
            Some(s) => Ok(s),
        }
    }
}
