//! Karbon's shapes as words of the contract. Pure.
//!
//! A field that decides who is responsible for what has no default: where it is missing, the answer is a `Contract` error,
//! never an empty list (P14).

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{Assignment, ClientRow, Error, ProviderUserId, Result, Standing};
use ledgerward_kit::{filled, from_json, present};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

use crate::api::{Kind, List};

/// A member of a client's team without a role of its own.
pub const TEAM_MEMBER: &str = "ClientTeam";
/// Everybody in the firm, for a client whose privacy is `Public`.
pub const ANYONE: &str = "Anyone";
const OWNER: &str = "ClientOwner";
const MANAGER: &str = "ClientManager";

/// OData's envelope around a list.
#[derive(Deserialize)]
struct Envelope<T> {
    value: Vec<T>,
    #[serde(rename = "@odata.count")]
    count: Option<u64>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

/// Where a list stands between two pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// To the next page; none for the first.
    pub link: Option<String>,
    /// What the pages so far listed, by key.
    keys: BTreeSet<String>,
    count: Option<u64>,
}

/// One page of a list, and where the next begins, `None` after the last.
///
/// Errors: `Contract` where the list moved while it was read, leads in a circle, or ends before all that Karbon counts was
/// listed. Pages are found by position, so what is removed meanwhile pushes another item out of sight: the keys and the
/// count show it.
pub fn page<T: DeserializeOwned>(
    list: List,
    mut walk: Walk,
    body: &[u8],
    key: impl Fn(&T) -> &str,
) -> Result<(Vec<T>, Option<Walk>)> {
    let op = list.op;
    let page: Envelope<T> = from_json(op, body)?;
    let moved = || Error::contract(op, "Karbon's list changed while it was read");
    if page.count.is_none() && (list.counted || walk.count.is_some()) {
        return Err(Error::contract(op, "Karbon's list does not say how many items it has"));
    }
    if walk.link.is_some() && walk.count != page.count {
        return Err(moved());
    }
    for item in &page.value {
        if key(item).is_empty() || !walk.keys.insert(key(item).to_owned()) {
            return Err(moved());
        }
    }
    let seen = walk.keys.len() as u64;
    match (page.next, page.count) {
        (None, Some(count)) if seen != count => {
            Err(Error::contract(op, format!("Karbon counts {count} items but listed {seen}")))
        }
        (None, _) => Ok((page.value, None)),
        (Some(_), count) if page.value.is_empty() || count.is_some_and(|count| seen >= count) => {
            Err(Error::contract(op, "Karbon's list leads on after its last item"))
        }
        (next, count) => Ok((page.value, Some(Walk { link: next, count, ..walk }))),
    }
}

/// A colleague.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    #[serde(rename = "Id")]
    pub key: String,
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "EmailAddress", deserialize_with = "present")]
    email: Option<String>,
}

/// A team in the list of teams.
#[derive(Debug, Deserialize)]
pub struct Team {
    #[serde(rename = "TeamKey")]
    pub key: String,
}

/// Somebody, or a team, within a team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "Type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TeamProfile {
    team_key: String,
    members: Vec<Member>,
}

/// `GET /v3/Teams/{key}`: its members, active ones only.
pub fn members(key: &str, body: &[u8]) -> Result<Vec<Member>> {
    const OP: &str = "team.get";
    let team: TeamProfile = from_json(OP, body)?;
    if team.team_key == key {
        return Ok(team.members);
    }
    Err(Error::contract(OP, "Karbon answered with another team than the one asked for"))
}

/// A group of clients as its list has it.
#[derive(Deserialize)]
pub struct GroupBrief {
    #[serde(rename = "ClientGroupKey")]
    pub key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Group {
    client_group_key: String,
    full_name: String,
    members: Vec<GroupMember>,
}

/// One of the two keys; the other is null.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GroupMember {
    contact_key: Option<String>,
    organization_key: Option<String>,
}

/// `GET /v3/ClientGroups/{key}`: adds the group to each of its members.
pub fn group(key: &str, body: &[u8], firm: &mut Firm) -> Result<()> {
    const OP: &str = "group.get";
    let group: Group = from_json(OP, body)?;
    if group.client_group_key != key {
        return Err(Error::contract(OP, "Karbon answered with another group than the one asked for"));
    }
    for member in group.members {
        let Some(client) = member.organization_key.or(member.contact_key) else {
            return Err(Error::contract(OP, "a member of a group has no key"));
        };
        firm.groups.entry(client).or_default().insert(group.full_name.clone());
    }
    Ok(())
}

/// A client as its list has it: without anybody who is responsible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    #[serde(rename = "OrganizationKey", alias = "ContactKey")]
    pub key: String,
    #[serde(rename = "FullName")]
    name: String,
    /// The firm's own word (`Client`, `Prospect`).
    #[serde(rename = "ContactType")]
    pub contact_type: Option<String>,
}

/// A client by itself. Its accounting detail (birth dates, registration numbers) stands in the same answer and is never read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Client {
    #[serde(alias = "ContactKey")]
    organization_key: String,
    #[serde(deserialize_with = "present")]
    user_defined_identifier: Option<String>,
    restriction_level: String,
    /// E-mail addresses. Karbon's specification does not say that the keys are always given: `None` is an absent one.
    #[serde(default, deserialize_with = "said")]
    client_owner: Option<Option<String>>,
    #[serde(default, deserialize_with = "said")]
    client_manager: Option<Option<String>>,
    client_team: Vec<TeamEntry>,
}

/// `Some(None)` for null: serde alone takes null for an absent field.
fn said<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(d).map(Some)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TeamEntry {
    member_key: String,
    member_type: String,
    #[serde(deserialize_with = "present")]
    role_type: Option<String>,
}

/// The colleagues and teams of the firm, which clients refer to by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firm {
    pub users: BTreeMap<String, User>,
    pub teams: BTreeMap<String, Vec<Member>>,
    /// The groups that each client is in, by the client's key.
    pub groups: BTreeMap<String, BTreeSet<String>>,
}

impl Firm {
    fn known(user: &User, role: &str) -> Assignment {
        Assignment {
            user: ProviderUserId(user.key.clone()),
            email: user.email.clone(),
            name: user.name.clone(),
            role: role.to_owned(),
            standing: Standing::Active,
            opaque: false,
        }
    }

    /// Somebody of whom Karbon says no more than that they are there: nothing new is given, nothing is taken.
    fn unlisted(id: &str, role: &str) -> Assignment {
        Assignment {
            user: id.into(),
            email: None,
            name: String::new(),
            role: role.to_owned(),
            standing: Standing::Unknown("not among Karbon's users".to_owned()),
            opaque: false,
        }
    }

    /// Nobody knows who, or how many: whoever is missing from the client may be among them.
    fn opaque(id: &str, role: &str, what: &str) -> Assignment {
        Assignment { standing: Standing::Unknown(what.to_owned()), opaque: true, ..Self::unlisted(id, role) }
    }

    /// Everybody behind a key. Teams may hold each other, in a circle even: each is opened once.
    fn behind(&self, key: &str, kind: &str, role: &str, open: &mut BTreeSet<String>, out: &mut Vec<Assignment>) {
        match kind {
            "User" => out.push(match self.users.get(key) {
                Some(user) => Self::known(user, role),
                None => Self::unlisted(key, role),
            }),
            "Team" if !open.insert(key.to_owned()) => {}
            "Team" => match self.teams.get(key) {
                // An empty list of members is more often half an answer than a team without anybody (P02).
                Some(members) if members.is_empty() => {
                    let what =
                        "a team of this client has no members; give it some in Karbon, or take it off the client";
                    out.push(Self::opaque(key, role, what));
                }
                Some(members) => members.iter().for_each(|m| self.behind(&m.key, &m.kind, role, open, out)),
                None => {
                    let what = "a team of this client is not among Karbon's teams; restore it in Karbon, or take it off the client";
                    out.push(Self::opaque(key, role, what));
                }
            },
            _ => {
                let what = "a member of this client is neither a user nor a team; look at its client team in Karbon";
                out.push(Self::opaque(key, role, what));
            }
        }
    }

    /// The owner or manager that a client names by address, unless the client's team has them in that role already. Of a
    /// client that does not even say that there is none, and whose team has nobody in that role, it is not known.
    fn named(&self, address: Option<Option<String>>, role: &str, how: Reading, people: &mut Vec<Assignment>) {
        let Some(said) = address else {
            if !how.absent_is_nobody && !people.iter().any(|p| p.role == role) {
                let what = format!(
                    "Karbon's answer about this client lacks the key {role}, so nobody knows who that is (if Karbon leaves it out \
                     where nobody is set, say absent = \"nobody\" in the connection)"
                );
                people.push(Self::opaque(role, role, &what));
            }
            return;
        };
        let Some(address) = filled(said) else { return };
        let is_it = |email: Option<&str>| email.is_some_and(|e| e.eq_ignore_ascii_case(&address));
        if people.iter().any(|p| p.role == role && is_it(p.email.as_deref())) {
            return;
        }
        people.push(match self.users.values().find(|u| is_it(u.email.as_deref())) {
            Some(user) => Self::known(user, role),
            None => Assignment { email: Some(address.clone()), ..Self::unlisted(&address, role) },
        });
    }
}

/// How clients are read, by the settings.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Whether everybody counts for a client whose privacy is `Public`.
    pub anyone: bool,
    /// Whether the firm keeps the ledger's id in Karbon's user-defined identifier.
    pub identifier_is_ledger: bool,
    /// Whether an answer without an owner or manager says that there is none.
    pub absent_is_nobody: bool,
}

/// `GET /v3/Organizations/{key}` or `/v3/Contacts/{key}`, with the client's team.
pub fn client(
    op: &'static str,
    kind: Kind,
    brief: &Brief,
    firm: &Firm,
    how: Reading,
    body: &[u8],
) -> Result<ClientRow> {
    let client: Client = from_json(op, body)?;
    if client.organization_key != brief.key {
        return Err(Error::contract(op, "Karbon answered with another client than the one asked for"));
    }
    let mut people = Vec::new();
    for entry in &client.client_team {
        let role = entry.role_type.as_deref().unwrap_or(TEAM_MEMBER);
        firm.behind(&entry.member_key, &entry.member_type, role, &mut BTreeSet::new(), &mut people);
    }
    firm.named(client.client_owner, OWNER, how, &mut people);
    firm.named(client.client_manager, MANAGER, how, &mut people);
    if how.anyone && client.restriction_level == "Public" {
        people.extend(firm.users.values().map(|u| Firm::known(u, ANYONE)));
    }
    people.sort();
    people.dedup();
    let number = filled(client.user_defined_identifier);
    Ok(ClientRow {
        id: brief.key.clone(),
        name: filled(Some(brief.name.clone())).unwrap_or_else(|| format!("{kind:?} {}", brief.key)),
        ledgers: number.iter().filter(|_| how.identifier_is_ledger).cloned().collect(),
        number,
        active: true,
        people,
        groups: firm.groups.get(&brief.key).into_iter().flatten().cloned().collect(),
    })
}
