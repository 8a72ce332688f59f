//! How a run ended: an answer with its decisions as JSON, or an error. Knows no tensor.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::error::{PipelineError, RuleFailure};
use super::super::plan::PlanStep;
use super::super::step::Given;
use super::RulesStep;
use crate::plugin::{LimitReached, Outcome, RunStatus, TIME_LIMIT};
use crate::telemetry::sanitized;

/// So much of what an engine wrote is shown in an error.
const SHOWN_BYTES_MAX: usize = 500;
const NAMES_SHOWN_MAX: usize = 5;

/// What of a report the host looks at.
#[derive(Deserialize)]
struct Report<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<ReportedError>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReportedError {
    code: String,
    rule: Option<String>,
    message: String,
}

impl RulesStep {
    /// What the step gives for this outcome.
    ///
    /// # Errors
    /// A run that erred or reached a limit, unless the rule set decides what is to be done then.
    pub(super) fn given(&self, step: &PlanStep, outcome: &Outcome, explains: bool) -> Result<Given, PipelineError> {
        let failed = |failure, problem| PipelineError::RuleSet {
            step: step.name.to_string(),
            rule_set: self.rule_set.to_string(),
            plugin: self.engine.clone(),
            failure,
            problem,
        };
        match (outcome.status, &outcome.limit) {
            (RunStatus::Ok, _) => {}
            (RunStatus::Limit, Some(limit)) if limit.name == TIME_LIMIT => {
                let is_requests = limit.is_requests_time;
                let failure = if is_requests { RuleFailure::RequestTime } else { RuleFailure::StepTime };
                return Err(failed(failure, self.limit_text(limit)));
            }
            // Decisions beside a limit are the rule set's own answer to it.
            (RunStatus::Limit, _) if !outcome.decisions.is_empty() => {}
            (RunStatus::Limit, limit) => {
                let problem = limit.as_ref().map_or_else(|| "reached a limit".to_owned(), |it| self.limit_text(it));
                return Err(failed(RuleFailure::Limit, problem));
            }
            (RunStatus::Error, _) => return Err(failed(RuleFailure::Error, error_text(outcome))),
        }
        let output =
            |problem| PipelineError::Output { step: step.name.to_string(), plugin: self.engine.clone(), problem };
        let is_read = |name: &str| step.outputs.iter().any(|output| output.name == name && output.is_read);
        Ok(Given {
            outputs: self.outputs.tensors(outcome, is_read).map_err(output)?,
            decided: Some(decided(outcome, explains).map_err(output)?),
            ..Given::default()
        })
    }

    fn limit_text(&self, limit: &LimitReached) -> String {
        let known = |&rule: &u32| self.rule_ids.get(rule as usize).map(|id| format!("`{id}`"));
        let rules: Vec<String> = limit.rules.iter().take(NAMES_SHOWN_MAX).filter_map(known).collect();
        let mut text = format!("reached its limit `{}` of {}", limit.name, limit.value);
        if !rules.is_empty() {
            text.push_str(" in ");
            text.push_str(&rules.join(", "));
        }
        text
    }
}

fn error_text(outcome: &Outcome) -> String {
    let report = outcome.report.as_deref().and_then(|report| serde_json::from_str::<Report<'_>>(report).ok());
    let Some(error) = report.and_then(|report| report.error) else { return "failed".to_owned() };
    let rule = error.rule.map_or_else(String::new, |rule| format!(" in rule `{rule}`"));
    format!(
        "failed{rule}: {} ({})",
        sanitized(&error.message, SHOWN_BYTES_MAX),
        sanitized(&error.code, SHOWN_BYTES_MAX)
    )
}

/// `{status, result, report?}` as JSON text.
fn decided(outcome: &Outcome, explains: bool) -> Result<String, String> {
    let status = outcome.status.as_str();
    let report = outcome.report.as_deref();
    let read = report.map(serde_json::from_str::<Report<'_>>).transpose();
    let read = read.map_err(|error| format!("a report that is not JSON: {error}"))?;
    let result = match read.as_ref().and_then(|read| read.result) {
        Some(result) => result.get().to_owned(),
        None => result_json(outcome).to_string(),
    };
    match report.filter(|_| explains) {
        Some(report) => Ok(format!(r#"{{"status":"{status}","result":{result},"report":{report}}}"#)),
        None => Ok(format!(r#"{{"status":"{status}","result":{result}}}"#)),
    }
}

fn result_json(outcome: &Outcome) -> Value {
    let decision = |decision: &crate::plugin::RuleDecision| {
        let data = decision.data.as_ref().map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data)));
        json!({
            "subject": decision.subject, "decision": decision.decision, "code": decision.code,
            "message": decision.message, "data": data,
        })
    };
    outcome.decisions.iter().map(decision).collect()
}
