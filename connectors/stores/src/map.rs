//! Names, markers and tags: the stores' words and the contract's, pure.

use base64::{Engine, engine::general_purpose::STANDARD};
use ledgerward_contract::{Error, ErrorKind, FilePath, FolderId, FolderKey, Result, SeenFile, Tag};
use ledgerward_kit::safe_word;
use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Our marker in the root and in each client's folder (`decisions` 19).
pub(crate) const MARKER: &str = ".ledgerward.json";
/// How names of unfinished things begin. They are never listed.
pub(crate) const TEMP: &str = ".ledgerward-tmp-";
const ROOT_SCHEMA: &str = "ledgerward/root/1";
const FOLDER_SCHEMA: &str = "ledgerward/folder/1";

#[derive(Serialize, Deserialize)]
struct Marker {
    schema: String,
    folder: String,
}

/// The text of the root's marker. README shows it for those who write it by hand.
pub(crate) fn root_marker() -> String {
    marker(ROOT_SCHEMA, "root".into())
}

/// The text of a client folder's marker: always the same for a key, so that a repeat changes nothing.
pub(crate) fn folder_marker(key: &str) -> String {
    marker(FOLDER_SCHEMA, key.to_owned())
}

fn marker(schema: &str, folder: String) -> String {
    serde_json::json!({ "schema": schema, "folder": folder }).to_string()
}

/// Whether this is the root's marker. Anything else (a login page, half a file) is no proof of a root.
pub(crate) fn is_root_marker(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Marker>(bytes).is_ok_and(|m| m.schema == ROOT_SCHEMA)
}

/// The key on a folder's marker.
///
/// Errors: `Contract` for a marker that is not one: it may be a bad answer, and "no marker" would make a second folder.
pub(crate) fn read_marker(op: &'static str, folder: &str, bytes: &[u8]) -> Result<String> {
    match serde_json::from_slice::<Marker>(bytes) {
        Ok(m) if m.schema == FOLDER_SCHEMA => Ok(m.folder),
        _ => Err(Error::contract(op, format!("the {MARKER} of a folder cannot be read"))
            .with("folder", folder)
            .next("If it is really broken there, delete it; the folder then waits to be adopted again.")),
    }
}

/// The name of a client folder, checked again before it becomes a path: `..` would leave the root on three of the four.
pub(crate) fn folder_name<'a>(op: &'static str, id: &'a FolderId) -> Result<&'a str> {
    let name = id.as_str();
    if FilePath::new(vec![name.to_owned()]).is_none() || reserved(name) {
        return Err(Error::contract(op, "this is no id of a folder of this target").with("folder", name));
    }
    Ok(name)
}

/// A path below a client's folder, checked again.
pub(crate) fn file_path(op: &'static str, folder: &str, path: &FilePath) -> Result<String> {
    let sound = FilePath::new(path.names().to_vec()).is_some();
    if let Some(name) = path.names().iter().find(|n| !sound || reserved(n)) {
        return Err(Error::new(ErrorKind::Config, op, format!("{name:?} is a name this service keeps for itself")));
    }
    Ok(format!("{folder}/{path}"))
}

/// Whether a name is one of ours.
pub(crate) fn reserved(name: &str) -> bool {
    name.starts_with(TEMP) || name == MARKER
}

/// The unfinished form of a file or folder. The same for every attempt, so that a crash leaves one at most.
pub(crate) fn temp_name(of: &str) -> String {
    let hash = Sha256::digest(of.as_bytes());
    let short: String = hash.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("{TEMP}{short}")
}

/// The name that a new folder has until it carries its marker.
pub(crate) fn temp_folder(key: &FolderKey) -> String {
    temp_name(&key.to_string())
}

/// The directory and the name of a path.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// One thing in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Below the root, without a slash at either end.
    pub path: String,
    pub what: What,
    pub size: u64,
    pub tag: String,
    /// Whether the tag is a weak etag: it tells that the file is as it was, and `If-Match` never matches it.
    pub weak: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    File,
    Dir,
    /// A link, a pipe: takes a name and is never followed.
    Other,
}

impl Item {
    pub fn name(&self) -> &str {
        split(&self.path).1
    }
}

/// A file as the contract lists it; `None` for our own markers and unfinished files.
pub(crate) fn seen(folder: &str, item: &Item) -> Option<SeenFile> {
    let below = item.path.strip_prefix(folder)?.strip_prefix('/')?;
    if reserved(split(below).1) {
        return None;
    }
    let tag = if item.what == What::Other { "not-a-file".to_owned() } else { item.tag.clone() };
    Some(SeenFile {
        id: below.into(),
        path: below.split('/').map(str::to_owned).collect(),
        size: item.size,
        tag: Tag(tag),
        key: None,
    })
}

/// An etag without quotes and weakness: the same file has it in several spellings (PUT, GET and PROPFIND differ).
pub(crate) fn etag(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    (!text.is_empty()).then(|| text.to_owned())
}

/// Whether an etag is a weak one.
pub(crate) fn is_weak(text: &str) -> bool {
    text.trim().starts_with("W/")
}

/// The state of a file where there is no etag: size and time of change, as exact as the store tells them.
pub(crate) fn tag(found: Option<&str>, size: u64, changed: Option<String>) -> String {
    found.and_then(etag).unwrap_or_else(|| format!("{size}-{}", changed.unwrap_or_default()))
}

/// Whether the store's own word proves that it has exactly these bytes: an MD5 as etag (S3 without KMS, one piece), or
/// as Content-MD5 (Azure).
pub(crate) fn proven(bytes: &[u8], etag: Option<&str>, content_md5: Option<&str>) -> bool {
    let hash = Md5::digest(bytes);
    let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
    etag.is_some_and(|e| e.eq_ignore_ascii_case(&hex)) || content_md5 == Some(STANDARD.encode(hash).as_str())
}

/// Whether a listing came whole: each of these documents ends with the tag it began with.
pub(crate) fn closed(body: &[u8]) -> bool {
    let body = body.trim_ascii_end();
    ["multistatus>", "ListBucketResult>", "EnumerationResults>"].iter().any(|end| {
        body.strip_suffix(end.as_bytes()).is_some_and(|head| {
            let name = head.rsplit(|b| *b == b'<').next().unwrap_or_default();
            name.starts_with(b"/")
        })
    })
}

/// The code in a refusal's body, as S3 and Azure write it.
pub(crate) fn code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    safe_word(text.split_once("<Code>")?.1.split_once("</Code>")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n04_no_id_leads_out_of_the_root() {
        for bad in ["", ".", "..", "../x", "a/../b", "/etc", "a\\b", "a\0", " a", MARKER, ".ledgerward-tmp-1"] {
            assert!(folder_name("x.y", &FolderId::from(bad)).is_err(), "{bad:?}");
        }
        assert_eq!(folder_name("x.y", &FolderId::from("Müller & Söhne")).unwrap(), "Müller & Söhne");
    }

    #[test]
    fn etags_of_one_file_are_one() {
        for text in ["abc", "\"abc\"", "W/\"abc\"", " \"abc\" "] {
            assert_eq!(etag(text).as_deref(), Some("abc"));
        }
        assert_eq!(etag("\"\""), None);
    }

    #[test]
    fn only_a_hash_of_the_bytes_proves_them() {
        assert!(proven(b"abc", Some("900150983cd24fb0d6963f7d28e17f72"), None));
        assert!(proven(b"abc", Some("0x8D"), Some("kAFQmDzST7DWlj99KOF/cg==")));
        assert!(!proven(b"abd", Some("900150983cd24fb0d6963f7d28e17f72"), None));
        assert!(!proven(b"abc", Some("900150983cd24fb0d6963f7d28e17f72-2"), None));
        assert!(!proven(b"abc", None, None));
    }

    #[test]
    fn p04_a_cut_listing_is_none() {
        let whole = b"<d:multistatus xmlns:d=\"DAV:\"><d:response/></d:multistatus>\n";
        assert!(closed(whole));
        assert!(!closed(&whole[..whole.len() - 3]));
        assert!(!closed(b"{}"));
        assert!(!closed(b"<multistatus>"));
        assert!(!closed(b""));
    }

    #[test]
    fn a_marker_is_whole_or_an_error() {
        let text = folder_marker("k");
        assert_eq!(read_marker("x.y", "f", text.as_bytes()).unwrap(), "k");
        for bad in [&b"{}"[..], b"", &text.as_bytes()[..9], root_marker().as_bytes()] {
            assert!(read_marker("x.y", "f", bad).is_err());
        }
        assert!(is_root_marker(root_marker().as_bytes()) && !is_root_marker(b"{}"));
    }
}
