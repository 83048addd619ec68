//! Clients and who is responsible for them.

use std::{collections::BTreeMap, time::Duration};

use ledgerward_contract::{BodyLimit, Cursor, Endpoints, ErrorKind, Factory, LedgerRole, RoleTable, Standing};
use ledgerward_xpm::{FACTORY, api::Api, fake::Fake, scope_set};
use serde_json::{Value, json};

use crate::common::{PRACTICE, SCOPES, VENDOR, people, sample, world};

#[tokio::test(start_paused = true)]
async fn each_client_has_its_managers_and_whoever_works_on_its_open_jobs() {
    let w = sample(json!({}));
    let expected = [
        "account_manager Ann Okafor",
        "job_manager Bob Lindqvist",
        "manager Bob Lindqvist",
        "partner Ann Okafor",
        "assigned Cleo Marsh",
    ];
    assert_eq!(people(&w, "Acme Ltd").await, expected);
    assert_eq!(
        people(&w, "Fjord Fishing").await,
        ["account_manager Dev Patel"],
        "a finished job makes nobody responsible"
    );
    // The client that comes last has no detail on its page; others had.
    w.control("set_app", json!({"page_max": 1}));
    assert!(people(&w, "Pine Press").await.is_empty());
    let all = w.clients().await.unwrap();
    assert_eq!(all.len(), 15, "all but the archived one");
    let odd = all.iter().find(|r| r.name == "Nettle <News> & \"Views\"").unwrap();
    assert_eq!(odd.people[0].email, None, "no address is no address");
    let acme = all.iter().find(|r| r.name == "Acme Ltd").unwrap();
    assert_eq!((acme.number.as_deref(), acme.active, acme.ledgers.len()), (Some("9429000001"), true, 0));
    assert!(acme.people.iter().all(|p| p.standing == Standing::Active));
    assert!(all.iter().any(|r| r.name == "ACME  Ltd."), "two clients of nearly one name stay two");
}

#[tokio::test(start_paused = true)]
async fn groups_are_read_where_they_are_wanted() {
    let food = async |settings: Value| {
        let w = sample(settings);
        w.control("set_app", json!({"page_max": 2}));
        let all = w.clients().await?;
        let in_food = all.into_iter().filter(|r| r.groups == ["Food"]).map(|r| r.name);
        let asked = w.control("stats", json!({}))["requests"].to_string().contains("clientgroup.api");
        Ok::<_, ledgerward_contract::Error>((in_food.collect::<Vec<_>>(), asked))
    };
    let three = ["Cedar Bakery", "Fjord Fishing", "Harbour Cafe Ltd"];
    assert_eq!(food(json!({})).await.unwrap(), (vec![], false), "no request that nobody asked for");
    assert_eq!(food(json!({"groups": true})).await.unwrap(), (three.map(str::to_owned).to_vec(), true));
    // All clients in one answer carry their groups with them.
    assert_eq!(
        food(json!({"clients": "whole", "groups": true})).await.unwrap(),
        (three.map(str::to_owned).to_vec(), false)
    );
}

#[tokio::test(start_paused = true)]
async fn p03_p05_groups_that_cannot_be_read_are_no_list_without_groups() {
    for outage in [json!(500), json!("html"), json!("blank"), json!("json"), json!("cut")] {
        let w = sample(json!({"groups": true}));
        w.control("set_outage", json!({"kind": outage, "path": "/practicemanager/3.1/clientgroup.api"}));
        w.clients().await.unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn each_responsibility_is_a_rule_of_its_own() {
    for (role, acme) in [
        ("account_manager", "Ann Okafor"),
        ("job_manager", "Bob Lindqvist"),
        ("manager", "Bob Lindqvist"),
        ("partner", "Ann Okafor"),
        ("assigned", "Cleo Marsh"),
        ("task", "Bob Lindqvist"),
    ] {
        let w = sample(json!({"responsibilities": [role]}));
        assert_eq!(people(&w, "Acme Ltd").await, [format!("{role} {acme}")]);
        let requests = w.control("stats", json!({}))["requests"].clone();
        let jobs = requests.get("GET /practicemanager/3.1/job.api/current").is_some();
        assert_eq!(jobs, !matches!(role, "account_manager" | "job_manager"), "jobs are read only where they count");
        let table = RoleTable(FACTORY.manifest().roles.iter().map(|(r, d)| ((*r).to_owned(), (*d).into())).collect());
        assert_eq!(table.resolve(role) == LedgerRole::Reader, role != "task");
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_who_is_not_in_the_staff_list_is_of_unknown_standing() {
    let w = sample(json!({}));
    let all = w.clients().await.unwrap();
    let row = all.iter().find(|r| r.name == "Orchard Oak").unwrap();
    let hugo = &row.people[0];
    assert_eq!((hugo.name.as_str(), hugo.email.as_deref()), ("Hugo Old", None));
    assert_eq!(hugo.standing, Standing::Unknown("not in the staff list".to_owned()));
    // Two people with one address stay two, each with their own id: who is who is for a person to say.
    assert_eq!(row.people[1].email.as_deref(), Some("ANN@HARBOUR.EXAMPLE"));
    w.control("disable_staff", json!({"staff": "bob@harbour.example"}));
    let all = w.clients().await.unwrap();
    let acme = all.iter().find(|r| r.name == "Acme Ltd").unwrap();
    let bob: Vec<_> = acme.people.iter().filter(|p| p.name == "Bob Lindqvist").collect();
    assert!(bob.len() == 2 && bob.iter().all(|p| matches!(p.standing, Standing::Unknown(_)) && p.email.is_none()));
}

#[tokio::test(start_paused = true)]
async fn pages_make_one_listing_whatever_form_the_next_link_has() {
    let whole = sample(json!({})).clients().await.unwrap();
    for next in ["link", "bare", "token"] {
        let w = sample(json!({}));
        w.control("set_app", json!({"page_max": 2, "next": next}));
        assert_eq!(w.clients().await.unwrap(), whole);
        let pages = &w.control("stats", json!({}))["requests"]["GET /practicemanager/3.1/client.api/paged-list"];
        assert_eq!(pages, 8);
    }
}

#[tokio::test(start_paused = true)]
async fn p03_a_page_that_names_no_next_one_is_the_last_only_if_it_says_so() {
    let w = sample(json!({"ledger_field": "none"}));
    for i in 0..50 {
        w.control("add_client", json!({"client": {"name": format!("Extra {i}")}}));
    }
    w.control("set_outage", json!({"kind": "missing_element", "text": "Pagination"}));
    let e = w.clients().await.unwrap_err();
    assert!(e.kind == ErrorKind::Contract && e.message.contains("full page"), "{e:?}");
}

#[tokio::test(start_paused = true)]
async fn archived_clients_come_inactive_with_the_whole_list() {
    let w = sample(json!({"clients": "whole"}));
    w.control("delete_client", json!({"client": "Birch LLP"}));
    let all = w.clients().await.unwrap();
    let inactive: Vec<_> = all.iter().filter(|r| !r.active).map(|r| r.name.as_str()).collect();
    assert_eq!((all.len(), inactive.as_slice()), (16, ["Birch LLP", "Moss & Daughters"].as_slice()));
    w.control("set_outage", json!({"kind": "missing_element", "text": "IsArchived"}));
    assert_eq!(w.clients().await.unwrap_err().kind, ErrorKind::Contract);
}

#[tokio::test(start_paused = true)]
async fn pages_without_managers_are_not_clients_without_managers() {
    let w = sample(json!({}));
    w.control("set_app", json!({"paged_details": false}));
    let e = w.clients().await.unwrap_err();
    assert!(e.kind == ErrorKind::Contract && e.next.as_ref().unwrap().contains("whole"), "{e:?}");
    w.control("set_app", json!({"page_max": 3}));
    assert_eq!(w.clients().await.unwrap_err().kind, ErrorKind::Contract, "whatever the pages");
    let w = sample(json!({"responsibilities": ["assigned"]}));
    w.control("set_app", json!({"paged_details": false}));
    assert_eq!(people(&w, "Acme Ltd").await, ["assigned Cleo Marsh"]);
}

/// One of the two elements stands in for the other no longer: each is a rule of its own.
#[tokio::test(start_paused = true)]
async fn a_responsibility_that_no_client_tells_of_is_not_nobodys() {
    for (settings, ways) in [(json!({}), 2), (json!({"clients": "whole"}), 1)] {
        for (element, role) in [("AccountManager", "account_manager"), ("JobManager", "job_manager")] {
            let w = sample(settings.clone());
            w.control("set_app", json!({"page_max": 3}));
            w.control("set_outage", json!({"kind": "missing_element", "text": element, "path": "/practicemanager"}));
            let e = w.clients().await.unwrap_err();
            assert_eq!(
                (e.kind, e.get("responsibility"), e.get("practice")),
                (ErrorKind::Contract, Some(role), Some(PRACTICE))
            );
            let next = e.next.unwrap();
            assert!(next.contains(&format!("take \"{role}\" out of the setting responsibilities")), "{next}");
            assert_eq!(next.matches(". ").count() + 1, ways, "{next}");
            // The way out of a practice that has nobody of the kind: the rule is switched off, the other one still counts.
            let mut without = settings.clone();
            let rest = ["account_manager", "job_manager", "assigned"].map(str::to_owned);
            without["responsibilities"] = rest.into_iter().filter(|r| r != role).collect();
            let w = sample(without);
            w.control("set_outage", json!({"kind": "missing_element", "text": element, "path": "/practicemanager"}));
            let others = people(&w, "Acme Ltd").await;
            assert_eq!(others.len(), 2, "{others:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_responsibility_that_no_job_tells_of_is_not_nobodys() {
    for (element, role) in [("Manager", "manager"), ("Partner", "partner")] {
        let outage = json!({"kind": "missing_element", "text": element, "path": "/practicemanager/3.1/job.api"});
        let w = sample(json!({"responsibilities": ["manager", "partner", "assigned"]}));
        w.control("set_outage", outage.clone());
        let e = w.clients().await.unwrap_err();
        let seen = (e.kind, e.get("responsibility"), e.get("practice"));
        assert_eq!(seen, (ErrorKind::Contract, Some(role), Some(PRACTICE)));
        assert!(e.next.unwrap().contains(&format!("take \"{role}\" out of the setting responsibilities")));
        let rest = ["manager", "partner", "assigned"].into_iter().filter(|r| *r != role).collect::<Vec<_>>();
        let w = sample(json!({"responsibilities": rest}));
        w.control("set_outage", outage.clone());
        assert_eq!(people(&w, "Acme Ltd").await.len(), 2);
        // Nobody named it: a practice may have none on any open job.
        let w = sample(json!({}));
        w.control("set_outage", outage);
        assert!(w.clients().await.is_ok());
    }
    // Without any job there is nothing to tell.
    let mut seed: Value = serde_json::from_str(include_str!("../../../../fixtures/xpm/firm.json")).unwrap();
    seed["practices"][0]["jobs"] = json!([]);
    let w = world(Fake::from_seed(&seed).unwrap(), json!({}), SCOPES);
    assert_eq!(people(&w, "Acme Ltd").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_number_that_no_client_tells_of_is_not_a_firm_without_numbers() {
    for (settings, ways) in
        [(json!({"number": "BusinessNumber"}), 2), (json!({"number": "BusinessNumber", "clients": "whole"}), 1)]
    {
        let outage = json!({"kind": "missing_element", "text": "BusinessNumber", "path": "/practicemanager"});
        let w = sample(settings.clone());
        w.control("set_app", json!({"page_max": 3}));
        assert!(w.clients().await.unwrap().iter().all(|r| r.number.is_none()), "empty is an answer");
        w.control("set_outage", outage.clone());
        let e = w.clients().await.unwrap_err();
        assert_eq!((e.kind, e.get("practice")), (ErrorKind::Contract, Some(PRACTICE)));
        assert!(e.message.contains("BusinessNumber"), "{e}");
        assert_eq!(e.next.unwrap().matches(". ").count() + 1, ways);
        // Of a field that nobody chose nobody waits for a number.
        let w = sample(json!({}));
        w.control(
            "set_outage",
            json!({"kind": "missing_element", "text": "CompanyNumber", "path": "/practicemanager"}),
        );
        assert!(w.clients().await.is_ok());
    }
}

#[test]
fn a_practice_in_one_answer_is_asked_for_once_and_waited_for() {
    let endpoints = Endpoints::resolve(FACTORY.manifest(), &BTreeMap::new()).unwrap();
    let (api, practice) = (Api { endpoints }, PRACTICE.parse().unwrap());
    for long in [api.clients_whole(practice).unwrap(), api.jobs(practice, true).unwrap()] {
        assert_eq!((long.timeout, long.idempotent), (Some(Duration::from_secs(600)), true));
        assert_eq!(long.limit, BodyLimit::Statement);
    }
    assert!(api.clients_page(practice, 500, None).unwrap().idempotent);
}

#[tokio::test(start_paused = true)]
async fn a_ledger_is_linked_by_custom_field_or_number_and_never_by_name() {
    let w = sample(json!({"ledger_field": "xero organisation", "number": "ExportCode"}));
    let (a, b) = ("C4D9A7F2-0000-4000-8000-000000000001", "c4d9a7f2-0000-4000-8000-000000000012");
    let value = format!("{a}, {b};!short\n{a}");
    w.control("set_field", json!({"client": "Acme Ltd", "name": "Xero organisation", "value": value}));
    let all = w.clients().await.unwrap();
    let row = |name: &str| all.iter().find(|r| r.name == name).unwrap();
    assert_eq!(row("Acme Ltd").ledgers, ["!short", &a.to_lowercase(), b]);
    assert_eq!(row("Acme Ltd").number.as_deref(), Some("H001"));
    assert_eq!(row("Birch LLP").ledgers, ["c4d9a7f2-0000-4000-8000-000000000002"]);
    assert!(row("Lark Lettings").ledgers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_a_200_is_an_error_and_its_words_are_not_shown() {
    for (text, kind) in [
        ("Invalid staff identifier canary-name", ErrorKind::NotFound),
        ("Something about canary-name", ErrorKind::Contract),
        ("", ErrorKind::Contract),
    ] {
        for path in ["staff.api", "job.api", "client.api"] {
            let w = sample(json!({}));
            let path = format!("/practicemanager/3.1/{path}");
            w.control("set_outage", json!({"kind": "error", "text": text, "path": path}));
            let e = w.clients().await.unwrap_err();
            assert_eq!((e.kind, e.get("practice")), (kind, Some(PRACTICE)), "{e:?}");
            assert!(!format!("{e:?}").contains("canary"), "{e:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p04_p05_p22_answers_that_are_no_answer() {
    for (kind, want) in [
        (json!("empty"), ErrorKind::Contract),
        (json!("blank"), ErrorKind::Contract),
        (json!("cut"), ErrorKind::Contract),
        (json!("json"), ErrorKind::Contract),
        (json!("entities"), ErrorKind::Contract),
        (json!("html"), ErrorKind::Unavailable),
        (json!(503), ErrorKind::Unavailable),
        (json!(401), ErrorKind::Unauthenticated),
        (json!(403), ErrorKind::Forbidden),
        (json!(599), ErrorKind::Contract),
    ] {
        for path in ["staff.api", "job.api", "client.api"] {
            let w = sample(json!({}));
            w.control("set_outage", json!({"kind": kind, "path": format!("/practicemanager/3.1/{path}")}));
            assert_eq!(w.clients().await.unwrap_err().kind, want, "{kind} at {path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p14_what_decides_has_no_default() {
    for field in ["StaffList", "Email", "UUID", "Clients", "Jobs", "Assigned", "Status", "Name"] {
        let w = sample(json!({}));
        w.control("set_outage", json!({"kind": "missing_element", "text": field, "path": "/practicemanager"}));
        assert_eq!(w.clients().await.unwrap_err().kind, ErrorKind::Contract, "{field}");
    }
}

#[tokio::test(start_paused = true)]
async fn p08_a_practice_that_was_disconnected_is_refused_and_not_empty() {
    let w = sample(json!({"practice": PRACTICE}));
    let cx = w.read();
    let page = w.connector.directory().unwrap().clients(&cx, Cursor::Start).await.unwrap();
    assert!(page.items.is_empty() && page.next.is_some());
    w.control("disconnect_tenant", json!({}));
    let e = w.connector.directory().unwrap().clients(&cx, page.next.unwrap()).await.unwrap_err();
    assert_eq!((e.kind, e.get("reason")), (ErrorKind::Forbidden, Some("tenant_not_connected")));
    assert_eq!(w.clients().await.unwrap_err().kind, ErrorKind::Forbidden);
    w.control("reconnect_tenant", json!({}));
    assert_eq!(w.clients().await.unwrap().len(), 15);
}

#[tokio::test(start_paused = true)]
async fn the_practice_is_found_among_the_tenants_and_never_guessed() {
    let mut seed: Value = serde_json::from_str(include_str!("../../../../fixtures/xpm/firm.json")).unwrap();
    let mut second = seed["practices"][0].clone();
    let id = "c4d9a7f2-0000-4000-8000-000000000092";
    (second["tenant_id"], second["name"], second["clients"], second["jobs"]) =
        (json!(id), json!("Second"), json!([]), json!([]));
    seed["practices"].as_array_mut().unwrap().push(second);
    let world = |settings: Value| world(Fake::from_seed(&seed).unwrap(), settings, SCOPES);
    let e = world(json!({})).clients().await.unwrap_err();
    assert!(e.kind == ErrorKind::Config && e.next.as_ref().unwrap().contains(id), "{e:?}");
    assert_eq!(world(json!({"practice": PRACTICE})).clients().await.unwrap().len(), 15);
    assert!(world(json!({"practice": id})).clients().await.unwrap().is_empty(), "an empty practice is empty");
    let stranger = json!({"practice": "c4d9a7f2-0000-4000-8000-000000000001"});
    let e = world(stranger).clients().await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Forbidden, "an organisation is no practice: {e:?}");
    // Who lacks the privilege connects nothing.
    let w = sample(json!({}));
    w.sign_in(json!({"scopes": SCOPES, "user": "ann@harbour.example"}));
    assert!(w.clients().await.unwrap_err().next.unwrap().contains("Authorise 3rd Party"));
}

#[tokio::test(start_paused = true)]
async fn a_missing_scope_is_said() {
    let scopes = "openid offline_access practicemanager.client.read practicemanager.staff.read";
    let w = world(Fake::sample().unwrap(), json!({}), scopes);
    let e = w.clients().await.unwrap_err();
    assert!(e.kind == ErrorKind::Forbidden && e.next.as_ref().unwrap().contains("scope"), "{e:?}");
    assert_eq!(e.op, "jobs.list");
    let settings = json!({"responsibilities": ["account_manager"]});
    assert_eq!((scope_set(&settings), scope_set(&json!({}))), (Some("clients"), Some("jobs")));
    assert_eq!(world(Fake::sample().unwrap(), settings, scopes).clients().await.unwrap().len(), 15);
    assert!(world(Fake::sample().unwrap(), json!({}), "practicemanager").clients().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn p10_sixty_a_minute_and_a_day_of_calls() {
    let w = sample(json!({}));
    for _ in 0..20 {
        w.clients().await.unwrap();
    }
    let e = w.clients().await.unwrap_err();
    assert_eq!((e.kind, e.get("limit")), (ErrorKind::RateLimited, Some("minute")));
    assert!(matches!(e.retry, ledgerward_contract::Retry::After(t) if t <= Duration::from_secs(60)));
    tokio::time::sleep(Duration::from_secs(61)).await;
    w.control("set_limit", json!({"day": 62}));
    let e = w.clients().await.unwrap_err();
    assert_eq!((e.kind, e.get("limit")), (ErrorKind::RateLimited, Some("day")));
    let w = sample(json!({}));
    w.control("set_outage", json!({"kind": 429, "problem": "concurrent", "path": "/practicemanager"}));
    assert_eq!(w.clients().await.unwrap_err().retry, ledgerward_contract::Retry::After(Duration::from_secs(1)));
}

#[test]
fn wrong_settings_are_refused_by_name() {
    for (settings, name) in [
        (json!({"practise": PRACTICE}), "practise"),
        (json!({"practice": "12"}), "practice"),
        (json!({"responsibilities": ["owner"]}), "owner"),
        (json!({"responsibilities": []}), "responsibilities"),
        (json!({"clients": "some"}), "clients"),
        (json!({"number": "Phone"}), "number"),
        (json!({"ledger_field": " "}), "ledger_field"),
        (json!({"ledger_field": "x", "clients": "whole"}), "ledger_field"),
        (json!([]), "table"),
    ] {
        let e = VENDOR.connector(settings).err().unwrap();
        assert!(e.kind == ErrorKind::Config && format!("{e:?}").contains(name), "{e:?}");
    }
    assert!(VENDOR.connector(Value::Null).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_somebody_else_is_refused() {
    let w = sample(json!({}));
    let cx = w.read();
    for text in ["", "2", "{}", "{\"Staff\":{\"practice\":\"x\"}}"] {
        let e = w.connector.directory().unwrap().clients(&cx, Cursor::At(text.to_owned())).await.unwrap_err();
        assert_eq!(e.kind, ErrorKind::Contract, "{text}");
    }
}

#[test]
fn the_demos_practice_is_a_seed() {
    let seed = serde_json::from_str(include_str!("../../../../fixtures/firm/xpm.json")).unwrap();
    assert!(Fake::from_seed(&seed).is_ok());
}
