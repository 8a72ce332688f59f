//! Finds what set-up fetched and built: fixtures, plugins, the program. Makes nothing, and never skips.
#![expect(clippy::disallowed_methods, reason = "tests have no `env.rs`; these few variables are documented in xtask's")]

use std::env;
use std::path::{Path, PathBuf};

/// The checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the checkout")
}

/// The data folder that set-up fills; tests only read it.
pub(crate) fn data() -> PathBuf {
    folder("INFERWIT_DATA_DIR", || user_folder("XDG_DATA_HOME", ".local/share").join("inferwit"))
}

/// A fetched file, as `astronaut.png`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    present(folder("INFERWIT_TEST_FIXTURES", || data().join("fixtures")).join(name))
}

/// A built plugin, as `image`.
pub(crate) fn plugin(name: &str) -> PathBuf {
    present(folder("INFERWIT_TEST_PLUGINS", || target().join("plugins")).join(format!("{name}.wasm")))
}

/// The `inferwit` program.
pub(crate) fn program() -> PathBuf {
    present(folder("INFERWIT_TEST_PROGRAM", || target().join("debug/inferwit")))
}

/// The folder of what is built, where tests keep what they share.
pub(crate) fn target() -> PathBuf {
    folder("CARGO_TARGET_DIR", || user_folder("XDG_CACHE_HOME", ".cache").join("inferwit/target"))
}

fn folder(variable: &str, default: impl FnOnce() -> PathBuf) -> PathBuf {
    env::var_os(variable).filter(|value| !value.is_empty()).map_or_else(default, PathBuf::from)
}

fn user_folder(variable: &str, below_home: &str) -> PathBuf {
    folder(variable, || Path::new(&env::var_os("HOME").expect("$HOME is set")).join(below_home))
}

fn present(path: PathBuf) -> PathBuf {
    assert!(
        path.exists(),
        "`{}` is missing: run `cargo xtask setup`, or the tests by `cargo xtask test`",
        path.display()
    );
    path
}
