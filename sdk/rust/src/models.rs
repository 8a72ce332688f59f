//! Models that the operator granted to this plugin. Natively there are none.

#[cfg(target_family = "wasm")]
use crate::bindings::manifest::inferwit::plugin::models as host;
#[cfg(not(target_family = "wasm"))]
use crate::memory::models as host;

use crate::{Outputs, RunError, Tensor, TensorSpec};

/// A granted model that is ready to run.
#[derive(Debug)]
pub struct Session(host::Session);

impl Session {
    /// Opens a model by `name`, or `name@version`.
    ///
    /// # Errors
    /// It was not granted or is not there: the two can't be told apart.
    pub fn open(name: &str) -> Result<Self, RunError> {
        host::Session::open(name).map(Self)
    }

    /// What the model takes.
    pub fn inputs(&self) -> Vec<TensorSpec> {
        self.0.inputs()
    }

    /// What the model gives.
    pub fn outputs(&self) -> Vec<TensorSpec> {
        self.0.outputs()
    }

    /// Runs the model, batched with all other traffic. Nothing wanted means all outputs, in the model's order.
    ///
    /// # Errors
    /// Why there is no result.
    pub fn run(&self, inputs: &[(&str, &Tensor)], wanted: &[&str]) -> Result<Outputs, RunError> {
        let inputs: Vec<_> = inputs.iter().map(|(name, tensor)| ((*name).to_owned(), *tensor)).collect();
        let wanted: Vec<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
        self.0.run(&inputs, &wanted).map(Outputs::from)
    }
}
