//! Constants as JSON text that reads back to the same values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::Row;
use super::time::{write_duration, write_timestamp};
use crate::canonical::{INT_MAX, write_int, write_number, write_text};
use crate::schema::{Constant, FieldType, Scalar, TemplateSchema};

/// Writes a value of a type. Integers beyond 2^53 and doubles that are no numbers become texts.
pub fn write_constant(out: &mut String, value: &Constant, ty: FieldType) {
    match value {
        Constant::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Constant::Int(value) => write_integer(out, *value, ty.scalar),
        Constant::Double(value) if value.is_finite() => write_number(out, *value),
        Constant::Double(value) if value.is_nan() => out.push_str("\"NaN\""),
        Constant::Double(value) => out.push_str(if *value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" }),
        Constant::Text(text) => write_text(out, text),
        Constant::Bytes(bytes) => write_text(out, &BASE64.encode(bytes)),
        Constant::List(values) => {
            out.push('[');
            for (place, value) in values.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_constant(out, value, FieldType { list: false, ..ty });
            }
            out.push(']');
        }
    }
}

fn write_integer(out: &mut String, value: i64, scalar: Scalar) {
    match scalar {
        Scalar::Timestamp => {
            out.push('"');
            write_timestamp(out, value);
            out.push('"');
        }
        Scalar::Duration => {
            out.push('"');
            write_duration(out, value);
            out.push('"');
        }
        _ if (-INT_MAX..=INT_MAX).contains(&value) => write_int(out, value),
        _ => {
            out.push('"');
            write_int(out, value);
            out.push('"');
        }
    }
}

/// Writes a row as a JSON object of the fields that it has, as declared.
pub fn write_row(out: &mut String, row: &Row, template: &TemplateSchema) {
    out.push('{');
    let mut first = true;
    for (value, field) in row.iter().zip(&template.fields) {
        let Some(value) = value else { continue };
        if !first {
            out.push(',');
        }
        first = false;
        write_text(out, &field.name);
        out.push(':');
        write_constant(out, value, field.ty);
    }
    out.push('}');
}
