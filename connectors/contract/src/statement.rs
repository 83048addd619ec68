//! Statements as data: what a vendor's report, register or document is before anything is rendered.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{AccountId, Date, Decimal, Error, LedgerId, Result, Timestamp, snapshot::Listed};

/// The kinds of `product` 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatementKind {
    ProfitAndLoss,
    BalanceSheet,
    TrialBalance,
    BankSummary,
    /// The books' own record of one bank account. Never to be called the bank's statement.
    BankRegister,
    /// Real statement lines from the bank, where the vendor gives them.
    BankStatement,
    /// Documents kept in the ledger, byte for byte.
    Files,
    /// Documents attached to the period's transactions, byte for byte.
    Attachments,
}

impl StatementKind {
    pub const ALL: [Self; 8] = [
        Self::ProfitAndLoss,
        Self::BalanceSheet,
        Self::TrialBalance,
        Self::BankSummary,
        Self::BankRegister,
        Self::BankStatement,
        Self::Files,
        Self::Attachments,
    ];

    /// As in configuration, on the command line and in keys.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::ProfitAndLoss => "profit-and-loss",
            Self::BalanceSheet => "balance-sheet",
            Self::TrialBalance => "trial-balance",
            Self::BankSummary => "bank-summary",
            Self::BankRegister => "bank-register",
            Self::BankStatement => "bank-statement",
            Self::Files => "files",
            Self::Attachments => "attachments",
        }
    }

    /// As in a file name and a heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::ProfitAndLoss => "Profit and loss",
            Self::BalanceSheet => "Balance sheet",
            Self::TrialBalance => "Trial balance",
            Self::BankSummary => "Bank summary",
            Self::BankRegister => "Bank register",
            Self::BankStatement => "Bank statement",
            Self::Files => "Files",
            Self::Attachments => "Attachments",
        }
    }

    pub fn parse(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.slug() == slug)
    }

    /// One statement for each bank account, instead of one for the ledger.
    pub const fn per_account(self) -> bool {
        matches!(self, Self::BankRegister | Self::BankStatement)
    }

    /// Bytes as they are, never rendered.
    pub const fn is_document(self) -> bool {
        matches!(self, Self::Files | Self::Attachments)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    #[default]
    Accrual,
    Cash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeriodLength {
    Month,
    Quarter,
    Year,
}

/// A closed range of days: both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Period {
    pub start: Date,
    pub end: Date,
    pub length: PeriodLength,
}

/// What is wanted of one ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StatementRequest {
    pub kind: StatementKind,
    pub basis: Basis,
    pub period: Period,
    /// Required where [`StatementKind::per_account`], absent elsewhere.
    pub account: Option<AccountId>,
}

impl StatementRequest {
    /// The account of a kind that has one. Errors: `Contract` where none is named.
    pub fn bank_account(&self, op: &'static str) -> Result<&AccountId> {
        self.account.as_ref().ok_or_else(|| Error::contract(op, format!("{} needs a bank account", self.kind.title())))
    }
}

/// One thing that [`crate::StatementSource::fetch`] can bring.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StatementRef {
    pub ledger: LedgerId,
    pub request: StatementRequest,
    /// For documents: which one. `None` for reports and registers.
    pub item: Option<StatementItem>,
}

impl Listed for StatementRef {
    type Key = (StatementRequest, Option<String>);
    fn key(&self) -> Self::Key {
        (self.request.clone(), self.item.as_ref().map(|i| i.id.clone()))
    }
}

/// A document in a ledger, before its bytes are read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StatementItem {
    /// Enough for the connector to fetch it again, opaque to everybody else.
    pub id: String,
    /// The user's own name for it: data, never a path.
    pub name: String,
    pub mime: String,
    /// In bytes, as the vendor states it; a different length is a `Contract` error.
    pub size: Option<u64>,
    pub updated: Option<Timestamp>,
    /// The bank account it belongs to, where one is known.
    pub account: Option<AccountId>,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatementData {
    Table(ReportTable),
    Register(Register),
    Document(Document),
}

/// A document's bytes as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub name: String,
    pub mime: String,
    pub bytes: Bytes,
}

/// A report as the ledger laid it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportTable {
    pub title: String,
    /// As the report itself names it; compared with the ledger asked for (N14).
    pub organisation: Option<String>,
    pub currency: Option<String>,
    /// Said on the document where the figures are derived by us and not a report of the vendor.
    pub derived: Option<String>,
    /// The vendor rounds every figure to whole units by itself, so that a sum and its lines may differ by that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rounded: bool,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub label: String,
    /// Right-aligned, typed as a number.
    pub money: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// Opens a section.
    Heading,
    /// A line of its own.
    Line,
    /// The sum of the lines since the section's heading, as the vendor states it.
    Subtotal,
    /// A figure over several sections (net profit, net assets), as the vendor states it.
    Total,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub kind: RowKind,
    /// 0 for the outermost.
    pub depth: u8,
    pub account: Option<AccountId>,
    pub cells: Vec<Cell>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    Empty,
    Text(String),
    Money(Decimal),
}

/// The movements of one bank account in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    pub account: AccountId,
    pub account_name: String,
    pub account_number: Option<String>,
    pub organisation: Option<String>,
    pub currency: Option<String>,
    pub source: RegisterSource,
    pub opening: Option<Decimal>,
    /// Only where the source supplied it. OFX needs it (`decisions` 26).
    pub closing: Option<Decimal>,
    /// The day that the closing balance is of, where that is not the period's last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing_on: Option<Date>,
    pub lines: Vec<RegisterLine>,
    /// What the source itself says is missing or odd ("payments and transfers are not included"), printed on the document.
    pub notes: Vec<String>,
}

/// Whose record it is. Printed on every page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegisterSource {
    /// The ledger's books.
    Books,
    /// The bank's lines, with the vendor's word for how they came in (`feed`, `csv`, `manual`).
    Bank { imported: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterLine {
    pub id: String,
    pub date: Date,
    /// The vendor's word (`SPEND`, `Credit`).
    pub kind: String,
    pub payee: String,
    pub reference: String,
    pub description: String,
    /// Positive is money in.
    pub amount: Decimal,
    pub balance: Option<Decimal>,
    pub reconciled: Option<bool>,
    pub has_documents: bool,
}
