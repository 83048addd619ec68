//! The local API: what the command line says, as versioned JSON for other programs (`/api/v1`).
//!
//! [`routes`] is the one table. A route names the command it does, so a resource answers with the very value that the command
//! prints with `--json`; [`input`] checks what comes in against the same table that [`openapi`] is generated from; and
//! [`shape`] says what goes out. Serving over HTTP is `daemon::api`'s work.
//!
//! [`check`] answers the one question that other programs ask all day, from memory: may this person open this client?

pub mod check;
pub mod input;
pub mod openapi;
pub mod problem;
pub mod routes;
pub mod shape;
pub mod tokens;

use http::Method;

/// Where a value of a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Path,
    Query,
    Body,
}

impl Place {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Body => "body",
        }
    }
}

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One line.
    Text,
    Email,
    /// An address, the part before its @, a full name, or the id.
    Person,
    /// A slug, an exact name, or the id.
    Client,
    /// `YYYY-MM-DD`.
    Day,
    /// A day, or an instant in RFC 3339.
    DayOrInstant,
    Flag,
    /// From, to.
    Count(u32, u32),
    One(&'static [&'static str]),
    /// Eight or more hex digits.
    Digest,
    /// `C-7`.
    Change,
    Texts,
    Clients,
    People,
    Changes,
    /// Up to a thousand pairs of person and client.
    Pairs,
    /// A whole file as text. It stands for the `-` of the command line; there is one at most.
    Document,
}

/// One value of a request.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    pub name: &'static str,
    pub place: Place,
    pub kind: Kind,
    pub required: bool,
    pub about: &'static str,
}

/// Who may use a route at all. What the library asks besides (whose record it is, whose client) still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum May {
    /// Every person of the firm, for what is theirs.
    Person,
    /// Who manages the firm: owners and admins.
    Manage,
    /// Owners.
    Publish,
}

impl May {
    /// As the description says it. A refusal names the permission of the firm's roles that is missing.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Person => "firm.person",
            Self::Manage => "firm.manage",
            Self::Publish => "firm.publish",
        }
    }
}

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A command line: `{name}` is a value, `--x={name}` an option that is left out with its value, `--x?name` a switch.
    Command(&'static str),
    /// This document.
    Description,
    Connectors,
    Check,
    CheckMany,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Route {
    pub method: Method,
    /// Below `/api/v1`.
    pub path: &'static str,
    pub id: &'static str,
    pub summary: &'static str,
    pub may: May,
    pub inputs: Vec<Input>,
    pub act: Act,
    /// Names of [`shape::SHAPES`]; the answer is one of them.
    pub answers: &'static [&'static str],
}
