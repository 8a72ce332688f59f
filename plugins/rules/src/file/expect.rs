//! `tests`: shapes, names and rows of given facts, steps and expectations. Runs nothing.

use std::collections::HashSet;

use super::reader::{Entries, Reader};
use super::{Expect, Param, Step, StepKind, Test, nearest};
use crate::diagnostic::Span;
use crate::document::{Data, Key, Node};
use crate::rows::{read_facts, read_param, read_row, unknown_template};
use crate::schema::{Origin, Schema, TemplateSchema};

const TEST_KEYS: [&str; 5] = ["name", "given", "params", "steps", "expect"];
const EXPECT_KEYS: [&str; 7] = ["facts", "absent", "exactly", "decision", "decisions", "fired", "why"];
const DECISION_KEYS: [&str; 5] = ["decision", "code", "subject", "message", "data"];
const STEP_KINDS: [(&str, StepKind); 3] =
    [("assert", StepKind::Assert), ("retract", StepKind::Retract), ("modify", StepKind::Modify)];

/// What tests may name.
pub(super) struct Known<'a> {
    pub(super) schema: &'a Schema,
    pub(super) params: &'a [Param],
    /// The ids of the rules.
    pub(super) rules: HashSet<&'a str>,
}

pub(super) fn read_tests(reader: &mut Reader, node: &Node, known: &Known<'_>) -> Option<Vec<Test>> {
    let items = reader.list(node, "`tests`")?;
    let tests = reader.each(items, |reader, item| read_test(reader, item, known))?;
    reader.refuse_repeated(tests.iter().map(|test| &test.name), "the test");
    Some(tests)
}

fn read_test(reader: &mut Reader, node: &Node, known: &Known<'_>) -> Option<Test> {
    let entries = reader.entries(node, "a test", &TEST_KEYS)?;
    let name = reader.required(entries, "name").and_then(|node| reader.plain_name(node, "the name of a test"));
    let given = reader.required(entries, "given");
    if let Some(given) = given {
        check_given(reader, given, known);
    }
    if let Some(params) = entries.get("params") {
        check_params(reader, params, known);
    }
    let steps = match entries.get("steps") {
        Some(node) => read_steps(reader, node, known),
        None => Some(Vec::new()),
    };
    let expect = reader.required(entries, "expect").and_then(|node| read_expect(reader, node, known));
    let params = entries.get("params").cloned();
    Some(Test { name: name?, given: given.cloned(), params, steps: steps?, expect: expect? })
}

/// Rows of input templates, whole.
fn check_given(reader: &mut Reader, node: &Node, known: &Known<'_>) {
    if let Some(entries) = reader.mapping(node, "`given`") {
        refuse_not_input(reader, entries, known);
        report_all(reader, read_facts(node, known.schema).err());
    }
}

fn report_all(reader: &mut Reader, findings: Option<Vec<crate::diagnostic::Diagnostic>>) {
    for finding in findings.into_iter().flatten() {
        reader.report(finding);
    }
}

fn refuse_not_input(reader: &mut Reader, entries: Entries<'_>, known: &Known<'_>) {
    for (key, _) in entries.entries {
        let template = known.schema.templates.iter().find(|template| template.name == key.name);
        if template.is_some_and(|template| template.origin != Origin::Input) {
            let message = format!("`{}` is no input", key.name);
            reader.error_hint("not-input", message, key.span, "only facts of `origin: input` are given");
        }
    }
}

fn check_params(reader: &mut Reader, node: &Node, known: &Known<'_>) {
    let Some(entries) = reader.mapping(node, "`params`") else { return };
    for (key, value) in entries.entries {
        if reader.is_full() {
            break;
        }
        match known.params.iter().find(|param| param.name == key.name) {
            Some(param) => {
                if let Err(finding) = read_param(value, param) {
                    reader.report(*finding);
                }
            }
            None => {
                let names: Vec<_> = known.params.iter().map(|param| param.name.as_str()).collect();
                let message = format!("there is no parameter `{}`", key.name);
                reader.error_hint("unknown-param", message, key.span, nearest::hint(&key.name, &names));
            }
        }
    }
}

fn read_steps(reader: &mut Reader, node: &Node, known: &Known<'_>) -> Option<Vec<Step>> {
    let items = reader.list(node, "`steps`")?;
    reader.each(items, |reader, item| read_step(reader, item, known))
}

fn read_step(reader: &mut Reader, node: &Node, known: &Known<'_>) -> Option<Step> {
    let entries = reader.entries(node, "a step", &["assert", "retract", "modify"])?;
    if entries.entries.is_empty() {
        let hint = "write {assert: {template: [rows]}}, or retract or modify";
        reader.error_hint("empty-list", "a step does nothing", node.span, hint);
        return None;
    }
    // In this order whatever the file's, since the order of keys means nothing.
    let parts = STEP_KINDS.iter().filter_map(|&(key, kind)| Some((kind, entries.get(key)?)));
    let parts = parts.map(|(kind, node)| {
        check_step(reader, node, (kind, known));
        (kind, node.clone())
    });
    Some(Step { parts: parts.collect() })
}

fn check_step(reader: &mut Reader, node: &Node, (kind, known): (StepKind, &Known<'_>)) {
    if kind == StepKind::Assert {
        check_given(reader, node, known);
        return;
    }
    if let Some(entries) = reader.mapping(node, "a step") {
        refuse_not_input(reader, entries, known);
    }
    check_partial_facts(reader, node, known, |reader, row, template| {
        for &place in &template.key {
            let field = &template.fields[usize::from(place)].name;
            if row.get(field).is_none() {
                let message = format!("a row of `{}` lacks the key field `{field}`", template.name);
                reader.error("missing-field", message, row.span);
            }
        }
    });
}

/// Rows that name some fields, and what else must hold for each.
fn check_partial_facts(
    reader: &mut Reader,
    node: &Node,
    known: &Known<'_>,
    also: impl Fn(&mut Reader, &Node, &TemplateSchema),
) {
    let Some(entries) = reader.mapping(node, "facts by template") else { return };
    for (key, rows) in entries.entries {
        if reader.is_full() {
            break;
        }
        let Some(place) = known.schema.template(&key.name) else {
            reader.report(unknown_template(&key.name, key.span, known.schema));
            continue;
        };
        let template = &known.schema.templates[place];
        for row in reader.list(rows, "the rows of a template").unwrap_or_default() {
            match read_row(row, template, true) {
                Ok(_) => also(reader, row, template),
                Err(findings) => report_all(reader, Some(findings)),
            }
        }
    }
}

fn read_expect(reader: &mut Reader, node: &Node, known: &Known<'_>) -> Option<Expect> {
    let entries = reader.entries(node, "`expect`", &EXPECT_KEYS)?;
    let before = reader.findings.len();
    for key in ["facts", "absent", "exactly"] {
        if let Some(node) = entries.get(key) {
            check_partial_facts(reader, node, known, |_, _, _| ());
        }
    }
    if let Some(node) = entries.get("decision") {
        check_decision(reader, node);
    }
    if let Some(node) = entries.get("decisions") {
        for item in reader.list(node, "`decisions`").unwrap_or_default() {
            check_decision(reader, item);
        }
    }
    if let Some(node) = entries.get("fired") {
        check_fired(reader, node, known);
    }
    if let Some(node) = entries.get("why") {
        check_why(reader, node, known);
    }
    let part = |key: &str| entries.get(key).cloned();
    let expect = Expect {
        facts: part("facts"),
        absent: part("absent"),
        exactly: part("exactly"),
        decision: part("decision"),
        decisions: part("decisions"),
        fired: part("fired"),
        why: part("why"),
    };
    (reader.findings.len() == before).then_some(expect)
}

fn check_decision(reader: &mut Reader, node: &Node) {
    let Some(entries) = reader.entries(node, "an expected decision", &DECISION_KEYS) else { return };
    for key in ["decision", "code", "message"] {
        if let Some(node) = entries.get(key) {
            reader.text(node, &format!("`{key}`"));
        }
    }
    // No subject may be expected too.
    if let Some(node) = entries.get("subject")
        && !matches!(node.data, Data::Null)
    {
        reader.text(node, "`subject`");
    }
}

fn check_fired(reader: &mut Reader, node: &Node, known: &Known<'_>) {
    let Some(entries) = reader.mapping(node, "`fired`") else { return };
    for (Key { name, span }, node) in entries.entries {
        check_rule(reader, name, *span, known);
        reader.int(node, "how often a rule fired", 0, crate::canonical::INT_MAX);
    }
}

fn check_why(reader: &mut Reader, node: &Node, known: &Known<'_>) {
    let Some(entries) = reader.mapping(node, "`why`") else { return };
    for (_, node) in entries.entries {
        for item in reader.list(node, "the rules of a `why`").unwrap_or_default() {
            if let Some(id) = reader.text(item, "a rule") {
                check_rule(reader, id, item.span, known);
            }
        }
    }
}

fn check_rule(reader: &mut Reader, id: &str, span: Span, known: &Known<'_>) {
    if !known.rules.contains(id) && !reader.is_full() {
        let mut ids: Vec<_> = known.rules.iter().copied().collect();
        ids.sort_unstable();
        reader.error_hint("unknown-rule", format!("there is no rule `{id}`"), span, nearest::hint(id, &ids));
    }
}
