//! What an engine may give back, and what is refused.

use super::super::signature::Template;
use super::super::strings::PoolBuilder;
use super::*;

fn field(name: &str, kind: Kind, repeated: bool, optional: bool) -> Field {
    Field { name: name.to_owned(), kind, repeated, key: false, optional, symbols: Vec::new(), length: None }
}

fn signature(origin: Origin) -> RulesSignature {
    let fields = vec![
        field("flag", Kind::Boolean, false, false),
        field("text", Kind::Text, false, true),
        field("scores", Kind::Double, true, false),
        field("blob", Kind::Blob, false, false),
    ];
    let template = Template { name: "t".to_owned(), origin, fields };
    RulesSignature { name: "r".to_owned(), version: "1.0.0".to_owned(), templates: vec![template], rules: Vec::new() }
}

/// Two rows that fit the signature.
fn sound() -> Facts {
    let mut pool = PoolBuilder::new();
    let (text, blob) = (pool.intern(b"text").unwrap(), pool.intern(b"\xff").unwrap());
    let columns = vec![
        Column::new(Values::Booleans(vec![0, 1])),
        Column::new(Values::Pooled(vec![text, text])),
        Column::new(Values::DoubleLists(Lists { ends: vec![0, 2], elements: vec![0.5, 1.5] })),
        Column::new(Values::Pooled(vec![blob, blob])),
    ];
    Facts { tables: vec![Table { template: 0, rows: 2, columns }], pool: pool.finish() }
}

fn check(change: impl FnOnce(&mut Table), expected: Option<&str>) {
    let mut facts = sound();
    change(&mut facts.tables[0]);
    let refusal = facts.check_outputs(&signature(Origin::Output)).err();
    match (&refusal, expected) {
        (None, None) => {}
        (Some(refusal), Some(part)) if refusal.contains(part) => {}
        _ => panic!("expected {expected:?}, got {refusal:?}"),
    }
}

#[test]
fn sound_facts_are_taken() {
    check(|_| {}, None);
}

#[test]
fn tables_name_an_output_template_and_have_its_columns() {
    check(|table| table.template = 1, Some("no template 1"));
    check(|table| table.columns.truncate(3), Some("3 columns"));
    assert!(sound().check_outputs(&signature(Origin::Derived)).unwrap_err().contains("no output template"));
}

#[test]
fn columns_hold_what_their_field_says() {
    check(|table| table.columns[0].values = Values::Integers(vec![0, 1]), Some("`t.flag` has values of another kind"));
    check(|table| table.columns[0].values = Values::Booleans(vec![0, 2]), Some("neither 0 nor 1"));
    check(|table| table.columns[0].values = Values::Booleans(vec![0]), Some("do not fit"));
    check(|table| table.rows = 3, Some("do not fit"));
}

#[test]
fn lists_end_where_their_elements_do() {
    let lists = |ends: &[u32]| Values::DoubleLists(Lists { ends: ends.to_vec(), elements: vec![0.5, 1.5] });
    check(|table| table.columns[2].values = lists(&[2, 1]), Some("do not fit"));
    check(|table| table.columns[2].values = lists(&[0, 3]), Some("do not fit"));
    check(|table| table.columns[2].values = lists(&[2, 2]), None);
}

#[test]
fn places_are_in_the_pool_and_texts_are_utf_8() {
    check(|table| table.columns[1].values = Values::Pooled(vec![0, 2]), Some("`t.text` names strings"));
    check(|table| table.columns[1].values = Values::Pooled(vec![0, 1]), Some("`t.text` names strings"));
    check(|table| table.columns[3].values = Values::Pooled(vec![0, 1]), None);
}

#[test]
fn only_optional_fields_are_missing_and_only_in_rows_that_exist() {
    check(|table| table.columns[1].missing = vec![1], None);
    check(|table| table.columns[1].missing = vec![1, 0], Some("ascending"));
    check(|table| table.columns[1].missing = vec![2], Some("ascending"));
    check(|table| table.columns[0].missing = vec![0], Some("not optional"));
    check(
        |table| {
            *table.columns.get_mut(1).unwrap() = Column { values: Values::Pooled(vec![9, 0]), missing: vec![0] };
        },
        None,
    );
}

#[test]
fn lists_are_read_by_row() {
    let lists = Lists { ends: vec![1, 1, 3], elements: vec![7, 8, 9] };
    assert_eq!([lists.row(0), lists.row(1), lists.row(2)].map(Option::unwrap), [&[7][..], &[], &[8, 9]]);
    assert_eq!(lists.row(3), None);
}
