//! End-to-end tests: the built program, the library as doors use it, and the checkout. Unit tests lie beside their code.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail as its tests do")]

mod backend;
mod bad_input;
mod cli;
mod client;
mod deploy;
mod fixtures;
mod hostile;
mod inspect;
mod known_answers;
mod lab;
mod pipelines;
mod python;
mod readme;
mod rule_sets;
mod rule_workloads;
mod rules;
mod rules_cli;
mod rules_contract;
mod rules_determinism;
mod swap;
mod tidy;
