//! What is loaded once for the process: the Wasm engine, the backend, threads, and code and models that several pipelines share.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::hash::Hash;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;

use super::error::AppError;
use super::gather::Material;
use super::models;
use super::{App, Surroundings};
use crate::backend::onnxruntime::{OnnxRuntime, OnnxRuntimeOptions, TensorRtOptions};
use crate::backend::select::{LibrarySearch, Provider};
use crate::backend::{Backend, BackendError, Model, ModelSource};
use crate::config::{Config, ModelFile};
use crate::name::Digest;
use crate::pipeline::Crew;
use crate::plugin::{EngineSettings, Limits, Plugin, PluginEngine};

#[derive(Default)]
pub(super) struct Loader {
    engine: OnceLock<Arc<PluginEngine>>,
    backend: OnceLock<Arc<dyn Backend>>,
    crew: OnceLock<Arc<Crew>>,
    plugins: Shelf<Digest, Plugin>,
    models: Shelf<(Digest, String), dyn Model>,
    /// The engine that the program carries, for tools.
    carried: Mutex<Option<Arc<Plugin>>>,
    carried_digest: OnceLock<Digest>,
    /// Engines and rule sets whose tests passed in this process.
    passed: Mutex<HashSet<(Digest, Digest)>>,
}

/// So many rule sets are remembered to have passed their tests; then they are forgotten, and run again.
const PASSED_MAX: usize = 4096;

/// What is loaded now, by what it was loaded from; it goes when its last user goes.
struct Shelf<K, T: ?Sized>(Mutex<HashMap<K, Weak<T>>>);

impl<K, T: ?Sized> Default for Shelf<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq + Clone, T: ?Sized> Shelf<K, T> {
    /// What is there, or what `load` gives. One caller loads at a time, so nothing is loaded twice.
    fn get(&self, key: &K, load: impl FnOnce() -> Result<Arc<T>, AppError>) -> Result<Arc<T>, AppError> {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = shelf.get(key).and_then(Weak::upgrade) {
            return Ok(loaded);
        }
        let loaded = load()?;
        shelf.retain(|_, other| other.strong_count() > 0);
        shelf.insert(key.clone(), Arc::downgrade(&loaded));
        Ok(loaded)
    }
}

impl Loader {
    pub(super) fn engine(&self, config: &Config) -> Result<&Arc<PluginEngine>, AppError> {
        if let Some(engine) = self.engine.get() {
            return Ok(engine);
        }
        let settings = EngineSettings {
            cache_dir: Some(config.data_dir.join("compiled")),
            memory_bytes_max: config.plugins.memory_bytes.max(config.rules.memory_bytes),
        };
        let engine = Arc::new(PluginEngine::new(settings)?);
        Ok(self.engine.get_or_init(|| engine))
    }

    pub(super) fn backend(&self, config: &Config, surroundings: &Surroundings) -> Result<&Arc<dyn Backend>, AppError> {
        if let Some(backend) = self.backend.get() {
            return Ok(backend);
        }
        let runtime = open_onnxruntime(config, surroundings)?;
        tracing::debug!(library = %runtime.library().display(), version = runtime.version(), "ONNX Runtime is loaded");
        for (provider, reason) in &runtime.providers().refused {
            tracing::info!(%provider, reason, "execution provider is not used");
        }
        Ok(self.backend.get_or_init(|| Arc::new(runtime)))
    }

    /// The carried engine, compiled once.
    pub(super) fn carried_engine(
        &self,
        compile: impl FnOnce() -> Result<Arc<Plugin>, AppError>,
    ) -> Result<Arc<Plugin>, AppError> {
        let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = &*carried {
            return Ok(Arc::clone(engine));
        }
        Ok(Arc::clone(carried.insert(compile()?)))
    }

    pub(super) fn carried_digest(&self, bytes: &[u8]) -> Digest {
        *self.carried_digest.get_or_init(|| Digest::of(bytes))
    }

    pub(super) fn has_passed(&self, pair: &(Digest, Digest)) -> bool {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).contains(pair)
    }

    pub(super) fn note_passed(&self, pair: (Digest, Digest)) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.len() >= PASSED_MAX {
            passed.clear();
        }
        passed.insert(pair);
    }

    pub(super) fn crew(&self) -> Result<&Arc<Crew>, AppError> {
        if let Some(crew) = self.crew.get() {
            return Ok(crew);
        }
        let crew = Arc::new(Crew::start(cores()).map_err(AppError::Threads)?);
        Ok(self.crew.get_or_init(|| crew))
    }
}

impl App {
    /// The limits of the configuration, which steps may lower.
    pub(super) fn plugin_limits(&self) -> Limits {
        let plugins = &self.config.plugins;
        Limits {
            deadline: plugins.deadline,
            open_deadline: plugins.open,
            tools_deadline: plugins.tools,
            memory_bytes: plugins.memory_bytes,
            handles: u32::try_from(plugins.handles).unwrap_or(u32::MAX),
            sent_bytes: plugins.sent_bytes,
            tensor_bytes: plugins.tensor_bytes as u64,
            concurrency: plugins.concurrency,
            warm_instances: plugins.warm_instances,
        }
    }

    /// The compiled code of a plugin, after its bytes were checked against its digest.
    pub(super) fn plugin(&self, material: &Material) -> Result<Arc<Plugin>, AppError> {
        self.loader.plugins.get(&material.digest, || {
            let bytes = material.verified_bytes(self)?;
            let engine = self.plugin_engine()?;
            let plugin = Plugin::compile(engine, &material.label(), &bytes, self.config.plugins.concurrency)?;
            Ok(Arc::new(plugin))
        })
    }

    /// A loaded and warmed model, after its files were checked against their digest.
    pub(super) fn model(&self, material: &Material, options: &ModelFile) -> Result<Arc<dyn Model>, AppError> {
        let backend = self.backend()?;
        let written = serde_json::to_string(options).expect("options are plain data");
        self.loader.models.get(&(material.digest, written.clone()), || {
            material.verify(self)?;
            let mut resolved = models::options(&self.config, options);
            resolved.optimized_cache = self.optimized_cache(material, &written, &backend.describe());
            let source = ModelSource { label: material.label(), path: material.path.clone(), options: resolved };
            let model: Arc<dyn Model> = backend.load(&source)?.into();
            models::warm_up(&*model, &material.label(), options)?;
            Ok(model)
        })
    }

    /// Where the optimised form of a model is kept, by everything that shapes it; `None` if the folder cannot be made.
    fn optimized_cache(&self, material: &Material, options: &str, backend: &str) -> Option<PathBuf> {
        let folder = self.config.data_dir.join("optimized");
        if let Err(error) = fs::create_dir_all(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "optimised models are not kept");
            return None;
        }
        let level = self.config.inference.onnx.graph_optimization_level;
        let key = format!("{} {options} {level:?} {backend} {}", material.digest, cpu_features());
        Some(folder.join(format!("{}.onnx", Digest::of(key.as_bytes()).hex())))
    }
}

pub(super) fn open_onnxruntime(config: &Config, surroundings: &Surroundings) -> Result<OnnxRuntime, AppError> {
    let options = OnnxRuntimeOptions {
        search: library_search(config, surroundings),
        providers: providers(config)?,
        tensorrt: TensorRtOptions::default(),
    };
    Ok(OnnxRuntime::open(&options)?)
}

fn library_search(config: &Config, surroundings: &Surroundings) -> LibrarySearch {
    LibrarySearch {
        configured: config.inference.onnx.library.clone(),
        environment: surroundings.onnxruntime.clone(),
        executable: surroundings.executable.clone(),
        data_dir: Some(config.data_dir.clone()),
    }
}

fn providers(config: &Config) -> Result<Vec<Provider>, AppError> {
    let parse = |name: &String| {
        name.parse().map_err(|_| {
            AppError::Backend(BackendError::Unavailable {
                backend: "onnxruntime",
                reason: format!("there is no execution provider `{name}`"),
                looked_in: Vec::new(),
                hint: format!(
                    "`inference.onnx.providers` knows {}",
                    Provider::ALL.map(|known| known.name()).join(", ")
                ),
            })
        })
    };
    config.inference.onnx.providers.iter().map(parse).collect()
}

/// The instruction sets for which optimised models differ.
fn cpu_features() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let features = [
            ("avx2", is_x86_feature_detected!("avx2")),
            ("fma", is_x86_feature_detected!("fma")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
            ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
            ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
        ];
        features.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name).collect::<Vec<_>>().join("+")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH.to_owned()
    }
}

pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
