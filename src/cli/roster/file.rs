//! Lists that are files, line by line.

use std::fmt::Write as _;

use super::{App, Exit, Failure, Report, RosterCheck, SCHEMA, Source, Value, count, json, known, table};
use ledgerward_roster::{NoteKind, Report as Lines};

pub(super) struct Read(Lines);

pub(super) fn of(app: &App, source: &Source) -> Result<Option<Read>, Failure> {
    if source.manifest.name != ledgerward_roster::MANIFEST.name {
        return Ok(None);
    }
    let Some(connection) = app.config.connections.get(&source.name) else { return Ok(None) };
    Ok(Some(Read(ledgerward_roster::examine(&connection.remote.settings, app.now())?)))
}

impl Read {
    pub(super) fn issued(&self) -> String {
        self.0.issued.map_or_else(|| "–".to_owned(), |t| t.strftime("%Y-%m-%d").to_string())
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "path": self.0.file,
            "read_as": self.0.read_as,
            "columns": self.0.columns,
            "issued": self.0.issued,
            "stale_after_days": self.0.stale_after_days,
            "lines": self.0.lines,
            "understood": self.0.understood,
        })
    }

    pub(super) fn notes(&self) -> Value {
        json!(self.0.notes)
    }

    pub(super) fn text(&self) -> String {
        let r = &self.0;
        let mut text =
            format!("  {}: {}\n", r.file.display(), if r.read_as.is_empty() { "not read" } else { &r.read_as });
        if !r.columns.is_empty() {
            let columns: Vec<String> =
                r.columns.iter().map(|(field, header)| format!("{field} = \"{header}\"")).collect();
            let _ = writeln!(text, "  columns: {}", columns.join(", "));
            let days = count(usize::from(r.stale_after_days), "day");
            let _ = writeln!(text, "  issued {}, not believed after {days}", self.issued());
            let _ = writeln!(text, "  {}, {} understood", count(r.lines, "line"), r.understood);
        }
        let rows = r.notes.iter().map(|note| {
            let means = match &note.kind {
                NoteKind::Passed => "passed over".to_owned(),
                NoteKind::Look => "look at it".to_owned(),
                NoteKind::ClientUnknown { client } => format!("not understood; {client} is unknown"),
                NoteKind::NoClient => "not understood; names no client".to_owned(),
            };
            [note.line.to_string(), means, note.text.clone()]
        });
        let notes = table(["line", "means", "because it"], rows);
        if !notes.is_empty() {
            let _ = writeln!(text, "\n{notes}");
        }
        text
    }
}

pub(super) fn check(check: &RosterCheck) -> Result<Report, Failure> {
    let file = std::path::absolute(&check.file)
        .map_err(|e| Failure::new(Exit::Usage, format!("{} is no path", check.file.display())).cause(&e))?;
    let mut settings = serde_json::Map::from_iter([("file".to_owned(), json!(file))]);
    let plain = [
        ("client", &check.client),
        ("sheet", &check.sheet),
        ("encoding", &check.encoding),
        ("delimiter", &check.delimiter),
    ];
    settings.extend(plain.iter().filter_map(|(k, v)| Some(((*k).to_owned(), json!(v.as_ref()?)))));
    let columns = [
        ("person", &check.person_column),
        ("client", &check.client_column),
        ("role", &check.role_column),
        ("status", &check.status_column),
    ];
    let columns: serde_json::Map<_, _> =
        columns.iter().filter_map(|(k, v)| Some(((*k).to_owned(), json!(v.as_ref()?)))).collect();
    settings.insert("columns".to_owned(), Value::Object(columns));
    let read = Read(ledgerward_roster::examine(&Value::Object(settings.clone()), jiff::Timestamp::now())?);
    let mut text = match &read.0.fault {
        None => "This list would be believed.\n".to_owned(),
        Some(e) => format!("Nothing of this list would be used: {}\n", e.message),
    };
    if let Some(next) = read.0.fault.as_ref().and_then(|e| e.next.as_ref()) {
        let _ = writeln!(text, "  next: {next}");
    }
    text.push_str(&read.text());
    let rows = read.0.clients.iter().map(|c| {
        let people: Vec<&str> =
            c.people.iter().filter(|p| known(&p.standing, p.email.as_ref())).map(|p| p.user.as_str()).collect();
        [c.name.clone(), c.id.clone(), people.join(" ")]
    });
    text.push_str(&table(["client", "id", "people"], rows));
    let json = json!({
        "schema": SCHEMA,
        "believed": read.0.fault.is_none(),
        "why": read.0.fault.as_ref().map(|e| &e.message),
        "next": read.0.fault.as_ref().and_then(|e| e.next.as_ref()),
        "file": read.json(),
        "notes": read.notes(),
        "clients": read.0.clients,
        "settings": settings,
    });
    let exit = if read.0.fault.is_none() { Exit::Done } else { Exit::Failed };
    Ok(Report::new(exit, json, text))
}
