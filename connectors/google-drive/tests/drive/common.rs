//! A Drive in one process. Whatever a test sends is held against Google's own description of the API when it ends.

use std::ops::{Deref, DerefMut};

use bytes::Bytes;
use ledgerward_contract::*;
use ledgerward_google_drive::{FACTORY, fake::DriveFake};
use ledgerward_kit::testing::{self, Vendor, fixture};
pub use ledgerward_kit::testing::{ask, key, now, person, read, token};
use serde_json::{Value, json};

pub const ANA: &str = "ana@harbour.example";
pub const BEN: &str = "ben@harbour.example";
pub const CARA: &str = "cara@harbour.example";
pub const US: &str = "ledgers@harbour.example";
pub const MY: &str = "1HarbourClientsFolder";
pub const SHARED: &str = "0AClientsSharedDrive";

pub const VENDOR: Vendor = Vendor {
    at: &[("api", "http://drive.example/drive/v3"), ("upload", "http://drive.example/upload/drive/v3")],
    ..Vendor::of(&FACTORY)
};

pub fn seed() -> Value {
    fixture("google-drive/firm.json")
}

pub struct World {
    w: testing::World,
    pub allow_overlap: bool,
}

impl Deref for World {
    type Target = testing::World;

    fn deref(&self) -> &testing::World {
        &self.w
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut testing::World {
        &mut self.w
    }
}

impl World {
    pub fn new(settings: Value) -> Self {
        Self::seeded(settings, seed())
    }

    pub fn seeded(settings: Value, seed: Value) -> Self {
        let scope = if settings["root"].is_string() { "drive" } else { "drive.file" };
        let w = Self { w: VENDOR.world(DriveFake::from_seed(&seed).unwrap(), settings), allow_overlap: false };
        w.sign_in(US, scope);
        w
    }

    pub fn sign_in(&self, user: &str, scope: &str) {
        self.w.sign_in(json!({ "user": user, "scope": format!("https://www.googleapis.com/auth/{scope}") }));
    }

    pub async fn fenced(&self, folder: &FolderId, planned: &[&str]) -> Fenced<FolderId> {
        self.w.fenced(folder, planned, &[US, ANA]).await
    }

    pub async fn put(&self, folder: &FolderId, file: &StatementFile, expect: Expect) -> Result<Stored> {
        let fenced = self.fenced(folder, &[BEN, CARA]).await;
        self.target().put(&self.write(), &fenced, file, expect).await
    }

    /// The entry of the dump for one file.
    pub fn dumped(&self, id: &str) -> Value {
        let all = self.control("dump", json!({}));
        all["files"].as_array().unwrap().iter().find(|f| f["id"] == id).cloned().unwrap_or(Value::Null)
    }

    /// How many files of that name there are, trash not counted.
    pub fn named(&self, name: &str) -> usize {
        let all = self.control("dump", json!({}));
        all["files"].as_array().unwrap().iter().filter(|f| f["name"] == name && f["trashed"] == false).count()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if !self.allow_overlap {
            self.assert_no_violations();
        }
        let Ok(dir) = std::env::var("LEDGERWARD_REFERENCE") else {
            eprintln!("skipped: LEDGERWARD_REFERENCE is not set, requests are not held against the discovery document");
            return;
        };
        static SPEC: std::sync::OnceLock<Value> = std::sync::OnceLock::new();
        let spec = SPEC.get_or_init(|| {
            let text = std::fs::read_to_string(format!("{dir}/specs/google-drive.v3.json")).unwrap();
            serde_json::from_str(&text).unwrap()
        });
        for (request, answer) in self.wire.seen.lock().unwrap().iter() {
            conforms(spec, request, answer.status, &answer.body);
        }
    }
}

/// The method of the discovery document that a request calls, or a panic.
fn conforms(spec: &Value, request: &Request, status: u16, body: &Bytes) {
    let (path, upload) = match request.url.path() {
        p if p.starts_with("/drive/v3/") => (&p["/drive/v3/".len()..], false),
        p if p.starts_with("/upload/drive/v3/") => (&p["/upload/drive/v3/".len()..], true),
        other => panic!("{other} is no path of the API"),
    };
    if request.url.query_pairs().any(|(k, _)| k == "upload_id") {
        return;
    }
    let mut found = None;
    for resource in ["about", "files", "permissions", "changes", "drives"] {
        for (_, m) in spec["resources"][resource]["methods"].as_object().unwrap() {
            let same = fits(m["path"].as_str().unwrap(), path) && m["httpMethod"] == request.method.as_str();
            // A template with fewer blanks wins: files/generateIds is not files/{fileId}.
            let blanks = m["path"].as_str().unwrap().matches('{').count();
            if same && found.as_ref().is_none_or(|(_, b)| blanks < *b) {
                found = Some((m.clone(), blanks));
            }
        }
    }
    let (method, _) = found.unwrap_or_else(|| panic!("{} {path} is no method of the API", request.method));
    for (name, _) in request.url.query_pairs() {
        let known = method["parameters"].get(&*name).is_some()
            || spec["parameters"].get(&*name).is_some()
            || (upload && name == "uploadType");
        assert!(known, "{} has no parameter {name}", method["id"]);
    }
    assert!(request.url.query_pairs().any(|(k, _)| k == "fields") || request.method == "DELETE", "{}", request.op);
    let all_drives = method["parameters"].get("supportsAllDrives").is_some();
    assert!(!all_drives || request.url.query_pairs().any(|(k, v)| k == "supportsAllDrives" && v == "true"));
    if upload {
        assert_eq!(method["supportsMediaUpload"], true);
    }
    if let Body::Json(sent) = &request.body {
        fields(spec, &spec["schemas"][method["request"]["$ref"].as_str().unwrap()], sent, request.op);
    }
    if (200..300).contains(&status) && !body.is_empty() && body.starts_with(b"{") {
        let got: Value = serde_json::from_slice(body).unwrap();
        fields(spec, &spec["schemas"][method["response"]["$ref"].as_str().unwrap()], &got, request.op);
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (t, p): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    t.len() == p.len() && t.iter().zip(&p).all(|(t, p)| t.starts_with('{') || t == p)
}

/// Every field is in the schema, and of its type.
fn fields(spec: &Value, schema: &Value, value: &Value, op: &str) {
    let schema = schema["$ref"].as_str().map_or(schema, |r| &spec["schemas"][r]);
    match (schema["type"].as_str(), value) {
        (Some("object"), Value::Object(map)) => {
            for (k, v) in map {
                match (schema["properties"].get(k), schema.get("additionalProperties")) {
                    (Some(p), _) | (None, Some(p)) => fields(spec, p, v, op),
                    (None, None) => panic!("{op}: the schema has no field {k}"),
                }
            }
        }
        (Some("array"), Value::Array(items)) => items.iter().for_each(|v| fields(spec, &schema["items"], v, op)),
        (Some("string"), Value::String(_) | Value::Null) | (Some("boolean"), Value::Bool(_)) => {}
        (Some("integer" | "number"), Value::Number(_)) | (Some("any"), _) => {}
        (kind, v) => panic!("{op}: {v} is no {kind:?}"),
    }
}

pub fn file(key: &str, path: &str, bytes: impl Into<Bytes>) -> StatementFile {
    StatementFile { key: FileKey(key.to_owned()), ..testing::file(path, bytes) }
}

pub fn holders(list: &Snapshot<SeenPermission>) -> Vec<(String, SeenRole, Via)> {
    list.items().iter().map(|p| (p.holder.to_string(), p.role.clone(), p.via.clone())).collect()
}
