//! A backend without an engine, for tests: deterministic models from a small text file or made in code. Never a fallback.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::backend::check::{check_inputs, check_wanted};
use crate::backend::instances::Instances;
use crate::backend::{Backend, BackendError, Model, ModelOptions, ModelRun, ModelSource, TensorOverride};
use crate::infer::Deadline;
use crate::tensor::{Signature, Tensor, TensorSpec};

/// How long a model that waits for its deadline sleeps before it looks again.
const POLL: Duration = Duration::from_millis(1);

/// A fake counts to smaller numbers at once, and to larger ones until its deadline.
const ENDLESS: i64 = 1_000_000;

/// Loads models that were registered by label, else `fake/v1` files.
#[derive(Default)]
pub struct FakeBackend {
    models: BTreeMap<String, FakeModel>,
}

/// What a fake model is.
#[derive(Clone)]
pub struct FakeModel {
    pub signature: Signature,
    pub metadata: BTreeMap<String, String>,
    pub operation: Operation,
}

/// What it does.
#[derive(Clone)]
pub enum Operation {
    /// Each output is the input at the same place.
    Identity,
    /// The first output is the first input plus 1, the second plus 2, and so on; FP32.
    Add,
    /// Counts to its INT64 input one by one: a large number runs until the deadline.
    Count,
    /// Fails with this message.
    Fail(String),
    /// All outputs in the order of the signature, from the inputs as they were given.
    Custom(Custom),
}

type Custom = Arc<dyn Fn(&[(&str, &Tensor)], &Deadline) -> Result<Vec<Tensor>, FakeFailure> + Send + Sync>;

/// Why a fake run gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FakeFailure {
    OutOfTime,
    Failed(String),
}

impl FakeModel {
    /// A model without metadata.
    pub fn new(inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>, operation: Operation) -> Self {
        Self { signature: Signature { inputs, outputs }, metadata: BTreeMap::new(), operation }
    }

    /// The same as a loaded model, with as many instances and such overrides as the options say.
    ///
    /// # Errors
    /// If an override names a tensor that the model does not have.
    pub fn loaded(mut self, label: &str, options: &ModelOptions) -> Result<Box<dyn Model>, String> {
        apply(&mut self.signature.inputs, &options.inputs)?;
        apply(&mut self.signature.outputs, &options.outputs)?;
        let instances = Instances::new(vec![(); options.instances.max(1)]);
        Ok(Box::new(LoadedFake { label: label.to_owned(), model: self, instances }))
    }
}

impl FakeBackend {
    pub fn new() -> Self {
        Self::default()
    }

    /// A source with this label loads this model, whatever its path is.
    #[must_use]
    pub fn with(mut self, label: &str, model: FakeModel) -> Self {
        self.models.insert(label.to_owned(), model);
        self
    }
}

impl Backend for FakeBackend {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn describe(&self) -> String {
        "fake models, for tests".to_owned()
    }

    fn load(&self, source: &ModelSource) -> Result<Box<dyn Model>, BackendError> {
        let model = match self.models.get(&source.label) {
            Some(model) => Ok(model.clone()),
            None => read(&source.path),
        };
        model
            .and_then(|model| model.loaded(&source.label, &source.options))
            .map_err(|reason| BackendError::load(&source.label, &source.path, reason))
    }
}

fn apply(specs: &mut [TensorSpec], overrides: &BTreeMap<String, TensorOverride>) -> Result<(), String> {
    for (name, wanted) in overrides {
        let spec = specs.iter_mut().find(|spec| spec.name == *name);
        let spec = spec.ok_or_else(|| format!("its options name `{name}`, which it does not have"))?;
        spec.datatype = wanted.datatype.or(spec.datatype);
        spec.shape = wanted.shape.clone().or_else(|| spec.shape.take());
        spec.multiple_of = wanted.multiple_of.clone();
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FakeFile {
    schema: String,
    operation: String,
    inputs: Vec<FakeTensor>,
    outputs: Vec<FakeTensor>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FakeTensor {
    name: String,
    datatype: String,
    shape: Vec<i64>,
}

fn read(path: &Path) -> Result<FakeModel, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let file: FakeFile = serde_saphyr::from_str(&text).map_err(|error| error.to_string())?;
    if file.schema != "fake/v1" {
        return Err(format!("its schema is `{}`, must be `fake/v1`", file.schema));
    }
    let operation = match file.operation.as_str() {
        "identity" => Operation::Identity,
        "add" => Operation::Add,
        "count" => Operation::Count,
        "fail" => Operation::Fail("it was made to fail".to_owned()),
        other => return Err(format!("unknown operation `{other}`; known are identity, add, count and fail")),
    };
    let specs = |tensors: Vec<FakeTensor>| {
        let spec = |tensor: FakeTensor| {
            let datatype = tensor.datatype.parse().map_err(|error: crate::tensor::TensorError| error.to_string())?;
            Ok(TensorSpec::new(tensor.name, datatype, &tensor.shape))
        };
        tensors.into_iter().map(spec).collect::<Result<Vec<_>, String>>()
    };
    let mut model = FakeModel::new(specs(file.inputs)?, specs(file.outputs)?, operation);
    model.metadata = file.metadata;
    Ok(model)
}

struct LoadedFake {
    label: String,
    model: FakeModel,
    instances: Instances<()>,
}

impl LoadedFake {
    fn out_of_time(&self) -> BackendError {
        BackendError::DeadlineExceeded { model: self.label.clone() }
    }

    fn compute(&self, inputs: &[(&str, &Tensor)], deadline: &Deadline) -> Result<Vec<Tensor>, FakeFailure> {
        // Checked before: every input of the signature is there.
        let input = |index: usize| {
            let name = &self.model.signature.inputs.get(index)?.name;
            inputs.iter().find(|(given, _)| given == name).map(|(_, tensor)| *tensor)
        };
        let outputs = 0..self.model.signature.outputs.len();
        match &self.model.operation {
            Operation::Identity => {
                outputs.map(|index| input(index).cloned().ok_or_else(|| failed("it has too few inputs"))).collect()
            }
            Operation::Add => {
                let tensor = input(0).ok_or_else(|| failed("it has no input"))?;
                let elements = tensor.as_slice::<f32>().ok_or_else(|| failed("its input is not FP32"))?;
                let plus = |index: usize| elements.iter().map(|element| element + (index + 1) as f32).collect();
                let sum =
                    |index| Tensor::from_vec(tensor.shape(), plus(index)).map_err(|error| failed(error.to_string()));
                outputs.map(sum).collect()
            }
            Operation::Count => {
                let goal = input(0).and_then(|tensor| tensor.as_slice::<i64>()?.first().copied());
                let goal = goal.ok_or_else(|| failed("its input is not INT64"))?;
                if goal > ENDLESS {
                    while !deadline.is_over(Instant::now()) {
                        std::thread::sleep(POLL);
                    }
                    return Err(FakeFailure::OutOfTime);
                }
                let counted = Tensor::from_slice(&[1], &[goal]).map_err(|error| failed(error.to_string()))?;
                Ok(vec![counted])
            }
            Operation::Fail(message) => Err(failed(message)),
            Operation::Custom(custom) => custom(inputs, deadline),
        }
    }
}

fn failed(reason: impl ToString) -> FakeFailure {
    FakeFailure::Failed(reason.to_string())
}

impl Model for LoadedFake {
    fn signature(&self) -> &Signature {
        &self.model.signature
    }

    fn metadata(&self) -> &BTreeMap<String, String> {
        &self.model.metadata
    }

    fn run(&self, inputs: &[(&str, &Tensor)], wanted: &[&str], deadline: &Deadline) -> Result<ModelRun, BackendError> {
        check_inputs(&self.label, self.signature(), inputs)?;
        check_wanted(&self.label, self.signature(), wanted)?;
        let asked = Instant::now();
        if deadline.is_over(asked) {
            return Err(self.out_of_time());
        }
        let _instance = self.instances.take(deadline).ok_or_else(|| self.out_of_time())?;
        let queue_ns = u64::try_from(asked.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let tensors = self.compute(inputs, deadline).map_err(|failure| match failure {
            FakeFailure::OutOfTime => self.out_of_time(),
            FakeFailure::Failed(reason) => BackendError::Run { model: self.label.clone(), reason },
        })?;
        let names = self.signature().outputs.iter().map(|spec| spec.name.clone());
        let mut outputs: Vec<(String, Tensor)> = names.zip(tensors).collect();
        if !wanted.is_empty() {
            outputs.retain(|(name, _)| wanted.contains(&name.as_str()));
            outputs.sort_by_key(|(name, _)| wanted.iter().position(|wanted| wanted == name));
        }
        Ok(ModelRun { outputs, queue_ns })
    }
}
