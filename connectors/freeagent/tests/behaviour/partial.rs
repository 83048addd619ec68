//! A junior account manager's list of clients looks like a whole one.

use ledgerward_contract::{ErrorKind, StatementKind};
use ledgerward_freeagent::fake::Fake;
use ledgerward_kit::testing::World;
use serde_json::{Value, json};

use crate::common::{ACME, connector_at, october, world};

fn signed_in(email: &str, settings: Value) -> World {
    world(Fake::sample().unwrap(), email, settings)
}

#[tokio::test(start_paused = true)]
async fn a_senior_sees_all_clients() {
    let list = signed_in("ana@harbour.example", json!({})).ledgers().await.unwrap();
    let names: Vec<_> = list.iter().map(|l| (l.id.as_str(), l.name.as_str())).collect();
    assert_eq!(names[..2], [("101-acme", "Acme Ltd"), ("102-birch", "Birch LLP")]);
    assert_eq!(names.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_juniors_list_is_refused_and_says_what_to_do() {
    // The vendor answers 200 with two of four clients and counts two.
    let e = signed_in("bob@harbour.example", json!({})).ledgers().await.unwrap_err();
    assert_eq!(
        (e.kind, e.get("reason"), e.get("account_manager")),
        (ErrorKind::Config, Some("partial_list"), Some("8"))
    );
    assert!(e.next.unwrap().contains("senior account manager"));
}

#[tokio::test(start_paused = true)]
async fn a_junior_without_any_client_is_refused_too() {
    let e = signed_in("ann@harbour.example", json!({})).ledgers().await.unwrap_err();
    assert_eq!(e.get("reason"), Some("partial_list"));
}

#[tokio::test(start_paused = true)]
async fn a_senior_who_becomes_a_junior_is_noticed() {
    let w = signed_in("ana@harbour.example", json!({}));
    assert_eq!(w.ledgers().await.unwrap().len(), 4);
    w.control("set_senior", json!({"email": "ana@harbour.example", "on": false}));
    assert_eq!(w.ledgers().await.unwrap_err().get("reason"), Some("partial_list"));
}

#[tokio::test(start_paused = true)]
async fn small_pages_show_the_junior_only_at_the_end_and_still_refuse() {
    for (email, whole) in [("ana@harbour.example", true), ("bob@harbour.example", false)] {
        let w = signed_in(email, json!({}));
        w.control("page_size", json!({"most": 1}));
        assert_eq!(w.ledgers().await.is_ok(), whole, "{email}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_firm_can_say_that_one_person_manages_all() {
    let only_ana = |settings| {
        let w = signed_in("ana@harbour.example", settings);
        for client in ["acme", "birch", "cedarbakery", "dunedental"] {
            w.control("assign", json!({"client": client, "manager": 7}));
        }
        w
    };
    let e = only_ana(json!({})).ledgers().await.unwrap_err();
    assert!(e.next.unwrap().contains("manager_of_all = \"7\""));
    assert_eq!(only_ana(json!({"manager_of_all": "7"})).ledgers().await.unwrap().len(), 4);
    // It is said of one person, and not of whoever signs in next.
    let e = signed_in("bob@harbour.example", json!({"manager_of_all": "7"})).ledgers().await.unwrap_err();
    assert_eq!(e.get("reason"), Some("partial_list"));
}

#[tokio::test(start_paused = true)]
async fn a_list_shorter_than_the_firm_knows_is_refused() {
    let e = signed_in("ana@harbour.example", json!({"clients_at_least": 5})).ledgers().await.unwrap_err();
    assert_eq!((e.get("listed"), e.get("at_least")), (Some("4"), Some("5")));
    assert!(signed_in("ana@harbour.example", json!({"clients_at_least": 4})).ledgers().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_only_account_manager_of_a_practice_has_the_whole_list() {
    let seed = json!({"app": {"client_id": "a", "client_secret": "b"}, "practice": "One & Co",
        "managers": [{"id": 1, "name": "Una", "email": "una@one.example"}],
        "clients": [{"id": 5, "name": "Solo", "subdomain": "solo", "account_manager": 1}]});
    let w = world(Fake::from_seed(&seed).unwrap(), "una@one.example", json!({}));
    assert_eq!(w.ledgers().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn clients_whose_manager_is_not_named_prove_nothing() {
    let w = signed_in("bob@harbour.example", json!({}));
    w.control("set_outage", json!({"kind": "missing_field", "field": "account_manager", "path": "/v2/clients"}));
    assert_eq!(w.ledgers().await.unwrap_err().get("reason"), Some("partial_list"));
}

#[tokio::test(start_paused = true)]
async fn an_app_without_the_practice_api_is_told_apart() {
    let mut seed: Value = serde_json::from_str(include_str!("../../../../fixtures/freeagent/firm.json")).unwrap();
    seed["app"]["practice_api"] = json!(false);
    let w = world(Fake::from_seed(&seed).unwrap(), "ana@harbour.example", json!({}));
    let e = w.ledgers().await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Forbidden);
    assert!(e.next.unwrap().contains("Enable Accountancy Practice API"));
}

/// The demo's firm at FreeAgent.
#[tokio::test(start_paused = true)]
async fn the_sample_firm_is_read() {
    let seed = serde_json::from_str(include_str!("../../../../fixtures/firm/freeagent.json")).unwrap();
    let w = world(Fake::from_seed(&seed).unwrap(), "ana@harbour.example", json!({}));
    assert_eq!(w.ledgers().await.unwrap().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn everything_works_under_another_address() {
    let base = "http://127.0.0.1:8801/v2";
    let mut w = world(Fake::sample().unwrap().at(base), "ana@harbour.example", json!({}));
    w.connector = connector_at(base);
    w.control("page_size", json!({"most": 2}));
    assert_eq!(w.ledgers().await.unwrap().len(), 4);
    w.fetched(ACME, &october(StatementKind::BankRegister)).await.unwrap();
}
