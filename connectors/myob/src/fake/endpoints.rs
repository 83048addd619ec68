//! One company file's resources.

use jiff::civil::Date;
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Account, Answer, App, File, User,
    books::{local, number, reference},
    error, id_of,
};

const RESOURCES: &[&str] = &[
    "Banking/BankAccount",
    "Banking/Statement",
    "GeneralLedger/Account",
    "Report/BalanceSheetSummary",
    "Report/ProfitAndLossSummary",
    "Payroll/Timesheet",
];

/// The scope that opens a path, `None` for a path that is not there.
pub fn scope(rest: &[&str]) -> Option<&'static str> {
    Some(match rest {
        [] | ["CurrentUser"] => "sme-company-file",
        ["Banking", "BankAccount" | "Statement"] => "sme-banking",
        ["GeneralLedger", "Account"] | ["GeneralLedger", "Account", _] => "sme-general-ledger",
        ["Report", "BalanceSheetSummary" | "ProfitAndLossSummary"] => "sme-general-ledger",
        ["Security", "User"] => "arl.security",
        _ => return None,
    })
}

/// Answers from a file's data, for somebody who may not read the resources in `closed`.
pub fn answer(app: &App, base: &str, file: &File, closed: &[String], rest: &[&str], request: &FakeRequest) -> Answer {
    let uri = format!("{base}/accountright/{}", file.id);
    let list = |rows: Vec<Value>| page(app, &uri, &rest.join("/"), rows, request);
    match rest {
        [] => {
            only(request, &[])?;
            let resources: Vec<_> = RESOURCES.iter().map(|r| format!("{uri}/{r}")).collect();
            ok(&json!({"CompanyFile": {"Id": file.id, "Name": file.name, "LibraryPath": file.name,
                "ProductVersion": "2026.4", "ProductLevel": {"Code": 30, "Name": "MYOB Business"}, "Uri": uri,
                "LauncherId": id_of(&["launcher", &uri]), "SerialNumber": "600000000000", "Country": file.country,
                "UIAccessFlags": 3}, "Resources": resources}))
        }
        ["CurrentUser"] => {
            only(request, &[])?;
            let right = |r: &&str| {
                let access = if closed.iter().any(|n| n == r) { json!([]) } else { json!(["GET", "POST"]) };
                json!({"ResourcePath": format!("{uri}/{r}/"), "Access": access})
            };
            ok(&json!({"UserAccess": RESOURCES.iter().map(right).collect::<Vec<_>>()}))
        }
        ["Security", "User"] => {
            only(request, &["$top", "$skip"])?;
            list(file.users.iter().map(|u| user(&uri, u)).collect())
        }
        ["Banking", "BankAccount"] => {
            only(request, &["$top", "$skip"])?;
            list(file.accounts.iter().filter_map(|a| bank_account(base, file, a)).collect())
        }
        ["GeneralLedger", "Account"] => {
            only(request, &["$top", "$skip"])?;
            list(file.accounts.iter().map(|a| account(&uri, a)).collect())
        }
        ["GeneralLedger", "Account", id] => {
            only(request, &[])?;
            let found = file.accounts.iter().find(|a| a.id.to_string() == *id);
            ok(&account(&uri, found.ok_or_else(|| error(404, "ResourceNotFound", 4004))?))
        }
        ["Banking", "Statement"] => {
            only(request, &["$top", "$skip", "$filter", "$orderby"])?;
            list(lines(base, file, request)?)
        }
        ["Report", "ProfitAndLossSummary"] => {
            only(request, &["StartDate", "EndDate", "ReportingBasis", "YearEndAdjust"])?;
            let basis = basis(request)?.ok_or_else(bad)?;
            ok(&file.profit_and_loss(base, day(request, "StartDate")?, day(request, "EndDate")?, basis))
        }
        ["Report", "BalanceSheetSummary"] => {
            only(request, &["AsOfDate", "ReportingBasis", "YearEndAdjust"])?;
            let cash = basis(request)? == Some("Cash");
            ok(&file.balance_sheet(base, day(request, "AsOfDate")?, cash))
        }
        _ => Err(FakeResponse::unknown(request)),
    }
}

fn ok(body: &Value) -> Answer {
    Ok(FakeResponse::json(200, body))
}

fn bad() -> FakeResponse {
    error(400, "ValidationError", 4000)
}

/// A parameter that is not documented, or comes twice, is a request this fake does not know.
fn only(request: &FakeRequest, known: &[&str]) -> Result<(), FakeResponse> {
    let mut seen = std::collections::BTreeSet::new();
    let fine = request.query.iter().all(|(k, _)| known.contains(&k.as_str()) && seen.insert(k));
    if fine { Ok(()) } else { Err(FakeResponse::unknown(request)) }
}

/// Required, and with `YearEndAdjust` beside it.
fn day(request: &FakeRequest, name: &str) -> Result<Date, FakeResponse> {
    if request.query("YearEndAdjust") != Some("false") {
        return Err(bad());
    }
    request.query(name).and_then(|t| t.parse().ok()).ok_or_else(bad)
}

fn basis(request: &FakeRequest) -> Result<Option<&'static str>, FakeResponse> {
    match request.query("ReportingBasis") {
        None => Ok(None),
        Some("Accrual") => Ok(Some("Accrual")),
        Some("Cash") => Ok(Some("Cash")),
        Some(_) => Err(bad()),
    }
}

/// OData's envelope. `$top` is 400 unless said, at most 1,000.
fn page(app: &App, uri: &str, resource: &str, rows: Vec<Value>, request: &FakeRequest) -> Answer {
    let read =
        |name: &str, default: usize| request.query(name).map_or(Some(default), |t| t.parse().ok()).ok_or_else(bad);
    let (top, skip) = (read("$top", 400)?, read("$skip", 0)?);
    if top == 0 || top > 1_000 {
        return Err(bad());
    }
    let (top, count) = (top.min(app.page_max), rows.len());
    let here: Vec<_> = rows.into_iter().skip(skip).take(top).collect();
    let next = (skip + here.len() < count).then(|| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (key, value) in request.query.iter().filter(|(k, _)| k != "$skip") {
            query.append_pair(key, value);
        }
        let query = query.append_pair("$skip", &(skip + here.len()).to_string()).finish();
        format!("{uri}/{resource}/?{query}")
    });
    ok(&json!({"Items": here, "NextPageLink": next, "Count": count}))
}

fn user(uri: &str, u: &User) -> Value {
    let role = |name: &String| {
        let id = id_of(&["role", name]);
        json!({"UID": id, "Name": name, "URI": format!("{uri}/Security/Role/{id}")})
    };
    json!({"UID": u.id, "Name": u.name, "MYDOTIdentity": u.email, "Roles": u.roles.iter().map(role).collect::<Vec<_>>(),
        "IsAdvisor": u.adviser, "IsActive": u.active, "IsOnlineAdministrator": u.administrator, "InviteUser": null,
        "RowVersion": "1", "URI": format!("{uri}/Security/User/{}", u.id)})
}

fn account(uri: &str, a: &Account) -> Value {
    let details = a.bank.as_ref().map(|b| {
        json!({"BSBNumber": b.bsb, "BankAccountNumber": b.number, "BankAccountName": a.name, "CompanyTradingName": ""})
    });
    json!({"UID": a.id, "Name": a.name, "DisplayID": a.number, "Classification": a.classification, "Type": a.kind,
        "Number": 1, "Description": "", "IsActive": true, "IsHeader": a.header, "Level": 4, "OpeningBalance": 0,
        "CurrentBalance": 0, "BankingDetails": details, "LastReconciledDate": null, "RowVersion": "1",
        "URI": format!("{uri}/GeneralLedger/Account/{}", a.id)})
}

fn bank_account(base: &str, file: &File, a: &Account) -> Option<Value> {
    let bank = a.bank.as_ref()?;
    Some(json!({"UID": id_of(&["bank account", &a.id.to_string()]), "FinancialInstitution": "Harbour Bank",
        "BankAccountName": a.name, "BSB": bank.bsb, "BankAccountNumber": bank.number, "CardName": null,
        "CardNumber": bank.card, "Account": reference(base, file, a), "BankLinkStatus": "Active",
        "LastReconciledDate": null}))
}

/// The part of OData's filters that MYOB's pages show: terms of a field, a comparison and a value, joined by `and`.
fn lines(base: &str, file: &File, request: &FakeRequest) -> Result<Vec<Value>, FakeResponse> {
    let (mut account, mut from, mut before) = (None, None, None);
    for term in request.query("$filter").unwrap_or_default().split(" and ").filter(|t| !t.is_empty()) {
        let quoted = |start: &str| term.strip_prefix(start)?.strip_suffix('\'');
        let at = |start: &str| quoted(start)?.strip_suffix("T00:00:00")?.parse::<Date>().ok();
        match () {
            () if term.starts_with("Account/UID eq ") => {
                let id = quoted("Account/UID eq guid'").and_then(|t| Uuid::parse_str(t).ok());
                account = Some(id.ok_or_else(bad)?);
            }
            () if term.starts_with("Date ge ") => from = Some(at("Date ge datetime'").ok_or_else(bad)?),
            () if term.starts_with("Date lt ") => before = Some(at("Date lt datetime'").ok_or_else(bad)?),
            () => return Err(bad()),
        }
    }
    if request.query("$orderby").is_some_and(|o| o != "Date") {
        return Err(bad());
    }
    let all = file.feed().into_iter().filter(|(date, _, a, ..)| {
        account.is_none_or(|id| id == a.id) && from.is_none_or(|f| f <= *date) && before.is_none_or(|b| *date < b)
    });
    Ok(all
        .map(|(date, id, a, amount, text, reference_text, status)| {
            let pulled = date.tomorrow().unwrap_or(date);
            json!({"UID": id, "StatementDate": local(pulled), "Date": local(date), "Description": text,
                "Account": reference(base, file, a), "Amount": number(amount.abs()),
                "IsCredit": amount.is_sign_positive(), "SourceTransactions": [], "Status": status,
                "Reference": reference_text, "URI": null})
        })
        .collect())
}
