//! Values as text: what `string()` gives and messages show.

use std::fmt::Write;

use super::functions::{civil, seconds_of_day};
use crate::heap::{Heap, Stop};
use crate::value::Value;

/// Appends what `string()` gives of a value that holds no others; of others as much as the heap affords.
pub fn write_text(value: Value, heap: &Heap, out: &mut String) {
    let _ = push_text(value, heap, out);
}

/// Appends what `string()` gives; lists and maps as their literals would look, texts in them bare.
///
/// # Errors
/// If the text takes more memory than there is: what a list holds twice is written twice.
pub fn push_text(value: Value, heap: &Heap, out: &mut String) -> Result<(), Stop> {
    // Writing into a `String` does not fail.
    let _ = match value {
        Value::Null => out.write_str("null"),
        Value::Bool(bool) => write!(out, "{bool}"),
        Value::Int(int) => write!(out, "{int}"),
        Value::Uint(uint) => write!(out, "{uint}"),
        Value::Double(double) => write_double(double, out),
        Value::String(text) | Value::Type(text) => out.write_str(heap.text(text)),
        Value::Bytes(bytes) => out.write_str(&String::from_utf8_lossy(heap.texts.get(bytes))),
        Value::Timestamp { seconds, nanos } => write_timestamp(seconds, nanos, out),
        Value::Duration { seconds, nanos } => write_duration(seconds, nanos, out),
        Value::None => out.write_str("optional.none()"),
        Value::Some(place) => {
            out.push_str("optional.of(");
            push_text(heap.some(place), heap, out)?;
            out.write_str(")")
        }
        Value::List(list) => {
            out.push('[');
            for (place, &element) in heap.list(list).iter().enumerate() {
                out.push_str(if place == 0 { "" } else { ", " });
                push_text(element, heap, out)?;
                heap.afford(out.capacity())?;
            }
            out.write_str("]")
        }
        Value::Map(map) => {
            out.push('{');
            for (place, [key, value]) in heap.map(map).as_chunks().0.iter().enumerate() {
                out.push_str(if place == 0 { "" } else { ", " });
                push_text(*key, heap, out)?;
                out.push_str(": ");
                push_text(*value, heap, out)?;
                heap.afford(out.capacity())?;
            }
            out.write_str("}")
        }
    };
    Ok(())
}

/// The shortest text that reads back as the same double; an exponent where the plain form would be long.
pub(super) fn write_double(double: f64, out: &mut String) -> std::fmt::Result {
    let size = double.abs();
    if double.is_nan() {
        out.write_str("NaN")
    } else if double.is_infinite() {
        out.write_str(if double > 0.0 { "Infinity" } else { "-Infinity" })
    } else if size == 0.0 || (1e-6..1e21).contains(&size) {
        write!(out, "{double}")
    } else {
        let text = format!("{double:e}");
        match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => write!(out, "{digits}e+{exponent}"),
            _ => out.write_str(&text),
        }
    }
}

/// RFC 3339, in UTC.
pub(super) fn write_timestamp(seconds: i64, nanos: u32, out: &mut String) -> std::fmt::Result {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let (hour, minute, second) = seconds_of_day(seconds);
    write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
    write_fraction(nanos, out)?;
    out.write_str("Z")
}

/// Decimal seconds and `s`.
pub(super) fn write_duration(seconds: i64, nanos: i32, out: &mut String) -> std::fmt::Result {
    out.write_str(if seconds < 0 || nanos < 0 { "-" } else { "" })?;
    write!(out, "{}", seconds.unsigned_abs())?;
    write_fraction(nanos.unsigned_abs(), out)?;
    out.write_str("s")
}

fn write_fraction(nanos: u32, out: &mut String) -> std::fmt::Result {
    if nanos == 0 {
        return Ok(());
    }
    let digits = format!("{nanos:09}");
    write!(out, ".{}", digits.trim_end_matches('0'))
}
