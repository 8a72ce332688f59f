//! How artifacts stand in the tables: rows written and read. Decides nothing.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use serde::de::DeserializeOwned;

use super::{Artifact, Entry, MODEL_FILE, PIPELINE_FILE, PLUGIN_FILE, RULES_FILE, Record};
use crate::name::{Digest, Kind, Name};
use crate::registry::error::{RegistryError, during};
use crate::registry::store::{Staged, Store};

pub(super) fn insert_files(
    connection: &Connection,
    kind: Kind,
    staged: &Staged,
    now: &str,
) -> Result<(), RegistryError> {
    let failed = during("register");
    let files = serde_json::to_string(&staged.files).expect("names and digests are plain data");
    let known: Option<String> = connection
        .query_row("SELECT files FROM artifacts WHERE sha256 = ?1", [staged.digest.hex()], |row| row.get(0))
        .optional()
        .map_err(&failed)?;
    match known {
        Some(known) if known == files => Ok(()),
        // One file may hold the very list that several files are hashed by.
        Some(_) => Err(RegistryError::OtherFiles { digest: staged.digest }),
        None => connection
            .execute(
                "INSERT INTO artifacts (sha256, kind, size_bytes, files, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                (staged.digest.hex(), kind.as_str(), staged.size_bytes().cast_signed(), files, now),
            )
            .map(drop)
            .map_err(&failed),
    }
}

pub(super) fn insert_entry(
    connection: &Connection,
    entry: &Entry<'_>,
    digest: &Digest,
    now: &str,
) -> rusqlite::Result<()> {
    let Entry { kind, name, version, columns } = entry;
    let table = table(*kind);
    let own: String = columns.iter().map(|(column, _)| format!(", {column}")).collect();
    let slots: String = columns.iter().map(|(column, _)| format!(", :{column}")).collect();
    let sql = format!(
        "INSERT INTO {table} (name, version, path, sha256, created_at{own}) VALUES (:name, :version, :path, :sha256, :now{slots})"
    );
    let (version, path) = (version.to_string(), format!("{}/{}", Store::relative(digest), main_file(*kind)));
    let (name, sha256) = (name.as_str(), digest.hex());
    let mut statement = connection.prepare(&sql)?;
    for (column, value) in columns {
        let index = statement.parameter_index(&format!(":{column}"))?.expect("each column has its slot");
        statement.raw_bind_parameter(index, value)?;
    }
    let common = named_params! {":name": name, ":version": version, ":path": path, ":sha256": sha256, ":now": now};
    for (slot, value) in common {
        let index = statement.parameter_index(slot)?.expect("each common column has its slot");
        statement.raw_bind_parameter(index, value)?;
    }
    statement.raw_execute().map(drop)
}

fn main_file(kind: Kind) -> &'static str {
    match kind {
        Kind::Model => MODEL_FILE,
        Kind::Plugin => PLUGIN_FILE,
        Kind::Pipeline => PIPELINE_FILE,
        Kind::Rules => RULES_FILE,
    }
}

/// The kind's table.
pub(in crate::registry) fn table(kind: Kind) -> &'static str {
    match kind {
        Kind::Model => "models",
        Kind::Plugin => "plugins",
        Kind::Pipeline => "pipelines",
        Kind::Rules => "rules",
    }
}

/// The columns that only this kind has, as one JSON object.
fn own_columns(kind: Kind) -> &'static str {
    match kind {
        Kind::Model => {
            "json_object('format', format, 'backend', backend, 'signature', json(signature), 'options', json(options), 'metadata', json(metadata))"
        }
        Kind::Plugin => {
            "json_object('contract', contract, 'interfaces', json(interfaces), 'imports', json(imports), 'config_schema', json(config_schema), 'manifest', json(manifest))"
        }
        Kind::Rules => "json_object('identity', identity, 'parsed', json(parsed))",
        Kind::Pipeline => "json_object('parsed', json(parsed))",
    }
}

pub(super) fn select(
    connection: &Connection,
    store: &Store,
    kind: Kind,
    name: Option<&Name>,
) -> rusqlite::Result<Vec<Artifact>> {
    let table = table(kind);
    let sql = format!(
        "SELECT name, version, t.sha256, path, t.created_at, archived_at, size_bytes, files, {} FROM {table} AS t
         JOIN artifacts AS a ON a.sha256 = t.sha256 WHERE ?1 IS NULL OR name = ?1",
        own_columns(kind)
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([name.map(Name::as_str)], |row| artifact(row, store, kind))?;
    rows.collect()
}

fn artifact(row: &Row<'_>, store: &Store, kind: Kind) -> rusqlite::Result<Artifact> {
    Ok(Artifact {
        kind,
        name: parsed(row, 0, |text| text.parse())?,
        version: parsed(row, 1, |text| text.parse())?,
        digest: parsed(row, 2, Digest::from_hex)?,
        path: store.absolute(&row.get::<_, String>(3)?),
        created_at: row.get(4)?,
        archived_at: row.get(5)?,
        size_bytes: row.get::<_, i64>(6)?.cast_unsigned(),
        files: parsed(row, 7, |json| serde_json::from_str(json))?,
        record: match kind {
            Kind::Model => Record::Model(from_json(row, 8)?),
            Kind::Plugin => Record::Plugin(from_json(row, 8)?),
            Kind::Rules => Record::Rules(from_json(row, 8)?),
            Kind::Pipeline => Record::Pipeline(from_json(row, 8)?),
        },
    })
}

fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    parsed(row, column, |json| serde_json::from_str(json))
}

/// A column that another program may have written wrongly.
pub(in crate::registry) fn parsed<T, E: std::error::Error + Send + Sync + 'static>(
    row: &Row<'_>,
    column: usize,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> rusqlite::Result<T> {
    parse(&row.get::<_, String>(column)?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}
