//! Who may open which books.

use std::time::Duration;

use ledgerward_contract::{Cursor, ErrorKind, Factory, LedgerId, LedgerRole, Retry, RoleTable, Scope, Standing};
use ledgerward_zoho_books::{FACTORY, fake::Fake};
use serde_json::{Value, json};

use crate::common::{CEDAR, FJORD, KELP, LARCH, SCOPE, VENDOR, sample, world};

#[tokio::test(start_paused = true)]
async fn users_come_with_zohos_words_and_the_table_says_what_they_give() {
    let w = sample(json!({}));
    let mut all = Vec::new();
    for ledger in [CEDAR, FJORD, KELP] {
        all.extend(w.access(ledger).await.unwrap());
    }
    let table = RoleTable(FACTORY.manifest().roles.iter().map(|(r, d)| ((*r).to_owned(), (*d).into())).collect());
    let find = |ledger: &str, who: &str| {
        let fact = all.iter().find(|f| f.ledger == ledger.into() && f.email.as_deref() == Some(who)).unwrap();
        (table.resolve(&fact.role), fact.standing.clone())
    };
    assert_eq!(find(CEDAR, "ana@harbour.example"), (LedgerRole::Reader, Standing::Active));
    assert_eq!(find(CEDAR, "ann@harbour.example"), (LedgerRole::Reader, Standing::Active));
    assert_eq!(find(CEDAR, "dev@harbour.example"), (LedgerRole::Nothing, Standing::Active));
    assert_eq!(find(FJORD, "eve@harbour.example").1, Standing::Disabled);
    assert_eq!(find(KELP, "cleo@harbour.example").1, Standing::Pending);
    let custom = LedgerRole::Unmapped("Bookkeeper (no banking)".to_owned());
    assert_eq!(find(KELP, "bob@harbour.example"), (custom, Standing::Active));
    w.control("set_status", json!({"organization": CEDAR, "user": "ann@harbour.example", "status": "deleted"}));
    w.control("set_status", json!({"organization": CEDAR, "user": "dev@harbour.example", "status": "on_hold"}));
    let all = w.access(CEDAR).await.unwrap();
    let standing = |who: &str| all.iter().find(|f| f.email.as_deref() == Some(who)).unwrap().standing.clone();
    assert_eq!(standing("ann@harbour.example"), Standing::Removed);
    assert_eq!(standing("dev@harbour.example"), Standing::Unknown("on_hold".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn organisations_of_the_sign_in_are_listed_and_the_firms_own_are_no_clients() {
    let w = sample(json!({"own_organizations": ["810000004"]}));
    let rows = w.connector.ledgers().unwrap().ledgers(&w.read(), Cursor::Start).await.unwrap().items;
    let names: Vec<_> = rows.iter().map(|r| (r.name.as_str(), r.is_ledger)).collect();
    let expected = [
        ("Cedar Bakery", true),
        ("Fjord Fishing", true),
        ("Kelp Capital", true),
        ("Harbour & Co (own books)", false),
        ("Larch Ltd", true),
    ];
    assert_eq!(names, expected);
    let profile = w.connector.ledgers().unwrap().profile(&w.read(), &CEDAR.into()).await.unwrap();
    assert_eq!((profile.year_end, profile.currency.as_deref()), (Some((3, 31)), Some("NZD")));
}

#[tokio::test(start_paused = true)]
async fn p08_where_our_user_is_no_admin_that_organisation_alone_is_refused() {
    let w = sample(json!({}));
    let e = w.access(LARCH).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger"), e.get("code")), (ErrorKind::Forbidden, Some(LARCH), Some("57")));
    assert!(w.access(CEDAR).await.is_ok());
    w.control("set_role", json!({"organization": CEDAR, "user": "ana@harbour.example", "role": "staff"}));
    assert_eq!(w.access(CEDAR).await.unwrap_err().kind, ErrorKind::Forbidden);
}

#[tokio::test(start_paused = true)]
async fn a_dead_token_is_the_sign_ins_matter() {
    let w = sample(json!({}));
    w.connector.ledgers().unwrap().ledgers(&w.read(), Cursor::Start).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3601)).await;
    assert_eq!(w.access(CEDAR).await.unwrap_err().kind, ErrorKind::Unauthenticated);
    let e = w.connector.ledgers().unwrap().ledgers(&w.read(), Cursor::Start).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn p10_a_hundred_a_minute_a_days_calls_and_five_at_once() {
    let w = sample(json!({}));
    // The first list is proved to be Cedar's, which is a request more.
    for _ in 0..99 {
        w.access(CEDAR).await.unwrap();
    }
    let e = w.access(CEDAR).await.unwrap_err();
    assert_eq!((e.kind, e.get("limit")), (ErrorKind::RateLimited, Some("minute")));
    assert_eq!(e.retry, Retry::After(Duration::from_secs(60)), "Zoho names no wait");
    assert!(w.access(FJORD).await.is_ok(), "another organisation has its own minute");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(w.access(CEDAR).await.is_ok());
    w.control("set_limit", json!({"day": 101}));
    let e = w.access(CEDAR).await.unwrap_err();
    assert_eq!((e.get("limit"), e.retry), (Some("day"), Retry::After(Duration::from_secs(3600))));

    let mut seed: Value = serde_json::from_str(include_str!("../../../../fixtures/zoho-books/firm.json")).unwrap();
    seed["app"]["latency_ms"] = json!(400);
    let w = world(Fake::from_seed(&seed).unwrap(), json!({}), SCOPE);
    let ask = || w.access(CEDAR);
    ask().await.unwrap();
    let all = tokio::join!(ask(), ask(), ask(), ask(), ask(), ask());
    assert_eq!(all.5.unwrap_err().get("limit"), Some("concurrent"));
    assert!(all.4.is_ok());
}

/// `/users` names no organisation: whose list it is, `/organizations/{id}` says.
#[tokio::test(start_paused = true)]
async fn p09_another_organisations_list_of_users_is_not_believed() {
    let w = sample(json!({}));
    let cedar = w.access(CEDAR).await.unwrap();
    w.control("swap_organizations", json!({"a": CEDAR, "b": FJORD}));
    for ledger in [CEDAR, CEDAR, FJORD] {
        let e = w.access(ledger).await.unwrap_err();
        let other = if ledger == CEDAR { FJORD } else { CEDAR };
        assert_eq!((e.kind, e.get("ledger"), e.get("answered")), (ErrorKind::Contract, Some(ledger), Some(other)));
    }
    w.control("swap_organizations", json!({"a": CEDAR, "b": FJORD}));
    assert_eq!(w.access(CEDAR).await.unwrap(), cedar);
}

#[tokio::test(start_paused = true)]
async fn p09_a_list_that_stays_as_it_was_costs_one_request() {
    let w = sample(json!({}));
    let asked = || {
        let stats = w.control("stats", json!({}));
        let of = |path: String| stats["requests"][format!("GET /books/v3/{path}")].as_u64().unwrap_or(0);
        [of("users".to_owned()), of(format!("organizations/{CEDAR}"))]
    };
    for _ in 0..5 {
        w.access(CEDAR).await.unwrap();
    }
    assert_eq!(asked(), [5, 1]);
    w.control("set_role", json!({"organization": CEDAR, "user": "ann@harbour.example", "role": "staff"}));
    for _ in 0..5 {
        w.access(CEDAR).await.unwrap();
    }
    assert_eq!(asked(), [10, 2], "what changed is proved once");
}

#[tokio::test(start_paused = true)]
async fn p14_what_decides_has_no_default() {
    for field in ["users", "user_id", "email", "user_role", "status", "page_context", "has_more_page", "page", "code"] {
        let w = sample(json!({}));
        w.control("set_outage", json!({"kind": "missing_field", "field": field, "path": "/books"}));
        assert_eq!(w.access(CEDAR).await.unwrap_err().kind, ErrorKind::Contract, "{field}");
    }
    for field in ["organizations", "organization_id", "name"] {
        let w = sample(json!({}));
        w.control("set_outage", json!({"kind": "missing_field", "field": field, "path": "/books"}));
        let e = w.connector.ledgers().unwrap().ledgers(&w.read(), Cursor::Start).await.unwrap_err();
        assert_eq!(e.kind, ErrorKind::Contract, "{field}");
    }
}

#[tokio::test(start_paused = true)]
async fn p04_p05_answers_that_are_no_answer() {
    for (outage, kind) in [
        (json!({"kind": "refusal", "code": 1000}), ErrorKind::Contract),
        (json!({"kind": "refusal", "code": 57}), ErrorKind::Forbidden),
        (json!({"kind": "refusal", "code": 44}), ErrorKind::RateLimited),
        (json!({"kind": "empty"}), ErrorKind::Contract),
        (json!({"kind": "blank"}), ErrorKind::Contract),
        (json!({"kind": "cut"}), ErrorKind::Contract),
        (json!({"kind": "html"}), ErrorKind::Unavailable),
        (json!({"kind": 500, "code": 1000}), ErrorKind::Unavailable),
        (json!({"kind": 400, "code": 45}), ErrorKind::RateLimited),
        (json!({"kind": 401, "code": 14}), ErrorKind::Unauthenticated),
        (json!({"kind": 404, "code": 5}), ErrorKind::NotFound),
    ] {
        let w = sample(json!({}));
        w.control("set_outage", outage.clone());
        let e = w.access(CEDAR).await.unwrap_err();
        assert_eq!((e.kind, e.get("ledger")), (kind, Some(CEDAR)), "{outage}: {e:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn p12_the_same_page_again_is_an_error() {
    let w = sample(json!({}));
    w.control("set_page", json!({"max": 2}));
    assert_eq!(w.access(KELP).await.unwrap().len(), 5);
    w.control("set_outage", json!({"kind": "repeat_page"}));
    assert_eq!(w.access(KELP).await.unwrap_err().kind, ErrorKind::Contract);
}

#[tokio::test(start_paused = true)]
async fn odd_ids_and_cursors_never_reach_zoho() {
    let w = sample(json!({}));
    for id in ["", "810000001&organization_id=810000002", "../organizations", "x"] {
        assert_eq!(w.access(id).await.unwrap_err().kind, ErrorKind::Contract, "{id}");
    }
    let ledger = LedgerId::from(CEDAR);
    let cursor = Cursor::At("two".to_owned());
    assert!(w.connector.ledgers().unwrap().access(&w.read(), Scope::One(&ledger), cursor).await.is_err());
    assert_eq!(
        w.connector.ledgers().unwrap().access(&w.read(), Scope::All, Cursor::Start).await.unwrap_err().kind,
        ErrorKind::Unsupported
    );
    assert!(w.wire.inner.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_filter_can_be_changed_or_left_out() {
    for (filter, seen) in [(json!("Status.All"), 3), (json!("Status.Active"), 2), (json!(""), 3)] {
        let w = sample(json!({"users_filter": filter}));
        w.control("drop_user", json!({"organization": FJORD, "user": "liv@fjord.example"}));
        assert_eq!(w.access(FJORD).await.unwrap().len(), seen);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_without_the_scope_reads_nothing() {
    let w = world(Fake::sample().unwrap(), json!({}), "ZohoBooks.banking.READ");
    let e = w.access(CEDAR).await.unwrap_err();
    assert!(e.kind == ErrorKind::Forbidden && e.next.as_ref().unwrap().contains(SCOPE), "{e:?}");
}

#[test]
fn wrong_settings_are_refused_by_name() {
    for (settings, name) in [
        (json!({"own_organisations": []}), "own_organisations"),
        (json!({"own_organizations": "1"}), "own_organizations"),
        (json!({"users_filter": 3}), "users_filter"),
        (json!(7), "table"),
    ] {
        let e = VENDOR.connector(settings).err().unwrap();
        assert!(e.kind == ErrorKind::Config && format!("{e:?}").contains(name), "{e:?}");
    }
}

#[test]
fn the_demos_organisations_are_a_seed() {
    let seed = serde_json::from_str(include_str!("../../../../fixtures/firm/zoho-books.json")).unwrap();
    assert!(Fake::from_seed(&seed).is_ok());
}
