//! How Xero wraps what it says, good and bad.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use ledgerward_kit::fake::FakeResponse;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::id_of;

/// `/Date(…+0000)/`.
pub fn ms(at: Timestamp) -> String {
    format!("/Date({}+0000)/", at.as_millisecond())
}

pub fn ms_day(day: Date) -> String {
    day.to_zoned(TimeZone::UTC).map_or_else(|_| "/Date(-62135596800000)/".to_owned(), |z| ms(z.timestamp()))
}

/// Naive ISO with seven digits, in UTC, as the Identity and Files APIs write it.
pub fn iso(at: Timestamp) -> String {
    format!("{}0", at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.%6f"))
}

/// Money as a JSON number.
pub fn number(amount: Decimal) -> Value {
    serde_json::from_str(&amount.normalize().to_string()).unwrap_or(Value::Null)
}

/// The Accounting API's envelope around one plural.
pub fn envelope(now: Timestamp, plural: &str, items: Value) -> Value {
    json!({
        "Id": id_of(&["answer", &now.to_string(), plural]), "Status": "OK", "ProviderName": "Ledgerward",
        "DateTimeUTC": ms(now), plural: items,
    })
}

/// The gateway's refusal, in the shape of recorded traffic.
pub fn gateway(status: u16, title: &str, detail: &str) -> FakeResponse {
    FakeResponse::json(
        status,
        &json!({"Type": null, "Title": title, "Status": status, "Detail": detail,
            "Instance": id_of(&["instance", title, detail]), "Extensions": {}}),
    )
}

/// A recorded 401 has no content type.
pub fn unauthorised(detail: &str) -> FakeResponse {
    let mut answer = gateway(401, "Unauthorized", detail);
    answer.headers.clear();
    answer.header("www-authenticate", "Bearer error=invalid_token")
}

pub fn validation(message: &str) -> FakeResponse {
    FakeResponse::json(
        400,
        &json!({"ErrorNumber": 10, "Type": "ValidationException", "Message": "A validation exception occurred",
            "Elements": [{"ValidationErrors": [{"Message": message}]}]}),
    )
}

/// The Finance API's refusal.
pub fn problem(status: u16, kind: &str, title: &str, detail: &str) -> FakeResponse {
    FakeResponse::json(status, &json!({"type": kind, "title": title, "status": status, "detail": detail}))
}

pub fn not_found() -> FakeResponse {
    FakeResponse::new(404).body("The resource you're looking for cannot be found")
}

pub fn xml() -> FakeResponse {
    FakeResponse::new(200)
        .header("content-type", "text/xml; charset=utf-8")
        .body("<Response xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><Status>OK</Status></Response>")
}

pub fn html() -> FakeResponse {
    FakeResponse::new(200)
        .header("content-type", "text/html; charset=utf-8")
        .body("<!DOCTYPE html><title>Login | Xero</title><p>Please log in.")
}
