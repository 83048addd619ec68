//! Requests to Business Central, and what an answer's status means.
//!
//! Sources: learn.microsoft.com, Business Central: automation API 2.0 (user, userPermission, securityGroup,
//! securityGroupMember, userGroupMember) and API 2.0 (companies).

use http::header::ACCEPT;
use ledgerward_contract::{Endpoints, Error, ErrorKind, LedgerId, Request, Response, Result};
use ledgerward_kit::{classify_common, safe_word, says_error, whole};
use serde::Deserialize;
use url::Url;

const AUTOMATION: &str = "microsoft/automation/v2.0";
const STANDARD: &str = "v2.0";

/// An environment's name goes into a path only in the letters that the admin center allows.
pub fn is_environment(text: &str) -> bool {
    (1..=30).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// 8-4-4-4-12 hexadecimal digits.
pub fn is_guid(text: &str) -> bool {
    let hex = |b: u8| b.is_ascii_hexdigit();
    let parts: Vec<_> = text.split('-').collect();
    parts.iter().map(|p| p.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(|p| p.bytes().all(hex))
}

/// A ledger by its parts: `production:5a3c…`.
#[derive(Clone, Copy, Debug)]
pub struct Ledger<'a> {
    pub environment: &'a str,
    pub company: &'a str,
}

impl<'a> Ledger<'a> {
    pub fn read(op: &'static str, id: &'a LedgerId) -> Result<Self> {
        let parts = id.as_str().split_once(':').filter(|(e, c)| is_environment(e) && is_guid(c));
        parts.map(|(environment, company)| Self { environment, company }).ok_or_else(|| {
            Error::contract(op, "a ledger of Business Central is its environment, a colon and its company's id")
                .with("ledger", id.as_str())
        })
    }

    /// The id of a company in an environment. GUIDs are compared without regard to case, so they are kept small.
    pub fn id(environment: &str, company: &str) -> LedgerId {
        LedgerId(format!("{environment}:{}", company.to_ascii_lowercase()))
    }
}

/// Builds requests against the hosts of the configuration. Nothing an answer says ever becomes a host or a path.
#[derive(Clone, Debug)]
pub struct Api {
    pub endpoints: Endpoints,
}

impl Api {
    fn get(&self, op: &'static str, environment: &str, path: &str, query: Option<&str>) -> Result<Request> {
        let mut url = self.endpoints.url("api", &format!("/{environment}/api/{path}"))?;
        url.set_query(query);
        Request::get(op, url).tenant(environment).header(ACCEPT, "application/json")
    }

    fn automation(&self, op: &'static str, ledger: &Ledger<'_>, path: &str, query: Option<&str>) -> Result<Request> {
        let path = format!("{AUTOMATION}/companies({}){path}", ledger.company);
        self.get(op, ledger.environment, &path, query)
    }

    pub fn companies(&self, environment: &str, query: Option<&str>) -> Result<Request> {
        self.get("companies.list", environment, &format!("{STANDARD}/companies"), query)
    }

    pub fn company(&self, ledger: &Ledger<'_>) -> Result<Request> {
        self.get("company.get", ledger.environment, &format!("{STANDARD}/companies({})", ledger.company), None)
    }

    /// Of the whole environment, whichever company is asked.
    pub fn users(&self, ledger: &Ledger<'_>, query: Option<&str>) -> Result<Request> {
        self.automation("users.list", ledger, "/users", query)
    }

    pub fn user_permissions(&self, ledger: &Ledger<'_>, user: &str, query: Option<&str>) -> Result<Request> {
        self.automation("user_permissions.list", ledger, &format!("/users({user})/userPermissions"), query)
    }

    /// `old`: user groups, which environments had before security groups.
    pub fn groups(&self, ledger: &Ledger<'_>, old: bool, query: Option<&str>) -> Result<Request> {
        self.automation("groups.list", ledger, if old { "/userGroups" } else { "/securityGroups" }, query)
    }

    pub fn group_members(&self, ledger: &Ledger<'_>, old: bool, query: Option<&str>) -> Result<Request> {
        let path = if old { "/userGroupMembers" } else { "/securityGroupMembers" };
        self.automation("group_members.list", ledger, path, query)
    }

    pub fn group_permissions(
        &self,
        ledger: &Ledger<'_>,
        old: bool,
        group: &str,
        query: Option<&str>,
    ) -> Result<Request> {
        const OP: &str = "group_permissions.list";
        if old {
            return self.automation(OP, ledger, &format!("/userGroups({group})/userGroupPermissions"), query);
        }
        // The key is a text, which OData has between quotes, with a quote in it doubled.
        let key = format!("securityGroups('{}')", group.replace('\'', "''"));
        let mut request = self.automation(OP, ledger, "", query)?;
        let path = request.url.path_segments_mut();
        path.map_err(|()| Error::new(ErrorKind::Config, OP, "the address of api takes no path"))?
            .extend([key.as_str(), "userPermissions"]);
        Ok(request)
    }
}

/// The query of the next page, out of an `@odata.nextLink`. Only the query is used, and only where the rest of the
/// address is the one that was asked.
///
/// Errors: `Contract` for a link that leads to another host or another list.
pub fn next_query(op: &'static str, asked: &Url, link: Option<&str>) -> Result<Option<String>> {
    let Some(link) = link else { return Ok(None) };
    let elsewhere = || Error::contract(op, "the address of the next page leads somewhere else");
    let next = Url::parse(link).map_err(|_| elsewhere())?;
    // Business Central may write the directory's id before the environment.
    let list = |url: &Url| url.path().split_once("/api/").map(|(_, list)| list.to_ascii_lowercase());
    if next.origin() != asked.origin() || list(&next).is_none() || list(&next) != list(asked) {
        return Err(elsewhere());
    }
    match next.query().filter(|q| !q.is_empty()) {
        Some(query) => Ok(Some(query.to_owned())),
        None => Err(Error::contract(op, "the address of the next page is that of the first")),
    }
}

#[derive(Deserialize)]
struct Refusal {
    error: Code,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

/// What an answer's status means. `ledger` is the company that was asked about, if one was.
///
/// Errors: as [`classify_common`], with the vendor's code where it gives one, and never its message, which can quote data.
pub fn classify(op: &'static str, ledger: Option<&LedgerId>, response: Response) -> Result<Response> {
    if whole(&response) && !says_error(&response.body) {
        return Ok(response);
    }
    let mut error = classify_common(op, &response);
    if response.status == 403 {
        error.next = Some(
            "Give the account that signed in the permission sets D365 AUTOMATION and SECURITY in every company, or one \
             that contains them."
                .to_owned(),
        );
    }
    let said = serde_json::from_slice::<Refusal>(&response.body).ok();
    if let Some(code) = said.and_then(|r| safe_word(&r.error.code)) {
        error = error.with("code", code);
    }
    Err(match ledger {
        Some(ledger) => error.with("ledger", ledger.as_str()),
        None => error,
    })
}
