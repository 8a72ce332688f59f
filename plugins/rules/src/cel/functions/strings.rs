//! The `strings` and `encoders` extension libraries, formatting aside. Positions count code points.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Function, Outcome, failed, format, function, no_overload};
use crate::cel::eval::{Fault, Reason};
use crate::heap::Heap;
use crate::value::{Text, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    function(&["string.charAt(int) string"], char_at),
    function(&["string.indexOf(string) int", "string.indexOf(string; int) int"], index_of),
    function(&["string.lastIndexOf(string) int", "string.lastIndexOf(string; int) int"], last_index_of),
    function(&["string.lowerAscii() string"], |args, heap| map_text(args, heap, |text| text.to_ascii_lowercase())),
    function(&["string.upperAscii() string"], |args, heap| map_text(args, heap, |text| text.to_ascii_uppercase())),
    function(&["string.trim() string"], |args, heap| map_text(args, heap, |text| text.trim().to_owned())),
    function(&["string.reverse() string"], |args, heap| map_text(args, heap, |text| text.chars().rev().collect())),
    function(&["strings.quote(string) string"], |args, heap| map_text(args, heap, quote)),
    function(&["string.replace(string; string) string", "string.replace(string; string; int) string"], replace),
    function(&["string.split(string) list<string>", "string.split(string; int) list<string>"], split),
    function(&["string.substring(int) string", "string.substring(int; int) string"], substring),
    function(&["list<string>.join() string", "list<string>.join(string) string"], join),
    function(&["string.format(list<dyn>) string"], format::format),
    function(&["base64.encode(bytes) string"], encode),
    function(&["base64.decode(string) bytes"], decode),
];

/// Pays for reading a text.
fn read(text: Text, heap: &mut Heap) -> Result<&str, Fault> {
    heap.meter.spend(heap.texts.get(text).len() as u64 / 16)?;
    Ok(heap.text(text))
}

fn map_text(args: &[Value], heap: &mut Heap, map: fn(&str) -> String) -> Outcome {
    let [Value::String(text)] = *args else { return no_overload() };
    heap.afford(2 * heap.texts.get(text).len())?;
    let mapped = map(read(text, heap)?);
    Ok(Value::String(heap.make_text(mapped.as_bytes())?))
}

fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// The byte that a code point begins at; the end of the text is a position too.
fn byte_of(text: &str, position: i64) -> Result<usize, Fault> {
    let position = usize::try_from(position).map_err(|_| Fault::Failed(Reason::OutOfRange))?;
    let mut begins = text.char_indices().map(|(byte, _)| byte).chain([text.len()]);
    begins.nth(position).ok_or(Fault::Failed(Reason::OutOfRange))
}

fn position_of(text: &str, byte: Option<usize>) -> Value {
    Value::Int(byte.map_or(-1, |byte| text[..byte].chars().count() as i64))
}

fn char_at(args: &[Value], heap: &mut Heap) -> Outcome {
    let [Value::String(text), Value::Int(position)] = *args else { return no_overload() };
    let text = read(text, heap)?;
    let begin = byte_of(text, position)?;
    let len = text[begin..].chars().next().map_or(0, char::len_utf8);
    let found = text[begin..begin + len].to_owned();
    Ok(Value::String(heap.make_text(found.as_bytes())?))
}

fn index_of(args: &[Value], heap: &mut Heap) -> Outcome {
    let (text, part, position) = match *args {
        [Value::String(text), Value::String(part)] => (text, part, 0),
        [Value::String(text), Value::String(part), Value::Int(position)] => (text, part, position),
        _ => return no_overload(),
    };
    read(text, heap)?;
    let (text, part) = (heap.text(text), heap.text(part));
    let begin = byte_of(text, position)?;
    Ok(position_of(text, text[begin..].find(part).map(|found| begin + found)))
}

fn last_index_of(args: &[Value], heap: &mut Heap) -> Outcome {
    let (text, part, position) = match *args {
        [Value::String(text), Value::String(part)] => (text, part, None),
        [Value::String(text), Value::String(part), Value::Int(position)] => (text, part, Some(position)),
        _ => return no_overload(),
    };
    read(text, heap)?;
    let (text, part) = (heap.text(text), heap.text(part));
    let begin = match position {
        Some(position) => byte_of(text, position)?,
        None => text.len(),
    };
    // The part may begin at `begin` at the latest; what ends in the middle of a code point matches no part.
    let end = (begin + part.len()).min(text.len());
    let found = text.as_bytes()[..end].windows(part.len().max(1)).rposition(|window| window == part.as_bytes());
    Ok(position_of(text, if part.is_empty() { Some(begin) } else { found }))
}

fn replace(args: &[Value], heap: &mut Heap) -> Outcome {
    let (text, from, to, count) = match *args {
        [Value::String(text), Value::String(from), Value::String(to)] => (text, from, to, -1),
        [Value::String(text), Value::String(from), Value::String(to), Value::Int(count)] => (text, from, to, count),
        _ => return no_overload(),
    };
    read(text, heap)?;
    let (text, from, to) = (heap.text(text), heap.text(from), heap.text(to));
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let replaced = text.matches(from).take(count).count();
    heap.afford(text.len().saturating_add(replaced.saturating_mul(to.len())))?;
    let made = text.replacen(from, to, count);
    Ok(Value::String(heap.make_text(made.as_bytes())?))
}

fn split(args: &[Value], heap: &mut Heap) -> Outcome {
    let (text, separator, count) = match *args {
        [Value::String(text), Value::String(separator)] => (text, separator, -1),
        [Value::String(text), Value::String(separator), Value::Int(count)] => (text, separator, count),
        _ => return no_overload(),
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let text = read(text, heap)?.to_owned();
    let separator = heap.text(separator).to_owned();
    let mut parts: Box<dyn Iterator<Item = &str>> = match (count, separator.as_str()) {
        (0, _) => Box::new(std::iter::empty()),
        (_, "") => Box::new(code_points(&text, count)),
        (count, separator) => Box::new(text.splitn(count, separator)),
    };
    let begin = heap.pending.len();
    parts.try_for_each(|part| {
        let part = heap.make_text(part.as_bytes())?;
        heap.push_pending(Value::String(part))
    })?;
    Ok(Value::List(heap.close_pending(begin)?))
}

/// Each code point by itself; the last of `count` has all that is left.
fn code_points(text: &str, count: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    let mut left = count;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let len = if left == 1 { rest.len() } else { first.len_utf8() };
        left -= 1;
        let (part, behind) = rest.split_at(len);
        rest = behind;
        Some(part)
    })
}

fn substring(args: &[Value], heap: &mut Heap) -> Outcome {
    let (text, begin, end) = match *args {
        [Value::String(text), Value::Int(begin)] => (text, begin, None),
        [Value::String(text), Value::Int(begin), Value::Int(end)] => (text, begin, Some(end)),
        _ => return no_overload(),
    };
    let text = read(text, heap)?;
    let begin = byte_of(text, begin)?;
    let end = match end {
        Some(end) => byte_of(text, end)?,
        None => text.len(),
    };
    let Some(part) = text.get(begin..end) else { return failed(Reason::OutOfRange) };
    let part = part.to_owned();
    Ok(Value::String(heap.make_text(part.as_bytes())?))
}

fn join(args: &[Value], heap: &mut Heap) -> Outcome {
    let (list, separator) = match *args {
        [Value::List(list)] => (list, None),
        [Value::List(list), Value::String(separator)] => (list, Some(separator)),
        _ => return no_overload(),
    };
    heap.meter.spend(heap.list(list).len() as u64 / 8)?;
    let joined = heap.build_text(|heap, out| {
        for (place, &element) in heap.list(list).iter().enumerate() {
            let Value::String(element) = element else { return Err(Fault::Failed(Reason::NoSuchOverload)) };
            if let Some(separator) = separator.filter(|_| place > 0) {
                append(heap, out, heap.texts.get(separator))?;
            }
            append(heap, out, heap.texts.get(element))?;
        }
        Ok(())
    })?;
    Ok(Value::String(joined))
}

/// Appends, if the buffer may grow so far.
pub(super) fn append(heap: &Heap, out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Fault> {
    if out.len() + bytes.len() > out.capacity() {
        heap.afford(2 * (out.len() + bytes.len()))?;
    }
    out.extend_from_slice(bytes);
    Ok(())
}

/// Padding may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn encode(args: &[Value], heap: &mut Heap) -> Outcome {
    let [Value::Bytes(bytes)] = *args else { return no_overload() };
    heap.afford(2 * heap.texts.get(bytes).len())?;
    let encoded = BASE64.encode(heap.texts.get(bytes));
    Ok(Value::String(heap.make_text(encoded.as_bytes())?))
}

fn decode(args: &[Value], heap: &mut Heap) -> Outcome {
    let [Value::String(text)] = *args else { return no_overload() };
    heap.afford(heap.texts.get(text).len())?;
    match BASE64.decode(heap.texts.get(text)) {
        Ok(bytes) => Ok(Value::Bytes(heap.make_text(&bytes)?)),
        Err(_) => failed(Reason::BadConversion),
    }
}
