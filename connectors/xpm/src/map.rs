//! Practice Manager's shapes as words of the contract. Pure.
//!
//! A field that decides who is responsible for what has no default: where it cannot be read, the answer is a `Contract`
//! error, never an empty list. Version 3.1 names things by `UUID`, 3.0 by `ID`; both are read.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{Assignment, ClientRow, Error, ErrorKind, ProviderUserId, Result, Standing};
use ledgerward_kit::{from_json, safe_word};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::xml::{self, Element};

/// The responsibilities, as the assignment's role says them. The first two stand on the client, the others on its open jobs.
pub const ROLES: [&str; 6] = ["account_manager", "job_manager", "manager", "partner", "assigned", "task"];
/// How many of [`ROLES`] stand on the client itself.
pub const CLIENT_ROLES: usize = 2;
/// The elements of those.
pub const CLIENT_ELEMENTS: [&str; CLIENT_ROLES] = ["AccountManager", "JobManager"];
/// The elements of the next ones, which stand on jobs and may be left out there.
pub const JOB_ELEMENTS: [&str; 2] = ["Manager", "Partner"];

/// All that is kept of any answer.
const WANTED: &[&str] = &[
    "Response",
    "Status",
    "ErrorDescription",
    "UUID",
    "ID",
    "Name",
    "Email",
    "StaffList",
    "Staff",
    "Clients",
    "Client",
    "IsArchived",
    "IsDeleted",
    "AccountManager",
    "JobManager",
    "Groups",
    "Group",
    "CompanyNumber",
    "BusinessNumber",
    "ExportCode",
    "Pagination",
    "Links",
    "Next",
    "Jobs",
    "Job",
    "Manager",
    "Partner",
    "Assigned",
    "Tasks",
    "Task",
    "CustomFields",
    "CustomField",
    "Text",
];

/// One tenant of the sign-in.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    tenant_id: Uuid,
    tenant_type: String,
}

/// The practice of this sign-in: the one that the settings name, or the only one there is.
///
/// Errors: `Forbidden` where the sign-in does not reach the practice; `Config` where it reaches several and none is named.
pub fn practice(op: &'static str, body: &[u8], wanted: Option<Uuid>) -> Result<Uuid> {
    let all: Vec<Connection> = from_json(op, body)?;
    // The same practice comes once for each sign-in that connected it.
    let ids: BTreeSet<_> = all.iter().filter(|c| c.tenant_type == "PRACTICEMANAGER").map(|c| c.tenant_id).collect();
    let mut found = ids.iter().filter(|id| wanted.is_none_or(|w| w == **id));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(*one),
        (None, _) => Err(Error::new(ErrorKind::Forbidden, op, "this sign-in reaches no such practice in Practice Manager")
            .next("Sign in again as somebody with the privilege \"Authorise 3rd Party Full Access\", and choose the practice.")),
        (Some(_), Some(_)) => Err(Error::new(ErrorKind::Config, op, "this sign-in reaches several practices").next(format!(
            "Set practice to one of: {}.",
            ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// The root of an answer that says that it succeeded.
///
/// Errors: `NotFound` where the vendor does not know an id that was asked for, `Contract` for any other refusal. The
/// vendor's own sentence can quote data and is not shown.
fn opened(op: &'static str, body: &[u8]) -> Result<Element> {
    if body.trim_ascii_start().starts_with(b"{") {
        return Err(Error::contract(op, "Practice Manager answered in JSON where XML is documented"));
    }
    let root = xml::read(op, body, WANTED)?;
    if root.name != "Response" {
        return Err(Error::contract(op, "the answer is no Response of Practice Manager"));
    }
    match root.need(op, "Status")?.text.as_str() {
        "OK" => Ok(root),
        "ERROR" => {
            let said = root.text(op, "ErrorDescription")?.unwrap_or_default();
            let unknown_id = said.starts_with("Invalid ") && said.contains(" identifier");
            let (kind, what) = if unknown_id {
                (ErrorKind::NotFound, "Practice Manager does not know an id that was asked for (Status ERROR)")
            } else {
                (ErrorKind::Contract, "Practice Manager refused the request (Status ERROR)")
            };
            Err(Error::new(kind, op, what).with("answered", "ERROR"))
        }
        _ => Err(Error::contract(op, "Practice Manager does not say that it succeeded (Status is not OK)")),
    }
}

/// A UUID in its usual form, or an older id as it stands.
fn id(op: &'static str, of: &Element) -> Result<String> {
    let missing = || Error::contract(op, format!("a {} has no id that we can read", of.name));
    match of.text(op, "UUID")? {
        Some(text) => Ok(Uuid::parse_str(text).map_err(|_| missing())?.to_string()),
        None => of.text(op, "ID")?.and_then(safe_word).ok_or_else(missing),
    }
}

/// Under which ids something may be named elsewhere: `UUID`, and the `ID` beside it.
fn names(op: &'static str, of: &Element) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::from([id(op, of)?]);
    all.extend(of.text(op, "ID")?.and_then(safe_word));
    Ok(all)
}

/// Somebody of the practice, as the staff list or a reference to them says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub id: String,
    pub name: String,
    pub email: Option<String>,
    /// Named by a client or a job and missing in the list of staff: somebody who left, as far as we know.
    pub listed: bool,
}

impl Person {
    fn assigned(&self, role: &str) -> Assignment {
        Assignment {
            user: ProviderUserId(self.id.clone()),
            email: self.email.clone(),
            name: self.name.clone(),
            role: role.to_owned(),
            standing: if self.listed {
                Standing::Active
            } else {
                Standing::Unknown("not in the staff list".to_owned())
            },
            opaque: false,
        }
    }
}

/// The staff, by every id they are named by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staff {
    people: Vec<Person>,
    places: BTreeMap<String, usize>,
}

impl Staff {
    /// The place of whom a reference names. Someone who is not in the list is taken in as not listed.
    fn place(&mut self, op: &'static str, reference: &Element) -> Result<usize> {
        let id = id(op, reference)?;
        if let Some(place) = self.places.get(&id) {
            return Ok(*place);
        }
        let name = reference.text(op, "Name")?.unwrap_or_default().to_owned();
        self.people.push(Person { id: id.clone(), name, email: None, listed: false });
        self.places.insert(id, self.people.len() - 1);
        Ok(self.people.len() - 1)
    }

    pub fn people(&self) -> &[Person] {
        &self.people
    }
}

/// `staff.api/list`. It knows no roles and no privileges, and does not say who is disabled.
pub fn staff(op: &'static str, body: &[u8]) -> Result<Staff> {
    let root = opened(op, body)?;
    let mut staff = Staff::default();
    for row in root.need(op, "StaffList")?.items(op, "Staff")? {
        let email = Some(row.need(op, "Email")?.text.clone()).filter(|e| !e.is_empty());
        let person = Person { id: id(op, row)?, name: row.need(op, "Name")?.text.clone(), email, listed: true };
        for name in names(op, row)? {
            if staff.places.insert(name, staff.people.len()).is_some() {
                return Err(Error::contract(op, "two people in the staff list have one id"));
            }
        }
        staff.people.push(person);
    }
    Ok(staff)
}

/// Who works on the open jobs of each client: client id, then number in [`ROLES`] and place in [`Staff`].
pub type Work = BTreeMap<String, BTreeSet<(usize, usize)>>;

/// What a list of jobs says.
pub struct Jobs {
    pub work: Work,
    /// Of [`JOB_ELEMENTS`], which stood on some job, be it empty. `None`: there are no jobs.
    pub told: Option<[bool; JOB_ELEMENTS.len()]>,
}

/// Which of these elements stand in some row.
fn told<const N: usize>(rows: &[Element], elements: [&str; N]) -> [bool; N] {
    elements.map(|name| rows.iter().any(|row| row.children.iter().any(|c| c.name == name)))
}

/// A reference to one person, where it is not empty.
fn reference<'a>(op: &'static str, of: &'a Element, name: &'static str) -> Result<Option<&'a Element>> {
    let found = of.one(op, name)?;
    let empty = |e: &Element| e.children.is_empty() && e.others == 0 && e.text.is_empty();
    Ok(found.filter(|e| !empty(e)))
}

/// `job.api/current`, detailed where tasks count. Whoever stands on a job and not in `staff` is added there. A job without a client
/// makes nobody responsible for one.
pub fn jobs(op: &'static str, body: &[u8], roles: &BTreeSet<String>, staff: &mut Staff) -> Result<Jobs> {
    let root = opened(op, body)?;
    let mut work = Work::new();
    let list = root.need(op, "Jobs")?.items(op, "Job")?;
    for job in list {
        let Some(client) = reference(op, job, "Client")? else { continue };
        // Absent is not empty: a list without details must not pass for jobs that nobody works on.
        let assigned = job.need(op, "Assigned")?.items(op, "Staff")?;
        let mut found: Vec<(&str, &Element)> = assigned.iter().map(|s| ("assigned", s)).collect();
        found.extend(reference(op, job, "Manager")?.map(|e| ("manager", e)));
        found.extend(reference(op, job, "Partner")?.map(|e| ("partner", e)));
        if roles.contains("task") {
            for task in job.need(op, "Tasks")?.items(op, "Task")? {
                if let Some(list) = task.one(op, "Assigned")? {
                    found.extend(list.items(op, "Staff")?.iter().map(|s| ("task", s)));
                }
            }
        }
        let client = work.entry(id(op, client)?).or_default();
        for (role, who) in found.into_iter().filter(|(role, _)| roles.contains(*role)) {
            if let Some(number) = ROLES.iter().position(|r| *r == role) {
                client.insert((number, staff.place(op, who)?));
            }
        }
    }
    Ok(Jobs { work, told: (!list.is_empty()).then(|| told(list, JOB_ELEMENTS)) })
}

/// The groups of each client by name: client id, then names.
pub type Groups = BTreeMap<String, BTreeSet<String>>;

/// `clientgroup.api/list`: ids by which a group's clients are asked for.
pub fn group_ids(op: &'static str, body: &[u8]) -> Result<Vec<Uuid>> {
    let root = opened(op, body)?;
    let uuid = |e: &Element| {
        Uuid::parse_str(&id(op, e)?).map_err(|e| Error::contract(op, "a group has no UUID to ask for it by").source(e))
    };
    root.need(op, "Groups")?.items(op, "Group")?.iter().map(uuid).collect()
}

/// `clientgroup.api/get/{uuid}`: adds the group to each of its clients. The answer has to be about the one asked for (P09).
pub fn group(op: &'static str, body: &[u8], asked: Uuid, groups: &mut Groups) -> Result<()> {
    let root = opened(op, body)?;
    let group = root.need(op, "Group")?;
    if id(op, group)? != asked.to_string() {
        return Err(Error::contract(op, "Practice Manager answered with another group than the one asked for"));
    }
    let name = &group.need(op, "Name")?.text;
    for client in group.need(op, "Clients")?.items(op, "Client")? {
        groups.entry(id(op, client)?).or_default().insert(name.clone());
    }
    Ok(())
}

/// What the reading of clients goes by.
pub struct Reading<'a> {
    pub roles: &'a BTreeSet<String>,
    /// The element that gives a client's number.
    pub number: &'static str,
    /// `None` for the list in one answer.
    pub page_size: Option<usize>,
    pub work: &'a Work,
    /// Of lists of groups; rows may name their own besides.
    pub groups: &'a Groups,
}

/// A page of clients, and the token of the next one.
pub struct ClientPage {
    pub rows: Vec<ClientRow>,
    pub next: Option<String>,
    /// Of [`CLIENT_ELEMENTS`], which stood in some row, be it empty. A client without a manager lacks the element, as
    /// recorded; a whole list without it is one that does not tell.
    pub told: [bool; CLIENT_ROLES],
    /// Whether [`Reading::number`] stood in some row.
    pub numbered: bool,
}

/// `client.api/paged-list` and `client.api/list?detailed=true`.
pub fn clients(op: &'static str, body: &[u8], how: &Reading, mut staff: Staff) -> Result<ClientPage> {
    let root = opened(op, body)?;
    let items = root.need(op, "Clients")?.items(op, "Client")?;
    let ([numbered], told) = (told(items, [how.number]), told(items, CLIENT_ELEMENTS));
    let rows = items.iter().map(|c| client(op, c, how, &mut staff)).collect::<Result<Vec<_>>>()?;
    let next = match (how.page_size, root.one(op, "Pagination")?) {
        (None, _) => None,
        (Some(size), None) if rows.len() >= size => {
            return Err(Error::contract(op, "a full page of clients came without a word about the next one"));
        }
        (Some(_), None) => None,
        (Some(_), Some(pages)) => match pages.one(op, "Links")? {
            None => None,
            Some(links) => links.text(op, "Next")?.map(|link| token(op, link)).transpose()?,
        },
    };
    Ok(ClientPage { rows, next, told, numbered })
}

fn client(op: &'static str, row: &Element, how: &Reading, staff: &mut Staff) -> Result<ClientRow> {
    let mut on = BTreeSet::new();
    for (number, (role, element)) in ROLES.iter().zip(CLIENT_ELEMENTS).enumerate() {
        if let Some(who) = reference(op, row, element)?.filter(|_| how.roles.contains(*role)) {
            on.insert((number, staff.place(op, who)?));
        }
    }
    on.extend(names(op, row)?.iter().filter_map(|id| how.work.get(id)).flatten());
    let person = |(role, place): &(usize, usize)| Some(staff.people.get(*place)?.assigned(ROLES.get(*role)?));
    let gone =
        [flag(op, row, "IsArchived", how.page_size.is_some())?, flag(op, row, "IsDeleted", how.page_size.is_some())?];
    Ok(ClientRow {
        id: id(op, row)?,
        name: row.need(op, "Name")?.text.clone(),
        number: row.text(op, how.number)?.map(str::to_owned),
        active: gone == [false, false],
        people: on.iter().filter_map(person).collect(),
        ledgers: Vec::new(),
        groups: in_groups(op, row, how)?.into_iter().collect(),
    })
}

/// The groups of one client: those of its own row, and those whose lists have it.
fn in_groups(op: &'static str, row: &Element, how: &Reading) -> Result<BTreeSet<String>> {
    let mut all: BTreeSet<String> =
        names(op, row)?.iter().filter_map(|id| how.groups.get(id)).flatten().cloned().collect();
    if let Some(own) = row.one(op, "Groups")? {
        for group in own.items(op, "Group")? {
            all.insert(group.need(op, "Name")?.text.clone());
        }
    }
    Ok(all)
}

/// `Yes` or `No`; in other parts of the interface `true` or `false`. `optional` for pages, which list only clients that
/// are neither archived nor deleted, so that a missing flag means no.
fn flag(op: &'static str, row: &Element, name: &'static str, optional: bool) -> Result<bool> {
    let text = row.text(op, name)?.unwrap_or_default().to_ascii_lowercase();
    match text.as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        "" if optional => Ok(false),
        _ => Err(Error::contract(op, format!("a client's {name} is neither Yes nor No"))),
    }
}

/// The token of the next page, out of a link (whose host is never used) or standing alone.
fn token(op: &'static str, link: &str) -> Result<String> {
    let wrong = || Error::contract(op, "the link to the next page has no token that we can read");
    if !link.contains(['?', '/']) {
        return (link.len() <= 4096).then(|| link.to_owned()).ok_or_else(wrong);
    }
    let base = Url::parse("https://next.invalid/").map_err(|_| wrong())?;
    // A token is in base64, where `+` is a letter and no blank.
    let url = base.join(&link.replace('+', "%2B")).map_err(|_| wrong())?;
    let mut found = url.query_pairs().filter(|(k, _)| k.eq_ignore_ascii_case("pageToken")).map(|(_, v)| v.into_owned());
    match (found.next(), found.next()) {
        (Some(token), None) if !token.is_empty() && token.len() <= 4096 => Ok(token),
        _ => Err(wrong()),
    }
}

/// `client.api/get/{uuid}/customfield`: the ledger ids in the field of this name, split at commas, semicolons and blanks.
pub fn ledgers(op: &'static str, body: &[u8], field: &str) -> Result<Vec<String>> {
    let root = opened(op, body)?;
    let mut ids = BTreeSet::new();
    for row in root.need(op, "CustomFields")?.items(op, "CustomField")? {
        if row.need(op, "Name")?.text.eq_ignore_ascii_case(field) {
            let text = row.text(op, "Text")?.unwrap_or_default();
            let parts = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';')).filter(|p| !p.is_empty());
            // Ledger ids of Xero are UUIDs in small letters; people paste them as they find them.
            ids.extend(parts.map(|p| Uuid::parse_str(p).map_or_else(|_| p.to_owned(), |u| u.to_string())));
        }
    }
    Ok(ids.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_a_token_and_never_an_address() {
        let token = |t: &str| token("x.y", t).ok();
        let at = "https://api.xero.com/practicemanager/3.1/client.api/paged-list";
        let want = Some("bGln/aH+Qg==".to_owned());
        assert_eq!(token(&format!("{at}?pageToken=bGln/aH+Qg==&pageSize=10")), want);
        assert_eq!(token(&format!("{at}?pageSize=10&pageToken=bGln%2FaH%2BQg%3D%3D")), want);
        assert_eq!(token("https://evil.example/?pageToken=x").as_deref(), Some("x"));
        assert_eq!(token("?pageToken=x").as_deref(), Some("x"));
        assert_eq!(token("bGlnaHQgd29y").as_deref(), Some("bGlnaHQgd29y"));
        for bad in [at, "?pageToken=", "?pageToken=a&pageToken=b", "https://", &"x".repeat(5000)] {
            assert_eq!(token(bad), None, "{bad}");
        }
    }
}
