//! `statements`: what was delivered and what is due; the same files to a local folder; and pushing by hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};

use ledgerward_contract::{
    ClientId, Date, FilePath, LedgerAccount, LedgerId, LedgerProfile, Period, PeriodLength, SourceKind, SourceRef,
    StatementKind, StatementRequest, Timestamp,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    access::{self, Filter, Sight},
    act,
    args::{StatementFilter, StatementsAct},
    console::Console,
    cycle,
    outcome::{Exit, Failure, Report},
    veil::Veil,
};
use crate::{
    app::App,
    deliver::{self, Only},
    domain::{
        firm::{AccountRef, Client, ClientState, Firm, Selection, SelectionScope},
        policy::{self, Answer},
    },
    engine, registry,
    render::plan::{applied, count},
    statement::{self, Format, Statement, StatementKey, YearEnd, naming},
    store::{Db, DeliveredFile, Result as Stored},
};

pub async fn run(
    app: &App,
    console: &mut dyn Console,
    which: StatementFilter,
    act: Option<StatementsAct>,
) -> Result<Report, Failure> {
    match act {
        None | Some(StatementsAct::List) => list(app, &which).await,
        Some(StatementsAct::Render { format, out }) => render(app, &which, format, &out).await,
        Some(StatementsAct::Push { rerender }) => push(app, console, &which, rerender).await,
        Some(StatementsAct::Accept { reason }) => accept(app, &which, &reason).await,
    }
}

/// What the store knows about statements.
struct Known {
    firm: Firm,
    /// The newest version of every statement: version, and when it was first read.
    versions: BTreeMap<StatementKey, (u32, Timestamp)>,
    /// By the part of a file's key that names the statement.
    files: BTreeMap<String, Vec<DeliveredFile>>,
    profiles: BTreeMap<String, (Timestamp, LedgerProfile)>,
    accounts: BTreeMap<SourceRef, Vec<LedgerAccount>>,
    /// Accounts that are closed, by ledger.
    closed: BTreeMap<String, deliver::ClosedAccounts>,
    /// What was found when the files of each folder were last looked at.
    looked: BTreeMap<String, deliver::Looked>,
    /// When each ledger had its first delivery.
    firsts: BTreeMap<String, Date>,
    /// The clients that may be shown, and what of each.
    clients: BTreeMap<ClientId, Papers>,
}

/// What of a client's statements somebody may see: the same as in the folders that are theirs.
enum Papers {
    All,
    /// Those of these accounts alone, and of no other kind (`product` 4).
    Of(BTreeSet<AccountRef>),
}

impl Papers {
    fn have(&self, key: &StatementKey) -> bool {
        match self {
            Self::All => true,
            Self::Of(accounts) => accounts
                .iter()
                .any(|a| policy::Papers::Of(a).take(&key.connection, &key.ledger, key.request.account.as_ref())),
        }
    }
}

/// What is shown of statements. A role may let somebody see which there are; the papers themselves are for whom the folder
/// is, because a role gives no folder (`product` 5).
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Names,
    Papers,
}

impl Known {
    async fn read(app: &App, which: &StatementFilter, purpose: For) -> Result<Self, Failure> {
        let firm = app.firm().await?;
        let filter = Filter::new(app, &firm, None, which.client.as_ref()).await?;
        let names = purpose == For::Names;
        let whose = match filter.sight {
            Sight::Own(person) => Some(person),
            Sight::Everything if names => None,
            Sight::Everything => act::asking(app, &firm),
        };
        let clients = match whose {
            None => {
                let all = firm.clients.values().filter(|c| filter.client(c));
                all.map(|c| (c.id, Papers::All)).collect()
            }
            Some(person) => {
                let rows = access::now(app, &firm, &filter).await?.rows;
                let own = |r: &&access::Row| r.answer == Answer::Yes && r.person.id == person.0.to_string();
                let mut own: BTreeMap<String, BTreeSet<Option<String>>> =
                    rows.iter().filter(own).fold(BTreeMap::new(), |mut own, r| {
                        own.entry(r.client.id.clone()).or_default().insert(r.account.clone());
                        own
                    });
                // A folder's account is without its ledger; the selection says of which it is.
                let chosen = |c: &Client, folders: BTreeSet<Option<String>>| {
                    let Some(Selection { scope: SelectionScope::Accounts(all), .. }) =
                        firm.selections.get(&(person, c.id))
                    else {
                        return BTreeSet::new();
                    };
                    all.iter().filter(|a| folders.contains(&Some(a.account.to_string()))).cloned().collect()
                };
                let papers = |c: &Client| match own.remove(&c.id.to_string()) {
                    _ if c.private_to == Some(person) || names && filter.reads(c) => Some((c.id, Papers::All)),
                    Some(folders) if folders.contains(&None) => Some((c.id, Papers::All)),
                    folders => Some((c.id, Papers::Of(chosen(c, folders?)))),
                };
                firm.clients.values().filter(|c| filter.client(c)).filter_map(papers).collect()
            }
        };
        let sources: Vec<SourceRef> =
            firm.clients.values().flat_map(|c| &c.sources).filter(|s| s.kind == SourceKind::Ledger).cloned().collect();
        let (versions, delivered, profiles, accounts, closed, looked, firsts) =
            app.store.run(move |db| stored(db, sources)).await?;
        let versions =
            versions.into_iter().filter_map(|(k, v, at)| Some((StatementKey::parse(&k)?, (v, at)))).collect();
        let mut files: BTreeMap<String, Vec<DeliveredFile>> = BTreeMap::new();
        for file in delivered.into_values().flatten() {
            files.entry(stem(file.delivered.key.as_str()).to_owned()).or_default().push(file);
        }
        Ok(Self { firm, versions, files, profiles, accounts, closed, looked, firsts, clients })
    }

    fn year_end(&self, client: &Client, source: &SourceRef) -> YearEnd {
        let profile = self.profiles.get(&crate::memory::source_key(source)).map(|(_, p)| p);
        let (month, day) = client.year_end.or(profile.and_then(|p| p.year_end)).unwrap_or((12, 31));
        YearEnd::new(month, day).unwrap_or(YearEnd::CALENDAR)
    }

    fn fault(&self, file: &DeliveredFile) -> Option<String> {
        let looked = self.looked.get(&crate::lanes::lane_text(&file.delivered.lane))?;
        Some(looked.faults.get(&file.delivered.key)?.fault.words())
    }

    fn shows(&self, key: &StatementKey) -> bool {
        self.clients.get(&key.client).is_some_and(|papers| papers.have(key) || self.hangs_on(key, papers))
    }

    /// Of which account a document is, its key does not say: the folder it went to does.
    fn hangs_on(&self, key: &StatementKey, papers: &Papers) -> bool {
        let Papers::Of(accounts) = papers else { return false };
        let here = |a: &&AccountRef| a.connection == key.connection && a.ledger == key.ledger;
        let mut folders = self.files(key).filter_map(|f| f.delivered.lane.folder.account.as_ref());
        key.request.kind.is_document() && folders.any(|f| accounts.iter().filter(here).any(|a| a.account == *f))
    }

    fn files(&self, key: &StatementKey) -> impl Iterator<Item = &DeliveredFile> {
        self.files.get(stem(key.file_key(1, "x").as_str())).into_iter().flatten()
    }

    /// Whether it was read once, under this key or the one it had.
    fn has(&self, key: &StatementKey) -> bool {
        self.versions.contains_key(key) || key.former().is_some_and(|f| self.versions.contains_key(&f))
    }

    fn account(&self, key: &StatementKey) -> Option<&LedgerAccount> {
        let id = key.request.account.as_ref()?;
        self.accounts.get(&ledger(key))?.iter().find(|a| a.id == *id)
    }
}

type FromStore = (
    Vec<(String, u32, Timestamp)>,
    BTreeMap<crate::domain::lane::LaneKey, Vec<DeliveredFile>>,
    BTreeMap<String, (Timestamp, LedgerProfile)>,
    BTreeMap<SourceRef, Vec<LedgerAccount>>,
    BTreeMap<String, deliver::ClosedAccounts>,
    BTreeMap<String, deliver::Looked>,
    BTreeMap<String, Date>,
);

fn stored(db: &mut Db, sources: Vec<SourceRef>) -> Stored<FromStore> {
    let mut accounts = BTreeMap::new();
    for source in sources {
        if let Some(list) = db.accounts(&source.connection, &LedgerId(source.id.clone()))? {
            accounts.insert(source, list);
        }
    }
    let (profiles, closed) = (db.doc_all(deliver::PROFILE)?, db.doc_all(deliver::CLOSED)?);
    let (looked, firsts) = (db.doc_all(deliver::LOOKED)?, db.doc_all(deliver::FIRST)?);
    Ok((db.statements()?, db.delivered()?, profiles, accounts, closed, looked, firsts))
}

/// The statement's part of a file's key.
fn stem(key: &str) -> &str {
    key.split('.').next().unwrap_or(key)
}

fn ledger(key: &StatementKey) -> SourceRef {
    SourceRef { connection: key.connection.clone(), kind: SourceKind::Ledger, id: key.ledger.0.clone() }
}

fn fits(which: &StatementFilter, kind: StatementKind, label: &str) -> bool {
    which.kind.is_none_or(|k| k == kind) && which.period.as_ref().is_none_or(|p| p.eq_ignore_ascii_case(label))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Due,
    /// Read from the ledger, and in no folder yet.
    Read,
    Delivered,
}

#[derive(Serialize)]
struct Row {
    client: String,
    ledger: String,
    kind: &'static str,
    period: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    state: State,
    version: String,
    files: Vec<FileWords>,
}

#[derive(Serialize)]
struct FileWords {
    target: String,
    path: String,
    format: String,
    version: String,
    bytes: String,
    /// It is not as it was delivered, as the last look at the folder found.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

fn row(known: &Known, key: &StatementKey, client: &Client, label: String, version: Option<u32>) -> Row {
    let files: Vec<FileWords> = known
        .files(key)
        .map(|f| FileWords {
            target: f.delivered.lane.target.to_string(),
            path: f.delivered.path.clone(),
            format: f.format.clone(),
            version: f.version.to_string(),
            bytes: f.size.to_string(),
            fault: known.fault(f),
        })
        .collect();
    let state = match version {
        None => State::Due,
        Some(_) if files.is_empty() => State::Read,
        Some(_) => State::Delivered,
    };
    Row {
        client: client.slug.clone(),
        ledger: format!("{}:{}", key.connection, key.ledger),
        kind: key.request.kind.slug(),
        period: label,
        account: key
            .request
            .account
            .as_ref()
            .map(|a| known.account(key).map_or_else(|| a.to_string(), |a| a.name.clone())),
        state,
        version: version.map_or_else(|| "none".to_owned(), |v| v.to_string()),
        files,
    }
}

async fn list(app: &App, which: &StatementFilter) -> Result<Report, Failure> {
    let known = Known::read(app, which, For::Names).await?;
    let mut rows = Vec::new();
    for (key, (version, _)) in &known.versions {
        let Some(client) = known.firm.clients.get(&key.client).filter(|_| known.shows(key)) else { continue };
        let label = known.year_end(client, &ledger(key)).label(&key.request.period);
        if fits(which, key.request.kind, &label) {
            rows.push(row(&known, key, client, label, Some(*version)));
        }
    }
    let mut unread = BTreeSet::new();
    for client in
        known.firm.clients.values().filter(|c| known.clients.contains_key(&c.id) && c.state == ClientState::Active)
    {
        for (key, label) in due(app, &known, client, &mut unread) {
            if known.shows(&key) && fits(which, key.request.kind, &label) && !known.has(&key) {
                rows.push(row(&known, &key, client, label, None));
            }
        }
    }
    rows.sort_by(|a, b| {
        (&a.client, &a.period, a.kind, &a.account, &a.ledger)
            .cmp(&(&b.client, &b.period, b.kind, &b.account, &b.ledger))
    });
    let json = json!({"schema": "ledgerward/statements/1", "statements": rows, "not_known": unread});
    let mut report = Report::new(Exit::Done, json, list_text(&rows));
    for line in unread {
        report = report.note(line);
    }
    Ok(report)
}

/// Every statement that the settings ask for by today, as far as the store knows the ledger's year and accounts.
fn due(app: &App, known: &Known, client: &Client, unread: &mut BTreeSet<String>) -> Vec<(StatementKey, String)> {
    let settings = &app.config.statements;
    let wanted = |t: &crate::config::schema::Target| t.kinds.clone().unwrap_or_else(|| settings.kinds.clone());
    let targets =
        app.config.targets.iter().filter(|(name, _)| client.targets.as_ref().is_none_or(|t| t.contains(*name)));
    let kinds: BTreeSet<StatementKind> = targets.flat_map(|(_, t)| wanted(t)).collect();
    let today = app.now().to_zoned(app.config.firm.timezone.clone()).date();
    // Accounts that have a folder of their own.
    let selected = known.firm.selections.iter().filter(|((_, of), _)| *of == client.id);
    let own: BTreeSet<&AccountRef> = selected
        .filter_map(|(_, s)| if let SelectionScope::Accounts(accounts) = &s.scope { Some(accounts) } else { None })
        .flatten()
        .collect();
    let none_closed = deliver::ClosedAccounts::new();
    let mut all = Vec::new();
    for source in client.sources.iter().filter(|s| s.kind == SourceKind::Ledger) {
        let entry = app.config.connections.get(&source.connection).and_then(|c| registry::entry(&c.remote.connector));
        let Some(entry) = entry else { continue };
        if client.year_end.is_none() && !known.profiles.contains_key(&crate::memory::source_key(source)) {
            unread.insert(format!(
                "{}: the year end of {}:{} has not been read yet; what is due there is unknown",
                client.slug, source.connection, source.id
            ));
            continue;
        }
        let year_end = known.year_end(client, source);
        let first = known.firsts.get(&deliver::place(client.id, source)).copied().unwrap_or(today).min(today);
        let since = deliver::since(client, first, year_end);
        let closed = known.closed.get(&crate::memory::source_key(source)).unwrap_or(&none_closed);
        for kind in
            kinds.iter().copied().filter(|k| entry.factory.manifest().statements.contains(k) && !k.is_document())
        {
            let accounts: Vec<Option<&LedgerAccount>> = match (kind.per_account(), known.accounts.get(source)) {
                (false, _) => vec![None],
                (true, Some(list)) => list.iter().map(Some).collect(),
                (true, None) => {
                    unread.insert(format!(
                        "{}: the bank accounts of {}:{} have not been read yet",
                        client.slug, source.connection, source.id
                    ));
                    continue;
                }
            };
            let lengths = if kind.per_account() { [PeriodLength::Month].into() } else { settings.periods.clone() };
            let periods: Vec<Period> =
                lengths.into_iter().flat_map(|l| year_end.due(l, since, today, settings.after_days)).collect();
            let basis = naming::basis_of(kind, settings.basis);
            let pushed = |a: &LedgerAccount, period: &Period| {
                (own.iter().any(|by| deliver::names(by, source, &a.id)) && deliver::may_have_papers(a, closed, period))
                    || deliver::pushed(client, source, a, closed, period)
            };
            for period in periods {
                for account in accounts.iter().filter(|a| a.is_none_or(|a| pushed(a, &period))) {
                    let account = account.map(|a| a.id.clone());
                    let request = StatementRequest { kind, basis, period, account };
                    let key = StatementKey {
                        client: client.id,
                        connection: source.connection.clone(),
                        ledger: LedgerId(source.id.clone()),
                        request,
                        item: None,
                    };
                    all.push((key, year_end.label(&period)));
                }
            }
        }
    }
    all
}

fn list_text(rows: &[Row]) -> String {
    let mut out = String::new();
    let mut client = "";
    for row in rows {
        if row.client != client {
            let gap = if client.is_empty() { "" } else { "\n" };
            client = &row.client;
            let _ = writeln!(out, "{gap}{client}");
        }
        let account = row.account.as_ref().map_or_else(String::new, |a| format!(" {a}"));
        let what = format!("{}{account}", row.kind);
        let state = match row.state {
            State::Due => "due".to_owned(),
            State::Read => format!("v{}, in no folder yet", row.version),
            State::Delivered => {
                let files: Vec<String> = row
                    .files
                    .iter()
                    .map(|f| {
                        let fault = f.fault.as_ref().map_or_else(String::new, |w| format!(" ({w})"));
                        format!("{}: {}{fault}", f.target, f.path)
                    })
                    .collect();
                format!("v{}  {}", row.version, files.join(", "))
            }
        };
        let _ = writeln!(out, "  {:<8}  {what:<28}  {state}", row.period);
    }
    let of = |s: State| rows.iter().filter(|r| r.state == s).count();
    let _ = writeln!(
        out,
        "{} delivered, {} read and in no folder, {} due.",
        count(of(State::Delivered), "statement"),
        of(State::Read),
        of(State::Due)
    );
    out
}

/// Local files of the newest versions in the store. No provider is asked; documents' own bytes are not kept here.
async fn render(app: &App, which: &StatementFilter, format: Option<Format>, out: &Path) -> Result<Report, Failure> {
    let known = Known::read(app, which, For::Papers).await?;
    let (mut written, mut skipped) = (Vec::new(), Vec::new());
    let mut called = BTreeMap::new();
    for key in known.versions.keys() {
        let Some(client) = known.firm.clients.get(&key.client).filter(|_| known.shows(key)) else { continue };
        let year_end = known.year_end(client, &ledger(key));
        let label = year_end.label(&key.request.period);
        if !fits(which, key.request.kind, &label) {
            continue;
        }
        let formats: Vec<Format> = match format {
            Some(f) => vec![f],
            None => app.config.statements.formats.iter().copied().collect(),
        };
        for format in formats.into_iter().filter(|f| f.fits(key.request.kind)) {
            let called = called.entry(key.client).or_insert_with(|| Called::of(&known, key.client));
            match one(app, &known, called, (client, key, format), out).await? {
                Ok(path) => written.push(path),
                Err(why) => skipped.push(format!(
                    "{} {label} {} as {}: {why}",
                    client.slug,
                    key.request.kind.slug(),
                    format.slug()
                )),
            }
        }
    }
    if !written.is_empty() {
        // Papers outside of their folder: a later question "who had them" finds an answer.
        let (now, to, files) = (app.now(), out.display().to_string(), written.clone());
        app.store.run(move |db| db.audit(now, "statement.render", &to, None::<&()>, Some(&files), None)).await?;
    }
    let text: String = written.iter().map(|p| format!("{p}\n")).collect();
    let exit = if skipped.is_empty() { Exit::Done } else { Exit::Partly };
    let json = json!({"schema": "ledgerward/statements-render/1", "files": written, "skipped": skipped});
    let mut report =
        Report::new(exit, json, text).note(format!("{} in {}", count(written.len(), "file"), out.display()));
    for line in skipped {
        report = report.note(format!("skipped: {line}"));
    }
    if written.is_empty() && app.person.is_some() {
        report = report.note("A role gives no papers: only those of clients that you can open are rendered.");
    }
    Ok(report)
}

/// What the files of one client are called: as in the folder where they were delivered, so that two accounts of one name
/// have the same two names here; what is in no folder yet gets one beside those.
struct Called {
    names: naming::Names,
    /// Two folders may have given one name to different files.
    used: BTreeSet<String>,
}

impl Called {
    fn of(known: &Known, client: ClientId) -> Self {
        let files = known.files.values().flatten().filter(|f| f.delivered.lane.folder.client == client);
        let paths: Vec<FilePath> = files.filter_map(path_of).collect();
        Self { names: naming::Names::of(&paths), used: BTreeSet::new() }
    }

    fn path<'f>(
        &mut self,
        delivered: impl Iterator<Item = &'f DeliveredFile>,
        template: &statement::Template,
        wanted: &statement::Wanted,
    ) -> Option<FilePath> {
        // The client's own folder before those of single accounts.
        let mut delivered: Vec<&DeliveredFile> = delivered.collect();
        delivered.sort_by_key(|f| (&f.delivered.lane.folder.account, &f.delivered.lane.target));
        let free = delivered.into_iter().filter_map(path_of).find(|p| self.used.insert(p.to_string()));
        free.or_else(|| self.names.give(template, wanted))
    }
}

fn path_of(file: &DeliveredFile) -> Option<FilePath> {
    FilePath::new(file.delivered.path.split('/').map(str::to_owned).collect())
}

async fn one(
    app: &App,
    known: &Known,
    called: &mut Called,
    (client, key, format): (&Client, &StatementKey, Format),
    out: &Path,
) -> Result<Result<String, String>, Failure> {
    let text = key.text();
    let version = app.store.run(move |db| db.statement_latest(&text)).await?;
    let Some((version, body)) = version.and_then(|v| deliver::body_of(&v).map(|b| (v, b))) else {
        return Ok(Err("a document's bytes are not kept".to_owned()));
    };
    let Some((_, profile)) = known.profiles.get(&crate::memory::source_key(&ledger(key))) else {
        return Ok(Err("the ledger's own name has not been read yet".to_owned()));
    };
    let change = deliver::change_of(app, key, &version, &body).await?;
    let year_end = known.year_end(client, &ledger(key));
    let title = app.config.connections.get(&key.connection).and_then(|c| registry::entry(&c.remote.connector));
    let title = title.map_or(key.connection.as_str(), |e| e.factory.manifest().title);
    let account = known.account(key);
    let head = deliver::head(app, &client.name, title, profile, account, year_end, key, &version, change);
    let rendered = match statement::render(&Statement { head, body }, format, &app.config.statements.look) {
        Ok(rendered) => rendered,
        Err(e) => return Ok(Err(e.to_string())),
    };
    let template = match statement::Template::statements(&app.config.statements.template) {
        Ok(template) => template,
        Err(e) => return Ok(Err(e.to_string())),
    };
    let several = client.sources.iter().filter(|s| s.kind == SourceKind::Ledger).count() > 1;
    let wanted = statement::Wanted {
        key: key.clone(),
        year_end,
        ledger: several.then(|| profile.name.clone()),
        account: account.map(|a| a.name.clone()),
        document: None,
        both_bases: false,
        version: version.version,
        ext: format.ext().to_owned(),
    };
    let delivered = known.files(key).filter(|f| f.delivered.key == key.file_key(version.version, format.ext()));
    let Some(path) = called.path(delivered, &template, &wanted) else {
        return Ok(Err("it has no name".to_owned()));
    };
    // The names are safe as components: what a client is called cannot leave the folder.
    let to = out.join(&client.slug).join(path.to_string());
    Ok(write(&to, &rendered.bytes).map(|()| to.display().to_string()).map_err(|e| format!("{}: {e}", to.display())))
}

/// Never over another file; the same bytes are there already on a repeat.
fn write(to: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::OpenOptions::new().write(true).create_new(true).open(to) {
        Ok(mut file) => {
            file.write_all(bytes)?;
            file.sync_all()
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && std::fs::read(to)? == bytes => Ok(()),
        Err(e) => Err(e),
    }
}

/// The delivery alone, now, for these clients: it reads the folders, passes the same fence, and changes no sharing list.
async fn push(
    app: &App,
    console: &mut dyn Console,
    which: &StatementFilter,
    rerender: bool,
) -> Result<Report, Failure> {
    cycle::may_publish(app).await?;
    cycle::refuse_restored(app).await?;
    if let Some(freeze) = app.store.run(|db| db.freeze()).await? {
        return Err(
            Failure::new(Exit::Held, format!("everything is frozen: {}", freeze.reason)).next("ledgerward freeze off")
        );
    }
    let (world, ask) = (app.world().await?, cycle::ask(app, which.client.as_ref(), false).await?);
    // Files alone: what is planned beside them is another command's.
    let ask = engine::Ask { reads_only: true, ..ask };
    let look = ask.clients.is_some();
    let only = Only { period: which.period.clone(), kind: which.kind, rerender, look, part: true };
    let run = cycle::start(app, "statements").await?;
    // Files alone: nobody was let in or out.
    app.store.run(move |db| db.run_part(run)).await?;
    let work = async {
        crate::apply::settle(app, &world, run).await?;
        let picture = engine::look(app, &world, run, &ask, console).await?;
        let veil = Veil::of(app, &picture.firm);
        Ok((deliver::run_only(app, &world, &picture, &[], &only, console).await?, veil))
    };
    let done = work.await;
    let exit =
        |d: &deliver::Delivery| if d.failed.is_empty() && d.waiting.is_empty() { Exit::Done } else { Exit::Partly };
    let (done, veil) = cycle::end(app, run, done, |(done, _)| exit(done)).await?;
    if (which.period.is_some() || which.kind.is_some()) && done.matched == 0 && exit(&done) == Exit::Done {
        let mut list = "ledgerward statements list".to_owned();
        if let Some(client) = &which.client {
            let _ = write!(list, " --client {}", client.0);
        }
        return Err(Failure::new(Exit::Failed, "no statement is like that: none was made, and none is due").next(list));
    }
    let text = format!("{}{} delivered.\n", applied(&[], &done, &veil), count(done.files.len(), "file"));
    let mut value = serde_json::to_value(&done)
        .map_err(|e| Failure::new(Exit::Failed, "the result cannot be written").cause(&e))?;
    veil.json(&mut value);
    Ok(Report::new(exit(&done), json!({"schema": "ledgerward/statements-push/1", "delivery": value}), text))
}

async fn accept(app: &App, which: &StatementFilter, reason: &str) -> Result<Report, Failure> {
    cycle::may_publish(app).await?;
    let Some(typed) = which.client.as_ref().filter(|_| which.period.is_none() && which.kind.is_none()) else {
        let next = "ledgerward statements accept --client CLIENT --reason TEXT, without a period or kind";
        return Err(Failure::new(Exit::Usage, "say whose folders are right as they are").next(next));
    };
    let firm = app.firm().await?;
    let client = act::client(app, &firm, &typed.0)?;
    let done = deliver::accept(app, client.id, reason).await?;
    let mut text = String::new();
    for file in &done {
        let _ = writeln!(text, "{}: {}", file.path, file.fault.words());
    }
    let _ = match done.len() {
        0 => writeln!(text, "The files of {} are as they were delivered; nothing was to accept.", client.slug),
        n => writeln!(text, "{} accepted as they are. What is changed after this is told again.", count(n, "file")),
    };
    let files: Vec<Value> = done.iter().map(|f| json!({"path": f.path, "is": f.fault.words()})).collect();
    let json = json!({"schema": "ledgerward/statements-accept/1", "client": client.slug, "files": files});
    Ok(Report::new(Exit::Done, json, text))
}
