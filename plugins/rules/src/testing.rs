//! The tests that a rule set brings along: each is run against the engine and told what it expected and did not find.
//!
//! Reads no file and knows no door: a parsed file and its resolved rules come in, outcomes go out.

use std::rc::Rc;

use crate::diagnostic::Diagnostic;
use crate::document::{Data, Key, Node};
use crate::engine::{Budget, Change, Decided, Ended, Engine};
use crate::file::{RuleFile, Step, StepKind, Test, TraceLevel};
use crate::model::RuleSet;
use crate::rows::{Row, read_facts, read_param, read_row};
use crate::schema::{Constant, Schema};

mod expect;
pub(crate) use expect::agrees;
mod show;
#[cfg(test)]
mod tests;

/// How a test went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestOutcome {
    pub name: String,
    pub passed: bool,
    /// What was expected and not found; empty if it passed.
    pub message: String,
}

/// Runs the tests whose name holds `filter`.
pub fn run_tests(
    file: &RuleFile,
    rules: &Rc<RuleSet>,
    filter: &str,
    budget: Budget,
    time_is_up: fn() -> bool,
) -> Vec<TestOutcome> {
    let chosen = file.tests.iter().filter(|test| test.name.text.contains(filter));
    let run = |test: &Test| {
        let failures = match run_test(file, rules, test, (budget, time_is_up)) {
            Ok(failures) => failures,
            Err(failure) => vec![failure],
        };
        TestOutcome { name: test.name.text.clone(), passed: failures.is_empty(), message: failures.join("\n") }
    };
    chosen.map(run).collect()
}

/// What a finished test looks at.
struct Finished<'a> {
    file: &'a RuleFile,
    engine: Engine,
    ended: Ended,
    decided: Decided,
}

/// Runs one test; gives what it expected and did not find.
fn run_test(
    file: &RuleFile,
    rules: &Rc<RuleSet>,
    test: &Test,
    (budget, time_is_up): (Budget, fn() -> bool),
) -> Result<Vec<String>, String> {
    let params = params_of(file, test)?;
    let mut engine = Engine::new(Rc::clone(rules), &params, budget, time_is_up);
    let given = match &test.given {
        Some(node) => read_facts(node, &file.schema).map_err(|findings| told(&findings))?,
        None => Vec::new(),
    };
    engine.trace(TraceLevel::Off, 0, test.expect.why.is_some());
    let mut ended = engine.begin_with_rows(&given);
    for (place, step) in test.steps.iter().enumerate() {
        let at = |reason: String| format!("step {}: {reason}", place + 1);
        if let Some(reason) = show::unfinished(&engine, &ended) {
            return Err(format!("before step {}: {reason}", place + 1));
        }
        let changes = changes_of(step, &file.schema).map_err(at)?;
        ended = engine.step(&changes).map_err(|error| at(error.0))?;
    }
    let decided = match &ended {
        Ended::Well => engine.decided()?,
        // A limit that decides is an answer.
        Ended::Limit(_) if rules.limits.decide.is_some() => engine.decided_by_limit(),
        _ => return Err(show::unfinished(&engine, &ended).unwrap_or_default()),
    };
    Finished { file, engine, ended, decided }.compare(&test.expect)
}

/// The defaults, and what the test sets instead.
fn params_of(file: &RuleFile, test: &Test) -> Result<Vec<Constant>, String> {
    let set = test.params.as_ref().map_or(&[][..], entries);
    let value = |param: &crate::file::Param| match set.iter().find(|(key, _)| key.name == param.name) {
        Some((_, node)) => read_param(node, param).map_err(|finding| told(&[*finding])),
        None => Ok(param.default.clone()),
    };
    file.params.iter().map(value).collect()
}

fn changes_of(step: &Step, schema: &Schema) -> Result<Vec<Change>, String> {
    let mut changes = Vec::new();
    for (kind, node) in &step.parts {
        if *kind == StepKind::Assert {
            let facts = read_facts(node, schema).map_err(|findings| told(&findings))?;
            changes.extend(facts.into_iter().map(|(template, rows)| Change::Assert(template, rows)));
            continue;
        }
        for (template, rows) in partial_rows(node, schema)? {
            changes.push(match kind {
                StepKind::Retract => Change::Retract(template, rows),
                _ => Change::Modify(template, rows),
            });
        }
    }
    Ok(changes)
}

/// Rows by template that name some fields only.
fn partial_rows(node: &Node, schema: &Schema) -> Result<Vec<(usize, Vec<Row>)>, String> {
    let mut facts = Vec::new();
    for (key, rows) in entries(node) {
        let place = schema.template(&key.name).ok_or_else(|| format!("there is no template `{}`", key.name))?;
        let read = |row: &Node| read_row(row, &schema.templates[place], true).map_err(|findings| told(&findings));
        facts.push((place, items(rows).iter().map(read).collect::<Result<_, _>>()?));
    }
    Ok(facts)
}

fn entries(node: &Node) -> &[(Key, Node)] {
    match &node.data {
        Data::Mapping(entries) => entries,
        _ => &[],
    }
}

fn items(node: &Node) -> &[Node] {
    match &node.data {
        Data::Sequence(items) => items,
        _ => &[],
    }
}

fn told(findings: &[Diagnostic]) -> String {
    let lines: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    lines.join("; ")
}
