//! Groups of clients. A group never holds a private client, however somebody names it.

use std::collections::BTreeSet;

use ledgerward_contract::{ClientId, ConnectionName};

use super::{Firm, Group, Outcome, Refusal, RefusalKind, already, client, done, refuse, valid_slug};

const LIST: &str = "See: ledgerward groups list";

pub(super) fn known<'f>(firm: &'f Firm, group: &str) -> Result<&'f Group, Refusal> {
    firm.groups.get(group).ok_or_else(|| Refusal {
        message: format!("there is no group of clients \"{group}\""),
        next: LIST.to_owned(),
        kind: RefusalKind::Missing,
    })
}

pub(super) fn add(
    firm: &mut Firm,
    name: &str,
    clients: &BTreeSet<ClientId>,
    connections: &BTreeSet<ConnectionName>,
) -> Outcome {
    if !valid_slug(name) {
        return refuse(format!("\"{name}\" cannot be a group's name"), "Small letters, digits and hyphens: north-side");
    }
    for id in clients {
        if client(firm, *id)?.private_to.is_some() {
            return refuse(format!("{id} is no ordinary client"), "A group holds ordinary clients only.");
        }
    }
    let before = firm.groups.get(name).cloned();
    let made = before.is_none();
    let group = firm.groups.entry(name.to_owned()).or_default();
    group.clients.extend(clients);
    group.connections.extend(connections.iter().cloned());
    if before.as_ref() == Some(&*group) {
        return already(format!("the group {name} has them already"));
    }
    let after = group.clone();
    let count = after.clients(firm).count();
    done(format!("{} the group {name}: {count} clients", if made { "made" } else { "added to" }))
}

pub(super) fn take(
    firm: &mut Firm,
    name: &str,
    clients: &BTreeSet<ClientId>,
    connections: &BTreeSet<ConnectionName>,
) -> Outcome {
    let before = known(firm, name)?.clone();
    let mut group = before.clone();
    group.clients.retain(|c| !clients.contains(c));
    group.connections.retain(|c| !connections.contains(c));
    if group == before {
        return already(format!("none of them is in the group {name} by name"));
    }
    let count = group.clients(firm).count();
    firm.groups.insert(name.to_owned(), group);
    done(format!("took from the group {name}: {count} clients are left"))
}

pub(super) fn remove(firm: &mut Firm, name: &str) -> Outcome {
    known(firm, name)?;
    // Without its group a limited role would be limited to nothing, or worse, to no limit.
    if let Some((office, _)) = firm.offices.iter().find(|(_, o)| o.group.as_deref() == Some(name)) {
        return refuse(
            format!("the role custom:{office} is limited to the group {name}"),
            format!("Change that first: ledgerward roles define {office} …"),
        );
    }
    firm.groups.remove(name);
    done(format!("removed the group {name}; its clients are as they were"))
}
