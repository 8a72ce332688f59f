//! Why the application could not do what was asked, and what would help.

use std::io;
use std::path::PathBuf;

use super::golden::TestResult;
use crate::backend::BackendError;
use crate::config::ConfigError;
use crate::name::{Label, Name, NameError};
use crate::pipeline::document::Diagnostic;
use crate::plugin::{PluginError, TestResult as RuleTestResult};
use crate::registry::{FormatError, RegistryError};

#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Plugin(#[from] PluginError),
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{action} `{}`", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{text}` cannot be the name of what is in the file")]
    FileName {
        text: String,
        #[source]
        source: NameError,
    },
    /// A plugin's description of itself is not what the contract asks for.
    #[error("the plugin describes itself wrongly: {reason}")]
    Manifest { reason: String },
    #[error("{what} `{}` is {size_bytes} bytes, more than the {bytes_max} that are allowed", path.display())]
    TooLarge { what: &'static str, path: PathBuf, size_bytes: u64, bytes_max: u64 },
    /// Everything that is wrong with a pipeline.
    #[error("{}", first_and_more(.0))]
    Pipeline(Vec<Diagnostic>),
    #[error("nothing is registered as `{reference}`: no pipeline, no model and no plugin")]
    Unknown { reference: String },
    #[error("{} of {} tests of `{pipeline}` failed", results.iter().filter(|result| !result.passed).count(), results.len())]
    Tests { pipeline: String, results: Vec<TestResult> },
    #[error("{} of {} tests in rule set `{rule_set}` failed", results.iter().filter(|result| !result.passed).count(), results.len())]
    RuleTests { rule_set: String, results: Vec<RuleTestResult> },
    #[error("there is no rule engine: this program carries none, and none is registered")]
    NoRulesEngine,
    /// A pipeline that was to follow a rule set, and why it was left as it is.
    #[error("pipeline `{pipeline}` was left as it is: {reason}")]
    NotRedeployed { pipeline: Name, reason: String },
    #[error("bundle `{bundle}` pins {kind} `{label}` as {pinned}, the registry has {found}")]
    Pin { bundle: String, kind: &'static str, label: String, pinned: String, found: String },
    #[error("no bundle is active in environment `{0}`")]
    NothingActive(Label),
    #[error("start threads")]
    Threads(#[source] io::Error),
    #[error("`{what}` is served by two of what was named: `{first}` and `{second}`")]
    ServedTwice { what: String, first: String, second: String },
}

fn first_and_more(diagnostics: &[Diagnostic]) -> String {
    match diagnostics {
        [] => "the pipeline is not valid".to_owned(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

impl AppError {
    /// What to do about it, in a sentence without a full stop.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::Format(error) => error.hint().map(str::to_owned),
            Self::Config(error) => error.hint().map(str::to_owned),
            Self::Backend(BackendError::Unavailable { hint, .. }) => Some(hint.clone()),
            Self::Plugin(PluginError::Unsupported { hint, .. }) => Some(hint.clone()),
            Self::FileName { .. } => Some("give a name with --name".to_owned()),
            Self::Pipeline(diagnostics) => {
                diagnostics.first().map(|first| first.hint.clone()).filter(|hint| !hint.is_empty())
            }
            Self::Unknown { .. } => Some("see `inferwit pipeline list`, `model list` and `plugin list`".to_owned()),
            Self::Tests { .. } => Some("run `inferwit pipeline test` to see what differs".to_owned()),
            Self::RuleTests { .. } => Some("run `inferwit rules test` to see what differs".to_owned()),
            Self::Plugin(PluginError::RuleSet { diagnostics, .. }) => {
                diagnostics.iter().find_map(|diagnostic| diagnostic.hint.clone())
            }
            Self::NoRulesEngine => Some(
                "build with `cargo xtask`, which puts one into the program, or register one with `inferwit plugin add rules.wasm`"
                    .to_owned(),
            ),
            Self::NotRedeployed { pipeline, .. } => Some(format!("deploy it again: `inferwit deploy {pipeline}`")),
            Self::Pin { .. } => Some("the registry was changed from outside; deploy again".to_owned()),
            Self::NothingActive(label) => {
                Some(format!("deploy something with `inferwit deploy NAME --env {label}`, or name what to serve"))
            }
            _ => None,
        }
    }

    pub(super) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
