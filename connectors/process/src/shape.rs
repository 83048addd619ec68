//! Reads what a program says into a shape of ours, and tells it where and in what it is another. Never with a value: that
//! could be the vendor's.

use ledgerward_contract::Error;
use ledgerward_kit::safe_word;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

/// Errors: `said` as a `Contract` error, with the field (`$.items[0].id`) and what is wrong with it. `root` is the field that the
/// value itself stands in.
pub fn read<T: DeserializeOwned>(op: &'static str, said: &str, root: &str, value: &Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let mut at = root.to_owned();
        for part in e.path() {
            match part {
                Segment::Seq { index } => at.push_str(&format!("[{index}]")),
                Segment::Map { key } | Segment::Enum { variant: key } => at.push_str(&format!(".{}", word(key))),
                Segment::Unknown => {}
            }
        }
        let text = e.inner().to_string();
        let wrong = if let Some(name) = quoted(&text, "missing field") {
            at.push_str(&format!(".{}", word(name)));
            "it is missing".to_owned()
        } else if let Some(name) = quoted(&text, "unknown field") {
            // Some formats have the key in the path already.
            if !at.ends_with(&format!(".{}", word(name))) {
                at.push_str(&format!(".{}", word(name)));
            }
            "the protocol does not have it".to_owned()
        } else {
            // What serde expected are our own words; what it found is theirs.
            match text.rsplit_once(", expected ") {
                Some((_, wanted)) => format!("it has to be {wanted}"),
                None => "it is of another kind".to_owned(),
            }
        };
        Error::contract(op, said).with("field", at).with("wrong", wrong)
    })
}

/// The name in a message of serde's that begins so.
fn quoted<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    text.strip_prefix(start)?.split('`').nth(1)
}

/// A key may be anything, somebody's address too.
pub fn word(key: &str) -> String {
    safe_word(key).filter(|k| k.len() <= 40).unwrap_or_else(|| "?".to_owned())
}
