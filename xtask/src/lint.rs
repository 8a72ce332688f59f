//! `cargo xtask lint`: formatting, clippy, documentation, licences and sources of dependencies, spelling. Fixes nothing.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::layout::Layout;
use crate::progress::Step;
use crate::{fetch, plugins, process, setup, wasm};

pub(crate) fn run(layout: &Layout, toolchain: &wasm::Toolchain) -> Result<()> {
    check("formatting", layout.cargo().args(["fmt", "--all", "--check"]))?;
    check(
        "clippy",
        layout.cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    )?;
    let packages = plugins::packages(layout)?;
    if !packages.is_empty() {
        let mut clippy = toolchain.cargo(layout, "clippy");
        for package in &packages {
            clippy.args(["-p", &package.name]);
        }
        check("clippy of the plugins for Wasm", clippy.args(["--", "-D", "warnings"]))?;
    }
    check(
        "documentation",
        layout
            .cargo()
            .args(["doc", "--workspace", "--no-deps", "--locked", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    let deny = setup::cargo_deny_folder(layout).join("bin/cargo-deny");
    check(
        "licences and sources of dependencies",
        Command::new(&deny).current_dir(&layout.root).args([
            "--config",
            ".deny.toml",
            "check",
            "--hide-inclusion-graph",
            "bans",
            "licenses",
            "sources",
        ]),
    )?;
    advisories(layout, &deny)?;
    match setup::wheel("typos") {
        Some(wheel) => {
            let typos = fetch::home(wheel, &layout.data).join("bin/typos");
            check("spelling", Command::new(typos).current_dir(&layout.root).args(["--config", ".typos.toml"]))?;
        }
        None => eprintln!("warning: spelling was not checked: no row for this machine in the table of fetched files"),
    }
    Ok(())
}

/// Known vulnerabilities of dependencies, where the database of them can be reached; said aloud where it cannot.
fn advisories(layout: &Layout, deny: &Path) -> Result<()> {
    let mut command = Command::new(deny);
    command.current_dir(&layout.root).args(["--config", ".deny.toml", "check", "--hide-inclusion-graph", "advisories"]);
    let output = command.output().context("start cargo-deny")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        eprintln!("check advisories: none");
    } else if said.contains("fetch advisory database") {
        eprintln!("warning: advisories were not checked: their database cannot be reached from here");
    } else {
        bail!("advisories of dependencies:\n{said}");
    }
    Ok(())
}

fn check(what: &str, command: &mut Command) -> Result<()> {
    let step = Step::begin_shown(format!("check {what}"));
    process::show(command)?;
    step.done();
    Ok(())
}
