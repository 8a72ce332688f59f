//! Rows as columns with a string pool, as they come in. Checks nothing.

use rules_plugin::engine::{Column, Given, GivenTable, Values};
use rules_plugin::outcome::{OutputFacts, OutputTable, OwnedColumn, OwnedValues};
use rules_plugin::rows::Row;
use rules_plugin::schema::{Constant, FieldSchema, Scalar, Schema};

/// Tables in the order in which they are given, and the pool in that in which texts are met.
pub(crate) fn columns(facts: &[(usize, Vec<Row>)], schema: &Schema) -> OutputFacts {
    let mut made = OutputFacts::default();
    for (template, rows) in facts {
        let fields = schema.templates[*template].fields.iter().enumerate();
        let columns = fields.map(|(place, field)| column(rows, place, field, &mut made)).collect();
        made.tables.push(OutputTable { template: *template as u32, rows: rows.len() as u32, columns });
    }
    made
}

fn column(rows: &[Row], place: usize, field: &FieldSchema, facts: &mut OutputFacts) -> OwnedColumn {
    let missing = (0..).zip(rows).filter(|(_, row)| row[place].is_none()).map(|(at, _)| at).collect();
    let mut flat: Vec<Option<&Constant>> = Vec::new();
    let mut ends = Vec::new();
    for row in rows {
        match &row[place] {
            Some(Constant::List(values)) => flat.extend(values.iter().map(Some)),
            None if field.ty.list => {}
            value => flat.push(value.as_ref()),
        }
        ends.push(flat.len() as u32);
    }
    let values = match field.ty.scalar {
        Scalar::Bool => {
            let values = flat.iter().map(|value| u8::from(matches!(value, Some(Constant::Bool(true))))).collect();
            if field.ty.list { OwnedValues::BooleanLists(ends, values) } else { OwnedValues::Booleans(values) }
        }
        Scalar::Int | Scalar::Timestamp | Scalar::Duration => {
            let values =
                flat.iter().map(|value| if let Some(Constant::Int(value)) = value { *value } else { 0 }).collect();
            if field.ty.list { OwnedValues::IntegerLists(ends, values) } else { OwnedValues::Integers(values) }
        }
        Scalar::Double => {
            let values =
                flat.iter().map(|value| if let Some(Constant::Double(value)) = value { *value } else { 0.0 }).collect();
            if field.ty.list { OwnedValues::DoubleLists(ends, values) } else { OwnedValues::Doubles(values) }
        }
        Scalar::String | Scalar::Enum | Scalar::Bytes => {
            let values = flat.iter().map(|value| pooled(*value, facts)).collect();
            if field.ty.list { OwnedValues::PooledLists(ends, values) } else { OwnedValues::Pooled(values) }
        }
    };
    OwnedColumn { values, missing }
}

fn pooled(value: Option<&Constant>, facts: &mut OutputFacts) -> u32 {
    match value {
        Some(Constant::Text(text)) => facts.pool_data.extend_from_slice(text.as_bytes()),
        Some(Constant::Bytes(bytes)) => facts.pool_data.extend_from_slice(bytes),
        _ => {}
    }
    facts.pool_ends.push(facts.pool_data.len() as u32);
    facts.pool_ends.len() as u32 - 1
}

pub(crate) fn given(facts: &OutputFacts) -> Given<'_> {
    let tables = facts.tables.iter().map(given_table).collect();
    Given { tables, pool_ends: &facts.pool_ends, pool_data: &facts.pool_data }
}

fn given_table(table: &OutputTable) -> GivenTable<'_> {
    GivenTable { template: table.template, rows: table.rows, columns: table.columns.iter().map(given_column).collect() }
}

fn given_column(column: &OwnedColumn) -> Column<'_> {
    Column { values: values(&column.values), missing: &column.missing }
}

fn values(values: &OwnedValues) -> Values<'_> {
    match values {
        OwnedValues::Booleans(values) => Values::Booleans(values),
        OwnedValues::Integers(values) => Values::Integers(values),
        OwnedValues::Doubles(values) => Values::Doubles(values),
        OwnedValues::Pooled(values) => Values::Pooled(values),
        OwnedValues::BooleanLists(ends, values) => Values::BooleanLists(ends, values),
        OwnedValues::IntegerLists(ends, values) => Values::IntegerLists(ends, values),
        OwnedValues::DoubleLists(ends, values) => Values::DoubleLists(ends, values),
        OwnedValues::PooledLists(ends, values) => Values::PooledLists(ends, values),
    }
}
