//! Where things lie: the checkout, the data folder, the target folder. Creates nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::env;

pub(crate) struct Layout {
    /// The checkout.
    pub(crate) root: PathBuf,
    /// What set-up fetched; shared by all checkouts.
    pub(crate) data: PathBuf,
    /// What is compiled; outside the checkout, so that a fresh one finds its dependencies built.
    pub(crate) target: PathBuf,
}

impl Layout {
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace's folder")?;
        let data = match env::path(env::DATA_DIR) {
            Some(path) => path,
            None => user_folder("XDG_DATA_HOME", ".local/share")?.join("inferwit"),
        };
        let target = match env::path("CARGO_TARGET_DIR") {
            Some(path) => path,
            None => user_folder("XDG_CACHE_HOME", ".cache")?.join("inferwit/target"),
        };
        Ok(Self {
            root: root.to_owned(),
            data: std::path::absolute(data).context("make the data folder's path absolute")?,
            target: std::path::absolute(target).context("make the target folder's path absolute")?,
        })
    }

    pub(crate) fn fixtures(&self) -> PathBuf {
        self.data.join("fixtures")
    }

    pub(crate) fn plugins(&self) -> PathBuf {
        self.target.join("plugins")
    }

    /// The lock file of what the credit demo's training takes.
    pub(crate) fn training_packages(&self) -> PathBuf {
        self.root.join("config/examples/credit/requirements.txt")
    }

    /// The rule engine that the host carries.
    fn rules_engine(&self) -> PathBuf {
        self.plugins().join("rules.wasm")
    }

    /// The `inferwit` program of a profile's folder, `debug` or `release`.
    pub(crate) fn program(&self, profile: &str) -> PathBuf {
        self.target.join(profile).join(format!("inferwit{}", std::env::consts::EXE_SUFFIX))
    }

    /// A cargo call in the checkout, with what tests and benchmarks need in its environment.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(env::cargo());
        command
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env(env::DATA_DIR, &self.data)
            .env(env::TEST_FIXTURES, self.fixtures())
            .env(env::TEST_PLUGINS, self.plugins());
        // Plugins are built before the host; where they are not yet, the host carries no engine.
        let engine = self.rules_engine();
        if engine.exists() {
            command.env(env::RULES_ENGINE, engine);
        } else {
            command.env_remove(env::RULES_ENGINE);
        }
        command
    }
}

fn user_folder(variable: &str, below_home: &str) -> Result<PathBuf> {
    if let Some(path) = env::path(variable) {
        return Ok(path);
    }
    let home = env::path("HOME").with_context(|| format!("neither ${variable} nor $HOME is set"))?;
    Ok(home.join(below_home))
}
