//! Who may open a company, by every way that Business Central has.

use std::time::Duration;

use ledgerward_business_central::{api::next_query, fake::Fake};
use ledgerward_contract::{ErrorKind, Retry, Standing};
use ledgerward_kit::fake::Fake as _;
use ledgerward_kit::testing::World;
use serde_json::{Value, json};

use crate::common::{ACME, BIRCH, CEDAR, OTHER_ACME, VENDOR, connector_at, sample, world};

/// Name, role and standing, by name.
async fn people(w: &World, ledger: &str) -> Vec<(String, String, Standing)> {
    let list = w.access(ledger).await.unwrap();
    let mut rows: Vec<_> = list.iter().map(|f| (f.name.clone(), f.role.clone(), f.standing.clone())).collect();
    rows.sort();
    rows
}

fn row(name: &str, role: &str, standing: Standing) -> (String, String, Standing) {
    (name.to_owned(), role.to_owned(), standing)
}

const FULL: &str = "D365 BUS FULL ACCESS";

#[tokio::test(start_paused = true)]
async fn a_set_counts_for_its_company_or_for_all() {
    use Standing::{Active, Disabled};
    let w = sample(json!({}));
    assert_eq!(
        people(&w, ACME).await,
        [
            row("Ana Ruiz", "SUPER", Active),
            // By the group BOOKS alone.
            row("Ann Okafor", FULL, Active),
            // The decisive one of two.
            row("Bob Hale", FULL, Active),
            // None of hers is decisive: all of them, for the firm's role table.
            row("Cleo Marsh", "D365 BASIC + D365 READ", Active),
            row("Eve Lind", FULL, Disabled),
            row("Job queue", FULL, Active),
            // Expired in June.
            row("Sam Other", FULL, Disabled),
        ]
    );
    // Who is disabled stands in every company's list of the environment, with whatever sets there are.
    assert_eq!(
        people(&w, BIRCH).await,
        [
            row("Ana Ruiz", "SUPER", Active),
            row("Bob Hale", "D365 SALES DOC, EDIT", Active),
            row("Cleo Marsh", "D365 BASIC", Active),
            row("Eve Lind", "", Disabled),
            row("Sam Other", "", Disabled),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn two_companies_whose_names_differ_in_case_are_two() {
    let w = sample(json!({}));
    let names: Vec<_> = people(&w, OTHER_ACME).await.into_iter().map(|r| r.0).collect();
    assert!(names.contains(&"Dev Patel".to_owned()) && !names.contains(&"Bob Hale".to_owned()), "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn several_environments_are_one_list_or_none() {
    let w = sample(json!({"environments": ["production", "sandbox-uk"], "old_groups": true}));
    let list = w.ledgers().await.unwrap();
    let names: Vec<_> = list.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["Acme Limited", "Birch LLP", "The other Acme", "Cedar Bakery"]);
    w.control("page_size", json!({"most": 1}));
    assert_eq!(w.ledgers().await.unwrap(), list);
    w.control("set_outage", json!({"kind": 503, "path": "/sandbox-uk/"}));
    let e = w.ledgers().await.unwrap_err();
    assert_eq!((e.kind, e.get("environment")), (ErrorKind::Unavailable, Some("sandbox-uk")));
    let e = sample(json!({"environments": ["production", "gone"]})).ledgers().await.unwrap_err();
    assert_eq!((e.kind, e.get("environment")), (ErrorKind::NotFound, Some("gone")));
}

#[tokio::test(start_paused = true)]
async fn old_groups_count_in_the_company_of_the_membership() {
    let w = sample(json!({"environments": ["sandbox-uk"], "old_groups": true}));
    let rows = people(&w, CEDAR).await;
    assert_eq!(rows, [row("Ana Ruiz", "SUPER", Standing::Active), row("Ann Okafor", FULL, Standing::Active)]);
    // Asked for the wrong kind of group, access through groups would be overlooked: an error instead.
    let w = sample(json!({"environments": ["sandbox-uk"]}));
    let e = w.access(CEDAR).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::NotFound, Some(CEDAR)));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_not_in_the_list_discards_everything() {
    let w = sample(json!({}));
    w.control("set_outage", json!({"kind": "body", "path": "/securityGroups", "value": {"value": []}}));
    let e = w.access(ACME).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Contract, Some(ACME)));
}

/// Business Central leaves out whatever Entra does not tell it at that moment, and answers 200.
#[tokio::test(start_paused = true)]
async fn p02_a_security_group_without_members_is_no_group_of_nobody() {
    let w = sample(json!({}));
    w.control("set_outage", json!({"kind": "body", "path": "/securityGroupMembers", "value": {"value": []}}));
    let e = w.access(ACME).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Unavailable, Some(ACME)));
    assert!(e.message.contains("security group BOOKS") && e.message.contains("take it out of Business Central"), "{e}");
    w.control("clear_outages", json!({}));
    let ann = json!([{"user": "ann@harbour.example"}]);
    w.control("set_groups", json!({"groups": [{"code": "BOOKS", "members": ann}, {"code": "AUDIT"}]}));
    let e = w.access(ACME).await.unwrap_err();
    assert!(e.kind == ErrorKind::Unavailable && e.message.contains("AUDIT"), "{e}");
}

#[tokio::test(start_paused = true)]
async fn a_security_group_is_asked_by_its_id_as_a_text() {
    let w = sample(json!({}));
    let group = json!({"id": "S-1-5 o'brien/50%+1", "code": "BOOKS", "sets": [{"set": FULL, "company": "Acme Ltd"}],
        "members": [{"user": "ann@harbour.example"}]});
    w.control("set_groups", json!({"groups": [group]}));
    assert!(people(&w, ACME).await.contains(&row("Ann Okafor", FULL, Standing::Active)));
    let asked = w.wire.inner.requests();
    let wanted = "securityGroups('S-1-5%20o''brien%2F50%25+1')/userPermissions";
    assert!(asked.iter().any(|r| r.path.ends_with(wanted)), "{asked:?}");
    w.control(
        "set_groups",
        json!({"groups": [{"id": " ", "code": "BOOKS", "members": [{"user": "ann@harbour.example"}]}]}),
    );
    assert_eq!(w.access(ACME).await.unwrap_err().kind, ErrorKind::Contract);
}

#[tokio::test(start_paused = true)]
async fn p09_another_companys_or_users_answer_is_refused() {
    let w = sample(json!({}));
    let other = json!({"id": "b0c1a7f2-0000-4000-8000-000000000002", "name": "Birch LLP", "displayName": ""});
    let nameless = json!({"id": "b0c1a7f2-0000-4000-8000-000000000001", "name": "", "displayName": "Acme"});
    for company in [other, nameless] {
        w.control("set_outage", json!({"kind": "body", "path": "/api/v2.0/companies(", "value": company}));
        assert_eq!(w.access(ACME).await.unwrap_err().kind, ErrorKind::Contract);
        w.control("clear_outages", json!({}));
    }
    let stranger = json!({"value": [{"userSecurityId": "00000000-0000-4000-8000-00000000000f", "roleId": "SUPER", "company": ""}]});
    w.control("set_outage", json!({"kind": "body", "path": "/userPermissions", "value": stranger}));
    assert_eq!(w.access(ACME).await.unwrap_err().kind, ErrorKind::Contract);
}

#[tokio::test(start_paused = true)]
async fn p14_a_missing_field_is_no_list() {
    let w = sample(json!({}));
    for field in ["state", "userSecurityId", "contactEmail", "roleId", "company", "code", "name", "value"] {
        w.control("set_outage", json!({"kind": "missing_field", "field": field}));
        let e = w.access(ACME).await.unwrap_err();
        assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Contract, Some(ACME)), "{field}");
        w.control("clear_outages", json!({}));
    }
    w.control("set_state", json!({"user": "bob@harbour.example", "state": "Locked"}));
    let rows = people(&w, ACME).await;
    assert!(rows.contains(&row("Bob Hale", FULL, Standing::Unknown("Locked".into()))), "{rows:?}");
}

#[tokio::test(start_paused = true)]
async fn the_address_is_the_one_that_the_firm_chose() {
    let email = async |settings: Value| {
        let w = sample(settings);
        let list = w.access(ACME).await?;
        let bob = list.iter().find(|f| f.name == "Bob Hale").unwrap().email.clone();
        let nobody = list.iter().find(|f| f.name == "Job queue").unwrap().email.clone();
        Ok::<_, ledgerward_contract::Error>((bob, nobody))
    };
    assert_eq!(email(json!({})).await.unwrap(), (Some("bob@harbour.example".into()), Some(String::new())));
    let by_name = json!({"email_field": "userName"});
    assert_eq!(email(by_name).await.unwrap(), (Some("BOB".into()), Some("JOB".into())));
    // Not in this vendor's answer: never quietly another field.
    let e = email(json!({"email_field": "authenticationEmail"})).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Contract);
}

#[tokio::test(start_paused = true)]
async fn p08_who_may_not_read_users_is_told_what_is_missing() {
    let w = sample(json!({}));
    w.control("set_administrators", json!({"administrators": ["someone@harbour.example"]}));
    let e = w.access(ACME).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Forbidden, Some(ACME)));
    assert_eq!(e.get("code"), Some("Authorization_RequestDenied"));
    assert!(!format!("{e:?}").contains("Something about"), "{e:?}");
    assert!(e.next.unwrap().contains("SECURITY"));
    assert!(w.ledgers().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn p10_the_wait_is_the_vendors() {
    let w = sample(json!({}));
    w.control("set_outage", json!({"kind": 429, "retry_after": "17"}));
    let e = w.access(ACME).await.unwrap_err();
    assert_eq!((e.kind, e.retry), (ErrorKind::RateLimited, Retry::After(Duration::from_secs(17))));
}

#[tokio::test(start_paused = true)]
async fn p12_a_next_link_leads_nowhere_else() {
    let asked = "https://api.businesscentral.dynamics.com/v2.0/production/api/v2.0/companies".parse().unwrap();
    let next = |link: &str| next_query("companies.list", &asked, Some(link));
    assert_eq!(next_query("companies.list", &asked, None).unwrap(), None);
    for good in ["production", "00000000-0000-4000-8000-0000000000aa/Production"] {
        let link = format!("https://api.businesscentral.dynamics.com/v2.0/{good}/api/v2.0/companies?$skiptoken=5");
        assert_eq!(next(&link).unwrap().as_deref(), Some("$skiptoken=5"));
    }
    for bad in [
        "https://evil.example/v2.0/production/api/v2.0/companies?$skiptoken=5",
        "http://api.businesscentral.dynamics.com/v2.0/production/api/v2.0/companies?$skiptoken=5",
        "https://api.businesscentral.dynamics.com/v2.0/production/api/v2.0/items?$skiptoken=5",
        "https://api.businesscentral.dynamics.com/v2.0/production/api/v2.0/companies",
        "/v2.0/production/api/v2.0/companies?$skiptoken=5",
        "",
    ] {
        assert_eq!(next(bad).unwrap_err().kind, ErrorKind::Contract, "{bad}");
    }
    let w = sample(json!({}));
    let link = "https://evil.example/v2.0/production/api/v2.0/companies?$skiptoken=1";
    w.control("set_outage", json!({"kind": "next_link", "value": link}));
    assert_eq!(w.ledgers().await.unwrap_err().kind, ErrorKind::Contract);
}

#[tokio::test(start_paused = true)]
async fn the_firms_own_company_is_no_client() {
    let own = "B0C1A7F2-0000-4000-8000-000000000002";
    let list = sample(json!({"own_companies": [own]})).ledgers().await.unwrap();
    let kinds: Vec<_> = list.iter().map(|l| l.is_ledger).collect();
    assert_eq!(kinds, [true, false, true]);
}

#[test]
fn settings_are_checked_by_name() {
    for (settings, word) in [
        (json!({"environment": "x"}), "no setting \"environment\""),
        (json!({"environments": []}), "environments"),
        (json!({"environments": ["../other"]}), "environments"),
        (json!({"own_companies": ["Acme"]}), "own_companies"),
        (json!({"email_field": "phone"}), "email_field"),
        (json!("x"), "table"),
    ] {
        let e = VENDOR.connector(settings).err().unwrap();
        assert!(e.kind == ErrorKind::Config && e.message.contains(word), "{e:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_ledger_id_reaches_no_path() {
    let w = sample(json!({}));
    for bad in ["production", "production:acme", "a/b:b0c1a7f2-0000-4000-8000-000000000001", ":", "production:../../x"]
    {
        assert_eq!(w.access(bad).await.unwrap_err().kind, ErrorKind::Contract, "{bad}");
    }
    assert!(w.wire.inner.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_saved_stand_in_goes_on_where_it_was() {
    let w = sample(json!({}));
    let before = people(&w, ACME).await;
    let saved = w.fake.lock().unwrap().save();
    let again = Fake::restore(&saved).unwrap();
    assert_eq!(again.save(), saved);
    *w.fake.lock().unwrap() = Box::new(again);
    assert_eq!(people(&w, ACME).await, before);
}

/// The demo's firm at Business Central.
#[tokio::test(start_paused = true)]
async fn the_sample_firm_is_read() {
    let seed = serde_json::from_str(include_str!("../../../../fixtures/firm/business-central.json")).unwrap();
    let w = world(Fake::from_seed(&seed).unwrap(), json!({}));
    assert_eq!(w.ledgers().await.unwrap().len(), 12);
}

#[tokio::test(start_paused = true)]
async fn everything_works_under_another_address() {
    let base = "http://127.0.0.1:8802";
    let mut w = world(Fake::sample().unwrap().at(base), json!({}));
    w.connector = connector_at(base);
    w.control("page_size", json!({"most": 2}));
    assert_eq!(w.ledgers().await.unwrap().len(), 3);
    assert_eq!(people(&w, ACME).await.len(), 7);
}
