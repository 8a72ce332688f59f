//! `string.format`: `%s %d %f %e %x %X %o %b`, with a precision for `%f` and `%e`.

use super::strings::append;
use super::{Outcome, no_overload};
use crate::cel::convert::{write_duration, write_timestamp};
use crate::cel::eval::{Fault, Reason};
use crate::heap::Heap;
use crate::value::Value;

const BAD_FORMAT: Fault = Fault::Failed(Reason::BadFormat);

/// More digits behind the point are refused.
const PRECISION_MAX: usize = 1000;

const PRECISION: usize = 6;

type Written = Result<(), Fault>;

pub(super) fn format(args: &[Value], heap: &mut Heap) -> Outcome {
    let [Value::String(text), Value::List(list)] = *args else { return no_overload() };
    heap.meter.spend(1 + heap.texts.get(text).len() as u64 / 16)?;
    let made = heap.build_text(|heap, out| write_format(heap.text(text), heap.list(list), heap, out))?;
    Ok(Value::String(made))
}

fn write_format(format: &str, values: &[Value], heap: &Heap, out: &mut Vec<u8>) -> Written {
    let mut values = values.iter();
    let mut rest = format;
    while let Some((plain, clause)) = rest.split_once('%') {
        append(heap, out, plain.as_bytes())?;
        if let Some(behind) = clause.strip_prefix('%') {
            append(heap, out, b"%")?;
            rest = behind;
            continue;
        }
        let (precision, clause) = precision(clause)?;
        let kind = clause.chars().next().ok_or(BAD_FORMAT)?;
        rest = &clause[kind.len_utf8()..];
        let value = *values.next().ok_or(BAD_FORMAT)?;
        if precision.is_some() && !matches!(kind, 'f' | 'e') {
            return Err(BAD_FORMAT);
        }
        match kind {
            's' => write_any(value, heap, out)?,
            _ => append(heap, out, number(kind, precision.unwrap_or(PRECISION), value, heap)?.as_bytes())?,
        }
    }
    append(heap, out, rest.as_bytes())
}

/// `.3` before the kind.
fn precision(clause: &str) -> Result<(Option<usize>, &str), Fault> {
    let Some(digits) = clause.strip_prefix('.') else { return Ok((None, clause)) };
    let len = digits.bytes().take_while(u8::is_ascii_digit).count();
    let precision = digits[..len].parse().ok().filter(|&precision| precision <= PRECISION_MAX);
    Ok((Some(precision.ok_or(BAD_FORMAT)?), &digits[len..]))
}

fn write_any(value: Value, heap: &Heap, out: &mut Vec<u8>) -> Written {
    let mut text = String::new();
    let _ = match value {
        Value::List(list) => return write_list(heap.list(list), heap, out),
        Value::Map(map) => return write_map(heap.map(map), heap, out),
        Value::String(text) | Value::Type(text) => return append(heap, out, heap.texts.get(text)),
        Value::Bytes(bytes) => return append(heap, out, lossy(heap.texts.get(bytes)).as_bytes()),
        Value::Some(_) | Value::None => return Err(BAD_FORMAT),
        Value::Timestamp { seconds, nanos } => write_timestamp(seconds, nanos, &mut text),
        Value::Duration { seconds, nanos } => write_duration(seconds, nanos, &mut text),
        Value::Double(double) => {
            text = plain_double(double);
            Ok(())
        }
        Value::Null => {
            text.push_str("null");
            Ok(())
        }
        Value::Bool(bool) => {
            text = bool.to_string();
            Ok(())
        }
        Value::Int(int) => {
            text = int.to_string();
            Ok(())
        }
        Value::Uint(uint) => {
            text = uint.to_string();
            Ok(())
        }
    };
    append(heap, out, text.as_bytes())
}

fn write_list(values: &[Value], heap: &Heap, out: &mut Vec<u8>) -> Written {
    append(heap, out, b"[")?;
    for (place, &value) in values.iter().enumerate() {
        append(heap, out, if place == 0 { b"" } else { b", " })?;
        write_any(value, heap, out)?;
    }
    append(heap, out, b"]")
}

/// Entries ordered by their keys as texts.
fn write_map(entries: &[Value], heap: &Heap, out: &mut Vec<u8>) -> Written {
    let mut written = Vec::new();
    for [key, value] in entries.as_chunks().0 {
        let mut text = Vec::new();
        write_any(*key, heap, &mut text)?;
        written.push((text, *value));
    }
    written.sort_by(|(a, _), (b, _)| a.cmp(b));
    append(heap, out, b"{")?;
    for (place, (key, value)) in written.iter().enumerate() {
        append(heap, out, if place == 0 { b"" } else { b", " })?;
        append(heap, out, key)?;
        append(heap, out, b": ")?;
        write_any(*value, heap, out)?;
    }
    append(heap, out, b"}")
}

/// Each run of bytes that are not UTF-8 becomes one replacement character.
fn lossy(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        let follows_another = chunk.valid().is_empty() && out.ends_with('\u{fffd}');
        if !chunk.invalid().is_empty() && !follows_another {
            out.push('\u{fffd}');
        }
    }
    out
}

/// Without an exponent.
fn plain_double(double: f64) -> String {
    special(double).unwrap_or_else(|| format!("{double}"))
}

fn special(double: f64) -> Option<String> {
    if double.is_nan() {
        Some("NaN".to_owned())
    } else if double.is_infinite() {
        Some(if double > 0.0 { "Infinity" } else { "-Infinity" }.to_owned())
    } else {
        None
    }
}

fn number(kind: char, precision: usize, value: Value, heap: &Heap) -> Result<String, Fault> {
    let double = match value {
        Value::Int(int) => Some(int as f64),
        Value::Uint(uint) => Some(uint as f64),
        Value::Double(double) => Some(double),
        _ => None,
    };
    match (kind, value) {
        ('d', Value::Int(int)) => Ok(int.to_string()),
        ('d', Value::Uint(uint)) => Ok(uint.to_string()),
        ('d', Value::Double(double)) => Ok(plain_double(double)),
        ('f' | 'e', _) => {
            let double = double.ok_or(BAD_FORMAT)?;
            Ok(special(double).unwrap_or_else(|| match kind {
                'f' => format!("{double:.precision$}"),
                _ => scientific(double, precision),
            }))
        }
        ('b', Value::Bool(bool)) => Ok(u8::from(bool).to_string()),
        ('x' | 'X', Value::String(bytes) | Value::Bytes(bytes)) => {
            let bytes = heap.texts.get(bytes);
            heap.afford(4 * bytes.len())?;
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(if kind == 'X' { text.to_uppercase() } else { text })
        }
        ('x' | 'X' | 'o' | 'b', Value::Int(int)) => {
            let sign = if int < 0 { "-" } else { "" };
            Ok(format!("{sign}{}", in_base(kind, int.unsigned_abs())))
        }
        ('x' | 'X' | 'o' | 'b', Value::Uint(uint)) => Ok(in_base(kind, uint)),
        _ => Err(BAD_FORMAT),
    }
}

fn in_base(kind: char, number: u64) -> String {
    match kind {
        'x' => format!("{number:x}"),
        'X' => format!("{number:X}"),
        'o' => format!("{number:o}"),
        _ => format!("{number:b}"),
    }
}

/// An exponent has a sign and at least two digits.
fn scientific(double: f64, precision: usize) -> String {
    let text = format!("{double:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}
