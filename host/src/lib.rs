//! The inference server `inferwit`.
pub mod app;
pub mod backend;
pub mod cli;
pub mod config;
pub mod env;
pub mod infer;
pub mod name;
pub mod pipeline;
pub mod plugin;
pub mod registry;
pub mod server;
pub mod telemetry;
pub mod tensor;
