//! Plugins: WebAssembly components that run sandboxed, under limits, on the calling thread. Knows no model and no pipeline.
//!
//! A `PluginEngine` lives for the process, a `Plugin` (compiled code, shared) for a generation, an `OpenPlugin` for one use of it
//! in a step, with its configuration, limits and grants, an `OpenRules` for a rule set in a rule engine; an instance lives for
//! one request (`fresh`) or for many (`warm`).

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{Component, InstancePre};

mod abi;
mod engine;
mod error;
mod grants;
mod instance;
mod limits;
mod log;
mod pool;
mod rules;
mod serving;
mod sleep;

pub use abi::OFFERED_VERSIONS;
use abi::v0_1::bindings::{processor, validator};
use abi::{GuestState, Surface};
pub use engine::{EngineSettings, PluginEngine};
pub use error::{Diagnostic, Failure, PluginError, PluginLabel, Severity, Stage};
pub use grants::{GrantedModel, GrantedModelError, Grants};
use instance::Instance;
pub use limits::{Limit, Limits};
use log::GuestLog;
use pool::Gate;
pub use rules::{
    Column, EvaluateOptions, Facts, FactsJsonError, Field, Kind, LimitReached, Lists, OpenRules, Origin, Outcome, Pool,
    PoolBuilder, RuleDecision, RuleSetSource, RulesSignature, RulesUsage, RunStats, RunStatus, TIME_LIMIT, Table,
    Template, TestResult, TraceLevel, Values,
};
pub use serving::Answer;
use serving::Serving;

use crate::infer::{Deadline, RequestContext};
use crate::tensor::{Signature, Tensor};

/// The interfaces of the contract that a plugin may export, by their names.
const INTERFACES: [&str; 5] = ["manifest", "processor", "validator", "rules", "rules-tools"];

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginInfo {
    pub name: String,
    pub version: String,
    pub description: String,
    /// JSON Schema of the configuration.
    pub config_schema: String,
    pub labels: Vec<(String, String)>,
}

/// What a check found in the data of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub code: String,
    pub message: String,
    pub subject: Option<String>,
    /// More, as JSON text.
    pub data: Option<String>,
}

/// Which exported interface a step uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    Processor,
    Validator,
}

/// Whether instances are kept between requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// An instance for each request: no request can see anything of another.
    Fresh,
    /// Instances serve many requests, one at a time.
    Warm,
}

impl Isolation {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Warm => "warm",
        }
    }
}

/// How a step uses a plugin.
#[derive(Clone, Debug)]
pub struct Usage {
    /// The step's name, for messages; `None` where a plugin is only looked at.
    pub step: Option<String>,
    pub interface: Interface,
    /// JSON text, given to `open`.
    pub config: String,
    pub isolation: Isolation,
    pub limits: Limits,
    pub grants: Arc<Grants>,
}

/// Compiled and linked code of a plugin; shared by all its uses.
pub struct Plugin {
    engine: Arc<PluginEngine>,
    /// `name@version`.
    label: String,
    surface: Surface,
    contract_version: &'static str,
    pre: InstancePre<GuestState>,
    processor: Option<processor::ProcessorPluginPre<GuestState>>,
    validator: Option<validator::ValidatorPluginPre<GuestState>>,
    rules: Option<rules::Exports>,
    gate: Gate,
}

impl Plugin {
    /// Compiles a plugin, or takes its machine code from the cache, and links it.
    ///
    /// `wasm` is a component, or a core module with an embedded component type, which is made into a component first.
    /// At most `concurrency` calls of it run at once.
    ///
    /// # Errors
    /// If it is no valid component, was built for another contract, or imports what is not offered.
    pub fn compile(
        engine: &Arc<PluginEngine>,
        label: &str,
        wasm: &[u8],
        concurrency: usize,
    ) -> Result<Self, PluginError> {
        let component_bytes = abi::to_component(wasm)?;
        let component = engine.compile(&component_bytes)?;
        let surface = abi::surface(&component, engine.wasmtime());
        let contract_version = abi::contract_version(&surface)?;
        let pre = link(engine, &component, &surface)?;
        let exports =
            |interface: &str| surface.exports.iter().any(|name| *name == qualified(interface, contract_version));
        let processor = exports("processor").then(|| processor::ProcessorPluginPre::new(pre.clone())).transpose();
        let validator = exports("validator").then(|| validator::ValidatorPluginPre::new(pre.clone())).transpose();
        let rules = exports("rules").then(|| rules::Exports::find(&pre, exports("rules-tools"))).transpose();
        Ok(Self {
            engine: Arc::clone(engine),
            label: label.to_owned(),
            contract_version,
            processor: processor.map_err(unsuitable)?,
            validator: validator.map_err(unsuitable)?,
            rules: rules.map_err(unsuitable)?,
            surface,
            pre,
            gate: Gate::new(concurrency),
        })
    }

    /// `name@version`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The version of the contract that it was built for.
    pub fn contract_version(&self) -> &'static str {
        self.contract_version
    }

    /// Everything it imports: an honest list of what it can want, since unused imports are not in it.
    pub fn imports(&self) -> &[String] {
        &self.surface.imports
    }

    /// The interfaces of the contract that it exports: `processor`, `validator`, ...
    pub fn interfaces(&self) -> Vec<&'static str> {
        let exported = |interface: &&str| self.surface.exports.contains(&qualified(interface, self.contract_version));
        INTERFACES.into_iter().filter(exported).collect()
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// If it fails to answer within its limits.
    pub fn describe(&self, limits: Limits) -> Result<PluginInfo, PluginError> {
        let _tick = self.engine.tick();
        instance::describe(self, &Sandbox::new(self, None, limits, Arc::default()))
    }

    /// Opens it with a configuration, which it checks.
    ///
    /// # Errors
    /// `Configuration` with what is wrong; or that the plugin lacks the interface, trapped or reached a limit.
    pub fn open(self: &Arc<Self>, usage: Usage) -> Result<OpenPlugin, PluginError> {
        let sandbox = Sandbox::new(self, usage.step.as_deref(), usage.limits, Arc::clone(&usage.grants));
        let mount = Mount { sandbox, usage };
        let _tick = self.engine.tick();
        let mut first = Instance::open(self, &mount, &Deadline::never())?;
        let signature = first.signature(&mount)?;
        let serving = Serving::new(self, mount.usage.isolation, mount.usage.limits.warm_instances, first);
        Ok(OpenPlugin { serving, mount, signature })
    }

    fn store(&self, sandbox: &Sandbox) -> Store<GuestState> {
        let Sandbox { limits, grants, log, .. } = sandbox;
        let mut store = Store::new(self.engine.wasmtime(), GuestState::new(limits, grants, log));
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(limits.sent_bytes);
        instance::watch_deadline(&mut store);
        store
    }

    fn lacks(&self, interface: &str) -> PluginError {
        PluginError::Unsupported {
            reason: format!("plugin `{}` exports no `{interface}`, but {}", self.label, self.interfaces().join(", ")),
            hint: "use it in a step of its kind: `plugin` for processors, `validate` for validators, `rules` for rule engines".to_owned(),
        }
    }
}

/// What every guest of one use of a plugin gets, whatever it is used for.
struct Sandbox {
    label: PluginLabel,
    limits: Limits,
    grants: Arc<Grants>,
    log: GuestLog,
}

impl Sandbox {
    fn new(plugin: &Plugin, step: Option<&str>, limits: Limits, grants: Arc<Grants>) -> Self {
        let label = PluginLabel { plugin: plugin.label.clone(), step: step.map(str::to_owned) };
        Self { label, limits, grants, log: GuestLog::new(&plugin.label, step.unwrap_or_default()) }
    }
}

/// A use of a plugin in a step, as its instances see it.
struct Mount {
    sandbox: Sandbox,
    usage: Usage,
}

/// A plugin with its configuration, ready to serve one step.
pub struct OpenPlugin {
    serving: Serving<Instance>,
    mount: Mount,
    signature: Signature,
}

impl OpenPlugin {
    /// What it takes and gives under its configuration.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    pub fn isolation(&self) -> Isolation {
        self.serving.isolation
    }

    /// Runs `process` on one instance. The inputs are given away: if the caller keeps no copy, the guest writes in place.
    pub fn process(
        &self,
        inputs: Vec<(String, Tensor)>,
        context: &Arc<RequestContext>,
    ) -> Answer<Vec<(String, Tensor)>> {
        self.call(context, |instance| instance.process(&self.mount, inputs, context))
    }

    /// Runs `check` on one instance.
    pub fn check(&self, tensors: Vec<(String, Tensor)>, context: &Arc<RequestContext>) -> Answer<Vec<Finding>> {
        self.call(context, |instance| instance.check(&self.mount, tensors, context))
    }

    fn call<T>(
        &self,
        context: &RequestContext,
        body: impl FnOnce(&mut Instance) -> Result<T, PluginError>,
    ) -> Answer<T> {
        let deadline = &context.deadline;
        let open = || Instance::open(&self.serving.plugin, &self.mount, deadline);
        self.serving.call(&self.mount.sandbox, deadline, open, body)
    }
}

fn qualified(interface: &str, version: &str) -> String {
    format!("{}/{interface}@{version}", abi::PACKAGE)
}

fn link(
    engine: &PluginEngine,
    component: &Component,
    surface: &Surface,
) -> Result<InstancePre<GuestState>, PluginError> {
    let linker = abi::linker(engine.wasmtime()).map_err(PluginError::engine)?;
    linker.instantiate_pre(component).map_err(|error| PluginError::Unsupported {
        reason: format!("the plugin imports what this host does not offer: {error:#}"),
        hint: format!(
            "plugins get {}@{} and WASI 0.2 only; it imports {}",
            abi::PACKAGE,
            OFFERED_VERSIONS.join(", "),
            surface.imports.join(", ")
        ),
    })
}

fn unsuitable(error: wasmtime::Error) -> PluginError {
    PluginError::Unsupported {
        reason: format!("an export does not have the shape that the contract gives it: {error:#}"),
        hint: "build the plugin against the contract as released".to_owned(),
    }
}
