//! What a plugin implements: `Processor` or `Validator`. How it reaches the host is `export`'s matter.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Diagnostic, Failure, Finding, Inputs, Outputs, Request, Signature, TensorSpec, parse_config};

/// Pre- and post-processing: takes tensors and gives tensors.
pub trait Processor: Sized + 'static {
    /// The configuration, as an author of pipelines writes it. Keys that it does not have are refused for it.
    type Config: DeserializeOwned + JsonSchema;

    /// Makes a processor for a configuration: once, not in the middle of a request.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration, at once.
    fn open(config: Self::Config) -> Result<Self, Vec<Diagnostic>>;

    /// What it takes and gives under this configuration; pipelines are checked against it before they are deployed.
    fn signature(&self) -> Signature;

    /// Answers one request. The inputs are its own: use, change, keep or return them.
    ///
    /// # Errors
    /// Why there is no answer; its kind decides who is told what.
    fn process(&self, inputs: Inputs, request: &Request) -> Result<Outputs, Failure>;

    /// Like `open`, from the JSON text that the host gives; for tests.
    ///
    /// # Errors
    /// As `open`, and for text that is not such a configuration.
    fn open_json(config: &str) -> Result<Self, Vec<Diagnostic>> {
        Self::open(parse_config(config)?)
    }
}

/// Checks of tensors: finds, and leaves it to the pipeline whether a finding blocks the request.
pub trait Validator: Sized + 'static {
    /// The configuration, as an author of pipelines writes it. Keys that it does not have are refused for it.
    type Config: DeserializeOwned + JsonSchema;

    /// Makes a validator for a configuration: once, not in the middle of a request.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration, at once.
    fn open(config: Self::Config) -> Result<Self, Vec<Diagnostic>>;

    /// The tensors that it looks at.
    fn inputs(&self) -> Vec<TensorSpec>;

    /// Looks at one request; nothing found is an empty list.
    ///
    /// # Errors
    /// Why it could not look.
    fn check(&self, inputs: Inputs, request: &Request) -> Result<Vec<Finding>, Failure>;

    /// Like `open`, from the JSON text that the host gives; for tests.
    ///
    /// # Errors
    /// As `open`, and for text that is not such a configuration.
    fn open_json(config: &str) -> Result<Self, Vec<Diagnostic>> {
        Self::open(parse_config(config)?)
    }
}
