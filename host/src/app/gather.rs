//! From a reference or a file to a bundle: finds everything that a pipeline names, and pins it. Loads nothing but signatures.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::App;
use super::error::AppError;
use super::rules_engine;
use crate::config::ModelFile;
use crate::name::{Digest, Kind, Label, Name, Reference, Selector, Version};
use crate::pipeline::document::Diagnostic;
use crate::pipeline::spec::{PipelineSpec, StepKind};
use crate::plugin::{Interface, Isolation, Usage};
use crate::registry::{
    ActiveBundle, Artifact, Bundle, BundleParts, Pin, Record, RegistryError, inspect_model, model_digest,
};
use crate::tensor::Signature;

/// The largest pipeline file.
const PIPELINE_BYTES_MAX: u64 = 4 << 20;

/// What somebody wants to serve, run or deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A registered pipeline, model or plugin.
    Reference(Reference),
    /// A model file that need not be registered.
    ModelFile(PathBuf),
    /// A pipeline file; what it names is registered.
    PipelineFile(PathBuf),
}

impl Target {
    /// A file by its ending, else a reference.
    ///
    /// # Errors
    /// Text that is neither.
    pub fn parse(text: &str) -> Result<Self, crate::name::NameError> {
        let path = Path::new(text);
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("onnx") => Ok(Self::ModelFile(path.to_owned())),
            Some("yaml" | "yml" | "json") => Ok(Self::PipelineFile(path.to_owned())),
            _ => text.parse().map(Self::Reference),
        }
    }
}

/// One file, or several, that a pipeline names: found, with its digest.
#[derive(Clone, Debug)]
pub(super) struct Material {
    pub(super) kind: Kind,
    pub(super) name: Name,
    pub(super) version: Version,
    pub(super) digest: Digest,
    /// The main file.
    pub(super) path: PathBuf,
    /// What the registry knows; `None` for a file that is not registered.
    pub(super) artifact: Option<Artifact>,
    /// A model's options.
    pub(super) options: Value,
}

impl Material {
    pub(super) fn of(artifact: Artifact) -> Self {
        let options = match &artifact.record {
            Record::Model(record) => record.options.clone(),
            Record::Plugin(_) | Record::Rules(_) | Record::Pipeline(_) => Value::Null,
        };
        Self {
            kind: artifact.kind,
            name: artifact.name.clone(),
            version: artifact.version.clone(),
            digest: artifact.digest,
            path: artifact.path.clone(),
            artifact: Some(artifact),
            options,
        }
    }

    /// `image@1.2.0`
    pub(super) fn label(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// Whether the files are still what they were when they were registered.
    pub(super) fn verify(&self, app: &App) -> Result<(), AppError> {
        match &self.artifact {
            Some(artifact) => Ok(app.registry()?.verify(artifact)?),
            None => Ok(()),
        }
    }

    pub(super) fn verified_bytes(&self, app: &App) -> Result<Vec<u8>, AppError> {
        match &self.artifact {
            Some(artifact) => Ok(app.registry()?.read(artifact)?),
            None => fs::read(&self.path).map_err(AppError::file("read", &self.path)),
        }
    }

    fn pin(&self) -> Pin {
        Pin { kind: self.kind, name: self.name.clone(), version: self.version.clone(), sha256: self.digest }
    }
}

/// A pipeline with all that it names, pinned, and where its tests find their files.
pub struct Assembly {
    pub bundle: Bundle,
    pub(super) spec: PipelineSpec,
    pub(super) materials: Vec<Material>,
    /// By kind and text of the reference as it stands in the spec.
    found: BTreeMap<(Kind, String), usize>,
    pub(super) test_files: TestFiles,
    /// `onnx_onnxv1` for a model by itself.
    pub(super) platform: &'static str,
}

/// Where the files of golden tests lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TestFiles {
    pub(super) beside: PathBuf,
    pub(super) fixtures: PathBuf,
}

/// Where a registered pipeline keeps the fixtures of its tests.
pub(super) const STORED_FIXTURES: &str = "fixtures";

impl Assembly {
    pub fn spec(&self) -> &PipelineSpec {
        &self.spec
    }

    pub(super) fn material(&self, kind: Kind, reference: &Reference) -> Option<&Material> {
        self.found.get(&(kind, reference.to_string())).map(|&index| &self.materials[index])
    }

    /// The rule engine that the bundle pins, where it has a rule set.
    pub(super) fn rules_engine(&self) -> Option<&Material> {
        let name = rules_engine::name();
        self.materials.iter().find(|material| material.kind == Kind::Plugin && material.name == name)
    }

    /// The parameters of a rules step as the bundle pins them.
    pub(super) fn rule_params(&self, step: &Name) -> Map<String, Value> {
        let params = self.bundle.parts().rule_params.get(step.as_str());
        params.and_then(Value::as_object).cloned().unwrap_or_default()
    }

    /// A model's options as the bundle has them.
    pub(super) fn model_options(&self, material: &Material) -> Result<ModelFile, AppError> {
        let options = self.bundle.parts().model_options.get(material.label()).cloned().unwrap_or_else(|| json!({}));
        Ok(ModelFile::parse(&options.to_string(), Path::new(&material.label()))?)
    }
}

impl App {
    /// Finds everything that a target names and seals it into a bundle.
    ///
    /// # Errors
    /// What is not registered, or wrong with the file, all of it.
    pub fn gather(&self, target: &Target, fixtures: Option<&Path>) -> Result<Assembly, AppError> {
        match target {
            Target::PipelineFile(path) => self.gather_file(path, fixtures),
            Target::ModelFile(path) => {
                let material = self.unregistered_model(path)?;
                self.gather_one(StepKind::Model, material)
            }
            Target::Reference(reference) => self.gather_reference(reference),
        }
    }

    fn gather_file(&self, path: &Path, fixtures: Option<&Path>) -> Result<Assembly, AppError> {
        let spec = read_spec(path)?;
        let beside = path.parent().unwrap_or(Path::new("")).to_owned();
        let fixtures = fixtures.map_or_else(|| self.config().data_dir.join("fixtures"), Path::to_owned);
        self.assemble(spec, None, TestFiles { beside, fixtures })
    }

    fn gather_reference(&self, reference: &Reference) -> Result<Assembly, AppError> {
        let registry = self.registry()?;
        for (kind, step) in
            [(Kind::Pipeline, None), (Kind::Model, Some(StepKind::Model)), (Kind::Plugin, Some(StepKind::Plugin))]
        {
            let artifact = match registry.resolve(kind, reference) {
                Ok(artifact) => artifact,
                Err(RegistryError::NotFound { versions, .. }) if versions.is_empty() => continue,
                Err(error) => return Err(error.into()),
            };
            return match step {
                Some(step) => self.gather_one(step, Material::of(artifact)),
                None => self.gather_registered(&artifact),
            };
        }
        Err(AppError::Unknown { reference: reference.to_string() })
    }

    fn gather_registered(&self, artifact: &Artifact) -> Result<Assembly, AppError> {
        let bytes = self.registry()?.read(artifact)?;
        let spec =
            PipelineSpec::parse(&artifact.label(), &String::from_utf8_lossy(&bytes)).map_err(AppError::Pipeline)?;
        self.assemble(spec, None, stored_test_files(artifact))
    }

    /// One model or plugin by itself.
    fn gather_one(&self, kind: StepKind, material: Material) -> Result<Assembly, AppError> {
        let signature = match kind {
            StepKind::Model => self.model_signature(&material)?,
            _ => self.plugin_signature(&material)?,
        };
        let spec = PipelineSpec::of_step(kind, &material.name, &material.version, &signature);
        let nowhere = TestFiles { beside: PathBuf::new(), fixtures: PathBuf::new() };
        let mut assembly = self.assemble(spec, Some(material), nowhere)?;
        if kind == StepKind::Model {
            assembly.platform = "onnx_onnxv1";
        }
        Ok(assembly)
    }

    fn model_signature(&self, material: &Material) -> Result<Signature, AppError> {
        let options = ModelFile::parse(&options_text(&material.options), Path::new(&material.label()))?;
        Ok(self.model(material, &options)?.signature().clone())
    }

    fn plugin_signature(&self, material: &Material) -> Result<Signature, AppError> {
        let opened = self.plugin(material)?.open(Usage {
            step: None,
            interface: Interface::Processor,
            config: "{}".to_owned(),
            isolation: Isolation::Warm,
            limits: self.plugin_limits(),
            grants: std::sync::Arc::default(),
        })?;
        Ok(opened.signature().clone())
    }

    fn unregistered_model(&self, path: &Path) -> Result<Material, AppError> {
        let (name, version, options) = super::add::model_identity(path, &super::add::NewModelFile::of(path))?;
        let digest = model_digest(path, &inspect_model(path)?.external)?;
        Ok(Material {
            kind: Kind::Model,
            name,
            version,
            digest,
            path: path.to_owned(),
            artifact: None,
            options: serde_json::to_value(&options).expect("options are plain data"),
        })
    }

    /// Resolves every reference of the spec; `given` is one that need not be registered.
    fn assemble(
        &self,
        spec: PipelineSpec,
        given: Option<Material>,
        test_files: TestFiles,
    ) -> Result<Assembly, AppError> {
        let mut materials: Vec<Material> = Vec::new();
        let mut found = BTreeMap::new();
        let mut problems = Vec::new();
        for (path, kind, reference) in spec.references() {
            let key = (kind, reference.to_string());
            if found.contains_key(&key) {
                continue;
            }
            match self.find(kind, reference, given.as_ref()) {
                Ok(material) => {
                    let same = |other: &Material| {
                        other.kind == kind
                            && other.name == material.name
                            && other.version == material.version
                            && other.digest == material.digest
                    };
                    let index = materials.iter().position(same).unwrap_or(materials.len());
                    if index == materials.len() {
                        materials.push(material);
                    }
                    found.insert(key, index);
                }
                Err(error) => problems.push(missing(&spec, &path, error)?),
            }
        }
        if !problems.is_empty() {
            return Err(AppError::Pipeline(problems));
        }
        if spec.steps.iter().any(|step| step.kind() == StepKind::Rules) {
            let engine = Material::of(self.ensure_rules_engine()?.ok_or(AppError::NoRulesEngine)?);
            let is_there = |other: &Material| other.kind == Kind::Plugin && other.name == engine.name;
            if !materials.iter().any(is_there) {
                materials.push(engine);
            }
        }
        let bundle = seal(&spec, &materials, &found)?;
        Ok(Assembly { bundle, spec, materials, found, test_files, platform: "inferwit_pipeline" })
    }

    fn find(&self, kind: Kind, reference: &Reference, given: Option<&Material>) -> Result<Material, AppError> {
        if let Some(given) = given.filter(|given| given.kind == kind && given.name == reference.name) {
            return Ok(given.clone());
        }
        Ok(Material::of(self.registry()?.resolve(kind, reference)?))
    }

    /// Finds what a reference means to the clients of an environment: what is active there if it is that, else what is
    /// registered.
    ///
    /// # Errors
    /// As `gather`.
    pub fn gather_as_served(&self, reference: &Reference, environment: &Label) -> Result<Assembly, AppError> {
        let environment = match &reference.selector {
            Selector::Label(label) => label,
            _ => environment,
        };
        let active = self.registry()?.active(environment)?;
        let is_meant = |bundle: &Bundle| match &reference.selector {
            Selector::Newest | Selector::Label(_) => true,
            Selector::Exact(version) => bundle.pipeline_version() == version,
            Selector::Range(range) => range.matches(bundle.pipeline_version()),
            Selector::Digest(digest) => bundle.digest() == *digest,
        };
        let found =
            active.iter().find(|active| *active.bundle.pipeline_name() == reference.name && is_meant(&active.bundle));
        match found {
            Some(active) => self.gather_active(active),
            None => self.gather_reference(reference),
        }
    }

    /// Finds what an active bundle pins, and nothing else.
    ///
    /// # Errors
    /// If the registry has something else under one of the pins.
    pub(super) fn gather_active(&self, active: &ActiveBundle) -> Result<Assembly, AppError> {
        let parts = active.bundle.parts();
        let spec = PipelineSpec::from_json(parts.pipeline.clone()).map_err(AppError::Pipeline)?;
        let mut materials = Vec::with_capacity(parts.artifacts.len());
        let mut found = BTreeMap::new();
        for pin in &parts.artifacts {
            let reference = Reference::exact(pin.name.clone(), pin.version.clone());
            let material = Material::of(self.registry()?.resolve(pin.kind, &reference)?);
            if material.digest != pin.sha256 {
                return Err(AppError::Pin {
                    bundle: active.bundle.digest().to_string(),
                    kind: pin.kind.as_str(),
                    label: material.label(),
                    pinned: pin.sha256.to_string(),
                    found: material.digest.to_string(),
                });
            }
            found.insert((pin.kind, reference.to_string()), materials.len());
            materials.push(material);
        }
        let is_model_alone =
            matches!(&spec.steps[..], [step] if step.kind() == StepKind::Model && step.reference().name == spec.name);
        Ok(Assembly {
            bundle: active.bundle.clone(),
            spec,
            materials,
            found,
            test_files: TestFiles { beside: PathBuf::new(), fixtures: PathBuf::new() },
            platform: if is_model_alone { "onnx_onnxv1" } else { "inferwit_pipeline" },
        })
    }
}

pub(super) fn read_spec(path: &Path) -> Result<PipelineSpec, AppError> {
    let text = read_bounded(path, "pipeline file", PIPELINE_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&text);
    PipelineSpec::parse(&path.display().to_string(), &text).map_err(AppError::Pipeline)
}

pub(super) fn read_bounded(path: &Path, what: &'static str, bytes_max: u64) -> Result<Vec<u8>, AppError> {
    let size_bytes = fs::metadata(path).map_err(AppError::file("read", path))?.len();
    if size_bytes > bytes_max {
        return Err(AppError::TooLarge { what, path: path.to_owned(), size_bytes, bytes_max });
    }
    fs::read(path).map_err(AppError::file("read", path))
}

pub(super) fn stored_test_files(artifact: &Artifact) -> TestFiles {
    let beside = artifact.path.parent().unwrap_or(Path::new("")).to_owned();
    TestFiles { fixtures: beside.join(STORED_FIXTURES), beside }
}

fn options_text(options: &Value) -> String {
    if options.is_null() { "{}".to_owned() } else { options.to_string() }
}

/// A reference that nothing answers to, at its line; other errors are the registry's own.
fn missing(spec: &PipelineSpec, path: &str, error: AppError) -> Result<Diagnostic, AppError> {
    match &error {
        AppError::Registry(
            RegistryError::NotFound { .. } | RegistryError::NotActive { .. } | RegistryError::Ambiguous { .. },
        ) => {
            Ok(spec.document.diagnostic("unknown-artifact", path, error.to_string(), error.hint().unwrap_or_default()))
        }
        _ => Err(error),
    }
}

/// The bundle of a pipeline: everything that shapes its answers, and nothing else.
fn seal(
    spec: &PipelineSpec,
    materials: &[Material],
    found: &BTreeMap<(Kind, String), usize>,
) -> Result<Bundle, AppError> {
    let exact = |kind, reference: &Reference| {
        let material = &materials[found[&(kind, reference.to_string())]];
        Reference::exact(material.name.clone(), material.version.clone())
    };
    let pipeline = spec.to_json(exact);
    let by_step = |key: &str| -> Value {
        let steps = pipeline["steps"].as_array().into_iter().flatten();
        steps
            .filter_map(|step| Some((step["name"].as_str()?.to_owned(), step.get(key)?.clone())))
            .collect::<Map<_, _>>()
            .into()
    };
    let (grants, limits, rule_params) = (by_step("grants"), by_step("limits"), by_step("params"));
    let models = materials.iter().filter(|material| material.kind == Kind::Model);
    let model_options = models.map(|model| (model.label(), model.options.clone())).collect::<Map<_, _>>().into();
    let artifacts = materials.iter().map(Material::pin).collect();
    let parts = BundleParts { pipeline, artifacts, model_options, rule_params, grants, limits };
    Ok(Bundle::seal(parts)?)
}
