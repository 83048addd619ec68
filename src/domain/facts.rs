//! What all sources say, packed: one sorted run of people per source, so that deciding costs what there are facts.

use std::collections::BTreeMap;

use ledgerward_contract::{Grade, SourceRef, Timestamp};

use super::{
    fact::Why,
    firm::PersonId,
    identity::{Joined, PersonFact},
    index::{self, Index},
};

/// The facts of a run. Built once, then read only.
///
/// Per fact 7 bytes: the person's index, the reason code and the index of the vendor's role word. Dates are kept only where
/// they are printed (denials, unknowns).
#[derive(Clone, Debug, Default)]
pub struct Facts {
    people: Vec<PersonId>,
    sources: Vec<SourceFacts>,
    by_source: Index,
    who: Vec<u32>,
    why: Vec<Why>,
    role: Vec<u16>,
    words: Vec<String>,
    since: BTreeMap<(u32, u32), Timestamp>,
}

/// One source's facts as a whole.
#[derive(Clone, Debug)]
pub struct SourceFacts {
    pub source: SourceRef,
    pub name: String,
    pub grade: Grade,
    /// What holds for everybody without a fact of their own.
    pub rest: Why,
    pub unknown_since: Option<Timestamp>,
    pub trouble: Option<String>,
    start: usize,
    end: usize,
}

/// Collects joined sources, in any order, into [`Facts`].
#[derive(Debug, Default)]
pub struct FactsBuilder {
    people: Vec<PersonId>,
    sources: BTreeMap<SourceRef, Raw>,
}

#[derive(Debug)]
struct Raw {
    name: String,
    grade: Grade,
    rest: Why,
    unknown_since: Option<Timestamp>,
    trouble: Option<String>,
    run: Vec<(u32, Why, String, Option<Timestamp>)>,
}

impl FactsBuilder {
    /// `people`: everybody of the firm. A fact about somebody else is dropped: the firm does not know them.
    pub fn new(people: impl IntoIterator<Item = PersonId>) -> Self {
        let mut people: Vec<_> = people.into_iter().collect();
        people.sort_unstable();
        people.dedup();
        Self { people, sources: BTreeMap::new() }
    }

    /// Adds what one source says. The same source again (a second sign-in that reaches it) is combined: where the two
    /// disagree about somebody, that person is unknown (`decisions` 6).
    pub fn add(&mut self, joined: &Joined) {
        let run = joined.facts.iter().map(|(p, PersonFact { why, role, since, .. })| (*p, *why, role.as_str(), *since));
        self.add_run(&joined.source, &joined.name, joined.grade, joined.rest, run);
        if let Some(raw) = self.sources.get_mut(&joined.source) {
            raw.unknown_since = older(raw.unknown_since, joined.unknown_since);
            raw.trouble = raw.trouble.take().or_else(|| joined.trouble.clone());
        }
    }

    /// The same from bare values: (person, reason, the vendor's role word, since).
    pub fn add_run<'r>(
        &mut self,
        source: &SourceRef,
        name: &str,
        grade: Grade,
        rest: Why,
        run: impl IntoIterator<Item = (PersonId, Why, &'r str, Option<Timestamp>)>,
    ) {
        let mut run: Vec<_> = run
            .into_iter()
            .filter_map(|(p, why, role, since)| {
                let ix = u32::try_from(self.people.binary_search(&p).ok()?).ok()?;
                Some((ix, why, role.to_owned(), since))
            })
            .collect();
        run.sort_by_key(|(ix, ..)| *ix);
        run.dedup_by_key(|(ix, ..)| *ix);
        let new = Raw { name: name.to_owned(), grade, rest, unknown_since: None, trouble: None, run };
        match self.sources.remove(source) {
            None => self.sources.insert(source.clone(), new),
            Some(old) => self.sources.insert(source.clone(), agree(old, new)),
        };
    }

    pub fn build(self) -> Facts {
        let total = self.sources.values().map(|r| r.run.len()).sum();
        let mut facts = Facts { people: self.people, ..Facts::default() };
        facts.who.reserve_exact(total);
        facts.why.reserve_exact(total);
        facts.role.reserve_exact(total);
        let mut words: BTreeMap<String, u16> = BTreeMap::new();
        for (source, raw) in self.sources {
            let start = facts.who.len();
            let at = u32::try_from(facts.sources.len()).unwrap_or(u32::MAX);
            for (ix, why, role, since) in raw.run {
                let next = words.len();
                // More than 65,535 different role words are no role words: the last one stands for all the rest.
                let word = *words.entry(role).or_insert_with(|| u16::try_from(next).unwrap_or(u16::MAX));
                facts.who.push(ix);
                facts.why.push(why);
                facts.role.push(word);
                if let Some(since) = since {
                    facts.since.insert((at, ix), since);
                }
            }
            facts.sources.push(SourceFacts {
                source,
                name: raw.name,
                grade: raw.grade,
                rest: raw.rest,
                unknown_since: raw.unknown_since,
                trouble: raw.trouble,
                start,
                end: facts.who.len(),
            });
        }
        facts.by_source =
            Index::of(facts.sources.len(), (0..).zip(&facts.sources).map(|(ix, s)| (hash(&s.source), ix)));
        facts.words = vec![String::new(); words.len().min(usize::from(u16::MAX) + 1)];
        for (word, ix) in words {
            if let Some(slot) = facts.words.get_mut(usize::from(ix)) {
                *slot = word;
            }
        }
        facts
    }
}

fn hash(source: &SourceRef) -> u64 {
    index::hash(index::hash(source.kind as u64, source.connection.as_str().as_bytes()), source.id.as_bytes())
}

fn older(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Two readings of one source. Equal facts stay; one that is unknown in either, or denied in one and granted in the other,
/// is unknown.
fn agree(a: Raw, b: Raw) -> Raw {
    use super::fact::Fact;
    let pick = |x: Why, y: Why| match (x.fact(), y.fact()) {
        (p, q) if p == q => x.min(y),
        (Fact::Unknown, _) => x,
        (_, Fact::Unknown) => y,
        _ => Why::StandingUnknown,
    };
    let mut run = BTreeMap::new();
    let left: BTreeMap<_, _> = a.run.into_iter().map(|(ix, w, r, s)| (ix, (w, r, s))).collect();
    let mut right: BTreeMap<_, _> = b.run.into_iter().map(|(ix, w, r, s)| (ix, (w, r, s))).collect();
    for (ix, (w, r, s)) in left {
        let other = right.remove(&ix);
        let since = older(s, other.as_ref().and_then(|o| o.2));
        run.insert(ix, (pick(w, other.map_or(b.rest, |o| o.0)), r, since));
    }
    for (ix, (w, r, s)) in right {
        run.insert(ix, (pick(w, a.rest), r, s));
    }
    Raw {
        name: a.name,
        grade: a.grade.min(b.grade),
        rest: pick(a.rest, b.rest),
        unknown_since: older(a.unknown_since, b.unknown_since),
        trouble: a.trouble.or(b.trouble),
        run: run.into_iter().map(|(ix, (w, r, s))| (ix, w, r, s)).collect(),
    }
}

impl Facts {
    /// The people table; a person's index is their place in it.
    pub fn people(&self) -> &[PersonId] {
        &self.people
    }

    pub fn person_ix(&self, person: PersonId) -> Option<u32> {
        self.people.binary_search(&person).ok().and_then(|i| u32::try_from(i).ok())
    }

    pub fn sources(&self) -> &[SourceFacts] {
        &self.sources
    }

    pub fn source_ix(&self, source: &SourceRef) -> Option<u32> {
        self.by_source.find(hash(source), |ix| self.sources.get(ix as usize).is_some_and(|s| s.source == *source))
    }

    pub fn source(&self, ix: u32) -> Option<&SourceFacts> {
        self.sources.get(ix as usize)
    }

    /// The sorted people of a source and, beside them, their reasons.
    pub fn run(&self, ix: u32) -> (&[u32], &[Why]) {
        let Some(s) = self.source(ix) else { return (&[], &[]) };
        (self.who.get(s.start..s.end).unwrap_or_default(), self.why.get(s.start..s.end).unwrap_or_default())
    }

    /// The vendor's role word for one person, as a number: equal words have equal numbers. `at` is a hint that moves forward
    /// when people are asked for in order.
    pub(super) fn word(&self, source: u32, person: u32, at: &mut usize) -> Option<u16> {
        let s = self.source(source)?;
        let who = self.run(source).0;
        while who.get(*at).is_some_and(|p| *p < person) {
            *at += 1;
        }
        let at = if who.get(*at) == Some(&person) { *at } else { who.binary_search(&person).ok()? };
        self.role.get(s.start + at).copied()
    }

    /// What a source says about one person: reason, the vendor's role word, since.
    pub fn lookup(&self, source: u32, person: u32) -> (Why, &str, Option<Timestamp>) {
        let Some(s) = self.source(source) else { return (Why::NeverRead, "", None) };
        match self.run(source).0.binary_search(&person) {
            Err(_) => (s.rest, "", s.unknown_since),
            Ok(at) => {
                let why = self.why.get(s.start + at).copied().unwrap_or(s.rest);
                let word = self.role.get(s.start + at).and_then(|w| self.words.get(usize::from(*w)));
                (why, word.map_or("", String::as_str), self.since.get(&(source, person)).copied())
            }
        }
    }
}
