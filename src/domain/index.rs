//! Finding a place in a table by a hash of its key, without owning the key and without an order that anybody could see.

/// Places by hash: open addressing with linear probing, at most half full. Of two equal keys the one inserted first is found.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// The upper half of the hash, so that a foreign key is rarely looked at, and the place.
    slots: Vec<(u32, u32)>,
}

const EMPTY: u32 = u32::MAX;

impl Index {
    /// For up to `len` places.
    pub fn new(len: usize) -> Self {
        Self { slots: vec![(0, EMPTY); (len * 2 + 1).next_power_of_two()] }
    }

    /// Puts `places` in, each under its key's hash.
    pub fn of(len: usize, places: impl IntoIterator<Item = (u64, u32)>) -> Self {
        let mut this = Self::new(len);
        for (hash, place) in places {
            let mut at = this.home(hash);
            while this.slots.get(at).is_some_and(|s| s.1 != EMPTY) {
                at = (at + 1) & (this.slots.len() - 1);
            }
            if let Some(slot) = this.slots.get_mut(at) {
                *slot = (tag(hash), place);
            }
        }
        this
    }

    /// The place whose key has this hash and `is` the wanted one.
    #[inline]
    pub fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            let (other, place) = *self.slots.get(at).filter(|s| s.1 != EMPTY)?;
            if other == tag(hash) && is(place) {
                return Some(place);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        usize::try_from(hash & 0xffff_ffff).unwrap_or(0) & self.slots.len().wrapping_sub(1)
    }
}

#[inline]
fn tag(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or(0)
}

#[inline]
fn mix(a: u64, b: u64) -> u64 {
    let wide = u128::from(a ^ b).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u64::try_from(wide >> 64).unwrap_or(0) ^ u64::try_from(wide & u128::from(u64::MAX)).unwrap_or(0)
}

/// Eight bytes at a step: a run hashes every address of every list, so this is the hot path.
#[inline]
pub(super) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0_u8; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    let length = u64::try_from(bytes.len()).unwrap_or(0);
    let body = words.iter().fold(seed ^ 0xcbf2_9ce4_8422_2325 ^ length, |h, w| mix(h, u64::from_le_bytes(*w)));
    mix(body, u64::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_no_other() {
        let keys: Vec<String> = (0..5_000).map(|n| format!("person.number{n}@harbour.example")).collect();
        let index = Index::of(keys.len(), (0..).zip(&keys).map(|(ix, k)| (hash(0, k.as_bytes()), ix)));
        for (ix, key) in (0_u32..).zip(&keys) {
            assert_eq!(index.find(hash(0, key.as_bytes()), |p| keys[p as usize] == *key), Some(ix));
        }
        let other = "nobody@harbour.example";
        assert_eq!(index.find(hash(0, other.as_bytes()), |p| keys[p as usize] == other), None);
    }

    #[test]
    fn of_two_equal_keys_the_first_is_found() {
        let index = Index::of(2, [(hash(0, b"a"), 7), (hash(0, b"a"), 8)]);
        assert_eq!(index.find(hash(0, b"a"), |_| true), Some(7));
    }

    #[test]
    fn an_index_of_nothing_finds_nothing() {
        assert_eq!(Index::default().find(hash(0, b"a"), |_| true), None);
        assert_eq!(Index::new(0).find(hash(0, b"a"), |_| true), None);
    }

    #[test]
    fn keys_of_one_shape_spread() {
        let hashes = (0..10_000).map(|n| hash(0, format!("a{n}@x.example").as_bytes()));
        let low: std::collections::BTreeSet<u64> = hashes.map(|h| h & 0x7fff).collect();
        assert!(low.len() > 8_000, "{} of about 8,600 homes", low.len());
    }
}
