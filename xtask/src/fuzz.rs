//! `cargo xtask fuzz`: builds the package in `tests/fuzz` with coverage and runs its targets. Makes no inputs itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::layout::Layout;
use crate::process::{hinted, output_of, show};
use crate::progress::Step;

/// The compiler counts which edges of the code are taken, as stable Rust can.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters";
const PROFILE: &str = "fuzz";

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Target {
    /// YAML and JSON texts as rule sets, which are then compiled, tested and run
    Loader,
    /// Expressions, from texts and from choices
    Cel,
    /// Bytes as compiled rule sets, which are then run
    Compiled,
}

pub(crate) enum Work<'a> {
    /// So many seconds, beginning with a seed.
    Run { seconds: u64, seed: u64 },
    /// One input.
    Replay(&'a Path),
    /// Keeps with the code what was found, as little as goes all the same ways.
    Keep,
}

/// Runs a target, or all.
pub(crate) fn run(layout: &Layout, target: Option<Target>, work: &Work<'_>) -> Result<()> {
    let program = build(layout)?;
    let folder = layout.target.join("fuzz/work");
    let targets = match target {
        Some(target) => vec![target],
        None => Target::value_variants().to_vec(),
    };
    for target in targets {
        let value = target.to_possible_value().context("every target has a name")?;
        let mut command = Command::new(&program);
        command.current_dir(layout.root.join("tests/fuzz")).arg(value.get_name());
        match work {
            Work::Run { seconds, seed } => command.arg(seconds.to_string()).arg(&folder).arg(seed.to_string()),
            Work::Replay(input) => command.arg("replay").arg(std::path::absolute(input)?),
            Work::Keep => command.arg("shrink").arg(&folder),
        };
        let step = Step::begin_shown(format!("fuzz {}", value.get_name()));
        if show(&mut command).is_err() {
            let name = value.get_name();
            let hint = format!("cargo xtask fuzz {name} --input PATH runs it again, with the path that is named above");
            return Err(hinted(format!("the target `{name}` fails on an input"), hint));
        }
        step.done();
    }
    Ok(())
}

/// In a folder of its own: whatever is built for another end would be built anew each time.
fn build(layout: &Layout) -> Result<PathBuf> {
    let folder = layout.target.join("fuzz");
    let host = host(layout)?;
    let step = Step::begin_shown("build the fuzz targets");
    // With a target named, build scripts and macros are built without counters.
    show(
        layout
            .cargo()
            .args(["build", "--package", "inferwit-fuzz", "--bin", "fuzz", "--locked", "--profile", PROFILE])
            .args(["--target", &host])
            .env("CARGO_TARGET_DIR", &folder)
            .env("RUSTFLAGS", COVERAGE),
    )?;
    step.done();
    Ok(folder.join(host).join(PROFILE).join(format!("fuzz{}", std::env::consts::EXE_SUFFIX)))
}

/// The machine's own target.
fn host(layout: &Layout) -> Result<String> {
    let told = output_of(layout.cargo().arg("-vV"))?;
    match told.lines().find_map(|line| line.strip_prefix("host: ")) {
        Some(host) => Ok(host.to_owned()),
        None => bail!("`cargo -vV` names no host"),
    }
}
