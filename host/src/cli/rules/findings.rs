//! What an engine finds in a rule set, told with its place and the line in which it stands. Prints nothing.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::app::AppError;
use crate::cli::failure::RefusedRules;
use crate::plugin::{Diagnostic, PluginError, Severity};

/// Longer lines are cut around the place.
const COLUMNS_MAX: usize = 120;
/// How many columns stay before the place in a line that is cut.
const COLUMNS_BEFORE: usize = 60;

/// An error of loading a rule set; what the engine found in it, with the lines where it stands. A parameter stands in no
/// line: `origin` says what has set it.
pub(super) fn refused(
    label: &str,
    source: &[u8],
    error: PluginError,
    origin: impl Fn(&str) -> String,
) -> anyhow::Error {
    let PluginError::RuleSet { diagnostics, .. } = &error else { return AppError::Plugin(error).into() };
    let errors = diagnostics.iter().filter(|found| found.severity == Severity::Error);
    let told = |found: &Diagnostic| match param(found) {
        Some(name) => format!("{label}: {}: {} ({})", origin(name), found.message, found.code),
        None => message(label, source, found),
    };
    let parts = errors.map(|found| (told(found), found.hint.clone())).collect();
    RefusedRules { label: label.to_owned(), parts }.into()
}

/// The parameter whose value does not suit.
fn param(found: &Diagnostic) -> Option<&str> {
    found.path.as_deref().filter(|_| found.position.is_none())?.strip_prefix("/params/")
}

/// As `refused`, for what the application did with a rule set.
pub(super) fn refused_by_app(label: &str, source: &[u8], error: AppError) -> anyhow::Error {
    match error {
        AppError::Plugin(error) => refused(label, source, error, |name| format!("params.{name}")),
        error => error.into(),
    }
}

/// A finding without its hint: place, message, code, rule, and the line with a caret under the column.
pub(super) fn message(label: &str, source: &[u8], found: &Diagnostic) -> String {
    let mut text = label.to_owned();
    if let Some((line, column)) = found.position {
        add(&mut text, format_args!(":{line}:{column}"));
    } else if let Some(path) = found.path.as_deref().filter(|path| !path.is_empty()) {
        add(&mut text, format_args!(": at `{path}`"));
    }
    add(&mut text, format_args!(": {} ({})", found.message, found.code));
    if let Some(rule) = &found.rule {
        add(&mut text, format_args!("\n  in rule `{rule}`"));
    }
    if let Some((line, column)) = found.position {
        text.push_str(&excerpt(source, line, column).unwrap_or_default());
    }
    text
}

fn excerpt(source: &[u8], line: u32, column: u32) -> Option<String> {
    let source = String::from_utf8_lossy(source);
    let written = source.lines().nth(line.checked_sub(1)? as usize)?;
    let place = (column.checked_sub(1)? as usize).min(written.chars().count());
    let skipped = if written.chars().count() > COLUMNS_MAX { place.saturating_sub(COLUMNS_BEFORE) } else { 0 };
    // A tab is as wide as a blank here, so that the caret stands where it belongs.
    let shown: String = written
        .chars()
        .skip(skipped)
        .take(COLUMNS_MAX)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    let number = line.to_string();
    let (margin, caret) = (" ".repeat(number.len()), " ".repeat(place - skipped));
    Some(format!("\n{margin} |\n{number} | {}\n{margin} | {caret}^", shown.trim_end()))
}

/// A finding for programs.
pub(super) fn as_json(found: &Diagnostic) -> Value {
    json!({
        "severity": found.severity, "code": found.code, "message": found.message, "hint": found.hint,
        "line": found.position.map(|(line, _)| line), "column": found.position.map(|(_, column)| column),
        "path": found.path, "rule": found.rule,
    })
}

fn add(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(position: Option<(u32, u32)>, path: Option<&str>, rule: Option<&str>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code: "unknown-field".to_owned(),
            message: "`a` has no field `x`".to_owned(),
            position,
            path: path.map(str::to_owned),
            rule: rule.map(str::to_owned),
            hint: None,
        }
    }

    fn check(source: &str, found: &Diagnostic, expected: &str) {
        assert_eq!(message("a.yaml", source.as_bytes(), found), expected);
    }

    #[test]
    fn a_finding_stands_with_its_line() {
        let source = "rules:\n\t- {if: a.x > 1}\n";
        check(
            source,
            &found(Some((2, 9)), None, Some("r")),
            "a.yaml:2:9: `a` has no field `x` (unknown-field)\n  in rule `r`\n  |\n2 |  - {if: a.x > 1}\n  |         ^",
        );
    }

    #[test]
    fn a_finding_without_a_place_has_its_path() {
        check(
            "",
            &found(None, Some("/params/cut"), None),
            "a.yaml: at `/params/cut`: `a` has no field `x` (unknown-field)",
        );
        check("", &found(None, None, None), "a.yaml: `a` has no field `x` (unknown-field)");
        check("one", &found(Some((9, 1)), None, None), "a.yaml:9:1: `a` has no field `x` (unknown-field)");
    }

    #[test]
    fn the_end_of_a_line_and_characters_of_several_bytes_are_places() {
        check(
            "\u{e9}\u{e9}",
            &found(Some((1, 3)), None, None),
            "a.yaml:1:3: `a` has no field `x` (unknown-field)\n  |\n1 | \u{e9}\u{e9}\n  |   ^",
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}HERE{}", "a".repeat(200), "b".repeat(200));
        let text = message("a.yaml", line.as_bytes(), &found(Some((1, 201)), None, None));
        let lines: Vec<&str> = text.lines().skip(2).collect();
        let (shown, caret) = (lines[0].strip_prefix("1 | ").unwrap(), lines[1].strip_prefix("  | ").unwrap());
        assert_eq!(shown.chars().count(), COLUMNS_MAX);
        assert!(shown[caret.len() - 1..].starts_with("HERE"), "{text}");
    }
}
