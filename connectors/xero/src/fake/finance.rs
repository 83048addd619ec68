//! The Finance API: what the bank sent, payments and transfers included.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Answer,
    answers::{self, number},
    books::{Entry, Posting},
    endpoints::{day, flag},
    id_of, only,
    world::Org,
};

/// `BankStatementsPlus`: the bank's own lines of one account.
pub fn bank_statements(org: &Org, now: Timestamp, request: &FakeRequest) -> Answer {
    only(request, &["BankAccountID", "FromDate", "ToDate", "SummaryOnly"])?;
    let invalid = |detail: &str| answers::problem(400, "invalid-request", "InvalidRequest", detail);
    let id = request.query("BankAccountID").and_then(|t| Uuid::parse_str(t).ok());
    let id = id.ok_or_else(|| invalid("AccountId was not supplied"))?;
    let date = |name| day(request, name).ok().flatten().ok_or_else(|| invalid(&format!("{name} was not supplied")));
    let (from, to) = (date("FromDate")?, date("ToDate")?);
    let today = now.to_zoned(TimeZone::UTC).date();
    if to > today || from > to || from.until(to).is_ok_and(|s| s.get_days() > 366) {
        return Err(invalid("the dates are not valid"));
    }
    flag(request, "SummaryOnly")?;
    let found = org.books.accounts.iter().enumerate().find(|(_, a)| a.id == id && a.kind == "BANK");
    let Some((number_of, account)) = found else {
        return Err(answers::problem(404, "bank-account-not-found", "NotFound", "the bank account was not found"));
    };
    let statements = account.feed.as_ref().map(|feed| imports(org, number_of, feed, from, to, today));
    Ok(FakeResponse::json(
        200,
        &json!({"bankAccountId": account.id, "bankAccountName": account.name,
        "bankAccountCurrencyCode": org.currency, "statements": statements.unwrap_or_default()}),
    ))
}

/// One import a month, with the balances that the bank supplied or with zeros.
fn imports(org: &Org, bank: usize, feed: &str, from: Date, to: Date, today: Date) -> Vec<Value> {
    let Some(account) = org.books.accounts.get(bank) else { return Vec::new() };
    let movements = org.books.movements(bank);
    let mut out = Vec::new();
    let mut start = from.first_of_month();
    while start <= to {
        let end = start.last_of_month().min(today);
        let before: Decimal = movements.iter().filter(|(d, ..)| *d < start).map(|(_, a, _)| *a).sum();
        let within: Vec<_> = movements.iter().filter(|(d, ..)| (start..=end).contains(d)).collect();
        let after = before + within.iter().map(|(_, a, _)| *a).sum::<Decimal>();
        let mut lines: Vec<_> = within.iter().map(|(d, a, e)| bank_line(*d, *a, e, "", (false, false))).collect();
        if account.feed_noise
            && let Some((d, a, e)) = within.first()
        {
            lines.push(bank_line(*d, *a, e, "duplicate", (true, false)));
            lines.push(bank_line(*d, *a, e, "deleted", (false, true)));
        }
        let supplied = |d: Decimal| if account.feed_balances { number(d) } else { json!(0) };
        out.push(json!({
            "statementId": id_of(&[&account.id.to_string(), "statement", &start.to_string()]),
            "startDate": start, "endDate": end, "importedDateTimeUtc": format!("{end}T20:00:00Z"),
            "importSource": format!("STMTIMPORTSRC/{feed}"),
            "startBalance": supplied(before), "endBalance": supplied(after),
            "indicativeStartBalance": number(before), "indicativeEndBalance": number(after), "statementLines": lines,
        }));
        let Ok(next) = start.last_of_month().tomorrow() else { break };
        start = next;
    }
    out
}

/// `(duplicate, deleted)` as Xero marks them.
fn bank_line(date: Date, amount: Decimal, entry: &Entry, salt: &str, (duplicate, deleted): (bool, bool)) -> Value {
    let (payee, reference) = match &entry.posting {
        Posting::Bank { contact, reference, .. } => (contact.as_str(), reference.as_str()),
        Posting::Journal { .. } => (entry.text.as_str(), ""),
    };
    json!({
        "statementLineId": id_of(&[&entry.id.to_string(), "bank", salt, &amount.to_string()]),
        "postedDate": date, "transactionDate": date, "payee": payee, "reference": reference, "notes": entry.text,
        "chequeNo": "", "amount": number(amount.abs()), "type": if amount < Decimal::ZERO { "Debit" } else { "Credit" },
        "isReconciled": true, "isDuplicate": duplicate, "isDeleted": deleted, "payments": [], "bankTransactions": [],
    })
}
