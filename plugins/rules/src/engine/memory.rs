//! Matches that are known to hold: activations that have fired, and the matches of derive rules that are kept up to date.
//!
//! An entry is found by its activation (rule, rows, values), by each of its rows, and by what its closed conditions
//! look at, so that a change of a fact leads to the entries that it may end.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::store::{NONE, hash_start, hash_word};

/// A match that holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) rule: u32,
    /// Where its rows begin in `words`; the rows of the exported positions, then the two halves of the values' hash.
    begin: u32,
    len: u16,
    pub(super) body: u16,
    pub(super) is_alive: bool,
    /// Already among the suspects.
    pub(super) is_suspect: bool,
    /// The first of its effects (what it emitted or derived), in the owner's list, or `NONE`.
    pub(super) effect: u32,
    next: u32,
}

/// A hasher for words that are hashes already.
#[derive(Default)]
pub(super) struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = crate::heap::hash_bytes(bytes);
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) entries: Vec<Entry>,
    words: Vec<u32>,
    /// Entries by the hash of their activation.
    heads: Vec<u32>,
    /// By template and row: the first node.
    by_row: Vec<Vec<u32>>,
    by_key: HashMap<u64, u32, BuildHasherDefault<Plain>>,
    /// An entry, and the next node.
    nodes: Vec<(u32, u32)>,
    living: usize,
}

impl Memory {
    pub(super) fn clear(&mut self, templates: usize) {
        self.entries.clear();
        self.words.clear();
        self.heads.clear();
        self.by_row.resize_with(templates, Vec::new);
        self.by_row.iter_mut().for_each(Vec::clear);
        self.by_key.clear();
        self.nodes.clear();
        self.living = 0;
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Entry>() * self.entries.capacity()
            + 4 * (self.words.capacity() + self.heads.capacity())
            + self.by_row.iter().map(|rows| 4 * rows.capacity()).sum::<usize>()
            + 8 * self.nodes.capacity()
            + 24 * self.by_key.capacity()
    }

    fn hash(rule: u32, words: &[u32]) -> u64 {
        words.iter().fold(hash_word(hash_start(), u64::from(rule)), |hash, &word| hash_word(hash, u64::from(word)))
    }

    pub(super) fn words(&self, entry: u32) -> &[u32] {
        let entry = &self.entries[entry as usize];
        &self.words[entry.begin as usize..entry.begin as usize + entry.len as usize]
    }

    pub(super) fn find(&self, rule: u32, words: &[u32]) -> Option<u32> {
        if self.heads.is_empty() {
            return None;
        }
        let mut entry = self.heads[Self::hash(rule, words) as usize >> 7 & (self.heads.len() - 1)];
        while entry != NONE {
            let known = &self.entries[entry as usize];
            if known.is_alive && known.rule == rule && self.words(entry) == words {
                return Some(entry);
            }
            entry = known.next;
        }
        None
    }

    pub(super) fn insert(&mut self, rule: u32, body: u16, words: &[u32]) -> u32 {
        if self.entries.len() >= self.heads.len() {
            self.grow();
        }
        let entry = self.entries.len() as u32;
        let slot = Self::hash(rule, words) as usize >> 7 & (self.heads.len() - 1);
        self.entries.push(Entry {
            rule,
            begin: self.words.len() as u32,
            len: words.len() as u16,
            body,
            is_alive: true,
            is_suspect: false,
            effect: NONE,
            next: std::mem::replace(&mut self.heads[slot], entry),
        });
        self.words.extend_from_slice(words);
        self.living += 1;
        entry
    }

    fn grow(&mut self) {
        let size = (4 * self.living + 16).next_power_of_two().max(2 * self.entries.len().next_power_of_two());
        self.heads.clear();
        self.heads.resize(size, NONE);
        for entry in 0..self.entries.len() as u32 {
            if self.entries[entry as usize].is_alive {
                let rule = self.entries[entry as usize].rule;
                let slot = Self::hash(rule, self.words(entry)) as usize >> 7 & (size - 1);
                self.entries[entry as usize].next = std::mem::replace(&mut self.heads[slot], entry);
            }
        }
    }

    pub(super) fn remove(&mut self, entry: u32) {
        let entry = &mut self.entries[entry as usize];
        if entry.is_alive {
            entry.is_alive = false;
            self.living -= 1;
        }
    }

    /// The entry of the same match after one of its rows was replaced by another version of the same fact.
    pub(super) fn replace(&mut self, entry: u32, words: &[u32]) {
        let old = self.entries[entry as usize];
        self.entries[entry as usize].is_alive = false;
        self.living -= 1;
        let new = self.insert(old.rule, old.body, words);
        self.entries[new as usize].effect = old.effect;
    }

    pub(super) fn newest(&self) -> u32 {
        self.entries.len() as u32 - 1
    }

    /// A change of this row will lead to the entry.
    pub(super) fn watch_row(&mut self, template: u16, row: u32, entry: u32) {
        let rows = &mut self.by_row[template as usize];
        if rows.len() <= row as usize {
            rows.resize(row as usize + 1, NONE);
        }
        let next = std::mem::replace(&mut rows[row as usize], self.nodes.len() as u32);
        self.nodes.push((entry, next));
    }

    /// A change of a fact with this key will lead to the entry.
    pub(super) fn watch_key(&mut self, key: u64, entry: u32) {
        let node = self.nodes.len() as u32;
        let next = self.by_key.insert(key, node).unwrap_or(NONE);
        self.nodes.push((entry, next));
    }

    /// Calls `found` for each living entry that holds the row.
    pub(super) fn of_row(&mut self, template: u16, row: u32, suspects: &mut Vec<u32>) {
        let head = self.by_row[template as usize].get(row as usize).copied().unwrap_or(NONE);
        self.suspect(head, suspects);
    }

    pub(super) fn of_key(&mut self, key: u64, suspects: &mut Vec<u32>) {
        let Some(&head) = self.by_key.get(&key) else { return };
        let head = self.suspect(head, suspects);
        match head {
            NONE => _ = self.by_key.remove(&key),
            head => _ = self.by_key.insert(key, head),
        }
    }

    /// Adds the living entries of a chain to the suspects; gives the chain without dead ones at its head.
    fn suspect(&mut self, head: u32, suspects: &mut Vec<u32>) -> u32 {
        let mut first_living = NONE;
        let (mut before, mut node) = (NONE, head);
        while node != NONE {
            let (entry, next) = self.nodes[node as usize];
            let known = &mut self.entries[entry as usize];
            if known.is_alive {
                if !known.is_suspect {
                    known.is_suspect = true;
                    suspects.push(entry);
                }
                if first_living == NONE {
                    first_living = node;
                }
                before = node;
            } else if before != NONE {
                self.nodes[before as usize].1 = next;
            }
            node = next;
        }
        first_living
    }
}
