//! Installs Python packages as a lock file names them, apart from the system's; pip proves the SHA-256 of each wheel.
//! Assumes that the caller holds the lock.
//!
//! The table of fetched files asks for wheels by one Python's tag; these have to suit the Python that will import them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::fetch;
use crate::process::{hinted, output_of};
use crate::progress::Step;

/// Names the first file that is not as its wheel's record says.
const VERIFY: &str = "import base64, csv, hashlib, pathlib, sys
site = pathlib.Path(sys.argv[1])
for record in site.glob('*.dist-info/RECORD'):
    for name, digest, _ in csv.reader(record.open(newline='')):
        path = site / name
        if digest.startswith('sha256=') and '..' not in path.parts:
            found = hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b''
            if base64.urlsafe_b64encode(found).rstrip(b'=').decode() != digest[7:]:
                sys.exit(f'`{path}` is missing or changed')";

/// Installs what is not there or not right.
pub(crate) fn ensure(lock_file: &Path, data: &Path) -> Result<()> {
    let place = folder(lock_file, data)?;
    if place.exists() {
        match verify(&place) {
            Ok(()) => return Ok(()),
            Err(error) => eprintln!("warning: {error:#}; installing it again"),
        }
        fs::remove_dir_all(&place).with_context(|| format!("remove `{}`", place.display()))?;
    }
    let step = Step::begin(format!("install what `{}` names (320 MB)", lock_file.display()));
    let folder = fetch::fresh_folder(&data.join("incoming/locked"))?;
    output_of(
        fetch::python()
            .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"])
            .args(["--require-hashes", "--only-binary=:all:", "--no-compile", "--no-warn-script-location"])
            .args(["--root-user-action=ignore", "--target"])
            .arg(&folder)
            .arg("--requirement")
            .arg(lock_file),
    )
    .map_err(|error| {
        hinted(
            format!("install what `{}` names: {error:#}", lock_file.display()),
            "it has wheels for CPython 3.11 to 3.14; `python3` needs to be one of them, with pip and a way to the \
             Python Package Index",
        )
    })?;
    verify(&folder)?;
    fetch::rename(&folder, &place)?;
    step.done();
    Ok(())
}

/// Where the packages lie: apart for each lock file and each Python.
pub(crate) fn folder(lock_file: &Path, data: &Path) -> Result<PathBuf> {
    let lock = fetch::sha256(lock_file).with_context(|| format!("read `{}`", lock_file.display()))?;
    let tag = output_of(fetch::python().args(["-c", "import sys; print(sys.implementation.cache_tag)"]))?;
    Ok(data.join("python").join(format!("locked-{}-{}", tag.trim(), &lock[..12])))
}

fn verify(folder: &Path) -> Result<()> {
    output_of(fetch::python().args(["-c", VERIFY]).arg(folder)).map(drop)
}
