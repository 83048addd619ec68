//! The APIs of one organisation: Accounting, Files, Finance.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Answer,
    answers::{self, envelope, iso, ms, ms_day, number, validation},
    books::{self, Account, Entry, Paper, Posting},
    finance, id_of, only,
    world::{App, Org, User},
};

/// The scopes of which one opens a path, `None` for a path that is not there.
pub fn scopes(path: &[&str]) -> Option<&'static [&'static str]> {
    Some(match path {
        ["api.xro", "2.0", "Users" | "Organisation" | "Accounts", ..] => {
            &["accounting.settings", "accounting.settings.read"]
        }
        ["api.xro", "2.0", "BankTransactions", _, "Attachments", ..] => {
            &["accounting.attachments", "accounting.attachments.read"]
        }
        ["api.xro", "2.0", "BankTransactions", ..] => &[
            "accounting.banktransactions",
            "accounting.banktransactions.read",
            "accounting.transactions",
            "accounting.transactions.read",
        ],
        ["api.xro", "2.0", "Reports", "ProfitAndLoss"] => {
            &["accounting.reports.profitandloss.read", "accounting.reports.read"]
        }
        ["api.xro", "2.0", "Reports", "BalanceSheet"] => {
            &["accounting.reports.balancesheet.read", "accounting.reports.read"]
        }
        ["api.xro", "2.0", "Reports", "TrialBalance"] => {
            &["accounting.reports.trialbalance.read", "accounting.reports.read"]
        }
        ["api.xro", "2.0", "Reports", "BankSummary"] => {
            &["accounting.reports.banksummary.read", "accounting.reports.read"]
        }
        ["files.xro", "1.0", "Files", ..] => &["files", "files.read"],
        ["finance.xro", "1.0", "BankStatementsPlus", "statements"] => &["finance.bankstatementsplus.read"],
        _ => return None,
    })
}

/// Answers from an organisation's data.
pub fn answer(app: &App, org: &Org, now: Timestamp, path: &[&str], request: &FakeRequest) -> Answer {
    // The Accounting API speaks XML to whoever does not ask for JSON; documents come as they are.
    let document = matches!(path, ["api.xro", "2.0", _, _, "Attachments", _]);
    let json = request.header("accept").is_some_and(|a| a.contains("application/json"));
    if path.first() == Some(&"api.xro") && !document && !json {
        return Ok(answers::xml());
    }
    match path {
        ["api.xro", "2.0", "Users"] => {
            only(request, &["where", "order"])?;
            let users: Vec<_> = org.users.iter().filter(|_| !org.hides_users).map(user).collect();
            Ok(ok(&envelope(now, "Users", json!(users))))
        }
        ["api.xro", "2.0", "Users", id] => {
            only(request, &[])?;
            let found = org.users.iter().find(|u| u.id.to_string() == *id).ok_or_else(answers::not_found)?;
            Ok(ok(&envelope(now, "Users", json!([user(found)]))))
        }
        ["api.xro", "2.0", "Organisation"] => {
            only(request, &[])?;
            Ok(ok(&envelope(now, "Organisations", json!([organisation(org)]))))
        }
        ["api.xro", "2.0", "Accounts"] => {
            only(request, &["where", "order"])?;
            let filter = Filter::read(request)?;
            let rows: Vec<_> =
                org.books.accounts.iter().filter(|a| filter.account(a)).map(|a| account(org, a)).collect();
            Ok(ok(&envelope(now, "Accounts", json!(rows))))
        }
        ["api.xro", "2.0", "Accounts", id] => {
            only(request, &[])?;
            let found = org.books.accounts.iter().find(|a| a.id.to_string() == *id).ok_or_else(answers::not_found)?;
            Ok(ok(&envelope(now, "Accounts", json!([account(org, found)]))))
        }
        ["api.xro", "2.0", "BankTransactions"] => bank_transactions(app, org, now, request),
        ["api.xro", "2.0", "BankTransactions", id, "Attachments"] => {
            only(request, &[])?;
            let papers = papers(org, id).ok_or_else(answers::not_found)?;
            let row = |p: &Paper| {
                let name =
                    url::form_urlencoded::byte_serialize(p.name.as_bytes()).collect::<String>().replace('+', "%20");
                json!({"AttachmentID": p.id, "FileName": p.name, "MimeType": p.mime, "ContentLength": p.bytes.len(),
                    "Url": format!("https://api.xero.com/api.xro/2.0/BankTransactions/{id}/Attachments/{name}"),
                    "IncludeOnline": false})
            };
            Ok(ok(&envelope(now, "Attachments", papers.iter().map(row).collect())))
        }
        ["api.xro", "2.0", "BankTransactions", id, "Attachments", paper] => {
            only(request, &[])?;
            let found = papers(org, id).and_then(|p| p.iter().find(|p| p.id.to_string() == *paper));
            found.map(bytes).ok_or_else(answers::not_found)
        }
        ["api.xro", "2.0", "Reports", name] => report(org, now, name, request),
        ["files.xro", "1.0", "Files"] => files(org, request),
        ["files.xro", "1.0", "Files", id, "Content"] => {
            only(request, &[])?;
            let found = org.files.iter().find(|p| p.id.to_string() == *id);
            found.map(bytes).ok_or_else(answers::not_found)
        }
        ["finance.xro", "1.0", "BankStatementsPlus", "statements"] => finance::bank_statements(org, now, request),
        _ => Err(FakeResponse::unknown(request)),
    }
}

fn ok(body: &Value) -> FakeResponse {
    FakeResponse::json(200, body)
}

fn bytes(paper: &Paper) -> FakeResponse {
    FakeResponse::new(200).header("content-type", paper.mime.clone()).body(paper.bytes.clone())
}

fn user(u: &User) -> Value {
    json!({"UserID": u.id, "EmailAddress": u.email, "FirstName": u.first, "LastName": u.last,
        "UpdatedDateUTC": ms(u.updated), "IsSubscriber": u.subscriber, "OrganisationRole": u.role})
}

fn organisation(org: &Org) -> Value {
    let mut row = json!({
        "APIKey": "SANDBOXNETWORKKEY", "OrganisationID": org.tenant, "Name": org.name, "LegalName": org.name,
        "PaysTax": true, "Version": org.country, "OrganisationType": "COMPANY", "OrganisationEntityType": "COMPANY",
        "BaseCurrency": org.currency, "CountryCode": org.country, "IsDemoCompany": org.demo,
        "OrganisationStatus": "ACTIVE", "TaxNumber": "000-000-000", "FinancialYearEndMonth": org.year_end.0,
        "FinancialYearEndDay": org.year_end.1, "CreatedDateUTC": "/Date(1455827393000)/",
        "Timezone": "NEWZEALANDSTANDARDTIME", "Edition": "BUSINESS", "Class": "PREMIUM",
        "ShortCode": format!("!{}", org.tenant.simple().to_string().chars().take(5).collect::<String>()),
    });
    if let Some(map) = row.as_object_mut() {
        for (key, day) in [("PeriodLockDate", org.lock_date), ("EndOfYearLockDate", org.year_lock_date)] {
            if let Some(day) = day {
                map.insert(key.to_owned(), json!(ms_day(day)));
            }
        }
    }
    row
}

fn account(org: &Org, a: &Account) -> Value {
    let mut row = json!({
        "AccountID": a.id, "Code": a.code, "Name": a.name, "Type": a.kind, "Class": a.class(), "Status": a.status,
        "TaxType": "NONE", "EnablePaymentsToAccount": false, "HasAttachments": false,
        "BankAccountType": "", "UpdatedDateUTC": "/Date(1700000000000+0000)/",
    });
    if a.kind == "BANK"
        && let Some(map) = row.as_object_mut()
    {
        map.insert("BankAccountType".to_owned(), json!(a.bank_type));
        map.insert("CurrencyCode".to_owned(), json!(org.currency));
        map.insert("BankAccountNumber".to_owned(), json!(a.number.as_deref().unwrap_or_default()));
    }
    row
}

/// The part of Xero's filter language that is documented with examples. Anything else is a query that does not parse.
#[derive(Default)]
struct Filter {
    kind: Option<String>,
    status: Option<String>,
    account: Option<Uuid>,
    from: Option<Date>,
    before: Option<Date>,
}

impl Filter {
    fn read(request: &FakeRequest) -> Result<Self, FakeResponse> {
        let mut filter = Self::default();
        let text = request.query("where").unwrap_or_default();
        for term in text.split(" AND ").filter(|t| !t.is_empty()) {
            filter.term(term).ok_or_else(|| {
                FakeResponse::json(
                    400,
                    &json!({"ErrorNumber": 16, "Type": "QueryParseException",
                    "Message": "The where clause does not parse", "Elements": []}),
                )
            })?;
        }
        Ok(filter)
    }

    fn term(&mut self, term: &str) -> Option<()> {
        let quoted = |t: &str| Some(t.strip_prefix('"')?.strip_suffix('"')?.to_owned());
        let day = |t: &str| {
            let parts: Vec<i16> = t
                .strip_prefix("DateTime(")?
                .strip_suffix(')')?
                .split(',')
                .map(|p| p.trim().parse().ok())
                .collect::<Option<_>>()?;
            let [year, month, day] = parts.as_slice() else { return None };
            Date::new(*year, i8::try_from(*month).ok()?, i8::try_from(*day).ok()?).ok()
        };
        match () {
            () if term.starts_with("Type==") => self.kind = Some(quoted(term.strip_prefix("Type==")?)?),
            () if term.starts_with("Status==") => self.status = Some(quoted(term.strip_prefix("Status==")?)?),
            () if term.starts_with("BankAccount.AccountID==") => {
                let inner = term.strip_prefix("BankAccount.AccountID==guid(")?.strip_suffix(')')?;
                self.account = Some(Uuid::parse_str(&quoted(inner)?).ok()?);
            }
            () if term.starts_with("Date>=") => self.from = Some(day(term.strip_prefix("Date>=")?)?),
            () if term.starts_with("Date<") => self.before = Some(day(term.strip_prefix("Date<")?)?),
            () => return None,
        }
        Some(())
    }

    fn account(&self, a: &Account) -> bool {
        self.kind.as_ref().is_none_or(|k| *k == a.kind) && self.status.as_ref().is_none_or(|s| *s == a.status)
    }

    fn entry(&self, org: &Org, e: &Entry) -> bool {
        let Posting::Bank { kind, bank, status, .. } = &e.posting else { return false };
        let account = org.books.accounts.get(*bank).map(|a| a.id);
        self.kind.as_ref().is_none_or(|k| k == kind)
            && self.status.as_ref().is_none_or(|s| s == status)
            && self.account.is_none_or(|id| Some(id) == account)
            && self.from.is_none_or(|d| e.date >= d)
            && self.before.is_none_or(|d| e.date < d)
    }
}

/// A whole number of at least one, or a refusal.
fn positive(request: &FakeRequest, name: &str) -> Result<Option<usize>, FakeResponse> {
    let read = |t: &str| t.parse().ok().filter(|n| *n >= 1).ok_or_else(|| validation(&format!("{name} is not valid")));
    request.query(name).map(read).transpose()
}

fn bank_transactions(app: &App, org: &Org, now: Timestamp, request: &FakeRequest) -> Answer {
    only(request, &["where", "order", "page", "pageSize", "unitdp"])?;
    let filter = Filter::read(request)?;
    let mut rows: Vec<_> = org.books.entries.iter().filter(|e| filter.entry(org, e)).collect();
    let updated = |e: &Entry| match &e.posting {
        Posting::Bank { updated, .. } => *updated,
        Posting::Journal { .. } => Timestamp::UNIX_EPOCH,
    };
    let order = request.query("order").unwrap_or("UpdatedDateUTC ASC");
    let (field, direction) = order.split_once(' ').unwrap_or((order, "ASC"));
    match field {
        "BankTransactionID" => rows.sort_by_key(|e| e.id),
        "Date" => rows.sort_by_key(|e| e.date),
        "UpdatedDateUTC" => rows.sort_by_key(|e| updated(e)),
        _ => return Err(validation("the order is not valid")),
    }
    match direction {
        "ASC" => {}
        "DESC" => rows.reverse(),
        _ => return Err(validation("the order is not valid")),
    }
    let page = positive(request, "page")?;
    let size = positive(request, "pageSize")?.unwrap_or(100);
    if size > 1_000 {
        return Err(validation("pageSize is at most 1000"));
    }
    let Some(page) = page else {
        // Without a page there is no paging and there are no line items.
        let all: Vec<_> = rows.iter().map(|e| transaction(org, e, false)).collect();
        return Ok(ok(&envelope(now, "BankTransactions", json!(all))));
    };
    let size = size.min(app.page_max);
    let here: Vec<_> = rows.iter().skip((page - 1) * size).take(size).map(|e| transaction(org, e, true)).collect();
    let mut body = envelope(now, "BankTransactions", json!(here));
    if app.pagination
        && let Some(map) = body.as_object_mut()
    {
        let pages = rows.len().div_ceil(size).max(1);
        let counts = json!({"page": page, "pageSize": size, "pageCount": pages, "itemCount": rows.len()});
        map.insert("pagination".to_owned(), counts);
    }
    Ok(ok(&body))
}

fn transaction(org: &Org, e: &Entry, with_lines: bool) -> Value {
    let Posting::Bank { kind, bank, contact, reference, status, reconciled, papers, updated } = &e.posting else {
        return Value::Null;
    };
    let at = |i: usize| org.books.accounts.get(i);
    let other = if e.debit == *bank { e.credit } else { e.debit };
    let code = |i: usize| at(i).map_or("", |a| a.code.as_str());
    let lines = json!([{"LineItemID": id_of(&[&e.id.to_string(), "line"]), "Description": e.text, "Quantity": 1,
        "UnitAmount": number(e.amount), "LineAmount": number(e.amount), "AccountCode": code(other), "TaxType": "NONE",
        "TaxAmount": 0, "Tracking": []}]);
    json!({
        "BankTransactionID": e.id, "Type": kind, "Status": status, "IsReconciled": reconciled,
        "BankAccount": {"AccountID": at(*bank).map(|a| a.id), "Code": code(*bank), "Name": at(*bank).map(|a| &a.name)},
        "Contact": {"ContactID": id_of(&["contact", contact]), "Name": contact},
        "Reference": reference, "HasAttachments": !papers.is_empty(), "LineAmountTypes": "NoTax",
        "LineItems": if with_lines { lines } else { json!([]) },
        "Date": ms_day(e.date), "DateString": format!("{}T00:00:00", e.date), "UpdatedDateUTC": ms(*updated),
        "SubTotal": number(e.amount), "TotalTax": 0, "Total": number(e.amount), "CurrencyCode": org.currency,
    })
}

fn papers<'a>(org: &'a Org, id: &str) -> Option<&'a [Paper]> {
    org.books.entries.iter().find_map(|e| match &e.posting {
        Posting::Bank { papers, .. } if e.id.to_string() == id => Some(papers.as_slice()),
        _ => None,
    })
}

pub fn day(request: &FakeRequest, name: &str) -> Result<Option<Date>, FakeResponse> {
    let read = |t: &str| t.parse().map_err(|_| validation(&format!("{name} is not a date")));
    request.query(name).map(read).transpose()
}

pub fn flag(request: &FakeRequest, name: &str) -> Result<bool, FakeResponse> {
    match request.query(name) {
        None => Ok(false),
        // Xero's own Python client writes "True".
        Some(t) if t.eq_ignore_ascii_case("false") => Ok(false),
        Some(t) if t.eq_ignore_ascii_case("true") => Ok(true),
        Some(_) => Err(validation(&format!("{name} is neither true nor false"))),
    }
}

fn report(org: &Org, now: Timestamp, name: &str, request: &FakeRequest) -> Answer {
    let known: &[&str] = match name {
        "ProfitAndLoss" => &["fromDate", "toDate", "standardLayout", "paymentsOnly"],
        "BalanceSheet" => &["date", "standardLayout", "paymentsOnly"],
        "TrialBalance" => &["date", "paymentsOnly"],
        _ => &["fromDate", "toDate"],
    };
    only(request, known)?;
    let today = now.to_zoned(TimeZone::UTC).date();
    let date = day(request, "date")?.unwrap_or(today);
    let from = day(request, "fromDate")?.unwrap_or_else(|| today.first_of_month());
    let to = day(request, "toDate")?.unwrap_or(today);
    let span = from.until(to).map(|s| s.get_days()).unwrap_or(i32::MAX);
    if !(0..=365).contains(&span) {
        return Err(validation("The date range is not valid"));
    }
    if known.contains(&"standardLayout") && !flag(request, "standardLayout")? {
        // The organisation's own layout: sections renamed, lines regrouped. No test should ever see it.
        return Err(FakeResponse::unknown(request));
    }
    let cash = flag(request, "paymentsOnly")?;
    Ok(ok(&match name {
        "ProfitAndLoss" => books::profit_and_loss(org, now, from, to, cash),
        "BalanceSheet" => books::balance_sheet(org, now, date, cash),
        "TrialBalance" => books::trial_balance(org, now, date, cash),
        "BankSummary" => books::bank_summary(org, now, from, to),
        _ => return Err(FakeResponse::unknown(request)),
    }))
}

fn files(org: &Org, request: &FakeRequest) -> Answer {
    only(request, &["pagesize", "page", "sort", "direction"])?;
    let size = positive(request, "pagesize")?.unwrap_or(50);
    if size > 100 {
        return Err(validation("pagesize is at most 100"));
    }
    let page = positive(request, "page")?.unwrap_or(1);
    let mut all: Vec<_> = org.files.iter().collect();
    match request.query("sort").unwrap_or("CreatedDateUTC") {
        "CreatedDateUTC" => all.sort_by_key(|p| (p.created, p.id)),
        "Name" => all.sort_by(|a, b| a.name.cmp(&b.name)),
        "Size" => all.sort_by_key(|p| p.bytes.len()),
        _ => return Err(validation("sort is not valid")),
    }
    match request.query("direction") {
        None | Some("ASC") => {}
        Some("DESC") => all.reverse(),
        Some(_) => return Err(validation("direction is not valid")),
    }
    let row = |p: &&Paper| {
        json!({"Id": p.id, "Name": p.name, "MimeType": p.mime, "Size": p.bytes.len(),
            "CreatedDateUtc": iso(p.created), "UpdatedDateUtc": iso(p.created),
            "FolderId": id_of(&["inbox", &org.tenant.to_string()]),
            "User": {"Id": id_of(&["uploader"]), "Name": "uploads@client.example", "FirstName": "Ulla",
                "LastName": "Upload", "FullName": "Ulla Upload"}})
    };
    let here: Vec<_> = all.iter().skip((page - 1) * size).take(size).map(row).collect();
    Ok(ok(&json!({"TotalCount": all.len(), "Page": page, "PerPage": size, "Items": here})))
}
