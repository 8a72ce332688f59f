//! ONNX Runtime as a backend: the library, its providers and loading models. Running them is `model`'s.

mod convert;
mod load;
mod model;
mod onnx_file;
mod protobuf;
mod session;
#[cfg(test)]
pub(super) mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;

use crate::backend::select::{LibrarySearch, Provider, Providers};
use crate::backend::watchdog::Watchdog;
use crate::backend::{Backend, BackendError, Model, ModelSource};

const NAME: &str = "onnxruntime";

/// The oldest library whose interface is understood: that of the `api-24` feature.
const MINOR_VERSION_MIN: u32 = 24;

/// Where the library is and what it may run on.
#[derive(Clone, Debug)]
pub struct OnnxRuntimeOptions {
    pub search: LibrarySearch,
    /// In the order of preference. The CPU is used only if it is listed.
    pub providers: Vec<Provider>,
    pub tensorrt: TensorRtOptions,
}

/// How the TensorRT provider builds its engines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TensorRtOptions {
    pub workspace_bytes: Option<usize>,
    pub fp16: bool,
    pub int8: bool,
    /// Engines are native code for one machine: a folder that only this host writes.
    pub engine_cache: Option<PathBuf>,
}

/// ONNX Runtime, loaded from a shared library.
pub struct OnnxRuntime {
    runtime: Runtime,
    providers: Providers,
    tensorrt: TensorRtOptions,
    watchdog: Arc<Watchdog>,
}

/// The library as this process has it: there is one for the whole process, and it stays.
#[derive(Clone)]
struct Runtime {
    environment: Environment,
    library: PathBuf,
    minor_version: u32,
}

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

impl OnnxRuntime {
    /// Finds and loads the library and tries out the preferred providers.
    ///
    /// # Errors
    /// `Unavailable` if there is no library, it is too old or broken, or none of the providers can be used.
    pub fn open(options: &OnnxRuntimeOptions) -> Result<Self, BackendError> {
        let runtime = Runtime::open(&options.search)?;
        let providers = Providers::choose(&options.providers, |provider| {
            session::try_provider(&runtime.environment, provider, &options.tensorrt)
        })?;
        let watchdog = Watchdog::start("ort-watchdog").map_err(|error| {
            unavailable(format!("its watchdog thread cannot be started: {error}"), None, "raise the limit of threads")
        })?;
        Ok(Self { runtime, providers, tensorrt: options.tensorrt.clone(), watchdog: Arc::new(watchdog) })
    }

    /// What is used, and what was asked for and is not, for the start log and `doctor`.
    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    /// The library's file.
    pub fn library(&self) -> &Path {
        &self.runtime.library
    }

    /// The library's version as far as it is known: `1.31`.
    pub fn version(&self) -> String {
        format!("1.{}", self.runtime.minor_version)
    }
}

impl Runtime {
    fn open(search: &LibrarySearch) -> Result<Self, BackendError> {
        let library = search.find()?;
        let library = library.canonicalize().unwrap_or(library);
        let mut loaded = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*loaded {
            if runtime.library == library {
                return Ok(runtime.clone());
            }
            let reason = format!("this process has loaded `{}` already", runtime.library.display());
            return Err(unavailable(reason, Some(library), "restart to use another library"));
        }
        let minor_version = ort::util::probe(&library);
        if let Some(minor) = minor_version.filter(|&minor| minor < MINOR_VERSION_MIN) {
            let reason =
                format!("the library is version 1.{minor}, and 1.{MINOR_VERSION_MIN} is the oldest that works");
            return Err(unavailable(reason, Some(library), "run `cargo xtask setup` to fetch a newer one"));
        }
        let builder = ort::init_from(&library).map_err(|error| {
            let hint = "run `cargo xtask setup` to fetch a library for this machine, or `inferwit doctor` to see more";
            unavailable(format!("the library cannot be loaded: {error}"), Some(library.clone()), hint)
        })?;
        let environment = builder.with_name("inferwit").with_telemetry(false).build().map_err(|error| {
            unavailable(format!("the library does not start: {error}"), Some(library.clone()), "see the log")
        })?;
        environment.set_log_level(ort::logging::LogLevel::Warning);
        let runtime = Self { environment, library, minor_version: minor_version.unwrap_or(MINOR_VERSION_MIN) };
        Ok(loaded.insert(runtime).clone())
    }
}

fn unavailable(reason: String, library: Option<PathBuf>, hint: &str) -> BackendError {
    BackendError::Unavailable { backend: NAME, reason, looked_in: library.into_iter().collect(), hint: hint.to_owned() }
}

impl Backend for OnnxRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn describe(&self) -> String {
        let used: Vec<&str> = self.providers.used.iter().map(|provider| provider.name()).collect();
        let mut text =
            format!("ONNX Runtime {} at `{}`, on {}", self.version(), self.library().display(), used.join(", "));
        if !self.providers.refused.is_empty() {
            text.push_str(&format!("; not usable: {}", self.providers.refusals()));
        }
        text
    }

    fn load(&self, source: &ModelSource) -> Result<Box<dyn Model>, BackendError> {
        let settings = session::Settings {
            environment: &self.runtime.environment,
            providers: &self.providers.used,
            tensorrt: &self.tensorrt,
        };
        let loaded = load::load(source, &settings)?;
        Ok(Box::new(model::OnnxModel::new(source.label.clone(), loaded, Arc::clone(&self.watchdog))))
    }
}
