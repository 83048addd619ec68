//! A file on its way: rendered, named, journalled, put once.

use std::collections::BTreeSet;

use ledgerward_contract::{
    AccountId, Error, ErrorKind, Expect, FileKey, LedgerAccount, LedgerProfile, ReadCx, ReservedId, StatementData,
    StatementFile, StatementRef, StorageTarget,
};
use sha2::{Digest as _, Sha256};

use super::{
    FileDone, Job, Waiting,
    books::Books,
    door::Entry,
    statements::{READ, body_of, change_of},
};
use crate::{
    app::App,
    apply::{self, words},
    cli::outcome::Failure,
    domain::{
        finding::{Finding, Severity},
        lane::Delivered,
    },
    statement::{self, Format, Head, Look, Statement, StatementKey, Template, Wanted, YearEnd, naming},
    store::{DeliveredFile, Intent, JournalOp, Outcome, StatementVersion},
    world::Target,
};

/// The folders in which every document of a list stands.
pub(super) const SERVED: &str = "documents_served";

/// The id made beforehand for a file that is not known to be there yet, by folder and key: a search lags behind a write
/// (S10), so only a repeat under the same id makes nothing twice, whatever process does it.
const FILE_ID: &str = "file_id";

impl<'a> Job<'a> {
    /// Every document of this list stands in every folder that takes it now.
    pub(super) async fn served(&self, key: &StatementKey) -> Result<bool, Failure> {
        let text = key.text();
        let served: Option<BTreeSet<String>> = self.app.store.run_grouped(move |db| db.doc_get(SERVED, &text)).await?;
        Ok(served.is_some_and(|s| self.takers(key).is_subset(&s)) && !self.only.rerender)
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

    /// Renders a version for every folder that lacks it.
    pub(super) async fn push(
        &mut self,
        books: &Books<'a>,
        key: &StatementKey,
        version: &StatementVersion,
        several: bool,
    ) -> Result<(), Failure> {
        let Some(body) = body_of(version) else {
            self.out.failed.push(format!("{}: a stored statement cannot be read", self.client.slug));
            return Ok(());
        };
        let change = change_of(self.app, key, version, &body).await?;
        let statement = Statement { head: self.head(books, key, version, change.clone()), body };
        for at in 0..self.doors.len() {
            let Some(formats) = self.wanted_formats(at, key) else { continue };
            for format in formats {
                let file_key = key.file_key(version.version, format.ext());
                let there = self.doors.get(at).and_then(|d| d.there.get(&file_key));
                let there = there.map(|f| f.delivered.content_hash.clone());
                if there.is_some() && !self.only.rerender {
                    continue;
                }
                let rendered = match statement::render(&statement, format, &Look::default()) {
                    Ok(rendered) => rendered,
                    // One format less is no missing statement: the others have the same lines.
                    Err(statement::RenderError::NoOfx(why)) => {
                        self.no_ofx(key, why);
                        continue;
                    }
                    Err(e) => {
                        self.out.failed.push(format!("{}: {e}", self.client.slug));
                        continue;
                    }
                };
                if there.is_some_and(|sha| sha == hex_sha(&rendered.bytes)) {
                    continue;
                }
                self.rendering_findings(&rendered, key);
                let wanted = self.wanted(books, key, several, version.version, None).rendered(format);
                let file = Outgoing {
                    key: file_key,
                    mime: rendered.mime.to_owned(),
                    bytes: rendered.bytes,
                    version,
                    format: format.slug(),
                    change: change.clone(),
                };
                self.put(at, wanted, file).await?;
            }
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

    fn rendering_findings(&mut self, rendered: &statement::Rendered, key: &StatementKey) {
        for finding in &rendered.findings {
            self.out.findings.push(Finding::new(
                Severity::Notice,
                "statement.rendering",
                format!("{}/{}/{}", self.client.slug, key.request.kind.slug(), rendered.ext),
                format!("{}: {finding}.", self.client.name),
                "Nothing must be done; the file is complete otherwise.",
            ));
        }
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

    /// The formats in which this folder wants this kind; `None` where it takes no file of it.
    fn wanted_formats(&self, at: usize, key: &StatementKey) -> Option<Vec<Format>> {
        let door = self.doors.get(at).filter(|d| d.takes_files())?;
        let settings = &door.target.settings;
        let kinds = settings.kinds.as_ref().unwrap_or(&self.app.config.statements.kinds);
        let formats = settings.formats.as_ref().unwrap_or(&self.app.config.statements.formats);
        // A folder of one account takes that account's papers and no others.
        let belongs = door.lane.folder.account.is_none() || door.lane.folder.account == key.request.account;
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
        books: &Books<'a>,
        key: &StatementKey,
        one: &StatementRef,
        several: bool,
    ) -> Result<Result<(), Error>, Failure> {
        let Some(item) = &one.item else { return Ok(Ok(())) };
        let latest = self.latest(key).await?;
        let lacking = |job: &Self, version: u32| -> Vec<usize> {
            let file_key = key.file_key(version, "doc");
            (0..job.doors.len())
                .filter(|at| job.takes_document(*at, key))
                .filter(|at| job.doors.get(*at).is_some_and(|d| !d.there.contains_key(&file_key)))
                .collect()
        };
        let changed = latest.as_ref().is_some_and(|v| item.updated.is_some_and(|at| at > v.first_read));
        if let Some(version) = &latest
            && !changed
            && lacking(self, version.version).is_empty()
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
            Ok(Some(version)) => version,
            Ok(None) => return Ok(Ok(())),
            Err(e) => return Ok(Err(e)),
        };
        for at in lacking(self, version.version) {
            let wanted = self.wanted(books, key, several, version.version, Some(item.name.clone()));
            let file = Outgoing {
                key: key.file_key(version.version, "doc"),
                mime: document.mime.clone(),
                bytes: document.bytes.clone(),
                version: &version,
                format: "document",
                change: None,
            };
            self.put(at, wanted, file).await?;
        }
        Ok(Ok(()))
    }

    pub(super) fn takes_document(&self, at: usize, key: &StatementKey) -> bool {
        self.doors.get(at).is_some_and(|d| {
            let kinds = d.target.settings.kinds.as_ref().unwrap_or(&self.app.config.statements.kinds);
            d.takes_files() && d.lane.folder.account.is_none() && kinds.contains(&key.request.kind)
        })
    }

    /// One file into one folder: journalled, sent, verified by the target, recorded.
    async fn put(&mut self, at: usize, wanted: Wanted, file: Outgoing<'_>) -> Result<(), Failure> {
        let Some(door) = self.doors.get_mut(at) else { return Ok(()) };
        if let Some(why) = door.enter(self.app.now()).await {
            let (client, lane) = (self.client.slug.clone(), door.lane.clone());
            self.out.waiting.push(Waiting { client, lane, why });
        }
        let Entry::Open(fenced) = &door.entry else { return Ok(()) };
        let process = &self.app.process;
        if process.stopping() || self.picture.epoch.is_some_and(|e| e != process.gate.epoch()) {
            let why = if process.stopping() { "ledgerward is stopping" } else { "somebody was closed meanwhile" };
            self.out.failed.push(format!("{}: a file waits for the next run: {why}", self.client.slug));
            return Ok(());
        }
        let template = match template(self.app, door.target, wanted.document.is_some()) {
            Ok(template) => template,
            Err(e) => {
                self.out.failed.push(e);
                return Ok(());
            }
        };
        // A new rendering takes its old one's place; everything else gets a name of its own.
        let there = door.there.get(&file.key).cloned();
        let path = match &there {
            Some(_) => door.taken.get(&file.key).cloned(),
            None => naming::assign(&template, &[wanted].into(), &door.taken).into_values().next(),
        };
        let Some(path) = path else { return Ok(()) };
        let sha = hex_sha(&file.bytes);
        let size = file.bytes.len() as u64;
        let (api, read) = match (door.target.api(), door.target.read(self.picture.now)) {
            (Ok(api), Ok(read)) => (api, read),
            (Err(e), _) | (_, Err(e)) => {
                self.out.failed.push(format!("{}: {path}: {}", self.client.slug, words(&e)));
                return Ok(());
            }
        };
        let place = format!("{}/{}/{}", door.lane.target, door.lane.folder, file.key);
        let reserved = match &there {
            Some(_) => None,
            None => match made_for(self.app, api, &read, place.clone()).await? {
                Ok(id) => id,
                Err(e) => {
                    self.out.failed.push(format!("{}: {path}: {}", self.client.slug, words(&e)));
                    return Ok(());
                }
            },
        };
        let intent = Intent {
            run: self.picture.run,
            lane: door.lane.clone(),
            op: JournalOp::Put { key: file.key.clone(), path: path.to_string(), size, sha256: sha.clone() },
            cause: None,
            because: file.change.clone().unwrap_or_else(|| "due".to_owned()),
            reserved: reserved.clone(),
            approved: false,
        };
        let (row, cx) = apply::begin(self.app, door.target, intent, self.picture.now).await?;
        let out =
            StatementFile { key: file.key.clone(), path: path.clone(), mime: file.mime, bytes: file.bytes, reserved };
        let expect = there.map_or(Expect::Absent, |f| Expect::Unchanged(f.file, f.tag));
        let result = api.put(&cx, fenced, &out, expect).await;
        let now = self.app.now();
        match result {
            Ok(stored) => {
                let record = DeliveredFile {
                    delivered: Delivered {
                        lane: door.lane.clone(),
                        key: file.key.clone(),
                        path: path.to_string(),
                        content_hash: sha,
                    },
                    version: file.version.version,
                    format: file.format.to_owned(),
                    file: stored.id,
                    tag: stored.tag,
                    size: stored.size,
                };
                door.taken.insert(file.key.clone(), path.clone());
                door.there.insert(file.key.clone(), record.clone());
                self.app
                    .store
                    .run_grouped(move |db| {
                        db.tx(|db| {
                            db.doc_delete(FILE_ID, &place)?;
                            db.outcome_stored(row, &record, now)
                        })
                    })
                    .await?;
                self.out.files.push(FileDone {
                    client: self.client.slug.clone(),
                    lane: door.lane.clone(),
                    path: path.to_string(),
                    size,
                    change: file.change.map(|c| format!("restated: {c}")),
                });
            }
            Err(e) => {
                // A lost answer is no loss: the file goes under the same id when it is due again.
                let outcome =
                    Outcome::Failed { kind: format!("{:?}", e.kind).to_lowercase(), message: e.message.clone() };
                let used_up = e.kind == ErrorKind::Conflict;
                self.app
                    .store
                    .run_grouped(move |db| {
                        db.tx(|db| {
                            if used_up {
                                db.doc_delete(FILE_ID, &place)?;
                            }
                            db.outcome(row, &outcome, now)
                        })
                    })
                    .await?;
                self.out.failed.push(format!("{}: {path}: {}", self.client.slug, words(&e)));
            }
        }
        Ok(())
    }
}

/// The id under which a new file goes: the one that an earlier try was made with, or a new one, stored before it is used.
/// `None` where the target gives none.
async fn made_for(
    app: &App,
    api: &dyn StorageTarget,
    read: &ReadCx,
    place: String,
) -> Result<Result<Option<ReservedId>, Error>, Failure> {
    let key = place.clone();
    if let Some(id) = app.store.run_grouped(move |db| db.doc_get::<String>(FILE_ID, &key)).await? {
        return Ok(Ok(Some(ReservedId(id))));
    }
    let id = match api.reserve(read, 1).await {
        Ok(ids) => ids.into_iter().next(),
        Err(e) => return Ok(Err(e)),
    };
    if let Some(ReservedId(id)) = id.clone() {
        app.store.run_grouped(move |db| db.doc_put(FILE_ID, &place, &id)).await?;
    }
    Ok(Ok(id))
}

/// A file on its way.
pub(super) struct Outgoing<'v> {
    pub(super) key: FileKey,
    pub(super) mime: String,
    pub(super) bytes: bytes::Bytes,
    pub(super) version: &'v StatementVersion,
    pub(super) format: &'static str,
    pub(super) change: Option<String>,
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
        basis: key.request.basis,
        currency: account.and_then(|a| a.currency.clone()).or_else(|| profile.currency.clone()),
        first_read: version.first_read,
        version: version.version,
        change,
        notes: Vec::new(),
    }
}

fn hex_sha(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn template(app: &App, target: &Target, document: bool) -> Result<Template, String> {
    if document {
        return Template::documents(Template::DEFAULT_DOCUMENTS).map_err(|e| e.to_string());
    }
    let text = target.settings.template.as_ref().unwrap_or(&app.config.statements.template);
    Template::statements(text).map_err(|e| format!("the name template \"{text}\": {e}"))
}
