//! Facts while a run lasts: one table a template, rows of 64-bit cells, hash indexes that are made when first asked.
//!
//! A row is a version of a fact and never changes: a modified fact is a new row behind all others, so that in templates
//! which only agenda rules write the order of rows is the order of stamps. Knows nothing of rules.

use std::cell::Cell;

use crate::heap::{Heap, mix};
use crate::schema::{FieldType, Scalar, TemplateSchema};
use crate::value::{List, Text, Value};

/// No row.
pub const NONE: u32 = u32::MAX;

/// Hashes rows by some columns; rows with equal hashes form a chain, newest first.
#[derive(Debug, Default)]
pub struct Index {
    /// The first row of each chain.
    heads: Vec<Cell<u32>>,
    /// The next older row of each row's chain.
    next: Vec<Cell<u32>>,
    rows: usize,
    built: bool,
    /// Counts how often it was filled anew: chains are other ones then.
    generation: u32,
}

#[derive(Debug)]
pub struct Table {
    /// Cells of one row, the mask of missing fields included.
    stride: usize,
    /// Place of the mask in a row.
    mask: Option<usize>,
    cells: Vec<u64>,
    alive: Vec<u8>,
    rows: u32,
    pub live: u32,
    key: Vec<u16>,
    /// By the key columns; always built.
    key_index: Index,
    /// By the catalog's column sets of the template.
    indexes: Vec<Index>,
    /// For templates that rules both derive and state: when a row was stated, 0 if it was not.
    pub stamps: Option<Vec<u32>>,
}

#[inline]
fn slot_of(hash: u64, heads: usize) -> usize {
    (hash >> 32) as usize & (heads - 1)
}

#[inline]
pub fn hash_start() -> u64 {
    0x51_7c_c1_b7_27_22_0a_95
}

#[inline]
pub fn hash_word(hash: u64, word: u64) -> u64 {
    mix(hash.rotate_left(5) ^ word)
}

impl Index {
    fn clear(&mut self) {
        self.heads.clear();
        self.next.clear();
        self.rows = 0;
        self.built = false;
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

    #[inline]
    fn push(&mut self, hash: u64, row: u32) {
        while self.next.len() <= row as usize {
            self.next.push(Cell::new(NONE));
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

impl Table {
    pub fn new(template: &TemplateSchema, is_mixed: bool) -> Self {
        let fields = template.fields.len();
        let has_optional = template.fields.iter().any(|field| field.optional);
        Self {
            stride: fields + usize::from(has_optional),
            mask: has_optional.then_some(fields),
            cells: Vec::new(),
            alive: Vec::new(),
            rows: 0,
            live: 0,
            key: template.key.clone(),
            key_index: Index::default(),
            indexes: Vec::new(),
            stamps: is_mixed.then(Vec::new),
        }
    }

    /// Forgets all rows, keeps memory.
    pub fn clear(&mut self) {
        self.cells.clear();
        self.alive.clear();
        self.rows = 0;
        self.live = 0;
        self.key_index.clear();
        for index in &mut self.indexes {
            index.clear();
        }
        if let Some(stamps) = &mut self.stamps {
            stamps.clear();
        }
    }

    /// Rows that ever were.
    #[inline]
    pub fn len(&self) -> u32 {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub fn stride(&self) -> usize {
        self.stride
    }

    #[inline]
    pub fn is_alive(&self, row: u32) -> bool {
        self.alive[row as usize] != 0
    }

    /// Every row that was is alive.
    #[inline]
    pub fn is_whole(&self) -> bool {
        self.live == self.rows
    }

    #[inline]
    pub fn cell(&self, row: u32, field: u16) -> u64 {
        self.cells[row as usize * self.stride + field as usize]
    }

    #[inline]
    pub fn row(&self, row: u32) -> &[u64] {
        let begin = row as usize * self.stride;
        &self.cells[begin..begin + self.stride]
    }

    #[inline]
    pub fn is_missing(&self, row: u32, field: u16) -> bool {
        self.mask.is_some_and(|mask| self.cells[row as usize * self.stride + mask] >> field & 1 != 0)
    }

    /// A cell, and whether it is missing: equal where rows have the same in a field.
    pub fn distinct_cell(&self, row: u32, field: u16) -> (u64, bool) {
        (self.cell(row, field), self.is_missing(row, field))
    }

    /// Whether the table has optional fields, whose mask is the last cell of a row.
    pub fn has_mask(&self) -> bool {
        self.mask.is_some()
    }

    /// Living rows, oldest first.
    pub fn living(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.rows).filter(|&row| self.alive[row as usize] != 0)
    }

    fn key_hash(&self, cells: &[u64]) -> u64 {
        self.key.iter().fold(hash_start(), |hash, &field| hash_word(hash, cells[field as usize]))
    }

    /// The living row with the key of `cells` for which `is_wanted` holds.
    pub fn find_by_key(&self, cells: &[u64], is_wanted: impl Fn(&[u64]) -> bool) -> Option<u32> {
        self.find_row(cells, |row| is_wanted(self.row(row)))
    }

    /// The living row of the key of `cells` that was stated; all are, where rules do not both derive and state facts.
    pub fn stated_with_key(&self, cells: &[u64]) -> Option<u32> {
        self.find_row(cells, |row| self.stamps.as_ref().is_none_or(|stamps| stamps[row as usize] != 0))
    }

    fn find_row(&self, cells: &[u64], is_wanted: impl Fn(u32) -> bool) -> Option<u32> {
        let hash = self.key_hash(cells);
        let (mut before, mut row) = (NONE, self.key_index.first(hash));
        while row != NONE {
            let next = self.key_index.next(row);
            if self.is_alive(row) {
                let present = self.row(row);
                if self.key.iter().all(|&field| present[field as usize] == cells[field as usize]) && is_wanted(row) {
                    return Some(row);
                }
                before = row;
            } else {
                self.key_index.unlink(hash, before, row);
            }
            row = next;
        }
        None
    }

    /// The living row with the key of `cells`.
    pub fn with_key(&self, cells: &[u64]) -> Option<u32> {
        self.find_by_key(cells, |_| true)
    }

    /// The living row that is equal to `cells` in every field.
    pub fn equal_to(&self, cells: &[u64]) -> Option<u32> {
        self.find_by_key(cells, |present| present == cells)
    }

    /// A new row behind all others.
    pub fn append(&mut self, cells: &[u64]) -> u32 {
        let row = self.rows;
        self.cells.extend_from_slice(cells);
        self.alive.push(1);
        self.rows += 1;
        self.live += 1;
        if let Some(stamps) = &mut self.stamps {
            stamps.push(0);
        }
        self.enter(row);
        row
    }

    /// Puts a living row into the indexes.
    fn enter(&mut self, row: u32) {
        let begin = row as usize * self.stride;
        let cells = &self.cells[begin..begin + self.stride];
        let hash = self.key.iter().fold(hash_start(), |hash, &field| hash_word(hash, cells[field as usize]));
        if self.key_index.rows >= self.key_index.heads.len() {
            let key = std::mem::take(&mut self.key);
            let mut index = std::mem::take(&mut self.key_index);
            self.rebuild(&mut index, &key, row);
            self.key = key;
            self.key_index = index;
        }
        self.key_index.push(hash, row);
    }

    /// Fills an index anew with the living rows before `end`.
    fn rebuild(&self, index: &mut Index, columns: &[u16], end: u32) {
        let living = self.live as usize + 1;
        let size = (2 * living).next_power_of_two().max(8);
        index.heads.clear();
        index.heads.resize(size, Cell::new(NONE));
        index.rows = 0;
        index.built = true;
        index.generation = index.generation.wrapping_add(1);
        for row in 0..end {
            if self.is_alive(row) {
                let cells = self.row(row);
                let hash = columns.iter().fold(hash_start(), |hash, &field| hash_word(hash, cells[field as usize]));
                index.push(hash, row);
            }
        }
    }

    /// Puts the newest row into the indexes that were made. `catalog` names the columns of each.
    pub fn enter_indexes(&mut self, row: u32, catalog: &[Vec<u16>]) {
        for (place, columns) in catalog.iter().enumerate().take(self.indexes.len()) {
            if !self.indexes[place].built {
                continue;
            }
            if self.indexes[place].rows >= self.indexes[place].heads.len() {
                let mut index = std::mem::take(&mut self.indexes[place]);
                self.rebuild(&mut index, columns, row);
                self.indexes[place] = index;
            }
            let cells = &self.cells[row as usize * self.stride..];
            let hash = columns.iter().fold(hash_start(), |hash, &field| hash_word(hash, cells[field as usize]));
            self.indexes[place].push(hash, row);
        }
    }

    /// Makes an index if it is not there yet.
    pub fn ensure_index(&mut self, place: usize, columns: &[u16]) {
        if self.indexes.get(place).is_some_and(|index| index.built) {
            return;
        }
        while self.indexes.len() <= place {
            self.indexes.push(Index::default());
        }
        let mut index = std::mem::take(&mut self.indexes[place]);
        self.rebuild(&mut index, columns, self.rows);
        self.indexes[place] = index;
    }

    #[inline]
    pub fn index_at(&self, place: usize) -> &Index {
        &self.indexes[place]
    }

    pub fn kill(&mut self, row: u32) {
        let alive = &mut self.alive[row as usize];
        self.live -= u32::from(*alive);
        *alive = 0;
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        8 * self.cells.capacity()
            + self.alive.capacity()
            + self.key_index.bytes()
            + self.indexes.iter().map(Index::bytes).sum::<usize>()
    }
}

/// A cell as a value.
#[inline]
pub fn decode(cell: u64, ty: FieldType) -> Value {
    if ty.list {
        return Value::List(List(cell as u32));
    }
    match ty.scalar {
        Scalar::Bool => Value::Bool(cell != 0),
        Scalar::Int => Value::Int(cell as i64),
        Scalar::Double => Value::Double(f64::from_bits(cell)),
        Scalar::String | Scalar::Enum => Value::String(Text(cell as u32)),
        Scalar::Bytes => Value::Bytes(Text(cell as u32)),
        Scalar::Timestamp => {
            let ns = cell as i64;
            Value::Timestamp { seconds: ns.div_euclid(NS_PER_S), nanos: ns.rem_euclid(NS_PER_S) as u32 }
        }
        Scalar::Duration => {
            let ns = cell as i64;
            Value::Duration { seconds: ns / NS_PER_S, nanos: (ns % NS_PER_S) as i32 }
        }
    }
}

pub const NS_PER_S: i64 = 1_000_000_000;

/// A scalar value as a cell, if it is of the type and fits; doubles as they are, lists not here.
#[inline]
pub fn encode(value: Value, scalar: Scalar) -> Option<u64> {
    Some(match (scalar, value) {
        (Scalar::Bool, Value::Bool(value)) => u64::from(value),
        (Scalar::Int, Value::Int(value)) => value as u64,
        (Scalar::Double, Value::Double(value)) => double_cell(value),
        (Scalar::String | Scalar::Enum, Value::String(text)) | (Scalar::Bytes, Value::Bytes(text)) => u64::from(text.0),
        (Scalar::Timestamp, Value::Timestamp { seconds, nanos }) => {
            seconds.checked_mul(NS_PER_S)?.checked_add(i64::from(nanos))? as u64
        }
        (Scalar::Duration, Value::Duration { seconds, nanos }) => {
            seconds.checked_mul(NS_PER_S)?.checked_add(i64::from(nanos))? as u64
        }
        _ => return None,
    })
}

/// One bit pattern for all NaNs.
#[inline]
pub fn double_cell(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

/// The canonical order of two cells of a type: numbers by value, texts by their bytes, lists element by element.
pub fn compare_cells(left: u64, right: u64, ty: FieldType, heap: &Heap) -> std::cmp::Ordering {
    if ty.list {
        return compare_values(Value::List(List(left as u32)), Value::List(List(right as u32)), heap);
    }
    match ty.scalar {
        Scalar::Bool => left.cmp(&right),
        Scalar::Int | Scalar::Timestamp | Scalar::Duration => (left as i64).cmp(&(right as i64)),
        Scalar::Double => f64::from_bits(left).total_cmp(&f64::from_bits(right)),
        Scalar::String | Scalar::Enum | Scalar::Bytes => {
            if left == right {
                return std::cmp::Ordering::Equal;
            }
            heap.texts.get(Text(left as u32)).cmp(heap.texts.get(Text(right as u32)))
        }
    }
}

/// The canonical order of values: by kind first, then numbers by value, texts by their bytes, lists element by element.
pub fn compare_values(left: Value, right: Value, heap: &Heap) -> std::cmp::Ordering {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left.cmp(&right),
        (Value::Int(left), Value::Int(right)) => left.cmp(&right),
        (Value::Uint(left), Value::Uint(right)) => left.cmp(&right),
        (Value::Double(left), Value::Double(right)) => left.total_cmp(&right),
        (Value::String(left), Value::String(right)) | (Value::Bytes(left), Value::Bytes(right)) => {
            heap.texts.get(left).cmp(heap.texts.get(right))
        }
        (Value::Timestamp { seconds, nanos }, Value::Timestamp { seconds: right_seconds, nanos: right_nanos }) => {
            (seconds, nanos).cmp(&(right_seconds, right_nanos))
        }
        (Value::Duration { seconds, nanos }, Value::Duration { seconds: right_seconds, nanos: right_nanos }) => {
            (seconds, nanos).cmp(&(right_seconds, right_nanos))
        }
        (Value::List(left), Value::List(right)) => {
            let (left, right) = (heap.list(left), heap.list(right));
            let order = left.iter().zip(right).map(|(&left, &right)| compare_values(left, right, heap));
            order.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| left.len().cmp(&right.len()))
        }
        _ => kind(left).cmp(&kind(right)),
    }
}

fn kind(value: Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int(_) => 2,
        Value::Uint(_) => 3,
        Value::Double(_) => 4,
        Value::String(_) => 5,
        Value::Bytes(_) => 6,
        Value::Timestamp { .. } => 7,
        Value::Duration { .. } => 8,
        Value::List(_) => 9,
        Value::Map(_) => 10,
        Value::Some(_) => 11,
        Value::None => 12,
        Value::Type(_) => 13,
    }
}
