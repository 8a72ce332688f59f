//! Every environment variable that the host reads, and the only place that reads them. Decides nothing by them.
//!
//! | variable | meaning |
//! |---|---|
//! | `INFERWIT__SECTION__KEY` | overrides a key of the configuration; a YAML scalar or JSON |
//! | `INFERWIT_CONFIG` | the configuration file, where no flag names one |
//! | `INFERWIT_DATA_DIR` | the data folder, where the configuration names none |
//! | `INFERWIT_ONNXRUNTIME` | the shared library of ONNX Runtime; goes before `ORT_DYLIB_PATH` |
//! | `ORT_DYLIB_PATH` | the same, as other programs name it |
//! | `INFERWIT_ACTOR` | who is recorded in the history; default: the system user, by `USER` or `LOGNAME` |
//! | `XDG_DATA_HOME`, `HOME` | where the user's data folder lies |
//! | `NO_COLOR` | any value: no colour |

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

const CONFIG: &str = "INFERWIT_CONFIG";
const DATA_DIR: &str = "INFERWIT_DATA_DIR";
const ONNXRUNTIME: &str = "INFERWIT_ONNXRUNTIME";
const ORT_DYLIB_PATH: &str = "ORT_DYLIB_PATH";
const ACTOR: &str = "INFERWIT_ACTOR";
const USER: &str = "USER";
const LOGNAME: &str = "LOGNAME";
const XDG_DATA_HOME: &str = "XDG_DATA_HOME";
const HOME: &str = "HOME";
const NO_COLOR: &str = "NO_COLOR";
const KNOWN: [&str; 10] =
    [CONFIG, DATA_DIR, ONNXRUNTIME, ORT_DYLIB_PATH, ACTOR, USER, LOGNAME, XDG_DATA_HOME, HOME, NO_COLOR];
const OVERRIDE_PREFIX: &str = "INFERWIT__";

/// The variables of one process, taken once. An empty variable counts as one that is not set.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, OsString>,
}

impl Environment {
    /// Those of this process.
    pub fn capture() -> Self {
        Self::of(std::env::vars_os())
    }

    /// Those that concern the host, out of `variables`.
    pub fn of<K: Into<OsString>, V: Into<OsString>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        let variables = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.into().into_string().ok()?, value.into())))
            .filter(|(name, value)| {
                name.starts_with(OVERRIDE_PREFIX) || (KNOWN.contains(&name.as_str()) && !value.is_empty())
            })
            .collect();
        Self { variables }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.variables.get(name).map(PathBuf::from)
    }

    /// The variables that override keys of the configuration, by name; bytes that are no UTF-8 are replaced.
    pub fn overrides(&self) -> impl Iterator<Item = (&str, String)> {
        let overrides = self.variables.iter().filter(|(name, _)| name.starts_with(OVERRIDE_PREFIX));
        overrides.map(|(name, value)| (name.as_str(), value.to_string_lossy().into_owned()))
    }

    /// The configuration file.
    pub fn config_file(&self) -> Option<PathBuf> {
        self.path(CONFIG)
    }

    /// `INFERWIT_DATA_DIR`, else `XDG_DATA_HOME/inferwit`, else `~/.local/share/inferwit`; `None` where not even `HOME` is set.
    pub fn data_dir(&self) -> Option<PathBuf> {
        // The XDG specification has relative paths ignored.
        let xdg = || self.path(XDG_DATA_HOME).filter(|path| path.is_absolute()).map(|path| path.join("inferwit"));
        let home = || self.path(HOME).map(|path| path.join(".local/share/inferwit"));
        self.path(DATA_DIR).or_else(xdg).or_else(home)
    }

    /// The shared library of ONNX Runtime.
    pub fn onnxruntime(&self) -> Option<PathBuf> {
        self.path(ONNXRUNTIME).or_else(|| self.path(ORT_DYLIB_PATH))
    }

    /// Who acts, for the history.
    pub fn actor(&self) -> Option<String> {
        let names = [ACTOR, USER, LOGNAME];
        names.iter().find_map(|name| self.variables.get(*name)).map(|value| value.to_string_lossy().into_owned())
    }

    /// Whether output should have no colour.
    pub fn no_color(&self) -> bool {
        self.variables.contains_key(NO_COLOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_folder_is_the_users_unless_it_is_named() {
        let data_dir = |variables: &[(&str, &str)]| Environment::of(variables.iter().copied()).data_dir();
        let home = ("HOME", "/home/u");
        assert_eq!(data_dir(&[home]), Some("/home/u/.local/share/inferwit".into()));
        assert_eq!(data_dir(&[home, ("XDG_DATA_HOME", "/data")]), Some("/data/inferwit".into()));
        assert_eq!(data_dir(&[home, ("XDG_DATA_HOME", "data")]), Some("/home/u/.local/share/inferwit".into()));
        assert_eq!(data_dir(&[home, ("INFERWIT_DATA_DIR", "/d"), ("XDG_DATA_HOME", "/data")]), Some("/d".into()));
        assert_eq!(data_dir(&[home, ("INFERWIT_DATA_DIR", "")]), Some("/home/u/.local/share/inferwit".into()));
        assert_eq!(data_dir(&[]), None);
    }

    #[test]
    fn only_what_concerns_the_host_is_kept() {
        let environment = Environment::of([
            ("INFERWIT__SERVER__HTTP", "127.0.0.1:1"),
            ("INFERWIT__DATA_DIR", ""),
            ("SECRET", "x"),
            ("ORT_DYLIB_PATH", "/b"),
            ("NO_COLOR", "1"),
        ]);
        let overrides: Vec<(&str, String)> = environment.overrides().collect();
        let expected = [("INFERWIT__DATA_DIR", String::new()), ("INFERWIT__SERVER__HTTP", "127.0.0.1:1".to_owned())];
        assert_eq!(overrides, expected);
        assert_eq!(environment.onnxruntime(), Some("/b".into()));
        assert!(environment.no_color() && environment.variables.len() == 4);
        assert_eq!(environment.actor(), None);
    }
}
