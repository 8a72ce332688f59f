//! The inference server `inferwit`.
pub mod backend;
pub mod infer;
pub mod plugin;
pub mod server;
pub mod telemetry;
pub mod tensor;
