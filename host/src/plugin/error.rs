//! Why a plugin cannot be used, or failed: typed, and always with the plugin's name, version and step.

use std::fmt;

use super::limits::Limit;
use crate::tensor::TensorError;

/// `name@version`, and the step that uses it where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginLabel {
    pub plugin: String,
    pub step: Option<String>,
}

impl fmt::Display for PluginLabel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.step {
            Some(step) => write!(formatter, "plugin `{}` in step `{step}`", self.plugin),
            None => write!(formatter, "plugin `{}`", self.plugin),
        }
    }
}

/// What was being done with a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Instantiate,
    Describe,
    Open,
    Process,
    Check,
    /// Of a rule set.
    Load,
    Evaluate,
    Explain,
    Plan,
    Canonical,
    Compile,
    Test,
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instantiate => "instantiate",
            Self::Describe => "describe",
            Self::Open => "open",
            Self::Process => "process",
            Self::Check => "check",
            Self::Load => "load",
            Self::Evaluate => "evaluate",
            Self::Explain => "explain",
            Self::Plan => "plan",
            Self::Canonical => "canonical",
            Self::Compile => "compile",
            Self::Test => "test",
        }
    }
}

/// How bad something is that an author wrote or a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Error,
}

/// What is wrong with a configuration or a rule set.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Short, stable, kebab-case.
    pub code: String,
    pub message: String,
    /// Line and column in the text, from 1, if it has lines.
    pub position: Option<(u32, u32)>,
    /// A JSON pointer into the document.
    pub path: Option<String>,
    pub rule: Option<String>,
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = self.path.as_deref().filter(|path| !path.is_empty()) {
            write!(formatter, "at `{path}`: ")?;
        }
        write!(formatter, "{} ({})", self.message, self.code)?;
        match &self.hint {
            Some(hint) => write!(formatter, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// What a plugin answered instead of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    Invalid(String),
    Unprocessable(String),
    DeadlineExceeded,
    Exhausted(String),
    Internal(String),
    Other(String),
}

impl Failure {
    /// With its text cut and its control characters escaped: it goes to clients and into logs.
    pub(crate) fn escaped(self) -> Self {
        let escaped = |text: String| super::log::escaped(&text);
        match self {
            Self::Invalid(text) => Self::Invalid(escaped(text)),
            Self::Unprocessable(text) => Self::Unprocessable(escaped(text)),
            Self::DeadlineExceeded => Self::DeadlineExceeded,
            Self::Exhausted(text) => Self::Exhausted(escaped(text)),
            Self::Internal(text) => Self::Internal(escaped(text)),
            Self::Other(text) => Self::Other(escaped(text)),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(text) | Self::Unprocessable(text) => formatter.write_str(text),
            Self::DeadlineExceeded => formatter.write_str("ran out of time"),
            Self::Exhausted(text) => write!(formatter, "exhausted: {text}"),
            Self::Internal(text) | Self::Other(text) => write!(formatter, "internal failure: {text}"),
        }
    }
}

/// Why a plugin cannot be used, or failed.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    #[error("start the Wasm engine")]
    Engine(#[source] BoxedError),
    #[error("compile the component")]
    Compile(#[source] BoxedError),
    /// The file is no plugin that this host can run.
    #[error("{reason}")]
    Unsupported { reason: String, hint: String },
    #[error("{label}: configuration is refused: {}", diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Configuration { label: PluginLabel, diagnostics: Vec<Diagnostic> },
    /// All that is wrong with a rule set, its parameters or its ceilings; warnings may be among it.
    #[error("{label}: rule set is refused: {}", diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    RuleSet { label: PluginLabel, diagnostics: Vec<Diagnostic> },
    /// It trapped: a panic, an access out of bounds, an exit.
    #[error("{label} trapped in `{}`: {reason}", stage.as_str())]
    Trap { label: PluginLabel, stage: Stage, reason: String },
    #[error("{label} reached its limit `{}` in `{}`", limit.as_str(), stage.as_str())]
    Limit { label: PluginLabel, stage: Stage, limit: Limit },
    /// The request's own time was over, not the step's.
    #[error("{label} was out of time in `{}`", stage.as_str())]
    Deadline { label: PluginLabel, stage: Stage },
    /// Too many calls wait, or all instances are in use.
    #[error("{label} is overloaded: {reason}")]
    Overloaded { label: PluginLabel, reason: String },
    #[error("{label}: {failure}")]
    Failure { label: PluginLabel, failure: Failure },
    #[error("{label} returned what the contract does not allow: {reason}")]
    Contract { label: PluginLabel, reason: String },
}

/// The cause of an error of the Wasm engine.
#[derive(Debug)]
pub struct BoxedError(wasmtime::Error);

impl fmt::Display for BoxedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#}", self.0)
    }
}

impl std::error::Error for BoxedError {}

impl PluginError {
    pub(crate) fn engine(error: wasmtime::Error) -> Self {
        Self::Engine(BoxedError(error))
    }

    pub(crate) fn compile(error: wasmtime::Error) -> Self {
        Self::Compile(BoxedError(error))
    }

    /// The kind, as in metrics: `trap`, `limit`, ...
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Engine(_) => "engine",
            Self::Compile(_) => "compile",
            Self::Unsupported { .. } => "unsupported",
            Self::Configuration { .. } => "configuration",
            Self::RuleSet { .. } => "rule_set",
            Self::Trap { .. } => "trap",
            Self::Limit { .. } => "limit",
            Self::Deadline { .. } => "deadline",
            Self::Overloaded { .. } => "overloaded",
            Self::Failure { .. } => "failure",
            Self::Contract { .. } => "contract",
        }
    }
}

impl From<TensorError> for Failure {
    fn from(error: TensorError) -> Self {
        Self::Invalid(error.to_string())
    }
}
