//! Models: from the options file to what a backend is told, and the first runs before a model serves.

use std::time::Duration;

use super::error::AppError;
use super::loader::cores;
use crate::backend::{BackendError, Model, ModelOptions, Optimization, TensorOverride};
use crate::config::{Config, GraphOptimization, ModelFile, ModelTensor};
use crate::infer::Deadline;
use crate::tensor::Tensor;

/// A model whose first run takes longer does not load: its graph may be one that never ends.
const WARM_UP_MAX: Duration = Duration::from_secs(60);

/// The options of a model under this configuration, without a place for its optimised form.
pub(super) fn options(config: &Config, file: &ModelFile) -> ModelOptions {
    let onnx = &config.inference.onnx;
    let overrides = |tensors: &std::collections::BTreeMap<String, ModelTensor>| {
        tensors.iter().map(|(name, tensor)| (name.clone(), tensor_override(tensor))).collect()
    };
    ModelOptions {
        inputs: overrides(&file.inputs),
        outputs: overrides(&file.outputs),
        instances: file.instances.resolve(cores()),
        intra_op_threads: onnx.intra_op_threads,
        optimization: match onnx.graph_optimization_level {
            GraphOptimization::None => Optimization::None,
            GraphOptimization::Basic => Optimization::Basic,
            GraphOptimization::Extended => Optimization::Extended,
            GraphOptimization::All => Optimization::All,
        },
        optimized_cache: None,
    }
}

fn tensor_override(tensor: &ModelTensor) -> TensorOverride {
    TensorOverride { datatype: tensor.datatype, shape: tensor.shape.clone(), multiple_of: tensor.multiple_of.clone() }
}

/// Runs the model on zeros as its options say: first runs plan memory and are slow.
pub(super) fn warm_up(model: &dyn Model, label: &str, file: &ModelFile) -> Result<(), AppError> {
    for inputs in &file.warm_up {
        let mut tensors = Vec::with_capacity(inputs.len());
        for (name, zeros) in inputs {
            let spec = model.signature().inputs.iter().find(|spec| spec.name == *name);
            let datatype = spec
                .and_then(|spec| spec.datatype)
                .ok_or_else(|| refused(label, format!("it has no input `{name}`")))?;
            let tensor = Tensor::zeros(datatype, &zeros.zeros).map_err(|error| refused(label, error.to_string()))?;
            tensors.push((name.as_str(), tensor));
        }
        let inputs: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
        model.run(&inputs, &[], &Deadline::after(WARM_UP_MAX))?;
    }
    Ok(())
}

fn refused(label: &str, reason: String) -> AppError {
    AppError::Backend(BackendError::InvalidInput { model: label.to_owned(), reason: format!("warm-up: {reason}") })
}
