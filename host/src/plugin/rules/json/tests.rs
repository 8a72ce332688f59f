//! Rows as JSON and the columns that they make, and what is refused with which words.

use serde_json::json;

use super::*;

fn field(name: &str, kind: Kind, repeated: bool) -> Field {
    let symbols = if kind == Kind::Symbol { vec!["low".to_owned(), "high".to_owned()] } else { Vec::new() };
    Field { name: name.to_owned(), kind, repeated, key: false, optional: name.starts_with('o'), symbols, length: None }
}

/// A rule set with one template of each origin; `thing` has the fields.
fn signature(fields: Vec<Field>) -> RulesSignature {
    let template = |name: &str, origin, fields| Template { name: name.to_owned(), origin, fields };
    RulesSignature {
        name: "set".to_owned(),
        version: "1.0.0".to_owned(),
        templates: vec![
            template("made", Origin::Derived, Vec::new()),
            template("thing", Origin::Input, fields),
            template("given", Origin::Output, Vec::new()),
        ],
        rules: Vec::new(),
    }
}

/// The column of a field `f` with these values in its rows.
fn column(kind: Kind, values: &[Value]) -> Result<(Column, Facts), String> {
    let repeated = values.iter().any(Value::is_array);
    let rows: Vec<Value> = values.iter().map(|value| json!({"f": value})).collect();
    let facts = Facts::from_json(&json!({"thing": rows}), &signature(vec![field("f", kind, repeated)]));
    let facts = facts.map_err(|error| error.to_string())?;
    Ok((facts.tables[0].columns[0].clone(), facts))
}

/// What is said of a value that is none of its kind.
fn refused(kind: Kind, value: Value, expected: &str) {
    let error = column(kind, &[value]).unwrap_err();
    assert_eq!(error, format!("`thing` row 1, field `f`: {expected}"));
}

#[test]
fn values_of_every_kind_become_columns() {
    let check = |kind, values: &[Value], expected: Values| {
        let (column, facts) = column(kind, values).unwrap();
        assert_eq!(column, Column::new(expected));
        assert_eq!((facts.tables[0].template, facts.tables[0].rows as usize), (1, values.len()));
    };
    check(Kind::Boolean, &[json!(true), json!(false)], Values::Booleans(vec![1, 0]));
    check(Kind::Integer, &[json!(7), json!("9223372036854775807")], Values::Integers(vec![7, i64::MAX]));
    check(
        Kind::Double,
        &[json!(1), json!(0.5), json!("-Infinity")],
        Values::Doubles(vec![1.0, 0.5, f64::NEG_INFINITY]),
    );
    check(Kind::Text, &[json!("a"), json!("b"), json!("a")], Values::Pooled(vec![0, 1, 0]));
    check(Kind::Symbol, &[json!("low")], Values::Pooled(vec![0]));
    check(Kind::Timestamp, &[json!("1970-01-01T00:00:01Z")], Values::Integers(vec![1_000_000_000]));
    check(Kind::Duration, &[json!("1ms")], Values::Integers(vec![1_000_000]));
    let lists = Lists { ends: vec![2, 2, 3], elements: vec![1, 2, 3] };
    check(Kind::Integer, &[json!([1, 2]), json!([]), json!([3])], Values::IntegerLists(lists));
    let lists = Lists { ends: vec![2], elements: vec![0, 0] };
    check(Kind::Text, &[json!(["x", "x"])], Values::PooledLists(lists));
}

#[test]
fn doubles_are_those_that_were_written() {
    for text in ["90.42225290942383", "-19.243053591130522", "2.0030397744267762e-253", "0.1", "1e23"] {
        let (column, _) = column(Kind::Double, &[serde_json::from_str(text).unwrap()]).unwrap();
        assert_eq!(column.values, Values::Doubles(vec![text.parse().unwrap()]), "{text}");
    }
}

#[test]
fn not_a_number_is_a_text() {
    let (column, _) = column(Kind::Double, &[json!("NaN")]).unwrap();
    assert!(matches!(column.values, Values::Doubles(values) if values[0].is_nan()));
}

#[test]
fn bytes_are_base64() {
    let (_, facts) = column(Kind::Blob, &[json!("aGn/")]).unwrap();
    assert_eq!(facts.pool.get(0), Some(b"hi\xff".as_slice()));
    refused(Kind::Blob, json!("aGk"), "`bytes` is wanted, not the text `aGk`");
}

#[test]
fn what_is_left_out_stays_left_out() {
    let fields = vec![field("a", Kind::Text, false), field("o", Kind::Double, true)];
    let rows = json!({"thing": [{"o": [1.0]}, {"a": "x"}, {"a": "y", "o": null}]});
    let facts = Facts::from_json(&rows, &signature(fields)).unwrap();
    let columns = &facts.tables[0].columns;
    assert_eq!((columns[0].missing.as_slice(), columns[1].missing.as_slice()), ([0].as_slice(), [1, 2].as_slice()));
    assert_eq!(columns[1].values, Values::DoubleLists(Lists { ends: vec![1, 1, 1], elements: vec![1.0] }));
}

#[test]
fn values_of_another_kind_are_refused() {
    refused(Kind::Boolean, json!(1), "`bool` is wanted, not the number 1");
    refused(Kind::Integer, json!(1.0), "`int` is wanted, not the number 1.0");
    refused(Kind::Integer, json!("1.0"), "`int` is wanted, not the text `1.0`");
    refused(Kind::Integer, json!("9223372036854775808"), "`int` is wanted, not the text `9223372036854775808`");
    refused(Kind::Double, json!("0.5"), "`double` is wanted, not the text `0.5`");
    refused(Kind::Text, json!(5), "`string` is wanted, not the number 5");
    refused(Kind::Text, Value::Null, "`string` is wanted, not null");
    refused(Kind::Symbol, json!("hihg"), "`hihg` is none of its values");
    refused(Kind::Timestamp, json!("yesterday"), "`timestamp` is wanted, not the text `yesterday`");
    refused(Kind::Duration, json!(10), "`duration` is wanted, not the number 10");
    refused(Kind::Integer, json!([1, "x"]), "element 2: `int` is wanted, not the text `x`");
}

#[test]
fn a_list_has_the_length_that_its_field_says() {
    let fields = vec![Field { length: Some(4), ..field("f", Kind::Double, true) }];
    let error = Facts::from_json(&json!({"thing": [{"f": [1, 2]}]}), &signature(fields)).unwrap_err();
    assert_eq!(error.to_string(), "`thing` row 1, field `f`: a list of 4 is wanted, this one has 2");
}

#[test]
fn names_that_are_not_there_are_told_with_the_nearest() {
    let check = |facts: Value, expected: &str, hint: &str| {
        let error = Facts::from_json(&facts, &signature(vec![field("count", Kind::Integer, false)])).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.hint()), (expected, Some(hint)), "{facts}");
    };
    check(json!({"thign": []}), "there is no template `thign`", "did you mean `thing`?");
    check(json!({"made": []}), "facts of `made` are made by rules and cannot be given", "given can be `thing`");
    check(json!({"thing": [{}, {"x": 1}]}), "`thing` row 2: there is no field `x`", "there are `count`");
    check(json!({"thing": {}}), "`thing`: its rows are a list, not an object", "write `[{field: value, ..}, ..]`");
    check(json!({"thing": [1]}), "`thing` row 1: a row is an object, not the number 1", "write `{field: value, ..}`");
    check(json!([]), "facts are an object of templates, not a list", "write `{template: [{field: value, ..}, ..]}`");
}
