//! `forecast`: will it fit, target by target and limit by limit.

use std::fmt::Write as _;

use ledgerward_contract::{Counts, Firmness};
use serde_json::{Value, json};

use super::{
    act,
    console::Console,
    cycle::{end, start},
    outcome::{Exit, Failure, Report},
};
use crate::{
    app::App,
    domain::forecast::{Fills, Outlook},
    forecast::{self, Forecast, Line},
    render::{
        plan::{amount, size},
        table::lay_out,
    },
};

pub async fn run(app: &App, console: &mut dyn Console, target: Option<&str>, offline: bool) -> Result<Report, Failure> {
    let only = target.map(|t| act::target(app, t)).transpose()?;
    let world = app.world().await?;
    if !offline {
        console.note("Asking the targets for their space …");
    }
    let run = start(app, "forecast").await?;
    let seen = async {
        let seen = forecast::of(app, &world, only.as_ref(), !offline).await?;
        forecast::remember(app, run, &seen).await?;
        Ok(seen)
    };
    let seen = end(app, run, seen.await, exit).await?;
    Ok(report(&seen, offline))
}

fn exit(seen: &Forecast) -> Exit {
    if seen.troubles.is_empty() { Exit::Done } else { Exit::Partly }
}

/// `12.5` from tenths; bytes are shown as sizes.
fn rate(line: &Line) -> String {
    match (line.outlook.growth.tenths_a_month(), line.capacity.counts) {
        (_, Counts::FileBytes) => "–".to_owned(),
        (None, _) => "unknown".to_owned(),
        (Some(tenths), Counts::Bytes) => size(tenths / 10),
        (Some(tenths), _) => format!("{}.{}", tenths / 10, tenths % 10),
    }
}

fn fills(of: &Outlook) -> String {
    match of.fills {
        Fills::Now => "full".to_owned(),
        Fills::In(days) => format!("in {days} days"),
        Fills::Never => "not in sight".to_owned(),
        Fills::Unknown => "unknown".to_owned(),
    }
}

fn report(seen: &Forecast, offline: bool) -> Report {
    let row = |l: &Line| {
        let c = &l.capacity;
        let unsure = if c.verified { "" } else { " (unverified)" };
        [
            l.target.to_string(),
            format!("{}{unsure}", c.what),
            amount(c.counts, l.outlook.used),
            amount(c.counts, c.limit),
            format!("{} %", l.outlook.percent),
            rate(l),
            fills(&l.outlook),
        ]
    };
    let head = ["target", "limit", "used", "of", "full", "a month", "fills"];
    let mut text = lay_out(head, seen.lines.iter().map(row), &[2, 3, 4, 5]);
    if text.is_empty() {
        text.push_str("No target states a limit.\n");
    }
    if seen.lines.iter().any(|l| l.outlook.fills == Fills::Unknown) {
        text.push_str("\nunknown: less than 30 days of history.\n");
    }
    for finding in seen.lines.iter().filter_map(Line::finding) {
        let _ = write!(text, "\n{}\n  next: {}\n", finding.text, finding.next);
    }
    if offline {
        text.push_str("\nNo target was asked, so its space is not shown.\n");
    }
    let json = json!({
        "schema": "ledgerward/forecast/1", "offline": offline,
        "limits": seen.lines.iter().map(value).collect::<Vec<_>>(), "troubles": seen.troubles,
    });
    let mut report = Report::new(exit(seen), json, text);
    report.notes.extend(seen.troubles.iter().map(|t| format!("trouble: {t}")));
    report
}

fn value(line: &Line) -> Value {
    let (c, o) = (&line.capacity, &line.outlook);
    let tenths = o.growth.tenths_a_month().filter(|_| c.counts != Counts::FileBytes);
    let finding = line.finding();
    json!({
        "target": line.target.0, "limit": c.name, "what": c.what, "counts": c.counts,
        "firmness": if c.firmness == Firmness::Hard { "hard" } else { "advised" },
        "used": o.used.to_string(), "of": c.limit.to_string(), "percent": o.percent.to_string(),
        "used_by": if line.told { "target" } else { "state" },
        "a_month": tenths.map_or_else(|| "unknown".to_owned(), |t| format!("{}.{}", t / 10, t % 10)),
        "fills": match o.fills { Fills::Now => "full", Fills::In(_) => "soon_or_later", Fills::Never => "not_in_sight", Fills::Unknown => "unknown" },
        "days": match o.fills { Fills::Now => "0".to_owned(), Fills::In(days) => days.to_string(), Fills::Never => "never".to_owned(), Fills::Unknown => "unknown".to_owned() },
        "source": c.source, "verified": c.verified, "next": c.next, "finding": finding.is_some(),
    })
}
