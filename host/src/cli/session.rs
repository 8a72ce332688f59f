//! From the options that every command has to an open application: configuration, logging, progress. Knows no command.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::failure::WrongCall;
use crate::app::{App, Surroundings};
use crate::config::{Config, ConfigError, LogFormat, LogLevel, Machine, Origin, Override, Settings};
use crate::env::Environment;
use crate::telemetry::{self, LogSettings};

/// The configuration file of the working folder, where neither a flag nor a variable names one.
pub(super) const CONFIG_FILE: &str = "inference.yaml";

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Globals {
    /// The configuration file; else `INFERWIT_CONFIG`, else `inference.yaml` in the working folder if it is there
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The registry; else what the configuration says, else `inferwit.db` in the data folder
    #[arg(long, global = true, value_name = "DB")]
    registry: Option<PathBuf>,
    /// Print data as JSON, on one line unless it is a document
    #[arg(long, global = true)]
    json: bool,
    /// Say nothing but data and errors
    #[arg(long, short, global = true)]
    quiet: bool,
}

/// What every change may be given.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every change")]
pub(super) struct Change {
    /// Do everything but the change itself, and say what it would be
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Why, for the history and the log
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// Who, for the history and the log; default: the system user
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
}

impl Change {
    pub(super) fn actor(&self, session: &Session) -> String {
        self.actor.clone().or_else(|| session.environment.actor()).unwrap_or_else(|| "unknown".to_owned())
    }

    /// What was registered or archived is in the registry; who did it and why is in the log.
    pub(super) fn log(&self, session: &Session, action: &'static str, what: &str) {
        let (actor, reason) = (self.actor(session), self.reason.as_deref().unwrap_or_default());
        tracing::info!(actor, reason, what, action, "registry changed");
    }
}

/// How much a command logs where nobody has said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Runs and ends: warnings, as text.
    Once,
    Server,
}

/// One call of the program.
pub(super) struct Session {
    globals: Globals,
    environment: Environment,
}

impl Session {
    pub(super) fn new(globals: Globals, environment: Environment) -> Self {
        Self { globals, environment }
    }

    pub(super) fn is_json(&self) -> bool {
        self.globals.json
    }

    /// The configuration file in use.
    pub(super) fn config_file(&self) -> Option<PathBuf> {
        let here = || Some(PathBuf::from(CONFIG_FILE)).filter(|path| path.is_file());
        self.globals.config.clone().or_else(|| self.environment.config_file()).or_else(here)
    }

    /// File, then variables, then flags.
    pub(super) fn settings(&self, flags: &[Override]) -> Result<Settings, ConfigError> {
        self.settings_of(self.config_file().as_deref(), flags)
    }

    pub(super) fn settings_of(&self, file: Option<&Path>, flags: &[Override]) -> Result<Settings, ConfigError> {
        let variables = self.environment.overrides();
        let mut overrides: Vec<Override> =
            variables.filter_map(|(name, value)| Override::variable(name, &value)).collect();
        if let Some(registry) = &self.globals.registry {
            overrides.push(Override::flag("--registry", "model_registry.path", &registry.display().to_string()));
        }
        overrides.extend_from_slice(flags);
        Settings::load(file, &overrides)
    }

    pub(super) fn machine(&self) -> Machine {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Machine { cores, data_dir: self.environment.data_dir().unwrap_or_default() }
    }

    fn resolve(&self, settings: &Settings) -> anyhow::Result<Config> {
        let config = settings.resolve(&self.machine())?;
        if config.data_dir.as_os_str().is_empty() {
            let message = "there is no data folder: neither HOME nor INFERWIT_DATA_DIR is set";
            return Err(WrongCall::new(message, "set INFERWIT_DATA_DIR, or `data_dir` in the configuration").into());
        }
        Ok(config)
    }

    /// Reads the configuration, sets up the log and opens the application.
    pub(super) fn open(&self, flags: &[Override], kind: Kind) -> anyhow::Result<Arc<App>> {
        let settings = self.settings(flags)?;
        let config = self.resolve(&settings)?;
        telemetry::init(&log_settings(&settings, &config, kind))?;
        Ok(App::new(config, self.surroundings()))
    }

    /// The application of a command that runs and ends.
    pub(super) fn app(&self) -> anyhow::Result<Arc<App>> {
        self.open(&[], Kind::Once)
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings { onnxruntime: self.environment.onnxruntime(), executable: std::env::current_exe().ok() }
    }

    /// Says on standard error what is neither data nor an error.
    pub(super) fn note(&self, message: &str, hint: &str) {
        if !self.globals.quiet {
            self.tell(&format!("note: {message}\n\nhint: {hint}\n"));
        }
    }

    /// Prints a message on standard error as it is.
    pub(super) fn tell(&self, text: &str) {
        // Nobody can be told that standard error is closed.
        let _ignored = io::stderr().write_all(text.as_bytes());
    }

    pub(super) fn has_error_colour(&self) -> bool {
        !self.environment.no_color() && io::stderr().is_terminal()
    }

    /// Says what takes a while, on a terminal, until it is dropped.
    pub(super) fn progress(&self, message: impl Into<String>) -> Progress {
        let is_shown = io::stderr().is_terminal() && !self.globals.quiet;
        let bar = if is_shown { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is valid"));
        bar.set_message(message.into());
        if is_shown {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Progress(bar)
    }
}

/// A sign of life on a terminal.
pub(super) struct Progress(ProgressBar);

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A command that runs and ends shows warnings as text, unless somebody has said otherwise.
fn log_settings(settings: &Settings, config: &Config, kind: Kind) -> LogSettings {
    let is_written = |key: &str| {
        settings.explain().iter().any(|explained| explained.key == key && explained.origin != Origin::Default)
    };
    let level = match config.monitoring.log_level {
        _ if kind == Kind::Once && !is_written("monitoring.log_level") => "warn",
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        // ONNX Runtime's bindings tell at this level what matters to their developers only.
        LogLevel::Info => "info,ort=warn",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let format = match config.monitoring.log_format {
        _ if kind == Kind::Once && !is_written("monitoring.log_format") => telemetry::LogFormat::Text,
        LogFormat::Auto => telemetry::LogFormat::Auto,
        LogFormat::Text => telemetry::LogFormat::Text,
        LogFormat::Json => telemetry::LogFormat::Json,
    };
    LogSettings { level: level.to_owned(), format }
}
