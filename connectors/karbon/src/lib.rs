//! Karbon: a firm's clients, and who is responsible for them. See README.md.

pub mod api;
pub mod fake;
pub mod map;

use std::collections::BTreeSet;

use async_trait::async_trait;
use ledgerward_contract::{
    AuthScheme, Build, ClientDirectory, ClientRow, Connector, Cursor, Endpoint, Error, Factory, Grade, Key,
    LedgerRoleDefault, Manifest, Page, Quota, QuotaWindow, ReadCx, Request, Response, Result,
};
use ledgerward_kit::{cursor, settings, state};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::{
    api::{Api, Kind},
    map::{Brief, Firm, Reading, Walk},
};

/// Named in the program's registry.
pub static FACTORY: Karbon = Karbon;

/// The kind of connector.
pub struct Karbon;

/// How many teams, or clients' details, one page asks for.
const AT_ONCE: usize = 20;

static MANIFEST: Manifest = Manifest {
    name: "karbon",
    title: "Karbon",
    auth: AuthScheme::StaticKey(&[
        Key {
            name: "api_key",
            help: "the application's id, a GUID that Karbon sends when the application is registered",
            needed: true,
            header: ("authorization", "Bearer "),
        },
        Key {
            name: "access_key",
            help: "the application's access key (eyJ…), under Settings > Connected Apps > API Applications",
            needed: true,
            header: ("accesskey", ""),
        },
    ]),
    endpoints: &[Endpoint { name: "api", url: "https://api.karbonhq.com" }],
    // 120 by an older guide; the newer one names no figure.
    quotas: &[Quota::connection("minute", QuotaWindow::PerMinute(100))],
    access: None,
    grade: Some(Grade::B),
    statements: &[],
    // Each line is a rule of its own that the firm can switch. They decide only where the firm names this source.
    roles: &[
        ("ClientOwner", LedgerRoleDefault::Reader),
        ("ClientManager", LedgerRoleDefault::Reader),
        ("UserDefinedRole1", LedgerRoleDefault::Reader),
        ("UserDefinedRole2", LedgerRoleDefault::Reader),
        (map::TEAM_MEMBER, LedgerRoleDefault::Reader),
        // Only where the setting `public` says so.
        (map::ANYONE, LedgerRoleDefault::Reader),
    ],
    settings: &[
        ("clients", "which of Karbon's lists hold clients: organizations, contacts (default both)"),
        (
            "contact_types",
            "Karbon's contact types that are clients, as [\"Client\"]; each left out saves a request (default: every one)",
        ),
        (
            "public",
            "who is responsible for a client whose privacy is Public: \"team\", its client team alone, or \"anyone\" in the \
             firm (default team)",
        ),
        (
            "absent",
            "what it says of a client's owner or manager that Karbon leaves the key out: \"unknown\", which holds the client, or \
             \"nobody\" (default unknown)",
        ),
        (
            "identifier_is_ledger",
            "true where the user-defined identifier holds the id of the client's ledger (default false)",
        ),
        (
            "groups",
            "whether to read Karbon's client groups, which `groups adopt` takes over; costs one request a group (default false)",
        ),
    ],
    unverified: &[
        "Clients whose privacy is Private or Hidden are listed only to an application with the permissions IncludePrivate \
         and IncludeHidden; without them hidden clients may be missing, and nothing follows about their people.",
        "A client without a team has an empty ClientTeam, not null.",
        "Deactivated colleagues are not in /v3/Users.",
        "A client without an owner or manager has the key ClientOwner or ClientManager all the same, as null or empty. Where the \
         key is missing and nobody of the team has that role, the client is held.",
        "Whether administrators of Karbon see hidden clients without being in the team.",
        "120 requests a minute for the firm and application.",
    ],
};

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Public {
    Team,
    Anyone,
}

/// What it says of a client's owner or manager that Karbon's answer does not have the key.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Absent {
    Unknown,
    Nobody,
}

/// The connector's own part of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    clients: BTreeSet<Kind>,
    contact_types: BTreeSet<String>,
    public: Public,
    absent: Absent,
    identifier_is_ledger: bool,
    groups: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clients: [Kind::Organizations, Kind::Contacts].into(),
            contact_types: BTreeSet::new(),
            public: Public::Team,
            absent: Absent::Unknown,
            identifier_is_ledger: false,
            groups: false,
        }
    }
}

impl Settings {
    fn read(value: &Value) -> Result<Self> {
        let settings: Self = settings::read(&MANIFEST, value)?;
        if settings.clients.is_empty() {
            return Err(settings::wrong("the setting \"clients\" is empty, so there would be no client")
                .next("Leave the setting out, or name organizations, contacts or both."));
        }
        Ok(settings)
    }
}

impl Factory for Karbon {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn build(&self, from: Build) -> Result<Box<dyn Connector>> {
        let settings = Settings::read(&from.settings)?;
        Ok(Box::new(Directory { api: Api { endpoints: from.endpoints }, settings }))
    }
}

/// Where a listing stands. A client's row needs the colleagues and teams, which other lists hold: they are read first and
/// travel in the cursor, so that nothing is remembered between calls.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    firm: Firm,
    step: Step,
}

impl Default for Step {
    fn default() -> Self {
        Self::Users(Walk::default())
    }
}

/// What comes next.
#[derive(Debug, Serialize, Deserialize)]
enum Step {
    Users(Walk),
    /// With the keys of the teams listed so far.
    Teams(Walk, Vec<String>),
    /// The teams whose members are not read yet.
    Members(Vec<String>),
    /// With the keys of the groups listed so far.
    Groups(Walk, Vec<String>),
    /// The groups whose members are not read yet.
    Grouped(Vec<String>),
    /// The list of clients, `None` after its last page, and the clients whose details are not read yet.
    Clients(Kind, Option<Walk>, Vec<Brief>),
    Done,
}

struct Directory {
    api: Api,
    settings: Settings,
}

impl Connector for Directory {
    fn directory(&self) -> Option<&dyn ClientDirectory> {
        Some(self)
    }
}

/// Sends, and gives only what was asked for.
async fn ask(cx: &ReadCx, request: Request) -> Result<Response> {
    let op = request.op;
    api::classify(op, cx.send(request).await?)
}

/// The first [`AT_ONCE`] of a list; the rest stays.
fn some<T>(waiting: &mut Vec<T>) -> Vec<T> {
    let rest = waiting.split_off(waiting.len().min(AT_ONCE));
    std::mem::replace(waiting, rest)
}

impl Directory {
    /// Does one step, and gives the clients that it brought and the step after it.
    async fn step(&self, cx: &ReadCx, firm: &mut Firm, step: Step) -> Result<(Vec<ClientRow>, Step)> {
        Ok(match step {
            Step::Users(walk) => {
                let answer = ask(cx, self.api.list(api::USERS, walk.link.as_deref())?).await?;
                let (users, next) = map::page::<map::User>(api::USERS, walk, &answer.body, |u| &u.key)?;
                firm.users.extend(users.into_iter().map(|u| (u.key.clone(), u)));
                (Vec::new(), next.map_or_else(|| Step::Teams(Walk::default(), Vec::new()), Step::Users))
            }
            Step::Teams(walk, mut keys) => {
                let answer = ask(cx, self.api.list(api::TEAMS, walk.link.as_deref())?).await?;
                let (teams, next) = map::page::<map::Team>(api::TEAMS, walk, &answer.body, |t| &t.key)?;
                keys.extend(teams.into_iter().map(|t| t.key));
                match next {
                    Some(walk) => (Vec::new(), Step::Teams(walk, keys)),
                    None => (Vec::new(), Step::Members(keys)),
                }
            }
            Step::Members(mut waiting) => {
                for key in some(&mut waiting) {
                    let answer = ask(cx, self.api.team(&key)?).await?;
                    firm.teams.insert(key.clone(), map::members(&key, &answer.body)?);
                }
                let next = match waiting.is_empty() {
                    false => Step::Members(waiting),
                    true if self.settings.groups => Step::Groups(Walk::default(), Vec::new()),
                    true => self.after(None),
                };
                (Vec::new(), next)
            }
            Step::Groups(walk, mut keys) => {
                let answer = ask(cx, self.api.list(api::GROUPS, walk.link.as_deref())?).await?;
                let (groups, next) = map::page::<map::GroupBrief>(api::GROUPS, walk, &answer.body, |g| &g.key)?;
                keys.extend(groups.into_iter().map(|g| g.key));
                let next = next.map(|walk| Step::Groups(walk, keys.clone()));
                (Vec::new(), next.unwrap_or(Step::Grouped(keys)))
            }
            Step::Grouped(mut waiting) => {
                for key in some(&mut waiting) {
                    let answer = ask(cx, self.api.group(&key)?).await?;
                    map::group(&key, &answer.body, firm)?;
                }
                let next = if waiting.is_empty() { self.after(None) } else { Step::Grouped(waiting) };
                (Vec::new(), next)
            }
            Step::Clients(kind, walk, waiting) => self.clients_of(cx, firm, kind, walk, waiting).await?,
            Step::Done => return Err(Error::contract("clients.list", "the listing went on after its end")),
        })
    }

    /// The list of clients that follows this one.
    fn after(&self, kind: Option<Kind>) -> Step {
        let next = self.settings.clients.iter().find(|k| kind.is_none_or(|kind| **k > kind));
        next.map_or(Step::Done, |k| Step::Clients(*k, Some(Walk::default()), Vec::new()))
    }

    /// One page of the list if no client waits, and then the next clients one by one: their teams stand nowhere else.
    async fn clients_of(
        &self,
        cx: &ReadCx,
        firm: &Firm,
        kind: Kind,
        mut walk: Option<Walk>,
        mut waiting: Vec<Brief>,
    ) -> Result<(Vec<ClientRow>, Step)> {
        let list = kind.list();
        if waiting.is_empty()
            && let Some(at) = walk
        {
            let answer = ask(cx, self.api.list(list, at.link.as_deref())?).await?;
            let (briefs, next) = map::page::<Brief>(list, at, &answer.body, |b| &b.key)?;
            let types = &self.settings.contact_types;
            let wanted = |b: &Brief| types.is_empty() || b.contact_type.as_ref().is_some_and(|t| types.contains(t));
            waiting = briefs.into_iter().filter(wanted).collect();
            walk = next;
        }
        let how = Reading {
            anyone: self.settings.public == Public::Anyone,
            absent_is_nobody: self.settings.absent == Absent::Nobody,
            identifier_is_ledger: self.settings.identifier_is_ledger,
        };
        let mut rows = Vec::new();
        for brief in some(&mut waiting) {
            let request = self.api.client(kind, &brief.key)?;
            let op = request.op;
            let answer = ask(cx, request).await.map_err(|e| e.with("client", brief.key.as_str()))?;
            rows.push(
                map::client(op, kind, &brief, firm, how, &answer.body)
                    .map_err(|e| e.with("client", brief.key.as_str()))?,
            );
        }
        let done = walk.is_none() && waiting.is_empty();
        Ok((rows, if done { self.after(Some(kind)) } else { Step::Clients(kind, walk, waiting) }))
    }
}

#[async_trait]
impl ClientDirectory for Directory {
    /// First colleagues and teams: pages without clients.
    async fn clients(&self, cx: &ReadCx, at: Cursor) -> Result<Page<ClientRow>> {
        const OP: &str = "clients.list";
        let State { mut firm, step } = state(OP, &at)?;
        let (items, step) = self.step(cx, &mut firm, step).await?;
        if matches!(step, Step::Done) {
            return Ok(Page::only(items));
        }
        Ok(Page { items, next: Some(cursor(OP, &State { firm, step })?), total: None })
    }
}
