//! The rule engine that the program carries: found, registered where its version is missing, compiled. Loads no rule set.

use std::path::Path;
use std::sync::Arc;

use super::App;
use super::error::AppError;
use crate::name::{Kind, Name, Reference, Selector};
use crate::plugin::{Limits, Plugin};
use crate::registry::{Artifact, RegistryError};

/// The component that this program was built with.
const CARRIED: Option<&[u8]> = include!(concat!(env!("OUT_DIR"), "/rules_engine.rs"));

/// Under which name rule engines are registered, and stand in bundles.
const NAME: &str = "rules";
/// What messages call the carried component.
const FILE: &str = "rules.wasm";

pub(super) fn name() -> Name {
    NAME.parse().expect("`rules` is a name")
}

impl App {
    /// The engine for tools: the one that this program carries, else the newest that is registered. Registers nothing.
    ///
    /// # Errors
    /// `NoRulesEngine`, or that it cannot be compiled.
    pub fn rules_engine(&self) -> Result<Arc<Plugin>, AppError> {
        match CARRIED {
            Some(bytes) => self.loader.carried_engine(|| {
                let engine = self.plugin_engine()?;
                Ok(Arc::new(Plugin::compile(engine, NAME, bytes, self.config().plugins.concurrency)?))
            }),
            None => self.registered_engine(&self.newest_engine()?.ok_or(AppError::NoRulesEngine)?),
        }
    }

    /// Whether this program carries an engine.
    pub fn carries_rules_engine() -> bool {
        CARRIED.is_some()
    }

    /// Registers the carried engine where its version is missing, and gives the newest that is registered; `None` where
    /// there is neither.
    ///
    /// # Errors
    /// If it cannot be registered, or the registry not be read.
    pub fn ensure_rules_engine(&self) -> Result<Option<Artifact>, AppError> {
        if let Some(bytes) = CARRIED
            && !self.is_registered(bytes)?
        {
            match self.add_plugin_bytes(Path::new(FILE), bytes) {
                Ok(added) => {
                    tracing::info!(plugin = added.artifact().label(), "the carried rule engine is registered");
                }
                // A version never changes: what was registered first stays what it means in this registry.
                Err(AppError::Registry(RegistryError::VersionTaken { name, version, .. })) => {
                    tracing::warn!(%name, %version, "the registry has another build of the carried rule engine, and that is used");
                }
                Err(error) => return Err(error),
            }
        }
        self.newest_engine()
    }

    /// Whether these very bytes are registered, so that nothing needs to be compiled to find that out.
    fn is_registered(&self, bytes: &[u8]) -> Result<bool, AppError> {
        let digest = self.loader.carried_digest(bytes);
        let registered = self.registry()?.list(Kind::Plugin)?;
        Ok(registered.iter().any(|artifact| artifact.name.as_str() == NAME && artifact.digest == digest))
    }

    fn newest_engine(&self) -> Result<Option<Artifact>, AppError> {
        let reference = Reference { name: name(), selector: Selector::Newest };
        match self.registry()?.resolve(Kind::Plugin, &reference) {
            Ok(artifact) => Ok(Some(artifact)),
            Err(RegistryError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What a rule engine may use: that of plugins, but for its memory.
    pub fn rules_limits(&self) -> Limits {
        Limits { memory_bytes: self.config().rules.memory_bytes, ..self.plugin_limits() }
    }
}
