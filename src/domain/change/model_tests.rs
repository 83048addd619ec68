//! Ten thousand random acts by people of random roles, against a model of `product` 5 that knows nothing of the code: what the
//! model refuses is refused, what it allows succeeds, and after each act what must never happen has not happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
};

use proptest::{
    collection::{btree_set, vec},
    prelude::*,
    test_runner::TestRunner,
};

use super::{
    tests::{by, cid, firm, now, pid},
    *,
};
use crate::domain::{
    facts::FactsBuilder,
    policy::{Answer, Decider},
};

const OWNERS_WORDS: [&str; 15] = [
    "publish",
    "operate",
    "people",
    "roles",
    "modes",
    "connections",
    "groups",
    "run",
    "read-all",
    "clients",
    "selections",
    "guests",
    "private",
    "add-clients",
    "own-details",
];
/// "A role limited to a group can never manage people, roles, connections or publish", nor what reaches all clients.
const GROUP_WORDS: [&str; 7] = ["read-all", "clients", "selections", "guests", "private", "add-clients", "own-details"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Primary,
    Owner,
    Admin,
    Employee,
    Viewer,
    Custom(&'static str),
}

#[derive(Clone, Debug)]
enum Act {
    Add(u128, Role, Mode),
    Names(u128),
    Address(u128),
    Enable(u128, bool),
    Close(u128),
    Lift(u128),
    Mode(u128, Mode),
    Role(u128, Role, Mode),
    HandOver(u128),
    AddClient(u128),
    Rename(u128),
    Bind(u128),
    Archive(u128, bool),
    AddPrivate(u128),
    Convert(u128),
    Share(u128, BTreeSet<u128>),
    Select(u128, u128),
    Unselect(u128, u128),
    Guest(u128, u128),
    AddToGroup(&'static str, u128),
    TakeFromGroup(&'static str, u128),
    RemoveGroup(&'static str),
    Define(&'static str, BTreeSet<&'static str>, Option<&'static str>),
    Undefine(&'static str),
    Propose,
    AskBreakGlass(u128, u128),
    Publish,
}

struct Worker {
    role: Role,
    enabled: bool,
    closed: bool,
    mode: Mode,
}

struct Books {
    private: Option<u128>,
    shared: BTreeSet<u128>,
    archived: bool,
}

type Words = (BTreeSet<&'static str>, Option<&'static str>);

struct Model {
    people: BTreeMap<u128, Worker>,
    clients: BTreeMap<u128, Books>,
    groups: BTreeMap<&'static str, BTreeSet<u128>>,
    roles: BTreeMap<&'static str, Words>,
    staged: Vec<(u128, u128, u128)>,
    /// Clients that have guests.
    guests: BTreeSet<u128>,
}

impl Model {
    fn words(&self, role: Role) -> Words {
        let but = |not: &[&str]| OWNERS_WORDS.into_iter().filter(|w| !not.contains(w)).collect::<BTreeSet<_>>();
        match role {
            Role::Primary => (OWNERS_WORDS.into_iter().chain(["hand-over"]).collect(), None),
            Role::Owner => (but(&[]), None),
            Role::Admin => (but(&["publish", "operate"]), None),
            Role::Employee => (["add-clients", "own-details"].into(), None),
            Role::Viewer => (BTreeSet::new(), None),
            Role::Custom(name) => self.roles[name].clone(),
        }
    }

    fn acts(&self, who: u128) -> bool {
        self.people.get(&who).is_some_and(|w| w.enabled && !w.closed)
    }

    fn has(&self, who: u128, word: &str) -> bool {
        self.acts(who) && self.words(self.people[&who].role).0.contains(word)
    }

    /// For an act on one client: the word, and the client within reach.
    fn reaches(&self, who: u128, word: &str, client: u128) -> bool {
        let Some(books) = self.clients.get(&client) else { return false };
        let within = match (books.private, self.words(self.people[&who].role).1) {
            (Some(owner), _) => owner == who,
            (None, Some(group)) => self.groups[group].contains(&client),
            (None, None) => true,
        };
        self.has(who, word) && within
    }

    /// Their own private books, of which they may always give less.
    fn own(&self, who: u128, client: u128) -> bool {
        self.acts(who) && self.clients.get(&client).is_some_and(|b| b.private == Some(who))
    }

    fn wide_enough(&self, who: u128, (words, group): &Words) -> bool {
        let (own, limit) = self.words(self.people[&who].role);
        words.is_subset(&own) && (limit.is_none() || limit == *group || words.is_empty())
    }

    fn manages(&self, who: u128, word: &str, other: u128) -> bool {
        let Some(w) = self.people.get(&other) else { return false };
        self.has(who, word) && (who == other || self.wide_enough(who, &self.words(w.role)))
    }

    fn gives(&self, who: u128, role: Role) -> bool {
        let there = match role {
            Role::Primary => return false,
            Role::Custom(name) => self.roles.contains_key(name),
            _ => true,
        };
        there && self.wide_enough(who, &self.words(role))
    }

    fn open_ordinary(&self, client: u128) -> bool {
        self.clients.get(&client).is_some_and(|b| b.private.is_none() && !b.archived)
    }

    /// What `product` 5 says of it.
    fn allows(&self, who: u128, act: &Act) -> bool {
        if !self.acts(who) {
            return false;
        }
        let limited_by = |g: &str| self.roles.values().filter(|r| r.1 == Some(g)).cloned().collect::<Vec<_>>();
        match act {
            Act::Add(id, role, mode) => {
                self.has(who, "people")
                    && self.gives(who, *role)
                    && (*mode == Mode::LedgerSelected || self.has(who, "modes"))
                    && !self.people.contains_key(id)
            }
            Act::Names(p) if *p == who => self.has(who, "people") || self.has(who, "own-details"),
            Act::Names(p) | Act::Address(p) | Act::Enable(p, true) | Act::Lift(p) => self.manages(who, "people", *p),
            Act::Enable(p, false) | Act::Close(p) => *p != who && self.manages(who, "people", *p),
            Act::Mode(p, _) => self.manages(who, "modes", *p),
            Act::Role(p, role, mode) => {
                *p != who
                    && self.manages(who, "roles", *p)
                    && self.gives(who, *role)
                    && (self.people[p].mode == *mode || self.has(who, "modes"))
            }
            Act::HandOver(p) => {
                self.has(who, "hand-over")
                    && self.acts(*p)
                    && matches!(self.people[p].role, Role::Owner | Role::Primary)
            }
            Act::AddClient(c) => {
                let (words, limit) = self.words(self.people[&who].role);
                (words.contains("add-clients") || (words.contains("clients") && limit.is_none()))
                    && !self.clients.contains_key(c)
            }
            Act::Rename(c) => self.reaches(who, "clients", *c) || self.own(who, *c),
            Act::Archive(c, yes) => {
                self.reaches(who, "clients", *c) && (!yes || self.clients[c].archived || !self.guests.contains(c))
            }
            Act::Bind(c) => self.reaches(who, "connections", *c),
            Act::AddPrivate(c) => self.has(who, "private") && !self.clients.contains_key(c),
            Act::Convert(c) => self.reaches(who, "private", *c) && self.clients[c].private == Some(who),
            Act::Share(c, people) => {
                self.reaches(who, "private", *c)
                    && self.clients[c].private == Some(who)
                    && !people.is_empty()
                    && people.iter().all(|p| *p != who && self.acts(*p))
            }
            Act::Select(p, c) => {
                self.reaches(who, "selections", *c) && self.open_ordinary(*c) && self.people.contains_key(p)
            }
            Act::Unselect(p, c) => {
                (self.reaches(who, "selections", *c) || self.own(who, *c)) && self.people.contains_key(p)
            }
            Act::Guest(p, c) | Act::AskBreakGlass(p, c) => {
                self.reaches(who, "guests", *c) && self.open_ordinary(*c) && self.acts(*p)
            }
            Act::AddToGroup(g, c) => {
                self.has(who, "groups")
                    && self.clients.get(c).is_some_and(|b| b.private.is_none())
                    && limited_by(g).iter().all(|r| self.wide_enough(who, r))
            }
            Act::TakeFromGroup(g, _) => {
                self.has(who, "groups")
                    && self.groups.contains_key(g)
                    && limited_by(g).iter().all(|r| self.wide_enough(who, r))
            }
            Act::RemoveGroup(g) => self.has(who, "groups") && self.groups.contains_key(g) && limited_by(g).is_empty(),
            Act::Define(name, words, group) => {
                let fits =
                    group.is_none_or(|g| self.groups.contains_key(g) && words.iter().all(|w| GROUP_WORDS.contains(w)));
                self.has(who, "roles")
                    && self.people[&who].role != Role::Custom(name)
                    && self.roles.get(name).is_none_or(|old| self.wide_enough(who, old))
                    && self.wide_enough(who, &(words.clone(), *group))
                    && !words.contains("hand-over")
                    && fits
            }
            Act::Undefine(name) => {
                self.has(who, "roles")
                    && self.roles.get(name).is_some_and(|old| self.wide_enough(who, old))
                    && self.people.values().all(|w| w.role != Role::Custom(name))
            }
            Act::Propose => false,
            Act::Publish => self.staged.first().is_some_and(|(author, p, c)| {
                let unlimited = self.words(self.people[&who].role).1.is_none();
                self.has(who, "publish")
                    && unlimited
                    && *author != who
                    && self.has(*author, "guests")
                    && self.allows(who, &Act::Guest(*p, *c))
            }),
        }
    }

    fn done(&mut self, who: u128, act: &Act) {
        match act {
            Act::Add(id, role, mode) => {
                self.people.insert(*id, Worker { role: *role, enabled: true, closed: false, mode: *mode });
            }
            Act::Enable(p, on) => self.people.get_mut(p).unwrap().enabled = *on,
            Act::Close(p) => self.people.get_mut(p).unwrap().closed = true,
            Act::Lift(p) => self.people.get_mut(p).unwrap().closed = false,
            Act::Mode(p, mode) => self.people.get_mut(p).unwrap().mode = *mode,
            Act::Role(p, role, mode) => {
                let w = self.people.get_mut(p).unwrap();
                (w.role, w.mode) = (*role, *mode);
            }
            Act::HandOver(p) => {
                self.people.get_mut(&who).unwrap().role = Role::Owner;
                self.people.get_mut(p).unwrap().role = Role::Primary;
            }
            Act::AddClient(c) => {
                self.clients.insert(*c, Books { private: None, shared: BTreeSet::new(), archived: false });
            }
            Act::AddPrivate(c) => {
                self.clients.insert(*c, Books { private: Some(who), shared: BTreeSet::new(), archived: false });
            }
            Act::Archive(c, yes) => self.clients.get_mut(c).unwrap().archived = *yes,
            Act::Convert(c) => {
                let books = self.clients.get_mut(c).unwrap();
                (books.private, books.shared) = (None, BTreeSet::new());
            }
            Act::Share(c, people) => self.clients.get_mut(c).unwrap().shared.extend(people),
            Act::Unselect(p, c) => {
                self.clients.get_mut(c).unwrap().shared.remove(p);
            }
            Act::AddToGroup(g, c) => {
                self.groups.entry(g).or_default().insert(*c);
            }
            Act::TakeFromGroup(g, c) => {
                self.groups.get_mut(g).unwrap().remove(c);
            }
            Act::RemoveGroup(g) => {
                self.groups.remove(g);
            }
            Act::Define(name, words, group) => {
                self.roles.insert(name, (words.clone(), *group));
            }
            Act::Undefine(name) => {
                self.roles.remove(name);
            }
            Act::AskBreakGlass(p, c) => self.staged.push((who, *p, *c)),
            Act::Publish => {
                let (_, _, c) = self.staged.remove(0);
                self.guests.insert(c);
            }
            Act::Guest(_, c) => {
                self.guests.insert(*c);
            }
            Act::Names(_) | Act::Address(_) | Act::Rename(_) | Act::Bind(_) | Act::Select(..) | Act::Propose => {}
        }
    }
}

fn office(role: Role) -> Office {
    match role {
        Role::Primary => Office::PrimaryOwner,
        Role::Owner => Office::Owner,
        Role::Admin => Office::Admin,
        Role::Employee => Office::Employee,
        Role::Viewer => Office::Viewer,
        Role::Custom(name) => Office::Custom(name.to_owned()),
    }
}

fn guest(p: u128, c: u128, break_glass: bool) -> ChangeOp {
    let until = now() + jiff::SignedDuration::from_hours(20);
    let guest = Guest { person: pid(p), client: cid(c), until, reason: "r".into(), break_glass };
    ChangeOp::AddGuest { guest, second: None, extends: false }
}

fn op(act: &Act, turn: usize) -> ChangeOp {
    let source = |n: u128| SourceRef {
        connection: "xero".into(),
        kind: ledgerward_contract::SourceKind::Ledger,
        id: format!("own-{n}"),
    };
    let mail = |text: String| Email::parse(&text).unwrap();
    let state = |archived: bool| if archived { ClientState::Archived } else { ClientState::Active };
    match act {
        Act::Add(n, role, mode) => ChangeOp::AddPerson {
            id: pid(*n),
            first: "P".into(),
            last: n.to_string(),
            email: mail(format!("new{n}@harbour.example")),
            office: office(*role),
            mode: *mode,
        },
        Act::Names(p) => {
            ChangeOp::EditPerson { person: pid(*p), first: Some(format!("N{turn}")), last: None, email: None }
        }
        Act::Address(p) => ChangeOp::EditPerson {
            person: pid(*p),
            first: None,
            last: None,
            email: Some(mail(format!("t{turn}@harbour.example"))),
        },
        Act::Enable(p, enabled) => ChangeOp::SetEnabled { person: pid(*p), enabled: *enabled },
        Act::Close(p) => ChangeOp::ClosePerson { person: pid(*p), reason: "left".into() },
        Act::Lift(p) => ChangeOp::LiftPerson { person: pid(*p) },
        Act::Mode(p, mode) => ChangeOp::SetMode { person: pid(*p), mode: *mode },
        Act::Role(p, role, mode) => ChangeOp::SetOffice { person: pid(*p), office: office(*role), mode: *mode },
        Act::HandOver(p) => ChangeOp::HandOver { to: pid(*p) },
        Act::AddClient(c) => ChangeOp::AddClient { id: cid(*c), name: format!("C{c}"), slug: None },
        Act::Rename(c) => ChangeOp::RenameClient { client: cid(*c), name: format!("R{turn}") },
        Act::Bind(c) => ChangeOp::BindSource { client: cid(*c), source: source(*c) },
        Act::Archive(c, yes) => ChangeOp::SetClientState { client: cid(*c), state: state(*yes) },
        Act::AddPrivate(c) => ChangeOp::AddPrivate { id: cid(*c), name: format!("C{c}") },
        Act::Convert(c) => ChangeOp::ConvertPrivate { client: cid(*c) },
        Act::Share(c, people) => ChangeOp::SharePrivate {
            client: cid(*c),
            target: TargetName("drive".into()),
            people: people.iter().map(|p| pid(*p)).collect(),
        },
        Act::Select(p, c) => {
            ChangeOp::Select { person: pid(*p), client: cid(*c), scope: SelectionScope::Whole, when_granted: false }
        }
        Act::Unselect(p, c) => ChangeOp::Unselect { person: pid(*p), client: cid(*c) },
        Act::Guest(p, c) => guest(*p, *c, false),
        Act::AddToGroup(g, c) => {
            ChangeOp::AddToGroup { group: (*g).to_owned(), clients: [cid(*c)].into(), connections: BTreeSet::new() }
        }
        Act::TakeFromGroup(g, c) => {
            ChangeOp::TakeFromGroup { group: (*g).to_owned(), clients: [cid(*c)].into(), connections: BTreeSet::new() }
        }
        Act::RemoveGroup(g) => ChangeOp::RemoveGroup { group: (*g).to_owned() },
        Act::Define(name, words, group) => ChangeOp::DefineOffice {
            name: (*name).to_owned(),
            office: CustomOffice {
                permissions: words.iter().map(|w| Permission::parse(w).unwrap()).collect(),
                group: group.map(str::to_owned),
            },
        },
        Act::Undefine(name) => ChangeOp::RemoveOffice { name: (*name).to_owned() },
        Act::Propose => ChangeOp::ProposeClient { id: cid(9), name: "N".into(), source: source(99) },
        Act::AskBreakGlass(p, c) => guest(*p, *c, true),
        Act::Publish => unreachable!("published through `publish`"),
    }
}

fn act() -> impl Strategy<Value = Act> {
    let p = || 1u128..10;
    let c = || 1u128..8;
    let g = || prop::sample::select(vec!["north", "south"]);
    let name = || prop::sample::select(vec!["desk", "hr", "third"]);
    let mode = || prop::sample::select(Mode::ALL.to_vec());
    let role = || {
        prop_oneof![
            Just(Role::Primary),
            Just(Role::Owner),
            Just(Role::Admin),
            Just(Role::Employee),
            Just(Role::Viewer),
            name().prop_map(Role::Custom),
        ]
    };
    let word = prop::sample::select([&OWNERS_WORDS[..], &["hand-over"], &GROUP_WORDS[..]].concat());
    prop_oneof![
        prop_oneof![
            3 => (p(), role(), mode()).prop_map(|(p, r, m)| Act::Add(p, r, m)),
            1 => p().prop_map(Act::Names),
            1 => p().prop_map(Act::Address),
            3 => (p(), prop::bool::weighted(0.7)).prop_map(|(p, on)| Act::Enable(p, on)),
            1 => p().prop_map(Act::Close),
            2 => p().prop_map(Act::Lift),
            1 => (p(), mode()).prop_map(|(p, m)| Act::Mode(p, m)),
            3 => (p(), role(), mode()).prop_map(|(p, r, m)| Act::Role(p, r, m)),
            2 => p().prop_map(Act::HandOver),
        ],
        prop_oneof![
            2 => c().prop_map(Act::AddClient),
            1 => c().prop_map(Act::Rename),
            1 => c().prop_map(Act::Bind),
            1 => (c(), any::<bool>()).prop_map(|(c, yes)| Act::Archive(c, yes)),
            3 => c().prop_map(Act::AddPrivate),
            1 => c().prop_map(Act::Convert),
            3 => (c(), btree_set(p(), 0..3)).prop_map(|(c, people)| Act::Share(c, people)),
            3 => (p(), c()).prop_map(|(p, c)| Act::Select(p, c)),
            1 => (p(), c()).prop_map(|(p, c)| Act::Unselect(p, c)),
            2 => (p(), c()).prop_map(|(p, c)| Act::Guest(p, c)),
        ],
        prop_oneof![
            4 => (g(), c()).prop_map(|(g, c)| Act::AddToGroup(g, c)),
            2 => (g(), c()).prop_map(|(g, c)| Act::TakeFromGroup(g, c)),
            1 => g().prop_map(Act::RemoveGroup),
            4 => (name(), btree_set(word, 0..4), prop::option::of(g())).prop_map(|(n, w, g)| Act::Define(n, w, g)),
            1 => name().prop_map(Act::Undefine),
            1 => Just(Act::Propose),
            4 => (p(), c()).prop_map(|(p, c)| Act::AskBreakGlass(p, c)),
            4 => Just(Act::Publish),
        ],
    ]
}

/// Ana, Oli, Ada, Emma and Vic of [`firm`], a desk that is limited to the north, and somebody for people.
fn start() -> (Firm, Model) {
    let mut firm = firm();
    let mut model = Model {
        people: BTreeMap::new(),
        clients: BTreeMap::new(),
        groups: BTreeMap::new(),
        roles: BTreeMap::new(),
        staged: Vec::new(),
        guests: BTreeSet::new(),
    };
    let first = [Role::Primary, Role::Owner, Role::Admin, Role::Employee, Role::Viewer];
    for (n, role) in (1..).zip(first) {
        model.people.insert(n, Worker { role, enabled: true, closed: false, mode: Mode::LedgerSelected });
    }
    for c in [1, 2] {
        model.clients.insert(c, Books { private: None, shared: BTreeSet::new(), archived: false });
    }
    for act in [
        Act::AddToGroup("north", 1),
        Act::Define("desk", ["selections", "guests", "clients"].into(), Some("north")),
        Act::Define("hr", ["people", "roles", "add-clients", "own-details"].into(), None),
        Act::Add(6, Role::Custom("desk"), Mode::LedgerSelected),
        Act::Add(7, Role::Custom("hr"), Mode::LedgerSelected),
    ] {
        change(&mut firm, &op(&act, 0), by(1)).unwrap();
        model.done(1, &act);
    }
    (firm, model)
}

/// What must hold whatever was done, read off the firm itself.
fn hold(firm: &Firm, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(violations(firm), Vec::<String>::new());
    let primary: Vec<&Person> = firm.people.values().filter(|p| p.office == Office::PrimaryOwner).collect();
    prop_assert!(primary.len() == 1 && primary[0].enabled && primary[0].closed.is_none());
    for (n, w) in &model.people {
        let p = &firm.people[&pid(*n)];
        prop_assert_eq!((&p.office, p.enabled, p.mode), (&office(w.role), w.enabled, w.mode));
    }
    let facts = FactsBuilder::new(firm.people.keys().copied()).build();
    let targets = [TargetName("drive".into()), TargetName("disk".into())];
    let decider = Decider::new(firm, &facts, &targets, now());
    for (c, books) in model.clients.iter().filter(|(_, b)| b.private.is_some()) {
        for n in model.people.keys() {
            let sees = decider.judge(pid(*n), cid(*c)).answer != Answer::No;
            let kept = books.private.is_some_and(|owner| model.has(owner, "private"));
            prop_assert_eq!(sees, kept && books.shared.contains(n) && model.acts(*n), "{} and the private {}", n, c);
        }
        prop_assert!(firm.groups.values().all(|g| !g.has(&firm.clients[&cid(*c)])));
        prop_assert!(firm.guests.iter().all(|g| g.client != cid(*c)));
        let wrong = |lane: &crate::domain::policy::DesiredLane<'_>| {
            lane.lane.folder.client == cid(*c) && !lane.wants.is_empty() && lane.lane.target.0 != "drive"
        };
        prop_assert!(!decider.lanes().any(|(lane, _)| wrong(&lane)), "only where it was shared");
    }
    Ok(())
}

#[test]
fn ten_thousand_acts_do_what_the_model_says() {
    let (passed, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    let acts = vec((1u128..10, act()), 60..70);
    TestRunner::new(config)
        .run(&acts, |acts| {
            let (mut firm, mut model) = start();
            for (turn, (who, act)) in acts.into_iter().enumerate() {
                let allowed = model.allows(who, &act);
                let before = firm.clone();
                let outcome = match &act {
                    Act::Publish => match model.staged.first() {
                        None => continue,
                        Some((author, p, c)) => publish(&firm, &guest(*p, *c, true), Some(pid(*author)), by(who))
                            .map(|(next, _)| firm = next),
                    },
                    Act::AskBreakGlass(..) => {
                        let ops = [op(&act, turn)];
                        prop_assert!(change(&mut firm, &ops[0], by(who)).is_err(), "nobody does it alone");
                        prop_assert!(waits(&firm, pid(who), &ops, Some(false)), "it waits for the second, always");
                        rehearse(&firm, &ops, by(who)).map(|_| ()).map_err(|(_, r)| r)
                    }
                    _ => change(&mut firm, &op(&act, turn), by(who)).map(|_| ()),
                };
                prop_assert_eq!(outcome.is_ok(), allowed, "{} tried {:?}: {:?}", who, &act, &outcome);
                if allowed {
                    passed.fetch_add(1, Ordering::Relaxed);
                    model.done(who, &act);
                } else {
                    refused.fetch_add(1, Ordering::Relaxed);
                    prop_assert_eq!(&firm, &before, "a refused act changes nothing");
                }
                hold(&firm, &model)?;
            }
            Ok(())
        })
        .unwrap();
    let (passed, refused) = (passed.into_inner(), refused.into_inner());
    assert!(passed > 1_500 && passed + refused > 10_000, "{passed} done, {refused} refused: too few to say much");
}
