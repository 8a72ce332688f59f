//! Models, plugins, rule sets and pipelines: registered once under name and version, found again by reference. Runs none of them.

mod rows;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{RegistryError, at, during};
use super::format::{self, FormatError, ModelFormat};
use super::store::{Source, Staged, StoredFile};
use super::{Registry, deployment, store};
use crate::name::{Digest, Kind, Label, Name, Reference, Selector, Version};
use rows::{insert_entry, insert_files, select};
pub(super) use rows::{parsed, table};

const MODEL_FILE: &str = "model.onnx";
const PLUGIN_FILE: &str = "plugin.wasm";
const PIPELINE_FILE: &str = "pipeline.yaml";
const RULES_FILE: &str = "rules.yaml";

/// A model to register, with what the host has found out about it.
#[derive(Clone, Debug)]
pub struct NewModel<'a> {
    pub name: Name,
    pub version: Version,
    /// The model's file; its external data lies beside it.
    pub file: &'a Path,
    /// `auto`, or the backend that its options name.
    pub backend: &'a str,
    pub signature: Value,
    pub options: Value,
    pub metadata: Value,
}

/// A plugin to register, with what it says of itself.
#[derive(Clone, Debug)]
pub struct NewPlugin<'a> {
    pub name: Name,
    pub version: Version,
    /// The component.
    pub bytes: &'a [u8],
    pub record: PluginRecord,
}

/// A pipeline to register.
#[derive(Clone, Debug)]
pub struct NewPipeline<'a> {
    pub name: Name,
    pub version: Version,
    /// The file as it was written.
    pub text: &'a str,
    pub parsed: Value,
    /// Files that its tests read, by their names relative to it.
    pub files: &'a [(String, Vec<u8>)],
}

/// A rule set to register, with what its engine has found out about it.
#[derive(Clone, Debug)]
pub struct NewRules<'a> {
    pub name: Name,
    pub version: Version,
    /// The file as it was written.
    pub source: &'a [u8],
    pub record: RulesRecord,
}

/// What is registered under one name and version.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Artifact {
    pub kind: Kind,
    pub name: Name,
    pub version: Version,
    pub digest: Digest,
    pub size_bytes: u64,
    /// The main file, to be opened.
    pub path: PathBuf,
    pub files: Vec<StoredFile>,
    pub created_at: String,
    pub archived_at: Option<String>,
    #[serde(flatten)]
    pub record: Record,
}

impl Artifact {
    /// `image@1.2.0`
    pub fn label(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// What the registry knows beyond the bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Record {
    Model(ModelRecord),
    Plugin(PluginRecord),
    Rules(RulesRecord),
    Pipeline(PipelineRecord),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    pub format: ModelFormat,
    pub backend: String,
    pub signature: Value,
    pub options: Value,
    pub metadata: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PluginRecord {
    /// The version of the WIT package.
    pub contract: String,
    pub interfaces: Vec<String>,
    pub imports: Vec<String>,
    pub config_schema: Value,
    /// What the plugin describes itself as.
    pub manifest: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PipelineRecord {
    pub parsed: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RulesRecord {
    /// SHA-256 of the canonical form: what the rule set says, however it is written.
    pub identity: Digest,
    /// The canonical form.
    pub parsed: Value,
}

/// What registering came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Added {
    New(Artifact),
    /// The same under the same version: nothing was changed.
    AlreadyThere(Artifact),
}

impl Added {
    pub fn artifact(&self) -> &Artifact {
        match self {
            Self::New(artifact) | Self::AlreadyThere(artifact) => artifact,
        }
    }
}

/// The digest under which a model would be registered, with the external data that it names.
///
/// # Errors
/// A file that cannot be read.
pub fn model_digest(file: &Path, external: &[String]) -> Result<Digest, RegistryError> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut sources = vec![(MODEL_FILE, file.to_owned())];
    sources.extend(external.iter().map(|name| (name.as_str(), folder.join(name))));
    store::digest_in_place(&sources)
}

/// What every kind has in common when it is registered.
struct Entry<'a> {
    kind: Kind,
    name: &'a Name,
    version: &'a Version,
    /// Name and JSON or text of the columns that only this kind has.
    columns: Vec<(&'static str, String)>,
}

impl Registry {
    /// Registers a model with the external data that it names.
    ///
    /// # Errors
    /// A file that is no model, a version that is taken by something else, or a store that cannot be written.
    pub fn add_model(&self, new: &NewModel<'_>) -> Result<Added, RegistryError> {
        let found = format::inspect(new.file)?;
        if found.external.iter().any(|name| name == MODEL_FILE || name.starts_with("model.onnx/")) {
            let (path, location) = (new.file.to_owned(), MODEL_FILE.to_owned());
            let reason = "this name is kept for the model itself";
            return Err(FormatError::ExternalData { path, location, reason }.into());
        }
        let folder = new.file.parent().unwrap_or(Path::new(""));
        let mut sources = vec![Source::File { name: MODEL_FILE, path: new.file.to_owned(), follow_links: true }];
        sources.extend(found.external.iter().map(|name| Source::File {
            name,
            path: folder.join(name),
            follow_links: false,
        }));
        let columns = vec![
            ("format", found.format.as_str().to_owned()),
            ("backend", new.backend.to_owned()),
            ("signature", new.signature.to_string()),
            ("options", new.options.to_string()),
            ("metadata", new.metadata.to_string()),
        ];
        let entry = Entry { kind: Kind::Model, name: &new.name, version: &new.version, columns };
        self.add(&entry, self.store.stage(&sources)?)
    }

    /// Registers a plugin.
    ///
    /// # Errors
    /// A version that is taken by something else, or a store that cannot be written.
    pub fn add_plugin(&self, new: &NewPlugin<'_>) -> Result<Added, RegistryError> {
        let record = &new.record;
        let columns = vec![
            ("contract", record.contract.clone()),
            ("interfaces", Value::from(record.interfaces.clone()).to_string()),
            ("imports", Value::from(record.imports.clone()).to_string()),
            ("config_schema", record.config_schema.to_string()),
            ("manifest", record.manifest.to_string()),
        ];
        let entry = Entry { kind: Kind::Plugin, name: &new.name, version: &new.version, columns };
        self.add(&entry, self.store.stage(&[Source::Bytes(PLUGIN_FILE, new.bytes)])?)
    }

    /// Registers a pipeline.
    ///
    /// # Errors
    /// A version that is taken by something else, or a store that cannot be written.
    pub fn add_pipeline(&self, new: &NewPipeline<'_>) -> Result<Added, RegistryError> {
        let columns = vec![("parsed", new.parsed.to_string())];
        let entry = Entry { kind: Kind::Pipeline, name: &new.name, version: &new.version, columns };
        let mut sources = vec![Source::Bytes(PIPELINE_FILE, new.text.as_bytes())];
        sources.extend(new.files.iter().map(|(name, bytes)| Source::Bytes(name, bytes)));
        self.add(&entry, self.store.stage(&sources)?)
    }

    /// Registers a rule set. One that says the same as the one that is there, however it is written, changes nothing.
    ///
    /// # Errors
    /// A version that is taken by something else, or a store that cannot be written.
    pub fn add_rules(&self, new: &NewRules<'_>) -> Result<Added, RegistryError> {
        let record = &new.record;
        let columns = vec![("identity", record.identity.to_string()), ("parsed", record.parsed.to_string())];
        let entry = Entry { kind: Kind::Rules, name: &new.name, version: &new.version, columns };
        self.add(&entry, self.store.stage(&[Source::Bytes(RULES_FILE, new.source)])?)
    }

    /// All versions of all names, archived ones too, by name and from old to new.
    ///
    /// # Errors
    /// A registry that cannot be read.
    pub fn list(&self, kind: Kind) -> Result<Vec<Artifact>, RegistryError> {
        let mut artifacts = select(&self.lock(), &self.store, kind, None).map_err(during("list artifacts"))?;
        artifacts.sort_by(|first, second| (&first.name, &first.version).cmp(&(&second.name, &second.version)));
        Ok(artifacts)
    }

    /// Finds what a reference means now.
    ///
    /// # Errors
    /// `NotFound` with the versions that there are; for a label `NotActive` or `Ambiguous`.
    pub fn resolve(&self, kind: Kind, reference: &Reference) -> Result<Artifact, RegistryError> {
        let connection = self.lock();
        let failed = during("find an artifact");
        let artifacts = select(&connection, &self.store, kind, Some(&reference.name)).map_err(&failed)?;
        let active = match &reference.selector {
            Selector::Label(label) if !artifacts.is_empty() => {
                Some(active_version(&connection, kind, &reference.name, label)?)
            }
            _ => None,
        };
        let versions = || {
            let mut versions: Vec<&Version> = artifacts.iter().map(|artifact| &artifact.version).collect();
            versions.sort();
            versions.into_iter().map(Version::to_string).collect()
        };
        let matches = |artifact: &&Artifact| match &reference.selector {
            Selector::Newest => artifact.archived_at.is_none(),
            Selector::Range(range) => artifact.archived_at.is_none() && range.matches(&artifact.version),
            Selector::Exact(version) => artifact.version == *version,
            Selector::Digest(digest) => artifact.digest == *digest,
            Selector::Label(_) => Some(&artifact.version) == active.as_ref(),
        };
        let newest = artifacts.iter().filter(matches).max_by(|first, second| first.version.cmp(&second.version));
        newest.cloned().ok_or_else(|| RegistryError::NotFound {
            kind,
            reference: reference.to_string(),
            versions: versions(),
        })
    }

    /// Takes a version out of what `name` and ranges mean; what is deployed stays so. Doing it twice changes nothing.
    ///
    /// # Errors
    /// `NotFound`, or a registry that cannot be written.
    pub fn archive(&self, kind: Kind, name: &Name, version: &Version) -> Result<Artifact, RegistryError> {
        let reference = Reference::exact(name.clone(), version.clone());
        self.resolve(kind, &reference)?;
        let table = table(kind);
        let sql =
            format!("UPDATE {table} SET archived_at = coalesce(archived_at, ?1) WHERE name = ?2 AND version = ?3");
        let parameters = (self.now(), name.as_str(), version.to_string());
        self.lock().execute(&sql, parameters).map_err(during("archive"))?;
        self.resolve(kind, &reference)
    }

    /// Whether the artifact's files are those that were registered: reads and hashes all of them.
    ///
    /// # Errors
    /// `Damaged`, or a file that cannot be read.
    pub fn verify(&self, artifact: &Artifact) -> Result<(), RegistryError> {
        self.store.verify(&artifact.digest, &artifact.files)
    }

    /// The bytes of an artifact of one file, after their hash was found right.
    ///
    /// # Errors
    /// `Damaged`, or a file that cannot be read.
    pub fn read(&self, artifact: &Artifact) -> Result<Vec<u8>, RegistryError> {
        let bytes = std::fs::read(&artifact.path).map_err(at("read", &artifact.path))?;
        let expected = artifact.files.first().map(|file| file.sha256);
        if expected != Some(Digest::of(&bytes)) {
            return Err(RegistryError::Damaged { path: artifact.path.clone() });
        }
        Ok(bytes)
    }

    fn add(&self, entry: &Entry<'_>, staged: Staged) -> Result<Added, RegistryError> {
        let failed = during("register");
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let rows = select(&transaction, &self.store, entry.kind, Some(entry.name)).map_err(&failed)?;
        if let Some(there) = rows.into_iter().find(|row| row.version == *entry.version) {
            check_same(entry, &staged, &there)?;
            if staged.digest == there.digest {
                // Restores files that were lost or damaged; else nothing.
                self.store.publish(staged)?;
            }
            return Ok(Added::AlreadyThere(there));
        }
        let digest = staged.digest;
        insert_files(&transaction, entry.kind, &staged, &self.now())?;
        insert_entry(&transaction, entry, &digest, &self.now()).map_err(&failed)?;
        // Files first, then the row that names them: a crash in between leaves files that nothing names.
        self.store.publish(staged)?;
        transaction.commit().map_err(&failed)?;
        let rows = select(&connection, &self.store, entry.kind, Some(entry.name)).map_err(&failed)?;
        let row = rows.into_iter().find(|row| row.version == *entry.version);
        Ok(Added::New(row.expect("the row was committed a moment ago, and rows are never removed")))
    }
}

/// A version never changes: the same bytes and options, or nothing.
fn check_same(entry: &Entry<'_>, staged: &Staged, there: &Artifact) -> Result<(), RegistryError> {
    let different = |different| RegistryError::VersionTaken {
        kind: entry.kind,
        name: entry.name.clone(),
        version: entry.version.clone(),
        different,
    };
    if let Record::Rules(rules) = &there.record {
        let identity = rules.identity.to_string();
        let is_same = entry.columns.iter().any(|(column, value)| *column == "identity" && *value == identity);
        return if is_same { Ok(()) } else { Err(different("other rules")) };
    }
    if staged.digest != there.digest || staged.files != there.files {
        return Err(different("other bytes"));
    }
    if let Record::Model(model) = &there.record {
        let written = entry.columns.iter().find(|(column, _)| *column == "options").map(|(_, json)| json.as_str());
        if written.and_then(|json| serde_json::from_str(json).ok()).as_ref() != Some(&model.options) {
            return Err(different("other options"));
        }
    }
    Ok(())
}

/// The one version that active bundles of this environment use.
fn active_version(connection: &Connection, kind: Kind, name: &Name, label: &Label) -> Result<Version, RegistryError> {
    let mut versions = Vec::new();
    for active in deployment::select_active(connection, label)? {
        let bundle = &active.bundle;
        if kind == Kind::Pipeline && bundle.pipeline_name() == name {
            versions.push(bundle.pipeline_version().clone());
        }
        let pins = bundle.parts().artifacts.iter().filter(|pin| pin.kind == kind && pin.name == *name);
        versions.extend(pins.map(|pin| pin.version.clone()));
    }
    versions.sort();
    versions.dedup();
    match versions.as_slice() {
        [] => Err(RegistryError::NotActive { kind, name: name.clone(), label: label.clone() }),
        [version] => Ok(version.clone()),
        several => Err(RegistryError::Ambiguous {
            kind,
            name: name.clone(),
            label: label.clone(),
            versions: several.iter().map(Version::to_string).collect(),
        }),
    }
}
