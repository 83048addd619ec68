//! How a command ends: what it printed and its exit code (`product` 9).

use std::fmt::Write as _;

use ledgerward_contract::{Error, ErrorKind};
use serde_json::Value;

/// Exit codes are a contract: scripts depend on them. Where several apply the most serious wins, in [`Exit::worst`]'s order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    /// `plan` found changes.
    Changes = 2,
    /// A guard holds.
    Held = 3,
    /// A sign-in is needed.
    SignIn = 4,
    /// Finished with held or failed lanes, or with removals that wait for their second reading.
    Partly = 5,
    Usage = 64,
    /// Another instance holds the lock, or the disk of the state is full.
    Locked = 75,
    /// Configuration or state refused.
    Refused = 78,
}

impl Exit {
    const ORDER: [Self; 9] = [
        Self::Refused,
        Self::Locked,
        Self::Usage,
        Self::SignIn,
        Self::Held,
        Self::Partly,
        Self::Failed,
        Self::Changes,
        Self::Done,
    ];

    /// The more serious of two, in the order 78, 75, 64, 4, 3, 5, 1, 2, 0.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        Self::ORDER.into_iter().find(|e| *e == self || *e == other).unwrap_or(self)
    }

    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The daemon's answer as this process's own; a number that nobody published is a failure.
    pub fn from_code(code: u8) -> Self {
        Self::ORDER.into_iter().find(|e| e.code() == code).unwrap_or(Self::Failed)
    }
}

/// What a command has to say: the result as a value, and the same value for people.
#[derive(Debug)]
pub struct Report {
    pub exit: Exit,
    /// For stdout with `--json`.
    pub json: Value,
    /// For stdout otherwise.
    pub text: String,
    /// For stderr: notes and what to do next.
    pub notes: Vec<String>,
    /// The text is for a file or a program: not a letter of it is changed, unless it goes to a terminal.
    pub exact: bool,
}

impl Report {
    pub fn new(exit: Exit, json: Value, text: impl Into<String>) -> Self {
        Self { exit, json, text: text.into(), notes: Vec::new(), exact: false }
    }

    #[must_use]
    pub fn exact(mut self, exact: bool) -> Self {
        self.exact = exact;
        self
    }

    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// What a failure is to a program that asked, where the exit code says too little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    Other,
    /// Something that was named is not there.
    Missing,
    /// Who acts may not do this.
    Denied,
    /// It does not fit what is stored now.
    Conflict,
    /// The state cannot be used now.
    Unavailable,
    /// What a file says cannot be taken.
    Content,
}

/// A command that could not do its work: what happened, why, and what to do next.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub fault: Fault,
    pub message: String,
    pub next: Option<String>,
    /// The chain of causes, outermost first.
    pub causes: Vec<String>,
    /// The permission that is missing, where it is one.
    pub permission: Option<&'static str>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, fault: Fault::Other, message: message.into(), next: None, causes: Vec::new(), permission: None }
    }

    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    #[must_use]
    pub fn cause(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut at = Some(error);
        while let Some(e) = at {
            self.causes.push(e.to_string());
            at = e.source();
        }
        self
    }

    /// For stderr. Control characters of somebody else's strings are shown, never sent to a terminal (X08).
    pub fn render(&self) -> String {
        let mut text = format!("error: {}\n", printable(&self.message));
        for cause in &self.causes {
            let _ = writeln!(text, "  because: {}", printable(cause));
        }
        if let Some(next) = &self.next {
            let _ = writeln!(text, "  next: {}", printable(next));
        }
        text
    }

    pub fn json(&self) -> Value {
        serde_json::json!({
            "schema": "ledgerward/error/1",
            "exit": self.exit.code(),
            "message": self.message,
            "causes": self.causes,
            "next": self.next,
        })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error.kind {
            ErrorKind::Unauthenticated => Exit::SignIn,
            ErrorKind::Config => Exit::Refused,
            _ => Exit::Failed,
        };
        let mut failure = Self::new(exit, error.to_string());
        failure.next.clone_from(&error.next);
        if let Some(source) = std::error::Error::source(&error) {
            failure = failure.cause(source);
        }
        failure
    }
}

/// Of a text that was not understood, so much is repeated in an error.
const QUOTED_MAX: usize = 200;

/// The beginning of a text that may have any length.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_MAX) {
        Some((end, _)) => format!("{} …", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Somebody else's text, safe on a terminal and in a log line: control characters and direction overrides as escapes.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let unsafe_on_terminal = c.is_control() && c != '\n'
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if unsafe_on_terminal {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_serious_code_wins_in_the_published_order() {
        use Exit::*;
        assert_eq!(Failed.worst(Partly), Partly);
        assert_eq!(Held.worst(Partly), Held);
        assert_eq!(SignIn.worst(Held), SignIn);
        assert_eq!(Done.worst(Changes), Changes);
        assert_eq!(Refused.worst(Locked), Refused);
    }

    #[test]
    fn x08_names_cannot_talk_to_the_terminal() {
        assert_eq!(printable("Acme\u{1b}[31m\rLtd\u{202e}"), "Acme\\u{1b}[31m\\u{d}Ltd\\u{202e}");
    }
}
