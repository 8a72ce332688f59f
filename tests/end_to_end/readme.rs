//! Proves what README and the guide for rule authors show. Each fenced block stands under a comment that says how it is proven; none may do without.
//!
//! - `<!-- run by .ci/run -->`: each line is a line of `.ci/run`.
//! - `<!-- run by the tests -->`: run by `sh -eu` in the checkout, with a data folder like that which the demo leaves.
//! - `<!-- its answer -->`: what the block before printed; `...` stands for anything, white space does not count.
//! - `<!-- in FILE -->`: stands in that file word for word, which is compiled and tested.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use crate::fixtures::{data, fixture, plugin, program, root};

#[test]
fn readme_is_true() {
    is_true("README.md");
}

#[test]
fn the_guide_for_rule_authors_is_true() {
    is_true("docs/rule-authors.md");
}

fn is_true(document: &str) {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut printed = None;
    for block in blocks(&text) {
        match block.proof {
            "run by .ci/run" => stands_in_lines_of(".ci/run", &block.text),
            "run by the tests" => printed = Some(run(&block.text, home.path())),
            "its answer" => check_answer(printed.as_deref().expect("a block that was run stands before"), &block.text),
            proof => match proof.strip_prefix("in ") {
                Some(file) => stands_in(file, &block.text),
                None => panic!("a block of `{document}` under `<!-- {proof} -->` is not proven:\n{}", block.text),
            },
        }
    }
}

#[test]
fn an_answer_is_matched_around_its_gaps() {
    check_answer("{\"a\": 1,\n \"b\": 2, \"c\": 3}", "{\"a\":1, ... \"c\": 3}");
    assert!(std::panic::catch_unwind(|| check_answer("{\"a\": 1}", "{\"a\": 2}")).is_err());
    assert!(std::panic::catch_unwind(|| check_answer("[2, 1]", "1 ... 2")).is_err());
}

#[test]
fn a_block_without_a_proof_is_seen() {
    let found = blocks("text\n```sh\nls\n```\n<!-- in a -->\n```\nb\n\nc\n```\n");
    let found: Vec<(&str, &str)> = found.iter().map(|block| (block.proof, block.text.as_str())).collect();
    assert_eq!(found, [("", "ls"), ("in a", "b\n\nc")]);
}

struct Block<'a> {
    proof: &'a str,
    text: String,
}

fn blocks(markdown: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut proof = "";
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            blocks.push(Block { proof, text: text.join("\n") });
        }
        proof = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")).unwrap_or_default();
    }
    blocks
}

fn stands_in_lines_of(file: &str, text: &str) {
    let script = fs::read_to_string(root().join(file)).unwrap();
    for line in text.lines() {
        assert!(script.lines().any(|present| present == line), "`{line}` is not a line of `{file}`");
    }
}

fn stands_in(file: &str, text: &str) {
    let present = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("read `{file}`: {error}"));
    assert!(present.contains(text), "this does not stand in `{file}`:\n{text}");
}

/// Runs a block; the first one to run finds the demo's registry made.
fn run(script: &str, home: &Path) -> String {
    if !home.join("demo").exists() {
        make_data_folder(home);
    }
    let folder = program().parent().unwrap().display().to_string();
    let mut command = Command::new("sh");
    command.arg("-euc").arg(format!("PATH=\"{folder}:$PATH\"\n{script}"));
    printed(command.current_dir(root()).env("INFERWIT_DATA_DIR", home).env("HOME", home))
}

/// The data folder that set-up and the demo leave, with the fetched part lent from the real one.
fn make_data_folder(home: &Path) {
    for folder in ["lib", "fixtures"] {
        symlink(data().join(folder), home.join(folder)).unwrap();
    }
    fs::create_dir(home.join("demo")).unwrap();
    let inferwit = |arguments: &[&str], subject: &Path, options: &[&str]| {
        let mut command = Command::new(program());
        command.args(arguments).arg(subject).args(options).arg("--registry").arg(home.join("demo/inferwit.db"));
        printed(command.current_dir(root()).env("INFERWIT_DATA_DIR", home));
    };
    let options = ["--options", "config/models/centerface.model.yaml"];
    inferwit(&["model", "add"], &fixture("centerface.onnx"), &options);
    for name in ["image", "detections", "checks", "rules"] {
        inferwit(&["plugin", "add"], &plugin(name), &[]);
    }
    inferwit(&["rules", "add"], Path::new("config/rules/photo-policy.rules.yaml"), &[]);
    inferwit(&["pipeline", "add"], Path::new("config/pipelines/photo-check.yaml"), &[]);
    inferwit(&["deploy"], Path::new("photo-check"), &["--env", "dev"]);
}

fn printed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?} ended with {status}:\n{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

fn check_answer(printed: &str, expected: &str) {
    let squeeze = |text: &str| text.split_whitespace().collect::<String>();
    let answer = squeeze(printed);
    let mut rest = answer.as_str();
    for part in expected.split("...").map(squeeze) {
        match rest.split_once(&part) {
            Some((_, after)) => rest = after,
            None => panic!("`{part}` does not follow in what was printed:\n{printed}"),
        }
    }
}
