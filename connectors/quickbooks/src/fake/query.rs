//! The query language, as far as it is documented with examples. Anything else does not parse.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Answer, answers, books::Company, documents};

const MAX: usize = 1_000;

struct Query {
    columns: Vec<String>,
    entity: String,
    terms: Vec<(String, Vec<String>)>,
    order: Option<String>,
    start: usize,
    max: usize,
}

/// Words, quoted texts, and the marks between them.
fn tokens(text: &str) -> Option<Vec<String>> {
    let (mut out, mut chars) = (Vec::new(), text.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '\'' => {
                let mut quoted = "'".to_owned();
                loop {
                    match chars.next()? {
                        '\\' => quoted.push(chars.next()?),
                        '\'' => break,
                        c => quoted.push(c),
                    }
                }
                out.push(quoted);
            }
            ',' | '(' | ')' | '=' | '*' => out.push(c.to_string()),
            c => {
                let mut word = c.to_string();
                while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-')) {
                    word.push(c);
                }
                out.push(word);
            }
        }
    }
    Some(out)
}

impl Query {
    fn read(text: &str) -> Option<Self> {
        let tokens = tokens(text)?;
        let mut rest = tokens.iter().map(String::as_str).peekable();
        let is = |word: &str, keyword: &str| word.eq_ignore_ascii_case(keyword);
        if !is(rest.next()?, "select") {
            return None;
        }
        let mut columns = Vec::new();
        loop {
            let word = rest.next()?;
            if is(word, "from") {
                break;
            }
            if word != "," {
                columns.push(word.to_owned());
            }
        }
        let entity = rest.next()?.to_owned();
        let mut query = Self { columns, entity, terms: Vec::new(), order: None, start: 1, max: 100 };
        while let Some(word) = rest.next() {
            match word.to_ascii_lowercase().as_str() {
                "where" | "and" => {
                    let field = rest.next()?.to_owned();
                    let values = match rest.next()? {
                        "=" => vec![value(rest.next()?)?],
                        word if is(word, "in") => {
                            (rest.next()? == "(").then_some(())?;
                            let mut values = Vec::new();
                            loop {
                                values.push(value(rest.next()?)?);
                                match rest.next()? {
                                    "," => {}
                                    ")" => break,
                                    _ => return None,
                                }
                            }
                            values
                        }
                        _ => return None,
                    };
                    query.terms.push((field, values));
                }
                "orderby" => query.order = Some(rest.next()?.to_owned()),
                "startposition" => query.start = rest.next()?.parse().ok().filter(|n| *n >= 1)?,
                "maxresults" => query.max = rest.next()?.parse().ok().filter(|n| (1..=MAX).contains(n))?,
                _ => return None,
            }
        }
        Some(query)
    }
}

/// A quoted text, or `true` and `false`.
fn value(token: &str) -> Option<String> {
    match token.strip_prefix('\'') {
        Some(text) => Some(text.to_owned()),
        None => matches!(token, "true" | "false").then(|| token.to_owned()),
    }
}

fn rows(company: &Company, base: &str, now: Timestamp, entity: &str) -> Option<Vec<Value>> {
    const TRANSACTIONS: &[&str] = &[
        "Bill",
        "BillPayment",
        "CreditMemo",
        "Deposit",
        "Invoice",
        "JournalEntry",
        "Payment",
        "Purchase",
        "RefundReceipt",
        "SalesReceipt",
        "Transfer",
        "VendorCredit",
    ];
    Some(match entity {
        "Account" => company.accounts.iter().map(|a| company.account_row(a)).collect(),
        "Attachable" => company.papers.iter().map(|p| documents::row(company, p, base, now)).collect(),
        known if TRANSACTIONS.contains(&known) => {
            let row = |e: &super::books::Entry| {
                json!({"Id": e.id, "TxnDate": e.date, "DocNumber": e.doc, "TotalAmt": super::books::number(e.amount),
                    "PrivateNote": e.memo, "domain": "QBO", "sparse": false, "SyncToken": "0"})
            };
            company.entries.iter().filter(|e| e.entity == known).map(row).collect()
        }
        _ => return None,
    })
}

fn field(row: &Value, name: &str) -> Option<String> {
    match row.get(name)? {
        Value::String(s) => Some(s.clone()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

pub fn answer(company: &Company, base: &str, now: Timestamp, text: &str) -> Answer {
    let query = Query::read(text).ok_or_else(|| answers::bad_query("Encountered a parsing error"))?;
    let mut all = rows(company, base, now, &query.entity)
        .ok_or_else(|| answers::bad_query(&format!("invalid context declaration: {}", query.entity)))?;
    let known = |name: &str| matches!(name, "Id" | "AccountType" | "Active" | "TxnDate");
    if !query.terms.iter().all(|(name, _)| known(name)) || query.order.as_deref().is_some_and(|o| !known(o)) {
        return Err(answers::bad_query("property not found"));
    }
    // What is closed is left out unless it is asked for.
    let asks_active = query.terms.iter().any(|(name, _)| name == "Active");
    all.retain(|row| {
        let open = asks_active || row.get("Active").and_then(Value::as_bool).unwrap_or(true);
        open && query.terms.iter().all(|(name, values)| field(row, name).is_some_and(|v| values.contains(&v)))
    });
    let id = |row: &Value| field(row, "Id").and_then(|id| id.parse::<u64>().ok()).unwrap_or_default();
    match query.order.as_deref() {
        Some("Id") => all.sort_by_key(id),
        Some("TxnDate") => all.sort_by_key(|row| field(row, "TxnDate")),
        // Without an order there is none: newest first is as good as any.
        _ => all.reverse(),
    }
    let mut response = Map::new();
    if query.columns == ["count", "(", "*", ")"] {
        response.insert("totalCount".to_owned(), json!(all.len()));
    } else {
        let page: Vec<Value> = all.into_iter().skip(query.start - 1).take(query.max).collect();
        let whole = query.columns == ["*"];
        let cut = |row: Value| match row {
            Value::Object(map) if !whole => {
                let keep = |k: &String| query.columns.contains(k) || k == "domain" || k == "sparse";
                Value::Object(map.into_iter().filter(|(k, _)| keep(k)).collect())
            }
            other => other,
        };
        let count = page.len();
        if count > 0 {
            response.insert(query.entity.clone(), page.into_iter().map(cut).collect());
            response.insert("startPosition".to_owned(), json!(query.start));
            response.insert("maxResults".to_owned(), json!(count));
        }
    }
    Ok(answers::ok(&json!({"QueryResponse": response, "time": answers::iso(now)})))
}
