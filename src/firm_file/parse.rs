//! From text to a checked [`FirmFile`], with every problem at its line.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{AccountId, ConnectionName, Date, Email, LedgerId, SourceKind, SourceRef};

use super::{ClientRow, FirmFile, Names, PersonRow, SelectionRow, export::SOURCE_KINDS, export::in_file};
use crate::{
    config::read::{ConfigProblem, Reader, Table, Value, choose},
    domain::{
        change::{parse_unlisted, valid_slug},
        firm::{AccountRef, Authority, BEGINNING, ClientState, Firm, Mode, Office, TargetName},
    },
};

mod roles;

const EMAIL_HELP: &str = "Write a plain address: \"ana@harbour.example\".";

/// Reads a file against the firm it is for and the names of its configuration. Any problem refuses the whole file.
pub fn parse(text: &str, firm: &Firm, names: &Names) -> Result<FirmFile, Vec<ConfigProblem>> {
    let reader = Reader::new(text);
    let document = reader.document();
    if reader.failed() {
        return Err(reader.into_problems());
    }
    let root = Table::new(&reader, document.get_ref(), 0..0, String::new());
    if let Some(version) = root.need("version", "Begin the file with: version = 1") {
        version.integer(1..=1);
    }
    let mut known = Known::of(firm);
    let clients = rows(&root, "client", |t| read_client(t, names, &mut known));
    let groups = rows(&root, "group", |t| roles::read_group(t, names, &mut known));
    let offices = rows(&root, "office", |t| roles::read_office(t, &mut known));
    let people = rows(&root, "person", |t| read_person(t, names, &mut known));
    check_primary(&root, &people, firm);
    let mut seen = BTreeSet::new();
    let selections = rows(&root, "selection", |t| read_selection(t, names, &known, &mut seen));
    root.finish(&["person", "client", "group", "office", "selection"]);
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(FirmFile { people, clients, groups, offices, selections }) } else { Err(problems) }
}

/// There is exactly one primary owner, and the office leaves somebody only by going to somebody else.
fn check_primary(root: &Table<'_, '_>, people: &[PersonRow], firm: &Firm) {
    let heirs = people.iter().filter(|p| p.office == Some(Office::PrimaryOwner)).count();
    if heirs > 1 {
        root.problem("two people have the office primary-owner", "There is exactly one primary owner.");
    }
    let old = firm.people.values().find(|p| p.office == Office::PrimaryOwner);
    let row = old.and_then(|old| people.iter().find(|row| row.email == old.email));
    match row.and_then(|row| row.office.as_ref()) {
        None | Some(Office::PrimaryOwner) => {}
        Some(Office::Owner) if heirs == 1 => {}
        Some(_) => root.problem(
            "the primary owner's office only goes to another owner, and its old holder stays owner",
            "Write office = \"primary-owner\" for the one, and \"owner\" for the other.",
        ),
    }
}

/// Whom and what a file may name: what the firm has, and what the file itself adds.
struct Known<'f> {
    firm: &'f Firm,
    people: BTreeSet<Email>,
    clients: BTreeSet<String>,
    groups: BTreeSet<String>,
    offices: BTreeSet<String>,
    /// Rows of this file, for duplicates.
    file_people: BTreeSet<Email>,
    file_clients: BTreeSet<String>,
    file_groups: BTreeSet<String>,
    file_offices: BTreeSet<String>,
}

impl<'f> Known<'f> {
    fn of(firm: &'f Firm) -> Self {
        Self {
            firm,
            people: firm.people.values().map(|p| p.email.clone()).collect(),
            clients: firm.clients.values().filter(|c| in_file(c)).map(|c| c.slug.clone()).collect(),
            groups: firm.groups.keys().cloned().collect(),
            offices: firm.offices.keys().cloned().collect(),
            file_people: BTreeSet::new(),
            file_clients: BTreeSet::new(),
            file_groups: BTreeSet::new(),
            file_offices: BTreeSet::new(),
        }
    }
}

fn rows<'a, 't, T>(root: &Table<'a, 't>, key: &str, read: impl FnMut(Table<'a, 't>) -> Option<T>) -> Vec<T> {
    let Some(list) = root.get(key).and_then(|v| v.list()) else { return Vec::new() };
    list.iter().filter_map(|v| v.table()).filter_map(read).collect()
}

fn email(v: &Value<'_, '_>) -> Option<Email> {
    v.parse(Email::parse, EMAIL_HELP)
}

fn read_person(t: Table<'_, '_>, names: &Names, known: &mut Known<'_>) -> Option<PersonRow> {
    let at = t.need("email", "The person's address; it is what the file knows a person by.");
    let email_read = at.as_ref().and_then(email);
    let text = |key: &str| t.get(key).and_then(|v| v.text());
    let (first, last) = (text("first"), text("last"));
    let office = t.get("office").and_then(|v| roles::read_given(&v, known));
    let mode = t.get("mode").and_then(|v| v.one_of(&Mode::ALL.map(|m| (m.slug(), m))));
    let enabled = t.get("enabled").and_then(|v| v.boolean());
    let domain_accepted = t.get("domain_accepted").and_then(|v| v.boolean());
    let mut aliases = BTreeMap::new();
    for (name, value) in t.get("aliases").and_then(|v| v.table()).map(|t| t.rest()).unwrap_or_default() {
        let connection = connection(&value, name, names);
        if let Some(set) = value.set(email) {
            aliases.insert(connection, set);
        }
    }
    let mut addresses = BTreeMap::new();
    for (name, value) in t.get("addresses").and_then(|v| v.table()).map(|t| t.rest()).unwrap_or_default() {
        let target = target(&value, name, names);
        addresses.extend(email(&value).map(|e| (target, e)));
    }
    let email = email_read?;
    if !known.file_people.insert(email.clone())
        && let Some(at) = &at
    {
        at.problem(format!("{email} is in the file twice"), "Make one of the two.");
    }
    if known.people.insert(email.clone()) {
        // A person who is new needs a name; for a known one, what is left out stays.
        for key in ["first", "last"] {
            t.need(key, "A new person needs a first and a last name.");
        }
        if office == Some(Office::PrimaryOwner) {
            t.problem(
                "a new person cannot be the primary owner at once",
                "Add them as owner, then hand the office over.",
            );
        }
    }
    t.finish(&[]);
    Some(PersonRow { email, first, last, office, mode, enabled, domain_accepted, aliases, addresses })
}

fn read_client(t: Table<'_, '_>, names: &Names, known: &mut Known<'_>) -> Option<ClientRow> {
    let at = t.need("slug", "The client's short name: small letters, digits and hyphens.");
    let slug = at.as_ref().and_then(|v| {
        v.parse(
            |s| valid_slug(s).then(|| s.to_owned()).ok_or("this is no slug"),
            "Small letters, digits and hyphens: \"acme-ltd\".",
        )
    });
    let name = t.get("name").and_then(|v| v.text());
    let states =
        [("active", ClientState::Active), ("archived", ClientState::Archived), ("closed", ClientState::Closed)];
    let state = t.get("state").and_then(|v| v.one_of(&states));
    let sources = t.get("sources").and_then(|v| v.set(|s| read_source(s, names))).unwrap_or_default();
    let authority = t.get("authority").and_then(|v| {
        if v.is_text() {
            v.one_of(&[("all", Authority::All), ("any", Authority::Any)])
        } else {
            read_source(&v, names).map(Authority::Named)
        }
    });
    let unlisted = t.get("unlisted").and_then(|v| {
        let read = |s: &str| if s == "default" { Ok(None) } else { parse_unlisted(s).map(Some).ok_or("no such word") };
        v.parse(read, "Use one of: manual, deny, roster, default.")
    });
    let targets = t.get("targets").and_then(|v| {
        let one = |t: &Value<'_, '_>| t.text().map(|name| target(t, name, names));
        all_or(&v, |v| v.set(one))
    });
    let accounts = t.get("accounts").and_then(|v| all_or(&v, |v| read_accounts(v, names)));
    let year_end = t.get("year_end").and_then(|v| v.parse(month_day, "Write month and day: \"03-31\"."));
    let since = t.get("since").and_then(|v| {
        let read = |s: &str| if s == "beginning" { Ok(BEGINNING) } else { s.parse::<Date>() };
        v.parse(read, "Write a day: \"2024-04-01\", or \"beginning\".")
    });
    let slug = slug?;
    if !known.file_clients.insert(slug.clone())
        && let Some(at) = &at
    {
        at.problem(format!("{slug} is in the file twice"), "Make one of the two.");
    }
    if known.clients.insert(slug.clone()) {
        check_new_slug(&slug, at.as_ref(), known.firm);
        // A proposal is known by name already.
        if !known.firm.clients.values().any(|c| c.slug == slug) {
            t.need("name", "A new client needs a name.");
        }
    }
    t.finish(&[]);
    Some(ClientRow { slug, name, state, sources, authority, unlisted, targets, accounts, year_end, since })
}

/// A slug that a private client has is taken, and that is all a file learns of it.
fn check_new_slug(slug: &str, at: Option<&Value<'_, '_>>, firm: &Firm) {
    let private = firm.clients.values().any(|c| c.slug == slug && c.private_to.is_some());
    if private && let Some(at) = at {
        at.problem(format!("\"{slug}\" cannot be used"), "Use another slug.");
    }
}

fn read_selection(
    t: Table<'_, '_>,
    names: &Names,
    known: &Known<'_>,
    seen: &mut BTreeSet<(Email, String)>,
) -> Option<SelectionRow> {
    let person_at = t.need("person", "The person's address.");
    let person = person_at.as_ref().and_then(email);
    let client_at = t.need("client", "The client's slug.");
    let client = client_at.as_ref().and_then(|v| v.text());
    let accounts = t.get("accounts").and_then(|v| read_accounts(&v, names));
    let no_accounts = t.get("accounts").is_some() && accounts.is_none();
    let when_granted = t.get("when_granted").and_then(|v| v.boolean()).unwrap_or(false);
    if let (Some(person), Some(at)) = (&person, &person_at)
        && !known.people.contains(person)
    {
        let people: Vec<&str> = known.people.iter().map(Email::key).collect();
        at.problem(format!("nobody has the address {person}"), near(person.key(), &people, "Add a [[person]] for it."));
    }
    if let (Some(client), Some(at)) = (&client, &client_at)
        && !known.clients.contains(client)
    {
        let slugs: Vec<&str> = known.clients.iter().map(String::as_str).collect();
        at.problem(format!("there is no client \"{client}\""), near(client, &slugs, "Add a [[client]] for it."));
    }
    t.finish(&[]);
    let (person, client) = (person?, client?);
    if !seen.insert((person.clone(), client.clone()))
        && let Some(at) = &client_at
    {
        at.problem(format!("{client} is selected for {person} twice"), "Make one of the two.");
    }
    // A list that could not be read is a problem already; it must not turn into the whole client on the way.
    (!no_accounts).then_some(SelectionRow { person, client, accounts, when_granted })
}

/// The nearest name, where one is near; never the whole list of people or clients.
fn near(word: &str, choices: &[&str], else_say: &str) -> String {
    let help = choose(word, choices);
    if help.starts_with("Did you mean") { help } else { else_say.to_owned() }
}

fn all_or<T>(v: &Value<'_, '_>, read: impl FnOnce(&Value<'_, '_>) -> Option<T>) -> Option<Option<T>> {
    if v.is_text() { v.one_of(&[("all", ())]).map(|()| None) } else { read(v).map(Some) }
}

fn connection(at: &Value<'_, '_>, name: String, names: &Names) -> ConnectionName {
    let name = ConnectionName(name);
    if !names.connections.contains(&name) {
        let known: Vec<&str> = names.connections.iter().map(ConnectionName::as_str).collect();
        at.problem(format!("the configuration has no connection \"{name}\""), choose(name.as_str(), &known));
    }
    name
}

fn target(at: &Value<'_, '_>, name: String, names: &Names) -> TargetName {
    let name = TargetName(name);
    if !names.targets.contains(&name) {
        let known: Vec<&str> = names.targets.iter().map(|t| t.0.as_str()).collect();
        at.problem(format!("the configuration has no target \"{name}\""), choose(&name.0, &known));
    }
    name
}

fn read_source(v: &Value<'_, '_>, names: &Names) -> Option<SourceRef> {
    let t = v.table()?;
    let connection_at = t.need("connection", "The name of a connection of the configuration.");
    let connection = connection_at.and_then(|v| v.text().map(|name| connection(&v, name, names)));
    let kind = t.get("kind").and_then(|v| v.one_of(&SOURCE_KINDS)).unwrap_or(SourceKind::Ledger);
    let id = t.need("id", "The provider's own id of the ledger.").and_then(|v| v.text());
    t.finish(&[]);
    Some(SourceRef { connection: connection?, kind, id: id? })
}

/// At least one: an empty list must never come to mean all.
fn read_accounts(v: &Value<'_, '_>, names: &Names) -> Option<BTreeSet<AccountRef>> {
    let set = v.set(|a| {
        let t = a.table()?;
        let connection_at = t.need("connection", "The name of a connection of the configuration.");
        let connection = connection_at.and_then(|v| v.text().map(|name| connection(&v, name, names)));
        let ledger = t.need("ledger", "The provider's own id of the ledger.").and_then(|v| v.text());
        let account = t.need("account", "The provider's own id of the account.").and_then(|v| v.text());
        t.finish(&[]);
        Some(AccountRef { connection: connection?, ledger: LedgerId(ledger?), account: AccountId(account?) })
    })?;
    if set.is_empty() {
        v.problem("an empty list of accounts", "Name at least one, or leave the line out for the whole client.");
        return None;
    }
    Some(set)
}

fn month_day(text: &str) -> Result<(i8, i8), &'static str> {
    let read = || {
        let (month, day) = text.split_once('-')?;
        let (month, day) = (month.parse().ok()?, day.parse().ok()?);
        Date::new(2024, month, day).ok().map(|_| (month, day))
    };
    read().ok_or("there is no such day")
}
