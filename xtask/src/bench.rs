//! `cargo xtask bench NAME`: runs a benchmark of the package in `tests/`, with what the tests get in their environment.

use std::ffi::OsString;

use anyhow::{Context, Result};

use crate::fetched::{CFFI, CLIPSPY};
use crate::layout::Layout;
use crate::process::show;
use crate::progress::Step;
use crate::{env, fetch};

/// Each writes its numbers to `<target>/bench-results/NAME.json`.
pub(crate) fn run(layout: &Layout, name: &str, arguments: &[String]) -> Result<()> {
    let folder = layout.target.join("bench-results");
    std::fs::create_dir_all(&folder).with_context(|| format!("create `{}`", folder.display()))?;
    let results = folder.join(format!("{name}.json"));

    let step = Step::begin_shown("build the server");
    show(layout.cargo().args(["build", "--release", "--package", "inferwit", "--locked"]))?;
    step.done();

    // Of both machines' rows: the folder is named by package and version.
    let python_path = std::env::join_paths([&CLIPSPY, &CFFI].map(|wheel| fetch::home(wheel, &layout.data)))
        .context("the data folder's path holds a colon")?;
    show(
        layout
            .cargo()
            .args(["bench", "--package", "inferwit-tests", "--locked", "--bench", name, "--"])
            .args(from_here(arguments)?)
            .env(env::TEST_PROGRAM, layout.program("release"))
            .env(env::BENCH_RESULTS, &results)
            .env(env::PYTHON_PATH, python_path),
    )?;
    if results.exists() {
        println!("results: {}", results.display());
    }
    Ok(())
}

/// The arguments with the folder of the published programs as seen from everywhere: cargo runs a benchmark in its package.
fn from_here(arguments: &[String]) -> Result<Vec<OsString>> {
    let mut passed: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let folder = arguments.iter().position(|argument| argument == "--clips-programs").map(|flag| flag + 1);
    if let Some(folder) = folder.and_then(|place| passed.get_mut(place)) {
        *folder = std::path::absolute(&*folder).context("make the folder of programs absolute")?.into();
    }
    Ok(passed)
}
