//! The local API as other programs see it: the real daemon, its socket and its loopback port.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test fails like the test"
)]

#[expect(dead_code, reason = "the measuring program uses the rest")]
#[path = "api/firm.rs"]
mod firm;
mod shape;

use std::collections::BTreeMap;

use firm::{Daemon, Got};
use ledgerward::domain::{
    firm::Office,
    office::{CustomOffice, Permission},
};
use ledgerward_contract::{SourceKind, SourceRef};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};
use shape::fits;

const OWNER: &str = "ana@harbour.example";
const ADMIN: &str = "adam@harbour.example";
const EMPLOYEE: &str = "emma@harbour.example";
const VIEWER: &str = "vera@harbour.example";

fn ask(daemon: &Daemon, acting: &str, method: &str, path: &str, body: Value) -> Got {
    let bytes = body.to_string();
    let raw = (!body.is_null()).then_some(("application/json", bytes.as_bytes()));
    daemon.send(acting, method, &format!("/api/v1{path}"), raw)
}

fn get(daemon: &Daemon, acting: &str, path: &str) -> Got {
    ask(daemon, acting, "GET", path, Value::Null)
}

/// A change of the API is a change of this file, which a reviewer sees.
#[test]
fn the_description_does_not_drift() {
    insta::assert_json_snapshot!("openapi", ledgerward::api::openapi::document());
}

/// The schemas of the answers are published in the repository, one a file; a change of one is a change that a reviewer sees.
#[test]
fn the_published_schemas_are_those_of_the_program() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let wanted: BTreeMap<String, String> = ledgerward::api::shape::published()
        .into_iter()
        .map(|(name, schema)| (format!("{}.json", name.replace('/', "-")), format!("{schema:#}\n")))
        .collect();
    if std::env::var("INSTA_UPDATE").is_ok_and(|v| v == "always") {
        for (name, text) in &wanted {
            std::fs::write(dir.join(name), text).unwrap();
        }
    }
    let files = std::fs::read_dir(&dir).unwrap().map(|f| f.unwrap().path());
    let there: BTreeMap<String, String> = files
        .filter(|f| f.extension().is_some_and(|e| e == "json"))
        .map(|f| (f.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&f).unwrap()))
        .collect();
    for (name, text) in &wanted {
        assert_eq!(there.get(name), Some(text), "{name}: run the test again with INSTA_UPDATE=always");
    }
    let stale: Vec<&String> = there.keys().filter(|name| !wanted.contains_key(*name)).collect();
    assert!(stale.is_empty(), "of no answer any more: {stale:?}");
}

/// Every answer has a documented status and a documented form.
fn documented(root: &Value, operation: &Value, got: &Got) -> Result<(), String> {
    let response = operation["responses"].get(got.status.to_string());
    let response = response.ok_or_else(|| format!("{} is no documented status: {}", got.status, got.json))?;
    let problem = json!({"$ref": "#/components/schemas/Problem"});
    let (schema, media) = match got.status {
        200 => (&response["content"]["application/json"]["schema"], "application/json"),
        _ => (&problem, "application/problem+json"),
    };
    if got.headers.get("content-type").map(String::as_str) != Some(media) {
        return Err(format!("{:?} is no {media}", got.headers.get("content-type")));
    }
    if got.headers.get("cache-control").map(String::as_str) != Some("no-store") {
        return Err("it may be cached".to_owned());
    }
    shape::check(&got.json);
    fits(root, schema, &got.json, "answer")
}

/// Words that mean something to this firm, by the value's name.
fn likely(name: &str, rng: &mut StdRng) -> String {
    let words: &[&str] = match name {
        "person" => &[EMPLOYEE, "adam", "vera", "olga@harbour.example", "nobody", "p5"],
        "client" => &["client-0", "client-3", "client-4", "new-ltd", "nothing"],
        "target" => &["disk", "drive"],
        "connection" => &["xero", "disk"],
        "email" => &["new@harbour.example", EMPLOYEE, "x@elsewhere.example"],
        "office" => &["admin", "employee", "viewer", "custom:payroll", "primary-owner"],
        "authority" => &["any", "all", "xero:1"],
        "date" => &["2026-01-01", "beginning", "2026-02-30"],
        "day" => &["03-31", "ledger", "02-31"],
        "expires" => &["2027-01-01", "8 hours", "1 second"],
        "period" => &["2026-10", "FY2026"],
        "name" => &["New Ltd", "crm", "--all", "-x", "=1+1", "ünï"],
        _ => &["words", "because", "--now"],
    };
    (*words.choose(rng).unwrap()).to_owned()
}

fn good(name: &str, schema: &Value, rng: &mut StdRng) -> Value {
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        return choices.choose(rng).unwrap().clone();
    }
    match (schema["type"].as_str().unwrap(), schema.get("pattern").and_then(Value::as_str)) {
        ("boolean", _) => json!(rng.random_bool(0.5)),
        ("integer", _) => {
            let (from, to) = (schema["minimum"].as_u64().unwrap(), schema["maximum"].as_u64().unwrap());
            json!(*[from, to, rng.random_range(from..=to)].choose(rng).unwrap())
        }
        ("array", _) if name == "pairs" => {
            let n = rng.random_range(1..5);
            Value::from_iter((0..n).map(|_| json!({"person": likely("person", rng), "client": likely("client", rng)})))
        }
        ("array", _) => {
            let name = name.trim_end_matches('s');
            let n = rng.random_range(1..3);
            Value::from_iter((0..n).map(|_| good(name, &schema["items"], rng)))
        }
        (_, Some(pattern)) if pattern.contains("C-") => json!(format!("C-{}", rng.random_range(1..99))),
        (_, Some(_)) => json!(format!("{:08x}", rng.random::<u32>())),
        _ if schema.get("format").is_some_and(|f| f == "date") => json!("2026-10-31"),
        _ => json!(likely(name, rng)),
    }
}

fn bad(rng: &mut StdRng) -> Value {
    let all = [
        json!(""),
        json!(" "),
        json!("a\nb"),
        json!("\u{0}"),
        json!("x".repeat(501)),
        json!("\u{202e}"),
        json!("'; DROP TABLE person; --"),
        json!("../../etc/passwd"),
        json!("%00"),
        json!(null),
        json!(-1),
        json!(1e300),
        json!(18_446_744_073_709_551_615_u64),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"a": {"b": [1]}}),
        json!(true),
        json!("9999-12-31"),
        json!("-9999-01-01"),
        json!("C-999999999999999999"),
        json!("ffffffffffffffffffffffffffffffff"),
    ];
    all.choose(rng).unwrap().clone()
}

fn one(name: &str, schema: &Value, rng: &mut StdRng) -> Value {
    if rng.random_bool(0.75) { good(name, schema, rng) } else { bad(rng) }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// A request of one operation: mostly right, sometimes not.
fn request(path: &str, operation: &Value, rng: &mut StdRng) -> (String, Option<(String, Vec<u8>)>) {
    let (mut address, mut query) = (path.to_owned(), Vec::new());
    for parameter in operation["parameters"].as_array().unwrap() {
        let name = parameter["name"].as_str().unwrap();
        let value = text(&one(name, &parameter["schema"], rng));
        if parameter["in"] == "path" {
            let value = if value.is_empty() { "%20".to_owned() } else { encoded(&value) };
            address = address.replace(&format!("{{{name}}}"), &value);
        } else if rng.random_bool(if parameter["required"] == true { 0.95 } else { 0.4 }) {
            query.push(format!("{name}={}", encoded(&value)));
        }
    }
    if rng.random_bool(0.05) {
        query.push((*["odd=1", "%ff=1", "&&", "=", "all=%zz"].choose(rng).unwrap()).to_owned());
    }
    if !query.is_empty() {
        address = format!("{address}?{}", query.join("&"));
    }
    let schema = operation.pointer("/requestBody/content/application~1json/schema");
    let body = schema.map(|schema| {
        let mut body = serde_json::Map::new();
        let required: Vec<&str> = schema["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        for (name, schema) in schema["properties"].as_object().unwrap() {
            if rng.random_bool(if required.contains(&name.as_str()) { 0.97 } else { 0.4 }) {
                body.insert(name.clone(), one(name, schema, rng));
            }
        }
        if rng.random_bool(0.05) {
            body.insert("odd".to_owned(), bad(rng));
        }
        let media = if rng.random_bool(0.97) { "application/json" } else { "text/plain" };
        let bytes = match rng.random_range(0..40) {
            0 => b"{".to_vec(),
            1 => vec![0xff, 0xfe],
            2 => b"[]".to_vec(),
            3 => "[".repeat(5000).into_bytes(),
            _ => Value::Object(body).to_string().into_bytes(),
        };
        (media.to_owned(), bytes)
    });
    (address, body)
}

/// Who manages nothing comes first: what owners do by chance may give others an office.
#[test]
fn random_requests_get_documented_answers_and_nothing_beyond_their_office() {
    let daemon = Daemon::start(firm::firm(6, 8));
    let document = get(&daemon, VIEWER, "/openapi.json");
    assert_eq!(document.status, 200);
    let root = document.json;
    let seed = std::env::var("LEDGERWARD_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(7);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    let roles: [(&str, &[&str], usize); 5] = [
        (VIEWER, &["firm.manage", "firm.publish"], 4),
        (EMPLOYEE, &["firm.manage", "firm.publish"], 4),
        (ADMIN, &["firm.publish"], 6),
        (OWNER, &[], 6),
        ("", &[], 3),
    ];
    for (acting, denied, rounds) in roles {
        for (path, methods) in root["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                for _ in 0..rounds {
                    let (address, body) = request(path, operation, &mut rng);
                    let raw = body.as_ref().map(|(media, bytes)| (media.as_str(), bytes.as_slice()));
                    let got = daemon.send(acting, &method.to_uppercase(), &format!("/api/v1{address}"), raw);
                    let told = format!(
                        "seed {seed}: as {acting:?}: {method} {address} {:?}",
                        body.as_ref().map(|b| String::from_utf8_lossy(&b.1))
                    );
                    documented(&root, operation, &got).unwrap_or_else(|e| panic!("{told}\n{}: {e}", got.status));
                    if denied.contains(&operation["x-permission"].as_str().unwrap()) {
                        assert_ne!(got.status, 200, "{told}: {}", got.json);
                    }
                    if got.status == 403 && !got.json["permission"].is_null() {
                        let named = got.json["permission"].as_str().and_then(Permission::parse);
                        assert!(named.is_some(), "{told}: no role could have {}", got.json["permission"]);
                    }
                    if !denied.is_empty() && acting != ADMIN && path == "/access" && got.status == 200 {
                        let rows = got.json["rows"].as_array().unwrap();
                        assert!(rows.iter().all(|r| r["person"]["email"] == acting), "{told}: {}", got.json);
                    }
                    *counts.entry(got.status).or_default() += 1;
                }
            }
        }
    }
    // A generator whose every request is refused would prove nothing.
    assert!(counts.get(&200).is_some_and(|n| *n > 200), "{counts:?}");
    assert!(counts.get(&400).is_some_and(|n| *n > 100), "{counts:?}");
    println!("answers by status: {counts:?}");
}

#[test]
fn a_resource_says_what_the_command_says() {
    let daemon = Daemon::start(firm::firm(5, 3));
    for (path, line) in [
        ("/people?all=true", "people list --all"),
        ("/clients", "clients list"),
        ("/roles", "roles"),
        ("/changes?limit=5", "changes list -n 5"),
        ("/findings", "findings"),
        ("/holds", "hold"),
        ("/freeze", "freeze"),
        ("/firm", "firm export"),
        ("/why?person=emma&client=client-2", "why emma client-2"),
        ("/groups", "groups list"),
        ("/offices", "roles list"),
        ("/guests", "guests list"),
        ("/changes/staged", "changes show --all"),
        ("/gaps", "gaps --offline"),
        ("/leavers?all=true", "leaver --all"),
        ("/reviews", "review list"),
        ("/connectors", "connectors"),
        ("/openapi.json", "api openapi"),
        ("/audit?limit=3", "audit export --limit 3"),
        ("/audit/verify", "audit verify"),
        ("/access?at=2026-06-30", "access --at 2026-06-30"),
        (
            "/access?at=2026-06-30T14:05:00%2B12:00&clock=applied",
            "access --at 2026-06-30T14:05:00+12:00 --clock applied",
        ),
    ] {
        let over = get(&daemon, OWNER, path);
        let args: Vec<&str> = line.split(' ').chain(["--json", "--as", OWNER]).collect();
        let told = daemon.cli(&args);
        let told: Value = serde_json::from_slice(&told.stdout).unwrap_or_else(|e| panic!("{line}: {e}: {told:?}"));
        assert_eq!((over.status, &over.json), (200, &told), "{path}");
    }
}

#[test]
fn what_is_wrong_with_a_request_is_said_with_its_place() {
    let daemon = Daemon::start(firm::firm(5, 1));
    let wrong = |method: &str, path: &str, body: Value| ask(&daemon, OWNER, method, path, body);
    let at = |got: &Got| (got.status, got.json["at"]["in"].clone(), got.json["at"]["name"].clone());
    assert_eq!(at(&wrong("GET", "/access?at=soon", Value::Null)), (400, json!("query"), json!("at")));
    let blank = wrong("GET", "/access?at=2026-06-30T14:05:00+12:00", Value::Null);
    assert_eq!(at(&blank), (400, json!("query"), json!("at")));
    assert!(blank.json["detail"].as_str().unwrap().contains("%2B12:00"), "{}", blank.json);
    assert_eq!(at(&wrong("GET", "/access?who=emma", Value::Null)), (400, json!("query"), json!("who")));
    assert_eq!(at(&wrong("POST", "/clients", json!({"name": "X", "slug": "x"}))), (400, json!("body"), json!("slug")));
    assert_eq!(at(&wrong("POST", "/clients", json!({}))), (400, json!("body"), json!("name")));
    assert_eq!(wrong("GET", "/why?person=nobody&client=client-0", Value::Null).status, 404);
    let method = wrong("PATCH", "/clients", json!({}));
    assert_eq!((method.status, method.headers["allow"].as_str()), (405, "GET, HEAD, POST"));
    assert_eq!(wrong("GET", "/nothing", Value::Null).status, 404);
    for (method, path) in
        [("GET", "/holds/0123abcd"), ("POST", "/holds/0123abcd/approve"), ("POST", "/plans/0123abcd/apply")]
    {
        let body = if path.ends_with("approve") { json!({"reason": "looked at"}) } else { Value::Null };
        assert_eq!(wrong(method, path, body).status, 404, "{path}: there is none");
    }
    assert_eq!(wrong("POST", "/changes/publish", json!({"changes": ["C-99"]})).status, 404);
    assert_eq!(daemon.send(OWNER, "POST", "/api/v1/clients", Some(("text/plain", b"{}"))).status, 415);
    let long = vec![b' '; (2 << 20) + 1];
    assert_eq!(daemon.send(OWNER, "POST", "/api/v1/clients", Some(("application/json", &long))).status, 413);
    let viewer = get(&daemon, VIEWER, "/runs");
    assert_eq!((viewer.status, &viewer.json["permission"]), (403, &json!("read-all")));
    assert_eq!(get(&daemon, "stranger@harbour.example", "/people").status, 403);
}

#[test]
fn nothing_is_published_that_was_not_shown_and_a_dry_run_changes_nothing() {
    let daemon = Daemon::start(firm::firm(5, 8));
    let owner = |method: &str, path: &str, body: Value| ask(&daemon, OWNER, method, path, body);
    let missing = |path: &str| owner("POST", path, json!({})).json["at"]["name"].clone();
    assert_eq!((missing("/changes/publish"), missing("/changes/staged/publish")), (json!("changes"), json!("digest")));
    let other = owner("POST", "/changes/staged/publish", json!({"digest": "0123abcd"}));
    assert_eq!(other.status, 409, "{}", other.json);
    let shown = owner("GET", "/changes/staged", Value::Null).json["digest"].clone();
    assert_eq!(owner("POST", "/changes/staged/publish", json!({"digest": shown})).status, 200);
    let before = owner("GET", "/people", Value::Null).json;
    let wish = json!({"person": "emma", "clients": ["client-1"], "when_granted": true, "dry_run": true});
    let dry = json!({"dry_run": true});
    for (method, path, body) in [
        ("POST", "/selections", wish),
        ("POST", "/selections/emma/all-granted", dry),
        ("DELETE", "/selections/emma/client-4?dry_run=true", Value::Null),
    ] {
        let got = owner(method, path, body);
        assert_eq!((got.status, &got.json["dry_run"]), (200, &json!(true)), "{path}: {}", got.json);
    }
    assert_eq!(owner("GET", "/people", Value::Null).json, before);
}

#[test]
fn a_check_follows_every_change_at_once_and_shows_nobody_elses_access() {
    let mut firm = firm::firm(5, 8);
    let books = firm.clients.values_mut().find(|c| c.slug == "client-5").unwrap();
    books.sources = [SourceRef { connection: "xero".into(), kind: SourceKind::Ledger, id: "L-5".into() }].into();
    let daemon = Daemon::start(firm);
    let check = |acting: &str, person: &str, client: &str| {
        get(&daemon, acting, &format!("/access/check?person={person}&client={client}"))
    };
    // Emma is the fourth: every client whose number is 4 more than a multiple of 7 is hers.
    let yes = check(OWNER, "emma", "client-4");
    assert_eq!((yes.status, &yes.json["answer"], &yes.json["role"]), (200, &json!("yes"), &json!("reader")), "{yes:?}");
    assert!(yes.json["age_ms"].as_i64().is_some_and(|n| (0..5000).contains(&n)));
    let no = check(OWNER, EMPLOYEE, "client-5");
    assert_eq!((&no.json["answer"], &no.json["reasons"]), (&json!("no"), &json!(["not selected"])));
    assert_eq!(get(&daemon, OWNER, "/access/check?person=emma&client=client-4&target=nowhere").status, 404);

    let other = check(EMPLOYEE, "adam", "client-5");
    assert_eq!((other.status, &other.json["permission"]), (403, &json!(null)));
    assert_eq!(check(EMPLOYEE, "nobody-at-all", "client-5").status, 403, "who works here is not to be tried out");
    assert_eq!(check(EMPLOYEE, "emma", "client-4").json["answer"], "yes");
    // Of a client that is none of hers she learns as much as of one that is not there.
    let (hidden, nothing) = (check(EMPLOYEE, "emma", "client-5"), check(EMPLOYEE, "emma", "client-999"));
    assert_eq!((hidden.status, nothing.status), (404, 404));
    assert_eq!(hidden.json.to_string().replace("client-5", "X"), nothing.json.to_string().replace("client-999", "X"));

    for _ in 0..3 {
        assert_eq!(ask(&daemon, OWNER, "DELETE", "/selections/emma/client-4", Value::Null).status, 200);
        assert_eq!(check(OWNER, "emma", "client-4").json["answer"], "no");
        let body = json!({"person": "emma", "clients": ["client-4"]});
        assert_eq!(ask(&daemon, OWNER, "POST", "/selections", body).status, 200);
        assert_eq!(check(OWNER, "emma", "client-4").json["answer"], "yes");
    }
    assert_eq!(ask(&daemon, OWNER, "POST", "/people/emma/disable", Value::Null).status, 200);
    assert_eq!(check(OWNER, "emma", "client-4").json["reasons"], json!(["the person is disabled"]));
    assert_eq!(check(EMPLOYEE, "emma", "client-4").status, 403, "a disabled person asks nothing");
    // A command that came in by the socket's other door counts as well.
    assert!(daemon.cli(&["people", "enable", "emma"]).status.success());
    assert_eq!(check(OWNER, "emma", "client-4").json["answer"], "yes");

    let pairs: Vec<Value> =
        (0..1000).map(|n| json!({"person": "emma", "client": format!("client-{}", n % 9)})).collect();
    let many = ask(&daemon, OWNER, "POST", "/access/check", json!({"pairs": pairs}));
    assert_eq!((many.status, many.json["checks"].as_array().unwrap().len()), (200, 1000));
    assert_eq!(many.json["checks"][4]["answer"], "yes");
    assert_eq!(many.json["checks"][8]["status"], 404);

    // No ledger was read, so nothing is known of anybody: nobody learns of a client by that.
    assert!(daemon.cli(&["people", "mode", "emma", "ledger"]).status.success());
    assert_eq!(check(OWNER, "emma", "client-5").json["answer"], "held");
    assert_eq!(check(EMPLOYEE, "emma", "client-5").status, 404);
    assert!(daemon.cli(&["select", "emma", "client-5", "--when-granted"]).status.success());
    assert_eq!(
        check(EMPLOYEE, "emma", "client-5").json["answer"],
        "held",
        "the firm's own word names the two together"
    );
}

#[test]
fn a_role_of_the_firms_own_may_over_the_api_what_it_may_on_the_command_line() {
    let daemon = Daemon::start(firm::firm(5, 8));
    let put = |path: &str, body: Value| ask(&daemon, OWNER, "PUT", path, body);
    let post = |who: &str, path: &str, body: Value| ask(&daemon, who, "POST", path, body);
    assert_eq!(post(OWNER, "/groups/north/add", json!({"clients": ["client-1", "client-2"]})).status, 200);
    let role = json!({"may": ["selections", "read-all"], "group": "north"});
    assert_eq!(put("/offices/desk", role).status, 200);
    assert_eq!(put("/people/emma/office", json!({"office": "custom:desk", "mode": "ledger+selected"})).status, 200);
    let select = |client: &str| post(EMPLOYEE, "/selections", json!({"person": "emma", "clients": [client]}));
    let within = select("client-1");
    assert_eq!((within.status, within.json["clients"][0]["client"].clone()), (200, json!("client-1")), "{within:?}");
    assert_eq!(select("client-5").status, 404);
    let guest = json!({"person": "emma", "client": "client-1", "until": "8 hours", "reason": "x"});
    let denied = post(EMPLOYEE, "/guests", guest);
    assert_eq!((denied.status, &denied.json["permission"]), (403, &json!("guests")), "{denied:?}");
    assert_eq!(get(&daemon, EMPLOYEE, "/runs").status, 403);
    let groups = get(&daemon, EMPLOYEE, "/groups");
    assert_eq!(groups.json["groups"][0]["name"], "north");
    assert_eq!(get(&daemon, EMPLOYEE, "/access/check?person=ana&client=client-1").status, 200);
    assert_eq!(get(&daemon, EMPLOYEE, "/access/check?person=ana&client=client-5").status, 404);
}

/// Whoever kept private books and may keep none any more: to give less of them is theirs still, here as on the command line.
#[test]
fn of_their_own_books_everybody_may_give_less() {
    let daemon = Daemon::start(firm::firm(5, 8));
    let adam = |method: &str, path: &str, body: Value| ask(&daemon, ADMIN, method, path, body);
    assert_eq!(adam("POST", "/private", json!({"name": "Boat"})).status, 200);
    let share = json!({"target": "disk", "with": ["emma"], "reason": "tax"});
    assert_eq!(adam("POST", "/private/boat/share", share).status, 200);
    let office = json!({"office": "employee", "mode": "ledger+selected"});
    assert_eq!(ask(&daemon, OWNER, "PUT", "/people/adam/office", office).status, 200);
    let other = adam("DELETE", "/selections/emma/client-4", Value::Null);
    assert_eq!(other.status, 403, "not of the firm's clients: {}", other.json);
    let of_boat = adam("DELETE", "/selections/emma/boat", Value::Null);
    assert_eq!(of_boat.status, 200, "{}", of_boat.json);
    assert_eq!(adam("PUT", "/clients/boat/name", json!({"name": "Ship"})).status, 200);
    assert_eq!(adam("POST", "/clients/ship/close", Value::Null).status, 200);
}

#[test]
fn a_token_is_its_person_and_no_more() {
    let daemon = Daemon::start(firm::firm(5, 8));
    let host = format!("Host: 127.0.0.1:{}\r\n", daemon.tcp);
    let make = |who| ask(&daemon, who, "POST", "/tokens", json!({"name": "crm", "person": "emma"}));
    let theirs = make(OWNER);
    assert_eq!(theirs.status, 403, "it would be a second pair of eyes, and a key to private books: {theirs:?}");
    let made = make(EMPLOYEE);
    assert_eq!(made.status, 200, "{made:?}");
    let token = made.json["token"].as_str().unwrap().to_owned();
    let with = |headers: &str, method: &str, path: &str| daemon.tcp(headers, method, &format!("/api/v1{path}"), None);
    let bearer = format!("{host}Authorization: Bearer {token}\r\n");

    assert_eq!(with(&host, "GET", "/people").status, 401);
    assert_eq!(with(&format!("{host}Authorization: Bearer {token}x\r\n"), "GET", "/people").status, 401);
    assert_eq!(with(&format!("{host}Ledgerward-As: {OWNER}\r\n"), "GET", "/people").status, 401);
    let own = with(&bearer, "GET", "/people");
    assert_eq!((own.status, own.json["people"].as_array().unwrap().len()), (200, 1));
    let as_owner = format!("{bearer}Ledgerward-As: {OWNER}\r\n");
    assert_eq!(with(&as_owner, "GET", "/runs").status, 403, "a token acts as nobody else");
    let check = with(&bearer, "GET", "/access/check?person=emma&client=client-4");
    assert_eq!((check.status, &check.json["answer"]), (200, &json!("yes")));
    let rebound = bearer.replace("127.0.0.1", "evil.example");
    assert_eq!(with(&rebound, "GET", "/people").status, 421);
    assert_eq!(daemon.tcp(&bearer, "POST", "/v1/command", None).status, 404, "only the API is on TCP");
    let body = br#"{"name": "more", "person": "emma"}"#;
    let more = daemon.tcp(&bearer, "POST", "/api/v1/tokens", Some(("application/json", body)));
    assert_eq!((more.status, &more.json["permission"]), (403, &json!(null)));

    let listed = get(&daemon, OWNER, "/tokens");
    assert_eq!(listed.json["tokens"][0]["person"], EMPLOYEE);
    assert!(!listed.json.to_string().contains(&token));
    let state: Vec<u8> = std::fs::read_dir(daemon.dir.path().join("state"))
        .unwrap()
        .flat_map(|e| std::fs::read(e.unwrap().path()).unwrap_or_default())
        .collect();
    assert!(!state.windows(token.len()).any(|w| w == token.as_bytes()), "the token itself is nowhere on the disk");
    assert!(!daemon.log().contains(&token));

    assert_eq!(ask(&daemon, ADMIN, "POST", "/tokens", json!({"name": "x", "person": "ana"})).status, 403);
    assert_eq!(ask(&daemon, OWNER, "DELETE", "/tokens/crm", Value::Null).status, 200);
    assert_eq!(with(&bearer, "GET", "/people").status, 401, "a revoked token is good for nothing at once");
    let trail = get(&daemon, OWNER, "/audit?limit=1000").json.to_string();
    assert!(trail.contains("token.add") && trail.contains("token.revoke"));
}

#[test]
fn a_token_ends_for_good_with_its_person() {
    let daemon = Daemon::start(firm::firm(5, 1));
    let post = |acting: &str, path: &str, body: Value| ask(&daemon, acting, "POST", path, body);
    let made = post(EMPLOYEE, "/tokens", json!({"name": "crm", "person": "emma"}));
    let token = made.json["token"].as_str().unwrap().to_owned();
    let other = post(ADMIN, "/tokens", json!({"name": "books", "person": "adam"}));
    let headers = |token: &str| format!("Host: 127.0.0.1:{}\r\nAuthorization: Bearer {token}\r\n", daemon.tcp);
    let with = |token: &str| daemon.tcp(&headers(token), "GET", "/api/v1/people", None).status;
    assert_eq!(with(&token), 200);
    assert_eq!(post(OWNER, "/people/emma/disable", Value::Null).status, 200);
    assert_eq!(get(&daemon, OWNER, "/tokens").json["tokens"].as_array().unwrap().len(), 1);
    assert_eq!(post(OWNER, "/people/emma/enable", Value::Null).status, 200);
    assert_eq!(with(&token), 401, "it does not come back with her");
    assert_eq!(with(other.json["token"].as_str().unwrap()), 200, "and nobody else's ends");
    assert!(get(&daemon, OWNER, "/audit?limit=1000").json.to_string().contains("token.revoke"));
    // Whoever was closed by a revoke: at the latest when they are lifted.
    let again = post(EMPLOYEE, "/tokens", json!({"name": "crm", "person": "emma"})).json["token"].clone();
    assert!(daemon.cli(&["revoke", "emma", "--now", "--as", OWNER]).status.code().is_some());
    assert_eq!(get(&daemon, OWNER, "/people?all=true").json.to_string().matches("\"reason\":").count(), 1);
    assert!(daemon.cli(&["people", "lift", "emma", "--as", OWNER]).status.success());
    assert_eq!(with(again.as_str().unwrap()), 401);
}

/// What comes back, as text. The head goes first, and the body a moment later, as many programs write it.
fn slowly<S: std::io::Read + std::io::Write>(mut stream: S, head: &str, body: &[u8]) -> String {
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).unwrap();
    stream.flush().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(if body.is_empty() { 0 } else { 100 }));
    stream.write_all(body).unwrap_or_else(|e| panic!("{head}: nobody reads the body: {e}"));
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap_or_else(|e| panic!("{head}: {e}"));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_refusal_reaches_whoever_still_writes() {
    use std::os::unix::net::UnixStream;
    let daemon = Daemon::start(firm::firm(5, 1));
    // More than the buffers between the two take.
    let body = vec![b' '; 4 << 20];
    let head = |acting: &str, path: &str| {
        format!(
            "POST /api/v1{path} HTTP/1.1\r\nHost: x\r\nLedgerward-As: {acting}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n",
            body.len()
        )
    };
    for (acting, path, status) in [
        (VIEWER, "/sync", 413),
        (VIEWER, "/firm/apply", 400),
        (OWNER, "/nothing", 404),
        ("z@harbour.example", "/sync", 403),
    ] {
        let got = slowly(UnixStream::connect(daemon.socket()).unwrap(), &head(acting, path), &body);
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{acting} {path}: {got}");
    }
    let tcp = std::net::TcpStream::connect(("127.0.0.1", daemon.tcp)).unwrap();
    let got = slowly(tcp, &head("", "/sync").replace("Host: x", &format!("Host: 127.0.0.1:{}", daemon.tcp)), &body);
    assert!(got.starts_with("HTTP/1.1 401 "), "{got}");
}

#[test]
fn the_firms_numbers_are_for_whoever_sees_the_firm() {
    use std::os::unix::net::UnixStream;
    let daemon = Daemon::start(firm::firm(5, 1));
    let metrics = |acting: &str| {
        let acting = if acting.is_empty() { String::new() } else { format!("Ledgerward-As: {acting}\r\n") };
        let head = format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{acting}");
        slowly(UnixStream::connect(daemon.socket()).unwrap(), &head, b"")
    };
    for who in [OWNER, ADMIN, ""] {
        let got = metrics(who);
        assert!(got.starts_with("HTTP/1.1 200 ") && got.contains("ledgerward_exposure_removals"), "{who}: {got}");
    }
    for who in [VIEWER, EMPLOYEE, "z@harbour.example"] {
        let got = metrics(who);
        assert!(got.starts_with("HTTP/1.1 403 ") && !got.contains("ledgerward_"), "{who}: {got}");
    }
}

#[test]
fn a_key_that_is_there_twice_is_refused_by_its_name() {
    let daemon = Daemon::start(firm::firm(5, 2));
    for (path, text) in [
        ("/clients", r#"{"name": "Acme", "name": "Birch"}"#),
        ("/access/check", r#"{"pairs": [{"person": "emma", "client": "client-0", "name": 1, "name": 2}]}"#),
    ] {
        let path = format!("/api/v1{path}");
        let twice = daemon.send(OWNER, "POST", &path, Some(("application/json", text.as_bytes())));
        assert_eq!(twice.status, 400, "{:?}", twice.json);
        let detail = twice.json["detail"].as_str().unwrap();
        assert!(detail.contains("the key \"name\" is there twice"), "{detail}");
    }
}

#[test]
fn what_is_wrong_is_not_told_at_its_whole_length() {
    let daemon = Daemon::start(firm::firm(5, 1));
    let long = "x".repeat(1 << 19);
    for (path, text, status) in [
        ("/firm/apply", json!({"file": long}).to_string(), 422),
        ("/firm/apply", json!({"file": format!("version = 1\n{long} = 1\n")}).to_string(), 422),
        ("/firm/what-if", json!({"file": format!("version = 1\nname = \"{long}\"\n")}).to_string(), 422),
        ("/clients", format!("{{\"{long}\": 1}}"), 400),
        ("/clients", format!("{{\"{long}\": 1, \"{long}\": 1}}"), 400),
    ] {
        let path = format!("/api/v1{path}");
        let got = daemon.send(OWNER, "POST", &path, Some(("application/json", text.as_bytes())));
        let told = got.json.to_string();
        assert!(got.status == status && told.len() < 3_000, "{path}: {}: {}", got.status, told.len());
    }
}

#[test]
fn whoever_sees_only_themselves_is_told_the_same_of_everybody_else() {
    let daemon = Daemon::start(firm::firm(5, 2));
    for (method, path, body) in [
        ("GET", "/why?person=OTHER&client=client-0", Value::Null),
        ("GET", "/access?person=OTHER", Value::Null),
        ("PATCH", "/people/OTHER", json!({"first": "X"})),
        ("POST", "/people/OTHER/disable", Value::Null),
        ("POST", "/tokens", json!({"name": "t", "person": "OTHER"})),
    ] {
        for who in [VIEWER, EMPLOYEE] {
            let as_told = |other: &str| {
                let body: Value = serde_json::from_str(&body.to_string().replace("OTHER", other)).unwrap();
                let got = ask(&daemon, who, method, &path.replace("OTHER", other), body);
                (got.status, got.json.to_string().replace(other, "OTHER"))
            };
            let there = as_told("olga");
            assert_eq!(there.0, 403, "{who} {path}: {there:?}");
            assert_eq!(there, as_told("zelda"), "{who} {path}");
        }
    }
}

fn put_input(daemon: &Daemon, args: &[&str], input: &str) -> std::process::Output {
    use std::io::Write as _;
    let mut child = daemon.command(args).stdin(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_firm_file_goes_in_as_text_like_on_the_command_line() {
    let daemon = Daemon::start(firm::firm(5, 2));
    let file = get(&daemon, OWNER, "/firm").json["file"].as_str().unwrap().to_owned();
    let more = format!("{file}\n[[person]]\nemail = \"new@harbour.example\"\nfirst = \"New\"\nlast = \"Hire\"\n");
    let send = |acting: &str, path: &str, body: Value| ask(&daemon, acting, "POST", path, body);
    let dry = send(OWNER, "/firm/apply", json!({"file": more, "dry_run": true}));
    assert_eq!((dry.status, &dry.json["applied"]), (200, &json!(false)));
    assert_eq!(dry.json["changes"].as_array().unwrap().len(), 1, "{:?}", dry.json);
    let told = put_input(&daemon, &["firm", "apply", "-", "--dry-run", "--json", "--as", OWNER], &more);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap_or_else(|e| panic!("{e}: {told:?}"));
    assert_eq!(told, dry.json, "the command and the API say the same");
    let without = file.replace("office = \"viewer\"", "office = \"employee\"");
    assert_eq!(send(OWNER, "/firm/what-if", json!({"file": without, "prune": true})).status, 200);
    for who in [VIEWER, EMPLOYEE] {
        for path in ["/firm/apply", "/firm/what-if"] {
            assert_eq!(send(who, path, json!({"file": more})).status, 403, "{who} {path}");
        }
    }
    let wrong = send(OWNER, "/firm/apply", json!({"file": "version = 1\nodd = 1\n"}));
    assert_eq!(wrong.status, 422, "{:?}", wrong.json);
    assert!(wrong.json["detail"].as_str().unwrap().contains("odd"), "{:?}", wrong.json);
    assert_eq!(send(OWNER, "/firm/apply", json!({})).json["at"]["name"], "file");
    let done = send(OWNER, "/firm/apply", json!({"file": more}));
    assert_eq!((done.status, &done.json["applied"]), (200, &json!(true)), "{:?}", done.json);
    assert!(get(&daemon, OWNER, "/people").json.to_string().contains("new@harbour.example"));
}

fn bytes(file: &Value) -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.decode(file["base64"].as_str().unwrap()).unwrap()
}

#[test]
fn a_review_is_started_decided_sealed_and_fetched() {
    let mut office = firm::firm(6, 3);
    let reader = CustomOffice { permissions: [Permission::ReadAll].into(), group: None };
    office.offices.insert("reader".into(), reader);
    let whoever = office.people.values_mut().find(|p| p.first == "p5").unwrap();
    whoever.office = Office::Custom("reader".into());
    let daemon = Daemon::start(office);
    let post = |acting: &str, path: &str, body: Value| ask(&daemon, acting, "POST", path, body);
    let read = post("p5@harbour.example", "/reviews", json!({"name": "2026-Q4"}));
    assert_eq!((read.status, &read.json["permission"]), (403, &json!("selections")), "{:?}", read.json);
    assert_eq!(get(&daemon, "p5@harbour.example", "/reviews").status, 200);
    for who in [VIEWER, EMPLOYEE] {
        assert_eq!(post(who, "/reviews", json!({"name": "2026-Q4"})).status, 403);
        assert_eq!(get(&daemon, who, "/reviews/2026-Q4/pack").status, 403);
    }
    let begun = post(OWNER, "/reviews", json!({"name": "2026-Q4", "reviewers": ["olga=client-1"]}));
    assert_eq!(begun.status, 200, "{:?}", begun.json);
    assert_eq!(post(OWNER, "/reviews", json!({"name": "../up"})).status, 400);
    assert_eq!(get(&daemon, OWNER, "/reviews/other/sheets").status, 404);
    assert_eq!(get(&daemon, OWNER, "/reviews/2026-Q4/pack").status, 409, "not sealed yet");
    let sheets = get(&daemon, OWNER, "/reviews/2026-Q4/sheets").json;
    let csv: Vec<&Value> =
        sheets["files"].as_array().unwrap().iter().filter(|f| f["path"].as_str().unwrap().ends_with(".csv")).collect();
    assert!(!csv.is_empty());
    for (n, file) in csv.iter().enumerate() {
        let text = String::from_utf8(bytes(file)).unwrap();
        let word = if n == 0 { ",remove,gone" } else { ",keep," };
        let decided: String = text
            .lines()
            .enumerate()
            .map(
                |(n, line)| {
                    if n == 0 { format!("{line}\n") } else { format!("{}{word}\n", line.strip_suffix(",,").unwrap()) }
                },
            )
            .collect();
        let path = "/reviews/2026-Q4/decisions";
        assert_eq!(post(OWNER, path, json!({"sheet": decided.replace(word, ",perhaps,")})).status, 422);
        let took = post(OWNER, path, json!({"sheet": decided}));
        assert_eq!(took.status, 200, "{decided}: {:?}", took.json);
    }
    let sealed = post(OWNER, "/reviews/2026-Q4/seal", Value::Null);
    assert_eq!((sealed.status, &sealed.json["undecided"]), (200, &json!("0")), "{:?}", sealed.json);
    let pack = get(&daemon, OWNER, "/reviews/2026-Q4/pack");
    assert_eq!(pack.json["seal"], sealed.json["seal"]);
    assert_eq!(get(&daemon, OWNER, "/reviews/2026-Q4/pack").json, pack.json, "the same bytes each time");
    // Offline, by the binary alone: the answer as it came, and the files as they are.
    let verify = |path: &std::path::Path| {
        let out = daemon.cli(&["audit", "verify", "--pack", path.to_str().unwrap(), "--json"]);
        (out.status.code(), serde_json::from_slice::<Value>(&out.stdout).unwrap()["whole"].clone())
    };
    let answer = daemon.dir.path().join("answer.json");
    std::fs::write(&answer, pack.json.to_string()).unwrap();
    assert_eq!(verify(&answer), (Some(0), json!(true)));
    let dir = daemon.dir.path().join("pack");
    std::fs::create_dir(&dir).unwrap();
    for file in pack.json["files"].as_array().unwrap() {
        std::fs::write(dir.join(file["path"].as_str().unwrap()), bytes(file)).unwrap();
    }
    assert_eq!(verify(&dir), (Some(0), json!(true)));
    std::fs::write(dir.join("chain.jsonl"), "{}\n").unwrap();
    assert_eq!(verify(&dir), (Some(1), json!(false)));
    let out = daemon.cli(&["review", "pack", "2026-Q4", "--out", "-", "--json", "--as", OWNER]);
    assert_eq!(serde_json::from_slice::<Value>(&out.stdout).unwrap(), pack.json, "the command says the same");
}

#[test]
fn a_leavers_sealed_evidence_comes_with_the_answer() {
    let daemon = Daemon::start(firm::firm(5, 2));
    let path = "/leavers/emma";
    assert_eq!(ask(&daemon, VIEWER, "POST", path, json!({"pack": true})).status, 403);
    let left = ask(&daemon, OWNER, "POST", path, json!({"reason": "left", "pack": true}));
    assert_eq!(left.status, 200, "{:?}", left.json);
    let names: Vec<&str> =
        left.json["pack"]["files"].as_array().unwrap().iter().map(|f| f["path"].as_str().unwrap()).collect();
    assert!(names.contains(&"manifest.json") && names.contains(&"evidence.md"), "{names:?}");
    let answer = daemon.dir.path().join("answer.json");
    std::fs::write(&answer, left.json.to_string()).unwrap();
    let out = daemon.cli(&["audit", "verify", "--pack", answer.to_str().unwrap(), "--json"]);
    assert!(out.status.success(), "{out:?}");
}
