//! The `math` extension library.

use std::cmp::Ordering;

use super::{Function, Outcome, failed, function, no_overload};
use crate::cel::eval::{Fault, Reason};
use crate::cel::operators::order_numbers;
use crate::heap::Heap;
use crate::value::Value;

/// A function from double to double.
macro_rules! rounding {
    ($signature:literal, $function:expr) => {
        function(&[$signature], |args, _| match *args {
            [Value::Double(double)] => Ok(Value::Double($function(double))),
            _ => no_overload(),
        })
    };
}

/// A question about a double.
macro_rules! question {
    ($signature:literal, $function:expr) => {
        function(&[$signature], |args, _| match *args {
            [Value::Double(double)] => Ok(Value::Bool($function(double))),
            _ => no_overload(),
        })
    };
}

/// An operation on bits of two ints or two uints.
macro_rules! bits {
    ($int:literal, $uint:literal, $function:expr) => {
        function(&[$int, $uint], |args, _| match *args {
            [Value::Int(a), Value::Int(b)] => Ok(Value::Int($function(a as u64, b as u64) as i64)),
            [Value::Uint(a), Value::Uint(b)] => Ok(Value::Uint($function(a, b))),
            _ => no_overload(),
        })
    };
}

/// A shift by a number of bits.
macro_rules! shift {
    ($int:literal, $uint:literal, $function:expr) => {
        function(&[$int, $uint], |args, _| match *args {
            [_, Value::Int(count)] if count < 0 => failed(Reason::BadArgument),
            [Value::Int(a), Value::Int(count)] => Ok(Value::Int(shifted($function, a as u64, count) as i64)),
            [Value::Uint(a), Value::Int(count)] => Ok(Value::Uint(shifted($function, a, count))),
            _ => no_overload(),
        })
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        &[
            "math.greatest(int...) int",
            "math.greatest(uint...) uint",
            "math.greatest(double...) double",
            "math.greatest(list<int>) int",
            "math.greatest(list<uint>) uint",
            "math.greatest(list<double>) double",
            "math.greatest(list<number>) number",
            "math.greatest(number...) number",
        ],
        |args, heap| extreme(args, heap, Ordering::Greater),
    ),
    function(
        &[
            "math.least(int...) int",
            "math.least(uint...) uint",
            "math.least(double...) double",
            "math.least(list<int>) int",
            "math.least(list<uint>) uint",
            "math.least(list<double>) double",
            "math.least(list<number>) number",
            "math.least(number...) number",
        ],
        |args, heap| extreme(args, heap, Ordering::Less),
    ),
    rounding!("math.ceil(double) double", f64::ceil),
    rounding!("math.floor(double) double", f64::floor),
    rounding!("math.round(double) double", f64::round),
    rounding!("math.trunc(double) double", f64::trunc),
    function(&["math.abs(int) int", "math.abs(uint) uint", "math.abs(double) double"], abs),
    function(&["math.sign(int) int", "math.sign(uint) uint", "math.sign(double) double"], sign),
    question!("math.isNaN(double) bool", f64::is_nan),
    question!("math.isInf(double) bool", f64::is_infinite),
    question!("math.isFinite(double) bool", f64::is_finite),
    bits!("math.bitAnd(int; int) int", "math.bitAnd(uint; uint) uint", |a: u64, b: u64| a & b),
    bits!("math.bitOr(int; int) int", "math.bitOr(uint; uint) uint", |a: u64, b: u64| a | b),
    bits!("math.bitXor(int; int) int", "math.bitXor(uint; uint) uint", |a: u64, b: u64| a ^ b),
    function(&["math.bitNot(int) int", "math.bitNot(uint) uint"], |args, _| match *args {
        [Value::Int(int)] => Ok(Value::Int(!int)),
        [Value::Uint(uint)] => Ok(Value::Uint(!uint)),
        _ => no_overload(),
    }),
    shift!("math.bitShiftLeft(int; int) int", "math.bitShiftLeft(uint; int) uint", u64::checked_shl),
    shift!("math.bitShiftRight(int; int) int", "math.bitShiftRight(uint; int) uint", u64::checked_shr),
    function(&["math.sqrt(double) double", "math.sqrt(int) double", "math.sqrt(uint) double"], sqrt),
];

fn is_number(value: Value) -> bool {
    matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_))
}

/// The first of the greatest or least arguments, or elements of a list.
fn extreme(args: &[Value], heap: &mut Heap, wanted: Ordering) -> Outcome {
    let values = match *args {
        [Value::List(list)] => {
            heap.meter.spend(heap.list(list).len() as u64 / 8)?;
            heap.list(list)
        }
        _ => args,
    };
    if !values.iter().all(|&value| is_number(value)) {
        return no_overload();
    }
    let better = |best: Value, &value: &Value| if order_numbers(value, best) == Some(wanted) { value } else { best };
    match values {
        [first, rest @ ..] => Ok(rest.iter().fold(*first, better)),
        [] => failed(Reason::BadArgument),
    }
}

fn abs(args: &[Value], _: &mut Heap) -> Outcome {
    match *args {
        [Value::Int(int)] => int.checked_abs().map(Value::Int).ok_or(Fault::Failed(Reason::Overflow)),
        [uint @ Value::Uint(_)] => Ok(uint),
        [Value::Double(double)] => Ok(Value::Double(double.abs())),
        _ => no_overload(),
    }
}

fn sign(args: &[Value], _: &mut Heap) -> Outcome {
    match *args {
        [Value::Int(int)] => Ok(Value::Int(int.signum())),
        [Value::Uint(uint)] => Ok(Value::Uint(uint.min(1))),
        [Value::Double(double)] if double == 0.0 || double.is_nan() => Ok(Value::Double(double)),
        [Value::Double(double)] => Ok(Value::Double(double.signum())),
        _ => no_overload(),
    }
}

/// Beyond 63 bits nothing is left.
fn shifted(shift: fn(u64, u32) -> Option<u64>, bits: u64, count: i64) -> u64 {
    u32::try_from(count).ok().and_then(|count| shift(bits, count)).unwrap_or(0)
}

fn sqrt(args: &[Value], _: &mut Heap) -> Outcome {
    let double = match *args {
        [Value::Double(double)] => double,
        [Value::Int(int)] => int as f64,
        [Value::Uint(uint)] => uint as f64,
        _ => return no_overload(),
    };
    Ok(Value::Double(double.sqrt()))
}
