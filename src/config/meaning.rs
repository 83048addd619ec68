//! Which settings decide access.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::Email;
use serde_json::json;

use super::schema::{Config, Sharing};

/// The settings that change what access means (G9, `decisions` 13), in a stable form to hash. What the firm's commands
/// change (client ↔ ledger and folder maps, a client's own authority) is the store's to add.
pub fn policy_relevant(config: &Config) -> serde_json::Value {
    let connections: BTreeMap<&str, _> = config
        .connections
        .iter()
        .map(|(name, c)| {
            let r = &c.remote;
            (
                name.as_str(),
                json!({ "connector": r.connector, "endpoints": r.endpoints, "roles": c.roles, "settings": r.settings }),
            )
        })
        .collect();
    let targets: BTreeMap<&str, _> = config
        .targets
        .iter()
        .map(|(name, t)| {
            let audience = match &t.sharing {
                Sharing::Off { audience } => Some(audience),
                Sharing::Mirror | Sharing::Report => None,
            };
            let value = json!({
                "connector": t.remote.connector,
                "endpoints": t.remote.endpoints,
                "settings": t.remote.settings,
                "impersonate": t.remote.impersonate,
                "root": t.root,
                "sharing": t.sharing.slug(),
                "audience": audience,
                "template": t.template.as_ref().unwrap_or(&config.statements.template),
                "always_allowed": keys(&t.always_allowed),
            });
            (name.0.as_str(), value)
        })
        .collect();
    json!({
        "connections": connections,
        "targets": targets,
        "domains": config.firm.domains,
        "unlisted": config.policy.unlisted,
        "authority": config.policy.authority,
        "additive_only": config.policy.additive_only,
        "always_allowed": keys(&config.policy.always_allowed),
    })
}

fn keys(emails: &BTreeSet<Email>) -> Vec<&str> {
    emails.iter().map(Email::key).collect()
}
