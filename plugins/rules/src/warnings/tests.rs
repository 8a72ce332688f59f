//! Each warning where it is due, and the ways to deserve none.

use super::warnings;
use crate::diagnostic::Severity;
use crate::file::parse;
use crate::model::resolve;

const EXAMPLES: [(&str, &str); 4] = [
    ("detections", include_str!("../../../../tests/fixtures/rules/detections.rules.yaml")),
    ("loan", include_str!("../../../../tests/fixtures/rules/loan.rules.yaml")),
    ("output-checks", include_str!("../../../../tests/fixtures/rules/output-checks.rules.yaml")),
    ("review-queue", include_str!("../../../../tests/fixtures/rules/review-queue.rules.yaml")),
];

const HEAD: &str = "\
schema: rules/v1
name: sample
version: 1.0.0
params: {cut: {type: double, default: 0.5, min: 0.0, max: 1.0}}
tables:
  t: {columns: {k: int, v: string}, rows: [[1, one]]}
  empty: {columns: {k: int}, rows: []}
facts:
  p: {origin: input, key: [id], fields: {id: int, x: {type: double, max: 1.0}, n: int, s: string, on: bool, tags: list<string>, level: {type: enum, values: [low, high]}}}
  q: {origin: input, key: [id], fields: {id: int, x: double, n: int, s: string}}
  one: {origin: input, key: [], fields: {n: int}}
  d: {origin: derived, key: [id], fields: {id: int, n: int}}
  e: {origin: derived, key: [id, kind], fields: {id: int, kind: {type: enum, values: [red, blue]}, n: int}}
  link: {origin: derived, fields: {a: int, b: int}}
  far: {origin: derived, fields: {a: int, steps: int}}
  o: {origin: input, key: [id], fields: {id: int, n: int, s: string}}
rules:
";

/// The line of the first rule.
const FIRST: usize = 18;

/// Warnings as `code@line:column`, lines counted from the first rule.
fn check(rules: &str, expected: &[&str]) {
    let source = format!("{HEAD}{rules}");
    let file = parse(source.as_bytes()).unwrap_or_else(|findings| panic!("{rules}\n{findings:#?}"));
    let set = resolve(&file).unwrap_or_else(|findings| panic!("{rules}\n{findings:#?}"));
    let found = warnings(&file, &set);
    let places: Vec<_> = found
        .iter()
        .map(|warning| {
            let span = warning.span.unwrap();
            assert_eq!(warning.severity, Severity::Warning);
            assert!(warning.rule.is_some() && warning.hint.is_some(), "{warning:#?}");
            format!("{}@{}:{}", warning.code, span.line as usize + 1 - FIRST, span.column)
        })
        .collect();
    assert_eq!(places, expected, "{rules}\n{found:#?}");
}

/// Codes of the warnings of one rule with these conditions and actions.
fn check_rule(when: &str, then: &str, expected: &[&str]) {
    let source = format!("{HEAD}  - {{id: r, when: [{when}], then: [{then}]}}\n");
    let file = parse(source.as_bytes()).unwrap_or_else(|findings| panic!("{when}\n{findings:#?}"));
    let set = resolve(&file).unwrap_or_else(|findings| panic!("{when} {then}\n{findings:#?}"));
    let found = warnings(&file, &set);
    let codes: Vec<_> = found.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, expected, "{when} {then}\n{found:#?}");
}

const STOP: &str = "stop: all";

#[test]
fn examples_give_no_warning() {
    for (name, source) in EXAMPLES {
        let file = parse(source.as_bytes()).unwrap();
        let found = warnings(&file, &resolve(&file).unwrap());
        assert!(found.is_empty(), "{name}: {found:#?}");
    }
}

#[test]
fn warnings_come_in_the_order_of_the_file_and_say_where() {
    check(
        "  - id: first\n    when:\n      - {match: p, as: a}\n      - let: {twice: 1 + 1}\n    then: [stop: all]\n  \
           - id: second\n    when: [{match: q, as: b, where: b.n == 1 && b.n == 2}]\n    then: [stop: all]\n",
        &["unused-variable@3:24", "unused-variable@4:15", "cannot-fire@7:49"],
    );
}

#[test]
fn variables_that_nothing_reads_are_unused() {
    check_rule("{match: p, as: a}", STOP, &["unused-variable"]);
    check_rule("{match: p, as: a, where: a.n > 1}", STOP, &[]);
    check_rule("{match: p, as: a}", "retract: a", &[]);
    check_rule("{match: p, as: a}, {let: {v: a.n}}", STOP, &["unused-variable"]);
    check_rule("{match: p, as: a}, {let: {v: a.n}}, {if: v > 1}", STOP, &[]);
    check_rule(
        "{accumulate: {match: p, as: a}, count: n, sum: {of: a.n, as: total}}, {if: n > 1}",
        STOP,
        &["unused-variable"],
    );
    check_rule("{accumulate: {match: p, as: a}, count: n}, {if: n > 1}", STOP, &[]);
    check_rule("{not: {match: p, as: a}}", STOP, &[]);
    check_rule("{exists: {match: p, as: a}}", STOP, &[]);
    // The variable of a macro is another one.
    check_rule("{match: p, as: a}, {if: \"[1, 2].exists(a, a > 1)\"}", STOP, &["unused-variable"]);
    check_rule("{match: p, as: a, distinct: [s]}", STOP, &["unused-variable"]);
    check_rule("{any: [[{match: p, as: a}], [{match: p, as: a, where: a.n > 1}]]}", STOP, &[]);
}

#[test]
fn holes_of_messages_and_data_read_variables() {
    let emit = |parts: &str| format!("emit: {{decision: d, code: C, {parts}}}");
    check_rule("{match: p, as: a}", &emit("message: 'n = {a.n}'"), &["uncovered-code"]);
    check_rule("{match: p, as: a}", &emit("message: '{{a.n}}'"), &["unused-variable", "uncovered-code"]);
    check_rule("{match: p, as: a}", &emit("data: {n: [a.n]}"), &["uncovered-code"]);
    check_rule("{match: p, as: a}", &emit("subject: a.s"), &["uncovered-code"]);
}

#[test]
fn contradicting_constants_cannot_hold() {
    let dead = |filter: &str| check_rule(&format!("{{match: p, as: a, where: \"{filter}\"}}"), STOP, &["cannot-fire"]);
    let alive = |filter: &str| check_rule(&format!("{{match: p, as: a, where: \"{filter}\"}}"), STOP, &[]);
    dead("a.n == 1 && a.n == 2");
    dead("a.n == 1 && a.n != 1");
    dead("a.n < 1 && a.n > 2");
    dead("a.n < 2 && a.n > 1");
    dead("a.n >= 2 && 2 > a.n");
    dead("a.n in [1, 2] && a.n == 3");
    dead("a.s == 'x' && a.s == 'y'");
    dead("a.on && !a.on");
    dead("a.on && a.on == false");
    dead("a.level == low && a.level == high");
    dead("a.level != low && a.level != high");
    dead("a.x > 1.0");
    dead("a.x > 2.0 && a.n == 1");
    dead("a.n == a.id && a.n != a.id");
    dead("a.n < a.id && a.n > a.id");
    dead("a.n == a.id && a.n == 1 && a.id == 2");
    dead("a.n < a.n");
    dead("a.n > 0 && 1 > 2");
    dead("a.n > 0 && params.cut > 1.0");
    alive("a.n == 1 || a.n == 2");
    alive("a.n > 1 && a.n < 3");
    alive("a.n >= 1 && a.n <= 1");
    alive("a.x >= 1.0");
    alive("a.x > 0.1 && a.x < 0.2");
    alive("a.level != low");
    alive("a.n == 1 && a.id == 2");
    alive("a.s > 'a' && a.s < 'b'");
    alive("a.x > params.cut && a.n == 1");
}

#[test]
fn contradictions_are_seen_across_conditions() {
    check_rule("{if: false}", STOP, &["cannot-fire"]);
    check_rule("{if: true}", STOP, &[]);
    check_rule("{match: p, as: a, where: a.n == 1}, {if: a.n == 2}", STOP, &["cannot-fire"]);
    check_rule(
        "{match: p, as: a, where: a.n == 1}, {exists: {match: q, as: b, where: b.n == a.n && b.n == 2}}",
        STOP,
        &["cannot-fire"],
    );
    check_rule("{match: p, as: a, where: a.n == 1}, {not: {match: q, as: b, where: b.n == 1 && b.n == 2}}", STOP, &[]);
    check_rule("{accumulate: {match: p, as: a}, count: n}, {if: n < 0}", STOP, &["cannot-fire"]);
    check_rule("{accumulate: {match: p, as: a}, count: n}, {if: n == 0}", STOP, &[]);
    // Two inner variables of one name are two variables.
    check_rule("{not: {match: p, as: a, where: a.n == 1}}, {not: {match: p, as: a, where: a.n == 2}}", STOP, &[]);
}

#[test]
fn a_rule_lives_while_one_alternative_does() {
    check_rule("{any: [[{if: false}], [{exists: {match: p, as: a}}]]}", STOP, &[]);
    check_rule("{any: [[{if: false}], [{if: 1 > 2}]]}", STOP, &["cannot-fire", "cannot-fire"]);
}

#[test]
fn facts_that_nothing_writes_are_never_matched() {
    check_rule("{match: d, as: a, where: a.n > 0}", STOP, &["cannot-fire"]);
    check_rule("{exists: {match: d, as: a}}", STOP, &["cannot-fire"]);
    check_rule("{not: {match: d, as: a}}", STOP, &[]);
    check_rule("{accumulate: {match: d, as: a}, count: n}, {if: n == 0}", STOP, &[]);
    check_rule("{accumulate: {match: d, as: a}, max: {of: a.n, as: n}}, {if: n == 0}", STOP, &["cannot-fire"]);
    check_rule("{match: empty, as: a, where: a.k == 1}", STOP, &["cannot-fire"]);
    check_rule("{match: t, as: a, where: a.k == 1}", STOP, &[]);
    check_rule("{match: d, as: a}", "derive: {d: {id: a.id, n: a.n}}", &["cannot-fire"]);
}

#[test]
fn what_only_dead_rules_write_is_never_matched_either() {
    check(
        "  - {id: dead, when: [{match: p, as: a, where: a.n == 1 && a.n == 2}], then: [{derive: {d: {id: a.id, n: 1}}}]}\n  \
           - {id: next, when: [{match: d, as: a}], then: [{derive: {e: {id: a.id, kind: red, n: 1}}}]}\n",
        &["cannot-fire@1:60", "cannot-fire@2:31"],
    );
    check(
        "  - {id: alive, when: [{match: p, as: a}], then: [{derive: {d: {id: a.id, n: 1}}}]}\n  \
           - {id: next, when: [{match: d, as: a}], then: [{derive: {e: {id: a.id, kind: red, n: 1}}}]}\n",
        &[],
    );
}

#[test]
fn a_modify_that_feeds_itself_may_not_terminate() {
    let endless = |filter: &str, set: &str| check_modify(filter, set, &["may-not-terminate"]);
    let ends = |filter: &str, set: &str| check_modify(filter, set, &[]);
    endless("a.n > 0", "{n: a.n + 1}");
    endless("a.id > 0", "{n: a.n + 1}");
    endless("a.n != 10", "{n: a.n + 1}");
    endless("a.n < 10", "{n: a.n - 1}");
    endless("a.n > 0 || a.id > 0", "{n: a.n * 2}");
    ends("a.n < 10", "{n: a.n + 1}");
    ends("a.n > 0", "{n: a.n - 1}");
    ends("a.n == 3", "{n: a.n + 1}");
    ends("a.s == 'new'", "{s: \"'done'\"}");
    ends("a.s == 'new' && a.n > 0", "{s: \"'done'\", n: a.n + 1}");
    ends("!a.on", "{on: true, n: a.n + 1}");
    ends("a.n != 3", "{n: 3}");
    ends("a.n > 1", "{n: 3}");
    // Nothing reads what is changed.
    ends("a.id > 0", "{n: a.id + 1}");
}

fn check_modify(filter: &str, set: &str, expected: &[&str]) {
    let when = format!("{{match: p, as: a, where: \"{filter}\"}}");
    check_rule(&when, &format!("{{modify: a, set: {set}}}"), expected);
}

#[test]
fn fields_that_change_places_never_rest() {
    check_rule("{match: q, as: a, where: a.n != a.id}", "{modify: a, set: {n: a.id}}", &[]);
    check_rule(
        "{match: p, as: a}, {match: q, as: b, where: b.s == a.s && a.n > 0}",
        "{modify: a, set: {n: b.n}}",
        &["may-not-terminate"],
    );
    // One partner at most: the second time nothing changes.
    check_rule(
        "{match: p, as: a}, {match: q, as: b, where: b.id == a.id && a.n > 0}",
        "{modify: a, set: {n: b.n}}",
        &[],
    );
}

#[test]
fn a_retract_ends_what_it_matched() {
    check_rule(
        "{match: p, as: a}, {match: q, as: b, where: b.id == a.id}",
        "{modify: a, set: {n: a.n + 1}}, {retract: b}",
        &[],
    );
    check_rule(
        "{match: o, as: a, where: a.n > 0}",
        "{retract: a}, {assert: {o: {id: a.id + 1, n: a.n, s: a.s}}}",
        &["may-not-terminate"],
    );
}

#[test]
fn an_assert_of_new_keys_may_not_terminate() {
    let endless = &["may-not-terminate"][..];
    check_rule("{match: o, as: a}", "assert: {o: {id: a.id + 1, n: 0, s: a.s}}", endless);
    check_rule("{match: o, as: a, where: a.id < 10}", "assert: {o: {id: a.id + 1, n: 0, s: a.s}}", &[]);
    check_rule("{match: o, as: a, where: a.n == 1}", "assert: {o: {id: a.id + 1, n: 0, s: a.s}}", &[]);
    check_rule("{match: o, as: a, where: a.n == 1}", "assert: {o: {id: a.id + 1, n: 1, s: a.s}}", endless);
    // The same key: as good as a modify.
    check_rule("{match: o, as: a}", "assert: {o: {id: a.id, n: a.n + 1, s: a.s}}", endless);
    check_rule("{match: o, as: a}", "assert: {o: {id: a.id, n: 7, s: a.s}}", &[]);
    // Keys that are there already are no new ones.
    check_rule("{match: p, as: a}", "assert: {o: {id: a.id + 1, n: 0, s: a.s}}", &[]);
    check_rule("{match: o, as: a}", "assert: {o: {id: a.n, n: 0, s: a.s}}", &[]);
    check_rule("{match: o, as: a}, {let: {next: a.id + 1}}", "assert: {o: {id: next, n: 0, s: a.s}}", endless);
    check_rule("{accumulate: {match: o, as: a}, count: n}", "assert: {o: {id: n + 1, n: 0, s: \"''\"}}", endless);
}

#[test]
fn an_assert_that_a_not_waits_for_ends_the_match() {
    check_rule(
        "{match: p, as: a}, {not: {match: o, as: b, where: b.id == a.n}}",
        "{assert: {o: {id: a.n, n: 1, s: a.s}}}, {modify: a, set: {n: a.n + 1}}",
        &[],
    );
    check(
        "  - {id: open, when: [{match: p, as: a}, {not: {match: o, as: b, where: b.id == a.id}}], then: [{derive: {d: {id: a.id, n: a.n}}}]}\n  \
           - {id: close, when: [{match: d, as: a}, {match: q, as: b, where: b.id == a.id}], then: [{assert: {o: {id: a.id, n: 1, s: b.s}}}, {modify: b, set: {n: b.n + 1}}]}\n",
        &[],
    );
}

#[test]
fn a_rule_may_enable_itself_through_what_is_derived() {
    check(
        "  - {id: mirror, when: [{match: o, as: a}], then: [{derive: {d: {id: a.id, n: a.n}}}]}\n  \
           - {id: grow, when: [{match: d, as: a}], then: [{assert: {o: {id: a.id + 1, n: 1, s: \"''\"}}}]}\n",
        &["may-not-terminate@2:60"],
    );
}

#[test]
fn derivations_with_growing_keys_may_not_terminate() {
    let from = "  - {id: base, when: [{match: p, as: a}], then: [{derive: {far: {a: a.id, steps: 0}}}]}\n";
    let next = |condition: &str, steps: &str, expected: &[&str]| {
        let rule = format!(
            "{from}  - {{id: next, when: [{{match: far, as: a{condition}}}], then: [{{derive: {{far: {{a: a.a, steps: {steps}}}}}}}]}}\n"
        );
        check(&rule, expected);
    };
    next("", "a.steps + 1", &["may-not-terminate@2:62"]);
    next(", where: a.steps < 10", "a.steps + 1", &[]);
    next(", where: a.steps + 1 < 10", "a.steps + 1", &[]);
    next("", "a.a", &[]);
    next("}, {let: {more: a.steps + 1}", "more", &["may-not-terminate@2:90"]);
}

#[test]
fn a_closure_terminates() {
    check(
        "  - {id: base, when: [{match: p, as: a}], then: [{derive: {link: {a: a.id, b: a.n}}}]}\n  \
           - {id: step, when: [{match: link, as: x}, {match: link, as: y, where: y.a == x.b}], then: [{derive: {link: {a: x.a, b: y.b}}}]}\n",
        &[],
    );
}

#[test]
fn two_rules_that_derive_one_key_are_said() {
    let rule = |id: &str, from: &str, head: &str| {
        format!("  - {{id: {id}, when: [{{match: {from}, as: a}}], then: [{{derive: {head}}}]}}\n")
    };
    let both = |first: &str, second: &str, expected: &[&str]| {
        check(&(rule("f", "p", first) + &rule("g", "q", second)), expected)
    };
    both("{d: {id: a.id, n: a.n}}", "{d: {id: a.id, n: a.n}}", &["two-writers@2:57"]);
    both("{d: {id: 1, n: a.n}}", "{d: {id: 2, n: a.n}}", &[]);
    both("{d: {id: 1, n: a.n}}", "{d: {id: a.id, n: a.n}}", &["two-writers@2:57"]);
    both("{d: {id: a.id, n: 1}}", "{d: {id: a.id, n: 1}}", &[]);
    both("{e: {id: a.id, kind: red, n: a.n}}", "{e: {id: a.id, kind: blue, n: a.n}}", &[]);
    both("{e: {id: a.id, kind: red, n: a.n}}", "{e: {id: a.n, kind: red, n: 1}}", &["two-writers@2:57"]);
    both("{link: {a: a.id, b: a.n}}", "{link: {a: a.n, b: a.id}}", &[]);
}

#[test]
fn salience_tells_writers_apart() {
    let rule = |id: &str, from: &str, order: &str| {
        format!(
            "  - {{id: {id}, {order}when: [{{match: {from}, as: a}}], then: [{{assert: {{o: {{id: a.id, n: a.n, s: a.s}}}}}}]}}\n"
        )
    };
    check(&(rule("f", "p", "") + &rule("g", "q", "")), &["two-writers@2:57"]);
    check(&(rule("f", "p", "salience: 5, ") + &rule("g", "q", "")), &[]);
}

#[test]
fn equal_doubles_are_no_join() {
    check_rule("{match: p, as: a}, {match: q, as: b, where: b.x == a.x}", STOP, &["double-join"]);
    check_rule("{match: p, as: a}, {not: {match: q, as: b, where: b.x == a.x}}", STOP, &["double-join"]);
    check_rule("{match: p, as: a}, {match: q, as: b, where: b.id == a.id}, {if: a.x == b.x}", STOP, &["double-join"]);
    check_rule("{match: p, as: a}, {match: q, as: b, where: b.id == a.id && (b.x > a.x || b.x == a.x)}", STOP, &[]);
    check_rule("{match: p, as: a, where: a.x == 0.5}", STOP, &[]);
    check_rule("{match: p, as: a, where: a.x == params.cut}", STOP, &[]);
    check_rule("{match: p, as: a}, {match: q, as: b, where: double(b.n) == double(a.n)}", STOP, &["double-join"]);
    check_rule(
        "{match: p, as: a}, {accumulate: {match: q, as: b}, avg: {of: b.n, as: mean}}, {if: a.x == mean}",
        STOP,
        &[],
    );
}

#[test]
fn matches_without_a_key_are_said() {
    check_rule("{match: p, as: a}, {match: q, as: b, where: a.n > b.n}", STOP, &["join-without-key"]);
    check_rule("{match: p, as: a, where: a.n > 1}, {match: q, as: b, where: b.n > 1}", STOP, &["join-without-key"]);
    check_rule("{match: p, as: a}, {match: q, as: b, where: b.id == a.id || b.n == a.n}", STOP, &["join-without-key"]);
    check_rule("{match: p, as: a}, {match: q, as: b, where: b.id == a.id}", STOP, &[]);
    check_rule("{match: p, as: a}, {match: q, as: b, where: b.s in a.tags}", STOP, &[]);
    check_rule("{match: p, as: a}, {match: q, as: b}, {if: b.id == a.id + 1}", STOP, &[]);
    check_rule("{match: p, as: a}, {let: {k: a.id + 1}}, {match: q, as: b, where: b.id == k}", STOP, &[]);
    check_rule("{match: p, as: a}, {not: {match: q, as: b, where: b.n > a.n}}", STOP, &[]);
    check_rule("{match: p, as: a}, {match: one, as: b, where: b.n > a.n}", STOP, &[]);
    check_rule("{match: p, as: a}, {match: q, as: b, where: b.id == 7 && b.n > a.n}", STOP, &[]);
    // Tied through a third.
    check_rule("{match: p, as: a}, {match: q, as: b}, {match: p, as: c, where: c.id == a.n && c.n == b.n}", STOP, &[]);
    check_rule(
        "{any: [[{match: p, as: a}, {match: q, as: b, where: b.id == a.id}], [{match: p, as: a}, {match: q, as: b, where: a.n < b.n}]]}",
        STOP,
        &["join-without-key"],
    );
}

#[test]
fn codes_that_no_test_expects_are_said() {
    let rules = |tests: &str| {
        format!(
            "  - {{id: r, when: [{{exists: {{match: p, as: a}}}}], then: [{{emit: {{decision: no, code: C}}}}, {{emit: {{decision: no, code: D}}}}]}}\ntests:\n{tests}"
        )
    };
    let test = |expect: &str| rules(&format!("  - {{name: t, given: {{}}, expect: {expect}}}\n"));
    check(&test("{decisions: []}"), &["uncovered-code@1:85", "uncovered-code@1:118"]);
    check(&test("{decision: {code: C}}"), &["uncovered-code@1:118"]);
    check(&test("{decision: {decision: no}}"), &[]);
    check(&test("{decisions: [{decision: no, code: C}, {decision: yes, code: D}]}"), &["uncovered-code@1:118"]);
    check(&test("{decisions: [{subject: x}]}"), &["uncovered-code@1:85", "uncovered-code@1:118"]);
    check(&test("{fired: {r: 1}}"), &[]);
    check(&test("{fired: {r: 0}}"), &["uncovered-code@1:85", "uncovered-code@1:118"]);
}
