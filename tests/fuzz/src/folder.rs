//! Inputs as files of a folder. Knows no target.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The inputs of a folder with their files, in the order of their names; none where there is no folder.
///
/// # Errors
/// If a file cannot be read.
pub fn read(folder: &Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    paths.into_iter().map(|path| fs::read(&path).map(|input| (path, input))).collect()
}

/// Writes an input under a name that its bytes give.
///
/// # Errors
/// If it cannot be written.
pub fn write(folder: &Path, input: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("{:016x}", rules_plugin::heap::hash_bytes(input)));
    fs::write(&path, input)?;
    Ok(path)
}

/// The words of a list, one a line; `\n` stands for a new line.
pub fn words(list: &str) -> Vec<Vec<u8>> {
    list.lines().filter(|line| !line.is_empty()).map(|line| line.replace("\\n", "\n").into_bytes()).collect()
}
