//! The compiled form of rule sets in the data folder, by engine and rule set, each with its checksum. Only this host writes there.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::name::Digest;

/// Where the compiled form of one rule set lies for one engine.
pub(super) struct CompiledRules {
    path: PathBuf,
}

impl CompiledRules {
    pub(super) fn new(data_dir: &Path, engine: Digest, rule_set: Digest) -> Self {
        let name = format!("{}-{}.rules", engine.hex(), rule_set.hex());
        Self { path: data_dir.join("compiled").join(name) }
    }

    fn checksum_path(&self) -> PathBuf {
        self.path.with_extension("rules.sha256")
    }

    /// What was written, if it is whole; the engine checks it all the same.
    pub(super) fn read(&self) -> Option<Bytes> {
        let expected = fs::read_to_string(self.checksum_path()).ok()?;
        let compiled = fs::read(&self.path).ok()?;
        if Digest::of(&compiled).hex() == expected {
            return Some(compiled.into());
        }
        tracing::warn!(path = %self.path.display(), "a compiled rule set is damaged and is compiled again");
        None
    }

    /// Keeps it; where that fails, it is compiled again at the next start.
    pub(super) fn write(&self, compiled: &[u8]) {
        if let Err(error) = self.try_write(compiled) {
            tracing::warn!(path = %self.path.display(), %error, "a compiled rule set cannot be kept");
        }
    }

    /// The checksum last, so that a file without one counts as absent.
    fn try_write(&self, compiled: &[u8]) -> io::Result<()> {
        let folder = self.path.parent().expect("a compiled rule set lies in a folder");
        fs::create_dir_all(folder)?;
        let checksum = Digest::of(compiled).hex();
        for (path, bytes) in [(&self.path, compiled), (&self.checksum_path(), checksum.as_bytes())] {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(bytes)?;
            file.persist(path).map_err(|error| error.error)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_found_again_and_what_is_damaged_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let place =
            |rule_set: &str| CompiledRules::new(folder.path(), Digest::of(b"e"), Digest::of(rule_set.as_bytes()));
        assert_eq!(place("a").read(), None);
        place("a").write(b"compiled");
        assert_eq!(place("a").read(), Some(Bytes::from_static(b"compiled")));
        assert_eq!(place("b").read(), None);
        fs::write(&place("a").path, b"Compiled").unwrap();
        assert_eq!(place("a").read(), None);
        place("a").write(b"compiled");
        fs::remove_file(place("a").checksum_path()).unwrap();
        assert_eq!(place("a").read(), None);
    }
}
