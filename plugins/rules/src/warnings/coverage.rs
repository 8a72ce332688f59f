//! Decisions that no test of the file looks for.

use std::collections::HashSet;

use super::view::View;
use crate::diagnostic::Diagnostic;
use crate::document::{Data, Node};
use crate::file::ActionKind;

pub(super) fn check(view: &View<'_>, found: &mut Vec<Diagnostic>) {
    let tests = &view.file.tests;
    let rows = tests.iter().flat_map(|test| test.expect.decision.iter().chain(items(test.expect.decisions.as_ref())));
    // What a row names of decision and code; one that names neither looks for nothing.
    let expected: HashSet<(Option<&str>, Option<&str>)> =
        rows.map(|row| (text(row, "decision"), text(row, "code"))).filter(|&row| row != (None, None)).collect();
    let fired: HashSet<&str> =
        tests.iter().filter_map(|test| test.expect.fired.as_ref()).flat_map(fired_rules).collect();
    let mut seen = HashSet::new();
    let mut uncovered = Vec::new();
    for rule in &view.file.rules {
        for action in &rule.then {
            let ActionKind::Emit(emit) = &action.kind else { continue };
            let (decision, code) = (emit.decision.text.as_str(), emit.code.text.as_str());
            let forms = [(Some(decision), Some(code)), (Some(decision), None), (None, Some(code))];
            if fired.contains(rule.id.text.as_str()) || forms.iter().any(|form| expected.contains(form)) {
                seen.insert((decision, code));
            } else {
                uncovered.push((decision, code, emit, &rule.id.text));
            }
        }
    }
    for (decision, code, emit, rule) in uncovered {
        if seen.insert((decision, code)) {
            let message = format!("no test expects the code `{code}` of `{decision}`");
            let hint = format!("add a test that expects {{decision: {decision}, code: {code}}}");
            found.push(Diagnostic::warning("uncovered-code", message, emit.code.span).in_rule(rule).with_hint(hint));
        }
    }
}

fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.data) {
        Some(Data::Sequence(items)) => items,
        _ => &[],
    }
}

fn text<'n>(row: &'n Node, key: &str) -> Option<&'n str> {
    match &row.get(key)?.data {
        Data::String(text) => Some(text),
        _ => None,
    }
}

/// Rules that a test expects to fire.
fn fired_rules(node: &Node) -> impl Iterator<Item = &str> {
    let entries = match &node.data {
        Data::Mapping(entries) => entries.as_slice(),
        _ => &[],
    };
    let is_some = |count: &Node| matches!(count.data, Data::Int(count) if count > 0);
    entries.iter().filter(move |(_, count)| is_some(count)).map(|(key, _)| key.name.as_str())
}
