//! Facts from outside: columns that are checked before anything of them is used, made into rows in canonical order.

use super::act::Batch;
use super::{Engine, check};
use crate::model::heap_cell;
use crate::order::{Order, Rows};
use crate::rows::Row;
use crate::schema::{FieldSchema, FieldType, Origin, Scalar, TemplateSchema};
use crate::store::double_cell;
use crate::value::{Text, Value};

#[cfg(test)]
mod tests;

/// The values of a field over all rows.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    Booleans(&'a [u8]),
    Integers(&'a [i64]),
    Doubles(&'a [f64]),
    /// Places in the pool.
    Pooled(&'a [u32]),
    /// Where each row's list ends, and all elements.
    BooleanLists(&'a [u32], &'a [u8]),
    IntegerLists(&'a [u32], &'a [i64]),
    DoubleLists(&'a [u32], &'a [f64]),
    PooledLists(&'a [u32], &'a [u32]),
}

#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    pub values: Values<'a>,
    /// Ascending rows that leave the field out.
    pub missing: &'a [u32],
}

#[derive(Clone, Debug)]
pub struct GivenTable<'a> {
    pub template: u32,
    pub rows: u32,
    pub columns: Vec<Column<'a>>,
}

/// All facts of a request.
#[derive(Clone, Debug, Default)]
pub struct Given<'a> {
    pub tables: Vec<GivenTable<'a>>,
    pub pool_ends: &'a [u32],
    pub pool_data: &'a [u8],
}

/// Why facts are refused, in words for a person, who counts rows from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntakeError(pub String);

type Taken<T> = Result<T, IntakeError>;

fn refuse<T>(reason: impl Into<String>) -> Taken<T> {
    Err(IntakeError(reason.into()))
}

/// The pool, with the texts that were met already.
struct Pool<'a> {
    ends: &'a [u32],
    data: &'a [u8],
    /// The data where all of it is UTF-8.
    text: Option<&'a str>,
    met: Vec<u32>,
}

const NOT_MET: u32 = u32::MAX;

impl<'a> Pool<'a> {
    fn new(given: &Given<'a>) -> Taken<Self> {
        let is_ascending = given.pool_ends.windows(2).all(|pair| pair[0] <= pair[1]);
        let text = std::str::from_utf8(given.pool_data).ok();
        let last = given.pool_ends.last().map_or(0, |&end| end as usize);
        if !is_ascending || last != given.pool_data.len() {
            return refuse("the string pool's ends do not fit its data");
        }
        Ok(Self { ends: given.pool_ends, data: given.pool_data, text, met: vec![NOT_MET; given.pool_ends.len()] })
    }

    fn text(&mut self, place: u32, is_text: bool, engine: &mut Engine) -> Taken<Text> {
        let Some(&end) = self.ends.get(place as usize) else { return refuse("a place outside of the string pool") };
        let met = self.met[place as usize];
        if met != NOT_MET {
            return Ok(Text(met));
        }
        let begin = if place == 0 { 0 } else { self.ends[place as usize - 1] };
        let bytes = &self.data[begin as usize..end as usize];
        let is_utf8 = || match self.text {
            Some(text) => text.is_char_boundary(begin as usize) && text.is_char_boundary(end as usize),
            None => std::str::from_utf8(bytes).is_ok(),
        };
        if is_text && !is_utf8() {
            return refuse("a text is not UTF-8");
        }
        let text = engine.heap.texts.intern(bytes);
        if is_text {
            self.met[place as usize] = text.0;
        }
        Ok(text)
    }
}

impl Engine {
    /// Takes the facts of a request in.
    pub(super) fn take(&mut self, given: &Given<'_>) -> Taken<()> {
        let mut pool = Pool::new(given)?;
        let rules = std::rc::Rc::clone(&self.rules);
        let mut has = vec![false; rules.schema.templates.len()];
        for table in &given.tables {
            let place = table.template as usize;
            let Some(template) = rules.schema.templates.get(place).filter(|known| known.origin != Origin::Table) else {
                return refuse(format!("there is no template {place}"));
            };
            if template.origin != Origin::Input {
                return refuse(format!("facts of `{}` are not given, rules make them", template.name));
            }
            if std::mem::replace(&mut has[place], true) {
                return refuse(format!("`{}` is given twice", template.name));
            }
            self.take_table(template, table, &mut pool)?;
        }
        Ok(())
    }

    fn take_table(&mut self, template: &TemplateSchema, table: &GivenTable<'_>, pool: &mut Pool<'_>) -> Taken<()> {
        let rows = table.rows as usize;
        if table.columns.len() != template.fields.len() {
            let (given, known) = (table.columns.len(), template.fields.len());
            return refuse(format!("`{}` has {known} fields, {given} columns are given", template.name));
        }
        if u64::from(table.rows) + self.facts > self.budget.facts_max {
            return refuse(format!(
                "{} facts of `{}` are more than the limit `max_facts` allows ({})",
                table.rows, template.name, self.budget.facts_max
            ));
        }
        if template.key.is_empty() && rows > 1 {
            return refuse(format!("`{}` has one fact at most, {rows} are given", template.name));
        }
        let stride = self.tables[table.template as usize].stride();
        for column in &table.columns {
            check_length(template, column, rows)?;
        }
        let mut cells = vec![0_u64; rows * stride];
        for (field, column) in table.columns.iter().enumerate() {
            let mut target = Target { cells: &mut cells, stride, field, schema: &template.fields[field] };
            self.take_column(template, column, &mut target, pool)?;
            self.take_missing(template, column, &mut target)?;
        }
        self.enter_rows(table.template as u16, template, &cells, stride)
    }

    fn take_column(
        &mut self,
        template: &TemplateSchema,
        column: &Column<'_>,
        target: &mut Target<'_>,
        pool: &mut Pool<'_>,
    ) -> Taken<()> {
        let FieldType { scalar, list } = target.schema.ty;
        let named = |reason: String, field: &FieldSchema| {
            IntakeError(format!("`{}` of `{}`: {reason}", field.name, template.name))
        };
        let is_text = scalar != Scalar::Bytes;
        match (column.values, scalar, list) {
            (Values::Booleans(values), Scalar::Bool, false) => {
                target.fill(values.iter().map(|&value| u64::from(value != 0)));
            }
            (Values::Integers(values), Scalar::Int | Scalar::Timestamp | Scalar::Duration, false) => {
                target.fill(values.iter().map(|&value| value as u64));
            }
            (Values::Doubles(values), Scalar::Double, false) => {
                target.fill(values.iter().map(|&value| double_cell(value)));
            }
            (Values::Pooled(values), Scalar::String | Scalar::Enum | Scalar::Bytes, false) => {
                for (row, &place) in values.iter().enumerate() {
                    if column.missing.binary_search(&(row as u32)).is_err() {
                        target.set(row, u64::from(pool.text(place, is_text, self)?.0));
                    }
                }
            }
            (_, _, true) => return self.take_lists(template, column, target, pool),
            _ => return Err(named("the column is of another type than the field".to_owned(), target.schema)),
        }
        if needs_check(target.schema) {
            for row in 0..target.rows() {
                if column.missing.binary_search(&(row as u32)).is_err() {
                    check::cell(target.get(row), target.schema, &self.heap)
                        .map_err(|reason| named(format!("row {}: {reason}", row + 1), target.schema))?;
                }
            }
        }
        Ok(())
    }

    fn take_lists(
        &mut self,
        template: &TemplateSchema,
        column: &Column<'_>,
        target: &mut Target<'_>,
        pool: &mut Pool<'_>,
    ) -> Taken<()> {
        let (values, scalar) = (column.values, target.schema.ty.scalar);
        let named = |reason: String, field: &FieldSchema| {
            IntakeError(format!("`{}` of `{}`: {reason}", field.name, template.name))
        };
        let (ends, count) = match (values, scalar) {
            (Values::BooleanLists(ends, values), Scalar::Bool) => (ends, values.len()),
            (Values::IntegerLists(ends, values), Scalar::Int | Scalar::Timestamp | Scalar::Duration) => {
                (ends, values.len())
            }
            (Values::DoubleLists(ends, values), Scalar::Double) => (ends, values.len()),
            (Values::PooledLists(ends, values), Scalar::String | Scalar::Enum | Scalar::Bytes) => (ends, values.len()),
            _ => return Err(named("the column is of another type than the field".to_owned(), target.schema)),
        };
        let is_ascending = ends.windows(2).all(|pair| pair[0] <= pair[1]);
        if !is_ascending || ends.last().map_or(0, |&end| end as usize) != count {
            return Err(named("the lists' ends do not fit their elements".to_owned(), target.schema));
        }
        let element = FieldType { scalar, list: false };
        let mut list: Vec<Value> = Vec::new();
        let mut begin = 0;
        for (row, &end) in ends.iter().enumerate() {
            list.clear();
            for at in begin..end as usize {
                let cell = match values {
                    Values::BooleanLists(_, values) => u64::from(values[at] != 0),
                    Values::IntegerLists(_, values) => values[at] as u64,
                    Values::DoubleLists(_, values) => double_cell(values[at]),
                    Values::PooledLists(_, values) => {
                        u64::from(pool.text(values[at], scalar != Scalar::Bytes, self)?.0)
                    }
                    _ => 0,
                };
                check::cell(cell, target.schema, &self.heap)
                    .map_err(|reason| named(format!("row {}: {reason}", row + 1), target.schema))?;
                list.push(crate::store::decode(cell, element));
            }
            begin = end as usize;
            target.set(row, u64::from(self.heap.intern_list(&list).0));
        }
        if let Some(len) = target.schema.len {
            let lengths = ends.iter().scan(0, |begin, &end| Some(end - std::mem::replace(begin, end)));
            let is_given = |row: usize| column.missing.binary_search(&(row as u32)).is_err();
            let wrong = lengths.enumerate().find(|&(row, found)| found != len && is_given(row));
            if let Some((row, found)) = wrong {
                return Err(named(format!("row {}: {found} elements instead of {len}", row + 1), target.schema));
            }
        }
        Ok(())
    }

    fn take_missing(&mut self, template: &TemplateSchema, column: &Column<'_>, target: &mut Target<'_>) -> Taken<()> {
        let field = target.schema;
        let is_ascending = column.missing.windows(2).all(|pair| pair[0] < pair[1]);
        if !is_ascending || column.missing.last().is_some_and(|&row| row as usize >= target.rows()) {
            return refuse(format!("`{}` of `{}`: missing rows are not ascending rows", field.name, template.name));
        }
        if column.missing.is_empty() {
            return Ok(());
        }
        match &field.default {
            Some(default) => {
                let cell = heap_cell(default, field.ty, &mut self.heap);
                column.missing.iter().for_each(|&row| target.set(row as usize, cell));
            }
            None if field.optional => column.missing.iter().for_each(|&row| target.miss(row as usize)),
            None => {
                let row = column.missing[0] + 1;
                return refuse(format!("row {row} of `{}` lacks `{}`", template.name, field.name));
            }
        }
        Ok(())
    }

    /// Enters rows in canonical order; equal ones once.
    fn enter_rows(&mut self, place: u16, template: &TemplateSchema, cells: &[u64], stride: usize) -> Taken<()> {
        let rows = Rows { cells, stride, mask: self.tables[place as usize].mask() };
        let row = |at: u32| &cells[at as usize * stride..(at as usize + 1) * stride];
        let mut order: Vec<u32> = (0..(cells.len() / stride.max(1)) as u32).collect();
        Order { fields: &template.key, types: &self.types[place as usize] }.sort(rows, &self.heap, &mut order);
        self.tables[place as usize].reserve(order.len());
        let mut before = None;
        for &this in &order {
            if let Some(before) =
                before.filter(|&before| self.tables[place as usize].has_same_key(row(before), row(this)))
            {
                if row(before) != row(this) {
                    let reason = "two facts of one key with different values";
                    let (rows, name) = ((before.min(this), before.max(this)), &template.name);
                    return refuse(format!("{reason}: rows {} and {} of `{name}`", rows.0 + 1, rows.1 + 1));
                }
                continue;
            }
            before = Some(this);
            self.append(place, row(this));
        }
        Ok(())
    }

    /// Facts of a step between two runs, in canonical order; each replaces what has its key.
    pub(super) fn assert_rows(&mut self, place: usize, rows: &[Row], batch: &mut Batch) {
        let rules = std::rc::Rc::clone(&self.rules);
        let template = &rules.schema.templates[place];
        let made: Vec<u64> = rows.iter().flat_map(|row| self.row_cells(place, row)).collect();
        let (stride, mask) = (self.tables[place].stride(), self.tables[place].mask());
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        let view = Rows { cells: &made, stride, mask };
        Order { fields: &template.key, types: &self.types[place] }.sort(view, &self.heap, &mut order);
        for row in order {
            let begin = row as usize * stride;
            self.state(place as u16, &made[begin..begin + stride], batch);
        }
    }

    /// A complete row as cells, the mask included.
    pub(super) fn row_cells(&mut self, place: usize, row: &Row) -> Vec<u64> {
        let mut mask = 0;
        let mut cells = Vec::with_capacity(row.len() + 1);
        for (field, value) in row.iter().enumerate() {
            let ty = self.types[place][field];
            cells.push(match value {
                Some(value) => heap_cell(value, ty, &mut self.heap),
                None => {
                    mask |= 1 << field;
                    0
                }
            });
        }
        if self.tables[place].has_mask() {
            cells.push(mask);
        }
        cells
    }
}

fn needs_check(field: &FieldSchema) -> bool {
    field.min.is_some()
        || field.max.is_some()
        || field.ty.scalar == Scalar::Enum
        || (field.ty.scalar == Scalar::Double && !field.nan)
}

fn check_length(template: &TemplateSchema, column: &Column<'_>, rows: usize) -> Taken<()> {
    let found = match column.values {
        Values::Booleans(values) => values.len(),
        Values::Integers(values) => values.len(),
        Values::Doubles(values) => values.len(),
        Values::Pooled(values) => values.len(),
        Values::BooleanLists(ends, _)
        | Values::IntegerLists(ends, _)
        | Values::DoubleLists(ends, _)
        | Values::PooledLists(ends, _) => ends.len(),
    };
    if found == rows {
        Ok(())
    } else {
        refuse(format!("a column of `{}` has {found} values for {rows} rows", template.name))
    }
}

/// One column of the rows that are being made.
struct Target<'a> {
    cells: &'a mut [u64],
    stride: usize,
    field: usize,
    schema: &'a FieldSchema,
}

impl Target<'_> {
    fn rows(&self) -> usize {
        self.cells.len() / self.stride
    }

    fn fill(&mut self, values: impl Iterator<Item = u64>) {
        for (place, value) in self.cells.iter_mut().skip(self.field).step_by(self.stride).zip(values) {
            *place = value;
        }
    }

    fn set(&mut self, row: usize, cell: u64) {
        self.cells[row * self.stride + self.field] = cell;
    }

    fn get(&self, row: usize) -> u64 {
        self.cells[row * self.stride + self.field]
    }

    fn miss(&mut self, row: usize) {
        self.set(row, 0);
        self.cells[row * self.stride + self.stride - 1] |= 1 << self.field;
    }
}
