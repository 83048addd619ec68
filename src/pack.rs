//! Evidence packs: files with a manifest of their SHA-256, sealed with the head of the audit trail, so that this program
//! alone can say later, without any state, whether a byte of it was changed.
//!
//! The seal is SHA-256 over `"ledgerward/pack/1\n"` and the manifest without its seal as canonical JSON (RFC 8785). The same
//! seal stands in a row of the audit trail, so whoever makes a pack anew gets another one than the trail has.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Component, Path},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ledgerward_contract::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    audit::Head,
    cli::outcome::{Exit, Failure},
    store::hex,
};

const MANIFEST: &str = "manifest.json";
/// A file of links, each over the one before it.
pub const CHAIN: &str = "chain.jsonl";
/// No pack of ours is larger; a wrong path to something large stops here.
const BYTES_MAX: u64 = 256 << 20;

/// What is packed.
#[derive(Clone, Debug)]
pub struct Pack {
    /// `leaver`, `review`.
    pub kind: &'static str,
    pub subject: String,
    pub made: Timestamp,
    pub by: String,
    /// Where the audit trail ended when it was made.
    pub head: Head,
    /// By path in the pack.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// One link of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub body: Value,
    pub previous: String,
    pub hash: String,
}

impl Link {
    /// The next link after `previous`; the first one follows 64 zeros.
    pub fn after(previous: &str, body: Value) -> Result<Self, Failure> {
        let hash = sealed(&format!("{previous}\n"), &body)?;
        Ok(Self { body, previous: previous.to_owned(), hash })
    }
}

/// What the check of a whole pack found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub kind: String,
    pub subject: String,
    pub made: String,
    pub seal: String,
    pub audit: Head,
    pub files: usize,
    /// What is wrong, a line each; empty: whole.
    pub faults: Vec<String>,
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn sealed(prefix: &str, value: &Value) -> Result<String, Failure> {
    let text = serde_json_canonicalizer::to_string(value)
        .map_err(|e| Failure::new(Exit::Failed, "a manifest has no canonical form").cause(&e))?;
    Ok(sha256(format!("{prefix}{text}").as_bytes()))
}

/// A pack with its seal: all its files, the manifest among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    pub kind: String,
    pub subject: String,
    pub seal: String,
    /// By path in the pack.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Seals a pack. Errors: its manifest has no canonical form.
pub fn seal(pack: Pack) -> Result<Sealed, Failure> {
    let mut manifest = json!({
        "schema": "ledgerward/pack/1", "kind": pack.kind, "subject": pack.subject, "made": pack.made, "by": pack.by,
        "audit": {"seq": pack.head.seq.to_string(), "hash": pack.head.hash},
        "files": pack.files.iter().map(|(path, bytes)| json!({
            "path": path, "sha256": sha256(bytes), "bytes": bytes.len().to_string(),
        })).collect::<Vec<_>>(),
    });
    let seal = sealed("ledgerward/pack/1\n", &manifest)?;
    if let Some(map) = manifest.as_object_mut() {
        map.insert("seal".to_owned(), json!(seal));
    }
    let mut files = pack.files;
    files.insert(MANIFEST.to_owned(), format!("{manifest:#}\n").into_bytes());
    Ok(Sealed { kind: pack.kind.to_owned(), subject: pack.subject, seal, files })
}

/// That a pack can be written there, asked before anything is done that one is to prove. Errors: it is no new or empty
/// directory, or nothing can be made in it.
pub fn room(dir: &Path) -> Result<(), Failure> {
    let no =
        |why: &str| Err(Failure::new(Exit::Failed, format!("{} {why}", dir.display())).next("Name a new directory."));
    if dir.read_dir().is_ok_and(|mut d| d.next().is_some()) {
        return no("is not empty");
    }
    let full = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let there = full.ancestors().find(|d| d.symlink_metadata().is_ok()).unwrap_or(&full);
    let writable = || rustix::fs::access(there, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok();
    if there.is_dir() && writable() { Ok(()) } else { no("cannot be made or written into") }
}

/// Writes a pack into a new or empty directory. Errors: something is there already, or the disk refuses.
pub fn write(dir: &Path, sealed: &Sealed) -> Result<(), Failure> {
    let failed = |e: std::io::Error| {
        Failure::new(Exit::Failed, format!("the pack cannot be written to {}", dir.display())).cause(&e)
    };
    room(dir)?;
    let make = |dir: &Path| std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    make(dir).map_err(failed)?;
    let put = |path: &str, bytes: &[u8]| {
        let to = dir.join(path);
        to.parent().map_or(Ok(()), make)?;
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    // The manifest comes last: a pack without one is none.
    let (last, first): (Vec<_>, Vec<_>) = sealed.files.iter().partition(|(path, _)| *path == MANIFEST);
    first.into_iter().chain(last).try_for_each(|(path, bytes)| put(path, bytes)).map_err(failed)
}

/// Files as an answer tells them: by name, and with their bytes where nothing else carries them.
pub fn told(files: &BTreeMap<String, Vec<u8>>, with_bytes: bool) -> Vec<Value> {
    let one = |(path, bytes): (&String, &Vec<u8>)| {
        let mut file = json!({"path": path, "sha256": sha256(bytes)});
        if let Some(map) = file.as_object_mut().filter(|_| with_bytes) {
            map.insert("base64".to_owned(), json!(STANDARD.encode(bytes)));
        }
        file
    };
    files.iter().map(one).collect()
}

/// Checks a pack from its own bytes alone: a directory, or an answer that carries the files. Errors: there is no manifest, or
/// it is none of ours.
pub fn verify(at: &Path) -> Result<Checked, Failure> {
    let none = |why: String| {
        Failure::new(Exit::Failed, format!("{} is no pack of ledgerward: {why}", at.display()))
            .next("Name the directory that holds manifest.json, or the JSON answer that the pack came in.")
    };
    let carried = if at.is_file() { Some(carried(&read(at).map_err(none)?).map_err(none)?) } else { None };
    let get = |path: &str| match &carried {
        Some(files) => files.get(path).cloned().ok_or_else(|| "is missing".to_owned()),
        None => read(&at.join(path)),
    };
    let text = get(MANIFEST).map_err(none)?;
    let mut manifest: Value = serde_json::from_slice(&text).map_err(|e| none(e.to_string()))?;
    let word = |v: Option<&Value>| v.and_then(Value::as_str).unwrap_or_default().to_owned();
    if word(manifest.get("schema")) != "ledgerward/pack/1" {
        return Err(none("its manifest has another schema".to_owned()));
    }
    let seal = manifest.as_object_mut().and_then(|m| m.remove("seal"));
    let seal = word(seal.as_ref());
    let mut faults = Vec::new();
    if sealed("ledgerward/pack/1\n", &manifest)? != seal {
        faults.push("the manifest was changed after it was sealed".to_owned());
    }
    let files = manifest.get("files").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut named = BTreeSet::from([MANIFEST.to_owned()]);
    for file in &files {
        let path = word(file.get("path"));
        // A name that leads out of the pack is never opened.
        if Path::new(&path).components().any(|c| !matches!(c, Component::Normal(_))) {
            faults.push(format!("{path}: a name that leads out of the pack"));
            continue;
        }
        match get(&path) {
            Err(why) => faults.push(format!("{path}: {why}")),
            Ok(bytes) if sha256(&bytes) != word(file.get("sha256")) => faults.push(format!("{path}: was changed")),
            Ok(bytes) if path == CHAIN => faults.extend(chain(&bytes).map(|why| format!("{path}: {why}"))),
            Ok(_) => {}
        }
        named.insert(path);
    }
    let mut there = Vec::new();
    match &carried {
        Some(files) => there.extend(files.keys().cloned()),
        None => list(at, "", &mut there),
    }
    faults.extend(there.into_iter().filter(|f| !named.contains(f)).map(|f| format!("{f}: is not in the manifest")));
    let audit = manifest.get("audit");
    Ok(Checked {
        kind: word(manifest.get("kind")),
        subject: word(manifest.get("subject")),
        made: word(manifest.get("made")),
        audit: Head {
            seq: word(audit.and_then(|a| a.get("seq"))).parse().unwrap_or(0),
            hash: word(audit.and_then(|a| a.get("hash"))),
        },
        seal,
        files: files.len(),
        faults,
    })
}

/// The files that an answer carries: `files`, or `pack.files` of a leaver's.
fn carried(text: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let answer: Value = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    let files = answer.get("files").or_else(|| answer.pointer("/pack/files")).and_then(Value::as_array);
    let one = |file: &Value| {
        let word = |key: &str| file.get(key)?.as_str();
        Some((word("path")?.to_owned(), STANDARD.decode(word("base64")?).ok()?))
    };
    let all: Option<BTreeMap<_, _>> = files.and_then(|files| files.iter().map(one).collect());
    all.ok_or_else(|| "it carries no files".to_owned())
}

/// The first link that does not follow from the one before it.
fn chain(bytes: &[u8]) -> Option<String> {
    let mut previous = "0".repeat(64);
    for (n, line) in String::from_utf8_lossy(bytes).lines().enumerate() {
        let link: Option<Link> = serde_json::from_str(line).ok();
        let fits = link.filter(|l| {
            l.previous == previous && Link::after(&previous, l.body.clone()).is_ok_and(|again| again.hash == l.hash)
        });
        match fits {
            Some(link) => previous = link.hash,
            None => return Some(format!("link {} does not follow from the one before it", n + 1)),
        }
    }
    None
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let meta = path.symlink_metadata().map_err(|_| "is missing".to_owned())?;
    if !meta.is_file() || meta.len() > BYTES_MAX {
        return Err("is no file of a pack".to_owned());
    }
    std::fs::read(path).map_err(|e| e.to_string())
}

fn list(dir: &Path, below: &str, out: &mut Vec<String>) {
    for entry in dir.read_dir().into_iter().flatten().flatten() {
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => list(&entry.path(), &format!("{name}/"), out),
            _ => out.push(name),
        }
    }
    out.sort();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_missing_or_added_byte_is_found() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("pack");
        let first = Link::after(&"0".repeat(64), json!({"a": 1})).unwrap();
        let second = Link::after(&first.hash, json!({"b": 2})).unwrap();
        let lines = |links: [&Link; 2]| links.map(|l| serde_json::to_string(l).unwrap()).join("\n").into_bytes();
        let pack = Pack {
            kind: "leaver",
            subject: "bob".into(),
            made: Timestamp::UNIX_EPOCH,
            by: "ana".into(),
            head: Head { seq: 7, hash: "ab".into() },
            files: [("a/one.csv".to_owned(), b"x\n".to_vec()), (CHAIN.to_owned(), lines([&first, &second]))].into(),
        };
        let sealed = seal(pack).unwrap();
        write(&dir, &sealed).unwrap();
        let good = verify(&dir).unwrap();
        assert_eq!((good.faults, &good.seal, good.audit.seq, good.files), (vec![], &sealed.seal, 7, 2));
        assert!(write(&dir, &sealed).is_err(), "nothing is written over");
        let answer = place.path().join("answer.json");
        let mut carried = json!({"pack": {"files": told(&sealed.files, true)}});
        std::fs::write(&answer, carried.to_string()).unwrap();
        assert_eq!(verify(&answer).unwrap().faults, Vec::<String>::new());
        carried["pack"]["files"][0]["base64"] = json!(STANDARD.encode("other"));
        std::fs::write(&answer, carried.to_string()).unwrap();
        assert_eq!(verify(&answer).unwrap().faults, ["a/one.csv: was changed"]);
        std::fs::write(dir.join("more.txt"), "x").unwrap();
        assert_eq!(verify(&dir).unwrap().faults, ["more.txt: is not in the manifest"]);
        std::fs::remove_file(dir.join("more.txt")).unwrap();
        std::fs::write(dir.join("a/one.csv"), "y\n").unwrap();
        assert_eq!(verify(&dir).unwrap().faults, ["a/one.csv: was changed"]);
        std::fs::remove_file(dir.join("a/one.csv")).unwrap();
        assert_eq!(verify(&dir).unwrap().faults, ["a/one.csv: is missing"]);
        let text = std::fs::read_to_string(dir.join(MANIFEST)).unwrap().replace("\"ana\"", "\"eve\"");
        std::fs::write(dir.join(MANIFEST), text).unwrap();
        assert!(verify(&dir).unwrap().faults[0].contains("was changed after it was sealed"));
        assert_eq!(chain(&lines([&second, &first])).unwrap(), "link 1 does not follow from the one before it");
    }
}
