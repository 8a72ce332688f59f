//! The request that is being answered: its id, time, parameters and granted headers. Its tensors come beside it.

#[cfg(target_family = "wasm")]
pub use crate::bindings::manifest::inferwit::plugin::context::Request;
#[cfg(not(target_family = "wasm"))]
pub use crate::memory::Request;

use crate::{Failure, Parameter};

impl Request {
    /// A parameter as a number, if it was given.
    ///
    /// # Errors
    /// It was given and is no number.
    pub fn number(&self, name: &str) -> Result<Option<f64>, Failure> {
        match self.parameter(name) {
            None => Ok(None),
            Some(Parameter::Fp64(value)) => Ok(Some(value)),
            #[expect(
                clippy::cast_precision_loss,
                reason = "a parameter beyond 2^53 is no measure that anything asks for"
            )]
            Some(Parameter::Int64(value)) => Ok(Some(value as f64)),
            #[expect(clippy::cast_precision_loss, reason = "as above")]
            Some(Parameter::Uint64(value)) => Ok(Some(value as f64)),
            Some(_) => Err(Failure::invalid(format!("parameter `{name}` is no number"))),
        }
    }

    /// A parameter as a text, if it was given.
    ///
    /// # Errors
    /// It was given and is no text.
    pub fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        match self.parameter(name) {
            None => Ok(None),
            Some(Parameter::Text(value)) => Ok(Some(value)),
            Some(_) => Err(Failure::invalid(format!("parameter `{name}` is no text"))),
        }
    }

    /// A parameter as a truth value, if it was given.
    ///
    /// # Errors
    /// It was given and is neither true nor false.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, Failure> {
        match self.parameter(name) {
            None => Ok(None),
            Some(Parameter::Boolean(value)) => Ok(Some(value)),
            Some(_) => Err(Failure::invalid(format!("parameter `{name}` is neither true nor false"))),
        }
    }
}
