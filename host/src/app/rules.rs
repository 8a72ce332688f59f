//! Rule sets: checked and tested in the Wasm engine, registered, loaded from their compiled form. Evaluates none.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::App;
use super::compiled_rules::CompiledRules;
use super::error::AppError;
use super::gather::{Material, read_bounded};
use crate::name::{Digest, Kind, Name, NameError, Version};
use crate::plugin::{
    Diagnostic, Isolation, Limits, OpenRules, Plugin, PluginError, RuleSetSource, RulesUsage, TestResult,
};
use crate::registry::{Added, Artifact, NewRules, RulesRecord};

/// The largest file of a rule set.
const RULES_BYTES_MAX: u64 = 16 << 20;
/// What the engine keeps for itself of the memory that it may have.
const ENGINE_BYTES: usize = 8 << 20;

/// What a rule set is, as its engine found it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RulesReport {
    pub name: Name,
    pub version: Version,
    /// SHA-256 of the canonical form.
    pub identity: Digest,
    pub warnings: Vec<Diagnostic>,
    /// All of them passed.
    pub tests: Vec<TestResult>,
    /// The canonical form.
    pub parsed: Value,
}

/// A rule set as a step uses it.
#[derive(Clone, Copy)]
pub(super) struct RulesLoad<'a> {
    pub(super) step: &'a str,
    pub(super) params: &'a Map<String, Value>,
    pub(super) limits: Limits,
}

impl App {
    /// Registers a rule set that loads and whose tests pass.
    ///
    /// # Errors
    /// All that is wrong with it, tests that fail, or its version is taken by another rule set.
    pub fn add_rules(&self, source: &[u8]) -> Result<(Added, RulesReport), AppError> {
        let engine = self.ensure_rules_engine()?.ok_or(AppError::NoRulesEngine)?;
        let report = self.report(&self.registered_engine(&engine)?, source)?;
        let added = self.registry()?.add_rules(&NewRules {
            name: report.name.clone(),
            version: report.version.clone(),
            source,
            record: RulesRecord { identity: report.identity, parsed: report.parsed.clone() },
        })?;
        Ok((added, report))
    }

    /// What a rule set is and whether its tests pass, without registering it.
    ///
    /// # Errors
    /// All that is wrong with it, or tests that fail.
    pub fn inspect_rules(&self, source: &[u8]) -> Result<RulesReport, AppError> {
        self.report(&self.rules_engine()?, source)
    }

    fn report(&self, engine: &Arc<Plugin>, source: &[u8]) -> Result<RulesReport, AppError> {
        let limits = self.rules_limits();
        let canonical = engine.canonical_rules(source, limits)?;
        let parsed: Value = serde_json::from_slice(&canonical)
            .map_err(|error| AppError::Manifest { reason: format!("its canonical form is not JSON: {error}") })?;
        let opened = engine.rules(self.rules_usage(source.to_vec().into(), &Map::new()))?;
        let signature = opened.signature();
        let wrong = |error: NameError| AppError::Manifest { reason: error.to_string() };
        let (name, version): (Name, Version) =
            (signature.name.parse().map_err(wrong)?, signature.version.parse().map_err(wrong)?);
        let tests = self.passing_tests(engine, source, &format!("{name}@{version}"))?;
        let warnings = opened.warnings().to_vec();
        Ok(RulesReport { name, version, identity: Digest::of(&canonical), warnings, tests, parsed })
    }

    fn passing_tests(&self, engine: &Plugin, source: &[u8], rule_set: &str) -> Result<Vec<TestResult>, AppError> {
        let results = engine.test_rules(source, "", self.rules_limits())?;
        if results.iter().all(|result| result.passed) {
            return Ok(results);
        }
        Err(AppError::RuleTests { rule_set: rule_set.to_owned(), results })
    }

    /// Loads a rule set for tools, under the operator's ceilings.
    ///
    /// # Errors
    /// All that is wrong with it or with the parameters.
    pub fn open_rules(&self, source: &[u8], params: &Map<String, Value>) -> Result<OpenRules, AppError> {
        Ok(self.rules_engine()?.rules(self.rules_usage(source.to_vec().into(), params))?)
    }

    /// Runs the tests in a rule set, those whose name holds `filter`. One that fails is a result.
    ///
    /// # Errors
    /// All that is wrong with the rule set.
    pub fn test_rules(&self, source: &[u8], filter: &str) -> Result<Vec<TestResult>, AppError> {
        Ok(self.rules_engine()?.test_rules(source, filter, self.rules_limits())?)
    }

    /// The text of a rule set, and what to call it: a file that is there, else one that is registered.
    ///
    /// # Errors
    /// If there is neither, or it cannot be read.
    pub fn rules_source(&self, text: &str) -> Result<(String, Vec<u8>), AppError> {
        let path = Path::new(text);
        let is_file_name = matches!(path.extension().and_then(|it| it.to_str()), Some("yaml" | "yml" | "json"));
        if is_file_name || path.is_file() {
            return Ok((text.to_owned(), read_bounded(path, "rule set file", RULES_BYTES_MAX)?));
        }
        let reference = text.parse().map_err(|source| AppError::FileName { text: text.to_owned(), source })?;
        let artifact = self.registry()?.resolve(Kind::Rules, &reference)?;
        Ok((artifact.label(), self.registry()?.read(&artifact)?))
    }

    /// What an engine is told when it loads a rule set: parameters, and the operator's ceilings.
    pub fn rules_config(&self, params: &Map<String, Value>) -> String {
        self.config_under(params, self.rules_limits().memory_bytes)
    }

    fn config_under(&self, params: &Map<String, Value>, memory_bytes: usize) -> String {
        let rules = &self.config().rules;
        let ceilings = json!({
            "max_work": rules.max_work, "max_firings": rules.max_firings, "max_facts": rules.max_facts,
            "max_depth": rules.max_depth, "max_bytes": memory_bytes.saturating_sub(ENGINE_BYTES).max(1),
        });
        json!({"params": params, "ceilings": ceilings}).to_string()
    }

    fn rules_usage(&self, source: Bytes, params: &Map<String, Value>) -> RulesUsage {
        RulesUsage {
            step: None,
            rule_set: RuleSetSource::Text(source),
            config: self.rules_config(params),
            isolation: Isolation::Warm,
            limits: self.rules_limits(),
        }
    }

    /// The compiled code of a registered engine.
    pub(super) fn registered_engine(&self, artifact: &Artifact) -> Result<Arc<Plugin>, AppError> {
        self.plugin(&Material::of(artifact.clone()))
    }

    /// Loads the rule set of a step: from its compiled form, which is made where it is missing or does not load.
    ///
    /// # Errors
    /// All that is wrong with it, with the parameters or under the ceilings.
    pub(super) fn load_rules(
        &self,
        engine: &Material,
        rule_set: &Material,
        load: &RulesLoad<'_>,
    ) -> Result<OpenRules, AppError> {
        let plugin = self.plugin(engine)?;
        let source: Bytes = rule_set.verified_bytes(self)?.into();
        let open = |rule_set: RuleSetSource| {
            plugin.rules(RulesUsage {
                step: Some(load.step.to_owned()),
                rule_set,
                config: self.config_under(load.params, load.limits.memory_bytes),
                isolation: Isolation::Warm,
                limits: load.limits,
            })
        };
        let cache = CompiledRules::new(&self.config().data_dir, engine.digest, rule_set.digest);
        let compiled = match cache.read() {
            Some(compiled) => Some(compiled),
            None => self.compile_rules(&plugin, &source, &cache),
        };
        if let Some(compiled) = compiled {
            match open(RuleSetSource::Compiled(compiled)) {
                Ok(opened) => return Ok(opened),
                // What is wrong with parameters or ceilings is told of the text, which has lines.
                Err(error) => tracing::debug!(rule_set = rule_set.label(), %error, "loading the text instead"),
            }
        }
        Ok(open(RuleSetSource::Text(source))?)
    }

    /// `None` where it cannot be compiled: loading the text says why, if it fails too.
    fn compile_rules(&self, plugin: &Plugin, source: &Bytes, cache: &CompiledRules) -> Option<Bytes> {
        match plugin.compile_rules(source, self.rules_limits()) {
            Ok(compiled) => {
                cache.write(&compiled);
                Some(compiled.into())
            }
            Err(PluginError::RuleSet { .. }) => None,
            Err(error) => {
                tracing::warn!(%error, "a rule set cannot be compiled ahead; its text is loaded at each start");
                None
            }
        }
    }

    /// Runs the tests in every rule set of a bundle, unless this process has seen them pass.
    ///
    /// # Errors
    /// `RuleTests` with all results.
    pub(super) fn test_rule_sets(&self, assembly: &super::gather::Assembly) -> Result<(), AppError> {
        let Some(engine) = assembly.rules_engine() else { return Ok(()) };
        for rule_set in assembly.materials.iter().filter(|material| material.kind == Kind::Rules) {
            let pair = (engine.digest, rule_set.digest);
            if self.loader.has_passed(&pair) {
                continue;
            }
            let source = rule_set.verified_bytes(self)?;
            let plugin = self.plugin(engine)?;
            self.passing_tests(&plugin, &source, &rule_set.label())?;
            self.loader.note_passed(pair);
        }
        Ok(())
    }
}
