//! `audit verify` and `audit export`: the trail that cannot be changed unseen (D09).

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use jiff::civil::Date;
use ledgerward_contract::{ClientId, SourceRef};
use serde_json::{Value, json};

use super::{
    args::{AuditAct, AuditFormat},
    findings::Unseen,
    outcome::{Exit, Failure, Report},
    veil::PRIVATE,
};
use crate::{
    app::App,
    audit::{Entry, Verdict},
    domain::{
        change::ChangeOp,
        finding::Finding,
        firm::{Client, Firm, PersonId},
    },
    memory, pack,
    render::access::csv as table,
    store::Change,
};

/// An export that is compared is read whole.
const FILE_BYTES_MAX: u64 = 1 << 30;

pub async fn run(app: &App, act: AuditAct) -> Result<Report, Failure> {
    super::findings::everything(app).await?;
    match act {
        AuditAct::Verify { pack: Some(dir), .. } => verify_pack(&dir),
        AuditAct::Verify { file, pack: None } => verify(app, file.as_deref()).await,
        AuditAct::Export { since, after, limit, format } => export(app, since, after, limit, format).await,
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

/// Exits 1 and names the row if the chain is broken, or if an export is not what the chain says.
async fn verify(app: &App, file: Option<&Path>) -> Result<Report, Failure> {
    let (verdict, losses) = app.store.run(|db| Ok((db.audit_verify()?, db.losses()))).await?;
    let compared = match (&verdict, file) {
        (Verdict::Whole(_), Some(file)) => Some((file, compare(app, file).await?)),
        _ => None,
    };
    Ok(match verdict {
        Verdict::Whole(head) => {
            let json = json!({"schema": "ledgerward/audit-verify/1", "whole": true, "rows": head.seq.to_string(), "head": head.hash});
            let text = format!("The audit trail is whole: {} rows, head {}.\n", head.seq, head.hash);
            let mut report = match compared {
                Some((_, Ok((rows, 0)))) => Report::new(Exit::Done, json, text)
                    .note(format!("The {rows} rows of the file are the trail's own, byte for byte.")),
                Some((_, Ok((rows, hidden)))) => Report::new(Exit::Done, json, text).note(format!(
                    "The {rows} rows of the file are the trail's own; {hidden} of them say only who did what when, as of private books."
                )),
                // Whoever made or sent the file changed it: the trail itself is as it was.
                Some((file, Err((seq, why)))) => differs(file, seq, &why, json, &text),
                None => Report::new(Exit::Done, json, text),
            };
            // Taken as the current one by a person; still not the trail that was.
            for loss in losses? {
                let by = loss.confirmed.unwrap_or_else(|| "nobody".to_owned());
                report = report.note(format!("Row {}: {}; confirmed by {by}.", loss.seq, loss.why));
            }
            report
        }
        Verdict::Broken { seq, why } => {
            let json =
                json!({"schema": "ledgerward/audit-verify/1", "whole": false, "row": seq.to_string(), "why": why});
            Report::new(Exit::Failed, json, format!("THE AUDIT TRAIL IS BROKEN at row {seq}: {why}.\n"))
                .note("Keep this state as it is, compare it with a backup and with the heads in the daily reports.")
                .note("Only where a backup was put in its place on purpose: ledgerward restore --confirm")
        }
    })
}

fn differs(file: &Path, seq: i64, why: &str, mut json: Value, trail: &str) -> Report {
    if let Some(map) = json.as_object_mut() {
        map.insert("row".to_owned(), json!(seq.to_string()));
        map.insert("why".to_owned(), json!(format!("{}: {why}", file.display())));
    }
    let text = format!("{trail}{} IS NOT AN EXPORT OF IT: at row {seq}, {why}.\n", file.display());
    Report::new(Exit::Failed, json, text)
        .note("Ask for the file again from where it came. A new one: ledgerward audit export")
}

/// Each line of an export against the row it says it is: how many there are and how many of them are veiled, or the first
/// that differs.
async fn compare(app: &App, file: &Path) -> Result<Result<(usize, usize), (i64, String)>, Failure> {
    let unreadable = |e: &dyn std::error::Error| {
        Failure::new(Exit::Failed, format!("{} cannot be read: {e}", file.display()))
            .next("Name a file that `ledgerward audit export` wrote.")
    };
    if std::fs::metadata(file).map_err(|e| unreadable(&e))?.len() > FILE_BYTES_MAX {
        return Err(Failure::new(Exit::Failed, format!("{} is too long to compare", file.display()))
            .next("Export and compare a part: --after ROW --limit COUNT"));
    }
    let bytes = std::fs::read(file).map_err(|e| unreadable(&e))?;
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    let number = |line: &[u8]| serde_json::from_slice::<Entry>(line).ok().map(|e| e.seq);
    let Some(first) = lines.first().and_then(|line| number(line)) else {
        return Ok(Err((1, "its first line is no row".to_owned())));
    };
    let limit = u32::try_from(lines.len()).unwrap_or(u32::MAX);
    let (rows, firm, changes) = app
        .store
        .run(move |db| Ok((db.audit_page(first - 1, None, Some(limit))?, db.firm()?, db.changes(u32::MAX)?)))
        .await?;
    let past = Past::of(firm, &changes);
    let eyes = past.eyes();
    let mut hidden = 0;
    for (n, line) in lines.iter().enumerate() {
        let seq = first + i64::try_from(n).unwrap_or(i64::MAX);
        let Some(row) = rows.get(n) else {
            return Ok(Err((seq, "it has rows that the trail does not have".to_owned())));
        };
        let is = |row: &Entry| Ok::<_, Failure>(format!("{}\n", value(row)?).as_bytes() == *line);
        if is(row)? {
            continue;
        }
        hidden += 1;
        let mut forms = std::iter::once(veiled(row.clone()))
            .chain(eyes.iter().map(|eyes| open(row.clone(), eyes)))
            .chain(std::iter::once_with(|| past.forms(row)).flatten());
        if !forms.try_fold(false, |found, form| Ok::<_, Failure>(found || is(&form)?))? {
            return Ok(Err((seq, "the line is not what the trail says".to_owned())));
        }
    }
    Ok(Ok((lines.len(), hidden)))
}

/// So many books in one row: each may have been hidden or not when the export was made.
const BOOKS_MAX: usize = 6;

/// The firm with every client private again that ever was. An export is of the day that it was made: books may have been
/// converted since, and a share may have ended.
struct Past {
    firm: Firm,
    books: BTreeSet<ClientId>,
    /// Whoever had private books, or was shown somebody's.
    people: BTreeSet<PersonId>,
}

impl Past {
    fn of(mut firm: Firm, changes: &[Change]) -> Self {
        let mut books: BTreeSet<ClientId> =
            firm.clients.values().filter(|c| c.private_to.is_some()).map(|c| c.id).collect();
        let mut people: BTreeSet<PersonId> = firm.clients.values().filter_map(|c| c.private_to).collect();
        people.extend(firm.selections.keys().filter(|(_, c)| books.contains(c)).map(|(p, _)| *p));
        for change in changes {
            match serde_json::from_value(change.op.clone()) {
                Ok(ChangeOp::AddPrivate { id, .. }) => {
                    books.insert(id);
                    people.extend(change.person);
                    if let (Some(client), Some(owner)) = (firm.clients.get_mut(&id), change.person) {
                        client.private_to.get_or_insert(owner);
                    }
                }
                Ok(ChangeOp::SharePrivate { client, people: with, .. }) => {
                    books.insert(client);
                    people.extend(with);
                }
                _ => {}
            }
        }
        Self { firm, books, people }
    }

    /// Whoever made the export saw no private books, or their own and what was shared with them.
    fn eyes(&self) -> Vec<Unseen<'_>> {
        std::iter::once(Unseen::by_others(&self.firm))
            .chain(self.people.iter().map(|person| Unseen::but_of(&self.firm, *person)))
            .collect()
    }

    /// The row as whoever was not shown some of the books in it was told it.
    fn forms(&self, row: &Entry) -> Vec<Entry> {
        let all = self.books.iter().filter_map(|id| self.firm.clients.get(id));
        let one = |books| Unseen::hiding(&self.firm, vec![books]);
        let within: Vec<&Client> = all.filter(|books| open(row.clone(), &one(*books)) != *row).collect();
        let some = |n: u32| within.iter().enumerate().filter(|(at, _)| n >> at & 1 == 1).map(|(_, c)| *c).collect();
        match within.len() {
            n if n <= BOOKS_MAX => {
                (1..1_u32 << n).map(|n| open(row.clone(), &Unseen::hiding(&self.firm, some(n)))).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// A row of somebody else's private books: who did what when, and its place in the chain.
fn veiled(row: Entry) -> Entry {
    let hide = |v: Option<Value>| v.map(|_| Value::from(PRIVATE));
    Entry {
        subject: PRIVATE.to_owned(),
        before: hide(row.before),
        after: hide(row.after),
        reason: row.reason.map(|_| PRIVATE.to_owned()),
        ..row
    }
}

/// A row of many clients, without what it says of these. An act that takes private books along hides nothing else that it did.
fn without(row: Entry, books: &[&Client]) -> Entry {
    let ids: Vec<String> = books.iter().map(|c| c.id.to_string()).collect();
    let strip = |v: Option<Value>| v.map(|v| stripped(v, &ids));
    Entry { before: strip(row.before), after: strip(row.after), reason: row.reason.map(|_| PRIVATE.to_owned()), ..row }
}

fn names(text: &str, ids: &[String]) -> bool {
    ids.iter().any(|id| text.contains(id.as_str()))
}

/// Elements of lists and entries of tables that are of these clients become one word; a thing that says itself whose it is goes
/// as a whole.
fn stripped(value: Value, ids: &[String]) -> Value {
    match value {
        Value::String(text) if names(&text, ids) => Value::from(PRIVATE),
        Value::Array(all) => all.into_iter().map(|v| stripped(v, ids)).collect(),
        Value::Object(map) if map.keys().any(|key| names(key, ids)) => {
            map.into_iter().filter(|(key, _)| !names(key, ids)).map(|(key, v)| (key, stripped(v, ids))).collect()
        }
        Value::Object(map) if map.values().any(|v| says_whose(v, ids)) => Value::from(PRIVATE),
        Value::Object(map) => map.into_iter().map(|(key, v)| (key, stripped(v, ids))).collect(),
        other => other,
    }
}

/// Whether it is these clients' itself, and no list that has something of theirs.
fn says_whose(value: &Value, ids: &[String]) -> bool {
    match value {
        Value::String(text) => names(text, ids),
        Value::Object(map) => map.values().any(|v| says_whose(v, ids)),
        _ => false,
    }
}

/// What a row tells somebody for whom these books are not there. By their id they are known wherever it stands, which nobody
/// else's name is; by their short name only where rows of this kind name their client, or an owner could hide any row by what
/// they call their books. What somebody wrote as a reason hides nothing.
fn open(row: Entry, unseen: &Unseen<'_>) -> Entry {
    let ids: Vec<String> = unseen.books().iter().map(|c| c.id.to_string()).collect();
    if names(&row.subject, &ids) || unseen.books().iter().any(|books| is_about(&row, books, unseen)) {
        return veiled(row);
    }
    let said = json!([row.before, row.after]).to_string();
    if names(&said, &ids) { without(row, unseen.books()) } else { row }
}

/// Whether a row of this kind is about these books, by what it names them.
fn is_about(row: &Entry, books: &Client, unseen: &Unseen<'_>) -> bool {
    let values = || [&row.before, &row.after].into_iter().flatten();
    match row.act.split('.').next().unwrap_or_default() {
        "private" => row.subject == books.slug,
        "finding" => values()
            .filter_map(|v| serde_json::from_value::<Finding>(v.clone()).ok())
            .any(|finding| unseen.is_about(&finding, books)),
        // `CONNECTION/ID`, a leaver and the source's key, what a run found in a source.
        "ledger" | "leaver" | "firm" => {
            let named = |s: &&SourceRef| {
                row.subject == format!("{}/{}", s.connection, s.id) || row.subject.ends_with(&memory::source_key(s))
            };
            books.sources.iter().filter(named).any(|s| unseen.hides(s))
        }
        // Files in a folder of the client's short name.
        "statement" => values()
            .flat_map(|v| v.as_array().into_iter().flatten())
            .filter_map(|file| Path::new(file.as_str()?).strip_prefix(&row.subject).ok()?.iter().next())
            .any(|folder| folder == books.slug.as_str()),
        _ => false,
    }
}

fn value(row: &Entry) -> Result<Value, Failure> {
    serde_json::to_value(row).map_err(|e| {
        Failure::new(Exit::Failed, "a row of the audit trail cannot be written out")
            .cause(&e)
            .next("Run: ledgerward audit verify")
    })
}

/// JSON lines or CSV on stdout, oldest first; with `--json` the same rows in one document.
async fn export(
    app: &App,
    since: Option<Date>,
    after: Option<u32>,
    limit: Option<u32>,
    format: AuditFormat,
) -> Result<Report, Failure> {
    let from = since
        .map(|day| day.to_zoned(app.config.firm.timezone.clone()).map(|z| z.timestamp()))
        .transpose()
        .map_err(|e| Failure::new(Exit::Usage, "this day is out of the calendar").cause(&e))?;
    let after = i64::from(after.unwrap_or(0));
    let entries = app.store.run(move |db| db.audit_page(after, from, limit)).await?;
    let firm = app.firm().await?;
    let unseen = Unseen::of(app, &firm);
    let any = !unseen.books().is_empty();
    let entries: Vec<Entry> = entries.into_iter().map(|row| if any { open(row, &unseen) } else { row }).collect();
    let rows: Vec<Value> = entries.iter().map(value).collect::<Result<_, _>>()?;
    // A full page: there may be another.
    let full = limit.is_some_and(|n| usize::try_from(n).is_ok_and(|n| n == rows.len() && n > 0));
    let next = entries.last().filter(|_| full).map(|e| e.seq);
    let text = match format {
        AuditFormat::Jsonl => rows.iter().map(|row| format!("{row}\n")).collect(),
        AuditFormat::Csv => csv(&entries)?,
    };
    let count = rows.len();
    let json = json!({"schema": "ledgerward/audit/1", "rows": rows, "next": next});
    Ok(Report::new(Exit::Done, json, text).exact(true).note(format!("{count} rows")))
}

fn csv(entries: &[Entry]) -> Result<String, Failure> {
    let head = ["seq", "at", "actor", "act", "subject", "before", "after", "reason", "hash"];
    let rows = entries.iter().map(|e| {
        let text = |v: &Option<Value>| v.as_ref().map(Value::to_string).unwrap_or_default();
        vec![
            e.seq.to_string(),
            e.at.to_string(),
            e.actor.clone(),
            e.act.clone(),
            e.subject.clone(),
            text(&e.before),
            text(&e.after),
            e.reason.clone().unwrap_or_default(),
            e.hash.clone(),
        ]
    });
    table(&head, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_private_books_stand_in_goes_and_what_stands_beside_them_stays() {
        let ids = ["b00c".to_owned()];
        let lane = |client: &str, name: &str| json!({"lane": {"folder": {"client": client}}, "name": name});
        let hold = json!({"digest": "d1", "lanes": [lane("b00c", "Smith Trust"), lane("ac3e", "Acme")]});
        let told = json!({"digest": "d1", "lanes": [PRIVATE, lane("ac3e", "Acme")]});
        assert_eq!(stripped(hold, &ids), told);
        let act = json!({"selection p1/b00c": {"scope": "whole"}, "selection p1/ac3e": {"scope": "whole"}});
        assert_eq!(stripped(act, &ids), json!({"selection p1/ac3e": {"scope": "whole"}}));
        assert_eq!(stripped(json!({"op": "select", "person": "p1", "client": "b00c"}), &ids), json!(PRIVATE));
    }
}
