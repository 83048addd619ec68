//! `changes`: the firm's own history, and what waits for an owner (`product` 5, four eyes).

use serde_json::{Value, json};

use super::{
    act,
    args::ChangesAct,
    cycle::{acting, may_publish},
    outcome::{Exit, Failure, Fault, Report},
};
use crate::{
    app::App,
    domain::change::{self, By, ChangeOp, Effect},
    render::{plan::time, table::table},
    store::{Change, ChangeState, StoreError},
};

pub async fn run(app: &App, act: Option<ChangesAct>) -> Result<Report, Failure> {
    match act {
        None => list(app, 20).await,
        Some(ChangesAct::List { limit }) => list(app, limit).await,
        Some(ChangesAct::Publish { changes, all }) => publish(app, changes, all).await,
        Some(ChangesAct::Reject { changes, reason }) => reject(app, changes, reason).await,
    }
}

async fn list(app: &App, limit: u32) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    if !act::sees_all(app, &firm) {
        return Err(Failure::new(Exit::Failed, "only owners and admins see the firm's changes")
            .fault(Fault::Denied)
            .next("Your own access: ledgerward access"));
    }
    let (mut rows, staged) = app.store.run(move |db| Ok((db.changes(limit)?, db.staged_changes()?))).await?;
    rows.extend(staged.iter().filter(|s| !rows.iter().any(|r| r.id == s.id)).cloned().collect::<Vec<_>>());
    // A private client's changes are its person's alone.
    let own = act::asking(app, &firm);
    let hidden = |c: &Change| {
        firm.clients.values().any(|client| {
            client.private_to.is_some() && client.private_to != own && c.op.to_string().contains(&client.id.to_string())
        })
    };
    rows.retain(|c| !hidden(c));
    let zone = &app.config.firm.timezone;
    let text = table(
        ["change", "state", "when", "by", "what"],
        rows.iter().map(|c| {
            let what = c.op.get("op").and_then(Value::as_str).unwrap_or("?").replace('_', " ");
            [c.label(), state(c.state).to_owned(), time(c.at, zone), c.author.clone(), what]
        }),
    );
    let values: Vec<Value> = rows
        .iter()
        .map(|c| json!({"id": c.label(), "state": state(c.state), "at": c.at, "author": c.author, "reason": c.reason, "change": c.op}))
        .collect();
    let report = Report::new(Exit::Done, json!({"schema": "ledgerward/changes/1", "changes": values}), text);
    Ok(match staged.len() {
        0 => report,
        n => report.note(format!("{n} wait for an owner: ledgerward changes publish --all")),
    })
}

const fn state(state: ChangeState) -> &'static str {
    match state {
        ChangeState::Staged => "staged",
        ChangeState::Published => "published",
        ChangeState::Rejected => "rejected",
    }
}

/// Each change is tried again against the firm of now, with the publisher's rights; one that is refused publishes none.
async fn publish(app: &App, ids: Vec<i64>, all: bool) -> Result<Report, Failure> {
    may_publish(app).await?;
    let firm = app.firm().await?;
    let (now, name) = (app.now(), app.actor.name.clone());
    let by = By { actor: acting(app, &firm)?, at: now };
    let effects: Vec<Effect> = app
        .store
        .run(move |db| {
            db.tx(|db| {
                let mut ids = if all { db.staged_changes()?.iter().map(|c| c.id).collect() } else { ids };
                ids.sort_unstable();
                ids.dedup();
                let (mut at, mut effects) = (db.firm()?, Vec::new());
                for id in ids {
                    let staged = db.change(id)?;
                    if staged.author == name {
                        return Err(StoreError::conflict(format!("{} is your own change", staged.label()))
                            .next("Four eyes: another owner must publish it."));
                    }
                    let op: ChangeOp = serde_json::from_value(staged.op.clone()).map_err(|e| {
                        StoreError::conflict(format!("{} cannot be read by this version", staged.label())).source(e)
                    })?;
                    let (next, effect) = change::apply(&at, &op, by).map_err(|r| {
                        StoreError::conflict(format!("{}: {}", staged.label(), r.message))
                            .next(format!("{} Nothing was published.", r.next))
                    })?;
                    db.publish_change(id, &name, now, &at, &next)?;
                    at = next;
                    effects.push(effect);
                }
                Ok(effects)
            })
        })
        .await?;
    if effects.is_empty() {
        let json = json!({"schema": "ledgerward/change/1", "changes": [], "staged": []});
        return Ok(Report::new(Exit::Done, json, "Nothing waits to be published.\n"));
    }
    Ok(act::tell(act::Acted { effects, staged: Vec::new() }))
}

async fn reject(app: &App, ids: Vec<i64>, reason: String) -> Result<Report, Failure> {
    may_publish(app).await?;
    let (now, name) = (app.now(), app.actor.name.clone());
    let labels: Vec<String> = app
        .store
        .run(move |db| {
            db.tx(|db| ids.iter().map(|id| Ok(db.reject_change(*id, &name, &reason, now)?.label())).collect())
        })
        .await?;
    let json = json!({"schema": "ledgerward/rejected/1", "changes": labels});
    Ok(Report::new(Exit::Done, json, format!("Rejected {}.\n", labels.join(", "))))
}
