//! Functions of the standard environment, times aside: sizes, texts, conversions.

use super::{Function, Outcome, failed, function, no_overload, time};
use crate::cel::convert;
use crate::cel::eval::Reason;
use crate::cel::operators::{self, TWO_63, TWO_64};
use crate::cel::pattern::Matcher;
use crate::heap::Heap;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        &[
            "size(string) int",
            "size(bytes) int",
            "size(list<A>) int",
            "size(map<A,B>) int",
            "string.size() int",
            "bytes.size() int",
            "list<A>.size() int",
            "map<A,B>.size() int",
        ],
        size,
    ),
    function(&["string.contains(string) bool"], |args, heap| relate(args, heap, |text, part| text.contains(part))),
    function(&["string.startsWith(string) bool"], |args, heap| relate(args, heap, |text, part| text.starts_with(part))),
    function(&["string.endsWith(string) bool"], |args, heap| relate(args, heap, |text, part| text.ends_with(part))),
    function(&["string.matches(string) bool", "matches(string; string) bool"], matches),
    function(&["bool(bool) bool", "bool(string) bool"], to_bool),
    function(&["int(int) int", "int(uint) int", "int(double) int", "int(string) int", "int(timestamp) int"], to_int),
    function(&["uint(uint) uint", "uint(int) uint", "uint(double) uint", "uint(string) uint"], to_uint),
    function(
        &["double(double) double", "double(int) double", "double(uint) double", "double(string) double"],
        to_double,
    ),
    function(
        &[
            "string(string) string",
            "string(bool) string",
            "string(int) string",
            "string(uint) string",
            "string(double) string",
            "string(bytes) string",
            "string(timestamp) string",
            "string(duration) string",
        ],
        to_string,
    ),
    function(&["bytes(bytes) bytes", "bytes(string) bytes"], to_bytes),
    function(&["dyn(A) dyn"], |args, _| Ok(args[0])),
    function(&["type(A) type"], type_of),
    function(
        &["timestamp(timestamp) timestamp", "timestamp(string) timestamp", "timestamp(int) timestamp"],
        time::to_timestamp,
    ),
    function(&["duration(duration) duration", "duration(string) duration"], time::to_duration),
];

fn size(args: &[Value], heap: &mut Heap) -> Outcome {
    let size = match args[0] {
        Value::String(text) => {
            heap.meter.spend(heap.texts.get(text).len() as u64 / 32)?;
            heap.text(text).chars().count()
        }
        Value::Bytes(bytes) => heap.texts.get(bytes).len(),
        Value::List(list) => heap.list(list).len(),
        Value::Map(map) => heap.map(map).len() / 2,
        _ => return no_overload(),
    };
    Ok(Value::Int(size as i64))
}

fn relate(args: &[Value], heap: &mut Heap, relation: fn(&str, &str) -> bool) -> Outcome {
    let [Value::String(text), Value::String(part)] = *args else { return no_overload() };
    heap.meter.spend(heap.texts.get(text).len() as u64 / 16)?;
    Ok(Value::Bool(relation(heap.text(text), heap.text(part))))
}

/// So many patterns that are not constants are kept.
const PATTERNS_KEPT: usize = 64;

fn matches(args: &[Value], heap: &mut Heap) -> Outcome {
    let [text, Value::String(wanted)] = *args else { return no_overload() };
    let found = heap.workspace.patterns.iter().find(|(text, _)| *text == wanted);
    let matcher = match found {
        Some((_, matcher)) => matcher.clone(),
        None => {
            heap.meter.spend(100 + 10 * heap.texts.get(wanted).len() as u64)?;
            let matcher = Matcher::new(heap.text(wanted)).ok();
            if heap.workspace.patterns.len() == PATTERNS_KEPT {
                heap.workspace.patterns.clear();
            }
            heap.workspace.patterns.push((wanted, matcher.clone()));
            matcher
        }
    };
    operators::matches(text, matcher.as_ref(), heap)
}

fn to_bool(args: &[Value], heap: &mut Heap) -> Outcome {
    match args[0] {
        value @ Value::Bool(_) => Ok(value),
        Value::String(text) => match heap.text(text) {
            "true" | "True" | "TRUE" | "t" | "1" => Ok(Value::Bool(true)),
            "false" | "False" | "FALSE" | "f" | "0" => Ok(Value::Bool(false)),
            _ => failed(Reason::BadConversion),
        },
        _ => no_overload(),
    }
}

fn to_int(args: &[Value], heap: &mut Heap) -> Outcome {
    match args[0] {
        value @ Value::Int(_) => Ok(value),
        Value::Uint(uint) => i64::try_from(uint).map(Value::Int).or(failed(Reason::Overflow)),
        // The ends of the range are left out, as the definition asks.
        Value::Double(double) if double > -TWO_63 && double < TWO_63 => Ok(Value::Int(double as i64)),
        Value::Double(_) => failed(Reason::Overflow),
        Value::String(text) => heap.text(text).parse().map(Value::Int).or(failed(Reason::BadConversion)),
        Value::Timestamp { seconds, .. } => Ok(Value::Int(seconds)),
        _ => no_overload(),
    }
}

fn to_uint(args: &[Value], heap: &mut Heap) -> Outcome {
    match args[0] {
        value @ Value::Uint(_) => Ok(value),
        Value::Int(int) => u64::try_from(int).map(Value::Uint).or(failed(Reason::Overflow)),
        Value::Double(double) if (0.0..TWO_64).contains(&double) => Ok(Value::Uint(double as u64)),
        Value::Double(_) => failed(Reason::Overflow),
        Value::String(text) => heap.text(text).parse().map(Value::Uint).or(failed(Reason::BadConversion)),
        _ => no_overload(),
    }
}

fn to_double(args: &[Value], heap: &mut Heap) -> Outcome {
    match args[0] {
        value @ Value::Double(_) => Ok(value),
        Value::Int(int) => Ok(Value::Double(int as f64)),
        Value::Uint(uint) => Ok(Value::Double(uint as f64)),
        Value::String(text) => heap.text(text).parse().map(Value::Double).or(failed(Reason::BadConversion)),
        _ => no_overload(),
    }
}

fn to_string(args: &[Value], heap: &mut Heap) -> Outcome {
    let value = args[0];
    match value {
        Value::String(_) => Ok(value),
        // Texts are interned as bytes, so that the handle is the same.
        Value::Bytes(bytes) => match std::str::from_utf8(heap.texts.get(bytes)) {
            Ok(_) => Ok(Value::String(bytes)),
            Err(_) => failed(Reason::NotUnicode),
        },
        Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::Timestamp { .. }
        | Value::Duration { .. } => {
            let mut text = String::new();
            convert::write_text(value, heap, &mut text);
            Ok(Value::String(heap.make_text(text.as_bytes())?))
        }
        _ => no_overload(),
    }
}

fn to_bytes(args: &[Value], _: &mut Heap) -> Outcome {
    match args[0] {
        Value::String(text) | Value::Bytes(text) => Ok(Value::Bytes(text)),
        _ => no_overload(),
    }
}

/// The name of a value's type.
pub(super) fn type_name(value: Value) -> &'static str {
    match value {
        Value::Null => "null_type",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Uint(_) => "uint",
        Value::Double(_) => "double",
        Value::String(_) => "string",
        Value::Bytes(_) => "bytes",
        Value::Timestamp { .. } => "google.protobuf.Timestamp",
        Value::Duration { .. } => "google.protobuf.Duration",
        Value::List(_) => "list",
        Value::Map(_) => "map",
        Value::Some(_) | Value::None => "optional_type",
        Value::Type(_) => "type",
    }
}

fn type_of(args: &[Value], heap: &mut Heap) -> Outcome {
    Ok(Value::Type(heap.make_text(type_name(args[0]).as_bytes())?))
}
