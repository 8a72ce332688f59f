//! The inputs that took new ways, and which of them is changed next. Runs and stores nothing.

use std::collections::HashMap;

use crate::coverage::Feature;
use crate::random::Random;

#[cfg(test)]
mod tests;

/// What an input costs beside its bytes.
const INPUT_BYTES: usize = 200;

#[derive(Default)]
pub struct Pool {
    inputs: Vec<Vec<u8>>,
    /// The smallest input of each feature, by its place.
    owners: HashMap<Feature, u32>,
    /// The features that are known, to pick one.
    known: Vec<Feature>,
}

impl Pool {
    /// Keeps an input that has a new feature, or is the smallest with one; tells whether one is new.
    pub fn offer(&mut self, input: &[u8], features: &[Feature]) -> bool {
        let place = self.inputs.len() as u32;
        let (mut has_new, mut is_smaller) = (false, false);
        for &feature in features {
            match self.owners.get_mut(&feature) {
                None => {
                    self.owners.insert(feature, place);
                    self.known.push(feature);
                    has_new = true;
                }
                Some(owner) if self.inputs.get(*owner as usize).is_some_and(|known| input.len() < known.len()) => {
                    *owner = place;
                    is_smaller = true;
                }
                Some(_) => {}
            }
        }
        if has_new || is_smaller {
            self.inputs.push(input.to_vec());
        }
        has_new
    }

    /// An input to change, and one to take pieces from: half of the time the smallest of some feature.
    pub fn pick(&self, random: &mut Random) -> (&[u8], &[u8]) {
        let any = |random: &mut Random| random.pick(&self.inputs).map_or(&[][..], Vec::as_slice);
        let owner = match random.below(2) {
            0 => random.pick(&self.known).and_then(|feature| self.owners.get(feature)),
            _ => None,
        };
        let first = match owner {
            Some(&owner) => &self.inputs[owner as usize],
            None => any(random),
        };
        (first, any(random))
    }

    /// Inputs that have all features together, those first that have the most for themselves in each byte.
    pub fn best(&self) -> Vec<&[u8]> {
        let mut owned: HashMap<u32, usize> = HashMap::new();
        self.owners.values().for_each(|&owner| *owned.entry(owner).or_default() += 1);
        let mut inputs: Vec<(&[u8], usize)> =
            owned.into_iter().map(|(place, count)| (self.inputs[place as usize].as_slice(), count)).collect();
        let price = |length: usize, count: usize| (length + INPUT_BYTES) * count;
        inputs.sort_by_key(|&(input, _)| input);
        inputs.sort_by(|left, right| price(left.0.len(), right.1).cmp(&price(right.0.len(), left.1)));
        inputs.into_iter().map(|(input, _)| input).collect()
    }

    pub fn features(&self) -> usize {
        self.known.len()
    }
}
