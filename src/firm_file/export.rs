//! From a firm to its file. The same firm gives the same bytes.

use std::fmt::Write as _;

use ledgerward_contract::{SourceKind, SourceRef};

use crate::domain::{
    change::{office_slug, unlisted_slug},
    firm::{AccountRef, Authority, BEGINNING, Client, ClientState, Firm, Person, SelectionScope},
    office::{CustomOffice, Group},
};

/// Writes the file. People are in the order of their addresses, clients of their slugs.
pub fn export(firm: &Firm) -> String {
    let mut out = String::from(
        "# People, clients, groups, roles and selections of the firm. Show what applying it would do:\n\
         #   ledgerward firm apply FILE --dry-run\n\
         # What the file leaves out stays; with --prune it ends.\nversion = 1\n",
    );
    let mut people: Vec<&Person> = firm.people.values().collect();
    people.sort_by(|a, b| a.email.cmp(&b.email));
    for person in people {
        write_person(&mut out, person);
    }
    let mut clients: Vec<&Client> = firm.clients.values().filter(|c| in_file(c)).collect();
    clients.sort_by(|a, b| a.slug.cmp(&b.slug));
    for client in clients {
        write_client(&mut out, client);
    }
    for (name, group) in &firm.groups {
        write_group(&mut out, firm, name, group);
    }
    for (name, office) in &firm.offices {
        write_office(&mut out, name, office);
    }
    write_selections(&mut out, firm);
    out
}

/// Private clients are nobody else's business, and a proposal is no decision yet.
pub(super) fn in_file(client: &Client) -> bool {
    client.private_to.is_none() && client.state != ClientState::Proposed
}

fn line(out: &mut String, key: &str, value: impl std::fmt::Display) {
    let _ = writeln!(out, "{key} = {value}");
}

fn text(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn write_person(out: &mut String, person: &Person) {
    let Person {
        id: _,
        first,
        last,
        email,
        aliases,
        target_addresses,
        mode,
        office,
        enabled,
        // `revoke --now` and its lifting are acts of their own, never a line in a file.
        closed: _,
        domain_accepted,
    } = person;
    out.push_str("\n[[person]]\n");
    line(out, "email", text(email.as_given()));
    line(out, "first", text(first));
    line(out, "last", text(last));
    line(out, "office", text(&office_slug(office)));
    line(out, "mode", text(mode.slug()));
    line(out, "enabled", enabled);
    if *domain_accepted {
        line(out, "domain_accepted", true);
    }
    for (connection, emails) in aliases {
        let key = format!("aliases.{}", text(connection.as_str()));
        line(out, &key, list(emails.iter().map(|e| text(e.as_given()))));
    }
    for (target, email) in target_addresses {
        line(out, &format!("addresses.{}", text(&target.0)), text(email.as_given()));
    }
}

fn write_client(out: &mut String, client: &Client) {
    let Client {
        id: _,
        slug,
        name,
        state,
        private_to: _,
        sources,
        authority,
        unlisted,
        targets,
        accounts,
        year_end,
        statements_since,
    } = client;
    out.push_str("\n[[client]]\n");
    line(out, "slug", text(slug));
    line(out, "name", text(name));
    line(out, "state", text(state_slug(*state)));
    if !sources.is_empty() {
        line(out, "sources", list(sources.iter().map(source)));
    }
    match authority {
        Authority::All => line(out, "authority", text("all")),
        Authority::Any => line(out, "authority", text("any")),
        Authority::Named(s) => line(out, "authority", source(s)),
    }
    line(out, "unlisted", text(unlisted.map_or("default", unlisted_slug)));
    match targets {
        None => line(out, "targets", text("all")),
        Some(set) => line(out, "targets", list(set.iter().map(|t| text(&t.0)))),
    }
    match accounts {
        None => line(out, "accounts", text("all")),
        Some(set) => line(out, "accounts", list(set.iter().map(account))),
    }
    if let Some((month, day)) = year_end {
        line(out, "year_end", text(&format!("{month:02}-{day:02}")));
    }
    if let Some(since) = statements_since {
        let day = if *since == BEGINNING { "beginning".to_owned() } else { since.to_string() };
        line(out, "since", text(&day));
    }
}

fn write_group(out: &mut String, firm: &Firm, name: &str, group: &Group) {
    let Group { clients, connections } = group;
    let mut slugs: Vec<&str> =
        clients.iter().filter_map(|c| firm.clients.get(c)).filter(|c| in_file(c)).map(|c| c.slug.as_str()).collect();
    slugs.sort_unstable();
    out.push_str("\n[[group]]\n");
    line(out, "name", text(name));
    if !slugs.is_empty() {
        line(out, "clients", list(slugs.into_iter().map(text)));
    }
    if !connections.is_empty() {
        line(out, "connections", list(connections.iter().map(|c| text(c.as_str()))));
    }
}

fn write_office(out: &mut String, name: &str, office: &CustomOffice) {
    let CustomOffice { permissions, group } = office;
    out.push_str("\n[[office]]\n");
    line(out, "name", text(name));
    line(out, "may", list(permissions.iter().map(|p| text(p.slug()))));
    if let Some(group) = group {
        line(out, "group", text(group));
    }
}

fn write_selections(out: &mut String, firm: &Firm) {
    let mut rows: Vec<_> = firm
        .selections
        .iter()
        .filter_map(|((p, c), s)| Some((firm.people.get(p)?, firm.clients.get(c).filter(|c| in_file(c))?, s)))
        .collect();
    rows.sort_by(|a, b| (&a.0.email, &a.1.slug).cmp(&(&b.0.email, &b.1.slug)));
    for (person, client, selection) in rows {
        out.push_str("\n[[selection]]\n");
        line(out, "person", text(person.email.as_given()));
        line(out, "client", text(&client.slug));
        if let SelectionScope::Accounts(set) = &selection.scope {
            line(out, "accounts", list(set.iter().map(account)));
        }
        if selection.when_granted {
            line(out, "when_granted", true);
        }
    }
}

pub(super) const fn state_slug(state: ClientState) -> &'static str {
    match state {
        ClientState::Proposed => "proposed",
        ClientState::Active => "active",
        ClientState::Archived => "archived",
        ClientState::Closed => "closed",
    }
}

pub(super) const SOURCE_KINDS: [(&str, SourceKind); 3] =
    [("ledger", SourceKind::Ledger), ("practice-client", SourceKind::PracticeClient), ("roster", SourceKind::Roster)];

fn source(source: &SourceRef) -> String {
    let kind = SOURCE_KINDS.iter().find(|(_, k)| *k == source.kind).map_or("ledger", |(slug, _)| slug);
    format!("{{ connection = {}, kind = {}, id = {} }}", text(source.connection.as_str()), text(kind), text(&source.id))
}

fn account(a: &AccountRef) -> String {
    format!(
        "{{ connection = {}, ledger = {}, account = {} }}",
        text(a.connection.as_str()),
        text(a.ledger.as_str()),
        text(a.account.as_str())
    )
}
