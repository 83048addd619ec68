//! Held to recorded traffic of version 3.0. Found through `LEDGERWARD_REFERENCE`.

use std::{collections::BTreeSet, fs, path::PathBuf};

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use ledgerward_contract::{ErrorKind, Response, Result, Retry};
use ledgerward_xpm::{
    api,
    map::{self, Groups, ROLES, Reading, Staff, Work},
};
use serde_json::Value;

fn folder() -> Option<PathBuf> {
    let root = std::env::var_os("LEDGERWARD_REFERENCE").map(PathBuf::from);
    if root.is_none() {
        println!("skipped: LEDGERWARD_REFERENCE is not set");
    }
    root.map(|r| r.join("recordings/xpm"))
}

/// A recorded answer, as far as its status lets it through.
fn answer(file: &str, recorded: &Value) -> Result<Response> {
    let recorded = &recorded["response"];
    let mut headers = HeaderMap::new();
    for (name, values) in recorded["headers"].as_object().unwrap() {
        let value = values[0].as_str().unwrap().parse().unwrap();
        headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
    }
    let body = Bytes::from(recorded["body"].as_str().unwrap_or_else(|| panic!("{file}")).to_owned());
    let status = u16::try_from(recorded["status"].as_u64().unwrap()).unwrap();
    api::classify("test.read", None, Response { status, headers, body })
}

fn load(name: &str) -> Option<Result<Response>> {
    let text = fs::read_to_string(folder()?.join(format!("{name}.json"))).unwrap();
    Some(answer(name, &serde_json::from_str(&text).unwrap()))
}

fn roles() -> BTreeSet<String> {
    ROLES.map(str::to_owned).into()
}

fn page(body: &[u8], page_size: Option<usize>) -> Result<map::ClientPage> {
    let how =
        Reading { roles: &roles(), number: "CompanyNumber", page_size, work: &Work::new(), groups: &Groups::new() };
    map::clients("test.read", body, &how, Staff::default())
}

fn clients(body: &[u8]) -> Result<usize> {
    page(body, None).map(|p| p.rows.len())
}

#[test]
fn staff_clients_and_refusals_read_as_recorded() {
    if folder().is_none() {
        return;
    }
    let staff = |name: &str| map::staff("test.read", &load(name).unwrap().unwrap().body).map(|s| s.people().to_vec());
    let list = staff("staff-list-access_token_accepted").unwrap();
    assert!(list.len() > 5 && list.iter().all(|p| p.listed && p.email.as_ref().unwrap().contains('@')));
    assert_eq!(staff("staff-list-access_token_accepted_one_staff").unwrap().len(), 1);
    assert_eq!(staff("connection-get").unwrap().len(), list.len());
    for name in ["client-list", "client-list-when_detailed_true", "client-list-when_not_modified_since"] {
        assert!(clients(&load(name).unwrap().unwrap().body).unwrap() > 5, "{name}");
    }
    assert!(clients(&load("client-search-when_detailed_true").unwrap().unwrap().body).unwrap() >= 2);
    // Nobody is a manager there, and with all details no row says so: a manager's element is left out, and never empty.
    let told = |name: &str| page(&load(name).unwrap().unwrap().body, Some(500)).unwrap().told;
    assert_eq!(told("client-search-when_detailed_false"), [false; 2]);
    assert_eq!(told("client-list-when_detailed_true"), [false; 2]);
    for (name, kind) in [
        ("connection-get-bad_tenant", ErrorKind::Forbidden),
        ("connection-get-bad_token", ErrorKind::Unauthenticated),
        ("connection-get-rate_limit_exceeded", ErrorKind::RateLimited),
        ("staff-list-access_token_expired", ErrorKind::Unauthenticated),
    ] {
        assert_eq!(load(name).unwrap().unwrap_err().kind, kind, "{name}");
    }
    let limited = load("connection-get-rate_limit_exceeded").unwrap().unwrap_err();
    assert_eq!(
        (limited.retry, limited.get("limit")),
        (Retry::After(std::time::Duration::from_secs(22)), Some("minute"))
    );
    for name in ["job-assign-invalidjob", "job-assign-invalidstaff"] {
        let body = load(name).unwrap().unwrap().body;
        assert_eq!(map::staff("test.read", &body).unwrap_err().kind, ErrorKind::NotFound, "{name}");
    }
}

/// The recorded jobs, put into the list that holds jobs otherwise.
#[test]
fn jobs_read_as_recorded() {
    let Some(folder) = folder() else { return };
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.trim_end_matches(".json");
        if !name.starts_with("job-assign") || name.contains("invalid") {
            continue;
        }
        let text = String::from_utf8(load(name).unwrap().unwrap().body.to_vec()).unwrap();
        let listed = text.replace("<Job>", "<Jobs><Job>").replace("</Job>", "</Job></Jobs>");
        let mut staff = Staff::default();
        let jobs = map::jobs("test.read", listed.as_bytes(), &roles(), &mut staff).unwrap();
        let told = ["<Manager", "<Partner"].map(|element| text.contains(element));
        assert_eq!(jobs.told, Some(told), "{name}");
        let work = jobs.work;
        assert_eq!(work.len(), 1, "{name}");
        let named = text.contains("<Manager>") || text.contains("<Partner>") || text.contains("<Assigned><Staff>");
        assert_eq!(work.values().any(|w| !w.is_empty()), named, "{name}");
        assert!(map::jobs("test.read", text.as_bytes(), &roles(), &mut staff).is_err(), "one job is no list of jobs");
        seen += 1;
    }
    assert!(seen >= 5);
}

#[test]
fn every_recording_is_an_answer_or_a_clear_error_to_every_reader() {
    let Some(folder) = folder() else { return };
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        files += 1;
        let Ok(answer) = load(&name).unwrap() else { continue };
        let mut staff = Staff::default();
        let read = [
            map::staff("test.read", &answer.body).map(|s| s.people().len()),
            clients(&answer.body),
            map::jobs("test.read", &answer.body, &roles(), &mut staff).map(|j| j.work.len()),
            map::ledgers("test.read", &answer.body, "x").map(|l| l.len() + 1),
        ];
        for (n, outcome) in read.into_iter().enumerate() {
            match outcome {
                Ok(count) => assert!(count > 0, "{name} is empty to reader {n}"),
                Err(e) => assert!(matches!(e.kind, ErrorKind::Contract | ErrorKind::NotFound), "{name}: {e:?}"),
            }
        }
    }
    assert!(files >= 20, "{files}");
}
