//! A list of people and their clients that the firm keeps or exports. See README.md.
//!
//! `settings.rs` says what may be configured, `api.rs` reads bytes that nobody was writing, `text.rs` and `workbook.rs` make
//! lines of cells of them, `header.rs` finds the columns, and `map.rs` says what each line means. `issued.rs` knows dates.

mod api;
mod grid;
mod header;
mod issued;
mod map;
pub mod settings;
mod text;
mod workbook;

use async_trait::async_trait;
use ledgerward_contract::{
    AuthScheme, Build, ClientDirectory, ClientRow, Connector, Cursor, Error, ErrorKind, Factory, Grade,
    LedgerRoleDefault, Manifest, Page, ReadCx, Result, Timestamp,
};
use serde_json::Value;

pub use self::map::{Note, NoteKind, Report};
use self::settings::Settings;

/// The one operation of this connector, as errors name it.
pub(crate) const OP: &str = "clients.list";

/// What this connector is.
pub static MANIFEST: Manifest = Manifest {
    name: "roster",
    title: "Roster file",
    auth: AuthScheme::None,
    endpoints: &[],
    quotas: &[],
    access: None,
    grade: Some(Grade::C),
    statements: &[],
    // A word that is not here gives nothing until the firm says what it gives: `[connections.<name>.roles]`.
    roles: &[
        (map::LISTED, LedgerRoleDefault::Reader),
        ("Primary admin", LedgerRoleDefault::Reader),
        ("Company admin", LedgerRoleDefault::Reader),
        ("Standard all access", LedgerRoleDefault::Reader),
        ("Standard no access", LedgerRoleDefault::Nothing),
        ("Time tracking only", LedgerRoleDefault::Nothing),
        ("No access", LedgerRoleDefault::Nothing),
    ],
    settings: &[
        ("file", "absolute path of the list: .csv, .tsv, .txt or .xlsx; writable by nobody but its keepers"),
        (
            "columns",
            "table of person, client, client_id, name, role, status = a header or a position from 1 \
             (default: guessed from common headers; client_id never)",
        ),
        ("client", "the one client of the whole file, where no column names clients"),
        ("sheet", "which sheet of a workbook (default: the only visible one)"),
        ("encoding", "\"auto\" (UTF-8, or UTF-16 with its mark), or a name such as \"windows-1252\""),
        ("delimiter", "\"auto\", or one character (default auto: comma, semicolon, tab or bar)"),
        ("skip_lines", "lines at the top that are no part of the list (default 0)"),
        ("fill_down", "true where an empty client means the client of the line above (default false)"),
        (
            "issued",
            "when the list was made: \"file\" (its modification time, the default), { cell = \"B1\" } or \
             { column = \"Exported\" }",
        ),
        (
            "date_format",
            "of such a date in text, as strptime has it, e.g. \"%d/%m/%Y\" (default: dates with named months, or ISO)",
        ),
        ("stale_after_days", "an older list is not believed (default 35)"),
        ("statuses", "table of active, pending, disabled = lists of the status column's words"),
        ("people", "table of a name in the list = e-mail address, for a list without addresses"),
        (
            "nobody",
            "words in the person column that mean: nobody looks after this client (default nobody, none, unassigned, -)",
        ),
        (
            "skip_unreadable",
            "true to leave out lines that name no client, instead of refusing the list (default false)",
        ),
    ],
    unverified: &["QuickBooks Online's words for roles on \"Manage users\"; a word that is not known gives nothing."],
};

/// Named in the program's registry.
pub static FACTORY: RosterFactory = RosterFactory;

/// Builds [`Roster`] from settings.
#[derive(Debug)]
pub struct RosterFactory;

impl Factory for RosterFactory {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn build(&self, from: Build) -> Result<Box<dyn Connector>> {
        Ok(Box::new(Roster(Settings::read(&from.settings)?)))
    }
}

/// A configured list.
#[derive(Debug)]
pub struct Roster(Settings);

/// Reads a list and says line by line what was understood, whether or not it would be believed.
///
/// Errors: `Config`, for settings that are wrong. What is wrong with the list is in the report.
pub fn examine(settings: &Value, now: Timestamp) -> Result<Report> {
    Ok(map::examine(&Settings::read(settings)?, now))
}

impl Connector for Roster {
    fn directory(&self) -> Option<&dyn ClientDirectory> {
        Some(self)
    }
}

impl Roster {
    async fn read(&self, cx: &ReadCx) -> Result<Report> {
        let (settings, now) = (self.0.clone(), cx.now());
        let read = tokio::task::spawn_blocking(move || map::examine(&settings, now));
        // A damaged workbook that its reader trips over ends here, and never as a list.
        read.await
            .map_err(|e| Error::new(ErrorKind::Contract, OP, "the list could not be read to its end").source(e))?
            .believed()
    }
}

#[async_trait]
impl ClientDirectory for Roster {
    /// One page: a file is read whole or not at all.
    async fn clients(&self, cx: &ReadCx, _at: Cursor) -> Result<Page<ClientRow>> {
        Ok(Page::only(self.read(cx).await?.clients))
    }

    async fn issued(&self, cx: &ReadCx) -> Result<Option<Timestamp>> {
        Ok(self.read(cx).await?.issued)
    }
}
