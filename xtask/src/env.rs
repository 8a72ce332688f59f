//! Every environment variable that xtask reads or hands to what it starts. Nothing else in xtask reads the environment.
#![expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]

use std::ffi::OsString;
use std::path::PathBuf;

/// The data folder; read by xtask and by the host.
pub(crate) const DATA_DIR: &str = "INFERWIT_DATA_DIR";
/// The folder of fetched fixtures; handed to tests and benchmarks.
pub(crate) const TEST_FIXTURES: &str = "INFERWIT_TEST_FIXTURES";
/// The folder of built plugins; handed to tests and benchmarks.
pub(crate) const TEST_PLUGINS: &str = "INFERWIT_TEST_PLUGINS";
/// The `inferwit` program; handed to tests and benchmarks.
pub(crate) const TEST_PROGRAM: &str = "INFERWIT_TEST_PROGRAM";
/// The rule engine that the host is built with; handed to every cargo call.
pub(crate) const RULES_ENGINE: &str = "INFERWIT_RULES_ENGINE";
/// `1`: tests do their long form too.
pub(crate) const TEST_SLOW: &str = "INFERWIT_TEST_SLOW";
/// The file that a benchmark writes its numbers to, as JSON.
pub(crate) const BENCH_RESULTS: &str = "INFERWIT_BENCH_RESULTS";
/// Where Python finds the packages that only a benchmark needs; handed to benchmarks.
pub(crate) const PYTHON_PATH: &str = "PYTHONPATH";
/// Set, to anything, in CI: then nothing is skipped for want of a tool.
pub(crate) const CI: &str = "CI";

/// A folder named by a variable; an empty variable counts as none.
pub(crate) fn path(name: &str) -> Option<PathBuf> {
    text(name).map(PathBuf::from)
}

/// The cargo that runs us, so that what it started uses the same toolchain.
pub(crate) fn cargo() -> OsString {
    text("CARGO").unwrap_or_else(|| "cargo".into())
}

pub(crate) fn text(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
