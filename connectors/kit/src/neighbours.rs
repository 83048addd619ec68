//! What lies in a root folder, listed once in a cycle: so that the thousandth new folder costs as much as the first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use ledgerward_contract::{Result, Timestamp};

/// The things in a root, by the name that must not be given twice and by our marks on them.
#[derive(Clone, Debug)]
pub struct Neighbours<T> {
    names: BTreeMap<String, T>,
    marks: BTreeMap<String, Vec<T>>,
}

impl<T> Default for Neighbours<T> {
    fn default() -> Self {
        Self { names: BTreeMap::new(), marks: BTreeMap::new() }
    }
}

/// What is known of the place for a new folder.
#[derive(Clone, Debug)]
pub struct Spot<T> {
    /// What has the name already.
    pub taken: Option<T>,
    /// What has the name that a folder bears until it is finished.
    pub working: Option<T>,
    /// How many things lie in the root.
    pub count: usize,
}

impl<T: Clone> Neighbours<T> {
    /// Adds a thing. `name` is as the target compares names (lower case where case makes no other name).
    pub fn add(&mut self, name: impl Into<String>, marks: impl IntoIterator<Item = String>, thing: T) {
        for mark in marks {
            self.marks.entry(mark).or_default().push(thing.clone());
        }
        self.names.insert(name.into(), thing);
    }

    pub fn spot(&self, name: &str, working: &str) -> Spot<T> {
        let named = |name| self.names.get(name).cloned();
        Spot { taken: named(name), working: named(working), count: self.names.len() }
    }

    /// Everything that carries a mark; one thing at most, if all is well.
    pub fn marked(&self, mark: &str) -> Vec<T> {
        self.marks.get(mark).cloned().unwrap_or_default()
    }
}

/// One listing of a root, kept for its cycle and brought up to date by what is made.
///
/// Only "nothing there carries this mark" is remembered, and only while nothing is under way for that mark: whoever makes
/// a folder says so first ([`RootMemory::begin`]), and until the end is known ([`RootMemory::made`]) every search for that
/// mark lists anew. So an answer that was lost, or a call that was dropped half-way, cannot hide the folder it made.
#[derive(Debug)]
pub struct RootMemory<T> {
    kept: Mutex<Kept<T>>,
    /// One lists, the others wait for it.
    listing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Kept<T> {
    listed: Option<(Timestamp, Neighbours<T>)>,
    under_way: BTreeSet<String>,
    /// Counts what was begun and made, so that a listing from before it is not kept.
    version: u64,
}

impl<T> Default for RootMemory<T> {
    fn default() -> Self {
        let kept = Kept { listed: None, under_way: BTreeSet::new(), version: 0 };
        Self { kept: Mutex::new(kept), listing: tokio::sync::Mutex::default() }
    }
}

impl<T: Clone> RootMemory<T> {
    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything in the root that carries a mark; one thing at most, if all is well.
    pub async fn search<F>(&self, cycle: Timestamp, mark: &str, list: F) -> Result<Vec<T>>
    where
        F: Future<Output = Result<Neighbours<T>>> + Send,
    {
        let _one = self.listing.lock().await;
        if self.has_none(cycle, mark) {
            return Ok(Vec::new());
        }
        let version = self.version();
        let there = list.await?;
        let found = there.marked(mark);
        self.keep(cycle, version, there);
        Ok(found)
    }

    /// Whether the listing of this cycle shows nothing with this mark, and that can be believed.
    pub fn has_none(&self, cycle: Timestamp, mark: &str) -> bool {
        let kept = self.kept();
        let listed = kept.listed.as_ref().filter(|(at, _)| *at == cycle);
        listed.is_some_and(|(_, there)| !there.marks.contains_key(mark)) && !kept.under_way.contains(mark)
    }

    /// Goes before a listing that is to be kept.
    pub fn version(&self) -> u64 {
        self.kept().version
    }

    /// Keeps a listing, unless something was begun or made since its `version`.
    pub fn keep(&self, cycle: Timestamp, version: u64, there: Neighbours<T>) {
        let mut kept = self.kept();
        if kept.version == version {
            kept.listed = Some((cycle, there));
        }
    }

    /// What the listing of this cycle says of two names. A hint: the target has the last word when the folder is made.
    pub fn spot(&self, cycle: Timestamp, name: &str, working: &str) -> Spot<T> {
        let kept = self.kept();
        let listed = kept.listed.as_ref().filter(|(at, _)| *at == cycle);
        listed.map_or(Spot { taken: None, working: None, count: 0 }, |(_, there)| there.spot(name, working))
    }

    /// A folder with this mark is about to be made, or something is done to the one that carries it.
    pub fn begin(&self, mark: &str) {
        let mut kept = self.kept();
        kept.version += 1;
        kept.under_way.insert(mark.to_owned());
    }

    /// It is there, whole, under its name.
    pub fn made(&self, cycle: Timestamp, mark: &str, name: impl Into<String>, thing: T) {
        let mut kept = self.kept();
        kept.version += 1;
        kept.under_way.remove(mark);
        if let Some((_, there)) = kept.listed.as_mut().filter(|(at, _)| *at == cycle) {
            there.add(name, [mark.to_owned()], thing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// What is found, and whether the root was listed for it.
    async fn search(memory: &RootMemory<u8>, cycle: i64, mark: &str, there: &[(&str, u8)]) -> (Vec<u8>, bool) {
        let mut listed = false;
        let list = async {
            listed = true;
            let mut all = Neighbours::default();
            for (name, id) in there {
                all.add(*name, [format!("mark of {name}")], *id);
            }
            Ok(all)
        };
        let found = memory.search(at(cycle), mark, list).await.unwrap();
        (found, listed)
    }

    #[tokio::test]
    async fn a_root_is_listed_once_in_a_cycle() {
        let memory = RootMemory::default();
        assert_eq!(search(&memory, 1, "mark of b", &[("a", 1)]).await, (vec![], true));
        assert_eq!(search(&memory, 1, "mark of c", &[]).await, (vec![], false));
        assert_eq!(search(&memory, 1, "mark of a", &[]).await, (vec![], true), "what was there is looked at again");
        assert_eq!(search(&memory, 2, "mark of b", &[("b", 2)]).await, (vec![2], true), "the next cycle looks itself");
    }

    #[tokio::test]
    async fn s02_what_is_under_way_is_looked_for_until_its_end_is_known() {
        let memory = RootMemory::default();
        search(&memory, 1, "mark of a", &[]).await;
        memory.begin("mark of a");
        assert_eq!(search(&memory, 1, "mark of a", &[("a", 1)]).await, (vec![1], true), "its answer was lost");
        assert_eq!(search(&memory, 1, "mark of b", &[]).await, (vec![], false));
        memory.made(at(1), "mark of b", "b", 2);
        assert_eq!(memory.spot(at(1), "b", "a").taken, Some(2));
        assert_eq!(memory.spot(at(1), "b", "a").working, Some(1));
        assert_eq!(memory.spot(at(2), "b", "a").taken, None, "another cycle's");
        assert_eq!(search(&memory, 1, "mark of b", &[("b", 2)]).await, (vec![2], true));
    }

    #[tokio::test]
    async fn a_listing_from_before_something_was_made_is_not_kept() {
        let memory = RootMemory::<u8>::default();
        let before = memory.version();
        memory.begin("mark of a");
        memory.made(at(1), "mark of a", "a", 1);
        memory.keep(at(1), before, Neighbours::default());
        assert!(!memory.has_none(at(1), "mark of b"));
    }
}
