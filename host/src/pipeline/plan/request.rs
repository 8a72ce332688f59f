//! A request against what the pipeline declares: inputs, parameters, wanted outputs. Does not run it.

use super::super::document::{nearest, suggest};
use super::super::parameters;
use super::Plan;
use crate::infer::{ErrorCode, InferRequest, Parameters};
use crate::tensor::TensorError;

/// Why a request cannot be run. Every one is the client's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("there is no input `{name}`; {hint}")]
    UnknownInput { name: String, hint: String },
    #[error("input `{0}` is missing")]
    MissingInput(String),
    #[error("input `{0}` is given twice")]
    DuplicateInput(String),
    #[error(transparent)]
    Input(#[from] TensorError),
    #[error("there is no output `{name}`; {hint}")]
    UnknownOutput { name: String, hint: String },
    #[error("output `{0}` is asked for twice")]
    DuplicateOutput(String),
    #[error("there is no parameter `{name}`; {hint}")]
    UnknownParameter { name: String, hint: String },
    #[error("parameter `{0}` is missing")]
    MissingParameter(String),
    #[error("parameter `{name}` {problem}")]
    Parameter { name: String, problem: String },
}

impl RequestError {
    pub fn code(&self) -> ErrorCode {
        ErrorCode::InvalidInput
    }
}

impl Plan {
    /// Checks a request and brings its parameters into their declared types, defaults filled in.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check_request(&self, request: &mut InferRequest) -> Result<(), RequestError> {
        self.check_inputs(request)?;
        self.check_wanted(&request.wanted)?;
        self.check_parameters(&mut request.parameters)
    }

    fn check_inputs(&self, request: &InferRequest) -> Result<(), RequestError> {
        for (index, (name, tensor)) in request.inputs.iter().enumerate() {
            if request.inputs[..index].iter().any(|(other, _)| other == name) {
                return Err(RequestError::DuplicateInput(name.clone()));
            }
            let Some(declared) = self.inputs.iter().find(|declared| declared.name == *name) else {
                let hint = suggest(name, self.inputs.iter().map(|input| input.name.as_str()));
                return Err(RequestError::UnknownInput { name: name.clone(), hint });
            };
            declared.check(tensor)?;
        }
        let is_given = |name: &str| request.inputs.iter().any(|(given, _)| given == name);
        match self.inputs.iter().find(|declared| !declared.optional && !is_given(&declared.name)) {
            Some(missing) => Err(RequestError::MissingInput(missing.name.clone())),
            None => Ok(()),
        }
    }

    fn check_wanted(&self, wanted: &[String]) -> Result<(), RequestError> {
        for (index, name) in wanted.iter().enumerate() {
            if wanted[..index].contains(name) {
                return Err(RequestError::DuplicateOutput(name.clone()));
            }
            if self.outputs.iter().all(|output| output.spec.name != *name) {
                let hint = suggest(name, self.outputs.iter().map(|output| output.spec.name.as_str()));
                return Err(RequestError::UnknownOutput { name: name.clone(), hint });
            }
        }
        Ok(())
    }

    fn check_parameters(&self, given: &mut Parameters) -> Result<(), RequestError> {
        for (name, value) in given.iter_mut() {
            if let Some(declared) = self.parameters.get(name) {
                let admitted = parameters::admit_request(declared, value);
                *value = admitted.map_err(|problem| RequestError::Parameter { name: name.clone(), problem })?;
            } else if !parameters::is_reserved(name) {
                let hint = match nearest(name, self.parameters.keys().map(String::as_str)) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None if self.parameters.is_empty() => format!("`{}` takes none", self.name),
                    None => suggest(name, self.parameters.keys().map(String::as_str)),
                };
                return Err(RequestError::UnknownParameter { name: name.clone(), hint });
            }
        }
        for (name, declared) in &self.parameters {
            if given.contains_key(name) {
                continue;
            }
            let default = declared.default.as_ref().and_then(|value| parameters::from_json(declared.r#type, &value.0));
            let default = default.ok_or_else(|| RequestError::MissingParameter(name.clone()))?;
            given.insert(name.clone(), default);
        }
        Ok(())
    }
}
