//! The shape of rule sets: what is read, and what is refused where.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::diagnostic::Diagnostic;
use crate::schema::Origin;

const EXAMPLES: [(&str, &str); 4] = [
    ("detections", include_str!("../../../../tests/fixtures/rules/detections.rules.yaml")),
    ("loan", include_str!("../../../../tests/fixtures/rules/loan.rules.yaml")),
    ("output-checks", include_str!("../../../../tests/fixtures/rules/output-checks.rules.yaml")),
    ("review-queue", include_str!("../../../../tests/fixtures/rules/review-queue.rules.yaml")),
];

/// Seven lines that every rule set here begins with.
const HEAD: &str = "\
schema: rules/v1
name: sample
version: 1.0.0
facts:
  p: {origin: input, key: [id], fields: {id: int, x: double, tags: list<string>}}
  q: {origin: derived, key: [id], fields: {id: int, kind: {type: enum, values: [low, high]}}}
";

/// Where what follows `HEAD` begins.
const NEXT: u32 = 7;

fn findings(source: &str) -> Vec<Diagnostic> {
    parse(source.as_bytes()).err().unwrap_or_default()
}

/// Findings as `code@line:column`.
fn check(source: &str, expected: &[&str]) {
    let findings = findings(source);
    let places: Vec<_> = findings
        .iter()
        .map(|finding| {
            let span = finding.span.unwrap();
            format!("{}@{}:{}", finding.code, span.line, span.column)
        })
        .collect();
    assert_eq!(places, expected, "{source}\n{findings:#?}");
}

/// A rule; columns count from its text, as below.
fn check_rule(rule: &str, expected: &[&str]) {
    check_at(&format!("{HEAD}rules: [\n{rule}\n]\n"), 0, expected);
}

/// Findings as `code@column`, columns counted behind a prefix.
fn check_at(source: &str, prefix: usize, expected: &[&str]) {
    let findings = findings(source);
    let places: Vec<_> = findings
        .iter()
        .map(|finding| format!("{}@{}", finding.code, finding.span.unwrap().column as usize - prefix))
        .collect();
    assert_eq!(places, expected, "{source}\n{findings:#?}");
}

/// A condition before an action that is right, and the other way round.
fn check_condition(condition: &str, expected: &[&str]) {
    let before = "{when: [";
    check_at(&format!("{HEAD}rules: [\n{before}{condition}], id: r, then: [stop: all]}}]\n"), before.len(), expected);
}

fn check_action(action: &str, expected: &[&str]) {
    let before = "{then: [";
    check_at(&format!("{HEAD}rules: [\n{before}{action}], id: r, when: [if: true]}}]\n"), before.len(), expected);
}

/// A template; columns count from its text.
fn check_template(template: &str, expected: &[&str]) {
    check_part(
        &format!("schema: rules/v1\nname: a\nversion: 1.0.0\nrules: []\nfacts: {{t:\n {template}}}\n"),
        expected,
    );
}

/// A part of the top level, on lines of its own.
fn check_part(source: &str, expected: &[&str]) {
    check_at(source, 0, expected);
}

fn with_rules(part: &str) -> String {
    format!(
        "{HEAD}rules: [{{id: r, when: [{{match: p, as: a}}], then: [{{derive: {{q: {{id: a.id, kind: low}}}}}}]}}]\n{part}\n"
    )
}

fn message(source: &str) -> String {
    findings(source)
        .iter()
        .map(|finding| format!("{} ({})", finding.message, finding.hint.as_deref().unwrap_or("")))
        .collect()
}

#[test]
fn the_examples_have_no_findings() {
    for (name, source) in EXAMPLES {
        assert_eq!(findings(source), [], "{name}");
    }
}

#[test]
fn a_file_is_read_as_written() {
    let loan = parse(EXAMPLES[1].1.as_bytes()).unwrap();
    assert_eq!((loan.name.text.as_str(), loan.version.text.as_str()), ("loan-decision", "3.2.0"));
    assert_eq!(loan.phases.iter().map(|phase| phase.text.as_str()).collect::<Vec<_>>(), ["decide", "review"]);
    assert_eq!(loan.decisions.combine, Combine::MostSevere);
    assert_eq!(loan.decisions.order.len(), 3);
    assert_eq!((loan.limits.firings_max, loan.limits.firings_per_rule_max), (5000, 1000));
    assert_eq!(loan.limits.decide.as_ref().unwrap().1, "LIMIT");
    assert_eq!(
        (loan.schema.templates[0].name.as_str(), loan.schema.templates[0].key.as_slice()),
        ("applicant", &[1][..])
    );
    assert_eq!(loan.rules.len(), 7);
    assert!(loan.rules[0].is_derive() && !loan.rules[3].is_derive());
    assert_eq!((loan.rules[3].salience, loan.rules[3].phase.as_ref().unwrap().text.as_str()), (100, "decide"));
    let ConditionKind::Accumulate { count, folds, pattern } = &loan.rules[0].when[1].kind else { panic!() };
    assert_eq!(count.as_ref().unwrap().text, "n");
    assert_eq!(folds.iter().map(|fold| fold.kind).collect::<Vec<_>>(), [FoldKind::Sum, FoldKind::Max]);
    let filter = pattern.filter.as_ref().unwrap();
    assert_eq!((filter.span.line, filter.column_of_text), (filter.span.line, Some(filter.span.column + 1)));
    assert_eq!(loan.tests.len(), 5);
}

#[test]
fn tables_follow_the_templates() {
    let file = parse(EXAMPLES[0].1.as_bytes()).unwrap();
    let place = file.schema.template("threshold").unwrap();
    assert_eq!((place, file.schema.templates[place].origin), (4, Origin::Table));
    assert_eq!(file.tables[0].len(), 3);
    assert_eq!(file.tables[0][1].0[1], Constant::Double(0.45));
}

#[test]
fn the_rows_of_a_table_go_with_its_columns() {
    let table = |columns: &str, rows: &str| {
        let source = format!("{HEAD}rules: []\ntables: {{t: {{columns: {{{columns}}}, rows: {rows}}}}}\n");
        let file = parse(source.as_bytes()).unwrap_or_else(|findings| panic!("{findings:#?}"));
        let again = canonical_form(source.as_bytes()).unwrap();
        assert_eq!(parse(again.as_bytes()).unwrap().digest, file.digest, "{again}");
        file.digest
    };
    let plain = table("a: int, b: int", "[[1, 2], [3, 4]]");
    assert_eq!(table("b: int, a: int", "[[2, 1], [4, 3]]"), plain);
    assert_ne!(table("b: int, a: int", "[[1, 2], [3, 4]]"), plain);
    // A place that is told is that of the file.
    let found =
        findings(&format!("{HEAD}rules: []\ntables: {{t: {{columns: {{b: int, a: string}}, rows: [[x, y]]}}}}\n"));
    assert_eq!(found[0].path.as_deref(), Some("/tables/t/rows/0/0"));
}

#[test]
fn the_digest_ignores_comments_and_spelling() {
    let digest = |source: &str| parse(source.as_bytes()).unwrap().digest;
    let one = with_rules("");
    assert_eq!(digest(&one), digest(&with_rules("# more\n")));
    assert_eq!(digest(&one), digest(&one.replace("key: [id], fields", "key: ['id'], fields")));
    assert_ne!(digest(&one), digest(&with_rules("description: more\n")));
    assert_ne!(digest(&one), digest(&one.replace("a.id", "a.id ")).map(|byte| byte ^ 1));
}

#[test]
fn unknown_keys_are_told_what_was_meant() {
    check(&with_rules("limit: {}"), &["unknown-key@8:1"]);
    assert!(message(&with_rules("limit: {}")).contains("did you mean `limits`?"));
    check_condition("{match: p, as: a, wher: true}", &["unknown-key@19"]);
    check_condition("{not: {match: p, as: a, were: true}}", &["unknown-key@25"]);
    check_condition("{if: true, as: x}", &["unknown-key@12"]);
    check_action("{emit: {decision: a, code: b, sev: 1}}", &["unknown-key@31"]);
    check_rule("{id: r, when: [if: true], then: [stop: all], prio: 3}", &["unknown-key@46"]);
    check_template("{origin: input, fields: {a: int}, keys: [a]}", &["unknown-key@36"]);
    check_template("{origin: input, fields: {a: {type: int, minimum: 3}}}", &["unknown-key@42"]);
}

#[test]
fn a_rule_set_has_its_parts() {
    check("{}", &["missing-key@1:1"; 5]);
    check("schema: rules/v2\nname: a\nversion: 1.0.0\nfacts: {}\nrules: []\n", &["unknown-schema@1:9"]);
    check("- a\n", &["wrong-kind@1:1"]);
    check(
        "schema: rules/v1\nname: A b\nversion: 1.0\nfacts: {}\nrules: {}\n",
        &["bad-name@2:7", "bad-version@3:10", "wrong-kind@5:8"],
    );
}

#[test]
fn versions_are_semantic() {
    for (version, good) in [
        ("1.0.0", true),
        ("0.0.0-rc.1+build.007", true),
        ("1.2.3-a-b", true),
        ("1.2", false),
        ("1.2.3.4", false),
        ("01.2.3", false),
        ("1.2.3-01", false),
        ("1.2.3-", false),
        ("1.2.3+", false),
        ("v1.2.3", false),
    ] {
        let source = with_rules("").replace("version: 1.0.0", &format!("version: {version}"));
        check(&source, if good { &[] } else { &["bad-version@3:10"] });
    }
}

#[test]
fn names_are_what_cel_can_say() {
    check_template("{origin: input, fields: {a-b: int}}", &["bad-name@27"]);
    check_template("{origin: input, fields: {for: int}}", &["reserved-word@27"]);
    check_template(
        "{origin: input, fields: {a: {type: enum, values: [x, 'true', 1, y z]}}}",
        &["reserved-word@55", "wrong-kind@63", "bad-name@66"],
    );
    check_condition("{match: p, as: in}", &["reserved-word@16"]);
    check_condition("{match: p, as: 9a}", &["bad-name@16"]);
    check_condition("{let: {a b: 1}}", &["bad-name@8"]);
    check(&with_rules("params: {a.b: {type: int, default: 1}}"), &["bad-name@8:10"]);
}

#[test]
fn rule_ids_are_kebab_case_and_once() {
    for (id, good) in [("a", true), ("a-b2-c", true), ("A", false), ("a_b", false), ("a--b", false), ("-a", false)] {
        let expected: &[&str] = if good { &[] } else { &["bad-rule-id@6"] };
        check_rule(&format!("{{id: {id}, when: [if: true], then: [stop: all]}}"), expected);
    }
    let rule = "{id: same, when: [if: true], then: [stop: all]}";
    check(&format!("{HEAD}rules:\n- {rule}\n- {rule}\n"), &["duplicate-name@9:8"]);
}

#[test]
fn findings_name_rule_path_and_hint() {
    let source = format!("{HEAD}rules:\n- {{id: r-1, when: [{{match: p, az: a}}], then: [stop: all]}}\n");
    let findings = findings(&source);
    assert_eq!(findings.len(), 2, "{findings:?}");
    let finding = &findings[1];
    assert_eq!((finding.code, finding.rule.as_deref()), ("unknown-key", Some("r-1")));
    assert_eq!(finding.path.as_deref(), Some("/rules/0/when/0/az"));
    assert_eq!(finding.hint.as_deref(), Some("did you mean `as`?"));
    assert_eq!(findings[0].span.unwrap().line, NEXT + 1);
}

#[test]
fn types_are_known() {
    check_template("{origin: input, key: [], fields: {a: float}}", &["unknown-type@39"]);
    check_template("{origin: input, key: [], fields: {a: list<list<int>>}}", &["unknown-type@39"]);
    check_template("{origin: input, key: [], fields: {a: enum, b: list<enum>}}", &["missing-key@39", "missing-key@48"]);
    check_template("{origin: input, key: [], fields: {a: [int]}}", &["wrong-kind@39"]);
    check_template("{origin: input, key: [], fields: {a: {min: 1}}}", &["missing-key@39"]);
    check_template(
        "{origin: input, key: [], fields: {a: bool, b: int, c: double, d: string, e: bytes, f: timestamp, g: duration, \
         h: list<bytes>, i: {type: list<enum>, values: [x]}}}",
        &[],
    );
}

#[test]
fn bounds_fit_the_type() {
    let field = |field: &str| format!("{{origin: input, key: [], fields: {{a: {field}}}}}");
    let check = |text: &str, expected: &[&str]| check_template(&field(text), expected);
    check("{type: double, min: 0, max: 1.5, nan: allow, default: NaN, optional: true}", &[]);
    check("{type: list<double>, len: 2, min: 0, default: [1, 2]}", &[]);
    check("{type: timestamp, min: '2020-01-01T00:00:00Z'}", &[]);
    check("{type: duration, max: 1h, default: 90m}", &["value-range@74"]);
    check("{type: int, min: 2, max: 1}", &["empty-range@64"]);
    check("{type: int, min: 1.0}", &["value-type@56"]);
    check("{type: int, min: 1, default: 0}", &["value-range@68"]);
    check("{type: string, max: 3}", &["key-not-for-type@54"]);
    check("{type: int, values: [1]}", &["key-not-for-type@51"]);
    check("{type: int, len: 3, nan: allow}", &["key-not-for-type@51", "key-not-for-type@59"]);
    check("{type: list<int>, len: 0}", &["value-range@62"]);
    check("{type: list<int>, len: 2, default: [1]}", &["value-length@74"]);
    check("{type: double, nan: maybe}", &["unknown-word@59"]);
    check("{type: double, default: NaN}", &["value-nan@63"]);
    check("{type: enum, values: [a, b, a], default: c}", &["duplicate-name@67", "value-unknown@80"]);
    check("{type: enum, values: []}", &["empty-list@60"]);
    check("{type: int, optional: yes}", &["wrong-kind@61"]);
    check("{type: bytes, default: '??'}", &["value-type@62"]);
}

#[test]
fn keys_are_fields_that_tell_facts_apart() {
    check_template("{origin: input, key: [b, a], fields: {a: int, b: string}}", &[]);
    check_template("{origin: input, key: [], fields: {a: double}}", &[]);
    check_template("{origin: input, key: [c], fields: {a: int}}", &["unknown-field@24"]);
    check_template("{origin: input, key: [a, a], fields: {a: int}}", &["duplicate-name@27"]);
    check_template("{origin: input, key: [a, b], fields: {a: double, b: list<int>}}", &["key-type@24", "key-type@27"]);
    check_template("{origin: input, fields: {a: int, b: string}}", &[]);
    check_template("{origin: input, fields: {a: int, b: double}}", &["key-type@35"]);
    check_template("{origin: input, key: a, fields: {a: int}}", &["wrong-kind@23"]);
    let file = parse(with_rules("tables: {t: {columns: {a: int, b: double}, rows: []}}").as_bytes()).unwrap();
    assert_eq!((&file.schema.templates[0].key, file.schema.templates[0].keyed), (&vec![0], true));
}

#[test]
fn origins_are_three_and_stated_is_not_for_input() {
    check_template("{origin: table, fields: {a: int}}", &["unknown-word@11"]);
    check_template("{fields: {a: int}}", &["missing-key@2"]);
    check_template("{origin: output, stated: true, fields: {a: int}}", &[]);
    check_template("{origin: input, stated: true, fields: {a: int}}", &["stated-input@26"]);
    check_template("{origin: input, stated: false, fields: {a: int}}", &[]);
}

#[test]
fn tables_hold_rows_of_their_columns() {
    let check = |table: &str, expected: &[&str]| {
        check_part(&with_rules(&format!("tables: {{t:\n {table}}}")), expected);
    };
    check("{columns: {a: string, b: double}, rows: [[x, 1], [y, 0.5]]}", &[]);
    check("{columns: {a: string}, rows: [[1], [x, y], x]}", &["value-type@33", "row-length@37", "wrong-kind@45"]);
    check("{columns: {a: string}, rows: [[x], [x]]}", &["duplicate-row@37"]);
    check("{columns: {a: double}, rows: [[1], [1.0]]}", &["duplicate-row@37"]);
    check("{columns: {}, rows: []}", &["empty-list@12"]);
    check("{columns: {a: {type: enum, values: [x]}}, rows: [[y]]}", &["value-unknown@52"]);
    check("{rows: []}", &["missing-key@2"]);
    check_part(&with_rules("tables: {p: {columns: {a: int}, rows: []}}"), &["duplicate-name@10"]);
}

#[test]
fn parameters_have_a_type_and_a_default() {
    let check = |param: &str, expected: &[&str]| check_part(&with_rules(&format!("params: {{x: {param}}}")), expected);
    check("{type: double, default: 1, min: 0, max: 1, request: true}", &[]);
    check("{type: int}", &["missing-key@13"]);
    check("{default: 1}", &["missing-key@13"]);
    check("{type: int, default: 5, max: 4}", &["value-range@34"]);
    check("{type: enum, values: [a, b], default: a}", &[]);
    check("{type: enum, values: [a, b], default: c}", &["value-unknown@51"]);
    check("{type: int, values: [1, 2], default: 3}", &["value-unknown@50"]);
    check("{type: string, values: [a, b], default: a}", &[]);
    check("{type: list<enum>, values: [a, b], default: [a]}", &[]);
    check("{type: int, default: 1, request: maybe}", &["wrong-kind@46"]);
    check("{type: int, default: 1, optional: true}", &["unknown-key@37"]);
}

#[test]
fn conditions_have_their_shape() {
    for condition in [
        "{match: p, as: a, where: a.x > 1.0, distinct: [id]}",
        "{not: {match: p, as: a}}",
        "{exists: {match: p, as: a, where: true}}",
        "{forall: {match: p, as: a}, satisfies: a.x > 0.0}",
        "{accumulate: {match: p, as: a}, count: n, avg: {of: a.x, as: m}}",
        "{any: [[{if: true}], [{let: {y: 1}}]]}",
        "{let: {y: 1, z: 'a'}}",
    ] {
        check_condition(condition, &[]);
    }
    check_condition("{}", &["unknown-condition@1"]);
    check_condition("{matches: p}", &["unknown-condition@2"]);
    check_condition("{match: p, if: true}", &["two-conditions@1"]);
    check_condition("p", &["wrong-kind@1"]);
    check_condition("{match: p}", &["missing-key@1"]);
    check_condition("{match: p, as: a, distinct: []}", &["empty-list@29"]);
    check_condition("{match: p, as: a, distinct: [id, id]}", &["duplicate-name@34"]);
    check_condition("{not: {as: a}}", &["missing-key@7"]);
    check_condition("{forall: {match: p, as: a}}", &["missing-key@1"]);
    check_condition("{accumulate: {match: p, as: a}}", &["empty-accumulate@1"]);
    check_condition("{accumulate: {match: p, as: a}, sum: a.x}", &["wrong-kind@38"]);
    check_condition("{accumulate: {match: p, as: a}, sum: {of: a.x}}", &["missing-key@38"]);
    check_condition("{any: []}", &["empty-list@7"]);
    check_condition("{any: [[]]}", &["empty-list@8"]);
    check_condition("{any: [{if: true}]}", &["wrong-kind@8"]);
    check_condition("{if: }", &["wrong-kind@4"]);
    check_condition("{if: ' '}", &["empty-expression@6"]);
    check_condition("{let: {}}", &["empty-list@7"]);
}

#[test]
fn actions_have_their_shape() {
    for action in [
        "{derive: {q: {id: 1, kind: low}}}",
        "{assert: {p: {id: 1, x: 0.5, tags: [\"'a'\", \"b.c\"]}}}",
        "{modify: a, set: {x: 1.0}}",
        "{retract: a}",
        "{emit: {decision: d, code: C-1, subject: a.id, message: \"{a.x}\", data: {n: 1, l: [true, ~]}, sticky: true}}",
        "{stop: phase}",
    ] {
        check_action(action, &[]);
    }
    check_action("{}", &["unknown-action@1"]);
    check_action("{asert: {p: {}}}", &["unknown-action@2"]);
    check_action("{retract: a, stop: all}", &["two-actions@1"]);
    check_action("{derive: {q: {id: 1}, p: {id: 1}}}", &["one-template@10"]);
    check_action("{assert: p}", &["wrong-kind@10"]);
    check_action("{assert: {p: {id: }}}", &["wrong-kind@17"]);
    check_action("{assert: {p: {id: {a: 1}}}}", &["wrong-kind@19"]);
    check_action("{assert: {p: {id: [[1]]}}}", &["wrong-kind@20"]);
    check_action("{modify: a}", &["missing-key@1"]);
    check_action("{modify: a, set: {}}", &["empty-list@18"]);
    check_action("{retract: [a]}", &["wrong-kind@11"]);
    check_action("{stop: now}", &["unknown-word@8"]);
    check_action("{emit: {decision: d}}", &["missing-key@8"]);
    check_action("{emit: {decision: d, code: 404}}", &["wrong-kind@28"]);
    check_action("{emit: {decision: d, code: c, message: 4, sticky: 1}}", &["wrong-kind@40", "wrong-kind@51"]);
}

#[test]
fn rules_ask_something_and_do_something() {
    check_rule("{id: r, when: [], then: []}", &["empty-list@15", "empty-list@25"]);
    check_rule("{id: r}", &["missing-key@1", "missing-key@1"]);
    check_rule("{when: [if: true], then: [stop: all]}", &["missing-key@1"]);
    check_rule("r", &["wrong-kind@1"]);
}

#[test]
fn a_rule_defines_or_acts() {
    let derive = "{derive: {q: {id: 1, kind: low}}}";
    check_rule(&format!("{{id: r, when: [if: true], then: [{derive}, stop: all]}}"), &["mixed-actions@69"]);
    check_rule(&format!("{{id: r, salience: 1, when: [if: true], then: [{derive}]}}"), &["derive-order@9"]);
    check_rule(&format!("{{id: r, phase: a, when: [if: true], then: [{derive}]}}"), &["derive-order@9"]);
}

#[test]
fn phases_that_rules_name_exist() {
    let file = |phases: &str, phase: &str| {
        format!("{HEAD}phases: {phases}\nrules:\n - {{id: r, {phase}when: [if: true], then: [stop: all]}}\n")
    };
    check(&file("[one, two]", "phase: two, "), &[]);
    check(&file("[one, two]", "phase: tow, "), &["unknown-phase@9:19"]);
    check(&file("[one, two]", ""), &["missing-phase@9:9"]);
    check(&file("[one, one]", "phase: one, "), &["duplicate-name@7:15"]);
    check(&file("[]", ""), &["empty-list@7:9"]);
    check_rule("{id: r, phase: a, when: [if: true], then: [stop: all]}", &["unknown-phase@16"]);
}

#[test]
fn decisions_are_combined_one_of_four_ways() {
    let check = |part: &str, expected: &[&str]| check_part(&with_rules(&format!("decisions: {part}")), expected);
    check("{combine: unique}", &[]);
    check("{combine: most-severe, order: [a, b], default: {decision: a, code: B}}", &[]);
    check("{combine: worst}", &["unknown-word@22"]);
    check("{combine: most-severe}", &["missing-key@12"]);
    check("{combine: all, order: [a, a]}", &["duplicate-name@38"]);
    check("{default: {decision: a}}", &["missing-key@22"]);
}

#[test]
fn limits_are_counts() {
    let check = |part: &str, expected: &[&str]| check_part(&with_rules(&format!("limits: {part}")), expected);
    check("{max_work: 1, max_facts: 1, max_depth: 1, max_bytes: 1, on_limit: error}", &[]);
    check("{max_firings: 0}", &["value-range@23"]);
    check("{max_firings: 1.5}", &["wrong-kind@23"]);
    check("{max_time_ms: 5}", &["unknown-key@10"]);
    check("{on_limit: decide}", &["missing-key@9"]);
    check("{on_limit: decide, limit_decision: {decision: a, code: B}}", &[]);
    check("{limit_decision: {decision: a, code: B}}", &["unused-limit-decision@26"]);
    check("{on_limit: stop}", &["unknown-word@20"]);
    let file = parse(with_rules("limits: {max_firings: 7, max_bytes: 9}").as_bytes()).unwrap();
    assert_eq!((file.limits.firings_per_rule_max, file.limits.bytes_max), (7, Some(9)));
    assert_eq!(file.limits.set, ["max_firings", "max_bytes"]);
}

#[test]
fn a_trace_has_a_level_and_a_capacity() {
    let check = |part: &str, expected: &[&str]| check_part(&with_rules(&format!("trace: {part}")), expected);
    check("{level: off}", &[]);
    check("{level: full, capacity: 10}", &[]);
    check("{level: all}", &["unknown-word@16"]);
    check("{capacity: 0}", &["value-range@19"]);
}

#[test]
fn numbers_that_are_not_exact_everywhere_are_refused() {
    check_action("{assert: {p: {id: 9007199254740993}}}", &["number-range@19"]);
    check_action("{assert: {p: {x: .nan}}}", &["number-range@18"]);
    check_condition("{if: 99999999999999999999}", &["number-range@6"]);
}

#[test]
fn tests_name_what_there_is() {
    let check = |test: &str, expected: &[&str]| {
        let part = format!("params: {{x: {{type: int, default: 1}}}}\ntests:\n- {test}\n");
        check_part(&with_rules(&part), expected);
    };
    check("{name: a, given: {p: [{id: 1, x: 1, tags: []}]}, expect: {facts: {q: [{kind: low}]}}}", &[]);
    check("{name: a, given: {}, params: {x: 2}, steps: [{modify: {p: [{id: 1, x: 0}]}}], expect: {}}", &[]);
    check("{given: {}, expect: {}}", &["missing-key@3"]);
    check("{name: a}", &["missing-key@3", "missing-key@3"]);
    check("{name: a, given: {z: []}, expect: {}}", &["unknown-template@21"]);
    check("{name: a, given: {q: []}, expect: {}}", &["not-input@21"]);
    check("{name: a, given: {p: [{id: 1}]}, expect: {}}", &["missing-field@25", "missing-field@25"]);
    check("{name: a, given: {}, params: {y: 2}, expect: {}}", &["unknown-param@33"]);
    check("{name: a, given: {}, params: {x: z}, expect: {}}", &["value-type@36"]);
    check("{name: a, given: {}, steps: [{add: {}}], expect: {}}", &["unknown-key@33"]);
    check("{name: a, given: {}, steps: [{retract: {p: [{x: 1}]}}], expect: {}}", &["missing-field@47"]);
    check("{name: a, given: {}, expect: {facts: {q: [{kid: low}]}}}", &["unknown-field@46"]);
    check("{name: a, given: {}, expect: {absent: {q: {id: 1}}}}", &["wrong-kind@45"]);
    check("{name: a, given: {}, expect: {decision: {codes: a}}}", &["unknown-key@44"]);
    check("{name: a, given: {}, expect: {decisions: [{subject: 5}]}}", &["wrong-kind@55"]);
    check("{name: a, given: {}, expect: {fired: {s: 1, r: -1}}}", &["unknown-rule@41", "value-range@50"]);
    check("{name: a, given: {}, expect: {why: {decision: [r, t]}}}", &["unknown-rule@53"]);
    check("{name: a, given: {}, expect: {what: 1}}", &["unknown-key@33"]);
}

#[test]
fn tests_have_names_of_their_own() {
    let test = "{name: same, given: {}, expect: {}}";
    check(&with_rules(&format!("tests:\n- {test}\n- {test}")), &["duplicate-name@10:10"]);
}

#[test]
fn parts_are_bounded() {
    let many = |count: usize| (0..count).map(|n| format!("v{n}")).collect::<Vec<_>>().join(", ");
    let field = format!("{{origin: input, fields: {{a: {{type: enum, values: [{}]}}}}}}", many(4097));
    check_template(&field, &["too-many@51"]);
    check_part(&format!("{HEAD}phases: [{}]\nrules: []\n", many(257)), &["too-many@9"]);
    let fields: String = (0..1025).map(|n| format!("f{n}: int, ")).collect();
    check_template(&format!("{{origin: input, fields: {{{fields}}}}}"), &["too-many@26"]);
}

#[test]
fn optional_fields_stand_in_narrow_templates() {
    let with = |count: usize, last: &str| {
        let fields: String = (1..count).map(|n| format!("f{n}: int, ")).collect();
        format!("{{origin: input, key: [f1], fields: {{{fields}last: {last}}}}}")
    };
    check_template(&with(64, "{type: int, optional: true}"), &[]);
    check_template(&with(65, "{type: int, default: 1}"), &[]);
    check_template(&with(65, "{type: int, optional: true}"), &["optional-too-wide@669"]);
}

#[test]
fn many_findings_end_early() {
    let ids: String =
        (0..3000).map(|n| format!("- {{id: rule-number-{n}, when: [if: true], then: [stop: all]}}\n")).collect();
    let wrong: String = (0..3000).map(|n| format!("rule-numbr-{n}: 1, ")).collect();
    let source = format!("{HEAD}rules:\n{ids}tests: [{{name: a, given: {{}}, expect: {{fired: {{{wrong}}}}}}}]\n");
    assert_eq!(findings(&source).len(), crate::document::FINDINGS_MAX);
}

#[test]
fn all_findings_are_given_not_only_the_first() {
    let source =
        "schema: rules/v1\nname: 5\nversion: x\nfacts: {a: {origin: x, fields: {b: y}}}\nrules: [{id: A}]\nextra: 1\n";
    assert_eq!(findings(source).len(), 8, "{:#?}", findings(source));
}

/// The pointers of all parts of a document.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{place}"), found);
            }
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                pointers(item, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn bytes_of_any_kind_do_not_panic(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }

    #[test]
    fn changed_texts_do_not_panic(
        example in 0_usize..4,
        edits in prop::collection::vec((any::<prop::sample::Index>(), "[a1\" '{}\\[\\],:#\n.-]{0,2}"), 1..6),
    ) {
        let mut bytes = EXAMPLES[example].1.as_bytes().to_vec();
        for (index, new) in edits {
            let at = index.index(bytes.len());
            bytes.splice(at..=at, new.bytes());
        }
        let _ = parse(&bytes);
    }

    #[test]
    fn parts_of_another_kind_are_findings_in_the_file(
        example in 0_usize..4,
        part: prop::sample::Index,
        other in 0_usize..8,
    ) {
        let node = crate::document::parse(EXAMPLES[example].1.as_bytes()).unwrap();
        let mut value: Value = serde_json::from_str(&crate::canonical::canonical(&node).unwrap()).unwrap();
        let mut found = Vec::new();
        pointers(&value, "", &mut found);
        let others = [json!(null), json!(true), json!(1), json!(-0.5), json!(""), json!("zz top"), json!([]), json!({})];
        let pointer = part.get(&found);
        *value.pointer_mut(pointer).unwrap() = others[other].clone();
        for finding in findings(&value.to_string()) {
            prop_assert!(finding.span.is_some() && finding.path.is_some(), "{:?}", finding);
        }
    }
}
