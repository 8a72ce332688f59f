//! What YAML and JSON become, and what is refused where.

use proptest::prelude::*;

use super::*;
use crate::diagnostic::Severity;

/// The tree, shortly: `{a: 1, b: [x]}`.
fn show(node: &Node) -> String {
    match &node.data {
        Data::Null => "null".into(),
        Data::Bool(value) => value.to_string(),
        Data::Int(value) => value.to_string(),
        Data::BigInt(text) => format!("big {text}"),
        Data::Float(value) => format!("{value:?}"),
        Data::String(text) => format!("{text:?}"),
        Data::Sequence(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Data::Mapping(entries) => {
            let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{}: {}", key.name, show(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn reads(source: &str, expected: &str) {
    let node = parse(source.as_bytes()).unwrap_or_else(|findings| panic!("{source:?}: {findings:?}"));
    assert_eq!(show(&node), expected, "{source:?}");
}

fn check(source: impl AsRef<[u8]>, expected: &[&str]) {
    let findings = match parse(source.as_ref()) {
        Ok(node) => panic!("read {}", show(&node)),
        Err(findings) => findings,
    };
    let places: Vec<_> = findings
        .iter()
        .map(|finding| {
            let span = finding.span.unwrap();
            assert_eq!(finding.severity, Severity::Error);
            format!("{}@{}:{}", finding.code, span.line, span.column)
        })
        .collect();
    assert_eq!(places, expected, "{findings:?}");
}

#[test]
fn plain_scalars_follow_the_core_schema() {
    for (source, expected) in [
        ("null", "null"),
        ("~", "null"),
        ("Null", "null"),
        ("nULL", "\"nULL\""),
        ("true", "true"),
        ("FALSE", "false"),
        ("yes", "\"yes\""),
        ("off", "\"off\""),
        ("0", "0"),
        ("007", "7"),
        ("-12", "-12"),
        ("+12", "12"),
        ("0x1F", "31"),
        ("0o17", "15"),
        ("0x", "\"0x\""),
        ("-0x1", "\"-0x1\""),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "big 9223372036854775808"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("0xFFFFFFFFFFFFFFFF", "big 0xFFFFFFFFFFFFFFFF"),
        ("1.5", "1.5"),
        ("1.", "1.0"),
        (".5", "0.5"),
        ("-.5e-3", "-0.0005"),
        ("1e3", "1000.0"),
        ("-0.0", "0.0"),
        (".inf", "inf"),
        ("-.Inf", "-inf"),
        (".NaN", "NaN"),
        ("+.nan", "\"+.nan\""),
        ("NaN", "\"NaN\""),
        ("inf", "\"inf\""),
        (".", "\".\""),
        ("1e", "\"1e\""),
        ("1_000", "\"1_000\""),
        ("1.4.0", "\"1.4.0\""),
        ("2026-01-02", "\"2026-01-02\""),
    ] {
        reads(source, expected);
    }
}

#[test]
fn quoted_and_block_scalars_are_texts() {
    reads("'1'", "\"1\"");
    reads("\"true\"", "\"true\"");
    reads("|\n  1\n", "\"1\\n\"");
    reads(">-\n  a\n  b\n", "\"a b\"");
    reads("'it''s'", "\"it's\"");
    reads(r#""\u00e9\n\ud834\udd1e""#, "\"é\\n𝄞\"");
}

#[test]
fn json_is_read_as_it_is() {
    reads(
        "{\"a\":[1,-2.5e3,null,true],\n\t\"b\" :{\"c\":\"x\\/y\"}}",
        "{a: [1, -2500.0, null, true], b: {c: \"x/y\"}}",
    );
}

#[test]
fn block_and_flow_give_the_same_tree() {
    let expected = "{a: [1, {b: 2, c: null}], d: {}}";
    reads("a:\n  - 1\n  - b: 2\n    c:\nd: {}\n", expected);
    reads("{a: [1, {b: 2, c: ~}], d: {}}", expected);
}

#[test]
fn marks_line_ends_and_comments_do_not_matter() {
    reads("\u{feff}a: 1 # one\r\nb: 2\r\n", "{a: 1, b: 2}");
    reads("%YAML 1.2\n---\na: 1\n...\n", "{a: 1}");
}

#[test]
fn spans_count_characters() {
    let node = parse("é: {ü: 'ab', x: [1,\n 22]}\nnext:\n  - long text\n".as_bytes()).unwrap();
    let span = |line, column, end_line, end_column| Span { line, column, end_line, end_column };
    let first = node.get("é").unwrap();
    assert_eq!(first.span, span(1, 4, 2, 6));
    let text = first.get("ü").unwrap();
    assert_eq!((text.span, text.text_column), (span(1, 8, 1, 12), Some(9)));
    assert_eq!(first.get("x").unwrap().span, span(1, 17, 2, 5));
    let next = node.get("next").unwrap();
    assert_eq!(next.span, span(4, 3, 4, 14));
    assert_eq!(node.span, span(1, 1, 4, 14));
    let Data::Sequence(items) = &next.data else { panic!("{next:?}") };
    assert_eq!((items[0].span, items[0].text_column), (span(4, 5, 4, 14), Some(5)));
}

#[test]
fn only_texts_written_as_they_are_have_a_column() {
    let column = |source: &str| parse(source.as_bytes()).unwrap().text_column;
    assert_eq!(column("a b"), Some(1));
    assert_eq!(column("\"a b\""), Some(2));
    assert_eq!(column("\"a\\tb\""), None);
    assert_eq!(column("'it''s'"), None);
    assert_eq!(column("a\n b"), None);
    assert_eq!(column("\"a\n b\""), None);
    assert_eq!(column("12"), None);
    assert_eq!(column("|\n  a"), None);
}

#[test]
fn pointers_name_the_innermost_part() {
    let node = parse(b"a:\n  - {x: 1, y/z: [2, 3]}\n").unwrap();
    let at = |line, column| node.pointer_to(Span { line, column, end_line: line, end_column: column + 1 });
    assert_eq!(at(1, 1), "/a");
    assert_eq!(at(2, 6), "/a/0/x");
    assert_eq!(at(2, 18), "/a/0/y~1z/0");
    assert_eq!(at(9, 1), "");
    assert_eq!(node.pointer_to(node.get("a").unwrap().span), "/a");
}

#[test]
fn repeated_keys_are_refused_each() {
    check("a: 1\nb: 2\na: 3\n", &["duplicate-key@3:1"]);
    check("{x: {a: 1, 'a': 1}, x: 2}", &["duplicate-key@1:12", "duplicate-key@1:21"]);
    let many: String = (0..40).map(|n| format!("k{n}: 1\n")).collect();
    check(many + "k7: 2\n", &["duplicate-key@41:1"]);
}

#[test]
fn anchors_aliases_and_tags_are_refused() {
    check("a: &x 1\nb: *x\n", &["anchor@1:4", "alias@2:4"]);
    check("b: *nowhere\n", &["alias@1:4"]);
    check("a: !!str 1\nb: !mine {c: 1}\n", &["tag@1:4", "tag@2:4"]);
    check("if: !a.b\n", &["tag@1:5"]);
}

#[test]
fn keys_are_texts() {
    check("1: a\ntrue: b\n", &["key-not-text@1:1", "key-not-text@2:1"]);
    check("? [a]\n: b\n", &["key-not-text@1:3"]);
    check("{: b}\n", &["key-not-text@1:2"]);
}

#[test]
fn one_document_is_read() {
    check("a: 1\n---\nb: 2\n", &["several-documents@2:1"]);
    check("", &["empty@1:1"]);
    check("# nothing\n", &["empty@1:1"]);
}

#[test]
fn what_is_not_yaml_is_refused_at_its_place() {
    check("a: [1, 2\n", &["syntax@1:4"]);
    check("a: 'x\n", &["syntax@1:4"]);
    check("a: b: c\n", &["syntax@1:5"]);
    check("a:\n\t- b\n", &["syntax@2:2"]);
    check("when: x % 2\nif: %b\n", &["syntax@2:5"]);
}

#[test]
fn bytes_that_are_no_text_are_refused_at_their_place() {
    check(b"a: 1\nb: \xff", &["not-utf8@2:4"]);
    check("é\u{7}", &["control-character@1:2"]);
    check("a\0b", &["control-character@1:2"]);
    check(vec![b' '; SOURCE_BYTES_MAX + 1], &["too-large@1:1"]);
}

#[test]
fn deep_nesting_ends_early() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
    check(nested(DEPTH_MAX + 1), &["too-deep@1:65"]);
    check("[".repeat(1_000_000), &["too-deep@1:65"]);
    check("- ".repeat(100_000), &["too-deep@1:129"]);
    let block: String = (0..DEPTH_MAX + 5).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    check(block, &["too-deep@65:65"]);
}

#[test]
fn findings_are_bounded() {
    let source = "a: 1\n".repeat(1000);
    assert!(parse(source.as_bytes()).unwrap_err().len() <= 1000);
    let source = "- *a\n".repeat(1000);
    assert_eq!(parse(source.as_bytes()).unwrap_err().len(), FINDINGS_MAX);
}

const EXAMPLES: [&str; 4] = [
    include_str!("../../../../tests/fixtures/rules/detections.rules.yaml"),
    include_str!("../../../../tests/fixtures/rules/loan.rules.yaml"),
    include_str!("../../../../tests/fixtures/rules/output-checks.rules.yaml"),
    include_str!("../../../../tests/fixtures/rules/review-queue.rules.yaml"),
];

/// What is read fast is read alike by the general parser.
fn agree(text: &str) {
    if let Some(fast) = fast::read(text) {
        assert_eq!(build::build(text).as_ref(), Ok(&fast), "{text}");
    }
}

#[test]
fn usual_layouts_are_read_fast() {
    for text in [
        "a: 1\nb: x y\n",
        "a:\n  b: {c: [1, 'x', \"y\"]}  # why\n\n  d:\n    - 1\n    - e: f\n      g: h\n",
        "a:\n- 1\n- 2\nb: 3",
        "- - 1\n  - 2\n-\n  a: b\n",
        "{\"a\":[1,2],\n \"b\":{\"c\":\"d\\n\"}}",
        "é: {ü: 'ab', x: [1,\n 22]}\nnext:\n  - long text\n",
        "a: {b: c # d\n  , e: [f ,g ] ,}\n",
        "'it''s' : -1\n\"b\": \"\"\n",
        "a: \"\\u00e9\\u0000\\uFFFE\"\n",
        "a: http://x:80/y#z\nb: -x\n",
    ] {
        assert!(fast::read(text).is_some(), "{text}");
        agree(text);
    }
}

#[test]
fn what_is_unusual_is_left_to_the_general_parser() {
    for text in [
        "a: b\n  c\n",
        "a: 'b\n c'\n",
        "a:\n",
        "a: &x b\n",
        "a: !t b\n",
        "a: |\n  b\n",
        "? a\n",
        "--- \na: 1\n",
        "a: 1\n...\n",
        "a: {b: }\n",
        "a: [b: c]\n",
        "a: {b:1}\n",
        "a: 1\na: 2\n",
        "1: a\n",
        "a: b: c\n",
        "a: 1\n b: 2\n",
        " a: 1\nb: 2\n",
        "a: [1,\n2]\n",
        "a:\n-\n  b: 1\n",
        "a\n",
        "a: \"\\ud834\\udd1e\"\n",
        "a:\tb\n",
        "a: 'b'c\n",
        "a: - b\n",
        "-\n",
        "a: [1, , 2]\n",
        "a: {b c\n d: e}\n",
    ] {
        assert_eq!(fast::read(text), None, "{text}");
    }
}

#[test]
fn the_examples_are_read_alike_by_both() {
    for text in EXAMPLES {
        agree(text);
    }
    assert!(EXAMPLES.iter().all(|text| fast::read(text).is_some()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn yaml_of_any_kind_is_read_alike(text in "([a-c1é:,#'\"{}\\[\\]&!|>%?.-]| |: |- |, |\n|\n  |\\\\n|\\\\u00e9|\\\\ud8){0,30}") {
        agree(&text);
    }

    #[test]
    fn words_in_usual_places_are_read_alike(
        words in prop::collection::vec("[a-c1:,#'\"{}\\[\\]-]{1,4}", 6),
        layout in 0_usize..5,
    ) {
        let layouts = ["0: 1\n2:\n  - 3\n  - 4: 5\n", "{0: 1, 2: [3, {4: 5}]}", "- 0: 1 # 2\n  3: [4, 5]\n", "0:\n  1: \"2\"\n3: '4' #5\n", "0:\n-   1\n- 2:  3\n4:\n  5\n"];
        let text: String = layouts[layout]
            .chars()
            .map(|place| place.to_digit(10).map_or_else(|| place.to_string(), |digit| words[digit as usize].clone()))
            .collect();
        agree(&text);
    }
}

proptest! {
    #[test]
    fn changed_examples_are_read_alike(
        example in 0_usize..4,
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..3, "[a\" '{}\\[\\],:#\n-]{1,2}"), 1..4),
    ) {
        let mut text = EXAMPLES[example].to_owned();
        for (index, kind, new) in edits {
            let at = index.index(text.len());
            if !text.is_char_boundary(at) || !text.is_char_boundary(at + 1) {
                continue;
            }
            match kind {
                0 => text.insert_str(at, &new),
                1 => { text.remove(at); }
                _ => text.replace_range(at..=at, &new),
            }
        }
        agree(&text);
        let _ = parse(text.as_bytes());
    }

    #[test]
    fn bytes_of_any_kind_do_not_panic(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }
}
