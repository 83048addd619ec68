//! Who may open which organisation.

use std::collections::BTreeMap;

use ledgerward_contract::{
    AccessFact, Cursor, ErrorKind, Factory, LedgerId, LedgerRole, LedgerRow, Result, RoleTable, Scope, Standing,
};
use ledgerward_kit::testing::World;
use ledgerward_xero::{FACTORY, fake::Fake};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common::{ACME, BIRCH, SCOPES, VENDOR, sample, world};

async fn users(w: &World, ledger: &str) -> Result<Vec<AccessFact>> {
    let ledger = LedgerId::from(ledger);
    let source = w.connector.ledgers().unwrap();
    Ok(source.access(&w.read(), Scope::One(&ledger), Cursor::Start).await?.items)
}

async fn ledgers(w: &World) -> Vec<LedgerRow> {
    w.connector.ledgers().unwrap().ledgers(&w.read(), Cursor::Start).await.unwrap().items
}

fn of<'a>(facts: &'a [AccessFact], email: &str) -> &'a AccessFact {
    facts.iter().find(|f| f.email.as_deref() == Some(email)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn organisations_are_ledgers_and_the_practice_is_none() {
    let own = "c4d9a7f2-0000-4000-8000-000000000012";
    let w = sample(json!({"practice_tenants": [own]}));
    let rows = ledgers(&w).await;
    assert_eq!(rows.len(), 13);
    let not: Vec<_> = rows.iter().filter(|r| !r.is_ledger).map(|r| r.name.as_str()).collect();
    assert_eq!(not, ["Harbour & Co (own books)", "Harbour & Co Practice"]);
}

#[tokio::test(start_paused = true)]
async fn connections_are_found_under_either_spelling() {
    let w = sample(json!({}));
    w.control("set_outage", json!({"kind": 404, "path": "/Connections"}));
    assert_eq!(ledgers(&w).await.len(), 13);
    w.control("set_outage", json!({"kind": 404, "path": "/connections"}));
    let e = w.connector.ledgers().unwrap().ledgers(&w.read(), Cursor::Start).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::NotFound, "never an empty list");
}

#[tokio::test(start_paused = true)]
async fn users_come_with_their_own_words_and_standing() {
    let w = sample(json!({}));
    let acme = users(&w, ACME).await.unwrap();
    let bob = of(&acme, "bob@harbour.example");
    assert_eq!(
        (bob.name.as_str(), bob.role.as_str(), &bob.standing),
        ("Bob Hale", "FINANCIALADVISER", &Standing::Active)
    );
    let birch = users(&w, BIRCH).await.unwrap();
    assert_eq!(of(&birch, "bob@harbour.example").user, bob.user, "one login is one id");
    let dune = users(&w, "c4d9a7f2-0000-4000-8000-000000000004").await.unwrap();
    assert_eq!(of(&dune, "eve@harbour.example").standing, Standing::Removed);
    let cafe = users(&w, "c4d9a7f2-0000-4000-8000-000000000008").await.unwrap();
    assert_eq!(of(&cafe, "eve@harbour.example").standing, Standing::Unknown("UNKNOWN".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn p02_p18_removed_dropped_and_empty_are_three_things() {
    let w = sample(json!({}));
    w.control("remove_user", json!({"tenant": ACME, "user": "bob@harbour.example"}));
    assert_eq!(of(&users(&w, ACME).await.unwrap(), "bob@harbour.example").standing, Standing::Removed);
    w.control("drop_user", json!({"tenant": ACME, "user": "bob@harbour.example"}));
    assert_eq!(users(&w, ACME).await.unwrap().len(), 3);
    w.control("empty_users", json!({"tenant": ACME}));
    assert_eq!(users(&w, ACME).await.unwrap(), []);
    assert_eq!(users(&w, BIRCH).await.unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn i05_a_changed_address_keeps_its_id() {
    let w = sample(json!({}));
    let before = of(&users(&w, ACME).await.unwrap(), "bob@harbour.example").user.clone();
    w.control("change_email", json!({"tenant": ACME, "user": "bob@harbour.example", "email": "robert@x.example"}));
    assert_eq!(of(&users(&w, ACME).await.unwrap(), "robert@x.example").user, before);
}

#[tokio::test(start_paused = true)]
async fn p08_a_disconnected_tenant_is_that_ledger_alone() {
    let w = sample(json!({}));
    w.control("disconnect_tenant", json!({"tenant": ACME}));
    let e = users(&w, ACME).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Forbidden, Some(ACME)));
    assert!(e.next.is_some() && e.get("request_id").is_some());
    assert!(users(&w, BIRCH).await.is_ok());
    assert_eq!(ledgers(&w).await.len(), 12);
    w.control("reconnect_tenant", json!({"tenant": ACME}));
    assert!(users(&w, ACME).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn p08_a_signing_in_account_that_lost_access_says_nothing_of_others() {
    let w = sample(json!({}));
    w.control("remove_user", json!({"tenant": ACME, "user": "ana@harbour.example"}));
    let e = users(&w, ACME).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Forbidden, Some(ACME)));
}

#[tokio::test(start_paused = true)]
async fn p07_an_expired_or_revoked_token_is_the_sign_in() {
    let w = sample(json!({}));
    assert!(users(&w, ACME).await.is_ok());
    w.control("expire_tokens", json!({}));
    assert_eq!(users(&w, ACME).await.unwrap_err().kind, ErrorKind::Unauthenticated);
    let w = sample(json!({}));
    w.control("revoke_refresh", json!({}));
    assert_eq!(users(&w, ACME).await.unwrap_err().kind, ErrorKind::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn a_missing_scope_is_a_refusal_and_no_dead_sign_in() {
    let w = world(Fake::sample().unwrap(), json!({}), "openid files.read");
    assert_eq!(users(&w, ACME).await.unwrap_err().kind, ErrorKind::Forbidden);
}

#[tokio::test(start_paused = true)]
async fn p14_a_missing_field_of_access_is_no_list() {
    for field in ["OrganisationRole", "UserID", "EmailAddress", "Users", "Status"] {
        let w = sample(json!({}));
        w.control("set_outage", json!({"kind": "missing_field", "field": field, "path": "/api.xro/2.0/Users"}));
        let e = users(&w, ACME).await.unwrap_err();
        assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Contract, Some(ACME)), "{field}: {e:?}");
    }
    let w = sample(json!({}));
    w.control("set_outage", json!({"kind": "missing_field", "field": "OrganisationID"}));
    let e = w.connector.ledgers().unwrap().profile(&w.read(), &ACME.into()).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Contract);
}

#[tokio::test(start_paused = true)]
async fn p09_the_organisation_that_answers_is_the_one_asked() {
    let w = sample(json!({}));
    let source = w.connector.ledgers().unwrap();
    let profile = source.profile(&w.read(), &ACME.into()).await.unwrap();
    assert_eq!((profile.name.as_str(), profile.year_end), ("Acme Ltd", Some((3, 31))));
    assert_eq!(profile.locked_to, Some("2026-03-31".parse().unwrap()));
    assert!(profile.link.unwrap().ends_with("shortcode=!c4d9a"));
    w.control("swap_tenants", json!({"a": ACME, "b": BIRCH}));
    let e = source.profile(&w.read(), &ACME.into()).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger"), e.get("answered")), (ErrorKind::Contract, Some(ACME), Some(BIRCH)));
    w.control("set_lock_date", json!({"tenant": BIRCH, "date": "2026-09-30"}));
    w.control("swap_tenants", json!({"a": ACME, "b": BIRCH}));
    assert_eq!(source.profile(&w.read(), &BIRCH.into()).await.unwrap().locked_to, Some("2026-09-30".parse().unwrap()));
}

/// `/Users` names no organisation: whose list it is, `/Organisation` says.
#[tokio::test(start_paused = true)]
async fn p09_another_organisations_list_of_users_is_not_believed() {
    let w = sample(json!({}));
    let birch = users(&w, BIRCH).await.unwrap();
    let acme = users(&w, ACME).await.unwrap();
    w.control("swap_tenants", json!({"a": ACME, "b": BIRCH}));
    for _ in 0..2 {
        let e = users(&w, ACME).await.unwrap_err();
        assert_eq!((e.kind, e.get("ledger"), e.get("answered")), (ErrorKind::Contract, Some(ACME), Some(BIRCH)));
    }
    w.control("swap_tenants", json!({"a": ACME, "b": BIRCH}));
    assert_eq!((users(&w, ACME).await.unwrap(), users(&w, BIRCH).await.unwrap()), (acme, birch));
    // A process that begins while it lasts has seen no list before.
    let w = sample(json!({}));
    w.control("swap_tenants", json!({"a": ACME, "b": BIRCH}));
    assert_eq!(users(&w, ACME).await.unwrap_err().kind, ErrorKind::Contract);
}

#[tokio::test(start_paused = true)]
async fn p09_a_list_that_stays_as_it_was_costs_one_request() {
    let w = sample(json!({}));
    let asked = |w: &World| {
        let stats = w.control("stats", json!({}));
        ["Users", "Organisation"]
            .map(|what| stats["requests"][format!("GET /api.xro/2.0/{what}")].as_u64().unwrap_or(0))
    };
    for _ in 0..5 {
        users(&w, ACME).await.unwrap();
    }
    assert_eq!(asked(&w), [5, 1]);
    w.control("remove_user", json!({"tenant": ACME, "user": "bob@harbour.example"}));
    for _ in 0..5 {
        users(&w, ACME).await.unwrap();
    }
    assert_eq!(asked(&w), [10, 2], "what changed is proved once");
    users(&w, BIRCH).await.unwrap();
    assert_eq!(asked(&w), [11, 3], "each organisation for itself");
    let w = sample(json!({"tenant_is_organisation": false}));
    users(&w, ACME).await.unwrap();
    assert_eq!(asked(&w), [1, 0], "nothing to compare with");
}

#[tokio::test(start_paused = true)]
async fn xml_is_not_data() {
    let w = sample(json!({}));
    w.control("set_outage", json!({"kind": "xml"}));
    let e = users(&w, ACME).await.unwrap_err();
    assert!(e.kind == ErrorKind::Contract && e.message.contains("XML"), "{e:?}");
}

#[test]
fn settings_are_named_when_they_are_wrong() {
    assert!(VENDOR.connector(Value::Null).is_ok() && VENDOR.connector(json!({})).is_ok());
    for (settings, name) in [
        (json!({"statement_line": true}), "statement_line"),
        (json!({"statement_lines": "yes"}), "statement_lines"),
        (json!({"practice_tenants": ["acme"]}), "practice_tenants"),
        (json!([1]), "table"),
    ] {
        let e = VENDOR.connector(settings).err().unwrap();
        assert!(e.kind == ErrorKind::Config && e.message.contains(name), "{e:?}");
    }
}

#[test]
fn the_manifest_agrees_with_itself_and_with_the_decisions() {
    let manifest = FACTORY.manifest();
    let table = RoleTable(manifest.roles.iter().map(|(r, d)| ((*r).to_owned(), (*d).into())).collect());
    assert_eq!(table.resolve("READONLY"), LedgerRole::Reader);
    assert_eq!(table.resolve("INVOICEONLY"), LedgerRole::Nothing);
    for role in ["ADMIN", "UNKNOWN", "standard", ""] {
        assert_eq!(table.resolve(role), LedgerRole::Unmapped(role.to_owned()));
    }
    let settings: BTreeMap<_, _> = manifest.settings.iter().copied().collect();
    assert_eq!(settings.len(), 3);
}

proptest! {
    #[test]
    fn p15_any_role_passes_as_it_is(role in "[A-Z_]{1,20}") {
        let body = json!({"Status": "OK", "Users": [{"UserID": "1f0e8a11-0000-4000-8000-0000000000f1",
            "EmailAddress": null, "OrganisationRole": role}]});
        let facts = ledgerward_xero::map::users(&ACME.into(), body.to_string().as_bytes()).unwrap();
        prop_assert_eq!(&facts[0].role, &role);
    }

    #[test]
    fn any_bytes_give_an_error_or_a_value(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = ledgerward_xero::map::users(&ACME.into(), &body);
        let _ = ledgerward_xero::map::report(&body);
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_organisations_are_listed() {
    let w = world(Fake::many(10_000).unwrap(), json!({}), SCOPES);
    let rows = ledgers(&w).await;
    assert_eq!(rows.len(), 10_000);
    assert_eq!(users(&w, rows[9_999].id.as_str()).await.unwrap().len(), 3);
}
