//! Registering: models, plugins and pipelines are looked at, loaded once, and then recorded with what was found out.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::App;
use super::error::AppError;
use super::gather::{STORED_FIXTURES, Target, TestFiles, read_bounded};
use super::models;
use crate::backend::ModelSource;
use crate::config::ModelFile;
use crate::name::{Name, NameError, Version};
use crate::pipeline::golden::{TestFile, test_file};
use crate::plugin::{Plugin, PluginInfo};
use crate::registry::{Added, NewModel, NewPipeline, NewPlugin, PluginRecord, inspect_model};
use crate::tensor::{Signature, TensorSpec};

/// The largest plugin, and the largest file of a golden test.
const PLUGIN_BYTES_MAX: u64 = 256 << 20;
const TEST_FILE_BYTES_MAX: u64 = 64 << 20;

/// The version of what does not say its own.
const FIRST_VERSION: Version = Version::new(1, 0, 0);

/// A model file to register, and what was said about it.
#[derive(Clone, Debug, Default)]
pub struct NewModelFile {
    pub file: PathBuf,
    /// Its options; `None`: the file beside it, if there is one.
    pub options: Option<PathBuf>,
    pub name: Option<Name>,
    pub version: Option<Version>,
    pub metadata: Map<String, Value>,
}

impl NewModelFile {
    pub(super) fn of(path: &Path) -> Self {
        Self { file: path.to_owned(), ..Self::default() }
    }
}

/// What a model is, as its file and its options say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelReport {
    pub name: Name,
    pub version: Version,
    /// `auto`, or the backend that its options name.
    pub backend: String,
    pub signature: Value,
    pub options: Value,
    pub metadata: Map<String, Value>,
}

/// What a plugin is, imports and exports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PluginReport {
    pub name: String,
    pub version: String,
    pub description: String,
    pub contract: String,
    pub interfaces: Vec<String>,
    /// Everything that it can want: what it does not use is not in it.
    pub imports: Vec<String>,
    pub config_schema: Value,
    pub labels: Vec<(String, String)>,
    pub size_bytes: u64,
    pub sha256: String,
}

/// Name, version and options of a model: as said, else as its options say, else by its file's name.
pub(super) fn model_identity(path: &Path, new: &NewModelFile) -> Result<(Name, Version, ModelFile), AppError> {
    let beside = ModelFile::path_beside(path);
    let options_path = new.options.clone().or_else(|| beside.exists().then_some(beside));
    let options = options_path.map(|path| ModelFile::read(&path)).transpose()?.unwrap_or_default();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = match new.name.clone().or_else(|| options.name.clone()) {
        Some(name) => name,
        None => stem.parse().map_err(|source: NameError| AppError::FileName { text: stem.clone(), source })?,
    };
    let version = new.version.clone().or_else(|| options.version.clone()).unwrap_or(FIRST_VERSION);
    Ok((name, version, options))
}

impl App {
    /// Registers a model after loading it once, which shows that it loads and gives its signature.
    ///
    /// # Errors
    /// If it is no model, does not load, or its version is taken by something else.
    pub fn add_model(&self, new: &NewModelFile) -> Result<Added, AppError> {
        let report = self.inspect_model(new)?;
        Ok(self.registry()?.add_model(&NewModel {
            name: report.name,
            version: report.version,
            file: &new.file,
            backend: &report.backend,
            signature: report.signature,
            options: report.options,
            metadata: report.metadata.into(),
        })?)
    }

    /// What a model file is, found out by loading it, without registering it.
    ///
    /// # Errors
    /// If it is no model, or does not load.
    pub fn inspect_model(&self, new: &NewModelFile) -> Result<ModelReport, AppError> {
        let (name, version, options) = model_identity(&new.file, new)?;
        inspect_model(&new.file)?;
        let source = ModelSource {
            label: format!("{name}@{version}"),
            path: new.file.clone(),
            options: crate::backend::ModelOptions { instances: 1, ..models::options(self.config(), &options) },
        };
        let model = self.backend()?.load(&source)?;
        models::warm_up(&*model, &source.label, &options)?;
        let mut metadata: Map<String, Value> =
            model.metadata().iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        metadata.extend(new.metadata.clone());
        Ok(ModelReport {
            name,
            version,
            backend: options.backend.as_str().to_owned(),
            signature: signature_json(model.signature()),
            options: serde_json::to_value(&options).expect("options are plain data"),
            metadata,
        })
    }

    /// Registers a plugin under the name and version that it gives itself.
    ///
    /// # Errors
    /// If it is no plugin that this host can run, or its version is taken by something else.
    pub fn add_plugin(&self, file: &Path) -> Result<Added, AppError> {
        let bytes = read_bounded(file, "plugin file", PLUGIN_BYTES_MAX)?;
        self.add_plugin_bytes(file, &bytes)
    }

    pub(super) fn add_plugin_bytes(&self, file: &Path, bytes: &[u8]) -> Result<Added, AppError> {
        let report = self.inspect_plugin_bytes(file, bytes)?;
        let manifest = |reason: NameError| AppError::Manifest { reason: reason.to_string() };
        Ok(self.registry()?.add_plugin(&NewPlugin {
            name: report.name.parse().map_err(manifest)?,
            version: report.version.parse().map_err(manifest)?,
            bytes,
            record: PluginRecord {
                contract: report.contract,
                interfaces: report.interfaces,
                imports: report.imports,
                config_schema: report.config_schema,
                manifest: json!({"description": report.description, "labels": report.labels}),
            },
        })?)
    }

    /// What a plugin file is, without registering it.
    ///
    /// # Errors
    /// If it is no plugin that this host can run.
    pub fn inspect_plugin(&self, file: &Path) -> Result<PluginReport, AppError> {
        let bytes = read_bounded(file, "plugin file", PLUGIN_BYTES_MAX)?;
        self.inspect_plugin_bytes(file, &bytes)
    }

    pub(super) fn inspect_plugin_bytes(&self, file: &Path, bytes: &[u8]) -> Result<PluginReport, AppError> {
        let label = file.file_name().unwrap_or_default().to_string_lossy();
        let plugin = Plugin::compile(self.plugin_engine()?, &label, bytes, 1)?;
        let info = plugin.describe(self.plugin_limits())?;
        let config_schema = check_info(&info)?;
        Ok(PluginReport {
            name: info.name,
            version: info.version,
            description: info.description,
            contract: plugin.contract_version().to_owned(),
            interfaces: plugin.interfaces().into_iter().map(str::to_owned).collect(),
            imports: plugin.imports().to_vec(),
            config_schema,
            labels: info.labels,
            size_bytes: bytes.len() as u64,
            sha256: crate::name::Digest::of(bytes).hex(),
        })
    }

    /// Registers a pipeline with the files of its tests, after it was checked against what is registered.
    ///
    /// # Errors
    /// Everything that is wrong with it, or a version that is taken by something else.
    pub fn add_pipeline(&self, file: &Path, fixtures: Option<&Path>) -> Result<Added, AppError> {
        let assembly = self.gather(&Target::PipelineFile(file.to_owned()), fixtures)?;
        self.plan(&assembly)?;
        let text = read_bounded(file, "pipeline file", PLUGIN_BYTES_MAX)?;
        let files = test_files(&assembly.spec, &assembly.test_files)?;
        Ok(self.registry()?.add_pipeline(&NewPipeline {
            name: assembly.spec.name.clone(),
            version: assembly.spec.version.clone(),
            text: &String::from_utf8_lossy(&text),
            parsed: assembly.spec.document.value.clone(),
            files: &files,
        })?)
    }
}

/// The files that golden tests read, by the names under which the registry keeps them.
fn test_files(
    spec: &crate::pipeline::spec::PipelineSpec,
    places: &TestFiles,
) -> Result<Vec<(String, Vec<u8>)>, AppError> {
    let mut files = std::collections::BTreeMap::new();
    for written in spec.tests.iter().flat_map(|test| test.files()) {
        // A name that points outside was reported when the file was checked.
        let Ok(named) = test_file(written) else { continue };
        let (stored, path) = match named {
            TestFile::Beside(path) => (path.to_owned(), places.beside.join(path)),
            TestFile::Fixture(path) => (format!("{STORED_FIXTURES}/{path}"), places.fixtures.join(path)),
        };
        files.insert(stored, read_bounded(&path, "test file", TEST_FILE_BYTES_MAX)?);
    }
    Ok(files.into_iter().collect())
}

/// Name, version and schema must be usable before anything is recorded.
fn check_info(info: &PluginInfo) -> Result<Value, AppError> {
    let wrong = |reason: String| AppError::Manifest { reason };
    info.name.parse::<Name>().map_err(|error| wrong(error.to_string()))?;
    info.version.parse::<Version>().map_err(|error| wrong(error.to_string()))?;
    let schema: Value = serde_json::from_str(&info.config_schema)
        .map_err(|error| wrong(format!("its configuration schema is not JSON: {error}")))?;
    crate::pipeline::schema::Checker::new(schema.clone())
        .map_err(|error| wrong(format!("its configuration schema is not a JSON Schema: {error}")))?;
    Ok(schema)
}

/// A signature as the registry and `--json` have it.
pub(super) fn signature_json(signature: &Signature) -> Value {
    let spec = |spec: &TensorSpec| json!({"name": spec.name, "datatype": spec.datatype.map(crate::tensor::Datatype::name), "shape": spec.shape});
    json!({
        "inputs": signature.inputs.iter().map(spec).collect::<Vec<_>>(),
        "outputs": signature.outputs.iter().map(spec).collect::<Vec<_>>(),
    })
}
