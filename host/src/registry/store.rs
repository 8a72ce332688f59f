//! The folder of artifact files, named by what they hold: staged, synced, renamed, read-only. Knows no names or versions.
//!
//! A crash leaves a staging folder, or an artifact that no row names: both are harmless.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::error::{RegistryError, at};
use crate::name::Digest;

/// One file of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Relative to the artifact's folder.
    pub path: String,
    #[serde(with = "hex")]
    pub sha256: Digest,
    pub size_bytes: u64,
}

/// A digest as 64 digits, as the tables and bundles have it under `sha256`.
pub(super) mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::name::Digest;

    pub(in crate::registry) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&digest.hex())
    }

    pub(in crate::registry) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        Digest::from_hex(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// What goes into the store: a name inside the artifact, and its bytes.
pub(super) enum Source<'a> {
    Bytes(&'a str, &'a [u8]),
    /// A file; where it is external data, links are not followed.
    File {
        name: &'a str,
        path: PathBuf,
        follow_links: bool,
    },
}

/// An artifact that lies complete and synced beside the store, and goes away unless it is published.
pub(super) struct Staged {
    folder: TempDir,
    pub(super) digest: Digest,
    /// The main file first.
    pub(super) files: Vec<StoredFile>,
}

impl Staged {
    pub(super) fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Store {
    data_dir: PathBuf,
}

impl Store {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    /// Where an artifact lies, relative to the data folder.
    pub(super) fn relative(digest: &Digest) -> String {
        let hex = digest.hex();
        format!("artifacts/sha256/{}/{hex}", &hex[..2])
    }

    pub(super) fn absolute(&self, relative: &str) -> PathBuf {
        self.data_dir.join(relative)
    }

    /// Copies the files, hashing what is copied; the first is the main one.
    pub(super) fn stage(&self, sources: &[Source<'_>]) -> Result<Staged, RegistryError> {
        let artifacts = self.data_dir.join("artifacts");
        fs::create_dir_all(&artifacts).map_err(at("make folder", &artifacts))?;
        let folder = tempfile::Builder::new()
            .prefix(".staged-")
            .tempdir_in(&artifacts)
            .map_err(at("make a folder in", &artifacts))?;
        let files: Vec<StoredFile> =
            sources.iter().map(|source| stage_one(folder.path(), source)).collect::<Result<_, _>>()?;
        sync_folders(folder.path(), &files)?;
        Ok(Staged { digest: digest_of(&files), folder, files })
    }

    /// Makes the staged artifact visible under its digest. One that lies there already is kept if it is whole, else replaced.
    pub(super) fn publish(&self, staged: Staged) -> Result<(), RegistryError> {
        let target = self.absolute(&Self::relative(&staged.digest));
        let parent = target.parent().expect("an artifact lies in a folder of two digits");
        fs::create_dir_all(parent).map_err(at("make folder", parent))?;
        if target.exists() {
            if verify(&target, &staged.files).is_ok() {
                return Ok(());
            }
            // Out of the way first: a folder that is not empty cannot be replaced by a rename.
            let damaged = staged.folder.path().with_extension("damaged");
            fs::rename(&target, &damaged).map_err(at("move aside", &target))?;
            fs::remove_dir_all(&damaged).map_err(at("remove", &damaged))?;
        }
        match fs::rename(staged.folder.path(), &target) {
            // Another process has put the same bytes there meanwhile.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => verify(&target, &staged.files)?,
            renamed => renamed.map_err(at("put in place", &target))?,
        }
        for folder in [Some(parent), parent.parent()].into_iter().flatten() {
            sync_folder(folder)?;
        }
        Ok(())
    }

    /// Whether the artifact's files are those that were registered.
    pub(super) fn verify(&self, digest: &Digest, files: &[StoredFile]) -> Result<(), RegistryError> {
        verify(&self.absolute(&Self::relative(digest)), files)
    }
}

/// SHA-256 of the one file, or of the sorted `path NUL sha256 LF` lines of several.
fn digest_of(files: &[StoredFile]) -> Digest {
    if let [file] = files {
        return file.sha256;
    }
    let mut lines: Vec<String> = files.iter().map(|file| format!("{}\0{}\n", file.path, file.sha256.hex())).collect();
    lines.sort_unstable();
    Digest::of(lines.concat().as_bytes())
}

/// What the artifact of these files would be named, without storing them; the first is the main one.
pub(super) fn digest_in_place(sources: &[(&str, PathBuf)]) -> Result<Digest, RegistryError> {
    let files: Vec<StoredFile> = sources
        .iter()
        .map(|(name, path)| {
            let mut file = open_source(path, true).map_err(at("read", path))?;
            let (sha256, size_bytes) = copy_hashed(&mut file, &mut io::sink()).map_err(at("read", path))?;
            Ok(StoredFile { path: (*name).to_owned(), sha256, size_bytes })
        })
        .collect::<Result<_, RegistryError>>()?;
    Ok(digest_of(&files))
}

fn stage_one(folder: &Path, source: &Source<'_>) -> Result<StoredFile, RegistryError> {
    let name = match source {
        Source::Bytes(name, _) | Source::File { name, .. } => *name,
    };
    let path = folder.join(name);
    let parent = path.parent().expect("the path begins with a folder");
    fs::create_dir_all(parent).map_err(at("make folder", parent))?;
    let mut target = OpenOptions::new().write(true).create_new(true).open(&path).map_err(at("write", &path))?;
    let (sha256, size_bytes) = match source {
        Source::Bytes(_, bytes) => {
            target.write_all(bytes).map_err(at("write", &path))?;
            (Digest::of(bytes), bytes.len() as u64)
        }
        Source::File { path: from, follow_links, .. } => {
            let mut from_file = open_source(from, *follow_links).map_err(at("read", from))?;
            copy_hashed(&mut from_file, &mut target).map_err(at("copy", from))?
        }
    };
    let mut permissions = target.metadata().map_err(at("write", &path))?.permissions();
    permissions.set_readonly(true);
    target.set_permissions(permissions).map_err(at("write", &path))?;
    target.sync_all().map_err(at("write", &path))?;
    Ok(StoredFile { path: name.to_owned(), sha256, size_bytes })
}

fn open_source(path: &Path, follow_links: bool) -> io::Result<File> {
    let flags = if follow_links { 0 } else { libc::O_NOFOLLOW };
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn copy_hashed(from: &mut impl Read, to: &mut impl Write) -> io::Result<(Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size_bytes = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok((Digest::from_raw(hasher.finalize().into()), size_bytes)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
        size_bytes += count as u64;
    }
}

fn sync_folders(folder: &Path, files: &[StoredFile]) -> Result<(), RegistryError> {
    let mut folders: Vec<PathBuf> = files
        .iter()
        .flat_map(|file| Path::new(&file.path).ancestors().skip(1).map(|inner| folder.join(inner)).collect::<Vec<_>>())
        .collect();
    folders.sort_unstable();
    folders.dedup();
    folders.iter().try_for_each(|folder| sync_folder(folder))
}

fn sync_folder(folder: &Path) -> Result<(), RegistryError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at("sync", folder))
}

fn verify(folder: &Path, files: &[StoredFile]) -> Result<(), RegistryError> {
    for file in files {
        let path = folder.join(&file.path);
        let mut reader = open_source(&path, false).map_err(at("read", &path))?;
        let size_bytes = reader.metadata().map_err(at("read", &path))?.len();
        if size_bytes != file.size_bytes || hash(&mut reader).map_err(at("read", &path))? != file.sha256 {
            return Err(RegistryError::Damaged { path });
        }
    }
    Ok(())
}

fn hash(reader: &mut impl Read) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(Digest::from_raw(hasher.finalize().into())),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_digest_of_one_file_is_its_own_and_of_several_that_of_their_list() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let one = store.stage(&[Source::Bytes("model.onnx", b"m")]).unwrap();
        assert_eq!(one.digest, Digest::of(b"m"));
        let sources = [Source::Bytes("model.onnx", b"m"), Source::Bytes("a/w.bin", b"w")];
        let several = store.stage(&sources).unwrap();
        let list = format!("a/w.bin\0{}\nmodel.onnx\0{}\n", Digest::of(b"w").hex(), Digest::of(b"m").hex());
        assert_eq!(several.digest, Digest::of(list.as_bytes()));
        assert_eq!(several.size_bytes(), 2);
    }

    #[test]
    fn nothing_is_visible_before_it_is_published() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let staged = store.stage(&[Source::Bytes("plugin.wasm", b"p")]).unwrap();
        let (digest, files) = (staged.digest, staged.files.clone());
        assert!(store.verify(&digest, &files).is_err());
        store.publish(staged).unwrap();
        store.verify(&digest, &files).unwrap();
        let path = store.absolute(&Store::relative(&digest)).join("plugin.wasm");
        assert!(path.metadata().unwrap().permissions().readonly());
        assert_eq!(names(&folder.path().join("artifacts")), ["sha256"]);
    }

    #[test]
    fn a_damaged_artifact_is_noticed_and_healed_by_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let stage = || store.stage(&[Source::Bytes("model.onnx", b"whole")]).unwrap();
        let (digest, files) = (stage().digest, stage().files);
        store.publish(stage()).unwrap();
        let path = store.absolute(&Store::relative(&digest)).join("model.onnx");
        for damage in [b"whol".as_slice(), b"wholf", b""] {
            fs::remove_file(&path).unwrap();
            fs::write(&path, damage).unwrap();
            assert!(matches!(store.verify(&digest, &files).unwrap_err(), RegistryError::Damaged { .. }));
            store.publish(stage()).unwrap();
            store.verify(&digest, &files).unwrap();
        }
        assert_eq!(names(&folder.path().join("artifacts")), ["sha256"]);
    }

    #[test]
    fn many_may_publish_the_same_artifact_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| store.publish(store.stage(&[Source::Bytes("m", &[1; 10_000])]).unwrap()).unwrap());
            }
        });
        let staged = store.stage(&[Source::Bytes("m", &[1; 10_000])]).unwrap();
        store.verify(&staged.digest, &staged.files).unwrap();
    }

    #[test]
    fn a_link_is_not_followed_to_external_data() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "x").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("secret"), &link).unwrap();
        let stage = |follow_links| {
            let source = Source::File { name: "w", path: link.clone(), follow_links };
            Store::new(folder.path()).stage(&[source]).map(drop)
        };
        assert!(stage(false).is_err() && stage(true).is_ok());
    }
}
