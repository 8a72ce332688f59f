//! The string pool of facts: every text, blob and symbol once, as two blocks of memory. Knows no table and no template.

use std::hash::{BuildHasher, RandomState};

/// Byte strings end to end, named by their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Where each string ends (exclusive) in `data`. Invariant: ascending, the last is the length of `data`.
    ends: Vec<u32>,
    data: Vec<u8>,
}

impl Pool {
    /// A pool that was received; `None` if `ends` is not ascending or does not end with the length of `data`.
    pub fn from_parts(ends: Vec<u32>, data: Vec<u8>) -> Option<Self> {
        let last = ends.last().map_or(0, |&end| end as usize);
        (ends.is_sorted() && last == data.len()).then_some(Self { ends, data })
    }

    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// How many strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn get(&self, place: u32) -> Option<&[u8]> {
        let end = *self.ends.get(place as usize)?;
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        Some(&self.data[start as usize..end as usize])
    }

    /// The string at a place as text; `None` also where it is no UTF-8.
    pub fn text(&self, place: u32) -> Option<&str> {
        std::str::from_utf8(self.get(place)?).ok()
    }

    /// Appends a string and gives its place; `None` if the pool would exceed 4 GiB.
    fn push(&mut self, bytes: &[u8]) -> Option<u32> {
        let end = u32::try_from(self.data.len() + bytes.len()).ok()?;
        let place = u32::try_from(self.ends.len()).ok()?;
        self.data.extend_from_slice(bytes);
        self.ends.push(end);
        Some(place)
    }
}

/// Makes a pool that holds each string once.
#[derive(Debug, Default)]
pub struct PoolBuilder {
    pool: Pool,
    /// Open addressing, a power of two long and at most half full; an entry is a place and one, 0 is free.
    slots: Vec<u32>,
    /// Keyed at random: clients choose the strings.
    hasher: RandomState,
}

impl PoolBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    /// The place of a string, which is added if it is new; `None` if the pool would exceed 4 GiB.
    pub fn intern(&mut self, bytes: &[u8]) -> Option<u32> {
        if self.pool.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let slot = self.slot_of(bytes);
        if let Some(place) = self.slots[slot].checked_sub(1) {
            return Some(place);
        }
        let place = self.pool.push(bytes)?;
        self.slots[slot] = place.checked_add(1)?;
        Some(place)
    }

    pub fn finish(self) -> Pool {
        self.pool
    }

    /// Where the string is, or would be.
    fn slot_of(&self, bytes: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        // The low bits are all that is used.
        let mut slot = self.hasher.hash_one(bytes) as usize & mask;
        while let Some(place) = self.slots[slot].checked_sub(1)
            && self.pool.get(place) != Some(bytes)
        {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        self.slots = vec![0; (self.slots.len() * 2).max(64)];
        for place in 0..self.pool.len() {
            let place = place as u32;
            let slot = self.slot_of(self.pool.get(place).expect("places below the length are taken"));
            self.slots[slot] = place + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_kept_once() {
        let mut builder = PoolBuilder::new();
        let words: Vec<String> = (0..1000).map(|number| format!("w{}", number % 300)).collect();
        let places: Vec<u32> = words.iter().map(|word| builder.intern(word.as_bytes()).unwrap()).collect();
        let pool = builder.finish();
        assert_eq!(pool.len(), 300);
        for (word, place) in words.iter().zip(places) {
            assert_eq!(pool.text(place), Some(word.as_str()));
        }
    }

    #[test]
    fn the_empty_string_has_a_place_of_its_own() {
        let mut builder = PoolBuilder::new();
        let places = [b"".as_slice(), b"a", b"", b"\xff"].map(|bytes| builder.intern(bytes).unwrap());
        assert_eq!(places, [0, 1, 0, 2]);
        let pool = builder.finish();
        assert_eq!((pool.get(0), pool.get(2), pool.get(3)), (Some(b"".as_slice()), Some(b"\xff".as_slice()), None));
        assert_eq!(pool.text(2), None);
    }

    #[test]
    fn what_was_received_is_checked() {
        let check = |ends: &[u32], data: &[u8], expected: bool| {
            assert_eq!(Pool::from_parts(ends.to_vec(), data.to_vec()).is_some(), expected, "{ends:?} {data:?}");
        };
        check(&[], b"", true);
        check(&[0, 1, 1, 3], b"abc", true);
        check(&[2, 1, 3], b"abc", false);
        check(&[1, 2], b"abc", false);
        check(&[1, 4], b"abc", false);
        check(&[], b"a", false);
    }
}
