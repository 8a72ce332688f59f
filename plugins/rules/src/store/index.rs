//! Chains of rows by the hash of some columns. Knows no cell.

use std::cell::Cell;

use super::NONE;

/// So many chains are kept empty from one run to the next.
const KEPT_MAX: usize = 1024;

/// Hashes rows by some columns; rows with equal hashes form a chain, newest first.
#[derive(Debug, Default)]
pub struct Index {
    /// The first row of each chain.
    pub(super) heads: Vec<Cell<u32>>,
    /// The next older row of each row's chain.
    pub(super) next: Vec<Cell<u32>>,
    pub(super) rows: usize,
    pub(super) built: bool,
    /// Counts how often it was filled anew: chains are other ones then.
    pub(super) generation: u32,
}

#[inline]
fn slot_of(hash: u64, heads: usize) -> usize {
    (hash >> 32) as usize & (heads - 1)
}

impl Index {
    pub(super) fn clear(&mut self) {
        self.heads.clear();
        self.next.clear();
        self.rows = 0;
        self.built = false;
    }

    /// As `clear`, but a small one keeps its size: the next run's facts are often as many.
    pub(super) fn empty(&mut self) {
        if self.heads.len() > KEPT_MAX {
            self.clear();
            return;
        }
        self.heads.fill(Cell::new(NONE));
        self.next.clear();
        self.rows = 0;
    }

    #[inline]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    #[inline]
    pub fn first(&self, hash: u64) -> u32 {
        if self.heads.is_empty() { NONE } else { self.heads[slot_of(hash, self.heads.len())].get() }
    }

    #[inline]
    pub fn next(&self, row: u32) -> u32 {
        self.next[row as usize].get()
    }

    /// Takes `row`, which died, out of the chain behind `before` (or from its head).
    #[inline]
    pub fn unlink(&self, hash: u64, before: u32, row: u32) {
        let next = self.next[row as usize].get();
        if before == NONE {
            self.heads[slot_of(hash, self.heads.len())].set(next);
        } else {
            self.next[before as usize].set(next);
        }
    }

    /// Forgets all, and makes room for so many rows.
    pub(super) fn begin(&mut self, rows: usize) {
        self.heads.clear();
        self.heads.resize((2 * rows).next_power_of_two().max(8), Cell::new(NONE));
        self.rows = 0;
        self.built = true;
        self.generation = self.generation.wrapping_add(1);
    }

    #[inline]
    pub(super) fn push(&mut self, hash: u64, row: u32) {
        if self.next.len() <= row as usize {
            self.next.resize(row as usize + 1, Cell::new(NONE));
        }
        let head = &self.heads[slot_of(hash, self.heads.len())];
        self.next[row as usize].set(head.get());
        head.set(row);
        self.rows += 1;
    }

    pub fn bytes(&self) -> usize {
        4 * (self.heads.capacity() + self.next.capacity())
    }
}
