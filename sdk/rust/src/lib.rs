//! Write plugins for inferwit: a trait, a macro, tensors and kernels. Natively an in-memory stand-in for the host.

#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

#[doc(hidden)]
pub mod bindings;
mod config;
#[doc(hidden)]
pub mod export;
pub mod log;
#[cfg(not(target_family = "wasm"))]
mod memory;
mod models;
mod named;
mod ops;
mod plugin;
mod report;
mod request;
mod tensor;

pub use bindings::manifest::inferwit::plugin::common::{Diagnostic, Failure, Finding, Parameter, Severity, Span};
pub use bindings::manifest::inferwit::plugin::models::RunError;
pub use bindings::manifest::inferwit::plugin::tensor_ops::{
    BoxFormat, Filter, Layout, NmsOptions, ResizeOptions, Summary,
};
pub use bindings::manifest::inferwit::plugin::tensors::{Datatype, TensorError, TensorSpec};
pub use bindings::processor::exports::inferwit::plugin::processor::Signature;
pub use config::{NoConfig, parse_config, schema_of};
pub use models::Session;
pub use named::{Inputs, Outputs};
pub use plugin::{Processor, Validator};
pub use request::Request;
pub use tensor::{Element, Elements, Tensor, Values};

/// What configurations are declared with, so that a plugin needs no version of its own to match.
pub use {half, schemars, serde, serde_json};
