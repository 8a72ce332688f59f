//! Checks tensors against a list of expectations. What each kind of check looks at is in `check`.
//!
//! Each check names a tensor. A finding's subject is that tensor, and its data has the flat index, or the row, of the
//! first element that is not as expected, and how many there are in all.

use std::collections::BTreeSet;

use inferwit_plugin::{Diagnostic, Failure, Finding, Inputs, Request, Severity, Tensor, TensorSpec, Validator, export};
use schemars::JsonSchema;
use serde::Deserialize;

mod check;

use check::{Expectation, Offence};

/// What is expected of the tensors of a request.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[schemars(length(min = 1, max = 256))]
    pub checks: Vec<Check>,
}

/// One expectation, and what it means if a tensor is not as expected.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The tensor that is looked at.
    pub tensor: String,
    pub expect: Expectation,
    /// An error stops the request where the pipeline says `block`.
    #[serde(default)]
    pub severity: Level,
    /// The finding's code; left out, the kind of the check: `finite`, `range`, `shape`, `count`, `inside`.
    #[serde(default)]
    pub code: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Info,
    Warning,
    #[default]
    Error,
}

/// The validator under one configuration.
#[derive(Debug)]
pub struct Checks {
    checks: Vec<Check>,
}

impl Validator for Checks {
    type Config = Config;

    fn open(config: Config) -> Result<Self, Vec<Diagnostic>> {
        let mut diagnostics = Vec::new();
        if !(1..=256).contains(&config.checks.len()) {
            diagnostics.push(Diagnostic::error("invalid-value", "not between 1 and 256 checks").at("/checks"));
        }
        for (place, check) in config.checks.iter().enumerate() {
            if let Err(message) = check.expect.validate() {
                let path = format!("/checks/{place}/expect/{}", check.expect.code());
                diagnostics.push(Diagnostic::error("invalid-value", message).at(path));
            }
        }
        if diagnostics.is_empty() { Ok(Self { checks: config.checks }) } else { Err(diagnostics) }
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let others = self.checks.iter().filter_map(|check| check.expect.other_tensor());
        let names: BTreeSet<&str> = self.checks.iter().map(|check| check.tensor.as_str()).chain(others).collect();
        names.into_iter().map(TensorSpec::any).collect()
    }

    fn check(&self, inputs: Inputs, _request: &Request) -> Result<Vec<Finding>, Failure> {
        let mut findings = Vec::new();
        for check in &self.checks {
            let tensor = named(&inputs, &check.tensor)?;
            let other = check.expect.other_tensor().map(|name| named(&inputs, name)).transpose()?;
            if let Some(offence) = check.expect.look(tensor, other)? {
                findings.push(check.finding(&offence));
            }
        }
        Ok(findings)
    }
}

impl Check {
    fn finding(&self, offence: &Offence) -> Finding {
        let severity = match self.severity {
            Level::Info => Severity::Info,
            Level::Warning => Severity::Warning,
            Level::Error => Severity::Error,
        };
        let code = self.code.as_deref().unwrap_or(self.expect.code());
        Finding::new(severity, code, format!("`{}` {}", self.tensor, offence.message))
            .about(&self.tensor)
            .data(&serde_json::json!({ "index": offence.index, "count": offence.count }))
    }
}

fn named<'a>(inputs: &'a Inputs, name: &str) -> Result<&'a Tensor, Failure> {
    inputs.get(name).ok_or_else(|| Failure::invalid(format!("input `{name}` is missing")))
}

export! { validator: Checks, name: "checks" }

#[cfg(test)]
mod tests;
