//! Finds a backend's library and decides which execution providers are used. Loads nothing: asking a provider is the caller's.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::backend::BackendError;

const FETCH_HINT: &str =
    "run `cargo xtask setup` to fetch the library, or `inferwit doctor` to see what this machine has";

/// Where ONNX Runtime's library may be, in the order in which it is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LibrarySearch {
    /// From the configuration: a file or a folder. If given, no other place is looked at.
    pub configured: Option<PathBuf>,
    /// From the environment, likewise.
    pub environment: Option<PathBuf>,
    /// The running program's file.
    pub executable: Option<PathBuf>,
    /// Its `lib` folder is what set-up fills.
    pub data_dir: Option<PathBuf>,
}

impl LibrarySearch {
    /// The library's file. Of several in one folder, the newest version.
    ///
    /// # Errors
    /// `Unavailable` with every place that was looked at. A place that was named and has no library is an error: no
    /// other library is taken instead of it.
    pub fn find(&self) -> Result<PathBuf, BackendError> {
        let named = [("configured", &self.configured), ("environment's", &self.environment)];
        if let Some((which, place)) = named.into_iter().find_map(|(which, path)| Some((which, path.as_deref()?))) {
            return at(place)
                .ok_or_else(|| missing(format!("there is no library at the {which} path"), vec![place.to_owned()]));
        }
        let beside = self.executable.as_deref().and_then(Path::parent).map(Path::to_owned);
        let places: Vec<PathBuf> =
            beside.into_iter().chain(self.data_dir.iter().map(|folder| folder.join("lib"))).collect();
        match places.iter().find_map(|place| at(place)) {
            Some(library) => Ok(library),
            None => Err(missing("no library was found".to_owned(), places)),
        }
    }
}

fn missing(reason: String, looked_in: Vec<PathBuf>) -> BackendError {
    BackendError::Unavailable { backend: "onnxruntime", reason, looked_in, hint: FETCH_HINT.to_owned() }
}

/// The library that is at this place: the file itself, or the newest in the folder.
fn at(place: &Path) -> Option<PathBuf> {
    if place.is_file() {
        return Some(place.to_owned());
    }
    let entries = std::fs::read_dir(place).ok()?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter_map(|path| Some((version(path.file_name()?.to_str()?)?, path)))
        .max()
        .map(|(_, path)| path)
}

/// The version in the name of a library; empty where it has none. `None`: not ONNX Runtime's own library.
fn version(name: &str) -> Option<Vec<u64>> {
    let rest = name.strip_prefix(DLL_PREFIX)?.strip_prefix("onnxruntime")?;
    let suffix_at = rest.find(DLL_SUFFIX)?;
    let around = format!("{}{}", &rest[..suffix_at], &rest[suffix_at + DLL_SUFFIX.len()..]);
    around.split('.').filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect()
}

/// What runs a model's operators inside ONNX Runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    TensorRt,
    Cuda,
    Cpu,
}

impl Provider {
    pub const ALL: [Self; 3] = [Self::TensorRt, Self::Cuda, Self::Cpu];

    /// As in the configuration: `CUDAExecutionProvider`.
    pub fn name(self) -> &'static str {
        match self {
            Self::TensorRt => "TensorrtExecutionProvider",
            Self::Cuda => "CUDAExecutionProvider",
            Self::Cpu => "CPUExecutionProvider",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, UnknownProvider> {
        Self::ALL.into_iter().find(|provider| provider.name() == text).ok_or_else(|| UnknownProvider(text.to_owned()))
    }
}

/// A name that no provider has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown execution provider `{0}`; known are TensorrtExecutionProvider, CUDAExecutionProvider and CPUExecutionProvider"
)]
pub struct UnknownProvider(String);

/// What came of a list of preferred providers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Providers {
    /// In the order of preference; never empty.
    pub used: Vec<Provider>,
    /// Those that were asked for and cannot be used here, with the reason. The start log and `doctor` show them.
    pub refused: Vec<(Provider, String)>,
}

impl Providers {
    /// Asks for each preferred provider whether it can be used; `ask` says why where it cannot.
    ///
    /// # Errors
    /// `Unavailable` with every reason if none is left. The CPU is used only if it is listed.
    pub fn choose(
        preferred: &[Provider],
        mut ask: impl FnMut(Provider) -> Result<(), String>,
    ) -> Result<Self, BackendError> {
        let mut providers = Self { used: Vec::new(), refused: Vec::new() };
        for (index, &provider) in preferred.iter().enumerate() {
            if preferred[..index].contains(&provider) {
                continue;
            }
            match ask(provider) {
                Ok(()) => providers.used.push(provider),
                Err(reason) => providers.refused.push((provider, reason)),
            }
        }
        if providers.used.is_empty() {
            return Err(providers.none_left());
        }
        Ok(providers)
    }

    fn none_left(&self) -> BackendError {
        let reason = if self.refused.is_empty() {
            "the list of execution providers is empty".to_owned()
        } else {
            format!("none of the listed execution providers can be used: {}", self.refusals())
        };
        BackendError::Unavailable {
            backend: "onnxruntime",
            reason,
            looked_in: Vec::new(),
            hint: "add `CPUExecutionProvider` to `inference.onnx.providers` to run on the CPU".to_owned(),
        }
    }

    /// `CUDAExecutionProvider (not in this build), ..`; empty where none was refused.
    pub fn refusals(&self) -> String {
        let refusals: Vec<String> =
            self.refused.iter().map(|(provider, reason)| format!("{provider} ({reason})")).collect();
        refusals.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"").unwrap();
    }

    #[test]
    fn the_newest_library_of_a_folder_is_taken_and_others_are_not_libraries() {
        let folder = tempfile::tempdir().unwrap();
        let names = if cfg!(target_os = "linux") {
            ["libonnxruntime.so.1.9.1", "libonnxruntime.so.1.31.1", "libonnxruntime_providers_cuda.so"]
        } else {
            return;
        };
        for name in names {
            touch(&folder.path().join("lib").join(name));
        }
        let search = LibrarySearch { data_dir: Some(folder.path().to_owned()), ..LibrarySearch::default() };
        assert_eq!(search.find().unwrap(), folder.path().join("lib").join(names[1]));
    }

    #[test]
    fn beside_the_executable_comes_before_the_data_folder() {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}");
        touch(&folder.path().join("bin").join(&name));
        touch(&folder.path().join("lib").join(&name));
        let search = LibrarySearch {
            executable: Some(folder.path().join("bin/inferwit")),
            data_dir: Some(folder.path().to_owned()),
            ..LibrarySearch::default()
        };
        assert_eq!(search.find().unwrap(), folder.path().join("bin").join(&name));
    }

    #[test]
    fn a_named_place_without_a_library_is_not_replaced_by_another() {
        let folder = tempfile::tempdir().unwrap();
        touch(&folder.path().join("lib").join(format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}")));
        let search = LibrarySearch {
            environment: Some(folder.path().join("nowhere")),
            data_dir: Some(folder.path().to_owned()),
            ..LibrarySearch::default()
        };
        let error = search.find().unwrap_err().to_string();
        assert!(error.contains("environment's path") && error.contains("nowhere"), "{error}");
    }

    #[test]
    fn a_missing_library_says_where_it_was_looked_for_and_what_to_do() {
        let search = LibrarySearch { data_dir: Some("/no/such/folder".into()), ..LibrarySearch::default() };
        let error = search.find().unwrap_err();
        assert!(error.to_string().contains("`/no/such/folder/lib`"), "{error}");
        let BackendError::Unavailable { hint, .. } = error else { panic!("{error}") };
        assert!(hint.contains("cargo xtask setup"), "{hint}");
    }

    #[test]
    fn providers_that_cannot_be_used_are_named_with_the_reason() {
        let preferred = [Provider::TensorRt, Provider::Cuda, Provider::Cpu, Provider::Cpu];
        let ask = |provider| match provider {
            Provider::Cpu => Ok(()),
            _ => Err("no driver".to_owned()),
        };
        let providers = Providers::choose(&preferred, ask).unwrap();
        assert_eq!(providers.used, [Provider::Cpu]);
        assert_eq!(providers.refusals(), "TensorrtExecutionProvider (no driver), CUDAExecutionProvider (no driver)");
        let error = Providers::choose(&preferred[..2], ask).unwrap_err().to_string();
        assert!(error.contains("none of the listed") && error.contains("CUDAExecutionProvider (no driver)"), "{error}");
        assert!(Providers::choose(&[], ask).is_err());
    }

    #[test]
    fn provider_names_are_those_of_the_configuration() {
        for provider in Provider::ALL {
            assert_eq!(provider.name().parse(), Ok(provider));
        }
        assert!("cuda".parse::<Provider>().unwrap_err().to_string().contains("`cuda`"));
    }
}
