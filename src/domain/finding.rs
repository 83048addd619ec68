//! Findings: something a person must know or do. A finding has a stable id and lasts until it is resolved.

use ledgerward_contract::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Notice,
    Warning,
    /// Somebody may see too much, or is locked out, or a sign-in is dead.
    Urgent,
}

/// What was found, about what, in words, with the next step.
///
/// `code` and `subject` together are the identity: the same fact found again in the next run is the same finding, and the
/// store gives it one number (`F-014`) for as long as it lasts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// `noun.state`: `folder.link_on`, `user.unmatched`, `role.unmapped`.
    pub code: String,
    /// What it is about, stable: `drive/acme-ltd`, `xero/<ledger>/<user>`.
    pub subject: String,
    pub severity: Severity,
    /// One sentence.
    pub text: String,
    /// What to do, as a command where there is one.
    pub next: String,
    /// Since when it is so, where the evidence says; else when it was first seen.
    pub since: Option<Timestamp>,
}

impl Finding {
    pub fn new(
        severity: Severity,
        code: impl Into<String>,
        subject: impl Into<String>,
        text: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { code: code.into(), subject: subject.into(), severity, text: text.into(), next: next.into(), since: None }
    }
}
