//! Rule sets in a rule engine: loaded, evaluated, explained. Facts and outcomes are columns; nobody here reads a rule.
//!
//! An `OpenRules` lives as long as its rule set is in use. Each of its instances holds the rule set and keeps nothing from
//! one evaluation to the next.

use std::sync::Arc;

use bytes::Bytes;

mod facts;
mod instance;
mod json;
mod outcome;
mod signature;
mod strings;

pub use facts::{Column, Facts, Lists, Table, Values};
pub(crate) use instance::Exports;
use instance::RulesInstance;
pub use json::FactsJsonError;
pub use outcome::{
    EvaluateOptions, LimitReached, Outcome, RuleDecision, RunStats, RunStatus, TIME_LIMIT, TestResult, TraceLevel,
};
pub use signature::{Field, Kind, Origin, RulesSignature, Template};
pub use strings::{Pool, PoolBuilder};

use super::abi::v0_1::rules::host_test_result;
use super::error::{Diagnostic, PluginError, Stage};
use super::limits::Limits;
use super::serving::{Answer, Serving};
use super::{Isolation, Plugin, Sandbox};
use crate::infer::{Deadline, RequestContext};

/// A rule set as bytes.
#[derive(Clone, Debug)]
pub enum RuleSetSource {
    /// YAML or JSON.
    Text(Bytes),
    /// What `Plugin::compile_rules` of the very same plugin gave.
    Compiled(Bytes),
}

/// How a rule set is used.
#[derive(Clone, Debug)]
pub struct RulesUsage {
    /// The step's name, for messages; `None` outside of pipelines.
    pub step: Option<String>,
    pub rule_set: RuleSetSource,
    /// JSON text: `{"params": {...}, "ceilings": {"max_work": n, ...}}`.
    pub config: String,
    pub isolation: Isolation,
    /// `memory_bytes` is the cap of rules, not that of other plugins.
    pub limits: Limits,
}

impl Plugin {
    /// Loads a rule set, which the engine checks.
    ///
    /// # Errors
    /// `RuleSet` with all that is wrong; or that the plugin is no rule engine, trapped or reached a limit.
    pub fn rules(self: &Arc<Self>, usage: RulesUsage) -> Result<OpenRules, PluginError> {
        let sandbox = Sandbox::new(self, usage.step.as_deref(), usage.limits, Arc::default());
        let _tick = self.engine.tick();
        let mut first = RulesInstance::load(self, &sandbox, &usage, &Deadline::never())?;
        let signature = first.signature(&sandbox)?;
        let warnings = first.warnings(&sandbox)?;
        let serving = Serving::new(self, usage.isolation, usage.limits.warm_instances, first);
        Ok(OpenRules { serving, sandbox, usage, signature, warnings })
    }

    /// The canonical JSON form of a rule set, whose SHA-256 is its identity.
    ///
    /// # Errors
    /// `RuleSet` with all that is wrong; or that the plugin lacks `rules-tools`, trapped or reached a limit.
    pub fn canonical_rules(&self, source: &[u8], limits: Limits) -> Result<Vec<u8>, PluginError> {
        instance::use_tools(self, limits, Stage::Canonical, |tools, store| tools.call_canonical(store, source))
    }

    /// A form that loads faster, good only for this very plugin: never to be taken from outside.
    ///
    /// # Errors
    /// As `canonical_rules`.
    pub fn compile_rules(&self, source: &[u8], limits: Limits) -> Result<Vec<u8>, PluginError> {
        instance::use_tools(self, limits, Stage::Compile, |tools, store| tools.call_compile(store, source))
    }

    /// Runs the tests in a rule set, those whose name holds `filter`.
    ///
    /// # Errors
    /// As `canonical_rules`; a test that fails is a result.
    pub fn test_rules(&self, source: &[u8], filter: &str, limits: Limits) -> Result<Vec<TestResult>, PluginError> {
        let results =
            instance::use_tools(self, limits, Stage::Test, |tools, store| tools.call_test(store, source, filter))?;
        Ok(results.into_iter().map(host_test_result).collect())
    }

    /// Whether `compile_rules` and the other tools for authors are there.
    pub fn has_rules_tools(&self) -> bool {
        self.rules.as_ref().is_some_and(Exports::has_tools)
    }
}

/// A rule set in a rule engine, ready to be evaluated.
pub struct OpenRules {
    serving: Serving<RulesInstance>,
    sandbox: Sandbox,
    usage: RulesUsage,
    signature: RulesSignature,
    warnings: Vec<Diagnostic>,
}

impl OpenRules {
    /// What it takes and gives.
    pub fn signature(&self) -> &RulesSignature {
        &self.signature
    }

    /// What the engine warned of when it loaded the rule set.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    pub fn isolation(&self) -> Isolation {
        self.serving.isolation
    }

    /// Runs the rules on facts, under `limits.deadline` and the request's own.
    ///
    /// A run that errs or reaches a limit of the rule set is an outcome. Facts that are refused are a `Failure`.
    pub fn evaluate(&self, facts: &Facts, options: &EvaluateOptions, context: &Arc<RequestContext>) -> Answer<Outcome> {
        self.call(&context.deadline, |instance| {
            instance.evaluate(&self.sandbox, &self.signature, (facts, options), context)
        })
    }

    /// Why something holds, or why not: JSON text, the `explain` or `why-not` shape of `rules-report/v1`.
    /// The query is `template(key=value, ...)` or `decision(code=..., subject=...)`.
    ///
    /// # Errors
    /// `Failure` for facts or a query that are refused; or that the plugin lacks `rules-tools`, trapped or reached a limit.
    pub fn explain(&self, facts: &Facts, options: &EvaluateOptions, query: &str) -> Result<String, PluginError> {
        self.with_tools(|instance| instance.explain(&self.serving.plugin, &self.sandbox, (facts, options), query))
    }

    /// How the rules are joined, as JSON text.
    ///
    /// # Errors
    /// If the plugin lacks `rules-tools`, trapped or reached a limit.
    pub fn plan(&self) -> Result<String, PluginError> {
        self.with_tools(|instance| instance.plan(&self.serving.plugin, &self.sandbox))
    }

    fn with_tools<T>(&self, body: impl FnOnce(&mut RulesInstance) -> Result<T, PluginError>) -> Result<T, PluginError> {
        self.call(&Deadline::after(self.sandbox.limits.tools_deadline), body).result
    }

    fn call<T>(
        &self,
        deadline: &Deadline,
        body: impl FnOnce(&mut RulesInstance) -> Result<T, PluginError>,
    ) -> Answer<T> {
        let open = || RulesInstance::load(&self.serving.plugin, &self.sandbox, &self.usage, deadline);
        self.serving.call(&self.sandbox, deadline, open, body)
    }
}
