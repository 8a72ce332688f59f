//! Holds the checkout to its plan: which room names which, a purpose at the head of each file, files of a size to read.

use std::fs;
use std::path::{Path, PathBuf};

use crate::fixtures::root;

const LINES_MAX: usize = 500;

/// Files that are longer than `LINES_MAX`, each with the reason why cutting it would make it worse.
const LONG_FILES: &[(&str, &str)] = &[
    ("host/src/tensor.rs", "datatype, shape and tensor: the one place that checks bytes against shape and width"),
    ("plugins/rules/src/engine.rs", "the state of a run and the way from a changed fact to those who wait for it"),
    ("plugins/rules/src/engine/search.rs", "the walk over levels and all that it does at one"),
    ("plugins/rules/src/model/expressions.rs", "one compiler of all expressions of a rule"),
    ("plugins/rules/tests/reference/generator.rs", "every part of a random program beside the others that it names"),
    ("tests/end_to_end/rules.rs", "one rule set through registry, pipeline, deployment and server"),
];

const NOUNS: &[&str] = &["infer", "name", "tensor"];
/// Whom everybody may name: they do no work of the request's.
const SURROUNDINGS: &[&str] = &["env", "telemetry"];

/// Each room of `host/src` and the rooms that it may name, the nouns and surroundings aside where `true`.
const ROOMS: &[(&str, bool, &[&str])] = &[
    ("main", true, &["cli"]),
    ("lib", true, &[]),
    ("cli", true, &["app", "server", "pipeline", "plugin", "batcher", "backend", "registry", "config"]),
    ("app", true, &["server", "pipeline", "plugin", "batcher", "backend", "registry", "config"]),
    ("server", true, &["pipeline"]),
    ("pipeline", true, &["plugin", "batcher", "backend"]),
    ("batcher", true, &["backend"]),
    ("plugin", true, &[]),
    ("backend", true, &[]),
    ("registry", false, &["name"]),
    ("config", false, &["name", "tensor"]),
    ("telemetry", false, &["env", "infer"]),
    ("env", false, &[]),
    ("infer", false, &["name", "tensor"]),
    ("tensor", false, &[]),
    ("name", false, &[]),
];

#[test]
fn a_room_names_only_rooms_to_its_right() {
    let host = root().join("host/src");
    let mut wrong = Vec::new();
    for path in rust_files(&host) {
        let room = room_of(path.strip_prefix(&host).unwrap());
        let Some((_, common, allowed)) = ROOMS.iter().find(|(name, ..)| *name == room) else {
            wrong.push(format!("{}: `{room}` is not in the table of rooms", path.display()));
            continue;
        };
        for named in rooms_named_in(&fs::read_to_string(&path).unwrap()) {
            let is_room = ROOMS.iter().any(|(name, ..)| *name == named);
            let is_common = *common && (NOUNS.contains(&named.as_str()) || SURROUNDINGS.contains(&named.as_str()));
            if is_room && named != room && !is_common && !allowed.contains(&named.as_str()) {
                wrong.push(format!("{}: `{room}` names `{named}`, which is not to its right", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_begins_with_its_purpose() {
    let bare: Vec<String> = own_files()
        .iter()
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//! "))
        .map(|path| path.display().to_string())
        .collect();
    assert!(bare.is_empty(), "these do not begin with `//!` and a sentence:\n{}", bare.join("\n"));
}

#[test]
fn a_long_file_has_a_reason() {
    let mut wrong = Vec::new();
    for path in own_files().into_iter().filter(|path| !path.ends_with("tests.rs")) {
        let relative = path.strip_prefix(root()).unwrap().to_str().unwrap();
        let lines = lines_before_tests(&fs::read_to_string(&path).unwrap());
        let has_reason = LONG_FILES.iter().any(|(file, _)| *file == relative);
        if (lines > LINES_MAX) != has_reason {
            wrong.push(format!("{relative}: {lines} lines, in the table of long files: {has_reason}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rooms_are_seen_in_every_way_of_naming_them() {
    let check = |text: &str, expected: &[&str]| assert_eq!(rooms_named_in(text), expected, "{text}");
    check("use crate::tensor::Tensor;", &["tensor"]);
    check("use crate::{tensor::{Tensor, Shape}, name::Name};", &["tensor", "name"]);
    check("use crate::{\n    infer,\n    backend::Model,\n};", &["infer", "backend"]);
    check("fn run(model: &dyn crate::backend::Model) {}", &["backend"]);
    check("/// See [`crate::app`].\nlet text = 1; // crate::app", &[]);
    check("pub(crate) fn run() { my_crate::app() }", &[]);
    check("inferwit::cli::run()", &["cli"]);
}

/// Tests stand last in a file, or in `tests.rs` beside it, and may be as many as they need to be.
fn lines_before_tests(text: &str) -> usize {
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

/// `plugin` for `plugin.rs` and for `plugin/abi/v0_1.rs`.
fn room_of(relative: &Path) -> String {
    let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
    first.strip_suffix(".rs").unwrap_or(first).to_owned()
}

/// What follows `crate::` or, in the program, `inferwit::`, comments aside.
fn rooms_named_in(text: &str) -> Vec<String> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut rooms = Vec::new();
    for prefix in ["crate::", "inferwit::"] {
        for (at, _) in code.match_indices(prefix) {
            if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':') {
                continue;
            }
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => rooms.extend(heads_of_group(group)),
                None => rooms.extend(first_word(rest)),
            }
        }
    }
    rooms
}

/// The first word of each member of a `{a::b, c::{d, e}}`, its opening brace taken off.
fn heads_of_group(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut member = String::new();
    for letter in group.chars() {
        match letter {
            '}' if depth == 0 => break,
            ',' if depth == 0 => {
                heads.extend(first_word(&member));
                member.clear();
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        member.push(letter);
    }
    heads.extend(first_word(&member));
    heads
}

fn first_word(text: &str) -> Option<String> {
    let word: String =
        text.trim_start().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    (!word.is_empty()).then_some(word)
}

fn own_files() -> Vec<PathBuf> {
    ["host", "sdk", "plugins", "tests", "xtask"].iter().flat_map(|folder| rust_files(&root().join(folder))).collect()
}

/// The Rust files below a folder, none if it does not exist; build outputs and links aside.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.unwrap();
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            files.extend(rust_files(&path));
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
