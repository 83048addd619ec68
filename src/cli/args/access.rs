//! Words of the commands about who sees what, for many at once and for a time: `select`, `what-if`, `guests`, `leaver`,
//! `review`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::values::{ClientArg, PersonArg, UntilArg, filled, until};

/// `select PERSON CLIENT…`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true).args(
    ["clients", "add", "remove", "connection", "like", "from", "all_granted"]))]
pub struct SelectArgs {
    pub person: PersonArg,
    #[arg(conflicts_with = "all_granted")]
    pub clients: Vec<ClientArg>,
    #[command(flatten)]
    pub bulk: BulkArgs,
    /// Only this account's own papers; may be repeated. As for `clients accounts`
    #[arg(long = "account", value_name = "ACCOUNT", conflicts_with_all = ["remove", "all_granted", "connection", "like", "from"])]
    pub accounts: Vec<String>,
    /// Show the same lines and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl SelectArgs {
    /// It takes clients away, and does nothing else.
    pub fn only_ends(&self) -> bool {
        let BulkArgs { add, remove, connection, like, from, all_granted, .. } = &self.bulk;
        // Clients that are named beside a bare --remove are those it takes away.
        let gives = !add.is_empty() || connection.is_some() || *all_granted;
        remove.is_some() && !gives && like.is_none() && from.is_none()
    }
}

/// Many clients in one act; `select` does it and `what-if` only shows it.
#[derive(Debug, Default, Args)]
pub struct BulkArgs {
    /// These clients; needed where others are removed in the same act
    #[arg(long, value_name = "CLIENT", num_args = 1..)]
    pub add: Vec<ClientArg>,
    /// Take selections and wishes away: of these clients, or of those named otherwise
    #[arg(long, value_name = "CLIENT", num_args = 0..)]
    pub remove: Option<Vec<ClientArg>>,
    /// Every client with a source of this connection
    #[arg(long, value_name = "NAME")]
    pub connection: Option<String>,
    /// What this colleague has
    #[arg(long, value_name = "PERSON")]
    pub like: Option<PersonArg>,
    /// A staff move: everything this colleague has; with --end or --keep
    #[arg(long, value_name = "PERSON", requires = "ends", conflicts_with = "like")]
    pub from: Option<PersonArg>,
    /// What is moved ends for the colleague
    #[arg(long, requires = "from", group = "ends")]
    pub end: bool,
    /// The colleague keeps it too
    #[arg(long, requires = "from", group = "ends")]
    pub keep: bool,
    /// Every client that the ledgers grant this person now
    #[arg(long, conflicts_with_all = ["remove", "connection", "like", "from", "add"])]
    pub all_granted: bool,
    /// Keep the wish until the ledger grants it
    #[arg(long, conflicts_with_all = ["remove", "all_granted"])]
    pub when_granted: bool,
}

/// `what-if FILE`, or `what-if --person P` with the options of `select`.
#[derive(Debug, Args)]
pub struct WhatIfArgs {
    /// A file as for `firm apply`; - for standard input
    #[arg(required_unless_present = "person", conflicts_with = "person")]
    pub file: Option<PathBuf>,
    /// As for `firm apply`: what the file leaves out ends
    #[arg(long, requires = "file")]
    pub prune: bool,
    #[arg(long)]
    pub person: Option<PersonArg>,
    #[command(flatten)]
    pub bulk: BulkArgs,
}

/// `leaver`, `leaver PERSON`
#[derive(Debug, Args)]
pub struct LeaverArgs {
    /// Who left; without it, everybody who left and is still open somewhere
    pub person: Option<PersonArg>,
    /// Kept in the audit trail
    #[arg(long, value_name = "TEXT", value_parser = filled, requires = "person")]
    pub reason: Option<String>,
    /// Somebody said that the person is out of this ledger; with --note
    #[arg(long, value_name = "CONNECTION:LEDGER", value_parser = filled, requires_all = ["person", "note"])]
    pub confirm: Option<String>,
    /// Who said so, and how
    #[arg(long, value_name = "TEXT", value_parser = filled, requires = "confirm")]
    pub note: Option<String>,
    /// Write the sealed evidence and the letters into a new directory, or - for the --json answer itself
    #[arg(long, value_name = "DIR", requires = "person", conflicts_with = "confirm")]
    pub pack: Option<PathBuf>,
    /// Those who are out of everything too
    #[arg(long, conflicts_with = "person")]
    pub all: bool,
}

#[derive(Debug, Subcommand)]
pub enum ReviewAct {
    /// All reviews, and what is not decided yet
    List,
    /// Write down who sees what now, a line each, and who signs it off
    Start {
        /// Its name, such as 2026-Q4
        #[arg(value_parser = label)]
        name: String,
        /// Who signs off which clients; may be repeated. The rest is the primary owner's
        #[arg(long = "reviewer", value_name = "PERSON=CLIENT,…")]
        reviewers: Vec<String>,
    },
    /// A sheet for each reviewer, as CSV and XLSX
    Export {
        #[arg(value_parser = label)]
        name: String,
        /// A directory, or - for the --json answer itself
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Take the decisions of a sheet (CSV) in, one's own or, as an owner, anybody's; removals become changes of the firm
    Import {
        #[arg(value_parser = label)]
        name: String,
        /// A sheet, or - for standard input
        file: PathBuf,
    },
    /// Close a review that is decided to the last line, as a pack that can be checked offline
    Seal {
        #[arg(value_parser = label)]
        name: String,
        /// Where the pack is written to; without it, `review pack` gives it
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// The pack of a sealed review, as it was sealed
    Pack {
        #[arg(value_parser = label)]
        name: String,
        /// A new directory, or - for the --json answer itself
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Check a sealed review by itself, a directory or the answer it came in; needs no state
    Verify { dir: PathBuf },
}

/// A name that is a file's name too.
fn label(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let good = !text.is_empty() && text.len() <= 60 && text.chars().all(fits) && !text.starts_with('.');
    good.then(|| text.to_owned()).ok_or_else(|| "a name has letters, digits, - and _ only: 2026-Q4".to_owned())
}

#[derive(Debug, Subcommand)]
pub enum GuestsAct {
    /// Who is a guest where, until when, and whether it gives anything now
    List,
    /// Give a person a client until a day; never more than the ledger grants
    Add {
        person: PersonArg,
        client: ClientArg,
        /// A day, which is the last one, or hours: 2026-12-24, "8 hours"
        #[arg(long, value_name = "END", value_parser = until)]
        until: UntilArg,
        /// Kept in the audit trail
        #[arg(long, value_name = "TEXT", value_parser = filled)]
        reason: String,
        /// Whatever the ledger says, for a day at most; another owner must publish it
        #[arg(long)]
        break_glass: bool,
    },
    /// Another end for a guest
    Extend {
        person: PersonArg,
        client: ClientArg,
        /// As for `guests add`
        #[arg(long, value_name = "END", value_parser = until)]
        until: UntilArg,
        #[arg(long, value_name = "TEXT", value_parser = filled)]
        reason: Option<String>,
    },
    /// End it now
    End { person: PersonArg, client: ClientArg },
}
