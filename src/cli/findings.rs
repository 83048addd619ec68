//! `findings`: what a person must know or do, the most urgent first.

use std::fmt::Write as _;

use ledgerward_contract::SourceRef;
use serde_json::{Value, json};

use super::{
    access::{Sight, shared_with},
    act,
    outcome::{Exit, Failure, Fault, Report},
};
use crate::{
    app::App,
    domain::{
        finding::{Finding, Severity},
        firm::{Client, Firm, PersonId},
    },
    render::plan::{count, time},
    store::FindingRow,
};

/// Resolved findings that are shown with `--all`.
const ALL_MAX: u32 = 1_000;

pub async fn run(app: &App, all: bool) -> Result<Report, Failure> {
    everything(app).await?;
    let firm = app.firm().await?;
    let mut rows = app.store.run(move |db| if all { db.findings(ALL_MAX) } else { db.open_findings() }).await?;
    Unseen::of(app, &firm).take_out(&mut rows);
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

/// Private books that are not there for whoever asks, and so nothing that was found about them. They are there for their
/// person, for those they are shared with, and for root and the service's own user, who keep the machine going.
pub struct Unseen<'f> {
    firm: &'f Firm,
    books: Vec<&'f Client>,
}

impl<'f> Unseen<'f> {
    pub fn of(app: &App, firm: &'f Firm) -> Self {
        let asking = act::asking(app, firm);
        let hidden = |c: &&Client| {
            app.person.is_some()
                && c.private_to.is_some()
                && c.private_to != asking
                && !asking.is_some_and(|p| shared_with(firm, c, p))
        };
        Self { firm, books: firm.clients.values().filter(hidden).collect() }
    }

    /// As for somebody whose none of them are.
    pub fn by_others(firm: &'f Firm) -> Self {
        Self { firm, books: firm.clients.values().filter(|c| c.private_to.is_some()).collect() }
    }

    /// As for this person.
    pub fn but_of(firm: &'f Firm, own: PersonId) -> Self {
        let hidden = |c: &&Client| c.private_to.is_some_and(|owner| owner != own) && !shared_with(firm, c, own);
        Self { firm, books: firm.clients.values().filter(hidden).collect() }
    }

    /// As for somebody for whom just these are not there.
    pub const fn hiding(firm: &'f Firm, books: Vec<&'f Client>) -> Self {
        Self { firm, books }
    }

    pub fn books(&self) -> &[&'f Client] {
        &self.books
    }

    pub fn take_out(&self, rows: &mut Vec<FindingRow>) {
        rows.retain(|row| !self.books.iter().any(|books| self.is_about(&row.finding, books)));
    }

    /// By the place where findings of this kind name their client: elsewhere the same word is a target's, a person's or an
    /// account's name, and whoever gave that name to their private books would hide it from everybody.
    pub fn is_about(&self, finding: &Finding, books: &Client) -> bool {
        let parts: Vec<&str> = finding.subject.split('/').collect();
        let names = |part: &str| part == books.slug || part == books.id.to_string();
        let at = |place: usize| parts.get(place).is_some_and(|part| names(part));
        match finding.code.split('.').next().unwrap_or_default() {
            "statement" | "account" => at(0),
            "step" | "folder" | "holder" | "file" | "files" | "lane" | "selection" | "client" => at(1),
            "guest" => at(2),
            "source" | "roster" | "directory" => {
                let of = |s: &&SourceRef| match finding.subject.strip_prefix(&format!("{}/{}", s.connection, s.id)) {
                    Some(rest) => rest.is_empty() || rest.starts_with('/'),
                    None => false,
                };
                books.sources.iter().filter(of).any(|s| self.hides(s))
            }
            // Of the state, a connection, a target or a person.
            "access" | "connection" | "leaver" | "person" | "role" | "state" | "status" | "target" | "user" => false,
            // Of a kind that is not known here, nothing is shown that may be theirs.
            _ => parts.iter().any(|part| names(part)),
        }
    }

    /// Whether a ledger or a line is of such books, and of nothing else.
    pub fn hides(&self, source: &SourceRef) -> bool {
        let has = |c: &Client| c.sources.contains(source);
        let seen = |c: &Client| !self.books.iter().any(|books| books.id == c.id);
        self.books.iter().any(|c| has(c)) && !self.firm.clients.values().any(|c| has(c) && seen(c))
    }
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
