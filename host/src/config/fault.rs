//! What is wrong with a configuration, where, and what would be right. Finds no faults itself.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Default,
    File {
        path: PathBuf,
        line: u32,
        column: u32,
    },
    /// The environment variable of this name.
    Variable(String),
    /// The flag as it was written.
    Flag(String),
}

impl Origin {
    pub(super) fn file(path: &Path, line: u32, column: u32) -> Self {
        Self::File { path: path.to_owned(), line, column }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File { path, line, column } => write!(formatter, "{}:{line}:{column}", path.display()),
            Self::Variable(name) | Self::Flag(name) => formatter.write_str(name),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub origin: Origin,
    pub message: String,
    pub hint: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.origin, self.message)
    }
}

/// Why a configuration, or the options file of a model, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("read `{}`: it is larger than {bytes_max} bytes", path.display())]
    TooLarge { path: PathBuf, bytes_max: u64 },
    #[error("read `{}`: it is not UTF-8 text", path.display())]
    NotText { path: PathBuf },
    /// All faults that were found, in the order of the sources; never empty.
    #[error("{}", lines(.0))]
    Invalid(Vec<Fault>),
}

impl ConfigError {
    /// What would be right, of the first fault that knows it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Invalid(faults) => faults.iter().find_map(|fault| fault.hint.as_deref()),
            Self::Read { .. } | Self::TooLarge { .. } | Self::NotText { .. } => None,
        }
    }

    pub fn faults(&self) -> &[Fault] {
        match self {
            Self::Invalid(faults) => faults,
            Self::Read { .. } | Self::TooLarge { .. } | Self::NotText { .. } => &[],
        }
    }
}

fn lines(faults: &[Fault]) -> String {
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n")
}

/// The candidate that `written` is most likely a misspelling of, if one is close.
pub(super) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let tolerated = (written.chars().count() / 2).max(1);
    let written = written.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&written, candidate), candidate))
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
