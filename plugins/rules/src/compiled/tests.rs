//! Rule sets that come back as they were, and bytes that are believed no more than they deserve.

use std::path::Path;
use std::rc::Rc;

use proptest::prelude::*;

use super::{CRATE, CompiledError, decode, encode};
use crate::document;
use crate::engine::{Budget, Engine};
use crate::heap::hash_bytes;
use crate::load::{self, Loaded};
use crate::model::{Action, Body, RuleSet};
use crate::rows::{Row, read_facts};
use crate::schema::Constant;
use crate::testing::run_tests;

const EXAMPLES: [&str; 4] = ["detections", "loan", "output-checks", "review-queue"];

/// Every kind of condition, action and constant once.
const ALL_KINDS: &str = r#"
schema: rules/v1
name: all-kinds
version: 1.0.0
params:
  limit: {type: int, default: 3, min: 0, max: 9, request: true}
  mode: {type: enum, values: [strict, loose], default: loose}
tables:
  weight:
    columns: {kind: string, factor: double}
    rows: [[a, 1.5], [b, -2.0]]
facts:
  item:
    origin: input
    key: [id]
    fields:
      id: int
      kind: string
      size: {type: double, min: 0.0, default: 1.0}
      tags: {type: list<string>, default: [x]}
      at: {type: timestamp, optional: true}
  near: {origin: derived, fields: {left: int, right: int}}
  reach: {origin: derived, fields: {left: int, right: int}}
  note: {origin: output, stated: true, key: [id], fields: {id: int, text: string, tags: list<string>, n: int}}
decisions: {combine: most-severe, order: [deny, allow], default: {decision: allow, code: none}}
limits: {max_work: 1000000, max_firings: 1000}
rules:
  - id: near
    when: [{match: item, as: a}, {match: item, as: b, where: a.id + 1 == b.id && a.kind == b.kind}]
    then: [{derive: {near: {left: a.id, right: b.id}}}]
  - id: reach-near
    when: [{match: near, as: n}]
    then: [{derive: {reach: {left: n.left, right: n.right}}}]
  - id: reach-far
    when: [{match: reach, as: r}, {match: near, as: n, where: n.left == r.right}]
    then: [{derive: {reach: {left: r.left, right: n.right}}}]
  - id: sums
    salience: 5
    when:
      - {match: item, as: i, where: "i.size > 0.5 && i.tags.exists(t, t.startsWith('x'))"}
      - {accumulate: {match: reach, as: r, where: r.left == i.id}, count: n, max: {of: r.right, as: last}}
      - {if: n < params.limit}
      - {let: {twice: n * 2}}
      - {not: {match: note, as: o, where: o.id == i.id}}
    then:
      - {assert: {note: {id: i.id, text: "i.kind + string(last)", tags: i.tags, n: twice}}}
  - id: either
    when:
      - any:
          - [{match: item, as: i, where: "i.kind == 'a'"}]
          - [{match: item, as: i, where: i.size > 2.0}, {exists: {match: weight, as: w, where: w.kind == i.kind}}]
      - {forall: {match: note, as: o, where: o.id == i.id}, satisfies: o.n >= 0}
    then:
      - emit:
          decision: deny
          code: EITHER
          subject: string(i.id)
          message: "{i.kind} of {i.size}, {params.mode == strict}"
          data: {size: i.size, list: [i.id, null]}
  - id: shrink
    salience: -1
    when: [{match: item, as: i, where: i.size >= 4.0}]
    then: [{modify: i, set: {size: i.size / 2.0}}]
  - id: drop
    salience: -2
    when: [{match: note, as: o, where: o.n > 100}, {match: item, as: k, distinct: [kind]}]
    then: [{retract: o}, {stop: all}]
"#;

const ALL_KINDS_FACTS: &str = "item: [{id: 1, kind: a, size: 5.0}, {id: 2, kind: a, tags: [y]}, {id: 3, kind: b, size: 3.0}, \
    {id: 4, kind: b, size: 0.75, at: '2024-01-01T00:00:00Z'}]";

const BUDGET: Budget = Budget {
    work_max: 100_000,
    firings_max: 200,
    firings_per_rule_max: 100,
    facts_max: 10_000,
    depth_max: 100,
    bytes_max: 1 << 26,
};

fn example(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/fixtures/rules/{name}.rules.yaml"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("read {name}: {error}"))
}

fn compiled(source: &[u8]) -> Vec<u8> {
    load::compile(source).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

fn rows(rules: &RuleSet) -> Vec<(usize, Vec<Row>)> {
    let node = document::parse(ALL_KINDS_FACTS.as_bytes()).unwrap();
    read_facts(&node, &rules.schema).unwrap_or_default()
}

/// All that a run leaves.
fn run(rules: RuleSet, facts: &[(usize, Vec<Row>)]) -> String {
    let params: Vec<Constant> = rules.params.iter().map(|param| param.default.clone()).collect();
    let templates = rules.schema.templates.len();
    let mut engine = Engine::new(Rc::new(rules), &params, BUDGET, || false);
    let ended = engine.begin_with_rows(facts);
    let texts = |template: usize| -> Vec<String> {
        engine.facts_of(template).iter().map(|&row| format!("{:?}", engine.constants(template, row))).collect()
    };
    let facts: Vec<_> = (0..templates).map(texts).collect();
    format!("{ended:?}\n{facts:#?}\n{:#?}\n{:?}", engine.decided(), engine.fired())
}

#[test]
fn what_is_read_writes_the_same_bytes() {
    for source in EXAMPLES.map(example).into_iter().chain([ALL_KINDS.as_bytes().to_vec()]) {
        let bytes = compiled(&source);
        let (rules, warnings) = decode(&bytes).unwrap();
        assert_eq!(encode(&rules, &warnings), bytes);
    }
}

#[test]
fn what_is_read_is_what_was_written() {
    for source in EXAMPLES.map(example).into_iter().chain([ALL_KINDS.as_bytes().to_vec()]) {
        let (_, rules, warnings) = load::check(&source).unwrap();
        let (read, read_warnings) = decode(&encode(&rules, &warnings)).unwrap();
        let shown = |rules: &RuleSet| {
            let parts = (&rules.schema, &rules.params, &rules.table_rows, &rules.decisions, &rules.limits);
            let arranged = (&rules.agenda, &rules.phase_ends, &rules.strata, &rules.alphas, &rules.derived);
            format!("{} {:?} {parts:?} {:#?} {arranged:?}", rules.name, rules.digest, rules.rules)
        };
        assert_eq!(shown(&read), shown(&rules));
        assert_eq!(read_warnings, warnings);
    }
}

#[test]
fn warnings_are_kept() {
    use crate::diagnostic::{Diagnostic, Span};
    let (_, rules, _) = load::check(ALL_KINDS.as_bytes()).unwrap();
    let span = Span { line: 3, column: 4, end_line: 3, end_column: 9 };
    let warning = Diagnostic::warning("unused-variable", "`n` is not used", span).in_rule("r").with_hint("drop it");
    let (_, warnings) = decode(&encode(&rules, std::slice::from_ref(&warning))).unwrap();
    assert_eq!(warnings, [warning]);
}

#[test]
fn examples_pass_their_tests_in_compiled_form() {
    for name in EXAMPLES {
        let source = example(name);
        let (file, ..) = load::check(&source).unwrap();
        let (rules, _) = decode(&compiled(&source)).unwrap();
        for outcome in run_tests(&file, &Rc::new(rules), "", Budget { firings_max: 100_000, ..BUDGET }, || false) {
            assert!(outcome.passed, "{name}, {}: {}", outcome.name, outcome.message);
        }
    }
}

#[test]
fn source_and_compiled_form_run_alike() {
    let (_, rules, _) = load::check(ALL_KINDS.as_bytes()).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let (read, _) = decode(&compiled(ALL_KINDS.as_bytes())).unwrap();
    let facts = rows(&rules);
    let ran = run(rules, &facts);
    assert!(ran.starts_with("Well"), "{ran}");
    assert_eq!(run(read, &facts), ran);
}

#[test]
fn damage_is_refused() {
    let bytes = compiled(ALL_KINDS.as_bytes());
    let check = |bytes: &[u8], expected: CompiledError| assert_eq!(decode(bytes).err(), Some(expected));
    check(b"", CompiledError::NotCompiled);
    check(ALL_KINDS.as_bytes(), CompiledError::NotCompiled);
    check(&bytes[..bytes.len() - 1], CompiledError::Damaged);
    check(&[&bytes[..], b"x"].concat(), CompiledError::Damaged);
    for place in (HEAD..bytes.len()).step_by(7) {
        let mut edited = bytes.clone();
        edited[place] ^= 0x10;
        check(&edited, CompiledError::Damaged);
    }
    let mut other = bytes.clone();
    other[8] += 1;
    check(&other, CompiledError::OtherVersion);
    let mut other = bytes;
    other[16] += 1;
    check(&other, CompiledError::OtherVersion);
}

#[test]
fn a_damaged_form_is_a_finding() {
    let findings = Loaded::from_compiled(b"nothing", "", || false).err().unwrap();
    assert_eq!(findings[0].code, "compiled");
}

/// The rule of `ALL_KINDS` that accumulates, asks for the count, and then doubles it.
const COUNTING: &str = "sums";

fn bodies(rules: &mut RuleSet) -> &mut [Body] {
    &mut rules.rules.iter_mut().find(|rule| rule.id == COUNTING).unwrap().bodies
}

/// Bytes before the payload.
const HEAD: usize = 8 + 4 + 4 + CRATE.len() + 8;

/// The same payload, edited, under a checksum that fits.
fn sealed(bytes: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut sealed = bytes[..HEAD - 8].to_vec();
    sealed.extend(hash_bytes(payload).to_le_bytes());
    sealed.extend(payload);
    sealed
}

/// Refused, or a rule set that runs to some end.
fn check_edited(bytes: &[u8], payload: &[u8]) {
    if let Ok((rules, _)) = decode(&sealed(bytes, payload)) {
        let facts = rows(&rules);
        run(rules, &facts);
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = compiled(ALL_KINDS.as_bytes());
    for end in HEAD..bytes.len() {
        assert_eq!(decode(&sealed(&bytes, &bytes[HEAD..end])).err(), Some(CompiledError::Malformed));
    }
}

#[test]
fn values_are_given_once_and_before_they_are_needed() {
    type Edit = fn(&mut RuleSet);
    let edits: [(&str, Edit); 5] = [
        ("needed before", |rules| bodies(rules)[0].steps.swap(0, 1)),
        ("given twice", |rules| {
            let given = bodies(rules)[0].steps[0].gives;
            bodies(rules)[0].steps[2].gives |= given;
        }),
        ("not given", |rules| bodies(rules)[0].steps[2].gives = 0),
        ("read unsaid", |rules| bodies(rules)[0].steps[1].values = 0),
        ("not given, and part of an activation", |rules| {
            let rule = rules.rules.iter_mut().find(|rule| rule.id == COUNTING).unwrap();
            rule.bodies[0].steps.truncate(1);
            rule.actions.retain(|action| matches!(action, Action::Stop { .. }));
            rule.actions.push(Action::Stop { all: true });
        }),
    ];
    for (name, edit) in edits {
        let (_, mut rules, _) = load::check(ALL_KINDS.as_bytes()).unwrap();
        edit(&mut rules);
        assert_eq!(decode(&encode(&rules, &[])).err(), Some(CompiledError::Malformed), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn edited_forms_are_refused_or_run(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let bytes = compiled(ALL_KINDS.as_bytes());
        let mut payload = bytes[HEAD..].to_vec();
        for (place, edit) in edits {
            let place = place.index(payload.len());
            payload[place] = if edit < 64 { payload[place] ^ 1 << (edit & 7) } else { edit };
        }
        check_edited(&bytes, &payload);
    }

    #[test]
    fn random_bytes_are_refused(payload in prop::collection::vec(any::<u8>(), 0..256)) {
        let bytes = compiled(ALL_KINDS.as_bytes());
        prop_assert!(decode(&sealed(&bytes, &payload)).is_err());
    }
}
