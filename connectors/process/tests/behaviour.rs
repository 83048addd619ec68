//! Programs that do not keep to the protocol, or try to get out of it.

#![expect(clippy::unwrap_used, reason = "helpers of tests; the lint sees only the tests themselves")]

mod common;

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc, time::Instant};

use ledgerward_contract::{
    Aside, Build, Cursor, Endpoints, Error, ErrorKind, Factory, LedgerRow, Page, ReadCx, Request, Response, Result,
    Scope, Timestamp, Transport,
};
use ledgerward_process::FACTORY;
use serde_json::{Value, json};

use crate::common::{API, Vendor, built, connector, example};

fn program(dir: &tempfile::TempDir, body: &str) -> PathBuf {
    let path = dir.path().join("program.py");
    fs::write(&path, format!("#!/usr/bin/env python3\nimport sys, json, os, time\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn ledgers(path: &PathBuf, silence: u64, vendor: Arc<dyn Transport>) -> Result<Page<LedgerRow>> {
    let connector = connector(path, "ledgers", silence);
    let cx = ReadCx::new(vendor, Timestamp::UNIX_EPOCH);
    connector.ledgers().unwrap().ledgers(&cx, Cursor::Start).await
}

async fn refused(body: &str) -> Error {
    let dir = tempfile::tempdir().unwrap();
    let e = ledgers(&program(&dir, body), 1, Vendor::new()).await.unwrap_err();
    assert!(e.context.iter().all(|(_, v)| !v.contains("canary")), "{e}");
    e
}

const READ: &str = "q = json.loads(sys.stdin.readline())";

#[tokio::test]
async fn p04_a_program_that_ends_or_stays_silent_has_said_nothing() {
    for body in [
        "",
        "sys.exit(3)",
        "raise KeyError('canary')",
        &format!("{READ}\nprint('{{\"result\": {{\"items\": []', end='')"),
        &format!("{READ}\nsys.stdout.close()\ntime.sleep(9)"),
        &format!("{READ}\ntime.sleep(60)"),
    ] {
        let began = Instant::now();
        let e = refused(body).await;
        assert_eq!(e.kind, ErrorKind::Unavailable, "{body}: {e}");
        assert!(began.elapsed().as_secs() < 20, "{body} was waited for");
    }
}

#[tokio::test]
async fn p07_what_is_not_in_the_protocol_is_an_error_and_never_a_list() {
    for said in [
        "hello canary",
        "{}",
        "[]",
        "{\"result\": {\"items\": []}}",
        "{\"result\": {\"items\": [], \"next\": null, \"extra\": 1}}",
        "{\"result\": {\"items\": [{\"id\": \"\", \"name\": \"A\"}], \"next\": null}}",
        "{\"result\": {\"items\": [{\"name\": \"A\"}], \"next\": null}}",
        "{\"error\": {\"kind\": \"contract\", \"code\": \"canary of a client\"}}",
        "{\"error\": {\"kind\": \"forbidden\", \"because\": \"canary\"}}",
        "{\"result\": {\"items\": [], \"next\": null}, \"http\": {\"path\": \"/companies\"}}",
        "{\"protocol\": 2, \"result\": {\"items\": [], \"next\": null}}",
        "{\"canary of a client\": 1}",
        "{\"http\": {\"path\": \"https://elsewhere.example/x\"}}",
        "{\"http\": {\"path\": \"file:///etc/passwd\"}}",
        "{\"http\": {\"path\": \"/companies\", \"method\": \"DELETE\"}}",
        "{\"http\": {\"path\": \"/companies\", \"headers\": {\"Authorization\": \"canary\"}}}",
        "{\"http\": {\"path\": \"/companies\", \"headers\": {\"host\": \"canary\"}}}",
    ] {
        let e = refused(&format!("{READ}\nprint({said:?}, flush=True)\nsys.stdin.readline()")).await;
        assert_eq!(e.kind, ErrorKind::Contract, "{said}: {e}");
    }
    let many = format!(
        "{READ}\nfor n in range(200):\n  print('{{\"http\": {{\"path\": \"/companies\"}}}}', flush=True)\n  sys.stdin.readline()"
    );
    assert_eq!(refused(&many).await.kind, ErrorKind::Contract);
    let long = format!("{READ}\nprint('x' * (9 << 20), flush=True)");
    assert_eq!(refused(&long).await.kind, ErrorKind::Contract);
}

/// The page says: anything else is unavailable, and people keep what they have.
#[tokio::test]
async fn a_refusal_in_a_word_that_is_not_in_the_protocol_is_no_answer() {
    for kind in ["teapot", "unavailable", ""] {
        let said = json!({"error": {"kind": kind, "code": "no_tea"}}).to_string();
        let e = refused(&format!("{READ}\nprint({said:?}, flush=True)")).await;
        assert_eq!((e.kind, e.get("code")), (ErrorKind::Unavailable, Some("no_tea")), "{kind}");
    }
}

#[tokio::test]
async fn a_line_that_is_not_in_the_protocol_is_told_by_its_key_and_without_a_value() {
    for (said, word) in [
        ("{\"protocol\": 2, \"result\": {}}", "only the host does, which speaks 1"),
        ("{\"resutl\": {\"items\": []}}", "its key resutl"),
        ("{\"canary@client.example\": 1}", "its key ?"),
        ("{\"http\": {\"path\": 7}}", "field $.http.path, wrong it has to be a string"),
        (
            "{\"http\": {\"path\": \"/x\", \"verb\": \"canary\"}}",
            "field $.http.verb, wrong the protocol does not have it",
        ),
        ("{\"http\": {}}", "field $.http.path, wrong it is missing"),
        ("{\"error\": {\"kind\": \"x\", \"text\": \"canary\"}}", "field $.error.text"),
        ("{}", "exactly one of http, result and error"),
        ("[\"canary\"]", "it is no object"),
    ] {
        let e = refused(&format!("{READ}\nprint({said:?}, flush=True)\nsys.stdin.readline()")).await;
        assert!(e.to_string().contains(word) && !format!("{e:?}").contains("canary"), "{said}: {e:?}");
    }
}

/// Its last words may quote the vendor: they are for whoever tries the program, and stay out of the error's own.
#[tokio::test]
async fn a_programs_last_words_go_with_the_error_and_not_into_it() {
    let e = refused(&format!("{READ}\nraise KeyError('canary of a client')")).await;
    let aside = e.source.as_ref().unwrap().downcast_ref::<Aside>().unwrap();
    assert!(
        aside.0[0].starts_with("Traceback") && aside.0.last().unwrap() == "KeyError: 'canary of a client'",
        "{:?}",
        aside.0
    );
    assert!(!format!("{e} {e:?} {aside} {aside:?}").contains("canary"), "{e:?}");
    let e = refused("sys.exit(3)").await;
    assert!(e.source.is_none(), "it said nothing");
    let e = refused(&format!("{READ}\nfor n in range(99): print('line', n, file=sys.stderr)")).await;
    assert_eq!(e.source.as_ref().unwrap().downcast_ref::<Aside>().unwrap().0.len(), 12);
}

#[tokio::test]
async fn a_program_may_say_to_people_as_much_as_it_likes() {
    let dir = tempfile::tempdir().unwrap();
    let body = format!(
        "{READ}\nfor n in range(20000):\n  print('x' * 100, file=sys.stderr)\nprint('{{\"result\": {{\"items\": [], \"next\": null}}}}', flush=True)"
    );
    assert!(ledgers(&program(&dir, &body), 20, Vendor::new()).await.unwrap().items.is_empty());
}

/// A new version that is being copied into place is a moment's matter and no outage; one that stays open is said.
#[tokio::test]
async fn a_program_that_is_being_written_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path =
        program(&dir, &format!("{READ}\nprint('{{\"result\": {{\"items\": [], \"next\": null}}}}', flush=True)"));
    let writer = fs::OpenOptions::new().append(true).open(&path).unwrap();
    let e = ledgers(&path, 5, Vendor::new()).await.unwrap_err();
    assert!(e.kind == ErrorKind::Unavailable && e.to_string().contains("could not be started"), "{e}");
    let (page, ()) = tokio::join!(ledgers(&path, 5, Vendor::new()), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        drop(writer);
    });
    assert!(page.unwrap().items.is_empty());
}

#[tokio::test]
async fn whose_the_keys_are_is_the_firms_word() {
    let own = |setting: Value| async move {
        let mut settings = json!({"program": example(), "provides": ["ledgers"]});
        settings.as_object_mut().unwrap().extend(setting.as_object().unwrap().clone());
        let connector = built(settings);
        let cx = ReadCx::new(Vendor::new(), Timestamp::UNIX_EPOCH);
        connector.ledgers().unwrap().own_user(&cx).await.unwrap().map(|own| (own.subject, own.email))
    };
    let address = "api@harbour.example".to_owned();
    assert_eq!(own(json!({"own_user": address})).await, Some((address.clone(), Some(address))));
    assert_eq!(own(json!({"own_user": "u-7"})).await, Some(("u-7".to_owned(), None)));
    assert_eq!(own(json!({})).await, None);
}

#[tokio::test]
async fn a_program_sees_nothing_of_ours_and_leaves_nothing_running() {
    let dir = tempfile::tempdir().unwrap();
    let body = format!(
        "{READ}\nif os.fork() == 0:\n  time.sleep(30)\n  open('late', 'w')\nopen('env', 'w').write(json.dumps(sorted(os.environ)))\nopen('me', 'w').write(str(os.getpgid(0)))\nprint('{{\"result\": {{\"items\": [], \"next\": null}}}}', flush=True)"
    );
    let path = program(&dir, &body);
    assert!(ledgers(&path, 5, Vendor::new()).await.unwrap().items.is_empty());
    let seen: Vec<String> = serde_json::from_slice(&fs::read(dir.path().join("env")).unwrap()).unwrap();
    assert!(seen.iter().all(|v| ["LANG", "LC_CTYPE", "PATH"].contains(&v.as_str())), "{seen:?}");
    let group: i32 = fs::read_to_string(dir.path().join("me")).unwrap().parse().unwrap();
    let group = rustix::process::Pid::from_raw(group).unwrap();
    // The group's last member may take a moment to be reaped by init.
    for _ in 0..50 {
        if rustix::process::test_kill_process_group(group).is_err() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("what the program started is still running");
}

#[tokio::test]
async fn a_failed_request_ends_the_call_whatever_the_program_makes_of_it() {
    struct Down;
    #[async_trait::async_trait]
    impl Transport for Down {
        async fn send(&self, request: Request) -> Result<Response> {
            Err(Error::new(ErrorKind::RateLimited, request.op, "slow down"))
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let body = format!(
        "{READ}\nprint('{{\"http\": {{\"path\": \"/companies\"}}}}', flush=True)\nsys.stdin.readline()\nprint('{{\"result\": {{\"items\": [], \"next\": null}}}}', flush=True)"
    );
    let e = ledgers(&program(&dir, &body), 5, Arc::new(Down)).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::RateLimited);
}

#[tokio::test]
async fn the_example_tells_who_is_invited_and_who_is_suspended() {
    let vendor = Vendor::new();
    let rows = ["enabled", "invited", "suspended", "frozen"]
        .map(|s| json!({"id": s, "mail": "a@firm.example", "full_name": "A", "level": "reader", "state": s}));
    vendor.members.lock().unwrap().insert("71".into(), rows.to_vec());
    let connector = connector(&example(), "ledgers", 10);
    let cx = ReadCx::new(vendor, Timestamp::UNIX_EPOCH);
    let page = connector.ledgers().unwrap().access(&cx, Scope::One(&"71".into()), Cursor::Start).await.unwrap();
    let seen: Vec<String> = page.items.iter().map(|f| format!("{:?}", f.standing)).collect();
    assert_eq!(seen, ["Active", "Pending", "Disabled", "Unknown(\"frozen\")"]);
    let lines = fs::read_to_string(example()).unwrap().lines().filter(|l| !l.trim().is_empty()).count();
    assert!(lines <= 50, "the worked example has grown to {lines} lines");
}

#[test]
fn wrong_settings_are_told() {
    let build = |settings: Value, api: Option<&str>| {
        let hosts: BTreeMap<_, _> = api.map(|a| ("api".to_owned(), a.parse().unwrap())).into_iter().collect();
        let endpoints = Endpoints::resolve(FACTORY.manifest(), &hosts).unwrap();
        FACTORY.build(Build { settings, endpoints }).err().map(|e| format!("{:?} {e}", e.kind))
    };
    let good = json!({"program": "/opt/x", "provides": ["ledgers"]});
    assert_eq!(build(good.clone(), Some(API)), None);
    for (settings, api) in [
        (good, None),
        (json!({"program": "x", "provides": ["ledgers"]}), Some(API)),
        (json!({"program": "/opt/x", "provides": []}), Some(API)),
        (json!({"program": "/opt/x", "provides": ["folders"]}), Some(API)),
        (json!({"program": "/opt/x", "provides": ["ledgers"], "silence_seconds": 0}), Some(API)),
        (json!({"program": "/opt/x", "provides": ["ledgers"], "shell": true}), Some(API)),
    ] {
        assert!(build(settings.clone(), api).is_some_and(|e| e.starts_with("Config")), "{settings}");
    }
}
