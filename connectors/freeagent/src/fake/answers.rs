//! How FreeAgent wraps what it says, good and bad.

use ledgerward_kit::fake::FakeResponse;
use serde_json::json;

/// A refusal in the first of the two documented shapes.
pub fn error(status: u16, message: &str) -> FakeResponse {
    FakeResponse::json(status, &json!({"errors": {"error": {"message": message}}}))
}

/// A refusal in the second.
pub fn refused(status: u16, message: &str) -> FakeResponse {
    FakeResponse::json(status, &json!({"errors": [{"message": message}]}))
}

pub fn unauthorised() -> FakeResponse {
    error(401, "Access token not recognised").header("www-authenticate", "Bearer error=\"invalid_token\"")
}

pub fn not_found() -> FakeResponse {
    error(404, "Resource not found")
}

pub fn xml() -> FakeResponse {
    FakeResponse::new(200)
        .header("content-type", "application/xml; charset=utf-8")
        .body("<?xml version=\"1.0\" encoding=\"UTF-8\"?><freeagent></freeagent>")
}

pub fn html() -> FakeResponse {
    FakeResponse::new(200)
        .header("content-type", "text/html; charset=utf-8")
        .body("<!DOCTYPE html><title>FreeAgent</title><p>Please log in.")
}
