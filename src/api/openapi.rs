//! The description of the API (OpenAPI 3.1), from the table and the shapes.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    Input, Kind, May, Place, Route, input, problem,
    routes::table,
    shape::{component, schemas},
};

/// A value's schema. What it cannot say (an address's every rule), a 400 says.
pub fn schema(kind: Kind) -> Value {
    let text = || json!({"type": "string", "minLength": 1, "maxLength": input::TEXT_MAX});
    let list = |items: Value| json!({"type": "array", "items": items, "minItems": 1, "maxItems": input::LIST_MAX});
    match kind {
        Kind::Text | Kind::Person | Kind::Client => text(),
        Kind::Document => json!({"type": "string", "maxLength": input::DOCUMENT_MAX}),
        Kind::Email => json!({"type": "string", "format": "email", "maxLength": input::TEXT_MAX}),
        Kind::Day => json!({"type": "string", "format": "date"}),
        Kind::DayOrInstant => json!({"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Count(from, to) => json!({"type": "integer", "minimum": from, "maximum": to}),
        Kind::One(choices) => json!({"type": "string", "enum": choices}),
        Kind::Digest => json!({"type": "string", "pattern": "^[0-9a-fA-F]{8,64}$"}),
        Kind::Change => json!({"type": "string", "pattern": "^C-[1-9][0-9]{0,17}$"}),
        Kind::Texts | Kind::Clients | Kind::People => list(text()),
        Kind::Changes => list(schema(Kind::Change)),
        Kind::Pairs => list(json!({
            "type": "object", "additionalProperties": false, "required": ["person", "client"],
            "properties": {"person": text(), "client": text(), "target": text()},
        })),
    }
}

/// The whole document.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in table() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.as_str().to_ascii_lowercase(), operation(&route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "ledgerward",
            "version": "1",
            "summary": "Who may open which client, and what is done about it",
            "description": "The daemon's local API. A resource answers with the value that the command of its name prints with \
                --json; the header Ledgerward-Exit is that command's exit code. On the unix socket the kernel says who asks; on \
                loopback TCP a token does. Nothing here is ever to be cached.",
        },
        "servers": [{"url": "/api/v1"}],
        "paths": paths,
        "components": {
            "schemas": answered(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "On loopback TCP: see `ledgerward api token`."}},
            "responses": {"Problem": problem_answer()},
        },
        // On the socket nothing is asked for.
        "security": [{"token": []}, {}],
    })
}

/// The shapes that a route answers with, and those they are made of.
fn answered() -> Map<String, Value> {
    let answers: BTreeSet<String> = table().iter().flat_map(|r| r.answers).map(|a| component(a)).collect();
    let part = |name: &str| !name.contains('-') && name.starts_with(char::is_uppercase);
    schemas().into_iter().filter(|(name, _)| part(name) || answers.contains(name)).collect()
}

fn problem_answer() -> Value {
    json!({
        "description": "It was not done",
        "headers": {"Cache-Control": {"schema": {"const": "no-store"}}},
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    })
}

fn parameter(input: &Input) -> Value {
    let mut value = json!({
        "name": input.name, "in": input.place.word(), "required": input.required, "schema": schema(input.kind),
    });
    if let (false, Some(map)) = (input.about.is_empty(), value.as_object_mut()) {
        map.insert("description".to_owned(), json!(input.about));
    }
    value
}

fn operation(route: &Route) -> Value {
    let (body, others): (Vec<&Input>, Vec<&Input>) = route.inputs.iter().partition(|i| i.place == Place::Body);
    let answers: Vec<Value> =
        route.answers.iter().map(|a| json!({"$ref": format!("#/components/schemas/{}", component(a))})).collect();
    let answer = match answers.as_slice() {
        [one] => one.clone(),
        _ => json!({"anyOf": answers}),
    };
    let mut responses = Map::new();
    responses.insert(
        "200".to_owned(),
        json!({
            "description": "The answer",
            "headers": {
                "Cache-Control": {"schema": {"const": "no-store"}},
                "Ledgerward-Exit": {"schema": {"type": "integer"}, "description": "The command's exit code"},
            },
            "content": {"application/json": {"schema": answer}},
        }),
    );
    for (code, _) in problem::TITLES.iter().filter(|(code, _)| *code != 500) {
        responses.insert(code.to_string(), json!({"$ref": "#/components/responses/Problem"}));
    }
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "x-permission": route.may.word(),
        "parameters": others.iter().map(|i| parameter(i)).collect::<Vec<_>>(),
        "responses": responses,
    });
    if route.may == May::Person
        && let Some(map) = operation.as_object_mut()
    {
        map.insert("description".to_owned(), json!("For every person of the firm; each sees what is theirs."));
    }
    if !body.is_empty()
        && let Some(map) = operation.as_object_mut()
    {
        map.insert("requestBody".to_owned(), request_body(&body));
    }
    operation
}

fn request_body(inputs: &[&Input]) -> Value {
    let properties: Map<String, Value> = inputs
        .iter()
        .map(|i| {
            let mut value = schema(i.kind);
            if let (false, Some(map)) = (i.about.is_empty(), value.as_object_mut()) {
                map.insert("description".to_owned(), json!(i.about));
            }
            (i.name.to_owned(), value)
        })
        .collect();
    let required: Vec<&str> = inputs.iter().filter(|i| i.required).map(|i| i.name).collect();
    json!({
        "required": !required.is_empty(),
        "content": {"application/json": {"schema": {
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        }}},
    })
}
