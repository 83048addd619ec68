//! Which file: the key of a statement, and the path that the firm's template makes of it (`decisions` 23).

use std::collections::BTreeSet;

use ledgerward_contract::{
    AccountId, Basis, ClientId, ConnectionName, FileKey, FilePath, LedgerId, Period, PeriodLength, StatementKind,
    StatementRequest,
};
use sha2::{Digest, Sha256};

use super::{
    Format,
    model::{basis_slug, length_slug},
    period::YearEnd,
    template::{Field, Template},
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

    /// The key of a stored row. `None` for anything that [`StatementKey::text`] would not write.
    pub fn parse(text: &str) -> Option<Self> {
        let unescape = |text: &str| text.replace("%7C", "|").replace("%25", "%");
        let optional = |text: &str| match text {
            "-" => Some(None),
            text => text.strip_prefix('=').map(|t| Some(unescape(t))),
        };
        let parts: Vec<&str> = text.split('|').collect();
        let [client, connection, ledger, account, kind, basis, length, start, end, item] = parts.as_slice() else {
            return None;
        };
        let basis = [Basis::Accrual, Basis::Cash].into_iter().find(|b| basis_slug(*b) == *basis)?;
        let period = Period { start: start.parse().ok()?, end: end.parse().ok()?, length: parse_length(length)? };
        let account = optional(account)?.map(AccountId);
        let key = Self {
            client: ClientId(client.parse().ok()?),
            connection: ConnectionName::from(unescape(connection)),
            ledger: LedgerId(unescape(ledger)),
            request: StatementRequest { kind: StatementKind::parse(kind)?, basis, period, account },
            item: optional(item)?,
        };
        (key.text() == text).then_some(key)
    }

    /// What was delivered of one account, and documents, under a key of the cash basis, before [`basis_of`] was the rule.
    /// It stays under that key, or it would go out a second time.
    pub fn former(&self) -> Option<Self> {
        let accrual = self.request.basis == Basis::Accrual;
        (accrual && basis_of(self.request.kind, Basis::Cash) == Basis::Accrual).then(|| {
            let mut former = self.clone();
            former.request.basis = Basis::Cash;
            former
        })
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

/// The basis that a kind is asked for on. An account's movements and documents are the same on each: what the firm works on
/// must not make a second one of them.
pub fn basis_of(kind: StatementKind, firms: Basis) -> Basis {
    if kind.per_account() || kind.is_document() { Basis::Accrual } else { firms }
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

/// The path of one file, below the client's folder. `None` never comes: what `safe` makes is what the contract takes.
fn path(template: &Template, wanted: &Wanted, tag: Option<&str>) -> Option<FilePath> {
    let id8 = wanted.key.id8();
    let year_end = wanted.year_end;
    let request = &wanted.key.request;
    let (stem, own_ext) = wanted.document.as_deref().map_or(("", ""), split_ext);
    let text = |given: &str| names::part(given, &id8);
    let filled = template.fill(&|field| match field {
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
        *file =
            if ext.is_empty() { names::suffixed(stem, tag) } else { format!("{}.{ext}", names::suffixed(stem, tag)) };
    }
    FilePath::new(parts)
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

/// The names in use in one client's folder.
#[derive(Debug, Default)]
pub struct Names(BTreeSet<String>);

impl Names {
    /// `taken` is what earlier runs decided, which never changes.
    pub fn of<'p>(taken: impl IntoIterator<Item = &'p FilePath>) -> Self {
        Self(taken.into_iter().map(unique).collect())
    }

    /// The path of a new file, in use from now on. Whatever would get a name in use (two accounts called “Cheque”, two
    /// documents called “scan.pdf”) gets ` ~id8`.
    pub fn give(&mut self, template: &Template, file: &Wanted) -> Option<FilePath> {
        let (short, long) = (file.key.id8(), file.key.digest(32));
        let tags = [None, Some(short), Some(long.clone())].into_iter();
        let path = tags
            .chain((2..=self.0.len() + 2).map(|n| Some(format!("{long}-{n}"))))
            .filter_map(|tag| path(template, file, tag.as_deref()))
            .find(|path| !self.0.contains(&unique(path)))?;
        self.0.insert(unique(&path));
        Some(path)
    }
}

fn unique(path: &FilePath) -> String {
    path.names().iter().map(|name| names::unique_key(name)).collect::<Vec<_>>().join("/")
}

/// A length as configuration writes it.
pub fn parse_length(slug: &str) -> Option<PeriodLength> {
    [PeriodLength::Month, PeriodLength::Quarter, PeriodLength::Year].into_iter().find(|l| length_slug(*l) == slug)
}

#[cfg(test)]
#[path = "naming_tests.rs"]
mod tests;
