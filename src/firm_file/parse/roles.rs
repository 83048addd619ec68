//! `[[group]]` and `[[office]]`: groups of clients, and the firm's own roles.

use std::collections::BTreeSet;

use super::{Known, Names, Table, Value, choose, connection, near};
use crate::{
    domain::{
        change::{parse_office, valid_slug},
        firm::Office,
        office::{CustomOffice, Permission},
    },
    firm_file::{GroupRow, OfficeRow},
};

pub(super) fn read_group(t: Table<'_, '_>, names: &Names, known: &mut Known<'_>) -> Option<GroupRow> {
    let name = read_name(&t, "The group's name: small letters, digits and hyphens.");
    let clients = t.get("clients").and_then(|v| {
        v.set(|v| {
            let slug = v.text()?;
            if !known.clients.contains(&slug) {
                let slugs: Vec<&str> = known.clients.iter().map(String::as_str).collect();
                v.problem(format!("there is no client \"{slug}\""), near(&slug, &slugs, "Add a [[client]] for it."));
            }
            Some(slug)
        })
    });
    let connections = t.get("connections").and_then(|v| v.set(|v| Some(connection(v, v.text()?, names))));
    let name = once(&t, name, "group", &mut known.file_groups)?;
    known.groups.insert(name.clone());
    t.finish(&[]);
    Some(GroupRow { name, clients: clients.unwrap_or_default(), connections: connections.unwrap_or_default() })
}

pub(super) fn read_office(t: Table<'_, '_>, known: &mut Known<'_>) -> Option<OfficeRow> {
    let name = read_name(&t, "The role's name without custom: small letters, digits and hyphens.");
    let group = t.get("group").and_then(|v| {
        let group = v.text()?;
        if !known.groups.contains(&group) {
            let groups: Vec<&str> = known.groups.iter().map(String::as_str).collect();
            v.problem(format!("there is no group \"{group}\""), near(&group, &groups, "Add a [[group]] for it."));
        }
        Some(group)
    });
    // A value that cannot be read is a problem already, and is a limit all the same.
    let limited = t.get("group").is_some();
    let may = t.need("may", "What the role may do, all of it: may = [\"selections\", \"guests\"].");
    let permissions = may.and_then(|v| v.set(|v| read_permission(v, limited)));
    let name = once(&t, name, "office", &mut known.file_offices)?;
    known.offices.insert(name.clone());
    let before = known.firm.offices.get(&name).and_then(|o| o.group.as_ref());
    if let Some(group) = before.filter(|_| !limited) {
        t.problem(
            format!("the role custom:{name} is limited to the group {group}, and this says nothing of it"),
            format!(
                "A line that is left out must not widen a role. Write group = \"{group}\", or lift the limit first: \
                 ledgerward roles define {name} …"
            ),
        );
    }
    t.finish(&[]);
    Some(OfficeRow { name, office: CustomOffice { permissions: permissions?, group } })
}

/// The office that a person is given: one of the fixed ones, or a role that the firm or the file has.
pub(super) fn read_given(v: &Value<'_, '_>, known: &Known<'_>) -> Option<Office> {
    let office = v.parse(
        |s| parse_office(s).ok_or("no such office"),
        "Use one of: primary-owner, owner, admin, employee, viewer, custom:NAME.",
    )?;
    if let Office::Custom(name) = &office
        && !known.offices.contains(name)
    {
        let offices: Vec<&str> = known.offices.iter().map(String::as_str).collect();
        v.problem(format!("the firm has no role custom:{name}"), near(name, &offices, "Add an [[office]] for it."));
    }
    Some(office)
}

fn read_name(t: &Table<'_, '_>, help: &str) -> Option<String> {
    t.need("name", help)?.parse(|s| valid_slug(s).then(|| s.to_owned()).ok_or("this cannot be a name here"), help)
}

fn once(t: &Table<'_, '_>, name: Option<String>, what: &str, seen: &mut BTreeSet<String>) -> Option<String> {
    let name = name?;
    if !seen.insert(name.clone()) {
        t.problem(format!("the {what} {name} is in the file twice"), "Make one of the two.");
    }
    Some(name)
}

fn read_permission(v: &Value<'_, '_>, limited: bool) -> Option<Permission> {
    let given = |p: &Permission| *p != Permission::HandOver && (!limited || p.fits_a_group());
    let text = v.text()?;
    match Permission::parse(&text) {
        Some(p) if given(&p) => Some(p),
        Some(Permission::HandOver) => {
            v.problem("only the primary owner hands the office over", "Leave it out.");
            None
        }
        Some(_) => {
            let message = format!("a role that is limited to a group cannot have the permission \"{text}\"");
            v.problem(message, "Leave the permission out, or the group.");
            None
        }
        None => {
            let words: Vec<&str> = Permission::ALL.iter().filter(|p| given(p)).map(|p| p.slug()).collect();
            v.problem(format!("there is no permission \"{text}\""), choose(&text, &words));
            None
        }
    }
}
