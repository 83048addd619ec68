//! What a run does about guests before it decides: those whose time is over end, without asking any provider.

use ledgerward_contract::Timestamp;

use crate::{
    app::App,
    cli::{
        cycle::refused,
        outcome::{Exit, Failure},
    },
    domain::{
        change::{self, Actor, By},
        guests::expired,
    },
};

/// Ends what is over, as the daemon's own act. Gives how many that were.
pub async fn end_expired(app: &App, now: Timestamp) -> Result<usize, Failure> {
    let before = app.store.run(|db| db.firm()).await?;
    let ops = expired(&before, now);
    if ops.is_empty() {
        return Ok(0);
    }
    let by = By { actor: Actor::Daemon, at: now };
    let (after, _) = change::apply_all(&before, &ops, by).map_err(|(_, r)| refused(r))?;
    let written: Vec<serde_json::Value> = ops
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()
        .map_err(|e| Failure::new(Exit::Failed, "a change cannot be written down").cause(&e))?;
    app.store
        .run(move |db| db.record_changes(&written, "ledgerward", None, "the end date came", now, &before, &after))
        .await?;
    Ok(ops.len())
}
