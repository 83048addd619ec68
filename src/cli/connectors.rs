//! `connectors`: what this program can talk to. Needs no configuration.

use serde_json::{Value, json};

use super::outcome::{Exit, Report};
use crate::{registry, render::connectors as print};

pub fn run() -> Report {
    let all: Vec<Value> = registry::manifests()
        .map(|m| {
            json!({
                "name": m.name,
                "title": m.title,
                "is": print::kind(m),
                "sign_in": print::auth(m),
                "access": if m.access.is_some() { print::access(m) } else { "none" },
                "grade": m.grade.map_or_else(|| "none".to_owned(), |g| format!("{g:?}")),
                "statements": print::statements(m),
                "limits": m.quotas.iter().map(|q| json!({"name": q.name, "limit": print::limit(q)})).collect::<Vec<_>>(),
                "roles": m.roles.iter().map(|(role, gives)| json!({"role": role, "gives": format!("{gives:?}").to_lowercase()})).collect::<Vec<_>>(),
                "settings": m.settings.iter().map(|(key, help)| json!({"key": key, "help": help})).collect::<Vec<_>>(),
                "unverified": m.unverified,
            })
        })
        .collect();
    let json =
        json!({"schema": "ledgerward/connectors/1", "connectors": all, "markdown": print::connectors_markdown()});
    Report::new(Exit::Done, json, print::text())
}
