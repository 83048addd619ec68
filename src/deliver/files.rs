//! What a statement or a document is in a folder: rendered or passed on, under which name.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{AccountId, Error, FileKey, LedgerAccount, LedgerProfile, StatementData, StatementRef};
use sha2::{Digest as _, Sha256};

use super::{
    Job,
    batch::Outgoing,
    books::Books,
    door::Door,
    statements::{Known, READ, body_of, change_of},
};
use crate::{
    app::App,
    cli::outcome::{Exit, Failure},
    domain::{
        finding::{Finding, Severity},
        policy::Papers,
    },
    statement::{self, Body, Format, Head, Look, RenderError, Rendered, Statement, StatementKey, Wanted, YearEnd},
    store::StatementVersion,
};

/// The folders in which every document of a list stands.
pub(super) const SERVED: &str = "documents_served";

impl<'a> Job<'a> {
    /// Every document of this list stands in every folder that takes it now.
    pub(super) fn served(&self, known: &Known) -> bool {
        known.served.as_ref().is_some_and(|s| self.takers(&known.key).is_subset(s))
            && !self.only.rerender
            && self.doors.iter().all(|d| d.lost.is_empty())
    }

    pub(super) async fn keep_served(&self, key: &StatementKey) -> Result<(), Failure> {
        let (text, takers, now) = (key.text(), self.takers(key), self.picture.now);
        self.app
            .store
            .run_grouped(move |db| {
                let mut served: BTreeSet<String> = db.doc_get(SERVED, &text)?.unwrap_or_default();
                served.extend(takers);
                db.doc_put(SERVED, &text, &served)?;
                db.doc_put(READ, &text, &now)
            })
            .await?;
        Ok(())
    }

    /// The renderings of a version that some folder lacks, or may have in an older form.
    pub(super) fn lacking(&self, books: &Books<'_>, key: &StatementKey, version: u32) -> Vec<(usize, Format, FileKey)> {
        let mut lacking = Vec::new();
        for (at, door) in self.doors.iter().enumerate() {
            let pushed = |account: &AccountId| self.pushes(books, account, &key.request.period);
            for format in self.wanted_formats(at, key, pushed).unwrap_or_default() {
                let file_key = key.file_key(version, format.ext());
                if self.only.rerender || !door.there.contains_key(&file_key) {
                    lacking.push((at, format, file_key));
                }
            }
        }
        lacking
    }

    /// The renderings of a version that a folder had and has lost.
    pub(super) fn lost(&self, books: &Books<'_>, key: &StatementKey, version: u32) -> Vec<(usize, Format, FileKey)> {
        let of = |at: usize, door: &Door<'_>| {
            let chosen = |account: &AccountId| self.chooses(books, account);
            let files = self.wanted_formats(at, key, chosen).unwrap_or_default().into_iter();
            let files = files.map(|format| (at, format, key.file_key(version, format.ext())));
            files.filter(|(.., file)| door.lost.contains(file) && !door.there.contains_key(file)).collect::<Vec<_>>()
        };
        self.doors.iter().enumerate().flat_map(|(at, door)| of(at, door)).collect()
    }

    /// Renders a version for every folder that lacks it.
    pub(super) async fn push(
        &mut self,
        books: &Books<'a>,
        key: &StatementKey,
        version: &StatementVersion,
        several: bool,
    ) -> Result<(), Failure> {
        let lacking = self.lacking(books, key, version.version);
        self.push_to(books, key, version, several, lacking, true).await
    }

    /// `newest`: what is found while rendering is about the statement as it is now.
    pub(super) async fn push_to(
        &mut self,
        books: &Books<'a>,
        key: &StatementKey,
        version: &StatementVersion,
        several: bool,
        lacking: Vec<(usize, Format, FileKey)>,
        newest: bool,
    ) -> Result<(), Failure> {
        if lacking.is_empty() {
            return Ok(());
        }
        let Some(body) = body_of(version) else {
            self.out.failed.push(format!("{}: a stored statement cannot be read", self.client.slug));
            return Ok(());
        };
        let change = change_of(self.app, key, version, &body).await?;
        let statement = Statement { head: self.head(books, key, version, change.clone()), body };
        let formats: BTreeSet<Format> = lacking.iter().map(|(_, format, _)| *format).collect();
        let made = rendered(statement, formats, self.app.config.statements.look.clone()).await?;
        for (format, result) in &made {
            match result {
                Ok(_) => {}
                // One format less is no missing statement: the others have the same lines.
                Err(RenderError::NoOfx(why)) => self.no_ofx(key, why),
                Err(e) => self.out.failed.push(format!("{}: {}: {e}", self.client.slug, format.slug())),
            }
        }
        if newest {
            let rendered = made.iter().filter_map(|(format, result)| Some((*format, result.as_ref().ok()?)));
            self.tell_rendered(books, key, rendered).await?;
        }
        for (at, format, file_key) in lacking {
            let Some(Ok(rendered)) = made.get(&format) else { continue };
            let there = self.doors.get(at).and_then(|d| d.there.get(&file_key));
            if there.is_some_and(|f| f.delivered.content_hash == hex_sha(&rendered.bytes)) {
                continue;
            }
            let file = Outgoing {
                key: file_key,
                wanted: self.wanted(books, key, several, version.version, None).rendered(format),
                mime: rendered.mime.to_owned(),
                bytes: rendered.bytes.clone(),
                version: version.version,
                format: format.slug(),
                change: change.clone(),
            };
            self.claim(at).await?;
            self.put(at, file).await?;
        }
        Ok(())
    }

    fn no_ofx(&mut self, key: &StatementKey, why: &str) {
        let account = key.request.account.as_ref().map_or("", AccountId::as_str);
        self.out.findings.push(Finding::new(
            Severity::Notice,
            "statement.no_ofx",
            format!("{}/{account}", self.client.slug),
            format!("{}: a bank statement has no OFX file: {why}.", self.client.name),
            "Nothing must be done; take \"ofx\" out of the formats if no account needs it.",
        ));
    }

    pub(super) fn head(
        &self,
        books: &Books<'_>,
        key: &StatementKey,
        version: &StatementVersion,
        change: Option<String>,
    ) -> Head {
        let account = key.request.account.as_ref().and_then(|id| books.accounts.iter().find(|a| &a.id == id));
        let title = books.source.manifest.title;
        head(self.app, &self.client.name, title, &books.profile, account, books.year_end, key, version, change)
    }

    /// The formats in which this folder wants this kind; `None` where it takes no file of it. `pushed`: whether the folder of
    /// the client as a whole has an account's papers.
    pub(super) fn wanted_formats(
        &self,
        at: usize,
        key: &StatementKey,
        pushed: impl Fn(&AccountId) -> bool,
    ) -> Option<Vec<Format>> {
        let door = self.doors.get(at).filter(|d| d.takes_files())?;
        let settings = &door.target.settings;
        let kinds = settings.kinds.as_ref().unwrap_or(&self.app.config.statements.kinds);
        let formats = settings.formats.as_ref().unwrap_or(&self.app.config.statements.formats);
        let account = key.request.account.as_ref();
        let belongs = match (door.papers, account) {
            (Papers::All, Some(account)) => pushed(account),
            (papers, account) => papers.take(&key.connection, &key.ledger, account),
        };
        (belongs && kinds.contains(&key.request.kind))
            .then(|| Format::of(key.request.kind).filter(|f| formats.contains(f)).collect())
    }

    pub(super) fn wanted(
        &self,
        books: &Books<'_>,
        key: &StatementKey,
        several: bool,
        version: u32,
        document: Option<String>,
    ) -> Wanted {
        let account = key.request.account.as_ref().and_then(|id| books.accounts.iter().find(|a| &a.id == id));
        Wanted {
            key: key.clone(),
            year_end: books.year_end,
            ledger: several.then(|| books.profile.name.clone()),
            account: account.map(|a| a.name.clone()),
            document,
            both_bases: false,
            version,
            ext: "bin".to_owned(),
        }
    }

    /// A document goes byte for byte. Its bytes are read once for all folders, and only if one of them lacks it.
    pub(super) async fn document(
        &mut self,
        books: &mut Books<'a>,
        known: &Known,
        one: &StatementRef,
        several: bool,
    ) -> Result<Result<(), Error>, Failure> {
        let (key, Some(item)) = (&known.key, &one.item) else { return Ok(Ok(())) };
        let lacking = |job: &Self, version: u32| -> Vec<usize> {
            let file_key = key.file_key(version, "doc");
            let takes =
                |d: &Door<'_>| job.takes_document(d, key, item.account.as_ref()) && !d.there.contains_key(&file_key);
            (0..job.doors.len()).filter(|at| job.doors.get(*at).is_some_and(takes)).collect()
        };
        if let Some((version, first_read)) = known.newest
            && item.updated.is_none_or(|at| at <= first_read)
            && lacking(self, version).is_empty()
        {
            return Ok(Ok(()));
        }
        let Some(api) = books.source.connector.statements() else { return Ok(Ok(())) };
        let data = match api.fetch(&books.reach.read(self.picture.now), one).await {
            Ok(data) => data,
            Err(e) => return Ok(Err(e)),
        };
        let StatementData::Document(document) = &data else {
            return Ok(Err(Error::contract(
                "document.fetch",
                "the source gave figures where a document was asked for",
            )));
        };
        if let Err(fault) = statement::document::inspect(document, Some(item))
            && !fault.may_pass()
        {
            self.out
                .failed
                .push(format!("{}: the document \"{}\" was not delivered: {fault}", self.client.slug, item.name));
            return Ok(Ok(()));
        }
        let document = document.clone();
        let version = match self.take(books, key, &one.request, data).await? {
            Ok(Some(version)) => version.version,
            Ok(None) => return Ok(Ok(())),
            Err(e) => return Ok(Err(e)),
        };
        for at in lacking(self, version) {
            let file = Outgoing {
                key: key.file_key(version, "doc"),
                wanted: self.wanted(books, key, several, version, Some(item.name.clone())),
                mime: document.mime.clone(),
                bytes: document.bytes.clone(),
                version,
                format: "document",
                change: None,
            };
            self.claim(at).await?;
            self.put(at, file).await?;
        }
        Ok(Ok(()))
    }

    /// Whether a document is this folder's. An account's folder takes what hangs on that account's own lines; what is of no
    /// account, or of one that the source does not name, is for who sees the whole client.
    pub(super) fn takes_document(&self, door: &Door<'_>, key: &StatementKey, account: Option<&AccountId>) -> bool {
        let kinds = door.target.settings.kinds.as_ref().unwrap_or(&self.app.config.statements.kinds);
        door.takes_files()
            && door.papers.take(&key.connection, &key.ledger, account)
            && kinds.contains(&key.request.kind)
    }
}

/// Every format of a statement, away from the threads that wait for vendors: a page takes a processor some milliseconds.
async fn rendered(
    statement: Statement,
    formats: BTreeSet<Format>,
    look: Look,
) -> Result<BTreeMap<Format, Result<Rendered, RenderError>>, Failure> {
    let render = move |format| (format, statement::render(&statement, format, &look));
    tokio::task::spawn_blocking(move || formats.into_iter().map(render).collect())
        .await
        .map_err(|e| Failure::new(Exit::Failed, format!("a statement could not be rendered: {e}")))
}

/// The head of a document, the same for every way of rendering it.
#[expect(clippy::too_many_arguments, reason = "a head names nine things")]
pub fn head(
    app: &App,
    client: &str,
    source: &str,
    profile: &LedgerProfile,
    account: Option<&LedgerAccount>,
    year_end: YearEnd,
    key: &StatementKey,
    version: &StatementVersion,
    change: Option<String>,
) -> Head {
    let firm = &app.config.firm;
    Head {
        firm: firm.name.clone(),
        letterhead: if app.config.statements.letterhead { firm.letterhead.clone() } else { Vec::new() },
        client: client.to_owned(),
        organisation: profile.name.clone(),
        source: source.to_owned(),
        kind: key.request.kind,
        account: account.map(|a| a.name.clone()),
        account_kind: account.map(|a| a.kind),
        period: key.request.period,
        period_label: year_end.label(&key.request.period),
        basis: statement::naming::basis_of(key.request.kind, key.request.basis),
        currency: currency(account, profile, version),
        first_read: version.first_read,
        version: version.version,
        change,
        notes: Vec::new(),
    }
}

/// The account's own, the company's, else what the report says of itself: QuickBooks says it there alone.
fn currency(account: Option<&LedgerAccount>, profile: &LedgerProfile, version: &StatementVersion) -> Option<String> {
    let of_report = || match body_of(version)? {
        Body::Table(table) => table.currency,
        Body::Register(_) => None,
    };
    account.and_then(|a| a.currency.clone()).or_else(|| profile.currency.clone()).or_else(of_report)
}

pub(super) fn hex_sha(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_names_its_currency_is_in_it_where_nothing_else_does() {
        let version = |of: &str| StatementVersion {
            key: "k".to_owned(),
            version: 1,
            hash: String::new(),
            first_read: jiff::Timestamp::UNIX_EPOCH,
            data: format!(
                r#"{{"table":{{"title":"Profit and loss","organisation":null,"currency":{of},"derived":null,"columns":[],"rows":[]}}}}"#
            ),
        };
        let (silent, nzd) =
            (LedgerProfile::default(), LedgerProfile { currency: Some("NZD".to_owned()), ..LedgerProfile::default() });
        assert_eq!(currency(None, &silent, &version("\"USD\"")).as_deref(), Some("USD"));
        assert_eq!(currency(None, &nzd, &version("null")).as_deref(), Some("NZD"));
        assert_eq!(currency(None, &silent, &version("null")), None, "and never a guess");
    }
}
