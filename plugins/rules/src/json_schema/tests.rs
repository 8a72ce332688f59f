//! The schema takes what the reader takes, and refuses the shapes that it refuses.

use serde_json::Value;

use super::*;
use crate::canonical::canonical;
use crate::document::parse;
use crate::file;

fn validator() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(JSON_SCHEMA).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

fn json(source: &str) -> Value {
    serde_json::from_str(&canonical(&parse(source.as_bytes()).unwrap()).unwrap()).unwrap()
}

const EXAMPLES: [&str; 4] = [
    include_str!("../../../../tests/fixtures/rules/detections.rules.yaml"),
    include_str!("../../../../tests/fixtures/rules/loan.rules.yaml"),
    include_str!("../../../../tests/fixtures/rules/output-checks.rules.yaml"),
    include_str!("../../../../tests/fixtures/rules/review-queue.rules.yaml"),
];

#[test]
fn the_examples_are_valid() {
    let validator = validator();
    for source in EXAMPLES {
        let errors: Vec<_> = validator.iter_errors(&json(source)).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
    }
}

/// Both take it, or both refuse it.
fn check(validator: &jsonschema::Validator, part: &str, good: bool) {
    let source = format!(
        "schema: rules/v1\nname: a\nversion: 1.0.0\nfacts: {{p: {{origin: input, fields: {{id: int}}}}}}\n{part}\n"
    );
    assert_eq!(file::parse(source.as_bytes()).is_ok(), good, "the reader: {part}");
    assert_eq!(validator.is_valid(&json(&source)), good, "the schema: {part}");
}

#[test]
fn shapes_are_as_the_reader_has_them() {
    let validator = validator();
    for (part, good) in [
        ("rules: []", true),
        ("rules: {}", false),
        ("rules: []\nrule: []", false),
        ("rules: []\ndecisions: {combine: worst}", false),
        ("rules: []\nlimits: {max_work: 0}", false),
        ("rules: []\nlimits: {on_limit: decide, limit_decision: {decision: a, code: B}}", true),
        ("rules: []\nparams: {x: {type: int}}", false),
        ("rules: []\nparams: {for: {type: int, default: 1}}", false),
        ("rules: []\ntables: {t: {columns: {a: list<list<int>>}, rows: []}}", false),
        ("rules: []\ntables: {t: {columns: {a: list<int>}, rows: [[[1, 2]]]}}", true),
        ("rules: []\ntests: [{name: a, given: {}, expect: {fact: {}}}]", false),
        ("rules: []\ntests: [{name: a, given: {p: [{id: 1}]}, expect: {decisions: []}}]", true),
    ] {
        check(&validator, part, good);
    }
}

#[test]
fn conditions_and_actions_are_as_the_reader_has_them() {
    let validator = validator();
    for (condition, good) in [
        ("{match: p, as: a, where: true, distinct: [id]}", true),
        ("{match: p}", false),
        ("{match: p, as: a, if: true}", false),
        ("{forall: {match: p, as: a}}", false),
        ("{accumulate: {match: p, as: a}}", false),
        ("{accumulate: {match: p, as: a}, count: n}", true),
        ("{any: [[{if: true}], []]}", false),
        ("{let: {}}", false),
        ("{if: [1]}", false),
    ] {
        check(&validator, &format!("rules: [{{id: r, when: [{condition}], then: [{{stop: all}}]}}]"), good);
    }
    for (action, good) in [
        ("{assert: {p: {id: 1}}}", true),
        ("{assert: {p: {id: 1}, q: {id: 1}}}", false),
        ("{modify: a, set: {}}", false),
        ("{retract: [a]}", false),
        ("{emit: {decision: a, code: B, data: {x: [1, ~, {y: 'z'}]}}}", true),
        ("{emit: {decision: a}}", false),
        ("{stop: it}", false),
    ] {
        check(&validator, &format!("rules: [{{id: r, when: [{{if: true}}], then: [{action}]}}]"), good);
    }
}
