//! What a connector stands on.

pub mod answer;
pub mod fake;

pub use answer::{classify_common, decode, from_json, is_html, request_id, retry_after, safe_word};
