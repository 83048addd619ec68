//! A client on two ledgers, in a practice manager and on a roster at once: every authority, every mode, and every mix of
//! granted, denied and unknown (`product` 3, 4).

use std::collections::BTreeSet;

use ledgerward::domain::{explain, fact::Fact, firm::*, identity::*, policy::*};
use ledgerward_contract::*;

use super::world::*;

const FACTS: [Fact; 3] = [Fact::Granted, Fact::Denied, Fact::Unknown];
const MODES: [Mode; 4] = [Mode::All, Mode::Selected, Mode::Ledger, Mode::LedgerSelected];

/// The four sources with their grades; the first two are the client's ledgers.
fn sources() -> [(SourceRef, Grade); 4] {
    let other = |connection: &str, kind| SourceRef { connection: connection.into(), kind, id: "acme".into() };
    [
        (ledger(1), Grade::A),
        (ledger(2), Grade::A),
        (other("karbon", SourceKind::PracticeClient), Grade::B),
        (other("staff", SourceKind::Roster), Grade::C),
    ]
}

fn authorities() -> Vec<Authority> {
    let named = sources().into_iter().map(|(source, _)| Authority::Named(source));
    [Authority::All, Authority::Any].into_iter().chain(named).collect()
}

/// Person 1 in one mode, and one client bound to all four.
fn firm(mode: Mode, authority: &Authority, selected: bool) -> World {
    let mut w = World::new(1, mode, 0);
    let all: Vec<_> = sources().into_iter().map(|(source, _)| source).collect();
    w.firm.clients.insert(cid(1), Client { authority: authority.clone(), ..client(1, &all) });
    if selected {
        w.select(1, 1);
    }
    w
}

fn say(w: &mut World, facts: [Fact; 4]) {
    for ((source, grade), fact) in sources().into_iter().zip(facts) {
        let standing = if fact == Fact::Granted { Standing::Active } else { Standing::Disabled };
        let rows = [own_row(&source), AccessFact { standing, ..row(&source, 1) }];
        let outcome = match fact {
            Fact::Unknown => Outcome::Unreadable { kind: ErrorKind::Unavailable, why: "503".into(), since: w.now },
            _ => Outcome::Listed(&rows),
        };
        w.observe(&source, grade, outcome);
    }
}

/// The rule by itself: what decides, and what it comes to.
fn evidence(authority: &Authority, facts: [Fact; 4]) -> (BTreeSet<SourceRef>, Fact) {
    let with = |keep: &dyn Fn(&(SourceRef, Grade)) -> bool| -> Vec<(SourceRef, Fact)> {
        let each = sources().into_iter().zip(facts).filter(|(source, _)| keep(source));
        each.map(|((source, _), fact)| (source, fact)).collect()
    };
    let deciding = match authority {
        Authority::Named(one) => with(&|(source, _)| source == one),
        Authority::All | Authority::Any => with(&|(_, grade)| *grade == Grade::A),
    };
    let has = |fact| deciding.iter().any(|(_, f)| *f == fact);
    let order = match authority {
        Authority::Any => [Fact::Granted, Fact::Unknown, Fact::Denied],
        Authority::All | Authority::Named(_) => [Fact::Denied, Fact::Unknown, Fact::Granted],
    };
    let fact = order.into_iter().find(|f| has(*f)).unwrap();
    (deciding.into_iter().map(|(source, _)| source).collect(), fact)
}

fn expected(mode: Mode, selected: bool, fact: Fact) -> Answer {
    let by_ledger = match fact {
        Fact::Granted => Answer::Yes,
        Fact::Denied => Answer::No,
        Fact::Unknown => Answer::Held,
    };
    match mode {
        Mode::All => Answer::Yes,
        Mode::Selected if selected => Answer::Yes,
        Mode::Ledger => by_ledger,
        Mode::LedgerSelected if selected => by_ledger,
        Mode::Selected | Mode::LedgerSelected => Answer::No,
    }
}

/// Each case with its right answer; 81 mixes of facts for each authority, mode and selection.
fn cases(mut each: impl FnMut(&Authority, Mode, bool, [Fact; 4], Answer)) {
    for authority in authorities() {
        for mode in MODES {
            for selected in [false, true] {
                for n in 0..81_usize {
                    let facts = [n % 3, n / 3 % 3, n / 9 % 3, n / 27].map(|i| FACTS[i]);
                    let right = expected(mode, selected, evidence(&authority, facts).1);
                    each(&authority, mode, selected, facts, right);
                }
            }
        }
    }
}

#[test]
fn every_mix_gives_the_right_access_and_unknown_gives_and_takes_nothing() {
    cases(|authority, mode, selected, facts, right| {
        let case = format!("{authority:?} {mode:?} selected {selected} {facts:?}");
        let mut w = firm(mode, authority, selected);
        say(&mut w, facts);
        assert_eq!(grants(&w.plan()), usize::from(right == Answer::Yes), "somebody new: {case}");

        let mut w = firm(mode, authority, selected);
        say(&mut w, [Fact::Granted; 4]);
        w.settle();
        let had = expected(mode, selected, Fact::Granted) == Answer::Yes;
        w.pass(3600);
        say(&mut w, facts);
        let plan = w.plan();
        assert_eq!(revokes(&plan), usize::from(had && right == Answer::No), "somebody who was there: {case}");
        assert_eq!(grants(&plan), 0, "{case}");
    });
}

#[test]
fn the_answer_names_its_source_and_each_sources_grade() {
    cases(|authority, mode, selected, facts, right| {
        let case = format!("{authority:?} {mode:?} selected {selected} {facts:?}");
        let mut w = firm(mode, authority, selected);
        say(&mut w, facts);
        let known = w.facts();
        let d = Decider::new(&w.firm, &known, &w.targets, w.now);
        let answer = explain::why(&d, pid(1), cid(1)).unwrap();
        assert_eq!(answer.verdict, right, "{case}");
        let (deciding, _) = evidence(authority, facts);
        for ((source, grade), fact) in sources().into_iter().zip(facts) {
            let said = answer.sources.iter().find(|s| s.source == source).unwrap();
            assert_eq!((said.grade, said.fact), (grade, fact), "{case}");
            assert_eq!(said.decides, deciding.contains(&source), "{case}");
        }
        let judged = d.judge(pid(1), cid(1));
        assert_eq!(judged.answer, right, "{case}");
        if let Some(source) = judged.because.source().and_then(|ix| known.source(ix)) {
            assert!(deciding.contains(&source.source), "{case}");
            assert!(answer.text.contains(source.source.connection.as_str()), "{case}: {}", answer.text);
        } else {
            assert!(matches!(mode, Mode::All | Mode::Selected) || !selected, "an answer without a source: {case}");
        }
    });
}
