//! What the sources that decide for a client say, as one answer per person (`product` 3).

use ledgerward_contract::{Grade, SourceKind};

use super::{
    super::{
        fact::{Fact, Why},
        firm::{Authority, Client},
    },
    Decider, PersonIx,
};

/// What the sources that decide for a client say.
pub(super) enum Evidence<'f> {
    /// No deciding source lists its users.
    Unlisted,
    One {
        source: u32,
        rest: Why,
        people: &'f [PersonIx],
        whys: &'f [Why],
    },
    /// Combined by the client's authority. The last is what holds for everybody else.
    Many(Vec<(PersonIx, u32, Why)>, (u32, Why)),
}

impl Evidence<'_> {
    pub fn rest(&self) -> Option<(u32, Why)> {
        match self {
            Self::Unlisted => None,
            Self::One { source, rest, .. } => Some((*source, *rest)),
            Self::Many(_, rest) => Some(*rest),
        }
    }

    /// For one person. `at` is a hint that moves forward when people are asked for in order.
    pub fn of(&self, person: PersonIx, at: &mut usize) -> Option<(u32, Why)> {
        match self {
            Self::Unlisted => None,
            Self::One { source, rest, people, whys } => {
                while people.get(*at).is_some_and(|p| *p < person) {
                    *at += 1;
                }
                let hit = people.get(*at) == Some(&person);
                Some((*source, if hit { whys.get(*at).copied().unwrap_or(*rest) } else { *rest }))
            }
            Self::Many(run, rest) => Some(
                run.binary_search_by_key(&person, |r| r.0)
                    .ok()
                    .and_then(|i| run.get(i))
                    .map_or(*rest, |(_, source, why)| (*source, *why)),
            ),
        }
    }

    pub fn listed(&self) -> impl Iterator<Item = PersonIx> {
        let (one, many): (&[PersonIx], &[(PersonIx, u32, Why)]) = match self {
            Self::Unlisted => (&[], &[]),
            Self::One { people, .. } => (people, &[]),
            Self::Many(run, _) => (&[], run),
        };
        one.iter().copied().chain(many.iter().map(|r| r.0))
    }
}

/// Three-valued combination of several sources (`product` 3).
fn combine(all: bool, says: impl Iterator<Item = (u32, Why)> + Clone) -> (u32, Why) {
    let find = |fact: Fact| says.clone().filter(move |(_, w)| w.fact() == fact);
    // An explicit denial is the better reason than an absence, which the guard treats more carefully.
    let denied = || find(Fact::Denied).min_by_key(|(_, w)| w.is_absence());
    let unknown = || find(Fact::Unknown).next();
    let picked = if all {
        denied().or_else(unknown).or_else(|| find(Fact::Granted).min_by_key(|(_, w)| *w))
    } else {
        find(Fact::Granted).max_by_key(|(_, w)| *w).or_else(unknown).or_else(denied)
    };
    picked.unwrap_or((u32::MAX, Why::NeverRead))
}

impl<'a> Decider<'a> {
    /// The sources that decide for a client; a source that nobody has read yet counts as `NeverRead`.
    pub(in super::super) fn deciding(&self, client: &Client) -> Vec<u32> {
        let lists = |ix: u32| self.facts.source(ix).is_none_or(|s| s.rest != Why::Unlisted);
        if let Authority::Named(source) = &client.authority {
            let ix = self.facts.source_ix(source).unwrap_or(u32::MAX);
            return if lists(ix) { vec![ix] } else { vec![] };
        }
        let grade_a = |source: &ledgerward_contract::SourceRef| match self.facts.source_ix(source) {
            Some(ix) => self.facts.source(ix).filter(|s| s.grade == Grade::A).map(|_| ix),
            None => (source.kind == SourceKind::Ledger).then_some(u32::MAX),
        };
        client.sources.iter().filter_map(grade_a).filter(|ix| lists(*ix)).collect()
    }

    pub(super) fn evidence(&self, sources: &[u32], all: bool) -> Evidence<'a> {
        let rest_of = |ix: u32| self.facts.source(ix).map_or(Why::NeverRead, |s| s.rest);
        match sources {
            [] => Evidence::Unlisted,
            [source] => {
                let (people, whys) = self.facts.run(*source);
                Evidence::One { source: *source, rest: rest_of(*source), people, whys }
            }
            many => {
                let mut who: Vec<PersonIx> = many.iter().flat_map(|s| self.facts.run(*s).0).copied().collect();
                who.sort_unstable();
                who.dedup();
                let says = |p: PersonIx| combine(all, many.iter().map(move |s| (*s, self.facts.lookup(*s, p).0)));
                let run = who.into_iter().map(|p| (p, says(p).0, says(p).1)).collect();
                Evidence::Many(run, combine(all, many.iter().map(|s| (*s, rest_of(*s)))))
            }
        }
    }
}
