//! Reports in the recorded shape, computed from the books.

use jiff::{Timestamp, civil::Date};
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::{
    Answer, answers,
    books::{Account, Company},
};

/// A detail report over more than this is cut off by the gateway.
const DETAIL_DAYS: i32 = 366;
const FIGURES: &[&str] = &["start_date", "end_date", "accounting_method", "summarize_column_by"];
const DETAIL: &[&str] = &["start_date", "end_date", "accounting_method", "account", "columns", "sort_by"];

struct Asked {
    from: Date,
    to: Date,
    cash: bool,
}

pub fn answer(company: &Company, now: Timestamp, name: &str, request: &FakeRequest) -> Answer {
    super::only(request, if name == "GeneralLedger" { DETAIL } else { FIGURES })?;
    let wrong = || answers::service(400, "2020", "ValidationFault", "Required param missing or malformed");
    let date = |key: &str| request.query(key).and_then(|t| t.parse::<Date>().ok()).ok_or_else(wrong);
    let cash = match request.query("accounting_method") {
        Some("Accrual") => false,
        Some("Cash") => true,
        // What the company prefers: no test should ever depend on it.
        None => return Err(FakeResponse::unknown(request)),
        Some(_) => return Err(wrong()),
    };
    let asked = Asked { from: date("start_date")?, to: date("end_date")?, cash };
    if asked.from > asked.to || request.query("summarize_column_by").is_some_and(|s| s != "Total") {
        return Err(wrong());
    }
    let report = match name {
        "ProfitAndLoss" => profit_and_loss(company, &asked),
        "BalanceSheet" => balance_sheet(company, &asked),
        "TrialBalance" => trial_balance(company, &asked),
        "GeneralLedger" => {
            if asked.from.until(asked.to).map_or(i32::MAX, |s| s.get_days()) > DETAIL_DAYS {
                return Err(FakeResponse::new(504).header("content-type", "text/html").body("<html>Gateway Time-out"));
            }
            let columns = request.query("columns").unwrap_or_default();
            general_ledger(company, &asked, request.query("account").unwrap_or_default(), columns)
        }
        _ => return Err(FakeResponse::unknown(request)),
    };
    let Report { columns, rows, empty } = report;
    Ok(answers::ok(&json!({
        "Header": {"Time": answers::iso(now), "ReportName": name, "ReportBasis": if cash { "Cash" } else { "Accrual" },
            "StartPeriod": asked.from, "EndPeriod": asked.to, "SummarizeColumnsBy": "Total", "Currency": company.currency,
            "Option": [{"Name": "AccountingStandard", "Value": "GAAP"},
                {"Name": "NoReportData", "Value": if empty { "true" } else { "false" }}]},
        "Columns": {"Column": columns},
        "Rows": if rows.is_empty() { json!({}) } else { json!({"Row": rows}) },
    })))
}

struct Report {
    columns: Vec<Value>,
    rows: Vec<Value>,
    empty: bool,
}

fn column(title: &str, kind: &str, key: &str) -> Value {
    json!({"ColTitle": title, "ColType": kind, "MetaData": [{"Name": "ColKey", "Value": key}]})
}

fn figures_columns() -> Vec<Value> {
    vec![column("", "Account", "account"), column("Total", "Money", "total")]
}

fn money(value: Decimal) -> String {
    if value.is_zero() { String::new() } else { format!("{value:.2}") }
}

fn cells(first: Value, rest: &[String]) -> Value {
    let mut all = vec![first];
    all.extend(rest.iter().map(|v| json!({"value": v})));
    json!({"ColData": all})
}

fn label(text: &str) -> Value {
    json!({"value": text})
}

/// Parts that are not there are left out, as QuickBooks does.
fn section(header: Option<Value>, rows: Vec<Value>, summary: Option<Value>, group: &str) -> Value {
    let mut map = Map::new();
    if let Some(header) = header {
        map.insert("Header".to_owned(), header);
    }
    if !rows.is_empty() {
        map.insert("Rows".to_owned(), json!({"Row": rows}));
    }
    if let Some(summary) = summary {
        map.insert("Summary".to_owned(), summary);
    }
    map.insert("type".to_owned(), json!("Section"));
    if !group.is_empty() {
        map.insert("group".to_owned(), json!(group));
    }
    Value::Object(map)
}

fn total(text: &str, value: Decimal, group: &str) -> Value {
    section(None, Vec::new(), Some(cells(label(text), &[money(value)])), group)
}

/// Lines of the accounts that pass; sub-accounts in a section of their parent, whose header has no id.
fn lines(
    company: &Company,
    value: &dyn Fn(&Account) -> Decimal,
    pass: &dyn Fn(&Account) -> bool,
) -> (Vec<Value>, Decimal) {
    let (mut rows, mut sum) = (Vec::new(), Decimal::ZERO);
    for account in company.accounts.iter().filter(|a| a.parent.is_none() && pass(a)) {
        let own = value(account);
        let children: Vec<_> = company
            .accounts
            .iter()
            .filter(|a| a.parent.as_deref() == Some(account.id.as_str()))
            .map(|a| (a, value(a)))
            .filter(|(_, v)| !v.is_zero())
            .collect();
        let line = |a: &Account, v: Decimal| {
            let mut row = cells(json!({"value": a.name, "id": a.id}), &[money(v)]);
            if let Some(map) = row.as_object_mut() {
                map.insert("type".to_owned(), json!("Data"));
            }
            row
        };
        let whole = own + children.iter().map(|(_, v)| *v).sum::<Decimal>();
        sum += whole;
        if children.is_empty() {
            if !own.is_zero() {
                rows.push(line(account, own));
            }
            continue;
        }
        let header = cells(label(&account.name), &[money(own)]);
        let inner = children.iter().map(|(a, v)| line(a, *v)).collect();
        let summary = cells(label(&format!("Total {}", account.name)), &[money(whole)]);
        rows.push(section(Some(header), inner, Some(summary), ""));
    }
    (rows, sum)
}

/// A named section with its sum.
fn block(
    company: &Company,
    title: &str,
    group: &str,
    value: &dyn Fn(&Account) -> Decimal,
    pass: &dyn Fn(&Account) -> bool,
) -> (Value, Decimal) {
    let (rows, sum) = lines(company, value, pass);
    let header = cells(label(title), &[String::new()]);
    (section(Some(header), rows, Some(cells(label(&format!("Total {title}")), &[money(sum)])), group), sum)
}

fn profit_and_loss(company: &Company, asked: &Asked) -> Report {
    let value = |a: &Account| company.sum(&a.id, Some(asked.from), asked.to, asked.cash) * a.natural();
    let (income, earned) = block(company, "Income", "Income", &value, &|a| a.r#type == "Income");
    let (goods, cost) = block(company, "Cost of Goods Sold", "COGS", &value, &|a| a.r#type == "Cost of Goods Sold");
    let (expenses, spent) = block(company, "Expenses", "Expenses", &value, &|a| a.r#type == "Expense");
    let mut rows = vec![income];
    if !cost.is_zero() {
        rows.push(goods);
    }
    rows.push(total("Gross Profit", earned - cost, "GrossProfit"));
    rows.push(expenses);
    rows.push(total("Net Operating Income", earned - cost - spent, "NetOperatingIncome"));
    rows.push(total("Net Income", earned - cost - spent, "NetIncome"));
    Report { columns: figures_columns(), rows, empty: earned.is_zero() && cost.is_zero() && spent.is_zero() }
}

fn balance_sheet(company: &Company, asked: &Asked) -> Report {
    let value = |a: &Account| company.sum(&a.id, None, asked.to, asked.cash) * a.natural();
    let (bank, in_bank) = block(company, "Bank Accounts", "BankAccounts", &value, &|a| a.r#type == "Bank");
    let other_asset = |a: &Account| a.classification() == "Asset" && a.r#type != "Bank";
    let (other, in_other) = block(company, "Other Assets", "OtherAssets", &value, &other_asset);
    let debts = |a: &Account| a.classification() == "Liability";
    let (liabilities, owed) = block(company, "Liabilities", "Liabilities", &value, &debts);
    let (mut own, mut equity) = lines(company, &value, &|a| a.classification() == "Equity");
    let result: Decimal = company
        .accounts
        .iter()
        .filter(|a| a.of_result())
        .map(|a| -company.sum(&a.id, None, asked.to, asked.cash))
        .sum();
    own.push(
        json!({"ColData": [{"value": "Net Income"}, {"value": money(result)}], "type": "Data", "group": "NetIncome"}),
    );
    equity += result;
    let sum = |text: &str, value: Decimal| Some(cells(label(text), &[money(value)]));
    let head = |text: &str| Some(cells(label(text), &[String::new()]));
    let assets = section(head("ASSETS"), vec![bank, other], sum("TOTAL ASSETS", in_bank + in_other), "TotalAssets");
    let equity_part = section(head("Equity"), own, sum("Total Equity", equity), "Equity");
    let both = section(
        head("LIABILITIES AND EQUITY"),
        vec![liabilities, equity_part],
        sum("TOTAL LIABILITIES AND EQUITY", owed + equity),
        "TotalLiabilitiesAndEquity",
    );
    Report { columns: figures_columns(), rows: vec![assets, both], empty: company.entries.is_empty() }
}

fn trial_balance(company: &Company, asked: &Asked) -> Report {
    let (mut rows, mut totals) = (Vec::new(), [Decimal::ZERO; 2]);
    // What was earned before the period stands in an account that QuickBooks keeps itself.
    let before = asked.from.yesterday().unwrap_or(Date::MIN);
    let results = company.accounts.iter().filter(|a| a.of_result());
    let earlier: Decimal = results.map(|a| company.sum(&a.id, None, before, asked.cash)).sum();
    let of = |a: &Account| {
        let from = a.of_result().then_some(asked.from);
        (a.name.clone(), a.id.clone(), company.sum(&a.id, from, asked.to, asked.cash))
    };
    let kept = ("Retained Earnings".to_owned(), "2".to_owned(), earlier);
    for (name, id, sum) in company.accounts.iter().map(of).chain([kept]).filter(|(_, _, sum)| !sum.is_zero()) {
        let sides = if sum < Decimal::ZERO { [Decimal::ZERO, -sum] } else { [sum, Decimal::ZERO] };
        totals.iter_mut().zip(sides).for_each(|(t, v)| *t += v);
        let first = json!({"value": name, "id": id});
        let mut row = cells(first, &sides.map(money));
        if let Some(map) = row.as_object_mut() {
            map.insert("type".to_owned(), json!("Data"));
        }
        rows.push(row);
    }
    let empty = rows.is_empty();
    rows.push(section(None, Vec::new(), Some(cells(label("TOTAL"), &totals.map(money))), "GrandTotal"));
    let columns =
        vec![column("", "Account", "account"), column("Debit", "Money", "debit"), column("Credit", "Money", "credit")];
    Report { columns, rows, empty }
}

/// In an order of its own, whatever order was asked for; the titles are those of another language.
const LEDGER: &[(&str, &str, &str)] = &[
    ("Datum", "Date", "tx_date"),
    ("Vorgang", "String", "txn_type"),
    ("Nr.", "String", "doc_num"),
    ("Name", "String", "name"),
    ("Memo", "String", "memo"),
    ("Gegenkonto", "String", "split_acc"),
    ("Betrag", "Money", "subt_nat_amount"),
    ("Saldo", "Money", "rbal_nat_amount"),
];

/// Each column of the ledger, and whether it was asked for. A company with several currencies has the amounts under keys of
/// their own, and not under the usual ones.
fn ledger_columns(company: &Company, asked: &str) -> Vec<(Value, bool)> {
    let key = |usual: &'static str| match (company.currencies, usual) {
        (true, "subt_nat_amount") => "subt_nat_home_amount",
        (true, "rbal_nat_amount") => "rbal_nat_home_amount",
        _ => usual,
    };
    let all = LEDGER.iter().map(|(title, kind, usual)| (title, kind, key(usual)));
    all.map(|(title, kind, key)| (column(title, kind, key), asked.split(',').any(|c| c == key))).collect()
}

fn general_ledger(company: &Company, asked: &Asked, wanted: &str, columns: &str) -> Report {
    let columns = ledger_columns(company, columns);
    let kept = |cells: Vec<Value>| -> Vec<Value> {
        cells.into_iter().zip(&columns).filter(|(_, (_, asked))| *asked).map(|(cell, _)| cell).collect()
    };
    let mut rows = Vec::new();
    for account in wanted.split(',').filter_map(|id| company.account(id)) {
        let before = asked.from.yesterday().unwrap_or(Date::MIN);
        let opening = company.sum(&account.id, None, before, false) * account.natural();
        let movements = company.movements(&account.id, asked.from, asked.to);
        if movements.is_empty() && opening.is_zero() {
            continue;
        }
        let row = |cells: Vec<Value>| json!({"ColData": kept(cells), "type": "Data"});
        let mut first: Vec<_> = (0..LEDGER.len()).map(|_| json!({"value": "", "id": ""})).collect();
        let (start, end) = (json!({"value": "Anfangsbestand"}), json!({"value": format!("{opening:.2}")}));
        first.splice(..1, [start]);
        first.splice(LEDGER.len() - 1.., [end]);
        let (mut lines, mut balance, mut sum) = (vec![row(first)], opening, Decimal::ZERO);
        for (entry, moved) in movements {
            let amount = moved * account.natural();
            (balance, sum) = (balance + amount, sum + amount);
            let other = if entry.debit == account.id { &entry.credit } else { &entry.debit };
            let split = company.account(other).map_or("", |a| a.name.as_str());
            lines.push(row(vec![
                json!({"value": entry.date}),
                json!({"value": entry.word, "id": entry.id}),
                json!({"value": entry.doc}),
                json!({"value": entry.name, "id": ""}),
                json!({"value": entry.memo}),
                json!({"value": split, "id": other}),
                json!({"value": format!("{amount:.2}")}),
                json!({"value": format!("{balance:.2}")}),
            ]));
        }
        let mut summary: Vec<_> = (0..LEDGER.len()).map(|_| json!({"value": ""})).collect();
        summary.splice(..1, [json!({"value": format!("Summe {}", account.name)})]);
        summary.splice(LEDGER.len() - 2..LEDGER.len() - 1, [json!({"value": format!("{sum:.2}")})]);
        let header = cells(json!({"value": account.name, "id": account.id}), &vec![String::new(); LEDGER.len() - 1]);
        let own = section(Some(header), lines, Some(json!({"ColData": kept(summary)})), "");
        rows.push(match account.parent.as_deref().and_then(|p| company.account(p)) {
            // Below the parent, whose header names no id here.
            Some(parent) => section(Some(cells(label(&parent.name), &[])), vec![own], None, ""),
            None => own,
        });
    }
    let empty = rows.is_empty();
    let columns = columns.into_iter().filter(|(_, asked)| *asked).map(|(column, _)| column).collect();
    Report { columns, rows, empty }
}
