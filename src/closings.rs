//! What a run tells of people whom `revoke --now` closed: a finding from the seventh day on, until somebody lifts them.

use std::collections::BTreeMap;

use ledgerward_contract::Timestamp;

use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{
        closings::findings,
        finding::Finding,
        firm::{Firm, Person},
    },
    leavers::CASES,
};

/// By themselves, and not with what a whole reading finds: this rests on the firm alone, so every run can tell.
const SCOPE: &str = "closings";

/// Tells it in the findings, and gives it.
pub async fn tell(app: &App, run: i64, firm: &Firm, now: Timestamp) -> Result<Vec<Finding>, Failure> {
    let cases: BTreeMap<String, serde_json::Value> = app.store.run(|db| db.doc_all(CASES)).await?;
    // Whoever left is chased as a leaver; one who came back and was closed anew is not.
    let left = |p: &Person| !p.enabled && cases.contains_key(&p.id.0.to_string());
    let found = findings(firm, left, now);
    let told = found.clone();
    app.store.run(move |db| db.sync_findings(run, SCOPE, &told, now)).await?;
    Ok(found)
}
