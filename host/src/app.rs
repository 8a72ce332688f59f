//! The application: the only place where configuration, registry, backends, plugins and pipelines meet.
//!
//! `rules` and `rules_engine` know rule sets and the engine that the program carries for them.
//!
//! `gather` finds what a pipeline names and seals it into a bundle, `load` makes a generation of it, `golden` runs its tests, `add` and
//! `deploy` change the registry, `serving` holds the generations that doors answer from.

mod add;
mod compiled_rules;
mod deploy;
mod error;
mod gather;
mod generation;
mod golden;
mod loader;
mod models;
mod redeploy;
mod rules;
mod rules_engine;
mod serving;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use time::OffsetDateTime;

pub use add::{ModelReport, NewModelFile, PluginReport};
pub use deploy::{Deployment, Plan as DeployPlan};
pub use error::AppError;
pub use gather::{Assembly, Target};
pub use generation::Generation;
pub use golden::TestResult;
pub use redeploy::{RedeployPlan, Redeployed};
pub use rules::RulesReport;
pub use serving::{Follower, Serving};

use crate::backend::Backend;
use crate::backend::onnxruntime::OnnxRuntime;
use crate::config::Config;
use crate::pipeline::{Crew, RecordSettings, Recorder};
use crate::plugin::PluginEngine;
use crate::registry::{Registry, RegistryPaths};

use loader::Loader;

/// One process's view of a data folder: everything that the command line and a server do goes through it.
///
/// Engine, backend and registry are opened when they are first needed, so that looking at a configuration costs nothing.
pub struct App {
    config: Config,
    /// Paths and names that come from the environment, not from the configuration.
    surroundings: Surroundings,
    registry: OnceLock<Registry>,
    loader: Loader,
    /// `None` inside where nothing is to be recorded.
    recorder: OnceLock<Option<Arc<Recorder>>>,
}

/// What of the process's environment the application looks at.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The library of ONNX Runtime, if a variable names it.
    pub onnxruntime: Option<PathBuf>,
    pub executable: Option<PathBuf>,
}

impl App {
    pub fn new(config: Config, surroundings: Surroundings) -> Arc<Self> {
        Arc::new(Self {
            config,
            surroundings,
            registry: OnceLock::new(),
            loader: Loader::default(),
            recorder: OnceLock::new(),
        })
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The registry, made where there is none.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn registry(&self) -> Result<&Registry, AppError> {
        if let Some(registry) = self.registry.get() {
            return Ok(registry);
        }
        let paths =
            RegistryPaths { database: self.config.model_registry.path.clone(), data_dir: self.config.data_dir.clone() };
        let opened = Registry::open(&paths, OffsetDateTime::now_utc)?;
        Ok(self.registry.get_or_init(|| opened))
    }

    /// The Wasm engine.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn plugin_engine(&self) -> Result<&Arc<PluginEngine>, AppError> {
        self.loader.engine(&self.config)
    }

    /// The backend that runs models.
    ///
    /// # Errors
    /// If it is not available, with where it was looked for.
    pub fn backend(&self) -> Result<&Arc<dyn Backend>, AppError> {
        self.loader.backend(&self.config, &self.surroundings)
    }

    /// ONNX Runtime itself, for what `doctor` and `backend list` say of it.
    ///
    /// # Errors
    /// If it is not available, with where it was looked for.
    pub fn onnxruntime(&self) -> Result<OnnxRuntime, AppError> {
        loader::open_onnxruntime(&self.config, &self.surroundings)
    }

    /// Records the runs of rule sets that are loaded from now on, if the configuration says where. For servers: tests of a
    /// pipeline are no traffic.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn start_recording(&self) -> Result<(), AppError> {
        let record = &self.config.rules.record;
        let recorder = match &record.path {
            None => None,
            Some(path) => {
                let settings =
                    RecordSettings { path, bytes_max: record.bytes_max, sample: record.sample, redact: &record.redact };
                Some(Arc::new(Recorder::start(&settings).map_err(AppError::file("open", path))?))
            }
        };
        self.recorder.get_or_init(|| recorder);
        Ok(())
    }

    fn recorder(&self) -> Option<Arc<Recorder>> {
        self.recorder.get().cloned().flatten()
    }

    fn crew(&self) -> Result<&Arc<Crew>, AppError> {
        self.loader.crew()
    }
}
