//! Builds every plugin and test guest to Wasm and lays the modules in one folder, `<target>/plugins/<name>.wasm`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::fetch::{self, python};
use crate::layout::Layout;
use crate::process::{output_of, show};
use crate::progress::Step;
use crate::setup;
use crate::wasm::Toolchain;

/// The folders whose crates are compiled to Wasm.
const FOLDERS: &[&str] = &["plugins", "tests/guests"];
const PROFILE: &str = "plugin";
/// The test guest that is written in Python; its module is `app.py`.
const PYTHON_GUEST: &str = "tests/guests/python";
const PYTHON_WORLD: &str = "processor-plugin";
/// componentize-py's own entry point: its script is bound to the Python that installed it.
const COMPONENTIZE: &str =
    "import sys; from componentize_py import script; sys.argv[0] = 'componentize-py'; sys.exit(script())";

/// A crate that is compiled to Wasm.
pub(crate) struct Package {
    pub(crate) name: String,
    /// Cargo's name of the library, which the file is named by.
    library: String,
}

impl Package {
    /// The plugin's own name: `image-plugin` is the crate of the plugin `image`.
    fn plugin(&self) -> &str {
        self.name.strip_suffix("-plugin").unwrap_or(&self.name)
    }
}

pub(crate) fn build(layout: &Layout, toolchain: &Toolchain) -> Result<()> {
    let packages = packages(layout)?;
    if !packages.is_empty() {
        let step = Step::begin_shown(format!("build {} plugins to Wasm", packages.len()));
        let mut command = toolchain.cargo(layout, "build");
        command.args(["--quiet", "--profile", PROFILE]);
        for package in &packages {
            command.args(["-p", &package.name]);
        }
        show(&mut command)?;
        let built = toolchain.built(layout, PROFILE);
        for package in &packages {
            let file = built.join(format!("{}.wasm", package.library));
            place(&file, &layout.plugins().join(format!("{}.wasm", package.plugin())))?;
        }
        step.done();
    }
    if layout.root.join(PYTHON_GUEST).exists() {
        build_python(layout)?;
    }
    Ok(())
}

/// The workspace's crates below the plugin folders that build a `cdylib`.
pub(crate) fn packages(layout: &Layout) -> Result<Vec<Package>> {
    let printed = output_of(layout.cargo().args(["metadata", "--no-deps", "--format-version", "1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&printed).context("read what `cargo metadata` printed")?;
    let mut packages = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        if !FOLDERS.iter().any(|folder| manifest.starts_with(layout.root.join(folder))) {
            continue;
        }
        let library = package["targets"].as_array().into_iter().flatten().find(|target| is_module(target));
        if let (Some(name), Some(library)) = (package["name"].as_str(), library.and_then(|it| it["name"].as_str())) {
            packages.push(Package { name: name.to_owned(), library: library.replace('-', "_") });
        }
    }
    Ok(packages)
}

fn is_module(target: &Value) -> bool {
    target["crate_types"].as_array().into_iter().flatten().any(|kind| kind == "cdylib")
}

/// Copies a module unless the same bytes are there, so that what is keyed by the file's time stays good.
fn place(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("read `{}`", from.display()))?;
    if fs::read(to).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let temporary = to.with_extension(format!("wasm.{}", std::process::id()));
    fs::create_dir_all(to.parent().context("a module lies in a folder")?).context("create the plugins' folder")?;
    fs::write(&temporary, bytes).with_context(|| format!("write `{}`", temporary.display()))?;
    fetch::rename(&temporary, to)
}

/// Compiles the Python guest when its sources, the contract or the compiler changed.
fn build_python(layout: &Layout) -> Result<()> {
    let wheel = setup::wheel("componentize-py").context("the table of fetched files has a row for componentize-py")?;
    let guest = layout.root.join(PYTHON_GUEST);
    let wit = layout.root.join("wit/v0.1");
    let sources = digest(wheel.sha256, &[&guest, &wit])?;
    let module = layout.plugins().join("python.wasm");
    let stamp = layout.plugins().join("python.sources");
    if module.exists() && fs::read_to_string(&stamp).is_ok_and(|present| present == sources) {
        return Ok(());
    }
    let step = Step::begin("build the Python plugin to Wasm");
    fs::create_dir_all(layout.plugins()).context("create the plugins' folder")?;
    let temporary = module.with_extension(format!("wasm.{}", std::process::id()));
    let mut command: Command = python();
    command.args(["-c", COMPONENTIZE, "--wit-path"]).arg(&wit).args(["--world", PYTHON_WORLD]);
    command
        .args(["componentize", "--stub-wasi", "--python-path"])
        .arg(&guest)
        .arg("--output")
        .arg(&temporary)
        .arg("app");
    command.env("PYTHONPATH", fetch::home(wheel, &layout.data)).env("PYTHONDONTWRITEBYTECODE", "1");
    output_of(&mut command)?;
    fetch::rename(&temporary, &module)?;
    fs::write(&stamp, sources).with_context(|| format!("write `{}`", stamp.display()))?;
    step.done();
    Ok(())
}

fn digest(seed: &str, folders: &[&Path]) -> Result<String> {
    let mut hasher = Sha256::new();
    hasher.update(seed);
    for folder in folders {
        for path in files_below(folder)? {
            hasher.update(path.to_string_lossy().as_bytes());
            hasher.update([0]);
            hasher.update(fs::read(&path).with_context(|| format!("read `{}`", path.display()))?);
            hasher.update([0]);
        }
    }
    Ok(fetch::hex(&hasher.finalize()))
}

/// The files of a folder in a stable order, Python's own leavings aside.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read `{}`", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "__pycache__") {
                files.extend(files_below(&path)?);
            }
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
