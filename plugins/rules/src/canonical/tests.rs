//! The canonical form: what counts and what does not.

use proptest::prelude::*;

use super::*;
use crate::document::parse;

fn canonical_of(source: &str) -> String {
    canonical(&parse(source.as_bytes()).unwrap()).unwrap()
}

fn check(source: &str, expected: &str) {
    assert_eq!(canonical_of(source), expected, "{source}");
}

#[test]
fn keys_are_sorted_by_utf16_and_space_goes() {
    check("b: 1\na: [1, {d: ~, c: true}]\n", r#"{"a":[1,{"c":true,"d":null}],"b":1}"#);
    // U+1F600 is D83D DE00 in UTF-16, which comes before U+FB33, though not in UTF-8.
    check("{\"\u{fb33}\": 1, \"\u{1f600}\": 2, é: 3}", "{\"é\":3,\"\u{1f600}\":2,\"\u{fb33}\":1}");
}

#[test]
fn spelling_order_and_comments_do_not_count() {
    let one = canonical_of("a: 1 # one\nb: ['x', 1.50]\n");
    assert_eq!(one, canonical_of("{\"b\": [x, 15e-1], \"a\": 1.0}"));
    assert_eq!(digest(&one), digest(&canonical_of("a: 0x1\nb:\n  - \"x\"\n  - 1.5\n")));
    assert_ne!(one, canonical_of("a: '1'\nb: [x, 1.5]\n"));
}

#[test]
fn texts_have_the_escapes_of_the_standard() {
    check(r#""\u20ac$\u000F\nA'\u0042\u0022\\\\\"/ \u007f""#, "\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/ \u{7f}\"");
    check(r#""\b\t\n\f\r\e""#, r#""\b\t\n\f\r\u001b""#);
}

#[test]
fn numbers_are_written_as_ecmascript_does() {
    for (value, expected) in [
        (0.0, "0"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (-f64::MAX, "-1.7976931348623157e+308"),
        (9_007_199_254_740_992.0, "9007199254740992"),
        (295_147_905_179_352_830_000.0, "295147905179352830000"),
        (1e21, "1e+21"),
        (999_999_999_999_999_900_000.0, "999999999999999900000"),
        (1e23, "1e+23"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-7, "1.5e-7"),
        (0.000_001_234, "0.000001234"),
        (333_333_333.333_333_3, "333333333.3333333"),
        (-0.1, "-0.1"),
        (4.5, "4.5"),
        (100.0, "100"),
        (1_424_953_923_781_206.2, "1424953923781206.2"),
    ] {
        let mut text = String::new();
        write_number(&mut text, value);
        assert_eq!(text, expected);
    }
}

#[test]
fn numbers_that_json_does_not_hold_are_refused() {
    let places = |source: &str| -> Vec<_> {
        let findings = canonical(&parse(source.as_bytes()).unwrap()).unwrap_err();
        findings.iter().map(|finding| (finding.code, finding.span.unwrap().column)).collect()
    };
    assert_eq!(places("[9007199254740993, -9007199254740993]"), [("number-range", 2), ("number-range", 20)]);
    assert_eq!(places("[1, 99999999999999999999, .inf, .nan, 1e999]").len(), 4);
    check("[9007199254740992, -9007199254740992]", "[9007199254740992,-9007199254740992]");
}

#[test]
fn the_digest_is_the_sha_256_of_the_form() {
    let hex: String = digest("{}").iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
}

proptest! {
    #[test]
    fn keys_are_ordered_by_utf16(a in "[a\u{d7ff}\u{e000}\u{fb33}\u{1f600}\u{10ffff}]{0,3}", b in "[a\u{d7ff}\u{e000}\u{fb33}\u{1f600}\u{10ffff}]{0,3}") {
        prop_assert_eq!(by_utf16(&a, &b), a.encode_utf16().cmp(b.encode_utf16()));
    }

    #[test]
    fn numbers_read_back_to_the_same_bits(bits: u64) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite() && value != 0.0);
        let mut text = String::new();
        write_number(&mut text, value);
        prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
    }

    #[test]
    fn a_canonical_form_is_its_own(text in "\\PC{0,30}", key in "[^\u{7f}-\u{9f}]{0,20}", number: i32) {
        let mut source = String::from("{");
        write_text(&mut source, &key);
        source.push_str(":[");
        write_text(&mut source, &text);
        source.push_str(&format!(",{number}]}}"));
        prop_assert_eq!(canonical_of(&source), source);
    }
}
