//! A whole file: its parts in the order in which they need one another.

use std::collections::HashSet;

use super::expect::{Known, read_tests};
use super::facts::{TableRows, join, read_facts, read_tables};
use super::field::read_params;
use super::reader::{Entries, Reader, short};
use super::rule::read_rules;
use super::settings::{read_decisions, read_limits, read_phases, read_trace};
use super::{Decisions, Limits, Name, Param, Rule, RuleFile, Trace};
use crate::canonical::{canonical, digest};
use crate::diagnostic::Diagnostic;
use crate::document::{self, Data, FINDINGS_MAX, Node};
use crate::schema::Schema;

const KEYS: [&str; 13] = [
    "schema",
    "name",
    "version",
    "description",
    "params",
    "facts",
    "tables",
    "phases",
    "decisions",
    "limits",
    "trace",
    "rules",
    "tests",
];

/// Reads a rule set and checks its shape.
///
/// # Errors
/// What is wrong with it, in the order of the file.
pub fn parse(source: &[u8]) -> Result<RuleFile, Vec<Diagnostic>> {
    let root = ordered(document::parse(source)?);
    let mut reader = Reader::default();
    let canonical = canonical(&root).map_err(|findings| reader.findings.extend(findings));
    let file = read_file(&mut reader, &root);
    match (file, canonical) {
        (Some(file), Ok(canonical)) if reader.findings.is_empty() => {
            Ok(RuleFile { digest: digest(&canonical), ..file })
        }
        // Places are told as they are in the file.
        _ => Err(located(reader.findings, &document::parse(source)?)),
    }
}

/// The canonical form of a rule set's text; says nothing about what it means.
///
/// # Errors
/// What is wrong with it as a document.
pub fn canonical_form(source: &[u8]) -> Result<String, Vec<Diagnostic>> {
    canonical(&ordered(document::parse(source)?))
}

/// Puts templates, fields, parameters and the columns of tables in the order of their names, and the rows of tables in
/// that of their columns: the order of a mapping's keys is no meaning, and what has one identity must do the same.
fn ordered(mut root: Node) -> Node {
    let Data::Mapping(entries) = &mut root.data else { return root };
    for (key, node) in entries {
        let Data::Mapping(declared) = &mut node.data else { continue };
        if key.name == "tables" {
            declared.iter_mut().for_each(|(_, table)| order_columns(table));
        }
        if !matches!(key.name.as_str(), "facts" | "params") {
            continue;
        }
        declared.sort_by(|(left, _), (right, _)| left.name.cmp(&right.name));
        for (_, template) in declared {
            let Data::Mapping(parts) = &mut template.data else { continue };
            for (part, fields) in parts {
                if let (true, Data::Mapping(fields)) = (part.name == "fields", &mut fields.data) {
                    fields.sort_by(|(left, _), (right, _)| left.name.cmp(&right.name));
                }
            }
        }
    }
    root
}

/// What is not a table as it should be stays as it is, to be refused.
fn order_columns(table: &mut Node) {
    let Data::Mapping(parts) = &mut table.data else { return };
    let columns = parts.iter_mut().find(|(part, _)| part.name == "columns");
    let Some((_, Node { data: Data::Mapping(columns), .. })) = columns else { return };
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by(|&left, &right| columns[left].0.name.cmp(&columns[right].0.name));
    columns.sort_by(|(left, _), (right, _)| left.name.cmp(&right.name));
    let rows = parts.iter_mut().find(|(part, _)| part.name == "rows");
    let Some((_, Node { data: Data::Sequence(rows), .. })) = rows else { return };
    for row in rows {
        if let Data::Sequence(values) = &mut row.data
            && values.len() == order.len()
        {
            *values = order.iter().map(|&place| values[place].clone()).collect();
        }
    }
}

/// In the order of the file, each with the path of what it is about.
fn located(mut findings: Vec<Diagnostic>, root: &Node) -> Vec<Diagnostic> {
    findings.sort_by_key(|finding| finding.span);
    findings.dedup();
    findings.truncate(FINDINGS_MAX);
    for finding in &mut findings {
        finding.path = finding.span.map(|span| root.pointer_to(span));
    }
    findings
}

fn read_file(reader: &mut Reader, root: &Node) -> Option<RuleFile> {
    let entries = reader.entries(root, "a rule set", &KEYS)?;
    check_schema(reader, entries);
    let name = reader.required(entries, "name").and_then(|node| read_name(reader, node));
    let version = reader.required(entries, "version").and_then(|node| read_version(reader, node));
    let description = match entries.get("description") {
        Some(node) => reader.text(node, "`description`").map(|text| Some(text.to_owned())),
        None => Some(None),
    };
    let settings = read_settings(reader, entries);
    let schema = read_schema(reader, entries);
    let params = match entries.get("params") {
        Some(node) => read_params(reader, node),
        None => Some(Vec::new()),
    };
    let phases = settings.as_ref().map(|settings| settings.phases.as_slice());
    let rules = reader.required(entries, "rules").and_then(|node| read_rules(reader, node, phases));
    // Tests name what is above: with that unknown, every name would be a finding.
    let (schema, params, rules) = (schema?, params?, rules?);
    let (schema, tables) = schema;
    let tests = match entries.get("tests") {
        Some(node) => read_tests(reader, node, &known(&schema, &params, &rules)),
        None => Some(Vec::new()),
    };
    let Settings { phases, decisions, limits, trace } = settings?;
    Some(RuleFile {
        name: name?,
        version: version?,
        description: description?,
        schema,
        params,
        tables,
        phases,
        decisions,
        limits,
        trace,
        rules,
        tests: tests?,
        digest: [0; 32],
    })
}

fn known<'a>(schema: &'a Schema, params: &'a [Param], rules: &'a [Rule]) -> Known<'a> {
    let rules: HashSet<_> = rules.iter().map(|rule| rule.id.text.as_str()).collect();
    Known { schema, params, rules }
}

fn check_schema(reader: &mut Reader, entries: Entries<'_>) {
    const SCHEMA: &str = "rules/v1";
    let Some(node) = reader.required(entries, "schema") else { return };
    if let Some(text) = reader.text(node, "`schema`")
        && text != SCHEMA
    {
        let message = format!("the schema `{}` is not known", short(text));
        reader.error_hint("unknown-schema", message, node.span, format!("write schema: {SCHEMA}"));
    }
}

fn read_name(reader: &mut Reader, node: &Node) -> Option<Name> {
    const BYTES_MAX: usize = 128;
    let text = reader.text(node, "`name`")?;
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    if !begins || text.len() > BYTES_MAX || !text.bytes().all(is_allowed) {
        let hint = "1 to 128 of a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit";
        reader.error_hint("bad-name", format!("a rule set is not named `{}`", short(text)), node.span, hint);
        return None;
    }
    Some(Name { text: text.to_owned(), span: node.span })
}

fn read_version(reader: &mut Reader, node: &Node) -> Option<Name> {
    match &node.data {
        Data::String(text) if is_semantic_version(text) => Some(Name { text: text.clone(), span: node.span }),
        data => {
            let hint = "three numbers such as 1.4.2, optionally with a suffix such as -rc.1";
            let shown =
                if let Data::String(text) = data { format!("`{}`", short(text)) } else { data.kind().to_owned() };
            reader.error_hint("bad-version", format!("`version` is a semantic version, not {shown}"), node.span, hint);
            None
        }
    }
}

fn is_semantic_version(text: &str) -> bool {
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, suffix) = rest.split_once('-').map_or((rest, None), |(core, suffix)| (core, Some(suffix)));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = |part: &str| is_digits(part) && (part == "0" || !part.starts_with('0'));
    let is_word =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_suffix = |part: &str| is_word(part) && (!is_digits(part) || is_number(part));
    text.len() <= 128
        && core.split('.').count() == 3
        && core.split('.').all(|part| is_number(part) && part.parse::<u64>().is_ok())
        && suffix.is_none_or(|suffix| suffix.split('.').all(is_suffix))
        && build.is_none_or(|build| build.split('.').all(is_word))
}

struct Settings {
    phases: Vec<Name>,
    decisions: Decisions,
    limits: Limits,
    trace: Trace,
}

fn read_settings(reader: &mut Reader, entries: Entries<'_>) -> Option<Settings> {
    fn part<T: Default>(
        reader: &mut Reader,
        node: Option<&Node>,
        read: impl Fn(&mut Reader, &Node) -> Option<T>,
    ) -> Option<T> {
        node.map_or_else(|| Some(T::default()), |node| read(reader, node))
    }
    let phases = part(reader, entries.get("phases"), read_phases);
    let decisions = part(reader, entries.get("decisions"), read_decisions);
    let limits = part(reader, entries.get("limits"), read_limits);
    let trace = part(reader, entries.get("trace"), read_trace);
    Some(Settings { phases: phases?, decisions: decisions?, limits: limits?, trace: trace? })
}

fn read_schema(reader: &mut Reader, entries: Entries<'_>) -> Option<(Schema, Vec<TableRows>)> {
    let templates = reader.required(entries, "facts").and_then(|node| read_facts(reader, node));
    let tables = match entries.get("tables") {
        Some(node) => read_tables(reader, node),
        None => Some(Vec::new()),
    };
    let (templates, tables) = (templates?, tables?);
    Some(join(reader, templates, tables))
}
