//! What could run forever, or eat all memory, ends with a limit that names who did it.

use std::time::{Duration, Instant};

use rules_plugin::document;
use rules_plugin::engine::{Column, Decided, Ended, Given, GivenTable, LimitKind, Values};
use rules_plugin::load::Loaded;
use rules_plugin::rows::read_facts;

const HEAD: &str = "schema: rules/v1\nname: limits\nversion: 1.0.0\n";

/// Far more than any run here takes, and far less than forever.
const PATIENCE: Duration = Duration::from_secs(120);

/// A run that ended with a limit.
struct Reached {
    kind: LimitKind,
    value: u64,
    rules: Vec<String>,
    facts: Vec<String>,
    decided: Decided,
}

fn load(source: &str) -> Loaded {
    Loaded::from_source(format!("{HEAD}{source}").as_bytes(), "", || false)
        .unwrap_or_else(|found| panic!("{source}\n{found:#?}"))
}

fn run(loaded: &mut Loaded, given: &str) -> Ended {
    let node = document::parse(given.as_bytes()).unwrap_or_else(|found| panic!("{found:#?}"));
    let facts = read_facts(&node, &loaded.rules.schema).unwrap_or_else(|found| panic!("{found:#?}"));
    let begin = Instant::now();
    let ended = loaded.engine.begin_with_rows(&facts);
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    ended
}

fn reached(loaded: &Loaded, ended: Ended) -> Reached {
    let Ended::Limit(limit) = ended else { panic!("no limit was reached: {ended:?}") };
    let name = |&rule: &u32| loaded.rules.rules[rule as usize].id.clone();
    Reached {
        kind: limit.kind,
        value: limit.value,
        rules: limit.rules.iter().map(name).collect(),
        facts: limit.facts.iter().map(|&(template, row)| loaded.engine.fact_text(template, row)).collect(),
        decided: loaded.engine.decided_by_limit(),
    }
}

fn check(source: &str, given: &str) -> Reached {
    let mut loaded = load(source);
    let ended = run(&mut loaded, given);
    reached(&loaded, ended)
}

fn rows(count: usize, row: impl Fn(usize) -> String) -> String {
    (0..count).map(row).collect::<Vec<_>>().join(", ")
}

const COUNTER: &str = "
facts: {c: {origin: input, key: [id], fields: {id: int, n: int}}}
rules:
  - {id: count, when: [{match: c, as: a, where: a.n >= 0}], then: [{modify: a, set: {n: a.n + 1}}]}
";

#[test]
fn a_rule_that_feeds_itself_ends() {
    let found = check(&format!("{COUNTER}limits: {{max_firings: 1000}}\n"), "{c: [{id: 7, n: 0}]}");
    assert_eq!((found.kind, found.value), (LimitKind::Firings, 1000));
    assert_eq!(found.rules, ["count"]);
    assert!(found.facts.iter().all(|fact| fact == "c(id=7)") && !found.facts.is_empty(), "{:?}", found.facts);
    assert!(found.decided.all.is_empty());
}

#[test]
fn a_rule_has_a_limit_of_its_own() {
    let found = check(&format!("{COUNTER}limits: {{max_firings_per_rule: 10}}\n"), "{c: [{id: 7, n: 0}]}");
    assert_eq!((found.kind, found.value), (LimitKind::FiringsPerRule, 10));
    assert_eq!(found.rules, ["count"]);
}

#[test]
fn a_limit_may_decide() {
    let limits = "limits: {max_firings: 10, on_limit: decide, limit_decision: {decision: refer, code: LIMIT}}\n";
    let found = check(&format!("{COUNTER}{limits}"), "{c: [{id: 7, n: 0}]}");
    let all: Vec<_> = found.decided.all.iter().map(|decision| (&*decision.decision, &*decision.code)).collect();
    assert_eq!(all, [("refer", "LIMIT")]);
    assert_eq!(found.decided.result, [0]);
}

#[test]
fn rules_that_feed_each_other_are_both_named() {
    let found = check(
        "
facts: {c: {origin: input, key: [id], fields: {id: int, on: bool}}, other: {origin: input, key: [id], fields: {id: int}}}
rules:
  - {id: first, salience: 5, when: [{match: other, as: o, where: o.id < 0}], then: [{retract: o}]}
  - {id: ping, when: [{match: c, as: a, where: a.on}], then: [{modify: a, set: {on: false}}]}
  - {id: pong, when: [{match: c, as: a, where: '!a.on'}], then: [{modify: a, set: {on: true}}]}
limits: {max_firings: 500}
",
        "{c: [{id: 1, on: true}], other: [{id: 1}, {id: -1}]}",
    );
    assert_eq!(found.kind, LimitKind::Firings);
    assert_eq!(found.rules, ["ping", "pong"]);
    assert!(found.facts.contains(&"c(id=1)".to_owned()), "{:?}", found.facts);
}

#[test]
fn facts_without_end_end() {
    let found = check(
        "
facts: {c: {origin: input, key: [id], fields: {id: int}}}
rules: [{id: grow, when: [{match: c, as: a}], then: [{assert: {c: {id: a.id + 1}}}]}]
limits: {max_facts: 500}
",
        "{c: [{id: 0}]}",
    );
    assert_eq!((found.kind, found.value), (LimitKind::Facts, 500));
    assert_eq!(found.rules, ["grow"]);
    assert!(found.facts.iter().any(|fact| fact == "c(id=500)"), "{:?}", found.facts);
}

#[test]
fn a_join_that_explodes_ends() {
    let source = |body: &str| {
        format!(
            "
facts: {{p: {{origin: input, key: [id], fields: {{id: int, n: int}}}}, d: {{origin: derived, fields: {{n: int}}}}}}
rules: [{{id: blow, when: [{{match: p, as: a}}, {body}], then: [{{derive: {{d: {{n: a.n}}}}}}]}}]
limits: {{max_work: 200000}}
"
        )
    };
    let given = format!("{{p: [{}]}}", rows(1000, |id| format!("{{id: {id}, n: {id}}}")));
    for body in [
        "{match: p, as: b, where: b.n > a.n}, {match: p, as: c, where: c.n > b.n}, {if: a.n + b.n + c.n < 0}",
        "{match: p, as: b}, {match: p, as: c}, {if: a.n + b.n + c.n < 0}",
        "{match: p, as: b, where: b.n != a.n}, {not: {match: p, as: c, where: c.n + b.n < a.n}}",
        "{match: p, as: b}, {accumulate: {match: p, as: c, where: c.n > a.n - b.n}, count: n}, {if: n < 0}",
        "{match: p, as: b}, {forall: {match: p, as: c}, satisfies: c.n + a.n >= b.n - 5000}, {if: a.n + b.n < 0}",
    ] {
        let found = check(&source(body), &given);
        assert_eq!((found.kind, found.value), (LimitKind::Work, 200_000), "{body}");
        assert_eq!(found.rules, ["blow"], "{body}");
    }
}

#[test]
fn a_join_that_explodes_on_the_agenda_ends() {
    let found = check(
        "
facts: {p: {origin: input, key: [id], fields: {id: int, n: int}}}
rules: [{id: blow, when: [{match: p, as: a}, {match: p, as: b}, {match: p, as: c, where: a.n + b.n + c.n < 0}], then: [{stop: all}]}]
limits: {max_work: 200000}
",
        &format!("{{p: [{}]}}", rows(1000, |id| format!("{{id: {id}, n: {id}}}"))),
    );
    assert_eq!(found.kind, LimitKind::Work);
    assert_eq!(found.rules, ["blow"]);
}

#[test]
fn a_derivation_without_end_ends() {
    let source = |limits: &str| {
        format!(
            "
facts: {{p: {{origin: input, key: [id], fields: {{id: int}}}}, far: {{origin: derived, fields: {{id: int, steps: int}}}}}}
rules:
  - {{id: base, when: [{{match: p, as: a}}], then: [{{derive: {{far: {{id: a.id, steps: 0}}}}}}]}}
  - {{id: next, when: [{{match: far, as: a}}], then: [{{derive: {{far: {{id: a.id, steps: a.steps + 1}}}}}}]}}
{limits}
"
        )
    };
    let found = check(&source(""), "{p: [{id: 3}]}");
    assert_eq!((found.kind, found.value), (LimitKind::Depth, 10_000));
    assert_eq!(found.rules, ["next"]);
    assert!(
        found.facts.iter().all(|fact| fact.starts_with("far(id=3, steps=")) && !found.facts.is_empty(),
        "{:?}",
        found.facts
    );
    let found = check(&source("limits: {max_facts: 50}"), "{p: [{id: 3}]}");
    assert_eq!((found.kind, found.value), (LimitKind::Facts, 50));
}

#[test]
fn a_deep_chain_within_the_limit_is_derived() {
    let source = |depth: u32| {
        format!(
            "
facts: {{link: {{origin: input, key: [a], fields: {{a: int, b: int}}}}, reach: {{origin: derived, fields: {{a: int}}}}}}
rules:
  - {{id: start, when: [{{match: link, as: l, where: l.a == 0}}], then: [{{derive: {{reach: {{a: l.b}}}}}}]}}
  - {{id: step, when: [{{match: reach, as: r}}, {{match: link, as: l, where: l.a == r.a}}], then: [{{derive: {{reach: {{a: l.b}}}}}}]}}
limits: {{max_depth: {depth}}}
"
        )
    };
    let given = format!("{{link: [{}]}}", rows(2000, |at| format!("{{a: {at}, b: {}}}", at + 1)));
    let mut loaded = load(&source(10_000));
    let ended = run(&mut loaded, &given);
    assert!(matches!(ended, Ended::Well), "{ended:?}");
    assert_eq!(loaded.engine.facts_of(1).len(), 2000);
    let found = check(&source(100), &given);
    assert_eq!((found.kind, found.value), (LimitKind::Depth, 100));
    assert_eq!(found.rules, ["step"]);
}

#[test]
fn expressions_that_nest_endlessly_end() {
    let found = check(
        "
facts: {p: {origin: input, key: [id], fields: {id: int, l: list<int>}}}
rules: [{id: nest, when: [{match: p, as: a}, {if: 'a.l.all(w, a.l.all(x, a.l.all(y, a.l.all(z, w + x + y + z >= 0))))'}], then: [{stop: all}]}]
limits: {max_work: 1000000}
",
        &format!("{{p: [{{id: 1, l: [{}]}}]}}", rows(200, |at| at.to_string())),
    );
    assert_eq!(found.kind, LimitKind::Work);
    assert_eq!(found.rules, ["nest"]);
}

fn growing(field: &str, ty: &str, first: &str) -> Reached {
    check(
        &format!(
            "
facts: {{p: {{origin: input, key: [id], fields: {{id: int, {field}: {ty}}}}}}}
rules: [{{id: double, when: [{{match: p, as: a, where: 'a.{field}.size() > 0'}}], then: [{{modify: a, set: {{{field}: a.{field} + a.{field}}}}}]}}]
limits: {{max_bytes: 16777216, max_work: 1000000000}}
"
        ),
        &format!("{{p: [{{id: 1, {field}: {first}}}]}}"),
    )
}

#[test]
fn strings_that_grow_end() {
    let found = growing("s", "string", "'abc'");
    assert_eq!((found.kind, found.value), (LimitKind::Bytes, 16_777_216));
    assert_eq!(found.rules, ["double"]);
    assert_eq!(found.facts.first().map(String::as_str), Some("p(id=1)"));
}

#[test]
fn lists_that_grow_end() {
    let found = growing("l", "list<int>", "[1, 2, 3]");
    assert_eq!((found.kind, found.value), (LimitKind::Bytes, 16_777_216));
    assert_eq!(found.rules, ["double"]);
}

#[test]
fn a_run_out_of_memory_leaves_enough_for_the_next() {
    let mut loaded = load(
        "
facts: {p: {origin: input, key: [id], fields: {id: int}}}
rules: [{id: stop, when: [{match: p, as: a, where: a.id < 0}], then: [{stop: all}]}]
limits: {max_bytes: 1000000}
",
    );
    let many = format!("{{p: [{}]}}", rows(100_000, |at| format!("{{id: {at}}}")));
    for _ in 0..3 {
        let ended = run(&mut loaded, &many);
        assert!(matches!(&ended, Ended::Limit(limit) if limit.kind == LimitKind::Bytes), "{ended:?}");
        let ended = run(&mut loaded, "{p: [{id: 1}]}");
        assert!(matches!(ended, Ended::Well), "{ended:?}");
    }
}

#[test]
fn values_that_grow_inside_of_one_expression_end() {
    let found = check(
        "
facts: {p: {origin: input, key: [id], fields: {id: int, l: list<int>}}}
rules: [{id: wide, when: [{match: p, as: a}, {if: 'a.l.map(x, a.l.map(y, a.l.map(z, [x, y, z]))).size() < 0'}], then: [{stop: all}]}]
limits: {max_bytes: 16777216, max_work: 1000000000}
",
        &format!("{{p: [{{id: 1, l: [{}]}}]}}", rows(500, |at| at.to_string())),
    );
    assert_eq!(found.kind, LimitKind::Bytes);
    assert_eq!(found.rules, ["wide"]);
}

#[test]
fn patterns_that_ruin_other_engines_are_harmless() {
    let mut loaded = load(
        "
facts: {p: {origin: input, key: [id], fields: {id: int, s: string}}, d: {origin: derived, fields: {id: int}}}
rules: [{id: match, when: [{match: p, as: a, where: \"a.s.matches('^(a+)+(b|a*)*$')\"}], then: [{derive: {d: {id: a.id}}}]}]
",
    );
    let given = format!("{{p: [{{id: 1, s: {}}}, {{id: 2, s: {}!}}]}}", "a".repeat(50_000), "a".repeat(50_000));
    let ended = run(&mut loaded, &given);
    assert!(matches!(ended, Ended::Well), "{ended:?}");
    let derived = loaded.rules.schema.template("d").unwrap_or_default();
    assert_eq!(loaded.engine.facts_of(derived).len(), 1);
}

#[test]
fn long_texts_cost_what_they_are_long() {
    let found = check(
        "
facts: {p: {origin: input, key: [id], fields: {id: int, s: string}}}
rules: [{id: match, when: [{match: p, as: a}, {match: p, as: b, where: \"b.id != a.id && b.s.matches('^(a+)+$')\"}], then: [{stop: all}]}]
limits: {max_work: 100000}
",
        &format!("{{p: [{}]}}", rows(40, |id| format!("{{id: {id}, s: {}!}}", "a".repeat(20_000)))),
    );
    assert_eq!(found.kind, LimitKind::Work);
    assert_eq!(found.rules, ["match"]);
}

#[test]
fn patterns_that_are_too_large_are_refused() {
    let source = format!(
        "{HEAD}
facts: {{p: {{origin: input, key: [id], fields: {{id: int, s: string}}}}}}
rules: [{{id: large, when: [{{match: p, as: a, where: \"a.s.matches('((a{{1,1000}}){{1,1000}}){{1,1000}}')\"}}], then: [{{stop: all}}]}}]
"
    );
    let found = Loaded::from_source(source.as_bytes(), "", || false).err().unwrap_or_default();
    assert!(found.iter().any(|finding| finding.code == "expression-type"), "{found:#?}");
}

#[test]
fn time_that_is_up_ends_a_run() {
    let mut loaded = Loaded::from_source(format!("{HEAD}{COUNTER}").as_bytes(), "", || true)
        .unwrap_or_else(|found| panic!("{found:#?}"));
    let ended = run(&mut loaded, "{c: [{id: 7, n: 0}]}");
    let found = reached(&loaded, ended);
    assert_eq!(found.kind, LimitKind::Time);
    assert_eq!(found.kind.name(), "max_time_ms");
    assert_eq!(found.rules, ["count"]);
}

#[test]
fn a_run_after_a_limit_is_as_good_as_new() {
    let mut loaded = load(&format!(
        "{COUNTER}  - {{id: rest, salience: 1, when: [{{match: c, as: a, where: a.n < 0}}], then: [{{modify: a, set: {{n: a.n - 1}}}}, {{stop: all}}]}}\nlimits: {{max_firings: 100}}\n"
    ));
    for _ in 0..3 {
        let ended = run(&mut loaded, "{c: [{id: 7, n: 0}]}");
        assert_eq!(reached(&loaded, ended).kind, LimitKind::Firings);
        let ended = run(&mut loaded, "{c: [{id: 7, n: -5}]}");
        assert!(matches!(ended, Ended::Well), "{ended:?}");
    }
}

const MANY: &str = "
facts: {p: {origin: input, key: [id], fields: {id: int, n: int}}, d: {origin: derived, fields: {n: int}}}
rules: [{id: last, when: [{match: p, as: a, where: a.n == 9}], then: [{derive: {d: {n: a.n}}}]}]
";

fn evaluate_many(loaded: &mut Loaded, count: u32) -> Result<Ended, String> {
    let ids: Vec<i64> = (0..i64::from(count)).rev().collect();
    let ns: Vec<i64> = ids.iter().map(|id| id % 1000).collect();
    let column = |values| Column { values: Values::Integers(values), missing: &[] };
    let template = loaded.rules.schema.template("p").unwrap_or_default() as u32;
    let table = GivenTable { template, rows: count, columns: vec![column(&ids), column(&ns)] };
    let given = Given { tables: vec![table], ..Given::default() };
    loaded.engine.evaluate(&given).map_err(|error| error.0)
}

#[test]
fn a_million_facts_are_taken() {
    let mut loaded = load(&format!("{MANY}limits: {{max_facts: 1000001}}\n"));
    let ended = evaluate_many(&mut loaded, 1_000_000).unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(ended, Ended::Well), "{ended:?}");
    assert_eq!(loaded.engine.fact_count(), 1_000_001);
}

#[test]
fn more_facts_than_allowed_are_refused_or_end_the_run() {
    let mut loaded = load(MANY);
    let refused = evaluate_many(&mut loaded, 1_000_001).err().unwrap_or_default();
    assert!(refused.contains("max_facts"), "{refused}");
    // As many as allowed may come, one more may not be derived.
    let ended = evaluate_many(&mut loaded, 1_000_000).unwrap_or_else(|error| panic!("{error}"));
    let found = reached(&loaded, ended);
    assert_eq!((found.kind, found.value), (LimitKind::Facts, 1_000_000));
    assert_eq!(found.rules, ["last"]);
}
