//! Where a command's words go while it works, and who answers its questions.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use super::outcome::printable;

/// A person at a terminal, a script, or the other end of the daemon's socket.
pub trait Console: Send {
    /// A line for stderr, at once.
    fn note(&mut self, line: &str);
    /// Whether somebody can answer.
    fn interactive(&self) -> bool;
    /// Asks and waits for a line. `None` where nobody can answer.
    fn ask(&mut self, question: &str) -> Option<String>;
    /// What was given along with the command, for a file named `-`. `None` where there is nothing.
    fn input(&mut self) -> Option<Vec<u8>> {
        None
    }
}

/// This process's own terminal or pipes.
pub struct Terminal {
    pub quiet: bool,
}

impl Console for Terminal {
    fn note(&mut self, line: &str) {
        if !self.quiet {
            // A closed stderr stops nobody's work.
            let _ = writeln!(anstream::stderr(), "{}", printable(line));
        }
    }

    fn interactive(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    fn ask(&mut self, question: &str) -> Option<String> {
        let _ = write!(anstream::stderr(), "{} ", printable(question));
        let _ = anstream::stderr().flush();
        let mut line = String::new();
        match std::io::stdin().lock().read_line(&mut line) {
            Ok(n) if n > 0 => Some(line.trim().to_owned()),
            _ => None,
        }
    }

    fn input(&mut self) -> Option<Vec<u8>> {
        super::file::limited(std::io::stdin().lock()).ok()
    }
}

/// Keeps what was said, for the daemon's socket and for tests. Nobody answers.
#[derive(Default)]
pub struct Kept(pub Vec<String>);

impl Console for Kept {
    fn note(&mut self, line: &str) {
        self.0.push(line.to_owned());
    }

    fn interactive(&self) -> bool {
        false
    }

    fn ask(&mut self, _: &str) -> Option<String> {
        None
    }
}

/// A request with a text of its own, that nobody sits at.
pub struct Given(pub Option<String>);

impl Console for Given {
    fn note(&mut self, _: &str) {}

    fn interactive(&self) -> bool {
        false
    }

    fn ask(&mut self, _: &str) -> Option<String> {
        None
    }

    fn input(&mut self) -> Option<Vec<u8>> {
        self.0.take().map(String::into_bytes)
    }
}

/// Says nothing of how much there is: for somebody who does not see the firm as a whole.
pub struct Discreet<'c>(pub &'c mut dyn Console);

impl Discreet<'_> {
    /// The console itself, or this one which keeps quiet.
    pub fn unless(&mut self, sees_all: bool) -> &mut dyn Console {
        if sees_all { self.0 } else { self }
    }
}

impl Console for Discreet<'_> {
    fn note(&mut self, _: &str) {}

    fn interactive(&self) -> bool {
        self.0.interactive()
    }

    fn ask(&mut self, question: &str) -> Option<String> {
        self.0.ask(question)
    }

    fn input(&mut self) -> Option<Vec<u8>> {
        self.0.input()
    }
}
