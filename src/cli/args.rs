//! The command line's words: clap types only. What a command does is in its own file beside this one.
//!
//! A contract (`product` 9): scripts depend on every name and exit code here.

mod access;
mod acts;
mod offices;
mod values;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory as _, Parser, Subcommand, error::ErrorKind};
use ledgerward_contract::Email;

use self::values::{digest, email, filled};
pub use self::{access::*, acts::*, offices::*, values::*};

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
        /// Where the demo's firm is made and left for a look [default: ledgerward-demo]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Serve the providers' fakes over real HTTP, for trying connectors and clients
    Sandbox {
        /// A loopback address
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8787")]
        listen: std::net::SocketAddr,
        /// Serve so many organisations instead of the sample firm, for measuring
        #[arg(long, value_name = "COUNT")]
        organisations: Option<usize>,
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
Each client is answered by its own line: granted, already has access, no matching access, needs Xero access first,
pending. Clients that you name are done all or none; of a set (--connection, --like, --from) what can be done is done,
and the rest says why not.

Examples:
  ledgerward select bob@harbour.example acme-ltd birch-llp
  ledgerward select bob --all-granted
  ledgerward select bob --like cleo --when-granted
  ledgerward select bob --from dev --end --dry-run
  ledgerward select bob --connection xero --remove
  ledgerward select bob acme-ltd --account 1000-bank
  ledgerward select bob --add acme-ltd --remove birch-llp
  ledgerward select bob acme-ltd --remove")]
    Select(SelectArgs),
    /// Extra access to a client that ends by itself
    #[command(after_help = "Example:\n  \
                            ledgerward guests add bob acme-ltd --until 2026-12-24 --reason \"year-end review\"")]
    Guests {
        #[command(subcommand)]
        act: Option<GuestsAct>,
    },
    /// Which ledger roles give what, and what the firm's own people may do
    Roles {
        #[command(subcommand)]
        act: Option<RolesAct>,
    },
    /// Groups of clients, for selections, roles and bulk acts: write @NAME where clients are named
    Groups {
        #[command(subcommand)]
        act: Option<GroupsAct>,
    },
    /// People on a folder whom ledgerward did not put there
    Holders {
        #[command(subcommand)]
        act: Option<HoldersAct>,
    },
    /// Take over folders that were there before ledgerward
    #[command(after_help = "\
Without CLIENT and FOLDER it proposes pairs and writes nothing. Nobody is taken off a folder that is taken over, and it
keeps its name; whoever is on it and not entitled is shown as accepted until `holders adopt` or `holders remove`.

Examples:
  ledgerward adopt drive
  ledgerward adopt drive acme-ltd \"1042 Acme\" --reason \"their folder since 2019\"
  ledgerward adopt drive --all-certain --reason \"looked through the list\"")]
    Adopt {
        /// As in the configuration
        target: String,
        #[arg(requires = "folder", conflicts_with = "all_certain")]
        client: Option<ClientArg>,
        /// The folder's name, or its id where two have one name
        #[arg(value_parser = filled)]
        folder: Option<String>,
        /// Every pair that is certain
        #[arg(long)]
        all_certain: bool,
        /// Kept in the audit trail
        #[arg(long, value_name = "TEXT", value_parser = filled)]
        reason: Option<String>,
    },
    /// Somebody's own books, which are in nobody else's access
    Private {
        #[command(subcommand)]
        act: Option<PrivateAct>,
    },
    /// Changes of the firm, and those that wait for an owner
    Changes {
        #[command(subcommand)]
        act: Option<ChangesAct>,
    },
    /// People, clients, groups, roles and selections as one file
    Firm {
        #[command(subcommand)]
        act: FirmAct,
    },
    /// The connectors this program has, and what each can do
    Connectors,
    /// Try a connector of your own, in whatever language
    Connector {
        #[command(subcommand)]
        act: ConnectorAct,
    },
    /// Lists of clients: practice managers and rosters, whether they are believed, and what was not understood
    #[command(args_conflicts_with_subcommands = true)]
    Roster {
        /// One connection's list, line by line
        connection: Option<String>,
        #[command(subcommand)]
        act: Option<RosterAct>,
    },
    /// Who sees what
    Access {
        #[arg(long)]
        person: Option<PersonArg>,
        #[arg(long)]
        client: Option<ClientArg>,
        /// As it was at the end of that day, or at that instant: 2026-06-30, 2026-06-30T14:05:00Z
        #[arg(long, value_name = "DAY|INSTANT", value_parser = at)]
        at: Option<AtArg>,
        /// One of the three clocks alone
        #[arg(long, value_enum, requires = "at")]
        clock: Option<ClockArg>,
        #[arg(long, value_enum, default_value_t)]
        format: TableFormat,
    },
    /// Where ledgers and folders disagree, over all targets
    Gaps {
        #[arg(long)]
        client: Option<ClientArg>,
        /// From the last reading, without asking any provider
        #[arg(long)]
        offline: bool,
        #[arg(long, value_enum, default_value_t)]
        format: TableFormat,
    },
    /// Will it fit: each target's limits, what is used of them, and when they fill
    Forecast {
        /// One target; all of them otherwise
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
        /// From the state alone, without asking any target for its space
        #[arg(long)]
        offline: bool,
    },
    /// Why a person sees a client
    Why { person: PersonArg, client: ClientArg },
    /// Why a person does not see a client, and what would change it
    WhyNot { person: PersonArg, client: ClientArg },
    /// Who would gain and lose which folder by a firm file or a bulk select; nothing is changed
    #[command(after_help = "Examples:\n  ledgerward what-if firm.toml\n  \
                            ledgerward what-if --person bob --from dev --end")]
    WhatIf(WhatIfArgs),
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
    /// Somebody left: close every folder now, and chase each ledger until it is gone
    #[command(after_help = "Exits 5 while something is still open.\n\nExamples:\n  ledgerward leaver\n  \
                            ledgerward leaver bob --reason \"left on Friday\" --pack bob-evidence\n  \
                            ledgerward leaver bob --confirm xero:11-22 --note \"client wrote on 3 Nov\"")]
    Leaver(LeaverArgs),
    /// The quarterly sign-off: who sees what, line by line, decided and sealed
    #[command(after_help = "Examples:\n  ledgerward review start 2026-Q4 --reviewer ana=acme-ltd,birch-llp\n  \
                            ledgerward review export 2026-Q4 --out sheets\n  \
                            ledgerward review import 2026-Q4 sheets/ana@harbour.example.csv\n  \
                            ledgerward review seal 2026-Q4 --out signed-off")]
    Review {
        #[command(subcommand)]
        act: Option<ReviewAct>,
    },
    /// Statements: list, render to a local file, push again
    Statements {
        #[command(flatten)]
        which: StatementFilter,
        #[command(subcommand)]
        act: Option<StatementsAct>,
    },
    /// The local API: its description, and tokens for it
    Api {
        #[command(subcommand)]
        act: ApiAct,
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
    /// Put a backup in the place of an absent state; nothing is applied until it is confirmed
    Restore {
        #[arg(required_unless_present = "confirm")]
        file: Option<PathBuf>,
        /// The plan was compared: runs may write again
        #[arg(long, conflicts_with = "file")]
        confirm: bool,
    },
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

/// Parses, or prints what clap says and gives the exit code: 0 for help and version, 64 for wrong usage.
pub fn parse(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Cli, ExitCode> {
    Cli::try_parse_from(args).map_err(|e| {
        match e.print() {
            // A closed pipe at the other end of `--help | head` is no failure of ours.
            Err(unsaid) if unsaid.kind() != std::io::ErrorKind::BrokenPipe && !e.use_stderr() => ExitCode::FAILURE,
            _ => exit_code(e.kind()),
        }
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
            "demo --dir d",
            "sandbox --listen 127.0.0.1:9999",
            "init --owner ana@harbour.example --name Harbour",
            "connect xero --no-browser",
            "sync --client acme-ltd --yes --wait",
            "pull",
            "plan --offline",
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
            "forecast --target drive --offline",
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
            "clients confirm-unlisted acme-ltd myob 11-22 --reason withdrawn",
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
            "clients accept --all",
            "clients since acme-ltd 2026-07-01",
            "clients since acme-ltd beginning",
            "clients year-end acme-ltd 03-31",
            "clients year-end acme-ltd ledger",
            "changes",
            "changes list -n 5",
            "changes publish C-7 8",
            "changes publish --all",
            "changes reject C-7 --reason no",
            "select bob acme-ltd birch-llp --when-granted",
            "select bob --all-granted",
            "select bob acme-ltd --account a --account b",
            "select bob acme-ltd --remove",
            "select bob --remove acme-ltd birch-llp",
            "select bob --add acme-ltd birch-llp --remove cedar --dry-run",
            "select bob --connection xero --remove",
            "select bob --like cleo --when-granted",
            "select bob --from dev --end",
            "select bob --from dev --keep",
            "what-if firm.toml --prune",
            "what-if --person bob --add acme-ltd",
            "guests",
            "guests add bob acme-ltd --until 2026-12-24 --reason audit",
            "guests add bob acme-ltd --until 8h --reason fire --break-glass",
            "guests extend bob acme-ltd --until 2026-12-31",
            "guests end bob acme-ltd",
            "access --at 2026-06-30 --clock known",
            "access --at 2026-06-30T14:05:00Z",
            "access --at 2026-06-30T14:05:00.25+05:45 --clock applied",
            "roles table xero",
            "roles list",
            "roles define payroll --may selections,guests --may read-all --group north",
            "roles remove payroll",
            "groups",
            "groups add north acme-ltd @south --connection xero",
            "groups adopt cafes xpm Cafes",
            "groups take north acme-ltd",
            "groups show north",
            "groups remove north",
            "select bob @north --remove",
            "changes show C-7",
            "changes publish C-7 --yes",
            "private convert own --reason sold",
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
            "roster",
            "roster staff",
            "roster accept staff --reason checked",
            "roster check users.csv --client Acme --person-column Email --encoding windows-1252",
            "access --person bob --at 2026-06-30 --format csv",
            "why bob acme-ltd",
            "why-not bob acme-ltd",
            "revoke bob --now",
            "statements --client acme-ltd --period 2026-10",
            "statements list",
            "statements render --out /tmp --client acme-ltd",
            "statements push --rerender --client acme-ltd",
            "audit verify",
            "audit verify --pack d",
            "review",
            "review start 2026-Q4 --reviewer ana=acme-ltd,birch-llp --reviewer bob=cedar",
            "review export 2026-Q4 --out d",
            "review import 2026-Q4 d/ana.csv",
            "review seal 2026-Q4 --out d",
            "review seal 2026-Q4",
            "review pack 2026-Q4 --out -",
            "review import 2026-Q4 -",
            "firm apply - --dry-run",
            "what-if - --prune",
            "review verify d",
            "leaver",
            "leaver --all",
            "leaver bob --reason left --pack d",
            "leaver bob --confirm xero:L1 --note told",
            "audit export --since 2026-01-01",
            "backup b.db",
            "restore b.db",
            "restore --confirm",
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
            "select bob --from dev",
            "select bob --end",
            "select bob --like dev --from cleo --keep",
            "guests add bob acme-ltd --until soon --reason audit",
            "guests add bob acme-ltd --until 2026-12-24",
            "access --clock known",
            "leaver --pack d",
            "review start ../up",
            "review pack 2026-Q4",
            "leaver bob --confirm xero:L1",
            "what-if",
            "what-if firm.toml --person bob --add acme",
            "select bob acme --remove --when-granted",
            "clients targets acme",
            "clients accept",
            "clients accept acme-ltd --all",
            "clients since acme-ltd soon",
            "clients year-end acme-ltd 02-30",
            "changes publish",
            "changes publish seven",
            "changes show",
            "groups add north",
            "roles define payroll --may everything",
            "guests add bob acme-ltd --until 2026-12-24T18:00:00Z",
            "changes reject C-7",
            "private share own --target drive",
            "freeze on",
            "roster accept staff",
            "roster check users.csv --client Acme --client-column Client",
            "revoke bob",
            "restore",
            "restore b.db --confirm",
            "access --at yesterday",
            "access --at 2026-06-30T14:05",
            "access --at 2026-06-30T14:05:00[UTC]",
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
