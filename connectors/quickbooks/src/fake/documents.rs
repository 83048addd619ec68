//! Documents: their rows, and the short-lived addresses of their bytes.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde_json::{Map, Value, json};

use super::{
    Fake,
    answers::{self, hash},
    books::{Company, Paper},
};

const LIFE_S: i64 = 900;
const STAMP: &str = "%Y%m%dT%H%M%SZ";

pub fn row(company: &Company, paper: &Paper, base: &str, now: Timestamp) -> Value {
    let created = answers::iso(paper.created);
    let refs: Vec<_> = paper
        .of
        .iter()
        .map(|(entity, id)| json!({"EntityRef": {"value": id, "type": entity}, "IncludeOnSend": false}))
        .collect();
    let mut row = Map::new();
    if let Some(name) = &paper.name {
        let realm = &company.realm;
        row.insert("FileName".to_owned(), json!(name));
        row.insert("FileAccessUri".to_owned(), json!(format!("/v3/company/{realm}/download/{}", paper.id)));
        row.insert("TempDownloadUri".to_owned(), json!(address(realm, paper, base, now)));
        row.insert("Size".to_owned(), json!(paper.bytes.len()));
        row.insert("ContentType".to_owned(), json!(paper.mime));
    } else {
        row.insert("Note".to_owned(), json!(paper.note));
    }
    row.extend([
        ("domain".to_owned(), json!("QBO")),
        ("sparse".to_owned(), json!(false)),
        ("Id".to_owned(), json!(paper.id)),
        ("SyncToken".to_owned(), json!("0")),
        ("MetaData".to_owned(), json!({"CreateTime": created, "LastUpdatedTime": created})),
    ]);
    if !refs.is_empty() {
        row.insert("AttachableRef".to_owned(), json!(refs));
    }
    Value::Object(row)
}

fn address(realm: &str, paper: &Paper, base: &str, now: Timestamp) -> String {
    let at = now.to_zoned(TimeZone::UTC).strftime(STAMP).to_string();
    let signature = hash(&["signature", realm, &paper.id, &at]);
    let ending = paper.name.as_deref().and_then(|n| n.rsplit_once('.')).map_or("bin", |(_, e)| e);
    let ending: String = ending.chars().filter(char::is_ascii_alphanumeric).collect();
    format!(
        "{base}/{realm}/attachments/{}.{ending}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={at}&X-Amz-SignedHeaders=host\
         &X-Amz-Expires={LIFE_S}&X-Amz-Credential=sandbox&X-Amz-Signature={signature}",
        paper.id
    )
}

/// The document store: knows nothing of tokens, and refuses who brings one.
pub fn download(fake: &Fake, now: Timestamp, realm: &str, name: &str, request: &FakeRequest) -> FakeResponse {
    if request.header("authorization").is_some() {
        return answers::s3(400, "InvalidArgument");
    }
    let id = name.split('.').next().unwrap_or_default();
    let paper = fake.companies.get(realm).and_then(|c| c.papers.iter().find(|p| p.id == id && p.name.is_some()));
    let (Some(paper), Some(at)) = (paper, request.query("X-Amz-Date")) else { return answers::s3(403, "AccessDenied") };
    let good = request.query("X-Amz-Signature") == Some(hash(&["signature", realm, id, at]).as_str());
    let given = jiff::civil::DateTime::strptime(STAMP, at).ok().and_then(|t| t.to_zoned(TimeZone::UTC).ok());
    let fresh = given.is_some_and(|t| now.duration_since(t.timestamp()) <= SignedDuration::from_secs(LIFE_S));
    if !good || !fresh {
        return answers::s3(403, "AccessDenied");
    }
    FakeResponse::new(200).header("content-type", paper.mime.clone()).body(paper.bytes.clone())
}
