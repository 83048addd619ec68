//! Karbon's own OpenAPI file against what we ask, what the fake answers, and what we read.

use ledgerward_karbon::{
    api::Kind,
    map::{self, Brief, Firm, Reading},
};
use ledgerward_kit::fake::{FakeRequest, Moment};
use ledgerward_kit::testing::now;
use serde_json::{Value, json};

use crate::common::sample;

/// `None`, and a word about it, where the reference files are not there.
fn specification() -> Option<Value> {
    let Ok(folder) = std::env::var("LEDGERWARD_REFERENCE") else {
        println!("skipped: LEDGERWARD_REFERENCE is not set");
        return None;
    };
    let text = std::fs::read_to_string(format!("{folder}/specs/karbon.json")).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}

/// What a `$ref` stands for.
fn resolve<'a>(spec: &'a Value, at: &'a Value) -> &'a Value {
    match at.get("$ref").and_then(Value::as_str) {
        Some(path) => resolve(spec, spec.pointer(path.strip_prefix('#').unwrap()).unwrap()),
        None => at,
    }
}

fn is_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the specification has a type {other}"),
    }
}

/// All that is wrong with a value by a schema: types, required fields, enumerations, items.
fn wrong(spec: &Value, schema: &Value, value: &Value, at: &str, out: &mut Vec<String>) {
    let schema = resolve(spec, schema);
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        wrong(spec, part, value, at, out);
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|t| is_type(t, value)) {
        out.push(format!("{at}: {value} is not {types:?}"));
        return;
    }
    if schema.get("enum").and_then(Value::as_array).is_some_and(|e| !e.contains(value)) {
        out.push(format!("{at}: {value} is none of the values"));
    }
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            out.push(format!("{at}.{name} is missing"));
        }
    }
    for (name, part) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if let Some(value) = value.get(name) {
            wrong(spec, part, value, &format!("{at}.{name}"), out);
        }
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        values.iter().for_each(|v| wrong(spec, items, v, &format!("{at}[]"), out));
    }
}

/// The path of the specification that a request's path fits, and its description.
fn operation<'a>(spec: &'a Value, request: &FakeRequest) -> (&'a str, &'a Value) {
    let parts: Vec<_> = request.path.split('/').collect();
    let fits = |template: &str| {
        let wanted: Vec<_> = template.split('/').collect();
        wanted.len() == parts.len() && wanted.iter().zip(&parts).all(|(w, p)| w == p || w.starts_with('{'))
    };
    let (template, item) =
        spec["paths"].as_object().unwrap().iter().find(|(t, _)| fits(t)).unwrap_or_else(|| panic!("{}", request.path));
    (template, &item[request.method.as_str().to_ascii_lowercase()])
}

#[tokio::test(start_paused = true)]
async fn every_request_and_every_answer_is_in_the_specification() {
    let Some(spec) = specification() else { return };
    let w = sample(json!({}));
    w.control("set_app", json!({"page_size": 5}));
    w.clients().await.unwrap();
    let sent = w.wire.inner.requests();
    let mut templates = std::collections::BTreeSet::new();
    for request in &sent {
        let (template, operation) = operation(&spec, request);
        templates.insert(template);
        let declared: Vec<_> = operation["parameters"].as_array().into_iter().flatten().collect();
        for (name, value) in &request.query {
            let known =
                declared.iter().map(|p| resolve(&spec, p)).find(|p| p["name"] == name.as_str() && p["in"] == "query");
            let known = known.unwrap_or_else(|| panic!("{template} has no parameter {name}"));
            // The specification says that `$skip` is at most 100, and its own links say otherwise.
            if name != "$skip" {
                let mut out = Vec::new();
                wrong(&spec, &known["schema"], &json!(value), name, &mut out);
                assert_eq!(out, [""; 0], "{template}");
            }
        }
        for scheme in ["authorization", "accesskey"] {
            assert!(request.header(scheme).is_some(), "{template} without {scheme}");
        }
        let answer = w.fake.lock().unwrap().answer(Moment { now: now(), in_flight: 0 }, request);
        assert_eq!(answer.status, 200);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{template}");
        let mut out = Vec::new();
        wrong(&spec, schema, &body, template, &mut out);
        assert_eq!(out, [""; 0]);
    }
    assert_eq!(templates.len(), 7, "{templates:?}");
}

#[test]
fn the_specifications_own_examples_are_read() {
    let Some(spec) = specification() else { return };
    let how = Reading { anyone: false, identifier_is_ledger: false, absent_is_nobody: false };
    for (path, kind, field) in [
        ("/v3/Organizations/{Organizationkey}", Kind::Organizations, "OrganizationKey"),
        ("/v3/Contacts/{Contactkey}", Kind::Contacts, "ContactKey"),
    ] {
        let example = &spec["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["example"];
        let brief: Brief = serde_json::from_value(json!({field: example[field], "FullName": "Sample"})).unwrap();
        let row = map::client("x.y", kind, &brief, &Firm::default(), how, example.to_string().as_bytes()).unwrap();
        assert!(row.people.iter().any(|p| p.role == "ClientOwner"), "{row:?}");
        assert_eq!(row.number.as_deref(), example["UserDefinedIdentifier"].as_str());
    }
}

#[test]
fn the_checker_can_fail() {
    let Some(spec) = specification() else { return };
    let mut out = Vec::new();
    let users = json!({"$ref": "#/components/schemas/GetUsers"});
    let body = json!({"@odata.context": 1, "value": [{"Id": "1", "Name": "n"}]});
    wrong(&spec, &users, &body, "$", &mut out);
    assert_eq!(out.len(), 3, "{out:?}");
}
