//! End-to-end tests: the built program and the checkout, as a user meets them. Unit tests lie beside their code.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail as its tests do")]

mod cli;
mod fixtures;
mod readme;
mod tidy;
