//! `inferwit pipeline ..`: pipeline files checked, tested and drawn, and pipelines in the registry.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::artifact::{Archive, List, Show, added, would_add};
use super::failure::{self, WrongCall};
use super::output::Output;
use super::session::{Change, Session};
use super::{Outcome, Verdict};
use crate::app::{App, AppError, Target, TestResult};
use crate::name::Kind;
use crate::pipeline::document::Diagnostic;
use crate::pipeline::graph;
use crate::pipeline::plan::Plan;
use crate::pipeline::spec::PipelineSpec;

#[derive(Debug, Subcommand)]
pub(super) enum PipelineCommand {
    /// Checks pipeline files against what is registered, as a deployment would, and says all that is wrong.
    ///
    /// References, cycles, names, datatypes, shapes where known, configuration and grants: each problem with its file,
    /// line and column. Exit code 1 if there is any.
    #[command(after_help = "\
Example:
  inferwit pipeline check config/pipelines/photo-check.yaml

Prints a line for each file that is right; problems go to standard error, or with --json to the data.")]
    Check(Check),
    /// Runs the golden tests of a pipeline, through the pipeline itself.
    #[command(after_help = "\
Example:
  inferwit pipeline test config/pipelines/photo-check.yaml --filter 'one face'

Prints a line for each test, with what differs; exit code 1 if one fails.")]
    Test(Test),
    /// Draws a pipeline as text that Markdown viewers and Graphviz understand.
    #[command(after_help = "\
Example:
  inferwit pipeline graph photo-check --format dot | dot -Tsvg > photo-check.svg

Prints the drawing: inputs, steps, outputs, and which tensor goes where.")]
    Graph(Graph),
    /// Prints the JSON Schema of pipeline files, for editors.
    #[command(after_help = "\
Example:
  inferwit pipeline schema > pipeline.schema.json

Prints the schema of pipeline/v1.")]
    Schema,
    /// Registers a pipeline, after it was checked against what is registered.
    ///
    /// The files of its tests are kept with it, so that each deployment can run them.
    #[command(after_help = "\
Example:
  inferwit pipeline add config/pipelines/photo-check.yaml

Prints what was registered, with size and digest.")]
    Add(Add),
    /// Lists the pipelines, all versions that are not archived.
    #[command(after_help = "\
Example:
  inferwit pipeline list

Prints name, version, number of steps, size, digest and time, a line each.")]
    List(List),
    /// Shows one pipeline: what the registry knows of it, and its text as it was registered.
    #[command(after_help = "\
Example:
  inferwit pipeline show photo-check@^1

Prints what the registry knows of it.")]
    Show(Show),
    /// Takes a version out of what names and ranges mean; what is deployed stays so.
    #[command(after_help = "\
Example:
  inferwit pipeline archive photo-check@1.0.0

Prints what was archived.")]
    Archive(Archive),
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Pipeline files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Test {
    /// A pipeline file, or what is registered
    #[arg(value_name = "FILE or REF", value_parser = Target::parse)]
    target: Target,
    /// Only tests whose name holds this
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    #[command(flatten)]
    fixtures: Fixtures,
}

#[derive(Debug, Args)]
pub(super) struct Graph {
    /// A pipeline file, or what is registered
    #[arg(value_name = "FILE or REF", value_parser = Target::parse)]
    target: Target,
    /// What the drawing is for
    #[arg(long, value_enum, default_value_t = Format::Mermaid)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Mermaid,
    Dot,
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The pipeline, as .yaml
    file: PathBuf,
    #[command(flatten)]
    fixtures: Fixtures,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
struct Fixtures {
    /// What `${fixtures}` stands for in tests; default: `fixtures` in the data folder
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
}

impl PipelineCommand {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        match self {
            Self::Check(check) => check.run(session, out),
            Self::Test(test) => test.run(session, out),
            Self::Graph(graph) => graph.run(session, out),
            Self::Schema => {
                out.document(&PipelineSpec::json_schema_value())?;
                Ok(Verdict::Good)
            }
            Self::Add(add) => add.run(session, out),
            Self::List(list) => list.run(Kind::Pipeline, session, out),
            Self::Show(show) => show.run(Kind::Pipeline, session, out),
            Self::Archive(archive) => archive.run(Kind::Pipeline, session, out),
        }
    }
}

fn plan(app: &App, target: &Target) -> Result<(Plan, usize), AppError> {
    let assembly = app.gather(target, None)?;
    Ok((app.plan(&assembly)?, assembly.spec().tests.len()))
}

impl Check {
    fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        let mut reports = Vec::new();
        let mut verdict = Verdict::Good;
        let mut problems = String::new();
        for file in self.files {
            let shown = file.display().to_string();
            let progress = session.progress(format!("check {shown}"));
            let outcome = plan(&app, &Target::PipelineFile(file));
            drop(progress);
            match outcome {
                Ok((plan, tests)) => {
                    let (name, version, steps) = (&plan.name, &plan.version, plan.steps.len());
                    if !out.is_json() {
                        out.text(format_args!("{shown}: {name}@{version} is valid: {steps} steps, {tests} tests"))?;
                    }
                    reports.push(
                        json!({"file": shown, "valid": true, "pipeline": name, "version": version, "diagnostics": []}),
                    );
                }
                Err(AppError::Pipeline(diagnostics)) => {
                    verdict = Verdict::Failed;
                    let found: Vec<Value> = diagnostics.iter().map(diagnostic).collect();
                    reports.push(json!({"file": shown, "valid": false, "diagnostics": found}));
                    if !problems.is_empty() {
                        problems.push('\n');
                    }
                    problems.push_str(&session.rendered(&AppError::Pipeline(diagnostics).into()));
                }
                Err(error) => {
                    session.tell(&problems);
                    return Err(error.into());
                }
            }
        }
        if out.is_json() {
            out.json(&reports)?;
        } else {
            session.tell(&problems);
        }
        Ok(verdict)
    }
}

fn diagnostic(found: &Diagnostic) -> Value {
    json!({
        "code": found.code, "message": found.message, "hint": found.hint, "file": found.file.as_ref(),
        "line": found.position.map(|position| position.line), "column": found.position.map(|position| position.column),
        "path": found.path,
    })
}

impl Test {
    fn run(&self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        let progress = session.progress("load the pipeline");
        let assembly = app.gather(&self.target, self.fixtures.fixtures.as_deref())?;
        let generation = app.load(&assembly)?;
        drop(progress);
        let results = app.test(&assembly, &generation, &self.filter);
        if results.is_empty() && !self.filter.is_empty() {
            let names: Vec<String> = assembly.spec().tests.iter().map(|test| format!("`{}`", test.name)).collect();
            let hint =
                if names.is_empty() { "it has no tests".to_owned() } else { format!("there are {}", names.join(", ")) };
            return Err(WrongCall::new(format!("no test's name holds `{}`", self.filter), hint).into());
        }
        let failed = results.iter().filter(|result| !result.passed).count();
        if out.is_json() {
            let pipeline = assembly.bundle.pipeline_name();
            let version = assembly.bundle.pipeline_version();
            out.json(&json!({"pipeline": pipeline, "version": version, "failed": failed, "tests": results}))?;
        } else {
            told(&results, out)?;
            let label = format!("{}@{}", assembly.bundle.pipeline_name(), assembly.bundle.pipeline_version());
            out.text(format_args!("\n{label}: {} of {} tests passed", results.len() - failed, results.len()))?;
        }
        Ok(if failed == 0 { Verdict::Good } else { Verdict::Failed })
    }
}

fn told(results: &[TestResult], out: &mut Output<'_>) -> anyhow::Result<()> {
    for TestResult { name, passed, differences } in results {
        let mark = out.mark(if *passed { "ok    " } else { "FAILED" }, *passed);
        out.text(format_args!("{mark}  {name}"))?;
        for difference in differences {
            out.text(format_args!("        {difference}"))?;
        }
    }
    Ok(())
}

impl Graph {
    fn run(&self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        let progress = session.progress("load the pipeline");
        let (plan, _) = plan(&app, &self.target)?;
        drop(progress);
        let (format, text) = match self.format {
            Format::Mermaid => ("mermaid", graph::mermaid(&plan)),
            Format::Dot => ("dot", graph::dot(&plan)),
        };
        if out.is_json() {
            out.json(&json!({"pipeline": plan.name, "version": plan.version, "format": format, "text": text}))?;
        } else {
            out.text(text.trim_end())?;
        }
        Ok(Verdict::Good)
    }
}

impl Add {
    fn run(&self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        let fixtures = self.fixtures.fixtures.as_deref();
        let progress = session.progress(format!("check {}", self.file.display()));
        if self.change.dry_run {
            let assembly = app.gather(&Target::PipelineFile(self.file.clone()), fixtures)?;
            let plan = app.plan(&assembly)?;
            drop(progress);
            let report = json!({"name": plan.name, "version": plan.version, "steps": plan.steps.len()});
            return would_add(Kind::Pipeline, &format!("{}@{}", plan.name, plan.version), &report, out);
        }
        let outcome = app.add_pipeline(&self.file, fixtures)?;
        drop(progress);
        self.change.log(session, "add", &outcome.artifact().label());
        added(&outcome, out)
    }
}

impl Session {
    fn rendered(&self, error: &anyhow::Error) -> String {
        failure::rendered(error, self.has_error_colour())
    }
}
