//! Checks what a caller gives a model and asks of it against the model's signature. Runs nothing.

use crate::backend::BackendError;
use crate::tensor::{Signature, Tensor, TensorSpec};

/// Every input is known, given once and as the signature says, and none is missing.
pub(super) fn check_inputs(model: &str, signature: &Signature, inputs: &[(&str, &Tensor)]) -> Result<(), BackendError> {
    for (index, (name, tensor)) in inputs.iter().enumerate() {
        let Some(spec) = signature.inputs.iter().find(|spec| spec.name == *name) else {
            return Err(invalid(model, format!("has no input `{name}`; it takes {}", names(&signature.inputs))));
        };
        if inputs[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(invalid(model, format!("input `{name}` is given twice")));
        }
        spec.check(tensor).map_err(|error| invalid(model, error.to_string()))?;
    }
    let missing =
        signature.inputs.iter().find(|spec| !spec.optional && !inputs.iter().any(|(name, _)| *name == spec.name));
    match missing {
        Some(spec) => Err(invalid(model, format!("input `{}` is missing", spec.name))),
        None => Ok(()),
    }
}

/// Every output that is wanted exists and is wanted once.
pub(super) fn check_wanted(model: &str, signature: &Signature, wanted: &[&str]) -> Result<(), BackendError> {
    for (index, name) in wanted.iter().enumerate() {
        if !signature.outputs.iter().any(|spec| spec.name == *name) {
            return Err(invalid(model, format!("has no output `{name}`; it gives {}", names(&signature.outputs))));
        }
        if wanted[..index].contains(name) {
            return Err(invalid(model, format!("output `{name}` is asked for twice")));
        }
    }
    Ok(())
}

fn invalid(model: &str, reason: String) -> BackendError {
    BackendError::InvalidInput { model: model.to_owned(), reason }
}

fn names(specs: &[TensorSpec]) -> String {
    let names: Vec<String> = specs.iter().map(|spec| format!("`{}`", spec.name)).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
