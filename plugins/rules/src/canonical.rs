//! The canonical form of a document, RFC 8785, and its SHA-256: the identity of a rule set. Knows no rule set.

use std::cmp::Ordering;

use sha2::{Digest as _, Sha256};

use crate::diagnostic::{Diagnostic, Span};
use crate::document::{Data, FINDINGS_MAX, Key, Node};

#[cfg(test)]
mod tests;

/// The largest integer that a JSON number holds for sure: 2^53.
pub const INT_MAX: i64 = 1 << 53;

/// The canonical JSON of a document.
///
/// # Errors
/// Numbers that JSON does not hold: integers beyond 2^53, infinities, NaN.
pub fn canonical(node: &Node) -> Result<String, Vec<Diagnostic>> {
    let mut writer = Writer::default();
    writer.node(node);
    if writer.findings.is_empty() { Ok(writer.text) } else { Err(writer.findings) }
}

/// SHA-256.
pub fn digest(canonical: &str) -> [u8; 32] {
    Sha256::digest(canonical.as_bytes()).into()
}

#[derive(Default)]
struct Writer {
    text: String,
    findings: Vec<Diagnostic>,
}

impl Writer {
    fn node(&mut self, node: &Node) {
        match &node.data {
            Data::Null => self.text.push_str("null"),
            Data::Bool(value) => self.text.push_str(if *value { "true" } else { "false" }),
            Data::Int(value) if (-INT_MAX..=INT_MAX).contains(value) => write_int(&mut self.text, *value),
            Data::Int(_) | Data::BigInt(_) => {
                let hint = "write it as a text, in quotes";
                self.refuse("an integer beyond 2^53 is not exact everywhere", node.span, hint);
            }
            Data::Float(value) if value.is_finite() => write_number(&mut self.text, *value),
            Data::Float(_) => {
                let hint = "the values of a double that are no numbers are the texts NaN, Infinity and -Infinity";
                self.refuse("not a finite number", node.span, hint);
            }
            Data::String(text) => write_text(&mut self.text, text),
            Data::Sequence(items) => {
                self.text.push('[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        self.text.push(',');
                    }
                    self.node(item);
                }
                self.text.push(']');
            }
            Data::Mapping(entries) => self.mapping(entries),
        }
    }

    fn mapping(&mut self, entries: &[(Key, Node)]) {
        let mut sorted: Vec<_> = entries.iter().collect();
        sorted.sort_unstable_by(|(a, _), (b, _)| by_utf16(&a.name, &b.name));
        self.text.push('{');
        for (place, (key, value)) in sorted.into_iter().enumerate() {
            if place > 0 {
                self.text.push(',');
            }
            write_text(&mut self.text, &key.name);
            self.text.push(':');
            self.node(value);
        }
        self.text.push('}');
    }

    fn refuse(&mut self, message: &str, span: Span, hint: &str) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Diagnostic::error("number-range", message, span).with_hint(hint));
        }
    }
}

/// The order of keys: that of their UTF-16 units.
pub fn by_utf16(a: &str, b: &str) -> Ordering {
    // From here on a byte begins a character from U+E000, which UTF-16 orders differently.
    const FIRST_UNLIKE: u8 = 0xee;
    match a.bytes().zip(b.bytes()).find(|(a, b)| a != b) {
        None => a.len().cmp(&b.len()),
        Some((a, b)) if a < FIRST_UNLIKE && b < FIRST_UNLIKE => a.cmp(&b),
        Some(_) => a.encode_utf16().cmp(b.encode_utf16()),
    }
}

/// Writes an integer.
pub fn write_int(out: &mut String, value: i64) {
    // Most are small.
    if (0..10).contains(&value) {
        out.push(char::from(b'0' + value as u8));
    } else {
        out.push_str(&value.to_string());
    }
}

/// Writes a finite number as ECMAScript does: the shortest digits that read back, exponents from 1e21 and below 1e-6.
pub fn write_number(out: &mut String, value: f64) {
    if value == 0.0 {
        return out.push('0');
    }
    if value < 0.0 {
        out.push('-');
    }
    // Shortest digits and their exponent: `d.ddde-n`.
    let shortest = format!("{:e}", value.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let digits: String = mantissa.chars().filter(|&digit| digit != '.').collect();
    let digits = even_of_tie(value.abs(), digits, exponent);
    // The value is 0.digits times ten to `point`.
    let point = exponent.parse::<i32>().unwrap_or_default() + 1;
    let count = digits.len() as i32;
    match point {
        _ if count <= point && point <= 21 => {
            out.push_str(&digits);
            out.extend(std::iter::repeat_n('0', (point - count) as usize));
        }
        1..=21 => {
            let (whole, fraction) = digits.split_at(point as usize);
            out.extend([whole, ".", fraction]);
        }
        -5..=0 => {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', -point as usize));
            out.push_str(&digits);
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            let sign = if point > 0 { "e+" } else { "e-" };
            out.extend([first, dot, rest, sign, &(point - 1).abs().to_string()]);
        }
    }
}

/// Of two shortest forms that are equally close, the one that ends evenly. Only the longest can be two.
fn even_of_tie(value: f64, digits: String, exponent: &str) -> String {
    const LONGEST: usize = 17;
    // So many digits tell whether the value lies halfway.
    const MANY: usize = 60;
    if digits.len() < LONGEST || digits.ends_with(['0', '2', '4', '6', '8']) {
        return digits;
    }
    let exact: String = format!("{value:.MANY$e}").chars().filter(|&digit| digit != '.').take(MANY).collect();
    let (below, rest) = exact.split_at(LONGEST);
    let halfway = rest.strip_prefix('5').is_some_and(|rest| rest.bytes().all(|digit| digit == b'0'));
    let Some(below) = below.parse::<u64>().ok().filter(|_| halfway) else { return digits };
    let even = (below + below % 2).to_string();
    let reads_back = format!("{}.{}e{exponent}", &even[..1], &even[1..]).parse() == Ok(value);
    if reads_back && even.len() == LONGEST { even } else { digits }
}

/// Writes a JSON string with the fewest escapes.
pub fn write_text(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            8 => out.push_str("\\b"),
            9 => out.push_str("\\t"),
            10 => out.push_str("\\n"),
            12 => out.push_str("\\f"),
            13 => out.push_str("\\r"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.push_str("\\u00");
                out.extend([control >> 4, control & 15].map(|digit| char::from(HEX[usize::from(digit)])));
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}
