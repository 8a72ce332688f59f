//! One value of a document, read as a field's type says and held to the field's bounds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::time::{parse_duration, parse_timestamp};
use super::write::write_constant;
use crate::diagnostic::Diagnostic;
use crate::document::{Data, Node};
use crate::file::nearest;
use crate::schema::{Constant, FieldSchema, FieldType, Scalar};

/// Reads a value of a field.
///
/// # Errors
/// If it is not of the field's type, or not within its bounds.
pub fn read_value(node: &Node, field: &FieldSchema) -> Result<Constant, Box<Diagnostic>> {
    if !field.ty.list {
        return read_scalar(node, field);
    }
    let Data::Sequence(items) = &node.data else { return Err(wrong_type(node, field, "").into()) };
    if let Some(len) = field.len.filter(|&len| len as usize != items.len()) {
        let message = format!("`{}` has {len} elements, this list has {}", field.name, items.len());
        return Err(Diagnostic::error("value-length", message, node.span).into());
    }
    let element = FieldSchema { ty: FieldType { list: false, ..field.ty }, ..field.clone() };
    items.iter().map(|item| read_scalar(item, &element)).collect::<Result<_, _>>().map(Constant::List)
}

fn read_scalar(node: &Node, field: &FieldSchema) -> Result<Constant, Box<Diagnostic>> {
    let value = match field.ty.scalar {
        Scalar::Bool => match node.data {
            Data::Bool(value) => Ok(Constant::Bool(value)),
            _ => Err("write true or false"),
        },
        Scalar::Int => int(&node.data).map(Constant::Int),
        Scalar::Double => double(&node.data).map(Constant::Double),
        Scalar::String => match &node.data {
            Data::String(text) => Ok(Constant::Text(text.clone())),
            Data::Bool(_) | Data::Int(_) | Data::Float(_) | Data::BigInt(_) => Err("put it in quotes"),
            _ => Err(""),
        },
        Scalar::Bytes => text(&node.data)
            .and_then(|text| BASE64.decode(text).map_err(|_| "bytes are base64 with padding, such as aGk="))
            .map(Constant::Bytes),
        Scalar::Enum => match &node.data {
            Data::String(text) => return enum_value(node, text, field),
            _ => Err("put it in quotes"),
        },
        Scalar::Timestamp => text(&node.data)
            .and_then(|text| parse_timestamp(text).ok_or("write RFC 3339, such as 2026-01-31T12:00:00Z"))
            .map(Constant::Int),
        Scalar::Duration => text(&node.data)
            .and_then(|text| parse_duration(text).ok_or("write a duration such as 1h30m or 2.5s"))
            .map(Constant::Int),
    };
    let value = value.map_err(|hint| wrong_type(node, field, hint))?;
    check_bounds(node, field, &value)?;
    Ok(value)
}

fn text(data: &Data) -> Result<&str, &'static str> {
    match data {
        Data::String(text) => Ok(text),
        _ => Err("write it as a text"),
    }
}

fn int(data: &Data) -> Result<i64, &'static str> {
    match data {
        Data::Int(value) => Ok(*value),
        Data::String(text) if is_integer(text) => text.parse().map_err(|_| "64 bits do not hold it"),
        Data::BigInt(_) => Err("64 bits do not hold it"),
        Data::Float(_) => Err("write it without a fraction and an exponent"),
        _ => Err(""),
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn double(data: &Data) -> Result<f64, &'static str> {
    const SPECIAL: &str = "the values that are no numbers are the texts NaN, Infinity and -Infinity";
    match data {
        Data::Float(value) if value.is_finite() => Ok(*value),
        Data::Float(_) => Err(SPECIAL),
        Data::Int(value) => Ok(*value as f64),
        // As numbers are written in JSON, whatever their size; hexadecimal digits do not parse.
        Data::BigInt(text) => text.parse().map_err(|_| "write it in decimal digits"),
        Data::String(text) => match text.as_str() {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => Err(SPECIAL),
        },
        _ => Err(""),
    }
}

fn enum_value(node: &Node, text: &str, field: &FieldSchema) -> Result<Constant, Box<Diagnostic>> {
    if field.values.iter().any(|value| value == text) {
        return Ok(Constant::Text(text.to_owned()));
    }
    let values: Vec<_> = field.values.iter().map(String::as_str).collect();
    let message = format!("`{text}` is no value of `{}`", field.name);
    Err(Diagnostic::error("value-unknown", message, node.span).with_hint(nearest::hint(text, &values)).into())
}

fn check_bounds(node: &Node, field: &FieldSchema, value: &Constant) -> Result<(), Box<Diagnostic>> {
    let refuse = |code, message: String| Err(Diagnostic::error(code, message, node.span).into());
    if let Constant::Double(number) = value
        && number.is_nan()
    {
        if field.nan {
            return Ok(());
        }
        return refuse("value-nan", format!("`{}` does not allow NaN", field.name));
    }
    let shown = |bound: &Constant| {
        let mut text = String::new();
        write_constant(&mut text, bound, FieldType { list: false, ..field.ty });
        text
    };
    match (&field.min, &field.max) {
        (Some(min), _) if is_less(value, min) => {
            refuse("value-range", format!("`{}` is at least {}", field.name, shown(min)))
        }
        (_, Some(max)) if is_less(max, value) => {
            refuse("value-range", format!("`{}` is at most {}", field.name, shown(max)))
        }
        _ => Ok(()),
    }
}

/// Of two numbers of one type.
pub(crate) fn is_less(a: &Constant, b: &Constant) -> bool {
    match (a, b) {
        (Constant::Int(a), Constant::Int(b)) => a < b,
        (Constant::Double(a), Constant::Double(b)) => a < b,
        _ => false,
    }
}

fn wrong_type(node: &Node, field: &FieldSchema, hint: &str) -> Diagnostic {
    let message = format!("`{}` is {}, not {}", field.name, field.ty.described(), node.data.kind());
    let finding = match &node.data {
        Data::String(text) => {
            let shown: String = text.chars().take(40).collect();
            let message = format!("`{}` is {}, which `{shown}` is not", field.name, field.ty.described());
            Diagnostic::error("value-type", message, node.span)
        }
        _ => Diagnostic::error("value-type", message, node.span),
    };
    if hint.is_empty() { finding } else { finding.with_hint(hint) }
}
