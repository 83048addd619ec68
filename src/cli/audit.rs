//! `audit verify` and `audit export`: the trail that cannot be changed unseen (D09).

use std::{fmt::Write as _, path::Path};

use jiff::civil::Date;
use serde_json::{Value, json};

use super::{
    args::AuditAct,
    outcome::{Exit, Failure, Report},
};
use crate::{app::App, audit::Verdict, pack};

pub async fn run(app: &App, act: AuditAct) -> Result<Report, Failure> {
    super::findings::everything(app).await?;
    match act {
        AuditAct::Verify { pack: None } => verify(app).await,
        AuditAct::Verify { pack: Some(dir) } => verify_pack(&dir),
        AuditAct::Export { since } => export(app, since).await,
    }
}

/// A pack needs no state: exits 1 and names each file that is not as it was sealed.
pub fn verify_pack(dir: &Path) -> Result<Report, Failure> {
    let checked = pack::verify(dir)?;
    let whole = checked.faults.is_empty();
    let mut text = String::new();
    for fault in &checked.faults {
        let _ = writeln!(text, "  {fault}");
    }
    let text = if whole {
        format!(
            "The pack is whole: {} of {}, {} files, made {}, seal {}.\n",
            checked.kind, checked.subject, checked.files, checked.made, checked.seal
        )
    } else {
        format!("THE PACK IS NOT WHOLE:\n{text}")
    };
    let json = json!({
        "schema": "ledgerward/pack-verify/1", "whole": whole, "kind": checked.kind, "subject": checked.subject,
        "made": checked.made, "seal": checked.seal, "files": checked.files.to_string(), "faults": checked.faults,
        "audit": {"seq": checked.audit.seq.to_string(), "hash": checked.audit.hash},
    });
    let report = Report::new(if whole { Exit::Done } else { Exit::Failed }, json, text);
    Ok(report.note(format!(
        "A pack made anew has another seal: compare it with `ledgerward audit export`, the row \"pack.seal\" after row {}.",
        checked.audit.seq
    )))
}

/// Exits 1 and names the row if the chain is broken.
async fn verify(app: &App) -> Result<Report, Failure> {
    Ok(match app.store.run(crate::store::Db::audit_verify).await? {
        Verdict::Whole(head) => {
            let json = json!({"schema": "ledgerward/audit-verify/1", "whole": true, "rows": head.seq.to_string(), "head": head.hash});
            Report::new(Exit::Done, json, format!("The audit trail is whole: {} rows, head {}.\n", head.seq, head.hash))
        }
        Verdict::Broken { seq, why } => {
            let json =
                json!({"schema": "ledgerward/audit-verify/1", "whole": false, "row": seq.to_string(), "why": why});
            Report::new(Exit::Failed, json, format!("THE AUDIT TRAIL IS BROKEN at row {seq}: {why}.\n"))
                .note("Keep this state as it is, compare it with a backup and with the heads in the daily reports.")
        }
    })
}

/// JSON lines on stdout, oldest first; with `--json` the same rows in one document.
async fn export(app: &App, since: Option<Date>) -> Result<Report, Failure> {
    let from = since
        .map(|day| day.to_zoned(app.config.firm.timezone.clone()).map(|z| z.timestamp()))
        .transpose()
        .map_err(|e| Failure::new(Exit::Usage, "this day is out of the calendar").cause(&e))?;
    let bytes = app
        .store
        .run(|db| {
            let mut out = Vec::new();
            db.audit_export(0, &mut out)?;
            Ok(out)
        })
        .await?;
    let whole = String::from_utf8_lossy(&bytes);
    let mut rows: Vec<Value> = Vec::new();
    for line in whole.lines() {
        let row: Value = serde_json::from_str(line).map_err(|e| {
            Failure::new(Exit::Failed, "a row of the audit trail cannot be read")
                .cause(&e)
                .next("Run: ledgerward audit verify")
        })?;
        let at = row.get("at").and_then(Value::as_str).and_then(|t| t.parse::<jiff::Timestamp>().ok());
        // A row whose time cannot be read is never left out.
        if from.is_none_or(|from| at.is_none_or(|at| at >= from)) {
            rows.push(row);
        }
    }
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let count = rows.len();
    let json = json!({"schema": "ledgerward/audit/1", "rows": rows});
    Ok(Report::new(Exit::Done, json, text).note(format!("{count} rows")))
}
