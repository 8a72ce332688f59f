//! Small rule sets, and what they do.

use std::rc::Rc;

use super::{Budget, Ended, Engine};
use crate::document;
use crate::file;
use crate::model::resolve;
use crate::rows::read_facts;
use crate::schema::Constant;

const BUDGET: Budget = Budget {
    work_max: 10_000_000,
    firings_max: 1000,
    firings_per_rule_max: 1000,
    facts_max: 100_000,
    depth_max: 1000,
    bytes_max: 1 << 30,
};

fn engine(rules: &str) -> Engine {
    let file = file::parse(rules.as_bytes()).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let rules = resolve(&file).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let params: Vec<Constant> = rules.params.iter().map(|param| param.default.clone()).collect();
    Engine::new(Rc::new(rules), &params, BUDGET, || false)
}

/// What a run leaves: facts of all templates but tables, then decisions, one a line.
fn run(rules: &str, facts: &str) -> Vec<String> {
    let mut engine = engine(rules);
    let node = document::parse(facts.as_bytes()).expect("facts are YAML");
    let facts = read_facts(&node, &engine.rules.schema).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let ended = engine.begin_with_rows(&facts);
    describe(&engine, &ended)
}

fn describe(engine: &Engine, ended: &Ended) -> Vec<String> {
    match ended {
        Ended::Well => {}
        Ended::Limit(limit) => return vec![format!("limit {}", limit.kind.name())],
        Ended::Error(error) => return vec![format!("error {}: {}", error.code, error.message)],
    }
    let mut lines = Vec::new();
    for (place, template) in engine.rules.schema.templates.iter().enumerate() {
        if template.origin == crate::schema::Origin::Table {
            continue;
        }
        for row in engine.facts_of(place) {
            let mut line = format!("{} ", template.name);
            crate::rows::write_row(&mut line, &engine.constants(place, row), template);
            lines.push(line);
        }
    }
    let decided = engine.decided().expect("decisions agree");
    for &place in &decided.result {
        let decision = &decided.all[place];
        let subject = decision.subject.as_deref().unwrap_or("-");
        let message = decision.message.as_deref().unwrap_or("-");
        lines.push(format!("{}/{} {subject} {message}", decision.decision, decision.code));
    }
    lines
}

fn check(rules: &str, facts: &str, expected: &[&str]) {
    let rules = format!("schema: rules/v1\nname: t\nversion: 1.0.0\n{rules}");
    assert_eq!(run(&rules, facts), expected, "{rules}\n{facts}");
}

const EDGES: &str = "
facts:
  edge: {origin: input, fields: {a: int, b: int}}
  path: {origin: derived, fields: {a: int, b: int}}
rules:
  - {id: base, when: [{match: edge, as: e}], then: [{derive: {path: {a: e.a, b: e.b}}}]}
  - id: step
    when: [{match: path, as: p}, {match: edge, as: e, where: e.a == p.b}]
    then: [{derive: {path: {a: p.a, b: e.b}}}]
";

#[test]
fn closure_is_complete() {
    check(
        EDGES,
        "{edge: [{a: 1, b: 2}, {a: 2, b: 3}, {a: 3, b: 1}]}",
        &[
            r#"edge {"a":1,"b":2}"#,
            r#"edge {"a":2,"b":3}"#,
            r#"edge {"a":3,"b":1}"#,
            r#"path {"a":1,"b":1}"#,
            r#"path {"a":1,"b":2}"#,
            r#"path {"a":1,"b":3}"#,
            r#"path {"a":2,"b":1}"#,
            r#"path {"a":2,"b":2}"#,
            r#"path {"a":2,"b":3}"#,
            r#"path {"a":3,"b":1}"#,
            r#"path {"a":3,"b":2}"#,
            r#"path {"a":3,"b":3}"#,
        ],
    );
}

#[test]
fn agenda_fires_newest_first_and_sees_its_own_changes() {
    check(
        "
facts:
  n: {origin: input, key: [id], fields: {id: int, left: int}}
  log: {origin: output, stated: true, key: [at], fields: {at: int, id: int}}
  clock: {origin: input, key: [], fields: {now: int}}
rules:
  - id: tick
    when: [{match: n, as: x, where: x.left > 0}, {match: clock, as: c}]
    then:
      - modify: x
        set: {left: x.left - 1}
      - modify: c
        set: {now: c.now + 1}
      - assert: {log: {at: c.now, id: x.id}}
",
        "{n: [{id: 1, left: 1}, {id: 2, left: 2}], clock: [{now: 0}]}",
        &[
            r#"clock {"now":3}"#,
            r#"log {"at":0,"id":2}"#,
            r#"log {"at":1,"id":2}"#,
            r#"log {"at":2,"id":1}"#,
            r#"n {"id":1,"left":0}"#,
            r#"n {"id":2,"left":0}"#,
        ],
    );
}

#[test]
fn logical_decisions_go_with_their_match() {
    check(
        "
facts:
  a: {origin: input, key: [id], fields: {id: int}}
  b: {origin: input, key: [id], fields: {id: int}}
rules:
  - {id: say, salience: 10, when: [{match: a, as: x}, {not: {match: b, as: y, where: y.id == x.id}}], then: [{emit: {decision: no, code: B, subject: x.id}}]}
  - {id: make, when: [{match: a, as: x, where: x.id > 1}], then: [{assert: {b: {id: x.id}}}]}
",
        "{a: [{id: 1}, {id: 2}]}",
        &[r#"a {"id":1}"#, r#"a {"id":2}"#, r#"b {"id":2}"#, "no/B 1 -"],
    );
}

#[test]
fn loops_end_with_a_limit() {
    check(
        "
facts: {a: {origin: input, key: [id], fields: {id: int}}}
rules: [{id: grow, when: [{match: a, as: x}], then: [{assert: {a: {id: x.id + 1}}}]}]
",
        "{a: [{id: 1}]}",
        &["limit max_firings"],
    );
}

#[test]
fn a_search_that_goes_on_looks_again_at_conditions_above() {
    check(
        "
facts:
  det: {origin: input, key: [id], fields: {id: int, frame: int}}
  seen: {origin: derived, stated: true, key: [id], fields: {id: int, frame: int}}
  alert: {origin: output, stated: true, key: [frame], fields: {frame: int}}
rules:
  - {id: see, when: [{match: det, as: d}], then: [{assert: {seen: {id: d.id, frame: d.frame}}}]}
  - id: crowd
    salience: -1
    when:
      - {match: seen, as: a}
      - {match: seen, as: b, where: b.id > a.id && b.frame == a.frame}
      - {not: {match: alert, as: z, where: z.frame == a.frame}}
    then: [{assert: {alert: {frame: a.frame}}}, {emit: {decision: d, code: C, subject: a.id}}]
",
        "{det: [{id: 1, frame: 0}, {id: 2, frame: 0}, {id: 3, frame: 0}, {id: 4, frame: 0}]}",
        &[
            r#"alert {"frame":0}"#,
            r#"det {"frame":0,"id":1}"#,
            r#"det {"frame":0,"id":2}"#,
            r#"det {"frame":0,"id":3}"#,
            r#"det {"frame":0,"id":4}"#,
            r#"seen {"frame":0,"id":1}"#,
            r#"seen {"frame":0,"id":2}"#,
            r#"seen {"frame":0,"id":3}"#,
            r#"seen {"frame":0,"id":4}"#,
            "d/C 1 -",
        ],
    );
}

/// Whether `not {match: b, where: <where>}` holds for the facts of `a` with these values while those of `b` come and go.
#[test]
fn the_furthest_fact_answers_for_an_inequality() {
    for (comparison, expected) in [(">", "3"), (">=", "4"), ("<", "1"), ("<=", "0")] {
        let rules = format!(
            "schema: rules/v1\nname: sample\nversion: 1.0.0\nfacts:\n  a: {{origin: input, key: [n], fields: {{n: int}}}}\n  \
             b: {{origin: input, key: [n], fields: {{n: int, x: double}}}}\nphases: [first, second, third]\nrules:\n  \
             - {{id: most, phase: first, when: [{{match: b, as: b, where: b.n == 9}}], then: [{{retract: b}}]}}\n  \
             - {{id: least, phase: second, when: [{{match: b, as: b, where: b.n == -9}}], then: [{{retract: b}}]}}\n  \
             - {{id: ends, phase: third, when: [{{match: a, as: a}}, {{not: {{match: b, as: b, where: b.n {comparison} a.n}}}}], \
             then: [{{emit: {{decision: free, code: X, subject: a.n}}}}]}}\n  \
             - {{id: nan, phase: third, when: [{{exists: {{match: b, as: b, where: b.x > 5.0}}}}], \
             then: [{{emit: {{decision: wrong, code: X}}}}]}}\n"
        );
        let rules = rules.replace("x: double", "x: {type: double, nan: allow}");
        let facts = "{a: [{n: 0}, {n: 1}, {n: 2}, {n: 3}, {n: 4}], b: [{n: 9, x: 1.0}, {n: 1, x: NaN}, {n: 3, x: 2.0}, {n: -9, x: 4.5}]}";
        let found = run(&rules, facts);
        let free: Vec<&String> = found.iter().filter(|line| line.starts_with("free")).collect();
        assert!(free.iter().any(|line| line.contains(&format!(" {expected} "))), "{comparison}: {found:#?}");
        assert!(!found.iter().any(|line| line.starts_with("wrong")), "{found:#?}");
        assert_eq!(free.len(), if comparison.len() == 1 { 2 } else { 1 }, "{comparison}: {found:#?}");
    }
}

#[test]
fn a_change_of_a_field_far_behind_fires_nothing_that_does_not_read_it() {
    let fields: Vec<String> = (0..70).map(|field| format!("f{field:02}: int")).collect();
    let rules = format!(
        "schema: rules/v1\nname: sample\nversion: 1.0.0\nfacts:\n  a: {{origin: input, key: [f00], fields: {{{}}}}}\nrules:\n  \
         - {{id: reads, when: [{{match: a, as: a, where: a.f02 == 0}}], then: [{{emit: {{decision: d, code: X, subject: a.f00}}}}]}}\n  \
         - {{id: reads-far, when: [{{match: a, as: a, where: a.f69 >= 0}}], then: [{{emit: {{decision: far, code: X, subject: a.f00}}}}]}}\n  \
         - {{id: changes, salience: -1, when: [{{match: a, as: a, where: a.f66 < 3}}], then: [{{modify: a, set: {{f66: a.f66 + 1, f69: a.f69 + 1}}}}]}}\n",
        fields.join(", ")
    );
    let mut engine = engine(&rules);
    let values: Vec<String> = (0..70).map(|field| format!("f{field:02}: 0")).collect();
    let node = document::parse(format!("{{a: [{{{}}}]}}", values.join(", ")).as_bytes()).expect("facts are YAML");
    let facts = read_facts(&node, &engine.rules.schema).unwrap_or_else(|findings| panic!("{findings:#?}"));
    assert!(matches!(engine.begin_with_rows(&facts), Ended::Well));
    assert_eq!(engine.fired(), [(0, 1), (1, 4), (2, 3)]);
}

const ITEMS: &str = "
decisions: {combine: all}
facts:
  item: {origin: input, key: [id], fields: {id: int, group: {type: string, default: a}, n: {type: int, default: 0}}}
  good: {origin: derived, fields: {id: int}}
";

#[test]
fn one_fact_for_which_forall_is_false_decides_whatever_errs() {
    let rules = format!(
        "{ITEMS}rules: [{{id: r, when: [{{forall: {{match: item, as: i}}, satisfies: 6 / i.n > 2}}], \
         then: [{{emit: {{decision: small, code: S}}}}]}}]"
    );
    let facts = |values: [i64; 2]| format!("{{item: [{{id: 1, n: {}}}, {{id: 2, n: {}}}]}}", values[0], values[1]);
    for values in [[0, 6], [6, 0]] {
        let items = values.iter().zip(1..).map(|(n, id)| format!(r#"item {{"group":"a","id":{id},"n":{n}}}"#));
        let items: Vec<String> = items.collect();
        check(&rules, &facts(values), &[items[0].as_str(), items[1].as_str()]);
    }
    let error = "error evaluation: condition 1 of `r`: division by zero";
    check(&rules, &facts([0, 2]), &[error]);
}

#[test]
fn an_activation_errs_only_if_all_that_give_it_err() {
    let error = "error evaluation: condition 2 of `r`: division by zero";
    let item = r#"item {"group":"a","id":1,"n":0}"#;
    let (errs, holds) = ("[{if: 1 / i.n > 0}]", "[{if: i.n == 0}]");
    for (action, given) in [
        ("{derive: {good: {id: i.id}}}", [r#"good {"id":1}"#, item]),
        ("{emit: {decision: good, code: G}}", [item, "good/G - -"]),
    ] {
        for (branches, expected) in
            [([errs, holds], given.to_vec()), ([holds, errs], given.to_vec()), ([errs, errs], vec![error])]
        {
            let [first, second] = branches;
            let rules = format!(
                "{ITEMS}rules: [{{id: r, when: [{{match: item, as: i}}, {{any: [{first}, {second}]}}], then: [{action}]}}]"
            );
            check(&rules, "{item: [{id: 1}]}", &expected);
        }
    }
}

#[test]
fn a_value_that_errs_is_no_other_value() {
    let rules = format!(
        "{ITEMS}rules: [{{id: r, when: [{{match: item, as: i}}, {{any: [[{{let: {{x: '0'}}}}], [{{let: {{x: 1 / i.n}}}}]]}}], \
         then: [{{emit: {{decision: good, code: G}}}}]}}]"
    );
    check(&rules, "{item: [{id: 1}]}", &["error evaluation: condition 2 of `r`: division by zero"]);
}

#[test]
fn distinct_takes_the_fact_that_later_conditions_fit() {
    let rules = format!(
        "{ITEMS}rules: [{{id: r, when: [{{match: item, as: i}}, {{match: item, as: k, where: k.n >= i.n, distinct: [group]}}], \
         then: [{{derive: {{good: {{id: i.n}}}}}}]}}]"
    );
    let items = [r#"item {"group":"a","id":1,"n":1}"#, r#"item {"group":"a","id":2,"n":2}"#];
    let expected = [r#"good {"id":1}"#, r#"good {"id":2}"#, items[0], items[1]];
    check(&rules, "{item: [{id: 1, n: 1}, {id: 2, n: 2}]}", &expected);
}

#[test]
fn distinct_takes_another_fact_where_its_own_is_gone() {
    let rules = format!(
        "{ITEMS}rules: [{{id: r, when: [{{match: item, as: k, distinct: [group]}}], \
         then: [{{assert: {{item: {{id: '1', group: \"'c'\"}}}}}}, {{emit: {{decision: seen, code: S, subject: k.group}}}}]}}]"
    );
    let facts = "{item: [{id: 0, group: a}, {id: 1, group: b}, {id: 2, group: b}]}";
    let items =
        [("a", 0), ("c", 1), ("b", 2)].map(|(group, id)| format!(r#"item {{"group":"{group}","id":{id},"n":0}}"#));
    let expected = [&*items[0], &*items[1], &*items[2], "seen/S a -", "seen/S b -", "seen/S c -"];
    check(&rules, facts, &expected);
}

#[test]
fn a_derived_fact_that_is_stated_comes_first() {
    let rules = "
decisions: {combine: all}
facts:
  item: {origin: input, key: [id], fields: {id: int}}
  seen: {origin: output, stated: true, fields: {id: int}}
rules:
  - {id: d, when: [{match: item, as: i}], then: [{derive: {seen: {id: i.id}}}]}
  - id: r
    when: [{match: seen, as: s}]
    then: [{assert: {seen: {id: '3'}}}, {emit: {decision: seen, code: S, subject: string(s.id)}}]
";
    let mut expected: Vec<String> = (1..=3).map(|id| format!(r#"item {{"id":{id}}}"#)).collect();
    expected.extend((1..=3).map(|id| format!(r#"seen {{"id":{id}}}"#)));
    expected.extend([1, 3, 2].map(|id| format!("seen/S {id} -")));
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check(rules, "{item: [{id: 1}, {id: 2}, {id: 3}]}", &expected);
}
