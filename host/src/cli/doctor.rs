//! `inferwit doctor`: what this machine has of what the server needs, where it was looked for, and what is missing.

use std::fs;
use std::path::Path;

use clap::Args;
use serde::Serialize;
use time::OffsetDateTime;

use super::output::{Output, size};
use super::session::Session;
use super::{Outcome, Verdict};
use crate::app::App;
use crate::config::Config;
use crate::registry::{Registry, RegistryError, RegistryPaths, SCHEMA_VERSION, sqlite_version};
use crate::telemetry::chain;

/// Looks for everything that a server needs, and says where, what was found and what is missing.
///
/// It makes nothing but a file in the data folder, or in the one around it, that is gone at once. Exit code 1 if something needed is missing.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  inferwit doctor

Prints a line for each thing: `ok`, `note` for what is missing but not needed, `MISSING` for what is, with a hint.")]
pub(super) struct Doctor {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// Works without it.
    Note,
    Missing,
}

#[derive(Debug, Serialize)]
struct Finding {
    state: State,
    what: &'static str,
    detail: String,
    hint: Option<String>,
}

impl Finding {
    fn ok(what: &'static str, detail: impl Into<String>) -> Self {
        Self { state: State::Ok, what, detail: detail.into(), hint: None }
    }

    fn note(what: &'static str, detail: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
        Self { state: State::Note, what, detail: detail.into(), hint: hint.into() }
    }

    fn missing(what: &'static str, detail: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
        Self { state: State::Missing, what, detail: detail.into(), hint: hint.into() }
    }
}

impl Doctor {
    pub(super) fn run(self, session: &Session, out: &mut Output<'_>) -> Outcome {
        let app = session.app()?;
        let config = app.config();
        let mut findings = vec![match session.config_file() {
            Some(file) => Finding::ok("configuration", format!("`{}`", file.display())),
            None => Finding::ok("configuration", "no file: defaults, variables and flags"),
        }];
        findings.push(data_folder(&config.data_dir));
        findings.push(registry(config));
        findings.push(Finding::ok("SQLite", format!("{}, built in", sqlite_version())));
        findings.extend(backend(&app));
        findings.push(engine(&app));
        findings.push(rules_engine());
        findings.push(cache("compiled plugins", &config.data_dir.join("compiled")));
        findings.push(cache("optimised models", &config.data_dir.join("optimized")));
        told(&findings, out)?;
        let is_missing = findings.iter().any(|finding| finding.state == State::Missing);
        Ok(if is_missing { Verdict::Failed } else { Verdict::Good })
    }
}

fn told(findings: &[Finding], out: &mut Output<'_>) -> anyhow::Result<()> {
    if out.is_json() {
        return out.json(&findings);
    }
    for finding in findings {
        let (word, is_good) = match finding.state {
            State::Ok => ("ok     ", true),
            State::Note => ("note   ", true),
            State::Missing => ("MISSING", false),
        };
        out.text(format_args!("{}  {:<17}  {}", out.mark(word, is_good), finding.what, finding.detail))?;
        if let Some(hint) = &finding.hint {
            out.text(format_args!("{:>28}hint: {hint}", ""))?;
        }
    }
    Ok(())
}

fn data_folder(folder: &Path) -> Finding {
    const WHAT: &str = "data folder";
    let shown = format!("`{}`", folder.display());
    // Where it is not there yet, what matters is whether it can be made.
    let Some(place) = folder.ancestors().find(|place| place.exists()) else {
        return Finding::note(WHAT, format!("{shown} is not there yet"), "`inferwit init` makes it".to_owned());
    };
    match tempfile::tempfile_in(place) {
        Ok(_) if place == folder => Finding::ok(WHAT, shown),
        Ok(_) => Finding::note(WHAT, format!("{shown} is not there yet"), "`inferwit init` makes it".to_owned()),
        Err(error) => {
            let hint = "check who owns it, or name another with INFERWIT_DATA_DIR".to_owned();
            Finding::missing(WHAT, format!("{shown} cannot be written: {error}"), hint)
        }
    }
}

fn registry(config: &Config) -> Finding {
    const WHAT: &str = "registry";
    let path = &config.model_registry.path;
    let paths = RegistryPaths { database: path.clone(), data_dir: config.data_dir.clone() };
    match Registry::open_existing(&paths, OffsetDateTime::now_utc) {
        Ok(_) => Finding::ok(WHAT, format!("`{}`, schema {SCHEMA_VERSION}", path.display())),
        Err(RegistryError::Missing { .. }) => {
            let hint = "`inferwit init` makes it, and so does the first thing that is registered".to_owned();
            Finding::note(WHAT, format!("`{}` is not there yet", path.display()), hint)
        }
        Err(error) => Finding::missing(WHAT, chain(&error), error.hint()),
    }
}

/// The library, then each provider that was asked for.
fn backend(app: &App) -> Vec<Finding> {
    let runtime = match app.onnxruntime() {
        Ok(runtime) => runtime,
        Err(error) => return vec![Finding::missing("ONNX Runtime", chain(&error), error.hint())],
    };
    let library = format!("{} at `{}`", runtime.version(), runtime.library().display());
    let mut findings = vec![Finding::ok("ONNX Runtime", library)];
    let providers = runtime.providers();
    findings.extend(providers.used.iter().map(|provider| Finding::ok("provider", format!("{provider} is used"))));
    let refused = providers.refused.iter();
    findings.extend(refused.map(|(provider, reason)| Finding::note("provider", format!("{provider}: {reason}"), None)));
    findings
}

fn engine(app: &App) -> Finding {
    const WHAT: &str = "Wasm engine";
    match app.plugin_engine() {
        Ok(engine) if engine.is_pooling() => Finding::ok(WHAT, "with pooled instances"),
        Ok(_) => {
            let hint = "raise `ulimit -v` if it is set: address space is reserved, not used".to_owned();
            Finding::note(WHAT, "without a pool: new instances are slower", hint)
        }
        Err(error) => Finding::missing(WHAT, chain(&error), error.hint()),
    }
}

fn rules_engine() -> Finding {
    const WHAT: &str = "rule engine";
    if App::carries_rules_engine() {
        return Finding::ok(WHAT, "carried by this program");
    }
    let hint = "rule sets need one: build with `cargo xtask`, or `inferwit plugin add rules.wasm`".to_owned();
    Finding::note(WHAT, "not carried by this program", hint)
}

fn cache(what: &'static str, folder: &Path) -> Finding {
    let Ok(entries) = fs::read_dir(folder) else {
        return Finding::ok(what, format!("none yet in `{}`", folder.display()));
    };
    let (mut files, mut bytes) = (0_u64, 0);
    for metadata in entries.flatten().filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file) {
        files += 1;
        bytes += metadata.len();
    }
    Finding::ok(what, format!("{files} files, {} in `{}`", size(bytes), folder.display()))
}
