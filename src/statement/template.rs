//! The firm's template for file names: `{year}/{period} {kind}[ {ledger}][ {account}][ (v{n})].{ext}` (`product` 6).
//!
//! A part in brackets appears only where it is needed. A template that would give two keys one name is refused when it
//! is read, with the place.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::Basis;

use crate::domain::names;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Year,
    Period,
    Kind,
    Basis,
    Ledger,
    Account,
    Name,
    Version,
    Ext,
}

impl Field {
    const ALL: [(&'static str, Self); 9] = [
        ("year", Self::Year),
        ("period", Self::Period),
        ("kind", Self::Kind),
        ("basis", Self::Basis),
        ("ledger", Self::Ledger),
        ("account", Self::Account),
        ("name", Self::Name),
        ("n", Self::Version),
        ("ext", Self::Ext),
    ];

    fn word(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, f)| *f == self).map_or("", |(word, _)| word)
    }

    /// Not in every file name, so it has to stand in brackets.
    const fn sometimes(self) -> bool {
        matches!(self, Self::Basis | Self::Ledger | Self::Account | Self::Version)
    }

    /// Anything may be in it.
    const fn free_text(self) -> bool {
        matches!(self, Self::Ledger | Self::Account | Self::Name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Field(Field),
    /// Left out unless every field in it has something to say.
    Optional(Vec<Piece>),
}

/// Why a template cannot be used, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("statement template, character {at}: {what}")]
pub struct TemplateError {
    /// The first character is 1.
    pub at: usize,
    pub what: String,
}

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

impl Template {
    pub const DEFAULT: &'static str = "{year}/{period} {kind}[ {basis}][ {ledger}][ {account}][ (v{n})].{ext}";
    pub const DEFAULT_DOCUMENTS: &'static str = "{year}/{period} {kind}[ {basis}][ {ledger}]/{name}[ (v{n})].{ext}";

    /// A template for what is rendered.
    ///
    /// Errors: unknown placeholders, brackets that do not match, characters that some target refuses, and anything that
    /// would let two keys have one name.
    pub fn statements(text: &str) -> Result<Self, TemplateError> {
        use Field::{Account, Ext, Kind, Ledger, Name, Period, Version};
        Self::parse(text, &[Period, Kind, Ext, Ledger, Account, Version], &[Name])
    }

    /// A template for documents, which keep their own names.
    pub fn documents(text: &str) -> Result<Self, TemplateError> {
        use Field::{Account, Ext, Kind, Ledger, Name, Period, Version};
        Self::parse(text, &[Period, Kind, Name, Ext, Ledger, Version], &[Account])
    }

    fn parse(text: &str, required: &[Field], refused: &[Field]) -> Result<Self, TemplateError> {
        let (pieces, seen) = Parser { chars: text.chars().collect(), at: 0, seen: BTreeMap::new() }.run()?;
        let end = text.chars().count() + 1;
        for field in refused {
            if let Some(at) = seen.get(field) {
                return fail(*at, format!("{{{}}} has no meaning here", field.word()));
            }
        }
        for field in required {
            if !seen.contains_key(field) {
                return fail(
                    end,
                    format!("without {} two different files could get the same name; add it", spelled(*field)),
                );
            }
        }
        if !text.ends_with(".{ext}") {
            return fail(seen.get(&Field::Ext).copied().unwrap_or(end), "the name must end in .{ext}".to_owned());
        }
        let template = Self { pieces };
        template.check_shape(text)?;
        Ok(template)
    }

    /// Filled with the plainest values, whichever brackets are left out: what is wrong then is wrong in the template itself.
    fn check_shape(&self, text: &str) -> Result<(), TemplateError> {
        const SOMETIMES: [Field; 4] = [Field::Basis, Field::Ledger, Field::Account, Field::Version];
        let end = text.chars().count() + 1;
        for left_out in 0..1_u8 << SOMETIMES.len() {
            let there = |field| SOMETIMES.iter().position(|f| *f == field).is_none_or(|n| left_out & (1 << n) == 0);
            let probe = self.fill(&|field| match field {
                field if !there(field) => None,
                Field::Version => Some("2".to_owned()),
                field => Some(field.word().to_owned()),
            });
            if probe.split('/').count() > 7 {
                return fail(end, "more than six folders deep; targets with short paths could not hold it".to_owned());
            }
            if let Some((n, bad)) = probe.split('/').enumerate().find(|(_, name)| names::safe(name, "0", "") != *name) {
                // No bracket and no word has a / in it.
                let before: usize = text.split('/').take(n).map(|part| part.chars().count() + 1).sum();
                return fail(before + 1, format!("“{bad}” would be no safe name of a file or folder"));
            }
            if probe.len() > 150 {
                return fail(end, "the fixed text is longer than 100 bytes".to_owned());
            }
        }
        Ok(())
    }

    /// With a value for each field; `None` leaves its brackets out.
    pub(super) fn fill(&self, value: &dyn Fn(Field) -> Option<String>) -> String {
        fn go(pieces: &[Piece], value: &dyn Fn(Field) -> Option<String>, out: &mut String) {
            for piece in pieces {
                match piece {
                    Piece::Literal(text) => out.push_str(text),
                    Piece::Field(field) => out.push_str(&value(*field).unwrap_or_default()),
                    Piece::Optional(inner) => {
                        let wanted =
                            inner.iter().all(|p| !matches!(p, Piece::Field(f) if f.sometimes() && value(*f).is_none()));
                        if wanted {
                            go(inner, value, out);
                        }
                    }
                }
            }
        }
        let mut out = String::new();
        go(&self.pieces, value, &mut out);
        out
    }
}

fn spelled(field: Field) -> String {
    if field.sometimes() { format!("[ {{{}}}]", field.word()) } else { format!("{{{}}}", field.word()) }
}

/// Whether a set of kinds, bases and lengths can be told apart by a template: `{basis}` is needed where both are asked.
///
/// Errors: a template without `{basis}` for a firm that asks both, at the template's end.
pub fn check_bases(template: &Template, bases: &BTreeSet<Basis>) -> Result<(), TemplateError> {
    let has_basis = template.pieces.iter().any(|piece| match piece {
        Piece::Optional(inner) => inner.contains(&Piece::Field(Field::Basis)),
        piece => *piece == Piece::Field(Field::Basis),
    });
    if bases.len() > 1 && !has_basis {
        return fail(
            1,
            "cash and accrual are both asked for; add [ {basis}] or their files get the same name".to_owned(),
        );
    }
    Ok(())
}

fn fail<T>(at: usize, what: String) -> Result<T, TemplateError> {
    Err(TemplateError { at, what })
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    seen: BTreeMap<Field, usize>,
}

impl Parser {
    fn run(mut self) -> Result<(Vec<Piece>, BTreeMap<Field, usize>), TemplateError> {
        let pieces = self.pieces(None)?;
        Ok((pieces, self.seen))
    }

    fn pieces(&mut self, opened: Option<usize>) -> Result<Vec<Piece>, TemplateError> {
        let mut pieces: Vec<Piece> = Vec::new();
        while let Some(c) = self.chars.get(self.at).copied() {
            self.at += 1;
            let here = self.at;
            match c {
                '{' => {
                    let field = self.field(here, opened.is_some())?;
                    if let (Some(Piece::Field(before)), true) = (pieces.last(), field.free_text())
                        && before.free_text()
                    {
                        return fail(here, "put a blank or a sign between two names, or they run together".to_owned());
                    }
                    pieces.push(Piece::Field(field));
                }
                '[' if opened.is_some() => return fail(here, "brackets inside brackets".to_owned()),
                '[' => pieces.push(Piece::Optional(self.pieces(Some(here))?)),
                ']' if opened.is_some() => {
                    self.bracket(here, &pieces)?;
                    return Ok(pieces);
                }
                ']' => return fail(here, "this bracket was never opened".to_owned()),
                '}' => return fail(here, "this brace was never opened".to_owned()),
                '/' if opened.is_some() => return fail(here, "no / inside brackets".to_owned()),
                '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => {
                    return fail(here, format!("some targets refuse {c} in a name"));
                }
                c if c.is_control() => return fail(here, "a control character".to_owned()),
                c => match pieces.last_mut() {
                    Some(Piece::Literal(text)) => text.push(c),
                    _ => pieces.push(Piece::Literal(c.to_string())),
                },
            }
        }
        match opened {
            Some(at) => fail(at, "this bracket is never closed".to_owned()),
            None => Ok(pieces),
        }
    }

    /// One thing decides whether a bracket is there: what it would take along with it could be all that tells two files apart.
    fn bracket(&self, closed: usize, pieces: &[Piece]) -> Result<(), TemplateError> {
        let mut reason = None;
        for field in pieces.iter().filter_map(|p| if let Piece::Field(f) = p { Some(*f) } else { None }) {
            let at = self.seen.get(&field).copied().unwrap_or(closed);
            match reason {
                _ if field == Field::Year => {}
                _ if !field.sometimes() => {
                    return fail(
                        at,
                        format!("{{{}}} is in every name, so it stands outside of brackets", field.word()),
                    );
                }
                Some(first) => {
                    let (a, b) = (spelled(first), spelled(field));
                    return fail(at, format!("two files could get the same name; give each its own brackets: {a}{b}"));
                }
                None => reason = Some(field),
            }
        }
        match reason {
            Some(_) => Ok(()),
            None => fail(closed, "brackets need one of {basis}, {ledger}, {account}, {n} to depend on".to_owned()),
        }
    }

    fn field(&mut self, opened: usize, in_brackets: bool) -> Result<Field, TemplateError> {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        let Some(length) = rest.iter().position(|c| *c == '}') else {
            return fail(opened, "this brace is never closed".to_owned());
        };
        let word: String = rest.iter().take(length).collect();
        self.at += length + 1;
        let Some((_, field)) = Field::ALL.into_iter().find(|(w, _)| *w == word) else {
            let known: Vec<String> = Field::ALL.iter().map(|(w, _)| format!("{{{w}}}")).collect();
            return fail(opened, format!("{{{word}}} is unknown; there are {}", known.join(", ")));
        };
        if self.seen.insert(field, opened).is_some() {
            return fail(opened, format!("{{{word}}} stands here for the second time"));
        }
        if field.sometimes() && !in_brackets {
            return fail(opened, format!("not every file has {{{word}}}; write {}", spelled(field)));
        }
        Ok(field)
    }
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
