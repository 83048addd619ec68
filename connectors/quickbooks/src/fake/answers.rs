//! How QuickBooks wraps what it says, good and bad.

use jiff::{Timestamp, tz::TimeZone};
use ledgerward_kit::fake::FakeResponse;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::books::Company;

/// With the offset of Intuit's own zone, as recorded.
pub fn iso(at: Timestamp) -> String {
    at.to_zoned(TimeZone::fixed(jiff::tz::offset(-7))).strftime("%Y-%m-%dT%H:%M:%S.%3f%:z").to_string()
}

/// One entity under its name.
pub fn entity(now: Timestamp, name: &str, row: Value) -> FakeResponse {
    let mut body = Map::new();
    body.insert(name.to_owned(), row);
    body.insert("time".to_owned(), json!(iso(now)));
    ok(&Value::Object(body))
}

pub fn ok(body: &Value) -> FakeResponse {
    FakeResponse::json(200, body)
}

/// The gateway's refusal, in the shape of recorded traffic: small letters, time as a number.
pub fn gateway(status: u16, what: &str, code: &str, kind: &str) -> FakeResponse {
    let message = format!("message={what}; errorCode=00{code}; statusCode={status}");
    FakeResponse::json(
        status,
        &json!({"warnings": null, "intuitObject": null, "fault": {"error": [{"message": message,
            "detail": "Token expired: AB11sandboxtoken", "code": code, "element": null}], "type": kind},
            "report": null, "queryResponse": null, "batchItemResponse": [], "attachableResponse": [],
            "syncErrorResponse": null, "requestId": null, "time": 1_601_391_072_830_u64, "status": null,
            "cdcresponse": []}),
    )
}

pub fn unauthorised() -> FakeResponse {
    gateway(401, "AuthenticationFailed", "3200", "AUTHENTICATION")
        .header("www-authenticate", "Bearer realm=\"Intuit\", error=\"invalid_token\"")
}

/// 429, or 403 as older gateways have it.
pub fn throttled(status: u16) -> FakeResponse {
    gateway(status, "ThrottleExceeded", "3001", "THROTTLE")
}

/// The service's refusal: capitals, time as text.
pub fn service(status: u16, code: &str, kind: &str, message: &str) -> FakeResponse {
    FakeResponse::json(
        status,
        &json!({"Fault": {"Error": [{"Message": message, "Detail": format!("{message} : sandbox"), "code": code}],
            "type": kind}, "time": "2026-09-29T06:52:56.527-07:00"}),
    )
}

pub fn not_found() -> FakeResponse {
    service(400, "610", "ValidationFault", "Object Not Found")
}

pub fn bad_query(why: &str) -> FakeResponse {
    service(400, "4001", "ValidationFault", &format!("QueryValidationError: {why}"))
}

pub fn xml() -> FakeResponse {
    FakeResponse::new(200).header("content-type", "application/xml;charset=utf-8").body(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?><IntuitResponse \
         xmlns=\"http://schema.intuit.com/finance/v3\" time=\"2026-09-29T06:52:56.527-07:00\"/>",
    )
}

pub fn entitlements(company: &Company) -> FakeResponse {
    let (users, accountants) = (company.users, company.accountants);
    FakeResponse::new(200).header("content-type", "application/xml;charset=utf-8").body(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><EntitlementsResponse><QboCompany>true</QboCompany>\
         <PlanName>QuickBooks Online Plus</PlanName><MaxUsers>5</MaxUsers><CurrentUsers>{}</CurrentUsers><Thresholds>\
         <Threshold><Name>USERS</Name><MaxCount>5</MaxCount><CurrentCount>{users}</CurrentCount></Threshold>\
         <Threshold><Name>ACCOUTANTS</Name><MaxCount>2</MaxCount><CurrentCount>{accountants}</CurrentCount></Threshold>\
         </Thresholds><Entitlement id=\"52\"><name>Accountant Menu</name><term>On</term></Entitlement>\
         </EntitlementsResponse>",
        users + accountants
    ))
}

/// The document store's refusal.
pub fn s3(status: u16, code: &str) -> FakeResponse {
    FakeResponse::new(status).header("content-type", "application/xml").body(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>sandbox</Message></Error>"
    ))
}

/// A stable word from words.
pub fn hash(parts: &[&str]) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(parts.join("\u{1f}").as_bytes());
    digest.iter().take(20).fold(String::new(), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}
