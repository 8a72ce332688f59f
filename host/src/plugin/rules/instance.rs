//! One guest that holds a rule set, and the calls into it. Whatever goes wrong ends it, as it does other guests.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::ResourceAny;

use super::outcome::{EvaluateOptions, Outcome, TIME_LIMIT};
use super::{Facts, RuleSetSource, RulesSignature, RulesUsage};
use crate::infer::{Deadline, RequestContext};
use crate::plugin::abi::GuestState;
use crate::plugin::abi::v0_1::{self, bindings, rules as convert};
use crate::plugin::error::{Diagnostic, PluginError, PluginLabel, Stage};
use crate::plugin::instance::{self, Call};
use crate::plugin::limits::Limits;
use crate::plugin::serving::Guest;
use crate::plugin::{Plugin, Sandbox};

use bindings::inferwit::plugin::common;
use bindings::rules::exports::inferwit::plugin::{rules, rules_tools};

/// Where a component keeps the exports of rules; the tools are optional.
pub(crate) struct Exports {
    rules: rules::GuestIndices,
    tools: Option<rules_tools::GuestIndices>,
}

impl Exports {
    /// `has_tools`: the component exports `rules-tools` too.
    pub(crate) fn find(pre: &wasmtime::component::InstancePre<GuestState>, has_tools: bool) -> wasmtime::Result<Self> {
        let tools = has_tools.then(|| rules_tools::GuestIndices::new(pre)).transpose()?;
        Ok(Self { rules: rules::GuestIndices::new(pre)?, tools })
    }

    pub(crate) fn has_tools(&self) -> bool {
        self.tools.is_some()
    }
}

/// A guest that holds a rule set.
pub(super) struct RulesInstance {
    store: Store<GuestState>,
    rules: rules::Guest,
    tools: Option<rules_tools::Guest>,
    ruleset: ResourceAny,
}

impl Guest for RulesInstance {
    fn store(&self) -> &Store<GuestState> {
        &self.store
    }
}

impl RulesInstance {
    /// Makes a guest and loads the rule set.
    pub(super) fn load(
        plugin: &Plugin,
        sandbox: &Sandbox,
        usage: &RulesUsage,
        request_deadline: &Deadline,
    ) -> Result<Self, PluginError> {
        let label = &sandbox.label;
        let budget = sandbox.limits.open_deadline;
        let exports = plugin.rules.as_ref().ok_or_else(|| plugin.lacks("rules"))?;
        let mut call = Call { store: plugin.store(sandbox), label, request_deadline };
        let guest = call.run(Stage::Instantiate, budget, |store| plugin.pre.instantiate(store))?;
        let loaded = exports.rules.load(&mut call.store, &guest);
        let rules = loaded.map_err(|error| instance::breach(label, &error))?;
        let tools = exports.tools.as_ref().map(|tools| tools.load(&mut call.store, &guest)).transpose();
        let tools = tools.map_err(|error| instance::breach(label, &error))?;
        let functions = rules.ruleset();
        let loaded = call.run(Stage::Load, budget, |store| match &usage.rule_set {
            RuleSetSource::Text(text) => functions.call_load(store, text, &usage.config),
            RuleSetSource::Compiled(compiled) => functions.call_load_compiled(store, compiled, &usage.config),
        })?;
        let ruleset = loaded.map_err(|diagnostics| refused(label, diagnostics))?;
        Ok(Self { store: call.store, rules, tools, ruleset })
    }

    pub(super) fn signature(&mut self, sandbox: &Sandbox) -> Result<RulesSignature, PluginError> {
        let never = Deadline::never();
        let mut call = Call { store: &mut self.store, label: &sandbox.label, request_deadline: &never };
        let functions = self.rules.ruleset();
        let signature =
            call.run(Stage::Load, sandbox.limits.open_deadline, |store| functions.call_signature(store, self.ruleset))?;
        Ok(convert::host_signature(signature))
    }

    pub(super) fn warnings(&mut self, sandbox: &Sandbox) -> Result<Vec<Diagnostic>, PluginError> {
        let never = Deadline::never();
        let mut call = Call { store: &mut self.store, label: &sandbox.label, request_deadline: &never };
        let functions = self.rules.ruleset();
        let warnings =
            call.run(Stage::Load, sandbox.limits.open_deadline, |store| functions.call_warnings(store, self.ruleset))?;
        Ok(warnings.into_iter().map(v0_1::host_diagnostic).collect())
    }

    /// After any error but `Failure` the guest must not be used again.
    pub(super) fn evaluate(
        &mut self,
        sandbox: &Sandbox,
        signature: &RulesSignature,
        (facts, options): (&Facts, &EvaluateOptions),
        context: &Arc<RequestContext>,
    ) -> Result<Outcome, PluginError> {
        let label = &sandbox.label;
        self.store.data_mut().request = Some(Arc::clone(context));
        let mut call = Call { store: &mut self.store, label, request_deadline: &context.deadline };
        let functions = self.rules.ruleset();
        let outcome = convert::lend(facts, |facts| {
            let options = convert::lent_options(options);
            call.run(Stage::Evaluate, sandbox.limits.deadline, |store| {
                functions.call_evaluate(store, self.ruleset, facts, options)
            })
        });
        self.store.data_mut().request = None;
        let outcome = outcome?.map_err(|failure| instance::failed(label, Stage::Evaluate, failure))?;
        let contract = |reason| PluginError::Contract { label: label.clone(), reason };
        let mut outcome = convert::host_outcome(outcome, signature).map_err(contract)?;
        if let Some(limit) = outcome.limit.as_mut().filter(|limit| limit.name == TIME_LIMIT) {
            limit.is_requests_time = self.is_bound_by(&context.deadline);
        }
        Ok(outcome)
    }

    /// Whether the time of the last call was that of the request, rather than the plugin's own.
    fn is_bound_by(&self, request_deadline: &Deadline) -> bool {
        let bound = self.store.data().deadline.instant();
        request_deadline.is_cancelled() || request_deadline.instant().is_some_and(|instant| Some(instant) == bound)
    }

    pub(super) fn explain(
        &mut self,
        plugin: &Plugin,
        sandbox: &Sandbox,
        (facts, options): (&Facts, &EvaluateOptions),
        query: &str,
    ) -> Result<String, PluginError> {
        let (label, never) = (&sandbox.label, Deadline::never());
        let tools = self.tools.as_ref().ok_or_else(|| plugin.lacks("rules-tools"))?;
        let mut call = Call { store: &mut self.store, label, request_deadline: &never };
        let explained = convert::lend(facts, |facts| {
            let options = convert::lent_options(options);
            call.run(Stage::Explain, sandbox.limits.tools_deadline, |store| {
                tools.call_explain(store, self.ruleset, facts, options, query)
            })
        })?;
        explained.map_err(|failure| instance::failed(label, Stage::Explain, failure))
    }

    pub(super) fn plan(&mut self, plugin: &Plugin, sandbox: &Sandbox) -> Result<String, PluginError> {
        let never = Deadline::never();
        let tools = self.tools.as_ref().ok_or_else(|| plugin.lacks("rules-tools"))?;
        let mut call = Call { store: &mut self.store, label: &sandbox.label, request_deadline: &never };
        call.run(Stage::Plan, sandbox.limits.tools_deadline, |store| tools.call_plan(store, self.ruleset))
    }
}

/// Has `rules-tools` do something with the text of a rule set, in a guest of its own.
pub(super) fn use_tools<T>(
    plugin: &Plugin,
    limits: Limits,
    stage: Stage,
    body: impl FnOnce(&rules_tools::Guest, &mut Store<GuestState>) -> wasmtime::Result<Result<T, Vec<common::Diagnostic>>>,
) -> Result<T, PluginError> {
    let (sandbox, never) = (Sandbox::new(plugin, None, limits, Arc::default()), Deadline::never());
    let exports = plugin.rules.as_ref().and_then(|exports| exports.tools.as_ref());
    let exports = exports.ok_or_else(|| plugin.lacks("rules-tools"))?;
    let _tick = plugin.engine.tick();
    let mut call = Call { store: plugin.store(&sandbox), label: &sandbox.label, request_deadline: &never };
    let guest = call.run(Stage::Instantiate, limits.tools_deadline, |store| plugin.pre.instantiate(store))?;
    let loaded = exports.load(&mut call.store, &guest);
    let tools = loaded.map_err(|error| instance::breach(&sandbox.label, &error))?;
    let done = call.run(stage, limits.tools_deadline, |store| body(&tools, store))?;
    done.map_err(|diagnostics| refused(&sandbox.label, diagnostics))
}

fn refused(label: &PluginLabel, diagnostics: Vec<common::Diagnostic>) -> PluginError {
    let diagnostics = diagnostics.into_iter().map(v0_1::host_diagnostic).collect();
    PluginError::RuleSet { label: label.clone(), diagnostics }
}
