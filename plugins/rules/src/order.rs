//! Rows in canonical order: by the values of some fields, what is missing first, then by their numbers.
//!
//! A row's leading fields are packed into one word that compares as they do, so that most comparisons are of words.

use std::cmp::Ordering;

use crate::heap::Heap;
use crate::schema::{FieldType, Scalar};
use crate::store::compare_cells;
use crate::value::Text;

#[cfg(test)]
mod tests;

/// Rows of cells, behind each other.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    pub cells: &'a [u64],
    pub stride: usize,
    /// Place in a row of the mask of missing fields.
    pub mask: Option<usize>,
}

impl Rows<'_> {
    #[inline]
    pub fn cell(&self, row: u32, field: u16) -> u64 {
        self.cells[row as usize * self.stride + field as usize]
    }

    #[inline]
    pub fn is_missing(&self, row: u32, field: u16) -> bool {
        self.mask.is_some_and(|mask| self.cells[row as usize * self.stride + mask] >> field & 1 != 0)
    }
}

/// So few rows are compared as they are.
const FEW: usize = 4;

/// So many rows are sorted digit by digit.
const MANY: usize = 4096;

/// What rows are ordered by.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    pub fields: &'a [u16],
    /// The types of all fields.
    pub types: &'a [FieldType],
}

impl Order<'_> {
    pub fn compare(&self, rows: Rows<'_>, heap: &Heap, left: u32, right: u32) -> Ordering {
        for &field in self.fields {
            let order = match (rows.is_missing(left, field), rows.is_missing(right, field)) {
                (false, false) => {
                    let (left, right) = (rows.cell(left, field), rows.cell(right, field));
                    compare_cells(left, right, self.types[field as usize], heap)
                }
                // What is missing comes first.
                (left, right) => right.cmp(&left),
            };
            if order.is_ne() {
                return order;
            }
        }
        Ordering::Equal
    }

    /// Puts numbers of rows in order.
    pub fn sort(&self, rows: Rows<'_>, heap: &Heap, numbers: &mut [u32]) {
        if numbers.len() < 2 {
            return;
        }
        if numbers.len() <= FEW {
            numbers.sort_unstable_by(|&left, &right| self.compare(rows, heap, left, right).then(left.cmp(&right)));
            return;
        }
        let packing = Packing::new(self, rows, numbers);
        if packing.is_whole && packing.bits <= 32 {
            let word = |&row: &u32| packing.word(rows, heap, row) << 32 | u64::from(row);
            let mut words: Vec<u64> = numbers.iter().map(word).collect();
            if words.len() < MANY {
                words.sort_unstable();
            } else {
                sort_by_digits(&mut words, 32 + packing.bits);
            }
            numbers.iter_mut().zip(words).for_each(|(number, word)| *number = word as u32);
            return;
        }
        let mut words: Vec<(u64, u32)> = numbers.iter().map(|&row| (packing.word(rows, heap, row), row)).collect();
        let is_whole = packing.is_whole;
        words.sort_unstable_by(|&(left_word, left), &(right_word, right)| {
            left_word
                .cmp(&right_word)
                .then_with(|| if is_whole { Ordering::Equal } else { self.compare(rows, heap, left, right) })
                .then(left.cmp(&right))
        });
        numbers.iter_mut().zip(words).for_each(|(number, (_, row))| *number = row);
    }
}

/// Sorts words by their bits from 32 on to `end`, stably: one digit after another, the last one first.
fn sort_by_digits(words: &mut Vec<u64>, end: u32) {
    const BITS: u32 = 11;
    // Rows come in the order of their numbers, mostly; else the numbers are digits, too.
    let begin = if words.is_sorted_by_key(|&word| word as u32) { 32 } else { 0 };
    let mut sorted = vec![0; words.len()];
    for shift in (begin..end).step_by(BITS as usize) {
        let digit = |word: u64| (word >> shift) as usize & ((1 << BITS) - 1);
        let mut places = [0_u32; 1 << BITS];
        words.iter().for_each(|&word| places[digit(word)] += 1);
        let mut begin = 0;
        for place in &mut places {
            begin += std::mem::replace(place, begin);
        }
        for &word in words.iter() {
            let place = &mut places[digit(word)];
            sorted[*place as usize] = word;
            *place += 1;
        }
        std::mem::swap(words, &mut sorted);
    }
}

/// How leading fields of rows become one word.
#[derive(Debug, Default)]
struct Packing {
    fields: Vec<Packed>,
    bits: u32,
    /// Equal words are equal fields.
    is_whole: bool,
}

#[derive(Clone, Copy, Debug)]
struct Packed {
    field: u16,
    ty: FieldType,
    least: u64,
    bits: u32,
}

impl Packing {
    fn new(order: &Order<'_>, rows: Rows<'_>, numbers: &[u32]) -> Self {
        let mut packing = Self::default();
        for &field in order.fields {
            let ty = order.types[field as usize];
            if ty.list || numbers.iter().any(|&row| rows.is_missing(row, field)) {
                return packing;
            }
            if matches!(ty.scalar, Scalar::String | Scalar::Enum | Scalar::Bytes) {
                // Its first bytes may tell texts apart, or may not.
                if packing.bits == 0 {
                    packing.fields.push(Packed { field, ty, least: 0, bits: 64 });
                    packing.bits = 64;
                }
                return packing;
            }
            let ranks = numbers.iter().map(|&row| rank(rows.cell(row, field), ty));
            let (least, most) = ranks.fold((u64::MAX, 0), |(least, most), rank| (least.min(rank), most.max(rank)));
            let bits = 64 - (most - least).leading_zeros();
            if packing.bits + bits > 64 {
                return packing;
            }
            packing.fields.push(Packed { field, ty, least, bits });
            packing.bits += bits;
        }
        packing.is_whole = true;
        packing
    }

    #[inline]
    fn word(&self, rows: Rows<'_>, heap: &Heap, row: u32) -> u64 {
        let mut word = 0_u64;
        for packed in &self.fields {
            let cell = rows.cell(row, packed.field);
            let part = match packed.ty.scalar {
                Scalar::String | Scalar::Enum | Scalar::Bytes => first_bytes(heap.texts.get(Text(cell as u32))),
                _ => rank(cell, packed.ty) - packed.least,
            };
            word = word.unbounded_shl(packed.bits) | part;
        }
        word
    }
}

/// A number that compares as the cell of a scalar does, texts aside.
#[inline]
pub(crate) fn rank(cell: u64, ty: FieldType) -> u64 {
    const SIGN: u64 = 1 << 63;
    match ty.scalar {
        Scalar::Int | Scalar::Timestamp | Scalar::Duration => cell ^ SIGN,
        // As `f64::total_cmp`: negative ones the other way round.
        Scalar::Double if cell & SIGN != 0 => !cell,
        Scalar::Double => cell ^ SIGN,
        _ => cell,
    }
}

#[inline]
fn first_bytes(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(&bytes) => u64::from_be_bytes(bytes),
        None => bytes.iter().rev().fold(0, |word, &byte| word >> 8 | u64::from(byte) << 56),
    }
}
