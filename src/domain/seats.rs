//! Whether a list that the firm keeps itself is out of date, by what a ledger counts and does not name.
//!
//! Only a warning: a count says nothing about any one person, so nothing here reaches [`super::facts`].

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{Seats, SourceKind, SourceRef};

use super::{
    finding::{Finding, Severity},
    firm::{Client, ClientState, Firm},
};

/// Compares each client's one counting ledger with the lines of rosters that the client is bound to.
///
/// `counts` are ledgers whose count was read now, `rosters` are the people of each line that was read now and believed.
/// Gives a list of findings for each ledger that could be compared, empty where the numbers agree, and nothing for a ledger
/// that could not: what was found before then stays.
pub fn compare(
    firm: &Firm,
    counts: &BTreeMap<SourceRef, Seats>,
    rosters: &BTreeMap<SourceRef, BTreeSet<&str>>,
) -> BTreeMap<SourceRef, Vec<Finding>> {
    let mut told = BTreeMap::new();
    for client in firm.clients.values().filter(|c| c.state != ClientState::Closed) {
        let mut counting = client.sources.iter().filter_map(|s| counts.get_key_value(s));
        let (Some((ledger, seats)), None) = (counting.next(), counting.next()) else { continue };
        let lines: Vec<_> = client.sources.iter().filter(|s| s.kind == SourceKind::Roster).collect();
        let Some(read) = lines.iter().map(|l| rosters.get(*l)).collect::<Option<Vec<_>>>() else { continue };
        let people: BTreeSet<&str> = read.into_iter().flatten().copied().collect();
        // A client that has no roster has none that could be out of date.
        let stale = lines.first().filter(|_| !agree(*seats, people.len()));
        let found: &mut Vec<Finding> = told.entry(ledger.clone()).or_default();
        found.extend(stale.map(|line| out_of_date(client, ledger, line, *seats, people.len())));
    }
    told
}

/// An export may hold the accountant's own users or not, and the ledger counts them by themselves.
fn agree(seats: Seats, people: usize) -> bool {
    let (users, people) = (u64::from(seats.users), people as u64);
    people == users || seats.accountants.is_some_and(|a| people == users + u64::from(a))
}

fn out_of_date(client: &Client, ledger: &SourceRef, line: &SourceRef, seats: Seats, people: usize) -> Finding {
    let names = if people == 1 { "1 person".to_owned() } else { format!("{people} people") };
    Finding::new(
        Severity::Warning,
        "roster.out_of_date",
        format!("{}/{}", ledger.connection, ledger.id),
        format!(
            "The roster is out of date: {} names {names} for {}, and {} counts {seats}. Nothing is given or taken by this.",
            line.connection, client.name, ledger.connection
        ),
        format!(
            "export the users of {} anew and put the list in the place of the old one; then: ledgerward roster {}",
            client.name, line.connection
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_with_or_without_the_accountants_users_agrees() {
        let both = Seats { users: 3, accountants: Some(1) };
        assert!(agree(both, 3) && agree(both, 4) && !agree(both, 2) && !agree(both, 5) && !agree(both, 1));
        let alone = Seats { users: 3, accountants: None };
        assert!(agree(alone, 3) && !agree(alone, 4) && !agree(alone, 0));
    }
}
