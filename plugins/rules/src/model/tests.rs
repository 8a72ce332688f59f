//! Names and types: each error where it is.

use super::resolve;
use crate::diagnostic::{Diagnostic, Severity};
use crate::file::parse;

/// Everything before the rules stands on fifteen lines.
const HEAD: &str = "\
schema: rules/v1
name: sample
version: 1.0.0
params: {cut: {type: double, default: 0.5}}
tables:
  t: {columns: {k: int, v: string}, rows: [[1, one]]}
facts:
  p: {origin: input, key: [id], fields: {id: int, x: double, n: int, s: string, on: bool, tags: list<string>, level: {type: enum, values: [low, high]}}}
  q: {origin: input, key: [id], fields: {id: int, n: int}}
  d: {origin: derived, key: [id], fields: {id: int, n: {type: int, max: 9}}}
  e: {origin: derived, fields: {id: int}}
  o: {origin: output, key: [id], fields: {id: int}}
  w: {origin: output, stated: true, key: [id], fields: {id: int, s: {type: string, default: none}, at: {type: timestamp, optional: true}}}

rules:
";

const FIRST: u32 = 16;

fn findings(rules: &str) -> Vec<Diagnostic> {
    let file = parse(format!("{HEAD}{rules}").as_bytes()).unwrap_or_else(|findings| panic!("{rules}\n{findings:#?}"));
    resolve(&file).err().unwrap_or_default()
}

/// Errors as `code@line:column`, lines counted from the first rule.
fn check(rules: &str, expected: &[&str]) {
    let found = findings(rules);
    let places: Vec<_> = found
        .iter()
        .map(|finding| {
            assert_eq!(finding.severity, Severity::Error);
            assert!(finding.rule.is_some(), "{finding:#?}");
            let span = finding.span.unwrap();
            format!("{}@{}:{}", finding.code, span.line + 1 - FIRST, span.column)
        })
        .collect();
    assert_eq!(places, expected, "{rules}\n{found:#?}");
}

/// A rule with one condition behind a match of `p` as `a`; columns count from the condition.
fn check_condition(condition: &str, expected: &[&str]) {
    let before = "  - {when: [{match: p, as: a}, ";
    check_behind(before, &format!("{before}{condition}], id: r, then: [stop: all]}}\n"), expected);
}

/// A rule with one action behind a match of `p` as `a`; columns count from the action.
fn check_action(action: &str, expected: &[&str]) {
    let before = "  - {when: [{match: p, as: a}], id: r, then: [";
    check_behind(before, &format!("{before}{action}]}}\n"), expected);
}

fn check_behind(before: &str, rule: &str, expected: &[&str]) {
    let found = findings(rule);
    let places: Vec<_> = found
        .iter()
        .map(|finding| format!("{}@{}", finding.code, finding.span.unwrap().column as usize - before.len()))
        .collect();
    assert_eq!(places, expected, "{rule}\n{found:#?}");
}

#[test]
fn names_that_are_nowhere_are_unknown() {
    check_condition("{match: x, as: b}", &["unknown-template@9"]);
    check_condition("{not: {match: x, as: b}}", &["unknown-template@15"]);
    check_condition("{accumulate: {match: x, as: b}, count: n}", &["unknown-template@22"]);
    check_condition("{match: q, as: b, distinct: [z]}", &["unknown-field@30"]);
    check_condition("{match: q, as: b, where: b.z == 1}", &["expression-type@26"]);
    check_condition("{match: q, as: b, where: c.n == 1}", &["expression-type@26"]);
    check_condition("{if: params.none > 1}", &["expression-type@6"]);
    check_condition("{if: nothing(a.n)}", &["expression-type@6"]);
    check_condition("{if: a.level == medium}", &["expression-type@17"]);
    check_action("assert: {x: {id: 1}}", &["unknown-template@10"]);
    check_action("assert: {q: {id: 1, n: 1, z: 1}}", &["unknown-field@27"]);
    check_action("{modify: b, set: {n: 1}}", &["not-a-fact@10"]);
    check_action("{modify: a, set: {z: 1}}", &["unknown-field@19"]);
    check_action("retract: b", &["not-a-fact@10"]);
    check_action("emit: {decision: d, code: C, message: 'n = {b.n}'}", &["expression-type@39"]);
    check_action("emit: {decision: d, code: C, data: {n: b.n}}", &["expression-type@40"]);
    check_action("emit: {decision: d, code: C, subject: b.n}", &["expression-type@39"]);
}

#[test]
fn near_names_are_offered() {
    let hint = |rules: &str| findings(rules).remove(0).hint.unwrap_or_default();
    assert!(hint("  - {id: r, when: [{match: p, as: a}], then: [{modify: a, set: {tag: []}}]}\n").contains("`tags`"));
}

#[test]
fn names_are_bound_in_order_and_where_they_hold() {
    check_condition("{match: q, as: b, where: b.n == c.n}, {match: q, as: c}", &["expression-type@33"]);
    check_condition("{not: {match: q, as: b}}, {if: b.n > 1}", &["expression-type@32"]);
    check_condition("{accumulate: {match: q, as: b}, count: n}, {if: b.n > n}", &["expression-type@49"]);
    check_condition("{match: q, as: a}", &["duplicate-variable@16"]);
    check_condition("{let: {a: 1}}", &["duplicate-variable@8"]);
    check_condition("{accumulate: {match: q, as: b}, count: a}", &["duplicate-variable@40"]);
    check_condition("{match: q, as: params}", &["duplicate-variable@16"]);
    check_condition("{match: q, as: b, distinct: [n]}, {if: b.id > 1}", &["expression-type@40"]);
    check_condition("{match: q, as: b, distinct: [n], where: b.id > 1}, {if: b.n > 1}", &[]);
    check(
        "  - {id: r, when: [{not: {match: q, as: b}}], then: [{retract: b}]}\n  - {id: s, when: [{match: q, as: b, distinct: [n]}], then: [{retract: b}]}\n",
        &["not-a-fact@1:64", "not-a-fact@2:72"],
    );
}

#[test]
fn the_keys_of_a_let_have_no_order() {
    check_condition("{let: {v: 1, w: v + 1}}", &[]);
    check_condition("{let: {w: z + 1, z: 1}}", &[]);
    check_condition("{let: {w: z + 1, z: w}}", &["let-cycle@8"]);
    check_condition("{let: {w: w + 1}}", &["expression-type@11"]);
}

#[test]
fn branches_bind_the_same_variables() {
    let rule = |branches: &str, then: &str| format!("  - {{id: r, when: [{{any: [{branches}]}}], then: [{then}]}}\n");
    check(&rule("[{match: q, as: b}], [{match: q, as: b, where: b.n > 1}]", "retract: b"), &[]);
    check(&rule("[{match: q, as: b}], [{match: p, as: b}]", "retract: b"), &["any-branches@1:64"]);
    check(&rule("[{let: {v: 1}}], [{let: {v: 1.0}}]", "stop: all"), &["any-branches@1:52"]);
    check(&rule("[{match: q, as: b}], [{if: true}]", "retract: b"), &["not-a-fact@1:81"]);
}

#[test]
fn every_place_wants_its_type() {
    check_condition("{if: a.n}", &["expression-type@6"]);
    check_condition("{if: a.n + 1.0 > 2.0}", &["expression-type@6"]);
    check_condition("{if: a.s > 1}", &["expression-type@6"]);
    check_condition("{if: a}", &["expression-type@6"]);
    check_condition("{match: q, as: b, where: b.n}", &["expression-type@26"]);
    check_condition("{match: q, as: b, where: b.n == a.s}", &["expression-type@26"]);
    check_condition("{forall: {match: q, as: b}, satisfies: b.n}", &["expression-type@40"]);
    check_condition("{accumulate: {match: p, as: b}, sum: {of: b.s, as: n}}", &["expression-type@43"]);
    check_condition("{accumulate: {match: p, as: b}, avg: {of: b.on, as: n}}", &["expression-type@43"]);
    check_condition("{accumulate: {match: p, as: b}, collect: {of: b.tags, as: n}}", &["expression-type@47"]);
    check_condition("{accumulate: {match: p, as: b}, max: {of: b.s, as: n}}", &[]);
    check_condition("{if: a.n > }", &["expression-syntax@11"]);
    check_action("{modify: a, set: {n: a.x}}", &["expression-type@22"]);
    check_action("{modify: a, set: {x: a.n}}", &["expression-type@22"]);
    check_action("{modify: a, set: {x: 1}}", &[]);
    check_action("{modify: a, set: {n: 1.0}}", &["expression-type@22"]);
    check_action("{modify: a, set: {s: a.n}}", &["expression-type@22"]);
    check_action("{modify: a, set: {on: 1}}", &["expression-type@23"]);
    check_action("{modify: a, set: {tags: a.s}}", &["expression-type@25"]);
    check_action("{modify: a, set: {tags: [1]}}", &["expression-type@25"]);
    check_action("{modify: a, set: {level: medium}}", &["expression-type@26"]);
    check_action("{modify: a, set: {level: low}}", &[]);
    check_action("emit: {decision: d, code: C, subject: a.tags}", &["expression-type@39"]);
    check_action("emit: {decision: d, code: C, message: '{a}'}", &["expression-type@39"]);
    check_action("emit: {decision: d, code: C, message: '{a.n'}", &["message-brace@39"]);
}

#[test]
fn constants_are_held_to_the_template() {
    check_action("{modify: a, set: {level: \"'medium'\"}}", &["value-out-of-range@26"]);
    check(
        "  - {id: r, when: [{match: q, as: a}], then: [{derive: {d: {id: a.id, n: 10}}}]}\n",
        &["value-out-of-range@1:74"],
    );
}

#[test]
fn templates_say_who_writes_them() {
    let derive = |head: &str, expected: &[&str]| {
        check(&format!("  - {{id: r, when: [{{match: p, as: a}}], then: [{{derive: {{{head}}}}}]}}\n"), expected);
    };
    derive("q: {id: a.id, n: 1}", &["write-not-allowed@1:57"]);
    derive("t: {k: 1, v: a.s}", &["write-not-allowed@1:57"]);
    derive("d: {id: a.id, n: 1}", &[]);
    derive("w: {id: a.id}", &[]);
    check_action("assert: {d: {id: 1, n: 1}}", &["write-not-allowed@10"]);
    check_action("assert: {o: {id: 1}}", &["write-not-allowed@10"]);
    check_action("assert: {t: {k: 1, v: a.s}}", &["write-not-allowed@10"]);
    check_action("assert: {w: {id: 1}}", &[]);
    check_action("assert: {q: {id: 1, n: 1}}", &[]);
    check_action("assert: {q: {id: 1}}", &["missing-field@1"]);
    check(
        "  - {id: r, when: [{match: d, as: a}], then: [{modify: a, set: {n: 1}}]}\n  - {id: s, when: [{match: t, as: a}], then: [{retract: a}]}\n",
        &["write-not-allowed@1:56", "write-not-allowed@2:57"],
    );
    check_action("{modify: a, set: {id: 1}}", &["key-modified@19"]);
}

#[test]
fn cycles_through_closed_conditions_are_named() {
    let two = |first: &str, second: &str| {
        format!(
            "  - {{id: f, when: [{{match: p, as: a}}, {first}], then: [{{derive: {{d: {{id: a.id, n: 1}}}}}}]}}\n  - {{id: g, when: [{second}], then: [{{derive: {{e: {{id: b.id}}}}}}]}}\n"
        )
    };
    let matched = "{match: d, as: b}";
    check(&two("{not: {match: e, as: x}}", matched), &["cycle@1:10"]);
    check(&two("{forall: {match: e, as: x}, satisfies: x.id > 0}", matched), &["cycle@1:10"]);
    check(&two("{accumulate: {match: e, as: x}, count: n}", matched), &["cycle@1:10"]);
    check(&two("{match: e, as: x, distinct: [id]}", matched), &["cycle@1:10"]);
    check(&two("{match: e, as: x}", matched), &[]);
    check(&two("{exists: {match: e, as: x}}", matched), &[]);
    check(&two("{not: {match: q, as: x}}", matched), &[]);
    let message = findings(&two("{not: {match: e, as: x}}", matched)).remove(0).message;
    assert!(["`d`", "e", "f", "g"].iter().all(|name| message.contains(name)), "{message}");
    // An agenda rule in it breaks the cycle.
    check(
        "  - {id: f, when: [{match: w, as: a}], then: [{derive: {d: {id: a.id, n: 1}}}]}\n  - {id: g, when: [{match: p, as: a}, {not: {match: d, as: x}}], then: [{assert: {w: {id: a.id}}}]}\n",
        &[],
    );
}

#[test]
fn rules_have_bounds() {
    let any = "{any: [[{if: true}], [{if: true}], [{if: true}]]}";
    let rule = |count: usize| format!("  - {{id: r, when: [{}], then: [stop: all]}}\n", vec![any; count].join(", "));
    check(&rule(3), &[]);
    check(&rule(4), &["rule-too-large@1:173"]);
    let lets: Vec<String> = (0..65).map(|at| format!("v{at}: 1")).collect();
    check(
        &format!("  - {{id: r, when: [{{let: {{{}}}}}], then: [stop: all]}}\n", lets.join(", ")),
        &["rule-too-large@1:10"],
    );
}

#[test]
fn a_rule_binds_no_more_facts_than_there_are_bits() {
    let rule = |count: usize| {
        let matches: Vec<String> =
            (0..count).map(|at| format!("{{match: q, as: b{at}, where: b{at}.n > 0}}")).collect();
        format!("  - {{id: r, when: [{}], then: [stop: all]}}\n", matches.join(", "))
    };
    check(&rule(64), &[]);
    check(&rule(65), &["rule-too-large@1:10"]);
}

#[test]
fn errors_of_several_rules_come_together() {
    check(
        "  - {id: r, when: [{match: x, as: a}], then: [stop: all]}\n  - {id: s, when: [{match: y, as: a}], then: [stop: all]}\n",
        &["unknown-template@1:28", "unknown-template@2:28"],
    );
}
