//! The inference server `inferwit`.
pub mod backend;
pub mod infer;
pub mod plugin;
pub mod tensor;
