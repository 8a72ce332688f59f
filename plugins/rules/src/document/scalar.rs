//! What a plain scalar stands for: the core schema of YAML 1.2. Knows no places.

use super::Data;

/// The value of a plain (unquoted) scalar.
pub(super) fn resolve(text: &str) -> Data {
    // Most scalars are words and expressions: their first byte tells.
    let Some(&first) = text.as_bytes().first() else { return Data::Null };
    match first {
        b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' => word(text),
        b'0'..=b'9' | b'+' | b'-' | b'.' => number(text),
        _ => Data::String(text.to_owned()),
    }
}

fn word(text: &str) -> Data {
    match text {
        "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" => Data::Bool(true),
        "false" | "False" | "FALSE" => Data::Bool(false),
        _ => Data::String(text.to_owned()),
    }
}

fn number(text: &str) -> Data {
    let based = |digits: &str, radix: u32| {
        let fits = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        fits.then(|| i64::from_str_radix(digits, radix).map_or_else(|_| Data::BigInt(text.to_owned()), Data::Int))
    };
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let value = match unsigned {
        ".inf" | ".Inf" | ".INF" if text.starts_with('-') => Some(Data::Float(f64::NEG_INFINITY)),
        ".inf" | ".Inf" | ".INF" => Some(Data::Float(f64::INFINITY)),
        ".nan" | ".NaN" | ".NAN" if unsigned.len() == text.len() => Some(Data::Float(f64::NAN)),
        _ if is_all_digits(unsigned) => Some(text.parse().map_or_else(|_| Data::BigInt(text.to_owned()), Data::Int)),
        _ => match text.get(..2) {
            Some("0x") => based(&text[2..], 16),
            Some("0o") => based(&text[2..], 8),
            _ => float(text, unsigned),
        },
    };
    value.unwrap_or_else(|| Data::String(text.to_owned()))
}

fn is_all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `[-+]? ( "." [0-9]+ | [0-9]+ ( "." [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn float(text: &str, unsigned: &str) -> Option<Data> {
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    if exponent.is_some_and(|exponent| !is_all_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))) {
        return None;
    }
    let well_formed = match mantissa.split_once('.') {
        None => is_all_digits(mantissa),
        Some(("", fraction)) => is_all_digits(fraction),
        Some((whole, fraction)) => is_all_digits(whole) && (fraction.is_empty() || is_all_digits(fraction)),
    };
    // The canonical form has one zero only, so that there is one zero only here too.
    let positive_zero = |value: f64| if value == 0.0 { 0.0 } else { value };
    well_formed.then(|| text.parse().map(positive_zero).map(Data::Float).ok()).flatten()
}
