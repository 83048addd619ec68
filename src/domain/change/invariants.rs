//! What is true of every firm, whatever was changed in which order. Property tests ask it after each change, and the store
//! when it loads.

use std::collections::{BTreeMap, BTreeSet};

use super::{Firm, Office, Permission, SelectionScope};

/// Every rule that this firm breaks, in words; empty for a sound one. A firm without people is one before `init`.
pub fn violations(firm: &Firm) -> Vec<String> {
    let mut found = Vec::new();
    let primaries: Vec<_> = firm.people.values().filter(|p| p.office == Office::PrimaryOwner).collect();
    if !firm.people.is_empty() && primaries.len() != 1 {
        found.push(format!("{} primary owners", primaries.len()));
    }
    if primaries.iter().any(|p| p.shut()) {
        found.push("the primary owner is disabled or closed".to_owned());
    }
    addresses(firm, &mut found);
    let mut slugs = BTreeSet::new();
    for (id, client) in &firm.clients {
        if *id != client.id || !slugs.insert(&client.slug) {
            found.push(format!("client {id}: its id or slug is not its own"));
        }
        if client.private_to.is_some_and(|p| !firm.people.contains_key(&p)) {
            found.push(format!("client {}: private to nobody", client.slug));
        }
        if client.accounts.as_ref().is_some_and(BTreeSet::is_empty) {
            found.push(format!("client {}: an empty list of accounts", client.slug));
        }
        if let super::Authority::Named(source) = &client.authority
            && !client.sources.contains(source)
        {
            found.push(format!("client {}: decided by a source it is not bound to", client.slug));
        }
    }
    for ((person, client), selection) in &firm.selections {
        if !firm.people.contains_key(person) || !firm.clients.contains_key(client) {
            found.push("a selection of nobody or nothing".to_owned());
        }
        if matches!(&selection.scope, SelectionScope::Accounts(set) if set.is_empty()) {
            found.push("a selection of no account".to_owned());
        }
    }
    let accounts = firm.selections.iter().filter_map(|((_, client), s)| match &s.scope {
        SelectionScope::Accounts(set) => Some(set.iter().map(move |a| ((client, &a.account), a))),
        SelectionScope::Whole => None,
    });
    let mut folders = BTreeMap::new();
    if accounts.flatten().any(|(folder, account)| folders.entry(folder).or_insert(account).clashes(account)) {
        found.push("one folder of two ledgers' accounts".to_owned());
    }
    let private = |id| firm.clients.get(id).is_some_and(|c| c.private_to.is_some());
    if firm.guests.iter().any(|g| private(&g.client)) {
        found.push("a guest of private books".to_owned());
    }
    if firm.groups.values().flat_map(|g| &g.clients).any(|c| private(c) || !firm.clients.contains_key(c)) {
        found.push("a group with a private client, or one that is not there".to_owned());
    }
    if firm.guests.iter().any(|g| !firm.people.contains_key(&g.person) || !firm.clients.contains_key(&g.client)) {
        found.push("a guest of nobody or nothing".to_owned());
    }
    if firm.pins.values().any(|p| !firm.people.contains_key(p)) {
        found.push("a pin to nobody".to_owned());
    }
    private_sources(firm, &mut found);
    offices(firm, &mut found);
    found
}

fn offices(firm: &Firm, found: &mut Vec<String>) {
    for (name, office) in &firm.offices {
        let group = office.group.as_ref();
        let wide =
            office.permissions.iter().any(|p| *p == Permission::HandOver || group.is_some() && !p.fits_a_group());
        if wide || group.is_some_and(|g| !firm.groups.contains_key(g)) {
            found.push(format!("custom:{name} is wider than such a role may be, or limited to no group"));
        }
    }
    let without = |o: &Office| matches!(o, Office::Custom(name) if !firm.offices.contains_key(name));
    if firm.people.values().any(|p| without(&p.office)) {
        found.push("somebody has a role that is not there".to_owned());
    }
}

fn addresses(firm: &Firm, found: &mut Vec<String>) {
    let mut owner = BTreeMap::new();
    for (id, person) in &firm.people {
        if *id != person.id {
            found.push(format!("person {}: its id is not its own", person.email));
        }
        let all = person.aliases.values().flatten().chain(person.target_addresses.values());
        for email in all.chain([&person.email]) {
            if *owner.entry(email).or_insert(id) != id {
                found.push(format!("two people have the address {email}"));
            }
        }
    }
}

fn private_sources(firm: &Firm, found: &mut Vec<String>) {
    let mut private = BTreeMap::new();
    for client in firm.clients.values() {
        for source in &client.sources {
            let of = private.entry(source).or_insert((client.id, client.private_to.is_some()));
            if of.0 != client.id && (of.1 || client.private_to.is_some()) {
                found.push(format!("client {}: shares a source with private books", client.slug));
            }
        }
    }
}
