//! The rule sets that the format is explained with: all of their tests pass.

use std::path::Path;
use std::rc::Rc;

use rules_plugin::engine::Budget;
use rules_plugin::{file, model, testing};

fn check(name: &str, tests: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/rules").join(name);
    let source = std::fs::read(&path).unwrap_or_else(|error| panic!("read {name}: {error}"));
    let file = file::parse(&source).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let rules = Rc::new(model::resolve(&file).unwrap_or_else(|findings| panic!("{findings:#?}")));
    let limits = &rules.limits;
    let budget = Budget {
        work_max: limits.work_max,
        firings_max: limits.firings_max,
        firings_per_rule_max: limits.firings_per_rule_max,
        facts_max: limits.facts_max,
        depth_max: limits.depth_max,
        bytes_max: 1 << 26,
    };
    let outcomes = testing::run_tests(&file, &rules, "", budget, || false);
    let failed: Vec<String> = outcomes
        .iter()
        .filter(|outcome| !outcome.passed)
        .map(|outcome| format!("{}:\n{}", outcome.name, outcome.message))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    assert_eq!(outcomes.len(), tests);
}

#[test]
fn detections_pass_their_tests() {
    check("detections.rules.yaml", 3);
}

#[test]
fn the_loan_decision_passes_its_tests() {
    check("loan.rules.yaml", 5);
}

#[test]
fn output_checks_pass_their_tests() {
    check("output-checks.rules.yaml", 3);
}

#[test]
fn the_review_queue_passes_its_tests() {
    check("review-queue.rules.yaml", 2);
}
