//! The interface of one practice, version 3.1, as far as it reads staff, clients, jobs and groups.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::civil::Date;
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use uuid::Uuid;

use super::{
    Answer,
    answers::{error, leaf, node, ok, yes_no},
    id_of, only,
    world::{App, Client, Job, Practice, Staff},
};

/// The scope of which one opens a path, `None` for a path that is not there.
pub fn scope(path: &[&str]) -> Option<&'static str> {
    Some(match path {
        ["staff.api", "list"] | ["staff.api", "get", _] => "practicemanager.staff.read",
        ["client.api", "list" | "paged-list"] | ["client.api", "get", _] | ["client.api", "get", _, "customfield"] => {
            "practicemanager.client.read"
        }
        ["clientgroup.api", "list"] | ["clientgroup.api", "get", _] => "practicemanager.client.read",
        ["job.api", "current" | "list"] | ["job.api", "get", _] => "practicemanager.job.read",
        _ => return None,
    })
}

pub fn answer(app: &App, practice: &Practice, path: &[&str], request: &FakeRequest) -> Answer {
    match path {
        ["staff.api", "list"] => {
            only(request, &[])?;
            let rows: String = practice.staff.iter().filter(|s| !s.disabled).map(staff).collect();
            Ok(ok("List", &node("StaffList", &rows)))
        }
        ["staff.api", "get", id] => {
            only(request, &[])?;
            let found = practice.staff.iter().find(|s| s.id.to_string() == *id);
            Ok(found.map_or_else(|| error("Get", "Invalid staff identifier"), |s| ok("Get", &staff(s))))
        }
        ["client.api", "list"] => {
            only(request, &["detailed"])?;
            let row = if request.query("detailed") == Some("true") { Row::Whole } else { Row::Bare };
            let rows: String = practice.clients.iter().map(|c| client(practice, c, row)).collect();
            Ok(ok("List", &node("Clients", &rows)))
        }
        ["client.api", "paged-list"] => paged(app, practice, request),
        ["client.api", "get", id] => {
            only(request, &[])?;
            Ok(one_client(practice, id, |c| client(practice, c, Row::Whole)))
        }
        ["client.api", "get", id, "customfield"] => {
            only(request, &[])?;
            let row = |(name, text): (&String, &String)| {
                let id = id_of(&["field", name]).to_string();
                node("CustomField", &(leaf("UUID", &id) + &leaf("Name", name) + &leaf("Text", text)))
            };
            Ok(one_client(practice, id, |c| node("CustomFields", &c.fields.iter().map(row).collect::<String>())))
        }
        ["clientgroup.api", "list"] => {
            only(request, &[])?;
            let row = |name: &String| node("Group", &(group(name) + &yes_no("Taxable", true)));
            Ok(ok("List", &node("Groups", &groups(practice).iter().map(row).collect::<String>())))
        }
        ["clientgroup.api", "get", id] => {
            only(request, &[])?;
            let Some(name) = groups(practice).into_iter().find(|g| group_id(g).to_string() == *id) else {
                return Ok(error("Get", "Invalid client group identifier"));
            };
            let members = practice.clients.iter().filter(|c| c.groups.contains(&name));
            let rows: String = members.map(|c| node("Client", &named(&c.id.to_string(), &c.name))).collect();
            Ok(ok("Get", &node("Group", &(group(&name) + &node("Clients", &rows)))))
        }
        ["job.api", "current"] => {
            only(request, &["detailed"])?;
            let detailed = request.query("detailed") == Some("true");
            let open = practice.jobs.iter().filter(|j| j.completed.is_none());
            Ok(ok("Current", &node("Jobs", &open.map(|j| job(practice, j, detailed)).collect::<String>())))
        }
        ["job.api", "list"] => jobs(practice, request),
        ["job.api", "get", number] => {
            only(request, &[])?;
            let found = practice.jobs.iter().find(|j| j.number == *number);
            let found = found.map(|j| ok("Get", &job(practice, j, true)));
            Ok(found.unwrap_or_else(|| error("Get", "Invalid job identifier")))
        }
        _ => Err(FakeResponse::unknown(request)),
    }
}

fn named(id: &str, name: &str) -> String {
    leaf("UUID", id) + &leaf("Name", name)
}

fn staff(s: &Staff) -> String {
    let empty = ["Phone", "Mobile", "Address", "PayrollCode"].map(|n| leaf(n, "")).concat();
    node("Staff", &(named(&s.id.to_string(), &s.name) + &leaf("Email", &s.email) + &empty))
}

/// A reference to a member of the staff, whether or not the list still has them.
fn who(practice: &Practice, element: &str, id: Option<&String>) -> String {
    let id = id.and_then(|id| Uuid::parse_str(id).ok());
    let found = practice.staff.iter().find(|s| Some(s.id) == id);
    found.map_or_else(String::new, |s| node(element, &named(&s.id.to_string(), &s.name)))
}

fn group_id(name: &str) -> Uuid {
    id_of(&["group", name])
}

fn group(name: &str) -> String {
    named(&group_id(name).to_string(), name)
}

fn groups(practice: &Practice) -> Vec<String> {
    let mut all: Vec<_> = practice.clients.iter().flat_map(|c| c.groups.iter().cloned()).collect();
    all.sort();
    all.dedup();
    all
}

fn one_client(practice: &Practice, id: &str, row: impl Fn(&Client) -> String) -> FakeResponse {
    let found = practice.clients.iter().find(|c| c.id.to_string() == id);
    found.map_or_else(|| error("Get", "Invalid client identifier"), |c| ok("Get", &row(c)))
}

/// How much of a client stands in a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Row {
    Bare,
    /// As in the published example of a page: managers, where there are any, and no groups.
    Paged,
    Whole,
}

/// With what nobody should keep in it as well: addresses, tax numbers, notes.
fn client(practice: &Practice, c: &Client, row_of: Row) -> String {
    let mut row = named(&c.id.to_string(), &c.name) + &leaf("Email", &c.email);
    row += &["Address", "City", "PostalAddress", "Phone", "Website"].map(|n| leaf(n, "")).concat();
    row += &leaf("ExportCode", &c.export_code);
    row += &yes_no("IsProspect", false);
    row += &yes_no("IsArchived", c.archived);
    row += &yes_no("IsDeleted", c.deleted);
    row += &leaf("TaxNumber", "***-**-123");
    row += &leaf("CompanyNumber", &c.company_number);
    row += &leaf("BusinessNumber", &c.business_number);
    if row_of != Row::Bare {
        row += &who(practice, "AccountManager", c.account_manager.as_ref());
        row += &who(practice, "JobManager", c.job_manager.as_ref());
    }
    if row_of == Row::Whole {
        row += "<Contacts />";
        row += &node("Groups", &c.groups.iter().map(|g| node("Group", &group(g))).collect::<String>());
        row += "<Relationships />";
        let note =
            leaf("Title", "Call") + &leaf("Text", "Rang about <the> GST & more.\nSee https://example.com/?a=1&b=2");
        row += &node("Notes", &node("Note", &note));
    }
    node("Client", &row)
}

fn paged(app: &App, practice: &Practice, request: &FakeRequest) -> Answer {
    only(request, &["pageSize", "pageToken"])?;
    let size = request.query("pageSize").map_or(Ok(50), str::parse::<usize>);
    let Some(size) = size.ok().filter(|s| (1..=500).contains(s)) else {
        return Ok(error("List", "Invalid pageSize: it must be between 1 and 500"));
    };
    // A token names the last client of the page before, so that a client who comes or goes moves nobody else.
    let after = match request.query("pageToken").filter(|t| !t.is_empty()) {
        None => None,
        Some(token) => {
            let bytes = URL_SAFE_NO_PAD.decode(token).ok().and_then(|b| Uuid::from_slice(&b).ok());
            let Some(id) = bytes else { return Ok(error("List", "Invalid pageToken")) };
            Some(id)
        }
    };
    let mut live = practice.clients.iter().filter(|c| !c.archived && !c.deleted && after.is_none_or(|a| c.id > a));
    let page: Vec<_> = live.by_ref().take(size.min(app.page_max)).collect();
    let more = live.next().is_some();
    let next = match page.last().filter(|_| more) {
        None => "<Next />".to_owned(),
        Some(last) => {
            let token = URL_SAFE_NO_PAD.encode(last.id.as_bytes());
            let path = format!("{}/practicemanager/3.1/client.api/paged-list", app.base);
            let link = format!("{path}?pageSize={size}&pageToken={token}");
            match app.next.as_str() {
                "token" => leaf("Next", &token),
                // As in Xero's published example.
                "bare" => format!("<Next>{link}</Next>"),
                _ => leaf("Next", &link),
            }
        }
    };
    let row = if app.paged_details { Row::Paged } else { Row::Bare };
    let rows: String = page.into_iter().map(|c| client(practice, c, row)).collect();
    let first = leaf("First", &format!("{}/practicemanager/3.1/client.api/paged-list?pageSize={size}", app.base));
    let pages = node("Pagination", &node("Links", &(first + &next)));
    Ok(ok("PagedList", &(node("Clients", &rows) + &pages)))
}

fn job(practice: &Practice, j: &Job, detailed: bool) -> String {
    let day = |name: &str, d: Option<Date>| d.map_or_else(String::new, |d| leaf(name, &format!("{d}T00:00:00")));
    let people = |list: &[String]| list.iter().map(|id| who(practice, "Staff", Some(id))).collect::<String>();
    let mut row = leaf("ID", &j.number) + &named(&id_of(&["job", &j.number]).to_string(), &j.name);
    // In the order of their ids: a large firm has as many jobs as clients.
    let id = j.client.as_ref().and_then(|id| Uuid::parse_str(id).ok());
    let place = id.and_then(|id| practice.clients.binary_search_by_key(&id, |c| c.id).ok());
    let client = place.and_then(|at| practice.clients.get(at));
    row += &client.map_or_else(String::new, |c| node("Client", &named(&c.id.to_string(), &c.name)));
    row += &leaf("State", &j.state);
    row += &day("StartDate", Some(j.start));
    row += &day("DueDate", Some(j.due));
    row += &day("CompletedDate", j.completed);
    row += &leaf("Description", "1 May 2026\nhttps://example.com/proposals/27447\n---\nBooks & more");
    row += &who(practice, "Manager", j.manager.as_ref());
    row += &who(practice, "Partner", j.partner.as_ref());
    row += &node("Assigned", &people(&j.assigned));
    if detailed {
        let task = |t: &super::world::Task| {
            let id = id_of(&["task", &j.number, &t.name]).to_string();
            node("Task", &(named(&id, &t.name) + &leaf("Completed", "false") + &node("Assigned", &people(&t.assigned))))
        };
        row += &node("Tasks", &j.tasks.iter().map(task).collect::<String>());
        row += "<Milestones /><Notes />";
    }
    node("Job", &row)
}

/// By a range of days of at most a year.
fn jobs(practice: &Practice, request: &FakeRequest) -> Answer {
    only(request, &["from", "to", "detailed"])?;
    let day = |name: &str| Date::strptime("%Y%m%d", request.query(name)?).ok();
    let (Some(from), Some(to)) = (day("from"), day("to")) else {
        return Ok(error("List", "Invalid date range"));
    };
    if to < from || from.until(to).is_ok_and(|s| s.get_days() > 366) {
        return Ok(error("List", "The date range must not be more than one year"));
    }
    let detailed = request.query("detailed") == Some("true");
    let within = practice.jobs.iter().filter(|j| (from..=to).contains(&j.start));
    Ok(ok("List", &node("Jobs", &within.map(|j| job(practice, j, detailed)).collect::<String>())))
}
