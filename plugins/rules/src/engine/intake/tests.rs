//! Facts that come as columns: what is taken, and what is refused with which words.

use super::{Column, Given, GivenTable, Values};
use crate::load::{Loaded, Options, Refused};

const RULES: &str = "
schema: rules/v1
name: intake
version: 1.0.0
facts:
  item:
    origin: input
    key: [id]
    fields: {box: {type: list<int>, len: 2, optional: true}, id: int, name: string, size: {type: double, max: 1.0}}
rules: []
";

/// Three rows, whose columns a case may change.
struct Rows {
    ids: [i64; 3],
    sizes: [f64; 3],
    box_ends: [u32; 3],
    box_missing: Vec<u32>,
    name_missing: Vec<u32>,
    names: &'static [u8],
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            ids: [1, 2, 3],
            sizes: [0.5; 3],
            box_ends: [2, 4, 6],
            box_missing: Vec::new(),
            name_missing: Vec::new(),
            names: b"abc",
        }
    }
}

/// Why the rows are refused; empty if they are taken.
fn check(rows: Rows, expected: &str) {
    let boxes = vec![7; rows.box_ends[2] as usize];
    let column = |values, missing| Column { values, missing };
    let columns = vec![
        column(Values::IntegerLists(&rows.box_ends, &boxes), &rows.box_missing),
        column(Values::Integers(&rows.ids), &[][..]),
        column(Values::Pooled(&[0, 1, 2]), &rows.name_missing),
        column(Values::Doubles(&rows.sizes), &[][..]),
    ];
    let tables = vec![GivenTable { template: 0, rows: 3, columns }];
    let given = Given { tables, pool_ends: &[1, 2, 3], pool_data: rows.names };
    let mut loaded = Loaded::from_source(RULES.as_bytes(), "", || false).unwrap_or_else(|found| panic!("{found:#?}"));
    let reason = match loaded.evaluate(&given, Options::default()) {
        Ok(_) => String::new(),
        Err(Refused::Facts(reason) | Refused::Params(reason)) => reason,
    };
    assert_eq!(reason, expected);
}

#[test]
fn rows_are_counted_from_one() {
    check(Rows::default(), "");
    check(
        Rows { sizes: [0.5, 0.5, 2.0], ..Rows::default() },
        "`size` of `item`: row 3: 2 is outside of what the template allows",
    );
    check(Rows { name_missing: vec![0], ..Rows::default() }, "row 1 of `item` lacks `name`");
    check(Rows { box_ends: [2, 3, 5], ..Rows::default() }, "`box` of `item`: row 2: 1 elements instead of 2");
    check(
        Rows { ids: [2, 1, 2], ..Rows::default() },
        "two facts of one key with different values: rows 1 and 3 of `item`",
    );
}

#[test]
fn a_list_that_is_left_out_has_no_length() {
    check(Rows { box_ends: [2, 2, 4], box_missing: vec![1], ..Rows::default() }, "");
}

#[test]
fn a_text_is_unicode() {
    check(Rows { names: b"a\xffc", ..Rows::default() }, "a text is not UTF-8");
}
