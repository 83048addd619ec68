//! `roles`: what each role of each connection's ledgers gives, and what each role of the firm's own people may do.

use std::collections::BTreeMap;

use ledgerward_contract::{ConnectionName, LedgerRole};
use serde_json::{Value, json};

use super::{
    act,
    args::RolesAct,
    outcome::{Exit, Failure, Report},
};
use crate::{
    app::App,
    domain::{
        change::{self, ChangeOp},
        firm::{Firm, Office},
        office::CustomOffice,
    },
    memory,
    render::table::{lay_out, table},
};

const UNSEEN_GROUP: &str = "(a group that you do not see)";

struct Row {
    connection: ConnectionName,
    role: String,
    gives: &'static str,
    from: &'static str,
    users: usize,
}

/// The manifest's lines with the configuration's in their place, and roles that ledgers showed and no line names.
pub async fn run(app: &App, act: Option<RolesAct>) -> Result<Report, Failure> {
    let only = match act {
        None | Some(RolesAct::Table { connection: None }) => None,
        Some(RolesAct::Table { connection: Some(name) }) => Some(act::connection(app, &name)?),
        Some(RolesAct::List) => return Ok(offices(app, &app.firm().await?)),
        Some(RolesAct::Define { name, may, group }) => {
            let office = CustomOffice { permissions: may.into_iter().collect(), group };
            let op = ChangeOp::DefineOffice { name: bare(name), office };
            return act::act_and_tell(app, vec![op], "roles define").await;
        }
        Some(RolesAct::Remove { name }) => {
            let op = ChangeOp::RemoveOffice { name: bare(name) };
            return act::act_and_tell(app, vec![op], "roles remove").await;
        }
    };
    let firm = app.firm().await?;
    let whole = act::sees_all(app, &firm);
    let seen = memory::roles_seen(app).await?;
    let mut rows = Vec::new();
    for (connection, configured) in app.config.connections.iter().filter(|(c, _)| only.as_ref().is_none_or(|o| o == *c))
    {
        let empty = BTreeMap::new();
        // How many users a ledger shows is a total of the firm.
        let users = seen.get(connection).filter(|_| whole).unwrap_or(&empty);
        let table = firm.roles.get(connection).map(|t| &t.0);
        for (role, gives) in table.into_iter().flatten() {
            let from = if configured.roles.contains_key(role) { "configuration" } else { "default" };
            rows.push(Row {
                connection: connection.clone(),
                role: role.clone(),
                gives: word(gives),
                from,
                users: users.get(role).copied().unwrap_or(0),
            });
        }
        for (role, users) in users.iter().filter(|(role, _)| table.is_none_or(|t| !t.contains_key(*role))) {
            let connection = connection.clone();
            rows.push(Row {
                connection,
                role: role.clone(),
                gives: "unknown",
                from: "not in the table",
                users: *users,
            });
        }
    }
    Ok(told(&rows))
}

/// People write custom:NAME where a role is given, and so they do here.
fn bare(name: String) -> String {
    name.strip_prefix("custom:").map_or(name.clone(), str::to_owned)
}

/// What each role may do: a fixed table, and the firm's own.
fn offices(app: &App, firm: &Firm) -> Report {
    // That a role is limited is told; a group's name only to whom `groups` shows it.
    let group = |name: String| {
        if name.is_empty() || act::group(app, firm, &name).is_ok() { name } else { UNSEEN_GROUP.to_owned() }
    };
    let own = firm.offices.keys().map(|name| Office::Custom(name.clone()));
    let all = [Office::PrimaryOwner, Office::Owner, Office::Admin, Office::Employee, Office::Viewer];
    let rows: Vec<(String, Vec<&str>, String)> = all
        .into_iter()
        .chain(own)
        .map(|office| {
            let powers = change::powers(firm, &office);
            let may = powers.permissions.iter().map(|p| p.slug()).collect();
            (change::office_slug(&office), may, group(powers.group.unwrap_or_default()))
        })
        .collect();
    let words = |may: &[&str]| if may.is_empty() { "look at their own".to_owned() } else { may.join(", ") };
    let text = table(
        ["role", "group", "may"],
        rows.iter().map(|(role, may, group)| [role.clone(), group.clone(), words(may)]),
    );
    let values: Vec<Value> =
        rows.iter().map(|(role, may, group)| json!({"role": role, "may": may, "group": group})).collect();
    Report::new(Exit::Done, json!({"schema": "ledgerward/offices/1", "roles": values}), text)
}

fn told(rows: &[Row]) -> Report {
    let text = lay_out(
        ["connection", "role", "gives", "from", "users"],
        rows.iter().map(|r| {
            [r.connection.to_string(), r.role.clone(), r.gives.to_owned(), r.from.to_owned(), r.users.to_string()]
        }),
        &[4],
    );
    let values: Vec<Value> = rows
        .iter()
        .map(
            |r| json!({"connection": r.connection, "role": r.role, "gives": r.gives, "from": r.from, "users": r.users}),
        )
        .collect();
    let report = Report::new(Exit::Done, json!({"schema": "ledgerward/roles/1", "roles": values}), text);
    match rows.iter().find(|r| r.gives == "unknown" && r.users > 0) {
        Some(r) => report.note(format!(
            "Who has an unknown role keeps what they have and gains nothing. Say what it gives in the configuration: [connections.{}.roles] {} = \"reader\" or \"none\"",
            r.connection,
            toml::Value::String(r.role.clone())
        )),
        None => report,
    }
}

const fn word(role: &LedgerRole) -> &'static str {
    match role {
        LedgerRole::Reader => "reader",
        LedgerRole::Writer => "writer",
        LedgerRole::Nothing => "none",
        LedgerRole::Unmapped(_) => "unknown",
    }
}
