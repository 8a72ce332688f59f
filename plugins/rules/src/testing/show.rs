//! What failed tests say: rows and decisions as text, and those that are near. Compares nothing.

use super::expect::same;
use crate::canonical::{canonical, write_text};
use crate::document::Node;
use crate::engine::{Decision, Ended, Engine};
use crate::rows::{Row, write_row};
use crate::schema::TemplateSchema;

/// So many lines of a difference are shown.
const LINES_MAX: usize = 20;
/// So many near rows are shown.
const NEAR_MAX: usize = 3;

/// Why a run did not come to its end, if it did not.
pub(super) fn unfinished(engine: &Engine, ended: &Ended) -> Option<String> {
    match ended {
        Ended::Well => None,
        Ended::Limit(reached) => {
            let ids: Vec<&str> =
                reached.rules.iter().map(|&rule| engine.rules.rules[rule as usize].id.as_str()).collect();
            let (name, value) = (reached.kind.name(), reached.value);
            Some(format!("the run reached the limit `{name}` ({value}) in {}", ids.join(", ")))
        }
        Ended::Error(error) => {
            let bound = error
                .bindings
                .iter()
                .map(|(name, template, row)| format!("{name} = {}", engine.fact_text(*template, *row)));
            let bound: Vec<String> = bound.collect();
            let with = if bound.is_empty() { String::new() } else { format!(" with {}", bound.join(", ")) };
            Some(format!("the run ended with the error `{}`: {}{with}", error.code, error.message))
        }
    }
}

pub(super) fn row(row: &Row, template: &TemplateSchema) -> String {
    let mut text = String::new();
    write_row(&mut text, row, template);
    text
}

pub(super) fn node(node: &Node) -> String {
    canonical(node).unwrap_or_default()
}

pub(super) fn decision(decision: &Decision) -> String {
    let mut text = String::from("{");
    let fields = [
        ("decision", Some(&decision.decision)),
        ("code", Some(&decision.code)),
        ("subject", decision.subject.as_ref()),
        ("message", decision.message.as_ref()),
    ];
    for (name, value) in fields {
        let Some(value) = value else { continue };
        if text.len() > 1 {
            text.push(',');
        }
        write_text(&mut text, name);
        text.push(':');
        write_text(&mut text, value);
    }
    if let Some(data) = &decision.data {
        text.push_str(",\"data\":");
        text.push_str(data);
    }
    text.push('}');
    text
}

pub(super) fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Appends lines, and how many more there are.
pub(super) fn lines(message: &mut String, lines: impl Iterator<Item = String>) {
    let mut more = 0;
    for (place, line) in lines.enumerate() {
        if place < LINES_MAX {
            message.push_str("\n  ");
            message.push_str(&line);
        } else {
            more += 1;
        }
    }
    if more > 0 {
        message.push_str(&format!("\n  and {more} more"));
    }
}

/// The rows that agree with most of what was expected.
pub(super) fn nearest(expected: &Row, found: &[Row], template: &TemplateSchema) -> String {
    if found.is_empty() {
        return format!("  there is no fact of `{}`", template.name);
    }
    let agreeing = |row: &Row| {
        let pairs = expected.iter().zip(row);
        pairs.filter(|(expected, found)| matches!((expected, found), (Some(a), Some(b)) if same(a, b))).count()
    };
    let mut near: Vec<(usize, &Row)> = found.iter().map(|row| (agreeing(row), row)).collect();
    // Stable: equally near ones stay in canonical order.
    near.sort_by_key(|&(count, _)| std::cmp::Reverse(count));
    let shown: Vec<String> =
        near.iter().take(NEAR_MAX).map(|(_, found)| format!("  nearest: {}", row(found, template))).collect();
    shown.join("\n")
}
