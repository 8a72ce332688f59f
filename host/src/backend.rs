//! What an engine that runs models must be able to do. Both traits are synchronous; nothing here knows plugins or pipelines.

pub mod fake;
pub mod onnxruntime;
pub mod select;

mod check;
#[cfg(test)]
mod contract;
mod instances;
mod watchdog;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::infer::Deadline;
use crate::tensor::{Datatype, Signature, Tensor};

/// An engine that loads models, such as ONNX Runtime. One lives for the whole process.
pub trait Backend: Send + Sync {
    /// `onnxruntime`, as in the registry and in the configuration.
    fn name(&self) -> &'static str;

    /// What it runs on, for people: library version, where it was found, devices or providers in use.
    fn describe(&self) -> String;

    /// Loads a model and makes all of its instances.
    ///
    /// # Errors
    /// `BackendError` says what was attempted; a bad model never takes the process down.
    fn load(&self, source: &ModelSource) -> Result<Box<dyn Model>, BackendError>;
}

/// One loaded model with all of its instances; shared by all threads.
pub trait Model: Send + Sync {
    /// What it takes and gives, with the overrides of its options applied.
    fn signature(&self) -> &Signature;

    /// What the file says of itself: producer, labels, custom keys.
    fn metadata(&self) -> &BTreeMap<String, String>;

    /// Runs once on one free instance, on the calling thread. Waits for an instance no longer than the deadline, and
    /// stops the run itself when the deadline is over.
    ///
    /// Inputs are checked against the signature here. `wanted` empty: all outputs, in the model's order; else in this order.
    ///
    /// # Errors
    /// `InvalidInput` where the inputs are at fault, `DeadlineExceeded`, or `Run` with the engine's message.
    fn run(&self, inputs: &[(&str, &Tensor)], wanted: &[&str], deadline: &Deadline) -> Result<ModelRun, BackendError>;
}

/// What a run gave.
#[derive(Debug)]
pub struct ModelRun {
    pub outputs: Vec<(String, Tensor)>,
    /// How long it waited for a free instance.
    pub queue_ns: u64,
}

/// Which file to load, and how.
#[derive(Clone, Debug)]
pub struct ModelSource {
    /// `centerface@1.0.0`, for messages.
    pub label: String,
    pub path: PathBuf,
    pub options: ModelOptions,
}

/// What may stand beside a model (`NAME.model.yaml`), resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelOptions {
    /// Replaces what the file declares, by tensor name.
    pub inputs: BTreeMap<String, TensorOverride>,
    pub outputs: BTreeMap<String, TensorOverride>,
    pub instances: usize,
    pub intra_op_threads: usize,
    pub optimization: Optimization,
    /// Where an optimised form of the model may be kept and looked for. It is machine-specific and made by this host alone.
    pub optimized_cache: Option<PathBuf>,
}

impl ModelOptions {
    /// One instance with one thread and nothing overridden.
    pub fn single() -> Self {
        Self {
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            instances: 1,
            intra_op_threads: 1,
            optimization: Optimization::All,
            optimized_cache: None,
        }
    }
}

/// What a model's options say of one tensor; what is left out stays as declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TensorOverride {
    pub datatype: Option<Datatype>,
    pub shape: Option<Vec<i64>>,
    pub multiple_of: Vec<u64>,
}

/// How far a backend may rewrite the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optimization {
    None,
    Basic,
    Extended,
    All,
}

/// Why a backend cannot be used, or a model cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The engine's library or a provider is not there.
    #[error("backend `{backend}` is not available: {reason}{}", list(looked_in))]
    Unavailable { backend: &'static str, reason: String, looked_in: Vec<PathBuf>, hint: String },
    #[error("load model `{model}` from `{}`: {reason}", path.display())]
    Load { model: String, path: PathBuf, reason: String },
    #[error("model `{model}`: {reason}")]
    InvalidInput { model: String, reason: String },
    #[error("model `{model}` was out of time")]
    DeadlineExceeded { model: String },
    #[error("run model `{model}`: {reason}")]
    Run { model: String, reason: String },
}

impl BackendError {
    /// A `Load` error for this file.
    pub fn load(model: &str, path: &Path, reason: impl ToString) -> Self {
        Self::Load { model: model.to_owned(), path: path.to_owned(), reason: reason.to_string() }
    }
}

fn list(looked_in: &[PathBuf]) -> String {
    let places: Vec<String> = looked_in.iter().map(|path| format!("`{}`", path.display())).collect();
    if places.is_empty() { String::new() } else { format!("; looked in {}", places.join(", ")) }
}
