//! The inference server `inferwit`.
pub mod backend;
pub mod infer;
pub mod name;
pub mod pipeline;
pub mod tensor;
