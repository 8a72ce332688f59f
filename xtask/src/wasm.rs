//! How plugins are compiled to Wasm: rustup's `wasm32-wasip2`, or Debian's Rust where that cannot be had.
//!
//! The fallback unpacks Debian's `rustc-web` and `rust-web-src` side by side in the data folder, which needs no root,
//! and builds std for `wasm32-unknown-unknown`. It gives core modules with an embedded component type; the host makes
//! components of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::layout::Layout;
use crate::process::{hinted, output_of};
use crate::progress::Step;
use crate::{env, fetch};

const TARGET: &str = "wasm32-wasip2";
const FALLBACK_TARGET: &str = "wasm32-unknown-unknown";
/// Grows when the way of unpacking changes, so that an older folder is not used.
const FALLBACK_FOLDER: &str = "rust-web-1";

pub(crate) enum Toolchain {
    Rustup,
    Debian {
        /// The unpacked packages.
        root: PathBuf,
        /// rustup's own linker for Wasm: Debian's package has none.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// A cargo call in the checkout that compiles for Wasm; `verb` is `build` or `clippy`.
    pub(crate) fn cargo(&self, layout: &Layout, verb: &str) -> Command {
        let mut command = layout.cargo();
        match self {
            Self::Rustup => {
                command.args([verb, "--target", TARGET]);
            }
            Self::Debian { root, linker } => {
                command
                    .args([verb, "--target", FALLBACK_TARGET, "-Zbuild-std=std,panic_abort"])
                    .env("CARGO_TARGET_DIR", self.target_folder(layout))
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                    .env("RUSTC", root.join("usr/bin/rustc"))
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("LD_LIBRARY_PATH", libraries(root));
            }
        }
        command
    }

    /// Where the modules of a profile lie once built.
    pub(crate) fn built(&self, layout: &Layout, profile: &str) -> PathBuf {
        let target = match self {
            Self::Rustup => TARGET,
            Self::Debian { .. } => FALLBACK_TARGET,
        };
        self.target_folder(layout).join(target).join(profile)
    }

    fn target_folder(&self, layout: &Layout) -> PathBuf {
        match self {
            Self::Rustup => layout.target.clone(),
            Self::Debian { .. } => layout.target.join("wasm-fallback"),
        }
    }
}

/// Finds or installs a toolchain. Takes the fallback when asked to, or, aloud, when rustup fails.
pub(crate) fn ensure(layout: &Layout, fallback: bool) -> Result<Toolchain> {
    let sysroot = sysroot(layout)?;
    if fallback {
        return debian(layout, &sysroot);
    }
    if sysroot.join("lib/rustlib").join(TARGET).exists() {
        return Ok(Toolchain::Rustup);
    }
    let step = Step::begin(format!("add the target {TARGET} with rustup"));
    match output_of(Command::new("rustup").args(["target", "add", TARGET]).current_dir(&layout.root)) {
        Ok(_) => {
            step.done();
            Ok(Toolchain::Rustup)
        }
        Err(error) => {
            drop(step);
            eprintln!(
                "warning: {error:#}\nwarning: compiling plugins with Debian's Rust for {FALLBACK_TARGET} instead"
            );
            debian(layout, &sysroot)
        }
    }
}

fn sysroot(layout: &Layout) -> Result<PathBuf> {
    let mut command = Command::new(env::text("RUSTC").unwrap_or_else(|| "rustc".into()));
    let printed = output_of(command.args(["--print", "sysroot"]).current_dir(&layout.root))?;
    Ok(PathBuf::from(printed.trim_end()))
}

fn debian(layout: &Layout, sysroot: &Path) -> Result<Toolchain> {
    let root = layout.data.join(FALLBACK_FOLDER);
    if !root.exists() {
        unpack_debian(layout, &root).map_err(|error| {
            hinted(
                format!("set up the fallback for Wasm: {error:#}"),
                "it needs Debian 12 with its security repository; elsewhere use `rustup target add wasm32-wasip2`",
            )
        })?;
    }
    let linker = ["x86_64", "aarch64"]
        .iter()
        .map(|machine| sysroot.join(format!("lib/rustlib/{machine}-unknown-linux-gnu/bin/rust-lld")))
        .find(|linker| linker.exists())
        .with_context(|| format!("`{}` holds no rust-lld", sysroot.display()))?;
    Ok(Toolchain::Debian { root, linker })
}

fn unpack_debian(layout: &Layout, root: &Path) -> Result<()> {
    let incoming = fetch::fresh_folder(&layout.data.join("incoming/debian"))?;
    let apt = Apt { folder: incoming.clone() };
    let step = Step::begin("read Debian's lists of packages");
    apt.update()?;
    step.done();

    let step = Step::begin("fetch Debian's Rust for the web (140 MB)");
    // Their names hold versions, which Debian's own dependencies tell.
    let mut packages = vec!["rustc-web".to_owned(), "rust-web-src".to_owned(), "libstd-rust-web-dev".to_owned()];
    let library = apt.dependency("libstd-rust-web-dev", "libstd-rust-web-")?;
    packages.push(apt.dependency(&library, "libllvm")?);
    packages.push(library);
    apt.download(&packages)?;
    step.done();

    let step = Step::begin("unpack Debian's Rust for the web");
    let unpacked = apt.unpack()?;
    output_of(
        Command::new(unpacked.join("usr/bin/rustc")).arg("--version").env("LD_LIBRARY_PATH", libraries(&unpacked)),
    )
    .context("run the unpacked compiler; a library that it names is missing on this machine")?;
    fetch::rename(&unpacked, root)?;
    fs::remove_dir_all(&incoming).with_context(|| format!("remove `{}`", incoming.display()))?;
    step.done();
    Ok(())
}

fn libraries(root: &Path) -> PathBuf {
    root.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH))
}

/// apt with lists and downloads of its own, so that it needs no root and leaves the system's alone. It checks signatures.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn command(&self, program: &str) -> Result<Command> {
        for folder in ["lists/partial", "cache/archives/partial", "packages"] {
            fs::create_dir_all(self.folder.join(folder)).context("create apt's folders")?;
        }
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.join("packages"))
            .arg(format!("-oDir::State::Lists={}", self.folder.join("lists").display()))
            .arg(format!("-oDir::Cache={}", self.folder.join("cache").display()))
            .args(["-oAPT::Sandbox::User=", "-qq"]);
        Ok(command)
    }

    fn update(&self) -> Result<()> {
        output_of(self.command("apt-get")?.arg("update")).map(drop)
    }

    fn download(&self, packages: &[String]) -> Result<()> {
        output_of(self.command("apt-get")?.arg("download").args(packages)).map(drop)
    }

    /// The dependency of a package whose name begins like this.
    fn dependency(&self, package: &str, prefix: &str) -> Result<String> {
        let printed = output_of(self.command("apt-cache")?.args(["depends", package]))?;
        printed
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .find(|name| name.starts_with(prefix))
            .map(str::to_owned)
            .with_context(|| format!("Debian's package `{package}` depends on no `{prefix}*`"))
    }

    fn unpack(&self) -> Result<PathBuf> {
        let unpacked = fetch::fresh_folder(&self.folder.join("unpacked"))?;
        let packages = self.folder.join("packages");
        for entry in fs::read_dir(&packages).with_context(|| format!("read `{}`", packages.display()))? {
            output_of(Command::new("dpkg").arg("-x").arg(entry?.path()).arg(&unpacked))?;
        }
        Ok(unpacked)
    }
}
