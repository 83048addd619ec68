//! `roles table`: what each role of each connection's ledgers gives.

use std::collections::BTreeMap;

use ledgerward_contract::{ConnectionName, LedgerRole};
use serde_json::{Value, json};

use super::{
    act,
    args::RolesAct,
    outcome::{Exit, Failure, Report},
};
use crate::{app::App, memory, render::table::lay_out};

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
    };
    let firm = app.firm().await?;
    let seen = memory::roles_seen(app).await?;
    let mut rows = Vec::new();
    for (connection, configured) in app.config.connections.iter().filter(|(c, _)| only.as_ref().is_none_or(|o| o == *c))
    {
        let empty = BTreeMap::new();
        let users = seen.get(connection).unwrap_or(&empty);
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
