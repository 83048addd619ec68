//! JSON, schema `ledgerward/statement/1` (`decisions` 29): ids and money are strings, nothing is changed or derived.

use ledgerward_contract::{Cell, Column, Register, RegisterLine, RegisterSource, ReportTable, Row, RowKind};
use serde_json::{Value, json};

use super::{
    Format, RenderError,
    model::{Body, Head, Statement, basis_slug, length_slug},
    money,
};

pub fn render(statement: &Statement) -> Result<Vec<u8>, RenderError> {
    let Head {
        firm,
        letterhead: _,
        client,
        organisation,
        source,
        kind,
        account,
        account_kind: _,
        period,
        period_label,
        basis,
        currency,
        first_read: _,
        version,
        change,
        notes,
    } = &statement.head;
    let unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let mut value = json!({
        "schema": "ledgerward/statement/1",
        "firm": firm,
        "client": client,
        "organisation": organisation,
        "source": source,
        "kind": kind.slug(),
        "title": statement.title(),
        "period": {
            "label": period_label,
            "start": period.start.to_string(),
            "end": period.end.to_string(),
            "length": length_slug(period.length),
        },
        "basis": basis_slug(*basis),
        "currency": unknown(currency),
        "first_read": statement.first_read_text(),
        "version": version,
        "notes": notes,
    });
    let body = match &statement.body {
        Body::Table(table) => ("table", table_json(table)),
        Body::Register(register) => ("register", register_json(register)),
    };
    if let Value::Object(map) = &mut value {
        map.insert(body.0.to_owned(), body.1);
        for (name, text) in [("account", account.clone()), ("banner", statement.banner()), ("change", change.clone())] {
            if let Some(text) = text {
                map.insert(name.to_owned(), text.into());
            }
        }
    }
    let mut bytes = serde_json::to_vec_pretty(&value).map_err(|e| RenderError::failed(Format::Json, e))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn table_json(table: &ReportTable) -> Value {
    let ReportTable { title, organisation: _, currency: _, derived: _, rounded, columns, rows } = table;
    let columns: Vec<Value> =
        columns.iter().map(|Column { label, money }| json!({"label": label, "money": money})).collect();
    let rows: Vec<Value> = rows
        .iter()
        .map(|Row { kind, depth, account, cells }| {
            let cells: Vec<Value> = cells
                .iter()
                .map(|cell| match cell {
                    Cell::Empty => json!({}),
                    Cell::Text(text) => json!({"text": text}),
                    Cell::Money(amount) => json!({"money": money::plain(*amount)}),
                })
                .collect();
            let mut row = json!({"kind": row_slug(*kind), "depth": depth, "cells": cells});
            if let (Some(account), Value::Object(map)) = (account, &mut row) {
                map.insert("account_id".to_owned(), account.as_str().into());
            }
            row
        })
        .collect();
    let mut value = json!({"title": title, "columns": columns, "rows": rows});
    if let (true, Value::Object(map)) = (rounded, &mut value) {
        map.insert("rounded".to_owned(), true.into());
    }
    value
}

pub(super) const fn row_slug(kind: RowKind) -> &'static str {
    match kind {
        RowKind::Heading => "heading",
        RowKind::Line => "line",
        RowKind::Subtotal => "subtotal",
        RowKind::Total => "total",
    }
}

fn register_json(register: &Register) -> Value {
    let Register {
        account,
        account_name,
        account_number,
        organisation: _,
        currency: _,
        source,
        opening,
        closing,
        closing_on,
        lines,
        notes,
    } = register;
    let amount = |given: &Option<rust_decimal::Decimal>| given.map_or_else(|| "unknown".to_owned(), money::plain);
    let lines: Vec<Value> = lines
        .iter()
        .map(|entry| {
            let RegisterLine {
                id,
                date,
                kind,
                payee,
                reference,
                description,
                amount: moved,
                balance,
                reconciled,
                has_documents,
            } = entry;
            json!({
                "id": id,
                "date": date.to_string(),
                "kind": kind,
                "payee": payee,
                "reference": reference,
                "description": description,
                "amount": money::plain(*moved),
                "balance": amount(balance),
                "reconciled": reconciled.map_or(json!("unknown"), Value::Bool),
                "has_documents": has_documents,
            })
        })
        .collect();
    let (record_of, imported) = match source {
        RegisterSource::Books => ("books", None),
        RegisterSource::Bank { imported } => ("bank", Some(imported)),
    };
    let mut value = json!({
        "account_id": account.as_str(),
        "account_name": account_name,
        "account_number": account_number.as_deref().unwrap_or("unknown"),
        "record_of": record_of,
        "imported": imported.map_or("unknown", String::as_str),
        "opening": amount(opening),
        "closing": amount(closing),
        "lines": lines,
        "notes": notes,
    });
    if let (Some(day), Value::Object(map)) = (closing_on, &mut value) {
        map.insert("closing_on".to_owned(), day.to_string().into());
    }
    value
}
