//! Companies, sign-ins, and the users that are not listed.

use ledgerward_contract::{Cursor, ErrorKind, LedgerId, ReadCx, Retry, Scope, Seats};
use ledgerward_kit::fake::Fake as _;
use ledgerward_kit::testing::now;
use ledgerward_quickbooks::fake::Fake;
use serde_json::json;

use crate::common::{ACME, BIRCH, QUIET, VENDOR, sample};

#[tokio::test(start_paused = true)]
async fn a_sign_in_reaches_its_own_company_and_no_other() {
    let w = sample(ACME, json!({}));
    let source = w.connector.ledgers().unwrap();
    let rows = source.ledgers(&w.read(), Cursor::Start).await.unwrap().items;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].id.as_str(), rows[0].name.as_str(), rows[0].is_ledger), (ACME, "Acme Ltd", true));
    let before = w.wire.inner.requests().len();
    let other = source.profile(&w.read(), &BIRCH.into()).await.unwrap_err();
    assert_eq!((other.kind, other.get("ledger")), (ErrorKind::Forbidden, Some(BIRCH)));
    let unnamed = source.ledgers(&ReadCx::new(w.wire.clone(), now()), Cursor::Start).await.unwrap_err();
    assert_eq!(unnamed.kind, ErrorKind::Config);
    assert!(unnamed.next.is_some());
    assert_eq!(w.wire.inner.requests().len(), before, "nothing is asked for a company that is not ours");
    assert!(source.ledgers(&w.read(), Cursor::At("x".into())).await.is_err());
}

/// If our check failed, the vendor's would hold: the token is for one company.
#[tokio::test(start_paused = true)]
async fn the_vendor_refuses_a_token_of_another_company() {
    let mut w = sample(ACME, json!({}));
    w.realm = Some(BIRCH.to_owned());
    let e = w.connector.ledgers().unwrap().ledgers(&w.read(), Cursor::Start).await.unwrap_err();
    assert_eq!((e.kind, e.get("code"), e.get("ledger")), (ErrorKind::Forbidden, Some("3100"), Some(BIRCH)));
}

#[tokio::test(start_paused = true)]
async fn the_year_ends_before_its_first_month() {
    for (realm, end) in [(ACME, (12, 31)), (BIRCH, (2, 29))] {
        let w = sample(realm, json!({}));
        let profile = w.connector.ledgers().unwrap().profile(&w.read(), &realm.into()).await.unwrap();
        assert_eq!((profile.year_end, profile.country.as_deref()), (Some(end), Some("USA")));
    }
}

/// Each read is metered, and there is nobody's access to follow.
#[test]
fn what_a_company_says_stands_for_a_day() {
    let w = sample(ACME, json!({}));
    assert_eq!(w.connector.ledgers().unwrap().stands(), Some(std::time::Duration::from_secs(24 * 3600)));
    assert!(VENDOR.factory.manifest().access.is_none());
}

#[tokio::test(start_paused = true)]
async fn users_are_counted_and_not_listed() {
    let w = sample(ACME, json!({}));
    let (source, acme) = (w.connector.ledgers().unwrap(), LedgerId::from(ACME));
    let e = source.access(&w.read(), Scope::One(&acme), Cursor::Start).await.unwrap_err();
    assert_eq!((e.kind, e.retry, e.get("ledger")), (ErrorKind::Unsupported, Retry::No, Some(ACME)));
    let seats = async || source.seats(&w.read(), &acme).await;
    assert_eq!(seats().await.unwrap(), Some(Seats { users: 3, accountants: Some(1) }));
    w.control("set_users", json!({"company": ACME, "users": 4, "accountants": 2}));
    assert_eq!(seats().await.unwrap(), Some(Seats { users: 4, accountants: Some(2) }), "somebody came since");
    // A count that cannot be read is no count, and no other one.
    for outage in [json!(500), json!(404), json!("html"), json!("empty"), json!("cut")] {
        w.control("set_outage", json!({"kind": outage, "path": "entitlements", "count": 1}));
        assert_eq!(seats().await.unwrap(), None, "{outage}");
    }
    // A sign-in that has ended says nothing about the company.
    for (outage, kind) in [(401, ErrorKind::Unauthenticated), (403, ErrorKind::Forbidden)] {
        w.control("set_outage", json!({"kind": outage, "path": "entitlements", "count": 1}));
        assert_eq!(seats().await.unwrap_err().kind, kind);
    }
    let all = source.access(&w.read(), Scope::All, Cursor::Start).await.unwrap_err();
    assert_eq!(all.kind, ErrorKind::Unsupported);
    assert_eq!(source.seats(&w.read(), &BIRCH.into()).await.unwrap_err().kind, ErrorKind::Forbidden);
}

#[tokio::test(start_paused = true)]
async fn counting_users_can_be_switched_off() {
    let w = sample(QUIET, json!({"count_users": false}));
    let source = w.connector.ledgers().unwrap();
    assert_eq!(source.seats(&w.read(), &QUIET.into()).await.unwrap(), None);
    assert!(w.wire.inner.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn p08_a_disconnected_or_lapsed_company_freezes_itself_alone() {
    let w = sample(ACME, json!({}));
    let ledgers = async || w.connector.ledgers().unwrap().ledgers(&w.read(), Cursor::Start).await.unwrap_err();
    w.control("disconnect", json!({"company": ACME}));
    let e = ledgers().await;
    assert_eq!(
        (e.kind, e.get("ledger"), e.get("reason")),
        (ErrorKind::Forbidden, Some(ACME), Some("company_not_connected"))
    );
    w.control("reconnect", json!({"company": ACME}));
    w.control("suspend", json!({"company": ACME}));
    let e = ledgers().await;
    assert_eq!((e.kind, e.get("code")), (ErrorKind::Forbidden, Some("6190")));
}

#[test]
fn settings_are_named_when_they_are_wrong() {
    assert!(
        VENDOR.connector(json!(null)).is_ok()
            && VENDOR.connector(json!({"count_users": false, "minor_version": 76})).is_ok()
    );
    for (settings, word) in [
        (json!({"users": 1}), "users"),
        (json!({"count_users": "no"}), "count_users"),
        (json!({"minor_version": -1}), "minor_version"),
        (json!([]), "table"),
    ] {
        let e = VENDOR.connector(settings).err().unwrap();
        assert!(e.kind == ErrorKind::Config && e.message.contains(word), "{e}");
        assert!(word == "table" || e.next.is_some(), "{e}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_fake_is_the_same_after_a_restart() {
    let w = sample(ACME, json!({}));
    w.control("suspend", json!({"company": BIRCH}));
    let saved = w.fake.lock().unwrap().save();
    let again = Fake::restore(&saved, "https://intuit-qbo-prod-23.s3.amazonaws.com").unwrap();
    assert_eq!(again.save(), saved);
    assert!(Fake::restore(&json!({"app": 1}), "x").is_err());
    let firm = serde_json::from_str(include_str!("../../../../fixtures/firm/quickbooks.json")).unwrap();
    assert!(Fake::from_seed(&firm).is_ok());
    assert!(Fake::from_seed(&json!({"app": {}})).is_err());
}
