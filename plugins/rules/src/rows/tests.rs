//! Values and rows: what is read as what, what is refused, and that what is written reads back.

use proptest::prelude::*;

use super::*;
use crate::document::parse;
use crate::schema::{FieldType, Origin};

fn field(name: &str, scalar: Scalar, list: bool) -> FieldSchema {
    FieldSchema {
        name: name.into(),
        span: Span::default(),
        ty: FieldType { scalar, list },
        min: None,
        max: None,
        values: vec!["low".into(), "high".into()],
        len: None,
        nan: true,
        default: None,
        optional: false,
    }
}

/// What a value becomes as JSON, or the code of what is wrong with it.
fn read(source: &str, field: &FieldSchema) -> String {
    match read_value(&parse(source.as_bytes()).unwrap(), field) {
        Ok(value) => {
            let mut text = String::new();
            write_constant(&mut text, &value, field.ty);
            text
        }
        Err(finding) => finding.code.to_owned(),
    }
}

fn check(scalar: Scalar, cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        assert_eq!(read(source, &field("f", scalar, false)), *expected, "{source} as {scalar:?}");
    }
}

#[test]
fn bools_are_true_and_false() {
    check(Scalar::Bool, &[("true", "true"), ("false", "false"), ("1", "value-type"), ("'true'", "value-type")]);
}

#[test]
fn ints_have_no_fraction_and_may_be_texts() {
    check(
        Scalar::Int,
        &[
            ("7", "7"),
            ("-7", "-7"),
            ("1.0", "value-type"),
            ("1e3", "value-type"),
            ("'9223372036854775807'", "\"9223372036854775807\""),
            ("'-9223372036854775808'", "\"-9223372036854775808\""),
            ("9007199254740993", "\"9007199254740993\""),
            ("'9223372036854775808'", "value-type"),
            ("9223372036854775808", "value-type"),
            ("'12'", "12"),
            ("'+12'", "value-type"),
            ("'1.0'", "value-type"),
            ("''", "value-type"),
            ("true", "value-type"),
            ("~", "value-type"),
        ],
    );
}

#[test]
fn doubles_take_integers_and_the_three_texts() {
    check(
        Scalar::Double,
        &[
            ("1", "1"),
            ("0.5", "0.5"),
            ("1e300", "1e+300"),
            ("NaN", "\"NaN\""),
            ("Infinity", "\"Infinity\""),
            ("'-Infinity'", "\"-Infinity\""),
            (".nan", "value-type"),
            (".inf", "value-type"),
            ("1e999", "value-type"),
            ("'1.5'", "value-type"),
            ("nan", "value-type"),
        ],
    );
}

#[test]
fn strings_are_texts_only() {
    check(Scalar::String, &[("a b", "\"a b\""), ("'1'", "\"1\""), ("1", "value-type"), ("true", "value-type")]);
}

#[test]
fn bytes_are_base64() {
    check(Scalar::Bytes, &[("aGk=", "\"aGk=\""), ("''", "\"\""), ("aGk", "value-type"), ("'?'", "value-type")]);
}

#[test]
fn enums_take_their_values() {
    check(Scalar::Enum, &[("low", "\"low\""), ("Low", "value-unknown"), ("1", "value-type")]);
    let finding = read_value(&parse(b"lo").unwrap(), &field("f", Scalar::Enum, false)).unwrap_err();
    assert_eq!(finding.hint.as_deref(), Some("did you mean `low`?"));
}

#[test]
fn timestamps_are_rfc_3339() {
    check(
        Scalar::Timestamp,
        &[
            ("2026-01-31T12:00:00Z", "\"2026-01-31T12:00:00Z\""),
            ("2026-01-31T12:00:00.250+01:30", "\"2026-01-31T10:30:00.25Z\""),
            ("1969-12-31T23:59:59.999999999Z", "\"1969-12-31T23:59:59.999999999Z\""),
            ("2000-02-29T00:00:00-00:30", "\"2000-02-29T00:30:00Z\""),
            ("1677-09-21T00:12:44Z", "\"1677-09-21T00:12:44Z\""),
            ("2262-04-11T23:47:16.854775807Z", "\"2262-04-11T23:47:16.854775807Z\""),
            ("2262-04-11T23:47:16.854775808Z", "value-type"),
            ("1900-02-29T00:00:00Z", "value-type"),
            ("2026-13-01T00:00:00Z", "value-type"),
            ("2026-01-31T24:00:00Z", "value-type"),
            ("2026-01-31T12:00:60Z", "value-type"),
            ("2026-01-31T12:00:00", "value-type"),
            ("2026-01-31 12:00:00Z", "value-type"),
            ("2026-01-31T12:00:00.Z", "value-type"),
            ("2026-01-31T12:00:00+1:00", "value-type"),
            ("'é026-01-31T12:00:0Z'", "value-type"),
            ("2026-01-31", "value-type"),
            ("1769860800", "value-type"),
        ],
    );
}

#[test]
fn durations_are_numbers_with_units() {
    check(
        Scalar::Duration,
        &[
            ("1h30m", "\"5400s\""),
            ("-1.5s", "\"-1.5s\""),
            ("1ms", "\"0.001s\""),
            ("1us2ns", "\"0.000001002s\""),
            ("1\u{b5}s", "\"0.000001s\""),
            ("'0'", "\"0s\""),
            ("+.5m", "\"30s\""),
            ("0.1234567890123456789012s", "\"0.123456789s\""),
            ("-9223372036.854775808s", "\"-9223372036.854775808s\""),
            ("9223372036.854775808s", "value-type"),
            ("99999999999999999999999999999999999999999h", "value-type"),
            ("10", "value-type"),
            ("5", "value-type"),
            ("1h30", "value-type"),
            (".s", "value-type"),
            ("1.2.3s", "value-type"),
            ("1d", "value-type"),
            ("'-'", "value-type"),
            ("''", "value-type"),
        ],
    );
}

#[test]
fn bounds_hold_for_values_and_elements() {
    let bounded = |list: bool| FieldSchema {
        min: Some(Constant::Double(0.0)),
        max: Some(Constant::Double(1.0)),
        nan: false,
        len: list.then_some(2),
        ..field("f", Scalar::Double, list)
    };
    for (source, expected) in
        [("0", "0"), ("1.0", "1"), ("-0.1", "value-range"), ("2", "value-range"), ("NaN", "value-nan")]
    {
        assert_eq!(read(source, &bounded(false)), expected, "{source}");
    }
    for (source, expected) in [
        ("[0, 1]", "[0,1]"),
        ("[0, 2]", "value-range"),
        ("[0, NaN]", "value-nan"),
        ("[0]", "value-length"),
        ("[0, x]", "value-type"),
        ("0", "value-type"),
        ("[[0], 1]", "value-type"),
    ] {
        assert_eq!(read(source, &bounded(true)), expected, "{source}");
    }
}

#[test]
fn messages_name_the_field_and_what_it_takes() {
    let message = |source: &str, scalar| {
        let finding = read_value(&parse(source.as_bytes()).unwrap(), &field("f", scalar, false)).unwrap_err();
        format!("{} ({})", finding.message, finding.hint.unwrap_or_default())
    };
    assert_eq!(
        message("1.0", Scalar::Int),
        "`f` is an int, not a number (write it without a fraction and an exponent)"
    );
    assert_eq!(message("5", Scalar::String), "`f` is a string, not an integer (put it in quotes)");
    assert_eq!(
        message("soon", Scalar::Timestamp),
        "`f` is a timestamp, which `soon` is not (write RFC 3339, such as 2026-01-31T12:00:00Z)"
    );
}

fn template() -> TemplateSchema {
    let fields = vec![
        field("id", Scalar::Int, false),
        FieldSchema { default: Some(Constant::Text("x".into())), ..field("name", Scalar::String, false) },
        FieldSchema { optional: true, ..field("seen", Scalar::Timestamp, false) },
        field("score", Scalar::Double, false),
    ];
    TemplateSchema {
        name: "t".into(),
        span: Span::default(),
        origin: Origin::Input,
        stated: false,
        fields,
        key: vec![0],
        keyed: true,
    }
}

/// A row as JSON, or the codes of what is wrong.
fn row(source: &str, partial: bool) -> String {
    match read_row(&parse(source.as_bytes()).unwrap(), &template(), partial) {
        Ok(row) => {
            let mut text = String::new();
            write_row(&mut text, &row, &template());
            text
        }
        Err(findings) => findings.iter().map(|finding| finding.code).collect::<Vec<_>>().join(" "),
    }
}

#[test]
fn whole_rows_get_defaults_and_lack_nothing() {
    assert_eq!(row("{id: 1, score: 2}", false), r#"{"id":1,"name":"x","score":2}"#);
    assert_eq!(row("{id: 1, name: y, seen: ~, score: 2}", false), r#"{"id":1,"name":"y","score":2}"#);
    assert_eq!(row("{id: 1}", false), "missing-field");
    assert_eq!(row("{id: x}", false), "value-type missing-field");
    assert_eq!(row("{id: 1, score: ~}", false), "value-type");
    assert_eq!(row("{id: 1, score: 1, idd: 2}", false), "unknown-field");
    assert_eq!(row("[1]", false), "wrong-kind");
}

#[test]
fn partial_rows_name_what_they_like() {
    assert_eq!(row("{}", true), "{}");
    assert_eq!(row("{score: 1}", true), r#"{"score":1}"#);
    assert_eq!(row("{seen: ~}", true), "value-type");
    assert_eq!(row("{scores: 1}", true), "unknown-field");
}

/// How many rows there are, or the codes of what is wrong.
fn facts(source: &str) -> String {
    let schema = Schema { templates: vec![template()] };
    match read_facts(&parse(source.as_bytes()).unwrap(), &schema) {
        Ok(facts) => facts.iter().map(|(place, rows)| format!("{place}:{} ", rows.len())).collect(),
        Err(findings) => findings.iter().map(|finding| finding.code).collect::<Vec<_>>().join(" "),
    }
}

#[test]
fn equal_rows_are_one_and_unequal_rows_of_one_key_are_refused() {
    assert_eq!(facts("{t: [{id: 1, score: 1}, {id: 2, score: 1}]}"), "0:2 ");
    assert_eq!(facts("{t: [{id: 1, score: 1}, {score: 1.0, id: '1', name: x}]}"), "0:1 ");
    assert_eq!(facts("{t: [{id: 1, score: NaN}, {id: 1, score: NaN}]}"), "0:1 ");
    assert_eq!(facts("{t: [{id: 1, score: 1}, {id: 1, score: 2}]}"), "duplicate-fact");
    assert_eq!(facts("{u: [], t: {}}"), "unknown-template wrong-kind");
    assert_eq!(facts("[]"), "wrong-kind");
}

proptest! {
    #[test]
    fn timestamps_read_back(nanos: i64) {
        let mut text = String::new();
        write_timestamp(&mut text, nanos);
        prop_assert_eq!(parse_timestamp(&text), Some(nanos), "{}", text);
    }

    #[test]
    fn durations_read_back(nanos: i64) {
        let mut text = String::new();
        write_duration(&mut text, nanos);
        prop_assert_eq!(parse_duration(&text), Some(nanos), "{}", text);
    }

    #[test]
    fn times_of_any_text_do_not_panic(text in "[-+0-9TZ:.hmsnuµ]{0,30}") {
        let _ = (parse_timestamp(&text), parse_duration(&text));
    }

    #[test]
    fn constants_read_back(int: i64, bits: u64, text: String, bytes: Vec<u8>) {
        for (value, scalar) in [
            (Constant::Int(int), Scalar::Int),
            (Constant::Double(f64::from_bits(bits)), Scalar::Double),
            (Constant::Text(text), Scalar::String),
            (Constant::Bytes(bytes), Scalar::Bytes),
        ] {
            let field = field("f", scalar, false);
            let mut json = String::new();
            write_constant(&mut json, &value, field.ty);
            let Ok(node) = parse(json.as_bytes()) else { continue };
            let mut again = String::new();
            write_constant(&mut again, &read_value(&node, &field).unwrap(), field.ty);
            prop_assert_eq!(json, again);
        }
    }
}
