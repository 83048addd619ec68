//! What all sources say, packed: one sorted run of people per source, so that deciding costs what there are facts.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{Grade, SourceRef, Timestamp};

use super::{
    fact::Why,
    firm::{Authority, Client, PersonId},
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
    facts: Facts,
    sources: BTreeMap<SourceRef, Raw>,
    words: BTreeMap<String, u16>,
}

/// (person, reason, number of the role word, since).
type Row = (u32, Why, u16, Option<Timestamp>);

#[derive(Debug)]
struct Raw {
    name: String,
    grade: Grade,
    rest: Why,
    unknown_since: Option<Timestamp>,
    trouble: Option<String>,
    /// Where the rows are in the tables of [`Facts`].
    start: usize,
    end: usize,
    since: Vec<(u32, Timestamp)>,
}

impl FactsBuilder {
    /// `people`: everybody of the firm. A fact about somebody else is dropped: the firm does not know them.
    pub fn new(people: impl IntoIterator<Item = PersonId>) -> Self {
        let mut people: Vec<_> = people.into_iter().collect();
        people.sort_unstable();
        people.dedup();
        Self { facts: Facts { people, ..Facts::default() }, ..Self::default() }
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
        let mut rows: Vec<Row> = vec![];
        let mut next = 0;
        for (person, why, role, since) in run {
            // Mostly everybody comes in order: try the next before searching.
            let people = &self.facts.people;
            let at = if people.get(next) == Some(&person) { Ok(next) } else { people.binary_search(&person) };
            let Some(ix) = at.ok().and_then(|at| u32::try_from(at).ok()) else { continue };
            next = ix as usize + 1;
            rows.push((ix, why, self.word(role), since));
        }
        rows.sort_by_key(|(ix, ..)| *ix);
        rows.dedup_by_key(|(ix, ..)| *ix);
        let mut raw = Raw {
            name: name.to_owned(),
            grade,
            rest,
            unknown_since: None,
            trouble: None,
            start: 0,
            end: 0,
            since: vec![],
        };
        if let Some(old) = self.sources.remove(source) {
            rows = agree(&mut raw, rows, old, &self.facts);
        }
        self.put(source, raw, rows);
    }

    /// The number of a role word. More than 65,535 different role words are no role words: the last one stands for the rest.
    fn word(&mut self, role: &str) -> u16 {
        if let Some(word) = self.words.get(role) {
            return *word;
        }
        let word = u16::try_from(self.words.len()).unwrap_or(u16::MAX);
        self.words.insert(role.to_owned(), word);
        word
    }

    fn put(&mut self, source: &SourceRef, mut raw: Raw, rows: Vec<Row>) {
        let facts = &mut self.facts;
        raw.start = facts.who.len();
        raw.end = raw.start + rows.len();
        for (ix, why, role, since) in rows {
            facts.who.push(ix);
            facts.why.push(why);
            facts.role.push(role);
            raw.since.extend(since.map(|t| (ix, t)));
        }
        self.sources.insert(source.clone(), raw);
    }

    pub fn build(self) -> Facts {
        let (mut facts, words) = (self.facts, self.words);
        facts.who.shrink_to_fit();
        facts.why.shrink_to_fit();
        facts.role.shrink_to_fit();
        for (at, (source, raw)) in (0..).zip(self.sources) {
            facts.since.extend(raw.since.into_iter().map(|(ix, t)| ((at, ix), t)));
            facts.sources.push(SourceFacts {
                source,
                name: raw.name,
                grade: raw.grade,
                rest: raw.rest,
                unknown_since: raw.unknown_since,
                trouble: raw.trouble,
                start: raw.start,
                end: raw.end,
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
fn agree(new: &mut Raw, rows: Vec<Row>, old: Raw, facts: &Facts) -> Vec<Row> {
    use super::fact::Fact;
    let pick = |x: Why, y: Why| match (x.fact(), y.fact()) {
        (p, q) if p == q => x.min(y),
        (Fact::Unknown, _) => x,
        (_, Fact::Unknown) => y,
        _ => Why::StandingUnknown,
    };
    let since: BTreeMap<u32, Timestamp> = old.since.iter().copied().collect();
    let mut run: BTreeMap<u32, Row> = BTreeMap::new();
    for at in old.start..old.end {
        if let (Some(ix), Some(why), Some(role)) = (facts.who.get(at), facts.why.get(at), facts.role.get(at)) {
            run.insert(*ix, (*ix, *why, *role, since.get(ix).copied()));
        }
    }
    let mut right: BTreeMap<u32, Row> = rows.into_iter().map(|row| (row.0, row)).collect();
    for (ix, row) in &mut run {
        let other = right.remove(ix);
        row.1 = pick(row.1, other.map_or(new.rest, |o| o.1));
        row.3 = older(row.3, other.and_then(|o| o.3));
    }
    run.extend(right.into_iter().map(|(ix, (_, why, role, since))| (ix, (ix, pick(why, old.rest), role, since))));
    new.name = old.name;
    new.grade = old.grade.min(new.grade);
    new.rest = pick(old.rest, new.rest);
    new.unknown_since = older(old.unknown_since, new.unknown_since);
    new.trouble = old.trouble.or(new.trouble.take());
    run.into_values().collect()
}

impl Facts {
    /// What a client's sources say about one person, and about nobody else: what one question rests on, however large the
    /// firm is. `changed`: what some of them would say of the person instead.
    pub fn about(&self, person: PersonId, client: &Client, changed: &BTreeMap<SourceRef, Why>) -> Self {
        let named = match &client.authority {
            Authority::Named(source) => Some(source),
            Authority::All | Authority::Any => None,
        };
        let sources: BTreeSet<&SourceRef> = client.sources.iter().chain(named).collect();
        let mut builder = FactsBuilder::new([person]);
        let at = self.person_ix(person);
        for ix in sources.into_iter().filter_map(|s| self.source_ix(s)) {
            let Some(source) = self.source(ix) else { continue };
            let own = at.and_then(|at| self.own(ix, at));
            let says = match (changed.get(&source.source), own) {
                (Some(why), own) => {
                    Some((*why, own.map_or("", |(_, role, _)| role), own.and_then(|(.., since)| since)))
                }
                (None, own) => own,
            };
            let run = says.into_iter().map(|(why, role, since)| (person, why, role, since));
            builder.add_run(&source.source, &source.name, source.grade, source.rest, run);
            if let Some(raw) = builder.sources.get_mut(&source.source) {
                raw.unknown_since = source.unknown_since;
                raw.trouble.clone_from(&source.trouble);
            }
        }
        builder.build()
    }

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
        self.own(source, person).unwrap_or((s.rest, "", s.unknown_since))
    }

    /// A fact of the person's own; `None` where the source's rest holds for them.
    fn own(&self, source: u32, person: u32) -> Option<(Why, &str, Option<Timestamp>)> {
        let s = self.source(source)?;
        let at = s.start + self.run(source).0.binary_search(&person).ok()?;
        let word = self.role.get(at).and_then(|w| self.words.get(usize::from(*w)));
        let why = self.why.get(at).copied().unwrap_or(s.rest);
        Some((why, word.map_or("", String::as_str), self.since.get(&(source, person)).copied()))
    }
}
