//! What the commands of several words do: one enum a command.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::civil::Date;
use ledgerward_contract::{Email, StatementKind};

use super::values::{
    AuthorityArg, ClientArg, OfficeArg, PersonArg, SinceArg, SourceKindArg, UnlistedArg, YearEndArg, authority, digest,
    email, filled, format, kind, mode, office, since, unlisted, year_end,
};
use crate::{config::schema::Format, domain::firm::Mode};

#[derive(Debug, Subcommand)]
pub enum ConnectorAct {
    /// Run the conformance scenarios against a program, over recorded answers of its vendor
    Check {
        /// The program, as in the settings of a connection
        program: PathBuf,
        /// A file of recorded answers, in the form that connectors/process/README.md describes
        #[arg(long, value_name = "FILE")]
        answers: PathBuf,
        /// What the program answers: ledgers, clients, or both (--provides ledgers,clients, or the option twice)
        #[arg(long, value_enum, value_delimiter = ',', default_value = "ledgers")]
        provides: Vec<ProvidesArg>,
        /// A JSON object that the program gets with every call
        #[arg(long, value_name = "JSON")]
        options: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProvidesArg {
    Ledgers,
    Clients,
}

#[derive(Debug, Subcommand)]
pub enum HoldAct {
    /// All holds
    List,
    /// One hold's steps
    Show {
        #[arg(value_parser = digest)]
        digest: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum FreezeAct {
    /// Stop everything but revokes
    On {
        #[arg(long, value_name = "TEXT", value_parser = filled)]
        reason: String,
    },
    /// Go on
    Off,
    /// Whether it is on, since when and why
    Status,
}

#[derive(Debug, Subcommand)]
pub enum PeopleAct {
    /// Everybody
    List {
        /// Disabled people too
        #[arg(long)]
        all: bool,
    },
    /// Add a person, with nothing selected
    Add {
        #[arg(value_parser = email)]
        email: Email,
        #[arg(long, value_parser = filled)]
        first: String,
        #[arg(long, value_parser = filled)]
        last: String,
        /// primary-owner cannot be given here: see `people hand-over`
        #[arg(long, value_parser = office, default_value = "employee")]
        office: OfficeArg,
        /// all, selected, ledger or ledger+selected
        #[arg(long, value_parser = mode, default_value = "ledger+selected")]
        mode: Mode,
    },
    /// Change a name or the address
    #[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["first", "last", "email"]))]
    Edit {
        person: PersonArg,
        #[arg(long, value_parser = filled)]
        first: Option<String>,
        #[arg(long, value_parser = filled)]
        last: Option<String>,
        #[arg(long, value_parser = email)]
        email: Option<Email>,
    },
    /// Nothing any more, at once, everywhere
    Disable { person: PersonArg },
    /// Undo a disable
    Enable { person: PersonArg },
    /// Set what decides a person's access: all, selected, ledger or ledger+selected
    Mode {
        person: PersonArg,
        #[arg(value_parser = mode)]
        mode: Mode,
    },
    /// Set what a person may do in ledgerward; asks for the mode again
    Office {
        person: PersonArg,
        #[arg(value_parser = office)]
        office: OfficeArg,
        #[arg(long, value_parser = mode)]
        mode: Mode,
    },
    /// Another address under which a connection knows a person
    Alias {
        person: PersonArg,
        /// As in the configuration
        connection: String,
        #[arg(value_parser = email)]
        email: Email,
        #[arg(long)]
        remove: bool,
    },
    /// The address a person uses on a target, where it differs
    #[command(group = clap::ArgGroup::new("which").required(true).args(["email", "remove"]))]
    Address {
        person: PersonArg,
        /// As in the configuration
        target: String,
        #[arg(value_parser = email)]
        email: Option<Email>,
        #[arg(long)]
        remove: bool,
    },
    /// Accept that a person's address is outside the firm's domains
    AcceptDomain { person: PersonArg },
    /// Open a person whom `revoke --now` closed
    Lift { person: PersonArg },
    /// Make another enabled owner the primary owner
    HandOver { person: PersonArg },
    /// Say that a provider's user is this person
    ConfirmPin {
        person: PersonArg,
        /// As in the configuration
        connection: String,
        ledger: String,
        /// The provider's own id of the user, as `findings` shows it
        user: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum ClientsAct {
    /// All clients you may see
    List {
        /// Archived and closed ones too
        #[arg(long)]
        all: bool,
    },
    /// Add a client, bound to nothing
    Add {
        #[arg(value_parser = filled)]
        name: String,
    },
    /// Make proposed clients real, and say who gains what
    #[command(group = clap::ArgGroup::new("which").required(true).args(["clients", "all"]))]
    Accept {
        clients: Vec<ClientArg>,
        /// Every proposed one
        #[arg(long)]
        all: bool,
    },
    /// Say that a source is this client's
    Bind {
        client: ClientArg,
        /// As in the configuration
        connection: String,
        /// The provider's own id of the ledger or practice client
        id: String,
        /// Which of the connection's lists it is in; left out where it has one only
        #[arg(long, value_enum)]
        kind: Option<SourceKindArg>,
    },
    /// Take a source away from a client
    Unbind {
        client: ClientArg,
        connection: String,
        id: String,
        /// Which of the connection's lists it is in; left out where it has one only
        #[arg(long, value_enum)]
        kind: Option<SourceKindArg>,
    },
    /// Say that a ledger that listed its users no longer can, so that its clients are handled as those without a list
    ConfirmUnlisted {
        client: ClientArg,
        connection: String,
        /// The provider's own id of the ledger
        id: String,
        /// Kept in the audit trail
        #[arg(long, value_name = "TEXT", value_parser = filled)]
        reason: String,
    },
    /// Rename a client, and its folder where folders have ids
    Rename {
        client: ClientArg,
        #[arg(value_parser = filled)]
        name: String,
    },
    /// Stop deliveries; the folder's sharing list stays
    Archive { client: ClientArg },
    /// Deliver again to an archived or closed client
    Reopen { client: ClientArg },
    /// Archive, and let out everybody we let in
    Close { client: ClientArg },
    /// Which sources decide: all, any, or CONNECTION:ID
    Authority {
        client: ClientArg,
        #[arg(value_parser = authority)]
        authority: AuthorityArg,
    },
    /// What counts where the ledger lists nobody: manual, deny, roster, or default for the firm's policy
    Unlisted {
        client: ClientArg,
        #[arg(value_parser = unlisted)]
        unlisted: UnlistedArg,
    },
    /// On which targets the client has a folder; `--all` for every one
    #[command(group = clap::ArgGroup::new("which").required(true).args(["targets", "all"]))]
    Targets {
        client: ClientArg,
        targets: Vec<String>,
        #[arg(long)]
        all: bool,
    },
    /// Move a client from one target to another: the new folder is shared and filled, then the old one is closed
    #[command(
        after_help = "Files in the old folder stay there. A move that was interrupted goes on with the next sync, or with the same\n\
                            command again."
    )]
    Move {
        client: ClientArg,
        /// The target it leaves, as in the configuration
        #[arg(long, value_name = "TARGET")]
        from: String,
        /// The target it goes to
        #[arg(long, value_name = "TARGET")]
        to: String,
        /// Kept in the audit trail
        #[arg(long, value_name = "TEXT", value_parser = filled)]
        reason: Option<String>,
        /// Do it; otherwise the plan is shown and, on a terminal, asked about
        #[arg(long, short)]
        yes: bool,
    },
    /// Have a new folder made where the client's is gone for good
    NewFolder {
        client: ClientArg,
        /// As in the configuration
        target: String,
        /// Kept in the audit trail
        #[arg(long, value_name = "TEXT", value_parser = filled)]
        reason: String,
    },
    /// Which bank accounts are pushed; `--all` for every one
    #[command(group = clap::ArgGroup::new("which").required(true).args(["accounts", "all"]))]
    Accounts {
        client: ClientArg,
        /// As `CONNECTION:LEDGER:ACCOUNT`, or ACCOUNT where the client has one ledger
        accounts: Vec<String>,
        #[arg(long)]
        all: bool,
    },
    /// What becomes of the folders' names after a rename
    RenameFolder { client: ClientArg },
    /// From which day on statements are made: YYYY-MM-DD; beginning, which is ten financial years back; or default, the financial
    /// year in which the client was turned on
    Since {
        client: ClientArg,
        #[arg(value_name = "DATE", value_parser = since)]
        date: SinceArg,
    },
    /// The last day of the financial year: MM-DD, or ledger for what the ledger says
    YearEnd {
        client: ClientArg,
        #[arg(value_name = "MM-DD", value_parser = year_end)]
        day: YearEndArg,
    },
}

#[derive(Debug, Subcommand)]
pub enum HoldersAct {
    /// Who is on a folder beside the plan
    List {
        #[arg(long)]
        client: Option<ClientArg>,
    },
    /// Leave somebody on the folder; not ours
    Accept(HolderArgs),
    /// Take an entitled person's hand-made access as ours from now on
    Adopt(HolderArgs),
    /// Take somebody off the folder: one approved step
    Remove(HolderArgs),
    /// Let go of all that we gave on a target that is not in the configuration any more. Nobody is taken off
    Release {
        target: String,
        /// Kept in the audit trail
        #[arg(long, value_name = "TEXT", value_parser = filled)]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub struct HolderArgs {
    pub client: ClientArg,
    /// As in the configuration
    pub target: String,
    /// As `holders list` shows it: an address, group:…, link:…
    pub holder: String,
    #[arg(long, value_name = "TEXT", value_parser = filled)]
    pub reason: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum PrivateAct {
    /// Your own
    List,
    /// Add a private client of your own
    Add {
        #[arg(value_parser = filled)]
        name: String,
    },
    /// Make it an ordinary client
    Convert {
        client: ClientArg,
        /// Kept in the audit trail
        #[arg(long, value_name = "TEXT", value_parser = filled)]
        reason: Option<String>,
    },
    /// Give named people its folder on one target
    Share {
        client: ClientArg,
        #[arg(long)]
        target: String,
        /// May be repeated; there is no wildcard
        #[arg(long = "with", value_name = "PERSON", required = true)]
        people: Vec<PersonArg>,
        /// Kept in the audit trail
        #[arg(long, value_name = "TEXT", value_parser = filled)]
        reason: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum FirmAct {
    /// Write the file to stdout
    Export,
    /// Make the firm what the file says; what is absent stays
    Apply {
        /// What `firm export` wrote; - for standard input
        file: PathBuf,
        /// Also disable, archive and unselect what the file leaves out
        #[arg(long)]
        prune: bool,
        /// Show the changes and stop
        #[arg(long)]
        dry_run: bool,
        /// Answer the prompt
        #[arg(long, short)]
        yes: bool,
    },
}

/// Which statements.
#[derive(Debug, Args)]
pub struct StatementFilter {
    #[arg(long, global = true)]
    pub client: Option<ClientArg>,
    /// 2026-10, 2026-Q2 or FY2026
    #[arg(long, global = true, value_parser = period)]
    pub period: Option<String>,
    #[arg(long, global = true, value_parser = kind)]
    pub kind: Option<StatementKind>,
}

#[derive(Debug, Subcommand)]
pub enum StatementsAct {
    /// What was delivered, and what is due
    List,
    /// Write to a local folder
    Render {
        #[arg(long, value_parser = format)]
        format: Option<Format>,
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Push again
    Push {
        /// With this version's rendering, though the data is the same
        #[arg(long)]
        rerender: bool,
    },
    /// What was changed, renamed or deleted by hand in a client's folders is right as it is
    Accept {
        /// Kept in the audit trail
        #[arg(long, value_name = "TEXT", value_parser = filled)]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum AuditAct {
    /// Check the chain from its first line to the stored head, or a sealed pack by itself
    Verify {
        /// Also that this export (JSON lines) says, byte for byte, what the chain says
        #[arg(long, value_name = "FILE", conflicts_with = "pack")]
        file: Option<PathBuf>,
        /// A pack of `leaver` or `review`, a directory or the answer it came in; needs no state
        #[arg(long, value_name = "DIR")]
        pack: Option<PathBuf>,
    },
    /// As JSON lines or CSV, oldest first
    Export {
        #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
        since: Option<Date>,
        /// From the row after this one on
        #[arg(long, value_name = "ROW")]
        after: Option<u32>,
        /// So many rows at most
        #[arg(long, value_name = "COUNT")]
        limit: Option<u32>,
        #[arg(long, value_enum, default_value_t)]
        format: AuditFormat,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AuditFormat {
    #[default]
    Jsonl,
    Csv,
}

#[derive(Debug, Subcommand)]
pub enum ApiAct {
    /// The description of the API (OpenAPI 3.1)
    Openapi,
    /// Tokens for loopback TCP: each acts as one person
    Token {
        #[command(subcommand)]
        act: TokenAct,
    },
}

#[derive(Debug, Subcommand)]
pub enum TokenAct {
    /// Make one, and show it this once
    Add {
        /// What it is for
        #[arg(value_parser = filled)]
        name: String,
        /// As whom it acts
        #[arg(long)]
        person: PersonArg,
        /// The last day it is good for
        #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
        expires: Option<Date>,
    },
    /// Your own; everybody's for owners
    List,
    /// End one, at once
    Revoke {
        #[arg(value_parser = filled)]
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum RosterAct {
    /// Believe a list that is a third shorter, older, empty in part, or whose clients are suddenly others
    Accept {
        /// As in the configuration: the staff of [connections.staff]
        connection: String,
        /// Kept in the audit trail
        #[arg(long, value_name = "TEXT", value_parser = filled)]
        reason: String,
    },
    /// Try a file before it is configured; exits 1 if nothing of it would be used
    #[command(after_help = "Example:\n  ledgerward roster check users.csv --client \"Acme Ltd\" --person-column Email")]
    Check(RosterCheck),
}

/// How to read a list: the settings of the roster connector, as far as a first look needs them.
#[derive(Debug, Args)]
pub struct RosterCheck {
    /// .csv, .tsv, .txt or .xlsx
    pub file: PathBuf,
    /// The header over the e-mail addresses [default: guessed]
    #[arg(long, value_name = "HEADER", value_parser = filled)]
    pub person_column: Option<String>,
    /// The header over the clients' names [default: guessed]
    #[arg(long, value_name = "HEADER", value_parser = filled, conflicts_with = "client")]
    pub client_column: Option<String>,
    /// The header over the roles [default: guessed]
    #[arg(long, value_name = "HEADER", value_parser = filled)]
    pub role_column: Option<String>,
    /// The header over the statuses [default: guessed]
    #[arg(long, value_name = "HEADER", value_parser = filled)]
    pub status_column: Option<String>,
    /// The one client of the whole file
    #[arg(long, value_name = "NAME", value_parser = filled)]
    pub client: Option<String>,
    /// Which sheet of a workbook
    #[arg(long, value_name = "NAME")]
    pub sheet: Option<String>,
    /// Such as windows-1252 [default: UTF-8, or UTF-16 with its mark]
    #[arg(long, value_name = "NAME")]
    pub encoding: Option<String>,
    /// One character, or tab [default: found out]
    #[arg(long, value_name = "CHARACTER")]
    pub delimiter: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum KeyAct {
    /// Seal the tokens with a new key
    Rotate,
    /// The key is lost for good: begin with a new one. Every sign-in must be made again
    Replace {
        /// For the audit trail
        #[arg(long)]
        reason: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// A day and nothing more: a time of day would be left out without a word.
pub fn day(text: &str) -> Result<Date, String> {
    let day = Date::strptime("%Y-%m-%d", text);
    day.map_err(|_| "a day is written like 2026-10-31".to_owned())
}

/// A period's label, however it is capitalised. Which months a quarter has is the client's own; that it is one is not.
fn period(text: &str) -> Result<String, String> {
    let label = text.to_ascii_uppercase();
    let known = crate::statement::YearEnd::CALENDAR.parse(&label).is_some();
    known.then_some(label).ok_or_else(|| "a period is written like 2026-10, 2026-Q2 or FY2026".to_owned())
}
