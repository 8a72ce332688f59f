//! `inferwit rules test`: the tests that stand in a rule set, run in the engine, again and again if wanted.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use serde_json::json;

use super::findings::refused_by_app;
use crate::app::App;
use crate::cli::failure::{self, WrongCall};
use crate::cli::output::Output;
use crate::cli::session::Session;
use crate::cli::{Outcome, Verdict};
use crate::plugin::TestResult;

/// How often a file is looked at that may change.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(in crate::cli) struct Test {
    /// A rule set file, or a registered rule set
    #[arg(value_name = "FILE or REF")]
    rule_set: String,
    /// Only tests whose name holds this
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Run them again whenever the file changes, until interrupted
    #[arg(long)]
    watch: bool,
}

impl Test {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        if !self.watch {
            return self.once(&app, session, out);
        }
        let path = Path::new(&self.rule_set);
        if !path.is_file() {
            let message = format!("`{}` is no file, and only a file can be watched", self.rule_set);
            return Err(WrongCall::new(message, "leave out --watch, or name the file").into());
        }
        loop {
            let seen = stamp(path);
            // What is wrong with the file now may be right after the next change.
            if let Err(error) = self.once(&app, session, out) {
                session.tell(&failure::rendered(&error, session.has_error_colour()));
            }
            out.flush()?;
            while stamp(path) == seen {
                thread::sleep(WATCH_INTERVAL);
            }
            if !out.is_json() {
                out.text(format_args!("\n{} has changed", self.rule_set))?;
            }
        }
    }

    fn once(&self, app: &App, session: &Session, out: &mut Output<'_>) -> Outcome {
        let (label, source) = app.rules_source(&self.rule_set)?;
        let progress = session.progress(format!("test {label}"));
        let engine = app.rules_engine()?;
        let begun = Instant::now();
        let results = engine.test_rules(&source, &self.filter, app.rules_limits());
        let elapsed = begun.elapsed();
        drop(progress);
        let results = results.map_err(|error| refused_by_app(&label, &source, error.into()))?;
        if results.is_empty() && !self.filter.is_empty() {
            let hint = "leave out --filter to see all names";
            return Err(WrongCall::new(format!("no test's name holds `{}`", self.filter), hint).into());
        }
        let failed = results.iter().filter(|result| !result.passed).count();
        if out.is_json() {
            let elapsed_ms = elapsed.as_secs_f64() * 1e3;
            out.json(&json!({"rule_set": label, "failed": failed, "elapsed_ms": elapsed_ms, "tests": results}))?;
        } else {
            told(&results, out)?;
            let passed = results.len() - failed;
            let time = format!("{:.1} ms", elapsed.as_secs_f64() * 1e3);
            out.text(format_args!("\n{label}: {passed} of {} tests passed in {time}", results.len()))?;
        }
        Ok(if failed == 0 { Verdict::Good } else { Verdict::Failed })
    }
}

/// What changes when somebody writes a file; `None` while it is not there.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Each test in a line, under it what was expected and what was found instead.
fn told(results: &[TestResult], out: &mut Output<'_>) -> anyhow::Result<()> {
    for TestResult { name, passed, message } in results {
        let mark = out.mark(if *passed { "ok    " } else { "FAILED" }, *passed);
        out.text(format_args!("{mark}  {name}"))?;
        for line in message.lines() {
            out.text(format_args!("        {line}"))?;
        }
    }
    Ok(())
}
