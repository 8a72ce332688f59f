//! `inferwit rules check`: all that is wrong or doubtful in rule set files. Runs none of their tests.

use clap::Args;
use serde_json::{Map, Value, json};

use super::findings::{as_json, message};
use crate::app::{App, AppError};
use crate::cli::failure::{self, Word};
use crate::cli::output::Output;
use crate::cli::session::Session;
use crate::cli::{Outcome, Verdict};
use crate::plugin::{Diagnostic, PluginError, Severity};

#[derive(Debug, Args)]
pub(in crate::cli) struct Check {
    /// Rule set files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Fail on warnings too
    #[arg(long)]
    deny_warnings: bool,
}

/// What was found in one file.
struct Checked {
    /// Name, version and the number of rules, if it can be loaded.
    loaded: Option<(String, String, usize)>,
    diagnostics: Vec<Diagnostic>,
}

impl Check {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        let (mut reports, mut told, mut verdict) = (Vec::new(), String::new(), Verdict::Good);
        for file in &self.files {
            let (label, source) = app.rules_source(file)?;
            let progress = session.progress(format!("check {label}"));
            let checked = checked(&app, &source);
            drop(progress);
            let checked = match checked {
                Ok(checked) => checked,
                Err(error) => {
                    session.tell(&told);
                    return Err(error.into());
                }
            };
            if self.is_failed(&checked) {
                verdict = Verdict::Failed;
            }
            if out.is_json() {
                reports.push(report(&label, &checked));
                continue;
            }
            if let Some(line) = checked.line(&label) {
                out.text(line)?;
            }
            for found in &checked.diagnostics {
                if !told.is_empty() {
                    told.push('\n');
                }
                let message = message(&label, &source, found);
                failure::told_as(word(found), &mut told, &message, found.hint.as_deref(), session.has_error_colour());
            }
        }
        if out.is_json() {
            out.json(&reports)?;
        } else {
            session.tell(&told);
        }
        Ok(verdict)
    }

    fn is_failed(&self, checked: &Checked) -> bool {
        let has_warnings = checked.diagnostics.iter().any(|found| found.severity == Severity::Warning);
        checked.loaded.is_none() || (self.deny_warnings && has_warnings)
    }
}

fn checked(app: &App, source: &[u8]) -> Result<Checked, AppError> {
    match app.open_rules(source, &Map::new()) {
        Ok(opened) => {
            let signature = opened.signature();
            let loaded = (signature.name.clone(), signature.version.clone(), signature.rules.len());
            Ok(Checked { loaded: Some(loaded), diagnostics: opened.warnings().to_vec() })
        }
        Err(AppError::Plugin(PluginError::RuleSet { diagnostics, .. })) => Ok(Checked { loaded: None, diagnostics }),
        Err(error) => Err(error),
    }
}

impl Checked {
    fn line(&self, label: &str) -> Option<String> {
        let (name, version, rules) = self.loaded.as_ref()?;
        let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
        let (rules, warnings) = (count(*rules, "rule"), count(self.diagnostics.len(), "warning"));
        Some(format!("{label}: {name}@{version} is valid: {rules}, {warnings}"))
    }
}

fn word(found: &Diagnostic) -> Word {
    match found.severity {
        Severity::Error => Word::Error,
        Severity::Warning | Severity::Info => Word::Warning,
    }
}

fn report(label: &str, checked: &Checked) -> Value {
    let loaded = checked.loaded.as_ref();
    json!({
        "file": label, "valid": loaded.is_some(),
        "rule_set": loaded.map(|(name, ..)| name), "version": loaded.map(|(_, version, _)| version),
        "diagnostics": checked.diagnostics.iter().map(as_json).collect::<Vec<_>>(),
    })
}
