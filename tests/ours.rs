//! What we granted stays ours until it is seen to be gone: nobody else would ever take it away.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod common;

use std::{collections::BTreeSet, thread, time::Duration};

use common::{
    Firm,
    proxy::{Fault, Rule},
};
use serde_json::{Value, json};

const BOB: &str = "bob@harbour.example";
const DEV: &str = "dev@harbour.example";
/// Nobody of the firm.
const VI: &str = "vi@harbour.example";

/// Longer than the test firm's `confirm_after`.
const CONFIRMS: Duration = Duration::from_millis(2200);

/// Whom we let into a client's folder on Drive, as the state says.
fn ours(firm: &Firm, client: &str) -> BTreeSet<String> {
    let told = firm.ask(&["holders", "list", "--client", client, "--json", "--quiet"]).json();
    let all = told.pointer("/holders").and_then(Value::as_array).unwrap().iter();
    let word = |h: &Value, key: &str| h.get(key).and_then(Value::as_str).unwrap().to_owned();
    all.filter(|h| word(h, "target") == "drive" && word(h, "state") == "ours").map(|h| word(h, "holder")).collect()
}

fn by_hand(firm: &Firm, verb: &str, who: &str) {
    firm.at("drive", verb, json!({"file": "Acme Ltd", "type": "user", "email": who, "role": "reader"}));
}

#[test]
fn s01_a_grant_that_lands_after_the_first_look_is_ours() {
    let firm = Firm::at_rest();
    firm.must(&["people", "mode", DEV, "all"]);
    let rule =
        Rule { method: "POST", path: "/permissions", skip: 0, times: usize::MAX, fault: Fault::Status(503, None) };
    firm.proxies["drive"].spoil(Some(rule));
    assert_eq!(firm.sync().exit, 5);
    assert!(firm.proxies["drive"].hits() > 0);
    by_hand(&firm, "share", DEV);
    firm.proxies["drive"].spoil(None);
    firm.must(&["people", "mode", DEV, "selected"]);
    let told = firm.sync();
    assert_eq!(told.exit, 0, "{told:?}");
    assert!(!firm.lists()["Acme Ltd"].contains(DEV), "taken back, and no stranger: {told:?}");
}

#[test]
fn an_order_to_close_takes_back_what_was_given_under_an_earlier_address() {
    let firm = Firm::at_rest();
    assert!(firm.lists()["Acme Ltd"].contains(BOB));
    firm.must(&["people", "edit", "bob", "--email", "robert@harbour.example"]);
    let told = firm.ask(&["revoke", "robert", "--now", "--reason", "left"]);
    let left: Vec<String> =
        firm.lists().into_iter().filter(|(_, who)| who.contains(BOB)).map(|(name, _)| name).collect();
    assert_eq!(left, Vec::<String>::new(), "{told:?}");
}

#[test]
fn s10_one_list_that_lacks_an_entry_does_not_end_what_is_ours() {
    let firm = Firm::at_rest();
    firm.at("xero", "set_role", json!({"tenant": "Acme Ltd", "user": BOB, "role": "REMOVED"}));
    by_hand(&firm, "unshare", BOB);
    firm.must(&["sync", "--yes"]);
    by_hand(&firm, "share", BOB);
    firm.must(&["sync", "--yes"]);
    assert!(!firm.lists()["Acme Ltd"].contains(BOB), "the list was short once, and it is ours to take away");

    let firm = Firm::at_rest();
    firm.at("xero", "set_role", json!({"tenant": "Acme Ltd", "user": BOB, "role": "REMOVED"}));
    by_hand(&firm, "unshare", BOB);
    firm.must(&["sync", "--yes"]);
    thread::sleep(CONFIRMS);
    firm.must(&["sync", "--yes"]);
    by_hand(&firm, "share", BOB);
    assert_eq!(firm.sync().exit, 5, "no file goes where a stranger is");
    assert!(firm.lists()["Acme Ltd"].contains(BOB), "two lists ended it: whoever lets him in now is somebody else");
    assert!(!ours(&firm, "acme-ltd").contains(BOB));
}

const GRAPH: &str = r#"client_id = "test-graph"
client_secret = { file = "graph-secret" }
endpoints = { api = "{url}/v1.0", login = "{url}/organizations", content = "{url}" }
sharing = "mirror"
formats = ["csv"]
"#;

/// A firm at rest that has a OneDrive beside its Drive, with Acme on both.
fn with_graph() -> Firm {
    let mut firm = Firm::at_rest();
    firm.secret("graph-secret", "test-graph-word");
    let user = |p: &str| json!({"upn": format!("{p}@harbour.example"), "name": p});
    let users = ["ledgers", "ana", "bob", "cleo", "dev", "vi"].map(user);
    let seed = json!({
        "clients": [{"id": "test-graph", "secret": "test-graph-word"}], "consent": "ledgers@harbour.example",
        "users": users, "folders": [], "policy": {},
        "drives": [{"id": "b!Ledgers", "user": "ledgers@harbour.example", "kind": "business", "room": 1_099_511_627_776_u64}],
    });
    firm.add_target("graph", "microsoft-graph", &seed, GRAPH);
    for slug in ["birch-llp", "cedar-bakery"] {
        firm.must(&["clients", "targets", slug, "drive", "disk"]);
    }
    firm.sync();
    firm.approve_all();
    firm.sync();
    firm
}

#[test]
fn s11_a_revoke_that_a_target_swallowed_is_made_again() {
    let firm = with_graph();
    let on_graph = || {
        let told = firm.ask(&["holders", "list", "--client", "acme-ltd", "--json", "--quiet"]).json();
        let all = told.pointer("/holders").and_then(Value::as_array).unwrap().clone();
        all.into_iter().any(|h| h["target"] == "graph" && h["holder"] == BOB)
    };
    assert!(on_graph());
    firm.at("xero", "set_role", json!({"tenant": "Acme Ltd", "user": BOB, "role": "REMOVED"}));
    let rule =
        Rule { method: "DELETE", path: "/permissions/", skip: 0, times: usize::MAX, fault: Fault::Status(204, None) };
    firm.proxies["graph"].spoil(Some(rule));
    let told = firm.sync();
    assert!(firm.proxies["graph"].hits() > 0 && on_graph(), "{told:?}");
    assert_eq!(told.exit, 5, "{told:?}");
    firm.proxies["graph"].spoil(None);
    firm.must(&["sync", "--yes"]);
    assert!(!on_graph(), "still ours, so it goes");
}

#[test]
fn a_link_for_certain_people_is_nobodys_grant_and_is_taken_off_by_itself() {
    let firm = with_graph();
    let on_graph = || -> Vec<Value> {
        let told = firm.ask(&["holders", "list", "--client", "acme-ltd", "--json", "--quiet"]).json();
        let all = told.pointer("/holders").and_then(Value::as_array).unwrap().clone();
        all.into_iter().filter(|h| h["target"] == "graph").collect()
    };
    let states = |who: &str| -> Vec<String> {
        let of: Vec<Value> = on_graph().into_iter().filter(|h| h["holder"] == who).collect();
        of.iter().map(|h| h["state"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((states(BOB), states(VI)), (vec!["ours".to_owned()], vec![]));
    firm.at("graph", "share", json!({"item": "Acme Ltd", "link": "users", "people": [BOB, VI]}));
    assert_eq!(states(VI), ["stranger"]);
    assert!(states(BOB).contains(&"ours".to_owned()));
    let refused = firm.ask(&["holders", "adopt", "acme-ltd", "graph", VI]);
    assert_ne!(refused.exit, 0, "{refused:?}");
    let refused = firm.ask(&["holders", "remove", "acme-ltd", "graph", VI, "--reason", "by mistake"]);
    assert!(refused.exit != 0 && refused.err.contains("the link "), "{refused:?}");
    let link = |h: &Value| h["holder"].as_str().filter(|h| h.starts_with("unknown:the link ")).map(str::to_owned);
    let link = on_graph().iter().find_map(link).unwrap();
    firm.must(&["holders", "remove", "acme-ltd", "graph", &link, "--reason", "by mistake"]);
    assert_eq!((states(BOB), states(VI)), (vec!["ours".to_owned()], vec![]));
    firm.must(&["sync", "--yes"]);
    assert_eq!(states(BOB), ["ours"]);
}
