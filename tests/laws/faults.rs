//! Faults of the catalogue that are decisions about people, sources and folders.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward::{
    api::check::{Picture, Question},
    domain::{
        explain::{self, CanSelect, SelectionState},
        fact::Why,
        firm::*,
        gaps,
        identity::*,
        lane::*,
        office::{CustomOffice, Permission},
        plan::{Listing, *},
        policy::*,
    },
};
use ledgerward_contract::*;

use super::world::*;

/// Three people, one client, everybody in, and settled.
fn settled() -> World {
    let mut w = World::new(3, Mode::Ledger, 1);
    w.grants(1, 1..=3);
    w.settle();
    w.pass(3600);
    assert_eq!(w.folders[&whole(1)].owned.len(), 3);
    w
}

fn why(j: &Joined, n: u128) -> Option<Why> {
    j.facts.get(&pid(n)).map(|f| f.why)
}

#[test]
fn p01_an_empty_list_holds_at_every_size() {
    for n in [1, 5, 50] {
        let mut w = World::new(n, Mode::Ledger, 1);
        w.grants(1, 1..=n);
        w.settle();
        for _ in 0..5 {
            w.pass(3600);
            let j = w.lists(1, &[]);
            assert_eq!(j.rest, Why::SuddenlyEmpty);
            assert!(has_finding(&j, "source.empty"));
            assert!(j.reread_at.is_some());
            assert!(w.plan().is_empty(), "{n} people");
        }
        assert_eq!(w.grants(1, 1..=n).rest, Why::NeverListed, "a good list ends it");
    }
}

#[test]
fn p02_one_client_empty_and_the_others_go_on() {
    let mut w = World::new(2, Mode::Ledger, 2);
    w.grants(1, [1, 2]);
    w.grants(2, [1]);
    w.settle();
    w.pass(3600);
    w.lists(1, &[]);
    w.grants(2, [1, 2]);
    let plan = w.plan();
    assert_eq!((grants(&plan), revokes(&plan)), (1, 0));
    assert_eq!(plan.lanes().iter().find(|l| !l.steps.is_empty()).unwrap().lane, whole(2));
}

#[test]
fn p06_incident_sourcebot_998_anonymous_answers_revoke_nobody() {
    // Expired token served as anonymous: 200 with a public list that lacks our own user.
    let mut w = settled();
    for _ in 0..4 {
        w.pass(3600);
        let j = w.lists(1, &[user(&ledger(1), "x", "stranger@elsewhere.example", "STANDARD")]);
        assert_eq!(why(&j, 1), Some(Why::OwnMissing));
        assert!(w.plan().is_empty());
    }
}

#[test]
fn p07_a_dead_sign_in_says_nothing_about_anybody() {
    for kind in [ErrorKind::Unauthenticated, ErrorKind::Forbidden, ErrorKind::NotFound, ErrorKind::Config] {
        let mut w = settled();
        let since = w.now;
        for _ in 0..9 {
            w.fails(1, kind);
            let plan = w.plan();
            assert!(plan.is_empty(), "{kind:?}");
            assert_eq!(plan.lanes()[0].held.len(), 3);
            assert_eq!(plan.lanes()[0].unknown_since, Some(since), "since the first failure");
            w.pass(86_400);
        }
        let plan = w.plan();
        assert!(plan.lanes()[0].waits(w.now).is_some(), "no file into evidence of nine days ago");
    }
}

#[test]
fn p07_lost_sight_of_a_ledger_is_unknown_too() {
    let mut w = settled();
    let since = w.now;
    w.observe(&ledger(1), Grade::A, Outcome::LostSight { since });
    assert!(w.plan().is_empty());
}

#[test]
fn p08_one_refused_client_freezes_alone() {
    let mut w = World::new(1, Mode::Ledger, 2);
    w.grants(1, [1]);
    w.grants(2, [1]);
    w.settle();
    w.pass(600);
    w.fails(1, ErrorKind::Forbidden);
    w.grants(2, []);
    w.pass(600);
    w.grants(2, []);
    let plan = w.plan();
    assert_eq!(revokes(&plan), 1);
    assert!(plan.lane(&whole(1)).unwrap().steps.is_empty());
}

#[test]
fn p09_rows_of_another_ledger_are_no_evidence() {
    let mut w = settled();
    let j = w.lists(1, &[own_row(&ledger(2)), row(&ledger(2), 1)]);
    assert_eq!(j.rest, Why::Unreadable);
    assert!(has_finding(&j, "source.wrong_ledger"));
    assert!(w.plan().is_empty());
}

#[test]
fn p13_one_short_list_denies_nobody_and_two_do() {
    let mut w = settled();
    let j = w.grants(1, [1, 2]);
    assert_eq!(why(&j, 3), Some(Why::AbsentOnce));
    assert_eq!(j.reread_at, Some(w.now + jiff::SignedDuration::from_secs(300)));
    assert!(w.plan().is_empty());
    w.pass(299);
    assert_eq!(why(&w.grants(1, [1, 2]), 3), Some(Why::AbsentOnce), "too early to count");
    w.pass(1);
    assert_eq!(why(&w.grants(1, [1, 2]), 3), Some(Why::Gone));
    let plan = w.plan();
    assert_eq!(revokes(&plan), 1);
    let step = &plan.lanes()[0].steps[0];
    assert_eq!(step.reason.cause, Cause::Source { connection: "xero".into(), source: "org-1".into() });
    assert!(step.reason.because.contains("no longer a user (last seen"), "{}", step.reason.because);
}

#[test]
fn p13_incident_ssosync_234_a_user_who_is_back_was_never_gone() {
    let mut w = settled();
    w.grants(1, [1, 2]);
    w.pass(400);
    w.fails(1, ErrorKind::Unavailable);
    w.pass(400);
    assert_eq!(why(&w.grants(1, 1..=3), 3), Some(Why::Reader));
    w.pass(400);
    assert_eq!(why(&w.grants(1, [1, 2]), 3), Some(Why::AbsentOnce), "counting begins again");
}

#[test]
fn p14_unknown_status_neither_gives_nor_takes() {
    let mut w = settled();
    let mut odd = row(&ledger(1), 1);
    odd.standing = Standing::Unknown("ARCHIVED?".into());
    let j = w.lists(1, &[own_row(&ledger(1)), odd.clone(), row(&ledger(1), 2), row(&ledger(1), 3)]);
    assert!(has_finding(&j, "status.unknown"));
    assert!(w.plan().is_empty());
    w.folders.clear();
    assert_eq!(grants(&w.plan()), 2, "nothing new for the odd one");
}

#[test]
fn p15_unknown_role_gives_nothing_takes_nothing_and_is_found_once() {
    let mut w = settled();
    let odd = |n| AccessFact { role: "AUDITOR_X".into(), ..row(&ledger(1), n) };
    let j = w.lists(1, &[own_row(&ledger(1)), odd(1), odd(2), row(&ledger(1), 3)]);
    let subjects: BTreeSet<_> = j.findings.iter().filter(|f| f.code == "role.unmapped").map(|f| &f.subject).collect();
    assert_eq!(subjects.len(), 1);
    assert!(w.plan().is_empty());
    w.folders.clear();
    assert_eq!(grants(&w.plan()), 1);
    // Roles compare exactly.
    let j = w.lists(1, &[own_row(&ledger(1)), AccessFact { role: "standard".into(), ..row(&ledger(1), 1) }]);
    assert_eq!(why(&j, 1), Some(Why::RoleUnmapped));
}

#[test]
fn p16_a_role_without_folders_is_an_explicit_denial() {
    let mut w = settled();
    let poor = AccessFact { role: "INVOICEONLY".into(), ..row(&ledger(1), 1) };
    w.lists(1, &[own_row(&ledger(1)), poor, row(&ledger(1), 2), row(&ledger(1), 3)]);
    assert_eq!(revokes(&w.plan()), 1, "at once, no second reading");
}

#[test]
fn p17_an_invitation_gives_nothing_until_it_is_accepted() {
    let mut w = World::new(1, Mode::Ledger, 1);
    let pending = AccessFact { standing: Standing::Pending, ..row(&ledger(1), 1) };
    w.lists(1, &[own_row(&ledger(1)), pending]);
    assert_eq!(grants(&w.plan()), 0);
    w.grants(1, [1]);
    assert_eq!(grants(&w.plan()), 1);
}

#[test]
fn p18_suspended_goes_at_once_and_comes_back() {
    let mut w = settled();
    let off = AccessFact { standing: Standing::Disabled, ..row(&ledger(1), 1) };
    w.lists(1, &[own_row(&ledger(1)), off, row(&ledger(1), 2), row(&ledger(1), 3)]);
    assert_eq!(revokes(&w.plan()), 1);
    w.settle();
    w.pass(3600);
    w.grants(1, 1..=3);
    assert_eq!(grants(&w.plan()), 1);
}

#[test]
fn p19_a_practice_manager_decides_only_where_it_is_named() {
    let mut w = World::new(2, Mode::Ledger, 1);
    let practice = SourceRef { connection: "xpm".into(), kind: SourceKind::PracticeClient, id: "c1".into() };
    let client = w.firm.clients.get_mut(&cid(1)).unwrap();
    client.sources.insert(practice.clone());
    w.grants(1, [1]);
    let rows = [user(&practice, "s2", mail(2).key(), "partner")];
    w.observe(&practice, Grade::B, Outcome::Listed(&rows));
    assert_eq!(w.wants()[&whole(1)], BTreeSet::from([mail(1).key().to_owned()]));
    w.pass(600);
    w.grants(1, [1]);
    w.observe(&practice, Grade::B, Outcome::Listed(&rows));
    let told = |w: &World| {
        let facts = w.facts();
        let d = Decider::new(&w.firm, &facts, &w.targets, w.now);
        gaps::conflicts(&d).into_iter().map(|f| (f.code, f.subject, f.text)).collect::<Vec<_>>()
    };
    let [(code, subject, text)] = &told(&w)[..] else { panic!("{:?}", told(&w)) };
    assert_eq!((code.as_str(), subject.as_str()), ("access.conflict", "xpm"));
    assert!(text.contains("1 clients: 1 times") && text.contains("1 times the other way"), "{text}");
    w.grants(1, [1, 2]);
    w.observe(
        &practice,
        Grade::B,
        Outcome::Listed(&[user(&practice, "s1", mail(1).key(), "partner"), rows[0].clone()]),
    );
    assert_eq!(told(&w), [], "they agree");
    w.observe(&practice, Grade::B, Outcome::Listed(&rows));
    w.grants(1, [1]);
    w.firm.clients.get_mut(&cid(1)).unwrap().authority = Authority::Named(practice);
    assert_eq!(w.wants()[&whole(1)], BTreeSet::from([mail(2).key().to_owned()]));
}

#[test]
fn p23_a_user_who_flickers_changes_nothing_twice_in_ten_minutes() {
    let mut w = settled();
    w.grants(1, [1, 2]);
    w.pass(300);
    w.grants(1, [1, 2]);
    let plan = w.plan();
    w.apply(&plan);
    w.pass(60);
    let j = w.grants(1, 1..=3);
    assert_eq!(why(&j, 3), Some(Why::Flapping));
    assert!(j.reread_at.is_some());
    assert!(w.plan().is_empty(), "not back within a minute");
    w.pass(600);
    w.grants(1, 1..=3);
    assert_eq!(grants(&w.plan()), 1);
}

#[test]
fn p24_another_firms_data_grants_and_revokes_nothing() {
    let mut w = settled();
    let foreign: Vec<_> =
        (0..9).map(|n| user(&ledger(1), &format!("z{n}"), &format!("z{n}@other.example"), "STANDARD")).collect();
    let j = w.lists(1, &foreign);
    assert!(has_finding(&j, "source.own_missing") && has_finding(&j, "user.unmatched"));
    assert!(w.plan().is_empty());
}

#[test]
fn i01_case_makes_no_second_person_and_the_address_is_sent_as_given() {
    let mut w = World::new(1, Mode::Ledger, 1);
    w.firm.people.get_mut(&pid(1)).unwrap().email = Email::parse("Bob@Harbour.example").unwrap();
    w.lists(1, &[own_row(&ledger(1)), user(&ledger(1), "u", "bOB@harbour.EXAMPLE", "STANDARD")]);
    let plan = w.plan();
    let step = plan.lanes()[0].steps.iter().find(|s| matches!(s.op, Op::Grant { .. })).unwrap();
    assert!(matches!(&step.op, Op::Grant { who, .. } if who.as_given() == "Bob@Harbour.example"));
}

#[test]
fn i02_i03_i04_lookalike_addresses_are_nobody() {
    for alien in ["p1+x@harbour.example", "p.1@harbour.example", "p1@hаrbour.example", "p\u{131}@harbour.example"] {
        let mut w = World::new(1, Mode::Ledger, 1);
        let j = w.lists(1, &[own_row(&ledger(1)), user(&ledger(1), "u", alien, "STANDARD")]);
        assert_eq!(grants(&w.plan()), 0, "{alien}");
        assert!(has_finding(&j, "user.unmatched") || has_finding(&j, "user.bad_address"), "{alien}");
    }
}

#[test]
fn i05_a_changed_address_is_held_until_somebody_confirms() {
    let mut w = settled();
    let moved = user(&ledger(1), "u1", "new@harbour.example", "STANDARD");
    let rows = [own_row(&ledger(1)), moved, row(&ledger(1), 2), row(&ledger(1), 3)];
    for _ in 0..3 {
        w.pass(3600);
        let j = w.lists(1, &rows);
        assert_eq!(why(&j, 1), Some(Why::EmailChanged));
        assert!(has_finding(&j, "user.address_changed"));
        assert!(w.plan().is_empty());
    }
    let alias = Email::parse("new@harbour.example").unwrap();
    w.firm.people.get_mut(&pid(1)).unwrap().aliases.insert("xero".into(), BTreeSet::from([alias]));
    assert_eq!(why(&w.lists(1, &rows), 1), Some(Why::Reader));
}

#[test]
fn i05_a_new_address_of_the_firm_moves_the_grant_as_one() {
    let mut w = settled();
    w.firm.people.get_mut(&pid(1)).unwrap().email = Email::parse("renamed@harbour.example").unwrap();
    w.grants(1, 1..=3);
    let plan = w.plan();
    assert_eq!((grants(&plan), revokes(&plan)), (1, 1), "pinned: still the same person");
}

#[test]
fn i06_a_known_address_under_a_new_id_is_held_for_a_human() {
    let mut w = settled();
    let reused = user(&ledger(1), "u99", mail(1).key(), "STANDARD");
    let rows = [own_row(&ledger(1)), reused, row(&ledger(1), 2), row(&ledger(1), 3)];
    for _ in 0..5 {
        let j = w.lists(1, &rows);
        assert!(has_finding(&j, "user.new_id"));
        assert_eq!(why(&j, 1), Some(Why::KnownAddressNewId), "{:?}", j.facts);
        assert_eq!(j.reread_at, None, "nobody is missing");
        assert!(j.new_pins.is_empty());
        assert!(w.plan().is_empty(), "the address is in the list: nothing is taken, as the finding says");
        w.pass(300);
    }
    w.firm.pins.insert(Pin { source: ledger(1), user: "u99".into() }, pid(1));
    w.lists(1, &rows);
    assert!(w.plan().is_empty(), "bound by a human: still the same access");
}

#[test]
fn i07_a_foreign_domain_is_held_per_person_and_lifted_once() {
    let mut w = World::new(2, Mode::All, 3);
    let guest = Email::parse("someone@freemail.example").unwrap();
    w.firm.people.get_mut(&pid(1)).unwrap().email = guest;
    let plan = w.plan();
    assert_eq!(grants(&plan), 3, "the other one's");
    assert!(plan.lanes().iter().all(|l| l.held.len() == 1));
    let facts = w.facts();
    let d = Decider::new(&w.firm, &facts, &w.targets, w.now);
    assert_eq!(
        d.lanes().flat_map(|l| l.1).filter(|f| f.code == "person.foreign_domain").count(),
        1,
        "one finding, not three"
    );
    w.firm.people.get_mut(&pid(1)).unwrap().domain_accepted = true;
    assert_eq!(grants(&w.plan()), 6);
    let plan = w.plan();
    w.apply(&plan);
    w.firm.people.get_mut(&pid(1)).unwrap().domain_accepted = false;
    assert!(w.plan().is_empty(), "what exists stays");
}

#[test]
fn i08_a_bad_address_is_its_rows_finding_alone() {
    let mut w = World::new(2, Mode::Ledger, 1);
    for junk in
        ["", "n/a", "a@x.example, b@x.example", "Ann <p1@harbour.example>", "p1@harbour.example\r\nBcc: x@y.example"]
    {
        let j = w.lists(1, &[own_row(&ledger(1)), user(&ledger(1), "junk", junk, "STANDARD"), row(&ledger(1), 2)]);
        assert!(has_finding(&j, "user.bad_address"), "{junk:?}");
        assert_eq!(grants(&w.plan()), 1);
    }
}

#[test]
fn i09_another_display_name_is_no_change() {
    let mut w = settled();
    let rows: Vec<_> = (1..=3)
        .map(|n| AccessFact { name: "Renamed".into(), ..row(&ledger(1), n) })
        .chain([own_row(&ledger(1))])
        .collect();
    w.lists(1, &rows);
    assert!(w.plan().is_empty());
}

#[test]
fn i10_two_users_with_one_address_are_held_unless_both_are_bound() {
    let mut w = World::new(1, Mode::Ledger, 1);
    let rows = [own_row(&ledger(1)), row(&ledger(1), 1), user(&ledger(1), "u2", mail(1).key(), "ADVISER")];
    let j = w.lists(1, &rows);
    assert_eq!(why(&j, 1), Some(Why::TwoUsersOneAddress));
    assert_eq!(grants(&w.plan()), 0);
    for id in ["u1", "u2"] {
        w.firm.pins.insert(Pin { source: ledger(1), user: id.into() }, pid(1));
    }
    assert_eq!(why(&w.lists(1, &rows), 1), Some(Why::Writer), "the union, now that both are approved");
}

#[test]
fn i11_groups_links_and_everyone_are_never_granted_to_and_never_touched() {
    let mut w = settled();
    let folder = w.folders.get_mut(&whole(1)).unwrap();
    folder.list.push(seen(Holder::Group("staff@harbour.example".into()), SeenRole::Reader));
    folder.list.push(seen(Holder::Everyone("harbour.example".into()), SeenRole::Reader));
    let plan = w.plan();
    assert!(plan.is_empty());
    assert_eq!(plan.lanes()[0].strangers.len(), 2);
}

#[test]
fn i4_of_two_entries_of_one_person_the_one_we_made_goes() {
    for link in ["a-link", "z-link"] {
        let mut w = settled();
        let folder = w.folders.get_mut(&whole(1)).unwrap();
        // What a person made by hand is not ours, wherever it stands in the list.
        let by_hand = SeenPermission { id: link.into(), ..seen(Holder::Person(mail(1)), SeenRole::Reader) };
        if link < "perm" {
            folder.list.insert(0, by_hand)
        } else {
            folder.list.push(by_hand)
        }
        let ours = folder.owned.iter().find(|o| o.who == mail(1)).unwrap().permission.clone();
        assert!(w.plan().is_empty(), "who is entitled keeps both");
        w.firm.people.get_mut(&pid(1)).unwrap().enabled = false;
        let plan = w.plan();
        let revoked: Vec<_> = plan.lanes()[0].steps.iter().map(|s| &s.op).collect();
        let want = Op::Revoke { who: Holder::Person(mail(1)), permission: ours, role: FolderRole::Reader };
        assert_eq!(revoked, [&want], "{link}");
        assert_eq!(plan.lanes()[0].strangers.len(), 1, "and the other is told");
    }
}

#[test]
fn i5_who_is_always_allowed_on_one_target_is_in_no_plan_there() {
    let mut w = settled();
    w.firm.policy.always_allowed_on.insert(w.targets[0].clone(), [mail(1)].into());
    w.firm.people.get_mut(&pid(1)).unwrap().enabled = false;
    assert!(w.plan().is_empty() && w.plan().lanes()[0].strangers.is_empty());
    w.firm.policy.always_allowed_on = [(TargetName("another".into()), [mail(1)].into())].into();
    assert_eq!(revokes(&w.plan()), 1, "of that one alone");
}

#[test]
fn i12_a_waiting_invitation_satisfies_the_plan_and_is_shown() {
    let mut w = settled();
    w.folders.get_mut(&whole(1)).unwrap().list[0].pending = true;
    let plan = w.plan();
    assert!(plan.is_empty());
    assert_eq!(plan.lanes()[0].invited, [mail(1)]);
}

#[test]
fn i12_a_declined_invitation_is_no_access_and_is_asked_about() {
    let mut w = settled();
    w.folders.get_mut(&whole(1)).unwrap().list[0].role = SeenRole::Declined;
    let plan = w.plan();
    let lane = &plan.lanes()[0];
    assert!(plan.is_empty() && lane.removed_by_hand.is_empty() && lane.strangers.is_empty());
    assert_eq!((lane.released.len(), lane.keeps[0].why), (1, KeepWhy::Declined));
    let told = lane.findings.iter().find(|f| f.code == "holder.declined").unwrap();
    assert!(told.text.contains("declined") && told.next.contains("remove the declined entry"), "{told:?}");
    assert!(!lane.findings.iter().any(|f| f.code == "holder.role_raised"));

    // The same under the account's primary address, which is nobody's here.
    let folder = w.folders.get_mut(&whole(1)).unwrap();
    folder.list[0].holder = Holder::Person(Email::parse("primary@elsewhere.example").unwrap());
    let plan = w.plan();
    let lane = &plan.lanes()[0];
    assert!(plan.is_empty() && lane.removed_by_hand.is_empty() && lane.strangers.is_empty());
    assert!(lane.findings.iter().any(|f| f.code == "holder.declined"));

    // Our grant is over; without the entry it is an ordinary one, which nobody has to approve.
    let folder = w.folders.get_mut(&whole(1)).unwrap();
    let gone = folder.list.remove(0);
    folder.owned.retain(|o| o.permission != gone.id);
    let v = w.verdict();
    assert_eq!((v.held.len(), v.cleared.lanes()[0].steps.len()), (0, 1));
    assert!(matches!(&v.cleared.lanes()[0].steps[0].op, Op::Grant { who, .. } if *who == mail(1)));
}

#[test]
fn a_role_of_the_vendors_own_is_told_as_what_it_is() {
    let mut w = settled();
    w.folders.get_mut(&whole(1)).unwrap().list[0].role = SeenRole::Other("viewer uploader".to_owned());
    let plan = w.plan();
    assert!(plan.is_empty());
    let told = plan.lanes()[0].findings.iter().find(|f| f.code == "holder.role_other").unwrap();
    assert!(told.text.contains("\"viewer uploader\"") && !told.text.contains("more than a writer"), "{told:?}");
}

#[test]
fn n02_a_client_that_left_the_book_keeps_its_list() {
    let mut w = settled();
    w.firm.clients.clear();
    assert!(w.plan().is_empty());
}

#[test]
fn n03_rows_of_a_folder_that_was_replaced_prove_nothing() {
    let mut w = settled();
    let folder = w.folders.get_mut(&whole(1)).unwrap();
    folder.id = "another".into();
    w.firm.people.get_mut(&pid(1)).unwrap().enabled = false;
    let plan = w.plan();
    assert_eq!(revokes(&plan), 0, "whoever is in the new folder was not let in by us");
    assert_eq!(plan.lanes()[0].released.len(), 3);
}

#[test]
fn s04_hand_made_shares_stay_and_are_shown() {
    let mut w = settled();
    let stranger = Email::parse("someone@elsewhere.example").unwrap();
    w.folders.get_mut(&whole(1)).unwrap().list.push(seen(Holder::Person(stranger.clone()), SeenRole::Writer));
    let plan = w.plan();
    assert!(plan.is_empty());
    assert_eq!(plan.lanes()[0].strangers[0].holder, Holder::Person(stranger.clone()));
    let facts = w.facts();
    let d = Decider::new(&w.firm, &facts, &w.targets, w.now);
    assert!(!plan.lanes()[0].planned(&d).contains(&stranger), "the fence does not let them pass");
    let folder = w.folders.get_mut(&whole(1)).unwrap();
    folder.accepted.push(AcceptedHolder { holder: Holder::Person(stranger), role: None });
    assert!(w.plan().lanes()[0].strangers.is_empty());
}

#[test]
fn s04_h03_adopting_takes_over_and_only_then_can_revoke() {
    let mut w = settled();
    let stranger = Email::parse("someone@elsewhere.example").unwrap();
    let folder = w.folders.get_mut(&whole(1)).unwrap();
    folder.list.push(seen(Holder::Person(stranger.clone()), SeenRole::Reader));
    folder.adopt.push(stranger);
    let plan = w.plan();
    assert_eq!((ops(&plan, |o| matches!(o, Op::Adopt { .. })), revokes(&plan)), (1, 0));
    w.apply(&plan);
    w.folders.get_mut(&whole(1)).unwrap().adopt.clear();
    assert_eq!(revokes(&w.plan()), 1);
}

#[test]
fn s05_an_open_link_is_trouble() {
    let mut w = settled();
    w.folders.get_mut(&whole(1)).unwrap().list.push(seen(Holder::Link(LinkKind::Anyone), SeenRole::Reader));
    let plan = w.plan();
    assert_eq!(plan.lanes()[0].trouble, [Trouble::LinkOn]);
    assert!(plan.lanes()[0].waits(w.now).is_some());
    assert!(plan.lanes()[0].findings.iter().any(|f| f.code == "folder.link_on"));
}

#[test]
fn s06_what_a_person_took_out_is_asked_about_and_not_put_back() {
    let mut w = settled();
    w.folders.get_mut(&whole(1)).unwrap().list.remove(0);
    let v = w.verdict();
    assert!(v.cleared.is_empty());
    assert_eq!(v.cleared.lanes()[0].removed_by_hand, [mail(1)]);
    assert_eq!(v.held.len(), 1);
    let facts = w.facts();
    let d = Decider::new(&w.firm, &facts, &w.targets, w.now);
    assert!(!v.cleared.lanes()[0].planned(&d).contains(&mail(1)));
}

#[test]
fn s07_inherited_entries_are_seen_never_touched_and_strangers_unless_entitled() {
    let mut w = settled();
    let outsider = Email::parse("parent@elsewhere.example").unwrap();
    let folder = w.folders.get_mut(&whole(1)).unwrap();
    folder.list.push(SeenPermission { via: Via::Inherited, ..seen(Holder::Person(outsider), SeenRole::Writer) });
    folder
        .list
        .push(SeenPermission { via: Via::Below("2026".into()), ..seen(Holder::Group("g".into()), SeenRole::Reader) });
    let plan = w.plan();
    assert!(plan.is_empty());
    assert_eq!(plan.lanes()[0].strangers.len(), 2);
}

#[test]
fn s13_who_owns_a_file_in_the_folder_is_let_in_and_out_like_anybody() {
    let owns = |n: u128| SeenPermission {
        id: format!("file-{n}").as_str().into(),
        via: Via::Below("notes.docx".into()),
        ..seen(Holder::Person(mail(n)), SeenRole::Owner)
    };
    let mut w = settled();
    let folder = w.folders.get_mut(&whole(1)).unwrap();
    folder.owned.retain(|o| o.who != mail(1));
    folder.list.retain(|p| p.holder != Holder::Person(mail(1)));
    folder.list.extend([owns(1), owns(2)]);
    w.firm.people.get_mut(&pid(2)).unwrap().enabled = false;
    let gaps = |w: &World, n: u128| {
        let facts = w.facts();
        let d = Decider::new(&w.firm, &facts, &w.targets, w.now);
        let (lane, client) = (d.lane(&whole(1)).0, w.firm.clients[&cid(1)].clone());
        let all = gaps::of_lane(&d, &lane, &client, &w.folders[&whole(1)].list);
        all.into_iter().filter(|l| l.who == mail(n).to_string()).map(|l| l.gap).collect::<Vec<_>>()
    };
    assert_eq!(gaps(&w, 1), [gaps::Gap::LedgerOnly]);
    let plan = w.plan();
    assert_eq!((grants(&plan), revokes(&plan)), (1, 1), "{:?}", plan.lanes()[0].steps);
    assert!(plan.lanes()[0].strangers.is_empty(), "nobody can take their own file from them");
    w.apply(&plan);
    assert_eq!((gaps(&w, 1), gaps(&w, 2)), (vec![], vec![gaps::Gap::Elsewhere]));
}

#[test]
fn s13_an_owners_role_makes_nobody_the_folders_owner_where_another_was_named() {
    let mut w = settled();
    let folder = w.folders.get_mut(&whole(1)).unwrap();
    let guest = Email::parse("visitor@elsewhere.example").unwrap();
    folder.list.push(seen(Holder::Person(guest), SeenRole::Owner));
    assert!(w.plan().lanes()[0].strangers.is_empty(), "nothing is known of another one");
    w.folders.get_mut(&whole(1)).unwrap().owner = Some("office@harbour.example".to_owned());
    let plan = w.plan();
    assert!(plan.is_empty());
    assert_eq!(plan.lanes()[0].strangers.len(), 1);
}

#[test]
fn s13_whoever_has_an_owners_role_and_waits_for_a_source_is_no_stranger() {
    let mut w = settled();
    let folder = w.folders.get_mut(&whole(1)).unwrap();
    folder.owner = Some("office@harbour.example".to_owned());
    let (office, them) = (Email::parse("office@harbour.example").unwrap(), Holder::Person(mail(1)));
    folder.list.push(seen(Holder::Person(office), SeenRole::Owner));
    folder.list.iter_mut().filter(|p| p.holder == them).for_each(|p| p.role = SeenRole::Owner);
    // Ours or not: let in by hand is let in.
    folder.owned.retain(|o| o.who == mail(2));
    folder.list.retain(|p| p.holder != Holder::Person(mail(3)));
    let in_plan = |w: &World| {
        let facts = w.facts();
        let d = Decider::new(&w.firm, &facts, &w.targets, w.now);
        let plan = w.plan();
        let lane = &plan.lanes()[0];
        (lane.planned(&d).contains(&mail(1)), lane.strangers.len(), revokes(&plan), lane.unknown_since.is_some())
    };
    assert_eq!(in_plan(&w), (true, 0, 0, false), "entitled");
    w.fails(1, ErrorKind::Unavailable);
    assert_eq!(in_plan(&w), (true, 0, 0, true), "a source's bad hour makes nobody a stranger");
    // Whoever owns the folder itself is in no plan.
    w.folders.get_mut(&whole(1)).unwrap().owner = Some(mail(1).to_string());
    assert!(!in_plan(&w).0);
    // Nor is anybody let in by a break-glass that is over, and nobody takes an owner's role away.
    let folder = w.folders.get_mut(&whole(1)).unwrap();
    folder.owner = Some("office@harbour.example".to_owned());
    let (id, over) = (FolderId(folder.id.clone()), mail(1));
    folder.extra.insert(over.clone(), Extra::BreakGlass);
    folder.owned.push(OwnedGrant {
        lane: whole(1),
        folder: id,
        permission: seen(them, SeenRole::Owner).id,
        who: over,
        role: FolderRole::Reader,
        ends: None,
        step: 99,
    });
    let (planned, strangers, out, _) = in_plan(&w);
    assert_eq!((planned, strangers, out), (false, 1, 0));
}

#[test]
fn s08_a_folder_that_is_gone_gets_no_second_one_beside_it() {
    let mut w = settled();
    let folder = w.folders.get_mut(&whole(1)).unwrap();
    folder.trouble = vec![Trouble::Trashed];
    folder.list.clear();
    assert!(w.plan().is_empty());
}

#[test]
fn s12_a_hand_made_higher_role_of_an_entitled_person_is_left_alone() {
    let mut w = World::new(1, Mode::Ledger, 1);
    w.grants(1, [1]);
    let folder = Folder {
        id: "f".into(),
        name: "Client 1 Ltd".into(),
        list: vec![seen(Holder::Person(mail(1)), SeenRole::Writer)],
        ..Folder::default()
    };
    w.folders.insert(whole(1), folder);
    let plan = w.plan();
    assert!(plan.is_empty());
    assert_eq!(plan.lanes()[0].keeps[0].why, KeepWhy::NotOursEntitled);
}

#[test]
fn s13_owner_ourselves_and_break_glass_are_in_no_plan() {
    let mut w = settled();
    w.firm.policy.always_allowed.insert(mail(3));
    let folder = w.folders.get_mut(&whole(1)).unwrap();
    folder.list[0].role = SeenRole::Owner;
    folder.list[1].ourselves = true;
    for n in 1..=3 {
        w.firm.people.get_mut(&pid(n)).unwrap().enabled = false;
    }
    assert!(w.plan().is_empty());
}

#[test]
fn s14_a_half_done_plan_is_recomputed_and_not_repeated() {
    let mut w = World::new(5, Mode::Ledger, 1);
    w.grants(1, 1..=5);
    let plan = w.plan();
    let mut half = plan.into_lanes();
    half[0].steps.truncate(3);
    w.apply(&Plan::proposed(half));
    assert_eq!(grants(&w.plan()), 3, "create and two grants were done");
}

#[test]
fn s15_two_lanes_on_one_folder_get_no_grants() {
    let mut w = World::new(1, Mode::All, 2);
    for c in [1, 2] {
        w.folders.insert(whole(c), Folder { id: "same".into(), name: format!("Client {c} Ltd"), ..Folder::default() });
    }
    let v = w.verdict();
    assert_eq!(grants(&v.cleared), 0);
    assert!(v.cleared.lanes().iter().all(|l| l.trouble.contains(&Trouble::SharedFolder)));
}

#[test]
fn h01_an_empty_selection_is_nothing() {
    for mode in [Mode::LedgerSelected, Mode::Selected] {
        let mut w = World::new(4, mode, 4);
        for c in 1..=4 {
            w.grants(c, 1..=4);
        }
        assert_eq!(grants(&w.plan()), 0);
    }
}

#[test]
fn h02_unselecting_revokes_in_the_next_run_and_archiving_leaves_the_list() {
    let mut w = World::new(1, Mode::LedgerSelected, 2);
    for c in [1, 2] {
        w.grants(c, [1]);
        w.select(1, c);
    }
    w.settle();
    w.firm.selections.remove(&(pid(1), cid(1)));
    w.firm.clients.get_mut(&cid(2)).unwrap().state = ClientState::Archived;
    let plan = w.plan();
    assert_eq!(revokes(plan.lane(&whole(1)).map(|_| &plan).unwrap()), 1);
    assert!(plan.lane(&whole(2)).unwrap().steps.is_empty() && !plan.lane(&whole(2)).unwrap().delivery);
    w.firm.clients.get_mut(&cid(2)).unwrap().state = ClientState::Closed;
    assert_eq!(revokes(&w.plan()), 2);
}

#[test]
fn what_an_archived_clients_list_leaves_undone_is_known_by_its_change() {
    let mut w = settled();
    w.grants(1, [2, 3]);
    w.pass(600);
    w.grants(1, [2, 3]);
    let left = |w: &World| w.plan().lanes()[0].left.values().cloned().collect::<Vec<_>>();
    w.firm.clients.get_mut(&cid(1)).unwrap().state = ClientState::Archived;
    assert!(left(&w).is_empty(), "what a ledger took away is no decision of the firm's");
    let took = Published { latest: "C-8".to_owned(), taking: Some("C-7".to_owned()) };
    w.changes = (1..=3).map(|n| (pid(n), took.clone())).collect();
    assert_eq!((left(&w), revokes(&w.plan())), (vec!["C-7".to_owned()], 0), "of whoever is entitled nothing is left");
    let mut narrowed = w.clone();
    narrowed.firm.people.get_mut(&pid(2)).unwrap().mode = Mode::LedgerSelected;
    let account = AccountRef { connection: "xero".into(), ledger: "L1".into(), account: "090".into() };
    let scope = SelectionScope::Accounts([account].into());
    narrowed.firm.selections.insert((pid(2), cid(1)), Selection { scope, when_granted: false });
    assert_eq!(left(&narrowed), ["C-7", "C-8"], "who sees one account goes from the folder of the whole client");
    w.sharing = Sharing::Report;
    assert!(left(&w).is_empty(), "nobody is ever taken off there");
    w.sharing = Sharing::Mirror;
    let mut out = w.clone();
    out.fails(1, ErrorKind::Unavailable);
    assert!(left(&out).contains(&"C-7".to_owned()), "nor is it lost in a source's bad hour");
    w.firm.clients.get_mut(&cid(1)).unwrap().state = ClientState::Active;
    assert_eq!((left(&w).len(), revokes(&w.plan())), (0, 1));
    w.firm.policy.additive_only = true;
    assert_eq!((left(&w), revokes(&w.plan())), (vec!["C-7".to_owned()], 0));
}

#[test]
fn h03_incident_defguard_2833_switching_on_over_a_used_folder_removes_nobody() {
    let mut w = World::new(2, Mode::Ledger, 1);
    w.grants(1, [1]);
    w.first_plan = true;
    let list = vec![seen(Holder::Person(mail(1)), SeenRole::Reader), seen(Holder::Person(mail(2)), SeenRole::Reader)];
    w.folders.insert(whole(1), Folder { id: "used".into(), name: "Client 1 Ltd".into(), list, ..Folder::default() });
    let plan = w.plan();
    assert_eq!((ops(&plan, |o| matches!(o, Op::Adopt { .. })), revokes(&plan), grants(&plan)), (1, 0, 0));
    assert_eq!(plan.lanes()[0].strangers.len(), 1);
    assert!(w.verdict().cleared.is_empty(), "and even the adoption waits for the first approval");
}

#[test]
fn h08_revoke_now_needs_no_source_and_no_list() {
    let mut w = settled();
    w.fails(1, ErrorKind::Unauthenticated);
    w.freeze = true;
    let closed = Closed { since: w.now, by: "ana".into(), reason: "left".into() };
    w.firm.people.get_mut(&pid(1)).unwrap().closed = Some(closed);
    let v = w.verdict();
    assert_eq!(revokes(&v.cleared), 1);
    assert!(v.held.is_empty());
    assert!(v.cleared.lanes()[0].steps.iter().all(|s| s.reason.cause == Cause::RevokeNow));
    let facts = w.facts();
    let d = Decider::new(&w.firm, &facts, &w.targets, w.now);
    let lane = d.lane(&whole(1)).0;
    let folder = &w.folders[&whole(1)];
    let id = FolderId(folder.id.clone());
    let ids = BTreeMap::new();
    let actual = ActualLane {
        folder: Some(&id),
        name: None,
        list: Listing::Unreadable("503"),
        owned: &folder.owned,
        accepted: &[],
        adopt: &[],
        extra: &BTreeMap::new(),
        known_ids: &ids,
        trouble: &[],
        owner: None,
    };
    let changes = BTreeMap::new();
    let cx = LaneCx {
        sharing: Sharing::Mirror,
        name: "x",
        renames: true,
        first_plan: false,
        policy: "",
        policy_before: None,
        changes: &changes,
    };
    assert_eq!(revokes(&Plan::proposed(vec![propose(&d, &lane, &actual, &cx)])), 1);
}

#[test]
fn the_modes_of_product_4_line_by_line() {
    // (mode, selected, ledger grants) -> yes
    let yes = |mode: Mode, selected: bool, granted: bool| {
        let mut w = World::new(1, mode, 1);
        if selected {
            w.select(1, 1);
        }
        w.grants(1, granted.then_some(1));
        w.pass(600);
        w.grants(1, granted.then_some(1));
        grants(&w.plan()) == 1
    };
    for selected in [false, true] {
        for granted in [false, true] {
            assert!(yes(Mode::All, selected, granted));
            assert_eq!(yes(Mode::Selected, selected, granted), selected);
            assert_eq!(yes(Mode::Ledger, selected, granted), granted);
            assert_eq!(yes(Mode::LedgerSelected, selected, granted), selected && granted);
        }
    }
}

#[test]
fn a_ledger_that_lists_nobody_goes_by_unlisted_and_one_that_did_list_is_unknown() {
    for (unlisted, n) in [(Unlisted::Manual, 1), (Unlisted::Deny, 0), (Unlisted::Roster, 0)] {
        let mut w = World::new(1, Mode::LedgerSelected, 1);
        w.select(1, 1);
        w.firm.policy.unlisted = unlisted;
        w.observe(&ledger(1), Grade::A, Outcome::Unlisted { reason: "no scope".into() });
        assert_eq!(grants(&w.plan()), n, "{unlisted:?}");
    }
    let mut w = settled();
    let j = w.observe(&ledger(1), Grade::A, Outcome::Unlisted { reason: "no scope".into() });
    assert_eq!(j.rest, Why::OnceListed);
    let slug = &w.firm.clients[&cid(1)].slug;
    let command = format!("clients confirm-unlisted {slug} {} {} --reason", ledger(1).connection, ledger(1).id);
    assert!(j.findings[0].next.contains(&command), "{}", j.findings[0].next);
    assert!(w.plan().is_empty());
    w.memory.get_mut(&ledger(1)).unwrap().loss_confirmed = true;
    w.observe(&ledger(1), Grade::A, Outcome::Unlisted { reason: "no scope".into() });
    assert_eq!(revokes(&w.plan()), 3, "confirmed: the selection decides, and there is none");
}

#[test]
fn several_ledgers_combine_in_three_values() {
    use super::world::ledger as l;
    let cases = [
        (Authority::All, [Some(true), Some(true)], Some(true)),
        (Authority::All, [Some(true), Some(false)], Some(false)),
        (Authority::All, [Some(true), None], None),
        (Authority::All, [Some(false), None], Some(false)),
        (Authority::Any, [Some(true), None], Some(true)),
        (Authority::Any, [Some(false), None], None),
        (Authority::Any, [Some(false), Some(false)], Some(false)),
    ];
    for (authority, says, expected) in cases {
        let mut w = World::new(1, Mode::Ledger, 1);
        w.firm.clients.insert(cid(1), Client { authority: authority.clone(), ..client(1, &[l(1), l(2)]) });
        for _ in 0..2 {
            for (c, say) in (1..).zip(says) {
                match say {
                    Some(yes) => w.grants(c, yes.then_some(1)),
                    None => w.fails(c, ErrorKind::Unavailable),
                };
            }
            w.pass(600);
        }
        let facts = w.facts();
        let d = Decider::new(&w.firm, &facts, &w.targets, w.now);
        let answer = match d.judge(pid(1), cid(1)).answer {
            Answer::Yes => Some(true),
            Answer::No => Some(false),
            Answer::Held => None,
        };
        assert_eq!(answer, expected, "{authority:?} {says:?}");
    }
}

#[test]
fn private_and_proposed_clients_are_in_nobodys_access() {
    for mode in Mode::ALL {
        let mut w = World::new(2, mode, 2);
        for c in [1, 2] {
            w.grants(c, [1, 2]);
            w.select(1, c);
        }
        w.firm.clients.get_mut(&cid(1)).unwrap().private_to = Some(pid(1));
        w.firm.clients.get_mut(&cid(2)).unwrap().state = ClientState::Proposed;
        let until = t(9999);
        w.firm.guests.push(Guest { person: pid(2), client: cid(1), until, reason: "x".into(), break_glass: true });
        assert!(w.plan().lanes().is_empty(), "{mode:?}");
        let facts = w.facts();
        let d = Decider::new(&w.firm, &facts, &w.targets, w.now);
        assert!(matches!(explain::can_select(&d, pid(2), cid(1)), CanSelect::Never { .. }));
    }
}

#[test]
fn shares_of_private_books_go_with_whoever_gave_them_and_no_provider_is_asked() {
    type Shut = fn(&mut Person);
    let shut: [(&str, Shut); 3] = [
        ("disabled", |p| p.enabled = false),
        ("closed", |p| p.closed = Some(Closed { since: t(0), by: "x".into(), reason: "left".into() })),
        ("demoted", |p| p.office = Office::Employee),
    ];
    for (how, shut) in shut {
        let mut w = World::new(2, Mode::Selected, 1);
        // The API's one answer knows what the owner may do, too.
        let checked = |w: &World| {
            let picture = Picture::of(w.firm.clone(), w.facts(), w.targets.clone());
            let email = mail(2);
            let question = Question { person: email.key(), client: "client-1", target: None };
            picture.check(question, w.firm.people.get(&pid(2)), w.now).map(|c| c.answer).ok()
        };
        let keeps = CustomOffice { permissions: [Permission::Private].into(), group: None };
        w.firm.offices.insert("keeper".into(), keeps);
        w.firm.people.get_mut(&pid(1)).unwrap().office = Office::Custom("keeper".into());
        let books = w.firm.clients.get_mut(&cid(1)).unwrap();
        (books.private_to, books.targets) = (Some(pid(1)), Some([drive()].into()));
        w.select(2, 1);
        w.settle();
        assert_eq!(w.folders[&whole(1)].owned.len(), 1, "the named one");
        assert_eq!((revokes(&w.plan()), checked(&w)), (0, Some(Answer::Yes)));
        w.pass(3600);
        w.fails(1, ErrorKind::Unavailable);
        shut(w.firm.people.get_mut(&pid(1)).unwrap());
        let verdict = w.verdict();
        assert_eq!((revokes(&w.plan()), held_revokes(&verdict)), (1, 0), "{how}");
        assert_ne!(checked(&w), Some(Answer::Yes), "{how}");
        assert!(w.wants().is_empty(), "{how}: nor is the folder made again or filled");
        let plan = w.plan();
        assert!(plan.lanes().iter().all(|l| !l.delivery), "{how}");
    }
}

#[test]
fn a_guest_keeps_what_the_ledger_grants_beside_and_after_break_glass() {
    let mut w = World::new(1, Mode::LedgerSelected, 1);
    w.grants(1, [1]);
    let guest = |hours: i64, break_glass| Guest {
        person: pid(1),
        client: cid(1),
        until: t(hours * 3600),
        reason: "x".into(),
        break_glass,
    };
    w.firm.guests = vec![guest(300, false), guest(8, true)];
    let judged = |w: &World| {
        let facts = w.facts();
        let j = Decider::new(&w.firm, &facts, &w.targets, w.now).judge(pid(1), cid(1));
        (j.answer, j.until, j.because == Because::BreakGlass)
    };
    assert_eq!(judged(&w), (Answer::Yes, Some(t(300 * 3600)), false), "to the later end, without a gap between");
    // The ledger stops granting: the other one gives it still.
    w.grants(1, []);
    w.pass(600);
    w.grants(1, []);
    assert_eq!(judged(&w), (Answer::Yes, Some(t(8 * 3600)), true));
}

#[test]
fn a_client_made_private_takes_back_what_was_shared() {
    let mut w = settled();
    w.firm.clients.get_mut(&cid(1)).unwrap().private_to = Some(pid(1));
    assert_eq!(revokes(&w.plan()), 3);
}

#[test]
fn accounts_have_their_own_folders_and_whole_client_people_are_on_both() {
    let mut w = World::new(2, Mode::LedgerSelected, 1);
    w.grants(1, [1, 2]);
    w.select(1, 1);
    let account = AccountRef { connection: "xero".into(), ledger: "org-1".into(), account: "bank".into() };
    let scope = SelectionScope::Accounts(BTreeSet::from([account]));
    w.firm.selections.insert((pid(2), cid(1)), Selection { scope, when_granted: false });
    let wants = w.wants();
    let bank = LaneKey { folder: FolderKey { client: cid(1), account: Some("bank".into()) }, ..whole(1) };
    assert_eq!(wants[&whole(1)].len(), 1);
    assert_eq!(wants[&bank].len(), 2);
    w.settle();
    w.firm.selections.remove(&(pid(2), cid(1)));
    let plan = w.plan();
    assert_eq!(revokes(&plan), 1, "the account folder outlives its selection and lets them out");
}

#[test]
fn guests_are_no_wider_than_the_ledger_and_end() {
    let mut w = World::new(1, Mode::LedgerSelected, 2);
    w.grants(1, [1]);
    w.grants(2, []);
    w.pass(600);
    w.grants(1, [1]);
    w.grants(2, []);
    for c in [1, 2] {
        let until = w.now + jiff::SignedDuration::from_hours(1);
        w.firm.guests.push(Guest {
            person: pid(1),
            client: cid(c),
            until,
            reason: "leave cover".into(),
            break_glass: false,
        });
    }
    let plan = w.plan();
    assert_eq!(grants(&plan), 1);
    assert_eq!(plan.lane(&whole(1)).unwrap().until.len(), 1);
    w.settle();
    w.firm.guests[1].break_glass = true;
    assert_eq!(grants(&w.plan()), 1);
    w.pass(3601);
    let plan = w.plan();
    assert_eq!((grants(&plan), revokes(&plan)), (0, 1));
}

#[test]
fn extra_access_ends_while_the_ledger_says_nothing() {
    // (break-glass, the ledger is out from the start, they were there before, how many are let out at the end)
    let out = |break_glass: bool, early: bool, before: bool| {
        let mut w = World::new(2, Mode::LedgerSelected, 1);
        w.grants(1, [1, 2]);
        w.pass(600);
        w.grants(1, [1, 2]);
        if before {
            w.select(1, 1);
        }
        w.select(2, 1);
        w.settle();
        if early {
            w.fails(1, ErrorKind::Unavailable);
        }
        let until = w.now + jiff::SignedDuration::from_hours(4);
        w.firm.guests.push(Guest { person: pid(1), client: cid(1), until, reason: "x".into(), break_glass });
        // Selected meanwhile, and nobody knows whether the ledger grants it.
        w.select(1, 1);
        if !before {
            w.firm.people.get_mut(&pid(1)).unwrap().mode = Mode::Ledger;
        }
        if !early && !before && break_glass {
            w.lists(
                1,
                &[
                    own_row(&ledger(1)),
                    AccessFact { role: "INVOICEONLY".into(), ..row(&ledger(1), 1) },
                    row(&ledger(1), 2),
                ],
            );
        }
        let plan = w.plan();
        w.apply(&plan);
        w.fails(1, ErrorKind::Unavailable);
        let plan = w.plan();
        assert_eq!(revokes(&plan), 0);
        w.apply(&plan);
        w.pass(4 * 3600 + 1);
        let plan = w.plan();
        assert!(plan.lanes()[0].steps.iter().all(|s| matches!(s.reason.cause, Cause::Decision { .. })));
        assert!(plan.lanes()[0].planned.iter().count() == 2 - revokes(&plan), "whom the fence lets in");
        let gone = revokes(&plan);
        w.apply(&plan);
        assert_eq!((grants(&w.plan()), revokes(&w.plan())), (0, 0), "and once");
        gone
    };
    assert_eq!(out(true, true, false), 1, "break-glass through an outage");
    assert_eq!(out(true, false, false), 1, "break-glass against the ledger, and then an outage");
    assert_eq!(out(true, true, true), 0, "they were there by the ledger before");
    assert_eq!(out(false, false, true), 0, "and as a guest, too");
    // A guest whom the ledger granted it is there by that alone.
    let mut w = World::new(1, Mode::LedgerSelected, 1);
    w.grants(1, [1]);
    let until = w.now + jiff::SignedDuration::from_hours(4);
    let guest = |break_glass| Guest { person: pid(1), client: cid(1), until, reason: "x".into(), break_glass };
    w.firm.guests.push(guest(false));
    w.settle();
    w.select(1, 1);
    w.fails(1, ErrorKind::Unavailable);
    assert_eq!(revokes(&w.plan()), 0, "the guest's time is not over");
    let mut later = w.clone();
    later.pass(4 * 3600 + 1);
    assert_eq!(revokes(&later.plan()), 1);
    // Once the ledger was heard to grant what is selected, it is the ledger's, and stays through an outage.
    w.grants(1, [1]);
    w.settle();
    w.fails(1, ErrorKind::Unavailable);
    w.pass(4 * 3600 + 1);
    assert_eq!((revokes(&w.plan()), w.plan().lanes()[0].held.len()), (0, 1));
}

#[test]
fn an_extended_guest_gets_the_new_end_on_the_target_too() {
    let mut w = World::new(1, Mode::LedgerSelected, 1);
    w.grants(1, [1]);
    let hours = |w: &World, n| w.now + jiff::SignedDuration::from_hours(n);
    let (person, client, old, new) = (pid(1), cid(1), hours(&w, 10), hours(&w, 90));
    w.firm.guests.push(Guest { person, client, until: old, reason: "cover".into(), break_glass: false });
    w.settle();
    // What a target that ends grants by itself shows of it.
    w.folders.get_mut(&whole(1)).unwrap().list[0].expires = Some(old);
    let steps = |w: &World| (revokes(&w.plan()), grants(&w.plan()));
    assert_eq!(steps(&w), (0, 0), "it ends when it should");
    w.firm.guests[0].until = new;
    assert_eq!(steps(&w), (0, 0), "an end on the target that no change of ours explains stays");
    w.changes.insert(pid(1), Published { latest: "C-7".to_owned(), taking: None });
    let plan = w.plan();
    assert_eq!((revokes(&plan), grants(&plan)), (1, 1));
    assert_eq!(plan.lane(&whole(1)).unwrap().until.values().copied().collect::<Vec<_>>(), [new]);
    let verdict = w.check(plan);
    assert!(verdict.held.is_empty(), "a published change is counted, never held: {:?}", verdict.held);
    // Half of it would take away what was to last longer.
    w.freeze = true;
    let verdict = w.check(w.plan());
    let lane = verdict.cleared.lane(&whole(1));
    assert_eq!((revokes(&verdict.cleared), grants(&verdict.cleared), verdict.held.len()), (0, 0, 1));
    assert!(lane.is_none_or(|l| !l.held_revoke && l.not_planned.is_empty()), "and files go on: {lane:?}");
    w.freeze = false;
    // Whoever is no guest any more and sees the client anyway has no end on the target either.
    w.firm.guests.clear();
    w.select(1, 1);
    let plan = w.plan();
    assert_eq!((revokes(&plan), grants(&plan), plan.lane(&whole(1)).unwrap().until.len()), (1, 1, 0));
    w.changes.clear();
    assert_eq!(steps(&w), (0, 0));
    // Nor is it lost where the change was taken in while the ledger could not be read: the end is the one that we gave.
    w.folders.get_mut(&whole(1)).unwrap().owned[0].ends = Some(old);
    assert_eq!(steps(&w), (1, 1));
    w.folders.get_mut(&whole(1)).unwrap().list[0].expires = Some(hours(&w, 5));
    assert_eq!(steps(&w), (0, 0), "a person ended it sooner, on the target");
    // What ended by itself was not taken away by hand; what is gone before that was.
    w.folders.get_mut(&whole(1)).unwrap().list.clear();
    let by_hand = |w: &World| w.plan().lane(&whole(1)).unwrap().removed_by_hand.len();
    assert_eq!(by_hand(&w), 1);
    w.folders.get_mut(&whole(1)).unwrap().owned[0].ends = Some(w.now);
    assert_eq!((by_hand(&w), steps(&w)), (0, (0, 1)));
}

#[test]
fn greyed_pending_and_dormant() {
    let mut w = World::new(1, Mode::LedgerSelected, 1);
    let ask = |w: &World| {
        let facts = w.facts();
        let d = Decider::new(&w.firm, &facts, &w.targets, w.now);
        (explain::can_select(&d, pid(1), cid(1)), explain::why(&d, pid(1), cid(1)).unwrap())
    };
    w.grants(1, []);
    let (can, _) = ask(&w);
    assert_eq!(can, CanSelect::Greyed { ledgers: vec!["xero \"Books of org-1\"".into()] });
    w.firm.selections.insert((pid(1), cid(1)), Selection { scope: SelectionScope::Whole, when_granted: true });
    let (can, why) = ask(&w);
    assert!(matches!(can, CanSelect::Pending { .. }));
    assert_eq!(why.selection, SelectionState::Pending);
    w.firm.people.get_mut(&pid(1)).unwrap().mode = Mode::Selected;
    assert_eq!(grants(&w.plan()), 0, "a wish is no selection under any mode");
    w.firm.people.get_mut(&pid(1)).unwrap().mode = Mode::LedgerSelected;
    w.grants(1, [1]);
    assert_eq!(grants(&w.plan()), 1, "turns on by itself");
    w.firm.selections.get_mut(&(pid(1), cid(1))).unwrap().when_granted = false;
    w.settle();
    w.grants(1, []);
    w.pass(300);
    w.grants(1, []);
    let (_, why) = ask(&w);
    assert_eq!((why.verdict, why.selection), (Answer::No, SelectionState::Dormant));
    assert!(why.would_change[0].contains("xero"), "{:?}", why.would_change);
}

#[test]
fn a_changed_role_is_a_set_role_of_what_we_own() {
    let mut w = settled();
    let rows = [
        own_row(&ledger(1)),
        AccessFact { role: "ADVISER".into(), ..row(&ledger(1), 1) },
        row(&ledger(1), 2),
        row(&ledger(1), 3),
    ];
    w.lists(1, &rows);
    let plan = w.plan();
    assert_eq!(ops(&plan, |o| matches!(o, Op::SetRole { to: FolderRole::Writer, .. })), 1);
    w.apply(&plan);
    assert!(w.plan().is_empty());
}

#[test]
fn report_and_off_change_no_list() {
    for sharing in [Sharing::Report, Sharing::Off] {
        let mut w = settled();
        w.sharing = sharing;
        w.firm.people.get_mut(&pid(1)).unwrap().enabled = false;
        assert!(w.plan().is_empty());
        // They would open every file, and nobody takes them off: the fence must not let one in.
        let facts = w.facts();
        let d = Decider::new(&w.firm, &facts, &w.targets, w.now);
        let plan = w.plan();
        let lane = &plan.lanes()[0];
        assert_eq!(lane.planned(&d), [mail(2), mail(3)].into(), "{sharing:?}");
        assert_eq!(lane.strangers.iter().map(|p| p.holder.clone()).collect::<Vec<_>>(), [Holder::Person(mail(1))]);
    }
}

#[test]
fn decisions_18_an_invitation_accepted_by_another_account_is_ours_to_take_back() {
    let mut w = settled();
    let other = Email::parse("private@freemail.example").unwrap();
    w.folders.get_mut(&whole(1)).unwrap().list[0].holder = Holder::Person(other.clone());
    let plan = w.plan();
    assert_eq!(revokes(&plan), 1);
    assert!(
        plan.lanes()[0].steps.iter().any(|s| matches!(&s.op, Op::Revoke { who: Holder::Person(e), .. } if *e == other))
    );
}
