//! What exists and what is deployed: SQLite beside a folder of files named by SHA-256. It loads and runs nothing.
//!
//! Several processes may hold one registry open: each change is one transaction that waits a bounded time for the others. A
//! crash at any instant leaves the old or the new state.

mod artifact;
mod bundle;
mod deployment;
mod error;
mod format;
mod schema;
mod store;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use time::OffsetDateTime;
use time::macros::format_description;

pub use artifact::{
    Added, Artifact, ModelRecord, NewModel, NewPipeline, NewPlugin, NewRules, PipelineRecord, PluginRecord, Record,
    RulesRecord, model_digest,
};
pub use bundle::{Bundle, BundleParts, Pin};
pub use deployment::{ActiveBundle, ChangeToken, Deployed, Deployment, Order};
pub use error::RegistryError;
pub use format::{FormatError, ModelFiles, ModelFormat, inspect as inspect_model};
pub use schema::{SCHEMA_VERSION, sqlite_version};
pub use store::StoredFile;

use store::Store;

/// Tells the time; `OffsetDateTime::now_utc` outside tests.
pub type Clock = fn() -> OffsetDateTime;

/// Where a registry lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryPaths {
    /// The SQLite file.
    pub database: PathBuf,
    /// The folder that holds `artifacts/`.
    pub data_dir: PathBuf,
}

/// An open registry. It is shared by reference; one caller at a time uses its connection.
#[derive(Debug)]
pub struct Registry {
    connection: Mutex<Connection>,
    store: Store,
    clock: Clock,
    database: PathBuf,
}

impl Registry {
    /// Opens a registry, and makes it where there is none.
    ///
    /// # Errors
    /// A file that is no registry, that a newer version has written, or that cannot be written.
    pub fn open(paths: &RegistryPaths, clock: Clock) -> Result<Self, RegistryError> {
        Self::open_with(paths, clock, true)
    }

    /// Opens a registry that is there.
    ///
    /// # Errors
    /// As `open`, and `Missing`.
    pub fn open_existing(paths: &RegistryPaths, clock: Clock) -> Result<Self, RegistryError> {
        Self::open_with(paths, clock, false)
    }

    fn open_with(paths: &RegistryPaths, clock: Clock, create: bool) -> Result<Self, RegistryError> {
        let connection = Mutex::new(schema::open(&paths.database, create)?);
        Ok(Self { connection, store: Store::new(&paths.data_dir), clock, database: paths.database.clone() })
    }

    /// The SQLite file.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// A panic elsewhere does no harm here: an unfinished transaction is rolled back when it is dropped.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// RFC 3339 in UTC, always of one length, so that texts sort as times.
    fn now(&self) -> String {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        (self.clock)().to_offset(time::UtcOffset::UTC).format(format).expect("a date and a time have all these parts")
    }
}

#[cfg(test)]
mod tests;
