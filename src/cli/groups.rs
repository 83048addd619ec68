//! `groups`: named sets of clients, by hand and by the connection they are bound to.

use std::collections::BTreeSet;

use ledgerward_contract::{ClientId, ConnectionName};
use serde_json::json;

use super::{
    act::{self, act_and_tell},
    args::{ClientArg, GroupsAct},
    clients::seen,
    outcome::{Exit, Failure, Report},
};
use crate::{
    app::App,
    directory::{self, Offered},
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
        None | Some(GroupsAct::List) => return list(app, &firm).await,
        Some(GroupsAct::Show { group }) => return show(app, &firm, &group).await,
        Some(GroupsAct::Add { group, clients, connections }) => {
            let (clients, connections) = named(app, &firm, &clients, &connections)?;
            ChangeOp::AddToGroup { group, clients, connections }
        }
        Some(GroupsAct::Adopt { group, connection, theirs }) => adopt(app, &firm, group, &connection, &theirs).await?,
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
    may_make(app, firm)?;
    let clients = act::clients(app, firm, clients)?.iter().map(|c| c.id).collect();
    Ok((clients, connections.iter().map(|c| act::connection(app, c)).collect::<Result<_, _>>()?))
}

/// Who may make groups sees what practice managers offer; the names may be of clients that others must not know of.
fn may_make(app: &App, firm: &Firm) -> Result<(), Failure> {
    act::asking(app, firm).map_or(Ok(()), |own| holds(firm, own, Permission::Groups)).map_err(super::cycle::refused)
}

async fn adopt(app: &App, firm: &Firm, group: String, connection: &str, theirs: &str) -> Result<ChangeOp, Failure> {
    may_make(app, firm)?;
    let connection = act::connection(app, connection)?;
    let all = directory::offered(app, firm).await?;
    let Some(found) = all.iter().find(|o| o.connection == connection && o.name == theirs) else {
        let names: Vec<_> = all.iter().filter(|o| o.connection == connection).map(|o| o.name.as_str()).collect();
        let next = match names.as_slice() {
            [] => {
                "It names none, as last read. See its README for the setting that reads groups; then: ledgerward pull"
                    .to_owned()
            }
            names => format!("It has: {}.", names.join(", ")),
        };
        return Err(Failure::new(Exit::Failed, format!("{connection} has no group \"{theirs}\"")).next(next));
    };
    if found.clients.is_empty() {
        let text = format!("no client here is bound to one of the {} lines of \"{theirs}\"", found.lines);
        return Err(Failure::new(Exit::Failed, text).next(format!("Bind them first: ledgerward roster {connection}")));
    }
    let clients = found.clients.iter().map(|c| c.id).collect();
    Ok(ChangeOp::AddToGroup { group, clients, connections: BTreeSet::new() })
}

fn connections(group: &Group) -> String {
    group.connections.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Only the groups that the asker's role reaches; for everybody else there are none.
async fn list(app: &App, firm: &Firm) -> Result<Report, Failure> {
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
    let offered = if may_make(app, firm).is_ok() { directory::offered(app, firm).await? } else { Vec::new() };
    let theirs: Vec<_> = offered
        .iter()
        .map(|o| json!({"connection": o.connection, "name": o.name, "lines": o.lines, "clients": o.clients.len()}))
        .collect();
    let json = json!({"schema": "ledgerward/groups/1", "groups": values, "offered": theirs});
    let report = Report::new(Exit::Done, json, text + &offers(&offered));
    Ok(if seen.is_empty() { report.note("To make one: ledgerward groups add NAME CLIENT…") } else { report })
}

fn offers(offered: &[Offered<'_>]) -> String {
    if offered.is_empty() {
        return String::new();
    }
    let rows = offered
        .iter()
        .map(|o| [o.connection.to_string(), o.name.clone(), o.lines.to_string(), o.clients.len().to_string()]);
    let rows = lay_out(["practice manager", "its group", "lines", "clients here"], rows, &[2, 3]);
    format!("\n{rows}To take one over: ledgerward groups adopt NAME CONNECTION \"ITS GROUP\"\n")
}

/// Whom it has, as far as the asker sees them.
async fn show(app: &App, firm: &Firm, name: &str) -> Result<Report, Failure> {
    let group = act::group(app, firm, name)?;
    let seen: BTreeSet<ClientId> = seen(app, firm).await?.iter().map(|c| c.id).collect();
    let (mut clients, others): (Vec<&Client>, Vec<&Client>) = group.clients(firm).partition(|c| seen.contains(&c.id));
    clients.sort_by(|a, b| a.slug.cmp(&b.slug));
    let how = |c: &Client| if group.clients.contains(&c.id) { "by name" } else { "by connection" };
    let text =
        table(["client", "name", "how"], clients.iter().map(|c| [c.slug.clone(), c.name.clone(), how(c).to_owned()]));
    let values: Vec<_> =
        clients.iter().map(|c| json!({"id": c.id, "slug": c.slug, "name": c.name, "how": how(c)})).collect();
    let others = others.len();
    let json = json!({"schema": "ledgerward/group/1", "name": name, "connections": group.connections, "clients": values, "others": others});
    let report = Report::new(Exit::Done, json, text);
    Ok(if others > 0 { report.note(format!("{others} more that you do not see.")) } else { report })
}
