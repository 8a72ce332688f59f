//! Types, names, hints, what is read, and what is folded.

use crate::cel::tests::{Facts, check};
use crate::cel::{Type, compile, compile_dynamic, parse};
use crate::heap::Texts;

fn compiled(text: &str) -> crate::cel::Program {
    let mut facts = Facts::new();
    compile(&parse(text).unwrap(), &facts.row(), &mut facts.heap.texts).unwrap()
}

fn errors(text: &str) -> Vec<String> {
    let mut facts = Facts::new();
    let errors = compile(&parse(text).unwrap(), &facts.row(), &mut facts.heap.texts).unwrap_err();
    let show = |error: crate::cel::CheckError| {
        let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}..{} {}{hint}", error.range.begin, error.range.end, error.message)
    };
    errors.into_iter().map(show).collect()
}

fn check_type(text: &str, ty: Type) {
    assert_eq!(*compiled(text).ty(), ty, "{text}");
}

#[test]
fn types_are_inferred() {
    check_type("a.score * 2.0", Type::Double);
    check_type("a.count + x", Type::Int);
    check_type("[1, 2].map(i, string(i))", Type::list(Type::String));
    check_type("{'k': [1]}", Type::Map(Box::new(Type::String), Box::new(Type::list(Type::Int))));
    check_type("a.?seen", Type::optional(Type::Timestamp));
    check_type("[1, 'a']", Type::list(Type::Dyn));
    check_type("a.seen - a.seen", Type::Duration);
    check_type("a.box[0]", Type::Double);
    check_type("math.greatest(1, 2)", Type::Int);
    check_type("math.greatest(1, 2.0)", Type::Dyn);
    check_type("a.color", Type::Enum);
    check_type("flag ? a.color : 'x'", Type::String);
    check_type("a.name.split(',')", Type::list(Type::String));
    check_type("type(1)", Type::Type);
}

#[test]
fn a_fact_is_not_a_value() {
    assert_eq!(errors("a"), ["0..1 `a` is a fact, not a value (read one of its fields: `a.field`)"]);
    assert_eq!(errors("a == b").len(), 2);
}

#[test]
fn unknown_names_are_errors() {
    assert_eq!(errors("nothing"), ["0..7 unknown name `nothing`"]);
    assert_eq!(errors("a.nothing"), ["0..9 `a` has no field `nothing`"]);
    assert_eq!(errors("nothing(1)"), ["0..10 unknown function `nothing`"]);
    assert_eq!(errors("x.nothing()"), ["0..11 unknown function `nothing`"]);
}

#[test]
fn types_must_fit() {
    let hint = "write the number with a point (`1.0`), or convert it: `double(n)`";
    assert_eq!(errors("a.score > 1"), [format!("0..11 `>` is not defined for `double` and `int` ({hint})")]);
    assert_eq!(errors("a.name && flag"), ["0..6 expected `bool`, found `string`"]);
    assert_eq!(errors("flag ? 1 : 'a'").len(), 1);
    assert_eq!(errors("1 in ['a']").len(), 1);
    assert_eq!(errors("{1.5: 1}"), ["0..8 `double` cannot be the key of a map"]);
    assert_eq!(
        errors("a.name.startsWith(1)"),
        ["0..20 `startsWith` does not take (string, int) (there is `startsWith(string, string)`)"]
    );
    assert_eq!(errors("x.matches('a')").len(), 1);
    assert!(errors("a.name.matches('(')")[0].starts_with("15..18 not a regular expression"));
}

#[test]
fn every_error_is_told() {
    assert_eq!(errors("nothing == 1 && a.nothing == 2 && a.score > 1").len(), 3);
}

#[test]
fn qualified_names_are_looked_up_whole() {
    check("params.limit * 2.0", "0.5");
    check("[1].map(params, params + 1)", "[2]");
    check("num.pi > 3.14", "true");
    check("a.color == red && red != 'blue'", "true");
}

#[test]
fn enums_are_texts() {
    check("a.color == 'red'", "true");
    check("a.color.startsWith('re')", "true");
    check("a.color in ['green', 'red']", "true");
}

#[test]
fn optional_fields_are_asked_for() {
    check("has(a.seen)", "false");
    check("has(a.score)", "true");
    check("a.?seen.hasValue()", "false");
    check("a.?score.orValue(1.0)", "0.5");
    check("a.?seen.orValue(timestamp(0))", "1970-01-01T00:00:00Z");
    check("a.seen == timestamp(0)", "error: no such field");
    check("a.seen == timestamp(0) && false", "false");
}

#[test]
fn reads_are_known() {
    let reads =
        compiled("a.score > 0.5 && (b.count == x || has(b.seen)) && [a.score].exists(s, s > params.limit)").reads();
    assert_eq!(reads.slots, [0, 1]);
    assert_eq!(reads.fields, [(0, 0), (1, 1), (1, 5)]);
}

#[test]
fn constants_are_folded() {
    for text in [
        "1 + 2 * 3",
        "duration('1h') + duration('30m')",
        "'a' + 'b' == 'ab' && !false",
        "size([1, 2, 3]) > 2 ? 'x' : 'y'",
        "'abc'.matches('b')",
        "has(a.score)",
        "[1, 2].map(i, i)[0] == 1 || true",
    ] {
        let is_constant = compiled(text).constant().is_some();
        assert_eq!(is_constant, !text.contains(".map("), "{text}");
    }
    assert!(compiled("1 / 0 == 1").constant().is_none());
    check("1 / 0 == 1", "error: division by zero");
}

#[test]
fn an_expression_too_large_is_an_error() {
    let mut texts = Texts::default();
    let args = vec!["1"; 300].join(", ");
    let expr = parse(&format!("math.greatest({args})")).unwrap();
    assert!(compile_dynamic(&expr, &|_| None, &mut texts).is_err());
    check(&format!("[{args}].size()"), "300");
}
