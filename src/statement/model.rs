//! A statement as the thing that is rendered, and what makes two of them the same.

use ledgerward_contract::{
    AccountKind, Basis, Cell, Date, Period, PeriodLength, Register, RegisterSource, ReportTable, StatementData,
    StatementKind, StatementRequest, Timestamp,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// A rendering's whole input, besides how it shall look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub head: Head,
    pub body: Body,
}

/// What every document says of itself (`product` 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The accounting firm.
    pub firm: String,
    /// Below the firm's name: address, telephone. At most four lines are printed.
    pub letterhead: Vec<String>,
    /// The client as the firm calls it.
    pub client: String,
    /// The organisation as its ledger calls it.
    pub organisation: String,
    /// Where the figures come from, as people call it: `Xero`.
    pub source: String,
    pub kind: StatementKind,
    /// The bank account, where the kind is per account.
    pub account: Option<String>,
    pub account_kind: Option<AccountKind>,
    pub period: Period,
    /// As in the file's name: `2026-10`, `2026-Q2`, `FY2026`.
    pub period_label: String,
    pub basis: Basis,
    /// ISO 4217; `None` where the source does not say.
    pub currency: Option<String>,
    /// When this content, not this file, was first read.
    pub first_read: Timestamp,
    /// 1 for the first; more for a restatement.
    pub version: u32,
    /// What the restatement changed, from [`super::change::summary`].
    pub change: Option<String>,
    pub notes: Vec<String>,
}

/// What can be rendered. Documents are delivered byte for byte and never come here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Table(ReportTable),
    Register(Register),
}

impl Body {
    /// `None` for a document.
    pub fn of(data: StatementData) -> Option<Self> {
        match data {
            StatementData::Table(table) => Some(Self::Table(table)),
            StatementData::Register(register) => Some(Self::Register(register)),
            StatementData::Document(_) => None,
        }
    }
}

impl Statement {
    /// The line that may never be missing: whose record this is, and what of it is derived.
    pub fn banner(&self) -> Option<String> {
        match &self.body {
            Body::Table(table) => table.derived.clone(),
            Body::Register(Register { source: RegisterSource::Books, .. }) => {
                Some(format!("Register of the books of {}. This is not the bank's statement.", self.head.organisation))
            }
            Body::Register(Register { source: RegisterSource::Bank { imported }, .. }) => {
                Some(format!("The bank's statement lines as they were imported into the books ({imported})."))
            }
        }
    }

    /// The head's notes and the source's own.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        let own = match &self.body {
            Body::Register(register) => register.notes.as_slice(),
            Body::Table(_) => &[],
        };
        self.head.notes.iter().chain(own).map(String::as_str)
    }

    /// `Profit and loss`, or with the account.
    pub fn title(&self) -> String {
        match &self.head.account {
            Some(account) => format!("{}: {account}", self.head.kind.title()),
            None => self.head.kind.title().to_owned(),
        }
    }

    /// The period in words. A balance is of a day, everything else of a range.
    pub fn period_text(&self) -> String {
        let Period { start, end, length: _ } = self.head.period;
        let day = |d: ledgerward_contract::Date| d.strftime("%-d %B %Y").to_string();
        match self.head.kind {
            StatementKind::BalanceSheet | StatementKind::TrialBalance => format!("As at {}", day(end)),
            _ => format!("{} to {}", day(start), day(end)),
        }
    }

    pub fn basis_text(&self) -> &'static str {
        match self.head.basis {
            Basis::Accrual => "Accrual basis",
            Basis::Cash => "Cash basis",
        }
    }

    /// RFC 3339 in whole seconds, UTC.
    pub fn first_read_text(&self) -> String {
        whole_seconds(self.head.first_read).to_string()
    }
}

pub(super) fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

pub(super) const fn length_slug(length: PeriodLength) -> &'static str {
    match length {
        PeriodLength::Month => "month",
        PeriodLength::Quarter => "quarter",
        PeriodLength::Year => "year",
    }
}

pub(super) const fn basis_slug(basis: Basis) -> &'static str {
    match basis {
        Basis::Accrual => "accrual",
        Basis::Cash => "cash",
    }
}

/// Identifies content: SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl std::fmt::Display for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// The hash that decides whether anything is delivered (`decisions` 24): of what was asked and what came, as canonical
/// JSON (RFC 8785); of a document, of its bytes alone. No time of reading, no version, no rendering.
///
/// Three things of the data do not count, because a vendor may change them while every figure stays: the organisation's
/// name, how many zeros an amount ends in, and the order in which a register's lines of one day arrive. Nor do two that
/// say nothing of their own: that figures are rounded, and the day of a closing balance that is the period's last or that
/// a note names.
///
/// Errors: none of this can fail for data that serialises, which is all of it; the error type is `serde_json`'s.
pub fn content_hash(request: &StatementRequest, data: &StatementData) -> Result<ContentHash, serde_json::Error> {
    #[derive(Serialize)]
    struct Canonical<'a, T> {
        hash: &'static str,
        request: &'a StatementRequest,
        data: T,
    }
    let hash = "ledgerward/content/1";
    let text = match data {
        StatementData::Document(document) => return Ok(ContentHash(Sha256::digest(&document.bytes).into())),
        StatementData::Table(table) => {
            serde_json_canonicalizer::to_vec(&Canonical { hash, request, data: plain_table(table.clone()) })?
        }
        StatementData::Register(register) => serde_json_canonicalizer::to_vec(&Canonical {
            hash,
            request,
            data: plain_register(register.clone(), request.period.end),
        })?,
    };
    Ok(ContentHash(Sha256::digest(&text).into()))
}

fn plain_table(mut table: ReportTable) -> ReportTable {
    (table.organisation, table.rounded) = (None, false);
    for cell in table.rows.iter_mut().flat_map(|row| &mut row.cells) {
        if let Cell::Money(amount) = cell {
            *amount = amount.normalize();
        }
    }
    table
}

fn plain_register(mut register: Register, end: Date) -> Register {
    register.organisation = None;
    let said = |day: &Date| *day == end || register.notes.iter().any(|note| note.contains(&day.to_string()));
    register.closing_on = register.closing_on.filter(|day| !said(day));
    for amount in [&mut register.opening, &mut register.closing].into_iter().flatten() {
        *amount = amount.normalize();
    }
    for line in &mut register.lines {
        line.amount = line.amount.normalize();
        line.balance = line.balance.map(|b| b.normalize());
    }
    register.lines.sort_by(|a, b| (a.date, &a.id, a.amount).cmp(&(b.date, &b.id, b.amount)));
    register
}
