//! Invitations that nobody accepts. They satisfy the plan, and are never withdrawn or sent again by themselves, so that somebody
//! has to be told of them (`decisions` 18).

use jiff::SignedDuration;
use ledgerward_contract::Timestamp;

use super::Book;
use crate::domain::{
    finding::{Finding, Severity},
    firm::Firm,
};

const PATIENCE: SignedDuration = SignedDuration::from_hours(24 * 14);

/// Those that have waited for too long, as far as the list of this run does not say that they are over.
pub fn overdue(book: &Book, firm: &Firm, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    for (key, known) in &book.lanes {
        for row in &known.owned {
            let Some(since) = row.invited_since.filter(|since| now.duration_since(*since) >= PATIENCE) else {
                continue;
            };
            let waits =
                known.entries().is_none_or(|list| list.iter().any(|p| p.pending && p.id == row.grant.permission));
            if !waits {
                continue;
            }
            let Some(client) = firm.clients.get(&key.folder.client) else { continue };
            let (target, who) = (&key.target, &row.grant.who);
            let mut finding = Finding::new(
                Severity::Warning,
                "holder.invited",
                format!("{target}/{}/{who}", client.slug),
                format!(
                    "{who} was invited to the folder of {} on {target} and has not accepted for {} days.",
                    firm.open_name(client),
                    now.duration_since(since).as_hours() / 24
                ),
                format!(
                    "ask {who} to accept it; if they sign in there with another address: ledgerward people address {who} {target} EMAIL"
                ),
            );
            finding.since = Some(since);
            found.push(finding);
        }
    }
    found
}
