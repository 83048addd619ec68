//! Who should be on which folder, worked out from the rules of `product` 3 and 4 alone: what went over the line, what the
//! firm decided, and nothing of the product's own code.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::Timestamp;

use crate::{house::OWNER, outside::Reading};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    All,
    Selected,
    Ledger,
    LedgerSelected,
}

impl Mode {
    pub const EACH: [Self; 4] = [Self::All, Self::Selected, Self::Ledger, Self::LedgerSelected];

    pub const fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Selected => "selected",
            Self::Ledger => "ledger",
            Self::LedgerSelected => "ledger+selected",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Person {
    pub mode: Mode,
    pub disabled: bool,
    pub closed: bool,
    /// Clients by number.
    pub selected: BTreeSet<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Proposed,
    Active,
    Archived,
    Closed,
}

#[derive(Clone, Debug)]
pub struct Client {
    pub tenant: String,
    /// What the organisation is called at Xero.
    pub organisation: String,
    pub id: String,
    pub slug: String,
    pub name: String,
    pub state: State,
}

/// The firm as its owner knows it.
#[derive(Clone, Debug, Default)]
pub struct Firm {
    /// By address.
    pub people: BTreeMap<String, Person>,
    pub clients: Vec<Client>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Yes,
    No,
    /// Nobody can say: what is stays, nothing new is given.
    Unknown,
}

/// Two complete absences count from here on (`decisions` 9).
const CONFIRM_SECONDS: i64 = 300;

/// What a role gives (`decisions` 10).
fn role(word: &str) -> Verdict {
    match word {
        "READONLY" | "STANDARD" | "FINANCIALADVISER" => Verdict::Yes,
        "INVOICEONLY" | "MANAGEDCLIENT" | "CASHBOOKCLIENT" | "REMOVED" => Verdict::No,
        _ => Verdict::Unknown,
    }
}

/// How to count what the rules leave open.
#[derive(Clone, Copy, Debug)]
struct Count {
    /// Readings of which nobody knows whether the product used them count.
    unsure: bool,
    /// A first absence of somebody who was not granted before is a denial.
    absent: bool,
}

const COUNTS: [Count; 4] = [
    Count { unsure: true, absent: true },
    Count { unsure: true, absent: false },
    Count { unsure: false, absent: true },
    Count { unsure: false, absent: false },
];

/// What the readings of one organisation say about somebody.
fn fact<'r>(who: &str, readings: impl DoubleEndedIterator<Item = &'r Reading>, count: Count) -> Verdict {
    let mut absent: Option<Timestamp> = None;
    for reading in readings.rev() {
        // A list without the one who reads it says nothing about who is missing.
        if !reading.users.contains_key(OWNER) {
            return Verdict::Unknown;
        }
        match (reading.users.get(who), absent) {
            (Some(word), None) => return role(word),
            (Some(word), Some(_)) if count.absent && role(word) == Verdict::No => return Verdict::No,
            (Some(_), Some(_)) => return Verdict::Unknown,
            (None, None) => absent = Some(reading.at),
            (None, Some(last)) if last.duration_since(reading.at).as_secs() >= CONFIRM_SECONDS => return Verdict::No,
            (None, Some(_)) => {}
        }
    }
    if absent.is_some() && count.absent { Verdict::No } else { Verdict::Unknown }
}

impl Firm {
    pub fn client(&self, id: &str) -> Option<usize> {
        self.clients.iter().position(|c| c.id == id)
    }

    fn verdict_by(&self, readings: &[Reading], who: &str, client: usize, at: Timestamp, count: Count) -> Verdict {
        let (Some(person), Some(client_)) = (self.people.get(who), self.clients.get(client)) else {
            return Verdict::No;
        };
        if person.disabled || person.closed || matches!(client_.state, State::Proposed | State::Closed) {
            return Verdict::No;
        }
        let selected = person.selected.contains(&client);
        let fact = || {
            let of = |r: &&Reading| r.tenant == client_.tenant && r.at <= at && (count.unsure || !r.unsure);
            fact(who, readings.iter().filter(of), count)
        };
        match person.mode {
            Mode::All => Verdict::Yes,
            Mode::Selected | Mode::LedgerSelected if !selected => Verdict::No,
            Mode::Selected => Verdict::Yes,
            Mode::Ledger | Mode::LedgerSelected => fact(),
        }
    }

    /// What one client's ledger says of somebody at `at` by the readings from `from` on, where every way of counting agrees:
    /// whatever the firm decided about either.
    pub fn ledger(&self, readings: &[Reading], who: &str, tenant: &str, from: Timestamp, at: Timestamp) -> Verdict {
        let of = |count: Count| {
            let of = |r: &&Reading| r.tenant == tenant && r.at >= from && r.at <= at && (count.unsure || !r.unsure);
            fact(who, readings.iter().filter(of), count)
        };
        let each = COUNTS.map(of);
        if each.iter().all(|v| *v == each[0]) { each[0] } else { Verdict::Unknown }
    }

    /// What can be said at `at`, where every way of counting agrees.
    pub fn verdict(&self, readings: &[Reading], who: &str, client: usize, at: Timestamp) -> Verdict {
        let each = COUNTS.map(|count| self.verdict_by(readings, who, client, at, count));
        if each.iter().all(|v| *v == each[0]) { each[0] } else { Verdict::Unknown }
    }

    /// Whether some way of counting comes to this.
    pub fn may_be(&self, what: Verdict, readings: &[Reading], who: &str, client: usize, at: Timestamp) -> bool {
        COUNTS.into_iter().any(|count| self.verdict_by(readings, who, client, at, count) == what)
    }
}

#[test]
fn one_absence_is_none_and_a_list_without_its_reader_says_nothing() {
    let at = |minute: i64, users: &[(&str, &str)]| Reading {
        at: Timestamp::from_second(minute * 60).unwrap(),
        tenant: "t".to_owned(),
        users: users.iter().map(|(w, r)| ((*w).to_owned(), (*r).to_owned())).collect(),
        unsure: false,
    };
    let all = [("bob", "STANDARD"), (OWNER, "STANDARD")];
    let mut list = vec![at(0, &all)];
    assert_eq!(fact("bob", list.iter(), COUNTS[1]), Verdict::Yes);
    list.push(at(10, &all[1..]));
    assert_eq!(fact("bob", list.iter(), COUNTS[1]), Verdict::Unknown);
    list.push(at(12, &all[1..]));
    assert_eq!(fact("bob", list.iter(), COUNTS[1]), Verdict::Unknown, "two minutes are too short");
    list.push(at(15, &all[1..]));
    assert_eq!(fact("bob", list.iter(), COUNTS[1]), Verdict::No);
    list.push(at(20, &[]));
    assert_eq!(fact("bob", list.iter(), COUNTS[1]), Verdict::Unknown);
    list.push(at(25, &[("bob", "ADMIN"), (OWNER, "STANDARD")]));
    assert_eq!(fact("bob", list.iter(), COUNTS[1]), Verdict::Unknown);
    list.push(at(30, &[("bob", "REMOVED"), (OWNER, "STANDARD")]));
    assert_eq!(fact("bob", list.iter(), COUNTS[1]), Verdict::No);
}
