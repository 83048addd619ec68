//! `findings`: what a person must know or do, the most urgent first.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    access::Sight,
    outcome::{Exit, Failure, Fault, Report},
};
use crate::{
    app::App,
    domain::finding::Severity,
    render::plan::{count, time},
    store::FindingRow,
};

/// Resolved findings that are shown with `--all`.
const ALL_MAX: u32 = 1_000;

pub async fn run(app: &App, all: bool) -> Result<Report, Failure> {
    everything(app).await?;
    let mut rows = app.store.run(move |db| if all { db.findings(ALL_MAX) } else { db.open_findings() }).await?;
    rows.sort_by_key(|r| (r.resolved.is_some(), std::cmp::Reverse(r.finding.severity), r.number));
    let mut text = String::new();
    for row in &rows {
        line(&mut text, app, row);
    }
    let open: Vec<&FindingRow> = rows.iter().filter(|r| r.resolved.is_none()).collect();
    let of = |s: Severity| open.iter().filter(|r| r.finding.severity == s).count();
    let (urgent, warning, notice) = (of(Severity::Urgent), of(Severity::Warning), of(Severity::Notice));
    let _ = match open.len() {
        0 => writeln!(text, "Nothing is open."),
        n => writeln!(text, "{}: {urgent} urgent, {warning} warning, {notice} notice.", count(n, "open finding")),
    };
    let json = json!({
        "schema": "ledgerward/findings/1",
        "findings": rows.iter().map(value).collect::<Vec<_>>(),
        "open": {"urgent": urgent, "warning": warning, "notice": notice},
    });
    Ok(Report::new(Exit::Done, json, text))
}

/// What concerns the whole firm is for those who manage it.
pub(super) async fn everything(app: &App) -> Result<(), Failure> {
    if app.person.is_none() {
        return Ok(());
    }
    let firm = app.firm().await?;
    match Sight::of(app, &firm)? {
        Sight::Everything => Ok(()),
        Sight::Own(_) => {
            Err(Failure::new(Exit::Failed, "this concerns the whole firm; it is for owners and administrators")
                .fault(Fault::Denied)
                .next("For your own access: ledgerward access"))
        }
    }
}

pub(super) const fn severity(of: Severity) -> &'static str {
    match of {
        Severity::Urgent => "urgent",
        Severity::Warning => "warning",
        Severity::Notice => "notice",
    }
}

fn line(text: &mut String, app: &App, row: &FindingRow) {
    let zone = &app.config.firm.timezone;
    let since = time(row.finding.since.unwrap_or(row.opened), zone);
    let _ = writeln!(text, "{:<6} {:<7} {}", row.label(), severity(row.finding.severity), row.finding.text);
    let _ = writeln!(text, "       since {since}  ({})", row.finding.code);
    match row.resolved {
        Some(at) => {
            let _ = writeln!(text, "       resolved {}: {}", time(at, zone), row.how.as_deref().unwrap_or("unknown"));
        }
        None => {
            let _ = writeln!(text, "       next: {}", row.finding.next);
        }
    }
}

fn value(row: &FindingRow) -> Value {
    let mut value = json!({
        "number": row.label(),
        "code": row.finding.code,
        "subject": row.finding.subject,
        "severity": severity(row.finding.severity),
        "text": row.finding.text,
        "next": row.finding.next,
        "since": row.finding.since.unwrap_or(row.opened),
        "opened": row.opened,
        "state": if row.resolved.is_some() { "resolved" } else { "open" },
    });
    if let (Some(map), Some(at)) = (value.as_object_mut(), row.resolved) {
        map.insert("resolved".to_owned(), json!(at));
        map.insert("how".to_owned(), json!(row.how.as_deref().unwrap_or("unknown")));
    }
    value
}
