//! Uploads: at once, and in sessions whose offset is checked.

use ledgerward_kit::fake::FakeRequest;
use serde_json::{Value, json};

use super::{Answer, Call, DropboxFake, plain, refuse, state::hash, tag};

/// Bytes in one request.
const REQUEST_MAX: usize = 150 << 20;

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
                let session = self.session(call, |error| error)?;
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
                let session = self.session(call, |error| json!({ ".tag": "lookup_failed", "lookup_failed": error }))?;
                let mut bytes = std::mem::take(&mut session.bytes);
                bytes.extend_from_slice(body);
                let done = self.commit(call, &call.arg["commit"], bytes)?;
                let id = call.arg["cursor"]["session_id"].as_str().unwrap_or_default();
                self.sessions.remove(id);
                Ok(done)
            }
        }
    }

    /// The session of a cursor, if its offset is the right one.
    fn session(&mut self, call: &Call, wrap: impl Fn(Value) -> Value) -> Answer<&mut Session> {
        let cursor = &call.arg["cursor"];
        let Some(offset) = cursor["offset"].as_u64() else { return plain("Error in call: cursor: missing offset") };
        let id = cursor["session_id"].as_str().unwrap_or_default();
        match self.sessions.get_mut(id).filter(|s| s.by == call.who.email) {
            None => refuse(409, wrap(json!({ ".tag": "not_found" }))),
            Some(s) if s.closed => refuse(409, wrap(json!({ ".tag": "closed" }))),
            Some(s) if s.bytes.len() as u64 != offset => {
                refuse(409, wrap(json!({ ".tag": "incorrect_offset", "correct_offset": s.bytes.len() })))
            }
            Some(s) => Ok(s),
        }
    }
}
