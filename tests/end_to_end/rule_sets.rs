//! The rule sets that come with inferwit: each checks without a warning and passes its own tests inside Wasm.

use std::process::Command;

use crate::fixtures::{program, root};

const RULE_SETS: [&str; 3] = [
    "config/rules/photo-policy.rules.yaml",
    "config/rules/credit.rules.yaml",
    "config/examples/refunds/refunds.rules.yaml",
];

#[test]
fn they_are_checked_without_a_warning() {
    for file in RULE_SETS {
        run(&["rules", "check", file, "--deny-warnings"]);
    }
}

#[test]
fn they_pass_their_own_tests() {
    for file in RULE_SETS {
        run(&["rules", "test", file]);
    }
}

fn run(arguments: &[&str]) {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(program());
    command.args(arguments).current_dir(root()).env("INFERWIT_DATA_DIR", home.path());
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{arguments:?} ended with {}:\n{said}", output.status);
}
