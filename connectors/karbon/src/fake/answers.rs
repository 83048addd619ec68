//! How Karbon writes what it says, good and bad.

use std::collections::BTreeSet;

use ledgerward_kit::fake::FakeResponse;
use serde_json::{Value, json};

use super::{Answer, Client, Fake, Kind, Team, User, key_of};

pub fn ok(body: &Value) -> Answer {
    Ok(FakeResponse::json(200, body))
}

pub fn bad(what: &str) -> FakeResponse {
    let message = format!("The query specified in the URI is not valid. {what}.");
    FakeResponse::json(400, &json!({"error": {"code": "4002", "message": message}}))
}

pub fn not_found() -> FakeResponse {
    FakeResponse::json(404, &json!({"error": {"code": "4004", "message": "Not Found"}}))
}

pub fn slow_down(seconds: i64) -> FakeResponse {
    let message = format!("Rate limit is exceeded. Try again in {seconds} seconds.");
    FakeResponse::json(429, &json!({"statusCode": "429", "message": message}))
        .header("retry-after", seconds.to_string())
}

pub fn user(u: &User) -> Value {
    json!({"Id": u.key, "Name": u.name, "EmailAddress": u.email})
}

pub fn team(t: &Team) -> Value {
    json!({"TeamKey": t.key, "Name": t.name, "Description": null, "ParentTeamKey": null})
}

pub fn group(name: &str) -> Value {
    json!({"@odata.type": "#KarbonService.ClientGroupSummaryDTO", "FullName": name, "PhoneNumber": null, "Website": null,
        "LastModifiedDateTime": "2026-06-01T10:00:00Z", "ClientGroupKey": key_of(&["group", name])})
}

pub fn summary(c: &Client) -> Value {
    let mut row = json!({"FullName": c.name, "PhoneNumber": null, "EmailAddress": "post@client.example",
        "ContactType": c.contact_type, "LastModifiedDateTime": c.modified, "UserDefinedIdentifier": c.identifier});
    let (name, object) = match c.kind {
        Kind::Organization => ("OrganizationKey", "#KarbonService.OrganizationSummaryDTO"),
        Kind::Contact => ("ContactKey", "#KarbonService.ContactSummaryDTO"),
    };
    if let Some(map) = row.as_object_mut() {
        map.insert(name.to_owned(), json!(c.key));
        map.insert("@odata.type".to_owned(), json!(object));
        // An organisation's row does not name anybody, and may have no identifier.
        if c.kind == Kind::Contact {
            name_people(map, c);
            map.insert("UserDefinedIdentifier".to_owned(), json!(c.identifier.as_deref().unwrap_or_default()));
        }
    }
    row
}

/// Owner and manager by address; an empty text where none is set.
pub fn name_people(map: &mut serde_json::Map<String, Value>, c: &Client) {
    for (field, who) in [("ClientOwner", &c.owner), ("ClientManager", &c.manager)] {
        map.insert(field.to_owned(), json!(who.as_deref().unwrap_or_default()));
    }
}

impl Fake {
    pub(super) fn groups(&self) -> BTreeSet<String> {
        self.clients.iter().flat_map(|c| c.groups.iter().cloned()).collect()
    }

    /// A group by itself, with the clients that the application sees.
    pub(super) fn grouped(&self, name: &str) -> Value {
        let member = |c: &Client| match c.kind {
            Kind::Organization => json!({"ContactKey": null, "OrganizationKey": c.key}),
            Kind::Contact => json!({"ContactKey": c.key, "OrganizationKey": null}),
        };
        let here = self.clients.iter().filter(|c| c.groups.iter().any(|g| g == name) && self.sees(c));
        let mut body = group(name);
        if let Some(map) = body.as_object_mut() {
            map.insert("@odata.type".to_owned(), json!("#KarbonService.ClientGroupDTO"));
            map.insert("RestrictionLevel".to_owned(), json!("Public"));
            map.insert("Members".to_owned(), here.map(member).collect());
        }
        body
    }
}
