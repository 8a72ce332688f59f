//! Plans as their readers see them.

use serde_json::{Value, json};

use super::plan_text;
use crate::file::parse;
use crate::model::resolve;

const HEAD: &str = "\
schema: rules/v1
name: sample
version: 1.0.0
params: {cut: {type: int, default: 5}}
tables:
  t: {columns: {k: int, v: string}, rows: [[1, one], [2, two]]}
facts:
  p: {origin: input, key: [id], fields: {id: int, n: int, s: string}}
  q: {origin: input, key: [id], fields: {id: int, n: int}}
  d: {origin: derived, key: [id], fields: {id: int}}
  e: {origin: derived, key: [id], fields: {id: int}}
rules:
";

fn plan(rules: &str) -> Value {
    let file = parse(format!("{HEAD}{rules}").as_bytes()).unwrap_or_else(|found| panic!("{rules}\n{found:#?}"));
    let rules = resolve(&file).unwrap_or_else(|found| panic!("{rules}\n{found:#?}"));
    serde_json::from_str(&plan_text(&rules)).unwrap()
}

/// The positions of a derive rule with these conditions.
fn positions(when: &str) -> Value {
    let plan = plan(&format!("  - {{id: r, when: [{when}], then: [{{derive: {{d: {{id: a.id}}}}}}]}}\n"));
    plan["rules"][0]["bodies"][0]["positions"].clone()
}

#[test]
fn equalities_become_hash_probes() {
    let found =
        positions("{match: p, as: a, where: a.s == 'x'}, {match: q, as: b, where: b.id == a.n && b.n > params.cut}");
    assert_eq!(found[0]["access"], json!({"kind": "hash-probe", "keys": [{"field": "s", "equals": "'x'"}]}));
    assert_eq!(found[1]["access"], json!({"kind": "hash-probe", "keys": [{"field": "id", "equals": "a.n"}]}));
    assert_eq!(found[1]["tests"], json!(["b.n > params.cut"]));
    assert_eq!(found[1]["cross_product"], json!(false));
}

#[test]
fn cross_products_are_flagged() {
    let found = positions("{match: p, as: a}, {match: q, as: b, where: b.n > a.n}");
    assert_eq!(found[0]["cross_product"], json!(false));
    assert_eq!(found[1]["access"], json!({"kind": "scan"}));
    assert_eq!(found[1]["cross_product"], json!(true));
    let plan = plan("  - {id: r, when: [{match: p, as: a}, {match: q, as: b, where: b.n > a.n}], then: [stop: all]}\n");
    assert_eq!(plan["rules"][0]["cross_product"], json!(true));
    assert_eq!(plan["rules"][0]["bodies"][0]["cross_product"], json!(true));
}

#[test]
fn a_join_by_key_is_cheaper_than_a_scan() {
    let cost = |when: &str| {
        let plan = plan(&format!("  - {{id: r, when: [{when}], then: [{{derive: {{d: {{id: a.id}}}}}}]}}\n"));
        plan["rules"][0]["bodies"][0]["estimated_cost"].as_u64().unwrap()
    };
    let by_key = cost("{match: p, as: a}, {match: q, as: b, where: b.id == a.n}");
    let by_field = cost("{match: p, as: a}, {match: q, as: b, where: b.n == a.n}");
    let scan = cost("{match: p, as: a}, {match: q, as: b, where: b.n > a.n}");
    assert!(by_key < by_field && by_field < scan, "{by_key} {by_field} {scan}");
}

#[test]
fn steps_stand_where_they_are_made() {
    let found = positions(
        "{match: p, as: a}, {not: {match: q, as: b, where: b.id == a.id && b.n > a.n}}, {let: {v: a.n + 1}}, {if: v > 2}",
    );
    let steps = &found[0]["steps"];
    assert_eq!(steps[0]["kind"], json!("not"));
    assert_eq!(steps[0]["access"]["keys"], json!([{"field": "id", "equals": "a.id"}]));
    assert_eq!(steps[0]["tests"], json!(["b.n > a.n"]));
    assert_eq!(steps[1], json!({"kind": "let", "gives": ["v"], "expression": "expression over (a.n)"}));
    assert_eq!(steps[2], json!({"kind": "if", "expression": "expression over (v)"}));
}

#[test]
fn every_alternative_has_a_plan() {
    let plan = plan(
        "  - {id: r, when: [{any: [[{match: p, as: a}], [{match: q, as: b}, {match: p, as: a, where: a.id == b.n}]]}], then: [{derive: {d: {id: a.id}}}]}\n",
    );
    assert_eq!(plan["rules"][0]["bodies"].as_array().unwrap().len(), 2);
    assert_eq!(plan["rules"][0]["bodies"][1]["positions"].as_array().unwrap().len(), 2);
}

#[test]
fn strata_and_the_agenda_are_in_order() {
    let plan = plan(
        "  - {id: second, when: [{match: d, as: a}], then: [{derive: {e: {id: a.id}}}]}\n  \
           - {id: first, when: [{match: p, as: a}], then: [{derive: {d: {id: a.id}}}]}\n  \
           - {id: low, when: [{match: e, as: a}], then: [{emit: {decision: x, code: X, subject: a.id}}]}\n  \
           - {id: high, salience: 3, when: [{match: p, as: a}], then: [{retract: a}]}\n",
    );
    let rules: Vec<_> = plan["strata"].as_array().unwrap().iter().map(|stratum| stratum["rules"].clone()).collect();
    assert_eq!(rules, [json!(["first"]), json!(["second"])]);
    assert_eq!(plan["strata"][0]["changes_with_the_agenda"], json!(true));
    assert_eq!(
        plan["agenda"],
        json!([{"phase": null, "rules": [{"rule": "high", "salience": 3}, {"rule": "low", "salience": 0}]}])
    );
}

#[test]
fn the_order_for_new_facts_is_said() {
    let plan = plan(
        "  - {id: r, when: [{match: p, as: a}, {match: q, as: b, where: b.id == a.n}], then: [{derive: {d: {id: a.id}}}]}\n",
    );
    let expected = json!([{"begins_with": "a", "then": ["b"]}, {"begins_with": "b", "then": ["a"]}]);
    assert_eq!(plan["rules"][0]["bodies"][0]["on_new_fact"], expected);
}

#[test]
fn one_inequality_in_a_closed_condition_is_a_range_probe() {
    let found = positions("{match: p, as: a}, {not: {match: q, as: b, where: b.n > a.n}}");
    let steps = &found[0]["steps"];
    assert_eq!(steps[0]["access"], json!({"kind": "range-probe"}));
    assert_eq!(steps[0]["range_probes"], json!(["b.n > a.n"]));
    assert_eq!(steps[0]["tests"], json!([]));
}
