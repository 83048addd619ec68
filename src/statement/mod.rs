//! Statements: what one is, which periods there are, what its file is called, and the renderers. All of it is pure: no
//! IO, no clock, the same input gives the same bytes.
//!
//! | file | question it answers |
//! |---|---|
//! | [`model`] | what is a statement, and when are two the same (`content_hash`) |
//! | [`period`] | which months, quarters and years has this client, which are due |
//! | [`naming`] | which key and which path has this file |
//! | [`template`] | the firm's own scheme of names |
//! | [`check`] | do the report's own totals agree with its lines |
//! | [`change`] | what did a restatement change, in one sentence |
//! | [`document`] | may a document from the ledger be passed on as it is |
//! | [`grid`] | a body in columns, for people and for machines |
//! | `pdf`, `xlsx`, `csv`, `json`, `ofx` | one renderer each |
//! | [`money`] | amounts as text |
//!
//! Usage: hash ([`content_hash`]) and compare with what was delivered; if new, [`check::check`] for findings, then
//! [`render`] once a format of [`Format::of`].

pub mod change;
pub mod check;
mod csv;
pub mod document;
pub mod grid;
mod json;
pub mod model;
pub mod money;
pub mod naming;
mod ofx;
mod pdf;
pub mod period;
pub mod template;
mod xlsx;

use std::collections::BTreeSet;

use bytes::Bytes;
use ledgerward_contract::StatementKind;
use serde::{Deserialize, Serialize};

pub use change::summary as summary_of_change;
pub use check::{Mismatch, check};
pub use model::{Body, ContentHash, Head, Statement, content_hash};
pub use naming::{StatementKey, Wanted};
pub use pdf::{Letter, is_font, letter};
pub use period::YearEnd;
pub use template::{Template, TemplateError};

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Pdf,
    Xlsx,
    Csv,
    Json,
    Ofx,
}

impl Format {
    pub const ALL: [Self; 5] = [Self::Pdf, Self::Xlsx, Self::Csv, Self::Json, Self::Ofx];

    /// As in configuration, on the command line, and as the file's extension.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Xlsx => "xlsx",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Ofx => "ofx",
        }
    }

    pub const fn ext(self) -> &'static str {
        self.slug()
    }

    pub const fn mime(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
            Self::Ofx => "application/x-ofx",
        }
    }

    pub fn parse(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.slug() == slug)
    }

    /// Whether a kind can come in this format at all. OFX is for real bank lines only (`decisions` 26); documents are
    /// never rendered.
    pub const fn fits(self, kind: StatementKind) -> bool {
        !kind.is_document() && (!matches!(self, Self::Ofx) || matches!(kind, StatementKind::BankStatement))
    }

    /// The formats a kind can come in.
    pub fn of(kind: StatementKind) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |f| f.fits(kind))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paper {
    #[default]
    A4,
    Letter,
}

/// How it shall look. Not part of the content: changing it re-pushes nothing by itself (`decisions` 24).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub paper: Paper,
    /// Red, green, blue of rules and the firm's name.
    pub accent: [u8; 3],
    /// Fonts (whole TrueType or OpenType files) for what the built-in one lacks, first match wins. Letters are placed one
    /// after another from left to right: scripts that need shaping come out readable at best.
    pub fonts: Vec<Bytes>,
}

impl Default for Look {
    fn default() -> Self {
        Self { paper: Paper::A4, accent: [0x1f, 0x3a, 0x5f], fonts: Vec::new() }
    }
}

/// A finished file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub bytes: Bytes,
    pub mime: &'static str,
    pub ext: &'static str,
    pub findings: BTreeSet<Finding>,
}

/// Something that a person should know of a file that was made all the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Finding {
    #[error("the PDF's fonts lack {}; a box stands in their place. Name a font file that has them in `fonts` of [statements] in the configuration", .0)]
    MissingGlyphs(String),
    #[error("{0} amounts have more than 15 digits, which a spreadsheet cannot hold; they are text in the XLSX file")]
    LongAmounts(usize),
    #[error("{0} texts are longer than a spreadsheet cell (32,767 characters) and were cut in the XLSX file")]
    LongTexts(usize),
    #[error("the report has so many columns that its PDF is set in very small type")]
    SmallType,
    #[error("one of the firm's fonts cannot be read and was left out")]
    BadFont,
    #[error("the source gave no account number; the OFX file names the account by its id in the ledger")]
    NoAccountNumber,
    #[error("the account number is longer than OFX allows; the file has its last 22 characters")]
    LongAccountNumber,
    #[error("{0} lines had no id or one that was used before; the OFX file gives them ids of our own")]
    MadeIds(usize),
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("{kind} cannot be written as {format}; possible are {possible}")]
    Unfit { kind: &'static str, format: &'static str, possible: String },
    #[error("no OFX file: {0}")]
    NoOfx(&'static str),
    /// A library refused; our defect.
    #[error("the {format} file could not be made: {what}")]
    Failed { format: &'static str, what: String },
}

impl RenderError {
    fn failed(format: Format, what: impl std::fmt::Display) -> Self {
        Self::Failed { format: format.slug(), what: what.to_string() }
    }
}

/// One statement as one file. The same statement and look always give the same bytes.
///
/// Errors: a format that does not fit the kind; OFX without a closing balance from the source.
pub fn render(statement: &Statement, format: Format, look: &Look) -> Result<Rendered, RenderError> {
    let kind = statement.head.kind;
    if !format.fits(kind) {
        let possible: Vec<&str> = Format::of(kind).map(Format::slug).collect();
        let possible = if possible.is_empty() { "none".to_owned() } else { possible.join(", ") };
        return Err(RenderError::Unfit { kind: kind.slug(), format: format.slug(), possible });
    }
    let mut findings = BTreeSet::new();
    let bytes = match format {
        Format::Pdf => pdf::render(statement, look, &mut findings)?,
        Format::Xlsx => xlsx::render(statement, &mut findings)?,
        Format::Csv => csv::render(statement)?,
        Format::Json => json::render(statement)?,
        Format::Ofx => ofx::render(statement, &mut findings)?,
    };
    Ok(Rendered { bytes: bytes.into(), mime: format.mime(), ext: format.ext(), findings })
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
