//! A ledger that counts its users and does not name them, beside the roster that does.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward::domain::{finding::Finding, firm::*, identity::*, seats};
use ledgerward_contract::*;

use super::world::*;

fn company() -> SourceRef {
    SourceRef { connection: "quickbooks".into(), kind: SourceKind::Ledger, id: "realm-1".into() }
}

fn line() -> SourceRef {
    SourceRef { connection: "staff".into(), kind: SourceKind::Roster, id: "acme".into() }
}

/// Three people by ledger, one client that its roster decides about.
fn firm() -> World {
    let mut w = World::new(3, Mode::Ledger, 0);
    let acme = client(1, &[company(), line()]);
    w.firm.clients.insert(cid(1), Client { unlisted: Some(Unlisted::Roster), ..acme });
    w
}

fn compare(w: &World, seats: Option<Seats>, people: Option<&[&'static str]>) -> Option<Vec<Finding>> {
    let counts: BTreeMap<_, _> = seats.map(|s| (company(), s)).into_iter().collect();
    let rosters: BTreeMap<_, BTreeSet<&str>> =
        people.map(|p| (line(), p.iter().copied().collect())).into_iter().collect();
    seats::compare(&w.firm, &counts, &rosters).remove(&company())
}

#[test]
fn another_number_is_a_finding_with_both_numbers_and_an_equal_one_ends_it() {
    let w = firm();
    let counts = |users| Some(Seats { users, accountants: None });
    let found = compare(&w, counts(4), Some(&["a", "b", "c"])).unwrap();
    let [one] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((one.code.as_str(), one.subject.as_str()), ("roster.out_of_date", "quickbooks/realm-1"));
    for word in ["out of date", "3 people", "4 users", "staff", "Client 1 Ltd", "quickbooks"] {
        assert!(one.text.contains(word), "{word}: {}", one.text);
    }
    assert!(one.next.contains("ledgerward roster staff"), "{}", one.next);
    // Told with nothing in it: this is what resolves what was found before.
    assert_eq!(compare(&w, counts(3), Some(&["a", "b", "c"])), Some(vec![]));
    assert_eq!(compare(&w, Some(Seats { users: 2, accountants: Some(1) }), Some(&["a", "b", "c"])), Some(vec![]));
}

#[test]
fn what_was_not_read_in_this_run_resolves_nothing() {
    let w = firm();
    assert_eq!(compare(&w, None, Some(&["a"])), None, "no count");
    assert_eq!(compare(&w, Some(Seats { users: 4, accountants: None }), None), None, "no roster");
}

#[test]
fn a_client_that_no_roster_names_has_none_that_could_be_out_of_date() {
    let mut w = firm();
    w.firm.clients.insert(cid(1), client(1, &[company()]));
    assert_eq!(compare(&w, Some(Seats { users: 4, accountants: None }), None), Some(vec![]));
    // A ledger that no client is bound to says nothing yet.
    w.firm.clients.clear();
    assert_eq!(compare(&w, Some(Seats { users: 4, accountants: None }), None), None);
}

#[test]
fn a_count_decides_nothing() {
    let mut w = firm();
    let named = [row(&line(), 1), row(&line(), 2)];
    let look = |w: &mut World| {
        w.observe(&company(), Grade::C, Outcome::Unlisted { reason: "it lists nobody".into() });
        w.observe(&line(), Grade::C, Outcome::Listed(&named));
    };
    look(&mut w);
    w.settle();
    let before = w.wants();
    assert_eq!(before[&whole(1)].len(), 2);
    for users in [0, 1, 2, 3, 400] {
        w.pass(3600);
        look(&mut w);
        let found = compare(&w, Some(Seats { users, accountants: None }), Some(&["p1", "p2"])).unwrap();
        assert_eq!(found.is_empty(), users == 2, "{users}");
        assert_eq!((w.wants(), w.plan().is_empty()), (before.clone(), true), "{users}");
    }
}
