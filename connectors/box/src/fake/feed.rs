//! `GET /events`.

use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde_json::{Number, Value, json};

use super::{Answer, BoxFake, state::refuse};

/// Positions are larger than a float holds exactly.
const FIRST: u64 = 9_007_199_254_740_993;

impl BoxFake {
    pub(super) fn events(&self, r: &FakeRequest, who: &str) -> Answer {
        if !matches!(r.query("stream_type"), Some("all" | "changes" | "sync")) {
            return Ok(FakeResponse::unknown(r));
        }
        let limit = match r.query("limit").map(str::parse::<usize>) {
            None => 100,
            Some(Ok(n)) if (1..=500).contains(&n) => n,
            _ => return refuse(400, "bad_request", "limit must be between 1 and 500"),
        };
        let end = self.st.events.len();
        let from = match r.query("stream_position") {
            Some("now") => end,
            Some(text) => match text.parse::<u64>().ok().and_then(|n| usize::try_from(n.checked_sub(FIRST)?).ok()) {
                Some(n) if n <= end => n,
                _ => return refuse(400, "bad_request", "stream_position is not valid"),
            },
            None => 0,
        };
        // An event comes at least once, and sometimes again.
        let again = usize::from(self.repeat_events && from > 0 && from < end);
        let until = (from + limit).min(end);
        let entries: Vec<Value> = (from - again..until)
            .filter_map(|n| Some((n, self.st.events.get(n)?)))
            .filter(|(_, e)| self.st.role(who, &e.item).is_some())
            .map(|(n, e)| {
                json!({
                    "type": "event", "event_id": format!("event-{n}"), "event_type": e.kind, "created_at": e.at.to_string(),
                    "source": e.source,
                })
            })
            .collect();
        let next = Value::Number(Number::from(FIRST + until as u64));
        Ok(FakeResponse::json(
            200,
            &json!({ "chunk_size": entries.len(), "next_stream_position": next, "entries": entries }),
        ))
    }
}
