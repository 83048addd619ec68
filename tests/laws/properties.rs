//! Laws over random firms.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward::{
    api::check::{Picture, Question},
    domain::{
        explain::{self, because_words},
        firm::*,
        lane::*,
        policy::*,
    },
};
use ledgerward_contract::*;
use proptest::prelude::*;

use super::world::*;

const PEOPLE: u128 = 5;
const CLIENTS: u128 = 4;

/// What one ledger says in one reading.
#[derive(Clone, Debug)]
enum Says {
    List(BTreeMap<u128, u8>),
    Fails,
    Empty,
    Unlisted,
}

#[derive(Clone, Debug)]
struct Script {
    modes: Vec<u8>,
    enabled: Vec<bool>,
    selected: BTreeSet<(u128, u128)>,
    pairs: BTreeSet<u128>,
    any: bool,
    unlisted: u8,
    readings: Vec<Vec<Says>>,
    hand: BTreeSet<(u128, u128)>,
    strangers: BTreeSet<u128>,
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        6 => prop::collection::btree_map(1..=PEOPLE, 0..6_u8, 0..=5).prop_map(Says::List),
        1 => Just(Says::Fails),
        1 => Just(Says::Empty),
        1 => Just(Says::Unlisted),
    ]
}

fn script() -> impl Strategy<Value = Script> {
    let n = usize::try_from(PEOPLE).unwrap();
    let c = usize::try_from(CLIENTS).unwrap();
    (
        prop::collection::vec(0..4_u8, n),
        prop::collection::vec(prop::bool::weighted(0.85), n),
        prop::collection::btree_set((1..=PEOPLE, 1..=CLIENTS), 0..12),
        prop::collection::btree_set(1..=CLIENTS, 0..3),
        any::<bool>(),
        0..3_u8,
        prop::collection::vec(prop::collection::vec(says(), c), 1..5),
        prop::collection::btree_set((1..=PEOPLE, 1..=CLIENTS), 0..5),
        prop::collection::btree_set(1..=CLIENTS, 0..3),
    )
        .prop_map(|(modes, enabled, selected, pairs, any, unlisted, readings, hand, strangers)| Script {
            modes,
            enabled,
            selected,
            pairs,
            any,
            unlisted,
            readings,
            hand,
            strangers,
        })
}

fn build(s: &Script) -> World {
    let mut w = World::new(PEOPLE, Mode::All, CLIENTS);
    for (n, (mode, enabled)) in (1..).zip(s.modes.iter().zip(&s.enabled)) {
        let p = w.firm.people.get_mut(&pid(n)).unwrap();
        p.mode = Mode::ALL[usize::from(*mode)];
        p.enabled = *enabled;
    }
    for (n, c) in &s.selected {
        w.select(*n, *c);
    }
    w.firm.policy.unlisted = [Unlisted::Manual, Unlisted::Deny, Unlisted::Roster][usize::from(s.unlisted)];
    for c in &s.pairs {
        let client = w.firm.clients.get_mut(&cid(*c)).unwrap();
        client.sources.insert(ledger(1 + c % CLIENTS));
        client.authority = if s.any { Authority::Any } else { Authority::All };
    }
    w
}

fn read(w: &mut World, c: u128, says: &Says) {
    let source = ledger(c);
    match says {
        Says::Fails => drop(w.fails(c, ErrorKind::Unavailable)),
        Says::Empty => drop(w.lists(c, &[])),
        Says::Unlisted => {
            drop(w.observe(&source, Grade::A, ledgerward::domain::identity::Outcome::Unlisted { reason: "no".into() }))
        }
        Says::List(people) => {
            let rows: Vec<_> = std::iter::once(own_row(&source))
                .chain(people.iter().map(|(n, what)| {
                    let mut row = row(&source, *n);
                    match what {
                        0 => row.role = "ADVISER".into(),
                        1 => row.role = "INVOICEONLY".into(),
                        2 => row.role = "MYSTERY".into(),
                        3 => row.standing = Standing::Removed,
                        _ => {}
                    }
                    row
                }))
                .collect();
            drop(w.lists(c, &rows));
        }
    }
}

/// Reads and applies round after round; hand-made shares come in before the last one.
fn run(s: &Script) -> World {
    let mut w = build(s);
    for (round, readings) in s.readings.iter().enumerate() {
        for (c, says) in (1..).zip(readings) {
            read(&mut w, c, says);
        }
        if round + 1 < s.readings.len() {
            let plan = w.plan();
            w.apply(&plan);
        }
        w.pass(301);
    }
    for (n, c) in &s.hand {
        if let Some(f) = w.folders.get_mut(&whole(*c)) {
            let p = seen(Holder::Person(mail(*n)), SeenRole::Writer);
            if !f.list.iter().any(|x| x.id == p.id) {
                f.list.push(p);
            }
        }
    }
    for c in &s.strangers {
        if let Some(f) = w.folders.get_mut(&whole(*c)) {
            f.list.push(seen(Holder::Person(Email::parse("s@elsewhere.example").unwrap()), SeenRole::Reader));
        }
    }
    w
}

fn wanted_pairs(w: &World) -> BTreeSet<(LaneKey, String)> {
    w.wants().into_iter().flat_map(|(lane, who)| who.into_iter().map(move |x| (lane.clone(), x))).collect()
}

/// What a command that `why` suggests does to the firm, told apart from how the program does it.
fn obey(firm: &mut Firm, command: &str) {
    let words: Vec<&str> = command.strip_prefix("ledgerward ").unwrap().split(' ').collect();
    let people: BTreeMap<String, PersonId> = firm.people.values().map(|p| (p.email.to_string(), p.id)).collect();
    let clients: BTreeMap<String, ClientId> = firm.clients.values().map(|c| (c.slug.clone(), c.id)).collect();
    match words[..] {
        ["select", who, "--remove", what] => {
            assert!(firm.selections.remove(&(people[who], clients[what])).is_some(), "{command}");
        }
        ["select", who, what] => {
            assert_eq!(firm.clients[&clients[what]].state, ClientState::Active, "{command} is refused");
            let selection = Selection { scope: SelectionScope::Whole, when_granted: false };
            firm.selections.insert((people[who], clients[what]), selection);
        }
        ["people", act, who, ..] => {
            let person = firm.people.get_mut(&people[who]).unwrap();
            match act {
                "enable" => person.enabled = true,
                "disable" => person.enabled = false,
                "lift" => person.closed = None,
                "accept-domain" => person.domain_accepted = true,
                _ => person.mode = Mode::parse(words[3]).unwrap(),
            }
        }
        ["clients", "unlisted", what, "manual"] => {
            firm.clients.get_mut(&clients[what]).unwrap().unlisted = Some(Unlisted::Manual);
        }
        ["clients", "accept" | "reopen", what] => {
            firm.clients.get_mut(&clients[what]).unwrap().state = ClientState::Active;
        }
        ["guests", "end", who, what] => {
            firm.guests.retain(|g| (g.person, g.client) != (people[who], clients[what]));
        }
        _ => unreachable!("{command}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever stands in the way, each suggestion that is made of commands brings another answer.
    #[test]
    fn each_command_that_is_suggested_changes_the_answer(
        s in script(),
        wishes in prop::collection::btree_set((1..=PEOPLE, 1..=CLIENTS), 0..6),
        guests in prop::collection::btree_set((1..=PEOPLE, 1..=CLIENTS), 0..4),
        states in prop::collection::vec(0..4_usize, CLIENTS as usize),
        closed in prop::option::of(1..=PEOPLE),
    ) {
        let mut w = run(&s);
        for pair in wishes.iter().filter(|pair| !s.selected.contains(pair)) {
            w.firm.selections.insert(
                (pid(pair.0), cid(pair.1)),
                Selection { scope: SelectionScope::Whole, when_granted: true },
            );
        }
        for (n, c) in &guests {
            let until = w.now + jiff::SignedDuration::from_hours(8);
            let guest = Guest { person: pid(*n), client: cid(*c), until, reason: "audit".into(), break_glass: n == c };
            w.firm.guests.push(guest);
        }
        for (c, state) in (1..).zip(states) {
            use ClientState::{Active, Archived, Closed, Proposed};
            w.firm.clients.get_mut(&cid(c)).unwrap().state = [Active, Archived, Closed, Proposed][state];
        }
        if let Some(n) = closed {
            w.firm.people.get_mut(&pid(n)).unwrap().closed =
                Some(ledgerward::domain::firm::Closed { since: w.now, by: "ana".into(), reason: "lost".into() });
        }
        let facts = w.facts();
        let ask = |firm: &Firm, n, c| explain::why(&Decider::new(firm, &facts, &w.targets, w.now), pid(n), cid(c)).unwrap();
        for (n, c) in (1..=PEOPLE).flat_map(|n| (1..=CLIENTS).map(move |c| (n, c))) {
            let told = ask(&w.firm, n, c);
            prop_assert!(!told.would_change.is_empty(), "{}: nothing would change it", told.text);
            let commands = |way: &&String| way.split(", and ").all(|part| part.starts_with("ledgerward "));
            for way in told.would_change.iter().filter(commands).filter(|way| *way != "ledgerward pull") {
                let mut firm = w.firm.clone();
                way.split(", and ").for_each(|command| obey(&mut firm, command));
                let is = ask(&firm, n, c).verdict;
                let changed = if told.verdict == Answer::Yes { is != Answer::Yes } else { is == Answer::Yes };
                prop_assert!(changed, "{}: {way} leaves it at {is:?}", told.text);
            }
        }
    }

    /// One question about one person and one client is answered as the whole firm's decision answers it, in the same words.
    #[test]
    fn an_access_check_says_what_the_plan_says(s in script()) {
        let w = run(&s);
        let facts = w.facts();
        let d = Decider::new(&w.firm, &facts, &w.targets, w.now);
        let picture = Picture::of(w.firm.clone(), facts.clone(), w.targets.clone());
        for (n, c) in (1..=PEOPLE).flat_map(|n| (1..=CLIENTS).map(move |c| (n, c))) {
            let (person, slug) = (mail(n), format!("client-{c}"));
            let got = picture.check(Question { person: person.key(), client: &slug, target: None }, None, w.now).unwrap();
            let ix = d.ix(pid(n)).unwrap();
            let mut says = (Answer::No, d.judge(pid(n), cid(c)).because);
            for (lane, _) in d.lanes().filter(|(l, _)| l.client.is_some_and(|x| x.id == cid(c))) {
                if let Some(want) = lane.wants.iter().find(|want| want.person == ix) {
                    says = (Answer::Yes, want.because);
                } else if let Some((_, because)) = lane.held.iter().find(|(held, _)| *held == ix) {
                    says = (Answer::Held, *because);
                }
            }
            prop_assert_eq!((got.answer, got.reasons), (says.0, vec![because_words(&d, ix, says.1)]), "{} {}", person, slug);
        }
    }

    /// Where one person is taken out of one list, nobody gains anything by it.
    #[test]
    fn removing_facts_never_adds_a_grant(s in script(), n in 1..=PEOPLE, c in 0..CLIENTS) {
        let full = run(&s);
        let mut less = s.clone();
        if let Some(Says::List(people)) = less.readings.last_mut().unwrap().get_mut(usize::try_from(c).unwrap()) {
            people.remove(&n);
        }
        let less = run(&less);
        prop_assert!(wanted_pairs(&less).is_subset(&wanted_pairs(&full)));
    }

    /// No want without the firm's own rules: shut people never, selection where the mode asks for one.
    #[test]
    fn desired_is_within_policy(s in script()) {
        let w = run(&s);
        for (lane, who) in wanted_pairs(&w) {
            let person = w.firm.people.values().find(|p| p.email.key() == who).unwrap();
            prop_assert!(!person.shut());
            let selected = w.firm.selections.contains_key(&(person.id, lane.folder.client));
            prop_assert!(selected || !person.mode.needs_selection());
            if person.mode == Mode::Ledger {
                let sources = &w.firm.clients[&lane.folder.client].sources;
                let granted = |x: &SourceRef| w.joined[x].facts.get(&person.id).is_some_and(|f| f.why.role().is_some());
                let listed = sources.iter().any(|x| w.joined[x].rest != ledgerward::domain::fact::Why::Unlisted);
                prop_assert!(sources.iter().any(granted) || (!listed && selected && w.firm.policy.unlisted == Unlisted::Manual));
            }
        }
    }

    #[test]
    fn the_order_of_sources_is_irrelevant(s in script()) {
        let w = run(&s);
        let mut builder = ledgerward::domain::facts::FactsBuilder::new(w.firm.people.keys().copied());
        w.joined.values().rev().for_each(|j| builder.add(j));
        let (a, b) = (builder.build(), w.facts());
        let lanes = |f| {
            let d = Decider::new(&w.firm, f, &w.targets, w.now);
            d.lanes().map(|(l, _)| (l.lane, l.wants, l.held)).collect::<Vec<_>>()
        };
        prop_assert_eq!(lanes(&a), lanes(&b));
    }

    #[test]
    fn a_plan_that_was_applied_leaves_nothing_to_do(s in script()) {
        let mut w = run(&s);
        let plan = w.plan();
        w.apply(&plan);
        let again = w.plan();
        prop_assert!(again.is_empty(), "{:?}", again.lanes().iter().flat_map(|l| &l.steps).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_outside_owned_is_revoked_or_changed(s in script()) {
        let w = run(&s);
        let plan = w.plan();
        for lane in plan.lanes() {
            for step in &lane.steps {
                let id = match &step.op {
                    Op::Revoke { permission, .. } | Op::SetRole { permission, .. } => permission,
                    _ => continue,
                };
                prop_assert!(w.folders[&lane.lane].owned.iter().any(|o| o.permission == *id));
            }
        }
    }

    /// While every source fails, nothing that rests on one changes.
    #[test]
    fn held_in_no_steps_out(mut s in script()) {
        for mode in &mut s.modes {
            *mode = 2 + *mode % 2;
        }
        let mut w = run(&s);
        let plan = w.plan();
        w.apply(&plan);
        for c in 1..=CLIENTS {
            w.fails(c, ErrorKind::Unauthenticated);
        }
        // Ledgers that list nobody by capability never listed; everything else is unknown now.
        let before = w.plan();
        prop_assert_eq!((revokes(&before), grants(&before)), (0, 0));
    }

    #[test]
    fn empty_selection_means_nothing(mut s in script()) {
        s.selected.clear();
        for mode in &mut s.modes {
            *mode = if *mode % 2 == 0 { 1 } else { 3 };
        }
        prop_assert!(wanted_pairs(&run(&s)).is_empty());
    }

    /// The guard loses no step and invents none.
    #[test]
    fn cleared_and_held_are_the_whole_plan(s in script(), first in any::<bool>(), freeze in any::<bool>()) {
        let mut w = run(&s);
        w.first_plan = first;
        w.freeze = freeze;
        let plan = w.plan();
        let all: BTreeSet<_> = plan.lanes().iter().flat_map(|l| l.steps.iter().map(|x| (l.lane.clone(), x.clone()))).collect();
        let v = w.check(plan);
        let held = v.held.iter().flat_map(|h| &h.lanes);
        let parts: Vec<_> = v.cleared.lanes().iter().chain(held).flat_map(|l| l.steps.iter().map(|x| (l.lane.clone(), x.clone()))).collect();
        prop_assert_eq!(parts.len(), all.len());
        prop_assert_eq!(parts.into_iter().collect::<BTreeSet<_>>(), all);
        if freeze {
            prop_assert_eq!(grants(&v.cleared), 0);
        }
    }
}
