//! What is fuzzed, and how: the targets, inputs made from inputs, coverage. Starts no process and writes no file.
//!
//! Pure Rust, with nothing to install: the compiler counts which edges of the code are taken (`-Cpasses=sancov-module`),
//! and an input that takes a new one is kept and changed further. Without that instrumentation, inputs are only replayed.

pub mod coverage;
pub mod folder;
pub mod mutation;
pub mod pool;
pub mod random;
pub mod targets;
