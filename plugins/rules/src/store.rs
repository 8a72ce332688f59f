//! Facts while a run lasts: one table a template, rows of 64-bit cells, hash indexes that are made when first asked.
//!
//! A row is a version of a fact and never changes: a modified fact is a new row behind all others, so that in templates
//! which only agenda rules write the order of rows is the order of stamps. Knows nothing of rules.

use std::cell::{Cell, RefCell};

use crate::heap::{Heap, mix};
use crate::order::Rows;
use crate::schema::{FieldType, Scalar, TemplateSchema};
use crate::value::{List, Text, Value};

mod extreme;
mod index;

use extreme::Extreme;
pub use index::Index;

/// No row.
pub const NONE: u32 = u32::MAX;

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
    /// The key's fields in the mask of missing fields.
    key_mask: u64,
    /// The key is all fields, in their order, and none is optional.
    is_all_key: bool,
    /// By the key columns; always built.
    key_index: Index,
    /// By the catalog's column sets of the template.
    indexes: Vec<Index>,
    extremes: RefCell<Vec<Extreme>>,
    /// For templates that rules both derive and state: when a row was stated, 0 if it was not.
    pub stamps: Option<Vec<u32>>,
}

#[inline]
pub fn hash_start() -> u64 {
    0x51_7c_c1_b7_27_22_0a_95
}

/// The hash by which an index of these columns finds a row.
#[inline]
fn hash_columns(columns: &[u16], cells: &[u64]) -> u64 {
    columns.iter().fold(hash_start(), |hash, &field| hash_word(hash, cells[field as usize]))
}

#[inline]
pub fn hash_word(hash: u64, word: u64) -> u64 {
    mix(hash.rotate_left(5) ^ word)
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
            is_all_key: !has_optional && template.key.iter().copied().eq(0..fields as u16),
            key_mask: template.key.iter().fold(0, |mask, &field| mask | 1_u64.unbounded_shl(u32::from(field))),
            key_index: Index::default(),
            indexes: Vec::new(),
            extremes: RefCell::default(),
            stamps: is_mixed.then(Vec::new),
        }
    }

    /// Forgets all rows, keeps memory.
    pub fn clear(&mut self) {
        self.cells.clear();
        self.alive.clear();
        self.rows = 0;
        self.live = 0;
        self.key_index.empty();
        for index in &mut self.indexes {
            index.clear();
        }
        self.extremes.borrow_mut().clear();
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
        self.view().cell(row, field)
    }

    #[inline]
    pub fn row(&self, row: u32) -> &[u64] {
        let begin = row as usize * self.stride;
        &self.cells[begin..begin + self.stride]
    }

    #[inline]
    pub fn is_missing(&self, row: u32, field: u16) -> bool {
        self.view().is_missing(row, field)
    }

    /// A cell, and whether it is missing: equal where rows have the same in a field.
    pub fn distinct_cell(&self, row: u32, field: u16) -> (u64, bool) {
        (self.cell(row, field), self.is_missing(row, field))
    }

    /// Its rows, to be compared and sorted.
    #[inline]
    pub fn view(&self) -> Rows<'_> {
        Rows { cells: &self.cells, stride: self.stride, mask: self.mask }
    }

    /// Whether the table has optional fields, whose mask is the last cell of a row.
    #[inline]
    pub fn has_mask(&self) -> bool {
        self.mask.is_some()
    }

    /// Place of that mask in a row.
    pub fn mask(&self) -> Option<usize> {
        self.mask
    }

    /// Rows of one key are equal: all fields are its.
    #[inline]
    pub fn is_all_key(&self) -> bool {
        self.is_all_key
    }

    /// Whether two rows have one key. Equal cells are equal values.
    #[inline]
    pub fn has_same_key(&self, left: &[u64], right: &[u64]) -> bool {
        self.key.iter().all(|&field| left[field as usize] == right[field as usize])
            && self.mask.is_none_or(|mask| (left[mask] ^ right[mask]) & self.key_mask == 0)
    }

    /// Living rows, oldest first.
    pub fn living(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.rows).filter(|&row| self.alive[row as usize] != 0)
    }

    /// The hash by which a row with these cells is found. Keys that differ in the lowest bits of their last field only
    /// lie side by side, since facts that are made after each other often do.
    #[inline]
    pub fn key_hash(&self, cells: &[u64]) -> u64 {
        const SIDE_BY_SIDE: u64 = (1 << 8) - 1;
        let Some((&last, first)) = self.key.split_last() else { return hash_start() };
        let hash = first.iter().fold(hash_start(), |hash, &field| hash_word(hash, cells[field as usize]));
        let last = cells[last as usize];
        hash_word(hash, last & !SIDE_BY_SIDE).wrapping_add((last & SIDE_BY_SIDE) << 32)
    }

    /// The living row of the key of `cells` that was stated; all are, where rules do not both derive and state facts.
    pub fn stated_with_key(&self, cells: &[u64]) -> Option<u32> {
        self.find_row(cells, |row| self.stamps.as_ref().is_none_or(|stamps| stamps[row as usize] != 0))
    }

    /// The living rows with the key of `cells` and other cells, so many at most.
    pub fn others_of_key(&self, cells: &[u64], max: usize) -> Vec<u32> {
        let mut others = Vec::new();
        self.find_row(cells, |row| {
            if self.row(row) != cells {
                others.push(row);
            }
            others.len() >= max
        });
        others
    }

    /// The living row with the key of `cells` for which `is_wanted` holds.
    fn find_row(&self, cells: &[u64], is_wanted: impl FnMut(u32) -> bool) -> Option<u32> {
        self.find_hashed(self.key_hash(cells), cells, is_wanted)
    }

    /// The living row with the key of `cells`, whose hash is known.
    #[inline]
    pub fn with_key_hashed(&self, hash: u64, cells: &[u64]) -> Option<u32> {
        self.find_hashed(hash, cells, |_| true)
    }

    #[inline]
    fn find_hashed(&self, hash: u64, cells: &[u64], mut is_wanted: impl FnMut(u32) -> bool) -> Option<u32> {
        let (mut before, mut row) = (NONE, self.key_index.first(hash));
        let is_whole = self.is_whole();
        while row != NONE {
            let is_alive = is_whole || self.is_alive(row);
            if is_alive && self.has_same_key(self.row(row), cells) && is_wanted(row) {
                return Some(row);
            }
            let next = self.key_index.next(row);
            match is_alive {
                true => before = row,
                false => self.key_index.unlink(hash, before, row),
            }
            row = next;
        }
        None
    }

    /// The living row with the key of `cells`.
    pub fn with_key(&self, cells: &[u64]) -> Option<u32> {
        self.find_row(cells, |_| true)
    }

    /// The living row that is equal to `cells` in every field.
    pub fn equal_to(&self, cells: &[u64]) -> Option<u32> {
        self.find_row(cells, |row| self.row(row) == cells)
    }

    /// Makes room for so many rows more.
    pub fn reserve(&mut self, rows: usize) {
        self.cells.reserve(rows * self.stride);
        self.alive.reserve(rows);
        if self.is_empty() && self.key_index.heads.len() < rows {
            self.key_index.heads.clear();
            self.key_index.heads.resize((2 * rows).next_power_of_two(), Cell::new(NONE));
        }
    }

    /// A new row behind all others.
    pub fn append(&mut self, cells: &[u64]) -> u32 {
        self.append_hashed(self.key_hash(cells), cells)
    }

    /// The same where the key's hash is known.
    #[inline]
    pub fn append_hashed(&mut self, hash: u64, cells: &[u64]) -> u32 {
        let row = self.rows;
        self.cells.extend_from_slice(cells);
        self.alive.push(1);
        self.rows += 1;
        self.live += 1;
        if let Some(stamps) = &mut self.stamps {
            stamps.push(0);
        }
        if self.key_index.rows >= self.key_index.heads.len() {
            self.rebuild_key_index(row);
        }
        self.key_index.push(hash, row);
        row
    }

    #[cold]
    fn rebuild_key_index(&mut self, end: u32) {
        let mut index = std::mem::take(&mut self.key_index);
        self.rebuild(&mut index, end, |cells| self.key_hash(cells));
        self.key_index = index;
    }

    /// Fills an index anew with the living rows before `end`.
    fn rebuild(&self, index: &mut Index, end: u32, hash: impl Fn(&[u64]) -> u64) {
        index.begin(self.live as usize + 1);
        for row in 0..end {
            if self.is_alive(row) {
                index.push(hash(self.row(row)), row);
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
                self.rebuild(&mut index, row, |cells| hash_columns(columns, cells));
                self.indexes[place] = index;
            }
            let cells = &self.cells[row as usize * self.stride..];
            let hash = hash_columns(columns, cells);
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
        self.rebuild(&mut index, self.rows, |cells| hash_columns(columns, cells));
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
