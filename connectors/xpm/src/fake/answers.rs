//! How Practice Manager, and the gateway before it, wrap what they say.

use ledgerward_kit::fake::FakeResponse;
use serde_json::json;

use super::id_of;

/// Text as it stands between two tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// An element with text. Without text it is an empty pair of tags, as recorded.
pub fn leaf(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escaped(text))
}

/// An element with elements in it; without any, as recorded, the short form with a blank.
pub fn node(name: &str, inner: &str) -> String {
    if inner.is_empty() { format!("<{name} />") } else { format!("<{name}>{inner}</{name}>") }
}

pub fn yes_no(name: &str, yes: bool) -> String {
    leaf(name, if yes { "Yes" } else { "No" })
}

pub fn ok(method: &str, inner: &str) -> FakeResponse {
    xml(format!("<Response api-method=\"{method}\"><Status>OK</Status>{inner}</Response>"))
}

/// A refusal of the business: HTTP 200 all the same.
pub fn error(method: &str, why: &str) -> FakeResponse {
    xml(format!("<Response api-method=\"{method}\"><Status>ERROR</Status>{}</Response>", leaf("ErrorDescription", why)))
}

fn xml(body: String) -> FakeResponse {
    FakeResponse::new(200).header("content-type", "text/xml; charset=utf-8").body(body)
}

/// The gateway's refusal is JSON, whatever was asked for.
pub fn gateway(status: u16, title: &str, detail: &str) -> FakeResponse {
    let instance = id_of(&["instance", title, detail]);
    let body = json!({"Type": null, "Title": title, "Status": status, "Detail": detail, "Instance": instance,
        "Extensions": {}});
    FakeResponse::new(status).header("content-type", "application/json").body(body.to_string())
}

pub fn unauthorised(detail: &str) -> FakeResponse {
    gateway(401, "Unauthorized", detail).header("www-authenticate", "Bearer error=invalid_token")
}

pub fn html() -> FakeResponse {
    FakeResponse::new(200)
        .header("content-type", "text/html; charset=utf-8")
        .body("<!DOCTYPE html><title>Login | Xero</title><p>Please log in.")
}
