//! Facts between JSON or YAML and typed rows of a template. Knows templates, not rules.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::diagnostic::{Diagnostic, Span};
use crate::document::{Data, FINDINGS_MAX, Node};
use crate::file::{Param, nearest};
use crate::schema::{Constant, FieldSchema, FieldType, Scalar, Schema, TemplateSchema};

#[cfg(test)]
mod tests;
mod time;
mod value;
mod write;

pub use time::{parse_duration, parse_timestamp, write_duration, write_timestamp};
pub(crate) use value::is_less;
pub use value::read_value;
pub use write::{write_constant, write_row};

/// A value for each field of a template; none where it is left out.
pub type Row = Vec<Option<Constant>>;

/// Reads one row. A partial one may name any fields and gets no defaults.
///
/// # Errors
/// Unknown fields, missing ones, values that do not fit.
pub fn read_row(node: &Node, template: &TemplateSchema, partial: bool) -> Result<Row, Vec<Diagnostic>> {
    let Data::Mapping(entries) = &node.data else {
        let message = format!("a row of `{}` is a mapping, not {}", template.name, node.data.kind());
        return Err(vec![Diagnostic::error("wrong-kind", message, node.span).with_hint("write {field: value, ...}")]);
    };
    let mut row: Row = vec![None; template.fields.len()];
    let mut findings = Vec::new();
    for (key, value) in entries {
        if findings.len() >= FINDINGS_MAX {
            return Err(findings);
        }
        let Some(place) = template.field(&key.name) else {
            findings.push(unknown_field(&key.name, key.span, template));
            continue;
        };
        let field = &template.fields[place];
        // Nothing is as good as left out, where leaving out is allowed.
        if matches!(value.data, Data::Null) && field.optional && !partial {
            continue;
        }
        match read_value(value, field) {
            Ok(constant) => row[place] = Some(constant),
            Err(finding) => findings.push(*finding),
        }
    }
    if !partial {
        fill_defaults(&mut row, node, template, &mut findings);
    }
    if findings.is_empty() { Ok(row) } else { Err(findings) }
}

/// The finding about a name that is no field of a template.
pub fn unknown_field(name: &str, span: Span, template: &TemplateSchema) -> Diagnostic {
    let names: Vec<_> = template.fields.iter().map(|field| field.name.as_str()).collect();
    let message = format!("`{}` has no field `{name}`", template.name);
    Diagnostic::error("unknown-field", message, span).with_hint(nearest::hint(name, &names))
}

fn fill_defaults(row: &mut Row, node: &Node, template: &TemplateSchema, findings: &mut Vec<Diagnostic>) {
    for (value, field) in row.iter_mut().zip(&template.fields) {
        if value.is_some() {
            continue;
        }
        value.clone_from(&field.default);
        let named = || node.get(&field.name).is_some();
        if value.is_none() && !field.optional && !named() {
            let message = format!("a row of `{}` lacks `{}`", template.name, field.name);
            findings.push(Diagnostic::error("missing-field", message, node.span));
        }
    }
}

/// Reads rows by template: `{template: [row, ...]}`. Equal rows become one.
///
/// # Errors
/// What is wrong with any of them; two rows of one key with different values.
pub fn read_facts(node: &Node, schema: &Schema) -> Result<Vec<(usize, Vec<Row>)>, Vec<Diagnostic>> {
    let Data::Mapping(entries) = &node.data else {
        let message = format!("facts are a mapping of templates to rows, not {}", node.data.kind());
        return Err(vec![Diagnostic::error("wrong-kind", message, node.span)]);
    };
    let mut facts = Vec::new();
    let mut findings = Vec::new();
    for (key, rows) in entries {
        if findings.len() >= FINDINGS_MAX {
            break;
        }
        match schema.template(&key.name) {
            None => findings.push(unknown_template(&key.name, key.span, schema)),
            Some(place) => {
                let template = &schema.templates[place];
                let mut reader = RowsReader { template, findings: &mut findings, seen: HashMap::new() };
                facts.push((place, reader.rows(rows)));
            }
        }
    }
    findings.truncate(FINDINGS_MAX);
    if findings.is_empty() { Ok(facts) } else { Err(findings) }
}

/// The finding about a name that is no template.
pub fn unknown_template(name: &str, span: Span, schema: &Schema) -> Diagnostic {
    let names: Vec<_> = schema.templates.iter().map(|template| template.name.as_str()).collect();
    Diagnostic::error("unknown-template", format!("there is no template `{name}`"), span)
        .with_hint(nearest::hint(name, &names))
}

struct RowsReader<'a> {
    template: &'a TemplateSchema,
    findings: &'a mut Vec<Diagnostic>,
    /// By the text of the key: the text of the row, and its line.
    seen: HashMap<String, (String, u32)>,
}

impl RowsReader<'_> {
    fn rows(&mut self, node: &Node) -> Vec<Row> {
        let Data::Sequence(items) = &node.data else {
            let message = format!("the rows of `{}` are a list, not {}", self.template.name, node.data.kind());
            self.findings.push(Diagnostic::error("wrong-kind", message, node.span));
            return Vec::new();
        };
        items.iter().filter_map(|item| self.row(item)).collect()
    }

    fn row(&mut self, node: &Node) -> Option<Row> {
        if self.findings.len() >= FINDINGS_MAX {
            return None;
        }
        let row = match read_row(node, self.template, false) {
            Ok(row) => row,
            Err(findings) => {
                self.findings.extend(findings);
                return None;
            }
        };
        let mut whole = String::new();
        write_row(&mut whole, &row, self.template);
        match self.seen.entry(key_text(&row, self.template)) {
            Entry::Vacant(entry) => {
                entry.insert((whole, node.span.line));
                Some(row)
            }
            Entry::Occupied(entry) => {
                let (first, line) = entry.get();
                if *first != whole {
                    let message = format!("two rows of `{}` have one key and different values", self.template.name);
                    let hint = format!("the first is in line {line}");
                    self.findings.push(Diagnostic::error("duplicate-fact", message, node.span).with_hint(hint));
                }
                None
            }
        }
    }
}

/// Equal for rows of equal keys only.
fn key_text(row: &Row, template: &TemplateSchema) -> String {
    let mut text = String::new();
    for &place in &template.key {
        match &row[usize::from(place)] {
            Some(value) => write_constant(&mut text, value, template.fields[usize::from(place)].ty),
            None => text.push_str("null"),
        }
        text.push(',');
    }
    text
}

/// Reads a value of a parameter and checks it against what the parameter allows.
///
/// # Errors
/// If it does not fit; the hint says what does, unless it says how to write it.
pub fn read_param(node: &Node, param: &Param) -> Result<Constant, Box<Diagnostic>> {
    let finding = match read_value(node, &param_field(param)) {
        // The values of an enum have been looked up already.
        Ok(value) if param.ty.scalar == Scalar::Enum || param.values.is_empty() || param.values.contains(&value) => {
            return Ok(value);
        }
        Ok(_) => {
            let message = format!("`{}` does not allow this value", param.name);
            Box::new(Diagnostic::error("value-unknown", message, node.span))
        }
        Err(finding) => finding,
    };
    Err(if finding.hint.is_some() { finding } else { finding.with_hint(allowed(param)).into() })
}

/// A parameter as a field, whose rules for values are the same.
fn param_field(param: &Param) -> FieldSchema {
    let texts = param.values.iter().filter_map(|value| match value {
        Constant::Text(text) => Some(text.clone()),
        _ => None,
    });
    FieldSchema {
        name: param.name.clone(),
        span: Span::default(),
        ty: param.ty,
        min: param.min.clone(),
        max: param.max.clone(),
        values: texts.collect(),
        len: None,
        nan: false,
        default: None,
        optional: false,
    }
}

/// What a parameter may be: `it is a double from 0 to 1`.
fn allowed(param: &Param) -> String {
    let shown = |value: &Constant| {
        let ty = FieldType { list: matches!(value, Constant::List(_)), ..param.ty };
        let mut text = String::new();
        write_constant(&mut text, value, ty);
        text
    };
    if !param.values.is_empty() {
        return format!("it is one of {}", param.values.iter().map(shown).collect::<Vec<_>>().join(", "));
    }
    let range = match (&param.min, &param.max) {
        (Some(min), Some(max)) => format!(" from {} to {}", shown(min), shown(max)),
        (Some(min), None) => format!(" of at least {}", shown(min)),
        (None, Some(max)) => format!(" of at most {}", shown(max)),
        (None, None) => String::new(),
    };
    format!("it is {}{range}", param.ty.described())
}
