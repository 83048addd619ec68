//! What a hold and a lane's settings are named by.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    firm::{Client, Firm},
    lane::{LaneKey, Op},
    plan::LanePlan,
};

/// SHA-256 over `"ledgerward/hold/1\n"` and the canonical JSON (RFC 8785) of the sorted access steps and, per lane, the
/// folder's id and sorted (holder, role). No names, times, run ids or files (`decisions` 27).
pub fn digest(lanes: &[LanePlan]) -> String {
    let lane_json =
        |l: &LaneKey| serde_json::json!({ "target": l.target, "client": l.folder.client, "account": l.folder.account });
    let mut steps: Vec<(String, serde_json::Value)> = vec![];
    let mut bases: Vec<(LaneKey, serde_json::Value)> = vec![];
    for lane in lanes.iter().filter(|l| !l.steps.is_empty()) {
        for step in &lane.steps {
            let (op, holder, role) = match &step.op {
                Op::Revoke { who, role, .. } => ("revoke", who.to_string(), role),
                Op::Grant { who, role } => ("grant", who.to_string(), role),
                Op::SetRole { who, to, .. } => ("set_role", who.to_string(), to),
                Op::Adopt { who, role, .. } => ("adopt", who.to_string(), role),
                Op::Create { .. } | Op::Rename { .. } => continue,
            };
            let json = serde_json::json!({
                "lane": lane_json(&lane.lane), "op": op, "holder": holder, "role": role, "cause": step.reason.cause,
            });
            steps.push((json.to_string(), json));
        }
        let base: Vec<_> = lane.base.iter().map(|(h, r)| serde_json::json!([h, r])).collect();
        let json = serde_json::json!({ "lane": lane_json(&lane.lane), "folder": lane.folder, "holders": base });
        bases.push((lane.lane.clone(), json));
    }
    steps.sort_by(|a, b| a.0.cmp(&b.0));
    bases.sort_by(|a, b| a.0.cmp(&b.0));
    let steps: Vec<_> = steps.into_iter().map(|s| s.1).collect();
    let bases: Vec<_> = bases.into_iter().map(|b| b.1).collect();
    sha("ledgerward/hold/1\n", &serde_json::json!({ "steps": steps, "lanes": bases }))
}

/// What the settings mean for one lane: the target's own (root, sharing, template: `settings`), the role tables of the
/// client's connections, authority, unlisted and the client's sources. While this differs from what was approved, steps
/// that rest on it are held (`decisions` 13).
pub fn policy_hash(firm: &Firm, client: &Client, settings: &BTreeMap<String, String>) -> String {
    let connections: BTreeSet<_> = client.sources.iter().map(|s| &s.connection).collect();
    let roles: BTreeMap<_, _> = connections.into_iter().map(|c| (c.to_string(), firm.roles.get(c))).collect();
    let value = serde_json::json!({
        "settings": settings,
        "roles": roles,
        "authority": client.authority,
        "unlisted": client.unlisted.unwrap_or(firm.policy.unlisted),
        "sources": client.sources,
    });
    sha("ledgerward/policy/1\n", &value)
}

fn sha(prefix: &str, value: &serde_json::Value) -> String {
    use sha2::Digest;
    let mut hasher = sha2::Sha256::new();
    hasher.update(prefix.as_bytes());
    // A value of strings, arrays and objects always has a canonical form; its plain text would do as well for us.
    let text = serde_json_canonicalizer::to_string(value).unwrap_or_else(|_| value.to_string());
    hasher.update(text.as_bytes());
    hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
