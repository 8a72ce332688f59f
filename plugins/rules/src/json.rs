//! JSON as reports write it: texts, values and cells.

use crate::canonical::{INT_MAX, write_int, write_number, write_text};
use crate::heap::{Heap, Stop};
use crate::rows::{write_duration, write_timestamp};
use crate::schema::FieldType;
use crate::store::{NS_PER_S, decode};
use crate::value::{Text, Value};
use base64::Engine as _;

#[cfg(test)]
mod tests;

fn write_double(value: f64, json: &mut String) {
    if value.is_nan() {
        json.push_str("\"NaN\"");
    } else if value.is_infinite() {
        json.push_str(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
    } else {
        write_number(json, value);
    }
}

/// Integers that doubles do not hold are texts: JSON numbers are doubles to many.
fn write_integer(value: i64, json: &mut String) {
    if (-INT_MAX..=INT_MAX).contains(&value) {
        write_int(json, value);
    } else {
        write_text(json, &value.to_string());
    }
}

/// A value that holds no others but scalars; null for one that takes more memory than the heap affords.
pub fn write_value(value: Value, heap: &Heap, json: &mut String) {
    let begin = json.len();
    if push_value(value, heap, json).is_err() {
        json.truncate(begin);
        json.push_str("null");
    }
}

/// A value of an expression.
///
/// # Errors
/// If its text takes more memory than there is: what a list holds twice is written twice.
pub fn push_value(value: Value, heap: &Heap, json: &mut String) -> Result<(), Stop> {
    match value {
        Value::Null | Value::None => json.push_str("null"),
        Value::Bool(value) => json.push_str(if value { "true" } else { "false" }),
        Value::Int(value) => write_integer(value, json),
        Value::Uint(value) => match i64::try_from(value) {
            Ok(value) => write_integer(value, json),
            Err(_) => write_text(json, &value.to_string()),
        },
        Value::Double(value) => write_double(value, json),
        Value::String(text) | Value::Type(text) => write_text(json, heap.text(text)),
        Value::Bytes(text) => write_bytes(text, heap, json),
        Value::Timestamp { seconds, nanos } => {
            let ns = seconds.saturating_mul(NS_PER_S).saturating_add(i64::from(nanos));
            json.push('"');
            write_timestamp(json, ns);
            json.push('"');
        }
        Value::Duration { seconds, nanos } => {
            let ns = seconds.saturating_mul(NS_PER_S).saturating_add(i64::from(nanos));
            json.push('"');
            write_duration(json, ns);
            json.push('"');
        }
        Value::List(list) => {
            json.push('[');
            for (place, &element) in heap.list(list).iter().enumerate() {
                if place > 0 {
                    json.push(',');
                }
                push_value(element, heap, json)?;
                heap.afford(json.capacity())?;
            }
            json.push(']');
        }
        Value::Map(map) => {
            json.push('{');
            for (place, entry) in heap.map(map).chunks_exact(2).enumerate() {
                if place > 0 {
                    json.push(',');
                }
                let mut key = String::new();
                crate::cel::push_text(entry[0], heap, &mut key)?;
                write_text(json, &key);
                json.push(':');
                push_value(entry[1], heap, json)?;
                heap.afford(json.capacity())?;
            }
            json.push('}');
        }
        Value::Some(place) => push_value(heap.some(place), heap, json)?,
    }
    Ok(())
}

fn write_bytes(text: Text, heap: &Heap, json: &mut String) {
    json.push('"');
    base64::engine::general_purpose::STANDARD.encode_string(heap.texts.get(text), json);
    json.push('"');
}

/// A cell of a fact.
pub fn write_cell(cell: u64, ty: FieldType, heap: &Heap, json: &mut String) {
    write_value(decode(cell, ty), heap, json);
}
