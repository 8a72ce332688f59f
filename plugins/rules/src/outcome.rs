//! What a run gives back: the decisions that count, and facts of origin `output` as columns with a string pool.

use crate::engine::{Decided, Decision, Ended, Engine};
use crate::schema::{FieldType, Origin, Scalar};
use crate::value::{List, Text, Value};

/// The decisions that a run gives by how it ended: none where it failed.
pub fn decisions_of(engine: &Engine, ended: &Ended) -> Vec<Decision> {
    match ended {
        Ended::Well => engine.result().unwrap_or_default(),
        Ended::Limit(limit) if limit.kind.may_decide() => engine.decided_by_limit().all,
        Ended::Limit(_) | Ended::Error(_) => Vec::new(),
    }
}

/// The same with all that were given.
pub fn result_of(engine: &Engine, ended: &Ended) -> Decided {
    match ended {
        Ended::Well => engine.decided().unwrap_or_default(),
        Ended::Limit(limit) if limit.kind.may_decide() => engine.decided_by_limit(),
        Ended::Limit(_) | Ended::Error(_) => Decided::default(),
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum OwnedValues {
    Booleans(Vec<u8>),
    Integers(Vec<i64>),
    Doubles(Vec<f64>),
    Pooled(Vec<u32>),
    BooleanLists(Vec<u32>, Vec<u8>),
    IntegerLists(Vec<u32>, Vec<i64>),
    DoubleLists(Vec<u32>, Vec<f64>),
    PooledLists(Vec<u32>, Vec<u32>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct OwnedColumn {
    pub values: OwnedValues,
    pub missing: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OutputTable {
    pub template: u32,
    pub rows: u32,
    pub columns: Vec<OwnedColumn>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputFacts {
    pub tables: Vec<OutputTable>,
    pub pool_ends: Vec<u32>,
    pub pool_data: Vec<u8>,
}

/// Facts of all output templates, each in canonical order.
pub fn output_facts(engine: &Engine) -> OutputFacts {
    let mut made = Maker { engine, facts: OutputFacts::default(), places: Vec::new() };
    let templates = engine.rules.schema.templates.iter().enumerate();
    for (place, template) in templates.filter(|(_, template)| template.origin == Origin::Output) {
        let rows = engine.facts_of(place);
        let columns = (0..template.fields.len()).map(|field| made.column(place, field, &rows)).collect();
        made.facts.tables.push(OutputTable { template: place as u32, rows: rows.len() as u32, columns });
    }
    made.facts
}

const NOWHERE: u32 = u32::MAX;

struct Maker<'a> {
    engine: &'a Engine,
    facts: OutputFacts,
    /// The place of each text in the pool, or `NOWHERE`.
    places: Vec<u32>,
}

impl Maker<'_> {
    fn column(&mut self, template: usize, field: usize, rows: &[u32]) -> OwnedColumn {
        let table = &self.engine.tables[template];
        let ty = self.engine.rules.schema.templates[template].fields[field].ty;
        let field = field as u16;
        let missing: Vec<u32> = match table.has_mask() {
            true => (0..rows.len() as u32).filter(|&at| table.is_missing(rows[at as usize], field)).collect(),
            false => Vec::new(),
        };
        let cells: Vec<u64> = rows.iter().map(|&row| table.cell(row, field)).collect();
        OwnedColumn {
            values: if ty.list { self.lists(&cells, ty, &missing) } else { self.scalars(cells, ty) },
            missing,
        }
    }

    fn scalars(&mut self, cells: Vec<u64>, ty: FieldType) -> OwnedValues {
        match ty.scalar {
            Scalar::Bool => OwnedValues::Booleans(cells.into_iter().map(|cell| cell as u8).collect()),
            Scalar::Int | Scalar::Timestamp | Scalar::Duration => {
                OwnedValues::Integers(cells.into_iter().map(|cell| cell as i64).collect())
            }
            Scalar::Double => OwnedValues::Doubles(cells.into_iter().map(f64::from_bits).collect()),
            Scalar::String | Scalar::Enum | Scalar::Bytes => {
                OwnedValues::Pooled(cells.into_iter().map(|cell| self.pooled(Text(cell as u32))).collect())
            }
        }
    }

    fn lists(&mut self, cells: &[u64], ty: FieldType, missing: &[u32]) -> OwnedValues {
        let mut ends = Vec::with_capacity(cells.len());
        let mut elements: Vec<u64> = Vec::new();
        for (row, &cell) in cells.iter().enumerate() {
            if missing.binary_search(&(row as u32)).is_err() {
                let values = self.engine.heap.list(List(cell as u32));
                elements.extend(values.iter().map(|&value| element_cell(value)));
            }
            ends.push(elements.len() as u32);
        }
        match self.scalars(elements, ty) {
            OwnedValues::Booleans(values) => OwnedValues::BooleanLists(ends, values),
            OwnedValues::Integers(values) => OwnedValues::IntegerLists(ends, values),
            OwnedValues::Doubles(values) => OwnedValues::DoubleLists(ends, values),
            OwnedValues::Pooled(values) => OwnedValues::PooledLists(ends, values),
            lists => lists,
        }
    }

    fn pooled(&mut self, text: Text) -> u32 {
        if self.places.is_empty() {
            self.places.resize(self.engine.heap.texts.len(), NOWHERE);
        }
        let place = &mut self.places[text.0 as usize];
        if *place == NOWHERE {
            *place = self.facts.pool_ends.len() as u32;
            self.facts.pool_data.extend_from_slice(self.engine.heap.texts.get(text));
            self.facts.pool_ends.push(self.facts.pool_data.len() as u32);
        }
        *place
    }
}

fn element_cell(value: Value) -> u64 {
    crate::engine::value_cell(value)
}
