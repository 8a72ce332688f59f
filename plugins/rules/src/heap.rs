//! What values refer to: texts (each once), lists, maps; and the meter that every evaluation pays into.
//!
//! Memory is given back by truncation to a `Mark`, never piece by piece.

use std::collections::HashMap;

use crate::cel::Matcher;
use crate::value::{List, Map, Text, Value};

/// Byte strings, each once. A handle is a place in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    data: Vec<u8>,
    /// Where each ends in `data`; a text begins where the one before ends.
    ends: Vec<u32>,
    /// The lower half of each one's hash.
    hashes: Vec<u32>,
    /// Open addressing: a handle plus one, or 0.
    slots: Vec<u32>,
}

impl Texts {
    /// The bytes; none if there is no such text, which a stored rule set may name.
    pub fn get(&self, text: Text) -> &[u8] {
        let place = text.0 as usize;
        let Some(&end) = self.ends.get(place) else { return &[] };
        let begin = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.data[begin as usize..end as usize]
    }

    /// As text; what is not UTF-8 is shown as nothing.
    pub fn text(&self, text: Text) -> &str {
        std::str::from_utf8(self.get(text)).unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.data.capacity() + 4 * (self.ends.capacity() + self.hashes.capacity() + self.slots.capacity())
    }

    /// Bytes that another text of `len` bytes may take anew.
    fn growth(&self, len: usize) -> usize {
        let slots = if self.slots.len() < 2 * (self.ends.len() + 1) { 8 * (self.ends.len() + 4) } else { 0 };
        growth(self.data.len(), self.data.capacity(), len)
            + size_of::<u32>() * (2 * growth(self.ends.len(), self.ends.capacity(), 1) + slots)
    }

    /// The handle of a byte string that is here already.
    pub fn find(&self, bytes: &[u8]) -> Option<Text> {
        if self.slots.is_empty() {
            return None;
        }
        let hash = hash_bytes(bytes) as u32;
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            match self.slots[slot] {
                0 => return None,
                handle if self.is_at(handle - 1, hash, bytes) => return Some(Text(handle - 1)),
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    #[inline]
    fn is_at(&self, place: u32, hash: u32, bytes: &[u8]) -> bool {
        self.hashes[place as usize] == hash && self.get(Text(place)) == bytes
    }

    pub fn intern(&mut self, bytes: &[u8]) -> Text {
        if self.slots.len() < 2 * (self.ends.len() + 1) {
            self.grow();
        }
        let hash = hash_bytes(bytes) as u32;
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            match self.slots[slot] {
                0 => break,
                handle if self.is_at(handle - 1, hash, bytes) => return Text(handle - 1),
                _ => slot = (slot + 1) & mask,
            }
        }
        let text = Text(self.ends.len() as u32);
        self.data.extend_from_slice(bytes);
        self.ends.push(self.data.len() as u32);
        self.hashes.push(hash);
        self.slots[slot] = text.0 + 1;
        text
    }

    /// Texts by their lengths, as they lie behind each other in `data`; `None` if the lengths do not fit.
    pub(crate) fn from_parts(data: Vec<u8>, lengths: impl ExactSizeIterator<Item = u32>) -> Option<Self> {
        let mut ends = Vec::with_capacity(lengths.len());
        let mut end = 0_u32;
        for length in lengths {
            end = end.checked_add(length)?;
            ends.push(end);
        }
        if end as usize != data.len() {
            return None;
        }
        let slots = vec![0; (2 * (ends.len() + 1)).next_power_of_two().max(16)];
        let mut texts = Self { data, ends, hashes: Vec::new(), slots };
        texts.hashes = (0..texts.ends.len() as u32).map(|place| hash_bytes(texts.get(Text(place))) as u32).collect();
        texts.fill_slots();
        Some(texts)
    }

    fn grow(&mut self) {
        let size = (4 * (self.ends.len() + 1)).next_power_of_two().max(16);
        self.slots = vec![0; size];
        self.fill_slots();
    }

    fn fill_slots(&mut self) {
        let mask = self.slots.len() - 1;
        for (place, &hash) in self.hashes.iter().enumerate() {
            let mut slot = hash as usize & mask;
            while self.slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = place as u32 + 1;
        }
    }

    /// Forgets all but the first `len`.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.ends.len() {
            return;
        }
        // Handles were put in order, so that taking the last ones out leaves every probe sequence whole.
        let mask = self.slots.len() - 1;
        for place in (len..self.ends.len()).rev() {
            let mut slot = self.hashes[place] as usize & mask;
            while self.slots[slot] != place as u32 + 1 {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = 0;
        }
        self.ends.truncate(len);
        self.hashes.truncate(len);
        self.data.truncate(self.ends.last().map_or(0, |&end| end as usize));
    }
}

/// A fast hash of bytes, the same on every machine.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15 ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        hash = mix(hash ^ u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = mix(hash ^ u64::from_le_bytes(last));
    }
    hash ^ (hash >> 32)
}

/// Mixes one word into a hash.
#[inline]
pub fn mix(word: u64) -> u64 {
    let product = word.wrapping_mul(0x9fb2_1c65_1e98_df25);
    product ^ (product >> 29)
}

/// Why an evaluation ends before its time: a limit or the host's time. Not an error of the expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Work,
    Bytes,
    Time,
}

/// Counts work, and asks now and then whether there is time left.
#[derive(Clone, Debug)]
pub struct Meter {
    /// Spent so far: probes, rows, steps.
    pub work: u64,
    /// The limit.
    pub work_max: u64,
    /// When to look up next.
    next: u64,
    /// The host's time; `true` ends the run.
    time_is_up: fn() -> bool,
}

/// So much work is done between two looks at the clock.
const WORK_BETWEEN_LOOKS: u64 = 8192;

impl Default for Meter {
    fn default() -> Self {
        Self::new(u64::MAX, || false)
    }
}

impl Meter {
    pub fn new(work_max: u64, time_is_up: fn() -> bool) -> Self {
        Self { work: 0, work_max, next: WORK_BETWEEN_LOOKS.min(work_max), time_is_up }
    }

    /// Counts from nothing again, up to a limit.
    pub fn reset(&mut self, work_max: u64) {
        *self = Self::new(work_max, self.time_is_up);
    }

    /// Pays for `work`.
    ///
    /// # Errors
    /// If the limit is passed or the time is up.
    #[inline]
    pub fn spend(&mut self, work: u64) -> Result<(), Stop> {
        self.work = self.work.wrapping_add(work);
        if self.work > self.next { self.look_up() } else { Ok(()) }
    }

    /// Passes over a row that only lies where what is looked for would lie. What lies together hangs on the order in which
    /// texts arrived, so that it is no work, but it takes time.
    ///
    /// # Errors
    /// If the time is up.
    #[inline]
    pub fn pass(&mut self) -> Result<(), Stop> {
        self.next = self.next.saturating_sub(1);
        if self.work > self.next { self.look_up() } else { Ok(()) }
    }

    #[cold]
    fn look_up(&mut self) -> Result<(), Stop> {
        if self.work > self.work_max {
            return Err(Stop::Work);
        }
        if (self.time_is_up)() {
            return Err(Stop::Time);
        }
        self.next = (self.work + WORK_BETWEEN_LOOKS).min(self.work_max);
        Ok(())
    }
}

/// Where values' contents lie.
#[derive(Debug)]
pub struct Heap {
    pub texts: Texts,
    pub meter: Meter,
    /// More memory than this stops an evaluation.
    bytes_max: usize,
    /// Where each list ends in `elements`.
    list_ends: Vec<u32>,
    elements: Vec<Value>,
    /// Lists that stand in facts, by the hash of their elements.
    interned: HashMap<u64, Vec<List>>,
    /// Lists and maps that are being made, innermost last.
    pub(crate) pending: Vec<Value>,
    /// The evaluator's, kept from one evaluation to the next.
    pub(crate) workspace: Workspace,
}

/// What the evaluator keeps so that it need not allocate.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) registers: Option<Box<[Value; 256]>>,
    pub(crate) text: Vec<u8>,
    /// Regular expressions that are not constants; `None` is a wrong one.
    pub(crate) patterns: Vec<(Text, Option<Matcher>)>,
}

/// A state of a heap to go back to. Texts are not part of it: they stay until the run ends.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    lists: usize,
    elements: usize,
}

impl Default for Heap {
    fn default() -> Self {
        Self::new(Texts::default(), Meter::default(), usize::MAX)
    }
}

impl Heap {
    /// Offsets have 32 bits, so that no heap takes more than 4 GiB, whatever `bytes_max` says.
    pub fn new(texts: Texts, meter: Meter, bytes_max: usize) -> Self {
        Self {
            texts,
            meter,
            bytes_max: bytes_max.min(u32::MAX as usize),
            list_ends: Vec::new(),
            elements: Vec::new(),
            interned: HashMap::new(),
            pending: Vec::new(),
            workspace: Workspace::default(),
        }
    }

    pub fn mark(&self) -> Mark {
        Mark { lists: self.list_ends.len(), elements: self.elements.len() }
    }

    /// Forgets what was made since, texts aside.
    pub fn release(&mut self, mark: Mark) {
        self.list_ends.truncate(mark.lists);
        self.elements.truncate(mark.elements);
    }

    /// The elements; none if the list is released.
    #[inline]
    pub fn list(&self, list: List) -> &[Value] {
        let place = list.0 as usize;
        let begin = if place == 0 { Some(&0) } else { self.list_ends.get(place - 1) };
        match (begin, self.list_ends.get(place)) {
            (Some(&begin), Some(&end)) => self.elements.get(begin as usize..end as usize).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Keys and values in turn, ordered by key.
    pub fn map(&self, map: Map) -> &[Value] {
        self.list(List(map.0))
    }

    /// What an optional holds: the number of `Value::Some`.
    pub fn some(&self, place: u32) -> Value {
        self.list(List(place)).first().copied().unwrap_or(Value::None)
    }

    /// Makes a list, limits aside.
    pub fn new_list(&mut self, values: &[Value]) -> List {
        self.elements.extend_from_slice(values);
        self.close_list()
    }

    /// The list of these scalars, each content once, so that equal lists have equal handles. It must not be released.
    pub fn intern_list(&mut self, values: &[Value]) -> List {
        let hash =
            values.iter().fold(values.len() as u64, |hash, &value| mix(hash.rotate_left(5) ^ scalar_bits(value)));
        let known = self.interned.get(&hash).map(Vec::as_slice).unwrap_or_default();
        let is_same = |list: &&List| {
            let elements = self.list(**list);
            elements.len() == values.len()
                && elements.iter().zip(values).all(|(&left, &right)| scalar_bits(left) == scalar_bits(right))
        };
        if let Some(&list) = known.iter().find(is_same) {
            return list;
        }
        let list = self.new_list(values);
        self.interned.entry(hash).or_default().push(list);
        list
    }

    /// Forgets all lists, and what evaluations left: a stored program may read what it has not written.
    pub fn clear(&mut self) {
        if let Some(registers) = &mut self.workspace.registers {
            registers.fill(Value::Null);
        }
        self.list_ends.clear();
        self.elements.clear();
        self.interned.clear();
        self.pending.clear();
        self.workspace.patterns.clear();
    }

    fn close_list(&mut self) -> List {
        self.list_ends.push(self.elements.len() as u32);
        List(self.list_ends.len() as u32 - 1)
    }

    pub fn text(&self, text: Text) -> &str {
        self.texts.text(text)
    }

    /// Makes a list and pays for it.
    ///
    /// # Errors
    /// If a limit is reached.
    pub fn make_list(&mut self, values: &[Value]) -> Result<List, Stop> {
        self.meter.spend(values.len() as u64 / 8)?;
        self.reserve_elements(values.len())?;
        Ok(self.new_list(values))
    }

    /// Makes a list of the elements of two.
    ///
    /// # Errors
    /// If a limit is reached.
    pub fn join_lists(&mut self, first: List, second: List) -> Result<List, Stop> {
        let count = self.list(first).len() + self.list(second).len();
        self.meter.spend(count as u64 / 8)?;
        self.reserve_elements(count)?;
        for list in [first, second] {
            for place in 0..self.list(list).len() {
                self.elements.push(self.list(list)[place]);
            }
        }
        Ok(self.close_list())
    }

    /// Makes a text out of what `write` writes, in a buffer that is used again.
    pub(crate) fn build_text<E: From<Stop>>(
        &mut self,
        write: impl FnOnce(&Self, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Text, E> {
        let mut buffer = std::mem::take(&mut self.workspace.text);
        buffer.clear();
        let text = match write(self, &mut buffer) {
            Ok(()) => self.make_text(&buffer).map_err(E::from),
            Err(error) => Err(error),
        };
        self.workspace.text = buffer;
        text
    }

    /// Makes a list of what is pending from `begin` on.
    pub(crate) fn close_pending(&mut self, begin: usize) -> Result<List, Stop> {
        let count = self.pending.len() - begin;
        self.meter.spend(count as u64 / 8)?;
        self.reserve_elements(count)?;
        self.elements.extend_from_slice(&self.pending[begin..]);
        self.pending.truncate(begin);
        Ok(self.close_list())
    }

    pub(crate) fn push_pending(&mut self, value: Value) -> Result<(), Stop> {
        if self.pending.len() == self.pending.capacity() {
            self.afford(growth(self.pending.len(), self.pending.capacity(), 1) * size_of::<Value>())?;
        }
        self.pending.push(value);
        Ok(())
    }

    fn reserve_elements(&mut self, count: usize) -> Result<(), Stop> {
        let values = growth(self.elements.len(), self.elements.capacity(), count) * size_of::<Value>();
        let ends = growth(self.list_ends.len(), self.list_ends.capacity(), 1) * size_of::<u32>();
        if values + ends > 0 { self.afford(values + ends) } else { Ok(()) }
    }

    /// Whether so many more bytes may be taken.
    pub(crate) fn afford(&self, bytes: usize) -> Result<(), Stop> {
        if self.bytes().saturating_add(bytes) > self.bytes_max { Err(Stop::Bytes) } else { Ok(()) }
    }

    /// The text of these bytes, paid for.
    ///
    /// # Errors
    /// If a limit is reached.
    pub fn make_text(&mut self, bytes: &[u8]) -> Result<Text, Stop> {
        self.meter.spend(1 + bytes.len() as u64 / 32)?;
        let needed = self.texts.growth(bytes.len());
        if needed > 0 {
            self.afford(needed)?;
        }
        Ok(self.texts.intern(bytes))
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.texts.bytes()
            + size_of::<u32>() * self.list_ends.capacity()
            + size_of::<Value>() * (self.elements.capacity() + self.pending.capacity())
            + (size_of::<u64>() + 2 * size_of::<Vec<List>>()) * self.interned.capacity()
            + self.workspace.text.capacity()
    }
}

/// Tells scalars of one type apart.
fn scalar_bits(value: Value) -> u64 {
    match value {
        Value::Bool(value) => u64::from(value),
        Value::Int(value) => value as u64,
        Value::Uint(value) => value,
        Value::Double(value) if value.is_nan() => f64::NAN.to_bits(),
        Value::Double(value) => value.to_bits(),
        Value::String(text) | Value::Bytes(text) | Value::Type(text) => u64::from(text.0),
        Value::Timestamp { seconds, nanos } => mix(seconds as u64) ^ u64::from(nanos),
        Value::Duration { seconds, nanos } => mix(seconds as u64) ^ nanos as u64,
        Value::List(List(place)) | Value::Map(Map(place)) | Value::Some(place) => u64::from(place),
        Value::Null | Value::None => 0,
    }
}

/// How many places a vector takes anew when `extra` come: it doubles at least, and the old ones are copied.
fn growth(len: usize, capacity: usize, extra: usize) -> usize {
    if len + extra <= capacity { 0 } else { (2 * capacity).max(len + extra) }
}
