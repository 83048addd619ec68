//! Xero Practice Manager: a practice's clients, and who is responsible for them. See README.md.

pub mod api;
pub mod fake;
pub mod map;
mod stage;
mod xml;

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use ledgerward_contract::{
    AuthScheme, Build, ClientAuth, ClientDirectory, ClientRow, Connector, Cursor, Endpoint, Error, Factory, Grade,
    LedgerRoleDefault, Manifest, OAuthSpec, Page, Quota, QuotaWindow, ReadCx, Request, Response, Result, Rotation,
    ScopeSet,
};
use ledgerward_kit::{settings, state};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use self::{
    api::Api,
    map::{CLIENT_ELEMENTS, CLIENT_ROLES, Groups, JOB_ELEMENTS, Jobs, ROLES, Reading, Staff, Work},
    stage::{Clients, Stage},
};

/// Named in the program's registry.
pub static FACTORY: Xpm = Xpm;

/// The kind of connector.
pub struct Xpm;

macro_rules! scope_sets {
    ($($name:literal: [$($scope:literal)*];)*) => {
        &[$(ScopeSet { name: $name, scopes: &["openid", "profile", "email", "offline_access", $($scope),*] }),*]
    };
}

static MANIFEST: Manifest = Manifest {
    name: "xpm",
    title: "Xero Practice Manager",
    auth: AuthScheme::OAuth(OAuthSpec {
        authorize: ("login", "/identity/connect/authorize"),
        token: ("identity", "/connect/token"),
        revoke: Some(("identity", "/connect/revocation")),
        client_auth: ClientAuth::Basic,
        rotation: Rotation::SingleUse { grace: Some(Duration::from_secs(30 * 60)) },
        // Older apps were granted one scope for everything. One scope that was not granted fails the whole sign-in.
        scopes: scope_sets! {
            "jobs": ["practicemanager.client.read" "practicemanager.staff.read" "practicemanager.job.read"];
            "clients": ["practicemanager.client.read" "practicemanager.staff.read"];
            "single": ["practicemanager"];
        },
        extra: &[],
        idle_lifetime: Some(Duration::from_secs(60 * 24 * 3600)),
        ..OAuthSpec::PLAIN
    }),
    endpoints: &[
        Endpoint { name: "login", url: "https://login.xero.com" },
        Endpoint { name: "identity", url: "https://identity.xero.com" },
        Endpoint { name: "api", url: "https://api.xero.com" },
    ],
    quotas: &[
        Quota::tenant("concurrent", QuotaWindow::Concurrent(5)),
        Quota::tenant("minute", QuotaWindow::PerMinute(60)).told_by("x-minlimit-remaining"),
        Quota::tenant("day", QuotaWindow::PerDay(5_000)).told_by("x-daylimit-remaining"),
        Quota::connection("app-minute", QuotaWindow::PerMinute(10_000)).told_by("x-appminlimit-remaining"),
    ],
    access: None,
    grade: Some(Grade::B),
    statements: &[],
    // Each line is a rule of its own that the firm can switch. They decide only where the firm names this source.
    roles: &[
        ("account_manager", LedgerRoleDefault::Reader),
        ("job_manager", LedgerRoleDefault::Reader),
        ("manager", LedgerRoleDefault::Reader),
        ("partner", LedgerRoleDefault::Reader),
        ("assigned", LedgerRoleDefault::Reader),
        ("task", LedgerRoleDefault::Nothing),
    ],
    settings: &[
        ("practice", "the practice's tenant id, where the sign-in reaches several (default: the only one)"),
        (
            "responsibilities",
            "which count: account_manager, job_manager (of the client), manager, partner, assigned, task (of its open jobs) \
             (default: all but task)",
        ),
        ("clients", "\"paged\", or \"whole\" for one answer that has archived clients as well (default paged)"),
        ("number", "a client's number: CompanyNumber, BusinessNumber or ExportCode (default CompanyNumber)"),
        (
            "ledger_field",
            "the name of the custom field that holds the ids of a client's ledgers; costs one request a client \
             (default none)",
        ),
        (
            "groups",
            "whether to read the practice's groups of clients, which `groups adopt` takes over; costs one request a group \
             (default false; with clients = \"whole\" they come with the clients)",
        ),
    ],
    unverified: &[
        "Rows of client.api/paged-list carry JobManager, as they carry AccountManager (otherwise set clients = \"whole\").",
        "A client without an account manager or job manager lacks the element (recorded of 3.0), and some client has one.",
        "The last page of clients has no Next, an empty one, or no Pagination.",
        "Staff who were disabled are not in staff.api/list.",
        "job.api/current gives every open job in one answer, without details too with Manager, Partner and Assigned.",
        "Rows of client.api/paged-list carry CompanyNumber, BusinessNumber and ExportCode, be they empty (otherwise set clients = \"whole\").",
        "Custom fields come as CustomFields/CustomField with Name and Text.",
        "A missing scope answers 401 AuthorizationUnsuccessful or 403.",
        "An app for the firm's own practice needs the Advanced tier.",
    ],
};

/// The connector's own part of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    practice: Option<Uuid>,
    responsibilities: BTreeSet<String>,
    /// The firm named them itself.
    #[serde(skip)]
    named: bool,
    clients: Listing,
    /// `None`: the usual one, on which nobody relies by name.
    number: Option<Number>,
    ledger_field: Option<String>,
    groups: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Listing {
    Paged,
    Whole,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Number {
    #[serde(rename = "CompanyNumber")]
    Company,
    #[serde(rename = "BusinessNumber")]
    Business,
    ExportCode,
}

impl Number {
    const fn element(self) -> &'static str {
        match self {
            Self::Company => "CompanyNumber",
            Self::Business => "BusinessNumber",
            Self::ExportCode => "ExportCode",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let all = ROLES.iter().filter(|r| **r != "task").map(|r| (*r).to_owned());
        Self {
            practice: None,
            responsibilities: all.collect(),
            named: false,
            clients: Listing::Paged,
            number: None,
            ledger_field: None,
            groups: false,
        }
    }
}

impl Settings {
    fn read(value: &Value) -> Result<Self> {
        let mut settings: Self = settings::read(&MANIFEST, value)?;
        settings.named = value.get("responsibilities").is_some();
        settings.checked().map_err(|(m, next)| settings::wrong(m).next(next))
    }

    /// Or what is wrong, and what to do.
    fn checked(self) -> Result<Self, (String, String)> {
        if let Some(odd) = self.responsibilities.iter().find(|r| !ROLES.contains(&r.as_str())) {
            let next = format!("Use some of: {}.", ROLES.join(", "));
            return Err((format!("the setting \"responsibilities\" knows no \"{odd}\""), next));
        }
        if self.responsibilities.is_empty() {
            let what = "the setting \"responsibilities\" is empty, so nobody would be responsible for anything";
            return Err((what.to_owned(), "Leave the setting out, or name at least one.".to_owned()));
        }
        if self.ledger_field.as_ref().is_some_and(|f| f.trim().is_empty()) {
            let next = "Write the name of the custom field, or leave the setting out.".to_owned();
            return Err(("the setting \"ledger_field\" is empty".to_owned(), next));
        }
        if self.ledger_field.is_some() && self.clients == Listing::Whole {
            let next = "Set clients = \"paged\", or leave ledger_field out and map ledgers by hand.".to_owned();
            return Err(("the setting \"ledger_field\" needs clients in pages".to_owned(), next));
        }
        Ok(self)
    }

    /// What to do where pages may say less than the list in one answer.
    fn more(&self) -> &'static str {
        match self.clients {
            Listing::Paged => "Set clients = \"whole\", so that all clients come with their details in one answer. ",
            Listing::Whole => "",
        }
    }

    /// That the list of clients told of each responsibility that counts, and of the number that the firm chose.
    fn all_told(&self, op: &'static str, at: &Clients) -> Result<()> {
        if !at.some {
            return Ok(());
        }
        self.responsible(op, "client", self.more(), ROLES.iter().zip(CLIENT_ELEMENTS).zip(at.told))?;
        match self.number {
            Some(number) if !at.numbered => {
                let element = number.element();
                let text =
                    format!("no client in the list has a word about its {element}, so no client would have a number");
                Err(Error::contract(op, text)
                    .next(format!("{}Or choose another field in the setting number, or leave it out.", self.more())))
            }
            _ => Ok(()),
        }
    }

    /// That the list of jobs did, of those that the firm named: jobs come and go, and many a practice has no partner on any.
    /// That each row says who is assigned shows that it is no list without details.
    fn jobs_told(&self, op: &'static str, jobs: &Jobs) -> Result<()> {
        let Some(told) = jobs.told.filter(|_| self.named) else { return Ok(()) };
        self.responsible(op, "job", "", ROLES.iter().skip(CLIENT_ROLES).zip(JOB_ELEMENTS).zip(told))
    }

    /// An element that stands in no row at all may be one that Practice Manager no longer gives, and would end everybody's
    /// responsibility of that kind.
    fn responsible<'a>(
        &self,
        op: &'static str,
        row: &str,
        more: &str,
        told: impl Iterator<Item = ((&'a &'static str, &'static str), bool)>,
    ) -> Result<()> {
        let mut untold = told.filter(|((role, _), told)| !told && self.responsibilities.contains(**role));
        let Some(((role, element), _)) = untold.next() else { return Ok(()) };
        let text = format!("no {row} in the list has a word about its {element}, so nothing follows about anybody");
        Err(Error::contract(op, text).with("responsibility", *role).next(format!(
            "{more}If this practice has no {role} on any {row}, take \"{role}\" out of the setting responsibilities."
        )))
    }

    fn wants_jobs(&self) -> bool {
        ROLES.iter().skip(CLIENT_ROLES).any(|r| self.responsibilities.contains(*r))
    }
}

impl Factory for Xpm {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn build(&self, from: Build) -> Result<Box<dyn Connector>> {
        let settings = Settings::read(&from.settings)?;
        Ok(Box::new(Directory { api: Api { endpoints: from.endpoints }, settings }))
    }
}

/// The set of scopes that these settings need: without responsibilities of jobs, no scope for them.
pub fn scope_set(settings: &Value) -> Option<&'static str> {
    Settings::read(settings).ok().map(|s| if s.wants_jobs() { "jobs" } else { "clients" })
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

/// Sends, and reads the answer; whatever is refused is refused about this practice.
async fn ask<T>(
    cx: &ReadCx,
    practice: Option<Uuid>,
    request: Request,
    read: impl FnOnce(&'static str, &Response) -> Result<T>,
) -> Result<T> {
    let op = request.op;
    let answer = api::classify(op, practice, cx.send(request).await?)?;
    read(op, &answer).map_err(|e| api::about(practice, e))
}

impl Directory {
    /// Groups where they are wanted and do not come with the clients, else the clients.
    fn after_jobs(&self, practice: Uuid, staff: Staff, work: Work) -> Stage {
        if self.settings.groups && self.settings.clients == Listing::Paged {
            return Stage::Groups { practice, staff, work, waiting: None, groups: Groups::new() };
        }
        Stage::clients(practice, staff, work, Groups::new())
    }

    async fn client_page(&self, cx: &ReadCx, mut at: Clients) -> Result<Page<ClientRow>> {
        const OP: &str = "clients.list";
        let (s, practice) = (&self.settings, at.practice);
        let page_size = (s.clients == Listing::Paged).then_some(match s.ledger_field {
            Some(_) => api::PER_PAGE_WITH_FIELDS,
            None => api::PER_PAGE,
        });
        let request = match page_size {
            Some(size) => self.api.clients_page(practice, size, at.token.as_deref())?,
            None => self.api.clients_whole(practice)?,
        };
        let number = s.number.unwrap_or(Number::Company).element();
        let how = Reading { roles: &s.responsibilities, number, page_size, work: &at.work, groups: &at.groups };
        let mut page =
            ask(cx, Some(practice), request, |op, a| map::clients(op, &a.body, &how, at.staff.clone())).await?;
        if let Some(field) = &s.ledger_field {
            // One by one, for there is no list of them; the row is not whole before.
            for row in &mut page.rows {
                let id = Uuid::parse_str(&row.id).map_err(|e| {
                    Error::contract(OP, "a client has no UUID to ask for its custom fields by").source(e)
                })?;
                let request = self.api.custom_fields(practice, id)?;
                row.ledgers = ask(cx, Some(practice), request, |op, a| map::ledgers(op, &a.body, field)).await?;
            }
        }
        at.some |= !page.rows.is_empty();
        at.numbered |= page.numbered;
        at.told.iter_mut().zip(page.told).for_each(|(all, here)| *all |= here);
        let refused = |e| api::about(Some(practice), e);
        match page.next {
            None => s.all_told(OP, &at).map(|()| Page::only(page.rows)).map_err(refused),
            // An empty page that leads on is believed; one that leads to itself is not.
            Some(next) if Some(&next) == at.token.as_ref() => {
                Err(refused(Error::contract(OP, "a page of clients leads to itself")))
            }
            next => Stage::Clients(Clients { token: next, ..at }).page(OP, page.rows),
        }
    }
}

#[async_trait]
impl ClientDirectory for Directory {
    /// First the practice, its staff and, where their responsibilities count, its jobs: pages without clients.
    async fn clients(&self, cx: &ReadCx, at: Cursor) -> Result<Page<ClientRow>> {
        const OP: &str = "clients.list";
        let Some(stage) = state::<Option<Stage>>(OP, &at)? else {
            let wanted = self.settings.practice;
            let practice = ask(cx, wanted, self.api.connections()?, |op, a| map::practice(op, &a.body, wanted)).await?;
            return Stage::Staff { practice }.page(OP, Vec::new());
        };
        match stage {
            Stage::Staff { practice } => {
                let staff = ask(cx, Some(practice), self.api.staff(practice)?, |op, a| map::staff(op, &a.body)).await?;
                let next = match self.settings.wants_jobs() {
                    true => Stage::Jobs { practice, staff },
                    false => self.after_jobs(practice, staff, Work::new()),
                };
                next.page(OP, Vec::new())
            }
            Stage::Jobs { practice, mut staff } => {
                let roles = &self.settings.responsibilities;
                let request = self.api.jobs(practice, roles.contains("task"))?;
                let jobs = ask(cx, Some(practice), request, |op, a| {
                    let jobs = map::jobs(op, &a.body, roles, &mut staff)?;
                    self.settings.jobs_told(op, &jobs).map(|()| jobs)
                });
                let work = jobs.await?.work;
                self.after_jobs(practice, staff, work).page(OP, Vec::new())
            }
            Stage::Groups { practice, staff, work, waiting, mut groups } => {
                let mut waiting = match waiting {
                    Some(waiting) => waiting,
                    None => {
                        ask(cx, Some(practice), self.api.groups(practice)?, |op, a| map::group_ids(op, &a.body)).await?
                    }
                };
                if let Some(one) = waiting.pop() {
                    let request = self.api.group(practice, one)?;
                    ask(cx, Some(practice), request, |op, a| map::group(op, &a.body, one, &mut groups)).await?;
                }
                let next = match waiting.is_empty() {
                    true => Stage::clients(practice, staff, work, groups),
                    false => Stage::Groups { practice, staff, work, waiting: Some(waiting), groups },
                };
                next.page(OP, Vec::new())
            }
            Stage::Clients(at) => self.client_page(cx, at).await,
        }
    }
}
