//! The command line's words: clap types only. What a command does is in its own file beside this one.
//!
//! A contract (`product` 9): scripts depend on every name and exit code here.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum, error::ErrorKind};
use jiff::civil::Date;
use ledgerward_contract::{Email, StatementKind};

use crate::{
    config::schema::Format,
    domain::{
        change,
        firm::{Mode, Unlisted},
    },
};

/// Wrong usage, clap's own 2 included (`product` 9). 2 means that `plan` found changes.
pub const EXIT_USAGE: u8 = 64;

const EXIT_CODES: &str = "\
Exit codes:
  0  done, or nothing to do        1  failed
  2  plan found changes            3  a guard holds steps: see `ledgerward hold`
  4  sign-in needed                5  finished with held or failed lanes
  64 wrong usage                   75 another instance holds the lock
  78 configuration or state refused

First steps:
  ledgerward demo
  ledgerward init --owner ana@harbour.example --name \"Harbour & Co\"
  ledgerward connect xero
  ledgerward plan";

/// Keeps each client's folder shared with exactly the people who may open that client's ledger, and puts the statements
/// there.
#[derive(Debug, Parser)]
#[command(name = "ledgerward", version, after_help = EXIT_CODES, max_term_width = 110, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Everywhere.
#[derive(Debug, Args)]
pub struct Global {
    /// The configuration [default: /etc/ledgerward/config.toml]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub config: Option<PathBuf>,
    /// The folder of the state [default: /var/lib/ledgerward]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub state: Option<PathBuf>,
    /// Who is acting; for root and for users named in [operators] only
    #[arg(long = "as", global = true, value_name = "EMAIL", value_parser = email, help_heading = "Everywhere")]
    pub acting: Option<Email>,
    /// Print the result as JSON
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
    /// Print the result and nothing else
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a whole firm in a sandbox: connect, pull, decide, plan, apply, statements; nothing leaves the machine
    Demo {
        /// Keep the sandbox's files here instead of a folder that is removed at the end
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Serve the providers' fakes over real HTTP, for trying connectors and clients
    Sandbox {
        /// A loopback address
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8787")]
        listen: std::net::SocketAddr,
    },
    /// Write a commented configuration and make the primary owner
    Init {
        /// The primary owner: the one person who can do everything
        #[arg(long, value_name = "EMAIL", value_parser = email)]
        owner: Email,
        /// The firm's name
        #[arg(long, value_parser = filled)]
        name: String,
        /// The owner's first name
        #[arg(long, value_parser = filled)]
        first: Option<String>,
        /// The owner's last name
        #[arg(long, value_parser = filled)]
        last: Option<String>,
    },
    /// Sign in to a connection or target
    Connect {
        /// As in the configuration: the xero of [connections.xero]
        name: String,
        /// Print the address instead of opening a browser
        #[arg(long)]
        no_browser: bool,
    },
    /// Pull, plan, guard and apply, once
    Sync {
        /// Only this client
        #[arg(long)]
        client: Option<ClientArg>,
        /// Answer the prompt. It never approves a hold
        #[arg(long, short)]
        yes: bool,
        /// Wait for the second reading of removals that one reading has seen
        #[arg(long)]
        wait: bool,
    },
    /// Read the providers and the folders, and change nothing
    Pull {
        /// Only this client
        #[arg(long)]
        client: Option<ClientArg>,
    },
    /// Show every step and why
    #[command(after_help = "Exits 2 if there is something to apply.")]
    Plan {
        /// Only this client
        #[arg(long)]
        client: Option<ClientArg>,
        /// From what the last pull read, without asking any provider
        #[arg(long)]
        offline: bool,
    },
    /// Do exactly the plan that was shown, by its digest
    Apply {
        #[arg(value_parser = digest)]
        digest: String,
        /// Answer the prompt. It never approves a hold
        #[arg(long, short)]
        yes: bool,
    },
    /// Approve one hold, by its digest
    #[command(after_help = "An approval names one hold, cannot be reused and loosens no limit.\n\nExample:\n  \
                            ledgerward approve 7f3c91aa --reason \"Bob left on Friday\"")]
    Approve {
        #[arg(value_parser = digest)]
        digest: String,
        /// Kept in the audit trail
        #[arg(long, value_name = "TEXT", value_parser = filled)]
        reason: String,
        /// Until when it may be used, e.g. "24 hours"
        #[arg(long, value_name = "DURATION", default_value = "24 hours")]
        expires: String,
    },
    /// What a guard held, and why
    Hold {
        #[command(subcommand)]
        act: Option<HoldAct>,
    },
    /// The switch that stops everything but revokes
    Freeze {
        #[command(subcommand)]
        act: Option<FreezeAct>,
    },
    /// The daemon
    Run,
    /// How things stand, on one screen
    Status {
        /// For a monitor: one line, and exit 1 if something is stale or broken
        #[arg(long)]
        check: bool,
    },
    /// The last runs
    Runs {
        #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20)]
        limit: u32,
    },
    /// What a person must know or do
    Findings {
        /// Resolved ones too
        #[arg(long)]
        all: bool,
    },
    /// Check the configuration, the state, and each connection and target
    Doctor {
        /// Without asking any provider
        #[arg(long)]
        offline: bool,
    },
    /// Who works here
    People {
        #[command(subcommand)]
        act: Option<PeopleAct>,
    },
    /// The clients, and what they are bound to
    Clients {
        #[command(subcommand)]
        act: Option<ClientsAct>,
    },
    /// Choose clients for a person
    #[command(after_help = "\
Each client is answered by its own line: granted, already has access, no matching access, needs access in the ledger
first, pending.

Examples:
  ledgerward select bob@harbour.example acme-ltd birch-llp
  ledgerward select bob --all-granted
  ledgerward select bob acme-ltd --account 1000-bank
  ledgerward select bob acme-ltd --remove")]
    Select(SelectArgs),
    /// Which ledger roles give what
    Roles {
        #[command(subcommand)]
        act: Option<RolesAct>,
    },
    /// People on a folder whom ledgerward did not put there
    Holders {
        #[command(subcommand)]
        act: Option<HoldersAct>,
    },
    /// Somebody's own books, which are in nobody else's access
    Private {
        #[command(subcommand)]
        act: Option<PrivateAct>,
    },
    /// People, clients and selections as one file
    Firm {
        #[command(subcommand)]
        act: FirmAct,
    },
    /// The connectors this program has, and what each can do
    Connectors,
    /// Who sees what
    Access {
        #[arg(long)]
        person: Option<PersonArg>,
        #[arg(long)]
        client: Option<ClientArg>,
        /// As it was at the end of that day
        #[arg(long, value_name = "YYYY-MM-DD")]
        at: Option<Date>,
        #[arg(long, value_enum, default_value_t)]
        format: TableFormat,
    },
    /// Why a person sees a client
    Why { person: PersonArg, client: ClientArg },
    /// Why a person does not see a client, and what would change it
    WhyNot { person: PersonArg, client: ClientArg },
    /// Take a person's access away
    #[command(after_help = "\
Needs no provider, passes every guard and freeze, and closes the person until `ledgerward people lift`.
What it cannot close (hand-made shares, groups, links) it prints, and exits 5.")]
    Revoke {
        person: PersonArg,
        /// Required: there is no later
        #[arg(long, required = true)]
        now: bool,
        /// Kept in the audit trail
        #[arg(long, value_name = "TEXT", value_parser = filled)]
        reason: Option<String>,
    },
    /// Statements: list, render to a local file, push again
    Statements {
        #[command(flatten)]
        which: StatementFilter,
        #[command(subcommand)]
        act: Option<StatementsAct>,
    },
    /// The tamper-evident log of what was done
    Audit {
        #[command(subcommand)]
        act: AuditAct,
    },
    /// Write a consistent copy of the state
    Backup {
        /// A new file; an existing one is never overwritten
        file: PathBuf,
    },
    /// Put a backup in the place of an absent state
    Restore { file: PathBuf },
    /// The key that seals the tokens
    Key {
        #[command(subcommand)]
        act: KeyAct,
    },
    /// Print a completion script
    Completions { shell: clap_complete::Shell },
    /// Print the manual page
    Man,
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
    Disable {
        person: PersonArg,
    },
    Enable {
        person: PersonArg,
    },
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
    AcceptDomain {
        person: PersonArg,
    },
    /// Open a person whom `revoke --now` closed
    Lift {
        person: PersonArg,
    },
    /// Make another enabled owner the primary owner
    HandOver {
        person: PersonArg,
    },
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
    /// Make proposed clients real
    Accept {
        #[arg(required = true)]
        clients: Vec<ClientArg>,
    },
    /// Say that a source is this client's
    Bind {
        client: ClientArg,
        /// As in the configuration
        connection: String,
        /// The provider's own id of the ledger or practice client
        id: String,
        #[arg(long, value_enum, default_value_t)]
        kind: SourceKindArg,
    },
    /// Take a source away from a client
    Unbind {
        client: ClientArg,
        connection: String,
        id: String,
        #[arg(long, value_enum, default_value_t)]
        kind: SourceKindArg,
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
    /// Which bank accounts are pushed; `--all` for every one
    #[command(group = clap::ArgGroup::new("which").required(true).args(["accounts", "all"]))]
    Accounts {
        client: ClientArg,
        /// As `CONNECTION:LEDGER:ACCOUNT`, or ACCOUNT where the client has one ledger
        accounts: Vec<String>,
        #[arg(long)]
        all: bool,
    },
    /// Rename the folder by hand where a folder is its path
    RenameFolder { client: ClientArg },
}

/// `select PERSON CLIENT…`
#[derive(Debug, Args)]
pub struct SelectArgs {
    pub person: PersonArg,
    #[arg(required_unless_present = "all_granted", conflicts_with = "all_granted")]
    pub clients: Vec<ClientArg>,
    /// Keep the wish until the ledger grants it
    #[arg(long, conflicts_with_all = ["remove", "all_granted"])]
    pub when_granted: bool,
    /// Every client that the ledger grants this person now
    #[arg(long, conflicts_with = "remove")]
    pub all_granted: bool,
    /// Only this account's own papers; may be repeated. As for `clients accounts`
    #[arg(long = "account", value_name = "ACCOUNT", conflicts_with_all = ["remove", "all_granted"])]
    pub accounts: Vec<String>,
    /// Take the selection away
    #[arg(long)]
    pub remove: bool,
}

#[derive(Debug, Subcommand)]
pub enum RolesAct {
    /// The table, connection by connection
    Table {
        /// As in the configuration
        connection: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum HoldersAct {
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
    Convert { client: ClientArg },
    /// Give named people its folder on one target
    Share {
        client: ClientArg,
        #[arg(long)]
        target: String,
        /// May be repeated; there is no wildcard
        #[arg(long = "with", value_name = "PERSON", required = true)]
        people: Vec<PersonArg>,
    },
}

#[derive(Debug, Subcommand)]
pub enum FirmAct {
    /// Write the file to stdout
    Export,
    /// Make the firm what the file says; what is absent stays
    Apply {
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
    #[arg(long, global = true, value_parser = filled)]
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
}

#[derive(Debug, Subcommand)]
pub enum AuditAct {
    /// Check the chain from its first line to the stored head
    Verify,
    /// As JSON lines
    Export {
        #[arg(long, value_name = "YYYY-MM-DD")]
        since: Option<Date>,
    },
}

#[derive(Debug, Subcommand)]
pub enum KeyAct {
    /// Seal the tokens with a new key
    Rotate,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    #[default]
    Text,
    Csv,
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SourceKindArg {
    #[default]
    Ledger,
    PracticeClient,
    Roster,
}

impl From<SourceKindArg> for ledgerward_contract::SourceKind {
    fn from(k: SourceKindArg) -> Self {
        match k {
            SourceKindArg::Ledger => Self::Ledger,
            SourceKindArg::PracticeClient => Self::PracticeClient,
            SourceKindArg::Roster => Self::Roster,
        }
    }
}

/// A person as typed: an address, the part of it before the @, a full name, or eight or more digits of the id. Resolved
/// against the firm by [`crate::domain::change::find_person`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonArg(pub String);

/// A client as typed: its slug, its exact name, or eight or more digits of the id. Resolved against the firm by
/// [`crate::domain::change::find_client`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientArg(pub String);

impl std::str::FromStr for PersonArg {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        filled(s).map(Self)
    }
}

impl std::str::FromStr for ClientArg {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        filled(s).map(Self)
    }
}

/// An office that can be given. The primary owner's is only handed over.
pub type OfficeArg = crate::domain::firm::Office;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorityArg {
    All,
    Any,
    Named { connection: String, id: String },
}

/// `None`: the firm's policy again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnlistedArg(pub Option<Unlisted>);

fn filled(s: &str) -> Result<String, String> {
    let s = s.trim();
    if s.is_empty() {
        return Err("it is empty".to_owned());
    }
    if s.chars().any(char::is_control) {
        return Err("it has a line break or another control character in it".to_owned());
    }
    Ok(s.to_owned())
}

fn email(s: &str) -> Result<Email, String> {
    Email::parse(s).map_err(|e| e.to_string())
}

fn digest(s: &str) -> Result<String, String> {
    let s = s.to_ascii_lowercase();
    if (8..=64).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(s)
    } else {
        Err("a digest is eight or more hex digits, as `plan` and `hold` print them".to_owned())
    }
}

fn one_of<T>(found: Option<T>, choices: &str) -> Result<T, String> {
    found.ok_or_else(|| format!("use one of: {choices}"))
}

fn mode(s: &str) -> Result<Mode, String> {
    one_of(Mode::parse(s), "all, selected, ledger, ledger+selected")
}

fn kind(s: &str) -> Result<StatementKind, String> {
    one_of(StatementKind::parse(s), &StatementKind::ALL.map(StatementKind::slug).join(", "))
}

fn format(s: &str) -> Result<Format, String> {
    one_of(Format::parse(s), &Format::ALL.map(Format::slug).join(", "))
}

fn office(s: &str) -> Result<OfficeArg, String> {
    match s {
        "primary-owner" => Err("there is exactly one primary owner: see `ledgerward people hand-over`".to_owned()),
        _ => one_of(change::parse_office(s), "owner, admin, employee, viewer, custom:NAME"),
    }
}

fn authority(s: &str) -> Result<AuthorityArg, String> {
    match s {
        "all" => Ok(AuthorityArg::All),
        "any" => Ok(AuthorityArg::Any),
        _ => match s.split_once(':') {
            Some((connection, id)) if !connection.is_empty() && !id.is_empty() => {
                Ok(AuthorityArg::Named { connection: connection.to_owned(), id: id.to_owned() })
            }
            _ => Err("use all, any, or CONNECTION:ID of one of the client's sources".to_owned()),
        },
    }
}

fn unlisted(s: &str) -> Result<UnlistedArg, String> {
    match s {
        "default" => Ok(UnlistedArg(None)),
        _ => one_of(change::parse_unlisted(s), "manual, deny, roster, default").map(|u| UnlistedArg(Some(u))),
    }
}

/// Parses, or prints what clap says and gives the exit code: 0 for help and version, 64 for wrong usage.
pub fn parse(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Cli, ExitCode> {
    Cli::try_parse_from(args).map_err(|e| {
        // A closed pipe at the other end of `--help | head` is no failure of ours.
        let _ = e.print();
        exit_code(e.kind())
    })
}

fn exit_code(kind: ErrorKind) -> ExitCode {
    match kind {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(EXIT_USAGE),
    }
}

/// The clap command, for completions and the manual page.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("ledgerward").chain(text.split_whitespace()))
    }

    fn good(text: &str) -> Command {
        line(text).unwrap_or_else(|e| panic!("{text}: {e}")).command
    }

    #[test]
    fn verify_cli() {
        command().debug_assert();
    }

    #[test]
    fn every_line_of_the_contract_parses() {
        for text in [
            "demo",
            "demo --dir /tmp/d --json",
            "sandbox --listen 127.0.0.1:9999",
            "init --owner ana@harbour.example --name Harbour",
            "connect xero --no-browser",
            "sync --client acme-ltd --yes --wait",
            "pull",
            "plan --offline --json",
            "apply 7f3c91aa",
            "approve 7F3C91AA --reason checked",
            "hold",
            "hold list",
            "hold show 7f3c91aa",
            "freeze",
            "freeze on --reason audit",
            "freeze off",
            "freeze status",
            "run",
            "status --check",
            "runs -n 5",
            "findings --all",
            "doctor",
            "people",
            "people add b@harbour.example --first Bob --last Brown --office custom:payroll --mode selected",
            "people edit bob --email bob@harbour.example",
            "people disable bob",
            "people enable bob",
            "people mode bob ledger+selected",
            "people office bob admin --mode all",
            "people alias bob xero bob@old.example",
            "people address bob drive bob@drive.example",
            "people address bob drive --remove",
            "people accept-domain bob",
            "people lift bob",
            "people hand-over bob",
            "people confirm-pin bob xero L1 U1",
            "clients list --all",
            "clients add Acme",
            "clients accept acme-ltd birch-llp",
            "clients bind acme-ltd xero 11-22 --kind practice-client",
            "clients unbind acme-ltd xero 11-22",
            "clients rename acme-ltd Apex",
            "clients archive acme-ltd",
            "clients reopen acme-ltd",
            "clients close acme-ltd",
            "clients authority acme-ltd any",
            "clients authority acme-ltd xero:11-22",
            "clients unlisted acme-ltd default",
            "clients targets acme-ltd drive disk",
            "clients targets acme-ltd --all",
            "clients accounts acme-ltd a b",
            "clients rename-folder acme-ltd",
            "select bob acme-ltd birch-llp --when-granted",
            "select bob --all-granted",
            "select bob acme-ltd --account a --account b",
            "select bob acme-ltd --remove",
            "roles table xero",
            "holders list --client acme-ltd",
            "holders accept acme-ltd drive x@other.example --reason auditor",
            "holders adopt acme-ltd drive x@other.example",
            "holders remove acme-ltd drive link:anyone",
            "private add Own",
            "private convert own",
            "private share own --target drive --with bob --with ana",
            "private list",
            "firm export",
            "firm apply firm.toml --prune --dry-run",
            "connectors",
            "access --person bob --at 2026-06-30 --format csv",
            "why bob acme-ltd",
            "why-not bob acme-ltd",
            "revoke bob --now",
            "statements --client acme-ltd --period 2026-10",
            "statements list",
            "statements render --out /tmp --client acme-ltd",
            "statements push --rerender --client acme-ltd",
            "audit verify",
            "audit export --since 2026-01-01",
            "backup b.db",
            "restore b.db",
            "key rotate",
            "completions bash",
            "man",
        ] {
            good(text);
            let cli =
                line(&format!("{text} --config c.toml --state s --as ana@harbour.example --json --quiet")).unwrap();
            assert!(cli.global.json && cli.global.quiet, "{text}: everywhere means everywhere");
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for text in [
            "",
            "frobnicate",
            "apply 7f3c91",
            "apply nothexadecimal",
            "approve 7f3c91aa",
            "init --owner nobody --name X",
            "people add b@harbour.example --first B --last B --office primary-owner",
            "people edit bob",
            "people mode bob everything",
            "people office bob admin",
            "people address bob drive",
            "select bob",
            "select bob acme --all-granted",
            "select bob acme --remove --when-granted",
            "clients targets acme",
            "clients accept",
            "private share own --target drive",
            "freeze on",
            "revoke bob",
            "access --at yesterday",
            "--as nobody run",
        ] {
            let error = line(text).err().unwrap_or_else(|| panic!("{text} was taken"));
            assert_eq!(exit_code(error.kind()), ExitCode::from(64), "{text}");
        }
    }

    #[test]
    fn help_and_version_are_no_errors() {
        for text in ["--help", "--version", "people --help", "select -h"] {
            assert_eq!(exit_code(line(text).unwrap_err().kind()), ExitCode::SUCCESS, "{text}");
        }
        let help = command().render_long_help().to_string();
        for part in ["demo", "why-not", "75 another instance", "--as <EMAIL>"] {
            assert!(help.contains(part), "{part}");
        }
    }

    #[test]
    fn every_command_says_what_it_does() {
        fn walk(command: &clap::Command, path: &str, silent: &mut Vec<String>) {
            for sub in command.get_subcommands() {
                let path = format!("{path} {}", sub.get_name());
                if sub.get_about().is_none() {
                    silent.push(path.clone());
                }
                walk(sub, &path, silent);
            }
        }
        let mut silent = Vec::new();
        walk(&command(), "", &mut silent);
        assert_eq!(silent, Vec::<String>::new());
    }

    #[test]
    fn values_arrive_typed() {
        let Command::Select(args) = good("select bob acme-ltd --account x") else { panic!("not select") };
        assert_eq!((args.person.0.as_str(), args.clients.len(), args.accounts.len()), ("bob", 1, 1));
        let Command::Apply { digest, .. } = good("apply 7F3C91AA") else { panic!("not apply") };
        assert_eq!(digest, "7f3c91aa");
    }
}
