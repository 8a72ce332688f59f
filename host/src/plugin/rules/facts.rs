//! Facts as columns, the form in which they cross to a rule engine and come back. What came back is checked here.

use super::signature::{Field, Kind, Origin, RulesSignature};
use super::strings::Pool;

/// Facts in any number of tables, and the strings that they name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub tables: Vec<Table>,
    pub pool: Pool,
}

/// Facts of one template.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// A place in the templates of the signature.
    pub template: u32,
    /// How many facts; each column has as many values or lists.
    pub rows: u32,
    /// One for each field of the template, in its order.
    pub columns: Vec<Column>,
}

/// The values of one field over all rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub values: Values,
    /// Ascending rows that leave this field out; what `values` holds there means nothing.
    pub missing: Vec<u32>,
}

impl Column {
    /// A column in which no row leaves its value out.
    pub fn new(values: Values) -> Self {
        Self { values, missing: Vec::new() }
    }
}

/// Values of one kind, or lists of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 0 or 1.
    Booleans(Vec<u8>),
    /// Also timestamps (nanoseconds since 1970-01-01T00:00:00Z) and durations (nanoseconds).
    Integers(Vec<i64>),
    Doubles(Vec<f64>),
    /// Texts, blobs and symbols: places in the pool.
    Pooled(Vec<u32>),
    BooleanLists(Lists<u8>),
    IntegerLists(Lists<i64>),
    DoubleLists(Lists<f64>),
    PooledLists(Lists<u32>),
}

/// One list a row, all of them in one block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lists<T> {
    /// Where each row's list ends (exclusive) in `elements`.
    pub ends: Vec<u32>,
    pub elements: Vec<T>,
}

impl<T> Lists<T> {
    /// The list of a row; `None` if there is no such row.
    pub fn row(&self, row: usize) -> Option<&[T]> {
        let end = *self.ends.get(row)? as usize;
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.elements.get(start..end)
    }

    fn is_sound(&self) -> bool {
        self.ends.is_sorted() && self.ends.last().map_or(0, |&end| end as usize) == self.elements.len()
    }
}

impl Values {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        match self {
            Self::Booleans(values) => values.len(),
            Self::Integers(values) => values.len(),
            Self::Doubles(values) => values.len(),
            Self::Pooled(values) => values.len(),
            Self::BooleanLists(lists) => lists.ends.len(),
            Self::IntegerLists(lists) => lists.ends.len(),
            Self::DoubleLists(lists) => lists.ends.len(),
            Self::PooledLists(lists) => lists.ends.len(),
        }
    }

    /// No rows of what a field holds.
    pub fn empty(kind: Kind, repeated: bool) -> Self {
        match (kind, repeated) {
            (Kind::Boolean, false) => Self::Booleans(Vec::new()),
            (Kind::Boolean, true) => Self::BooleanLists(Lists::default()),
            (Kind::Integer | Kind::Timestamp | Kind::Duration, false) => Self::Integers(Vec::new()),
            (Kind::Integer | Kind::Timestamp | Kind::Duration, true) => Self::IntegerLists(Lists::default()),
            (Kind::Double, false) => Self::Doubles(Vec::new()),
            (Kind::Double, true) => Self::DoubleLists(Lists::default()),
            (Kind::Text | Kind::Blob | Kind::Symbol, false) => Self::Pooled(Vec::new()),
            (Kind::Text | Kind::Blob | Kind::Symbol, true) => Self::PooledLists(Lists::default()),
        }
    }

    /// Appends what stands for a value that is left out.
    pub(super) fn push_nothing(&mut self) {
        fn repeat(ends: &mut Vec<u32>) {
            ends.push(ends.last().copied().unwrap_or_default());
        }
        match self {
            Self::Booleans(values) => values.push(0),
            Self::Integers(values) => values.push(0),
            Self::Doubles(values) => values.push(0.0),
            Self::Pooled(values) => values.push(0),
            Self::BooleanLists(lists) => repeat(&mut lists.ends),
            Self::IntegerLists(lists) => repeat(&mut lists.ends),
            Self::DoubleLists(lists) => repeat(&mut lists.ends),
            Self::PooledLists(lists) => repeat(&mut lists.ends),
        }
    }

    fn booleans(&self) -> &[u8] {
        match self {
            Self::Booleans(values) => values,
            Self::BooleanLists(lists) => &lists.elements,
            _ => &[],
        }
    }

    fn has_sound_lists(&self) -> bool {
        match self {
            Self::BooleanLists(lists) => lists.is_sound(),
            Self::IntegerLists(lists) => lists.is_sound(),
            Self::DoubleLists(lists) => lists.is_sound(),
            Self::PooledLists(lists) => lists.is_sound(),
            _ => true,
        }
    }
}

impl Facts {
    /// Whether these can be read without a second look: every index is inside, every column as its field says, and all
    /// are of output templates. The error says where not.
    pub(crate) fn check_outputs(&self, signature: &RulesSignature) -> Result<(), String> {
        for table in &self.tables {
            let template = signature.templates.get(table.template as usize);
            let template = template.ok_or_else(|| format!("there is no template {}", table.template))?;
            if template.origin != Origin::Output {
                return Err(format!("`{}` is no output template", template.name));
            }
            if table.columns.len() != template.fields.len() {
                return Err(format!("`{}` has {} columns", template.name, table.columns.len()));
            }
            for (field, column) in template.fields.iter().zip(&table.columns) {
                column
                    .check(field, table.rows as usize, &self.pool)
                    .map_err(|reason| format!("`{}.{}` {reason}", template.name, field.name))?;
            }
        }
        Ok(())
    }
}

impl Column {
    /// One that every row leaves out.
    pub fn nothing(field: &Field, rows: u32) -> Self {
        let mut values = Values::empty(field.kind, field.repeated);
        (0..rows).for_each(|_| values.push_nothing());
        Self { values, missing: (0..rows).collect() }
    }

    fn check(&self, field: &Field, rows: usize, pool: &Pool) -> Result<(), &'static str> {
        let expected = std::mem::discriminant(&Values::empty(field.kind, field.repeated));
        if std::mem::discriminant(&self.values) != expected {
            return Err("has values of another kind");
        }
        if self.values.rows() != rows || !self.values.has_sound_lists() {
            return Err("has values or lists that do not fit the rows");
        }
        if !self.missing.is_sorted_by(|one, next| one < next)
            || self.missing.last().is_some_and(|&row| row as usize >= rows)
        {
            return Err("has missing rows that are not ascending or not there");
        }
        if !field.optional && !self.missing.is_empty() {
            return Err("is missing though it is not optional");
        }
        if self.values.booleans().iter().any(|&value| value > 1) {
            return Err("has booleans that are neither 0 nor 1");
        }
        let is_sound = |&place: &u32| match field.kind {
            Kind::Blob => (place as usize) < pool.len(),
            _ => pool.text(place).is_some(),
        };
        let is_missing = |row: usize| u32::try_from(row).is_ok_and(|row| self.missing.binary_search(&row).is_ok());
        let is_each_sound = match &self.values {
            // What stands in a row that is missing means nothing.
            Values::Pooled(values) => values.iter().enumerate().all(|(row, place)| is_sound(place) || is_missing(row)),
            Values::PooledLists(lists) => lists.elements.iter().all(is_sound),
            _ => true,
        };
        if is_each_sound { Ok(()) } else { Err("names strings that are not in the pool, or are no UTF-8") }
    }
}

#[cfg(test)]
mod tests;
