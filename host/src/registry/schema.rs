//! The registry's tables and how they came to be: opens the database and brings it up to date. Knows no rows.
//!
//! Migrations are only ever appended; `user_version` counts those that were applied.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::{RegistryError, at, during};

const SQLITE_VERSION_MIN: i32 = 3_051_003;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const BUSY_PAUSE: Duration = Duration::from_millis(5);
/// `infw`, which tells the file from databases of other programs.
const APPLICATION_ID: i32 = 0x696e_6677;

const MIGRATIONS: &[&str] = &[
    r"
CREATE TABLE artifacts (
    sha256 TEXT PRIMARY KEY,           -- of the bytes, or of the list of files
    kind TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    files TEXT NOT NULL,               -- JSON: [{path, sha256, size_bytes}], the main file first
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    path TEXT NOT NULL,                -- of the main file, relative to the data folder
    format TEXT NOT NULL,
    backend TEXT NOT NULL,
    created_at TEXT NOT NULL,          -- RFC 3339, UTC
    metadata TEXT NOT NULL,            -- JSON
    sha256 TEXT NOT NULL REFERENCES artifacts (sha256),
    signature TEXT NOT NULL,           -- JSON
    options TEXT NOT NULL,             -- JSON
    archived_at TEXT,
    UNIQUE (name, version)
) STRICT;

CREATE TABLE plugins (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    path TEXT NOT NULL,
    contract TEXT NOT NULL,            -- version of the WIT package
    created_at TEXT NOT NULL,
    manifest TEXT NOT NULL,            -- JSON
    sha256 TEXT NOT NULL REFERENCES artifacts (sha256),
    interfaces TEXT NOT NULL,          -- JSON
    imports TEXT NOT NULL,             -- JSON
    config_schema TEXT NOT NULL,       -- JSON
    archived_at TEXT,
    UNIQUE (name, version)
) STRICT;

CREATE TABLE pipelines (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    path TEXT NOT NULL,
    created_at TEXT NOT NULL,
    parsed TEXT NOT NULL,              -- JSON
    sha256 TEXT NOT NULL REFERENCES artifacts (sha256),
    archived_at TEXT,
    UNIQUE (name, version)
) STRICT;

CREATE TABLE bundles (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,       -- sha256:.. of json
    pipeline TEXT NOT NULL,
    version TEXT NOT NULL,
    json TEXT NOT NULL,                -- RFC 8785
    created_at TEXT NOT NULL
) STRICT;

-- One row for each model of a bundle, or one without a model; the rows of one deployment share deploy_id.
CREATE TABLE deployments (
    id INTEGER PRIMARY KEY,
    model_id INTEGER REFERENCES models (id),
    environment TEXT NOT NULL,
    deployed_at TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'superseded', 'rolled_back', 'refused')),
    bundle_id INTEGER NOT NULL REFERENCES bundles (id),
    pipeline TEXT NOT NULL,
    deploy_id INTEGER NOT NULL,
    part INTEGER NOT NULL,             -- counts the rows of one deployment
    actor TEXT NOT NULL,
    reason TEXT,
    refusal TEXT,                      -- why, where the status is refused
    ended_at TEXT,                     -- when it was active no longer
    UNIQUE (deploy_id, part)
) STRICT;

-- An environment holds one active bundle of a pipeline.
CREATE UNIQUE INDEX one_active ON deployments (environment, pipeline, part) WHERE status = 'active';
",
    r"
CREATE TABLE rules (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    path TEXT NOT NULL,
    created_at TEXT NOT NULL,
    identity TEXT NOT NULL,            -- sha256:.. of the canonical form
    parsed TEXT NOT NULL,              -- JSON, the canonical form
    sha256 TEXT NOT NULL REFERENCES artifacts (sha256),
    archived_at TEXT,
    UNIQUE (name, version)
) STRICT;
",
];

/// How many migrations this version knows.
pub const SCHEMA_VERSION: u32 = 2;

/// The version of SQLite that is built in.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

pub(super) fn open(path: &Path, create: bool) -> Result<Connection, RegistryError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(RegistryError::OldSqlite { found: rusqlite::version().to_owned() });
    }
    if !create && !path.exists() {
        return Err(RegistryError::Missing { path: path.to_owned() });
    }
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if create {
        std::fs::create_dir_all(folder).map_err(at("make folder", folder))?;
    }
    let mut connection = Connection::open_with_flags(path, flags).map_err(during("open the registry"))?;
    configure_patiently(&connection).map_err(|source| match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => RegistryError::NotARegistry { path: path.to_owned() },
        _ => during("open the registry")(source),
    })?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Turning a new file into WAL does not wait for other processes that do the same, so it is tried again here.
fn configure_patiently(connection: &Connection) -> rusqlite::Result<()> {
    let until = Instant::now() + BUSY_TIMEOUT;
    loop {
        match configure(connection) {
            Err(error) if is_busy(&error) && Instant::now() < until => std::thread::sleep(BUSY_PAUSE),
            done => return done,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked))
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode != "wal" {
        connection.pragma_update(None, "journal_mode", "wal")?;
    }
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), RegistryError> {
    let failed = during("bring the registry up to date");
    if applied(connection).map_err(&failed)? == (SCHEMA_VERSION, APPLICATION_ID) {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
    let (found, application_id) = applied(&transaction).map_err(&failed)?;
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(&failed)?;
    if application_id != APPLICATION_ID && (found > 0 || tables > 0) {
        return Err(RegistryError::NotARegistry { path: path.to_owned() });
    }
    if found > SCHEMA_VERSION {
        return Err(RegistryError::NewerSchema { path: path.to_owned(), found, known: SCHEMA_VERSION });
    }
    for migration in MIGRATIONS.iter().skip(found as usize) {
        transaction.execute_batch(migration).map_err(&failed)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(&failed)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(&failed)?;
    transaction.commit().map_err(&failed)
}

fn applied(connection: &Connection) -> rusqlite::Result<(u32, i32)> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application_id = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    Ok((version, application_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column_names(connection: &Connection, table: &str) -> Vec<String> {
        let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
        statement.query_map([table], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn the_public_tables_begin_as_promised() {
        let folder = tempfile::tempdir().unwrap();
        let connection = open(&folder.path().join("r.db"), true).unwrap();
        let models = ["id", "name", "version", "path", "format", "backend", "created_at", "metadata"];
        assert_eq!(column_names(&connection, "models")[..8], models);
        let deployments = ["id", "model_id", "environment", "deployed_at", "status", "bundle_id"];
        assert_eq!(column_names(&connection, "deployments")[..6], deployments);
        let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((pragma("synchronous"), pragma("foreign_keys"), pragma("busy_timeout")), (2, 1, 5000));
        assert_eq!(SCHEMA_VERSION as usize, MIGRATIONS.len());
    }

    #[test]
    fn a_newer_schema_and_a_foreign_database_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.db");
        open(&path, true).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let error = open(&path, true).unwrap_err();
        assert!(matches!(error, RegistryError::NewerSchema { found: 99, .. }) && error.hint().is_some());

        let other = folder.path().join("other.db");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        assert!(matches!(open(&other, true).unwrap_err(), RegistryError::NotARegistry { .. }));
        std::fs::write(folder.path().join("text"), "no database at all, but long enough to be read as one".repeat(9))
            .unwrap();
        assert!(matches!(open(&folder.path().join("text"), true).unwrap_err(), RegistryError::NotARegistry { .. }));
        assert!(matches!(open(&folder.path().join("none"), false).unwrap_err(), RegistryError::Missing { .. }));
    }

    #[test]
    fn many_may_open_a_new_registry_at_once() {
        for _ in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("r.db");
            std::thread::scope(|scope| {
                let opened: Vec<_> = (0..8).map(|_| scope.spawn(|| open(&path, true).map(drop))).collect();
                for thread in opened {
                    thread.join().unwrap().unwrap();
                }
            });
        }
    }
}
