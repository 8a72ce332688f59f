//! `cargo xtask test`: every test of the workspace, the runner's summary last.

use anyhow::Result;

use crate::layout::Layout;
use crate::process::{output_of, show};
use crate::progress::Step;
use crate::{env, process};

/// Documentation tests run before the others, so that the summary of the many stands at the end.
pub(crate) fn run(layout: &Layout, slow: bool, filters: &[String]) -> Result<()> {
    // Programs and tests in one call: cargo unifies features per call, and two calls would build dependencies twice.
    let step = Step::begin_shown("build the tests");
    show(layout.cargo().args(["build", "--workspace", "--bins", "--tests", "--locked"]))?;
    step.done();

    if filters.is_empty() {
        let step = Step::begin_shown("run the documentation's examples");
        show(layout.cargo().args(["test", "--workspace", "--doc", "--locked", "--quiet"]))?;
        step.done();
    }
    let nextest = output_of(layout.cargo().args(["nextest", "--version"])).is_ok();
    if !nextest {
        eprintln!("warning: cargo-nextest is not installed; running `cargo test`, which is slower and isolates less");
    }
    let mut command = layout.cargo();
    command.env(env::TEST_PROGRAM, layout.program("debug"));
    match nextest {
        true => command.args(["nextest", "run", "--workspace", "--locked"]),
        false => command.args(["test", "--workspace", "--locked"]),
    };
    if nextest && env::text(env::CI).is_some() {
        command.args(["--profile", "ci"]);
    }
    if slow {
        command.env(env::TEST_SLOW, "1");
        if nextest {
            command.args(["--run-ignored", "all"]);
        }
    }
    if !nextest {
        command.arg("--");
        if slow {
            command.arg("--include-ignored");
        }
    }
    process::show(command.args(filters))
}
