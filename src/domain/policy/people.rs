//! The people of the firm as deciding needs them: small, by index, and with their addresses both ways.

use ledgerward_contract::Email;

use super::{
    super::{
        firm::{Firm, Mode, Person, TargetName},
        index::{self, Index},
    },
    PersonIx,
};

/// What of a person every answer needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    NotOurs,
    Closed,
    Disabled,
    Open(Mode),
}

impl Standing {
    pub fn of(person: Option<&Person>) -> Self {
        match person {
            None => Self::NotOurs,
            Some(p) if p.closed.is_some() => Self::Closed,
            Some(p) if !p.enabled => Self::Disabled,
            Some(p) => Self::Open(p.mode),
        }
    }
}

/// The people's addresses on one target, both ways.
#[derive(Debug)]
pub(in super::super) struct TargetBook<'a> {
    pub(super) name: &'a TargetName,
    /// Copies, made in the order in which steps name them: ten million grants count up each of ten thousand addresses, and
    /// neighbours in memory are counted five times as fast.
    addresses: Vec<Option<Email>>,
    /// The keys of `addresses` in one text, person after person: comparing a whole list in order stays in the cache. Empty
    /// for whoever has none here, or has the address of somebody before them.
    keys: String,
    ends: Vec<u32>,
    /// Each person's place among the addresses in order.
    ranks: Vec<u32>,
    /// Outside the firm's domains and not accepted yet.
    pub(super) foreign: Vec<bool>,
    by_address: Index,
}

impl<'a> TargetBook<'a> {
    pub(super) fn new(name: &'a TargetName, firm: &Firm, people: &[Option<&'a Person>]) -> Self {
        let given: Vec<_> = people.iter().map(|p| p.map(|p| p.address_on(name))).collect();
        let outside = |e: &Email| !firm.domains.contains(e.domain());
        let foreign = people
            .iter()
            .map(|p| p.is_some_and(|p| !p.domain_accepted && (outside(p.address_on(name)) || outside(&p.email))))
            .collect();
        let address = |ix: PersonIx| given.get(ix as usize).copied().flatten();
        let mut order: Vec<PersonIx> = (0..).zip(&given).map(|(ix, _)| ix).collect();
        order.sort_by_key(|ix| address(*ix));
        let mut ranks = vec![0; order.len()];
        // Two people with one address: the first has it, whoever of them is asked for.
        let mut second = vec![false; order.len()];
        let mut addresses = vec![None; order.len()];
        let mut before = None;
        for (rank, ix) in (0..).zip(order) {
            let at = ix as usize;
            if let (Some(place), Some(second)) = (ranks.get_mut(at), second.get_mut(at)) {
                (*place, *second) = (rank, before == address(ix));
            }
            before = address(ix);
            if let (Some(email), Some(copy)) = (before, addresses.get_mut(at)) {
                *copy = Some(Email::parse(email.as_given()).unwrap_or_else(|_| email.clone()));
            }
        }
        let (mut keys, mut ends) = (String::new(), Vec::with_capacity(people.len()));
        for (email, second) in given.iter().zip(second) {
            keys.push_str(email.filter(|_| !second).map_or("", Email::key));
            // A text of 4 GiB is 16 million people; an end that is cut short compares as another address, never as this one.
            ends.push(u32::try_from(keys.len()).unwrap_or(u32::MAX));
        }
        let hashes = (0..).zip(&given).filter_map(|(ix, e)| Some((index::hash(0, (*e)?.key().as_bytes()), ix)));
        let by_address = Index::of(people.len(), hashes);
        Self { name, addresses, keys, ends, ranks, foreign, by_address }
    }

    /// Whether this is the person's address here.
    #[inline]
    pub fn is(&self, ix: PersonIx, email: &Email) -> bool {
        let at = ix as usize;
        let start = at.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let key = match (start, self.ends.get(at)) {
            (Some(start), Some(end)) => self.keys.as_bytes().get(start as usize..*end as usize),
            _ => None,
        };
        key.is_some_and(|key| !key.is_empty() && key == email.key().as_bytes())
    }

    #[inline]
    pub fn find(&self, email: &Email) -> Option<PersonIx> {
        self.by_address.find(index::hash(0, email.key().as_bytes()), |ix| self.is(ix, email))
    }

    #[inline]
    pub fn address(&self, ix: PersonIx) -> Option<&Email> {
        self.addresses.get(ix as usize)?.as_ref()
    }

    /// The person's place among all addresses in order.
    #[inline]
    pub fn rank(&self, ix: PersonIx) -> u32 {
        self.ranks.get(ix as usize).copied().unwrap_or(u32::MAX)
    }
}
