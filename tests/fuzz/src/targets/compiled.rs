//! Any bytes as a compiled rule set: they are refused, or what they say is a rule set that runs within its limits.
//!
//! An input is what stands behind the head, which is put before it: a checksum is nothing to guess. An input that has a
//! head of its own is taken as it is.

use std::rc::Rc;

use rules_plugin::engine::{Column, Given, GivenTable, Values};
use rules_plugin::heap::hash_bytes;
use rules_plugin::plan_text::plan_text;
use rules_plugin::schema::{Constant, FieldSchema, Origin, Scalar, TemplateSchema};
use rules_plugin::{compiled, load};

use super::runs::{engine, told};

const MAGIC: &[u8] = b"iwrules\0";
/// Its form shows what stands before a checksum.
const SMALL: &str = "{schema: rules/v1, name: a, version: 1.0.0, facts: {}, rules: []}";
/// Rows of each template that a run gets; fewer where these are refused.
const ROWS: [u32; 2] = [3, 1];

pub(super) fn run(input: &[u8]) {
    let decoded = match input.starts_with(MAGIC) {
        true => compiled::decode(input),
        false => compiled::decode(&sealed(input)),
    };
    let Ok((rules, warnings)) = decoded else { return };
    let bytes = compiled::encode(&rules, &warnings);
    match compiled::decode(&bytes) {
        Ok((again, warnings)) => assert!(compiled::encode(&again, &warnings) == bytes, "the form changes when read"),
        Err(error) => panic!("what was read is not read again: {}", error.message()),
    }
    let rules = Rc::new(rules);
    plan_text(&rules);
    let mut engine = engine(&rules);
    for rows in ROWS {
        let columns = Columns::new(&rules.schema.templates, rows);
        if let Ok(ended) = engine.evaluate(&columns.given()) {
            told(&mut engine, &ended, None);
            // In a warm engine too. What it tells may differ: only a form that was compiled binds all that it reads.
            if let Ok(ended) = engine.evaluate(&columns.given()) {
                told(&mut engine, &ended, None);
            }
            return;
        }
    }
}

/// The input for a rule set's text.
pub(super) fn payload_of(source: &[u8]) -> Option<Vec<u8>> {
    let bytes = load::compile(source).ok()?;
    bytes.get(head().len() + 8..).map(<[u8]>::to_vec)
}

/// All before the checksum.
fn head() -> Vec<u8> {
    let mut bytes = load::compile(SMALL.as_bytes()).unwrap_or_default();
    let checksum = (0..bytes.len()).find(|&at| {
        let (head, rest) = bytes.split_at(at);
        !head.is_empty() && rest.len() >= 8 && hash_bytes(&rest[8..]).to_le_bytes() == rest[..8]
    });
    bytes.truncate(checksum.unwrap_or_default());
    bytes
}

fn sealed(payload: &[u8]) -> Vec<u8> {
    thread_local! {
        static HEAD: Vec<u8> = head();
    }
    let mut bytes = HEAD.with(Clone::clone);
    bytes.extend(hash_bytes(payload).to_le_bytes());
    bytes.extend(payload);
    bytes
}

/// Columns of all input templates, of values that their fields allow as far as one can see.
struct Columns {
    tables: Vec<(u32, Vec<Cells>)>,
    rows: u32,
    ends: Vec<u32>,
    data: Vec<u8>,
}

struct Cells {
    numbers: Vec<i64>,
    bytes: Vec<u8>,
    doubles: Vec<f64>,
    places: Vec<u32>,
    /// For lists: where each row's ends.
    ends: Option<Vec<u32>>,
    scalar: Scalar,
    missing: Vec<u32>,
}

impl Columns {
    fn new(templates: &[TemplateSchema], rows: u32) -> Self {
        let mut columns = Self { tables: Vec::new(), rows, ends: Vec::new(), data: Vec::new() };
        for (place, template) in templates.iter().enumerate().filter(|(_, known)| known.origin == Origin::Input) {
            let rows = if template.key.is_empty() { rows.min(1) } else { rows };
            let cells = template.fields.iter().map(|field| columns.cells(field, rows)).collect();
            columns.tables.push((place as u32, cells));
        }
        columns
    }

    fn cells(&mut self, field: &FieldSchema, rows: u32) -> Cells {
        let length = if field.ty.list { field.len.unwrap_or(2).min(64) } else { 1 };
        let count = rows * length;
        let first = match &field.min {
            Some(Constant::Int(min)) => *min as f64,
            Some(Constant::Double(min)) => *min,
            _ => 0.0,
        };
        let steps = || (0..count).map(f64::from);
        Cells {
            numbers: steps().map(|at| (first + at) as i64).collect(),
            bytes: (0..count).map(|at| (at % 2) as u8).collect(),
            doubles: steps().map(|at| first + at / 2.0).collect(),
            places: (0..count).map(|at| self.text(field, at as usize)).collect(),
            ends: field.ty.list.then(|| (1..=rows).map(|row| row * length).collect()),
            scalar: field.ty.scalar,
            missing: if field.optional && rows > 1 { vec![rows - 1] } else { Vec::new() },
        }
    }

    fn text(&mut self, field: &FieldSchema, at: usize) -> u32 {
        let text = match field.values.len() {
            0 => ["a", "b", "", "ab"][at % 4],
            values => field.values[at % values].as_str(),
        };
        self.data.extend_from_slice(text.as_bytes());
        self.ends.push(self.data.len() as u32);
        self.ends.len() as u32 - 1
    }

    fn given(&self) -> Given<'_> {
        let table = |(template, cells): &'_ (u32, Vec<Cells>)| GivenTable {
            template: *template,
            rows: cells.first().map_or(self.rows, Cells::rows),
            columns: Vec::new(),
        };
        let mut given =
            Given { tables: self.tables.iter().map(table).collect(), pool_ends: &self.ends, pool_data: &self.data };
        for (table, (_, cells)) in given.tables.iter_mut().zip(&self.tables) {
            table.columns = cells.iter().map(Cells::column).collect();
        }
        given
    }
}

impl Cells {
    fn rows(&self) -> u32 {
        self.ends.as_ref().map_or(self.places.len(), Vec::len) as u32
    }

    fn column(&self) -> Column<'_> {
        let values = match (self.scalar, &self.ends) {
            (Scalar::Bool, None) => Values::Booleans(&self.bytes),
            (Scalar::Int | Scalar::Timestamp | Scalar::Duration, None) => Values::Integers(&self.numbers),
            (Scalar::Double, None) => Values::Doubles(&self.doubles),
            (Scalar::String | Scalar::Enum | Scalar::Bytes, None) => Values::Pooled(&self.places),
            (Scalar::Bool, Some(ends)) => Values::BooleanLists(ends, &self.bytes),
            (Scalar::Int | Scalar::Timestamp | Scalar::Duration, Some(ends)) => {
                Values::IntegerLists(ends, &self.numbers)
            }
            (Scalar::Double, Some(ends)) => Values::DoubleLists(ends, &self.doubles),
            (Scalar::String | Scalar::Enum | Scalar::Bytes, Some(ends)) => Values::PooledLists(ends, &self.places),
        };
        Column { values, missing: &self.missing }
    }
}
