//! Since when a doubt lasts, and times that a wrong clock wrote.

use ledgerward_contract::RoleTable;
use uuid::Uuid;

use super::*;
use crate::domain::{
    firm::{Mode, Office, Person},
    policy::{Because, Decider},
};

const HOUR: i64 = 3600;

fn ann() -> PersonId {
    PersonId(Uuid::from_u128(1))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

fn ledger() -> SourceRef {
    SourceRef { connection: "xero".into(), kind: SourceKind::Ledger, id: "org".to_owned() }
}

fn row(user: &str, email: &str) -> AccessFact {
    AccessFact {
        ledger: "org".into(),
        user: user.into(),
        email: Some(email.to_owned()),
        name: user.to_owned(),
        role: "STANDARD".to_owned(),
        standing: Standing::Active,
    }
}

fn hers() -> AccessFact {
    row("u1", "ann@harbour.example")
}

/// One ledger and Ann, who is in it.
struct World {
    firm: Firm,
    memory: SourceMemory,
}

impl World {
    fn new() -> Self {
        let mut firm = Firm::default();
        let ann = Person {
            id: ann(),
            first: "Ann".to_owned(),
            last: "Example".to_owned(),
            email: Email::parse("ann@harbour.example").unwrap(),
            aliases: BTreeMap::new(),
            target_addresses: BTreeMap::new(),
            mode: Mode::Ledger,
            office: Office::Employee,
            enabled: true,
            closed: None,
            domain_accepted: false,
        };
        firm.people.insert(ann.id, ann);
        firm.policy.confirm_after_seconds = 300;
        let roles = RoleTable([("STANDARD".to_owned(), LedgerRole::Reader)].into());
        firm.roles.insert("xero".into(), roles);
        let mut world = Self { firm, memory: SourceMemory::default() };
        assert_eq!(world.says(-HOUR, &[hers()]).0, Some(Why::Reader));
        world
    }

    fn reads(&mut self, seconds: i64, outcome: Outcome<'_>) -> Joined {
        let own = OwnIdentity { email: None, user_id: Some("own".into()) };
        let (source, name, grade, at) = (ledger(), "Org".to_owned(), Grade::A, at(seconds));
        let obs = Observation { source, name, grade, at, outcome, own: Some(own) };
        let joined = join(&AddressBook::new(&self.firm, &"xero".into()), &obs, &self.memory);
        self.memory = serde_json::from_value(serde_json::to_value(&joined.memory).unwrap()).unwrap();
        self.firm.pins.extend(joined.new_pins.iter().cloned());
        joined
    }

    /// What the ledger says of Ann by a list with our own user, and since when that is unknown, as a lane counts it.
    fn says(&mut self, seconds: i64, rows: &[AccessFact]) -> (Option<Why>, Option<Timestamp>) {
        let rows: Vec<_> = [row("own", "office@harbour.example")].iter().chain(rows).cloned().collect();
        let joined = self.reads(seconds, Outcome::Listed(&rows));
        self.of_ann(&joined)
    }

    fn fails(&mut self, seconds: i64) -> (Option<Why>, Option<Timestamp>) {
        let (kind, why, since) = (ErrorKind::Unavailable, "down".to_owned(), at(seconds));
        let joined = self.reads(seconds, Outcome::Unreadable { kind, why, since });
        self.of_ann(&joined)
    }

    fn of_ann(&self, joined: &Joined) -> (Option<Why>, Option<Timestamp>) {
        let mut facts = FactsBuilder::new([ann()]);
        facts.add(joined);
        let facts = facts.build();
        let decider = Decider::new(&self.firm, &facts, &[], at(0));
        let why = joined.facts.get(&ann()).map(|f| f.why);
        (why, decider.since(0, Because::LedgerUnknown(0, why.unwrap_or(joined.rest))))
    }
}

#[test]
fn a_doubt_about_a_person_is_as_old_as_its_first_list() {
    let odd = AccessFact { standing: Standing::Unknown("ODD".to_owned()), ..hers() };
    let other_role = AccessFact { role: "AUDITOR".to_owned(), ..hers() };
    let twice = [hers(), row("u2", "ann@harbour.example")];
    for (why, rows) in [
        (Why::EmailChanged, &[row("u1", "someone@harbour.example")][..]),
        (Why::KnownAddressNewId, &[row("u2", "ann@harbour.example")]),
        (Why::TwoUsersOneAddress, &twice),
        (Why::StandingUnknown, &[odd]),
        (Why::RoleUnmapped, &[other_role]),
    ] {
        let mut w = World::new();
        for day in 0..20 {
            assert_eq!(w.says(day * 24 * HOUR, rows), (Some(why), Some(at(0))), "day {day}");
        }
        assert_eq!(w.says(480 * HOUR, &[hers()]).0, Some(Why::Reader), "{why:?} ended");
        assert_eq!(w.says(481 * HOUR, rows), (Some(why), Some(at(481 * HOUR))), "and began anew");
    }
}

#[test]
fn a_user_without_an_address_is_who_the_firm_says_and_one_whose_address_went_is_nobody() {
    let mut w = World::new();
    assert_eq!(w.says(0, &[row("u1", " ")]).0, Some(Why::EmailChanged));
    assert_eq!(w.says(HOUR, &[row("u1", "")]).0, Some(Why::EmailChanged), "however often");
    let mut w = World::new();
    w.firm.pins = [(Pin { source: ledger(), user: "u9".into() }, ann())].into();
    w.memory = SourceMemory::default();
    for hour in [0, 1] {
        assert_eq!(w.says(hour * HOUR, &[row("u9", "")]).0, Some(Why::Reader));
    }
    let joined = w.reads(2 * HOUR, Outcome::Listed(&[row("own", "office@harbour.example"), row("u9", "")]));
    assert!(joined.findings.iter().all(|f| f.code != "user.bad_address"), "{:?}", joined.findings);
    let gone = AccessFact { role: "NONE".to_owned(), ..row("u9", "") };
    assert_ne!(w.says(3 * HOUR, &[gone]).0, Some(Why::Reader), "and what it says of her counts");
}

#[test]
fn a_list_without_our_own_user_leaves_who_is_missing_in_a_doubt_that_ages() {
    let mut w = World::new();
    for hour in [0, 30] {
        let joined = w.reads(hour * HOUR, Outcome::Listed(&[row("x", "stranger@elsewhere.example")]));
        assert_eq!(w.of_ann(&joined), (Some(Why::OwnMissing), Some(at(0))));
    }
}

#[test]
fn one_doubt_after_another_is_one_doubt() {
    let mut w = World::new();
    let first = Some(at(0));
    assert_eq!(w.says(0, &[row("u1", "someone@harbour.example")]), (Some(Why::EmailChanged), first));
    assert_eq!(w.says(HOUR, &[row("u2", "ann@harbour.example")]), (Some(Why::KnownAddressNewId), first));
    // A bad hour of the source is no news about her, and must not let files go for a day.
    assert_eq!(w.fails(2 * HOUR), (Some(Why::KnownAddressNewId), first));
    assert_eq!(w.memory.unknown_since, Some(at(2 * HOUR)), "everybody else is unknown only now");
    assert_eq!(w.says(3 * HOUR, &[hers(), row("u2", "ann@harbour.example")]), (Some(Why::TwoUsersOneAddress), first));

    let mut w = World::new();
    assert_eq!(w.fails(0), (None, first));
    assert_eq!(w.says(HOUR, &[row("u1", "someone@harbour.example")]), (Some(Why::EmailChanged), first));
}

#[test]
fn a_wrong_clock_holds_nobody_for_as_long_as_it_was_ahead() {
    let mut w = World::new();
    let year = 365 * 24 * HOUR;
    assert_eq!(w.says(year, &[]).0, Some(Why::AbsentOnce));
    assert_eq!(w.says(0, &[]), (Some(Why::AbsentOnce), Some(at(0))), "counted from the first list of a right clock");
    assert_eq!(w.memory.users[&"u1".into()].absent_since, Some(at(0)), "and stored so");
    assert_eq!(w.says(300, &[]).0, Some(Why::Gone));

    // Back in a list: a departure in the future would be minutes ago for a year.
    w.memory.users.get_mut(&"u1".into()).unwrap().gone_at = Some(at(year));
    assert_eq!(w.says(HOUR, &[hers()]).0, Some(Why::Flapping));
    assert_eq!(w.says(HOUR + FLAP_SECONDS, &[hers()]).0, Some(Why::Reader));

    // The first list of all: whoever is not in it is denied by a second one.
    let mut w = World { memory: SourceMemory::default(), ..World::new() };
    let rest = |w: &mut World, seconds| w.reads(seconds, Outcome::Listed(&[row("own", "office@harbour.example")])).rest;
    w.firm.pins.clear();
    assert_eq!(rest(&mut w, year), Why::FirstReading);
    assert_eq!(rest(&mut w, 0), Why::FirstReading);
    assert_eq!(rest(&mut w, 300), Why::NeverListed);

    // New in a list that lacks somebody.
    let mut w = World::new();
    w.memory.users.insert("u0".into(), w.memory.users[&"own".into()].clone());
    w.memory.users.remove(&"u1".into());
    assert_eq!(w.says(year, &[hers()]).0, Some(Why::NewOnce));
    assert_eq!(w.says(0, &[hers()]).0, Some(Why::NewOnce));
    assert_eq!(w.says(300, &[hers()]).0, Some(Why::Reader));

    // A source that could not be read.
    let mut w = World::new();
    assert_eq!(w.fails(year).1, Some(at(year)));
    assert_eq!(w.fails(0).1, Some(at(0)));
    assert_eq!(w.fails(30 * HOUR).1, Some(at(0)));
    // A doubt about her.
    let mut w = World::new();
    for (seconds, since) in [(year, year), (0, 0), (30 * HOUR, 0)] {
        let rows = [row("u1", "someone@harbour.example")];
        assert_eq!(w.says(seconds, &rows), (Some(Why::EmailChanged), Some(at(since))));
    }
}
