//! From a checked file to the changes it asks for.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ClientId, ConnectionName, Email};
use uuid::Uuid;

use super::{ClientRow, FirmFile, GroupRow, OfficeRow, PersonRow, SelectionRow, export::in_file};
use crate::domain::{
    change::ChangeOp,
    firm::{ClientState, Firm, Mode, Office, Person, PersonId, SelectionScope},
};

/// The changes that make `firm` what `file` says, in an order in which each is possible; none if it is so already.
/// `new_id` makes the ids of what is added. Nothing here checks a rule: [`crate::domain::change::apply_all`] does.
pub fn diff(file: &FirmFile, firm: &Firm, prune: bool, mut new_id: impl FnMut() -> Uuid) -> Vec<ChangeOp> {
    let mut out = Diff {
        firm,
        prune,
        people: firm.people.values().map(|p| (p.email.clone(), p.id)).collect(),
        clients: firm.clients.values().filter(|c| c.private_to.is_none()).map(|c| (c.slug.clone(), c.id)).collect(),
        ops: Vec::new(),
        last: Vec::new(),
    };
    // A person may have a role of the file, a role its group, and a group its clients.
    file.clients.iter().for_each(|row| out.client(row, &mut new_id));
    file.groups.iter().for_each(|row| out.group(row));
    file.offices.iter().for_each(|row| out.office(row));
    file.people.iter().for_each(|row| out.person(row, &mut new_id));
    file.selections.iter().for_each(|row| out.selection(row));
    if prune {
        out.prune(file);
    }
    out.ops.append(&mut out.last);
    out.ops
}

struct Diff<'f> {
    firm: &'f Firm,
    prune: bool,
    people: BTreeMap<Email, PersonId>,
    clients: BTreeMap<String, ClientId>,
    ops: Vec<ChangeOp>,
    /// What must come after the selections: ends of clients, and the hand-over that changes who may do the rest.
    last: Vec<ChangeOp>,
}

impl Diff<'_> {
    fn person(&mut self, row: &PersonRow, new_id: &mut impl FnMut() -> Uuid) {
        let PersonRow { email, first, last, office, mode, enabled, domain_accepted, aliases, addresses } = row;
        let known = self.people.get(email).and_then(|id| self.firm.people.get(id));
        let person = known.map_or_else(|| PersonId(new_id()), |p| p.id);
        match known {
            None => {
                self.people.insert(email.clone(), person);
                self.ops.push(ChangeOp::AddPerson {
                    id: person,
                    first: first.clone().unwrap_or_default(),
                    last: last.clone().unwrap_or_default(),
                    email: email.clone(),
                    office: office.clone().unwrap_or(Office::Employee),
                    mode: mode.unwrap_or_default(),
                });
            }
            Some(p) => self.edit(p, row),
        }
        if enabled.is_some_and(|e| e != known.is_none_or(|p| p.enabled)) {
            self.ops.push(ChangeOp::SetEnabled { person, enabled: !known.is_none_or(|p| p.enabled) });
        }
        if *domain_accepted == Some(true) && !known.is_some_and(|p| p.domain_accepted) {
            self.ops.push(ChangeOp::AcceptDomain { person });
        }
        for (connection, emails) in aliases {
            let has = known.and_then(|p| p.aliases.get(connection));
            for email in emails.iter().filter(|e| !has.is_some_and(|set| set.contains(e))) {
                self.ops.push(ChangeOp::AddAlias { person, connection: connection.clone(), email: email.clone() });
            }
        }
        for (target, email) in addresses {
            let has = known.and_then(|p| p.target_addresses.get(target)).map(Email::as_given);
            if has != Some(email.as_given()) {
                self.ops.push(ChangeOp::SetTargetAddress {
                    person,
                    target: target.clone(),
                    email: Some(email.clone()),
                });
            }
        }
        if let Some(p) = known.filter(|_| self.prune) {
            self.prune_person(p, row);
        }
    }

    fn edit(&mut self, p: &Person, row: &PersonRow) {
        let differs = |new: &Option<String>, old: &str| new.clone().filter(|n| n != old);
        let (first, last) = (differs(&row.first, &p.first), differs(&row.last, &p.last));
        let email = (p.email.as_given() != row.email.as_given()).then(|| row.email.clone());
        if first.is_some() || last.is_some() || email.is_some() {
            self.ops.push(ChangeOp::EditPerson { person: p.id, first, last, email });
        }
        let mode = row.mode.unwrap_or(p.mode);
        match &row.office {
            Some(Office::PrimaryOwner) if p.office != Office::PrimaryOwner => {
                if p.office != Office::Owner {
                    self.ops.push(ChangeOp::SetOffice { person: p.id, office: Office::Owner, mode });
                }
                self.last.push(ChangeOp::HandOver { to: p.id });
                self.mode(p, mode);
            }
            // The old primary owner becomes owner by the hand-over itself; the parser lets no other office through.
            Some(office) if *office != p.office && p.office != Office::PrimaryOwner => {
                self.ops.push(ChangeOp::SetOffice { person: p.id, office: office.clone(), mode });
            }
            _ => self.mode(p, mode),
        }
    }

    fn mode(&mut self, p: &Person, mode: Mode) {
        if mode != p.mode {
            self.ops.push(ChangeOp::SetMode { person: p.id, mode });
        }
    }

    fn prune_person(&mut self, p: &Person, row: &PersonRow) {
        for (connection, emails) in &p.aliases {
            let wanted = row.aliases.get(connection);
            for email in emails.iter().filter(|e| !wanted.is_some_and(|set| set.contains(e))) {
                let (connection, email) = (connection.clone(), email.clone());
                self.ops.push(ChangeOp::RemoveAlias { person: p.id, connection, email });
            }
        }
        for target in p.target_addresses.keys().filter(|t| !row.addresses.contains_key(t)) {
            self.ops.push(ChangeOp::SetTargetAddress { person: p.id, target: target.clone(), email: None });
        }
    }

    fn client(&mut self, row: &ClientRow, new_id: &mut impl FnMut() -> Uuid) {
        let ClientRow { slug, name, state, sources, authority, unlisted, targets, accounts, year_end, since } = row;
        let known = self.clients.get(slug).and_then(|id| self.firm.clients.get(id));
        let client = known.map_or_else(|| ClientId(new_id()), |c| c.id);
        if known.is_none() {
            self.clients.insert(slug.clone(), client);
            let name = name.clone().unwrap_or_default();
            self.ops.push(ChangeOp::AddClient { id: client, name, slug: Some(slug.clone()) });
        }
        if let (Some(name), Some(c)) = (name, known)
            && *name != c.name
        {
            self.ops.push(ChangeOp::RenameClient { client, name: name.clone() });
        }
        if let Some(state) = state
            && *state != known.map_or(ClientState::Active, |c| c.state)
        {
            let op = ChangeOp::SetClientState { client, state: *state };
            // Selecting needs an active client, so it opens before and ends after.
            if *state == ClientState::Active { self.ops.push(op) } else { self.last.push(op) }
        }
        let bound = |s| known.is_some_and(|c| c.sources.contains(s));
        for source in sources.iter().filter(|s| !bound(s)) {
            self.ops.push(ChangeOp::BindSource { client, source: source.clone() });
        }
        if let Some(authority) =
            authority.as_ref().filter(|a| known.map_or(&self.firm.policy.authority, |c| &c.authority) != *a)
        {
            self.ops.push(ChangeOp::SetAuthority { client, authority: authority.clone() });
        }
        if let Some(unlisted) = unlisted.filter(|u| known.and_then(|c| c.unlisted) != *u) {
            self.ops.push(ChangeOp::SetUnlisted { client, unlisted });
        }
        if let Some(targets) = targets.as_ref().filter(|t| known.and_then(|c| c.targets.as_ref()) != t.as_ref()) {
            self.ops.push(ChangeOp::SetTargets { client, targets: targets.clone() });
        }
        if let Some(accounts) = accounts.as_ref().filter(|a| known.and_then(|c| c.accounts.as_ref()) != a.as_ref()) {
            self.ops.push(ChangeOp::SetAccounts { client, accounts: accounts.clone() });
        }
        if year_end.is_some_and(|y| known.and_then(|c| c.year_end) != Some(y)) {
            self.ops.push(ChangeOp::SetYearEnd { client, year_end: *year_end });
        }
        if since.is_some_and(|s| known.and_then(|c| c.statements_since) != Some(s)) {
            self.ops.push(ChangeOp::SetStatementsSince { client, since: *since });
        }
        if let Some(c) = known.filter(|_| self.prune) {
            for source in c.sources.iter().filter(|s| !sources.contains(s)) {
                self.ops.push(ChangeOp::UnbindSource { client, source: source.clone() });
            }
        }
    }

    fn group(&mut self, row: &GroupRow) {
        let GroupRow { name, clients, connections } = row;
        let known = self.firm.groups.get(name);
        // Every slug was looked up when the file was read.
        let wanted: BTreeSet<ClientId> = clients.iter().filter_map(|slug| self.clients.get(slug).copied()).collect();
        let new_clients: BTreeSet<ClientId> =
            wanted.iter().filter(|c| known.is_none_or(|g| !g.clients.contains(c))).copied().collect();
        let new_connections: BTreeSet<ConnectionName> =
            connections.iter().filter(|c| known.is_none_or(|g| !g.connections.contains(c))).cloned().collect();
        if known.is_none() || !new_clients.is_empty() || !new_connections.is_empty() {
            let group = name.clone();
            self.ops.push(ChangeOp::AddToGroup { group, clients: new_clients, connections: new_connections });
        }
        if let Some(g) = known.filter(|_| self.prune) {
            let told = |c: &&ClientId| self.firm.clients.get(c).is_some_and(in_file);
            let clients: BTreeSet<ClientId> =
                g.clients.iter().filter(told).filter(|c| !wanted.contains(c)).copied().collect();
            let connections: BTreeSet<ConnectionName> = g.connections.difference(connections).cloned().collect();
            if !clients.is_empty() || !connections.is_empty() {
                self.ops.push(ChangeOp::TakeFromGroup { group: name.clone(), clients, connections });
            }
        }
    }

    fn office(&mut self, row: &OfficeRow) {
        let OfficeRow { name, office } = row;
        if self.firm.offices.get(name) != Some(office) {
            self.ops.push(ChangeOp::DefineOffice { name: name.clone(), office: office.clone() });
        }
    }

    fn selection(&mut self, row: &SelectionRow) {
        let SelectionRow { person, client, accounts, when_granted } = row;
        // Both were looked up when the file was read.
        let (Some(person), Some(client)) = (self.people.get(person), self.clients.get(client)) else { return };
        let scope = accounts.clone().map_or(SelectionScope::Whole, SelectionScope::Accounts);
        let has = self.firm.selections.get(&(*person, *client));
        if !has.is_some_and(|s| s.scope == scope && s.when_granted == *when_granted) {
            let (person, client, when_granted) = (*person, *client, *when_granted);
            self.ops.push(ChangeOp::Select { person, client, scope, when_granted });
        }
    }

    fn prune(&mut self, file: &FirmFile) {
        let rows: BTreeSet<(&Email, &str)> = file.selections.iter().map(|s| (&s.person, s.client.as_str())).collect();
        let people: BTreeSet<&Email> = file.people.iter().map(|p| &p.email).collect();
        let clients: BTreeSet<&str> = file.clients.iter().map(|c| c.slug.as_str()).collect();
        for (person, client) in self.firm.selections.keys() {
            if let (Some(p), Some(c)) = (self.firm.people.get(person), self.firm.clients.get(client))
                && in_file(c)
                && !rows.contains(&(&p.email, c.slug.as_str()))
            {
                self.ops.push(ChangeOp::Unselect { person: *person, client: *client });
            }
        }
        for c in self.firm.clients.values().filter(|c| in_file(c) && c.state == ClientState::Active) {
            if !clients.contains(c.slug.as_str()) {
                self.last.push(ChangeOp::SetClientState { client: c.id, state: ClientState::Archived });
            }
        }
        for p in self.firm.people.values().filter(|p| p.enabled && p.office != Office::PrimaryOwner) {
            if !people.contains(&p.email) {
                self.last.push(ChangeOp::SetEnabled { person: p.id, enabled: false });
            }
        }
        // After everything that might still use them: the people their roles, the roles their groups.
        for name in self.firm.offices.keys().filter(|n| !file.offices.iter().any(|row| row.name == **n)) {
            self.last.push(ChangeOp::RemoveOffice { name: name.clone() });
        }
        for name in self.firm.groups.keys().filter(|n| !file.groups.iter().any(|row| row.name == **n)) {
            self.last.push(ChangeOp::RemoveGroup { group: name.clone() });
        }
    }
}
