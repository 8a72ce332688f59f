//! Proofs, reasons why not, and queries.

use std::rc::Rc;

use serde_json::{Value, json};

use super::query::{self, Query};
use super::{Source, explain, why};
use crate::document;
use crate::engine::{Budget, Ended, Engine};
use crate::file::{RuleFile, TraceLevel, parse};
use crate::model::resolve;
use crate::rows::read_facts;

const HEAD: &str = "schema: rules/v1\nname: it\nversion: 1.0.0\n";

fn run(rules: &str, facts: &str) -> (RuleFile, Engine, Ended) {
    let file = parse(format!("{HEAD}{rules}").as_bytes()).unwrap_or_else(|findings| panic!("{findings:?}"));
    let resolved = Rc::new(resolve(&file).unwrap_or_else(|findings| panic!("{findings:?}")));
    let budget = Budget {
        work_max: 1_000_000,
        firings_max: 100,
        firings_per_rule_max: 100,
        facts_max: 1000,
        depth_max: 1000,
        bytes_max: 1 << 26,
    };
    let mut engine = Engine::new(resolved, &[], budget, || false);
    engine.trace(TraceLevel::Off, 0, true);
    let given = read_facts(&document::parse(facts.as_bytes()).unwrap(), &file.schema).unwrap();
    let ended = engine.begin_with_rows(&given);
    (file, engine, ended)
}

fn explained(rules: &str, facts: &str, query: &str) -> Value {
    let (file, mut engine, ended) = run(rules, facts);
    let source = Source { file: &file, name: "it.yaml" };
    let text = explain(&mut engine, &ended, Some(source), query).unwrap_or_else(|error| panic!("{error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The rules behind what holds.
fn check_why(rules: &str, facts: &str, query: &str, expected: &[&str]) {
    let (_, mut engine, ended) = run(rules, facts);
    assert_eq!(why(&mut engine, &ended, query).unwrap_or_else(|error| panic!("{error}")), expected, "{query}");
}

/// Rule, passed conditions and reason of each candidate.
fn check_why_not(rules: &str, facts: &str, query: &str, expected: &Value) {
    let found = explained(rules, facts, query);
    assert_eq!(found["holds"], json!(false));
    let candidates = found["candidates"].as_array().unwrap().iter();
    let shown: Value = candidates
        .map(|candidate| {
            json!([
                candidate["rule"],
                candidate["passed"],
                candidate["failed"]["reason"],
                candidate["failed"]["blocker"]
            ])
        })
        .collect();
    assert_eq!(shown, *expected, "{query}");
}

const PATHS: &str = "
facts:
  edge: {origin: input, key: [a, b], fields: {a: int, b: int}}
  path: {origin: derived, key: [a, b], fields: {a: int, b: int}}
rules:
  - {id: longer, when: [{match: path, as: p}, {match: path, as: q, where: q.a == p.b}], then: [{derive: {path: {a: p.a, b: q.b}}}]}
  - {id: direct, when: [{match: edge, as: e}], then: [{derive: {path: {a: e.a, b: e.b}}}]}
";

#[test]
fn a_proof_takes_the_fewest_firings_and_no_circle() {
    let circle = "{edge: [{a: 1, b: 2}, {a: 2, b: 3}, {a: 3, b: 1}, {a: 1, b: 3}]}";
    let found = explained(PATHS, circle, "path(a=1, b=3)");
    let nodes = json!([
        {"id": "n1", "fact": "path(a=1, b=3)", "kind": "derived", "rule": "direct", "supports": ["n2"], "values": {"a": 1, "b": 3}},
        {"id": "n2", "fact": "edge(a=1, b=3)", "kind": "input", "rule": null, "supports": [], "values": {"a": 1, "b": 3}},
    ]);
    assert_eq!(
        found,
        json!({"query": "path(a=1, b=3)", "holds": true, "root": "n1", "nodes": nodes, "truncated": false})
    );
    check_why(PATHS, circle, "path(a=2, b=2)", &["longer", "direct"]);
}

const QUEUE: &str = "
phases: [work, say]
decisions: {combine: most-severe, order: [bad, good]}
facts:
  job: {origin: input, key: [id], fields: {id: int, left: int}}
  open: {origin: derived, key: [id], fields: {id: int}}
  done: {origin: output, stated: true, key: [id], fields: {id: int}}
rules:
  - {id: open, when: [{match: job, as: j, where: j.left > 0}, {not: {match: done, as: d, where: d.id == j.id}}], then: [{derive: {open: {id: j.id}}}]}
  - {id: work, phase: work, when: [{match: open, as: o}, {match: job, as: j, where: j.id == o.id}], then: [{assert: {done: {id: o.id}}}, {modify: j, set: {left: j.left - 1}}]}
  - {id: sum, phase: say, when: [{accumulate: {match: done, as: d}, count: n}, {if: n > 0}], then: [{emit: {decision: good, code: DONE, data: {n: n}}}]}
  - {id: left, phase: say, when: [{match: job, as: j, where: j.left > 0}, {exists: {match: done, as: d}}], then: [{emit: {decision: bad, code: LEFT}}]}
";

#[test]
fn stated_facts_rest_on_their_firing_even_where_that_is_past() {
    let found = explained(QUEUE, "{job: [{id: 1, left: 1}]}", "done(id=1)");
    let shown: Value = found["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| json!([node["fact"], node["kind"], node["rule"], node["supports"]]))
        .collect();
    let expected = json!([
        ["done(id=1)", "stated", "work", ["n2", "n3"]],
        ["open(id=1)", "derived", "open", ["n3", "n4"]],
        ["job(id=1)", "input", null, []],
        ["done(id=1)", "absence", "open", []],
    ]);
    assert_eq!(shown, expected);
    check_why(QUEUE, "{job: [{id: 1, left: 1}]}", "job(id=1)", &["work", "open"]);
}

#[test]
fn decisions_rest_on_what_their_conditions_gathered() {
    let found = explained(QUEUE, "{job: [{id: 1, left: 1}]}", "decision(code=DONE)");
    assert_eq!(found["nodes"][0]["kind"], "decision");
    assert_eq!(found["nodes"][0]["values"], json!({"message": null, "data": {"n": 1}}));
    assert_eq!(found["nodes"][1]["kind"], "aggregate");
    assert_eq!(found["nodes"][1]["values"], json!({"n": 1}));
    check_why(QUEUE, "{job: [{id: 1, left: 1}]}", "decision", &["sum", "work", "open"]);
    check_why(QUEUE, "{job: [{id: 1, left: 2}]}", "decision()", &["left", "work", "open"]);
}

#[test]
fn what_does_not_hold_names_the_condition_that_fails() {
    let facts = "{job: [{id: 1, left: 2}, {id: 2, left: 0}]}";
    check_why_not(QUEUE, facts, "open(id=1)", &json!([["open", 1, "blocked_by", "done(id=1)"]]));
    check_why_not(QUEUE, facts, "open(id=2)", &json!([["open", 0, "no_fact", null]]));
    check_why_not(QUEUE, facts, "done(id=2)", &json!([["work", 0, "no_fact", null]]));
    check_why_not(QUEUE, facts, "decision(code=DONE)", &json!([["sum", 2, "combined_away", null]]));
    check_why_not(QUEUE, "{}", "decision(code=DONE)", &json!([["sum", 1, "false", null]]));
    check_why_not(QUEUE, "{}", "decision(code=NONE)", &json!([]));
    let found = explained(QUEUE, "{}", "decision(code=DONE)");
    let failed = &found["candidates"][0]["failed"];
    assert_eq!((&failed["condition"], &failed["text"]), (&json!(2), &json!("if: n > 0")));
    assert_eq!((&failed["values"], &found["candidates"][0]["of"]), (&json!({"n": 0}), &json!(2)));
    assert!(failed["at"].as_str().unwrap().starts_with("it.yaml:14:"), "{failed}");
}

#[test]
fn rules_that_were_not_reached_or_have_fired_say_so() {
    let rules = "
facts:
  n: {origin: input, key: [i], fields: {i: int}}
  m: {origin: output, stated: true, key: [i], fields: {i: int}}
rules:
  - {id: make, salience: 2, when: [{match: n, as: x}], then: [{assert: {m: {i: x.i}}}]}
  - {id: drop, salience: 1, when: [{match: m, as: y}], then: [{retract: y}, {stop: all}]}
  - {id: late, when: [{match: n, as: x}], then: [{emit: {decision: d, code: LATE, subject: string(x.i)}}]}
";
    check_why_not(rules, "{n: [{i: 1}]}", "m(i=1)", &json!([["make", 1, "refracted", null]]));
    check_why_not(rules, "{n: [{i: 1}]}", "decision(code=LATE, subject=1)", &json!([["late", 1, "not_reached", null]]));
    check_why_not(rules, "{n: [{i: 1}]}", "decision(code=LATE, subject='2')", &json!([["late", 0, "no_fact", null]]));
}

#[test]
fn queries_are_read_or_refused_with_a_hint() {
    let (file, ..) = run(QUEUE, "{}");
    let Ok(Query::Fact(found)) = query::parse(" job( id = 1 , left=2 )#3", &file.schema) else { panic!("no fact") };
    assert_eq!(found.version, Some(3));
    let Ok(Query::Decision(found)) = query::parse(r"decision(code=A, subject='it\'s, \\ this)')", &file.schema) else {
        panic!("no decision")
    };
    assert_eq!(found.subject.as_deref(), Some(r"it's, \ this)"));
    for (query, hint) in [
        ("jobs(id=1)", "did you mean `job`?"),
        ("job(idd=1)", "did you mean `id`?"),
        ("job(id=1", "write template(field=value, ...) or decision(code=..., subject=...)"),
        ("decision(cod=A)", "did you mean `code`?"),
    ] {
        assert_eq!(query::parse(query, &file.schema).unwrap_err().hint, hint, "{query}");
    }
    assert!(query::parse("job(id=x)", &file.schema).is_err());
}
