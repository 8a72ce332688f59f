//! The lines of the report of rules, each with its bar and its numbers. Measures nothing.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::harness;

/// One workload's result.
pub(crate) struct Line {
    name: String,
    text: String,
    /// `None` without a bar.
    met: Option<bool>,
    numbers: Value,
}

impl Line {
    pub(crate) fn new(name: &str, text: String, met: Option<bool>, numbers: Value) -> Self {
        Self { name: name.to_owned(), text, met, numbers }
    }

    /// What did not run to its end, or gave a wrong answer, counts as a bar that was missed.
    pub(crate) fn failed(name: &str, error: &str) -> Self {
        Self::new(name, format!("FAILED: {error}"), Some(false), json!({"error": error}))
    }

    pub(crate) fn of(name: &str, result: Result<Self, String>) -> Self {
        result.unwrap_or_else(|error| Self::failed(name, &error))
    }
}

/// Prints the lines, keeps the numbers, and says whether every bar was met.
pub(crate) fn report(lines: &[Line]) -> ExitCode {
    let mut text = "rules: CPU time, min / median\n".to_owned();
    for line in lines {
        let met = match line.met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        text.push_str(&format!("{:<22} {:<6} {}\n", line.name, met, line.text));
    }
    let rows: Vec<Value> =
        lines.iter().map(|line| json!({"name": line.name, "met": line.met, "numbers": line.numbers})).collect();
    let kept = harness::keep(&json!({"title": "rules", "rows": rows}));
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    if let Err(error) = kept {
        let _ = writeln!(out, "{error}");
        return ExitCode::from(3);
    }
    if lines.iter().any(|line| line.met == Some(false)) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

pub(crate) fn min_and_median(values: Vec<f64>) -> (f64, f64) {
    let times = harness::Times::new(values);
    (times.quantile(0.0), times.median())
}

pub(crate) fn milliseconds(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1e3)
}
