//! `cargo xtask bench NAME`: runs a benchmark of the package in `tests/`, with what the tests get in their environment.

use anyhow::{Context, Result};

use crate::env;
use crate::layout::Layout;
use crate::process::show;
use crate::progress::Step;

/// Each writes its numbers to `<target>/bench-results/NAME.json`.
pub(crate) fn run(layout: &Layout, name: &str, arguments: &[String]) -> Result<()> {
    let folder = layout.target.join("bench-results");
    std::fs::create_dir_all(&folder).with_context(|| format!("create `{}`", folder.display()))?;
    let results = folder.join(format!("{name}.json"));

    let step = Step::begin_shown("build the server");
    show(layout.cargo().args(["build", "--release", "--package", "inferwit", "--locked"]))?;
    step.done();

    show(
        layout
            .cargo()
            .args(["bench", "--package", "inferwit-tests", "--locked", "--bench", name, "--"])
            .args(arguments)
            .env(env::TEST_PROGRAM, layout.program("release"))
            .env(env::BENCH_RESULTS, &results),
    )?;
    if results.exists() {
        println!("results: {}", results.display());
    }
    Ok(())
}
