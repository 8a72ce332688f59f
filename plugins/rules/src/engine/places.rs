//! Which rules have something to do, by their place among the agenda's. Knows no rule.

/// A set of places, of which the first one behind some place is found quickly.
#[derive(Debug, Default)]
pub(super) struct Places {
    words: Vec<u64>,
    /// Which words are not 0.
    summary: Vec<u64>,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        let words = count.div_ceil(64);
        Self { words: vec![0; words], summary: vec![0; words.div_ceil(64)] }
    }

    pub(super) fn clear(&mut self) {
        self.words.fill(0);
        self.summary.fill(0);
    }

    #[inline]
    pub(super) fn insert(&mut self, place: usize) {
        self.words[place / 64] |= 1 << (place % 64);
        self.summary[place / 4096] |= 1 << (place / 64 % 64);
    }

    pub(super) fn remove(&mut self, place: usize) {
        let word = &mut self.words[place / 64];
        *word &= !(1 << (place % 64));
        if *word == 0 {
            self.summary[place / 4096] &= !(1 << (place / 64 % 64));
        }
    }

    /// The first place from `begin` on.
    pub(super) fn first_from(&self, begin: usize) -> Option<usize> {
        let word = self.words.get(begin / 64)? >> (begin % 64);
        if word != 0 {
            return Some(begin + word.trailing_zeros() as usize);
        }
        let next = begin / 64 + 1;
        let rest = self.summary.get(next / 64)? >> (next % 64);
        let word = if rest != 0 {
            next + rest.trailing_zeros() as usize
        } else {
            let at = (next / 64 + 1..self.summary.len()).find(|&at| self.summary[at] != 0)?;
            at * 64 + self.summary[at].trailing_zeros() as usize
        };
        Some(word * 64 + self.words[word].trailing_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn the_first_place_is_found_from_anywhere() {
        let mut places = Places::new(20_000);
        let inserted = [0, 63, 64, 4095, 4096, 9000, 19_999];
        inserted.iter().for_each(|&place| places.insert(place));
        for begin in [0, 1, 62, 63, 64, 65, 4000, 4095, 4096, 4097, 8192, 9000, 9001, 19_999] {
            let expected = inserted.iter().copied().find(|&place| place >= begin);
            assert_eq!(places.first_from(begin), expected, "from {begin}");
        }
        assert_eq!(places.first_from(20_000), None);
        places.remove(4096);
        places.remove(4095);
        assert_eq!(places.first_from(65), Some(9000));
        places.clear();
        assert_eq!(places.first_from(0), None);
    }
}
