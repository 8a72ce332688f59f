//! `inferwit rules ..`: rule sets checked, tested, run and explained before they are registered, and rule sets in the registry.
//!
//! Every command loads a rule set in the engine, in its sandbox, as a server would. Nothing here reads a rule.

mod add;
mod check;
mod diff;
mod explain;
mod facts;
mod findings;
mod plan;
mod report;
mod run;
mod test;

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::artifact::{Archive, List, Show};
use super::model::key_value;
use super::output::Output;
use super::session::Session;
use super::{Outcome, Verdict};
use crate::app::App;
use crate::name::Kind;
use crate::plugin::{Isolation, Limits, OpenRules, RuleSetSource, RulesUsage};
use facts::Record;
use findings::refused;

/// The JSON Schema of rule set files, as the engine's own tests hold it to what the engine reads.
const SCHEMA: &str = include_str!("../../../plugins/rules/src/json_schema.json");

#[derive(Debug, Subcommand)]
pub(super) enum RulesCommand {
    /// Checks rule set files and says all that is wrong or doubtful, each with its place in the file.
    ///
    /// Exit code 1 if there is an error, with `--deny-warnings` also if there is a warning.
    #[command(after_help = "\
Example:
  inferwit rules check loan.rules.yaml --deny-warnings

Prints a line for each file that is right; what was found goes to standard error, or with --json to the data.")]
    Check(check::Check),
    /// Runs the tests that stand in a rule set file, in the engine that would serve it.
    #[command(after_help = "\
Example:
  inferwit rules test loan.rules.yaml --filter 'watch list' --watch

Prints a line for each test, with what differs, then how many passed in which time; exit code 1 if one fails.")]
    Test(test::Test),
    /// Runs a rule set on facts from a file.
    ///
    /// The file is JSON or YAML, `{template: [{field: value, ..}, ..]}`, or JSON lines as `rules.record` writes them: then
    /// each record of this rule set is run, with the parameters that it names.
    #[command(after_help = "\
Example:
  inferwit rules run loan.rules.yaml --facts applicant.json --param pd_cut=0.5

Prints decisions with their messages, output facts, the reasons of each decision and what was counted; with --json the \
report (rules-report/v1), a line for each record. Exit code 1 if a run ends with an error, or at a limit without an answer.")]
    Run(run::Run),
    /// Says why a fact or a decision holds, or what keeps it from holding.
    ///
    /// A query is `template(field=value, ..)` or `decision(code=.., subject=..)`; it may name any of the fields.
    #[command(after_help = "\
Example:
  inferwit rules explain loan.rules.yaml \"decision(code='RISK')\" --facts applicant.json

Prints what it rests on as a tree, down to the facts that were given; or the rules that could give it, nearest first, \
each with the condition that does not hold.")]
    Explain(explain::Explain),
    /// Shows how the rules are joined: order, hash probes, scans, estimates and cross products.
    #[command(after_help = "\
Example:
  inferwit rules plan loan.rules.yaml

Prints the strata of rules that derive, the order of those that act, and the joins of each.")]
    Plan(plan::Plan),
    /// Runs two versions of a rule set on recorded facts and says which decisions change.
    ///
    /// A decision has changed if a subject gets another decision or code; messages and data are not compared.
    #[command(after_help = "\
Example:
  inferwit rules diff loan@production loan.rules.yaml --facts recorded.jsonl

Prints the changes of each record, then how many records changed and in what way; with --fail-on-change exit code 1 if any did.")]
    Diff(diff::Diff),
    /// Prints the JSON Schema of rule set files, for editors.
    #[command(after_help = "\
Example:
  inferwit rules schema > rules.schema.json

Prints the schema of rules/v1.")]
    Schema,
    /// Registers a rule set that has no error and whose tests pass.
    ///
    /// With `--deploy` the pipelines of that environment whose reference to it admits the version are deployed again; each
    /// that fails its tests stays as it was.
    #[command(after_help = "\
Example:
  inferwit rules add loan.rules.yaml --deploy dev --reason 'lower cut'

Prints what was registered, with size and digest, and a line for each pipeline that follows.")]
    Add(add::Add),
    /// Lists the rule sets, all versions that are not archived.
    #[command(after_help = "\
Example:
  inferwit rules list

Prints name, version, number of rules, size, digest and time, a line each.")]
    List(List),
    /// Shows one rule set: what the registry knows of it, and its text as it was registered.
    #[command(after_help = "\
Example:
  inferwit rules show loan@^3

Prints what the registry knows of it.")]
    Show(Show),
    /// Takes a version out of what names and ranges mean; what is deployed stays so.
    #[command(after_help = "\
Example:
  inferwit rules archive loan@3.2.0

Prints what was archived.")]
    Archive(Archive),
}

impl RulesCommand {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        match self {
            Self::Check(check) => check.run(session, out),
            Self::Test(test) => test.run(session, out),
            Self::Run(run) => run.run(session, out),
            Self::Explain(explain) => explain.run(session, out),
            Self::Plan(plan) => plan.run(session, out),
            Self::Diff(diff) => diff.run(session, out),
            Self::Schema => {
                out.text(SCHEMA.trim_end())?;
                Ok(Verdict::Good)
            }
            Self::Add(add) => add.run(session, out),
            Self::List(list) => list.run(Kind::Rules, session, out),
            Self::Show(show) => show.run(Kind::Rules, session, out),
            Self::Archive(archive) => archive.run(Kind::Rules, session, out),
        }
    }
}

/// Parameters of a rule set as they are given in a call.
#[derive(Debug, Args)]
struct Params {
    /// A parameter of the rule set, as `pd_cut=0.5` or, for a text that looks like a number, `'zip="01234"'`; may be given again
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = key_value)]
    params: Vec<(String, String)>,
}

impl Params {
    /// These, over those of a record.
    fn over(&self, record: &Record) -> Settings {
        let mut values = record.params.clone();
        for (name, text) in &self.params {
            let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
            values.insert(name.clone(), value);
        }
        let called = self.params.iter().map(|(name, _)| name.clone()).collect();
        Settings { values, called, record: record.title() }
    }
}

/// Values of parameters, and where they come from.
#[derive(Default)]
struct Settings {
    values: Map<String, Value>,
    /// Those that the call sets.
    called: Vec<String>,
    /// What sets the others.
    record: String,
}

impl Settings {
    /// What has set a parameter.
    fn origin(&self, name: &str) -> String {
        match self.called.iter().any(|called| called == name) {
            true => format!("--param {name}"),
            false => format!("params.{name} of {}", self.record),
        }
    }
}

/// A rule set to run: its text, and the engine in which it was loaded last.
struct Subject {
    app: Arc<App>,
    /// The file, or name and version.
    label: String,
    source: Vec<u8>,
    opened: Option<(Map<String, Value>, OpenRules)>,
}

impl Subject {
    fn find(app: &Arc<App>, text: &str) -> anyhow::Result<Self> {
        let (label, source) = app.rules_source(text)?;
        Ok(Self { app: Arc::clone(app), label, source, opened: None })
    }

    /// The rule set with these parameters.
    ///
    /// Nobody waits for a run of its author as clients wait for theirs: it has the time that tools have.
    fn open(&mut self, settings: &Settings) -> anyhow::Result<&OpenRules> {
        let params = &settings.values;
        let is_open = self.opened.as_ref().is_some_and(|(opened, _)| opened == params);
        if !is_open {
            let limits = self.app.rules_limits();
            let usage = RulesUsage {
                step: None,
                rule_set: RuleSetSource::Text(self.source.clone().into()),
                config: self.app.rules_config(params),
                isolation: Isolation::Warm,
                limits: Limits { deadline: limits.tools_deadline, ..limits },
            };
            let engine = self.app.rules_engine()?;
            let origin = |name: &str| settings.origin(name);
            let opened = engine.rules(usage).map_err(|error| refused(&self.label, &self.source, error, origin))?;
            self.opened = Some((params.clone(), opened));
        }
        Ok(&self.opened.as_ref().expect("it was opened just now").1)
    }
}
