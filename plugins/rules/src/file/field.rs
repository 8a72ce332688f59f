//! Types of fields, columns and parameters, and the bounds that go with them.

use super::reader::{Entries, Reader};
use super::{Name, Param, nearest};
use crate::document::{Data, Key, Node};
use crate::rows::{is_less, read_param, read_value};
use crate::schema::{Constant, FieldSchema, FieldType, Scalar};

const FIELD_KEYS: [&str; 8] = ["type", "min", "max", "values", "len", "nan", "default", "optional"];
const COLUMN_KEYS: [&str; 6] = ["type", "min", "max", "values", "len", "nan"];
const PARAM_KEYS: [&str; 6] = ["type", "default", "min", "max", "values", "request"];
const LEN_MAX: i64 = 1 << 20;
const VALUES_MAX: usize = 4096;
const PARAMS_MAX: usize = 1024;

const SCALARS: [(&str, Scalar); 8] = [
    ("bool", Scalar::Bool),
    ("int", Scalar::Int),
    ("double", Scalar::Double),
    ("string", Scalar::String),
    ("bytes", Scalar::Bytes),
    ("enum", Scalar::Enum),
    ("timestamp", Scalar::Timestamp),
    ("duration", Scalar::Duration),
];

/// `type`, or a mapping with the type and what it allows.
pub(super) fn read_field(reader: &mut Reader, key: &Key, node: &Node) -> Option<FieldSchema> {
    read_typed(reader, (key, node), ("a field", &FIELD_KEYS))
}

pub(super) fn read_column(reader: &mut Reader, key: &Key, node: &Node) -> Option<FieldSchema> {
    read_typed(reader, (key, node), ("a column", &COLUMN_KEYS))
}

fn read_typed(
    reader: &mut Reader,
    entry: (&Key, &Node),
    (what, known): (&'static str, &[&str]),
) -> Option<FieldSchema> {
    let (key, node) = entry;
    let name = reader.key_identifier(key, what);
    if matches!(node.data, Data::String(_)) {
        let ty = read_type(reader, node)?;
        if ty.scalar == Scalar::Enum {
            let hint = "write {type: enum, values: [..]}";
            reader.error_hint("missing-key", format!("{what} of an enum lacks `values`"), node.span, hint);
            return None;
        }
        return Some(bare(name?, ty));
    }
    let entries = reader.entries(node, what, known)?;
    let ty = reader.required(entries, "type").and_then(|node| read_type(reader, node))?;
    let mut field = bare(name?, ty);
    let before = reader.findings.len();
    field.values = read_enum_values(reader, entries, ty)?;
    field.len = read_len(reader, entries, ty)?;
    field.nan = read_nan(reader, entries, ty)?;
    (field.min, field.max) = read_bounds(reader, entries, &field)?;
    if let Some(optional) = entries.get("optional") {
        field.optional = reader.bool(optional, "`optional`")?;
    }
    if let Some(default) = entries.get("default") {
        field.default = constant(reader, default, &field);
    }
    (reader.findings.len() == before).then_some(field)
}

fn bare(name: Name, ty: FieldType) -> FieldSchema {
    FieldSchema {
        name: name.text,
        span: name.span,
        ty,
        min: None,
        max: None,
        values: Vec::new(),
        len: None,
        nan: false,
        default: None,
        optional: false,
    }
}

fn read_type(reader: &mut Reader, node: &Node) -> Option<FieldType> {
    let text = reader.text(node, "`type`")?;
    let element = text.strip_prefix("list<").and_then(|rest| rest.strip_suffix('>'));
    let scalar = element.unwrap_or(text);
    if let Some((_, scalar)) = SCALARS.iter().find(|(name, _)| *name == scalar) {
        return Some(FieldType { scalar: *scalar, list: element.is_some() });
    }
    let hint = match scalar {
        _ if scalar.starts_with("list") && element.is_some() => "lists do not nest".to_owned(),
        "list" => "write list<T> with the type of the elements".to_owned(),
        _ => {
            let names: Vec<_> = SCALARS.iter().map(|(name, _)| *name).collect();
            nearest::hint(scalar, &names)
        }
    };
    reader.error_hint("unknown-type", format!("there is no type `{}`", super::reader::short(text)), node.span, hint);
    None
}

/// Reports a key that says nothing for the type.
fn refuse_key(reader: &mut Reader, entries: Entries<'_>, key: &str, (ty, hint): (FieldType, &str)) {
    if let Some((key, _)) = entries.entries.iter().find(|(entry, _)| entry.name == key) {
        let message = format!("`{}` does not apply to {}", key.name, ty.described());
        reader.error_hint("key-not-for-type", message, key.span, hint);
    }
}

fn read_enum_values(reader: &mut Reader, entries: Entries<'_>, ty: FieldType) -> Option<Vec<String>> {
    if ty.scalar != Scalar::Enum {
        refuse_key(reader, entries, "values", (ty, "it lists the values of an enum"));
        return Some(Vec::new());
    }
    let values = reader.required(entries, "values")?;
    let values = read_list_of_values(reader, values)?;
    let names = reader.each(values, |reader, value| reader.identifier(value, "an enum value"))?;
    reader.refuse_repeated(&names, "the value");
    Some(names.into_iter().map(|name| name.text).collect())
}

fn read_list_of_values<'a>(reader: &mut Reader, node: &'a Node) -> Option<&'a [Node]> {
    let values = reader.filled_list(node, "`values`")?;
    reader.bounded(values.len(), VALUES_MAX, ("values", node.span))?;
    Some(values)
}

fn read_len(reader: &mut Reader, entries: Entries<'_>, ty: FieldType) -> Option<Option<u32>> {
    if !ty.list {
        refuse_key(reader, entries, "len", (ty, "it is the length of a list"));
        return Some(None);
    }
    let Some(node) = entries.get("len") else { return Some(None) };
    let len = reader.int(node, "`len`", 1, LEN_MAX)?;
    Some(u32::try_from(len).ok())
}

fn read_nan(reader: &mut Reader, entries: Entries<'_>, ty: FieldType) -> Option<bool> {
    if ty.scalar != Scalar::Double {
        refuse_key(reader, entries, "nan", (ty, "it says whether a double may be NaN"));
        return Some(false);
    }
    match entries.get("nan") {
        Some(node) => reader.word(node, "`nan`", &[("reject", false), ("allow", true)]),
        None => Some(false),
    }
}

/// The value of a type within bounds, or a finding.
fn constant(reader: &mut Reader, node: &Node, field: &FieldSchema) -> Option<Constant> {
    read_value(node, field).map_err(|finding| reader.report(*finding)).ok()
}

/// `min` and `max`, of a list for its elements.
fn read_bounds(
    reader: &mut Reader,
    entries: Entries<'_>,
    field: &FieldSchema,
) -> Option<(Option<Constant>, Option<Constant>)> {
    let ordered = matches!(field.ty.scalar, Scalar::Int | Scalar::Double | Scalar::Timestamp | Scalar::Duration);
    if !ordered {
        for key in ["min", "max"] {
            refuse_key(reader, entries, key, (field.ty, "it bounds numbers, timestamps and durations"));
        }
        return Some((None, None));
    }
    let mut bound = |key: &str| match entries.get(key) {
        None => Some(None),
        Some(node) => {
            let element = FieldSchema {
                name: key.to_owned(),
                ty: FieldType { list: false, ..field.ty },
                min: None,
                max: None,
                nan: false,
                ..field.clone()
            };
            constant(reader, node, &element).map(Some)
        }
    };
    let (min, max) = (bound("min"), bound("max"));
    let (min, max) = (min?, max?);
    if let (Some(low), Some(high), Some(node)) = (&min, &max, entries.get("max"))
        && is_less(high, low)
    {
        reader.error("empty-range", "`max` is less than `min`", node.span);
        return None;
    }
    Some((min, max))
}

pub(super) fn read_params(reader: &mut Reader, node: &Node) -> Option<Vec<Param>> {
    let entries = reader.mapping(node, "`params`")?;
    reader.bounded(entries.entries.len(), PARAMS_MAX, ("parameters", node.span))?;
    let params: Vec<_> = entries.entries.iter().map(|(key, node)| read_parameter(reader, key, node)).collect();
    params.into_iter().collect()
}

fn read_parameter(reader: &mut Reader, key: &Key, node: &Node) -> Option<Param> {
    let name = reader.key_identifier(key, "a parameter");
    let entries = reader.entries(node, "a parameter", &PARAM_KEYS)?;
    let ty = reader.required(entries, "type").and_then(|node| read_type(reader, node))?;
    let default = reader.required(entries, "default");
    let before = reader.findings.len();
    let mut field = bare(name?, ty);
    (field.min, field.max) = read_bounds(reader, entries, &field)?;
    let values = match entries.get("values") {
        _ if ty.scalar == Scalar::Enum => {
            field.values = read_enum_values(reader, entries, ty)?;
            // A list's values are its elements'; they are held to `field.values`.
            field.values.iter().cloned().map(Constant::Text).collect()
        }
        None => Vec::new(),
        Some(node) => {
            let values = read_list_of_values(reader, node)?;
            reader.each(values, |reader, value| constant(reader, value, &field))?
        }
    };
    let request = match entries.get("request") {
        Some(node) => reader.bool(node, "`request`")?,
        None => false,
    };
    let mut param =
        Param { name: field.name, ty, default: Constant::Bool(false), min: field.min, max: field.max, values, request };
    param.default = read_param(default?, &param).map_err(|finding| reader.report(*finding)).ok()?;
    (reader.findings.len() == before).then_some(param)
}
