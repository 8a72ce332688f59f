//! Tests of rule sets that pass and fail, and what they say.

use std::rc::Rc;

use super::expect::pair;
use super::run_tests;
use crate::engine::Budget;
use crate::file::parse;
use crate::model::resolve;

const RULES: &str = "
schema: rules/v1
name: shop
version: 1.0.0
params: {cut: {type: int, default: 10}}
facts:
  item: {origin: input, key: [id], fields: {id: int, price: int, size: {type: double, optional: true, nan: allow}}}
  dear: {origin: derived, key: [id], fields: {id: int}}
rules:
  - {id: dear, when: [{match: item, as: i, where: i.price > params.cut}], then: [{derive: {dear: {id: i.id}}}]}
  - id: report
    when: [{match: dear, as: d}]
    then: [{emit: {decision: dear, code: DEAR, subject: string(d.id), message: 'item {d.id}', data: {id: d.id, half: 0.5, tags: [1, 2.0]}}}]
tests:
";

fn budget() -> Budget {
    Budget {
        work_max: 1_000_000,
        firings_max: 1000,
        firings_per_rule_max: 1000,
        facts_max: 1000,
        depth_max: 100,
        bytes_max: 1 << 26,
    }
}

/// The message of a rule set's only test: given, expected; empty if it passes.
fn check(rest: &str) -> String {
    let source = format!("{RULES}  - {{name: it, {rest}}}\n");
    let file = parse(source.as_bytes()).unwrap_or_else(|findings| panic!("{findings:?}"));
    let rules = Rc::new(resolve(&file).unwrap_or_else(|findings| panic!("{findings:?}")));
    let mut outcomes = run_tests(&file, &rules, "", budget(), || false);
    assert_eq!(outcomes.len(), 1);
    let outcome = outcomes.remove(0);
    assert_eq!(outcome.passed, outcome.message.is_empty());
    outcome.message
}

const GIVEN: &str = "given: {item: [{id: 1, price: 20}, {id: 2, price: 5, size: NaN}]}";

#[test]
fn facts_are_found_by_the_fields_that_are_named() {
    assert_eq!(check(&format!("{GIVEN}, expect: {{facts: {{item: [{{price: 5}}], dear: [{{id: 1}}]}}}}")), "");
    assert_eq!(check(&format!("{GIVEN}, expect: {{facts: {{item: [{{size: NaN}}]}}}}")), "");
}

#[test]
fn a_missing_fact_is_shown_beside_the_nearest_ones() {
    let message = check(&format!("{GIVEN}, expect: {{facts: {{item: [{{id: 2, price: 6}}]}}}}"));
    let expected = "expected a fact of `item`: {\"id\":2,\"price\":6}
  nearest: {\"id\":2,\"price\":5,\"size\":\"NaN\"}
  nearest: {\"id\":1,\"price\":20}";
    assert_eq!(message, expected);
}

#[test]
fn absent_facts_are_absent() {
    assert_eq!(check(&format!("{GIVEN}, expect: {{absent: {{dear: [{{id: 2}}]}}}}")), "");
    let message = check(&format!("{GIVEN}, expect: {{absent: {{dear: [{{id: 1}}]}}}}"));
    assert_eq!(message, "expected no fact of `dear`: {\"id\":1}\n  found: {\"id\":1}");
}

#[test]
fn exactly_pairs_each_fact_with_one_row() {
    assert_eq!(check(&format!("{GIVEN}, expect: {{exactly: {{item: [{{}}, {{id: 1}}], dear: [{{}}]}}}}")), "");
    let message = check(&format!("{GIVEN}, expect: {{exactly: {{item: [{{}}, {{id: 3}}]}}}}"));
    let expected = "expected exactly 2 facts of `item`, found 2
  expected: {\"id\":3}
  found: {\"id\":2,\"price\":5,\"size\":\"NaN\"}";
    assert_eq!(message, expected);
}

#[test]
fn decisions_come_in_any_order_and_as_many_as_there_are() {
    let data = "data: {half: 0.5, tags: [1.0, 2], id: 1}";
    assert_eq!(check(&format!("{GIVEN}, expect: {{decision: {{subject: '1', message: item 1, {data}}}}}")), "");
    assert_eq!(check("given: {}, expect: {decisions: []}"), "");
    let message = check(&format!("{GIVEN}, expect: {{decisions: [{{data: {{id: 1}}}}]}}"));
    let expected = "expected the decisions: 1, found 1
  expected: {\"data\":{\"id\":1}}
  found: {\"decision\":\"dear\",\"code\":\"DEAR\",\"subject\":\"1\",\"message\":\"item 1\",\"data\":{\"half\":0.5,\"id\":1,\"tags\":[1,2]}}";
    assert_eq!(message, expected);
    assert_ne!(check(&format!("{GIVEN}, expect: {{decisions: []}}")), "");
    assert_ne!(check(&format!("{GIVEN}, expect: {{decision: {{subject: null}}}}")), "");
}

#[test]
fn firings_and_matches_are_counted() {
    assert_eq!(check(&format!("{GIVEN}, expect: {{fired: {{dear: 1, report: 1}}}}")), "");
    let message = check(&format!("{GIVEN}, expect: {{fired: {{report: 2}}}}"));
    assert_eq!(message, "expected `report` to fire 2 times, it fired 1 times");
}

#[test]
fn parameters_and_steps_are_taken_into_account() {
    assert_eq!(check(&format!("{GIVEN}, params: {{cut: 30}}, expect: {{decisions: []}}")), "");
    let steps = "steps: [{modify: {item: [{id: 1, price: 5}]}}, {assert: {item: [{id: 3, price: 11}]}}, {retract: {item: [{id: 2}]}}]";
    let expect =
        "expect: {exactly: {item: [{id: 1, price: 5}, {id: 3}]}, decision: {subject: '3'}, fired: {report: 2}}";
    assert_eq!(check(&format!("{GIVEN}, {steps}, {expect}")), "");
}

#[test]
fn retracting_what_is_not_there_fails_the_test() {
    let message = check(&format!("{GIVEN}, steps: [{{retract: {{item: [{{id: 9}}]}}}}], expect: {{}}"));
    assert_eq!(message, "step 1: there is no such fact of `item` to change");
}

#[test]
fn a_matching_is_as_large_as_it_can_be() {
    let allowed = |pairs: &'static [(usize, usize)]| move |left, right| pairs.contains(&(left, right));
    assert_eq!(pair(2, 2, allowed(&[(0, 0), (0, 1), (1, 0)])), [Some(1), Some(0)]);
    assert_eq!(pair(3, 3, allowed(&[(0, 0), (0, 1), (1, 0), (1, 2), (2, 0)])), [Some(1), Some(2), Some(0)]);
    assert_eq!(pair(2, 1, allowed(&[(0, 0), (1, 0)])), [Some(0), None]);
}

#[test]
fn doubles_in_data_are_those_that_were_given() {
    for size in ["90.42225290942383", "-19.243053591130522", "2.0030397744267762e-253", "0.1", "1e23"] {
        let source = RULES.replace("half: 0.5", &format!("half: {size}"));
        let rest = format!("{GIVEN}, expect: {{decision: {{data: {{id: 1, half: {size}, tags: [1, 2]}}}}}}");
        let source = format!("{source}  - {{name: it, {rest}}}\n");
        let file = parse(source.as_bytes()).unwrap_or_else(|findings| panic!("{findings:?}"));
        let rules = Rc::new(resolve(&file).unwrap_or_else(|findings| panic!("{findings:?}")));
        assert_eq!(run_tests(&file, &rules, "", budget(), || false)[0].message, "", "{size}");
    }
}
