//! Lists that are complete and still not to be taken at their word: ids that change, and another ledger's list.

use ledgerward::domain::{fact::Why, firm::*, identity::*};
use ledgerward_contract::*;

use super::world::*;

const OWN: &str = "office@harbour.example";

fn why(j: &Joined, n: u128) -> Option<Why> {
    j.facts.get(&pid(n)).map(|f| f.why)
}

/// Four people of the firm, of whom these are in the client's ledger and on its folder, since an hour ago.
fn settled(people: impl IntoIterator<Item = u128>) -> World {
    let mut w = World::new(4, Mode::Ledger, 1);
    w.grants(1, people);
    w.settle();
    w.pass(3600);
    w
}

/// As a sign-in reads the ledger whose vendor tells only its own user's address.
fn by_address(w: &mut World, rows: &[AccessFact]) -> Joined {
    let own = OwnIdentity { email: Some(Email::parse(OWN).unwrap()), user_id: Some("subject-of-the-token".into()) };
    let (source, outcome) = (ledger(1), Outcome::Listed(rows));
    let obs = Observation { source, name: "Books".into(), grade: Grade::A, at: w.now, outcome, own: Some(own) };
    let memory = w.memory.entry(ledger(1)).or_default();
    let joined = join(&AddressBook::new(&w.firm, &"xero".into()), &obs, memory);
    *memory = joined.memory.clone();
    w.firm.pins.extend(joined.new_pins.iter().cloned());
    w.joined.insert(ledger(1), joined.clone());
    joined
}

fn rows(people: impl IntoIterator<Item = u128>) -> Vec<AccessFact> {
    std::iter::once(own_row(&ledger(1))).chain(people.into_iter().map(|n| row(&ledger(1), n))).collect()
}

/// The same, with our own user changed.
fn with_own(own: AccessFact, people: impl IntoIterator<Item = u128>) -> Vec<AccessFact> {
    let mut rows = rows(people);
    rows[0] = own;
    rows
}

#[test]
fn i06_an_absence_counts_from_the_first_list_that_lacks_both_ids() {
    let mut w = settled(1..=3);
    let new = |standing| AccessFact { standing, ..user(&ledger(1), "u99", mail(1).key(), "STANDARD") };
    let with = |row: AccessFact| [rows([2, 3]), vec![row]].concat();
    // Missing once, then there under another id: the first absence is taken back.
    assert_eq!(why(&w.grants(1, [2, 3]), 1), Some(Why::AbsentOnce));
    w.pass(300);
    assert_eq!(why(&w.lists(1, &with(new(Standing::Active))), 1), Some(Why::KnownAddressNewId));
    w.pass(3600);
    assert_eq!(why(&w.grants(1, [2, 3]), 1), Some(Why::AbsentOnce), "both ids are gone now, for the first time");
    w.pass(300);
    assert_eq!(why(&w.grants(1, [2, 3]), 1), Some(Why::Gone));
    assert_eq!(revokes(&w.plan()), 1);

    // Nobody in force has the address: the absence is one.
    let mut w = settled(1..=3);
    let off = with(new(Standing::Disabled));
    assert_eq!(why(&w.lists(1, &off), 1), Some(Why::AbsentOnce));
    w.pass(300);
    assert_eq!(why(&w.lists(1, &off), 1), Some(Why::Gone));

    // Whom the ledger itself removed stays removed, whoever has the address now.
    let mut w = settled(1..=3);
    let removed = AccessFact { standing: Standing::Removed, ..row(&ledger(1), 1) };
    w.lists(1, &with(removed));
    assert_eq!(why(&w.lists(1, &with(new(Standing::Active))), 1), Some(Why::Gone));
    assert_eq!(revokes(&w.plan()), 1);
}

#[test]
fn a_person_with_two_bound_ids_is_not_missing_when_one_of_them_goes() {
    let mut w = settled(1..=3);
    let second = user(&ledger(1), "u99", mail(1).key(), "STANDARD");
    w.firm.pins.insert(Pin { source: ledger(1), user: "u99".into() }, pid(1));
    w.lists(1, &[rows(1..=3), vec![second.clone()]].concat());
    w.pass(300);
    let j = w.lists(1, &[rows(2..=3), vec![second]].concat());
    assert_eq!((why(&j, 1), j.reread_at), (Some(Why::Reader), None));
}

#[test]
fn p24_a_list_with_our_own_user_under_another_id_is_another_ledgers() {
    let mut w = World::new(4, Mode::Ledger, 1);
    by_address(&mut w, &rows([1, 2]));
    w.settle();
    w.pass(3600);
    let before = w.memory[&ledger(1)].clone();
    // The answer for ledger 1 is ledger 2's: person 3 is in that one.
    let other = with_own(user(&ledger(1), "own-in-2", OWN, "STANDARD"), [1, 3]);
    for _ in 0..3 {
        let j = by_address(&mut w, &other);
        assert_eq!((j.rest, j.facts.len()), (Why::Unreadable, 0));
        let found = j.findings.iter().find(|f| f.code == "source.contradiction").unwrap();
        assert!(found.text.contains(OWN) && found.text.contains("under another id"), "{}", found.text);
        assert!(found.next.contains("confirm-pin office@harbour.example xero org-1 own-in-2"), "{}", found.next);
        assert!(j.new_pins.is_empty() && w.plan().is_empty());
        assert_eq!(w.memory[&ledger(1)].users, before.users, "and nobody of it is remembered");
        w.pass(3600);
    }
    let j = by_address(&mut w, &rows([1, 2]));
    assert_eq!((why(&j, 1), why(&j, 2), j.rest), (Some(Why::Reader), Some(Why::Reader), Why::NeverListed));
    assert!(w.plan().is_empty());

    // A human says that our user was invited anew: the list is believed.
    w.firm.people.get_mut(&pid(4)).unwrap().email = Email::parse(OWN).unwrap();
    w.firm.pins.insert(Pin { source: ledger(1), user: "own-in-2".into() }, pid(4));
    let j = by_address(&mut w, &with_own(user(&ledger(1), "own-in-2", OWN, "STANDARD"), [1, 2]));
    assert_eq!((why(&j, 1), why(&j, 2), j.rest), (Some(Why::Reader), Some(Why::Reader), Why::NeverListed));
}

#[test]
fn p24_our_own_user_by_the_sign_ins_id_is_under_no_other_one() {
    let mut w = World::new(2, Mode::Ledger, 1);
    let named = |id: &str, people: &[u128]| with_own(user(&ledger(1), id, OWN, "STANDARD"), people.iter().copied());
    by_address(&mut w, &named("earlier", &[1]));
    w.pass(3600);
    let j = by_address(&mut w, &named("subject-of-the-token", &[1]));
    assert_eq!(why(&j, 1), Some(Why::Reader), "signed in anew: the id is our own by the vendor's word");
    // Beside the known one, another user with our address is somebody to look at, not another ledger.
    let mut both = named("earlier", &[1]);
    both.push(user(&ledger(1), "second", OWN, "STANDARD"));
    assert_eq!(why(&by_address(&mut w, &both), 1), Some(Why::Reader));
}

#[test]
fn p24_a_list_cannot_be_read_by_a_user_who_is_out_of_it() {
    for standing in [Standing::Disabled, Standing::Removed] {
        let mut w = settled([1, 2]);
        let off = AccessFact { standing: standing.clone(), ..own_row(&ledger(1)) };
        for _ in 0..3 {
            let j = w.lists(1, &with_own(off.clone(), [1, 3]));
            assert_eq!((j.rest, j.facts.len()), (Why::Unreadable, 0), "{standing:?}");
            let found = j.findings.iter().find(|f| f.code == "source.contradiction").unwrap();
            assert!(found.text.contains("no user in force") && !found.next.is_empty(), "{found:?}");
            assert!(w.plan().is_empty(), "{standing:?}");
            w.pass(3600);
        }
        assert_eq!(why(&w.grants(1, [1, 2]), 2), Some(Why::Reader));
    }
}

#[test]
fn p24_nobody_gains_by_one_list_that_lacks_somebody() {
    // Ledger 2's list comes back for ledger 1: 2 is missing, 3 is new, 1 and our own user are in both.
    let mut w = settled([1, 2]);
    let swapped = w.grants(1, [1, 3]);
    assert_eq!((why(&swapped, 1), why(&swapped, 2)), (Some(Why::Reader), Some(Why::AbsentOnce)));
    assert_eq!(why(&swapped, 3), Some(Why::NewOnce));
    assert_eq!(swapped.reread_at, Some(w.now + jiff::SignedDuration::from_secs(300)));
    assert!(swapped.new_pins.is_empty() && w.plan().is_empty());
    w.pass(299);
    assert_eq!(why(&w.grants(1, [1, 3]), 3), Some(Why::NewOnce), "too early to count");

    // The vendor is well: nothing is left of it, and the next such list is as doubtful as the first.
    let mut well = w.clone();
    let j = well.grants(1, [1, 2]);
    assert_eq!((why(&j, 2), why(&j, 3), j.reread_at), (Some(Why::Reader), None, None));
    assert!(!j.memory.users.contains_key(&ProviderUserId::from("u3")) && well.plan().is_empty());
    well.pass(3600);
    assert_eq!(why(&well.grants(1, [1, 3]), 3), Some(Why::NewOnce));

    // Or it was so: a leaver, and who comes instead. The second list decides about both.
    w.pass(1);
    let j = w.grants(1, [1, 3]);
    assert_eq!((why(&j, 2), why(&j, 3)), (Some(Why::Gone), Some(Why::Reader)));
    assert_eq!((grants(&w.plan()), revokes(&w.plan())), (1, 1));
    w.pass(3600);
    assert_eq!(why(&w.grants(1, [1, 3, 4]), 4), Some(Why::Reader), "a list that only adds is believed");
}

#[test]
fn p24_nor_does_a_known_user_gain_by_it() {
    let other = |n, role: &str, standing| AccessFact { role: role.into(), standing, ..row(&ledger(1), n) };
    for (role, standing) in
        [("INVOICEONLY", Standing::Active), ("STANDARD", Standing::Disabled), ("STANDARD", Standing::Pending)]
    {
        let mut w = World::new(4, Mode::Ledger, 1);
        w.lists(1, &[rows([1, 2]), vec![other(3, role, standing.clone())]].concat());
        w.settle();
        w.pass(3600);
        assert_eq!(why(&w.grants(1, [1, 3]), 3), Some(Why::NewOnce), "{role} {standing:?}");
        assert_eq!(grants(&w.plan()), 0);
        let mut gone = w.clone();
        w.pass(300);
        assert_eq!(why(&w.grants(1, [1, 3]), 3), Some(Why::Reader));
        // Whoever is bound by id and goes missing is missing, twice as everybody.
        gone.pass(300);
        assert_eq!(why(&gone.grants(1, [1, 2]), 3), Some(Why::AbsentOnce), "{role} {standing:?}");
    }
    // Back after an end that two lists agreed on, beside somebody who is missing.
    let mut w = settled(1..=3);
    w.grants(1, [1, 2]);
    w.pass(300);
    w.grants(1, [1, 2]);
    w.pass(3600);
    assert_eq!(why(&w.grants(1, [1, 3]), 3), Some(Why::NewOnce));
}

#[test]
fn p24_a_list_without_our_own_user_gives_nobody_new_anything_at_once() {
    let mut w = settled([1, 2]);
    let other = &rows([1, 2, 3])[1..];
    let j = w.lists(1, other);
    assert_eq!((why(&j, 1), why(&j, 3)), (Some(Why::Reader), Some(Why::NewOnce)));
    w.pass(300);
    assert_eq!(why(&w.lists(1, other), 3), Some(Why::Reader), "it may be that our own user was taken out");
}

#[test]
fn who_takes_over_a_client_in_the_firms_own_lists_does_so_at_once() {
    let line = SourceRef { connection: "staff".into(), kind: SourceKind::Roster, id: "acme".into() };
    let mut w = World::new(2, Mode::Ledger, 0);
    w.firm
        .clients
        .insert(cid(1), Client { authority: Authority::Named(line.clone()), ..client(1, std::slice::from_ref(&line)) });
    w.observe(&line, Grade::C, Outcome::Listed(&[row(&line, 1)]));
    w.pass(3600);
    let j = w.observe(&line, Grade::C, Outcome::Listed(&[row(&line, 2)]));
    assert_eq!((why(&j, 1), why(&j, 2)), (Some(Why::AbsentOnce), Some(Why::Reader)));
}
