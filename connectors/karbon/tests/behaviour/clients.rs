use ledgerward_contract::{ErrorKind, Factory, Grade, Standing};
use ledgerward_karbon::{
    FACTORY,
    api::Kind,
    map::{self, Brief, Firm, Reading},
};
use serde_json::{Value, json};

use crate::common::{VENDOR, client, people, sample};

#[tokio::test(start_paused = true)]
async fn every_client_is_a_row_with_its_team() {
    let w = sample(json!({}));
    let list = w.clients().await.unwrap();
    assert_eq!(list.len(), 13);
    let acme = client(&w, "Acme Ltd").await;
    assert_eq!(people(&acme), [("Ana Ruiz", "ClientOwner"), ("Bob Lindqvist", "ClientManager")]);
    let ana = acme.people.iter().find(|p| p.name == "Ana Ruiz").unwrap();
    assert_eq!(ana.email.as_deref(), Some("ana@harbour.example"));
    assert_eq!((acme.number.as_deref(), acme.active), (Some("ACME01"), true));
    assert!(acme.ledgers.is_empty(), "nothing is a ledger's id unless the firm says so");
    // Two clients that look the same are two.
    assert_ne!(client(&w, "ACME  Ltd.").await.id, acme.id);
    assert_eq!(client(&w, "Mia Dune").await.people, []);
    assert_eq!(FACTORY.manifest().grade, Some(Grade::B));
}

#[tokio::test(start_paused = true)]
async fn groups_are_read_where_they_are_wanted() {
    let w = sample(json!({"groups": true}));
    for (client, groups) in [("Acme Ltd", json!(["North", "Trade"])), ("Mia Dune", json!(["North"]))] {
        w.control("set_client", json!({"client": client, "set": {"groups": groups}}));
    }
    assert_eq!(client(&w, "Acme Ltd").await.groups, ["North", "Trade"]);
    assert_eq!(client(&w, "Mia Dune").await.groups, ["North"], "a person is a client as well");
    assert!(client(&w, "Birch LLP").await.groups.is_empty());
    for outage in [json!(500), json!("html"), json!("cut")] {
        w.control("set_outage", json!({"kind": outage, "path": "/v3/ClientGroups", "count": 1}));
        w.clients().await.unwrap_err();
    }
    let w = sample(json!({}));
    w.clients().await.unwrap();
    assert_eq!(w.asked("/v3/ClientGroups"), 0);
}

#[tokio::test(start_paused = true)]
async fn teams_are_opened_to_the_last_person_and_circles_end() {
    let w = sample(json!({}));
    // Tax holds Payroll, and Payroll holds Tax.
    let birch = client(&w, "Birch LLP").await;
    let expected = [
        ("Ana Ruiz", "ClientOwner"),
        ("Bob Lindqvist", "ClientManager"),
        ("Cleo Marsh", "ClientTeam"),
        ("Dev Patel", "ClientTeam"),
    ];
    assert_eq!(people(&birch), expected);
    w.control("set_team", json!({"team": "Payroll", "set": {"members": ["Tax"]}}));
    assert_eq!(people(&client(&w, "Birch LLP").await).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_role_of_a_team_is_the_role_of_each_in_it() {
    let w = sample(json!({}));
    let team = json!([{"who": "Tax", "role": "UserDefinedRole1"}, {"who": "dev@harbour.example", "role": "NewRole"}]);
    w.control("set_client", json!({"client": "Acme Ltd", "set": {"team": team, "owner": null, "manager": null}}));
    let acme = client(&w, "Acme Ltd").await;
    // One person in two ways is two assignments; which of them counts is the role table's business.
    let expected = [("Cleo Marsh", "UserDefinedRole1"), ("Dev Patel", "NewRole"), ("Dev Patel", "UserDefinedRole1")];
    assert_eq!(people(&acme), expected);
}

#[tokio::test(start_paused = true)]
async fn whom_karbon_does_not_list_is_unknown_and_never_left_out() {
    let w = sample(json!({}));
    let juniper = client(&w, "Juniper & Søns: “Gin” / Co.").await;
    let odd: Vec<_> = juniper.people.iter().filter(|p| p.standing != Standing::Active).collect();
    assert_eq!(odd.len(), 1, "an archived team stays on the client");
    assert!(matches!(&odd[0].standing, Standing::Unknown(why) if why.contains("team")));
    assert_eq!((odd[0].email.as_deref(), odd[0].role.as_str(), odd[0].opaque), (None, "ClientTeam", true));
    // Somebody leaves the firm, and the client still names them, by key and by address.
    w.control("remove_user", json!({"user": "eve@harbour.example"}));
    let kelp = client(&w, "Kelp Capital").await;
    assert_eq!(kelp.people.len(), 2);
    assert!(kelp.people.iter().all(|p| matches!(p.standing, Standing::Unknown(_)) && p.role == "ClientOwner"));
    assert!(kelp.people.iter().all(|p| !p.opaque), "each of them is one person");
    assert_eq!(kelp.people.iter().filter_map(|p| p.email.as_deref()).collect::<Vec<_>>(), ["eve@harbour.example"]);
}

/// Absent is never empty: Karbon's specification does not require the keys.
#[test]
fn a_client_that_does_not_say_who_its_owner_is_is_unknown_and_has_none() {
    let read = |owner: Option<Value>, team: Value| {
        let mut body = json!({"OrganizationKey": "k", "UserDefinedIdentifier": null, "RestrictionLevel": "Public",
            "ClientManager": null, "ClientTeam": team});
        if let Some(owner) = owner {
            body["ClientOwner"] = owner;
        }
        let brief: Brief = serde_json::from_value(json!({"OrganizationKey": "k", "FullName": "Kelp"})).unwrap();
        let how = Reading { anyone: false, identifier_is_ledger: false, absent_is_nobody: false };
        let of = Firm::default();
        map::client("x.y", Kind::Organizations, &brief, &of, how, body.to_string().as_bytes()).unwrap().people
    };
    assert!(read(Some(json!(null)), json!([])).is_empty() && read(Some(json!("")), json!([])).is_empty());
    let silent = read(None, json!([]));
    assert!(matches!(&silent[..], [one] if one.opaque && one.role == "ClientOwner"), "{silent:?}");
    let owner = json!([{"MemberKey": "u", "MemberType": "User", "RoleType": "ClientOwner"}]);
    let team = read(None, owner);
    assert!(matches!(&team[..], [one] if !one.opaque && one.user.as_str() == "u"), "the team says it: {team:?}");
}

/// P02: the answer about a team may be half of it.
#[tokio::test(start_paused = true)]
async fn a_team_without_members_is_unknown_and_not_nobody() {
    let w = sample(json!({}));
    let before = client(&w, "Birch LLP").await;
    w.control("set_team", json!({"team": "Tax", "set": {"members": []}}));
    let birch = client(&w, "Birch LLP").await;
    assert!(people(&birch).len() < people(&before).len());
    let odd: Vec<_> = birch.people.iter().filter(|p| p.email.is_none()).collect();
    assert!(matches!(&odd[..], [one] if matches!(&one.standing, Standing::Unknown(why) if why.contains("no members"))));
}

#[tokio::test(start_paused = true)]
async fn an_owner_who_is_named_outside_the_team_is_responsible_too() {
    let w = sample(json!({}));
    w.control("set_client", json!({"client": "Acme Ltd", "set": {"team": [], "owner": "Ann@Harbour.example"}}));
    let acme = client(&w, "Acme Ltd").await;
    assert_eq!(people(&acme), [("Ann Okafor", "ClientOwner"), ("Bob Lindqvist", "ClientManager")]);
}

#[tokio::test(start_paused = true)]
async fn a_client_hidden_from_the_application_is_out_of_sight_and_not_empty() {
    let w = sample(json!({}));
    w.control("set_app", json!({"include_hidden": false, "include_private": false}));
    let list = w.clients().await.unwrap();
    let seen = |name: &str| list.iter().any(|c| c.name == name);
    assert!(!seen("Dune Dental") && !seen("Birch LLP") && seen("Acme Ltd"));
    assert!(FACTORY.manifest().unverified.iter().any(|u| u.contains("hidden clients may be missing")));
}

#[tokio::test(start_paused = true)]
async fn anyone_counts_for_public_clients_alone_and_only_if_the_firm_says_so() {
    let w = sample(json!({"public": "anyone"}));
    let anyone = |row: &ledgerward_contract::ClientRow| row.people.iter().filter(|p| p.role == map::ANYONE).count();
    assert_eq!(anyone(&client(&w, "Acme Ltd").await), 6);
    assert_eq!(anyone(&client(&w, "Birch LLP").await), 0);
    assert_eq!(anyone(&client(&w, "Dune Dental").await), 0);
    w.control("set_client", json!({"client": "Acme Ltd", "set": {"restriction": "Secret"}}));
    assert_eq!(anyone(&client(&w, "Acme Ltd").await), 0, "a privacy that is not known is not public");
    assert_eq!(anyone(&client(&sample(json!({})), "Acme Ltd").await), 0);
}

#[tokio::test(start_paused = true)]
async fn the_settings_choose_what_is_a_client() {
    let w = sample(json!({"clients": ["organizations"], "contact_types": ["Client"]}));
    assert_eq!(w.clients().await.unwrap().len(), 10);
    assert_eq!((w.asked("/v3/Contacts"), w.asked("/v3/Contacts/{key}")), (0, 0));
    assert_eq!(w.asked("/v3/Organizations/{key}"), 10, "what is no client costs no request");
    let w = sample(json!({"clients": ["contacts"], "identifier_is_ledger": true}));
    assert_eq!(w.clients().await.unwrap().len(), 2);
    assert_eq!(client(&w, "Fleur Iris").await.ledgers, ["IRIS01"]);
    assert!(client(&w, "Mia Dune").await.ledgers.is_empty());
}

#[test]
fn settings_are_named_where_they_are_wrong() {
    for (settings, word) in [
        (json!({"client": []}), "contact_types"),
        (json!({"clients": ["groups"]}), "clients"),
        (json!({"clients": []}), "clients"),
        (json!({"public": "everyone"}), "public"),
        (json!("x"), "table"),
    ] {
        let e = VENDOR.connector(settings).err().unwrap();
        assert_eq!(e.kind, ErrorKind::Config);
        assert!(format!("{} {:?}", e.message, e.next).contains(word), "{e:?}");
    }
}
