//! `facts` and `tables`: the templates, their keys, and the rows of tables.

use super::field::{read_column, read_field};
use super::nearest;
use super::reader::{Entries, Reader};
use crate::diagnostic::{Diagnostic, Span};
use crate::document::{Key, Node};
use crate::rows::{Row, read_value, write_row};
use crate::schema::{Constant, FIELDS_BESIDE_OPTIONAL_MAX, FieldSchema, Origin, Scalar, Schema, TemplateSchema};

const TEMPLATE_KEYS: [&str; 4] = ["origin", "key", "fields", "stated"];
const FIELDS_MAX: usize = 1024;
const TEMPLATES_MAX: usize = 4096;

/// Rows of a table, each with its place.
pub(super) type TableRows = Vec<(Vec<Constant>, Span)>;

pub(super) fn read_facts(reader: &mut Reader, node: &Node) -> Option<Vec<TemplateSchema>> {
    let entries = reader.mapping(node, "`facts`")?;
    reader.bounded(entries.entries.len(), TEMPLATES_MAX, ("templates", node.span))?;
    let templates: Vec<_> = entries.entries.iter().map(|(key, node)| read_template(reader, key, node)).collect();
    templates.into_iter().collect()
}

fn read_template(reader: &mut Reader, key: &Key, node: &Node) -> Option<TemplateSchema> {
    let name = reader.key_identifier(key, "a template");
    let entries = reader.entries(node, "a template", &TEMPLATE_KEYS)?;
    let origins = [("input", Origin::Input), ("derived", Origin::Derived), ("output", Origin::Output)];
    let origin = reader.required(entries, "origin").and_then(|node| reader.word(node, "`origin`", &origins));
    let fields = reader.required(entries, "fields").and_then(|node| read_fields(reader, node));
    let stated = read_stated(reader, entries, origin);
    let (origin, fields, name) = (origin?, fields?, name?);
    let key = match entries.get("key") {
        Some(node) => read_key(reader, node, &fields)?,
        None => whole_key(reader, &fields)?,
    };
    let keyed = entries.get("key").is_some();
    Some(TemplateSchema { name: name.text, span: name.span, origin, stated: stated?, fields, key, keyed })
}

fn read_stated(reader: &mut Reader, entries: Entries<'_>, origin: Option<Origin>) -> Option<bool> {
    let Some(node) = entries.get("stated") else { return Some(false) };
    let stated = reader.bool(node, "`stated`")?;
    if stated && origin == Some(Origin::Input) {
        let hint = "agenda rules may change input facts anyway";
        reader.error_hint("stated-input", "`stated` is for derived and output templates", node.span, hint);
        return None;
    }
    Some(stated)
}

fn read_fields(reader: &mut Reader, node: &Node) -> Option<Vec<FieldSchema>> {
    let entries = reader.mapping(node, "`fields`")?;
    reader.bounded(entries.entries.len(), FIELDS_MAX, ("the fields of a template", node.span))?;
    let fields: Vec<_> = entries.entries.iter().map(|(key, node)| read_field(reader, key, node)).collect();
    let fields = fields.into_iter().collect::<Option<Vec<_>>>()?;
    let optional = fields.iter().find(|field| field.optional);
    if let Some(field) = optional.filter(|_| fields.len() > FIELDS_BESIDE_OPTIONAL_MAX) {
        let (name, count) = (&field.name, fields.len());
        let message = format!(
            "`{name}` is optional in a template of {count} fields, which may be {FIELDS_BESIDE_OPTIONAL_MAX} then"
        );
        reader.error_hint("optional-too-wide", message, field.span, "give it a default, or split the template");
        return None;
    }
    Some(fields)
}

fn is_no_key(field: &FieldSchema) -> bool {
    field.ty.list || field.ty.scalar == Scalar::Double
}

/// The fields that `key` names.
fn read_key(reader: &mut Reader, node: &Node, fields: &[FieldSchema]) -> Option<Vec<u16>> {
    let items = reader.list(node, "`key`")?;
    let names = reader.each(items, |reader, item| reader.plain_name(item, "a key field"))?;
    reader.refuse_repeated(&names, "the key field");
    let mut places = Vec::new();
    for name in &names {
        if reader.is_full() {
            break;
        }
        match fields.iter().position(|field| field.name == name.text) {
            None => {
                let known: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
                let message = format!("the key names `{}`, which is no field", name.text);
                reader.error_hint("unknown-field", message, name.span, nearest::hint(&name.text, &known));
            }
            Some(place) if is_no_key(&fields[place]) => {
                let message = format!("`{}` is {}, which no key field is", name.text, fields[place].ty.described());
                reader.error("key-type", message, name.span);
            }
            Some(place) => places.push(place as u16),
        }
    }
    (places.len() == names.len()).then_some(places)
}

/// All fields, where the template names no key.
fn whole_key(reader: &mut Reader, fields: &[FieldSchema]) -> Option<Vec<u16>> {
    if let Some(field) = fields.iter().find(|field| is_no_key(field)) {
        let message = format!("without `key` all fields are the key, and `{}` is {}", field.name, field.ty.described());
        let hint = "name the fields that tell facts apart: key: [..], or key: [] if there is one fact only";
        reader.error_hint("key-type", message, field.span, hint);
        return None;
    }
    Some((0..fields.len() as u16).collect())
}

pub(super) fn read_tables(reader: &mut Reader, node: &Node) -> Option<Vec<(TemplateSchema, TableRows)>> {
    let entries = reader.mapping(node, "`tables`")?;
    reader.bounded(entries.entries.len(), TEMPLATES_MAX, ("tables", node.span))?;
    let tables: Vec<_> = entries.entries.iter().map(|(key, node)| read_table(reader, key, node)).collect();
    tables.into_iter().collect()
}

fn read_table(reader: &mut Reader, key: &Key, node: &Node) -> Option<(TemplateSchema, TableRows)> {
    let name = reader.key_identifier(key, "a table");
    let entries = reader.entries(node, "a table", &["columns", "rows"])?;
    let columns = reader.required(entries, "columns").and_then(|node| reader.mapping(node, "`columns`"));
    let rows = reader.required(entries, "rows").and_then(|node| reader.list(node, "`rows`"));
    let (name, columns, rows) = (name?, columns?, rows?);
    if columns.entries.is_empty() {
        reader.error("empty-list", "a table has no columns", columns.span);
        return None;
    }
    reader.bounded(columns.entries.len(), FIELDS_MAX, ("the columns of a table", columns.span))?;
    let fields: Vec<_> = columns.entries.iter().map(|(key, node)| read_column(reader, key, node)).collect();
    let fields = fields.into_iter().collect::<Option<Vec<_>>>()?;
    let table = TemplateSchema {
        name: name.text,
        span: name.span,
        origin: Origin::Table,
        stated: false,
        key: (0..fields.len() as u16).collect(),
        fields,
        keyed: false,
    };
    let rows = reader.each(rows, |reader, row| Some((read_table_row(reader, row, &table)?, row.span)))?;
    refuse_repeated_rows(reader, &table, &rows);
    Some((table, rows))
}

fn read_table_row(reader: &mut Reader, node: &Node, table: &TemplateSchema) -> Option<Vec<Constant>> {
    let items = reader.list(node, "a row of a table")?;
    if items.len() != table.fields.len() {
        let message = format!("`{}` has {} columns, this row has {}", table.name, table.fields.len(), items.len());
        reader.error("row-length", message, node.span);
        return None;
    }
    let values: Vec<_> = items.iter().zip(&table.fields).map(|(item, field)| read_value(item, field)).collect();
    let mut row = Vec::new();
    for value in values {
        match value {
            Ok(value) => row.push(value),
            Err(finding) => reader.report(*finding),
        }
    }
    (row.len() == items.len()).then_some(row)
}

fn refuse_repeated_rows(reader: &mut Reader, table: &TemplateSchema, rows: &TableRows) {
    let mut seen = std::collections::HashMap::new();
    for (row, span) in rows {
        let mut text = String::new();
        let row: Row = row.iter().cloned().map(Some).collect();
        write_row(&mut text, &row, table);
        if let Some(line) = seen.insert(text, span.line) {
            let finding = Diagnostic::error("duplicate-row", format!("`{}` has this row twice", table.name), *span);
            reader.report(finding.with_hint(format!("the other is in line {line}")));
        }
    }
}

/// Templates, then tables, and the tables' rows.
pub(super) fn join(
    reader: &mut Reader,
    mut templates: Vec<TemplateSchema>,
    tables: Vec<(TemplateSchema, TableRows)>,
) -> (Schema, Vec<TableRows>) {
    let mut all_rows = Vec::new();
    for (table, rows) in tables {
        if let Some(template) = templates.iter().find(|template| template.name == table.name) {
            let message = format!("`{}` is a template and a table", table.name);
            let hint = format!("the template is in line {}", template.span.line);
            reader.error_hint("duplicate-name", message, table.span, hint);
        }
        templates.push(table);
        all_rows.push(rows);
    }
    (Schema { templates }, all_rows)
}
