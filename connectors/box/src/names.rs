//! Names and hashes. Pure.

use ring::digest;
use sha1::{Digest, Sha1};

/// The name under which a folder is made before it gets its own name and its mark, in one step. Nobody else picks it, so a
/// folder of this name is our own unfinished work.
pub fn working_name(mark: &str) -> String {
    format!(
        "ledgerward-new-{}",
        digest::digest(&digest::SHA256, mark.as_bytes())
            .as_ref()
            .iter()
            .take(16)
            .map(|b| format!("{b:02x}"))
            .collect::<String>()
    )
}

/// SHA-1, which is what Box compares contents by. Not for security: against damage on the way.
pub fn sha1(bytes: &[u8]) -> Vec<u8> {
    Sha1::digest(bytes).to_vec()
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Names that Box documents as refused.
pub fn name_is_legal(name: &str) -> bool {
    (1..=255).contains(&name.chars().count())
        && name.trim() == name
        && name != "."
        && name != ".."
        && !name.contains(['/', '\\'])
        && !name.chars().any(char::is_control)
}

/// Names are one name at Box if they differ by case only: what they have in common then.
pub fn key(name: &str) -> String {
    name.to_lowercase()
}
