//! `groups`: named sets of clients, by hand and by the connection they are bound to.

use std::collections::BTreeSet;

use ledgerward_contract::{ClientId, ConnectionName};
use serde_json::json;

use super::{
    act::{self, act_and_tell},
    args::{ClientArg, GroupsAct},
    outcome::{Exit, Failure, Report},
};
use crate::{
    app::App,
    domain::{
        change::{ChangeOp, holds},
        firm::{Client, Firm},
        office::{Group, Permission},
    },
    render::table::{lay_out, table},
};

pub async fn run(app: &App, act: Option<GroupsAct>) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    let op = match act {
        None | Some(GroupsAct::List) => return Ok(list(app, &firm)),
        Some(GroupsAct::Show { group }) => return show(app, &firm, &group),
        Some(GroupsAct::Add { group, clients, connections }) => {
            let (clients, connections) = named(app, &firm, &clients, &connections)?;
            ChangeOp::AddToGroup { group, clients, connections }
        }
        Some(GroupsAct::Take { group, clients, connections }) => {
            let (clients, connections) = named(app, &firm, &clients, &connections)?;
            ChangeOp::TakeFromGroup { group, clients, connections }
        }
        Some(GroupsAct::Remove { group }) => ChangeOp::RemoveGroup { group },
    };
    act_and_tell(app, vec![op], "groups").await
}

fn named(
    app: &App,
    firm: &Firm,
    clients: &[ClientArg],
    connections: &[String],
) -> Result<(BTreeSet<ClientId>, BTreeSet<ConnectionName>), Failure> {
    if let Some(own) = act::asking(app, firm) {
        holds(firm, own, Permission::Groups).map_err(super::cycle::refused)?;
    }
    let clients = act::clients(app, firm, clients)?.iter().map(|c| c.id).collect();
    Ok((clients, connections.iter().map(|c| act::connection(app, c)).collect::<Result<_, _>>()?))
}

fn connections(group: &Group) -> String {
    group.connections.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Only the groups that the asker's role reaches; for everybody else there are none.
fn list(app: &App, firm: &Firm) -> Report {
    let seen: Vec<(&String, &Group)> =
        firm.groups.iter().filter(|(name, _)| act::group(app, firm, name).is_ok()).collect();
    let rows = seen.iter().map(|(name, g)| {
        [(*name).clone(), g.clients(firm).count().to_string(), g.clients.len().to_string(), connections(g)]
    });
    let text = lay_out(["group", "clients", "by name", "by connection"], rows, &[1, 2]);
    let values: Vec<_> = seen
        .iter()
        .map(|(name, g)| json!({"name": name, "clients": g.clients(firm).count(), "by_name": g.clients.len(), "connections": g.connections}))
        .collect();
    let report = Report::new(Exit::Done, json!({"schema": "ledgerward/groups/1", "groups": values}), text);
    if seen.is_empty() { report.note("To make one: ledgerward groups add NAME CLIENT…") } else { report }
}

fn show(app: &App, firm: &Firm, name: &str) -> Result<Report, Failure> {
    let group = act::group(app, firm, name)?;
    let mut clients: Vec<&Client> = group.clients(firm).collect();
    clients.sort_by(|a, b| a.slug.cmp(&b.slug));
    let how = |c: &Client| if group.clients.contains(&c.id) { "by name" } else { "by connection" };
    let text =
        table(["client", "name", "how"], clients.iter().map(|c| [c.slug.clone(), c.name.clone(), how(c).to_owned()]));
    let values: Vec<_> =
        clients.iter().map(|c| json!({"id": c.id, "slug": c.slug, "name": c.name, "how": how(c)})).collect();
    let json =
        json!({"schema": "ledgerward/group/1", "name": name, "connections": group.connections, "clients": values});
    Ok(Report::new(Exit::Done, json, text))
}
