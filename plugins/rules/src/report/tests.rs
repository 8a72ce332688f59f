//! Reports of small runs, as text.

use std::rc::Rc;

use serde_json::{Value, json};

use super::report;
use crate::document;
use crate::engine::{Budget, Engine};
use crate::file::{TraceLevel, parse};
use crate::model::resolve;
use crate::rows::read_facts;

const HEAD: &str = "schema: rules/v1\nname: shop\nversion: 1.0.0\n";

const SHOP: &str = "
params: {step: {type: int, default: 2}, big: {type: int, default: '9007199254740993'}, cut: {type: double, default: 0.5}}
phases: [sell, close]
facts:
  item: {origin: input, key: [id], fields: {id: string, left: int}}
  low: {origin: derived, key: [id], fields: {id: string}}
  sold: {origin: output, stated: true, key: [id], fields: {id: string, n: int}}
rules:
  - {id: low, when: [{match: item, as: i, where: i.left < params.step}], then: [{derive: {low: {id: i.id}}}]}
  - id: sell
    phase: sell
    when: [{match: item, as: i, where: i.left >= params.step}]
    then: [{modify: i, set: {left: i.left - params.step}}, {assert: {sold: {id: i.id, n: i.left}}}]
  - id: warn
    phase: close
    when: [{match: low, as: l}]
    then: [{emit: {decision: order, code: LOW, subject: l.id, message: 'order {l.id}', data: {of: l.id}}}]
";

/// The report of a run over some facts.
fn reported(rules: &str, facts: &str, level: TraceLevel, work_max: u64) -> String {
    let file = parse(format!("{HEAD}{rules}").as_bytes()).unwrap_or_else(|findings| panic!("{findings:?}"));
    let resolved = Rc::new(resolve(&file).unwrap_or_else(|findings| panic!("{findings:?}")));
    let params: Vec<_> = file.params.iter().map(|param| param.default.clone()).collect();
    let budget = Budget {
        work_max,
        firings_max: 20,
        firings_per_rule_max: 20,
        facts_max: 100,
        depth_max: 100,
        bytes_max: 1 << 26,
    };
    let mut engine = Engine::new(resolved, &params, budget, || false);
    engine.trace(level, 6, false);
    let given = read_facts(&document::parse(facts.as_bytes()).unwrap(), &file.schema).unwrap();
    let ended = engine.begin_with_rows(&given);
    let text = report(&engine, &ended);
    // The same run again, in a warm engine, gives the same bytes.
    let again = engine.begin_with_rows(&given);
    assert_eq!(report(&engine, &again), text);
    text
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_report_says_all_that_a_run_came_to() {
    let text = reported(SHOP, "{item: [{id: b, left: 1}, {id: a, left: 5}]}", TraceLevel::Off, 1_000_000);
    let found = read(&text);
    let mut keys: Vec<&str> = found.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "schema",
        "rule_set",
        "params",
        "params_digest",
        "status",
        "result",
        "decisions",
        "facts",
        "stats",
        "diagnostics",
        "limit",
        "error",
        "trace",
    ];
    keys.sort_unstable();
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(found["rule_set"]["name"], "shop");
    assert!(found["rule_set"]["digest"].as_str().unwrap().starts_with("sha256:"));
    assert!(text.contains(r#""params":{"big":"9007199254740993","cut":0.5,"step":2},"params_digest":"sha256:"#));
    assert_eq!(found["status"], "ok");
    let result = json!([
        {"subject": "b", "decision": "order", "code": "LOW", "message": "order b", "data": {"of": "b"}, "id": "d2"},
    ]);
    assert_eq!(found["result"][1], result[0]);
    let decision = json!({
        "id": "d1", "decision": "order", "code": "LOW", "subject": "a", "message": "order a", "data": {"of": "a"},
        "rule": "warn", "firing": 3, "default": false, "because": ["low(id='a')"],
    });
    assert_eq!(found["decisions"][0], decision);
    assert_eq!(found["facts"], json!({"sold": [{"id": "a", "n": 3}]}));
    assert_eq!(found["stats"]["firings"], 4);
    assert_eq!(found["stats"]["facts"], 5);
    assert_eq!(found["stats"]["by_rule"], json!({"low": 2, "sell": 2, "warn": 2}));
    assert_eq!((&found["limit"], &found["error"]), (&Value::Null, &Value::Null));
    assert_eq!(found["trace"], json!({"level": "off", "dropped": 0, "events": []}));
}

#[test]
fn a_full_trace_keeps_the_newest_events() {
    let text = reported(SHOP, "{item: [{id: a, left: 3}]}", TraceLevel::Full, 1_000_000);
    let found = &read(&text)["trace"];
    let event = |phase: Value, rule: &str, kind: &str, fact: Value| json!([phase, rule, kind, fact]);
    let shown: Vec<Value> = found["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| json!([event["phase"], event["rule"], event["kind"], event["fact"]]))
        .collect();
    let expected = [
        event(json!("sell"), "sell", "fire", Value::Null),
        event(json!("sell"), "sell", "modify", json!("item(id='a')#2")),
        event(json!("sell"), "sell", "assert", json!("sold(id='a')")),
        event(json!("sell"), "low", "derive", json!("low(id='a')")),
        event(json!("close"), "warn", "fire", Value::Null),
        event(json!("close"), "warn", "emit", json!("decision(decision=order, code=LOW, subject='a')")),
    ];
    assert_eq!(shown, expected);
    assert_eq!(found["dropped"], 0);
    assert_eq!(found["events"][0]["bindings"], json!({"i": "item(id='a')"}));
    assert_eq!(found["events"][1]["changed"], json!({"left": 1}));
    let text = reported(SHOP, "{item: [{id: a, left: 5}]}", TraceLevel::Full, 1_000_000);
    assert_eq!(read(&text)["trace"]["dropped"], 3);
}

#[test]
fn a_trace_of_decisions_has_what_was_given_and_withdrawn() {
    let rules = "
facts:
  n: {origin: input, key: [i], fields: {i: int}}
rules:
  - {id: few, salience: 1, when: [{not: {match: n, as: x, where: x.i > 2}}], then: [{emit: {decision: few, code: FEW}}]}
  - {id: add, when: [{match: n, as: x, where: x.i < 3}], then: [{assert: {n: {i: x.i + 1}}}]}
";
    let found = read(&reported(rules, "{n: [{i: 1}]}", TraceLevel::Decisions, 1_000_000));
    let kinds: Vec<_> = found["trace"]["events"].as_array().unwrap().iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds, ["emit", "withdraw"]);
    assert_eq!(found["result"], json!([]));
}

#[test]
fn a_limit_names_the_rules_and_facts_and_decides_if_it_may() {
    let rules = "
facts:
  n: {origin: input, key: [], fields: {i: int}}
  out: {origin: output, key: [], fields: {i: int}}
decisions: {combine: all, default: {decision: none, code: NONE}}
limits: {max_firings: 20, on_limit: decide, limit_decision: {decision: refer, code: LIMIT}}
rules:
  - {id: count, when: [{match: n, as: x}], then: [{modify: x, set: {i: x.i + 1}}]}
  - {id: out, when: [{match: n, as: x}], then: [{derive: {out: {i: x.i}}}]}
";
    let found = read(&reported(rules, "{n: [{i: 1}]}", TraceLevel::Off, 1_000_000));
    assert_eq!(found["status"], "limit");
    assert_eq!(found["limit"]["name"], "max_firings");
    assert_eq!(found["limit"]["rules"], json!(["count"]));
    assert_eq!(found["limit"]["facts"][0], json!("n()#21"));
    assert_eq!(found["facts"], json!({"out": []}));
    let decision = json!({
        "id": "d1", "decision": "refer", "code": "LIMIT", "subject": null, "message": null, "data": null, "rule": null,
        "firing": null, "default": false, "because": [],
    });
    assert_eq!(found["decisions"], json!([decision]));
    assert_eq!(found["result"][0]["code"], "LIMIT");
}

#[test]
fn an_error_names_its_rule_and_bindings_and_decides_nothing() {
    let rules = "
facts:
  n: {origin: input, key: [i], fields: {i: int}}
decisions: {combine: all, default: {decision: none, code: NONE}}
rules:
  - {id: divide, when: [{match: n, as: x, where: 1 / (x.i - 5) != 7}], then: [{emit: {decision: d, code: D, data: {q: 6 / (x.i - 1)}}}]}
";
    let found = read(&reported(rules, "{n: [{i: 5}, {i: 1}]}", TraceLevel::Off, 1_000_000));
    assert_eq!(found["status"], "error");
    assert_eq!(found["error"]["rule"], "divide");
    assert_eq!(found["error"]["bindings"], json!({"x": "n(i=1)"}));
    assert_eq!((&found["result"], &found["decisions"]), (&json!([]), &json!([])));
    let note = json!([{"code": "evaluation", "rule": "divide", "condition": 1, "error": found["diagnostics"][0]["error"], "count": 1}]);
    assert_eq!(found["diagnostics"], note);
}

#[test]
fn a_default_decision_says_so() {
    let rules = "
facts:
  n: {origin: input, key: [i], fields: {i: int}}
decisions: {combine: all, default: {decision: none, code: NONE}}
rules:
  - {id: seven, when: [{match: n, as: x, where: x.i == 7}], then: [{emit: {decision: d, code: D}}]}
";
    let found = read(&reported(rules, "{}", TraceLevel::Off, 1_000_000));
    assert_eq!((&found["decisions"][0]["default"], &found["result"][0]["code"]), (&json!(true), &json!("NONE")));
}
