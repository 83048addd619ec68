//! Answers against the schemas that are published for them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::Value;

static PUBLISHED: LazyLock<BTreeMap<String, Value>> =
    LazyLock::new(|| ledgerward::api::shape::published().into_iter().collect());

/// An answer that says what it is must be just that.
#[track_caller]
pub fn check(answer: &Value) {
    let Some(name) = answer.get("schema").and_then(Value::as_str) else { return };
    let Some(schema) = name.strip_prefix("ledgerward/").and_then(|n| PUBLISHED.get(n)) else {
        panic!("{name} is published nowhere: {answer}");
    };
    if let Err(why) = fits(schema, schema, answer, "answer") {
        panic!("{name}: {why}: {answer}");
    }
}

/// What of a schema is used here. `Err` says what does not fit, and where.
pub fn fits(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let found = root.pointer(name.trim_start_matches('#')).ok_or_else(|| format!("{at}: there is no {name}"))?;
        return fits(root, found, value, at);
    }
    if let Some(wanted) = schema.get("const") {
        return if wanted == value { Ok(()) } else { Err(format!("{at}: {value} is not {wanted}")) };
    }
    if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
        let tries: Vec<_> = any.iter().map(|s| fits(root, s, value, at)).collect();
        let wrong: Vec<String> = tries.iter().filter_map(|t| t.clone().err()).collect();
        return if wrong.len() < any.len() { Ok(()) } else { Err(wrong.join(" / ")) };
    }
    let is = match schema.get("type").and_then(Value::as_str) {
        None => return Ok(()),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some(other) => panic!("{at}: {other} is no type that is used here"),
    };
    if !is {
        return Err(format!("{at}: {value} is no {}", schema["type"]));
    }
    for (n, one) in value.as_array().into_iter().flatten().enumerate() {
        fits(root, &schema["items"], one, &format!("{at}[{n}]"))?;
    }
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            return Err(format!("{at}: {name} is missing"));
        }
    }
    for (name, one) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        match (schema.pointer(&format!("/properties/{name}")), &schema["additionalProperties"]) {
            (Some(schema), _) => fits(root, schema, one, &at)?,
            (None, Value::Bool(true)) => {}
            (None, Value::Object(_)) => fits(root, &schema["additionalProperties"], one, &at)?,
            (None, _) => return Err(format!("{at} is not described")),
        }
    }
    Ok(())
}
