//! Which file: the key of a statement, and the path that the firm's template makes of it (`decisions` 23).

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{
    AccountId, Basis, ClientId, ConnectionName, FileKey, FilePath, LedgerId, PeriodLength, StatementRequest,
};
use sha2::{Digest, Sha256};

use super::{
    Format,
    model::{basis_slug, length_slug},
    period::YearEnd,
};
use crate::domain::names;

/// What one statement is, apart from its version and its format.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatementKey {
    pub client: ClientId,
    pub connection: ConnectionName,
    pub ledger: LedgerId,
    pub request: StatementRequest,
    /// The vendor's id of a document; `None` for everything that is rendered.
    pub item: Option<String>,
}

impl StatementKey {
    /// Every part in one line. Injective and stable for ever: stored rows carry it.
    pub fn text(&self) -> String {
        let StatementKey { client, connection, ledger, request, item } = self;
        let StatementRequest { kind, basis, period, account } = request;
        let escape = |text: &str| text.replace('%', "%25").replace('|', "%7C");
        let optional = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), |t| format!("={}", escape(t)));
        [
            client.to_string(),
            escape(connection.as_str()),
            escape(ledger.as_str()),
            optional(account.as_ref().map(AccountId::as_str)),
            kind.slug().to_owned(),
            basis_slug(*basis).to_owned(),
            length_slug(period.length).to_owned(),
            period.start.to_string(),
            period.end.to_string(),
            optional(item.as_deref()),
        ]
        .join("|")
    }

    /// The marker that a file in the world carries: 32 hex digits for the key, then version and format. Short, because
    /// Drive takes 124 bytes for a property's name and value together.
    pub fn file_key(&self, version: u32, ext: &str) -> FileKey {
        FileKey(format!("{}.v{version}.{}", self.digest(32), names::part(ext, "x")))
    }

    /// Eight hex digits for people, where two files would have one name.
    pub fn id8(&self) -> String {
        self.digest(8)
    }

    fn digest(&self, digits: usize) -> String {
        let mut hex = super::model::ContentHash(Sha256::digest(self.text().as_bytes()).into()).to_string();
        hex.truncate(digits);
        hex
    }
}

/// A file that wants a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    pub key: StatementKey,
    pub year_end: YearEnd,
    /// The ledger's name, where the client has several.
    pub ledger: Option<String>,
    /// The account's name, for kinds per account.
    pub account: Option<String>,
    /// A document's own name.
    pub document: Option<String>,
    /// The basis is in the name only where the firm asks for both.
    pub both_bases: bool,
    pub version: u32,
    /// `pdf`. A document takes the one of its own name.
    pub ext: String,
}

impl Wanted {
    /// A rendering's extension.
    pub fn rendered(mut self, format: Format) -> Self {
        format.ext().clone_into(&mut self.ext);
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
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
        let template = Self { pieces };
        template.check_shape(end)?;
        Ok(template)
    }

    fn check_shape(&self, end: usize) -> Result<(), TemplateError> {
        // Filled with the plainest values: what is wrong then is wrong in the template itself.
        let probe = self.fill(&|field| match field {
            Field::Version => Some("2".to_owned()),
            field => Some(field.word().to_owned()),
        });
        let folders = probe.split('/').count();
        if folders > 7 {
            return fail(end, "more than six folders deep; targets with short paths could not hold it".to_owned());
        }
        if let Some(bad) = probe.split('/').find(|name| names::safe(name, "0", "") != *name) {
            return fail(end, format!("“{bad}” would be no safe name of a file or folder"));
        }
        if probe.len() > 150 {
            return fail(end, "the fixed text is longer than 100 bytes".to_owned());
        }
        Ok(())
    }

    fn fill(&self, value: &dyn Fn(Field) -> Option<String>) -> String {
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

    /// The path of one file, below the client's folder. `None` never comes: what `safe` makes is what the contract takes.
    fn path(&self, wanted: &Wanted, tag: Option<&str>) -> Option<FilePath> {
        let id8 = wanted.key.id8();
        let year_end = wanted.year_end;
        let request = &wanted.key.request;
        let (stem, own_ext) = wanted.document.as_deref().map_or(("", ""), split_ext);
        let text = |given: &str| names::part(given, &id8);
        let filled = self.fill(&|field| match field {
            Field::Year => Some(format!("{:04}", year_end.year(&request.period))),
            Field::Period => Some(year_end.label(&request.period)),
            Field::Kind => Some(request.kind.title().to_owned()),
            Field::Basis => wanted.both_bases.then(|| basis_slug(request.basis).to_owned()),
            Field::Ledger => wanted.ledger.as_deref().map(text),
            Field::Account => wanted.account.as_deref().map(text),
            Field::Name => Some(names::safe(&text(stem), &id8, "document")),
            Field::Version => (wanted.version > 1).then(|| wanted.version.to_string()),
            Field::Ext => Some(if own_ext.is_empty() { text(&wanted.ext) } else { text(own_ext) }),
        });
        let mut parts: Vec<String> = filled.split('/').map(|name| names::safe(name, &id8, "statement")).collect();
        if let (Some(tag), Some(file)) = (tag, parts.last_mut()) {
            let (stem, ext) = split_ext(file);
            *file = if ext.is_empty() {
                names::suffixed(stem, tag)
            } else {
                format!("{}.{ext}", names::suffixed(stem, tag))
            };
        }
        FilePath::new(parts)
    }
}

fn spelled(field: Field) -> String {
    if field.sometimes() { format!("[ {{{}}}]", field.word()) } else { format!("{{{}}}", field.word()) }
}

/// The stem and a short plain extension; anything else is all stem.
fn split_ext(name: &str) -> (&str, &str) {
    match name.rsplit_once('.') {
        Some((stem, ext))
            if !stem.is_empty() && (1..=8).contains(&ext.len()) && ext.bytes().all(|b| b.is_ascii_alphanumeric()) =>
        {
            (stem, ext)
        }
        _ => (name, ""),
    }
}

/// The paths of one client's files. `taken` holds what earlier runs decided, which never changes; whatever is new and
/// would get a name in use (two accounts called “Cheque”, two documents called “scan.pdf”) gets ` ~id8`. The result holds
/// the new files only.
pub fn assign(
    template: &Template,
    wanted: &BTreeSet<Wanted>,
    taken: &BTreeMap<FileKey, FilePath>,
) -> BTreeMap<FileKey, FilePath> {
    let mut used: BTreeSet<String> = taken.values().map(unique).collect();
    let mut new = BTreeMap::new();
    for file in wanted {
        let key = file.key.file_key(file.version, &file.ext);
        if taken.contains_key(&key) || new.contains_key(&key) {
            continue;
        }
        let (short, long) = (file.key.id8(), file.key.digest(32));
        let tags = [None, Some(short), Some(long.clone())].into_iter();
        let path = tags
            .chain((2..=used.len() + 2).map(|n| Some(format!("{long}-{n}"))))
            .filter_map(|tag| template.path(file, tag.as_deref()))
            .find(|path| !used.contains(&unique(path)));
        if let Some(path) = path {
            used.insert(unique(&path));
            new.insert(key, path);
        }
    }
    new
}

fn unique(path: &FilePath) -> String {
    path.names().iter().map(|name| names::unique_key(name)).collect::<Vec<_>>().join("/")
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
                    let has_reason = pieces.iter().any(|p| matches!(p, Piece::Field(f) if f.sometimes()));
                    if !has_reason {
                        return fail(
                            here,
                            "brackets need one of {basis}, {ledger}, {account}, {n} to depend on".to_owned(),
                        );
                    }
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

/// A length as configuration writes it.
pub fn parse_length(slug: &str) -> Option<PeriodLength> {
    [PeriodLength::Month, PeriodLength::Quarter, PeriodLength::Year].into_iter().find(|l| length_slug(*l) == slug)
}

#[cfg(test)]
#[path = "naming_tests.rs"]
mod tests;
