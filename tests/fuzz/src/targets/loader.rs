//! Any text as a rule set: it is refused with reasons, or it compiles, runs, and tells the same in every form it has.

use std::rc::Rc;

use rules_plugin::engine::{Ended, LimitKind};
use rules_plugin::explain::Source;
use rules_plugin::file::RuleFile;
use rules_plugin::load::{self, Config};
use rules_plugin::model::RuleSet;
use rules_plugin::plan_text::plan_text;
use rules_plugin::rows::{Row, read_facts};
use rules_plugin::testing::run_tests;
use rules_plugin::{compiled, diagnostic::Diagnostic};

use super::runs::{engine, told};

/// So many of a file's tests are run.
const TESTS_MAX: usize = 3;

pub(super) fn run(source: &[u8]) {
    read_as_configuration(source);
    let (file, rules, warnings) = match load::check(source) {
        Ok(checked) => checked,
        Err(findings) => return check_findings(&findings, source),
    };
    check_findings_within(&warnings, source);
    check_canonical(source, &rules);
    let bytes = compiled::encode(&rules, &warnings);
    let (read, read_warnings) = match compiled::decode(&bytes) {
        Ok(read) => read,
        Err(error) => panic!("a compiled rule set is not read: {}", error.message()),
    };
    assert_eq!(read_warnings, warnings);
    assert!(compiled::encode(&read, &read_warnings) == bytes, "the compiled form changes as it is read");
    let (rules, read) = (Rc::new(rules), Rc::new(read));
    assert_eq!(plan_text(&rules), plan_text(&read));
    test(&file, &rules, &read);
    evaluate(&file, &rules, &read);
}

fn check_findings(findings: &[Diagnostic], source: &[u8]) {
    assert!(!findings.is_empty(), "a refusal without a reason");
    check_findings_within(findings, source);
}

/// A place that is named is there.
fn check_findings_within(findings: &[Diagnostic], source: &[u8]) {
    let breaks = source.iter().filter(|&&byte| matches!(byte, b'\n' | b'\r')).count() as u32;
    for finding in findings {
        assert!(!finding.code.is_empty() && !finding.message.is_empty(), "{finding:?}");
        if let Some(span) = finding.span {
            assert!(span.line <= breaks + 2 && span.end_line <= breaks + 2, "{finding:?}");
            assert!((span.line, span.column) <= (span.end_line, span.end_column), "{finding:?}");
        }
    }
}

/// The canonical form is a rule set of the same identity and meaning. One exception: it writes a double from 2^53 on as an
/// integer, which a rule set may not say.
fn check_canonical(source: &[u8], rules: &RuleSet) {
    let form = load::canonical_form(source).unwrap_or_else(|findings| panic!("no canonical form: {findings:?}"));
    match load::check(form.as_bytes()) {
        Ok((_, again, _)) => {
            assert_eq!(again.digest, rules.digest, "{form}");
            assert_eq!(plan_text(&again), plan_text(rules), "{form}");
        }
        Err(findings) => {
            let is_large = findings.iter().all(|finding| finding.code == "number-range");
            assert!(is_large, "{form}\n{findings:?}");
        }
    }
}

fn read_as_configuration(source: &[u8]) {
    if let Ok(text) = std::str::from_utf8(source)
        && let Err(findings) = Config::parse(text)
    {
        assert!(!findings.is_empty());
    }
}

fn test(file: &RuleFile, rules: &Rc<RuleSet>, read: &Rc<RuleSet>) {
    let mut file = file.clone();
    file.tests.truncate(TESTS_MAX);
    let run = |rules: &Rc<RuleSet>| run_tests(&file, rules, "", super::budget(rules), super::in_time);
    let (ours, theirs) = (run(rules), run(read));
    if !ours.iter().chain(&theirs).any(|outcome| outcome.message.contains("max_bytes")) {
        assert_eq!(ours, theirs, "the compiled form passes other tests");
    }
}

fn evaluate(file: &RuleFile, rules: &Rc<RuleSet>, read: &Rc<RuleSet>) {
    let (mut ours, mut theirs) = (engine(rules), engine(read));
    let source = || Some(Source { file, name: &file.name.text });
    let mut given: Vec<Vec<(usize, Vec<Row>)>> = vec![Vec::new()];
    for test in file.tests.iter().take(TESTS_MAX) {
        given.extend(test.given.as_ref().and_then(|node| read_facts(node, &file.schema).ok()));
    }
    for facts in given {
        let ended = ours.begin_with_rows(&facts);
        let first = told(&mut ours, &ended, source());
        if is_out_of_memory(&ended) {
            continue;
        }
        let ended = theirs.begin_with_rows(&facts);
        if is_out_of_memory(&ended) {
            continue;
        }
        assert_eq!(told(&mut theirs, &ended, source()), first, "the compiled form tells otherwise");
        let ended = ours.begin_with_rows(&facts);
        if is_out_of_memory(&ended) {
            continue;
        }
        assert_eq!(told(&mut ours, &ended, source()), first, "a second run tells otherwise");
    }
}

/// Memory is what an engine holds, and it may hold some from earlier runs.
fn is_out_of_memory(ended: &Ended) -> bool {
    matches!(ended, Ended::Limit(limit) if limit.kind == LimitKind::Bytes)
}
