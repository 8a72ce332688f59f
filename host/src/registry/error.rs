//! Why the registry could not do what was asked, and what would help.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::format::FormatError;
use crate::name::{Digest, Kind, Label, Name, Version};

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("registry `{}` is not there", path.display())]
    Missing { path: PathBuf },
    #[error("`{}` is a database of something else", path.display())]
    NotARegistry { path: PathBuf },
    #[error("registry `{}` has schema {found}, this version knows up to {known}", path.display())]
    NewerSchema { path: PathBuf, found: u32, known: u32 },
    #[error("SQLite {found} is older than 3.51.3, which the registry needs")]
    OldSqlite { found: String },
    #[error("{action}: another process is writing to the registry")]
    Busy { action: &'static str },
    #[error("{action}: the registry cannot be written")]
    ReadOnly {
        action: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{action}: the disk is full")]
    DiskFull {
        action: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{action}")]
    Database {
        action: &'static str,
        #[source]
        source: rusqlite::Error,
    },
    #[error("{action} `{}`", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error("{kind} {name}@{version} is registered already, with {different}")]
    VersionTaken { kind: Kind, name: Name, version: Version, different: &'static str },
    #[error("artifact {digest} is registered already, as other files")]
    OtherFiles { digest: Digest },
    #[error("there is no {kind} `{reference}`")]
    NotFound {
        kind: Kind,
        reference: String,
        /// The versions that there are, oldest first.
        versions: Vec<String>,
    },
    #[error("nothing that is active in `{label}` uses {kind} `{name}`")]
    NotActive { kind: Kind, name: Name, label: Label },
    #[error("{kind} `{name}` is active in `{label}` in more than one version: {}", versions.join(", "))]
    Ambiguous { kind: Kind, name: Name, label: Label, versions: Vec<String> },
    #[error("artifact file `{}` is damaged: it is not what was registered", path.display())]
    Damaged { path: PathBuf },
    #[error("bundle: {reason}")]
    Bundle { reason: String },
}

impl RegistryError {
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing { .. } => "make one with `inferwit init`, or name another with --registry".to_owned(),
            Self::NotARegistry { .. } => "name another file with --registry".to_owned(),
            Self::NewerSchema { .. } => "use the version of inferwit that wrote it, or a newer one".to_owned(),
            Self::Busy { .. } => "try again; the other process may be registering a large model".to_owned(),
            Self::ReadOnly { .. } => {
                "check who owns the data folder, and whether its disk is mounted for writing".to_owned()
            }
            Self::DiskFull { .. } => "free some space; nothing was changed".to_owned(),
            Self::Format(error) => return error.hint().map(str::to_owned),
            Self::VersionTaken { .. } => "a version never changes: register it under a new version".to_owned(),
            Self::NotFound { kind, versions, .. } if versions.is_empty() => {
                format!("`inferwit {kind} list` shows what there is")
            }
            Self::NotFound { versions, .. } => format!("there are {}", versions.join(", ")),
            Self::NotActive { kind, .. } => format!("name a version; `inferwit {kind} list` shows them"),
            Self::Ambiguous { .. } => "name the version".to_owned(),
            Self::Damaged { .. } => "register the same file again: that restores it".to_owned(),
            Self::OldSqlite { .. }
            | Self::Database { .. }
            | Self::File { .. }
            | Self::OtherFiles { .. }
            | Self::Bundle { .. } => return None,
        })
    }

    pub(super) fn bundle(reason: impl Into<String>) -> Self {
        Self::Bundle { reason: reason.into() }
    }
}

/// Names what was attempted when the database failed.
pub(super) fn during(action: &'static str) -> impl Fn(rusqlite::Error) -> RegistryError {
    move |source| match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => RegistryError::Busy { action },
        Some(ErrorCode::DiskFull) => RegistryError::DiskFull { action, source: source.into() },
        Some(ErrorCode::ReadOnly) => RegistryError::ReadOnly { action, source: source.into() },
        _ => RegistryError::Database { action, source },
    }
}

/// Names what was attempted when a file failed.
pub(super) fn at(action: &'static str, path: &Path) -> impl Fn(io::Error) -> RegistryError {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            RegistryError::DiskFull { action, source: source.into() }
        }
        io::ErrorKind::ReadOnlyFilesystem => RegistryError::ReadOnly { action, source: source.into() },
        _ => RegistryError::File { action, path: path.to_owned(), source },
    }
}
