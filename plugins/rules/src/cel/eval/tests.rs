//! Failures that are absorbed or not, loops, limits.

use super::{EvalError, Program};
use crate::cel::tests::{Facts, check, check_dynamic};
use crate::cel::{compile, parse};
use crate::heap::{Heap, Meter, Stop};
use crate::value::Value;

#[test]
fn logical_operators_are_commutative() {
    for (text, expected) in [
        ("false && 1 / 0 == 1", "false"),
        ("1 / 0 == 1 && false", "false"),
        ("1 / 0 == 1 && true", "error: division by zero"),
        ("1 / 0 == 1 || true", "true"),
        ("true || 1 / 0 == 1", "true"),
        ("1 / 0 == 1 || 1 % 0 == 1", "error: division by zero"),
        ("1 / 0 == 1 && flag && a.count > 5 && flag", "false"),
        ("flag && 1 / 0 == 1 && flag && !flag", "false"),
        ("!flag || 1 / 0 == 1 || !flag || flag", "true"),
        ("(1 / 0 == 1 ? true : false) && !flag", "false"),
        ("(1 / 0 == 1 || flag) && flag", "true"),
        ("flag && (1 / 0 == 1 || !flag)", "error: division by zero"),
    ] {
        check(text, expected);
    }
}

#[test]
fn only_truth_values_are_true_or_false() {
    check_dynamic("1 && true", "error: no such overload");
    check_dynamic("true && 1", "error: no such overload");
    check_dynamic("false && 1", "false");
    check_dynamic("'a' || true", "true");
    check_dynamic("1 ? 2 : 3", "error: no such overload");
    check_dynamic("!1", "error: no such overload");
    check_dynamic("[1].all(x, x)", "error: no such overload");
    check_dynamic("unknown || true", "true");
}

#[test]
fn quantifiers_absorb_failures_too() {
    check("[1, 0].all(i, 4 / i > 100)", "false");
    check("[0, 1].all(i, 4 / i > 100)", "false");
    check("[0, 1].all(i, 4 / i > 1)", "error: division by zero");
    check("[0, 1].exists(i, 4 / i > 1)", "true");
    check("[0, 1].exists(i, 4 / i > 5)", "error: division by zero");
    check("[0, 1].exists_one(i, 4 / i > 1)", "error: division by zero");
    check("a.box.exists(i, i > 1.5) && a.box.all(i, i >= 0.0)", "true");
    check("[[1, 2], [3]].all(l, l.exists(i, i > 1))", "true");
}

#[test]
fn a_list_that_failed_leaves_nothing_behind() {
    check("[1, 2].map(i, [i, 0].map(k, 4 / k).size() > 0 || true)", "[true, true]");
    check("[[1, 1 / 0].size() == 2 || true, [5, 1 / 0].size() == 2 || true]", "[true, true]");
    check("[1, 2].filter(i, [7, 8, i / 0].size() == 3 || i == 2)", "error: division by zero");
    check("[1, 2].filter(i, [7, 8, i / 0].size() == 3 || i > 0).map(i, [i, i])", "[[1, 1], [2, 2]]");
}

#[test]
fn comprehensions_gather() {
    check("[3, 1].map(i, i + 1)", "[4, 2]");
    check("[3, 1].transformList(i, v, i < 1, v * 2)", "[6]");
    check("{'b': 1, 'a': 2}.map(k, k)", "[a, b]");
    check("{'b': 1, 'a': 2}.transformMap(k, v, v * 10)", "{a: 20, b: 10}");
    check("['x', 'y'].transformMapEntry(i, v, {v: i})", "{x: 0, y: 1}");
    check("['x', 'x'].transformMapEntry(i, v, {v: i})", "error: the same key twice");
    check("cel.bind(n, a.count * 2, n + n)", "12");
    check("optional.of(2).optMap(n, n * 2).value()", "4");
    check("optional.none().optFlatMap(n, optional.of(n)).orValue(5)", "5");
}

#[test]
fn only_what_is_needed_is_evaluated() {
    check("optional.of(1).orValue(1 / 0)", "1");
    check("optional.none().orValue(1 / 0)", "error: division by zero");
    check("flag ? 1 : 1 / 0", "1");
}

fn run(text: &str, heap: &mut Heap) -> Result<Value, EvalError> {
    let program = compile(&parse(text).unwrap(), &Facts::new().row(), &mut heap.texts).unwrap();
    program.eval(&Facts::new().row(), heap)
}

const TEN: &str = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]";

#[test]
fn nested_loops_stop_at_the_limit_of_work() {
    let loops =
        format!("{TEN}.all(a1, {TEN}.all(a2, {TEN}.all(a3, {TEN}.all(a4, {TEN}.all(a5, {TEN}.all(a6, a6 < 10))))))");
    let mut heap = Heap::new(Default::default(), Meter::new(10_000, || false), 1 << 24);
    assert_eq!(run(&loops, &mut heap).unwrap_err(), EvalError::Stopped(Stop::Work));
    assert!(heap.meter.work <= 10_000 + 100);
}

#[test]
fn loops_stop_when_the_time_is_up() {
    let loops = format!("{TEN}.all(a1, {TEN}.all(a2, {TEN}.all(a3, {TEN}.all(a4, {TEN}.all(a5, a5 < 10)))))");
    let mut heap = Heap::new(Default::default(), Meter::new(u64::MAX, || true), 1 << 24);
    assert_eq!(run(&loops, &mut heap).unwrap_err(), EvalError::Stopped(Stop::Time));
}

#[test]
fn what_doubles_stops_at_the_limit_of_memory() {
    let texts = format!("['0123456789']{}", ".map(s, s + s)".repeat(40));
    let lists = format!("[[1, 2]]{}", ".map(l, l + l)".repeat(40));
    let many =
        format!("{TEN}.map(a1, {TEN}.map(a2, {TEN}.map(a3, {TEN}.map(a4, {TEN}.map(a5, [a1, a2, a3, a4, a5])))))");
    let replaced = format!("['aaaaaaaaaa']{}", ".map(s, s.replace('a', s))".repeat(6));
    for text in [texts, lists, many, replaced] {
        let mut heap = Heap::new(Default::default(), Meter::new(1 << 40, || false), 1 << 22);
        assert_eq!(run(&text, &mut heap).unwrap_err(), EvalError::Stopped(Stop::Bytes), "{text}");
        assert!(heap.bytes() <= 1 << 22);
    }
}

#[test]
fn comparing_what_shares_its_parts_is_paid_for() {
    let mut text = "v40 == v40".to_owned();
    for level in (0..40).rev() {
        text = format!("cel.bind(v{}, [v{level}, v{level}], {text})", level + 1);
    }
    let mut heap = Heap::new(Default::default(), Meter::new(1 << 20, || false), 1 << 24);
    assert_eq!(run(&format!("cel.bind(v0, [x], {text})"), &mut heap).unwrap_err(), EvalError::Stopped(Stop::Work));
}

#[test]
fn conditions_give_back_what_they_made() {
    let mut facts = Facts::new();
    let row = facts.row();
    let program = compile(&parse("[a.count, x].size() == 2").unwrap(), &row, &mut facts.heap.texts).unwrap();
    let bytes = facts.heap.bytes();
    let mark = format!("{:?}", facts.heap.mark());
    for _ in 0..1000 {
        assert!(program.eval_bool(&row, &mut facts.heap).unwrap());
    }
    assert_eq!(format!("{:?}", facts.heap.mark()), mark);
    assert!(facts.heap.bytes() <= bytes + 4096);
}

#[test]
fn a_failure_knows_its_place() {
    let mut facts = Facts::new();
    let row = facts.row();
    let program: Program = compile(&parse("flag && 1 / (x - 7) > 0").unwrap(), &row, &mut facts.heap.texts).unwrap();
    let Err(EvalError::Failed(failure)) = program.eval(&row, &mut facts.heap) else { panic!("a value") };
    let range = program.range_of(failure);
    assert_eq!((range.begin, range.end), (8, 19));
}

#[test]
fn the_deepest_expressions_run() {
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(60), close.repeat(60));
    let maps = format!("{}1{}", "[0].map(i, ".repeat(40), ")[0]".repeat(40));
    assert!(run(&maps, &mut Heap::default()).is_ok());
    for (open, close) in [("[1, ", "].size()"), ("(1 + ", ")"), ("{1: ", "}[1]"), ("(flag ? ", " : 2)"), ("-(", ")")] {
        let text = nested(open, close);
        let mut heap = Heap::default();
        assert!(run(&text, &mut heap).is_ok(), "{text}");
    }
}
