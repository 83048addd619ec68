//! What is told of a statement's content, and of its files: for as long as these are the newest. A run that reads nothing
//! knows nothing about it, so that it is kept apart from what each delivery finds.

use std::collections::BTreeMap;

use ledgerward_contract::{SourceKind, SourceRef, Timestamp};

use super::{Job, books::Books};
use crate::{
    cli::outcome::Failure,
    config::Config,
    domain::{
        finding::{Finding, Severity},
        firm::{ClientState, Firm},
    },
    statement::{Body, Format, Mismatch, Rendered, StatementKey, check, naming},
    store::{Db, Result as Stored},
};

/// Scopes of which something is told, so that what is in order costs no look at all that is open.
const TOLD: &str = "statement_told";

const CONTENT: &str = "statement/";
const FILES: &str = "rendering/";

/// What is told of a version's content.
pub(super) fn content(key: &StatementKey) -> String {
    format!("{CONTENT}{}", key.text())
}

/// Everything that is told of this now.
pub(super) fn keep(db: &mut Db, run: i64, scope: &str, found: &[Finding], at: Timestamp) -> Stored<()> {
    if found.is_empty() && db.doc_get::<usize>(TOLD, scope)?.is_none() {
        return Ok(());
    }
    db.sync_findings(run, scope, found, at)?;
    if found.is_empty() { db.doc_delete(TOLD, scope).map(drop) } else { db.doc_put(TOLD, scope, &found.len()) }
}

/// The scopes about statements that are made no more: nothing would ever look at them again.
pub(super) fn over(config: &Config, firm: &Firm, scopes: impl Iterator<Item = String>) -> Vec<String> {
    let settings = &config.statements;
    let of = |scope: &str| {
        let key = scope.strip_prefix(CONTENT).or_else(|| scope.strip_prefix(FILES))?;
        // A rendering's scope has its extension in front.
        let (ext, text) = key.split_once('/').filter(|_| scope.starts_with(FILES)).unwrap_or(("", key));
        Some((ext.to_owned(), StatementKey::parse(text)?))
    };
    let made = |(ext, key): &(String, StatementKey)| {
        let ledger = |s: &SourceRef| {
            s.kind == SourceKind::Ledger && s.connection == key.connection && s.id == key.ledger.as_str()
        };
        let client = firm.clients.get(&key.client).filter(|c| c.state == ClientState::Active);
        let asked = config.targets.values().any(|t| {
            t.kinds.as_ref().unwrap_or(&settings.kinds).contains(&key.request.kind)
                && (ext.is_empty()
                    || t.formats.as_ref().unwrap_or(&settings.formats).iter().any(|f| f.ext() == ext.as_str()))
        });
        let basis = |of| naming::basis_of(key.request.kind, of);
        client.is_some_and(|c| c.sources.iter().any(ledger))
            && asked
            && basis(key.request.basis) == basis(settings.basis)
    };
    scopes.filter(|scope| of(scope).is_some_and(|one| !made(&one))).collect()
}

impl Job<'_> {
    /// Client, ledger, kind, period and account: for a finding's subject.
    fn place(&self, books: &Books<'_>, key: &StatementKey) -> String {
        let request = &key.request;
        let account = request.account.as_ref().map_or_else(String::new, |a| format!("/{a}"));
        let (kind, label) = (request.kind.slug(), books.year_end.label(&request.period));
        format!("{}/{}/{kind}/{label}{account}", self.client.slug, books.reference.id)
    }

    /// The same in words.
    fn place_words(&self, books: &Books<'_>, key: &StatementKey) -> String {
        let account = key.request.account.as_ref().and_then(|id| books.accounts.iter().find(|a| &a.id == id));
        let account = account.map_or_else(String::new, |a| format!(", {},", a.name));
        let label = books.year_end.label(&key.request.period);
        format!("{} {label}{account} of {}", key.request.kind.title(), self.client.name)
    }

    /// Each total that is not what its lines make.
    pub(super) fn mismatches(&self, books: &Books<'_>, key: &StatementKey, body: &Body) -> Vec<Finding> {
        let (place, words) = (self.place(books, key), self.place_words(books, key));
        // A report may have several rows of one name.
        let mut rows: BTreeMap<String, usize> = BTreeMap::new();
        let tell = |mismatch: Mismatch| {
            let column = if mismatch.column.is_empty() { String::new() } else { format!("/{}", mismatch.column) };
            let row = format!("{place}/{}{column}", mismatch.row);
            let nth = rows.entry(row.clone()).or_default();
            *nth += 1;
            Finding::new(
                Severity::Warning,
                "statement.totals_differ",
                if *nth == 1 { row } else { format!("{row}/{nth}") },
                format!("{words}: {mismatch}."),
                "Look at this report in the ledger; the file shows what the ledger says.",
            )
        };
        check(key.request.kind, body).into_iter().map(tell).collect()
    }

    /// What a person should know of these files of a statement's newest version.
    pub(super) async fn tell_rendered<'r>(
        &self,
        books: &Books<'_>,
        key: &StatementKey,
        rendered: impl Iterator<Item = (Format, &'r Rendered)>,
    ) -> Result<(), Failure> {
        let tell = |(format, rendered): (Format, &Rendered)| {
            let what: Vec<String> = rendered.findings.iter().map(ToString::to_string).collect();
            let found = (!what.is_empty()).then(|| {
                Finding::new(
                    Severity::Notice,
                    "statement.rendering",
                    format!("{}/{}", self.place(books, key), format.ext()),
                    format!("{}: {}.", self.place_words(books, key), what.join("; ")),
                    "Nothing must be done; the file is complete otherwise.",
                )
            });
            (format!("{FILES}{}/{}", format.ext(), key.text()), Vec::from_iter(found))
        };
        let all: Vec<(String, Vec<Finding>)> = rendered.map(tell).collect();
        let (run, now) = (self.picture.run, self.picture.now);
        let keep = move |db: &mut Db| all.iter().try_for_each(|(scope, found)| keep(db, run, scope, found, now));
        Ok(self.app.store.run_grouped(keep).await?)
    }
}
