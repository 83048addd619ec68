//! The bank's own lines, from the Finance API.

use ledgerward_contract::{
    AccountId, Date, Decimal, Error, Period, Register, RegisterLine, RegisterSource, Result, Timestamp,
};
use ledgerward_kit::from_json;
use serde::Deserialize;
use uuid::Uuid;

use super::{Money, same_id};

const OP: &str = "bank_statement.get";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statements {
    bank_account_id: Uuid,
    bank_account_name: Option<String>,
    bank_account_currency_code: Option<String>,
    statements: Vec<Statement>,
}

/// One import: a day of a feed, or a file that somebody uploaded.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    start_date: Date,
    end_date: Date,
    imported_date_time_utc: Option<Timestamp>,
    import_source: Option<String>,
    start_balance: Option<Money>,
    end_balance: Option<Money>,
    indicative_end_balance: Option<Money>,
    #[serde(default)]
    statement_lines: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    statement_line_id: Uuid,
    posted_date: Date,
    payee: Option<String>,
    reference: Option<String>,
    notes: Option<String>,
    cheque_no: Option<String>,
    amount: Money,
    r#type: String,
    is_reconciled: Option<bool>,
    is_duplicate: bool,
    is_deleted: bool,
}

/// `GET /BankStatementsPlus/statements`: the lines posted in the period, without those that are marked as deleted or as
/// duplicates. A balance is given only where the bank supplied it: Xero writes 0 where it did not.
pub fn bank_statement(account: &AccountId, number: Option<String>, period: &Period, body: &[u8]) -> Result<Register> {
    let mut answer: Statements = from_json(OP, body)?;
    if !same_id(&answer.bank_account_id.to_string(), account.as_str()) {
        return Err(Error::contract(OP, "Xero answered with another account than the one asked for"));
    }
    answer.statements.sort_by_key(|s| (s.end_date, s.start_date, s.imported_date_time_utc));
    let mut sources: Vec<_> = answer.statements.iter().filter_map(|s| s.import_source.as_deref()).map(word).collect();
    sources.sort();
    sources.dedup();
    let mut notes = Vec::new();
    let (opening, closing, closing_on) = balances(&answer.statements, period, &mut notes);
    let mut lines = Vec::new();
    let mut dropped = 0;
    for line in answer.statements.into_iter().flat_map(|s| s.statement_lines) {
        if !(period.start..=period.end).contains(&line.posted_date) {
            continue;
        }
        if line.is_deleted || line.is_duplicate {
            dropped += 1;
            continue;
        }
        lines.push(register_line(line)?);
    }
    if dropped > 0 {
        notes.push(format!("Left out: {dropped} lines that Xero marks as deleted or as duplicates."));
    }
    lines.sort_by(|a, b| (a.date, &a.id).cmp(&(b.date, &b.id)));
    Ok(Register {
        account: account.clone(),
        account_name: answer.bank_account_name.unwrap_or_default(),
        account_number: number,
        organisation: None,
        currency: answer.bank_account_currency_code,
        source: RegisterSource::Bank { imported: sources.join(", ") },
        opening,
        closing,
        closing_on,
        lines,
        notes,
    })
}

/// The balances that the bank supplied and that are those of the period's own ends: a statement that began before or ended
/// after it tells nothing about them. The day is that of the closing balance, where it is not the period's last.
fn balances(
    statements: &[Statement],
    period: &Period,
    notes: &mut Vec<String>,
) -> (Option<Decimal>, Option<Decimal>, Option<Date>) {
    let supplied = |m: Option<Money>| m.map(|m| m.0).filter(|d| !d.is_zero());
    let opening = statements.iter().min_by_key(|s| s.start_date).filter(|s| s.start_date >= period.start);
    let last = statements.last().filter(|s| s.end_date <= period.end);
    let closing = last.and_then(|s| supplied(s.end_balance));
    if let Some(closing) = closing
        && let Some(running) = last.and_then(|s| supplied(s.indicative_end_balance))
        && running != closing
    {
        notes.push(format!("The bank's closing balance {closing} differs from Xero's running figure {running}."));
    }
    let closing_on = closing.and(last).map(|s| s.end_date).filter(|end| *end < period.end);
    if let Some(end) = closing_on {
        notes.push(format!("The closing balance is that of {end}, the last day the bank sent."));
    }
    if closing.is_none() {
        notes.push("The bank supplied no closing balance for this period.".to_owned());
    }
    (opening.and_then(|s| supplied(s.start_balance)), closing, closing_on)
}

/// `STMTIMPORTSRC/CBAFEED` as `CBAFEED`: Xero's own word for how the lines came in.
fn word(source: &str) -> String {
    source.rsplit('/').next().unwrap_or(source).to_owned()
}

fn register_line(line: Line) -> Result<RegisterLine> {
    // Whether a debit's amount is already negative is not documented: the word decides, the sign does not.
    let amount = match line.r#type.to_ascii_lowercase().as_str() {
        "credit" => line.amount.0.abs(),
        "debit" => -line.amount.0.abs(),
        _ => return Err(Error::contract(OP, "a bank line is neither credit nor debit")),
    };
    let cheque = line.cheque_no.filter(|c| !c.is_empty()).map(|c| format!("Cheque {c}"));
    let words: Vec<_> = [line.notes.filter(|n| !n.is_empty()), cheque].into_iter().flatten().collect();
    Ok(RegisterLine {
        id: line.statement_line_id.to_string(),
        date: line.posted_date,
        kind: line.r#type,
        payee: line.payee.unwrap_or_default(),
        reference: line.reference.unwrap_or_default(),
        description: words.join("; "),
        amount,
        balance: None,
        reconciled: line.is_reconciled,
        has_documents: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closing_balance_says_of_which_day_it_is() {
        let account = AccountId("c4d9a7f2-0000-4000-8000-000000000035".to_owned());
        let day = |d: i8| Date::constant(2026, 10, d);
        let period = Period { start: day(1), end: day(31), length: ledgerward_contract::PeriodLength::Month };
        let closing = |end: Date, balance: &str| {
            let body = serde_json::json!({"bankAccountId": account.as_str(), "statements": [
                {"startDate": "2026-10-01", "endDate": end.to_string(), "endBalance": balance.parse::<f64>().unwrap()}]});
            let register = bank_statement(&account, None, &period, body.to_string().as_bytes()).unwrap();
            (register.closing.map(|c| c.to_string()), register.closing_on)
        };
        assert_eq!(closing(day(31), "12.5"), (Some("12.5".to_owned()), None));
        assert_eq!(closing(day(28), "12.5"), (Some("12.5".to_owned()), Some(day(28))));
        assert_eq!(closing(day(28), "0"), (None, None));
    }
}
