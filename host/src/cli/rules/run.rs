//! `inferwit rules run`: a rule set on facts from a file, once for each record.

use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::facts::{self, Record};
use super::{Params, Settings, Subject, report};
use crate::app::AppError;
use crate::cli::failure::WrongCall;
use crate::cli::output::Output;
use crate::cli::session::Session;
use crate::cli::{Outcome, Verdict};
use crate::infer::InferRequest;
use crate::plugin::{self, EvaluateOptions, Facts, OpenRules, RulesSignature, RunStatus, TraceLevel};

#[derive(Debug, Args)]
pub(in crate::cli) struct Run {
    /// A rule set file, or a registered rule set
    #[arg(value_name = "FILE or REF")]
    rule_set: String,
    /// The facts, as .json, .yaml or recorded .jsonl
    #[arg(long, value_name = "FILE")]
    facts: String,
    /// How much of the run the report tells; default: what the rule set says
    #[arg(long, value_enum, value_name = "LEVEL")]
    trace: Option<Level>,
    #[command(flatten)]
    params: Params,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Off,
    Decisions,
    Full,
}

impl Level {
    fn level(self) -> TraceLevel {
        match self {
            Self::Off => TraceLevel::Off,
            Self::Decisions => TraceLevel::Decisions,
            Self::Full => TraceLevel::Full,
        }
    }
}

impl Run {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        let mut subject = Subject::find(&app, &self.rule_set)?;
        let records = facts::read(&self.facts)?;
        let records = of_rule_set(records, &mut subject, session)?;
        let mut verdict = Verdict::Good;
        for (place, record) in records.iter().enumerate() {
            let rules = subject.open(&self.params.over(record))?;
            let outcome = evaluate(rules, record, self.trace.map(Level::level), &self.facts)?;
            if outcome.status == RunStatus::Error
                || (outcome.status == RunStatus::Limit && outcome.decisions.is_empty())
            {
                verdict = Verdict::Failed;
            }
            let text = outcome.report.as_deref().unwrap_or_default();
            if out.is_json() {
                out.text(text)?;
                continue;
            }
            if records.len() > 1 {
                let gap = if place == 0 { "" } else { "\n" };
                out.text(format_args!("{gap}{}", record.title()))?;
            }
            let report: Value = serde_json::from_str(text).context("read the report of the engine")?;
            report::told(&report, out)?;
        }
        Ok(verdict)
    }
}

/// The records of this rule set: a server records all that it runs into one file.
pub(super) fn of_rule_set(
    records: Vec<Record>,
    subject: &mut Subject,
    session: &Session,
) -> anyhow::Result<Vec<Record>> {
    // A rule set that cannot be loaded is told before any record is looked at.
    let signature = subject.open(&Settings::default())?.signature();
    let (records, others): (Vec<Record>, Vec<Record>) = records.into_iter().partition(|record| record.is_of(signature));
    let name = &signature.name;
    if records.is_empty() {
        let message = format!("no record is of rule set `{name}`");
        return Err(WrongCall::new(message, "name the file that was recorded with this rule set").into());
    }
    if !others.is_empty() {
        let message = format!("{} records of other rule sets are left out", others.len());
        session.note(&message, &format!("`rule_set` of a record says `{name}` where it is looked at"));
    }
    Ok(records)
}

/// Runs the rules on one record, with a report.
pub(super) fn evaluate(
    rules: &OpenRules,
    record: &Record,
    trace: Option<TraceLevel>,
    file: &str,
) -> anyhow::Result<plugin::Outcome> {
    let facts = columns(record, rules.signature(), file)?;
    let options = EvaluateOptions { trace, report: true, params: None };
    let (_, context) = InferRequest::new(Vec::new()).split();
    let outcome = rules.evaluate(&facts, &options, &Arc::new(context)).result;
    Ok(outcome.map_err(AppError::from)?)
}

/// The facts of a record as the rule set takes them.
pub(super) fn columns(record: &Record, signature: &RulesSignature, file: &str) -> anyhow::Result<Facts> {
    let facts = Facts::from_json(&record.facts, signature);
    facts.map_err(|error| {
        let place = if record.number > 1 { format!("{file}: record {}", record.number) } else { file.to_owned() };
        WrongCall::new(format!("{place}: {error}"), error.hint().unwrap_or_default()).into()
    })
}
