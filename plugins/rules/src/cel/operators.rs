//! What operators mean for values: equality, order, arithmetic, membership, selection.

use std::cmp::Ordering;

use super::eval::{Fault, Reason, some};
use super::functions;
use super::pattern::Matcher;
use crate::heap::{Heap, Meter, Stop, Texts};
use crate::value::{Map, Value};

type Outcome = Result<Value, Fault>;

const NO_OVERLOAD: Fault = Fault::Failed(Reason::NoSuchOverload);

/// CEL's equality: numbers on one line, lists and maps by content, different types unequal.
pub fn equal(a: Value, b: Value, heap: &Heap) -> bool {
    match equal_scalars(a, b) {
        Some(equal) => equal,
        None => equal_contents(a, b, heap, &mut |_| Ok(())) == Ok(true),
    }
}

/// As `equal`, paid for.
#[inline]
pub(super) fn equal_paid(a: Value, b: Value, heap: &mut Heap) -> Result<bool, Fault> {
    if let Some(equal) = equal_scalars(a, b) {
        return Ok(equal);
    }
    paid(heap, |heap, meter| equal_contents(a, b, heap, &mut |work| meter.spend(work))).map_err(Fault::Stopped)
}

/// Lets `act` read the heap and pay.
fn paid<T>(heap: &mut Heap, act: impl FnOnce(&Heap, &mut Meter) -> T) -> T {
    let mut meter = std::mem::take(&mut heap.meter);
    let result = act(heap, &mut meter);
    heap.meter = meter;
    result
}

/// `None`: both have contents.
#[inline]
fn equal_scalars(a: Value, b: Value) -> Option<bool> {
    Some(match (a, b) {
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::String(a), Value::String(b))
        | (Value::Bytes(a), Value::Bytes(b))
        | (Value::Type(a), Value::Type(b)) => a == b,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Double(a), Value::Double(b)) => a == b,
        (Value::Int(_) | Value::Uint(_) | Value::Double(_), Value::Int(_) | Value::Uint(_) | Value::Double(_)) => {
            order_numbers(a, b) == Some(Ordering::Equal)
        }
        (Value::Null, Value::Null) | (Value::None, Value::None) => true,
        (Value::Timestamp { seconds, nanos }, Value::Timestamp { seconds: other, nanos: others }) => {
            (seconds, nanos) == (other, others)
        }
        (Value::Duration { seconds, nanos }, Value::Duration { seconds: other, nanos: others }) => {
            (seconds, nanos) == (other, others)
        }
        (Value::List(_), Value::List(_)) | (Value::Map(_), Value::Map(_)) | (Value::Some(_), Value::Some(_)) => {
            return None;
        }
        _ => false,
    })
}

fn equal_contents(a: Value, b: Value, heap: &Heap, pay: &mut dyn FnMut(u64) -> Result<(), Stop>) -> Result<bool, Stop> {
    let (left, right) = match (a, b) {
        (Value::List(a), Value::List(b)) => (heap.list(a), heap.list(b)),
        (Value::Map(a), Value::Map(b)) => (heap.map(a), heap.map(b)),
        (Value::Some(a), Value::Some(b)) => (&[heap.some(a)][..], &[heap.some(b)][..]),
        _ => return Ok(equal_scalars(a, b) == Some(true)),
    };
    if left.len() != right.len() {
        return Ok(false);
    }
    pay(1 + left.len() as u64 / 8)?;
    for (&a, &b) in left.iter().zip(right) {
        let equal = match equal_scalars(a, b) {
            Some(equal) => equal,
            None => equal_contents(a, b, heap, pay)?,
        };
        if !equal {
            return Ok(false);
        }
    }
    Ok(true)
}

/// CEL's order; `None` where there is none, as with `NaN` or different types.
pub fn compare(a: Value, b: Value, heap: &Heap) -> Option<Ordering> {
    order(a, b, heap).flatten()
}

/// As `compare`, but the outer `None` says that the types have no order at all.
pub(super) fn order(a: Value, b: Value, heap: &Heap) -> Option<Option<Ordering>> {
    Some(match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(&b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(&b),
        (Value::Int(_) | Value::Uint(_) | Value::Double(_), Value::Int(_) | Value::Uint(_) | Value::Double(_)) => {
            order_numbers(a, b)
        }
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(&b)),
        (Value::String(a), Value::String(b)) | (Value::Bytes(a), Value::Bytes(b)) => {
            Some(if a == b { Ordering::Equal } else { heap.texts.get(a).cmp(heap.texts.get(b)) })
        }
        (Value::Timestamp { seconds, nanos }, Value::Timestamp { seconds: other, nanos: others }) => {
            Some((seconds, nanos).cmp(&(other, others)))
        }
        (Value::Duration { seconds, nanos }, Value::Duration { seconds: other, nanos: others }) => {
            Some((seconds, nanos).cmp(&(other, others)))
        }
        _ => return None,
    })
}

/// Numbers of any types on one line; an integer beside a double is rounded to one.
pub(super) fn order_numbers(a: Value, b: Value) -> Option<Ordering> {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (None, None) => double(a)?.partial_cmp(&double(b)?),
        (Some(a), None) => (a as f64).partial_cmp(&double(b)?),
        (None, Some(b)) => double(a)?.partial_cmp(&(b as f64)),
    }
}

fn whole(value: Value) -> Option<i128> {
    match value {
        Value::Int(int) => Some(i128::from(int)),
        Value::Uint(uint) => Some(i128::from(uint)),
        _ => None,
    }
}

fn double(value: Value) -> Option<f64> {
    match value {
        Value::Double(double) => Some(double),
        _ => None,
    }
}

/// Which outcomes of a comparison make it true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Relation(pub(super) u8);

impl Relation {
    const UNORDERED: u8 = 8;
    pub(super) const LESS: Self = Self(1);
    pub(super) const EQUAL: Self = Self(2);
    pub(super) const LESS_EQUAL: Self = Self(3);
    pub(super) const GREATER: Self = Self(4);
    pub(super) const GREATER_EQUAL: Self = Self(6);
    pub(super) const NOT_EQUAL: Self = Self(1 | 4 | Self::UNORDERED);

    /// Defined for all values, not only for those with an order.
    pub(super) fn is_equality(self) -> bool {
        self == Self::EQUAL || self == Self::NOT_EQUAL
    }

    #[inline]
    pub(super) fn holds(self, order: Option<Ordering>) -> bool {
        let outcome = order.map_or(Self::UNORDERED, |order| 1 << (order as i8 + 1));
        self.0 & outcome != 0
    }

    #[inline]
    pub(super) fn holds_if_equal(self, equal: bool) -> bool {
        equal == (self.0 & Self::EQUAL.0 != 0)
    }
}

/// Whether two values compare so.
pub(super) fn relate(relation: Relation, a: Value, b: Value, heap: &mut Heap) -> Result<bool, Fault> {
    if relation.is_equality() {
        return Ok(relation.holds_if_equal(equal_paid(a, b, heap)?));
    }
    if let (Value::String(text), Value::String(_)) | (Value::Bytes(text), Value::Bytes(_)) = (a, b) {
        heap.meter.spend(heap.texts.get(text).len() as u64 / 64)?;
    }
    order(a, b, heap).map(|order| relation.holds(order)).ok_or(NO_OVERLOAD)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Arithmetic {
    #[inline]
    pub(super) fn at(place: u8) -> Self {
        match place {
            0 => Self::Add,
            1 => Self::Subtract,
            2 => Self::Multiply,
            3 => Self::Divide,
            _ => Self::Remainder,
        }
    }

    /// Of doubles, which have no remainder.
    #[inline]
    pub(super) fn doubles(self, a: f64, b: f64) -> Option<f64> {
        Some(match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            Self::Remainder => return None,
        })
    }
}

#[inline(never)]
pub(super) fn arithmetic(operation: Arithmetic, a: Value, b: Value, heap: &mut Heap) -> Outcome {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => int_arithmetic(operation, a, b).map(Value::Int),
        (Value::Uint(a), Value::Uint(b)) => uint_arithmetic(operation, a, b),
        (Value::Double(a), Value::Double(b)) => operation.doubles(a, b).map(Value::Double).ok_or(NO_OVERLOAD),
        _ => match operation {
            Arithmetic::Add => add(a, b, heap),
            Arithmetic::Subtract => functions::subtract_times(a, b),
            _ => Err(NO_OVERLOAD),
        },
    }
}

#[inline]
pub(super) fn int_arithmetic(operation: Arithmetic, a: i64, b: i64) -> Result<i64, Fault> {
    let result = match operation {
        Arithmetic::Add => a.checked_add(b),
        Arithmetic::Subtract => a.checked_sub(b),
        Arithmetic::Multiply => a.checked_mul(b),
        Arithmetic::Divide | Arithmetic::Remainder if b == 0 => return Err(Fault::Failed(Reason::DivisionByZero)),
        Arithmetic::Divide => a.checked_div(b),
        Arithmetic::Remainder => a.checked_rem(b),
    };
    result.ok_or(Fault::Failed(Reason::Overflow))
}

fn uint_arithmetic(operation: Arithmetic, a: u64, b: u64) -> Outcome {
    let result = match operation {
        Arithmetic::Add => a.checked_add(b),
        Arithmetic::Subtract => a.checked_sub(b),
        Arithmetic::Multiply => a.checked_mul(b),
        Arithmetic::Divide | Arithmetic::Remainder if b == 0 => return Err(Fault::Failed(Reason::DivisionByZero)),
        Arithmetic::Divide => a.checked_div(b),
        Arithmetic::Remainder => a.checked_rem(b),
    };
    result.map(Value::Uint).ok_or(Fault::Failed(Reason::Overflow))
}

fn add(a: Value, b: Value, heap: &mut Heap) -> Outcome {
    let join = |heap: &mut Heap, a, b| {
        heap.build_text(|heap, out| {
            let (a, b) = (heap.texts.get(a), heap.texts.get(b));
            heap.afford(a.len() + b.len())?;
            out.extend(a);
            out.extend(b);
            Ok::<_, Fault>(())
        })
    };
    match (a, b) {
        (Value::String(a), Value::String(b)) => join(heap, a, b).map(Value::String),
        (Value::Bytes(a), Value::Bytes(b)) => join(heap, a, b).map(Value::Bytes),
        (Value::List(a), Value::List(b)) => Ok(Value::List(heap.join_lists(a, b)?)),
        _ => functions::add_times(a, b),
    }
}

pub(super) fn negate(value: Value) -> Outcome {
    match value {
        Value::Int(int) => int.checked_neg().map(Value::Int).ok_or(Fault::Failed(Reason::Overflow)),
        Value::Double(double) => Ok(Value::Double(-double)),
        _ => Err(NO_OVERLOAD),
    }
}

/// `needle in collection`.
pub(super) fn contains(needle: Value, collection: Value, heap: &mut Heap) -> Outcome {
    match collection {
        Value::List(list) => {
            heap.meter.spend(heap.list(list).len() as u64 / 8)?;
            for place in 0..heap.list(list).len() {
                if equal_paid(needle, heap.list(list)[place], heap)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        Value::Map(map) => Ok(Value::Bool(find(map, needle, heap).is_some())),
        _ => Err(NO_OVERLOAD),
    }
}

fn is_key(value: Value) -> bool {
    matches!(value, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::String(_))
}

/// 2^63 and 2^64 as doubles.
pub(super) const TWO_63: f64 = 9_223_372_036_854_775_808.0;
pub(super) const TWO_64: f64 = 18_446_744_073_709_551_616.0;

/// A total order of keys: truth values, numbers, texts.
fn order_keys(a: Value, b: Value, texts: &Texts) -> Ordering {
    let rank = |value| match value {
        Value::Bool(_) => 0,
        Value::String(_) => 2,
        _ => 1,
    };
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(&b),
        (Value::String(a), Value::String(b)) if a == b => Ordering::Equal,
        (Value::String(a), Value::String(b)) => texts.get(a).cmp(texts.get(b)),
        _ => rank(a).cmp(&rank(b)).then_with(|| order_numbers(a, b).unwrap_or(Ordering::Less)),
    }
}

/// The value of a key; numbers of any type find each other where they are exactly equal.
fn find(map: Map, key: Value, heap: &Heap) -> Option<Value> {
    let key = match key {
        Value::Double(double) if double.fract() == 0.0 && (-TWO_63..TWO_63).contains(&double) => {
            Value::Int(double as i64)
        }
        Value::Double(double) if double.fract() == 0.0 && (0.0..TWO_64).contains(&double) => Value::Uint(double as u64),
        key if is_key(key) => key,
        _ => return None,
    };
    let (entries, _) = heap.map(map).as_chunks::<2>();
    let place = entries.binary_search_by(|[found, _]| order_keys(*found, key, &heap.texts)).ok()?;
    Some(entries[place][1])
}

/// Makes a map of pending keys and values.
pub(super) fn close_map(begin: usize, heap: &mut Heap) -> Outcome {
    let (entries, _) = heap.pending[begin..].as_chunks_mut::<2>();
    heap.meter.spend(entries.len() as u64 / 4)?;
    if entries.iter().any(|[key, _]| !is_key(*key)) {
        return Err(Fault::Failed(Reason::BadKey));
    }
    entries.sort_by(|[a, _], [b, _]| order_keys(*a, *b, &heap.texts));
    let twice = |pair: &[[Value; 2]]| order_keys(pair[0][0], pair[1][0], &heap.texts).is_eq();
    if entries.windows(2).any(twice) {
        return Err(Fault::Failed(Reason::DuplicateKey));
    }
    let list = heap.close_pending(begin)?;
    Ok(Value::Map(Map(list.0)))
}

/// What is there for an index or a key; `None` where nothing is.
fn look_up(collection: Value, index: Value, heap: &Heap) -> Result<Option<Value>, Fault> {
    match collection {
        Value::List(list) => {
            let place = match index {
                Value::Int(int) => usize::try_from(int).ok(),
                Value::Uint(uint) => usize::try_from(uint).ok(),
                Value::Double(double) if double.fract() == 0.0 => (double >= 0.0).then_some(double as usize),
                _ => return Err(NO_OVERLOAD),
            };
            Ok(place.and_then(|place| heap.list(list).get(place).copied()))
        }
        Value::Map(map) if is_key(index) || matches!(index, Value::Double(_)) => Ok(find(map, index, heap)),
        _ => Err(NO_OVERLOAD),
    }
}

/// `collection[index]`.
pub(super) fn index(collection: Value, index: Value, heap: &mut Heap) -> Outcome {
    if matches!(collection, Value::Some(_) | Value::None) {
        return optional_index(collection, index, heap);
    }
    let missing = if matches!(collection, Value::List(_)) { Reason::OutOfRange } else { Reason::NoSuchKey };
    look_up(collection, index, heap)?.ok_or(Fault::Failed(missing))
}

/// `collection[?index]`.
pub(super) fn optional_index(collection: Value, index: Value, heap: &mut Heap) -> Outcome {
    let collection = match collection {
        Value::None => return Ok(Value::None),
        Value::Some(place) => heap.some(place),
        other => other,
    };
    match look_up(collection, index, heap)? {
        Some(value) => some(value, heap),
        None => Ok(Value::None),
    }
}

/// `operand.name`.
pub(super) fn select(operand: Value, name: Value, heap: &mut Heap) -> Outcome {
    match operand {
        Value::Map(map) => find(map, name, heap).ok_or(Fault::Failed(Reason::NoSuchKey)),
        Value::Some(_) | Value::None => optional_select(operand, name, heap),
        _ => Err(NO_OVERLOAD),
    }
}

/// `operand.?name`.
pub(super) fn optional_select(operand: Value, name: Value, heap: &mut Heap) -> Outcome {
    let operand = match operand {
        Value::Some(place) => heap.some(place),
        other => other,
    };
    match operand {
        Value::None => Ok(Value::None),
        Value::Map(map) => match find(map, name, heap) {
            Some(value) => some(value, heap),
            None => Ok(Value::None),
        },
        _ => Err(NO_OVERLOAD),
    }
}

/// `has(operand.name)`.
pub(super) fn has(operand: Value, name: Value, heap: &Heap) -> Outcome {
    match operand {
        Value::Map(map) => Ok(Value::Bool(find(map, name, heap).is_some())),
        Value::None => Ok(Value::Bool(false)),
        Value::Some(place) => match heap.some(place) {
            Value::Map(map) => Ok(Value::Bool(find(map, name, heap).is_some())),
            _ => Err(NO_OVERLOAD),
        },
        _ => Err(NO_OVERLOAD),
    }
}

/// Whether a text matches.
pub(super) fn matches(text: Value, matcher: Option<&Matcher>, heap: &mut Heap) -> Outcome {
    let Value::String(text) = text else { return Err(NO_OVERLOAD) };
    let matcher = matcher.ok_or(Fault::Failed(Reason::BadPattern))?;
    let cost = matcher.cost(heap.texts.get(text).len()).ok_or(Fault::Failed(Reason::TooLong))?;
    heap.meter.spend(cost)?;
    Ok(Value::Bool(matcher.is_match(heap.text(text))))
}

#[cfg(test)]
mod tests;
