//! `runs`: what was done when, and how it ended.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    cycle::STOPPED,
    outcome::{Exit, Failure, Report},
};
use crate::{app::App, render::plan::time, store::RunRow};

pub async fn run(app: &App, limit: u32) -> Result<Report, Failure> {
    super::findings::everything(app).await?;
    let runs = app.store.run(move |db| db.runs(limit)).await?;
    let mut text = String::new();
    for run in &runs {
        let started = time(run.started, &app.config.firm.timezone);
        let _ = writeln!(text, "{:>5}  {started:<17}  {:<9}  {:<28}  {}", run.id, run.kind, ending(run), run.actor);
        if let Some(message) = message(run) {
            let _ = writeln!(text, "       {message}");
        }
    }
    if runs.is_empty() {
        text.push_str("There was no run yet.\n");
    }
    let json = json!({"schema": "ledgerward/runs/1", "runs": runs.iter().map(value).collect::<Vec<_>>()});
    Ok(Report::new(Exit::Done, json, text))
}

/// Why it failed, where it says so.
pub(super) fn message(run: &RunRow) -> Option<&str> {
    run.summary.as_ref()?.get("message")?.as_str()
}

pub(super) fn ending(run: &RunRow) -> String {
    let stopped = run.summary.as_ref().is_some_and(|s| s.get(STOPPED) == Some(&Value::Bool(true)));
    let words = match run.exit {
        None if run.ended.is_some() => return "killed".to_owned(),
        None => return "not ended (running, or killed)".to_owned(),
        Some(_) if stopped => "stopped",
        Some(0) => "done",
        Some(1) => "failed",
        Some(2) => "done, changes to apply",
        Some(3) => "held by a guard",
        Some(4) => "sign-in needed",
        Some(5) => "partly done",
        Some(75) => "locked",
        Some(78) => "refused",
        Some(_) => "ended",
    };
    let words = if run.part { format!("{words}, some clients") } else { words.to_owned() };
    let took = run.ended.map(|end| end.duration_since(run.started).as_secs());
    took.map_or_else(|| words.clone(), |s| format!("{words} in {s} s"))
}

pub(super) fn value(run: &RunRow) -> Value {
    let unknown = || json!("unknown");
    json!({
        "id": run.id.to_string(),
        "kind": run.kind,
        "actor": run.actor,
        "started": run.started,
        "ended": run.ended.map_or_else(unknown, |t| json!(t)),
        "exit": run.exit.map_or_else(unknown, |e| json!(e)),
        "complete": run.complete,
        "part": run.part,
        "message": message(run).unwrap_or_default(),
    })
}
