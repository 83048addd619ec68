//! Words for roles, groups of clients and staged changes.

use clap::Subcommand;

use super::values::{ClientArg, change_id, digest, filled};
use crate::domain::office::Permission;

#[derive(Debug, Subcommand)]
pub enum RolesAct {
    /// What each role of a connection's ledgers gives
    Table {
        /// As in the configuration
        connection: Option<String>,
    },
    /// What each role of this firm's people may do
    List,
    /// Make or change a role of the firm's own; people get it as custom:NAME
    Define {
        name: String,
        /// A permission, as `roles list` shows them; may be repeated
        #[arg(long = "may", value_name = "PERMISSION", value_delimiter = ',', value_parser = permission)]
        may: Vec<Permission>,
        /// Only for the clients of this group
        #[arg(long)]
        group: Option<String>,
    },
    /// Remove a role that nobody has
    Remove { name: String },
}

#[derive(Debug, Subcommand)]
pub enum GroupsAct {
    /// All groups, and how many clients each has
    List,
    /// The clients of one group
    Show { group: String },
    /// Put clients into a group, by hand or by the connection they are bound to; makes it where there is none
    #[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["clients", "connections"]))]
    Add {
        group: String,
        clients: Vec<ClientArg>,
        /// Every client with a ledger of this connection, now and later; may be repeated
        #[arg(long = "connection", value_name = "NAME")]
        connections: Vec<String>,
    },
    /// Put the clients of a practice manager's own group into a group here, those that are bound to its lines now
    Adopt {
        group: String,
        /// The practice manager's connection
        connection: String,
        /// The group's name there, as `groups` shows it
        theirs: String,
    },
    /// Take clients or connections out of a group
    #[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["clients", "connections"]))]
    Take {
        group: String,
        clients: Vec<ClientArg>,
        #[arg(long = "connection", value_name = "NAME")]
        connections: Vec<String>,
    },
    /// Remove a group; its clients stay as they are
    Remove { group: String },
}

#[derive(Debug, Subcommand)]
pub enum ChangesAct {
    /// The last ones, and those that wait
    List {
        #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20)]
        limit: u32,
    },
    /// Who would gain and lose which folder if staged changes were published; changes nothing
    #[command(group = clap::ArgGroup::new("which").required(true).args(["changes", "all"]))]
    Show {
        /// C-7, as `changes list` shows it
        #[arg(value_parser = change_id)]
        changes: Vec<i64>,
        /// Every one that waits
        #[arg(long)]
        all: bool,
    },
    /// Make staged changes real, all or some
    #[command(group = clap::ArgGroup::new("which").required(true).args(["changes", "all"]))]
    Publish {
        /// C-7, as `changes list` shows it
        #[arg(value_parser = change_id)]
        changes: Vec<i64>,
        /// Every one that waits
        #[arg(long)]
        all: bool,
        /// Only if it is still what `changes show` printed this digest of
        #[arg(long, value_parser = digest)]
        digest: Option<String>,
        /// Answer the prompt
        #[arg(long, short)]
        yes: bool,
    },
    /// Refuse staged changes
    Reject {
        #[arg(required = true, value_parser = change_id)]
        changes: Vec<i64>,
        #[arg(long, value_name = "TEXT", value_parser = filled)]
        reason: String,
    },
}

fn permission(text: &str) -> Result<Permission, String> {
    let words: Vec<&str> = Permission::ALL.iter().map(|p| p.slug()).collect();
    Permission::parse(text).ok_or_else(|| format!("use one of: {}", words.join(", ")))
}
