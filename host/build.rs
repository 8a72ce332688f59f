//! Finds the rule engine that the program is to carry: the component that `INFERWIT_RULES_ENGINE` names. Builds nothing.
#![expect(clippy::disallowed_methods, reason = "a build script talks to cargo so")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The built `rules` plugin; without it the program carries none and says so where one is needed.
const RULES_ENGINE: &str = "INFERWIT_RULES_ENGINE";
/// How every core module and component begins.
const WASM: &[u8] = b"\0asm";

fn main() {
    println!("cargo::rerun-if-env-changed={RULES_ENGINE}");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where a build script may write"));
    let carried = match env::var_os(RULES_ENGINE).filter(|path| !path.is_empty()) {
        Some(path) => embedded(Path::new(&path)),
        None => "None".to_owned(),
    };
    fs::write(out.join("rules_engine.rs"), carried).expect("the output folder can be written");
}

fn embedded(path: &Path) -> String {
    println!("cargo::rerun-if-changed={}", path.display());
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("read {RULES_ENGINE} `{}`: {error}", path.display()));
    assert!(bytes.starts_with(WASM), "{RULES_ENGINE} `{}` is no WebAssembly", path.display());
    format!("Some(include_bytes!({:?}))", path.display().to_string())
}
