//! Guests: time-boxed extra access (`product` 4). Deciding leaves an expired guest out by itself; this says who has expired
//! and what people should be told before.

use ledgerward_contract::Timestamp;

use super::{
    change::ChangeOp,
    finding::{Finding, Severity},
    firm::{Firm, Guest},
};

/// Told so long before the end: a finding of the working day before.
const NOTICE: jiff::SignedDuration = jiff::SignedDuration::from_hours(36);

/// The acts that end what is over, once for each person and client.
pub fn expired(firm: &Firm, now: Timestamp) -> Vec<ChangeOp> {
    let over = |g: &&Guest| {
        let later = |o: &Guest| (o.person, o.client) == (g.person, g.client) && o.until > now;
        g.until <= now && !firm.guests.iter().any(later)
    };
    let mut pairs: Vec<_> = firm.guests.iter().filter(over).map(|g| (g.person, g.client)).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs.into_iter().map(|(person, client)| ChangeOp::EndGuest { person, client }).collect()
}

/// Access that ends soon, and break-glass for as long as it lasts.
pub fn findings(firm: &Firm, now: Timestamp) -> Vec<Finding> {
    let open = firm.guests.iter().filter(|g| g.until > now);
    let found = open.filter_map(|guest| {
        let (person, client) = (firm.people.get(&guest.person)?, firm.clients.get(&guest.client)?);
        let subject = format!("guest/{}/{}", person.id.0, client.id);
        let (email, slug, end) = (&person.email, &client.slug, firm.zone.end(guest.until));
        if guest.break_glass {
            let text =
                format!("BREAK-GLASS: {email} sees {slug} whatever the ledger says, until {end}: {}", guest.reason);
            let next = format!("When it is not needed any more: ledgerward guests end {email} {slug}");
            return Some(Finding::new(Severity::Urgent, "guest.break_glass", subject, text, next));
        }
        let soon = guest.until.duration_since(now) <= NOTICE;
        soon.then(|| {
            let text = format!("The guest access of {email} to {slug} ends {end}: {}", guest.reason);
            let next = format!("To keep it longer: ledgerward guests extend {email} {slug} --until DATE");
            Finding::new(Severity::Notice, "guest.ends", subject, text, next)
        })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::firm::{Client, ClientState, Mode, Office, Person, PersonId};
    use ledgerward_contract::{ClientId, Email};
    use uuid::Uuid;

    fn firm(guests: &[(&str, bool)]) -> Firm {
        let (p, c) = (PersonId(Uuid::from_u128(1)), ClientId(Uuid::from_u128(2)));
        let person = Person {
            id: p,
            first: "Bob".into(),
            last: "Brown".into(),
            email: Email::parse("bob@harbour.example").unwrap(),
            aliases: Default::default(),
            target_addresses: Default::default(),
            mode: Mode::LedgerSelected,
            office: Office::Employee,
            enabled: true,
            closed: None,
            domain_accepted: false,
        };
        let client = Client {
            id: c,
            slug: "acme-ltd".into(),
            name: "Acme Ltd".into(),
            state: ClientState::Active,
            private_to: None,
            sources: Default::default(),
            authority: Default::default(),
            unlisted: None,
            targets: None,
            accounts: None,
            year_end: None,
            statements_since: None,
        };
        let guest = |(until, break_glass): &(&str, bool)| Guest {
            person: p,
            client: c,
            until: until.parse().unwrap(),
            reason: "audit".into(),
            break_glass: *break_glass,
        };
        Firm {
            people: [(p, person)].into(),
            clients: [(c, client)].into(),
            guests: guests.iter().map(guest).collect(),
            ..Firm::default()
        }
    }

    #[test]
    fn what_is_over_ends_and_the_day_before_is_told() {
        let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let codes = |firm: &Firm| findings(firm, now).into_iter().map(|f| f.code).collect::<Vec<_>>();
        let far = firm(&[("2026-12-24T00:00:00Z", false)]);
        assert!(expired(&far, now).is_empty() && codes(&far).is_empty());
        let mut soon = firm(&[("2026-11-22T09:00:30.117Z", false)]);
        assert_eq!(codes(&soon), ["guest.ends"]);
        soon.zone = crate::domain::firm::Zone(jiff::tz::TimeZone::get("Pacific/Auckland").unwrap());
        let text = findings(&soon, now).remove(0).text;
        assert_eq!(text, "The guest access of bob@harbour.example to acme-ltd ends 22 Nov 2026 22:00: audit");
        assert_eq!(codes(&firm(&[("2026-11-21T19:00:00Z", true)])), ["guest.break_glass"]);
        let over = firm(&[("2026-11-21T09:00:00Z", false)]);
        assert_eq!((expired(&over, now).len(), codes(&over).len()), (1, 0));
        assert!(expired(&firm(&[("2026-11-21T09:00:00Z", false), ("2026-12-01T00:00:00Z", false)]), now).is_empty());
    }
}
