//! The inference server `inferwit`.
pub mod backend;
pub mod config;
pub mod env;
pub mod infer;
pub mod name;
pub mod registry;
pub mod tensor;
